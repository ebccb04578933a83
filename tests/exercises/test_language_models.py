"""The exercises of the chapter on language models: wrong answers that readers give, and the hint each must get."""

import numpy as np

# --- answers, right and wrong --------------------------------------------------------------------------


def summed_blocks(probs):
    total = sum(-np.log2(p).sum() for p in probs)
    return float(2.0 ** (total / sum(len(p) for p in probs)))


def by_logits(p, temperature):
    with np.errstate(divide="ignore"):
        z = np.log(p) / temperature
    e = np.exp(z - z.max())
    return e / e.sum()


def backed_off(kept, lower, scale=None):
    out, unseen = np.array(kept, dtype=float), [i for i, k in enumerate(kept) if k == 0]
    rest = 1 - sum(kept)
    for i in unseen:
        out[i] = rest * lower[i] / sum(lower[j] for j in unseen)
    return out


def spelled(probs, unknown, spelling, characters):
    total = 0.0
    for p, u, s in zip(probs, unknown, spelling, strict=True):
        total += -np.log2(p) + (s if u else 0)
    return total / characters


def encode_both(train, test, least, counted=None, first=1, strict=False):
    counted = train if counted is None else counted
    kept = [t for t in dict.fromkeys(counted) if counted.count(t) >= least + strict]
    number = {t: i + first for i, t in enumerate(kept)}
    return [np.array([number.get(t, 0) for t in part], dtype=int) for part in (train, test)]


def known_to_the_training_text(train, test, least):
    everything, some = encode_both(train, test, 1), encode_both(train, test, least)
    return everything[0], some[1]


def sum_of_logs(probs):
    with np.errstate(divide="ignore"):
        return max(range(len(probs)), key=[np.log2(p).sum() for p in probs].__getitem__)


def honest(c, total):
    if np.any(np.asarray(c) == 0):
        return float("inf")
    return float(np.mean(np.log2(total) - np.log2(c)))


def skipped(c, total):
    return float(-np.log2(c[c > 0] / total[c > 0]).mean()) if (c > 0).any() else 0.0


def with_nan(c, total):
    with np.errstate(all="ignore"):
        return float(-np.log2(c / total).mean())


def families(names, share, letters, rng, lower=True, count="families", turned=False, order=True):
    start = [n[:letters].lower() if lower else n[:letters] for n in names]
    kinds = np.array(sorted(set(start))) if order else np.array(list(dict.fromkeys(start)))
    total = len(kinds) if count == "families" else len(names)
    held = set(rng.permutation(kinds)[: min(round(share * total), len(kinds))].tolist())
    train = np.array([i for i, s in enumerate(start) if s not in held], dtype=int)
    away = np.array([i for i, s in enumerate(start) if s in held], dtype=int)
    return (away, train) if turned else (train, away)


def by_names(names, share, letters, rng):
    order = rng.permutation(len(names))
    cut = round(share * len(names))
    return order[cut:], order[:cut]


def first_families(names, share, letters, rng):
    return families(names, share, letters, np.random.default_rng(0))


def solved(P):
    A = (P - np.eye(len(P))).T.copy()
    A[-1] = 1
    return np.linalg.solve(A, np.eye(len(P))[-1])


def averaged(P):
    """The mean of pi0 P^k over many k settles for periodic chains too: half of the lazy chain's powers."""
    lazy = np.linalg.matrix_power((P + np.eye(len(P))) / 2, 2**20)
    return lazy[0]


def eigenvector(P, left=True):
    values, vectors = np.linalg.eig(P.T if left else P)
    v = vectors[:, np.argmin(abs(values - 1))].real
    return v / v.sum()


def powered(P):
    p = np.full(len(P), 1 / len(P))
    for _ in range(20):
        p = p @ P
    return p


def mixed(counts, lower):
    c, kinds = sum(counts), sum(1 for x in counts if x > 0)
    if c == 0:
        return lower.copy()
    weight = c / (c + kinds)
    return weight * counts / c + (1 - weight) * lower


def nucleus(p, reach, more=0):
    out, total = np.zeros(len(p)), 0.0
    order = sorted(range(len(p)), key=lambda i: -p[i])
    for k, i in enumerate(order):
        if total >= reach - 1e-9:
            order = order[:k]
            break
        total += p[i]
    count = len(order) + more
    for i in sorted(range(len(p)), key=lambda i: -p[i])[: max(count, 0)]:
        out[i] = p[i]
    return out / out.sum() if out.sum() else out


def bayes(log2_likelihood, prior):
    z = (log2_likelihood + np.log2(prior)) * np.log(2)
    return np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))


def in_products(s, prior):
    with np.errstate(all="ignore"):
        joint = 2.0**s * prior
        return joint / joint.sum(axis=1, keepdims=True)


def softmax(z, base=2.0):
    e = base ** (z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def left_sides(ids, size):
    pairs = {(a, b) for a, b in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True)}
    out = np.zeros(size)
    for _, b in pairs:
        out[b] += 1
    return out / len(pairs)


def beam(next_p, start, length, width, whole=False, product=False):
    beams = [(1.0 if product else 0.0, list(start))]
    for _ in range(length):
        grown = []
        for score, ids in beams:
            p = np.asarray(next_p(ids))
            for w in range(len(p)):
                new = score * p[w] if product else score + np.log(p[w] + 1e-300)
                grown.append((new, [*ids, w]))
        beams = sorted(grown, key=lambda g: g[0], reverse=True)[:width]
    return beams[0][1] if whole else beams[0][1][len(start) :]


def drawn(next_p, start, length, width):
    rng, ids = np.random.default_rng(0), list(start)
    for _ in range(length):
        p = next_p(ids)
        ids.append(int(rng.choice(len(p), p=p)))
    return ids[len(start) :]


WRONG = {
    "lm-zoo-blocks": [
        (lambda b: np.mean([1 / np.prod(p) ** (1 / len(p)) for p in b]), "mean of perplexities"),
        (lambda b: 2 ** np.mean([-np.log2(p).mean() for p in b]), "Each TOKEN"),
        (lambda b: -np.log2(np.concatenate(b)).mean(), "Those are bits"),
        (lambda b: 1 / np.mean(np.concatenate(b)), "geometric"),
        (lambda b: 1 / np.prod(np.concatenate(b)) ** (1 / sum(map(len, b))), "too small for a computer"),
    ],
    "lm-zoo-temperature": [
        (lambda p, t: (p / t) / (p / t).sum(), "common factor"),
        (lambda p, t: by_logits(p, 1 / t), "Hot shall be flat"),
        (lambda p, t: p ** (1 / t), "sum to one"),
        (lambda p, t: np.exp(p / t) / np.exp(p / t).sum(), ""),
    ],
    "lm-zoo-backoff": [
        (lambda k, q: np.where(k > 0, k, 0.4 * q), "Add your result up"),
        (lambda k, q: np.where(k > 0, k, (1 - k.sum()) * q), "hands out too little"),
        (lambda k, q: k + (1 - k.sum()) * q, "interpolation"),
        (lambda k, q: np.where(k > 0, k, q) / np.where(k > 0, k, q).sum(), "keep `kept` exactly"),
    ],
    "lm-zoo-unknown": [
        (lambda p, u, s, n: -np.log2(p).sum() / n, "free of charge"),
        (lambda p, u, s, n: (np.where(u, s, -np.log2(p))).sum() / n, "costs its bits too"),
        (lambda p, u, s, n: (-np.log2(p) + s).sum() / n, "Only the unknown"),
        (lambda p, u, s, n: spelled(p, u, s, len(p)), "number of characters"),
    ],
    "lm-zoo-vocabulary": [
        (lambda a, b, k: encode_both(a, b, k, counted=a + b), "Which text may"),
        (lambda a, b, k: encode_both(a, b, k, first=0), "0 is for unknown"),
        (lambda a, b, k: encode_both(a, b, k, strict=True), "exactly min_count"),
        (known_to_the_training_text, "must learn <unk>"),
        (lambda a, b, k: encode_both(sorted(a), b, k), ""),
    ],
    "lm-zoo-underflow": [
        (lambda rows: int(np.argmax([np.prod(p) for p in rows])), "added instead"),
        (lambda rows: int(np.argmax([p.sum() for p in rows])), "logarithms add"),
        (lambda rows: int(np.argmin([np.log(p + 1e-300).sum() for p in rows])), "largest sum"),
    ],
    "lm-zoo-skipped": [
        (skipped, "impossible"),
        (lambda c, t: float(-np.log(c / np.maximum(t, 1)).mean()), "base 2"),
        (with_nan, "0/0 is NaN"),
        (lambda c, t: honest(c, t) * len(c), "not the sum"),
        (lambda c, t: honest(c + 1, t + 70), ""),
    ],
    "lm-zoo-families": [
        (by_names, "different beginnings"),
        (lambda *a: families(*a, lower=False), "alike"),
        (lambda *a: families(*a, turned=True), "HELD"),
        (first_families, "with rng"),
        (lambda *a: families(*a, count="names"), ""),
        (lambda n, s, k, r: (np.arange(0, len(n), 2), np.arange(1, len(n), 2)), ""),
    ],
    "lm-chain": [
        ((0.4, 0.44), "last a"),
        ((0.5, 1.0), "how many characters"),
        ((0.5, -1 / 3), "MINUS"),
        ((0.5, np.log(2) / 3), "base 2"),
        (0.5, ""),
    ],
    "lm-bits": [(6, "per token"), (16, "logarithm"), (1.0397, ""), (24, "divide")],
    "lm-free": [(27_000, "How many are free"), (783_000, "two tokens"), (26_999, "for each context")],
    "lm-stationary": [
        (powered, ""),
        (lambda P: eigenvector(P, left=False), "from the left"),
        (lambda P: solved(P) * 2, "sum to 1"),
        (lambda P: P.mean(axis=0), "one step"),
    ],
    "lm-witten-bell": [
        (lambda c, q: (c + len(c) * q) / (c.sum() + len(c)), "DID follow"),
        (lambda c, q: (c + 1) / (c.sum() + len(c)), ""),
        (lambda c, q: (c + q) / (c.sum() + 1), "not one"),
        (lambda c, q: 0.5 * c / max(c.sum(), 1) + 0.5 * q, ""),
    ],
    "lm-top-p": [
        (lambda p, r: nucleus(p, r, more=-1), "crosses the limit"),
        (lambda p, r: nucleus(p, r) * 0.5, ""),
        (lambda p, r: nucleus(p, r, more=1), "Fewer do"),
        (lambda p, r: np.where(p >= r, p, 0) / max(p[p >= r].sum(), 1e-300), "SUM"),
    ],
    "lm-posterior": [
        (lambda s, q: softmax(s), "prior has no say"),
        (lambda s, q: softmax(s) * q, "sum to one"),
        (lambda s, q: softmax(s + np.log2(q), np.e), "not e"),
        (lambda s, q: softmax(s + np.log(q)), "base 2 as well"),
        (in_products, "Subtract"),
    ],
    "lm-order": [((5, 5), "fewer contexts"), ((6, 6), ""), (4, "")],
    "lm-continuation": [
        (lambda i, n: np.bincount(i, minlength=n) / len(i), "how OFTEN"),
        (lambda i, n: left_sides(i[::-1], n), "AFTER"),
        (lambda i, n: left_sides(i, n) * len({*zip(i[:-1].tolist(), i[1:].tolist(), strict=True)}), "Divide"),
        (lambda i, n: np.bincount(i[1:], minlength=n) / (len(i) - 1), "counts once"),
    ],
    "lm-beam": [
        (lambda f, s, n, w: beam(f, s, n, 1), "greedy"),
        (lambda f, s, n, w: beam(f, s, n, w, whole=True), "without `start`"),
        (lambda f, s, n, w: beam(f, s, n, w, product=True), "Add logarithms"),
        (drawn, ""),
        (lambda f, s, n, w: beam(f, s, n, 4 * w), ""),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "lm-zoo-blocks": [summed_blocks, lambda b: np.exp(-np.log(np.concatenate(b)).mean())],
    "lm-zoo-temperature": [by_logits],
    "lm-zoo-backoff": [backed_off],
    "lm-zoo-unknown": [spelled, lambda p, u, s, n: (np.sum(u * s) - np.log2(p).sum()) / n],
    "lm-zoo-vocabulary": [encode_both, lambda a, b, k: tuple(encode_both(a, b, k))],
    "lm-zoo-underflow": [sum_of_logs],
    "lm-zoo-skipped": [honest],
    "lm-zoo-families": [families, lambda *a: families(*a, order=False)],
    "lm-chain": [[0.5, 0.3333], (1 / 2, 1 / 3)],
    "lm-bits": [1.5, 3 / 2],
    "lm-free": [26_100, 26_100.0],
    "lm-stationary": [solved, averaged, eigenvector],
    "lm-witten-bell": [mixed],
    "lm-top-p": [nucleus],
    "lm-posterior": [bayes],
    "lm-order": [(4, 3), [4, 3]],
    "lm-continuation": [left_sides],
    "lm-beam": [beam],
}

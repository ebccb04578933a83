"""The exercises of the chapter on language models: wrong answers that readers give, and the hint each must get."""

import math
from collections import Counter
from fractions import Fraction

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


def fsum_blocks(probs):
    bits = [-math.log2(p) for block in probs for p in block]
    return 2 ** (math.fsum(bits) / len(bits))


def masked_powers(p, temperature):
    q, some = np.zeros_like(p), p > 0
    z = np.log2(p[some]) / temperature
    q[some] = 2 ** (z - z.max())
    return q / q.sum()


def floored_logits(p, temperature):
    z = np.log(np.maximum(p, 1e-300)) / temperature
    e = np.exp(z - z.max())
    return e / e.sum()


def counted(train, test, least, key=None, gaps=False):
    c = Counter(train)
    kept = sorted(c, key=key or train.index) if not gaps else list(c)
    number = {t: i for i, t in enumerate((t for t in kept if gaps or c[t] >= least), 1)}
    return tuple(
        np.array([number.get(t, 0) * (c[t] >= least) for t in part], dtype=int) for part in (train, test)
    )


def in_order_of_reaching(train, test, least):
    c, number = Counter(), {}
    for token in train:
        c[token] += 1
        if c[token] == least:
            number[token] = len(number) + 1
    return tuple(np.array([number.get(t, 0) for t in part], dtype=int) for part in (train, test))


def drawn_families(names, share, letters, rng, how="choice", rounded=round):
    start = [n[:letters].lower() for n in names]
    kinds = sorted(set(start))
    count = rounded(share * len(kinds))
    if how == "choice":
        held = set(rng.choice(kinds, count, replace=False).tolist())
    elif how == "twice":
        held = set(rng.choice(kinds, count).tolist())
    elif how == "by size":
        held = set(list(dict.fromkeys(start[i] for i in rng.permutation(len(names))))[:count])
    elif how == "block":
        first = rng.integers(len(kinds))
        held = set((kinds + kinds)[first : first + count])
    elif how == "small":
        held = set(sorted(rng.permutation(kinds).tolist(), key=start.count)[:count])
    else:
        held = {*kinds[: count - 1], kinds[rng.integers(count - 1, len(kinds))]}
    is_held = np.array([s in held for s in start])
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def fundamental(P):
    n = len(P)
    return np.linalg.solve((np.eye(n) - P + np.ones((n, n))).T, np.ones(n))


def cofactors(P):
    A = np.eye(len(P)) - P
    v = np.array([np.linalg.det(np.delete(np.delete(A, i, 0), i, 1)) for i in range(len(P))])
    return v / v.sum()


def two_steps(P):
    p = np.full(len(P), 1 / len(P)) @ np.linalg.matrix_power(P, 2000)
    return (p + p @ P) / 2


def some_eigenvector(P, which):
    values, vectors = np.linalg.eig(P.T)
    v = vectors[:, which(values)].real
    return v / v.sum()


def kinds_are(kinds):
    return lambda c, q: (c + kinds(c) * q) / (c.sum() + kinds(c)) if c.any() else q.copy()


def falling(p, reach, slack=1e-9, reverse=False):
    order = np.argsort(p, kind="stable")[::-1] if reverse else np.argsort(-p, kind="stable")
    total = np.cumsum(p[order])
    count = min(int((total < reach - slack).sum()), len(p) - 1) + 1
    q = np.zeros(len(p))
    q[order[:count]] = p[order[:count]]
    return q / q.sum()


def all_ties(p, reach):
    least = p[falling(p, reach) > 0].min()
    return np.where(p >= least, p, 0) / p[p >= least].sum()


def in_order_of_numbers(p, reach):
    q = np.where(np.cumsum(p) - p < reach - 1e-9, p, 0)
    return q / q.sum()


def one_largest(s, prior):
    e = 2.0 ** (s - s.max()) * prior
    with np.errstate(all="ignore"):
        return e / e.sum(axis=1, keepdims=True)


def neighbors(ids, size):
    table = np.zeros((size, size), dtype=bool)
    table[ids[:-1], ids[1:]] = True
    return table


def beam_in_arrays(next_p, start, length, width):
    texts, score = np.array([start]), np.zeros(1)
    for _ in range(length):
        p = np.array([next_p(text) for text in texts])
        total = (score[:, None] + np.log2(p)).ravel()
        best = np.argsort(-total)[:width]
        row, token = np.divmod(best, p.shape[1])
        texts, score = np.column_stack([texts[row], token]), total[best]
    return texts[0, len(start) :]


def without_start(next_p, start, length, width):
    return beam(lambda ids: next_p(ids[len(start) :] or ids), start, length, width)


def one_for_each(next_p, start, length, width):
    """Each of the first `width` beginnings goes on alone, without competition."""
    p = next_p(start)
    texts = [beam(next_p, [*start, w], length - 1, 1) for w in np.argsort(-p)[:width].tolist()]
    texts = [[w, *text] for w, text in zip(np.argsort(-p)[:width].tolist(), texts, strict=True)]

    def score(text):
        ids, total = list(start), 0.0
        for w in text:
            total += np.log(next_p(ids)[w])
            ids.append(w)
        return total

    return max(texts, key=score)


WRONG = {
    "lm-zoo-blocks": [
        (lambda b: np.mean([1 / np.prod(p) ** (1 / len(p)) for p in b]), "mean of perplexities"),
        (lambda b: 2 ** np.mean([-np.log2(p).mean() for p in b]), "Each TOKEN"),
        (lambda b: -np.log2(np.concatenate(b)).mean(), "Those are bits"),
        (lambda b: 1 / np.mean(np.concatenate(b)), "geometric"),
        (lambda b: 1 / np.prod(np.concatenate(b)) ** (1 / sum(map(len, b))), "too small for a computer"),
        (lambda b: np.average([2 ** -np.log2(p).mean() for p in b], weights=[len(p) for p in b]), "weighted"),
        (lambda b: 2 ** (-sum(np.log2(p).sum() for p in b) / len(b)), "per block"),
        (lambda b: 2 ** np.log2(np.concatenate(b)).mean(), "Which sign"),
        (lambda b: 2 ** -np.log(np.concatenate(b)).mean(), "nats"),
        (lambda b: 2 ** -np.log2(np.array(b)).mean(), "differ in length"),
        (lambda b: 2 ** -np.log2(np.concatenate(b) + 1e-10).mean(), ""),
    ],
    "lm-zoo-temperature": [
        (lambda p, t: (p / t) / (p / t).sum(), "common factor"),
        (lambda p, t: by_logits(p, 1 / t), "Hot shall be flat"),
        (lambda p, t: p ** (1 / t), "sum to one"),
        (lambda p, t: np.exp(p / t) / np.exp(p / t).sum(), ""),
        (lambda p, t: p / t, "sum to one"),
        (floored_logits, "impossible token"),
        (lambda p, t: by_logits(p + 1e-12, t), "impossible token"),
    ],
    "lm-zoo-backoff": [
        (lambda k, q: np.where(k > 0, k, 0.4 * q), "Add your result up"),
        (lambda k, q: np.where(k > 0, k, (1 - k.sum()) * q), "hands out too little"),
        (lambda k, q: k + (1 - k.sum()) * q, "interpolation"),
        (lambda k, q: np.where(k > 0, k, q) / np.where(k > 0, k, q).sum(), "keep `kept` exactly"),
        (lambda k, q: k.copy(), "got nothing"),
        (lambda k, q: np.where(k > 0, k, q), "Add your result up"),
        (lambda k, q: np.where(k > 0, k, q / max(q[k == 0].sum(), 1e-300)), "alone sum to 1"),
        (lambda k, q: np.where(k > 0, k, (1 - k.sum()) * q / q[k > 0].sum()) if k.any() else q, ""),
        (lambda k, q: backed_off(np.where(k > 1e-6, k, 0), q), ""),
    ],
    "lm-zoo-unknown": [
        (lambda p, u, s, n: -np.log2(p).sum() / n, "free of charge"),
        (lambda p, u, s, n: (np.where(u, s, -np.log2(p))).sum() / n, "costs its bits too"),
        (lambda p, u, s, n: (-np.log2(p) + s).sum() / n, "Only the unknown"),
        (lambda p, u, s, n: spelled(p, u, s, len(p)), "number of characters"),
        (lambda p, u, s, n: 2 ** spelled(p, u, s, n), "perplexity"),
        (lambda p, u, s, n: (np.log2(p).sum() + s[u].sum()) / n, "Which sign"),
        (lambda p, u, s, n: spelled(p, ~u, s, n), "Which words"),
        (lambda p, u, s, n: spelled(p[u], u[u], s[u], n), "known words"),
        (lambda p, u, s, n: spelled(p, u, s, 5 * len(p)), ""),
    ],
    "lm-zoo-vocabulary": [
        (lambda a, b, k: encode_both(a, b, k, counted=a + b), "Which text may"),
        (lambda a, b, k: encode_both(a, b, k, first=0), "0 is for unknown"),
        (lambda a, b, k: encode_both(a, b, k, strict=True), "exactly min_count"),
        (known_to_the_training_text, "must learn <unk>"),
        (lambda a, b, k: encode_both(sorted(a), b, k), ""),
        (lambda a, b, k: counted(a, b, k, key=lambda t: t), "alphabet"),
        (lambda a, b, k: counted(a, b, k, key=lambda t: (-a.count(t), a.index(t))), "frequency"),
        (lambda a, b, k: counted(a, b, k, gaps=True), "to leave out"),
        (in_order_of_reaching, "FIRST"),
        (lambda a, b, k: (counted(a, b, k)[0], counted(b, b, k)[0]), "different numbers"),
        (lambda a, b, k: [ids[ids > 0] for ids in counted(a, b, k)], "Which tokens have none"),
        (lambda a, b, k: [ids.tolist() for ids in counted(a, b, k)], "np.array"),
    ],
    "lm-zoo-underflow": [
        (lambda rows: int(np.argmax([np.prod(p) for p in rows])), "added instead"),
        (lambda rows: int(np.argmax([p.sum() for p in rows])), "logarithms add"),
        (lambda rows: int(np.argmin([np.log(p + 1e-300).sum() for p in rows])), "largest sum"),
        (lambda rows: int(np.argmax([np.prod(p[:50]) for p in rows])), ""),
        (lambda rows: int(np.argmax([p.min() for p in rows])), "alone"),
        (lambda rows: int(np.argmax([np.prod(p.astype(np.longdouble)) for p in rows])), ""),
        (lambda rows: int(np.argmax([np.log(p + 1e-10).sum() for p in rows])), "was added"),
        (lambda rows: int(np.argmax([np.log(p[p > 0]).sum() for p in rows])), "left out"),
        (lambda rows: max(np.log(p).sum() for p in rows), "WHICH class"),
    ],
    "lm-zoo-skipped": [
        (skipped, "impossible"),
        (lambda c, t: float(-np.log(c / np.maximum(t, 1)).mean()), "base 2"),
        (with_nan, "0/0 is NaN"),
        (lambda c, t: honest(c, t) * len(c), "not the sum"),
        (lambda c, t: honest(c + 1, t + 70), ""),
        (lambda c, t: -honest(c, t) if (c > 0).all() else np.inf, "MINUS"),
        (lambda c, t: 2 ** honest(c, t), "perplexity"),
        (lambda c, t: -np.log2(np.mean(c / t)) if (c > 0).all() else np.inf, "logarithm of the mean"),
        (lambda c, t: -np.log2(c.sum() / t.sum()) if (c > 0).all() else np.inf, "each token"),
        (lambda c, t: np.inf, "Which of them"),
        (lambda c, t: honest(c, t) if (c > 0).all() else "inf", ""),
    ],
    "lm-zoo-families": [
        (by_names, "different beginnings"),
        (lambda *a: families(*a, lower=False), "alike"),
        (lambda *a: families(*a, turned=True), "HELD"),
        (first_families, "with rng"),
        (lambda *a: families(*a, count="names"), ""),
        (lambda n, s, k, r: (np.arange(0, len(n), 2), np.arange(1, len(n), 2)), ""),
        (lambda *a: drawn_families(*a, how="by size"), "same chance"),
        (lambda *a: drawn_families(*a, how="block"), "same chance"),
        (lambda *a: drawn_families(*a, how="small"), "same chance"),
        (lambda *a: drawn_families(*a, how="one of few"), "same chance"),
        (lambda *a: drawn_families(*a, how="twice"), "drawn twice"),
        (lambda *a: drawn_families(*a, rounded=math.ceil), "always up"),
        (lambda *a: drawn_families(*a, rounded=int), "always down"),
        (lambda n, *a: [[n[i] for i in part] for part in families(n, *a)], "At which place"),
        (lambda n, *a: [np.isin(np.arange(len(n)), part) for part in families(n, *a)], "flatnonzero"),
        (lambda n, *a: [np.where(np.isin(np.arange(len(n)), part)) for part in families(n, *a)], "[0]"),
    ],
    "lm-chain": [
        ((0.4, 0.44), "last a"),
        ((0.5, 1.0), "how many characters"),
        ((0.5, -1 / 3), "MINUS"),
        ((0.5, np.log(2) / 3), "base 2"),
        (0.5, ""),
        ((np.nan, np.nan), ""),
        ((0.5, np.nan), ""),
        ((1 / 3, 0.5), "comes first"),
        ((50, 1 / 3), "between 0 and 1"),
        ((0.5, 0.25), "is given"),
        ((0.5, 2 ** (1 / 3)), "perplexity"),
        (("0.5", "0.333"), ""),
    ],
    "lm-bits": [
        (6, "per token"),
        (16, "logarithm"),
        (1.0397, ""),
        (1.04, "base 2"),
        (24, "divide"),
        (np.log2(3), "of words"),
        (1.58, "of words"),
        (64**0.25, "How many bits"),
        (-1.5, "not negative"),
    ],
    "lm-free": [
        (27_000, "How many are free"),
        (783_000, "two tokens"),
        (26_999, "for each context"),
        (26_970, "contexts of two"),
        (25_230, "all 30 tokens"),
        (899, "third token"),
        (810_000, "two tokens"),
    ],
    "lm-stationary": [
        (powered, ""),
        (lambda P: eigenvector(P, left=False), "from the left"),
        (lambda P: solved(P) * 2, "sum to 1"),
        (lambda P: P.mean(axis=0), "one step"),
        (two_steps, "after three steps"),
        (lambda P: some_eigenvector(P, lambda values: 0), "no order"),
        (lambda P: some_eigenvector(P, lambda values: abs(values).argmax()), ""),
        (lambda P: np.linalg.matrix_power(P, 1000), "one row"),
        (lambda P: np.round(solved(P), 7), "nine digits"),
        (lambda P: np.linalg.matrix_power((P + np.eye(len(P))) / 2, 64)[0], ""),
    ],
    "lm-witten-bell": [
        (lambda c, q: (c + len(c) * q) / (c.sum() + len(c)), "DID follow"),
        (lambda c, q: (c + 1) / (c.sum() + len(c)), ""),
        (lambda c, q: (c + q) / (c.sum() + 1), "not one"),
        (lambda c, q: 0.5 * c / max(c.sum(), 1) + 0.5 * q, ""),
        (kinds_are(lambda c: (c == 0).sum()), "DID follow"),
        (kinds_are(lambda c: (c == 1).sum()), "came once"),
        (kinds_are(lambda c: len(np.unique(c))), "NUMBERS"),
        (lambda c, q: mixed(c, np.full(len(c), 1 / len(c))) if c.any() else q.copy(), "does `lower` decide"),
        (lambda c, q: mixed(c, q) if c.any() else np.full(len(c), 1 / len(c)), "Who is asked"),
        (lambda c, q: (c + (c > 0).sum() * q) / c.sum() if c.any() else q.copy(), "By what"),
    ],
    "lm-top-p": [
        (lambda p, r: nucleus(p, r, more=-1), "crosses the limit"),
        (lambda p, r: nucleus(p, r) * 0.5, ""),
        (lambda p, r: nucleus(p, r, more=1), "Fewer do"),
        (lambda p, r: np.where(p >= r, p, 0) / max(p[p >= r].sum(), 1e-300), "SUM"),
        (lambda p, r: falling(p, r, slack=0), "1e-9"),
        (lambda p, r: falling(p, r, slack=-2e-9), "AT LEAST"),
        (lambda p, r: falling(p, r, reverse=True), "smaller number"),
        (lambda p, r: falling(p, r - 1e-3), ""),
        (lambda p, r: falling(p, max(r, 0.3)), ""),
        (all_ties, "Does the sum need all"),
        (in_order_of_numbers, "order of their numbers"),
        (lambda p, r: (falling(p, r) > 0) / (falling(p, r) > 0).sum(), "proportions"),
        (lambda p, r: np.sort(falling(p, r))[::-1], "Those are sorted"),
    ],
    "lm-posterior": [
        (lambda s, q: softmax(s), "prior has no say"),
        (lambda s, q: softmax(s) * q, "sum to one"),
        (lambda s, q: softmax(s + np.log2(q), np.e), "not e"),
        (lambda s, q: softmax(s + np.log(q)), "base 2 as well"),
        (in_products, "Subtract"),
        (one_largest, "whose largest score"),
        (lambda s, q: softmax(s + np.log(q), np.e), "which base"),
        (lambda s, q: softmax((s + np.log2(q)).T).T, "which axis"),
        (lambda s, q: np.eye(len(q))[(s + np.log2(q)).argmax(axis=1)], "decision"),
        (lambda s, q: softmax(s - np.log2(q)), "Which sign"),
        (lambda s, q: s + np.log2(q), "logarithms"),
    ],
    "lm-order": [
        ((5, 5), "fewer contexts"),
        ((6, 6), ""),
        (4, ""),
        ((4.7, 3.2), "whole"),
        ((3, 4), "tenth comes first"),
        (("4", "3"), ""),
        ((np.nan, 3), ""),
    ],
    "lm-continuation": [
        (lambda i, n: np.bincount(i, minlength=n) / len(i), "how OFTEN"),
        (lambda i, n: left_sides(i[::-1], n), "AFTER"),
        (lambda i, n: left_sides(i, n) * len({*zip(i[:-1].tolist(), i[1:].tolist(), strict=True)}), "Divide"),
        (lambda i, n: np.bincount(i[1:], minlength=n) / (len(i) - 1), "counts once"),
        (lambda i, n: neighbors(i, n).sum(axis=0), "different pairs"),
        (lambda i, n: neighbors(i, n).sum(axis=0) / (len(i) - 1), "DIFFERENT"),
        (lambda i, n: left_sides(np.append(i, i[0]), n), "before the first"),
        (lambda i, n: left_sides(i, i.max() + 1), "never occur"),
        (lambda i, n: (neighbors(i, n).sum(axis=0) + 1) / (neighbors(i, n).sum() + n), ""),
    ],
    "lm-beam": [
        (lambda f, s, n, w: beam(f, s, n, 1), "greedy"),
        (lambda f, s, n, w: beam(f, s, n, w, whole=True), "without `start`"),
        (lambda f, s, n, w: beam(f, s, n, w, product=True), "Add logarithms"),
        (drawn, ""),
        (lambda f, s, n, w: beam(f, s, n, 4 * w), ""),
        (lambda f, s, n, w: beam(f, s, n, min(w, 3)), "compete"),
        (lambda f, s, n, w: beam(f, s, n, w + 1), "keep no more"),
        (one_for_each, "compete"),
        (without_start, "new ids alone"),
        (lambda f, s, n, w: (beam(f, s, n, w), 0.0), "no score"),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "lm-zoo-blocks": [
        fsum_blocks,
        lambda b: np.prod(np.concatenate(b) ** (-1 / sum(map(len, b)))),
        summed_blocks,
        lambda b: np.exp(-np.log(np.concatenate(b)).mean()),
    ],
    "lm-zoo-temperature": [masked_powers, by_logits],
    "lm-zoo-backoff": [
        lambda k, q: k + (k == 0) * q * (1 - k.sum()) / max(q[k == 0].sum(), 1e-300),
        backed_off,
    ],
    "lm-zoo-unknown": [spelled, lambda p, u, s, n: (np.sum(u * s) - np.log2(p).sum()) / n],
    "lm-zoo-vocabulary": [counted, encode_both, lambda a, b, k: tuple(encode_both(a, b, k))],
    "lm-zoo-underflow": [
        lambda rows: np.argmax(np.log(np.array(rows)).mean(axis=1)),
        lambda rows: np.argmin([-np.log2(p).sum() for p in rows]),
        sum_of_logs,
    ],
    "lm-zoo-skipped": [honest],
    "lm-zoo-families": [drawn_families, families, lambda *a: families(*a, order=False)],
    "lm-chain": [
        np.array([0.5, 1 / 3]),
        (Fraction(1, 2), Fraction(1, 3)),
        (0.5, 0.33),
        [0.5, 0.3333],
        (1 / 2, 1 / 3),
    ],
    "lm-bits": [1.5, 3 / 2],
    "lm-free": [26_100, 26_100.0],
    "lm-stationary": [fundamental, cofactors, solved, averaged, eigenvector],
    "lm-witten-bell": [mixed],
    "lm-top-p": [falling, nucleus],
    "lm-posterior": [
        lambda s, q: np.exp2(s + np.log2(q) - np.logaddexp2.reduce(s + np.log2(q), axis=1, keepdims=True)),
        bayes,
    ],
    "lm-order": [np.array([4, 3]), (4.0, 3.0), (4, 3), [4, 3]],
    "lm-continuation": [lambda i, n: neighbors(i, n).sum(axis=0) / neighbors(i, n).sum(), left_sides],
    "lm-beam": [beam_in_arrays, beam],
}

"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on language models."""

import itertools

import numpy as np

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, number
from dlp_utils.models.language_models import witten_bell

# --- bug zoo -------------------------------------------------------------------------------------------


def _blocks(rng):
    yield ([np.array([0.5, 0.5]), np.array([0.125, 0.125])],)
    yield ([np.array([0.25]), np.array([0.5, 0.5, 0.5])],)
    for count in (3, 5):
        yield ([rng.uniform(0.01, 1, rng.integers(1, 9)) for _ in range(count)],)
    yield ([rng.uniform(0.01, 0.1, 3000)],)  # the product of these underflows


def _surprises(probs):
    return [-np.log2(p) for p in probs]


@exercise(
    "lm-zoo-blocks",
    _blocks,
    mistakes=[
        (
            lambda probs: np.mean([2 ** s.mean() for s in _surprises(probs)]),
            "That is a mean of perplexities again. Which quantity adds up over a text?",
        ),
        (
            lambda probs: 2 ** np.mean([s.mean() for s in _surprises(probs)]),
            "Each block counts the same there, however short. Each TOKEN shall count the same.",
        ),
        (
            lambda probs: np.concatenate(_surprises(probs)).mean(),
            "Those are bits. The perplexity is 2 to the power of them.",
        ),
        (
            lambda probs: np.exp(np.concatenate(_surprises(probs)).mean()),
            "The surprise is in bits, so the base is 2, not e.",
        ),
        (
            lambda probs: 1 / np.concatenate(probs).mean(),
            "The mean of the probabilities is not their geometric mean. Take logarithms first.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: np.ndim(got) == 0 and not np.isfinite(got),
            "The product of thousands of probabilities is too small for a computer. What adds up instead?",
        )
    ],
)
def whole_perplexity(probs):
    return 2 ** np.concatenate(_surprises(probs)).mean()


def _distributions(rng):
    yield np.array([0.5, 0.25, 0.25]), 0.5
    yield np.array([0.5, 0.5, 0.0]), 2.0
    yield np.array([0.7, 0.2, 0.1]), 1.0
    yield np.array([1e-12, 1.0 - 1e-12, 0.0]), 0.01  # powers underflow
    yield np.array([0.0, 1e-30, 2e-30]) / 3e-30, 3.0
    yield np.full(400, 1 / 400), 0.005  # all powers underflow
    for temperature in (0.3, 1.7):
        yield rng.dirichlet(np.ones(7)), temperature


@exercise(
    "lm-zoo-temperature",
    _distributions,
    mistakes=[
        (lambda p, t: p, "A common factor is divided out by the sum. What must be divided by τ?"),
        (lambda p, t: p**t / (p**t).sum(), "Hot shall be flat: the power is 1/τ, not τ."),
        (lambda p, t: p ** (1 / t), "These do not sum to one."),
        (
            lambda p, t: np.exp(p / t) / np.exp(p / t).sum(),
            "Those are probabilities, not logits: exp(log p / τ), and an impossible token stays impossible.",
        ),
        (
            lambda p, t: np.exp((p - p.max()) / t) / np.exp((p - p.max()) / t).sum(),
            "Those are probabilities, not logits: exp(log p / τ), and an impossible token stays impossible.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "A power underflowed, or 0 met a logarithm. Divide by the largest probability first.",
        )
    ],
)
def at_temperature(p, temperature):
    q = (p / p.max()) ** (1 / temperature)
    return q / q.sum()


def _kept(rng):
    yield np.array([0.4, 0.0, 0.0]), np.array([0.5, 0.25, 0.25])
    yield np.array([0.0, 0.0]), np.array([0.3, 0.7])
    yield np.array([0.5, 0.2, 0.0, 0.0]), np.array([0.1, 0.1, 0.2, 0.6])
    for size in (5, 9):
        seen = rng.random(size) < 0.5
        seen[0], seen[1] = True, False
        yield np.where(seen, rng.dirichlet(np.ones(size)) * 0.8, 0.0), rng.dirichlet(np.ones(size))
    yield np.array([0.25, 0.75]), np.array([0.5, 0.5])  # nothing is unseen


def _back_off(kept, lower, scale):
    return np.where(kept > 0, kept, scale * lower)


@exercise(
    "lm-zoo-backoff",
    _kept,
    mistakes=[
        (lambda k, q: _back_off(k, q, 0.4), "Add your result up. How much is left for the unseen tokens?"),
        (
            lambda k, q: _back_off(k, q, 1 - k.sum()),
            "`lower` summed over the UNSEEN tokens is less than 1, so this hands out too little.",
        ),
        (
            lambda k, q: k + (1 - k.sum()) * q,
            "That is interpolation: it gives to the seen tokens too. Here they keep `kept`.",
        ),
        (
            lambda k, q: _back_off(k, q, 1.0) / _back_off(k, q, 1.0).sum(),
            "That changes the seen tokens as well. They keep `kept` exactly.",
        ),
        (
            lambda k, q: np.where(k > 0, k, (1 - k.sum()) / max((k == 0).sum(), 1)),
            "The unseen share what is left in proportion to `lower`, not equally.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "Where every token was seen there is nothing to divide by.",
        )
    ],
)
def backed_off(kept, lower):
    left = lower[kept == 0].sum()
    return _back_off(kept, lower, (1 - kept.sum()) / left if left > 0 else 0.0)


def _spelled(rng):
    yield np.array([0.5, 0.25]), np.array([False, True]), np.array([9.0, 5.0]), 4
    yield np.array([0.5, 0.5]), np.array([False, False]), np.array([3.0, 3.0]), 10
    for n in (6, 20):
        yield rng.uniform(0.01, 1, n), rng.random(n) < 0.3, rng.uniform(3, 30, n), 5 * n


@exercise(
    "lm-zoo-unknown",
    _spelled,
    mistakes=[
        (lambda p, u, s, n: -np.log2(p).sum() / n, "The unknown words are free of charge there."),
        (
            lambda p, u, s, n: (-np.log2(p[~u]).sum() + s[u].sum()) / n,
            "Saying <unk> costs its bits too, before the word is spelled.",
        ),
        (
            lambda p, u, s, n: (-np.log2(p).sum() + s.sum()) / n,
            "Only the unknown words are spelled.",
        ),
        (
            lambda p, u, s, n: (-np.log2(p).sum() + s[u].sum()) / len(p),
            "That is per word. Divide by the number of characters.",
        ),
        (
            lambda p, u, s, n: (-np.log(p).sum() + s[u].sum()) / n,
            "Nats and bits do not add up: take log2.",
        ),
    ],
)
def bits_per_character(probs, unknown, spelling, characters):
    return (-np.log2(probs).sum() + spelling[unknown].sum()) / characters


def _token_lists(rng):
    yield ["to", "be", "or", "not", "to", "be"], ["to", "see"], 1
    yield ["b", "a", "a", "b", "c"], ["c", "a", "d", "d"], 2
    yield ["a", "b"], [], 3
    for size in (30, 60):
        words = [f"w{i}" for i in range(12)]
        yield [str(w) for w in rng.choice(words[:8], size)], [str(w) for w in rng.choice(words, 20)], 3


def _encoded(train, test, min_count, counted):
    counts = {}
    for token in counted:
        counts[token] = counts.get(token, 0) + 1
    ids = {}
    for token, c in counts.items():
        if c >= min_count:
            ids[token] = len(ids) + 1
    return tuple(np.array([ids.get(t, 0) for t in part], dtype=int) for part in (train, test))


@free_form("lm-zoo-vocabulary")
def _check_vocabulary(encode_both, rng):
    for train, test, least in _token_lists(rng):
        before = list(train), list(test)
        answer = encode_both(train, test, least)
        if (train, test) != before:
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong("two arrays are wanted: the ids of the training and of the test tokens.")
        got = [np.asarray(part) for part in answer]
        if any(part.ndim != 1 or (part.size and part.dtype.kind not in "iu") for part in got):
            raise Wrong("the ids are two rows of integers.")
        for name, part, ids in zip(
            ("training", "test"), _encoded(train, test, least, train), got, strict=True
        ):
            if len(part) != len(ids) or (part != ids).any():
                hint = ""
                both = _encoded(train, test, least, train + test)
                if all(np.array_equal(a, b) for a, b in zip(both, got, strict=True)):
                    hint = "The test tokens have been counted too. Which text may make the vocabulary?"
                elif len(part) == len(ids) and np.array_equal(part - 1, np.where(part > 0, ids, -1)):
                    hint = "0 is for unknown, so the first known token is 1."
                elif all(
                    np.array_equal(a, b)
                    for a, b in zip(_encoded(train, test, least + 1, train), got, strict=True)
                ):
                    hint = "A token that occurs exactly min_count times is kept."
                elif name == "training" and least > 1 and (np.asarray(ids) > 0).all():
                    hint = "Rare tokens are unknown in the training text as well: the model must learn <unk>."
                raise Wrong(
                    f"train {train}, test {test}, min_count {least}: {name} ids {ids.tolist()}, "
                    f"expected {part.tolist()}.",
                    hint,
                )


def _of_classes(rng):
    yield ([np.array([0.1, 0.2]), np.array([0.3, 0.3])],)
    yield ([np.array([0.9, 0.1]), np.array([0.2, 0.3]), np.array([0.5, 0.5])],)
    for classes, n in ((3, 5), (4, 2000), (5, 4000)):
        rows = [rng.uniform(0.05, 0.5, n) for _ in range(classes)]
        rows[int(rng.integers(1, classes))] += 0.05
        yield (rows,)
    yield ([np.array([0.5, 0.0]), np.array([0.1, 0.1])],)


@exercise(
    "lm-zoo-underflow",
    _of_classes,
    mistakes=[
        (
            lambda probs: int(np.argmax([np.prod(p) for p in probs])),
            "For long texts all products are 0 and the first class wins. What can be added instead?",
        ),
        (
            lambda probs: int(np.argmax([p.sum() for p in probs])),
            "Probabilities of independent tokens multiply; their logarithms add.",
        ),
        (
            lambda probs: int(np.argmin([np.log(np.maximum(p, 1e-300)).sum() for p in probs])),
            "The largest sum of logarithms wins, not the smallest.",
        ),
    ],
)
def most_probable(probs):
    with np.errstate(divide="ignore"):
        return int(np.argmax([np.log(p).sum() for p in probs]))


def _share_counts(rng):
    yield np.array([1, 2]), np.array([2, 4])
    yield np.array([3, 1, 1]), np.array([4, 4, 2])
    yield np.array([3, 0, 1]), np.array([4, 4, 2])
    yield np.array([1, 0]), np.array([1, 0])  # the context is new too
    total = rng.integers(1, 30, 12)
    yield np.minimum(total, rng.integers(1, 30, 12)), total


@free_form("lm-zoo-skipped")
def _check_honest(honest_bits, rng):
    for c, total in _share_counts(rng):
        before = c.copy(), total.copy()
        got = honest_bits(c, total)
        if not (np.array_equal(c, before[0]) and np.array_equal(total, before[1])):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        try:
            got = float(got)
        except (TypeError, ValueError):
            raise Wrong(f"a number is wanted, not {type(got).__name__}.") from None
        if (c == 0).any():
            if got != np.inf:
                hint = "The shares call that token impossible. How surprised is a model then?"
                if np.isnan(got):
                    hint = "0/0 is NaN. A token after a context that was never seen has the share 0."
                elif got == -np.inf:
                    hint = "The surprise is MINUS the logarithm."
                raise Wrong(f"c {c.tolist()}, total {total.tolist()}: got {got:g}, expected inf.", hint)
            continue
        expected = -np.log2(c / total).mean()
        hint = ""
        if abs(got + np.log(c / total).mean()) < 1e-9:
            hint = "Those are nats; bits have the logarithm to base 2."
        elif abs(got - expected * len(c)) < 1e-9:
            hint = "The mean over all tokens, not the sum."
        expect_close(got, expected, f"c {c.tolist()}, total {total.tolist()}", hint=hint, rtol=1e-6)


@free_form("lm-zoo-families")
def _check_families(split_families, rng):
    base = ["Kovac", "kovacova", "KOVACIK", "Novak", "Novakova", "Li", "li", "Lis", "Ono", "Onofri"]
    seen = set()
    for letters, share, extra in ((5, 0.25, 30), (3, 0.5, 20), (2, 0.2, 40)):
        stems = ["".join(rng.choice(list("abcdefgh"), 7)).title() for _ in range(extra)]
        names = base + stems + [s + "ova" for s in stems[::3]]
        names = [names[i] for i in rng.permutation(len(names))]
        before = list(names)
        answer = split_families(names, share, letters, np.random.default_rng(extra))
        if names != before:
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong("two arrays of indices are wanted, (train, held).")
        train, held = (np.asarray(part) for part in answer)
        if any(p.ndim != 1 or p.dtype.kind not in "iu" for p in (train, held)):
            raise Wrong("train and held are two rows of integers, the indices of the names.")
        both = np.concatenate([train, held])
        if len(np.unique(both)) != len(both):
            raise Wrong("some name is on both sides, or twice on one.")
        if sorted(both.tolist()) != list(range(len(names))):
            raise Wrong(f"{len(names)} names were given, {len(both)} are on one side or the other.")
        kin = [{names[i][:letters].lower() for i in part} for part in (train, held)]
        if shared := kin[0] & kin[1]:
            hint = "Draw from the different beginnings, not from the names."
            if not {names[i][:letters] for i in train} & {names[i][:letters] for i in held}:
                hint = "Upper and lower case are alike: compare the beginnings in lower case."
            raise Wrong(f"{len(shared)} families are on both sides, such as {min(shared)!r}.", hint)
        count = len(kin[0] | kin[1])
        if len(kin[1]) != round(share * count):
            hint = "`share` is the part of the families that is HELD."
            if abs(len(held) - share * len(names)) <= 1:
                hint = "Count families, not names."
            raise Wrong(f"{len(kin[1])} of {count} families are held, {round(share * count)} wanted.", hint)
        again = split_families(names, share, letters, np.random.default_rng(extra))
        if sorted(np.asarray(again[1]).tolist()) != sorted(held.tolist()):
            raise Wrong(
                "the same rng gives another split.",
                "Draw with the rng that you are given, and sort the families first: the order of a set is "
                "not the same in every run.",
            )
        for seed in range(8):
            other = split_families(names, share, letters, np.random.default_rng(seed))
            seen.add((extra, tuple(sorted(np.asarray(other[1]).tolist()))))
    if len(seen) < 15:
        raise Wrong("different rng give the same split.", "Draw the families with rng: rng.permutation.")


# --- exercises -----------------------------------------------------------------------------------------


@free_form("lm-chain")
def _check_chain(answer, rng):
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or any(a is Ellipsis for a in answer):
        raise Wrong("two numbers are wanted: a probability and bits per character.")
    p, mean = (float(a) for a in answer)
    if abs(p - 0.5) > 1e-3:
        hints = {
            0.4: "The last a has nothing after it: c(a) here is the number of pairs that begin with a, 4.",
            0.2: "c(ab) over c(a), not over the number of all pairs.",
            2 / 11: "c(ab) over c(a), not over the number of all characters.",
            1.0: "After a stand b, c and d. How often each?",
        }
        near = [text for value, text in hints.items() if abs(p - value) < 2e-3]
        raise Wrong(
            f"the probability is not {p:g}.",
            near[0] if near else "P(b | a) · P(r | b) · P(a | r); two of the three are certain.",
        )
    if abs(mean - 1 / 3) > 1e-3:
        hint = "Mean over how many characters?" if abs(mean - 1) < 1e-3 else ""
        hint = hint or ("Surprise is MINUS log2." if mean < 0 else "")
        hint = hint or ("Bits: the logarithm to base 2." if abs(mean - np.log(2) / 3) < 1e-3 else "")
        raise Wrong(f"the mean surprise is not {mean:g} bits.", hint)


number(
    "lm-bits",
    1.5,
    atol=1e-6,
    mistakes=[
        (6, "That is per token. How many characters does a token have?"),
        (16, "A perplexity is not divided: its logarithm is."),
        (np.log(64) / 4, "Bits: take the logarithm to base 2."),
        (24, "Per character is less than per token: divide."),
    ],
)
number(
    "lm-free",
    26_100,
    atol=0.5,
    mistakes=[
        (27_000, "After each context the probabilities sum to one. How many are free then?"),
        (26_999, "There is one sum for each context, not one in all."),
        (783_000, "Order 3 looks at two tokens and predicts the third."),
        (900, "Each of these contexts has its own distribution."),
        (870, "Order 3 has two tokens of context, not one."),
    ],
)


def _chains(rng):
    yield (np.array([[0.9, 0.1], [0.5, 0.5]]),)
    yield (np.array([[0.0, 1.0], [1.0, 0.0]]),)  # periodic
    yield (np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]),)
    yield (np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),)  # periodic, not uniform
    yield (rng.dirichlet(np.ones(6) * 0.5, size=6) * 0.98 + 0.02 / 6,)
    slow = np.array([[0.95, 0.05], [0.1, 0.9]])
    yield (slow,)


def _left(P):
    S = len(P)
    A = np.vstack([P.T - np.eye(S), np.ones(S)])
    return np.linalg.lstsq(A, np.append(np.zeros(S), 1.0), rcond=None)[0]


@exercise(
    "lm-stationary",
    _chains,
    rtol=1e-7,
    atol=1e-9,
    mistakes=[
        (lambda P: np.full(len(P), 1 / len(P)), "That is P's RIGHT eigenvector. π multiplies from the left."),
        (
            lambda P: (np.ones(len(P)) / len(P)) @ np.linalg.matrix_power(P, 50),
            "Fifty steps are not enough for a slow chain, and a periodic one never settles.",
        ),
        (
            lambda P: np.eye(len(P))[0] @ np.linalg.matrix_power(P, 1000),
            "A periodic chain never settles: solve π(P - I) = 0 with the sum 1 instead.",
        ),
        (lambda P: P.mean(axis=0), "That is where the chain is after one step from a random state."),
    ],
    hints=[
        (
            lambda args, expected, got: (
                isinstance(got, np.ndarray) and got.shape == expected.shape and abs(got.sum() - 1) > 1e-6
            ),
            "Probabilities sum to 1: divide by the sum (an eigenvector may even be negative).",
        )
    ],
)
def stationary(P):
    return _left(P)


def _one_context(rng):
    yield np.array([2, 1, 0]), np.array([0.5, 0.25, 0.25])
    yield np.array([0, 0, 0]), np.array([0.2, 0.3, 0.5])
    yield np.array([5, 0]), np.array([0.1, 0.9])
    for size in (6, 9):
        yield rng.integers(0, 4, size), rng.dirichlet(np.ones(size))


@exercise(
    "lm-witten-bell",
    _one_context,
    mistakes=[
        (
            lambda c, q: (c + len(c) * q) / (c.sum() + len(c)),
            "T(h) is the number of tokens that DID follow h, not the size of the vocabulary.",
        ),
        (
            lambda c, q: c / max(c.sum(), 1),
            "The shorter context has no say there.",
        ),
        (
            lambda c, q: (c + q) / (c.sum() + 1),
            "How many of the tokens after h were new there once? That many, not one.",
        ),
        (
            lambda c, q: (c + c.sum() * q) / max(2 * c.sum(), 1),
            "T(h) counts different tokens, c(h) all of them.",
        ),
        (
            lambda c, q: np.where(c > 0, c, (c > 0).sum() * q) / max(c.sum() + (c > 0).sum(), 1),
            "The seen tokens get their part of the lower distribution too; look at the sum.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "A context that was never seen: 0/0. Who is asked then?",
        )
    ],
)
def interpolate(counts, lower):
    return witten_bell(counts, counts.sum(), (counts > 0).sum(), lower, 0, len(counts))


def _nuclei(rng):
    yield np.array([0.5, 0.3, 0.2]), 0.6
    yield np.array([0.5, 0.3, 0.2]), 0.5
    yield np.array([0.95, 0.05]), 0.9  # the first token is enough
    yield np.array([0.1, 0.2, 0.3, 0.4]), 1.0
    yield np.full(4, 0.25), 0.5  # ties
    yield np.array([0.0, 0.7, 0.3]), 1.0
    yield np.array([0.1, 0.5, 0.4]), 0.05
    for reach in (0.3, 0.85):
        yield rng.dirichlet(np.ones(8) * 0.6), reach


def _top(p, count):
    order = np.argsort(-p, kind="stable")
    q = np.zeros(len(p))
    q[order[:count]] = p[order[:count]]
    return q / q.sum() if q.sum() > 0 else q


def _reach(p, reach):
    total = np.cumsum(np.sort(p)[::-1])
    return int(np.searchsorted(total, reach - 1e-9)) + 1


@exercise(
    "lm-top-p",
    _nuclei,
    mistakes=[
        (
            lambda p, r: _top(p, _reach(p, r) - 1),
            "The token that crosses the limit belongs to them: without it the sum is too small.",
        ),
        (
            lambda p, r: _top(p, max(_reach(p, r) - 1, 1)),
            "The token that crosses the limit belongs to them: without it the sum is too small.",
        ),
        (lambda p, r: _top(p, _reach(p, r)) * np.sort(p)[::-1][: _reach(p, r)].sum(), "Divide by the sum."),
        (
            lambda p, r: np.where(p >= r, p, 0) / max(np.where(p >= r, p, 0).sum(), 1e-300),
            "The limit is for the SUM of the likeliest, not for each.",
        ),
        (
            lambda p, r: _top(p, min(_reach(p, r) + 1, len(p))),
            "Fewer do: stop as soon as the sum reaches the limit.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "If the first token is above the limit already, it still must stay.",
        )
    ],
)
def nucleus(p, reach):
    return _top(p, _reach(p, reach))


def _likelihoods(rng):
    yield np.array([[-1.0, -2.0]]), np.array([0.5, 0.5])
    yield np.array([[-3.0, -3.0], [-1.0, -4.0]]), np.array([0.1, 0.9])
    yield np.array([[-1200.0, -1202.0, -1300.0]]), np.array([0.2, 0.3, 0.5])
    yield rng.integers(-1210 * 8, -1200 * 8, (4, 5)) / 8, rng.dirichlet(np.ones(5))  # exact in float32, too
    yield rng.uniform(-30, -10, (3, 2)), np.array([0.99, 0.01])


def _softmax2(scores, base=2.0):
    e = base ** (scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@exercise(
    "lm-posterior",
    _likelihoods,
    rtol=2e-4,  # of sums near -1200, single precision keeps no more
    mistakes=[
        (lambda s, q: _softmax2(s), "The prior has no say there."),
        (lambda s, q: _softmax2(s) * q, "These do not sum to one for each text."),
        (lambda s, q: _softmax2(s + np.log2(q), np.e), "The likelihood is in bits: 2 to the power, not e."),
        (
            lambda s, q: _softmax2(s + np.log(q)),
            "Bits plus nats: the prior's logarithm needs base 2 as well.",
        ),
        (lambda s, q: _softmax2(s + q), "Bayes multiplies by the prior. What is added in logarithms?"),
        (
            lambda s, q: 2.0**s * q / np.maximum((2.0**s * q).sum(axis=1, keepdims=True), 1e-300),
            "2 ** -1200 is 0 on a computer. Subtract the largest score of each row first.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "0/0: 2 ** -1200 is 0 on a computer. Subtract the largest score of each row first.",
        )
    ],
)
def posterior(log2_likelihood, prior):
    return _softmax2(log2_likelihood + np.log2(prior))


@free_form("lm-order")
def _check_order(answer, rng):
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or any(a is Ellipsis for a in answer):
        raise Wrong("two orders are wanted, for a tenth and for a hundredth of the text.")
    if tuple(int(a) for a in answer) != (4, 3):
        hint = "Fit NGram(n, witten_bell) on each part, for n = 1 … 8, and read `test`."
        if tuple(int(a) for a in answer) == (5, 5):
            hint = "With less text fewer contexts come twice. " + hint
        raise Wrong(f"not {tuple(answer)}.", hint)


def _rows(rng):
    yield np.array([0, 1, 0, 1, 2, 1]), 3
    yield np.array([0, 1, 2, 0, 1, 2, 0]), 4  # 3 never occurs
    yield np.array([1, 1, 1, 1]), 2
    for n, size in ((40, 5), (200, 30)):
        yield rng.integers(0, size, n), size


def _pairs(ids, size):
    return np.unique(ids[:-1] * size + ids[1:])


@exercise(
    "lm-continuation",
    _rows,
    mistakes=[
        (
            lambda ids, size: np.bincount(ids, minlength=size) / len(ids),
            "That is how OFTEN a token occurs. After how many different ones?",
        ),
        (
            lambda ids, size: np.bincount(ids[1:], minlength=size) / (len(ids) - 1),
            "Each pair counts once, however often it occurs.",
        ),
        (
            lambda ids, size: np.bincount(_pairs(ids, size) // size, minlength=size) / len(_pairs(ids, size)),
            "That is how many different tokens come AFTER it. Which side is asked for?",
        ),
        (
            lambda ids, size: np.bincount(_pairs(ids, size) % size, minlength=size).astype(float),
            "Divide by the number of different pairs.",
        ),
        (
            lambda ids, size: np.bincount(_pairs(ids, size) % size, minlength=size) / size,
            "Divide by the number of different pairs, not of tokens.",
        ),
    ],
)
def continuation(ids, size):
    pairs = _pairs(ids, size)
    return np.bincount(pairs % size, minlength=size) / len(pairs)


def _beam(next_p, start, length, width):
    beams = [(0.0, [])]
    for _ in range(length):
        grown = []
        for score, ids in beams:
            p = next_p(list(start) + ids)
            grown += [(score + np.log(max(q, 1e-300)), [*ids, w]) for w, q in enumerate(p)]
        grown.sort(key=lambda g: -g[0])
        beams = grown[:width]
    return beams[0][1]


@free_form("lm-beam")
def _check_beam(beam_search, rng):
    def run(table, start, length, width):
        def next_p(ids):
            return table[tuple(ids[-2:])]

        given = list(start)
        ids = beam_search(next_p, given, length, width)
        if given != list(start):
            raise Wrong("your code modifies `start` in place.", "Work on a copy.")
        try:
            return [int(i) for i in ids]
        except (TypeError, ValueError):
            raise Wrong(f"a list of {length} ids is wanted.") from None

    for trial in range(6):
        size, length = 3, (1, 3, 4, 5, 4, 4)[trial]
        keys = itertools.product(range(size), repeat=2)
        table = {key: rng.dirichlet(np.ones(size) * 0.7) for key in keys}
        start = [0, 1] if trial % 2 else [2, 0, 1]

        def chance(ids, table=table, start=start):
            ids, total = list(start) + list(ids), 0.0
            for i in range(len(start), len(ids)):
                total += np.log(table[tuple(ids[i - 2 : i])][ids[i]])
            return total

        for width in (size**length, 1, 2, 3):
            got = run(table, start, length, width)
            if len(got) != length:
                hint = "Return the NEW ids, without `start`." if len(got) == length + len(start) else ""
                raise Wrong(f"{len(got)} ids came back, {length} are wanted.", hint)
            wanted = _beam(lambda ids, table=table: table[tuple(ids[-2:])], start, length, width)
            if abs(chance(got) - chance(wanted)) > 1e-9:
                greedy = _beam(lambda ids, table=table: table[tuple(ids[-2:])], start, length, 1)
                hint = ""
                if width > 1 and got == greedy:
                    hint = "That is the greedy text. Keep `width` beginnings, not one."
                elif width == 1:
                    hint = "With width 1 the most likely token is taken at each step, and nothing is drawn."
                elif chance(got) > chance(wanted):
                    hint = (
                        "Better than a beam of this width can be: keep no more than `width` after each step."
                    )
                raise Wrong(
                    f"width {width}: log probability {chance(got):.4f}, expected {chance(wanted):.4f}.", hint
                )
    table = {key: np.array([0.25, 0.25 + 1e-6, 0.5 - 1e-6]) for key in itertools.product(range(3), repeat=2)}
    got = run(table, [0, 0], 1500, 2)
    if got != [2] * 1500:
        raise Wrong(
            "on 1,500 tokens the result is not the most probable one.",
            "A product of so many probabilities is 0. Add logarithms.",
        )

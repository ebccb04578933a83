"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on language models."""

import functools
import itertools

import numpy as np

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, number
from dlp_utils.models.language_models import witten_bell


def _numbers(answer, wanted):
    """The answer's two numbers: of a tuple, a list or a row."""
    pair = answer.tolist() if isinstance(answer, np.ndarray) else answer
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or any(a is Ellipsis for a in pair):
        raise Wrong(wanted)
    try:
        if any(isinstance(a, (str, bytes)) for a in pair):
            raise TypeError
        got = [float(a) for a in pair]
    except (TypeError, ValueError):
        raise Wrong(wanted) from None
    if not np.isfinite(got).all():
        raise Wrong(f"{got[0]:g}, {got[1]:g}: both shall be finite numbers.")
    return got


# --- bug zoo -------------------------------------------------------------------------------------------


def _blocks(rng):
    yield ([np.array([0.5, 0.5]), np.array([0.125, 0.125])],)
    yield ([np.array([0.25]), np.array([0.5, 0.5, 0.5])],)
    for count in (3, 5):
        yield ([rng.uniform(0.01, 1, rng.integers(1, 9)) for _ in range(count)],)
    yield ([np.array([0.5, 1e-15]), np.array([0.25])],)  # nothing may be added to a probability
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
            lambda probs: np.average(
                [2 ** s.mean() for s in _surprises(probs)], weights=[len(p) for p in probs]
            ),
            "That is a mean of perplexities still, if a weighted one. Which quantity adds up over a text?",
        ),
        (
            lambda probs: 2 ** min(np.concatenate(_surprises(probs)).sum() / len(probs), 1000),
            "That is the surprise per block. How many TOKENS are there?",
        ),
        (
            lambda probs: 2 ** -np.concatenate(_surprises(probs)).mean(),
            "A perplexity is 1 or more. Which sign has a surprise?",
        ),
        (
            lambda probs: 2 ** (np.concatenate(_surprises(probs)).mean() * np.log(2)),
            "Those are nats. To which base is the logarithm of which 2 is the power?",
        ),
        (
            lambda probs: 2 ** -np.log2(np.array(probs)).mean(),
            "Blocks differ in length. How do you put rows of different length into one?",
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
    yield np.array([0.6, 0.0, 0.4]), 200.0  # even a floor of 1e-300 is no zero at this temperature
    for temperature in (0.3, 1.7):
        yield rng.dirichlet(np.ones(7)), temperature


@exercise(
    "lm-zoo-temperature",
    _distributions,
    mistakes=[
        (lambda p, t: p / t, "Does that sum to one? And after the division by the sum, what has changed?"),
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
        ),
        (
            lambda args, expected, got: (got[args[0] == 0] > 0).any(),
            "What probability has an impossible token at any temperature? Was something added to p?",
        ),
        (
            lambda args, expected, got: abs(got.sum() - 1) > 1e-4,
            "These do not sum to one.",
        ),
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
    yield np.array([0.5, 1e-7, 0.0]), np.array([0.2, 0.5, 0.3])  # seldom, but seen


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
        (lambda k, q: k, "The unseen tokens got nothing. How much is left for them?"),
        (lambda k, q: _back_off(k, q, 1.0), "Add your result up. How much is left for the unseen tokens?"),
        (
            lambda k, q: _back_off(k, q, 1 / max(q[k == 0].sum(), 1e-300)),
            "The unseen tokens alone sum to 1 there. How much did the seen ones leave them?",
        ),
        (
            lambda k, q: _back_off(k, q, (1 - k.sum()) / max(q[k > 0].sum(), 1e-300)),
            "You divide by the sum of `lower` over the SEEN tokens. Among whom is the rest shared?",
        ),
        (
            lambda k, q: _back_off(k, q, 1 - k.sum()) / _back_off(k, q, 1 - k.sum()).sum(),
            "A division at the end changes the seen tokens as well. They keep `kept` exactly.",
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
        (
            lambda p, u, s, n: 2 ** ((-np.log2(p).sum() + s[u].sum()) / n),
            "That is a perplexity. Bits are asked for.",
        ),
        (
            lambda p, u, s, n: (np.log2(p).sum() + s[u].sum()) / n,
            "Which sign has a surprise?",
        ),
        (
            lambda p, u, s, n: (-np.log2(p).sum() + s[~u].sum()) / n,
            "Which words are spelled, the known or the unknown ones?",
        ),
        (
            lambda p, u, s, n: (-np.log2(p[u]).sum() + s[u].sum()) / n,
            "The known words cost bits as well.",
        ),
        (
            lambda p, u, s, n: -np.log2(p).mean() + (s[u].mean() if u.any() else 0),
            "Two means over different numbers of tokens do not add up. Which sums do, and per what?",
        ),
        (
            lambda p, u, s, n: -np.log2(p).mean(),
            "Per character, and the unknown words are not free of charge.",
        ),
        (
            lambda p, u, s, n: -np.log2(p).sum() / n + s[u].sum() / len(p),
            "Is the second part per character, too?",
        ),
    ],
)
def bits_per_character(probs, unknown, spelling, characters):
    return (-np.log2(probs).sum() + spelling[unknown].sum()) / characters


def _token_lists(rng):
    yield ["to", "be", "or", "not", "to", "be"], ["to", "see"], 1
    yield ["b", "c", "c", "b", "a"], ["a", "c", "d", "d"], 2
    yield ["a", "b"], [], 3
    for size in (30, 60):
        words = [f"w{i}" for i in range(12)]
        yield [str(w) for w in rng.choice(words[:8], size)], [str(w) for w in rng.choice(words, 20)], 3


def _encoded(train, test, least, counted, order=None, own=False):
    """The ids of both texts. order: the tokens in the order of their numbers. own: a vocabulary for each."""
    counts = {}
    for token in counted:
        counts[token] = counts.get(token, 0) + 1
    ids = {}
    for token in order or counts:
        if counts.get(token, 0) >= least:
            ids[token] = len(ids) + 1
    if own:
        return _encoded(train, [], least, train)[0], _encoded(test, [], least, test)[0]
    return tuple(np.array([ids.get(t, 0) for t in part], dtype=int) for part in (train, test))


def _frequent_first(train):
    return sorted(dict.fromkeys(train), key=lambda token: -train.count(token))


def _numbered_with_gaps(train, test, least):
    everything, kept = _encoded(train, test, 1, train), _encoded(train, test, least, train)
    return [np.where(some > 0, ids, 0) for ids, some in zip(everything, kept, strict=True)]


def _as_they_come(train, test, least):
    """Tokens are counted while they are read, and numbered when they have come often enough."""
    ids, early = {}, []
    for i, token in enumerate(train):
        if train[: i + 1].count(token) >= least:
            ids.setdefault(token, len(ids) + 1)
        early.append(ids.get(token, 0))
    late = [np.array([ids.get(t, 0) for t in part], dtype=int) for part in (train, test)]
    return [np.array(early, dtype=int), late[1]], late


_VOCABULARIES = [
    (
        lambda a, b, k: _encoded(a, b, k, a + b),
        "The test tokens have been counted too. Which text may make the vocabulary?",
    ),
    (
        lambda a, b, k: _encoded(a, b, k, a + b, list(dict.fromkeys(a))),
        "The test tokens have been counted too. Which text may make the vocabulary?",
    ),
    (
        lambda a, b, k: [np.where(ids > 0, ids - 1, 0) for ids in _encoded(a, b, k, a)],
        "0 is for unknown, so the first known token is 1.",
    ),
    (
        lambda a, b, k: [ids - 1 for ids in _encoded(a, b, k, a)],
        "0 is for unknown, so the first known token is 1.",
    ),
    (lambda a, b, k: _encoded(a, b, k + 1, a), "A token that occurs exactly min_count times is kept."),
    (
        lambda a, b, k: _encoded(a, b, k, a, own=True),
        "The same word has different numbers in the two texts. How many vocabularies are there?",
    ),
    (
        lambda a, b, k: _encoded(a, b, k, a, sorted(set(a))),
        "Is the number of a token that of its first occurrence, or its place in the alphabet?",
    ),
    (
        lambda a, b, k: _encoded(a, b, k, a, _frequent_first(a)),
        "Is the number of a token that of its first occurrence, or of its frequency?",
    ),
    (_numbered_with_gaps, "Some numbers are never used. Which comes first, to number or to leave out?"),
    (
        lambda a, b, k: _as_they_come(a, b, k)[0],
        "The first occurrences of a frequent token are unknown here. When is the counting done?",
    ),
    (
        lambda a, b, k: _as_they_come(a, b, k)[1],
        "In the order in which they FIRST occur, not in which they reach min_count.",
    ),
]


def _same_ids(parts, got):
    return all(np.array_equal(a, b) for a, b in zip(parts, got, strict=True))


@free_form("lm-zoo-vocabulary")
def _check_vocabulary(encode_both, rng):
    for train, test, least in _token_lists(rng):
        before = list(train), list(test)
        answer = encode_both(train, test, least)
        if (train, test) != before:
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong("two arrays are wanted: the ids of the training and of the test tokens.")
        if any(isinstance(part, (list, tuple)) for part in answer):
            raise Wrong("lists came back, two ARRAYS of integers are wanted.", "np.array(…, dtype=int).")
        got = [np.asarray(part) for part in answer]
        if any(part.ndim != 1 or (part.size and part.dtype.kind not in "iu") for part in got):
            raise Wrong("the ids are two rows of integers.", "np.array(…, dtype=int).")
        right = _encoded(train, test, least, train)
        for name, part, ids in zip(("training", "test"), right, got, strict=True):
            if len(part) == len(ids) and (part == ids).all():
                continue
            known = (text for wrong, text in _VOCABULARIES if _same_ids(wrong(train, test, least), got))
            hint = next(known, "")
            if not hint and len(part) != len(ids):
                hint = "One id for each token. Which tokens have none?"
            elif not hint and name == "training" and least > 1 and (ids > 0).all():
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
    rows = [[0.9, 0.8, 1e-15], [0.5, 0.5, 1e-14], [1.0, 0.71, 1e-18]]
    yield ([np.array(row) for row in rows],)  # nothing may be added to a probability
    rare = np.array([0.9, 0.9, 1e-3, 0.9, 0.9, 0.9])
    yield ([np.full(6, 0.1), rare, np.full(6, 0.01)],)  # one rare token decides nothing
    rows = [rng.uniform(0.05, 0.5, 30_000) for _ in range(4)]  # too long for a long double, too
    rows[1][:500] += 0.4  # and the beginning speaks for another class
    rows[2][500:] += 0.05
    yield (rows,)


@exercise(
    "lm-zoo-underflow",
    _of_classes,
    mistakes=[
        (
            lambda probs: int(np.argmax([np.prod(p) for p in probs])),
            "For long texts all products are 0 and the first class wins. What can be added instead?",
        ),
        (
            lambda probs: int(np.argmax([np.log(p[p > 0]).sum() for p in probs])),
            "May a class that calls a token impossible win because that token is left out?",
        ),
        *(
            (
                lambda probs, floor=floor: int(np.argmax([np.log(p + floor).sum() for p in probs])),
                "Something was added to each probability, and it decides. What is log 0 in NumPy without it?",
            )
            for floor in (1e-12, 1e-10, 1e-9, 1e-8, 1e-6)
        ),
        (
            lambda probs: int(np.argmax([p.min() for p in probs])),
            "One token alone does not decide.",
        ),
        (
            lambda probs: int(np.argmax([np.prod(p.astype(np.longdouble)) for p in probs])),
            "Wider numbers underflow as well, only later. What can be added instead?",
        ),
        (
            lambda probs: int(np.argmin([np.log(np.maximum(p, 1e-300)).sum() for p in probs])),
            "The largest sum of logarithms wins, not the smallest.",
        ),
        (
            lambda probs: int(np.argmax([p.sum() for p in probs])),
            "Probabilities of independent tokens multiply; their logarithms add.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: got < 0 or got != int(got),
            "That is a score. WHICH class has the largest?",
        )
    ],
)
def most_probable(probs):
    with np.errstate(divide="ignore"):
        return int(np.argmax([np.log(p).sum() for p in probs]))


def _share_counts(rng):
    yield np.array([1, 3]), np.array([2, 4])
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
            got = float("text" if isinstance(got, str) else got)
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
        surprise = -np.log2(c / total)
        mean = surprise.mean()
        mistakes = [
            (mean * np.log(2), "Those are nats; bits have the logarithm to base 2."),
            (surprise.sum(), "The mean over all tokens, not the sum."),
            (-mean, "The surprise is MINUS the logarithm."),
            (2**mean, "That is a perplexity. Bits are asked for."),
            (-np.log2((c / total).mean()), "That is the logarithm of the mean. The surprises are averaged."),
            (
                -np.log2(c.sum() / total.sum()),
                "First the share of each token, then the mean of the surprises.",
            ),
            (np.inf, "Every token has been seen here. Which of them is infinitely surprising?"),
        ]
        expect_close(got, mean, f"c {c.tolist()}, total {total.tolist()}", mistakes=mistakes, rtol=1e-6)


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
        if any(isinstance(part, tuple) and len(part) == 1 for part in answer):
            raise Wrong("each is a tuple that holds an array.", "np.where returns a tuple: take its [0].")
        train, held = (np.asarray(part) for part in answer)
        if any(p.ndim != 1 or p.dtype.kind not in "iu" for p in (train, held)):
            hint = "np.flatnonzero turns a mask into indices." if held.dtype == bool else ""
            hint = hint or (
                "Those are names. At which place do they stand?" if held.dtype.kind in "UO" else ""
            )
            raise Wrong("train and held are two rows of integers, the indices of the names.", hint)
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
            wanted = share * count
            hint = "Count families, not names: round(share · number of families) of them, no more, no fewer."
            if len(kin[1]) in (int(wanted), int(wanted) + 1):
                hint = "Nearly: round(share · families), not rounded always down or always up."
            elif abs(len(kin[1]) - count + wanted) <= 1:
                hint = "`share` is the part of the families that is HELD."
            elif abs(len(held) - share * len(names)) > 1:
                hint += " Can a family be drawn twice, or by a coin of its own?"
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
    # A family of forty among forty families must be held as often as any other, and each set of ten may come.
    names = [f"aa{i:02}" for i in range(40)] + [a + b + "01" for a in "bcd" for b in "abcdefghijklm"]
    kin, often, held_sets = np.array([name[:2] for name in names]), {}, set()
    for seed in range(60):
        held = np.asarray(split_families(names, 0.26, 2, np.random.default_rng(seed))[1])
        kinds = frozenset(kin[held].tolist()) if held.size else frozenset()
        if len(kinds) != 10:
            raise Wrong(
                f"of 40 families, one of them with 40 names, {len(kinds)} are held, round(0.26 · 40) = 10 wanted.",
                "round(share · families): not always up, not always down, and families, not names.",
            )
        held_sets.add(kinds)
        for kind in kinds:
            often[kind] = often.get(kind, 0) + 1
    if (
        not 3 <= often.get("aa", 0) <= 32
        or len(often) < 38
        or max(often.values()) > 35
        or len(held_sets) < 50
    ):
        raise Wrong(
            f"in 60 splits a family of 40 names is held {often.get('aa', 0)} times, 15 expected, another one "
            f"{max(often.values())} times; {len(often)} of 40 families are ever held, in {len(held_sets)} "
            "different ways.",
            "Has each family the same chance, whatever its size and its place in the alphabet?",
        )


# --- exercises -----------------------------------------------------------------------------------------


@free_form("lm-chain")
def _check_chain(answer, rng):
    p, mean = _numbers(answer, "two numbers are wanted: a probability and bits per character.")
    if abs(p - 0.5) > 1e-3:
        hints = {
            0.4: "The last a has nothing after it: c(a) here is the number of pairs that begin with a, 4.",
            0.2: "c(ab) over c(a), not over the number of all pairs.",
            2 / 11: "c(ab) over c(a), not over the number of all characters.",
            1.0: "After a stand b, c and d. How often each?",
            1 / 3: "The probability comes first. Or: how OFTEN do b, c and d stand after a?",
            0.25: "How often does b stand after a?",
            50.0: "A number between 0 and 1.",
            2 / 3: "After a stand b, c and d. How often each?",
        }
        near = [text for value, text in hints.items() if abs(p - value) < 4e-3]
        raise Wrong(
            f"the probability is not {p:g}.",
            near[0] if near else "P(b | a) · P(r | b) · P(a | r); two of the three are certain.",
        )
    if abs(mean - 1 / 3) > 4e-3:
        hints = {
            1.0: "Mean over how many characters?",
            0.25: "The a before it is given. How many characters have a surprise?",
            0.5: "How many characters has bra?",
            np.log(2) / 3: "Bits: the logarithm to base 2.",
            np.log10(2) / 3: "Bits: the logarithm to base 2.",
            2 ** (1 / 3): "That is a perplexity. Bits are its logarithm.",
        }
        near = [text for value, text in hints.items() if abs(mean - value) < 4e-3]
        hint = "Surprise is MINUS log2." if mean < 0 else near[0] if near else ""
        raise Wrong(f"the mean surprise is not {mean:g} bits.", hint)


number(
    "lm-bits",
    1.5,
    atol=1e-6,
    mistakes=[
        (6, "That is per token. How many characters does a token have?"),
        (16, "A perplexity is not divided: its logarithm is."),
        (np.log(64) / 4, "Bits: take the logarithm to base 2."),
        (1.04, "Bits: take the logarithm to base 2."),
        (np.log10(64) / 4, "Bits: take the logarithm to base 2."),
        (24, "Per character is less than per token: divide."),
        (np.log2(3), "That is the model of characters. The one of words is asked for."),
        (1.585, "That is the model of characters. The one of words is asked for."),
        (1.58, "That is the model of characters. The one of words is asked for."),
        (64**0.25, "That is the perplexity of the word model per character. How many bits are that?"),
        (2.828, "That is the perplexity of the word model per character. How many bits are that?"),
        (2.83, "That is the perplexity of the word model per character. How many bits are that?"),
        (-1.5, "A surprise is not negative."),
    ],
)
number(
    "lm-free",
    26_100,
    atol=0.5,
    mistakes=[
        (27_000, "After each context the probabilities sum to one. How many are free then?"),
        (26_999, "There is one sum for each context, not one in all; shorter contexts do not count here."),
        (26_970, "There is one sum for each context. How many contexts of two tokens are there?"),
        (899, "Those are pairs. And then comes the third token."),
        (24_389, "In the context all 30 tokens may stand. Where is one number given by the others?"),
        (25_230, "In the context all 30 tokens may stand. Where is one number given by the others?"),
        (2_610, "How many different contexts do two tokens make?"),
        (1_740, "How many different contexts do two tokens make?"),
        (810_000, "Order 3 looks at two tokens and predicts the third."),
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
    yield (np.array([[0.95, 0.05], [0.1, 0.9]]),)  # slow
    # Period 3: the mean of two steps does not settle either.
    yield (
        np.array([[0.0, 0.25, 0.75, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]),
    )
    yield (np.array([[0.125, 0.875], [0.75, 0.25]]),)  # the eigenvalue 1 comes last
    yield (np.array([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.25, 0.75], [0.75, 0.25, 0, 0], [0.5, 0.5, 0, 0]]),)


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
        (
            lambda P: (lambda v: v / v.sum())(np.linalg.eig(P.T)[1][:, 0].real),
            "The first eigenvector? Which eigenvalue does it belong to? They come in no order.",
        ),
        (
            lambda P: (lambda w, v: v[:, abs(w).argmax()].real / v[:, abs(w).argmax()].real.sum())(
                *np.linalg.eig(P.T)
            ),
            "Other eigenvalues of a periodic chain have the absolute value 1, too. Which one is meant?",
        ),
        (
            lambda P: np.linalg.matrix_power(P, 1000),
            "pi is one row (S,). And do the rows of a power settle for a periodic chain?",
        ),
        (lambda P: P.mean(axis=0), "That is where the chain is after one step from a random state."),
    ],
    hints=[
        (
            lambda args, expected, got: (
                isinstance(got, np.ndarray) and got.shape == expected.shape and abs(got.sum() - 1) > 1e-6
            ),
            "Probabilities sum to 1: divide by the sum (an eigenvector may even be negative).",
        ),
        (
            lambda args, expected, got: got.dtype.kind == "c",
            "eig returns complex numbers as soon as one eigenvalue is. What is the imaginary part of yours?",
        ),
        (
            lambda args, expected, got: got.shape == expected.shape and abs(got @ args[0] - got).max() < 1e-4,
            "Nearly: nine digits are wanted. Can you solve for π, instead of going on until it settles?",
        ),
        (
            lambda args, expected, got: got.shape != expected.shape,
            "pi is one row of S numbers, (S,).",
        ),
        (
            lambda args, expected, got: np.allclose(got @ np.linalg.matrix_power(args[0], 3), got, atol=1e-7),
            "It comes back after three steps, not after one. Two steps averaged settle where the period is 2.",
        ),
        (
            lambda args, expected, got: np.allclose(got @ args[0] @ args[0], got, atol=1e-7),
            "It comes back after two steps, not after one: does a periodic chain ever settle?",
        ),
        (
            lambda args, expected, got: got.shape == expected.shape,
            "Is your result times P your result again? Some chains settle late, or never.",
        ),
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
        *(
            (
                lambda c, q, kinds=kinds: (c + kinds(c) * q) / max(c.sum() + kinds(c), 1) if c.any() else q,
                text,
            )
            for kinds, text in (
                (lambda c: (c == 0).sum(), "T(h): how many different tokens DID follow h?"),
                (
                    lambda c: (c == 1).sum(),
                    "T(h) counts each token that followed h, not only those that came once.",
                ),
                (
                    lambda c: len(np.unique(c)),
                    "That is how many different NUMBERS stand in counts. T(h) counts tokens.",
                ),
                (
                    lambda c: len(np.unique(c[c > 0])),
                    "That is how many different NUMBERS stand in counts. T(h) counts tokens.",
                ),
            )
        ),
        (
            lambda c, q: (c + (c > 0).sum() / len(c)) / (c.sum() + (c > 0).sum()) if c.any() else q,
            "Who has a say besides the counts: does each token get the same, or does `lower` decide?",
        ),
        (
            lambda c, q: (c + (c > 0).sum() * q) / c.sum() if c.any() else q,
            "Add your result up. By what must be divided?",
        ),
        (
            lambda c, q: (
                ((c > 0).sum() * c / c.sum() + c.sum() * q) / (c.sum() + (c > 0).sum()) if c.any() else q
            ),
            "The weights have changed places: with many counts, who should have more say?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and not np.isfinite(got).all(),
            "A context that was never seen: 0/0. Who is asked then?",
        ),
        (
            lambda args, expected, got: not args[0].any(),
            "A context that was never seen says nothing. Who is asked then?",
        ),
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
    yield np.array([0.5, 0.3, 0.2]), 0.8001  # hardly more than the first two have
    yield np.array([1 / 4096, 0.75, 0.25 - 1 / 4096]), 1.0
    yield np.full(10, 0.1), 0.8  # the sum of eight is 0.7999999999999999
    yield np.full(20, 0.05), 0.18
    for reach in (0.3, 0.85):
        yield rng.dirichlet(np.ones(8) * 0.6), reach


def _top(p, count):
    order = np.argsort(-p, kind="stable")
    q = np.zeros(len(p))
    q[order[:count]] = p[order[:count]]
    return q / q.sum() if q.sum() > 0 else q


def _scaled(q):
    return q / max(q.sum(), 1e-300)


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
            lambda p, r: _top(p, min(int(np.searchsorted(np.cumsum(np.sort(p)[::-1]), r)) + 1, len(p))),
            "A sum of 0.1 and 0.2 is not exactly 0.3 on a computer. What does the statement say about 1e-9?",
        ),
        (
            lambda p, r: _top(p, int(np.argmax(np.cumsum(np.sort(p)[::-1]) >= r)) + 1),
            "A sum of probabilities may end just below the limit. What does the statement say about 1e-9?",
        ),
        (
            lambda p, r: _top(p, min(_reach(p, r + 2e-9), len(p))),
            "AT LEAST `reach`: when the sum is equal to it, are more tokens needed?",
        ),
        (
            lambda p, r: _top(p, int(np.argmax(np.cumsum(np.sort(p)[::-1]) > r)) + 1),
            "AT LEAST `reach`: when the sum is equal to it, are more tokens needed? And if none is above it?",
        ),
        (
            lambda p, r: _top(p, min(_reach(p, r) + 1, len(p))),
            "Fewer do: stop as soon as the sum reaches the limit.",
        ),
        (
            lambda p, r: _scaled(np.where(p >= np.sort(p)[::-1][_reach(p, r) - 1], p, 0)),
            "Of equally likely tokens some stay and some do not. Does the sum need all of them?",
        ),
        (
            lambda p, r: _top(p[::-1], _reach(p, r))[::-1],
            "Of equally likely tokens the one with the smaller number goes first. In which order does yours sort?",
        ),
        (
            lambda p, r: np.sort(_top(p, _reach(p, r)))[::-1],
            "Those are sorted. Which token does each probability belong to?",
        ),
        (
            lambda p, r: _scaled(_top(p, _reach(p, r)) > 0),
            "The tokens that stay are not equally likely now: their proportions stay.",
        ),
        (
            lambda p, r: _scaled(np.where(np.cumsum(p) - p < r - 1e-9, p, 0)),
            "The likeliest first: that adds them up in the order of their numbers.",
        ),
        (
            lambda p, r: _scaled(np.where(p >= r * p.max(), p, 0)),
            "The limit is for the SUM of the likeliest, not for each.",
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
    yield np.array([[-2.0, -3.0], [-1300.0, -1301.5]]), np.array([0.25, 0.75])  # a short text and a long one


def _softmax2(scores, base=2.0, largest=1, axis=1):
    e = base ** (scores - scores.max(axis=largest, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


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
        (
            lambda s, q: _softmax2(s + np.log2(q), largest=None),
            "A long text beside a short one: whose largest score is subtracted from its row?",
        ),
        (
            lambda s, q: _softmax2(s + np.log(q), np.e),
            "The likelihood is in bits: which base do the power and the prior's logarithm need?",
        ),
        (
            lambda s, q: _softmax2(s + np.log2(q), largest=0, axis=0),
            "Each TEXT has one class: along which axis do the probabilities sum to one?",
        ),
        (
            lambda s, q: _softmax2(s + np.log2(q), largest=None, axis=None),
            "Each TEXT has one class: along which axis do the probabilities sum to one?",
        ),
        (
            lambda s, q: np.eye(s.shape[1])[(s + np.log2(q)).argmax(axis=1)],
            "That is a decision. How probable are the other classes?",
        ),
        (lambda s, q: s + np.log2(q), "Those are logarithms, and not yet divided by their sum."),
        (lambda s, q: 2.0 ** (s + np.log2(q)), "These do not sum to one, and 2 ** -1200 is 0 on a computer."),
        (
            lambda s, q: _softmax2(s - np.log2(q)),
            "Bayes multiplies by the prior. Which sign has its logarithm?",
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
    got = tuple(_numbers(answer, "two orders are wanted, for a tenth and for a hundredth of the text."))
    if got != (4, 3):
        hint = "Fit NGram(n, witten_bell) on each part, for n = 1 … 8, and read `test`."
        if got == (5, 5):
            hint = "With less text fewer contexts come twice. " + hint
        elif got == (3, 4):
            hint = "The tenth comes first. Which of the two parts is larger?"
        elif got != tuple(map(int, got)):
            hint = "An order is a whole number."
        raise Wrong(f"not {got[0]:g} and {got[1]:g}.", hint)


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
        (
            lambda ids, size: np.bincount(_pairs(ids, size) % size, minlength=size) / (len(ids) - 1),
            "Divide by the number of DIFFERENT pairs.",
        ),
        (
            lambda ids, size: np.bincount(_pairs(ids, size) % size) / len(_pairs(ids, size)),
            "A token that never occurs has its place in the result, too.",
        ),
        (
            lambda ids, size: continuation(np.append(ids, ids[0]), size),
            "What stands before the first token? Not the last one.",
        ),
        (
            lambda ids, size: (lambda pairs: np.bincount(pairs % size, minlength=size) / max(len(pairs), 1))(
                np.array([p for p in _pairs(ids, size) if p % size != p // size], dtype=int)
            ),
            "May a token stand before itself?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: got.shape == expected.shape and got.dtype.kind in "iu",
            "Those are counts. Divide by the number of different pairs.",
        ),
        (
            lambda args, expected, got: got.shape == expected.shape and abs(got.sum() - 1) > 1e-4,
            "Shares sum to one. Divide by the number of different pairs.",
        ),
        (
            lambda args, expected, got: got.shape != expected.shape,
            "One number for each token from 0 to size - 1, also for those that never occur.",
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
            ids = [int(i) for i in ids]
            if ids[: len(start)] != list(start):
                raise Wrong(
                    f"next_p was asked about {ids[:8]}, which does not begin with start {list(start)}.",
                    "Which text does the next token follow: the new ids alone?",
                )
            return table[tuple(ids[-2:])].copy()

        given = list(start)
        ids = beam_search(next_p, given, length, width)
        if given != list(start):
            raise Wrong("your code modifies `start` in place.", "Work on a copy.")
        try:
            return [int(i) for i in ids]
        except (TypeError, ValueError):
            raise Wrong(
                f"a list of {length} ids is wanted.",
                "The ids of the best text alone: no score, no other texts.",
            ) from None

    def tables(count, size, length, start, alpha, widths=()):
        """Random models; with `widths`, such that each of these finds a better text than the one before."""
        while count:
            keys = itertools.product(range(size), repeat=2)
            table = {key: rng.dirichlet(np.ones(size) * alpha) for key in keys}
            after = functools.partial(lambda table, ids: table[tuple(ids[-2:])], table)
            found = [tuple(_beam(after, start, length, w)) for w in widths]
            if len(set(found)) == len(widths):
                count -= 1
                yield table, start, length, (size**length if size < 4 else 6, 1, 2, 3, *widths)

    models = [
        model
        for trial, length in enumerate((1, 3, 4, 5, 4, 4))
        for model in tables(1, 3, length, [0, 1] if trial % 2 else [2, 0, 1], 0.7)
    ]
    models += [*tables(1, 3, 5, [1, 2], 0.7, (1, 3, 6)), *tables(1, 4, 6, [3, 0], 0.4, (2, 4, 7))]
    for table, start, length, widths in models:

        def chance(ids, table=table, start=start):
            ids, total = list(start) + list(ids), 0.0
            for i in range(len(start), len(ids)):
                total += np.log(table[tuple(ids[i - 2 : i])][ids[i]])
            return total

        for width in widths:
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
                elif width == 1 and chance(got) < chance(wanted):
                    hint = "With width 1 the most likely token is taken at each step, and nothing is drawn."
                elif chance(got) > chance(wanted):
                    hint = (
                        "Better than a beam of this width can be: keep no more than `width` after each step."
                    )
                hint = hint or (
                    "Which texts compete after a step? All continuations of all beginnings, by the "
                    "log probability of the WHOLE text?"
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

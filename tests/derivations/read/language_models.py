import numpy as np

from ways import UNIT, WIDE, shares, slope, softmax

# A text on a ring: every pair begins at a place and ends at the next.
TEXT = [0, 0, 1, 1, 2, 2, 0, 2, 1, 0, 0, 1]


def pairs(text):
    counts = np.zeros((3, 3))
    for a, b in zip(text, text[1:] + text[:1], strict=True):
        counts[a, b] += 1
    return counts


class Table(np.ndarray):
    """P(b | a), which the page also writes as an entry of a matrix."""

    def __call__(self, b, a):
        return float(self[round(a), round(b)])


PAIRS = pairs(TEXT)
NEXT = PAIRS / PAIRS.sum(axis=1, keepdims=True)


def events(seen, rest, back):
    """Each token is an event, and each kind of word one for what is new."""
    first = [1.0] * seen + [0.0] * sum(rest)
    return first + [back] * kinds(seen, rest)


def one_more(seen, rest, V):
    """All V words, each seen once more than it was: (first, unseen ones)."""
    counts = np.array([seen, *rest] + [0] * (V - 1 - len(rest)))
    p = (counts + 1) / (counts + 1).sum()
    return p[0], p[counts == 0].sum()


def discounted(seen, rest, D, back):
    """Kneser and Ney's rule by hand: take D from each kind of word, spread
    what was taken by the model below.
    """
    left = [max(count - D, 0) for count in (seen, *rest)]
    taken = sum((seen, *rest)) - sum(left)
    return (left[0] + taken * back) / sum((seen, *rest))


def entropy_at(beta, s):
    p = softmax(beta * s)
    return -(p * np.log(p)).sum()


def joint(rng):
    """The probabilities of pairs, this word and the next."""
    return rng.dirichlet(np.ones(9)).reshape(3, 3)


COUNTS = {
    "c(hw)": range(3),
    "rest": lambda rng: tuple(int(n) for n in rng.integers(1, 9, size=3)),
    "V": range(6, 20),
    r"P(w\mid h')": UNIT,
    "D": (0.1, 0.9),
}


def total(seen, rest, *_):
    return seen + sum(rest)


def kinds(seen, rest, *_):
    return (seen > 0) + len(rest)


CHANGE = r"\frac{\mathrm d}{\mathrm d\beta}\bigl(A-\beta\,\mathbb E s\bigr)"
READ = {
    "eq-language-models-kneser-ney": (
        COUNTS,
        {
            r"P(w\mid h)": lambda seen, rest, V, back, D: discounted(
                seen, rest, D, back
            ),
            "c(h)": total,
            "T(h)": kinds,
        },
    ),
    "eq-language-models-step": (
        {"J": joint, "b": range(3)},
        {
            "p'_b": lambda J, b: J[:, b].sum(),
            r"\mathbf p'": lambda J, b: J.sum(axis=0),
            "p": lambda J, b: J.sum(axis=1),
            r"\mathbf p": lambda J, b: J.sum(axis=1),
            "P": lambda J, b: J / J.sum(axis=1, keepdims=True),
            r"\mathbf P": lambda J, b: J / J.sum(axis=1, keepdims=True),
        },
        {"a": range(3)},
    ),
    "eq-language-models-gibbs": (
        {"p": shares(4), "q": shares(4)},
        {},
        {"w": range(4)},
        {"q": lambda p, q: p},
    ),
    "eq-language-models-rate": (
        {},
        {},
        {
            "N": len(TEXT),
            "w": [TEXT[-1], *TEXT],
            "P": NEXT.view(Table),
            r"\pi": PAIRS.sum(axis=1) / len(TEXT),
            "a": range(3),
            "b": range(3),
        },
    ),
    "eq-language-models-add-one": (
        COUNTS,
        {
            r"P(w\mid h)": lambda seen, rest, V, *_: one_more(seen, rest, V)[
                0
            ],
            r"\sum_{w:\,c(hw)=0}P(w\mid h)": lambda seen, rest, V, *_: (
                one_more(seen, rest, V)[1]
            ),
            "c(h)": total,
            "T(h)": kinds,
        },
    ),
    "eq-language-models-witten-bell": (
        COUNTS,
        {
            r"P(w\mid h)": lambda seen, rest, V, back, D: np.mean(
                events(seen, rest, back)
            ),
            r"\lambda": lambda seen, rest, *_: np.mean(
                [1] * total(seen, rest) + [0] * kinds(seen, rest)
            ),
            "c(h)": total,
            "T(h)": kinds,
        },
    ),
    "eq-language-models-normalize": (
        {r"S(w\mid h)": WIDE, "Z(h)": WIDE},
        {},
    ),
    "eq-language-models-free": (
        {"V": range(2, 5), "n": range(1, 4)},
        {"": lambda V, n: sum(V - 1 for _ in np.ndindex(*[V] * (n - 1)))},
    ),
    "eq-language-models-temperature": (
        {"s": lambda rng: np.log(rng.dirichlet(np.ones(4))), r"\beta": WIDE},
        {
            CHANGE: lambda s, beta: slope(lambda b: entropy_at(b, s), beta),
            r"\operatorname{Var}s": lambda s, beta: (
                softmax(beta * s) @ s**2 - (softmax(beta * s) @ s) ** 2
            ),
        },
    ),
}

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


def shared(seen, total, back, extra):
    """Give each seen word its count and share `extra` by the model below."""
    return (seen + extra * back) / (total + extra)


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


def transition(rng):
    return rng.dirichlet(np.ones(3), size=3)


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
        {
            "p": shares(3),
            "P": transition,
            "b": range(3),
        },
        {
            "p'_b": lambda p, P, b: sum(p[a] * P[a, b] for a in range(3)),
            r"\mathbf p'": lambda p, P, b: np.einsum("a,ab->b", p, P),
            r"\mathbf p": lambda p, P, b: p,
            r"\mathbf P": lambda p, P, b: P,
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
            r"P(w\mid h)": lambda seen, rest, V, *_: shared(
                seen, total(seen, rest), 1 / V, V
            ),
            r"\sum_{w:\,c(hw)=0}P(w\mid h)": lambda seen, rest, V, *_: sum(
                shared(0, total(seen, rest), 1 / V, V)
                for _ in range(V - kinds(seen, rest))
            ),
            "c(h)": total,
            "T(h)": kinds,
        },
    ),
    "eq-language-models-witten-bell": (
        COUNTS,
        {
            r"P(w\mid h)": lambda seen, rest, V, back, D: shared(
                seen, total(seen, rest), back, kinds(seen, rest)
            ),
            r"\lambda": lambda seen, rest, *_: (
                1 - kinds(seen, rest) / (kinds(seen, rest) + total(seen, rest))
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

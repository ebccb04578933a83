import itertools
import math

import numpy as np
from scipy.linalg import sqrtm
from scipy.stats import binom

from ways import (
    UNIT,
    WIDE,
    covariance,
    integral,
    lowest,
    shares,
    slope,
    vector,
)


def averaged(e, m, nu, n, lam):
    """One update of the running count and sum, then their quotient."""
    count = lam * nu + (1 - lam) * n
    return count, (lam * nu * e + (1 - lam) * n * m) / count


def different(K, n):
    """The mean number of codes among n, over all cases."""
    drawn = itertools.product(range(K), repeat=n)
    return np.mean([len(set(one)) for one in drawn])


def best_judge(p, q):
    return lowest(
        lambda d: -p * math.log(d) - q * math.log(1 - d), 1e-9, 1 - 1e-9
    )


def best_score(p, q):
    best = [best_judge(a, b) for a, b in zip(p, q, strict=True)]
    return sum(
        a * math.log(d) + b * math.log(1 - d)
        for a, b, d in zip(p, q, best, strict=True)
    )


def jensen_shannon(p, q):
    def divergence(a, b):
        return float(a @ np.log(a / b))

    return (divergence(p, (p + q) / 2) + divergence(q, (p + q) / 2)) / 2


def total_correlation(N, s):
    """Of a chain of N tokens, each of which repeats the last with s."""
    joint = 0.0
    for tokens in itertools.product([0, 1], repeat=N):
        p = 0.5
        for a, b in itertools.pairwise(tokens):
            p *= s if a == b else 1 - s
        joint -= p * math.log(p)
    return N * math.log(2) - joint


def entropy(s):
    return -s * math.log(s) - (1 - s) * math.log(1 - s)


def survivors(U, q):
    """One place a pass: rare ones are painted when nothing else is left."""
    painted = 0.0
    for left in range(1, U + 1):
        rare = np.arange(left + 1)
        p = binom.pmf(rare, left, q)
        painted += p @ np.maximum(rare - (left - 1), 0)
    return painted / U


def frechet(mu1, mu2, one, two):
    """With the coupling of two clouds that keeps them closest."""
    a, b = np.linalg.cholesky(one), np.linalg.cholesky(two)
    together = np.linalg.svd(a.T @ b)[1].sum()
    far = ((mu1 - mu2) ** 2).sum()
    return far + np.trace(one + two) - 2 * together


def turned(rng):
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


def common_axes(axes, one, two):
    first, second = (axes @ np.diag(v) @ axes.T for v in (one, two))
    return np.trace(first + second - 2 * np.real(sqrtm(first @ second)))


def share_first(p, i, tau):
    """The probability that place i plus its noise is the largest."""

    def density(g):
        """The noise of place i is g: all others stay below."""
        here = p[i] / tau + g
        below = sum(
            math.exp(-(here - b / tau)) for j, b in enumerate(p) if j != i
        )
        return math.exp(-g - math.exp(-g) - below)

    return integral(density, -6, 40, points=400)


CLOUDS = {
    r"\boldsymbol\mu_1": vector(3),
    r"\boldsymbol\mu_2": vector(3),
    r"\boldsymbol\Sigma_1": covariance(3),
    r"\boldsymbol\Sigma_2": covariance(3),
}
VECTORS = {
    r"\mathbf e": vector(3),
    r"\mathbf e'": vector(3),
    r"\mathbf t": vector(3),
}
CHOSEN = {
    r"\mathbf z": lambda rng: rng.normal(size=(6, 3)),
    "y": lambda rng: rng.permutation([0, 0, 0, 1, 1, 1]),
    r"\mathbf e_k": vector(3),
    "k": range(2),
}
STEP = {
    r"\mathbf e_k": vector(2),
    r"\mathbf m_k": vector(2),
    "nu": WIDE,
    "n_k": WIDE,
    r"\lambda": UNIT,
}
READ = {
    "eq-inpainting-straight-change": (VECTORS, {}),
    "eq-inpainting-centroid": (
        CHOSEN,
        {
            r"\mathbf m_k": lambda z, y, e, k: z[y == k].mean(axis=0),
            "n_k": lambda z, y, e, k: (y == k).sum(),
        },
        {"i": range(6)},
    ),
    "eq-inpainting-ema-step": (
        STEP,
        {
            r"\mathbf e_k'": lambda *v: averaged(*v)[1],
            r"\nu_k'": lambda *v: averaged(*v)[0],
        },
    ),
    "eq-inpainting-unused": (
        {"K": range(2, 5), "n": range(1, 6)},
        {"": different},
    ),
    "eq-inpainting-discriminator": (
        {r"p(\mathbf x)": WIDE, r"q(\mathbf x)": WIDE},
        {r"D^\ast(\mathbf x)": best_judge},
    ),
    "eq-inpainting-js": (
        {"p": shares(4), "q": shares(4)},
        {r"\max_D\bigl\{\E_p\log D+\E_q\log(1-D)\bigr\}": best_score},
        {r"\operatorname{JS}": jensen_shannon},
    ),
    "eq-inpainting-cosine": (
        {"m": UNIT},
        {
            r"\varrho(m)": lambda m: abs(
                slope(lambda m: 2 / math.pi * math.acos(m), m)
            )
        },
    ),
    "eq-inpainting-raw": (
        {"p": shares(3), r"\tau": (0.2, 1)},
        {
            r"\frac{\Pr(i\text{ first})}{\Pr(j\text{ first})}": (
                lambda p, tau: share_first(p, 0, tau) / share_first(p, 1, tau)
            ),
        },
        {"i": 0, "j": 1},
    ),
    "eq-inpainting-chain": (
        {"N": range(2, 7), "s": UNIT},
        {r"\operatorname{TC}": total_correlation},
        {"H_2": entropy},
    ),
    "eq-inpainting-rare": (
        {"U": range(2, 9), "q": UNIT},
        {r"q_\text{painted}": survivors, "T": lambda U, q: U},
    ),
    "eq-inpainting-frechet": (
        CLOUDS,
        {"F": lambda *v: math.sqrt(frechet(*v))},
    ),
    "eq-inpainting-root": (
        CLOUDS,
        {r"\kappa": lambda a, b, one, two: np.linalg.eigvals(one @ two).real},
        {"i": range(3)},
    ),
    "eq-inpainting-commuting": (
        {
            "axes": turned,
            "one": lambda rng: rng.uniform(0.2, 3, 3),
            "two": lambda rng: rng.uniform(0.2, 3, 3),
            r"\boldsymbol\mu_1": vector(3),
            r"\boldsymbol\mu_2": vector(3),
        },
        {
            "F": lambda axes, one, two, a, b: math.sqrt(
                common_axes(axes, one, two) + ((a - b) ** 2).sum()
            ),
            r"\lambda": lambda axes, one, two, a, b: np.stack(
                [0 * one, one, two]
            ),
        },
        {"i": range(3)},
    ),
    "eq-inpainting-coupling": (
        {
            "u": lambda rng: rng.normal(size=(5, 3)),
            "v": lambda rng: rng.normal(size=(5, 3)),
        },
        {
            r"\E\lVert\mathbf u-\mathbf v\rVert^2": lambda u, v: np.mean(
                ((u - v) ** 2).sum(axis=1)
            ),
            r"\boldsymbol\mu_1": lambda u, v: u.mean(axis=0),
            r"\boldsymbol\mu_2": lambda u, v: v.mean(axis=0),
            r"\boldsymbol\Sigma_1": lambda u, v: np.cov(u.T, bias=True),
            r"\boldsymbol\Sigma_2": lambda u, v: np.cov(v.T, bias=True),
            r"\mathbf C": lambda u, v: (
                (u - u.mean(axis=0)).T @ (v - v.mean(axis=0)) / 5
            ),
        },
    ),
}

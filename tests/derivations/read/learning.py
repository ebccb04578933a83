import itertools
import math

import numpy as np
from scipy.stats import rankdata

from ways import (
    ANY,
    WIDE,
    cases,
    curvature,
    draws,
    matrix,
    mean,
    pair_covariance,
    root,
    shares_of_right,
    slope,
    softmax,
    vector,
)


def ridge(phi, target, lam):
    """Least squares with √λ·I below the features and zeros below T."""
    p = phi.shape[1]
    phi = np.vstack([phi, math.sqrt(lam) * np.eye(p)])
    target = np.vstack([target, np.zeros((p, target.shape[1]))])
    return np.linalg.lstsq(phi, target, rcond=None)[0]


RIDGE = {
    r"\boldsymbol\Phi": matrix(6, 4),
    r"\mathbf T": matrix(6, 2),
    r"\lambda": WIDE,
}


def noise_gain(phi, w, lam):
    """The mean square of the weights, over all signs of the noise."""
    signs = itertools.product([-1.0, 1.0], repeat=len(phi))
    noises = [w * np.array(one)[:, None] for one in signs]
    return np.mean([(ridge(phi, one, lam) ** 2).sum() for one in noises])


def descent(phi, target, eta, k):
    weights = np.zeros((phi.shape[1], target.shape[1]))
    for _ in range(k):
        weights = weights - eta * phi.T @ (phi @ weights - target)
    return weights


def directions(phi):
    u, sigma, v = np.linalg.svd(phi, full_matrices=False)
    return u.T[:, :, None], sigma, v[:, :, None]


def loss_of_temperature(beta, z, y):
    return -math.log(softmax(beta * z)[y])


def left_out(phi, target, i):
    """The prediction for example i of a fit to all others."""
    keep = np.arange(len(phi)) != i
    fit = np.linalg.lstsq(phi[keep], target[keep], rcond=None)[0]
    return phi[i] @ fit


READ = {
    "eq-learning-unbiased": (
        {"values": vector(4)},
        {
            r"\ell": cases,
            r"\hat R_S(f)": lambda v: draws(v, 3).mean(axis=0),
            "R(f)": mean,
        },
        {"n": 3},
    ),
    "eq-learning-lemma": (
        {"Z": lambda rng: cases(rng.normal(size=5)), "a": ANY},
        {},
    ),
    "eq-learning-bias-variance": (
        {"f": vector(4), "t": vector(3)},
        {
            "f_D": lambda f, t: cases(np.repeat(f, 3)),
            r"\bar f": lambda f, t: mean(f),
            r"\bar t": lambda f, t: mean(t),
            "t": lambda f, t: cases(np.tile(t, 4)),
        },
    ),
    "eq-learning-ridge": (
        RIDGE,
        {r"\mathbf A_\lambda": ridge},
        {r"\mathbf I": np.eye(4)},
    ),
    "eq-learning-ridge-dual": (
        RIDGE,
        {r"\mathbf A_\lambda": ridge},
        {r"\mathbf I": np.eye(6)},
    ),
    "eq-learning-svd": (
        RIDGE,
        {
            r"\mathbf A_\lambda": ridge,
            r"\mathbf u": lambda phi, *_: directions(phi)[0],
            r"\sigma": lambda phi, *_: directions(phi)[1],
            r"\mathbf v": lambda phi, *_: directions(phi)[2],
        },
        {"i": range(4)},
    ),
    "eq-learning-noise-gain": (
        {"phi": matrix(6, 4), r"\omega": WIDE, r"\lambda": WIDE},
        {
            r"\E\,\lVert\mathbf a_\lambda-\E\,\mathbf a_\lambda\rVert^2": (
                noise_gain
            ),
            r"\sigma": lambda phi, *_: np.linalg.svd(phi)[1],
        },
        {"i": range(4)},
    ),
    "eq-learning-ridge-cap": (
        {r"\lambda": WIDE, r"\sigma": WIDE},
        {},
        {},
        {r"\sigma": lambda lam, _: math.sqrt(lam)},
    ),
    "eq-learning-descent": (
        {
            "phi": matrix(5, 4),
            r"\mathbf T": matrix(5, 2),
            r"\eta": (0.02, 0.05),
            "k": range(1, 5),
            "i": range(4),
        },
        {
            r"\mathbf A^{(k)}": lambda phi, t, eta, k, i: descent(
                phi, t, eta, k
            ),
            r"\mathbf u": lambda phi, *_: directions(phi)[0],
            r"\sigma": lambda phi, *_: directions(phi)[1],
            r"\mathbf v": lambda phi, *_: directions(phi)[2],
        },
    ),
    "eq-learning-f1": (
        {r"\text{TP}": WIDE, r"\text{FP}": WIDE, r"\text{FN}": WIDE},
        {
            r"\text{precision}": lambda tp, fp, fn: tp / (tp + fp),
            r"\text{recall}": lambda tp, fp, fn: tp / (tp + fn),
            "F_1": lambda tp, fp, fn: 2 / ((tp + fp) / tp + (tp + fn) / tp),
        },
    ),
    "eq-learning-bayes": (
        {"people": lambda rng: rng.integers(1, 9, size=(2, 2))},
        {  # rows: ill or not; columns: called ill or not
            r"\text{precision}": lambda n: n[0, 0] / n[:, 0].sum(),
            "r": lambda n: n[0, 0] / n[0].sum(),
            r"\pi": lambda n: n[0].sum() / n.sum(),
            "q": lambda n: n[1, 0] / n[1].sum(),
        },
    ),
    "eq-learning-auc": (
        {"s": lambda rng: rng.integers(0, 5, size=9).astype(float)},
        {
            r"\text{AUC}": lambda s: (rankdata(s)[:4].sum() - 10) / 20,
        },
        {"i": range(4), "j": range(4, 9), "n_+": 4, "n_-": 5},
    ),
    "eq-learning-temperature": (
        {"z": vector(4), r"\beta": WIDE, "y": range(4)},
        {
            r"\frac{\partial\ell}{\partial\beta}": lambda z, beta, y: slope(
                lambda b: loss_of_temperature(b, z, y), beta
            ),
            "p": lambda z, beta, y: softmax(beta * z),
            r"\mathbf p": lambda z, beta, y: softmax(beta * z),
            r"\mathbf z": lambda z, *_: z,
        },
        {"c": range(4), r"\operatorname{softmax}": softmax},
    ),
    "eq-learning-temperature-convex": (
        {"z": vector(4), r"\beta": WIDE},
        {
            r"\frac{\partial^2\ell}{\partial\beta^2}": (
                lambda z, beta: curvature(
                    lambda b: loss_of_temperature(b, z, 0), beta
                )
            ),
            "p": lambda z, beta: softmax(beta * z),
        },
        {"c": range(4)},
    ),
    "eq-learning-binomial": (
        {"right": range(1, 5)},
        {
            "R": lambda k: k / 5,
            r"\hat R": shares_of_right,
        },
        {"n": 3},
    ),
    "eq-learning-paired": (
        {"a": vector(4), "b": vector(4)},
        {
            r"\ell_a": lambda a, b: cases(a),
            r"\ell_b": lambda a, b: cases(b),
            r"\bar d": lambda a, b: draws(a - b, 3).mean(axis=0),
        },
        {"n": 3, r"\operatorname{Cov}": pair_covariance},
    ),
    "eq-learning-radius": (
        {"M": (1, 50), r"\delta": (0.01, 0.3), "n": (20, 900)},
        {
            r"\epsilon": lambda m, delta, n: root(
                lambda e: 2 * m * math.exp(-2 * n * e * e) - delta, 0, 5
            )
        },
    ),
    "eq-learning-left-out": (
        {"phi": matrix(6, 3), "target": matrix(6, 2), "i": range(6)},
        {
            r"\mathbf t": lambda phi, t, i: t[i],
            r"\hat{\mathbf t}_{-i}": left_out,
            r"\hat{\mathbf t}": lambda phi, t, i: (
                phi[i] @ np.linalg.lstsq(phi, t, rcond=None)[0]
            ),
            "H": lambda phi, t, i: phi @ np.linalg.pinv(phi),
        },
    ),
}

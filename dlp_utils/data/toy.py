"""Points in the plane with two classes, few enough to see every one. Generated, nothing to download.

All return `x` (n, 2) and `y` (n, 1) with labels 0 and 1, NumPy float64.
"""

import numpy as np

from . import Dataset


def linear(n=100, seed=0):
    """Return `n` points, uniform on the unit square: label 0 where x0 > x1, else 1."""
    x = np.random.default_rng(seed).uniform(size=(_count(n), 2))  # (n, 2)
    y = (x[:, :1] <= x[:, 1:]).astype(float)  # (n, 1)
    return x, y


def xor():
    """Return the 21 points of an X on the unit square: the rising arm is 0, the falling arm 1.

    The arms cross at (0.5, 0.5); that point belongs to the rising arm alone, so class 0 has 11 points of 21.
    """
    steps = np.arange(11)
    falling = steps[steps != 5]
    x = np.concatenate([np.stack([steps, steps], 1), np.stack([falling, 10 - falling], 1)]) / 10  # (21, 2)
    y = np.repeat([0.0, 1.0], [11, 10])[:, None]  # (21, 1)
    return x, y


def circles(n=200, noise=0.05, factor=0.5, seed=0):
    """Return `n` points on two circles with Gaussian `noise`: label 0 at radius 1, 1 at radius `factor`.

    Source: `sklearn.datasets.make_circles`.
    """
    from sklearn.datasets import make_circles

    x, y = make_circles(_count(n), noise=noise, factor=factor, random_state=seed)
    return x, y[:, None].astype(float)


def _count(n):
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of points, at least 1, got {n!r}")
    return int(n)


DATASETS = (
    Dataset("linear", "backpropagation", "CC0-1.0", "dlp_utils.data.toy.linear"),
    Dataset("xor", "backpropagation", "CC0-1.0", "dlp_utils.data.toy.xor"),
    Dataset("circles", "backpropagation", "BSD-3-Clause (generator)", "sklearn.datasets.make_circles"),
)

"""Other ways to the same number, for the formulas that test_read.py reads:
slopes by differences, means over all cases, the lowest point by search.
"""

import itertools
import math

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from dlp_utils.models.attention import Block

UNIT = (0.1, 0.9)
WIDE = (0.3, 3.0)
ANY = (-3.0, 3.0)


# What a symbol may be, drawn with a generator.
def vector(size):
    return lambda rng: rng.normal(size=size)


def matrix(rows, columns):
    return lambda rng: rng.normal(size=(rows, columns))


def covariance(size):
    """A matrix that is symmetric and positive definite."""

    def draw(rng):
        a = rng.normal(size=(size, size))
        return a @ a.T / size + 0.3 * np.eye(size)

    return draw


def shares(size):
    """Positive numbers with the sum one."""
    return lambda rng: rng.dirichlet(np.full(size, 3.0))


# Random numbers: an array of all cases, each as likely as the others.
class Cases(np.ndarray):
    """The values of a random number; products are taken case by case."""

    elementwise = True


def cases(values):
    return np.asarray(values, dtype=float).view(Cases)


def draws(values, n):
    """All n draws from these values, as n random numbers."""
    return cases(list(itertools.product(values, repeat=n))).T


def shares_of_right(right):
    """All cases of the share of right answers in 3, where it is right/5."""
    return draws([1.0] * right + [0.0] * (5 - right), 3).mean(axis=0)


def mean(values):
    return float(np.mean(values))


def variance(values):
    return float(np.var(values))


def pair_covariance(a, b):
    return float(np.mean(a * b) - np.mean(a) * np.mean(b))


# Functions.
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.log1p(np.exp(z))


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / e.sum()


def normal(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def normal_below(z):
    return (1 + math.erf(z / math.sqrt(2))) / 2


def normal_mean(function, mean=0.0, sd=1.0, points=60):
    """The mean of function(z) for z normal."""
    z, weights = np.polynomial.hermite_e.hermegauss(points)
    return weights @ function(mean + sd * z) / weights.sum()


# Calculus.
def slope(function, x, h=1e-5):
    return (function(x + h) - function(x - h)) / (2 * h)


def curvature(function, x, h=1e-3):
    """Second derivative, by five points."""
    ends = function(x + 2 * h) + function(x - 2 * h)
    near = function(x + h) + function(x - h)
    return (-ends + 16 * near - 30 * function(x)) / (12 * h * h)


def gradient(function, x, h=1e-5):
    """The derivative of a number with respect to each entry of an array."""
    x, found = np.array(x, dtype=float), np.empty(np.shape(x))
    for place in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[place] = h
        found[place] = (function(x + step) - function(x - step)) / (2 * h)
    return found


def jacobian(function, x, h=1e-5):
    """Rows: outputs; columns: inputs."""
    columns = []
    for place in range(len(x)):
        step = np.zeros(len(x))
        step[place] = h
        columns.append((function(x + step) - function(x - step)) / (2 * h))
    return np.array(columns).T


def integral(function, low, high, points=200):
    x, weights = np.polynomial.legendre.leggauss(points)
    x = (high - low) / 2 * x + (high + low) / 2
    return (
        (high - low)
        / 2
        * sum(w * function(v) for w, v in zip(weights, x, strict=True))
    )


def lowest(function, low, high):
    """Where a function with one valley has its minimum."""
    for _ in range(100):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if function(a) < function(b) else (a, high)
    return (low + high) / 2


def root(function, low, high):
    """Where a function changes its sign."""
    sign = function(low) > 0
    for _ in range(200):
        middle = (low + high) / 2
        if (function(middle) > 0) == sign:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def settled(step, start=0.5):
    for _ in range(5000):
        start = step(start)
    return start


def after(steps, step, start):
    for k in range(steps):
        start = step(start, k)
    return start


def weights_of(*layers):
    """The number of weights of some torch layers."""
    return sum(p.numel() for layer in layers for p in layer.parameters())


def multiplications(N, D):
    """Of one block of the attention chapter on N rows, counted by torch."""
    with FlopCounterMode(display=False) as count:
        Block(D, 1)(torch.randn(1, N, D))
    return count.get_total_flops() // 2  # it counts the additions, too


def conv(c, o, size=1, bias=False, groups=1):
    """A convolution to be counted: its weights take no memory."""
    how = {"bias": bias, "groups": groups, "device": "meta"}
    return torch.nn.Conv2d(c, o, size, **how)


class Padded:
    """An array that is zero beyond its ends."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        ends = zip(index, self.array.shape, strict=True)
        inside = all(0 <= i < n for i, n in ends)
        return float(self.array[index]) if inside else 0.0

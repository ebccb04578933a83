import itertools
import math

import numpy as np
import torch

from ways import (
    ANY,
    UNIT,
    WIDE,
    conv,
    integral,
    multiplications,
    normal,
    weights_of,
)

# Channels are whole numbers; a formula of counts holds for all others, too.
WIDTH = range(2, 9)


def fours(rng):
    return int(4 * rng.integers(1, 9))


def fold(w, x, a, b, mean, variance, epsilon):
    return a * (w * x - mean) / math.sqrt(variance + epsilon) + b


NORM = {
    "w": ANY,
    "a": ANY,
    "b": ANY,
    r"\mu": ANY,
    "v": WIDE,
    r"\epsilon": UNIT,
}


def block_of_inception(c, o1, h3, o3, h5, o5, op):
    layers = [conv(c, o1), conv(c, h3), conv(h3, o3, 3)]
    layers += [conv(c, h5), conv(h5, o5, 5), conv(c, op)]
    return weights_of(*layers)


def mobilenet():
    """Convolutions, norms and the dense layer of the table in the text."""
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    convolutions, norms = [conv(3, 32, 3)], [torch.nn.BatchNorm2d(32)]
    for c, o in itertools.pairwise(widths):
        convolutions += [conv(c, c, 3, groups=c), conv(c, o)]
        norms += [torch.nn.BatchNorm2d(c), torch.nn.BatchNorm2d(o)]
    parts = (convolutions, norms, [torch.nn.Linear(1024, 1000)])
    return sum(weights_of(*part) for part in parts)


def grown():
    """Multiplications of a network that is deeper, wider, on more pixels."""
    small = weights_of(*[conv(100, 100, 3)] * 10) * 100**2
    return weights_of(*[conv(110, 110, 3)] * 12) * 115**2 / small


def after_the_relu():
    """Root of twice the variance behind a ReLU (He's weights double it)."""
    first, second = (
        integral(lambda z, k=k: z**k * normal(z), 0, 12) for k in (1, 2)
    )
    return math.sqrt(2 * (second - first**2))


READ = {
    "eq-architectures-alexnet": (
        {},
        {
            "": lambda: weights_of(
                conv(9216, 4096), conv(4096, 4096), conv(4096, 1000)
            )
        },
    ),
    "eq-architectures-nin": (
        {"K": range(1, 6), "c": WIDTH, "o": WIDTH},
        {
            "": lambda K, c, o: weights_of(
                conv(c, o, K), conv(o, o), conv(o, o)
            )
        },
    ),
    "eq-architectures-small": (
        {"n": range(1, 5), "c": WIDTH},
        {
            "": lambda n, c: (
                weights_of(*[conv(c, c, 3)] * n)
                / weights_of(conv(c, c, 2 * n + 1))
            )
        },
    ),
    "eq-architectures-inception": (
        {
            name: WIDTH
            for name in ("c", "o_1", "h_3", "o_3", "h_5", "o_5", "o_p")
        },
        {"": block_of_inception},
    ),
    "eq-architectures-se": (
        {"c": fours, r"\tau": (4, 4)},
        {"": lambda c, _: weights_of(conv(c, c // 4), conv(c // 4, c))},
    ),
    "eq-architectures-bottleneck": (
        {"c": fours},
        {
            "": lambda c: weights_of(
                conv(c, c // 4), conv(c // 4, c // 4, 3), conv(c // 4, c)
            )
        },
    ),
    "eq-architectures-explosion": ({}, {r"\nu": after_the_relu}),
    "eq-architectures-dense": (
        {"c": WIDTH, "k": WIDTH, "L": range(1, 7)},
        {
            "": lambda c, k, L: weights_of(
                *[conv(c + i * k, k, 3) for i in range(L)]
            )
        },
    ),
    "eq-architectures-fire": (
        {"c": WIDTH, "s": WIDTH, "e": WIDTH},
        {
            "": lambda c, s, e: weights_of(
                conv(c, s), conv(s, e), conv(s, e, 3)
            )
        },
    ),
    "eq-architectures-separable": (
        {"K": range(1, 6), "c": WIDTH, "o": WIDTH, "m": WIDTH},
        {
            "": lambda K, c, o, m: (
                weights_of(conv(c, c, K, groups=c), conv(c, o))
                / weights_of(conv(c, o, K))
            )
        },
    ),
    "eq-architectures-mobilenet": ({}, {"": mobilenet}),
    "eq-architectures-mbconv": (
        {"t": range(1, 7), "c": WIDTH, "K": range(1, 6), "o": WIDTH},
        {
            "": lambda t, c, K, o: weights_of(
                conv(c, t * c),
                conv(t * c, t * c, K, groups=t * c),
                conv(t * c, o),
            )
        },
    ),
    "eq-architectures-compound": ({}, {"": grown}),
    "eq-architectures-wide": (
        {
            "K": range(1, 4),
            "f": range(1, 4),
            "c": WIDTH,
            "o": WIDTH,
        },
        {
            "": lambda K, f, c, o: (
                weights_of(conv(f * c, f * o, K)) / weights_of(conv(c, o, K))
            )
        },
    ),
    "eq-architectures-resnext": (
        {"c": WIDTH, "G": range(2, 5), "z": range(2, 5)},
        {
            "": lambda c, G, z: weights_of(
                conv(c, G * z),
                conv(G * z, G * z, 3, groups=G),
                conv(G * z, c),
            )
        },
    ),
    "eq-architectures-stochastic": (
        {"L": range(1, 30), "p_L": UNIT},
        {"": lambda L, p: np.linspace(1, p, L + 1)[1:].sum()},
    ),
    "eq-architectures-tokens": (
        {"P": range(1, 9), "n": range(1, 9)},
        {
            "H": lambda P, n: P * n,
            "T": lambda P, n: torch.nn.Unfold(P, stride=P)(
                torch.zeros(1, 1, P * n, P * n)
            ).shape[-1],
        },
    ),
    "eq-architectures-vit": (
        {"T": WIDTH, "D": WIDTH},
        {"": multiplications},
    ),
    "eq-architectures-next": (
        {"c": WIDTH},
        {
            "": lambda c: weights_of(
                conv(c, c, 7, groups=c), conv(c, 4 * c), conv(4 * c, c)
            )
        },
    ),
    "eq-architectures-fold": (
        NORM,
        {
            "w'": lambda w, *rest: fold(w, 1, *rest) - fold(w, 0, *rest),
            "b'": lambda w, *rest: fold(w, 0, *rest),
        },
    ),
}

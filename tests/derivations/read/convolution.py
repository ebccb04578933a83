import itertools

import numpy as np
import torch
from torch.nn import functional as F

from ways import Padded, conv, vector, weights_of


def correlated(x, w, bias):
    """The four outputs of a 3 × 3 picture and a 2 × 2 kernel, by torch."""
    x, w = (torch.tensor(v, dtype=torch.float64)[None, None] for v in (x, w))
    return F.conv2d(x, w)[0, 0].numpy() + bias


PICTURE = [[2, 4, 6], [8, 10, 12], [14, 16, 18]]
EXAMPLE = correlated(PICTURE, [[1, 3], [5, 7]], 5)


def two_channels(out):
    """All ones and all twos, through the kernels of one output channel."""
    x = torch.stack([torch.ones(2, 2), 2 * torch.ones(2, 2)])[None]
    w = torch.tensor([[3.0, 4.0], [1.0, 2.0]])[:, :, None, None]
    w = w.expand(2, 2, 2, 2)
    y = F.conv2d(x, w, torch.tensor([10.0, 5.0]))
    return y[0, out, 0, 0].item()


def layer(K, G, c, o):
    return conv(c * G, o * G, K, bias=True, groups=G)


def multiplications(K, G, c, o, m, m2):
    """Pairs of an output and an input number that touch."""
    kernel = torch.ones(o * G, c, K, K)
    x = torch.rand(1, c * G, m + K - 1, m2 + K - 1)
    touch = torch.autograd.functional.jacobian(
        lambda x: F.conv2d(x, kernel, groups=G), x
    )
    return (touch != 0).sum().item()


SIZES = {
    "K": range(1, 4),
    "G": range(1, 4),
    "c": range(1, 4),
    "o": range(1, 4),
    "m": range(2, 6),
    "m'": range(2, 6),
}


def places(n, P, D, K, S):
    """How many windows fit."""
    starts = range(-P, n + P, S)
    return sum(start + D * (K - 1) <= n + P - 1 for start in starts)


def seen(layers):
    """Width that one output sees; distance to its neighbor: by slicing."""
    first = last = np.arange(999)
    for K, D, S in layers:
        first = first[: len(first) - D * (K - 1) : S]
        last = last[D * (K - 1) :: S]
    return int(last[0] - first[0] + 1), int(first[1] - first[0])


def spread(layers):
    """Standard deviation of where a path through the kernels ends."""
    jump, ends = 1, np.zeros(1)
    for K, D, S in layers:
        ends = np.add.outer(ends, jump * D * np.arange(K)).ravel()
        jump *= S
    return ends.std()


LAYERS = [(3, 1, 2), (5, 2, 1), (2, 1, 3), (3, 2, 1)]


def some_layers(rng):
    return [LAYERS[i] for i in rng.permutation(4)]


def gradients(x, w, bar, S, P):
    """torch's gradients: (of the kernel, of the picture)."""
    x, w, bar = (torch.tensor(v) for v in (x, w, bar))
    x.requires_grad_()
    w.requires_grad_()
    (F.conv2d(x[None], w, stride=S, padding=P)[0] * bar).sum().backward()
    return w.grad.numpy(), x.grad.numpy()


def tensor(*shape):
    return lambda rng: rng.normal(size=shape)


KERNEL = {
    "x": tensor(2, 6, 6),
    "w": tensor(3, 2, 3, 3),
    "bar": tensor(3, 3, 3),
    "o": range(3),
    "c": range(2),
    "u": range(3),
    "v": range(3),
}
FLIPPED = {
    "x": tensor(2, 5, 5),
    "w": tensor(3, 2, 3, 3),
    "bar": tensor(3, 3, 3),
    "c": range(2),
    "r": range(5),
    "s": range(5),
}


def winograd(x, w):
    """The four products, and the two numbers that they shall give."""
    alpha = [
        (x[0] - x[2]) * w[0],
        (x[1] + x[2]) * (w[0] + w[1] + w[2]) / 2,
        (x[2] - x[1]) * (w[0] - w[1] + w[2]) / 2,
        (x[1] - x[3]) * w[2],
    ]
    return alpha, np.correlate(x, w, "valid")


PAIR = {"x": vector(4), "w": vector(3)}
READ = {
    "eq-convolution-example": (
        {},
        {
            f"y_{{{i},{j}}}": lambda i=i, j=j: EXAMPLE[i, j]
            for i, j in itertools.product(range(2), repeat=2)
        },
    ),
    "eq-convolution-two-channels": (
        {},
        {"y_0": lambda: two_channels(0), "y_1": lambda: two_channels(1)},
    ),
    "eq-convolution-count": (
        SIZES,
        {
            r"\text{weights}": lambda K, G, c, o, *_: weights_of(
                layer(K, G, c, o)
            ),
            r"\text{multiplications}": multiplications,
            "C": lambda K, G, c, o, *_: c * G,
            "O": lambda K, G, c, o, *_: o * G,
        },
    ),
    "eq-convolution-separable": (
        {"K": (1, 7), "C": (1, 99), "O": (1, 99)},
        {},
    ),
    "eq-convolution-size": (
        {
            "n": range(12, 30),
            "P": range(4),
            "D": range(1, 4),
            "K": range(1, 5),
            "S": range(1, 5),
        },
        {"m": places},
    ),
    "eq-convolution-field": (
        {"layers": some_layers},
        {
            "R_l": lambda layers: seen(layers)[0],
            "R_{l-1}": lambda layers: seen(layers[:-1])[0],
            "J_l": lambda layers: seen(layers)[1],
            "J_{l-1}": lambda layers: seen(layers[:-1])[1],
            "K_l": lambda layers: layers[-1][0],
            "D_l": lambda layers: layers[-1][1],
            "S_l": lambda layers: layers[-1][2],
        },
    ),
    "eq-convolution-effective": (
        {"l": range(1, 7)},
        {r"\sigma_l": lambda n: spread([(3, 1, 1)] * n)},
    ),
    "eq-convolution-effective-general": (
        {"layers": some_layers},
        {
            r"\sigma_l": spread,
            "K": lambda layers: [0] + [K for K, D, S in layers],
            "D": lambda layers: [0] + [D for K, D, S in layers],
            "J": lambda layers: [seen(layers[:p])[1] for p in range(4)],
        },
        {"l": 4},
    ),
    "eq-convolution-weight-gradient": (
        KERNEL,
        {
            r"\bar w_{o,c,u,v}": lambda x, w, bar, o, c, u, v: gradients(
                x, w, bar, 2, 1
            )[0][o, c, u, v],
            "x": lambda x, *_: Padded(x),
            r"\bar y": lambda x, w, bar, *_: bar,
        },
        {"i": range(3), "j": range(3), "S": 2, "P": 1},
    ),
    "eq-convolution-input-flip": (
        FLIPPED,
        {
            r"\bar x_{c,r,s}": lambda x, w, bar, c, r, s: gradients(
                x, w, bar, 1, 0
            )[1][c, r, s],
            r"\bar y": lambda x, w, bar, *_: Padded(bar),
        },
        {"o": range(3), "u": range(3), "v": range(3)},
    ),
    "eq-convolution-winograd": (
        PAIR,
        {
            **{
                rf"\alpha_{k + 1}": lambda x, w, k=k: winograd(x, w)[0][k]
                for k in range(4)
            },
            "y_0": lambda x, w: winograd(x, w)[1][0],
            "y_1": lambda x, w: winograd(x, w)[1][1],
        },
    ),
    "eq-convolution-blur": (
        {r"\nu": range(16)},
        {
            r"\hat w_\nu": lambda nu: (
                np.fft.fft([0.5, 0.25, *[0] * 13, 0.25])[nu].real
            )
        },
        {"n": 16},
    ),
    "eq-convolution-lenet": (
        {},
        {
            "": lambda: weights_of(
                conv(1, 6, 5, bias=True),
                conv(6, 16, 5, bias=True),
                torch.nn.Linear(400, 120),
                torch.nn.Linear(120, 84),
                torch.nn.Linear(84, 10),
            )
        },
    ),
}

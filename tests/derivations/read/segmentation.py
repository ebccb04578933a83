import math

import numpy as np
import torch
from torch.nn import functional as F

from dlp_utils.models.segmentation import (
    CBAM,
    ResNetEncoder,
    ResNetUNet,
    UNet,
)
from ways import (
    ANY,
    UNIT,
    WIDE,
    gradient,
    integral,
    matrix,
    normal_below,
    root,
    slope,
    vector,
    weights_of,
)


def correlated(x, V, beta, u, v):
    x, V = (torch.tensor(value)[None] for value in (x, V))
    return F.conv2d(x, V)[0, 0, u, v].item() + beta


def tensor(*shape):
    return lambda rng: rng.normal(size=shape)


def pixels(rng):
    return rng.integers(0, 2, size=9).astype(float)


def soft_dice(p, y, epsilon):
    return (2 * p @ y + epsilon) / (p.sum() + y.sum() + epsilon)


def cross_entropy(p, y):
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def transposed(y, w, S, P):
    y, w = (torch.tensor(value)[None, None] for value in (y, w))
    return F.conv_transpose1d(y, w, stride=S, padding=P)[0, 0].numpy()


def size(S, m, K, P, a):
    layer = torch.nn.ConvTranspose1d(1, 1, K, S, P, output_padding=a)
    return layer(torch.zeros(1, 1, m)).shape[-1]


def errors(A, B):
    """False positives and negatives, accuracy and Dice."""
    return {
        "FP": (A * (1 - B)).sum(),
        "FN": (B * (1 - A)).sum(),
        "a": np.mean(A == B),
        "D": 2 * (A * B).sum() / (A.sum() + B.sum()),
    }


def apart(s):
    """E|u-u'|: twice the share of lines that only one of them has passed."""

    def between(x):
        return normal_below(x / s) * (1 - normal_below(x / s))

    return 2 * integral(between, -12 * s, 12 * s)


def decoder(w, b, d):
    whole = ResNetUNet(stem=w, bridge=b, decoder=d)
    return weights_of(whole) - weights_of(whole.encoder)


def backward(x_L, J, start):
    for k in reversed(range(start, len(J))):
        x_L = x_L + J[k].T @ x_L
    return x_L


PIXELS = {
    "p": lambda rng: rng.uniform(0.1, 0.9, 9),
    "y": pixels,
    "i": range(9),
    r"\epsilon": UNIT,
}
LOGITS = {"z": vector(9), "y": pixels, "i": range(9), r"\epsilon": UNIT}
MASKS = {"A": pixels, "B": pixels}


READ = {
    "eq-segmentation-fully-convolutional": (
        {
            "x": tensor(2, 6, 6),
            "V": tensor(2, 3, 3),
            r"\beta": ANY,
            "u": range(4),
            "v": range(4),
        },
        {"Z_{u,v}": correlated},
        {"c": range(2), "a": range(3), "b": range(3)},
    ),
    "eq-segmentation-transposed": (
        {"y": vector(4), "w": vector(5), "S": range(1, 4), "i": range(4)},
        {
            r"(\mathbf C^\top\mathbf y)_i": lambda y, w, S, i: transposed(
                y, w, S, 2
            )[i]
        },
        {"P": 2, "K": 5, "o": range(4)},
    ),
    "eq-segmentation-adjoint": (
        {
            r"\mathbf C": matrix(3, 4),
            r"\mathbf x": matrix(4, 1),
            r"\mathbf y": matrix(3, 1),
        },
        {
            "C": lambda C, x, y: C,
            "x": lambda C, x, y: x[:, 0],
            "y": lambda C, x, y: y[:, 0],
        },
        {"i": range(4), "o": range(3)},
    ),
    "eq-segmentation-transposed-size": (
        {
            "S": range(2, 4),
            "m": range(2, 6),
            "K": range(4, 6),
            "P": range(3),
            "a": range(2),
        },
        {"n": size},
    ),
    "eq-segmentation-overlap": (
        {"K": range(1, 9), "S": range(1, 5), "q": range(4)},
        {
            "q": lambda K, S, q: q % S,
            "c_q": lambda K, S, q: len(range(q % S, K, S)),
        },
        {r"\mathbb 1": 1},
    ),
    "eq-segmentation-residual": (
        {
            "x_L": vector(3),
            r"\mathbf J": lambda rng: list(rng.normal(size=(4, 3, 3))),
            "l": range(4),
        },
        {
            r"\bar{\mathbf x}": lambda x, J, _: [
                backward(x, J, k) for k in range(5)
            ],
            r"\bar{\mathbf x}_L": lambda x, J, _: x,
        },
        {"L": 4},
    ),
    "eq-segmentation-unet-parameters": (
        {"w": range(2, 6)},
        {"": lambda w: weights_of(UNet(w))},
    ),
    "eq-segmentation-resnet-parameters": (
        {"w": range(2, 6)},
        {"": lambda w: weights_of(ResNetEncoder(w))},
    ),
    "eq-segmentation-decoder-parameters": (
        {
            "w": range(2, 5),
            "b": range(2, 9),
            "d": lambda rng: 8 * int(rng.integers(1, 4)),
        },
        {"": decoder, r"\kappa": lambda w, b, d: weights_of(CBAM(d))},
    ),
    "eq-segmentation-jensen": (
        {"J": lambda rng: rng.uniform(0.1, 0.9, 4)},
        {
            "D": lambda J: 2 / (1 + 1 / J),
            r"\bar J": np.mean,
        },
        {"N": 4, "n": range(4)},
        {
            "D": lambda J: np.full(4, 2 / (1 + 1 / J[0])),
            r"\bar J": lambda J: J[0],
        },
    ),
    "eq-segmentation-accuracy-dice": (
        MASKS,
        {
            r"\mathrm{FP}": lambda A, B: errors(A, B)["FP"],
            r"\mathrm{FN}": lambda A, B: errors(A, B)["FN"],
            "D": lambda A, B: errors(A, B)["D"],
            "a": lambda A, B: errors(A, B)["a"],
            "|A|": lambda A, B: A.sum(),
            "|B|": lambda A, B: B.sum(),
            r"\pi": lambda A, B: B.mean(),
            r"\hat\pi": lambda A, B: A.mean(),
        },
    ),
    "eq-segmentation-batches": (
        {
            "N": lambda rng: rng.integers(1, 9, size=4),
            "m": lambda rng: rng.uniform(size=4),
        },
        {
            r"\bar D": lambda N, m: np.repeat(m, N).mean(),
            r"\bar m": lambda N, m: m.mean(),
            r"\bar N": lambda N, m: N.mean(),
            r"\operatorname{Cov}_b(N_b, m_b)": lambda N, m: np.cov(
                N, m, bias=True
            )[0, 1],
        },
        {"k": 4, "b": range(4)},
    ),
    "eq-segmentation-dice-gradient": (
        PIXELS,
        {
            r"\frac{\partial L_\text{Dice}}{\partial p_i}": (
                lambda p, y, i, e: gradient(
                    lambda p: 1 - soft_dice(p, y, e), p
                )[i]
            ),
            "U": lambda p, y, i, e: p.sum() + y.sum() + e,
            r"D_\text{soft}": lambda p, y, i, e: soft_dice(p, y, e),
        },
        {"j": range(9)},
    ),
    "eq-segmentation-imbalance": (
        {"first": range(1, 9)},
        {
            r"\pi": lambda k: k / 9,
            r"L_\text{BCE}": lambda k: cross_entropy(
                np.full(9, k / 9), np.arange(9) < k
            ),
            r"L_\text{Dice}": lambda k: (
                1 - soft_dice(np.full(9, k / 9), np.arange(9) < k, 0)
            ),
        },
    ),
    "eq-segmentation-logit-gradients": (
        LOGITS,
        {
            r"\frac{\partial L_\text{BCE}}{\partial z_i}": (
                lambda z, y, i, e: gradient(
                    lambda z: cross_entropy(sigmoid(z), y), z
                )[i]
            ),
            r"\frac{\partial L_\text{Dice}}{\partial z_i}": (
                lambda z, y, i, e: gradient(
                    lambda z: 1 - soft_dice(sigmoid(z), y, e), z
                )[i]
            ),
            "p": lambda z, *_: sigmoid(z),
            "U": lambda z, y, i, e: sigmoid(z).sum() + y.sum() + e,
            r"D_\text{soft}": lambda z, y, i, e: soft_dice(sigmoid(z), y, e),
        },
        {"H": 3, "W": 3},
    ),
    "eq-segmentation-empty": (
        {"p": lambda rng: rng.uniform(0.1, 0.9, 9), r"\epsilon": UNIT},
        {
            r"\frac{\partial L_\text{Dice}}{\partial p_i}": (
                lambda p, e: gradient(
                    lambda p: 1 - soft_dice(p, np.zeros(9), e), p
                )[0]
            )
        },
        {"j": range(9)},
    ),
    "eq-segmentation-determinant": (
        {"d": matrix(2, 2)},
        {
            r"\det\nabla\boldsymbol\phi": lambda d: np.linalg.det(
                np.eye(2) + d
            ),
            **{
                rf"\partial_{j + 1}u_{i + 1}": lambda d, i=i, j=j: d[i, j]
                for i in range(2)
                for j in range(2)
            },
        },
    ),
    "eq-segmentation-separate": (
        {r"\sigma": WIDE},
        {r"\E|u-u'|": apart},
    ),
    "eq-segmentation-inside-cell": (
        {"f": UNIT},
        {"z": lambda f: root(lambda z: z / (z + 0.5) - f + 0.5, -0.3, 99)},
    ),
    "eq-segmentation-dice-iou": (
        MASKS,
        {
            "J": lambda A, B: (A * B).sum() / np.maximum(A, B).sum(),
            "D": lambda A, B: errors(A, B)["D"],
        },
    ),
    "eq-segmentation-plateau": (
        {r"\pi": UNIT, "p": UNIT},
        {
            r"\frac{dL_\text{BCE}}{dp}": lambda c, p: slope(
                lambda p: -c * math.log(p) - (1 - c) * math.log(1 - p), p
            ),
            r"\frac{dL_\text{Dice}}{dp}": lambda c, p: slope(
                lambda p: 1 - 2 * c * p / (c + p), p
            ),
        },
    ),
    "eq-segmentation-overshoot": ({r"\alpha": UNIT}, {}),
    "eq-segmentation-align": (
        {"i": (0, 1), "m": (2, 9), "n": (3, 9)},
        {
            "x_i": lambda i, m, n: np.interp(i + 0.5, [0, m], [-0.5, n - 0.5]),
            "x_i'": lambda i, m, n: np.interp(i, [0, m - 1], [0, n - 1]),
        },
    ),
    "eq-segmentation-seam": (
        {r"\eta": WIDE, "h": WIDE, r"\tilde y": ANY, "y_t": ANY},
        {},
    ),
}

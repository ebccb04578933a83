import itertools
import math

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ways import (
    ANY,
    UNIT,
    WIDE,
    cases,
    gradient,
    jacobian,
    lowest,
    matrix,
    sigmoid,
    slope,
    softmax,
    softplus,
    vector,
)


def cross_entropy(z, y):
    return -y * math.log(sigmoid(z)) - (1 - y) * math.log(1 - sigmoid(z))


def known_error(h, e, F, M):
    return e * F / h + h**2 * M / 6


def best_h(e, F, M):
    return lowest(lambda h: known_error(h, e, F, M), 1e-3, 50)


def dense_loss(A, W, b, bar):
    """A number whose derivative by each output of a dense layer is bar."""
    return (bar * (A @ W + b)).sum()


def below(Z, W, bar):
    """The same behind an activation, as a function of what goes into it."""
    return (bar * (np.tanh(Z) @ W)).sum()


def loss_of_logits(z, y):
    return -np.log(softmax(z))[y]


def batch_norm(x, epsilon=0.0):
    return (x - x.mean()) / np.sqrt(x.var() + epsilon)


def operations(N, widths):
    """Multiplications and additions, counted by torch: forward, backward."""
    pairs = itertools.pairwise(widths)
    layers = [torch.nn.Linear(a, b, bias=False) for a, b in pairs]
    with FlopCounterMode(display=False) as count:
        end = torch.nn.Sequential(*layers)(torch.randn(N, widths[0])).sum()
        forward = count.get_total_flops()
        end.backward()
    return forward, count.get_total_flops() - forward


def products(K, d, reverse):
    """Multiplications of K Jacobians d × d, the last with one row."""
    shapes = [(d, d)] * (K - 1) + [(1, d)]
    if reverse:
        shapes = shapes[::-1]
    done, (rows, columns) = 0, shapes[0]
    for r, c in shapes[1:]:
        if reverse:
            done, columns = done + rows * columns * c, c
        else:
            done, rows = done + r * c * columns, r
    return done


LAYER = {
    "A": matrix(3, 2),
    "W": matrix(2, 4),
    "b": matrix(1, 4),
    "delta": matrix(3, 4),
}
LOGITS = {"z": vector(4), "y": range(2), "i": range(2)}
BATCH = {"x": vector(5), "g": vector(5), "n": range(2), "m": range(2)}


def of_layer(place):
    """The derivative with respect to A, W or b."""

    def found(A, W, b, delta, *_):
        values = [A, W, b]

        def with_other(x):
            return dense_loss(*values[:place], x, *values[place + 1 :], delta)

        return gradient(with_other, values[place])

    return found


READ = {
    "eq-backpropagation-affine": (
        {
            r"\mathbf X": matrix(3, 2),
            r"\mathbf W_1": matrix(2, 4),
            r"\mathbf b_1": matrix(1, 4),
            r"\mathbf W_2": matrix(4, 2),
            r"\mathbf b_2": matrix(1, 2),
        },
        {},
        {r"\mathbf 1": np.ones((3, 1))},
    ),
    "eq-backpropagation-weight": (
        LAYER | {"i": range(2), "j": range(4)},
        {
            r"\frac{\partial L}{\partial W_{ij}}": lambda *v: of_layer(1)(*v)[
                v[-2], v[-1]
            ],
            r"\frac{\partial L}{\partial \mathbf W}": of_layer(1),
            r"\delta": lambda A, W, b, delta, *_: delta,
            r"\boldsymbol\delta": lambda A, W, b, delta, *_: delta,
            r"\mathbf A": lambda A, *_: A,
        },
        {"n": range(3)},
    ),
    "eq-backpropagation-bias": (
        LAYER | {"j": range(4)},
        {
            r"\frac{\partial L}{\partial b_j}": lambda *v: of_layer(2)(*v)[
                0, v[-1]
            ],
            r"\frac{\partial L}{\partial \mathbf b}": of_layer(2),
            r"\delta": lambda A, W, b, delta, *_: delta,
            r"\boldsymbol\delta": lambda A, W, b, delta, *_: delta,
        },
        {"n": range(3), r"\mathbf 1": np.ones((3, 1))},
    ),
    "eq-backpropagation-input": (
        LAYER | {"n": range(3), "i": range(2)},
        {
            r"\frac{\partial L}{\partial A_{ni}}": lambda *v: of_layer(0)(*v)[
                v[-2], v[-1]
            ],
            r"\frac{\partial L}{\partial \mathbf A}": of_layer(0),
            r"\delta": lambda A, W, b, delta, *_: delta,
            r"\boldsymbol\delta": lambda A, W, b, delta, *_: delta,
            r"\mathbf W": lambda A, W, *_: W,
        },
        {"j": range(4)},
    ),
    "eq-backpropagation-delta": (
        {
            r"\mathbf Z_{l-1}": matrix(3, 2),
            r"\mathbf W_l": matrix(2, 4),
            r"\boldsymbol\delta_l": matrix(3, 4),
        },
        {
            r"\boldsymbol\delta_{l-1}": lambda Z, W, delta: gradient(
                lambda Z: below(Z, W, delta), Z
            )
        },
        {r"\varphi'": lambda Z: slope(np.tanh, Z)},
    ),
    "eq-backpropagation-sigmoid": (
        {"z": ANY},
        {r"\sigma'(z)": lambda z: slope(sigmoid, z)},
        {r"\sigma": sigmoid},
        {"z": lambda _: 0.0, r"\sigma'(z)": lambda _: slope(sigmoid, 0.0)},
    ),
    "eq-backpropagation-mse-gradient": (
        {"A": matrix(3, 2), "Y": matrix(3, 2)},
        {
            "L": lambda A, Y: np.mean((A - Y) ** 2),
            r"\frac{\partial L}{\partial\mathbf A}": lambda A, Y: gradient(
                lambda A: np.mean((A - Y) ** 2), A
            ),
            r"\mathbf A": lambda A, Y: A,
            r"\mathbf Y": lambda A, Y: Y,
        },
        {"N": 3, "d": 2, "n": range(3), "j": range(2)},
    ),
    "eq-backpropagation-bce-gradient": (
        {"z": ANY, "y": UNIT},
        {
            r"\frac{\partial\ell}{\partial z}": lambda z, y: slope(
                lambda z: cross_entropy(z, y), z
            )
        },
        {r"\sigma": sigmoid},
    ),
    "eq-backpropagation-mse-sigmoid": (
        {"z": ANY, "y": UNIT},
        {
            r"\frac{\partial}{\partial z}\bigl(\sigma(z)-y\bigr)^2": (
                lambda z, y: slope(lambda z: (sigmoid(z) - y) ** 2, z)
            ),
            r"\sigma'(z)": lambda z, y: slope(sigmoid, z),
        },
        {r"\sigma": sigmoid},
    ),
    "eq-backpropagation-shift": (
        {"z": vector(4), "m": ANY, "i": range(4)},
        {"p_i": lambda z, m, i: softmax(z)[i]},
        {"k": range(4)},
    ),
    "eq-backpropagation-softmax-loss": (
        {"z": vector(4), "y": range(4)},
        {r"\ell": loss_of_logits, "p": lambda z, y: softmax(z)},
        {"k": range(4)},
    ),
    "eq-backpropagation-softmax-gradient": (
        LOGITS,
        {
            r"\frac{\partial\ell}{\partial z_i}": lambda z, y, i: gradient(
                lambda z: loss_of_logits(z, y), z
            )[i],
            "p": lambda z, *_: softmax(z),
        },
    ),
    "eq-backpropagation-softmax-jacobian": (
        {"z": vector(3), "i": range(2), "j": range(2)},
        {
            r"\frac{\partial p_i}{\partial z_j}": lambda z, i, j: jacobian(
                softmax, z
            )[i, j],
            "p": lambda z, *_: softmax(z),
        },
    ),
    "eq-backpropagation-cost": (
        {
            "N": range(1, 9),
            "widths": lambda rng: [int(d) for d in rng.integers(1, 9, 4)],
        },
        {
            r"C_\text{forward}": lambda *v: operations(*v)[0],
            r"C_\text{backward}": lambda *v: operations(*v)[1],
            "d_0": lambda N, widths: widths[0],
            "d_1": lambda N, widths: widths[1],
        },
    ),
    "eq-backpropagation-modes": (
        {"K": range(2, 9), "d": range(2, 9)},
        {
            r"C_\text{reverse}": lambda K, d: products(K, d, True),
            r"C_\text{forward mode}": lambda K, d: products(K, d, False),
        },
    ),
    "eq-backpropagation-adjoint": (
        {
            r"\mathbf u": matrix(3, 1),
            "J": matrix(3, 4),
            r"\mathbf v": matrix(4, 1),
        },
        {},
    ),
    "eq-backpropagation-half": (
        {"values": vector(5)},
        {"z": lambda v: cases([*v, *-v])},
    ),
    "eq-backpropagation-batchnorm-jacobian": (
        BATCH,
        {
            r"\frac{\partial\hat x_n}{\partial x_m}": lambda x, g, n, m: (
                jacobian(batch_norm, x)[n, m]
            ),
            r"\hat x": lambda x, *_: batch_norm(x),
            "s": lambda x, *_: x.std(),
        },
        {"N": 5},
    ),
    "eq-backpropagation-batchnorm": (
        {"x": vector(5), "g": vector(5), "m": range(5)},
        {
            r"\bar x_m": lambda x, g, m: gradient(
                lambda x: g @ batch_norm(x), x
            )[m],
            r"\hat x": lambda x, *_: batch_norm(x),
            "s": lambda x, *_: x.std(),
        },
        {"N": 5, "n": range(5)},
    ),
    "eq-backpropagation-tanh": (
        {"z": ANY},
        {
            r"\tanh'(z)": lambda z: slope(math.tanh, z),
            r"\sigma(2z)": lambda z: sigmoid(2 * z),
        },
    ),
    "eq-backpropagation-bce-logits": (
        {"z": ANY, "y": UNIT},
        {r"\ell": cross_entropy, "s(z)": lambda z, y: softplus(z)},
    ),
    "eq-backpropagation-bce": (
        {"z": ANY, "y": UNIT},
        {r"\ell": cross_entropy},
    ),
    "eq-backpropagation-best-h": (
        {r"\varepsilon": UNIT, "F": WIDE, "M": WIDE},
        {
            r"h^\ast": best_h,
            r"E(h^\ast)": lambda *v: known_error(best_h(*v), *v),
        },
    ),
}

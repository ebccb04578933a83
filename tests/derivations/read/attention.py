import math

import numpy as np
import torch

from ways import (
    ANY,
    WIDE,
    gradient,
    jacobian,
    matrix,
    multiplications,
    softmax,
    vector,
)


def look_up(s, tau):
    """The best weights, found by walking uphill, and their value."""
    p = np.full(len(s), 1 / len(s))
    for _ in range(4000):  # a step along what lies above the mean
        push = s - tau * np.log(p)
        p = p * np.exp(0.05 / tau * (push - p @ push))
        p = p / p.sum()
    return p, p @ s - tau * p @ np.log(p)


def rows_softmax(S):
    return np.array([softmax(row) for row in S])


def attention(Q, K, V):
    return rows_softmax(Q @ K.T / math.sqrt(Q.shape[1])) @ V


def backward(Q, K, V, bar, place):
    """The derivative of Σ bar·O with respect to Q, K, V, weights, scores."""
    S = Q @ K.T / math.sqrt(Q.shape[1])
    A = rows_softmax(S)
    start = {"Q": Q, "K": K, "V": V, "S": S, "A": A}[place]

    def loss(x):
        if place in "QKV":
            return bar * attention(**({"Q": Q, "K": K, "V": V} | {place: x}))
        return bar * ((rows_softmax(x) if place == "S" else x) @ V)

    return gradient(lambda x: loss(x).sum(), start)


def positions(n, D):
    angles = n * 10000.0 ** (-2 * np.arange(D // 2) / D)
    return np.stack([np.sin(angles), np.cos(angles)], axis=1).ravel()


def turn(n, D=4):
    """The matrix of rotary positions, for rows."""
    R = np.zeros((D, D))
    for i in range(D // 2):
        angle = n * 10000.0 ** (-2 * i / D)
        c, s = math.cos(angle), math.sin(angle)
        R[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, s], [-s, c]]
    return R


def one_head(X):
    """Attention of a row of numbers with itself."""
    W = np.random.default_rng(0).normal(size=(3, 3, 3))
    return attention(X @ W[0], X @ W[1], X @ W[2])


def one_head_parts(X):
    W = np.random.default_rng(0).normal(size=(3, 3, 3))
    Q, K, V = (X @ w for w in W)
    return rows_softmax(Q @ K.T / math.sqrt(3)), V


def layer_norm(x):
    return (x - x.mean()) / x.std()


def left_of_the_input(L):
    """2L times: add as much again at a right angle, and normalize."""
    x = np.eye(2 * L + 1)[0]
    for k in range(1, 2 * L + 1):
        x[k] = 1
        x = x / np.linalg.norm(x)
    return x[0]


def piece(scores, values, top):
    e = np.exp(scores - top)
    return e.sum(), e @ values


def block(D):
    """The weights of one block of torch's transformer."""
    layer = torch.nn.TransformerEncoderLayer(D, 1, 4 * D)
    return sum(p.numel() for p in layer.parameters())


QKV = {
    r"\mathbf Q": matrix(3, 2),
    r"\mathbf K": matrix(4, 2),
    r"\mathbf V": matrix(4, 3),
    r"\bar{\mathbf O}": matrix(3, 3),
}
NORM = {"x": vector(5), "i": range(2), "j": range(2)}
PIECES = {
    "s": vector(6),
    "values": matrix(6, 2),
    r"\mu": ANY,
    r"\mu^+": WIDE,
}
READ = {
    "eq-attention-soft": (
        {"s": vector(4), r"\tau": WIDE, "j": range(4)},
        {
            "p_j": lambda s, tau, j: look_up(s, tau)[0][j],
            r"\max": lambda s, tau, j: look_up(s, tau)[1],
        },
        {"l": range(4)},
    ),
    "eq-attention-jacobian": (
        {"s": vector(4), r"\tau": WIDE, "i": range(2), "j": range(2)},
        {
            r"\frac{\partial p_i}{\partial s_j}": lambda s, tau, i, j: (
                jacobian(lambda s: softmax(s / tau), s)[i, j]
            ),
            "p": lambda s, tau, i, j: softmax(s / tau),
        },
        {r"\delta": np.eye(4)},
    ),
    "eq-attention-backward": (
        QKV,
        {
            rf"\bar{{\mathbf {name}}}": lambda *v, name=name: backward(
                *v, name
            )
            for name in "QKVSA"
        }
        | {
            r"\mathbf A": lambda Q, K, *_: rows_softmax(Q @ K.T / math.sqrt(2))
        },
        {
            "d": 2,
            r"\operatorname{rows}": lambda M: M.sum(axis=1, keepdims=True),
        },
    ),
    "eq-attention-equivariance": (
        {
            r"\mathbf X": matrix(4, 3),
            r"\mathbf P": lambda rng: np.eye(4)[rng.permutation(4)],
        },
        {
            r"\mathbf A": lambda X, P: one_head_parts(X)[0],
            r"\mathbf V": lambda X, P: one_head_parts(X)[1],
        },
        {r"\operatorname{Att}": one_head},
    ),
    "eq-attention-sinusoids": (
        {"m": range(9), "n": range(9)},
        {
            r"\mathbf u_m": lambda m, n: positions(m, 8),
            r"\mathbf u_n": lambda m, n: positions(n, 8),
        },
        {"D": 8, r"\omega": 10000.0 ** (-np.arange(4) / 4)},
    ),
    "eq-attention-rope": (
        {
            "m": range(9),
            "n": range(9),
            r"\mathbf q": matrix(1, 4),
            r"\mathbf k": matrix(1, 4),
        },
        {
            r"\mathbf R_m": lambda m, n, *_: turn(m),
            r"\mathbf R_n": lambda m, n, *_: turn(n),
            r"\mathbf R_{m-n}": lambda m, n, *_: turn(m - n),
        },
    ),
    "eq-attention-layernorm-jacobian": (
        NORM,
        {
            r"\frac{\partial y_i}{\partial x_j}": lambda x, i, j: jacobian(
                layer_norm, x
            )[i, j],
            r"\sigma": lambda x, *_: x.std(),
            "y": lambda x, *_: layer_norm(x),
        },
        {"D": 5, r"\delta": np.eye(5)},
    ),
    "eq-attention-layernorm": (
        {"x": vector(5), r"\bar{\mathbf y}": vector(5)},
        {
            r"\bar{\mathbf x}": lambda x, bar: gradient(
                lambda x: bar @ layer_norm(x), x
            ),
            r"\mathbf y": lambda x, _: layer_norm(x),
            r"\sigma": lambda x, _: x.std(),
        },
        {r"\mathbf 1": np.ones(5)},
    ),
    "eq-attention-parameters": ({"D": range(2, 9)}, {"": block}),
    "eq-attention-macs": (
        {"N": range(2, 9), "D": range(2, 9)},
        {"": multiplications},
    ),
    "eq-attention-post-norm": (
        {"L": range(1, 9)},
        {"": left_of_the_input},
    ),
    "eq-attention-online": (
        PIECES,
        {
            "z": lambda s, v, mu, top: piece(s[:3], v[:3], mu)[0],
            r"\mathbf o": lambda s, v, mu, top: piece(s[:3], v[:3], mu)[1],
            "z^+": lambda s, v, mu, top: piece(s, v, top)[0],
            r"\mathbf o^+": lambda s, v, mu, top: piece(s, v, top)[1],
            r"\mathbf v": lambda s, v, *_: v,
        },
        {"j": range(3, 6)},
    ),
}

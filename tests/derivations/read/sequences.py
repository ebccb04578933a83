import math

import numpy as np
import torch

from ways import (
    ANY,
    UNIT,
    gradient,
    matrix,
    root,
    sigmoid,
    slope,
)


def network(W, U, b, h, x):
    """The states h₀, h₁, … of a recurrent network, rows."""
    states = [h]
    for row in x:
        states.append(np.tanh(row @ U + states[-1] @ W + b))
    return states


def loss(W, U, b, h, x, Q, bar):
    """A number whose derivative with respect to the outputs is bar."""
    states = network(W, U, b, h, x)
    return sum(
        (s @ Q * one).sum() for s, one in zip(states[1:], bar, strict=True)
    )


T, D, H = 3, 2, 3
NETWORK = {
    r"\mathbf W": matrix(H, H),
    "U": matrix(D, H),
    "b": matrix(1, H),
    "h": matrix(1, H),
    "x": lambda rng: rng.normal(size=(T, 1, D)),
    r"\mathbf Q": matrix(H, 2),
    "bar": lambda rng: rng.normal(size=(T, 1, 2)),
}


def of_state(t):
    """Derivative of the loss with respect to h_t, by starting there."""

    def found(W, U, b, h, x, Q, bar):
        start = network(W, U, b, h, x)[t]
        rest = gradient(lambda s: loss(W, U, b, s, x[t:], Q, bar[t:]), start)
        return rest + (bar[t - 1] @ Q.T if t else 0)

    return found


def of_sum(t):
    """δ_t: with respect to what stands inside of the tanh of step t."""

    def found(W, U, b, h, x, Q, bar):
        states = network(W, U, b, h, x)
        inside = x[t - 1] @ U + states[t - 1] @ W + b

        def later(z):
            state = np.tanh(z)
            here = (state @ Q * bar[t - 1]).sum()
            return here + loss(W, U, b, state, x[t:], Q, bar[t:])

        return gradient(later, inside)

    return found


def of_weight(place):
    def found(*values):
        def with_other(w):
            return loss(*values[:place], w, *values[place + 1 :])

        return gradient(with_other, values[place])

    return found


def rotation(rng):
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


def clipped(g, R):
    g = torch.nn.Parameter(torch.tensor(g))
    g.grad = g.detach().clone()
    torch.nn.utils.clip_grad_norm_([g], R)
    return g.grad.numpy()


def weights(G, d, H):
    kind = {1: torch.nn.RNN, 3: torch.nn.GRU, 4: torch.nn.LSTM}[G]
    return sum(p.numel() for p in kind(d, H).parameters())


def skip_gram(psi, p, p_w, p_c, m):
    good, bad = (math.log(sigmoid(z)) for z in (psi, -psi))
    return -p * good - m * p_w * p_c * bad


def bayes(first, p, q):
    """The weights λ_t of two models, one after another; index from 1."""
    found = [0.0, first]
    for a, b in zip(p[1:], q[1:], strict=True):
        share = found[-1] * a
        found.append(share / (share + (1 - found[-1]) * b))
    return found


PAIRS = {
    r"\psi_{wc}": ANY,
    "P(w,c)": UNIT,
    "P(w)": UNIT,
    "P(c)": UNIT,
    "m": range(1, 9),
}
READ = {
    "eq-sequences-state": (
        NETWORK,
        {
            r"\bar{\mathbf h}_t": of_state(2),
            r"\bar{\mathbf y}_t": lambda *v: v[-1][1],
            r"\boldsymbol\delta_{t+1}": of_sum(3),
        },
    ),
    "eq-sequences-delta": (
        NETWORK,
        {
            r"\boldsymbol\delta_t": of_sum(2),
            r"\bar{\mathbf h}_t": of_state(2),
            r"\mathbf h_t": lambda *v: network(*v[:5])[2],
        },
    ),
    "eq-sequences-weights": (
        NETWORK,
        {
            r"\bar{\mathbf W}": of_weight(0),
            r"\bar{\mathbf U}": of_weight(1),
            r"\bar{\mathbf b}": of_weight(2),
            r"\mathbf h": lambda *v: network(*v[:5]),
            r"\mathbf x": lambda *v: [None, *v[4]],
            r"\boldsymbol\delta": lambda *v: [
                None,
                *(of_sum(t)(*v) for t in range(1, T + 1)),
            ],
        },
        {"T": T},
    ),
    "eq-sequences-orthogonal": (
        {r"\mathbf v": matrix(1, 3), r"\mathbf W": rotation},
        {},
    ),
    "eq-sequences-clip-step": (
        {
            r"\mathbf g": lambda rng: rng.normal(size=4),
            "R": (1.0, 3.0),
            r"\eta": UNIT,
        },
        {r"\mathbf g'": lambda g, R, _: clipped(g, R)},
        {},
        {
            r"\mathbf g": lambda g, R, _: 9 * g,
            r"\mathbf g'": lambda g, R, _: clipped(9 * g, R),
        },
    ),
    "eq-sequences-count": (
        {
            "G": lambda rng: int(rng.choice([1, 3, 4])),
            "d": range(1, 9),
            "H": range(1, 9),
        },
        {r"\text{weights}": weights},
    ),
    "eq-sequences-half-life": (
        {"b_f": (-1, 4)},
        {"k": lambda b: root(lambda k: sigmoid(b) ** k - 0.5, 0, 1000)},
    ),
    "eq-sequences-reset": (
        {
            r"\rho": UNIT,
            r"\mathbf h": matrix(1, 3),
            r"\mathbf W": matrix(3, 3),
        },
        {
            r"\mathbf r": lambda rho, *_: np.full((1, 3), rho),
            r"(\rho,\dots,\rho)": lambda rho, *_: np.full((1, 3), rho),
        },
    ),
    "eq-sequences-bayes": (
        {
            "first": UNIT,
            "p": lambda rng: rng.uniform(0.1, 0.9, 5),
            "q": lambda rng: rng.uniform(0.1, 0.9, 5),
        },
        {r"\lambda": bayes},
        {"T": 4},
    ),
    "eq-sequences-padding": (
        {
            r"\alpha": (0.6, 0.6),
            "true": lambda rng: rng.uniform(size=3),
            "padding": lambda rng: rng.uniform(size=2),
        },
        {
            r"L_\text{all}": lambda _, a, b: np.concatenate([a, b]).mean(),
            r"L_\text{true}": lambda _, a, b: a.mean(),
            r"L_\text{padding}": lambda _, a, b: b.mean(),
        },
    ),
    "eq-sequences-skip-gram-gradient": (
        PAIRS,
        {
            r"\frac{\partial J}{\partial\psi_{wc}}": lambda psi, *v: slope(
                lambda z: skip_gram(z, *v), psi
            )
        },
        {r"\sigma": sigmoid},
    ),
    "eq-sequences-information": (
        {name: source for name, source in PAIRS.items() if "psi" not in name},
        {
            r"\psi_{wc}": lambda *v: root(
                lambda psi: slope(lambda z: skip_gram(z, *v), psi), -20, 20
            )
        },
    ),
}

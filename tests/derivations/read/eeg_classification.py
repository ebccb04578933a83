import math

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.stats import chi2
from torch.nn import functional as F

from ways import (
    ANY,
    UNIT,
    WIDE,
    Padded,
    covariance,
    gradient,
    integral,
    matrix,
    root,
    shares_of_right,
    vector,
    weights_of,
)


def reach(h):
    """Where half of the potential above a dipole is left."""
    return root(lambda x: 2 * potential(x, h) - potential(0, h), 0, 9 * h)


def potential(rho, h):
    return h / (h * h + rho * rho) ** 1.5


def patterns(x, W):
    """The matrix that explains the electrodes best, by least squares."""
    return np.linalg.lstsq((W.T @ x).T, x.T, rcond=None)[0].T


def wave(a, omega, phi, P):
    return a * np.cos(omega * np.arange(P) + phi)


def quotient(w, first, both):
    w = np.reshape(w, (-1, 1))
    return (w.T @ first @ w).item() / (w.T @ both @ w).item()


def filters(first, second):
    values, vectors = eigh(first, first + second)
    return values, vectors


def length(T, p, K, P, S):
    once = F.conv1d(torch.zeros(1, 1, T), torch.zeros(1, 1, K), padding=p)
    return once.shape[-1], F.avg_pool1d(once, P, S).shape[-1]


def sccnet(C, Nu, K, F_, T2, M):
    return weights_of(
        torch.nn.Conv1d(C, Nu, 1),
        torch.nn.BatchNorm1d(Nu),
        torch.nn.Conv1d(Nu, F_, K),
        torch.nn.BatchNorm1d(F_),
        torch.nn.Linear(F_ * T2, M),
    )


def wilson(p, n, z, sign):
    """Where the distance from p̂ is z standard deviations of the truth."""

    def gap(q):
        return (p - q) ** 2 - z * z * q * (1 - q) / n

    return root(gap, p, 1) if sign > 0 else root(gap, 0, p)


def temporal(Z, V, c):
    Z, V, c = (torch.tensor(v) for v in (Z[None], V, c))
    return F.conv1d(Z, V, c, padding=1)[0].numpy()


def power_mean(nu, tau):
    """E(χ²)^τ by integration, with u = x² against the peak at 0."""
    top = 40
    scale = 2 ** (nu / 2) * math.gamma(nu / 2)
    return integral(
        lambda x: 2 * x ** (nu + 2 * tau - 1) * math.exp(-x * x / 2) / scale,
        0,
        math.sqrt(2 * top),
    )


def root_of(M):
    values, vectors = np.linalg.eigh(M)
    return vectors @ np.diag(values**-0.5) @ vectors.T


def trials(rng):
    return rng.normal(size=(5, 3, 8))


def total_covariance(x):
    return np.mean([t @ t.T / 8 for t in x], axis=0)


def twice(M, size=60.0):
    """Cross-entropy of a softmax that goes through a softmax once more."""
    logits = torch.zeros(M, dtype=torch.float64)
    logits[0] = size
    return F.cross_entropy(logits.softmax(0)[None], torch.tensor([0])).item()


WAVE = {"a": WIDE, r"\omega": (0.2, 1.2), r"\phi": ANY, "P": range(2, 12)}
TWO = {r"\boldsymbol\Sigma_1": covariance(3), "second": covariance(3)}
ENTRIES = {
    "Z": matrix(2, 6),
    "V": lambda rng: rng.normal(size=(3, 2, 4)),
    "c": vector(3),
    "f": range(3),
    "t": range(1, 6),
}
READ = {
    "eq-eeg-classification-width": (
        {"h": (0.3, 1.3)},
        {r"\rho_{1/2}": reach, "v": lambda h: lambda x: potential(x, h)},
    ),
    "eq-eeg-classification-haufe": (
        {"x": matrix(4, 30), r"\mathbf W": matrix(4, 2)},
        {
            r"\hat{\mathbf A}": patterns,
            r"\boldsymbol\Sigma_x": lambda x, W: x @ x.T / 30,
            r"\boldsymbol\Sigma_{\hat s}": lambda x, W: (
                (W.T @ x) @ (W.T @ x).T / 30
            ),
        },
    ),
    "eq-eeg-classification-haufe-square": (
        {"x": matrix(3, 30), r"\mathbf W": matrix(3, 3)},
        {
            r"\hat{\mathbf A}": patterns,
            r"\boldsymbol\Sigma_x": lambda x, W: x @ x.T / 30,
        },
        {"N_u": 3, "C": 3},
    ),
    "eq-eeg-classification-cosines": (WAVE, {}),
    "eq-eeg-classification-window": (
        WAVE,
        {
            "x": wave,
            r"\epsilon": lambda a, omega, phi, P: (
                2 * np.mean(wave(a, omega, phi, P) ** 2) / a**2 - 1
            ),
        },
    ),
    "eq-eeg-classification-side-door": (
        {"y": vector(6), r"\beta": ANY},
        {},
        {"P": 6, "t": range(6)},
    ),
    "eq-eeg-classification-side-door-ratio": (
        {r"\beta": WIDE, r"\delta": WIDE, "P": range(1, 50)},
        {},
    ),
    "eq-eeg-classification-chi-power": (
        {r"\nu": range(2, 7), r"\tau": (0.5, 2)},
        {
            r"\E\bigl[(\chi^2_\nu)^\tau\bigr]": lambda nu, tau: chi2(
                nu
            ).expect(lambda u: u**tau),
            r"\int_0^\infty"
            r"\frac{u^{\nu/2+\tau-1}e^{-u/2}}{2^{\nu/2}\,\Gamma(\nu/2)}\,du": (
                power_mean
            ),
        },
        {r"\Gamma": math.gamma},
    ),
    "eq-eeg-classification-rayleigh-gradient": (
        TWO | {r"\mathbf w": matrix(3, 1)},
        {
            r"\boldsymbol\Sigma": lambda a, b, w: a + b,
            r"\nabla R": lambda a, b, w: gradient(
                lambda w: quotient(w, a, a + b), w
            ),
            r"R(\mathbf w)": lambda a, b, w: quotient(w, a, a + b),
        },
    ),
    "eq-eeg-classification-csp": (
        {
            r"\boldsymbol\Sigma_1": covariance(3),
            r"\boldsymbol\Sigma_2": covariance(3),
        },
        {
            r"\boldsymbol\Lambda": lambda a, b: np.diag(filters(a, b)[0]),
            r"\mathbf W": lambda a, b: filters(a, b)[1],
        },
        {r"\mathbf I": np.eye(3)},
    ),
    "eq-eeg-classification-csp-extremes": (
        TWO | {"c": vector(3)},
        {
            r"R(\mathbf W\mathbf c)": lambda a, b, c: quotient(
                filters(a, b)[1] @ c, a, a + b
            ),
            "R": lambda a, b, c: quotient(filters(a, b)[1] @ c, a, a + b),
            r"\lambda": lambda a, b, c: filters(a, b)[0],
            r"\lambda_\text{min}": lambda a, b, c: filters(a, b)[0][0],
            r"\lambda_\text{max}": lambda a, b, c: filters(a, b)[0][-1],
        },
        {"i": range(3)},
    ),
    "eq-eeg-classification-temporal": (
        ENTRIES,
        {
            "Y": lambda Z, V, c, *_: np.pad(
                temporal(Z, V, c), [(0, 0), (1, 0)]
            ),
            "Z": lambda Z, *_: Padded(np.pad(Z, [(1, 0), (1, 0)])),
            "V": lambda Z, V, *_: np.pad(V, [(0, 0), (1, 0), (1, 0)]),
        },
        {"N_u": 2, "K": 4, "p": 1},
    ),
    "eq-eeg-classification-lengths": (
        {},
        {
            "T_1": lambda: length(438, 6, 12, 62, 12)[0],
            "T_2": lambda: length(438, 6, 12, 62, 12)[1],
        },
        {"T": 438, "p": 6, "K": 12, "P": 62, "S": 12},
    ),
    "eq-eeg-classification-parameters": (
        {},
        {"": lambda: sccnet(22, 22, 12, 20, 32, 4)},
        {"C": 22, "N_u": 22, "K": 12, "F": 20, "T_2": 32, "M": 4},
    ),
    "eq-eeg-classification-binomial": (
        {"right": range(1, 5)},
        {
            "p": lambda k: k / 5,
            r"\hat p": shares_of_right,
        },
        {"n": 3},
    ),
    "eq-eeg-classification-wilson": (
        {r"\hat p": UNIT, "n": (20, 300), "z": (1, 3)},
        {
            "p_+": lambda *v: wilson(*v, 1),
            "p_-": lambda *v: wilson(*v, -1),
        },
    ),
    "eq-eeg-classification-align": (
        {"x": trials},
        {
            r"\tilde{\mathbf X}": lambda x: list(
                root_of(total_covariance(x)) @ x
            ),
            r"\mathbf R": total_covariance,
        },
        {"N": 5, "T": 8, "n": range(5), r"\mathbf I": np.eye(3)},
    ),
    "eq-eeg-classification-double-softmax": (
        {},
        {r"\ell": lambda: twice(4, size=2.0)},
        {"M": 4, "e": math.e},
        {r"\ell": lambda: twice(4)},
    ),
}

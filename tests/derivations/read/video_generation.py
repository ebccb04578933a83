import itertools
import math

import numpy as np
import torch
from scipy.stats import chi2
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from ways import (
    ANY,
    UNIT,
    WIDE,
    covariance,
    draws,
    gradient,
    integral,
    jacobian,
    lowest,
    matrix,
    normal_mean,
    settled,
    slope,
    vector,
)


def linear_elbo(x, w, m, s, sigma):
    z, weights = np.polynomial.hermite_e.hermegauss(40)
    z, weights = m + s * z, weights / weights.sum()

    def log_normal(x, mean, scale):
        return -((x - mean) ** 2) / (2 * scale**2) - np.log(
            scale * np.sqrt(2 * np.pi)
        )

    values = log_normal(x, w * z, sigma) + log_normal(z, 0, 1)
    return weights @ (values - log_normal(z, m, s))


def painted_error(previous, g, q, nu):
    return (1 - g) ** 2 * (previous + q**2) + g**2 * nu**2


def mixed_square(previous, g, q, nu):
    """The mean square over all signs of the three errors."""
    old, drift, seen = draws([-1, 1], 3)
    error = (1 - g) * (math.sqrt(previous) * old - q * drift)
    return float(np.mean((error + g * nu * seen) ** 2))


def coin(r, q, nu):
    """Gain and error where both have settled, the best gain by search."""

    def gain(P):
        V = (1 - r) * P + q**2
        return lowest(lambda g: (1 - g) ** 2 * V + g**2 * nu**2, 0, 1)

    P = 0.3
    for _ in range(200):
        g = gain(P)
        P = painted_error((1 - r) * P, g, q, nu)
    return g, P


def growth(lam, tau, sigma):
    """The fastest way out of silence: curvatures of the loss, negative."""

    def loss(place):
        return linear_loss(*place, 1.0, lam, sigma, tau / sigma**2)

    def uphill(place):
        return gradient(loss, place, h=1e-2)

    hessian = jacobian(uphill, np.zeros(2), h=1e-2)
    return -np.linalg.eigvals(hessian).real.min()


def density(x, m, v):
    """N(x; m, v), v the variance."""
    return math.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)


def guesses(sigma, d):
    """Mean square over squared mean of p(0 | z), for z from the prior."""

    def likely(z):
        return np.exp(-(z**2) / (2 * sigma**2)) / sigma

    z = np.linspace(-12, 12, 40001)
    prior = np.exp(-z * z / 2)
    prior = prior / prior.sum()
    return ((prior @ likely(z) ** 2) / (prior @ likely(z)) ** 2) ** d


def evidence(w, sigma, x):
    return integral(
        lambda z: density(x, w * z, sigma**2) * density(z, 0, 1), -12, 12
    )


def spread_points(rng):
    """Five equally likely points in three dimensions."""
    return rng.normal(size=(5, 3))


def divergence(mu_q, cov_q, mu_p, cov_p):
    mu_q, cov_q, mu_p, cov_p = map(torch.tensor, (mu_q, cov_q, mu_p, cov_p))
    q, p = MultivariateNormal(mu_q, cov_q), MultivariateNormal(mu_p, cov_p)
    return kl_divergence(q, p).item()


def diagonal(mu, s):
    return divergence(mu[0], np.diag(s[0] ** 2), mu[1], np.diag(s[1] ** 2))


def standard(mu, s):
    return diagonal([mu, 0 * mu], np.array([s, np.ones(len(s))]))


def from_one(*arrays):
    """An index that begins at 1 on the last axis."""
    return np.pad(np.array(arrays), [(0, 0), (1, 0)])


def score_variance(d, constant):
    """Of (f(ε) - c)·ε₁: by nodes that are exact up to the seventh power."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    e = np.array(list(itertools.product(nodes, repeat=d)))
    weights = weights / weights.sum()
    p = np.prod(list(itertools.product(weights, repeat=d)), axis=1)
    estimate = ((e**2).sum(axis=1) - constant) * e[:, 0]
    return p @ estimate**2 - (p @ estimate) ** 2


def score_moment(d):
    """E[(S + ε₁²)²ε₁²] by the distribution of S, d - 1 squares."""
    s = chi2(d - 1)
    return normal_mean(
        lambda e: (s.var() + s.mean() ** 2) * e**2 + 2 * s.mean() * e**4 + e**6
    )


def linear_loss(w, a, v, lam, sigma, beta):
    """v is the encoder's variance s²."""
    told = ((1 - w * a) ** 2 * lam + w * w * v) / (2 * sigma**2)
    return told + beta / 2 * (a * a * lam + v - 1 - math.log(v))


def best_encoder(w, lam, sigma, beta):
    v = lowest(lambda v: linear_loss(w, 0, v, lam, sigma, beta), 1e-6, 1)
    a = lowest(lambda a: linear_loss(w, a, 1, lam, sigma, beta), -50, 50)
    return v, a


def best_loss(w, lam, sigma, beta):
    v, a = best_encoder(w, lam, sigma, beta)
    return linear_loss(w, a, v, lam, sigma, beta)


def optimum(lam, tau):
    """(w², KL) of the best decoder, with σ = 1."""
    squared = lowest(lambda u: best_loss(math.sqrt(u), lam, 1, tau), 0, 9)
    v, a = best_encoder(math.sqrt(squared), lam, 1, tau)
    return squared, (a * a * lam + v - 1 - math.log(v)) / 2


def ramps(n, ramp, M):
    """The mean of M cycles of n steps that rise in the first `ramp`."""
    T = n * M
    share = ramp / n
    return np.mean([min(1, (k * M % T) / T / share) for k in range(T)])


def flickering(rho):
    """(g before, g, z before, z): all cases of independent signs."""
    before, fresh, one, two = draws([-1, 1], 4)
    return before, rho * before + math.sqrt(1 - rho**2) * fresh, one, two


def best_prior(mu, s):
    """Mean and variance of the prior, by search on the mean divergence."""
    mu, s = torch.tensor(mu), torch.tensor(s)

    def cost(m, v):
        prior = Normal(torch.tensor(m), torch.tensor(math.sqrt(v)))
        return kl_divergence(Normal(mu, s), prior).mean().item()

    center = lowest(lambda m: cost(m, 1.0), -9.0, 9.0)
    return center, lowest(lambda v: cost(center, v), 1e-3, 99.0)


GAUSSIANS = {
    "mu": matrix(2, 3),
    r"\boldsymbol\Sigma_q": covariance(3),
    r"\boldsymbol\Sigma_p": covariance(3),
}
KL = r"\KL(q\,\Vert\,p)"
LINEAR = {"w": WIDE, r"\lambda": WIDE, r"\sigma": WIDE, r"\beta": WIDE}
FRAMES = {r"\mathbf x": vector(5), r"\hat{\mathbf x}": vector(5)}


READ = {
    "eq-video-generation-naive": (
        {r"\sigma": WIDE, "d": range(1, 4)},
        {
            r"\frac{\E_{\mathbf z}[p(\mathbf x\mid\mathbf z)^2]}"
            r"{p(\mathbf x)^2}": guesses
        },
        {r"\mathcal N": density},
    ),
    "eq-video-generation-linear-evidence": (
        {"w": WIDE, r"\sigma": WIDE, "x": ANY, "z": ANY},
        {
            r"\log p(x)": lambda w, s, x, z: math.log(evidence(w, s, x)),
            r"p(z\mid x)": lambda w, s, x, z: (
                density(x, w * z, s**2) * density(z, 0, 1) / evidence(w, s, x)
            ),
        },
        {r"\mathcal N": density},
    ),
    "eq-video-generation-flicker": (
        {r"\rho": UNIT},
        {
            "g_{t-1}": lambda rho: flickering(rho)[0],
            "g_t": lambda rho: flickering(rho)[1],
            "z_{t-1}": lambda rho: flickering(rho)[2],
            "z_t": lambda rho: flickering(rho)[3],
        },
    ),
    "eq-video-generation-quadratic": (
        {
            "z": spread_points,
            r"\mathbf a": matrix(3, 1),
            r"\mathbf B": matrix(3, 3),
        },
        {
            r"\E_q\bigl[(\mathbf z-\mathbf a)^\top\mathbf B\,"
            r"(\mathbf z-\mathbf a)\bigr]": lambda z, a, B: np.mean(
                [(x - a[:, 0]) @ B @ (x - a[:, 0]) for x in z]
            ),
            r"\boldsymbol\Sigma_q": lambda z, a, B: np.cov(z.T, bias=True),
            r"\boldsymbol\mu_q": lambda z, a, B: z.mean(axis=0)[:, None],
        },
    ),
    "eq-video-generation-kl-full": (
        GAUSSIANS,
        {
            KL: lambda mu, q, p: divergence(mu[0], q, mu[1], p),
            r"\boldsymbol\delta": lambda mu, q, p: (mu[1] - mu[0])[:, None],
        },
        {"d": 3},
    ),
    "eq-video-generation-kl-diagonal": (
        {"m": matrix(2, 3), "r": lambda rng: rng.uniform(0.3, 2, (2, 3))},
        {
            KL: diagonal,
            r"\mu": lambda mu, s: from_one(*mu),
            "s": lambda mu, s: from_one(*s),
        },
        {"d": 3, "q": 0, "p": 1},
    ),
    "eq-video-generation-kl-standard": (
        {"m": vector(3), "r": lambda rng: rng.uniform(0.3, 2, 3)},
        {
            KL: standard,
            r"\mu": lambda mu, s: from_one(mu)[0],
            "s": lambda mu, s: from_one(s)[0],
        },
        {"d": 3},
    ),
    "eq-video-generation-variance": (
        {"d": range(2, 8)},
        {
            r"\Var_\text{reparam}": lambda d: normal_mean(
                lambda e: slope(lambda m: (m + e) ** 2, 0.0) ** 2
            ),
            r"\Var_\text{score}": lambda d: score_variance(d, 0),
            r"\E\bigl[(S+\epsilon_1^2)^2\epsilon_1^2\bigr]": score_moment,
        },
    ),
    "eq-video-generation-baseline": (
        {"d": range(2, 8)},
        {r"\Var_\text{baseline}": lambda d: score_variance(d, d)},
    ),
    "eq-video-generation-likelihood": (
        FRAMES | {r"\sigma": WIDE},
        {
            r"-\log p_\theta(\mathbf x\mid\mathbf z,\mathbf c)": (
                lambda x, guess, s: (
                    -np.sum(
                        [
                            math.log(density(a, b, s * s))
                            for a, b in zip(x, guess, strict=True)
                        ]
                    )
                )
            )
        },
        {"D": 5},
    ),
    "eq-video-generation-sigma": (
        FRAMES,
        {
            r"\sigma_\ast": lambda x, guess: lowest(
                lambda s: (
                    -np.sum(
                        [
                            math.log(density(a, b, s * s))
                            for a, b in zip(x, guess, strict=True)
                        ]
                    )
                ),
                0.01,
                20,
            ),
            r"\text{MSE}": lambda x, guess: np.mean((x - guess) ** 2),
        },
        {"D": 5, r"\E": 1},
    ),
    "eq-video-generation-beta-sigma": (
        FRAMES | {r"\sigma": WIDE, r"\beta": WIDE, r"\KL": WIDE},
        {},
    ),
    "eq-video-generation-template": (
        FRAMES | {r"\sigma": WIDE, r"\beta": WIDE, r"\KL": WIDE},
        {
            "b": lambda x, guess, s, beta, kl: 2 * beta * s**2 / 5,
            r"\tau": lambda x, guess, s, beta, kl: beta * s**2,
        },
        {"D": 5},
    ),
    "eq-video-generation-linear-encoder": (
        LINEAR,
        {
            "s": lambda *v: math.sqrt(best_encoder(*v)[0]),
            "a": lambda *v: best_encoder(*v)[1],
            r"\tau": lambda w, lam, sigma, beta: beta * sigma**2,
        },
    ),
    "eq-video-generation-profile": (
        LINEAR,
        {
            "L": best_loss,
            "v": lambda w, lam, sigma, beta: w * w + beta * sigma**2,
            r"\tau": lambda w, lam, sigma, beta: beta * sigma**2,
        },
    ),
    "eq-video-generation-collapse": (
        {r"\lambda": WIDE, r"\tau": WIDE},
        {
            r"w_\ast": lambda *v: math.sqrt(optimum(*v)[0]),
            r"\KL_\ast": lambda *v: optimum(*v)[1],
        },
        {r"\log^+": lambda x: max(math.log(x), 0)},
    ),
    "eq-video-generation-active": (
        {r"\lambda": (1.5, 3), r"\tau": (0.2, 1)},
        {
            "A": lambda lam, tau: (
                best_encoder(math.sqrt(optimum(lam, tau)[0]), lam, 1, tau)[1]
                ** 2
                * lam
            ),
            r"\KL": lambda *v: optimum(*v)[1],
        },
    ),
    "eq-video-generation-psnr-mean": (
        {"m": lambda rng: rng.uniform(0.01, 0.2, 5)},
        {r"\bar m": lambda m: m[1:].mean()},
        {"N": 4},
        {"m": lambda m: np.full(5, 0.1), r"\bar m": lambda m: 0.1},
    ),
    "eq-video-generation-prior": (
        {r"\mu": vector(4), "s": lambda rng: rng.uniform(0.3, 2, 4)},
        {
            r"\mu_p": lambda *v: best_prior(*v)[0],
            "s_p": lambda *v: math.sqrt(best_prior(*v)[1]),
        },
        {"N": 4, "n": range(4)},
    ),
    "eq-video-generation-linear-elbo": (
        {"x": ANY, "w": ANY, r"\mu": ANY, "s": WIDE, r"\sigma": WIDE},
        {r"\text{ELBO}": linear_elbo},
    ),
    "eq-video-generation-saddle": (
        {r"\lambda": WIDE, r"\tau": WIDE, r"\sigma": WIDE},
        {"r": growth},
    ),
    "eq-video-generation-mix-error": (
        {r"\E e_{t-1}^2": WIDE, "g": UNIT, "q": WIDE, r"\nu": WIDE},
        {r"\E e_t^2": mixed_square},
    ),
    "eq-video-generation-forced": (
        {"q": WIDE, r"\nu": WIDE},
        {
            r"g_\text{forced}": lambda q, nu: lowest(
                lambda g: painted_error(0, g, q, nu), 0, 1
            )
        },
    ),
    "eq-video-generation-rollout": (
        {"g": UNIT, "q": WIDE, r"\nu": WIDE},
        {
            "P(g)": lambda g, q, nu: settled(
                lambda P: painted_error(P, g, q, nu)
            )
        },
    ),
    "eq-video-generation-coin": (
        {"r": UNIT, "q": WIDE, r"\nu": WIDE},
        {
            "g_r": lambda *v: coin(*v)[0],
            "P_r": lambda *v: coin(*v)[1],
            "V_r": lambda r, q, nu: (1 - r) * coin(r, q, nu)[1] + q**2,
        },
    ),
    "eq-video-generation-schedule-mean": (
        {"n": range(6, 30), "ramp": range(1, 6), "M": range(1, 4)},
        {
            r"\frac1T\sum_k\frac{\beta_k}{\beta_{\max}}": ramps,
            "R": lambda n, ramp, M: ramp / n,
        },
    ),
}

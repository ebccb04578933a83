import itertools
import math

import numpy as np
import torch
from scipy.stats import binom, hypergeom
from torch.distributions import Normal, kl_divergence

from ways import (
    ANY,
    UNIT,
    WIDE,
    after,
    covariance,
    integral,
    root,
    slope,
    softmax,
    vector,
)


def snr_density(lam):
    """Share of time per log SNR on λ = -2 log tan(πr/2)."""
    r = math.atan(math.exp(-lam / 2)) * 2 / math.pi
    return 1 / abs(
        slope(lambda r: -2 * math.log(math.tan(math.pi * r / 2)), r)
    )


def left_over(s, a, b, of_x, of_noise):
    """Error of the best guess of of_x·x + of_noise·ε from a·x + b·ε."""
    cov = np.diag([s**2, 1.0])
    want, seen = np.array([of_x, of_noise]), np.array([a, b])
    return want @ cov @ want - (want @ cov @ seen) ** 2 / (seen @ cov @ seen)


def circle(phi):
    return math.cos(phi), math.sin(phi)


def conditioned(before, now, x, x_t):
    """Mean and variance of an earlier picture, given the clean and the noisy
    one: by the covariance of the two that are random.
    """
    share = now / before
    cov = np.array(
        [
            [1 - before, math.sqrt(share) * (1 - before)],
            [math.sqrt(share) * (1 - before), 1 - now],
        ]
    )
    mean = math.sqrt(before) * x
    off = x_t - math.sqrt(now) * x
    gain = cov[0, 1] / cov[1, 1]
    return mean + gain * off, cov[0, 0] - gain * cov[0, 1]


def normal_divergence(m1, s1, m2, s2):
    """Between Gaussians with the same variance in each direction."""
    one = torch.ones(len(m1), dtype=torch.float64)
    q = Normal(torch.tensor(m1), s1 * one)
    p = Normal(torch.tensor(m2), s2 * one)
    return kl_divergence(q, p).sum().item()


def noise_loss(before, now, sigma, x, noise, guess):
    """The divergence of a step whose noise is guessed."""
    x_t = math.sqrt(now) * x + math.sqrt(1 - now) * noise
    guessed = (x_t - math.sqrt(1 - now) * guess) / math.sqrt(now)
    true, var = conditioned(before, now, x, x_t)
    wrong, _ = conditioned(before, now, guessed, x_t)
    return normal_divergence(true, math.sqrt(var), wrong, sigma)


def own_weight(later, now):
    """The loss of a noise that is wrong by 1, with the chain's variance."""
    before, after_ = (1 / (1 + math.exp(-x)) for x in (later, now))
    sd = math.sqrt(conditioned(before, after_, 0, 0)[1])
    nothing = np.zeros(1)
    return noise_loss(before, after_, sd, nothing, nothing + 1, nothing)


def time_of(lam):
    """Where the cosine schedule has this log SNR."""
    return root(
        lambda r: -2 * math.log(math.tan(math.pi * r / 2)) - lam,
        1e-9,
        1 - 1e-9,
    )


def walk_by_angles(steps):
    """Euler's steps on standard Gaussian data, over the true spread."""
    rho = np.tan([sum(steps[k:]) for k in range(len(steps) + 1)])
    x = math.hypot(1, rho[0])
    for now, following in itertools.pairwise(rho):
        x = x + (following - now) * now * x / (1 + now**2)
    return x


def picture_loss(before, now, x, guessed, noise):
    """The same with the chain's own variance and a guess of the picture."""
    x_t = math.sqrt(now) * x + math.sqrt(1 - now) * noise
    true, var = conditioned(before, now, x, x_t)
    wrong, _ = conditioned(before, now, guessed, x_t)
    sd = math.sqrt(var)
    return normal_divergence(true, sd, wrong, sd)


def step_by_step(C, shares):
    """The covariance after these steps."""
    for share in shares:
        C = share * C + (1 - share) * np.eye(len(C))
    return C


def mixture(points):
    """log q_t, and the mean of the picture, for pictures that are points."""

    def log_density(x, a, b):
        off = np.array([x - a * p for p in points])
        return math.log(np.exp(-((off / b) ** 2) / 2).sum())

    def guess(x, a, b):
        off = np.array([x - a * p for p in points])
        return softmax(-((off / b) ** 2) / 2) @ points

    return log_density, guess


def two_kinds(a, b, s, m, p, x_t):
    """E[x₀ | x_t] by integration."""

    def weight(x):
        kinds = p * math.exp(-((x - m) ** 2) / (2 * s * s))
        kinds += (1 - p) * math.exp(-((x + m) ** 2) / (2 * s * s))
        return kinds * math.exp(-((x_t - a * x) ** 2) / (2 * b * b))

    ends = m + 9 * s
    whole = integral(weight, -ends, ends, points=400)
    return integral(lambda x: x * weight(x), -ends, ends, points=400) / whole


def tilted(w, s, R, mu):
    """Mean and variance of p(x)^(1-w) p(x|c)^w, by integration."""

    def weight(x):
        return math.exp(
            -(1 - w) * x * x / (2 * R * R) - w * (x - mu) ** 2 / (2 * s * s)
        )

    whole = integral(weight, -20, 20, points=400)
    mean = integral(lambda x: x * weight(x), -20, 20, points=400) / whole
    square = integral(lambda x: x * x * weight(x), -20, 20, points=400)
    return mean, square / whole - mean**2


def shape(x, mean, var):
    return math.exp((mean**2 - (x - mean) ** 2) / (2 * var))


def walked(m, s, rho, end, x):
    """The probability flow of Gaussian data by Runge and Kutta."""

    def speed(rho, x):  # the best guess of the noise
        return rho * (x - m) / (s * s + rho * rho)

    h = (end - rho) / 400
    for _ in range(400):
        one = speed(rho, x)
        two = speed(rho + h / 2, x + h / 2 * one)
        three = speed(rho + h / 2, x + h / 2 * two)
        four = speed(rho + h, x + h * three)
        x, rho = x + h / 6 * (one + 2 * two + 2 * three + four), rho + h
    return x


def gaussian_score(x, mean, var):
    return slope(lambda x: -((x - mean) ** 2) / (2 * var), x)


def clock(t):
    angles = t * 10000.0 ** (-np.arange(4) / 4)
    return np.concatenate([np.sin(angles), np.cos(angles)])


def gaussian_cov(s, before, now):
    """Variance of x_{t-1} and of x_0, given x_t, for x_0 ~ N(0, s²)."""
    share = now / before
    earlier, later = before * s * s + 1 - before, now * s * s + 1 - now
    cov = math.sqrt(share) * earlier
    with_x0 = math.sqrt(now) * s * s
    return earlier - cov**2 / later, s * s - with_x0**2 / later


BARS = {
    r"\bar\alpha_{t-1}": (0.6, 0.95),
    r"\bar\alpha_t": (0.1, 0.5),
}
POSTERIOR = BARS | {r"\mathbf x_0": ANY, r"\mathbf x_t": ANY}
ALPHA = {
    r"\alpha_t": lambda before, now, *_: now / before,
    r"\beta_t": lambda before, now, *_: 1 - now / before,
}
ANGLE = {"phi": (0.1, 1.4)}
VECTORS = {
    r"\mathbf x_0": vector(4),
    r"\boldsymbol\varepsilon": vector(4),
    r"\hat{\mathbf x}_0": vector(4),
}


def guess_of_noise(phi, x, noise, guess):
    x_t = math.cos(phi) * x + math.sin(phi) * noise
    return (x_t - math.cos(phi) * guess) / math.sin(phi)


def straight_time(phi, *_):
    return math.sin(phi) / (math.cos(phi) + math.sin(phi))


GUIDED = {
    "phi": (0.1, 1.4),
    r"\mathbf x_t": ANY,
    "mean": ANY,
    "var": WIDE,
    "mean_c": ANY,
    "var_c": WIDE,
    "w": ANY,
}
FREE = r"\boldsymbol\varepsilon_\theta(\mathbf x_t,\varnothing)"
BOUND = r"\boldsymbol\varepsilon_\theta(\mathbf x_t,\mathbf c)"


def free(phi, x, m, v, *_):
    return -math.sin(phi) * gaussian_score(x, m, v)


def bound(phi, x, m, v, m_c, v_c, w):
    return -math.sin(phi) * gaussian_score(x, m_c, v_c)


def guided(*v):
    return free(*v) + v[-1] * (bound(*v) - free(*v))


def tilted_score(phi, x, m, v, m_c, v_c, w):
    return slope(
        lambda x: (
            -(1 - w) * (x - m) ** 2 / (2 * v) - w * (x - m_c) ** 2 / (2 * v_c)
        ),
        x,
    )


def velocity(rule):
    def found(phi, x, *rest):
        noise = rule(phi, x, *rest)
        picture = (x - math.sin(phi) * noise) / math.cos(phi)
        return math.cos(phi) * noise - math.sin(phi) * picture

    return found


A_B = {
    "a_t": lambda phi, *_: math.cos(phi),
    "b_t": lambda phi, *_: math.sin(phi),
}
POINTS = {"points": vector(4), "phi": (0.1, 1.4), r"\mathbf x_t": ANY}
OF_POINTS = {
    r"\nabla\log q_t(\mathbf x_t)": lambda points, phi, x: slope(
        lambda x: mixture(points)[0](x, math.cos(phi), math.sin(phi)), x
    ),
    r"\E[\mathbf x_0\mid\mathbf x_t]": lambda points, phi, x: mixture(points)[
        1
    ](x, math.cos(phi), math.sin(phi)),
    "a_t": lambda points, phi, x: math.cos(phi),
    "b_t": lambda points, phi, x: math.sin(phi),
}


def noise_of_points(points, phi, x):
    a, b = circle(phi)
    return (x - a * mixture(points)[1](x, a, b)) / b


WHEN = {"phi": (0.8, 1.4), "earlier": (0.1, 0.7)}


READ = {
    "eq-diffusion-preserving": (
        {
            r"\mathbf C": covariance(3),
            "steps": lambda rng: rng.uniform(0.3, 0.9, 4),
        },
        {
            r"\operatorname{Cov}[\mathbf x_t]": step_by_step,
            r"\bar\alpha_t": lambda C, steps: np.prod(steps),
            r"\tfrac1d\E\lVert\mathbf x_t\rVert^2": lambda C, steps: (
                np.trace(step_by_step(C, steps)) / 3
            ),
            "P": lambda C, steps: np.trace(C) / 3,
        },
        {r"\mathbf I": np.eye(3)},
    ),
    "eq-diffusion-posterior": (
        POSTERIOR,
        ALPHA
        | {
            r"q(\mathbf x_{t-1}\mid\mathbf x_t,\mathbf x_0)": lambda *v: 0,
            r"\mathcal N(\tilde{\boldsymbol\mu}_t,\tilde\beta_t\mathbf I)": (
                lambda *v: 0
            ),
            r"\tilde\beta_t": lambda *v: conditioned(*v)[1],
            r"\tilde{\boldsymbol\mu}_t": lambda *v: conditioned(*v)[0],
        },
    ),
    "eq-diffusion-posterior-noise": (
        POSTERIOR,
        ALPHA
        | {
            r"\tilde{\boldsymbol\mu}_t": lambda *v: conditioned(*v)[0],
            "b_t": lambda before, now, *_: math.sqrt(1 - now),
            r"\boldsymbol\varepsilon": lambda before, now, x, x_t: (
                (x_t - math.sqrt(now) * x) / math.sqrt(1 - now)
            ),
        },
    ),
    "eq-diffusion-kl-isotropic": (
        {
            r"\boldsymbol\mu_1": vector(4),
            r"\boldsymbol\mu_2": vector(4),
            "s_1": WIDE,
            "s_2": WIDE,
        },
        {
            r"\KL": lambda a, b, s, t: normal_divergence(a, s, b, t),
            "r": lambda a, b, s, t: (s / t) ** 2,
        },
        {"d": 4},
    ),
    "eq-diffusion-prior": (
        {r"\mathbf x_0": vector(4), r"\bar\alpha_T": UNIT},
        {
            "L_T": lambda x, a: normal_divergence(
                math.sqrt(a) * x, math.sqrt(1 - a), 0 * x, 1.0
            )
        },
        {"d": 4},
    ),
    "eq-diffusion-noise-loss": (
        BARS
        | {
            r"\sigma_t": WIDE,
            "x": vector(4),
            "noise": vector(4),
            "guess": vector(4),
        },
        ALPHA
        | {
            "L_{t-1}": noise_loss,
            r"\E\lVert\boldsymbol\varepsilon"
            r"-\boldsymbol\varepsilon_\theta(\mathbf x_t,t)\rVert^2": (
                lambda b, t, s, x, noise, guess: ((noise - guess) ** 2).sum()
            ),
            "C_t": lambda b, t, s, x, noise, guess: noise_loss(
                b, t, s, x, noise, noise
            ),
            "W_t": lambda b, t, s, x, noise, guess: (
                (
                    noise_loss(b, t, s, x, noise, guess)
                    - noise_loss(b, t, s, x, noise, noise)
                )
                / ((noise - guess) ** 2).sum()
            ),
        },
    ),
    "eq-diffusion-snr-step": (
        BARS,
        ALPHA
        | {
            r"\operatorname{SNR}(t-1)": lambda b, t: b / (1 - b),
            r"\operatorname{SNR}(t)": lambda b, t: t / (1 - t),
            "b_{t-1}": lambda b, t: math.sqrt(1 - b),
            "b_t": lambda b, t: math.sqrt(1 - t),
        },
    ),
    "eq-diffusion-snr-loss": (
        BARS | {"x": vector(4), "guess": vector(4), "noise": vector(4)},
        {
            "L_{t-1}": picture_loss,
            r"\operatorname{SNR}(t-1)": lambda b, t, *_: b / (1 - b),
            r"\operatorname{SNR}(t)": lambda b, t, *_: t / (1 - t),
            r"\E\lVert\mathbf x_0-\hat{\mathbf x}_0(\mathbf x_t,t)\rVert^2": (
                lambda b, t, x, guess, noise: ((x - guess) ** 2).sum()
            ),
        },
    ),
    "eq-diffusion-gaussian-bound": (
        {"s": WIDE, r"\xi_1": (2, 5), r"\xi_T": (0, 1)},
        {
            r"\int_{\xi_T}^{\xi_1}\frac{s^2}{1+s^2\xi}\,d\xi": (
                lambda s, one, last: integral(
                    lambda x: s * s / (1 + s * s * x), last, one
                )
            )
        },
    ),
    "eq-diffusion-errors": (
        ANGLE | VECTORS,
        {
            r"\hat{\boldsymbol\varepsilon}": guess_of_noise,
            r"\operatorname{SNR}": lambda phi, *_: math.tan(phi) ** -2,
            r"\mathbf v": lambda phi, x, noise, guess: (
                math.cos(phi) * noise - math.sin(phi) * x
            ),
            r"\hat{\mathbf v}": lambda phi, x, noise, guess: (
                math.cos(phi) * guess_of_noise(phi, x, noise, guess)
                - math.sin(phi) * guess
            ),
        },
    ),
    "eq-diffusion-best-errors": (
        {"s": WIDE, "phi": (0.1, 1.4)},
        {
            "E_x": lambda s, phi: left_over(s, *circle(phi), 1, 0),
            r"E_\varepsilon": lambda s, phi: left_over(s, *circle(phi), 0, 1),
            "E_v": lambda s, phi: left_over(
                s, *circle(phi), -math.sin(phi), math.cos(phi)
            ),
            "a_t": lambda s, phi: math.cos(phi),
            "b_t": lambda s, phi: math.sin(phi),
        },
    ),
    "eq-diffusion-cosine": (
        {"t": (1, 99)},
        {
            r"\phi_t": lambda t: math.acos(
                math.sqrt(math.cos(math.pi * t / 200) ** 2)
            ),
            r"\lambda_t": lambda t: math.log(
                math.cos(math.pi * t / 200) ** 2
                / (1 - math.cos(math.pi * t / 200) ** 2)
            ),
        },
        {"T": 100},
    ),
    "eq-diffusion-score-of-mean": (POINTS, OF_POINTS),
    "eq-diffusion-tweedie": (POINTS, OF_POINTS),
    "eq-diffusion-score": (
        POINTS,
        OF_POINTS
        | {
            r"\boldsymbol\varepsilon^\ast(\mathbf x_t)": noise_of_points,
        },
    ),
    "eq-diffusion-two-kinds": (
        {
            "a_t": UNIT,
            "b_t": UNIT,
            "s": (0.3, 1),
            "m": WIDE,
            "p": UNIT,
            "x_t": ANY,
        },
        {
            r"\E[x_0\mid x_t]": two_kinds,
            "D_t": lambda a, b, s, *_: a * a * s * s + b * b,
            r"\zeta": lambda a, b, s, m, p, x: math.atanh(
                (
                    two_kinds(a, b, s, m, p, x) * (a * a * s * s + b * b)
                    - a * s * s * x
                )
                / (b * b * m)
            ),
        },
    ),
    "eq-diffusion-guidance": (
        GUIDED,
        A_B
        | {
            r"\hat{\boldsymbol\varepsilon}": guided,
            FREE: free,
            BOUND: bound,
            r"\nabla\log\bigl[q_t(\mathbf x_t)^{1-w}\,"
            r"q_t(\mathbf x_t\mid\mathbf c)^w\bigr]": tilted_score,
        },
    ),
    "eq-diffusion-guided-velocity": (
        GUIDED,
        A_B
        | {
            r"\hat{\boldsymbol\varepsilon}": guided,
            r"\mathbf v_\theta(\mathbf x_t,\varnothing)": velocity(free),
            r"\mathbf v_\theta(\mathbf x_t,\mathbf c)": velocity(bound),
        },
    ),
    "eq-diffusion-tilted": (
        {
            "w": (1.1, 3),
            "s": (0.4, 0.9),
            "R": (1, 2),
            r"\mu": ANY,
            "x": ANY,
        },
        {  # densities, over their values at 0
            "p(x)": lambda w, s, R, mu, x: math.exp(-x * x / (2 * R * R)),
            r"p(x\mid c)": lambda w, s, R, mu, x: math.exp(
                (mu**2 - (x - mu) ** 2) / (2 * s * s)
            ),
            r"\mathcal N(M_w,V_w)": lambda *v: shape(v[-1], *tilted(*v[:4])),
            "M_w": lambda *v: tilted(*v[:4])[0],
            "V_w": lambda *v: tilted(*v[:4])[1],
        },
    ),
    "eq-diffusion-total-variance": (
        {"s": WIDE, **BARS},
        {
            r"\operatorname{Cov}[\mathbf x_{t-1}\mid\mathbf x_t]": (
                lambda *v: gaussian_cov(*v)[0]
            ),
            r"\operatorname{Cov}[\mathbf x_0\mid\mathbf x_t]": (
                lambda *v: gaussian_cov(*v)[1]
            ),
            r"\tilde\beta_t": lambda s, b, t: conditioned(b, t, 0, 0)[1],
            r"\beta_t": lambda s, b, t: 1 - t / b,
            "a_{t-1}": lambda s, b, t: math.sqrt(b),
            "b_t": lambda s, b, t: math.sqrt(1 - t),
        },
        {r"\mathbf I": 1},
    ),
    "eq-diffusion-ddim": (
        WHEN | {r"\mathbf x_t": vector(3), r"\hat{\mathbf v}": vector(3)},
        {
            r"\phi_t": lambda phi, *_: phi,
            r"\phi_u": lambda phi, u, *_: u,
            r"\mathbf x_u": lambda phi, u, x, v: (
                math.cos(u) * (math.cos(phi) * x - math.sin(phi) * v)
                + math.sin(u) * (math.sin(phi) * x + math.cos(phi) * v)
            ),
        },
    ),
    "eq-diffusion-euler": (
        WHEN
        | {
            "x": vector(3),
            r"\hat{\boldsymbol\varepsilon}(\mathbf x_t,t)": vector(3),
        },
        {
            r"\bar{\mathbf x}_t": lambda phi, u, x, e: x / math.cos(phi),
            r"\bar{\mathbf x}_u": lambda phi, u, x, e: (
                (
                    math.cos(u) * (x - math.sin(phi) * e) / math.cos(phi)
                    + math.sin(u) * e
                )
                / math.cos(u)
            ),
            r"\rho_t": lambda phi, *_: math.tan(phi),
            r"\rho_u": lambda phi, u, *_: math.tan(u),
        },
    ),
    "eq-diffusion-flow": (
        {
            "m": ANY,
            "s": WIDE,
            r"\rho_t": (1, 3),
            r"\rho_u": (0.1, 0.8),
            r"\bar x_t": ANY,
        },
        {r"\bar x_u": walked},
    ),
    "eq-diffusion-shrink": (
        {"steps": lambda rng: rng.uniform(0.1, 0.35, 4)},
        {
            "r_S": walk_by_angles,
            r"\Delta": lambda steps: [0, *steps],
            r"\Psi": sum,
        },
        {"S": 4},
        {
            "r_S": lambda _: math.cos(0.3) ** 4,
            r"\Delta": lambda _: [0.3] * 5,
            r"\Psi": lambda _: 1.2,
        },
    ),
    "eq-diffusion-straight-circle": (
        ANGLE
        | {r"\mathbf x_0": vector(3), r"\boldsymbol\varepsilon": vector(3)},
        A_B
        | {
            r"\mathbf x_t": lambda phi, x, e: (
                math.cos(phi) * x + math.sin(phi) * e
            ),
            r"\tau": straight_time,
            r"\mathbf x_\tau": lambda phi, x, e: (
                x + straight_time(phi) * (e - x)
            ),
            r"\sqrt{\operatorname{SNR}(t)}": lambda phi, *_: 1 / math.tan(phi),
        },
    ),
    "eq-diffusion-straight-errors": (
        ANGLE | VECTORS,
        {
            r"\mathbf f": lambda phi, x, noise, guess: noise - x,
            r"\hat{\mathbf f}": lambda phi, x, noise, guess: (
                guess_of_noise(phi, x, noise, guess) - guess
            ),
            r"\operatorname{SNR}": lambda phi, *_: math.tan(phi) ** -2,
        },
    ),
    "eq-diffusion-straight-euler": (
        {
            r"\hat{\mathbf x}_0": vector(3),
            r"\hat{\boldsymbol\varepsilon}": vector(3),
            r"\tau": UNIT,
            r"\tau'": UNIT,
        },
        {
            r"\mathbf x_\tau": lambda x, e, tau, _: x + tau * (e - x),
            r"\hat{\mathbf f}": lambda x, e, *_: e - x,
        },
    ),
    "eq-diffusion-embedding": (
        {
            "c": lambda rng: rng.integers(0, 2, 25),
            r"\mathbf e": lambda rng: rng.normal(size=(2, 3)),
        },
        {"n": lambda c, e: c[1:].sum()},
    ),
    "eq-diffusion-time": (
        {"t": range(50), "t'": range(50)},
        {
            r"\boldsymbol\gamma(t)": lambda t, u: clock(t),
            r"\boldsymbol\gamma(t')": lambda t, u: clock(u),
        },
        {r"\omega": 10000.0 ** (-np.arange(4) / 4), "i": range(4)},
    ),
    "eq-diffusion-ema": (
        {r"\mu_{\text E}": UNIT, "n": range(1, 9)},
        {
            "": lambda mu, n: after(
                n, lambda mean, _: mu * mean + (1 - mu), 0.0
            )
        },
    ),
    "eq-diffusion-exact": (
        {"e": UNIT},
        {r"\Pr(\text{pass})": lambda e: binom.pmf(0, 24, e)},
    ),
    "eq-diffusion-chance": (
        {"k": lambda rng: rng.integers(1, 6, 5)},
        {
            r"\E[\text{score}]": lambda k: (
                sum(hypergeom(24, n, n).mean() for n in k) / k.sum()
            )
        },
        {"i": range(5)},
    ),
    "eq-diffusion-long-step": (
        {
            r"\bar\alpha_u": (0.6, 0.95),
            r"\bar\alpha_t": (0.1, 0.5),
            r"\mathbf x_0": ANY,
            r"\mathbf x_t": ANY,
        },
        {
            r"\text{mean}": lambda *v: conditioned(*v)[0],
            r"\text{variance}": lambda *v: conditioned(*v)[1],
            r"\alpha": lambda before, now, *_: now / before,
        },
    ),
    "eq-diffusion-weight": (
        {r"\lambda_{t-1}": (0.5, 3), r"\lambda_t": (-3, 0)},
        {
            "W_t": own_weight,
            r"\operatorname{SNR}(t-1)": lambda a, b: math.exp(a),
            r"\operatorname{SNR}(t)": lambda a, b: math.exp(b),
        },
    ),
    "eq-diffusion-cosine-density": (
        {r"\lambda": ANY},
        {
            r"\chi(\lambda)": snr_density,
            r"\Bigl|\frac{d(t/T)}{d\lambda}\Bigr|": lambda lam: abs(
                slope(time_of, lam)
            ),
        },
    ),
    "eq-diffusion-velocity-weight": (
        {r"\lambda": ANY},
        {r"\chi(\lambda)": snr_density},
    ),
    "eq-diffusion-leak": (
        {"a_T": UNIT, "b_T": UNIT, "m": WIDE, "d": (1, 9)},
        {r"\operatorname{SNR}(T)": lambda a, b, m, d: a**2 / b**2},
    ),
    "eq-diffusion-zero-terminal": (
        {
            r"\bar\alpha_1": (0.8, 0.99),
            r"\bar\alpha_t": (0.3, 0.7),
            r"\bar\alpha_T": (0.01, 0.2),
        },
        {
            r"\sqrt{\bar\alpha'_t}": lambda first, now, last: np.interp(
                now**0.5, [last**0.5, first**0.5], [0, first**0.5]
            )
        },
    ),
}

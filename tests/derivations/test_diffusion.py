"""Each numbered claim of book/diffusion.md, checked: symbolically, by
quadrature, by autograd, or by simulation.
"""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from scipy import integrate, optimize, stats

from verifies import mean_within, verifies

T = 1000


def with_start(beta):
    """beta, alpha and alpha_bar with an entry for t = 0, so that index t is
    the page's t.
    """
    beta = np.concatenate([[0.0], beta])
    return beta, 1 - beta, np.cumprod(1 - beta)


def linear(steps=T):
    return with_start(1e-4 + np.arange(steps) / (steps - 1) * (0.02 - 1e-4))


def cosine(steps=T, offset=0.008, most=0.999):
    f = (
        np.cos(
            math.pi
            / 2
            * (np.arange(steps + 1) / steps + offset)
            / (1 + offset)
        )
        ** 2
    )
    return with_start(np.minimum(1 - f[1:] / f[:-1], most))


SCHEDULES = {"linear": linear(), "cosine": cosine()}


def snr(alpha_bar):
    with np.errstate(divide="ignore"):
        return alpha_bar / (1 - alpha_bar)


def log_normal(x, mean, variance):
    """Log-density of independent normal entries, summed over the last axis."""
    return np.sum(
        -0.5 * (x - mean) ** 2 / variance
        - 0.5 * np.log(2 * math.pi * variance),
        axis=-1,
    )


def gauss(degree=60):
    """Points and weights for expectations over a standard normal variable."""
    x, w = np.polynomial.hermite_e.hermegauss(degree)
    return x, w / w.sum()


# --- adding noise ------------------------------------------------------------


def linear_chain(beta, steps):
    """x_t as a combination of x_0 and the noises z_1, z_2, …: the rows t =
    0..steps of coefficients.
    """
    rows = [np.eye(steps + 1)[0]]
    for t in range(1, steps + 1):
        fresh = np.eye(steps + 1)[t]
        rows.append(
            math.sqrt(1 - beta[t]) * rows[-1] + math.sqrt(beta[t]) * fresh
        )
    return np.array(rows)


@verifies("eq-diffusion-marginal")
def test_closed_form_of_the_forward_process():
    for beta, _, alpha_bar in SCHEDULES.values():
        rows = linear_chain(beta, 400)
        for t in (1, 2, 100, 400):
            assert rows[t, 0] == pytest.approx(
                math.sqrt(alpha_bar[t]), rel=1e-12
            )
            assert np.sum(rows[t, 1:] ** 2) == pytest.approx(
                1 - alpha_bar[t], rel=1e-10
            )
    # And by simulation, for one picture.
    beta, alpha, alpha_bar = with_start(np.array([0.1, 0.3, 0.2]))
    rng, x0 = np.random.default_rng(0), 0.8
    x = np.full(200_000, x0)
    for t in (1, 2, 3):
        x = math.sqrt(alpha[t]) * x + math.sqrt(beta[t]) * rng.normal(
            size=x.shape
        )
    noise = (x - math.sqrt(alpha_bar[3]) * x0) / math.sqrt(1 - alpha_bar[3])
    mean_within(noise, 0)
    mean_within(noise**2, 1)
    mean_within(noise**4, 3)


@verifies("eq-diffusion-preserving")
def test_variance_moves_from_that_of_the_data_to_one():
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(3, 3))
    data = factor @ factor.T
    beta, alpha, alpha_bar = SCHEDULES["linear"]
    covariance, power = data, 0.3
    for t in range(1, 301):  # step by step
        covariance = alpha[t] * covariance + beta[t] * np.eye(3)
        power = alpha[t] * power + beta[t]
        if t in (1, 50, 300):
            a = alpha_bar[t]
            assert np.allclose(
                covariance, a * data + (1 - a) * np.eye(3), rtol=1e-10
            )
            assert power == pytest.approx(a * 0.3 + (1 - a), rel=1e-10)
            assert 0.3 < power < 1
    samples = rng.choice([-0.9, 0.1, 0.4], size=100_000)  # not Gaussian
    noisy = math.sqrt(0.4) * samples + math.sqrt(0.6) * rng.normal(
        size=samples.shape
    )
    mean_within(noisy**2, 0.4 * (0.81 + 0.01 + 0.16) / 3 + 0.6)


# --- the way back ------------------------------------------------------------


def posterior(x0, xt, t, beta, alpha, alpha_bar):
    b2 = 1 - alpha_bar
    mean = (
        math.sqrt(alpha_bar[t - 1]) * beta[t] / b2[t] * x0
        + math.sqrt(alpha[t]) * b2[t - 1] / b2[t] * xt
    )
    return mean, b2[t - 1] / b2[t] * beta[t]


@verifies("eq-diffusion-posterior")
def test_way_back_if_the_picture_is_known():
    schedule = beta, alpha, alpha_bar = SCHEDULES["cosine"]
    for t in (2, 40, 700, 1000):
        for x0, xt in ((0.3, -1.2), (-1.0, 0.4)):
            mean, variance = posterior(x0, xt, t, *schedule)
            # Bayes: likelihood times prior is proportional to the claimed
            # density.
            x = mean + math.sqrt(variance) * np.linspace(-4, 4, 41)[:, None]
            product = log_normal(xt, math.sqrt(alpha[t]) * x, beta[t])
            product += log_normal(
                x, math.sqrt(alpha_bar[t - 1]) * x0, 1 - alpha_bar[t - 1]
            )
            assert np.ptp(product - log_normal(x, mean, variance)) < 1e-7
            assert (
                variance < min(beta[t], 1 - alpha_bar[t - 1]) + 1e-15
            )  # narrower than both, of the caption


@verifies("eq-diffusion-posterior-noise")
def test_way_back_by_the_noise():
    schedule = beta, alpha, alpha_bar = SCHEDULES["linear"]
    for t in (2, 100, 1000):
        x0, noise = 0.4, -1.3
        xt = math.sqrt(alpha_bar[t]) * x0 + math.sqrt(1 - alpha_bar[t]) * noise
        claimed = (
            xt - beta[t] / math.sqrt(1 - alpha_bar[t]) * noise
        ) / math.sqrt(alpha[t])
        assert claimed == pytest.approx(
            posterior(x0, xt, t, *schedule)[0], rel=1e-9
        )


# --- the bound ---------------------------------------------------------------


class Chain:
    """A forward and a backward chain of three steps for one pixel; all are
    linear and Gaussian.
    """

    steps = 3
    beta, alpha, alpha_bar = with_start(np.array([0.2, 0.5, 0.6]))
    gain, shift, sigma = (
        [None, 0.9, 0.7, 0.5],
        [None, 0.05, -0.2, 0.1],
        [None, 0.4, 0.5, 0.8],
    )
    x0 = 0.7

    def __init__(self):
        """q(x_1, x_2, x_3 | x_0) and p(x_0, …, x_3): means and covariances."""
        rows = linear_chain(self.beta, 3)
        self.q_mean, self.q_cov = (
            rows[1:, 0] * self.x0,
            rows[1:, 1:] @ rows[1:, 1:].T,
        )
        maps, means = (
            [np.array([1.0, 0, 0, 0])],
            [0.0],
        )  # of x_3, in terms of four independent noises
        for t in (3, 2, 1):
            maps.append(
                self.gain[t] * maps[-1] + self.sigma[t] * np.eye(4)[4 - t]
            )
            means.append(self.gain[t] * means[-1] + self.shift[t])
        maps = np.array(maps[::-1])
        self.p_mean, self.p_cov = np.array(means[::-1]), maps @ maps.T

    def samples(self, size):
        rng = np.random.default_rng(0)
        x = [np.full(size, self.x0)]
        for t in (1, 2, 3):
            x.append(
                math.sqrt(self.alpha[t]) * x[-1]
                + math.sqrt(self.beta[t]) * rng.normal(size=size)
            )
        return np.array(x)

    def back(self, t, x_t):
        return self.gain[t] * x_t + self.shift[t], self.sigma[t] ** 2

    def bound(self):
        """L: minus the expected log p of all plus the expected log q, by the
        moments of q.
        """
        p, q_entropy = (
            stats.multivariate_normal(self.p_mean, self.p_cov),
            stats.multivariate_normal(self.q_mean, self.q_cov).entropy(),
        )
        mean = np.concatenate([[self.x0], self.q_mean])
        covariance = np.zeros((4, 4))
        covariance[1:, 1:] = self.q_cov
        expected = p.logpdf(mean) - 0.5 * np.trace(
            np.linalg.solve(self.p_cov, covariance)
        )
        return -expected - q_entropy


def kl(mean1, cov1, mean2, cov2):
    d = len(mean1)
    shift = mean1 - mean2
    return 0.5 * (
        math.log(np.linalg.det(cov2) / np.linalg.det(cov1))
        - d
        + np.trace(np.linalg.solve(cov2, cov1))
        + shift @ np.linalg.solve(cov2, shift)
    )


@verifies("eq-diffusion-bound")
def test_bound_exceeds_by_a_divergence():
    chain = Chain()
    gain = (
        chain.p_cov[1:, 0] / chain.p_cov[0, 0]
    )  # p(x_1, x_2, x_3 | x_0), by conditioning
    mean = chain.p_mean[1:] + gain * (chain.x0 - chain.p_mean[0])
    covariance = chain.p_cov[1:, 1:] - np.outer(gain, chain.p_cov[0, 1:])
    gap = kl(chain.q_mean, chain.q_cov, mean, covariance)
    minus_log = -stats.norm(
        chain.p_mean[0], math.sqrt(chain.p_cov[0, 0])
    ).logpdf(chain.x0)
    assert minus_log == pytest.approx(chain.bound() - gap, rel=1e-10)
    assert gap > 0.05 and minus_log < chain.bound()


@verifies("eq-diffusion-telescope")
def test_forward_steps_turned_around():
    chain = Chain()
    beta, alpha, alpha_bar = chain.beta, chain.alpha, chain.alpha_bar
    x = np.random.default_rng(0).normal(size=(4, 50, 1))
    x[0] = chain.x0
    forward = sum(
        log_normal(x[t], math.sqrt(alpha[t]) * x[t - 1], beta[t])
        for t in (2, 3)
    )

    def marginal(t):
        return log_normal(
            x[t], math.sqrt(alpha_bar[t]) * x[0], 1 - alpha_bar[t]
        )

    backward = 0
    for t in (2, 3):
        # q(x_{t-1} | x_t, x_0) by conditioning the joint distribution of both
        joint = linear_chain(beta, 3)
        cov = joint[:, 1:] @ joint[:, 1:].T
        gain = cov[t - 1, t] / cov[t, t]
        mean = joint[t - 1, 0] * x[0] + gain * (x[t] - joint[t, 0] * x[0])
        backward = backward + log_normal(
            x[t - 1], mean, cov[t - 1, t - 1] - gain * cov[t, t - 1]
        )
    assert np.allclose(
        forward, marginal(3) - marginal(1) + backward, rtol=1e-10
    )


@verifies("eq-diffusion-terms")
def test_bound_term_by_term():
    chain = Chain()
    schedule = chain.beta, chain.alpha, chain.alpha_bar
    z, w = gauss()

    def at(t):  # points of x_t given x_0
        return (
            math.sqrt(chain.alpha_bar[t]) * chain.x0
            + math.sqrt(1 - chain.alpha_bar[t]) * z
        )

    def divergence(mean1, variance1, mean2, variance2):
        r = variance1 / variance2
        return (mean1 - mean2) ** 2 / (2 * variance2) + (r - 1 - np.log(r)) / 2

    last = divergence(
        math.sqrt(chain.alpha_bar[3]) * chain.x0, 1 - chain.alpha_bar[3], 0, 1
    )
    middle = [
        w
        @ divergence(
            *posterior(chain.x0, at(t), t, *schedule), *chain.back(t, at(t))
        )
        for t in (2, 3)
    ]
    mean, variance = chain.back(1, at(1))
    first = w @ (-log_normal(chain.x0, mean[:, None], variance))
    assert last + sum(middle) + first == pytest.approx(
        chain.bound(), rel=1e-10
    )
    # The definition of L itself, by simulation.
    x = chain.samples(200_000)
    log_p = stats.norm.logpdf(x[3])
    log_q = 0
    for t in (1, 2, 3):
        mean, variance = chain.back(t, x[t])
        log_p = log_p + log_normal(x[t - 1][:, None], mean[:, None], variance)
        log_q = log_q + log_normal(
            x[t][:, None],
            math.sqrt(chain.alpha[t]) * x[t - 1][:, None],
            chain.beta[t],
        )
    mean_within(log_q - log_p, chain.bound())


def test_divergence_that_the_other_tests_use():
    rng = np.random.default_rng(0)
    for d in (1, 3):
        means = rng.normal(size=(2, d))
        factors = rng.normal(size=(2, d, d)) + 2 * np.eye(d)
        one, two = (
            torch.distributions.MultivariateNormal(
                torch.tensor(m), torch.tensor(f @ f.T)
            )
            for m, f in zip(means, factors, strict=True)
        )
        claimed = kl(
            means[0],
            factors[0] @ factors[0].T,
            means[1],
            factors[1] @ factors[1].T,
        )
        assert claimed == pytest.approx(
            torch.distributions.kl_divergence(one, two).item(), rel=1e-10
        )
    # In one dimension by quadrature.
    first, second = stats.norm(0.3, 0.7), stats.norm(-0.2, 1.1)
    integral = integrate.quad(
        lambda x: first.pdf(x) * (first.logpdf(x) - second.logpdf(x)), -9, 9
    )[0]
    assert integral == pytest.approx(
        kl(
            np.array([0.3]),
            np.eye(1) * 0.49,
            np.array([-0.2]),
            np.eye(1) * 1.21,
        ),
        rel=1e-8,
    )


@verifies("eq-diffusion-kl-isotropic")
def test_divergence_of_isotropic_gaussians():
    rng = np.random.default_rng(1)
    for s1, s2 in ((0.4, 0.9), (1.3, 0.2), (0.5, 0.5)):
        m1, m2 = rng.normal(size=(2, 4))
        r = s1**2 / s2**2
        spread = 4 / 2 * (r - 1 - math.log(r))
        claimed = np.sum((m1 - m2) ** 2) / (2 * s2**2) + spread
        assert claimed == pytest.approx(
            kl(m1, s1**2 * np.eye(4), m2, s2**2 * np.eye(4)), rel=1e-12
        )
        assert spread >= 0 and (spread == 0) == (s1 == s2)


@verifies("eq-diffusion-prior")
def test_what_the_end_of_the_chain_costs():
    x0 = np.random.default_rng(0).uniform(-1, 1, size=6)
    for a in (0.3, 0.01):
        claimed = 0.5 * (a * np.sum(x0**2) - 6 * a - 6 * math.log(1 - a))
        assert claimed == pytest.approx(
            kl(math.sqrt(a) * x0, (1 - a) * np.eye(6), np.zeros(6), np.eye(6)),
            rel=1e-10,
        )
    a = SCHEDULES["linear"][2][-1]  # of the prose, for pixels of mean square 1
    assert a == pytest.approx(4.0e-5, abs=0.05e-5)
    assert -0.5 * math.log1p(-a) == pytest.approx(2.0e-5, abs=0.05e-5)


# --- guess the noise ---------------------------------------------------------


def noise_weight(t, variance, beta, alpha, alpha_bar):
    return beta[t] ** 2 / (2 * variance * alpha[t] * (1 - alpha_bar[t]))


@verifies("eq-diffusion-noise-loss")
def test_a_step_of_the_bound_is_an_error_of_the_noise():
    rng = np.random.default_rng(0)
    schedule = beta, alpha, alpha_bar = SCHEDULES["cosine"]
    for t in (2, 300, 990):
        x0, noise, guess = rng.normal(size=(3, 5))
        xt = math.sqrt(alpha_bar[t]) * x0 + math.sqrt(1 - alpha_bar[t]) * noise
        mean, variance = posterior(x0, xt, t, *schedule)
        model = (
            xt - beta[t] / math.sqrt(1 - alpha_bar[t]) * guess
        ) / math.sqrt(alpha[t])
        for sigma2 in (variance, beta[t]):
            r = variance / sigma2
            constant = 5 / 2 * (r - 1 - math.log(r))
            claimed = (
                noise_weight(t, sigma2, *schedule)
                * np.sum((noise - guess) ** 2)
                + constant
            )
            true = np.sum((mean - model) ** 2) / (2 * sigma2) + constant
            assert claimed == pytest.approx(true, rel=1e-7)
            full = kl(mean, variance * np.eye(5), model, sigma2 * np.eye(5))
            assert claimed == pytest.approx(full, rel=1e-6)


@verifies("eq-diffusion-weight")
def test_weight_of_the_noise_error_is_a_fall_of_the_ratio():
    table = {  # of the page
        "linear": [0.600, 0.086, 0.0103, 0.0055, 0.0092, 0.0102, 0.0102],
        "cosine": [0.559, 0.078, 0.0096, 0.0031, 0.0102, 1.50, 499.5],
    }
    for name, schedule in SCHEDULES.items():
        beta, alpha, alpha_bar = schedule
        ratio, weights = snr(alpha_bar), {}
        log_ratio = np.log(ratio)
        for t in (2, 10, 100, 500, 900, 999, 1000):
            variance = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
            weights[t] = 0.5 * (ratio[t - 1] / ratio[t] - 1)
            assert weights[t] == pytest.approx(
                noise_weight(t, variance, *schedule), rel=1e-6
            )
            assert weights[t] == pytest.approx(
                0.5 * math.expm1(log_ratio[t - 1] - log_ratio[t]), rel=1e-9
            )
            assert weights[t] == pytest.approx(
                beta[t] / (2 * alpha[t] * (1 - alpha_bar[t - 1])), rel=1e-6
            )
        assert list(weights.values()) == [
            pytest.approx(w, rel=0.02) for w in table[name]
        ]
        if name == "linear":
            assert weights[2] / weights[500] == pytest.approx(109, abs=0.5)
        else:
            assert 0.5 * (ratio[999] - ratio[1000]) == pytest.approx(
                1.2e-6, rel=0.02
            )


def pixel_probabilities(mean, sigma):
    x = -1 + 2 * np.arange(256) / 255
    upper = np.where(np.arange(256) == 255, np.inf, x + 1 / 255)
    lower = np.where(np.arange(256) == 0, -np.inf, x - 1 / 255)
    return x, stats.norm.cdf((upper - mean) / sigma) - stats.norm.cdf(
        (lower - mean) / sigma
    )


@verifies("eq-diffusion-pixels")
def test_shades_are_a_distribution():
    for mean, sigma in ((0.2, 0.01), (-1.3, 0.5), (1.0, 0.05)):
        _, p = pixel_probabilities(mean, sigma)
        assert p.sum() == pytest.approx(1, abs=1e-12) and p.min() >= 0
    assert p[-1] == pytest.approx(
        stats.norm.cdf(1 / 255 / 0.05), rel=1e-9
    )  # white takes all that is above


@verifies("eq-diffusion-bits")
def test_bits_of_a_bin_and_of_a_density():
    x, p = pixel_probabilities(0.1, 0.3)
    inner = slice(1, 255)
    claimed = -stats.norm.logpdf(x, 0.1, 0.3) / math.log(2) + math.log2(127.5)
    assert np.allclose(-np.log2(p[inner]), claimed[inner], atol=2e-3)
    assert math.log2(127.5) == pytest.approx(6.99, abs=0.005)
    # Eight bits for somebody who knows nothing: a density of one half, plus
    # seven bits.
    assert -math.log2(0.5) + math.log2(127.5) == pytest.approx(8, abs=0.01)


# --- signal to noise ---------------------------------------------------------


@verifies("eq-diffusion-snr-loss")
def test_a_step_costs_what_it_loses_of_the_ratio():
    rng = np.random.default_rng(2)
    for schedule in SCHEDULES.values():
        ratio = snr(schedule[2])
        for t in (2, 200, 999):
            x0, guess, xt = rng.normal(size=(3, 5))
            mean, variance = posterior(x0, xt, t, *schedule)
            model, _ = posterior(guess, xt, t, *schedule)
            claimed = (
                0.5 * (ratio[t - 1] - ratio[t]) * np.sum((x0 - guess) ** 2)
            )
            full = kl(mean, variance * np.eye(5), model, variance * np.eye(5))
            assert claimed == pytest.approx(full, rel=1e-7)


def gaussian_sum(ratio, s=1.0):
    """Sum of L_{t-1} over t = 2..T for x_0 ~ N(0, s²) with the best guess;
    ratio: SNR(1), SNR(2), …
    """
    error = s**2 / (1 + s**2 * ratio)
    return 0.5 * np.sum((ratio[:-1] - ratio[1:]) * error[1:])


@verifies("eq-diffusion-integral")
def test_limit_of_many_steps_depends_on_the_ends_only():
    s, ends = 0.7, (200.0, 0.005)
    by_ratio = (
        0.5
        * integrate.quad(lambda S: s**2 / (1 + s**2 * S), ends[1], ends[0])[0]
    )
    by_log = (
        0.5
        * integrate.quad(
            lambda v: math.exp(v) * s**2 / (1 + s**2 * math.exp(v)),
            math.log(ends[1]),
            math.log(ends[0]),
        )[0]
    )
    assert by_ratio == pytest.approx(by_log, rel=1e-8)
    schedules = (
        lambda u: np.exp(np.log(ends[0]) * (1 - u) + np.log(ends[1]) * u),
        lambda u: np.exp(
            np.log(ends[0]) * (1 - u**3) + np.log(ends[1]) * u**3
        ),
    )
    for schedule in schedules:
        sums = [
            gaussian_sum(schedule(np.linspace(0, 1, n + 1)), s)
            for n in (50, 100, 200, 20_000)
        ]
        assert sums[-1] == pytest.approx(by_ratio, rel=2e-3)
        assert (
            sums[0] > sums[1] > sums[2] > sums[3] > by_ratio
        )  # nested: more steps never loosen it
        assert sums[0] > 1.02 * by_ratio


@verifies("eq-diffusion-gaussian-bound")
def test_bound_for_gaussian_data():
    s, low, high = sp.symbols("s S_T S_1", positive=True)
    S = sp.symbols("S", positive=True)
    claimed = sp.log((1 + s**2 * high) / (1 + s**2 * low)) / 2
    assert (
        sp.simplify(
            sp.diff(claimed, high) - s**2 / (1 + s**2 * S).subs(S, high) / 2
        )
        == 0
    )
    assert sp.simplify(claimed.subs(high, low)) == 0
    # At S_T = 0: the information of a Gaussian channel, by the covariance of
    # x_0 and x_1.
    a, width = 0.6, 1.7
    variance = a * width**2 + 1 - a
    correlation = math.sqrt(a) * width**2 / math.sqrt(width**2 * variance)
    information = float(claimed.subs({low: 0, high: a / (1 - a), s: width}))
    assert information == pytest.approx(
        -0.5 * math.log(1 - correlation**2), rel=1e-10
    )
    ratio = snr(SCHEDULES["linear"][2])[1:]  # of the prose
    assert 0.5 * math.log((1 + ratio[0]) / (1 + ratio[-1])) == pytest.approx(
        4.605, abs=5e-4
    )
    assert gaussian_sum(ratio) == pytest.approx(5.070, abs=5e-4)


# --- picture, noise, velocity ------------------------------------------------


@verifies("eq-diffusion-rotation")
def test_velocity_is_a_rotation_and_a_derivative():
    phi = sp.symbols("phi", real=True)
    x0, noise = sp.symbols("x_0 epsilon", real=True)
    a, b = sp.cos(phi), sp.sin(phi)
    xt = a * x0 + b * noise
    v = a * noise - b * x0
    assert sp.simplify(sp.diff(xt, phi) - v) == 0
    assert sp.simplify(a * xt - b * v - x0) == 0
    assert sp.simplify(b * xt + a * v - noise) == 0
    rotation = sp.Matrix([[a, b], [-b, a]])
    assert sp.simplify(
        rotation * sp.Matrix([x0, noise]) - sp.Matrix([xt, v])
    ) == sp.zeros(2, 1)
    assert (
        sp.simplify(rotation * rotation.T) == sp.eye(2)
        and sp.simplify(rotation.det()) == 1
    )


@verifies("eq-diffusion-errors")
def test_errors_of_picture_noise_and_velocity():
    rng = np.random.default_rng(0)
    for a2 in (0.999, 0.5, 0.01):
        a, b, ratio = math.sqrt(a2), math.sqrt(1 - a2), a2 / (1 - a2)
        x0, noise, guess = rng.normal(size=(3, 4))
        xt = a * x0 + b * noise
        noise_guess = (xt - a * guess) / b
        v, v_guess = a * noise - b * x0, a * noise_guess - b * guess
        error = np.sum((x0 - guess) ** 2)
        assert np.sum((noise - noise_guess) ** 2) == pytest.approx(
            ratio * error, rel=1e-10
        )
        assert np.sum((v - v_guess) ** 2) == pytest.approx(
            (ratio + 1) * error, rel=1e-10
        )
    for name, factor in (("linear", 157), ("cosine", 20_291)):  # of the prose
        assert snr(SCHEDULES[name][2])[-1] ** -0.5 == pytest.approx(
            factor, abs=0.6
        )
    assert math.sqrt(1 - SCHEDULES["linear"][2][1]) == pytest.approx(
        0.01, rel=1e-6
    )


@verifies("eq-diffusion-best-errors")
def test_smallest_errors_for_gaussian_data():
    for s, a2 in ((1.0, 0.3), (0.4, 0.9), (2.0, 0.05)):
        a, b = math.sqrt(a2), math.sqrt(1 - a2)
        D = a2 * s**2 + b**2
        claimed = np.array([s**2 * b**2, s**2 * a2, s**2]) / D
        # What a linear regression on x_t leaves: variance minus explained
        # variance, and for a joint Gaussian
        # distribution no other guess is better.
        targets = np.array(
            [[1, 0], [0, 1], [-b, a]]
        )  # picture, noise, velocity in terms of x_0 and noise
        covariance = np.diag([s**2, 1.0])
        with_xt = targets @ covariance @ np.array([a, b])
        left = (
            np.einsum("ij,jk,ik->i", targets, covariance, targets)
            - with_xt**2 / D
        )
        assert np.allclose(left, claimed, rtol=1e-10)
        if s == 1:
            assert np.allclose(claimed, [b**2, a2, 1])


# --- schedules ---------------------------------------------------------------


@verifies("eq-diffusion-cosine")
def test_cosine_schedule_turns_at_constant_speed():
    _, _, alpha_bar = cosine(offset=0, most=1)
    t = np.arange(1, T)
    phi = math.pi / 2 * t / T
    assert np.allclose(np.arccos(np.sqrt(alpha_bar[1:T])), phi, atol=1e-9)
    assert np.allclose(
        np.log(snr(alpha_bar[1:T])), -2 * np.log(np.tan(phi)), atol=1e-6
    )
    # The two small numbers, of the prose.
    assert math.sqrt(cosine(offset=0)[0][1]) == pytest.approx(0.0016, abs=5e-5)
    assert math.sqrt(cosine()[0][1]) == pytest.approx(0.0064, abs=5e-5)
    assert (
        math.sqrt(cosine()[0][1])
        < 1 / 127.5
        == pytest.approx(0.0078, abs=5e-5)
    )
    assert cosine(most=1)[2][-1] < 1e-30 and cosine(most=1)[0][-1] == 1
    assert np.array_equal(
        cosine()[0][:-1], cosine(most=1)[0][:-1]
    )  # only the last step is clipped
    assert math.sqrt(cosine()[2][-1]) == pytest.approx(4.9e-5, abs=0.05e-5)
    assert math.sqrt(linear()[2][500]) == pytest.approx(0.28, abs=0.005)
    assert np.mean(linear()[2][1:] < 0.01) == pytest.approx(0.33, abs=0.005)
    assert np.mean(cosine()[2][1:] < 0.01) == pytest.approx(0.065, abs=5e-4)
    assert 1 - cosine()[2][1] == pytest.approx(
        4e-5, rel=0.05
    )  # of the pitfalls
    rough = 1 - float(np.float32(cosine()[2][1]))
    assert abs(rough / (1 - cosine()[2][1]) - 1) < 1e-3
    assert np.spacing(np.float32(1 - 1e-5)) / 2 / 4e-5 == pytest.approx(
        1e-3, rel=0.4
    )


@verifies("eq-diffusion-velocity-weight")
def test_weight_of_the_loss_on_the_velocity():
    """The share of t in a small interval of the log-SNR times the ratio of the
    two errors, on the schedule itself.
    """
    lam = np.linspace(-8, 8, 33)
    share = (
        np.arctan(np.exp(-(lam - 1e-5) / 2))
        - np.arctan(np.exp(-(lam + 1e-5) / 2))
    ) / (math.pi * 1e-5)
    sigmoid = 1 / (
        1 + np.exp(-lam)
    )  # alpha_bar; the error of v is that of the noise divided by it
    np.testing.assert_allclose(
        share / sigmoid, np.exp(-lam / 2) / math.pi, rtol=1e-5
    )


@verifies("eq-diffusion-cosine-density")
def test_ratios_that_a_uniform_step_visits():
    def density(v):
        return 1 / (2 * math.pi * math.cosh(v / 2))

    assert integrate.quad(density, -80, 80)[0] == pytest.approx(1, rel=1e-9)
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    values = -2 * np.log(np.tan(math.pi / 2 * u))
    for low, high in ((-1, 1), (0.5, 4), (-9, -3)):
        share = np.mean((values > low) & (values < high))
        assert share == pytest.approx(
            integrate.quad(density, low, high)[0], abs=1e-5
        )


@verifies("eq-diffusion-leak")
def test_brightness_that_is_left_in_the_noise():
    a2, m, d = 0.01, 0.6, 400
    rng = np.random.default_rng(0)
    texture = rng.normal(size=d)
    x0 = m + 0.3 * (texture - texture.mean())
    means = (
        math.sqrt(a2) * x0 + math.sqrt(1 - a2) * rng.normal(size=(20_000, d))
    ).mean(axis=1)
    measured = means.mean() / means.std()
    claimed = m * math.sqrt(d * a2 / (1 - a2))
    assert measured == pytest.approx(claimed, rel=0.03)
    ratio = snr(SCHEDULES["linear"][2])[-1]  # of the prose
    assert math.sqrt(3 * 64**2 * ratio) == pytest.approx(0.70, abs=0.01)
    assert math.sqrt(3 * 512**2 * ratio) == pytest.approx(5.6, abs=0.05)
    # Half the square is the main part of L_T for a white picture.
    a2, d = SCHEDULES["linear"][2][-1], 3 * 64**2
    prior = 0.5 * (a2 * d - d * a2 - d * math.log1p(-a2))
    assert prior == pytest.approx(0.5 * d * ratio, rel=1e-4)


@verifies("eq-diffusion-stable")
def test_what_the_schedule_of_stable_diffusion_leaves():
    from diffusers import DDIMScheduler

    t = np.arange(1, 1001)
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    beta = (low + (t - 1) / 999 * (high - low)) ** 2
    left = math.exp(0.5 * np.log1p(-beta).sum())
    assert left == pytest.approx(0.068, abs=5e-4)
    theirs = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    assert theirs.alphas_cumprod[-1].sqrt().item() == pytest.approx(
        left, rel=1e-3
    )
    # About ten times what the linear schedule leaves (the prose).
    assert left / SCHEDULES["linear"][2][-1] ** 0.5 == pytest.approx(
        10.7, abs=0.1
    )


@verifies("eq-diffusion-zero-terminal")
def test_schedule_rescaled_to_end_at_nothing():
    root = np.sqrt(SCHEDULES["linear"][2][1:])
    rescaled = root[0] * (root - root[-1]) / (root[0] - root[-1])
    assert rescaled[-1] == 0 and rescaled[0] == pytest.approx(
        root[0], rel=1e-12
    )
    k, c = np.polyfit(root, rescaled, 1)  # a shift and a factor
    assert np.allclose(k * root + c, rescaled, atol=1e-12)
    assert np.all(np.diff(rescaled) < 0)
    # The two conditions have this solution only.
    k, c, first, last, here = sp.symbols("k c a_1 a_T a_t", positive=True)
    solution = sp.solve(
        [k * (last - c), k * (first - c) - first], [k, c], dict=True
    )
    assert len(solution) == 1
    value = (k * (here - c)).subs(solution[0])
    assert sp.simplify(value - first * (here - last) / (first - last)) == 0


# --- the best guess ----------------------------------------------------------


class Kinds:
    """One pixel: m with probability p or else −m, plus a spread s, noised; by
    quadrature over x_0.
    """

    def __init__(self, m=0.8, s=0.3, a2=0.35, p=0.6, points=80):
        self.m, self.s, self.a, self.b = m, s, math.sqrt(a2), math.sqrt(1 - a2)
        z, w = gauss(points)
        self.x0 = np.concatenate([m + s * z, -m + s * z])
        self.w = np.concatenate([p * w, (1 - p) * w])

    def density(self, xt):
        """q_t at the points xt, and the joint density of each x_0 with each
        xt.
        """
        joint = self.w[:, None] * stats.norm.pdf(
            xt, self.a * self.x0[:, None], self.b
        )
        return joint.sum(axis=0), joint

    def mean_picture(self, xt):
        q, joint = self.density(xt)
        return self.x0 @ joint / q

    def score(self, xt, h=1e-4):
        """By differences of the log-density, fourth order."""
        log_q = [np.log(self.density(xt + k * h)[0]) for k in (-2, -1, 1, 2)]
        return (log_q[0] - 8 * log_q[1] + 8 * log_q[2] - log_q[3]) / (12 * h)


@verifies("eq-diffusion-tweedie", "eq-diffusion-score")
def test_tweedie_and_the_noise_as_a_score():
    xt = np.linspace(-2.5, 2.5, 41)
    for world in (
        Kinds(),
        Kinds(m=1.0, s=0.05, a2=0.8),
        Kinds(m=0.2, s=1.3, a2=0.1),
    ):
        mean, score = world.mean_picture(xt), world.score(xt)
        assert np.allclose(
            mean, (xt + world.b**2 * score) / world.a, atol=1e-7
        )
        noise = (xt - world.a * mean) / world.b
        assert np.allclose(noise, -world.b * score, atol=1e-7)
    # In three dimensions, for pictures on four points, with autograd.
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(
        3, generator=generator, dtype=torch.float64, requires_grad=True
    )
    a, b = 0.6, 0.8
    log_terms = -((x - a * points) ** 2).sum(dim=1) / (2 * b**2)
    (score,) = torch.autograd.grad(log_terms.logsumexp(0), x)
    mean = log_terms.softmax(0) @ points
    assert torch.allclose(mean, (x + b**2 * score) / a)
    assert torch.allclose((x - a * mean) / b, -b * score)


@verifies("eq-diffusion-score-matching")
def test_regression_on_a_known_target_is_score_matching():
    world = Kinds()
    xt = np.linspace(-6, 6, 1201)
    step = xt[1] - xt[0]
    q, joint = world.density(xt)
    kernel = -(xt - world.a * world.x0[:, None]) / world.b**2
    score = world.score(xt)
    differences = []
    for s in (np.tanh(xt), -xt, 0.3 * xt**2, score):
        known = np.sum(joint * (s - kernel) ** 2) * step
        unknown = np.sum(q * (s - score) ** 2) * step
        differences.append(known - unknown)
    assert np.ptp(differences) < 1e-6 * differences[0] and differences[0] > 0.1


def two_kinds(xt, m, s, a, p):
    b2 = 1 - a**2
    D = a**2 * s**2 + b2
    return (
        a * s**2 * xt
        + b2 * m * np.tanh(a * m * xt / D + 0.5 * math.log(p / (1 - p)))
    ) / D


@verifies("eq-diffusion-two-kinds")
def test_best_guess_between_two_kinds():
    xt = np.linspace(-3, 3, 31)
    for m, s, a2, p in (
        (0.8, 0.3, 0.35, 0.5),
        (1, 0.1, 0.9, 0.6),
        (0, 1.2, 0.5, 0.3),
        (1, 1e-6, 0.4, 0.9),
    ):
        world = Kinds(m, s, a2, p)
        assert np.allclose(
            two_kinds(xt, m, s, world.a, p), world.mean_picture(xt), atol=1e-8
        )
    vote = np.tanh(math.sqrt(0.4) * xt / 0.6)  # s = 0, of the prose
    assert np.allclose(vote, two_kinds(xt, 1.0, 0.0, math.sqrt(0.4), 0.5))


# --- walking back ------------------------------------------------------------


@verifies("eq-diffusion-total-variance")
def test_variance_of_a_step_back():
    beta, alpha, alpha_bar = schedule = with_start(np.array([0.3, 0.4]))
    world, t, xt = Kinds(a2=alpha_bar[2]), 2, 0.35
    q, joint = world.density(np.array([xt]))
    p = joint[:, 0] / q
    variance_picture = p @ world.x0**2 - (p @ world.x0) ** 2
    tilde = posterior(0, 0, t, *schedule)[1]
    claimed = (
        tilde
        + (math.sqrt(alpha_bar[1]) * beta[2] / (1 - alpha_bar[2])) ** 2
        * variance_picture
    )
    # From the joint density of x_1 and x_2, which knows nothing of the
    # posterior.
    earlier = np.linspace(-6, 6, 4001)
    before = Kinds(a2=alpha_bar[1]).density(earlier)[0]
    density = before * stats.norm.pdf(
        xt, math.sqrt(alpha[2]) * earlier, math.sqrt(beta[2])
    )
    density /= density.sum()
    true = density @ earlier**2 - (density @ earlier) ** 2
    assert claimed == pytest.approx(true, rel=1e-6)
    assert claimed > 1.1 * tilde


@verifies("eq-diffusion-two-variances")
def test_each_choice_of_the_variance_is_exact_for_one_kind_of_data():
    beta, alpha, alpha_bar = schedule = SCHEDULES["linear"]
    for t in (2, 100, 900):
        for variance, claimed in (
            (1e-14, posterior(0, 0, t, *schedule)[1]),
            (1.0, beta[t]),
        ):
            # Joint Gaussian of x_{t-1} and x_t when x_0 has this variance.
            earlier = alpha_bar[t - 1] * variance + 1 - alpha_bar[t - 1]
            now = alpha[t] * earlier + beta[t]
            conditional = earlier - (math.sqrt(alpha[t]) * earlier) ** 2 / now
            assert conditional == pytest.approx(claimed, rel=1e-7)
    ratio = (1 - alpha_bar[:-1]) / np.maximum(
        1 - alpha_bar[1:], 1e-300
    )  # of the prose
    assert ratio[99:].min() > 0.98 and ratio[1] == pytest.approx(
        0.45, abs=0.005
    )


def family_step(x0, xt, a_before, a, sigma):
    """Coefficients of x_0 and x_t in the mean of a step of the family."""
    kept = math.sqrt(1 - a_before**2 - sigma**2)
    return a_before * x0 + kept * (xt - a * x0) / math.sqrt(1 - a**2)


@verifies("eq-diffusion-family")
def test_marginals_are_kept_whatever_the_noise():
    _, _, alpha_bar = SCHEDULES["cosine"]
    a = np.sqrt(alpha_bar)
    rng, x0 = np.random.default_rng(0), -0.6
    for share in (0.0, 0.5, 1.0):
        times = [900, 600, 400, 50]
        x = a[900] * x0 + math.sqrt(1 - a[900] ** 2) * rng.normal(size=100_000)
        variance = 1 - a[900] ** 2
        for t, u in itertools.pairwise(times):
            sigma = share * math.sqrt(1 - a[u] ** 2)  # anything up to b
            mean = family_step(x0, x, a[u], a[t], sigma)
            x = mean + sigma * rng.normal(size=x.shape)
            gain = math.sqrt((1 - a[u] ** 2 - sigma**2) / (1 - a[t] ** 2))
            variance = gain**2 * variance + sigma**2  # exactly
            assert variance == pytest.approx(1 - a[u] ** 2, rel=1e-10)
            noise = (x - a[u] * x0) / math.sqrt(1 - a[u] ** 2)
            mean_within(noise, 0)
            mean_within(noise**2, 1)


@verifies("eq-diffusion-eta-one")
def test_eta_one_is_ddpm():
    schedule = SCHEDULES["linear"]
    a = np.sqrt(schedule[2])
    for t in (2, 70, 1000):
        for x0, xt in ((0.2, 1.1), (-0.9, 0.1), (0.0, 1.0)):
            mean, variance = posterior(x0, xt, t, *schedule)
            claimed = family_step(
                x0, xt, a[t - 1], a[t], 1.0 * math.sqrt(variance)
            )
            assert claimed == pytest.approx(mean, rel=1e-7, abs=1e-9)
    # The variance of a long step is that of a chain which goes there at once.
    u, t = 300, 500
    jump = with_start(
        np.array([1 - schedule[2][u], 1 - schedule[2][t] / schedule[2][u]])
    )
    claimed = (
        (1 - schedule[2][u])
        / (1 - schedule[2][t])
        * (1 - schedule[2][t] / schedule[2][u])
    )
    assert claimed == pytest.approx(posterior(0, 0, 2, *jump)[1], rel=1e-10)


@verifies("eq-diffusion-ddim")
def test_deterministic_step_is_a_rotation():
    t, u = sp.symbols("phi_t phi_u", real=True)
    x, v = sp.symbols("x v", real=True)
    picture, noise = (
        sp.cos(t) * x - sp.sin(t) * v,
        sp.sin(t) * x + sp.cos(t) * v,
    )
    step = sp.cos(u) * picture + sp.sin(u) * noise
    assert sp.simplify(step - (sp.cos(t - u) * x - sp.sin(t - u) * v)) == 0
    # One step of any length is exact for a single picture.
    x0, z, one, two = 0.3, -1.2, 1.1, 0.2
    xt, vt = (
        math.cos(one) * x0 + math.sin(one) * z,
        math.cos(one) * z - math.sin(one) * x0,
    )
    claimed = math.cos(one - two) * xt - math.sin(one - two) * vt
    assert claimed == pytest.approx(
        math.cos(two) * x0 + math.sin(two) * z, rel=1e-12
    )


# --- a differential equation -------------------------------------------------


@verifies("eq-diffusion-euler")
def test_ddim_is_an_euler_step():
    rng = np.random.default_rng(0)
    for at, au in ((0.1, 0.4), (0.9, 0.99)):
        bt, bu = math.sqrt(1 - at**2), math.sqrt(1 - au**2)
        xt, guess = rng.normal(size=2)
        step = au * (xt - bt * guess) / at + bu * guess
        assert step / au == pytest.approx(
            xt / at + (bu / au - bt / at) * guess, rel=1e-12
        )


def gaussian_noise(x_bar, rho, m, s):
    """The best guess of the noise for x_0 ~ N(m, s²), from E[x_0 | x_t] by
    precisions.
    """
    picture = (m / s**2 + x_bar / rho**2) / (1 / s**2 + 1 / rho**2)
    return (x_bar - picture) / rho


@verifies("eq-diffusion-flow")
def test_exact_flow_for_gaussian_data():
    m, s = 0.4, 0.7
    for start, rho_t, rho_u in (
        (2.0, 5.0, 0.3),
        (-1.0, 1.0, 0.01),
        (0.5, 0.2, 3.0),
    ):
        run = integrate.solve_ivp(
            lambda rho, x: gaussian_noise(x, rho, m, s),
            (rho_t, rho_u),
            [start],
            rtol=1e-10,
            atol=1e-12,
        )
        claimed = m + math.sqrt((s**2 + rho_u**2) / (s**2 + rho_t**2)) * (
            start - m
        )
        assert run.y[0, -1] == pytest.approx(claimed, rel=1e-7)
        # Standard deviations from the mean stay what they are.
        assert (claimed - m) / math.hypot(s, rho_u) == pytest.approx(
            (start - m) / math.hypot(s, rho_t)
        )


@verifies("eq-diffusion-shrink")
def test_few_steps_shrink_the_spread():
    m, s = 0.4, 0.7
    for psi in (
        np.linspace(1.4, 0.1, 9),
        1.5 * np.array([1, 0.9, 0.5, 0.45, 0.1, 0]),
    ):
        rho, x = s * np.tan(psi), 3.0
        for r, q in itertools.pairwise(rho):
            x = x + (q - r) * gaussian_noise(x, r, m, s)
        exact = m + math.sqrt((s**2 + rho[-1] ** 2) / (s**2 + rho[0] ** 2)) * (
            3.0 - m
        )
        steps = -np.diff(psi)
        claimed = np.prod(np.cos(steps))
        assert (x - m) / (exact - m) == pytest.approx(claimed, rel=1e-10)
        best = math.cos(steps.sum() / len(steps)) ** len(steps)
        assert claimed <= best * (1 + 1e-12)
        assert (best - claimed < 1e-12) == (np.ptp(steps) < 1e-9)


def rotate_down(steps, s=1.0):
    """From noise to picture by exact rotations with the best guess for x_0 ~
    N(0, s²): x_0 for x_T = 1.
    """
    phi, x = np.linspace(math.pi / 2, 0, steps + 1), 1.0
    for t, u in itertools.pairwise(phi):
        a, b = math.cos(t), math.sin(t)
        D = a**2 * s**2 + b**2
        v = a * (b * x / D) - b * (a * s**2 * x / D)
        x = math.cos(t - u) * x - math.sin(t - u) * v
    return x


@verifies("eq-diffusion-first-order")
def test_spread_after_so_many_steps():
    for steps, factor in ((5, 0.778), (10, 0.883), (20, 0.940), (50, 0.976)):
        assert rotate_down(steps) == pytest.approx(
            math.cos(math.pi / (2 * steps)) ** steps, rel=1e-10
        )
        assert rotate_down(steps) == pytest.approx(factor, abs=5e-4)
    S = sp.symbols("S", positive=True)
    h = sp.symbols("h", positive=True)  # 1/S
    series = sp.series(
        sp.exp(sp.log(sp.cos(sp.pi * h / 2)) / h), h, 0, 2
    ).removeO()
    assert sp.simplify(series - (1 - sp.pi**2 / (8 * S)).subs(S, 1 / h)) == 0
    assert 1 - rotate_down(1000) == pytest.approx(0.0012, abs=5e-5)


def signal(ell):
    return 1 / np.sqrt(1 + np.exp(-2 * ell)), 1 / np.sqrt(1 + np.exp(2 * ell))


@verifies("eq-diffusion-exponential")
def test_exponential_integrator_is_exact():
    m, s, low, high, start = 0.4, 0.7, -1.5, 1.0, 0.9
    (a0, b0), (a1, b1) = signal(low), signal(high)
    rho0, rho1 = b0 / a0, b1 / a1
    stretch = math.sqrt((s**2 + rho1**2) / (s**2 + rho0**2))
    exact = a1 * (
        m + stretch * (start / a0 - m)
    )  # the flow of the differential equation

    def picture(ell):  # along the exact path
        a, b = signal(ell)
        rho = b / a
        x_bar = m + math.sqrt((s**2 + rho**2) / (s**2 + rho0**2)) * (
            start / a0 - m
        )
        return x_bar - rho * gaussian_noise(x_bar, rho, m, s)

    integral = integrate.quad(
        lambda ell: math.exp(ell) * picture(ell), low, high
    )[0]
    assert b1 / b0 * start + b1 * integral == pytest.approx(exact, rel=1e-9)
    # A constant guess makes it DDIM.
    guess, h = 0.3, high - low
    ddim = a1 * guess + b1 * (start - a0 * guess) / b0
    assert b1 / b0 * start + a1 * (1 - math.exp(-h)) * guess == pytest.approx(
        ddim, rel=1e-12
    )


def solve(steps, second, s=0.5, ends=(-8.0, 8.0)):
    """Relative error of the spread for x_0 ~ N(0, s²), in equal steps of
    lambda.
    """
    ells, x, before = (
        np.linspace(ends[0] / 2, ends[1] / 2, steps + 1),
        1.0,
        None,
    )
    for i, (t, u) in enumerate(itertools.pairwise(ells)):
        (a, b), (a_u, b_u), h = signal(t), signal(u), u - t
        now = a * s**2 * x / (a**2 * s**2 + b**2)
        D = now
        if second and before is not None:
            h_before = t - ells[i - 1]
            D = (1 + h / (2 * h_before)) * now - h / (2 * h_before) * before
        x = b_u / b * x + a_u * (1 - math.exp(-h)) * D
        before = now
    (a, b), (a_u, b_u) = signal(ells[0]), signal(ells[-1])
    return x / math.sqrt((a_u**2 * s**2 + b_u**2) / (a**2 * s**2 + b**2)) - 1


@verifies("eq-diffusion-orders")
def test_orders_of_the_two_solvers():
    for s in (0.5, 1.0, 2.0):
        for second, order in ((False, 1), (True, 2)):
            ratios = [
                solve(n, second, s) / solve(2 * n, second, s)
                for n in (320, 640)
            ]
            assert ratios[1] == pytest.approx(2**order, rel=0.02)
            assert abs(ratios[1] - 2**order) < abs(ratios[0] - 2**order)
    table = {
        10: (-0.18, 0.026),
        20: (-0.095, 0.0092),
        40: (-0.049, 0.0024),
        80: (-0.025, 0.00062),
    }
    for n, (first, second) in table.items():
        assert solve(n, False) == pytest.approx(first, rel=0.02)
        assert solve(n, True) == pytest.approx(second, rel=0.02)
    assert (
        abs(solve(200, False)) > solve(20, True) > abs(solve(230, False))
    )  # of the prose
    # The quotient of the two integrals is h/2 to first order.
    h = sp.symbols("h", positive=True)
    quotient = (sp.exp(h) * (h - 1) + 1) / (sp.exp(h) - 1)
    assert sp.series(quotient, h, 0, 2).removeO() == h / 2
    x = sp.symbols("x")
    assert (
        sp.simplify(
            sp.integrate(sp.exp(x) * x, (x, 0, h)) - (sp.exp(h) * (h - 1) + 1)
        )
        == 0
    )


# --- guidance ----------------------------------------------------------------


class Ordered:
    """Torch log-densities at one noise level: all pictures, and those with the
    label; one pixel, three points.
    """

    points = torch.tensor([-1.0, 0.2, 0.9], dtype=torch.float64)
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    chance = torch.tensor([0.1, 0.6, 0.9], dtype=torch.float64)  # p(c | x_0)
    a, b = 0.6, 0.8

    def log_q(self, x, labeled=False):
        weights = (
            self.p * self.chance / (self.p @ self.chance)
            if labeled
            else self.p
        )
        terms = torch.log(weights) - (
            x[:, None] - self.a * self.points
        ) ** 2 / (2 * self.b**2)
        return terms.logsumexp(1)

    def log_classifier(self, x):
        """log p_t(c | x_t): the expected chance given the noisy picture."""
        terms = torch.log(self.p) - (
            x[:, None] - self.a * self.points
        ) ** 2 / (2 * self.b**2)
        return torch.log(terms.softmax(1) @ self.chance)

    def noise(self, x, labeled=False):
        """E[ε | x_t (, c)] by averaging over the points."""
        weights = self.p * self.chance if labeled else self.p
        terms = torch.log(weights) - (
            x[:, None] - self.a * self.points
        ) ** 2 / (2 * self.b**2)
        return (x - self.a * (terms.softmax(1) @ self.points)) / self.b


def gradient(function, x):
    return torch.autograd.grad(function(x).sum(), x)[0]


@verifies("eq-diffusion-classifier")
def test_conditional_score_is_a_score_plus_a_classifier():
    world = Ordered()
    x = torch.linspace(-2, 2, 21, dtype=torch.float64, requires_grad=True)
    left = gradient(lambda x: world.log_q(x, labeled=True), x)
    classifier = gradient(world.log_classifier, x)
    assert torch.allclose(left, gradient(world.log_q, x) + classifier)
    assert classifier.abs().max() > 0.1
    # Times w, in terms of noise: the score of q times the classifier to the
    # power w.
    w = 3.0
    guided = world.noise(x) - w * world.b * classifier
    tilted = gradient(
        lambda x: world.log_q(x) + w * world.log_classifier(x), x
    )
    assert torch.allclose(guided, -world.b * tilted)


@verifies("eq-diffusion-guidance")
def test_guided_noise_is_a_score_of_powers():
    world = Ordered()
    x = torch.linspace(-2, 2, 21, dtype=torch.float64, requires_grad=True)
    for w in (0.0, 1.0, 2.5):
        none, some = world.noise(x), world.noise(x, labeled=True)
        guided = none + w * (some - none)
        powers = gradient(
            lambda x, w=w: (
                (1 - w) * world.log_q(x) + w * world.log_q(x, labeled=True)
            ),
            x,
        )
        assert torch.allclose(guided, -world.b * powers)
        by_classifier = none - w * world.b * gradient(world.log_classifier, x)
        assert torch.allclose(guided, by_classifier)
        paper = (1 + (w - 1)) * some - (
            w - 1
        ) * none  # the paper's w is ours minus one
        assert torch.allclose(guided, paper)


@verifies("eq-diffusion-guided-velocity")
def test_guidance_is_the_same_in_velocity_noise_and_picture():
    a, b, w = sp.symbols("a b w", positive=True)
    x, none, some = sp.symbols("x e_0 e_c", real=True)

    def velocity(noise):
        return (noise - b * x) / a

    def picture(noise):
        return (x - b * noise) / a

    guided = none + w * (some - none)
    for form in (velocity, picture):
        mixed = form(none) + w * (form(some) - form(none))
        assert sp.simplify(form(guided) - mixed) == 0
    # The formula for v from the noise.
    x0, noise = sp.symbols("x_0 epsilon", real=True)
    root = sp.sqrt(1 - a**2)
    v = ((noise - root * (a * x0 + root * noise)) / a) - (
        a * noise - root * x0
    )
    assert sp.simplify(v) == 0


def tilted(w, S, s, mu):
    variance = 1 / (w / s**2 - (w - 1) / S**2)
    return w * variance / s**2 * mu, variance


@verifies("eq-diffusion-tilted")
def test_guided_gaussian():
    R, s, mu = 1.0, 0.5, 0.8
    for w in (0.5, 1.0, 2.0, 4.0):
        mean, variance = tilted(w, R, s, mu)

        def log_product(x, w=w):
            return (1 - w) * stats.norm.logpdf(
                x, 0, R
            ) + w * stats.norm.logpdf(x, mu, s)

        x = np.linspace(-2, 3, 31)
        assert (
            np.ptp(
                log_product(x)
                - stats.norm.logpdf(x, mean, math.sqrt(variance))
            )
            < 1e-10
        )
    assert math.sqrt(variance) == pytest.approx(
        0.277, abs=5e-4
    )  # of the prose, w = 4
    assert mean / mu == pytest.approx(1.23, abs=5e-3)
    means, variances = zip(
        *(tilted(w, R, s, mu) for w in np.linspace(1, 8, 20)), strict=True
    )
    assert (
        np.all(np.diff(variances) < 0)
        and np.all(np.diff(means) > 0)
        and means[0] == pytest.approx(mu)
    )


@verifies("eq-diffusion-guided-noisy")
def test_guidance_pulls_harder_than_the_noisy_tilted_density():
    def sides(w, R, s, a2):
        b2, V = 1 - a2, tilted(w, R, s, 0.0)[1]
        left = w / (a2 * s**2 + b2) + (1 - w) / (a2 * R**2 + b2)
        return left, 1 / (a2 * V + b2)

    for R, s, w, a2 in itertools.product(
        (1.0, 2.0), (0.1, 0.5), (1.001, 1.5, 4.0), (0.01, 0.5, 0.99)
    ):
        guided, tilt = sides(w, R, s, a2)
        assert guided > tilt * (1 + 1e-9)
        # The slope of the guided score, by differences of the log of the
        # powers.
        x, b2 = np.array([-0.01, 0.0, 0.01]), 1 - a2
        log_powers = (1 - w) * stats.norm.logpdf(
            x, 0, math.sqrt(a2 * R**2 + b2)
        )
        log_powers += w * stats.norm.logpdf(x, 0.3, math.sqrt(a2 * s**2 + b2))
        assert -(
            log_powers[0] - 2 * log_powers[1] + log_powers[2]
        ) / 1e-4 == pytest.approx(guided, rel=1e-6)
        # Turned round between 0 and 1, equal at the ends, and equal where
        # there is no noise or no picture: nothing can be added to a side.
        guided, tilt = sides(0.5, R, s, a2)
        assert guided < tilt
        for w_end in (0.0, 1.0):
            guided, tilt = sides(w_end, R, s, a2)
            assert guided == pytest.approx(tilt, rel=1e-12)
        for a2_end in (0.0, 1.0):
            guided, tilt = sides(w, R, s, a2_end)
            assert guided == pytest.approx(tilt, rel=1e-9)


@verifies("eq-diffusion-guided-spread")
def test_spread_of_guided_samples():
    R, s, mu, far = 1.0, 0.5, 1.0, 2e3

    def flow(rho, x, w):
        none = gaussian_noise(x, rho, 0.0, R)
        return none + w * (gaussian_noise(x, rho, mu, s) - none)

    means = {}
    for w in (1.0, 2.0, 4.0):
        ends = integrate.solve_ivp(
            flow,
            (far, 1e-9),
            [-far, 0.0, far],
            args=(w,),
            rtol=1e-9,
            atol=1e-10,
        ).y[:, -1]
        assert (ends[2] - ends[0]) / 2 == pytest.approx(
            s**w * R ** (1 - w), rel=1e-3
        )
        means[w] = ends[1]
    assert (
        s**2 == 0.25 and s**4 == 0.0625
    )  # of the prose, with the tilted density beside it
    assert math.sqrt(tilted(2.0, R, s, mu)[1]) == pytest.approx(
        0.378, abs=5e-4
    )
    assert means[1.0] == pytest.approx(mu, abs=1e-3) and means[
        4.0
    ] == pytest.approx(1.52, abs=5e-3)
    # Another width than one.
    R, s = 1.7, 0.6
    ends = integrate.solve_ivp(
        flow, (far, 1e-9), [-far, far], args=(3.0,), rtol=1e-9, atol=1e-10
    ).y[:, -1]
    assert (ends[1] - ends[0]) / 2 == pytest.approx(s**3 * R**-2, rel=1e-3)


@verifies("eq-diffusion-guided-mean")
def test_mean_of_guided_samples():
    """The integral of the page against the path of a start at the mean,
    followed step by step.
    """

    def claimed(w, R, s, mu):
        def integrand(rho):
            return (
                w
                * rho
                / (s**2 + rho**2)
                / (
                    (s**2 + rho**2) ** (w / 2)
                    * (R**2 + rho**2) ** ((1 - w) / 2)
                )
            )

        return (
            mu
            * s**w
            * R ** (1 - w)
            * integrate.quad(integrand, 0, np.inf, limit=200)[0]
        )

    def followed(w, R, s, mu, far=2e4):
        def flow(rho, x):
            none = gaussian_noise(x, rho, 0.0, R)
            return none + w * (gaussian_noise(x, rho, mu, s) - none)

        return integrate.solve_ivp(
            flow, (far, 1e-9), [0.0], rtol=1e-9, atol=1e-10
        ).y[0, -1]

    for case in (
        (1.0, 1.0, 0.5, 1.0),
        (4.0, 1.0, 0.5, 1.0),
        (2.5, 1.7, 0.6, -0.8),
    ):
        assert claimed(*case) == pytest.approx(followed(*case), rel=1e-3)
    assert claimed(1.0, 1.3, 0.4, 2.0) == pytest.approx(
        2.0, rel=1e-6
    )  # without guidance: the label's mean
    assert claimed(4.0, 1.0, 0.5, 1.0) == pytest.approx(
        1.52, abs=5e-3
    )  # of the prose


# --- labels ------------------------------------------------------------------


@verifies("eq-diffusion-labels")
def test_linear_layer_adds_the_vectors_of_the_labels():
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 7, bias=False).double()
    table = torch.nn.Embedding(24, 7, _weight=layer.weight.T)
    for labels in ([3], [1, 8, 23], []):
        c = torch.zeros(24, dtype=torch.float64)
        c[labels] = 1
        assert torch.allclose(
            layer(c), table(torch.tensor(labels, dtype=torch.long)).sum(dim=0)
        )


@verifies("eq-diffusion-embedding")
def test_embedding_of_a_multi_hot_vector_sees_the_number_of_labels_only():
    torch.manual_seed(0)
    table = torch.nn.Embedding(24, 7).double()
    sums = {}
    for labels in ([3], [17], [1, 8, 23], [0, 2, 4]):
        c = torch.zeros(24, dtype=torch.long)
        c[labels] = 1
        n = len(labels)
        out = table(c)
        assert out.shape == (24, 7)
        claimed = (24 - n) * table.weight[0] + n * table.weight[1]
        assert torch.allclose(out.sum(dim=0), claimed)
        sums.setdefault(n, []).append(out.sum(dim=0))
    assert all(torch.allclose(*pair) for pair in sums.values())
    assert not torch.allclose(sums[1][0], sums[3][0])


@verifies("eq-diffusion-compose")
def test_scores_of_independent_labels_add():
    x = np.linspace(-3, 3, 601)
    picture = np.exp(-((x - 0.3) ** 2)) + 0.5 * np.exp(-4 * (x + 1) ** 2)
    picture /= picture.sum()
    first, second = stats.norm.cdf(2 * x), stats.norm.cdf(0.5 - x)

    def slopes(both):
        """Of log p(x), p(x|1), p(x|2), p(x|1,2), from the joint table."""
        joint = np.empty((len(x), 2, 2))  # x, label 1, label 2
        joint[:, 1, 1] = picture * both
        joint[:, 1, 0] = picture * (first - both)
        joint[:, 0, 1] = picture * (second - both)
        joint[:, 0, 0] = picture - joint.reshape(len(x), 4)[:, 1:].sum(1)
        assert joint.min() >= -1e-12 and joint.sum() == pytest.approx(1)
        tables = (
            joint.sum((1, 2)),
            joint[:, 1].sum(1),
            joint[:, :, 1].sum(1),
            joint[:, 1, 1],
        )
        logs = [np.log(table / table.sum()) for table in tables]
        return [np.gradient(log, x, edge_order=2)[1:-1] for log in logs]

    base, one, two, given_both = slopes(first * second)
    assert np.allclose(given_both, base + (one - base) + (two - base))
    # Not for labels that depend on each other: here as often as can be.
    base, one, two, given_both = slopes(np.minimum(first, second))
    assert not np.allclose(
        given_both, base + (one - base) + (two - base), atol=0.1
    )
    # Labels that the picture decides are independent given it, but no longer
    # given a noisy picture.
    rng = np.random.default_rng(0)
    pictures, chance = np.array([-1.0, 0.0, 1.0]), rng.dirichlet([4, 4, 4])
    c1, c2 = pictures >= 0, pictures <= 0
    assert np.array_equal(c1 & c2, c1 * c2)
    weights = chance * stats.norm.pdf(0.2, 0.7 * pictures, math.sqrt(0.51))
    weights /= weights.sum()
    assert abs(weights @ (c1 & c2) - (weights @ c1) * (weights @ c2)) > 0.03


# --- the network -------------------------------------------------------------


def time_embedding(t, width=32):
    omega = 10_000.0 ** (-2 * np.arange(width // 2) / width)
    return np.concatenate([np.cos(omega * t), np.sin(omega * t)]), omega


@verifies("eq-diffusion-time")
def test_product_of_time_embeddings_depends_on_the_difference():
    for t, u in ((3, 700), (500, 501), (999, 0)):
        (one, omega), (two, _) = time_embedding(t), time_embedding(u)
        assert one @ two == pytest.approx(
            np.sum(np.cos(omega * (t - u))), abs=1e-9
        )
        assert one @ one == pytest.approx(16)  # D/2
    near, far = (
        time_embedding(500)[0] @ time_embedding(u)[0] for u in (502, 900)
    )
    assert near > far + 3
    gap = np.abs(time_embedding(3)[0] - time_embedding(4)[0])
    assert (
        gap.argmax() in (0, 16) and gap[15] < 1e-3
    )  # the fast frequencies tell them apart


@verifies("eq-diffusion-groupnorm")
def test_what_is_constant_over_a_group_is_wiped_out():
    torch.manual_seed(0)
    u = torch.randn(2, 12, 5, 5, dtype=torch.float64)
    for groups in (1, 3, 12):
        norm = torch.nn.GroupNorm(groups, 12, affine=False).double()
        k = torch.randn(2, groups, 1, dtype=torch.float64).repeat_interleave(
            12 // groups, dim=1
        )[..., None]
        assert torch.allclose(norm(u + 3 * k), norm(u))
        free = torch.randn(
            2, 12, 1, 1, dtype=torch.float64
        )  # a vector for the channels, as it is added
        assert torch.allclose(norm(u + free), norm(u)) == (groups == 12)
        mean = (
            free.view(2, groups, -1)
            .mean(dim=2, keepdim=True)
            .expand(-1, -1, 12 // groups)
        )
        assert torch.allclose(
            norm(u + free), norm(u + free - mean.reshape(2, 12, 1, 1))
        )


@verifies("eq-diffusion-unshuffle")
def test_pixels_that_become_channels_are_a_permutation():
    x = torch.arange(3 * 8 * 8, dtype=torch.float64).view(1, 3, 8, 8)
    P = torch.nn.functional.pixel_unshuffle
    assert P(x, 2).shape == (1, 12, 4, 4)
    assert torch.equal(
        P(x, 2).flatten().sort().values, x.flatten()
    )  # each value once
    block = x[0, :, :2, :2].flatten()
    assert set(P(x, 2)[0, :, 0, 0].tolist()) == set(
        block.tolist()
    )  # 2 × 2 pixels, one pixel of 12
    assert torch.equal(torch.nn.functional.pixel_shuffle(P(x, 2), 2), x)
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(
        2, 1, 3, 8, 8, generator=generator, dtype=torch.float64
    )
    assert torch.allclose(
        P(0.6 * x0 + 0.8 * noise, 2), 0.6 * P(x0, 2) + 0.8 * P(noise, 2)
    )
    assert torch.linalg.norm(P(x0, 2)) == pytest.approx(
        torch.linalg.norm(x0).item(), rel=1e-12
    )
    # As a matrix: orthogonal, so that the covariance of noise stays the
    # identity.
    matrix = torch.eye(192, dtype=torch.float64).view(192, 3, 8, 8)
    matrix = P(matrix, 2).flatten(1)
    assert torch.equal(matrix @ matrix.T, torch.eye(192, dtype=torch.float64))


@verifies("eq-diffusion-ema")
def test_weights_of_a_running_mean():
    mu, n, mean = 0.9, 12, 0.0
    values = np.random.default_rng(0).normal(size=n)
    for value in values:
        mean = mu * mean + (1 - mu) * value
    weights = (1 - mu) * mu ** (n - np.arange(1, n + 1))
    assert mean == pytest.approx(weights @ values, rel=1e-12)
    assert weights.sum() == pytest.approx(1 - mu**n, rel=1e-12)
    steady = 0.0
    for _ in range(n):
        steady = mu * steady + (1 - mu) * 2.5
    assert steady / (1 - mu**n) == pytest.approx(
        2.5
    )  # corrected: a constant comes back
    assert pytest.approx(0.37, abs=0.005) == 0.999**1000  # of the prose


# --- scores ------------------------------------------------------------------


def hits(logits, labels):
    """How many of the k highest of 24 outputs are among the k labels, for each
    row.
    """
    order = np.argsort(-logits, axis=1)
    ranks = np.argsort(order, axis=1)
    return np.sum(
        (ranks < labels.sum(axis=1, keepdims=True)) & (labels > 0), axis=1
    )


@verifies("eq-diffusion-chance")
def test_score_of_pictures_that_have_nothing_to_do_with_the_orders():
    rng = np.random.default_rng(0)
    for sizes, stated in (
        ([1] * 8 + [2] * 8 + [3] * 16, 0.106),
        ([2] * 12 + [3] * 20, 0.113),
    ):
        sizes = np.array(sizes)
        claimed = np.sum(sizes**2) / (24 * np.sum(sizes))
        assert claimed == pytest.approx(stated, abs=5e-4)
        labels = np.zeros((32, 24))
        for row, k in zip(labels, sizes, strict=True):
            row[rng.choice(24, k, replace=False)] = 1
        scores = [
            hits(rng.normal(size=(32, 24)), labels).sum() / sizes.sum()
            for _ in range(4000)
        ]
        mean_within(np.array(scores), claimed)
    assert 72 == 8 + 16 + 48 and 84 == 24 + 60  # objects of the two lists


@verifies("eq-diffusion-extra")
def test_score_with_more_objects_than_were_ordered():
    rng = np.random.default_rng(0)
    size = 40_000
    for k, m in ((1, 2), (3, 4), (2, 24), (3, 3)):
        labels = np.zeros((size, 24))
        labels[:, :k] = 1
        logits = rng.normal(size=(size, 24))
        logits[:, :m] += 100  # m objects are seen, all of them equally well
        found = hits(logits, labels) / k
        if m == k:
            assert np.all(found == 1)
        else:
            mean_within(found, k / m)
        sure = logits.copy()
        sure[:, :k] += (
            # of the prose: extra ones of which it is less sure cost nothing
            100
        )
        assert np.all(hits(sure, labels) == k)


@verifies("eq-diffusion-exact")
def test_perfect_pictures_before_an_imperfect_judge():
    rng = np.random.default_rng(0)
    right = np.all(rng.uniform(size=(200_000, 24)) > 0.005, axis=1).astype(
        float
    )
    mean_within(right, (1 - 0.005) ** 24)
    assert pytest.approx(0.89, abs=0.005) == (1 - 0.005) ** 24


@verifies("eq-diffusion-judge")
def test_what_the_judge_likes_best_is_not_as_good_as_it_says():
    rng = np.random.default_rng(0)
    tau_q, tau_e, n = 0.6, 0.9, 16
    quality = tau_q * rng.normal(size=(100_000, n))
    seen = quality + tau_e * rng.normal(size=quality.shape)
    rows, best = np.arange(len(seen)), seen.argmax(axis=1)
    share = tau_q**2 / (tau_q**2 + tau_e**2)
    difference = (
        quality[rows, best] - share * seen[rows, best]
    )  # has mean zero
    mean_within(difference, 0)
    assert seen[rows, best].mean() > 1.5 and difference.std() > 0.3
    # The share itself is the slope of the best linear guess.
    slope = optimize.minimize_scalar(
        lambda c: np.mean((quality - c * seen) ** 2)
    ).x
    assert slope == pytest.approx(share, rel=0.01)


# --- flow matching: the straight path ----------------------------------------


def a_straight_guess(seed=0):
    """Pictures, noise and guesses of both, with the place τ on the line."""
    rng = np.random.default_rng(seed)
    x0, noise, seen, heard = rng.normal(size=(4, 5, 3))
    return x0, noise, seen, heard, rng.uniform(0.05, 0.95, size=(5, 1))


@verifies("eq-diffusion-straight-circle")
def test_a_point_of_the_circle_is_one_of_the_line():
    x0, noise, *_ = a_straight_guess()
    alpha_bar = SCHEDULES["cosine"][2]
    for t in (1, 200, 500, 800, 999):
        a, b = math.sqrt(alpha_bar[t]), math.sqrt(1 - alpha_bar[t])
        ratio = math.sqrt(snr(alpha_bar)[t])
        tau = 1 / (1 + ratio)  # from the ratio alone
        on_line = (1 - tau) * x0 + tau * noise
        assert np.allclose((a * x0 + b * noise) / (a + b), on_line, atol=1e-12)
        assert b / (a + b) == pytest.approx(tau, rel=1e-12)
        assert (1 - tau) / tau == pytest.approx(ratio, rel=1e-12)
    # And so the best guesses are the same: of two kinds of pictures, by sums.
    world, xt = Kinds(), np.linspace(-2, 2, 9)
    tau = world.b / (world.a + world.b)
    weights = world.w[:, None] * stats.norm.pdf(
        xt / (world.a + world.b), (1 - tau) * world.x0[:, None], tau
    )
    mean = world.x0 @ weights / weights.sum(axis=0)
    assert np.allclose(mean, world.mean_picture(xt), atol=1e-9)


@verifies("eq-diffusion-straight-errors")
def test_an_error_of_the_straight_velocity_weighs_that_of_the_picture():
    x0, noise, guess, _, tau = a_straight_guess()
    x = (1 - tau) * x0 + tau * noise
    flow, guessed = noise - x0, (x - guess) / tau  # what the guess says of f
    left = np.sum((flow - guessed) ** 2, axis=1)
    ratio = (1 - tau[:, 0]) ** 2 / tau[:, 0] ** 2
    right = (1 + np.sqrt(ratio)) ** 2 * np.sum((x0 - guess) ** 2, axis=1)
    assert np.allclose(left, right, rtol=1e-12)
    # Picture and noise from a guess of the flow, as the prose has them.
    assert np.allclose(x - tau * flow, x0) and np.allclose(
        x + (1 - tau) * flow, noise
    )


@verifies("eq-diffusion-straight-euler")
def test_an_euler_step_on_the_line_is_a_ddim_step():
    _, _, picture, heard, tau = a_straight_guess()
    x, later = (1 - tau) * picture + tau * heard, 0.3 * tau
    euler = x + (later - tau) * (heard - picture)
    assert np.allclose(
        euler, (1 - later) * picture + later * heard, atol=1e-12
    )

    def circle(place):  # a and b with the same ratio
        angle = np.arctan2(place, 1 - place)
        return np.cos(angle), np.sin(angle)

    (_, _), (a, b) = circle(tau), circle(later)
    ddim = a * picture + b * heard  # def-diffusion-ddim without fresh noise
    assert np.allclose(euler, ddim / (a + b), atol=1e-12)
    # Many small steps along the mean of f end where the flow of the circle
    # ends: Gaussian data, whose flow only stretches.
    m, s, x = 0.4, 0.6, 1.3
    places = np.linspace(1, 0, 20_001)
    for now, then in itertools.pairwise(places):
        variance = (1 - now) ** 2 * s**2 + now**2
        gap = (x - (1 - now) * m) / variance
        flow = now * gap - (m + (1 - now) * s**2 * gap)
        x = x + (then - now) * flow
    assert x == pytest.approx(m + s * 1.3, abs=1e-3)


def test_spread_that_even_steps_on_circle_and_line_leave():
    """The table of the prose, by steps of Euler's method."""

    def left(s, S, line):
        places = np.arange(S, -1, -1) / S
        angles = np.pi / 2 * places
        if line:
            angles = np.arctan2(places, 1 - places)
        a, b = np.cos(angles), np.sin(angles)
        x = 1.0
        for now in range(S):
            variance = a[now] ** 2 * s**2 + b[now] ** 2
            picture, noise = a[now] * s**2 / variance, b[now] / variance
            x *= a[now + 1] * picture + b[now + 1] * noise
        return x / s

    table = {
        (1, False): (0.778, 0.883, 0.940),
        (1, True): (0.771, 0.879, 0.938),
        (0.1, False): (0.289, 0.511, 0.723),
        (0.1, True): (0.360, 0.617, 0.796),
    }
    for (s, line), row in table.items():
        found = [left(s, S, line) for S in (5, 10, 20)]
        assert found == pytest.approx(row, abs=6e-4)


# --- steps on the way that are numbered --------------------------------------


def normal_pdf(x, mean, variance):
    return stats.norm.pdf(x, mean, math.sqrt(variance))


@verifies("eq-diffusion-product", "eq-diffusion-turned")
def test_bayes_given_the_picture():
    _, alpha, bar = SCHEDULES["linear"]
    x0, rng = 0.7, np.random.default_rng(0)
    for t in (2, 40, 300):
        # Joint density of x_{t-1} and x_t given x_0, from its covariance.
        a, b = math.sqrt(bar[t - 1]), math.sqrt(bar[t])
        cross = math.sqrt(alpha[t]) * (1 - bar[t - 1])
        joint = stats.multivariate_normal(
            [a * x0, b * x0],
            [[1 - bar[t - 1], cross], [cross, 1 - bar[t]]],
        )
        xt = b * x0 + math.sqrt(1 - bar[t]) * rng.normal()
        y = a * x0 + math.sqrt(1 - bar[t - 1]) * np.linspace(-2, 2, 9)
        way_back = joint.pdf(np.stack([y, np.full(9, xt)], axis=1))
        way_back /= normal_pdf(xt, b * x0, 1 - bar[t])
        forward = normal_pdf(xt, math.sqrt(alpha[t]) * y, 1 - alpha[t])
        before = normal_pdf(y, a * x0, 1 - bar[t - 1])
        now = normal_pdf(xt, b * x0, 1 - bar[t])
        assert np.ptp(np.log(way_back / (forward * before))) < 1e-6
        assert np.allclose(forward, way_back * now / before, rtol=1e-6)


@verifies("eq-diffusion-square")
def test_two_squares_are_one_but_for_what_does_not_hold_y():
    y, xt, x0, alpha, beta, a, b = sp.symbols("y x_t x_0 α β a b")
    left = (xt - sp.sqrt(alpha) * y) ** 2 / beta + (y - a * x0) ** 2 / b**2
    right = (alpha / beta + 1 / b**2) * y**2
    right -= 2 * y * (sp.sqrt(alpha) / beta * xt + a / b**2 * x0)
    rest = sp.expand(left - right)
    assert sp.simplify(sp.diff(rest, y)) == 0 and rest != 0


@verifies("eq-diffusion-snr-step")
def test_fall_of_the_signal_to_noise_ratio_in_one_step():
    for _, alpha, bar in SCHEDULES.values():
        t = np.arange(2, 200)
        fall = bar[t - 1] / (1 - bar[t - 1]) - bar[t] / (1 - bar[t])
        below = (1 - bar[t - 1]) * (1 - bar[t])
        middle = bar[t - 1] * (1 - bar[t]) - bar[t] * (1 - bar[t - 1])
        assert np.allclose(fall, middle / below, rtol=1e-6)
        assert np.allclose(fall, bar[t - 1] * (1 - alpha[t]) / below)


@verifies("eq-diffusion-score-of-mean")
def test_score_from_the_mean_of_the_pictures():
    pictures, chance = np.array([-1.3, 0.2, 1.0]), np.array([0.2, 0.5, 0.3])
    for a in (0.2, 0.7, 0.95):
        b2, h = 1 - a**2, 1e-5

        def log_q(x, a=a, b2=b2):
            return math.log(chance @ normal_pdf(x, a * pictures, b2))

        for x in (-1.1, 0.3, 2.0):
            weights = chance * normal_pdf(x, a * pictures, b2)
            mean = weights @ pictures / weights.sum()
            slope = (log_q(x + h) - log_q(x - h)) / (2 * h)
            assert slope == pytest.approx(-(x - a * mean) / b2, rel=1e-6)


@verifies("eq-diffusion-twin", "eq-diffusion-two-paths")
def test_other_forms_of_the_flow():
    # A flow with a curved guess of the noise, solved numerically in ρ. In
    # y = x̄/ρ and κ = 1/ρ its slope is the guess of the picture.
    def noise(x, rho):
        return np.tanh(x) / (1 + rho)

    rho = np.linspace(0.5, 2.0, 40_001)
    path = integrate.solve_ivp(
        lambda rho, x: noise(x, rho),
        (0.5, 2.0),
        [0.8],
        t_eval=rho,
        rtol=1e-10,
        atol=1e-12,
    ).y[0]
    slope = np.gradient(path / rho, 1 / rho, edge_order=2)
    picture = path - rho * noise(path, rho)  # x̄ = x_0 + ρ ε
    assert np.allclose(slope, picture, rtol=1e-5)
    # Two paths with the guided score of the Gaussian example: its own flow,
    # dx̄/dρ = -ρ · score, from two starts.
    R, s, mu = 1.3, 0.6, 0.9
    for w in (0.0, 1.0, 3.0):

        def flow(rho, x, w=w):
            own = -(x - mu) / (s**2 + rho**2)
            other = -x / (R**2 + rho**2)
            return -rho * (w * own + (1 - w) * other)

        first, second = (
            integrate.solve_ivp(
                flow, (0.5, 2.0), [x], t_eval=rho, rtol=1e-11, atol=1e-12
            ).y[0]
            for x in (0.2, 0.9)
        )
        slope = np.gradient(np.log(second - first), rho, edge_order=2)
        said = w * rho / (s**2 + rho**2) + (1 - w) * rho / (R**2 + rho**2)
        assert np.allclose(slope, said, atol=1e-6)


@verifies("eq-diffusion-long-step")
def test_a_way_back_over_several_steps():
    _, alpha, bar = SCHEDULES["linear"]
    x0, xt = 0.4, -0.9
    for u, t in ((0, 5), (3, 4), (20, 200), (100, 900)):
        # Step by step: the mean and variance of x_u given x_t and x_0, from
        # the joint Gaussian of both.
        gain = np.prod(np.sqrt(alpha[u + 1 : t + 1]))
        before, now = 1 - bar[u], 1 - bar[t]
        slope = before * gain / now
        mean = math.sqrt(bar[u]) * x0 + slope * (xt - math.sqrt(bar[t]) * x0)
        variance = before - slope * gain * before
        share = bar[t] / bar[u]
        said = math.sqrt(bar[u]) * (1 - share) / now * x0
        said += math.sqrt(share) * before / now * xt
        assert mean == pytest.approx(said, rel=1e-9)
        assert variance == pytest.approx(
            before * (1 - share) / now, rel=1e-7, abs=1e-15
        )

"""Each numbered claim of book/video_generation.md, checked: symbolically, by
autograd, or by simulation.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from scipy import integrate, optimize, stats
from torch import distributions

from dlp_utils.models.video_generation import CVAEConfig
from verifies import mean_within, verifies

D, LATENTS = 3 * 32 * 64, 12 * 32 * 64


def normal(x, mean, variance):
    return stats.norm.pdf(x, mean, np.sqrt(variance))


def positive(size, rng):
    factor = rng.normal(size=(size, size + 2))
    return factor @ factor.T / (size + 2)


# --- one answer is an average ------------------------------------------------


@verifies("eq-video-generation-mean")
def test_squared_error_splits_into_what_is_open_and_what_is_wrong():
    # Two conditions, two-dimensional frames with several outcomes each; f is
    # any function of the condition.
    rng = np.random.default_rng(0)
    chance = rng.dirichlet(np.ones(4), size=2) * np.array(
        [[0.3], [0.7]]
    )  # joint, (conditions, outcomes)
    frames, f = rng.normal(size=(2, 4, 2)), rng.normal(size=(2, 2))
    m = np.sum(chance[..., None] * frames, axis=1) / chance.sum(1)[:, None]
    left = np.sum(chance * np.sum((frames - f[:, None]) ** 2, axis=2))
    open_part = np.sum(chance * np.sum((frames - m[:, None]) ** 2, axis=2))
    wrong_part = np.sum(chance.sum(1) * np.sum((m - f) ** 2, axis=1))
    assert left == pytest.approx(open_part + wrong_part, rel=1e-12)
    assert min(open_part, wrong_part) > 0.1


@verifies("eq-video-generation-naive")
def test_guessing_latents_from_the_prior_needs_exponentially_many():
    sigma = 0.3

    def integrand(power):
        return integrate.quad(
            lambda z: normal(z, 0, 1) * normal(0, z, sigma**2) ** power, -3, 3
        )[0]

    one = integrand(2) / integrand(1) ** 2
    middle = normal(0, 0, 1 + sigma**2 / 2) / (
        2 * sigma * math.sqrt(math.pi) * normal(0, 0, 1 + sigma**2) ** 2
    )
    closed = (1 + sigma**2) / (sigma * math.sqrt(2 + sigma**2))
    assert one == pytest.approx(middle, rel=1e-6) and middle == pytest.approx(
        closed, rel=1e-12
    )
    # The power d: the latents are independent. Simulated for d = 3.
    z = np.random.default_rng(0).normal(size=(400_000, 3))
    likelihood = normal(0, z, sigma**2).prod(axis=1)
    mean_within(likelihood**2 / normal(0, 0, 1 + sigma**2) ** 6, closed**3)
    # Numbers of the prose.
    bracket = 1.01 / (0.1 * math.sqrt(2.01))
    assert bracket == pytest.approx(
        7.1, abs=0.05
    ) and bracket**10 == pytest.approx(3e8, rel=0.15)
    # x = 0 is the easiest frame: the ratio grows with x².
    hard = normal(1, 0, 1 + sigma**2 / 2) / normal(1, 0, 1 + sigma**2) ** 2
    assert (
        hard > normal(0, 0, 1 + sigma**2 / 2) / normal(0, 0, 1 + sigma**2) ** 2
    )


# --- the evidence lower bound ------------------------------------------------


def small_world(seed):
    """A model with four latents and three frames: prior, likelihood, and a
    proposal for frame 1.
    """
    rng = np.random.default_rng(seed)
    prior, proposal = rng.dirichlet(np.ones(4), size=2)
    return prior, rng.dirichlet(np.ones(3), size=4), proposal


@verifies("eq-video-generation-jensen")
def test_jensen_bounds_the_evidence_from_below():
    for seed in range(20):
        prior, likelihood, q = small_world(seed)
        evidence = np.log(prior @ likelihood[:, 1])
        weighted = prior * likelihood[:, 1] / q
        assert np.log(q @ weighted) == pytest.approx(evidence, rel=1e-12)
        assert q @ np.log(weighted) < evidence - 1e-4
    exact = prior * likelihood[:, 1] / np.exp(evidence)
    assert exact @ np.log(prior * likelihood[:, 1] / exact) == pytest.approx(
        evidence, rel=1e-12
    )


@verifies("eq-video-generation-gap")
def test_the_gap_is_the_divergence_from_the_exact_posterior():
    for seed in range(5):
        prior, likelihood, q = small_world(seed)
        joint = prior * likelihood[:, 1]
        posterior, evidence = joint / joint.sum(), np.log(joint.sum())
        elbo, gap = q @ np.log(joint / q), q @ np.log(q / posterior)
        assert elbo + gap == pytest.approx(evidence, rel=1e-12)
        assert gap > 1e-4
        assert (
            abs(posterior @ np.log(posterior / q) - gap) > 1e-3
        )  # the other direction would not do


@verifies("eq-video-generation-terms")
def test_the_bound_is_reconstruction_minus_divergence():
    prior, likelihood, q = small_world(1)
    elbo = q @ np.log(prior * likelihood[:, 1] / q)
    assert elbo == pytest.approx(
        q @ np.log(likelihood[:, 1]) - q @ np.log(q / prior), rel=1e-12
    )


@verifies("eq-video-generation-linear-evidence")
def test_evidence_and_posterior_of_the_one_pixel_model():
    w, sigma, x = 1.7, 0.6, 1.2
    evidence = integrate.quad(
        lambda z: normal(z, 0, 1) * normal(x, w * z, sigma**2), -8, 8
    )[0]
    assert math.log(evidence) == pytest.approx(
        stats.norm.logpdf(x, 0, math.hypot(w, sigma)), rel=1e-8
    )
    v = w**2 + sigma**2
    for z in (-0.5, 0.4, 1.1):
        bayes = normal(z, 0, 1) * normal(x, w * z, sigma**2) / evidence
        assert bayes == pytest.approx(
            normal(z, w * x / v, sigma**2 / v), rel=1e-8
        )


def linear_elbo(x, w, sigma, mu, s):
    return (
        -0.5 * math.log(2 * math.pi * sigma**2)
        - ((x - w * mu) ** 2 + w**2 * s**2) / (2 * sigma**2)
        - 0.5 * (mu**2 + s**2 - 1 - math.log(s**2))
    )


@verifies("eq-video-generation-linear-elbo")
def test_elbo_of_the_one_pixel_model_never_exceeds_the_evidence():
    rng = np.random.default_rng(0)
    for w, sigma, x in ((1.0, 0.6, 1.2), (-2.0, 0.1, 0.3), (0.2, 1.5, -4.0)):
        v, evidence = (
            w**2 + sigma**2,
            stats.norm.logpdf(x, 0, math.hypot(w, sigma)),
        )
        best = linear_elbo(x, w, sigma, w * x / v, sigma / math.sqrt(v))
        assert best == pytest.approx(evidence, rel=1e-12)
        for mu, s in zip(
            rng.normal(size=50), rng.uniform(0.02, 2, 50), strict=True
        ):
            assert linear_elbo(x, w, sigma, mu, s) < evidence
    # The formula is the expectation that it claims to be.
    mu, s = 0.4, 0.5
    z = mu + s * rng.normal(size=400_000)
    terms = (
        stats.norm.logpdf(1.2, 1.0 * z, 0.6)
        + stats.norm.logpdf(z, 0, 1)
        - stats.norm.logpdf(z, mu, s)
    )
    mean_within(terms, linear_elbo(1.2, 1.0, 0.6, mu, s))


@verifies("eq-video-generation-information")
def test_mean_divergence_is_information_plus_distance_of_the_cloud():
    rng = np.random.default_rng(2)
    frames, prior = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(5))
    q = rng.dirichlet(np.ones(5), size=3)  # (frames, latents)
    joint, cloud = frames[:, None] * q, frames @ q
    mean = np.sum(joint * np.log(q / prior))
    information = np.sum(joint * np.log(joint / (frames[:, None] * cloud)))
    assert mean == pytest.approx(
        information + cloud @ np.log(cloud / prior), rel=1e-12
    )
    assert information > 0.05 and mean - information > 0.05


# --- a clip ------------------------------------------------------------------


class TwoSteps:
    """x_t = 0.8 x_{t−1} + c_t + w z_t + σ ε_t for t = 1, 2, as joint Gaussians
    over (x_1, x_2, z_1, z_2).
    """

    a, w, sigma, x0, c = 0.8, 1.3, 0.7, 0.5, (0.2, -0.4)

    def __init__(self):
        a, w, s = self.a, self.w, self.sigma
        # rows: x1, x2, z1, z2; columns: z1, z2, ε1, ε2
        mixing = np.array(
            [[w, 0, s, 0], [a * w, w, a * s, s], [1, 0, 0, 0], [0, 1, 0, 0]]
        )
        m1 = a * self.x0 + self.c[0]
        self.mean = np.array([m1, a * m1 + self.c[1], 0, 0])
        self.covariance = mixing @ mixing.T

    def evidence(self, x):
        return stats.multivariate_normal.logpdf(
            x, self.mean[:2], self.covariance[:2, :2]
        )

    def posterior(self, x):
        """Mean (2,) and covariance (2, 2) of z_1, z_2 given the frames, by
        conditioning the joint Gaussian.
        """
        gain = self.covariance[2:, :2] @ np.linalg.inv(self.covariance[:2, :2])
        return gain @ (x - self.mean[:2]), self.covariance[
            2:, 2:
        ] - gain @ self.covariance[:2, 2:]


@verifies("eq-video-generation-posterior-factors")
def test_exact_posterior_of_a_clip_is_a_product_over_time():
    world, x = TwoSteps(), np.array([1.4, -0.3])
    mean, covariance = world.posterior(x)
    assert abs(covariance[0, 1]) < 1e-12
    v = world.w**2 + world.sigma**2
    for t, previous in enumerate(
        (world.x0, x[0])
    ):  # each factor sees this frame, the previous one, the pose
        new = x[t] - world.a * previous - world.c[t]
        assert mean[t] == pytest.approx(world.w * new / v, rel=1e-10)
        assert covariance[t, t] == pytest.approx(world.sigma**2 / v, rel=1e-10)
    moved, _ = world.posterior(x + np.array([0, 1.0]))
    assert moved[0] == pytest.approx(
        mean[0], rel=1e-12
    )  # the future says nothing more


@verifies("eq-video-generation-clip")
def test_clip_objective_bounds_the_evidence_and_is_a_sum_over_time():
    world, x = TwoSteps(), np.array([1.4, -0.3])
    rng = np.random.default_rng(0)
    mean, covariance = world.posterior(x)

    def objective(mu, s):
        total = 0
        for t, previous in enumerate(
            (world.x0, x[0])
        ):  # the TRUE previous frame
            rest = x[t] - world.a * previous - world.c[t]
            total += linear_elbo(rest, world.w, world.sigma, mu[t], s[t])
        return total

    for _ in range(50):
        assert objective(
            rng.normal(size=2), rng.uniform(0.1, 2, 2)
        ) < world.evidence(x)
    assert objective(mean, np.sqrt(np.diag(covariance))) == pytest.approx(
        world.evidence(x), rel=1e-10
    )
    # It is the bound for all latents at once: E_q[log p(x, z) − log q(z)].
    mu, s = np.array([0.5, -0.2]), np.array([0.6, 0.9])
    z = mu + s * rng.normal(size=(300_000, 2))
    points = np.concatenate([np.broadcast_to(x, z.shape), z], axis=1)
    logs = stats.multivariate_normal.logpdf(
        points, world.mean, world.covariance
    )
    mean_within(
        logs - stats.norm.logpdf(z, mu, s).sum(axis=1), objective(mu, s)
    )


@verifies("eq-video-generation-noise")
def test_bent_gaussian_noise_has_any_wanted_distribution():
    z = np.random.default_rng(0).normal(size=50_000)
    for rate in (
        0.5,
        3.0,
    ):  # the condition: the rate of an exponential distribution
        painted = stats.expon.ppf(stats.norm.cdf(z), scale=1 / rate)
        for u in (0.1, 0.5, 2.0):
            mean_within(
                (painted <= u).astype(float),
                stats.expon.cdf(u, scale=1 / rate),
                sharp=0.05,
            )


@verifies("eq-video-generation-flicker")
def test_independent_draws_flicker():
    rho, rng = 0.95, np.random.default_rng(0)
    now = rng.normal(size=200_000)
    following = rho * now + math.sqrt(1 - rho**2) * rng.normal(size=200_000)
    assert following.var() == pytest.approx(1, abs=0.02)
    mean_within((following - now) ** 2, 2 - 2 * rho)
    mean_within((rng.normal(size=200_000) - now) ** 2, 2.0)
    assert [2 / (2 - 2 * r) for r in (0.7, 0.95)] == pytest.approx(
        [3.3, 20], rel=0.02
    )  # of the prose


# --- divergences of Gaussians ------------------------------------------------


@verifies("eq-video-generation-quadratic")
def test_mean_of_a_quadratic_form():
    rng = np.random.default_rng(0)
    covariance, B = positive(3, rng), rng.normal(size=(3, 3))
    mu, a = rng.normal(size=(2, 3))
    claimed = np.trace(B @ covariance) + (mu - a) @ B @ (mu - a)
    # Exact: the mean over the points μ ± √3 · (columns of a root) has the
    # right mean and covariance.
    root = np.linalg.cholesky(covariance) * math.sqrt(3)
    points = np.concatenate([mu + root.T, mu - root.T])
    assert np.mean([(z - a) @ B @ (z - a) for z in points]) == pytest.approx(
        claimed, rel=1e-10
    )


@verifies("eq-video-generation-kl-full")
def test_divergence_of_full_gaussians():
    rng = np.random.default_rng(1)
    for size in (1, 2, 5):
        Sq, Sp = positive(size, rng), positive(size, rng)
        mq, mp = rng.normal(size=(2, size))
        delta, inverse = mq - mp, np.linalg.inv(Sp)
        claimed = 0.5 * (
            np.trace(inverse @ Sq)
            + delta @ inverse @ delta
            - size
            + np.log(np.linalg.det(Sp) / np.linalg.det(Sq))
        )
        q, p = (
            distributions.MultivariateNormal(torch.tensor(m), torch.tensor(S))
            for m, S in ((mq, Sq), (mp, Sp))
        )
        assert claimed == pytest.approx(
            float(distributions.kl_divergence(q, p)), rel=1e-9
        )


def kl_diagonal(mu_q, var_q, mu_p, var_p):
    return (
        0.5
        * (
            (var_q + (mu_q - mu_p) ** 2) / var_p - 1 - (var_q / var_p).log()
        ).sum()
    )


@verifies("eq-video-generation-kl-diagonal", "eq-video-generation-kl-standard")
def test_divergence_of_diagonal_gaussians():
    generator = torch.Generator().manual_seed(0)
    mu_q, mu_p = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    var_q, var_p = (
        torch.rand(2, 7, generator=generator, dtype=torch.float64) + 0.1
    )
    q, p = (
        distributions.Normal(mu_q, var_q.sqrt()),
        distributions.Normal(mu_p, var_p.sqrt()),
    )
    expected = distributions.kl_divergence(q, p).sum()
    assert torch.allclose(
        kl_diagonal(mu_q, var_q, mu_p, var_p), expected, rtol=1e-12
    )
    standard = distributions.Normal(
        torch.zeros_like(mu_q), torch.ones_like(mu_q)
    )
    expected = distributions.kl_divergence(q, standard).sum()
    assert torch.allclose(
        0.5 * (mu_q**2 + var_q - 1 - var_q.log()).sum(), expected, rtol=1e-12
    )
    assert LATENTS == 24_576 == 4 * D  # of the prose


# --- gradients through samples -----------------------------------------------


def curved(z):
    return (z**3 - 2 * z).sum(axis=0) + z[0] * z[1] ** 2


@verifies("eq-video-generation-reparam")
def test_reparameterized_gradient_is_unbiased():
    mu, s = np.array([0.3, -0.5]), np.array([0.7, 1.1])
    # E f by Gaussian moments, differentiated symbolically.
    m1, m2, s1, s2 = sp.symbols("m1 m2 s1 s2")
    third = [m**3 + 3 * m * v**2 - 2 * m for m, v in ((m1, s1), (m2, s2))]
    expected = third[0] + third[1] + m1 * (m2**2 + s2**2)
    point = {m1: mu[0], m2: mu[1], s1: s[0], s2: s[1]}
    epsilon = np.random.default_rng(0).normal(size=(2, 400_000))
    z = mu[:, None] + s[:, None] * epsilon
    slope = 3 * z**2 - 2 + np.stack([z[1] ** 2, 2 * z[0] * z[1]])
    mean_within(curved(z), float(expected.subs(point)), sharp=0.05)
    for i, (m, v) in enumerate(((m1, s1), (m2, s2))):
        mean_within(slope[i], float(sp.diff(expected, m).subs(point)))
        mean_within(
            slope[i] * epsilon[i], float(sp.diff(expected, v).subs(point))
        )


@verifies("eq-video-generation-score")
def test_score_function_gradient_is_unbiased():
    mu, s = np.array([0.3, -0.5]), np.array([0.7, 1.1])
    epsilon = np.random.default_rng(1).normal(size=(2, 2_000_000))
    z = mu[:, None] + s[:, None] * epsilon
    exact = (
        3 * (mu**2 + s**2)
        - 2
        + np.array([mu[1] ** 2 + s[1] ** 2, 2 * mu[0] * mu[1]])
    )
    for i in range(2):
        mean_within(curved(z) * epsilon[i] / s[i], exact[i])


@verifies("eq-video-generation-variance", "eq-video-generation-baseline")
def test_variance_of_the_two_estimators():
    rng = np.random.default_rng(2)
    for d in (1, 3, 10):
        epsilon = rng.normal(size=(d, 1_000_000))
        f = (epsilon**2).sum(axis=0)
        mean_within(
            (2 * epsilon[0]) ** 2, 4.0
        )  # the mean gradient is 0: the square is the variance
        mean_within((f * epsilon[0]) ** 2, (d + 2) * (d + 4), sharp=0.03)
        mean_within(((f - d) * epsilon[0]) ** 2, 2 * d + 8, sharp=0.03)
    d = sp.Symbol("d")
    assert sp.expand((d**2 - 1) + 6 * (d - 1) + 15 - (d + 2) * (d + 4)) == 0
    assert (
        sp.expand((d + 2) * (d + 4) - 2 * d * (d + 2) + d**2 - (2 * d + 8))
        == 0
    )
    assert 2 * LATENTS + 8 == 49_160 and pytest.approx(6e8, rel=0.01) == (
        LATENTS + 2
    ) * (LATENTS + 4)


# --- what σ and β mean -------------------------------------------------------


@verifies("eq-video-generation-likelihood")
def test_squared_error_is_a_gaussian_likelihood():
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    sigma = 0.2
    claimed = ((x - x_hat) ** 2).sum() / (2 * sigma**2) + 30 / 2 * math.log(
        2 * math.pi * sigma**2
    )
    assert torch.allclose(
        -distributions.Normal(x_hat, sigma).log_prob(x).sum(),
        claimed,
        rtol=1e-12,
    )


@verifies("eq-video-generation-sigma")
def test_best_noise_is_the_error_that_one_makes():
    errors = (
        np.random.default_rng(0).normal(size=(5, 40)) * 0.3
    )  # frames × values
    mse = np.mean(errors**2)

    def loss(variance):
        return np.mean(
            np.sum(errors**2, axis=1) / (2 * variance)
            + 20 * np.log(2 * np.pi * variance)
        )

    found = optimize.minimize_scalar(
        loss, bounds=(1e-3, 1), method="bounded", options={"xatol": 1e-10}
    )
    assert found.x == pytest.approx(mse, rel=1e-5)
    assert math.sqrt(1e-3) == pytest.approx(0.032, abs=5e-4)  # of the prose


@verifies("eq-video-generation-beta-sigma")
def test_beta_and_sigma_are_one_number():
    error, sigma, beta, kl = sp.symbols("E sigma beta K", positive=True)
    left = error / (2 * sigma**2) + beta * kl
    assert sp.simplify(left - beta * (error / (2 * beta * sigma**2) + kl)) == 0

    # So the model with the lowest loss depends on the product alone: one
    # number of variance 0.8, z = a x + s ε, painted as w z.
    def best(sigma, beta):
        def loss(v):
            w, a, s = v[0], v[1], math.exp(v[2])
            error = (1 - w * a) ** 2 * 0.8 + (w * s) ** 2
            kl = (a**2 * 0.8 + s**2 - 1 - 2 * v[2]) / 2
            return error / (2 * sigma**2) + beta * kl

        found = optimize.minimize(loss, [0.5, 0.5, -0.5], tol=1e-12)
        w, a, log_s = found.x
        return np.array([w * a, (w * math.exp(log_s)) ** 2, a**2, log_s])

    base = best(0.5, 1.0)
    for factor in (0.25, 4.0):
        assert np.allclose(
            best(0.5 / math.sqrt(factor), factor), base, atol=1e-3
        )
        assert not np.allclose(best(0.5, factor), base, atol=0.05)
        assert not np.allclose(best(0.5 / factor, factor), base, atol=0.05)


@verifies("eq-video-generation-template")
def test_factor_between_averaging_and_summing():
    error, sigma, b, kl, values = sp.symbols("E sigma b K D", positive=True)
    beta = b * values / (2 * sigma**2)
    left = error / values + b * kl
    assert (
        sp.simplify(
            left - 2 * sigma**2 / values * (error / (2 * sigma**2) + beta * kl)
        )
        == 0
    )
    assert sp.simplify(beta * sigma**2 - b * values / 2) == 0
    # The library's defaults are those of the template.
    x, x_hat = torch.rand(
        2, 1, 3, 32, 64, generator=torch.Generator().manual_seed(0)
    )
    mse = torch.nn.functional.mse_loss(x_hat, x)
    assert torch.allclose(mse, ((x - x_hat) ** 2).sum() / D)
    # The table: b, noise √(bD/2), β at an MSE of 10⁻³.
    rows = [
        (1, 55.4, 3.1e6),
        (1 / D, 0.71, 500),
        (1 / LATENTS, 0.35, 125),
        (1e-6, 0.055, 3.1),
        (2e-3 / D, 0.032, 1),
        (2 * CVAEConfig().sigma ** 2 / D, 0.20, 40),  # this book's lab
    ]
    for weight, noise, beta in rows:
        assert math.sqrt(weight * D / 2) == pytest.approx(noise, rel=0.02)
        assert weight * D / (2 * 1e-3) == pytest.approx(beta, rel=0.02)
    printed = table_of_weights()
    first, *_, last = printed
    assert (first, last) == ("`mse + kl`", "this book's lab")
    for row, cells in zip(rows, printed.values(), strict=True):
        assert cells == pytest.approx(row, rel=0.02)


def table_of_weights(
    page=Path(__file__).parents[2] / "book" / "video_generation.md",
):
    """The page's table of losses: {name: (b, √τ, β)} as printed."""
    text = page.read_text(encoding="utf-8")
    text = text.split("| Loss | $b$ |")[1].split("\n\n")[0]
    rows = {}
    for line in text.splitlines()[2:]:
        name, *cells = (
            cell.strip(" $") for cell in line.strip("|").split("|")
        )
        cells = [re.sub(r"\\cdot10\^\{?(-?\d+)\}?", r"e\1", c) for c in cells]
        cells = [re.sub(r"^10\^\{(-?\d+)\}$", r"1e\1", c) for c in cells]
        known = {"1/D": 1 / D, "1/d": 1 / LATENTS}
        rows[name] = [known.get(c) or float(c) for c in cells]
    return rows


# --- collapse ----------------------------------------------------------------


def linear_loss(w, a, s2, lam, sigma2, beta, log=math.log):
    fit = ((1 - w * a) ** 2 * lam + w**2 * s2) / (2 * sigma2)
    return fit + beta / 2 * (a**2 * lam + s2 - 1 - log(s2))


@verifies("eq-video-generation-linear-encoder")
def test_best_encoder_for_a_given_decoder():
    w, a, s2, lam, sigma2, beta = sp.symbols(
        "w a s2 lambda sigma2 beta", positive=True
    )
    loss = linear_loss(w, a, s2, lam, sigma2, beta, sp.log)
    tau = beta * sigma2
    best = {a: w / (w**2 + tau), s2: tau / (w**2 + tau)}
    for variable in (a, s2):
        assert sp.simplify(sp.diff(loss, variable).subs(best)) == 0
    # The loss is the mean of the ELBO's over x: simulated.
    x = np.random.default_rng(0).normal(size=400_000) * math.sqrt(0.8)
    z = 0.6 * x + math.sqrt(0.3) * np.random.default_rng(1).normal(
        size=400_000
    )
    terms = (x - 1.2 * z) ** 2 / (2 * 0.2) + 1.5 * 0.5 * (
        (0.6 * x) ** 2 + 0.3 - 1 - math.log(0.3)
    )
    mean_within(terms, linear_loss(1.2, 0.6, 0.3, 0.8, 0.2, 1.5))


@verifies("eq-video-generation-profile")
def test_loss_with_the_best_encoder():
    w, lam, sigma2, beta = sp.symbols("w lambda sigma2 beta", positive=True)
    tau = beta * sigma2
    v = w**2 + tau
    loss = linear_loss(w, w / v, tau / v, lam, sigma2, beta, sp.log)
    claimed = beta / 2 * (lam / v + sp.log(v) - sp.log(tau))
    assert sp.simplify(sp.expand_log(loss - claimed, force=True)) == 0


@verifies("eq-video-generation-collapse")
def test_a_latent_lives_if_its_variance_exceeds_the_price():
    sigma2 = 0.1
    for lam, beta in (
        (0.5, 1.0),
        (0.5, 4.0),
        (0.5, 6.0),
        (0.05, 1.0),
        (2.0, 15.0),
    ):

        def loss(values, lam=lam, beta=beta):
            w, a, log_s2 = values
            return linear_loss(w, a, math.exp(log_s2), lam, sigma2, beta)

        found = optimize.minimize(
            loss, (0.5, 0.5, -0.5), method="BFGS", options={"gtol": 1e-9}
        )
        w, a, log_s2 = found.x
        kl = 0.5 * (a**2 * lam + math.exp(log_s2) - 1 - log_s2)
        tau = beta * sigma2
        assert w**2 == pytest.approx(max(lam - tau, 0), abs=2e-3)
        assert kl == pytest.approx(0.5 * max(math.log(lam / tau), 0), abs=2e-3)


@verifies("eq-video-generation-quarter")
def test_no_direction_has_more_variance_than_a_quarter_of_its_values():
    rng = np.random.default_rng(0)
    for seed in range(20):
        x = (
            rng.beta(*(0.05 + rng.random(2)), size=(500, 12))
            if seed
            else np.repeat(rng.integers(0, 2, (500, 1)), 12, 1).astype(float)
        )
        x = np.where(rng.random(x.shape) < 0.3, x.round(), x)
        covariance = np.cov(x.T, bias=True)
        assert (
            np.linalg.eigvalsh(covariance)[-1]
            <= np.trace(covariance) + 1e-12
            <= 12 / 4
        )
    black_or_white = np.repeat(
        [[0.0], [1.0]], 12, axis=1
    )  # the bound is reached
    assert np.linalg.eigvalsh(np.cov(black_or_white.T, bias=True))[
        -1
    ] == pytest.approx(12 / 4)
    m = sp.Symbol("m")
    assert sp.Rational(1, 4) - (m - m**2) == sp.expand(
        (m - sp.Rational(1, 2)) ** 2
    )
    # Each direction of each film is under water for b = 1/2: τ = bD/2 = D/4.
    assert 0.5 * D / 2 == D / 4


def best_code(points, tau, rng, codes=6):
    """Divergence and error at the optimum of a table VAE: a prior over codes,
    any decoder, any encoder.
    """
    prior, paint = rng.dirichlet(np.ones(codes)), rng.normal(size=codes)
    for _ in range(2000):
        weight = prior * np.exp(-((points[:, None] - paint) ** 2) / (2 * tau))
        q = weight / weight.sum(
            axis=1, keepdims=True
        )  # the best encoder for this decoder
        paint = (q * points[:, None]).sum(axis=0) / q.sum(
            axis=0
        )  # the best decoder for this encoder
    divergence = np.mean(
        np.sum(q * np.log(np.maximum(q, 1e-300) / prior), axis=1)
    )
    return divergence, np.mean(
        np.sum(q * (points[:, None] - paint) ** 2, axis=1)
    )


@verifies("eq-video-generation-ceiling")
def test_no_network_buys_more_nats_than_it_could_save():
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.normal(-1, 0.1, 20), rng.normal(1, 0.2, 20)]
    )  # two ways to go on
    open_part, spoke = points.var(), 0
    for tau in (0.05, 0.2, 0.5, 0.9, 1.2):
        found = [best_code(points, tau, rng) for _ in range(8)]
        kl, error = min(found, key=lambda pair: pair[1] / (2 * tau) + pair[0])
        assert (
            error / (2 * tau) + kl <= open_part / (2 * tau) + 1e-9
        )  # no worse than silence
        assert kl <= open_part / (2 * tau) + 1e-9
        spoke += kl > 0.3
    assert spoke >= 2
    b, values, V = sp.symbols("b D V", positive=True)
    assert sp.simplify(V / (2 * b * values / 2) - V / (b * values)) == 0
    assert (
        sp.simplify((V / (b * values)).subs(V, values / 4) - 1 / (4 * b)) == 0
    )


@verifies("eq-video-generation-swap")
def test_error_with_latents_of_three_origins():
    lam, tau = 0.8, 0.3
    w = math.sqrt(lam - tau)
    a, s = w / lam, math.sqrt(tau / lam)
    rng = np.random.default_rng(0)
    x, noise, other = rng.normal(size=(3, 400_000))
    x = math.sqrt(lam) * x
    mean_within((x - w * (a * x + s * noise)) ** 2, tau)
    mean_within(x**2, lam)
    mean_within((x - w * other) ** 2, 2 * lam - tau)


@verifies("eq-video-generation-active")
def test_activity_and_divergence_of_a_linear_latent():
    lam, tau = sp.symbols("lambda tau", positive=True)
    w2 = lam - tau
    activity = (w2 / lam**2) * lam  # a² λ with a = w / λ
    kl = sp.log(lam / tau) / 2
    assert sp.simplify(activity - (1 - tau / lam)) == 0
    assert sp.simplify(activity - (1 - sp.exp(-2 * kl))) == 0
    assert -0.5 * math.log(1 - 0.01) == pytest.approx(
        0.005, abs=1e-4
    )  # of the prose


@verifies("eq-video-generation-near-silence", "eq-video-generation-blind")
def test_an_encoder_that_sees_one_frame_wakes_later():
    # Everything is a sum of three independent normal numbers: the light
    # before, what is new in the light, the encoder's noise.
    for lam, beta, rho in ((0.6, 1.0, 0.8), (1.5, 0.3, 0.5), (0.4, 4.0, 0.9)):
        new = 1 - rho**2
        light = torch.tensor([rho, math.sqrt(new), 0.0])
        step = light - rho * torch.tensor([1.0, 0.0, 0.0])
        noise = torch.tensor([0.0, 0.0, 1.0])
        for signal, kappa in ((step, new), (light, 1.0)):

            def loss(
                wa, sigma2, signal=signal, parts=(step, noise, lam, beta)
            ):
                step, noise, lam, beta = parts
                w, a = wa
                error = step - w * (a * signal + noise)
                kl = ((a * signal) ** 2).sum() / 2  # at s = 1
                return lam / (2 * sigma2) * (error**2).sum() + beta * kl

            # The printed expansion, but for terms of fourth order.
            small = torch.tensor([0.7e-2, -1.1e-2], dtype=torch.float64)
            w, a = small.tolist()
            for sigma2 in (0.2, 1.3):
                rise = loss(small, sigma2) - loss(0 * small, sigma2)
                said = lam / (2 * sigma2) * (w**2 - 2 * w * a * new)
                said += beta / 2 * a**2 * kappa
                assert rise.item() == pytest.approx(said, rel=1e-3)
            # Silence is a saddle exactly beyond the stated price.
            price = lam * new if signal is step else lam * new**2
            for tau, wakes in ((0.98 * price, True), (1.02 * price, False)):
                curvature = torch.autograd.functional.hessian(
                    lambda wa, tau=tau, beta=beta, loss=loss: loss(
                        wa, tau / beta
                    ),
                    torch.zeros(2, dtype=torch.float64),
                )
                lowest = torch.linalg.eigvalsh(curvature)[0]
                assert bool(lowest < 0) == wakes
    assert [1 / (1 - r**2) for r in (0.7, 0.95)] == pytest.approx(
        [2, 10], rel=0.03
    )  # of the prose


# --- annealing ---------------------------------------------------------------


def schedule(k, steps, cycles, ratio):
    return min(1, (k * cycles % steps) / steps / ratio)


@verifies("eq-video-generation-schedule-mean")
def test_mean_weight_of_a_schedule():
    for steps, cycles, ratio in (
        (400, 4, 0.5),
        (400, 1, 0.5),
        (100, 5, 0.25),
        (60, 3, 1.0),
    ):
        values = [schedule(k, steps, cycles, ratio) for k in range(steps)]
        n = steps / cycles
        assert np.mean(values) == pytest.approx(
            1 - ratio / 2 - 1 / (2 * n), rel=1e-12
        )
        assert sum(value == 0 for value in values) == cycles


@verifies("eq-video-generation-saddle")
def test_rate_at_which_a_latent_grows_out_of_silence():
    lam, sigma2 = 0.5, 0.1

    def rate(beta):
        def gradient(w, a):
            values = torch.tensor(
                [w, a], dtype=torch.float64, requires_grad=True
            )
            loss = linear_loss(values[0], values[1], 1.0, lam, sigma2, beta)
            return torch.autograd.grad(loss, values)[0].numpy()

        small = 1e-6
        matrix = (
            -np.stack([gradient(small, 0.0), gradient(0.0, small)], axis=1)
            / small
        )
        return np.linalg.eigvals(matrix).real.max()

    rates = []
    for beta in (0.0, 1.0, 3.0, 4.99, 5.01, 8.0):
        tau = beta * sigma2
        root = math.sqrt((1 + lam * tau) ** 2 + 4 * lam * (lam - tau))
        claimed = (-(1 + lam * tau) + root) / (2 * sigma2)
        assert rate(beta) == pytest.approx(claimed, rel=1e-5, abs=1e-6)
        assert (claimed > 0) == (lam > tau)
        rates.append(claimed)
    assert rates == sorted(rates, reverse=True)  # largest without a price


# --- drift -------------------------------------------------------------------


@verifies("eq-video-generation-drift")
def test_errors_pile_up():
    nu, rng = 0.3, np.random.default_rng(0)
    for alpha in (0.5, 0.9):
        error = np.zeros(200_000)
        for t in range(1, 13):
            error = alpha * error + nu * rng.normal(size=len(error))
            if t in (1, 2, 12):
                mean_within(
                    error**2, nu**2 * (1 - alpha ** (2 * t)) / (1 - alpha**2)
                )
    a, t = sp.Symbol("a"), 7
    assert sp.limit((1 - a ** (2 * t)) / (1 - a**2), a, 1) == t
    assert 10 * math.log10(60) == pytest.approx(17.8, abs=0.05)  # of the prose
    assert 10 * math.log10(1 / (1 - 0.8**2)) == pytest.approx(4.4, abs=0.05)


def settled(gain, q, nu):
    keep = (1 - gain) ** 2
    return (keep * q**2 + gain**2 * nu**2) / (1 - keep)


@verifies("eq-video-generation-mix-error", "eq-video-generation-rollout")
def test_error_of_a_painted_film():
    q, nu, gain, rng = 0.2, 0.7, 0.15, np.random.default_rng(0)
    (x, painted), expected = np.zeros((2, 200_000)), 0.0
    for t in range(40):
        x = x + q * rng.normal(size=len(x))
        pose = x + nu * rng.normal(size=len(x))
        painted = (1 - gain) * painted + gain * pose
        expected = (1 - gain) ** 2 * (expected + q**2) + gain**2 * nu**2
        if t in (0, 3, 39):
            mean_within((painted - x) ** 2, expected)
    assert expected == pytest.approx(settled(gain, q, nu), rel=1e-4)


@verifies("eq-video-generation-forced")
def test_gain_that_teacher_forcing_learns():
    q, nu = 0.4, 0.9
    found = optimize.minimize_scalar(
        lambda g: (1 - g) ** 2 * q**2 + g**2 * nu**2, bounds=(0, 1)
    )
    assert found.x == pytest.approx(q**2 / (q**2 + nu**2), rel=1e-5)


def coin_gain(r, q, nu):
    """Iterate: paint with the coin until the error settles, then choose the
    best gain for one step.
    """
    gain = 0.5
    for _ in range(3000):
        keep = (1 - gain) ** 2
        error = (keep * q**2 + gain**2 * nu**2) / (1 - keep * (1 - r))
        before = (1 - r) * error + q**2
        gain = before / (before + nu**2)
    return gain, error


@verifies("eq-video-generation-coin")
def test_a_coin_leads_from_the_forced_gain_to_the_kalman_gain():
    for q, nu in ((0.1, 1.0), (0.3, 0.5), (0.1, 3.0)):
        for r in (1.0, 0.7, 0.2, 0.0):
            gain, error = coin_gain(r, q, nu)
            spread = (1 - r) * error + q**2
            assert gain == pytest.approx(spread / (spread + nu**2), rel=1e-6)
            assert error == pytest.approx(gain * nu**2, rel=1e-6)
        # The settled error with coins, simulated with the printed gain: from
        # V = (1 - r) g ν² + q² and g = V / (V + ν²), here r = 1/2.
        v = optimize.brentq(
            lambda v, q=q, nu=nu: 0.5 * v / (v + nu**2) * nu**2 + q**2 - v,
            1e-9,
            99,
        )
        gain = v / (v + nu**2)
        rng, error = np.random.default_rng(0), np.zeros(200_000)
        for _ in range(60):
            error = np.where(rng.random(len(error)) < 0.5, 0, error)
            step, pose = rng.normal(size=(2, len(error)))
            error = (1 - gain) * (error - q * step) + gain * nu * pose
        mean_within(error**2, gain * nu**2)
    q, nu = 0.1, 1.0
    # The ends.
    forced, kalman = q**2 / (q**2 + nu**2), coin_gain(0.0, q, nu)[0]
    assert coin_gain(1.0, q, nu)[0] == pytest.approx(forced, rel=1e-9)
    best = optimize.minimize_scalar(
        lambda g: settled(g, q, nu), bounds=(1e-4, 0.9), method="bounded"
    )
    assert kalman == pytest.approx(best.x, rel=1e-3)
    # Numbers of the prose.
    assert (forced, kalman) == (
        pytest.approx(0.0099, abs=5e-5),
        pytest.approx(0.095, abs=5e-4),
    )
    errors = settled(forced, q, nu), settled(kalman, q, nu)
    assert errors == (
        pytest.approx(0.502, abs=1e-3),
        pytest.approx(0.095, abs=5e-4),
    )
    assert 10 * math.log10(errors[0] / errors[1]) == pytest.approx(
        7.2, abs=0.05
    )


# --- decibels ----------------------------------------------------------------


def psnr(mse):
    return -10 * np.log10(mse)


@verifies("eq-video-generation-psnr-mean")
def test_averaging_decibels_flatters():
    rng = np.random.default_rng(0)
    for _ in range(20):
        m = rng.uniform(1e-4, 1e-1, size=8)
        assert psnr(m).mean() > psnr(m.mean())
    assert psnr(np.full(5, 0.01)).mean() == pytest.approx(psnr(0.01))
    ends = 10 ** (-np.array([38, 23.5]) / 10)  # of the prose
    assert psnr(ends).mean() == pytest.approx(30.75) and psnr(
        ends.mean()
    ) == pytest.approx(26.4, abs=0.05)
    assert [psnr(error**2) for error in (0.1, 0.01)] == pytest.approx([20, 40])


@verifies("eq-video-generation-psnr-gap")
def test_difference_of_the_two_averages_to_second_order():
    rng = np.random.default_rng(0)
    shape = rng.normal(size=1000)
    shape -= shape.mean()
    for size in (0.01, 0.03):
        m = 1e-3 * (1 + size * shape)
        claimed = 10 / math.log(10) * np.mean((m / m.mean() - 1) ** 2) / 2
        assert psnr(m).mean() - psnr(m.mean()) == pytest.approx(
            claimed, rel=3 * size
        )
    assert 10 / math.log(10) / 2 == pytest.approx(2.2, abs=0.05)


@verifies("eq-video-generation-sample")
def test_a_perfect_sample_has_twice_the_error_of_the_mean():
    rng = np.random.default_rng(0)

    def draw():  # three pixels that are not independent, and not Gaussian
        return rng.exponential(size=(200_000, 1)) * np.array(
            [1, 0.5, -0.2]
        ) + rng.random((200_000, 3))

    truth, sample, mean = draw(), draw(), np.array([1.5, 1.0, 0.3])
    variance = 1 + 0.25 + 0.04 + 3 / 12
    mean_within(((truth - mean) ** 2).sum(axis=1), variance)
    mean_within(((truth - sample) ** 2).sum(axis=1), 2 * variance)
    assert 10 * math.log10(2) == pytest.approx(3.01, abs=0.002)


@verifies("eq-video-generation-prior")
def test_best_gaussian_prior_has_the_moments_of_the_cloud():
    generator = torch.Generator().manual_seed(0)
    mu, log_var = torch.randn(
        2, 40, 3, generator=generator, dtype=torch.float64
    )
    mu_p = mu.mean(0)
    var_p = (log_var.exp() + (mu - mu_p) ** 2).mean(0)
    values = [mu_p.clone().requires_grad_(), var_p.clone().requires_grad_()]
    loss = sum(
        kl_diagonal(m, v.exp(), *values)
        for m, v in zip(mu, log_var, strict=True)
    )
    assert all(
        part.abs().max() < 1e-10 for part in torch.autograd.grad(loss, values)
    )
    for factor in (0.9, 1.1):
        worse = sum(
            kl_diagonal(m, v.exp(), mu_p, factor * var_p)
            for m, v in zip(mu, log_var, strict=True)
        )
        assert worse > loss

"""Each numbered claim of book/eeg_classification.md, checked: symbolically, by
matrices, or by simulation.
"""

import math

import numpy as np
import pytest
import scipy.linalg
import sympy as sp
import torch
from scipy import integrate, special, stats
from torch.nn import functional as F

from verifies import mean_within, verifies


def doubles(*shape, seed=0):
    return torch.randn(
        *shape,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed + sum(shape)),
    )


def positive(size, rng):
    """A random symmetric positive definite matrix."""
    factor = rng.normal(size=(size, size + 3))
    return factor @ factor.T / (size + 3)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


# --- what an electrode sees --------------------------------------------------


@verifies("eq-eeg-classification-dipole")
def test_source_and_sink_make_a_dipole():
    current, kappa, r, d, c = sp.symbols(
        "I kappa r d c", positive=True
    )  # c = uᵀe
    near = sp.sqrt(r**2 - r * d * c + d**2 / 4)
    far = sp.sqrt(r**2 + r * d * c + d**2 / 4)
    exact = current / (4 * sp.pi * kappa) * (1 / near - 1 / far)
    claimed = current * d * c / (4 * sp.pi * kappa * r**2)
    series = sp.series(exact, d, 0, 3).removeO()
    assert (
        sp.simplify(series - claimed) == 0
    )  # also no d² term: the error is of third order
    # The squared distances, with real vectors.
    u, e = np.array([0.6, 0.0, 0.8]), np.array([0.0, 0.8, 0.6])
    for sign in (1, -1):
        square = np.sum((2 * u - sign * 0.05 * e) ** 2)
        assert square == pytest.approx(
            4 - sign * 2 * 0.1 * (u @ e) + 0.1**2 / 4, rel=1e-14
        )


@verifies("eq-eeg-classification-width")
def test_half_width_of_a_radial_dipole():
    rho, h = sp.symbols("rho h", positive=True)
    r = sp.sqrt(h**2 + rho**2)
    profile = (h / r) / r**2  # uᵀe / r²
    half = h * sp.sqrt(2 ** sp.Rational(2, 3) - 1)
    assert (
        sp.simplify(
            profile.subs(rho, half) / profile.subs(rho, 0) - sp.Rational(1, 2)
        )
        == 0
    )
    assert float(half / h) == pytest.approx(0.77, abs=0.005)
    # Numbers of the prose: at 2 cm depth a spot of 3 cm, and 12% at 3.5 cm.
    assert 2 * float(half.subs(h, 2)) == pytest.approx(3.07, abs=0.01)
    assert float(
        (profile.subs(rho, 3.5) / profile.subs(rho, 0)).subs(h, 2)
    ) == pytest.approx(0.12, abs=0.005)


@verifies("eq-eeg-classification-covariance")
def test_covariance_of_a_mixture():
    rng = np.random.default_rng(0)
    A, source, noise = (
        rng.normal(size=(3, 2)),
        positive(2, rng),
        positive(3, rng),
    )
    n = 200_000
    s = np.linalg.cholesky(source) @ rng.normal(size=(2, n))
    x = A @ s + np.linalg.cholesky(noise) @ rng.normal(size=(3, n))
    expected = A @ source @ A.T + noise
    for i in range(3):
        for j in range(i, 3):
            error = np.sqrt(
                expected[i, i] * expected[j, j] + expected[i, j] ** 2
            )
            assert abs(
                np.mean(x[i] * x[j]) - expected[i, j]
            ) < 5 * error / math.sqrt(n)
    assert (
        np.abs(A @ source @ A.T).min() > 0.03
    )  # large enough to be missed if it were absent


# --- filters and patterns ----------------------------------------------------


@verifies("eq-eeg-classification-two-electrodes")
def test_the_filter_looks_at_an_electrode_without_the_source():
    s, d = sp.symbols("s d")
    a, w, x = sp.Matrix([1, 0]), sp.Matrix([1, -1]), sp.Matrix([s + d, d])
    assert sp.expand((w.T * x)[0] - s) == 0
    assert x.diff(s) == a  # what the electrodes show of the source
    covariance = sp.Matrix([[2, 1], [1, 1]])  # Var s = Var d = 1
    assert covariance * w / (w.T * covariance * w)[0] == a


@verifies("eq-eeg-classification-haufe")
def test_haufe_transform_is_the_least_squares_solution():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 5)) @ rng.normal(size=(5, 400))
    W = rng.normal(size=(5, 3))
    s = W.T @ x
    covariance = x @ x.T / 400
    claimed = covariance @ W @ np.linalg.inv(W.T @ covariance @ W)
    fitted = np.linalg.lstsq(s.T, x.T, rcond=None)[0].T
    assert np.allclose(claimed, fitted, rtol=1e-9)
    assert np.allclose(
        (x - claimed @ s) @ s.T, 0, atol=1e-8
    )  # what is left is uncorrelated with the components


@verifies("eq-eeg-classification-haufe-exact")
def test_exact_components_give_the_true_patterns():
    rng = np.random.default_rng(2)
    A, source = rng.normal(size=(6, 3)), positive(3, rng)
    # Noise in the directions that the filters do not see: W.T A = I and W.T n
    # = 0.
    W = np.linalg.pinv(A).T
    hidden = scipy.linalg.null_space(W.T)
    noise = hidden @ positive(3, rng) @ hidden.T
    covariance = A @ source @ A.T + noise
    assert np.allclose(W.T @ covariance @ W, source)
    assert np.allclose(covariance @ W @ np.linalg.inv(W.T @ covariance @ W), A)
    assert not np.allclose(
        W / np.linalg.norm(W, axis=0), A / np.linalg.norm(A, axis=0), atol=0.1
    )


@verifies("eq-eeg-classification-haufe-square")
def test_with_all_filters_the_data_cancel():
    rng = np.random.default_rng(3)
    W = rng.normal(size=(4, 4))
    for _ in range(2):
        covariance = positive(4, rng)
        pattern = covariance @ W @ np.linalg.inv(W.T @ covariance @ W)
        assert np.allclose(pattern, np.linalg.inv(W).T)
        alone = covariance @ W[:, 0] / (W[:, 0] @ covariance @ W[:, 0])
        assert not np.allclose(
            alone, pattern[:, 0], atol=0.01
        )  # one at a time they do not


# --- power and phase ---------------------------------------------------------


@verifies("eq-eeg-classification-phase")
def test_linear_features_of_a_random_phase_vanish_and_power_does_not():
    a, omega, phi = sp.symbols("a omega phi", positive=True)
    t = sp.symbols("t", integer=True)
    x = a * sp.cos(omega * t + phi)
    uniform = (phi, 0, 2 * sp.pi)
    assert sp.simplify(sp.integrate(sp.expand_trig(x), uniform)) == 0
    assert (
        sp.simplify(
            sp.integrate(sp.expand(sp.expand_trig(x) ** 2), uniform)
            / (2 * sp.pi)
            - a**2 / 2
        )
        == 0
    )


@verifies("eq-eeg-classification-window")
def test_mean_square_over_a_window():
    for P, omega, phi in (
        (62, 2 * np.pi * 10 / 125, 0.3),
        (7, 1.1, 2.0),
        (30, 0.2, 5.0),
    ):
        t = np.arange(P)
        measured = np.mean((1.7 * np.cos(omega * t + phi)) ** 2)
        ripple = (
            np.sin(P * omega)
            / (P * np.sin(omega))
            * np.cos((P - 1) * omega + 2 * phi)
        )
        assert measured == pytest.approx(1.7**2 / 2 * (1 + ripple), rel=1e-12)
    omega = 2 * np.pi * 10 / 125
    assert abs(np.sin(62 * omega) / (62 * np.sin(omega))) == pytest.approx(
        0.008, abs=5e-4
    )


def mirrored_trials(y, n, rng, samples=40):
    d = np.exp(-(((np.arange(samples) - 20) / 6) ** 2))
    return y * d + 0.7 * rng.normal(size=(n, samples)), d


@verifies("eq-eeg-classification-evoked")
def test_the_sign_is_in_the_mean_and_not_in_the_power():
    rng = np.random.default_rng(4)
    h = rng.normal(size=40) + 1
    for y in (1, -1):
        x, d = mirrored_trials(y, 20_000, rng)
        mean_within(x @ h, y * (h @ d))
        mean_within(np.mean(x**2, axis=1), 0.49 + np.mean(d**2), sharp=0.005)


@verifies("eq-eeg-classification-mirror")
def test_even_features_of_mirrored_classes_have_one_distribution():
    # A discrete example, exactly: every vector of symmetric noise, with its
    # probability.
    steps = {-2: 1, -1: 3, 0: 2, 1: 3, 2: 1}
    d = (1, 3, -2)

    def distribution(y, g):
        found = {}
        for a, pa in steps.items():
            for b, pb in steps.items():
                for c, pc in steps.items():
                    value = g([y * d[0] + a, y * d[1] + b, y * d[2] + c])
                    found[value] = found.get(value, 0) + pa * pb * pc
        return found

    def even(x):  # two windows of mean squares, and an odd function of them
        return x[0] ** 2 + x[1] ** 2, (x[1] ** 2 + x[2] ** 2) ** 3

    assert distribution(1, even) == distribution(-1, even)
    assert distribution(1, lambda x: even([v + 1 for v in x])) != distribution(
        -1, lambda x: even([v + 1 for v in x])
    )
    # The published network, with the batch norm of its start, is such a
    # feature.
    x = doubles(3, 4, 50)
    front = [doubles(6, 4, 1, seed=1), doubles(5, 6, 12, seed=2)]

    def features(x, shift=0.0):
        z = F.batch_norm(F.conv1d(x, front[0]), None, None, training=True)
        y = (
            F.batch_norm(
                F.conv1d(z, front[1], padding=6), None, None, training=True
            )
            + shift
        )
        return F.avg_pool1d(y**2, 20, 5).log()

    assert torch.allclose(features(x), features(-x), rtol=1e-12)
    assert not torch.allclose(features(x, 0.5), features(-x, 0.5), rtol=0.01)


@verifies("eq-eeg-classification-sensitivity")
def test_what_power_leaves_of_a_deflection():
    rng = np.random.default_rng(5)
    P, n, sigma = 62, 40_000, 1.3
    d = np.sin(np.linspace(0, np.pi, P))
    d *= 2 * sigma / np.linalg.norm(d)  # √E / σ = 2
    noise, signal = (
        sigma * rng.normal(size=(n, P)),
        d + sigma * rng.normal(size=(n, P)),
    )

    def sensitivity(feature):
        return (feature(signal).mean() - feature(noise).mean()) / feature(
            noise
        ).std()

    error = (
        2 / math.sqrt(n)
        # of a difference of two means, in standard deviations, and more
    )
    assert sensitivity(lambda x: x @ d) == pytest.approx(2, abs=5 * error)
    claimed = 2**2 / math.sqrt(2 * P)
    assert sensitivity(lambda x: np.sum(x**2, axis=1)) == pytest.approx(
        claimed, abs=5 * error
    )
    assert error < 0.05 * claimed
    # Numbers of the prose: with the threshold in the middle, Φ(D/2) are right.
    assert claimed == pytest.approx(0.36, abs=0.005)
    assert stats.norm.cdf(1) == pytest.approx(0.84, abs=0.005)
    assert stats.norm.cdf(claimed / 2) == pytest.approx(0.57, abs=0.005)


@verifies("eq-eeg-classification-side-door")
def test_a_shift_before_the_square_lets_the_mean_through():
    y, beta = sp.symbols("y0:5"), sp.Symbol("beta")
    left = sum((v + beta) ** 2 for v in y) / 5
    right = sum(v**2 for v in y) / 5 + 2 * beta * sum(y) / 5 + beta**2
    assert sp.expand(left - right) == 0


@verifies("eq-eeg-classification-side-door-ratio")
def test_how_far_the_side_door_is_open():
    beta, delta, P = sp.symbols("beta delta P", positive=True)
    y = sp.Symbol("y", real=True)
    normal = sp.exp(-((y - delta) ** 2) / 2) / sp.sqrt(2 * sp.pi)
    f = (y + beta) ** 2
    mean = sp.simplify(sp.integrate(sp.expand(f) * normal, (y, -sp.oo, sp.oo)))
    second = sp.simplify(
        sp.integrate(sp.expand(f**2) * normal, (y, -sp.oo, sp.oo))
    )
    variance = sp.expand(second - mean**2)
    assert sp.simplify(mean - mean.subs(delta, -delta) - 4 * beta * delta) == 0
    assert sp.expand(variance.subs(delta, 0) - (2 + 4 * beta**2)) == 0
    through = 4 * beta * delta / sp.sqrt(variance.subs(delta, 0) / P)
    plain = 2 * delta / sp.sqrt(1 / P)
    assert (
        sp.simplify(
            through / plain - beta / sp.sqrt(beta**2 + sp.Rational(1, 2))
        )
        == 0
    )
    for value, share in ((0.1, 0.14), (1, 0.82)):
        assert value / math.sqrt(value**2 + 0.5) == pytest.approx(
            share, abs=0.005
        )


@verifies("eq-eeg-classification-elu")
def test_the_even_half_of_an_elu_is_a_quarter_of_the_power():
    y = torch.linspace(-4, 4, 81, dtype=torch.float64)
    even = (F.elu(y) + F.elu(-y)) / 2
    assert torch.allclose(
        even, (y.abs() + torch.exp(-y.abs()) - 1) / 2, atol=1e-14
    )
    u = sp.Symbol("u", positive=True)
    series = sp.series((u + sp.exp(-u) - 1) / 2, u, 0, 3).removeO()
    assert sp.expand(series - u**2 / 4) == 0


# --- square, average, logarithm ----------------------------------------------


@verifies("eq-eeg-classification-chi-power")
def test_powers_of_a_chi_square():
    for nu in (1, 3, 10):
        for tau in (-0.2, 0.5, 2):
            value = integrate.quad(
                lambda u, nu=nu, tau=tau: u**tau * stats.chi2.pdf(u, nu),
                0,
                np.inf,
            )[0]
            claimed = (
                2**tau * special.gamma(nu / 2 + tau) / special.gamma(nu / 2)
            )
            assert value == pytest.approx(claimed, rel=1e-6)


@verifies("eq-eeg-classification-log-moments")
def test_mean_and_variance_of_a_log_variance():
    # The generating function's logarithm, differentiated twice.
    tau, nu = sp.symbols("tau nu", positive=True)
    generator = tau * sp.log(2) + sp.loggamma(nu / 2 + tau)
    assert (
        sp.simplify(
            sp.diff(generator, tau).subs(tau, 0)
            - sp.log(2)
            - sp.digamma(nu / 2)
        )
        == 0
    )
    assert (
        sp.simplify(
            sp.diff(generator, tau, 2).subs(tau, 0) - sp.polygamma(1, nu / 2)
        )
        == 0
    )
    rng = np.random.default_rng(6)
    for count, sigma in ((1, 0.3), (10, 5.0)):
        logs = np.log(
            np.mean((sigma * rng.normal(size=(100_000, count))) ** 2, axis=1)
        )
        mean = (
            2 * math.log(sigma)
            + special.digamma(count / 2)
            - math.log(count / 2)
        )
        mean_within(logs, mean)
        mean_within((logs - mean) ** 2, special.polygamma(1, count / 2))


@verifies("eq-eeg-classification-log-large")
def test_log_variance_for_many_values():
    for nu in (20, 200):
        bias = special.digamma(nu / 2) - math.log(nu / 2)
        assert abs(bias + 1 / nu) < 1 / nu**2
        assert abs(special.polygamma(1, nu / 2) - 2 / nu) < 3 / nu**2


@verifies("eq-eeg-classification-order")
def test_log_before_the_average_is_noisier():
    assert special.polygamma(1, 0.5) == pytest.approx(
        math.pi**2 / 2, rel=1e-12
    )
    assert math.pi**2 / 4 == pytest.approx(2.5, abs=0.05)
    rng = np.random.default_rng(7)
    count = 200
    squares = rng.normal(size=(20_000, count)) ** 2
    before, after = np.log(squares).mean(axis=1), np.log(squares.mean(axis=1))
    error = (
        math.pi**2 / 4 * math.sqrt(2 * 2 / 20_000)
    )  # of a ratio of two variances
    assert before.var() / (2 / count) == pytest.approx(
        math.pi**2 / 4, abs=5 * error
    )
    assert before.var() / after.var() == pytest.approx(
        math.pi**2 / 4, abs=5 * error + 2 / count
    )


# --- common spatial patterns -------------------------------------------------


@verifies("eq-eeg-classification-rayleigh-gradient")
def test_gradient_of_the_rayleigh_quotient():
    rng = np.random.default_rng(8)
    first, second = (torch.tensor(positive(4, rng)) for _ in range(2))
    total, w = first + second, doubles(4).requires_grad_()
    R = (w @ first @ w) / (w @ total @ w)
    (gradient,) = torch.autograd.grad(R, w)
    claimed = 2 / (w @ total @ w) * (first @ w - R * (total @ w))
    assert torch.allclose(gradient, claimed, rtol=1e-12)
    values, vectors = scipy.linalg.eigh(first.numpy(), total.numpy())
    for value, vector in zip(
        values, vectors.T, strict=True
    ):  # zero where first w = λ total w
        v = torch.tensor(vector, requires_grad=True)
        quotient = (v @ first @ v) / (v @ total @ v)
        assert float(quotient.detach()) == pytest.approx(value, rel=1e-10)
        assert torch.autograd.grad(quotient, v)[0].abs().max() < 1e-12


def csp(first, second):
    whiten = power(first + second, -0.5)
    values, U = np.linalg.eigh(whiten @ first @ whiten)
    return values, whiten @ U


@verifies("eq-eeg-classification-csp")
def test_csp_makes_both_covariances_diagonal():
    rng = np.random.default_rng(9)
    first, second = positive(5, rng), positive(5, rng)
    values, W = csp(first, second)
    assert np.allclose(W.T @ first @ W, np.diag(values), atol=1e-12)
    assert np.allclose(
        W.T @ second @ W, np.eye(5) - np.diag(values), atol=1e-12
    )
    assert np.allclose(
        values, scipy.linalg.eigh(first, first + second, eigvals_only=True)
    )


@verifies("eq-eeg-classification-csp-extremes")
def test_quotient_is_a_weighted_mean_of_the_eigenvalues():
    rng = np.random.default_rng(10)
    first, second = positive(4, rng), positive(4, rng)
    values, W = csp(first, second)
    for c in rng.normal(size=(200, 4)):
        w = W @ c
        R = (w @ first @ w) / (w @ (first + second) @ w)
        assert (
            pytest.approx(np.sum(values * c**2) / np.sum(c**2), rel=1e-10) == R
        )
        assert values.min() - 1e-12 <= R <= values.max() + 1e-12


# --- SCCNet ------------------------------------------------------------------

C, T, NU, FILTERS, K, PAD, POOL, STRIDE, CLASSES = (
    22,
    438,
    22,
    20,
    12,
    6,
    62,
    12,
    4,
)


@verifies("eq-eeg-classification-spatial")
def test_spatial_convolution_is_a_matrix_product():
    layer = torch.nn.Conv2d(1, NU, (C, 1)).double()
    x = doubles(2, C, T)
    W, b = layer.weight[:, 0, :, 0].T, layer.bias[:, None]
    Z = W.T @ x + b @ torch.ones(1, T, dtype=torch.float64)
    assert torch.allclose(layer(x[:, None]), Z[:, :, None], atol=1e-12)
    assert Z.shape == (2, NU, T)


@verifies("eq-eeg-classification-bias")
def test_batch_norm_takes_a_constant_off():
    z, b = doubles(8, 5, 30), doubles(5, 1, seed=3)
    norm = torch.nn.BatchNorm1d(5).double()
    torch.nn.init.normal_(norm.weight)
    assert torch.allclose(norm(z + b), norm(z), atol=1e-12)


@verifies("eq-eeg-classification-temporal")
def test_temporal_convolution_is_a_matrix_product():
    layer = torch.nn.Conv2d(1, FILTERS, (NU, K), padding=(0, PAD)).double()
    z = doubles(2, NU, T)
    expected = layer(z[:, None])[:, :, 0]  # (2, 20, 439)
    padded = F.pad(z, (PAD, PAD))
    T1 = T + 2 * PAD - K + 1
    # Row (u, k) of the stack is component u, shifted: Z[u, t + k - 1 - p] with
    # t and k counted from 1.
    stack = torch.stack(
        [padded[:, :, k : k + T1] for k in range(K)], dim=2
    ).reshape(2, NU * K, T1)
    Y = layer.weight.reshape(FILTERS, NU * K) @ stack + layer.bias[:, None]
    assert stack.shape == (2, 264, 439)
    assert torch.allclose(Y, expected, atol=1e-12)
    # One entry by the formula of the page, with its indices from 1.
    f, t = 3, 4
    total = layer.bias[f - 1]
    for u in range(1, NU + 1):
        for k in range(1, K + 1):
            place = t + k - 1 - PAD
            if 1 <= place <= T:
                total = (
                    total
                    + layer.weight[f - 1, 0, u - 1, k - 1]
                    * z[0, u - 1, place - 1]
                )
    assert torch.allclose(total, expected[0, f - 1, t - 1], atol=1e-12)


@verifies("eq-eeg-classification-lengths")
def test_lengths_after_convolution_and_pooling():
    for samples, kernel, pad, pool, stride in (
        (T, K, PAD, POOL, STRIDE),
        (100, 10, 5, 31, 6),
        (75, 7, 0, 20, 11),
    ):
        signal = torch.zeros(1, 1, samples)
        y = F.conv1d(signal, torch.zeros(1, 1, kernel), padding=pad)
        T1 = samples + 2 * pad - kernel + 1
        assert y.shape[-1] == T1
        assert (
            F.avg_pool1d(y, pool, stride).shape[-1]
            == (T1 - pool) // stride + 1
        )
    T1 = T + 2 * PAD - K + 1
    assert (T1, (T1 - POOL) // STRIDE + 1) == (439, 32)


@verifies("eq-eeg-classification-parameters")
def test_parameters_of_sccnet():
    def count(channels, filters):
        layers = torch.nn.ModuleList(
            [
                torch.nn.Conv2d(1, filters, (channels, 1)),
                torch.nn.BatchNorm2d(filters),
                torch.nn.Conv2d(1, FILTERS, (filters, K)),
                torch.nn.BatchNorm2d(FILTERS),
                torch.nn.Linear(FILTERS * 32, CLASSES),
            ]
        )
        return [sum(p.numel() for p in layer.parameters()) for layer in layers]

    assert count(C, NU) == [506, 44, 5300, 40, 2564]
    assert sum(count(C, NU)) == 8454
    for channels, filters in (
        (C, NU),
        (64, 32),
    ):  # the second pair is the exercise
        parts = [
            (channels + 1) * filters,
            2 * filters,
            (filters * K + 1) * FILTERS,
            2 * FILTERS,
            641 * CLASSES,
        ]
        assert count(channels, filters) == parts
    assert sum(count(64, 32)) == 12448


# --- accuracies --------------------------------------------------------------


@verifies("eq-eeg-classification-binomial")
def test_mean_and_variance_of_an_accuracy():
    p = sp.Symbol("p")
    n = 5
    weights = [
        sp.binomial(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)
    ]
    mean = sum(w * sp.Rational(c, n) for c, w in enumerate(weights))
    square = sum(w * sp.Rational(c, n) ** 2 for c, w in enumerate(weights))
    assert sp.expand(mean - p) == 0
    assert sp.expand(square - mean**2 - p * (1 - p) / n) == 0
    deviation = math.sqrt(0.7 * 0.3 / 288)
    assert deviation == pytest.approx(0.027, abs=5e-4)
    assert (0.7 - 1.96 * deviation, 0.7 + 1.96 * deviation) == pytest.approx(
        (0.647, 0.753), abs=5e-4
    )


def wilson(correct, n, z=1.96):
    p, shrink = correct / n, 1 + z**2 / n
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (p + z**2 / (2 * n) - half) / shrink, (
        p + z**2 / (2 * n) + half
    ) / shrink


@verifies("eq-eeg-classification-wilson")
def test_wilson_interval_solves_its_equation_and_covers():
    q, n, z = sp.symbols("q n z", positive=True)
    for sign in (1, -1):
        root = sp.sqrt(q * (1 - q) / n + z**2 / (4 * n**2))
        p = (q + z**2 / (2 * n) + sign * z * root) / (1 + z**2 / n)
        assert (
            sp.simplify(sp.expand((q - p) ** 2 - z**2 * p * (1 - p) / n)) == 0
        )
    low, high = wilson(10, 10)
    assert (low, high) == pytest.approx((0.72, 1), abs=0.005)  # the exercise
    # Coverage, exactly: the sum of the binomial probabilities whose interval
    # holds the truth.
    counts = np.arange(31)
    normal = [
        c / 30 + np.array([-1, 1]) * 1.96 * np.sqrt(c / 30 * (1 - c / 30) / 30)
        for c in counts
    ]
    truths = np.linspace(0.02, 0.98, 97)

    def coverage(ends):
        inside = [[low <= p <= high for low, high in ends] for p in truths]
        return np.sum(
            np.array(inside) * stats.binom.pmf(counts, 30, truths[:, None]),
            axis=1,
        )

    assert coverage([wilson(c, 30) for c in counts]).mean() == pytest.approx(
        0.95, abs=0.01
    )
    assert coverage(normal).mean() < 0.93


def expected_maximum(k):
    return integrate.quad(
        lambda z: z * k * stats.norm.pdf(z) * stats.norm.cdf(z) ** (k - 1),
        -12,
        12,
    )[0]


@verifies("eq-eeg-classification-maximum")
def test_expected_maximum_of_independent_gaussians():
    rng = np.random.default_rng(12)
    rows = {
        2: (0.56, 1.18, 1.6),
        5: (1.16, 1.79, 3.4),
        20: (1.87, 2.45, 5.4),
        100: (2.51, 3.03, 7.2),
    }
    for k, (e, bound, points) in rows.items():
        mean_within(
            rng.normal(size=(20_000, k)).max(axis=1), expected_maximum(k)
        )
        assert expected_maximum(k) == pytest.approx(e, abs=0.005)
        assert math.sqrt(2 * math.log(k)) == pytest.approx(bound, abs=0.005)
        assert 100 * expected_maximum(k) * math.sqrt(
            0.24 / 288
        ) == pytest.approx(points, abs=0.05)
    assert expected_maximum(2) == pytest.approx(
        1 / math.sqrt(math.pi), rel=1e-9
    )
    best = (
        rng.binomial(288, 0.6, size=(50_000, 20)).max(axis=1) / 288 - 0.6
    )  # true accuracies instead of Gaussians
    assert best.mean() == pytest.approx(0.0535, abs=0.0003)


@verifies("eq-eeg-classification-maximum-correlated")
def test_expected_maximum_of_correlated_gaussians():
    rng = np.random.default_rng(13)
    for r, k in ((0.5, 20), (0.9, 5)):
        Z = math.sqrt(r) * rng.normal(size=(200_000, 1)) + math.sqrt(
            1 - r
        ) * rng.normal(size=(200_000, k))
        assert np.corrcoef(Z[:, 0], Z[:, 1])[0, 1] == pytest.approx(
            r, abs=0.01
        )
        mean_within(Z.max(axis=1), math.sqrt(1 - r) * expected_maximum(k))


@verifies("eq-eeg-classification-honest")
def test_choosing_on_validation_leaves_the_test_unbiased():
    rng = np.random.default_rng(14)
    p = np.array([0.55, 0.58, 0.6, 0.62])
    validation = rng.binomial(100, p, size=(60_000, 4)) / 100
    test = rng.binomial(100, p, size=(60_000, 4)) / 100
    chosen = validation.argmax(axis=1)
    rows = np.arange(60_000)
    mean_within(test[rows, chosen] - p[chosen], 0, sharp=1e-3)
    assert (
        test.max(axis=1) - p[test.argmax(axis=1)]
    ).mean() > 0.03  # the test set as judge of its own choice
    assert (
        validation.max(axis=1) - p[chosen]
    ).mean() > 0.03  # and the validation set's own number is inflated too


# --- another head ------------------------------------------------------------


def mean_covariance(x):
    return np.einsum("nct,ndt->cd", x, x) / (x.shape[0] * x.shape[2])


@verifies("eq-eeg-classification-align")
def test_aligned_trials_have_the_identity_as_mean_covariance():
    rng = np.random.default_rng(15)
    x = rng.normal(size=(4, 4)) @ rng.normal(size=(7, 4, 50))
    aligned = power(mean_covariance(x), -0.5) @ x
    assert np.allclose(mean_covariance(aligned), np.eye(4), atol=1e-10)


@verifies("eq-eeg-classification-rotation")
def test_alignment_leaves_a_rotation():
    rng = np.random.default_rng(16)
    x, M = (
        rng.normal(size=(4, 4)) @ rng.normal(size=(7, 4, 50)),
        rng.normal(size=(4, 4)),
    )
    other = M @ x
    R, R_other = mean_covariance(x), mean_covariance(other)
    Q = power(R_other, -0.5) @ M @ power(R, 0.5)
    assert np.allclose(Q @ Q.T, np.eye(4), atol=1e-10)
    assert np.allclose(
        power(R_other, -0.5) @ other, Q @ (power(R, -0.5) @ x), atol=1e-10
    )
    assert (C * C, C * (C - 1) // 2) == (484, 231)


# --- bug zoo -----------------------------------------------------------------


@verifies("eq-eeg-classification-double-softmax")
def test_the_floor_under_a_doubled_softmax():
    logits = torch.tensor([[40.0, -40.0, -40.0, -40.0]], dtype=torch.float64)
    perfect = F.cross_entropy(torch.softmax(logits, dim=1), torch.tensor([0]))
    assert float(perfect) == pytest.approx(math.log(1 + 3 / math.e), rel=1e-12)
    assert math.log(1 + 3 / math.e) == pytest.approx(0.744, abs=5e-4)
    random = torch.softmax(3 * doubles(2000, 4), dim=1)
    losses = F.cross_entropy(
        random, torch.zeros(2000, dtype=torch.long), reduction="none"
    )
    assert losses.min() > math.log(1 + 3 / math.e)


# --- steps on the way that are numbered --------------------------------------


@verifies("eq-eeg-classification-cosines")
def test_a_sum_of_cosines_telescopes():
    for omega, phi, P in ((0.3, 0.1, 5), (1.1, 2.0, 12), (0.05, -1.0, 62)):
        t = np.arange(P)
        left = np.sum(2 * np.sin(omega) * np.cos(2 * omega * t + 2 * phi))
        steps = np.sin((2 * t + 1) * omega + 2 * phi)
        steps = steps - np.sin((2 * t - 1) * omega + 2 * phi)
        ends = np.sin((2 * P - 1) * omega + 2 * phi)
        ends -= np.sin(2 * phi - omega)
        product = 2 * np.sin(P * omega) * np.cos((P - 1) * omega + 2 * phi)
        assert np.allclose([steps.sum(), ends, product], left, atol=1e-12)


@verifies("eq-eeg-classification-stirling")
def test_stirlings_series():
    u = np.array([20.0, 40.0, 80.0, 160.0])
    said = (u - 0.5) * np.log(u) - u + 0.5 * np.log(2 * np.pi)
    rest = special.gammaln(u) - said
    order = np.polyfit(np.log(u), np.log(rest), 1)[0]
    assert order == pytest.approx(-1, abs=0.01)  # O(1/u), and no better

"""Each numbered claim of book/learning.md, checked: symbolically, by counting,
by linear algebra, or by simulation.
"""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from torch.nn import functional as F

from verifies import mean_within, verifies


def rng(seed=0):
    return np.random.default_rng(seed)


# --- risk --------------------------------------------------------------------


@verifies("eq-learning-unbiased")
def test_mean_and_variance_of_the_empirical_risk():
    # Three values of the loss with unequal probabilities; all 3^4 samples of
    # four losses, each with its probability.
    values = (sp.Rational(0), sp.Rational(1), sp.Rational(5, 2))
    chances = (sp.Rational(1, 2), sp.Rational(1, 3), sp.Rational(1, 6))
    risk = sum(v * p for v, p in zip(values, chances, strict=True))
    v = sum((x - risk) ** 2 * p for x, p in zip(values, chances, strict=True))
    n, mean, square = 4, 0, 0
    for draw in itertools.product(range(3), repeat=n):
        chance = sp.prod([chances[i] for i in draw])
        empirical = sum(values[i] for i in draw) / sp.Integer(n)
        mean += chance * empirical
        square += chance * empirical**2
    assert mean == risk
    assert square - mean**2 == v / n


@verifies("eq-learning-optimism")
def test_smallest_empirical_risk_is_too_good():
    # Functions with risks 0.2, 0.25, 0.3, that err independently: the mean of
    # the minimum over all outcomes, exactly, for n = 1 … 6.
    risks = (0.2, 0.25, 0.3)
    gaps = []
    for n in range(1, 7):
        expected = 0.0
        for wrong in itertools.product(range(n + 1), repeat=3):
            chance = math.prod(
                math.comb(n, k) * r**k * (1 - r) ** (n - k)
                for k, r in zip(wrong, risks, strict=True)
            )
            expected += chance * min(wrong) / n
        gaps.append(min(risks) - expected)
    assert min(gaps) > 0.01  # strictly too good, and less so with more data
    assert gaps[-1] < gaps[0]
    # One function alone is not too good: the inequality becomes an equality.
    n, r = 5, 0.2
    alone = sum(
        math.comb(n, k) * r**k * (1 - r) ** (n - k) * k / n
        for k in range(n + 1)
    )
    assert alone == pytest.approx(r, abs=1e-12)


@verifies("eq-learning-lemma")
def test_square_around_a_constant():
    a, p = sp.symbols("a p")
    z = sp.symbols("z1:3")
    chances = (p, 1 - p)
    mean = sum(c * x for c, x in zip(chances, z, strict=True))
    variance = sum(c * x**2 for c, x in zip(chances, z, strict=True)) - mean**2
    left = sum(c * (x - a) ** 2 for c, x in zip(chances, z, strict=True))
    assert sp.expand(left - variance - (mean - a) ** 2) == 0


@verifies("eq-learning-bias-variance")
def test_bias_variance_decomposition():
    # A target with two values, a trained output with three, independent.
    t = sp.symbols("t1:3")
    f = sp.symbols("f1:4")
    q = (sp.Rational(1, 3), sp.Rational(2, 3))
    w = (sp.Rational(1, 2), sp.Rational(1, 5), sp.Rational(3, 10))
    error = sum(
        a * b * (g - s) ** 2
        for (a, g), (b, s) in itertools.product(
            zip(w, f, strict=True), zip(q, t, strict=True)
        )
    )
    f_mean = sum(a * g for a, g in zip(w, f, strict=True))
    t_mean = sum(b * s for b, s in zip(q, t, strict=True))
    noise = sum(b * (s - t_mean) ** 2 for b, s in zip(q, t, strict=True))
    spread = sum(a * (g - f_mean) ** 2 for a, g in zip(w, f, strict=True))
    assert sp.expand(error - noise - (f_mean - t_mean) ** 2 - spread) == 0


# --- ridge -------------------------------------------------------------------


def problem(n, p, seed=0):
    generator = rng(seed)
    return generator.normal(size=(n, p)), generator.normal(size=(n, 2))


def ridge_by_solver(phi, targets, strength):
    """The minimizer by an augmented least-squares problem: other algebra."""
    p = phi.shape[1]
    tall = np.concatenate([phi, np.sqrt(strength) * np.eye(p)])
    right = np.concatenate([targets, np.zeros((p, targets.shape[1]))])
    return np.linalg.lstsq(tall, right, rcond=None)[0]


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
@verifies("eq-learning-ridge")
def test_ridge_formula_is_where_the_gradient_vanishes(shape):
    phi, targets = problem(*shape)
    strength, p = 0.37, shape[1]
    formula = np.linalg.inv(phi.T @ phi + strength * np.eye(p)) @ (
        phi.T @ targets
    )
    A = torch.tensor(formula, requires_grad=True)
    misfit = torch.tensor(phi) @ A - torch.tensor(targets)
    loss = (misfit**2).sum() + strength * (A**2).sum()
    (gradient,) = torch.autograd.grad(loss, A)
    assert gradient.abs().max() < 1e-10
    assert np.allclose(formula, ridge_by_solver(phi, targets, strength))


@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
@verifies("eq-learning-ridge-dual")
def test_ridge_by_the_small_matrix(shape):
    phi, targets = problem(*shape, seed=1)
    n = shape[0]
    dual = phi.T @ np.linalg.inv(phi @ phi.T + 0.2 * np.eye(n)) @ targets
    assert np.allclose(dual, ridge_by_solver(phi, targets, 0.2))


@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
@verifies("eq-learning-svd")
def test_ridge_by_singular_values_and_its_limit(shape):
    phi, targets = problem(*shape, seed=2)
    u, sigma, v = np.linalg.svd(phi, full_matrices=False)

    def by_directions(strength):
        return sum(
            s / (s**2 + strength) * np.outer(v[i], u[:, i] @ targets)
            for i, s in enumerate(sigma)
        )

    for strength in (0.05, 2.0):
        solved = ridge_by_solver(phi, targets, strength)
        assert np.allclose(by_directions(strength), solved)
    # The limit is the shortest minimizer: the pseudo-inverse, and any other
    # minimizer (here: plus a direction that the data do not see) is longer.
    shortest = by_directions(0.0)
    assert np.allclose(shortest, np.linalg.pinv(phi) @ targets)
    assert np.abs(by_directions(1e-9) - shortest).max() < 1e-6
    if shape[0] < shape[1]:
        unseen = np.linalg.svd(phi)[2][-1]
        other = shortest + np.outer(unseen, [0.3, -0.2])
        assert np.allclose(phi @ other, phi @ shortest)
        assert np.linalg.norm(other) > np.linalg.norm(shortest) + 1e-3


@pytest.mark.parametrize("strength", [0.0, 0.4])
@verifies("eq-learning-noise-gain")
def test_noise_in_the_targets_becomes_length_of_the_weights(strength):
    phi, _ = problem(6, 3, seed=3)
    sigma = np.linalg.svd(phi, compute_uv=False)
    s = 0.7
    printed = s**2 * np.sum((sigma / (sigma**2 + strength)) ** 2)
    noise = s * rng(4).normal(size=(6, 40000))
    signal = (phi @ [1.0, -2.0, 0.5])[:, None]
    gram = phi.T @ phi + strength * np.eye(3)
    moved = np.linalg.solve(gram, phi.T @ (signal + noise))
    center = np.linalg.solve(gram, phi.T @ signal)
    mean_within(((moved - center) ** 2).sum(axis=0), printed)


@verifies("eq-learning-ridge-cap")
def test_ridge_caps_what_a_direction_may_do():
    s, lam = sp.symbols("sigma lambda", positive=True)
    gain = s / (s**2 + lam)
    # The difference of the two sides is a square over something positive …
    gap = 1 / (2 * sp.sqrt(lam)) - gain
    square = (s - sp.sqrt(lam)) ** 2 / (2 * sp.sqrt(lam) * (s**2 + lam))
    assert sp.simplify(gap - square) == 0
    # … and it is zero at σ = √λ: the bound cannot be lowered.
    assert sp.simplify(gap.subs(s, sp.sqrt(lam))) == 0


@verifies("eq-learning-descent")
def test_gradient_descent_direction_by_direction():
    phi, targets = problem(4, 6, seed=5)
    u, sigma, v = np.linalg.svd(phi)
    rate = 1.3 / sigma[0] ** 2
    A = np.zeros((6, 2))
    for k in range(8):
        for i, s in enumerate(sigma):
            printed = (1 - (1 - rate * s**2) ** k) * (u[:, i] @ targets) / s
            assert np.allclose(v[i] @ A, printed)
        assert np.abs(v[len(sigma) :] @ A).max() < 1e-12  # never moved
        A = A - rate * phi.T @ (phi @ A - targets)


# --- no free lunch, choosing -------------------------------------------------


@verifies("eq-learning-no-free-lunch")
def test_every_learner_is_wrong_in_half_of_all_worlds():
    points, seen = 4, (0, 2)
    # ALL deterministic learners on two seen labels: 2^4 rules for each point.
    for x in (1, 3):
        for rule in itertools.product((0, 1), repeat=4):
            wrong = [
                rule[2 * world[seen[0]] + world[seen[1]]] != world[x]
                for world in itertools.product((0, 1), repeat=points)
            ]
            assert sum(wrong) * 2 == 2**points
    # At a point that was seen this fails: a learner that remembers is right.
    wrong = [
        world[0] != world[0] for world in itertools.product((0, 1), repeat=4)
    ]
    assert sum(wrong) == 0


@verifies("eq-learning-maximum")
def test_expected_maximum_is_below_the_bound():
    v, ratios = 0.3, []
    for M in (2, 30, 1000):
        z = v * rng(M).normal(size=(4000, M))
        bound = v * math.sqrt(2 * math.log(M))
        mean = z.max(axis=1).mean()
        assert mean < bound
        ratios.append(mean / bound)
    # Sharp up to a factor that tends to one, so a loosened bound is caught.
    assert ratios[-1] > 0.85 and ratios[0] < ratios[1] < ratios[2]
    # The last step of the derivation: s makes the two terms equal.
    s, M, spread = sp.symbols("s M v", positive=True)
    total = sp.log(M) / s + s * spread**2 / 2
    best = sp.sqrt(2 * sp.log(M)) / spread
    assert sp.simplify(total.subs(s, best) - spread * best * spread) == 0
    assert sp.simplify(sp.diff(total, s).subs(s, best)) == 0


# --- measures ----------------------------------------------------------------


@verifies("eq-learning-f1")
def test_f1_from_precision_and_recall_and_from_counts():
    tp, fp, fn = sp.symbols("TP FP FN", positive=True)
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    harmonic = 2 / (1 / precision + 1 / recall)
    assert sp.simplify(2 * precision * recall / (precision + recall)) == (
        sp.simplify(harmonic)
    )
    assert sp.simplify(harmonic - 2 * tp / (2 * tp + fp + fn)) == 0


@verifies("eq-learning-bayes")
def test_precision_from_rates_and_prevalence():
    # A population of 1,000 as in the figure, counted.
    ill, healthy = 10, 990
    hits, alarms = 9, 49.5
    r, q, pi = hits / ill, alarms / healthy, ill / 1000
    printed = r * pi / (r * pi + q * (1 - pi))
    assert printed == pytest.approx(hits / (hits + alarms))
    assert round(printed, 2) == 0.15
    # And by simulation, with other numbers.
    r, q, pi, n = 0.7, 0.2, 0.3, 400_000
    generator = rng(6)
    truth = generator.random(n) < pi
    called = generator.random(n) < np.where(truth, r, q)
    mean_within(truth[called], r * pi / (r * pi + q * (1 - pi)))


@verifies("eq-learning-auc")
def test_area_under_the_path_counts_pairs():
    generator = rng(7)
    for levels in (3, 5, 1000):  # few levels: many equal scores
        truth = np.array([1, 0] * 3 + [0, 1, 0, 0], dtype=bool)
        scores = generator.integers(0, levels, len(truth)) + 0.7 * truth
        if levels < 1000:
            scores = np.round(scores)
        # The curve by its definition, at every threshold; straight between.
        limits = np.r_[np.inf, np.unique(scores)[::-1]]
        tpr = np.array([(scores[truth] >= t).mean() for t in limits])
        fpr = np.array([(scores[~truth] >= t).mean() for t in limits])
        area = np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2)
        pairs = [
            (a > b) + 0.5 * (a == b)
            for a in scores[truth]
            for b in scores[~truth]
        ]
        total = sum(pairs) / (truth.sum() * (~truth).sum())
        assert area == pytest.approx(total, abs=1e-12)


# --- calibration -------------------------------------------------------------


@verifies("eq-learning-temperature", "eq-learning-temperature-convex")
def test_slope_and_curvature_in_the_inverse_temperature():
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(5, 4, dtype=torch.float64, generator=generator)
    y = torch.tensor([0, 3, 1, 1, 2])
    for start in (0.3, 1.0, 2.5):
        beta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        for n in range(5):
            loss = F.cross_entropy(beta * z[n : n + 1], y[n : n + 1])
            (slope,) = torch.autograd.grad(loss, beta, create_graph=True)
            (bend,) = torch.autograd.grad(slope, beta)
            p = torch.softmax(start * z[n], 0)
            printed = (p * z[n]).sum() - z[n, y[n]]
            assert torch.allclose(slope.detach(), printed)
            printed = (p * z[n] ** 2).sum() - (p * z[n]).sum() ** 2
            assert torch.allclose(bend, printed)
            assert printed >= 0


# --- standard errors ---------------------------------------------------------


@verifies("eq-learning-binomial")
def test_standard_deviation_of_an_error_rate():
    # Exactly, from the binomial distribution.
    for n, rate in ((1, 0.3), (12, 0.05), (40, 0.5)):
        chances = [
            math.comb(n, k) * rate**k * (1 - rate) ** (n - k)
            for k in range(n + 1)
        ]
        rates = np.arange(n + 1) / n
        spread = np.sqrt(chances @ rates**2 - (chances @ rates) ** 2)
        assert spread == pytest.approx(math.sqrt(rate * (1 - rate) / n))
    assert round(math.sqrt(0.05 * 0.95 / 594), 3) == 0.009  # of the text


@verifies("eq-learning-paired")
def test_variance_of_a_paired_difference():
    # Both right, a wrong, b wrong, both wrong, with unequal probabilities.
    chances = np.array([0.6, 0.1, 0.05, 0.25])
    a, b = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    mean_a, mean_b = chances @ a, chances @ b
    var_a, var_b = chances @ a**2 - mean_a**2, chances @ b**2 - mean_b**2
    cov = chances @ (a * b) - mean_a * mean_b
    n = 25
    printed = (var_a + var_b - 2 * cov) / n
    drawn = rng(8).choice(4, size=(200_000, n), p=chances)
    mean_d = (a[drawn] - b[drawn]).mean(axis=1)
    mean_within((mean_d - (mean_a - mean_b)) ** 2, printed)
    assert cov > 0 and printed < (var_a + var_b) / n


# --- Hoeffding, conformal, leave one out -------------------------------------


@verifies("eq-learning-hoeffding-lemma")
def test_moments_of_a_bounded_variable():
    s = np.linspace(-6, 6, 241)
    closest = np.inf
    for p in np.linspace(0.05, 0.95, 19):  # two points are the extreme case
        psi = np.log(p * np.exp(s * (1 - p)) + (1 - p) * np.exp(-s * p))
        assert (psi <= s**2 / 8 + 1e-12).all()
        near = (np.abs(s) < 0.3) & (np.abs(s) > 0.01)
        closest = min(closest, (s[near] ** 2 / 8 / psi[near]).min())
    assert closest < 1.001  # 1/8 cannot be lowered


@verifies("eq-learning-hoeffding", "eq-learning-radius")
def test_hoeffding_with_exact_binomial_tails():
    sharpest = 0.0
    for n, mu in ((20, 0.5), (50, 0.5), (30, 0.1)):
        k = np.arange(n + 1)
        chances = np.array(
            [math.comb(n, i) * mu**i * (1 - mu) ** (n - i) for i in k]
        )
        for eps in (0.05, 0.1, 0.2, 0.3):
            tail = chances[np.abs(k / n - mu) >= eps - 1e-12].sum()
            bound = 2 * math.exp(-2 * n * eps**2)
            assert tail <= bound
            if bound < 0.5:
                ratio = math.log(bound) / math.log(tail)
                sharpest = max(sharpest, ratio)
            for M in (3, 100):  # independent models: exactly
                any_of = 1 - (1 - tail) ** M
                assert any_of <= min(M * bound, 1) + 1e-12
    assert sharpest > 0.7  # the exponent is of the right size
    # The radius is the solution for ε.
    n, M, delta, eps = sp.symbols("n M delta epsilon", positive=True)
    radius = sp.sqrt(sp.log(2 * M / delta) / (2 * n))
    right = (2 * M * sp.exp(-2 * n * eps**2)).subs(eps, radius)
    assert sp.simplify(right - delta) == 0
    # The example: 5,888 digits are enough for 1,000 models, one fewer is not.
    needed = math.log(2 * 1000 / 0.05) / (2 * 0.03**2)
    assert math.ceil(needed) == 5888
    assert math.ceil(math.log(2 / 0.05) / (2 * 0.03**2)) == 2050


@verifies("eq-learning-conformal")
def test_conformal_coverage_by_counting_ranks():
    for n, alpha in ((9, 0.1), (8, 0.1), (19, 0.2), (30, 0.07)):
        k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
        # The new score takes each rank 1 … n + 1 with the same probability;
        # with rank r it lies behind r - 1 of the n others.
        covered = 0
        for rank in range(1, n + 2):
            others = [i for i in range(1, n + 2) if i != rank]
            limit = others[k - 1] if k <= n else math.inf
            covered += rank <= limit
        assert covered == min(k, n + 1)
        assert covered / (n + 1) >= k / (n + 1) >= 1 - alpha - 1e-12
        assert k == 1 or (k - 1) / (n + 1) < 1 - alpha  # not k - 1


@verifies("eq-learning-left-out")
def test_left_out_residual_without_refitting():
    for n, p in ((6, 3), (4, 7)):
        phi, targets = problem(n, p, seed=n)
        strength = 0.3
        gram = phi.T @ phi + strength * np.eye(p)
        H = phi @ np.linalg.solve(gram, phi.T)
        for i in range(n):
            rest = np.arange(n) != i
            A = ridge_by_solver(phi[rest], targets[rest], strength)
            printed = (targets - H @ targets)[i] / (1 - H[i, i])
            assert np.allclose(targets[i] - phi[i] @ A, printed)

"""Each numbered claim of book/training.md, checked: symbolically, against
autograd, or by simulation.
"""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from torch.nn import functional as F

from dlp_utils.models import training as lab
from verifies import mean_within, verifies


def doubles(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def descend(gradient, theta, rate, steps, momentum=0.0):
    """Plain loop of the boxed rule on a float or an array: all points."""
    path, v = [theta], 0.0
    for _ in range(steps):
        v = momentum * v + gradient(path[-1])
        path.append(path[-1] - rate * v)
    return np.array(path)


# --- gradient descent on a quadratic -----------------------------------------


@verifies("eq-training-contraction")
def test_error_shrinks_by_one_factor_a_step():
    theta, best, rate, curvature, start = sp.symbols("theta b eta lambda s")
    loss = curvature * (theta - best) ** 2 / 2
    point = start
    for k in range(1, 5):
        point = point - rate * sp.diff(loss, theta).subs(theta, point)
        printed = (1 - rate * curvature) ** k * (start - best)
        assert sp.expand(point - best - printed) == 0
    # The example: λ = 100, η = 0.021, fifty steps.
    assert round(1.1**50) == 117


@verifies("eq-training-limit")
@pytest.mark.parametrize("curvature", [0.3, 1.0, 100.0])
def test_descent_converges_below_two_over_curvature_only(curvature):
    def ends(rate):
        path = descend(lambda x: curvature * (x - 2), 3.0, rate, 4000)
        return abs(path[-1] - 2)

    for share in (0.01, 0.5, 1.0, 1.5, 1.99):
        assert ends(share / curvature) < 1e-6
    for share in (2.0, 2.005, -0.01):
        assert ends(share / curvature) > 0.99


@verifies("eq-training-best-rate")
@pytest.mark.parametrize("kappa", [1.5, 10.0, 100.0])
def test_best_rate_by_search_over_rates(kappa):
    low = 0.7
    curvatures = np.linspace(low, kappa * low, 50)
    rates = np.linspace(0, 2 / curvatures[-1], 200_001)
    worst = np.maximum(
        *(abs(1 - rates * curvature) for curvature in curvatures[[0, -1]])
    )
    inner = abs(1 - rates[worst.argmin()] * curvatures).max()
    assert inner == pytest.approx(worst.min())
    printed = 2 / (curvatures[-1] + curvatures[0])
    assert rates[worst.argmin()] == pytest.approx(printed, rel=1e-4)
    assert worst.min() == pytest.approx((kappa - 1) / (kappa + 1), rel=1e-3)


# --- momentum ----------------------------------------------------------------


@verifies("eq-training-momentum-sum")
def test_velocity_is_a_fading_sum():
    mu, gradients, v = sp.Symbol("mu"), sp.symbols("g1:7"), 0
    for k, g in enumerate(gradients, 1):
        v = mu * v + g
        terms = [mu ** (k - i) * gradients[i - 1] for i in range(1, k + 1)]
        assert sp.expand(v - sum(terms)) == 0
    steady = v.subs(dict.fromkeys(gradients, 1))
    assert sp.simplify(steady - (1 - mu**6) / (1 - mu)) == 0


@verifies("eq-training-momentum-recursion")
def test_two_steps_recursion_of_the_error():
    mu, rate, curvature = 0.7, 0.13, 2.5
    error = descend(lambda x: curvature * x, 1.7, rate, 30, mu)
    printed = (1 + mu - rate * curvature) * error[1:-1] - mu * error[:-2]
    assert np.allclose(error[2:], printed, rtol=1e-12, atol=1e-15)


@verifies("eq-training-momentum-modulus")
@pytest.mark.parametrize("mu", [0.1, 0.5, 0.9])
def test_inside_the_range_both_modes_shrink_by_the_root_of_mu(mu):
    low, high = (1 - mu**0.5) ** 2, (1 + mu**0.5) ** 2

    def size(step):  # of the step (velocity, error) as a matrix
        matrix = [[mu, step], [-mu, 1 - step]]
        return abs(np.linalg.eigvals(np.array(matrix)))

    for step in np.linspace(low, high, 9)[1:-1]:
        assert np.allclose(size(step), mu**0.5, rtol=1e-9)
    for step in (low, high):  # a double root: rounding splits it
        assert np.allclose(size(step), mu**0.5, rtol=1e-6)
    for step in (low * 0.9, high * 1.05):
        assert size(step).max() > mu**0.5 * 1.01


@verifies("eq-training-momentum-limit")
@pytest.mark.parametrize("mu", [0.0, 0.5, 0.95])
def test_limit_of_momentum(mu):
    def ends(step):
        path = descend(lambda x: 4.0 * x, 1.0, step / 4.0, 20_000, mu)
        return abs(path[-10:]).max()

    with np.errstate(all="ignore"):
        for share in (0.01, 0.5, 0.995):
            assert ends(share * 2 * (1 + mu)) < 1e-9
        for share in (-0.01, 1.005):
            assert not ends(share * 2 * (1 + mu)) < 1.0


@verifies("eq-training-momentum-best")
@pytest.mark.parametrize("kappa", [4.0, 100.0])
def test_best_momentum_beats_its_neighbors(kappa):
    def rate_of_decay(eta, mu):
        sizes = []
        for curvature in (1.0, 0.5 * (1 + kappa), kappa):
            step = eta * curvature
            matrix = np.array([[mu, step], [-mu, 1 - step]])
            sizes.append(abs(np.linalg.eigvals(matrix)).max())
        return max(sizes)

    root = (kappa**0.5 - 1) / (kappa**0.5 + 1)
    eta = (1 + root) ** 2 / kappa
    best = rate_of_decay(eta, root**2)
    assert best == pytest.approx(root, rel=1e-6)
    for more_eta in (0.97, 1, 1.03):
        for more_mu in (0.95, 1, 1.03):
            if (more_eta, more_mu) != (1, 1):
                other = rate_of_decay(eta * more_eta, root**2 * more_mu)
                assert other > best * (1 + 1e-5)
    ten = 100**0.5
    assert (ten - 1) / (ten + 1) == pytest.approx(9 / 11)


@verifies("eq-training-nesterov")
def test_look_ahead_of_nesterovs_point():
    rate, mu = 0.003, 0.9

    def gradient(p):
        x, y = p
        return np.array(
            [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
        )

    # Nesterov: the gradient where the velocity will have carried us.
    phi, v, ahead = np.array([-0.5, 0.4]), np.zeros(2), []
    for _ in range(20):
        ahead.append(phi - rate * mu * v)
        g = gradient(ahead[-1])
        v = mu * v + g
        phi = phi - rate * v
        moved = (phi - rate * mu * v) - ahead[-1]
        assert np.allclose(moved, -rate * (g + mu * v), atol=1e-14)
    # PyTorch's, from the same place, visits the looked-ahead points.
    p = torch.tensor([-0.5, 0.4], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.SGD([p], lr=rate, momentum=mu, nesterov=True)
    for point in ahead:
        assert np.allclose(p.detach().numpy(), point, atol=1e-12)
        p.grad = torch.from_numpy(gradient(p.detach().numpy()))
        theirs.step()


# --- Adam --------------------------------------------------------------------


@verifies("eq-training-adam-bias")
def test_young_means_are_too_small_by_their_mass():
    rng = np.random.default_rng(0)
    b1, b2, runs = 0.9, 0.99, 200_000
    m, s = np.zeros(runs), np.zeros(runs)
    for k in range(1, 8):
        g = rng.normal(0.7, 1.3, runs)
        m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g**2
        mean_within(m, (1 - b1**k) * 0.7)
        mean_within(s, (1 - b2**k) * (0.7**2 + 1.3**2))


@verifies("eq-training-adam-uncorrected")
def test_uncorrected_first_step():
    g, b1, b2 = np.array([3.0, -1e-4, 0.2]), 0.9, 0.999
    m, s = b1 * 0 + (1 - b1) * g, b2 * 0 + (1 - b2) * g**2
    printed = (1 - b1) / math.sqrt(1 - b2) * np.sign(g)
    assert np.allclose(m / np.sqrt(s), printed, rtol=1e-12)
    assert (1 - b1) / math.sqrt(1 - b2) == pytest.approx(3.2, abs=0.05)


@verifies("eq-training-adam-first")
@pytest.mark.parametrize("eps", [0.0, 1e-8, 0.5])
def test_first_step_of_torch(eps):
    g = torch.tensor([3.0, -1e-4, 0.2], dtype=torch.float64)
    for betas in ((0.9, 0.999), (0.5, 0.7)):
        p = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([p], lr=0.01, betas=betas, eps=eps)
        p.grad = g.clone()
        optimizer.step()
        printed = -0.01 * g / (g.abs() + eps)
        assert torch.allclose(p.detach(), printed, rtol=1e-9)


@verifies("eq-training-adam-scale")
def test_the_scale_of_the_loss_does_not_matter():
    gradients = doubles(40, 3)

    def path(scale):
        p = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer, points = torch.optim.Adam([p], lr=0.1, eps=0.0), []
        for g in gradients:
            p.grad = scale * g
            optimizer.step()
            points.append(p.detach().clone())
        return torch.stack(points)

    for scale in (1e-3, 7.0, 1e4):
        assert torch.allclose(path(scale), path(1.0), rtol=1e-9)
    c, m, s = sp.symbols("c m s", positive=True)
    assert sp.simplify(c * m / sp.sqrt(c**2 * s) - m / sp.sqrt(s)) == 0


@verifies("eq-training-rotated")
@pytest.mark.parametrize("kappa", [2.0, 100.0])
def test_no_diagonal_helps_a_rotated_valley(kappa):
    hessian = np.array([[kappa + 1, kappa - 1], [kappa - 1, kappa + 1]]) / 2
    assert np.allclose(np.linalg.eigvalsh(hessian), [1, kappa])
    rng, ratios = np.random.default_rng(0), []
    for d in [np.ones(2), *rng.lognormal(0, 2, (500, 2))]:
        values = np.linalg.eigvals(np.diag(d) @ hessian).real
        ratios.append(values.max() / values.min())
    assert min(ratios) >= kappa * (1 - 1e-9)
    assert ratios[0] == pytest.approx(kappa)  # reached where both are equal


# --- weight decay ------------------------------------------------------------


@verifies("eq-training-l2")
def test_l2_in_sgd_is_decay():
    theta, rate, strength = sp.symbols("theta eta rho")
    loss = sp.Function("L")(theta)
    penalized = loss + strength * theta**2 / 2
    step = theta - rate * sp.diff(penalized, theta)
    printed = (1 - rate * strength) * theta - rate * sp.diff(loss, theta)
    assert sp.expand(step - printed) == 0


@verifies("eq-training-adam-l2")
def test_l2_in_adam_forgets_its_strength():
    start = torch.tensor([3.0, -0.2, 1e-3], dtype=torch.float64)
    for strength in (1e-4, 0.1, 10.0):
        p = start.clone().requires_grad_()
        optimizer = torch.optim.Adam(
            [p], lr=1e-4, eps=0.0, weight_decay=strength
        )
        p.grad = torch.zeros(3, dtype=torch.float64)
        optimizer.step()
        assert torch.allclose(p.detach(), start - 1e-4 * start.sign())
        q = start.clone().requires_grad_()
        decoupled = torch.optim.AdamW([q], lr=1e-4, weight_decay=strength)
        q.grad = torch.zeros(3, dtype=torch.float64)
        decoupled.step()
        assert torch.allclose(q.detach(), (1 - 1e-4 * strength) * start)


# --- noise -------------------------------------------------------------------


def gradients_of_points(n=12, d=3):
    return doubles(n, d, seed=5).numpy() * 2 + 1


@verifies("eq-training-noise")
@pytest.mark.parametrize("b", [1, 3, 10])
def test_noise_of_independent_draws(b):
    points, rng = gradients_of_points(), np.random.default_rng(b)
    mean = points.mean(axis=0)
    trace = ((points - mean) ** 2).sum(axis=1).mean()
    drawn = rng.integers(0, len(points), (100_000, b))
    batch = points[drawn].mean(axis=1)
    for i in range(3):
        mean_within(batch[:, i], mean[i])
    mean_within(((batch - mean) ** 2).sum(axis=1), trace / b)


@verifies("eq-training-noise-finite")
@pytest.mark.parametrize("b", [1, 2, 5, 7])
def test_noise_without_repetition_over_all_batches(b):
    from itertools import combinations

    points = gradients_of_points(7)
    mean = points.mean(axis=0)
    trace = ((points - mean) ** 2).sum(axis=1).mean()
    errors = [
        ((points[list(chosen)].mean(axis=0) - mean) ** 2).sum()
        for chosen in combinations(range(7), b)
    ]
    assert np.mean(errors) == pytest.approx(trace / b * (7 - b) / (7 - 1))


@verifies("eq-training-floor")
@pytest.mark.parametrize(("rate", "b"), [(0.02, 1), (0.3, 4), (0.9, 2)])
def test_the_height_of_the_hovering(rate, b):
    curvature, tau, runs = 2.0, 1.5, 100_000
    rng, e = np.random.default_rng(0), np.zeros(100_000)
    for _ in range(round(8 / (rate * curvature)) + 40):
        noise = rng.normal(0, tau, (runs, b)).mean(axis=1)
        e = e - rate * (curvature * e + noise)
    printed = rate * tau**2 / (b * curvature * (2 - rate * curvature))
    mean_within(e**2, printed)


@verifies("eq-training-robbins-monro")
def test_a_falling_rate_averages():
    rng, curvature, tau, b, runs = (
        np.random.default_rng(1),
        3.0,
        1.2,
        2,
        50_000,
    )
    e, total = np.full(runs, 5.0), np.zeros(runs)
    for k in range(1, 31):
        xi = rng.normal(0, tau, (runs, b)).mean(axis=1)
        e = e - (curvature * e + xi) / (curvature * k)
        total += xi
        assert np.allclose(e, -total / (curvature * k), atol=1e-9)
        mean_within(e**2, tau**2 / (b * curvature**2 * k))


# --- schedules ---------------------------------------------------------------


@verifies("eq-training-cosine-mean")
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_mean_rate_of_a_cosine(total):
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    factors = []
    for k in range(total):
        factors.append(optimizer.param_groups[0]["lr"])
        assert lab.cosine(k, total) == pytest.approx(factors[-1])
        optimizer.step()
        schedule.step()
    assert np.mean(factors) == pytest.approx(1 / 2 + 1 / (2 * total))


# --- 16 bits -----------------------------------------------------------------


@verifies("eq-training-bf16")
def test_small_additions_vanish_in_bfloat16():
    def rounded(value):
        return torch.tensor(value, dtype=torch.float64).bfloat16().item()

    for u in (0.0, 1e-4, 2.0**-9, 2.0**-8):
        assert rounded(1 + u) == 1
    assert rounded(1 + 2.0**-8 * 1.01) == 1 + 2.0**-7
    assert rounded(1 + 2.0**-7) == 1 + 2.0**-7


@verifies("eq-training-fp16")
def test_small_numbers_vanish_in_float16():
    def rounded(value):
        return torch.tensor(value, dtype=torch.float64).half().item()

    for u in (0.0, 1e-9, 2.0**-26, 2.0**-25):
        assert rounded(u) == 0
    assert rounded(2.0**-25 * 1.01) == 2.0**-24


# --- activations -------------------------------------------------------------


@verifies("eq-training-slopes")
def test_slopes_of_the_smooth_activations_against_autograd():
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64, requires_grad=True)
    s, cdf = torch.sigmoid(z), torch.special.ndtr(z)
    pdf = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    gate = torch.tanh(torch.log(1 + torch.exp(z)))
    printed = {
        F.silu: s * (1 + z * (1 - s)),
        F.gelu: cdf + z * pdf,
        F.mish: gate + z * s * (1 - gate**2),
    }
    for function, slope in printed.items():
        (wanted,) = torch.autograd.grad(function(z).sum(), z)
        assert torch.allclose(slope, wanted, atol=1e-12)


@verifies("eq-training-gelu-max")
def test_steepest_gelu_by_search():
    z = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    z.requires_grad_()
    (slope,) = torch.autograd.grad(F.gelu(z).sum(), z)
    normal = torch.distributions.Normal(0.0, 1.0)
    root = torch.tensor(2.0).sqrt()
    printed = normal.cdf(root) + root * normal.log_prob(root).exp()
    assert slope.max().item() == pytest.approx(printed.item(), abs=1e-6)
    assert z[slope.argmax()].item() == pytest.approx(root.item(), abs=1e-3)
    assert printed.item() == pytest.approx(1.129, abs=5e-4)


# --- normalization -----------------------------------------------------------


def printed_gradient(g, x, axes, eps):
    """The formula of the page for the sets that `axes` reduce over."""
    u = x.var(dim=axes, correction=0, keepdim=True)
    x_hat = (x - x.mean(dim=axes, keepdim=True)) / (u + eps).sqrt()
    first = g.mean(dim=axes, keepdim=True)
    second = x_hat * (g * x_hat).mean(dim=axes, keepdim=True)
    return (g - first - second) / (u + eps).sqrt()


@verifies("eq-training-norm-gradient")
def test_one_backward_pass_for_four_norms():
    eps, gamma, beta = 1e-3, doubles(4, seed=1), doubles(4, seed=2)
    dy = doubles(3, 4, 2, 5)
    g = dy * gamma[:, None, None]

    def backward(function):
        x = doubles(3, 4, 2, 5, seed=9).requires_grad_()
        (found,) = torch.autograd.grad((function(x) * dy).sum(), x)
        return x.detach(), found

    def scaled(y):
        return y * gamma[:, None, None] + beta[:, None, None]

    cases = [
        (
            lambda x: F.batch_norm(x, None, None, gamma, beta, True, eps=eps),
            (0, 2, 3),
        ),
        (lambda x: scaled(F.layer_norm(x, x.shape[1:], eps=eps)), (1, 2, 3)),
        (
            lambda x: F.instance_norm(x, weight=gamma, bias=beta, eps=eps),
            (2, 3),
        ),
    ]
    for function, axes in cases:
        x, wanted = backward(function)
        assert torch.allclose(printed_gradient(g, x, axes, eps), wanted)
    x, wanted = backward(lambda x: F.group_norm(x, 2, gamma, beta, eps))
    groups = (3, 2, 2, 2, 5)
    parts = printed_gradient(
        g.reshape(groups), x.reshape(groups), (2, 3, 4), eps
    )
    assert torch.allclose(parts.reshape(x.shape), wanted)


def normalized_loss(w, data, target):
    z = data @ w
    z = (z - z.mean()) / z.std(correction=0)
    return ((z - target) ** 2).mean()


@verifies("eq-training-norm-scale")
def test_gradient_is_perpendicular_and_falls_with_the_length():
    data, target = doubles(30, 6), doubles(30, seed=3)
    w = doubles(6, seed=4).requires_grad_()
    (g,) = torch.autograd.grad(normalized_loss(w, data, target), w)
    assert abs(torch.dot(w, g)) < 1e-12 * w.norm() * g.norm() + 1e-14
    for a in (0.3, 5.0):
        longer = (a * w.detach()).requires_grad_()
        loss = normalized_loss(longer, data, target)
        (other,) = torch.autograd.grad(loss, longer)
        assert torch.allclose(other, g / a, rtol=1e-9)


@verifies("eq-training-norm-growth")
def test_weights_only_grow():
    data, target, rate = doubles(30, 6), doubles(30, seed=3), 0.7
    w = doubles(6, seed=4).requires_grad_()
    for _ in range(5):
        (g,) = torch.autograd.grad(normalized_loss(w, data, target), w)
        moved = (w - rate * g).detach()
        printed = w.square().sum() + rate**2 * g.square().sum()
        assert torch.allclose(moved.square().sum(), printed, rtol=1e-12)
        w = moved.requires_grad_()


# --- regularization ----------------------------------------------------------


@verifies("eq-training-dropout")
@pytest.mark.parametrize("q", [0.1, 0.4, 0.8])
def test_mean_and_variance_of_dropout(q):
    torch.manual_seed(0)
    x = torch.full((200_000,), 1.7, dtype=torch.float64)
    y = F.dropout(x, q, training=True).numpy()
    mean_within(y, 1.7)
    mean_within((y - 1.7) ** 2, q / (1 - q) * 1.7**2)


@verifies("eq-training-dropout-penalty")
def test_dropout_on_a_linear_unit_over_all_masks():
    from itertools import product

    w, x, target, q = doubles(5).numpy(), doubles(5, seed=8).numpy(), 0.7, 0.3
    expected = 0.0
    for mask in product((0, 1), repeat=5):
        chance = np.prod([1 - q if r else q for r in mask])
        y = np.array(mask) * x / (1 - q)
        expected += chance * (target - w @ y) ** 2
    printed = (target - w @ x) ** 2 + q / (1 - q) * (w**2 * x**2).sum()
    assert expected == pytest.approx(printed)


@verifies("eq-training-smoothing-gap")
@pytest.mark.parametrize(("classes", "alpha"), [(10, 0.1), (3, 0.3)])
def test_best_logits_under_smoothing_by_descent(classes, alpha):
    z = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([1])
    optimizer = torch.optim.LBFGS([z], max_iter=500, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(z, label, label_smoothing=alpha)
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)
    found = z.detach()[0]
    gaps = found[1] - found[torch.arange(classes) != 1]
    shared = alpha / classes
    for printed in (
        math.log((1 - alpha + shared) / shared),
        math.log(1 + classes * (1 - alpha) / alpha),
    ):
        wanted = torch.full_like(gaps, printed)
        assert torch.allclose(gaps, wanted, atol=1e-4)
    assert math.log(91) == pytest.approx(4.5, abs=0.02)

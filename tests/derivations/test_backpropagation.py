"""Each numbered claim of book/backpropagation.md, checked: symbolically, by
gradients, or by simulation.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
import torch
from torch.nn import functional as F

from dlp_utils.data import toy
from verifies import mean_within, verifies

torch.set_default_dtype(
    torch.float32
)  # tests below ask for double precision where they need it


def doubles(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def grad(value, *inputs):
    """Gradients of a scalar by torch.autograd."""
    return torch.autograd.grad(value, inputs)


# --- linearity and XOR -------------------------------------------------------


@verifies("eq-backpropagation-descent")
def test_a_small_step_lowers_the_loss_by_rate_times_squared_gradient():
    a, b, eta = sp.symbols("a b eta")
    loss = a**3 * b - 2 * a * b**2 + sp.exp(a) * b + a**2
    gradient = [sp.diff(loss, a), sp.diff(loss, b)]
    moved = {a: a - eta * gradient[0], b: b - eta * gradient[1]}
    after = loss.subs(moved, simultaneous=True)
    # Orders 0 and 1 in the rate agree with the formula, order 2 is left over.
    assert sp.simplify(after.subs(eta, 0) - loss) == 0
    slope = sp.diff(after, eta).subs(eta, 0)
    assert sp.simplify(slope + sum(g**2 for g in gradient)) == 0
    # The example of the text: L = (w − 3)² from w = 1.
    w = 1.0
    slope = 2 * (w - 3)
    assert (w - 3) ** 2 - 0.1 * slope**2 == pytest.approx(2.4)
    assert (w - 0.1 * slope - 3) ** 2 == pytest.approx(2.56)
    assert w - 1.1 * slope == pytest.approx(5.4)

    # The first step of the ten minutes, on the loss of the graph.
    def graph(w):
        return (3 * w + 1 - 4) ** 2 + w**2

    assert graph(2.0) == 13 and graph(2 - 0.01 * 22) == pytest.approx(8.644)


@verifies("eq-backpropagation-affine")
def test_two_affine_maps_are_one():
    X = sp.Matrix(3, 2, sp.symbols("x0:6"))
    W1, W2 = (
        sp.Matrix(2, 4, sp.symbols("u0:8")),
        sp.Matrix(4, 2, sp.symbols("v0:8")),
    )
    b1, b2, ones = (
        sp.Matrix(1, 4, sp.symbols("b0:4")),
        sp.Matrix(1, 2, sp.symbols("c0:2")),
        sp.ones(3, 1),
    )
    stacked = (X * W1 + ones * b1) * W2 + ones * b2
    single = X * (W1 * W2) + ones * (b1 * W2 + b2)
    assert sp.expand(stacked - single) == sp.zeros(3, 2)


def exact_xor():
    """The lab's 21 points in exact fractions: [(x0, x1, y)]."""
    points = []
    for i in range(11):
        points.append((Fraction(i, 10), Fraction(i, 10), 0))
        if i != 5:
            points.append((Fraction(i, 10), 1 - Fraction(i, 10), 1))
    return points


@verifies("eq-backpropagation-xor-flat")
def test_constant_model_feels_no_force():
    p = Fraction(10, 21)
    assert sum(p - y for *_, y in exact_xor()) == 0
    assert [
        sum((p - y) * point[axis] for *point, y in exact_xor())
        for axis in (0, 1)
    ] == [0, 0]


@verifies("eq-backpropagation-xor-product")
def test_only_the_product_is_rewarded():
    p, half = Fraction(10, 21), Fraction(1, 2)
    assert sum(
        (p - y) * (a - half) * (b - half) for a, b, y in exact_xor()
    ) == Fraction(11, 10)
    for axis in (
        0,
        1,
    ):  # said in passing: the squares get twenty-one times less
        assert sum(
            (p - y) * (point[axis] - half) ** 2 for *point, y in exact_xor()
        ) == -Fraction(11, 210)


def test_the_exact_points_are_the_data_set():
    x, y = toy.xor()
    ours = sorted(
        (float(a), float(b), float(label)) for a, b, label in exact_xor()
    )
    theirs = sorted(
        (*point, label)
        for point, label in zip(
            x.round(12).tolist(), y[:, 0].tolist(), strict=True
        )
    )
    assert np.allclose(ours, theirs)


def test_some_line_gets_sixteen_points_right_and_none_more():
    # The page says so in passing. Every split of the plane by a line is found
    # among lines that pass close to
    # two points, on either side of each.
    x, y = toy.xor()
    best = 0
    for i in range(len(x)):
        for j in range(i):
            direction = x[i] - x[j]
            normal = np.array([-direction[1], direction[0]])
            for tilt in (-1e-6, 0, 1e-6):
                tilted = normal + tilt * direction
                for anchor in (x[i], x[j], (x[i] + x[j]) / 2):
                    for shift in (-1e-8, 1e-8):
                        right = np.mean(
                            ((x - anchor) @ tilted + shift > 0)
                            == (y[:, 0] > 0.5)
                        )
                        best = max(best, right, 1 - right)
    assert round(best * 21) == 16


# --- the chain rule ----------------------------------------------------------


@verifies("eq-backpropagation-chain")
def test_adjoint_is_the_sum_over_consumers():
    u, a, b = sp.symbols("u a b")
    consumers = [sp.sin(u), u**3, a * u]  # three numbers computed from u
    v = sp.symbols("v0:3")
    loss = v[0] * v[1] + sp.exp(v[2]) + b * v[0]
    at_u = dict(zip(v, consumers, strict=True))
    direct = sp.diff(loss.subs(at_u), u)
    summed = sum(
        sp.diff(loss, vj).subs(at_u) * sp.diff(f, u)
        for vj, f in zip(v, consumers, strict=True)
    )
    assert sp.simplify(direct - summed) == 0


@verifies("eq-backpropagation-vjp")
def test_adjoint_of_a_vector_is_transposed_jacobian_times_adjoint():
    A, u = doubles(4, 3), doubles(3).requires_grad_()

    def f(u):
        return torch.tanh(A @ u)

    weight = doubles(4, seed=5)
    (u_bar,) = grad(
        (weight * f(u)).sum(), u
    )  # L = ⟨weight, v⟩, so the adjoint of v is `weight`
    J = torch.autograd.functional.jacobian(f, u.detach())
    assert torch.allclose(u_bar, J.T @ weight, atol=1e-12)


# --- one layer ---------------------------------------------------------------

N, D_IN, D_OUT = 5, 3, 4  # three different sizes: a wrong transpose cannot run


@pytest.fixture
def layer():
    A, W, b = doubles(N, D_IN), doubles(D_IN, D_OUT), doubles(D_OUT)
    for tensor in (A, W, b):
        tensor.requires_grad_()
    Z = A @ W + b
    loss = (
        torch.sin(Z) * doubles(N, D_OUT, seed=9)
    ).sum()  # any smooth function of Z
    (delta,) = torch.autograd.grad(loss, Z, retain_graph=True)
    return A, W, b, delta, loss


@verifies("eq-backpropagation-weight")
def test_weight_gradient(layer):
    A, W, _, delta, loss = layer
    (expected,) = grad(loss, W)
    by_index = torch.einsum("nj,ni->ij", delta, A)
    assert torch.allclose(A.T @ delta, expected, atol=1e-12)
    assert torch.allclose(by_index, expected, atol=1e-12)


@verifies("eq-backpropagation-bias")
def test_bias_gradient(layer):
    *_, b, delta, loss = layer
    (expected,) = grad(loss, b)
    assert torch.allclose(
        torch.ones(N, dtype=torch.float64) @ delta, expected, atol=1e-12
    )


@verifies("eq-backpropagation-input")
def test_input_gradient(layer):
    A, W, _, delta, loss = layer
    (expected,) = grad(loss, A)
    assert torch.allclose(delta @ W.T, expected, atol=1e-12)
    assert torch.allclose(
        torch.einsum("nj,ij->ni", delta, W), expected, atol=1e-12
    )


@verifies("eq-backpropagation-delta")
def test_delta_recursion():
    Z0 = doubles(N, D_IN).requires_grad_()
    W = doubles(D_IN, D_OUT)
    Z1 = torch.sigmoid(Z0) @ W
    loss = (Z1**3).sum()
    delta1, delta0 = grad(loss, Z1, Z0)
    slope = torch.sigmoid(Z0) * (1 - torch.sigmoid(Z0))
    assert torch.allclose((delta1 @ W.T) * slope, delta0, atol=1e-12)


# --- activations -------------------------------------------------------------

z = sp.Symbol("z", real=True)
SIGMA = 1 / (1 + sp.exp(-z))


@verifies("eq-backpropagation-sigmoid")
def test_sigmoid_slope_and_its_bound():
    slope = SIGMA * (1 - SIGMA)
    assert sp.simplify(sp.diff(SIGMA, z) - slope) == 0
    a = sp.Symbol("a")
    assert (
        sp.expand(
            sp.Rational(1, 4) - (a - sp.Rational(1, 2)) ** 2 - a * (1 - a)
        )
        == 0
    )
    assert slope.subs(z, 0) == sp.Rational(1, 4)


@verifies("eq-backpropagation-saturation")
def test_saturation_bound():
    grid = np.linspace(-30, 30, 2001)
    # σ' is even; at -|z| it is computed without cancellation.
    z = torch.tensor(-np.abs(grid), requires_grad=True)
    slope = grad(torch.sigmoid(z).sum(), z)[0].numpy()
    bound = np.exp(-np.abs(grid))
    assert np.all(slope <= bound)
    # The same bound is reached in the limit, on both sides, so no smaller
    # constant and no faster exponential would do.
    far = np.abs(grid) > 10
    assert np.all(slope[far] > 0.9999 * bound[far])
    assert np.exp(-10) < 5e-5  # the number in the prose


@verifies("eq-backpropagation-tanh")
def test_tanh_slope_and_its_relation_to_the_sigmoid():
    assert sp.simplify(sp.diff(sp.tanh(z), z) - (1 - sp.tanh(z) ** 2)) == 0
    assert (
        sp.simplify(
            (2 * SIGMA.subs(z, 2 * z) - 1 - sp.tanh(z)).rewrite(sp.exp)
        )
        == 0
    )


# --- losses ------------------------------------------------------------------


@verifies("eq-backpropagation-mse-gradient")
def test_mse_gradient():
    A, Y = doubles(N, D_OUT).requires_grad_(), doubles(N, D_OUT, seed=1)
    (expected,) = grad(F.mse_loss(A, Y), A)
    assert torch.allclose(2 / (N * D_OUT) * (A - Y), expected, atol=1e-14)


@verifies("eq-backpropagation-bce-logits")
def test_cross_entropy_is_softplus_minus_target_times_logit():
    y = sp.Symbol("y")
    softplus = sp.log(1 + sp.exp(z))
    direct = -y * sp.log(SIGMA) - (1 - y) * sp.log(1 - SIGMA)
    claimed = softplus - y * z
    # Two functions of z with equal derivatives and one equal value are equal.
    assert sp.simplify(sp.diff(direct - claimed, z)) == 0
    assert sp.simplify((direct - claimed).subs(z, 0)) == 0


@verifies("eq-backpropagation-bce")
def test_stable_cross_entropy_is_exact_everywhere():
    logits = torch.tensor(
        [-1000.0, -40.0, -1.0, 0.0, 1.0, 40.0, 1000.0], dtype=torch.float64
    )
    for y in (0.0, 0.3, 1.0):
        stable = (
            logits.clamp(min=0)
            - y * logits
            + torch.log1p(torch.exp(-logits.abs()))
        )
        assert torch.isfinite(stable).all()
        for value, result in zip(
            logits.tolist(), stable.tolist(), strict=True
        ):
            exact = sp.log(1 + sp.exp(sp.Rational(value))) - sp.Rational(
                str(y)
            ) * sp.Rational(value)
            assert result == pytest.approx(
                float(sp.N(exact, 500)), rel=1e-14, abs=1e-300
            )


@verifies("eq-backpropagation-bce-gradient")
def test_cross_entropy_gradient():
    y = sp.Symbol("y")
    assert (
        sp.simplify(sp.diff(sp.log(1 + sp.exp(z)) - y * z, z) - (SIGMA - y))
        == 0
    )


@verifies("eq-backpropagation-mse-sigmoid")
def test_squared_error_behind_a_sigmoid():
    y = sp.Symbol("y")
    gradient = 2 * (SIGMA - y) * SIGMA * (1 - SIGMA)
    assert sp.simplify(sp.diff((SIGMA - y) ** 2, z) - gradient) == 0
    # The numbers of the prose: z = -10, y = 1.
    at = {z: -10, y: 1}
    assert abs(float(gradient.subs(at))) < 1e-4
    assert abs(float((SIGMA - y).subs(at))) == pytest.approx(1, abs=1e-4)


@verifies("eq-backpropagation-shift")
def test_softmax_and_logsumexp_survive_a_shift():
    for scale in (1.0, 1000.0):
        logits = scale * doubles(6, 4)
        m = logits.max(dim=1, keepdim=True).values
        p = torch.exp(logits - m) / torch.exp(logits - m).sum(
            dim=1, keepdim=True
        )
        assert torch.allclose(p, torch.softmax(logits, dim=1), atol=1e-14)
        lse = m[:, 0] + torch.log(torch.exp(logits - m).sum(dim=1))
        assert torch.allclose(lse, torch.logsumexp(logits, dim=1), rtol=1e-14)
    # And both sides of the printed equations are the same function, for any
    # shift at all.
    a, b, c = sp.symbols("a b c", real=True)
    shifted = sp.exp(a - c) / (sp.exp(a - c) + sp.exp(b - c))
    assert sp.simplify(shifted - sp.exp(a) / (sp.exp(a) + sp.exp(b))) == 0
    assert (
        sp.simplify(
            sp.exp(c + sp.log(sp.exp(a - c) + sp.exp(b - c)))
            - sp.exp(a)
            - sp.exp(b)
        )
        == 0
    )


@verifies(
    "eq-backpropagation-softmax-loss", "eq-backpropagation-softmax-gradient"
)
def test_softmax_cross_entropy_and_its_gradient():
    logits = sp.Matrix(sp.symbols("z0:4", real=True))
    total = sum(sp.exp(v) for v in logits)
    for label in range(4):
        loss = sp.log(total) - logits[label]
        assert sp.simplify(sp.exp(-loss) - sp.exp(logits[label]) / total) == 0
        for i in range(4):
            claimed = sp.exp(logits[i]) / total - (1 if i == label else 0)
            assert sp.simplify(sp.diff(loss, logits[i]) - claimed) == 0


@verifies("eq-backpropagation-softmax-jacobian")
def test_softmax_jacobian():
    logits = doubles(5)
    p = torch.softmax(logits, dim=0)
    claimed = p[:, None] * (torch.eye(5, dtype=torch.float64) - p[None, :])
    jacobian = torch.autograd.functional.jacobian(
        lambda v: torch.softmax(v, dim=0), logits
    )
    assert torch.allclose(jacobian, claimed, atol=1e-14)


# --- cost --------------------------------------------------------------------


@verifies("eq-backpropagation-cost")
def test_backward_costs_two_forwards_but_for_the_first_input():
    from torch.utils.flop_counter import FlopCounterMode

    n, sizes = 16, (7, 11, 13, 5)
    model = torch.nn.Sequential(
        *[torch.nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
    )
    with FlopCounterMode(display=False) as counter:
        loss = model(torch.randn(n, sizes[0])).sum()
        forward = counter.get_total_flops()
        loss.backward()
    backward = counter.get_total_flops() - forward
    assert forward == sum(2 * n * a * b for a, b in pairwise(sizes))
    assert backward == 2 * forward - 2 * n * sizes[0] * sizes[1]


@verifies("eq-backpropagation-modes")
def test_cost_of_the_two_orders_of_multiplication():
    def multiply(a, b):
        """Shape of the product and the number of multiplications."""
        return (a[0], b[1]), a[0] * a[1] * b[1]

    for depth, d in ((2, 3), (4, 5), (7, 10)):
        shapes = [(1, d)] + [(d, d)] * (depth - 1)  # J_L, …, J_1
        product, reverse = shapes[0], 0
        for shape in shapes[1:]:  # from the left: a row stays a row
            product, cost = multiply(product, shape)
            reverse += cost
        product, forward = shapes[-1], 0
        for shape in reversed(shapes[:-1]):  # from the right
            product, cost = multiply(shape, product)
            forward += cost
        assert reverse == (depth - 1) * d**2
        assert forward == (depth - 2) * d**3 + d**2


@verifies("eq-backpropagation-adjoint")
def test_forward_and_reverse_mode_are_adjoint():
    A, x, v, u = (
        doubles(4, 3),
        doubles(3, seed=1),
        doubles(3, seed=2),
        doubles(4, seed=3),
    )

    def f(x):
        return torch.tanh(A @ x) ** 2

    _, Jv = torch.func.jvp(f, (x,), (v,))
    _, pull = torch.func.vjp(f, x)
    assert torch.allclose(u @ Jv, pull(u)[0] @ v, atol=1e-13)


# --- numerical differentiation -----------------------------------------------


@verifies("eq-backpropagation-central")
def test_central_difference_and_its_error():
    h, x = sp.symbols("h x")
    for f in (sp.exp(x), sp.sin(x), x**5):
        quotient = (f.subs(x, x + h) - f.subs(x, x - h)) / (2 * h)
        series = sp.series(quotient, h, 0, 4).removeO()
        claimed = sp.diff(f, x) + h**2 / 6 * sp.diff(f, x, 3)
        assert sp.simplify(series - claimed) == 0  # no h, h³ term either


@verifies("eq-backpropagation-best-h")
def test_best_step():
    h, e, F_, M = sp.symbols("h epsilon F M", positive=True)
    error = e * F_ / h + M * h**2 / 6
    best = (3 * e * F_ / M) ** sp.Rational(1, 3)
    assert sp.simplify(sp.diff(error, h).subs(h, best)) == 0
    assert sp.simplify(sp.diff(error, h, 2).subs(h, best)).is_positive
    claimed = sp.Rational(1, 2) * (9 * e**2 * F_**2 * M) ** sp.Rational(1, 3)
    assert sp.simplify(error.subs(h, best) / claimed) == 1
    # Measured: steps near ε^(1/3) beat steps a hundred times larger or
    # smaller, by a factor of ten and more.
    points, eps = np.linspace(0.5, 1.5, 101), np.finfo(float).eps

    def measured(step):
        return np.mean(
            np.abs(
                (np.exp(points + step) - np.exp(points - step))
                / (2 * step)
                / np.exp(points)
                - 1
            )
        )

    good = measured(eps ** (1 / 3))
    assert good < 1e-10
    assert measured(100 * eps ** (1 / 3)) > 10 * good
    assert measured(eps ** (1 / 3) / 100) > 10 * good


# --- variance through layers -------------------------------------------------


@verifies("eq-backpropagation-variance-forward")
def test_mean_square_of_a_preactivation():
    rng = np.random.default_rng(0)
    d, std, draws = 30, 0.3, 40_000
    a = rng.uniform(
        0, 1, (draws, d)
    )  # not centered: the mean square counts, not the variance
    z = (a * rng.normal(0, std, (draws, d))).sum(axis=1)
    mean_within(z**2, d * std**2 * (1 / 3))


@verifies("eq-backpropagation-variance-backward")
def test_mean_square_of_a_gradient():
    rng = np.random.default_rng(1)
    d_out, std, draws = 20, 0.2, 40_000
    delta = rng.normal(0.5, 1, (draws, d_out))  # mean square 1.25
    gradient = (
        delta * rng.uniform(-1, 1, (draws, d_out)) * std * np.sqrt(3)
    ).sum(axis=1)  # variance std²
    mean_within(gradient**2, d_out * std**2 * 1.25)


@verifies("eq-backpropagation-xavier")
def test_xavier_variance_and_its_uniform_form():
    w, r, a, b = sp.symbols("w r a b", positive=True)
    variance = sp.integrate(w**2 / (2 * r), (w, -r, r))
    assert (
        sp.simplify(variance.subs(r, sp.sqrt(6 / (a + b))) - 2 / (a + b)) == 0
    )
    # Drawn: the factors of the mean square forward and backward are together
    # 2, so that a pair of layers there and back keeps it, for any widths.
    rng = np.random.default_rng(0)
    for d_in, d_out in ((30, 30), (40, 10), (5, 45)):
        r = np.sqrt(6 / (d_in + d_out))
        forward, backward = [], []
        for _ in range(4000):
            W = rng.uniform(-r, r, (d_in, d_out))
            forward.append(np.mean((rng.normal(size=d_in) @ W) ** 2))
            backward.append(np.mean((W @ rng.normal(size=d_out)) ** 2))
        forward, backward = np.array(forward), np.array(backward)
        mean_within(forward, 2 * d_in / (d_in + d_out))
        mean_within(backward, 2 * d_out / (d_in + d_out))
        mean_within(forward + backward, 2)


@verifies("eq-backpropagation-half")
def test_relu_keeps_half_of_the_mean_square():
    s = sp.Symbol("s", positive=True)
    normal = sp.exp(-(z**2) / (2 * s**2)) / sp.sqrt(2 * sp.pi * s**2)
    assert (
        sp.simplify(sp.integrate(z**2 * normal, (z, 0, sp.oo)) - s**2 / 2) == 0
    )
    uniform = sp.integrate(
        z**2 / (2 * s), (z, 0, s)
    )  # any symmetric density will do
    assert (
        sp.simplify(uniform - sp.integrate(z**2 / (2 * s), (z, -s, s)) / 2)
        == 0
    )


@verifies("eq-backpropagation-depth", "eq-backpropagation-he")
def test_mean_square_through_relu_layers():
    rng = np.random.default_rng(2)
    d, k, networks = 64, 4, 1500
    for scale, factor in (
        (2.0, 1.0),
        (2.6, 1.3),
    ):  # He's rule, and one that grows by 1.3 a layer
        ratios = np.empty(networks)
        for index in range(networks):
            z = rng.normal(size=d)
            start = np.mean(z**2)
            for _ in range(k):
                z = np.maximum(z, 0) @ rng.normal(
                    0, np.sqrt(scale / d), (d, d)
                )
            ratios[index] = np.mean(z**2) / start
        mean_within(ratios, factor**k)
    assert (
        pytest.approx(0.11**2, rel=0.06) == 256 * 0.01**2 / 2
    )  # numbers of the prose: 0.11 a layer,
    shrinkage = 15 * np.log10(256 * 0.01**2 / 2)
    assert (
        shrinkage < -28
    )  # less than 1e-28 of the root mean square after thirty


# --- vanishing gradients -----------------------------------------------------


def sigmoid_chain(depth=4, width=6, scale=1.0):
    """Pre-activations, weights, deltas of a sigmoid network for one point."""
    weights = [
        scale * doubles(width, width, seed=layer) for layer in range(depth)
    ]
    z = [(doubles(width, seed=50) @ weights[0]).requires_grad_()]
    for W in weights[1:]:
        z.append(torch.sigmoid(z[-1]) @ W)
    loss = (z[-1] ** 2).sum()
    return z, weights, grad(loss, *z)


@verifies("eq-backpropagation-product")
def test_first_delta_is_a_product_of_jacobians():
    z, weights, deltas = sigmoid_chain()
    row = deltas[-1]
    for W, below in zip(reversed(weights[1:]), reversed(z[:-1]), strict=True):
        row = (
            row
            @ W.T
            @ torch.diag(torch.sigmoid(below) * (1 - torch.sigmoid(below)))
        )
    assert torch.allclose(row, deltas[0], rtol=1e-12, atol=1e-300)


@verifies("eq-backpropagation-vanishing")
def test_bound_on_the_first_delta():
    z = torch.linspace(-9, 9, 3601, dtype=torch.float64, requires_grad=True)
    steepest = grad(torch.sigmoid(z).sum(), z)[0].max()  # of φ = σ

    def bound(deltas, weights):
        product = deltas[-1].norm()
        for W in weights[1:]:
            product = product * torch.linalg.matrix_norm(W, 2) * steepest
        return product

    for scale in (0.3, 1.0, 3.0):
        _, weights, deltas = sigmoid_chain(scale=scale)
        assert deltas[0].norm() <= bound(deltas, weights)
    # Reached: with orthogonal weights and z = 0 everywhere, three layers.
    weights = [torch.linalg.qr(doubles(5, 5, seed=k)).Q for k in range(3)]
    z = [torch.zeros(5, dtype=torch.float64, requires_grad=True)]
    for W in weights[1:]:
        a = torch.sigmoid(z[-1])
        z.append(a @ W - (a @ W).detach())
    deltas = grad((z[-1] * doubles(5, seed=9)).sum(), *z)
    assert torch.allclose(deltas[0].norm(), bound(deltas, weights), rtol=1e-9)
    assert (
        4.0**-10 < 1e-6 < 4.0**-9
    )  # the exercise: ten hidden layers, not nine


@verifies("eq-backpropagation-batchnorm-jacobian")
def test_jacobian_of_the_normalization():
    x, eps = doubles(7), 1e-3

    def normalize(x):
        return (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + eps)

    by_autograd = torch.autograd.functional.jacobian(normalize, x)
    s = torch.sqrt(x.var(unbiased=False) + eps)
    x_hat, same = normalize(x), torch.eye(7, dtype=torch.float64)
    claimed = (same - 1 / 7 - torch.outer(x_hat, x_hat) / 7) / s
    assert torch.allclose(claimed, by_autograd, atol=1e-12)


@verifies("eq-backpropagation-batchnorm")
def test_batchnorm_input_gradient():
    x, gamma, eps = doubles(8, 3).requires_grad_(), doubles(3, seed=1), 1e-3
    dy = doubles(8, 3, seed=2)
    y = F.batch_norm(
        x,
        None,
        None,
        gamma,
        torch.zeros(3, dtype=torch.float64),
        training=True,
        eps=eps,
    )
    (expected,) = grad((y * dy).sum(), x)
    s = torch.sqrt(x.var(dim=0, unbiased=False) + eps)
    x_hat = (x - x.mean(dim=0)) / s
    g = gamma * dy
    claimed = (g - g.mean(dim=0) - x_hat * (g * x_hat).mean(dim=0)) / s
    assert torch.allclose(claimed, expected, atol=1e-12)

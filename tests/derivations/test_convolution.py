"""Each numbered claim of book/convolution.md, checked: by hand-written sums
against autograd or torch's own layers, by counting, by symbols, by Fourier.
"""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn
from torch.nn import functional as F

from verifies import verifies


def rng(seed=0):
    return np.random.default_rng(seed)


def layer(x, w, b, stride=1, padding=0, dilation=1):
    """torch's layer, on NumPy arrays (C, H, W) in double precision."""
    arrays = [
        torch.from_numpy(np.asarray(a, dtype=float)) for a in (x[None], w, b)
    ]
    return F.conv2d(*arrays, stride, padding, dilation).numpy()[0]


# --- the layer ---------------------------------------------------------------


@verifies("eq-convolution-example")
def test_the_example_on_paper():
    x = np.arange(2, 19, 2).reshape(1, 3, 3)
    w = np.array([[[[1, 3], [5, 7]]]])
    assert layer(x, w, [5])[0].tolist() == [[129, 161], [225, 257]]
    # The sums as printed.
    sums = (
        (1, 2, 4, 8, 10),
        (2, 4, 6, 10, 12),
        (3, 8, 10, 14, 16),
        (4, 10, 12, 16, 18),
    )
    printed = [a + 3 * b + 5 * c + 7 * d + 5 for _, a, b, c, d in sums]
    assert printed == [129, 161, 225, 257]


@verifies("eq-convolution-two-channels")
def test_the_example_with_two_channels():
    x = np.stack([np.ones((3, 3)), np.full((3, 3), 2.0)])
    w = np.empty((2, 2, 2, 2))
    w[0, 0], w[0, 1], w[1, 0], w[1, 1] = 3, 4, 1, 2
    y = layer(x, w, [10, 5])
    assert y.shape == (2, 2, 2) and (y[0] == 54).all() and (y[1] == 25).all()


@verifies("eq-convolution-flip")
def test_cross_correlation_is_convolution_with_the_flipped_kernel():
    # The right side by NumPy's true convolution, the left by torch's layer.
    for n, k in ((7, 3), (6, 2), (9, 4)):
        x, w = rng(n).normal(size=n), rng(k).normal(size=k)
        layer_1d = F.conv1d(
            torch.from_numpy(x)[None, None], torch.from_numpy(w)[None, None]
        )
        full = np.convolve(w[::-1], x)  # (w̃ * x)_i, i = 0 … n + k - 2
        for i in range(n - k + 1):
            assert math.isclose(
                layer_1d[0, 0, i].item(), full[i + k - 1], rel_tol=1e-10
            )


@verifies("eq-convolution-count")
@pytest.mark.parametrize(
    ("c", "o", "k", "g", "n"),
    [(3, 2, 3, 1, 7), (2, 3, 3, 1, 6), (6, 9, 2, 3, 5), (4, 4, 3, 4, 8)],
)
def test_weights_and_multiplications(c, o, k, g, n):
    module = nn.Conv2d(c, o, k, groups=g)
    m = n - k + 1
    weights = sp.Rational(k**2 * c, g) * o + o
    assert sum(p.numel() for p in module.parameters()) == weights
    # Multiplications: pairs of a weight and an output that depends on it,
    # counted by setting one weight after the other to 1.
    x, count = torch.ones(1, c, n, n), 0
    for place in range(module.weight.numel()):
        w = torch.zeros(module.weight.numel())
        w[place] = 1
        y = F.conv2d(x, w.reshape(module.weight.shape), groups=g)
        count += int((y != 0).sum())
    assert count == sp.Rational(k**2 * c, g) * o * m * m


def test_the_two_counts_of_54():
    for c, o in ((3, 2), (2, 3)):
        assert nn.Conv2d(c, o, 3, bias=False).weight.numel() == 54


@verifies("eq-convolution-separable")
def test_the_price_of_a_separable_layer():
    for c, o, k in ((8, 16, 3), (5, 7, 5), (3, 2, 1)):
        deep = nn.Conv2d(c, c, k, groups=c, bias=False).weight.numel()
        point = nn.Conv2d(c, o, 1, bias=False).weight.numel()
        full = nn.Conv2d(c, o, k, bias=False).weight.numel()
        ratio = sp.Rational(1, o) + sp.Rational(1, k**2)
        assert sp.Rational(deep + point, full) == ratio


@verifies("eq-convolution-size")
def test_output_size_in_every_setting():
    settings = itertools.product(
        range(1, 12), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2, 3)
    )
    tried = 0
    for n, k, s, p, d in settings:
        if n + 2 * p < d * (k - 1) + 1:
            continue
        y = F.conv1d(torch.zeros(1, 1, n), torch.zeros(1, 1, k), None, s, p, d)
        assert y.shape[-1] == (n + 2 * p - d * (k - 1) - 1) // s + 1
        tried += 1
    assert tried > 700


def test_fifteen_pixels_are_not_seen():
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, 3, 3), stride=2).sum().backward()
    assert int((x.grad == 0).sum()) == 15


@verifies("eq-convolution-matrix")
def test_the_matrix_of_a_convolution():
    for n, k, s, p in ((7, 3, 1, 0), (7, 3, 2, 1), (6, 2, 3, 1), (5, 4, 1, 2)):
        w = rng(n).normal(size=k)
        m = (n + 2 * p - k) // s + 1
        printed = np.zeros((m, n))
        for i, pixel in itertools.product(range(m), range(n)):
            if 0 <= pixel + p - s * i < k:
                printed[i, pixel] = w[pixel + p - s * i]
        # The true matrix, column by column, from unit vectors.
        unit = torch.eye(n, dtype=torch.float64)[:, None]
        columns = F.conv1d(unit, torch.from_numpy(w)[None, None], None, s, p)
        assert np.allclose(printed, columns[:, 0].T.numpy(), atol=1e-14)


# --- equivariance ------------------------------------------------------------


def around(x, w, b, stride=1):
    """A convolution of a signal whose ends are glued together."""
    n, k = len(x), len(w)
    wide = torch.from_numpy(np.concatenate([x, x[: k - 1]]))[None, None]
    y = F.conv1d(
        wide,
        torch.from_numpy(w)[None, None],
        torch.tensor([b], dtype=torch.float64),
    )
    assert y.shape[-1] == n
    return y.numpy()[0, 0, ::stride]


@verifies("eq-convolution-equivariance")
def test_a_convolution_is_equivariant_around_a_circle():
    x, w = rng(1).normal(size=10), rng(2).normal(size=3)
    y = around(x, w, 0.5)
    for a in range(-4, 12):
        moved = np.array([x[(k - a) % 10] for k in range(10)])
        expected = [y[(i - a) % 10] for i in range(10)]
        assert np.allclose(around(moved, w, 0.5), expected, atol=1e-13)
    # With zeros at the border it is not.
    two = torch.from_numpy(np.stack([x, np.roll(x, 1)]))[:, None]
    padded = F.conv1d(two, torch.from_numpy(w)[None, None], padding=1)[:, 0]
    padded = padded.numpy()
    assert not np.allclose(np.roll(padded[0], 1), padded[1])


@verifies("eq-convolution-stride")
def test_a_stride_keeps_its_multiples_alone():
    x, w = rng(3).normal(size=12), rng(4).normal(size=3)
    for s in (2, 3):
        y = around(x, w, 0.1, s)
        for a in range(4):
            assert np.allclose(
                around(np.roll(x, s * a), w, 0.1, s), np.roll(y, a), atol=1e-13
            )
        # By one pixel, no shift of the output helps.
        moved = around(np.roll(x, 1), w, 0.1, s)
        assert all(
            not np.allclose(moved, np.roll(y, a), atol=1e-3)
            for a in range(len(y))
        )


@verifies("eq-convolution-invariant")
def test_a_global_maximum_does_not_see_a_shift():
    y = rng(5).normal(size=9)
    assert {max(y[(i - a) % 9] for i in range(9)) for a in range(9)} == {
        max(y)
    }


@verifies("eq-convolution-unique")
def test_every_matrix_that_commutes_with_moving_is_a_convolution():
    # All solutions of A T = T A: a space of dimension n, and each of its
    # members acts as the printed sum does.
    n = 6
    T = np.roll(np.eye(n), 1, axis=0)  # (T x)_k = x_{k-1}
    equations = np.kron(np.eye(n), T) - np.kron(T.T, np.eye(n))  # on vec(A)
    _, singular, rows = np.linalg.svd(equations)
    null = rows[singular < 1e-10]
    assert len(null) == n
    for vector in null:
        A = vector.reshape(n, n, order="F")
        assert np.allclose(A @ T, T @ A)
        h, x = A[:, 0], rng(6).normal(size=n)
        printed = [
            sum(h[(i - k) % n] * x[k] for k in range(n)) for i in range(n)
        ]
        assert np.allclose(A @ x, printed)


# --- receptive field ---------------------------------------------------------


@verifies("eq-convolution-field")
@pytest.mark.parametrize(
    "layers",
    [
        [(3, 1, 1), (3, 1, 1)],
        [(3, 2, 1), (3, 1, 1), (2, 2, 1)],
        [(2, 2, 1), (3, 1, 2), (3, 3, 1)],
        [(5, 3, 2), (2, 1, 3)],
    ],
)
def test_field_and_jump_by_gradients(layers):
    R = J = 1
    for k, s, d in layers:
        R, J = R + d * (k - 1) * J, s * J
    x = torch.zeros(1, 1, 200, requires_grad=True)
    y = x
    for k, s, d in layers:
        y = F.conv1d(y, torch.ones(1, 1, k), stride=s, dilation=d)
    spans = []
    for i in (0, 1):
        grad = torch.autograd.grad(y[0, 0, i], x, retain_graph=True)[0][0, 0]
        seen = torch.nonzero(grad)[:, 0]
        spans.append((seen.min().item(), seen.max().item()))
    assert spans[0][1] - spans[0][0] + 1 == R
    assert spans[1][0] - spans[0][0] == J


def test_ten_convolutions_see_21_or_140():
    R = J = 1
    for number in range(10):
        R += 2 * J
        if number % 2 and number < 9:
            R, J = R + J, 2 * J
    assert R == 140 and 1 + 10 * 2 == 21


def energy(layers, side):
    """Mean squared derivative of output 0 by each pixel, exactly: squares of
    independent weights of mean 0 and variance 1 add up along the paths.
    """
    paths = {0: 1}
    for k, s, d in reversed(layers):
        new = {}
        for place, count in paths.items():
            for u in range(k):
                new[s * place + d * u] = new.get(s * place + d * u, 0) + count
        paths = new
    total = sum(paths.values())
    return {place: sp.Rational(count, total) for place, count in paths.items()}


def variance(chances):
    mean = sum(x * p for x, p in chances.items())
    return sum((x - mean) ** 2 * p for x, p in chances.items())


@verifies("eq-convolution-effective")
def test_spread_of_the_squared_derivative_of_3_wide_layers():
    for depth in (1, 2, 5, 9):
        spread = variance(energy([(3, 1, 1)] * depth, 0))
        assert sp.sqrt(spread) == sp.sqrt(sp.Rational(2 * depth, 3))


def test_counting_paths_is_the_mean_square_of_random_networks():
    depth, draws = 3, 4000
    g, total = torch.Generator().manual_seed(0), 0
    for _ in range(draws):
        x = torch.zeros(1, 1, 7, dtype=torch.float64, requires_grad=True)
        y = x
        for _ in range(depth):
            y = F.conv1d(
                y, torch.randn(1, 1, 3, generator=g, dtype=torch.float64)
            )
        y.sum().backward()
        total = total + x.grad[0, 0] ** 2
    mean = (total / draws).numpy()
    expected = np.array(
        [float(energy([(3, 1, 1)] * 3, 0)[k]) * 27 for k in range(7)]
    )
    assert np.allclose(mean, expected, rtol=0.25)


@verifies("eq-convolution-effective-general")
def test_spread_with_strides_and_dilations():
    for layers in (
        [(3, 2, 1), (5, 1, 2), (2, 3, 1)],
        [(4, 1, 3), (2, 2, 1), (3, 1, 1)],
    ):
        printed, jump = sp.Integer(0), 1
        for k, s, d in layers:
            printed += sp.Rational(k**2 - 1, 12) * (d * jump) ** 2
            jump *= s
        assert variance(energy(layers, 0)) == printed


# --- pooling -----------------------------------------------------------------


def pool_gradients(kind, size, stride):
    x = torch.from_numpy(
        rng(7).permutation(48).reshape(1, 1, 6, 8).astype(float)
    )
    x.requires_grad_()
    z = (F.max_pool2d if kind == "max" else F.avg_pool2d)(x, size, stride)
    dz = torch.from_numpy(rng(8).normal(size=z.shape))
    z.backward(dz)
    return x.detach().numpy()[0, 0], dz.numpy()[0, 0], x.grad.numpy()[0, 0]


def block(i, j, size, stride):
    return [
        (stride * i + u, stride * j + v)
        for u in range(size)
        for v in range(size)
    ]


@verifies("eq-convolution-mean-gradient")
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (3, 2)])
def test_gradient_of_mean_pooling(size, stride):
    x, dz, found = pool_gradients("mean", size, stride)
    for r, s in np.ndindex(*x.shape):
        parts = [
            dz[i, j] / size**2
            for i, j in np.ndindex(*dz.shape)
            if (r, s) in block(i, j, size, stride)
        ]
        assert math.isclose(sum(parts), found[r, s], abs_tol=1e-12)


@verifies("eq-convolution-max-gradient")
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (3, 2)])
def test_gradient_of_max_pooling(size, stride):
    x, dz, found = pool_gradients("max", size, stride)
    for r, s in np.ndindex(*x.shape):
        parts = [
            dz[i, j]
            for i, j in np.ndindex(*dz.shape)
            if max(block(i, j, size, stride), key=lambda place: x[place])
            == (r, s)
        ]
        assert math.isclose(sum(parts), found[r, s], abs_tol=1e-12)


# --- backward ----------------------------------------------------------------

SETTINGS = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)]


def gradients(stride, padding):
    x, w = rng(9).normal(size=(2, 7, 6)), rng(10).normal(size=(3, 2, 3, 3))
    tx, tw = (
        torch.from_numpy(x).requires_grad_(),
        torch.from_numpy(w).requires_grad_(),
    )
    y = F.conv2d(tx[None], tw, None, stride, padding)[0]
    dy = rng(11).normal(size=y.shape)
    y.backward(torch.from_numpy(dy))
    return x, w, dy, tx.grad.numpy(), tw.grad.numpy()


@verifies("eq-convolution-weight-gradient")
@pytest.mark.parametrize(("stride", "padding"), SETTINGS)
def test_gradient_of_the_weights(stride, padding):
    x, w, dy, _, found = gradients(stride, padding)
    for o, c, u, v in np.ndindex(*w.shape):
        total = 0.0
        for i, j in np.ndindex(*dy.shape[1:]):
            r, s = stride * i + u - padding, stride * j + v - padding
            if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                total += dy[o, i, j] * x[c, r, s]
        assert math.isclose(total, found[o, c, u, v], rel_tol=1e-9)


@verifies("eq-convolution-input-gradient")
@pytest.mark.parametrize(("stride", "padding"), SETTINGS)
def test_gradient_of_the_picture(stride, padding):
    x, w, dy, found, _ = gradients(stride, padding)
    for c, r, s in np.ndindex(*x.shape):
        total = 0.0
        for o, i, j in np.ndindex(*dy.shape):
            for u, v in np.ndindex(3, 3):
                if (
                    stride * i + u - padding == r
                    and stride * j + v - padding == s
                ):
                    total += w[o, c, u, v] * dy[o, i, j]
        assert math.isclose(total, found[c, r, s], rel_tol=1e-9, abs_tol=1e-12)


@verifies("eq-convolution-input-flip")
def test_the_backward_pass_is_a_true_convolution():
    from scipy.signal import convolve2d

    x, w, dy, found, _ = gradients(1, 0)
    for c, r, s in np.ndindex(*x.shape):
        total = 0.0
        for o, u, v in np.ndindex(3, 3, 3):
            if 0 <= r - u < dy.shape[1] and 0 <= s - v < dy.shape[2]:
                total += w[o, c, u, v] * dy[o, r - u, s - v]
        assert math.isclose(total, found[c, r, s], rel_tol=1e-9, abs_tol=1e-12)
    for c in range(2):
        assert np.allclose(
            sum(convolve2d(dy[o], w[o, c]) for o in range(3)), found[c]
        )


@verifies("eq-convolution-im2col")
def test_a_layer_is_one_matrix_product():
    x, w, b = (
        rng(12).normal(size=(3, 6, 5)),
        rng(13).normal(size=(4, 3, 2, 2)),
        rng(14).normal(size=4),
    )
    rows, columns = 5, 4
    X = np.array(
        [
            [x[c, i + u, j + v] for i in range(rows) for j in range(columns)]
            for c, u, v in np.ndindex(3, 2, 2)
        ]
    )
    W = np.array(
        [[w[o, c, u, v] for c, u, v in np.ndindex(3, 2, 2)] for o in range(4)]
    )
    Y = W @ X + np.outer(b, np.ones(rows * columns))
    assert Y.shape == (4, rows * columns)
    assert np.allclose(Y.reshape(4, rows, columns), layer(x, w, b))


# --- fewer multiplications, flips and frequencies ---------------------------


@verifies("eq-convolution-winograd")
def test_two_outputs_of_three_weights_in_four_multiplications():
    d, w = sp.symbols("d0:4"), sp.symbols("w0:3")
    half = sp.Rational(1, 2)
    a1 = (d[0] - d[2]) * w[0]
    a2 = (d[1] + d[2]) * half * (w[0] + w[1] + w[2])
    a3 = (d[2] - d[1]) * half * (w[0] - w[1] + w[2])
    a4 = (d[1] - d[3]) * w[2]
    wanted = [sum(w[u] * d[i + u] for u in range(3)) for i in (0, 1)]
    assert sp.expand(a1 + a2 + a3 - wanted[0]) == 0
    assert sp.expand(a2 - a3 - a4 - wanted[1]) == 0


@verifies("eq-convolution-algebra")
def test_true_convolution_commutes_and_associates():
    z = sp.Symbol("z")
    v, w, x = sp.symbols("v0:2"), sp.symbols("w0:3"), sp.symbols("x0:4")

    def convolve(a, b):  # by the printed sum
        return [
            sum(a[u] * b[i - u] for u in range(len(a)) if 0 <= i - u < len(b))
            for i in range(len(a) + len(b) - 1)
        ]

    def same(a, b):
        return all(sp.expand(p - q) == 0 for p, q in zip(a, b, strict=True))

    assert same(convolve(w, x), convolve(x, w))
    assert same(convolve(v, convolve(w, x)), convolve(convolve(v, w), x))
    # As products of polynomials, which obey both laws.
    polynomial = sp.expand(
        sum(c * z**k for k, c in enumerate(w))
        * sum(c * z**k for k, c in enumerate(x))
    )
    assert same(convolve(w, x), [polynomial.coeff(z, k) for k in range(6)])


def test_two_cross_correlations_are_one_with_the_convolved_kernel():
    v, w, x = (
        rng(15).normal(size=2),
        rng(16).normal(size=3),
        rng(17).normal(size=9),
    )
    two = np.correlate(np.correlate(x, w, "valid"), v, "valid")
    assert np.allclose(two, np.correlate(x, np.convolve(v, w), "valid"))
    assert np.allclose(np.convolve([0.5, 0.5], [0.5, 0.5]), [0.25, 0.5, 0.25])


@verifies("eq-convolution-fourier")
def test_a_convolution_multiplies_frequencies():
    n = 8
    w, x = rng(18).normal(size=n), rng(19).normal(size=n)
    circular = [sum(w[u] * x[(i - u) % n] for u in range(n)) for i in range(n)]
    assert np.allclose(np.fft.fft(circular), np.fft.fft(w) * np.fft.fft(x))


@verifies("eq-convolution-aliasing")
def test_every_second_number_folds_two_frequencies_into_one():
    y = rng(20).normal(size=12)
    hat = np.fft.fft(y)
    assert np.allclose(np.fft.fft(y[::2]), (hat[:6] + hat[6:]) / 2)
    moved = np.fft.fft(np.roll(y, 1))  # the two terms turn in opposite ways
    turn = np.exp(-2j * np.pi * np.arange(6) / 12)
    assert np.allclose(moved[:6], turn * hat[:6]) and np.allclose(
        moved[6:], -turn * hat[6:]
    )


@verifies("eq-convolution-blur")
def test_frequencies_that_a_blur_lets_through():
    n = 10
    w = np.zeros(n)
    w[[-1, 0, 1]] = 0.25, 0.5, 0.25  # its middle at place 0
    f = np.arange(n)
    hat = np.fft.fft(w)
    assert np.allclose(hat, (2 + 2 * np.cos(2 * np.pi * f / n)) / 4)
    assert np.allclose(hat, np.cos(np.pi * f / n) ** 2)
    assert abs(hat[n // 2]) < 1e-15


# --- LeNet-5 and the scale ---------------------------------------------------


@verifies("eq-convolution-lenet")
def test_weights_of_lenet_5():
    layers = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Linear(120, 84),
        nn.Linear(84, 10),
    ]
    assert nn.Sequential(*layers)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    counts = [sum(p.numel() for p in m.parameters()) for m in layers]
    counts = [count for count in counts if count]
    assert counts == [156, 2416, 48120, 10164, 850] and sum(counts) == 61706


def trained(q, start, rate, adam):
    """First kernels of a small network after each of 30 steps, pixels / q."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(20, 1, 6, 6, generator=g, dtype=torch.float64) / q
    y = torch.arange(20) % 3
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).double()
    first, *rest = net.parameters()
    first.data *= start
    groups = [{"params": [first], "lr": 0.05 * rate}, {"params": rest}]
    optimizer = (
        torch.optim.Adam(groups, lr=0.05, eps=1e-30)
        if adam
        else torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    )
    kernels = []
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        kernels.append(first.detach().clone())
    return torch.stack(kernels)


@verifies("eq-convolution-rescaled")
def test_a_scale_is_a_start_and_a_squared_rate():
    q = 255 / 16
    plain, scaled = trained(1, 1, 1, False), trained(q, q, q**2, False)
    assert (plain[-1] - plain[0]).abs().max() > 0.01  # it moves
    assert torch.allclose(scaled, q * plain, rtol=1e-9)
    for wrong in (q, 1, q**3):
        assert not torch.allclose(
            trained(q, q, wrong, False), q * plain, rtol=1e-2
        )


@verifies("eq-convolution-rescaled-adam")
def test_for_adam_the_rate_is_not_squared():
    q = 255 / 16
    plain, scaled = trained(1, 1, 1, True), trained(q, q, q, True)
    assert (plain[-1] - plain[0]).abs().max() > 0.01
    assert torch.allclose(scaled, q * plain, rtol=1e-7)
    assert not torch.allclose(trained(q, q, q**2, True), q * plain, rtol=1e-2)

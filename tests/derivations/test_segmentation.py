"""Each numbered claim of book/segmentation.md, checked: symbolically, by
matrices, or by simulation.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn
from torch.nn import functional as F

from verifies import mean_within, verifies


def doubles(*shape, seed=0):
    return torch.randn(
        *shape,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed + sum(shape)),
    )


def dice(a, b):
    return 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))


# --- a class for each pixel --------------------------------------------------


@verifies("eq-segmentation-fully-convolutional")
def test_a_fully_connected_layer_is_a_convolution_that_fits_once():
    C, h, w = 3, 4, 5
    V, b, x = doubles(C, h, w), doubles(1), doubles(C, 7, 9)
    layer = nn.Linear(C * h * w, 1).double()
    layer.weight.data, layer.bias.data = V.reshape(1, -1), b
    maps = F.conv2d(x[None], V[None], b)[0, 0]
    assert maps.shape == (4, 5)
    for u in range(4):
        for v in range(5):
            assert torch.allclose(
                layer(x[:, u : u + h, v : v + w].reshape(-1)),
                maps[u, v],
                rtol=1e-12,
            )
    u, v = 2, 3  # the formula of the page
    total = b[0] + sum(
        V[c, a, k] * x[c, u + a, v + k]
        for c in range(C)
        for a in range(h)
        for k in range(w)
    )
    assert torch.allclose(total, maps[u, v], rtol=1e-12)


@verifies("eq-segmentation-coarse")
def test_wrong_pixels_of_an_edge_in_a_block():
    u, s = sp.symbols("u s", positive=True)
    mean = (
        sp.integrate(u, (u, 0, s / 2)) + sp.integrate(s - u, (u, s / 2, s))
    ) / s
    assert sp.simplify(mean - s / 4) == 0
    assert sp.simplify(2 / s * sp.integrate(u, (u, 0, s / 2)) - s / 4) == 0


@verifies("eq-segmentation-coarse-dice")
def test_best_blocks_for_a_square():
    rng = np.random.default_rng(0)
    for side, s, draws in ((100, 8, 60), (200, 16, 40), (100, 32, 400)):
        lost = []
        for _ in range(draws):
            size = side + 2 * s
            size += -size % s
            mask = np.zeros((size, size), bool)
            top, left = rng.integers(0, s, 2) + s // 2
            mask[top : top + side, left : left + side] = True
            share = mask.reshape(size // s, s, size // s, s).mean(axis=(1, 3))
            best = np.kron(share > 0.5, np.ones((s, s), bool))
            lost.append(1 - dice(best, mask))
        # Corners, where two edges meet, are not in the estimate: 15% of room.
        assert np.mean(lost) == pytest.approx(s / (2 * side), rel=0.15), (
            side,
            s,
        )
    assert (32 / 200, 8 / 200) == (0.16, 0.04)  # numbers of the prose


@verifies("eq-segmentation-inside-cell")
def test_logits_of_a_coarse_grid_say_where_inside_a_cell_the_edge_runs():
    z, f = sp.symbols("z f", positive=True)
    (solved,) = sp.solve(
        z / (z + sp.Rational(1, 2)) - (f - sp.Rational(1, 2)), z
    )
    assert sp.simplify(solved - (2 * f - 1) / (2 * (3 - 2 * f))) == 0
    s, cells = 64, 8
    row = (np.arange(s * cells) + 0.5) / s  # centers of pixels, in cells
    wrong = {"inside": [], "block": []}
    for share in np.linspace(
        0.02, 0.98, 49
    ):  # foreground: the first three cells and a share of the fourth
        half = max(share, 1 - share)
        value = (2 * half - 1) / (2 * (3 - 2 * half))
        logits = torch.tensor(
            [0.5] * 3 + [value if share >= 0.5 else -value] + [-0.5] * 4
        )[None, None]
        fine = F.interpolate(
            logits.double(), s * cells, mode="linear", align_corners=False
        )[0, 0].numpy()
        block = F.interpolate(logits.double(), s * cells, mode="nearest")[
            0, 0
        ].numpy()
        for name, decided in (("inside", fine > 0), ("block", block > 0)):
            wrong[name].append(np.sum(decided != (row < 3 + share)))
    assert max(wrong["inside"]) <= 1
    assert np.mean(wrong["block"]) == pytest.approx(s / 4, rel=0.05)


# --- receptive fields --------------------------------------------------------


def field_of(layers):
    """The recursion of the page: widths of the receptive field and jumps after
    each layer.
    """
    r, j, out = 1, 1, []
    for kernel, stride in layers:
        r, j = r + (kernel - 1) * j, stride * j
        out.append((r, j))
    return out


def seen(model, size, output):
    """First and last input pixel with a gradient at one output pixel of a one-
    dimensional model.
    """
    x = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = model(x)
    (gradient,) = torch.autograd.grad(y[0, 0, output], x)
    (touched,) = torch.nonzero(gradient[0, 0], as_tuple=True)
    return int(touched[0]), int(touched[-1])


def positive_conv(kernel, stride=1, padding=0):
    layer = nn.Conv1d(
        1, 1, kernel, stride=stride, padding=padding, bias=False
    ).double()
    nn.init.constant_(layer.weight, 1 / kernel)
    return layer


class Line(nn.Module):
    """A U-Net on a line: averages for convolutions and poolings, copies and
    sums for the way up.
    """

    def __init__(self):
        super().__init__()
        self.pair = nn.Sequential(
            positive_conv(3, padding=1), positive_conv(3, padding=1)
        )

    def forward(self, x):
        skips = []
        for _ in range(4):
            x = self.pair(x)
            skips.append(x)
            x = F.avg_pool1d(x, 2)
        x = self.pair(x)
        for skip in reversed(skips):
            x = self.pair(
                skip + F.interpolate(x, scale_factor=2)
            )  # a 2-kernel of stride 2 copies, too
        return x


def test_receptive_field_by_recursion_and_by_gradient():
    encoder = [(3, 1), (3, 1)] + 4 * [(2, 2), (3, 1), (3, 1)]
    for layers in (
        [(3, 1)] * 10,
        [(5, 2), (3, 3), (4, 1), (2, 2), (3, 1)],
        encoder,
    ):
        # An average in the place of the maximum has the same receptive field,
        # and a gradient everywhere in it.
        model = nn.Sequential(
            *(positive_conv(kernel, stride) for kernel, stride in layers)
        )
        r, j = field_of(layers)[-1]
        first, last = seen(model, r + 5 * j, 0)
        assert last - first + 1 == r
        assert seen(model, r + 5 * j, 1)[0] - first == j
    assert field_of([(3, 1)] * 10)[-1] == (21, 1)
    levels = [field_of(encoder)[k] for k in (1, 4, 7, 10, 13)]
    assert levels == [(5, 1), (14, 2), (32, 4), (68, 8), (140, 16)]
    # The way up adds a little, by the place of the pixel in the grid of the
    # pooling (numbers of the prose).
    ends = [(i, *seen(Line(), 1024, i)) for i in range(512, 528)]
    assert {last - first + 1 for _, first, last in ends} == {188, 204}
    assert max(max(i - first, last - i) for i, first, last in ends) == 107
    # Tiles of 256 begin at multiples of 16: the largest step that loses no
    # pixel, and how often each is computed.
    kept = 256 - 2 * 107
    step = max(step for step in range(16, 257, 16) if step <= kept)
    assert (kept, step) == (42, 32)
    times = np.zeros(2048, int)
    for first in range(0, 2048, step):
        times[first : first + 256] += 1
    assert set(times[256:] ** 2) == {64}


# --- a sparse matrix and its transpose ---------------------------------------

CASES = [
    (n, K, S, P)
    for n in (7, 8, 9, 12)
    for K in (1, 2, 3, 4, 5)
    for S in (1, 2, 3)
    for P in (0, 1, 2)
]


def matrix(w, n, S, P):
    """C of the page."""
    K = len(w)
    m = (n + 2 * P - K) // S + 1
    C = torch.zeros(m, n, dtype=w.dtype)
    for o in range(m):
        for i in range(n):
            if 0 <= i + P - S * o < K:
                C[o, i] = w[i + P - S * o]
    return C


def kernel(K, seed=0):
    return doubles(K, seed=seed)


def test_output_size():
    for n, K, S, P in CASES:
        y = F.conv1d(
            torch.zeros(1, 1, n), torch.zeros(1, 1, K), stride=S, padding=P
        )
        assert y.shape[-1] == (n + 2 * P - K) // S + 1
        m = y.shape[-1]  # the largest number of windows that fit
        assert S * (m - 1) + K <= n + 2 * P < S * m + K


def test_convolution_is_a_sparse_matrix():
    for n, K, S, P in CASES:
        w, x = kernel(K), doubles(n)
        expected = F.conv1d(x[None, None], w[None, None], stride=S, padding=P)[
            0, 0
        ]
        assert torch.allclose(matrix(w, n, S, P) @ x, expected, atol=1e-12)


@verifies("eq-segmentation-transposed")
def test_transposed_convolution_stamps_the_kernel():
    for n, K, S, P in CASES:
        w, C = kernel(K), matrix(kernel(K), n, S, P)
        m = len(C)
        y, a = doubles(m, seed=3), (n + 2 * P - K) % S
        library = F.conv_transpose1d(
            y[None, None], w[None, None], stride=S, padding=P, output_padding=a
        )[0, 0]
        formula = torch.stack(
            [
                sum(
                    (
                        w[i + P - S * o] * y[o]
                        for o in range(m)
                        if 0 <= i + P - S * o < K
                    ),
                    y[0] * 0,
                )
                for i in range(n)
            ]
        )
        assert torch.allclose(C.T @ y, formula, atol=1e-12)
        assert torch.allclose(library, formula, atol=1e-12)


@verifies("eq-segmentation-adjoint")
def test_adjoint_identity():
    # The library's two layers, with channels, in two dimensions; no matrix in
    # between.
    for S, P in ((1, 0), (2, 1), (3, 2)):
        w = doubles(5, 2, 3, 4)
        x = doubles(1, 2, 11, 12)
        Cx = F.conv2d(x, w, stride=S, padding=P)
        y = doubles(*Cx.shape, seed=7)
        pads = [(size + 2 * P - k) % S for size, k in ((11, 3), (12, 4))]
        back = F.conv_transpose2d(
            y, w, stride=S, padding=P, output_padding=pads
        )
        assert back.shape == x.shape
        assert torch.allclose((Cx * y).sum(), (x * back).sum(), rtol=1e-12)
        shifted = torch.roll(back, 1, dims=-1)
        assert not torch.allclose(
            (Cx * y).sum(), (x * shifted).sum(), rtol=1e-3
        )
    # Not an inverse.
    C = matrix(kernel(3), 9, 2, 0)
    assert torch.linalg.matrix_rank(C.T @ C) == 4


@verifies("eq-segmentation-backward")
def test_backward_pass_of_a_convolution_is_the_transposed_one():
    for n, K, S, P in CASES[::7]:
        x, w = doubles(n).requires_grad_(), kernel(K)
        y = F.conv1d(x[None, None], w[None, None], stride=S, padding=P)[0, 0]
        loss = (y**3).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        assert torch.allclose(
            gradient, matrix(w, n, S, P).T @ (3 * y.detach() ** 2), atol=1e-12
        )


@verifies("eq-segmentation-transposed-size")
def test_sizes_of_the_transposed_convolution():
    for S in (1, 2, 3):
        for K in (1, 2, 3, 4, 5):
            for P in (0, 1, 2):
                for m in (3, 6):
                    sizes = [
                        n
                        for n in range(1, 60)
                        if n + 2 * P >= K and (n + 2 * P - K) // S + 1 == m
                    ]
                    claimed = [S * (m - 1) + K - 2 * P + a for a in range(S)]
                    assert sizes == [n for n in claimed if n >= 1]
                    if claimed[0] < 1:
                        continue
                    y, w = torch.zeros(1, 1, m), torch.zeros(1, 1, K)
                    for a, n in enumerate(claimed):
                        assert (
                            F.conv_transpose1d(
                                y, w, stride=S, padding=P, output_padding=a
                            ).shape[-1]
                            == n
                        )
    for K, P, a in (
        (2, 0, 0),
        (4, 1, 0),
        (3, 1, 1),
    ):  # the three ways to double
        assert 2 * (10 - 1) + K - 2 * P + a == 20


@verifies("eq-segmentation-zeros")
def test_transposed_convolution_by_zeros_in_between():
    for n, K, S, P in CASES:
        w = kernel(K)
        C1, C = matrix(w, n, 1, P), matrix(w, n, S, P)
        Q = torch.zeros(len(C), len(C1), dtype=w.dtype)
        Q[torch.arange(len(C)), S * torch.arange(len(C))] = 1
        assert torch.equal(Q @ C1, C)
        y = doubles(len(C))
        spread = torch.zeros(len(C1), dtype=w.dtype)
        spread[: S * (len(C) - 1) + 1 : S] = y
        assert torch.equal(Q.T @ y, spread)
        assert torch.allclose(C.T @ y, C1.T @ spread, atol=1e-12)
        if K > P:  # an ordinary convolution with the kernel reversed
            full = F.conv1d(
                spread[None, None], w.flip(0)[None, None], padding=K - 1
            )[0, 0]
            assert torch.allclose(C1.T @ spread, full[P : P + n], atol=1e-12)


# --- the checkerboard --------------------------------------------------------

GRIDS = [(K, S) for K in range(1, 8) for S in range(1, 5) if K >= S]


@verifies("eq-segmentation-phases")
def test_a_constant_input_shows_the_phases():
    for K, S in GRIDS:
        for P in (0, 1):
            w = kernel(K)
            out = F.conv_transpose1d(
                torch.ones(1, 1, 12).double(),
                w[None, None],
                stride=S,
                padding=P,
            )[0, 0]
            for i in range(K, len(out) - K):
                claimed = sum(w[k] for k in range(K) if (k - i - P) % S == 0)
                assert torch.allclose(out[i], claimed, atol=1e-12)


@verifies("eq-segmentation-overlap")
def test_overlap_counts():
    for K, S in GRIDS:
        out = F.conv_transpose1d(
            torch.ones(1, 1, 12), torch.ones(1, 1, K), stride=S
        )[0, 0]
        for i in range(K, len(out) - K):
            assert out[i] == K // S + (i % S < K % S)
        interior = out[K : len(out) - K]
        assert (interior.max() == interior.min()) == (K % S == 0)
    plane = F.conv_transpose2d(
        torch.ones(1, 1, 9, 9), torch.ones(1, 1, 3, 3), stride=2
    )[0, 0, 8:10, 8:10]
    assert sorted(plane.flatten().tolist()) == [1, 2, 2, 4]
    plane = F.conv_transpose2d(
        torch.ones(1, 1, 9, 9), torch.ones(1, 1, 5, 5), stride=2
    )[0, 0, 8:10, 8:10]
    assert plane.max() / plane.min() == 9 / 4  # the exercise


@verifies("eq-segmentation-overlap-variance")
def test_power_of_the_phases():
    rng = np.random.default_rng(1)
    for K, S in ((3, 2), (4, 2), (5, 3)):
        w = 0.7 * rng.normal(size=(40_000, K))
        for q in range(S):
            mean_within(
                w[:, q::S].sum(axis=1) ** 2, (K // S + (q < K % S)) * 0.49
            )
    w = rng.normal(size=(40_000, 3, 3))  # in the plane: four to one
    assert np.var(w[:, ::2, ::2].sum(axis=(1, 2))) / np.var(
        w[:, 1, 1]
    ) == pytest.approx(4, rel=0.05)
    # Equal counts do not make equal phases.
    four = rng.normal(size=(1000, 4))
    assert (
        np.abs(four[:, ::2].sum(axis=1) - four[:, 1::2].sum(axis=1)).mean() > 1
    )


@verifies("eq-segmentation-resize")
def test_resize_and_convolve_keeps_a_constant():
    for K, S in GRIDS:
        w = kernel(K)
        U = torch.ones(1, 1, 12).double().repeat_interleave(S, dim=-1)
        out = F.conv1d(U, w[None, None], padding=K // 2)[0, 0, K:-K]
        assert torch.allclose(out, w.sum().expand_as(out), atol=1e-12)


@verifies("eq-segmentation-tied")
def test_resize_and_convolve_is_a_transposed_convolution_with_tied_phases():
    for K, S in GRIDS:
        w, y = kernel(K), doubles(9)
        reverse = w.flip(0)
        h = torch.zeros(K + S - 1, dtype=w.dtype)
        for t in range(K + S - 1):
            h[t] = sum(
                (reverse[t - s] for s in range(S) if 0 <= t - s < K), w[0] * 0
            )
        for q in range(S):
            assert torch.allclose(h[q::S].sum(), w.sum(), atol=1e-12)
        stamped = F.conv_transpose1d(y[None, None], h[None, None], stride=S)[
            0, 0
        ]
        resized = F.conv1d(
            y.repeat_interleave(S)[None, None], w[None, None], padding=K - 1
        )[0, 0]
        assert torch.allclose(stamped, resized, atol=1e-12)


# --- residual blocks, parameters ---------------------------------------------


@verifies("eq-segmentation-residual")
def test_gradient_of_a_residual_stack_is_a_sum():
    d, blocks = 4, 5
    layers = [nn.Linear(d, d).double() for _ in range(blocks)]
    x, states = doubles(d).requires_grad_(), []
    state = x
    for layer in layers:
        states.append(state)
        state = state + torch.tanh(layer(state))
    loss = (state**2).sum()
    gradients = torch.autograd.grad(loss, [*states, state])  # of x_0, …, x_L
    for k in range(blocks):
        total = gradients[-1].clone()
        for later in range(k, blocks):
            J = torch.autograd.functional.jacobian(
                lambda v, later=later: torch.tanh(layers[later](v)),
                states[later].detach(),
            )
            total += J.T @ gradients[later + 1]
        assert torch.allclose(total, gradients[k], rtol=1e-10)


@verifies("eq-segmentation-residual-power")
def test_power_of_gradients_in_deep_stacks():
    rng = np.random.default_rng(2)
    d, rho, blocks, draws = 8, 0.5, 4, 40_000
    g = np.zeros((draws, d))
    g[:, 0] = 1
    plain, residual = g.copy(), g.copy()
    for _ in range(blocks):
        J = rho / math.sqrt(d) * rng.normal(size=(draws, d, d))
        plain = np.einsum("nij,ni->nj", J, plain)
        residual = residual + np.einsum("nij,ni->nj", J, residual)
    mean_within((plain**2).sum(axis=1), rho ** (2 * blocks))
    mean_within((residual**2).sum(axis=1), (1 + rho**2) ** blocks)
    assert pytest.approx(2e-10, rel=0.2) == 0.5**32
    assert pytest.approx(36, abs=0.5) == 1.25**16


def count(*layers):
    return sum(p.numel() for layer in layers for p in layer.parameters())


def conv_norm(c, out, kernel=3):
    return [nn.Conv2d(c, out, kernel, bias=False), nn.BatchNorm2d(out)]


@verifies("eq-segmentation-unet-parameters")
def test_parameters_of_unet():
    def pair(c, out):
        return count(*conv_norm(c, out), *conv_norm(out, out))

    assert pair(5, 7) == 9 * 5 * 7 + 9 * 7 * 7 + 4 * 7
    for w in (2, 8, 64):
        down = sum(pair(w * 2 ** (k - 1), w * 2**k) for k in range(1, 5))
        up = 0
        for k in range(4):
            c = w * 2**k
            up += count(nn.ConvTranspose2d(2 * c, c, 2, stride=2)) + pair(
                2 * c, c
            )
        parts = [pair(3, w), down, up, count(nn.Conv2d(w, 1, 1))]
        assert parts == [
            9 * w**2 + 31 * w,
            4590 * w**2 + 120 * w,
            2975 * w**2 + 75 * w,
            w + 1,
        ]
        assert sum(parts) == 7574 * w**2 + 227 * w + 1
    assert 7574 * 64**2 + 227 * 64 + 1 == 31_037_633
    low = 27 / 2 * (4**3 + 4**4) + 35 * 4**3  # of w²: two levels down, one up
    assert low / 7574 == pytest.approx(0.87, abs=0.005)


@verifies("eq-segmentation-resnet-parameters")
def test_parameters_of_the_resnet34_encoder():
    for w in (4, 64):
        stages, total, c = [], count(*conv_norm(3, w, 7)), w
        assert total == 149 * w
        for stage, blocks in enumerate((3, 4, 6, 3)):
            out, size = w * 2**stage, 0
            for block in range(blocks):
                size += count(*conv_norm(c, out), *conv_norm(out, out))
                if block == 0 and c != out:
                    size += count(*conv_norm(c, out, 1))
                c = out
            stages.append(size)
        claimed = [(54, 12), (272, 36), (1664, 104), (3200, 112)]
        assert stages == [a * w**2 + b * w for a, b in claimed]
        assert total + sum(stages) == 5190 * w**2 + 413 * w
    assert 5190 * 64**2 + 413 * 64 == 21_284_672
    import torchvision

    library = torchvision.models.resnet34(weights=None)
    library.fc = nn.Identity()
    assert count(library) == 21_284_672


@verifies("eq-segmentation-decoder-parameters")
def test_parameters_of_the_decoder_of_resnet34_unet():
    for w, b, d in ((8, 16, 8), (64, 256, 32)):
        bridge = count(*conv_norm(8 * w, b))
        convolutions = gates = norms = 0
        for c in (b + 8 * w, d + 4 * w, d + 2 * w, d + w, d):
            convolutions += count(nn.Conv2d(c, d, 3, bias=False))
            norms += count(nn.BatchNorm2d(d))
            gates += count(
                nn.Linear(d, d // 8),
                nn.Linear(d // 8, d),
                nn.Conv2d(2, 1, 7, bias=False),
            )
        head = count(nn.Conv2d(d, 1, 1))
        kappa = d**2 // 4 + 9 * d // 8 + 98
        assert (bridge, convolutions) == (
            72 * w * b + 2 * b,
            9 * d * (b + 15 * w + 4 * d),
        )
        assert (norms + gates, head) == (5 * (2 * d + kappa), d + 1)
        total = bridge + convolutions + norms + gates + head
    assert total == 1_569_535
    assert total + 21_284_672 == 22_854_207
    assert total / 22_854_207 == pytest.approx(0.07, abs=0.005)
    assert (
        pytest.approx(0.39, abs=0.005) == (2975 * 64**2 + 75 * 64) / 31_037_633
    )


# --- scores ------------------------------------------------------------------


def random_masks(rng, pictures=40, pixels=60):
    target = rng.uniform(size=(pictures, pixels)) < rng.uniform(
        0.1, 0.9, (pictures, 1)
    )
    wrong = rng.uniform(size=(pictures, pixels)) < rng.uniform(
        0, 0.6, (pictures, 1)
    )
    target[:, 0] = True
    return target ^ wrong, target


@verifies("eq-segmentation-dice-iou")
def test_dice_and_iou():
    for a, b in zip(*random_masks(np.random.default_rng(3)), strict=True):
        D = Fraction(2 * int(np.sum(a & b)), int(np.sum(a) + np.sum(b)))
        J = Fraction(int(np.sum(a & b)), int(np.sum(a | b)))
        assert 2 * J / (1 + J) == D
        assert D / (2 - D) == J
        if D:  # the harmonic mean of precision and recall, as the prose says
            precision, recall = (
                Fraction(int(np.sum(a & b)), int(np.sum(part)))
                for part in (a, b)
            )
            assert 2 / (1 / precision + 1 / recall) == D


@verifies("eq-segmentation-jensen")
def test_mean_dice_is_below_the_dice_of_the_mean_iou():
    J = sp.Symbol("J", positive=True)
    f = 2 * J / (1 + J)
    assert sp.simplify(sp.diff(f, J, 2) + 4 / (1 + J) ** 3) == 0
    rng = np.random.default_rng(4)
    for _ in range(200):
        iou = rng.uniform(size=5)
        assert (
            np.mean(2 * iou / (1 + iou))
            <= 2 * iou.mean() / (1 + iou.mean()) + 1e-12
        )
    # Two networks, ranked differently.
    first, second = np.array([0.0, 0.99]), np.array([0.48, 0.48])
    assert first.mean() > second.mean()
    assert np.mean(2 * first / (1 + first)) < np.mean(
        2 * second / (1 + second)
    )


@verifies("eq-segmentation-accuracy-dice")
def test_what_accuracy_hides():
    for a, b in zip(*random_masks(np.random.default_rng(5)), strict=True):
        n = len(a)
        accuracy = Fraction(int(np.sum(a == b)), n)
        shares = Fraction(int(np.sum(a)), n) + Fraction(int(np.sum(b)), n)
        D = Fraction(2 * int(np.sum(a & b)), int(np.sum(a) + np.sum(b)))
        assert (1 - accuracy) / shares == 1 - D
        assert (
            Fraction(int(np.sum(a ^ b)), int(np.sum(a) + np.sum(b))) == 1 - D
        )
    rows = (
        (0.07, 0.22, 0.22, 0.84),
        (0.07, 0.1, 0.1, 0.65),
        (0.07, 0.05, 0.05, 0.3),
        (0.05, 0.05, 0, 0),
    )
    for wrong, true, found, score in rows:
        assert 1 - wrong / (true + found) == pytest.approx(score, abs=0.005)


@verifies("eq-segmentation-pooled")
def test_pooled_dice_is_a_weighted_mean():
    a, b = random_masks(np.random.default_rng(6))
    sizes = a.sum(axis=1) + b.sum(axis=1)
    scores = 2 * (a & b).sum(axis=1) / sizes
    assert dice(a, b) == pytest.approx(
        np.sum(sizes * scores) / np.sum(sizes), rel=1e-12
    )
    assert abs(dice(a, b) - scores.mean()) > 0.005


@verifies("eq-segmentation-batches")
def test_mean_of_batch_means():
    rng = np.random.default_rng(7)
    for sizes in ((8, 8, 8, 3), (5, 2, 9)):
        batches = [rng.uniform(size=size) for size in sizes]
        means = np.array([batch.mean() for batch in batches])
        right = np.concatenate(batches).mean()
        covariance = (
            np.mean(np.array(sizes) * means) - np.mean(sizes) * means.mean()
        )
        assert right - means.mean() == pytest.approx(
            covariance / np.mean(sizes), abs=1e-12
        )
        assert abs(right - means.mean()) > 1e-4
        equal = [rng.uniform(size=4) for _ in sizes]
        assert np.mean([batch.mean() for batch in equal]) == pytest.approx(
            np.concatenate(equal).mean()
        )
        assert sum(batch.mean() for batch in equal) / (
            4 * len(equal)
        ) == pytest.approx(np.concatenate(equal).mean() / 4)


@verifies("eq-segmentation-best-set")
def test_the_best_set_and_all_others():
    rng = np.random.default_rng(3)
    sets = (np.arange(1, 2**10)[:, None] >> np.arange(10)) & 1
    for power in (1, 3):
        p = rng.uniform(size=10) ** power
        dice = 2 * sets @ p / (sets.sum(axis=1) + p.sum())
        left, right = sets @ (2 * p - dice.max()), dice.max() * p.sum()
        assert np.all(left <= right + 1e-12)
        best = dice.argmax()
        assert left[best] == pytest.approx(right, rel=1e-12)
        others = np.delete(left, best)  # equality nowhere else
        assert others.max() < right * (1 - 1e-6)


@verifies("eq-segmentation-threshold")
def test_best_threshold_is_half_of_the_best_dice():
    # All sets of twelve pixels, exactly.
    rng = np.random.default_rng(8)
    sets = (np.arange(1, 2**12)[:, None] >> np.arange(12)) & 1
    for power in (1, 2, 4):
        p = rng.uniform(size=12) ** power
        scores = 2 * sets @ p / (sets.sum(axis=1) + p.sum())
        best = scores.argmax()
        assert np.array_equal(sets[best] == 1, p > scores[best] / 2)
        assert scores[best] / 2 <= 0.5
    # The experiment: p = u⁴. Its Dice at threshold t is 2 ∫p / (share above t
    # + mean of p).
    t = np.linspace(0.001, 0.999, 999)
    u = t**0.25
    curve = 2 * (1 - u**5) / 5 / (1 - u + 1 / 5)
    assert t[curve.argmax()] == pytest.approx(curve.max() / 2, abs=0.001)
    assert curve.max() == pytest.approx(0.68, abs=0.005)
    assert t[curve.argmax()] == pytest.approx(0.34, abs=0.005)
    assert curve[499] == pytest.approx(0.65, abs=0.005)


# --- losses ------------------------------------------------------------------


def soft_dice_loss(p, y, eps):
    return 1 - (2 * (p * y).sum() + eps) / (p.sum() + y.sum() + eps)


@verifies("eq-segmentation-dice-gradient")
def test_gradient_of_soft_dice():
    y = (doubles(9) > 0.3).double()
    for eps in (0.0, 1.0, 0.3):
        p = torch.sigmoid(doubles(9, seed=1)).requires_grad_()
        loss = soft_dice_loss(p, y, eps)
        (gradient,) = torch.autograd.grad(loss, p)
        D, U = 1 - loss.detach(), p.detach().sum() + y.sum() + eps
        assert torch.allclose(gradient, (D - 2 * y) / U, rtol=1e-12)
        ratio = gradient[y == 1][0] / gradient[y == 0][0]
        assert torch.allclose(-ratio, (2 - D) / D, rtol=1e-12)
    for n, k in (
        (1000, 10),
        (1000, 1),
        (50, 10),
    ):  # a network that says the share of foreground everywhere
        y, share = torch.zeros(n, dtype=torch.float64), k / n
        y[:k] = 1
        p = torch.full_like(y, share).requires_grad_()
        loss = soft_dice_loss(p, y, 0.0)
        (gradient,) = torch.autograd.grad(loss, p)
        assert 1 - float(loss.detach()) == pytest.approx(share, rel=1e-12)
        assert float(-gradient[0] / gradient[-1]) == pytest.approx(
            2 / share - 1, rel=1e-12
        )
        together = float(-gradient[:k].sum() / gradient[k:].sum())
        assert together == pytest.approx((2 - share) / (1 - share), rel=1e-12)
        assert share > 0.01 or together == pytest.approx(2, abs=0.02)


@verifies("eq-segmentation-plateau")
def test_which_way_a_constant_prediction_is_pushed():
    p, q = sp.symbols("p pi", positive=True)
    bce = -q * sp.log(p) - (1 - q) * sp.log(1 - p)
    soft = 1 - 2 * p * q / (p + q)
    assert sp.simplify(sp.diff(bce, p) - (p - q) / (p * (1 - p))) == 0
    assert sp.simplify(sp.diff(soft, p) + 2 * q**2 / (p + q) ** 2) == 0
    y = torch.zeros(50, dtype=torch.float64)
    y[:4] = 1  # the page's soft Dice of a constant, with share 4/50
    assert float(
        soft_dice_loss(torch.full_like(y, 0.3), y, 0.0)
    ) == pytest.approx(1 - 2 * 0.3 * 0.08 / 0.38, rel=1e-12)


@verifies("eq-segmentation-imbalance")
def test_what_is_left_to_gain_on_the_plateau():
    for n, k in ((100, 1), (50, 10)):
        y = torch.zeros(n, dtype=torch.float64)
        y[:k] = 1
        share = k / n
        p = torch.full_like(y, share)
        entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
        assert float(F.binary_cross_entropy(p, y)) == pytest.approx(
            entropy, rel=1e-12
        )
        assert float(soft_dice_loss(p, y, 0.0)) == pytest.approx(
            1 - share, rel=1e-12
        )
    for share, gain in (
        (0.01, 0.056),
        (0.2, 0.50),
        (0.5, 0.69),
    ):  # numbers of the prose
        entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
        assert entropy == pytest.approx(
            gain, abs=0.004 if share > 0.1 else 5e-4
        )


@verifies("eq-segmentation-logit-gradients")
def test_gradients_in_the_logits():
    z, y = doubles(9).requires_grad_(), (doubles(9, seed=2) > 0).double()
    p = torch.sigmoid(z.detach())
    (gradient,) = torch.autograd.grad(
        F.binary_cross_entropy_with_logits(z, y), z
    )
    assert torch.allclose(gradient, (p - y) / 9, rtol=1e-12)
    loss = soft_dice_loss(torch.sigmoid(z), y, 1.0)
    (gradient,) = torch.autograd.grad(loss, z)
    U, D = p.sum() + y.sum() + 1, 1 - loss.detach()
    assert torch.allclose(gradient, p * (1 - p) * (D - 2 * y) / U, rtol=1e-12)
    confident = 1 / (1 + math.exp(10))
    assert confident * (1 - confident) == pytest.approx(5e-5, rel=0.1)


@verifies("eq-segmentation-empty")
def test_an_empty_picture_teaches_only_with_epsilon():
    y = torch.zeros(9, dtype=torch.float64)
    p = torch.sigmoid(doubles(9)).requires_grad_()
    for eps in (0.0, 1.0, 5.0):
        (gradient,) = torch.autograd.grad(soft_dice_loss(p, y, eps), p)
        claimed = eps / (p.detach().sum() + eps) ** 2
        assert torch.allclose(gradient, claimed.expand(9), rtol=1e-12, atol=0)
    assert soft_dice_loss(y, y, 1.0) == 0  # both empty: no loss


# --- elastic deformation -----------------------------------------------------


@verifies("eq-segmentation-determinant")
def test_determinant_of_a_deformation():
    x1, x2 = sp.symbols("x1 x2")
    u1, u2 = sp.Function("u1")(x1, x2), sp.Function("u2")(x1, x2)
    jacobian = sp.Matrix([x1 + u1, x2 + u2]).jacobian([x1, x2])
    claimed = (
        1
        + u1.diff(x1)
        + u2.diff(x2)
        + u1.diff(x1) * u2.diff(x2)
        - u1.diff(x2) * u2.diff(x1)
    )
    assert sp.expand(jacobian.det() - claimed) == 0


@verifies("eq-segmentation-change-of-variables")
def test_area_of_a_deformed_mask():
    # On the unit square, with a displacement that vanishes at the border, so
    # that φ(Ω) = Ω. The mask is a disk.
    n = 1500
    x1, x2 = np.meshgrid(
        (np.arange(n) + 0.5) / n, (np.arange(n) + 0.5) / n, indexing="ij"
    )
    a, b, pi = 0.06, 0.12, np.pi
    u1, u2 = (
        a * np.sin(pi * x1) * np.sin(2 * pi * x2),
        b * np.sin(pi * x1) * np.sin(pi * x2),
    )
    d11, d12 = (
        a * pi * np.cos(pi * x1) * np.sin(2 * pi * x2),
        2 * a * pi * np.sin(pi * x1) * np.cos(2 * pi * x2),
    )
    d21, d22 = (
        b * pi * np.cos(pi * x1) * np.sin(pi * x2),
        b * pi * np.sin(pi * x1) * np.cos(pi * x2),
    )
    det = 1 + d11 + d22 + d11 * d22 - d12 * d21
    assert det.min() > 0.2
    new = (x1 + u1 - 0.4) ** 2 + (x2 + u2 - 0.25) ** 2 < 0.2**2
    assert np.mean(new * det) == pytest.approx(np.pi * 0.2**2, rel=2e-3)
    assert (
        abs(np.mean(new) / (np.pi * 0.2**2) - 1) > 0.05
    )  # without the determinant it does not hold


@verifies("eq-segmentation-no-fold")
def test_small_slopes_do_not_fold():
    rng = np.random.default_rng(9)

    def u(
        x,
    ):  # Lipschitz constant at most 0.6 + 0.3, reached around the origin
        return -0.6 * x - 0.1 * np.sin(3 * x)

    x, other = 0.2 * rng.normal(size=(2, 20_000, 2))
    before = np.linalg.norm(x - other, axis=1)
    after = np.linalg.norm(x + u(x) - other - u(other), axis=1)
    assert np.all(after >= (1 - 0.9) * before - 1e-12)
    assert (after / before).min() < 0.12  # the bound is not idle
    t = np.linspace(0, 1, 1001)[:, None] * np.array([[1.0, 0]])
    assert np.any(
        np.diff((t + 0.3 * np.sin(9 * t))[:, 0]) < 0
    )  # slope up to 2.7: it folds


def random_fields(sigma, draws, generator):
    """Displacements (draws, 2, 33, 33) of the page: a 3 × 3 grid, interpolated
    bicubically.
    """
    grids = sigma * torch.randn(
        draws, 2, 3, 3, generator=generator, dtype=torch.float64
    )
    return F.interpolate(grids, (33, 33), mode="bicubic", align_corners=True)


def steepness(size, sigma, draws, generator):
    """Largest slope of each random field, and the smallest determinant of the
    deformation.
    """
    u = random_fields(sigma, draws, generator)
    (d11, d21), (d12, d22) = (
        part.unbind(1)
        for part in torch.gradient(u, spacing=size / 32, dim=(2, 3))
    )
    slopes = torch.stack([d11, d12, d21, d22], dim=-1).unflatten(-1, (2, 2))
    determinant = (1 + d11) * (1 + d22) - d12 * d21
    return torch.linalg.matrix_norm(slopes, 2).amax(
        dim=(1, 2)
    ), determinant.amin(dim=(1, 2))


@pytest.mark.slow
@verifies("eq-segmentation-slope")
def test_slope_of_a_random_displacement():
    rng = np.random.default_rng(10)
    grid = 10 * rng.normal(size=(100_000, 2))
    mean_within(((grid[:, 1] - grid[:, 0]) / 128) ** 2, 2 * 10**2 / 128**2)
    assert math.sqrt(2) * 10 / 128 == pytest.approx(0.11, abs=0.005)
    assert math.sqrt(2) * 10 / 32 == pytest.approx(0.44, abs=0.005)
    generator = torch.Generator().manual_seed(0)
    steepest, smallest = steepness(
        256, 10, 1000, generator
    )  # as the prose says
    assert smallest.min() > 0
    assert steepest.mean() == pytest.approx(0.33, abs=0.015)
    assert 0.5 < steepest.max() < 0.75
    _, smallest = steepness(64, 10, 6000, generator)
    assert (smallest <= 0).double().mean() == pytest.approx(0.44, abs=0.02)


@verifies("eq-segmentation-separate")
def test_two_draws_disagree():
    rng = np.random.default_rng(11)
    u = 10 * rng.normal(size=(2, 200_000))
    mean_within(np.abs(u[0] - u[1]), 2 * 10 / math.sqrt(math.pi))
    assert 20 / math.sqrt(math.pi) == pytest.approx(11, abs=0.5)
    u = random_fields(
        10, 4000, torch.Generator().manual_seed(1)
    )  # over the whole picture: three quarters
    apart = (u[:2000] - u[2000:]).abs().mean()
    assert float(apart) / (20 / math.sqrt(math.pi)) == pytest.approx(
        0.76, abs=0.02
    )


@verifies("eq-segmentation-overshoot")
def test_bicubic_interpolation_leaves_the_range():
    def cubic(t, a):  # the kernel with parameter a, at distance t
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0

    for a in (Fraction(-3, 4), Fraction(-1, 2)):
        weights = [cubic(Fraction(t, 2), a) for t in (-3, -1, 1, 3)]
        assert weights == [
            a / 8,
            Fraction(1, 2) - a / 8,
            Fraction(1, 2) - a / 8,
            a / 8,
        ]
        assert sum(weights[1:]) == 1 - a / 8 > 1
    edge = torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]).double().expand(1, 1, 8, 8)
    # An odd factor would hit no midpoint; with align_corners, 8 to 15 pixels
    # halves the steps.
    fine = F.interpolate(edge, (15, 15), mode="bicubic", align_corners=True)[
        0, 0, 7
    ]
    assert float(fine[9]) == pytest.approx(1 + 0.75 / 8, rel=1e-12)
    assert float(fine[5]) == pytest.approx(-0.75 / 8, rel=1e-12)
    trimap = torch.tensor([1.0, 1, 1, 3, 3, 3]).expand(1, 1, 6, 6)
    assert 2.0 in F.interpolate(
        trimap, (11, 11), mode="bilinear", align_corners=True
    )
    nearest = F.interpolate(trimap, (11, 11), mode="nearest-exact")
    assert set(nearest.unique().tolist()) == {1.0, 3.0}


@verifies("eq-segmentation-align")
def test_two_conventions_of_resizing():
    i, n, m = sp.symbols("i n m", positive=True)
    difference = (
        (i + sp.Rational(1, 2)) * n / m
        - sp.Rational(1, 2)
        - i * (n - 1) / (m - 1)
    )
    claimed = (n / m - 1) / 2 * (1 - 2 * i / (m - 1))
    assert sp.simplify(difference - claimed) == 0
    # The library: a ramp shows from which place each output was read.
    for size, new in ((8, 20), (32, 256), (9, 5)):
        ramp = torch.arange(size).double()[None, None]
        places = torch.arange(new).double()
        true = F.interpolate(ramp, new, mode="linear", align_corners=True)[
            0, 0
        ]
        assert torch.allclose(true, places * (size - 1) / (new - 1), atol=1e-9)
        false = F.interpolate(ramp, new, mode="linear", align_corners=False)[
            0, 0
        ]
        expected = ((places + 0.5) * size / new - 0.5).clamp(
            0, size - 1
        )  # it clamps at the border
        assert torch.allclose(false, expected, atol=1e-9)
        nearest = F.interpolate(ramp, new, mode="nearest")[0, 0]
        assert torch.equal(nearest, torch.floor(places * size / new))
        exact = F.interpolate(ramp, new, mode="nearest-exact")[0, 0]
        assert torch.all(
            (exact - ((places + 0.5) * size / new - 0.5)).abs() <= 0.5 + 1e-9
        )
    assert 256 / 32 * abs(32 / 256 - 1) / 2 == 3.5
    # The bug zoo: 100 pixels to 32, the image with corner pixels aligned, the
    # mask by `nearest`.
    ramp, right = (
        torch.arange(100).double()[None, None],
        (torch.arange(32).double() + 0.5) * 100 / 32 - 0.5,
    )
    image = F.interpolate(ramp, 32, mode="linear", align_corners=True)[0, 0]
    mask = F.interpolate(ramp, 32, mode="nearest")[0, 0]
    off = (100 / 32 - 1) / 2
    assert off == pytest.approx(1.06, abs=0.005)
    assert torch.allclose(
        (image - right)[[0, -1]], torch.tensor([-off, off]).double(), atol=1e-9
    )
    assert (image - right).abs().max() < off + 1e-9
    assert float((right - mask).max()) == pytest.approx(1.94, abs=0.005)
    assert (right - mask).min() > 0
    assert ((image - mask)[0], (image - mask)[-1]) == (
        0,
        pytest.approx(3.0, abs=1e-9),
    )


# --- tiles -------------------------------------------------------------------


class Small(nn.Module):
    """Convolutions, a pooling and a way up: total stride 2, margin 9, width 1
    and batch norm in eval mode.
    """

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.last = nn.Conv2d(6, 1, 3, padding=1)

    def forward(self, x):
        skip = torch.relu(self.norm(self.first(x)))
        deep = torch.relu(self.second(F.max_pool2d(skip, 2)))
        return self.last(torch.cat([skip, self.up(deep)], dim=1))


@verifies("eq-segmentation-margin")
def test_tiles_with_a_margin_equal_the_whole_picture():
    model = Small().double().eval()
    x = doubles(1, 1, 40, 40)
    with torch.no_grad():
        whole = model(x)[0, 0]
        T, R = (
            20,
            6,
            # four fine pixels to either side by the convolutions, two by the
            # grid of the pooling
        )
        for t in (4, 10):
            tile = model(x[..., t : t + T, t : t + T])[0, 0]
            inside = slice(t + R, t + T - R)
            kept = tile[R : T - R, R : T - R]
            assert torch.allclose(kept, whole[inside, inside], atol=1e-12)
            assert not torch.allclose(
                tile, whole[t : t + T, t : t + T], atol=1e-3
            )  # the seam
        shifted = model(x[..., 5:25, 5:25])[
            0, 0
        ]  # 5 is no multiple of the stride 2
        assert not torch.allclose(
            shifted[R : T - R, R : T - R],
            whole[5 + R : 25 - R, 5 + R : 25 - R],
            atol=1e-3,
        )
        model.train()
        batch = torch.cat([x, 3 * x + 1])
        assert not torch.allclose(
            model(batch)[:1], model(x), atol=1e-2
        )  # batch norm in training mode


@verifies("eq-segmentation-seam")
def test_how_far_a_blend_jumps():
    H, h, other, own = sp.symbols("H h y_o y_t", positive=True)
    jump = (H * other + h * own) / (H + h) - other
    assert sp.simplify(jump - h / (H + h) * (own - other)) == 0
    # Two tiles of 64 that overlap by half: where the second begins with 1, the
    # first has come down from its 32.
    hat = np.minimum(np.arange(64) + 1, 64 - np.arange(64))
    assert (hat[32], hat[0]) == (32, 1)
    first, second = np.zeros(96), np.zeros(96)
    first[:64], second[32:] = hat, hat
    blend = second / (
        first + second
    )  # values 0 of the first tile, 1 of the second
    assert np.abs(np.diff(blend)).max() == pytest.approx(1 / 33, rel=1e-12)

"""Each numbered claim of book/attention.md, checked: by autograd, in double
precision, by counting, or by simulation.
"""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from scipy import optimize
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dlp_utils.models import attention as lab
from verifies import mean_within, verifies


def normal(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


# --- the look-up -------------------------------------------------------------


def soft(scores, temperature):
    e = np.exp((scores - scores.max()) / temperature)
    return e / e.sum()


@verifies("eq-attention-soft")
def test_softmax_solves_the_look_up_with_entropy():
    scores, tau = np.array([0.3, -1.0, 1.2, 0.9]), 0.7

    def loss(p):
        return -(p @ scores - tau * np.sum(p * np.log(p)))

    found = optimize.minimize(
        loss,
        np.full(4, 0.25),
        bounds=[(1e-9, 1)] * 4,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        tol=1e-12,
    )
    assert np.allclose(found.x, soft(scores, tau), atol=1e-5)
    assert -found.fun == pytest.approx(
        tau * np.log(np.sum(np.exp(scores / tau))), rel=1e-8
    )


@verifies("eq-attention-hard")
def test_hard_look_up_is_the_limit():
    def three(scores, tau):
        """The three sides of the printed inequality."""
        top = scores.max()
        value = tau * np.log(np.sum(np.exp(scores / tau)))
        return top, value, top + tau * math.log(len(scores))

    rng = np.random.default_rng(0)
    for tau in (3.0, 1.0, 0.1, 0.01):
        low, value, high = three(rng.normal(size=9), tau)
        assert low - 1e-9 <= value <= high + 1e-9
        # The upper bound is reached by equal scores, the lower one by a
        # single score far above all others.
        low, value, high = three(np.full(9, 0.4), tau)
        assert value == pytest.approx(high, rel=1e-12)
        low, value, high = three(np.array([40 * tau, *np.zeros(8)]), tau)
        assert value == pytest.approx(low, rel=1e-12)
    assert soft(np.array([1.0, 0.9, 0.2]), 0.005)[0] > 1 - 1e-8


@verifies("eq-attention-variance")
def test_variance_of_a_dot_product():
    rng = np.random.default_rng(0)
    for d in (4, 64):
        q = rng.normal(size=(60_000, d))
        k = rng.choice(
            [-1.0, 1.0], size=(60_000, d)
        )  # any distribution with mean 0 and variance 1
        scores = (q * k).sum(1)
        mean_within(scores, 0, sharp=0.1)
        mean_within(scores**2, d)
        mean_within((scores / math.sqrt(d)) ** 2, 1)
        assert (scores * math.sqrt(d)).std() == pytest.approx(
            d, rel=0.03
        )  # the mistake of the prose


@verifies("eq-attention-jacobian")
def test_jacobian_of_the_softmax():
    scores, tau = torch.tensor([0.3, -1.0, 1.2], dtype=torch.float64), 0.6
    jacobian = torch.autograd.functional.jacobian(
        lambda s: torch.softmax(s / tau, 0), scores
    )
    p = torch.softmax(scores / tau, 0)
    assert torch.allclose(jacobian, (torch.diag(p) - torch.outer(p, p)) / tau)


@verifies("eq-attention-saturation")
def test_a_sure_look_up_has_no_gradient():
    def three(scores, tau):
        """The three sides of the printed inequality."""
        p = soft(scores, tau)
        first, second = np.sort(scores)[[-1, -2]]
        rest = np.delete(p, p.argmax()).sum()  # 1 − the largest, exactly
        slopes = torch.autograd.functional.jacobian(
            lambda s: torch.softmax(s / tau, dim=0), torch.tensor(scores)
        )
        largest = slopes.abs().max().item()
        bound = (len(scores) - 1) / tau * math.exp(-(first - second) / tau)
        return largest, rest / tau, bound

    rng = np.random.default_rng(0)
    for scale, tau in itertools.product((0.5, 2, 8, 64), (0.5, 1.0, 3.0)):
        largest, middle, bound = three(scale * rng.normal(size=20), tau)
        assert largest <= middle * (1 + 1e-9)
        assert middle <= bound * (1 + 1e-9)
    assert 63 * math.exp(-30) == pytest.approx(6e-12, rel=0.05)  # of the prose
    # Both bounds are nearly reached when all others lie equally far behind.
    for N, tau in itertools.product((2, 20), (0.5, 1.0, 3.0)):
        scores = np.zeros(N)
        scores[0] = 10 * tau
        largest, middle, bound = three(scores, tau)
        assert largest > 0.99 * middle and middle > 0.99 * bound


@verifies("eq-attention-view")
def test_view_without_transpose_makes_heads_of_tokens():
    B, N, heads, d = 2, 12, 4, 3
    x = torch.arange(B * N * heads * d).view(B, N, heads * d)
    true = x.view(B, N, heads, d)  # [b, n, a]: token n, head a
    false = x.view(B, heads, N, d)
    for n, a in itertools.product(range(N), range(heads)):
        assert torch.equal(
            false[:, n // (N // heads), (n * heads + a) % N], true[:, n, a]
        )
    # Attention with false heads: token 0 does not notice a change of a token
    # outside of its group.
    x = torch.randn(
        1,
        N,
        heads * d,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )

    def attend(x, wrong):
        q = (
            x.view(1, heads, N, d)
            if wrong
            else x.view(1, N, heads, d).transpose(1, 2)
        )
        out = torch.nn.functional.scaled_dot_product_attention(q, q, q)
        return (out if wrong else out.transpose(1, 2)).reshape(1, N, heads * d)

    for n in range(1, N):
        changed = x.clone()
        changed[0, n] += 1
        assert torch.equal(
            attend(x, True)[0, 0], attend(changed, True)[0, 0]
        ) == (n >= N // heads)
        assert not torch.allclose(
            attend(x, False)[0, 0], attend(changed, False)[0, 0]
        )


@verifies("eq-attention-equivariance")
def test_attention_is_permutation_equivariant():
    torch.manual_seed(0)
    layer = (
        torch.nn.TransformerEncoderLayer(
            16, 4, 32, dropout=0.0, batch_first=True
        )
        .double()
        .eval()
    )
    W = torch.randn(3, 16, 16, dtype=torch.float64)

    def attention(X):
        q, k, v = X @ W
        return torch.softmax(q @ k.mT / 4, dim=-1) @ v

    X, order = torch.randn(7, 16, dtype=torch.float64), torch.randperm(7)
    P = torch.eye(7, dtype=torch.float64)[order]
    assert torch.allclose(attention(P @ X), P @ attention(X))
    assert torch.allclose(layer((P @ X)[None])[0], P @ layer(X[None])[0])
    X[[1, 4]] = torch.randn(16, dtype=torch.float64)  # two equal rows
    out = layer(X[None])[0]
    assert torch.allclose(out[1], out[4]) and not torch.allclose(
        out[1], out[2]
    )
    positions = torch.randn(7, 16, dtype=torch.float64)
    out = layer((X + positions)[None])[0]
    assert not torch.allclose(out[1], out[4])


@verifies("eq-attention-memory")
def test_bytes_of_the_attention_weights():
    for dtype, size in ((torch.float32, 4), (torch.float16, 2)):
        q = torch.zeros(1, 3, 10, 8, dtype=dtype)
        weights = torch.softmax(q @ q.mT, dim=-1)
        assert weights.numel() * weights.element_size() == size * 3 * 10**2
    # Of the prose: N = 2048, 16 heads, 4 bytes.
    assert pytest.approx(268, abs=0.5) == 4 * 16 * 2048**2 / 1e6


@verifies("eq-attention-layernorm-jacobian", "eq-attention-layernorm")
def test_gradient_of_layer_norm_by_hand():
    generator = torch.Generator().manual_seed(0)
    for eps in (1e-5, 0.3):
        x, grad = torch.randn(2, 6, generator=generator, dtype=torch.float64)
        norm = torch.nn.LayerNorm(6, eps=eps, elementwise_affine=False)
        s = ((x - x.mean()).square().mean() + eps).sqrt()
        y = (x - x.mean()) / s
        assert torch.allclose(norm(x), y)
        jacobian = torch.autograd.functional.jacobian(norm, x)
        claimed = (
            torch.eye(6, dtype=torch.float64) - 1 / 6 - torch.outer(y, y) / 6
        ) / s
        assert torch.allclose(jacobian, claimed)
        gradient = (grad - grad.mean() - (grad * y).mean() * y) / s
        assert torch.allclose(jacobian.T @ grad, gradient)


@verifies("eq-attention-layernorm-orthogonal")
def test_gradient_of_layer_norm_is_orthogonal_to_ones_and_to_the_input():
    x, grad = torch.randn(
        2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    x.requires_grad_()
    norm = torch.nn.LayerNorm(6, eps=0.0, elementwise_affine=False)
    (gradient,) = torch.autograd.grad((norm(x) * grad).sum(), x)
    assert abs(gradient.sum()) < 1e-12 and abs(gradient @ x.detach()) < 1e-12
    assert gradient.norm() > 0.1
    assert torch.allclose(norm(3 * x + 5), norm(x))


@verifies("eq-attention-backward")
def test_backward_of_attention():
    q, k, v = normal(3, 4), normal(5, 4, seed=1), normal(5, 2, seed=2)
    grad = normal(3, 2, seed=3)
    leaves = [t.clone().requires_grad_() for t in (q, k, v)]
    F.scaled_dot_product_attention(*leaves).backward(grad)
    a = torch.softmax(q @ k.T / 2, dim=1)  # d = 4
    da = grad @ v.T
    rows = (da * a).sum(dim=1, keepdim=True)
    ds = a * (da - rows)
    assert torch.allclose(leaves[0].grad, ds @ k / 2)
    assert torch.allclose(leaves[1].grad, ds.T @ q / 2)
    assert torch.allclose(leaves[2].grad, a.T @ grad)
    assert ds.sum(dim=1).abs().max() < 1e-12  # of the prose


# --- positions ---------------------------------------------------------------


@verifies("eq-attention-sinusoids")
def test_dot_product_of_two_sinusoidal_positions():
    D, i = 12, np.arange(6)
    speeds = 10000.0 ** (-2 * i / D)

    def u(n):
        row = np.empty(D)
        row[0::2], row[1::2] = np.sin(n * speeds), np.cos(n * speeds)
        return row

    for m, n in ((0, 0), (3, 5), (7, 2), (1003, 1005)):
        assert u(m) @ u(n) == pytest.approx(np.cos((m - n) * speeds).sum())
    assert np.allclose(lab.sinusoids(9, D)[8], u(8), atol=1e-6)  # the code's


@verifies("eq-attention-rope")
def test_rotary_scores_depend_on_the_distance():
    def turned(x, m, d):
        """def-attention-rope, pairs as complex numbers that are turned."""
        w = 10000.0 ** (-2 * np.arange(d // 2) / d)
        pairs = (x[0::2] + 1j * x[1::2]) * np.exp(1j * m * w)
        out = np.empty(d)
        out[0::2], out[1::2] = pairs.real, pairs.imag
        return out

    rng, d = np.random.default_rng(0), 6
    R = [np.array([turned(e, m, d) for e in np.eye(d)]) for m in range(9)]
    back = np.array([turned(e, -4, d) for e in np.eye(d)])
    for _ in range(5):
        q, k = rng.normal(size=(2, d))
        for m, n in ((2, 1), (8, 3), (7, 7)):
            score = turned(q, m, d) @ turned(k, n, d)
            assert score == pytest.approx(q @ R[m] @ R[n].T @ k)
            assert score == pytest.approx(q @ R[m - n] @ k)
        # A query before its key: R of a negative distance.
        assert turned(q, 1, d) @ turned(k, 5, d) == pytest.approx(q @ back @ k)
        assert np.linalg.norm(turned(q, 5, d)) == pytest.approx(
            np.linalg.norm(q)
        )
        code = lab.rotate(torch.tensor(q)[None], start=5)[0].numpy()
        assert np.allclose(code, turned(q, 5, d))
    # A symbolic pair: two turns are one by the difference.
    a, b = sp.symbols("a b")

    def turn(t):
        return sp.Matrix([[sp.cos(t), sp.sin(t)], [-sp.sin(t), sp.cos(t)]])

    assert sp.simplify(turn(a) * turn(b).T - turn(a - b)) == sp.zeros(2, 2)


# --- the mask ----------------------------------------------------------------


@verifies("eq-attention-causal")
def test_outputs_do_not_depend_on_later_rows():
    torch.manual_seed(0)
    pile = torch.nn.ModuleList(lab.Block(8, 2, rotary=True) for _ in range(2))
    pile = pile.double()
    mask = torch.tensor([[j <= n for j in range(5)] for n in range(5)])

    def run(x, mask):
        for block in pile:
            x = block(x[None], mask)[0]
        return x

    x = normal(5, 8)
    for allowed, leak in ((mask, False), (mask.T, True), (None, True)):
        J = torch.autograd.functional.jacobian(
            lambda x, a=allowed: run(x, a), x
        )
        size = J.abs().amax(dim=(1, 3))  # (output row, input row)
        later = size[~mask]
        assert (later.max() > 0) == leak
        assert size.diagonal().min() > 0
        if not leak:
            assert (later == 0).all() and size[mask].min() > 0


@verifies("eq-attention-leak")
def test_no_honest_loss_is_below_the_entropy():
    rng = np.random.default_rng(0)
    for V in (2, 32):
        for sharp in (0.0, 0.3, 4.0):  # whatever the model believes
            q = np.exp(sharp * rng.normal(size=V))
            q = q / q.sum()
            drawn = rng.integers(V, size=200_000)
            if sharp:
                mean_within(-np.log(q[drawn]), np.mean(-np.log(q)))
            left, middle = np.mean(-np.log(q)), -np.log(np.mean(q))
            assert left >= middle - 1e-12
            assert middle == pytest.approx(math.log(V))
            assert (left == pytest.approx(middle)) == (sharp == 0)
    assert math.log(32) == pytest.approx(3.47, abs=0.005)  # of the prose


# --- the block ---------------------------------------------------------------


@verifies("eq-attention-parameters")
def test_weights_of_a_block():
    for D, heads in ((8, 2), (64, 4), (768, 12)):
        with torch.device("meta"):
            library = torch.nn.TransformerEncoderLayer(D, heads, 4 * D)
        count = sum(p.numel() for p in library.parameters())
        assert count == 12 * D**2 + 13 * D


@verifies("eq-attention-macs")
def test_multiply_accumulates_of_a_block():
    N, D, heads = 10, 24, 3
    block = lab.Block(D, heads)
    with FlopCounterMode(display=False) as counter:
        block(torch.randn(1, N, D))
    # The counter counts a multiplication and an addition as two.
    assert counter.get_total_flops() == 2 * (12 * N * D**2 + 2 * N**2 * D)
    assert 12 * (6 * D) * D**2 == 2 * (6 * D) ** 2 * D  # equal at N = 6 D


@verifies("eq-attention-stream")
def test_the_stream_is_a_sum():
    torch.manual_seed(0)
    pile = [lab.Block(8, 2).double() for _ in range(4)]
    x = start = normal(1, 5, 8)
    added = []
    with torch.no_grad():
        for block in pile:
            middle = block.attention(block.norm1(x))
            added.append(middle + block.mlp(block.norm2(x + middle)))
            x = block(x)
    assert torch.allclose(x, start + sum(added))
    assert not torch.allclose(x, start)


@verifies("eq-attention-post-norm")
def test_direct_path_through_post_norm_blocks():
    # Directions at right angles to 1 and to the row, through two layer norms
    # in each of L blocks, each of a sum of two rows of variance 1.
    D, L = 4096, 3
    norm = torch.nn.LayerNorm(D, eps=0.0, elementwise_affine=False)
    x = norm(normal(D))
    gradient = factor = normal(D, seed=9)
    for layer in range(2 * L):
        branch = norm(normal(D, seed=10 + layer))
        total = (x + branch).requires_grad_()
        (factor,) = torch.autograd.grad((norm(total) * factor).sum(), total)
        x = norm(total).detach()
    ratio = (factor.norm() / gradient.norm()).item()
    assert ratio == pytest.approx((1 / math.sqrt(2)) ** (2 * L), rel=0.05)
    assert ratio == pytest.approx(2**-L, rel=0.05)
    assert pytest.approx(6e-8, rel=0.01) == 2**-24  # of the prose, 24 blocks


@verifies("eq-attention-online")
def test_softmax_in_pieces():
    rng = np.random.default_rng(0)
    for scale in (1.0, 800.0):
        s, v = scale * rng.normal(size=9), rng.normal(size=(9, 2))
        top, z, o = -np.inf, 0.0, np.zeros(2)
        for piece in (slice(0, 4), slice(4, 5), slice(5, 9)):
            new = max(top, s[piece].max())
            e = np.exp(s[piece] - new)
            z = np.exp(top - new) * z + e.sum()
            o = np.exp(top - new) * o + e @ v[piece]
            top = new
        wanted = torch.softmax(torch.tensor(s), dim=0).numpy() @ v
        assert np.allclose(o / z, wanted)
    q, k, v = normal(2, 3, 4), normal(2, 7, 4, seed=1), normal(2, 7, 5, seed=2)
    for piece in (1, 3, 7, 20):
        got = lab.attend_in_pieces(q, k, v, piece)
        assert torch.allclose(got, F.scaled_dot_product_attention(q, k, v))

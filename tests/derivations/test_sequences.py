"""Each numbered claim of book/sequences.md, checked: by autograd on the
unrolled computation, by finite sums over pairs, by symbols, by counting.
"""

import itertools
import math

import pytest
import sympy as sp
import torch
from torch import nn
from torch.nn import functional as F

from verifies import verifies

T, D, H, V = 6, 3, 4, 5


def draw(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*size, generator=generator, dtype=torch.float64)


class Unrolled:
    """The RNN and its loss for one sequence, every intermediate kept."""

    def __init__(self, seed=0, steps=T):
        def leaf(*size):
            self.seeds += 1
            return draw(*size, seed=1000 * seed + self.seeds).requires_grad_()

        self.seeds = 0
        self.U, self.W, self.b = leaf(D, H), leaf(H, H), leaf(1, H)
        self.Q, self.q, self.x = leaf(H, V), leaf(1, V), leaf(steps, 1, D)
        self.targets = [(3 * t + seed) % V for t in range(steps)]
        self.a, self.h, self.y, h = [], [], [], torch.zeros(1, H).double()
        self.h0, losses = h, []
        for t in range(steps):
            self.a.append(self.x[t] @ self.U + h @ self.W + self.b)
            h = torch.tanh(self.a[-1])
            self.h.append(h)
            self.y.append(h @ self.Q + self.q)
            losses.append(-self.y[-1].log_softmax(dim=1)[0, self.targets[t]])
        self.losses = losses
        self.loss = sum(losses) / steps

    def adjoints(self, what, loss=None):
        loss = self.loss if loss is None else loss
        found = torch.autograd.grad(
            loss, what, retain_graph=True, allow_unused=True
        )
        return [
            torch.zeros_like(w) if g is None else g
            for w, g in zip(what, found, strict=True)
        ]


@verifies("eq-sequences-table")
def test_numbers_of_a_table_and_of_a_network():
    for v, n in ((2, 3), (3, 2), (4, 3)):
        contexts = list(itertools.product(range(v), repeat=n - 1))
        free = [(c, w) for c in contexts for w in range(v - 1)]
        assert len(free) == v ** (n - 1) * (v - 1)
    for v, d, h in ((69, 64, 128), (5, 3, 7)):
        cell = nn.RNN(d, h)
        cell.bias_hh_l0 = None  # the page's layer has one bias
        parts = nn.Embedding(v, d), cell, nn.Linear(h, v)
        count = sum(p.numel() for part in parts for p in part.parameters())
        assert count == v * d + (d * h + h**2 + h) + (h * v + v)
    assert 69 * 64 + (64 * 128 + 128**2 + 128) + (128 * 69 + 69) == 38021
    assert 1.0e11 < 69**5 * 68 < 1.1e11


@verifies("eq-sequences-state")
def test_a_state_is_used_by_its_logits_and_by_the_next_step():
    net = Unrolled(1)
    states = net.adjoints(net.h)
    logits, delta = net.adjoints(net.y), net.adjoints(net.a)
    delta.append(torch.zeros(1, H).double())
    for t in range(T):
        expected = logits[t] @ net.Q.T + delta[t + 1] @ net.W.T
        assert torch.allclose(states[t], expected, atol=1e-12)
        p = net.y[t].softmax(dim=1)
        one_hot = F.one_hot(torch.tensor([net.targets[t]]), V)
        assert torch.allclose(logits[t], (p - one_hot) / T, atol=1e-12)


@verifies("eq-sequences-delta")
def test_the_slope_of_tanh():
    net = Unrolled(2)
    for h, delta, state in zip(
        net.h, net.adjoints(net.a), net.adjoints(net.h), strict=True
    ):
        assert torch.allclose(delta, state * (1 - h * h), atol=1e-12)


@verifies("eq-sequences-weights")
def test_shared_weights_sum_over_steps():
    net = Unrolled(3)
    delta = net.adjoints(net.a)
    before = [net.h0, *net.h[:-1]]
    dW = sum(h.T @ d for h, d in zip(before, delta, strict=True))
    dU = sum(x.T @ d for x, d in zip(net.x, delta, strict=True))
    found = net.adjoints([net.W, net.U, net.b])
    for a, b in zip(found, (dW, dU, sum(delta)), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def state_jacobian(net, k, steps=T):
    """dh_T / dh_(T-k) by autograd; entry (i, j): h_(T-k),i to h_T,j."""
    start = net.h[steps - 1 - k].detach()

    def later(h):
        for t in range(steps - k, steps):
            h = torch.tanh(net.x[t] @ net.U + h @ net.W + net.b)
        return h

    full = torch.autograd.functional.jacobian(later, start)
    return full[0, :, 0, :].T


@verifies("eq-sequences-jacobians")
def test_the_jacobian_over_k_steps_is_a_product():
    net = Unrolled(4)
    for k in (1, 2, 5):
        product = torch.eye(H).double()
        for t in range(T - k, T):  # earlier steps to the left
            slopes = torch.diag(1 - net.h[t][0] ** 2)
            product = product @ net.W @ slopes
        assert torch.allclose(state_jacobian(net, k), product, atol=1e-12)
    # And rows move as printed: dh_T = dh_(T-k) times it.
    small, k = 1e-6 * draw(1, H, seed=9), 3
    h = net.h[T - 1 - k] + small
    for t in range(T - k, T):
        h = torch.tanh(net.x[t] @ net.U + h @ net.W + net.b)
    moved = small @ state_jacobian(net, k)
    assert torch.allclose(h - net.h[-1], moved, atol=1e-10)


@verifies("eq-sequences-bound")
def test_the_bound_for_a_loss_at_the_last_step():
    for seed in range(20):
        net = Unrolled(seed)
        states = net.adjoints(net.h, net.losses[-1])
        norm, last = torch.linalg.matrix_norm(net.W, 2), states[-1].norm()
        for k in range(T):
            assert states[T - 1 - k].norm() <= norm**k * last + 1e-12


def test_the_bound_is_sharp_without_slopes():
    u = torch.linalg.svd(draw(H, H))[0]
    W = 0.9 * torch.outer(u[:, 0], u[:, 0])  # symmetric, norm 0.9
    g = u[:, 0]
    for _ in range(3):
        g = g @ W.T
    assert math.isclose(g.norm(), 0.9**3, rel_tol=1e-12)


@verifies("eq-sequences-power")
def test_an_eigenvector_dies_or_explodes_as_a_power():
    values = torch.tensor([1.2, 0.9, -0.7, 0.3]).double()
    vectors = draw(H, H, seed=8)  # columns, not orthogonal to each other
    W = vectors @ torch.diag(values) @ torch.linalg.inv(vectors)
    for mu, u in zip(values, vectors.T, strict=True):
        assert torch.allclose(u @ W.T, mu * u)
        h = draw(1, H, seed=3).requires_grad_()
        last = h
        for _ in range(7):
            last = last @ W  # the recurrence without tanh and input
        (back,) = torch.autograd.grad((last * u).sum(), h)
        assert torch.allclose(back[0], mu**7 * u, atol=1e-8)
    assert round(0.9**50, 3) == 0.005 and round(1.1**50) == 117


@verifies("eq-sequences-orthogonal")
def test_orthogonal_keeps_the_length():
    W = torch.empty(H, H).double()
    nn.init.orthogonal_(W)
    assert torch.allclose(W @ W.T, torch.eye(H).double())
    v = draw(1, H, seed=5)
    w = v
    for _ in range(100):
        w = w @ W.T
    assert math.isclose(w.norm(), v.norm(), rel_tol=1e-10)
    square = v @ W.T @ W @ v.T
    assert math.isclose(square.item(), v.square().sum().item())
    assert math.isclose(square.item(), (v @ W.T).square().sum().item())


@verifies("eq-sequences-clip-step")
@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_the_length_of_a_clipped_step(scale):
    # By the library's clipping and optimizer, over two parameters at once.
    eta, R = 0.3, 2.0
    weights = [nn.Parameter(draw(3, 2)), nn.Parameter(draw(4, seed=1))]
    before = [w.detach().clone() for w in weights]
    for k, w in enumerate(weights):
        w.grad = scale * draw(*w.shape, seed=7 + k)
    g = torch.cat([w.grad.flatten() for w in weights])
    nn.utils.clip_grad_norm_(weights, R)
    torch.optim.SGD(weights, lr=eta).step()
    moved = torch.cat(
        [(b - w).flatten() for b, w in zip(before, weights, strict=True)]
    ).detach()
    length = eta * min(g.norm().item(), R)
    assert math.isclose(moved.norm(), length, rel_tol=1e-5)
    assert length <= eta * R
    assert torch.allclose(moved / moved.norm(), g / g.norm(), atol=1e-6)


class Gated:
    """LSTM steps with every state a tensor in the graph."""

    def __init__(self, seed=0, steps=5):
        self.U, self.W = (
            draw(D, 4 * H, seed=seed),
            draw(H, 4 * H, seed=seed + 1),
        )
        self.b = draw(1, 4 * H, seed=seed + 2)
        h = draw(1, H, seed=seed + 3).requires_grad_()
        c = draw(1, H, seed=seed + 4).requires_grad_()
        self.h, self.c, self.f, self.o = [h], [c], [None], [None]
        x = draw(steps, 1, D, seed=seed + 5)
        for row in x:
            i, f, g, o = (row @ self.U + h @ self.W + self.b).chunk(4, dim=1)
            f, o = torch.sigmoid(f), torch.sigmoid(o)
            c = f * c + torch.sigmoid(i) * torch.tanh(g)
            h = o * torch.tanh(c)
            for kept, value in zip(
                (self.h, self.c, self.f, self.o), (h, c, f, o), strict=True
            ):
                kept.append(value)
        weights = draw(steps + 1, H, seed=seed + 6)
        self.loss = sum(
            (w * torch.sin(h)).sum()
            for w, h in zip(weights, self.h, strict=True)
        )


@verifies("eq-sequences-cell")
def test_the_adjoint_of_the_cell():
    net = Gated(10)
    dh = torch.autograd.grad(net.loss, net.h, retain_graph=True)
    dc = torch.autograd.grad(net.loss, net.c, retain_graph=True)
    for t in range(1, 6):
        slope = 1 - torch.tanh(net.c[t]) ** 2
        expected = dh[t] * net.o[t] * slope
        if t < 5:
            expected = expected + dc[t + 1] * net.f[t + 1]
        assert torch.allclose(dc[t], expected, atol=1e-12)


@verifies("eq-sequences-carousel")
def test_gates_held_fixed_multiply_the_gradient_of_the_cell():
    k, c = 4, draw(H, seed=1).requires_grad_()
    gates, news = torch.sigmoid(draw(k, H, seed=2)), draw(k, H, seed=3)
    last = c
    for f, new in zip(gates, news, strict=True):
        last = f * last + new
    up = draw(H, seed=4)
    (back,) = torch.autograd.grad((up * last).sum(), c)
    assert torch.allclose(back, up * gates.prod(dim=0), atol=1e-12)


@verifies("eq-sequences-count")
def test_weights_of_the_three_layers():
    for d, h in ((64, 128), (3, 5), (1, 1)):
        for kind, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
            layer = getattr(nn, kind)(d, h)
            count = sum(p.numel() for p in layer.parameters())
            assert count == gates * (d * h + h**2 + 2 * h)


@verifies("eq-sequences-half-life")
def test_steps_until_half_is_left():
    b = sp.symbols("b", real=True)
    k = sp.log(2) / sp.log(1 + sp.exp(-b))
    gate = 1 / (1 + sp.exp(-b))
    for value in (-1, 0, 1, 3, 6):
        left = (gate**k).subs(b, value)
        assert abs(sp.N(left) - sp.Rational(1, 2)) < 1e-12
    numbers = [float(k.subs(b, value)) for value in (0, 1, 3)]
    assert [round(number, 1) for number in numbers] == [1.0, 2.2, 14.3]
    assert round(1 / (1 + math.exp(-3)) ** 50, 2) == 0.09


@verifies("eq-sequences-gru-path")
def test_the_direct_path_through_a_gru():
    # The library's cell, its gates held fixed: W and biases beside h taken
    # out, so that z, r and the candidate depend on x alone.
    cell = nn.GRUCell(D, H).double()
    with torch.no_grad():
        cell.weight_hh.zero_()
    x, h = draw(1, D), draw(1, H, seed=1).requires_grad_()
    up = draw(1, H, seed=2)
    (back,) = torch.autograd.grad((up * cell(x, h)).sum(), h)
    pre = x @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh
    z = torch.sigmoid(pre[:, H : 2 * H])
    assert torch.allclose(back, up * z, atol=1e-12)


@verifies("eq-sequences-reset")
def test_only_a_gate_of_one_number_commutes_with_the_product():
    h, W = draw(1, H), draw(H, H, seed=1)
    r = torch.full((1, H), 0.3).double()
    for side in ((r * h) @ W, r * (h @ W)):
        assert torch.allclose(side, 0.3 * h @ W, atol=1e-12)
    r = torch.sigmoid(draw(1, H, seed=2))
    assert ((r * h) @ W - r * (h @ W)).abs().max() > 0.01
    blocks = torch.block_diag(draw(2, 2), draw(2, 2, seed=3))
    r = torch.tensor([[0.2, 0.2, 0.9, 0.9]]).double()
    assert torch.allclose((r * h) @ blocks, r * (h @ blocks), atol=1e-12)


@verifies("eq-sequences-truncated")
@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_truncation_keeps_the_pairs_of_a_block(block):
    net = Unrolled(6)
    before = [net.h0, *net.h[:-1]]
    pairs = {}
    for t in range(T):
        delta = net.adjoints(net.a, net.losses[t] / T)
        for j in range(T):
            pairs[j, t] = before[j].T @ delta[j]
            assert j <= t or pairs[j, t].abs().max() == 0
    (whole,) = net.adjoints([net.W])
    assert torch.allclose(sum(pairs.values()), whole, atol=1e-12)
    # The other side: the recurrence run anew, detached at every block.
    W = net.W.detach().requires_grad_()
    h, loss = net.h0, 0
    for t in range(T):
        if t % block == 0:
            h = h.detach()
        h = torch.tanh((net.x[t] @ net.U + net.b).detach() + h @ W)
        logits = h @ net.Q.detach() + net.q.detach()
        loss = loss - logits.log_softmax(dim=1)[0, net.targets[t]] / T
    (truncated,) = torch.autograd.grad(loss, W)
    same = [
        pair for (j, t), pair in pairs.items()
        if j <= t and j // block == t // block
    ]  # fmt: skip
    assert torch.allclose(sum(same), truncated, atol=1e-12)
    assert (truncated - whole).abs().max() > 1e-3


@verifies("eq-sequences-mixture")
def test_a_mixture_is_safe_on_average():
    generator = torch.Generator().manual_seed(0)
    for trial in range(50):
        logits = torch.randn(2, 30, V, generator=generator).double() * 3
        net, counts = logits.softmax(dim=2)
        came = torch.randint(V, (30, 1), generator=generator)
        lam = torch.rand(1, generator=generator).item()
        if trial == 0:
            counts = net  # equal: the first bound is sharp
        mixture = lam * net + (1 - lam) * counts

        def loss(p, came=came):
            return -p.gather(1, came).log().mean().item()

        a, b, both = loss(net), loss(counts), loss(mixture)
        assert both <= lam * a + (1 - lam) * b + 1e-12
        assert both <= min(a - math.log(lam), b - math.log(1 - lam)) + 1e-12
        assert both <= max(a, b) + 1e-12


def test_the_second_bound_is_sharp_where_the_other_model_gives_nothing():
    tiny, lam = 1e-300, 0.25
    both = -math.log(lam * 0.5 + (1 - lam) * tiny)
    assert math.isclose(both, -math.log(0.5) - math.log(lam), rel_tol=1e-12)


@verifies("eq-sequences-bayes")
def test_a_mixture_that_learns_telescopes():
    p = sp.symbols("p1:5", positive=True)
    q = sp.symbols("q1:5", positive=True)
    first = sp.symbols("w", positive=True)
    weight, product = first, 1
    for a, b in zip(p, q, strict=True):
        product *= weight * a + (1 - weight) * b
        weight = weight * a / (weight * a + (1 - weight) * b)
    closed = first * sp.prod(p) + (1 - first) * sp.prod(q)
    assert sp.simplify(product - closed) == 0


@verifies("eq-sequences-padding")
def test_a_mean_over_padding_is_a_mixture_of_two_losses():
    lengths, steps = torch.tensor([6, 2, 1]), 6
    logits = draw(steps, 3, V)
    targets = torch.arange(18).view(steps, 3) % V
    true = torch.arange(steps)[:, None] < lengths
    alpha = lengths.sum().item() / (3 * steps)
    flat = logits.flatten(0, 1), targets.flatten()
    kept = F.cross_entropy(logits[true], targets[true])
    padding = F.cross_entropy(logits[~true], targets[~true])
    expected = alpha * kept + (1 - alpha) * padding
    assert torch.allclose(F.cross_entropy(*flat), expected, atol=1e-12)


def skip_gram_loss(scores, pairs, m):
    """J as defined, entry by entry, with plain logs of plain sigmoids."""
    words, nears = pairs.sum(1), pairs.sum(0)
    total = 0
    for w, c in itertools.product(range(len(pairs)), range(len(pairs))):
        true = torch.log(1 / (1 + torch.exp(-scores[w, c])))
        drawn = torch.log(1 / (1 + torch.exp(scores[w, c])))
        total = total - pairs[w, c] * true - m * words[w] * nears[c] * drawn
    return total


@verifies("eq-sequences-skip-gram-gradient")
def test_the_gradient_of_a_score():
    pairs = draw(4, 4).exp()
    pairs, m = pairs / pairs.sum(), 5
    scores = draw(4, 4, seed=1).requires_grad_()
    (found,) = torch.autograd.grad(skip_gram_loss(scores, pairs, m), scores)
    apart = pairs.sum(1, keepdim=True) * pairs.sum(0)
    expected = -pairs * torch.sigmoid(-scores) + m * apart * scores.sigmoid()
    assert torch.allclose(found, expected, atol=1e-12)


@verifies("eq-sequences-information")
def test_the_best_scores_are_mutual_information():
    # The minimum, found by Newton steps on each score from the loss alone.
    pairs = draw(3, 3, seed=2).exp()
    pairs, m = pairs / pairs.sum(), 4
    scores = torch.zeros(3, 3).double().requires_grad_()
    for _ in range(40):
        loss = skip_gram_loss(scores, pairs, m)
        (g,) = torch.autograd.grad(loss, scores, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), scores)  # scores do not interact
        scores = (scores - g / h).detach().requires_grad_()
    apart = pairs.sum(1, keepdim=True) * pairs.sum(0)
    assert torch.allclose(
        scores, (pairs / apart).log() - math.log(m), atol=1e-8
    )

"""Each numbered claim of book/transformers.md, checked: by counting,
by autograd, by changing the future, by symbols.
"""

import pytest
import sympy as sp
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dlp_utils.models import transformers as lab
from dlp_utils.models.attention import attend
from verifies import verifies


def draw(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*size, generator=generator, dtype=torch.float64)


def small(vocab=7, width=8, layers=2, length=12, seed=0):
    torch.manual_seed(seed)
    config = lab.Config(vocab, width, 2, layers, length)
    model = lab.build(config).double()
    nn.init.normal_(model.table.weight)  # logits that differ
    return model


@verifies("eq-transformers-count")
@pytest.mark.parametrize(
    ("V", "D", "K"), [(5, 8, 1), (70, 16, 3), (11, 12, 2)]
)
def test_weights_of_the_librarys_own_blocks(V, D, K):
    # The same parts: four matrices, a small network of 4 D, two norms.
    layers = [
        nn.TransformerEncoderLayer(D, 2, 4 * D, norm_first=True)
        for _ in range(K)
    ]
    parts = nn.ModuleList([nn.Embedding(V, D), *layers, nn.LayerNorm(D)])
    counted = sum(p.numel() for p in parts.parameters())
    assert counted == V * D + K * (12 * D**2 + 13 * D) + 2 * D


@verifies("eq-transformers-macs")
@pytest.mark.parametrize(
    ("V", "D", "K", "n"), [(7, 8, 2, 1), (5, 16, 3, 9), (70, 12, 1, 12)]
)
def test_multiplications_for_one_token(V, D, K, n, monkeypatch):
    def by_hand(
        q, k, v, allowed=None, is_causal=False
    ):  # in products that the counter sees
        return attend(q, k, v, allowed)[0]

    model = small(V, D, K)
    ids = torch.arange(n)[None] % V
    with torch.no_grad():
        caches = model(ids[:, :-1])[1] if n > 1 else None
        monkeypatch.setattr(F, "scaled_dot_product_attention", by_hand)
        with FlopCounterMode(display=False) as counter:
            model(ids[:, -1:], caches)
    assert counter.get_total_flops() == 2 * (
        K * (12 * D**2 + 2 * n * D) + V * D
    )


@verifies("eq-transformers-logit-variance")
@pytest.mark.parametrize(("D", "sigma"), [(16, 1.0), (64, 0.02), (5, 0.3)])
def test_spread_of_the_first_logits(D, sigma):
    h = F.layer_norm(3 + 2 * draw(D, seed=1), (D,), eps=0)
    assert torch.isclose(h.square().sum(), torch.tensor(float(D)).double())
    many = 200_000
    y = (sigma * draw(many, D, seed=D)) @ h
    # The variance of n draws has the relative standard error sqrt(2 / n).
    assert abs(y.var().item() / (D * sigma**2) - 1) < 4 * (2 / many) ** 0.5


@verifies("eq-transformers-cache")
def test_keys_and_values_do_not_know_the_future():
    model, ids = small(), torch.tensor([[1, 2, 3, 4, 5, 6, 0, 1]])
    with torch.no_grad():
        before = model(ids)[1]
        for m in range(1, ids.shape[1]):
            other = ids.clone()
            other[:, m:] = (other[:, m:] + 3) % 7
            for (k, v), (new_k, new_v) in zip(
                before, model(other)[1], strict=True
            ):
                for old, new in ((k, new_k), (v, new_v)):
                    assert torch.allclose(
                        old[:, :, :m], new[:, :, :m], atol=1e-12
                    )
                    assert (old[:, :, m] - new[:, :, m]).abs().max() > 1e-3
        # They do depend on all of the past, in the second block.
        other = ids.clone()
        other[:, 0] = 5
        old, new = (model(x)[1][1][0][:, :, -1] for x in (ids, other))
        assert (old - new).abs().max() > 1e-6


@verifies("eq-transformers-saved")
def test_work_saved_by_the_cache():
    n, T, D, K = sp.symbols("n T D K", positive=True, integer=True)
    rows = sp.summation(12 * K * D**2 * n, (n, 1, T)) / sp.summation(
        12 * K * D**2, (n, 1, T)
    )
    looks = sp.summation(2 * K * D * n * n, (n, 1, T)) / sp.summation(
        2 * K * D * n, (n, 1, T)
    )
    assert sp.simplify(rows - (T + 1) / 2) == 0
    assert sp.simplify(looks - (2 * T + 1) / 3) == 0
    assert ((256 + 1) // 2, (2 * 256 + 1) / 3) == (128, 171)  # of the prose
    # The same by counting, row by row and look by look.
    steps, width, blocks = 9, 4, 2
    plain = sum(
        12 * blocks * width**2
        for step in range(1, steps + 1)
        for _ in range(step)
    )
    kept = sum(12 * blocks * width**2 for _ in range(steps))
    assert plain / kept == (steps + 1) / 2
    pairs = sum(
        1 for s in range(1, steps + 1) for _ in range(s) for _ in range(s)
    )
    assert pairs / sum(range(1, steps + 1)) == pytest.approx(
        (2 * steps + 1) / 3
    )


@verifies("eq-transformers-memory")
@pytest.mark.parametrize(("D", "K", "T"), [(8, 1, 5), (12, 3, 7)])
def test_numbers_in_the_cache(D, K, T):
    model = small(width=D, layers=K)
    caches = model(torch.zeros(1, T, dtype=torch.long))[1]
    assert sum(t.numel() for cache in caches for t in cache) == 2 * K * D * T


@verifies("eq-transformers-merge")
def test_a_merge_shortens_by_the_count_of_its_pair():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        letters = torch.randint(2, (23,), generator=generator).tolist()
        text = "".join("ab"[n] for n in letters)
        for a in "ab":
            for b in "ab":
                c = text.count(a + b)  # from the left, without overlap
                pair = (a.encode(), b.encode())
                after = lab.merged(lab.as_bytes(text), pair)
                assert len(after) == len(text) - c
                assert b"".join(after) == text.encode()


@verifies("eq-transformers-mixed-gradient")
def test_gradient_of_a_mean_over_two_kinds():
    W, x = draw(4, 6).requires_grad_(), draw(11, 4, seed=1)
    y = torch.arange(11) % 6
    answers = torch.tensor([1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0], dtype=torch.bool)
    na, nu = int(answers.sum()), int((~answers).sum())
    (whole,) = torch.autograd.grad(F.cross_entropy(x @ W, y), W)
    (ga,) = torch.autograd.grad(F.cross_entropy(x[answers] @ W, y[answers]), W)
    (gu,) = torch.autograd.grad(
        F.cross_entropy(x[~answers] @ W, y[~answers]), W
    )
    assert torch.allclose(
        whole, na / (na + nu) * ga + nu / (na + nu) * gu, atol=1e-13
    )
    # A target of -100 is left out: the loss of the answers remains.
    masked = torch.where(answers, y, -100)
    (own,) = torch.autograd.grad(F.cross_entropy(x @ W, masked), W)
    assert torch.allclose(own, ga, atol=1e-13)


@verifies("eq-transformers-lora-count")
@pytest.mark.parametrize(("d", "e", "r"), [(6, 4, 2), (3, 9, 3), (5, 5, 1)])
def test_weights_of_the_thin_matrices(d, e, r):
    layer = lab.LoRA(nn.Linear(d, e), r)
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    assert trained == r * (d + e)
    nn.init.normal_(layer.B)
    assert torch.linalg.matrix_rank((layer.A @ layer.B).detach()) == r


@verifies("eq-transformers-lora-gradient")
def test_gradients_of_the_factors():
    d, e, r, alpha = 5, 4, 2, 1.7
    W, x, target = draw(d, e), draw(9, d, seed=1), draw(9, e, seed=2)
    A, B = (
        draw(d, r, seed=3).requires_grad_(),
        draw(r, e, seed=4).requires_grad_(),
    )
    for start in (1.0, 0.0):  # B as drawn, and B = 0
        B0 = (start * B).detach().requires_grad_()
        whole = (W + alpha * A @ B0).detach().requires_grad_()
        loss = torch.tanh(x @ W + alpha * (x @ A) @ B0 - target).square().sum()
        dA, dB = torch.autograd.grad(loss, (A, B0))
        same = torch.tanh(x @ whole - target).square().sum()
        (G,) = torch.autograd.grad(
            same, whole
        )  # what the whole matrix would get
        assert torch.allclose(dA, alpha * G @ B0.T, atol=1e-12)
        assert torch.allclose(dB, alpha * A.T @ G, atol=1e-12)
        assert dB.abs().max() > 0.01 and (dA.abs().max() > 0.01) == bool(start)


@verifies("eq-transformers-lora-merge")
def test_merged_is_the_same_layer():
    torch.manual_seed(0)
    layer = lab.LoRA(nn.Linear(6, 4).double(), 3, scale=1.5)
    nn.init.normal_(layer.B)
    x = draw(7, 6)
    W, b = layer.linear.weight.T, layer.linear.bias
    beside = x @ W + layer.scale * (x @ layer.A) @ layer.B
    inside = x @ (W + layer.scale * layer.A @ layer.B)
    assert torch.allclose(beside, inside, atol=1e-12)
    assert torch.allclose(layer.merge()(x), inside + b, atol=1e-12)
    assert torch.allclose(layer(x), inside + b, atol=1e-12)

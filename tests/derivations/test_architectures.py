"""Each numbered claim of book/architectures.md, checked: counts against built
layers, gradients against autograd, sums against simulation or symbols.
"""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation

from verifies import verifies


def weights(*layers):
    """Numbers in the weights of convolutions and dense layers, no biases."""
    kinds = nn.Conv2d, nn.Linear
    parts = nn.ModuleList(layers).modules()
    return sum(m.weight.numel() for m in parts if isinstance(m, kinds))


def conv(c, o, k=1, groups=1):
    return nn.Conv2d(c, o, k, groups=groups, bias=False)


# --- the networks before ResNet ----------------------------------------------


@verifies("eq-architectures-alexnet")
def test_dense_weights_of_alexnet():
    with torch.device("meta"):
        model = models.alexnet(weights=None)
    assert model.features(torch.zeros(1, 3, 224, 224, device="meta")).shape[
        1:
    ] == (256, 6, 6)
    printed = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    assert weights(model.classifier) == printed == 58621952


@verifies("eq-architectures-nin")
def test_weights_of_a_block_of_nin():
    for c, o, k in ((3, 8, 3), (5, 7, 5)):
        block = conv(c, o, k), conv(o, o), conv(o, o)
        assert weights(*block) == k**2 * c * o + 2 * o**2


@verifies("eq-architectures-small")
def test_small_kernels_see_as_far_for_less():
    for n, c in itertools.product((1, 2, 3, 4), (4, 6)):
        stack = [conv(c, c, 3) for _ in range(n)]
        field = 2 * n + 1
        x = torch.zeros(1, c, 15, 15, requires_grad=True)
        y = x
        for layer in stack:
            nn.init.ones_(layer.weight)
            y = layer(y)
        y[0, 0, 0, 0].backward()
        assert int((x.grad[0, 0, 0] != 0).sum()) == field
        one = weights(conv(c, c, field))
        assert sp.Rational(weights(*stack), one) == sp.Rational(
            9 * n, field**2
        )


@verifies("eq-architectures-inception")
def test_weights_of_the_first_inception_block():
    with torch.device("meta"):
        block = models.googlenet(
            weights=None, aux_logits=False, init_weights=False
        ).inception3a
    c, o1, r3, o3, r5, o5, op = 192, 64, 96, 128, 16, 32, 32

    def printed(fifth):
        return (
            c * o1
            + (c * r3 + 9 * r3 * o3)
            + (c * r5 + fifth * r5 * o5)
            + c * op
        )

    assert printed(25) == 163328
    # torchvision's third branch has 3 × 3 kernels where the paper has 5 × 5.
    assert weights(block) == printed(9)
    full = conv(c, o1), conv(c, o3, 3), conv(c, o5, 5), conv(c, op)
    assert weights(*full) == 393216


@verifies("eq-architectures-se")
def test_weights_of_squeeze_and_excitation():
    for c, r in ((64, 16), (96, 4)):
        assert weights(SqueezeExcitation(c, c // r)) == sp.Rational(
            2 * c**2, r
        )


# --- ResNet ------------------------------------------------------------------


@verifies("eq-architectures-bottleneck")
def test_weights_of_a_bottleneck():
    for c in (64, 256):
        block = models.resnet.Bottleneck(c, c // 4)
        printed = sp.Rational(17, 16) * c**2
        assert weights(block) == printed == 2 * c * c // 4 + 9 * (c // 4) ** 2
        assert weights(models.resnet.BasicBlock(c, c)) == 18 * c**2


def chain(depth, d, seed=0):
    """Blocks F of a residual chain in double precision."""
    torch.manual_seed(seed)
    blocks = [
        nn.Sequential(nn.Linear(d, 2 * d), nn.Tanh(), nn.Linear(2 * d, d))
        for _ in range(depth)
    ]
    return [block.double() for block in blocks]


@verifies("eq-architectures-unrolled")
def test_a_residual_chain_is_a_sum():
    blocks, d = chain(6, 5), 5
    xs = [torch.randn(3, d, dtype=torch.float64)]
    for block in blocks:
        xs.append(xs[-1] + block(xs[-1]))
    for start in range(6):
        parts = [blocks[i](xs[i]) for i in range(start, 6)]
        assert torch.allclose(xs[6], xs[start] + sum(parts), atol=1e-12)


@verifies("eq-architectures-gradient")
def test_the_gradient_has_the_part_that_no_weight_touches():
    d, blocks = 4, chain(5, 4)
    x0 = torch.randn(d, dtype=torch.float64)

    def branches(x):  # the sum of all F, with x running through the chain
        total = torch.zeros_like(x)
        for block in blocks:
            part = block(x)
            total, x = total + part, x + part
        return total

    def loss(x):
        return (x**3).sum()

    end = x0 + branches(x0)
    last = torch.autograd.functional.jacobian(loss, end)  # a row
    inner = torch.autograd.functional.jacobian(branches, x0)
    printed = last @ (torch.eye(d, dtype=torch.float64) + inner)

    x = x0.clone().requires_grad_()
    y = x
    for block in blocks:
        y = y + block(y)
    loss(y).backward()
    assert torch.allclose(x.grad, printed, atol=1e-11)
    assert not torch.allclose(x.grad, last @ inner, atol=1e-3)
    # The product over all ways through the network.
    product, y = torch.eye(d, dtype=torch.float64), x0
    for block in blocks:
        j = torch.autograd.functional.jacobian(block, y)
        product = (torch.eye(d, dtype=torch.float64) + j) @ product
        y = y + block(y)
    assert torch.allclose(last @ product, printed, atol=1e-11)


@verifies("eq-architectures-signal")
def test_growth_of_the_signal_with_and_without_norms():
    # He's dense layer behind a ReLU: F of mean square κ q. A symmetric
    # input half of which passes the ReLU makes κ = 1 with He's weights.
    d, depth, batch, draws = 64, 8, 256, 40
    g = torch.Generator().manual_seed(0)
    found = {False: [], True: []}
    for norm, _ in itertools.product((False, True), range(draws)):
        x = torch.randn(batch, d, generator=g, dtype=torch.float64)
        start = (x**2).mean()
        for _ in range(depth):
            w = torch.randn(d, d, generator=g, dtype=torch.float64)
            f = F.relu(x) @ w * math.sqrt(2 / d)
            if norm:
                f = F.batch_norm(f, None, None, training=True, eps=1e-12)
            x = x + f
        q = (x**2).mean()
        found[norm].append((q - start if norm else q / start).item())
    for norm, printed in ((False, (1 + 1.0) ** depth), (True, depth)):
        mean = np.mean(found[norm])
        error = np.std(found[norm]) / math.sqrt(draws)
        assert error < 0.1 * printed
        assert abs(mean - printed) < max(4 * error, 0.02 * printed)


@verifies("eq-architectures-explosion")
def test_a_norm_behind_every_layer_makes_gradients_grow():
    z = sp.Symbol("z", real=True)
    density = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    mean = sp.integrate(z * density, (z, 0, sp.oo))
    square = sp.integrate(z**2 * density, (z, 0, sp.oo))
    assert mean == 1 / sp.sqrt(2 * sp.pi) and square == sp.Rational(1, 2)
    variance = 2 * (square - mean**2)
    assert sp.simplify(variance - (1 - 1 / sp.pi)) == 0
    printed = math.sqrt(math.pi / (math.pi - 1))
    assert math.isclose(float(1 / sp.sqrt(variance)), printed)
    assert round(printed, 2) == 1.21
    # A wide network: sizes of the gradient behind each layer.
    g, d, depth = torch.Generator().manual_seed(0), 512, 16
    x = torch.randn(512, d, generator=g, dtype=torch.float64)
    seen = []
    for _ in range(depth):
        w = torch.randn(d, d, generator=g, dtype=torch.float64)
        x = x.relu() @ w * math.sqrt(2 / d)
        x = F.batch_norm(x, None, None, training=True)
        x.requires_grad_() if not seen else x.retain_grad()
        seen.append(x)
    x.backward(torch.randn(x.shape, generator=g, dtype=torch.float64))
    sizes = [part.grad.norm().item() for part in seen]
    factor = (sizes[1] / sizes[-1]) ** (1 / (depth - 2))
    assert abs(factor - printed) < 0.03


# --- less arithmetic ---------------------------------------------------------


@verifies("eq-architectures-dense")
def test_weights_of_a_dense_block():
    n, c, k, step = sp.symbols("n c k l", positive=True)
    left = sp.summation(9 * (c + (step - 1) * k) * k, (step, 1, n))
    right = 9 * k * (n * c + k * n * (n - 1) / 2)
    assert sp.expand(left - right) == 0
    layers = [conv(24 + 12 * i, 12, 3) for i in range(5)]
    assert weights(*layers) == right.subs({n: 5, c: 24, k: 12})


@verifies("eq-architectures-fire")
def test_weights_of_the_fire_block():
    block = models.squeezenet.Fire(128, 16, 64, 64)
    assert weights(block) == 16 * (128 + 10 * 64) == 12288
    assert weights(conv(128, 128, 3)) == 18 * 128 * 64 == 147456


@verifies("eq-architectures-separable")
def test_multiplications_of_a_separable_pair():
    from torch.utils.flop_counter import FlopCounterMode

    def same(c, o, k, groups=1):
        how = {"padding": k // 2, "groups": groups, "bias": False}
        return nn.Conv2d(c, o, k, **how)

    def macs(m, first, *rest):
        x = torch.zeros(1, first.in_channels, m, m)
        with FlopCounterMode(display=False) as counter:
            for layer in (first, *rest):
                x = layer(x)
        return counter.get_total_flops() // 2

    for c, o, k, m in ((16, 32, 3, 10), (8, 8, 5, 6)):
        pair = macs(m, same(c, c, k, c), same(c, o, 1))
        ratio = sp.Rational(pair, macs(m, same(c, o, k)))
        assert ratio == sp.Rational(1, o) + sp.Rational(1, k**2)


@verifies("eq-architectures-mobilenet")
def test_weights_of_mobilenet():
    outs = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    c, convs, norms = 32, 27 * 32, 2 * 32
    for o in outs:
        convs += weights(conv(c, c, 3, groups=c), conv(c, o))
        norms += sum(
            p.numel() for k in (c, o) for p in nn.BatchNorm2d(k).parameters()
        )
        c = o
    dense = sum(p.numel() for p in nn.Linear(c, 1000).parameters())
    assert (convs, norms, dense) == (3185088, 21888, 1025000)
    assert convs + norms + dense == 4231976


# --- scaling -----------------------------------------------------------------


@verifies("eq-architectures-mbconv")
def test_weights_of_mbconv():
    for c, o, k, t in ((16, 24, 3, 6), (24, 40, 5, 4)):
        block = models.mobilenetv2.InvertedResidual(c, o, 1, t)
        parts = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert len(parts) == 3
        kernel = 3 if k == 3 else 5
        if kernel == 5:
            parts[1] = conv(t * c, t * c, 5, t * c)
        assert weights(*parts) == t * c * c + k**2 * t * c + t * c * o


@verifies("eq-architectures-scaling")
def test_multiplications_grow_with_depth_width_and_resolution():
    def macs(depth, width, side):
        x, total = torch.zeros(1, width, side, side, device="meta"), 0
        for _ in range(depth):
            layer = nn.Conv2d(width, width, 3, padding=1, device="meta")
            x = layer(x)
            total += x[0].numel() * 9 * width
        return total

    base = macs(2, 8, 10)
    for d, w, r in ((2, 1, 1), (1, 2, 1), (1, 1, 2), (3, 2, 2), (1, 3, 4)):
        assert macs(2 * d, 8 * w, 10 * r) == base * d * w**2 * r**2


@verifies("eq-architectures-compound")
def test_the_product_of_the_three_bases():
    product = sp.Rational(6, 5) * sp.Rational(11, 10) ** 2
    product *= sp.Rational(23, 20) ** 2
    assert product == sp.Rational(192027, 100000)


# --- deeper ------------------------------------------------------------------


@verifies("eq-architectures-wide")
def test_widening_squares():
    for c, o, k, f in ((4, 6, 3, 2), (3, 5, 1, 4)):
        wide, narrow = weights(conv(f * c, f * o, k)), weights(conv(c, o, k))
        assert sp.Rational(wide, narrow) == f**2


@verifies("eq-architectures-resnext")
def test_weights_of_resnexts_block():
    for c, groups, d in ((256, 32, 4), (64, 4, 3)):
        inner = groups * d
        parts = conv(c, inner), conv(inner, inner, 3, groups), conv(inner, c)
        assert weights(*parts) == groups * d * (2 * c + 9 * d)
    block = models.resnet.Bottleneck(256, 64, groups=32, base_width=4)
    assert weights(block) == 32 * 4 * (512 + 36) == 70144
    assert weights(models.resnet.Bottleneck(256, 64)) == 69632


@verifies("eq-architectures-stochastic")
def test_expected_depth():
    p, n, step = sp.symbols("p L l", positive=True)
    total = sp.summation(1 - step / n * (1 - p), (step, 1, n))
    printed = n - (n + 1) / 2 * (1 - p)
    assert sp.simplify(total - printed) == 0
    at_half = printed.subs(p, sp.Rational(1, 2))
    assert sp.simplify(at_half - (3 * n - 1) / 4) == 0
    rng = np.random.default_rng(0)
    keep = rng.random((20000, 9)) > np.arange(1, 10) / 9 * 0.7
    counts = keep.sum(axis=1)
    error = counts.std() / math.sqrt(len(counts))
    expected = float(printed.subs({p: 0.3, n: 9}))
    assert abs(counts.mean() - expected) < 4 * error


@verifies("eq-architectures-tokens")
def test_number_of_patches():
    for side, patch in ((224, 16), (32, 4), (36, 6)):
        x = torch.zeros(1, 3, side, side)
        y = nn.Conv2d(3, 5, patch, patch)(x).flatten(2)
        assert y.shape[-1] == (side / patch) ** 2
    assert (224 // 16) ** 2 == 196


@verifies("eq-architectures-vit")
def test_multiplications_of_a_transformer_block():
    from torch.utils.flop_counter import FlopCounterMode

    for n, d in ((10, 16), (7, 24)):
        layer = nn.TransformerEncoderLayer(d, 2, 4 * d, batch_first=True)
        x = torch.zeros(1, n, d, requires_grad=True)
        with (
            nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            layer(x)
        flops = counter.get_total_flops()
        assert flops == 2 * (12 * n * d**2 + 2 * n**2 * d)


@verifies("eq-architectures-next")
def test_weights_of_convnexts_block():
    from torchvision.models.convnext import CNBlock

    for c in (16, 96):
        block = CNBlock(c, 1e-6, 0.0)
        assert weights(block) == 49 * c + 8 * c**2


@verifies("eq-architectures-fold")
def test_a_folded_norm():
    torch.manual_seed(0)
    layer = Conv2dNormActivation(3, 5, 3, activation_layer=None).double()
    norm = layer[1]
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(norm.running_var, 0.1, 2)
    layer.eval()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    root = (norm.running_var + norm.eps).sqrt()
    w = (norm.weight / root)[:, None, None, None] * layer[0].weight
    b = norm.bias - norm.weight * norm.running_mean / root
    assert torch.allclose(layer(x), F.conv2d(x, w, b, padding=1), atol=1e-12)


@verifies("eq-architectures-merge")
@pytest.mark.parametrize("c", [1, 3, 4])
def test_three_branches_are_one_kernel(c):
    torch.manual_seed(c)
    w3 = torch.randn(c, c, 3, 3, dtype=torch.float64)
    w1 = torch.randn(c, c, 1, 1, dtype=torch.float64)
    x = torch.randn(2, c, 5, 6, dtype=torch.float64)
    branches = F.conv2d(x, w3, padding=1) + F.conv2d(x, w1) + x
    middle = torch.zeros(3, 3, dtype=torch.float64)
    middle[1, 1] = 1
    unit = w1[:, :, 0, 0] + torch.eye(c, dtype=torch.float64)
    kernel = w3 + torch.einsum("oc,uv->ocuv", unit, middle)
    assert torch.allclose(branches, F.conv2d(x, kernel, padding=1), atol=1e-12)

"""What the lab convolution exports, against torch.nn.functional and by construction."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dlp_utils.models import convolution as lab


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


SETTINGS = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize(("stride", "padding"), SETTINGS)
def test_three_ways_to_write_the_layer_agree_with_torch(stride, padding):
    x, w, b = arrays((2, 3, 9, 7), (4, 3, 3, 3), (4,))
    expected = F.conv2d(*map(torch.from_numpy, (x, w, b)), stride, padding).numpy()
    loops = np.stack([lab.convolve(a, w, b, stride, padding) for a in x])
    for found in (loops, lab.by_columns(x, w, b, stride, padding), lab.by_shifts(x, w, b, stride, padding)):
        assert found.shape == expected.shape and np.allclose(found, expected, atol=1e-12)


def test_columns_stand_in_the_order_of_torchs_unfold():
    (x,) = arrays((2, 3, 6, 5))
    expected = F.unfold(torch.from_numpy(x), 3, stride=2, padding=1).numpy()
    assert np.array_equal(lab.im2col(x, 3, 2, 1), expected)


@pytest.mark.parametrize(("stride", "padding"), SETTINGS)
def test_gradients_agree_with_autograd_and_inputs_stay(stride, padding):
    x, w = arrays((2, 3, 8, 9), (4, 3, 3, 3))
    tx, tw = (torch.from_numpy(a.copy()).requires_grad_() for a in (x, w))
    tb = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(tx, tw, tb, stride, padding)
    (dy,) = arrays(tuple(y.shape), seed=1)
    y.backward(torch.from_numpy(dy))
    before = x.copy()
    found = lab.convolve_backward(dy, x, w, stride, padding)
    for a, b in zip(found, (tx.grad, tw.grad, tb.grad), strict=True):
        assert np.allclose(a, b.numpy(), atol=1e-12)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_max_pooling_agrees_with_torch_in_ties_too(size):
    x = np.random.default_rng(2).integers(0, 3, (2, 3, 7, 6)).astype(float)
    tx = torch.from_numpy(x.copy()).requires_grad_()
    y = F.max_pool2d(tx, size)
    z, winner = lab.max_pool(x, size)
    assert np.array_equal(z, y.detach().numpy())
    (dy,) = arrays(tuple(y.shape))
    y.backward(torch.from_numpy(dy))
    assert np.allclose(lab.max_pool_backward(dy, winner, size, x.shape), tx.grad.numpy())


def test_a_kernel_that_does_not_fit_is_refused():
    assert lab.output_size(7, 3, dilation=3) == 1
    with pytest.raises(ValueError, match="pad more"):
        lab.output_size(6, 3, dilation=3)
    with pytest.raises(ValueError, match="does not fit"):
        lab.convolve(np.zeros((1, 2, 2)), np.zeros((1, 1, 3, 3)))


def test_the_gpu_configuration_is_lenet_5():
    model = lab.build(lab.CONFIGS["gpu"])
    assert sum(p.numel() for p in model.parameters()) == 61706
    for config in lab.CONFIGS.values():
        x, y = lab.example_batch(config, "cpu")
        loss = lab.step(lab.build(config), (x, y))
        assert loss.isfinite() and abs(loss.item() - np.log(10)) < 0.3


def test_pictures_move_and_zeros_come_in():
    x = torch.arange(1.0, 13).reshape(1, 1, 3, 4)
    moved = lab.shift(x, 1, -2)[0, 0]
    assert moved.tolist() == [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0]]
    assert torch.equal(lab.shift(x, 0, 0), x)
    (digits, _), _ = lab.digit_pictures(0)
    for k in (0, 3, 8):
        assert torch.equal(lab.canvas(digits[:5], k), lab.shift(lab.canvas(digits[:5]), 0, k))


def test_the_divisor_scales_and_nothing_else():
    (x, y), (x_test, _) = lab.digit_pictures(1)
    (faint, same), _ = lab.digit_pictures(1, 255.0)
    assert x.max() == 1 and x_test.shape == (594, 1, 8, 8)
    assert torch.equal(y, same) and torch.allclose(faint * 255 / 16, x, atol=1e-6)


@pytest.mark.parametrize("pool", ["max", "blur", None])
def test_networks_of_the_comb_keep_the_shifts_that_they_should(pool):
    torch.manual_seed(0)
    model = lab.CombNet(pool).eval()
    (x, _), _ = lab.digit_pictures(0)
    with torch.no_grad():  # far from the border, whose zeros would be seen
        wide = (F.pad(lab.canvas(x[:50], k), (16,) * 4) for k in (0, 1, 4))
        here, one, four = (model(canvas) for canvas in wide)
    assert torch.allclose(here, four, atol=1e-5)
    assert ((here - one).abs().max() < 1e-5) == (pool is None)


def test_a_flattened_head_sees_every_shift():
    torch.manual_seed(0)
    model = lab.CombNet(place=True)
    (x, _), _ = lab.digit_pictures(0)
    here, four = (model(lab.canvas(x[:50], k)) for k in (0, 4))
    assert (here - four).abs().max() > 1e-3


def test_blurred_pooling_keeps_a_constant_inside_and_halves_the_size():
    y = lab.BlurPool()(torch.ones(1, 2, 8, 8))
    assert y.shape == (1, 2, 4, 4) and torch.allclose(y[..., 1:, 1:], torch.ones(1, 2, 3, 3))


def test_one_row_of_the_comb_in_short():
    found = lab.comb_run("global", 0, epochs=1)
    assert list(found) == [*(f"shift_{k}" for k in range(9)), "weights"]
    assert found["weights"] == 6218 and 0 <= found["shift_0"] <= 1
    moved = next(iter(lab.Anywhere(lab.canvas(lab.digit_pictures(0)[0][0]), torch.arange(1203), 64)))
    assert moved[0].shape == (64, 1, 28, 28)

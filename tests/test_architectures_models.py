"""What the lab architectures exports, against torchvision, torch's own counter, and by construction."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models as named

from dlp_utils.data import fetch, textures
from dlp_utils.models import architectures as lab


def stirred(model, seed=0):
    """Weights and running statistics that are not those of a fresh network."""
    g = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean):
                value.data = 0.5 + 0.5 * torch.rand(value.shape, generator=g)
            module.running_var = 0.5 + torch.rand(module.running_var.shape, generator=g)
    return model.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_torchvisions_weights_load_and_give_its_outputs(name):
    theirs, ours = stirred(getattr(named, name)(weights=None)), lab.resnet(name)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = theirs(x), ours.eval()(x)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", lab.RESNETS)
def test_named_networks_have_torchvisions_names_and_shapes(name):
    with torch.device("meta"):
        theirs, ours = getattr(named, name)(weights=None), lab.resnet(name)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (theirs, ours)]
    assert shapes[0] == shapes[1]


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="there are"):
        lab.resnet("resnet19")
    with pytest.raises(ValueError, match="there are"):
        lab.race_run("VGG-17", 1e-2, 0)
    with pytest.raises(ValueError, match="not 6n"):
        lab.build(lab.Config(10))
    with pytest.raises(ValueError, match="no shortcut"):
        lab.BasicBlock(2, 2, kind="padded")


def test_mobilenet_is_its_table():
    with torch.device("meta"):
        model = lab.mobilenet()
    assert lab.count(model, (1, 3, 224, 224)) == (4231976, 568740352)
    table = lab.mobile_table()
    assert sum(row[3] for row in table) == 568740352 and len(table) == 28
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == 27


@pytest.mark.parametrize("name", lab.RACE)
def test_the_race_is_fair_and_counted_right(name):
    model, x = lab.RACE[name]().eval(), torch.zeros(1, 1, 32, 32)
    weights, macs = lab.count(model, (1, 1, 32, 32))
    assert weights == sum(p.numel() for p in model.parameters()) and 0.9e6 < macs < 1.1e6
    with (
        nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        out = model(x)
    assert counter.get_total_flops() == 2 * macs
    assert out.shape == (1, 16)


def test_counting_changes_no_mode_and_leaves_no_hook():
    model = lab.RACE["VGG"]()
    lab.count(model, (1, 1, 32, 32))
    assert model.training and not any(m._forward_hooks for m in model.modules())
    assert lab.count(model.eval(), (2, 1, 32, 32))[1] == 2 * lab.count(model, (1, 1, 32, 32))[1]
    assert not model.training


@pytest.mark.parametrize("depth", [8, 20])
def test_plain_and_residual_have_the_same_weights(depth):
    plain, residual = (lab.build(lab.Config(depth, kind=kind)) for kind in (None, "pad"))
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (plain, residual)]
    assert shapes[0] == shapes[1]
    layers = [m for m in plain.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


def test_a_block_whose_branch_is_silent_is_its_shortcut():
    block = lab.BasicBlock(4, 8, 2, "pad").eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 6, 6)
    y = block(x)
    assert torch.equal(y[:, :4], x[:, :, ::2, ::2].relu()) and not y[:, 4:].any()
    plain = lab.BasicBlock(4, 4, kind=None).eval()
    nn.init.zeros_(plain.bn2.weight)
    assert not plain(x).any()


def test_dense_blocks_keep_and_mbconv_adds():
    x = torch.randn(2, 5, 6, 6)
    assert torch.equal(lab.Dense(5, 3).eval()(x)[:, :5], x)
    for c, o, stride in ((5, 5, 1), (5, 6, 1), (5, 5, 2)):
        block = lab.MBConv(c, o, stride=stride).eval()
        nn.init.zeros_(block.layers[-1][1].weight)
        y = block(x)
        assert torch.equal(y, x) if block.skip else not y.any()
        assert block.skip == (c == o and stride == 1)


def test_padding_is_tensorflows():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 3, 3] = 1  # seen by the last window, which reads rows 2, 3 and a zero
    layer = lab.conv_bn(1, 1, 3, 2, act=None, tf=True).eval()
    nn.init.ones_(layer[1].weight)
    assert layer(x)[0, 0].gt(0).tolist() == [[False, False], [False, True]]
    ordinary = lab.conv_bn(1, 1, 3, 2, act=None).eval()
    nn.init.ones_(ordinary[0].weight)
    x[0, 0] = torch.eye(4)
    assert not torch.allclose(ordinary(x), layer(x))


def test_squeeze_and_excitation_scales_each_map():
    layer, x = lab.SqueezeExcite(8), torch.randn(2, 8, 3, 3)
    ratio = layer(x) / x
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio), atol=1e-5)
    assert ratio.min() > 0 and ratio.max() < 1


def test_tensors_in_order_refuse_what_does_not_fit():
    there = nn.Linear(2, 3).state_dict()
    assert torch.equal(lab.load_in_order(nn.Linear(2, 3), there).weight, there["weight"])
    with pytest.raises(ValueError, match="2 tensors for 4"):
        lab.load_in_order(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), there)
    with pytest.raises(ValueError, match="does not fit"):
        lab.load_in_order(nn.Linear(3, 2), there)


# Of a fixed picture, by the package efficientnet-lite-pytorch 0.1.0 with the same weights.
REFERENCE = (0.4097, 0.2779, 3.5642, 1.6671, 3.4044, 1.6488, -2.4727, -3.7298, -4.5364, 4.9270)


def test_lite0_gives_the_packages_outputs():
    try:
        with fetch.no_downloads():
            textures.lite0_weights()
    except fetch.FetchError:
        pytest.skip("the weights of EfficientNet-lite0 are not on this machine")
    model = lab.lite0().eval()
    x = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).sin()
    x = x + 0.5 * torch.cos(torch.arange(64) / 3).reshape(1, 1, 1, 64)
    with torch.no_grad():
        found = model(x)[0]
    assert torch.allclose(found[::100], torch.tensor(REFERENCE), atol=2e-3)
    assert sum(p.numel() for p in model.parameters()) == 4652008


def test_without_weights_one_sentence_and_no_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with fetch.no_downloads():
        assert lab.lite0() is None
        assert "study" in capsys.readouterr().out
        assert lab.transfer_run("head", 5, 0) is None


def test_each_form_freezes_what_it_says():
    model = lab.Lite0(16)
    frozen = {form: lab.divided(model, form)[0] for form in lab.FORMS}
    counts = {form: sum(p.numel() for p in part.parameters()) for form, part in frozen.items()}
    assert counts["all"] == counts["scratch"] == 0 < counts["last"] < counts["head"]
    assert counts["head"] == sum(p.numel() for p in model.parameters()) - 1281 * 16
    assert sum(isinstance(layer, lab.MBConv) for layer in frozen["last"]) == 10


def test_tuning_keeps_the_norms_that_came_with_the_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), lab.GlobalMean(), nn.Linear(4, 3))
    x, y = torch.randn(24, 1, 5, 5), torch.arange(24) % 3
    before = {k: v.clone() for k, v in model.state_dict().items()}
    lab.tune(model, x, y, 2, (0.01, 0.1), 0)
    after = model.state_dict()
    assert torch.equal(before["1.running_mean"], after["1.running_mean"])
    assert not torch.equal(before["0.weight"], after["0.weight"])
    lab.tune(model, x, y, 1, (0.01, 0.1), 0, norms=True)
    assert not torch.equal(before["1.running_mean"], model.state_dict()["1.running_mean"])


def test_one_row_of_each_study_in_short():
    found = lab.depth_run(8, "plain", 0, epochs=1)
    assert 0 < found["train_loss"] < 5 and 0 <= found["test_accuracy"] <= 1
    found = lab.race_run("VGG", 1e-2, 0, epochs=1)
    assert set(found) == {"train", "valid", "test"}
    found = lab.signals(56, "plain", True, 0)
    assert found["gradient"] > 100 and 0.5 < found["growth"] < 2


def test_every_configuration_gives_a_loss_near_guessing():
    for config in lab.CONFIGS.values():
        small = lab.Config(**(vars(config) | {"batch": 8}))
        loss = lab.step(lab.build(small), lab.example_batch(small, "cpu"))
        assert loss.isfinite() and loss < 8

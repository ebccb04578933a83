"""Every model of the book takes a training step on a GPU that is not there.

On PyTorch's fake tensors nothing is computed, but each operation checks its devices, so a tensor that was made
without naming one is caught. Backward passes do not run there; those are checked on the cpu, at the smallest scale.
"""

import importlib
import pkgutil
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dlp_utils as dlp
from dlp_utils import models
from dlp_utils.device import PROFILES, estimate

device_module = importlib.import_module("dlp_utils.device")  # dlp.device is the function

# Without a driver the fake tensors of PyTorch 2.6 ask for one; those of 2.14 do not.
fake_cuda = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7) and not torch.cuda.is_available(),
    reason=f"fake tensors on cuda need a driver with torch {torch.__version__}",
)
NAMES = ("CONFIGS", "build", "example_batch", "step")
MODULES = [
    importlib.import_module(f"{models.__name__}.{info.name}")
    for info in pkgutil.iter_modules(models.__path__)
]


def has_network(module):
    mine = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    return any(isinstance(value, type) and issubclass(value, nn.Module) for value in mine)


def missing(module):
    """Return what a module of models lacks to be tried here; a module without a network may offer nothing."""
    lacks = [name for name in NAMES if not hasattr(module, name)]
    if len(lacks) == len(NAMES) and not has_network(module):
        return []
    return lacks or [f"CONFIGS[{name!r}]" for name in PROFILES if name not in module.CONFIGS]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_each_module_offers_what_it_takes_to_try_it(module):
    lacks = missing(module)
    assert not lacks, f"{module.__name__} lacks {', '.join(lacks)}: export them from its notebook"


TRIED = [module for module in MODULES if hasattr(module, "build")]


@fake_cuda
@pytest.mark.parametrize("module", TRIED, ids=lambda module: module.__name__)
def test_step_of_the_gpu_model_on_fake_cuda(module, capsys):
    cost = estimate(module.build, module.example_batch, module.step, module.CONFIGS["gpu"])
    with capsys.disabled():
        print(
            f"\n{module.__name__} at the gpu profile, estimated: {cost['parameters'] / 1e6:.2f} M parameters, "
            f"{cost['flops'] / 1e9:.2f} GFLOP forward, {cost['activation_mb']:.0f} MiB activations"
        )
    assert cost["parameters"] > 0 and cost["flops"] > 0 and cost["activation_mb"] > 0


@pytest.mark.parametrize("module", TRIED, ids=lambda module: module.__name__)
def test_step_of_the_smallest_model_reaches_every_parameter(module):
    dlp.seed_everything(0)
    config, cpu = module.CONFIGS["smoke"], torch.device("cpu")
    model = module.build(config)
    result = module.step(model, module.example_batch(config, cpu))
    loss = result["loss"] if isinstance(result, dict) else result
    assert loss.ndim == 0 and loss.isfinite()
    loss.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert (
        trained
        and [name for name, p in trained.items() if p.grad is None or not p.grad.isfinite().all()] == []
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("module", TRIED, ids=lambda module: module.__name__)
def test_step_of_the_smallest_model_in_mixed_precision(module, dtype):
    """The cpu's autocast hands the same operations 16 bits as that of cuda, where `fit` uses it by itself."""
    dlp.seed_everything(0)
    config = module.CONFIGS["smoke"]
    model, batch = module.build(config), module.example_batch(config, torch.device("cpu"))
    with torch.autocast("cpu", dtype):
        result = module.step(model, batch)
    loss = result["loss"] if isinstance(result, dict) else result
    assert loss.isfinite() and loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


# The check itself


def build(config):
    return nn.Sequential(nn.Linear(config, 64), nn.ReLU(), nn.Linear(64, 10))


def example_batch(config, device):
    return torch.randn(8, config, device=device), torch.zeros(8, dtype=torch.long, device=device)


def step(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def test_estimate_counts_what_can_be_counted_by_hand():
    cost = estimate(build, example_batch, step, 32)
    assert cost["parameters"] == (32 + 1) * 64 + (64 + 1) * 10
    assert cost["flops"] == 2 * 8 * 32 * 64 + 2 * 8 * 64 * 10
    # kept for the backward pass: the input, the hidden layer, the log-softmax, the labels (8 bytes each), one scalar
    assert cost["activation_mb"] * 2**20 == 4 * (8 * 32 + 8 * 64 + 8 * 10 + 1) + 8 * 8
    assert not torch.cuda.is_initialized()


def test_estimate_counts_the_same_where_fake_tensors_want_a_driver(monkeypatch):
    asked, real = [], device_module._estimate

    def old(build, example_batch, step, config, device):
        asked.append(device)
        if device == "cuda":
            raise RuntimeError("CUDA error: CUDA driver version is insufficient for CUDA runtime version")
        return real(build, example_batch, step, config, device)

    expected = estimate(build, example_batch, step, 32)
    monkeypatch.setattr(device_module, "_estimate", old)
    assert estimate(build, example_batch, step, 32) == expected and asked == ["cuda", "cpu"]
    monkeypatch.setattr(device_module, "_estimate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        estimate(build, example_batch, step, 32)


def test_estimate_takes_a_dict_of_losses_and_another_batch():
    double = estimate(
        build, lambda c, d: tuple(t.repeat(2, *[1] * (t.ndim - 1)) for t in example_batch(c, d)), step, 32
    )
    once = estimate(build, example_batch, lambda m, b: {"loss": step(m, b), "other": 1.0}, 32)
    assert double["flops"] == 2 * once["flops"] and double["parameters"] == once["parameters"]


class Positions(nn.Module):
    """Adds a ramp that is made on the device `where`; None forgets to name one."""

    def __init__(self, size, where):
        super().__init__()
        self.layer, self.where = nn.Linear(size, 10), where

    def forward(self, x):
        device = x.device if self.where == "x" else self.where
        return self.layer(x + torch.arange(x.shape[1], device=device))


@fake_cuda
def test_a_tensor_without_device_is_caught():
    assert estimate(lambda c: Positions(c, "x"), example_batch, step, 32)["flops"] > 0
    for forgotten in (None, "cpu"):
        with pytest.raises(RuntimeError, match=r"(?s)device.*cuda.*cpu"):
            estimate(lambda c, d=forgotten: Positions(c, d), example_batch, step, 32)


@fake_cuda
def test_a_loss_on_the_cpu_is_caught():
    with pytest.raises(RuntimeError, match="the loss is on cpu; create its tensors on cuda"):
        estimate(build, example_batch, lambda m, b: step(m, b).cpu(), 32)


@fake_cuda
def test_a_table_made_once_on_the_cpu_is_caught():
    table = torch.ones(32)
    with pytest.raises(Exception, match=r"(?i)fake"):
        estimate(build, example_batch, lambda m, b: step(m, (b[0] * table, b[1])), 32)


def test_a_network_without_build_or_configs_is_named():
    module = ModuleType("planted")
    assert missing(module) == []
    module.Net = type("Net", (nn.Module,), {"__module__": "planted"})
    assert missing(module) == list(NAMES)
    module.CONFIGS, module.example_batch, module.step = {"smoke": 1, "cpu": 2}, example_batch, step
    assert missing(module) == ["build"]
    module.build = build
    assert missing(module) == ["CONFIGS['gpu']"]
    del module.Net  # what offers a part must offer all
    del module.step
    assert missing(module) == ["step"]

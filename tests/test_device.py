"""Device choice, scale, seeds and cost of `dlp_utils.device`."""

import importlib
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import dlp_utils as dlp


def test_import_leaves_cuda_alone_and_heavy_libraries_out():
    code = (
        "import sys, dlp_utils; late = {'accelerate', 'matplotlib', 'pandas', 'IPython', 'torch'}; "
        "print(sorted(late & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
    assert not torch.cuda.is_initialized()


def test_name_device_stays_the_function_after_its_module_was_imported():
    importlib.import_module("dlp_utils.device")
    assert isinstance(dlp.device("cpu"), torch.device)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, 0, "cpu"), (0, 1, "mps"), (1, 0, "cuda:0"), (1, 1, "cuda:0")]
)
def test_device_prefers_cuda_then_mps_then_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(mps))
    assert dlp.device() == torch.device(expected)


def test_device_of_each_process_and_forced_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert dlp.device() == torch.device("cuda:1")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert dlp.device() == torch.device("cpu")


@pytest.mark.parametrize("prefer", ["cuda", "cuda:3", "mps", torch.device("cuda")])
def test_asking_for_what_is_not_there_is_one_clear_sentence(monkeypatch, prefer):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        RuntimeError, match=rf"device '{prefer}' was asked for, but PyTorch sees 0 .* choose a GPU"
    ):
        dlp.device(prefer)


def test_second_gpu_of_one_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert dlp.device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(RuntimeError, match="'cuda:1' was asked for, but PyTorch sees 1"):
        dlp.device("cuda:1")
    assert dlp.device("cpu") == torch.device("cpu")


def test_profile_follows_the_variable_then_the_hardware(monkeypatch):
    for name in ("smoke", "cpu", "gpu"):
        monkeypatch.setenv("DLP_PROFILE", name)
        assert dlp.profile() == name
        assert dlp.choose(smoke=1, cpu=2, gpu=3) == {"smoke": 1, "cpu": 2, "gpu": 3}[name]
    monkeypatch.delenv("DLP_PROFILE")
    for found, expected in (("cpu", "cpu"), ("mps", "gpu"), ("cuda", "gpu")):
        monkeypatch.setattr(
            sys.modules["dlp_utils.device"], "device", lambda found=found: torch.device(found)
        )
        assert dlp.profile() == expected


@pytest.mark.parametrize("value", ["GPU!", "CPU", "Smoke", " gpu", "cpu ", "cp", "cpu,gpu"])
def test_bad_profile_is_named(monkeypatch, value):
    monkeypatch.setenv("DLP_PROFILE", value)
    with pytest.raises(ValueError, match=rf"DLP_PROFILE is '{value}'; it must be one of smoke, cpu, gpu"):
        dlp.profile()


@pytest.mark.parametrize("given", [{}, {"cpu": 1}, {"smoke": 1, "cpu": 2, "gpu": 3, "tpu": 4}])
def test_choose_wants_all_three_whatever_the_machine(given):
    with pytest.raises(TypeError, match="one value for each of smoke, cpu, gpu"):
        dlp.choose(**given)


def test_seed_everything_repeats_all_three_streams():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    own = dlp.seed_everything(7)
    first, first_own = draw(), torch.rand((), generator=own).item()
    own = dlp.seed_everything(7)
    assert (draw(), torch.rand((), generator=own).item()) == (first, first_own)
    dlp.seed_everything(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_returned_generator_is_its_own_stream():
    own = dlp.seed_everything(7)
    expected = torch.rand(3)
    dlp.seed_everything(7)
    torch.rand(5, generator=own)
    assert torch.equal(torch.rand(3), expected)  # drawing from `own` did not move the global stream
    assert torch.equal(torch.rand(2, generator=dlp.generator(3)), torch.rand(2, generator=dlp.generator(3)))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
def test_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match=re.escape(f"the seed is {seed!r}")):
        dlp.seed_everything(seed)


@pytest.mark.slow
def test_peak_memory_sees_a_large_array_and_keeps_it():
    code = (
        "import dlp_utils as dlp, numpy as np; a = dlp.peak_memory()['process_mb']; "
        "x = np.ones(2**25); del x; print(dlp.peak_memory()['process_mb'] - a, dlp.peak_memory()['gpu_mb'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, gpu = map(float, answer.stdout.split())
    assert 240 < grown < 300 and gpu == 0  # 2**25 numbers of 8 bytes are 256 MiB


def test_machine_is_one_line_without_names():
    import getpass
    import socket

    line = dlp.machine()
    assert "\n" not in line
    assert f"torch {torch.__version__}" in line and "core" in line and "GiB RAM" in line
    for private in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(private)}\b", line)


def test_count_parameters_counts_shared_ones_once_and_can_leave_out_frozen_ones():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3, bias=False))
    assert dlp.count_parameters(model) == 3 * 4 + 4 + 4 * 3
    model[1].requires_grad_(False)
    assert dlp.count_parameters(model, trainable_only=True) == 3 * 4 + 4
    model[1].weight = model[0].weight
    assert dlp.count_parameters(model) == 3 * 4 + 4

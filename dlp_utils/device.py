"""Devices, seeds, scale and cost: what every notebook asks first.

Nothing here is decided at import. torch is imported inside the functions, so that `import dlp_utils`
costs little and touches no GPU.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

PROFILES = ("smoke", "cpu", "gpu")
MIB = 2**20


def device(prefer=None):
    """Return the `torch.device` to work on: cuda, else mps, else cpu.

    `prefer` ("cuda", "cuda:1", "mps", "cpu" or a `torch.device`) asks for one device and raises
    `RuntimeError` where this machine does not have it. Under `torchrun` each process gets its own GPU.
    The variable ACCELERATE_USE_CPU=1, which Accelerate knows too, keeps everything on the cpu.
    """
    import torch

    mps = torch.backends.mps.is_available()
    if prefer is not None:
        wanted = torch.device(prefer)
        gpus = torch.cuda.device_count() if wanted.type == "cuda" else int(mps)
        if wanted.type in ("cuda", "mps") and (wanted.index or 0) >= gpus:
            raise RuntimeError(
                f"device {str(wanted)!r} was asked for, but PyTorch sees {gpus} {wanted.type} device(s) "
                "here; choose a GPU runtime, or call device() to take what there is"
            )
        return wanted
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on"):
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("mps" if mps else "cpu")


def profile():
    """Return the scale to run at: "smoke" (seconds), "cpu" (two cores, minutes) or "gpu" (paper size).

    The variable DLP_PROFILE decides; without it "gpu" where there is a cuda or mps device, else "cpu".
    A value that is none of the three raises `ValueError`.
    """
    asked = os.environ.get("DLP_PROFILE", "")
    if not asked:
        return "cpu" if device().type == "cpu" else "gpu"
    if asked not in PROFILES:
        raise ValueError(f"DLP_PROFILE is {asked!r}; it must be one of {', '.join(PROFILES)}, or not set")
    return asked


def choose(**by_profile):
    """Return the value given for the current profile: `choose(smoke=2, cpu=20, gpu=200)`.

    A missing or unknown profile raises `TypeError`, on every machine alike.
    """
    if set(by_profile) != set(PROFILES):
        given = ", ".join(by_profile) or "none"
        raise TypeError(f"choose needs one value for each of {', '.join(PROFILES)}; it got {given}")
    return by_profile[profile()]


def generator(seed, device="cpu"):
    """Return a new `torch.Generator` on `device`, seeded with the integer `seed`."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def seed_everything(seed):
    """Seed `random`, NumPy and torch (all devices) with `seed`; return a fresh cpu generator of that seed.

    The seed must lie between 0 and 2**32 - 1, which is what NumPy takes.
    """
    import random

    import numpy as np
    import torch

    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"the seed is {seed!r}; it must be a whole number from 0 to 2**32 - 1")
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return generator(seed)


def peak_memory():
    """Return `{"process_mb", "gpu_mb"}`: the most memory this process held so far, in MiB.

    `gpu_mb` counts what PyTorch allocated on the current cuda device; it is 0.0 where cuda was not used.
    """
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    return {"process_mb": round(_peak_bytes() / MIB, 1), "gpu_mb": round(gpu / MIB, 1)}


def _peak_bytes():
    status = Path("/proc/self/status")
    if status.exists():
        # Preferred on Linux: ru_maxrss of a child process starts at its parent's memory.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def machine():
    """Describe this machine in one line: processor, cores, memory, GPU and versions; no host or user name."""
    import psutil
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(device("cuda"))
        accelerator = f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)"
    else:
        accelerator = "mps" if torch.backends.mps.is_available() else "no GPU"
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB RAM"
    versions = f"torch {torch.__version__}", f"Python {platform.python_version()}"
    return ", ".join([_processor(), f"{cores} core{'s' * (cores != 1)}", memory, accelerator, *versions])


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    if sys.platform == "darwin":
        answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def count_parameters(model, trainable_only=False):
    """Return how many numbers the parameters of `model` hold; shared parameters count once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def estimate(build, example_batch, step, config, device="cuda"):
    """Estimate the cost of one training step without running it, on fake tensors of `device`.

    `build(config)` makes the model, `example_batch(config, device)` a batch, `step(model, batch)` the loss or
    a dict with "loss". Returns `{"parameters", "flops", "activation_mb"}`: the count of parameters, the
    floating point operations of one forward pass, and the tensors kept for the backward pass in MiB.
    No GPU is needed. A tensor left on the cpu raises, as it would on the real device; not so where PyTorch is so old (2.6)
    that its fake tensors want a driver that is missing: then they are made on the cpu, and the counts are the same.
    """
    try:
        return _estimate(build, example_batch, step, config, device)
    except RuntimeError as error:
        if "CUDA driver" not in str(error):
            raise
        return _estimate(build, example_batch, step, config, "cpu")


def _estimate(build, example_batch, step, config, device):
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # holding the storage keeps its id from being used again
        return tensor

    # cuDNN's recurrent layers ask the real card, which is not there; PyTorch's own ones compute the same.
    with FakeTensorMode(), torch.backends.cudnn.flags(enabled=False):
        with torch.device(device):  # for the weights only: what `step` creates must name its own device
            model = build(config)
        batch = example_batch(config, torch.device(device))
        counter = FlopCounterMode(display=False)
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = step(model, batch)
        loss = result["loss"] if isinstance(result, dict) else result
        if loss.device.type != torch.device(device).type:
            raise RuntimeError(
                f"the loss is on {loss.device}; create its tensors on {device}, like the batch"
            )
        for tensor in (*model.parameters(), *model.buffers()):
            kept.pop(tensor.untyped_storage()._cdata, None)
        return {
            "parameters": count_parameters(model),
            "flops": counter.get_total_flops(),
            "activation_mb": sum(storage.nbytes() for storage in kept.values()) / MIB,
        }

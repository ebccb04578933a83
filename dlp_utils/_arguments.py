"""What the arguments of `fit` mean: whole numbers, precision, schedule, where it runs and where it logs."""

import math
import os
from pathlib import Path

import torch


def whole(name, value, least=1):
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {least}")


def folder_for(log):
    """Return the folder that `log` names; one sentence where it can be none."""
    if not isinstance(log, (str, os.PathLike)) or not str(log):
        raise TypeError(f"log is {log!r}; give the name of a folder, for example 'runs/first'")
    folder = Path(log).expanduser()
    if not folder.name.strip("."):  # "." and ".."
        folder = folder.resolve()
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if there.exists() and not there.is_dir():
        raise ValueError(f"log is {str(log)!r}, but {there} is a file; give the name of a folder")
    return folder


def dtype_for(precision, device, launched_with):
    """Return the dtype for autocast, or None; `launched_with` is what `accelerate launch` was told."""
    dtypes = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision == "auto":
        precision = "fp32"
        if device.type == "cuda":
            native = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
            precision = launched_with if launched_with in dtypes else native
    if precision not in dtypes:
        raise ValueError(f"precision is {precision!r}; choose 'auto', 'fp32', 'bf16' or 'fp16'")
    if dtypes[precision] and device.type != "cuda":
        raise ValueError(
            f"precision {precision!r} needs a cuda device, this run is on {device}; choose 'auto'"
        )
    return dtypes[precision]


def rate_factor(schedule, warmup, total):
    """Return the function from the step (from 0) to the factor of the learning rate; None: always 1."""
    if schedule == "cosine":
        if total == math.inf:
            raise ValueError(
                "schedule 'cosine' must know the number of steps, and the loader has no length: give steps=…"
            )
        span = max(1, total - warmup)

        def shape(step):
            return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0, step - warmup) / span)))

    elif callable(schedule):
        shape = schedule
    elif schedule not in (None, "constant"):
        raise ValueError(f"schedule is {schedule!r}; choose 'constant', 'cosine' or a function of the step")
    elif warmup == 0:
        return None
    else:

        def shape(step):
            return 1.0

    return lambda step: shape(step) * (min(1.0, (step + 1) / warmup) if warmup else 1.0)


def new_accelerator():
    import logging

    from accelerate import Accelerator

    # On an old kernel Accelerate warns of hanging processes, which a notebook would store as an error output.
    log = logging.getLogger("accelerate.utils.other")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return Accelerator()
    finally:
        log.setLevel(level)

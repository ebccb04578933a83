"""Trains a small model under several settings and stores the weights; `test_distributed.py` launches it.

Usage: distributed_script.py FOLDER BATCH CASE…, under `python -m torch.distributed.run`.
"""

import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import dlp_utils as dlp


def step(model, batch):
    x, y = batch
    assert isinstance(model, nn.Sequential)  # the bare model, also where DDP wraps it
    return {"loss": F.mse_loss(model(x), y), "mae": F.l1_loss(model(x), y)}


class Stream(IterableDataset):
    def __init__(self, x, y):
        self.rows = list(zip(x, y, strict=True))

    def __iter__(self):
        return iter(self.rows)


def run(folder, batch, case):
    rank, draw = int(os.environ.get("RANK", 0)), dlp.generator(4)
    x, y = torch.randn(48, 6, generator=draw), torch.randn(48, 1, generator=draw)
    if case == "uneven":
        x, y = x[:44], y[:44]
    data, train_step, calls = TensorDataset(x, y), step, []
    # Weights and random numbers start differently in each process: those of the main one must win.
    torch.manual_seed(rank)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    kwargs = {"epochs": 3, "lr": 0.01, "ema": 0.9, "schedule": "cosine", "clip": 1.0, "log_every": 4}
    kwargs["evaluate"] = lambda model: dlp.evaluate(model, step, DataLoader(data, 16))
    loader = DataLoader(data, batch, shuffle=case in ("shuffle", "unseeded", "resume"))
    if case == "unseeded":
        kwargs["seed"] = None
    elif case == "generator":
        loader = DataLoader(data, batch, shuffle=True, generator=dlp.generator(9 + rank))
    elif case == "accumulate":
        kwargs["accumulate"] = 4  # six batches an epoch for each process: steps of four and of two
    elif case == "list":
        loader = list(loader)
    elif case == "stream":
        loader, kwargs["schedule"] = DataLoader(Stream(x, y), batch), None
    elif case.startswith("noise"):  # own noise in each process

        def train_step(model, batch):
            return step(model, (batch[0] + torch.randn(batch[0].shape), batch[1]))

    if case.endswith("resume"):
        kwargs["log"] = folder / "logs" / case
        kwargs["checkpoint"] = folder / f"{case}-{batch}.pt"
        dlp.fit(model, train_step, loader, callbacks=[lambda step, m, h: step == 7], **kwargs)
        nn.init.zeros_(model[0].weight)
    if case == "nan":

        def train_step(model, batch):
            losses = step(model, batch)
            calls.append(1)
            return (
                losses | {"loss": losses["loss"] * float("nan")} if rank == 1 and len(calls) == 3 else losses
            )

    if case == "gradient":

        def train_step(model, batch):  # finite loss; the gradient of a square root at 0 in one process only
            losses = step(model, batch)
            calls.append(1)
            zero = (model[0].weight * 0).abs().sum().sqrt() if rank == 1 and len(calls) == 3 else 0.0
            return losses | {"loss": losses["loss"] + zero}

        kwargs["clip"] = None
    message = None
    try:
        history = dlp.fit(model, train_step, loader, **kwargs)
    except FloatingPointError as error:
        history, message = error.history, str(error)
    return {
        "world": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,
        "model": model.state_dict(),
        "ema": history.ema.weights,
        "losses": history.losses.tolist(),
        "mae": history.extras["mae"].tolist(),
        "metrics": history.metrics,
        "message": message,
        "noise": torch.rand(()).item(),
    }


if __name__ == "__main__":
    folder, batch, *cases = sys.argv[1:]
    results = {case: run(Path(folder), int(batch), case) for case in cases}
    torch.save(results, Path(folder) / f"rank-{os.environ['RANK']}.pt")
    torch.distributed.destroy_process_group()

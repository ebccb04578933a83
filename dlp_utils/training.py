"""One training loop for every chapter: `fit(model, step, loader, epochs=…)`.

You write `step(model, batch)`, which returns the loss. `fit` does the rest, and the same call runs on a
laptop, on a GPU, and under `torchrun` on many. It checks what it was given and starts a `_Run`, whose
`train` is the loop.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn

from ._arguments import dtype_for, folder_for, new_accelerator, rate_factor, whole
from ._batches import batch_size, length, seeded_order, send, shard
from ._files import compare, load_run, load_weights, options, rng_state, save_run, save_weights, set_rng_state
from ._finite import (
    Buffers,
    NonFiniteLoss,
    bad_gradient,
    bad_loss,
    bad_weight,
    first_bad,
    gradient_size,
    is_stuck,
    largest,
)
from ._history import History, View
from ._log import Log
from .device import device as best_device
from .device import seed_everything

__all__ = ["EMA", "History", "NonFiniteLoss", "evaluate", "fit", "load_weights", "save_weights"]

_EMPTY = "the loader gave no batch: its data set is empty, or smaller than one batch with drop_last=True"
_SIZE = "size of the gradient"  # in a row, until it was looked at
_ANEW = "pass a list, a DataLoader, or an object whose __iter__ starts anew"


class EMA:
    """Exponential moving average of a model's parameters, without bias towards the initial weights.

    After t updates with decay d it is Σ_i (1 − d) d^(t−i) θ_i / (1 − d^t) over i = 1…t, so after the first
    update it equals the parameters. Buffers, such as batch-norm statistics, are not averaged: the model's
    own are used.
    """

    def __init__(self, model, decay):
        if not 0 < decay < 1:
            raise ValueError(
                f"the decay of the EMA is {decay}; it must lie between 0 and 1, for example 0.999"
            )
        self.decay, self.updates = decay, 0
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model):
        """Take the present parameters of `model` into the average."""
        self.updates += 1
        weight = (1 - self.decay) / (1 - self.decay**self.updates)
        torch._foreach_lerp_(list(self.weights.values()), list(model.parameters()), weight)

    @torch.no_grad()
    def copy_to(self, model):
        """Overwrite the parameters of `model` with the average, for good."""
        parameters = dict(model.named_parameters())
        compare(self.weights, parameters, "this EMA")
        for name, p in parameters.items():
            p.copy_(self.weights[name])

    @contextlib.contextmanager
    def apply(self, model):
        """Within the `with` block `model` has the averaged weights; after it, or after an error, its own."""
        own = [p.detach().clone() for p in model.parameters()]
        try:
            self.copy_to(model)
            yield model
        finally:
            with torch.no_grad():
                for p, value in zip(model.parameters(), own, strict=True):
                    p.copy_(value)


def evaluate(model, step, loader, device=None):
    """Return the mean over `loader` of each value that `step` returns, as a dict of floats.

    Runs in evaluation mode without gradients and gives every submodule its mode back. Batches count by
    their size: a smaller last batch does not distort the mean. `device` is where batches go; None: where
    the model is. An empty loader raises `ValueError`.
    """
    if device is None:
        device = next((p.device for p in model.parameters()), "cpu")
    sums, total = {}, 0
    with _evaluating(model):
        for batch in loader:
            batch = send(batch, torch.device(device))
            size = batch_size(batch) or 1
            for name, value in _losses(step(model, batch)).items():
                sums[name] = sums.get(name, 0.0) + value * size
            total += size
    if not total:
        raise ValueError(_EMPTY)
    return {name: float(value) / total for name, value in sums.items()}


def fit(
    model,
    step,
    loader,
    *,
    epochs=None,
    steps=None,
    optimizer=None,
    lr=1e-3,
    weight_decay=0.0,
    schedule=None,
    warmup=0,
    clip=None,
    accumulate=1,
    ema=None,
    precision="auto",
    channels_last=False,
    evaluate=None,
    evaluate_every=1,
    checkpoint=None,
    checkpoint_every=None,
    resume=True,
    seed=0,
    generators=(),
    device=None,
    plot=None,
    progress=True,
    log=None,
    log_every=50,
    callbacks=(),
):
    """Train `model` in place on the batches of `loader`, and return a `History`.

    **What to train.** `step(model, batch)` returns the loss, a scalar tensor, or a dict with "loss" and
    further scalars to record. `loader` is a `DataLoader` or any iterable of batches (tensors, tuples,
    dicts) that can be gone through once an epoch. Training ends after `epochs` passes or `steps` updates,
    whichever comes first.

    **How.** `optimizer`: None for AdamW with `lr` and `weight_decay`, or an optimizer, or a function from
    parameters to one. `schedule`: "constant", "cosine" (falls to zero), or a function from the step (from
    0) to a factor of the learning rate, which also grows linearly over the first `warmup` steps. `clip`
    bounds the norm of the whole gradient; the norm before is recorded as "grad_norm". One step takes
    `accumulate` batches and the mean of their gradients; the last step of an epoch takes those that are
    left. `ema`: decay of an `EMA`.

    **Where.** Model and batches go to `device`, by default the best one here. `precision` is "fp32" or, on
    cuda only, "bf16" or "fp16"; "auto" takes on cuda the one of these two that the GPU is made for. Under
    `torchrun` n processes with batch B take the same steps as one with batch n·B. An epoch's last,
    incomplete round is filled up with its first samples (a `DataLoader`) or left out (other iterables), so
    that all processes get the same.

    **Watching.** `evaluate(model)` returns a dict of floats. It is called every `evaluate_every` epochs and
    at the end: in evaluation mode, without gradients, with the weights of the EMA if there is one;
    afterwards modes, weights and random numbers are as before. `callback(step, model, history)` is called
    for each of `callbacks` after every step and ends the training by returning True. `plot` shows a curve
    that grows while you watch; None: in a notebook that somebody watches.

    `log`, for example "runs/first", is a folder. Its file `metrics.csv` gets the table of
    `History.to_frame`: one row a step, evaluations as columns `eval_…` in the row of their step. It grows
    while the run goes on, every `log_every` steps and after each epoch, and ends complete however the run
    ends. Where TensorBoard is installed, an event file has the same scalars: `tensorboard --logdir runs`. A
    run that resumes goes on in its log. Where the folder holds the log of another run, nothing is
    overwritten: the new one goes to "runs/first-2", and one sentence says so.

    **A loss or a gradient that is not finite** raises `NonFiniteLoss`. On the cpu this comes before the step
    touches the weights, and buffers go back to what they were. Elsewhere both are looked at every `log_every`
    steps and before each evaluation and checkpoint: the message names the first bad step, the weights have
    moved on, the last checkpoint is good. In fp16 a gradient that overflows is no fault: that step is skipped.

    **Checkpoints.** The file `checkpoint` gets the state every `checkpoint_every` steps (None: every epoch)
    and at the end. If it exists, `resume` goes on from it, to the same weights as a run that was never
    stopped: as long as the batches come in the same order again, and all random numbers from the global
    generators of Python, NumPy and torch, from those of the loader, or from those in `generators`. Batches
    of an epoch that were seen before the stop are drawn again and dropped. Where the call asks for another
    rate, weight decay, schedule or clip than the file's run, the call decides, and one sentence says so.

    `seed` sets the global generators and the order of a shuffling `DataLoader`; None sets nothing. An
    interrupt (Ctrl-C, the stop button) ends the run after the current step, a second one at once; the
    history is returned.
    """
    for name, value in {"epochs": epochs, "steps": steps, "checkpoint_every": checkpoint_every}.items():
        whole(name, 1 if value is None else value)
    counts = {"accumulate": accumulate, "evaluate_every": evaluate_every, "log_every": log_every}
    for name, value in counts.items():
        whole(name, value)
    whole("warmup", warmup, least=0)
    if epochs is None and steps is None:
        raise ValueError("fit needs to know when to stop: give epochs=… or steps=…")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip}; it must be positive, the largest norm that a gradient may have")
    if optimizer is not None and (lr, weight_decay) != (1e-3, 0.0):
        raise ValueError(
            "lr and weight_decay are for the default optimizer; give them to your own when you make it"
        )
    if checkpoint_every is not None and checkpoint is None:
        raise ValueError("checkpoint_every needs a file to write to: give checkpoint='….pt'")
    folder = None if log is None else folder_for(log)
    if isinstance(loader, torch.utils.data.Dataset) or not hasattr(loader, "__iter__"):
        kind = type(loader).__name__
        raise TypeError(f"loader is a {kind}; give batches: DataLoader(data_set, batch_size=…)")
    if epochs is not None and epochs > 1 and isinstance(loader, Iterator):
        raise ValueError(f"the loader is a one-shot iterator, which cannot last {epochs} epochs; {_ANEW}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("no parameter of the model requires a gradient; there is nothing to train")
    with seeded_order(loader, seed) as own:
        run = _Run(model, step, accumulate, channels_last)
        run.place(loader, device, precision, seed, [*own, *generators])
        run.equip(optimizer, lr, weight_decay, clip, ema)
        run.plan(epochs, steps, schedule, warmup, log_every)
        run.evaluate, run.evaluate_every, run.callbacks = evaluate, evaluate_every, tuple(callbacks)
        run.path = None if checkpoint is None else Path(checkpoint).expanduser()
        run.checkpoint_every = checkpoint_every
        if resume and run.path and run.path.exists():
            load_run(run)
        return run.train(progress, plot, folder)


class _Step(nn.Module):
    """Model and step function as one module: what DDP wraps, so that `step` always sees the bare model."""

    def __init__(self, model, step, dtype):
        super().__init__()
        self.model, self.step, self.dtype = model, step, dtype

    def forward(self, batch):
        if self.dtype is None:
            return self.step(self.model, batch)
        with torch.autocast("cuda", self.dtype):
            return self.step(self.model, batch)


class _Run:
    """The state of one call of `fit`: `done` updates, `epoch` passes, `seen` batches of the next pass."""

    def __init__(self, model, step, accumulate, channels_last):
        self.model, self.step, self.accumulate, self.channels_last = model, step, accumulate, channels_last
        self.history, self.pending = History(), []  # pending: steps whose losses are not in the history yet
        self.done = self.epoch = self.seen = 0
        self.row, self.count = {}, 0  # sums over the `count` batches of the step in progress
        self.epoch_start = self.restored = self.saved = None

    def place(self, loader, device, precision, seed, generators):
        self.accelerator = accelerator = new_accelerator()
        self.world, model = accelerator.num_processes, self.model
        self.device = best_device(device) if device and self.world == 1 else accelerator.device
        # One process on the cpu reads each loss at once. Elsewhere that would mean to wait for others.
        self.immediate = self.device.type == "cpu" and self.world == 1
        dtype = dtype_for(precision, self.device, accelerator.mixed_precision)
        self.scaler = torch.amp.GradScaler(self.device.type) if dtype is torch.float16 else None
        self.asked = {"precision": str(dtype or torch.float32).removeprefix("torch.")}
        self.careful = self.immediate and not self.scaler  # the scaler skips steps that overflow
        model.to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        if seed is not None:  # noise differs between processes, the order of the data does not
            seed_everything(seed + accelerator.process_index)
        self.module, self.generators = _Step(model, self.step, dtype), generators
        self.buffers = Buffers(model)
        if self.world > 1:
            self.module = accelerator.prepare(self.module)
            loader = shard(loader, accelerator, generators)
        self.loader, self.length = loader, length(loader)
        if self.length == 0:
            raise ValueError(_EMPTY)

    def equip(self, optimizer, lr, weight_decay, clip, ema):
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if optimizer is None:
            optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
        elif not isinstance(optimizer, torch.optim.Optimizer) and callable(optimizer):
            optimizer = optimizer(parameters)
        if not isinstance(optimizer, torch.optim.Optimizer):
            kind = type(optimizer).__name__
            raise TypeError(f"optimizer is a {kind}; give an optimizer, or a function from parameters to one")
        self.optimizer, self.clip, self.asked["clip"] = optimizer, clip, clip
        if not {id(p) for p in parameters} & {id(p) for p in self.parameters()}:
            raise ValueError("the optimizer holds no parameter of this model; give it model.parameters()")
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        self.history.ema = self.ema = None if ema is None else EMA(self.model, ema)

    def plan(self, epochs, steps, schedule, warmup, log_every):
        self.epochs, self.steps, self.log_every = epochs or math.inf, steps or math.inf, log_every
        by_epochs = self.epochs * math.ceil(self.length / self.accumulate) if self.length else math.inf
        self.total = min(self.steps, by_epochs)  # updates; infinite where nobody knows
        self.factor = rate_factor(schedule, warmup, self.total)
        shape = "a function of the step" if callable(schedule) else schedule or "constant"
        shape += f" over {self.total} steps" * (schedule == "cosine")
        self.asked |= {"schedule": shape, "warmup": warmup}
        self.options = options(self)

    def train(self, progress, plot, folder):
        main = self.accelerator.is_main_process
        self.log = Log(folder, self.history) if folder and main else None
        self.started = time.perf_counter() - self.history.seconds
        modes = [(module, module.training) for module in self.model.modules()]
        if not self.model.training:  # where it is, single parts may be frozen in evaluation mode on purpose
            self.model.train()
        view = View(self, progress and main, plot if main else False)
        try:
            with _Interrupt(self.world) as interrupt:
                try:
                    if self.restored and not self.seen:
                        self.evaluate_if_due()  # where the stop came between the epoch and its evaluation
                    while self.epoch < self.epochs and self.done < self.steps:
                        if self.one_epoch(view, interrupt):
                            break
                    self.finish(interrupt.asked)
                except (KeyboardInterrupt, RuntimeError) as error:
                    # The loader's workers are interrupted too; if one dies, that is a RuntimeError here.
                    if self.world > 1 or not (isinstance(error, KeyboardInterrupt) or interrupt.asked):
                        raise
                    self.finish(interrupted=True, whole=not interrupt.busy)
        finally:
            self.history.seconds = time.perf_counter() - self.started
            for module, mode in modes:
                module.training = mode
            self.set_rate(1.0)
            view.close()
            if self.log:
                self.log.close()
        return self.history

    def one_epoch(self, view, interrupt):
        """Train on the rest of a pass over the loader; return True where training shall end."""
        batches = self.start_epoch()
        interrupt.busy = True  # from here on an interrupt waits for the end of a step
        for batch in batches:
            self.seen += 1
            self.forward_backward(batch)
            if self.count == self.accumulate and (self.update(view) or interrupt.asked):
                interrupt.busy = False
                return True
        stop = self.update(view) if self.count else False
        interrupt.busy = False
        if not self.seen:
            used_up = f"the loader is used up after epoch {self.epoch}; {_ANEW}"
            raise ValueError(used_up if self.epoch else _EMPTY)
        self.epoch, self.seen = self.epoch + 1, 0
        self.evaluate_if_due()
        if self.log:
            self.log.write()
        if self.checkpoint_every is None:
            save_run(self)
        return stop or interrupt.asked

    def start_epoch(self):
        """Return an iterator over the batches to come, and note where the random numbers stood."""
        restored, self.restored = self.restored, None
        if not (restored and self.seen):
            if self.path:
                self.epoch_start = rng_state(self.device, self.generators)
            return iter(self.loader)
        self.epoch_start = restored["epoch_start"]
        set_rng_state(self.epoch_start, self.device, self.generators)
        batches = iter(self.loader)
        for _ in range(self.seen):
            if next(batches, _EMPTY) is _EMPTY:
                raise ValueError(f"{self.path} was written after batch {self.seen}, the loader ends earlier")
        set_rng_state(restored["now"], self.device, self.generators)
        return batches

    def forward_backward(self, batch):
        """Add the gradient of one batch."""
        batch = send(batch, self.device, self.channels_last)
        together = contextlib.nullcontext()
        if self.world > 1 and self.length and self.count + 1 < self.accumulate and self.seen < self.length:
            together = self.accelerator.no_sync(self.module)  # processes exchange gradients once a step
        if self.immediate and not self.count:
            self.buffers.keep()
        with together:
            losses = _losses(self.module(batch))
            loss = losses["loss"]
            if not loss.requires_grad:
                raise ValueError("the loss does not depend on the parameters; look for no_grad or detach")
            for name, value in losses.items():
                if isinstance(value, torch.Tensor):
                    value = value.item() if self.immediate else value.detach()
                self.row[name] = self.row.get(name, 0.0) + value if self.count else value
            if self.immediate and not math.isfinite(self.row["loss"]):
                raise self.not_finite(bad_loss, self.done + 1, self.row["loss"], self.set_rate())
            if not self.count:
                self.optimizer.zero_grad()
            if self.accumulate > 1:
                loss = loss / self.accumulate
            (self.scaler.scale(loss) if self.scaler else loss).backward()
        self.count += 1

    def update(self, view):
        """Take one step with the gradients of `count` batches; return True where training shall end."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        row = self.row
        if self.count > 1:
            row = {name: value / self.count for name, value in row.items()}
        if self.count < self.accumulate:  # an epoch ended early: the mean of those that there are
            for p in self.parameters():
                if p.grad is not None:
                    p.grad.mul_(self.accumulate / self.count)
        row["lr"], row["epoch"] = self.set_rate(), self.epoch + 1
        size = gradient_size(self.parameters(), self.clip, self.careful)
        if self.immediate:
            size = size.item()
            if self.careful and not math.isfinite(size):
                raise self.not_finite(bad_gradient, self.done + 1, row["loss"], row["lr"])
        row[_SIZE if self.clip is None else "grad_norm"] = size
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        if self.ema:
            self.ema.update(self.model)
        self.row, self.count, self.done = {}, 0, self.done + 1
        self.pending.append(row)
        if self.immediate or len(self.pending) >= self.log_every:
            self.flush()
        view.update()
        if self.checkpoint_every and self.done % self.checkpoint_every == 0:
            save_run(self)
        answers = [callback(self.done, self.model, self.history) for callback in self.callbacks]
        return self.done >= self.steps or any(answer is True for answer in answers)

    def parameters(self):
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def rate(self):
        return float(self.optimizer.param_groups[0]["lr"])

    def set_rate(self, factor=None):
        """Give each parameter group its rate times `factor` (None: the coming step's); return the first."""
        if self.factor:
            factor = self.factor(self.done) if factor is None else factor
            for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=False):
                group["lr"] = base * factor
        return self.rate()

    def flush(self):
        """Move the losses of the last steps into the history; raise at the first that is not finite."""
        rows, self.pending = self.pending, []
        tensors = [(row, k) for row in rows for k, value in row.items() if isinstance(value, torch.Tensor)]
        if tensors:  # one transfer for all of them
            values = torch.stack([row[name].to(self.device, torch.float32) for row, name in tensors])
            if self.world > 1:
                values = self.accelerator.reduce(values, "mean")
            for (row, name), value in zip(tensors, values.tolist(), strict=True):
                row[name] = value
        for row in rows:
            size = row.pop(_SIZE, row.get("grad_norm", 0.0))
            if not math.isfinite(row["loss"]):
                raise self.not_finite(bad_loss, self.history.steps + 1, row["loss"], row["lr"])
            if not math.isfinite(size) and not self.scaler:
                raise self.not_finite(bad_gradient, self.history.steps + 1, row["loss"], row["lr"])
            self.history._append(row)
        if self.log and self.history.steps - self.log.rows > self.log_every:
            self.log.write(hold=1)
        if rows and is_stuck(self.scaler):
            raise self.not_finite(bad_gradient, self.done, rows[-1]["loss"], rows[-1]["lr"])

    def settle(self):
        """Make sure, before an evaluation, a checkpoint and the end, that losses and weights are finite."""
        self.flush()
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not math.isfinite(largest(list(trained.values()))):
            rate = self.history._columns["lr"][-1] if self.history.steps else self.rate()
            raise bad_weight(first_bad(trained.items()), self.done, rate, self.history)

    def not_finite(self, make, step, loss, lr):
        """Put buffers back where that is possible, and return what to raise."""
        bad = first_bad(self.model.named_parameters())
        more = {}
        if not self.immediate:
            note = f"Noticed after step {self.done}: the weights have moved on, take your last checkpoint."
        else:
            self.buffers.restore()
            note = "The weights are those from before this step."
            if bad:
                note = f"Parameter {bad} was not finite before: an earlier step overflowed, or it came so."
            if make is bad_gradient:
                more["name"] = first_bad((name, p.grad) for name, p in self.model.named_parameters())
        return make(step, loss, lr, self.history, note, **more)

    def evaluate_if_due(self):
        if self.epoch and self.epoch % self.evaluate_every == 0:
            self.run_evaluation()

    def run_evaluation(self):
        metrics = self.history.metrics
        if self.evaluate is None or (metrics and metrics[-1]["step"] == self.done):
            return
        self.settle()
        state = rng_state(self.device, self.generators)
        try:
            with _evaluating(self.model, self.ema):
                result = self.evaluate(self.model)
        finally:
            set_rng_state(state, self.device, self.generators)
        try:
            result = {name: float(value) for name, value in result.items()}
        except (AttributeError, TypeError, ValueError, RuntimeError):
            raise TypeError(f"evaluate returned {result!r:.80}; it must return a dict of floats") from None
        metrics.append({"step": self.done, "epoch": self.epoch + bool(self.seen), **result})

    def finish(self, interrupted, whole=True):
        """Close the books. `whole`: no step was cut in two, so the state may be kept."""
        self.settle()
        if not interrupted:
            self.run_evaluation()
        if whole:
            save_run(self)
        if interrupted:
            self.history.interrupted = True
            on = "Call fit again to train on from here; with checkpoint='….pt' the optimizer goes on, too."
            on = f"The same call again goes on from {self.path}." if self.path else on
            print(f"Interrupted after step {self.done}; the model and this history are usable. {on}")


class _Interrupt:
    """Turns an interrupt while `busy` into a request, `asked`, so that no step is cut in two."""

    def __init__(self, world):
        # Only Python's own handler is replaced, and only the main thread may do so.
        ours = world == 1 and threading.current_thread() is threading.main_thread()
        self.active = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self.busy = self.asked = False

    def __enter__(self):
        if self.active:
            signal.signal(signal.SIGINT, self.handle)
        return self

    def handle(self, signum, frame):
        if not self.busy or self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error):
        if self.active:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _evaluating(model, ema=None):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # Not inference_mode: a table that the model builds there and keeps could not be trained through.
        with torch.no_grad(), ema.apply(model) if ema else contextlib.nullcontext():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _losses(result):
    """Check what `step` returned, and give it back as a dict of scalars."""
    losses = {"loss": result} if isinstance(result, torch.Tensor) else result
    if not isinstance(losses, Mapping) or not isinstance(losses.get("loss"), torch.Tensor):
        got = f"a dict with {list(losses)}" if isinstance(losses, Mapping) else f"a {type(losses).__name__}"
        raise TypeError(f"step returned {got}; return the loss as a tensor, or a dict with a tensor 'loss'")
    for name, value in losses.items():
        if isinstance(value, torch.Tensor) and value.ndim:
            raise ValueError(
                f"step returned {name!r} of shape {tuple(value.shape)}; return a scalar, as .mean() gives"
            )
        if not isinstance(value, (torch.Tensor, int, float)):
            raise TypeError(
                f"step returned {name!r} as a {type(value).__name__}; return a scalar tensor or a float"
            )
        if name in ("step", "lr", "epoch", "grad_norm"):
            raise ValueError(
                f"step returned {name!r}, a name that the history keeps for itself; choose another"
            )
    return losses

"""What keeps numbers that are not finite out of a run's weights, its buffers and its checkpoints."""

import math

import torch
from torch import nn

_LOSS = "Try a lower learning rate or clip=1.0, and look for log(0), a division by 0 or nan in that batch."
_GRADIENT = (
    "Clipping does not mend it: look for a function without a slope at that place, such as sqrt or a norm at 0, "
    "or for torch.where around one."
)
_SCALE = (
    2.0**-24
)  # GradScaler starts at 2**16 and halves at each overflow: here 40 more of them than good steps


class NonFiniteLoss(FloatingPointError):
    """The loss, its gradient or a weight became nan or infinite.

    It has `step` (from 1), `loss`, `lr` and `history` (the steps before).
    """

    def __init__(self, text, step, loss, lr, history):
        super().__init__(text)
        self.step, self.loss, self.lr, self.history = step, loss, lr, history


def bad_loss(step, loss, lr, history, note):
    text = f"the loss is {loss} at step {step} with learning rate {lr:.3g}. {note} {_LOSS}"
    return NonFiniteLoss(text, step, loss, lr, history)


def bad_gradient(step, loss, lr, history, note, name=None):
    of = f"gradient of {name}" if name else "gradient"
    text = (
        f"the {of} is not finite at step {step} with learning rate {lr:.3g}, though the loss is {loss:.4g}."
    )
    return NonFiniteLoss(f"{text} {note} {_GRADIENT}", step, loss, lr, history)


def bad_weight(name, step, lr, history):
    loss = history.losses[-1] if history.steps else math.nan
    text = f"parameter {name} is not finite after step {step} with learning rate {lr:.3g}: a step overflowed."
    text += " The weights have moved on, take your last checkpoint. Try a lower learning rate."
    return NonFiniteLoss(text, step, loss, lr, history)


@torch.no_grad()
def largest(tensors):
    """Return the largest absolute value, a tensor without axes; nan or infinite where one value is."""
    tensors = [each.coalesce().values() if each.is_sparse else each for each in tensors]
    tensors = [each for each in tensors if each.numel()]
    # Not the norm of order 2: its squares overflow where the values themselves do not.
    return torch.stack(torch._foreach_norm(tensors, math.inf)).max() if tensors else torch.zeros(())


def gradient_size(parameters, clip=None, careful=False):
    """Return one number on the gradients' device that is finite where all of them are.

    With `clip` it is their norm, which is then bounded, else the largest number in them. `careful`: leave
    gradients that are not finite as they are, so that they can be looked at; this waits for the device.
    """
    if clip is not None:
        try:
            return nn.utils.clip_grad_norm_(parameters, clip, error_if_nonfinite=careful)
        except RuntimeError:
            return torch.tensor(math.nan)
    return largest([p.grad for p in parameters if p.grad is not None])


def first_bad(named):
    """Return the first name of pairs (name, tensor or None) whose tensor is not finite; None: all are."""
    return next(
        (name for name, each in named if each is not None and not math.isfinite(largest([each]))), None
    )


def is_stuck(scaler):
    """Tell whether a GradScaler only ever skips steps: then the gradient is at fault, not its scale."""
    return scaler is not None and scaler.get_scale() < _SCALE


class Buffers:
    """The buffers of a model, such as batch-norm statistics, as they were before the step in progress."""

    def __init__(self, model):
        parts = [(part._buffers, name) for part in model.modules() for name in part._buffers]
        self.places = [(owner, name) for owner, name in parts if owner[name] is not None]
        self.kept = []

    def keep(self):
        # A copy of all: batch norm changes its statistics without raising their version counter.
        self.kept = [(owner[name], owner[name].clone()) for owner, name in self.places]

    @torch.no_grad()
    def restore(self):
        for (owner, name), (buffer, copy) in zip(self.places, self.kept, strict=True):
            if not torch.equal(buffer, copy):  # constants may share memory, which copy_ refuses
                buffer.copy_(copy)
            owner[name] = buffer

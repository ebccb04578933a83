"""Batches on their way to the model: order, share of each process, device."""

import contextlib
from collections.abc import Mapping

import torch


@contextlib.contextmanager
def seeded_order(loader, seed):
    """Give samplers without a generator one for the time of a run; yield all generators that order the data.

    The order then depends on the seed alone, not on what the model draws, and is the same in all processes.
    """
    outer = [getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    parts = [*outer, *(getattr(part, "sampler", None) for part in outer)]
    bare = [part for part in parts if hasattr(part, "generator") and part.generator is None]
    if bare and seed is None:
        seed = int(torch.randint(2**31, ()))
    for part in bare:
        part.generator = torch.Generator().manual_seed(seed)
    found = [getattr(part, "generator", None) for part in (loader, *parts)]
    try:
        yield list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())
    finally:
        for part in bare:
            part.generator = None


def shard(loader, accelerator, generators):
    """Return the part of `loader` that this process trains on: of each round of batches, its own."""
    from accelerate.data_loader import prepare_data_loader
    from accelerate.utils import synchronize_rng_states

    for generator in generators:
        synchronize_rng_states(["generator"], generator)
    if isinstance(loader, torch.utils.data.DataLoader):
        part = prepare_data_loader(loader, put_on_device=False)
        # Accelerate's wrapper draws one batch ahead, so checkpoints would hold later random numbers.
        return getattr(part, "base_dataloader", part)
    return _Rounds(loader, accelerator.num_processes, accelerator.process_index)


class _Rounds:
    """Batch `index` of each round of `world` batches of an iterable; an incomplete round is left out."""

    def __init__(self, loader, world, index):
        self.loader, self.world, self.index = loader, world, index

    def __iter__(self):
        batches = iter(self.loader)
        return (each[self.index] for each in zip(*[batches] * self.world, strict=False))

    def __len__(self):
        return len(self.loader) // self.world


def length(loader):
    """Return the number of batches in an epoch, None where it is not known."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):  # a stream; its DataLoader has __len__ all the same
        return None


def send(batch, device, channels_last=False):
    """Put the tensors of a batch (a tensor, tuple, list or dict, nested too) on `device`."""
    from accelerate.utils import recursively_apply, send_to_device

    batch = send_to_device(batch, device, non_blocking=device.type == "cuda")
    return recursively_apply(_channels_last, batch) if channels_last else batch


def _channels_last(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def batch_size(batch):
    """Return the length of the first tensor in `batch`, 0 where there is none."""
    if isinstance(batch, torch.Tensor):
        return batch.shape[0] if batch.ndim else 0
    parts = (
        batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else ()
    )
    return next((size for size in map(batch_size, parts) if size), 0)

"""Generated from notebooks/eeg_classification.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'csp_filters', 'log_variance', 'wilson_interval', 'SCCNetConfig', 'SCCNet', 'count_windows', 'readout',
           'build', 'example_batch', 'step', 'batches', 'predict', 'standardize', 'hold_out', 'train', 'freeze',
           'components', 'pattern']

# %%
import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import dlp_utils as dlp

# %%
def csp_filters(x, y, classes, pairs=2):
    """CSP of each class against the rest: (C, classes · 2 · pairs) filters.

    x: (N, C, T), band-passed. Each trial's covariance is divided by its trace,
    so that loud trials do not rule. Source: eq-eeg-classification-csp.
    """
    covariance = x @ x.transpose(0, 2, 1)  # (N, C, C)
    covariance /= np.trace(covariance, axis1=1, axis2=2)[:, None, None]
    filters = []
    for k in range(classes):
        one, rest = covariance[y == k].mean(0), covariance[y != k].mean(0)
        vectors = eigh(one, one + rest)[1]  # eigenvalues rise
        filters += [vectors[:, :pairs], vectors[:, -pairs:]]
    return np.concatenate(filters, axis=1)


def log_variance(x, filters):
    """Log variance of each filtered trial: (N, C, T), (C, K) to (N, K)."""
    return np.log((filters.T @ x).var(axis=2))

# %%
def wilson_interval(correct, trials, z=1.96):
    """Wilson's interval (low, high) for the rate behind `correct` of `trials`.

    Source: eq-eeg-classification-wilson.
    """
    p, shrink = correct / trials, 1 + z**2 / trials
    center = (p + z**2 / (2 * trials)) / shrink
    half = z / shrink * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return center - half, center + half

# %%
@dataclass(frozen=True)
class SCCNetConfig:
    """Sizes of an SCCNet. kernel, window and stride in samples.

    readout: "power" as published, "linear" (ELU, plain average) or "none"
    (plain average of the filtered signal). shift: first value of the second
    batch norm's bias. batch: trials in an example batch.
    """

    channels: int = 22
    samples: int = 438
    classes: int = 4
    spatial: int = 22  # number of spatial filters
    temporal: int = 20  # number of temporal filters
    kernel: int = 12  # 0.1 s at 125 Hz
    window: int = 62  # 0.5 s
    stride: int = 12
    dropout: float = 0.5
    readout: str = "power"
    shift: float = 0.0
    batch: int = 64

# %%
class SCCNet(nn.Module):
    """Spatial component-wise network: (B, C, T) to logits (B, classes).

    Source: Wei et al. (2019); book/eeg_classification.md. ValueError for a
    trial that is shorter than a window.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.spatial = nn.Conv1d(config.channels, config.spatial, 1)
        self.bn1 = nn.BatchNorm1d(config.spatial)
        filters, half = (config.spatial, config.temporal), config.kernel // 2
        self.temporal = nn.Conv1d(*filters, config.kernel, padding=half)
        self.bn2 = nn.BatchNorm1d(config.temporal)
        nn.init.constant_(self.bn2.bias, config.shift)
        self.dropout = nn.Dropout(config.dropout)
        features = config.temporal * count_windows(config)
        self.fc = nn.Linear(features, config.classes)

    def forward(self, x):
        x = self.bn1(self.spatial(x))  # (B, Nu, T)
        x = self.bn2(self.temporal(x))  # (B, 20, T + 1)
        return self.fc(readout(x, self.config, self.dropout).flatten(1))

# %%
def count_windows(config):
    """Number of windows, 32 as published; ValueError where none fits."""
    length = config.samples + 2 * (config.kernel // 2) - config.kernel + 1
    if length < config.window:
        raise ValueError(
            f"{length} samples are shorter than a window, {config.window}"
        )
    return (length - config.window) // config.stride + 1


def readout(x, config, dropout):
    """Features of each window: (B, 20, T) to (B, 20, windows)."""
    if config.readout == "power":
        x = F.avg_pool1d(dropout(x**2), config.window, config.stride)
        return torch.log(x.clamp(min=1e-6))  # local log variance
    if config.readout == "linear":
        x = F.elu(x)
    elif config.readout != "none":
        known = "power, linear or none"
        raise ValueError(f"readout {config.readout!r} is not {known}")
    return F.avg_pool1d(dropout(x), config.window, config.stride)

# %%
CONFIGS = {
    "smoke": SCCNetConfig(batch=8),
    "cpu": SCCNetConfig(),
    "gpu": SCCNetConfig(batch=288),
}


def build(config):
    """Return the network of a configuration."""
    return SCCNet(config)


def example_batch(config, device):
    """Random trials and labels: (B, C, T), (B,)."""
    shape = (config.batch, config.channels, config.samples)
    labels = torch.randint(config.classes, shape[:1], device=device)
    return torch.randn(shape, device=device), labels


def step(model, batch):
    """Cross-entropy and accuracy of a batch (x, y); the loss takes logits."""
    x, y = batch
    logits = model(x)
    accuracy = (logits.argmax(dim=1) == y).float().mean()
    return {"loss": F.cross_entropy(logits, y), "accuracy": accuracy}

# %%
def batches(x, y, size=64):
    """A shuffling DataLoader of float trials (N, C, T) and labels (N,)."""
    data = TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    return DataLoader(data, batch_size=size, shuffle=True)


@torch.no_grad()
def predict(model, x):
    """Class numbers (N,), in evaluation mode; the modes are put back."""
    modes = [(layer, layer.training) for layer in model.modules()]
    device = next(model.parameters()).device
    model.eval()
    logits = [model(part.to(device)) for part in torch.as_tensor(x).split(256)]
    for layer, mode in modes:
        layer.training = mode
    return torch.cat(logits).argmax(dim=1).cpu().numpy()

# %%
def standardize(x):
    """Divide each channel of (N, C, T) by its deviation over the session.

    ValueError for channels that are flat: there is nothing to divide by.
    """
    flat = np.flatnonzero(x.max(axis=(0, 2)) == x.min(axis=(0, 2))).tolist()
    if flat:
        raise ValueError(f"channels {flat} are flat all session: drop them")
    return (x / x.std(axis=(0, 2), keepdims=True)).astype(np.float32)


def hold_out(x, y, one_in=4):
    """Every fourth trial of each class apart: (x, y) to train on, (x, y)."""
    apart = np.zeros(len(y), dtype=bool)
    for k in np.unique(y):
        apart[np.flatnonzero(y == k)[::one_in]] = True
    return (x[~apart], y[~apart]), (x[apart], y[apart])

# %%
def train(
    model, x, y, epochs, validation=None, watch=None, seed=0, size=64, lr=1e-3
):
    """Train in place; with validation (x, y) end at its best epoch's weights.

    watch(model): called after each epoch, for looking only. Returns the
    History; its metrics hold "validation" where there is one. Adam with L2
    penalty 1e-4.
    """
    best = {"accuracy": -1.0}

    def evaluate(model):
        if watch:
            watch(model)
        if validation is None:
            return {}
        right = predict(model, validation[0]) == validation[1]
        accuracy = float(right.mean())
        if accuracy > best["accuracy"]:
            weights = copy.deepcopy(model.state_dict())
            best.update(accuracy=accuracy, weights=weights)
        return {"validation": accuracy}

    adam = partial(torch.optim.Adam, lr=lr, weight_decay=1e-4)
    how = {"optimizer": adam, "seed": seed, "evaluate": evaluate}
    loader = batches(x, y, size)
    history = dlp.fit(model, step, loader, epochs=epochs, **how)
    if validation is not None:
        model.load_state_dict(best["weights"])
    return history

# %%
def freeze(model, names):
    """Stop all change in the named layers, statistics of norms included."""
    model.train()
    for name in names:
        layer = getattr(model, name)
        layer.requires_grad_(False)
        layer.eval()  # `train` leaves single layers in the mode they are in
    return model

# %%
def components(model):
    """Spatial filter (20, C) and temporal filter (20, kernel) of each output.

    The best split, and the share (20,) of the energy that it holds.
    """
    mixing, over_time = model.spatial.weight[:, :, 0], model.temporal.weight
    joint = torch.einsum("juk,uc->jck", over_time, mixing).detach().cpu()
    u, s, h = torch.linalg.svd(joint, full_matrices=False)
    share = s[:, 0] ** 2 / (s**2).sum(dim=1)
    return u[:, :, 0].numpy(), h[:, 0].numpy(), share.numpy()


def pattern(x, w, h):
    """Haufe pattern (C,) of the component w (C,) in trials x filtered by h.

    x: (N, C, T). h: (kernel,), a cross-correlation as in Conv1d.
    Source: eq-eeg-classification-haufe.
    """
    x = np.apply_along_axis(np.convolve, 2, x, h[::-1], mode="valid")
    x = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)  # (C, N·T)
    covariance = np.cov(x)
    return covariance @ w / (w @ covariance @ w)

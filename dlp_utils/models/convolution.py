"""Generated from notebooks/convolution.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'COMB', 'COMB_STUDY', 'output_size', 'convolve', 'windows', 'im2col', 'by_columns', 'by_shifts',
           'convolve_backward', 'max_pool', 'max_pool_backward', 'Config', 'example_batch', 'step', 'LeNet', 'build',
           'digit_pictures', 'accuracy', 'shift', 'canvas', 'BlurPool', 'CombNet', 'Anywhere', 'comb_run']

# %%
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.data import digits
from dlp_utils.models.training import MLP, Batches, cosine, train, warmup

# %%
def output_size(n, kernel, stride=1, padding=0, dilation=1):
    """Numbers in a row after a convolution of n numbers.

    ValueError where the kernel does not fit. Source: eq-convolution-size.
    """
    reach = dilation * (kernel - 1) + 1
    if reach > n + 2 * padding:
        raise ValueError(
            f"a kernel that reaches over {reach} does not fit into "
            f"{n} + 2 · {padding} pixels: pad more"
        )
    return (n + 2 * padding - reach) // stride + 1


def convolve(x, w, b=0.0, stride=1, padding=0):
    """The layer by loops, as the formula says.

    x: (C, H, W), w: (O, C, K, K), b: (O,) or a number; gives (O, m, m').
    Source: def-convolution-layer.
    """
    p, k = padding, w.shape[-1]
    m, n = (output_size(s, k, stride, p) for s in x.shape[1:])
    x = np.pad(x, ((0, 0), (p, p), (p, p)))
    y = np.empty((len(w), m, n), dtype=np.result_type(x, w, float))
    for i in range(m):
        for j in range(n):
            r, s = stride * i, stride * j
            window = x[:, r : r + k, s : s + k]  # (C, K, K)
            y[:, i, j] = (w * window).sum(axis=(1, 2, 3))  # (O,)
    return y + np.reshape(b, (-1, 1, 1))

# %%
def windows(x, kernel, stride=1, padding=0):
    """All windows of a batch, as a view: (N, C, m, m', K, K).

    x: (N, C, H, W).
    """
    p = padding
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    seen = np.lib.stride_tricks.sliding_window_view(x, (kernel,) * 2, (2, 3))
    return seen[:, :, ::stride, ::stride]


def im2col(x, kernel, stride=1, padding=0):
    """Windows as columns: (N, C K K, m m'), channel by channel.

    x: (N, C, H, W). Source: eq-convolution-im2col.
    """
    seen = windows(x, kernel, stride, padding)
    n, c, rows, columns, k, _ = seen.shape
    seen = seen.transpose(0, 1, 4, 5, 2, 3)  # (N, C, K, K, m, m')
    return seen.reshape(n, c * k * k, rows * columns)


def by_columns(x, w, b, stride=1, padding=0):
    """The layer as one matrix product: (N, O, m, m')."""
    k = w.shape[-1]
    m, n = (output_size(s, k, stride, padding) for s in x.shape[2:])
    y = w.reshape(len(w), -1) @ im2col(x, k, stride, padding)
    return y.reshape(len(x), len(w), m, n) + b[:, None, None]

# %%
def by_shifts(x, w, b, stride=1, padding=0):
    """The layer as a sum over the K² places of the kernel: (N, O, m, m')."""
    p, k = padding, w.shape[-1]
    m, n = (output_size(s, k, stride, p) for s in x.shape[2:])
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((len(x), len(w), m, n), dtype=np.result_type(x, w))
    for u in range(k):
        for v in range(k):
            part = x[:, :, u : u + stride * m : stride]
            part = part[..., v : v + stride * n : stride]  # (N, C, m, m')
            y += np.einsum("oc,ncij->noij", w[:, :, u, v], part, optimize=True)
    return y + b[:, None, None]

# %%
def convolve_backward(dy, x, w, stride=1, padding=0):
    """Gradients of x, w and b, given that of y.

    dy: (N, O, m, m'), x: (N, C, H, W), w: (O, C, K, K).
    Source: eq-convolution-weight-gradient, eq-convolution-input-gradient.
    """
    p, k = padding, w.shape[-1]
    m, n = dy.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dx, dw = np.zeros_like(wide), np.zeros_like(w)
    for u in range(k):
        for v in range(k):
            rows = slice(u, u + stride * m, stride)
            columns = slice(v, v + stride * n, stride)
            seen = wide[:, :, rows, columns]  # (N, C, m, m')
            dw[:, :, u, v] = np.einsum("noij,ncij->oc", dy, seen)
            back = np.einsum("noij,oc->ncij", dy, w[:, :, u, v])
            dx[:, :, rows, columns] += back
    h, width = x.shape[2:]
    dx = dx[:, :, p : p + h, p : p + width]
    return dx, dw, dy.sum(axis=(0, 2, 3))

# %%
def max_pool(x, size):
    """Largest of each size × size block, and where it lay in the block.

    x: (N, C, H, W); both answers: (N, C, H // size, W // size). Of equal
    ones the first, row by row. Source: def-convolution-pool.
    """
    seen = windows(x, size, size)  # (N, C, m, m', size, size)
    seen = seen.reshape(*seen.shape[:4], size * size)
    return seen.max(axis=-1), seen.argmax(axis=-1)


def max_pool_backward(dy, winner, size, shape):
    """Gradient of the input, (N, C, H, W) = shape.

    Source: eq-convolution-max-gradient.
    """
    dx = np.zeros(shape, dtype=dy.dtype)
    n, c, i, j = np.indices(dy.shape)
    np.add.at(
        dx, (n, c, size * i + winner // size, size * j + winner % size), dy
    )
    return dx

# %%
@dataclass(frozen=True)
class Config:
    side: int = 8  # pixels of a row
    maps: tuple = (6, 16)  # channels of the two convolutions
    kernel: int = 3
    paddings: tuple = (1, 1)  # of the two convolutions
    dense: tuple = (120, 84)  # widths of the hidden dense layers
    num_classes: int = 10
    batch: int = 64  # pictures in one step


CONFIGS = {
    "smoke": Config(maps=(4, 8), dense=(32, 16)),
    "cpu": Config(),
    "gpu": Config(28, kernel=5, paddings=(2, 0), batch=512),
}


def example_batch(config, device):
    """A batch of the right shapes, random, for tests and estimates."""
    x = torch.rand(config.batch, 1, config.side, config.side, device=device)
    return x, torch.arange(config.batch, device=device) % config.num_classes


def step(model, batch):
    """Mean cross-entropy of a batch; x: (N, 1, side, side), y: (N,)."""
    x, y = batch
    return F.cross_entropy(model(x), y)

# %%
class LeNet(nn.Module):
    """Two convolutions, each with ReLU and 2 × 2 pooling, and dense layers.

    x: (N, 1, side, side); gives logits (N, num_classes).
    """

    def __init__(self, config):
        super().__init__()
        side, c, layers = config.side, 1, []
        for o, padding in zip(config.maps, config.paddings, strict=True):
            layers.append(nn.Conv2d(c, o, config.kernel, padding=padding))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            side = output_size(side, config.kernel, 1, padding) // 2
            c = o
        self.features = nn.Sequential(*layers)
        widths = (c * side * side, *config.dense, config.num_classes)
        self.head = MLP(widths)

    def forward(self, x):  # (N, 1, side, side)
        return self.head(self.features(x).flatten(1))  # (N, classes)


def build(config):
    return LeNet(config)

# %%
def digit_pictures(seed, divisor=16.0, dtype=torch.float32):
    """Training and test digits, (n, 1, 8, 8), divided by `divisor`."""
    x, y, x_test, y_test = map(torch.from_numpy, digits.split(seed))
    x, x_test = ((16 / divisor * a).to(dtype) for a in (x, x_test))
    return (x.reshape(-1, 1, 8, 8), y), (x_test.reshape(-1, 1, 8, 8), y_test)


@torch.no_grad()
def accuracy(model, x, y):
    """Share of right answers of the model as it stands."""
    return (model(x).argmax(dim=1) == y).float().mean().item()


def shift(x, down, right):
    """Pictures moved by whole pixels, zeros coming in; (..., H, W)."""
    h, w = x.shape[-2:]
    d, r = abs(down), abs(right)
    wide = F.pad(x, (r, r, d, d))
    return wide[..., d - down : d - down + h, r - right : r - right + w]

# %%
def canvas(x, right=0):
    """Digits (n, 1, 8, 8) on 28 × 28, at row 10 and column 10 + right."""
    return F.pad(x, (10 + right, 10 - right, 10, 10))


class BlurPool(nn.Module):
    """2 × 2 maximum at stride 1, then blurred by 1 2 1, then every second.

    x: (N, C, H, W), gives (N, C, H / 2, W / 2). Source: eq-convolution-blur.
    """

    def forward(self, x):
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2, stride=1)
        row = torch.tensor([1.0, 2.0, 1.0], device=x.device) / 4
        kernel = torch.outer(row, row).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])

# %%
class CombNet(nn.Module):
    """Three 3 × 3 convolutions on (N, 1, 28, 28), then a head.

    pool: "max", "blur" or None, after the first two. place: whether the head
    sees where a feature is (flatten) or its maximum alone (global).
    """

    def __init__(self, pool="max", place=False):
        super().__init__()
        mode = "zeros" if pool else "circular"
        layers, c = [], 1
        for o in (8, 16, 32):
            conv = nn.Conv2d(c, o, 3, padding=1, padding_mode=mode)
            layers += [conv, nn.ReLU()]
            if pool and o < 32:
                layers.append(
                    BlurPool() if pool == "blur" else nn.MaxPool2d(2)
                )
            c = o
        self.features, self.place = nn.Sequential(*layers), place
        self.head = MLP((32 * 49, 64, 10)) if place else nn.Linear(32, 10)

    def forward(self, x):  # (N, 1, 28, 28)
        maps = self.features(x)  # (N, 32, 7, 7)
        return self.head(maps.flatten(1) if self.place else maps.amax((2, 3)))

# %%
class Anywhere(Batches):
    """Batches of canvases, each moved to the right by 0 to 8 pixels."""

    def __iter__(self):
        for x, y in super().__iter__():
            right = torch.randint(9, (len(x),), generator=self.generator)
            moved = (
                shift(a, 0, int(k)) for a, k in zip(x, right, strict=True)
            )
            yield torch.stack(list(moved)), y


COMB = {  # what the network is, and what shows it the digits
    "MLP": (
        lambda: nn.Sequential(nn.Flatten(), MLP((784, 128, 128, 10))),
        Batches,
    ),
    "flatten": (lambda: CombNet(place=True), Batches),
    "global": (lambda: CombNet(), Batches),
    "blur": (lambda: CombNet("blur"), Batches),
    "no stride": (lambda: CombNet(None), Batches),
    "augmented": (lambda: CombNet(place=True), Anywhere),
}
COMB_STUDY = {"network": list(COMB), "seed": range(5)}

# %%
def comb_run(network, seed, epochs=15):
    """Test accuracy at each shift 0 … 8, and the number of weights."""
    make, batches = COMB[network]
    (x, y), (x_test, y_test) = digit_pictures(seed)
    torch.manual_seed(seed)
    model = make()
    batches = batches(canvas(x), y, 64, seed)
    total = epochs * len(batches)
    train(
        model,
        torch.optim.Adam(model.parameters(), lr=3e-3),
        batches,
        epochs,
        schedule=lambda k: warmup(k, total // 5) * cosine(k, total),
    )
    found = {
        f"shift_{k}": accuracy(model, canvas(x_test, k), y_test)
        for k in range(9)
    }
    return found | {"weights": sum(p.numel() for p in model.parameters())}

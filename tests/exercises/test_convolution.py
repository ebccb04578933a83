"""The exercises of the chapter on convolution: wrong answers that readers give, and the hint each must get."""

from itertools import pairwise

import numpy as np
import torch
from scipy.signal import convolve2d, correlate2d
from torch import nn
from torch.nn import functional as F

# --- bug zoo -------------------------------------------------------------------------------------------


def scaled(train, test, number, other=None):
    with np.errstate(all="ignore"):
        return train / number, test / (number if other is None else other)


def scaled_each(train, test):
    def each(pictures):
        return np.stack([p / max(p.max(), 1e-12) for p in pictures])

    return each(train), each(test)


def scaled_by_loop(train, test):
    largest = max(float(value) for value in train.ravel()) or 1.0
    return [np.asarray(part, dtype=float) / largest for part in (train, test)]


def head_by_loop(maps, w, b):
    best = [[channel.max() for channel in picture] for picture in maps]
    return np.array(best) @ w + b


def head_by_torch(maps, w, b):
    pooled = F.adaptive_max_pool2d(torch.from_numpy(np.array(maps)), 1).flatten(1)
    return (pooled @ torch.from_numpy(np.array(w)) + torch.from_numpy(np.array(b))).numpy()


def back_by_loop(dy, kernel):
    k = len(kernel)
    dx = np.zeros((dy.shape[0] + k - 1, dy.shape[1] + k - 1))
    for i, j in np.ndindex(*dy.shape):
        dx[i : i + k, j : j + k] += dy[i, j] * kernel
    return dx


def moved(pictures, rng, values=(-1, 0, 1), axes=2, roll=False, each=True, mirror=False, seed=None):
    rng = rng if seed is None else np.random.default_rng(seed)
    out = np.zeros_like(pictures)
    shared = rng.choice(values, 2)
    for n, picture in enumerate(pictures):
        down, right = rng.choice(values, 2) if each else shared
        down = down if axes == 2 else 0
        if mirror and rng.random() < 0.5:
            picture = picture[:, ::-1]
        turned = np.roll(picture, (down, right), (0, 1))
        if not roll:
            if down:
                turned[0 if down > 0 else -1] = 0
            if right:
                turned[:, 0 if right > 0 else -1] = 0
        out[n] = turned
    return out


def moved_at_once(pictures, rng):
    n, h, w = pictures.shape
    wide = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    down, right = rng.integers(3, size=(2, n, 1, 1))
    rows, columns = np.arange(h)[:, None] + down, np.arange(w) + right
    return wide[np.arange(n)[:, None, None], rows, columns]


def in_place(pictures, rng):
    pictures[:] = moved(pictures, rng)
    return pictures


def idle(model, everything=False, tensors=False, skip=False, weights=False):
    count, layers = 0, list(model.children())
    for number, layer in enumerate(layers):
        if not isinstance(layer, nn.Conv2d) or layer.bias is None:
            continue
        rest = layers[number + 1 :]
        rest = [part for part in rest if not isinstance(part, nn.ReLU)] if skip else rest
        if everything or (rest and isinstance(rest[0], nn.BatchNorm2d)):
            count += 1 if tensors else layer.bias.numel()
            count += layer.weight.numel() if weights else 0
    return count


def idle_by_pairs(model):
    return sum(
        a.out_channels
        for a, b in pairwise(model)
        if isinstance(a, nn.Conv2d) and a.bias is not None and isinstance(b, nn.BatchNorm2d)
    )


def dark(n, kernel, stride=1, padding=0):
    x = torch.zeros(1, 1, n, n, requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding).sum().backward()
    return int((x.grad == 0).sum())


def dark_row(n, kernel, stride=1, padding=0):
    rows = {s - padding + u for s in range(0, n + 2 * padding - kernel + 1, stride) for u in range(kernel)}
    return n - len(rows & set(range(n)))


# --- exercises -----------------------------------------------------------------------------------------


def size_by_loop(n, kernel, stride, padding, dilation, ceil=False):
    count, start, length = 0, 0, n + 2 * padding
    reach = (kernel - 1) * dilation + 1
    while start + reach <= length:
        count, start = count + 1, start + stride
    if ceil and count and start - stride + reach < length:
        count += 1
    return count


def size_float(n, k, s, p, d):
    return max(0, int(np.floor((n + 2 * p - d * (k - 1) - 1) / s)) + 1)


def field_by_sets(layers):
    seen = [{0}, {1}]  # of two neighboring outputs, layer by layer back to the input
    for kernel, stride, dilation in layers[::-1]:
        seen = [{stride * i + dilation * u for i in part for u in range(kernel)} for part in seen]
    return max(seen[0]) - min(seen[0]) + 1, min(seen[1]) - min(seen[0])


def field(layers, before=True, dilated=True, start=1, order=1, pair=True):
    width, jump = start, 1
    for kernel, stride, dilation in layers[::order]:
        jump = jump if before else jump * stride
        width += (dilation if dilated else 1) * (kernel - 1) * jump
        jump = jump * stride if before else jump
    return (width, jump) if pair else width


def depthwise(x, depth, flip=False):
    step = convolve2d if flip else correlate2d
    return np.stack([step(a, d, mode="valid") for a, d in zip(x, depth, strict=True)])


def separable_by_torch(x, depth, point):
    x, depth, point = (torch.from_numpy(np.array(a)) for a in (x, depth, point))
    y = F.conv2d(x[None], depth[:, None], groups=len(depth))
    return F.conv2d(y, point[:, :, None, None])[0].numpy()


def pooled_by_torch(dy, x, size):
    x = torch.from_numpy(np.array(x, dtype=float))[None, None].requires_grad_()
    F.max_pool2d(x, size).backward(torch.from_numpy(np.array(dy, dtype=float))[None, None])
    return x.grad[0, 0].numpy()


def pooled(dy, x, size, share=False, whole=False, mean=False, last=False):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(*dy.shape):
        part = np.s_[size * i : size * i + size, size * j : size * j + size]
        hits = (x[part] == x[part].max()).astype(float)
        if mean:
            hits = np.full_like(hits, 1 / hits.size)
        elif share:
            hits /= hits.sum()
        elif not whole:
            places = np.flatnonzero(hits)
            hits = np.zeros_like(hits)
            hits.ravel()[places[-1 if last else 0]] = 1
        dx[part] = dy[i, j] * hits
    return dx


def folded(columns, shape, kernel, stride, padding):
    """By torch's fold, which takes columns in the same order."""
    columns = torch.from_numpy(np.array(columns))
    return F.fold(columns, shape[2:], kernel, stride=stride, padding=padding).numpy()


def refolded(columns, shape, kernel, stride, padding, add=True, inner=False, crop=True):
    n, c, h, w = shape
    k, p = kernel, padding
    m = (h + 2 * p - k) // stride + 1
    parts = columns.reshape((n, k, k, c, m, -1) if inner else (n, c, k, k, m, -1))
    wide = np.zeros((n, c, h + 2 * p, w + 2 * p))
    for i, j in np.ndindex(*parts.shape[4:]):
        part = np.s_[:, :, stride * i : stride * i + k, stride * j : stride * j + k]
        entries = parts[..., i, j].transpose(0, 3, 1, 2) if inner else parts[..., i, j]
        wide[part] = wide[part] + entries if add else entries
    return wide[:, :, p : p + h, p : p + w] if crop else wide


def grids(x):
    wide = np.max([np.roll(x, (-i, -j), (0, 1)) for i in (0, 1) for j in (0, 1)], axis=0)
    return [wide[i::2, j::2] for i in (0, 1) for j in (0, 1)]


def chosen(x, by):
    return max(grids(x), key=by).copy()


def plain_pool(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).max(axis=(1, 3))


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "conv-zoo-scale": [
        (lambda a, b: scaled(a, b, 255), "number from memory"),
        (lambda a, b: scaled(a, b, 16), "these digits only"),
        (lambda a, b: scaled(a, b, a.max() or 1, b.max() or 1), "number of their own"),
        (lambda a, b: scaled(a, b, max(a.max(), b.max())), "helped to choose"),
        (lambda a, b: scaled(a, b, a.max()), "0 / 0"),
        (scaled_each, ""),
    ],
    "conv-zoo-flatten": [
        (lambda m, w, b: m.mean(axis=(2, 3)) @ w + b, "mean of each map"),
        (lambda m, w, b: m.sum(axis=(2, 3)) @ w + b, "grows with the size"),
        (lambda m, w, b: m.max(axis=(2, 3)) @ w, "bias"),
        (lambda m, w, b: m.max(axis=(2, 3), initial=0) @ w + b, "negative everywhere"),
    ],
    "conv-zoo-flip": [
        (lambda d, k: correlate2d(d, k), "turned round"),
        (lambda d, k: correlate2d(d, k, mode="valid") if min(d.shape) >= len(k) else d, ""),
        (lambda d, k: convolve2d(d, k[::-1]), "One axis"),
        (lambda d, k: convolve2d(d, k, mode="same"), ""),
        (lambda d, k: convolve2d(d, k.T), "Transposed"),
    ],
    "conv-zoo-mirror": [
        (lambda p, r: moved(p, r, mirror=True), "mirrored"),
        (lambda p, r: moved(p, r, roll=True), "comes in on the other"),
        (lambda p, r: moved(p, r, each=False), "each picture by itself"),
        (lambda p, r: moved(p, r, values=(-1, 0)), "upper end"),
        (lambda p, r: moved(p, r, axes=1), "both ways"),
        (lambda p, r: moved(p, r, seed=3), "rng that you are given"),
        (lambda p, r: moved(p, r, values=(-2, 0, 2)), "whole pixels"),
        (in_place, "copy"),
    ],
    "conv-zoo-view": [
        (lambda p: p.reshape(p.shape[0], p.shape[3], p.shape[1], p.shape[2]), "Reshape reads on"),
        (lambda p: p.swapaxes(1, 3), "changed places"),
        (lambda p: p, "axis 1"),
    ],
    "conv-zoo-bias": [
        (lambda m: idle(m, tensors=True), "single numbers"),
        (lambda m: idle(m, everything=True), "there the bias does matter"),
        (lambda m: idle(m, skip=True), "stands a ReLU"),
        (lambda m: idle(m, weights=True), "kernel work"),
    ],
    "conv-zoo-unseen": [
        (dark_row, "And in the plane"),
        (lambda n, k, s=1, p=0: dark_row(n, k, s, p) ** 2, "OR"),
        (lambda n, k, s=1, p=0: 2 * n * dark_row(n, k, s, p), "counted twice"),
        (lambda n, k, s=1, p=0: n * n - dark(n, k, s, p), "that are seen"),
        (lambda n, k, s=1, p=0: n**2 - (n - (n + 2 * p - k) % s) ** 2, "not all"),
    ],
    "conv-zoo-true": [
        (lambda w: w.copy(), "other end"),
        (lambda w: np.flip(w, 3), "Both axes"),
        (lambda w: np.flip(w), "Channels keep their order"),
        (lambda w: w.swapaxes(2, 3), "Transposed"),
    ],
    "conv-weights": [
        (18432, "biases count"),
        (18464, "OUTPUT"),
        (640, "EACH input"),
        (20480, "not for each kernel"),
    ],
    "conv-rate": [
        (0.4, "for Adam"),
        (0.00625, "other way"),
        (0.1, "must be larger"),
        (16, "That is the factor"),
    ],
    "conv-size": [
        (lambda n, k, s, p, d: max(0, (n - k) // s + 1), "not in it yet"),
        (lambda n, k, s, p, d: size_by_loop(n, k, s, p, 1), "reaches over"),
        (lambda n, k, s, p, d: max(0, (n + 2 * p - k * d) // s + 1), "K - 1 gaps"),
        (lambda n, k, s, p, d: size_by_loop(n, k, s, p, d, ceil=True), "round down"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s + 1, "0 is wanted"),
    ],
    "conv-field": [
        (lambda layers: field(layers, before=False), "own stride"),
        (lambda layers: field(layers, dilated=False), "dilated"),
        (lambda layers: field(layers, start=0), "sees itself"),
        (lambda layers: field(layers, order=-1), "which order"),
        (lambda layers: field(layers, pair=False), "Two numbers"),
    ],
    "conv-separable": [
        (lambda x, d, p: depthwise(x, d), "mix them"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d, flip=True), axes=1), "turned round"),
    ],
    "conv-pool": [
        (lambda d, x, s: pooled(d, x, s, whole=True), "sum of the gradient"),
        (lambda d, x, s: pooled(d, x, s, share=True), "fair share"),
        (lambda d, x, s: pooled(d, x, s, mean=True), "average"),
        (lambda d, x, s: pooled(d, x, s, last=True), "last winner"),
    ],
    "conv-tooth": [(4, "two poolings"), (6, "multiply"), (3, "Three poolings")],
    "conv-col2im": [
        (lambda *a: refolded(*a, add=False), "overwrite"),
        (lambda *a: refolded(*a, inner=True), "channel by channel"),
        (lambda *a: refolded(*a, crop=False), "frame"),
        (lambda *a: folded(*a) / np.maximum(folded(np.ones_like(a[0]), *a[1:]), 1), "mean over"),
    ],
    "conv-equivariant": [
        (plain_pool, "by the numbers in it"),
        (lambda x: grids(x)[3].copy(), "by the numbers in it"),
        (lambda x: sum(grids(x)) / 4, "choose one"),
        (lambda x: chosen(x, lambda g: g[0, 0]), "by the numbers in it"),
        (lambda x: x[::2, ::2].copy(), "stride-1 maximum"),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "conv-zoo-scale": [scaled_by_loop, lambda a, b: scaled(a, b, a.max() if a.any() else 1)],
    "conv-zoo-flatten": [head_by_loop, head_by_torch],
    "conv-zoo-flip": [back_by_loop, lambda d, k: convolve2d(d, k)],
    "conv-zoo-mirror": [moved, moved_at_once],
    "conv-zoo-view": [
        lambda p: np.moveaxis(p, 3, 1).copy(),
        lambda p: np.stack([p[..., c] for c in range(p.shape[3])], 1),
    ],
    "conv-zoo-bias": [idle, idle_by_pairs],
    "conv-zoo-unseen": [dark, lambda n, k, s=1, p=0: n * n - (n - dark_row(n, k, s, p)) ** 2],
    "conv-zoo-true": [lambda w: np.rot90(w, 2, (2, 3)), lambda w: np.flip(w, (2, 3)).astype(np.float32)],
    "conv-weights": [18496, 18496.0],
    "conv-rate": [1.6, np.float32(1.6)],
    "conv-size": [size_by_loop, size_float],
    "conv-field": [field_by_sets, lambda layers: list(field(layers))],
    "conv-separable": [separable_by_torch, lambda x, d, p: np.einsum("oc,cij->oij", p, depthwise(x, d))],
    "conv-pool": [pooled_by_torch, pooled],
    "conv-tooth": [8, 8.0],
    "conv-col2im": [folded, refolded],
    "conv-equivariant": [
        lambda x: chosen(x, lambda g: np.abs(g).sum()),
        lambda x: (
            chosen(x, lambda g: g.max()) if len({g.max() for g in grids(x)}) == 4 else chosen(x, np.sum)
        ),
        lambda x: np.roll(chosen(x, np.sum), 1, 0),
    ],
}

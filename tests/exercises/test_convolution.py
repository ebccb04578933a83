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


def moved_by(pictures, moves):
    """Each picture moved by a number from 0 to 8."""
    h, w = pictures.shape[1:]
    wide = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros(pictures.shape)
    for n, (down, right) in enumerate(zip(*divmod(np.asarray(moves), 3), strict=True)):
        out[n] = wide[n, down : down + h, right : right + w]
    return out


def in_turns(pictures, rng):
    return moved_by(pictures, (np.arange(len(pictures)) + rng.integers(9)) % 9)


def dealt(pictures, rng):
    return moved_by(pictures, rng.permutation(len(pictures)) % 9)


def in_pairs(pictures, rng):
    return moved_by(pictures, rng.integers(9, size=len(pictures)).repeat(2)[: len(pictures)])


def rounded(pictures, rng):
    steps = np.clip(np.rint(rng.normal(size=(2, len(pictures)))), -1, 1).astype(int) + 1
    return moved_by(pictures, 3 * steps[0] + steps[1])


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


def idle_parts(model):
    layers = list(model)
    pairs = [(a, b) for a, b in pairwise(layers) if isinstance(b, nn.BatchNorm2d)]
    return [a.bias.numel() for a, b in pairs if isinstance(a, nn.Conv2d) and a.bias is not None]


def idle_removed(model):
    count = sum(idle_parts(model))
    for layer in model:
        layer.bias = None
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


def dark_wrapped(n, kernel, stride=1, padding=0, short=False, wrap=False):
    seen = np.zeros(n, dtype=bool)
    for start in range(-padding, n + padding - kernel + (not short), stride):
        for place in range(start, start + kernel):
            if (wrap or place >= 0) and place < n:
                seen[place] = True
    return n * n - int(seen.sum()) ** 2


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


def field_by_step(step):
    def answer(layers):
        width = jump = 1
        for layer in layers:
            width, jump = step(width, jump, *layer)
        return width, jump

    return answer


def field_backward(layers):
    width = jump = 1
    for kernel, stride, dilation in reversed(layers):
        width, jump = (width - 1) * stride + (kernel - 1) * dilation + 1, jump * stride
    return width, jump


def field_popped(layers):
    answer = field(layers)
    layers.clear()
    return answer


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


def pooled_by_reshape(dy, x, size):
    m, n = dy.shape
    blocks = x[: m * size, : n * size].reshape(m, size, n, size).swapaxes(1, 2).reshape(m, n, -1)
    hits = np.eye(size**2)[blocks.argmax(axis=2)] * dy[..., None]
    dx = np.zeros(x.shape)
    dx[: m * size, : n * size] = hits.reshape(m, n, size, size).swapaxes(1, 2).reshape(m * size, n * size)
    return dx


def pooled_from_zero(dy, x, size):
    """Looks for a pixel larger than 0."""
    wanted = pooled_by_reshape(dy, x, size)
    return np.where(x > 0, wanted, 0)


def pooled_to_the_rest(dy, x, size):
    rest = [-side % size for side in x.shape]
    wide = np.pad(x, [(0, r) for r in rest], constant_values=-9)
    dy = np.pad(dy, [(0, int(r > 0)) for r in rest], mode="edge")
    return pooled_by_reshape(dy, wide, size)[: x.shape[0], : x.shape[1]]


def folded_by_autograd(columns, shape, kernel, stride, padding):
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    F.unfold(x, kernel, padding=padding, stride=stride).backward(torch.from_numpy(np.array(columns)).double())
    return x.grad.numpy()


def folded_by_pixels(columns, shape, kernel, stride, padding, wrap=False):
    h, w = shape[2:]
    m = (h + 2 * padding - kernel) // stride + 1
    out = np.zeros(shape)
    parts = columns.reshape(*shape[:2], kernel, kernel, m, -1)
    for u, v, i, j in np.ndindex(*parts.shape[2:]):
        row, column = stride * i + u - padding, stride * j + v - padding
        if row < h and column < w and (wrap or min(row, column) >= 0):
            out[:, :, row, column] += parts[:, :, u, v, i, j]
    return out


def folded_swapped(columns, shape, kernel, *rest):
    parts = columns.reshape(len(columns), -1, kernel, kernel, columns.shape[2]).swapaxes(2, 3)
    return folded(parts.reshape(columns.shape), shape, kernel, *rest)


def folded_cropped(columns, shape, kernel, stride, padding, first=False):
    wide = refolded(columns, shape, kernel, stride, padding, crop=False)
    if first:
        return wide[:, :, : shape[2], : shape[3]]
    return wide[:, :, padding:-padding, padding:-padding]


def folded_first(columns, shape, *rest):
    return np.repeat(folded(columns[:1], (1, *shape[1:]), *rest), shape[0], axis=0)


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


def chosen_by_place(x):
    i, j = np.unravel_index(x.argmax(), x.shape)
    return grids(x)[2 * (i % 2) + j % 2]


def chosen_by_torch(x):
    wide = F.pad(torch.from_numpy(np.array(x)).float()[None, None], (0, 1, 0, 1), mode="circular")
    wide = F.max_pool2d(wide, 2, 1)[0, 0]
    return max((wide[i::2, j::2] for i in (0, 1) for j in (0, 1)), key=torch.norm).numpy()


def pooled_in_place(x):
    np.maximum(x, np.roll(x, -1, 0), out=x)
    np.maximum(x, np.roll(x, -1, 1), out=x)
    return max((x[i::2, j::2] for i in (0, 1) for j in (0, 1)), key=np.sum)


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
        (lambda a, b: scaled(a, b, max(a.max(), 1)), "faint train"),
        (lambda a, b: scaled(a, b, a.max() + 1e-8), "all zeros here"),
        (lambda a, b: scaled(a, b, max(a.max(), 1e-12)), "all zeros here"),
        (lambda a, b: (a / (a.max() or 1), np.minimum(b / (a.max() or 1), 1)), "nothing is cut off"),
        (lambda a, b: scaled(a - a.min(), b - a.min(), np.ptp(a) or 1), "Only divide"),
        (lambda a, b: (a / (a.max() or 1), b), "divides both"),
        (lambda a, b: scaled(a, b, a[0].max() or 1), "first picture"),
        (lambda a, b: scaled(a, b, a.max(axis=0)), "each place"),
        (lambda a, b: [part // (a.max() or 1) for part in (a, b)], "throws away"),
    ],
    "conv-zoo-flatten": [
        (lambda m, w, b: m.mean(axis=(2, 3)) @ w + b, "mean of each map"),
        (lambda m, w, b: m.sum(axis=(2, 3)) @ w + b, "grows with the size"),
        (lambda m, w, b: m.max(axis=(2, 3)) @ w, "bias"),
        (lambda m, w, b: m.max(axis=(2, 3), initial=0) @ w + b, "negative everywhere"),
        (lambda m, w, b: np.abs(m).max(axis=(2, 3)) @ w + b, "farthest from zero"),
        (lambda m, w, b: m.max(axis=(0, 2, 3)) @ w + b, "each picture"),
        (lambda m, w, b: head_by_loop(m[:1], w, b), "each picture"),
        (lambda m, w, b: m[:, :, 0, 0] @ w + b, "corner"),
        (lambda m, w, b: m.max(axis=(1, 2, 3))[:, None] * w.sum(axis=0) + b, "which axes"),
        (lambda m, w, b: np.maximum(head_by_loop(m, w, b), 0), "may be negative"),
        (lambda m, w, b: head_by_loop(m, w, b).argmax(axis=1), "decision"),
    ],
    "conv-zoo-flip": [
        (lambda d, k: correlate2d(d, k), "turned round"),
        (lambda d, k: correlate2d(d, k, mode="valid") if min(d.shape) >= len(k) else d, ""),
        (lambda d, k: convolve2d(d, k[::-1]), "One axis"),
        (lambda d, k: convolve2d(d, k, mode="same"), ""),
        (lambda d, k: convolve2d(d, k.T), "Transposed"),
        (lambda d, k: convolve2d(d, np.rot90(k)), "quarter"),
        (lambda d, k: convolve2d(d, k)[::-1, ::-1], "on its head"),
        (lambda d, k: -convolve2d(d, k), "minus"),
        (lambda d, k: convolve2d(d.T, k), "Rows of dy"),
        (lambda d, k: convolve2d(d, k)[1:-1, 1:-1], "How many zeros"),
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
        (in_turns, "say nothing about the next"),
        (dealt, "say nothing about the next"),
        (in_pairs, "say nothing about the next"),
        (rounded, "probability"),
        (lambda p, r: moved(p, r, values=(-1, -1, 0, 0, 0, 0, 1, 1, 1)), "probability"),
        (lambda p, r: moved(p, np.random.default_rng()), "rng that you are given"),
    ],
    "conv-zoo-view": [
        (lambda p: p.reshape(p.shape[0], p.shape[3], p.shape[1], p.shape[2]), "Reshape reads on"),
        (lambda p: p.swapaxes(1, 3), "changed places"),
        (lambda p: p, "axis 1"),
        (lambda p: p.T, "all four axes"),
        (lambda p: p.transpose(3, 0, 1, 2), "stay first"),
        (lambda p: p.transpose(0, 3, 1, 2)[:, ::-1], "their order"),
        (lambda p: p.transpose(0, 3, 1, 2) / 255, "stay as they are"),
    ],
    "conv-zoo-bias": [
        (lambda m: idle(m, tensors=True), "single numbers"),
        (lambda m: idle(m, everything=True), "there the bias does matter"),
        (lambda m: idle(m, skip=True), "stands a ReLU"),
        (lambda m: idle(m, weights=True), "kernel work"),
        (lambda m: (idle_parts(m) or [0])[0], "add them up"),
        (lambda m: (idle_parts(m) or [0])[-1], "add them up"),
        (lambda m: 2 * idle(m), "norm's own"),
        (idle_removed, "Only count"),
        (
            lambda m: sum(idle(m[i : i + 2]) for i, a in enumerate(m) if m[i + isinstance(a, nn.Conv2d)]),
            "last one",
        ),
    ],
    "conv-zoo-unseen": [
        (dark_row, "And in the plane"),
        (lambda n, k, s=1, p=0: dark_row(n, k, s, p) ** 2, "OR"),
        (lambda n, k, s=1, p=0: 2 * n * dark_row(n, k, s, p), "counted twice"),
        (lambda n, k, s=1, p=0: n * n - dark(n, k, s, p), "that are seen"),
        (lambda n, k, s=1, p=0: n**2 - (n - (n + 2 * p - k) % s) ** 2, "not all"),
        (lambda n, k, s=1, p=0: dark(n, k, s), "Padding moves"),
        (lambda n, k, s=1, p=0: 0 if s <= k else dark(n, k, s, p), "behind the last"),
        (lambda n, k, s=1, p=0: dark_wrapped(n, k, s, p, short=True), "stops before its end"),
        (lambda n, k, s=1, p=0: dark_wrapped(n, k, s, p, wrap=True), "from the END"),
        (lambda n, k, s=1, p=0: dark(n + 2 * p, k, s), "no pixel"),
        (lambda n, k, s=1, p=0: max(0, n * n - (((n + 2 * p - k) // s + 1) * k) ** 2), "overlap"),
        (lambda n, k, s=1, p=0: dark(n, k, s, p) + (s == 1), ""),
        (lambda n, k, s=2, p=0: dark(n, k, s, p), ""),
        (lambda n, k, s=1, p=1: dark(n, k, s, p), ""),
        (lambda n, k, s=1, p=0: n * n - ((n + 2 * p - k) // s + 1) ** 2, "So many windows"),
    ],
    "conv-zoo-true": [
        (lambda w: w.copy(), "other end"),
        (lambda w: np.flip(w, 3), "Both axes"),
        (lambda w: np.flip(w), "Channels keep their order"),
        (lambda w: w.swapaxes(2, 3), "Transposed"),
        (lambda w: w[::-1, ::-1], "axes of the channels"),
        (lambda w: np.rot90(w, 2), "axes of the channels"),
        (lambda w: np.rot90(w, 1, (2, 3)), "quarter"),
        (lambda w: np.flip(w.swapaxes(2, 3), (2, 3)), "transposed as well"),
        (lambda w: np.flip(w, (1, 2, 3)), "Channels keep their order"),
    ],
    "conv-weights": [
        (18432, "biases count"),
        (18464, "OUTPUT"),
        (640, "EACH input"),
        (20480, "not for each kernel"),
        (18528, "come in have no"),
        (352, "ONE output"),
        (6208, "9 weights"),
        (9248, "64 channels"),
        (36928, "32 channels"),
    ],
    "conv-rate": [
        (0.4, "for Adam"),
        (0.00625, "other way"),
        (0.1, "must be larger"),
        (16, "That is the factor"),
        (4, "q = 64"),
        (0.2, "root"),
        (25.6, "fourth"),
        (6.4, "third"),
        (0.05, "other way"),
        (1.61, ""),
    ],
    "conv-size": [
        (lambda n, k, s, p, d: max(0, (n - k) // s + 1), "not in it yet"),
        (lambda n, k, s, p, d: size_by_loop(n, k, s, p, 1), "reaches over"),
        (lambda n, k, s, p, d: max(0, (n + 2 * p - k * d) // s + 1), "K - 1 gaps"),
        (lambda n, k, s, p, d: size_by_loop(n, k, s, p, d, ceil=True), "round down"),
        (lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s + 1, "0 is wanted"),
        (lambda n, k, s, p, d: max(0, int((n + 2 * p - d * (k - 1) - 1) / s) + 1), "toward zero"),
        (lambda n, k, s, p, d: max(0, round((n + 2 * p - d * (k - 1) - 1) / s) + 1), "round down"),
        (lambda n, k, s, p, d: max(0, (n + 2 * p - d * (k - 1) - 1) // s), "fence"),
        (lambda n, k, s, p, d: max(1, size_by_loop(n, k, s, p, d)), "0 is wanted"),
        (lambda n, k, s, p, d: 0 if k > n else size_by_loop(n, k, s, p, d), "Does it fit"),
        (
            lambda n, k, s, p, d: 0 if k > n + 2 * p else (n + 2 * p - d * (k - 1) - 1) // s + 1,
            "Does it fit",
        ),
        (lambda n, k, s, p, d: size_by_loop(n, k, 1, p, d), "stride"),
        (lambda n, k, s, p, d: size_by_loop(n, k, s, 0, d), "Padding is not"),
        (lambda n, k, s, p, d: max(0, (n + 2 * p - d * (k - 1) - 1) / s + 1), "which way do you round"),
    ],
    "conv-field": [
        (lambda layers: field(layers, before=False), "own stride"),
        (lambda layers: field(layers, dilated=False), "dilated"),
        (lambda layers: field(layers, start=0), "sees itself"),
        (lambda layers: field(layers, order=-1), "which order"),
        (lambda layers: field(layers, pair=False), "Two numbers"),
        (field_popped, ""),
        (lambda layers: field(layers) if layers else (0, 1), "start at 1"),
        (lambda layers: field(layers) if layers else None, "no layer"),
        (lambda layers: field(layers) if layers else (0, 0), "No layer at all"),
        (lambda layers: sum(field(layers)), "Two numbers"),
        (field_by_step(lambda w, j, k, s, d: (w + ((k - 1) * d + 1) * j, j * s)), "NEW"),
        (lambda layers: np.array(field(layers)), "plain numbers"),
        (field_by_step(lambda w, j, k, s, d: (w + k * d * j, j * s)), "K - 1 steps"),
        (field_by_step(lambda w, j, k, s, d: (w + (k * d - 1) * j, j * s)), "bracket"),
        (field_by_step(lambda w, j, k, s, d: (w + 2 * d * j, j * s)), "kernels of 3"),
        (field_by_step(lambda w, j, k, s, d: (w + (k - 1) * d * j, j + s)), "multiply"),
        (field_by_step(lambda w, j, k, s, d: (w + (k - 1) * d * j, s)), "all layers before"),
        (field_by_step(lambda w, j, k, s, d: (w + (k - 1) * d * s, j * s)), "INPUTS"),
        (field_by_step(lambda w, j, k, s, d: (w * k, j * s)), "add up"),
    ],
    "conv-separable": [
        (lambda x, d, p: depthwise(x, d), "mix them"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d, flip=True), axes=1), "turned round"),
        (lambda x, d, p: np.tensordot(p, np.maximum(depthwise(x, d), 0), axes=1), "no ReLU between"),
        (lambda x, d, p: np.maximum(np.tensordot(p, depthwise(x, d), axes=1), 0), "no ReLU at the end"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d[[0] * len(d)]), axes=1), "of its own"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d[::-1]), axes=1), "kernel c"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d.swapaxes(1, 2)), axes=1), "Rows of the kernel"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d), axes=1) / len(d), "no mean"),
        (lambda x, d, p: np.tensordot(p, x, axes=1), "get smaller"),
        (lambda x, d, p: np.tensordot(p, depthwise(x, d), axes=1)[None], "without a batch"),
    ],
    "conv-pool": [
        (lambda d, x, s: pooled(d, x, s, whole=True), "sum of the gradient"),
        (lambda d, x, s: pooled(d, x, s, share=True), "fair share"),
        (lambda d, x, s: pooled(d, x, s, mean=True), "average"),
        (lambda d, x, s: pooled(d, x, s, last=True), "last winner"),
        (pooled_from_zero, "search begin"),
        (lambda d, x, s: pooled_by_reshape(d.T, x.T, s).T, "column by column"),
        (pooled_to_the_rest, "fill no block"),
        (lambda d, x, s: pooled(d, x, s)[: s * d.shape[0], : s * d.shape[1]], "shape of x"),
        (lambda d, x, s: pooled(d, np.abs(x), s), "farthest from zero"),
        (lambda d, x, s: pooled(d, -x, s), "smallest"),
        (lambda d, x, s: np.kron(d, np.ones((s, s))), "Which one decided"),
        (lambda d, x, s: pooled(np.ones_like(d), x, s), "How much"),
        (lambda d, x, s: pooled(np.abs(d), x, s), "sign"),
    ],
    "conv-tooth": [
        (4, "two poolings"),
        (6, "multiply"),
        (3, "Three poolings"),
        (12, "doubles"),
        (7, "size of the maps"),
        (0, "ABOVE"),
        (1, "first pooling"),
        (8.1, ""),
    ],
    "conv-col2im": [
        (lambda *a: refolded(*a, add=False), "overwrite"),
        (lambda *a: refolded(*a, inner=True), "channel by channel"),
        (lambda *a: refolded(*a, crop=False), "frame"),
        (lambda *a: folded(*a) / np.maximum(folded(np.ones_like(a[0]), *a[1:]), 1), "mean over"),
        (folded_swapped, "u before v"),
        (folded_cropped, "empty"),
        (lambda *a: folded_cropped(*a, first=True), "all four sides"),
        (lambda *a: folded_by_pixels(*a, wrap=True), "from the END"),
        (folded_first, "others of the batch"),
        (lambda *a: folded(*a)[0], "as a batch"),
    ],
    "conv-equivariant": [
        (plain_pool, "by the numbers in it"),
        (lambda x: grids(x)[3].copy(), "by the numbers in it"),
        (lambda x: sum(grids(x)) / 4, "choose one"),
        (lambda x: chosen(x, lambda g: g[0, 0]), "by the numbers in it"),
        (lambda x: x[::2, ::2].copy(), "stride-1 maximum"),
        (pooled_in_place, "copy"),
        (lambda x: np.stack(grids(x)), "ONE"),
        (lambda x: np.max(grids(x), axis=0), "stride-1 maximum"),
        (lambda x: chosen(x, np.max), "hardly ever tie"),
        (lambda x: chosen(x, lambda g: np.abs(np.diff(g, axis=0)).sum()), "around its border"),
        (lambda x: chosen(x, lambda g: g[0].sum()), "by the numbers in it"),
        (lambda x: max(grids(x)[:2], key=np.sum).copy(), "by the numbers in it"),
        (lambda x: chosen(x, np.sum)[::-1], "stride-1 maximum"),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "conv-zoo-scale": [
        scaled_by_loop,
        lambda a, b: scaled(a, b, a.max() if a.any() else 1),
        lambda a, b: [part * (1 / (a.max() or 1)) for part in (a, b)],
    ],
    "conv-zoo-flatten": [
        head_by_loop,
        head_by_torch,
        lambda m, w, b: np.einsum("nc,ck->nk", m.reshape(*m.shape[:2], -1).max(axis=2), w) + b,
    ],
    "conv-zoo-flip": [
        back_by_loop,
        lambda d, k: convolve2d(d, k),
        lambda d, k: correlate2d(np.pad(d, len(k) - 1), k[::-1, ::-1], mode="valid"),
    ],
    "conv-zoo-mirror": [
        moved,
        moved_at_once,
        lambda p, r: moved_by(p, r.integers(9, size=len(p))),
        lambda p, r: moved(p, r).astype(np.float32),
    ],
    "conv-zoo-view": [
        lambda p: np.moveaxis(p, 3, 1).copy(),
        lambda p: np.stack([p[..., c] for c in range(p.shape[3])], 1),
        lambda p: np.einsum("nhwc->nchw", p).astype(np.float32),
    ],
    "conv-zoo-bias": [idle, idle_by_pairs, lambda m: torch.tensor(idle(m)), lambda m: sum(idle_parts(m))],
    "conv-zoo-unseen": [
        dark,
        lambda n, k, s=1, p=0: n * n - (n - dark_row(n, k, s, p)) ** 2,
        dark_wrapped,
        lambda n, k, s=1, p=0: float(dark(n, k, s, p)),
    ],
    "conv-zoo-true": [
        lambda w: np.rot90(w, 2, (2, 3)),
        lambda w: np.flip(w, (2, 3)).astype(np.float32),
        lambda w: w.reshape(*w.shape[:2], -1)[..., ::-1].reshape(w.shape),
    ],
    "conv-weights": [18496, 18496.0, torch.tensor(18496)],
    "conv-rate": [1.6, np.float32(1.6), 0.1 * 16],
    "conv-size": [
        size_by_loop,
        size_float,
        lambda n, k, s, p, d: max(0, int((n + 2 * p - d * (k - 1) - 1) / s + 1)),
        lambda n, k, s, p, d: len(range(0, n + 2 * p - d * (k - 1), s)),
    ],
    "conv-field": [field_by_sets, lambda layers: list(field(layers)), field_backward],
    "conv-separable": [
        separable_by_torch,
        lambda x, d, p: np.einsum("oc,cij->oij", p, depthwise(x, d)),
        lambda x, d, p: np.sum(p[:, :, None, None] * depthwise(x, d), axis=1),
    ],
    "conv-pool": [
        pooled_by_torch,
        pooled,
        pooled_by_reshape,
        lambda d, x, s: pooled(d, x, s).astype(np.float32),
    ],
    "conv-tooth": [8, 8.0, 2**3],
    "conv-col2im": [folded, refolded, folded_by_autograd, folded_by_pixels],
    "conv-equivariant": [
        lambda x: chosen(x, lambda g: np.abs(g).sum()),
        lambda x: (
            chosen(x, lambda g: g.max()) if len({g.max() for g in grids(x)}) == 4 else chosen(x, np.sum)
        ),
        lambda x: np.roll(chosen(x, np.sum), 1, 0),
        chosen_by_place,
        chosen_by_torch,
        lambda x: chosen(x, np.median),
        lambda x: chosen(x, lambda g: g.sum(axis=0).max()),
        lambda x: chosen(x, lambda g: np.abs(g - np.roll(g, 1, 0)).sum()),
        lambda x: min(grids(x), key=np.sum).copy(),
        lambda x: chosen(x, lambda g: sorted(g.ravel())),
    ],
}

"""The exercises of the chapter on segmentation: wrong answers that readers give, and the hint each must get."""

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F


def sums(prediction, target):
    return (prediction & target).sum(axis=(1, 2)), prediction.sum(axis=(1, 2)) + target.sum(axis=(1, 2))


def dice_without_empty(prediction, target):
    overlap, total = sums(prediction, target)
    return 2 * overlap / np.maximum(total, 1)


def dividing_by_nothing(prediction, target):
    overlap, total = sums(prediction, target)
    with np.errstate(all="ignore"):
        return 2 * overlap / total


def smoothed(prediction, target, eps=1.0):
    overlap, total = sums(prediction, target)
    return (2 * overlap + eps) / (total + eps)


def without_and(prediction, target, guarded=True):
    overlap, total = (prediction * target).sum(axis=(1, 2)), (prediction + target).sum(axis=(1, 2))
    with np.errstate(all="ignore"):
        return (
            np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0) if guarded else 2 * overlap / total
        )


def as_a_list(prediction, target):
    overlap, total = sums(prediction, target)
    return [float(2 * o / n) if n else 1.0 for o, n in zip(overlap, total, strict=True)]


def jaccard(prediction, target):
    union = (prediction | target).sum(axis=(1, 2))
    return np.where(union > 0, sums(prediction, target)[0] / np.maximum(union, 1), 1.0)


def gradient(p, g, eps=1.0, twice=2.0, inside=True, above=True, power=2):
    U = p.sum() + g.sum() + eps
    D = (2 * (p * g).sum() + above * eps) / U
    return (inside * D - twice * g) * U / U**power


def stamps(y, w, stride=1, padding=0, add=True, sign=1):
    out = np.zeros((len(y) - 1) * stride + len(w))
    for o in range(len(y)):
        for k in range(len(w)):
            out[o * stride + k] = y[o] * w[k] + add * out[o * stride + k]
    if sign < 0:
        return np.concatenate([np.zeros(padding), out, np.zeros(padding)])
    return out[padding : len(out) - padding]


def field(layers, add=0, before=False):
    r, j = 1, 1
    for kernel, stride in layers:
        j = j * stride if before else j
        r += (kernel - 1 + add) * j
        j = j if before else j * stride
    return r


def backwards(layers):
    r = 1
    for kernel, stride in layers[::-1]:
        r = r * stride + kernel - 1
    return r


def stitched(tiles, corners, shape, weight, divide=True, last=False):
    total, weights, size = np.zeros(shape), np.zeros(shape), tiles.shape[1]
    for tile, (top, left) in zip(tiles, corners, strict=True):
        for i in range(size):
            for j in range(size):
                w = weight(i, j, size)
                total[top + i, left + j] = w * tile[i, j] + (not last) * total[top + i, left + j]
                weights[top + i, left + j] = w + (not last) * weights[top + i, left + j]
    return total / weights if divide else total


def hat(i, size):
    return min(i + 1, size - i)


def from_zero(i, j, size):
    return min(i, size - 1 - i) * min(j, size - 1 - j)


def nan_at_the_border(tiles, corners, shape):
    with np.errstate(all="ignore"):
        return stitched(tiles, corners, shape, from_zero)


def both(i, j, size):
    return hat(i, size) * hat(j, size)


def connected(mask):
    return ndimage.label(mask)[0]


def crumbs(mask):
    """Every little summit of the rough distance is a seed: too many."""
    height = ndimage.distance_transform_edt(mask)
    seeds, count = ndimage.label((height == ndimage.maximum_filter(height, size=3)) & mask)
    if not count:
        return seeds
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)] * mask


def outside(mask):
    return ndimage.label(ndimage.binary_dilation(mask))[0]


def scores(logits, target, threshold=0.0, empty=1.0):
    prediction = (logits > threshold).to(target.dtype)
    overlap = (prediction * target).sum(dim=(1, 2, 3))
    total = prediction.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), torch.full_like(total, empty))


def pixel_accuracy(logits, target):
    prediction = (logits > 0).to(target.dtype)
    return (prediction == target).sum() * 2 / (2 * target.numel())


def in_one_pot(logits, target):
    prediction = (logits > 0).to(target.dtype)
    return 2 * (prediction * target).sum() / (prediction.sum() + target.sum())


def two_draws(image, mask, draw_field, warp):
    return warp(image, draw_field(), "bilinear"), warp(mask, draw_field(), "nearest")


def one_draw(image, mask, draw_field, warp, modes=("bilinear", "nearest")):
    drawn = draw_field()
    return warp(image, drawn, modes[0]), warp(mask, drawn, modes[1])


def thresholded(image, mask, draw_field, warp):
    drawn = draw_field()
    return warp(image, drawn, "bilinear"), warp(mask, drawn, "bilinear") > 0.5


def idle_draw(image, mask, draw_field, warp):
    draw_field()
    return one_draw(image, mask, draw_field, warp)


def pair(image, mask, size, align=False, mode="nearest-exact", image_mode="bilinear"):
    setting = {"align_corners": align} if image_mode == "bilinear" else {}
    return F.interpolate(image, size, mode=image_mode, **setting), F.interpolate(mask, size, mode=mode)


def without_eval(model, images):
    with torch.no_grad():
        return model(images) > 0


def left_in_eval(model, images):
    model.eval()
    with torch.no_grad():
        return model(images) > 0


def always_back_to_training(model, images):
    masks = left_in_eval(model, images)
    model.train()
    return masks


def with_gradients(model, images):
    training = model.training
    model.eval()
    masks = model(images) > 0
    model.train(training)
    return masks


def without_threshold(model, images):
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(images)
    model.train(training)
    return torch.sigmoid(logits) > 0.6


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "seg-accuracy": [
        (0.7, "from D to J"),
        (0.97, "pixel accuracy"),
        (0.3, "1 - D"),
        (0.5, "sum of both shares"),
        (0.8235, "which of the two is smaller"),
        (53.8, "not percent"),
        (0.03 / 0.065, "1 - J"),
    ],
    "seg-checkerboard": [
        (1.5, "one axis"),
        (9, "least visited"),
        (4, "kernel 3"),
        (2, "one axis first"),
        (2.5, "5/2 is no count"),
        (6.25, "5/2 is not"),
    ],
    "seg-dice": [
        (lambda p, t: (p == t).mean(axis=(1, 2)), "background"),
        (dice_without_empty, "agree perfectly"),
        (dividing_by_nothing, "0/0"),
        (jaccard, "IoU"),
        (smoothed, "smoothing"),
        (lambda p, t: smoothed(p, t, 1e-6), "smoothing"),
        (without_and, "bool + bool is bool"),
        (lambda p, t: without_and(p, t, guarded=False), "bool + bool is bool"),
        (as_a_list, "np.array("),
        (
            lambda p, t: float(np.mean(np.where(sums(p, t)[1] > 0, dice_without_empty(p, t), 1))),
            "not their mean",
        ),
        (lambda p, t: float(2 * (p & t).sum() / (p.sum() + t.sum())), "over which axes"),
    ],
    "seg-gradient": [
        (lambda p, g, eps=1.0: -gradient(p, g, eps), "The sign"),
        (lambda p, g, eps=1.0: gradient(p, g, eps, inside=False), "quotient rule"),
        (lambda p, g, eps=1.0: gradient(p, g, 1.0), "not always 1"),
        (lambda p, g, eps=1.0: gradient(p, g, 0.0), "Where is eps"),
        (lambda p, g, eps=1.0: gradient(p, g, eps, twice=1.0), "stands twice"),
        (lambda p, g, eps=1.0: gradient(p, g, eps) * p * (1 - p), "in the probabilities"),
        (lambda p, g, eps=1.0: gradient(p, g, eps) / p.size, "no mean over pixels"),
        (lambda p, g, eps=1.0: gradient(p, g, eps, above=False), "in the numerator of Dice"),
        (lambda p, g, eps=1.0: gradient(p, g, eps, power=1), "the square of the denominator"),
    ],
    "seg-transpose": [
        (lambda y, w, stride=1, padding=0: stamps(y, w[::-1], stride, padding), "reversed"),
        (lambda y, w, stride=1, padding=0: stamps(y, w, stride, padding, add=False), "overwrites"),
        (lambda y, w, stride=1, padding=0: stamps(y, w, stride), "padding is missing"),
        (lambda y, w, stride=1, padding=0: stamps(y, w, stride, padding, sign=-1), "shorter, not longer"),
        (lambda y, w, stride=1, padding=0: stamps(y, w, 1, padding), "distance between two stamps"),
        (lambda y, w, stride=1, padding=0: stamps(y, w, stride, padding)[:-1], "Look at the size"),
    ],
    "seg-receptive": [
        (lambda layers: field(layers, before=True), "own stride"),
        (lambda layers: field(layers, add=1), "more"),
        (lambda layers: 1 + sum(k - 1 for k, _ in layers), "how far apart"),
        (lambda layers: field(layers) - 1, "sees itself"),
        (lambda layers: int(np.prod([s for _, s in layers])), "the jump"),
        (backwards, "r - 1 steps"),
    ],
    "seg-tiling": [
        (lambda t, c, s: stitched(t, c, s, lambda i, j, n: 1), "Where is the hat"),
        (lambda t, c, s: stitched(t, c, s, lambda i, j, n: 1, divide=False), "values are added"),
        (lambda t, c, s: stitched(t, c, s, both, divide=False), "do not sum to one"),
        (lambda t, c, s: stitched(t, c, s, both, last=True), "last tile wins"),
        (lambda t, c, s: stitched(t, c, s, lambda i, j, n: min(hat(i, n), hat(j, n))), "not the smaller one"),
        (nan_at_the_border, "The hat starts at 1"),
    ],
    "seg-threshold": [(0.5, "does not count the background"), (0.1, "above"), (0.68, "Too large")],
    "seg-instances": [
        (connected, "share a label"),
        (crumbs, "fall apart"),
        (lambda mask: mask.copy(), "A number for each nucleus"),
        (outside, "0 outside"),
    ],
    "seg-zoo-accuracy": [
        (pixel_accuracy, "That is the bug"),
        (in_one_pot, "Dice of each picture first"),
        (lambda z, y: scores(z, y, empty=0.0).mean(), "Two empty masks"),
        (lambda z, y: scores(z, y, threshold=0.5).mean(), "0.62"),
        (lambda z, y: scores(z, y).sum(), "not the sum"),
    ],
    "seg-zoo-elastic": [
        (two_draws, "How often is draw_field called"),
        (lambda i, m, d, w: one_draw(i, m, d, w, ("bilinear", "bilinear")), "halfway between two labels"),
        (lambda i, m, d, w: one_draw(i, m, d, w, ("nearest", "nearest")), "may be interpolated"),
        (lambda i, m, d, w: one_draw(i, m, d, w)[::-1], "image first"),
        (idle_draw, "One draw"),
        (thresholded, "works for two labels"),
        (lambda i, m, d, w: (lambda x, y: (x, y > 0.5))(*one_draw(i, m, d, w)), "what warp returns"),
        (
            lambda i, m, d, w: (w(i, drawn := d(), "bilinear"), (w(m, drawn, "nearest"), m)[1]),
            "what warp returns",
        ),
    ],
    "seg-zoo-bicubic": [
        (
            lambda m, s: F.interpolate(m[:1], s, mode="nearest-exact").expand(len(m), -1, -1, -1),
            "the others of the batch",
        ),
        (lambda m, s: F.interpolate(m, s, mode="bicubic").round(), "Labels are names"),
        (lambda m, s: F.interpolate(m, s, mode="bilinear"), "Labels are names"),
        (
            lambda m, s: torch.where(F.interpolate(m, s, mode="bilinear") > 2, 3.0, 1.0),
            "not for three",
        ),
    ],
    "seg-zoo-sigmoid": [
        (lambda z: torch.sigmoid(torch.sigmoid(z)) > 0.5, "smallest value"),
        (lambda z: z > 0.5, "logit of one half"),
        (lambda z: z.softmax(1) > 0.5, "a softmax over a single channel"),
        (lambda z: z.sigmoid().round().long() > 1, "Nothing is foreground"),
        (lambda z: z < 0, "exchanged"),
        (lambda z: (z > 0).float(), "booleans"),
    ],
    "seg-zoo-average": [
        (lambda batches: sum(b.mean() for b in batches) / sum(len(b) for b in batches), "That is the bug"),
        (lambda batches: sum(b.mean() for b in batches) / len(batches), "full one"),
        (lambda batches: sum(b.sum() for b in batches) / len(batches), "division by batches"),
        (lambda batches: np.concatenate(batches).sum(), "not the sum"),
    ],
    "seg-zoo-align": [
        (lambda i, m, s: pair(i, m, s, align=True, mode="nearest"), "centers of its corner pixels"),
        (lambda i, m, s: pair(i, m, s, align=True), "centers of its corner pixels"),
        (lambda i, m, s: pair(i, m, s, mode="nearest"), "same half pixel"),
        (
            lambda i, m, s: [part.double() for part in pair(i, m, s, align=True)],
            "centers of its corner pixels",
        ),
        (lambda i, m, s: [part.double() for part in pair(i, m, s, mode="nearest")], "same half pixel"),
        (lambda i, m, s: pair(i, m, s, mode="bilinear"), "invents none"),
        (lambda i, m, s: pair(i, m, s, image_mode="nearest-exact"), "may be interpolated"),
    ],
    "seg-zoo-eval": [
        (without_eval, "Which switch"),
        (left_in_eval, "middle of training"),
        (always_back_to_training, "middle of training"),
        (with_gradients, "no_grad"),
        (without_threshold, "logit is above 0"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "seg-dice": [
        lambda a, b: np.array(
            [
                2 * (x & y).sum() / (x.sum() + y.sum()) if (x | y).any() else 1.0
                for x, y in zip(a, b, strict=True)
            ]
        ),
        lambda a, b: (2 * jaccard(a, b) / (1 + jaccard(a, b))).astype(np.float32),
    ],
    "seg-gradient": [
        lambda p, g, eps=1.0: gradient(p, g, eps).astype(np.float32),
        lambda p, g, eps=1.0: (
            -(2 * g * (p.sum() + g.sum() + eps) - (2 * (p @ g) + eps)) / (p.sum() + g.sum() + eps) ** 2
        ),
    ],
    "seg-transpose": [
        stamps,
        lambda y, w, stride=1, padding=0: (
            F.conv_transpose1d(
                torch.tensor(y)[None], torch.tensor(w)[None, None], stride=stride, padding=padding
            )
            .numpy()[0]
            .astype(np.float32)
        ),
    ],
    "seg-zoo-accuracy": [
        lambda z, y: torch.stack(
            [
                2 * ((a > 0) * b).sum() / t if (t := (a > 0).sum() + b.sum()) > 0 else t + 1.0
                for a, b in zip(z, y, strict=True)
            ]
        ).mean(),
        lambda z, y: (
            ((2 * ((z > 0) & (y > 0)).sum((1, 2, 3)) + 1e-9) / ((z > 0).float() + y).sum((1, 2, 3)).add(1e-9))
            .mean()
            .item()
        ),
    ],
    "seg-zoo-elastic": [
        lambda i, m, draw, warp: [
            warp(part, f, how) for f in [draw()] for part, how in ((i, "bilinear"), (m, "nearest"))
        ],
        lambda i, m, draw, warp: tuple(
            part.double() for f in [draw()] for part in (warp(i, f, "bilinear"), warp(m, f, "nearest"))
        ),
    ],
    "seg-zoo-bicubic": [
        lambda m, s: F.interpolate(m, s),
        lambda m, s: torch.cat([F.interpolate(one[None].double(), s, mode="nearest-exact") for one in m]),
        lambda m, s: m[:, :, (torch.arange(s[0]) * m.shape[2]) // s[0]][
            ..., (torch.arange(s[1]) * m.shape[3]) // s[1]
        ],
    ],
    "seg-zoo-sigmoid": [
        lambda z: z.sigmoid() > 0.5,
        lambda z: torch.cat([z, -z], dim=1).softmax(1)[:, :1] > 0.5,
        lambda z: torch.logical_not(z <= 0),
    ],
    "seg-zoo-average": [
        lambda batches: np.float32(sum(b.sum() for b in batches) / sum(b.size for b in batches)),
        lambda batches: np.average([b.mean() for b in batches], weights=[len(b) for b in batches]),
    ],
    "seg-zoo-align": [
        lambda i, m, s: [part.double() for part in pair(i, m, s)],
        lambda i, m, s: (
            torch.cat([F.interpolate(one[None], s, mode="bilinear") for one in i]),
            F.interpolate(m, s, mode="nearest-exact").bool(),
        ),
    ],
}

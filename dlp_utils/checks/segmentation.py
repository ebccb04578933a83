"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on segmentation."""

import numpy as np

from dlp_utils.exercises import Wrong, call, exercise, expect_close, free_form, interval, number

# --- exercises -----------------------------------------------------------------------------------------

number(
    "seg-accuracy",
    0.7 / 1.3,
    rtol=5e-3,
    mistakes=[
        (0.7, "That is the Dice score. How do you get from D to J?"),
        (0.97, "That is the pixel accuracy. What do the wrong pixels have to be compared with?"),
        (2 * 0.7 / 1.7, "You took J for D: which of the two is smaller?"),
        (0.3, "That is 1 - D."),
        (1 - 0.03 / 0.06, "Divide by the sum of both shares of foreground, the true and the predicted one."),
        (0.03 / 0.065, "That is the wrong part of the union, 1 - J."),
        (53.85, "A share of one, not percent: IoU lies between 0 and 1."),
        (0.4 / 0.6, "The quotient of the two areas says nothing about where they lie. Use the accuracy."),
    ],
)

number(
    "seg-checkerboard",
    2.25,
    rtol=1e-3,
    mistakes=[
        (1.5, "That is one axis. In the plane the counts of both axes multiply."),
        (9, "The most visited pixel is written 9 times. And the least visited one?"),
        (4, "That is kernel 3. Which numbers from 0 to 4 are even, which are odd?"),
        (
            2,
            "Count along one axis first: which of the five kernel entries reach an even place, which an odd one?",
        ),
        (1, "Does the stride divide the kernel?"),
        (2.5, "5/2 is no count. Which of the five kernel entries reach an even place, which an odd one?"),
        (6.25, "The square is right, 5/2 is not: counts are whole numbers. Which are they on one axis?"),
    ],
)


def _masks(rng, shape, share=0.4):
    return rng.uniform(size=shape) < share


def _dice_cases(rng):
    one = np.array([[[True, True], [False, False]]])
    yield one, np.array([[[True, False], [True, False]]])
    yield one, ~one
    yield np.zeros((2, 2, 2), bool), np.concatenate([np.zeros_like(one), one])
    for pictures in (3, 5):
        target = _masks(rng, (pictures, 6, 7))
        target[0] = False
        prediction = target ^ _masks(rng, target.shape, 0.2)
        prediction[0] = False
        yield prediction, target


def _sums(prediction, target):
    axes = (1, 2)
    return np.sum(prediction & target, axes), np.sum(prediction, axes) + np.sum(target, axes)


def _zero_when_empty(prediction, target):
    overlap, total = _sums(prediction, target)
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 0.0)


def _nan_when_empty(prediction, target):
    overlap, total = _sums(prediction, target)
    with np.errstate(all="ignore"):
        return 2 * overlap / total


def _iou(prediction, target):
    union = np.sum(prediction | target, axis=(1, 2))
    return np.where(union > 0, _sums(prediction, target)[0] / np.maximum(union, 1), 1.0)


def _sum_of_booleans(prediction, target):
    with np.errstate(all="ignore"):
        return 2 * _sums(prediction, target)[0] / np.sum(prediction + target, axis=(1, 2))


def _sum_of_booleans_or_one(prediction, target):
    quotient = _sum_of_booleans(prediction, target)
    return np.where(np.isnan(quotient), 1.0, quotient)


_SMOOTHED = (
    "A smoothing constant makes a loss differentiable. In a score it changes every value: "
    "treat the empty case by itself."
)
_OR = "bool + bool is bool in NumPy: `prediction + target` is the union. Sum each of them, then add."


def _pooled(prediction, target):
    total = prediction.sum() + target.sum()
    return float(2 * np.sum(prediction & target) / total) if total else 1.0


@exercise(
    "seg-dice",
    _dice_cases,
    mistakes=[
        (
            lambda prediction, target: np.mean(prediction == target, axis=(1, 2)),
            "That is the pixel accuracy. Should background that is found to be background count?",
        ),
        (_zero_when_empty, "Two empty masks agree perfectly. What should their Dice be?"),
        (
            _nan_when_empty,
            "0/0 is not a number. What do you want for two empty masks, and where do you say it?",
        ),
        (_iou, "That is IoU: the union in the denominator counts the overlap once. Dice counts it twice."),
        (_pooled, "One number for each picture: over which axes do you sum?"),
        (
            lambda prediction, target: float(np.mean(batch_dice(prediction, target))),
            "One number for each picture, not their mean.",
        ),
        (
            lambda prediction, target: batch_dice(prediction, target) / 2,
            "Identical masks must have Dice 1. Where is the 2?",
        ),
        (
            lambda prediction, target: (
                (2 * _sums(prediction, target)[0] + 1) / (_sums(prediction, target)[1] + 1)
            ),
            _SMOOTHED,
        ),
        (
            lambda prediction, target: np.where(target.any(axis=(1, 2)), batch_dice(prediction, target), 1.0),
            "An empty truth with a prediction that is not empty is a false alarm. Its Dice is 0.",
        ),
        (_sum_of_booleans, _OR),
        (_sum_of_booleans_or_one, _OR),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, (list, tuple)),
            "An array of them is wanted, not a list: np.array(…).",
        ),
        (lambda args, expected, got: np.max(np.abs(got - expected)) < 0.01, _SMOOTHED),
    ],
)
def batch_dice(prediction, target):
    overlap, total = _sums(prediction, target)
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)


def _gradient_cases(rng):
    yield np.array([0.5, 0.5]), np.array([1.0, 0.0]), 0.0
    yield np.array([0.25, 0.75, 0.5]), np.zeros(3), 1.0
    for size, eps in ((4, 1.0), (7, 0.3)):
        yield rng.uniform(size=size), (rng.uniform(size=size) < 0.5).astype(float), eps


def _gradient_parts(p, g, eps):
    U = p.sum() + g.sum() + eps
    return U, (2 * (p * g).sum() + eps) / U


def _without_epsilon(p, g, eps=1.0):
    total = p.sum() + g.sum()
    return (2 * (p * g).sum() / total - 2 * g) / total


def _epsilon_below_only(p, g, eps=1.0):
    U = _gradient_parts(p, g, eps)[0]
    return (2 * (p * g).sum() / U - 2 * g) / U


def _numerator_only(p, g, eps=1.0):
    return -2 * g / _gradient_parts(p, g, eps)[0]


def _in_the_logits(p, g, eps=1.0):
    return p * (1 - p) * dice_gradient(p, g, eps)


def _default_epsilon(p, g, eps=1.0):
    return dice_gradient(p, g, 1.0)


@exercise(
    "seg-gradient",
    _gradient_cases,
    mistakes=[
        (lambda p, g, eps=1.0: -dice_gradient(p, g, eps), "The sign: the loss is *1 minus* Dice."),
        (_numerator_only, "p stands in the denominator as well. What does the quotient rule say?"),
        (_without_epsilon, "Where is eps? It stands in the numerator and in the denominator."),
        (_epsilon_below_only, "eps stands in the numerator of Dice as well, not only below."),
        (
            lambda p, g, eps=1.0: _gradient_parts(p, g, eps)[1] - 2 * g,
            "The quotient rule divides by the square of the denominator. How often do you divide by U?",
        ),
        (_default_epsilon, "eps is an argument, and not always 1."),
        (
            _in_the_logits,
            "That is the gradient in the logits. Here the derivative is taken in the probabilities.",
        ),
        (
            lambda p, g, eps=1.0: dice_gradient(p, g, eps) / len(p),
            "Dice is no mean over pixels: nothing divides by their number.",
        ),
        (
            lambda p, g, eps=1.0: (_gradient_parts(p, g, eps)[1] - g) / _gradient_parts(p, g, eps)[0],
            "The overlap stands twice in the numerator: what is the derivative of 2Σpg?",
        ),
        (
            lambda p, g, eps=1.0: 1 - _gradient_parts(p, g, eps)[1],
            "That is the loss itself. Its slope in each p is wanted.",
        ),
    ],
)
def dice_gradient(p, g, eps=1.0):
    U, D = _gradient_parts(p, g, eps)
    return (D - 2 * g) / U


def _transposed_cases(rng):
    yield np.array([1.0, 1.0]), np.array([1.0, 2.0, 3.0]), 1, 0
    yield np.array([1.0, 10.0]), np.array([1.0, 2.0, 3.0]), 2, 0
    yield np.array([1.0, 10.0, 100.0]), np.array([1.0, 2.0, 3.0]), 2, 1
    for size, kernel, stride, padding in ((4, 4, 2, 1), (5, 2, 3, 0), (6, 5, 1, 2)):
        yield rng.normal(size=size), rng.normal(size=kernel), stride, padding


def _stamped(y, w, stride, add=True):
    out = np.zeros((len(y) - 1) * stride + max(len(w), 1))
    for o, value in enumerate(y):
        place = slice(o * stride, o * stride + len(w))
        out[place] = value * w + (out[place] if add else 0)
    return out


def _cut(out, padding):
    return out[padding : len(out) - padding]


def _plain_convolution(y, w, stride=1, padding=0):
    padded = np.pad(y, padding)
    if len(padded) < len(w):
        raise ValueError
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(w))[::stride]
    return windows @ w


@exercise(
    "seg-transpose",
    _transposed_cases,
    mistakes=[
        (
            lambda y, w, stride=1, padding=0: _cut(_stamped(y, w[::-1], stride), padding),
            "The kernel is reversed. Row o of C holds w in its order; what does column o of its transpose hold?",
        ),
        (
            lambda y, w, stride=1, padding=0: _cut(_stamped(y, w, stride, add=False), padding),
            "Where two stamps overlap, what should happen? Yours overwrites.",
        ),
        (
            lambda y, w, stride=1, padding=0: _stamped(y, w, stride),
            "The padding is missing. In the forward convolution it made the input longer; what does it do here?",
        ),
        (
            lambda y, w, stride=1, padding=0: np.pad(_stamped(y, w, stride), padding),
            "Padding makes the output of the transposed convolution shorter, not longer.",
        ),
        (
            lambda y, w, stride=1, padding=0: _cut(_stamped(y, w, 1), padding),
            "The stride is the distance between two stamps.",
        ),
        (_plain_convolution, "That is the convolution itself. Its transpose makes the signal longer."),
    ],
    hints=[
        (
            lambda args, expected, got: len(got) != len(expected),
            "Look at the size: (M - 1)·stride + K before the padding is cut off, from both ends.",
        )
    ],
)
def transposed(y, w, stride=1, padding=0):
    return _cut(_stamped(y, w, stride), padding)


def _receptive_cases(rng):
    yield ([(3, 1)],)
    yield ([(3, 2), (3, 1)],)
    yield ([],)
    yield ([(3, 1), (3, 1), (2, 2), (3, 1), (3, 1)],)
    for _ in range(4):
        size = int(rng.integers(2, 7))
        yield ([(int(rng.integers(1, 6)), int(rng.integers(1, 4))) for _ in range(size)],)


def _field(layers, own=False, whole=False, jumps=True):
    field, jump = 1, 1
    for kernel, stride in layers:
        if own:
            jump *= stride
        field += (kernel if whole else kernel - 1) * (jump if jumps else 1)
        if not own:
            jump *= stride
    return field


def _backwards(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = field * stride + kernel - 1
    return field


@exercise(
    "seg-receptive",
    _receptive_cases,
    mistakes=[
        (
            lambda layers: _field(layers, own=True),
            "A layer's own stride spreads its *outputs*. How far apart are the inputs that one output reads?",
        ),
        (
            lambda layers: _field(layers, whole=True),
            "One output of a kernel of 3 reads 3 values: how many *more* than 1?",
        ),
        (
            lambda layers: _field(layers, jumps=False),
            "After a stride of 2, how far apart are two neighbors in input pixels?",
        ),
        (lambda layers: _field(layers) - 1, "With no layer at all, a pixel sees itself: 1."),
        (lambda layers: _field(layers[::-1]), "The first layer of the list comes first."),
        (
            _backwards,
            "Backwards works, too. But r windows side by side are r - 1 steps apart, not r: (r - 1)·stride + kernel.",
        ),
        (
            lambda layers: int(np.prod([kernel for kernel, _ in layers])),
            "Two 3×3 convolutions in a row see 5 pixels, not 9: their windows overlap.",
        ),
        (
            lambda layers: int(np.prod([stride for _, stride in layers])),
            "That is the jump. It is one part of the recursion.",
        ),
    ],
)
def receptive_field(layers):
    return _field(layers)


def _tiling_cases(rng):
    yield np.array([[[1.0, 1.0], [1.0, 1.0]], [[3.0, 3.0], [3.0, 3.0]]]), [(0, 0), (0, 1)], (2, 3)
    yield (
        np.stack([np.full((4, 4), value) for value in (0.0, 1.0)]),
        [(0, 0), (0, 2)],
        (4, 6),
    )
    for size, step, across, down in ((4, 2, 3, 2), (5, 3, 2, 3)):
        corners = [(step * i, step * j) for i in range(down) for j in range(across)]
        shape = (step * (down - 1) + size, step * (across - 1) + size)
        yield rng.uniform(size=(len(corners), size, size)), corners, shape


def _blend(tiles, corners, shape, weight, divide=True, add=True):
    size = tiles.shape[1]
    total, weights = np.zeros(shape), np.zeros(shape)
    for tile, (top, left) in zip(tiles, corners, strict=True):
        place = (slice(top, top + size), slice(left, left + size))
        total[place] = weight * tile + (total[place] if add else 0)
        weights[place] = weight + (weights[place] if add else 0)
    return total / weights if divide else total


def _hat(size):
    return np.minimum(np.arange(size) + 1, size - np.arange(size)).astype(float)


def _square(size):
    return np.outer(_hat(size), _hat(size))


@exercise(
    "seg-tiling",
    _tiling_cases,
    mistakes=[
        (
            lambda tiles, corners, shape: _blend(tiles, corners, shape, 1.0),
            "A plain mean: at the edge of a tile the result still jumps. Where is the hat?",
        ),
        (
            lambda tiles, corners, shape: _blend(tiles, corners, shape, 1.0, divide=False),
            "Where tiles overlap, values are added. What must the sum be divided by?",
        ),
        (
            lambda tiles, corners, shape: _blend(
                tiles, corners, shape, _square(tiles.shape[1]), divide=False
            ),
            "The weights of a pixel do not sum to one. What must the sum be divided by?",
        ),
        (
            lambda tiles, corners, shape: _blend(tiles, corners, shape, 1.0, add=False),
            "The last tile wins everywhere: that is the seam which blending should remove.",
        ),
        (
            lambda tiles, corners, shape: _blend(
                tiles, corners, shape, np.minimum.outer(_hat(tiles.shape[1]), _hat(tiles.shape[1]))
            ),
            "The weight in two dimensions is the product of the two hats, not the smaller one.",
        ),
        (
            lambda tiles, corners, shape: _blend(
                tiles, corners, shape, _hat(tiles.shape[1])[:, None] + _hat(tiles.shape[1])
            ),
            "The weight in two dimensions is the product of the two hats, not their sum.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: np.isnan(got).any(),
            "0/0: a pixel at the picture's border got the weight 0. The hat starts at 1.",
        )
    ],
)
def stitch(tiles, corners, shape):
    return _blend(tiles, corners, shape, _square(tiles.shape[1]))


interval(
    "seg-threshold",
    0.28,
    0.41,
    below="Too small. Is a pixel in the mask when p is *above* the threshold, and is the label drawn with probability p?",
    above="Too large: at one half you are right about most pixels, but Dice does not count the background. "
    "Did you compute Dice, or accuracy?",
)


def _disks(rng, size=96, wanted=16):
    """Generated nuclei: disks that touch or overlap a little; label 0 is background."""
    labels, disks = np.zeros((size, size), int), []
    rows, columns = np.mgrid[:size, :size]
    for _ in range(4000):
        if len(disks) == wanted:
            break
        r = rng.uniform(6.5, 9.5)
        if disks and len(disks) % 2:  # every second one touches the one before
            y0, x0, r0 = disks[-1]
            angle, gap = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 0.9) * (r + r0)
            y, x = y0 + gap * np.sin(angle), x0 + gap * np.cos(angle)
        else:
            y, x = rng.uniform(12, size - 12, 2)
        others = disks[:-1] if len(disks) % 2 else disks
        inside = min(y, x) > r + 1 and max(y, x) < size - r - 2
        if not inside or any(np.hypot(y - b, x - a) < r + c + 2 for b, a, c in others):
            continue
        disks.append((y, x, r))
    depth = np.stack([np.hypot(rows - y, columns - x) / r for y, x, r in disks])
    labels = np.where(depth.min(axis=0) < 1, 1 + depth.argmin(axis=0), 0)
    return labels


def _matches(truth, labels):
    """How many of the true nuclei some label covers with an IoU of at least 0.6."""
    good = 0
    for k in range(1, truth.max() + 1):
        nucleus = truth == k
        found = [labels == c for c in np.unique(labels[nucleus]) if c]
        good += any(np.sum(nucleus & part) >= 0.6 * np.sum(nucleus | part) for part in found)
    return good


@free_form("seg-instances")
def _check_instances(instances, rng):
    right = found = true = 0
    for _ in range(4):
        truth = _disks(rng)
        mask = truth > 0
        labels = np.asarray(call(instances, mask))
        if labels.shape != mask.shape:
            raise Wrong(f"labels of a mask of shape {mask.shape} have shape {labels.shape}.")
        if labels.dtype == bool or not np.issubdtype(labels.dtype, np.integer):
            raise Wrong(
                f"labels are {labels.dtype}.", "A number for each nucleus: integers, 0 for background."
            )
        if np.any(labels[~mask] != 0):
            raise Wrong(
                "some background pixels have a label.", "Labels for the mask's pixels only; 0 outside."
            )
        right += _matches(truth, labels)
        found += len(np.unique(labels[labels != 0]))
        true += truth.max()
    empty = np.asarray(instances(np.zeros((20, 20), bool)))
    if empty.shape != (20, 20) or np.any(empty):
        raise Wrong("an empty mask should give no nucleus.", "Zeros everywhere, in the mask's shape.")
    score = 2 * right / (true + found)
    if score < 0.95:
        text = f"{right} of {true} nuclei found, with {found} labels: a Dice of {score:.2f}; 0.95 is wanted."
        if found < 0.95 * true:
            hint = "Touching nuclei share a label. Where inside a disk is the background farthest away?"
        elif found > 1.05 * true:
            hint = "Nuclei fall apart: too many seeds. What does smoothing the distances change?"
        else:
            hint = "About the right number of labels. Which seed should a pixel near the waist belong to?"
        raise Wrong(text, hint)


# --- bug zoo -------------------------------------------------------------------------------------------


def _scores(prediction, target):
    overlap = (prediction * target).sum(dim=(1, 2, 3))
    total = prediction.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return overlap, total


@free_form("seg-zoo-accuracy")
def _check_dice_score(logit_dice, rng):
    import torch

    for pictures, empty, width in (
        (1, False, torch.float64),
        (3, False, torch.float64),
        (3, False, torch.float32),
        (4, True, torch.float64),
    ):
        logits = torch.tensor(rng.normal(size=(pictures, 1, 6, 5)), dtype=width)
        target = torch.tensor(rng.uniform(size=logits.shape) < 0.3, dtype=width)
        target[:, :, 0, 0] = 1
        if empty:
            target[0], logits[0] = 0, -1.0
            target[1] = 0
        prediction = (logits > 0).to(width)
        overlap, total = _scores(prediction, target)
        each = torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)
        got = call(logit_dice, logits, target)
        if not isinstance(got, (torch.Tensor, float)) or (isinstance(got, torch.Tensor) and got.ndim):
            kind = f"shape {tuple(got.shape)}" if isinstance(got, torch.Tensor) else type(got).__name__
            raise Wrong(f"expected one number, got {kind}.", "The mean over the pictures.")
        got, expected = torch.as_tensor(got), each.mean()
        known = [
            (
                (prediction == target).to(width).mean(),
                "That is the bug: equal background pixels count as well.",
            ),
            (
                2 * overlap.sum() / total.sum(),
                "All pictures in one pot: Dice of each picture first, then the mean.",
            ),
            (
                torch.where(total > 0, 2 * overlap / total.clamp(min=1), 0.0).mean(),
                "Two empty masks agree: what should their Dice be?",
            ),
            (each.sum(), "The mean over the pictures, not the sum."),
            ((2 * overlap / total).mean(), "0/0 for two empty masks is not a number. What should it be?"),
            (
                torch.where(total > 0, overlap / (total - overlap).clamp(min=1), 1.0).mean(),
                "That is IoU. Dice counts the overlap twice, above and below.",
            ),
        ]
        at_half = (logits > 0.5).to(width)
        half_overlap, half_total = _scores(at_half, target)
        known.append(
            (
                torch.where(half_total > 0, 2 * half_overlap / half_total.clamp(min=1), 1.0).mean(),
                "A logit of one half is a probability of 0.62. At which logit is the probability one half?",
            )
        )
        what = f"the score of {pictures} picture{'s' * (pictures > 1)}" + (
            ", one pair empty" if empty else ""
        )
        expect_close(got, expected, what, rtol=1e-5, mistakes=known)


@free_form("seg-zoo-elastic")
def _check_augment(augment, rng):
    import torch

    image = torch.tensor(rng.uniform(size=(3, 6, 6)), dtype=torch.float32)
    mask = torch.tensor(rng.choice([1.0, 2.0, 3.0], size=(1, 6, 6)), dtype=torch.float32)  # a trimap
    fields, calls = [], []

    def draw_field():
        fields.append(f"field {len(fields) + 1}")
        return fields[-1]

    def bent(array, field):
        return torch.roll(array, 1 + fields.index(field), dims=-1)

    def warp(array, field, mode):
        calls.append(({3: "image", 1: "mask"}.get(len(array), "something else"), field, mode))
        return bent(array, field)

    got = call(lambda *pair: augment(*pair, draw_field, warp), image, mask)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"expected a pair (image, mask), got {type(got).__name__}.")
    warped = {name: (field, mode) for name, field, mode in calls}
    if set(warped) != {"image", "mask"} or len(calls) != 2:
        raise Wrong(
            f"warp was called {len(calls)} times, on {', '.join(name for name, *_ in calls) or 'nothing'}.",
            "Once for the image and once for the mask.",
        )
    if warped["image"][0] != warped["mask"][0]:
        raise Wrong(
            "image and mask were bent by different fields.",
            "How often is draw_field called, and what does each call do?",
        )
    if len(fields) > 1:
        raise Wrong(f"{len(fields)} fields were drawn, one was used.", "One draw for a pair.")
    if warped["mask"][1] != "nearest":
        raise Wrong(
            f"the mask was warped with mode {warped['mask'][1]!r}.",
            "What is halfway between two labels? Which mode invents none? "
            "(A threshold afterwards works for two labels; this mask has three.)",
        )
    if warped["image"][1] != "bilinear":
        raise Wrong(
            f"the image was warped with mode {warped['image'][1]!r}.",
            "Gray values may be interpolated, and look better for it.",
        )
    expected = [bent(array, warped[name][0]) for name, array in (("image", image), ("mask", mask))]

    def same(part, wanted):
        return (
            isinstance(part, torch.Tensor)
            and part.shape == wanted.shape
            and torch.equal(part.float(), wanted)
        )

    if same(got[0], expected[1]) and same(got[1], expected[0]):
        raise Wrong("the mask comes first.", "Return the warped image first, then the warped mask.")
    for name, part, wanted in zip(("image", "mask"), got, expected, strict=True):
        if not same(part, wanted):
            raise Wrong(f"the {name} that comes back is not the warped one.", "Return what warp returns.")


def _trimap(rng, pictures, labels, rows=7, columns=9):
    import torch

    return torch.tensor(rng.choice(labels, size=(pictures, 1, rows, columns)), dtype=torch.float32)


@free_form("seg-zoo-bicubic")
def _check_resize_mask(resize_mask, rng):
    import torch
    from torch.nn.functional import interpolate

    for size, pictures in (((14, 18), 1), ((11, 13), 1), ((5, 6), 1), ((11, 6), 3)):
        mask = _trimap(rng, pictures, [1.0, 3.0])
        got = call(resize_mask, mask, size)
        if not isinstance(got, torch.Tensor) or tuple(got.shape) != (pictures, 1, *size):
            shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
            raise Wrong(f"a mask of ({pictures}, 1, 7, 9) resized to {size} has shape {shape}.")
        new = sorted(set(got.unique().tolist()) - set(mask.unique().tolist()))
        if new:
            raise Wrong(
                f"a mask with the labels 1 and 3 has the label {new[0]:g} after resizing.",
                "Labels are names. What is the mean of two names? Which mode takes no means?",
            )
        got = got.to(mask.dtype)
        exact, old = (interpolate(mask, size, mode=mode) for mode in ("nearest-exact", "nearest"))
        if not torch.equal(got, exact) and not torch.equal(got, old):
            hint = ""
            if torch.equal(got, torch.where(interpolate(mask, size, mode="bilinear") > 2, 3.0, 1.0)):
                hint = "A threshold works for two labels, and not for three."
            elif torch.equal(got[0], exact[0]) or torch.equal(got[0], old[0]):
                hint = "The first picture is right. And the others of the batch?"
            raise Wrong(f"resized to {size}, the labels are not those of the nearest pixels.", hint)
    three = _trimap(rng, 2, [1.0, 2.0, 3.0])
    got = call(resize_mask, three, (14, 18)).to(three.dtype)
    if not torch.equal(got, three.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)):
        raise Wrong(
            "a mask with the labels 1, 2, 3 at twice the size is not the same mask with larger pixels.",
            "A threshold works for two labels, and not for three.",
        )


@free_form("seg-zoo-sigmoid")
def _check_predict(predict, rng):
    import torch

    logits = torch.tensor(np.concatenate([rng.normal(size=20), [-0.3, -1e-3, 1e-3, 0.3, 0.45, 40.0, -8.0]]))
    logits = torch.cat([logits.reshape(1, 1, 3, 9), -logits.clamp(max=8).reshape(1, 1, 3, 9) - 0.2])
    got = call(predict, logits)
    if not isinstance(got, torch.Tensor) or got.shape != logits.shape:
        raise Wrong(f"expected a tensor of shape {tuple(logits.shape)}, got {type(got).__name__}.")
    expected = logits > 0
    hint = ""
    if bool((got != 0).all()):
        hint = (
            "Everything is foreground: what you compare with one half never lies below it. What is the smallest value "
            "of the sigmoid of a probability, and what is a softmax over a single channel?"
        )
    elif bool((got == 0).all()):
        hint = "Nothing is foreground. Which values can the number have that you compare?"
    elif torch.equal(got.bool(), logits > 0.5):
        hint = "Which probability has a logit of one half? At which logit is the probability one half?"
    elif torch.equal(got.bool(), ~expected):
        hint = "Foreground and background are exchanged."
    if not torch.equal(got.bool(), expected):
        wrong = logits[got.bool() != expected][0]
        raise Wrong(
            f"a logit of {float(wrong):.3g}, probability {float(torch.sigmoid(wrong)):.3g}, is on the wrong side.",
            hint,
        )
    if got.dtype != torch.bool:
        raise Wrong(f"the mask is {got.dtype}.", "A comparison gives booleans: return them as they are.")


def _batches(rng):
    yield ([np.array([0.5, 1.0])],)
    yield ([np.array([1.0, 1.0, 1.0]), np.array([0.0])],)
    for sizes in ((4, 4, 2), (8, 8, 8, 3)):
        yield ([rng.uniform(size=size) for size in sizes],)


@exercise(
    "seg-zoo-average",
    _batches,
    mistakes=[
        (
            lambda batches: sum(b.mean() for b in batches) / sum(len(b) for b in batches),
            "That is the bug. How many terms has the sum, and by how many do you divide?",
        ),
        (
            lambda batches: float(np.mean([b.mean() for b in batches])),
            "A last batch of one picture weighs as much as a full one. Which pictures count too much?",
        ),
        (lambda batches: float(sum(b.sum() for b in batches)), "The mean, not the sum."),
        (
            lambda batches: float(sum(b.sum() for b in batches) / len(batches)),
            "The sum is over pictures, the division by batches.",
        ),
        (
            lambda batches: float(sum(b.sum() for b in batches) / (len(batches) * len(batches[0]))),
            "The last batch may be smaller than the first.",
        ),
    ],
)
def mean_dice_of(batches):
    return float(np.concatenate(batches).mean())


@free_form("seg-zoo-align")
def _check_resize_pair(resize_pair, rng):
    import torch
    from torch.nn.functional import interpolate

    for shape, size in (((8, 8), (20, 20)), ((32, 16), (48, 40)), ((9, 12), (5, 7))):
        image = torch.tensor(rng.uniform(size=(2, 3, *shape)), dtype=torch.float32)
        mask = torch.tensor(rng.choice([0.0, 1.0], size=(2, 1, *shape)), dtype=torch.float32)
        got = call(lambda *pair, size=size: resize_pair(*pair, size), image, mask)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong(f"expected a pair (image, mask), got {type(got).__name__}.")
        for name, part, like in zip(("image", "mask"), got, (image, mask), strict=True):
            wanted = (*like.shape[:2], *size)
            if not isinstance(part, torch.Tensor) or tuple(part.shape) != wanted:
                shown = tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__
                raise Wrong(f"the {name} of shape {tuple(like.shape)} resized to {size}: {shown}.")
        known = [
            (
                interpolate(image, size, mode="bilinear", align_corners=True),
                "The image is aligned by the centers of its corner pixels, the mask by its edges. Which setting is it?",
            ),
            (interpolate(image, size, mode="nearest-exact"), "The image may be interpolated: bilinear."),
            (interpolate(image, size, mode="nearest"), "The image may be interpolated: bilinear."),
            (
                interpolate(image, size, mode="bilinear", antialias=True),
                "Without antialias here, so that one formula holds for all sizes.",
            ),
        ]
        expected = interpolate(image, size, mode="bilinear", align_corners=False)
        what = f"the image {shape} to {size}"
        expect_close(got[0], expected, what, rtol=1e-4, atol=1e-5, mistakes=known)
        mask_got = got[1] if got[1].is_floating_point() else got[1].to(mask.dtype)
        hint = ""
        if mask_got.unique().numel() > 2:
            hint = "The mask has new values between 0 and 1. Which mode invents none?"
        half = "`nearest` reads from ⌊i·n/m⌋, and the image from (i + ½)·n/m - ½. Which mode has the same half pixel?"
        known = [(interpolate(mask, size, mode="nearest"), half)]
        expected = interpolate(mask, size, mode="nearest-exact")
        expect_close(mask_got, expected, f"the mask {shape} to {size}", hint=hint, mistakes=known)


@free_form("seg-zoo-eval")
def _check_segment(segment, rng):
    import torch

    for start in (True, False):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1),
            torch.nn.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.Conv2d(4, 1, 1),
        )
        with torch.no_grad():
            model[1].running_mean.normal_()
            model[1].running_var.uniform_(0.5, 2)
        model.train(start)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        images = torch.tensor(rng.normal(size=(4, 3, 8, 8)), dtype=torch.float32)
        images[1:] *= 5
        reference = torch.nn.Sequential(*model).eval()
        with torch.no_grad():
            expected = reference(images) > 0
        model.train(start)
        seen = []
        hook = model.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))  # noqa: B023
        got = call(lambda batch, model=model: segment(model, batch), images)
        hook.remove()
        if not isinstance(got, torch.Tensor) or got.shape != expected.shape:
            shown = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
            raise Wrong(f"expected masks of shape {tuple(expected.shape)}, got {shown}.")
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
        if changed:
            raise Wrong(
                "the running averages of batch norm changed while predicting.",
                "no_grad switches gradients off, and nothing else. Which switch tells batch norm that this is a test?",
            )
        if not torch.equal(got.bool(), expected):
            raise Wrong(
                "the masks are not those of the model in eval mode.",
                "A mask is where the logit is above 0; and is the model in eval mode when it runs?",
            )
        if any(seen):
            raise Wrong(
                "gradients were recorded while predicting.",
                "torch.no_grad(): it saves the memory of the backward pass.",
            )
        if model.training != start:
            state = "training" if start else "eval"
            raise Wrong(
                f"the model came in {state} mode and is handed back in the other one.",
                "The caller may be in the middle of training, or not. Remember model.training first.",
            )
        if got.dtype != torch.bool:
            raise Wrong(f"the masks are {got.dtype}.", "A comparison gives booleans.")

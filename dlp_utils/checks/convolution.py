"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on convolution."""

import numpy as np

from dlp_utils.exercises import Wrong, call, exercise, free_form, number
from dlp_utils.models.convolution import by_shifts, convolve_backward, im2col, output_size

# --- bug zoo -------------------------------------------------------------------------------------------


def _pictures(rng):
    yield np.array([[[0.0, 2.0], [4.0, 1.0]]]), np.array([[[8.0, 0.0], [1.0, 2.0]]])
    yield np.zeros((2, 2, 2)), np.ones((1, 2, 2))
    yield rng.integers(0, 17, (5, 3, 4)), rng.integers(0, 40, (2, 3, 4))
    yield rng.uniform(0, 3, (4, 2, 2)), rng.uniform(0, 9, (3, 2, 2))
    yield rng.uniform(0.05, 0.2, (3, 2, 4)), rng.uniform(0, 0.3, (2, 2, 4))  # faint


def _divided(train, test, by, by_test=None):
    by_test = by if by_test is None else by_test
    with np.errstate(all="ignore"):
        return train / by, test / by_test


@exercise(
    "conv-zoo-scale",
    _pictures,
    mistakes=[
        (
            lambda a, b: _divided(a, b, 255),
            "255 is a number from memory. What is the largest value of train?",
        ),
        (lambda a, b: _divided(a, b, 16), "16 is right for these digits only. Ask train, not your memory."),
        (
            lambda a, b: _divided(a, b, a.max() or 1, b.max() or 1),
            "The test pictures have a number of their own: a faint test set looks like a bold one.",
        ),
        (
            lambda a, b: _divided(a, b, max(a.max(), b.max())),
            "The test pictures have helped to choose the number.",
        ),
        (
            lambda a, b: _divided(a, b, a.max(axis=(1, 2), keepdims=True), b.max(axis=(1, 2), keepdims=True)),
            "Each picture has its own number: how dark it was is gone.",
        ),
        (lambda a, b: _divided(a, b, a.max()), "Train may be all zeros. What is 0 / 0?"),
        (
            lambda a, b: _divided(a, b, max(a.max(), 1)),
            "A faint train, below 1 everywhere, shall reach 1 as well.",
        ),
        (lambda a, b: (_divided(a, b, a.max() or 1)[0], b), "And test? The same number divides both."),
        (
            lambda a, b: tuple(np.clip(part, 0, 1) for part in _divided(a, b, a.max() or 1)),
            "Test may go beyond 1: nothing is cut off.",
        ),
        (
            lambda a, b: _divided(a - a.min(), b - a.min(), np.ptp(a) or 1),
            "Only divide. What does subtracting make of a zero, the blank paper?",
        ),
        (lambda a, b: _divided(a, b, a[0].max() or 1), "The first picture is not all of train."),
        (lambda a, b: _divided(a, b, a.mean() or 1), "The mean becomes 1. What shall reach 1?"),
        (lambda a, b: _divided(a, b, a.max(axis=0)), "That is a number for each place. ONE is wanted."),
        (
            lambda a, b: (a // (a.max() or 1), b // (a.max() or 1)),
            "// throws away what stands behind the point.",
        ),
    ],
    hints=[
        (lambda args, expected, got: isinstance(got, np.ndarray), "Return two arrays: train and test."),
        (
            lambda args, expected, got: not args[0].any(),
            "Train is all zeros here: nothing changes, neither train nor test. Which divisor does that?",
        ),
    ],
)
def to_unit(train, test):
    return _divided(train, test, train.max() or 1)


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _heads(rng):
    yield np.array([[[[1.0, -2.0], [0.0, 0.5]]]]), np.array([[2.0, -1.0]]), np.array([0.5, 0.0])
    for n, c, h, w, classes in ((2, 3, 4, 5, 2), (3, 4, 2, 7, 5)):
        yield rng.normal(-1, 1, (n, c, h, w)), rng.normal(size=(c, classes)), rng.normal(size=classes)


@exercise(
    "conv-zoo-flatten",
    _heads,
    atol=1e-6,
    mistakes=[
        (lambda m, w, b: m.mean(axis=(2, 3)) @ w + b, "That is the mean of each map; the largest is wanted."),
        (lambda m, w, b: m.max(axis=(2, 3)) @ w, "The bias is missing."),
        (lambda m, w, b: m.sum(axis=(2, 3)) @ w + b, "A sum grows with the size of the map."),
        (
            lambda m, w, b: np.maximum(m.max(axis=(2, 3)), 0) @ w + b,
            "A map may be negative everywhere. Then its largest value is negative too.",
        ),
        (
            lambda m, w, b: np.abs(m).max(axis=(2, 3)) @ w + b,
            "The largest value, not the one farthest from zero: -5 is smaller than 1.",
        ),
        (lambda m, w, b: m.min(axis=(2, 3)) @ w + b, "That is the smallest of each map."),
        (lambda m, w, b: m[:, :, 0, 0] @ w + b, "Only one corner of each map is read."),
        (lambda m, w, b: m.max(axis=2).mean(axis=2) @ w + b, "The largest over both axes of the picture."),
        (lambda m, w, b: m.max(axis=2).sum(axis=2) @ w + b, "The largest over both axes of the picture."),
        (lambda m, w, b: m.max(axis=(2, 3)), "Those are the inputs of the dense layer. Where are w and b?"),
        (
            lambda m, w, b: np.maximum(m.max(axis=(2, 3)) @ w + b, 0),
            "Logits may be negative: no ReLU at the end.",
        ),
        (lambda m, w, b: _softmax(m.max(axis=(2, 3)) @ w + b), "Logits are wanted, not probabilities."),
        (lambda m, w, b: (m.max(axis=(2, 3)) @ w + b).argmax(axis=1), "Logits are wanted, not a decision."),
        (
            lambda m, w, b: m.max(axis=(1, 2, 3))[:, None] * w.sum(axis=0) + b,
            "Each channel has a largest value of its own: which axes belong to the picture?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: np.shape(got) in (expected.shape[1:], (1, *expected.shape[1:])),
            "One row for each picture. Over which axes did you take the maximum?",
        ),
    ],
)
def global_head(maps, w, b):
    return maps.max(axis=(2, 3)) @ w + b


def _backward(dy, kernel):
    shape = (1, 1, dy.shape[0] + len(kernel) - 1, dy.shape[1] + len(kernel) - 1)
    return convolve_backward(dy[None, None], np.zeros(shape), kernel[None, None])[0][0, 0]


def _backward_cases(rng):
    yield np.array([[1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    for m, n, k in ((3, 4, 2), (5, 3, 3), (2, 2, 4)):
        yield rng.normal(size=(m, n)), rng.normal(size=(k, k))


def _cropped(dy, kernel):
    p = len(kernel) - 1
    return _backward(dy, kernel)[p : -p or None, p : -p or None]


@exercise(
    "conv-zoo-flip",
    _backward_cases,
    atol=1e-6,  # single precision is right too
    mistakes=[
        (
            lambda d, k: _backward(d, k[::-1, ::-1]),
            "For dy = 1 at one place the kernel comes out turned round. Which way round must it go in?",
        ),
        (lambda d, k: _backward(d, k[::-1]), "One axis is turned round, the other is not."),
        (lambda d, k: _backward(d, k[:, ::-1]), "One axis is turned round, the other is not."),
        (
            lambda d, k: _backward(d, k.T),
            "Transposed, not turned: both axes must be reversed in their order.",
        ),
        (_cropped, "The input is larger than the output: its border was read as well."),
        (
            lambda d, k: _backward(d, k)[::-1, ::-1],
            "The result stands on its head. It is the kernel that must be turned, once.",
        ),
        (lambda d, k: _backward(d, np.rot90(k)), "A quarter turn. Half a turn reverses both axes."),
        (lambda d, k: _backward(d, np.rot90(k, 3)), "A quarter turn. Half a turn reverses both axes."),
        (lambda d, k: _backward(d.T, k), "Rows of dy are rows of the picture."),
        (lambda d, k: -_backward(d, k), "The gradient itself is wanted; the minus belongs to the step."),
    ],
    hints=[
        (
            lambda args, expected, got: np.shape(got) != expected.shape,
            "How many zeros must stand around dy, so that each input pixel meets each weight of the kernel?",
        ),
    ],
)
def input_gradient(dy, kernel):
    return _backward(dy, kernel)


def _moved(picture, down, right):
    h, w = picture.shape[-2:]
    out = np.zeros_like(picture)
    rows, columns = slice(max(down, 0), h + min(down, 0)), slice(max(right, 0), w + min(right, 0))
    back, left = slice(max(-down, 0), h + min(-down, 0)), slice(max(-right, 0), w + min(-right, 0))
    out[..., rows, columns] = picture[..., back, left]
    return out


def _drawn(augment, moves, pictures, rng):
    """The number of each picture's move."""
    answer = np.asarray(augment(pictures.copy(), rng))
    fits = [np.isclose(_moved(pictures, *move), answer).all(axis=(1, 2)) for move in moves]
    if not np.any(fits, axis=0).all():
        raise Wrong(
            f"of {len(pictures)} pictures not all are moved by at most one pixel.",
            "Is your code right for any number of pictures, and for small ones?",
        )
    return np.argmax(fits, axis=0)


@free_form("conv-zoo-mirror")
def _check_augment(augment, rng):
    moves = [(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1)]
    counts = dict.fromkeys(moves, 0)
    runs, hint = {}, "Move each picture by whole pixels, zeros coming in at the side that opens."
    for n, h, w in ((360, 5, 5), (90, 4, 7)):
        pictures = rng.uniform(0.1, 1, (n, h, w))
        before = pictures.copy()
        answer = augment(pictures, np.random.default_rng(n))
        if not np.array_equal(pictures, before):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        answer = np.asarray(answer)
        if answer.shape != pictures.shape:
            raise Wrong(f"shape {answer.shape}; wanted {pictures.shape}.")
        drawn = []
        for picture, got in zip(pictures, answer, strict=True):
            fits = [move for move in moves if np.allclose(_moved(picture, *move), got)]
            if not fits:
                known = [
                    (picture[:, ::-1], "That picture is mirrored: a mirrored 2 is no 2."),
                    (picture[::-1], "That picture stands on its head."),
                    *(
                        (
                            np.roll(picture, move, (0, 1)),
                            "What leaves on one side comes in on the other; zeros should.",
                        )
                        for move in moves
                    ),
                ]
                said = next((text for other, text in known if np.allclose(other, got)), hint)
                raise Wrong("a picture is not its original moved by at most one pixel each way.", said)
            drawn.append(fits[0])
            counts[fits[0]] += 1
        if len(set(drawn)) == 1:
            raise Wrong("all pictures are moved alike.", "Draw for each picture by itself.")
        again = np.asarray(augment(pictures, np.random.default_rng(n)))
        if not np.array_equal(again, answer):
            raise Wrong("the same rng gives another result.", "Draw with the rng that you are given.")
        other = np.asarray(augment(pictures, np.random.default_rng(n + 1)))
        runs[n] = np.array_equal(other, answer)
    if all(runs.values()):
        raise Wrong("every rng gives the same moves.", "Draw with the rng that you are given.")
    if min(counts.values()) < 20:
        move = min(counts, key=counts.get)
        text = f"of 450 pictures {counts[move]} are moved by {move}; about 50 wanted."
        raise Wrong(
            text, "Nine moves, all equally likely: -1, 0 and 1, both ways. Does your upper end count?"
        )
    if max(counts.values()) > 95:
        move = max(counts, key=counts.get)
        raise Wrong(f"of 450 pictures {counts[move]} are moved by {move}.", "All nine equally likely.")
    # Whoever draws by itself makes all 81 pairs of moves; dealing out in turns, or in pairs, does not.
    stream, pictures = np.random.default_rng(5), rng.uniform(0.1, 1, (2, 3, 3))
    pairs = {tuple(_drawn(augment, moves, pictures, stream)) for _ in range(400)}
    if len(pairs) < 70:
        raise Wrong(
            f"400 times two pictures: {len(pairs)} of the 81 pairs of moves occur.",
            "Draw for each picture by itself: what one gets must say nothing about the next.",
        )
    pictures = rng.uniform(0.1, 1, (5400, 3, 3))
    count = np.bincount(_drawn(augment, moves, pictures, np.random.default_rng(6)), minlength=9)
    for move, times in zip(moves, count, strict=True):
        if abs(times - 600) > 104:  # 4.5 standard deviations
            raise Wrong(
                f"of 5,400 pictures {times} are moved by {move}; about 600 wanted.",
                "All nine equally likely. With which probability do you draw a 0?",
            )


def _color(rng):
    yield np.arange(12.0).reshape(1, 2, 2, 3)
    yield rng.normal(size=(2, 3, 5, 3))
    yield rng.integers(0, 256, (1, 4, 4, 2)).astype(float)  # a copy of bytes into floats is right, too
    yield rng.normal(size=(3, 2, 4, 1))


@exercise(
    "conv-zoo-view",
    _color,
    mistakes=[
        (
            lambda p: p.reshape(len(p), p.shape[3], *p.shape[1:3]),
            "Reshape reads on in the old order. The entry (n, c, i, j) must be pictures[n, i, j, c].",
        ),
        (
            lambda p: p.transpose(0, 3, 2, 1),
            "Rows and columns have changed places: the picture is transposed.",
        ),
        (lambda p: p.transpose(0, 2, 3, 1), "That is the way back, from channels first to channels last."),
        (lambda p: p.transpose(3, 0, 1, 2), "The pictures stay first; the channels belong on axis 1."),
        (lambda p: p.T, ".T reverses all four axes. Which of them shall move?"),
        (lambda p: p.transpose(0, 3, 1, 2)[:, ::-1], "The channels have changed their order."),
        (lambda p: p.transpose(0, 3, 1, 2)[..., ::-1], "That is mirrored, too. Only the axes move."),
        (lambda p: p.transpose(0, 3, 1, 2) / 255, "The values stay as they are; only the axes move."),
    ],
    hints=[
        (
            lambda args, expected, got: np.shape(got)[1:2] != np.shape(expected)[1:2],
            "The channels belong on axis 1.",
        )
    ],
)
def channels_first(pictures):
    return pictures.transpose(0, 3, 1, 2)


@free_form("conv-zoo-bias")
def _check_sleeping(sleeping, rng):
    import torch
    from torch import nn

    norm, conv = nn.BatchNorm2d, nn.Conv2d
    stacks = [
        ((conv(1, 8, 3), norm(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 10)), 8, ""),
        ((conv(1, 8, 3, bias=False), norm(8), nn.ReLU()), 0, "A layer made with bias=False has none."),
        (
            (conv(1, 4, 3), nn.ReLU(), norm(4), conv(4, 6, 1), norm(6)),
            6,
            "Between the first convolution and its norm stands a ReLU: there the bias does matter.",
        ),
        (
            (conv(3, 5, 3), conv(5, 7, 3), norm(7), norm(7)),
            7,
            "Only the bias right in front of a norm sleeps.",
        ),
        ((norm(3), conv(3, 5, 3)), 0, "The norm must come AFTER the convolution."),
        ((nn.Linear(4, 4), nn.ReLU()), 0, ""),
        ((conv(2, 9, 3), nn.LayerNorm(3)), 0, "Only BatchNorm2d counts."),
        (
            (conv(3, 4, 3), norm(4), nn.ReLU(), conv(4, 6, 3), norm(6), nn.ReLU()),
            10,
            "More than one layer may sleep: add them up.",
        ),
    ]
    for layers, expected, hint in stacks:
        model = nn.Sequential(*layers)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            got = sleeping(model)
        except IndexError:
            if not isinstance(layers[-1], conv):
                raise
            text = f"your code raised IndexError for ({', '.join(type(layer).__name__ for layer in layers)})."
            raise Wrong(text, "Which layer comes after the last one?") from None
        after = model.state_dict()
        if before.keys() != after.keys() or any(not before[name].equal(after[name]) for name in before):
            raise Wrong("your code changes the model.", "Only count.")
        if isinstance(got, torch.Tensor) and not got.ndim:
            got = got.item()
        names = ", ".join(type(layer).__name__ for layer in layers)
        if isinstance(got, bool) or not np.isscalar(got):
            raise Wrong(f"a number is wanted, got {got!r}.")
        if got != expected:
            largest = max((p.out_channels for p in layers if isinstance(p, conv)), default=0)
            if expected and got in (1, 2):
                hint = "Count single numbers, one for each output channel, not tensors."
            elif expected and got == 2 * expected:
                hint = "The norm's own weight and bias work; only the convolution's bias sleeps."
            elif expected and got > 2 * largest:
                hint = "The weights of the kernel work; only the biases sleep."
            raise Wrong(f"({names}): {got}, wanted {expected}.", hint)


def _holes(n, kernel, stride, padding, short=False):
    m = len(range(0, n + 2 * padding - kernel + (not short), stride))
    seen = {stride * i + u - padding for i in range(m) for u in range(kernel)}
    return len(set(range(n)) - seen)


def _wrapped(n, kernel, stride=1, padding=0):
    seen = np.zeros(n, dtype=bool)
    for i in range(output_size(n, kernel, stride, padding)):
        for u in range(kernel):
            if stride * i + u - padding < n:
                seen[stride * i + u - padding] = True
    return n**2 - int(seen.sum()) ** 2


def _windows(rng):
    yield from [(8, 3, 2, 0), (4, 2, 2, 0), (7, 3, 2, 0), (8, 3, 2, 1), (5, 1, 2, 0), (10, 2, 3, 0)]
    yield from [
        (9, 2, 4, 1),
        (5, 3, 1, 0),
        (6, 1, 1, 2),
        (6, 3),
        (6, 3, 2),
        (5, 5, 3, 0),
        (8, 1, 3, 2),
        (4, 3, 3, 3),
    ]
    for _ in range(12):
        n, s, p = (int(v) for v in rng.integers((4, 1, 0), (11, 6, 4)))
        yield n, int(rng.integers(1, 5)), s, p


@exercise(
    "conv-zoo-unseen",
    _windows,
    mistakes=[
        (lambda n, k, s=1, p=0: _holes(n, k, s, p), "That is how many of a row. And in the plane?"),
        (
            lambda n, k, s=1, p=0: _holes(n, k, s, p) ** 2,
            "A pixel is unseen if its row OR its column is.",
        ),
        (
            lambda n, k, s=1, p=0: 2 * n * _holes(n, k, s, p),
            "The pixels whose row and column are both unseen are counted twice.",
        ),
        (
            lambda n, k, s=1, p=0: n**2 - (n - (n + 2 * p - k) % s) ** 2,
            "The rest of the division is not all: a stride larger than the kernel leaves gaps, padding is no pixel.",
        ),
        (
            lambda n, k, s=1, p=0: n**2 - unseen(n, k, s, p),
            "Those are the pixels that are seen.",
        ),
        (
            lambda n, k, s=1, p=0: unseen(n, k, s, 0),
            "Padding moves the windows: the first begins p pixels before the picture.",
        ),
        (
            lambda n, k, s=1, p=0: n**2 - (n - (n + 2 * p - k) % s) ** 2 if s <= k else unseen(n, k, s, p),
            "What the division leaves over may be padding. Whose pixels are they?",
        ),
        (
            lambda n, k, s=1, p=0: 0 if s <= k else unseen(n, k, s, p),
            "Between the windows no gap. And behind the last one?",
        ),
        (
            lambda n, k, s=1, p=0: (n + 2 * p) ** 2 - (n + 2 * p - _holes(n + 2 * p, k, s, 0)) ** 2,
            "The padding is no pixel of the picture: do not count it.",
        ),
        (
            lambda n, k, s=1, p=0: max(0, n * n - (output_size(n, k, s, p) * k) ** 2),
            "Windows overlap: what two of them see is seen once.",
        ),
        (
            lambda n, k, s=1, p=0: n * n - output_size(n, k, s, p) ** 2,
            "So many windows there are. How many pixels do they see?",
        ),
        (
            lambda n, k, s=1, p=0: n**2 - (n - _holes(n, k, s, p, short=True)) ** 2,
            "Is the last window among yours? range stops before its end.",
        ),
        (
            _wrapped,
            "Before the picture the index is negative, and NumPy then counts from the END.",
        ),
    ],
)
def unseen(n, kernel, stride=1, padding=0):
    return n**2 - (n - _holes(n, kernel, stride, padding)) ** 2


def _weights(rng):
    yield np.arange(4.0).reshape(1, 1, 2, 2)
    yield rng.normal(size=(2, 3, 3, 3))
    yield rng.normal(size=(3, 3, 2, 2))


@exercise(
    "conv-zoo-true",
    _weights,
    mistakes=[
        (lambda w: w, "A true convolution reads its kernel from the other end."),
        (lambda w: w[..., ::-1], "Both axes of the kernel are read backward."),
        (lambda w: w[:, :, ::-1], "Both axes of the kernel are read backward."),
        (lambda w: w[::-1, ::-1, ::-1, ::-1], "Channels keep their order; only the kernel's two axes turn."),
        (lambda w: w.transpose(0, 1, 3, 2), "Transposed, not turned round by 180°."),
        (lambda w: w.transpose(1, 0, 2, 3)[..., ::-1, ::-1], "Input and output channels keep their places."),
        (lambda w: w[::-1, ::-1], "Those are the axes of the channels. Which two belong to the kernel?"),
        (
            lambda w: np.rot90(w, 2),
            "np.rot90 turns the first two axes, the channels, unless you name others.",
        ),
        (lambda w: w[:, ::-1, ::-1, ::-1], "Channels keep their order; only the kernel's two axes turn."),
        (lambda w: w[::-1, :, ::-1, ::-1], "Channels keep their order; only the kernel's two axes turn."),
        (lambda w: np.rot90(w, 1, (2, 3)), "A quarter turn; 180° are wanted."),
        (lambda w: np.rot90(w, 3, (2, 3)), "A quarter turn; 180° are wanted."),
        (
            lambda w: w.swapaxes(2, 3)[..., ::-1, ::-1],
            "Turned, but transposed as well: rows stay rows.",
        ),
        (lambda w: -w, "Turned round in space; the signs stay."),
    ],
)
def for_true_convolution(w):
    return w[:, :, ::-1, ::-1]


# --- exercises -----------------------------------------------------------------------------------------

number(
    "conv-weights",
    18496,
    atol=0.5,
    mistakes=[
        (18432, "The biases count too: one for each output channel."),
        (18464, "One bias for each OUTPUT channel."),
        (640, "Each output channel has a kernel for EACH input channel."),
        (576, "Each output channel has a kernel for EACH input channel. And the biases?"),
        (20480, "One bias for each output channel, not for each kernel."),
        (18433, "One bias for each output channel."),
        (18528, "The channels that come in have no biases here."),
        (352, "That is ONE output channel, and 64 biases. How many kernels of 3 × 3 × 32 are there?"),
        (289, "That is one output channel. How many are there?"),
        (288, "That is one output channel, without its bias. How many are there?"),
        (6208, "A kernel of 3 × 3 has 9 weights."),
        (2112, "A kernel of 3 × 3 has 9 weights."),
        (9248, "64 channels go out."),
        (36928, "32 channels come in."),
    ],
)
number(
    "conv-rate",
    1.6,
    rtol=1e-3,
    mistakes=[
        (0.4, "That is the factor for Adam. With momentum: pixels count once in the gradient and once in z."),
        (0.1 / 16, "The other way round: her pixels are smaller, so her kernel must move further."),
        (0.025, "The other way round, and squared."),
        (0.1, "Her kernel is four times larger; a step of the same effect must be larger, too."),
        (0.8, "q = 64 / 16 = 4. By which power of q does the rate grow?"),
        (16.0, "That is the factor. The rate is 0.1 times it."),
        (4.0, "That is q = 64 / 16. By which power of q does her RATE grow, starting at 0.1?"),
        (0.2, "q = 64 / 16 = 4, not its root. By which power of q does the rate grow?"),
        (
            25.6,
            "The fourth power of q is too much: her gradient is q times smaller, her kernel q times larger.",
        ),
        (
            6.4,
            "The third power of q is too much: her gradient is q times smaller, her kernel q times larger.",
        ),
        (0.1 / 64, "The other way round: her pixels are smaller, so her kernel must move further."),
        (0.05, "The other way round: her pixels are smaller, so her kernel must move further."),
    ],
)


def _sizes(rng):
    yield 5, 3, 1, 0, 1
    yield 8, 3, 2, 0, 1
    yield 7, 3, 1, 0, 3  # the kernel just fits
    yield 6, 3, 2, 0, 3  # it does not
    yield 2, 5, 1, 1, 1
    yield 3, 5, 1, 1, 1
    yield 3, 3, 1, 0, 3  # too wide only because it is dilated
    yield 4, 2, 2, 1, 6
    for _ in range(25):
        yield tuple(int(v) for v in rng.integers((1, 1, 1, 0, 1), (30, 6, 5, 4, 4)))


def _size(n, k, s, p, d):
    reach = d * (k - 1) + 1
    return 0 if reach > n + 2 * p else (n + 2 * p - reach) // s + 1


@exercise(
    "conv-size",
    _sizes,
    mistakes=[
        (
            lambda n, k, s, p, d: 0 if k > n else _size(n, k, s, p, d),
            "Does it fit? Padding makes room, dilation takes some.",
        ),
        (
            lambda n, k, s, p, d: 0 if k > n else (n + 2 * p - d * (k - 1) - 1) // s + 1,
            "Does it fit? Padding makes room, dilation takes some.",
        ),
        (
            lambda n, k, s, p, d: max(0, int((n + 2 * p - d * (k - 1) - 1) / s) + 1),
            "int() rounds toward zero: -1/2 becomes 0. Where the kernel does not fit, which way must it go?",
        ),
        (
            lambda n, k, s, p, d: max(0, round((n + 2 * p - d * (k - 1) - 1) / s) + 1),
            "A window that does not fit is not computed: round down.",
        ),
        (
            lambda n, k, s, p, d: max(0, (n + 2 * p - d * (k - 1) - 1) // s),
            "How many posts has a fence of 3 gaps? The first window counts, too.",
        ),
        (
            lambda n, k, s, p, d: max(1, (n + 2 * p - d * (k - 1) - 1) // s + 1),
            "Where the kernel does not fit, 0 is wanted.",
        ),
        (
            lambda n, k, s, p, d: abs((n + 2 * p - d * (k - 1) - 1) // s + 1),
            "Where the kernel does not fit, 0 is wanted.",
        ),
        (
            lambda n, k, s, p, d: (
                0 if d * (k - 1) + 1 >= n + 2 * p else (n + 2 * p - d * (k - 1) - 1) // s + 1
            ),
            "A kernel that fills the picture exactly fits: there is one window.",
        ),
        (lambda n, k, s, p, d: _size(n, k, 1, p, d), "The windows are S apart: where is the stride?"),
        (lambda n, k, s, p, d: _size(n, k, s, 0, d), "Padding is not in it yet."),
        (
            lambda n, k, s, p, d: max(0, (n + 2 * p - k * d - 1) // s + 1),
            "Between K weights there are K - 1 gaps, not K.",
        ),
        (
            lambda n, k, s, p, d: max(0, (n + 2 * p - d * (k - 1) - 1) / s + 1),
            "A size is a whole number: which way do you round?",
        ),
        (lambda n, k, s, p, d: max(0, (n - k) // s + 1), "Padding and dilation are not in it yet."),
        (lambda n, k, s, p, d: _size(n, k, s, p, 1), "With dilation D a kernel of 3 reaches over 2 D + 1."),
        (
            lambda n, k, s, p, d: max(0, (n + 2 * p - k * d) // s + 1),
            "Between K weights there are K - 1 gaps, not K.",
        ),
        (
            lambda n, k, s, p, d: 0 if d * (k - 1) + 1 > n + p else (n + p - d * (k - 1) - 1) // s + 1,
            "Padding adds on both sides.",
        ),
        (
            lambda n, k, s, p, d: (
                0 if d * (k - 1) + 1 > n + 2 * p else -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1
            ),
            "A window that does not fit is not computed: round down.",
        ),
        (
            lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s + 1,
            "Where the kernel does not fit, 0 is wanted.",
        ),
        (
            lambda n, k, s, p, d: _size(n, k, s, p, d) and (n + 2 * p - d * (k - 1) - 1) / s + 1,
            "A size is a whole number: which way do you round?",
        ),
    ],
)
def size_after(n, kernel, stride, padding, dilation):
    return _size(n, kernel, stride, padding, dilation)


def _stacks(rng):
    yield ([],)
    yield ([(3, 1, 1)],)
    yield ([(3, 1, 1), (3, 1, 1)],)
    yield ([(3, 2, 1), (3, 1, 1)],)
    yield ([(2, 2, 1), (3, 1, 2), (2, 3, 1), (5, 1, 1)],)
    for length in (3, 5):
        yield ([tuple(int(v) for v in rng.integers((1, 1, 1), (6, 4, 4))) for _ in range(length)],)


def _field(layers, dilated=True, before=True):
    r = j = 1
    for k, s, d in layers:
        d = d if dilated else 1
        if not before:
            j *= s
        r += (k - 1) * d * j
        if before:
            j *= s
    return r, j


def _stepped(step):
    def field(layers):
        width = jump = 1
        for layer in layers:
            width, jump = step(width, jump, *layer)
        return width, jump

    return field


def _field_sum(layers):
    return sum((k - 1) * d for k, s, d in layers) + 1, int(np.prod([s for _, s, _ in layers]))


@exercise(
    "conv-field",
    _stacks,
    mistakes=[
        (
            lambda layers: _field(layers, dilated=False),
            "A dilated kernel reads pixels that lie D jumps apart.",
        ),
        (
            lambda layers: _field(layers, before=False),
            "A layer's own stride moves its outputs apart, not the inputs that one output reads.",
        ),
        (_field_sum, "Behind a stride, one step of the kernel is several pixels of the input."),
        (lambda layers: _field(layers[::-1]), "From the input on: in which order do you go?"),
        (lambda layers: _field(layers)[::-1], "(width, jump), in this order."),
        (lambda layers: _field(layers)[0], "Two numbers are wanted: the width and the jump."),
        (lambda layers: (_field(layers)[0] - 1, _field(layers)[1]), "The input sees itself: start at 1."),
        (
            _stepped(lambda w, j, k, s, d: (w + k * d * j, j * s)),
            "A kernel of K reaches over K - 1 steps, not K.",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + ((k - 1) * d + 1) * j, j * s)),
            "The kernel reaches over that many. But one of them was seen already: how many are NEW?",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + (k * d - 1) * j, j * s)),
            "K - 1 steps, each of D jumps. Where does the bracket close?",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + (k - 1) * (d + 1) * j, j * s)),
            "With dilation 1 neighbors are read. How far apart are pixels read with dilation D?",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + 2 * d * j, j * s)),
            "That is right for kernels of 3. And for others?",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + k // 2 * 2 * d * j, j * s)),
            "That is right for odd kernels. And for a kernel of 2?",
        ),
        (_stepped(lambda w, j, k, s, d: (w + (k - 1) * d * j, j + s)), "Jumps multiply; they do not add."),
        (
            _stepped(lambda w, j, k, s, d: (w + (k - 1) * d * j, s)),
            "The strides of all layers before count, too.",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + (k - 1) * d * s, j * s)),
            "How far apart are the INPUTS of a layer? Every stride before it counts, its own does not.",
        ),
        (
            _stepped(lambda w, j, k, s, d: (w + (k - 1) * d * j, j * s * d)),
            "Dilation spreads what one output reads. Does it move neighboring outputs apart?",
        ),
        (_stepped(lambda w, j, k, s, d: (w * k, j * s)), "Widths add up: what does each layer see more?"),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray),
            "Two plain numbers: return width, jump.",
        ),
        (
            lambda args, expected, got: not isinstance(got, (tuple, list)) or len(got) != 2,
            "Two numbers are wanted: the width and the jump. Also where there is no layer.",
        ),
        (
            lambda args, expected, got: not args[0],
            "No layer at all: how wide is one pixel, how far is the next? Start with these two numbers.",
        ),
    ],
)
def field_and_jump(layers):
    return _field(layers)


def _separable_cases(rng):
    yield np.arange(8.0).reshape(2, 2, 2), np.ones((2, 2, 2)), np.array([[1.0, 2.0]])
    for c, h, w, k, o in ((3, 5, 6, 3, 4), (2, 4, 4, 2, 2), (4, 3, 5, 1, 3)):
        yield rng.normal(size=(c, h, w)), rng.normal(size=(c, k, k)), rng.normal(size=(o, c))


def _depthwise(x, depth):
    parts = [by_shifts(a[None, None], d[None, None], np.zeros(1))[0] for a, d in zip(x, depth, strict=True)]
    return np.concatenate(parts)


@exercise(
    "conv-separable",
    _separable_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda x, d, p: _depthwise(x, d),
            "Those are the channels by themselves. Now mix them with `point`.",
        ),
        (
            lambda x, d, p: separable(x, d[:, ::-1, ::-1], p),
            "Your kernels are turned round: the layer does not flip.",
        ),
        (
            lambda x, d, p: np.broadcast_to(
                by_shifts(x[None], d[None], np.zeros(1))[0],
                (len(p), x.shape[1] - d.shape[1] + 1, x.shape[2] - d.shape[2] + 1),
            ),
            "You have added the channels up before mixing them: first each by itself.",
        ),
        (
            lambda x, d, p: np.einsum("oc,cij->oij", p, np.maximum(_depthwise(x, d), 0)),
            "There is no ReLU between the two.",
        ),
        (lambda x, d, p: np.maximum(separable(x, d, p), 0), "There is no ReLU at the end."),
        (
            lambda x, d, p: separable(x, np.repeat(d[:1], len(d), axis=0), p),
            "Each channel has a kernel of its own.",
        ),
        (lambda x, d, p: separable(x, d[::-1], p), "Channel c goes with kernel c."),
        (lambda x, d, p: separable(x, d.swapaxes(1, 2), p), "Rows of the kernel meet rows of the picture."),
        (lambda x, d, p: separable(x, d[:, ::-1], p), "One axis of your kernels is turned round."),
        (lambda x, d, p: separable(x, d[:, :, ::-1], p), "One axis of your kernels is turned round."),
        (lambda x, d, p: separable(x, d, p) / len(d), "A 1 × 1 convolution adds up; it takes no mean."),
    ],
    hints=[
        (
            lambda args, expected, got: np.shape(got)[1:] == args[0].shape[1:] != expected.shape[1:],
            "Without padding the maps get smaller.",
        ),
        (
            lambda args, expected, got: np.size(got) == expected.size and np.shape(got) != expected.shape,
            "One picture without a batch goes in, (C, H, W); so does one come out.",
        ),
    ],
)
def separable(x, depth, point):
    return np.einsum("oc,cij->oij", point, _depthwise(x, depth))


def _pool_cases(rng):
    yield np.array([[1.0]]), np.array([[1.0, 3.0], [3.0, 2.0]]), 2
    yield np.array([[2.0]]), np.zeros((2, 2)), 2
    for h, w, size in ((4, 6, 2), (7, 5, 2), (6, 7, 3)):
        x = rng.integers(0, 3, (h, w)).astype(float)  # many ties
        yield rng.normal(size=(h // size, w // size)), x, size
    yield rng.normal(size=(2, 2)), -rng.uniform(1, 2, (5, 5)), 2


def _pool_back(dy, x, size, pick):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            rows, columns = slice(size * i, size * i + size), slice(size * j, size * j + size)
            block = x[rows, columns]
            dx[rows, columns] = dy[i, j] * pick(block)
    return dx


def _first(block):
    hit = np.zeros(block.size)
    hit[block.argmax()] = 1
    return hit.reshape(block.shape)


def _last(block):
    hit = np.zeros(block.size)
    hit[block.size - 1 - block.ravel()[::-1].argmax()] = 1
    return hit.reshape(block.shape)


@exercise(
    "conv-pool",
    _pool_cases,
    mistakes=[
        (
            lambda dy, x, s: _pool_back(dy, x, s, lambda b: b == b.max()),
            "With ties every winner gets the whole gradient: the sum of the gradient has grown.",
        ),
        (
            lambda dy, x, s: _pool_back(dy, x, s, lambda b: (b == b.max()) / (b == b.max()).sum()),
            "A fair share is a possible rule; here the first winner gets everything.",
        ),
        (lambda dy, x, s: _pool_back(dy, x, s, _last), "The last winner gets it; the first is wanted."),
        (
            lambda dy, x, s: _pool_back(dy, x, s, lambda b: np.full(b.shape, 1 / b.size)),
            "That is the gradient of average pooling.",
        ),
        (
            lambda dy, x, s: _pool_back(dy.T, x.T.copy(), s, _first).T,
            "Row by row, not column by column.",
        ),
        (
            lambda dy, x, s: _pool_back(dy, x, s, lambda b: _first(b) * (b.max() > 0)),
            "A block may be negative or zero everywhere. With which value does your search begin?",
        ),
        (
            lambda dy, x, s: _pool_back(dy, x, s, lambda b: _first(np.abs(b))),
            "The largest value, not the one farthest from zero.",
        ),
        (lambda dy, x, s: _pool_back(dy, x, s, lambda b: _first(-b)), "That is the smallest of each block."),
        (
            lambda dy, x, s: _pool_back(dy, x, s, np.ones_like),
            "Every pixel of a block gets the gradient. Which one decided?",
        ),
        (
            lambda dy, x, s: _pool_back(np.ones_like(dy), x, s, _first),
            "You mark the winners. How much does each get?",
        ),
        (
            lambda dy, x, s: _pool_back(dy, x, s, _first) * x,
            "The slope at the winner is 1, whatever its value.",
        ),
        (
            lambda dy, x, s: _pool_back(dy, x, s, _first) / s**2,
            "The winner gets the gradient undivided.",
        ),
        (lambda dy, x, s: _pool_back(np.abs(dy), x, s, _first), "A gradient keeps its sign."),
    ],
    hints=[
        (
            lambda args, expected, got: np.array_equal(got, np.kron(args[0], np.ones((args[2], args[2])))),
            "Every pixel of a block gets the gradient. Which one decided?",
        ),
        (
            lambda args, expected, got: np.shape(got) != expected.shape,
            "The gradient has the shape of x: rows and columns that fill no block get zeros.",
        ),
        (
            lambda args, expected, got: any(
                np.any(part) for part in (got[args[2] * len(args[0]) :], got[:, args[2] * args[0].shape[1] :])
            ),
            "Rows and columns that fill no block get none.",
        ),
    ],
)
def pool_backward(dy, x, size):
    return _pool_back(dy, x, size, _first)


number(
    "conv-tooth",
    8,
    atol=1e-3,
    mistakes=[
        (4, "That is the tooth for two poolings. What does a third one do to the stride?"),
        (6, "Strides multiply; they do not add."),
        (3, "Three poolings of stride 2: what is the stride of all together?"),
        (2, "That would be one pooling."),
        (16, "That would be four poolings."),
        (12, "Each pooling doubles: two make 4. What do three make?"),
        (0, "The smallest ABOVE zero."),
        (
            1,
            "At a shift by 1 the blocks of the first pooling hold other pixels. When do they hold the same again?",
        ),
        (7, "Does it depend on the size of the maps, or on the stride of all three together?"),
        (3.5, "Does it depend on the size of the maps, or on the stride of all three together?"),
    ],
)


def _columns_cases(rng):
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    yield im2col(x, 2), x.shape, 2, 1, 0
    for shape, k, s, p in (
        ((2, 3, 5, 4), 3, 1, 1),
        ((1, 2, 7, 6), 3, 2, 0),
        ((2, 1, 5, 5), 2, 2, 1),
        ((1, 2, 6, 8), 1, 3, 0),
    ):
        m, n = (output_size(side, k, s, p) for side in shape[2:])
        yield rng.normal(size=(shape[0], shape[1] * k * k, m * n)), shape, k, s, p


def _col2im(columns, shape, kernel, stride, padding, add=True, inner=False):
    h, w = shape[2:]
    p = padding
    wide = _col2im_wide(columns, shape, kernel, stride, padding, add, inner)
    return wide[:, :, p : p + h, p : p + w]


def _swapped_kernel(columns, shape, kernel, stride, padding):
    parts = columns.reshape(len(columns), -1, kernel, kernel, columns.shape[2]).swapaxes(2, 3)
    return _col2im(parts.reshape(columns.shape), shape, kernel, stride, padding)


def _swapped_places(columns, shape, kernel, stride, padding):
    m, width = (output_size(side, kernel, stride, padding) for side in shape[2:])
    parts = columns.reshape(*columns.shape[:2], width, m).swapaxes(2, 3)
    return _col2im(parts.reshape(columns.shape), shape, kernel, stride, padding)


def _unstrided(columns, shape, kernel, stride, padding):
    p, (h, w) = padding, shape[2:]
    wide = np.zeros((*shape[:2], h + 2 * p, w + 2 * p))
    m, width = (output_size(side, kernel, stride, p) for side in (h, w))
    narrow = (*shape[:2], m + kernel - 1, width + kernel - 1)
    wide[:, :, : narrow[2], : narrow[3]] = _col2im_wide(columns, narrow, kernel, 1, 0)
    return wide[:, :, p : p + h, p : p + w]


def _unframed(columns, shape, kernel, stride, padding):
    p, (h, w) = padding, shape[2:]
    wide = _col2im_wide(columns, shape, kernel, stride, padding)
    out = wide[:, :, p : p + h, p : p + w].copy()
    out[:, :, h - p :] += wide[:, :, :p, p : p + w]
    out[:, :, :, w - p :] += wide[:, :, p : p + h, :p]
    out[:, :, h - p :, w - p :] += wide[:, :, :p, :p]
    return out


def _col2im_wide(columns, shape, kernel, stride, padding, add=True, inner=False):
    n, c, h, w = shape
    k, p = kernel, padding
    m, width = (output_size(side, k, stride, p) for side in (h, w))
    if inner:
        parts = columns.reshape(n, k, k, c, m, width).transpose(0, 3, 1, 2, 4, 5)
    else:
        parts = columns.reshape(n, c, k, k, m, width)
    wide = np.zeros((n, c, h + 2 * p, w + 2 * p))
    for u in range(k):
        for v in range(k):
            rows, cols = slice(u, u + stride * m, stride), slice(v, v + stride * width, stride)
            if add:
                wide[:, :, rows, cols] += parts[:, :, u, v]
            else:
                wide[:, :, rows, cols] = parts[:, :, u, v]
    return wide


@exercise(
    "conv-col2im",
    _columns_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda *a: _col2im(*a, add=False),
            "A pixel was copied into several columns. Their entries add up; yours overwrite each other.",
        ),
        (
            lambda *a: _col2im(*a, inner=True),
            "The rows of a column go channel by channel: (C, K, K), not (K, K, C).",
        ),
        (
            lambda c, shape, k, s, p: (
                _col2im(c, shape, k, s, p) / np.maximum(_col2im(np.ones_like(c), shape, k, s, p), 1)
            ),
            "That is a mean over the copies, the inverse of im2col; its transpose adds.",
        ),
        (
            _swapped_kernel,
            "The places of the kernel go row by row: (C, K, K) with u before v.",
        ),
        (_swapped_places, "The places of the output go row by row: m rows of m'."),
        (
            lambda c, shape, k, s, p: _col2im_wide(c, shape, k, s, p)[:, :, : shape[2], : shape[3]],
            "The frame lies on all four sides: the picture begins at row p and column p.",
        ),
        (
            lambda c, shape, k, s, p: _col2im_wide(c, shape, k, s, p)[:, :, 2 * p :, 2 * p :],
            "The frame lies on all four sides: the picture begins at row p and column p.",
        ),
        (
            lambda c, shape, k, s, p: _col2im_wide(c, shape, k, s, p)[:, :, p:-p, p:-p],
            "[p:-p] is empty for p = 0. Where does the picture end?",
        ),
        (
            _unframed,
            "Before the picture the index is negative, and NumPy then counts from the END.",
        ),
        (
            _unstrided,
            "Neighboring windows lie S pixels apart: where is the stride?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: 0 in np.shape(got),
            "[p:-p] is empty for p = 0. Where does the picture end?",
        ),
        (
            lambda args, expected, got: np.ndim(got) == 3,
            "The pictures of a batch come back as a batch: (N, C, H, W).",
        ),
        (
            lambda args, expected, got: args[0].shape[0] > 1 and np.allclose(got[0], expected[0]),
            "The first picture is right. And the others of the batch?",
        ),
        (
            lambda args, expected, got: (
                args[4] > 0 and np.shape(got)[2:] == tuple(side + 2 * args[4] for side in args[1][2:])
            ),
            "The frame of the padding is still there.",
        ),
        (
            lambda args, expected, got: (
                np.shape(got) == expected.shape
                and np.allclose(got, _col2im(*args, add=False))
                and not np.allclose(got, expected)
            ),
            "A pixel was copied into several columns. Their entries add up; yours overwrite each other.",
        ),
    ],
)
def col2im(columns, shape, kernel, stride, padding):
    return _col2im(columns, shape, kernel, stride, padding)


def _is_moved(a, b):
    """Whether a is b moved by some number of pixels, borders glued together."""
    return any(
        np.allclose(a, np.roll(b, (i, j), (0, 1)), atol=1e-6)
        for i in range(b.shape[0])
        for j in range(b.shape[1])
    )


@free_form("conv-equivariant")
def _check_equivariant(equivariant_pool, rng):
    for h, w in ((4, 4), (6, 8), (10, 4), (4, 6), (6, 6)):
        x = rng.normal(size=(h, w))
        y = np.asarray(call(equivariant_pool, x))
        if y.shape != (h // 2, w // 2):
            hint = "Choose ONE of the four grids." if y.size == x.size else ""
            raise Wrong(f"shape {y.shape}; wanted {(h // 2, w // 2)}.", hint)
        wide = np.maximum(x, np.roll(x, -1, 0))
        wide = np.maximum(wide, np.roll(wide, -1, 1))
        grids = [wide[i::2, j::2] for i in (0, 1) for j in (0, 1)]
        if not any(_is_moved(y, grid) for grid in grids):
            averaged = np.allclose(y, sum(grids) / 4, atol=1e-6)
            hint = "A mean of the four grids blurs; choose one." if averaged else ""
            hint = (
                hint or "wide[i::2, j::2] for i, j in (0, 1), after the stride-1 maximum with glued borders."
            )
            raise Wrong("the output is none of the four grids of the stride-1 maximum.", hint)
        for down, right in ((0, 1), (1, 0), (1, 1), (-1, 0), (0, 2), (2, 3), (3, -2)):
            moved = np.asarray(call(equivariant_pool, np.roll(x, (down, right), (0, 1))))
            if not _is_moved(moved, y):
                hint = (
                    "Which of the four grids do you keep? Choose by the numbers in it, not by i and j, and by a measure "
                    "in which they hardly ever tie: the largest pixel lies in a window of each of the four. The measure "
                    "itself must not change when a grid moves around its border."
                )
                raise Wrong(f"moved by ({down}, {right}) the picture gives other numbers.", hint)

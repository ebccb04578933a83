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
    ],
)
def to_unit(train, test):
    return _divided(train, test, train.max() or 1)


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
    ],
)
def input_gradient(dy, kernel):
    return _backward(dy, kernel)


def _moved(picture, down, right):
    h, w = picture.shape
    out = np.zeros_like(picture)
    rows, columns = slice(max(down, 0), h + min(down, 0)), slice(max(right, 0), w + min(right, 0))
    back, left = slice(max(-down, 0), h + min(-down, 0)), slice(max(-right, 0), w + min(-right, 0))
    out[rows, columns] = picture[back, left]
    return out


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


def _color(rng):
    yield np.arange(12.0).reshape(1, 2, 2, 3)
    yield rng.normal(size=(2, 3, 5, 3))
    yield rng.integers(0, 256, (1, 4, 4, 2)).astype(np.uint8)
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
    ]
    for layers, expected, hint in stacks:
        got = sleeping(nn.Sequential(*layers))
        names = ", ".join(type(layer).__name__ for layer in layers)
        if isinstance(got, bool) or not np.isscalar(got):
            raise Wrong(f"a number is wanted, got {got!r}.")
        if got != expected:
            largest = max((p.out_channels for p in layers if isinstance(p, conv)), default=0)
            if expected and got in (1, 2):
                hint = "Count single numbers, one for each output channel, not tensors."
            elif expected and got > 2 * largest:
                hint = "The weights of the kernel work; only the biases sleep."
            raise Wrong(f"({names}): {got}, wanted {expected}.", hint)


def _holes(n, kernel, stride, padding):
    m = output_size(n, kernel, stride, padding)
    seen = {stride * i + u - padding for i in range(m) for u in range(kernel)}
    return len(set(range(n)) - seen)


@exercise(
    "conv-zoo-unseen",
    lambda rng: iter(
        [(8, 3, 2, 0), (4, 2, 2, 0), (7, 3, 2, 0), (8, 3, 2, 1), (5, 1, 2, 0), (10, 2, 3, 0), (9, 2, 4, 1)]
    ),
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
    ],
)


def _sizes(rng):
    yield 5, 3, 1, 0, 1
    yield 8, 3, 2, 0, 1
    yield 7, 3, 1, 0, 3  # the kernel just fits
    yield 6, 3, 2, 0, 3  # it does not
    yield 2, 5, 1, 1, 1
    yield 3, 5, 1, 1, 1
    for _ in range(25):
        yield tuple(int(v) for v in rng.integers((1, 1, 1, 0, 1), (30, 6, 5, 4, 4)))


def _size(n, k, s, p, d):
    reach = d * (k - 1) + 1
    return 0 if reach > n + 2 * p else (n + 2 * p - reach) // s + 1


@exercise(
    "conv-size",
    _sizes,
    mistakes=[
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
    ],
    hints=[
        (
            lambda args, expected, got: (
                isinstance(got, (tuple, list)) and len(got) == 2 and got[0] == expected[0] - 1
            ),
            "The input sees itself: start at 1.",
        )
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
            lambda dy, x, s: _pool_back(dy, x.T.copy(), s, _first).T if dy.shape[0] == dy.shape[1] else dy,
            "Row by row, not column by column.",
        ),
    ],
)
def pool_backward(dy, x, size):
    return _pool_back(dy, x, size, _first)


number(
    "conv-tooth",
    8,
    atol=0.2,
    mistakes=[
        (4, "That is the tooth for two poolings. What does a third one do to the stride?"),
        (6, "Strides multiply; they do not add."),
        (3, "Three poolings of stride 2: what is the stride of all together?"),
        (2, "That would be one pooling."),
        (16, "That would be four poolings."),
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
    return wide[:, :, p : p + h, p : p + w]


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
    ],
    hints=[
        (
            lambda args, expected, got: (
                args[4] > 0 and np.shape(got)[2:] == tuple(side + 2 * args[4] for side in args[1][2:])
            ),
            "The frame of the padding is still there.",
        ),
        (
            lambda args, expected, got: np.allclose(got, _col2im(*args, add=False)),
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
    for h, w in ((4, 4), (6, 8), (10, 4)):
        x = rng.normal(size=(h, w))
        y = np.asarray(call(equivariant_pool, x))
        if y.shape != (h // 2, w // 2):
            raise Wrong(f"shape {y.shape}; wanted {(h // 2, w // 2)}.")
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
        for down in range(2):
            for right in range(2):
                if not down and not right:
                    continue
                moved = np.asarray(call(equivariant_pool, np.roll(x, (down, right), (0, 1))))
                if not _is_moved(moved, y):
                    hint = (
                        "Which of the four grids do you keep? Choose by the numbers in it, not by i and j, and by a measure "
                        "in which they hardly ever tie: the largest pixel lies in a window of each of the four."
                    )
                    raise Wrong(f"moved by ({down}, {right}) the picture gives other numbers.", hint)

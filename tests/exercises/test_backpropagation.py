"""The exercises of the chapter on backpropagation: wrong answers that readers give, and the hint each must get."""

import numpy as np

from dlp_utils.models.backpropagation import Value, sigmoid


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(labels, logits):
    return np.eye(logits.shape[1])[labels]


def overflowing(logits, labels):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (p - one_hot(labels, logits)) / len(labels)


def shifted(z, shift, y):
    with np.errstate(all="ignore"):
        p = np.exp(z - shift)
        return (p / p.sum(axis=1, keepdims=True) - one_hot(y, z)) / len(y)


def by_exponentials(a):
    with np.errstate(all="ignore"):
        up, down = np.exp(a.data), np.exp(-a.data)
        t = (up - down) / (up + down)
    return Value(t, (a,), (1 - t**2,))


def by_jacobian(dy, x, gamma, eps=1e-5, ddof=0):
    """Column by column, with the Jacobian of the normalization written out."""
    n, dx = len(x), np.zeros_like(x)
    x_hat, s = normalized(x, eps, ddof)
    for d in range(x.shape[1]):
        jacobian = np.eye(n) - 1 / n - np.outer(x_hat[:, d], x_hat[:, d]) / (n - ddof)
        dx[:, d] = gamma[d] / s[d] * jacobian @ dy[:, d]
    return [dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)]


def rows_in_a_loop(z, y):
    out = np.empty_like(z)
    for n, (row, label) in enumerate(zip(z, y, strict=True)):
        out[n] = np.exp(row - np.logaddexp.reduce(row))
        out[n, label] -= 1
    return out / len(y)


def tanh_by_sigmoid(a):
    t = 2 * sigmoid(2 * a.data) - 1
    return Value(t, [a], [1 - t * t])


def convolution_by_pixels(dy, x, w):
    dx, dw, k = np.zeros_like(x), np.zeros_like(w), w.shape[-1]
    for n, o, i, j in np.ndindex(*dy.shape):
        dx[n, :, i : i + k, j : j + k] += dy[n, o, i, j] * w[o]
        dw[o] += dy[n, o, i, j] * x[n, :, i : i + k, j : j + k]
    return dx, dw, np.einsum("noij->o", dy)


def start(i, o, rng):
    r = (6 / (i + o)) ** 0.5
    return 2 * r * rng.random((i, o)) - r


def start_of_numpy(i, o, rng):
    return np.random.uniform(-1, 1, (i, o)) * np.sqrt(6 / (i + o))


def whole_columns(z, y):
    p = softmax(z)
    p[:, y] = p[:, y] - 1
    return p


def swapped(first, second, function):
    """`function` with two of its results exchanged."""

    def wrong(*args):
        results = list(function(*args))
        results[first], results[second] = results[second], results[first]
        return tuple(results)

    return wrong


def normalized(x, eps, ddof=0):
    s = np.sqrt(x.var(axis=0, ddof=ddof) + eps)
    return (x - x.mean(axis=0)) / s, s


def batchnorm(dy, x, gamma, eps=1e-5, variance=True, mean=True, ddof=0):
    x_hat, s = normalized(x, eps, ddof)
    g = gamma * dy
    dx = g - mean * g.mean(axis=0) - variance * x_hat * (g * x_hat).mean(axis=0)
    return dx / s, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def shifted_by_mean(z):
    with np.errstate(all="ignore"):
        e = np.exp(z - z.mean(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


def shifted_by_size(z):
    with np.errstate(all="ignore"):
        e = np.exp(z - np.abs(z).max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


def naive_bce(z, y):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-z))
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def convolution(dy, x, w, flip=False, scale=1.0):
    k, (rows, columns) = w.shape[-1], dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for u in range(k):
        for v in range(k):
            kernel = w[:, :, k - 1 - u, k - 1 - v] if flip else w[:, :, u, v]
            dw[:, :, u, v] = scale * np.einsum("noij,ncij->oc", dy, x[:, :, u : u + rows, v : v + columns])
            dx[:, :, u : u + rows, v : v + columns] += np.einsum("noij,oc->ncij", dy, kernel)
    return dx, dw, scale * dy.sum(axis=(0, 2, 3))


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "backprop-softmax": [
        (lambda z, y: softmax(z) - one_hot(y, z), "where is the 1/N"),
        (lambda z, y: softmax(z) / len(y), "where is the target"),
        (lambda z, y: (one_hot(y, z) - softmax(z)) / len(y), "The sign"),
        (overflowing, "exp(1000) overflows"),
        (lambda z, y: shifted(z, z.max(), y), "One largest logit for all rows"),
        (lambda z, y: (softmax(z.T).T - one_hot(y, z)) / len(y), "over which axis"),
        (lambda z, y: shifted(z, z.max(axis=0), y), "over which axis"),
        (lambda z, y: (softmax(z) - y[:, None]) / len(y), "not the label's number"),
        (lambda z, y: softmax(z) - y, "not the label's number"),
        (lambda z, y: whole_columns(z, y) / len(y), "whole columns"),
        (lambda z, y: softmax(z), "Those are the probabilities"),
        (lambda z, y: float(np.mean(-np.log(softmax(z)[np.arange(len(y)), y]))), "the loss itself"),
    ],
    "backprop-bce": [
        (naive_bce, "Something overflowed"),
        (lambda z, y: np.sum(np.logaddexp(0, z) - y * z), "not the sum"),
        (lambda z, y: np.mean(np.logaddexp(0, -z) + y * z), "Check the sign"),
        (lambda z, y: np.sum(np.logaddexp(0, z) - y * z) / len(z), "not over rows alone"),
    ],
    "backprop-batchnorm": [
        (lambda dy, x, gamma, eps=1e-5: batchnorm(dy, x, gamma, eps, False, False), "two more paths"),
        (
            lambda dy, x, gamma, eps=1e-5: batchnorm(dy, x, gamma, eps, False),
            "through the variance is missing",
        ),
        (
            lambda dy, x, gamma, eps=1e-5: batchnorm(dy, x, gamma, eps, True, False),
            "through the mean is missing",
        ),
        (swapped(1, 2, batchnorm), "exchanged"),
        (lambda dy, x, gamma, eps=1e-5: batchnorm(dy, x, gamma, eps, ddof=1), "unbiased variance"),
        (lambda dy, x, gamma, eps=1e-5: by_jacobian(dy, x, gamma, eps, ddof=1), "unbiased variance"),
        (lambda dy, x, gamma, eps=1e-5: batchnorm(dy, x, 1.0, eps), "not dy"),
    ],
    "backprop-step": [(0.2, "straight line"), (1.96, "against the gradient"), (0.64, "chain rule")],
    "backprop-dual": [(15, "first component"), (4, "twice"), (8, "stands still")],
    "backprop-engine": [
        (lambda a: float(np.tanh(a.data)), "Return Value"),
        (lambda a: Value(np.tanh(a.data)), "`parents`"),
        (lambda a: Value(np.tanh(a.data), 1 - np.tanh(a.data) ** 2), "come before the partials"),
        (lambda a: Value(np.tanh(a.data), (1 - np.tanh(a.data) ** 2,), (a,)), "which of the two are numbers"),
        (lambda a: Value(np.tanh(a.data), (a), (1 - np.tanh(a.data) ** 2)), "needs its comma"),
        (lambda a: Value(np.tanh(a.data), (a,), (1 - a.data**2,)), "squared the input"),
        (
            lambda a: Value(np.tanh(a.data), (a,), (np.tanh(a.data) * (1 - np.tanh(a.data)),)),
            "sigmoid's slope",
        ),
        (lambda a: Value(np.tanh(a.data), (a,), (np.tanh(a.data) ** 2 - 1,)), "The sign"),
        (lambda a: Value(sigmoid(a.data), (a,), (1.0,)), "That is the sigmoid"),
        (lambda a: Value(abs(np.tanh(a.data)), (a,), (1 - np.tanh(a.data) ** 2,)), ""),
        (
            lambda a: Value(np.tanh(a.data), (a,), (1 / np.cosh(min(a.data, 9)) ** 2 * (a.data != 0),)),
            "`parents`",
        ),
        (by_exponentials, "An exponential overflows"),
        (lambda a: Value(np.tanh(a.data), (a,), (1 - abs(np.tanh(a.data)),)), ""),
    ],
    "backprop-depth": [(9, "3.8e-6"), (20, "1/4"), (11, "k hidden layers")],
    "backprop-plateau": [
        (1.0, "which sign"),
        (-2, "slope of log"),
        (-0.5, "slope of log"),
        (-1.3, "slope of log"),
    ],
    "backprop-conv": [
        (lambda dy, x, w: convolution(dy, x, w, flip=True), "flipped"),
        (lambda dy, x, w: convolution(dy, x, w, scale=1 / len(x)), "sums over the batch"),
        (swapped(0, 1, convolution), "input's gradient comes first"),
    ],
    "backprop-zoo-sigmoid": [
        (lambda z: z * (1 - z), "this is z itself"),
        (lambda z: sigmoid(z), "Its slope is wanted"),
    ],
    "backprop-zoo-scales": [
        (lambda A, W, dZ: (A.T @ dZ, dZ.mean(axis=0), dZ @ W.T), "That is the bug"),
        (lambda A, W, dZ: (A.T @ dZ / len(A), dZ.sum(axis=0) / len(A), dZ @ W.T), "nothing divides by N"),
    ],
    "backprop-zoo-transpose": [
        (lambda W, dZ: dZ @ W, "runs for square W only"),
        (lambda W, dZ: dZ @ (W.T if W.shape[0] != W.shape[1] else W), "rectangular"),
        (lambda W, dZ: (dZ @ W.T).T, "transpose of the result"),
    ],
    "backprop-zoo-softmax": [
        (
            lambda z: (
                np.exp(z - z.max(axis=1, keepdims=True))
                / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
            ),
            "the last axis is axis=-1",
        ),
        (lambda z: softmax(z.T).T, "Over which axis"),
        (lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True), "exp(1000) overflows"),
        (shifted_by_size, "not the largest absolute"),
        (shifted_by_mean, "The mean is not enough"),
        (lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), "axis=-1"),
        (
            lambda z: np.exp(np.minimum(z, 600)) / np.exp(np.minimum(z, 600)).sum(axis=-1, keepdims=True),
            "own largest",
        ),
        (
            lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=-1, keepdims=True),
            "Each row needs its own",
        ),
    ],
    "backprop-zoo-start": [
        (lambda i, o, rng: rng.uniform(0, np.sqrt(6 / (i + o)), (i, o)), "Between -r and r"),
        (lambda i, o, rng: rng.uniform(-1, 1, (i, o)) * np.sqrt(2 / (i + o)), "r²/3"),
        (lambda i, o, rng: rng.normal(0, np.sqrt(2 / (i + o)), (i, o)), "not normal"),
        (lambda i, o, rng: rng.uniform(-1, 1, (i, o)), "Which r gives"),
        (lambda i, o, rng: np.random.default_rng(0).uniform(-1, 1, (i, o)) * np.sqrt(6 / (i + o)), "`rng`"),
        (start_of_numpy, "not from np.random"),
        (
            lambda i, o, rng: np.random.default_rng().uniform(-1, 1, (i, o)) * np.sqrt(6 / (i + o)),
            "np.random",
        ),
        (lambda i, o, rng: rng.choice([-1, 1], (i, o)) * np.sqrt(2 / (i + o)), "rng.uniform"),
        (lambda i, o, rng: (rng.uniform(-1, 1, (i, o)) * np.sqrt(6 / (i + o))).tolist(), ""),
    ],
    "backprop-zoo-dead": [
        (lambda z, da: da * (z > 0), "That is ReLU"),
        (lambda z, da: np.where(z > 0, z, 0.01 * z), "forward pass"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "backprop-softmax": [
        rows_in_a_loop,
        lambda z, y: ((softmax(z) - one_hot(y, z)) / len(y)).astype(np.float32),
        lambda z, y: np.subtract(softmax(z - 7), np.eye(z.shape[1])[y]) * (1 / len(z)),
    ],
    "backprop-bce": [
        lambda z, y: np.mean(np.logaddexp(0, z) - y * z),
        lambda z, y: (
            sum(max(a, 0) - a * b + np.log1p(np.exp(-abs(a))) for a, b in zip(z.flat, y.flat, strict=True))
            / z.size
        ),
        lambda z, y: np.float32(np.mean(np.logaddexp(0, -z) + (1 - y) * z)),
    ],
    "backprop-batchnorm": [
        by_jacobian,
        lambda dy, x, gamma, eps=1e-5: tuple(
            part.astype(np.float32) for part in batchnorm(dy, x, gamma, eps)
        ),
    ],
    "backprop-engine": [
        tanh_by_sigmoid,
        lambda a: Value(np.tanh(a.data), (a,), (1.0 - np.tanh(a.data) * np.tanh(a.data),)),
    ],
    "backprop-conv": [
        convolution_by_pixels,
        lambda dy, x, w: tuple(part.astype(np.float32) for part in convolution(dy, x, w)),
    ],
    "backprop-zoo-sigmoid": [
        lambda z: sigmoid(z) * sigmoid(-z),
        lambda z: 1 / (4 * np.cosh(np.clip(z, -700, 700) / 2) ** 2),
    ],
    "backprop-zoo-scales": [
        lambda A, W, dZ: (
            sum(np.outer(a, d) for a, d in zip(A, dZ, strict=True)),
            np.ones(len(dZ)) @ dZ,
            np.stack([W @ d for d in dZ]),
        ),
        lambda A, W, dZ: [
            np.einsum("ni,nj->ij", A, dZ).astype("f4"),
            np.einsum("nj->j", dZ),
            np.einsum("nj,ij->ni", dZ, W),
        ],
    ],
    "backprop-zoo-transpose": [
        lambda W, dZ: (W @ dZ.T).T,
        lambda W, dZ: np.array([[w @ d for w in W] for d in dZ], dtype=np.float32),
    ],
    "backprop-zoo-softmax": [
        lambda z: np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True)),
        lambda z: np.apply_along_axis(lambda row: softmax(row), -1, z).astype(np.float32),
    ],
    "backprop-zoo-start": [
        start,
        lambda i, o, rng: rng.uniform(-1, 1, (i, o)).astype(np.float32) * np.float32(np.sqrt(6 / (i + o))),
        lambda i, o, rng: rng.uniform(-np.sqrt(6 / (i + o)), np.sqrt(6 / (i + o)), (o, i)).T,
    ],
    "backprop-zoo-dead": [
        lambda z, da: np.array(
            [d if a > 0 else 0.01 * d for a, d in zip(z.flat, da.flat, strict=True)]
        ).reshape(z.shape),
        lambda z, da: (np.maximum(np.sign(z), 0.01) * da).astype(np.float32),
    ],
}

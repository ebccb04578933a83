"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on backpropagation."""

import inspect

import numpy as np

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, interval, number
from dlp_utils.models.backpropagation import Value, sigmoid


def _softmax(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


# --- exercises -----------------------------------------------------------------------------------------


def _softmax_cases(rng):
    yield np.zeros((1, 2)), np.array([0])
    for n, classes in ((2, 3), (5, 4)):
        yield rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    yield np.array([[1000.0, 0.0, -1000.0], [0.0, 1.0, 2.0]]), np.array([1, 2])


def _minus_target(p, labels):
    return p - (np.arange(p.shape[1]) == labels[:, None])


def _by_hand(logits, shift, labels):
    with np.errstate(all="ignore"):
        e = np.exp(logits - shift)
        return _minus_target(e / e.sum(axis=1, keepdims=True), labels) / len(labels)


def _sum_over_batch(logits, labels):
    return softmax_backward(logits, labels) * len(labels)


def _probabilities_only(logits, labels):
    return _softmax(logits) / len(labels)


def _target_minus_prediction(logits, labels):
    return -softmax_backward(logits, labels)


def _labels_subtracted(logits, labels):
    return (_softmax(logits) - labels[:, None]) / len(labels)


def _labels_broadcast(logits, labels):
    return _softmax(logits) - labels  # raises, unless the shapes happen to fit


def _whole_columns(logits, labels):
    p = _softmax(logits)
    p[:, labels] -= 1
    return p / len(labels)


def _whole_columns_summed(logits, labels):
    return _whole_columns(logits, labels) * len(labels)


def _the_loss(logits, labels):
    return float(-np.mean(np.log(_softmax(logits)[np.arange(len(labels)), labels])))


def _mean_over_everything(logits, labels):
    return softmax_backward(logits, labels) / logits.shape[1]


def _not_finite(args, expected, got):
    """Numbers came back, and not all of them are finite. (None is another matter: nothing came back.)"""
    return isinstance(got, (float, np.ndarray, np.floating)) and not np.all(np.isfinite(got))


@exercise(
    "backprop-softmax",
    _softmax_cases,
    mistakes=[
        (
            lambda z, y: _by_hand(z, z.max(), y),
            "One largest logit for all rows: next to 1000 a row of small ones underflows, and 0/0 is left. "
            "Which shift does each row need?",
        ),
        (
            lambda z, y: _by_hand(z, z.max(axis=0), y),
            "Each row is a distribution of its own: over which axis are the largest logit and the sum taken?",
        ),
        (
            lambda z, y: _minus_target(_softmax(z.T).T, y) / len(y),
            "Each row is a distribution of its own: over which axis are the largest logit and the sum taken?",
        ),
        (_sum_over_batch, "The loss is a mean over the batch: where is the 1/N?"),
        (_probabilities_only, "Prediction minus target: where is the target, the 1 at the label's place?"),
        (_target_minus_prediction, "The sign: the loss must fall when you step against this gradient."),
        (_mean_over_everything, "The loss is a mean over the N points, not over the N·C logits."),
        (
            lambda z, y: _softmax(z),
            "Those are the probabilities. What is subtracted from them, and what divides?",
        ),
        (_labels_subtracted, "The target is 1 at the label's place and 0 elsewhere, not the label's number."),
        (_labels_broadcast, "The target is 1 at the label's place and 0 elsewhere, not the label's number."),
        (_whole_columns, "p[:, labels] are whole columns. One entry in each row: p[np.arange(N), labels]."),
        (
            _whole_columns_summed,
            "p[:, labels] are whole columns. One entry in each row: p[np.arange(N), labels].",
        ),
        (_the_loss, "That is the loss itself. Its gradient has the shape of the logits."),
    ],
    hints=[(_not_finite, "exp(1000) overflows. Subtract each row's largest logit first.")],
)
def softmax_backward(logits, labels):
    gradient = _softmax(logits)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


def _bce_cases(rng):
    yield np.array([0.0]), np.array([1.0])
    yield rng.normal(size=6), rng.integers(0, 2, 6).astype(float)
    yield rng.normal(size=(4, 1)), rng.uniform(size=(4, 1))
    yield rng.normal(size=(3, 2)), rng.uniform(size=(3, 2))
    yield np.array([40.0]), np.array([0.0])
    yield np.array([1000.0, -1000.0]), np.array([0.0, 1.0])


def _clipped_bce(logits, targets):
    p = np.clip(sigmoid(logits), 1e-12, 1 - 1e-12)
    return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))


@exercise(
    "backprop-bce",
    _bce_cases,
    rtol=1e-9,
    mistakes=[
        (lambda z, y: stable_bce(z, y) * z.size, "The mean over all entries, not the sum."),
        (lambda z, y: stable_bce(z, y) * z.size / len(z), "The mean over all entries, not over rows alone."),
        (lambda z, y: stable_bce(-z, y), "A large positive logit means class 1. Check the sign of y·z."),
        (
            _clipped_bce,
            "Clipping hides the overflow and is wrong by hundreds at z = 1000. Do not form σ(z) at all.",
        ),
        (
            lambda z, y: np.mean(np.maximum(z, 0) - y * z),
            "You dropped log(1 + exp(-|z|)): small at |z| = 40, but log 2 at z = 0.",
        ),
    ],
    hints=[(_not_finite, "Something overflowed. No exponent may be positive: write |z| and max(z, 0).")],
)
def stable_bce(logits, targets):
    return np.mean(np.maximum(logits, 0) - targets * logits + np.log1p(np.exp(-np.abs(logits))))


def _batchnorm_cases(rng):
    yield np.array([[1.0], [0.0]]), np.array([[1.0], [-1.0]]), np.array([1.0]), 1e-5
    for n, d in ((3, 1), (6, 4)):
        yield rng.normal(size=(n, d)), rng.normal(2, 3, (n, d)), rng.normal(size=d), 1e-5
    yield rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.normal(size=2), 0.5


def _normalized(x, eps, ddof=0):
    s = np.sqrt(x.var(axis=0, ddof=ddof) + eps)
    return (x - x.mean(axis=0)) / s, s


def _constant_statistics(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps)
    return gamma * dy / s, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _constant_variance(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps)
    g = gamma * dy
    return (g - g.mean(axis=0)) / s, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _constant_mean(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps)
    g = gamma * dy
    return (g - x_hat * (g * x_hat).mean(axis=0)) / s, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _sums_for_means(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps)
    g = gamma * dy
    dx = (g - g.sum(axis=0) - x_hat * (g * x_hat).sum(axis=0)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _unbiased(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps, ddof=1)
    g = gamma * dy
    dx = (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _unbiased_throughout(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps, ddof=1)
    g = gamma * dy
    dx = (g - g.mean(axis=0) - x_hat * (g * x_hat).sum(axis=0) / (len(x) - 1)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _swapped_parameters(dy, x, gamma, eps=1e-5):
    dx, dgamma, dbeta = batchnorm_backward(dy, x, gamma, eps)
    return dx, dbeta, dgamma


def _without_gamma(dy, x, gamma, eps=1e-5):
    return batchnorm_backward(dy, x, np.ones_like(gamma), eps)


def _averaged_parameters(dy, x, gamma, eps=1e-5):
    dx, dgamma, dbeta = batchnorm_backward(dy, x, gamma, eps)
    return dx, dgamma / len(x), dbeta / len(x)


@exercise(
    "backprop-batchnorm",
    _batchnorm_cases,
    atol=1e-7,  # the first case is a difference of nearly equal numbers, 5e-6 is left
    mistakes=[
        (
            _constant_statistics,
            "The mean and the variance depend on every x as well: two more paths for the gradient.",
        ),
        (_constant_variance, "The path through the mean is there. The one through the variance is missing."),
        (_constant_mean, "The path through the variance is there. The one through the mean is missing."),
        (_sums_for_means, "μ and v are means: where is their 1/N?"),
        (
            _unbiased,
            "That is the unbiased variance, divided by N - 1. By what does batch normalization divide?",
        ),
        (
            _unbiased_throughout,
            "That is the unbiased variance, divided by N - 1. By what does batch normalization divide?",
        ),
        (_swapped_parameters, "dgamma and dbeta are exchanged."),
        (_without_gamma, "What reaches x̂ is γ·dy, not dy."),
        (
            _averaged_parameters,
            "γ and β are used by all N points: the chain rule sums over them, it does not average.",
        ),
    ],
)
def batchnorm_backward(dy, x, gamma, eps=1e-5):
    x_hat, s = _normalized(x, eps)
    g = gamma * dy
    dx = (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


number(
    "backprop-step",
    0.36,
    mistakes=[
        (0.2, "That is the straight line's promise, L - η‖g‖². Compute the loss at the new weight."),
        (1.96, "The step goes against the gradient: w - η·L'(w), and the slope at 1 is negative."),
        (0.64, "The chain rule: (2w - 3)² has the slope 2·(2w - 3)·2."),
        (1.2, "That is the new weight. What is the loss there?"),
        (-4.0, "That is the gradient at w = 1. Take the step, then compute the loss."),
    ],
)


number(
    "backprop-dual",
    5,
    mistakes=[
        (15, "That is the first component, the value of f."),
        (4, "f = xy + x uses x twice: the second use brings a derivative, too."),
        (3, "That is the derivative with respect to y. Here x carries the 1."),
        (8, "y stands still: its second component is 0."),
    ],
)


@free_form("backprop-engine")
def _check_tanh(tanh_of, rng):
    # The reader's notebook has a class Value of its own; mixed with the module's, the two would not add up.
    make = getattr(inspect.unwrap(tanh_of), "__globals__", {}).get("Value", Value)
    for x in (0.5, -1.0, 0.0, 30.0, -30.0, 800.0, -800.0, *map(float, rng.uniform(-2, 2, 3))):
        a = make(x)
        result = tanh_of(a)
        if not hasattr(result, "data") or not hasattr(result, "backward"):
            raise Wrong(
                f"tanh_of(Value({x:g})) is a {type(result).__name__}, not a Value.",
                "Return Value(data, parents, partials), as `sigmoid_of` does.",
            )
        if not isinstance(result.parents, (tuple, list)) or not isinstance(result.partials, (tuple, list)):
            number_given = isinstance(result.parents, (int, float))
            raise Wrong(
                "parents or partials is not a tuple.",
                "Value(data, parents, partials): the parents come before the partials."
                if number_given
                else "A tuple of one needs its comma: (a,), not (a).",
            )
        if not all(hasattr(parent, "grad") for parent in result.parents):
            raise Wrong(
                "a parent is not a Value.", "Value(data, parents, partials): which of the two are numbers?"
            )
        if float(a.data) != x:
            raise Wrong(f"the argument has changed from {x:g} to {a.data}.", "tanh_of makes a new Value.")
        t = float(np.tanh(x))
        hint = "An exponential overflows. Is there a way that needs none, or none of a large number?"
        known = [(float(sigmoid(x)), "That is the sigmoid."), (float(np.tan(x)), "That is the tangent.")]
        expect_close(
            result.data,
            t,
            f"the value of tanh({x:g})",
            hint="" if np.isfinite(result.data) else hint,
            mistakes=known,
        )
        total = result * make(3.0) + a  # a is used twice: through the tanh and directly
        total.backward()
        slope, expected = (a.grad - 1) / 3, 1 - t**2
        if np.isclose(slope, 0) and not np.isclose(expected, 0):
            raise Wrong(
                f"the derivative of tanh at {x:g} is 0.",
                "No gradient came back through tanh: are `parents` and `partials` given?",
            )
        known = [
            (1 - x**2, "The slope is 1 - tanh², and you squared the input."),
            (t * (1 - t), "a(1 - a) is the sigmoid's slope. What is that of tanh?"),
            (t**2 - 1, "The sign: tanh rises everywhere."),
            (t, "The partial is the slope of tanh, not its value."),
        ]
        hint = "" if np.isfinite(slope) else hint
        expect_close(slope, expected, f"the derivative of tanh at {x:g}", hint=hint, mistakes=known)


number(
    "backprop-depth",
    10,
    mistakes=[
        (9, "4 to the power of -9 is 3.8e-6: not yet one millionth."),
        (11, "Count the factors: k hidden layers give K - 1 = k of them."),
        (20, "That would be a slope of one half per layer. The sigmoid's largest slope is 1/4."),
        (6, "One millionth is 10 to the power of -6, but each layer gives a factor of 4, not of 10."),
    ],
)


interval(
    "backprop-plateau",
    -1.15,
    -0.85,
    below="Take the slope of log(epochs) against log(lr), both with the same logarithm. Did all runs leave the plateau?",
    above="Larger rates need fewer epochs: which sign has the slope of log(epochs) against log(lr), and did all runs "
    "leave the plateau?",
)


def _conv_cases(rng):
    yield np.ones((1, 1, 1, 1)), np.arange(4.0).reshape(1, 1, 2, 2), np.ones((1, 1, 2, 2))
    for n, c, o, height, width, k in ((1, 1, 1, 4, 5, 2), (2, 3, 4, 6, 5, 3)):
        shape = (n, o, height - k + 1, width - k + 1)
        yield rng.normal(size=shape), rng.normal(size=(n, c, height, width)), rng.normal(size=(o, c, k, k))


def _unflipped(dy, x, w):
    _, dw, db = conv2d_backward(dy, x, w)
    return conv2d_backward(dy, x, w[:, :, ::-1, ::-1])[0], dw, db


def _swapped_conv(dy, x, w):
    dx, dw, db = conv2d_backward(dy, x, w)
    return dw, dx, db


def _averaged_conv(dy, x, w):
    dx, dw, db = conv2d_backward(dy, x, w)
    return dx, dw / len(x), db / len(x)


@exercise(
    "backprop-conv",
    _conv_cases,
    mistakes=[
        (
            _unflipped,
            "dw and db are right. In dx the kernel must be flipped: output i reaches x at r = i + u, so x at r hears "
            "from i = r - u.",
        ),
        (_swapped_conv, "The order is (dx, dw, db): the input's gradient comes first."),
        (
            _averaged_conv,
            "dx is right. dw and db are sums over the batch: if a mean is wanted, the loss takes it.",
        ),
    ],
)
def conv2d_backward(dy, x, w):
    k = w.shape[-1]
    rows, columns = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for u in range(k):
        for v in range(k):
            window = x[:, :, u : u + rows, v : v + columns]
            dw[:, :, u, v] = np.einsum("noij,ncij->oc", dy, window)
            dx[:, :, u : u + rows, v : v + columns] += np.einsum("noij,oc->ncij", dy, w[:, :, u, v])
    return dx, dw, dy.sum(axis=(0, 2, 3))


# --- bug zoo -------------------------------------------------------------------------------------------


def _array_cases(rng):
    yield (np.zeros(1),)
    yield (rng.normal(size=(3, 2)),)
    yield (np.array([-800.0, -5.0, 5.0, 800.0]),)


@exercise(
    "backprop-zoo-sigmoid",
    _array_cases,
    mistakes=[
        (lambda z: z * (1 - z), "a·(1 - a) wants a = σ(z), and this is z itself."),
        (sigmoid, "That is σ(z). Its slope is wanted."),
        (lambda z: sigmoid(sigmoid(z)) * (1 - sigmoid(sigmoid(z))), "The sigmoid is applied twice."),
    ],
    hints=[(_not_finite, "exp(800) overflows: use the stable `sigmoid` of the lab.")],
)
def sigmoid_slope(z):
    a = sigmoid(z)
    return a * (1 - a)


def _linear_cases(rng):
    yield np.ones((2, 1)), np.ones((1, 1)), np.ones((2, 1))
    for n, d_in, d_out in ((4, 2, 3), (5, 3, 3)):
        yield rng.normal(size=(n, d_in)), rng.normal(size=(d_in, d_out)), rng.normal(size=(n, d_out))


@exercise(
    "backprop-zoo-scales",
    _linear_cases,
    mistakes=[
        (
            lambda A, W, dZ: (A.T @ dZ, dZ.mean(axis=0), dZ @ W.T),
            "That is the bug: dW sums over the batch, db averages.",
        ),
        (
            lambda A, W, dZ: (A.T @ dZ / len(A), dZ.mean(axis=0), dZ @ W.T),
            "Consistent now, but the loss is a sum, so the gradients are sums: nothing divides by N.",
        ),
    ],
)
def linear_backward(A, W, dZ):
    return A.T @ dZ, dZ.sum(axis=0), dZ @ W.T


def _transpose_cases(rng):
    yield np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 0.0]])
    yield rng.normal(size=(3, 3)), rng.normal(size=(4, 3))
    yield rng.normal(size=(2, 5)), rng.normal(size=(4, 5))


@exercise(
    "backprop-zoo-transpose",
    _transpose_cases,
    mistakes=[
        (
            lambda W, dZ: dZ @ W if W.shape[0] == W.shape[1] else dZ @ W.T,
            "Right for rectangular W only: the square ones still lack their transpose.",
        ),
        (
            lambda W, dZ: dZ @ W,
            "dZ @ W runs for square W only, and is wrong there, too: where is the transpose?",
        ),
        (lambda W, dZ: W @ dZ.T, "That is the transpose of the result: ∂L/∂A has the shape of A, (N, d_in)."),
    ],
)
def input_gradient(W, dZ):
    return dZ @ W.T


def _quietly(function, *arguments):
    """Known mistakes overflow on purpose; NumPy need not warn the reader of that."""
    with np.errstate(all="ignore"):
        return function(*arguments)


def _shifted_by_mean(logits):
    e = _quietly(np.exp, logits - logits.mean(axis=-1, keepdims=True))
    return _quietly(np.divide, e, e.sum(axis=-1, keepdims=True))


def _logit_cases(rng):
    yield (np.zeros((1, 2)),)
    yield (rng.normal(size=(4, 3)),)
    yield (np.array([[0.0, 0.0, 3000.0]]),)
    yield (np.array([[10.0, 20.0, 1000.0], [-2000.0, -2001.0, -2000.0]]),)
    yield (np.array([0.0, 1000.0]),)  # one axis, and too large
    yield (np.array([[-2000.0, -2001.0]]),)
    yield (rng.normal(size=5) * 500,)


@exercise(
    "backprop-zoo-softmax",
    _logit_cases,
    mistakes=[
        (
            lambda logits: _softmax(logits) if logits.ndim > 1 else logits.sum(axis=1),
            "A single row of logits has no axis 1: the last axis is axis=-1.",
        ),
        (
            lambda logits: _softmax(logits.T).T,
            "Each row is a distribution of its own. Over which axis is the sum taken?",
        ),
        (
            lambda logits: _quietly(np.exp, logits) / _quietly(np.exp, logits).sum(axis=0),
            "Each row is a distribution of its own: over which axis is the sum taken? And large logits overflow.",
        ),
        (
            lambda logits: _softmax(np.clip(logits, -700, 700)),
            "Clipping changes the result. Subtract, do not clip.",
        ),
        (
            _shifted_by_mean,
            "The mean is not enough: one logit far above it still overflows. Which shift is safe for all?",
        ),
        (
            lambda logits: _quietly(np.exp, logits) / _quietly(np.exp, logits).sum(axis=1, keepdims=True),
            "A single row of logits has no axis 1: the last axis is axis=-1. And large logits still overflow.",
        ),
        (
            lambda logits: (
                np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(axis=-1, keepdims=True)
            ),
            "Each row needs its own largest logit: next to a row with 1000, a row near -2000 underflows to 0/0.",
        ),
        (
            lambda logits: _quietly(np.exp, logits) / _quietly(np.exp, logits).sum(axis=-1, keepdims=True),
            "exp(1000) overflows. Which number may be subtracted from all logits of a row without a change?",
        ),
        (
            lambda logits: _quietly(
                lambda e: e / e.sum(axis=-1, keepdims=True),
                _quietly(np.exp, logits - np.abs(logits).max(axis=-1, keepdims=True)),
            ),
            "A row near -2000 underflows. Subtract each row's own largest logit, not the largest absolute value.",
        ),
    ],
    hints=[(_not_finite, "Still 0/0 or ∞/∞. Subtract each row's own largest logit before the exponential.")],
)
def stable_softmax(logits):
    return _softmax(logits)


@free_form("backprop-zoo-start")
def _check_xavier(draw, rng):
    for d_in, d_out in ((200, 300), (500, 100)):
        W = draw(d_in, d_out, np.random.default_rng(1))
        again, other = (draw(d_in, d_out, np.random.default_rng(seed)) for seed in (1, 2))
        if not isinstance(W, np.ndarray):
            raise Wrong(f"the weights are a {type(W).__name__}, wanted a NumPy array.")
        if W.shape != (d_in, d_out):
            raise Wrong(f"the weights have shape {W.shape}, wanted ({d_in}, {d_out}).")
        wanted, r = 2 / (d_in + d_out), np.sqrt(6 / (d_in + d_out))
        if abs(W.mean()) > 0.2 * W.std():
            raise Wrong(f"the mean is {W.mean():.4f}, not 0.", "Between -r and r, not between 0 and r.")
        if not np.isclose(W.var(), wanted, rtol=0.03):
            hint = ""
            if np.isclose(W.var(), wanted / 3, rtol=0.03) or np.isclose(W.var(), 1 / 3, rtol=0.03):
                hint = "A uniform variable on (-r, r) has variance r²/3, not r². Which r gives the variance wanted?"
            elif np.isclose(W.var(), 3 * wanted, rtol=0.03):
                hint = "That is three times too much: Var U(-r, r) = r²/3."
            raise Wrong(f"the variance is {W.var():.2e}, wanted 2/(d_in + d_out) = {wanted:.2e}.", hint)
        if np.abs(W).max() > r * (1 + 1e-6):
            raise Wrong(f"an entry is {np.abs(W).max():.3f}, beyond r = {r:.3f}.", "Uniform, not normal.")
        if not np.isclose((W**4).mean(), r**4 / 5, rtol=0.05):
            raise Wrong("the entries are not spread evenly between -r and r.", "rng.uniform draws so.")
        if not np.array_equal(W, again):
            raise Wrong(
                "the same generator, in the same state, gave other weights.",
                "Draw from the `rng` that is handed in, not from np.random: else no run can be repeated.",
            )
        if np.array_equal(W, other):
            raise Wrong(
                "two different generators gave the same weights.",
                "Draw from the `rng` that is handed in: a seed inside gives every layer the same start.",
            )


def _leaky_cases(rng):
    yield np.array([-1.0, 1.0]), np.array([1.0, 1.0])
    yield rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


@exercise(
    "backprop-zoo-dead",
    _leaky_cases,
    mistakes=[
        (lambda z, da: da * (z > 0), "That is ReLU: a unit with z < 0 for every point stays dead."),
        (lambda z, da: np.where(da > 0, da, 0.01 * da), "The sign of z decides, not the sign of da."),
        (lambda z, da: np.where(z > 0, z, 0.01 * z), "That is the forward pass."),
        (lambda z, da: da * np.where(z > 0, 0.01, 1.0), "The two branches are exchanged."),
        (
            lambda z, da: np.where(z > 0, da, 0.01),
            "Below zero the slope multiplies da, it does not replace it.",
        ),
    ],
)
def leaky_backward(z, da):
    return da * np.where(z > 0, 1.0, 0.01)

"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on training."""

import math

import numpy as np

from dlp_utils.checks._compare import copy_of, unchanged
from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, interval, number

# --- exercises -----------------------------------------------------------------------------------------

number(
    "train-limit",
    2 / 48,
    rtol=1e-3,
    mistakes=[
        (1 / 48, "At 1/λ one step is enough in the steep direction. From where on does it jump too far?"),
        (2 / 3, "That is the limit of the flat direction. Which one diverges first?"),
        (1 / 3, "That is for the flat direction. Which one diverges first?"),
        (1 / 24 / 2, "At 1/λ one step is enough in the steep direction. From where on does it jump too far?"),
        (2 / 24, "The ½ is in the definition of the quadratic: the second derivative along y is 48, not 24."),
        (2 / 51, "That is the best compromise between the two directions. The limit is asked for."),
        (2 / 96, "The ½ and the square's factor 2 cancel: the second derivative along y is 48."),
    ],
)

number(
    "train-first-step",
    0.01,
    rtol=1e-3,
    mistakes=[
        (-0.01, "The sign: the step goes against the gradient, and this gradient is negative."),
        (1e-5, "That is plain gradient descent, η·0.001. By what does Adam divide?"),
        (-1e-5, "That is plain gradient descent, and with the gradient. By what does Adam divide?"),
        (0.0316228, "That is without the bias correction: 0.1/√0.001. What are m̂ and ŝ in the first step?"),
        (-0.0316228, "That is without the bias correction, and the sign: against the gradient."),
        (0.001, "m̂ is m divided by 1 - β₁: what is left of the factor 0.1?"),
    ],
)


def _schedule_cases(rng):
    yield 0, 10, 0, 1.0
    yield from ((k, 10, 4, 0.5) for k in (0, 2, 3, 4, 7, 9, 10, 15))
    yield 5, 10, 0, 0.3
    for _ in range(6):
        total, ramp = int(rng.integers(20, 200)), int(rng.integers(1, 15))
        yield int(rng.integers(0, total)), total, ramp, float(rng.uniform(0.01, 2))


def _half(k, T, w, peak, shift=True, product=False, floor=True):
    if floor and k >= T:
        return 0.0
    ramp = min(1.0, (k + 1) / w) if w else 1.0
    if k < w and not product:
        return peak * ramp
    u = (k - w) / (T - w) if shift else k / T
    return (peak * ramp if product else peak) * (1 + math.cos(math.pi * u)) / 2


@exercise(
    "train-cosine",
    _schedule_cases,
    mistakes=[
        (
            lambda k, T, w, peak: peak * k / w if k < w else _half(k, T, w, peak),
            "Step 0 would have the rate 0 and be lost: k + 1 over w.",
        ),
        (
            lambda k, T, w, peak: _half(k, T, w, peak, shift=False),
            "The cosine begins where the warm-up ends: at k = w the rate is the peak. How far through the rest is k?",
        ),
        (
            lambda k, T, w, peak: _half(k, T, w, peak, shift=False, product=True),
            "A product of the two never reaches the peak. Here the cosine begins at k = w, with the peak.",
        ),
        (
            lambda k, T, w, peak: _half(k, T, w, peak, floor=False),
            "After step T the cosine would rise again. The rate stays at 0.",
        ),
        (
            lambda k, T, w, peak: _half(k, T, w, peak) * (2 if k >= w else 1),
            "1 + cos runs from 2 to 0: a factor ½ is missing.",
        ),
        (
            lambda k, T, w, peak: (
                _half(k, T, w, peak) if k < w or k >= T else peak * (1 + math.cos((k - w) / (T - w))) / 2
            ),
            "The cosine is 1 at 0 and -1 at π: where is the π?",
        ),
        (lambda k, T, w, peak: _half(k, T, w, 1.0), "That is the factor. Multiply it by the peak."),
    ],
)
def rate_at(k, T, w, peak):
    return _half(k, T, w, peak)


def _adam_cases(rng):
    yield np.array([[3.0, -0.001]]), np.zeros(2), 0.01, 0.9, 0.999, 1e-8
    yield np.array([[1.0], [-1.0], [2.0]]), np.array([0.5]), 0.1, 0.9, 0.99, 1e-8
    for steps, d in ((5, 3), (40, 2)):
        gradients = rng.normal(size=(steps, d)) * np.array([1e-2, 1.0, 30.0])[:d]
        yield gradients, rng.normal(size=d), float(rng.uniform(0.01, 0.2)), 0.8, 0.95, 1e-3


def _adam(gradients, theta, lr, beta1, beta2, eps, first=1, correct=(True, True), inside=False, square=True):
    theta = theta.astype(float)  # a copy
    m, s = np.zeros_like(theta), np.zeros_like(theta)
    with np.errstate(all="ignore"):
        for k, g in enumerate(gradients, first):
            m = beta1 * m + (1 - beta1) * g
            s = beta2 * s + (1 - beta2) * (g**2 if square else g)
            m_hat = m / (1 - beta1**k) if correct[0] else m
            s_hat = s / (1 - beta2**k) if correct[1] else s
            theta = theta - lr * m_hat / (np.sqrt(s_hat + eps) if inside else np.sqrt(s_hat) + eps)
    return theta


def _without_root(gradients, theta, lr, beta1, beta2, eps):
    theta, m, s = theta.astype(float), np.zeros_like(theta, dtype=float), np.zeros_like(theta, dtype=float)
    for k, g in enumerate(gradients, 1):
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2
        theta = theta - lr * m / (1 - beta1**k) / (s / (1 - beta2**k) + eps)
    return theta


def _corrected_again(gradients, theta, lr, beta1, beta2, eps):
    theta, m, s = theta.astype(float), np.zeros_like(theta, dtype=float), np.zeros_like(theta, dtype=float)
    for k, g in enumerate(gradients, 1):
        m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**k)
        s = (beta2 * s + (1 - beta2) * g**2) / (1 - beta2**k)
        theta = theta - lr * m / (np.sqrt(s) + eps)
    return theta


@exercise(
    "train-adam",
    _adam_cases,
    rtol=1e-6,
    mistakes=[
        (
            lambda *a: _adam(*a, correct=(False, False)),
            "The first step is 3.2 times too long: how much mass have the young means?",
        ),
        (lambda *a: _adam(*a, correct=(True, False)), "Both means start at zero: ŝ needs its division, too."),
        (lambda *a: _adam(*a, correct=(False, True)), "Both means start at zero: m̂ needs its division, too."),
        (lambda *a: _adam(*a, first=0), "In the first step the mass is 1 - β¹: count the steps from 1."),
        (lambda *a: _adam(*a, first=2), "In the first step the mass is 1 - β¹: count the steps from 1."),
        (
            lambda *a: _adam(*a, inside=True),
            "ε stands beside the root, not under it: under it, it would be √ε.",
        ),
        (
            lambda g, t, lr, b1, b2, e: _adam(g, t, lr, b2, b1, e),
            "β₁ and β₂ are exchanged: the squares have the longer memory.",
        ),
        (
            lambda g, t, *a: 2 * t - _adam(g, t, *a),
            "The sign: the weights move against the gradient.",
        ),
        (_without_root, "Divide by the root of ŝ: m̂/ŝ would have the unit of one over a gradient."),
        (
            _corrected_again,
            "The corrected means are for the step only. Keep the uncorrected ones for the next step.",
        ),
        (lambda g, t, *a: _adam(g[:1], t, *a), "That is after the first row. One step for each row."),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and np.isnan(got).any(),
            "0/0: in the first step the mass is 1 - β¹, so count from 1.",
        )
    ],
)
def adam(gradients, theta, lr, beta1, beta2, eps):
    return _adam(gradients, theta, lr, beta1, beta2, eps)


def _dropout_cases(rng):
    yield np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.5, 0.9]), 0.5, True
    yield np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.5, 0.9]), 0.5, False
    for q in (0.0, 0.2, 0.8):
        shape = (4, 5)
        yield rng.normal(size=shape), rng.uniform(size=shape), q, True
        yield rng.normal(size=shape), rng.uniform(size=shape), q, False


@exercise(
    "train-dropout",
    _dropout_cases,
    mistakes=[
        (
            lambda x, u, q, t: x * (u >= q) if t else x,
            "The mean has shrunk by 1 - q. Who repairs it, if evaluation does nothing?",
        ),
        (
            lambda x, u, q, t: x * (u >= q) if t else x * (1 - q),
            "That is the older form: it repairs the mean in evaluation. Here evaluation does nothing.",
        ),
        (
            lambda x, u, q, t: x * (u >= q) / (1 - q),
            "In evaluation mode nothing is dropped.",
        ),
        (
            lambda x, u, q, t: x * (u < q) / q if t and q else x,
            "Dropped is where u < q. You kept those.",
        ),
        (
            lambda x, u, q, t: x * (u < q) / (1 - q) if t else x,
            "Dropped is where u < q. You kept those.",
        ),
        (
            lambda x, u, q, t: x * (u >= q) / q if t and q else x,
            "Divide by the probability of being kept.",
        ),
        (
            lambda x, u, q, t: x * (u > q) / (1 - q) if t else x,
            "Where u equals q exactly, nothing is dropped: u < q is the rule.",
        ),
        (
            lambda x, u, q, t: x if t else x * (u >= q) / (1 - q),
            "The two modes are exchanged.",
        ),
    ],
)
def dropout(x, u, q, training):
    return x * (u >= q) / (1 - q) if training else x + 0.0


interval(
    "train-noise",
    -0.56,
    -0.44,
    below="Near -1? Then you fitted the mean square. The root halves the exponent.",
    above="More points in a batch make the error smaller: take the slope of log(root) against log(b).",
)

number(
    "train-smoothing",
    math.log(9001),
    atol=0.006,
    mistakes=[
        (
            math.log(9),
            "That is log(0.9/0.1): but the 0.1 is shared among all classes. What does each one get?",
        ),
        (math.log(91), "That is for ten classes. Here there are a thousand."),
        (math.log(10000), "That is log(C/α). The label's own target is 1 - α + α/C, not 1."),
        (9001.0, "That is the ratio of the probabilities. The logits differ by its logarithm."),
        (math.log10(9001), "The natural logarithm: softmax has e as its base."),
    ],
)


def _torch():
    import torch

    return torch


def _classifier(rng, norm=False, dropout=0.0):
    """A small network, from the check's own numbers."""
    torch = _torch()
    layers = [torch.nn.Linear(6, 8), *([torch.nn.BatchNorm1d(8)] if norm else []), torch.nn.ReLU()]
    layers += [torch.nn.Dropout(dropout)] if dropout else []
    net = torch.nn.Sequential(*layers, torch.nn.Linear(8, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(rng.normal(size=tuple(p.shape))))
    return net


def _points(rng, n, classes=3):
    torch = _torch()
    return torch.from_numpy(rng.normal(size=(n, 6))).float(), torch.from_numpy(rng.integers(0, classes, n))


def _gradient(net):
    return _torch().cat(
        [(p.grad if p.grad is not None else _torch().zeros_like(p)).flatten() for p in net.parameters()]
    )


def _on_copies(function, net, data):
    """What `function(net, *data)` gives; raises Wrong when it changes the data in place."""
    given = copy_of(data)
    result = function(net, *given)
    if not unchanged(given, data):
        raise Wrong("your code modifies its input in place.", "Work on a copy.")
    return result


@free_form("train-accumulate")
def _check_accumulate(accumulate, rng):
    torch = _torch()
    F = torch.nn.functional
    for sizes in ((4,), (3, 3), (5, 2, 1)):
        net, batches = _classifier(rng), [_points(rng, n) for n in sizes]
        before = [p.detach().clone() for p in net.parameters()]
        x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        F.cross_entropy(net(x), y).backward()
        whole = _gradient(net).clone()
        net.zero_grad()
        means = []
        for bx, by in batches:
            net.zero_grad()
            F.cross_entropy(net(bx), by).backward()
            means.append(_gradient(net).clone())
        for p in net.parameters():
            p.grad = torch.ones_like(p)  # what was there before must not count
        _on_copies(accumulate, net, (batches,))
        if any(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True)):
            raise Wrong("the weights have moved.", "Only the gradient is asked for: no step.")
        got, scale = _gradient(net), whole.abs().max()
        total, ones = torch.stack(means).sum(dim=0), torch.ones_like(whole)
        known = [
            (total, "That is the sum of the batches' means. By what must each be weighted?"),
            (
                total / len(sizes),
                "A mean of means: a batch of 1 counts as much as one of 5. Weight by the sizes.",
            ),
            (whole * len(y), "That is the sum over all points. Their mean is asked for."),
            (whole + ones, "What was in p.grad before is still there: zero it first."),
            (total + ones, "What was in p.grad before is still there, and the batches' means need weights."),
            (means[-1], "That is the last batch alone: zero once, not in each turn of the loop."),
            (means[-1] * sizes[-1] / len(y), "Only the last batch is left: zero once, not in each turn."),
        ]
        if (got - whole).abs().max() > 1e-4 * scale:
            hint = next((text for wrong, text in known if (got - wrong).abs().max() <= 1e-4 * scale), "")
            raise Wrong(f"with batches of {', '.join(map(str, sizes))} points the gradient is another.", hint)


def _group_cases(rng):
    yield (
        np.array([1.0, 0.0]).reshape(1, 1, 1, 2),
        np.array([1.0, -1.0]).reshape(1, 1, 1, 2),
        np.ones(1),
        1,
        1e-5,
    )
    for (n, c, h, w), groups in (((2, 4, 3, 2), 2), ((3, 6, 2, 2), 3), ((2, 4, 2, 3), 1), ((2, 3, 3, 2), 3)):
        shape = (n, c, h, w)
        yield rng.normal(size=shape), rng.normal(1, 2, shape), rng.normal(size=c), groups, 1e-3


def _group(
    dy, x, gamma, groups, eps, mean=True, variance=True, scale=True, ddof=0, axes=(2, 3, 4), late=False
):
    n, c, h, w = x.shape
    gamma = gamma[:, None, None]

    def split(a):
        return a.reshape(n, groups, c // groups, h, w)

    parts = split(x)
    s = np.sqrt(parts.var(axis=axes, ddof=ddof, keepdims=True) + eps)
    x_hat = (parts - parts.mean(axis=axes, keepdims=True)) / s
    g = split(dy * gamma if scale and not late else dy)
    dx = g - mean * g.mean(axis=axes, keepdims=True)
    dx = (dx - variance * x_hat * (g * x_hat).mean(axis=axes, keepdims=True)) / s
    dx = dx.reshape(x.shape) * (gamma if late else 1)
    x_hat = x_hat.reshape(x.shape)
    return dx, (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def _exchanged(dy, x, gamma, groups, eps=1e-5):
    dx, dgamma, dbeta = groupnorm_backward(dy, x, gamma, groups, eps)
    return dx, dbeta, dgamma


def _per_picture(dy, x, gamma, groups, eps=1e-5):
    dx, dgamma, dbeta = groupnorm_backward(dy, x, gamma, groups, eps)
    return dx, dgamma / len(x), dbeta / len(x)


@exercise(
    "train-groupnorm",
    _group_cases,
    atol=1e-7,
    mistakes=[
        (
            lambda *a: _group(*a, mean=False, variance=False),
            "The mean and the variance depend on every x of the group: two more paths for the gradient.",
        ),
        (
            lambda *a: _group(*a, variance=False),
            "The path through the mean is there. The variance's is missing.",
        ),
        (lambda *a: _group(*a, mean=False), "The path through the variance is there. The mean's is missing."),
        (lambda *a: _group(*a, scale=False), "What reaches x̂ is γ·dy, not dy."),
        (
            lambda *a: _group(*a, late=True),
            "γ differs between the channels of a group, so it cannot wait until after the means: multiply dy first.",
        ),
        (lambda *a: _group(*a, ddof=1), "Norms divide by the number of entries, not by one less."),
        (
            lambda *a: _group(*a, axes=(0, 2, 3, 4)),
            "The means run over the whole batch. A group lies within one picture.",
        ),
        (
            lambda *a: _group(*a, axes=(3, 4)),
            "That is instance norm: one channel at a time. A group has several.",
        ),
        (_exchanged, "dgamma and dbeta are exchanged."),
        (
            _per_picture,
            "γ and β are used in every picture: the chain rule sums over them, it does not average.",
        ),
    ],
)
def groupnorm_backward(dy, x, gamma, groups, eps=1e-5):
    return _group(dy, x, gamma, groups, eps)


# --- the bug zoo ----------------------------------------------------------------------------------------


@free_form("train-zoo-eval")
def _check_any_order(accuracy, rng):
    torch = _torch()
    for training in (True, False):
        net = _classifier(rng, norm=True, dropout=0.5)
        x, y = _points(rng, 300)
        with torch.no_grad():
            net.eval()
            right = (net(x).argmax(dim=1) == y).double().mean().item()
        order = y.argsort()
        net.train(training)
        means = net[1].running_mean.clone()
        got = _on_copies(accuracy, net, (x[order], y[order]))
        if net.training is not training or any(part.training is not training for part in net.modules()):
            mode = "training" if training else "evaluation"
            raise Wrong(
                f"the model came in {mode} mode and left in another.",
                "Remember `model.training` before, and give it back after.",
            )
        if not torch.equal(net[1].running_mean, means):
            raise Wrong(
                "batch norm's running mean has moved.",
                "The test digits went through in training mode: switch before the loop, not after.",
            )
        hint = "Percent? A share lies between 0 and 1." if abs(_float(got) - 100 * right) < 1e-6 else ""
        if not hint and abs(_float(got) * len(y) - right * len(y)) < 33:
            hint = "Close: is the last, smaller batch counted, and counted by its size?"
        expect_close(_float(got), right, "the share of right answers", rtol=1e-5, hint=hint)


def _float(value):
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"a number was expected, got a {type(value).__name__}.") from None


def _decay_cases(rng):
    yield from ((k, 15, 0.1) for k in (0, 9, 10, 149, 150, 151, 300))
    for _ in range(5):
        yield int(rng.integers(0, 3000)), int(rng.integers(5, 60)), float(rng.uniform(0.01, 1))


@exercise(
    "train-zoo-scheduler",
    _decay_cases,
    atol=0.0,
    mistakes=[
        (lambda k, b, r: r * 0.1 ** (k // 10), "That counts batches. How many batches are ten epochs?"),
        (lambda k, b, r: r * 0.1 ** (k // b), "That divides in every epoch. It should be every tenth."),
        (lambda k, b, r: r * 0.1 ** (k / (10 * b)), "The rate should fall in stairs: round down."),
        (lambda k, b, r: r * 0.1 ** ((k + 1) // (10 * b)), "One batch too early: k counts from 0."),
        (lambda k, b, r: r / (1 + k // (10 * b)), "Divided by ten each time: a power of ten."),
        (lambda k, b, r: 0.1 ** (k // (10 * b)), "That is the factor. Multiply it by the first rate."),
    ],
)
def rate_in_batch(k, batches, rate):
    return rate * 0.1 ** (k // (10 * batches))


def _probability_cases(rng):
    torch = _torch()
    yield torch.tensor([[0.5, 0.5]], dtype=torch.float64), torch.tensor([1])
    for n, c in ((2, 3), (6, 10)):
        p = rng.dirichlet(np.ones(c), n) * 0.98 + 0.02 / c
        yield torch.from_numpy(p), torch.from_numpy(rng.integers(0, c, n))


def _picked(p, y):
    return p[_torch().arange(len(y)), y]


@exercise(
    "train-zoo-softmax",
    _probability_cases,
    differentiable=True,
    mistakes=[
        (
            lambda p, y: _torch().nn.functional.cross_entropy(p, y),
            "That is the bug: cross_entropy takes its probabilities for logits and makes a softmax of them.",
        ),
        (lambda p, y: -_picked(p, y).log().sum(), "The mean over the batch, not the sum."),
        (lambda p, y: -_picked(p, y).mean(), "Minus the *logarithm* of the probability."),
        (lambda p, y: _picked(p, y).log().mean(), "The sign: a loss is positive here."),
        (
            lambda p, y: -_picked(p, y).mean().log(),
            "The mean of the logarithms, not the logarithm of the mean.",
        ),
        (lambda p, y: -p.log().mean(), "Only the label's probability counts: one entry in each row."),
        (
            lambda p, y: -(p * p.log()).sum(dim=1).mean(),
            "That is the entropy of the answers: where are the labels?",
        ),
    ],
)
def loss_of_probabilities(probabilities, labels):
    return -_picked(probabilities, labels).log().mean()


def _square_cases(rng):
    torch = _torch()
    for n in (2, 5):
        a, b = (torch.from_numpy(rng.normal(size=n)) for _ in range(2))
        for first in (a, a[:, None]):
            for second in (b, b[:, None]):
                yield first, second


@exercise(
    "train-zoo-broadcast",
    _square_cases,
    differentiable=True,
    mistakes=[
        (
            lambda p, t: ((p - t) ** 2).mean(),
            "(N, 1) minus (N,) is (N, N): every prediction against every target. Give both one shape first.",
        ),
        (
            lambda p, t: ((p.squeeze() - t) ** 2).mean(),
            "Right for targets (N,). And for targets (N, 1)?",
        ),
        (
            lambda p, t: ((p - t.reshape(-1, 1)) ** 2).mean(),
            "Right for predictions (N, 1). And for predictions (N,)?",
        ),
        (lambda p, t: ((p.flatten() - t.flatten()) ** 2).sum(), "The mean, not the sum."),
        (lambda p, t: (p.flatten() - t.flatten()).abs().mean(), "The squares, not the absolute values."),
    ],
)
def squared_error(predictions, targets):
    return ((predictions.flatten() - targets.flatten()) ** 2).mean()


def _drop_net(rng):
    torch = _torch()

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = torch.nn.Linear(6, 400), torch.nn.Linear(400, 3)

    net = Net()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(rng.normal(size=tuple(p.shape))) / 20)
    return net


@free_form("train-zoo-dropout")
def _check_forward(forward, rng):
    torch = _torch()
    torch.manual_seed(0)
    net, (x, _) = _drop_net(rng), _points(rng, 5)
    with torch.no_grad():
        plain = net.out(net.hidden(x).relu())
        net.eval()
        first, second = (_on_copies(forward, net, (x,)).float() for _ in range(2))
        net.train()
        drawn = torch.stack([forward(net, x).float() for _ in range(400)])
    if first.shape != plain.shape:
        raise Wrong(f"the result has the shape {tuple(first.shape)}, wanted {tuple(plain.shape)}.")
    if not torch.equal(first, second):
        raise Wrong(
            "in evaluation mode two calls differ.",
            "F.dropout drops by default. Which argument tells it the mode, and who knows the mode?",
        )
    if not torch.allclose(first, plain, rtol=1e-4, atol=1e-5):
        hint = ""
        if torch.allclose(first, net.out(net.hidden(x).relu() / 2).detach()):
            hint = "Evaluation does nothing: training has divided by 1 - q already."
        elif torch.allclose(first, net.out(net.hidden(x)).detach()):
            hint = "Where is the ReLU?"
        raise Wrong("in evaluation mode the result is not out(relu(hidden(x))).", hint)
    spread = drawn.std(dim=0)
    if spread.max() == 0:
        raise Wrong("in training mode nothing is dropped.", "training=net.training, not training=False.")
    hidden = net.hidden(x).relu().detach()
    wanted = (hidden**2 @ (net.out.weight.detach() ** 2).T).sqrt()  # q/(1-q) = 1
    if (
        not torch.allclose(spread, wanted, rtol=0.35)
        or (drawn.mean(dim=0) - plain).abs().max() > 0.35 * wanted.max()
    ):
        raise Wrong(
            "in training mode the outputs do not spread as with dropout 0.5 behind the ReLU.",
            "Drop half of the hidden activations, behind the ReLU, and nothing else.",
        )


@free_form("train-zoo-head")
def _check_head(with_new_head, rng):
    torch = _torch()
    from dlp_utils.models.training import MLP

    for classes, lr in ((2, 0.03), (5, 0.3)):
        model = MLP((6, 8, 8, 3))
        old = {id(p) for p in model.layers[-1].parameters()}
        body = {id(p) for p in model.layers[:-1].parameters()}
        optimizer = with_new_head(model, classes, lr)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise Wrong(f"got a {type(optimizer).__name__}.", "Return the optimizer: torch.optim.SGD(…).")
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        now = {id(p) for p in model.parameters()}
        shape = tuple(model(torch.zeros(4, 6)).shape)
        if shape != (4, classes):
            raise Wrong(
                f"the model gives {shape}, wanted (4, {classes}).",
                "model.layers[-1] is the last layer: put a new nn.Linear in its place.",
            )
        if held & old:
            raise Wrong(
                "the optimizer holds the old head.",
                "First the new head, then the optimizer: it keeps what it is given.",
            )
        if not body <= now:
            raise Wrong("the layers below are new, too.", "Only the last layer is replaced.")
        if not now <= held:
            raise Wrong(
                "the optimizer does not hold all parameters.",
                "model.parameters() has all of them: body and head.",
            )
        if not isinstance(optimizer, torch.optim.SGD) or any(
            not math.isclose(group["lr"], lr) for group in optimizer.param_groups
        ):
            raise Wrong(f"SGD at the rate {lr} was asked for.")


@free_form("train-zoo-trainer")
def _check_scores(test_scores, rng):
    torch = _torch()
    F = torch.nn.functional
    for sizes in ((4,), (6, 6), (5, 2, 1)):
        for training in (True, False):
            net, batches = _classifier(rng, norm=True), [_points(rng, n) for n in sizes]
            with torch.no_grad():
                net.eval()
                x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
                loss = F.cross_entropy(net(x), y).item()
                right = (net(x).argmax(dim=1) == y).double().mean().item()
                means = [F.cross_entropy(net(bx), by).item() for bx, by in batches]
            net.train(training)
            result = _on_copies(test_scores, net, (batches,))
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise Wrong("return two numbers: the loss and the accuracy.")
            got, share = map(_float, result)
            if net.training is not training:
                raise Wrong(
                    "the model left in another mode than it came.",
                    "Remember `model.training` and give it back.",
                )
            known = [
                (0.0, "Nothing is ever added to the loss."),
                (
                    sum(means) / len(means),
                    "A mean of means: the last batch is smaller. Weight each by its size.",
                ),
                (sum(means), "That is the sum of the batches' means."),
                (loss * len(y), "That is the sum over all points: divide by their number."),
                (sum(means) / len(y), "Each batch's mean must be multiplied by its size first."),
                (right, "The order is loss, then accuracy."),
            ]
            expect_close(got, loss, f"the mean loss over batches of {sizes}", rtol=1e-5, mistakes=known)
            hint = "A share, not a count." if share > 1 else ""
            expect_close(share, right, f"the accuracy over batches of {sizes}", rtol=1e-5, hint=hint)

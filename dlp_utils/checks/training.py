"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on training."""

import math

import numpy as np

from dlp_utils.checks._compare import copy_of, unchanged
from dlp_utils.exercises import Wrong, agrees, call, exercise, expect_close, free_form, interval, number

# --- exercises -----------------------------------------------------------------------------------------

number(
    "train-limit",
    2 / 48,
    rtol=1e-3,
    mistakes=[
        (1 / 48, "At 1/λ one step is enough in the steep direction. From where on does it jump too far?"),
        (2 / 3, "That is the limit of the flat direction. Which one diverges first?"),
        (1 / 3, "That is for the flat direction. Which one diverges first?"),
        (2 / 24, "The ½ is in the definition of the quadratic: the second derivative along y is 48, not 24."),
        (2 / 51, "That is the best compromise between the two directions. The limit is asked for."),
        (1 / 96, "The ½ and the square's factor 2 cancel: what is the second derivative along y?"),
        (
            2 / 45,
            "The difference of the two curvatures? Each direction goes its own way: which one diverges first?",
        ),
        (24, "That is λ/2, and a large λ wants a small rate. The other way round?"),
        (48, "That is the curvature. How large may its product with the rate be?"),
        (2 / math.sqrt(48), "The curvature itself counts, not its root."),
        (-1 / 24, "A rate is positive: the step's minus is in the rule already."),
        (0.042, "Three digits, please."),
        (0.04, "Three digits, please."),
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
        (0.0316, "That is without the bias correction: 0.1/√0.001. What are m̂ and ŝ in the first step?"),
        (0.032, "That is without the bias correction: 0.1/√0.001. What are m̂ and ŝ in the first step?"),
        (0.001, "m̂ is m divided by 1 - β₁: what is left of the factor 0.1?"),
        (-0.001, "m̂ is m divided by 1 - β₁: what is left of 0.1? And the step goes against the gradient."),
        (0.316228, "ŝ needs its correction, too: what is left of the factor 0.001 under the root?"),
        (-0.316228, "ŝ needs its correction, too. And the step goes against the gradient."),
        (0.316, "ŝ needs its correction, too: what is left of the factor 0.001 under the root?"),
        (-0.316, "ŝ needs its correction, too. And the step goes against the gradient."),
        (1.0, "That is -m̂/√ŝ. What is it multiplied by?"),
        (-1.0, "That is m̂/√ŝ. What is it multiplied by, and with which sign?"),
        (10.0, "ŝ is a mean of squares: divide by its root."),
        (-10.0, "ŝ is a mean of squares: divide by its root. And the step goes against the gradient."),
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


def _along(k, T, w, peak, u):
    """The cosine at `u` of its half period, between the warm-up and T."""
    return _half(k, T, w, peak) if k < w or k >= T else peak * (1 + math.cos(math.pi * u)) / 2


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
        (
            lambda k, T, w, peak: _along(k, T, w, peak, (k - w) / max(T - w - 1, 1)),
            "That is 0 at k = T - 1 already. At which k should the cosine end?",
        ),
        (
            lambda k, T, w, peak: _along(k, T, w, peak, (k - w + 1) / (T - w)),
            "At k = w the rate is the peak itself: how many steps of the cosine are behind you there?",
        ),
        (
            lambda k, T, w, peak: _along(k, T, w, peak, (k - w) / T),
            "From k = w to k = T: how many steps is that?",
        ),
        (
            lambda k, T, w, peak: _along(k, T + w, w, peak, (k - w) / T),
            "T counts the steps in all, warm-up included: how many are left for the cosine?",
        ),
        (
            lambda k, T, w, peak: _along(k, T, w, peak, 2 * (k - w) / (T - w)),
            "A whole cosine rises again. Which angle is half a cosine?",
        ),
        (
            lambda k, T, w, peak: _along(k, T, w, peak, (k - w) / (T - w) / 2),
            "A quarter does not reach 0. Which angle is half a cosine?",
        ),
        (
            lambda k, T, w, peak: (
                _half(k, T, w, peak) if k < w or k >= T else peak * math.cos(math.pi * (k - w) / (T - w) / 2)
            ),
            "That is a quarter of a cosine: it leaves the peak flat and meets 0 at a slant. Half a cosine is flat at "
            "both ends.",
        ),
        (
            lambda k, T, w, peak: _half(k, T, w, peak) if k < w else peak * max(0, 1 - (k - w) / (T - w)),
            "That falls along a line. Where is the cosine?",
        ),
        (
            lambda k, T, w, peak: peak * (k + 1) / (w + 1) if k < w else _half(k, T, w, peak),
            "The last step of the warm-up, k = w - 1, has the peak already: w, not w + 1.",
        ),
        (
            lambda k, T, w, peak: peak * ((k + 1) // w) if k < w else _half(k, T, w, peak),
            "`//` rounds down to whole numbers.",
        ),
        (
            lambda k, T, w, peak: peak * (k + 1) / w if k <= w else _half(k, T, w, peak),
            "The warm-up is k = 0 … w - 1, and with w = 0 there is none.",
        ),
        (
            lambda k, T, w, peak: peak * (k + 1) / w if k < w or not w else _half(k, T, w, peak),
            "With w = 0 there is no warm-up: nothing may be divided by w.",
        ),
        (
            lambda k, T, w, peak: [_half(i, T, w, peak) for i in range(T)][k],
            "Your list ends at T. And the rate after that?",
        ),
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


def _adam_of(step):
    """Adam whose means and step are what `step(k, g, m, s, beta1, beta2, eps)` returns."""

    def run(gradients, theta, lr, beta1, beta2, eps):
        theta, m, s = theta.astype(float), np.zeros(len(theta)), np.zeros(len(theta))
        with np.errstate(all="ignore"):
            for k, g in enumerate(gradients, 1):
                m, s, move = step(k, g, m, s, beta1, beta2, eps)
                theta = theta - lr * move
        return theta

    return run


@_adam_of
def _epsilon_in_the_rate(k, g, m, s, beta1, beta2, eps):
    m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2
    return m, s, np.sqrt(1 - beta2**k) / (1 - beta1**k) * m / (np.sqrt(s) + eps)


@_adam_of
def _sums(k, g, m, s, beta1, beta2, eps):
    m, s = beta1 * m + g, beta2 * s + g**2
    return m, s, m / (1 - beta1**k) / (np.sqrt(s / (1 - beta2**k)) + eps)


@_adam_of
def _mass_of_the_first(k, g, m, s, beta1, beta2, eps):
    m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2
    return m, s, m / (1 - beta1) / (np.sqrt(s / (1 - beta2)) + eps)


@_adam_of
def _without_m(k, g, m, s, beta1, beta2, eps):
    s = beta2 * s + (1 - beta2) * g**2
    return m, s, g / (np.sqrt(s / (1 - beta2**k)) + eps)


@_adam_of
def _shares_exchanged(k, g, m, s, beta1, beta2, eps):
    m, s = (1 - beta1) * m + beta1 * g, (1 - beta2) * s + beta2 * g**2
    return m, s, m / (1 - beta1**k) / (np.sqrt(s / (1 - beta2**k)) + eps)


@_adam_of
def _step_first(k, g, m, s, beta1, beta2, eps):
    move = m / (1 - beta1**k) / (np.sqrt(s / (1 - beta2**k)) + eps)
    return beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2, move


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
        (
            lambda g, t, *a: _adam(g.mean(axis=0, keepdims=True), t, *a),
            "One step for each row, not one for the mean of all rows.",
        ),
        (lambda g, t, *a: _adam(g, t, *a) - t, "Where do the weights begin? You return how far they moved."),
        (
            lambda g, t, lr, *a: _adam(g, t, lr, 0.9, 0.999, 1e-8),
            "β₁, β₂ and ε are arguments, not always 0.9, 0.999 and 1e-8.",
        ),
        (lambda g, t, lr, b1, b2, e: _adam(g, t, lr, 0.9, 0.999, e), "β₁ and β₂ are arguments."),
        (lambda g, t, lr, b1, b2, e: _adam(g, t, lr, b1, b2, 1e-8), "ε is an argument, not always 1e-8."),
        (lambda g, t, lr, b1, b2, e: _adam(g, t, lr, b1, b2, 0.0), "Where is ε?"),
        (
            _epsilon_in_the_rate,
            "With both corrections in the rate, ε stands beside √s, not √ŝ. By what must it be multiplied?",
        ),
        (_sums, "m and s are means: by what is each new gradient multiplied?"),
        (_mass_of_the_first, "The mass grows with every step: what is it after k of them?"),
        (_without_m, "That divides the gradient itself. What stands in the numerator?"),
        (
            _shares_exchanged,
            "β is the share of the old mean that is kept. Which factor has the new gradient?",
        ),
        (_step_first, "The step comes after the means have taken in its gradient."),
    ],
    hints=[
        (
            lambda args, expected, got: agrees(got, expected),
            "`theta -= …`, and m or s that is a view of an argument, change the caller's arrays. What makes a new one?",
        ),
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and np.isnan(got).any(),
            "0/0: in the first step the mass is 1 - β¹, so count from 1.",
        ),
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
            lambda x, u, q, t: (
                x * (u >= q) / (1 - q) if t else x + math.nan
            ),  # all that fails has right values
            "`x[…] = 0` and `x /= …` change the caller's x. What makes a new array?",
        ),
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
        (
            lambda x, u, q, t: x * (u >= q) / max((u >= q).mean(), 1e-9) if t else x,
            "That divides by the share that happened to be kept. Divide by the probability of being kept.",
        ),
        (
            lambda x, u, q, t: x * (u >= q) * (1 - q) if t else x,
            "The kept entries stand in for the dropped ones: should they shrink or grow?",
        ),
        (lambda x, u, q, t: x * (u >= 0.5) * 2 if t else x, "q is an argument, not always ½."),
        (
            lambda x, u, q, t: x * (u >= q) / (1 - q) if t else x * (1 - q),
            "Repaired twice: training has divided by 1 - q already.",
        ),
        (
            lambda x, u, q, t: x * (u >= q) / (1 - q) if t else x * (u >= q),
            "In evaluation mode nothing is dropped.",
        ),
        (
            lambda x, u, q, t: x * (u >= q) if t else x / (1 - q),
            "Evaluation does nothing. Divide in training.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: got.shape != expected.shape,
            "A dropped entry stays in its place, as 0.",
        ),
        (lambda args, expected, got: np.isnan(got).any(), "A dropped entry is 0, not NaN."),
        (
            lambda args, expected, got: (
                args[3] and np.all((got == 0) | np.isclose(got, args[0] / (1 - args[2])))
            ),
            "Other entries are dropped than should be. Draw nothing: each entry has its own number in u.",
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
        (math.log2(9001), "The natural logarithm: softmax has e as its base."),
        (9000.0, "That is a ratio of the probabilities. The logits differ by its logarithm."),
        (8991.0, "That is a ratio of the probabilities. The logits differ by its logarithm."),
        (-math.log(9001), "The sign: by how much is the label's logit the *larger* one?"),
        (math.log(1000), "That is log C, the loss of a guess. Which two targets does the question compare?"),
        (math.log(900), "0.9 against 0.001? What does α/C give to each of the other classes?"),
        (9.0, "To the second digit behind the point, please."),
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
    cases = [((4,), 1.0), ((3, 3), 1.0), ((5, 2, 1), 1.0), ((2, 3), None), ((3, 2), math.nan)]
    for sizes, held in cases:  # held: what p.grad is before; it must not count
        net, batches = _classifier(rng), [_points(rng, n) for n in sizes]
        before = [p.detach().clone() for p in net.parameters()]
        x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        F.cross_entropy(net(x), y).backward()
        whole = _gradient(net).clone()
        means = []
        for bx, by in batches:
            net.zero_grad()
            F.cross_entropy(net(bx), by).backward()
            means.append(_gradient(net).clone())
        for p in net.parameters():
            p.grad = None if held is None else torch.full_like(p, held)
        try:
            _on_copies(accumulate, net, (batches,))
        except (AttributeError, TypeError) as error:
            if held is None and "None" in str(error):
                raise Wrong(
                    f"p.grad was None before, and your code says: {error}",
                    "Before the first backward p.grad is None. `model.zero_grad()` knows that; so can your loop.",
                ) from None
            raise
        if any(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True)):
            raise Wrong("the weights have moved.", "Only the gradient is asked for: no step.")
        if not all(p.requires_grad for p in net.parameters()):
            raise Wrong("the weights no longer take gradients.", "Leave `requires_grad` as it was.")
        got, scale = _gradient(net), whole.abs().max()
        if held is not None and math.isnan(held) and got.isnan().any():
            raise Wrong(
                "p.grad held NaN before, and it still does.",
                "0 · NaN is NaN, and so is NaN + 1: set it, to zero or None, instead of computing with it.",
            )
        total, ones = torch.stack(means).sum(dim=0), torch.full_like(whole, held or 0.0)
        known = [
            (
                ones,
                "p.grad is as it was. `backward` writes there; what your function returns is not looked at.",
            ),
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
            (means[0], "That is the first batch alone."),
            (total / len(y), "Each batch's mean must be multiplied by its size first."),
            (whole * len(y) / len(sizes), "That is divided by the number of batches, not of points."),
            (
                whole * len(y) / (sizes[0] * len(sizes)),
                "Not every batch is as large as the first: how many points are there?",
            ),
            (-whole, "The sign: the gradient itself, not the step."),
        ]
        if not (got - whole).abs().max() <= 1e-4 * scale:  # so that NaN fails, too
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
    dy,
    x,
    gamma,
    groups,
    eps,
    mean=True,
    variance=True,
    scale=True,
    ddof=0,
    axes=(2, 3, 4),
    late=False,
    outside=False,
    entries=1,
):
    n, c, h, w = x.shape
    gamma = gamma[:, None, None]

    def split(a):
        return a.reshape(n, groups, c // groups, h, w)

    parts = split(x)
    variances = parts.var(axis=axes, ddof=ddof, keepdims=True)
    s = np.sqrt(variances) + eps if outside else np.sqrt(variances + eps)
    mean, variance = mean * entries, variance * entries
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


def _interleaved(dy, x, gamma, groups, eps=1e-5):
    order = np.arange(x.shape[1]).reshape(-1, groups).T.ravel()
    dx, dgamma, dbeta = _group(dy[:, order], x[:, order], gamma[order], groups, eps)
    back = np.argsort(order)
    return dx[:, back], dgamma[back], dbeta[back]


def _summed(dy, x, gamma, groups, eps=1e-5):
    _, c, h, w = x.shape
    return _group(dy, x, gamma, groups, eps, entries=c // groups * h * w)


def _with_inputs(dy, x, gamma, groups, eps=1e-5):
    dx, _, dbeta = _group(dy, x, gamma, groups, eps)
    return dx, (dy * x).sum(axis=(0, 2, 3)), dbeta


def _with_gamma(dy, x, gamma, groups, eps=1e-5):
    dx, dgamma, dbeta = _group(dy, x, gamma, groups, eps)
    return dx, gamma * dgamma, gamma * dbeta


def _mean_beta(dy, x, gamma, groups, eps=1e-5):
    dx, dgamma, _ = _group(dy, x, gamma, groups, eps)
    return dx, dgamma, dy.mean(axis=(0, 2, 3))


def _mean_both(dy, x, gamma, groups, eps=1e-5):
    dx, dgamma, dbeta = _group(dy, x, gamma, groups, eps)
    return dx, dgamma * x.shape[1] / x.size, dbeta * x.shape[1] / x.size


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
        (_mean_beta, "β is used at every place: the chain rule sums over them, it does not average."),
        (_mean_both, "γ and β are used at every place: the chain rule sums over them, it does not average."),
        (
            lambda dy, x, gamma, groups, eps: _group(dy, x, gamma, 1, eps),
            "That is layer norm: all channels together. How many groups are there?",
        ),
        (
            _interleaved,
            "A group is a run of neighboring channels, 0 … C/groups - 1 first: which of the two axes comes first?",
        ),
        (
            _summed,
            "The mean is a sum *divided by the number of entries*: its paths bring that factor along.",
        ),
        (lambda *a: _group(*a, outside=True), "ε stands under the root, with the variance."),
        (lambda dy, x, gamma, groups, eps: _group(dy, x, gamma, groups, 1e-5), "eps is an argument."),
        (lambda dy, x, gamma, groups, eps: _group(dy, x, gamma, groups, 0.0), "Where is eps?"),
        (_with_inputs, "What is γ multiplied by in the forward pass: x, or x̂?"),
        (_with_gamma, "y = γ·x̂ + β: differentiated by γ or by β, does γ still stand there?"),
    ],
    hints=[
        (
            lambda args, expected, got: agrees(got, expected),
            "`dy *= …` and `x -= …` change the caller's arrays. What makes a new one?",
        ),
        (
            lambda args, expected, got: not isinstance(got, (tuple, list)) or len(got) != 3,
            "Three results: dx, dgamma, dbeta.",
        ),
        (
            lambda args, expected, got: any(g.shape != e.shape for g, e in zip(got, expected, strict=True)),
            "A gradient has the shape of what it belongs to: dx that of x, dgamma and dbeta that of gamma, (C,).",
        ),
    ],
)
def groupnorm_backward(dy, x, gamma, groups, eps=1e-5):
    return _group(dy, x, gamma, groups, eps)


# --- the bug zoo ----------------------------------------------------------------------------------------


def _evaluated(function, net, data):
    """What `function(net, *data)` gives; raises Wrong unless it leaves the model and torch as they were."""
    torch = _torch()
    training, norm = net.training, next(part for part in net if hasattr(part, "running_mean"))
    means = norm.running_mean.clone()
    with torch.enable_grad():
        result = _on_copies(function, net, data)
        switched_off = not torch.is_grad_enabled()
    if switched_off:
        raise Wrong(
            "gradients are switched off now, for all code that follows.",
            "Training would no longer work. `with torch.no_grad():` ends where its block ends.",
        )
    if not all(p.requires_grad for p in net.parameters()):
        raise Wrong("the weights no longer take gradients.", "Leave `requires_grad` as it was.")
    if net.training is not training:
        mode = "training" if training else "evaluation"
        raise Wrong(
            f"the model came in {mode} mode and left in another.",
            "Remember `model.training` before, and give it back after.",
        )
    if any(part.training is not training for part in net.modules()):
        raise Wrong(
            "the model's own flag is as it was, but its layers are in another mode.",
            "To set `model.training` is not enough, so give it back by a method that tells the layers, too.",
        )
    if not torch.equal(norm.running_mean, means):
        raise Wrong(
            "batch norm's running mean has moved.",
            "The test digits went through in training mode: switch before the loop, not after.",
        )
    return result


@free_form("train-zoo-eval")
def _check_any_order(accuracy, rng):
    torch = _torch()
    for n, training in ((300, True), (300, False), (64, True), (20, True)):
        net = _classifier(rng, norm=True, dropout=0.5)
        x, y = _points(rng, n)
        with torch.no_grad():
            net.eval()
            order = y.argsort()
            x, y = x[order], y[order]
            said = (net(x).argmax(dim=1) == y).double()
        right, batches = said.mean().item(), said.split(32)
        net.train(training)
        got = _float(_evaluated(accuracy, net, (x, y)))
        mean_of_means = torch.stack([part.mean() for part in batches]).mean().item()
        known = [
            (100 * right, "Percent? A share lies between 0 and 1."),
            (right * n, "That is how many are right. Which share are they?"),
            (1 - right, "That is the share of wrong answers."),
            (mean_of_means, "A mean of means: is the last, smaller batch counted by its size?"),
            (right * n / (32 * len(batches)), "Is the last, smaller batch counted, and counted by its size?"),
            (right * n / 300, "How many digits are there? Not always 300."),
            (batches[0].mean().item(), "That is the first batch alone. Does a `return` stand in the loop?"),
            (batches[-1].mean().item(), "That is the last batch alone."),
        ]
        full = said[: n // 32 * 32]
        if 0 < len(full) < n:
            text = "That is without the last, smaller batch. How many batches are there, rounded up?"
            known += [(full.mean().item(), text), (full.sum().item() / n, text)]
        near = (text for wrong, text in known if abs(got - wrong) < 1e-5 * max(1, abs(wrong)))
        mode = "In which mode is the model while it answers, and is each digit counted once?"
        hint = next(near, mode)
        if abs(got - right) > 1e-5:
            # With dropout on, one answer in fourteen hits a number of `known` by chance. Such answers differ from call
            # to call.
            again = {_float(_evaluated(accuracy, net, (x, y))) for _ in range(3)}
            hint = hint if again == {got} else mode
        expect_close(got, right, f"the share of right answers among {n}", rtol=1e-5, hint=hint)


def _float(value):
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            f"a number was expected, got a {type(value).__name__}.", "One number for all digits together."
        ) from None


def _decay_cases(rng):
    yield from ((k, 15, 0.5) for k in (0, 150, 300))
    yield from ((k, 15, 0.1) for k in (0, 9, 10, 140, 149, 150, 151, 300))
    for _ in range(5):
        batches = int(rng.integers(5, 60))
        yield int(rng.integers(20, 70) * batches - 1), batches, float(rng.uniform(0.01, 1))


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
        (lambda k, b, r: r * 0.1 ** ((k - 1) // (10 * b)), "One batch too late: k counts from 0."),
        (lambda k, b, r: r * 0.1 ** ((k // b + 1) // 10), "One epoch too early: the first is epoch 0."),
        (lambda k, b, r: r * 0.1 ** round(k / (10 * b)), "Round down: the tenth epoch must be over."),
        (lambda k, b, r: r * 0.1 ** math.ceil(k / (10 * b)), "Round down: the tenth epoch must be over."),
        (lambda k, b, r: r * 0.1 ** min(1, k // (10 * b)), "That divides once. And after twenty epochs?"),
        (lambda k, b, r: r * 0.1 ** (k // 150), "How many batches an epoch has is an argument."),
        (
            lambda k, b, r: r * 0.1 ** (k // b % 10),
            "`%` is the rest. How often do ten epochs fit into the run so far?",
        ),
        (lambda k, b, r: r * 10 ** (k // (10 * b)), "That multiplies by ten."),
        (lambda k, b, r: r * 10.0 ** (k // (10 * b)), "That multiplies by ten."),
        (
            lambda k, b, r: r * 0.1 ** (k * b // 10),
            "k counts batches: does one multiply or divide to get epochs?",
        ),
        (lambda k, b, r: 0.1 * 0.1 ** (k // (10 * b)), "The first rate is an argument, not always 0.1."),
        (
            lambda k, b, r: r * 0.1 if k and k % (10 * b) == 0 else r,
            "That divides in one batch only, and the next has the old rate. How often has it been divided *by then*?",
        ),
        (
            lambda k, b, r: r if k < 10 * b else r * 0.1 * (k // (10 * b)),
            "Divided by ten each time: a power of ten.",
        ),
        (lambda k, b, r: r / (10 * max(1, k // (10 * b))), "Divided by ten each time: a power of ten."),
    ],
)
def rate_in_batch(k, batches, rate):
    return rate * 0.1 ** (k // (10 * batches))


@free_form("train-zoo-softmax")
def _check_loss_of_probabilities(loss_of_probabilities, rng):
    torch = _torch()
    F = torch.nn.functional
    # The gradient is taken by what the softmax is made of. cross_entropy(p.log(), y) is right as well: log p is a
    # logit of p. By p itself it has another gradient, in a direction in which no softmax can move.
    tables = [(torch.tensor([[0.0, 1.0, -0.5]], dtype=torch.float64), torch.tensor([1]))]
    for n, c in ((2, 3), (6, 10), (4, 3)):
        tables.append((torch.from_numpy(rng.normal(size=(n, c))), torch.from_numpy(rng.integers(0, c, n))))
    logits, y = tables[-1]
    logits[0, y[0]] -= 10  # a probability of 1e-4 or less
    for logits, y in tables:
        logits = logits.requires_grad_()
        p = logits.softmax(dim=1)
        picked = p[torch.arange(len(y)), y].detach()
        right = -picked.log().mean()
        loss = call(loss_of_probabilities, p, y)
        q = p.detach()
        known = [
            (
                F.cross_entropy(q, y),
                "That is the bug: cross_entropy takes its probabilities for logits and makes a softmax of them.",
            ),
            (-picked.log().sum(), "The mean over the batch, not the sum."),
            (-picked.log(), "One number for the batch: the mean."),
            (-picked.mean(), "Minus the *logarithm* of the probability."),
            (1 - picked.mean(), "Minus the *logarithm* of the probability, not 1 minus it."),
            (-right, "The sign: a loss is positive here."),
            (-picked.mean().log(), "The mean of the logarithms, not the logarithm of the mean."),
            (-q.log().mean(), "Only the label's probability counts: one entry in each row."),
            (-q.log().sum(dim=1).mean(), "Only the label's probability counts: one entry in each row."),
            (
                -q[:, y].log().mean(),
                "p[:, y] is a table, each row at all labels. One entry in each row is wanted.",
            ),
            (
                -(q * q.log()).sum(dim=1).mean(),
                "That is the entropy of the answers: where are the labels?",
            ),
            (right / math.log(2), "The natural logarithm."),
            (right / math.log(10), "The natural logarithm."),
            (right / math.log(q.shape[1]), "In nats: not divided by log C."),
            (
                F.binary_cross_entropy(q, F.one_hot(y, q.shape[1]).to(q.dtype)),
                "That asks each class for yes or no. The classes exclude each other: which entry alone counts?",
            ),
        ]
        close = isinstance(loss, torch.Tensor) and not loss.ndim and abs(loss.item() - right) < 0.1 * right
        if close or picked.min() < 1e-3:
            hint = "Only the smallest probabilities are wrong? Each is above 0: no ε and no clamp is needed."
        else:
            hint = ""
        if not isinstance(loss, torch.Tensor):
            hint = "A scalar *tensor*: `.item()` and NumPy cut the gradient off."
        expect_close(loss, right, f"the loss of {len(y)} rows", rtol=1e-4, hint=hint, mistakes=known)
        if not loss.requires_grad:
            raise Wrong(
                "the value is right, but no gradient flows back.",
                "Nothing would be learned. What cuts the graph: detach, no_grad, torch.tensor(…), NumPy?",
            )
        (got,) = torch.autograd.grad(loss, logits)
        wanted = (q - F.one_hot(y, q.shape[1])) / len(y)
        what = "the value is right, its gradient is not"
        hint = "Does every probability of a label get a gradient, the smallest, too?"
        expect_close(got, wanted, what, rtol=1e-3, atol=1e-4, hint=hint)


def _square_cases(rng):
    torch = _torch()
    for n in (1, 2, 5):
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
        (
            lambda p, t: ((p.flatten() - t.flatten()) ** 2).mean().sqrt(),
            "That is the root of it. The mean square is asked for.",
        ),
        (lambda p, t: ((p.flatten() - t.flatten()) ** 2).mean() / 2, "Without the factor ½."),
        (
            lambda p, t: (p.flatten() - t.flatten()).mean() ** 2,
            "The mean of the squares, not the square of the mean.",
        ),
        (
            lambda p, t: ((p - t[:, None]) ** 2).mean(),
            "Right for predictions (N, 1) and targets (N,). And for the others?",
        ),
        (
            lambda p, t: ((p[:, 0] - t) ** 2).mean(),
            "Right for predictions (N, 1) and targets (N,). And for the others?",
        ),
        (
            lambda p, t: ((p.squeeze() - t.squeeze()) ** 2).sum() / len(p.squeeze()),
            "With N = 1, `squeeze()` takes away both axes. What is always of shape (N,)?",
        ),
        (
            lambda p, t: ((p.flatten() - t.flatten()) ** 2).sum() / (len(p) - 1),
            "The mean over N, not over N - 1.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: not isinstance(got, _torch().Tensor),
            "A scalar *tensor*: `.item()` and NumPy cut the gradient off.",
        ),
        (lambda args, expected, got: got.ndim > 0, "One number for all N: a tensor of shape ()."),
        (
            lambda args, expected, got: agrees(got, expected),
            "The value is right, but nothing, or not everything, would be learned: what cuts the graph?",
        ),
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
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers go on as if nothing had been
        torch.manual_seed(0)
        _judge_forward(forward, rng)


def _judge_forward(forward, rng):
    torch = _torch()
    F = torch.nn.functional
    net, (x, _) = _drop_net(rng), _points(rng, 5)

    def called(x):
        mode = net.training
        with torch.enable_grad():
            out = _on_copies(forward, net, (x,))
        if net.training is not mode:
            raise Wrong("the network's mode has changed.", "`forward` asks for the mode; it does not set it.")
        if not out.requires_grad:
            raise Wrong(
                "no gradient flows back.", "Nothing would be learned: no_grad is for whoever calls it."
            )
        return out.detach().float()

    with torch.no_grad():
        plain = net.out(net.hidden(x).relu())
        halved, unbent = net.out(net.hidden(x).relu() / 2), net.out(net.hidden(x))
    net.eval()
    first, second = called(x), called(x)
    if first.shape != plain.shape:
        raise Wrong(f"the result has the shape {tuple(first.shape)}, wanted {tuple(plain.shape)}.")
    if not torch.equal(first, second):
        raise Wrong(
            "in evaluation mode two calls differ.",
            "F.dropout drops by default. Which argument tells it the mode, and who knows the mode?",
        )
    if not torch.allclose(first, plain, rtol=1e-4, atol=1e-5):
        known = [
            (halved, "Evaluation does nothing: training has divided by 1 - q already."),
            (unbent, "Where is the ReLU?"),
            (F.softmax(plain, dim=1), "net.out comes last: logits, without a softmax."),
            (F.log_softmax(plain, dim=1), "net.out comes last: logits, without a softmax."),
            (plain.relu(), "One ReLU, behind net.hidden; net.out comes last."),
        ]
        hint = next((text for wrong, text in known if torch.allclose(first, wrong, atol=1e-6)), "")
        raise Wrong("in evaluation mode the result is not out(relu(hidden(x))).", hint)
    # Three outputs that look at one active unit each: for 4,000 copies of one row each unit is 0 or doubled.
    net.train()
    row = x[:1].expand(4000, -1).contiguous()
    with torch.no_grad():
        units = net.hidden(x[0]).topk(3).indices
        net.out.weight.zero_()
        net.out.weight[torch.arange(3), units] = 1.0
        active = net.hidden(x[0]).relu()[units]
    factors, again = ((called(row) - net.out.bias.detach()) / active for _ in range(2))
    if torch.allclose(factors, torch.ones_like(factors), atol=1e-3):
        raise Wrong(
            "in training mode nothing is dropped.",
            "Your dropout never trains. Who knows the mode, and how does it reach F.dropout?",
        )
    if torch.equal(factors, again):
        raise Wrong(
            "in training mode two calls drop the same.", "A new draw in each call: no seed belongs in here."
        )
    if torch.equal(factors, factors[:1].expand_as(factors)):
        raise Wrong(
            "all rows of the batch lose the same activations.",
            "Every row draws its own: one number per entry.",
        )
    kept = factors.abs() > 1e-3
    share, scale = kept.float().mean().item(), factors[kept].mean().item()
    apart = (factors - scale * kept).abs().max() > 1e-3 * abs(scale)
    hint = "Drop half of the hidden activations, behind the ReLU, and nothing else."
    if not apart and abs(scale - 1) < 1e-3:
        hint = "The kept activations must make up for the dropped ones: by which factor?"
    elif not apart and abs(share - 0.5) > 0.03:
        hint = f"The share that is dropped is 0.5; yours drops about {1 - share:.2f}."
    elif not apart and abs(scale - 2) < 1e-3:
        together = (kept == kept[:, :1]).all(dim=1).float().mean()
        if together < 0.4:  # of three independent units: ¼
            return
        hint = "Each activation is dropped on its own. Yours go together, row by row."
    raise Wrong("in training mode the hidden activations are not what dropout 0.5 makes of them.", hint)


@free_form("train-zoo-head")
def _check_head(with_new_head, rng):
    torch = _torch()
    from dlp_utils.models.training import MLP

    nets = (((6, 8, 8, 3), {}), ((6, 10, 12, 4), {"norm": True, "dropout": 0.2}), ((6, 5, 3), {}))
    for (sizes, options), (classes, lr) in zip(nets, ((2, 0.03), (5, 0.3), (3, 0.1)), strict=True):
        model = MLP(sizes, **options)
        old_head = list(
            model.layers[-1].parameters()
        )  # kept alive, or a new tensor might get an old one's id
        old_body = list(model.layers[:-1].parameters())
        old, body = ({id(p) for p in part} for part in (old_head, old_body))
        values = [p.detach().clone() for p in old_body]
        optimizer = with_new_head(model, classes, lr)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise Wrong(f"got a {type(optimizer).__name__}.", "Return the optimizer: torch.optim.SGD(…).")
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        now = {id(p) for p in model.parameters()}
        model.eval()
        x = torch.from_numpy(rng.normal(size=(4, 6))).float()
        try:
            out = model(x).detach()
        except RuntimeError as error:
            raise Wrong(
                f"the model of widths {sizes} no longer runs: {error}",
                "How many numbers reach the last layer? The old one knows: model.layers[-1].in_features.",
            ) from None
        if old & now and not body <= held:
            raise Wrong("the model has its old head.", "Change the model that came in, not a copy of it.")
        if tuple(out.shape) != (4, classes):
            raise Wrong(
                f"the model gives {tuple(out.shape)}, wanted (4, {classes}).",
                "model.layers[-1] is the last layer: put a new nn.Linear in its place.",
            )
        if old & now and len(now) > len(old | body):
            raise Wrong(
                "the old head is still in the model, below the new one.", "In its place, not behind it."
            )
        if old & now:
            raise Wrong(
                "the head is the old one.", "A new one, also where the number of classes is the same."
            )
        if held & old:
            raise Wrong(
                "the optimizer holds the old head.",
                "First the new head, then the optimizer: it keeps what it is given.",
            )
        if not body <= now or any(not torch.equal(p, v) for p, v in zip(old_body, values, strict=True)):
            raise Wrong("the layers below are new, too.", "Only the last layer is replaced.")
        if not now <= held:
            raise Wrong(
                "the optimizer does not hold all parameters.",
                "model.parameters() has all of them: body and head.",
            )
        if not all(p.requires_grad for p in model.parameters()):
            raise Wrong(
                "some layers are frozen.", "The rate is for all that is in the model: body and head learn."
            )
        with torch.no_grad():  # a linear layer alone changes its sign with its weights
            for p in model.parameters():
                if id(p) not in body:
                    p.neg_()
            if not torch.allclose(model(x), -out, rtol=1e-4, atol=1e-6):
                raise Wrong("the new head is not one linear layer.", "Logits, please: nothing behind it.")
        if not isinstance(optimizer, torch.optim.SGD):
            raise Wrong(f"got {type(optimizer).__name__}.", "SGD was asked for: torch.optim.SGD(…).")
        if any(not math.isclose(group["lr"], lr) for group in optimizer.param_groups):
            raise Wrong(
                f"SGD at the rate {lr} was asked for.", "`lr` is an argument, for body and head alike."
            )


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
                shares = [(net(bx).argmax(dim=1) == by).double().mean().item() for bx, by in batches]
            net.train(training)
            result = _evaluated(test_scores, net, (batches,))
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise Wrong("one pair of numbers was expected.", "Return the loss and the accuracy.")
            got, share = map(_float, result)
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
                (-loss, "The sign: a cross-entropy is positive."),
                (loss * len(y) / len(sizes), "Divided by the number of batches. How many digits are there?"),
                (
                    loss * len(y) / (sizes[0] * len(sizes)),
                    "Not every batch is as large as the first: how many digits are there?",
                ),
                (means[-1], "That is the last batch alone: add up."),
                (means[0], "That is the first batch alone. Does a `return` stand in the loop?"),
                (math.exp(-loss), "That is exp(-loss)."),
                (loss / math.log(2), "That is in bits. `F.cross_entropy` has nats."),
            ]
            expect_close(got, loss, f"the mean loss over batches of {sizes}", rtol=1e-5, mistakes=known)
            known = [
                (sum(shares) / len(shares), "A mean of means: count the right answers, then divide once."),
                (
                    right * len(y) / (sizes[0] * len(sizes)),
                    "How many digits are there? The last batch is smaller.",
                ),
                (1 - right, "That is the share of wrong answers."),
                (shares[-1], "That is the last batch alone: add up."),
                (shares[0], "That is the first batch alone."),
            ]
            hint = "A share, not a count." if share > 1 else ""
            what = f"the accuracy over batches of {sizes}"
            expect_close(share, right, what, rtol=1e-5, hint=hint, mistakes=known)

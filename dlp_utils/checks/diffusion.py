"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on diffusion."""

import copy
import math

import numpy as np

from dlp_utils.exercises import Wrong, call, choice, exercise, expect_close, free_form, number


def _tensor(values):
    import torch

    return torch.tensor(np.asarray(values))


def _is_tensor(got, what="the result"):
    import torch

    if not isinstance(got, torch.Tensor):
        raise Wrong(f"{what}: expected a tensor, got {type(got).__name__}.")


def _tall(values):
    """(B,) to (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _bars(rng, steps, last=None):
    """A falling alpha_bar (T,), with a last value if one is given."""
    bars = np.cumprod(rng.uniform(0.6, 0.98, size=steps))
    if last is not None:
        bars[-1] = last
    return _tensor(bars)


# --- exercises -----------------------------------------------------------------------------------------


def _when(angle):
    return 2000 / math.pi * angle


number(
    "diff-snr",
    _when(math.atan(0.5)),
    rtol=2e-3,
    mistakes=[
        (500, "There signal and noise are equally strong."),
        (
            _when(math.atan(2.0)),
            "There the noise is four times as strong. Which side of the middle is meant?",
        ),
        (_when(math.atan(0.25)), "Is the SNR a quotient of amplitudes or of variances?"),
        (_when(math.atan(math.exp(-2.0))), "That is log SNR = 4."),
        (_when(math.acos(0.5)), "There ᾱ is 1/4. What is ᾱ when the SNR is 4?"),
        (_when(math.acos(0.8)), "There ᾱ is 0.64. The root of ᾱ is a cosine, ᾱ is its square."),
        (_when(math.asin(0.5)), "There ᾱ is 3/4, and the SNR 3. What is divided by what?"),
        (200, "That is where a straight ᾱ = 1 − t/T would be 0.8. Ours is a cosine."),
        (math.atan(0.5), "That is the angle. At which t is it reached?"),
        (math.degrees(math.atan(0.5)), "That is the angle, in degrees. At which t is it reached?"),
        (_when(math.atan(0.5)) / 1000, "That is t/T."),
    ],
)


def _snr(t):
    return 1 / math.tan(math.pi * t / 2000) ** 2


def _weight(t):
    return (_snr(t - 1) - _snr(t)) / _snr(t) / 2


_EXACT = _weight(50) / _weight(500)
_SMOOTH = 1 / math.sin(math.pi / 20)

number(
    "diff-weight",
    (_EXACT + _SMOOTH) / 2,
    rtol=0.02,  # both the difference and the derivative
    mistakes=[
        (1, "That is so in the simple loss. And in the bound?"),
        (1 / _EXACT, "Turned round: which of the two errors counts more in the bound?"),
        (
            (_snr(49) - _snr(50)) / (_snr(499) - _snr(500)),
            "Those weights belong to the error of x₀. How are the errors of x₀ and ε related?",
        ),
        (
            (_snr(49) - _snr(50)) / (_snr(499) - _snr(500)) * 2 / (_snr(50) + 1),
            "Those weights belong to the error of v.",
        ),
        (_snr(50) / _snr(500), "That compares the SNRs themselves. By how much do they fall in one step?"),
        (10, "Close to what a weight of 1/t would give. Take the cosine's own SNR."),
    ],
)


def _jump(x0, xt, t, u, alpha_bar, wrap=False, beside=False, forward=False, root=False, tall=_tall):
    bars = alpha_bar if wrap else _tensor(np.append(alpha_bar.numpy(), 1.0))  # bars[-1]
    bar_t, bar_u = tall(bars[t]), tall(bars[u])
    a = bar_t / (tall(bars[t - 1]) if beside else bar_u)
    # x_u ~ N(√ᾱ_u x0, 1 - ᾱ_u) is measured as x_t = √a x_u + noise of variance 1 - a
    mean, variance = bar_u.sqrt() * x0, 1 - bar_u
    gain = variance * a.sqrt() / (a * variance + 1 - a)
    mean, variance = mean + gain * (xt - a.sqrt() * mean), variance * (1 - gain * a.sqrt())
    if beside:  # the coefficients of one step, ᾱ_u for ᾱ_{t-1}
        mean = (bar_u.sqrt() * (1 - a) * x0 + a.sqrt() * (1 - bar_u) * xt) / (1 - bar_t)
        variance = (1 - bar_u) * (1 - a) / (1 - bar_t)
    if forward:
        variance = 1 - a
    return mean, variance.sqrt() if root else variance


def _jump_marginal(x0, xt, t, u, alpha_bar):
    bar = _tall(_tensor(np.append(alpha_bar.numpy(), 1.0))[u])
    return bar.sqrt() * x0, 1 - bar


def _jump_cases(rng):
    yield _tensor([[[[1.0]]]]), _tensor([[[[0.0]]]]), _tensor([1]), _tensor([0]), _tensor([0.9, 0.5])
    for steps, last in ((6, None), (9, 0.0)):
        x0, xt = rng.normal(size=(2, 5, 2, 3, 4))
        t = rng.integers(2, steps - 1, size=5)
        u = np.array([rng.integers(0, last) for last in t - 1])
        t[0] = steps - 1
        if last is None:
            u[1], t[2], u[2] = -1, 0, -1
        yield _tensor(x0), _tensor(xt), _tensor(t), _tensor(u), _bars(rng, steps, last)


@exercise(
    "diff-posterior",
    _jump_cases,
    mistakes=[
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar, wrap=True),
            "Which value does alpha_bar[-1] hold, and which one is meant?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar, beside=True),
            "Right for neighboring steps. Which share of the signal is lost on the whole way from u to t?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar, root=True),
            "The second result is a standard deviation.",
        ),
        (
            _jump_marginal,
            "That is x_u given x₀ alone. What does x_t tell in addition?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar, forward=True),
            "That is the variance of x_t given x_u. Is the way back as uncertain?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(xt, x0, t, u, alpha_bar),
            "Which of the two coefficients belongs to x₀? Try u = −1.",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar)[::-1],
            "The order is: mean, then variance.",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u.clamp(min=0), alpha_bar),
            "At u = −1 the picture is clean. What is ᾱ there?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t - 1, u - 1, _tensor(np.append(alpha_bar, 1.0))),
            "Code counts from 0: which ᾱ belongs to x_t, alpha_bar[t] or alpha_bar[t - 1]?",
        ),
        (
            lambda x0, xt, t, u, alpha_bar: _jump(x0, xt, t, u, alpha_bar, tall=lambda x: x),
            "alpha_bar[t] has one axis. How does it meet a batch of pictures?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: tuple(got[1].shape) != tuple(expected[1].shape),
            "One variance a picture, in a shape that can be multiplied with the pictures.",
        ),
        (
            lambda args, expected, got: bool((got[0].isnan() | got[1].isnan()).any()),
            "0/0: does a formula divide by something that vanishes at u = −1 or at ᾱ = 0?",
        ),
    ],
)
def jump_back(x0, xt, t, u, alpha_bar):
    return _jump(x0, xt, t, u, alpha_bar)


def _convert(xt, prediction, kind, alpha_bar_t, sign=1, roots=True, divide=False, tall=_tall):
    c, s = tall(alpha_bar_t), 1 - tall(alpha_bar_t)
    if roots:
        c, s = c.sqrt(), s.sqrt()
    if kind == "x0":
        x0, noise = prediction, (xt - c * prediction) / s
    elif kind == "noise":
        x0, noise = (xt - s * prediction) / c, prediction
    else:
        x0, noise = c * xt - sign * s * prediction, s * xt + sign * c * prediction
        if divide:
            x0 = (xt - s * noise) / c
    return x0, noise, sign * (c * noise - s * x0)


def _convert_cases(rng):
    for kind in ("v", "x0", "noise"):
        yield _tensor([[[[1.0]]]]), _tensor([[[[0.5]]]]), kind, _tensor([0.36])
    for kind in ("v", "x0", "noise"):
        xt, prediction = rng.normal(size=(2, 4, 3, 2, 5))
        bars = rng.uniform(0.1, 0.9, size=4)
        if kind != "noise":
            bars[1] = 0.0
        yield _tensor(xt), _tensor(prediction), kind, _tensor(bars)


@exercise(
    "diff-convert",
    _convert_cases,
    rtol=1e-5,
    mistakes=[
        (
            lambda xt, prediction, kind, bar: _convert(xt, prediction, kind, bar, roots=False),
            "ᾱ is a share of the variance. What multiplies a picture?",
        ),
        (
            lambda xt, prediction, kind, bar: _convert(xt, prediction, kind, bar, sign=-1),
            "The velocity has the other sign: is it √ᾱ ε − √(1−ᾱ) x₀?",
        ),
        (
            lambda xt, prediction, kind, bar: _convert(xt, prediction, kind, bar, divide=True),
            "0/0 at ᾱ = 0. The way from v needs no division: (x_t, v) is (x₀, ε), turned.",
        ),
        (
            lambda xt, prediction, kind, bar: _convert(xt, prediction, "v", bar),
            "The same for all kinds. What has the network predicted?",
        ),
        (
            lambda xt, prediction, kind, bar: (
                (out := _convert(xt, prediction, kind, bar))[1],
                out[0],
                out[2],
            ),
            "The order is: x₀, noise, v.",
        ),
        (
            lambda xt, prediction, kind, bar: _convert(xt, prediction, kind, bar, tall=lambda x: x),
            "The values of ᾱ have one axis. How do they meet a batch of pictures?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: any(bool((~part.isfinite()).any()) for part in got),
            "Not finite at ᾱ = 0. For which kinds is a division by √ᾱ avoidable?",
        ),
        (
            lambda args, expected, got: len(got) == 2,
            "Three results: x₀, noise, v.",
        ),
    ],
)
def convert(xt, prediction, kind, alpha_bar_t):
    return _convert(xt, prediction, kind, alpha_bar_t)


def _rescale(beta, power=0.5, scale=True, shift=True, what="beta", squared=True):
    r = np.cumprod(1 - beta.numpy()) ** power
    first, last = r[0], r[-1]
    moved = r - last if shift else r.copy()
    if scale:
        moved = moved * first / moved[0]
    bar = moved ** (1 / power) if squared else moved
    alpha = bar.copy()
    for i in range(1, len(bar)):
        alpha[i] = bar[i] / bar[i - 1]
    return _tensor({"beta": 1 - alpha, "alpha_bar": bar, "alpha": alpha}[what])


def _last_is_one(beta):
    beta = beta.clone()
    beta[-1] = 1
    return beta


def _beta_cases(rng):
    yield _tensor([0.19, 0.5])
    yield _tensor(np.linspace(1e-3, 0.1, 30))
    yield _tensor(np.sort(rng.uniform(0.01, 0.3, size=7)))


@exercise(
    "diff-terminal",
    _beta_cases,
    mistakes=[
        (
            lambda beta: _rescale(beta, power=1.0),
            "ᾱ itself is moved here. Which quantity multiplies the picture?",
        ),
        (
            lambda beta: _rescale(beta, scale=False),
            "The last one is right. Has the first one kept its value?",
        ),
        (lambda beta: _rescale(beta, what="alpha_bar"), "That is the new ᾱ. Which β lead to it?"),
        (lambda beta: _rescale(beta, what="alpha"), "Those are the α. And the β?"),
        (
            lambda beta: _rescale(beta, squared=False),
            "That treats √ᾱ as if it were ᾱ. What is the product of the α?",
        ),
        (
            lambda beta: _rescale(beta).clip(max=0.999),
            "Nothing is left at the end: which last β does that take?",
        ),
        (
            lambda beta: _tensor(np.append(0.0, _rescale(beta)[1:])),
            "The first step adds noise, too. What is ᾱ before it?",
        ),
        (_last_is_one, "Only the last step has changed: it would destroy the whole rest at once."),
        (lambda beta: beta.clone(), "That is the schedule as it was."),
        (lambda beta: 1 - _rescale(beta, what="alpha_bar"), "1 − ᾱ is the noise of all steps up to t."),
    ],
    hints=[
        (
            lambda args, expected, got: len(got) == len(expected) - 1,
            "One is missing: what is the first α?",
        ),
        (
            lambda args, expected, got: not bool(got.isfinite().all()),
            "Something is divided by the last ᾱ, which is zero now.",
        ),
    ],
)
def terminal_betas(beta):
    return _rescale(beta)


def _ddim(xt, noise_t, bar_t, bar_u, eta, fresh, room=True, squared=False, wide=False, kind="right"):
    x0 = (xt - math.sqrt(1 - bar_t) * noise_t) / math.sqrt(bar_t)
    a = bar_t / bar_u
    variance = (1 - bar_u) * (1 - a) / (a * (1 - bar_u) + 1 - a)  # as in _jump
    if wide:
        variance = 1 - a
    sigma = eta * (variance if squared else math.sqrt(variance))
    left = 1 - bar_u - (sigma**2 if room else 0)
    if kind == "no direction":
        left = 0.0
    if kind == "no noise":
        sigma = 0.0  # but room is left for it
    if kind == "old level":
        left = 1 - bar_t - sigma**2
    if kind == "root inside":
        left = 1 - bar_u - sigma
    if kind == "clipped":
        x0 = x0.clip(-1, 1)
    if left < -1e-12:
        raise ValueError("math domain error")
    left = max(left, 0.0)
    if kind == "root outside":
        left = (math.sqrt(1 - bar_u) - sigma) ** 2
    if kind == "exchanged":
        left, sigma = sigma**2, math.sqrt(left)
    return math.sqrt(bar_u) * x0 + math.sqrt(left) * noise_t + sigma * fresh


def _ddim_with(**kwargs):
    return lambda xt, noise_t, bar_t, bar_u, eta, fresh: _ddim(
        xt, noise_t, bar_t, bar_u, eta, fresh, **kwargs
    )


def _ddim_cases(rng):
    yield _tensor([[1.0]]), _tensor([[0.5]]), 0.36, 0.48, 0.0, _tensor([[1.0]])
    yield _tensor([[1.0]]), _tensor([[0.5]]), 0.36, 0.48, 1.0, _tensor([[1.0]])
    for bar_t, bar_u, eta in ((0.2, 0.5, 0.0), (0.2, 0.5, 1.0), (0.05, 0.7, 0.4), (0.9, 1.0, 1.0)):
        xt, noise_t, fresh = rng.normal(size=(3, 2, 3, 4, 4))
        yield _tensor(xt), _tensor(noise_t), bar_t, bar_u, eta, _tensor(fresh)


@exercise(
    "diff-ddim",
    _ddim_cases,
    rtol=1e-5,
    atol=1e-5,
    mistakes=[
        (
            _ddim_with(room=False),
            "Right for η = 0. With fresh noise, how large is the variance of all noise together?",
        ),
        (_ddim_with(squared=True), "Variance or standard deviation: what multiplies the fresh noise?"),
        (
            _ddim_with(kind="root inside"),
            "Variances add, not standard deviations. What stands under the root?",
        ),
        (
            _ddim_with(kind="root outside"),
            "Variances add, not standard deviations. What stands under the root?",
        ),
        (_ddim_with(kind="exchanged"), "Which of the two noises has the standard deviation σ?"),
        (_ddim_with(kind="clipped"), "x₀ is clipped to [−1, 1]. Was that asked for?"),
        (_ddim_with(kind="no direction"), "Where is the noise that x_u still contains, unless u is clean?"),
        (_ddim_with(kind="no noise"), "Right for η = 0. Where is the fresh noise?"),
        (_ddim_with(kind="old level"), "How noisy is x_u? The level of x_t is left behind."),
        (
            lambda xt, noise_t, bar_t, bar_u, eta, fresh: _ddim(xt, noise_t, bar_t, bar_u, 1.0, fresh),
            "Right for η = 1. Where does η enter?",
        ),
        (
            lambda xt, noise_t, bar_t, bar_u, eta, fresh: _ddim(xt, noise_t, bar_t, bar_u, 0.0, fresh),
            "Right for η = 0. Where is the fresh noise?",
        ),
        (
            lambda xt, noise_t, bar_t, bar_u, eta, fresh: (
                (xt - math.sqrt(1 - bar_t) * noise_t) / math.sqrt(bar_t)
            ),
            "That is the predicted x₀. Which part of it is in x_u?",
        ),
        (
            lambda xt, noise_t, bar_t, bar_u, eta, fresh: _ddim(
                xt, noise_t, bar_t, bar_u, math.sqrt(eta), fresh
            ),
            "η multiplies σ, not σ².",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: args[4] > 0 and bool(abs(got - _ddim(*args, wide=True)).max() < 1e-6),
            "That σ² is the variance of x_t given x_u. At η = 1 it should be that of x_u given x_t and x₀.",
        ),
        (
            lambda args, expected, got: got.is_complex() or bool(got.isnan().any()),
            "The root of a negative number: can the fresh noise be more than all noise together?",
        ),
    ],
)
def ddim_move(xt, noise_t, bar_t, bar_u, eta, fresh):
    return _ddim(xt, noise_t, bar_t, bar_u, eta, fresh)


number(
    "diff-guidance",
    math.log(0.3) / math.log(0.6),
    rtol=2e-3,
    mistakes=[
        ((1 / 0.09 - 1) / (1 / 0.36 - 1), "That is for the tilted density. Is it what a sampler draws from?"),
        (math.log(0.5) / math.log(0.6), "One less. Half of what, and in which convention of w?"),
        (1 + math.log(0.5) / math.log(0.6) / 2, "Half of the variance. The standard deviation is asked for."),
        (math.log(0.3) / math.log(0.36), "Is s the standard deviation of the label, or its variance?"),
        (2, "That would be for s = 0.5. Ours is 0.6."),
        (1, "There the samples are those of the label, with a standard deviation of 0.6."),
        (math.log(0.3) / math.log(0.6) + 1, "One more. What is the spread at w = 1?"),
        (math.log(0.3), "That is log 0.3. How does the spread of the samples depend on w?"),
    ],
)


def _score_cases(rng):
    yield (
        _tensor(np.pad([[1.0, 2.0, -1.0], [0.3, -2.0, -1.0]], ((0, 0), (0, 21)), constant_values=-3.0)),
        _tensor(np.pad([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], ((0, 0), (0, 21)))),
    )
    for B in (5, 9):
        labels = np.zeros((B, 24))
        for row in range(B):
            labels[row, rng.permutation(24)[: 1 + row % 3]] = 1
        logits = rng.normal(size=(B, 24)) + 1.0 * labels
        for row in (0, 1, 2):  # these are exactly right, and one of them barely
            logits[row] = np.where(
                labels[row] > 0, 0.1 + 3 * rng.uniform(size=24), -0.1 - rng.uniform(size=24)
            )
        logits[1] = np.where(labels[1] > 0, 0.2, logits[1])
        logits[3] = np.where(labels[3] > 0, 5.0, -1.0 + 2.5 * rng.uniform(size=24))  # an object too many
        yield _tensor(logits), _tensor(labels)


def _scores(logits, labels, k=None, threshold=0.0):
    values, wanted = logits.numpy(), labels.numpy() > 0
    hits, exact = [], []
    for row, true in zip(values, wanted, strict=True):
        top = np.argsort(-row)[: k or int(true.sum())]
        hits.append(int(true[top].sum()))
        exact.append(bool(np.array_equal(row > threshold, true)))
    return _tensor(hits), _tensor(exact)


def _most(labels):
    return int(labels.sum(1).max())


@exercise(
    "diff-score",
    _score_cases,
    mistakes=[
        (
            lambda logits, labels: _scores(logits, labels, k=_most(labels)),
            "The same k for all rows. How many labels has each picture?",
        ),
        (
            lambda logits, labels: _scores(logits, labels, k=3),
            "Always three. How many labels has each picture?",
        ),
        (
            lambda logits, labels: _scores(logits, labels, threshold=0.5),
            "Those are logits. Which logit has a probability of one half?",
        ),
        (
            lambda logits, labels: (
                _scores(logits, labels)[0],
                _scores(logits, labels)[0] == labels.sum(1),
            ),
            "Is a picture with one object too many exactly right?",
        ),
        (
            lambda logits, labels: (
                ((logits > 0) & (labels > 0)).sum(1),
                _scores(logits, labels)[1],
            ),
            "The course's score has no threshold: it looks at the k largest outputs.",
        ),
        (
            lambda logits, labels: (_scores(logits, labels)[0].double(), _scores(logits, labels)[1]),
            "Hits are counted: whole numbers.",
        ),
        (
            lambda logits, labels: (
                _scores(logits, labels)[0] / labels.sum(1),
                _scores(logits, labels)[1],
            ),
            "Shares of each picture. The number of hits is asked for: why not divide here?",
        ),
        (
            lambda logits, labels: (_scores(logits, labels)[0], ((logits > 0) & (labels > 0)).any(1)),
            "One right object is not a right set.",
        ),
        (lambda logits, labels: _scores(logits, labels)[::-1], "The order is: hits, then exact."),
    ],
    hints=[
        (
            lambda args, expected, got: getattr(got[0], "ndim", 0) == 0,
            "One value for each picture. Sums come later.",
        ),
        (
            lambda args, expected, got: got[1].dtype != expected[1].dtype,
            "Exact or not: a tensor of type bool.",
        ),
    ],
)
def picture_scores(logits, labels):
    return _scores(logits, labels)


number(
    "diff-steps",
    620,
    rtol=0,
    mistakes=[
        (619, "There the error is still above 1%."),
        (621, "That many points, or one step more than needed?"),
        (60, "There the error is 10%."),
        (309, "There the error is 2%."),
        (1243, "There the error is 0.5%."),
        (123, "That is for s = 1. Which standard deviation have the data?"),
        (154, "That is for s = 0.5. Which standard deviation have the data?"),
        (6228, "There the error is 0.1%."),
        (1000, "Enough, but not the smallest number. Bisect."),
        (0, "With no step at all x is still pure noise of standard deviation 1."),
    ],
)


def _even(r):
    return r


def _square(r):
    return r**2


def _root(r):
    return r**0.5


def _bow(r):
    return 1 - np.cos(np.pi * r / 2)


def _warp_cases(rng):
    yield 8, 2, _even
    yield 7, 4, _square
    yield 5, 5, _square
    yield 9, 1, _square
    yield 1000, 50, _square
    yield 1000, 7, _bow
    yield 40, 30, lambda r: r**3
    yield 10, 9, _root
    yield 30, 25, _root
    yield int(rng.integers(300, 900)), 23, _square


def _warped(T, S, warp, whole=round, least=True, distinct=True, minus=1):
    places = [0] * S
    for k in range(S, 0, -1):
        wanted = T if k == S else whole(T * warp(k / S))
        if least:
            wanted = max(wanted, k)
        if distinct and k < S:
            wanted = min(wanted, places[k] - 1)
        places[k - 1] = wanted
    return [place - minus for place in reversed(places)]


@exercise(
    "diff-spacing",
    _warp_cases,
    mistakes=[
        (
            lambda T, S, warp: _warped(T, S, warp, distinct=False),
            "Do two of them round to the same step?",
        ),
        (
            lambda T, S, warp: _warped(T, S, warp, least=False, distinct=False),
            "Right where the steps are far apart. And where rounding makes two of them equal, or −1?",
        ),
        (
            lambda T, S, warp: _warped(T, S, warp, least=False),
            "All are different, but the last ones run below 0: how many steps have still to come after this one?",
        ),
        (lambda T, S, warp: _warped(T, S, warp, whole=math.floor), "Rounded down. The nearest is wanted."),
        (lambda T, S, warp: _warped(T, S, warp, minus=0), "Steps count from 0 to T − 1."),
        (
            lambda T, S, warp: _warped(T, S, warp)[::-1],
            "In the order of sampling: where does it begin?",
        ),
        (lambda T, S, warp: _warped(T, S, _even), "Evenly spaced, whichever warp is given."),
        (
            lambda T, S, warp: [round((T - 1) * warp(k / max(S - 1, 1))) for k in range(S - 1, -1, -1)],
            "Your last step is 0, or nearly: how long is the way that is left, to the clean picture?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: got[0] != expected[0],
            "Sampling begins with pure noise. At which step is a picture pure noise?",
        ),
        (
            lambda args, expected, got: len(got) != len(expected),
            "S steps, no more and no fewer.",
        ),
        (
            lambda args, expected, got: len(set(got)) < len(got),
            "Do two of them round to the same step?",
        ),
        (
            lambda args, expected, got: min(got) < 0,
            "The clean picture at −1 is where the walk ends, not a step to take.",
        ),
    ],
)
def warped_steps(T, S, warp):
    return _warped(T, S, warp)


_NATS = 3072 * (0.002 / 0.05) ** 2 / 2

number(
    "diff-bits",
    _NATS / math.log(2),
    rtol=3e-3,
    mistakes=[
        (_NATS, "That is in nats."),
        (2 * _NATS, "There is a ½ in the exponent of a Gaussian. And nats are not bits."),
        (2 * _NATS / math.log(2), "There is a ½ in the exponent of a Gaussian."),
        (_NATS * math.log(2), "Is a nat more or less than a bit?"),
        (_NATS / 3072 / math.log(2), "That is for one coordinate."),
        (_NATS / 3072, "That is for one coordinate, in nats."),
        (_NATS / 3 / math.log(2), "A pixel has three values."),
        (_NATS * 0.05 / math.log(2), "0.05 is the standard deviation, not the variance."),
        (_NATS * 0.05, "0.05 is the standard deviation, not the variance. And nats are not bits."),
        (3072 * 0.002**2 / 2 / math.log(2), "A difference counts in units of what?"),
    ],
)


# --- bug zoo -------------------------------------------------------------------------------------------


def _embedding_cases(rng):
    yield _tensor([[0.0, 1.0]]).float(), _tensor([[1.0, 2.0], [3.0, 5.0]]).float()
    for B, K, D in ((4, 24, 6), (3, 24, 5)):
        labels = (rng.uniform(size=(B, K)) < 0.2).astype(float)
        labels[0] = 0  # no condition
        yield _tensor(labels).float(), _tensor(rng.normal(size=(K, D))).float()


@exercise(
    "diff-zoo-embedding",
    _embedding_cases,
    rtol=1e-5,
    atol=1e-5,
    mistakes=[
        (
            lambda labels, weight: weight[labels.long()].sum(1),
            "That is the bug: which rows are read when the entries of a vector are 0 and 1?",
        ),
        (
            lambda labels, weight: weight[labels.argmax(1)],
            "One label only. What of the others, and of a picture without any?",
        ),
        (
            lambda labels, weight: labels @ weight / labels.sum(1, keepdim=True).clamp(min=1),
            "That is the mean: can two objects still be told from one?",
        ),
        (
            lambda labels, weight: labels[:, :, None] * weight,
            "One vector for each of the labels. One a picture is wanted.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: bool(got.isnan().any()),
            "What happens to a picture without labels?",
        )
    ],
)
def embed_labels(labels, weight):
    return labels @ weight


@free_form("diff-zoo-last")
def _check_draw_steps(draw_steps, rng):
    import torch

    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    seed = int(rng.integers(1000))
    for n, T in ((4000, 4), (6000, 10)):
        t = draw_steps(n, T, seeded(seed))
        _is_tensor(t)
        if t.dtype != torch.long:
            raise Wrong(f"the steps are of type {t.dtype}.", "A step is an index: whole numbers (long).")
        if tuple(t.shape) != (n,):
            raise Wrong(f"got shape {tuple(t.shape)}, wanted ({n},).", "One step for each of n pictures.")
        if int(t.min()) < 0 or int(t.max()) >= T:
            raise Wrong(
                f"steps from {int(t.min())} to {int(t.max())} for T = {T}.",
                "Steps count from 0, and there are T of them.",
            )
        counts = torch.bincount(t.long(), minlength=T)
        if int((counts > 0).sum()) == 1:
            raise Wrong("all n steps are the same.", "A step for each picture, drawn on its own.")
        if counts[-1] == 0:
            raise Wrong(
                f"step {T - 1} of T = {T} is never drawn.",
                "That is the bug: does the upper end of randint belong to it?",
            )
        if counts[0] == 0:
            raise Wrong(f"step 0 of T = {T} is never drawn.", "Steps count from 0.")
        if (counts - n / T).abs().max() > 6 * math.sqrt(n / T):
            raise Wrong(f"not all steps come equally often: {counts.tolist()}.", "Is every step drawn alike?")
        if not torch.equal(t, draw_steps(n, T, seeded(seed))):
            raise Wrong("two runs with the same seed differ.", "Who throws the dice? Use the generator.")
        if torch.equal(t, draw_steps(n, T, seeded(seed + 1))):
            raise Wrong("another seed gives the same steps.", "Who throws the dice? Use the generator.")
        for lag in range(1, 2 * T + 1):
            equal, pairs = int((t[lag:] == t[:-lag]).sum()), n - lag
            if abs(equal - pairs / T) > 6 * math.sqrt(pairs / T):
                raise Wrong(
                    f"pictures that are {lag} places apart have the same step in {equal / pairs:.0%} of all cases.",
                    "A step for each picture, drawn on its own, not a permutation of all steps again and again.",
                )


def _coefficients(bar):
    return np.sqrt(bar), np.sqrt(1 - bar)


def _share_cases(rng):
    yield _tensor([0.36, 0.75])
    yield _tensor(np.linspace(1e-4, 0.02, 40))
    yield _tensor(rng.uniform(0.05, 0.5, size=6))


def _shares(rule):
    def answer(beta):
        return tuple(_tensor(part) for part in rule(beta.numpy()))

    return answer


@exercise(
    "diff-zoo-bar",
    _share_cases,
    mistakes=[
        (
            _shares(lambda beta: _coefficients(1 - beta)),
            "That is the bug: one step's noise. How much has come together after t steps?",
        ),
        (
            _shares(lambda beta: (np.cumprod(1 - beta), 1 - np.cumprod(1 - beta))),
            "Those are the variances. What multiplies a picture?",
        ),
        (
            _shares(lambda beta: _coefficients(np.cumprod(1 - beta))[::-1]),
            "The order is: picture, then noise.",
        ),
        (
            _shares(lambda beta: _coefficients((1 - np.cumsum(beta)).clip(0))),
            "A sum of β is right for tiny ones only. What happens to the picture's share in each step?",
        ),
        (
            _shares(lambda beta: _coefficients(np.append(1.0, np.cumprod(1 - beta)[:-1]))),
            "One step late: code step 0 has seen one β already.",
        ),
        (
            _shares(lambda beta: (np.sqrt(np.cumprod(1 - beta)), 1 - np.sqrt(np.cumprod(1 - beta)))),
            "Do the squares add up to 1?",
        ),
        (
            _shares(lambda beta: _coefficients(np.cumprod(beta))),
            "That is the product of the β. Which share of the variance survives a step?",
        ),
    ],
)
def shares(beta):
    return _shares(lambda beta: _coefficients(np.cumprod(1 - beta)))(beta)


def _noisy_cases(rng):
    yield _tensor([[[[1.0]]]]), _tensor([[[[2.0]]]]), _tensor([0.36])
    x0, noise = rng.normal(size=(2, 4, 3, 2, 5))
    yield _tensor(x0), _tensor(noise), _tensor(rng.uniform(0.05, 0.95, size=4))
    x0, noise = rng.normal(size=(2, 3, 1, 4, 4))
    yield _tensor(x0), _tensor(noise), _tensor([1.0, 0.0, 0.5])


@exercise(
    "diff-zoo-root",
    _noisy_cases,
    mistakes=[
        (
            lambda x0, noise, bar: _tall(bar).sqrt() * x0 + (1 - _tall(bar)) * noise,
            "That is the bug. Which variance has a·noise?",
        ),
        (
            lambda x0, noise, bar: _tall(bar) * x0 + (1 - _tall(bar)) * noise,
            "Now neither has a root. Which variance has a·x₀ + b·noise?",
        ),
        (
            lambda x0, noise, bar: _tall(bar).sqrt() * x0 + (1 - _tall(bar).sqrt()) * noise,
            "The coefficients add up to 1. What should add up to 1?",
        ),
        (
            lambda x0, noise, bar: (1 - _tall(bar)).sqrt() * x0 + _tall(bar).sqrt() * noise,
            "Exchanged: what is left at ᾱ = 1?",
        ),
        (
            lambda x0, noise, bar: bar.sqrt() * x0,
            "alpha_bar has one value a picture. How does it meet (B, C, H, W)?",
        ),
    ],
)
def add_noise(x0, noise, alpha_bar):
    return _tall(alpha_bar).sqrt() * x0 + (1 - _tall(alpha_bar)).sqrt() * noise


@free_form("diff-zoo-ema")
def _check_under_average(under_average, rng):
    import torch

    class Shifted(torch.nn.Linear):
        """A layer with a buffer, as batch norm has one for its running mean."""

        def __init__(self):
            super().__init__(3, 2)
            self.register_buffer("shift", torch.zeros(2))

        def forward(self, x):
            return super().forward(x) - self.shift

    model = Shifted()
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(_tensor(rng.normal(size=tuple(value.shape))))
    own = {name: value.clone() for name, value in model.state_dict().items()}
    average = {name: value + k + 1 for k, (name, value) in enumerate(own.items())}
    kept = {name: value.clone() for name, value in average.items()}
    parameters = list(model.parameters())
    x = _tensor(rng.normal(size=(5, 3))).float()
    calls = []

    def measure(model):
        if not isinstance(model, torch.nn.Module):
            raise Wrong(
                f"measure gets {type(model).__name__}, wanted a model.", "Whom can measure ask for a sample?"
            )
        calls.append(1)
        with torch.no_grad():
            return model(x).square().mean()

    def under(*parts):
        """What measure returns with the own weights, but for the parts named."""
        other = copy.deepcopy(model)
        mixed = {name: kept[name] if name in parts else value for name, value in own.items()}
        other.load_state_dict(mixed)
        return measure(other)

    names = [name for name, _ in model.named_parameters()]
    wanted, without, halfway = under(*own), under(), under(*names)
    calls.clear()
    got = under_average(model, average, measure)
    if not calls:
        raise Wrong("measure was never called.", "What is measured under the averages?")
    if got is None:
        raise Wrong("your code returned None.", "What did measure say?")
    known = [
        (without, "That is the bug: whose weights has the model during the measurement?"),
        (
            halfway,
            "The parameters are exchanged, the buffer is not. What is in state_dict() beside the parameters?",
        ),
    ]
    expect_close(got, wanted, "what measure returned", rtol=1e-5, mistakes=known)
    now = model.state_dict()
    if all(torch.equal(now[name], kept[name]) for name in kept):
        raise Wrong(
            "after the call the model still has the averaged weights.",
            "Training goes on with its own weights. Is a copy kept, or a second name for the same memory?",
        )
    if not all(torch.equal(now[name], own[name]) for name in own):
        raise Wrong("after the call the model has other weights than before.", "Are all of them put back?")
    if not all(torch.equal(average[name], kept[name]) for name in kept):
        raise Wrong("your code changes the averages in place.", "They are read, not written.")
    if [id(p) for p in model.parameters()] != [id(p) for p in parameters]:
        raise Wrong(
            "the model has new parameter objects.",
            "The optimizer holds the old ones and would move those: which operation writes in place?",
        )

    class Broken(Exception):
        pass

    for error in (Broken, KeyboardInterrupt):
        what = "raises an error" if error is Broken else "is interrupted (Ctrl-C)"

        def broken(model, error=error):
            raise error

        try:
            under_average(model, average, broken)
        except error:
            pass
        else:
            raise Wrong(
                f"when measure {what}, your code says nothing of it.",
                "Whoever calls it has to know. What does Python run in any case, without catching anything?",
            )
        if not all(torch.equal(model.state_dict()[name], own[name]) for name in own):
            raise Wrong(
                f"when measure {what}, the model keeps the averaged weights.",
                "In a notebook a cell is often interrupted. What does Python run in any case?",
            )


def _clip_cases(rng):
    yield _tensor([[1.0, 0.0]]), _tensor([[0.0, 0.5]]), 0.25
    for bar in (1e-6, 0.3, 0.98):
        xt, noise = rng.normal(size=(2, 2, 3, 4, 4))
        yield _tensor(xt), _tensor(noise), bar


def _clipped(xt, noise, bar, clip=True, mend=True):
    x0 = (xt - math.sqrt(1 - bar) * noise) / math.sqrt(bar)
    x0 = x0.clip(-1, 1) if clip else x0
    return x0, (xt - math.sqrt(bar) * x0) / math.sqrt(1 - bar) if mend else noise


@exercise(
    "diff-zoo-clip",
    _clip_cases,
    atol=1e-4,
    mistakes=[
        (
            lambda xt, noise, bar: _clipped(xt, noise, bar, clip=False, mend=False),
            "That is the bug: which values can a pixel have?",
        ),
        (
            lambda xt, noise, bar: _clipped(xt, noise, bar, mend=False),
            "x₀ is right. Do x₀ and this noise still make up x_t?",
        ),
        (
            lambda xt, noise, bar: (_clipped(xt, noise.clip(-1, 1), bar, clip=False)[0], noise.clip(-1, 1)),
            "It is x₀ that has bounds. Noise may have any value.",
        ),
        (
            lambda xt, noise, bar: _clipped(xt.clip(-1, 1), noise, bar),
            "A noisy picture may leave [−1, 1]. What must not?",
        ),
        (
            lambda xt, noise, bar: (_clipped(xt, noise, bar)[0] + 1, _clipped(xt, noise, bar)[1]),
            "Pictures lie in [−1, 1].",
        ),
        (
            lambda xt, noise, bar: (_clipped(xt, noise, bar, clip=False)[0].clip(0, 1), noise),
            "Pictures lie in [−1, 1].",
        ),
        (lambda xt, noise, bar: _clipped(xt, noise, bar)[::-1], "The order is: x₀, then noise."),
    ],
)
def clipped(xt, noise, bar):
    return _clipped(xt, noise, bar)


def _variances(beta, before):
    beta = beta.numpy()
    bar = np.cumprod(1 - beta)
    return _tensor((1 - before(bar)) / (1 - bar) * beta)


@exercise(
    "diff-zoo-variance",
    _share_cases,
    mistakes=[
        (
            lambda beta: _variances(beta, lambda bar: np.roll(bar, 1)),
            "That is the bug: what stands before the first entry?",
        ),
        (
            lambda beta: beta.clone(),
            "(1 − ᾱ_t) / (1 − ᾱ_t) is 1. Which of the two should be one step earlier?",
        ),
        (
            lambda beta: _variances(beta, lambda bar: np.append(bar[1:], bar[-1])),
            "Moved to the wrong side: is there more or less noise a step earlier?",
        ),
        (
            lambda beta: _variances(beta, lambda bar: np.append(1.0, bar[:-1])).sqrt(),
            "That is the standard deviation.",
        ),
        (
            lambda beta: _variances(beta, lambda bar: np.append(bar[0], bar[:-1])),
            "The first one is not 0: how much of a clean picture is known before the first step?",
        ),
        (
            lambda beta: (v := step_variance(beta))[1:2].new_tensor([v[1], *v[1:]]),
            "Clipped for its logarithm. The variance itself: is anything uncertain when x0 is known?",
        ),
        (
            lambda beta: _variances(beta, lambda bar: np.append(0.0, bar[:-1])),
            "What is ᾱ before any noise, 0 or 1?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: len(got) == len(expected) - 1,
            "The first step has a variance, too. Which?",
        )
    ],
)
def step_variance(beta):
    return _variances(beta, lambda bar: np.append(1.0, bar[:-1]))


def _average_cases(rng):
    yield [(_tensor([1, 0]), _tensor([1, 3])), (_tensor([2]), _tensor([2]))]
    for sizes in ((4, 4, 1), (7, 2)):
        batches = []
        for size in sizes:
            labels = rng.integers(1, 4, size=size)
            batches.append((_tensor(rng.integers(0, labels + 1)), _tensor(labels)))
        yield batches


@exercise(
    "diff-zoo-average",
    _average_cases,
    mistakes=[
        (
            lambda batches: float(np.mean([float(hits.sum() / labels.sum()) for hits, labels in batches])),
            "That is the bug: how much does one label in the last batch count?",
        ),
        (
            lambda batches: float(
                np.mean([float(h / k) for hits, labels in batches for h, k in zip(hits, labels, strict=True)])
            ),
            "Each picture counts alike now. Should each label?",
        ),
        (
            lambda batches: float(np.mean([float((hits / labels).mean()) for hits, labels in batches])),
            "A mean of means of means. What is counted, in all?",
        ),
        (
            lambda batches: float(
                sum(int(h.sum()) for h, _ in batches) / sum(len(labels) for _, labels in batches)
            ),
            "Divided by the number of pictures. How many labels are there?",
        ),
        (
            lambda batches: int(sum(int(h.sum()) for h, _ in batches)),
            "That is the number of hits. Out of how many?",
        ),
    ],
)
def micro_average(batches):
    counts = np.array([(hits.numpy().sum(), labels.numpy().sum()) for hits, labels in batches])
    return float(counts[:, 0].sum() / counts[:, 1].sum())


@free_form("diff-zoo-ignored")
def _check_forward(forward, rng):
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.time = torch.nn.Embedding(10, 4)
            self.label = torch.nn.Linear(24, 4)
            self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2))

        def forward(self, xt, t, labels):
            raise Wrong("the model's own forward is called.", "Write it with model.time, .label and .body.")

    torch_seed = torch.random.get_rng_state()
    try:
        torch.manual_seed(int(rng.integers(1000)))
        model = Net()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(_tensor(rng.normal(size=tuple(parameter.shape))))
    finally:
        torch.random.set_rng_state(torch_seed)
    xt = _tensor(rng.normal(size=(5, 2))).float()
    t = _tensor(rng.integers(10, size=5))
    labels = _tensor((rng.uniform(size=(5, 24)) < 0.2).astype("float32"))
    got = call(lambda *inputs: forward(model, *inputs), xt, t, labels)
    _is_tensor(got)
    time, label = model.time(t), model.label(labels)
    known = [
        (xt + model.body(time), "That is the bug: where do the labels come in?"),
        (xt + model.body(label), "The labels are in. Does the network still know the step?"),
        (
            xt + model.body(time) + model.body(label),
            "Two passes. Which layer can combine step and labels?",
        ),
        (
            xt + model.body(time * label),
            "A product: an empty set of labels would hide the step. Add.",
        ),
        (model.body(time + label), "What has become of xt?"),
    ]
    right = xt + model.body(time + label)
    expect_close(got, right, "the output", rtol=1e-4, atol=1e-5, mistakes=known)
    if not got.requires_grad:
        raise Wrong("the output has no gradient.", "Is something detached, or under no_grad?")
    names, parameters = zip(*model.named_parameters(), strict=True)
    slopes, wanted = (
        torch.autograd.grad(out.sum(), parameters, retain_graph=True, allow_unused=True)
        for out in (got, right)
    )
    for name, slope, other in zip(names, slopes, wanted, strict=True):
        if slope is None or not bool(slope.any()):
            raise Wrong(
                f"no gradient reaches model.{name}.",
                "Is the labels' way into the output differentiable, and the step's?",
            )
        expect_close(slope, other, f"the gradient of model.{name}", rtol=1e-3, atol=1e-4)


@free_form("diff-zoo-order")
def _check_guided(guided, rng):
    import torch

    table = _tensor(rng.normal(size=(24,)))
    calls = []

    def model(xt, t, labels):
        calls.append(len(xt))
        if not len(xt) == len(t) == len(labels):
            raise Wrong(
                f"the model gets {len(xt)} pictures, {len(t)} steps and {len(labels)} label vectors.",
                "Whatever is stacked has to be stacked for pictures, steps and labels alike.",
            )
        if labels.shape[1:] != (24,):
            raise Wrong(f"labels of shape {tuple(labels.shape)}, wanted (…, 24).")
        return torch.sin(xt + _tall(labels.double() @ table)) + 0.1 * _tall(t.double()) * xt

    B = 4
    xt = _tensor(rng.normal(size=(B, 3, 2, 5)))
    t = _tensor(rng.integers(10, size=B))
    labels = _tensor((rng.uniform(size=(B, 24)) < 0.2).astype(float))
    labels[:, 0] = 1
    none, cond = model(xt, t, 0 * labels), model(xt, t, labels)
    for weights in ([0.0, 1.0, 2.0, 7.5], [3.0] * B):
        w = _tensor(weights)
        calls.clear()
        got = call(lambda *inputs: guided(model, *inputs), xt, t, labels, w)
        _is_tensor(got)
        wide = _tall(w)
        known = [
            (cond + wide * (none - cond), "That is the bug: which half has seen the labels?"),
            (
                cond + wide * (cond - none),
                "At w = 1 the result should be conditional. Where do you start from?",
            ),
            (none + wide * cond, "Starting from `none`, in which direction?"),
            (cond, "Where is w?"),
        ]
        right = none + wide * (cond - none)
        what = f"the guided prediction for w = {weights}"
        expect_close(got, right, what, rtol=1e-5, mistakes=known)
        if calls != [2 * B]:
            raise Wrong(
                f"the model was called {len(calls)} times, with {calls} pictures.",
                "One pass is enough: what can be stacked?",
            )


choice(
    "diff-zoo-judge",
    "c",
    options="abcd",
    hints={
        "a": "What has been raised, the quality of the points or the opinion of this judge?",
        "b": "More points measure the same thing more precisely. Is it the right thing?",
        "d": "Half of that number comes from the judge that was climbed. What does its 100% say?",
    },
)

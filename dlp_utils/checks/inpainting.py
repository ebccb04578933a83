"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on inpainting."""

import itertools
import math

import numpy as np

from dlp_utils.exercises import Wrong, agrees, call, choice, exercise, expect_close, free_form, number


def _tensor(values):
    import torch

    return torch.tensor(np.asarray(values))


def _is_tensor(got, what="the result"):
    import torch

    if not isinstance(got, torch.Tensor):
        raise Wrong(f"{what}: expected a tensor, got {type(got).__name__}.")


# --- exercises -----------------------------------------------------------------------------------------

number(
    "inpaint-bits",
    24_576 / 576,
    rtol=2e-3,
    mistakes=[
        (43, "Right, but rounded. One more digit."),
        (576 / 24_576, "Turned round: how many times fewer?"),
        (8192 / 576, "A pixel has three values."),
        (3072 / 576, "That compares the number of values with bits. How many bits has one value?"),
        (
            3072 / 64,
            "That compares the number of values with the number of tokens. Count bits on both sides.",
        ),
        (24_576 / (64 * 512), "A token is one of 512. How many bits tell which?"),
        (24_576 / (64 * math.log(512)), "That is in nats. A bit is log₂."),
        (24_576 / 64, "One token needs more than one bit."),
        (24_576, "Those are the bits of the picture. Divide by those of the tokens."),
        (576, "Those are the bits of the tokens. How many has the picture?"),
    ],
)

choice(
    "inpaint-bound",
    "b",
    options="abcd",
    hints={
        "a": "The cosine stays near 1 for long: is each number of hidden tokens drawn equally often?",
        "c": "The square schedule stays near 1 for long: is each number of hidden tokens drawn equally often?",
        "d": "In the bound each size n of the mask counts once, with the mean over that mask. Which γ draws n uniformly?",
    },
)


def _vq_parts(z, codebook):
    import torch

    tokens = torch.cdist(z, codebook).argmin(dim=1)
    return tokens, codebook[tokens] - z


def _vq(z, codebook, beta, share=2.0, sign=1.0, mean=False, for_z=None, cross=False):
    import torch

    tokens, difference = _vq_parts(z, codebook)
    grad = torch.zeros_like(codebook)
    grad.index_add_(0, tokens, share / len(z) * difference)
    if mean:
        counts = torch.bincount(tokens, minlength=len(codebook)).clamp(min=1)
        grad = grad * len(z) / counts[:, None]
    if cross:
        grad = (1 + beta) * grad
    weight = beta if for_z is None else for_z
    return -sign * share * weight / len(z) * difference, sign * grad


def _last_one_only(z, codebook):
    import torch

    tokens, difference = _vq_parts(z, codebook)
    grad = torch.zeros_like(codebook)
    for token, one in zip(tokens, difference, strict=True):
        grad[token] = 2 / len(z) * one
    return grad


def _vq_cases(rng):
    yield _tensor([[0.0, 1.0]]), _tensor([[0.0, 0.0], [9.0, 9.0]]), 0.5
    for n, codes in ((6, 3), (20, 7)):
        book = rng.normal(size=(codes, 4))
        book[-1] = 50  # chosen by nobody
        yield _tensor(rng.normal(size=(n, 4))), _tensor(book), float(rng.uniform(0.1, 0.6))


@exercise(
    "inpaint-vq",
    _vq_cases,
    mistakes=[
        (lambda z, c, beta: _vq(z, c, beta, share=1.0), "The derivative of a square has a 2 in front."),
        (
            lambda z, c, beta: _vq(z, c, beta, sign=-1.0),
            "Both signs are turned: that is the step, not the gradient.",
        ),
        (
            lambda z, c, beta: _vq(z, c, beta, mean=True),
            "You averaged over those who chose the code. The loss is a mean over all N outputs.",
        ),
        (
            lambda z, c, beta: _vq(z, c, beta, for_z=1 + beta),
            "The codebook loss does not move the outputs: there they stand behind a stop gradient.",
        ),
        (lambda z, c, beta: _vq(z, c, beta, for_z=1.0), "Where is β in the gradient by the outputs?"),
        (
            lambda z, c, beta: _vq(z, c, beta, cross=True),
            "The commitment loss does not move the codes: there they stand behind a stop gradient.",
        ),
        (
            lambda z, c, beta: _vq(z, c, beta, for_z=1 + beta, cross=True),
            "Without stop gradients both terms would move both sides. Here each moves one.",
        ),
        (
            lambda z, c, beta: tuple(part * len(z) for part in _vq(z, c, beta)),
            "Summed over the outputs; the losses are means.",
        ),
        (lambda z, c, beta: _vq(z, c, beta)[::-1], "The order is: by outputs, then by codes."),
        (
            lambda z, c, beta: tuple(part / z.shape[1] for part in _vq(z, c, beta)),
            "Averaged over the features, too. Here squares are summed over a vector.",
        ),
        (
            lambda z, c, beta: (_vq(z, c, beta)[0], _last_one_only(z, c)),
            "A code that several outputs chose gets the gradient of one of them: assigning overwrites. Add up.",
        ),
        (
            lambda z, c, beta: (_vq(z, c, beta)[0], beta * _vq(z, c, beta)[1]),
            "β belongs to the commitment loss alone.",
        ),
        (
            lambda z, c, beta: (-_vq(z, c, beta)[0], _vq(z, c, beta)[1]),
            "The gradient by the outputs has the wrong sign: to which side does the commitment pull?",
        ),
        (
            lambda z, c, beta: (_vq(z, c, beta)[0], -_vq(z, c, beta)[1]),
            "The gradient by the codes has the wrong sign: a step against it must bring them nearer.",
        ),
    ],
)
def vq_gradients(z, codebook, beta):
    return _vq(z, codebook, beta)


def _cosine(r):
    return math.cos(math.pi * r / 2)


def _linear(r):
    return 1 - r


def _square(r):
    return 1 - r**2


def _root(r):
    return 1 - math.sqrt(r)


def _schedule_cases(rng):
    yield 4, 2, _linear
    yield 5, 5, _linear
    yield 20, 10, _linear  # 0.7 · 20 is 14.000000000000002
    yield 64, 10, _linear
    yield 3, 1, _cosine
    for gamma in (_cosine, _square, _root):
        yield 64, 8, gamma
        yield 64, 16, gamma
    yield 9, 8, _square
    yield 12, 10, lambda r: (1 - r) ** 3
    yield int(rng.integers(30, 60)), 7, _cosine


def _counts(unknown, steps, gamma, rule):
    hidden = [unknown]
    for t in range(1, steps + 1):
        hidden.append(rule(t, hidden))
    return [a - b for a, b in itertools.pairwise(hidden)]


def _ceil(value):
    return math.ceil(value - 1e-9)


def _plain(unknown, steps, gamma):
    return _counts(unknown, steps, gamma, lambda t, m: _ceil(gamma(t / steps) * unknown))


def _whole_without_care(unknown, steps, gamma):
    return _counts(
        unknown,
        steps,
        gamma,
        lambda t, m: (
            0 if t == steps else min(max(math.ceil(gamma(t / steps) * unknown), steps - t), m[-1] - 1)
        ),
    )


def _never_done(unknown, steps, gamma):
    return _counts(
        unknown,
        steps,
        gamma,
        lambda t, m: min(max(math.ceil(gamma(t / steps) * unknown), steps - t), m[-1] - 1),
    )


def _without_reserve(unknown, steps, gamma):
    return _counts(
        unknown,
        steps,
        gamma,
        lambda t, m: 0 if t == steps else max(0, min(_ceil(gamma(t / steps) * unknown), m[-1] - 1)),
    )


def _of_the_current(unknown, steps, gamma):
    return _counts(unknown, steps, gamma, lambda t, m: _ceil(gamma(t / steps) * m[-1]))


def _floor(unknown, steps, gamma):
    return _counts(
        unknown,
        steps,
        gamma,
        lambda t, m: min(max(math.floor(gamma(t / steps) * unknown + 1e-9), steps - t), m[-1] - 1),
    )


def _hidden(unknown, steps, gamma):
    m = np.cumsum([0, *revealed(unknown, steps, gamma)])
    return [int(unknown - value) for value in m[1:]]


@exercise(
    "inpaint-schedule",
    _schedule_cases,
    mistakes=[
        (
            _whole_without_care,
            "(1 - 0.3)·20 is 14.000000000000002 in floating point. What does rounding up make of it?",
        ),
        (
            _plain,
            "Right where rounding leaves enough to reveal. What if ⌈γ·unknown⌉ has not fallen since the last step?",
        ),
        (
            lambda unknown, steps, gamma: _counts(
                unknown, steps, gamma, lambda t, m: math.ceil(gamma(t / steps) * unknown)
            ),
            "cos(π/2) is 6e-17 in floating point. What does rounding up make of it?",
        ),
        (
            _never_done,
            "cos(π/2) is 6e-17 in floating point. What does rounding up make of it, in the last step?",
        ),
        (
            _without_reserve,
            "A schedule that falls fast may leave nothing for the last steps. What must still be hidden after step t?",
        ),
        (_of_the_current, "γ is a share of the number of unknown tokens at the beginning."),
        (_floor, "The paper rounds up."),
        (
            lambda unknown, steps, gamma: revealed(unknown, steps, _linear),
            "That is the linear schedule, whichever γ is given.",
        ),
        (_hidden, "Those are the tokens that are still hidden. How many are revealed?"),
        (
            lambda unknown, steps, gamma: revealed(unknown, steps, gamma)[::-1],
            "In reverse order: γ is the share that is still hidden.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, list) and sum(got) != args[0],
            "All tokens must be revealed in the end, no more and no fewer.",
        ),
        (
            lambda args, expected, got: isinstance(got, list) and min(got, default=0) < 1,
            "Each step must reveal at least one token.",
        ),
    ],
)
def revealed(unknown, steps, gamma):
    return _counts(
        unknown,
        steps,
        gamma,
        lambda t, m: 0 if t == steps else min(max(_ceil(gamma(t / steps) * unknown), steps - t), m[-1] - 1),
    )


def _frechet_cases(rng):
    yield np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 5.0]])
    yield rng.normal(size=(12, 3)), 0.5 + rng.normal(size=(9, 3)) @ rng.normal(size=(3, 3))
    yield rng.normal(size=(5, 8)), rng.normal(size=(6, 8))


def _frechet(x, y, ddof=1, shift=True, factor=2.0, shift_root=False, naive=False):
    n, m = len(x) - ddof, len(y) - ddof
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    away = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    spread = np.sum(xc**2) / n + np.sum(yc**2) / m
    if naive:
        parts = []
        for c, k in ((xc, n), (yc, m)):
            values, vectors = np.linalg.eigh(c.T @ c / k)
            parts.append(vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T)
        cross = np.trace(parts[0] @ parts[1])
    else:
        cross = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / math.sqrt(n * m)
    away = math.sqrt(away) if shift_root else away
    return float(shift * away + spread - factor * cross)


@exercise(
    "inpaint-frechet",
    _frechet_cases,
    rtol=1e-4,
    atol=1e-6,
    mistakes=[
        (lambda x, y: _frechet(x, y, ddof=0), "The covariances divide by n − 1, as np.cov does."),
        (lambda x, y: _frechet(x, y, shift=False), "Where is the distance of the means?"),
        (lambda x, y: _frechet(x, y, shift_root=True), "The distance of the means is squared."),
        (lambda x, y: _frechet(x, y, factor=1.0), "There is a 2 in front of the cross term."),
        (
            lambda x, y: _frechet(x, y, naive=True),
            "The root of a product is not the product of the roots, unless the covariances commute.",
        ),
        (lambda x, y: math.sqrt(max(_frechet(x, y), 0)), "The squared distance is asked for."),
        (
            lambda x, y: float(np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)),
            "That is the distance of the means. Two clouds may differ in shape.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, complex) or np.iscomplexobj(got),
            "The root of a singular product comes with imaginary parts. Is there a way without it?",
        ),
        (
            lambda args, expected, got: isinstance(got, float) and not math.isfinite(got),
            "With fewer pictures than features the covariances are singular. Is there a way without a matrix root?",
        ),
    ],
)
def frechet(x, y):
    return _frechet(x, y)


number(
    "inpaint-price",
    0.39911,
    rtol=4e-3,
    mistakes=[
        (
            0.66526,
            "That is every second place first. What do four places at distance 2 cost in the first step?",
        ),
        (0.64306, "Close to every second place. Try fewer places in the first step, too."),
        (2.57645, "That is the price of one step."),
        (1.76273, "That is the first half, then the second: neighbors are drawn together. Try all sets."),
        (0.57580, "That is in bits. Nats are asked for."),
        (0.42131, "Nearly. Did you try all 254 sets?"),
        (0.42315, "Nearly: two places first. Did you try all 254 sets?"),
        (0.0, "In two steps something has to be drawn together. Is the first step counted?"),
    ],
)


def _cells_cases(rng):
    one = np.zeros((1, 4, 8), bool)
    one[0, 1, 3] = True
    yield _tensor(one), 4, 1
    yield _tensor(one), 2, 0
    for shape, patch, reach in (((2, 12, 18), 3, 2), ((2, 16, 8), 2, 1), ((1, 12, 12), 4, 4)):
        yield _tensor(rng.uniform(size=shape) < 0.03), patch, reach


def _windows(pixels, patch, reach, pad=0.0):
    """Whether each patch, and `reach` pixels around it, holds a missing pixel; pad: what lies outside."""
    import torch

    padded = torch.nn.functional.pad(pixels[:, None].double(), (reach,) * 4, value=pad)
    return torch.nn.functional.max_pool2d(padded, patch + 2 * reach, stride=patch)[:, 0] > 0


def _cells_around(pixels, patch, reach):
    import torch

    return torch.nn.functional.max_pool2d(_windows(pixels, patch, 0).double()[:, None], 3, 1, 1)[:, 0] > 0


def _cells_majority(pixels, patch, reach):
    import torch

    return torch.nn.functional.avg_pool2d(pixels[:, None].double(), patch)[:, 0] >= 0.5


@exercise(
    "inpaint-cells",
    _cells_cases,
    mistakes=[
        (
            lambda pixels, patch, reach: _windows(pixels, patch, 0),
            "That is the lab's encoder, which sees its own patch only. Where is the reach?",
        ),
        (
            lambda pixels, patch, reach: _windows(pixels, patch, reach, pad=1.0),
            "What lies outside of the picture is not missing.",
        ),
        (
            _cells_around,
            "That adds all neighboring tokens, however near the missing pixel is. The reach is in pixels.",
        ),
        (
            lambda pixels, patch, reach: _windows(pixels, patch, 2 * reach),
            "Too far: `reach` pixels on each side, not twice as many.",
        ),
        (_cells_majority, "A majority is not needed. One missing pixel is enough."),
        (lambda pixels, patch, reach: ~_windows(pixels, patch, reach), "True means unknown."),
        (
            lambda pixels, patch, reach: _windows(pixels, patch, reach).double(),
            "Right values, but as numbers. A mask is of type bool.",
        ),
    ],
)
def unknown_tokens(pixels, patch, reach):
    return _windows(pixels, patch, reach)


# --- bug zoo -------------------------------------------------------------------------------------------


@free_form("inpaint-zoo-dropout")
def _check_weighted(weighted, rng):
    import torch

    share = 0.25
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(int(rng.integers(1000)))
        for shape in ((6, 12), (2, 2, 5, 9)):
            scores = _tensor(rng.normal(size=shape))
            # The rows of v tell the weights, twice over: a weight is dropped for all features of a value.
            v = torch.eye(shape[-1]).double().repeat(1, 2).expand(*shape[:-2], -1, -1).contiguous()
            p = scores.softmax(-1)
            got = call(lambda *inputs: weighted(*inputs, torch.nn.Dropout(share)), scores, v)
            _is_tensor(got)
            if agrees(got.double(), p, rtol=1e-5) or tuple(got.shape) == shape:
                raise Wrong(f"got shape {tuple(got.shape)}.", "Those are the weights. And the look-up?")
            if got.shape != (p @ v).shape:
                raise Wrong(f"got shape {tuple(got.shape)}, wanted {tuple((p @ v).shape)}.")
            weights, twice = got.double().detach().split(shape[-1], dim=-1)
            dropped = (weights == 0) & (p > 0)
            kept = torch.where(dropped, 0.0, p)
            normal = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)
            what = "the answers are not what dropped weights give."
            if agrees(weights, p, rtol=1e-4):
                raise Wrong(what, "The weights are not dropped.")
            if not torch.equal(weights, twice):
                raise Wrong(what, "That drops features. Drop weights.")
            if not dropped.any() and agrees(normal, weights, rtol=1e-4):
                raise Wrong(what, "That is the bug: a score of 0 is not a weight of 0.")
            if agrees(weights, kept, rtol=1e-4):
                raise Wrong(what, "Use the module's output: it scales what it keeps.")
            if agrees(normal, weights, rtol=1e-4):
                raise Wrong(
                    what, "Dropout has scaled what it kept, so that means are right. Do not normalize again."
                )
            across = scores.softmax(-2)
            if agrees(weights, torch.where(dropped, 0.0, across) / (1 - share), rtol=1e-4):
                raise Wrong(what, "Each query distributes a weight of 1 over the keys: along which axis?")
            expect_close(weights, kept / (1 - share), "the weights that are kept", rtol=1e-4)
            if not 0.05 < dropped.double().mean() < 0.55:
                raise Wrong(f"{dropped.double().mean():.0%} of the weights are dropped, wanted {share:.0%}.")
            off = torch.nn.Dropout(share).eval()
            v = _tensor(rng.normal(size=(*shape[:-1][:-1], shape[-1], 3)))
            got = call(lambda *inputs: weighted(*inputs, off), scores, v)  # noqa: B023
            expect_close(
                got,
                p @ v,
                "the answers with dropout switched off",
                rtol=1e-5,
                hint="In evaluation mode nothing is dropped: does the module know its mode?",
            )
    finally:
        torch.random.set_rng_state(state)


def _corrupt_cases(rng):
    yield _tensor([[3, 1, 2]]), _tensor([[True, False, False]]), 9
    yield _tensor(rng.integers(5, size=(2, 6))), _tensor(rng.uniform(size=(2, 6)) < 0.5), 5


@exercise(
    "inpaint-zoo-mask",
    _corrupt_cases,
    mistakes=[
        (
            lambda tokens, masked, mask_id: tokens.where(masked, _like(tokens, mask_id)),
            "That is the bug: what is True in `masked` shall be hidden.",
        ),
        (
            lambda tokens, masked, mask_id: tokens * ~masked,
            "Token 0 is a token like others. Hide behind mask_id.",
        ),
        (
            lambda tokens, masked, mask_id: _like(tokens, mask_id),
            "Everything is hidden now.",
        ),
        (lambda tokens, masked, mask_id: tokens[~masked], "Hidden tokens keep their places."),
    ],
)
def corrupt(tokens, masked, mask_id):
    return tokens.masked_fill(masked, mask_id)


def _like(tokens, value):
    import torch

    return torch.full_like(tokens, value)


def _loss_cases(rng):
    yield _tensor([[[2.0, 0.0], [0.0, 1.0]]]), _tensor([[0, 0]]), _tensor([[True, False]])
    for B, N, K in ((2, 5, 4), (3, 7, 6)):
        masked = rng.uniform(size=(B, N)) < 0.4
        masked[0, 0], masked[0, 1], masked[1] = True, False, False
        masked[1, :3] = True
        yield _tensor(2 * rng.normal(size=(B, N, K))), _tensor(rng.integers(K, size=(B, N))), _tensor(masked)


def _each(logits, tokens):
    return -logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


@exercise(
    "inpaint-zoo-loss",
    _loss_cases,
    mistakes=[
        (
            lambda logits, tokens, masked: _each(logits, tokens).mean(),
            "That is the bug: visible tokens count as well, and copying them is easy.",
        ),
        (
            lambda logits, tokens, masked: _each(logits, tokens)[~masked].mean(),
            "Those are the visible ones.",
        ),
        (
            lambda logits, tokens, masked: (_each(logits, tokens) * masked).mean(),
            "Divided by all tokens. How many are hidden?",
        ),
        (
            lambda logits, tokens, masked: _each(logits, tokens)[masked].sum(),
            "The mean over the hidden tokens.",
        ),
        (
            lambda logits, tokens, masked: (
                (_each(logits, tokens) * masked).sum(1) / masked.sum(1).clamp(min=1)
            ).mean(),
            "A mean for each picture, as in the bound. Here all hidden tokens of the batch count alike.",
        ),
        (
            lambda logits, tokens, masked: -logits.gather(-1, tokens[..., None])[..., 0][masked].mean(),
            "Those are logits. Which function makes log-probabilities of them?",
        ),
        (
            lambda logits, tokens, masked: -_each(logits, tokens)[masked].mean(),
            "The sign: a loss falls when the right token gets likelier.",
        ),
        (
            lambda logits, tokens, masked: (
                -logits.log_softmax(1).gather(-1, tokens[..., None])[..., 0][masked].mean()
            ),
            "The probabilities of one place add up to 1: over which axis is the softmax?",
        ),
        (
            lambda logits, tokens, masked: (
                -logits.softmax(-1).log_softmax(-1).gather(-1, tokens[..., None])[..., 0][masked].mean()
            ),
            "cross_entropy takes logits: it applies the softmax itself.",
        ),
    ],
    differentiable=True,
)
def masked_loss(logits, tokens, masked):
    return _each(logits, tokens)[masked].mean()


def _decode(predict, tokens, counts, mask_id, stale=False, least=False, at_once=False):
    start, tokens = tokens.clone(), tokens.clone()
    for count in [sum(counts)] if at_once else counts:
        log_p, found = predict(start if stale else tokens).log_softmax(-1).max(-1)
        log_p = -log_p if least else log_p
        hidden = tokens == mask_id
        log_p = log_p.masked_fill(~hidden, -float("inf"))
        places = log_p.topk(count, dim=1).indices
        tokens.scatter_(1, places, found.gather(1, places))
    return tokens


@free_form("inpaint-zoo-grey")
def _check_fill(fill, rng):
    import torch

    K = 6
    table = _tensor(rng.normal(size=(K + 1, K)))
    sure = _tensor(rng.uniform(0.5, 3.0, size=(1, 10, 1)))

    calls = []

    def predict(tokens):
        if not isinstance(tokens, torch.Tensor) or tokens.dtype != torch.long:
            raise Wrong("predict gets something that is not a tensor of token numbers (long).")
        calls.append(tokens.clone())
        near = table[tokens.roll(1, 1)] + 2 * table[tokens.roll(-1, 1)]  # it looks at both neighbors
        return sure[:, : tokens.shape[1]] * near

    tokens = _tensor(rng.integers(K, size=(4, 10)))
    tokens[:, 2:8] = K
    for counts in ([6], [1, 2, 3], [1, 1, 1, 1, 1, 1]):
        calls.clear()
        got = call(lambda given, counts=counts: fill(predict, given, counts, K), tokens)
        made = list(calls)
        _is_tensor(got)
        if got.shape != tokens.shape:
            raise Wrong(f"got shape {tuple(got.shape)}, wanted {tuple(tokens.shape)}.")
        if (got == K).any():
            raise Wrong(
                f"with counts {counts}, {int((got == K).sum())} tokens are still hidden at the end.",
                "Do known places compete with the hidden ones for the count?",
            )
        if not torch.equal(got[tokens != K], tokens[tokens != K]):
            raise Wrong("a token that was given has changed.", "Only hidden places may be filled.")
        passes = sum(len(given) for given in made) / len(tokens)  # row by row is one pass, too
        if torch.equal(got, _decode(predict, tokens, counts, K)) and passes <= len(counts) + 1:
            continue  # one pass more, of which nothing is used, is no mistake
        hint = ""
        if passes < len(counts):
            hint = "One pass of the network in each step."
        elif len(counts) > 1 and torch.equal(got, _decode(predict, tokens, counts, K, stale=True)):
            hint = "That is the bug: every pass sees the tokens of the beginning. Let it see what has been chosen."
        elif passes > len(counts) + 1:
            hint = "More passes than steps: one pass of the network in each step is enough."
        elif torch.equal(got, _decode(predict, tokens, counts, K, least=True)):
            hint = "The most confident first, not the least."
        raise Wrong(f"with counts {counts} other tokens come out.", hint)


def _temperature_cases(rng):
    yield 1, 2, 1.0
    yield 8, 8, 4.5
    for step in (1, 3, 7):
        yield step, 8, 4.5
    yield 5, 12, float(rng.uniform(1, 6))


@exercise(
    "inpaint-zoo-temperature",
    _temperature_cases,
    mistakes=[
        (lambda step, steps, start: start * step / steps, "That is the bug: it rises."),
        (lambda step, steps, start: start * (step - 1) / steps, "That is the bug: it rises."),
        (lambda step, steps, start: start * (step - 1) / (steps - 1), "That is the bug: it rises."),
        (lambda step, steps, start: start * (1 + step / steps), "That is the bug: it rises."),
        (lambda step, steps, start: start * (1 + step), "That is the bug: it rises."),
        (lambda step, steps, start: start, "It stays as it is. It should fall to 0."),
        (
            lambda step, steps, start: start * (1 - (step - 1) / steps),
            "One step late: after the last step, step = steps, it is 0.",
        ),
        (
            lambda step, steps, start: start * (1 - (step - 1) / (steps - 1)),
            "It starts at the full temperature. Step 1 of T already has the share 1/T done.",
        ),
        (lambda step, steps, start: 1 - step / steps, "Where is the temperature of the start?"),
        (
            lambda step, steps, start: start * math.cos(math.pi * step / (2 * steps)),
            "That is the schedule of the mask. The temperature falls linearly.",
        ),
    ],
)
def temperature_at(step, steps, start):
    return start * (1 - step / steps)


def _confidence_cases(rng):
    yield _tensor([[0.5]]), _tensor([[0.5]]), 1.0
    yield _tensor([[0.9, 0.1]]), _tensor([[0.3, 0.7]]), 0.0
    p, u = rng.uniform(0.01, 1, size=(2, 3, 5))
    yield _tensor(p), _tensor(u), float(rng.uniform(0.5, 4))


def _gumbel(u):
    return -(-u.log()).log()


@exercise(
    "inpaint-zoo-confidence",
    _confidence_cases,
    mistakes=[
        (
            lambda p, uniform, temperature: p + temperature * _gumbel(uniform),
            "That is the bug: the Gumbel-max trick wants log-probabilities.",
        ),
        (
            lambda p, uniform, temperature: p.log() - temperature * _gumbel(uniform),
            "The noise has the wrong sign.",
        ),
        (
            lambda p, uniform, temperature: p.log() + temperature * uniform,
            "Uniform noise. How does one make Gumbel noise of it?",
        ),
        (
            lambda p, uniform, temperature: p.log() - temperature * uniform.log(),
            "One logarithm is missing: that is exponential noise.",
        ),
        (
            lambda p, uniform, temperature: p.log() + _gumbel(uniform),
            "Where is the temperature?",
        ),
        (
            lambda p, uniform, temperature: temperature * (p.log() + _gumbel(uniform)),
            "The temperature multiplies the noise alone.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: args[2] == 0,
            "At temperature 0 nothing but the confidence remains; do not divide by it.",
        )
    ],
)
def confidence(p, uniform, temperature):
    return p.log() + temperature * _gumbel(uniform)


def _still_cases(rng):
    yield 1, 2, 4
    yield 5, 8, 20  # 12.19: up, and not to the nearest
    yield 8, 8, 64
    for step in (1, 3, 7):
        yield step, 8, 64
    yield 3, 8, 10  # 8.59
    yield 5, 12, int(rng.integers(20, 90))


@exercise(
    "inpaint-zoo-counts",
    _still_cases,
    mistakes=[
        (
            lambda step, steps, unknown: math.ceil((1 - math.sqrt(step / steps)) * unknown - 1e-9),
            "1 − √r is one of the bugs. What does 'square' mean?",
        ),
        (
            lambda step, steps, unknown: math.ceil((1 - step / steps) * unknown - 1e-9),
            "That is the linear schedule.",
        ),
        (
            lambda step, steps, unknown: math.ceil((1 - step / steps) ** 2 * unknown - 1e-9),
            "The square of what is left, which is convex. One minus the square of r is wanted.",
        ),
        (
            lambda step, steps, unknown: math.ceil((step / steps) ** 2 * unknown - 1e-9),
            "Those are revealed. How many are hidden?",
        ),
        (
            lambda step, steps, unknown: int((1 - (step / steps) ** 2) * unknown),
            "The paper rounds up.",
        ),
        (
            lambda step, steps, unknown: round((1 - (step / steps) ** 2) * unknown),
            "The paper rounds up.",
        ),
        (
            lambda step, steps, unknown: (1 - (step / steps) ** 2) * unknown,
            "A whole number of tokens: which way does the paper round?",
        ),
    ],
)
def still_masked(step, steps, unknown):
    return math.ceil((1 - (step / steps) ** 2) * unknown - 1e-9)


@free_form("inpaint-zoo-accumulate")
def _check_train_step(train_step, rng):
    import torch

    for count in (1, 4, 3):
        batches = [_tensor(rng.normal(size=(5, 3))).float() for _ in range(count)]
        start = _tensor(rng.normal(size=3)).float()

        class Counting(torch.optim.SGD):
            steps = 0

            def step(self, closure=None):
                self.steps += 1
                return super().step(closure)

        def run(function, stale, batches=batches, start=start, Counting=Counting):
            weight = torch.nn.Parameter(start.clone())
            optimizer = Counting([weight], lr=0.1)
            weight.grad = torch.ones(3) if stale else None

            def loss_of(rows, weight=weight):
                return (rows @ weight - 1).square().mean()

            call(lambda *given: function(loss_of, list(given), optimizer), *batches)
            return weight.detach() - start, optimizer.steps

        weight = start.clone().requires_grad_()
        slopes = [torch.autograd.grad((batch @ weight - 1).square().mean(), weight)[0] for batch in batches]
        wanted = -0.1 * sum(slopes) / count
        moved, steps = run(train_step, stale=False)
        if steps != 1:
            raise Wrong(
                f"{steps} optimizer steps for {count} small batches, wanted one.",
                "Step after the last of them, not on the way.",
            )
        hint = ""
        for wrong, text in (
            (-0.1 * sum(slopes), "The losses are added up. Each should count for its share."),
            (-0.1 * slopes[-1], "Only the last batch counts. When are gradients set to zero?"),
            (-0.1 * slopes[-1] / count, "Only the last batch counts. When are gradients set to zero?"),
            (-0.1 * slopes[0], "Only the first batch counts. When does the step come?"),
            (-0.1 * slopes[0] / count, "Only the first batch counts. When does the step come?"),
            (torch.zeros(3), "The weights do not move. Where is backward?"),
        ):
            if count > 1 and torch.allclose(moved, wrong, atol=1e-7):
                hint = text
        expect_close(moved, wanted, f"the step from {count} batches", rtol=1e-4, atol=1e-6, hint=hint)
        moved, _ = run(train_step, stale=True)
        expect_close(
            moved,
            wanted,
            "the step when an old gradient was left over",
            rtol=1e-4,
            atol=1e-6,
            hint="Set gradients to zero before the first batch.",
        )

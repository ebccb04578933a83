"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on sequences."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, interval, number
from dlp_utils.models.sequences import lstm_step, paper_gru_step, rnn_backward, rnn_step, unroll

# --- bug zoo -------------------------------------------------------------------------------------------


def _generator(rng):
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _normal(rng, *size, dtype=torch.float64):
    return torch.randn(size, generator=_generator(rng), dtype=dtype)


def _tensors(state):
    if state is None:
        return []
    return [state] if torch.is_tensor(state) else [t for part in state for t in _tensors(part)]


def _same_structure(a, b):
    if a is None or torch.is_tensor(a):
        return (a is None) == (b is None) and torch.is_tensor(a) == torch.is_tensor(b)
    return type(a) is type(b) and len(a) == len(b) and all(map(_same_structure, a, b))


@free_form("seq-zoo-detach")
def _check_cut(cut, rng):
    weight = _normal(rng, 3, 3).requires_grad_()

    def grown(n):
        return torch.tanh(_normal(rng, n, 3) @ weight)

    layers = (grown(2), grown(2))
    states = [None, grown(2), layers, [grown(1), None], ((grown(2), grown(1)), [grown(3)])]
    for state in states:
        before = [t.detach().clone() for t in _tensors(state)]
        had = [t.grad_fn for t in _tensors(state)]
        try:
            got = cut(state)
        except AttributeError:
            raise Wrong(
                f"no answer for a {type(state).__name__}.",
                "An LSTM hands on a tuple, some models a list of such, and before the first block there is None.",
            ) from None
        _expect_untouched(_tensors(state), before)
        if not _same_structure(state, got):
            raise Wrong(
                f"a {type(state).__name__} went in, and something built otherwise came out.",
                "The next call of the layer wants the same structure: tuples stay tuples, None stays None.",
            )
        if [t.grad_fn for t in _tensors(state)] != had:
            raise Wrong("the state that you were given has lost its graph.", "Who else may need it?")
        for t, b in zip(_tensors(got), before, strict=True):
            if t.requires_grad:
                raise Wrong("the result still leads back to the weights.", "Which call cuts the graph?")
            expect_close(t, b, "the numbers", hint="The state goes on; only its history is cut.")


def _expect_untouched(now, before):
    if not all(torch.equal(a.detach(), b) for a, b in zip(now, before, strict=True)):
        raise Wrong("your code modifies its input in place.", "Work on a copy.")


def _quarters(rng):
    yield (torch.tensor([[1.0], [2.0], [3.0], [4.0]]),)
    yield (torch.arange(8.0),)
    for h, d in ((3, 5), (4, 4), (1, 2)):
        yield (_normal(rng, 4 * h, d),)


def _by_order(*order):
    return lambda w: torch.cat([w.chunk(4)[k] for k in order])


@exercise(
    "seq-zoo-gates",
    _quarters,
    mistakes=[
        (lambda w: w, "That is the order in which they came."),
        (_by_order(0, 2, 1, 3), "i and f stand right already."),
        (_by_order(0, 3, 1, 2), "Third shall be g, which came last; fourth o, which came third."),
        (_by_order(0, 2, 3, 1), "i and f stand right already."),
        (
            lambda w: w.reshape(-1, 4, *w.shape[1:])[:, [0, 1, 3, 2]].reshape(w.shape),
            "The parts lie one below the other, not in turns of four rows.",
        ),
        (
            lambda w: torch.cat([w[:2], w[3:4], w[2:3]]),
            "Each part has H rows, not one.",
        ),
    ],
)
def reorder(w):
    return _by_order(0, 1, 3, 2)(w)


@free_form("seq-zoo-neighbors")
def _check_alone(alone_each, rng):
    def right(x):
        return torch.cumsum(x, dim=1) * 2

    def along_batch(x):
        return torch.cumsum(x, dim=0)

    def backward_in_batch(x):  # only earlier ones hear later ones
        return torch.cumsum(x.flip(0), dim=0).flip(0)

    def centered(x):
        return x - x.mean(dim=0)

    def last_hears(x):
        y = torch.tanh(x)
        return torch.cat([y[:-1], y[-1:] + x.roll(1, 0)[-1:]])

    def late(x):  # heard at the last step only
        return torch.cat([x[:, :-1], x[:, -1:] + x[:1, -1:]], dim=1)

    def sorts(x):
        return x * x[:, :1].abs()

    cases = [
        (right, True, "A layer that adds up along the steps of each sequence."),
        (sorts, True, "Each sequence is multiplied by its own first step."),
        (
            along_batch,
            False,
            "A layer that adds up over the batch. What becomes of the others if one changes?",
        ),
        (backward_in_batch, False, "Here the first sequences hear the later ones. Change each in turn."),
        (last_hears, False, "Here only the last sequence hears its neighbor. Change each in turn."),
        (late, False, "Here the others hear the first one, at the last step only. Compare all steps."),
        (centered, False, "Here the mean over the batch is taken off."),
    ]
    for n, t, d in ((3, 4, 2), (4, 4, 3), (2, 5, 1)):
        x = _normal(rng, n, t, d, dtype=torch.float32) + 2
        for run, expected, hint in cases:
            given = x.clone()
            got = alone_each(run, given)
            _expect_untouched([given], [x])
            if not isinstance(got, (bool, np.bool_)) and not (torch.is_tensor(got) and got.numel() == 1):
                raise Wrong(f"{type(got).__name__} is neither True nor False.")
            if bool(got) != expected:
                raise Wrong(f"{bool(got)} for a batch of {n}; wanted {expected}.", hint)

    def single(x):  # rounding, which depends on the others
        return torch.sin(x) + 1e-7 * x.mean(dim=0)

    if not alone_each(single, _normal(rng, 3, 4, 2, dtype=torch.float32)):
        raise Wrong("False where the outputs differ in the seventh digit.", "Compare up to rounding, 1e-5.")


def _padded(rng):
    h = torch.tensor([[[1.0], [5.0]], [[3.0], [7.0]]])
    yield h, torch.tensor([1, 2])
    for t, n, d in ((4, 3, 2), (6, 2, 5), (3, 4, 1)):
        lengths = torch.from_numpy(rng.integers(1, t + 1, n))
        lengths[0], lengths[-1] = t, 1
        yield _normal(rng, t, n, d) + 1, lengths
    h, lengths = _normal(rng, 4, 2, 3), torch.tensor([4, 2])
    h[2:, 1] = torch.nan
    yield h, lengths


def _mask(h, lengths):
    return torch.arange(len(h))[:, None] < lengths  # (T, N)


def _true_mean(h, lengths):
    return torch.stack([h[:n, k].mean(dim=0) for k, n in enumerate(lengths)])


@exercise(
    "seq-zoo-mean",
    _padded,
    mistakes=[
        (
            lambda h, n: (h * _mask(h, n)[..., None]).sum(dim=0) / n[:, None],
            "nan times 0 is nan. Choose, do not multiply.",
        ),
        (lambda h, n: h.mean(dim=0), "The padding is averaged as well."),
        (
            lambda h, n: torch.where(_mask(h, n)[..., None], h, 0).mean(dim=0),
            "The padding is out of the sum and still in the number that you divide by.",
        ),
        (
            lambda h, n: torch.where(_mask(h, n)[..., None], h, 0).sum(dim=0),
            "That is the sum of the true states.",
        ),
        (
            lambda h, n: h[n - 1, torch.arange(h.shape[1])],
            "That is the last true state, not the mean of all.",
        ),
        (
            lambda h, n: torch.stack([h[: k + 1, i].mean(dim=0) for i, k in enumerate(n)]),
            "One state too many: a sequence of length n has the states 0 … n - 1.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: torch.is_tensor(got) and got.shape == args[0].mean(dim=1).shape,
            "Average over the steps, the first axis; the answer has a row for each sequence.",
        ),
    ],
)
def mean_states(h, lengths):
    return _true_mean(h, lengths)


def _scored(rng):
    yield torch.zeros(2, 2, 3), torch.tensor([[0, 1], [2, 0]]), torch.tensor([2, 1])
    for t, n, v in ((4, 3, 5), (3, 5, 2), (6, 2, 7)):
        lengths = torch.from_numpy(rng.integers(1, t + 1, n))
        lengths[0], lengths[-1] = t, 1
        targets = torch.from_numpy(rng.integers(0, v, (t, n)))  # 0 is a true symbol, too
        yield 2 * _normal(rng, t, n, v), targets, lengths


def _losses(logits, targets):
    flat = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view(targets.shape)


@exercise(
    "seq-zoo-padding",
    _scored,
    atol=1e-6,
    mistakes=[
        (lambda z, y, n: _losses(z, y).mean(), "That mean runs over the padding as well."),
        (
            lambda z, y, n: (_losses(z, y) * _mask(z, n)).mean(),
            "The padding is out of the sum and still in the number that you divide by.",
        ),
        (
            lambda z, y, n: ((_losses(z, y) * _mask(z, n)).sum(dim=0) / n).mean(),
            "A mean for each sequence, then the mean of those: symbols of short ones count more. All count alike.",
        ),
        (lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum(), "That is the sum, not the mean."),
        (
            lambda z, y, n: F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=0),
            "Here 0 is a true symbol as well. The lengths say what is padding.",
        ),
        (
            lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum() / n.sum() / math.log(2),
            "Nats are wanted: the natural logarithm.",
        ),
    ],
)
def true_loss(logits, targets, lengths):
    mask = _mask(logits, lengths)
    return _losses(logits, targets)[mask].mean()


def _cut_into(ids, n, length):
    each = (len(ids) - 1) // n
    x, y = ids[: each * n].view(n, each).T, ids[1 : each * n + 1].view(n, each).T
    return [(x[k : k + length], y[k : k + length]) for k in range(0, each - length + 1, length)]


@free_form("seq-zoo-order")
def _check_goes_on(goes_on, rng):
    ids = torch.from_numpy(rng.permutation(400))  # no symbol twice
    good = _cut_into(ids, 4, 6)
    other = [(x.flip(1), y.flip(1)) if k == 3 else (x, y) for k, (x, y) in enumerate(good)]
    one = [(x.clone(), y) for x, y in good]
    one[5][0][0, 2] = 999
    cases = [
        (good, True, "Blocks cut one after the other from pieces of a text."),
        (good[:1], True, "A single block has nothing to go on from: nothing is broken."),
        (good[::2], False, "Every second block is left out."),
        (good[::-1], False, "The blocks come in the reverse order."),
        ([*good[:3], good[4], good[3], *good[5:]], False, "Two blocks in the middle have changed places."),
        (other, False, "In one block the columns have changed places. Compare each column with itself."),
        (one, False, "A single column of a single block goes wrong."),
        ([*good[:-2], good[-1]], False, "The last block but one is missing."),
    ]
    repeated = torch.from_numpy(rng.integers(0, 3, 200))
    cases.append((_cut_into(repeated, 2, 5), True, "Few symbols, many repeats, in the right order."))
    for pairs, expected, hint in cases:
        given = [(x.clone(), y.clone()) for x, y in pairs]
        got = goes_on(given)
        if len(given) != len(pairs):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        _expect_untouched(*([t for pair in part for t in pair] for part in (given, pairs)))
        if not isinstance(got, (bool, np.bool_)) and not (torch.is_tensor(got) and got.numel() == 1):
            raise Wrong(f"{type(got).__name__} is neither True nor False.")
        if bool(got) != expected:
            raise Wrong(f"{bool(got)}; wanted {expected}.", hint)


def _clip_cases(rng):
    yield [torch.tensor([3.0, 4.0])], [torch.tensor([30.0, 40.0])], 0.1, 1.0
    yield [torch.tensor([1.0]), torch.tensor([2.0])], [torch.tensor([3.0]), torch.tensor([4.0])], 0.5, 1.0
    yield [torch.tensor([1.0])], [torch.tensor([0.0])], 0.1, 1.0
    for scale, most in ((5.0, 1.0), (0.01, 1.0), (0.2, 3.0), (40.0, 2.0)):
        shapes = (2, 3), (4,), ()
        yield (
            [_normal(rng, *shape) for shape in shapes],
            [scale * _normal(rng, *shape) for shape in shapes],
            0.1,
            most,
        )


def _stepped(weights, gradients, lr, most, each=False, value=False, always=False, sign=-1, square=False):
    norms = [g.norm().item() for g in gradients]
    whole = math.hypot(*norms)
    whole = whole**2 if square else whole
    out = []
    for w, g, own in zip(weights, gradients, norms, strict=True):
        norm = own if each else whole
        factor = most / norm if norm > most or (always and norm > 0) else 1.0
        out.append(w + sign * lr * (g.clamp(-most, most) if value else factor * g))
    return out


def _step_mistake(**kind):
    return lambda *args: _stepped(*args, **kind)


@exercise(
    "seq-zoo-clip",
    _clip_cases,
    rtol=1e-5,
    atol=1e-6,
    mistakes=[
        (
            lambda w, g, lr, most: _stepped(w, g, lr, math.inf),
            "That is the step without the bound. Which comes first, bounding or stepping?",
        ),
        (_step_mistake(each=True), "Each tensor has been bounded by itself: the direction changes."),
        (_step_mistake(value=True), "Each number has been bounded by itself: the direction changes."),
        (_step_mistake(always=True), "A gradient that is short already stays as it is."),
        (_step_mistake(sign=1), "Downhill is against the gradient."),
        (_step_mistake(square=True), "That is the square of the norm."),
        (lambda w, g, lr, most: list(w), "Nothing has moved."),
        (
            lambda w, g, lr, most: _stepped(w, [lr * a for a in g], 1.0, most),
            "It is the gradient that is bounded, not the gradient times the rate.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: any(torch.is_tensor(t) and t.isnan().any() for t in got),
            "The gradient may be zero. What is 1 / 0?",
        ),
    ],
)
def careful_step(weights, gradients, lr, most):
    return _stepped(weights, gradients, lr, most)


# --- exercises -----------------------------------------------------------------------------------------

number(
    "seq-table",
    9000,
    mistakes=[
        (10000, "That counts all entries. How many of each row follow from the others?"),
        (9999, "Not one sum for the whole table: each row must sum to 1."),
        (1000, "That is the number of rows."),
        (900, "After each three symbols: how many rows are there?"),
        (90000, "Three symbols before, and the next one: four in all."),
    ],
)

number(
    "seq-count",
    99328,
    mistakes=[
        (98816, "PyTorch keeps two biases for each of the four parts."),
        (98304, "And the biases?"),
        (24832, "That is one of the four parts."),
        (74496, "That is the GRU, with three parts."),
        (98560, "Each of the four parts has biases of its own."),
    ],
)


def _steps(rng):
    for steps in (1, 2, 10, 50, 0.5, 1000):
        yield (steps,)


@exercise(
    "seq-forget",
    _steps,
    rtol=1e-5,
    atol=1e-6,
    mistakes=[
        (lambda n: 2 ** (-1 / n), "That is the gate itself. Which b has it as its sigmoid?"),
        (lambda n: -math.log(2) / n, "That is the logarithm of the gate. σ is not the exponential."),
        (lambda n: math.log(2 ** (1 / n) - 1), "The sign: a long memory needs a gate near 1, a large b."),
        (lambda n: math.log(math.e ** (1 / n) - 1) * -1, "That leaves 1/e. Half is wanted."),
        (lambda n: math.log(n), "A good rule of thumb for 1/e and large n. Solve σ(b)ⁿ = 1/2 exactly."),
        (lambda n: math.log(n / math.log(2)), "Right in the limit of large n. Solve σ(b)ⁿ = 1/2 exactly."),
    ],
)
def forget_bias(steps):
    f = 2 ** (-1 / steps)
    return math.log(f / (1 - f))


def _gru_cases(rng):
    for n, d, h in ((1, 1, 1), (2, 3, 4), (3, 2, 2), (2, 4, 4)):
        shapes = ((n, d), (n, h), (d, 3 * h), (h, 3 * h), (3 * h,))
        yield tuple(rng.normal(size=shape) for shape in shapes)


def _gru(x, h, U, W, b, after=False, flip=False, swap=False, plain=False, tanh=True):
    r, z, n = np.split(x @ U + b, 3, axis=-1)
    Wr, Wz, Wn = np.split(W, 3, axis=-1)
    if swap:
        r, z, Wr, Wz = z, r, Wz, Wr
    r, z = 1 / (1 + np.exp(-(r + h @ Wr))), 1 / (1 + np.exp(-(z + h @ Wz)))
    inner = h @ Wn if plain else (r * (h @ Wn) if after else (r * h) @ Wn)
    n = np.tanh(n + inner) if tanh else n + inner
    return z * h + (1 - z) * n if flip else z * n + (1 - z) * h


def _gru_mistake(**kind):
    return lambda *args: _gru(*args, **kind)


@exercise(
    "seq-paper-gru",
    _gru_cases,
    atol=1e-6,
    mistakes=[
        (_gru_mistake(after=True), "That is the library's: the reset gate comes after the product."),
        (_gru_mistake(flip=True), "Here z lets the new in: the old stays with 1 - z."),
        (_gru_mistake(after=True, flip=True), "That is the library's GRU, in both respects."),
        (_gru_mistake(swap=True), "The first third of the columns belongs to r, the second to z."),
        (_gru_mistake(plain=True), "The reset gate is not used."),
        (_gru_mistake(tanh=False), "The candidate goes through tanh."),
    ],
)
def published_gru(x, h, U, W, b):
    args = [torch.from_numpy(np.asarray(a, dtype=float)) for a in (x, h, U, W, b)]
    return paper_gru_step(*args).numpy()


def _reversals(rng):
    yield torch.tensor([[1, 4], [2, 5], [3, 0]]), torch.tensor([3, 2])
    yield torch.arange(12).view(6, 2), torch.tensor([1, 6])
    for t, n, d in ((5, 3, 2), (4, 4, 4)):
        lengths = torch.from_numpy(rng.integers(1, t + 1, n))
        lengths[-1] = t - 1
        yield _normal(rng, t, n, d), lengths


def _turned(x, lengths, front=False):
    out = x.clone()
    for n, k in enumerate(lengths.tolist()):
        out[:k, n] = x[:k, n].flip(0)
    return out


def _shortened(x, lengths, by):
    return _turned(x, (lengths + by).clamp(0, len(x)))


@exercise(
    "seq-reverse",
    _reversals,
    mistakes=[
        (lambda x, n: x.flip(0), "The padding has come to the front: only the first lengths[n] are turned."),
        (lambda x, n: x.flip(1), "That exchanges the sequences. Turn the steps."),
        (lambda x, n: x, "Nothing is turned."),
        (lambda x, n: _shortened(x, n, -1), "The last true entry has not been turned."),
        (lambda x, n: _shortened(x, n, 1), "One entry of the padding has been turned as well."),
        (
            lambda x, n: torch.where(
                (torch.arange(len(x))[:, None] < n).view(len(x), -1, *[1] * (x.dim() - 2)), _turned(x, n), 0
            ),
            "What stands behind the end stays as it was.",
        ),
    ],
)
def turned(x, lengths):
    return _turned(x, lengths)


def _two_models(rng):
    yield np.log([0.5, 0.5]), np.log([0.25, 0.125]), 0.5
    for t, w in ((6, 0.2), (30, 0.7)):
        yield np.log(rng.uniform(0.01, 1, t)), np.log(rng.uniform(0.01, 1, t)), w
    yield np.full(3000, -3.0), np.full(3000, -2.0), 0.5  # the product of all underflows
    yield np.array([-800.0, -1.0]), np.array([-801.0, -2.0]), 0.5


def _learned(p, q, weight, update=True, late=False, linear=False):
    a, b = math.log(weight), math.log(1 - weight)
    out = []
    for x, y in zip(p, q, strict=True):
        if late:
            a, b = a + x, b + y
            total = np.logaddexp(a, b)
            a, b = a - total, b - total
        out.append(math.exp(a) * x + math.exp(b) * y if linear else np.logaddexp(a + x, b + y))
        if update and not late:
            a, b = a + x - np.logaddexp(a + x, b + y), b + y - np.logaddexp(a + x, b + y)
    return np.array(out)


@exercise(
    "seq-bayes",
    _two_models,
    atol=1e-6,
    mistakes=[
        (lambda p, q, w: _learned(p, q, w, update=False), "The weight never changes."),
        (
            lambda p, q, w: _learned(p, q, w, late=True),
            "The weight has been replaced before the symbol that it learns from was predicted.",
        ),
        (lambda p, q, w: w * p + (1 - w) * q, "Mix the probabilities, not their logarithms; and update."),
        (
            lambda p, q, w: _learned(p, q, w, linear=True),
            "Mix the probabilities, not their logarithms.",
        ),
        (lambda p, q, w: np.exp(_learned(p, q, w)), "Logarithms are wanted."),
        (lambda p, q, w: _learned(p, q, w) / math.log(2), "Natural logarithms, not bits."),
        (lambda p, q, w: _learned(q, p, w), "The weight belongs to model 1, that of p."),
        (lambda p, q, w: _learned(p, q, w).sum(), "One number for each symbol, not their sum."),
        (lambda p, q, w: np.cumsum(_learned(p, q, w)), "One number for each symbol, not for all up to it."),
    ],
    hints=[
        (
            lambda args, expected, got: not np.isfinite(np.asarray(got, dtype=float)).all(),
            "e^-800 is 0 in a computer. Stay with logarithms (np.logaddexp).",
        ),
    ],
)
def learning_mixture(p, q, weight):
    return _learned(p, q, weight)


interval(
    "seq-half",
    -3.2,
    -1.9,
    below="Less than bias 1 would leave? Is it the forget gate's quarter, the second, that you have moved?",
    above="That is near bias 3. Is your number a decimal logarithm, and at lag 100?",
)


def _truncations(rng):
    for t, n, d, h, length in (
        (1, 1, 1, 1, 1),
        (6, 2, 3, 4, 2),
        (7, 1, 2, 3, 3),
        (5, 3, 4, 4, 9),
        (4, 2, 2, 2, 1),
    ):
        shapes = ((t, n, h), (t, n, d), (n, h), (d, h), (h, h), (h,))
        yield (*(_normal(rng, *shape) for shape in shapes), length)


def _truncated(dh, x, h0, U, W, b, length, carry=True, whole=False, drop=False, final=False):
    states, h, total = [], h0, torch.zeros_like(W)
    for row in x:
        states.append(h := rnn_step(row, h, U, W, b))
    states = torch.stack(states)
    if whole:
        return rnn_backward(dh, x, states, h0, U, W)[3]
    for k in range(0, len(x) // length * length if drop else len(x), length):
        part = slice(k, k + length)
        first = states[k - 1] if k else h0
        block, used = states[part], first
        if not carry and k:
            used = torch.zeros_like(h0)
            block, _ = unroll(rnn_step, x[part], used, U, W, b)
        total = total + rnn_backward(dh[part], x[part], block, used, U, W)[3]
    return total / math.ceil(len(x) / length) if final else total


def _truncation_mistake(**kind):
    return lambda *args: _truncated(*args, **kind)


@exercise(
    "seq-truncated",
    _truncations,
    atol=1e-6,
    mistakes=[
        (_truncation_mistake(whole=True), "That is the whole gradient: nothing has been cut."),
        (
            _truncation_mistake(carry=False),
            "Each block begins at zeros. The state is handed on, not the gradient.",
        ),
        (_truncation_mistake(drop=True), "The last block, which is shorter, is missing."),
        (_truncation_mistake(final=True), "The sum over the blocks, not their mean."),
        (lambda *a: _truncated(*a).T, "Transposed: the gradient has the shape and the places of W."),
        (
            lambda dh, x, h0, U, W, b, n: _truncated(dh, x, h0, U, W, b, 1),
            "Blocks of one step: within a block the gradient does go back.",
        ),
    ],
)
def truncated_gradient(dh, x, h0, U, W, b, length):
    return _truncated(dh, x, h0, U, W, b, length)


def _lstm_cases(rng):
    for n, d, h in ((1, 1, 1), (2, 3, 4), (3, 4, 4), (4, 2, 3)):
        shapes = ((n, h), (n, h), (n, d), (n, h), (n, h), (d, 4 * h), (h, 4 * h), (4 * h,))
        yield tuple(_normal(rng, *shape) for shape in shapes)


def _lstm_backward(dh, dc, x, h, c, U, W, b, through_h=True, own=True, new=False):
    a = x @ U + h @ W + b
    i, f, g, o = (torch.tanh(p) if k == 2 else torch.sigmoid(p) for k, p in enumerate(a.chunk(4, dim=-1)))
    after = f * c + i * g
    dc_all = (dc if own else 0) + (dh * o * (1 - torch.tanh(after) ** 2) if through_h else 0)
    old = after if new else c
    parts = (
        dc_all * g * i * (1 - i),
        dc_all * old * f * (1 - f),
        dc_all * i * (1 - g**2),
        dh * torch.tanh(after) * o * (1 - o),
    )
    delta = torch.cat(parts, dim=-1)
    return delta @ U.T, delta @ W.T, dc_all * f, x.T @ delta, h.T @ delta, delta.sum(dim=0)


def _lstm_by_autograd(dh, dc, x, h, c, U, W, b):
    leaves = [t.detach().clone().requires_grad_() for t in (x, h, c, U, W, b)]
    new_h, new_c = lstm_step(leaves[0], (leaves[1], leaves[2]), *leaves[3:])
    return torch.autograd.grad((dh * new_h).sum() + (dc * new_c).sum(), leaves)


@exercise(
    "seq-lstm-backward",
    _lstm_cases,
    atol=1e-6,
    mistakes=[
        (
            lambda *a: _lstm_backward(*a, through_h=False),
            "The new cell is used twice: by the next step, and by h through tanh and the output gate.",
        ),
        (lambda *a: _lstm_backward(*a, own=False), "Where has dc gone?"),
        (lambda *a: _lstm_backward(*a, new=True), "The forget gate multiplies the OLD cell."),
        (
            lambda *a: (lambda r: (*r[:5], r[5] / len(a[0])))(_lstm_backward(*a)),
            "The bias is used by every row: a sum, not a mean.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: not isinstance(got, (tuple, list)) or len(got) != 6,
            "Six things in this order: dx, dh_before, dc_before, dU, dW, db.",
        ),
    ],
)
def lstm_backward(dh, dc, x, h, c, U, W, b):
    return tuple(_lstm_by_autograd(dh, dc, x, h, c, U, W, b))

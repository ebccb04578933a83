"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on sequences."""

import functools
import itertools
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
    states.append([(grown(1), [grown(2), (grown(1), None, [grown(1)])])])  # however deep
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
        except RuntimeError as error:
            if "deepcopy" not in str(error):
                raise
            raise Wrong(
                "deepcopy refuses a tensor with a graph.", "What has to be cut off before it can be copied?"
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
            if t.requires_grad and t.grad_fn is None:
                raise Wrong(
                    "the result asks for a gradient of its own.",
                    "Does anybody step along the state's gradient?",
                )
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


_MOVED = [places for places in itertools.permutations(range(4)) if places[:2] != (0, 1)]
_MOVED.remove((0, 3, 1, 2))  # by the inverse of what was meant; it has a hint of its own


@exercise(
    "seq-zoo-gates",
    _quarters,
    mistakes=[
        (lambda w: w, "That is the order in which they came."),
        (_by_order(0, 3, 1, 2), "Third shall be g, which came last; fourth o, which came third."),
        *((_by_order(*places), "i and f stand right already.") for places in _MOVED),
        (
            lambda w: torch.cat([w.chunk(4, -1)[k] for k in (0, 1, 3, 2)], -1),
            "Along which axis do the four parts lie?",
        ),
        (
            lambda w: torch.cat([w.chunk(4)[k] for k in (0, 1, 3, 2)], -1),
            "Along which axis do the four parts lie? The result has the shape of w.",
        ),
        (
            lambda w: torch.cat([w.chunk(4)[k] for k in (0, 1, 3, 2)]).view(4, -1),
            "The result has the shape of w.",
        ),
        (lambda w: w.flip(0), "Are the rows within a part to be turned round, too?"),
        (_by_order(0, 1, 3, 3), "One part is there twice. Was it overwritten before it was copied?"),
        (_by_order(0, 1, 2, 2), "One part is there twice. Was it overwritten before it was copied?"),
        (
            lambda w: w.reshape(-1, 4, *w.shape[1:])[:, [0, 1, 3, 2]].reshape(w.shape),
            "The parts lie one below the other, not in turns of four rows.",
        ),
        (
            lambda w: torch.cat([w[:2], w[3:4], w[2:3]]),
            "Each part has H rows, not one.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, (tuple, list)),
            "Four parts, in a list. How do they become one tensor?",
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

    def early(x):  # by what it hears of the first step, at the first step only
        return torch.cat([x[:, :1] + x[:1, :1], x[:, 1:]], dim=1)

    def summed(x):  # the order of the other's steps is not heard
        return x + x.mean(dim=1, keepdim=True).roll(1, 0)

    def opposite(x):  # not the next one
        return x + x.roll(len(x) // 2, 0)

    def up_and_down(x):  # the sum of what is heard is 0
        heard = x[:, :1].roll(1, 0) / 2
        return torch.cat([x[:, :1] + heard, x[:, 1:-1], x[:, -1:] - heard], dim=1)

    def faint(x):
        return x + 1e-3 * x.roll(1, 0)

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
        (centered, False, "Here the mean over the batch is taken off."),
        (late, False, "Here the others hear the first one, at the last step only. Compare all steps."),
        (
            early,
            False,
            "Here the others hear the first one, at the first step only. Change and compare all steps.",
        ),
        (
            summed,
            False,
            "Here each hears the mean of another's steps. Does your change leave that mean alone?",
        ),
        (opposite, False, "Here it is not the next one that hears. Which sequences do you compare?"),
        (
            up_and_down,
            False,
            "Here what is heard goes up at one step and down at another. Do you compare sums, or each number?",
        ),
        (
            faint,
            False,
            "Here the others are heard faintly, a thousandth. Up to which difference is it rounding?",
        ),
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
    yield torch.tensor([[[1.0], [5.0]], [[3.0], [7.0]], [[9.0], [0.5]]]), torch.tensor([1, 2])
    for t, n, d in ((4, 3, 2), (6, 2, 5), (3, 4, 1)):
        lengths = torch.from_numpy(rng.integers(1, t + 1, n))
        lengths[0], lengths[-1] = t, 1
        yield _normal(rng, t, n, d) + 1, lengths
    yield torch.tensor([[[0.0], [4.0], [8.0]], [[2.0], [0.0], [6.0]]]), torch.tensor([2, 1, 2])  # a true 0
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
        (
            lambda h, n: torch.stack([h[: k - 1, i].sum(dim=0) / k for i, k in enumerate(n)]),
            "One state too few: a sequence of length n has the states 0 … n - 1.",
        ),
        *(
            (total, "The padding is out of the number that you divide by, and still in the sum.")
            for total in (
                lambda h, n: h.sum(dim=0) / n[:, None],
                lambda h, n: torch.nan_to_num(h).sum(dim=0) / n[:, None],
            )
        ),
        (
            lambda h, n: (lambda kept: kept.sum(dim=0) / (kept != 0).sum(dim=0))(
                torch.where(_mask(h, n)[..., None], h, 0)
            ),
            "May a true state be 0? What else says how many there are?",
        ),
        (
            lambda h, n: torch.where(_mask(h, n)[..., None], h, 0).sum(dim=0) / n.sum(),
            "You divide by the states of the whole batch. How many has this sequence?",
        ),
        (
            lambda h, n: torch.where(_mask(h, n)[..., None], h, 0).sum(dim=0) / n,
            "A sum of (N, H) by lengths of (N,): which axes meet there?",
        ),
        (
            lambda h, n: h[: n.min()].mean(dim=0),
            "All are cut to the shortest. How long is each?",
        ),
        (
            lambda h, n: torch.where(_mask(h, n)[..., None], h, -math.inf).amax(dim=0),
            "That is the largest of the true states, not their mean.",
        ),
        (
            lambda h, n: _true_mean(h, n).mean(dim=0),
            "That is one mean for the whole batch. Each sequence has its own.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: (
                torch.is_tensor(got) and got.shape == args[0].mean(dim=1).shape != expected.shape
            ),
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


def _true(values, lengths):
    return values[_mask(values, lengths)]


_LOSSES = [
    (lambda z, y, n: _losses(z, y).mean(), "That mean runs over the padding as well."),
    (
        lambda z, y, n: _losses(z, y)[: n.max()].mean(),
        "That mean runs over the padding as well.",
    ),
    (
        lambda z, y, n: (_losses(z, y) * _mask(z, n)).mean(),
        "The padding is out of the sum and still in the number that you divide by.",
    ),
    (
        lambda z, y, n: _losses(z, y).sum() / n.sum(),
        "The padding is out of the number that you divide by, and still in the sum.",
    ),
    (
        lambda z, y, n: ((_losses(z, y) * _mask(z, n)).sum(dim=0) / n).mean(),
        "A mean for each sequence, then the mean of those: symbols of short ones count more. All count alike.",
    ),
    (
        lambda z, y, n: torch.stack(
            [row[m].mean() for row, m in zip(_losses(z, y), _mask(z, n), strict=True)]
        ).mean(),
        "A mean for each step, then the mean of those: symbols of steps that few reach count more. All count alike.",
    ),
    (lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum(), "That is the sum, not the mean."),
    (
        lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum() / len(n),
        "You divide by the number of sequences. How many true SYMBOLS are there?",
    ),
    (
        lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum() / len(z),
        "You divide by the number of steps. How many true SYMBOLS are there?",
    ),
    (
        lambda z, y, n: F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=0),
        "Here 0 is a true symbol as well. The lengths say what is padding.",
    ),
    (
        lambda z, y, n: (_losses(z, y) * _mask(z, n)).sum() / n.sum() / math.log(2),
        "Nats are wanted: the natural logarithm.",
    ),
    (lambda z, y, n: _true(_losses(z, y), n).mean().exp(), "That is a perplexity. Nats are asked for."),
    (lambda z, y, n: -_true(_losses(z, y), n).mean(), "Which sign has a surprise?"),
    (
        lambda z, y, n: F.cross_entropy(_true(z, n).softmax(dim=-1), _true(y, n)),
        "`cross_entropy` takes logits. How often has the softmax been taken?",
    ),
    (
        lambda z, y, n: F.nll_loss(_true(z, n), _true(y, n)),
        "Logits are no log probabilities yet. What is still to be taken off?",
    ),
    (
        lambda z, y, n: F.nll_loss(_true(z, n).softmax(dim=-1), _true(y, n)),
        "A mean of probabilities. Where is the logarithm?",
    ),
    (
        lambda z, y, n: F.cross_entropy((z * _mask(z, n)[..., None]).flatten(0, 1), y.flatten()),
        "Logits of 0 are a uniform guess, which costs log V. Are those symbols still in the mean?",
    ),
    (
        lambda z, y, n: _losses(z, y)[n - 1, torch.arange(len(n))].mean(),
        "That is the last symbol of each sequence. All true ones count.",
    ),
    (
        lambda z, y, n: _losses(z, y)[: n.min()].mean(),
        "All are cut to the shortest. How long is each?",
    ),
    (
        lambda z, y, n: _true(_losses(z, y), (n + 1).clamp(max=len(z))).mean(),
        "One symbol too many: a sequence of length n has the steps 0 … n - 1.",
    ),
    (
        lambda z, y, n: _true(_losses(z, y), n - 1).mean(),
        "One symbol too few: a sequence of length n has the steps 0 … n - 1.",
    ),
    (
        lambda z, y, n: _losses(z, y).flatten()[: n.sum()].mean(),
        "Flattened, the true symbols do not all come first. Which axis is time?",
    ),
]


def _as_number(loss):
    return lambda *args: loss(*args).item()


@exercise(
    "seq-zoo-padding",
    _scored,
    atol=1e-6,
    mistakes=[(_as_number(loss), hint) for loss, hint in _LOSSES],
    hints=[
        (
            lambda args, expected, got: np.ndim(got) > 0,
            "One number for the whole batch: the mean over all true symbols.",
        ),
    ],
)
def true_loss(logits, targets, lengths):
    return _true(_losses(logits, targets), lengths).mean().item()


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
    one[5][0][0, 2] += 1
    wide = [(x.clone(), y) for x, y in _cut_into(ids, 9, 6)]
    wide[4][0][0, 8] += 1
    cases = [
        (
            good,
            True,
            "Blocks cut one after the other from pieces of a text. Which row of a block comes first in the next? "
            "And has the first block any before it?",
        ),
        (good[:1], True, "A single block has nothing to go on from: nothing is broken."),
        (good[::2], False, "Every second block is left out."),
        (good[::-1], False, "The blocks come in the reverse order."),
        ([*good[:3], good[4], good[3], *good[5:]], False, "Two blocks in the middle have changed places."),
        (other, False, "In one block the columns have changed places. Compare each column with itself."),
        (good[:1] + good[2:], False, "The second block is missing. Is the very first border compared?"),
        (one, False, "A single column of a single block goes wrong, by one."),
        (wide, False, "Of nine columns the last goes wrong in one block. Are all columns compared?"),
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
    yield [torch.tensor([1.0]), torch.tensor([2.0])], [torch.tensor([3.0]), torch.tensor([4.0])], 0.3, 1.0
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


def _scaled(weights, gradients, lr, most, length):
    factor = most / float(length) if length > most else 1.0
    return [w - lr * factor * g for w, g in zip(weights, gradients, strict=True)]


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
        *(
            (
                lambda w, g, lr, most, length=length: _scaled(w, g, lr, most, length(g)),
                "Is that the norm of all the numbers together? In the example [3, 4] it would be 5.",
            )
            for length in (
                lambda g: sum(a.abs().sum() for a in g),
                lambda g: max(a.abs().max() for a in g),
                lambda g: torch.cat([a.flatten() for a in g]).square().mean().sqrt(),
            )
        ),
        *(
            (
                lambda w, g, lr, most, join=join: _scaled(w, g, lr, most, join([a.norm() for a in g])),
                "How do the norms of two tensors, 3 and 4, make the norm of both together, 5?",
            )
            for join in (sum, max, lambda norms: sum(norms) / len(norms))
        ),
        (
            lambda w, g, lr, most: _stepped(
                w, g, 0.0 if math.hypot(*(a.norm() for a in g)) > most else lr, most
            ),
            "A gradient that is too long is left out there. Which is its direction, and which length may it have?",
        ),
        (lambda w, g, lr, most: list(w), "Nothing has moved."),
        (lambda w, g, lr, most: _stepped(w, g, 1.0, most), "Where is the rate?"),
        (lambda w, g, lr, most: _stepped(w, g, 0.1, most), "Is the rate always 0.1?"),
        (lambda w, g, lr, most: _stepped(w, g, lr, 1.0), "Is the bound always 1?"),
        (
            lambda w, g, lr, most: [a - b for a, b in zip(w, _stepped(w, g, lr, most), strict=True)],
            "Those are the steps. Which weights do they lead to?",
        ),
        (
            lambda w, g, lr, most: [-a for a in _stepped([0 * a for a in w], g, 1.0, most)],
            "Those are the bounded gradients. Which weights do they lead to?",
        ),
        (
            lambda w, g, lr, most: _scaled(
                [0 * a for a in w],
                [-a for a in _stepped(w, g, lr, math.inf)],
                1.0,
                most,
                math.hypot(*(a.norm() for a in _stepped(w, g, lr, math.inf))),
            ),
            "Those are bounded weights. What shall be bounded?",
        ),
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
        (100000, "Three symbols before, and the next one: four in all. And how many of each row are free?"),
        (90, "That is the table after ONE symbol."),
        (999, "After each three symbols there is a row. How many numbers has a row?"),
        (990, "Three symbols before, and the next one: four in all."),
        (99, "That is one sum for the table after one symbol."),
        (9990, "Does a sum belong to each symbol, or to each row?"),
        (729, "All ten symbols may stand before. Where is one number not free?"),
        (6561, "Four factors of 9: may not all ten symbols stand before? Which factor loses one?"),
        (7290, "All ten symbols may stand before. Where is one number not free?"),
        (8991, "000 has a row as well."),
        (5040, "May a symbol come twice in a row?"),
        (59049, "Three places, each of ten symbols: which is the base, which the exponent?"),
        *((few, "Choices one after the other: do their numbers add?") for few in (27, 30, 36, 39, 40)),
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
        (98432, "Each of the four parts has biases of its own."),
        (24704, "That is one of the four parts, and PyTorch keeps two biases."),
        (24576, "That is one of the four parts, and without biases."),
        (73728, "That is the GRU, with three parts, and without biases."),
        (74112, "That is the GRU, with three parts."),
        *((only, "From where else than from the input come weights?") for only in (32768, 33280, 33792)),
        *((only, "From where else than from the state come weights?") for only in (65536, 66048, 66560)),
        *((turned, "Which are the inputs, 64 or 128?") for turned in (49664, 49408, 49152)),
        (198656, "That reads in both directions."),
        (231424, "That has two layers."),
    ],
)


def _steps(rng):
    for steps in (1, 2, 10, 50, 0.5, 1000, 0.05):
        yield (steps,)


@exercise(
    "seq-forget",
    _steps,
    rtol=1e-5,
    atol=1e-6,
    mistakes=[
        (
            lambda n: abs(math.log(2 ** (1 / n) - 1)),
            "May b be negative? What if half is lost in half a step?",
        ),
        (
            lambda n: max(-math.log(2 ** (1 / n) - 1), 0.0),
            "May b be negative? What if half is lost in half a step?",
        ),
        (lambda n: -math.log(2 ** (1 / int(n)) - 1), "`steps` need not be whole."),
        (lambda n: -math.log2(2 ** (1 / n) - 1), "σ is made with e: which logarithm undoes it?"),
        (lambda n: -math.log10(2 ** (1 / n) - 1), "σ is made with e: which logarithm undoes it?"),
        (lambda n: math.atanh(2 ** (-1 / n)), "The gate is σ, not tanh."),
        (lambda n: -math.log(2**n - 1), "σ(b)ⁿ = 1/2: what is σ(b), a power or a root of 1/2?"),
        (lambda n: 0.5**n, "σ(b)ⁿ = 1/2: what is σ(b), a power or a root of 1/2? And which b?"),
        (
            lambda n: 1 / (1 + math.exp(-(2 ** (-1 / n)))),
            "That is σ of the gate. Which b has the gate as its σ?",
        ),
        (lambda n: math.log(2 * n - 1), "Does a step take off a part of the beginning, or of what is left?"),
        (lambda n: -math.log(2 ** (1 / (n + 1)) - 1), "One step too many: n gates make n steps."),
        (lambda n: -math.log(n), "The sign: a long memory needs a gate near 1, a large b."),
        (lambda n: 2 ** (-1 / n), "That is the gate itself. Which b has it as its sigmoid?"),
        (lambda n: -math.log(2) / n, "That is the logarithm of the gate. σ is not the exponential."),
        (lambda n: math.log(2 ** (1 / n) - 1), "The sign: a long memory needs a gate near 1, a large b."),
        (lambda n: math.log(math.e ** (1 / n) - 1) * -1, "That leaves 1/e. Half is wanted."),
        (lambda n: math.log(n), "A good rule of thumb for 1/e and large n. Solve σ(b)ⁿ = 1/2 exactly."),
        (lambda n: math.log(n / math.log(2)), "Right in the limit of large n. Solve σ(b)ⁿ = 1/2 exactly."),
    ],
    hints=[
        (lambda args, expected, got: abs(got - expected) < 0.01, "Near. Was something rounded?"),
    ],
)
def forget_bias(steps):
    f = 2 ** (-1 / steps)
    return math.log(f / (1 - f))


def _gru_cases(rng):
    for n, d, h in ((1, 1, 1), (2, 3, 4), (3, 2, 2), (2, 4, 4)):
        shapes = ((n, d), (n, h), (d, 3 * h), (h, 3 * h), (3 * h,))
        yield tuple(rng.normal(size=shape) for shape in shapes)


def _gru(x, h, U, W, b, after=False, flip=False, swap=False, plain=False, tanh=True, order=None):
    parts = [np.split(a, 3, axis=-1) for a in (x @ U + b, W)]
    (r, z, n), (Wr, Wz, Wn) = [[part[k] for k in order or (0, 1, 2)] for part in parts]
    if swap:
        r, z, Wr, Wz = z, r, Wz, Wr
    r, z = 1 / (1 + np.exp(-(r + h @ Wr))), 1 / (1 + np.exp(-(z + h @ Wz)))
    inner = h @ Wn if plain else (r * (h @ Wn) if after else (r * h) @ Wn)
    n = np.tanh(n + inner) if tanh else n + inner
    return z * h + (1 - z) * n if flip else z * n + (1 - z) * h


def _gru_other(x, h, U, W, b, kind):
    H = h.shape[1]
    a, w = x @ U + b, np.split(W, 3, axis=-1)
    r, z = (1 / (1 + np.exp(-(a[:, k * H : (k + 1) * H] + h @ w[k]))) for k in range(2))
    new, old = a[:, 2 * H :], h @ w[2]
    if kind == "input":
        n = np.tanh(r * new + old)
    elif kind == "both":
        n = np.tanh(r * (new + old))
    elif kind == "update":
        n = np.tanh(new + (z * h) @ w[2])
    else:
        n = np.tanh(new + (r * h) @ w[2])
    return {"candidate": n, "sum": z * n + h, "gate only": z * n}.get(kind, z * n + (1 - z) * h)


def _gru_kind(kind):
    return lambda *args: _gru_other(*args, kind)


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
        (
            _gru_mistake(swap=True, flip=True),
            "The first third of the columns belongs to r. And which share has z?",
        ),
        (
            _gru_mistake(swap=True, after=True),
            "The first third of the columns belongs to r. And where is it used?",
        ),
        *(
            (_gru_mistake(order=places), "The candidate's columns are the last third.")
            for places in ((1, 2, 0), (2, 1, 0), (0, 2, 1), (2, 0, 1))
        ),
        (
            _gru_mistake(swap=True, after=True, flip=True),
            "The first third of the columns belongs to r. And how is the library's GRU unlike that of the paper?",
        ),
        (_gru_kind("input"), "Which does the reset gate close, the input or the old state?"),
        (
            _gru_kind("both"),
            "The reset gate stands before the old state alone. What else does it close here?",
        ),
        (_gru_kind("update"), "Which of the two gates belongs into the candidate?"),
        (_gru_kind("candidate"), "That is the candidate. What remains of the old state?"),
        (_gru_kind("sum"), "z for the new: and which share for the old?"),
        (_gru_kind("gate only"), "z for the new: and which share for the old?"),
        (lambda x, h, U, W, b: _gru(x, h, U, W, 0 * b), "Where has b gone?"),
        (
            lambda x, h, U, W, b: _gru(x, h, U, W, np.where(np.arange(len(b)) < len(b) * 2 // 3, b, 0)),
            "The candidate has a bias, too.",
        ),
        (
            lambda x, h, U, W, b: _gru(
                x, h, U, np.concatenate([w.T for w in np.split(W, 3, axis=-1)], axis=-1), b
            ),
            "Rows times matrix: h W. Which of the factors has been transposed?",
        ),
        (lambda x, h, U, W, b: _gru(x, 0 * h, U, W, b), "Does the old state come in?"),
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


def _turned(x, lengths):
    out = x.clone()
    for n, k in enumerate(lengths.tolist()):
        out[:k, n] = x[:k, n].flip(0)
    return out


def _rebuilt(x, lengths, parts):
    columns = [torch.cat(parts(x[:k, n], x[k:, n])) for n, k in enumerate(lengths.tolist())]
    return torch.stack(columns, dim=1)


def _features_turned(x, lengths):
    return _rebuilt(x, lengths, lambda true, rest: [true.flip(-1), rest])


def _all_turned(x, lengths):
    return _rebuilt(x, lengths, lambda true, rest: [true.flip(tuple(range(true.dim()))), rest])


def _ends_changed(x, lengths):
    out = x.clone()
    for n, k in enumerate(lengths.tolist()):
        out[0, n], out[k - 1, n] = x[k - 1, n], x[0, n]
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
        *(
            (
                lambda x, n, k=k: _turned(x, torch.full_like(n, int(k(n)))),
                "One length for all. Has not each its own?",
            )
            for k in (max, min, lambda n: n[0], lambda n: n[-1])
        ),
        (
            lambda x, n: x.flip(-1),
            "Which axis is time? Steps are turned, not what stands beside each other in a step.",
        ),
        (
            _features_turned,
            "Steps are turned, not the numbers of a step. Which axis is left when n is chosen?",
        ),
        (_all_turned, "The numbers of a step stay in their order. Which axes do you turn?"),
        (
            lambda x, n: _rebuilt(x, n, lambda true, rest: [true, rest.flip(0)]),
            "The padding is turned and the sequence is not.",
        ),
        (
            lambda x, n: _rebuilt(x, n, lambda true, rest: [true.flip(0), rest.flip(0)]),
            "The padding has been turned as well.",
        ),
        (
            lambda x, n: _rebuilt(x, n, lambda true, rest: [rest, true.flip(0)]),
            "The padding has come to the front.",
        ),
        (
            lambda x, n: _rebuilt(x, n, lambda true, rest: [rest, true]),
            "That shifts. Which entry shall stand first?",
        ),
        (_ends_changed, "First and last have changed places. And those between?"),
        (
            lambda x, n: _turned(x, n).transpose(0, 1),
            "Time is the first axis of the answer, too. Along which axis do you stack?",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, (tuple, list)),
            "Columns in a list. How do they become one tensor, time first?",
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
    for sure, after in ((60, 80), (400, 500)):  # the better model changes when the other's weight is 0 nearly
        p, q = (np.repeat(costs, (sure, after)) for costs in ([-1.0, -4.0], [-4.0, -1.0]))
        yield p, q, 0.5
        yield q, p, 0.25


def _learned(p, q, weight, update=True, late=False, linear=False, again=False, crossed=False, plain=False):
    """The logs of the mixture's probabilities. plain: the weight itself is kept, which may become 0 or 1."""
    a, b = math.log(weight), math.log(1 - weight)
    out = []
    for x, y in zip(p, q, strict=True):
        if late:
            a, b = a + x, b + y
            total = np.logaddexp(a, b)
            a, b = a - total, b - total
        out.append(math.exp(a) * x + math.exp(b) * y if linear else np.logaddexp(a + x, b + y))
        if update and not late:
            first, second = (math.log(weight), math.log(1 - weight)) if again else (a, b)
            first, second = (first + y, second + x) if crossed else (first + x, second + y)
            total = np.logaddexp(first, second)
            a, b = first - total, second - total
        if plain:
            with np.errstate(divide="ignore"):
                a, b = np.log(np.exp(a)), np.log1p(-np.exp(a))
    return np.array(out)


def _weights(p, q, weight):
    """The log odds of model 1 before each symbol."""
    return math.log(weight / (1 - weight)) + np.cumsum(p - q) - (p - q)


# Each mistake with the logs of the weights kept, and with the weight itself.
_MIXTURES = [
    (lambda p, q, w, plain=False: _learned(p, q, w, update=False, plain=plain), "The weight never changes."),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, late=True, plain=plain),
        "The weight has been replaced before the symbol that it learns from was predicted.",
    ),
    (
        lambda p, q, w, plain=False: w * p + (1 - w) * q,
        "Mix the probabilities, not their logarithms; and update.",
    ),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, linear=True, plain=plain),
        "Mix the probabilities, not their logarithms.",
    ),
    (lambda p, q, w, plain=False: np.exp(_learned(p, q, w, plain=plain)), "Logarithms are wanted."),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, plain=plain) / math.log(2),
        "Natural logarithms, not bits.",
    ),
    (
        lambda p, q, w, plain=False: _learned(p, q, 0.5, plain=plain),
        "Is the weight always 0.5 before the first symbol?",
    ),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, again=True, plain=plain),
        "The weight begins anew with each symbol. From which weight does the next one start?",
    ),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, crossed=True, plain=plain),
        "Whoever predicted badly gains weight there. Which model's probability belongs to which weight?",
    ),
    (
        lambda p, q, w, plain=False: -_learned(p, q, w, plain=plain),
        "Logarithms of probabilities: which sign have they?",
    ),
    (
        lambda p, q, w, plain=False: np.maximum(p, q),
        "That knows beforehand who is right. Mix with the weight.",
    ),
    (
        lambda p, q, w, plain=False: np.where(_weights(p, q, w) > 0, p, q),
        "That asks one of the models alone. Mix with the weight.",
    ),
    (
        lambda p, q, w, plain=False: np.exp(-np.logaddexp(0, -_weights(p, q, w))),
        "Those are the weights. What do they make of p and q?",
    ),
    (
        lambda p, q, w, plain=False: _learned(q, p, w, plain=plain),
        "The weight belongs to model 1, that of p.",
    ),
    (
        lambda p, q, w, plain=False: _learned(p, q, w, plain=plain).sum(),
        "One number for each symbol, not their sum.",
    ),
    (
        lambda p, q, w, plain=False: np.cumsum(_learned(p, q, w, plain=plain)),
        "One number for each symbol, not for all up to it.",
    ),
]


@exercise(
    "seq-bayes",
    _two_models,
    atol=1e-6,
    mistakes=[
        (functools.partial(mixture, plain=plain), hint)
        for mixture, hint in _MIXTURES
        for plain in (False, True)
    ],
    hints=[
        (
            lambda args, expected, got: not np.isfinite(np.asarray(got, dtype=float)).all(),
            "e^-800 is 0 in a computer. Stay with logarithms (np.logaddexp).",
        ),
        (
            lambda args, expected, got: len(expected) > 100 and np.allclose(got[:50], expected[:50]),
            "Right until the other model becomes the better one. After many symbols the weight is nearly 1: what has "
            "been rounded or bounded there, and what could you keep in its place?",
        ),
    ],
)
def learning_mixture(p, q, weight):
    return _learned(p, q, weight)


interval(
    "seq-half",
    -3.2,
    -1.9,
    below="Measured, not σ(2)¹⁰⁰ alone? A decimal logarithm, not a natural one? And is it the forget gate's quarter, "
    "the second, that you have moved?",
    above="That is near bias 3, or above. Is your number a decimal logarithm, with its sign, and at lag 100?",
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


def _by_steps(dh, x, h0, U, W, b, length, kind="", align=0):
    states = [h0]
    for row in x:
        states.append(rnn_step(row, states[-1], U, W, b))
    total, later = torch.zeros_like(W), torch.zeros_like(h0)
    for t in reversed(range(len(x))):
        if (t + 1 + align) % length == 0:
            later = torch.zeros_like(h0)
        delta = (dh[t] + later) * (1 if kind == "slope" else 1 - states[t + 1] ** 2)
        before = states[t + 1] if kind == "new" else states[t]
        if kind == "first" and t % length == 0:
            before = torch.zeros_like(h0)
        total = total + before.T @ delta
        later = delta @ (W if kind == "W" else W.T)
    return total


def _each_step_back(dh, x, h0, U, W, b, length):
    """Every step's gradient goes back `length` steps, over the borders of blocks."""
    total = torch.zeros_like(W)
    for t in range(len(x)):
        first = max(t - length + 1, 0)
        start = unroll(rnn_step, x[:first], h0, U, W, b)[1] if first else h0
        alone = torch.zeros_like(dh[first : t + 1])
        alone[-1] = dh[t]
        total = total + _by_steps(alone, x[first : t + 1], start, U, W, b, len(x))
    return total


def _last_block(dh, x, h0, U, W, b, length):
    first = (len(x) - 1) // length * length
    start = unroll(rnn_step, x[:first], h0, U, W, b)[1] if first else h0
    return _by_steps(dh[first:], x[first:], start, U, W, b, length)


def _ends_of_blocks(dh, length):
    last = [t for t in range(len(dh)) if (t + 1) % length == 0 or t == len(dh) - 1]
    out = torch.zeros_like(dh)
    out[last] = dh[last]
    return out


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
        (lambda *a: _by_steps(*a, kind="slope"), "Where is the slope of tanh?"),
        (lambda *a: _by_steps(*a, kind="new"), "W multiplies the state BEFORE the step."),
        (
            lambda *a: _by_steps(*a, kind="first"),
            "The state before a block is a constant, not 0. What does W multiply at a block's first step?",
        ),
        (lambda *a: _by_steps(*a, kind="W"), "Forward it is h W. What is it on the way back?"),
        (lambda *a: _by_steps(*a, align=1), "Where does a block begin? The cut is one step off."),
        (
            lambda *a: _by_steps(*a, align=-len(a[1]) % a[-1]),
            "Which block is the shorter one, the first or the last?",
        ),
        (_each_step_back, "Each step goes back `length` steps there, over borders. Where are the cuts?"),
        (
            lambda dh, *a: _by_steps(_ends_of_blocks(dh, a[-1]), *a),
            "Each step has a loss of its own. Only those of the blocks' last steps are here.",
        ),
        (lambda dh, x, h0, *a: _by_steps(dh, x, 0 * h0, *a), "Where has h0 gone?"),
        (lambda dh, x, h0, U, W, b, n: _by_steps(dh, x, h0, U, W, 0 * b, n), "Where has b gone?"),
        (
            lambda *a: _by_steps(*a) / len(a[2]),
            "The sum over the batch, not its mean: dh is the gradient of the whole loss.",
        ),
        (lambda *a: _by_steps(*a) / len(a[1]), "The sum over the steps, not their mean."),
        (lambda *a: -_by_steps(*a), "The gradient, not the step against it."),
        (
            lambda dh, x, h0, U, W, b, n: _last_block(dh, x, h0, U, W, b, n),
            "That is the last block's. Are the others added, or overwritten?",
        ),
    ],
)
def truncated_gradient(dh, x, h0, U, W, b, length):
    return _truncated(dh, x, h0, U, W, b, length)


def _lstm_cases(rng):
    for n, d, h in ((1, 1, 1), (2, 3, 4), (3, 4, 4), (4, 2, 3)):
        shapes = ((n, h), (n, h), (n, d), (n, h), (n, h), (d, 4 * h), (h, 4 * h), (4 * h,))
        yield tuple(_normal(rng, *shape) for shape in shapes)


def _lstm_backward(dh, dc, x, h, c, U, W, b, through_h=True, own=True, new=False, kind=""):
    a = x @ U + h @ W + b
    i, f, g, o = (torch.tanh(p) if k == 2 else torch.sigmoid(p) for k, p in enumerate(a.chunk(4, dim=-1)))
    after = f * c + i * g
    dc_all = (dc if own else 0) + (dh * o * (1 - torch.tanh(after) ** 2) if through_h else 0)
    if kind == "tanh":
        dc_all = dc + dh * o
    old = after if new else c
    shown = after if kind == "cell shown" else torch.tanh(after)
    slopes = [i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)]
    if kind.startswith("slope"):
        slopes = [1 if kind in ("slopes", f"slope {k}") else s for k, s in zip("ifgo", slopes, strict=True)]
    if kind == "sigmoid":
        slopes[2] = g * (1 - g)
    onto_o = dh + dc if kind == "output" else dh
    parts = [
        part * s
        for part, s in zip((dc_all * g, dc_all * old, dc_all * i, onto_o * shown), slopes, strict=True)
    ]
    delta = torch.cat([parts[k] for k in ((0, 1, 3, 2) if kind == "order" else range(4))], dim=-1)
    return delta @ U.T, delta @ W.T, dc_all * f, x.T @ delta, h.T @ delta, delta.sum(dim=0)


def _lstm_parts(places):
    """The backward pass of a layer whose columns lie in another order."""

    def moved(t):
        return torch.cat([t.chunk(4, dim=-1)[k] for k in places], dim=-1)  # its own inverse

    def wrong(dh, dc, x, h, c, U, W, b):
        result = _lstm_backward(dh, dc, x, h, c, moved(U), moved(W), moved(b))
        return (*result[:3], *map(moved, result[3:]))

    return wrong


def _lstm_kind(kind):
    return lambda *args: _lstm_backward(*args, kind=kind)


def _forget(dh, dc, x, h, c, U, W, b):
    return torch.sigmoid((x @ U + h @ W + b).chunk(4, dim=-1)[1])


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
        (
            lambda *a: [r / len(a[0]) if k > 2 else r for k, r in enumerate(_lstm_backward(*a))],
            "The weights are used by every row: sums, not means.",
        ),
        (_lstm_kind("slopes"), "Gates and candidate come out of σ and tanh. Where are the slopes?"),
        *((_lstm_kind(f"slope {k}"), f"Where is the slope of {k}?") for k in "ifgo"),
        (_lstm_kind("sigmoid"), "The candidate g goes through tanh. Which is its slope?"),
        (_lstm_kind("cell shown"), "The output gate multiplies tanh of the new cell, not the cell."),
        (_lstm_kind("tanh"), "h shows the cell through tanh. Where is its slope?"),
        (_lstm_kind("output"), "Which of h and c has the output gate in it?"),
        *(
            (_lstm_parts(places), "In which order do the four parts of a lie side by side? i f g o.")
            for places in ((0, 1, 3, 2), (1, 0, 2, 3), (0, 2, 1, 3))
        ),
        (_lstm_kind("order"), "In which order do the four parts lie side by side? i f g o."),
        (
            lambda *a: (lambda r: (*r[:2], r[2] / _forget(*a), *r[3:]))(_lstm_backward(*a)),
            "What of the cell's gradient does the forget gate let through to the cell before?",
        ),
        (
            lambda dh, dc, *a: (lambda r: (*r[:2], dc * _forget(dh, dc, *a), *r[3:]))(
                _lstm_backward(dh, dc, *a)
            ),
            "The cell before is heard through h as well: which gradient of the new cell goes back?",
        ),
        (
            lambda *a: (lambda r: (*r[:2], r[2] * (1 - _forget(*a)), *r[3:]))(_lstm_backward(*a)),
            "c is multiplied by the forget gate. Is the slope of σ needed for c, or for the gate?",
        ),
        (
            lambda *a: (lambda r: (r[0], a[0] + r[1], *r[2:]))(_lstm_backward(*a)),
            "dh is of the state AFTER the step. Is there a way past the gates to the state before?",
        ),
        (lambda dh, *a: _lstm_backward(0 * dh, *a), "Where has dh gone?"),
    ],
    hints=[
        (
            lambda args, expected, got: not isinstance(got, (tuple, list)) or len(got) != 6,
            "Six things in this order: dx, dh_before, dc_before, dU, dW, db.",
        ),
        (
            lambda args, expected, got: (
                sorted(tuple(t.shape) for t in got) == sorted(tuple(t.shape) for t in expected)
                and all(any(torch.allclose(t, e) for t in got if t.shape == e.shape) for e in expected)
            ),
            "The right six in another order: dx, dh_before, dc_before, dU, dW, db.",
        ),
        (
            lambda args, expected, got: got[5].shape != expected[5].shape,
            "db has the shape of b. Which rows belong together?",
        ),
    ],
)
def lstm_backward(dh, dc, x, h, c, U, W, b):
    return tuple(_lstm_by_autograd(dh, dc, x, h, c, U, W, b))

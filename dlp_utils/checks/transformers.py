"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on transformers."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from dlp_utils.exercises import Wrong, exercise, free_form, interval, number
from dlp_utils.models.attention import attend

# --- bug zoo -------------------------------------------------------------------------------------------


def _generator(rng):
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _normal(rng, *size, dtype=torch.float64):
    return torch.randn(size, generator=_generator(rng), dtype=dtype)


def _whole(rng, high, *size):
    return torch.randint(high, size, generator=_generator(rng))


def _rows(rng):
    yield (torch.tensor([[5, 6, 7, 8]]),)
    yield (torch.tensor([[1, 2], [3, 4], [5, 6]]),)
    for size in ((3, 9), (1, 3), (4, 4)):
        yield (_whole(rng, 50, *size),)


@exercise(
    "tf-zoo-shift",
    _rows,
    mistakes=[
        (
            lambda ids: (ids[:, :-1], ids[:, :-1]),
            "The target of a position is the symbol that it has just seen.",
        ),
        (
            lambda ids: (ids[:, 1:], ids[:, 1:]),
            "The target of a position is the symbol that it has just seen.",
        ),
        (lambda ids: (ids[:, 1:], ids[:, :-1]), "That predicts the past. Which symbol comes next?"),
        (lambda ids: (ids, ids), "As many inputs as targets, one less than symbols; and shifted."),
        (
            lambda ids: (ids[:, :-1], ids.roll(1, dims=1)[:, :-1]),
            "Rolling the other way round: the target of position t stands at t + 1.",
        ),
        (
            lambda ids: (ids, ids.roll(-1, dims=1)),
            "What is the target of the last symbol? Nobody knows what comes after it.",
        ),
        (lambda ids: (ids[:-1], ids[1:]), "Those are rows of the batch. Along which axis runs time?"),
    ],
)
def inputs_and_targets(ids):
    return ids[:, :-1], ids[:, 1:]


def _places(rng):
    yield 0, 3
    yield 5, 1
    yield 4, 2
    for _ in range(4):
        yield int(rng.integers(1, 40)), int(rng.integers(1, 9))


@exercise(
    "tf-zoo-positions",
    _places,
    mistakes=[
        (
            lambda cached, new: torch.arange(new),
            "They begin at 0 again. How many symbols stand before the new ones?",
        ),
        (
            lambda cached, new: torch.arange(cached + new),
            "Of the new symbols only: the old keys are turned already.",
        ),
        (
            lambda cached, new: torch.arange(cached + 1, cached + new + 1),
            "Counted from 0: with nothing cached the first position is 0.",
        ),
        (
            lambda cached, new: torch.arange(cached - 1, cached + new - 1),
            "The last cached symbol has position cached - 1. Where is the next?",
        ),
        (lambda cached, new: torch.full((new,), cached), "Several new symbols stand one behind the other."),
    ],
)
def positions(cached, new):
    return torch.arange(cached, cached + new)


def _widths(rng):
    yield 100, 1.0
    yield 128, 0.2
    for _ in range(4):
        yield int(rng.integers(2, 2000)), float(rng.uniform(0.01, 5))


@exercise(
    "tf-zoo-tied",
    _widths,
    mistakes=[
        (
            lambda width, wanted: wanted,
            "A product sums over `width` entries. What does that do to its variance?",
        ),
        (
            lambda width, wanted: wanted / width,
            "Variances add, not standard deviations: what is the variance of the sum?",
        ),
        (
            lambda width, wanted: 1 / math.sqrt(width),
            "That gives a standard deviation of 1. Which is wanted?",
        ),
        (lambda width, wanted: wanted * math.sqrt(width), "A wider table needs smaller entries."),
        (lambda width, wanted: wanted**2 / width, "That is the variance of the entries."),
        (
            lambda width, wanted: math.sqrt(wanted / width),
            "`wanted` is a standard deviation, not a variance.",
        ),
    ],
)
def table_std(width, wanted):
    return wanted / math.sqrt(width)


def _answered(rng):
    yield torch.tensor([[1, 9, 2, 7, 8, 3], [1, 2, 5, 3, 0, 0]]), torch.tensor([3, 2]), torch.tensor([6, 4])
    for n, size in ((1, 5), (3, 9), (4, 12)):
        ids, first, end = _whole(rng, 20, n, size), [], []
        for _ in range(n):
            a, b = sorted(rng.choice(np.arange(1, size + 1), 2, replace=False))
            first.append(int(a))
            end.append(int(b))
        yield ids, torch.tensor(first), torch.tensor(end)


def _targets(ids, first, end, fill=-100, shift=0, late=0, early=0, whole=False):
    where = torch.arange(ids.shape[1])
    kept = (where >= (1 if whole else first[:, None] + late)) & (where < end[:, None] - early)
    out = torch.where(kept, ids, fill)
    return out[:, :-1] if shift else out[:, 1:]


@exercise(
    "tf-zoo-padding",
    _answered,
    mistakes=[
        (
            lambda ids, first, end: ids[:, 1:],
            "Prompt and padding are targets there. Which symbols should count?",
        ),
        (
            lambda ids, first, end: _targets(ids, first, torch.full_like(end, ids.shape[1])),
            "The padding counts: where does the answer end?",
        ),
        (lambda *a: _targets(*a, whole=True), "The prompt counts: where does the answer begin?"),
        (lambda *a: _targets(*a, fill=0), "0 is a symbol. Which number does the loss leave out?"),
        (lambda *a: _targets(*a, shift=1), "Not shifted: the targets belong to the inputs ids[:, :-1]."),
        (
            lambda *a: _targets(*a, late=1),
            "The first symbol of the answer has to be predicted, too: after <bot>.",
        ),
        (
            lambda *a: _targets(*a, early=1),
            "The last symbol of the answer (its <end>) has to be predicted, too.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: tuple(got.shape) == tuple(args[0].shape),
            "One target for each input, and there are N - 1 inputs.",
        )
    ],
)
def answer_targets(ids, first, end):
    return _targets(ids, first, end)


def _masks(rng):
    yield 1, 5
    yield 3, 3
    yield 2, 5
    for _ in range(4):
        n = int(rng.integers(1, 6))
        yield n, n + int(rng.integers(0, 6))


def _triangle(queries, keys, diagonal=0):
    return torch.ones(queries, keys, dtype=torch.bool).tril(diagonal)


@exercise(
    "tf-zoo-causal",
    _masks,
    mistakes=[
        (_triangle, "That is the upper left corner. With one query, how many keys does it see?"),
        (lambda n, m: _triangle(n, m, m), "Everybody sees everything: new symbols see those after them."),
        (lambda n, m: _triangle(n, m, m - n - 1), "Nobody sees itself. May a query look at its own key?"),
        (lambda n, m: _triangle(n, m, m - n + 1), "One too many: each query sees its successor."),
        (lambda n, m: ~_triangle(n, m, m - n), "Turned round: True is where a query MAY look."),
        (lambda n, m: ~_triangle(n, m, m - n - 1), "Those are the later ones, and itself."),
        (lambda n, m: _triangle(m, m), "One row for each query, and the queries are the last ones."),
    ],
    hints=[
        (
            lambda args, expected, got: getattr(got, "dtype", None) != torch.bool,
            "True and False are wanted, not numbers.",
        )
    ],
)
def may_look(queries, keys):
    return _triangle(queries, keys, keys - queries)


@free_form("tf-zoo-lora")
def _check_start(start_factors, rng):
    for d_in, d_out, rank in ((6, 3, 2), (4, 4, 4), (5, 9, 1)):
        factors = start_factors(d_in, d_out, rank)
        if not isinstance(factors, (tuple, list)) or len(factors) != 2:
            raise Wrong("two tensors are wanted, A and B.")
        shapes = [(d_in, rank), (rank, d_out)]
        if [tuple(getattr(f, "shape", ())) for f in factors] != shapes:
            raise Wrong(
                f"for ({d_in}, {d_out}, {rank}) the shapes are {shapes[0]} and {shapes[1]}.", "x A B, rows."
            )
        if not all(f.is_floating_point() for f in factors):
            raise Wrong("the factors are whole numbers.", "Weights are numbers with a fraction.")
        A, B = (f.detach().float().clone().requires_grad_() for f in factors)
        if not all(f.isfinite().all() for f in (A, B)):
            raise Wrong("there is nan or infinity in the factors.")
        if not (A @ B == 0).all():
            raise Wrong("the product is not zero: the model changes at once.", "One of the two must be zero.")
        if not any(f.detach().abs().max() > 0 for f in (A, B)):
            raise Wrong(
                "both are zero: no gradient ever.", "The gradient of each is a product with the other."
            )
        x, y = _normal(rng, 30, d_in).float(), _normal(rng, 30, d_out).float()
        F.mse_loss(x @ A @ B, y).backward()
        moved = [f.grad for f in (A, B) if f.detach().abs().max() == 0]
        # Every direction of the inner space must move: the factor that is not zero has full rank.
        full = next(f for f in (A, B) if f.detach().abs().max() > 0)
        if torch.linalg.matrix_rank(full.detach()) < min(full.shape):
            raise Wrong(
                "the other factor has less than its full rank: columns that are alike stay alike.",
                "All ones, or zeros here and there? What makes columns different?",
            )
        if any(g.abs().max() == 0 for g in moved):
            raise Wrong("the factor that is zero gets no gradient.", "Is the other one large enough?")
        if full.detach().abs().max() < 1e-4:
            raise Wrong(
                "entries below 0.0001: it would take for ever.", "A scale such as 1/sqrt(d_in) is usual."
            )
        if any(f.detach().abs().max() > 100 for f in (A, B)):
            raise Wrong(
                "entries above 100: the first step would be a leap.", "A scale such as 1/sqrt(d_in) is usual."
            )


_MERGES = [(b"a", b"b"), (b"c", b"d"), (b"b", b"c"), (b"ab", b"c"), (b"cd", b"cd")]


def _words(rng):
    yield b"abcd", _MERGES
    yield b"aaaa", [(b"a", b"a"), (b"aa", b"aa")]
    yield b"", _MERGES
    yield b"xyz", []
    yield b"bcb", _MERGES
    yield b"aaa", [(b"a", b"a")]
    yield "é".encode(), []
    for _ in range(12):
        word = bytes(rng.choice(list(b"abcd"), int(rng.integers(1, 12))).tolist())
        yield word, _MERGES


def _by_merges(word, merges):
    tokens = [bytes([b]) for b in word]
    for pair in merges:
        out, i = [], 0
        while i < len(tokens):
            size = 2 if tuple(tokens[i : i + 2]) == pair else 1
            out.append(b"".join(tokens[i : i + size]))
            i += size
        tokens = out
    return tokens


def _longest(word, merges, back=False):
    known, out = {bytes([b]) for b in range(256)} | {a + b for a, b in merges}, []
    while word:
        sizes = range(1, len(word) + 1)
        size = max(n for n in sizes if (word[-n:] if back else word[:n]) in known)
        if back:
            out.insert(0, word[-size:])
            word = word[:-size]
        else:
            out.append(word[:size])
            word = word[size:]
    return out


def _from_left(word, merges):
    tokens, i = [bytes([b]) for b in word], 0
    while i + 1 < len(tokens):
        if (tokens[i], tokens[i + 1]) in merges:
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
            i = 0
        else:
            i += 1
    return tokens


def _once(word, merges):
    tokens = [bytes([b]) for b in word]
    for a, b in merges:
        for i in range(len(tokens) - 1):
            if tokens[i] == a and tokens[i + 1] == b:
                tokens[i : i + 2] = [a + b]
                break
    return tokens


@exercise(
    "tf-zoo-longest",
    _words,
    mistakes=[
        (
            _longest,
            "The longest token that fits is not what the merges make. In which order were they learned?",
        ),
        (lambda w, m: _longest(w, m, back=True), "The longest token again, from the right."),
        (_from_left, "The leftmost pair that has a merge goes first there. Which merge should?"),
        (_once, "A merge is done wherever its pair occurs, not once."),
        (lambda w, m: [bytes([b]) for b in w], "Nothing has been merged."),
        (
            lambda w, m: _by_merges(w, m[::-1]),
            "The last merge first? They are applied in the order of learning.",
        ),
        (lambda w, m: [w] if w else [], "One token for all: only pairs in the list are merged."),
    ],
)
def by_merges(word, merges):
    return _by_merges(word, merges)


# --- exercises -----------------------------------------------------------------------------------------

number(
    "tf-count",
    1_317_888,
    mistakes=[
        (1_445_888, "Tied: the table serves twice and counts once."),
        (1_317_632, "Where is the last norm?"),
        (1_307_648 + 256, "Where are the biases and the norms of the blocks?"),
        (1_189_888, "Where is the table?"),
    ],
)
number(
    "tf-memory",
    4.0,
    mistakes=[
        (2.0, "Keys AND values. Or: how many bytes has a number?"),
        (1.0, "Keys and values, two bytes each."),
        (4 * 2**30, "In gibibytes: divide by 2^30."),
        (4.294967296, "Gibibytes are 2^30 bytes, not 10^9."),
        (8.0, "Two bytes a number, not four."),
    ],
)
number(
    "tf-bpe",
    4,
    mistakes=[
        (5, "After two merges there are five. Which pair occurs twice now?"),
        (7, "That is after one merge."),
        (12, "Those are the letters."),
        (3, "In ab ab ab, how often can (ab, ab) be merged without using a token twice?"),
    ],
)
number(
    "tf-rank",
    18_432,
    mistakes=[
        (8_192, "Four matrices of D x D. And the two of the small network?"),
        (10_240, "Those of the small network. And the four of attention?"),
        (9_216, "A and B: (d_in + d_out) numbers for each unit of rank."),
        (786_432, "Those are the matrices themselves. The thin ones are asked for."),
        (12_288, "Is the small network's hidden layer four times as wide?"),
    ],
)
interval(
    "tf-per-token",
    1.96,
    2.04,
    below="Fewer characters a token means fewer merges. 300, from all six plays? And are characters divided by tokens?",
    above="That is more than 300 merges give. Did you cut the SEVENTH play, with 300 merges?",
)


def _logits(rng):
    yield torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64), 0.9
    yield torch.tensor([[0.0, 5.0, 0.0]], dtype=torch.float64), 0.5
    yield torch.zeros(1, 4, dtype=torch.float64), 0.6
    yield torch.zeros(1, 4, dtype=torch.float64), 0.5
    yield torch.tensor([[1000.0, 1001.0, 999.0]], dtype=torch.float64), 0.8
    yield torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64), 1.0
    for rows in (1, 2, 3, 9):
        yield _normal(rng, rows, 9) * 2, float(rng.uniform(0.1, 0.95))


def _nucleus(rows, top, **kind):
    return torch.stack([_one_nucleus(logits, top, **kind) for logits in rows])


def _one_nucleus(logits, top, reach=True, sort=True, softmax=True, fill=-math.inf, renormal=False):
    order = logits.argsort(descending=True, stable=True) if sort else torch.arange(len(logits))
    p = logits[order].softmax(0) if softmax else logits[order]
    before = p.cumsum(0) - p
    kept = before < top - 1e-12 if reach else p.cumsum(0) <= top
    out = torch.full_like(logits, fill)
    out[order[kept]] = logits[order[kept]]
    if renormal:
        out = out.softmax(0)
    return out


@exercise(
    "tf-top-p",
    _logits,
    mistakes=[
        (
            lambda z, t: _nucleus(z, t, reach=False),
            "Those that stay must REACH `top` together: the one that does it belongs to them.",
        ),
        (lambda z, t: _nucleus(z, t, sort=False), "In which order are they added up? The likeliest first."),
        (lambda z, t: _nucleus(z, t, softmax=False), "Sum probabilities, not logits."),
        (lambda z, t: _nucleus(z, t, fill=0.0), "A logit of 0 is not a probability of 0."),
        (lambda z, t: _nucleus(z, t, renormal=True), "Logits are wanted, not probabilities."),
        (
            lambda z, t: torch.where(z.softmax(1) >= 1 - t, z, -math.inf),
            "A threshold on single probabilities is another rule (which?).",
        ),
        (
            lambda z, t: _nucleus(z.T, t).T,
            "Softmax and sum run along the symbols, not down the batch.",
        ),
        (
            lambda z, t: torch.where(z.softmax(1) >= t, z, -math.inf),
            "A threshold on single probabilities is another rule. They count together.",
        ),
    ],
)
def nucleus(logits, top):
    return _nucleus(logits, top)


def _batches(rng):
    for b, n, v in ((1, 3, 4), (2, 5, 3), (3, 6, 5)):
        ids = _whole(rng, v, b, n + 1)
        answer = torch.zeros(b, n + 1, dtype=torch.bool)
        for row in range(b):
            first = int(rng.integers(1, n))
            answer[row, first : first + 1 + int(rng.integers(1, n))] = True
        yield _normal(rng, b, n, v), ids, answer
    ids, answer = _whole(rng, 4, 3, 8), torch.zeros(3, 8, dtype=torch.bool)
    answer[0, 2:4] = answer[0, 6:] = True  # two answers in a row
    answer[2, 5] = True  # and none in row 1
    yield _normal(rng, 3, 7, 4), ids, answer
    yield 1000 * _normal(rng, 3, 7, 4), ids, answer


def _answer_loss(logits, ids, answer, kind=""):
    targets, counted = ids[:, 1:], answer[:, 1:]
    if kind == "unshifted":
        targets = ids[:, :-1]
    if kind == "mask":
        counted = answer[:, :-1]
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    if kind == "all":
        return losses.mean()
    if kind == "zeros":
        return (losses * counted).mean()
    if kind == "sum":
        return (losses * counted).sum()
    if kind == "rows":
        return ((losses * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()
    if kind == "bits":
        return losses[counted].mean() / math.log(2)
    return losses[counted].mean()


@exercise(
    "tf-answers",
    _batches,
    mistakes=[
        (lambda *a: _answer_loss(*a, kind="all"), "That is the mean over all symbols."),
        (lambda *a: _answer_loss(*a, kind="zeros"), "Divided by all symbols. How many are counted?"),
        (lambda *a: _answer_loss(*a, kind="sum"), "A mean, not a sum."),
        (
            lambda *a: _answer_loss(*a, kind="rows"),
            "A mean of the rows' means: all symbols should count alike.",
        ),
        (lambda *a: _answer_loss(*a, kind="mask"), "The mask belongs to the targets, which are shifted."),
        (lambda *a: _answer_loss(*a, kind="unshifted"), "Which symbol does position t predict?"),
        (lambda *a: _answer_loss(*a, kind="bits"), "In nats."),
    ],
)
def answer_loss(logits, ids, answer):
    return _answer_loss(logits, ids, answer)


def _steps(rng):
    for h, m, d in ((1, 2, 2), (2, 0, 3), (3, 5, 4), (2, 3, 3)):
        q, k, v = (_normal(rng, h, 1, d) for _ in range(3))
        yield q, k, v, _normal(rng, h, m, d), _normal(rng, h, m, d)


def _cached(q, k, v, keys, values, kind=""):
    pieces = (k, keys) if kind == "front" else (keys, k)
    keys = torch.cat(pieces, dim=1)
    values = torch.cat((v, values) if kind == "front" else (values, v), dim=1)
    if kind == "scale":
        return (q @ keys.mT).softmax(-1) @ values, keys, values
    if kind == "first":
        return values[:, :1], keys, values
    if kind == "old" and keys.shape[1] > 1:
        return attend(q, keys[:, :-1], values[:, :-1])[0], keys, values
    if kind == "kept":
        return attend(q, keys, values)[0], keys[:, :-1], values[:, :-1]
    return attend(q, keys, values)[0], keys, values


@exercise(
    "tf-cache",
    _steps,
    atol=1e-7,
    mistakes=[
        (
            lambda *a: _cached(*a, kind="front"),
            "The new key goes behind the old ones, so that positions go on.",
        ),
        (lambda *a: _cached(*a, kind="scale"), "Where is the square root of d?"),
        (lambda *a: _cached(*a, kind="first"), "The query sees the first key only: is that is_causal=True?"),
        (lambda *a: _cached(*a, kind="old"), "A query sees its own key, too."),
        (lambda *a: _cached(*a, kind="kept"), "The new key and value belong into the cache that you return."),
    ],
    hints=[
        (
            lambda args, expected, got: not isinstance(got, (tuple, list)) or len(got) != 3,
            "Three things: what was found, the keys, the values.",
        )
    ],
)
def cached_step(q, k, v, keys, values):
    return _cached(q, k, v, keys, values)


def _weights(rng):
    cases = ((2, 2, 1, 1.5, 1), (3, 5, 2, 0.25, 1), (5, 3, 2, 2.0, -1), (4, 4, 4, -0.5, -1))
    for d_in, d_out, r, scale, sign in cases:
        yield _normal(rng, d_out, d_in), _normal(rng, d_in, r), _normal(rng, r, d_out), scale, sign


def _merged(weight, A, B, scale, sign):
    return weight + sign * scale * (A @ B).T


@exercise(
    "tf-merge",
    _weights,
    mistakes=[
        (
            lambda w, A, B, s, g: w + g * s * A @ B if len(w) == w.shape[1] else _merged(w, A, B, s, g),
            "nn.Linear stores W transposed. Square matrices do not complain.",
        ),
        (
            lambda w, A, B, s, g: w + g * s * A @ B,
            "nn.Linear stores W transposed. Square matrices do not complain.",
        ),
        (lambda w, A, B, s, g: w + g * abs(s) * (A @ B).T, "A scale may be negative."),
        (lambda w, A, B, s, g: w + g * (A @ B).T, "Where is the scale?"),
        (lambda w, A, B, s, g: w + s * (A @ B).T, "Where is the sign?"),
        (lambda w, A, B, s, g: w + 2 * g * s * (A @ B).T, "Merged twice."),
        (lambda w, A, B, s, g: g * s * (A @ B).T, "That is the change. Where is W?"),
        (
            lambda w, A, B, s, g: _merged(w, A, B, s / A.shape[1], g),
            "The scale is given; do not divide it by r.",
        ),
    ],
)
def merged_weight(weight, A, B, scale, sign):
    return _merged(weight, A, B, scale, sign)


def _proposals(rng):
    for agree in (0, 1, 3, 5):
        logits = _normal(rng, 6, 7)
        best = logits.argmax(1)
        proposed = best[:5].clone()
        if agree < 5:
            proposed[agree] = (proposed[agree] + 1) % 7
        yield proposed, logits
    yield torch.zeros(0, dtype=torch.long), _normal(rng, 1, 4)


def _accepted(proposed, logits, own=True, everywhere=False, late=0):
    best = logits.argmax(1)
    same = proposed == best[: len(proposed)]
    n = int(same.sum()) if everywhere else int(same.long().cumprod(0).sum())
    return torch.cat([proposed[:n], best[n : n + 1]]) if own else proposed[:n]


@exercise(
    "tf-speculate",
    _proposals,
    mistakes=[
        (
            lambda p, z: _accepted(p, z, own=False),
            "The large model has computed one symbol more: what does it write itself?",
        ),
        (
            lambda p, z: _accepted(p, z, everywhere=True),
            "After the first disagreement nothing counts: later rows read a text that is not written.",
        ),
        (
            lambda p, z: z.argmax(1),
            "Rows behind the first disagreement have read proposals that were rejected.",
        ),
        (lambda p, z: z.argmax(1)[: len(p)], "Rows behind the first disagreement read what was rejected."),
        (lambda p, z: p, "Nobody has checked the proposals."),
        (lambda p, z: z.argmax(1)[:1], "One symbol a pass: nothing gained. Which proposals were right?"),
    ],
)
def accepted(proposed, logits):
    return _accepted(proposed, logits)

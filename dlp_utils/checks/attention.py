"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on attention."""

import math

import torch

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, number

# --- bug zoo -------------------------------------------------------------------------------------------


def _normal(rng, *size, dtype=torch.float64):
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return torch.randn(size, generator=generator, dtype=dtype)


def _sizes(rng):
    yield (1,)
    yield (2,)
    yield (5,)
    yield (int(rng.integers(6, 12)),)
    yield (70,)


def _lower(n, diagonal=0):
    return torch.ones(n, n, dtype=torch.bool).tril(diagonal)


def _not_bool(args, expected, got):
    return torch.is_tensor(got) and got.dtype != torch.bool


_BOOL = (_not_bool, "True and False, please: the dtype should be torch.bool.")


@exercise(
    "att-zoo-mask",
    _sizes,
    mistakes=[
        (
            lambda n: _lower(n).T,
            "That is the bug: row 0 looks at everything that comes. Who should look at whom?",
        ),
        (lambda n: _lower(n, -1), "May a query look at itself? Where else could row 0 look?"),
        (lambda n: ~_lower(n), "True means: may look. That is the other way round."),
        (
            lambda n: torch.ones(n, n, dtype=torch.bool),
            "Everybody sees everything. What is later than row 0?",
        ),
        (lambda n: torch.eye(n, dtype=torch.bool), "Each sees itself alone. And what came before?"),
        (lambda n: _lower(n, 1), "One column too many: each row sees the symbol that it should predict."),
    ],
    hints=[_BOOL],
)
def visible(n):
    return _lower(n)


def _qkv(rng):
    yield _normal(rng, 3, 4), _normal(rng, 3, 4), _normal(rng, 3, 4)
    yield _normal(rng, 2, 4, 8), _normal(rng, 2, 6, 8), _normal(rng, 2, 6, 3)
    yield _normal(rng, 2, 3, 2, 5), _normal(rng, 2, 3, 4, 5), _normal(rng, 2, 3, 4, 5)
    yield 60 * _normal(rng, 2, 4), 60 * _normal(rng, 5, 4), _normal(rng, 5, 2)
    yield 400 * _normal(rng, 3, 4), 40 * _normal(rng, 5, 4), _normal(rng, 5, 2)


def _answer(q, k, v, dim=-1, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return (q @ k.mT * scale).softmax(dim=dim) @ v


def _by_plain_exp(q, k, v):
    e = (q @ k.mT / q.shape[-1] ** 0.5).exp()
    return e / e.sum(dim=-1, keepdim=True) @ v


@exercise(
    "att-zoo-axis",
    _qkv,
    mistakes=[
        (lambda q, k, v: _answer(q, k, v, -2), "That is the bug. Each QUERY distributes a weight of 1."),
        (lambda q, k, v: _answer(q, k, v, scale=1.0), "The axis is right. Where is √d?"),
        (lambda q, k, v: _answer(q, k, v, scale=q.shape[-1] ** 0.5), "Divided by √d, not multiplied."),
        (lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5) @ v, "Those are scores. Where is the softmax?"),
        (
            lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1),
            "Those are the weights. And the values?",
        ),
        (
            _by_plain_exp,
            "Right, until an exponential overflows: subtract each row's maximum, or use softmax.",
        ),
    ],
)
def looked_up(q, k, v):
    return _answer(q, k, v)


def _qk(rng):
    yield torch.ones(1, 1, 1, 4).double(), torch.tensor([[[[1.0] * 4, [0.0] * 4]]]).double()
    yield _normal(rng, 2, 3, 3, 5), _normal(rng, 2, 3, 6, 5)
    high = torch.tensor([[[[40.0] * 4, [-40.0] * 4]]]).double()
    yield high, high + torch.tensor([[0.0], [1.0]]).double()
    yield 40 * _normal(rng, 1, 2, 3, 4), 40 * _normal(rng, 1, 2, 3, 4)


def _weights(q, k, scale, dim=-1):
    return (q @ k.mT * scale(q)).softmax(dim=dim)


def _unsafe(q, k):
    e = (q @ k.mT / q.shape[-1] ** 0.5).exp()
    return e / e.sum(dim=-1, keepdim=True)


@exercise(
    "att-zoo-scale",
    _qk,
    mistakes=[
        (
            lambda q, k: _weights(q, k, lambda q: q.shape[-1] ** 0.5),
            "That is the bug. A sum of d products has the variance d: what brings it back to 1?",
        ),
        (lambda q, k: _weights(q, k, lambda q: 1.0), "Where is √d?"),
        (lambda q, k: _weights(q, k, lambda q: 1 / q.shape[-1]), "The variance is d; divide by its root."),
        (
            lambda q, k: _weights(q, k, lambda q: 1 / q.shape[-2] ** 0.5),
            "That is the root of the number of tokens. d is the number of features of a query.",
        ),
        (
            lambda q, k: _weights(q, k, lambda q: 1 / (q.shape[-1] * q.shape[1]) ** 0.5),
            "d is the number of features in one head: that many products are added.",
        ),
        (
            lambda q, k: _weights(q, k, lambda q: q.shape[-1] ** -0.5, dim=-2),
            "Each query distributes a weight of 1 over the keys: along which axis is the softmax?",
        ),
        (
            _unsafe,
            "Right, until an exponential overflows. Subtract the row's maximum first, or use the library.",
        ),
        (lambda q, k: q @ k.mT / q.shape[-1] ** 0.5, "Those are the scores. And the weights?"),
    ],
)
def scaled_weights(q, k):
    return _weights(q, k, lambda q: q.shape[-1] ** -0.5)


def _heads(rng):
    yield (torch.arange(8.0).view(1, 2, 2, 2),)
    yield (_normal(rng, 2, 3, 4, 5),)
    yield (_normal(rng, 3, 4, 1, 2),)


@exercise(
    "att-zoo-join",
    _heads,
    mistakes=[
        (
            lambda x: x.reshape(x.shape[0], x.shape[2], -1),
            "That is the bug: in memory a head's tokens stand together. Bring a token's heads together first.",
        ),
        (
            lambda x: x.permute(0, 2, 3, 1).flatten(2),
            "Head 0 first, all of it, then head 1. Which two axes should be last before they are joined?",
        ),
        (lambda x: x.transpose(1, 2), "The axes stand right. Now join the last two."),
        (lambda x: x.flatten(2), "Joined, but which axes? The heads of a token, not the tokens of a head."),
    ],
)
def joined(x):
    return x.transpose(1, 2).flatten(2)


def _features(rng):
    yield torch.arange(8.0).view(1, 2, 4), 2
    yield _normal(rng, 2, 6, 12), 3
    yield _normal(rng, 3, 4, 8), 4


@exercise(
    "att-zoo-heads",
    _features,
    mistakes=[
        (
            lambda x, heads: x.view(x.shape[0], heads, x.shape[1], x.shape[2] // heads),
            "That is the bug: which tokens are in head 0? Cut the last axis, then move axes.",
        ),
        (
            lambda x, heads: x.view(x.shape[0], x.shape[1], heads, -1).permute(2, 0, 1, 3),
            "Heads first, then the batch. The batch keeps its place.",
        ),
        (
            lambda x, heads: x.view(x.shape[0], x.shape[1], heads, -1),
            "Cut rightly. Now the heads have to come before the tokens.",
        ),
        (
            lambda x, heads: x.view(x.shape[0], x.shape[1], -1, heads).permute(0, 3, 1, 2),
            "A head is a block of neighboring features, not every heads-th one. Which comes first?",
        ),
        (
            lambda x, heads: x.transpose(1, 2).reshape(x.shape[0], heads, x.shape[1], -1),
            "Transposing features and tokens first, then reading in rows, mixes them again.",
        ),
    ],
)
def heads_apart(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _masked_cases(rng):
    yield torch.zeros(2, 2).double(), torch.tensor([[True, False], [True, True]])
    yield _normal(rng, 4, 4), _lower(4)
    yield _normal(rng, 2, 3, 4, 6), torch.tensor([True, True, False, True, False, True])
    yield _normal(rng, 3, 5), torch.tensor([[True] * 5, [False] * 5, [False, True, True, False, False]])
    scores = _normal(rng, 2, 3)
    scores[:, 0] = 2000.0  # hidden, and far above the others
    yield scores, torch.tensor([[False, True, True], [True, True, False]])
    low = torch.tensor([[-5000.0, -5001.0, 3000.0, 900.0], [1000.0, 1001.0, 2.0, 0.0]]).double()
    yield low, torch.tensor([[True, True, False, False], [True, True, True, False]])
    one = torch.from_numpy(rng.random((2, 1, 1, 6)) > 0.4)
    one[..., 0] = True
    yield _normal(rng, 2, 3, 4, 6), one  # the shape of a mask for padding


def _right_weights(scores, allowed):
    w = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return w.masked_fill(~allowed, 0.0)


@exercise(
    "att-zoo-soft",
    _masked_cases,
    mistakes=[
        (
            lambda s, a: s.masked_fill(~a, -1e3).softmax(dim=-1).masked_fill(~a, 0.0),
            "How low is low enough? Scores may be far below that, all of them... or use −∞.",
        ),
        (
            lambda s, a: (p := s.softmax(dim=-1) * a) / p.sum(dim=-1, keepdim=True).clamp(min=1e-30),
            "Right where the hidden scores are not much larger. Where one is, all others have become 0 before.",
        ),
        (
            lambda s, a: s.softmax(dim=-1) * a,
            "That is the bug: the softmax has divided by keys that the query must not see.",
        ),
        (lambda s, a: (s * a).softmax(dim=-1), "A score of 0 is an ordinary score: e to the 0 is 1."),
        (
            lambda s, a: (s * a).softmax(dim=-1) * a,
            "The hidden keys still count in the sum that is divided by.",
        ),
        (
            lambda s, a: s.masked_fill(~a, -math.inf).softmax(dim=-1),
            "Right, but for a query that may look nowhere: its row is 0/0. It should be all 0.",
        ),
        (
            lambda s, a: s.masked_fill(~a, torch.finfo(s.dtype).min).softmax(dim=-1),
            "Right, but for a query that may look nowhere: its row should be all 0.",
        ),
        (
            lambda s, a: s.masked_fill(a, -math.inf).softmax(dim=-1).nan_to_num(0.0),
            "True means: may look. That is the other way round.",
        ),
        (lambda s, a: s.masked_fill(~a, 0.0).softmax(dim=-1), "A score of 0 is an ordinary score."),
        (
            lambda s, a: _right_weights(s.mT, a.expand_as(s).mT).mT,
            "Each query distributes a weight of 1 over the keys: along which axis?",
        ),
    ],
)
def masked_weights(scores, allowed):
    return _right_weights(scores, allowed)


@free_form("att-zoo-padding")
def _check_padding(real_keys, rng):
    for ids, padding in (
        (torch.tensor([[5, 6, 0], [7, 0, 0]]), 0),
        (torch.tensor([[0, 6, 9, 9], [0, 0, 2, 9], [1, 2, 3, 4]]), 9),
        (torch.randint(0, 3, (4, 6), generator=torch.Generator().manual_seed(int(rng.integers(99)))), 2),
    ):
        given = ids.clone()
        got = real_keys(given, padding)
        if not torch.equal(given, ids):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if not torch.is_tensor(got):
            raise Wrong(f"{type(got).__name__} is not a tensor.")
        if got.dtype != torch.bool:
            raise Wrong(f"the mask is of {got.dtype}.", "True and False, please: a comparison gives them.")
        B, M = ids.shape
        try:
            mask = got.expand(B, 2, 5, M)
        except RuntimeError:
            hint = "Two axes of length 1 between batch and keys: one for heads, one for queries."
            raise Wrong(f"shape {tuple(got.shape)} does not broadcast to (B, H, N, M).", hint) from None
        wanted = (ids != padding)[:, None, None].expand(B, 2, 5, M)
        if torch.equal(mask, ~wanted):
            raise Wrong("the mask is the other way round.", "True where a key is real.")
        if not torch.equal(mask, wanted):
            hint = "Does it hide the fillers as KEYS, for every query, each sequence by itself?"
            raise Wrong(f"for ids {ids.tolist()} and padding {padding} other keys are hidden.", hint)
        square = ids[:, :, None] != padding
        if got.dim() == 4 and got.shape[2] == M and torch.equal(got[:, 0], square.expand_as(got[:, 0])):
            raise Wrong("that hides queries.", "Who looks at a filler? Hide keys.")


@free_form("att-zoo-inverted")
def _check_inverted(for_the_library, rng):
    for n in (2, 5):
        torch_state = torch.random.get_rng_state()
        try:
            torch.manual_seed(int(rng.integers(99)))
            layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
        finally:
            torch.random.set_rng_state(torch_state)
        x = _normal(rng, 2, n, 8, dtype=torch.float32)
        other = torch.eye(n, dtype=torch.bool) | torch.from_numpy(rng.random((n, n)) > 0.5)
        for allowed in (_lower(n), other):
            given = allowed.clone()
            mask = for_the_library(given)
            if not torch.equal(given, allowed):
                raise Wrong("your code modifies its input in place.", "Work on a copy.")
            if not torch.is_tensor(mask):
                raise Wrong(f"{type(mask).__name__} is not a tensor.")
            if mask.dtype != torch.bool and not mask.dtype.is_floating_point:
                raise Wrong(f"the library takes no mask of {mask.dtype}.", "bool, or numbers to be added.")
            try:
                with torch.no_grad():
                    w = layer(x, x, x, attn_mask=mask)[1]
            except (RuntimeError, AssertionError) as error:
                raise Wrong(f"the library refuses it: {str(error).splitlines()[0][:90]}") from None
            if mask.dtype == torch.bool and torch.equal(mask, allowed) and not allowed.all():
                raise Wrong("it looks where it must not.", "What does True mean there: may, or may not?")
            seen = w > 0
            if not torch.equal(seen, allowed.expand_as(seen)):
                hint = "Print the weights of three symbols: which are 0? A mask of numbers is ADDED to the scores."
                raise Wrong("the weights are not 0 exactly where a query may not look.", hint)
            scores_kept = layer(x, x, x, attn_mask=~allowed)[1]
            expect_close(w, scores_kept, "the weights", rtol=1e-4, hint="Visible scores stay as they are.")


def _leak_cases(rng, kinds):
    table = _normal(rng, kinds, 6, dtype=torch.float32)

    def total(ids):
        return table[ids].cumsum(dim=1)

    def previous(ids):
        x = table[ids]
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)

    def following(ids):
        x = table[ids]
        return torch.cat([x[:, 1:], x[:, -1:]], dim=1)

    def attention(ids, how):
        x = table[ids]
        n = ids.shape[1]
        mask, scores = _lower(n), x @ x.mT / 6**0.5
        return how(scores, mask) @ x

    def good(ids):
        return attention(ids, _right_weights)

    def zero(ids):
        return attention(ids, lambda s, m: (s * m).softmax(-1))

    def after(ids):
        return attention(ids, lambda s, m: s.softmax(-1) * m)

    def first_sees_last(ids):
        x = total(ids).clone()
        x[:, 0] = x[:, 0] + table[ids[:, -1]]
        return x

    def one_before(ids):  # only the last but one sees the last
        x = total(ids).clone()
        if x.shape[1] > 1:
            x[:, -2] = x[:, -2] + table[ids[:, -1]]
        return x

    def early(ids):  # only the first sees the second; the last symbol is heard by nobody
        x = total(ids).clone()
        if x.shape[1] > 1:
            x[:, 0] = x[:, 0] + table[ids[:, 1]]
        return x

    def last_row(ids):  # only in the last sequence of the batch
        x = total(ids).clone()
        x[-1] = x[-1] + table[ids[-1]].flip(0).cumsum(0).flip(0)
        return x

    def last_feature(ids):
        x = total(ids).clone()
        x[..., -1] = x[..., -1] + table[ids].sum(dim=1, keepdim=True)[..., -1]
        return x

    def small(ids):
        return total(ids) + 3e-5 * table[ids].sum(dim=1, keepdim=True)

    def faint(ids):
        x = table[ids]
        return x + 1e-3 * x.mean(dim=1, keepdim=True)

    def rounding(ids):
        return total(ids) + 1e-7 * table[ids].sum(dim=1, keepdim=True)

    def scalar(ids):  # (B, N), without features
        return table[ids].cumsum(dim=1)[..., 0]

    def scalar_leaks(ids):
        return table[ids].flip(1).cumsum(dim=1).flip(1)[..., 0]

    return (
        (total, False, "This one adds up what has come so far."),
        (previous, False, "This one shows the last symbol. An output may depend on earlier ones."),
        (good, False, "This is attention with a causal mask."),
        (rounding, False, "These differ in the seventh digit: rounding, not a leak."),
        (scalar, False, "Outputs may have no feature axis, (B, N)."),
        (following, True, "Each output is the next symbol. Change one symbol: which EARLIER outputs move?"),
        (zero, True, "The specimen of the zoo: scores times the mask."),
        (after, True, "A mask after the softmax. Which outputs move when the last symbol changes?"),
        (first_sees_last, True, "Only the first output sees the last symbol."),
        (one_before, True, "Only the last but one sees the last symbol. Do you compare all earlier outputs?"),
        (faint, True, "Faint: a thousandth. Up to which difference is it rounding?"),
        (scalar_leaks, True, "Outputs may have no feature axis, (B, N)."),
        (
            early,
            True,
            "Here only the first output hears the second symbol. Do you change every symbol in turn?",
        ),
        (last_row, True, "Here only the last sequence of the batch leaks. Do you change them all?"),
        (last_feature, True, "Here only the last feature of the outputs leaks. Do you compare them all?"),
        (small, True, "Faint, and more than rounding: 1e-5 is the limit."),
    )


@free_form("att-zoo-leak")
def _check_leaks(leaks, rng):
    for shape, kinds in (((2, 6), 30), ((3, 4), 5), ((1, 5), 2)):
        ids = torch.from_numpy(rng.integers(kinds, size=shape))
        for model, expected, hint in _leak_cases(rng, kinds):
            given = ids.clone()
            got = leaks(model, given, kinds)
            if not torch.equal(given, ids):
                raise Wrong("your code modifies its input in place.", "Work on a copy.")
            if not isinstance(got, (bool, int)) and not (
                hasattr(got, "dtype") and getattr(got, "size", None)
            ):
                raise Wrong(f"{type(got).__name__} is neither True nor False.")
            if bool(got) != expected:
                raise Wrong(f"{bool(got)} for ids of shape {shape}; wanted {expected}.", hint)


# --- exercises -----------------------------------------------------------------------------------------

number(
    "att-count",
    12 * (12 * 768**2 + 13 * 768),
    mistakes=[
        (12 * 768**2 + 13 * 768, "That is one block. There are twelve."),
        (12 * 12 * 768**2, "Where are the biases, and the gains of the normalizations?"),
        (12 * (12 * 768**2 + 9 * 768), "The two normalizations have a gain and a bias each."),
        (12 * (12 * 768**2 + 4 * 768), "The linear layers have biases, too."),
        (12 * (4 * 768**2 + 4 * 768), "That is attention alone. What about the MLP?"),
    ],
)

number(
    "att-cost",
    3072,
    mistakes=[
        (1024, "That balances the four maps alone. The MLP has linear layers, too."),
        (2048, "That balances the MLP alone, or counts one of the two products."),
        (6144, "Two products are quadratic: the scores, and the weighted values."),
        (1536, "Count once more: 12 N D² on one side, 2 N² D on the other."),
    ],
)


def _pairs(rng):
    for n, m, d, a in ((1, 1, 2, 3), (3, 5, 4, 2), (4, 2, 3, 6)):
        yield (
            _normal(rng, n, d),
            _normal(rng, m, d),
            _normal(rng, d, a),
            _normal(rng, d, a),
            _normal(rng, a),
        )


def _additive(g, h, w1, w2, v, f=torch.tanh):
    return f((g @ w1)[:, None] + (h @ w2)[None]) @ v


@exercise(
    "att-additive",
    _pairs,
    mistakes=[
        (
            lambda g, h, w1, w2, v: _additive(h, g, w1, w2, v).T,
            "Which matrix belongs to the decoder's states?",
        ),
        (lambda g, h, w1, w2, v: _additive(g, h, w1, w2, v, lambda x: x), "Where is the tanh?"),
        (
            lambda g, h, w1, w2, v: (torch.tanh(g @ w1)[:, None] + torch.tanh(h @ w2)[None]) @ v,
            "The tanh is taken of the sum. Otherwise every query would prefer the same key.",
        ),
        (lambda g, h, w1, w2, v: _additive(g, h, w1, w2, v).T, "Rows are queries, (N, M)."),
        (
            lambda g, h, w1, w2, v: _additive(g, h, w1, w2, v).softmax(-1),
            "Those are the weights. The scores are asked for.",
        ),
        (
            lambda g, h, w1, w2, v: torch.tanh((g @ w1)[:, None] + (h @ w2)[None]),
            "One number for each pair: what does v do?",
        ),
    ],
)
def additive_scores(g, h, w1, w2, v):
    return _additive(g, h, w1, w2, v)


def _windows(rng):
    yield 3, 1
    yield 4, 2
    yield 6, 3
    yield 5, 9
    yield int(rng.integers(7, 11)), 4


def _window(n, w, low=0):
    i = torch.arange(n)
    gap = i[:, None] - i
    return (gap >= low) & (gap < w)


@exercise(
    "att-window",
    _windows,
    mistakes=[
        (lambda n, w: _lower(n), "That is the causal mask. And what is too far back?"),
        (lambda n, w: _window(n, w + 1), "One too many: w symbols in all, itself counted."),
        (lambda n, w: _window(n, w, 1), "A query may look at itself."),
        (lambda n, w: _window(n, w, 1 - w), "It looks ahead as well."),
        (lambda n, w: _window(n, w).T, "Rows are queries: that looks ahead."),
        (lambda n, w: ~_window(n, w), "True means: may look."),
    ],
    hints=[_BOOL],
)
def window(n, w):
    return _window(n, w)


def _rows(rng):
    yield (torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double(),)
    yield (_normal(rng, 5, 4),)
    yield (_normal(rng, 2, 3, 7, 6),)


def _halves(x, sign=1.0, first=0, by=None, near=False):
    n, d = x.shape[-2:]
    i = torch.arange(d // 2, dtype=torch.float64)
    speeds = 10000.0 ** (-(2 * i) / d) if by is None else by(i, d)
    angles = torch.arange(first, first + n, dtype=torch.float64)[:, None] * speeds
    cos, sin = angles.cos().to(x.dtype), sign * angles.sin().to(x.dtype)
    a, b = (x[..., 0::2], x[..., 1::2]) if near else x.chunk(2, dim=-1)
    turned = a * cos - b * sin, a * sin + b * cos
    return torch.stack(turned, -1).flatten(-2) if near else torch.cat(turned, -1)


@exercise(
    "att-rope",
    _rows,
    rtol=1e-5,
    mistakes=[
        (lambda x: _halves(x, near=True), "Those are neighbors. Here feature i goes with feature i + d/2."),
        (lambda x: _halves(x, sign=-1.0), "Turned the other way."),
        (lambda x: _halves(x, first=1), "The first row stands at position 0: it is not turned."),
        (
            lambda x: _halves(x, by=lambda i, d: 10000.0 ** (-i / d)),
            "The speeds: 2i over d, so that the last pair is slower than that.",
        ),
        (lambda x: _halves(x, by=lambda i, d: 10000.0 ** (2 * i / d)), "Later pairs turn more slowly."),
        (
            lambda x: torch.stack(_halves(x).chunk(2, dim=-1), -1).flatten(-2),
            "The halves stay where they were: first half, then second.",
        ),
    ],
)
def rotated_halves(x):
    return _halves(x)


def _norm_cases(rng):
    yield torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 2.0]]).double(), 1.0
    for shape, eps in (((3, 5), 1e-5), ((4, 6), 0.2)):
        yield _normal(rng, *shape), 2 * _normal(rng, *shape) + 1, eps


def _norm(grad, x, eps, dim=1, ddof=0, root=True):
    m = x.mean(dim=dim, keepdim=True)
    v = (x - m).square().sum(dim=dim, keepdim=True) / (x.shape[dim] - ddof)
    s = torch.sqrt(v + eps) if root else v + eps
    return s, (x - m) / s


def _norm_full(grad, x, eps, dim=1, ddof=0):
    s, y = _norm(grad, x, eps, dim, ddof)
    g = grad - grad.mean(dim=dim, keepdim=True)
    return (g - (grad * y).mean(dim=dim, keepdim=True) * y) / s


def _norm_sum(grad, x, eps):
    s, y = _norm(grad, x, eps)
    return (grad - grad.mean(dim=1, keepdim=True) - (grad * y).sum(dim=1, keepdim=True) * y) / s


def _norm_sums(grad, x, eps):
    s, y = _norm(grad, x, eps)
    return (grad - grad.sum(dim=1, keepdim=True) - (grad * y).sum(dim=1, keepdim=True) * y) / s


def _norm_eps_outside(grad, x, eps):
    s, y = _norm(grad, x, 0 * eps)
    s, y = s + eps, y * s / (s + eps)
    g = grad - grad.mean(dim=1, keepdim=True)
    return (g - (grad * y).mean(dim=1, keepdim=True) * y) / s


def _norm_along_x(grad, x, eps):
    s, _ = _norm(grad, x, eps)
    return (grad - grad.mean(dim=1, keepdim=True) - (grad * x).mean(dim=1, keepdim=True) * x) / s


@exercise(
    "att-layernorm",
    _norm_cases,
    rtol=1e-5,
    mistakes=[
        (
            lambda grad, x, eps: grad / _norm(grad, x, eps)[0],
            "The mean and the standard deviation depend on x, too.",
        ),
        (
            lambda grad, x, eps: (grad - grad.mean(dim=1, keepdim=True)) / _norm(grad, x, eps)[0],
            "That is the part through the mean. What about the part through the standard deviation?",
        ),
        (
            lambda grad, x, eps: (
                (grad - (grad * (y := _norm(grad, x, eps)[1])).mean(dim=1, keepdim=True) * y)
                / _norm(grad, x, eps)[0]
            ),
            "That is the part through the standard deviation. What about the part through the mean?",
        ),
        (_norm_sum, "The component along y: a mean over the features, since ‖y‖² is about D, not 1."),
        (_norm_sums, "Means over the features, not sums."),
        (_norm_along_x, "The direction is the normalized y, not x."),
        (
            lambda grad, x, eps: _norm_full(grad, x, eps) * _norm(grad, x, eps)[0],
            "Where is the division by s?",
        ),
        (
            lambda grad, x, eps: _norm_full(grad, x, eps) / _norm(grad, x, eps)[0],
            "Divided by s once too often.",
        ),
        (
            lambda grad, x, eps: _norm_full(grad, x, eps, dim=0),
            "Each row is normalized by itself: over which axis?",
        ),
        (
            lambda grad, x, eps: _norm_full(grad, x, eps, ddof=1),
            "tensor.std and tensor.var divide by D − 1. LayerNorm divides by D.",
        ),
        (lambda grad, x, eps: _norm_full(grad, x, 0 * eps), "Where is eps?"),
        (_norm_eps_outside, "eps stands inside of the root, with the variance."),
        (lambda grad, x, eps: -_norm_full(grad, x, eps), "The sign of everything is turned."),
        (lambda grad, x, eps: _norm(grad, x, eps)[1], "That is the forward pass."),
    ],
)
def layer_norm_backward(grad, x, eps):
    return _norm_full(grad, x, eps)


def _back_cases(rng):
    yield (
        torch.ones(1, 1).double(),
        torch.ones(1, 1).double(),
        torch.tensor([[1.0], [0.0]]).double(),
        torch.tensor([[1.0], [0.0]]).double(),
        torch.tensor([[True, True]]),
    )
    for n, m, d, e in ((3, 4, 2, 5), (4, 4, 6, 3)):
        mask = torch.from_numpy(rng.random((n, m)) > 0.4)
        mask[:, 0] = True
        yield _normal(rng, n, e), _normal(rng, n, d), _normal(rng, m, d), _normal(rng, m, e), mask


def _back(grad, q, k, v, allowed, rows=True, root=True, masked=True, slope=True, swap=False):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    a = _right_weights(scores, allowed if masked else torch.ones_like(allowed))
    da = grad @ v.mT
    ds = da - (da * a).sum(dim=-1, keepdim=True) if rows else da
    ds = a * ds if slope else ds
    ds = ds / q.shape[-1] ** 0.5 if root else ds
    dq, dk, dv = ds @ k, ds.mT @ q, a.mT @ grad
    return (dv, dk, dq) if swap else (dq, dk, dv)


@exercise(
    "att-backward",
    _back_cases,
    rtol=1e-5,
    mistakes=[
        (
            lambda *t: _back(*t, rows=False),
            "The softmax divides by a sum: every weight depends on every score.",
        ),
        (
            lambda *t: _back(*t, root=False),
            "The scores were divided by √d: so is what goes back through them.",
        ),
        (lambda *t: _back(*t, masked=False), "Where is the mask? A hidden key gets no gradient."),
        (lambda *t: _back(*t, slope=False), "The slope of the softmax has the weight as a factor."),
        (lambda *t: _back(*t, swap=True), "Queries first, then keys, then values."),
        (lambda *t: _back(*t)[:2], "Three gradients: queries, keys, values."),
    ],
)
def attention_backward(grad, q, k, v, allowed):
    return _back(grad, q, k, v, allowed)


def _reports(rng):
    def report(n, m, e, shift=0.0):  # shift: a number, or one for each row
        s, v = 3 * _normal(rng, n, m) + shift, _normal(rng, m, e)
        largest = s.amax(dim=-1, keepdim=True)
        w = (s - largest).exp()
        return largest, w.sum(dim=-1, keepdim=True), w @ v

    yield report(1, 1, 1), report(1, 1, 1)
    yield report(3, 4, 2), report(3, 2, 2)
    yield report(4, 3, 3), report(4, 5, 3, shift=2000.0)
    yield report(2, 3, 2, shift=2000.0), report(2, 3, 2)
    mixed = torch.tensor([[2000.0], [-2000.0], [0.0]]).double()
    yield report(3, 3, 2, shift=mixed), report(3, 4, 2)


def _merge(a, b, how=torch.maximum, rescale=True, mean=False):
    largest = how(a[0], b[0])
    x, y = ((p[0] - largest).exp() if rescale else torch.ones_like(p[0]) for p in (a, b))
    total, mixed = x * a[1] + y * b[1], x * a[2] + y * b[2]
    return largest, total, mixed / total if mean else mixed


def _unsafe_merge(a, b):
    largest = torch.maximum(a[0], b[0])
    x, y = a[0].exp(), b[0].exp()
    return largest, (x * a[1] + y * b[1]) / largest.exp(), (x * a[2] + y * b[2]) / largest.exp()


@exercise(
    "att-online",
    _reports,
    rtol=1e-6,
    mistakes=[
        (
            lambda a, b: _merge(a, b, rescale=False),
            "The two sums were taken relative to two different largest scores. Bring them to one.",
        ),
        (lambda a, b: _merge(a, b, mean=True), "A report of the same kind: the sum, not yet divided."),
        (
            _unsafe_merge,
            "Right, until an exponential overflows: only differences of scores may be exponents.",
        ),
        (
            lambda a, b: _merge(a, b, how=torch.minimum),
            "The largest of both parts: otherwise exponents grow.",
        ),
        (
            lambda a, b: _merge(a, b, how=lambda x, y: x + y),
            "The largest score of both parts is one of the two.",
        ),
    ],
)
def merged(a, b):
    return _merge(a, b)


number(
    "att-steps",
    180,
    mistakes=[
        (60, "After 60 steps it has hardly learned the hyphens. Did you use the test dates, whole answers?"),
        (120, "There it is not yet one half: look at the share, and at another seed."),
        (240, "It is nearly perfect there. Was it past one half before?"),
    ],
)


def _alibi_cases(rng):
    yield 1, 2
    yield 2, 3
    yield 8, 5
    yield 3, 4
    yield 12, 3
    yield 4, int(rng.integers(6, 9))


def _alibi(heads, n, sign=-1.0, mask=True, first=1, same=False):
    i = torch.arange(n)
    gap = (i[:, None] - i).double()
    slopes = 2.0 ** (-8 * torch.arange(first, heads + first).double() / heads)
    slopes = torch.full_like(slopes, 2.0**-8) if same else slopes
    bias = sign * slopes[:, None, None] * gap
    return bias.masked_fill(gap < 0, -math.inf) if mask else bias


@exercise(
    "att-alibi",
    _alibi_cases,
    rtol=1e-6,
    mistakes=[
        (lambda h, n: _alibi(h, n, sign=1.0), "What is far away should count less."),
        (
            lambda h, n: _alibi(h, n, mask=False),
            "Where is the causal mask? Minus infinity where the key is later.",
        ),
        (lambda h, n: _alibi(h, n, first=0), "The first head's slope is 2 to the −8/H, not 1."),
        (lambda h, n: _alibi(h, n).mT, "Rows are queries, columns are keys."),
        (
            lambda h, n: torch.where(torch.isinf(b := _alibi(h, n)), 0.0, b),
            "A bias of 0 hides nothing. Minus infinity where the key is later.",
        ),
    ],
)
def linear_biases(heads, n):
    return _alibi(heads, n)

"""Generated from notebooks/attention.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['MONTHS', 'DAYS', 'WAYS', 'TASKS', 'SYMBOLS', 'PADDING', 'BEGIN', 'END', 'VOCAB', 'KINDS', 'CONFIGS', 'RACE',
           'written', 'date_pairs', 'reverse_pairs', 'sort_pairs', 'encode', 'decode', 'padded', 'as_batch', 'Stream',
           'attend', 'Reader', 'Recurrent', 'step', 'answers', 'exact', 'train_pairs', 'alignment', 'split_heads',
           'join_heads', 'rotate', 'sinusoids', 'MultiHead', 'causal', 'Block', 'repetitions', 'Repeater',
           'Repetitions', 'next_step', 'train_repeater', 'repeater_scores', 'repeater_run', 'Config', 'Placed',
           'Transformer', 'build', 'example_batch', 'race_run', 'attend_in_pieces']

# %%
import datetime
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.training import fit

# %%
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS = (
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    *("Saturday", "Sunday"),
)
WAYS = (
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "{d} {mon} {y}",
    "{mon} {d} {y}",
    "{d}/{m}/{y}",
    "{d:02d}.{m:02d}.{y}",
    "{weekday}, {d} {month} {y}",
    "{day}, {mon} {d}, {y}",
    "{nth} of {month} {y}",
    "the {nth} of {month}, {y}",
)

# %%
def written(date, way):
    """A datetime.date, written in one of the WAYS."""
    month, weekday = MONTHS[date.month - 1], DAYS[date.weekday()]
    d = date.day
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if 10 < d < 14 else ends.get(d % 10, "th")
    return way.format(
        d=d,
        m=date.month,
        y=date.year,
        month=month,
        mon=month[:3],
        weekday=weekday,
        day=weekday[:3],
        nth=f"{d}{end}",
    )


def date_pairs(count, rng, test=False, years=(1900, 2099)):
    """Pairs (as written, as wanted); every tenth day is for the test."""
    first = datetime.date(years[0], 1, 1).toordinal()
    last = datetime.date(years[1], 12, 31).toordinal()
    pairs = []
    while len(pairs) < count:
        day = int(rng.integers(first, last + 1))
        if (day % 10 == 0) == test:
            date = datetime.date.fromordinal(day)
            way = WAYS[rng.integers(len(WAYS))]
            pairs.append((written(date, way), date.isoformat()))
    return pairs

# %%
def _words(count, rng, longest):
    lengths = rng.integers(4, longest + 1, size=count)
    words = (rng.integers(97, 123, size=n) for n in lengths)
    return ["".join(map(chr, word)) for word in words]


def reverse_pairs(count, rng, test=False):
    """Words of 4 to 20 random letters, and the same backward."""
    return [(w, w[::-1]) for w in _words(count, rng, 20)]


def sort_pairs(count, rng, test=False):
    """Words of 4 to 14 random letters, and their letters in order."""
    return [(w, "".join(sorted(w))) for w in _words(count, rng, 14)]


TASKS = {"dates": date_pairs, "reverse": reverse_pairs, "sort": sort_pairs}

# %%
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
SYMBOLS = "".join(
    sorted({*_LETTERS, *"0123456789 ,./-", *"".join(MONTHS + DAYS)})
)
PADDING, BEGIN, END = 0, 1, 2
VOCAB = len(SYMBOLS) + 3


def encode(text):
    """The numbers of a text's characters, a list."""
    unknown = sorted(set(text) - set(SYMBOLS))
    if unknown:
        raise ValueError(
            f"the character {unknown[0]!r} has no number here: the known ones "
            f"are {SYMBOLS!r}"
        )
    return [SYMBOLS.index(c) + 3 for c in text]


def decode(ids):
    """The text of numbers, up to the first END."""
    text = ""
    for i in map(int, ids):
        if i == END:
            break
        text += SYMBOLS[i - 3] if i > 2 else "?"
    return text

# %%
def padded(lists, device=None):
    """Lists of numbers as one tensor (B, longest), filled up with 0."""
    if not lists or min(map(len, lists)) == 0:
        raise ValueError("there is an empty text: leave it out of the batch")
    out = torch.full((len(lists), max(map(len, lists))), PADDING)
    for row, numbers in zip(out, lists, strict=True):
        row[: len(numbers)] = torch.tensor(numbers)
    return out.to(device)


def as_batch(pairs):
    """Source (B, M) and target (B, N), BEGIN … END."""
    targets = [[BEGIN, *encode(target), END] for _, target in pairs]
    return padded([encode(source) for source, _ in pairs]), padded(targets)


class Stream:
    """`steps` batches of fresh pairs; each pass makes the same ones."""

    def __init__(self, make, steps, batch=64, seed=0):
        self.make, self.steps = make, steps
        self.batch, self.seed = batch, seed

    def __iter__(self):
        rng = np.random.default_rng(self.seed)
        for _ in range(self.steps):
            yield as_batch(self.make(self.batch, rng))

# %%
def attend(q, k, v, allowed=None):
    """The answers (…, N, e) and the weights (…, N, M) of attention.

    q: (…, N, d), k: (…, M, d), v: (…, M, e). allowed: bool, broadcast to
    (…, N, M), True where a query may look; None for everywhere. A query that
    may look nowhere gets zeros. Source: def-attention-attention and
    def-attention-mask.
    """
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"queries have {q.shape[-1]} features and keys {k.shape[-1]}: "
            "a dot product needs equally many"
        )
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (…, N, M)
    if allowed is not None:
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~allowed, lowest)
    weights = scores.softmax(dim=-1)
    if allowed is not None:
        weights = weights.masked_fill(~allowed, 0.0)
    return weights @ v, weights

# %%
class Reader(nn.Module):
    """The encoder: source (B, M) to all states, which are real, the last."""

    def __init__(self, hidden, embed):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, embed)
        self.layer = nn.GRU(
            embed, hidden, batch_first=True, bidirectional=True
        )
        self.bridge = nn.Linear(2 * hidden, 2 * hidden)

    def forward(self, source):
        real = source != PADDING
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embed(source),
            real.sum(1).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        packed, last = self.layer(packed)  # last: (2, B, hidden)
        memory, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        first = torch.tanh(self.bridge(torch.cat([*last], dim=-1)))
        return memory, real, first[None]

# %%
class Recurrent(nn.Module):
    """Encoder–decoder of GRUs: logits (B, N, VOCAB).

    source: (B, M), target: (B, N), what was written so far, from BEGIN on.
    `weights`: of the last call, (B, N, M), if it has attention.
    """

    def __init__(self, attention, hidden=64, embed=32):
        super().__init__()
        size, self.weights = 2 * hidden, None
        self.attention = attention
        self.encode = Reader(hidden, embed)
        self.writer = nn.GRU(embed, size, batch_first=True)
        self.mix = nn.Linear(2 * size if attention else size, size)
        self.head = nn.Linear(size, VOCAB)

    def decode(self, target, memory, real, state):
        states, _ = self.writer(self.encode.embed(target), state)
        if self.attention:  # states are queries, memory is keys and values
            context, self.weights = attend(
                states, memory, memory, real[:, None]
            )
            states = torch.cat([states, context], dim=-1)
        return self.head(torch.tanh(self.mix(states)))

    def forward(self, source, target):
        return self.decode(target, *self.encode(source))

# %%
def step(model, batch):
    """Mean cross-entropy in nats of the next symbol; padding is left out."""
    source, target = batch
    logits = model(source, target[:, :-1])  # (B, N - 1, VOCAB)
    return F.cross_entropy(
        logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PADDING
    )


@torch.no_grad()
def answers(model, sources, longest=24):
    """What the model writes, a list of texts: the likeliest symbol each."""
    model.eval()
    device = next(model.parameters()).device
    source = padded([encode(text) for text in sources], device)
    parts = model.encode(source)
    target = torch.full((len(source), 1), BEGIN, device=device)
    for _ in range(longest):
        new = model.decode(target, *parts)[:, -1:].argmax(dim=-1)
        target = torch.cat([target, new], dim=1)
        if (target == END).any(dim=1).all():
            break
    model.train()
    return [decode(row) for row in target[:, 1:]]


def exact(model, pairs):
    """Which of the pairs are answered right to the last character, (n,)."""
    texts = answers(model, [source for source, _ in pairs])
    return np.array([a == b for a, (_, b) in zip(texts, pairs, strict=True)])

# %%
def train_pairs(model, task, steps, lr, seed=0, batch=64):
    """Train in place on fresh pairs, by AdamW with warm-up and cosine."""
    return fit(
        model,
        step,
        Stream(TASKS[task], steps, batch, seed),
        steps=steps,
        lr=lr,
        schedule="cosine",
        warmup=30,
        clip=1.0,
        seed=seed,
        progress=False,
        precision="fp32",
    )

# %%
def alignment(model, text):
    """What the model writes for a text, and where it looked, (n, M)."""
    answer = answers(model, [text])[0]
    with torch.no_grad():
        device = next(model.parameters()).device
        source, target = (t.to(device) for t in as_batch([(text, answer)]))
        model(source, target[:, :-1])
    return answer, model.weights[0, : len(answer)].cpu().numpy()

# %%
def split_heads(x, heads):
    """(B, N, D) -> (B, H, N, D / H): group after group of the features."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x):
    """(B, H, N, d) -> (B, N, H d), the way back."""
    return x.transpose(1, 2).flatten(2)

# %%
def rotate(x, start=0, base=10000.0):
    """Rotary positions, x (…, N, d), d even; row n stands at start + n.

    Pair i of the row at position m is turned by the angle m base^(-2i/d).
    Source: def-attention-rope.
    """
    n, d = x.shape[-2:]
    if d % 2:
        raise ValueError(
            f"{d} features cannot be turned in pairs: choose an even number"
        )
    pairs = torch.arange(0, d, 2, device=x.device, dtype=torch.float64)
    places = torch.arange(start, start + n, device=x.device)
    angles = places[:, None] * base ** (-pairs / d)  # (N, d / 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    turned = a * cos - b * sin, a * sin + b * cos
    return torch.stack(turned, dim=-1).flatten(-2)


def sinusoids(length, width):
    """Positions (length, width). Source: def-attention-sinusoids."""
    speeds = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

# %%
class MultiHead(nn.Module):
    """Multi-head attention, (B, N, D) -> (B, N, D).

    source: (B, M, D), or x itself. allowed: as in `attend`. rotary: `rotate`
    queries and keys. weights: of the last call, (B, H, N, M), detached.
    """

    def __init__(self, width, heads, rotary=False):
        super().__init__()
        if width % heads:
            message = f"{heads} heads cannot share {width} features: choose"
            raise ValueError(message + " a number that divides the width")
        self.heads, self.rotary, self.weights = heads, rotary, None
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def project(self, x, source=None, start=0):
        """Queries of x, keys and values of the source, (B, H, N or M, d)."""
        source = x if source is None else source
        parts = self.query(x), self.key(source), self.value(source)
        q, k, v = (split_heads(part, self.heads) for part in parts)
        if self.rotary:
            q, k = rotate(q, start), rotate(k, start)
        return q, k, v

    def forward(self, x, source=None, allowed=None):
        mixed, weights = attend(*self.project(x, source), allowed)
        self.weights = weights.detach()
        return self.out(join_heads(mixed))

# %%
def causal(queries, keys=None, device=None):
    """Who may look where, bool (queries, keys): at itself and before.

    With more keys than queries the last query stands at the last key.
    """
    keys = queries if keys is None else keys
    if keys < queries:
        raise ValueError(
            f"{queries} queries and {keys} keys: the queries are the last of "
            "the keys, so there cannot be more of them"
        )
    here = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device) <= here

# %%
class Block(nn.Module):
    """A transformer block with pre-norm, (B, N, D) -> (B, N, D).

    cross: a branch more, which looks into a source (B, M, D). hidden: units of
    the MLP, 4 D by default; 0 for a block without one.
    Source: def-attention-block.
    """

    def __init__(self, width, heads, rotary=False, cross=False, hidden=None):
        super().__init__()
        hidden = 4 * width if hidden is None else hidden
        self.norm1 = nn.LayerNorm(width)
        self.attention = MultiHead(width, heads, rotary)
        if cross:
            self.norm_cross = nn.LayerNorm(width)
            self.cross = MultiHead(width, heads)
        if hidden:
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
            )
        self.has_mlp = hidden > 0

    def forward(self, x, allowed=None, source=None, allowed_source=None):
        x = x + self.attention(self.norm1(x), allowed=allowed)
        if source is not None:
            normed = self.norm_cross(x)
            x = x + self.cross(normed, source, allowed_source)
        return x + self.mlp(self.norm2(x)) if self.has_mlp else x

# %%
KINDS = 32  # of symbols


def repetitions(count, rng, length=48, period=None):
    """Random sequences that repeat, (count, length), and from where, (count,).

    period: None for a random one from 6 to 24. Before the first period stand
    0 to 7 symbols that are not repeated.
    """
    ids, begins = np.empty((count, length), int), np.empty(count, int)
    for row in range(count):
        p = period or int(rng.integers(6, 25))
        before = rng.integers(KINDS, size=int(rng.integers(8)))
        whole = np.tile(rng.integers(KINDS, size=p), length // p + 1)
        ids[row] = np.concatenate([before, whole])[:length]
        begins[row] = len(before) + p
    return torch.tensor(ids), torch.tensor(begins)

# %%
class Repeater(nn.Module):
    """Logits of the next symbol, (B, N, KINDS), from ids (B, N).

    see: a function from (N, device) to a mask, True where a query may look.
    positions: "rotary", "learned", "sinusoidal" or None.
    """

    def __init__(self, layers, positions="rotary", see=None, width=64):
        super().__init__()
        self.see = see or (lambda n, device: causal(n, device=device))
        self.embed, self.places = nn.Embedding(KINDS, width), 0.0
        nn.init.normal_(self.embed.weight, std=0.1)
        if positions in ("learned", "sinusoidal"):
            table = {"sinusoidal": sinusoids(128, width)}
            table = table.get(positions, torch.randn(128, width))
            self.places = nn.Parameter(0.1 * table, positions == "learned")
        turn = {"rotary": positions == "rotary", "hidden": 0}
        self.blocks = nn.ModuleList(
            Block(width, 4, **turn) for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, KINDS)

    def forward(self, ids):
        n, mask = ids.shape[1], self.see(ids.shape[1], ids.device)
        x = self.embed(ids)
        x = x if isinstance(self.places, float) else x + self.places[:n]
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))

# %%
class Repetitions:
    """`steps` batches of 64 fresh sequences, for `fit`."""

    def __init__(self, steps, seed, period=None):
        self.steps, self.seed, self.period = steps, seed, period

    def __iter__(self):
        rng = np.random.default_rng(self.seed)
        for _ in range(self.steps):
            yield repetitions(64, rng, period=self.period)[0]


def next_step(model, ids):
    """Mean cross-entropy in nats of the next symbol, ids (B, N)."""
    logits = model(ids[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def train_repeater(model, steps, seed=0, period=None):
    stream = Repetitions(steps, seed, period)
    how = {"lr": 4e-3, "schedule": "cosine", "warmup": 30, "clip": 1.0}
    how |= {"seed": seed, "progress": False, "precision": "fp32"}
    return fit(model, next_step, stream, steps=steps, **how)

# %%
@torch.no_grad()
def repeater_scores(model, length=48, count=300, seed=1000, period=None):
    """(reported accuracy, loss of the random part, generated accuracy)."""
    device, rng = next(model.parameters()).device, np.random.default_rng(seed)
    ids, begins = repetitions(count, rng, length, period)
    ids, begins = ids.to(device), begins.to(device)
    logits, answer = model(ids[:, :-1]), ids[:, 1:]
    at = torch.arange(1, length, device=device)  # where the answer stands
    known, random = at > begins[:, None], at < begins[:, None]
    right = (logits.argmax(dim=-1) == answer)[known].double().mean()
    loss = F.cross_entropy(logits.mT, answer, reduction="none")[random].mean()
    wrote, fixed = ids.clone(), torch.arange(length, device=device)
    given = fixed < begins[:, None] + 2
    for n in range(1, length):
        new = model(wrote[:, :n])[:, -1].argmax(dim=-1)
        wrote[:, n] = torch.where(given[:, n], ids[:, n], new)
    generated = (wrote == ids)[~given].double().mean()
    return right.item(), loss.item(), generated.item()


def repeater_run(
    layers, seed, steps, positions="rotary", see=None, period=None
):
    """Train one, and its three scores; and the model."""
    torch.manual_seed(seed)
    model = Repeater(layers, positions, see)
    train_repeater(model, steps, seed, period)
    return model, repeater_scores(model)

# %%
@dataclass(frozen=True)
class Config:
    width: int = 64  # features of a row, D
    heads: int = 4
    layers: int = 2  # of the encoder, and of the decoder
    longest: int = 40  # positions
    lr: float = 2e-3
    batch: int = 64


CONFIGS = {
    "smoke": Config(width=32, layers=1, batch=8),
    "cpu": Config(),
    "gpu": Config(width=256, heads=8, layers=4, lr=5e-4, batch=256),
}

# %%
class Placed(nn.Module):
    """Embedding plus a learned vector for each place: (B, N) -> (B, N, D)."""

    def __init__(self, vocab, longest, width):
        super().__init__()
        self.symbols = nn.Embedding(vocab, width)
        self.places = nn.Embedding(longest, width)
        for table in (self.symbols, self.places):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, ids):
        n, longest = ids.shape[1], len(self.places.weight)
        if n > longest:
            raise ValueError(
                f"{n} symbols, but positions for {longest}: cut the text, or "
                "build the model with more positions"
            )
        return self.symbols(ids) + self.places.weight[:n]

# %%
class Transformer(nn.Module):
    """Encoder and decoder of blocks: logits (B, N, VOCAB).

    source: (B, M), target: (B, N), what was written so far, from BEGIN on.
    """

    def __init__(self, config):
        super().__init__()
        sizes, pile = (config.width, config.heads), range(config.layers)
        self.placed = Placed(VOCAB, config.longest, config.width)
        self.reader = nn.ModuleList(Block(*sizes) for _ in pile)
        self.writer = nn.ModuleList(Block(*sizes, cross=True) for _ in pile)
        self.norms = nn.ModuleList(nn.LayerNorm(sizes[0]) for _ in range(2))
        self.head = nn.Linear(config.width, VOCAB)

    def encode(self, source):
        real = (source != PADDING)[:, None, None]  # (B, 1, 1, M)
        x = self.placed(source)
        for block in self.reader:
            x = block(x, real)
        return self.norms[0](x), real

    def decode(self, target, memory, real):
        past = causal(target.shape[1], device=target.device)
        x = self.placed(target)
        for block in self.writer:
            x = block(x, past, memory, real)
        return self.head(self.norms[1](x))

    def forward(self, source, target):
        return self.decode(target, *self.encode(source))

# %%
def build(config):
    return Transformer(config)


def example_batch(config, device):
    """A batch of the right shapes for tests and estimates."""
    ids = torch.arange(config.batch * 30, device=device).view(config.batch, 30)
    ids = 3 + ids % (VOCAB - 3)
    return ids, ids[:, :12]

# %%
RACE = {  # steps that take about as long on one core
    "dates": {"none": 370, "attention": 300, "transformer": 190},
    "reverse": {"none": 720, "attention": 600, "transformer": 400},
    "sort": {"none": 720, "attention": 600, "transformer": 400},
}


def race_run(task, kind, seed, steps=None):
    """Share of 500 new answers that are right; short and long ones too."""
    torch.manual_seed(seed)
    lr = 2e-3 if kind == "transformer" else 4e-3
    if kind == "transformer":
        model = Transformer(CONFIGS["cpu"])
    else:
        model = Recurrent(kind == "attention")
    train_pairs(model, task, steps or RACE[task][kind], lr, seed)
    pairs = TASKS[task](500, np.random.default_rng(99), test=True)
    right = exact(model, pairs)
    long = np.array([len(target) > 11 for _, target in pairs])
    return {
        "right": right.mean(),
        "short": right[~long].mean(),
        "long": right[long].mean() if long.any() else math.nan,
    }

# %%
def attend_in_pieces(q, k, v, piece):
    """`attend` without its weights, `piece` keys at a time.

    q: (…, N, d), k: (…, M, d), v: (…, M, e) -> (…, N, e).
    Source: eq-attention-online.
    """
    if piece < 1:
        raise ValueError(f"a piece of {piece} keys: take one or more")
    largest = torch.full_like(q[..., :1], -math.inf)  # (…, N, 1)
    total, mixed = torch.zeros_like(largest), 0
    for begin in range(0, k.shape[-2], piece):
        part = slice(begin, begin + piece)
        scores = q @ k[..., part, :].mT / math.sqrt(q.shape[-1])
        higher = torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
        shrink, e = (largest - higher).exp(), (scores - higher).exp()
        total = shrink * total + e.sum(dim=-1, keepdim=True)
        mixed = shrink * mixed + e @ v[..., part, :]
        largest = higher
    return mixed / total

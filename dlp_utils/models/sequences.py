"""Generated from notebooks/sequences.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['STEP', 'KINDS', 'CONFIGS', 'Symbols', 'rnn_step', 'unroll', 'lstm_step', 'gru_step', 'weights_of', 'start',
           'rnn_backward', 'make', 'gradient_by_lag', 'remember_run', 'Config', 'CharModel', 'build', 'example_batch',
           'step', 'detached', 'blocks', 'train_text', 'log_probs', 'counted_log_probs', 'bits', 'mixed', 'best_weight',
           'split_bits', 'write', 'pad', 'last_states', 'NameReader', 'name_parts', 'train_names', 'named', 'names_run',
           'clip_by_norm', 'text_run', 'paper_gru_step', 'neighbors', 'skip_gram']

# %%
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.data import text
from dlp_utils.models.language_models import NGram, next_probs
from dlp_utils.models.training import cosine, warmup

# %%
class Symbols:
    """The symbols of a text and their numbers, 0, 1, … in sorted order."""

    def __init__(self, text):
        if not text:
            raise ValueError("the text is empty: it has no symbol to number")
        self.names = sorted(set(text))
        self.numbers = {name: n for n, name in enumerate(self.names)}

    def __len__(self):
        return len(self.names)

    def encode(self, text):
        """Numbers of the symbols of `text`, (T,)."""
        unseen = sorted(set(text) - set(self.numbers))
        if unseen:
            raise ValueError(
                f"symbol {unseen[0]!r} does not occur in the text that the "
                "numbers come from: take it out, or put another there"
            )
        return torch.tensor([self.numbers[c] for c in text], dtype=torch.long)

    def decode(self, numbers):
        return "".join(self.names[int(n)] for n in numbers)

# %%
def rnn_step(x, h, U, W, b):
    """One step: x (N, d), h (N, H), U (d, H), W (H, H), b (H,) -> (N, H).

    Source: def-sequences-recurrence.
    """
    return torch.tanh(x @ U + h @ W + b)


def unroll(step, x, state, *weights):
    """All hidden states, (T, N, H), and the last state.

    step: one of the steps below. x: (T, N, d). state: what step takes and
    gives: h, or for the LSTM the pair (h, c).
    """
    if len(x) == 0:
        raise ValueError(
            "the sequence has length 0: there is no step to take; leave empty "
            "sequences out, or put a start symbol before each"
        )
    states = []
    for row in x:
        state = step(row, state, *weights)
        states.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(states), state

# %%
def lstm_step(x, state, U, W, b):
    """One step of the LSTM: U (d, 4H), W (H, 4H), b (4H,), gates i f g o.

    state: (h, c), each (N, H). Source: def-sequences-lstm.
    """
    h, c = state
    i, f, g, o = (x @ U + h @ W + b).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(x, h, U, W, b, b_h):
    """One step of the library's GRU: U (d, 3H), W (H, 3H), gates r z n.

    b, b_h: (3H,), the biases beside x and beside h. Source: def-sequences-gru.
    """
    ar, az, an = (x @ U + b).chunk(3, dim=-1)
    hr, hz, hn = (h @ W + b_h).chunk(3, dim=-1)
    r, z = torch.sigmoid(ar + hr), torch.sigmoid(az + hz)
    n = torch.tanh(an + r * hn)
    return (1 - z) * n + z * h

# %%
STEP = {"RNN": rnn_step, "LSTM": lstm_step, "GRU": gru_step}


def weights_of(layer):
    """U, W and bias (GRU: two) of one of torch's layers, for our steps."""
    U, W = layer.weight_ih_l0.T, layer.weight_hh_l0.T
    b, b_h = layer.bias_ih_l0, layer.bias_hh_l0
    return (U, W, b, b_h) if layer.mode == "GRU" else (U, W, b + b_h)


def start(layer, n):
    """The state before the first symbol: zeros."""
    h = layer.weight_hh_l0.new_zeros(n, layer.hidden_size)
    return (h, h.clone()) if layer.mode == "LSTM" else h

# %%
def rnn_backward(dh, x, h, h0, U, W):
    """Gradients of x, h0, U, W and b of an RNN, backward through time.

    dh: the part of each state's gradient that does not come through later
    states, (T, N, H). x: (T, N, d), h: all states, (T, N, H).
    Source: eq-sequences-delta, eq-sequences-weights.
    """
    dU, dW, db = torch.zeros_like(U), torch.zeros_like(W), U.new_zeros(len(W))
    dx, later = torch.empty_like(x), torch.zeros_like(h0)
    for t in range(len(x) - 1, -1, -1):
        delta = (dh[t] + later) * (1 - h[t] ** 2)  # (N, H)
        before = h[t - 1] if t else h0
        dU += x[t].T @ delta
        dW += before.T @ delta
        db += delta.sum(dim=0)
        dx[t] = delta @ U.T
        later = delta @ W.T  # on its way to step t - 1
    return dx, later, dU, dW, db

# %%
KINDS = {  # layer, bias of the forget gate, orthogonal start
    "RNN": ("RNN", 0.0, False),
    "RNN, orthogonal": ("RNN", 0.0, True),
    "GRU": ("GRU", 0.0, False),
    "LSTM": ("LSTM", 0.0, False),
    "LSTM, bias 1": ("LSTM", 1.0, False),
    "LSTM, bias 3": ("LSTM", 3.0, False),
}


def make(kind, d, H):
    """One of torch's layers, with the start that KINDS names."""
    name, bias, orthogonal = KINDS[kind]
    layer = getattr(nn, name)(d, H)
    if bias:  # the second quarter belongs to the forget gate
        layer.bias_hh_l0.data[H : 2 * H] += bias
    if orthogonal:
        nn.init.orthogonal_(layer.weight_hh_l0)
    return layer

# %%
def gradient_by_lag(layer, lags=100, seed=0):
    """|dh_T / dx_(T-k)| over that at k = 0, for k = 0 … lags.

    Norms: root of the sum of all squared entries, estimated by 16 random
    directions; inputs are standard normal, 8 sequences, and `lags` steps
    have gone before, so that no lag is the beginning of a sequence.
    """
    generator = torch.Generator().manual_seed(seed)
    like = {"generator": generator, "dtype": layer.weight_hh_l0.dtype}
    shape = (2 * lags + 1, 8, layer.input_size)
    x = torch.randn(shape, **like).requires_grad_()
    last = layer(x)[0][-1]  # (8, H)
    squares = 0
    for _ in range(16):
        v = torch.randn(last.shape, **like)
        (g,) = torch.autograd.grad((v * last).sum(), x, retain_graph=True)
        squares = squares + g.square().sum(dim=(1, 2))
    norms = squares.sqrt().flip(0)[: lags + 1]
    return (norms / norms[0]).numpy()

# %%
def remember_run(kind, length, seed, steps=400):
    """Train to name the first of `length` symbols.

    Returns its mean accuracy over the last ten steps, and `solved`, the step
    after which that mean reached .95, or 0.
    """
    if length < 1:
        raise ValueError(f"length {length}: a sequence needs a first symbol")
    torch.manual_seed(seed)
    table, layer, head = (
        nn.Embedding(8, 16),
        make(kind, 16, 64),
        nn.Linear(64, 8),
    )
    parameters = list(nn.ModuleList([table, layer, head]).parameters())
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    generator, hits, solved = torch.Generator().manual_seed(seed), [], 0
    for k in range(steps):
        x = torch.randint(8, (length, 64), generator=generator)
        logits = head(layer(table(x))[0][-1])
        optimizer.zero_grad()
        F.cross_entropy(logits, x[0]).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        hits.append((logits.argmax(dim=1) == x[0]).float().mean().item())
        if len(hits) >= 10 and np.mean(hits[-10:]) >= 0.95:
            solved = k + 1
            break
    return {"accuracy": float(np.mean(hits[-10:])), "solved": solved}

# %%
@dataclass(frozen=True)
class Config:
    layer: str = "GRU"  # RNN, LSTM or GRU
    vocab: int = 69  # number of symbols
    embed: int = 64  # width of the embedding
    hidden: int = 128  # units of a layer
    layers: int = 1
    length: int = 64  # steps of a block, T
    batch: int = 32  # pieces read side by side, N
    lr: float = 8e-3


CONFIGS = {
    "smoke": Config(embed=16, hidden=32, length=32, batch=8),
    "cpu": Config(),
    "gpu": Config("LSTM", hidden=512, layers=2, length=128, lr=2e-3),
}

# %%
class CharModel(nn.Module):
    """Logits of the next symbol, (T, N, vocab), and the last state.

    ids: (T, N). state: what the last call gave, or None for zeros.
    """

    def __init__(self, config):
        super().__init__()
        layer = getattr(nn, config.layer)
        self.embed = nn.Embedding(config.vocab, config.embed)
        self.layer = layer(config.embed, config.hidden, config.layers)
        self.head = nn.Linear(config.hidden, config.vocab)

    def forward(self, ids, state=None):  # (T, N)
        h, state = self.layer(self.embed(ids), state)  # (T, N, H)
        return self.head(h), state


def build(config):
    return CharModel(config)

# %%
def example_batch(config, device):
    """A batch of the right shapes for tests and estimates."""
    shape = (config.length + 1, config.batch)
    ids = torch.arange(shape[0] * shape[1], device=device).view(shape)
    ids = ids % config.vocab
    return ids[:-1], ids[1:]


def step(model, batch):
    """Mean cross-entropy in nats; batch: (ids, next ids), each (T, N)."""
    logits, _ = model(batch[0])
    return F.cross_entropy(logits.flatten(0, 1), batch[1].flatten())


def detached(state):
    """The same numbers without the graph that they came from."""
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return state.detach()

# %%
def blocks(ids, batch, length):
    """Pairs (ids, next ids), each (length, batch), for one pass.

    Column n of a block goes on where column n of the last one ended.
    """
    each = (len(ids) - 1) // batch  # symbols of a piece
    if each < length:
        raise ValueError(
            f"{len(ids)} symbols make {batch} pieces of {max(each, 0)}: too "
            f"short for a block of {length}; take a longer text, or a smaller "
            "batch or length"
        )
    pieces = ids[: each * batch].view(batch, each).T  # (each, batch)
    following = ids[1 : each * batch + 1].view(batch, each).T
    for begin in range(0, each - length + 1, length):
        part = slice(begin, begin + length)
        yield pieces[part], following[part]

# %%
def train_text(
    model, ids, config, steps, optimizer=None, clip=1.0, carry=True
):
    """Train on blocks of `ids`; gives losses in bits, and gradient norms.

    optimizer: None for AdamW, warm-up and cosine. carry: hand states on.
    """
    device, losses, norms = next(model.parameters()).device, [], []
    scheduled = optimizer is None
    optimizer = optimizer or torch.optim.AdamW(
        model.parameters(), lr=config.lr
    )
    ids, state, source = ids.to(device), None, iter(())
    for k in range(steps):
        batch = next(source, None)
        if batch is None:  # a new pass over the text begins with no past
            source = blocks(ids, config.batch, config.length)
            batch, state = next(source), None
        if scheduled:
            factor = warmup(k, 50) * cosine(k, steps)
            optimizer.param_groups[0]["lr"] = config.lr * factor
        logits, state = model(batch[0], state)
        state = detached(state) if carry else None
        loss = F.cross_entropy(logits.flatten(0, 1), batch[1].flatten())
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.detach() / math.log(2))
        norms.append(norm.detach())
    return torch.stack(losses).cpu().numpy(), torch.stack(norms).cpu().numpy()

# %%
@torch.no_grad()
def log_probs(model, ids):
    """Natural log of the probability of ids[1], ids[2], …, (T - 1,).

    ids: (T,), read in one go from a state of zeros.
    """
    if len(ids) < 2:
        raise ValueError(
            f"{len(ids)} symbols leave none to predict: take two or more"
        )
    ids = ids.to(next(model.parameters()).device)
    logits, _ = model(ids[:-1, None])  # (T - 1, 1, vocab)
    chosen = logits[:, 0].log_softmax(dim=1).gather(1, ids[1:, None])
    return chosen[:, 0].double().cpu().numpy()


def counted_log_probs(train, ids, vocab, order=6):
    """The same by Kneser–Ney counts of `train`."""
    counts = NGram(order).fit(train.numpy(), vocab)
    return np.log(counts.probs(ids.numpy()))[1:]


def bits(logs):
    """Bits per character of natural logarithms of probabilities."""
    return float(-np.mean(logs) / math.log(2))

# %%
def mixed(p, q, weight):
    """Log of weight · e^p + (1 - weight) · e^q, entry by entry.

    p, q: logs of probabilities. Source: def-sequences-mixture.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight is {weight}: it must lie in [0, 1]")
    with np.errstate(divide="ignore"):  # the log of a weight 0
        logs = np.log(weight) + p, np.log(1 - weight) + q
    return np.logaddexp(*logs)


def best_weight(p, q):
    """The weight of p, in hundredths, with the fewest bits."""
    weights = np.arange(101) / 100
    return float(min(weights, key=lambda w: bits(mixed(p, q, w))))


def split_bits(logs, ids):
    """Bits per character after a space, and elsewhere.

    logs: (T - 1,), for ids[1:]; ids: (T,), as True where a space stands.
    """
    after = ids[:-1]
    return bits(logs[after]), bits(logs[~after])

# %%
@torch.no_grad()
def write(model, symbols, begin, count, temperature=1.0, seed=0, mix=None):
    """`begin`, continued by `count` symbols drawn one after the other.

    mix: None, or an NGram and the weight of the network beside it.
    """
    if not (temperature > 0 and begin):
        raise ValueError(
            f"temperature {temperature}, begin {begin!r}: the first must be "
            "above 0, and the second hold at least one symbol to go on from"
        )
    device, rng = next(model.parameters()).device, np.random.default_rng(seed)
    ids, state = symbols.encode(begin).tolist(), None
    new = ids
    for _ in range(count):
        logits, state = model(torch.tensor(new, device=device)[:, None], state)
        p = logits[-1, 0].double().softmax(dim=0).cpu().numpy()
        if mix is not None:
            counts, weight = mix
            q = next_probs(counts, ids[-counts.order + 1 :])
            p = weight * p + (1 - weight) * q
        p = p ** (1 / temperature)
        new = [int(rng.choice(len(p), p=p / p.sum()))]
        ids = ids + new
    return symbols.decode(ids)

# %%
def pad(sequences, filler=0):
    """A batch (T, N) of sequences of numbers, filled up, and lengths (N,)."""
    lengths = torch.tensor([len(s) for s in sequences], dtype=torch.long)
    if len(lengths) == 0 or lengths.min() == 0:
        raise ValueError(
            "a sequence of length 0 has no last state: leave it out"
            if len(lengths)
            else "there is no sequence to pad"
        )
    ids = torch.full((int(lengths.max()), len(sequences)), filler)
    for n, s in enumerate(sequences):
        ids[: len(s), n] = torch.as_tensor(s, dtype=torch.long)
    return ids, lengths


def last_states(h, lengths):
    """The state after each sequence's last symbol: (T, N, H) -> (N, H)."""
    if lengths.min() < 1 or lengths.max() > len(h):
        raise ValueError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())} do "
            f"not fit {len(h)} steps: each must lie between 1 and {len(h)}; "
            "do they stand in the order of the batch?"
        )
    return h[lengths - 1, torch.arange(h.shape[1], device=h.device)]

# %%
class NameReader(nn.Module):
    """Logits of the languages, (N, classes), of padded names.

    ids: (T, N), lengths: (N,). packed: let the library skip the padding.
    """

    def __init__(self, vocab, classes, layer="LSTM", hidden=64, packed=False):
        super().__init__()
        self.embed, self.packed = nn.Embedding(vocab, 32), packed
        self.layer = getattr(nn, layer)(32, hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids, lengths):
        x = self.embed(ids)  # (T, N, 32)
        if not self.packed:
            return self.head(last_states(self.layer(x)[0], lengths))
        x = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), enforce_sorted=False
        )
        state = self.layer(x)[1]
        h = state[0] if isinstance(state, tuple) else state
        return self.head(h[-1])

# %%
def name_parts(seed=0):
    """Symbols, and (sequences of numbers, languages) to train and to test.

    A letter that no training name has is read as the filler, 0.
    """
    parts = text.names(seed)
    symbols = Symbols("".join(name for name, _ in parts[0]))
    numbers = symbols.numbers

    def encoded(part):
        sequences = [
            [numbers.get(c, -1) + 1 for c in name] for name, _ in part
        ]
        return sequences, torch.tensor([language for _, language in part])

    return symbols, *(encoded(part) for part in parts)

# %%
def train_names(
    model, sequences, languages, passes, lr=5e-3, batch=64, seed=0
):
    """Train in place by Adam with warm-up and cosine, in random order."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    total, k = passes * (len(sequences) // batch), 0
    for _ in range(passes):
        order = torch.randperm(len(sequences), generator=generator)
        for chosen in order[: len(order) // batch * batch].split(batch):
            factor = warmup(k, 20) * cosine(k, total)
            optimizer.param_groups[0]["lr"] = lr * factor
            ids, lengths = pad([sequences[i] for i in chosen])
            logits = model(ids.to(device), lengths.to(device))
            loss = F.cross_entropy(logits, languages[chosen].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            k += 1

# %%
@torch.no_grad()
def named(model, sequences):
    """The language that the model finds most likely, (N,)."""
    ids, lengths = pad(sequences)
    device = next(model.parameters()).device
    return model(ids.to(device), lengths.to(device)).argmax(dim=1).cpu()


def names_run(layer, seed, passes=8, parts=None):
    """Test accuracy of one training; a seed draws start and order."""
    symbols, (x, y), (x_test, y_test) = parts or name_parts()
    torch.manual_seed(seed)
    model = NameReader(len(symbols) + 1, len(text.LANGUAGES), layer)
    train_names(model, x, y, passes, seed=seed)
    return {
        "train": (named(model, x) == y).float().mean().item(),
        "test": (named(model, x_test) == y_test).float().mean().item(),
    }

# %%
def clip_by_norm(gradients, most):
    """New gradients: all scaled alike, so that their norm is at most `most`.

    gradients: a list of tensors. Source: def-sequences-clip.
    """
    if not most > 0:
        raise ValueError(f"the largest norm is {most}: it must be above 0")
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    factor = min(1.0, most / norm.item()) if norm > 0 else 1.0
    return [g * factor for g in gradients]

# %%
def text_run(
    layer, lr, seed, steps=1200, length=64, batch=32, carry=True, counts=None
):
    """Train on six plays; bits on the seventh, of characters 10,001 to 60,000.

    counts: log probabilities by counting of its first 60,000 characters but
    one, for the bits of the mixture; None leaves those out.
    """
    train, test = text.shakespeare()
    symbols = Symbols(train)
    ids, seen = symbols.encode(train), symbols.encode(test[:60001])
    config = Config(
        layer, vocab=len(symbols), length=length, batch=batch, lr=lr
    )
    torch.manual_seed(seed)
    model = build(config)
    train_text(model, ids, config, steps, carry=carry)
    logs, cut = log_probs(model, seen), 10000
    space = (seen == symbols.numbers[" "]).numpy()[cut:]
    after, elsewhere = split_bits(logs[cut:], space)
    found = {"valid": bits(logs[:cut]), "bits": bits(logs[cut:])}
    found |= {"after_space": after, "elsewhere": elsewhere}
    if counts is not None:
        found["weight"] = weight = best_weight(logs[:cut], counts[:cut])
        both = mixed(logs[cut:], counts[cut:], weight)
        for name, part in (("counts", counts[cut:]), ("mixture", both)):
            found[name] = bits(part)
            after, elsewhere = split_bits(part, space)
            found |= {f"{name}_after_space": after}
            found |= {f"{name}_elsewhere": elsewhere}
    return found

# %%
def paper_gru_step(x, h, U, W, b):
    """One step of the GRU as published: U (d, 3H), W (H, 3H), b (3H,).

    Gates r z n; here z lets the new in, and the old stays with 1 - z.
    Source: def-sequences-paper-gru.
    """
    H = h.shape[-1]
    a, w = x @ U + b, W[:, : 2 * H]
    r, z = torch.sigmoid(a[..., : 2 * H] + h @ w).chunk(2, dim=-1)
    n = torch.tanh(a[..., 2 * H :] + (r * h) @ W[:, 2 * H :])
    return z * n + (1 - z) * h

# %%
def neighbors(words, size, window):
    """The commonest words, and how often each two stand near each other.

    words: a list. Gives a list of `size` words and an array (size, size).
    """
    names, counts = np.unique(words, return_counts=True)
    if len(names) < size:
        raise ValueError(f"the text has {len(names)} words, not {size}")
    kept = names[np.argsort(-counts, kind="stable")[:size]].tolist()
    number = {w: n for n, w in enumerate(kept)}
    ids = np.array([number.get(w, -1) for w in words])
    table = np.zeros((size, size))
    for k in range(1, window + 1):
        a, b = ids[:-k], ids[k:]
        both = (a >= 0) & (b >= 0)
        np.add.at(table, (a[both], b[both]), 1)
    return kept, table + table.T

# %%
def skip_gram(table, width=24, negatives=5, steps=200, seed=0):
    """Rows of words as the middle and as neighbors, and the scores.

    table: (V, V) counts. Source: def-sequences-skip-gram.
    """
    pairs = torch.as_tensor(table / table.sum(), dtype=torch.float32)
    noise = pairs.sum(1, keepdim=True) * pairs.sum(0)
    g = torch.Generator().manual_seed(seed)
    size = 2, len(table), width
    rows = (0.1 * torch.randn(size, generator=g)).requires_grad_()
    optimizer = torch.optim.Adam([rows], lr=0.05)
    for _ in range(steps):
        scores = rows[0] @ rows[1].T
        near, far = F.logsigmoid(scores), F.logsigmoid(-scores)
        optimizer.zero_grad()
        (-(pairs * near + negatives * noise * far).sum()).backward()
        optimizer.step()
    return *rows.detach(), (rows[0] @ rows[1].T).detach()

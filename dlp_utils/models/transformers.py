"""Generated from notebooks/transformers.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'TOLD', 'ASKED', 'ANSWER', 'UNTOLD', 'SPECIAL', 'CHAT', 'WORD', 'CachedBlock', 'Config', 'refuse', 'GPT',
           'build', 'example_batch', 'step', 'count_weights', 'macs', 'windows', 'train', 'log_probs', 'greedy',
           'generate', 'sampler', 'people', 'dialog', 'ChatSymbols', 'chat_batch', 'chats', 'exact', 'exam', 'reply',
           'chat_run', 'LoRA', 'with_lora', 'merge_lora', 'trainable', 'merged', 'as_bytes', 'learn_merges',
           'split_word', 'BPE']

# %%
import copy
import itertools
import math
import random
import re
import string
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.data import text
from dlp_utils.models.attention import Block, causal, join_heads
from dlp_utils.models.training import cosine, warmup

# %%
class CachedBlock(Block):
    """A causal block: x (B, N, D) -> (B, N, D), and its keys and values.

    cache: keys and values of the M positions before, (B, H, M, d) each, or
    None. Source: eq-transformers-cache.
    """

    def forward(self, x, cache=None):
        start = 0 if cache is None else cache[0].shape[2]
        q, k, v = self.attention.project(self.norm1(x), start=start)
        if cache is None:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            k = torch.cat([cache[0], k], dim=2)  # (B, H, M + N, d)
            v = torch.cat([cache[1], v], dim=2)
            allowed = causal(q.shape[2], k.shape[2], device=x.device)
            mixed = F.scaled_dot_product_attention(q, k, v, allowed)
        x = x + self.attention.out(join_heads(mixed))
        return x + self.mlp(self.norm2(x)), (k, v)

# %%
@dataclass(frozen=True)
class Config:
    vocab: int = 69  # number of symbols, V
    width: int = 96  # D
    heads: int = 4
    layers: int = 3  # blocks, K
    length: int = 64  # most positions that it has seen
    batch: int = 32
    lr: float = 3e-3


CONFIGS = {
    "smoke": Config(width=32, layers=2, length=32, batch=4),
    "cpu": Config(),
    "gpu": Config(width=384, heads=6, layers=8, length=256, batch=64, lr=1e-3),
}

# %%
def refuse(config, new, total):
    """Raise where a model cannot go on: no symbol, or too many."""
    if new == 0:
        raise ValueError(
            "the prompt is empty: give the model at least one symbol, "
            "for example a line break"
        )
    if total > config.length:
        raise ValueError(
            f"{total} positions, and the model was made for "
            f"{config.length}: shorten the prompt, write less, or "
            "build it with a larger `length`"
        )

# %%
class GPT(nn.Module):
    """Logits of the next symbol, (B, N, vocab), and a cache for each block.

    ids: (B, N). caches: what the last call gave, or None.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocab, config.width)
        nn.init.normal_(self.table.weight, std=config.width**-0.5)
        self.blocks = nn.ModuleList(
            CachedBlock(config.width, config.heads, rotary=True)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, ids, caches=None):
        caches = caches or [None] * len(self.blocks)
        before = 0 if caches[0] is None else caches[0][0].shape[2]
        refuse(self.config, ids.shape[1], before + ids.shape[1])
        x, kept = self.table(ids), []  # (B, N, D)
        for block, cache in zip(self.blocks, caches, strict=True):
            x, cache = block(x, cache)
            kept.append(cache)
        return self.norm(x) @ self.table.weight.T, kept

# %%
def build(config):
    return GPT(config)


def example_batch(config, device):
    """A batch of the right shapes for tests and estimates."""
    shape = (config.batch, config.length + 1)
    ids = torch.arange(shape[0] * shape[1], device=device).view(shape)
    ids = ids % config.vocab
    return ids[:, :-1], ids[:, 1:]


def step(model, batch):
    """Mean cross-entropy in nats; batch: (ids, targets), each (B, N)."""
    logits, _ = model(batch[0])
    return F.cross_entropy(logits.flatten(0, 1), batch[1].flatten())

# %%
def count_weights(config):
    """Source: eq-transformers-count."""
    d, layers = config.width, config.layers
    return config.vocab * d + layers * (12 * d**2 + 13 * d) + 2 * d


def macs(config, context):
    """Multiply-accumulates for one symbol that looks at `context` positions.

    Source: eq-transformers-macs.
    """
    d, layers = config.width, config.layers
    return layers * (12 * d**2 + 2 * context * d) + config.vocab * d

# %%
def windows(ids, config, seed=0):
    """Endless random windows of a text: (inputs, targets), each (B, T)."""
    if len(ids) <= config.length:
        raise ValueError(
            f"{len(ids)} symbols are too few for a window of "
            f"{config.length} and its targets: take a longer text"
        )
    generator = torch.Generator().manual_seed(seed)
    steps = torch.arange(config.length + 1)
    while True:
        shape = (config.batch, 1)
        first = torch.randint(
            len(ids) - config.length, shape, generator=generator
        )
        rows = ids[first + steps]  # (B, T + 1)
        yield rows[:, :-1], rows[:, 1:]

# %%
def train(model, batches, steps, lr, weights=None):
    """Train in place; gives the losses in nats. batches: endless.

    weights: the parameters to change, None for all.
    """
    device = next(model.parameters()).device
    weights = list(model.parameters() if weights is None else weights)
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
    losses = []
    for k in range(steps):
        factor = warmup(k, 50) * cosine(k, steps)
        optimizer.param_groups[0]["lr"] = lr * factor
        loss = step(model, [part.to(device) for part in next(batches)])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).cpu().numpy()

# %%
@torch.no_grad()
def log_probs(model, ids):
    """Natural log of the probability of ids[1], ids[2], …, (T - 1,).

    Windows overlap by half: each symbol but the first ones is predicted
    from at least half a window.
    """
    most = model.config.length
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} symbols leave none to predict")
    device, half = next(model.parameters()).device, most // 2
    found = []
    for first in range(0, max(len(ids) - 1 - half, 1), half):
        part = ids[first : first + most + 1].to(device)[None]
        logs = model(part[:, :-1])[0].log_softmax(dim=-1)
        logs = logs.gather(2, part[:, 1:, None])[0, :, 0]
        found.append(logs if first == 0 else logs[half:])
    return torch.cat(found).double().cpu().numpy()

# %%
def greedy(logits):
    """The likeliest symbol of each row: (B, V) -> (B, 1)."""
    return logits.argmax(dim=-1, keepdim=True)


@torch.no_grad()
def generate(model, ids, new, pick=greedy, cached=True, stop=None):
    """ids (B, N) and up to `new` symbols more. stop: ends when all have it.

    pick: from logits (B, V) to symbols (B, 1).
    """
    refuse(model.config, ids.shape[1], ids.shape[1] + new)
    x, caches = ids, None
    for _ in range(new):
        logits, kept = model(x, caches)
        symbol = pick(logits[:, -1])
        ids = torch.cat([ids, symbol], dim=1)
        x, caches = (symbol, kept) if cached else (ids, None)
        if stop is not None and (symbol == stop).all():
            break
    return ids

# %%
def sampler(temperature=1.0, seed=0):
    """A `pick` for `generate` that draws from the softmax."""
    if temperature <= 0:
        raise ValueError(
            f"temperature must be above 0, got {temperature}: use `greedy` "
            "for the likeliest symbol"
        )
    generator = torch.Generator().manual_seed(seed)

    def pick(logits):
        p = (logits / temperature).softmax(dim=-1).cpu()
        drawn = torch.multinomial(p, 1, generator=generator)
        return drawn.to(logits.device)

    return pick

# %%
TOLD = {
    "name": "My name is {}.",
    "home": "I live in {}.",
    "pet": "My pet is {}.",
    "food": "I like {}.",
}
ASKED = {
    "name": ("What is my name?", "Who am I?"),
    "home": ("Where do I live?",),
    "pet": ("Who is my pet?",),
    "food": ("What do I like?",),
}
ANSWER = {
    "name": "Your name is {}.",
    "home": "You live in {}.",
    "pet": "Your pet is {}.",
    "food": "You like {}.",
}
UNTOLD = "You did not tell me."

# %%
def people():
    """Last names to train with and to test with, none in both."""
    short, parts = re.compile("[A-Za-z]{3,7}"), []
    for part in text.names():
        parts.append(sorted({n for n, _ in part if short.fullmatch(n)}))
    rng = random.Random(0)
    for part in parts:
        rng.shuffle(part)
    return parts[0][:2000], parts[1]


def dialog(rng, names, about=None, untold=0.3, facts=("name", "home", "pet")):
    """What the user says and asks, and the answer. rng: random.Random.

    about: what is asked for, None for any fact. untold: probability that
    it was not told.
    """
    about = about or rng.choice(facts)
    others = [fact for fact in ("name", "home", "pet") if fact != about]
    known = rng.random() >= untold
    told = rng.sample(others, rng.randint(0, 1) if known else 1)
    told = told + [about] * known
    rng.shuffle(told)
    value = {fact: rng.choice(names) for fact in told}
    said = [TOLD[fact].format(value[fact]) for fact in told]
    said.append(rng.choice(ASKED[about]))
    answer = ANSWER[about].format(value[about]) if known else UNTOLD
    return " ".join(said), answer

# %%
SPECIAL = ("<pad>", "<user>", "<bot>", "<end>")


class ChatSymbols:
    """Letters, some punctuation and the special symbols, as numbers."""

    def __init__(self):
        letters = sorted(string.ascii_letters + string.digits + " .,;:?!'-")
        self.names = [*SPECIAL, *letters]
        self.number = {name: n for n, name in enumerate(self.names)}

    def encode(self, text):
        """A list of numbers; special symbols are never among them."""
        unknown = sorted(set(text) - set(self.names))
        if unknown:
            raise ValueError(
                f"symbol {unknown[0]!r} is unknown to this bot: write with "
                "letters A to z, digits and . , ; : ? ! ' -"
            )
        return [self.number[c] for c in text]

    def prompt(self, said):
        """<user> … <bot>: what the model has to continue."""
        if not said.strip():
            raise ValueError("the message is empty: say something to the bot")
        user, bot = self.number["<user>"], self.number["<bot>"]
        return [user, *self.encode(said), bot]

    def decode(self, numbers):
        return "".join(self.names[int(n)] for n in numbers)

# %%
CHAT = ChatSymbols()


def chat_batch(dialogs, answers_only=True):
    """Inputs and targets (B, N) of dialogs (said, answer), padded.

    A target of -100 is not counted: padding, and all that is not answer.
    Source: def-transformers-masked-loss.
    """
    rows, firsts = [], []
    for said, answer in dialogs:
        prompt = CHAT.prompt(said)
        rows.append([*prompt, *CHAT.encode(answer), CHAT.number["<end>"]])
        firsts.append(len(prompt))
    ids = torch.full((len(rows), max(map(len, rows))), CHAT.number["<pad>"])
    targets = torch.full_like(ids, -100)
    for n, (row, first) in enumerate(zip(rows, firsts, strict=True)):
        ids[n, : len(row)] = torch.tensor(row)
        counted = slice(first if answers_only else 1, len(row))
        targets[n, counted] = ids[n, counted]
    return ids[:, :-1], targets[:, 1:]


def chats(names, config, seed=0, answers_only=True, **kinds):
    """Endless batches of new dialogs."""
    rng = random.Random(seed)
    while True:
        drawn = [dialog(rng, names, **kinds) for _ in range(config.batch)]
        yield chat_batch(drawn, answers_only)

# %%
@torch.no_grad()
def exact(model, dialogs):
    """Share of dialogs that are answered right to the last symbol.

    Greedy writing gives the answer if and only if each of its symbols is
    the likeliest after the right ones before it, so one pass is enough.
    """
    device = next(model.parameters()).device
    x, y = (part.to(device) for part in chat_batch(dialogs))
    right = (model(x)[0].argmax(dim=-1) == y) | (y == -100)
    return right.all(dim=1).double().mean().item()


def exam(names, about=None, untold=0.0, many=300, seed=100):
    rng = random.Random(seed)
    return [dialog(rng, names, about, untold) for _ in range(many)]

# %%
def reply(model, said):
    """The bot's answer to one message, greedily."""
    device = next(model.parameters()).device
    prompt = torch.tensor(CHAT.prompt(said), device=device)[None]
    end = CHAT.number["<end>"]
    room = max(min(48, model.config.length - prompt.shape[1]), 1)
    ids = generate(model, prompt, room, stop=end)[0, prompt.shape[1] :]
    return CHAT.decode(n for n in ids if n != end)

# %%
def chat_run(answers_only, seed, steps):
    """Train the bot; shares of right answers: new names, and not told."""
    names, new_names = people()
    config = Config(len(CHAT.names), 64, 4, 2, 128, lr=5e-3)
    torch.manual_seed(seed)
    model = build(config)
    batches = chats(names, config, seed, answers_only)
    losses = train(model, batches, steps, config.lr)
    return {
        "new": exact(model, exam(new_names, "name")),
        "untold": exact(model, exam(new_names, untold=1.0)),
        "loss": float(losses[-50:].mean()),
    }

# %%
class LoRA(nn.Module):
    """A frozen linear layer beside a product of two thin matrices.

    Source: def-transformers-lora, eq-transformers-lora-merge.
    """

    def __init__(self, linear, rank, scale=2.0):
        super().__init__()
        d_out, d_in = linear.weight.shape
        if not 1 <= rank <= min(d_in, d_out):
            raise ValueError(
                f"rank {rank} for a layer of {d_in} inputs and {d_out} "
                f"outputs: it must lie between 1 and {min(d_in, d_out)}"
            )
        self.linear, self.scale = linear.requires_grad_(False), scale
        like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        self.A = nn.Parameter(torch.randn(d_in, rank, **like) / d_in**0.5)
        self.B = nn.Parameter(torch.zeros(rank, d_out, **like))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A) @ self.B

    @torch.no_grad()
    def merge(self):
        """One linear layer that does the same."""
        linear = copy.deepcopy(self.linear)
        linear.weight += self.scale * (self.A @ self.B).T
        return linear

# %%
def with_lora(model, rank):
    """A copy whose matrices have a product of that rank beside them.

    Only the thin matrices ask for gradients; the model stays as it is.
    """
    model = copy.deepcopy(model).requires_grad_(False)
    for block in model.blocks:
        for name in ("query", "key", "value", "out"):
            linear = getattr(block.attention, name)
            setattr(block.attention, name, LoRA(linear, rank))
        for n in (0, 2):
            block.mlp[n] = LoRA(block.mlp[n], rank)
    return model


def merge_lora(model):
    """A copy with plain linear layers again."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoRA):
                setattr(module, name, child.merge())
    return model


def trainable(model):
    return [p for p in model.parameters() if p.requires_grad]

# %%
WORD = re.compile(r" ?\w+| ?[^\w\s]+|\s+")


def merged(word, pair):
    """A tuple of tokens (bytes) with each occurrence of the pair merged."""
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def as_bytes(word):
    return tuple(bytes([b]) for b in word.encode())

# %%
def learn_merges(text, most):
    """The merges that BPE learns, as pairs of bytes, in their order.

    Of pairs that occur as often as each other, the larger one goes first.
    """
    counts = Counter(WORD.findall(text))
    words = [[as_bytes(word), n] for word, n in counts.items()]
    often, where, merges = Counter(), defaultdict(set), []

    def add(k, sign):
        word, n = words[k]
        for pair in itertools.pairwise(word):
            often[pair] += sign * n
            where[pair].add(k)

    for k in range(len(words)):
        add(k, 1)
    while len(merges) < most and often:
        best = max(often, key=lambda pair: (often[pair], pair))
        if often[best] < 2:
            break
        merges.append(best)
        for k in sorted(where[best]):
            add(k, -1)
            words[k][0] = merged(words[k][0], best)
            add(k, 1)
        del often[best]
    return merges

# %%
def split_word(word, rank):
    """Tokens of a tuple of bytes; rank: the merges' numbers in order."""
    while len(word) > 1:
        pairs = itertools.pairwise(word)
        best = min(pairs, key=lambda p: rank.get(p, math.inf))
        if best not in rank:
            break
        word = merged(word, best)
    return word

# %%
class BPE:
    """A tokenizer of 256 bytes and the merges; encodes every text."""

    def __init__(self, merges):
        self.rank = {pair: n for n, pair in enumerate(merges)}
        self.names = [bytes([b]) for b in range(256)]
        self.names += [a + b for a, b in merges]
        self.number = {name: n for n, name in enumerate(self.names)}
        self.known = {}

    def __len__(self):
        return len(self.names)

    def split(self, word):
        """Tokens (bytes) of one word."""
        return split_word(as_bytes(word), self.rank)

    def encode(self, text):
        for word in WORD.findall(text):
            if word not in self.known:
                parts = self.split(word)
                self.known[word] = [self.number[part] for part in parts]
        ids = [n for word in WORD.findall(text) for n in self.known[word]]
        return torch.tensor(ids, dtype=torch.long)

    def decode(self, numbers):
        for n in numbers:
            if not 0 <= n < len(self):
                raise ValueError(f"{int(n)} is none of {len(self)} tokens")
        raw = b"".join(self.names[int(n)] for n in numbers)
        return raw.decode(errors="replace")

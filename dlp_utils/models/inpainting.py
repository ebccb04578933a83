"""Generated from notebooks/inpainting.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'SCHEDULES', 'Config', 'pixels', 'ResBlock', 'encoder', 'decoder', 'VectorQuantizer', 'update_codebook',
           'Tokenizer', 'tokenizer_step', 'perplexity', 'psnr', 'Batches', 'train', 'encode_all', 'Transformer',
           'MaskGIT', 'build', 'example_batch', 'masked_counts', 'random_mask', 'masked_token_loss', 'token_step',
           'step', 'token_mask', 'choose_tokens', 'decode', 'inpaint', 'Features', 'features_step', 'frechet_distance',
           'load_shipped']

# %%
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import pairwise
from math import ceil, cos, pi

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import dlp_utils as dlp
from dlp_utils.models.attention import Block

# %%
@dataclass(frozen=True)
class Config:
    """Sizes of tokenizer and transformer; the defaults are those of the lab.

    size: side of a picture. patch: side of a token's patch. channels, blocks:
    of the tokenizer. codes, code_dim: the codebook. dim, layers, heads,
    hidden: transformer.
    """

    size: int = 64
    patch: int = 4
    channels: int = 256
    blocks: int = 3
    codes: int = 1024
    code_dim: int = 256
    dim: int = 768
    layers: int = 15
    heads: int = 16
    hidden: int = 1536
    batch: int = 32


CONFIGS = {
    "smoke": Config(32, 4, 16, 1, 32, 8, 16, 1, 2, 32, 4),
    "cpu": Config(32, 4, 96, 2, 512, 32, 128, 6, 4, 256, 32),
    "gpu": Config(),
}

# %%
def pixels(images):
    """uint8 (…, 3, H, W) to floats in [-1, 1]."""
    return torch.as_tensor(images).float() / 127.5 - 1

# %%
class ResBlock(nn.Module):
    """Two convolutions around a shortcut, (B, C, h, w); first the identity."""

    def __init__(self, channels, kernel):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.second = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2
        )
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x):
        return x + self.second(F.silu(self.first(F.silu(x))))


def encoder(config):
    """Pictures (B, 3, H, W) to vectors (B, d, h, w), each of its own patch."""
    return nn.Sequential(
        nn.PixelUnshuffle(config.patch),  # (B, 3·16, h, w)
        nn.Conv2d(3 * config.patch**2, 2 * config.channels, 1),
        *(ResBlock(2 * config.channels, 1) for _ in range(config.blocks)),
        nn.SiLU(),
        nn.Conv2d(2 * config.channels, config.code_dim, 1),
    )

# %%
def decoder(config):
    """Vectors (B, d, h, w) to pictures (B, 3, H, W); neighbors may talk."""
    half = config.channels // 2
    return nn.Sequential(
        nn.Conv2d(config.code_dim, config.channels, 3, padding=1),
        *(ResBlock(config.channels, 3) for _ in range(config.blocks)),
        nn.Conv2d(config.channels, half * (config.patch // 2) ** 2, 1),
        nn.PixelShuffle(config.patch // 2),  # (B, C/2, 2h, 2w)
        ResBlock(half, 3),
        nn.SiLU(),
        nn.Conv2d(half, 12, 3, padding=1),
        nn.PixelShuffle(2),
    )

# %%
class VectorQuantizer(nn.Module):
    """A codebook (K, d) that follows the encoder, as an EMA of its means.

    Source: def-inpainting-ema. counts, sums: its averages of counts and of
    sums.
    """

    def __init__(self, codes, dim, decay=0.99, dead=0.03):
        super().__init__()
        self.decay, self.dead = decay, dead
        self.register_buffer("codebook", torch.randn(codes, dim))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))

    def nearest(self, z):
        """Index of the nearest code of each vector, (n, d) to (n,)."""
        squares = self.codebook.square().sum(dim=1)  # |z|² is the same for all
        return (squares - 2 * z @ self.codebook.T).argmin(dim=1)

    def forward(self, z):
        """Vectors (n, d) to codes (n, d), straight-through, and indices."""
        index = self.nearest(z)
        if self.training:
            self.update(z.detach(), index)
        code = self.codebook[index]
        return z + (code - z).detach(), index

# %%
@torch.no_grad()
def update_codebook(self, z, index):
    """One EMA step from vectors z (n, d) and their codes; the dead restart."""
    z = z.float()  # 16 bits in mixed precision; averages need 32
    ones = z.new_ones(len(z))
    count = torch.zeros_like(self.counts).index_add_(0, index, ones)
    total = torch.zeros_like(self.sums).index_add_(0, index, z)
    self.counts.lerp_(count, 1 - self.decay)
    self.sums.lerp_(total, 1 - self.decay)
    dead = self.counts < self.dead * self.counts.mean()
    start = z[torch.randint(len(z), (len(dead),), device=z.device)]
    mean = self.counts.mean()
    self.counts.copy_(torch.where(dead, mean, self.counts))
    self.sums.copy_(torch.where(dead[:, None], mean * start, self.sums))
    self.codebook.copy_(self.sums / self.counts[:, None])


VectorQuantizer.update = update_codebook

# %%
class Tokenizer(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to tokens (B, N) and back."""

    def __init__(self, config):
        super().__init__()
        self.side = config.size // config.patch
        self.encoder, self.decoder = encoder(config), decoder(config)
        self.quantizer = VectorQuantizer(config.codes, config.code_dim)

    def forward(self, x):
        z = self.encoder(x)  # (B, d, h, w)
        flat = z.permute(0, 2, 3, 1).flatten(0, 2)  # (B·N, d)
        code, index = self.quantizer(flat)
        commitment = (flat - code.detach()).square().mean()
        code = code.view(*z.shape[:1], *z.shape[2:], -1).permute(0, 3, 1, 2)
        return self.decoder(code), commitment, index.view(len(x), -1)

    def encode(self, x):
        z = self.encoder(x).permute(0, 2, 3, 1)  # (B, h, w, d)
        return self.quantizer.nearest(z.flatten(0, 2)).view(len(x), -1)

    def decode(self, tokens):
        code = self.quantizer.codebook[tokens].transpose(1, 2)  # (B, d, N)
        grid = code.unflatten(2, (self.side, self.side))  # (B, d, h, w)
        return self.decoder(grid).clamp(-1, 1)

# %%
def tokenizer_step(tokenizer, batch, beta=0.25):
    """Loss of uint8 pictures: squared, absolute, edge error, commitment.

    Edges: differences of neighbors, a plain stand-in for a perceptual loss.
    Source: def-inpainting-vq-loss, def-inpainting-straight.
    """
    x = pixels(batch)
    painted, commitment, _ = tokenizer(x)
    squared = (painted - x).square().mean()
    edges = sum((painted - x).diff(dim=d).abs().mean() for d in (-2, -1))
    absolute = (painted - x).abs().mean()
    loss = squared + 0.2 * absolute + 0.3 * edges + beta * commitment
    return {"loss": loss, "mse": squared, "commitment": commitment}

# %%
def perplexity(tokens, codes):
    """Effective number of codes in use: exp of the entropy of the tokens."""
    share = torch.bincount(tokens.flatten(), minlength=codes).double()
    share /= tokens.numel()
    return float(torch.exp(torch.special.entr(share).sum()))


def psnr(a, b, where=None):
    """PSNR in dB of each picture in [-1, 1], (B, 3, H, W) to (B,).

    where: bool (B, H, W), the pixels that count; None: all.
    """
    error = ((a - b) / 2).square().mean(dim=1)  # (B, H, W)
    where = torch.ones_like(error) if where is None else where.to(error)
    mse = (error * where).sum(dim=(1, 2)) / where.sum(dim=(1, 2))
    return -10 * torch.log10(mse)

# %%
class Batches:
    """`steps` random batches of rows of one tensor, or of several together."""

    def __init__(self, *tensors, batch=32, steps=100, seed=0):
        self.tensors = [torch.as_tensor(t) for t in tensors]
        self.batch, self.steps, self.seed = batch, steps, seed

    def __len__(self):
        return self.steps

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.steps):
            rows = (self.batch,)
            rows = torch.randint(
                len(self.tensors[0]), rows, generator=generator
            )
            found = tuple(t[rows] for t in self.tensors)
            yield found[0] if len(found) == 1 else found

# %%
def train(network, step, batches, lr, **how):
    """AdamW with warm-up and cosine decay: the History of `dlp.fit`."""
    options = {"lr": lr, "betas": (0.9, 0.96), "weight_decay": 0.01}
    adam = partial(torch.optim.AdamW, **options)
    history = dlp.fit(
        network, step, batches, steps=len(batches), clip=1.0, optimizer=adam,
        schedule="cosine", warmup=min(100, len(batches) // 5), **how,
    )  # fmt: skip
    network.eval()
    return history


@torch.no_grad()
def encode_all(tokenizer, images, batch=500):
    """Tokens (n, N) of uint8 pictures (n, 3, H, W), in evaluation mode."""
    tokenizer.eval()
    device = next(tokenizer.parameters()).device
    tokens = []
    for part in torch.as_tensor(images).split(batch):
        tokens.append(tokenizer.encode(pixels(part).to(device)).cpu())
    return torch.cat(tokens)

# %%
class Transformer(nn.Module):
    """Tokens (B, N), id K where unknown, to logits (B, N, K); tied output."""

    def __init__(self, config):
        super().__init__()
        self.mask_id, count = config.codes, (config.size // config.patch) ** 2
        self.tokens = nn.Embedding(config.codes + 1, config.dim)
        self.positions = nn.Parameter(torch.zeros(count, config.dim))
        sizes = {"heads": config.heads, "hidden": config.hidden}
        self.blocks = nn.ModuleList(
            Block(config.dim, **sizes) for _ in range(config.layers)
        )
        norm = nn.LayerNorm(config.dim)
        linear = nn.Linear(config.dim, config.dim)
        self.head = nn.Sequential(norm, linear, nn.GELU())
        self.norm = nn.LayerNorm(config.dim)
        self.bias = nn.Parameter(torch.zeros(count, config.codes))
        for weight in (self.tokens.weight, self.positions):
            nn.init.normal_(weight, std=0.02)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        x = self.norm(self.head(x))
        return x @ self.tokens.weight[: self.mask_id].T + self.bias

# %%
class MaskGIT(nn.Module):
    """A tokenizer and a transformer over its tokens."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokenizer = Tokenizer(config)
        self.transformer = Transformer(config)


def build(config):
    """Return the two networks of a configuration as one module."""
    return MaskGIT(config)


def example_batch(config, device):
    """Random pictures, uint8 (B, 3, H, W)."""
    shape = (config.batch, 3, config.size, config.size)
    return torch.randint(256, shape, device=device).byte()

# %%
SCHEDULES = {
    "cosine": lambda r: cos(pi * r / 2),
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r**2,
}


def masked_counts(unknown, steps, schedule="cosine"):
    """How many of `unknown` tokens are still masked after step 1, …, `steps`:
    a list.

    At least one is revealed in each step. Source: def-inpainting-counts.
    """
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ValueError(f"no schedule {schedule!r}; there are {known}")
    counts, left = [], int(unknown)
    for t in range(1, steps + 1):
        wanted = ceil(SCHEDULES[schedule](t / steps) * unknown - 1e-9)
        left = max(0, min(max(wanted, steps - t), left - 1))
        counts.append(left)
    return counts

# %%
def random_mask(shape, device, schedule="cosine"):
    """Masks for training, bool (B, N): r uniform, ⌈γ(r) N⌉ random places each.

    Source: def-inpainting-loss.
    """
    r = torch.rand(shape[0], device=device)
    share = {"cosine": torch.cos(pi * r / 2), "linear": 1 - r}
    share["square"] = 1 - r**2
    count = (share[schedule] * shape[1]).ceil().clamp(min=1)
    lot = torch.rand(shape, device=device)
    ranks = lot.argsort(dim=1).argsort(dim=1)
    return ranks < count[:, None]


def masked_token_loss(transformer, tokens, masked):
    """Mean cross-entropy in nats of all masked tokens: def-inpainting-loss."""
    given = torch.where(masked, transformer.mask_id, tokens)
    logits = transformer(given).transpose(1, 2)  # (B, K, N)
    nll = F.cross_entropy(logits, tokens, reduction="none")  # (B, N)
    return (nll * masked).sum() / masked.sum()

# %%
def token_step(transformer, tokens):
    """Loss of tokens (B, N) under random masks."""
    masked = random_mask(tokens.shape, tokens.device)
    return masked_token_loss(transformer, tokens, masked)


def step(model, batch):
    """Both losses of uint8 pictures (B, 3, H, W); the lab trains the two in
    turn.
    """
    # With gradients first: in 16 bits PyTorch 2.6 keeps what it converted.
    loss = tokenizer_step(model.tokenizer, batch)["loss"]
    with torch.no_grad():
        tokens = model.tokenizer.encode(pixels(batch))
    return loss + token_step(model.transformer, tokens)

# %%
def token_mask(missing, patch=4):
    """A token is unknown if any pixel of its patch is: (B, H, W) to (B, N),
    bool.
    """
    hidden = missing.unflatten(2, (-1, patch)).unflatten(1, (-1, patch))
    # from (B, h, patch, w, patch)
    return hidden.any(dim=4).any(dim=2).flatten(1)

# %%
def choose_tokens(logits, masked, keep, temperature, generator=None):
    """Sample a token for each masked place, and say which `keep` stay masked.

    logits (B, N, K), masked (B, N), keep (B,): the places of lowest confidence
    log p + temperature · Gumbel stay masked. Source: eq-inpainting-confidence.
    """
    log_p = logits.log_softmax(dim=-1)

    def gumbel(like):
        u = torch.rand(like.shape, generator=generator).to(like.device)
        return -torch.log(-torch.log(u.clamp(1e-9, 1 - 1e-7)))

    sampled = (log_p + gumbel(log_p)).argmax(dim=-1)  # a draw from p, (B, N)
    score = log_p.gather(2, sampled[..., None])[..., 0]
    score = score + temperature * gumbel(score)
    score = score.masked_fill(~masked, torch.inf)  # what is known stays known
    ranks = score.argsort(dim=1).argsort(dim=1)
    return sampled, ranks < keep[:, None]

# %%
@torch.no_grad()
def decode(
    transformer, tokens, unknown, steps=8, schedule="cosine",
    temperature=4.5, seed=0,
):  # fmt: skip
    """Fill the unknown places (B, N) of tokens (B, N) in `steps` passes.

    Returns the tokens, and what stood after each step: a list of
    (tokens, masked).
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = unknown.sum(dim=1).tolist()
    counts = [masked_counts(n, steps, schedule) for n in sizes]
    counts = torch.tensor(counts, device=tokens.device)  # (B, steps)
    tokens, masked = tokens.masked_fill(unknown, transformer.mask_id), unknown
    history = [(tokens, masked)]
    for t in range(1, steps + 1):
        logits, keep = transformer(tokens), counts[:, t - 1]
        heat = temperature * (1 - t / steps)
        sampled, still = choose_tokens(logits, masked, keep, heat, generator)
        tokens = torch.where(masked & ~still, sampled, tokens)
        masked = still
        history.append((tokens, masked))
    return tokens, history

# %%
@torch.no_grad()
def inpaint(model, images, missing, **how):
    """Fill the missing pixels (B, H, W) of pictures (B, 3, H, W) in [-1, 1].

    Hidden pixels are set to 0 before anything looks. The known ones are kept
    as they are. how: steps, schedule, temperature and seed of `decode`. Also
    returns its list.
    """
    model.eval()
    hidden = missing[:, None]
    tokens = model.tokenizer.encode(images.masked_fill(hidden, 0.0))
    unknown = token_mask(missing, model.config.patch)
    tokens, history = decode(model.transformer, tokens, unknown, **how)
    return torch.where(hidden, model.tokenizer.decode(tokens), images), history

# %%
class Features(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to 64 features that tell cats apart."""

    outputs = 5 + 12 + 8  # pattern, four colors, traits

    def __init__(self, width=32):
        super().__init__()
        sizes, layers = (3, width, 2 * width, 2 * width), []
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.SiLU()]
        self.body = nn.Sequential(*layers)  # (B, 64, 4, 4) of 32 × 32
        self.mix = nn.Sequential(nn.Linear(32 * width, 64), nn.SiLU())
        self.head = nn.Linear(64, self.outputs)

    def forward(self, x):
        x = F.interpolate(x, (32, 32), mode="area") if x.shape[-1] != 32 else x
        return self.mix(self.body(x).flatten(1))


def features_step(features, batch):
    """Teach the features what was drawn: pattern (class), colors, traits."""
    images, pattern, numbers = batch
    found = features.head(features(pixels(images)))
    named = F.cross_entropy(found[:, :5], pattern)
    squared = (found[:, 5:] - numbers).square().mean()
    return {"loss": named + 5 * squared, "pattern": named, "squared": squared}

# %%
def frechet_distance(x, y):
    """Squared Fréchet distance of Gaussians fitted to (n, d) and (m, d).

    Source: eq-inpainting-root: the trace of the root from eigenvalues.
    """
    x, y = (np.asarray(a, dtype=np.float64) for a in (x, y))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T  # A^(1/2)
    middle = np.linalg.eigvalsh(root @ b @ root).clip(0)
    means = x.mean(axis=0) - y.mean(axis=0)
    traces = np.trace(a) + np.trace(b) - 2 * np.sqrt(middle).sum()
    return float(means @ means + traces)

# %%
def load_shipped(device=None):
    """MaskGIT and Features, trained by tools/weights/inpainting.py."""
    from safetensors.torch import load_file

    file = resources.files("dlp_utils") / "weights" / "inpainting.safetensors"
    stored, device = load_file(str(file)), device or dlp.device()
    model, features = build(CONFIGS["cpu"]), Features()
    weights = {"maskgit": {}, "features": {}}
    for key, value in stored.items():
        name, weight = key.split(".", 1)
        weights[name][weight] = value.float()
    for name, network in (("maskgit", model), ("features", features)):
        network.load_state_dict(weights[name])
        network.to(device).eval()
    return model, features

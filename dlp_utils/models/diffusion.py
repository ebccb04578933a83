"""Generated from notebooks/diffusion.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['small', 'CONFIGS', 'Config', 'cosine_alpha_bar', 'linear_alpha_bar', 'zero_terminal', 'coefficients', 'q_sample',
           'velocity', 'from_velocity', 'time_features', 'ResBlock', 'Attention', 'Stage', 'Resize', 'way_down',
           'way_up', 'UNet', 'Denoiser', 'build', 'example_batch', 'pixels', 'step', 'Batches', 'train', 'guided',
           'spaced', 'ddim_step', 'ddim_sample', 'Evaluator', 'evaluator_step', 'course_score', 'exact_score',
           'load_shipped', 'posterior', 'ddpm_sample', 'lists_apart', 'even_on_line', 'flow_step', 'flow_sample',
           'library_names', 'to_diffusers', 'scheduler_like', 'keep_on_grid', 'LabelVectors', 'LabelPipeline']

# %%
from dataclasses import dataclass
from functools import partial
from importlib import resources
from math import log, pi

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import dlp_utils as dlp

# %%
@dataclass(frozen=True)
class Config:
    """Sizes of the U-Net; the defaults are those of the lab.

    channels: one number a level. attention: the levels that have it. size:
    side of a picture. patch: side of the blocks that become channels. layers:
    residual blocks a level. groups: of GroupNorm. head_dim: channels of an
    attention head. steps: T. drop: share of training pictures that lose their
    labels.
    """

    channels: tuple = (128, 128, 256, 256, 512, 512)
    attention: tuple = (4,)
    size: int = 64
    patch: int = 1
    layers: int = 2
    groups: int = 32
    head_dim: int = 8
    batch: int = 32
    labels: int = 24
    steps: int = 1000
    drop: float = 0.1

# %%
small = {"size": 32, "patch": 2, "layers": 1}
CONFIGS = {
    "smoke": Config((16, 16), (1,), groups=4, head_dim=16, batch=8, **small),
    "cpu": Config((48, 64, 96), (1, 2), groups=8, head_dim=32, **small),
    "gpu": Config(),
}

# %%
def cosine_alpha_bar(steps=1000, offset=0.008, largest=0.999):
    """ᾱ of the cosine schedule, (T,) float64; its β is at most `largest`.

    Source: def-diffusion-cosine; entry t of code is step t + 1 of the page.
    """
    r = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((r + offset) / (1 + offset) * pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=largest)
    return torch.cumprod(1 - beta, dim=0)


def linear_alpha_bar(steps=1000, first=1e-4, last=0.02):
    """ᾱ of the linear schedule of β, (T,) float64: def-diffusion-linear."""
    beta = torch.linspace(first, last, steps, dtype=torch.float64)
    return torch.cumprod(1 - beta, dim=0)


def zero_terminal(alpha_bar):
    """Shift and scale √ᾱ so that its last value is 0, its first stays: (T,).

    Source: eq-diffusion-zero-terminal.
    """
    root = alpha_bar.sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return root.square()

# %%
def coefficients(alpha_bar, t, like):
    """√ᾱ and √(1 − ᾱ) at steps t (B,), shaped (B, 1, …) for `like` (B, …)."""
    chosen = alpha_bar[t].view(-1, *[1] * (like.ndim - 1))
    return chosen.sqrt().to(like.dtype), (1 - chosen).sqrt().to(like.dtype)


def q_sample(x0, t, noise, alpha_bar):
    """x_t = √ᾱ x₀ + √(1 − ᾱ) ε, all (B, …), t (B,): eq-diffusion-marginal."""
    signal, sigma = coefficients(alpha_bar, t, x0)
    return signal * x0 + sigma * noise


def velocity(x0, noise, t, alpha_bar):
    """v = √ᾱ ε − √(1 − ᾱ) x₀, (B, …). Source: def-diffusion-velocity."""
    signal, sigma = coefficients(alpha_bar, t, x0)
    return signal * noise - sigma * x0


def from_velocity(xt, v, t, alpha_bar):
    """x₀ and ε of a noisy x_t and its velocity, each (B, …)."""
    signal, sigma = coefficients(alpha_bar, t, xt)
    return signal * xt - sigma * v, sigma * xt + signal * v

# %%
def time_features(t, width):
    """Cosines and sines of t (B,) at frequencies 1 to 1/10,000: (B, width).

    width: even. Source: def-diffusion-time.
    """
    half = width // 2
    rank = torch.arange(half, device=t.device)
    frequency = torch.exp(-log(10_000) * rank / half)
    angle = t[:, None].float() * frequency  # (B, half)
    return torch.cat([angle.cos(), angle.sin()], dim=1)

# %%
class ResBlock(nn.Module):
    """Two convolutions around a shortcut; the embedding acts in between.

    x (B, before, h, w) and embedding (B, E) to (B, after, h, w). At the start
    of training the second convolution is zero, so the block is its shortcut.
    """

    def __init__(self, before, after, embedding, groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.time_emb_proj = nn.Linear(embedding, 2 * after)
        self.norm2 = nn.GroupNorm(groups, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)
        if before != after:
            self.conv_shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x)))
        factors = self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        scale, shift = factors.chunk(2, dim=1)  # (B, after, 1, 1) each
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        if hasattr(self, "conv_shortcut"):
            x = self.conv_shortcut(x)
        return x + h

# %%
class Attention(nn.Module):
    """Self-attention of the pixels of a map (B, C, h, w), with a shortcut."""

    def __init__(self, channels, head_dim, groups):
        super().__init__()
        self.heads = channels // head_dim
        self.group_norm = nn.GroupNorm(groups, channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x):
        h = self.group_norm(x).flatten(2).transpose(1, 2)  # (B, h·w, C)
        three = (layer(h) for layer in (self.to_q, self.to_k, self.to_v))
        split = (a.unflatten(2, (self.heads, -1)) for a in three)
        q, k, v = (a.transpose(1, 2) for a in split)  # (B, heads, h·w, d)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.to_out(h).transpose(1, 2).view_as(x)

# %%
class Stage(nn.Module):
    """A residual block, then attention or nothing: (B, after, h, w)."""

    def __init__(self, before, after, config, look):
        super().__init__()
        embedding, groups = 4 * config.channels[0], config.groups
        self.block = ResBlock(before, after, embedding, groups)
        sizes = after, config.head_dim, groups
        self.look = Attention(*sizes) if look else nn.Identity()

    def forward(self, x, embedding):
        return self.look(self.block(x, embedding))


class Resize(nn.Module):
    """A 3 × 3 convolution that halves the side, or follows a doubling."""

    def __init__(self, channels, up):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(channels, channels, 3, 1 if up else 2, padding=1)

    def forward(self, x, embedding=None):
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x)

# %%
def way_down(config):
    """Parts of the way down, and the widths of all that it saves."""
    parts, saved, now = [], [config.channels[0]], config.channels[0]
    for i, width in enumerate(config.channels):
        if i > 0:
            parts.append(Resize(now, up=False))
            saved.append(now)
        for _ in range(config.layers):
            parts.append(Stage(now, width, config, i in config.attention))
            saved.append(width)
            now = width
    return parts, saved


def way_up(config, saved):
    """Parts of the way up, one stage for each saved result."""
    parts, now, saved = [], config.channels[-1], list(saved)
    for i, width in reversed(list(enumerate(config.channels))):
        for _ in range(config.layers + 1):  # one more than on the way down
            before = now + saved.pop()
            parts.append(Stage(before, width, config, i in config.attention))
            now = width
        if i > 0:
            parts.append(Resize(now, up=True))
    return parts

# %%
class UNet(nn.Module):
    """x (B, 3p², h, w), t (B,), label embedding (B, E) to (B, 3p², h, w)."""

    def __init__(self, config):
        super().__init__()
        first, last = config.channels[0], config.channels[-1]
        colors = 3 * config.patch**2
        wide = nn.Linear(first, 4 * first), nn.Linear(4 * first, 4 * first)
        self.time = nn.Sequential(wide[0], nn.SiLU(), wide[1])
        self.conv_in = nn.Conv2d(colors, first, 3, padding=1)
        down, saved = way_down(config)
        middle = [Stage(last, last, config, look) for look in (True, False)]
        self.down, self.middle = nn.ModuleList(down), nn.ModuleList(middle)
        self.up = nn.ModuleList(way_up(config, saved))
        self.norm_out = nn.GroupNorm(config.groups, first)
        self.conv_out = nn.Conv2d(first, colors, 3, padding=1)

    def forward(self, x, t, labels):
        features = time_features(t, self.conv_in.out_channels)
        embedding = self.time(features) + labels  # (B, E)
        saved = [self.conv_in(x)]
        for part in self.down:
            saved.append(part(saved[-1], embedding))
        x = self.middle[1](self.middle[0](saved[-1], embedding), embedding)
        for part in self.up:
            if isinstance(part, Stage):  # side by side with what was saved
                x = torch.cat([x, saved.pop()], dim=1)
            x = part(x, embedding)
        return self.conv_out(F.silu(self.norm_out(x)))

# %%
class Denoiser(nn.Module):
    """Noisy pictures (B, 3, H, W), t (B,), labels (B, 24) to velocities."""

    def __init__(self, config):
        super().__init__()
        self.config, width = config, 4 * config.channels[0]
        self.unet = UNet(config)
        self.label_embedding = nn.Linear(config.labels, width, bias=False)
        alpha_bar = cosine_alpha_bar(config.steps).float()
        self.register_buffer("alpha_bar", alpha_bar, persistent=False)

    def forward(self, xt, t, labels):
        x = F.pixel_unshuffle(xt, self.config.patch)  # (B, 3p², H/p, W/p)
        v = self.unet(x, t, self.label_embedding(labels))
        return F.pixel_shuffle(v, self.config.patch)

# %%
def build(config):
    """Return the network of a configuration."""
    return Denoiser(config)


def example_batch(config, device):
    """Random pictures, uint8 (B, 3, H, W), and label sets, (B, 24)."""
    shape = (config.batch, 3, config.size, config.size)
    labels = torch.rand(config.batch, config.labels, device=device) < 0.1
    return torch.randint(256, shape, device=device).byte(), labels.float()

# %%
def pixels(images):
    """uint8 (…, 3, H, W) to floats in [-1, 1]."""
    return torch.as_tensor(images).float() / 127.5 - 1


def step(model, batch):
    """Squared error of the velocity; pictures uint8 (B, 3, H, W), labels.

    One random step t = 0, …, T − 1 a picture; a share of the pictures loses
    its labels. Source: def-diffusion-simple, def-diffusion-velocity.
    """
    images, labels = batch
    x0, config = pixels(images), model.config
    t = torch.randint(config.steps, (len(x0),), device=x0.device)
    noise = torch.randn_like(x0)
    keep = torch.rand(len(x0), 1, device=x0.device) >= config.drop
    xt = q_sample(x0, t, noise, model.alpha_bar)
    found = model(xt, t, labels * keep)
    return (found - velocity(x0, noise, t, model.alpha_bar)).square().mean()

# %%
class Batches:
    """`steps` random batches of the rows of several tensors together."""

    def __init__(self, *tensors, batch=32, steps=100, seed=0):
        self.tensors = [torch.as_tensor(t) for t in tensors]
        self.batch, self.steps, self.seed = batch, steps, seed

    def __len__(self):
        return self.steps

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.steps):
            many = (self.batch,)
            rows = torch.randint(
                len(self.tensors[0]), many, generator=generator
            )
            yield tuple(t[rows] for t in self.tensors)


def train(network, step, batches, lr, **how):
    """AdamW with warm-up and cosine decay: the History of `dlp.fit`."""
    options = {"lr": lr, "betas": (0.9, 0.99), "weight_decay": 0.01}
    adam = partial(torch.optim.AdamW, **options)
    return dlp.fit(
        network, step, batches, steps=len(batches), clip=1.0, optimizer=adam,
        schedule="cosine", warmup=min(200, len(batches) // 5),
        channels_last=True, **how,
    )  # fmt: skip

# %%
@torch.no_grad()
def guided(model, xt, t, labels, guidance=1.0):
    """Velocity with classifier-free guidance; guidance 1 is none, and one
    pass.

    Otherwise two passes in one batch: v(∅) + w (v(c) − v(∅)).
    Source: eq-diffusion-guidance.
    """
    t = torch.as_tensor(t, device=xt.device).expand(len(xt))
    if guidance == 1:
        return model(xt, t, labels)
    both = torch.cat([torch.zeros_like(labels), labels])
    without, given = model(xt.repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
    return without + guidance * (given - without)

# %%
def spaced(steps, total=1000):
    """`steps` of `total` code steps, evenly spaced, from total − 1 down."""
    if not 1 <= steps <= total:
        raise ValueError(f"steps must be from 1 to {total}, got {steps}")
    times = np.round(np.arange(steps, 0, -1) * total / steps).astype(int)
    return (times - 1).tolist()


def ddim_step(xt, x0, t, before, alpha_bar, eta=0.0, noise=None):
    """From step t to the earlier step `before` (−1: to the picture), both
    ints.

    x0: the predicted picture; the ε that belongs to it and to xt points the
    way. Source: def-diffusion-ddim, def-diffusion-eta.
    """
    now = float(alpha_bar[t])
    then = float(alpha_bar[before]) if before >= 0 else 1.0
    eps = (xt - now**0.5 * x0) / (1 - now) ** 0.5
    sigma = eta * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
    mean = then**0.5 * x0 + max(1 - then - sigma**2, 0.0) ** 0.5 * eps
    return mean if sigma == 0 else mean + sigma * noise

# %%
@torch.no_grad()
def ddim_sample(
    model, labels, steps=25, guidance=3.0, eta=0.0, seed=0, watch=None
):
    """Draw a picture for each row of labels (B, 24): (B, 3, H, W) in [-1, 1].

    Passes of the network a picture: 2 · steps, or steps at guidance 1.
    watch(t, xt, x0) is called in each step.
    """
    model.eval()
    config, draw = model.config, dlp.generator(seed)
    shape = (len(labels), 3, config.size, config.size)
    device, alpha_bar = labels.device, cosine_alpha_bar(config.steps)
    xt = torch.randn(shape, generator=draw).to(device)
    times = spaced(steps, config.steps) if type(steps) is int else steps
    for t, before in zip(times, [*times[1:], -1], strict=True):
        v = guided(model, xt, t, labels, guidance)
        now = float(alpha_bar[t])
        x0 = (now**0.5 * xt - (1 - now) ** 0.5 * v).clamp(-1, 1)
        if watch:
            watch(t, xt, x0)
        noise = torch.randn(shape, generator=draw).to(device) if eta else None
        xt = ddim_step(xt, x0, t, before, alpha_bar, eta, noise)
    return xt

# %%
class Evaluator(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to 24 logits, one a label."""

    def __init__(self, width=32):
        super().__init__()
        layers, before = [], 3
        for after, stride in ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1)):
            sizes, how = (before, after * width), {"padding": 1, "bias": False}
            conv = nn.Conv2d(*sizes, 3, stride, **how)
            layers += [conv, nn.BatchNorm2d(after * width), nn.ReLU()]
            before = after * width
        self.body = nn.Sequential(*layers)  # (B, 128, 8, 8) of 32 × 32
        self.mix = nn.Sequential(nn.Linear(4 * width, 64), nn.ReLU())
        self.head = nn.Linear(64, 24)

    def forward(self, x):
        x = F.interpolate(x, (32, 32), mode="area") if x.shape[-1] != 32 else x
        return self.head(self.mix(self.body(x).amax(dim=(2, 3))))  # (B, 24)

    def texture(self, x):
        """Means over places of 64 middle channels: looks, not labels."""
        x = F.interpolate(x, (32, 32), mode="area") if x.shape[-1] != 32 else x
        return self.body[:9](x).mean(dim=(2, 3))  # (B, 64)

# %%
def evaluator_step(evaluator, batch):
    """Binary cross-entropy of each of the 24 labels."""
    images, labels = batch
    logits = evaluator(pixels(images))
    return F.binary_cross_entropy_with_logits(logits, labels)


def course_score(logits, labels):
    """Hits among the k highest of 24 logits, over all labels; k in a row.

    logits, labels (B, 24); a float in [0, 1]. Extra objects with lower logits
    cost nothing. Source: eq-diffusion-extra.
    """
    ranks = logits.argsort(dim=1, descending=True).argsort(dim=1)
    hits = (ranks < labels.sum(dim=1, keepdim=True)) & (labels > 0.5)
    return (hits.sum() / labels.sum()).item()


def exact_score(logits, labels):
    """Share of pictures in which exactly the asked labels are positive."""
    return ((logits > 0) == (labels > 0.5)).all(dim=1).float().mean().item()

# %%
def load_shipped(device=None):
    """Denoiser and Evaluator, trained by tools/weights/diffusion.py."""
    from safetensors.torch import load_file

    file = resources.files("dlp_utils") / "weights" / "diffusion.safetensors"
    stored, device = load_file(str(file)), device or dlp.device()
    model, evaluator = build(CONFIGS["cpu"]), Evaluator()
    weights = {"model": {}, "evaluator": {}}
    for key, value in stored.items():
        name, weight = key.split(".", 1)
        weights[name][weight] = value.float()
    for name, network in (("model", model), ("evaluator", evaluator)):
        network.load_state_dict(weights[name])
        network.to(device).eval()
    return model, evaluator

# %%
def posterior(x0, xt, t, alpha_bar):
    """Mean (B, …), variance (B, 1, …) of q(x_{t−1} | x_t, x₀); x₀, 0 at t = 0.

    Source: eq-diffusion-posterior.
    """
    now = alpha_bar[t]  # (B,)
    before = torch.where(t > 0, alpha_bar[t - 1], torch.ones_like(now))
    alpha = now / before
    found = (
        before.sqrt() * (1 - alpha) / (1 - now),  # times x₀
        alpha.sqrt() * (1 - before) / (1 - now),  # times x_t
        (1 - before) / (1 - now) * (1 - alpha),
    )
    shape = (-1, *[1] * (xt.ndim - 1))
    for_x0, for_xt, variance = (c.to(xt).view(shape) for c in found)
    return for_x0 * x0 + for_xt * xt, variance

# %%
@torch.no_grad()
def ddpm_sample(model, labels, guidance=3.0, seed=0):
    """Ancestral sampling through all T steps: (B, 3, H, W) in [-1, 1].

    Source: def-diffusion-ancestral, with the posterior variance.
    """
    model.eval()
    config, draw = model.config, dlp.generator(seed)
    shape = (len(labels), 3, config.size, config.size)
    device, alpha_bar = labels.device, cosine_alpha_bar(config.steps)
    xt = torch.randn(shape, generator=draw).to(device)
    for t in reversed(range(config.steps)):
        v = guided(model, xt, t, labels, guidance)
        now = float(alpha_bar[t])
        x0 = (now**0.5 * xt - (1 - now) ** 0.5 * v).clamp(-1, 1)
        mean, variance = posterior(x0, xt, torch.tensor([t]), alpha_bar)
        noise = torch.randn(shape, generator=draw).to(device)
        xt = mean + variance.sqrt() * noise
    return xt

# %%
def lists_apart(n):
    """The first n label lists of validation pictures that no test list has."""
    from dlp_utils.data import clevr

    tests = (clevr.label_lists(name) for name in ("test", "new_test"))
    known = {frozenset(found) for test in tests for found in test}
    rows = clevr.generated_scenes(4 * n, "validation", 16).labels
    return [f for f in map(clevr.names, rows) if frozenset(f) not in known][:n]

# %%
def even_on_line(steps, total=1000):
    """Code steps on the circle that are even on the straight path."""
    place = (np.array(spaced(steps, total)) + 1) / total  # τ
    angle = np.arctan2(place, 1 - place)
    return (np.round(total * angle * 2 / pi).astype(int) - 1).tolist()

# %%
def flow_step(model, batch):
    """Squared error of f = ε − x₀ on the straight path, as in `step`.

    Code step t is τ = (t + 1) / T. Source: eq-diffusion-straight-errors.
    """
    images, labels = batch
    x0, config = pixels(images), model.config
    t = torch.randint(config.steps, (len(x0),), device=x0.device)
    noise = torch.randn_like(x0)
    keep = torch.rand(len(x0), 1, device=x0.device) >= config.drop
    tau = ((t + 1) / config.steps).view(-1, 1, 1, 1)
    found = model((1 - tau) * x0 + tau * noise, t, labels * keep)
    return (found - (noise - x0)).square().mean()

# %%
@torch.no_grad()
def flow_sample(model, labels, steps=25, guidance=3.0, seed=0):
    """Pictures of a network trained by `flow_step`: (B, 3, H, W) in [-1, 1].

    steps: their number, or a list of code steps. Euler's method, with the
    guess of x₀ clipped. Source: eq-diffusion-straight-euler.
    """
    model.eval()
    config, draw = model.config, dlp.generator(seed)
    shape = (len(labels), 3, config.size, config.size)
    x = torch.randn(shape, generator=draw).to(labels.device)
    times = spaced(steps, config.steps) if type(steps) is int else steps
    for t, before in zip(times, [*times[1:], -1], strict=True):
        now, then = (t + 1) / config.steps, (before + 1) / config.steps
        x0 = x - now * guided(model, x, t, labels, guidance)
        x0 = x0.clamp(-1, 1)
        x = x + (then - now) * (x - x0) / now
    return x

# %%
def library_names(config):
    """{beginning of our name: that of diffusers' name} of a U-Net's parts."""
    names = {"conv_in": "conv_in", "norm_out": "conv_norm_out"}
    names |= {
        f"time.{2 * i}": f"time_embedding.linear_{i + 1}" for i in (0, 1)
    }
    names |= {f"middle.{i}.block": f"mid_block.resnets.{i}" for i in (0, 1)}
    names |= {"middle.0.look": "mid_block.attentions.0"}
    names |= {"conv_out": "conv_out"}
    for way, stages in (("down", config.layers), ("up", config.layers + 1)):
        n = 0
        for i in range(len(config.channels)):
            for j in range(stages):
                there = f"{way}_blocks.{i}"
                names[f"{way}.{n}.block"] = f"{there}.resnets.{j}"
                names[f"{way}.{n}.look"] = f"{there}.attentions.{j}"
                n += 1
            names[f"{way}.{n}.conv"] = f"{there}.{way}samplers.0.conv"
            n += 1
    return names

# %%
from diffusers import UNet2DModel


def to_diffusers(model):
    """A diffusers `UNet2DModel` with the weights of a Denoiser's U-Net."""
    config, colors = model.config, 3 * model.config.patch**2
    levels = range(len(config.channels))
    kinds = ["Attn" if i in config.attention else "" for i in levels]
    unet = UNet2DModel(
        sample_size=config.size // config.patch, in_channels=colors,
        out_channels=colors, block_out_channels=config.channels,
        down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpBlock2D" for kind in kinds[::-1]],
        layers_per_block=config.layers, attention_head_dim=config.head_dim,
        norm_num_groups=config.groups, attn_norm_num_groups=config.groups,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",  # the label vector is ready to be added
    )  # fmt: skip
    names, weights = library_names(config), {}
    for key, weight in model.unet.state_dict().items():
        here = next(name for name in names if key.startswith(name + "."))
        weights[names[here] + key.removeprefix(here)] = weight
    unet.load_state_dict(weights)
    return unet.to(next(model.parameters()).device).eval()

# %%
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
)


def scheduler_like(kind, config):
    """A diffusers scheduler with the lab's schedule, clipping and v."""
    alpha_bar = cosine_alpha_bar(config.steps)
    before = torch.cat([torch.ones(1, dtype=alpha_bar.dtype), alpha_bar[:-1]])
    how = {"clip_sample": True}
    if kind is DPMSolverMultistepScheduler:  # clips by "thresholding" at 1
        how = {"thresholding": True, "sample_max_value": 1.0}
        how["solver_order"] = 2
    scheduler = kind(
        num_train_timesteps=config.steps,
        trained_betas=(1 - alpha_bar / before).numpy(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        **how,
    )
    on_grid = kind is DDIMScheduler
    return keep_on_grid(scheduler, config.steps) if on_grid else scheduler

# %%
def keep_on_grid(scheduler, steps):
    """Let a DDIM scheduler refuse step counts that do not divide `steps`.

    It always steps back by steps // n, which is right only for a divisor n.
    """
    plain = scheduler.set_timesteps

    def set_timesteps(num_inference_steps, device=None):
        if steps % num_inference_steps:
            raise ValueError(
                f"diffusers' DDIM leaves its grid: {num_inference_steps} does "
                f"not divide {steps}; take a divisor, or call ddim_sample"
            )
        plain(num_inference_steps, device)

    scheduler.set_timesteps = set_timesteps
    return scheduler

# %%
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
from diffusers.configuration_utils import register_to_config


class LabelVectors(ModelMixin, ConfigMixin):
    """Label sets (B, labels) to vectors (B, width); diffusers can save it."""

    @register_to_config
    def __init__(self, labels: int = 24, width: int = 512):
        super().__init__()
        self.linear = nn.Linear(labels, width, bias=False)

    def forward(self, labels):
        return self.linear(labels)

# %%
class LabelPipeline(DiffusionPipeline):
    """Lists of label names to pictures: a U-Net, label vectors and a
    scheduler.
    """

    def __init__(self, unet, vectors, scheduler):
        super().__init__()
        if isinstance(scheduler, DDIMScheduler):  # also when it was loaded
            keep_on_grid(scheduler, scheduler.config.num_train_timesteps)
        self.register_modules(unet=unet, vectors=vectors, scheduler=scheduler)

    @torch.no_grad()
    def __call__(self, lists, steps=20, guidance=3.0, seed=0):
        """Return pictures (n, 3, H, W) in [-1, 1] for n lists of names."""
        from dlp_utils.data.clevr import multi_hot

        given = torch.as_tensor(multi_hot(lists)).to(self.device)  # (n, 24)
        vector = self.vectors(torch.cat([torch.zeros_like(given), given]))
        patch = round((self.unet.config.in_channels / 3) ** 0.5)
        side = self.unet.config.sample_size * patch
        shape = (len(given), 3, side, side)
        x = torch.randn(shape, generator=dlp.generator(seed)).to(self.device)
        self.scheduler.set_timesteps(steps)
        for t in self.progress_bar(self.scheduler.timesteps):
            both = F.pixel_unshuffle(x.repeat(2, 1, 1, 1), patch)
            v = self.unet(both, t, class_labels=vector).sample
            without, wanted = F.pixel_shuffle(v, patch).chunk(2)
            v = without + guidance * (wanted - without)
            x = self.scheduler.step(v, t, x).prev_sample
        return x.clamp(-1, 1)

"""Generated from notebooks/video_generation.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['CONFIGS', 'gaussian_kl', 'reparameterize', 'CVAEConfig', 'Block', 'encoder', 'GaussianPredictor', 'Generator', 'CVAE',
           'build', 'example_batch', 'prior', 'clip_loss', 'free_running', 'random_cut', 'Clips', 'falling', 'step',
           'rollout', 'psnr', 'train_cvae', 'load_shipped', 'annealed', 'measure']

# %%
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import dlp_utils as dlp

# %%
def gaussian_kl(mu, log_var):
    """KL of N(mu, exp log_var) to N(0, I), summed over all but the batch.

    In nats, (B,). Source: eq-video-generation-kl-standard.
    """
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).flatten(1).sum(dim=1)


def reparameterize(mu, log_var):
    """Draw from N(mu, exp log_var) so that gradients reach both; any shape."""
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)

# %%
@dataclass(frozen=True)
class CVAEConfig:
    """Channels out of each part, and what each part may see.

    patch: the encoders fold patch × patch pixels into channels. past: whether
    the decoder sees the previous frame. seeing: whether the posterior does,
    too. sigma: noise of a pixel. batch, frames: clips in an example batch,
    frames in each.
    """

    frame: int = 64
    pose: int = 32
    latent: int = 12
    fused: int = 96
    patch: int = 4
    blocks: int = 2
    past: bool = True
    seeing: bool = False
    sigma: float = 0.2
    batch: int = 6
    frames: int = 5

# %%
class Block(nn.Module):
    """Two convolutions around a shortcut, (B, C, h, w); first the identity."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x):
        hidden = self.first(F.leaky_relu(x, 0.1))
        return x + self.second(F.leaky_relu(hidden, 0.1))


def encoder(channels, patch):
    """A picture (B, 3, H, W) to features (B, channels, H/patch, W/patch)."""
    into = nn.Conv2d(3 * patch**2, channels, 3, padding=1)
    return nn.Sequential(nn.PixelUnshuffle(patch), into, Block(channels))

# %%
class GaussianPredictor(nn.Module):
    """Features (B, C, h, w) to mean, log variance: (B, latent, h, w) each."""

    def __init__(self, channels, hidden, latent):
        super().__init__()
        self.hidden = nn.Conv2d(channels, hidden, 3, padding=1)
        self.out = nn.Conv2d(hidden, 2 * latent, 3, padding=1)

    def forward(self, features):
        hidden = F.leaky_relu(self.hidden(features), 0.1)
        mu, log_var = self.out(hidden).chunk(2, dim=1)
        return mu, log_var.clamp(-8, 4)

# %%
class Generator(nn.Module):
    """Fused features (B, fused, h, w) to a frame (B, 3, H, W) in [0, 1]."""

    def __init__(self, config):
        super().__init__()
        blocks = [Block(config.fused) for _ in range(config.blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Conv2d(config.fused, 3 * config.patch**2, 3, padding=1)
        self.unfold = nn.PixelShuffle(config.patch)

    def forward(self, features):
        features = F.leaky_relu(self.blocks(features), 0.1)
        return torch.sigmoid(self.unfold(self.out(features)))

# %%
class CVAE(nn.Module):
    """Conditional VAE of the next frame: def-video-generation-posterior."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.frame_encoder = encoder(config.frame, config.patch)
        self.pose_encoder = encoder(config.pose, config.patch)
        seen = config.frame * (2 if config.seeing else 1) + config.pose
        self.predictor = GaussianPredictor(seen, config.frame, config.latent)
        joined = config.frame + config.pose + config.latent
        self.fusion = nn.Conv2d(joined, config.fused, 3, padding=1)
        self.generator = Generator(config)

    def posterior(self, frame, pose, previous):
        seen = [self.frame_encoder(frame), self.pose_encoder(pose)]
        if self.config.seeing:
            seen.append(self.frame_encoder(previous))
        return self.predictor(torch.cat(seen, dim=1))

    def decode(self, previous, pose, z):
        if not self.config.past:
            previous = torch.zeros_like(previous)
        features = [self.frame_encoder(previous), self.pose_encoder(pose), z]
        return self.generator(self.fusion(torch.cat(features, dim=1)))

# %%
CONFIGS = {
    "smoke": CVAEConfig(frame=8, pose=8, fused=8, latent=2, blocks=1, batch=2),
    "cpu": CVAEConfig(),
    "gpu": CVAEConfig(128, 32, 12, 192, patch=1, batch=16, frames=16),
}


def build(config):
    """Return the network of a configuration."""
    return CVAE(config)


def example_batch(config, device):
    """Random clips uint8 (B, T, 3, 32, 64) twice, a ratio and a beta."""
    shape = (config.batch, config.frames, 3, 32, 64)
    pixels = torch.randint(256, (2, *shape), device=device)
    frames, poses = pixels.byte()
    return frames, poses, 0.5, 1.0

# %%
def prior(model, pose, generator=None):
    """Draw z (B, latent, h, w) from N(0, I) for pose pictures (B, 3, H, W)."""
    patch = model.config.patch
    height, width = pose.shape[2] // patch, pose.shape[3] // patch
    size = (len(pose), model.config.latent, height, width)
    if generator is None:
        return torch.randn(size, device=pose.device)
    return torch.randn(size, generator=generator).to(pose.device)

# %%
def clip_loss(model, frames, poses, ratio=1.0, beta=1.0):
    """Negative beta-ELBO of clips (B, T, 3, H, W) a value, with its parts.

    ratio: probability of the true previous frame. Source:
    eq-video-generation-clip.
    """
    parts = (frames[:, 1:], poses[:, 1:], frames[:, :-1])
    target, pose, before = (a.flatten(0, 1) for a in parts)  # (B·(T − 1), …)
    mu, log_var = model.posterior(target, pose, before)
    z, kl = reparameterize(mu, log_var), gaussian_kl(mu, log_var)
    if ratio >= 1:
        painted = model.decode(before, pose, z)
    else:
        painted = free_running(model, frames, poses, z, ratio)
    error = (painted - target).square().flatten(1).sum(dim=1)
    loss = error / (2 * model.config.sigma**2) + beta * kl
    D = target[0].numel()
    return {"loss": loss.mean() / D, "mse": error.mean() / D, "kl": kl.mean()}

# %%
def free_running(model, frames, poses, z, ratio):
    """Paint frame by frame; a coin for each clip and step: (B·(T − 1), …)."""
    z, previous, painted = z.unflatten(0, (len(frames), -1)), frames[:, 0], []
    for t in range(1, frames.shape[1]):
        painted.append(model.decode(previous, poses[:, t], z[:, t - 1]))
        coin = torch.rand(len(frames), 1, 1, 1, device=frames.device) < ratio
        previous = torch.where(coin, frames[:, t], painted[-1])
    return torch.stack(painted, dim=1).flatten(0, 1)

# %%
def random_cut(rng, frames, poses, length, stride, shift):
    """One random cut of a video, (length, 3, H, W) twice; see `Clips`."""
    longest = (len(frames) - 1) // (length - 1)
    if longest < 1:
        raise ValueError(
            f"no cut of {length} frames in a video of {len(frames)}"
        )
    stride = min(int(rng.integers(1, stride + 1)), longest)
    start = int(rng.integers(len(frames) - stride * (length - 1)))
    times = start + stride * np.arange(length)
    if rng.random() < 0.5:
        times = times[::-1].copy()
    move, width = int(rng.integers(-shift, shift + 1)), frames.shape[-1]
    # the border repeats
    columns = (np.arange(width) - move).clip(0, width - 1)
    return frames[times][..., columns], poses[times][..., columns]

# %%
class Clips:
    """`steps` batches (frames, poses, ratio, beta) of random cuts from videos.

    ratio, beta: functions of the share of the training that is done, in [0,
    1). stride: largest step between frames. shift: largest move sideways, in
    pixels.
    """

    def __init__(self, videos, steps, ratio, beta, seed=0, **options):
        pairs = [(v.frames, v.poses) for v in videos]
        self.videos = [tuple(map(torch.as_tensor, pair)) for pair in pairs]
        self.steps, self.ratio, self.beta = steps, ratio, beta
        self.seed, self.batch = seed, options.pop("batch", 6)
        self.how = {"length": 5, "stride": 4, "shift": 8} | options

    def __len__(self):
        return self.steps

    def __iter__(self):
        rng = np.random.default_rng(self.seed)
        long = np.array([len(x) for x, _ in self.videos], dtype=float)
        for n in range(self.steps):
            chosen = rng.choice(len(long), self.batch, p=long / long.sum())
            videos = [self.videos[k] for k in chosen]
            cuts = [random_cut(rng, *video, **self.how) for video in videos]
            frames, poses = map(torch.stack, zip(*cuts, strict=True))
            done = n / self.steps
            yield frames, poses, self.ratio(done), self.beta(done)

# %%
def falling(start, end):
    """A teacher-forcing ratio: 1 until `start`, then down to 0 at `end`."""
    return lambda done: min(1.0, max(0.0, (end - done) / (end - start)))


def step(model, batch):
    """Loss of a batch of `Clips`; pictures become floats here."""
    frames, poses, ratio, beta = batch
    x, c = frames.float() / 255, poses.float() / 255
    return clip_loss(model, x, c, ratio, beta)

# %%
@torch.no_grad()
def rollout(model, first, poses, z="prior", truth=None, seed=0):
    """Paint films (B, T, 3, H, W) from first frames (B, 3, H, W) and poses.

    z: "prior", "zero", or "posterior", which looks at the truth (B, T, 3, H,
    W).
    """
    if z not in ("prior", "zero", "posterior"):
        raise ValueError(
            f"z must be 'prior', 'zero' or 'posterior', not {z!r}"
        )
    if z == "posterior" and (truth is None or truth.shape != poses.shape):
        known = "the truth of the same shape as poses"
        raise ValueError(f"posterior latents need {known}")
    generator = torch.Generator().manual_seed(seed)
    previous, film = first, []
    for t in range(poses.shape[1]):
        draw = prior(model, poses[:, t], generator) * (z != "zero")
        if z == "posterior":
            mu, log_var = model.posterior(truth[:, t], poses[:, t], previous)
            draw = mu + torch.exp(0.5 * log_var) * draw
        previous = model.decode(previous, poses[:, t], draw)
        film.append(previous)
    return torch.stack(film, dim=1)

# %%
def psnr(a, b):
    """Peak signal-to-noise ratio of each picture: (…, 3, H, W) to dB (…)."""
    return -10 * torch.log10((a - b).square().mean(dim=(-3, -2, -1)))

# %%
def train_cvae(
    config, videos, steps, beta=None, ratio=None, seed=0, start=None, lr=2e-3,
    **cuts,
):  # fmt: skip
    """Train a CVAE on videos for `steps` batches; returns it with its History.

    start: a network to go on from. cuts: options of `Clips`.
    """
    torch.manual_seed(seed)
    model = build(config) if start is None else start
    ratio, beta = ratio or falling(0.2, 0.6), beta or (lambda done: 1.0)
    loader = Clips(videos, steps, ratio, beta, seed=seed, **cuts)
    history = dlp.fit(
        model, step, loader, steps=steps, seed=seed,
        optimizer=lambda p: torch.optim.Adam(p, lr), clip=0.1,
        schedule="cosine", warmup=min(50, steps), channels_last=True,
    )  # fmt: skip
    return model.eval(), history

# %%
def load_shipped(name, device=None):
    """A network of the book, trained by tools/weights/video_generation.py."""
    from safetensors.torch import load_file

    folder = resources.files("dlp_utils") / "weights"
    file, networks = folder / "video_generation.safetensors", {}
    for key, value in load_file(str(file)).items():
        network, weight = key.split(".", 1)
        networks.setdefault(network, {})[weight] = value.float()
    if name not in networks:
        there = f"{file.name}; it holds {', '.join(sorted(networks))}"
        raise ValueError(f"no network {name!r} in {there}")
    model = build(replace(CONFIGS["cpu"], past=name != "no_past"))
    model.load_state_dict(networks[name])
    return model.to(device or dlp.device()).eval()


def annealed(cycles, ratio=0.5):
    """Beta by the share that is done: `cycles` ramps to 1; with 0 always 1.

    Source: def-video-generation-schedule.
    """
    return lambda done: min(1.0, done * cycles % 1 / ratio) if cycles else 1.0

# %%
@torch.no_grad()
def measure(model, videos, frames=41):
    """KL (nats a frame), active latents and PSNR (dB) of videos, in a dict.

    step_*: the next frame from the true one before; film_*: a rollout; z from
    the prior or the posterior. first: repeating the first frame; copy: the
    true one before.
    """
    n, where = min(frames, *map(len, videos)), next(model.parameters()).device
    x = np.stack([v.frames[:n] for v in videos])
    c = np.stack([v.poses[:n] for v in videos])
    x, c = (torch.as_tensor(a, device=where) / 255 for a in (x, c))
    parts = x[:, 1:], c[:, 1:], x[:, :-1]
    target, pose, before = (a.flatten(0, 1) for a in parts)
    mu, log_var = model.posterior(target, pose, before)
    generator = torch.Generator().manual_seed(0)
    noise = prior(model, pose, generator)
    found = {"kl": gaussian_kl(mu, log_var).mean()}
    found["active"] = (mu.var(0) > 0.01).sum()
    drawn = mu + torch.exp(0.5 * log_var) * noise
    for name, z in (("prior", noise), ("posterior", drawn)):
        one_step = model.decode(before, pose, z)
        found[f"step_{name}"] = psnr(one_step, target).mean()
        film = rollout(model, x[:, 0], c[:, 1:], name, x[:, 1:])
        found[f"film_{name}"] = psnr(film, x[:, 1:]).mean()
    found["first"] = psnr(x[:, :1], x[:, 1:]).mean()
    found["copy"] = psnr(before, target).mean()
    return {name: float(value) for name, value in found.items()}

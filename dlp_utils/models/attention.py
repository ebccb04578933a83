"""Attention (stand-in; the final one is exported from notebooks/attention.ipynb)."""
# %%
import math

import torch
from torch import nn
from torch.nn import functional as F


# %%
def attend(q, k, v, allowed=None):
    """Attention: q (…, N, d), k (…, M, d), v (…, M, e) -> (…, N, e), weights.

    allowed: bool, broadcast to (…, N, M), True where a query may look; a query
    that may look nowhere gets zeros. The weights have the shape (…, N, M).
    Source: def-attention-attention, def-attention-mask.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])       # (…, N, M)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    if allowed is not None:
        weights = weights.masked_fill(~allowed, 0.0)
    return weights @ v, weights


def causal(queries, keys=None, device=None):
    """Who may look where, (queries, keys): at itself and at what is before.

    The last query stands at the last key, so that cached keys come first.
    """
    keys = queries if keys is None else keys
    here = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device) <= here


def split_heads(x, heads):
    """(B, N, D) -> (B, h, N, D / h)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x):
    """(B, h, N, d) -> (B, N, h d)"""
    return x.transpose(1, 2).flatten(2)


def rotate(x, start=0, base=10000.0):
    """Rotary positions: turn pairs of features, x (…, N, d), d even.

    Pair j of the row at position m is turned by m base^(-2j/d).
    Source: def-attention-rope.
    """
    n, d = x.shape[-2:]
    speeds = base ** (-torch.arange(0, d, 2, device=x.device) / d)
    angles = torch.arange(start, start + n, device=x.device)[:, None] * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]                # (…, N, d/2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


# %%
class MultiHead(nn.Module):
    """Multi-head attention, (B, N, D) -> (B, N, D).

    source: (B, M, D), what is looked at; None for self-attention. allowed: as
    in `attend`, (N, M) or (B, 1, N, M). rotary: positions by `rotate`.
    `weights` keeps the last weights, (B, h, N, M), without their graph.
    """

    def __init__(self, width, heads, rotary=False):
        super().__init__()
        if width % heads:
            raise ValueError(
                f"{width} features cannot be cut into {heads} equal heads: "
                "choose a number of heads that divides the width"
            )
        self.heads, self.rotary, self.weights = heads, rotary, None
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def project(self, x, source=None, start=0):
        """Queries of x, keys and values of the source: (B, h, N or M, d)."""
        source = x if source is None else source
        q = split_heads(self.query(x), self.heads)
        k = split_heads(self.key(source), self.heads)
        v = split_heads(self.value(source), self.heads)
        if self.rotary:
            q, k = rotate(q, start), rotate(k, start)
        return q, k, v

    def forward(self, x, source=None, allowed=None):
        mixed, weights = attend(*self.project(x, source), allowed)
        self.weights = weights.detach()
        return self.out(join_heads(mixed))


class Block(nn.Module):
    """A transformer block, pre-norm: (B, N, D) -> (B, N, D).

    cross: a second look-up, in a source (B, M, D).
    """

    def __init__(self, width, heads, rotary=False, cross=False):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = MultiHead(width, heads, rotary)
        if cross:
            self.norm_cross = nn.LayerNorm(width)
            self.cross = MultiHead(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x, allowed=None, source=None, allowed_source=None):
        x = x + self.attention(self.norm1(x), allowed=allowed)
        if source is not None:
            looked = self.cross(self.norm_cross(x), source, allowed_source)
            x = x + looked
        return x + self.mlp(self.norm2(x))

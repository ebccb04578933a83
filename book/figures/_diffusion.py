"""Schedules, a mixture of two bells with its exact predictor, and letters with subscripts, for the drawings on diffusion."""

import math
import re
from html import escape
from itertools import accumulate
from operator import mul
from statistics import NormalDist

from _svg import INK

STEPS = 1000
MEANS, WIDTH, SHARES = (-1.0, 1.0), 0.1, (0.4, 0.6)
NORMAL = NormalDist()


def running(betas):
    """ᾱ for t = 0..T from β for t = 1..T."""
    return list(accumulate((1 - b for b in betas), mul, initial=1.0))


def cosine(steps=STEPS, s=0.008, most=0.999):
    def f(t):
        return math.cos((t / steps + s) / (1 + s) * math.pi / 2) ** 2

    return running(min(1 - f(t) / f(t - 1), most) for t in range(1, steps + 1))


def linear(steps=STEPS, first=1e-4, last=0.02):
    return running(first + (last - first) * t / (steps - 1) for t in range(steps))


def zero_terminal(abar):
    """√ᾱ for t = 1..T moved so that it ends at 0, and stretched so that it starts where it did."""
    roots = [math.sqrt(a) for a in abar[1:]]
    return [1.0] + [((r - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2 for r in roots]


def log_snr(abar):
    return math.log(abar / (1 - abar))


def bell(x, mean, sd):
    return math.exp(-((x - mean) ** 2) / (2 * sd * sd)) / (sd * math.sqrt(2 * math.pi))


def density(x, abar):
    """Density of x_t for the mixture."""
    sd = math.sqrt(abar * WIDTH**2 + 1 - abar)
    return sum(p * bell(x, math.sqrt(abar) * m, sd) for p, m in zip(SHARES, MEANS, strict=True))


def clean(x, abar):
    """E[x_0 | x_t = x] for the mixture."""
    root, variance = math.sqrt(abar), abar * WIDTH**2 + 1 - abar
    logs = [math.log(p) - (x - root * m) ** 2 / (2 * variance) for p, m in zip(SHARES, MEANS, strict=True)]
    shares = [math.exp(v - max(logs)) for v in logs]
    guesses = [m + root * WIDTH**2 / variance * (x - root * m) for m in MEANS]
    return sum(p * g for p, g in zip(shares, guesses, strict=True)) / sum(shares)


def gauss(noise):
    """A standard normal number from one of `noise`."""
    return NORMAL.inv_cdf(min(max(noise(), 1e-7), 1 - 1e-7))


def words(picture, x, y, text, size=17, fill=INK, anchor="middle", weight=None):
    """Text with subscripts and superscripts: x_{t-1}, σ^{2}."""
    parts, shift = [], 0.0
    for kind, inner, plain in re.findall(r"([_^])\{([^}]*)\}|([^_^]+)", text):
        move = {"": 0.0, "_": 0.28, "^": -0.38}[kind] * size
        small = f' font-size="{round(0.74 * size, 1):g}"' if kind else ""
        dy = f' dy="{round(move - shift, 2):g}"' if abs(move - shift) > 1e-9 else ""
        parts.append(f"<tspan{dy}{small}>{escape(inner or plain)}</tspan>")
        shift = move
    picture.add(
        "text",
        "".join(parts),
        x=x,
        y=y,
        font_size=size,
        fill=fill,
        text_anchor=anchor,
        font_weight=weight,
    )

"""How often a rare value is painted when the surest of the drawn tokens are kept, against the number of steps."""

import math

import numpy as np
from _plot import Panel
from _svg import BLUE, GREEN, INK, VERMILLION, Drawing, write
from inpaint_schedules import SCHEDULES, revealed

UNKNOWN, RARE, PICTURES = 64, 0.1, 4000
VIOLET = "#8F3F75"
STEPS = (1, 2, 4, 8, 16, 32, 64)
COSINE = dict((name, gamma) for name, gamma, *_ in SCHEDULES)["cosine"]


def exact(steps, rare=RARE, gamma=COSINE, unknown=UNKNOWN):
    """Share of the rare value without noise: expected surplus of rare draws over places that stay hidden."""
    hidden, total = unknown, 0.0
    for count in revealed(gamma, unknown, steps):
        left = hidden - count
        for r in range(left + 1, hidden + 1):
            total += math.comb(hidden, r) * rare**r * (1 - rare) ** (hidden - r) * (r - left)
        hidden = left
    return total / unknown


def simulated(steps, start, seed=1):
    """The same share with confidence log p + temperature · Gumbel noise, temperature falling from `start`."""
    random, kept, hidden = np.random.default_rng(seed), 0, UNKNOWN
    for t, count in enumerate(revealed(COSINE, UNKNOWN, steps), 1):
        rare = random.random((PICTURES, hidden)) < RARE
        noise = -np.log(-np.log(random.random(rare.shape).clip(1e-9, 1 - 1e-9)))
        score = np.log(np.where(rare, RARE, 1 - RARE)) + start * (1 - t / steps) * noise
        score += 1e-9 * noise  # the last step has no other noise: ties by lot
        surest = np.argsort(-score, axis=1)[:, :count]
        kept += np.take_along_axis(rare, surest, axis=1).sum()
        hidden -= count
    return round(kept / (PICTURES * UNKNOWN), 4)


def draw():
    picture = Drawing(660, 420)
    panel = Panel(picture, (72, 52, 446, 290), (0, 6), (0, 0.12))
    panel.axes(
        [(math.log2(steps), str(steps)) for steps in STEPS],
        [(value, f"{100 * value:.0f}%") for value in (0, 0.04, 0.08, 0.12)],
        "steps T",
        "share of the rare value",
    )
    truth = [RARE for _ in STEPS]
    curves = (
        ("truth", truth, INK, "2 5"),
        ("τ₀ = 16", [simulated(steps, 16.0) for steps in STEPS], GREEN, "9 5"),
        ("τ₀ = 4.5", [simulated(steps, 4.5) for steps in STEPS], BLUE, "12 4 3 4"),
        ("τ₀ = 1", [simulated(steps, 1.0) for steps in STEPS], VIOLET, "3 6"),
        ("τ₀ = 0", [exact(steps) for steps in STEPS], VERMILLION, None),
    )
    for k, (_, values, tint, dash) in enumerate(curves):
        panel.curve([math.log2(steps) for steps in STEPS], values, tint, dash=dash)
        if k:
            for steps, value in zip(STEPS, values, strict=True):
                picture.circle(*panel.at(math.log2(steps), value), 4, fill=tint)
    for (name, values, tint, _), shift in zip(curves, (0, 0, 0, -10, 10), strict=True):
        x, y = panel.at(6, values[-1])
        picture.text(x + 12, y + 6 + shift, name, size=17, fill=tint, anchor="start", weight="600")
    return {"inpaint_typical": picture.svg("Greedy confidence removes rare values, more so with more steps")}


if __name__ == "__main__":
    write(draw)

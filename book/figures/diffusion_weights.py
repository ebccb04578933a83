"""What each step's error counts: in the bound, for two schedules, and in the simple objective."""

import itertools
import math

from _diffusion import STEPS, cosine, linear, words
from _plot import Panel
from _svg import BLUE, GRAY, INK, VERMILLION, Drawing, write

SCHEDULES = (("linear", linear(), VERMILLION, None), ("cosine", cosine(), BLUE, "9 5"))


def weights(abar):
    """Weight of the noise's error for t = 1..T, with σ² = β, scaled to mean 1."""
    out = []
    for before, now in itertools.pairwise(abar):
        alpha = now / before
        out.append((1 - alpha) ** 2 / (2 * (1 - alpha) * alpha * (1 - now)))
    mean = sum(out) / len(out)
    return [w / mean for w in out]


def draw():
    picture = Drawing(660, 440)
    panel = Panel(picture, (76, 62, 546, 274), (0, 3), (-3, 3))
    powers = {-3: "0.001", -2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1000"}
    panel.axes([(k, str(10**k)) for k in range(4)], list(powers.items()), "t", size=17)
    words(picture, 20, 34, "weight of the error at step t, mean 1", size=18, anchor="start", weight="600")
    for digit in (2, 3, 4, 5, 6, 7, 8, 9):
        for k in range(3):
            x, y = panel.at(k + math.log10(digit), -3)
            picture.path([(x, y), (x, y + 3)], stroke=GRAY, line=1)
    panel.curve([0, 3], [0, 0], INK, line=3.5, dash="2 7")
    times = sorted({round(10 ** (k / 50)) for k in range(151)} | set(range(960, STEPS + 1)))
    for name, abar, tint, dash in SCHEDULES:
        found = weights(abar)
        panel.curve(
            [math.log10(t) for t in times], [math.log10(found[t - 1]) for t in times], tint, 3.5, dash
        )
        first = panel.at(0, math.log10(found[0]))
        last = panel.at(3, math.log10(found[-1]))
        picture.circle(*first, 5, fill=tint)
        picture.circle(*last, 5, fill=tint)
        if name == "linear":
            picture.text(first[0] + 14, first[1] - 4, f"{found[0]:.0f} at t = 1", size=17, anchor="start")
        else:
            share = 100 * found[-1] / STEPS
            picture.text(
                last[0] - 14, last[1] + 22, f"{found[-1]:.0f} at t = {STEPS}:", size=17, anchor="end"
            )
            picture.text(last[0] - 14, last[1] + 44, f"{share:.0f}% of all weight", size=17, anchor="end")
    for x, name, tint, dash in (
        (40, "linear", VERMILLION, None),
        (196, "cosine", BLUE, "9 5"),
        (356, "simple objective", INK, "2 7"),
    ):
        picture.path([(x, 412), (x + 42, 412)], stroke=tint, line=3.5, dash=dash)
        picture.text(x + 50, 418, name, size=18, anchor="start", fill=INK)
    return {
        "diffusion_weights": picture.svg(
            "The weight of each step's error in the bound and in the simple objective"
        )
    }


if __name__ == "__main__":
    write(draw)

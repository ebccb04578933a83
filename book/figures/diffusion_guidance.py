"""Guidance in one dimension: what the power does to the density of one class."""

import math

from _diffusion import bell, words
from _plot import Panel
from _svg import BLUE, GREEN, INK, PALE, VERMILLION, Drawing, write

OTHERS = ((0.55, -1.1, 0.8), (0.15, 3.3, 0.7))  # share, mean, width
OWN = (0.3, 0.5, 0.8)
LOW, HIGH, COUNT = -3.5, 5.0, 1700
GRID = [LOW + (HIGH - LOW) * k / COUNT for k in range(COUNT + 1)]


def own(x):
    return bell(x, *OWN[1:])


def everything(x):
    return sum(p * bell(x, m, s) for p, m, s in (*OTHERS, OWN))


def guided(w):
    """Normalised p(x)^(1 − w) p(x | c)^w on GRID, its mean and its width."""
    raw = [math.exp((1 - w) * math.log(everything(x)) + w * math.log(own(x))) for x in GRID]
    step = (HIGH - LOW) / COUNT
    total = sum(raw) * step
    values = [v / total for v in raw]
    mean = sum(v * x for v, x in zip(values, GRID, strict=True)) * step
    variance = sum(v * (x - mean) ** 2 for v, x in zip(values, GRID, strict=True)) * step
    return values, mean, math.sqrt(variance)


def draw():
    picture = Drawing(660, 500)
    above = Panel(picture, (28, 54, 604, 130), (-3, 4.5), (0, 0.55))
    below = Panel(picture, (28, 226, 604, 200), (-3, 4.5), (0, 1.0))
    keep = [k for k, x in enumerate(GRID) if -3 <= x <= 4.5 and k % 10 == 0]
    xs = [GRID[k] for k in keep]
    shape = [above.at(x, everything(x)) for x in xs]
    picture.path([above.at(-3, 0), *shape, above.at(4.5, 0)], stroke=None, fill=PALE, closed=True)
    ticks = [(v, f"{v}".replace("-", "−")) for v in range(-3, 5)]
    above.axes([(v, "") for v, _ in ticks], size=17)
    above.curve(xs, [everything(x) for x in xs], INK, line=2.5)
    above.curve(xs, [own(x) for x in xs], VERMILLION, line=3.5)
    words(picture, 60, 80, "p(x | none)", size=18, anchor="start", weight="600")
    words(picture, 380, 80, "p(x | c)", size=18, anchor="start", weight="600", fill=VERMILLION)
    faint = [below.at(x, everything(x)) for x in xs]
    picture.path([below.at(-3, 0), *faint, below.at(4.5, 0)], stroke=None, fill=PALE, closed=True)
    below.axes(ticks, size=17)
    words(picture, 330, 480, "x", size=19)
    words(picture, 28, 32, "a class c among others", size=18, anchor="start")
    words(picture, 28, 216, "guided: p(x | none)^{1−w} p(x | c)^{w}", size=18, anchor="start")
    picture.text(640, 258, "mean ± width", size=17, anchor="end")
    for k, (w, tint, dash) in enumerate(((1, VERMILLION, None), (2, GREEN, "9 5"), (4, BLUE, "3 6"))):
        values, mean, width = guided(w)
        below.curve(xs, [values[i] for i in keep], tint, line=3.5, dash=dash)
        y = 286 + 28 * k
        picture.path([(412, y - 6), (454, y - 6)], stroke=tint, line=3.5, dash=dash)
        picture.text(464, y, f"w = {w}: {mean:.2f} ± {width:.2f}", size=18, anchor="start")
    return {"diffusion_guidance": picture.svg("Guidance narrows a class and pushes it away from the others")}


if __name__ == "__main__":
    write(draw)

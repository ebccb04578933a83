"""A mixture of two narrow bells that the forward process turns into one wide bell, with sample paths on top."""

import itertools
import math

from _diffusion import MEANS, NORMAL, SHARES, STEPS, WIDTH, cosine, density, gauss, words
from _plot import Panel
from _svg import GRAY, INK, VERMILLION, Drawing, Noise, write

PATHS, REACH = 12, 2.6
SHADES = 26
CELLS = (88, 84)  # columns and rows of the shading


def shade(k):
    """Color number k of SHADES: from the card's white to deep blue."""
    u = k / (SHADES - 1)
    ends = ((253, 252, 249), (86, 180, 233), (0, 78, 132))
    a, b, v = (ends[0], ends[1], 2 * u) if u < 0.5 else (ends[1], ends[2], 2 * u - 1)
    return "#" + "".join(f"{round(p + (q - p) * v):02x}" for p, q in zip(a, b, strict=True))


def band(picture, box, abar):
    """The density as rows of tiles, darker where it is higher."""
    left, top, width, height = box
    columns, rows = CELLS
    dx, dy = width / columns, height / rows
    peak = 1.1  # the narrow bells of the first columns are cut off here
    paths = {}
    for i in range(rows):
        x = REACH - 2 * REACH * (i + 0.5) / rows
        run = None
        for j in range(columns):
            t = round(STEPS * (j + 0.5) / columns)
            k = round((SHADES - 1) * min(1.0, density(x, abar[t]) / peak) ** 0.6)
            if run and run[0] == k:
                run[2] += 1
            else:
                run = [k, j, 1]
                paths.setdefault(k, []).append((i, run))
    for k, runs in sorted(paths.items()):
        if k:
            d = "".join(f"M{j} {i}h{n}" for i, (_, j, n) in runs)
            picture.add(
                "path",
                d=d,
                stroke=shade(k),
                transform=f"translate({left} {top + dy / 2:.3f}) scale({dx:.4f} {dy:.4f})",
                stroke_width=1.06,
            )


def forward(abar, noise, start):
    """x_0, x_1, ..., x_T of one path."""
    xs = [start]
    for before, now in itertools.pairwise(abar):
        alpha = now / before
        xs.append(math.sqrt(alpha) * xs[-1] + math.sqrt(1 - alpha) * gauss(noise))
    return xs


def side(picture, x, panel, values, tint, sign, scale):
    """A density as a filled bell that leans on a vertical line at x."""
    grid = [-REACH + 2 * REACH * k / 160 for k in range(161)]
    points = [(x + sign * scale * values(v), panel.at(0, v)[1]) for v in grid]
    base = [(x, panel.at(0, REACH)[1]), (x, panel.at(0, -REACH)[1])]
    picture.path([*points, *base], stroke=None, fill=tint, closed=True)
    picture.path(points, stroke=INK, line=2)


def draw():
    picture, abar = Drawing(660, 410), cosine()
    box = (150, 52, 360, 290)
    panel = Panel(picture, box, (0, 1), (-REACH, REACH))
    band(picture, box, abar)
    noise = Noise(11)
    starts = []
    for k in range(PATHS):
        mean = MEANS[0] if k < round(PATHS * SHARES[0]) else MEANS[1]
        starts.append(mean + WIDTH * NORMAL.inv_cdf((k % 7 + 0.5) / 7))
    for start in starts:
        xs = forward(abar, noise, start)
        keep = range(0, STEPS + 1, 8)
        panel.curve(
            [t / STEPS for t in keep], [max(-REACH, min(REACH, xs[t])) for t in keep], VERMILLION, 1.1
        )
    side(picture, box[0] - 8, panel, lambda v: density(v, 1.0), "#56B4E9", -1, 36)
    side(picture, box[0] + box[2] + 8, panel, lambda v: density(v, abar[STEPS]), "#56B4E9", 1, 150)
    bottom = box[1] + box[3]
    for value in (0, 0.25, 0.5, 0.75, 1):
        x = panel.at(value, 0)[0]
        picture.path([(x, bottom), (x, bottom + 5)], stroke=GRAY, line=1.5)
        picture.text(x, bottom + 23, f"{value:g}", size=17)
    picture.path([(box[0], bottom), (box[0] + box[2], bottom)], stroke=GRAY, line=1.5)
    picture.text(box[0] + box[2] / 2, bottom + 48, "t / T", size=18)
    for value in (-2, -1, 0, 1, 2):
        y = panel.at(0, value)[1]
        picture.text(42, y + 6, f"{value}".replace("-", "−"), size=17, anchor="end")
    words(picture, 90, 32, "density of x_{0}", size=18, weight="600")
    words(picture, 330, 32, "paths of x_{t}", size=18, weight="600", fill=VERMILLION)
    words(picture, 572, 32, "density of x_{T}", size=18, weight="600")
    words(picture, 90, bottom + 25, "two bells", size=17)
    words(picture, 578, bottom + 25, "one: N(0, 1)", size=17)
    return {"diffusion_marginal": picture.svg("Two narrow bells dissolve into one standard normal bell")}


if __name__ == "__main__":
    write(draw)

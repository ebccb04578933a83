"""The way back with the exact predictor: jagged and smooth paths from the same starts, with 1,000 and with 10 steps."""

import itertools
import math

from _diffusion import NORMAL, STEPS, clean, cosine, density, gauss, words
from _plot import Panel
from _svg import BLUE, GRAY, INK, PALE, SKY, VERMILLION, Drawing, Noise, write

STARTS = [NORMAL.inv_cdf((k + 0.5) / 8) for k in range(8)]
REACH = 2.5


def walk(start, abar, count, eta, noise):
    """[(t, x_t)] from t = T to 0 in `count` equal steps."""
    times = [round(STEPS * k / count) for k in range(count, -1, -1)]
    x, path = start, [(STEPS, start)]
    for t, s in itertools.pairwise(times):
        a, b = abar[t], abar[s]
        guess = clean(x, a)
        eps = (x - math.sqrt(a) * guess) / math.sqrt(1 - a)
        sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        x = math.sqrt(b) * guess + math.sqrt(max(1 - b - sigma**2, 0.0)) * eps
        if sigma > 0:
            x += sigma * gauss(noise)
        path.append((s, x))
    return path


def draw():
    picture, abar = Drawing(660, 520), cosine()
    lefts, tops, width, height = (58, 344), (68, 280), 234, 176
    for column, (name, eta, tint) in enumerate(
        (("DDPM: with new noise", 1.0, VERMILLION), ("DDIM: without", 0.0, BLUE))
    ):
        picture.text(lefts[column] + width / 2, 30, name, size=18, weight="600", fill=tint)
        for row, count in enumerate((STEPS, 10)):
            box = (lefts[column], tops[row], width, height)
            panel = Panel(picture, box, (STEPS, 0), (-REACH, REACH))
            for v in (-1, 1):
                panel.curve([STEPS, 0], [v, v], PALE, line=1)
            noise = Noise(25)
            for start in STARTS:
                path = walk(start, abar, count, eta, noise)
                if count > 100:
                    path = path[:: 8 if eta else 20]
                xs = [max(-REACH, min(REACH, x)) for _, x in path]
                panel.curve([t for t, _ in path], xs, tint, line=1.3 if count > 100 else 1.8)
                for (t, _), x in zip(path, xs, strict=True):
                    if count <= 10:
                        picture.circle(*panel.at(t, x), 2.6, fill=tint)
            picture.path(
                [(box[0], box[1]), (box[0], box[1] + height), (box[0] + width, box[1] + height)],
                stroke=GRAY,
                line=1.5,
            )
            if column == 0:
                for v in (-1, 0, 1):
                    picture.text(
                        box[0] - 8, panel.at(0, v)[1] + 6, f"{v}".replace("-", "−"), size=17, anchor="end"
                    )
                words(picture, 26, box[1] - 12, f"{count:,} steps", size=18, anchor="start", weight="600")
            else:
                grid = [-REACH + 2 * REACH * k / 200 for k in range(201)]
                edge = box[0] + width + 6
                bells = [(edge + 24 * density(v, 1.0), panel.at(0, v)[1]) for v in grid]
                picture.path([(edge, bells[0][1]), *bells, (edge, bells[-1][1])], None, SKY, closed=True)
                picture.path(bells, stroke=INK, line=1.8)
            if row:
                for t in (1000, 500, 0):
                    anchor = "end" if t == 0 else "middle"
                    picture.text(
                        panel.at(t, 0)[0] + (5 if t == 0 else 0),
                        box[1] + height + 22,
                        str(t),
                        size=17,
                        anchor=anchor,
                    )
                picture.text(box[0] + width / 2, box[1] + height + 46, "step t", size=18)
    words(picture, 650, 54, "target", size=17, anchor="end")
    return {
        "diffusion_sampling": picture.svg(
            "Sampling paths with and without new noise, with many steps and with few"
        )
    }


if __name__ == "__main__":
    write(draw)

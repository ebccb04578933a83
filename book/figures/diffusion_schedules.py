"""Log signal-to-noise ratio and the picture's share against t / T, for three schedules."""

import math

from _diffusion import STEPS, cosine, linear, log_snr, words, zero_terminal
from _plot import Panel
from _svg import BLUE, INK, VERMILLION, Drawing, write

FLOOR, CEILING = -14.0, 10.0
SCHEDULES = (
    ("linear", linear(), VERMILLION, None),
    ("linear, zero at T", zero_terminal(linear()), INK, "2 7"),
    ("cosine", cosine(), BLUE, "9 5"),
)


def draw():
    picture = Drawing(660, 440)
    left = Panel(picture, (52, 62, 262, 270), (0, 1), (FLOOR, CEILING))
    right = Panel(picture, (376, 62, 262, 270), (0, 1), (0, 1))
    ticks = ((0, "0"), (0.5, "0.5"), (1, "1"))
    left.axes(ticks, [(v, f"{v}".replace("-", "−")) for v in (-10, -5, 0, 5, 10)], "t / T", size=17)
    right.axes(ticks, ticks, "t / T", size=17)
    words(picture, 20, 34, "log SNR", size=18, anchor="start", weight="600")
    words(picture, 346, 34, "share of the picture, √ᾱ_{t}", size=18, anchor="start", weight="600")
    for k, (name, abar, tint, dash) in enumerate(SCHEDULES):
        times = [1, *range(5, STEPS - 20, 5), *range(STEPS - 20, STEPS + 1)]
        points = [(t / STEPS, log_snr(max(abar[t], 1e-12))) for t in times]
        inside = [p for p in points if p[1] >= FLOOR]
        if len(inside) < len(points):  # the curve leaves the panel at its floor
            (x0, y0), (x1, y1) = inside[-1], points[len(inside)]
            inside.append((x0 + (x1 - x0) * (FLOOR - y0) / (y1 - y0), FLOOR))
        left.curve([x for x, _ in inside], [y for _, y in inside], tint, dash=dash)
        right.curve([t / STEPS for t in times], [math.sqrt(abar[t]) for t in times], tint, dash=dash)
        if name == "linear":
            end = left.at(1, log_snr(abar[STEPS]))
            picture.circle(*end, 5, fill=tint)
            value = f"{log_snr(abar[STEPS]):.1f}".replace("-", "−")
            picture.text(end[0] - 46, end[1] + 30, f"linear ends at {value}", size=17, anchor="end")
        x = (64, 196, 446)[k]
        picture.path([(x, 412), (x + 42, 412)], stroke=tint, line=3.5, dash=dash)
        picture.text(x + 50, 418, name, size=18, anchor="start", fill=INK)
    return {"diffusion_schedules": picture.svg("Three schedules: how fast a picture drowns in noise")}


if __name__ == "__main__":
    write(draw)

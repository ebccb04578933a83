"""Four schedules: the share of hidden tokens, and how many of 64 each of eight steps reveals."""

import itertools
import math

from _plot import Panel
from _svg import BLUE, GRAY, GREEN, ORANGE, VERMILLION, Drawing, write

SCHEDULES = (
    ("square", lambda r: 1 - r * r, GREEN, "9 5"),
    ("cosine", lambda r: math.cos(math.pi * r / 2), BLUE, None),
    ("linear", lambda r: 1 - r, ORANGE, "3 6"),
    ("1 − √r", lambda r: 1 - math.sqrt(r), VERMILLION, "12 4 3 4"),
)


def revealed(gamma, unknown, steps):
    """Tokens revealed in each step, at least one."""
    hidden = [unknown]
    for t in range(1, steps):
        wanted = max(math.ceil(gamma(t / steps) * unknown - 1e-9), steps - t)
        hidden.append(min(wanted, hidden[-1] - 1))
    hidden.append(0)
    return [a - b for a, b in itertools.pairwise(hidden)]


def draw():
    picture = Drawing(660, 420)
    panel = Panel(picture, (52, 52, 262, 290), (0, 1), (0, 1))
    ticks = ((0, "0"), (0.5, "0.5"), (1, "1"))
    panel.axes(ticks, ticks, "share of the steps done, r", "share still hidden, γ(r)")
    grid = [k / 60 for k in range(61)]
    for name, gamma, tint, dash in SCHEDULES:
        panel.curve(grid, [gamma(r) for r in grid], tint, dash=dash)
        assert sum(revealed(gamma, 64, 8)) == 64, name
    for k, (name, gamma, tint, dash) in enumerate(SCHEDULES):
        base, counts = 116 + 82 * k, revealed(gamma, 64, 8)
        picture.path([(352, base - 30), (392, base - 30)], stroke=tint, line=3, dash=dash)
        picture.text(352, base - 8, name, size=17, anchor="start", weight="600")
        for t, count in enumerate(counts):
            height = 2.0 * count
            x = 424 + 27 * t
            picture.rect(x, base - height, 20, height, fill=tint)
            picture.text(x + 10, base - height - 4, str(count), size=14)
        picture.path([(420, base), (640, base)], stroke=GRAY, line=1.5)
    picture.text(532, 40, "tokens revealed in step", size=17)
    for t in range(8):
        picture.text(434 + 27 * t, 382, str(t + 1), size=16)
    return {"inpaint_schedules": picture.svg("Schedules and the tokens that they reveal in each step")}


if __name__ == "__main__":
    write(draw)

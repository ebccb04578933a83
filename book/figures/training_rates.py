"""Gradient descent on a narrow valley at three rates, and momentum: thirty steps each."""

import math

from _plot import Panel
from _svg import BLUE, GRAY, PALE, VERMILLION, Drawing, write

X, Y, STEPS, START = 2.6, 0.42, 30, (-2.2, 0.16)
RUNS = (
    ("rate 0.004: creeps", 0.004, 0.0),
    ("rate 0.018: zigzags down", 0.018, 0.0),
    ("rate 0.0207: diverges", 0.0207, 0.0),
    ("rate 0.01, momentum 0.9", 0.01, 0.9),
)


def path(rate, momentum):
    """Places after each step on ½ (x² + 100 y²), as long as they lie in the panel."""
    (x, y), (u, v) = START, (0.0, 0.0)
    places = [START]
    for _ in range(STEPS):
        u, v = momentum * u + x, momentum * v + 100 * y
        x, y = x - rate * u, y - rate * v
        places.append((x, y))
        if abs(x) > X or abs(y) > Y:
            break
    return places


def draw():
    picture = Drawing(720, 540)
    for k, (words, rate, momentum) in enumerate(RUNS):
        left, top = 24 + 346 * (k % 2), 44 + 258 * (k // 2)
        panel = Panel(picture, (left, top, 326, 200), (-X, X), (-Y, Y))
        picture.rect(left, top, 326, 200, stroke=PALE)
        for level in (0.15, 0.6, 1.35, 2.4):
            radius = math.sqrt(2 * level)
            ring = [2 * math.pi * i / 90 for i in range(91)]
            points = [panel.at(radius * math.cos(a), radius / 10 * math.sin(a)) for a in ring]
            picture.path(points, stroke=GRAY, line=1)
        places = path(rate, momentum)
        inside = [(min(max(x, -X), X), min(max(y, -Y), Y)) for x, y in places]
        points = [panel.at(x, y) for x, y in inside]
        picture.path(points, stroke=BLUE, line=2)
        for x, y in points:
            picture.circle(x, y, 3, fill=BLUE)
        picture.circle(*points[-1], 6, fill=VERMILLION)
        picture.text(left + 163, top - 12, words, size=17, weight="600")
    picture.text(360, 526, "circle: after the last of at most 30 steps", size=15, fill=GRAY)
    return {"training_rates": picture.svg("Gradient descent at three rates, and momentum")}


if __name__ == "__main__":
    write(draw)

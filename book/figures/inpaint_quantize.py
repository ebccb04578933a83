"""Codes and their cells in a plane, an output and its code, and the gradient that is handed over."""

import math

from _svg import BLUE, GRAY, GREEN, INK, PALE, SKY, VERMILLION, Drawing, Noise, write

BOX = (20, 20, 640, 366)
CODES = ((110, 95), (118, 268), (262, 180), (345, 316), (400, 78), (520, 214), (606, 336))
DEAD = 6
TINTS = ("#E6F0F7", "#F8EAD8", "#E3F2EC", "#F3E8EF", "#FBF3DC", "#E9EEF3", "#F1EFEA")
Z, ARROW = (298, 224), (52, -34)


def cut(polygon, a, b):
    """The part of a polygon that is nearer to a than to b."""
    nx, ny = b[0] - a[0], b[1] - a[1]
    level = nx * (a[0] + b[0]) / 2 + ny * (a[1] + b[1]) / 2
    kept = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        dp, dq = (level - nx * x - ny * y for x, y in (p, q))
        if dp >= 0:
            kept.append(p)
        if dp * dq < 0:
            share = dp / (dp - dq)
            kept.append((p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])))
    return kept


def nearest(point):
    return min(range(len(CODES)), key=lambda k: math.dist(point, CODES[k]))


def outputs():
    """Outputs of an encoder around all codes but the dead one, none of them in its cell."""
    noise, points = Noise(3), []
    while len(points) < 60:
        x, y = CODES[len(points) % DEAD]
        u, v = (sum(noise() for _ in range(6)) - 3 for _ in range(2))
        point = (x + 34 * u, y + 30 * v)
        inside = BOX[0] + 8 < point[0] < BOX[2] - 8 and BOX[1] + 8 < point[1] < BOX[3] - 8
        if inside and nearest(point) != DEAD and math.dist(point, Z) > 26:
            points.append(point)
    return points


def draw():
    picture = Drawing(660, 424)
    left, top, right, bottom = BOX
    for k, code in enumerate(CODES):
        cell = [(left, top), (right, top), (right, bottom), (left, bottom)]
        for other in CODES:
            if other != code:
                cell = cut(cell, code, other)
        picture.path(cell, fill=TINTS[k], stroke=GRAY, line=1.2, closed=True)
    for x, y in outputs():
        picture.circle(x, y, 3, fill=SKY)
    home = CODES[nearest(Z)]
    picture.path([Z, home], stroke=INK, line=2, dash="4 4")
    for start in (home, Z):
        picture.arrow(start, (start[0] + ARROW[0], start[1] + ARROW[1]), stroke=VERMILLION, line=3)
    for k, (x, y) in enumerate(CODES):
        picture.rect(x - 7, y - 7, 14, 14, fill=PALE if k == DEAD else BLUE, stroke=INK, line=1.2)
    picture.circle(*Z, 6.5, fill=GREEN, stroke=INK, line=1.2)
    picture.text(home[0] - 16, home[1] - 10, "e", size=20, anchor="end", weight="700")
    picture.text(Z[0] + 4, Z[1] + 28, "z", size=20, weight="700")
    picture.text(home[0] + 50, home[1] - 44, "gradient at e", size=16, fill=VERMILLION, weight="600")
    picture.text(Z[0] + 58, Z[1] - 22, "handed to z", size=16, fill=VERMILLION, anchor="start", weight="600")
    picture.text(606, 318, "dead", size=16)
    for x, color, words in ((34, BLUE, "codes"), (150, SKY, "outputs of the encoder")):
        picture.rect(x, 396, 13, 13, fill=color, radius=0 if color == BLUE else 6.5)
        picture.text(x + 21, 408, words, size=16, anchor="start")
    picture.path([(380, 402), (416, 402)], stroke=INK, line=2, dash="4 4")
    picture.text(424, 408, "z is replaced by e", size=16, anchor="start")
    return {"inpaint_quantize": picture.svg("Each output is replaced by the nearest code")}


if __name__ == "__main__":
    write(draw)

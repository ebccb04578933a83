"""Elastic deformation: the coarse displacements, one draw for picture and mask, and two draws."""

import math

from _svg import BLUE, GRAY, INK, ORANGE, SKY, Drawing, Noise, write

SIDE, LEFTS, TOP, PIXELS = 190, (24, 235, 446), 70, 256
SIGMA = 18.0  # more than the 10 pixels of the text, to be seen
CAT = ((0, -38), (22, -44), (58, -84), (66, -40), (78, 0), (62, 44), (28, 66), (0, 70))
CAT = tuple((128 + x, 138 + y) for x, y in (*CAT, *((-x, y) for x, y in reversed(CAT[1:-1]))))


def gaussian(noise):
    return sum(noise() for _ in range(12)) - 6


def coarse(seed):
    """3 × 3 displacement vectors in pixels."""
    noise = Noise(seed)
    return [[(SIGMA * gaussian(noise), SIGMA * gaussian(noise)) for _ in range(3)] for _ in range(3)]


def cubic(t, a=-0.75):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def displacement(grid, x, y):
    """The bicubic interpolation of the coarse grid at a place given in pixels."""
    s, t = 2 * x / PIXELS, 2 * y / PIXELS
    column, row = math.floor(s), math.floor(t)
    total = [0.0, 0.0]
    for i in range(row - 1, row + 3):
        for j in range(column - 1, column + 3):
            weight = cubic(t - i) * cubic(s - j)
            vector = grid[min(max(i, 0), 2)][min(max(j, 0), 2)]
            total[0] += weight * vector[0]
            total[1] += weight * vector[1]
    return total


def carried(grid, x, y):
    """Where the content of place (x, y) goes: the solution p of p + u(p) = (x, y), by iteration."""
    px, py = x, y
    for _ in range(40):
        ux, uy = displacement(grid, px, py)
        px, py = x - ux, y - uy
    return px, py


def place(left, point):
    return left + SIDE * point[0] / PIXELS, TOP + SIDE * point[1] / PIXELS


def clipped(points):
    """The parts of a line of points that lie inside the picture."""
    parts, part = [], []
    for x, y in points:
        if 0 <= x <= PIXELS and 0 <= y <= PIXELS:
            part.append((x, y))
        elif part:
            parts.append(part)
            part = []
    return [part for part in [*parts, part] if len(part) > 1]


def lines(picture, left, move):
    """Nine by nine lines of the old picture, after the move."""
    for k in range(9):
        fixed = 32 * k
        for swap in (False, True):
            points = [(fixed, 16 * t) for t in range(17)]
            points = [move(*((y, x) if swap else (x, y))) for x, y in points]
            for part in clipped(points):
                picture.path([place(left, p) for p in part], stroke="#B8B4A9", line=1)


def polygon(move, steps=5):
    """The cat's outline with many points, after the move."""
    points = []
    for (ax, ay), (bx, by) in zip(CAT, CAT[1:] + CAT[:1], strict=True):
        points += [move(ax + (bx - ax) * t / steps, ay + (by - ay) * t / steps) for t in range(steps)]
    return points


def cat(picture, left, move):
    picture.path([place(left, p) for p in polygon(move)], stroke=None, fill=SKY, closed=True)
    for side in (-28, 28):
        x, y = place(left, move(128 + side, 128))
        picture.circle(x, y, 6.5, fill="#FDFCF9", stroke=INK, line=1.2)
        picture.circle(x, y, 3, fill=INK)
    nose = [place(left, move(128 + x, 158 + y)) for x, y in ((-7, 0), (7, 0), (0, 8))]
    picture.path(nose, stroke=None, fill=INK, closed=True)


def mask(picture, left, move):
    points = [place(left, p) for p in polygon(move)]
    picture.path(points, stroke=ORANGE, line=3.5, closed=True)


def draw():
    picture = Drawing(660, 330)
    first, second = coarse(1), coarse(3)
    titles = ("before", "one draw for both", "two draws")
    moves = (lambda x, y: (x, y), lambda x, y: carried(first, x, y), lambda x, y: carried(second, x, y))
    for k, (left, title) in enumerate(zip(LEFTS, titles, strict=True)):
        picture.text(left, 32, title, size=19, anchor="start", weight="600")
        picture.rect(left, TOP, SIDE, SIDE, fill="#ECEAE3")
        lines(picture, left, moves[min(k, 1)])
        cat(picture, left, moves[min(k, 1)])
        mask(picture, left, moves[k])
        picture.rect(left, TOP, SIDE, SIDE, stroke=GRAY, line=1)
    for i in range(3):
        for j in range(3):
            x, y = 128 * j, 128 * i
            ux, uy = first[i][j]
            start, end = place(LEFTS[0], (x, y)), place(LEFTS[0], (x + ux, y + uy))
            picture.circle(*start, 5, fill=BLUE)
            if math.dist(start, end) > 12:  # a shorter one would be all head
                picture.arrow(start, end, stroke=BLUE, line=2.5)
            else:
                picture.path([start, end], stroke=BLUE, line=2.5)
    y = 302
    picture.circle(30, y - 6, 5, fill=BLUE)
    picture.text(44, y, "coarse displacement", size=18, anchor="start")
    picture.rect(250, y - 16, 20, 20, fill=SKY, radius=3)
    picture.text(278, y, "picture", size=18, anchor="start")
    picture.path([(452, y - 6), (476, y - 6)], stroke=ORANGE, line=3.5)
    picture.text(484, y, "mask", size=18, anchor="start")
    return {"seg_elastic": picture.svg("Elastic deformation of a picture and its mask")}


if __name__ == "__main__":
    write(draw)

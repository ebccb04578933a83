"""Tiles along one axis: side by side with seams, overlapping with hats without."""

import math

from _svg import BLUE, GRAY, INK, ORANGE, PALE, SKY, Drawing, write

LENGTH, TILE, LEFT, STEP = 192, 64, 18, 3.25


def truth(x):
    """What the network says when it sees the whole picture."""
    return 0.55 + 0.3 * math.sin(x / 21) + 0.12 * math.sin(x / 7.5 + 1)


def tile_result(x, start):
    """What it says on one tile: wrong within some pixels of a border that is not the picture's own."""
    value = truth(x)
    if start > 0:
        value -= 0.42 * math.exp(-(x - start) / 6)
    if start + TILE < LENGTH:
        value += 0.3 * math.exp(-(start + TILE - 1 - x) / 6)
    return value


def hat(x, start):
    return min(x - start + 1, start + TILE - x)


def place(x, value, base):
    return LEFT + STEP * (x + 0.5), base - 100 * value


def curve(picture, points, base, color, line, dash=None):
    picture.path([place(x, v, base) for x, v in points], stroke=color, line=line, dash=dash)


def draw():
    picture = Drawing(660, 500)
    picture.text(LEFT, 32, "side by side", size=19, anchor="start", weight="600")
    base = 166
    curve(picture, [(x, truth(x)) for x in range(LENGTH)], base, "#9AA0A6", 2.5, dash="6 4")
    for start in range(0, LENGTH, TILE):
        x = LEFT + STEP * start
        picture.rect(x + 1.5, base + 10, STEP * TILE - 3, 15, fill=SKY, stroke=INK, line=1, radius=3)
        curve(picture, [(i, tile_result(i, start)) for i in range(start, start + TILE)], base, BLUE, 3)
        if start:
            picture.path([(x, 46), (x, base + 8)], stroke=PALE, line=1.5)
            picture.text(x, 52, "seam", size=17)
    picture.text(LEFT, 244, "overlapping, weighted with hats", size=19, anchor="start", weight="600")
    base = 376
    starts = range(0, LENGTH - TILE + 1, TILE // 2)
    curve(picture, [(x, truth(x)) for x in range(LENGTH)], base, "#9AA0A6", 2.5, dash="6 4")
    blend = []
    for x in range(LENGTH):
        inside = [start for start in starts if start <= x < start + TILE]
        weights = [hat(x, start) for start in inside]
        total = sum(w * tile_result(x, start) for w, start in zip(weights, inside, strict=True))
        blend.append((x, total / sum(weights)))
    curve(picture, blend, base, ORANGE, 3.5)
    for k, start in enumerate(starts):
        low = 478
        points = [(start, 0), (start + TILE / 2, 0.75), (start + TILE, 0)]
        line = [(LEFT + STEP * x, low - 100 * v) for x, v in points]
        picture.path(line, stroke=GRAY if k % 2 else BLUE, line=2.5, dash="7 4" if k % 2 else None)
    picture.path([(LEFT, 478), (LEFT + STEP * LENGTH, 478)], stroke=PALE, line=1.5)
    return {"seg_seam": picture.svg("Seams between tiles, and how hats remove them")}


if __name__ == "__main__":
    write(draw)

"""A small cat face of 32 × 32 pixels, drawn whole or token by token, for the chapter on inpainting."""

import math

PIXELS, TOKENS = 32, 8
SIZE = PIXELS // TOKENS  # pixels of a token's side
FUR, STRIPE, INNER, MUZZLE = "#E69F00", "#B85F00", "#E9A9C4", "#F6E7C8"
IRIS, PUPIL, NOSE, WALL, FLOOR = "#009E73", "#1F2328", "#B23A2E", "#A9CFE8", "#7FB3D5"
HOLE, EMPTY = "#9AA0A6", "#FFFFFF"


def _inside(x, y, corners):
    signs = [
        (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    return all(signs) or not any(signs)


def color(i, j):
    """Color of the pixel in row i, column j."""
    x, y = (j + 0.5) / PIXELS * 2 - 1, (i + 0.5) / PIXELS * 2 - 1
    shade = WALL if y < 0.62 else FLOOR
    for side in (-1, 1):
        if _inside(side * x, y, [(0.12, -0.42), (0.52, -0.98), (0.8, -0.12)]):
            shade = FUR
        if _inside(side * x, y, [(0.28, -0.44), (0.52, -0.8), (0.68, -0.22)]):
            shade = INNER
    if (x / 0.82) ** 2 + ((y - 0.15) / 0.68) ** 2 < 1:
        shade = FUR
        if y < -0.18 and abs(math.sin(7.2 * x)) > 0.88:
            shade = STRIPE
        if abs(x) > 0.55 and abs(math.sin(10 * y)) > 0.85:
            shade = STRIPE
    if (x / 0.34) ** 2 + ((y - 0.5) / 0.24) ** 2 < 1:
        shade = MUZZLE
    if _inside(x, y, [(-0.13, 0.34), (0.13, 0.34), (0.0, 0.5)]):
        shade = NOSE
    if abs(y - 0.6) < 0.035 and abs(x) < 0.16:
        shade = STRIPE
    for side in (-1, 1):
        distance = math.hypot(x - 0.38 * side, (y - 0.06) / 0.9)
        if distance < 0.2:
            shade = IRIS
        if distance < 0.2 and abs(x - 0.38 * side) < 0.07:
            shade = PUPIL
    return shade


def paint(picture, left, top, scale, shades, gap=0.0):
    """Draw pixels as one path for each color. shades: {(i, j): color}; gap: space between tokens."""
    paths = {}
    for (i, j), shade in sorted(shades.items()):
        x = left + scale * j + gap * (j // SIZE)
        y = top + scale * i + gap * (i // SIZE)
        paths.setdefault(shade, []).append((i, x, y))
    for shade, cells in paths.items():
        steps, k = [], 0
        while k < len(cells):
            i, x, y = cells[k]
            width = 1
            while (
                k + width < len(cells)
                and cells[k + width][0] == i
                and abs(cells[k + width][1] - x - scale * width) < 1e-6
            ):
                width += 1
            steps.append(f"M{x:g} {y:g}h{scale * width:g}v{scale:g}h{-scale * width:g}z")
            k += width
        picture.add("path", d="".join(steps), fill=shade, stroke=shade, stroke_width=0.4)


def pixels_of(token):
    """The pixels (i, j) of a token (row, column)."""
    row, column = token
    return [(SIZE * row + i, SIZE * column + j) for i in range(SIZE) for j in range(SIZE)]


EVERY = [(row, column) for row in range(TOKENS) for column in range(TOKENS)]

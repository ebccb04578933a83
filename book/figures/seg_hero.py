"""First picture of the chapter: three masks with the same number of wrong pixels, and very different overlap."""

import math

from _svg import BLUE, INK, ORANGE, PALE, PURPLE, Drawing, write

GRID, WRONG = 60, 126  # pixels a side; missed pixels, and as many invented ones: 7% of 3600 together
CELL, LEFTS, TOP = 3.3, (15, 231, 447), 58
# pixels of the cat, its size and center, where the mask bulges (+) and where it gives way (-), in sizes
CATS = (
    (788, 15.8, (29.5, 33.5), ((1.0, 0.8, 1), (-0.85, -1.0, -1), (0.2, 0.9, 0.3), (0.9, -0.9, -0.2))),
    (360, 10.7, (29.5, 32.5), ((0.95, 0.75, 1), (-0.8, -0.8, -1), (-0.7, 0.6, 0.3))),
    (180, 7.55, (29.5, 31.5), ((1.0, 0.5, 1), (-0.6, -0.6, -1), (0.9, -0.9, -0.4))),
)


def triangle(x, y, corners):
    """How deep (x, y) lies inside a triangle; negative outside."""
    depths = []
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        depths.append(((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / math.hypot(bx - ax, by - ay))
    return min(depths)


def depth(x, y):
    """How deep a point lies inside the cat's head of size 1 around the origin."""
    head = 1 - math.hypot(x, y / 0.86)
    ears = [[(s * x, y) for x, y in ((-0.78, -1.36), (-0.02, -0.62), (-0.97, -0.15))[::s]] for s in (1, -1)]
    return max(head, *(triangle(x, y, ear) for ear in ears)) + 1e-7 * (x + 2 * y)


def top(scores, number):
    """The pixels with the `number` largest scores."""
    return set(sorted(scores, key=scores.get, reverse=True)[:number])


def masks(pixels, size, center, bumps):
    """The true and the predicted set of pixels, with equally many pixels and WRONG in each difference."""
    places = [(i, j) for i in range(GRID) for j in range(GRID)]
    truth = {(i, j): depth((j - center[0]) / size, (i - center[1]) / size) for i, j in places}
    push = {
        (i, j): sum(
            sign * math.exp(-2 * (((j - center[0]) / size - x) ** 2 + ((i - center[1]) / size - y) ** 2))
            for x, y, sign in bumps
        )
        for i, j in places
    }
    animal = top(truth, pixels)

    def pushed(strength):
        return top({p: min(truth[p], 0.12) + 1e-3 * truth[p] + strength * push[p] for p in places}, pixels)

    low, high = 0.0, 20.0
    for _ in range(50):  # the weakest push that moves WRONG pixels
        middle = (low + high) / 2
        low, high = (low, middle) if len(animal - pushed(middle)) >= WRONG else (middle, high)
    found = pushed(high)
    assert len(animal - found) == len(found - animal) == WRONG  # as the caption says
    return animal, found


def cells(picture, left, places, color):
    """All pixels of a set as one path, rows in one piece."""
    steps = []
    for i in range(GRID):
        j = 0
        while j < GRID:
            width = 0
            while (i, j + width) in places:
                width += 1
            if width:
                x, y = left + CELL * j, TOP + CELL * i
                steps.append(f"M{x:.1f},{y:.1f}h{CELL * width:.1f}v{CELL:.1f}h{-CELL * width:.1f}z")
            j += width + 1
    picture.add("path", d="".join(steps), fill=color, shape_rendering="crispEdges")


def outline(picture, left, places):
    """The border of a set of pixels."""
    steps = []
    for i, j in sorted(places):
        x, y = left + CELL * j, TOP + CELL * i
        for di, dj, start, step in (
            (-1, 0, (x, y), f"h{CELL}"),
            (1, 0, (x, y + CELL), f"h{CELL}"),
            (0, -1, (x, y), f"v{CELL}"),
            (0, 1, (x + CELL, y), f"v{CELL}"),
        ):
            if (i + di, j + dj) not in places:
                steps.append(f"M{start[0]:.1f},{start[1]:.1f}{step}")
    picture.add("path", d="".join(steps), fill="none", stroke=INK, stroke_width=1.6, stroke_linecap="square")


def hatch(picture, left, places):
    steps = [
        f"M{left + CELL * j:.1f},{TOP + CELL * (i + 1):.1f}l{CELL},{-CELL}"
        for i, j in sorted(places)
        if (i + j) % 2 == 0
    ]
    picture.add("path", d="".join(steps), fill="none", stroke=INK, stroke_width=0.9)


def bar(picture, left, y, words, value, color):
    picture.text(left, y, words, size=18, anchor="start")
    picture.text(left + 198, y, f"{value:.2f}".lstrip("0"), size=20, anchor="end", weight="700")
    picture.rect(left, y + 8, 198, 11, fill=PALE, radius=3)
    picture.rect(left, y + 8, 198 * value, 11, fill=color, radius=3)


def draw():
    picture = Drawing(660, 380)
    for left, (pixels, size, center, bumps) in zip(LEFTS, CATS, strict=True):
        animal, found = masks(pixels, size, center, bumps)
        wrong = len(animal ^ found)
        picture.rect(left, TOP, 198, 198, fill="#ECEAE3")
        cells(picture, left, animal & found, BLUE)
        cells(picture, left, animal - found, ORANGE)
        cells(picture, left, found - animal, PURPLE)
        hatch(picture, left, found - animal)
        outline(picture, left, animal)
        for side in (-0.36, 0.36):
            x, y = left + CELL * (center[0] + side * size + 0.5), TOP + CELL * (center[1] - 0.1 * size + 0.5)
            picture.circle(x, y, 0.36 * size, fill="#FDFCF9", stroke=INK, line=1.2)
            picture.circle(x, y, 0.16 * size, fill=INK)
        bar(picture, left, 290, "pixel accuracy", 1 - wrong / GRID**2, "#9AA0A6")
        bar(picture, left, 344, "Dice", 2 * len(animal & found) / (len(animal) + len(found)), BLUE)
    for x, color, words in ((15, BLUE, "found"), (118, ORANGE, "missed"), (232, PURPLE, "invented")):
        picture.rect(x, 22, 20, 20, fill=color, radius=3)
        picture.text(x + 28, 38, words, size=18, anchor="start")
    picture.path([(375, 32), (398, 32)], stroke=INK, line=2)
    picture.text(406, 38, "true outline of the cat", size=18, anchor="start")
    return {"seg_hero": picture.svg("Three masks with the same pixel accuracy and different Dice")}


if __name__ == "__main__":
    write(draw)

"""What the pictures of the chapter architectures share: stored rows of its studies, and boxes in a column."""

import csv

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, ROOT, SKY, VERMILLION

FOLDER = ROOT / "notebooks" / "studies"
COLORS = {"3": BLUE, "5": VERMILLION, "1": SKY, "d": GREEN, "p": GRAY, "x": ORANGE}


def rows(name):
    """Rows of a study as dicts of text."""
    with open(FOLDER / f"architectures_{name}.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mean_and_spread(values):
    """Mean and standard deviation, n - 1 in the divisor."""
    mean = sum(values) / len(values)
    return mean, (sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)) ** 0.5


def depth_losses():
    """{kind: {layers: training losses}}."""
    found = {}
    for row in rows("depth"):
        of = found.setdefault(row["kind"], {})
        of.setdefault(int(row["depth"]), []).append(float(row["train_loss"]))
    return found


def column(picture, x, top, boxes, gap=20, height=32, ends=(True, True)):
    """Boxes (words, kind, width) from top to bottom, joined by arrows; returns where it ends.

    kind: of `COLORS`, for the color. ends: whether an arrow leads in and out.
    """
    y = top
    if ends[0]:
        picture.arrow((x, y - gap), (x, y - 2))
    for place, (words, kind, width) in enumerate(boxes):
        picture.rect(x - width / 2, y, width, height, fill=COLORS[kind], radius=5)
        dark = kind in ("1", "x")
        picture.text(x, y + height / 2 + 6, words, size=16, fill=INK if dark else "#FFFFFF", weight="600")
        y += height
        if place < len(boxes) - 1 or ends[1]:
            picture.arrow((x, y + 1), (x, y + gap - 2))
        y += gap
    return y


def around(picture, x, side, start, end):
    """A shortcut from (x, start) around a column to (x, end)."""
    picture.curve(
        f"M{x},{start} C{x + side},{start} {x + side},{start + 10} {x + side},{start + 34} "
        f"L{x + side},{end - 34} C{x + side},{end - 8} {x + side},{end} {x + 13},{end}"
        if side > 0
        else f"M{x},{start} L{x},{end}",
        stroke=VERMILLION,
        line=3,
    )


def plus(picture, x, y):
    picture.circle(x, y, 12, fill="#FFFFFF", stroke=INK, line=2)
    picture.text(x, y + 6, "+", size=18, weight="600")

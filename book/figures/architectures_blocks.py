"""Blocks of the chapter: basic, bottleneck, separable and MBConv; Inception, Fire and a layer of DenseNet."""

from _architectures import around, column, plus
from _svg import GRAY, INK, ORANGE, Drawing, write


def residual(picture, x, boxes, title, side, top=96):
    """A column with a shortcut around it and a sum below."""
    picture.text(x, 32, title, size=17, weight="600")
    picture.path([(x, 48), (x, top - 20)], stroke=GRAY, line=2)
    end = column(picture, x, top, boxes)
    if side:
        around(picture, x, side, 58, end + 10)
        plus(picture, x, end + 10)
        picture.arrow((x, end + 23), (x, end + 48))


def blocks():
    picture = Drawing(800, 330)
    residual(picture, 105, [("3 × 3", "3", 96), ("3 × 3", "3", 96)], "basic", 76)
    residual(picture, 305, [("1 × 1", "1", 52), ("3 × 3", "3", 52), ("1 × 1", "1", 116)], "bottleneck", 82)
    residual(picture, 490, [("depth 3 × 3", "d", 110), ("1 × 1", "1", 110)], "separable", 0)
    residual(picture, 675, [("1 × 1", "1", 136), ("depth K × K", "d", 136), ("1 × 1", "1", 52)], "MBConv", 94)
    return picture.svg("Basic block, bottleneck, separable pair and MBConv")


def fork(picture, xs, middle, top, bottom):
    """Lines from one point to the columns, and from them to one bar."""
    picture.path([(middle, top - 40), (middle, top - 30)], stroke=GRAY, line=2)
    picture.path([(xs[0], top - 30), (xs[-1], top - 30)], stroke=GRAY, line=2)
    for x in xs:
        picture.path([(x, top - 30), (x, top - 12)], stroke=GRAY, line=2)
    picture.rect(xs[0] - 40, bottom, xs[-1] - xs[0] + 80, 26, fill=ORANGE, radius=5)
    picture.text(middle, bottom + 18, "concatenate", size=14, fill=INK, weight="600")


def branches():
    picture = Drawing(820, 300)
    xs = (60, 150, 240, 330)
    picture.text(195, 32, "Inception", size=17, weight="600")
    fork(picture, xs, 195, 92, 220)
    parts = (
        [("1 × 1", "1", 64)],
        [("1 × 1", "1", 46), ("3 × 3", "3", 76)],
        [("1 × 1", "1", 46), ("5 × 5", "5", 64)],
        [("pool", "p", 64), ("1 × 1", "1", 64)],
    )
    for x, boxes in zip(xs, parts, strict=True):
        end = column(picture, x, 92, boxes, ends=(True, True))
        if end < 210:
            picture.path([(x, end - 4), (x, 218)], stroke=GRAY, line=2)
    picture.text(495, 32, "Fire", size=17, weight="600")
    column(picture, 495, 62, [("1 × 1", "1", 46)], ends=(True, False))
    picture.path([(495, 94), (495, 112)], stroke=GRAY, line=2)
    fork(picture, (450, 540), 495, 152, 220)
    for x, words, kind in ((450, "1 × 1", "1"), (540, "3 × 3", "3")):
        end = column(picture, x, 152, [(words, kind, 70)])
        picture.path([(x, end - 4), (x, 218)], stroke=GRAY, line=2)
    picture.text(705, 32, "DenseNet, one layer", size=17, weight="600")
    picture.path([(650, 48), (650, 218)], stroke=GRAY, line=3)
    picture.path([(650, 62), (735, 62)], stroke=GRAY, line=2)
    end = column(picture, 735, 84, [("1 × 1", "1", 90), ("3 × 3", "3", 60)])
    picture.path([(735, end - 4), (735, 218)], stroke=GRAY, line=2)
    picture.rect(620, 220, 160, 26, fill=ORANGE, radius=5)
    picture.text(700, 238, "concatenate", size=14, fill=INK, weight="600")
    for x in (195, 495, 700):
        picture.arrow((x, 247), (x, 276))
    return picture.svg("Inception, Fire and a layer of DenseNet")


def draw():
    return {"architectures_blocks": blocks(), "architectures_branches": branches()}


if __name__ == "__main__":
    write(draw)

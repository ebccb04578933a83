"""Blocks of the chapter: early stacks, SE, basic, bottleneck, separable, MBConv, Inception, Fire, DenseNet."""

from _architectures import around, column, plus
from _svg import GRAY, INK, ORANGE, Drawing, write


def residual(picture, x, boxes, title, side, top=0):
    """A column with a shortcut around it and a sum below."""
    picture.text(x, top + 30, title, size=19, weight="600")
    picture.path([(x, top + 46), (x, top + 76)], stroke=GRAY, line=2)
    end = column(picture, x, top + 94, boxes)
    if side:
        around(picture, x, side, top + 56, end + 10)
        plus(picture, x, end + 10)
        picture.arrow((x, end + 23), (x, end + 46))


def blocks():
    picture = Drawing(460, 650)
    residual(picture, 110, [("3 × 3", "3", 100), ("3 × 3", "3", 100)], "basic", 76)
    down_up = [("1 × 1", "1", 56), ("3 × 3", "3", 56), ("1 × 1", "1", 120)]
    residual(picture, 320, down_up, "bottleneck", 84)
    pair = [("depth 3 × 3", "d", 116), ("1 × 1", "1", 116)]
    residual(picture, 110, pair, "separable", 0, top=320)
    up_down = [("1 × 1", "1", 140), ("depth K × K", "d", 140), ("1 × 1", "1", 56)]
    residual(picture, 320, up_down, "MBConv", 94, top=320)
    return picture.svg("Basic block, bottleneck, separable pair and MBConv")


def fork(picture, xs, middle, top, bottom):
    """Lines from one point to the columns, and from them to one bar."""
    picture.path([(middle, top - 40), (middle, top - 30)], stroke=GRAY, line=2)
    picture.path([(xs[0], top - 30), (xs[-1], top - 30)], stroke=GRAY, line=2)
    for x in xs:
        picture.path([(x, top - 30), (x, top - 12)], stroke=GRAY, line=2)
    join(picture, xs[0] - 44, xs[-1] - xs[0] + 88, bottom)


def join(picture, left, width, top):
    """The bar that concatenates, and an arrow out of it."""
    picture.rect(left, top, width, 28, fill=ORANGE, radius=5)
    picture.text(left + width / 2, top + 20, "concatenate", size=16, fill=INK, weight="600")
    picture.arrow((left + width / 2, top + 30), (left + width / 2, top + 56))


def branches():
    picture = Drawing(460, 580)
    xs = (66, 174, 286, 394)
    picture.text(230, 30, "Inception", size=19, weight="600")
    fork(picture, xs, 230, 90, 206)
    parts = (
        [("1 × 1", "1", 72)],
        [("1 × 1", "1", 56), ("3 × 3", "3", 84)],
        [("1 × 1", "1", 56), ("5 × 5", "5", 72)],
        [("pool", "p", 72), ("1 × 1", "1", 72)],
    )
    for x, boxes in zip(xs, parts, strict=True):
        end = column(picture, x, 90, boxes)
        picture.path([(x, end - 4), (x, 204)], stroke=GRAY, line=2)
    picture.text(116, 312, "Fire", size=19, weight="600")
    column(picture, 116, 344, [("1 × 1", "1", 56)], ends=(True, False))
    picture.path([(116, 376), (116, 392)], stroke=GRAY, line=2)
    fork(picture, (66, 166), 116, 430, 490)
    for x, kind in ((66, "1"), (166, "3")):
        end = column(picture, x, 430, [(f"{kind} × {kind}", kind, 78)], ends=(True, False))
        picture.path([(x, 464), (x, 488)], stroke=GRAY, line=2)
    picture.text(346, 312, "DenseNet layer", size=19, weight="600")
    picture.path([(290, 328), (290, 488)], stroke=GRAY, line=3)
    picture.path([(290, 340), (380, 340)], stroke=GRAY, line=2)
    end = column(picture, 380, 362, [("1 × 1", "1", 96), ("3 × 3", "3", 64)])
    picture.path([(380, end - 4), (380, 488)], stroke=GRAY, line=2)
    join(picture, 266, 160, 490)
    return picture.svg("Inception, Fire and a layer of DenseNet")


def stacks():
    picture = Drawing(460, 640)
    parts = (
        ("LeNet", 84, 0, [("K × K", "3", 104), ("pool", "p", 104)], "then dense"),
        ("NIN", 238, 0, [("K × K", "3", 92), ("1 × 1", "1", 92), ("1 × 1", "1", 92)], "then a mean"),
        ("VGG", 380, 0, [("3 × 3", "3", 92), ("3 × 3", "3", 92), ("pool", "p", 92)], "then dense"),
    )
    for title, x, top, boxes, words in parts:
        residual(picture, x, boxes, title, 0, top=top)
        picture.text(x, top + 276, words, size=15, fill=GRAY)
    # Squeeze-and-excitation: the maps go straight on; their means decide how much of each.
    x, top = 150, 330
    picture.text(230, top + 14, "squeeze and excitation", size=19, weight="600")
    picture.path([(x, top + 32), (x, top + 250)], stroke=GRAY, line=3)
    picture.path([(x, top + 52), (x + 160, top + 52)], stroke=GRAY, line=2)
    end = column(picture, x + 160, top + 70, [("mean", "p", 110), ("dense", "1", 70), ("dense", "1", 110)])
    picture.path([(x + 160, end - 4), (x + 160, top + 250), (x + 14, top + 250)], stroke=GRAY, line=2)
    picture.text(x + 150, top + 268, "sigmoid: one weight a map", size=15, fill=GRAY)
    picture.circle(x, top + 250, 12, fill="#FFFFFF", stroke=INK, line=2)
    picture.text(x, top + 256, "×", size=20)
    picture.arrow((x, top + 263), (x, top + 292))
    return picture.svg("Blocks of LeNet, NIN and VGG, and squeeze-and-excitation")


def draw():
    return {
        "architectures_stacks": stacks(),
        "architectures_blocks": blocks(),
        "architectures_branches": branches(),
    }


if __name__ == "__main__":
    write(draw)

"""What one pixel sees: the receptive fields of U-Net's levels, on a picture of 256 × 256."""

from _svg import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, VERMILLION, Drawing, write
from seg_elastic import CAT

SIDE, LEFT, TOP = 310, 18, 18
SCALE = SIDE / 256
CENTER = (176, 96)  # the pixel: on the edge of an ear
ENCODER = ((3, 1), (3, 1), *(((2, 2), (3, 1), (3, 1)) * 4))
COLORS = (VERMILLION, ORANGE, PURPLE, GREEN, BLUE)
NAMES = ("level 1", "level 2", "level 3", "level 4", "bottom")


def fields():
    """Widths of the receptive field at the end of each level, by the recursion of the page."""
    r, j, out = 1, 1, []
    for number, (kernel, stride) in enumerate(ENCODER):
        r, j = r + (kernel - 1) * j, j * stride
        if number % 3 == 1:
            out.append((r, j))
    return out


def draw():
    picture = Drawing(660, 346)
    picture.rect(LEFT, TOP, SIDE, SIDE, fill="#ECEAE3")
    outline = [(LEFT + SCALE * x, TOP + SCALE * y) for x, y in CAT]
    picture.path(outline, stroke=INK, fill="#DCE9F2", line=2, closed=True)
    for x in (100, 156):
        picture.circle(LEFT + SCALE * x, TOP + SCALE * 128, 8, fill="#FDFCF9", stroke=INK)
        picture.circle(LEFT + SCALE * x, TOP + SCALE * 128, 3.5, fill=INK)
    nose = ((121, 158), (135, 158), (128, 166))
    picture.path([(LEFT + SCALE * x, TOP + SCALE * y) for x, y in nose], stroke=None, fill=INK, closed=True)
    picture.text(356, 40, "after", size=18, anchor="start", weight="600")
    picture.text(566, 40, "sees", size=18, anchor="end", weight="600")
    picture.text(640, 40, "jump", size=18, anchor="end", weight="600")
    picture.path([(356, 54), (642, 54)], stroke=PALE, line=1.5)
    for k, (color, name, (r, j)) in enumerate(zip(COLORS, NAMES, fields(), strict=True)):
        x, y = (max(0, c - r / 2) for c in CENTER)
        right, below = (min(256, c + r / 2) for c in CENTER)
        picture.rect(
            LEFT + SCALE * x,
            TOP + SCALE * y,
            SCALE * (right - x),
            SCALE * (below - y),
            stroke=color,
            line=3,
            dash=None if k % 2 == 0 else "7 4",
        )
        row = 86 + 36 * k
        picture.rect(356, row - 14, 12, 15, stroke=color, line=3, dash=None if k % 2 == 0 else "7 4")
        picture.text(378, row, name, size=18, anchor="start")
        picture.text(566, row, f"{r} × {r}", size=18, anchor="end")
        picture.text(640, row, str(j), size=18, anchor="end")
    picture.text(356, 290, "ten 3 × 3 convolutions", size=18, anchor="start")
    picture.text(356, 316, "without pooling: 21 × 21", size=18, anchor="start")
    return {"convolution_levels": picture.svg("Receptive fields of the levels of U-Net")}


if __name__ == "__main__":
    write(draw)

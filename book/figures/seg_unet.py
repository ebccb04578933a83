"""U-Net: five levels down the left side, four up the right side, and the skips across."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, PALE, SKY, Drawing, write

WIDTH, HEIGHT = 660, 580
SIZES = (256, 128, 64, 32, 16)
CHANNELS = (64, 128, 256, 512, 1024)
TALL = (112, 82, 58, 42, 32)  # heights and widths of the boxes: they grow slower than the true numbers
WIDE = (13, 18, 25, 34, 46)
ROWS = (98, 224, 324, 406, 478)  # middle of each level
LEFTS = (66, 104, 146, 194)  # left edge of the pair of boxes on the way down
GAP = 5


def pair(picture, x, k, first, second):
    """Two boxes of level k with their left edge at x; returns the right edge."""
    y = ROWS[k] - TALL[k] / 2
    picture.rect(x, y, WIDE[k], TALL[k], fill=first, stroke=INK, line=1.2, radius=2)
    picture.rect(x + WIDE[k] + GAP, y, WIDE[k], TALL[k], fill=second, stroke=INK, line=1.2, radius=2)
    return x + 2 * WIDE[k] + GAP


def draw():
    picture = Drawing(WIDTH, HEIGHT)
    ends, starts = [], []
    for k in range(4):
        width = 2 * WIDE[k] + GAP
        ends.append(pair(picture, LEFTS[k], k, SKY, BLUE))
        right = WIDTH - LEFTS[k] - width  # the mirror image; its first box is half copied, half from below
        pair(picture, right, k, SKY, BLUE)
        picture.rect(
            right, ROWS[k] - TALL[k] / 2, WIDE[k] / 2, TALL[k], fill=ORANGE, stroke=INK, line=1.2, radius=2
        )
        starts.append(right)
    bottom = WIDTH / 2 - WIDE[4] - GAP / 2
    last = pair(picture, bottom, 4, SKY, BLUE)
    for k in range(4):
        picture.arrow((ends[k] + 5, ROWS[k]), (starts[k] - 4, ROWS[k]), stroke=ORANGE, line=4)
        picture.text(WIDTH / 2, ROWS[k] - 12, f"({CHANNELS[k]}, {SIZES[k]}, {SIZES[k]})", size=18)
    picture.text(WIDTH / 2, ROWS[4] + 40, f"({CHANNELS[4]}, {SIZES[4]}, {SIZES[4]})", size=18)
    for k in range(4):  # pooling down, transposed convolution up
        x = ends[k] - WIDE[k] / 2
        below = ROWS[k + 1] - TALL[k + 1] / 2
        if k < 3:
            target = LEFTS[k + 1] + WIDE[k + 1] / 2
            picture.arrow((x, ROWS[k] + TALL[k] / 2 + 3), (target, below - 3), stroke=GRAY, line=3)
            source = starts[k + 1] + 1.5 * WIDE[k + 1] + GAP
            picture.arrow((source, below - 3), (WIDTH - x, ROWS[k] + TALL[k] / 2 + 4), stroke=GREEN, line=3)
        else:
            picture.arrow((x, ROWS[3] + TALL[3] / 2 + 3), (bottom - 4, ROWS[4]), stroke=GRAY, line=3)
            picture.arrow((last + 4, ROWS[4]), (WIDTH - x, ROWS[3] + TALL[3] / 2 + 4), stroke=GREEN, line=3)
    top = ROWS[0] - TALL[0] / 2
    picture.rect(36, top, 6, TALL[0], fill=PALE, stroke=INK, line=1.2)
    picture.arrow((44, ROWS[0]), (LEFTS[0] - 3, ROWS[0]), stroke=GRAY, line=2.5)
    picture.text(16, 28, "picture (3, 256, 256)", size=17, anchor="start")
    picture.arrow((WIDTH - LEFTS[0] + 2, ROWS[0]), (WIDTH - 43, ROWS[0]), stroke=GRAY, line=2.5)
    picture.rect(WIDTH - 41, top, 4, TALL[0], fill=INK, stroke=INK, line=1.2)
    picture.text(WIDTH - 16, 28, "logits (1, 256, 256)", size=17, anchor="end")
    items = (
        (24, GRAY, "max-pooling 2 × 2"),
        (228, GREEN, "transposed 2 × 2"),
        (424, ORANGE, "copy and concatenate"),
    )
    for x, color, words in items:
        picture.arrow((x, 553), (x + 28, 553), stroke=color, line=4 if color == ORANGE else 3)
        picture.text(x + 36, 559, words, size=17, anchor="start")
    return {"seg_unet": picture.svg("U-Net: an encoder, a decoder, and skips between them")}


if __name__ == "__main__":
    write(draw)

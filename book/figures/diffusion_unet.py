"""The denoiser: a U-Net of three levels; step and labels reach each residual block as scale and shift."""

from _diffusion import cosine, words
from _scene import noisy, scene, tiles
from _svg import GRAY, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, Drawing, write

WIDTH, HEIGHT = 660, 640
SIZES = (16, 8, 4)
TALL, WIDE = (96, 66, 44), (22, 28, 36)  # heights and widths of the boxes: not to scale
ROWS, BOTTOM = (158, 274, 364), 432  # middle of each level, and of the two blocks in between
LEFTS = (46, 92, 142)
DOWN = 1  # residual blocks of a level on the way down: `layers` of the lab's Config
UP = DOWN + 1  # and on the way up
GAP, BAR = 4, 8


def stage(picture, x, y, k, blocks, attention, joined=False):
    """Residual blocks of level k from x on, each with its attention; returns the right edge."""
    for _ in range(blocks):
        top = y - TALL[k] / 2
        picture.rect(x, top, WIDE[k], TALL[k], fill=SKY, stroke=INK, line=1.2, radius=2)
        if joined:
            picture.rect(x, top, WIDE[k] / 3, TALL[k], fill=ORANGE, stroke=INK, line=1.2, radius=2)
        mark(picture, x + WIDE[k] / 2, top + TALL[k] + 2)
        x += WIDE[k] + GAP
        if attention:
            picture.rect(x - 1, top, BAR, TALL[k], fill=PURPLE, stroke=INK, line=1.2, radius=2)
            x += BAR - 1 + GAP
    return x - GAP


def span(k, blocks):
    return blocks * (WIDE[k] + GAP + (BAR - 1 + GAP if k else 0)) - GAP


def mark(picture, x, y):
    """The small sign of scale and shift under a block."""
    picture.path([(x, y), (x - 6, y + 9), (x + 6, y + 9)], stroke=None, fill=VERMILLION, closed=True)


def box(picture, x, y, width, text, fill="#FFFFFF"):
    picture.rect(x, y - 19, width, 38, fill=fill, stroke=INK, line=1.4, radius=7)
    picture.text(x + width / 2, y + 6, text, size=17)


def draw():
    picture, abar, pixels = Drawing(WIDTH, HEIGHT), cosine(), scene()
    ends, starts = [], []
    for k in range(3):
        ends.append(stage(picture, LEFTS[k], ROWS[k], k, DOWN, k > 0))
        starts.append(WIDTH - LEFTS[k] - span(k, UP))
        stage(picture, starts[k], ROWS[k], k, UP, k > 0, joined=True)
        picture.arrow((ends[k] + 5, ROWS[k]), (starts[k] - 4, ROWS[k]), stroke=ORANGE, line=4)
        middle = (ends[k] + starts[k]) / 2
        words(picture, middle, ROWS[k] - 12, f"C_{{{k + 1}}} × {SIZES[k]} × {SIZES[k]}", size=18)
    for k in range(2):
        x, target = ends[k] - WIDE[k] / 2, LEFTS[k + 1] + WIDE[k + 1] / 2
        high, low = ROWS[k] + TALL[k] / 2 + 14, ROWS[k + 1] - TALL[k + 1] / 2 - 3
        picture.arrow((x, high), (target + 4, low), stroke=GRAY, line=3)
        picture.arrow((WIDTH - target - 4, low), (WIDTH - x, high), stroke=GREEN, line=3)
    left = WIDTH / 2 - (2 * WIDE[2] + BAR + 2 * GAP) / 2
    stage(picture, left, BOTTOM, 2, 1, True)
    right = stage(picture, left + WIDE[2] + BAR + 2 * GAP - 1, BOTTOM, 2, 1, False)
    low = ROWS[2] + TALL[2] / 2 + 14
    picture.arrow((ends[2] - 14, low), (left - 5, BOTTOM), stroke=INK, line=2.5)
    picture.arrow((right + 5, BOTTOM), (starts[2] + 24, low), stroke=INK, line=2.5)

    side, y = 64, 22
    tiles(picture, 14, y, side / 32, noisy(pixels, abar[350]), 6)
    words(picture, 88, 44, "x_{t}: 3 × 32 × 32", size=18, anchor="start", weight="600")
    picture.text(88, 72, "unshuffled: 12 × 16 × 16", size=17, anchor="start")
    picture.arrow((57, 88), (57, ROWS[0] - TALL[0] / 2 - 3), stroke=GRAY, line=2.5)
    velocity(picture, WIDTH - 14 - side, y, side, pixels, abar[350])
    words(picture, WIDTH - 88, 44, "v: 3 × 32 × 32", size=18, anchor="end", weight="600")
    picture.text(WIDTH - 88, 72, "shuffled back", size=17, anchor="end")
    picture.arrow((WIDTH - 57, ROWS[0] - TALL[0] / 2 - 3), (WIDTH - 57, 88), stroke=GRAY, line=2.5)

    y = 514
    box(picture, 14, y, 74, "step t")
    box(picture, 112, y, 98, "sinusoids")
    box(picture, 234, y, 104, "two layers")
    box(picture, 430, y, 70, "linear")
    box(picture, 524, y, 122, "24 labels")
    for a, b in ((88, 112), (210, 234), (338, 364), (524, 500), (430, 406)):
        picture.arrow((a, y), (b, y), stroke=VERMILLION, line=2.5)
    picture.circle(385, y, 19, fill="#FFFFFF", stroke=VERMILLION, line=2.5)
    picture.text(385, y + 8, "+", size=24, weight="600", fill=VERMILLION)
    picture.arrow((385, y - 20), (385, y - 42), stroke=VERMILLION, line=3)
    picture.text(398, y - 28, "into each block", size=17, anchor="start", fill=INK)

    for row, items in enumerate(
        (
            ((22, SKY, "residual block"), (222, PURPLE, "attention"), (414, ORANGE, "copy and concatenate")),
            (
                (22, GRAY, "half the size"),
                (222, GREEN, "twice the size"),
                (414, VERMILLION, "scale and shift"),
            ),
        )
    ):
        for x, tint, text in items:
            y = 578 + 36 * row
            if tint in (GRAY, GREEN, ORANGE):
                picture.arrow((x, y - 6), (x + 30, y - 6), stroke=tint, line=4 if tint == ORANGE else 3)
            elif tint == VERMILLION:
                mark(picture, x + 15, y - 11)
            else:
                picture.rect(x + 6, y - 16, 18, 20, fill=tint, stroke=INK, line=1.2, radius=2)
            picture.text(x + 38, y, text, size=17, anchor="start")
    return {"diffusion_unet": picture.svg("The denoiser: a U-Net that is told the step and the labels")}


def velocity(picture, left, top, side, pixels, abar):
    """√ᾱ · noise − √(1 − ᾱ) · picture, with the noise of the noisy picture."""
    seen, a, b = noisy(pixels, abar), abar**0.5, (1 - abar) ** 0.5
    v = {
        place: tuple(a * (x - a * c) / b - b * c for x, c in zip(seen[place], pixels[place], strict=True))
        for place in pixels
    }
    tiles(picture, left, top, side / 32, v, 6)


if __name__ == "__main__":
    write(draw)

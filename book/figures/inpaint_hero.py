"""First picture of the chapter: a hole, its unknown tokens, and three steps that fill them."""

import math

from _cat import EMPTY, EVERY, HOLE, PIXELS, SIZE, TOKENS, color, paint, pixels_of
from _svg import BLUE, GRAY, INK, VERMILLION, Drawing, Noise, write

SCALE, GAP = 4.5, 2.5
SIDE = SCALE * PIXELS + GAP * (TOKENS - 1)
UNKNOWN = [(row, column) for row in range(2, 6) for column in range(1, 5)]
STEPS = 3


def order():
    """Unknown tokens, those next to known ones first."""
    noise = Noise(4)
    ring = {t: min(t[0] - 2, 5 - t[0], t[1] - 1, 4 - t[1]) for t in UNKNOWN}
    return sorted(UNKNOWN, key=lambda t: ring[t] + 0.9 * noise())


def hidden_counts():
    """Tokens still hidden after each step of the cosine schedule."""
    return [
        0 if t == STEPS else math.ceil(len(UNKNOWN) * math.cos(math.pi / 2 * t / STEPS) - 1e-9)
        for t in range(STEPS + 1)
    ]


def tiles(picture, left, top, hidden, fresh=()):
    """The grid of tokens; hidden ones with a question mark, fresh ones with a frame."""
    shades = {p: color(*p) for token in EVERY if token not in hidden for p in pixels_of(token)}
    paint(picture, left, top, SCALE, shades, GAP)
    step = SCALE * SIZE + GAP
    for row, column in hidden:
        x, y = left + step * column, top + step * row
        picture.rect(x, y, SCALE * SIZE, SCALE * SIZE, fill=EMPTY, stroke=GRAY, line=1)
        picture.text(x + SCALE * SIZE / 2, y + 14.5, "?", size=15, fill=INK)
    for row, column in fresh:
        x, y = left + step * column, top + step * row
        picture.rect(x, y, SCALE * SIZE, SCALE * SIZE, stroke=VERMILLION, line=2.5)


def whole(picture, left, top, missing=()):
    gone = {p for token in missing for p in pixels_of(token)}
    shades = {(i, j): HOLE if (i, j) in gone else color(i, j) for i in range(PIXELS) for j in range(PIXELS)}
    paint(picture, left, top, SIDE / PIXELS, shades)


def draw():
    picture = Drawing(660, 470)
    lefts, tops = [22, 249, 476], (46, 272)
    sequence, counts = order(), hidden_counts()
    titles = ("a hole", "its tokens", "step 1", "step 2", "step 3", "painted again")
    for k, words in enumerate(titles):
        left, top = lefts[k % 3], tops[k // 3]
        picture.text(left + SIDE / 2, top - 14, words, size=18, weight="600")
        if k == 0:
            whole(picture, left, top, UNKNOWN)
        elif k == 5:
            whole(picture, left, top)
        else:
            done = len(UNKNOWN) - counts[k - 1]
            before = len(UNKNOWN) - counts[max(k - 2, 0)]
            tiles(picture, left, top, sequence[done:], sequence[before:done])
        if k % 3 < 2:
            x = left + SIDE + 12
            picture.arrow((x, top + SIDE / 2), (x + 42, top + SIDE / 2), stroke=BLUE, line=3)
    picture.text(
        330, 456, "All unknown tokens are guessed in each step; the surest guesses stay.", size=17, fill=INK
    )
    return {"inpaint_hero": picture.svg("A hole in a picture is filled token by token, the surest first")}


if __name__ == "__main__":
    write(draw)

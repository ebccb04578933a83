"""Front-page card of the chapter: a cat half written in tokens, some of them unknown, and the whole cat."""

from _cat import PIXELS, color, paint
from _svg import GREEN, Drawing, write
from inpaint_hero import SIDE, hidden_counts, order, tiles


def draw():
    picture = Drawing(320, 180)
    inner = Drawing(0, 0, card=False)
    sequence, counts = order(), hidden_counts()
    done = len(sequence) - counts[2]
    tiles(inner, 0, 0, sequence[done:], sequence[len(sequence) - counts[1] : done])
    scale = 136 / SIDE
    picture.add("g", "".join(inner.parts), transform=f"translate(12 22) scale({scale:.3f})")
    picture.arrow((152, 90), (170, 90), stroke=GREEN, line=3)
    whole = {(i, j): color(i, j) for i in range(PIXELS) for j in range(PIXELS)}
    paint(picture, 174, 22, 4.25, whole)
    return {"card_inpainting": picture.svg("Unknown tokens of a picture, and the picture")}


if __name__ == "__main__":
    write(draw)

"""Front-page card of the chapter: the lab's XOR network on its plateau, in its fall, and at the end."""

from _svg import Drawing, write
from _xor import draw_region, stored

SIDE, GAP, TOP = 96, 8, 40


def draw():
    picture = Drawing(320, 180)
    for k, (epoch, rows) in enumerate(stored()["regions"].items()):
        left = 8 + (SIDE + GAP) * k
        draw_region(picture, left, TOP, SIDE, rows)
        picture.text(left + SIDE / 2, TOP + SIDE + 24, f"epoch {epoch}", size=15)
    return {"card_backpropagation": picture.svg("A network learns XOR: plateau, fall, solution")}


if __name__ == "__main__":
    write(draw)

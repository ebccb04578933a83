"""Front-page card of the chapter: a healthy run, one that overfits, and one with wrong labels."""

from _svg import Drawing, write
from _training import draw_losses, stored

SIDE, TOP = 88, 44


def draw():
    picture, runs = Drawing(320, 180), stored()
    for k, (letter, words) in enumerate((("D", "healthy"), ("C", "few data"), ("J", "bad labels"))):
        left = 16 + 102 * k
        draw_losses(picture, (left, TOP, SIDE, 82), runs[letter]).axes()
        picture.text(left + SIDE / 2, TOP + 110, words, size=15)
    return {"card_training": picture.svg("Loss curves of three training runs")}


if __name__ == "__main__":
    write(draw)

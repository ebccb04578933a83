"""Front-page card of the chapter: a state handed on from step to step, and the gradient on its way back."""

from _svg import BLUE, INK, ORANGE, Drawing, write


def draw():
    picture = Drawing(320, 180)
    for k, letter in enumerate("SEQU"):
        x = 44 + 66 * k
        picture.rect(x - 20, 58, 40, 44, fill="#DCE9F2", stroke=BLUE, radius=7, line=3)
        picture.arrow((x, 138), (x, 107), stroke=INK, line=2.5)
        picture.text(x, 164, letter, size=22, weight="600")
        picture.arrow((x, 54), (x, 26), stroke=INK, line=2.5)
        picture.arrow((x + 21, 72), (x + 45, 72), stroke=INK, line=2.5)
        if k:
            picture.arrow((x - 22, 90), (x - 44, 90), stroke=ORANGE, line=4)
    return {
        "card_sequences": picture.svg("A state handed on from step to step, and the gradient on its way back")
    }


if __name__ == "__main__":
    write(draw)

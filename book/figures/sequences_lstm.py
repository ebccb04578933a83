"""One step of the LSTM: the cell's line meets a product and a sum, and no matrix."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, Drawing, write


def knot(picture, x, y, sign):
    picture.circle(x, y, 16, fill="#FDFCF9", stroke=INK, line=2)
    picture.text(x, y + 7, sign, size=22)


def draw():
    picture = Drawing(760, 380)
    cell, row, bottom = 70, 236, 330
    picture.path([(84, cell), (164, cell)], stroke=GREEN, line=5)
    picture.path([(196, cell), (334, cell)], stroke=GREEN, line=5)
    picture.path([(366, cell), (668, cell)], stroke=GREEN, line=5)
    picture.arrow((660, cell), (700, cell), stroke=GREEN, line=5)
    picture.text(36, cell + 7, "c", size=20, weight="600")
    picture.text(46, cell + 13, "t−1", size=13, anchor="start")
    picture.text(712, cell + 7, "c", size=20, weight="600", anchor="start")
    picture.text(725, cell + 13, "t", size=13, anchor="start")
    gates = ((180, "σ", "f"), (290, "σ", "i"), (410, "tanh", "c̃"), (540, "σ", "o"))
    for x, words, name in gates:
        picture.rect(x - 34, row, 68, 40, fill="#F9E3BF", stroke=ORANGE, radius=6, line=2)
        picture.text(x, row + 26, words, size=18)
        picture.arrow((x, bottom), (x, row + 44), stroke=GRAY)
        picture.text(x + 14, row - 14, name, size=18, weight="600", anchor="start")
    picture.path([(60, bottom), (540, bottom)], stroke=GRAY, line=2)
    picture.text(
        60,
        bottom + 28,
        "x and h of the step before, beside each other, times U and W",
        size=16,
        anchor="start",
        fill=GRAY,
    )
    picture.arrow((180, row), (180, cell + 20), stroke=INK)
    knot(picture, 180, cell, "×")
    picture.path([(290, row), (290, 156), (334, 156)], stroke=INK, line=2)
    picture.path([(410, row), (410, 156), (366, 156)], stroke=INK, line=2)
    knot(picture, 350, 156, "×")
    picture.arrow((350, 140), (350, cell + 20), stroke=INK)
    knot(picture, 350, cell, "+")
    picture.path([(620, cell), (620, 112)], stroke=INK, line=2)
    picture.rect(586, 104, 68, 36, fill="#F9E3BF", stroke=ORANGE, radius=6, line=2)
    picture.text(620, 128, "tanh", size=18)
    picture.arrow((620, 140), (620, 186), stroke=INK)
    picture.path([(540, row), (540, 206), (604, 206)], stroke=INK, line=2)
    knot(picture, 620, 206, "×")
    picture.arrow((636, 206), (700, 206), stroke=BLUE, line=4)
    picture.text(712, 213, "h", size=20, weight="600", anchor="start")
    picture.text(728, 219, "t", size=13, anchor="start")
    return {"sequences_lstm": picture.svg("One step of the LSTM")}


if __name__ == "__main__":
    write(draw)

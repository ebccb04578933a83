"""Confusion matrix of a test for a rare illness: rows are the truth, columns the answer."""

from _svg import BLUE, GRAY, INK, VERMILLION, Drawing, write

LEFT, TOP, SIDE, ROW = 190, 96, 170, 92


def draw():
    picture = Drawing(720, 400)
    picture.text(LEFT + SIDE, 34, "what the test says", size=17, weight="600")
    for column, name in enumerate(("positive", "negative")):
        picture.text(LEFT + SIDE * (column + 0.5), 70, name, size=16)
    picture.text(96, 60, "the truth", size=17, weight="600")
    names = (
        (("9", "true positives"), ("1", "false negative")),
        (("50", "false positives"), ("940", "true negatives")),
    )
    for row, title in enumerate(("ill: 10", "healthy: 990")):
        picture.text(LEFT - 18, TOP + ROW * (row + 0.5) + 6, title, size=16, anchor="end")
        for column in range(2):
            number, words = names[row][column]
            x, y = LEFT + SIDE * column, TOP + ROW * row
            picture.rect(x, y, SIDE, ROW, stroke=GRAY)
            picture.text(x + SIDE / 2, y + 42, number, size=26, weight="600")
            picture.text(x + SIDE / 2, y + 70, words, size=15)
    picture.rect(LEFT + 5, TOP + 5, 2 * SIDE - 10, ROW - 10, stroke=BLUE, line=3, radius=8)
    picture.text(LEFT + 2 * SIDE + 14, TOP + 38, "recall:", size=17, fill=BLUE, anchor="start", weight="600")
    picture.text(LEFT + 2 * SIDE + 14, TOP + 62, "9 / 10 = 0.90", size=17, fill=BLUE, anchor="start")
    picture.rect(LEFT + 10, TOP - 6, SIDE - 20, 2 * ROW + 12, stroke=VERMILLION, line=3, radius=8, dash="8 5")
    center = LEFT + SIDE / 2
    picture.text(center, TOP + 2 * ROW + 40, "precision:", size=17, fill=VERMILLION, weight="600")
    picture.text(center, TOP + 2 * ROW + 64, "9 / 59 = 0.15", size=17, fill=VERMILLION)
    picture.text(LEFT + 1.6 * SIDE + 60, TOP + 2 * ROW + 52, "1,000 people", size=16, fill=INK)
    return {"learning_confusion": picture.svg("Confusion matrix of a test for a rare illness")}


if __name__ == "__main__":
    write(draw)

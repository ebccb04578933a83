"""One step of a convolution layer: a picture of even numbers, a kernel, and four outputs."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

SIDE = 54
PALE_ORANGE, PALE_BLUE = "#F9E3BF", "#DCE9F2"


def grid(picture, left, top, rows, marked, color):
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            x, y = left + SIDE * j, top + SIDE * i
            fill = color if (i, j) in marked else "#FDFCF9"
            picture.rect(x, y, SIDE, SIDE, stroke=GRAY, fill=fill, line=1.5)
            picture.text(x + SIDE / 2, y + SIDE / 2 + 6, str(value), size=18, fill=INK)


def draw():
    picture = Drawing(660, 250)
    x = [[2, 4, 6], [8, 10, 12], [14, 16, 18]]
    w, bias = [[1, 3], [5, 7]], 5
    y = [
        [sum(w[u][v] * x[i + u][j + v] for u in range(2) for v in range(2)) + bias for j in range(2)]
        for i in range(2)
    ]
    window = {(i, j) for i in range(2) for j in range(2)}
    for left, words in ((111, "picture"), (354, "kernel"), (560, "output")):
        picture.text(left, 34, words, size=17, weight="600")
    grid(picture, 30, 56, x, window, PALE_ORANGE)
    picture.rect(30, 56, 2 * SIDE, 2 * SIDE, stroke=ORANGE, line=4)
    grid(picture, 300, 83, w, window, PALE_ORANGE)
    grid(picture, 506, 83, y, {(0, 0)}, PALE_BLUE)
    picture.rect(506, 83, SIDE, SIDE, stroke=BLUE, line=4)
    picture.text(246, 143, "⋆", size=30)
    picture.text(440, 143, "+ 5  =", size=20)
    picture.text(354, 218, "1·2 + 3·4 + 5·8 + 7·10 = 124", size=16)
    return {"convolution_slide": picture.svg("One step of a convolution layer")}


if __name__ == "__main__":
    write(draw)

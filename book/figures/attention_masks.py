"""Who may look where: an encoder, a decoder, and a decoder that asks an encoder."""

from _svg import BLUE, GRAY, GREEN, ORANGE, PALE, Drawing, write

CELL, TOP = 23, 84


def mask(picture, left, rows, columns, color, words, allowed):
    picture.text(left + CELL * columns / 2, 40, words, size=18, weight="600")
    for i in range(rows):
        for j in range(columns):
            fill = color if allowed(i, j) else "#FFFFFF"
            picture.rect(left + CELL * j, TOP + CELL * i, CELL, CELL, fill=fill, stroke=PALE, line=1)
    picture.rect(left, TOP, CELL * columns, CELL * rows, stroke=GRAY, line=1.5)


def draw():
    picture = Drawing(720, 330)
    mask(picture, 50, 8, 8, BLUE, "encoder", lambda i, j: True)
    mask(picture, 272, 8, 8, ORANGE, "decoder", lambda i, j: j <= i)
    mask(picture, 494, 5, 8, GREEN, "cross-attention", lambda i, j: j < 6)
    picture.text(50, 70, "asked →", size=16, fill=GRAY, anchor="start")
    picture.text(8, TOP + 60, "asks", size=16, fill=GRAY, anchor="start")
    picture.text(20, TOP + 84, "↓", size=18, fill=GRAY, anchor="start")
    picture.text(494 + 7 * CELL, TOP + 5 * CELL + 24, "padding", size=16, fill=GRAY)
    picture.text(360, 308, "colored: may look", size=17, fill=GRAY)
    return {"attention_masks": picture.svg("Who may look where in encoder, decoder and cross-attention")}


if __name__ == "__main__":
    write(draw)

"""Which numbers share a mean: batch, layer, instance and group normalization."""

from _svg import BLUE, CARD, GRAY, INK, SKY, Drawing, write

PICTURES, CHANNELS, CELL = 4, 6, 44
KINDS = (  # name, rows and columns of a set
    ("batch norm", PICTURES, 1),
    ("layer norm", 1, CHANNELS),
    ("instance norm", 1, 1),
    ("group norm, 2 groups", 1, CHANNELS // 2),
)


def draw():
    picture = Drawing(720, 540)
    for k, (name, rows, columns) in enumerate(KINDS):
        left, top = 68 + 342 * (k % 2), 50 + 256 * (k // 2)
        for i in range(0, PICTURES, rows):
            for j in range(0, CHANNELS, columns):
                chosen = i == (0 if rows > 1 else 1) and j == (2 if columns == 1 else 0)
                for a in range(i, i + rows):
                    for b in range(j, j + columns):
                        x, y = left + CELL * b, top + CELL * a
                        picture.rect(x, y, CELL, CELL, fill=BLUE if chosen else CARD, stroke=SKY, line=1)
                x, y = left + CELL * j, top + CELL * i
                picture.rect(x, y, CELL * columns, CELL * rows, stroke=INK, line=2.5)
        picture.text(left + CELL * CHANNELS / 2, top - 14, name, size=18, weight="600")
        picture.text(left + CELL * CHANNELS / 2, top + CELL * PICTURES + 22, "channels", size=15, fill=GRAY)
        for i in range(PICTURES):
            picture.text(left - 12, top + CELL * (i + 0.6), str(i + 1), size=15, anchor="end", fill=GRAY)
    picture.text(
        360, 526, "rows: pictures of the batch; thick frames: one mean and one variance each", size=15
    )
    return {"training_norms": picture.svg("Which entries share a mean in four kinds of normalization")}


if __name__ == "__main__":
    write(draw)

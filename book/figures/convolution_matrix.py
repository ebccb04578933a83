"""A strided convolution as a sparse matrix, and its transpose: the same three numbers, read the other way."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, Drawing, write

INPUTS, KERNEL, STRIDE = 9, 3, 2
OUTPUTS = (INPUTS - KERNEL) // STRIDE + 1
COLORS = (BLUE, ORANGE, GREEN)
SIDE, TOP, LEFT, RIGHT = 34, 78, 30, 425


def weight(o, i):
    """Which kernel entry stands in row o, column i of the convolution's matrix, or None."""
    k = i - STRIDE * o
    return k if 0 <= k < KERNEL else None


def grid(picture, left, rows, columns, entry):
    for i in range(rows):
        for j in range(columns):
            x, y, k = left + SIDE * j, TOP + SIDE * i, entry(i, j)
            picture.rect(
                x + 1, y + 1, SIDE - 2, SIDE - 2, radius=3, fill="#ECEAE3" if k is None else COLORS[k]
            )
            if k is not None:
                ink = "#FFFFFF" if k == 0 else INK
                picture.text(x + SIDE / 2, y + SIDE / 2 + 6, f"w{'₀₁₂'[k]}", size=17, fill=ink, weight="600")


def draw():
    picture = Drawing(660, 402)
    picture.text(LEFT, 32, "convolution: C", size=20, anchor="start", weight="600")
    picture.text(LEFT, 60, f"{INPUTS} inputs to {OUTPUTS} outputs", size=17, anchor="start")
    grid(picture, LEFT, OUTPUTS, INPUTS, weight)
    picture.text(RIGHT, 32, "its transpose: Cᵀ", size=20, anchor="start", weight="600")
    picture.text(RIGHT, 60, f"{OUTPUTS} inputs to {INPUTS} outputs", size=17, anchor="start")
    grid(picture, RIGHT, INPUTS, OUTPUTS, lambda i, j: weight(j, i))
    for i in range(INPUTS):
        number = sum(weight(o, i) is not None for o in range(OUTPUTS))
        y = TOP + SIDE * i + SIDE / 2
        picture.text(RIGHT + SIDE * OUTPUTS + 16, y + 6, str(number), size=18, weight="600")
        for n in range(number):
            picture.circle(RIGHT + SIDE * OUTPUTS + 38 + 15 * n, y, 5.5, fill=GRAY)
    y = TOP + SIDE * OUTPUTS + 40
    for k, line in enumerate(
        ("Each row of C is the row above,", "moved right by the stride.", "Each column of Cᵀ is a stamp:")
    ):
        picture.text(LEFT, y + 27 * k, line, size=18, anchor="start")
    picture.text(LEFT, y + 81, "one input writes three outputs.", size=18, anchor="start")
    return {"convolution_matrix": picture.svg("A convolution as a sparse matrix, and its transpose")}


if __name__ == "__main__":
    write(draw)

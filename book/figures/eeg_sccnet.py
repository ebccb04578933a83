"""SCCNet from top to bottom: each array as a rectangle, each operation with its result's shape."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, PALE, SKY, VERMILLION, Drawing, write

C, T, FILTERS, TEMPORAL, KERNEL, PADDING, POOL, STRIDE, CLASSES = 22, 438, 22, 20, 12, 6, 62, 12, 4
T1 = T + 2 * PADDING - KERNEL + 1
T2 = (T1 - POOL) // STRIDE + 1

# what the operation is called, its formula or setting, rows and columns of its result, color
STEPS = (
    ("signal", "electrodes × samples", C, T, PALE),
    ("spatial filters", "Wᵀ X + b, batch norm", FILTERS, T, SKY),
    ("temporal filters", f"{KERNEL} samples of all rows, batch norm", TEMPORAL, T1, BLUE),
    ("square", "phase is thrown away here", TEMPORAL, T1, VERMILLION),
    ("average", f"{POOL} samples, every {STRIDE}", TEMPORAL, T2, ORANGE),
    ("logarithm", "a gain becomes an offset", TEMPORAL, T2, GREEN),
    ("classifier", f"{TEMPORAL} · {T2} = {TEMPORAL * T2} numbers to {CLASSES}", 1, CLASSES, INK),
)
WIDTH, ROW, TOP, LONGEST = 600, 74, 22, 200


def draw():
    picture = Drawing(WIDTH, TOP + ROW * len(STEPS) + 4)
    for k, (name, detail, rows, columns, color) in enumerate(STEPS):
        y = TOP + ROW * k
        width, height = max(LONGEST * columns / T1, 8), max(1.9 * rows, 8)
        center = 120
        picture.rect(center - width / 2, y + 22 - height / 2, width, height, radius=3, fill=color, stroke=INK)
        if k + 1 < len(STEPS):
            below = max(1.9 * STEPS[k + 1][2], 8)
            picture.arrow((center, y + 24 + height / 2), (center, y + ROW + 20 - below / 2), stroke=GRAY)
        picture.text(242, y + 18, name, size=19, anchor="start", weight="600")
        picture.text(242, y + 41, detail, size=17, anchor="start")
        picture.text(
            WIDTH - 18, y + 18, f"({rows}, {columns})" if rows > 1 else f"({columns},)", size=19, anchor="end"
        )
    return {"eeg_sccnet": picture.svg("SCCNet, layer by layer, with the shape of each result")}


if __name__ == "__main__":
    write(draw)

"""The lab's XOR run, for the chapter's pictures: its losses, and what the network says of the plane at some epochs.

The pictures are drawn from the stored run `xor_run.json`, because the last bits of the computation, which differ
between processors, grow in the unstable part of the run. `python book/figures/_xor.py` stores it anew; a test
compares it with a fresh run.
"""

import json
import sys
from pathlib import Path

from _svg import CARD, INK, ROOT

STORED = Path(__file__).with_name("xor_run.json")
CELLS, EPOCHS = 32, 6000
COLORS = ("#3A8EC1", "#6FADD2", "#A5CCE3", "#D6E4EA", "#F3E3D5", "#EDBF97", "#E49A5F", "#DB762B")
POINTS = [(i, i, 0) for i in range(11)] + [(i, 10 - i, 1) for i in range(11) if i != 5]  # tenths, label


def run():
    """{"losses": [[epoch, loss], …], "regions": {epoch: rows of color levels as digits}} from the lab's own code."""
    sys.path.insert(0, str(ROOT))
    import numpy as np

    from dlp_utils.data import toy
    from dlp_utils.models.backpropagation import SGD, BCEWithLogits, Sigmoid, mlp, sigmoid, train

    x, y = toy.xor()
    axis = (np.arange(CELLS) + 0.5) / CELLS * 1.2 - 0.1
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # (CELLS², 2)
    loss = BCEWithLogits()
    losses, _ = train(mlp((2, 10, 10, 1), Sigmoid, seed=0), loss, SGD(lr=1.0), x, y, EPOCHS)
    fall = int(np.argmax(losses < 0.4))  # halfway down
    network, optimizer, regions, done = mlp((2, 10, 10, 1), Sigmoid, seed=0), SGD(lr=1.0), {}, 0
    for epoch in (1000, fall, EPOCHS):
        train(network, loss, optimizer, x, y, epoch - done)
        probability, done = sigmoid(network.forward(plane)).reshape(CELLS, CELLS), epoch
        level = np.minimum((probability * len(COLORS)).astype(int), len(COLORS) - 1)
        regions[str(epoch)] = ["".join(map(str, row)) for row in level]
    # Every tenth epoch, and each one in the steep part, is all that the eye can tell apart.
    shown = [e for e in range(EPOCHS) if e % 10 == 0 or abs(losses[max(e - 1, 0)] - losses[e]) > 2e-3]
    return {"losses": [[e, round(float(losses[e]), 4)] for e in shown], "regions": regions}


def stored():
    """The stored run, in the form that `run` returns."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def draw_region(picture, left, top, side, rows):
    """A square of the plane, colored by probability, with the 21 points on it."""
    cell = side / CELLS
    for row, levels in enumerate(rows):
        start = 0
        for column in range(1, CELLS + 1):  # one rectangle for each run of equal cells
            if column == CELLS or levels[column] != levels[start]:
                # A hair wider and higher than the cells, or the card shines through the seams.
                picture.rect(
                    left + cell * start,
                    top + side - cell * (row + 1),
                    cell * (column - start) + 0.3,
                    cell + 0.3,
                    fill=COLORS[int(levels[start])],
                )
                start = column
    size = side / 30
    for px, py, label in POINTS:
        cx, cy = left + side * (px / 10 + 0.1) / 1.2, top + side * (1 - (py / 10 + 0.1) / 1.2)
        if label:
            corners = [(cx - size, cy + 0.8 * size), (cx + size, cy + 0.8 * size), (cx, cy - 1.05 * size)]
            picture.path(corners, stroke=CARD, fill=INK, line=0.7, closed=True)
        else:
            picture.circle(cx, cy, 0.9 * size, fill=INK, stroke=CARD, line=0.7)


if __name__ == "__main__":
    STORED.write_text(json.dumps(run(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{STORED.name}: {STORED.stat().st_size / 1000:.1f} kB")

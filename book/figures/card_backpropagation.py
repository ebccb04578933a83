"""Front-page card of the chapter: the lab's XOR network on its plateau, in its fall, and at the end."""

import sys

from _svg import CARD, INK, ROOT, Drawing, write

sys.path.insert(0, str(ROOT))
import numpy as np

from dlp_utils.data import toy
from dlp_utils.models.backpropagation import SGD, BCEWithLogits, Sigmoid, mlp, sigmoid, train

CELLS, SIDE, GAP, TOP = 32, 96, 8, 40
COLORS = ("#3A8EC1", "#6FADD2", "#A5CCE3", "#D6E4EA", "#F3E3D5", "#EDBF97", "#E49A5F", "#DB762B")


def moments():
    """{epoch: probabilities (CELLS, CELLS)} on the plateau, in the fall, at the end."""
    x, y = toy.xor()
    axis = (np.arange(CELLS) + 0.5) / CELLS * 1.2 - 0.1
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    network, loss = mlp((2, 10, 10, 1), Sigmoid, seed=1), BCEWithLogits()
    found, done = {}, 0
    losses, _ = train(mlp((2, 10, 10, 1), Sigmoid, seed=1), loss, SGD(lr=2.0), x, y, 3000)
    fall = int(np.argmax(losses < 0.4))  # halfway down
    for epoch in (200, fall, 3000):
        train(network, loss, SGD(lr=2.0), x, y, epoch - done)
        found[epoch], done = sigmoid(network.forward(plane)).reshape(CELLS, CELLS), epoch
    return found


def draw():
    picture = Drawing(320, 180)
    x, y = toy.xor()
    for k, (epoch, probability) in enumerate(moments().items()):
        left, cell = 8 + (SIDE + GAP) * k, SIDE / CELLS
        level = np.minimum((probability * len(COLORS)).astype(int), len(COLORS) - 1)
        for row in range(CELLS):
            start = 0
            for column in range(1, CELLS + 1):  # one rectangle for each run of equal cells
                if column == CELLS or level[row, column] != level[row, start]:
                    top = TOP + SIDE - cell * (row + 1)
                    # A hair wider and higher than the cell, or the card shines through the seams.
                    picture.rect(
                        left + cell * start,
                        top,
                        cell * (column - start) + 0.3,
                        cell + 0.3,
                        fill=COLORS[level[row, start]],
                    )
                    start = column
        for (px, py), label in zip(x, y[:, 0], strict=True):
            cx, cy = left + SIDE * (px + 0.1) / 1.2, TOP + SIDE * (1 - (py + 0.1) / 1.2)
            if label:
                points = [(cx - 3.2, cy + 2.6), (cx + 3.2, cy + 2.6), (cx, cy - 3.4)]
                picture.path(points, stroke=CARD, fill=INK, line=0.7, closed=True)
            else:
                picture.circle(cx, cy, 2.9, fill=INK, stroke=CARD, line=0.7)
        picture.text(left + SIDE / 2, TOP + SIDE + 24, f"epoch {epoch}", size=15)
    return {
        "card_backpropagation": picture.svg("A network learns XOR: plateau, fall, solution"),
    }


if __name__ == "__main__":
    write(draw)

"""The lab's XOR run, for the chapter's pictures: its losses, and what the network says of the plane at some epochs."""

import sys

from _svg import CARD, INK, ROOT

sys.path.insert(0, str(ROOT))
import numpy as np

from dlp_utils.data import toy
from dlp_utils.models.backpropagation import SGD, BCEWithLogits, Sigmoid, mlp, sigmoid, train

CELLS = 32
COLORS = ("#3A8EC1", "#6FADD2", "#A5CCE3", "#D6E4EA", "#F3E3D5", "#EDBF97", "#E49A5F", "#DB762B")


def run(epochs=6000):
    """(losses (epochs,), {epoch: probabilities (CELLS, CELLS)}) on the plateau, in the fall, at the end."""
    x, y = toy.xor()
    axis = (np.arange(CELLS) + 0.5) / CELLS * 1.2 - 0.1
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # (CELLS², 2)
    loss, optimizer = BCEWithLogits(), SGD(lr=1.0)
    losses, _ = train(mlp((2, 10, 10, 1), Sigmoid, seed=0), loss, optimizer, x, y, epochs)
    fall = int(np.argmax(losses < 0.4))  # halfway down
    network, optimizer, regions, done = mlp((2, 10, 10, 1), Sigmoid, seed=0), SGD(lr=1.0), {}, 0
    for epoch in (1000, fall, epochs):
        train(network, loss, optimizer, x, y, epoch - done)
        regions[epoch], done = sigmoid(network.forward(plane)).reshape(CELLS, CELLS), epoch
    return losses, regions


def draw_region(picture, left, top, side, probability):
    """A square of the plane, colored by probability, with the 21 points on it."""
    cell = side / CELLS
    level = np.minimum((probability * len(COLORS)).astype(int), len(COLORS) - 1)
    for row in range(CELLS):
        start = 0
        for column in range(1, CELLS + 1):  # one rectangle for each run of equal cells
            if column == CELLS or level[row, column] != level[row, start]:
                # A hair wider and higher than the cells, or the card shines through the seams.
                picture.rect(
                    left + cell * start,
                    top + side - cell * (row + 1),
                    cell * (column - start) + 0.3,
                    cell + 0.3,
                    fill=COLORS[level[row, start]],
                )
                start = column
    x, y = toy.xor()
    size = side / 30
    for (px, py), label in zip(x, y[:, 0], strict=True):
        cx, cy = left + side * (px + 0.1) / 1.2, top + side * (1 - (py + 0.1) / 1.2)
        if label:
            corners = [(cx - size, cy + 0.8 * size), (cx + size, cy + 0.8 * size), (cx, cy - 1.05 * size)]
            picture.path(corners, stroke=CARD, fill=INK, line=0.7, closed=True)
        else:
            picture.circle(cx, cy, 0.9 * size, fill=INK, stroke=CARD, line=0.7)

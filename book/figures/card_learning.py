"""Front-page card of the chapter: the error on new digits falls, rises to a peak, and falls again."""

import math

from _learning import stored
from _plot import Panel
from _svg import GRAY, GREEN, VERMILLION, Drawing, write


def draw():
    rows, picture = stored(), Drawing(320, 180)
    panel = Panel(picture, (24, 20, 274, 140), (1, math.log10(4000)), (0, 0.9))
    sizes = sorted(rows["test"])
    at = [math.log10(size) for size in sizes]
    picture.path([panel.at(1, 0), panel.at(math.log10(4000), 0)], stroke=GRAY, line=1.5)
    for name, color, dash in (("ridge", GREEN, "7 5"), ("test", VERMILLION, None)):
        means = [sum(rows[name][size]) / len(rows[name][size]) for size in sizes]
        panel.curve(at, means, color, line=4, dash=dash)
    return {"card_learning": picture.svg("Error over the size of a model: down, up, and down again")}


if __name__ == "__main__":
    write(draw)

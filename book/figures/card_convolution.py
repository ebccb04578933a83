"""Front-page card of the chapter: the comb, and the flat line above it."""

from _comb import stored
from _plot import Panel
from _svg import BLUE, GRAY, GREEN, VERMILLION, Drawing, write


def draw():
    mean, picture = stored(), Drawing(320, 180)
    panel = Panel(picture, (24, 20, 274, 140), (0, 8), (0, 1))
    picture.path([panel.at(0, 0), panel.at(8, 0)], stroke=GRAY, line=1.5)
    for name, color, dash in (
        ("flatten", BLUE, "7 5"),
        ("no stride", GREEN, None),
        ("global", VERMILLION, None),
    ):
        panel.curve(range(9), mean[name], color, line=4, dash=dash)
    return {"card_convolution": picture.svg("Accuracy over the shift: a comb, and a flat line above it")}


if __name__ == "__main__":
    write(draw)

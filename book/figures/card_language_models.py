"""Front-page card of the chapter: surprise at known text falls, at a new play it turns up."""

from _language import ORDERS, stored
from _plot import Panel
from _svg import BLUE, GRAY, VERMILLION, Drawing, write


def draw():
    rows, picture = stored(), Drawing(320, 180)
    panel = Panel(picture, (24, 18, 274, 142), (1, 8), (0.4, 4.9))
    picture.path([panel.at(1, 0.4), panel.at(8, 0.4)], stroke=GRAY, line=1.5)
    panel.curve(ORDERS, rows["known"], BLUE, line=4, dash="8 6")
    panel.curve(ORDERS, rows["new"], VERMILLION, line=4)
    return {
        "card_language_models": picture.svg("Surprise over the length of the context, on old and new text")
    }


if __name__ == "__main__":
    write(draw)

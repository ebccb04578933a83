"""First picture of the chapter: accuracy over the shift, which has the teeth of a comb."""

from _comb import stored
from _plot import Panel
from _svg import BLUE, GRAY, GREEN, VERMILLION, Drawing, write

CURVES = (
    ("no stride", GREEN, None, "no stride, global maximum", (4.6, 0.99)),
    ("global", VERMILLION, None, "global maximum", (4.36, 0.82)),
    ("flatten", BLUE, "9 5", "flattened", (0.95, 0.68)),
    ("MLP", GRAY, "3 4", "no convolution", (0.95, 0.06)),
)


def draw():
    mean, picture = stored(), Drawing(720, 420)
    panel = Panel(picture, (70, 40, 620, 300), (0, 8), (0, 1.05))
    ticks = [(k, str(k)) for k in range(9)]
    panel.axes(ticks, [(k / 5, f"{k / 5:.1f}") for k in range(6)], "pixels to the right", "share right")
    for name, color, dash, words, place in CURVES:
        panel.curve(range(9), mean[name], color, dash=dash)
        for k, value in enumerate(mean[name]):
            picture.circle(*panel.at(k, value), 5 if name == "global" else 3.5, fill=color)
        picture.text(*panel.at(*place), words, size=16, fill=color, anchor="start", weight="600")
    for k in (2, 6):
        x, y = panel.at(k, mean["global"][k])
        picture.text(x, y + 24, f"{mean['global'][k]:.2f}", size=16, fill=VERMILLION, weight="600")
    return {"convolution_hero": picture.svg("Accuracy of four networks over the shift of the digits")}


if __name__ == "__main__":
    write(draw)

"""First picture of the chapter: error over the size of the model, on both sides of the peak, and with a ridge."""

import math

from _learning import stored
from _plot import Panel
from _svg import BLUE, GRAY, GREEN, PALE, VERMILLION, Drawing, write


def mean(values):
    return sum(values) / len(values)


def draw():
    rows, picture = stored(), Drawing(720, 420)
    panel = Panel(picture, (70, 40, 620, 300), (1, math.log10(4000)), (0, 0.95))
    ticks = [(math.log10(size), f"{size:,}") for size in (10, 30, 100, 300, 1000, 4000)]
    panel.axes(ticks, [(k / 5, f"{k / 5:.1f}") for k in range(5)], "number of features", "share wrong")
    sizes = sorted(rows["test"])
    at = [math.log10(size) for size in sizes]
    low = [panel.at(x, min(rows["test"][size])) for x, size in zip(at, sizes, strict=True)]
    high = [panel.at(x, max(rows["test"][size])) for x, size in zip(at, sizes, strict=True)]
    picture.path(low + high[::-1], stroke="none", fill=PALE, closed=True)
    threshold = math.log10(300)
    picture.path([panel.at(threshold, 0), panel.at(threshold, 0.95)], stroke=GRAY, line=1.5, dash="3 5")
    picture.text(*panel.at(threshold + 0.03, 0.9), "300 training digits", size=15, anchor="start")
    for name, color, dash in (("train", BLUE, None), ("ridge", GREEN, "8 5"), ("test", VERMILLION, None)):
        panel.curve(at, [mean(rows[name][size]) for size in sizes], color, dash=dash)
    picture.text(
        *panel.at(1.62, 0.31), "on new digits", size=16, fill=VERMILLION, anchor="start", weight="600"
    )
    picture.text(*panel.at(1.02, 0.08), "on the training digits", size=16, fill=BLUE, anchor="start")
    picture.text(*panel.at(2.68, 0.14), "new digits, with ridge", size=16, fill=GREEN, anchor="start")
    for size, dx, anchor in ((200, -10, "end"), (4000, -8, "end")):
        x, y = panel.at(math.log10(size), mean(rows["test"][size]))
        picture.circle(x, y, 5, fill=VERMILLION)
        value = mean(rows["test"][size])
        picture.text(x + dx, y - 14, f"{value:.2f}", size=16, fill=VERMILLION, anchor=anchor, weight="600")
    x, y = panel.at(threshold, mean(rows["test"][300]))
    picture.circle(x, y, 5, fill=VERMILLION)
    value = f"{mean(rows['test'][300]):.2f}"
    picture.text(x - 12, y + 5, value, size=16, fill=VERMILLION, anchor="end", weight="600")
    return {"learning_hero": picture.svg("Share of wrong answers over the size of the model")}


if __name__ == "__main__":
    write(draw)

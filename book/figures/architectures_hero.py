"""First picture of the chapter: training loss over depth, plain and residual."""

from _architectures import depth_losses
from _plot import Panel
from _svg import BLUE, VERMILLION, Drawing, write

WORDS = {"plain": (BLUE, "plain"), "residual": (VERMILLION, "with shortcuts")}


def draw():
    picture, losses = Drawing(640, 400), depth_losses()
    panel = Panel(picture, (70, 40, 540, 290), (4, 60), (0, 3))
    ticks = [(depth, str(depth)) for depth in (8, 20, 56)]
    panel.axes(ticks, [(k, str(k)) for k in range(4)], "layers", "training loss")
    for kind, (color, words) in WORDS.items():
        depths = sorted(losses[kind])
        means = [sum(losses[kind][d]) / len(losses[kind][d]) for d in depths]
        panel.curve(depths, means, color, dash=None if kind == "plain" else "9 5")
        for depth, mean in zip(depths, means, strict=True):
            x, y = panel.at(depth, mean)
            low, high = (panel.at(depth, f(losses[kind][depth]))[1] for f in (min, max))
            picture.path([(x, low), (x, high)], stroke=color, line=2)
            picture.circle(x, y, 6, fill=color)
            side = -14 if kind == "plain" else 26
            picture.text(x + 8, y + side, f"{mean:.2f}", size=16, fill=color, anchor="start", weight="600")
        x, y = panel.at(36, means[1] + (means[2] - means[1]) * 16 / 36)
        picture.text(x, y + (-26 if kind == "plain" else 34), words, size=17, fill=color, weight="600")
    return {
        "architectures_hero": picture.svg("Training loss of plain and residual networks over their depth")
    }


if __name__ == "__main__":
    write(draw)

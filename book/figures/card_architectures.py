"""Front-page card of the chapter: training loss over depth, plain and residual."""

from _architectures import depth_losses
from _plot import Panel
from _svg import BLUE, GRAY, VERMILLION, Drawing, write


def draw():
    picture, losses = Drawing(320, 180), depth_losses()
    panel = Panel(picture, (30, 20, 262, 136), (4, 60), (0, 3))
    picture.path([panel.at(4, 3), panel.at(4, 0), panel.at(60, 0)], stroke=GRAY, line=1.5)
    for kind, color, dash in (("plain", BLUE, None), ("residual", VERMILLION, "9 5")):
        depths = sorted(losses[kind])
        means = [sum(losses[kind][d]) / len(losses[kind][d]) for d in depths]
        panel.curve(depths, means, color, line=4, dash=dash)
        for depth, mean in zip(depths, means, strict=True):
            picture.circle(*panel.at(depth, mean), 7, fill=color)
    return {
        "card_architectures": picture.svg(
            "Training loss over depth: plain networks rise, residual ones do not"
        )
    }


if __name__ == "__main__":
    write(draw)

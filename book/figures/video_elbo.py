"""The ELBO of the one-pixel model against the proposed mean, for three widths, below the evidence."""

import math

from _plot import Panel
from _svg import BLUE, GRAY, GREEN, INK, VERMILLION, Drawing, write

W, SIGMA, X = 1.0, 0.6, 1.2
V = W**2 + SIGMA**2
EVIDENCE = -0.5 * math.log(2 * math.pi * V) - X**2 / (2 * V)
MEAN, WIDTH = W * X / V, SIGMA / math.sqrt(V)


def elbo(mean, width):
    fit = ((X - W * mean) ** 2 + (W * width) ** 2) / (2 * SIGMA**2)
    divergence = (mean**2 + width**2 - 1 - math.log(width**2)) / 2
    return -0.5 * math.log(2 * math.pi * SIGMA**2) - fit - divergence


def draw():
    picture = Drawing(640, 400)
    panel = Panel(picture, (64, 50, 548, 268), (-0.4, 2.2), (-4.2, -1.2))
    ticks = [(value, f"{value:g}".replace("-", "−")) for value in (-4, -3, -2)]
    panel.axes([(v, f"{v:g}") for v in (0, 0.5, 1, 1.5, 2)], ticks, "mean μ of the proposal", "nats")
    means = [-0.4 + 2.6 * k / 80 for k in range(81)]
    for factor, color, dash in ((0.5, VERMILLION, "3 6"), (1, BLUE, None), (2, GREEN, "11 6")):
        points = [(m, elbo(m, factor * WIDTH)) for m in means]
        shown = [(m, v) for m, v in points if v > -4.2]
        panel.curve(*zip(*shown, strict=True), stroke=color, dash=dash, line=3.2)
    panel.curve((-0.4, 2.2), (EVIDENCE, EVIDENCE), stroke=INK, line=2.2)
    picture.text(
        panel.at(2.2, 0)[0], panel.at(0, EVIDENCE)[1] - 9, "evidence log p(x)", anchor="end", size=17
    )
    touch = panel.at(MEAN, EVIDENCE)
    picture.circle(*touch, 6, fill=BLUE)
    low = elbo(0.35, WIDTH)
    picture.arrow(panel.at(0.35, EVIDENCE - 0.06), panel.at(0.35, low + 0.02), stroke=GRAY)
    picture.text(
        panel.at(0.3, 0)[0],
        panel.at(0, (EVIDENCE + low) / 2)[1] + 5,
        "KL(q ‖ posterior)",
        anchor="end",
        size=17,
    )
    picture.path([(76, 386), (112, 386)], stroke=BLUE, line=3.2)
    picture.text(118, 391, "s of the posterior", anchor="start")
    picture.path([(288, 386), (324, 386)], stroke=VERMILLION, line=3.2, dash="3 6")
    picture.text(330, 391, "half of it", anchor="start")
    picture.path([(462, 386), (498, 386)], stroke=GREEN, line=3.2, dash="11 6")
    picture.text(504, 391, "twice", anchor="start")
    return {"video_elbo": picture.svg("The ELBO touches the evidence where the proposal is the posterior")}


if __name__ == "__main__":
    write(draw)

"""Two bells over x_{t-1}, one from x_t and one from x_0, and their normalised product."""

import math

from _diffusion import bell, words
from _plot import Panel
from _svg import BLUE, GREEN, INK, VERMILLION, Drawing, write

ALPHA, BEFORE, X0, XT = 0.8, 0.5, 1.0, -1.0  # alpha_t, alphabar_{t-1}, x_0, x_t


def numbers():
    """(mean, sd) of q(x_{t-1} | x_0) and of q(x_{t-1} | x_t, x_0), from the chapter's formulas."""
    beta, now = 1 - ALPHA, ALPHA * BEFORE
    prior = (math.sqrt(BEFORE) * X0, math.sqrt(1 - BEFORE))
    variance = (1 - BEFORE) / (1 - now) * beta
    mean = math.sqrt(BEFORE) * beta / (1 - now) * X0 + math.sqrt(ALPHA) * (1 - BEFORE) / (1 - now) * XT
    return prior, (mean, math.sqrt(variance))


def likelihood(x):
    """q(x_t | x_{t-1} = x), as a function of x."""
    return bell(XT, math.sqrt(ALPHA) * x, math.sqrt(1 - ALPHA))


def short(value):
    return f"{value:.2f}".replace("-", "−")


def draw():
    picture = Drawing(660, 440)
    panel = Panel(picture, (30, 76, 600, 292), (-3, 3), (0, 1.02))
    prior, product = numbers()
    grid = [-3 + 6 * k / 240 for k in range(241)]
    curves = (
        (likelihood, VERMILLION, "9 5"),
        (lambda x: bell(x, *prior), BLUE, "3 6"),
        (lambda x: bell(x, *product), GREEN, None),
    )
    # what the product must be: proportional to the other two
    ratios = [curves[2][0](x) / (curves[0][0](x) * curves[1][0](x)) for x in (-2.0, -0.4, 0.9)]
    assert max(ratios) - min(ratios) < 1e-9 * ratios[0]
    points = [panel.at(x, curves[2][0](x)) for x in grid]
    picture.path([panel.at(-3, 0), *points, panel.at(3, 0)], stroke=None, fill="#CDEBE1", closed=True)
    panel.axes([(v, f"{v}".replace("-", "−")) for v in range(-3, 4)], (), size=17)
    words(picture, 330, 426, "x_{t−1}", size=19)
    for function, tint, dash in curves:
        panel.curve(grid, [function(x) for x in grid], tint, line=3.5, dash=dash)
    marks = ((XT / math.sqrt(ALPHA), VERMILLION), (prior[0], BLUE), (product[0], GREEN))
    for (x, tint), (function, *_) in zip(marks, curves, strict=True):
        picture.path([panel.at(x, 0), panel.at(x, function(x))], stroke=tint, line=1.5, dash="2 5")
    labels = (
        ((20, 36), "from x_{t} = −1", f"q(x_{{t}} | x_{{t−1}}): center {short(marks[0][0])}", VERMILLION),
        ((344, 88), "from both: the product", f"mean {short(product[0])}, width {short(product[1])}", GREEN),
        ((436, 170), "from x_{0} = 1", f"mean {short(prior[0])}, width {short(prior[1])}", BLUE),
    )
    for (x, y), first, second, tint in labels:
        words(picture, x, y, first, size=18, anchor="start", weight="600", fill=tint)
        words(picture, x, y + 26, second, size=18, anchor="start", fill=INK)
    words(picture, 20, 424, f"α_{{t}} = {ALPHA:g}, ᾱ_{{t−1}} = {BEFORE:g}", size=17, anchor="start")
    return {"diffusion_posterior": picture.svg("Two bells and their product, which is narrower than both")}


if __name__ == "__main__":
    write(draw)

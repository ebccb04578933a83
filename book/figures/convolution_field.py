"""The effective receptive field: paths to each pixel through 2, 8 and 32 layers of width 3."""

from _plot import Panel
from _svg import BLUE, GRAY, INK, Drawing, write


def shares(depth):
    """Share of the paths that end at each pixel: as many as the mean squared derivative there."""
    counts = [1]
    for _ in range(depth):
        wide = [0, 0, *counts, 0, 0]
        counts = [sum(wide[k : k + 3]) for k in range(len(wide) - 2)]
    total = sum(counts)
    return [count / total for count in counts]


def draw():
    picture = Drawing(720, 270)
    for number, depth in enumerate((2, 8, 32)):
        left = 30 + 232 * number
        panel = Panel(picture, (left, 60, 204, 130), (-34, 34), (0, 0.36))
        bell = shares(depth)
        picture.path([panel.at(-34, 0), panel.at(34, 0)], stroke=GRAY, line=1.5)
        width = 204 / 68
        for place, share in zip(range(-depth, depth + 1), bell, strict=True):
            x, y = panel.at(place, share)
            bottom = panel.at(place, 0)[1]
            if bottom - y > 0.3:
                picture.rect(x - width / 2, y, width, bottom - y, fill=BLUE)
        a, b = panel.at(-depth - 0.5, 0), panel.at(depth + 0.5, 0)
        low = a[1] + 14
        picture.path([(a[0], low - 7), (a[0], low), (b[0], low), (b[0], low - 7)], stroke=INK, line=2)
        picture.text(left + 102, low + 22, f"{2 * depth + 1} pixels", size=16)
        picture.text(left + 102, 36, f"{depth} layers", size=17, weight="600")
    return {"convolution_field": picture.svg("Effective and theoretical receptive field")}


if __name__ == "__main__":
    write(draw)

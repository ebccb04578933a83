"""Drawings as plain SVG text: the same bytes on every machine, real letters, a light card under each.

A script beside this file has a function `draw()` that returns {name: SVG text}. Run as a program it writes
them to book/_static/figures/<name>.svg. A test holds the stored files to what `draw` returns.
"""

import math
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book" / "_static" / "figures"

INK, GRAY, PALE, CARD = "#1F2328", "#6E7781", "#D8D5CC", "#FDFCF9"
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
)


def fmt(value):
    """At most two digits after the point: enough for the eye, and blind to the last bits of a computation."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Drawing:
    """A card of width × height units with shapes on it; each method adds one shape."""

    def __init__(self, width, height, card=True):
        self.size, self.parts = (width, height), []
        if card:
            self.rect(0, 0, width, height, fill=CARD, radius=10)

    def add(self, tag, content=None, **attributes):
        text = "".join(
            f' {key.replace("_", "-")}="{value if isinstance(value, str) else fmt(value)}"'
            for key, value in attributes.items()
            if value is not None
        )
        self.parts.append(f"<{tag}{text}/>" if content is None else f"<{tag}{text}>{content}</{tag}>")

    def rect(self, x, y, width, height, fill="none", stroke=None, radius=None, line=1.5, dash=None):
        self.add(
            "rect",
            x=x,
            y=y,
            width=width,
            height=height,
            rx=radius,
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
            stroke_dasharray=dash,
        )

    def circle(self, x, y, r, fill="none", stroke=None, line=1.5):
        self.add("circle", cx=x, cy=y, r=r, fill=fill, stroke=stroke, stroke_width=line if stroke else None)

    def path(self, points, stroke=INK, fill="none", line=2.5, closed=False, dash=None):
        """Straight lines through the points."""
        steps = " ".join(f"{fmt(x)},{fmt(y)}" for x, y in points)
        self.add(
            "polygon" if closed else "polyline",
            points=steps,
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
            stroke_linejoin="round",
            stroke_linecap="round",
            stroke_dasharray=dash,
        )

    def curve(self, d, stroke=INK, fill="none", line=2.5):
        self.add("path", d=d, fill=fill, stroke=stroke, stroke_width=line, stroke_linecap="round")

    def arrow(self, start, end, stroke=GRAY, line=2):
        """A line with a filled head at its end."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        neck = (end[0] - 9 * math.cos(angle), end[1] - 9 * math.sin(angle))
        self.path([start, neck], stroke=stroke, line=line)
        sides = [
            (end[0] - 11 * math.cos(angle + side), end[1] - 11 * math.sin(angle + side))
            for side in (0.42, -0.42)
        ]
        self.path([end, *sides], stroke=None, fill=stroke, closed=True)

    def text(self, x, y, words, size=16, fill=INK, anchor="middle", weight=None):
        self.add(
            "text",
            escape(words),
            x=x,
            y=y,
            font_size=size,
            fill=fill,
            text_anchor=anchor,
            font_weight=weight,
        )

    def svg(self, title):
        """The file's text. title: what a screen reader says where the file is opened by itself."""
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" font-family="system-ui, sans-serif">'
        )
        return "\n".join([head, f"<title>{escape(title)}</title>", *self.parts, "</svg>", ""])


class Noise:
    """Numbers in [0, 1) from a linear congruential generator: the same everywhere, for ever."""

    def __init__(self, seed):
        self.state = seed

    def __call__(self):
        self.state = (1664525 * self.state + 1013904223) % 2**32
        return self.state / 2**32


def write(draw):
    """Write what `draw` returns to the figures' folder, or beside it for a name such as ../badges/colab."""
    for name, text in draw().items():
        path = (FOLDER / f"{name}.svg").resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(text) / 1000:.1f} kB")

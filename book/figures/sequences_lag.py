"""Gradients against the lag for six layers before training, from sequences_lag.json (the lab computes them anew)."""

import json
from pathlib import Path

from _plot import Panel
from _svg import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, VERMILLION, Drawing, write

STORED = Path(__file__).with_suffix(".json")  # decimal logarithms at lags 0, 4, 8, …
LAYERS = {  # color, dash, where its name stands
    "RNN": (VERMILLION, None, (14, -11.9)),
    "RNN, orthogonal": (ORANGE, "9 5", (89, -9.9)),
    "GRU": (PURPLE, "3 4", (70, -17.2)),
    "LSTM": (BLUE, None, (44, -8.0)),
    "LSTM, bias 1": (GRAY, "9 5", (78, -5.6)),
    "LSTM, bias 3": (GREEN, None, (70, 0.4)),
}


def draw():
    picture, curves = Drawing(720, 400), json.loads(STORED.read_text(encoding="utf-8"))
    panel = Panel(picture, (76, 44, 614, 290), (0, 100), (-18, 1.4))
    powers = (
        (0, "1"),
        (-3, "10⁻³"),
        (-6, "10⁻⁶"),
        (-9, "10⁻⁹"),
        (-12, "10⁻¹²"),
        (-15, "10⁻¹⁵"),
        (-18, "10⁻¹⁸"),
    )
    panel.axes([(k, str(k)) for k in range(0, 101, 20)], powers, "lag", "gradient over that at lag 0")
    for name, (color, dash, place) in LAYERS.items():
        values = curves[name]
        inside = [(4 * k, value) for k, value in enumerate(values) if value >= -18]
        if len(inside) < len(values):  # the last step, cut where the panel ends
            x, y = inside[-1]
            slope = (values[len(inside)] - y) / 4
            inside.append((x + (-18 - y) / slope, -18))
        panel.curve(*zip(*inside, strict=True), color, dash=dash)
        picture.text(*panel.at(*place), name, size=16, fill=color if color != GRAY else INK, weight="600")
    return {"sequences_lag": picture.svg("Gradient against lag for six recurrent layers before training")}


if __name__ == "__main__":
    write(draw)

"""The three schedules of the divergence's weight: none, monotonic, cyclical."""

from _plot import Panel
from _svg import BLUE, GREEN, VERMILLION, Drawing, write

STEPS = 400
ROWS = (("none", 0, GREEN), ("monotonic, M = 1", 1, BLUE), ("cyclical, M = 4", 4, VERMILLION))


def beta(k, cycles, ratio=0.5):
    return min(1.0, (k * cycles % STEPS) / STEPS / ratio) if cycles else 1.0


def draw():
    picture = Drawing(640, 424)
    for row, (name, cycles, color) in enumerate(ROWS):
        panel = Panel(picture, (60, 44 + 118 * row, 556, 70), (0, STEPS), (0, 1.1))
        last = row == len(ROWS) - 1
        ticks = [(STEPS * q / 4, ("0", "T/4", "T/2", "3T/4", "T")[q] if last else "") for q in range(5)]
        panel.axes(ticks, [(0, "0"), (1, "1")], "training step k" if last else "")
        picture.text(60, 30 + 118 * row, f"β / βmax: {name}", size=17, anchor="start", weight="600")
        steps = range(STEPS)
        panel.curve(steps, [beta(k, cycles) for k in steps], stroke=color, line=3.2)
    return {"video_schedules": picture.svg("Three schedules for the weight of the divergence")}


if __name__ == "__main__":
    write(draw)

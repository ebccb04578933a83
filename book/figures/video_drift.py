"""How the error of a painted film grows with the gain that teacher forcing learns, and with the Kalman gain."""

from _plot import Panel
from _svg import BLUE, GRAY, VERMILLION, Drawing, write

Q2, FRAMES = 0.01, 120  # variance of the motion, in units of the pose's error


def errors(gain):
    values = [0.0]
    for _ in range(FRAMES):
        values.append((1 - gain) ** 2 * (values[-1] + Q2) + gain**2)
    return values


FORCED = Q2 / (Q2 + 1)
SPREAD = (Q2 + (Q2**2 + 4 * Q2) ** 0.5) / 2
KALMAN = SPREAD / (SPREAD + 1)


def draw():
    picture = Drawing(640, 384)
    panel = Panel(picture, (60, 44, 556, 264), (0, FRAMES), (0, 0.7))
    frames = [(v, str(v)) for v in range(0, FRAMES + 1, 20)]
    panel.axes(frames, [(v / 10, f"{v / 10:g}") for v in (0, 2, 4, 6)], "frame", "mean squared error, in ν²")
    steps = range(FRAMES + 1)
    copy = errors(0.0)
    end = next(k for k, value in enumerate(copy) if value > 0.66)
    panel.curve(steps[: end + 1], copy[: end + 1], stroke=GRAY, dash="3 6")
    panel.curve(steps, errors(FORCED), stroke=VERMILLION, dash="11 6")
    panel.curve(steps, errors(KALMAN), stroke=BLUE)
    for x, y, words, color in (
        (38, 0.58, "copy the past", GRAY),
        (86, 0.3, "gain of teacher forcing", VERMILLION),
        (60, 0.125, "Kalman gain", BLUE),
    ):
        picture.text(
            *panel.at(x, y), words, size=18, fill=color if color != GRAY else "#57606A", weight="600"
        )
    return {"video_drift": picture.svg("Errors of a painted film for three gains")}


if __name__ == "__main__":
    write(draw)

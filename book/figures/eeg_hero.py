"""First picture of the chapter: a rhythm and a deflection, and which of two numbers tells their classes apart."""

import math

from _svg import BLUE, GRAY, INK, PALE, VERMILLION, Drawing, Noise, write

WIDTH, HEIGHT, PANEL, LEFTS = 660, 530, 285, (30, 345)
SAMPLES, TRIALS, RATE = 100, 40, 100  # one second


def gaussian(noise):
    return sum(noise() for _ in range(12)) - 6


def trial(kind, positive, noise):
    """One second of generated signal: a 9 Hz rhythm, strong or weak, of random phase; or a bump, up or down."""
    phase = 2 * math.pi * noise()
    values = []
    for t in range(SAMPLES):
        if kind == "rhythm":
            signal = (1.5 if positive else 0.6) * math.cos(2 * math.pi * 9 * t / RATE + phase)
        else:
            signal = (1 if positive else -1) * 0.9 * math.exp(-(((t - 50) / 17) ** 2))
        values.append(signal + 0.42 * gaussian(noise))
    return values


def average(values):
    """The linear feature: the plain average over the middle half of the second."""
    middle = values[SAMPLES // 4 : 3 * SAMPLES // 4]
    return sum(middle) / len(middle)


def log_power(values):
    return math.log(sum(v * v for v in values) / len(values))


def trials_of(kind):
    noise = Noise(7)
    return [[trial(kind, positive, noise) for _ in range(TRIALS)] for positive in (True, False)]


def strip(picture, left, top, values, low, high, words):
    """Two rows of marks on one axis: circles above for one class, squares below for the other."""
    picture.text(left, top, words, size=17, anchor="start")
    for row, (numbers, color) in enumerate(zip(values, (BLUE, VERMILLION), strict=True)):
        y = top + 18 + 19 * row
        picture.path([(left, y), (left + PANEL, y)], stroke=PALE, line=1.5)
        for number in numbers:
            x = left + PANEL * (min(max(number, low), high) - low) / (high - low)
            if row:
                picture.rect(x - 3.5, y - 3.5, 7, 7, stroke=color, line=1.6)
            else:
                picture.circle(x, y, 4, stroke=color, line=1.6)


def traces(picture, left, top, signals, height, scale, line):
    for row, (values, color) in enumerate(signals):
        middle = top + height * (row + 0.5)
        points = [(left + PANEL * t / (SAMPLES - 1), middle - scale * v) for t, v in enumerate(values)]
        picture.path(points, stroke=color, line=line)


def draw():
    picture = Drawing(WIDTH, HEIGHT)
    columns = (("rhythm", "A rhythm, strong or weak"), ("bump", "A deflection, up or down"))
    for left, (kind, title) in zip(LEFTS, columns, strict=True):
        trials = trials_of(kind)
        picture.text(left, 32, title, size=20, anchor="start", weight="600")
        picture.text(left, 62, "single trials, one second each", size=17, anchor="start")
        shown = [(trials[c][k], color) for c, color in ((0, BLUE), (1, VERMILLION)) for k in (3, 4, 5)]
        traces(picture, left, 72, shown, 33, 8 if kind == "rhythm" else 11, 1.8)
        means = [[sum(v) / TRIALS for v in zip(*group, strict=True)] for group in trials]
        picture.text(left, 300, f"average of {TRIALS} trials", size=17, anchor="start")
        picture.path([(left, 340), (left + PANEL, 340)], stroke=GRAY, line=1, dash="3 4")
        traces(picture, left, 310, [(means[0], BLUE)], 60, 25, 3)
        traces(picture, left, 310, [(means[1], VERMILLION)], 60, 25, 3)
        plain = [[average(v) for v in group] for group in trials]
        strip(picture, left, 404, plain, -1, 1, "plain average of each trial")
        power = [[log_power(v) for v in group] for group in trials]
        strip(picture, left, 474, power, -2, 0.7, "log power of each trial")
    picture.path([(WIDTH / 2 + 0.5, 20), (WIDTH / 2 + 0.5, HEIGHT - 20)], stroke=INK, line=1)
    return {"eeg_hero": picture.svg("Power tells rhythms apart, averages tell deflections apart")}


if __name__ == "__main__":
    write(draw)

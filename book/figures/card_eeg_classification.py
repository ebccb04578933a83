"""Front-page card of the chapter: what power sees and what an average sees, of the chapter's generated trials."""

from _svg import BLUE, PALE, VERMILLION, Drawing, write
from eeg_hero import SAMPLES, average, log_power, trials_of


def draw():
    picture = Drawing(320, 180)
    for left, kind, words in ((12, "rhythm", "rhythm"), (168, "bump", "deflection")):
        trials = trials_of(kind)
        for group, color, middle in zip(trials, (BLUE, VERMILLION), (34, 72), strict=True):
            points = [(left + 140 * t / (SAMPLES - 1), middle - 9 * v) for t, v in enumerate(group[4])]
            picture.path(points, stroke=color, line=2)
        picture.text(left + 70, 170, words, size=16)
        for row, (feature, low, high) in enumerate(((log_power, -2, 0.7), (average, -1, 1))):
            y = 108 + 28 * row
            picture.path([(left, y), (left + 140, y)], stroke=PALE, line=1.5)
            for group, color, up in zip(trials, (BLUE, VERMILLION), (-5, 5), strict=True):
                for values in group[:20]:
                    x = left + 140 * (min(max(feature(values), low), high) - low) / (high - low)
                    picture.circle(x, y + up, 3, stroke=color, line=1.5)
    return {
        "card_eeg_classification": picture.svg("Power tells rhythms apart, averages tell deflections apart")
    }


if __name__ == "__main__":
    write(draw)

"""Fourteen networks at equal arithmetic: test accuracy at the chosen rate, and at the others."""

from _architectures import mean_and_spread, rows
from _plot import Panel
from _svg import BLUE, GRAY, INK, Drawing, write


def results():
    """[(network, (mean, spread) at the chosen rate, means at the others)], worst first."""
    valid, test = {}, {}
    for row in rows("race"):
        key = row["network"], row["rate"]
        valid.setdefault(key, []).append(float(row["valid"]))
        test.setdefault(key, []).append(float(row["test"]))
    found = []
    for name in dict.fromkeys(name for name, _ in valid):
        rates = [key for key in valid if key[0] == name]
        best = max(rates, key=lambda key: mean_and_spread(valid[key])[0])
        others = [mean_and_spread(test[key])[0] for key in rates if key != best]
        found.append((name, mean_and_spread(test[best]), others))
    return sorted(found, key=lambda entry: entry[1][0])


def draw():
    found = results()
    picture = Drawing(640, 34 * len(found) + 110)
    panel = Panel(picture, (140, 20, 470, 34 * len(found)), (0, 0.7), (-0.5, len(found) - 0.5))
    panel.axes([(k / 10, f"{k / 10:.1f}") for k in range(8)], (), "test accuracy")
    for place, (name, (mean, spread), others) in enumerate(found):
        _, y = panel.at(0, place)
        picture.text(130, y + 5, name, size=15, fill=INK, anchor="end")
        for value in others:
            picture.circle(panel.at(value, place)[0], y, 4, stroke=GRAY, line=2)
        ends = [(panel.at(mean + side * spread, place)[0], y) for side in (-1, 1)]
        picture.path(ends, stroke=BLUE, line=3)
        picture.circle(panel.at(mean, place)[0], y, 6, fill=BLUE)
    return {"architectures_race": picture.svg("Test accuracy of fourteen networks at equal arithmetic")}


if __name__ == "__main__":
    write(draw)

"""The lab's twelve patients, for the chapter's pictures: their losses and final accuracies, epoch by epoch.

Drawn from the stored runs `training_runs.json`, because the last bits of a computation differ between processors.
`python book/figures/_training.py` stores them anew; a test compares one of them with a fresh run.
"""

import json
import sys
from pathlib import Path

from _plot import Panel
from _svg import BLUE, ROOT, VERMILLION

STORED = Path(__file__).with_name("training_runs.json")
HIGHEST = 3.2  # nats: where a panel ends


def run(letters="ABCDEFGHIJKL"):
    """{letter: [training losses, validation losses, accuracy at the end]} from the lab's own code."""
    sys.path.insert(0, str(ROOT))
    from dlp_utils.models.training import BEDS, PATIENTS, checkup

    found = {}
    for letter in letters:
        rows = checkup(PATIENTS[BEDS[letter]])
        losses = [[round(float(value), 3) for value in rows[:, column]] for column in (0, 1)]
        found[letter] = [*losses, round(float(rows[-1, 2]), 3)]
    return found


def stored():
    """The stored runs, in the form that `run` returns."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def visible(losses):
    """The points (epoch, loss) below the panel's top, and where the curve crosses it."""
    points = []
    for epoch, loss in enumerate(losses, 1):
        if loss > HIGHEST:
            if points and points[-1] and points[-1][1] < HIGHEST:
                before = points[-1]
                share = (HIGHEST - before[1]) / (loss - before[1])
                points.append((before[0] + share * (epoch - before[0]), HIGHEST))
            else:
                points.append(None)
        else:
            points.append((epoch, loss))
    return points


def draw_losses(picture, box, run, epochs=60, line=2.5):
    """Both losses of one patient in a box (left, top, width, height); returns the Panel."""
    panel = Panel(picture, box, (1, epochs), (0, HIGHEST))
    for losses, color, dash in ((run[0], BLUE, None), (run[1], VERMILLION, "5 4")):
        part = []
        for point in [*visible(losses), None]:
            if point is not None:
                part.append(point)
            elif len(part) > 1:
                panel.curve(*zip(*part, strict=True), stroke=color, line=line, dash=dash)
                part = []
            else:
                part = []
    return panel


if __name__ == "__main__":
    STORED.write_text(json.dumps(run(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{STORED.name}: {STORED.stat().st_size / 1000:.1f} kB")

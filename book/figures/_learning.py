"""Error rates of the lab's random-feature models over their size, measured once: `python book/figures/_learning.py`."""

import json
from pathlib import Path

FILE = Path(__file__).with_name("learning_sweep.json")
SIZES = (10, 16, 25, 40, 60, 80, 100, 125, 150, 175, 200, 225, 250, 270, 285, 300, 315, 330, 350, 400)
SIZES += (500, 700, 1000, 1400, 2000, 2800, 4000)
SEEDS, COUNT = range(5), 300


def stored():
    """{"train", "test", "ridge": {size: error rate of each seed}}"""
    rows = json.loads(FILE.read_text("utf-8"))
    return {name: {int(size): errors for size, errors in part.items()} for name, part in rows.items()}


def measure():
    from dlp_utils.data import digits
    from dlp_utils.models.learning import FeatureClassifier, error_rate

    rows = {name: {size: [] for size in SIZES} for name in ("train", "test", "ridge")}
    for seed in SEEDS:
        x, y, x_test, y_test = digits.split(seed, train=COUNT)
        for size in SIZES:
            plain, ridge = (FeatureClassifier(size, r, seed).fit(x, y) for r in (0.0, 0.3))
            rows["train"][size].append(round(error_rate(y, plain.predict(x)), 4))
            rows["test"][size].append(round(error_rate(y_test, plain.predict(x_test)), 4))
            rows["ridge"][size].append(round(error_rate(y_test, ridge.predict(x_test)), 4))
    lines = [f'"{name}": {json.dumps(part)}' for name, part in rows.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    measure()

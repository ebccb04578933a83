"""Sweeps of the lab training: `make study STEM=training`, about five minutes on one core.

The digits of scikit-learn, split by the seed into 903 to train on, 300 to validate and
594 to test. One row a run in each of the four tables beside this file.

`_rates`: four optimizers, ten rates, with and without batch norm; 10 epochs, batch 64,
constant rate, five seeds. `_batch`: plain SGD, batch sizes times rates, 12 epochs, five
seeds. `_schedules`: a shallow network with momentum and a deep one with Adam, six
schedules, ten seeds. `_regularization`: 400 digits, with all labels right or a fifth of
them drawn at random, and one remedy at a time; ten seeds, scores on clean test digits.
"""

import csv
import datetime
import itertools
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import training as lab

FOLDER = Path(__file__).parent
STAMP = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}


def store(name, measure, runs):
    """Write one row for each run: its settings, what `measure` returns, and seconds."""
    rows = []
    for run in runs:
        start = time.perf_counter()
        found = {key: round(value, 5) for key, value in measure(**run).items()}
        found["seconds"] = round(time.perf_counter() - start, 2)
        rows.append(run | found | STAMP)
    with open(
        FOLDER / f"training_{name}.csv", "w", newline="", encoding="utf-8"
    ) as out:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{name}: {len(rows)} runs, {sum(row['seconds'] for row in rows):.0f} s")


def grid(**axes):
    return (
        dict(zip(axes, run, strict=True)) for run in itertools.product(*axes.values())
    )


def main():
    torch.set_num_threads(1)
    store("rates", lab.rate_run, grid(**lab.RATE_STUDY))
    store("batch", lab.batch_run, grid(**lab.BATCH_STUDY))
    store("schedules", lab.schedule_run, grid(**lab.SCHEDULE_STUDY))
    remedies = grid(remedy=list(lab.REMEDIES), noise=[0.0, 0.2], seed=range(10))
    store("regularization", lab.remedy_run, remedies)


if __name__ == "__main__":
    main()

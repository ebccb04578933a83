"""The studies of the lab architectures: `make study STEM=architectures`.

About 45 minutes on one core. Four tables beside this file, one row a run:

`_depth`: plain and residual networks of 8, 20 and 56 layers, three seeds, 8 epochs of
momentum with Nesterov's look ahead.
`_gradients`: how signal and gradient grow through a network at the start, with and
without shortcuts and batch norm, three seeds.
`_race`: fourteen networks of about a million MACs, three rates, four seeds, 10 epochs
of AdamW.
`_transfer`: EfficientNet-lite0 in three forms at 5, 20 and 100 labels a class, and
from scratch at 5, three seeds.

A name on the command line runs that one alone.
"""

import csv
import datetime
import itertools
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import architectures as lab

FILE = Path(__file__)
STUDIES = {
    "depth": (lab.depth_run, lab.DEPTH_STUDY),
    "gradients": (lab.signals, lab.GRADIENT_STUDY),
    "transfer": (lab.transfer_run, lab.TRANSFER_STUDY),
    "race": (lab.race_run, lab.RACE_STUDY),
}


def settings(grid):
    """All rows of a grid; the seed changes last.

    So a study that is cut short has fewer seeds and all settings.
    """
    names = ["seed", *(name for name in grid if name != "seed")]
    for values in itertools.product(*(grid[name] for name in names)):
        row = dict(zip(names, values, strict=True))
        if (
            row.get("form") != "scratch" or row["labels"] < 20
        ):  # from scratch: at 5 only
            yield {name: row[name] for name in grid}


def run(name):
    function, grid = STUDIES[name]
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    file, count, begun = (
        FILE.with_name(f"architectures_{name}.csv"),
        0,
        time.perf_counter(),
    )
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = None
        for row in settings(grid):
            begin = time.perf_counter()
            found = {
                key: float(f"{value:.5g}") for key, value in function(**row).items()
            }
            took = (
                {}
                if "seconds" in found
                else {"seconds": round(time.perf_counter() - begin, 2)}
            )
            row |= found | took | stamp
            writer = writer or csv.DictWriter(out, row.keys(), lineterminator="\n")
            if not count:
                writer.writeheader()
            writer.writerow(row)
            out.flush()
            count += 1
    print(f"{name}: {count} runs, {time.perf_counter() - begun:.0f} s", flush=True)


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or STUDIES:
        run(name)


if __name__ == "__main__":
    main()

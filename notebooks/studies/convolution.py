"""The comb of the lab convolution: `make study STEM=convolution`, 3 minutes on one core.

The digits of scikit-learn at one place of a canvas of 28 × 28, then moved to the right by
0 to 8 pixels. Six trainings, five seeds each, which draw the split, the start and the
order; 15 epochs of Adam at 3e-3 with warm-up and cosine. One row a run in `_comb.csv`
beside this file: the test accuracy at each shift, and the number of weights.
"""

import csv
import datetime
import itertools
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import convolution as lab

FILE = Path(__file__).with_name("convolution_comb.csv")


def main():
    torch.set_num_threads(1)
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = []
    for network, seed in itertools.product(*lab.COMB_STUDY.values()):
        begin = time.perf_counter()
        found = lab.comb_run(network, seed)
        found = {key: round(value, 5) for key, value in found.items()}
        took = {"seconds": round(time.perf_counter() - begin, 2)}
        rows.append({"network": network, "seed": seed} | found | took | stamp)
    with open(FILE, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} runs, {sum(row['seconds'] for row in rows):.0f} s")


if __name__ == "__main__":
    main()

"""Runs of the lab transformers: `make study STEM=transformers`, 5 minutes on one core.

One row a run in the table beside this file.

`_chat`: the bot, its loss on the answers only or on all symbols; 900 steps, three seeds.
"""

import csv
import datetime
import itertools
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import transformers as lab

FOLDER = Path(__file__).parent
STAMP = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}


def measured(measure, run):
    """One row: the settings, what `measure` returns, and seconds."""
    start = time.perf_counter()
    found = {key: round(value, 5) for key, value in measure(**run).items()}
    seconds = round(time.perf_counter() - start, 2)
    print(run, found, seconds, flush=True)
    return run | found | {"seconds": seconds} | STAMP


def store(name, rows):
    path = FOLDER / f"transformers_{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def chat():
    runs = itertools.product(range(3), (1, 0))
    return [
        measured(lab.chat_run, {"answers_only": only, "seed": seed, "steps": 900})
        for seed, only in runs
    ]


PARTS = {"chat": chat}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PARTS:
        store(name, PARTS[name]())

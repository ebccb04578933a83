"""Sweeps of the lab sequences: `make study STEM=sequences`, about 14 minutes on one core.

One row a run in each of the four tables beside this file.

`_remember`: six layers, three lengths, five seeds; name the first of T symbols, 400 steps.
`_truncate`: GRU, 2,048 characters a step in blocks of different length, the state handed on
or not; 400 steps, three seeds. `_names`: three layers read last names, five seeds.
`_text`: three layers on six plays, 1,200 steps; four learning rates with one seed, and two
more seeds at the rate with the fewest validation bits; beside it the mixture with counts of
six characters (Kneser-Ney).
"""

import csv
import datetime
import itertools
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.data import text
from dlp_utils.models import sequences as lab

FOLDER = Path(__file__).parent
STAMP = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
RATES = (4e-3, 8e-3, 1.6e-2, 3.2e-2)
LAYERS = ("RNN", "LSTM", "GRU")


def measured(measure, run, **rest):
    """One row: the settings, what `measure` returns, and seconds."""
    start = time.perf_counter()
    found = measure(**run, **rest)
    found = {key: round(value, 5) for key, value in found.items()}
    seconds = round(time.perf_counter() - start, 2)
    print(run, found, seconds, flush=True)
    return run | found | {"seconds": seconds} | STAMP


def store(name, rows):
    path = FOLDER / f"sequences_{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def settings(**choices):
    """All combinations, as dicts."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def remember():
    runs = settings(kind=lab.KINDS, length=(10, 20, 50), seed=range(5))
    return [measured(lab.remember_run, run) for run in runs]


def truncate():
    rows = []
    for run in settings(length=(4, 16, 64), carry=(True, False), seed=range(3)):
        run["batch"] = 2048 // run["length"]
        extra = {"layer": "GRU", "lr": 4e-3, "steps": 400}
        rows.append(measured(lab.text_run, run, **extra))
    return rows


def names():
    parts = lab.name_parts()
    runs = settings(layer=LAYERS, seed=range(5))
    return [measured(lab.names_run, run, parts=parts) for run in runs]


def text_rows():
    train, test = text.shakespeare()
    symbols = lab.Symbols(train)
    ids, seen = symbols.encode(train), symbols.encode(test[:60001])
    counts = lab.counted_log_probs(ids, seen, len(symbols))
    rows = []
    for layer in LAYERS:
        search = [
            measured(lab.text_run, run, counts=counts)
            for run in settings(layer=[layer], lr=RATES, seed=[0])
        ]
        best = min(search, key=lambda row: row["valid"])["lr"]
        more = settings(layer=[layer], lr=[best], seed=[1, 2])
        rows += search + [measured(lab.text_run, r, counts=counts) for r in more]
    return rows


TABLES = {"remember": remember, "truncate": truncate, "names": names, "text": text_rows}


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or TABLES:
        rows = TABLES[name]()
        store(name, rows)
        seconds = sum(row["seconds"] for row in rows)
        print(f"{name}: {len(rows)} runs, {seconds:.0f} s")


if __name__ == "__main__":
    main()

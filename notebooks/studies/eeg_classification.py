"""Sweeps of the lab eeg_classification on the simulated 2a, run once by `make study`.

Three tables beside this file, one row a run: `_kernel.csv` (length of the temporal
filters), `_readout.csv` (readout and band-pass), `_finetuning.csv` (trials of the new
person; sessions of full length). The lab plots them and runs one row again. Name a
sweep to run it alone: `python notebooks/studies/eeg_classification.py kernel`.
"""

import copy
import csv
import datetime
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.signal import butter, sosfiltfilt

import dlp_utils as dlp
from dlp_utils.data import eeg
from dlp_utils.models import eeg_classification as lab

SUBJECTS, TRIALS = 6, 96  # the lab's cpu profile, also in the next line
EPOCHS, LOSO_EPOCHS, TUNING_EPOCHS, SEEDS = 40, 20, 30, (0, 1, 2)
KERNELS = (3, 6, 12, 25, 50)
NEW_TRIALS = (0, 12, 24, 48, 96, 144, 192, 288)
FORMS = {"all layers": (), "classifier alone": ("spatial", "bn1", "temporal", "bn2")}


def sessions(trials, band=None):
    """Standardized sessions of the simulation, band-passed first where `band` says so."""
    found = {}
    for key, (x, y) in eeg.simulate_2a(0, SUBJECTS, trials).sessions.items():
        if band:
            x = sosfiltfilt(
                butter(4, band, "band", fs=eeg.RATE_2A, output="sos"), x, axis=2
            )
        found[key] = lab.standardize(x), y
    return found


def join(found, keys):
    x, y = zip(*(found[key] for key in keys), strict=True)
    return np.concatenate(x), np.concatenate(y)


def network(seed, **options):
    torch.manual_seed(seed)
    return lab.build(replace(lab.CONFIGS["cpu"], **options))


def accuracy(model, x, y):
    return float((lab.predict(model, x) == y).mean())


def same_people(found, **options):
    """SD: (seed, epochs, validation, accuracy on E, start) of each seed.

    The epochs are chosen by the seeds' mean accuracy on a quarter of T; then all of T.
    """
    start = time.perf_counter()
    people = range(1, SUBJECTS + 1)
    everything = join(found, [(s, "T") for s in people])
    test = join(found, [(s, "E") for s in people])
    training, validation = lab.hold_out(*everything)
    curves = []
    for seed in SEEDS:
        fresh = network(seed, **options)
        history = lab.train(fresh, *training, EPOCHS, validation, seed=seed, size=32)
        curves.append([row["validation"] for row in history.metrics])
    best = int(np.mean(curves, axis=0).argmax())
    for seed, curve in zip(SEEDS, curves, strict=True):
        model = network(seed, **options)
        lab.train(model, *everything, best + 1, seed=seed, size=32)
        yield seed, best + 1, curve[best], accuracy(model, *test), start
        start = time.perf_counter()


def table(head, runs):
    """Rows of one setting: what `same_people` gives, named."""
    names = ("seed", "epochs", "validation", "accuracy")
    for *values, start in runs:
        yield head | dict(zip(names, values, strict=True)), start


def kernel():
    """Rows of the sweep over the length of the temporal filters."""
    found = sessions(TRIALS)
    for length in KERNELS:
        yield from table({"kernel": length}, same_people(found, kernel=length))


def readout():
    """Rows of the sweep over readout and band-pass."""
    for band in (None, (4, 38)):
        found = sessions(TRIALS, band)
        name = f"{band[0]}-{band[1]} Hz" if band else "none"
        for kind in ("power", "linear", "none"):
            head = {"readout": kind, "band": name}
            yield from table(head, same_people(found, readout=kind))


def finetuning():
    """Rows of the sweep over the new person's trials, sessions of 288 trials."""
    found = sessions(288)
    for s in range(1, SUBJECTS + 1):
        v = s % SUBJECTS + 1  # chooses the epoch; neither trained on nor tested
        rest = [key for key in found if key[0] not in (s, v)]
        base, test = network(0), found[s, "E"]
        validation = join(found, [(v, "T"), (v, "E")])
        lab.train(base, *join(found, rest), LOSO_EPOCHS, validation)
        for form, names in FORMS.items():
            for trials in NEW_TRIALS:
                start = time.perf_counter()
                model = lab.freeze(copy.deepcopy(base), names)
                if trials:
                    x, y = found[s, "T"]
                    lab.train(model, x[:trials], y[:trials], TUNING_EPOCHS, size=32)
                row = {
                    "form": form,
                    "trials": trials,
                    "subject": s,
                    "seed": 0,
                    "epochs": TUNING_EPOCHS,
                }
                yield row | {"accuracy": accuracy(model, *test)}, start


def main(chosen):
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    for sweep in (kernel, readout, finetuning):
        if chosen and sweep.__name__ not in chosen:
            continue
        rows = []
        for row, start in sweep():
            row = {
                name: round(value, 4) if isinstance(value, float) else value
                for name, value in row.items()
            }
            rows.append(
                row | {"seconds": round(time.perf_counter() - start, 1)} | stamp
            )
            print(*list(row.values()), flush=True)
        file = Path(__file__).with_name(f"eeg_classification_{sweep.__name__}.csv")
        with open(file, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1:])

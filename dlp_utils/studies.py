"""Rows of the studies: sweeps too long for a notebook, run once and stored as CSV (see CONTRIBUTING.md)."""

import contextlib
import csv
import os
import signal
import threading
import time
from pathlib import Path

from .device import machine

PACKAGE = Path(__file__).parent
# A checkout keeps the tables beside the scripts that wrote them; an installed package carries copies (setup.py).
PLACES = (PACKAGE.parent / "notebooks" / "studies", PACKAGE / "_studies")


def study(name):
    """Return the rows of a stored study as a pandas DataFrame, one row a run: `study("eeg_classification_kernel")`.

    name: the CSV's name without its ending. ValueError for a name that is not stored, with those that are.
    """
    import pandas as pd

    tables = {file.stem: file for place in reversed(PLACES) for file in sorted(place.glob("*.csv"))}
    if name not in tables:
        there = ", ".join(sorted(tables)) or "none: install dlp_utils again, or run `make study`"
        raise ValueError(f"there is no stored study {name!r}; stored are: {there}")
    return pd.read_csv(tables[name])


def sweep(name, runs, measure, digits=5):
    """Measure the runs that the stored study `name` lacks; each row is kept at once, so a cut-off sweep goes on.

    A run during which Ctrl-C came is no row, though `fit` hands back what it has trained by then.

    runs: dicts of settings, all with the same keys; the table has their order, and rows of other settings go.
    measure: called with a run's settings, returns a dict of what was found, of which floats keep `digits` digits after
    the point. A row also holds seconds, machine and date. Delete the CSV to measure everything again. ValueError where
    two runs are the same, or where the table has other columns than the rows that join it.
    """
    file, runs = PLACES[0] / f"{name}.csv", list(runs)
    keys = [tuple(map(str, run.values())) for run in runs]
    if len(set(keys)) < len(keys):
        twice = next(run for run, key in zip(runs, keys, strict=True) if keys.count(key) > 1)
        raise ValueError(f"the study {name!r} has a run twice: {twice}")
    known = {}
    if file.exists():
        with open(file, encoding="utf-8", newline="") as stream:
            known = {tuple(row.get(column) for column in runs[0]): row for row in csv.DictReader(stream)}
    rows = {key: known[key] for key in keys if key in known}
    for run, key in zip(runs, keys, strict=True):
        if key in rows:
            continue
        start = time.perf_counter()
        with _not_swallowed():
            found = measure(**run)
        found = {k: round(v, digits) if isinstance(v, float) else v for k, v in found.items()}
        found["seconds"] = round(time.perf_counter() - start, 2)
        rows[key] = run | found | {"machine": machine(), "date": time.strftime("%Y-%m-%d")}
        print(*[f"{k} {v}" for k, v in (run | found).items()], sep=", ", flush=True)
        _write(file, [rows[key] for key in keys if key in rows])


@contextlib.contextmanager
def _not_swallowed():
    """Raise KeyboardInterrupt at the end where Ctrl-C came and somebody inside, such as `fit`, caught it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread
        return
    came = []

    def note(signum, frame):
        came.append(signum)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _write(file, rows):
    for row in rows:
        if list(row) != list(rows[0]):
            raise ValueError(
                f"{file.name} has the columns {', '.join(rows[0])}, a run gives {', '.join(row)}: "
                "delete the file to measure all again"
            )
    part = file.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, file)

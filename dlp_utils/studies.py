"""Rows of the studies: sweeps too long for a notebook, run once and stored as CSV (see CONTRIBUTING.md)."""

from pathlib import Path

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

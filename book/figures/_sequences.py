"""The text study of the chapter sequences, for its pictures: bits after a space and elsewhere, at each layer's best rate."""

import csv

from _svg import ROOT

STORED = ROOT / "notebooks" / "studies" / "sequences_text.csv"


def stored(layer="GRU"):
    """{model: (bits after a space, bits elsewhere)}, means over the seeds at the rate with the fewest validation bits."""
    with open(STORED, encoding="utf-8") as rows:
        found = [row for row in csv.DictReader(rows) if row["layer"] == layer]
    rate = min(found, key=lambda row: float(row["valid"]))["lr"]
    found = [row for row in found if row["lr"] == rate]

    def mean(column):
        return sum(float(row[column]) for row in found) / len(found)

    columns = {"counts": "counts_", "network": "", "mixture": "mixture_"}
    return {name: (mean(f"{of}after_space"), mean(f"{of}elsewhere")) for name, of in columns.items()}

"""The comb of the chapter convolution, for its pictures: mean accuracy at each shift, from the study's stored rows."""

import csv

from _svg import ROOT

STORED = ROOT / "notebooks" / "studies" / "convolution_comb.csv"


def stored():
    """{network: nine mean accuracies, at shifts 0 to 8}."""
    found = {}
    with open(STORED, encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            values = [float(row[f"shift_{k}"]) for k in range(9)]
            found.setdefault(row["network"], []).append(values)
    return {
        name: [sum(column) / len(column) for column in zip(*rows, strict=True)]
        for name, rows in found.items()
    }

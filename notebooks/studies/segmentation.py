"""Ablations of the lab segmentation on generated pets, run once by `make study`.

One table beside this file, one row a run: `_ablation.csv`. Each variant differs from the
U-Net of the lab in one thing; group "choice" (loss and learning rate) is judged on the
validation part, group "question" on the test part. All variants take the same number of
steps. Name groups to run them alone: `python notebooks/studies/segmentation.py choice`;
the rows of the other group are kept.
"""

import csv
import datetime
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.data import segmentation as data
from dlp_utils.models import segmentation as lab

FILE = Path(__file__).with_name("segmentation_ablation.csv")
SIZE, WIDTH = 64, 8
SEEDS = {"choice": (0, 1), "question": (0, 1, 2)}
USUAL = {"n": 800, "epochs": 8, "loss": "both", "lr": 4e-3, "elastic": 10.0}
USUAL |= {"up": "transposed", "skips": True}
FEW = {"n": 80, "epochs": 80}
VARIANTS = {
    "choice": {
        f"{loss}, {lr}": {"loss": loss, "lr": lr, "elastic": 0.0}
        for loss in ("bce", "dice", "both")
        for lr in (1e-3, 4e-3)
    },
    "question": {
        "U-Net": {},
        "no skips": {"skips": False},
        "resize": {"up": "resize"},
        "no elastic": {"elastic": 0.0},
        "few": FEW,
        "few, no elastic": FEW | {"elastic": 0.0},
    },
}


def score(model, pairs):
    z = lab.predict(model, pairs)
    return lab.dice(z > 0, pairs.masks.bool()).mean().item()


def runs(group):
    """Rows of one group, with the time at which each run began."""
    pets = data.generated_pets(USUAL["n"], "train", SIZE)
    parts = {"validation": 150, "test": 200}
    parts = {part: data.generated_pets(n, part, SIZE) for part, n in parts.items()}
    parts = {part: lab.Pairs(p.images, p.masks) for part, p in parts.items()}
    for name, changes in VARIANTS[group].items():
        options = USUAL | changes
        n, transform = options["n"], lab.augmentation(options["elastic"])
        pairs = lab.Pairs(pets.images[:n], pets.masks[:n], transform)
        for seed in SEEDS[group]:
            start = time.perf_counter()
            torch.manual_seed(seed)
            model = lab.UNet(WIDTH, up=options["up"], skips=options["skips"])
            how = {key: options[key] for key in ("epochs", "loss", "lr")}
            lab.train(model, pairs, seed=seed, **how)
            row = {"group": group, "variant": name, "seed": seed}
            row |= {"size": SIZE, "width": WIDTH, **options}
            yield row | {part: score(model, p) for part, p in parts.items()}, start


def main(chosen):
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    chosen = chosen or list(VARIANTS)
    rows = []
    if FILE.exists():
        with open(FILE, encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["group"] not in chosen]
    for group in chosen:
        for row, start in runs(group):
            row = {
                k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()
            }
            seconds = round(time.perf_counter() - start, 1)
            rows.append(row | {"seconds": seconds} | stamp)
            print(*list(rows[-1].values())[:-2], flush=True)
    with open(FILE, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1:])

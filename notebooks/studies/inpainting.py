"""How to decode, in the lab inpainting: `make study STEM=inpainting`.

The shipped networks fill the holes of the lab's first 150 test cats (generated): three
schedules, 1 to 16 steps, three temperatures of the confidence, three seeds. One row a
run in `_decoding.csv` beside this file: the FID-like score against 2000 validation
cats, and the PSNR in the holes. The lab plots it and runs one row again.

`_nothing.csv`: 150 cats painted from nothing, and 150 missing halves, in one step and in
eight, without noise and with it, five seeds.
"""

import csv
import datetime
import itertools
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.data import cats
from dlp_utils.models import inpainting as lab

SEEDS, STEPS = (0, 1, 2), (1, 2, 4, 8, 16)
SCHEDULES, TEMPERATURES = ("cosine", "linear", "square"), (0.0, 1.0, 4.5)
FILE = Path(__file__).with_name("inpainting_decoding.csv")
TEST, REFERENCE = 150, 2000


@torch.no_grad()
def seen_by(features, pictures):
    return torch.cat([features(part) for part in pictures.split(500)]).double().numpy()


def main():
    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(TEST, "test").images)
    missing = torch.as_tensor(cats.masks(TEST, "mixed"))
    others = cats.generated_cats(REFERENCE, "validation").images
    reference = seen_by(features, lab.pixels(others))
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = []
    names = ("seed", "steps", "schedule", "temperature")
    for run in itertools.product(SEEDS, STEPS, SCHEDULES, TEMPERATURES):
        start, how = time.perf_counter(), dict(zip(names, run, strict=True))
        filled, _ = lab.inpaint(model, x, missing, **how)
        score = lab.frechet_distance(reference, seen_by(features, filled))
        found = {"frechet": score, "psnr": lab.psnr(filled, x, missing).mean().item()}
        found = {name: round(value, 5) for name, value in found.items()}
        found["seconds"] = round(time.perf_counter() - start, 2)
        rows.append(how | found | stamp)
        print(rows[-1], flush=True)
        with open(FILE, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


@torch.no_grad()
def nothing():
    """From nothing, and from half: one step against eight."""
    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(TEST, "test").images)
    others = cats.generated_cats(REFERENCE, "validation").images
    reference = seen_by(features, lab.pixels(others))
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = []
    for task, hot in (("nothing", 9.0), ("half", 4.5)):
        missing = torch.as_tensor(cats.masks(TEST, "half"))
        if task == "nothing":
            missing = torch.ones_like(missing)
        for (steps, heat), seed in itertools.product(
            ((1, 0.0), (8, 0.0), (8, hot)), range(5)
        ):
            how = {"steps": steps, "temperature": heat, "seed": seed}
            filled, _ = lab.inpaint(model, x, missing, **how)
            score = lab.frechet_distance(reference, seen_by(features, filled))
            rows.append({"task": task} | how | {"frechet": round(score, 5)} | stamp)
            print(rows[-1], flush=True)
    with open(
        FILE.with_name("inpainting_nothing.csv"), "w", newline="", encoding="utf-8"
    ) as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    for sweep in [globals()[name] for name in sys.argv[1:]] or (main, nothing):
        sweep()

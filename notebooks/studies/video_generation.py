"""Annealing compared, in the stochastic world of the lab video_generation: `make study`.

One table beside this file, `_annealing.csv`, one row a run: the schedules none,
monotonic and cyclical with the same normalization, price and budget; the loss of the
template, `mse + kl`; a posterior that sees the previous frame; and teacher forcing to
the end. Measured on the validation clips. The lab plots it and runs one row again.
"""

import csv
import datetime
import time
from dataclasses import replace
from pathlib import Path

import dlp_utils as dlp
from dlp_utils.data import motion
from dlp_utils.models import video_generation as lab

STEPS, SEEDS, LOOKS, AZIMUTHS = 500, (0, 1), 6, (20, 200)
DRIFT = motion.World(light=0.15, wind=0.9, memory=0.7)
TEMPLATE = 3 * 32 * 64 / (2 * 0.2**2)  # beta of `mse + kl` at sigma = 0.2
RUNS = {  # name: (beta by the share of the training, changes of the configuration)
    "none": (lab.annealed(cycles=0), {}),
    "monotonic": (lab.annealed(cycles=1), {}),
    "cyclical": (lab.annealed(cycles=4), {}),
    "template": (lambda done: TEMPLATE, {}),
    "seeing": (lab.annealed(cycles=0), {"seeing": True}),
    "forced": (lab.annealed(cycles=0), {}),  # teacher forcing to the end
}


def main():
    clips = motion.load_clips()
    training, validation = (
        motion.render_all(clips, part, azimuths, DRIFT, looks=LOOKS)
        for part, azimuths in (("train", AZIMUTHS), ("validation", (65, 245)))
    )
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = []
    for name, (beta, changes) in RUNS.items():
        for seed in SEEDS:
            start = time.perf_counter()
            config = replace(lab.CONFIGS["cpu"], **changes)
            ratio = (lambda done: 1.0) if name == "forced" else None
            model, _ = lab.train_cvae(config, training, STEPS, beta, ratio, seed=seed)
            row = {"schedule": name, "seed": seed, "steps": STEPS}
            row |= {
                key: round(value, 4)
                for key, value in lab.measure(model, validation).items()
            }
            rows.append(
                row | {"seconds": round(time.perf_counter() - start, 1)} | stamp
            )
            print(*list(rows[-1].values()), flush=True)
    file = Path(__file__).with_name("video_generation_annealing.csv")
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

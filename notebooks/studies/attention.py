"""Sweeps of the lab attention: `make study STEM=attention`, about 18 minutes on one core.

One row a run in each of the three tables beside this file, three seeds each.

`_race`: dates, reverse and sort; an encoder-decoder of GRUs without and with attention, and
a transformer, for steps that take about as long (`RACE` in the lab).
`_longer`: dates, the same three for more steps.
`_repeat`: what the repeater needs: layers, positions, masks, the trap of a fixed period.
`hero`: the weights of the page's first picture, book/figures/attention_hero.json.
"""

import csv
import datetime
import json
import sys
import time
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import attention as lab

FOLDER = Path(__file__).parent
STAMP = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
SEEDS = range(3)
STEPS = 450  # of a repeater, as in the lab


def row(run, found, begin):
    found = {key: round(float(value), 5) for key, value in found.items()}
    print(run, found, flush=True)
    return run | found | {"seconds": round(time.perf_counter() - begin, 2)} | STAMP


def store(name, rows):
    path = FOLDER / f"attention_{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def race():
    for task, kinds in lab.RACE.items():
        for kind, steps in kinds.items():
            for seed in SEEDS:
                run, begin = (
                    {"task": task, "kind": kind, "steps": steps, "seed": seed},
                    time.perf_counter(),
                )
                yield row(run, lab.race_run(task, kind, seed, steps), begin)


def longer():
    for kind, many in (
        ("none", (300, 1000, 2000)),
        ("attention", (1000,)),
        ("transformer", (500, 1000)),
    ):
        for steps in many:
            for seed in SEEDS:
                run, begin = (
                    {"task": "dates", "kind": kind, "steps": steps, "seed": seed},
                    time.perf_counter(),
                )
                yield row(run, lab.race_run("dates", kind, seed, steps), begin)


def wrong_side(n, device):
    return lab.causal(n, device=device).mT


def everywhere(n, device):
    return None


VARIANTS = {
    "two layers": {"layers": 2},
    "one layer": {"layers": 1},
    "two, learned": {"layers": 2, "positions": "learned"},
    "two, sinusoidal": {"layers": 2, "positions": "sinusoidal"},
    "two, no positions": {"layers": 2, "positions": None},
    "mask on wrong side": {"layers": 2, "see": wrong_side},
    "no mask": {"layers": 2, "see": everywhere},
    "one, learned, fixed": {"layers": 1, "positions": "learned", "period": 12},
}
NAMES = "reported", "random", "generated"


def repeat():
    for variant, settings in VARIANTS.items():
        for seed in SEEDS:
            begin = time.perf_counter()
            model, scores = lab.repeater_run(seed=seed, steps=STEPS, **settings)
            if "period" in settings:  # scored on its own data, and on random periods
                own = lab.repeater_scores(model, period=settings["period"])
                yield row(
                    {"variant": "fixed, on its own", "seed": seed},
                    dict(zip(NAMES, own, strict=True)),
                    begin,
                )
            yield row(
                {"variant": variant, "seed": seed},
                dict(zip(NAMES, scores, strict=True)),
                begin,
            )


def hero(text="25 December 2024"):
    """Where the lab's network with attention looks (seed 0, 400 steps)."""
    torch.manual_seed(0)
    model = lab.Recurrent(attention=True)
    lab.train_pairs(model, "dates", 400, 4e-3)
    wrote, weights = lab.alignment(model, text)
    weights = [[round(float(w), 3) for w in row] for row in weights]
    stored = json.dumps({"read": text, "wrote": wrote, "weights": weights})
    (FOLDER.parents[1] / "book" / "figures" / "attention_hero.json").write_text(
        stored, encoding="utf-8"
    )


def main(names):
    torch.set_num_threads(1)
    sweeps = {"race": race, "longer": longer, "repeat": repeat}
    for name in names or (*sweeps, "hero"):
        if name == "hero":
            hero()
        else:
            store(name, list(sweeps[name]()))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Sweeps of the lab attention: `make study STEM=attention`, about 18 minutes on one core.

One row a run in each of the three tables beside this file, three seeds each.

`_race`: dates, reverse and sort; an encoder-decoder of GRUs without and with attention, and
a transformer, for steps that take about as long (`RACE` in the lab).
`_longer`: dates, the same three for more steps.
`_repeat`: what the repeater needs: layers, positions, masks, the trap of a fixed period.
`hero`: the weights of the page's first picture, book/figures/attention_hero.json.
"""

import json
import sys
from pathlib import Path

import torch

import dlp_utils as dlp
from dlp_utils.models import attention as lab

HERO = Path(__file__).parents[2] / "book" / "figures" / "attention_hero.json"
SEEDS = range(3)
STEPS = 450  # of a repeater, as in the lab


RACE = [
    {"task": task, "kind": kind, "steps": steps, "seed": seed}
    for task, kinds in lab.RACE.items()
    for kind, steps in kinds.items()
    for seed in SEEDS
]
MANY = {"none": (300, 1000, 2000), "attention": (1000,), "transformer": (500, 1000)}
LONGER = [
    {"task": "dates", "kind": kind, "steps": steps, "seed": seed}
    for kind, many in MANY.items()
    for steps in many
    for seed in SEEDS
]


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
    "fixed, on its own": {"layers": 1, "positions": "learned", "period": 12},
    "one, learned, fixed": {"layers": 1, "positions": "learned", "period": 12},
}
NAMES = "reported", "random", "generated"


REPEAT = [{"variant": name, "seed": seed} for name in VARIANTS for seed in SEEDS]


def repeat(variant, seed):
    """Scores of a repeater on random periods, or "on its own": on its fixed one."""
    settings = VARIANTS[variant]
    model, scores = lab.repeater_run(seed=seed, steps=STEPS, **settings)
    if variant == "fixed, on its own":
        scores = lab.repeater_scores(model, period=settings["period"])
    return dict(zip(NAMES, map(float, scores), strict=True))


def race(task, kind, steps, seed):
    found = lab.race_run(task, kind, seed, steps)
    return {key: float(value) for key, value in found.items()}


def hero(text="25 December 2024"):
    """Where the lab's network with attention looks (seed 0, 400 steps)."""
    torch.manual_seed(0)
    model = lab.Recurrent(attention=True)
    lab.train_pairs(model, "dates", 400, 4e-3)
    wrote, weights = lab.alignment(model, text)
    weights = [[round(float(w), 3) for w in row] for row in weights]
    stored = json.dumps({"read": text, "wrote": wrote, "weights": weights})
    HERO.write_text(stored, encoding="utf-8")


SWEEPS = {"race": (RACE, race), "longer": (LONGER, race), "repeat": (REPEAT, repeat)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or (*SWEEPS, "hero"):
        if name == "hero":
            hero()
        else:
            dlp.studies.sweep(f"attention_{name}", *SWEEPS[name])

"""How to sample, in the lab diffusion: `make study STEM=diffusion`.

The shipped network draws four pictures for each of 64 label lists (of validation
pictures, in no test list): DDIM with five guidance weights and four numbers of steps; at
guidance 3 also DDIM with fresh noise, diffusers' DPM-Solver++ of second order, and all
1,000 DDPM steps. One seed; one row a run in `_sampling.csv` beside this file: the
course's score and the exact-set score, the diversity (variance of a pixel among the four
pictures of one list, over that of true pictures), the FID-like distance to 1,024 true
pictures of the same lists (Fréchet distance of the judge's `texture`). The lab plots it
and runs one row again. `true`: 256 other true pictures.
"""

import csv
import datetime
import itertools
import time
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler

import dlp_utils as dlp
from dlp_utils.data import clevr
from dlp_utils.models import diffusion as lab
from dlp_utils.models.inpainting import frechet_distance

GUIDANCE, STEPS, SEED = (1.0, 1.5, 2.0, 3.0, 5.0), (5, 10, 25, 50), 0
FILE = Path(__file__).with_name("diffusion_sampling.csv")
LISTS, COPIES, USUAL = 64, 4, 3.0


def runs():
    """Sampler, η, steps, guidance and seed of each run."""
    yield "true", 0.0, 0, 0.0, SEED
    yield from (("ddim", 1.0, steps, USUAL, SEED) for steps in STEPS)
    yield from (("solver", 0.0, steps, USUAL, SEED) for steps in (5, 10, 20))
    for guidance, steps in itertools.product(GUIDANCE, STEPS):
        yield "ddim", 0.0, steps, guidance, SEED
    yield "ddpm", 1.0, 1000, USUAL, SEED


def solve(model, labels, steps, guidance, seed):
    """Pictures by diffusers' second-order DPM-Solver++ from the start of `seed`."""
    scheduler = lab.scheduler_like(DPMSolverMultistepScheduler, model.config)
    scheduler.set_timesteps(steps)
    side = model.config.size
    shape = (len(labels), 3, side, side)
    x = torch.randn(shape, generator=dlp.generator(seed))
    for t in scheduler.timesteps:
        v = lab.guided(model, x, t, labels, guidance)
        x = scheduler.step(v, t, x).prev_sample
    return x.clamp(-1, 1)


def draw(model, labels, sampler, eta, steps, guidance, seed):
    if sampler == "ddpm":
        return lab.ddpm_sample(model, labels, guidance, seed)
    if sampler == "solver":
        return solve(model, labels, steps, guidance, seed)
    return lab.ddim_sample(model, labels, steps, guidance, eta, seed)


@torch.no_grad()
def seen_by(evaluator, pictures):
    """Texture (n, 64) and logits (n, 24) of pictures in [-1, 1]."""
    parts = pictures.split(256)
    found = [(evaluator.texture(part), evaluator(part)) for part in parts]
    return (torch.cat(kind) for kind in zip(*found, strict=True))


def spread(pictures):
    """Mean variance of a pixel among the pictures of one list, (4 · 64, 3, H, W)."""
    of_list = pictures.unflatten(0, (COPIES, LISTS))  # (4, 64, 3, H, W)
    return of_list.var(dim=0).mean().item()


def main():
    model, evaluator = lab.load_shipped("cpu")
    lists = lab.lists_apart(LISTS)
    labels = torch.as_tensor(clevr.multi_hot(lists * COPIES))
    true = lab.pixels(clevr.drawn(lists * 16, seed=1).images)
    reference, _ = seen_by(evaluator, true)
    true_spread = spread(true[: COPIES * LISTS])
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows, names = [], ("sampler", "eta", "steps", "guidance", "seed")
    for run in runs():
        start, how = time.perf_counter(), dict(zip(names, run, strict=True))
        if how["sampler"] == "true":
            pictures = lab.pixels(clevr.drawn(lists * COPIES, seed=2).images)
        else:
            pictures = draw(model, labels, **how)
        features, logits = seen_by(evaluator, pictures)
        found = {
            "course": lab.course_score(logits, labels),
            "exact": lab.exact_score(logits, labels),
            "diversity": spread(pictures) / true_spread,
            "frechet": frechet_distance(reference.numpy(), features.numpy()),
        }
        found = {name: round(value, 5) for name, value in found.items()}
        found["seconds"] = round(time.perf_counter() - start, 2)
        rows.append(how | found | stamp)
        print(rows[-1], flush=True)
        with open(FILE, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

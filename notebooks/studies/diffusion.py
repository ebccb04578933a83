"""How to sample, in the lab diffusion: `make study STEM=diffusion`.

`_sampling.csv`: the shipped network draws four pictures for each of 64 label lists (of
validation pictures, in no test list), with five seeds: at guidance 3 DDIM with and
without fresh noise, diffusers' DPM-Solver++ of second order, and DDIM on steps that are
even on the straight path of rectified flow (`straight`); at 25 steps guidance 1 and 5. A
wider grid of guidance and steps, and all 1,000 DDPM steps, with one seed.

`_flow.csv`: the network of the `cpu` profile, trained from the same three seeds to guess
the velocity on the circle (`v`) or on the straight path (`flow`), with the lab's steps;
each draws two pictures for each of the lists, at steps even on either path.

One row a run: the course's score and the exact-set score, the diversity (variance of a
pixel among the pictures of one list, over that of true pictures), the FID-like distance
to 1,024 true pictures of the same lists (Fréchet distance of the judge's `texture`). The
lab plots the rows and runs one again. `true`: other true pictures. Rows that are there
are not run again.
"""

import csv
import datetime
import itertools
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

import dlp_utils as dlp
from dlp_utils.data import clevr
from dlp_utils.models import diffusion as lab
from dlp_utils.models.inpainting import frechet_distance

GUIDANCE, STEPS, SEEDS = (1.0, 1.5, 2.0, 3.0, 5.0), (5, 10, 25, 50), range(5)
FILE = Path(__file__).with_name("diffusion_sampling.csv")
FLOW = Path(__file__).with_name("diffusion_flow.csv")
LISTS, USUAL = 64, 3.0
TRAIN_STEPS, TRAIN_SEEDS = 400, range(3)
NAMES = "sampler", "eta", "steps", "guidance", "seed"
FLOW_NAMES = "asked", "even_on", "steps", "seed"


def runs():
    """Sampler, η, steps, guidance and seed of each run."""
    for seed in SEEDS:
        yield "true", 0.0, 0, 0.0, seed
        for steps in (5, 10, 25):
            yield "ddim", 1.0, steps, USUAL, seed
            yield "ddim", 0.0, steps, USUAL, seed
            yield "straight", 0.0, steps, USUAL, seed
        yield from (("solver", 0.0, steps, USUAL, seed) for steps in (5, 10, 20))
        yield from (("ddim", 0.0, 25, guidance, seed) for guidance in (1.0, 5.0))
    yield "ddim", 1.0, 50, USUAL, 0
    for guidance, steps in itertools.product(GUIDANCE, STEPS):
        yield "ddim", 0.0, steps, guidance, 0
    yield "ddpm", 1.0, 1000, USUAL, 0


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
    if sampler == "straight":
        steps = lab.even_on_line(steps, model.config.steps)
    return lab.ddim_sample(model, labels, steps, guidance, eta, seed)


@torch.no_grad()
def seen_by(evaluator, pictures):
    """Texture (n, 64) and logits (n, 24) of pictures in [-1, 1]."""
    parts = pictures.split(256)
    found = [(evaluator.texture(part), evaluator(part)) for part in parts]
    return (torch.cat(kind) for kind in zip(*found, strict=True))


def spread(pictures, lists):
    """Mean variance of a pixel among the pictures of one list, (n · lists, 3, H, W)."""
    return pictures.unflatten(0, (-1, lists)).var(dim=0).mean().item()


class Judge:
    """Scores pictures of `copies` times the same lists."""

    def __init__(self, evaluator, copies):
        self.evaluator, self.copies, self.lists = (
            evaluator,
            copies,
            lab.lists_apart(LISTS),
        )
        self.labels = torch.as_tensor(clevr.multi_hot(self.lists * copies))
        true = lab.pixels(clevr.drawn(self.lists * 16, seed=1).images)
        self.reference = next(seen_by(evaluator, true)).numpy()
        self.spread = spread(true[: len(self.labels)], LISTS)

    def true(self, seed):
        return lab.pixels(clevr.drawn(self.lists * self.copies, seed=2 + seed).images)

    def __call__(self, pictures):
        features, logits = seen_by(self.evaluator, pictures)
        found = {
            "course": lab.course_score(logits, self.labels),
            "exact": lab.exact_score(logits, self.labels),
            "diversity": spread(pictures, LISTS) / self.spread,
            "frechet": frechet_distance(self.reference, features.numpy()),
        }
        return {name: round(value, 5) for name, value in found.items()}


class Rows:
    """The rows of a file; a run that is there is not run again."""

    def __init__(self, file):
        self.file, self.rows = file, []
        if file.exists():
            with open(file, newline="", encoding="utf-8") as stored:
                self.rows = list(csv.DictReader(stored))

    def has(self, how):
        texts = {key: str(value) for key, value in how.items()}
        return any(
            all(str(row[key]) == texts[key] for key in texts) for row in self.rows
        )

    def add(self, how, measure):
        start = time.perf_counter()
        found = measure()
        found["seconds"] = round(time.perf_counter() - start, 2)
        stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
        self.rows.append(how | found | stamp)
        print(self.rows[-1], flush=True)
        with open(self.file, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, self.rows[0].keys())
            writer.writeheader()
            writer.writerows(self.rows)


def sampling():
    model, evaluator = lab.load_shipped("cpu")
    judge, rows = Judge(evaluator, 4), Rows(FILE)
    for run in runs():
        how = dict(zip(NAMES, run, strict=True))
        if rows.has(how):
            continue
        if how["sampler"] == "true":
            rows.add(how, partial(measured, judge, judge.true, how["seed"]))
        else:
            rows.add(how, partial(measured, judge, draw, model, judge.labels, **how))


def even_on_circle(steps, total):
    """Code steps of the straight path that are even in the circle's angle."""
    angle = (np.array(lab.spaced(steps, total)) + 1) / total * np.pi / 2
    place = np.sin(angle) / (np.sin(angle) + np.cos(angle))
    return (np.round(place * total).astype(int) - 1).tolist()


def times_of(asked, even_on, steps, total):
    """The code steps of a network (v: circle, flow: line) that are even on a path."""
    if (asked == "v") == (even_on == "circle"):
        return lab.spaced(steps, total)
    return {"v": lab.even_on_line, "flow": even_on_circle}[asked](steps, total)


def trained(kind, seed, scenes):
    """The lab's network after the lab's minutes, asked for v or for the flow."""
    torch.manual_seed(seed)
    config = lab.CONFIGS["cpu"]
    network, how = lab.build(config), {"batch": config.batch, "steps": TRAIN_STEPS}
    batches = lab.Batches(scenes.images, scenes.labels, seed=seed, **how)
    question = {"v": lab.step, "flow": lab.flow_step}[kind]
    history = lab.train(network, question, batches, 2e-3, ema=0.99, seed=seed)
    history.ema.copy_to(network)
    return network.eval()


def measured(judge, sample, *given, **how):
    return judge(sample(*given, **how))


def flow():
    _, evaluator = lab.load_shipped("cpu")
    judge, rows = Judge(evaluator, 2), Rows(FLOW)
    scenes = clevr.generated_scenes(size=32)
    for seed, asked in itertools.product(TRAIN_SEEDS, ("v", "flow")):
        sample = {"v": lab.ddim_sample, "flow": lab.flow_sample}[asked]
        network = None
        for path, steps in itertools.product(("circle", "line"), (5, 10, 25)):
            how = dict(zip(FLOW_NAMES, (asked, path, steps, seed), strict=True))
            if rows.has(how):
                continue
            network = network or trained(asked, seed, scenes)
            times = times_of(asked, path, steps, network.config.steps)
            given = network, judge.labels, times, USUAL
            measure = partial(measured, judge, sample, *given, seed=seed)
            rows.add(how, measure)


if __name__ == "__main__":
    sampling()
    flow()

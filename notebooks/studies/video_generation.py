"""Studies of the lab video_generation: `make study STEM=video_generation`, half an hour.

Two tables beside this file, one row a run, measured on the validation clips.

`_annealing`, in the stochastic world: the schedules none, monotonic and cyclical with the
same normalization, price and budget; the loss of the template, `mse + kl`; a posterior
that sees the previous frame; and teacher forcing to the end. The lab runs one row again.
`_past`, in the calm world: the network of the lab and the one whose decoder
does not see the previous frame, with the same steps, cameras and clips.

Name a table to do it alone; runs that are stored are not done again. `film` draws the film
of 60 frames that opens page and lab, from the shipped weights.
"""

import io
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import dlp_utils as dlp
from dlp_utils import interact
from dlp_utils.data import motion
from dlp_utils.models import video_generation as lab

LOOKS, HELD_OUT = 6, (65, 245)  # outfits; cameras of the validation clips
CALM, DRIFT = motion.World(), motion.World(light=0.15, wind=0.9, memory=0.7)
TEMPLATE = 3 * 32 * 64 / (2 * 0.2**2)  # beta of `mse + kl` at sigma = 0.2
ANNEALING = {  # name: (beta by the share of the training, changes of the configuration)
    "none": (lab.annealed(cycles=0), {}),
    "monotonic": (lab.annealed(cycles=1), {}),
    "cyclical": (lab.annealed(cycles=4), {}),
    "template": (lambda done: TEMPLATE, {}),
    "seeing": (lab.annealed(cycles=0), {"seeing": True}),
    "forced": (lab.annealed(cycles=0), {}),  # teacher forcing to the end
}
SEEDS = dict.fromkeys(("none", "monotonic", "cyclical"), range(5))  # others: three
PAST = {"with": {}, "without": {"past": False}}
STEPS, AZIMUTHS = 500, (20, 200)


@cache
def clips(part, world):
    cameras = AZIMUTHS if part == "train" else HELD_OUT
    return motion.render_all(motion.load_clips(), part, cameras, world, looks=LOOKS)


def measured(world, length, seed, steps, changes, beta=None, ratio=None):
    config = replace(lab.CONFIGS["cpu"], **changes)
    model, _ = lab.train_cvae(
        config, clips("train", world), steps, beta, ratio, seed=seed
    )
    found = lab.measure(model, clips("validation", world), length)
    return {key: value for key, value in found.items() if key != "copy"}


def annealing(schedule, seed, steps):
    beta, changes = ANNEALING[schedule]
    ratio = (lambda done: 1.0) if schedule == "forced" else None
    return measured(DRIFT, 41, seed, steps, changes, beta, ratio)


def past(past, seed, steps):
    return measured(CALM, 61, seed, steps, PAST[past])


TABLES = {  # name: (runs, how to measure one)
    "annealing": (
        [
            {"schedule": name, "seed": seed, "steps": STEPS}
            for name in ANNEALING
            for seed in SEEDS.get(name, range(3))
        ],
        annealing,
    ),
    "past": (
        [{"past": n, "seed": s, "steps": STEPS} for n in PAST for s in range(3)],
        past,
    ),
}


BOOK = Path(__file__).parents[2] / "book"
PLAYER, PICTURE = (
    BOOK / "figures" / "video_film.html",
    BOOK / "_static" / "video_film.webp",
)


def painted(frames=60, clip=5):
    """Truth, poses and painted film of a test clip (T, 3, 32, 64), after the first frame.

    Shipped weights; the network has seen the first frame and the poses alone.
    """
    test = motion.render_all(motion.load_clips(), "test", HELD_OUT, looks=LOOKS)[clip]
    x, c = (
        torch.as_tensor(part[: frames + 1]).float() / 255
        for part in (test.frames, test.poses)
    )
    model = lab.load_shipped("deterministic", "cpu")
    return x[1:], c[1:], lab.rollout(model, x[None, 0], c[None, 1:])[0]


def film(scale=3, gap=6):
    """Write the film as a player for the page and as a picture that moves for the lab."""
    films, pictures = painted(), []
    for three in zip(*films, strict=True):
        shades = [(40 * part.clamp(0, 1)).round() / 40 for part in three]
        parts = [(255 * part).byte().permute(1, 2, 0).numpy() for part in shades]
        parts = [np.kron(part, np.ones((scale, scale, 1), np.uint8)) for part in parts]
        white = np.full((parts[0].shape[0], gap, 3), 255, np.uint8)
        row = np.concatenate([parts[0], white, parts[1], white, parts[2]], axis=1)
        pictures.append(Image.fromarray(row))
    title = "A test clip: left the truth, middle the poses, right the painted film"
    frames = interact._encode(pictures, 64, 1.0)
    axes = {"frame": list(range(1, len(frames) + 1))}
    page = interact._page(frames, pictures[0].size, axes, title, interval=50)
    PLAYER.write_text(page + "\n", encoding="utf-8")
    buffer = io.BytesIO()
    how = {"save_all": True, "append_images": pictures[1:], "duration": 40}
    pictures[0].save(buffer, "WEBP", lossless=True, loop=2, method=6, **how)
    PICTURE.write_bytes(buffer.getvalue())
    for file in (PLAYER, PICTURE):
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    for table in sys.argv[1:] or (*TABLES, "film"):
        if table == "film":
            film()
        else:
            dlp.studies.sweep(f"video_generation_{table}", *TABLES[table], digits=4)

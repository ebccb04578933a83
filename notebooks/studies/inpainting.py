"""How to decode, in the lab inpainting: `make study STEM=inpainting`.

The shipped networks fill the holes of the lab's first 150 test cats (generated): three
schedules, 1 to 16 steps, three temperatures of the confidence, five seeds. One row a
run in `_decoding.csv` beside this file: the FID-like score against 2000 validation
cats, and the PSNR in the holes. The lab plots it and runs one row again.

`_nothing.csv`: 150 cats painted from nothing, and 150 missing halves, in one step and in
eight, without noise and with it, five seeds.

`_photographs.csv`: tokenizer and transformer trained from scratch, a few minutes, on
64 × 64 crops of eight real photographs, and, for comparison, on as many generated cats;
three seeds. They fill holes in crops of the photographs they have seen, in crops of three
others, and in new cats, beside two fills that learn nothing. One row for each run, what
it fills and the kind of hole.

Name sweeps to do them alone: what is stored is not done again. `sheet` trains seed 0 and
draws the page's sheet of pictures.
"""

import dataclasses
import itertools
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from skimage.restoration import inpaint_biharmonic
from torch.nn import functional as F

import dlp_utils as dlp
from dlp_utils.data import cats
from dlp_utils.models import inpainting as lab

SEEDS, STEPS = (0, 1, 2, 3, 4), (1, 2, 4, 8, 16)
SCHEDULES, TEMPERATURES = ("cosine", "linear", "square"), (0.0, 1.0, 4.5)
TEST, REFERENCE = 150, 2000


@torch.no_grad()
def seen_by(features, pictures):
    return torch.cat([features(part) for part in pictures.split(500)]).double().numpy()


@cache
def shipped():
    """Networks, features, test pictures, and what the features see in the reference."""
    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(TEST, "test").images)
    others = lab.pixels(cats.generated_cats(REFERENCE, "validation").images)
    return model, features, x, seen_by(features, others)


def scores(missing, **how):
    """FID-like score of the test pictures, filled, and their PSNR in the hole."""
    model, features, x, reference = shipped()
    pictures, _ = lab.inpaint(model, x, missing, **how)
    score = lab.frechet_distance(reference, seen_by(features, pictures))
    return {"frechet": score, "psnr": lab.psnr(pictures, x, missing).mean().item()}


DECODING = [
    {"seed": seed, "steps": steps, "schedule": schedule, "temperature": heat}
    for seed, steps, schedule, heat in itertools.product(
        SEEDS, STEPS, SCHEDULES, TEMPERATURES
    )
]


def decoding(**how):
    """Schedules, steps, temperatures."""
    return scores(torch.as_tensor(cats.masks(TEST, "mixed")), **how)


NOTHING = [
    {"task": task, "steps": steps, "temperature": heat, "seed": seed}
    for task, hot in (("nothing", 9.0), ("half", 4.5))
    for steps, heat in ((1, 0.0), (8, 0.0), (8, hot))
    for seed in SEEDS
]


def nothing(task, **how):
    """From nothing, and from half: one step against eight."""
    missing = torch.as_tensor(cats.masks(TEST, "half"))
    missing = torch.ones_like(missing) if task == "nothing" else missing
    return {"frechet": scores(missing, **how)["frechet"]}


SIZE, CROPS, TRIED = 64, 4000, 30  # side; pictures to train on; to fill, of each
TOKENIZER, TRANSFORMER = (16, 400), (8, 400)  # batch and steps
SHEET = (
    Path(__file__).parents[2]
    / "book"
    / "_static"
    / "figures"
    / "inpaint_photographs.png"
)


def biharmonic(x, missing):
    """Continue each picture (B, 3, H, W) into its hole with the least bending."""
    pictures = ((x + 1) / 2).permute(0, 2, 3, 1).double().numpy()
    pairs = zip(pictures, missing.numpy(), strict=True)
    filled = np.stack([inpaint_biharmonic(p, m, channel_axis=-1) for p, m in pairs])
    return (2 * torch.as_tensor(filled).permute(0, 3, 1, 2).float() - 1).clamp(-1, 1)


def ring(x, missing):
    """Fill each hole with one color, the mean of the known pixels next to it."""
    filled = x.clone()
    for picture, hole in zip(filled, missing, strict=True):
        near = torch.as_tensor(binary_dilation(hole.numpy(), iterations=2)) & ~hole
        picture[:, hole] = picture[:, near].mean(dim=1, keepdim=True)
    return filled


def edges(x, missing):
    """Mean absolute difference of neighbors that both lie in the hole."""
    found = []
    for d, both in (
        (-1, missing[..., 1:] & missing[..., :-1]),
        (-2, missing[:, 1:] & missing[:, :-1]),
    ):
        found.append(x.diff(dim=d).abs().mean(dim=1)[both])
    return torch.cat(found).mean().item()


@torch.no_grad()
def token_loss(model, images):
    """Nats for each hidden token of images, under the masks of the training."""
    torch.manual_seed(0)
    tokens = lab.encode_all(model.tokenizer, images)
    masked = lab.random_mask(tokens.shape, "cpu")
    return lab.masked_token_loss(model.transformer, tokens, masked).item()


@cache
def learned(data, seed):
    """Tokenizer, then transformer on its tokens, from scratch: the lab's own functions."""
    images, _ = sets(data)
    torch.manual_seed(seed)
    model = lab.build(dataclasses.replace(lab.CONFIGS["cpu"], size=SIZE))
    batches = lab.Batches(images, batch=TOKENIZER[0], steps=TOKENIZER[1], seed=seed)
    lab.train(model.tokenizer, lab.tokenizer_step, batches, lr=2e-3, channels_last=True)
    tokens = lab.encode_all(model.tokenizer, images)
    batches = lab.Batches(tokens, batch=TRANSFORMER[0], steps=TRANSFORMER[1], seed=seed)
    lab.train(model.transformer, lab.token_step, batches, lr=1.5e-3)
    model.eval()
    return model


@torch.no_grad()
def fills(model, x, missing, seed):
    """All fills of one set of pictures: {name: pictures}."""
    hole = missing[:, None]
    rebuilt = model.tokenizer.decode(model.tokenizer.encode(x))
    return {
        "network_8": lab.inpaint(model, x, missing, steps=8, seed=seed)[0],
        "network_1": lab.inpaint(model, x, missing, steps=1, seed=seed)[0],
        "biharmonic": biharmonic(x.masked_fill(hole, 0.0), missing),
        "ring": ring(x, missing),
        "true_tokens": torch.where(hole, rebuilt, x),
    }


@cache
def sets(data):
    """What is learned, pictures; and what is filled, {name: pictures}."""
    if data == "cats":
        new = cats.generated_cats(TRIED, "test", SIZE).images
        return cats.generated_cats(CROPS, "train", SIZE).images, {"new cats": new}
    other = cats.crops(3 * TRIED, "test", SIZE)
    names = np.array(other.photographs)
    seen = cats.crops(TRIED, "train", SIZE, seed=1).images  # of the same photographs
    tried = {str(name): other.images[names == name] for name in np.unique(names)}
    return cats.crops(CROPS, "train", SIZE).images, {"seen": seen} | tried


FILLED = {"photographs": ("seen", "chelsea", "gravel", "rocket"), "cats": ("new cats",)}
PHOTOGRAPHS = [
    {"data": data, "seed": seed, "filled": name, "kind": kind}
    for data, names in FILLED.items()
    for seed in range(3)
    for name in names
    for kind in cats.MASKS
]


def photographs(data, seed, filled, kind):
    """What changes on real data. (The first row of a run takes its training's time.)"""
    model, images = learned(data, seed), sets(data)[1][filled]
    x = lab.pixels(images)
    missing = torch.as_tensor(cats.masks(len(x), kind, SIZE))
    found = {
        "n": len(x),
        "reconstruction": lab.psnr(rebuild(model, x), x).mean().item(),
        "codes": len(lab.encode_all(model.tokenizer, images).unique()),
        "token_loss": token_loss(model, images),
    }
    true = edges(x, missing)
    for fill, picture in fills(model, x, missing, seed).items():
        found[fill] = lab.psnr(picture, x, missing).mean().item()
        found["edges_" + fill] = edges(picture, missing) / true
    return found


@torch.no_grad()
def rebuild(model, x):
    return model.tokenizer.decode(model.tokenizer.encode(x))


def sheet():
    """Draw originals, holes, network and biharmonic, one crop a column."""
    model, tried = learned("photographs", 0), sets("photographs")[1]
    columns = []
    for name, at in (
        ("seen", 0),
        ("seen", 1),
        ("chelsea", 0),
        ("chelsea", 1),
        ("rocket", 0),
        ("gravel", 1),
    ):
        x = lab.pixels(tried[name][at : at + 1])
        missing = torch.as_tensor(cats.masks(at + 1, "box", SIZE))[at:]
        given = x.masked_fill(missing[:, None], 0.0)
        found = fills(model, x, missing, 0)
        column = torch.cat([x, given, found["network_8"], found["biharmonic"]])
        columns.append(F.pad(column, (2, 2, 2, 2), value=1.0))
    board = torch.stack(columns, 1).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    board = ((board + 1) * 127.5).round().byte().numpy()
    board = Image.fromarray(board).resize(
        [2 * side for side in board.shape[1::-1]], Image.NEAREST
    )
    board.quantize(192, Image.Quantize.FASTOCTREE).save(SHEET, optimize=True)


SWEEPS = {  # name: (runs, how to measure one, digits)
    "decoding": (DECODING, decoding, 5),
    "nothing": (NOTHING, nothing, 5),
    "photographs": (PHOTOGRAPHS, photographs, 4),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or (*SWEEPS, "sheet"):
        if name == "sheet":
            sheet()
        else:
            runs, measure, digits = SWEEPS[name]
            dlp.studies.sweep(f"inpainting_{name}", runs, measure, digits=digits)

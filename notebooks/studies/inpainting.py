"""How to decode, in the lab inpainting: `make study STEM=inpainting`.

The shipped networks fill the holes of the lab's first 150 test cats (generated): three
schedules, 1 to 16 steps, three temperatures of the confidence, five seeds. One row a
run in `_decoding.csv` beside this file: the FID-like score against 2000 validation
cats, and the PSNR in the holes. The lab plots it and runs one row again. `decoding 3 4`
does these seeds alone and keeps all other rows.

`_nothing.csv`: 150 cats painted from nothing, and 150 missing halves, in one step and in
eight, without noise and with it, five seeds.

`_photographs.csv`: tokenizer and transformer trained from scratch, a few minutes, on
64 × 64 crops of eight real photographs, and, for comparison, on as many generated cats;
three seeds. They fill holes in crops of the photographs they have seen, in crops of three
others, and in new cats, beside two fills that learn nothing. One row for each run, what
it fills and the kind of hole. `photographs 0` does this seed alone, `drawn 0` that of the
cats; all other rows are kept. Seed 0 also draws the page's sheet of pictures.
"""

import csv
import dataclasses
import datetime
import itertools
import sys
import time
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
FILE = Path(__file__).with_name("inpainting_decoding.csv")
TEST, REFERENCE = 150, 2000


@torch.no_grad()
def seen_by(features, pictures):
    return torch.cat([features(part) for part in pictures.split(500)]).double().numpy()


def kept(file, done):
    """The stored rows of all seeds but those that are done now."""
    if not file.exists():
        return []
    with open(file, encoding="utf-8") as stored:
        return [row for row in csv.DictReader(stored) if int(row["seed"]) not in done]


def decoding(*seeds):
    """Schedules, steps, temperatures."""
    done = [int(seed) for seed in seeds] or SEEDS
    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(TEST, "test").images)
    missing = torch.as_tensor(cats.masks(TEST, "mixed"))
    others = cats.generated_cats(REFERENCE, "validation").images
    reference = seen_by(features, lab.pixels(others))
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = kept(FILE, done)
    names = ("seed", "steps", "schedule", "temperature")
    for run in itertools.product(done, STEPS, SCHEDULES, TEMPERATURES):
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
def nothing(*seeds):
    """From nothing, and from half: one step against eight."""
    done = [int(seed) for seed in seeds] or SEEDS
    file = FILE.with_name("inpainting_nothing.csv")
    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(TEST, "test").images)
    others = cats.generated_cats(REFERENCE, "validation").images
    reference = seen_by(features, lab.pixels(others))
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    rows = kept(file, done)
    for task, hot in (("nothing", 9.0), ("half", 4.5)):
        missing = torch.as_tensor(cats.masks(TEST, "half"))
        if task == "nothing":
            missing = torch.ones_like(missing)
        for (steps, heat), seed in itertools.product(
            ((1, 0.0), (8, 0.0), (8, hot)), done
        ):
            how = {"steps": steps, "temperature": heat, "seed": seed}
            filled, _ = lab.inpaint(model, x, missing, **how)
            score = lab.frechet_distance(reference, seen_by(features, filled))
            rows.append({"task": task} | how | {"frechet": round(score, 5)} | stamp)
            print(rows[-1], flush=True)
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


SIZE, CROPS, TRIED = 64, 4000, 30  # side; pictures to train on; to fill, of each
TOKENIZER, TRANSFORMER = (16, 400), (8, 400)  # batch and steps
PHOTOGRAPHS = FILE.with_name("inpainting_photographs.csv")
SHEET = FILE.parents[2] / "book" / "_static" / "figures" / "inpaint_photographs.png"


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


def learn(images, seed):
    """Tokenizer, then transformer on its tokens, from scratch: the lab's own functions."""
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


def photographs(*seeds, data="photographs"):
    """What changes on real data."""
    learned, tried = sets(data)
    stamp = {"machine": dlp.machine(), "date": datetime.date.today().isoformat()}
    for seed in [int(seed) for seed in seeds] or (0, 1, 2):
        rows = []
        start = time.perf_counter()
        model = learn(learned, seed)
        seconds = round(time.perf_counter() - start)
        for name, images in tried.items():
            x = lab.pixels(images)
            whole = {"reconstruction": lab.psnr(rebuild(model, x), x).mean().item()}
            whole["codes"] = len(lab.encode_all(model.tokenizer, images).unique())
            whole["token_loss"] = token_loss(model, images)
            for kind in cats.MASKS:
                missing = torch.as_tensor(cats.masks(len(x), kind, SIZE))
                found, true = {}, edges(x, missing)
                for fill, picture in fills(model, x, missing, seed).items():
                    found[fill] = lab.psnr(picture, x, missing).mean().item()
                    found["edges_" + fill] = edges(picture, missing) / true
                run = {"data": data, "seed": seed, "filled": name, "kind": kind}
                found = {key: round(value, 4) for key, value in (whole | found).items()}
                rows.append(run | {"n": len(x)} | found | {"seconds": seconds} | stamp)
                print(rows[-1], flush=True)
        stored = kept(PHOTOGRAPHS, ())
        rows += [r for r in stored if (r["data"], r["seed"]) != (data, str(seed))]
        rows.sort(key=lambda row: (row["data"] == "cats", int(row["seed"])))
        with open(PHOTOGRAPHS, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        if seed == 0 and data == "photographs":
            sheet(model, tried)


def drawn(*seeds):
    """The same with generated cats."""
    photographs(*seeds, data="cats")


@torch.no_grad()
def rebuild(model, x):
    return model.tokenizer.decode(model.tokenizer.encode(x))


def sheet(model, tried):
    """Draw originals, holes, network and biharmonic, one crop a column."""
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


SWEEPS = {"decoding": decoding, "nothing": nothing}
SWEEPS |= {"photographs": photographs, "drawn": drawn}

if __name__ == "__main__":
    seeds = [word for word in sys.argv[1:] if word not in SWEEPS]
    for name in [word for word in sys.argv[1:] if word in SWEEPS] or SWEEPS:
        SWEEPS[name](*seeds)

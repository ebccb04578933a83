"""Sweeps of the lab segmentation, run once by `make study`; one row a run.

`_ablation.csv`, generated pets: each variant differs from the U-Net of the lab in one
thing; group "choice" (loss and learning rate) is judged on the validation part, group
"question" on the test part, too. All variants take the same number of steps, with three
seeds.

`_networks.csv`: the three networks as the lab trains them, and U-Net and ResNet34-U-Net
for twice as long, three seeds each; also the mean Dice over the pets before each
of the eight test photographs.

`_rare.csv`, real nuclei: the gap between nuclei that touch, by loss and steps; trained on
the left two thirds, where the threshold is chosen, too, and tested on the right third.

A sweep that was cut off goes on where it stopped. Name sweeps to run them alone:
`python notebooks/studies/segmentation.py networks`.
"""

import sys
from functools import cache

import numpy as np
import torch
from scipy import ndimage

import dlp_utils as dlp
from dlp_utils.data import segmentation as data
from dlp_utils.models import segmentation as lab

SIZE, WIDTH = 64, 8
SEEDS = 0, 1, 2
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
# Epochs; the first are the lab's.
ROUNDS = {"fcn": (7,), "unet": (7, 14), "resnet": (5, 10)}


@cache
def pets(part, n):
    return data.generated_pets(n, part, SIZE)


def pairs_of(part, n, transform=None):
    found = pets(part, n)
    return lab.Pairs(found.images, found.masks, transform)


def scores(model, pairs):
    """Dice of each picture."""
    return lab.dice(lab.predict(model, pairs) > 0, pairs.masks.bool()).numpy()


def ablation():
    """Runs of one change each, and how to measure one."""
    runs = [
        {"group": group, "variant": name, "seed": seed, "size": SIZE, "width": WIDTH}
        | USUAL
        | changes
        for group, variants in VARIANTS.items()
        for name, changes in variants.items()
        for seed in SEEDS
    ]
    return runs, ablate


def ablate(group, seed, n, epochs, loss, lr, elastic, up, skips, **_):
    """Dice on the validation part; of a question on the test part, too."""
    transform = lab.augmentation(elastic)
    pairs = lab.Pairs(
        pets("train", USUAL["n"]).images[:n],
        pets("train", USUAL["n"]).masks[:n],
        transform,
    )
    torch.manual_seed(seed)
    model = lab.UNet(WIDTH, up=up, skips=skips)
    lab.train(model, pairs, seed=seed, epochs=epochs, loss=loss, lr=lr)
    found = {"validation": scores(model, pairs_of("validation", 150)).mean().item()}
    test = group == "question"  # a choice may not look at it
    return found | {
        "test": scores(model, pairs_of("test", 300)).mean().item() if test else ""
    }


def networks():
    """Runs of whole networks, the lab's epochs first, and how to measure one."""
    longest = max(len(rounds) for rounds in ROUNDS.values())
    runs = [
        {"network": name, "epochs": rounds[k], "seed": seed, "n": 2000}
        for k in range(longest)
        for seed in SEEDS
        for name, rounds in ROUNDS.items()
        if k < len(rounds)
    ]
    return runs, whole


def whole(network, epochs, seed, n):
    """As the lab trains it; and the pets before each photograph by themselves."""
    torch.manual_seed(seed)
    model = lab.build(lab.CONFIGS["cpu"], network)
    train = pairs_of("train", n, lab.augmentation(0.0))
    history = lab.train(model, train, epochs, seed=seed)
    test = scores(model, pairs_of("test", 300))
    behind = np.array(pets("test", 300).photographs)
    found = {
        "weights": dlp.count_parameters(model),
        "loss": float(np.mean(history.losses[-100:])),
        "validation": float(scores(model, pairs_of("validation", 150)).mean()),
        "test": float(test.mean()),
        "worst_tenth": float(np.sort(test)[: len(test) // 10].mean()),
    }
    names = sorted(set(behind))
    return found | {name: float(test[behind == name].mean()) for name in names}


LOSSES = {"bce": "bce", "weighted": "bce", "dice": "dice", "pooled": "pooled"}
CUT = 341  # columns left of it train


def rare():
    """Runs of the gap between nuclei, and how to measure one."""
    runs = [
        {"loss": loss, "steps": steps, "seed": seed}
        for steps in (100, 250)
        for loss in LOSSES
        for seed in range(3)
    ]
    return runs, gap


@cache
def microscope():
    """The picture, normalized by its columns to train on; the gaps; the labels."""
    cells = data.nuclei()
    columns = np.sqrt(cells.part("train")[0])
    image = (np.sqrt(cells.image) - columns.mean()) / columns.std()
    return torch.as_tensor(image)[None], lab.gaps(cells.labels), cells.labels


def overlap(found, true):
    return lab.dice(*(torch.as_tensor(m)[None, None] for m in (found, true))).item()


def gap(loss, steps, seed):
    """Dice of the gap at one half and at the threshold that is best on the left."""
    image, true, labels = microscope()
    left, right = true[:, :CUT], true[:, CUT:]
    weight = float((1 - left.mean()) / left.mean()) if loss == "weighted" else None
    how = {"seed": seed, "weight": weight}
    model = lab.train_crops(image[..., :CUT], left, steps, LOSSES[loss], **how)
    p_left = lab.segment(model, image[..., :CUT]).numpy()
    p = lab.segment(model, image[..., CUT:]).numpy()
    thresholds = np.linspace(0.02, 0.98, 49)
    best = max(thresholds, key=lambda t: overlap(p_left > t, left))
    mask = labels[:, CUT:] > 0
    return {
        "marked": float((p > 0.5).mean()),
        "dice": overlap(p > 0.5, right),
        "threshold": float(best),
        "dice_best": overlap(p > best, right),
        "islands": ndimage.label(mask & ~(p > best))[1],
    }


SWEEPS = {"networks": networks, "ablation": ablation, "rare": rare}

if __name__ == "__main__":
    for sweep in sys.argv[1:] or SWEEPS:
        runs, measure = SWEEPS[sweep]()
        dlp.studies.sweep(f"segmentation_{sweep}", runs, measure)

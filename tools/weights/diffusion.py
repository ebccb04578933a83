"""Train the networks that the lab diffusion ships: `make weights STEM=diffusion`.

On the lab's 18,009 generated training pictures: `evaluator`, which names what is in a picture and never trains or
guides the other; `model`, the U-Net, averaged over its last steps; `longer`, a second round for it, from the averaged
weights with half the learning rate. Stored as one file of half-precision numbers, named `evaluator.…` and `model.…`; a
line on each run goes to the log beside this script. Name runs to do them alone. A run of the U-Net that was stopped
goes on from its checkpoint.
"""

import datetime
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import dlp_utils as dlp
from dlp_utils.data import clevr
from dlp_utils.models import diffusion as lab

FILE = Path(lab.__file__).parents[1] / "weights" / "diffusion.safetensors"
LOG = Path(__file__).with_suffix(".log")
CHECKPOINT = Path(__file__).with_suffix(".checkpoint")
CONFIG = lab.CONFIGS["cpu"]
STEPS = {"evaluator": 2000, "model": 32_000, "longer": 11_000}


def store(prefix, network):
    """Put a network into the file in the place of the one that was there."""
    stored = load_file(str(FILE)) if FILE.exists() else {}
    stored = {key: value for key, value in stored.items() if not key.startswith(prefix)}
    stored |= {prefix + key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(stored, str(FILE))


def train_evaluator(scenes):
    torch.manual_seed(0)
    network = lab.Evaluator()
    batches = lab.Batches(scenes.images, scenes.labels, batch=64, steps=STEPS["evaluator"])
    return network, lab.train(network, lab.evaluator_step, batches, 2e-3)


def train_model(scenes, name="model", lr=2e-3, seed=0):
    torch.manual_seed(seed)
    network = lab.build(CONFIG)
    if name == "longer":
        network = lab.load_shipped("cpu")[0]
    batches = lab.Batches(scenes.images, scenes.labels, batch=CONFIG.batch, steps=STEPS[name], seed=seed)

    def report(step, network, history):
        if step % 500 == 0:
            print(name, step, f"loss {history.losses[-500:].mean():.4f}", flush=True)

    history = lab.train(
        network, lab.step, batches, lr, ema=0.9995, callbacks=[report], checkpoint=CHECKPOINT,
        checkpoint_every=1000, seed=seed,
    )  # fmt: skip
    history.ema.copy_to(network)
    return network, history


RUNS = {
    "evaluator": train_evaluator,
    "model": train_model,
    "longer": lambda scenes: train_model(scenes, "longer", lr=1e-3, seed=1),
}


def main(chosen):
    FILE.parent.mkdir(exist_ok=True)
    scenes = clevr.generated_scenes(size=CONFIG.size)
    for name, run in RUNS.items():
        if chosen and name not in chosen:
            continue
        start = time.perf_counter()
        network, history = run(scenes)
        store("evaluator." if name == "evaluator" else "model.", network)
        CHECKPOINT.unlink(missing_ok=True)
        line = (
            f"{datetime.date.today()} {name}: {history.steps} steps in {time.perf_counter() - start:.0f} s; "
            f"mean loss of the last 200 {history.losses[-200:].mean():.4f}; {dlp.machine()}"
        )
        print(line, flush=True)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

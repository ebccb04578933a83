"""Train the networks that the lab inpainting ships: `make weights STEM=inpainting`.

On 24,000 generated cats and their mirror images, of the training part: `features`, which say what was drawn and
serve to compare sets of pictures; `tokenizer`; `transformer`, on the tokens of that tokenizer, averaged over its
last steps. Stored as one file of half-precision numbers, named `features.…`, `maskgit.tokenizer.…` and
`maskgit.transformer.…`; a line on each run goes to the log beside this script. Name runs to do them alone.
"""

import datetime
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import dlp_utils as dlp
from dlp_utils.data import cats
from dlp_utils.models import inpainting as lab

FILE = Path(lab.__file__).parents[1] / "weights" / "inpainting.safetensors"
LOG = Path(__file__).with_suffix(".log")
CATS = 24_000
CONFIG = lab.CONFIGS["cpu"]


def store(prefix, network):
    """Put a network into the file in the place of the one that was there."""
    stored = load_file(str(FILE)) if FILE.exists() else {}
    stored = {key: value for key, value in stored.items() if not key.startswith(prefix)}
    stored |= {prefix + key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(stored, str(FILE))


def load(prefix, network):
    stored = {key: value.float() for key, value in load_file(str(FILE)).items() if key.startswith(prefix)}
    network.load_state_dict({key.removeprefix(prefix): value for key, value in stored.items()})
    return network.eval()


def train_features(drawn, images):
    torch.manual_seed(0)
    network = lab.Features()
    numbers = np.concatenate([drawn.colors.reshape(len(drawn), -1), drawn.traits], axis=1)
    batches = lab.Batches(drawn.images, drawn.pattern, numbers, batch=64, steps=3000)
    return network, lab.train(network, lab.features_step, batches, 2e-3), "features."


def train_tokenizer(drawn, images):
    torch.manual_seed(0)
    network, prefix = lab.Tokenizer(CONFIG), "maskgit.tokenizer."
    batches = lab.Batches(images, batch=32, steps=11_000)
    history = lab.train(
        network, lab.tokenizer_step, batches, 2e-3, channels_last=True, callbacks=[keeper(prefix)]
    )
    return network, history, prefix


def train_transformer(drawn, images):
    torch.manual_seed(0)
    tokens = lab.encode_all(load("maskgit.tokenizer.", lab.Tokenizer(CONFIG)), images)
    network, prefix = lab.Transformer(CONFIG), "maskgit.transformer."
    batches = lab.Batches(tokens, batch=32, steps=8000)
    how = {"ema": 0.998, "callbacks": [keeper(prefix)]}
    history = lab.train(network, lab.token_step, batches, 1.5e-3, **how)
    history.ema.copy_to(network)
    return network, history, prefix


def keeper(prefix, every=1000):
    """A callback that stores the network on the way, in case the machine stops."""

    def keep(step, network, history):
        if step % every == 0:
            store(prefix, network)
            print(prefix, step, f"loss {history.losses[-200:].mean():.4f}", flush=True)

    return keep


RUNS = {"features": train_features, "tokenizer": train_tokenizer, "transformer": train_transformer}


def main(chosen):
    FILE.parent.mkdir(exist_ok=True)
    drawn = cats.generated_cats(CATS, "train", CONFIG.size)
    images = torch.as_tensor(np.concatenate([drawn.images, drawn.images[..., ::-1]]))
    for name, run in RUNS.items():
        if chosen and name not in chosen:
            continue
        start = time.perf_counter()
        network, history, prefix = run(drawn, images)
        store(prefix, network)
        line = (
            f"{datetime.date.today()} {name}: {history.steps} steps in {time.perf_counter() - start:.0f} s; "
        )
        line += f"mean loss of the last 200 {history.losses[-200:].mean():.4f}; {dlp.machine()}"
        print(line, flush=True)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

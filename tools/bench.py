"""What `fit`, the import and the pages cost, measured on this machine: `make bench`. A benchmark, never a test.

All ways to train take their turns in one process, so a busy machine slows them alike, and each is compared with the
bare loop of its own round.
"""

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from urllib.parse import unquote

STEPS, ROUNDS, IMPORTS = 1000, 9, 7
OVERHEAD_BAR, SHARE_BAR, IMPORT_BAR, PAGE_BAR = 0.25, 0.25, 1.0, 2.0  # ms a step, of Lightning's, s, MB
PAGES = Path(__file__).parent.parent / "_build" / "html"


class Terminal(io.StringIO):
    """Takes the progress bars: their cost counts, their text does not matter."""

    def isatty(self):
        return True


def trainers():
    """Return a dict from name to a function () -> ms a step, each training the same trivial model on the same data."""
    import lightning
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    import dlp_utils as dlp

    draw = dlp.generator(0)
    data = TensorDataset(torch.randn(4 * STEPS, 8, generator=draw), torch.randn(4 * STEPS, 1, generator=draw))

    def step(model, batch):
        x, y = batch
        return F.mse_loss(model(x), y)

    def bare():
        model, loader = nn.Linear(8, 1), DataLoader(data, 4)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        started = time.perf_counter()
        for batch in loader:
            loss = step(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - started) / STEPS * 1e3

    def fit(**kwargs):
        started = time.perf_counter()  # the start of the run included
        dlp.fit(nn.Linear(8, 1), step, DataLoader(data, 4), epochs=1, weight_decay=0.01, **kwargs)
        return (time.perf_counter() - started) / STEPS * 1e3

    def with_log():
        with tempfile.TemporaryDirectory() as folder:
            return fit(log=folder)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = nn.Linear(8, 1)

        def training_step(self, batch, index):
            loss = step(self.model, batch)
            self.log("loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

        def on_train_start(self):  # the start of the run left out, in Lightning's favor
            self.started = time.perf_counter()

        def on_train_end(self):
            self.seconds = time.perf_counter() - self.started

    def with_lightning():
        quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
        module = Module()
        lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(module, DataLoader(data, 4))
        return module.seconds / STEPS * 1e3

    more = {"schedule": "cosine", "warmup": 10, "clip": 1.0, "ema": 0.99}
    ways = {"bare": bare, "fit": fit, "fit, all options": lambda: fit(**more), "fit with a log": with_log}
    return ways | {"Lightning": with_lightning}


def overheads():
    """Return the median ms a step of the bare loop, and those that each other way takes beyond it."""
    ways = trainers()
    rounds = []
    for number in range(ROUNDS + 1):
        with contextlib.redirect_stdout(Terminal()), contextlib.redirect_stderr(Terminal()):
            times = {name: train() for name, train in ways.items()}
        if number:  # the first round only warms up
            rounds.append(times)
    bare = median(times["bare"] for times in rounds)
    return bare, {name: sorted(t[name] - t["bare"] for t in rounds) for name in ways if name != "bare"}


def import_seconds(more="pass"):
    """Return the median s that `import dlp_utils` and then `more` take after `import torch`, in fresh processes."""
    code = f"import time, torch; t = time.perf_counter(); import dlp_utils; {more}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(IMPORTS)]
    return median(float(run.stdout) for run in runs)


def page_weights():
    """Return MB of each built page with the styles, scripts and pictures that it names."""
    weights = {}
    for page in PAGES.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"<(?:script|img|source)\b[^>]*?\bsrc=\"([^\"]+)\"", text)
        named += re.findall(r"<link\b[^>]*?rel=\"stylesheet\"[^>]*?href=\"([^\"]+)\"", text)
        named += re.findall(r"<link\b[^>]*?href=\"([^\"]+)\"[^>]*?rel=\"stylesheet\"", text)
        files = {
            (page.parent / unquote(re.split("[?#]", name)[0])).resolve() for name in named if ":" not in name
        }
        weights[str(page.relative_to(PAGES))] = (
            sum(f.stat().st_size for f in {page, *files} if f.is_file()) / 1e6
        )
    return weights


def tell(what, value, unit, bar=None, note=""):
    verdict = "" if bar is None else f"bar {bar:g} {unit}".ljust(18) + ("pass" if value <= bar else "FAIL")
    print(f"{what:<46}{value:8.3f} {unit:<9}{verdict:<24}{note}".rstrip())
    return bar is None or value <= bar


def main():
    os.environ["ACCELERATE_USE_CPU"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # Lightning announces each run
    import dlp_utils as dlp

    print(dlp.machine())
    seconds, used = import_seconds(), import_seconds("dlp_utils.fit, dlp_utils.claim; import accelerate")
    bare, beyond = overheads()
    tell("bare PyTorch loop", bare, "ms/step")
    passed = []
    for name, values in beyond.items():
        bar = OVERHEAD_BAR if name == "fit" else None
        spread = f"{values[0]:.3f} to {values[-1]:.3f} in {ROUNDS} rounds"
        passed.append(tell(f"{name}: beyond the bare loop", median(values), "ms/step", bar, spread))
    share = median(beyond["fit"]) / median(beyond["Lightning"])
    passed.append(tell("fit's overhead as a share of Lightning's", share, "", SHARE_BAR))
    passed.append(tell("import dlp_utils, beyond torch", seconds, "s", IMPORT_BAR))
    passed.append(tell("… with what the first fit imports", used, "s", IMPORT_BAR))
    weights = page_weights()
    if weights:
        page = max(weights, key=weights.get)
        passed.append(tell(f"heaviest of {len(weights)} pages", weights[page], "MB", PAGE_BAR, page))
    else:
        print("pages: not built, run `make book` first")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

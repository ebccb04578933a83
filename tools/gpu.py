"""Check a CUDA machine: every model's `gpu` configuration trains, a killed run resumes, the labs run.

    make gpu                            all of it, under 8 minutes on a data-centre GPU
    python3 tools/gpu.py --out FOLDER   the same with another Python that has the packages

- `card`: how fast this card multiplies matrices of 8192 × 8192 random numbers.
- `model`: each module of dlp_utils/models takes real steps on one fixed batch through `dlp.fit`, in each precision,
  for --seconds. The loss on that batch, with the same random numbers, must fall by 5 %. Steps a second, memory
  and share of the card's matrix speed stand beside the estimates of `dlp_utils.device.estimate`.
- `resume`: a run that is killed and resumed ends bit for bit as one that never stopped: weights, optimizer, loss
  scale, EMA, losses and every random state.
- `notebook`: each lab runs at the smoke scale with its tensors on the card.

Each part is a process of its own: one that fails, hangs or breaks the GPU is recorded, and the next goes on. Rows go to
`gpu.csv` in FOLDER (default: notebooks/studies, where the book reads it) as they come. With --only or --skip-notebooks
nothing is written unless --out is given, so that no part of the table gets lost. Exit code: 0 all passed,
1 something failed, 2 no CUDA.

Without a network: the labs look for their data in DLP_HOME. Where there is a network, fill a folder with
`DLP_HOME=.gpu python -m dlp_utils.data`, put wheels of missing packages in `.gpu/wheels` (`pip download --no-deps`,
for the other machine's Python), and carry `.gpu`, which git ignores. Without nbclient and ipykernel the labs' code
cells run in a plain process.
"""

import argparse
import contextlib
import csv
import datetime
import gc
import importlib.util
import json
import os
import pkgutil
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FIELDS = (
    *("part", "name", "precision", "status", "parameters", "steps", "steps_per_second", "memory_mb"),
    *(
        "estimated_mb",
        "tflops",
        "share",
        "first_loss",
        "last_loss",
        "seconds",
        "seed",
        "machine",
        "torch",
        "date",
    ),
)
PRECISIONS = ("bf16", "fp16", "fp32")
RATES = {"diffusion": 3e-4, "inpainting": 3e-4}  # the large ones; 1e-3 for the others
MARGIN = 0.05  # the share of itself that a loss must lose
WARMUP, LEAST, MOST = 10, 100, 3000  # steps before the clock starts, at least, at most
LIMIT = {"card": 120, "model": 240, "resume": 240, "notebook": 300}  # seconds a part may take
STOPPED_AT = 19  # the step after which the killed run is killed
BYTES_A_PARAMETER = 16  # weight, gradient and two averages of AdamW, 32 bits each
SEED = 0


# --- What runs in a process of its own. Each function yields rows: dicts with some of FIELDS. -------------------


def card(name, options):
    """Measure products of two square matrices of random numbers: TFLOP/s, the mean of ten after three."""
    import torch

    n = 8192 if options.device == "cuda" else 256
    for precision, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        a, b = (torch.randn(n, n, device=options.device).to(dtype) for _ in "ab")
        for _ in range(3):
            a @ b
        _wait(options.device)
        start = time.perf_counter()
        for _ in range(10):
            a @ b
        _wait(options.device)
        seconds = (time.perf_counter() - start) / 10
        yield {"precision": precision, "tflops": 2 * n**3 / seconds / 1e12, "seconds": 10 * seconds}


def model(name, options):
    """Train a model's configuration on one fixed batch in each precision; see the module's docstring."""
    module = importlib.import_module(f"dlp_utils.models.{name}")
    for precision in precisions(options.device):
        try:
            yield {"precision": precision, **train(module, precision, options)}
        except Exception as error:  # the other precisions may work
            traceback.print_exc(limit=-3)
            yield {"precision": precision, "status": one_line(error)}


def precisions(device):
    """What `dlp.fit` can do there."""
    return PRECISIONS if device == "cuda" else ("fp32",)


def train(module, precision, options):
    """Return the row of one training. `RuntimeError` where the loss does not fall."""
    import torch

    import dlp_utils as dlp
    from dlp_utils.device import estimate

    gc.collect()  # what the training before left would count as this one's memory
    config, device = module.CONFIGS[options.scale], torch.device(options.device)
    try:
        cost, fault = estimate(module.build, module.example_batch, module.step, config, device), None
    except Exception as error:  # what is measured counts all the same
        cost, fault = {}, f"no estimate: {one_line(error)}"
    dlp.seed_everything(SEED)
    network = module.build(config).to(device)
    batch = in_blocks(module.example_batch(config, device))
    first, clock = loss_of(network, module.step, batch), {}

    def watch(step, network, history):
        if step == WARMUP:  # kernels are chosen and loaded by now
            _wait(options.device, reset=True)
            clock["start"] = time.perf_counter()
        return step >= LEAST and time.perf_counter() - clock["start"] > options.seconds

    lr = RATES.get(module.__name__.split(".")[-1], 1e-3)
    quiet = {"callbacks": [watch], "log_every": 10, "progress": False, "plot": False}
    where = {"device": options.device, "precision": precision, "seed": SEED}
    steps = options.steps or MOST
    history = dlp.fit(
        network, module.step, [batch], steps=steps, lr=lr, clip=1.0, warmup=WARMUP, **where, **quiet
    )
    _wait(options.device)
    seconds = time.perf_counter() - clock["start"]
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
    last, speed = loss_of(network, module.step, batch), (history.steps - WARMUP) / seconds
    row = {
        "parameters": dlp.count_parameters(network),
        "steps": history.steps,
        "steps_per_second": speed,
        "memory_mb": memory,
        "first_loss": first,
        "last_loss": last,
        "seconds": seconds,
    }
    if fault:
        row["status"] = fault
    else:
        row["estimated_mb"] = cost["activation_mb"] + BYTES_A_PARAMETER * cost["parameters"] / 2**20
        row["tflops"] = 3 * cost["flops"] * speed / 1e12  # a backward pass costs two forward passes
    if not all(bool(p.isfinite().all()) for p in network.parameters()):
        row["status"] = "a weight is not finite"
    elif not last < (1 - MARGIN) * first:
        row["status"] = f"the loss went from {first:.4g} to {last:.4g}; it must fall by {MARGIN:.0%}"
    return row


def in_blocks(batch):
    """Give the random pictures in a batch, uint8 (…, H, W), blocks of one color, so that there is something to learn."""
    import torch

    if isinstance(batch, torch.Tensor):
        if batch.dtype != torch.uint8 or batch.ndim < 4:
            return batch
        return batch[..., ::8, ::8].repeat_interleave(8, -2).repeat_interleave(8, -1)
    return type(batch)(map(in_blocks, batch)) if isinstance(batch, (list, tuple)) else batch


def loss_of(network, step, batch, times=4):
    """Return the mean loss in 32 bits over `times` draws of random numbers, the same in every call."""
    import torch

    network.train()
    losses = []
    with torch.no_grad():
        for seed in range(times):
            torch.manual_seed(1000 + seed)
            result = step(network, batch)
            losses.append(float(result["loss"] if isinstance(result, dict) else result))
    return sum(losses) / times


def resume(name, options):
    """Compare the last checkpoint of a run with that of one that was killed and resumed; `name` is the precision."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        straight, stopped = Path(folder, "straight.pt"), Path(folder, "stopped.pt")
        start = time.perf_counter()
        done = [run_long(straight, name, options), run_long(stopped, name, options, stop=STOPPED_AT)]
        if done != [0, -signal.SIGKILL]:
            raise RuntimeError(f"the runs ended with codes {done}; expected 0 and {-signal.SIGKILL}")
        halfway = torch.load(stopped, weights_only=True)
        if run_long(stopped, name, options):
            raise RuntimeError("the resumed run failed")
        a, b = (torch.load(path, weights_only=True) for path in (straight, stopped))
        if (found := difference(a, b)) is not None:
            raise RuntimeError(f"killed and resumed, {found} differs from the run that never stopped")
        if not 0 < halfway["position"][0] < STOPPED_AT < a["position"][0]:
            raise RuntimeError(f"the run was not stopped midway: {halfway['position']}, {a['position']}")
        if name == "fp16" and not halfway["scaler"]["scale"] < 2.0**16:
            raise RuntimeError(f"the loss scale had nothing to remember: {halfway['scaler']}")
        yield {"precision": name, "steps": a["position"][0], "seconds": time.perf_counter() - start}


def difference(a, b, where="the run"):
    """Return the name of the first part in which two checkpoints differ by a bit, or None. Time does not count."""
    import torch

    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return where
        pairs = [(a[key], b[key], f"{where}/{key}") for key in a if key != "seconds"]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        pairs = [(x, y, f"{where}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return None if torch.equal(a, b) else where
    else:
        return None if a == b else where
    return next((found for pair in pairs if (found := difference(*pair)) is not None), None)


def run_long(path, precision, options, stop=0):
    """Run `long` in a process and return its exit code. stop: the step after which it kills itself; 0: never."""
    command = [sys.executable, __file__, "--child", "long", str(path), "--device", options.device]
    command += ["--steps", str(stop), "--precision", precision]
    # cuBLAS adds in a fixed order only with this setting.
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
    return done.returncode


def long(name, options):
    """36 steps with all that has a state: dropout, batch norm, EMA, Adam, shuffling, noise from every generator."""
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    import dlp_utils as dlp

    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False

    class Augmented(Dataset):
        def __init__(self):
            self.x = torch.randn(48, 3, 8, 8, generator=dlp.generator(1))

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            noise = 0.1 * torch.randn(3, 8, 8) + 0.1 * float(np.random.randn()) + 0.1 * random.gauss(0, 1)
            return self.x[i] + noise, self.x[i].mean()

    def step(network, batch):
        x, y = batch
        found = network(x + 0.1 * torch.randn_like(x))[:, 0]
        loss = 100 * nn.functional.mse_loss(found.float(), y)  # so large that fp16 must lower its scale
        return {"loss": loss, "target": y.mean().cpu()}  # a number from elsewhere is recorded all the same

    def kill(done, network, history):
        if done == options.steps:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.manual_seed(5)
    first = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
    network = nn.Sequential(*first, nn.Dropout(0.3), nn.Flatten(), nn.Linear(1024, 1))
    how = {
        "lr": 1e-3,
        "ema": 0.9,
        "clip": 1.0,
        "schedule": "cosine",
        "warmup": 3,
        "precision": options.precision,
    }
    how |= {"checkpoint": name, "checkpoint_every": 5, "callbacks": [kill], "progress": False, "plot": False}
    loader = DataLoader(Augmented(), 4, shuffle=True)
    dlp.fit(network, step, loader, epochs=3, device=options.device, **how)
    return iter(())


def notebook(name, options):
    """Run a lab at the smoke scale; in a kernel where nbclient and ipykernel are there, else cell by cell here."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    cells = [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
    ]
    sources = ["".join(cell["source"]) for cell in cells]
    if options.device == "cuda":
        sources.append(
            "import torch\nassert torch.cuda.max_memory_allocated() > 0, 'the lab left the GPU alone'"
        )
    os.environ["DLP_PROFILE"] = "smoke"
    os.chdir(path.parent)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLP_PROGRESS"] = str(Path(folder, "progress.json"))  # a reader's own stays as it is
        kernel = all(importlib.util.find_spec(package) for package in ("nbclient", "ipykernel"))
        (in_a_kernel if kernel else in_this_process)(sources)
    yield {"seconds": time.perf_counter() - start}


def in_a_kernel(sources):
    """Run cells in a fresh kernel of this Python; an error names the cell."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(found, timeout=LIMIT["notebook"], kernel_name="python3")
    try:
        client.execute()
    except CellExecutionError as error:
        count = sum(cell.execution_count is not None for cell in found.cells)
        raise RuntimeError(f"code cell {count}: {error.ename}: {error.evalue}") from error
    for index, cell in enumerate(found.cells, 1):
        for output in cell.outputs:
            if output.get("name") == "stderr":  # versions differ between machines: said, and no failure
                print(f"code cell {index} wrote to stderr: {output['text'][:300]}", file=sys.stderr)


def in_this_process(sources):
    """Run cells one after the other without a kernel; lines for IPython are left out, errors name the cell."""
    import matplotlib

    matplotlib.use("agg")
    scope = {"__name__": "__main__", "display": print}
    for index, source in enumerate(sources, 1):
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        try:
            exec(compile("\n".join(lines), f"code cell {index}", "exec"), scope)
        except Exception as error:
            raise RuntimeError(f"code cell {index}: {one_line(error)}") from error


def _wait(device, reset=False):
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
        if reset:
            torch.cuda.reset_peak_memory_stats()


PARTS = {"card": card, "model": model, "resume": resume, "notebook": notebook}
FLAG = "ROW "  # a line on stdout that starts so is a row in JSON


def child(kind, name, options):
    """Run one part in this process, print its rows, and return the exit code; the reason comes last on stderr."""
    try:
        for row in {**PARTS, "long": long}[kind](name, options):
            print(FLAG + json.dumps({"part": kind, "name": name, **row}), flush=True)
    except Exception as error:
        traceback.print_exc()
        print(one_line(error), file=sys.stderr)
        return 1
    return 0


# --- What collects the rows --------------------------------------------------------------------------------


def one_line(error):
    """An error's type and message in one line of at most 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def rows_of(kind, name, options):
    """Run one part in a process of its own and yield its rows as they come; one with the reason where it fails."""
    command = [sys.executable, __file__, "--child", kind, name, "--device", options.device]
    command += ["--scale", options.scale, "--seconds", str(options.seconds), "--steps", str(options.steps)]
    environment = {"OMP_NUM_THREADS": "2", **os.environ, "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as said:
        how = {"stdout": subprocess.PIPE, "stderr": said, "text": True, "env": environment}
        process = subprocess.Popen(command, start_new_session=True, **how)  # a group of its own, to end whole
        late = []
        timer = threading.Timer(LIMIT[kind], lambda: (late.append(True), _kill_family(process)))
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith(FLAG):
                    yield json.loads(line[len(FLAG) :])
            code = process.wait()
        finally:
            timer.cancel()
            _kill_family(process)
        said.seek(0)
        words = [line.strip() for line in said.read().splitlines() if line.strip()]
    if late:
        yield {"part": kind, "name": name, "status": f"took longer than {LIMIT[kind]} s"}
    elif code:
        print("\n".join(f"    | {line[:160]}" for line in words[-12:]), flush=True)
        yield {"part": kind, "name": name, "status": words[-1][:200] if words else f"ended with code {code}"}
    elif words:
        print("\n".join(f"    | {line[:160]}" for line in words[-6:]), flush=True)


def _kill_family(process):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class Table:
    """The rows so far, in the CSV `path` (None: nowhere) as soon as they are known."""

    def __init__(self, path, machine):
        self.rows, self.speeds, self.machine = [], {}, machine
        self.start = time.perf_counter()
        self.file = open(path, "w", newline="", encoding="utf-8") if path else None  # noqa: SIM115
        self.writer = csv.DictWriter(self.file, FIELDS) if path else None
        if path:
            self.writer.writeheader()

    def add(self, row):
        """Complete a row, write it, and print it with the time since the start."""
        row = {"status": "ok", "seed": SEED, "date": datetime.date.today().isoformat(), **self.machine, **row}
        if row["part"] == "card":
            self.speeds[row["precision"]] = row.get("tflops")
        # 32-bit convolutions run in TF32 and 32-bit products do not: there is no one speed to compare with.
        elif row.get("precision") != "fp32" and row.get("tflops") and self.speeds.get(row.get("precision")):
            row["share"] = row["tflops"] / self.speeds[row["precision"]]
        row = {name: f"{v:.5g}" if isinstance(v, float) else v for name, v in row.items()}
        self.rows.append(row)
        if self.file:
            self.writer.writerow(row)
            self.file.flush()
            os.fsync(self.file.fileno())
        hidden = ("part", "name", "precision", "machine", "torch", "date", "seed", "status")
        numbers = " ".join(f"{k}={v}" for k, v in row.items() if k not in hidden and v is not None)
        words = (*dict.fromkeys((row["part"], row["name"], row.get("precision"))), row["status"], numbers)
        print(f"{time.perf_counter() - self.start:6.1f} s  {' '.join(filter(None, words))}", flush=True)

    def failed(self):
        return [row for row in self.rows if row["status"] != "ok"]

    def close(self):
        if self.file:
            self.file.close()


def collect(jobs, options, table, workers=1):
    """Run `jobs`, pairs (kind, name), `workers` at a time, and add their rows to the table."""
    found = queue.Queue()

    def work(job):
        try:
            for row in rows_of(*job, options):
                found.put(row)
        except Exception as error:
            found.put({"part": job[0], "name": job[1], "status": one_line(error)})

    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(work, job) for job in jobs]
        while not (all(each.done() for each in waiting) and found.empty()):
            with contextlib.suppress(queue.Empty):
                table.add(found.get(timeout=0.1))


def all_jobs(only=None, notebooks=True, precisions=PRECISIONS):
    """Return the parts as two lists of (kind, name): those that need the card alone, those that run side by side.

    only: a kind, a stem or a precision. ValueError for one that fits no part.
    """
    from dlp_utils import models

    infos = pkgutil.iter_modules(models.__path__)
    text = {
        info.name: Path(models.__path__[0], f"{info.name}.py").read_text(encoding="utf-8") for info in infos
    }
    alone = [("card", "matrix"), *(("model", stem) for stem in text if "\ndef build(" in text[stem])]
    stems = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    beside = [
        *(("resume", precision) for precision in precisions),
        *(("notebook", s) for s in stems if notebooks),
    ]
    if only:
        known = sorted({word for job in (*alone, *beside) for word in job})
        if only not in known:
            raise ValueError(f"no part is called {only!r}; there are: {', '.join(known)}")
        alone, beside = ([job for job in jobs if only in job] for jobs in (alone, beside))
        if any(kind == "model" for kind, _ in alone) and ("card", "matrix") not in alone:
            alone.insert(0, ("card", "matrix"))  # shares need it
    return alone, beside


def arguments(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", metavar="FOLDER", help="where gpu.csv goes")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each model trains in each precision"
    )
    parser.add_argument(
        "--only", metavar="WORD", help="a part (card, model, resume, notebook), a stem or a precision"
    )
    parser.add_argument("--skip-notebooks", action="store_true")
    # For the tests, which have no GPU, and for the processes that this script starts:
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--scale", default="gpu", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, metavar=("PART", "NAME"), help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words=None):
    """Run the command and return its exit code."""
    options = arguments(words)
    if options.child:
        return child(*options.child, options)
    import torch

    from dlp_utils.device import machine

    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"make gpu needs a CUDA GPU, and PyTorch {torch.__version__} sees none on this machine.")
        return 2
    try:
        alone, beside = all_jobs(options.only, not options.skip_notebooks, precisions(options.device))
    except ValueError as error:
        print(error)
        return 1
    whole = not options.only and not options.skip_notebooks
    out = options.out or (ROOT / "notebooks" / "studies" if whole else None)
    path = None
    if out:
        path = Path(out, "gpu.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
    here = torch.cuda.get_device_name() + driver() if options.device == "cuda" else "cpu"
    print(f"{machine()}{driver()}", flush=True)
    table = Table(path, {"machine": here, "torch": torch.__version__})
    try:
        collect(alone, options, table)
        collect(beside, options, table, workers=max(1, (os.cpu_count() or 2) // 2))
    finally:
        table.close()
    failed = table.failed()
    print(
        f"{len(table.rows) - len(failed)} passed, {len(failed)} failed"
        + (f"; rows in {path}" if path else "")
    )
    for row in failed:
        print(f"✗ {row['part']} {row['name']} {row.get('precision', '')}: {row['status']}")
    return 1 if failed else 0


def driver():
    """The NVIDIA driver's version as ", driver 580.1", or nothing where it cannot be asked."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(query, capture_output=True, text=True, timeout=20)
        if said.returncode == 0 and said.stdout.strip():
            return f", driver {said.stdout.split()[0]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

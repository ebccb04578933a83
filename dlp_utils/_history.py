"""What `fit` shows and gives back: the history of a run, its progress bar and its live curve."""

import io
import math
import sys
import time

import numpy as np


class History:
    """What happened in a run of `fit`.

    `losses`, `lr` and each entry of the dict `extras` (what else `step` returned) are float64 arrays of
    shape (steps,); a value that a step did not return is nan. `metrics` is a list of dicts, one an
    evaluation, with "step", "epoch" and what `evaluate` returned. `seconds` is the time of the whole loop,
    evaluations included. `ema` is the run's `EMA` or None. `interrupted` tells whether it was stopped from
    outside.
    """

    def __init__(self):
        self._columns = {"loss": [], "lr": [], "epoch": []}
        self.metrics, self.seconds, self.ema, self.interrupted = [], 0.0, None, False

    @property
    def steps(self):
        return len(self._columns["loss"])

    @property
    def losses(self):
        return np.array(self._columns["loss"])

    @property
    def lr(self):
        return np.array(self._columns["lr"])

    @property
    def extras(self):
        return {k: np.array(v) for k, v in self._columns.items() if k not in ("loss", "lr", "epoch")}

    def _append(self, row):
        if row.keys() != self._columns.keys():
            for name in row:
                self._columns.setdefault(name, [math.nan] * self.steps)
            row = {name: row.get(name, math.nan) for name in self._columns}
        for name, value in row.items():
            self._columns[name].append(value)

    def to_frame(self):
        """Return a pandas DataFrame, one row a step (from 1); metrics are columns `eval_…`."""
        import pandas as pd

        frame = pd.DataFrame(self._columns, index=pd.RangeIndex(1, self.steps + 1, name="step"))
        frame["epoch"] = frame["epoch"].astype(int)
        for entry in self.metrics:
            for name in entry:
                if name not in ("step", "epoch"):
                    frame.loc[entry["step"], f"eval_{name}"] = entry[name]
        return frame

    def plot(self, ax=None, keys=("loss",)):
        """Draw `keys` over the steps, training values as lines and evaluations as points; return the axes."""
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots()[1]
        for key in [keys] if isinstance(keys, str) else keys:
            values, color = np.array(self._columns.get(key, ())), None
            if len(values):
                width = max(1, len(values) // 50)  # long noisy runs: a running mean over 2 % of the steps
                if width > 3:
                    color = ax.plot(np.arange(1, len(values) + 1), values, alpha=0.25, lw=0.8)[0].get_color()
                    values = np.convolve(values, np.ones(width) / width, mode="valid")
                else:
                    width = 1
                steps = np.arange(width, width + len(values))
                color = ax.plot(steps, values, color=color, label=key)[0].get_color()
            points = [(entry["step"], entry[key]) for entry in self.metrics if key in entry]
            if points:
                label = f"{key} (evaluation)"
                ax.plot(*zip(*points, strict=True), color=color, ls="--", marker="o", ms=4, label=label)
            if not len(values) and not points:
                known = sorted({*self._columns, *(name for entry in self.metrics for name in entry)})
                raise ValueError(f"the history has no values {key!r}; it knows {', '.join(known)}")
        ax.set_xlabel("step")
        ax.set_ylabel(keys if isinstance(keys, str) else ", ".join(keys))
        ax.legend()
        return ax

    def __repr__(self):
        if not self.steps:
            return "History: no steps"
        loss, rate = self._columns["loss"][-1], self.steps / max(self.seconds, 1e-9)
        stopped = ", interrupted" if self.interrupted else ""
        cost = f"{self.steps} steps in {self.seconds:.1f} s, {rate:.0f} steps/s"
        return f"History: loss {loss:.4g} after {cost}{stopped}"


class View:
    """Progress bar and live curve of a run; both are looked after at most five times a second."""

    def __init__(self, run, progress, plot):
        self.run, self.bar, self.handle = run, None, None
        watched = _watched_notebook()
        if progress and (watched or (sys.stderr is not None and sys.stderr.isatty())):
            from tqdm.auto import tqdm

            total = run.total if run.total < math.inf else None
            self.bar = tqdm(total=total, initial=run.done, mininterval=0, leave=not watched, unit=" steps")
        self.curve = _shell() is not None and (watched if plot is None else plot)
        self.next_look = 0.0 if self.bar is not None or self.curve else math.inf
        self.next_curve = time.perf_counter() + 1

    def update(self):
        now = time.perf_counter()
        if now < self.next_look:
            return
        self.next_look = now + 0.2
        self.tell()
        if self.curve and now > self.next_curve:
            self.draw()

    def tell(self):
        if self.bar is not None:
            if self.run.history.steps:
                loss = self.run.history._columns["loss"][-1]
                self.bar.set_postfix_str(f"loss {loss:.4g}, lr {self.run.rate():.2g}", refresh=False)
            self.bar.update(self.run.done - self.bar.n)

    def draw(self):
        from IPython.display import Image, display
        from matplotlib.figure import Figure

        if not self.run.history.steps:
            return
        started = time.perf_counter()
        figure, file = Figure(figsize=(6, 3.5), layout="tight"), io.BytesIO()
        self.run.history.plot(figure.subplots())  # no pyplot, so that the notebook does not show it once more
        figure.savefig(file, format="png")
        if self.handle is None:
            self.handle = display(Image(file.getvalue()), display_id=True)
        else:
            self.handle.update(Image(file.getvalue()))
        now = time.perf_counter()  # the longer the run, the longer it takes: about a twentieth of the time
        self.next_curve = now + min(10, max(1, 20 * (now - started)))

    def close(self):
        if self.curve:
            self.draw()
        if self.bar is not None:
            self.tell()
            self.bar.close()


def _shell():
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _watched_notebook():
    # nbclient and nbval have nobody to answer input(); the outputs that they store shall stay clean.
    return bool(getattr(getattr(_shell(), "kernel", None), "_allow_stdin", False))

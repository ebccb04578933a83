"""The log of a run of `fit`: `metrics.csv`, and an event file for TensorBoard where that is installed.

Both say what the `History` says and are written from it, so that no step waits for a GPU because of them.
"""

import csv
import errno
import io
import itertools
import math
import os
import sys
import time
import types
import warnings

from ._files import write_whole

NAME, EVENTS = "metrics.csv", "events.out.tfevents.*"
FIRST = ["step", "epoch", "lr", "loss"]


class Log:
    """Writes a history into a folder, or into one beside it where that holds the log of another run.

    The CSV is appended to by whole lines, and written anew, whole, where a column or an evaluation came
    later than its rows. `rows` and `evaluations` count what it holds, `told` what the event files hold.
    """

    def __init__(self, folder, history):
        self.history, self.columns, self.rows, self.evaluations, self.size = history, [], 0, 0, 0
        self.folder, kept = _place(folder, history)
        self.path, self.events, self.writer = self.folder / NAME, _summary_writer(), None
        # The last step's evaluation may be lost: that step is told anew, and TensorBoard drops what it had of it.
        kept = max(kept - 1, 0) if any(self.folder.glob(EVENTS)) else 0
        self.told = [kept, sum(entry["step"] <= kept for entry in history.metrics)]
        self.write()

    def write(self, hold=0):
        """Write what is new in the history, but for the last `hold` steps: their evaluation may still come."""
        steps, metrics = max(self.history.steps - hold, self.rows), self.history.metrics
        evaluations = self.evaluations
        while evaluations < len(metrics) and metrics[evaluations]["step"] <= steps:
            evaluations += 1
        if self.events and steps:
            self._tell(steps, evaluations)
        late = any(entry["step"] <= self.rows for entry in metrics[self.evaluations : evaluations])
        names = [name for name in self.history._columns if name not in FIRST]
        names += dict.fromkeys(f"eval_{name}" for entry in metrics[:evaluations] for name in _values(entry))
        if late or FIRST + names != self.columns or not self.path.exists():
            text = self._lines(FIRST + names, 0, steps, header=True)
            write_whole(self.path, lambda file: file.write(text))
            self.size = len(text)
        elif steps > self.rows:
            self._append(self._lines(self.columns, self.rows, steps))
        self.columns, self.rows, self.evaluations = FIRST + names, steps, evaluations

    def close(self):
        """Write what is left; a run that took no step leaves no log."""
        try:
            self.write()
        finally:
            if self.writer:
                self.writer.close()
            if not self.rows:
                self.path.unlink(missing_ok=True)

    def _lines(self, columns, start, stop, header=False):
        known, file = self.history._columns, io.StringIO()
        evaluated = {entry["step"]: entry for entry in self.history.metrics if entry["step"] > start}
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow(columns)
        for i in range(start, stop):
            row = {name: known[name][i] for name in known}
            row |= {f"eval_{name}": value for name, value in _values(evaluated.get(i + 1, {})).items()}
            numbers = [_text(row.get(name, math.nan)) for name in columns[2:]]
            writer.writerow([i + 1, int(row["epoch"]), *numbers])
        return file.getvalue().encode()

    def _append(self, text):
        with open(self.path, "r+b", buffering=0) as file:  # no buffer: one call writes all lines
            file.truncate(self.size)
            file.seek(self.size)
            if file.write(text) < len(text):
                file.truncate(self.size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.size += len(text)

    def _tell(self, steps, evaluations):
        """The same for TensorBoard."""
        if self.writer is None:
            old, again = sorted(self.folder.glob(EVENTS)), {}
            if old:
                # TensorBoard reads files in the order of their names, which begin with the second.
                again = {"purge_step": self.told[0] + 1}
                time.sleep(float(f".{int(time.time())}." in old[-1].name))
            self.writer = self.events(str(self.folder), max_queue=1000, **again)
        for step in range(self.told[0] + 1, steps + 1):
            for name, values in self.history._columns.items():
                if not math.isnan(values[step - 1]):
                    self.writer.add_scalar(name, values[step - 1], step)
        for entry in self.history.metrics[self.told[1] : evaluations]:
            for name, value in _values(entry).items():
                self.writer.add_scalar(f"eval_{name}", value, entry["step"])
        self.told = [steps, max(evaluations, self.told[1])]
        self.writer.flush()


def _values(entry):
    return {name: value for name, value in entry.items() if name not in ("step", "epoch")}


def _text(value):
    return "" if math.isnan(value) else repr(float(value))


def _place(folder, history):
    """Return the folder to write into, and how many steps of this history it holds already."""
    for number in itertools.count(1):
        place = folder.with_name(f"{folder.name}-{number}") if number > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        if not any(place.glob(EVENTS)) or (place / NAME).exists():
            try:
                (place / NAME).open("x").close()  # from now on it is taken: another run could start just now
                kept = 0
            except FileExistsError:
                kept = _steps_of(place / NAME, history)
            if kept is not None:
                break
    if number > 1:
        print(f"{folder} holds the log of another run: this one goes to {place}.")
    return place, kept


def _steps_of(path, history):
    """How many steps of `history` a CSV holds; None where it is the log of another run."""
    try:
        rows = list(itertools.islice(csv.reader(path.read_text("utf-8").splitlines()), history.steps + 1))
    except (UnicodeDecodeError, csv.Error, IsADirectoryError):
        return None
    losses = [_text(loss) for loss in history._columns["loss"][: max(len(rows) - 1, 0)]]
    mine = history.steps and (not rows or rows[0][:4] == FIRST)
    return len(losses) if mine and losses == [row[3] for row in rows[1:] if len(row) > 3] else None


def _summary_writer():
    """Return TensorBoard's writer; None, and one sentence, where it cannot be imported."""
    if "tensorflow" not in sys.modules:  # TensorBoard would import it, which takes long and writes to stderr
        name = "tensorboard.compat.notf"
        sys.modules.setdefault(name, types.ModuleType(name))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"The log is {NAME} alone, for TensorBoard run `pip install tensorboard` ({why}).")
        return None
    return SummaryWriter

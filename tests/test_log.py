"""The log of `fit`: the CSV and TensorBoard's events say what the history says, whatever ends the run."""

import builtins
import importlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dlp_utils as dlp
from dlp_utils import _log, training

EVENTS = "events.out.tfevents.*"
STDERR = """
import sys, torch, dlp_utils as dlp
def fit(**more):
    model = torch.nn.Linear(1, 1)
    dlp.fit(model, lambda m, x: m(x).mean(), [torch.ones(2, 1)], steps=2, progress=False, **more)
fit()
loaded = {"tensorboard", "torch.utils.tensorboard"} & set(sys.modules)
assert not loaded, loaded
fit(log=sys.argv[1])
assert "torch.utils.tensorboard" in sys.modules and sys.modules.get("tensorflow") is None
"""


@pytest.fixture(autouse=True)
def _stay_on_the_cpu(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """The clock jumps where the log would sleep, so that a new event file has a new second in its name."""
    now, jumps = time.time, []
    monkeypatch.setattr(_log.time, "sleep", jumps.append)
    monkeypatch.setattr(_log.time, "time", lambda: now() + sum(jumps))


@pytest.fixture
def late(monkeypatch):
    """Read losses as on a GPU: every `log_every` steps."""
    place = training._Run.place

    def placed(self, *args):
        place(self, *args)
        self.immediate = False

    monkeypatch.setattr(training._Run, "place", placed)


def train(log, bad=math.inf, **kwargs):
    """Five steps an epoch; a second value from the start, a third from step 4; the loss is nan from step `bad`."""
    torch.manual_seed(5)
    model, draw, calls = nn.Linear(5, 1), dlp.generator(1), kwargs.pop("done", 0)
    batches = [torch.randn(8, 5, generator=draw) for _ in range(5)]

    def step(model, x):
        nonlocal calls
        calls += 1
        loss = F.mse_loss(model(x), x[:, :1]) * (math.nan if calls >= bad else 1.0)
        return {"loss": loss, "mean": model(x).mean()} | ({"third, late": calls / 3} if calls > 3 else {})

    kwargs.setdefault("evaluate", lambda model: {"loss": model.bias.item(), "size": 0.1})
    return dlp.fit(model, step, batches, **({"epochs": 2, "log": log, "lr": 0.05} | kwargs))


def table(folder):
    lines = (folder / "metrics.csv").read_bytes()
    assert lines.endswith(b"\n") and b"\r" not in lines
    return pd.read_csv(folder / "metrics.csv", index_col="step", float_precision="round_trip")


def equal(found, frame):
    pd.testing.assert_frame_equal(found, frame[found.columns], rtol=0, atol=0, check_index_type=False)


def events(folder):
    """A dict from name to a dict from step to value, as TensorBoard reads them; a step told twice fails."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    told = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    assert all(len(dict(pairs)) == len(pairs) for pairs in told.values())
    return {tag: dict(pairs) for tag, pairs in told.items()}


def assert_logged(folder, history):
    frame, found = history.to_frame(), table(folder)
    assert list(found.columns[:3]) == ["epoch", "lr", "loss"] and found["epoch"].dtype == np.int64
    equal(found, frame)
    assert set(found.columns) == set(frame.columns)
    told = events(folder)
    assert told.keys() == set(frame.columns)
    for name, values in told.items():
        assert list(values) == list(frame[name].dropna().index)
        np.testing.assert_array_equal(
            np.float32(list(values.values())), frame[name].dropna().astype("float32")
        )


def test_rows_and_events_are_those_of_the_history(tmp_path, capsys):
    history = train(tmp_path / "runs" / "first", clip=1.0)
    assert_logged(tmp_path / "runs" / "first", history)
    found = table(tmp_path / "runs" / "first")
    assert list(found.columns) == [
        "epoch", "lr", "loss", "mean", "grad_norm", "third, late", "eval_loss", "eval_size"
    ]  # fmt: skip
    assert found["eval_size"].dropna().index.tolist() == [5, 10] and found["third, late"].count() == 7
    assert len(list((tmp_path / "runs" / "first").glob(EVENTS))) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""


@pytest.mark.parametrize("log_every", [1, 2, 3, 50])
def test_the_file_grows_while_the_run_goes_on_and_every_row_in_it_is_whole(tmp_path, log_every):
    seen = []

    def look(step, model, history):
        found = table(tmp_path)
        frame = history.to_frame().loc[: len(found)]
        if len(found):
            equal(found, frame)
        seen.append(len(found))

    train(tmp_path, callbacks=[look], log_every=log_every, epochs=3)
    assert seen[4::5][1:] == sorted(seen[4::5][1:]) and seen[5] >= 5 and seen[10] >= 10  # after each epoch
    behind = [step - rows for step, rows in enumerate(seen, 1)]
    assert max(behind) <= max(log_every, 1) if log_every < 50 else seen[:5] == [0] * 5
    assert len(table(tmp_path)) == 15


@pytest.mark.usefixtures("late")
def test_losses_read_late_are_logged_without_reading_them_sooner(tmp_path, monkeypatch):
    reads, flush = [], training._Run.flush
    monkeypatch.setattr(training._Run, "flush", lambda run: (reads.append(run.done), flush(run))[1])
    history = train(tmp_path / "a", log_every=4)
    with_log = reads[:]
    reads.clear()
    train(None, log_every=4)
    assert with_log == reads
    assert_logged(tmp_path / "a", history)


def test_an_interrupted_run_keeps_its_rows(tmp_path):
    def stop(step, model, history):
        if step == 7:
            raise KeyboardInterrupt

    history = train(tmp_path, callbacks=[stop])
    assert history.interrupted and history.steps == 7
    assert_logged(tmp_path, history)


@pytest.mark.parametrize("read", ["soon", "late"])
def test_rows_before_a_loss_that_is_not_finite_are_kept(tmp_path, request, read):
    if read == "late":
        request.getfixturevalue("late")
    with pytest.raises(dlp.NonFiniteLoss) as caught:
        train(tmp_path, bad=8)
    assert caught.value.history.steps == 7
    assert_logged(tmp_path, caught.value.history)


# The run stops in the callback of step `stop`; its last checkpoint is from step `done`. The end of an epoch is step 10,
# whose evaluation comes after the callback and after a checkpoint that is due at that step.
@pytest.mark.parametrize(("every", "stop", "done"), [(1, 10, 10), (4, 10, 8), (None, 9, 5), (5, 12, 10)])
@pytest.mark.parametrize("log_every", [1, 50])
def test_a_resumed_run_goes_on_in_its_log_without_double_steps(
    tmp_path, every, stop, done, log_every, capsys
):
    def end(step, model, history):
        if step == stop:
            raise ZeroDivisionError

    file = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": every}
    kwargs = {"log_every": log_every, "epochs": 3, **file}
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "log", callbacks=[end], **kwargs)
    assert len(table(tmp_path / "log")) == stop
    history = train(tmp_path / "log", done=done, **kwargs)
    assert "holds the log" not in capsys.readouterr().out
    straight = train(tmp_path / "straight", epochs=3)
    assert_logged(tmp_path / "straight", straight)
    assert history.to_frame().equals(straight.to_frame())
    assert_logged(tmp_path / "log", history)
    train(tmp_path / "log", done=15, **kwargs)  # nothing left to do: the log stays
    assert_logged(tmp_path / "log", straight)
    assert sorted(os.listdir(tmp_path)) == ["log", "run.pt", "straight"]


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_whole_lines_and_goes_on(tmp_path):
    code = (
        "import os, signal, sys; sys.path[:0] = sys.argv[1:3]; import test_log as t; from pathlib import Path\n"
        "def kill(step, model, history):\n    if step == 9: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder = Path(sys.argv[3])\n"
        "t.train(folder / 'log', callbacks=[kill], checkpoint=folder / 'run.pt', checkpoint_every=6, log_every=1)"
    )
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", code, here, os.path.dirname(here), str(tmp_path)]
    killed = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"ACCELERATE_USE_CPU": "1"}
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(table(tmp_path / "log").index) == list(range(1, 9))
    history = train(tmp_path / "log", checkpoint=tmp_path / "run.pt", checkpoint_every=6, done=6)
    assert_logged(tmp_path / "log", history)


def test_a_log_that_begins_later_has_the_whole_history(tmp_path):
    train(None, checkpoint=tmp_path / "run.pt", epochs=1)
    history = train(tmp_path / "log", checkpoint=tmp_path / "run.pt", done=5)
    assert history.steps == 10
    assert_logged(tmp_path / "log", history)


def test_a_second_run_mixes_nothing_and_a_resumed_one_finds_its_own(tmp_path, capsys):
    first = train(tmp_path / "log", steps=3)
    second = train(tmp_path / "log", lr=0.1, steps=4, checkpoint=tmp_path / "run.pt")
    said = capsys.readouterr().out
    log = tmp_path / "log"
    assert said == f"{log} holds the log of another run: this one goes to {log}-2.\n"
    third = train(tmp_path / "log", lr=0.2)
    second = train(tmp_path / "log", lr=0.1, steps=7, checkpoint=tmp_path / "run.pt", done=4)
    for name, history in {"log": first, "log-2": second, "log-3": third}.items():
        assert_logged(tmp_path / name, history)
    assert sorted(os.listdir(tmp_path)) == ["log", "log-2", "log-3", "run.pt"]


def test_what_others_wrote_into_a_folder_stays(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.csv").write_text("name,value\nx,1\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "events.out.tfevents.1.host").write_bytes(b"")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "metrics.csv").write_text("name,value\n")
    for name in "abcd":
        train(tmp_path / name, steps=2, checkpoint=tmp_path / f"{name}.pt")
        train(tmp_path / name, steps=3, checkpoint=tmp_path / f"{name}.pt")
    assert (tmp_path / "a" / "metrics.csv").read_text() == "name,value\nx,1\n"
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        "a",
        "a-2",
        "b",
        "b-2",
        "c",
        "d",
        "d-2",
    ]
    assert os.listdir(tmp_path / "b") == ["events.out.tfevents.1.host"] and len(table(tmp_path / "b-2")) == 3


def test_a_file_in_the_way_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("mine")
    for log in (tmp_path / "file", tmp_path / "file" / "runs" / "first"):
        with pytest.raises(ValueError, match=r"file is a file; give the name of a folder") as caught:
            train(log, callbacks=[lambda *a: 1 / 0])
        assert "\n" not in str(caught.value) and str(log) in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"
    for log in (True, "", 3):
        with pytest.raises(TypeError, match=r"log is .*; give the name of a folder, for example"):
            train(log)


def test_folders_are_made_also_in_the_home_of_the_user_and_named_by_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    train("~/runs/first")
    assert os.listdir(tmp_path) == ["home"] and len(table(tmp_path / "home" / "runs" / "first")) == 10
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(".")
    train(Path("."))
    assert len(table(tmp_path / "here")) == len(table(tmp_path / "here-2")) == 10


def test_a_run_without_a_step_leaves_no_log(tmp_path):
    for _ in range(2):
        with pytest.raises(dlp.NonFiniteLoss):
            train(tmp_path / "log", bad=1)
    assert os.listdir(tmp_path / "log") == []
    assert_logged(tmp_path / "log", train(tmp_path / "log"))


def test_a_disk_that_is_full_leaves_whole_lines(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, text):
            return self.file.write(text[:-3])

    def opened(path, *args, **kwargs):
        file = builtins.open(path, *args, **kwargs)  # noqa: SIM115
        return Full(file) if Path(path).name == "metrics.csv" else file

    def fill(step, model, history):
        if step == 8:
            monkeypatch.setattr("dlp_utils._log.open", opened, raising=False)

    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, callbacks=[fill], log_every=1, evaluate=None)
    assert len(table(tmp_path)) == 7


def test_without_tensorboard_the_csv_is_written_and_one_sentence_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.delattr("torch.utils.tensorboard", raising=False)
    history = train(tmp_path / "log", epochs=1, checkpoint=tmp_path / "run.pt")
    said = capsys.readouterr().out
    assert said.startswith("The log is metrics.csv alone") and "pip install tensorboard" in said
    assert said.count("\n") == 1 and os.listdir(tmp_path / "log") == ["metrics.csv"]
    equal(table(tmp_path / "log"), history.to_frame())
    monkeypatch.undo()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    assert_logged(tmp_path / "log", train(tmp_path / "log", checkpoint=tmp_path / "run.pt", done=5))


@pytest.mark.slow
def test_nothing_is_written_or_imported_without_a_log_and_nothing_is_said_with_one(tmp_path):
    """In a process of its own, where a TensorFlow would be found that prints when it is imported."""
    (tmp_path / "tensorflow.py").write_text("import sys; print('TensorFlow is here', file=sys.stderr)")
    root = os.path.dirname(importlib.import_module("dlp_utils").__path__[0])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([root, str(tmp_path)]),
        "ACCELERATE_USE_CPU": "1",
    }
    command = [sys.executable, "-c", STDERR, "log"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "" and run.stderr == ""
    assert sorted(os.listdir(tmp_path)) == ["log", "tensorflow.py"]


def test_a_step_may_not_return_a_value_named_step():
    with pytest.raises(ValueError, match="step returned 'step', a name that the history keeps for itself"):
        dlp.fit(nn.Linear(1, 1), lambda m, x: {"loss": m(x).mean(), "step": 1}, [torch.ones(2, 1)], epochs=1)

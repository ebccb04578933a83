"""Stored studies: found in a checkout and in an installed package, and a wrong name is told what there is."""

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import dlp_utils as dlp
from dlp_utils import studies

ROOT = Path(__file__).parents[1]
STORED = sorted((ROOT / "notebooks" / "studies").glob("*.csv"))


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_every_stored_table_can_be_read(file):
    rows = dlp.study(file.stem)
    assert len(rows) == len(file.read_text(encoding="utf-8").splitlines()) - 1
    assert {"seed", "machine", "date"} <= set(rows.columns)


def test_an_unknown_name_is_told_the_stored_ones():
    with pytest.raises(ValueError, match=r"no stored study 'kernels'.*eeg_classification_kernel"):
        dlp.study("kernels")


def test_no_table_at_all_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(studies, "PLACES", (tmp_path,))
    with pytest.raises(ValueError, match="install dlp_utils again"):
        dlp.study("anything")


def test_an_installed_package_reads_its_own_copy(monkeypatch, tmp_path):
    (tmp_path / "t.csv").write_text("seed,score\n0,0.5\n")
    monkeypatch.setattr(studies, "PLACES", (tmp_path / "no checkout", tmp_path))
    assert dlp.study("t").score.tolist() == [0.5]


@pytest.mark.slow
def test_the_wheel_carries_the_tables(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"  # a copy: building leaves folders behind
    for name in ("pyproject.toml", "setup.py", "README.md"):
        source.mkdir(exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    for folder, pattern in (("dlp_utils", "*.py"), ("notebooks/studies", "*.csv")):
        (source / folder).mkdir(parents=True)
        for file in (ROOT / folder).glob(pattern):
            (source / folder / file.name).write_bytes(file.read_bytes())
    subprocess.run([*command, "-w", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/_studies/" in name}
    assert names == {file.name for file in STORED}


# --- sweeps ---


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(studies, "PLACES", (tmp_path, tmp_path))
    return tmp_path


RUNS = [{"kind": kind, "seed": seed} for kind in ("a, b", "c") for seed in (0, 1)]


def test_a_sweep_that_was_cut_off_goes_on(folder):
    asked = []

    def measure(kind, seed):
        asked.append((kind, seed))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"score": seed + 1 / 3}

    with pytest.raises(KeyboardInterrupt):
        studies.sweep("t", RUNS, measure)
    assert len(dlp.study("t")) == 2  # nothing of what was measured is lost
    studies.sweep("t", RUNS, measure, digits=3)
    assert asked == [("a, b", 0), ("a, b", 1), ("c", 0), ("c", 0), ("c", 1)]
    rows = dlp.study("t")
    assert rows.kind.tolist() == ["a, b", "a, b", "c", "c"] and rows.seed.tolist() == [0, 1, 0, 1]
    assert rows.score.tolist() == [0.33333, 1.33333, 0.333, 1.333]
    assert not list(folder.glob("*.part"))


def test_half_a_training_is_no_row(folder):
    """`fit` catches Ctrl-C and returns what it has."""

    def step(model, batch):
        if batch == 2:
            signal.raise_signal(signal.SIGINT)
        return model.weight.sum()

    def measure(kind, seed):
        history = dlp.fit(torch.nn.Linear(2, 1), step, range(5), epochs=1, lr=0.1, progress=False)
        return {"steps": len(history.losses)}

    before = signal.getsignal(signal.SIGINT)  # a job in the background ignores it
    with pytest.raises(KeyboardInterrupt):
        studies.sweep("t", RUNS, measure)
    assert not list(folder.iterdir()) and signal.getsignal(signal.SIGINT) is before


def test_a_sweep_keeps_the_order_of_its_runs_and_drops_others(folder):
    studies.sweep("t", RUNS[2:], lambda kind, seed: {"score": 1})
    studies.sweep("t", RUNS[:3], lambda kind, seed: {"score": 2})
    assert dlp.study("t")[["kind", "seed", "score"]].values.tolist() == [
        ["a, b", 0, 2],
        ["a, b", 1, 2],
        ["c", 0, 1],
    ]


def test_a_sweep_refuses_doubles_and_other_columns(folder):
    with pytest.raises(ValueError, match=r"has a run twice: \{'kind': 'c', 'seed': 1\}"):
        studies.sweep("t", [*RUNS, RUNS[3]], lambda kind, seed: {"score": 1})
    studies.sweep("t", RUNS[:1], lambda kind, seed: {"score": 1})
    before = (folder / "t.csv").read_bytes()
    with pytest.raises(ValueError, match=r"t.csv has the columns kind, seed, score.*delete the file"):
        studies.sweep("t", RUNS[:2], lambda kind, seed: {"dice": 1})
    assert (folder / "t.csv").read_bytes() == before

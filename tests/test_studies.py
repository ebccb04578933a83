"""Stored studies: found in a checkout and in an installed package, and a wrong name is told what there is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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

"""The tool behind `make oldest` and `make newest`: what it installs and what it runs."""

import itertools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import versions  # noqa: E402

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_each_package_is_pinned_to_its_lower_bound_or_free():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads(TEXT)["project"]
    listed = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    assert versions.requirements("oldest", TEXT) == [each.replace(">=", "==") for each in listed]
    assert versions.requirements("newest", TEXT) == [each.split(">=")[0] for each in listed]
    assert {"torch==2.6.0", "torchvision==0.21.0", "moabb==1.2"} <= set(versions.requirements("oldest", TEXT))


def test_each_test_file_is_run_or_named_as_none_of_the_package():
    stems = {file.stem.removeprefix("test_") for file in (ROOT / "tests").glob("test_*.py")}
    assert stems >= versions.NOT_UNIT  # no name of a file that is gone
    run = {Path(file).stem.removeprefix("test_") for file in versions.unit_tests()}
    assert run == (stems - versions.NOT_UNIT) | {"exercises"}


@pytest.mark.slow
def test_the_imports_reach_every_module():
    import subprocess

    done = subprocess.run([sys.executable, "-c", versions.IMPORTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Smoke runs are skipped only where nothing has changed that could change them."""

import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import smoke


@pytest.fixture
def house(tmp_path):
    """A small house: notebook `a` imports the model `b`, which imports the data set `c`; nobody imports `d`."""
    write = {
        "requirements.txt": "numpy",
        "notebooks/conftest.py": "",
        "tools/lesson.py": "",
        "notebooks/studies/a_rows.csv": "1",
        "dlp_utils/device.py": "x = 1",
        "dlp_utils/data/c.py": "x = 1",
        "dlp_utils/models/b.py": "from ..data import (\n    c,\n)",
        "dlp_utils/models/d.py": "x = 1",
        "dlp_utils/checks/a.py": "x = 1",
        "dlp_utils/weights/b.safetensors": "1",
        "dlp_utils/weights/d.safetensors": "1",
    }
    for name, text in write.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    put(tmp_path, "a", "from dlp_utils.models import b as other")
    return tmp_path


def put(house, stem, code, words="words", outputs=()):
    cells = [nbformat.v4.new_markdown_cell(words), nbformat.v4.new_code_cell(code, outputs=list(outputs))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), house / "notebooks" / f"{stem}.ipynb")


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "notebooks/conftest.py",
        "tools/lesson.py",
        "notebooks/studies/a_rows.csv",
        "dlp_utils/device.py",
        "dlp_utils/data/c.py",
        "dlp_utils/models/b.py",
        "dlp_utils/checks/a.py",
        "dlp_utils/weights/b.safetensors",
    ],
)
def test_what_a_notebook_uses_changes_its_key(house, name):
    before = smoke.key("a", house)
    (house / name).write_text((house / name).read_text() + "# more")
    assert smoke.key("a", house) != before


@pytest.mark.parametrize("name", ["dlp_utils/models/d.py", "dlp_utils/weights/d.safetensors"])
def test_what_it_does_not_use_does_not(house, name):
    before = smoke.key("a", house)
    (house / name).write_text("changed")
    assert smoke.key("a", house) == before


def test_code_counts_and_words_and_outputs_do_not(house):
    before = smoke.key("a", house)
    stored = nbformat.v4.new_output("stream", text="1")
    put(house, "a", "from dlp_utils.models import b as other", "other words", [stored])
    assert smoke.key("a", house) == before
    put(house, "a", "from dlp_utils.models import b as another")
    assert smoke.key("a", house) != before


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """`runs(code, *failed)`: the notebooks that are run, when pytest ends with `code` and those fail."""
    keys = {"a": "1", "b": "1"}
    monkeypatch.setattr(smoke, "PASSED", tmp_path / "built" / "smoke.json")
    monkeypatch.setattr(smoke, "stems", lambda: list(keys))
    monkeypatch.setattr(smoke, "key", keys.get)
    monkeypatch.setenv("DLP_PROFILE", "cpu")

    def run(code, *failed, options=()):
        chosen = []

        def pytest_main(arguments, plugins):
            chosen.extend(Path(one).stem for one in arguments if one.endswith(".ipynb"))
            plugins[0].failed |= set(failed)
            return code

        monkeypatch.setattr(smoke.pytest, "main", pytest_main)
        assert smoke.main(list(options)) == (code if chosen else 0)
        return chosen

    run.keys = keys
    return run


def test_only_what_failed_or_changed_runs_again(runs):
    assert runs(1, "b") == ["a", "b"]
    assert runs(0) == ["b"]
    assert runs(0) == []
    runs.keys["a"] = "2"
    assert runs(0) == ["a"]
    assert runs(0, options=["--all"]) == ["a", "b"]


def test_a_run_that_was_broken_off_passes_nothing(runs):
    assert runs(pytest.ExitCode.INTERRUPTED) == ["a", "b"]
    assert runs(pytest.ExitCode.INTERNAL_ERROR) == ["a", "b"]

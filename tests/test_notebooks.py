"""Notebook hygiene: what a reader, Colab and a code review expect of every stored notebook."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import notebooks as tool  # noqa: E402

STEMS = tool.stems()
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|content|mnt|private)/\w")
MYST = re.compile(r"^\s*(`{3,}|:{3,})\{\w+|\{[\w:]+\}`", re.M)


def problems(notebook, stem, title_cell=None, setup_cell=None):
    """What is wrong with a notebook (a dict in nbformat 4), one sentence each."""
    cells, said = notebook["cells"], []
    text = ["".join(cell["source"]) for cell in cells]
    code = [i for i, cell in enumerate(cells) if cell["cell_type"] == "code"]
    if title_cell and text[0] != title_cell:
        said.append("the title cell is not what `make address` writes: title, links or cost line are stale")
    if setup_cell and text[code[0]] != setup_cell:
        said.append("the first code cell is not the set-up cell that `make address` writes")
    counts = [cells[i]["execution_count"] for i in code]
    if counts != list(range(1, len(code) + 1)):
        said.append(f"execution counts are not 1, 2, 3, …: {counts}")
    for i in code:
        lines = text[i].count("\n") + 1
        if lines > 32:
            said.append(f"cell {i} has {lines} lines; split it (about 25 at most)")
        if i >= 2 and {i - 1, i - 2} <= set(code):
            said.append(f"cell {i} is the third code cell in a row with no prose between")
        for output in cells[i]["outputs"]:
            if output["output_type"] == "error":
                said.append(f"cell {i} stores an error: {output['ename']}")
            if output.get("name") == "stderr":
                said.append(f"cell {i} stores output on stderr: {''.join(output['text'])[:80]}")
            if tool.WIDGET in output.get("data", {}):
                said.append(f"cell {i} stores a widget view")
            if MACHINE_PATH.search(
                json.dumps(output.get("data", {}).get("text/plain", "")) + json.dumps(output.get("text", ""))
            ):
                said.append(f"cell {i} prints a path of one machine")
    for i, source in enumerate(text):
        if MACHINE_PATH.search(source):
            said.append(f"cell {i} names a path of one machine")
        if cells[i]["cell_type"] == "markdown" and MYST.search(source):
            said.append(f"cell {i} uses MyST, which Colab and GitHub show as raw text")
    if "widgets" in notebook["metadata"]:
        said.append("the notebook stores widget state")
    return said


@pytest.mark.parametrize("stem", STEMS)
def test_notebook_is_clean(stem):
    notebook = tool.read(stem)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    expected = tool.title_cell(stem, title, notebook.metadata.get("dlp"))
    assert problems(notebook, stem, expected, tool.setup_cell()) == []


@pytest.mark.parametrize("stem", STEMS)
def test_outputs_belong_to_these_cells(stem):
    run = tool.read(stem).metadata.get("dlp")
    assert run, f"{stem} has never been run: make notebooks STEM={stem}"
    assert run["code"] == tool.fingerprint(tool.read(stem)), (
        f"cells changed since the run: make notebooks STEM={stem}"
    )
    assert run["profile"] == "cpu"


@pytest.mark.parametrize("stem", STEMS)
def test_notebook_is_small(stem):
    size = (ROOT / "notebooks" / f"{stem}.ipynb").stat().st_size
    assert size < 1_000_000, f"{stem}.ipynb has {size / 1e6:.2f} MB; 1 MB is the limit"


@pytest.mark.parametrize("stem", STEMS)
def test_module_is_the_notebooks_export(stem, tmp_path):
    fresh, stored = tool.export(stem, tmp_path), ROOT / "dlp_utils" / "models" / f"{stem}.py"
    if fresh is None:
        assert not stored.exists(), f"{stored.name} is left over: the notebook exports nothing"
        return
    assert fresh.read_text(encoding="utf-8") == stored.read_text(encoding="utf-8"), (
        f"drift: make export STEM={stem}"
    )


@pytest.mark.parametrize("stem", STEMS)
def test_every_chapter_has_its_files(stem):
    for path in (f"book/{stem}.md", f"dlp_utils/checks/{stem}.py", f"tests/derivations/test_{stem}.py",
                 f"tests/exercises/test_{stem}.py"):  # fmt: skip
        assert (ROOT / path).is_file(), f"chapter {stem} lacks {path}"


@pytest.mark.parametrize("stem", STEMS)
def test_claims_are_compared_by_ci(stem):
    for i, cell in enumerate(tool.read(stem).cells):
        if cell.cell_type != "code":
            continue
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(re.sub(r"^\s*%.*$", "", cell.source, flags=re.M)))
                 if isinstance(node, ast.Call)]  # fmt: skip
        if "dlp.claim" in calls:
            assert "# NBVAL_CHECK_OUTPUT" in cell.source, f"cell {i} makes a claim that CI does not compare"


def test_no_module_without_a_notebook():
    stored = {path.stem for path in (ROOT / "dlp_utils" / "models").glob("*.py")} - {"__init__"}
    assert stored <= set(STEMS)
    assert STEMS


GOOD = {
    "metadata": {},
    "cells": [
        {"cell_type": "markdown", "source": "# Title"},
        {"cell_type": "code", "source": "1 + 1", "execution_count": 1, "outputs": []},
    ],
}


def changed(**code_cell):
    notebook = json.loads(json.dumps(GOOD))
    notebook["cells"][1].update(code_cell)
    return notebook


@pytest.mark.parametrize(
    ("notebook", "complaint"),
    [
        (changed(execution_count=2), "execution counts"),
        (changed(execution_count=None), "execution counts"),
        (changed(source="x = 1\n" * 40), "lines; split it"),
        (changed(outputs=[{"output_type": "error", "ename": "ValueError"}]), "stores an error: ValueError"),
        (changed(outputs=[{"output_type": "stream", "name": "stderr", "text": "UserWarning"}]), "stderr"),
        (changed(outputs=[{"output_type": "display_data", "data": {tool.WIDGET: {}}}]), "widget view"),
        (
            changed(outputs=[{"output_type": "stream", "name": "stdout", "text": "/home/reader/x"}]),
            "path of one machine",
        ),
        (changed(source="open('/content/drive/x')"), "names a path"),
        ({**GOOD, "metadata": {"widgets": {}}}, "widget state"),
        ({**GOOD, "cells": [*GOOD["cells"], {"cell_type": "markdown", "source": "see {eq}`eq-a`"}]}, "MyST"),
        (
            {**GOOD, "cells": [*GOOD["cells"], {"cell_type": "markdown", "source": "```{note}\nx\n```"}]},
            "MyST",
        ),
        ({**GOOD, "cells": GOOD["cells"] + 2 * GOOD["cells"][1:]}, "third code cell"),
    ],
)
def test_planted_mess_is_found(notebook, complaint):
    assert problems(GOOD, "x") == []
    assert any(complaint in sentence for sentence in problems(notebook, "x"))


def test_stale_title_and_setup_are_found():
    assert any("title cell" in said for said in problems(GOOD, "x", title_cell="# Other"))
    assert any("set-up cell" in said for said in problems(GOOD, "x", setup_cell="import x"))


@pytest.mark.slow
@pytest.mark.parametrize("limit, ends", [("1800", "1 passed"), ("2", "1 failed")])
def test_a_slow_cell_is_limited_by_nbval_and_not_by_pytest(tmp_path, limit, ends):
    """A cell of 4 seconds where pytest's limit is 1 and nbval's is `limit`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(4)")])
    nbformat.write(notebook, tmp_path / "slow.ipynb")
    shutil.copy(ROOT / "notebooks" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 1\n")
    options = ["--nbval-lax", "--nbval-kernel-name=python3", f"--nbval-cell-timeout={limit}"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "slow.ipynb"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ends in run.stdout and "Timeout (>1" not in run.stdout + run.stderr, run.stdout


def test_a_cell_has_half_an_hour():
    assert "--nbval-cell-timeout=1800" in (ROOT / "Makefile").read_text(encoding="utf-8")

"""The notebook tool: what it strips, what it keeps, and what it says when something is missing."""

import base64
import copy
import io
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import notebooks as tool  # noqa: E402


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def pixels(encoded):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def notebook_with(*outputs, source="1"):
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)
    cell.metadata["execution"] = {"iopub.execute_input": "2020-01-01"}
    return nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})


def display(**data):
    return nbformat.v4.new_output(
        "display_data", {key.replace("_", "/", 1): value for key, value in data.items()}
    )


def test_clean_drops_widgets_and_keeps_what_a_page_can_show():
    bar = nbformat.v4.new_output("display_data", {tool.WIDGET: {"model_id": "a"}, "text/plain": "100%"})
    slider = nbformat.v4.new_output(
        "display_data", {tool.WIDGET: {"model_id": "b"}, "text/html": "<p>frames</p>"}
    )
    alone = nbformat.v4.new_output("display_data", {tool.WIDGET: {"model_id": "c"}})  # as `explore` shows it
    notebook = notebook_with(bar, slider, alone, display(text_plain="kept"))
    tool.clean(notebook)
    assert [dict(output["data"]) for output in notebook.cells[0].outputs] == [
        {"text/html": "<p>frames</p>"},
        {"text/plain": "kept"},
    ]
    assert "widgets" not in notebook.metadata and "execution" not in notebook.cells[0].metadata


def test_what_was_printed_late_joins_what_was_printed_before():
    out, err = (
        lambda text, name=name: nbformat.v4.new_output("stream", text=text, name=name)
        for name in ("stdout", "stderr")
    )
    notebook = notebook_with(
        out("a\n"), out("b\n"), err("e\n"), out("c\n"), display(text_plain="d"), out("f\n")
    )
    tool.clean(notebook)
    kept = [output.get("text") or output["data"]["text/plain"] for output in notebook.cells[0].outputs]
    assert kept == ["a\nb\n", "e\n", "c\n", "d", "f\n"]


def test_drawings_shrink_and_photographs_stay():
    rng = np.random.default_rng(0)
    drawing = np.full((200, 300, 3), 255)
    drawing[50:60, :, :] = (0, 114, 178)
    drawing += rng.integers(0, 2, drawing.shape) * (drawing < 255)  # soft edges, as antialiasing makes them
    smaller = tool.smaller(png(drawing))
    assert len(smaller) < len(png(drawing))
    assert np.abs(pixels(smaller).astype(int) - drawing).max() <= 4
    photograph = rng.integers(0, 256, (200, 300, 3))
    assert tool.smaller(png(photograph)) == png(photograph)


def test_fingerprint_follows_code_and_nothing_else():
    plain, commented = notebook_with(source="x = 1"), notebook_with(source="x = 2")
    with_output = notebook_with(display(text_plain="1"), source="x = 1")
    with_output.cells.append(nbformat.v4.new_markdown_cell("prose"))
    assert tool.fingerprint(plain) == tool.fingerprint(with_output) != tool.fingerprint(commented)
    # A new address of the repository changes the set-up cell and no result.
    plain.cells.insert(0, nbformat.v4.new_code_cell(tool.setup_cell()))
    assert tool.fingerprint(plain) == tool.fingerprint(with_output)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("# @title Squares of all numbers\nplt.show()", "Squares of all numbers"),
        ("# NBVAL_CHECK_OUTPUT\n# @title The gap, claimed", "The gap, claimed"),
        ("# @title The gap, claimed\n# NBVAL_CHECK_OUTPUT", "The gap, claimed"),
        ("x = 1\n# @title Too late a mark", None),
        ("# @title", None),
        ("# NBVAL_CHECK_OUTPUT", None),
        ("", None),
    ],
)
def test_title_of_a_marked_cell(source, title):
    assert tool.title_of(source) == title


def test_fold_writes_what_each_reader_needs():
    notebook = notebook_with(source="# @title Squares of all numbers\nplt.show()")
    notebook.cells.append(nbformat.v4.new_code_cell("x = 1"))
    tool.fold(notebook)
    marked, plain = (dict(cell.metadata) for cell in notebook.cells)
    marked.pop("execution")
    title = "Squares of all numbers"
    assert plain == {} and marked == {
        "tags": ["hide-input"],  # the page
        "mystnb": {"code_prompt_show": title, "code_prompt_hide": title},
        "jupyter": {"source_hidden": True},  # JupyterLab
        "cellView": "form",  # Colab
    }
    nbformat.validate(notebook)


def test_fold_follows_the_mark_and_keeps_what_others_wrote():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("# @title One two three\nx = 1")])
    notebook.cells[0].metadata = nbformat.from_dict({"tags": ["mine"], "jupyter": {"outputs_hidden": True}})
    before = copy.deepcopy(notebook)
    tool.fold(notebook)
    once = copy.deepcopy(notebook)
    tool.fold(notebook)
    assert notebook == once != before
    notebook.cells[0].source = before.cells[0].source = "x = 1"
    tool.fold(notebook)
    assert notebook == before


def drawn(*texts, **data):
    """A notebook whose first code cell has an output, with the texts after it, and a second one that draws as well."""
    data = data or {"image_png": png(np.zeros((2, 2, 3)))}
    title = "# @title Draw all squares, sorted\nplt.show()"
    code = [nbformat.v4.new_code_cell(source, outputs=[display(**data)]) for source in (title, "plt.show()")]
    text = [nbformat.v4.new_markdown_cell(text) for text in texts]
    return nbformat.v4.new_notebook(cells=[code[0], *text, code[1]])


def alts(notebook):
    return [
        cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_figures_get_numbers_and_words():
    notebook = drawn("*Left: $\\log K$ of [one](a.md), `x`.* What now?\n\n### A **second** one")
    notebook.cells.append(nbformat.v4.new_markdown_cell("*Figure 7. Old.*"))
    tool.describe(notebook)
    assert notebook.cells[1].source.startswith("*Figure 1. Left: $\\log K$ of [one](a.md), `x`.* What now?")
    assert notebook.cells[3].source == "*Figure 2. Old.*"
    assert alts(notebook) == ["All squares, sorted. Left: log K of one, x", "Old"]
    once = copy.deepcopy(notebook)
    tool.describe(notebook)
    assert notebook == once


def test_a_figure_without_caption_is_called_by_title_or_heading():
    notebook = drawn("**Predict.** What next?", "## The next\n\nText *with emphasis*.")
    tool.describe(notebook)
    assert alts(notebook) == ["All squares, sorted", "The next"]
    assert not any("Figure" in cell.source for cell in notebook.cells)
    text = drawn("*No figure.*", text_plain="1")
    tool.describe(text)
    assert alts(text) == [None, None] and text.cells[1].source == "*No figure.*"


def test_what_a_person_wrote_stays_and_a_caption_may_come_late():
    notebook = drawn("Text.", "*Figure 3. Late.*")
    said = "Two curves, one above the other."
    notebook.cells[0].metadata["mystnb"] = {"image": {"alt": said}}
    notebook.cells[-1].metadata["mystnb"] = {"image": {"alt": "A stale title"}}
    tool.describe(notebook)
    assert alts(notebook) == [
        said,
        None,
    ]  # the second has neither title nor caption, and no heading stands above it
    assert notebook.cells[2].source == "*Figure 1. Late.*"


def test_cost_line_says_what_was_measured():
    run = {
        "seconds": 41.6,
        "peak_mb": 1048,
        "profile": "cpu",
        "machine": "a CPU, 2 cores",
        "date": "2026-01-02",
    }
    line = tool.cost_line(run)
    assert "42 s and 1.0 GB" in line and "a CPU, 2 cores, 2026-01-02" in line and "`cpu`" in line
    assert "not measured yet" in tool.cost_line(None)


def test_unknown_stem_is_named_with_those_that_exist():
    with pytest.raises(SystemExit, match=r"no notebooks/nonsense\.ipynb; there are: .*backpropagation"):
        tool.stems(["nonsense"])


def test_missing_address_is_named(monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="has no `repository"):
        tool.repository()


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """A folder of notebooks of our own; returns a function that stores one."""
    monkeypatch.setattr(tool, "NOTEBOOKS", tmp_path)

    def store(*sources):
        cells = [
            nbformat.v4.new_markdown_cell("# A title"),
            *map(nbformat.v4.new_code_cell, ("setup", *sources)),
        ]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": tool.KERNELSPEC})
        notebook.cells[1].source = "import dlp_utils as dlp"
        tool.write(notebook, "x")

    return store


@pytest.mark.slow
def test_run_stores_outputs_time_memory_and_skips_what_has_not_changed(stored, capsys):
    stored("print(6 * 7)")
    tool.run("x")
    notebook = tool.read("x")
    assert notebook.cells[2].outputs[0].text == "42\n"
    assert notebook.metadata.dlp.peak_mb > 20 and notebook.metadata.dlp.seconds > 0
    assert "not measured yet" not in notebook.cells[0].source
    notebook.cells[2].outputs[0].text = "stored before\n"
    notebook.metadata.dlp["code"] = tool.fingerprint(notebook)
    tool.write(notebook, "x")
    tool.run("x")
    assert tool.read("x").cells[2].outputs[0].text == "stored before\n"
    assert "outputs kept" in capsys.readouterr().out
    tool.run("x", force=True)
    assert tool.read("x").cells[2].outputs[0].text == "42\n"


@pytest.mark.slow
def test_a_failing_cell_leaves_the_stored_notebook_alone(stored, tmp_path):
    stored("1 / 0")
    tool.stamp("x")
    before = (tmp_path / "x.ipynb").read_bytes()
    with pytest.raises(SystemExit, match="cell 2 failed, stored outputs kept"):
        tool.run("x")
    assert (tmp_path / "x.ipynb").read_bytes() == before

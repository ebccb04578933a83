"""Claims: true ones print a line that CI can compare, false ones stop the notebook, the value travels in the metadata."""

import configparser
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

import dlp_utils as dlp
from dlp_utils import claims
from dlp_utils.claims import ClaimError, claim


@pytest.fixture(autouse=True)
def cpu_profile(monkeypatch):
    monkeypatch.setenv("DLP_PROFILE", "cpu")


@pytest.fixture
def published(monkeypatch):
    """What `claim` shows, as (line, metadata) pairs."""
    shown = []
    monkeypatch.setattr(claims, "_show", lambda line, metadata: shown.append((line, metadata)))
    return shown


@pytest.mark.parametrize(
    "value, bounds, line",
    [
        (1, {"at_least": 1}, "✓ a: at least 1"),
        (0.9003, {"at_least": 0.9}, "✓ a: at least 0.9"),
        (3e-8, {"at_most": 1e-7}, "✓ a: at most 1e-07"),
        (0.5, {"at_least": 0.25, "at_most": 0.75}, "✓ a: at least 0.25 and at most 0.75"),
        (11 / 21, {"equals": 11 / 21}, "✓ a: equal to 0.52381"),
        (0.5239, {"equals": 11 / 21, "tol": 1e-4}, "✓ a: equal to 0.52381 within 0.0001"),
        (0, {"equals": 0}, "✓ a: equal to 0"),
        (True, {"equals": True}, "✓ a: equal to 1"),
    ],
)
def test_ci_compares_the_bound_and_not_the_value(capsys, value, bounds, line):
    claim("a", value, **bounds)
    assert compared(capsys.readouterr().out) == line + " (measured)\n"


def compared(text):
    """What CI compares of an output: the rule of notebooks/nbval.cfg applied."""
    rule = configparser.ConfigParser(interpolation=None)
    rule.read(Path(__file__).resolve().parents[1] / "notebooks" / "nbval.cfg", encoding="utf-8")
    return re.sub(rule["measured"]["regex"], rule["measured"]["replace"], text)


def test_the_measured_value_is_shown_with_three_digits(capsys):
    claim("dice", 0.912345, at_least=0.9)
    claim("epochs", 3217, at_least=3000)
    assert capsys.readouterr().out == (
        "✓ dice: at least 0.9 (measured 0.912)\n✓ epochs: at least 3000 (measured 3217)\n"
    )


@pytest.mark.parametrize(
    "value, bounds, bound",
    [
        (0.89999, {"at_least": 0.9}, "at least 0.9"),
        (2e-7, {"at_most": 1e-7}, "at most 1e-07"),
        (0.76, {"at_least": 0.25, "at_most": 0.75}, "at least 0.25 and at most 0.75"),
        (0.24, {"at_least": 0.25, "at_most": 0.75}, "at least 0.25 and at most 0.75"),
        (0.524, {"equals": 11 / 21, "tol": 1e-4}, "equal to 0.52381 within 0.0001"),
        (1e-12, {"equals": 0}, "equal to 0"),
        (-1, {"at_least": 0}, "at least 0"),
        (1, {"at_most": 0}, "at most 0"),
    ],
)
def test_false_claims_name_everything(published, value, bounds, bound):
    with pytest.raises(ClaimError) as error:
        claim("dice", value, **bounds)
    text = str(error.value)
    assert "'dice'" in text and f"{value:.10g} is not {bound};" in text
    assert "seed" in text and "profile" in text and "'cpu'" in text and "\n" not in text
    assert published == []


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        np.float32(2),
        np.int64(2),
        np.array(2.0),
        torch.tensor(2),
        torch.tensor(2.0, requires_grad=True),
    ],
)
def test_scalars_of_all_libraries(published, value):
    claim("two", value, equals=np.float64(2))
    (_, metadata) = published[0]
    assert metadata == {"dlp_claim": {"name": "two", "value": 2.0, "equals": 2.0, "tol": 0.0, "judged": True}}
    assert json.loads(json.dumps(metadata)) == metadata


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), np.float32("-inf"), torch.tensor(float("nan"))]
)
@pytest.mark.parametrize("profile", ["cpu", "smoke"])
def test_not_finite(monkeypatch, value, profile):
    monkeypatch.setenv("DLP_PROFILE", profile)
    with pytest.raises(ClaimError, match=r"'loss': the value is (nan|inf|-inf)"):
        claim("loss", value, at_most=1)


@pytest.mark.parametrize("value", [np.ones(3), torch.ones(1), [1.0]])
def test_not_one_number(value):
    with pytest.raises(TypeError, match=r"'loss': the value must be one number, got (shape \(\d,\)|list)"):
        claim("loss", value, at_most=1)


@pytest.mark.parametrize("value", [None, "1", 1j])
def test_not_a_number(value):
    with pytest.raises(TypeError, match=r"must be one number, got (NoneType|str|complex)"):
        claim("loss", value, at_most=1)


@pytest.mark.parametrize(
    "bounds, complaint",
    [
        ({}, "claims nothing"),
        ({"at_least": 2, "at_most": 1}, "can never hold"),
        ({"equals": 1, "at_least": 0}, "equals stands alone"),
        ({"at_least": 0, "tol": 0.1}, "tol belongs to equals"),
        ({"equals": 1, "tol": -1}, "tol at least 0"),
        ({"at_least": float("nan")}, "must be finite"),
    ],
)
def test_senseless_claims(bounds, complaint):
    with pytest.raises(ValueError, match=complaint):
        claim("a", 1, **bounds)


@pytest.mark.parametrize("name", ["", " ", "two\nlines", 3])
def test_senseless_names(name):
    with pytest.raises(ValueError, match="a name of one line"):
        claim(name, 1, at_least=0)


def test_smoke_profile_judges_nothing(monkeypatch, published):
    monkeypatch.setenv("DLP_PROFILE", "smoke")
    claim("dice", 0.1, at_least=0.9)
    line, metadata = published[0]
    assert line == "– dice: not judged at the smoke profile (measured 0.1)"
    assert metadata["dlp_claim"] == {"name": "dice", "value": 0.1, "at_least": 0.9, "judged": False}


def test_gpu_profile_notes_what_does_not_hold_and_goes_on(monkeypatch, published):
    monkeypatch.setenv("DLP_PROFILE", "gpu")
    claim("dice", 0.1, at_least=0.9)
    claim("loss", 0.1, at_most=0.9)
    lines, metadata = zip(*published, strict=True)
    assert lines[0] == "✗ dice: not at least 0.9, a bound that was set at the cpu profile (measured 0.1)"
    assert lines[1] == "✓ loss: at most 0.9 (measured 0.1)"
    assert [entry["dlp_claim"]["judged"] for entry in metadata] == [False, True]
    with pytest.raises(ClaimError):
        claim("loss", float("nan"), at_most=0.9)


def test_same_name_again_is_a_cell_run_again(published):
    claim("dice", 0.95, at_least=0.9)
    dlp.claim("dice", 0.96, at_least=0.9)
    assert len(published) == 2


# --- In a notebook ---


def notebook_with(tmp_path, *cells):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = tmp_path / "lab.ipynb"
    nbformat.write(book, path)
    return path


def test_kernel_stores_line_and_metadata(tmp_path):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            shell.run_cell("import dlp_utils as dlp\ndlp.claim('dice', 0.912345, at_least=0.9)")
    finally:
        InteractiveShell.clear_instance()  # or the other tests would run in a notebook too
    (output,) = captured.outputs
    assert captured.stdout == ""
    assert output.data == {"text/plain": "✓ dice: at least 0.9 (measured 0.912)"}
    stored = nbformat.v4.new_output("display_data", output.data, metadata=output.metadata)
    path = notebook_with(tmp_path, "dlp.claim(…)", "1 + 1")
    book = nbformat.read(path, 4)
    book.cells[0].outputs = [nbformat.v4.new_output("stream", text="hello"), stored]
    nbformat.validate(book)
    nbformat.write(book, path)
    assert claims.from_notebook(path) == [
        {"name": "dice", "value": 0.912345, "at_least": 0.9, "judged": True},
    ]


def test_two_claims_of_one_name_are_refused_in_the_table(tmp_path):
    path = notebook_with(tmp_path, "a", "b")
    book = nbformat.read(path, 4)
    for cell in book.cells:
        metadata = {"dlp_claim": {"name": "dice", "value": 1.0, "at_least": 0.9, "judged": True}}
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/plain": "…"}, metadata=metadata)]
    nbformat.write(book, path)
    with pytest.raises(ValueError, match="two claims named 'dice'"):
        claims.from_notebook(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": 3}', "\x00"])
def test_no_notebook(tmp_path, text):
    path = tmp_path / "broken.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.ipynb is not a notebook"):
        claims.from_notebook(path)

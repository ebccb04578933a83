"""`make verified` shows formula and test, and stamps only what a person, or an explicit --stamp, agrees to."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import formulas  # noqa: E402

PAGE = "$$ a = b $$ (eq-x-one)\n\n$$ c = d $$ (eq-x-two)\n\n$$ e := f $$ (def-x-three)\n"
TESTS = (
    '@verifies("eq-x-one")\ndef test_one():\n    assert "the test of one"\n\n\n'
    '@verifies("eq-x-two")\ndef test_two(): ...\n'
)


@pytest.fixture
def book(tmp_path):
    for folder in ("book", "tests/derivations"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book/x.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "tests/derivations/test_x.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def stamps(book):
    return formulas.printed.read_stamps(book / "tests/derivations/printed.json")


def test_formula_and_test_stand_side_by_side_and_yes_stamps(book, capsys):
    answers = iter(["y", "n"])
    assert formulas.main([], book, lambda question: next(answers)) == 1
    shown = capsys.readouterr().out
    assert "a = b" in shown and '"the test of one"' in shown and "e := f" not in shown
    assert list(stamps(book)) == ["eq-x-one"]
    assert formulas.main([], book, lambda question: "y") == 0  # only the other one is asked for
    assert formulas.main([], book, lambda question: pytest.fail("all are stamped")) == 0


def test_what_is_read_from_the_page_is_counted(book, capsys):
    (book / "tests/derivations/read").mkdir()
    reads = 'READ = {\n    "eq-x-one": (\n        {},\n    ),\n    "eq-x-gone": ({}, {}),\n}\n'
    (book / "tests/derivations/read/x.py").write_text(reads, encoding="utf-8")
    formulas.main(["--stamp", "eq-x-one", "eq-x-two"], book)
    assert "2 formulas, 2 stamped, 1 of them also read" in capsys.readouterr().out


def test_the_labels_that_are_counted_are_those_that_are_read():
    modules = (ROOT / "tests" / "derivations" / "read").glob("*.py")
    read = [importlib.import_module(f"read.{path.stem}").READ for path in modules]
    assert formulas.read_from_page(ROOT) == set().union(*read)


def test_all_shows_what_is_stamped_and_does_not_ask(book, capsys):
    formulas.main(["--stamp", "eq-x-one", "eq-x-two"], book)
    capsys.readouterr()
    assert formulas.main(["x", "--all"], book, lambda question: pytest.fail("nothing to ask")) == 0
    assert "a = b" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_stamped_silently(book, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert formulas.main([], book) == 1
    assert stamps(book) == {} and "2 without a stamp" in capsys.readouterr().out
    assert formulas.main(["--stamp", "eq-x-two"], book) == 0
    assert list(stamps(book)) == ["eq-x-two"]
    with pytest.raises(SystemExit, match="no page prints eq-x-nine"):
        formulas.main(["--stamp", "eq-x-nine"], book)


def test_a_changed_formula_is_asked_for_again_and_a_lost_one_is_forgotten(book):
    formulas.main(["--stamp", "eq-x-one", "eq-x-two"], book)
    (book / "book/x.md").write_text(PAGE.replace("a = b", "a = -b").replace("eq-x-two", "eq-x-2"), "utf-8")
    asked = []
    assert formulas.main([], book, lambda question: asked.append(1) or "q") == 1
    assert len(asked) == 1 and sorted(stamps(book)) == ["eq-x-one"]

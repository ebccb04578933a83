"""`make chapter` lays out a chapter that is whole: its claim is tested, its exercise works, its notebook is clean."""

import importlib.util
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import new_chapter  # noqa: E402


def load(path):
    spec = importlib.util.spec_from_file_location(f"laid_out_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chapter(tmp_path):
    for folder in ("book", "notebooks", "dlp_utils/checks", "tests/derivations", "tests/exercises"):
        (tmp_path / folder).mkdir(parents=True)
    new_chapter.lay_out("my_topic", tmp_path)
    return tmp_path


def test_claim_and_test_agree_and_the_test_passes(chapter):
    coverage = load(ROOT / "tests" / "derivations" / "test_coverage.py")
    page = (chapter / "book/my_topic.md").read_text(encoding="utf-8")
    tests = chapter / "tests/derivations/test_my_topic.py"
    assert "eq-my-topic-expanded" in coverage.labels_of(page)
    assert coverage.problems("my_topic", page, tests.read_text(encoding="utf-8")) == []
    load(tests).test_expanded_square()


def test_the_template_comes_with_its_stamp(chapter):
    page = (chapter / "book/my_topic.md").read_text(encoding="utf-8")
    stamps = new_chapter.printed.read_stamps(chapter / "tests/derivations/printed.json")
    assert new_chapter.printed.complaints(page, stamps) == []
    assert new_chapter.printed.complaints(page.replace("2xh", "xh"), stamps) != []


def test_exercise_takes_its_solution_and_gives_its_hints(chapter, monkeypatch):
    from dlp_utils import exercises

    monkeypatch.setattr(exercises, "EXERCISES", dict(exercises.EXERCISES))
    reference = load(chapter / "dlp_utils/checks/my_topic.py").square_slope
    assert exercises.judge("my-topic-first", reference).status == "passed"
    for answer, hint in load(chapter / "tests/exercises/test_my_topic.py").WRONG["my-topic-first"]:
        result = exercises.judge("my-topic-first", answer)
        assert (result.status, hint in result.hint) == ("failed", True)


def test_notebook_is_clean_but_for_the_missing_run(chapter):
    hygiene = load(ROOT / "tests" / "test_notebooks.py")
    notebook = nbformat.read(chapter / "notebooks/my_topic.ipynb", as_version=4)
    title = hygiene.tool.title_cell("my_topic", "My topic: the lab", None)
    said = hygiene.problems(notebook, "my_topic", title, hygiene.tool.setup_cell())
    assert len(said) == 1 and said[0].startswith("execution counts")


def test_page_has_the_three_depths(chapter):
    anatomy = load(ROOT / "tests" / "test_anatomy.py")
    notebook = nbformat.read(chapter / "notebooks/my_topic.ipynb", as_version=4)
    checked = anatomy.lab_order(notebook)
    assert checked == ["my-topic-first"]
    assert anatomy.problems((chapter / "book/my_topic.md").read_text(encoding="utf-8"), checked) == []


def test_nothing_is_overwritten(chapter):
    (chapter / "book/my_topic.md").write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"there already: book/my_topic\.md"):
        new_chapter.lay_out("my_topic", chapter)
    assert (chapter / "book/my_topic.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("stem", ["My_topic", "my topic", "../evil", "1st", ""])
def test_bad_stems_are_refused(stem, tmp_path):
    with pytest.raises(SystemExit, match="a stem has small letters"):
        new_chapter.lay_out(stem, tmp_path)
    assert list(tmp_path.iterdir()) == []

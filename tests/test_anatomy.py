"""The reader's path (CONTRIBUTING.md): three depths in every chapter, and a map that shows what the pages use."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
sys.path.insert(0, str(ROOT / "book" / "figures"))
from anatomy import CLOSING, TAKEAWAYS, TEN_MINUTES, Page, level, words  # noqa: E402

STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
MOST = {"ten_minutes": 600, "core": 4000}


def lab_order(notebook):
    """The ids that a lab checks, in order."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return re.findall(r"^dlp\.check\(\s*[\"']([\w-]+)", "\n".join(cells), re.M)


def problems(text, checked):
    """What a reader of the three depths misses on a page, one sentence each. checked: ids in the lab's order."""
    page, said = Page(text), []
    if not page.objectives.strip():
        said.append("no objectives")
    if TEN_MINUTES not in page.headings:
        said.append(f"no section '{TEN_MINUTES}'")
    for part, most in MOST.items():
        if (count := words(getattr(page, part))) > most:
            said.append(f"{part.replace('_', ' ')}: {count} words, {most} at most")
    if not re.search(rf"^## {TEN_MINUTES}$(?:(?!^## ).)*^```{{figure}}", text, re.M | re.S):
        said.append("ten minutes: no picture")
    if "{prf:algorithm}" not in text:
        said.append("no algorithm box")
    sentences = len(re.findall(r"^- ", page.takeaways, re.M))
    if not 4 <= sentences <= 7:
        said.append(f"{sentences} takeaways, 4 to 7 wanted")
    closing = [heading for heading in page.headings if heading in CLOSING]
    if closing != [heading for heading in CLOSING if heading in closing] or TAKEAWAYS not in closing:
        said.append(f"closing sections are {closing}; their order is {list(CLOSING)}")
    said += [f"exercise '{title}' has no level" for title, _ in page.exercises if not 1 <= level(title) <= 3]
    for sort in ("zoo", "exercise"):
        levels = [level(title) for title, label in page.exercises if ("-zoo-" in label) == (sort == "zoo")]
        if 3 in levels and 1 in levels[levels.index(3) :]:
            said.append(f"a ★★★ {sort} stands before a ★")
    labels = [label.removeprefix("ex-") for _, label in page.exercises]
    if [id for id in labels if id in checked] != [id for id in checked if id in labels]:
        said.append("the page's exercises do not stand in the order of the lab")
    return said


@pytest.mark.parametrize("stem", STEMS)
def test_chapter_has_the_three_depths(stem):
    notebook = json.loads((ROOT / f"notebooks/{stem}.ipynb").read_text(encoding="utf-8"))
    text = (ROOT / f"book/{stem}.md").read_text(encoding="utf-8")
    assert problems(text, lab_order(notebook)) == []


GOOD = """# Title

```{objectives}
- do it (`x-one`).

**Needs** [this](other.md#part).
```

## In ten minutes

Short words.

```{figure} picture.svg
```

```{prf:algorithm} A
1. go
```

## The method itself

Some text.

````{deeper} More
Long words, $$ a = b $$
````

## Takeaways

- One.
- Two.
- Three.
- Four.

## Exercises

```{exercise} ★ First
:label: ex-x-one
Do.
```

```{solution} ex-x-one
Done, in many words.
```

```{exercise} ★★★ Last
:label: ex-x-two
Do.
```
"""


def test_a_good_page_has_no_problems():
    assert problems(GOOD, ["x-zoo-a", "x-one", "x-two"]) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("```{objectives}", "```{note}", "no objectives"),
        ("## In ten minutes", "## Soon", "no section 'In ten minutes'"),
        ("Short words.", "word " * 601, "ten minutes: 60"),
        ("```{figure} picture.svg\n```\n\n", "", "ten minutes: no picture"),
        ("Some text.", "word " * 4001, "core: 400"),
        ("{prf:algorithm}", "{note}", "no algorithm box"),
        ("- Four.\n", "", "3 takeaways"),
        ("★ First", "First", "exercise 'First' has no level"),
        ("## Takeaways", "## Exercises\n\n## Takeaways", "closing sections"),
        ("★★★ Last", "★★★ Last\n```\n\n```{exercise} ★ Easy", "before a ★"),
        ("ex-x-one\nDo", "ex-x-two\nDo", "order of the lab"),
    ],
)
def test_planted_gaps_are_found(old, new, complaint):
    assert old in GOOD
    text = GOOD.replace(old, new)
    assert any(complaint in sentence for sentence in problems(text, ["x-one", "x-two"]))


def test_the_depths_are_told_apart_and_formulas_are_no_words():
    page = Page(GOOD)
    assert words(page.ten_minutes) == 6  # its heading, its text and the algorithm; the fence is none
    assert "Long words" not in page.core + page.rest and "Done" not in page.rest
    assert [title for title, _ in page.deeper] == ["More"] and page.needs == ["other.md#part"]
    assert words("three words here\n:alt: A cat on a mat.\n") == 3
    assert words("two words $a + b$ `code` {eq}`eq-x` [link](x.md#y)") == 4
    long = Page(GOOD.replace("Some text.", "word " * 1300))
    assert long.core_minutes == 10 and long.whole_minutes >= 11


def wide_lines(text, width=79):
    """Lines of code blocks that are wider than the page's column."""
    blocks = re.findall(r"^(`{3,})(\w+)\n(.*?)^\1\s*$", text, re.M | re.S)
    return [line for _, _, code in blocks for line in code.split("\n") if len(line) > width]


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_code_on_the_pages_fits_the_column(path):
    assert wide_lines(path.read_text(encoding="utf-8")) == []


def test_a_wide_line_is_found():
    assert wide_lines("```python\n" + "x" * 80 + "\n```\n") == ["x" * 80]
    assert wide_lines("`" * 4 + "{solution} a\n```python\n" + "x" * 79 + "\n```\n" + "`" * 4 + "\n") == []


# --- the map ------------------------------------------------------------------------------------------------


def chapters():
    path = ROOT / "book" / "figures" / "chapters.py"
    spec = importlib.util.spec_from_file_location("chapters_map", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def used_by(stem, text):
    """Chapters that a page uses: those its *Needs* link to; without objectives, all that its text links to."""
    page = Page(text)
    targets = page.needs if page.objectives else re.findall(r"\]\(([^)]+)\)", text)
    found = {re.sub(r"(\.\./notebooks/)?(\w+)\.(md|ipynb).*", r"\2", target) for target in targets}
    return {name for name in found if name in STEMS and name != stem}


def test_the_map_shows_what_each_finished_page_uses():
    drawn = chapters()
    assert set(STEMS) <= set(drawn.CHAPTERS)
    for stem in STEMS:
        parents = set(drawn.CHAPTERS[stem][3]) & set(STEMS)
        assert parents == used_by(stem, (ROOT / f"book/{stem}.md").read_text(encoding="utf-8")), stem


def test_what_a_page_uses_is_read_from_its_needs():
    text = GOOD.replace("other.md#part", "backpropagation.md#x") + "\n[no need](diffusion.md)\n"
    assert used_by("learning", text) == {"backpropagation"}
    assert used_by("learning", "[a](diffusion.md#x) [b](notation.md)") == {"diffusion"}


def test_the_map_has_no_circle_and_no_two_chapters_in_one_place():
    drawn = chapters()
    for stem in drawn.CHAPTERS:
        assert stem not in drawn.ancestors(stem)
    places = [(column, row) for _, column, row, _ in drawn.CHAPTERS.values()]
    assert len(set(places)) == len(places)
    for _, _, row, parents in drawn.CHAPTERS.values():
        assert all(drawn.CHAPTERS[parent][2] < row for parent in parents)


def test_the_guide_tells_the_map_in_words():
    text = (ROOT / "book" / "reading_guide.md").read_text(encoding="utf-8")
    alt = re.search(r"^:alt: (Map of .*)$", text, re.M)[1].lower()
    for stem in chapters().CHAPTERS:
        assert stem.replace("_", " ") in alt, f"the map's alternative text does not name {stem}"

"""The extensions of the reader's path, each on a small project: three depths, pages of labs, search, glossary."""

import json
import re

import pytest

from tests.small_book import Project

EXERCISE = """
```{exercise} ★ Do it
:label: ex-ema-debias
Do.
```

```{solution} ex-ema-debias
:class: dropdown
Secret words.
```
"""
PAGE = (
    """# Averages

A question.

```{objectives}
- average weights (`ema-debias`);
- not this `ema-horizon`, which is no exercise (`ema-debias`).

**Needs** [the other](other.md#a-part).
```

## In ten minutes

Words and more words, $x^2$.

````{deeper} How much $x$ is left
Hidden words.

$$ a = b $$ (eq-ema-one)
````

See {eq}`eq-ema-one`, [there](#deeper-how-much-x-is-left).

## Takeaways

- One.

## Exercises
"""
    + EXERCISE
)


@pytest.fixture
def book(tmp_path):
    options = {"myst_heading_anchors": 3, "myst_enable_extensions": ["dollarmath"]}
    project = Project(tmp_path, "sphinx.ext.mathjax", "sphinx_exercise", "reader_path", **options)
    project.write("index.md", "# A\n\n```{toctree}\nbook/ema\nbook/other\n```\n")
    project.write("book/ema.md", PAGE)
    project.write("book/other.md", "# Other\n\n## A part\n\nWords.\n")
    return project


def test_objectives_link_exercises_and_print_what_they_cost(book):
    assert book.build() == []
    box = re.search(r'<div class="dlp-objectives.*?</div>', book.page("book/ema"), re.S)[0]
    assert box.count('href="#ex-ema-debias"') == 2 and 'href="other.html#a-part"' in box
    assert "<code" in box and "ema-horizon" in box and 'href="#ex-ema-horizon"' not in box
    text = re.sub(r"<[^>]+>", "", box)
    assert re.search(r"Costs about \d+ minutes to read, \d+ with everything\.", text)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (" (`ema-debias`);", ";", "names no exercise"),
        ("**Needs**", "It needs", "no paragraph **Needs**"),
        ("(other.md#a-part)", "(other.md#no-part)", "no-part"),
    ],
)
def test_objectives_that_lack_something_are_named(book, old, new, complaint):
    book.write("book/ema.md", PAGE.replace(old, new))
    assert any(complaint in warning for warning in book.build())


def test_a_deeper_block_is_closed_linked_and_numbered(book):
    assert book.build() == []
    page = book.page("book/ema")
    block = re.search(r'<details class="dlp-deeper" id="([^"]+)">(.*?)</details>', page, re.S)
    assert block[1] == "deeper-how-much-x-is-left" and "Hidden words" in block[2]
    assert re.search(r"<summary><strong>Deeper: </strong>How much .*?x.*? is left</summary>", block[2])
    assert 'id="equation-eq-ema-one"' in block[2] and 'class="eqno"' in block[2]
    assert page.count('href="#deeper-how-much-x-is-left"') == 1 and 'href="#equation-eq-ema-one"' in page


# --- pages of labs ------------------------------------------------------------------------------------------


def lab(*cells):
    made = []
    for kind, source, *text in cells:
        cell = {"cell_type": kind, "source": source, "metadata": {}}
        if kind == "code":
            out = [{"output_type": "display_data", "data": {"text/plain": t}, "metadata": {}} for t in text]
            cell.update(execution_count=1, outputs=out)
        made.append(cell)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": made})


@pytest.fixture
def labs(tmp_path):
    extensions = ("sphinx.ext.mathjax", "lab_pages")
    project = Project(tmp_path, *extensions, math_number_all=False, math_numfig=True)
    project.write("index.md", "# A\n\n```{toctree}\n:numbered:\nbook/ema\nnotebooks/ema\n```\n")
    project.write("book/ema.md", "# Averages\n\n$$ a = b $$ (eq-ema-one)\n")
    project.write(
        "notebooks/ema.ipynb",
        lab(
            ("markdown", "# The lab\n\nSee `eq-ema-one` and `eq-ema-none`."),
            ("code", '#| export\ndef f():\n    """Source (eq-ema-one)."""'),
            ("markdown", "**Predict.** What comes?"),
            (
                "code",
                "# NBVAL_CHECK_OUTPUT\n# @title Record it\nclaim()",
                "✓ a-claim: at least 1 (measured 2)",
            ),
        ),
    )
    return project


def test_lines_that_speak_to_tools_do_not_show(labs):
    assert labs.build() == []
    page = labs.page("notebooks/ema")
    for line in ("| export", "NBVAL_CHECK_OUTPUT", "@title"):
        assert line not in page
    assert "def" in page and "claim" in page


def test_labels_of_equations_show_the_printed_number(labs):
    labs.build()
    page = labs.page("notebooks/ema")
    links = re.findall(r'<a class="dlp-number" href="([^"]+)" title="eq-ema-one">\(([\d.]+)\)</a>', page)
    number = re.search(r'class="eqno">\(([\d.]+)\)', labs.page("book/ema"))[1]
    assert links == [("../book/ema.html#equation-eq-ema-one", number)] * 2  # in the text and in the docstring
    assert "((" not in re.sub(r"<[^>]+>", "", page)
    assert "eq-ema-none" in page


def test_predictions_are_boxes_and_claims_can_be_linked_to(labs):
    labs.build()
    page = labs.page("notebooks/ema")
    assert re.search(r'<p class="dlp-predict"><strong>Predict.</strong>', page)
    assert 'id="claim-a-claim"' in page


# --- search and glossary ------------------------------------------------------------------------------------

TERMS = """
- term: moving average
  also: [EMA]
  see: book/ema#how-it-works
  zh: 移動平均
  ko: 이동 평균
  text: A mean that remembers the last steps.
"""


@pytest.fixture
def words(tmp_path):
    extensions = ("sphinx.ext.mathjax", "sphinx_exercise", "reader_path", "search_sections", "glossary")
    project = Project(tmp_path, *extensions)
    project.write("index.md", "# A\n\n```{toctree}\nbook/ema\nbook/glossary\n```\n")
    project.write("book/glossary.yml", TERMS)
    project.write("book/glossary.md", "# Glossary\n\n```{glossary-list}\n```\n")
    page = "# Averages\n\n## How it works\n\nThe moving average, or ema; an EMA is a moving average of $x^{17}$.\n"
    deeper = "\n````{deeper} The bias\nIt is small.\n````\n"
    project.write("book/ema.md", page + deeper + "\n## Exercises\n" + EXERCISE)
    return project


def found(project):
    text = (project.folder / "_out" / "searchindex.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.dlpSections = ").rstrip(";\n"))


def test_the_index_holds_sections_without_formulas_code_and_solutions(words):
    assert words.build() == []
    sections = {entry["url"]: entry for entry in found(words)}
    part = sections["book/ema.html#how-it-works"]
    assert part["page"] == "Averages" and part["title"] == "How it works"
    assert part["text"] == "The moving average, or ema; an EMA is a moving average of."
    assert part["terms"] == [["moving average", "EMA", "移動平均", "이동 평균"]]
    assert part["says"] == ["A mean that remembers the last steps."]
    assert sections["book/ema.html#deeper-the-bias"]["text"] == "It is small."
    assert sections["book/ema.html#ex-ema-debias"]["title"] == "Exercise: ★ Do it"
    assert "Secret" not in json.dumps(found(words))


def test_the_first_use_of_a_term_leads_to_its_entry(words):
    words.build()
    page = words.page("book/ema")
    links = re.findall(r'<a class="dlp-term[^"]*" href="([^"]+)" title="([^"]+)">([^<]+)</a>', page)
    assert links == [
        ("glossary.html#term-moving-average", "A mean that remembers the last steps.", "moving average")
    ]


def test_the_glossary_shows_three_languages_and_the_section(words):
    words.build()
    entry = re.search(r'<dt id="term-moving-average">.*?</dd>', words.page("book/glossary"), re.S)[0]
    assert 'lang="zh">移動平均' in entry and 'lang="ko">이동 평균' in entry
    assert 'href="ema.html#how-it-works"' in entry and "→ Averages: How it works" in entry


def test_a_term_whose_section_is_gone_is_a_warning(words):
    words.write("book/glossary.yml", TERMS.replace("how-it-works", "how-it-was"))
    (warning,) = words.build()
    assert "moving average: book/ema#how-it-was leads nowhere" in warning and "how-it-works" in warning


def test_a_changed_glossary_makes_its_pages_anew(words):
    words.build()
    words.write("book/glossary.yml", TERMS.replace("remembers", "recalls"))
    words.build()
    assert "recalls" in words.page("book/glossary") and "recalls" in words.page("book/ema")

"""The glossary's data: complete entries, names of one term each, links that lead somewhere, terms that the book uses."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from docutils.nodes import make_id

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))
import glossary

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / glossary.DATA
FIELDS = {"term", "also", "see", "zh", "ko", "text"}
HAN, HANGUL, LATIN_NAME = "[\u4e00-\u9fff]", "[\uac00-\ud7a3]", r"[A-Za-z0-9+\- ]+"
FENCE = re.compile(r"^\s*(`{3,}|~{3,})(.*)$")


def text_of(page):
    """The Markdown of a page of the book, or of a notebook's text cells; None if there is no such page."""
    source = ROOT / f"{page}.md"
    if source.is_file():
        return source.read_text(encoding="utf-8")
    source = ROOT / f"{page}.ipynb"
    if not source.is_file():
        return None
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def ids_of(markdown):
    """The ids of all headings, deeper blocks and labeled algorithms."""
    found, fence = set(), ""
    for line in markdown.splitlines():
        if mark := FENCE.match(line):
            if fence and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            elif not fence:
                fence = mark[1]
                if title := re.match(r"\{deeper\} (.+)", mark[2]):
                    found.add(make_id(f"deeper-{title[1]}"))
        elif label := re.match(r":label: (alg-\S+)", line):
            found.add(label[1])
        elif not fence and (heading := re.match(r"#{1,6} (.+)", line)):
            found.add(make_id(heading[1]))
    return found


def names_of(entry):
    return [entry["term"], *entry.get("also", [])]


def uses(page_text, name):
    words = re.escape(name).replace(r"\ ", r"[\s-]+")
    return re.search(rf"(?<!\w){words}", page_text, re.I) is not None


def faults(entries, pages=text_of):
    """What is wrong with the entries, one line each; `pages` gives the Markdown of a page."""
    found, owner = [], {}
    for entry in entries:
        term = entry.get("term", "without a term")
        if missing := FIELDS - {"also"} - {key for key, value in entry.items() if value}:
            found.append(f"{term}: without {', '.join(sorted(missing))}")
            continue
        if more := set(entry) - FIELDS:
            found.append(f"{term}: unknown {', '.join(sorted(more))}")
        for name in names_of(entry):
            if name.lower() in owner:
                found.append(f"{term}: {name} is a name of {owner[name.lower()]}, too")
            owner[name.lower()] = term
        text = entry["text"]
        if not text.endswith(".") or re.search(r"[.?!]\s", text):
            found.append(f"{term}: not one sentence with a full stop")
        if len(text.split()) > 40:
            found.append(f"{term}: more than 40 words")
        if "$" in text or "\\" in text:
            found.append(f"{term}: a formula that would not be set")
        for language, letters in (("zh", HAN), ("ko", HANGUL)):
            if not re.search(letters, entry[language]) and not re.fullmatch(LATIN_NAME, entry[language]):
                found.append(f"{term}: {entry[language]!r} is no name in {language}")
        page, _, place = entry["see"].partition("#")
        page_text = pages(page)
        if page_text is None:
            found.append(f"{term}: no page {page}")
        elif place not in ids_of(page_text):
            found.append(f"{term}: no section {place} in {page}")
        elif not any(uses(page_text, name) for name in names_of(entry)):
            found.append(f"{term}: not used in {page}")
    return found


def test_every_entry_of_the_glossary_is_sound():
    entries = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    assert len(entries) >= 200
    assert faults(entries) == []


def test_the_extension_reads_all_of_them_and_finds_each_name_in_a_sentence():
    terms = glossary.read_terms(DATA)
    names, by_name = glossary.pattern(terms)
    for term in terms:
        for name in names_of(term):
            match = names.search(f"here, {name}, there")
            assert match and glossary.lookup(match[1], by_name) is term, name


def test_each_term_has_an_anchor_of_its_own():
    anchors = [glossary.anchor(term) for term in glossary.read_terms(DATA)]
    assert len(set(anchors)) == len(anchors)


PAGE = """# Cats

Cats purr.

## Why they purr

```python
## no heading
```

````{deeper} Purring, in full
Long.
````

```{prf:algorithm} Purring
:label: alg-purr
```
"""
SOUND = {
    "term": "cat",
    "also": ["purring"],
    "see": "book/cats#why-they-purr",
    "zh": "貓",
    "ko": "고양이",
    "text": "An animal that purrs.",
}


def planted(**changes):
    return faults([{**SOUND, **changes}], {"book/cats": PAGE}.get)


@pytest.mark.parametrize("place", ["cats", "why-they-purr", "deeper-purring-in-full", "alg-purr"])
def test_a_sound_entry_may_lead_to_a_heading_a_block_or_an_algorithm(place):
    assert planted(see=f"book/cats#{place}") == []


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"see": "book/dogs#cats"}, "no page book/dogs"),
        ({"see": "book/cats#no-heading"}, "no section no-heading"),
        ({"see": "book/cats"}, "no section"),
        ({"text": ""}, "without text"),
        ({"ko": ""}, "without ko"),
        ({"text": "An animal that purrs"}, "not one sentence"),
        ({"text": "An animal. It purrs."}, "not one sentence"),
        ({"text": "very " * 40 + "small."}, "more than 40 words"),
        ({"text": "An animal of weight $w$."}, "a formula"),
        ({"also": ["Cat"]}, "Cat is a name of cat, too"),
        ({"term": "dog", "also": []}, "not used"),
        ({"zh": "고양이"}, "no name in zh"),
        ({"ko": "貓"}, "no name in ko"),
        ({"note": "furry"}, "unknown note"),
    ],
)
def test_a_planted_fault_is_found(changes, fault):
    found = planted(**changes)
    assert len(found) == 1 and fault in found[0]


def test_two_entries_must_not_share_a_name():
    other = {**SOUND, "term": "kitten"}
    assert faults([SOUND, other], {"book/cats": PAGE}.get) == ["kitten: purring is a name of cat, too"]


def test_a_name_of_the_field_may_stay_in_latin_letters():
    assert planted(zh="U-Net", ko="U-Net") == []


def test_every_id_of_a_built_page_can_be_computed():
    ids = ids_of(text_of("book/backpropagation"))
    assert {"in-ten-minutes", "alg-backpropagation", "deeper-the-softmax-alone-and-its-jacobian"} <= ids


def test_names_with_capitals_keep_them_and_apostrophes_are_of_one_kind():
    term = {"term": "Dice score", "also": ["Dice", "He's rule"], "see": "book/x#y"}
    names, by_name = glossary.pattern([term])
    found = [
        glossary.lookup(m[1], by_name) is term for m in names.finditer("Dice, dice, Dice score, He’s rule")
    ]
    assert found == [True, False, True, True]
    names, by_name = glossary.pattern([{"term": "softmax", "also": []}])
    assert glossary.lookup(names.search("Softmax")[1], by_name) is not None

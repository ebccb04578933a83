"""The book's Sphinx extensions, each on a small project of its own."""

import importlib
import json
import os
import re
import sys
from pathlib import Path

import pytest
from sphinx.errors import ConfigError, ExtensionError

from tests.small_book import ADDRESS, Project

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))
import claims_page
import light_pages
import offline_mathjax
import repository
import verified

ROOT = Path(__file__).resolve().parents[1]
HELPERS = {"anatomy"}  # counts words, knows no Sphinx
EXTENSIONS = sorted(path.stem for path in (ROOT / "book" / "_ext").glob("*.py") if path.stem not in HELPERS)


@pytest.mark.parametrize("name", EXTENSIONS)
def test_every_extension_says_that_it_may_run_in_parallel(name):
    class App:
        def __getattr__(self, _):
            return lambda *args, **kwargs: None

    metadata = importlib.import_module(name).setup(App())
    assert metadata["parallel_read_safe"] is True and metadata["parallel_write_safe"] is True


# --- repository ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f'[project.urls]\nrepository = "{ADDRESS}"\n[tool]\nx = 1\n',
        f'[a]\nrepository = "https://wrong.example"\n[project.urls]\nhome = "x"\nrepository="{ADDRESS}/"\n',
    ],
)
def test_address_is_read_from_its_table(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    assert repository.read_address(tmp_path / "pyproject.toml") == ADDRESS


def test_address_of_this_book_is_what_a_toml_reader_finds():
    tomllib = pytest.importorskip("tomllib")
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert repository.read_address(ROOT / "pyproject.toml") == urls["repository"].rstrip("/")


@pytest.mark.parametrize(
    "text", [None, "", "[project]\n", '[project.urls]\n[x]\nrepository = "https://a.b"\n']
)
def test_a_missing_address_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"pyproject.toml: no repository = .* \[project.urls\]"):
        repository.read_address(tmp_path / "pyproject.toml")


def test_address_fills_pages_code_and_buttons(tmp_path):
    project = Project(tmp_path, "repository")
    project.write("index.md", "# A\n\nSee REPOSITORY_URL.\n\n```bash\ngit clone REPOSITORY_URL book\n```\n")
    assert project.build() == []
    text = re.sub(r"<[^>]+>", "", project.page())
    assert f"See {ADDRESS}." in text and f"git clone {ADDRESS} book" in text


def test_source_links_follow_the_host():
    class Config:
        dlp_branch, dlp_repository = "main", "https://github.com/a/b"

    assert repository.source_url(Config, "x.py") == "https://github.com/a/b/blob/main/x.py"
    assert repository.source_url(Config, "x.py", 3, 3).endswith("/x.py#L3")
    Config.dlp_repository = "https://gitlab.com/a/b"
    assert repository.source_url(Config, "x.py", 3, 9) == "https://gitlab.com/a/b/-/blob/main/x.py#L3-L9"


# --- verified -----------------------------------------------------------------------------------------------

PAGE = """# Averages

$$ a = b $$ (eq-ema-one)

$$ c := d $$ (def-ema-two)

As {eq}`eq-ema-one` says.
"""
TESTS = '''"""Tests."""
from verifies import verifies


@verifies("eq-ema-one")
def test_one():
    assert True


import pytest


@pytest.mark.parametrize("n", [1, 2])
@verifies("eq-ema-one", "eq-ema-three")
def test_more(n):
    assert n


def test_other():
    assert verifies("eq-ema-none")
'''


def test_labels_and_lines_are_read_without_importing(tmp_path):
    path = tmp_path / "test_ema.py"
    path.write_text(TESTS)
    found = verified.tests_by_label(path)
    assert found == {
        "eq-ema-one": [("test_one", 5, 7), ("test_more", 13, 16)],
        "eq-ema-three": [("test_more", 13, 16)],
    }
    lines = TESTS.splitlines()
    assert (
        lines[4] == '@verifies("eq-ema-one")' and lines[12].startswith("@pytest") and "assert n" in lines[15]
    )
    assert verified.tests_by_label(tmp_path / "missing.py") == {}


@pytest.fixture
def chapter(tmp_path):
    project = Project(tmp_path, "sphinx.ext.mathjax", "verified")
    project.write("index.md", "# A\n\n```{toctree}\nbook/ema\n```\n")
    project.write("book/ema.md", PAGE)
    return project


def test_a_tested_equation_opens_its_tests_in_place(chapter):
    chapter.write("tests/derivations/test_ema.py", TESTS)
    assert chapter.build() == []
    page = chapter.page("book/ema")
    marks = re.findall(r'<details class="dlp-verified">(.*?)</details>', page, re.S)
    assert len(marks) == 1  # the definition has none
    assert 'aria-label="tested: show the code that checks eq-ema-one"' in marks[0]
    shown = re.sub(r"<[^>]+>", "", marks[0]).replace("&quot;", '"')
    assert '@verifies("eq-ema-one")\ndef test_one():\n    assert True' in shown
    assert '@pytest.mark.parametrize("n", [1, 2])' in shown and "test_other" not in shown
    blob = f"{ADDRESS}/blob/main/tests/derivations/test_ema.py"
    assert re.findall(r'href="([^"]+)"', marks[0]) == [f"{blob}#L5-L7", f"{blob}#L13-L16"]
    box = re.search(r'<div class="dlp-equation.*?</details>', page, re.S)[0]
    target = re.search(r'href="#(equation-eq-ema-one)"', page)[1]
    assert f'id="{target}"' in box and r"\[a = b\]" in box.replace(" ", "").replace(r"\[a=b\]", r"\[a = b\]")


def test_an_untested_claim_is_a_warning_that_names_it(chapter):
    chapter.write("tests/derivations/test_ema.py", TESTS.replace("eq-ema-one", "eq-ema-typo"))
    (warning,) = chapter.build()
    assert (
        "book/ema.md:3" in warning and 'tests/derivations/test_ema.py with @verifies("eq-ema-one")' in warning
    )
    assert "dlp-verified" not in chapter.page("book/ema")


def test_no_test_file_at_all_is_a_warning_too(chapter):
    (warning,) = chapter.build()
    assert "equation eq-ema-one has no test" in warning


def test_a_changed_test_file_makes_its_page_anew(chapter):
    path = chapter.write("tests/derivations/test_ema.py", TESTS)
    chapter.build()
    path.write_text(TESTS.replace("eq-ema-one", "eq-ema-typo"))
    os.utime(path, (os.stat(path).st_atime + 10, os.stat(path).st_mtime + 10))
    assert len(chapter.build()) == 1


# --- claims -------------------------------------------------------------------------------------------------


def notebook(claims, cost=None, title="The lab"):
    outputs = [
        {
            "output_type": "display_data",
            "data": {"text/plain": f"✓ {claim['name']}"},
            "metadata": {"dlp_claim": claim},
        }
        for claim in claims
    ]
    code = {"cell_type": "code", "source": "1", "metadata": {}, "execution_count": 1, "outputs": outputs}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    if cost:
        metadata["dlp"] = cost
    head = {"cell_type": "markdown", "source": f"# {title}", "metadata": {}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [head, code]})


CLAIMS = [
    {"name": "accuracy", "value": 0.9996, "at_least": 0.95},
    {"name": "error", "value": 3.21e-12, "at_most": 1e-10},
    {"name": "share", "value": 0.5238, "equals": 0.524, "tol": 0.01},
]
COST = {
    "seconds": 41.4,
    "peak_mb": 1234.5,
    "machine": "Some CPU",
    "date": "2026-01-02",
    "profile": "cpu",
}
INDEX = """# A

```{{toctree}}
notebooks/ema
notebooks/other
```

{body}
"""


@pytest.fixture
def lab(tmp_path):
    project = Project(tmp_path, "claims_page")
    project.write("notebooks/ema.ipynb", notebook(CLAIMS, COST))
    project.write("notebooks/other.ipynb", notebook([], None, "Unmeasured"))
    return project


def cells(page):
    table = re.search(r"<table.*?</table>", page, re.S)[0]
    rows = re.findall(r"<tr.*?</tr>", table, re.S)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.S)]
        for row in rows
    ]


def test_claims_table_shows_bound_and_value_under_their_notebook(lab):
    lab.write("index.md", INDEX.format(body="```{claims-table}\n```"))
    assert lab.build() == []
    assert cells(lab.page()) == [
        ["Claim", "Holds when", "Measured"],
        ["The lab"],
        ["accuracy", "≥ 0.95", "0.9996"],
        ["error", "≤ 10⁻¹⁰", "3.2 × 10⁻¹²"],
        ["share", "= 0.524 ± 0.01", "0.524"],
    ]
    assert 'href="notebooks/ema.html"' in re.search(r"<table.*?</table>", lab.page(), re.S)[0]


def test_cost_table_lists_measured_notebooks(lab):
    lab.write("index.md", INDEX.format(body="```{cost-table}\n```"))
    assert lab.build() == []
    assert cells(lab.page())[1:] == [["The lab", "41 s", "1.2 GB"]]
    # The machine is said once, below the table, whatever the number of rows.
    assert lab.page().count("Some CPU") == 1
    assert "Measured at the cpu profile on Some CPU, 2026-01-02." in lab.page()


def test_cost_table_says_which_run_was_on_which_machine(lab):
    other = {**COST, "machine": "Other CPU", "date": "2026-01-05"}
    lab.write("notebooks/other.ipynb", notebook([], other, "Other"))
    lab.write("index.md", INDEX.format(body="```{cost-table}\n```"))
    lab.build()
    assert "ema: measured at the cpu profile on Some CPU" in lab.page()
    assert "other: measured at the cpu profile on Other CPU, 2026-01-05." in lab.page()


def test_claims_table_has_words_and_leads_to_the_cell(lab):
    lab.write("book/claims.yml", 'ema:\n  accuracy: "Share of answers that are right"\n')
    lab.write("index.md", INDEX.format(body="```{claims-table}\n```"))
    assert lab.build() == []
    assert cells(lab.page())[2] == ["Share of answers that are right accuracy", "≥ 0.95", "0.9996"]
    assert 'href="notebooks/ema.html#claim-accuracy"' in lab.page()


def test_tables_follow_a_notebook_that_comes_later(lab):
    lab.write("index.md", INDEX.format(body="```{claims-table}\n```"))
    lab.build()
    lab.write("notebooks/other.ipynb", notebook([{"name": "late", "value": 2, "at_least": 1}], None, "Late"))
    lab.build()
    assert ["late", "≥ 1", "2"] in cells(lab.page())


def test_data_table_lists_every_data_set(lab):
    from dlp_utils.data import datasets

    lab.write("index.md", INDEX.format(body="```{data-table}\n```"))
    assert lab.build() == []
    assert [row[0] for row in cells(lab.page())[1:]] == [entry.name for entry in datasets()]


GPU_COLUMNS = (
    "part name precision status parameters steps steps_per_second memory_mb estimated_mb tflops share"
)
GPU_COLUMNS += " first_loss last_loss seconds seed machine torch date"
HERE = ',5.1,0,"Some Card, driver 1.2",2.11.0,2026-01-02\n'  # seconds and after
GPU_ROWS = GPU_COLUMNS.replace(" ", ",") + "\n"
GPU_ROWS += f"card,matrix,bf16,ok,,,,,,798.2,,,{HERE}"
GPU_ROWS += f"model,ema,bf16,ok,118807299,100,24.567,8000,6309.4,73.2,0.0917,0.78793,0.44066{HERE}"
GPU_ROWS += f"model,other,fp32,ok,8454,100,300,,65.4,1.3,,1.5,0.5{HERE}"
GPU_ROWS += f'model,other,fp16,"OutOfMemoryError: no room",8454,,,,,,,,{HERE}'
GPU_ROWS += f"resume,bf16,bf16,ok,,36,,,,,,,{HERE}"
GPU_ROWS += f"notebook,ema,,ok,,,,,,,,,{HERE}"
GPU_ROWS += f'notebook,other,,"RuntimeError: code cell 3: no",,,,,,,,,{HERE}'


def test_gpu_table_says_so_before_the_first_run_and_shows_the_rows_after_it(lab):
    lab.write("index.md", INDEX.format(body="```{gpu-table}\n```"))
    assert lab.build() == []
    assert "Not yet measured on a GPU." in lab.page() and "<table" not in lab.page()
    lab.write("notebooks/studies/gpu.csv", GPU_ROWS)
    lab.build()
    assert cells(lab.page())[1:] == [
        ["The lab", "bf16", "119 M", "24.6", "8.4 GB / 6.6 GB", "9.2%", "0.788 → 0.441"],
        ["Unmeasured", "fp32", "8.45 k", "300", "– / 69 MB", "–", "1.5 → 0.5"],
        ["Unmeasured", "fp16", "failed: OutOfMemoryError: no room", *"––––"],
    ]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", lab.page()))
    assert text.count("Some Card, driver 1.2, with PyTorch 2.11.0, on 2026-01-02") == 1
    assert "8192 × 8192 matrices there: 798 in bf16." in text and "never stopped, in bf16." in text
    assert "smoke scale: 1 of 2. Failed: notebook other (RuntimeError: code cell 3: no)." in text


def test_gpu_table_of_a_run_that_was_cut_off_shows_what_there_is(lab):
    lab.write("index.md", INDEX.format(body="```{gpu-table}\n```"))
    lab.write("notebooks/studies/gpu.csv", "".join(GPU_ROWS.splitlines(keepends=True)[:3]))
    assert lab.build() == []
    assert len(cells(lab.page())) == 2 and "never stopped" not in lab.page()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.804, "80%"), (0.0296, "3.0%"), (0.0996, "10%"), (0.989, "99%"), (1, "100%"), (0, "0.0%")],
)
def test_a_share_as_a_percentage(share, text):
    assert claims_page.percentage(share) == text


def test_roles_quote_and_follow_the_notebook(lab):
    lab.write("index.md", INDEX.format(body="It is {claim}`ema/accuracy` in {cost}`ema`."))
    assert lab.build() == []
    text = re.sub(r"<[^>]+>", "", lab.page())
    assert "It is 0.9996 in 41 s, 1.2 GB." in text
    lab.write("index.md", INDEX.format(body="It is {claim}`ema/accuracy %`."))
    lab.build()
    assert "It is 100%." in re.sub(r"<[^>]+>", "", lab.page())
    lab.write("index.md", INDEX.format(body="It is {claim}`ema/accuracy` in {cost}`ema`."))
    changed = [{**CLAIMS[0], "value": 0.97}, *CLAIMS[1:]]
    path = lab.write("notebooks/ema.ipynb", notebook(changed, COST))
    os.utime(path, (os.stat(path).st_atime + 10, os.stat(path).st_mtime + 10))
    lab.build()
    assert "It is 0.97 in" in re.sub(r"<[^>]+>", "", lab.page())


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("{claim}`ema/nothing`", "claim 'ema/nothing': the notebook claims accuracy, error, share"),
        ("{claim}`emo/accuracy`", "claim 'emo/accuracy': there is no notebook emo; name it as stem/claim"),
        ("{claim}`other/accuracy`", "the notebook claims nothing"),
        ("{cost}`other`", "cost 'other': the notebook has not been measured"),
        ("{cost}`emo`", "cost 'emo': there is no such notebook"),
    ],
)
def test_an_unknown_name_is_a_warning(lab, text, warning):
    lab.write("index.md", INDEX.format(body=text))
    (line,) = lab.build()
    assert warning in line and "index.md:8" in line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.0, "0"),
        (-0.998, "−0.998"),
        (0.52381, "0.524"),
        (0.99996, "0.99996"),
        (12.345, "12.3"),
        (123.456, "123.5"),
        (99.97, "99.97"),
        (3217.4, "3217"),
        (2.5e7, "2.5 × 10⁷"),
        (1e-7, "10⁻⁷"),
        (-4.2e-9, "−4.2 × 10⁻⁹"),
    ],
)
def test_numbers_are_rounded_for_readers(value, text):
    assert claims_page.number(value) == text


def test_time_and_memory_have_units_that_fit():
    assert [claims_page.seconds(s) for s in (0.4, 90, 119.4, 130, 3600)] == [
        "0 s",
        "90 s",
        "119 s",
        "2 min",
        "60 min",
    ]
    assert [claims_page.megabytes(m) for m in (42.1, 999, 1038)] == ["42 MB", "999 MB", "1.0 GB"]


# --- MathJax and weight -------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    project = Project(
        tmp_path, "sphinx_thebe", "offline_mathjax", "light_pages", html_theme="sphinx_book_theme"
    )
    project.write("index.md", "# A\n\nNo formula.\n\n```{toctree}\nformula\n```\n")
    project.write("formula.md", "# B\n\n$$ a = b $$\n")
    assert project.build() == []
    return project


def test_mathjax_comes_along_and_only_where_formulas_are(site):
    folder = site.folder / "_out" / "_static" / "mathjax"
    assert len(list(folder.glob("output/chtml/fonts/woff-v2/*.woff"))) >= 20
    for part in offline_mathjax.PARTS:
        assert (folder / part).exists()
    for component in offline_mathjax.LOAD:
        assert (folder / f"{component}.js").is_file()
    assert 'src="_static/mathjax/startup.js' in site.page("formula")
    assert "mathjax/" not in site.page("index") and "window.MathJax" not in site.page("index")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 3e6


def test_pages_name_no_address_to_load_from(site):
    for name in ("index", "formula"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]*)"', site.page(name)
        )
        assert loaded == [] and "thebe" not in site.page(name)


def test_the_icon_script_is_replaced(site):
    static = site.folder / "_out" / "_static"
    scripts = [*static.glob("scripts/fontawesome.js"), *static.glob("vendor/fontawesome/**/js/all.min.js")]
    assert len(scripts) >= 1
    assert all(path.read_text() == light_pages.STUB for path in scripts)


def test_a_missing_wheel_is_named_before_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(offline_mathjax, "WHEEL", "no-such-wheel")
    project = Project(tmp_path, "offline_mathjax")
    project.write("index.md", "# A\n")
    with pytest.raises(ExtensionError, match="no-such-wheel is not installed; run pip install no-such-wheel"):
        project.build()
    assert not (tmp_path / "_out" / "index.html").exists()


def test_a_wheel_without_its_files_is_named(monkeypatch):
    monkeypatch.setattr(offline_mathjax, "PARTS", ("startup.js", "input/nothing.js"))
    with pytest.raises(ExtensionError, match=r"lacks input/nothing\.js"):
        offline_mathjax.mathjax_folder()

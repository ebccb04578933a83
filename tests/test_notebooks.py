"""Notebook hygiene: what a reader, Colab and a code review expect of every stored notebook."""

import ast
import builtins
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from lesson import Watch, bound_names, lesson_and_rest, parsed, used_names  # noqa: E402

import notebooks as tool  # noqa: E402

STEMS = tool.stems()
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|content|mnt|private)/\w")
MYST = re.compile(r"^\s*(`{3,}|:{3,})\{\w+|\{[\w:]+\}`", re.M)
WIDTH = 79  # characters in a column of the page
ZOO = re.compile(r"^### Zoo \d+: ", re.M)
HEADING = re.compile(r"^#{2,3} ", re.M)
DETAILS = re.compile(r"<details>.*?</details>", re.S)
WHERE = re.compile(r"<details>\n<summary>Where is it\?</summary>\n\n(?!</details>).+?\n\n</details>", re.S)
SAYS = re.compile(r"\bthe bug (?:is |sits |lies )?(?:in|on|here)\b", re.I)
COMMENTS = re.compile(r"#[^\n\"']*\b(?:bug|wrong|mistake)\b", re.I)
PLAIN = re.compile(r"dlp\.(?:claim|profile)|np\..+|(?!(?:dlp|torch|nn|F)\.).+\.\w+", re.S)
TRAINING = re.compile(r"(?:^|[._])(?:fit|train|backward)(?:$|_)")


def calls_of(tree):
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def is_plumbing(source):
    """Whether a cell only draws or only records claims: it must be folded.

    It draws, and neither defines nor trains anything; or it makes claims, and calls nothing but built-in
    functions, NumPy and methods of what is there already.
    """
    tree = parsed(source)
    if any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in ast.walk(tree)):
        return False
    calls = calls_of(tree)
    if {"plt.show", "plt.subplots", "plt.figure"} & set(calls):
        return not any(TRAINING.search(name) for name in calls)
    builtin = set(dir(builtins))
    return "dlp.claim" in calls and all(name in builtin or PLAIN.fullmatch(name) for name in calls)


def text_of(output):
    """The text that a stored output shows; a picture and a page of its own show none."""
    data = output.get("data", {})
    shown = output.get("text", data.get("text/plain", ""))
    return "" if {"image/png", "text/html"} & set(data) else "".join(shown)


def reading_problems(notebook):
    """What keeps the reader of a page, of JupyterLab or of Colab from reading well."""
    cells, said = notebook["cells"], []
    text = ["".join(cell["source"]) for cell in cells]
    lesson, rest = lesson_and_rest(cells)
    for i in sorted(lesson + rest):
        outputs = [text_of(output) for output in cells[i]["outputs"]]
        for what, lines in (("code", text[i]), ("output", "\n".join(outputs))):
            wide = [line for line in lines.split("\n") if len(line) > WIDTH and "://" not in line]
            if wide:
                said.append(f"cell {i} has {what} wider than {WIDTH} characters: {wide[0]}")
        for output in cells[i]["outputs"]:
            table = "".join(output.get("data", {}).get("text/html", ""))
            columns = len(re.findall("<th>", table.partition("</thead>")[0])) if "<table" in table else 0
            if columns > 8:
                said.append(f"cell {i} shows a table of {columns} columns; 8 at most")
        title = tool.title_of(text[i])
        if title and not 3 <= len(title.split()) <= 8:
            said.append(f"cell {i} has a title of {len(title.split())} words, not 3 to 8: {title}")
        if not title and is_plumbing(text[i]):
            said.append(
                f"cell {i} only draws or only claims; begin it with `# @title …`, so that it is folded"
            )
    taken = set().union(*(bound_names(text[i]) for i in lesson))
    for i in rest:
        again = sorted(bound_names(text[i], imports=False) & taken)
        if again:
            said.append(f"cell {i}, of zoo or exercises, binds names of the lesson anew: {', '.join(again)}")
    return said + zoo_problems(cells, text)


def zoo_problems(cells, text):
    """Specimens that give their bug away, and those without a fold that says where it is."""
    said, name, section = [], None, ""

    def close():
        if name and len(WHERE.findall(section)) != 1:
            said.append(f"{name!r} needs one fold <details> with the summary 'Where is it?'")

    for i, cell in enumerate(cells):
        markdown = cell["cell_type"] == "markdown"
        if markdown and HEADING.search(text[i]):
            close()
            heading = ZOO.search(text[i])
            name, section = (text[i][heading.start() :].split("\n")[0] if heading else None), ""
        section += text[i] + "\n" if markdown else ""
        open_text = DETAILS.sub("", text[i])
        found = SAYS.search(open_text) or (name and not markdown and COMMENTS.search(open_text))
        if found:
            said.append(f"cell {i} gives the bug away: {found[0]}")
    close()
    return said


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
    return said + reading_problems(notebook)


@pytest.mark.parametrize("stem", STEMS)
def test_notebook_is_clean(stem):
    notebook = tool.read(stem)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    expected = tool.title_cell(stem, title, notebook.metadata.get("dlp"))
    assert problems(notebook, stem, expected, tool.setup_cell()) == []


@pytest.mark.parametrize("stem", STEMS)
def test_cells_are_folded_as_the_tool_folds_them(stem):
    stored, fresh = tool.read(stem), tool.read(stem)
    tool.fold(fresh)
    assert [cell.metadata for cell in stored.cells] == [cell.metadata for cell in fresh.cells], (
        f"marks and folds differ: python tools/notebooks.py stamp {stem}"
    )


@pytest.mark.parametrize("stem", STEMS)
def test_figures_have_numbers_and_words(stem):
    stored, fresh = tool.read(stem), tool.read(stem)
    tool.describe(fresh)
    assert stored == fresh, f"a figure has no words, or not these: python tools/notebooks.py stamp {stem}"
    for i, cell in enumerate(stored.cells):
        if tool.shows(cell) == "plot":
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 2, (
                f"the figure of cell {i} says only {alt!r}: give it a title or a caption"
            )


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


NUMBERED = ("eeg_classification", "segmentation", "video_generation")  # every figure has a caption
DESCRIBED = (*NUMBERED, "diffusion", "inpainting")  # every plot has a sentence that a person wrote


def figure_problems(notebook, captions=True):
    """Plots without a sentence, players without words of their own, and figures without the next numbered caption."""
    said, number = [], 0
    for i, cell in enumerate(notebook.cells):
        what, number = tool.shows(cell), number + bool(tool.shows(cell))
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        pages = ["".join(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])]
        if what == "plot" and (len(alt.split()) < 10 or not alt.endswith(".")):
            said.append(f"the figure of cell {i} has no alternative text: what does it show?")
        if what == "player" and not re.search(r'<img [^>]*alt="[^"]{12,}"', "".join(pages)):
            said.append(f"the player of cell {i} has no alternative text: give `draw` a docstring")
        below, _ = tool.caption(notebook.cells, i) if what else (None, None)
        if what and captions and not (below and below.source.startswith(f"*Figure {number}. ")):
            said.append(f"the figure of cell {i} has no caption that begins `*Figure {number}. `")
    return said


@pytest.mark.parametrize("stem", DESCRIBED)
def test_plots_have_sentences_that_a_person_wrote(stem):
    notebook = tool.read(stem)
    assert figure_problems(notebook, captions=stem in NUMBERED) == []
    texts = [cell.metadata.get("mystnb", {}).get("image", {}).get("alt") for cell in notebook.cells]
    texts = [text for text in texts if text]
    assert len(set(texts)) == len(texts) >= 10  # no text serves twice


def test_figures_without_either_are_found():
    alt = {"mystnb": {"image": {"alt": "Two curves over time, one rises, and the other one falls below it."}}}

    def lab(*parts):
        new, plot = nbformat.v4, nbformat.v4.new_output("display_data", {"image/png": "x"})
        return new.new_notebook(
            cells=[
                new.new_markdown_cell(part)
                if isinstance(part, str)
                else new.new_code_cell("draw()", metadata=part, outputs=[plot])
                for part in parts
            ]
        )

    good = lab(alt, "*Figure 1. Real.*", "text", alt, {}, "*Figure 2. Generated.*")
    good.cells[4].outputs = []  # a cell that shows nothing
    assert figure_problems(good) == []
    assert "cell 0 has no alternative text" in figure_problems(lab({}, "*Figure 1. Real.*"))[0]
    assert "begins `*Figure 2. `" in figure_problems(lab(alt, "*Figure 1. A.*", alt, "*Figure 1. B.*"))[0]
    assert "begins `*Figure 1. `" in figure_problems(lab(alt, alt, "*Figure 2. B.*"))[0]
    assert figure_problems(lab(alt, alt, "*Figure 2. B.*"), captions=False) == []
    planted = lab(alt, "*Figure 1. A.*")
    planted.cells[0].outputs = [nbformat.v4.new_output("display_data", {"text/html": '<img src="x" alt="">'})]
    assert "player of cell 0" in figure_problems(planted)[0]


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
        if "dlp.claim" in calls_of(parsed(cell.source)):
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


def with_cells(*sources):
    """GOOD with more cells: code, or Markdown where the text begins with `#` and a blank or holds a fold."""
    notebook = json.loads(json.dumps(GOOD))
    for source in sources:
        markdown = source.startswith(("## ", "### ", "<"))
        cell = {"cell_type": "markdown" if markdown else "code", "source": source}
        notebook["cells"].append(cell if markdown else cell | {"execution_count": 1, "outputs": []})
    return notebook


def shows(text):
    return [{"output_type": "stream", "name": "stdout", "text": text}]


WHERE_FOLD = "<details>\n<summary>Where is it?</summary>\n\nThe second line. What does it do?\n\n</details>"
DRAWS = "fig, ax = plt.subplots()\nax.plot(x, x**2)\nplt.show()"
CLAIMS = "# NBVAL_CHECK_OUTPUT\ngap = np.mean(a) - max(b.mean(), 0)\ndlp.claim('gap', gap, at_least=0)"


@pytest.mark.parametrize(
    "notebook",
    [
        with_cells("x = '" + 73 * "y" + "'"),
        with_cells("%pip install -q 'x @ git+https://" + 80 * "y" + "'"),
        with_cells("# @title Squares of all numbers\n" + DRAWS, "# @title The gap, claimed\n" + CLAIMS),
        with_cells("def draw(x):\n    plt.show()", "history = dlp.fit(model)\n" + DRAWS),
        with_cells("dlp.claim('two', square(2) + nn.Linear(1, 2)(x), equals=4)"),
        with_cells("x = 1", "## The bug zoo", "### Zoo 1: x", "y = [x for x in 'ab']  # a loop", WHERE_FOLD),
        with_cells("import time", "## Exercises", "import time", "dlp.check('a', lambda x=1: x)"),
        with_cells("wrong = 1  # not the bug", "## Exercises", "def f():\n    wrong = 2"),
    ],
)
def test_what_reads_well_passes(notebook):
    assert reading_problems(notebook) == []


@pytest.mark.parametrize(
    ("notebook", "complaint"),
    [
        (with_cells("x = '" + 74 * "y" + "'"), "has code wider than 79"),
        (changed(outputs=shows("a\n" + 80 * "b")), "has output wider than 79"),
        (changed(outputs=[{"data": {"text/plain": 80 * "b"}}]), "has output wider than 79"),
        (changed(outputs=[{"data": {"text/html": "<table><thead>" + 9 * "<th>" + "</thead>"}}]), "9 columns"),
        (with_cells(DRAWS), "is folded"),
        (with_cells(CLAIMS), "is folded"),
        (with_cells("x = 1\n# @title Squares of all numbers\n" + DRAWS), "is folded"),
        (with_cells("# @title Squares\n" + DRAWS), "a title of 1 words"),
        (with_cells("x = 1", "## The bug zoo", "x = 2"), "names of the lesson anew: x"),
        (with_cells("def x(): ...", "## Exercises", "for x in y: pass"), "names of the lesson anew: x"),
        (with_cells("import x", "## Exercises", "with y as (x, z): pass"), "names of the lesson anew: x"),
        (with_cells("x = 1", "def x(): ...\ndlp.check('a', x)"), "names of the lesson anew: x"),
        (with_cells("#| export\nx = 1", "## Exercises", "class x: ..."), "names of the lesson anew: x"),
        (
            with_cells("## The bug zoo\n\n### Zoo 1: x", "y = 1", "## Exercises"),
            "'### Zoo 1: x' needs one fold",
        ),
        (with_cells("### Zoo 1: x\n\n" + WHERE_FOLD, "### Zoo 2: y"), "'### Zoo 2: y' needs one fold"),
        (with_cells("### Zoo 1: x\n\n" + 2 * WHERE_FOLD), "'### Zoo 1: x' needs one fold"),
        (with_cells("y = 1  # the bug is on this line"), "gives the bug away"),
        (with_cells("## The bug zoo\n\nThe bug is in the loss."), "gives the bug away"),
        (with_cells("### Zoo 1: x\n\n" + WHERE_FOLD, "y = 1  # wrong"), "gives the bug away"),
    ],
)
def test_what_reads_badly_is_found(notebook, complaint):
    assert any(complaint in sentence for sentence in reading_problems(notebook))


def test_lesson_and_rest_are_told_apart():
    cells = with_cells("dlp.check('a', x)", "y = 1", "## The bug zoo", "#| export\nz = 1", "w = 1")["cells"]
    assert lesson_and_rest(cells) == ([1, 3, 5], [2, 6])
    both = "a = b = 1\n(c, *d), e[0] = f\nimport g.h as i, j.k\nfor m in n: o = 1\n(p := 1)\nwith q as r: s.t = 1"
    assert bound_names(both) == set("abcdijmopr")


def test_names_that_a_cell_uses_are_those_outside_of_functions():
    source = "%pip x\na = [b for b in c]\ndef d(e): return f(e)\nclass g(h): i = j\nexport = lambda k: k + m"
    assert used_names(source) - {"pip"} == {*"acdfghjm", "export"}
    nested = "x = [a + b for a in c if a in [d for d in a]]\ny = {k: v for k, v in z(lambda q: q + w)}"
    assert used_names(nested) == set(
        "xbcyzw"
    )  # from Python 3.12 on, too: there they stand in the cell's table


def test_stale_title_and_setup_are_found():
    assert any("title cell" in said for said in problems(GOOD, "x", title_cell="# Other"))
    assert any("set-up cell" in said for said in problems(GOOD, "x", setup_cell="import x"))


CLEAN = """\
import numpy as np
import torch
import matplotlib.pyplot as plt
from torch import nn
size, table = 3, np.zeros(3)
nested = {"a": [torch.zeros(3)]}
model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
twin, third = (nn.Linear(2, 2) for _ in range(2))
noise = torch.Generator()
def double(x, table=table): return sum([x, x])
class Pair:
    both = 2
    def first(self): return 1
pair = Pair()
# %%
## The bug zoo
# %%
other, rows = table + size, [nested["a"][0] + 1]
torch.manual_seed(3), torch.randn(2, generator=noise), np.random.rand()
with torch.no_grad(): model.eval(); model(torch.ones(4, 2)); model.train()
def g(size=7): return size
"""
PLANTED = {  # a cell of the zoo, and what it is told to change
    "size = 4": "size",
    "for size in range(3): pass": "size",
    "table[1] = 5": "double, table",
    "nested['a'][0][2] = 1": "nested",
    "del pair": "pair",
    "try: 1 / 0\nexcept ZeroDivisionError as noise: pass": "noise",
    "sum = 3": "sum",
    "with torch.no_grad(): twin.weight.mul_(2)": "twin",
    "model(torch.ones(4, 2)).sum().detach()": "model",  # in training mode: the statistics move
    "third(torch.ones(4, 2)).sum().backward()": "third",
    "model.eval()": "model",
    "def double(x, table=table): return 3 * x": "double",
    "Pair.both = 3": "Pair",
    "nn.functional.relu = nn.ReLU": "",  # not a name of the lesson's
    "nn.Linear = nn.Identity": "nn",
    "plt.rcParams['font.size'] = 3": "plt.rcParams",
    "torch.set_grad_enabled(False)": "torch.set_grad_enabled",
    "np.seterr(all='ignore')": "np.seterr",
}


def run_as_a_lab(folder, cells, ini="", *options):
    """Let nbval run cells under the labs' conftest.py, in a copy of the two folders that it needs."""
    for name in ("notebooks/conftest.py", "tools/lesson.py"):
        (folder / name).parent.mkdir()
        shutil.copy(ROOT / name, folder / name)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / "planted.ipynb")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax"]
    # -rN: no summary at the end. It repeats what a cell said, cut off on a terminal and whole where CI is set.
    command += ["--nbval-kernel-name=python3", "-rN", *options, "notebooks/planted.ipynb"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_a_table_of_the_lesson_stays_the_same_table():
    # Its columns come out as new arrays each time, whose ids are free again at once.
    rows = {name: pd.DataFrame({"a": [k, 1.0], "b": [0.5, k]}).mean() for k, name in enumerate("uvwxyz")}
    watch, waste = Watch(["rows"], {"rows": rows}), []
    watch.changed()
    for k in range(300):
        waste = [np.zeros(n) for n in range(k % 7)] + [waste[-1] if waste else None]
        assert watch.changed() == []
    rows["y"] = rows["y"] + 1
    assert watch.changed() == ["rows"]


@pytest.mark.slow
def test_a_zoo_that_changes_the_lesson_is_found(tmp_path):
    """One notebook, run as nbval runs the labs: a zoo that is well, then one planted change a cell."""
    first, heading, well = CLEAN.rstrip().split("\n# %%\n")
    new = nbformat.v4
    cells = [new.new_code_cell(first), new.new_markdown_cell(heading), new.new_code_cell(well)]
    cells += [new.new_code_cell(source) for source in PLANTED]
    run = run_as_a_lab(tmp_path, cells)
    said = dict(re.findall(r"Cell (\d+), of zoo or exercises, changes .*again: (.+)", run.stdout))
    expected = {str(i): names for i, names in enumerate(PLANTED.values(), 2) if names}
    assert said == expected, run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("profile, broken", [("cpu", ["1"]), ("smoke", ["1", "2"])])
def test_a_lesson_that_does_not_run_twice_is_found(tmp_path, monkeypatch, profile, broken):
    monkeypatch.setenv("DLP_PROFILE", profile)
    sources = [
        "table, training = {'a': {'b': 1}}, {'a': {'b': 1}}",
        "#| export\ntable = table['a']",
        "training = training['a']",  # is run twice at the smoke profile only
        "again = dict(table)",
        "# @title A picture\ntraining = training.get('b')",
    ]
    run = run_as_a_lab(tmp_path, [nbformat.v4.new_code_cell(source) for source in sources])
    (said,) = re.findall(r"after the last cell these of the lesson do not run again: (.+)$", run.stdout, re.M)
    assert re.findall(r"Cell (\d), \w+Error", said) == broken and "Cell 1, KeyError: 'a'" in said


@pytest.mark.slow
@pytest.mark.parametrize("limit, ends", [("1800", "1 passed"), ("2", "1 failed")])
def test_a_slow_cell_is_limited_by_nbval_and_not_by_pytest(tmp_path, limit, ends):
    """A cell of 4 seconds where pytest's limit is 1 and nbval's is `limit`."""
    cells = [nbformat.v4.new_code_cell("import time; time.sleep(4)")]
    run = run_as_a_lab(tmp_path, cells, "timeout = 1\n", f"--nbval-cell-timeout={limit}")
    assert ends in run.stdout and "Timeout (>1" not in run.stdout + run.stderr, run.stdout


def test_a_cell_has_half_an_hour():
    assert "--nbval-cell-timeout=1800" in (ROOT / "Makefile").read_text(encoding="utf-8")

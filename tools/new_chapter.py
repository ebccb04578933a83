"""Lay out the files of a new chapter: the same five that every chapter has, small but whole.

Called by `make chapter STEM=…`. What it writes passes the tests as soon as the notebook has been run and the
two pages are listed in _toc.yml, so the next author starts from green.
"""

import re
import sys
from pathlib import Path

import nbformat

import notebooks

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "derivations"))
import printed  # noqa: E402

PAGE = """# {title}

Ask the chapter's question here, in one paragraph, and show a picture of the answer. The
[lab](../notebooks/{stem}.ipynb) runs what this page derives.

```{{objectives}}
- write the slope of a square (`{label}-first`).

**Needs** [gradient descent](backpropagation.md#gradient-descent-and-the-learning-rate). Link to sections, not to chapters.
```

## In ten minutes

The whole method once, end to end, in at most 600 words: its one picture, its boxed formula, its algorithm. Who stops
here can use it.

```{{figure}} _static/figures/chapters.svg
:name: fig-{label}-method
:alt: Say in a sentence what the picture shows, for those who do not see it.

The method in one picture, drawn by a script in `book/figures`. Until there is one, the map of the chapters stands here.
```

```{{prf:algorithm}} The square
:label: alg-{label}

**Input** a number $x$

1. multiply $x$ by itself
2. **Output** the product
```

## Binomial expansion: what a small step adds

The core, at most 4,000 words. Headings carry the field's name.

Let $x$ be a number. Define each symbol where it first appears:

$$ s(x) = x^2 . $$ (def-{label}-square)

A claim follows from what stands before it, by a rule that you name. By the distributive law,

$$ s(x + h) = s(x) + 2xh + h^2 . $$ (eq-{label}-expanded)

````{{deeper}} What a second reading wants
Nothing in the core depends on it. Formulas here are numbered and tested like all others.
````

## Takeaways

- Four to seven sentences.
- Each one can stand alone.
- A reader who forgets all else keeps these.
- The last one says where it goes from here.

## From symbols to code

| Symbol | Code in the lab | Shape |
|---|---|---|
| $s$ | `square` | as its argument |

## Numerical pitfalls

- Where does a straightforward program of these formulas overflow, cancel or divide by zero?

## Exercises

From the easiest to the hardest, in the order of the lab.

```{{exercise}} ★ A first exercise
:label: ex-{label}-first
*Code.* Write the derivative of $s$.
```

````{{solution}} ex-{label}-first
:class: dropdown
The limit of $(s(x+h)-s(x))/h = 2x + h$ for $h \\to 0$, by {{eq}}`eq-{label}-expanded`.

```python
def square_slope(x):
    return 2 * x
```
````

## Further reading

Cite with the `cite` role; the entries stand in `references.bib`. Who had it first?
"""

CHECKS = '''"""What `dlp.check` asks of the exercises of the chapter {title}."""

from dlp_utils.exercises import exercise


def _cases(rng):
    yield (1.0,)
    yield (float(rng.normal()),)


@exercise(
    "{label}-first",
    _cases,
    mistakes=[
        (lambda x: x * x, "That is the function. Its slope is wanted."),
        (lambda x: x, "The power rule has a factor 2 in front."),
    ],
)
def square_slope(x):
    return 2 * x
'''

DERIVATIONS = '''"""Each numbered claim of book/{stem}.md, checked."""

import sympy as sp
from verifies import verifies


@verifies("eq-{label}-expanded")
def test_expanded_square():
    x, h = sp.symbols("x h")
    assert sp.expand((x + h) ** 2 - (x**2 + 2 * x * h + h**2)) == 0
'''

WRONG = '''"""The exercises of the chapter {title}: wrong answers that readers give, and the hint each must get."""

# id: [(wrong answer, part of the hint that it must get)]
WRONG = {{
    "{label}-first": [
        (lambda x: x**2, "Its slope is wanted"),
        (lambda x: x, "factor 2"),
    ],
}}
'''

MODEL_CELL = '''#| export
def square(x):
    """Square of x. Source: book/{stem}.md, def-{label}-square."""
    return x * x'''

STUB_CELL = """# Exercise {label}-first. Return the derivative of `square` at x.
def square_slope(x):
    # your lines in place of the dots
    ...


dlp.check("{label}-first", square_slope)"""

CELLS = (
    ("markdown", "# {title}: the lab"),
    ("markdown", "One paragraph: what you build here, and what you will see.\n\n## Set-up"),
    ("code", "SETUP"),
    ("markdown", "## The short way\n\nAt most 60 cells: data, model, training, the result beside a baseline.\n\n"
                 "### The model\n\nThe formula above the code: $s(x) = x^2$."),
    ("code", MODEL_CELL),
    ("markdown", "**Predict.** A question that you answer before you run the next cell: what is the square of three?"),
    ("code", '# @title Record: the square of three\n# NBVAL_CHECK_OUTPUT\n'
             'dlp.claim("square-of-three", square(3), equals=9)'),
    ("markdown", "Nine: the sentence after the cell takes the question up.\n\n## Going further\n\n"
                 "Ablations, each answering one question.\n\n## Exercises\n\n**★ A first exercise** (code). "
                 "Return the derivative of the square."),
    ("code", STUB_CELL),
    ("markdown", "## Where next\n\nName the next chapter and the question that this one leaves open."),
)  # fmt: skip


def lay_out(stem, root=ROOT):
    """Write the files of chapter `stem` below `root`; refuse a bad stem, and one whose files are there already."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise SystemExit(f"a stem has small letters, digits and underscores, like my_topic; got {stem!r}")
    words = {"stem": stem, "label": stem.replace("_", "-"), "title": stem.replace("_", " ").capitalize()}
    files = {
        f"book/{stem}.md": PAGE,
        f"dlp_utils/checks/{stem}.py": CHECKS,
        f"tests/derivations/test_{stem}.py": DERIVATIONS,
        f"tests/exercises/test_{stem}.py": WRONG,
    }
    notebook_path = Path(root) / "notebooks" / f"{stem}.ipynb"
    there = [name for name in files if (Path(root) / name).exists()] + [
        notebook_path.name
    ] * notebook_path.exists()
    if there:
        raise SystemExit(f"chapter {stem!r} is there already: {', '.join(there)}")
    for name, text in files.items():
        (Path(root) / name).write_text(text.format(**words), encoding="utf-8")
    stamps = Path(root) / "tests" / "derivations" / "printed.json"  # the template's formula was compared
    formulas = printed.formulas(PAGE.format(**words))
    new = {label: printed.stamp_of(latex) for label, latex in formulas.items()}
    printed.write_stamps({**printed.read_stamps(stamps), **new}, stamps)
    cells = []
    for index, (kind, text) in enumerate(CELLS):
        source = notebooks.setup_cell() if text == "SETUP" else text.format(**words)
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        cells.append(make(source, id=f"{words['label']}-{index:03d}"))
    cells[0]["source"] = notebooks.title_cell(stem, f"{words['title']}: the lab", None)
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNELSPEC})
    notebooks.fold(notebook)
    nbformat.write(notebook, notebook_path)
    print(f"Chapter {stem!r} is laid out: {', '.join(files)}, notebooks/{stem}.ipynb.")
    print(
        f"Next: list book/{stem} and notebooks/{stem} in _toc.yml, then make notebooks STEM={stem} and make check."
    )

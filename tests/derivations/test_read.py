"""Formulas are read from the page and evaluated.

The test of a claim checks what its author typed; here nothing is typed again.
read/<stem>.py says how each symbol is drawn and, for those that are given,
how they come out in another way than by the formula:

    label: (drawn, given, known, tight)

drawn: {symbol: (low, high), a range of whole numbers, or function(rng)};
given: {symbol: function(*drawn)}, and "" for all of a formula that is printed
without a left side; known: {symbol: value}, functions and what an index runs
over; tight: {symbol: function(*drawn)}, where a bound is reached.
"""

import functools
import importlib
import re
import zlib

import numpy as np
import pytest

import printed
import reading

PAGES = [
    printed.formulas(path.read_text(encoding="utf-8"))
    for path in (printed.ROOT / "book").glob("*.md")
]
FORMULAS = {x: latex for page in PAGES for x, latex in page.items()}
FILES = sorted(printed.ROOT.glob("tests/derivations/read/*.py"))
OF_STEM = {
    path.stem: importlib.import_module(f"read.{path.stem}").READ
    for path in FILES
}
READ = {label: entry for of in OF_STEM.values() for label, entry in of.items()}


@functools.cache
def drawn(label, seed):
    """What stands for the symbols of a formula: (values, all of it, bound)."""
    sources, given, known, tight = (*READ[label], {}, {})[:4]
    rng = np.random.default_rng(zlib.crc32(f"{label} {seed}".encode()))
    numbers = []
    for source in sources.values():
        if callable(source):
            numbers.append(source(rng))
        elif isinstance(source, range):
            numbers.append(int(rng.choice(source)))
        else:
            numbers.append(float(rng.uniform(*source)))
    values = dict(zip(sources, numbers, strict=True)) | known
    values |= {symbol: rule(*numbers) for symbol, rule in given.items()}
    bound = {symbol: rule(*numbers) for symbol, rule in tight.items()}
    return values, values.pop("", None), bound


def holds(latex, label, seed):
    if r"\pm" in latex:  # both signs
        return all(
            holds(latex.replace(r"\pm", sign), label, seed) for sign in "+-"
        )
    values, whole, bound = drawn(label, seed)
    if whole is not None:
        (sides, _), *_ = reading.statements(latex)
        if not reading.same(reading.value_of(sides[0], values), whole):
            return False
        if len(sides) == 1:
            return True
    return reading.agrees(latex, values) and (
        not bound or reading.is_reached(latex, values | bound)
    )


@pytest.mark.parametrize("label", READ)
@pytest.mark.parametrize("seed", range(3))
def test_all_sides_of_the_printed_formula_agree(label, seed):
    assert holds(FORMULAS[label], label, seed)


# Misprints that leave a formula true.
HARMLESS = {
    # A rotation keeps lengths both ways.
    "eq-sequences-orthogonal": [r"\lVert\mathbf v\mathbf W\rVert"],
    # A looser bound.
    "eq-inpainting-raw": [r"e^{2/\tau}"],
    # Independent.
    "eq-video-generation-flicker": [r"(z_t+z_{t-1})"],
}
# What is said about a formula: its words, for which values it holds, how many
# there are of what stands above a brace.
WORDS = re.compile(
    r"\\text\{for \}\S+|\\mathbf \w \\text\{ a [^{}]*\} \\mathbf \w"
    r"|(?:(?<=\})_\{)?\\text\{[^{}]*\}(?:\^\d\})?\}?"
    r"|\\qquad\([^()]*\)|^[^\\&,]*:(?=\\quad)"
    r"|(?<=\})_\{\d(?:\\text\{[^{}]*\})?\}"
)
GREEK = "alpha|beta|gamma|delta|epsilon|eta|theta|kappa|lambda|mu|nu|xi"
GREEK += "|pi|rho|sigma|tau|phi|omega"
SYMBOL = rf"(?<![a-zA-Z\\{{_^])(?:\\(?:{GREEK})|[a-zA-Z])(?![a-zA-Z_^(}}'])"


def misprints(latex):
    """Each with one sign, digit, root, power, factor or fraction wrong."""
    words = [match.span() for match in WORDS.finditer(latex)]

    def wrong(pattern, change):
        for match in re.finditer(pattern, latex):
            start, end = match.span()
            if not any(a <= start < b for a, b in words):
                yield latex[:start] + change(match) + latex[end:]

    turned = {"+": "-", "-": "+"}
    yield from wrong(r"[-+]", lambda match: turned[match[0]])
    # Not in a bound: a looser one is true, too.
    yield from wrong(
        r"(?<![<>])(?<!\\; )\d", lambda match: str((int(match[0]) + 1) % 10)
    )
    yield from wrong(SYMBOL, lambda match: " ")
    yield from wrong(r"\\sqrt|\^\{?(?:2|k|\\top)\}?", lambda match: "")
    yield from wrong(
        r"\\[td]?frac\{([^{}]*)\}\{([^{}]*)\}",
        lambda match: rf"\frac{{{match[2]}}}{{{match[1]}}}",
    )


def is_noticed(latex, label):
    for seed in range(5):
        try:
            with np.errstate(all="ignore"):
                if not holds(latex, label, seed):
                    return True
        except (ValueError, TypeError, LookupError, ArithmeticError):
            return True  # the page cannot be read: the test above fails, too
    return False


@pytest.mark.parametrize("label", READ)
def test_a_misprint_is_noticed(label):
    missed = [
        latex
        for latex in misprints(FORMULAS[label])
        if not is_noticed(latex, label)
        and not any(part in latex for part in HARMLESS.get(label, ()))
    ]
    assert not missed


def test_each_file_reads_formulas_of_its_own_page():
    for stem, entries in OF_STEM.items():
        own = f"eq-{stem.replace('_', '-')}-"
        assert all(label.startswith(own) for label in entries)
    assert set(READ) <= set(FORMULAS)


def test_more_than_half_of_the_formulas_are_read_as_the_introduction_says():
    said = (printed.ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    assert "More than half of the formulas are also read off the page" in said
    assert len(READ) > len(FORMULAS) / 2


def test_a_symbol_without_a_value_is_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        reading.value_of("a + b", {"a": 1.0})


A = np.array([[1.0, 2.0], [3.0, 5.0]])


@pytest.mark.parametrize(
    ("latex", "value"),
    [
        (r"\frac12x^2-\sqrt{x}/2y", 0.5 * 16 - 2 / 2 * 3),
        (r"\log xy\cos0+e^{-x}\,|y-x|", np.log(12) + np.exp(-4)),
        (r"\sum_{k=1}^{x}\frac{k}{2}\bigl(k-1\bigr)+1", 11),
        (r"\sum_{i\,:\,0\le i<y}\Bigl[i=1\Bigr]+\prod_{k=2}^3k", 7),
        (r"\bigl\lfloor\tfrac{x}{y}\bigr\rfloor+x\bmod y", 2),
        (r"\operatorname{tr}(\mathbf A\mathbf A^{-1})^{1/2}", 2),
        (r"\mathbf v^\top\mathbf A\,\mathbf v+A_{ij}", 13),
        (r"\underbrace{xy}_{12}+\max(x,y)\tanh^20", 12),
    ],
)
def test_the_reader_computes_what_a_formula_says(latex, value):
    values = {"x": 4.0, "y": 3.0, "i": range(9), "j": 1}
    values |= {r"\mathbf A": A, r"\mathbf v": np.ones((2, 1))}
    if "A_{ij}" in latex:
        values |= {"A": A, "i": 0}
    assert reading.value_of(latex, values) == pytest.approx(value)


@pytest.mark.parametrize(
    "latex", [r"x+", r"\frac{x}{", r"x)", r"\underbrace{x}_{12}", "x_", ""]
)
def test_what_is_no_formula_is_an_error(latex):
    with pytest.raises(ValueError):
        reading.value_of(latex, {"x": 4.0})


def test_lines_and_relations_become_statements():
    latex = r"""\begin{aligned} a &= b \\ &= \bigl[i=j\bigr]+c, \\
    d &\le f\qquad\text{for all } i>0, \\ k &= \Bigl(m \\ &\quad+n\Bigr).
    \end{aligned}"""
    said = reading.statements(latex)
    assert [relations for _, relations in said] == [
        ["=", "="],
        [r"\le"],
        ["="],
    ]
    assert [side.strip() for side in said[0][0]] == [
        "a",
        "b",
        r"\bigl[i=j\bigr]+c",
    ]
    values = {"k": 5.0, "m": 2.0, "n": 3.0}
    assert reading.value_of(said[2][0][1], values) == 5

"""Every numbered claim of a page has a test, and every test's label is a claim
of its page.
"""

import ast
import re
from pathlib import Path

import pytest

import printed

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(
    r"^[^\n]*\$\$\s*\(([a-z][\w-]*)\)\s*$|^:label:\s*((?:eq|def)-[\w-]+)\s*$",
    re.M,
)

DISPLAY = re.compile(r"\$\$(.*?)\$\$[ \t]*(\([a-z][\w-]*\))?", re.S)


def labels_of(page):
    """All equation labels of a page, `eq-…` and `def-…`."""
    return [first or second for first, second in LABEL.findall(page)]


def verified_by(source):
    """{label: [names of tests]} from the decorators of a test file."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if (
                isinstance(decorator, ast.Call)
                and getattr(decorator.func, "id", "") == "verifies"
            ):
                for argument in decorator.args:
                    found.setdefault(ast.literal_eval(argument), []).append(
                        node.name
                    )
    return found


def problems(stem, page, source):
    """What is wrong between a page and its test file, one sentence each."""
    labels, tests = labels_of(page), verified_by(source)
    claims = [label for label in labels if label.startswith("eq-")]
    said = [
        f"{label}: a claim without a test"
        for label in claims
        if label not in tests
    ]
    said += [
        f"{label}: a test for a claim that the page does not make"
        for label in tests
        if label not in claims
    ]
    said += [
        f"{label}: labels start with eq-{stem}- or def-{stem}-"
        for label in labels
        if not re.match(rf"(eq|def)-{stem.replace('_', '-')}-", label)
    ]
    said += [
        f"{label}: used twice"
        for label in set(labels)
        if labels.count(label) > 1
    ]
    said += [
        f"a display without a label: {formula.strip()[:40]}"
        for formula, label in DISPLAY.findall(page)
        if not label
    ]
    said += [
        f"{name}: not a test, its name does not start with test_"
        for names in tests.values()
        for name in names
        if not name.startswith("test_")
    ]
    return said


PAGES = sorted(
    path
    for path in (ROOT / "book").glob("*.md")
    if labels_of(path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_and_tests_agree(path):
    tests = ROOT / "tests" / "derivations" / f"test_{path.stem}.py"
    assert tests.is_file(), (
        f"book/{path.name} has numbered equations, but no {tests.name}"
    )
    assert (
        problems(
            path.stem,
            path.read_text(encoding="utf-8"),
            tests.read_text(encoding="utf-8"),
        )
        == []
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_is_printed_is_what_was_compared(path):
    page = path.read_text(encoding="utf-8")
    assert printed.complaints(page, printed.read_stamps()) == []
    claims = [x for x in labels_of(page) if x.startswith("eq-")]
    assert sorted(printed.formulas(page)) == sorted(claims)


def test_no_stamp_is_left_over():
    pages = [path.read_text(encoding="utf-8") for path in PAGES]
    assert printed.stale(pages, printed.read_stamps()) == []


FORMULA = r"$$ \tfrac12\bigl(-1-\log s_i^2\bigr), $$ (eq-x-one)" + "\n"
SAME = r"""
$$
\begin{aligned}
\frac12\,( &-1 \\
  &-\log s_i^2\Bigr).
\end{aligned}
$$ (eq-x-one)
"""


def compared(page):
    return {x: printed.stamp_of(y) for x, y in printed.formulas(page).items()}


def test_layout_does_not_break_a_stamp():
    assert printed.complaints(SAME, compared(FORMULA)) == []
    spaced = FORMULA.replace("-1-", r"-\,1 \; - \quad ")
    assert printed.complaints(spaced, compared(FORMULA)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"-\log", r"+\log"),
        ("s_i^2", "s_i"),
        ("frac12", "frac13"),
        ("(-1", "(1"),
        ("_i", "_j"),
    ],
)
def test_a_changed_formula_is_noticed(old, new):
    changed = FORMULA.replace(old, new)
    assert changed != FORMULA
    (said,) = printed.complaints(changed, compared(FORMULA))
    assert said.startswith("eq-x-one: the printed formula has changed")


def test_missing_and_left_over_stamps_are_named():
    (said,) = printed.complaints(FORMULA, {})
    assert said.startswith("eq-x-one: nobody has compared")
    (said,) = printed.stale([FORMULA], {"eq-x-two": "0", **compared(FORMULA)})
    assert said.startswith("eq-x-two: a stamp")


def test_some_page_is_checked():
    assert len(PAGES) > 0


PAGE = (
    "$$ a = a $$ (eq-x-one)\n\n$$\nb = b\n$$ (eq-x-two)\n\n"
    "$$ c := 1 $$ (def-x-three)\n"
)


@pytest.mark.parametrize(
    ("page", "source", "complaint"),
    [
        (
            PAGE,
            '@verifies("eq-x-one")\ndef test_a(): ...',
            "eq-x-two: a claim without a test",
        ),
        (
            PAGE,
            '@verifies("eq-x-one", "eq-x-two", "eq-x-four")\n'
            "def test_a(): ...",
            "eq-x-four: a test for a claim",
        ),
        (
            PAGE.replace("x-two", "y-two"),
            '@verifies("eq-x-one", "eq-y-two")\ndef test_a(): ...',
            "eq-y-two: labels",
        ),
        (
            PAGE + "\n$$\nd = d\n$$\n",
            '@verifies("eq-x-one", "eq-x-two")\ndef test_a(): ...',
            "a display without a label: d = d",
        ),
        (
            PAGE + PAGE,
            '@verifies("eq-x-one", "eq-x-two")\ndef test_a(): ...',
            "used twice",
        ),
        (
            PAGE,
            '@verifies("eq-x-one", "eq-x-two")\ndef check_a(): ...',
            "check_a: not a test",
        ),
    ],
)
def test_planted_gaps_are_found(page, source, complaint):
    assert any(
        complaint in sentence for sentence in problems("x", page, source)
    )


def test_a_page_in_order_has_no_problems():
    assert (
        problems(
            "x", PAGE, '@verifies("eq-x-one", "eq-x-two")\ndef test_a(): ...'
        )
        == []
    )

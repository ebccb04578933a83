"""A mark beside each labelled equation that opens the test which checks it, in place and without a network.

An equation labelled `eq-…` is a claim: some function in tests/derivations/test_<stem>.py carries the
decorator `@verifies("eq-…")`, where <stem> is the page's name. A claim without a test is a warning, so that a
build with `-W` fails. Equations with other labels (`def-…`) are definitions and get no mark.
"""

import ast
import inspect
from pathlib import Path
from typing import NamedTuple

from details import Details, Summary, add_details
from docutils import nodes
from repository import source_url
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


class Test(NamedTuple):
    name: str
    first: int  # the decorator's line, counted from 1
    last: int


def tests_by_label(path: Path) -> dict[str, list[Test]]:
    """Return, for each label in a test file, the tests that verify it; empty where there is no such file."""
    if not path.is_file():
        return {}
    found: dict[str, list[Test]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if not isinstance(node, ast.FunctionDef):
            continue
        for label in _labels(node):
            first = min(decorator.lineno for decorator in node.decorator_list)
            found.setdefault(label, []).append(Test(node.name, first, node.end_lineno))
    return found


def _labels(function: ast.FunctionDef) -> list[str]:
    calls = [d for d in function.decorator_list if isinstance(d, ast.Call)]
    calls = [call for call in calls if ast.unparse(call.func).split(".")[-1] == "verifies"]
    return [a.value for call in calls for a in call.args if isinstance(a, ast.Constant)]


def _mark_equations(app: Sphinx, doctree: nodes.document) -> None:
    docname = app.env.docname
    claims = [
        node for node in doctree.findall(nodes.math_block) if str(node.get("label") or "").startswith("eq-")
    ]
    if not claims:
        return
    path = f"{app.config.dlp_derivations}/test_{docname.split('/')[-1]}.py"
    app.env.note_dependency(path)
    tests = tests_by_label(Path(app.srcdir) / path)
    for equation in claims:
        label = equation["label"]
        if label not in tests:
            logger.warning(
                'equation %s has no test; mark one in %s with @verifies("%s"), or label it def-…',
                *(label, path, label),
                location=equation,
                type="dlp",
                subtype="unverified",
            )
            continue
        box = nodes.container("", classes=["dlp-equation"])
        equation.parent.replace(
            equation, box
        )  # not replace_self: that would give the box the equation's id, too
        box += [equation, _mark(app, label, tests[label], path)]


def _mark(app: Sphinx, label: str, tests: list[Test], path: str) -> Details:
    """The word *tested*, which opens to the source of the tests of one equation."""
    source = (Path(app.srcdir) / path).read_text(encoding="utf-8").splitlines()
    summary = Summary("", "", nodes.inline("", "✓ ", classes=["dlp-tick"]), nodes.Text("tested"))
    summary["aria-label"] = f"tested: show the code that checks {label}"
    mark = Details("", summary, classes=["dlp-verified"])
    for test in tests:
        url = source_url(app.config, path, test.first, test.last)
        code = inspect.cleandoc("\n".join(source[test.first - 1 : test.last]))
        where = nodes.paragraph("", "", nodes.literal("", test.name), nodes.Text(" in "))
        where += nodes.reference("", path, refuri=url, internal=False)
        mark += [where, nodes.literal_block(code, code, language="python")]
    return mark


def setup(app: Sphinx) -> dict:
    app.setup_extension("repository")
    add_details(app)
    app.add_config_value("dlp_derivations", "tests/derivations", "env", str)
    app.connect("doctree-read", _mark_equations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

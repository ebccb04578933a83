"""Leave out what the pages would load and never use, most of it in bytes.

- The theme ships its icons twice, as fonts and as a script of 1.5 MB that draws the same icons. The fonts do.
- Jupyter Book always loads `sphinx_thebe`. Its button is off here, but its scripts would still stand in each
  page, with an address outside the book in them.
- MathJax is for pages with formulas.
- The theme loads the search and its index on every page, for a search in place that is not used here.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

STUB = "// The icons of this theme come from its fonts.\n"


def _drop_thebe(app: Sphinx, config) -> None:
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]


def _drop_icon_script(app: Sphinx, error: Exception | None) -> None:
    static = Path(app.outdir) / "_static"
    if error is None and app.builder.format == "html" and static.is_dir():
        # Where the newer and where the older theme keeps it.
        for path in [
            *static.glob("scripts/fontawesome.js"),
            *static.glob("vendor/fontawesome/**/js/all.min.js"),
        ]:
            path.write_text(STUB, encoding="utf-8")


def _drop_search(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    scripts = re.compile(
        r'[ \t]*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>\n'
    )
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if path.name != "search.html" and scripts.search(text):
            path.write_text(scripts.sub("", text), encoding="utf-8")


def _page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    context["css_files"] = [one for one in context["css_files"] if "thebe" not in str(one.filename)]
    # Titles in the side bar make sphinx_exercise note formulas for pages that have none.
    if doctree is None or not (any(doctree.findall(nodes.math)) or any(doctree.findall(nodes.math_block))):
        context["script_files"] = [one for one in context["script_files"] if not _is_mathjax(one)]


def _is_mathjax(script) -> bool:
    return "mathjax" in str(script.filename) or "window.MathJax" in script.attributes.get("body", "")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", _drop_thebe, priority=1)
    app.connect("html-page-context", _page, priority=900)
    app.connect("build-finished", _drop_icon_script)
    app.connect("build-finished", _drop_search)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

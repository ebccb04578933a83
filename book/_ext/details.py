"""A block that is closed until a reader opens it: HTML's own `<details>`, plain text everywhere else.

`Details` holds a `Summary` and any content. With `add_details(app)` both work in every builder. What a link points to
inside a closed block, and every block when the page is printed, is opened by `_static/book.js`.
"""

from docutils import nodes
from sphinx.application import Sphinx


class Details(nodes.General, nodes.Element):
    """A closed block. Attributes: classes, ids; its first child is a `Summary`."""


class Summary(nodes.Part, nodes.TextElement):
    """The line that shows while the block is closed."""


def _visit_details(self, node):
    self.body.append(self.starttag(node, "details", CLASS=""))


def _depart_details(self, node):
    self.body.append("</div></details>\n")


def _visit_summary(self, node):
    label = {"aria-label": node["aria-label"]} if "aria-label" in node else {}
    self.body.append(self.starttag(node, "summary", suffix="", CLASS="", **label))


def _depart_summary(self, node):
    self.body.append('</summary>\n<div class="dlp-inside">')


def _nothing(self, node):
    pass


def add_details(app: Sphinx) -> None:
    """Register both nodes, once."""
    if getattr(app, "dlp_details", False):
        return
    app.dlp_details = True
    others = {name: (_nothing, _nothing) for name in ("latex", "text", "man", "texinfo")}
    app.add_node(Details, html=(_visit_details, _depart_details), **others)
    app.add_node(Summary, html=(_visit_summary, _depart_summary), **others)


def setup(app: Sphinx) -> dict:
    add_details(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Pages of notebooks, as a reader of the book wants them.

- Lines that speak to tools (`#| export`, `# NBVAL_CHECK_OUTPUT`, `# @title …`) are not shown.
- A paragraph that begins with **Predict.** becomes a box.
- The cell of each claim can be linked to: `#claim-<name>`.
- The label of an equation (`eq-…`), in code and in text, shows as the number that the page prints, with a link.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

TOOL_LINE = re.compile(r"(?:#\| ?export|# ?NBVAL_\w+|# ?@title\b.*)")
# In brackets already: the number needs none of its own.
LABEL = re.compile(r"(?<![\w/#\"'=-])(?:(eq-[a-z0-9]+(?:-[a-z0-9]+)+)|\((eq-[a-z0-9]+(?:-[a-z0-9]+)+)\))")


def shown(code: str) -> str:
    """The code of a cell without the lines at its top that speak to tools."""
    lines = code.split("\n")
    while lines and TOOL_LINE.fullmatch(lines[0].strip()):
        del lines[0]
    return "\n".join(lines)


def _clean(app: Sphinx, doctree: nodes.document) -> None:
    if not app.env.docname.startswith("notebooks/"):
        return
    # Lists, since the tree is changed on the way.
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code":
            _clean_cell(doctree, cell)
    for paragraph in doctree.findall(nodes.paragraph):
        first = next((child for child in paragraph.children if child.astext()), None)
        if isinstance(first, nodes.strong) and first.astext() == "Predict.":
            paragraph["classes"].append("dlp-predict")


def _clean_cell(doctree, cell):
    for part in list(cell.findall(nodes.container)):
        if part.get("nb_element") == "cell_code_source":
            for block in list(part.findall(nodes.literal_block)):
                code = shown(block.rawsource or block.astext())
                block.rawsource, block.children = code, [nodes.Text(code)]
    for block in list(cell.findall(nodes.literal_block)):
        found = re.match(r"[✓✗–] ([\w.-]+): ", block.astext())
        if found:
            id = nodes.make_id(f"claim-{found[1]}")
            target = nodes.target("", "", ids=[id])
            block.parent.insert(block.parent.index(block), target)


def numbers(app: Sphinx) -> dict[str, tuple[str, str]]:
    """{label: (page, number as printed)} of every labelled equation of the book."""
    found = {}
    for label, (docname, _) in app.env.get_domain("math").equations.items():
        number = app.env.toc_fignumbers.get(docname, {}).get("displaymath", {}).get(f"equation-{label}")
        if number:
            found[label] = docname, ".".join(map(str, number))
    return found


def _number_labels(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if not pagename.startswith("notebooks/") or "body" not in context:
        return
    known = numbers(app)

    def link(match):
        label = match[1] or match[2]
        if label not in known:
            return match[0]
        docname, number = known[label]
        uri = app.builder.get_relative_uri(pagename, docname)
        return f'<a class="dlp-number" href="{uri}#equation-{label}" title="{label}">({number})</a>'

    pieces = re.split(r"(<[^>]*>)", context["body"])  # text and tags in turn
    context["body"] = "".join(p if p.startswith("<") else LABEL.sub(link, p) for p in pieces)


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", _clean)
    app.connect("html-page-context", _number_labels)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

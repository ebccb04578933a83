"""Search that leads to sections: an index of them, in place of Sphinx's index of words.

Each section of a page, each deeper block, algorithm and exercise is one entry: its title, the page it stands on, and its
prose without formulas, code and outputs. Terms of the glossary add their names, in three languages, to the section that
teaches them. `_static/searchtools.js` searches the entries with MiniSearch, in the browser and from the disk too.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# What a reader cannot search for in words, or what repeats on every page.
_SILENT = (
    nodes.math,
    nodes.math_block,
    nodes.literal_block,
    nodes.raw,
    nodes.comment,
    nodes.image,
    nodes.table,
    nodes.system_message,
)
_BLOCKS = {"deeper": "", "algorithm": "Algorithm: ", "exercise": "Exercise: "}


def plain(node: nodes.Node) -> str:
    """The words of a node in one line, without what is silent."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, _SILENT) or (
        isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"
    ):
        return " "
    # The labels of equations and the keys of works say nothing yet: they become numbers and names later.
    if isinstance(node, addnodes.pending_xref) and (
        node.get("reftype") == "eq" or node.get("refdomain") == "cite"
    ):
        return " "
    text = "".join(plain(child) for child in node.children)
    return (
        text if isinstance(node, (nodes.inline, nodes.emphasis, nodes.strong, nodes.literal)) else text + " "
    )


def squeezed(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r" +([,.;:)?!])", r"\1", text)


def _kind(node):
    """Whether `node` is an entry of its own, and of which kind."""
    if isinstance(node, nodes.section):
        return "section"
    classes = node.get("classes", []) if isinstance(node, nodes.Element) else []
    if "dlp-deeper" in classes:
        return "deeper"
    name = type(node).__name__
    if "solution" in name:
        return "solution"
    if "algorithm" in name or ("proof" in classes and "algorithm" in classes):
        return "algorithm"
    return "exercise" if name in ("exercise_node", "exercise_enumerable_node") else ""


def entries(doctree: nodes.document) -> list[dict]:
    """The searchable parts of a page: id (without its page), title, text."""
    found = []

    def enter(node, kind):
        titles = [child for child in node.children if "title" in type(child).__name__.lower()]
        titles = titles or [child for child in node.children if type(child).__name__ == "Summary"]
        title = squeezed(plain(titles[0])) if titles else ""
        if kind in ("exercise", "algorithm"):  # some of these nodes carry their kind in the title
            title = title.removeprefix(kind.capitalize()).strip(" ()")
        entry = {"id": (node.get("ids") or [""])[0], "title": _BLOCKS.get(kind, "") + title, "text": ""}
        found.append(entry)
        walk([child for child in node.children if child not in titles], entry)

    def walk(children, entry):
        for child in children:
            kind = _kind(child)
            if kind == "solution":
                continue
            if kind:
                enter(child, kind)
            elif isinstance(child, nodes.Element) and any(_kind(n) for n in child.findall(nodes.Element)):
                walk(child.children, entry)
            else:
                entry["text"] += plain(child)

    for section in doctree.children:
        if isinstance(section, nodes.section):
            enter(section, "section")
    for entry in found:
        entry["text"] = squeezed(entry["text"])
    return found


def _read(app: Sphinx, doctree: nodes.document) -> None:
    sections = app.env.dlp_sections = getattr(app.env, "dlp_sections", {})
    sections[app.env.docname] = entries(doctree)


def _purge(app: Sphinx, env, docname: str) -> None:
    getattr(env, "dlp_sections", {}).pop(docname, None)


def _merge(app: Sphinx, env, docnames, other) -> None:
    env.dlp_sections = {**getattr(env, "dlp_sections", {}), **getattr(other, "dlp_sections", {})}


def index(app: Sphinx) -> list[dict]:
    """All entries as the browser wants them: url, page, title, text, terms."""
    terms: dict[str, list[dict]] = {}
    for term in getattr(app.env, "dlp_terms", []):
        terms.setdefault(term["see"], []).append(term)
    made = []
    for docname, sections in app.env.dlp_sections.items():
        page = sections[0]["title"] if sections else ""
        for number, section in enumerate(sections):
            here = terms.get(f"{docname}#{section['id']}", [])
            made.append(
                {
                    "url": f"{docname}.html" + (f"#{section['id']}" if number else ""),
                    "page": page if number else "",
                    "title": section["title"],
                    "text": section["text"],
                    "terms": [[term["term"], *term["also"], term["zh"], term["ko"]] for term in here],
                    "says": [term["text"] for term in here],
                }
            )
    return made


def _no_word_index(app: Sphinx) -> None:
    app.builder.search = False


def _search_page(app: Sphinx):
    yield "search", {}, "search.html"


def _scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if pagename == "search":
        app.add_js_file("vendor/minisearch.js")


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    data = json.dumps(index(app), ensure_ascii=False, separators=(",", ":"))
    (out / "searchindex.js").write_text(f"window.dlpSections = {data};\n", encoding="utf-8")
    # The theme's search page asks for this file of Sphinx's own search, too.
    (out / "_static" / "language_data.js").write_text("// not used\n", encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", _no_word_index)
    app.connect("doctree-read", _read, priority=900)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("html-collect-pages", _search_page)
    app.connect("html-page-context", _scripts)
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

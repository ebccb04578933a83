"""The glossary: every standard term of the book, one sentence each, the section that teaches it, in three languages.

Its data are `book/glossary.yml`; nothing is typed twice. The directive `glossary-list` makes the page of it. In each
chapter's page the first use of a term leads to its entry, and shows the sentence. The search leads from a term's
names, also the Chinese and the Korean one, to its section.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
DATA = "book/glossary.yml"
PAGE = "book/glossary"
# Where no first use is marked: titles, links, code, formulas, boxes that only point, and exercises.
_NOT_IN = (nodes.title, nodes.reference, nodes.literal, nodes.math, nodes.caption, nodes.raw, nodes.table)
_NOT_IN_NAMES = {
    "pending_xref",
    "Summary",
    "solution_node",
    "exercise_node",
    "exercise_enumerable_node",
    "proof_node",
}


class See(nodes.Inline, nodes.TextElement):
    """A link to a section, whose title is known only when all pages are read."""


def read_terms(path: Path) -> list[dict]:
    """The terms of a glossary file, sorted, each with term, also, see, zh, ko, text."""
    terms = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    full = [{"also": [], "zh": "", "ko": "", **term} for term in terms]
    return sorted(full, key=lambda term: term["term"].lower())


def anchor(term: dict) -> str:
    return nodes.make_id(f"term-{term['term']}")


def _key(name: str) -> str:
    """A name as it is compared: blanks for hyphens, one kind of apostrophe; a name with a capital keeps its letters."""
    name = re.sub(r"[\s-]+", " ", name.replace("’", "'"))
    return name if any(letter.isupper() for letter in name) else name.lower()


def pattern(terms: list[dict]) -> tuple[re.Pattern, dict[str, dict]]:
    """One pattern for the English names of all terms, longest first, and {name: term} for `lookup`.

    A name in small letters is found at the start of a sentence, too. One with a capital (Dice, FiLM) is found as it is
    written: a dice of the text is none.
    """
    by_name = {_key(name): term for term in terms for name in (term["term"], *term["also"])}
    joined = "|".join(
        re.escape(name).replace(r"\ ", r"[\s-]+").replace("'", "['’]")
        for name in sorted(by_name, key=len, reverse=True)
    )
    return re.compile(rf"(?<![\w-])({joined})(?:s|es)?(?![\w-])", re.I), by_name


def lookup(found: str, by_name: dict[str, dict]) -> dict | None:
    """The term that `found`, a match of the pattern, names; None where its capitals say that it names none."""
    key = re.sub(r"[\s-]+", " ", found.replace("’", "'"))
    small = key[:1].lower() + key[1:]
    return by_name.get(key) or by_name.get(small)


def _load(app: Sphinx, env, docnames) -> None:
    path = Path(app.srcdir) / DATA
    env.dlp_terms = read_terms(path) if path.is_file() else []


class GlossaryList(SphinxDirective):
    def run(self):
        self.env.note_dependency(str(Path(self.env.srcdir) / DATA))
        shown, letters = nodes.definition_list(classes=["dlp-glossary"]), []
        for term in self.env.dlp_terms:
            letter = term["term"][0].upper()
            name = nodes.term("", "", nodes.strong("", term["term"]), ids=[anchor(term)])
            if letter not in letters:
                letters.append(letter)
                name["ids"].append(f"letter-{letter}")
            if term["also"]:
                name += nodes.inline("", ", ".join(term["also"]), classes=["dlp-also"])
            for language in ("zh", "ko"):
                html = f'<span class="dlp-tongues" lang="{language}">{term[language]}</span>'
                name += nodes.raw("", html, format="html")
            says = nodes.paragraph("", f"{term['text']} ")
            says += See("", target=term["see"], term=term["term"])
            shown += nodes.definition_list_item("", name, nodes.definition("", says))
        jump = nodes.paragraph("", "", classes=["dlp-letters"])
        for letter in letters:
            jump += [nodes.reference("", letter, refid=f"letter-{letter}", internal=True), nodes.Text(" ")]
        return [jump, shown]


def _resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for see in list(doctree.findall(See)):
        page, _, id = see["target"].partition("#")
        sections = getattr(app.env, "dlp_sections", {}).get(page, [])
        title = next((section["title"] for section in sections if section["id"] == id), "")
        if not title:
            known = ", ".join(section["id"] for section in sections) or "none: is that a page?"
            logger.warning(
                "glossary, %s: %s leads nowhere; sections there: %s", *(see["term"], see["target"], known)
            )
            see.replace_self(nodes.Text(""))
            continue
        uri = f"{app.builder.get_relative_uri(docname, page)}#{id}"
        text = title if sections[0]["id"] == id else f"{sections[0]['title']}: {title}"
        see.replace_self(nodes.reference("", f"→ {text}", refuri=uri, internal=True))


def _mark_first_uses(app: Sphinx, doctree: nodes.document) -> None:
    docname, terms = app.env.docname, getattr(app.env, "dlp_terms", [])
    chapters = {term["see"].split("#")[0] for term in terms}
    if docname == PAGE or docname.startswith("notebooks/"):
        return
    app.env.note_dependency(str(Path(app.srcdir) / DATA))
    if docname not in chapters:
        return
    names, by_name = pattern(terms)
    glossary = app.builder.get_relative_uri(docname, PAGE)
    used: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if not _is_prose(text):
            continue
        pieces, done = [], 0
        source = text.astext()
        for match in names.finditer(source):
            term = lookup(match[1], by_name)
            if term is None or term["term"] in used:
                continue
            used.add(term["term"])
            pieces.append(nodes.Text(source[done : match.start()]))
            uri = f"{glossary}#{anchor(term)}"
            options = {"internal": True, "reftitle": term["text"], "classes": ["dlp-term"]}
            pieces.append(nodes.reference("", match[0], refuri=uri, **options))
            done = match.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(source[done:])])


def _is_prose(text: nodes.Text) -> bool:
    node, paragraph = text.parent, False
    while node is not None:
        if isinstance(node, _NOT_IN) or type(node).__name__ in _NOT_IN_NAMES:
            return False
        if "dlp-objectives" in node.get("classes", []):
            return False
        paragraph = paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return paragraph


def setup(app: Sphinx) -> dict:
    app.add_directive("glossary-list", GlossaryList)
    app.connect("env-before-read-docs", _load)
    app.connect("doctree-read", _mark_first_uses, priority=950)  # after the search has read the plain text
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

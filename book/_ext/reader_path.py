"""The three depths of a chapter: what you will be able to do, what everybody needs, what a second reading wants.

- `objectives`: a box at the top of a chapter. Its content is a list, each line with the exercise that shows it in
  backticks, and a paragraph **Needs** with links to sections. The box adds what it costs: minutes for the core and for
  everything, from the page's own words, and the lab's measured time.
- `deeper`: a closed block with a title. Equations inside are numbered, tested and linked as everywhere.
"""

import re
from pathlib import Path

from anatomy import Page
from claims_page import cost_of, notebooks, seconds
from details import Details, Summary, add_details
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
EXERCISE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


class Objectives(SphinxDirective):
    has_content = True

    def run(self):
        page = Page(Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8"))
        box = nodes.container(classes=["dlp-objectives"])
        box += nodes.paragraph("", "After this chapter you can", classes=["dlp-box-title"])
        content = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, content)
        known = {label for _, label in page.exercises}
        for item in content.findall(nodes.list_item):
            shown = [literal for literal in item.findall(nodes.literal) if self._link(literal, known)]
            if not shown:
                self._warn("this line names no exercise that shows it: end it with (`its-id`)", item)
        if not page.needs and "**Needs** nothing" not in page.objectives:
            self._warn("there is no paragraph **Needs** with links to sections", box)
        box += content.children
        box += self._cost(page)
        return [box]

    def _link(self, literal, known) -> bool:
        """Make a link of the id of an exercise; tell whether it was one."""
        id = literal.astext()
        if not EXERCISE.fullmatch(id) or f"ex-{id}" not in known:
            return False
        link = addnodes.pending_xref(
            "",
            nodes.literal("", id),
            refdomain="std",
            reftype="ref",
            reftarget=f"ex-{id}",
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        literal.replace_self(link)
        return True

    def _cost(self, page):
        text = f" about {page.core_minutes} minutes to read, {page.whole_minutes} with everything"
        path = notebooks(self.env).get(self.env.docname.split("/")[-1])
        if path is not None:
            self.env.note_dependency(str(path))
            if run := cost_of(path):
                text += f"; the lab {seconds(run['seconds'])} on two CPU cores"
        return nodes.paragraph("", "", nodes.strong("", "Costs"), nodes.Text(text + "."))

    def _warn(self, why, node):
        place = node if node.source else self.get_location()
        logger.warning("objectives: %s", why, location=place, type="dlp", subtype="objectives")


class Deeper(SphinxDirective):
    """A closed block; the title is its argument. It can be linked to as `#deeper-<title in small letters>`."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        title, messages = self.state.inline_text(self.arguments[0], self.lineno)
        summary = Summary("", "", nodes.strong("", "Deeper: "), *title)
        box = Details("", summary, classes=["dlp-deeper"])
        box["names"].append(nodes.make_id(f"deeper {self.arguments[0]}"))
        self.state.document.note_explicit_target(box, box)
        self.set_source_info(box)
        inside = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, inside)
        box += inside.children
        return [box, *messages]


def setup(app: Sphinx) -> dict:
    app.setup_extension("claims_page")
    add_details(app)
    app.add_directive("objectives", Objectives)
    app.add_directive("deeper", Deeper)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

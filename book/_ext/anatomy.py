"""The reader's path through a page: its three depths, counted from the Markdown. No Sphinx here.

`Page(text)` splits a chapter's page into the ten minutes, the core, the deeper blocks and the rest. The
`objectives` directive prints the minutes from it, and tests/test_anatomy.py holds the limits.
"""

import re
from dataclasses import dataclass, field

TEN_MINUTES = "In ten minutes"
TAKEAWAYS = "Takeaways"
# The headings that close every chapter, in this order.
CLOSING = (
    TAKEAWAYS,
    "From symbols to code",
    "Numerical pitfalls",
    "Bug zoo",
    "Exercises",
    "Further reading",
)
WORDS_A_MINUTE = 130  # of technical prose with formulas in it: an estimate
SECONDS_A_FORMULA = 30  # a displayed formula is read more slowly than its line of text

_FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})(?:\{(?P<name>[\w:-]+)\}(?P<argument>.*))?", re.M)
_HEADING = re.compile(r"^(#{1,6}) +(.+)$")
_FORMULA = re.compile(r"\$\$.*?\$\$", re.S)
_NOT_WORDS = re.compile(
    r"^:[a-z-]+: .*?$|\$\$.*?\$\$|\$[^$]*\$|^`{3,}.*?^`{3,}\s*$|\{[\w:]+\}`[^`]*`|\([^)\s]*\.(?:md|ipynb)[^)]*\)",
    re.S | re.M,
)
_WORD = re.compile(r"[A-Za-z\u00C0-\u024F][\w'’-]*")


def words(text: str) -> int:
    """Words of prose: formulas, code, options of figures and targets of links and roles are not counted."""
    return len(_WORD.findall(_NOT_WORDS.sub(" ", text)))


def minutes(text: str) -> float:
    """Estimated time to read `text`, in minutes."""
    return words(text) / WORDS_A_MINUTE + len(_FORMULA.findall(text)) * SECONDS_A_FORMULA / 60


@dataclass
class Page:
    """A chapter's page, taken apart. `text` is its Markdown."""

    text: str
    headings: list = field(default_factory=list)  # of the second level, in order
    ten_minutes: str = ""
    core: str = ""  # without the ten minutes, the deeper blocks and what closes the chapter
    deeper: list = field(default_factory=list)  # (title, text) of each deeper block
    takeaways: str = ""
    objectives: str = ""  # the content of the box
    exercises: list = field(default_factory=list)  # (title, label), in order
    rest: str = ""  # what closes the chapter, without solutions

    def __post_init__(self):
        place = "core"
        for kind, argument, text in _blocks(self.text):
            if kind == "heading":
                self.headings.append(argument)
                if argument == TEN_MINUTES:
                    place = "ten_minutes"
                elif argument in CLOSING:
                    place = "takeaways" if argument == TAKEAWAYS else "rest"
                else:
                    place = "core"
            elif kind == "objectives":
                self.objectives += text
                continue
            elif kind == "deeper":
                self.deeper.append((argument, text))
                continue
            elif kind == "solution":
                continue
            elif kind == "exercise":
                label = re.search(r"^:label:\s*(\S+)", text, re.M)
                self.exercises.append((argument, label[1] if label else ""))
            setattr(self, place, getattr(self, place) + text)

    @property
    def needs(self) -> list[str]:
        """Targets of the links in the paragraph *Needs* of the objectives."""
        found = re.search(r"\*\*Needs\*\*(.*?)(?:\n\s*\n|\Z)", self.objectives, re.S)
        return re.findall(r"\]\(([^)]+)\)", found[1]) if found else []

    @property
    def core_minutes(self) -> int:
        return round(minutes(self.ten_minutes) + minutes(self.core) + minutes(self.takeaways))

    @property
    def whole_minutes(self) -> int:
        deeper = sum(minutes(text) for _, text in self.deeper)
        return round(self.core_minutes + deeper + minutes(self.rest))


def level(title: str) -> int:
    """Stars at the start of an exercise's title: 0 where it has none."""
    return len(title.strip()) - len(title.strip().lstrip("★"))


def _blocks(text):
    """Yield (kind, argument, text): headings, top-level directives, and "" for everything between."""
    plain, end, lines = [], "", text.splitlines(keepends=True)
    name = argument = ""
    block: list[str] = []
    for line in lines:
        if end:  # inside a fence
            block.append(line)
            if line.strip() == end:
                body = "".join(block)
                if name:
                    yield "", "", "".join(plain)
                    plain = []
                    # The fence lines themselves are no prose.
                    yield name, argument, "\n" + "".join(block[1:-1]) + "\n"
                else:
                    plain.append(body)
                end, block = "", []
            continue
        fence, heading = _FENCE.match(line), _HEADING.match(line)
        if fence and not line.strip().endswith("```" * 2):
            end, name = fence["fence"], fence["name"] or ""
            argument, block = (fence["argument"] or "").strip(), [line]
        elif heading and len(heading[1]) <= 2:
            yield "", "", "".join(plain)
            plain = []
            if len(heading[1]) == 2:
                yield "heading", heading[2].strip(), line
        else:
            plain.append(line)
    yield "", "", "".join([*plain, *block])

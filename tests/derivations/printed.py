"""What was printed when somebody last compared a formula with its test.

A test is tied to a label, not to the LaTeX under it. So each claim has a
stamp in printed.json: a hash of its formula, without layout. Whoever changes
a formula compares it with its test again and stamps it, `make verified`.
"""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAMPS = Path(__file__).with_name("printed.json")
FORMULA = re.compile(
    r"\$\$((?:(?!\$\$).)*)\$\$[ \t]*\(([a-z][\w-]*)\)[ \t]*$", re.M | re.S
)
DIRECTIVE = re.compile(
    r"^(`{3,})\{math\}\n:label: ([\w-]+)\n(.*?)^\1$", re.M | re.S
)
# Line breaks, columns, spaces, sizes of brackets and fractions.
LAYOUT = re.compile(
    r"\\\\(\[[^\]]*\])?|&|\\[,;:!> ]|~|\s+|\{\}"
    r"|\\(?:begin|end)\{(?:aligned|split|gathered)\}"
    r"|\\(?:q?quad|left|right|[bB]igg?[lrm]?|displaystyle)(?![a-zA-Z])"
)


def formulas(page):
    """{label: LaTeX} of the numbered claims of a page, in its order."""
    found = {label: body for body, label in FORMULA.findall(page)}
    found |= {label: body for _, label, body in DIRECTIVE.findall(page)}
    return {
        label: body.strip()
        for label, body in found.items()
        if label.startswith("eq-")
    }


def normalized(latex):
    """The formula without its layout and its closing punctuation."""
    latex = re.sub(r"\\[td]frac", r"\\frac", latex)
    return LAYOUT.sub("", latex).rstrip(".,;:")


def stamp_of(latex):
    return hashlib.sha256(normalized(latex).encode()).hexdigest()[:10]


def read_stamps(path=STAMPS):
    if not Path(path).is_file():
        return {}
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_stamps(stamps, path=STAMPS):
    text = json.dumps(dict(sorted(stamps.items())), indent=1) + "\n"
    Path(path).write_text(text, encoding="utf-8")


def is_stamped(label, latex, stamps):
    return stamps.get(label) == stamp_of(latex)


def complaints(page, stamps):
    """One sentence for each claim of a page that nobody has compared."""
    said = []
    for label, latex in formulas(page).items():
        if label not in stamps:
            said.append(
                f"{label}: nobody has compared this formula with its test; "
                "do so with `make verified`"
            )
        elif not is_stamped(label, latex, stamps):
            said.append(
                f"{label}: the printed formula has changed since it was "
                "compared with its test; compare again with `make verified`"
            )
    return said


def stale(pages, stamps):
    """One sentence for each stamp of a formula that no page prints."""
    known = {label for page in pages for label in formulas(page)}
    return [
        f"{label}: a stamp in printed.json for a formula that no page "
        f"prints; remove it with `make verified`"
        for label in stamps
        if label not in known
    ]

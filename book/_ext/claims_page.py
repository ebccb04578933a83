"""Numbers from the stored notebooks: tables of claims and costs, and roles that quote one of them.

- `{claims-table}` and `{cost-table}` directives: every claim, every notebook's time and memory.
- `{data-table}` directive: every data set of `dlp_utils.data`, with source and license.
- `{gpu-table}` directive: what `make gpu` measured, from `notebooks/studies/gpu.csv`.
- ``{claim}`stem/name` `` prints a claim's measured value, ``{claim}`stem/name %` `` as a percentage,
  ``{cost}`stem` `` a notebook's time and memory.

Nothing here is typed by hand, so that page and notebook cannot disagree. An unknown name is a warning.
"""

import csv
import json
import sys
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

# The book is built from the checkout, whether or not the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from dlp_utils.claims import from_notebook
from dlp_utils.data import datasets

logger = logging.getLogger(__name__)


def notebooks(env) -> dict[str, Path]:
    """Return {stem: path} of the book's notebooks, in the order of the table of contents."""
    site_map = getattr(env, "external_site_map", None)
    order = {name: i for i, name in enumerate(site_map)} if site_map is not None else {}
    names = [name for name in env.found_docs if name.startswith("notebooks/")]
    paths = {name: Path(env.doc2path(name)) for name in sorted(names, key=lambda n: (order.get(n, 1e9), n))}
    return {name.split("/")[-1]: path for name, path in paths.items() if path.suffix == ".ipynb"}


def cost_of(path: Path) -> dict:
    """Return the notebook's measured run: seconds, peak_mb, machine, date, profile; empty before a run."""
    return json.loads(path.read_text(encoding="utf-8"))["metadata"].get("dlp", {})


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Round to three digits, to more where three would make a whole number of 0.9996."""
    value = float(value)
    if value < 0:
        return f"−{number(-value)}"
    if value == round(value) and value < 1e6:
        return f"{value:.0f}"
    if not 1e-3 <= value < 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
        return power if mantissa == "1.0" else f"{mantissa} × {power}"
    if value >= 1000:
        return f"{value:.0f}"
    texts = [f"{value:.{digits}g}" for digits in (3, 4, 5, 6)]
    return next((text for text in texts if float(text) != round(value)), texts[-1])


def percentage(share: float) -> str:
    """A share from 0 to 1 as a percentage: whole from ten on, with one decimal below."""
    return f"{100 * share:.{0 if abs(share) >= 0.0995 else 1}f}%"


def claim_words(root: Path) -> dict[str, dict[str, str]]:
    """{stem: {claim: one line of words}} from book/claims.yml."""
    path = root / "book" / "claims.yml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def bound(claim: dict) -> str:
    if "equals" in claim:
        within = f" ± {number(claim['tol'])}" if claim.get("tol") else ""
        return f"= {number(claim['equals'])}{within}"
    parts = [f"≥ {number(claim['at_least'])}"] if "at_least" in claim else []
    parts += [f"≤ {number(claim['at_most'])}"] if "at_most" in claim else []
    return ", ".join(parts)


def seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def megabytes(value: float) -> str:
    return f"{value:.0f} MB" if value < 1000 else f"{value / 1000:.1f} GB"


def _table(headers: list[str], rows: list[list], classes: list[str]) -> nodes.table:
    table = nodes.table(classes=["dlp-table", *classes])
    group = nodes.tgroup(cols=len(headers))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in headers]
    for part, lines in ((nodes.thead(), [headers]), (nodes.tbody(), rows)):
        group += part
        for line in lines:
            row = nodes.row()
            part += row
            span = {"morecols": len(headers) - 1} if len(line) == 1 else {}  # one cell: a heading in between
            for cell in line:
                content = nodes.Text(cell) if isinstance(cell, str) else cell
                row += nodes.entry("", nodes.paragraph("", "", content), **span)
    return table


def _to_notebook(env, stem: str) -> addnodes.pending_xref:
    """A link to the notebook, whose text becomes its title."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", ""),
        refdomain="std",
        reftype="doc",
        reftarget=f"/notebooks/{stem}",
        refexplicit=False,
        refwarn=True,
        refdoc=env.docname,
    )


class _Table(SphinxDirective):
    """A table over all notebooks. Read again at each build, since a notebook may have come or gone."""

    has_content = False

    def run(self):
        self.env.note_reread()
        found = notebooks(self.env)
        rows = [row for stem, path in found.items() for row in self.rows(stem, path)]
        if not rows:
            return [nodes.paragraph("", "No notebook has been measured yet.")]
        return [_table(self.headers, rows, self.classes), *self.below(found)]

    def below(self, found):
        return []


class ClaimsTable(_Table):
    headers = ("Claim", "Holds when", "Measured")
    classes = ("dlp-claims",)

    def rows(self, stem, path):
        claims, words = from_notebook(path), claim_words(Path(self.env.srcdir)).get(stem, {})
        if claims:
            yield [_to_notebook(self.env, stem)]
        for claim in claims:
            name = claim["name"]
            page = self.env.app.builder.get_relative_uri(self.env.docname, f"notebooks/{stem}")
            cell = nodes.reference("", "", refuri=f"{page}#{nodes.make_id(f'claim-{name}')}", internal=True)
            cell += nodes.literal("", name)
            said = nodes.inline("", f"{words[name]} " if name in words else "")
            said += cell
            yield [said, bound(claim), number(claim["value"])]


class CostTable(_Table):
    headers = ("Notebook", "Time", "Peak memory")
    classes = ("dlp-costs",)

    def rows(self, stem, path):
        if cost := cost_of(path):
            yield [_to_notebook(self.env, stem), seconds(cost["seconds"]), megabytes(cost["peak_mb"])]

    def below(self, found):
        """What the rows have in common is said once: profile, machine, and from when to when."""
        runs: dict[tuple, list] = {}
        for stem, path in found.items():
            if cost := cost_of(path):
                key = cost.get("profile", "–"), cost.get("machine", "–")
                runs.setdefault(key, []).append((cost.get("date", "–"), stem))
        said = []
        for (profile, machine), stored in runs.items():
            days = sorted({date for date, _ in stored})
            when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
            which = "" if len(runs) == 1 else f"{', '.join(stem for _, stem in stored)}: "
            text = f"{which}measured at the {profile} profile on {machine}, {when}."
            said.append(nodes.paragraph("", text[0].upper() + text[1:] if not which else text))
        return said


class DataTable(SphinxDirective):
    """Every data set that the package offers, with its license."""

    def run(self):
        self.env.note_reread()
        rows = [[d.name, d.chapter, f"{d.source}. {d.citation}".rstrip(". "), d.license] for d in datasets()]
        headers = ["Data set", "Chapter", "Source", "License"]
        return [_table(headers, rows, ["dlp-data"])]


class GpuTable(SphinxDirective):
    """The rows that `make gpu` wrote: its models as a table, card, date and the other parts in the lines below."""

    headers = ("Model", "Precision", "Parameters", "Steps a second", "Memory: measured / estimated")
    headers += ("Share of the card's matrix speed", "Loss: from → to")

    def run(self):
        self.env.note_reread()
        path = Path(self.env.srcdir, "notebooks", "studies", "gpu.csv")
        rows = []
        if path.exists():
            with open(path, encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        if not rows:
            return [nodes.paragraph("", "Not yet measured on a GPU.")]
        table = _table(self.headers, [self.line(row) for row in rows if row["part"] == "model"], ["dlp-gpu"])
        return [table, nodes.paragraph("", "", nodes.Text(self.below(rows)))]

    def line(self, row):
        name = _to_notebook(self.env, row["name"])
        if row["status"] != "ok":  # numbers of a run that failed are no measurements
            return [name, row["precision"] or "–", f"failed: {row['status']}", *"––––"]
        parameters = float(row["parameters"])
        size = f"{parameters / 1e6:.3g} M" if parameters >= 1e6 else f"{parameters / 1e3:.3g} k"
        mib = [row[kind] for kind in ("memory_mb", "estimated_mb")]
        memory = " / ".join(megabytes(1.048576 * float(value)) if value else "–" for value in mib)
        share = f"{float(row['share']):.1%}" if row["share"] else "–"
        losses = " → ".join(number(float(f"{float(row[k]):.3g}")) for k in ("first_loss", "last_loss"))
        return [name, row["precision"], size, number(float(row["steps_per_second"])), memory, share, losses]

    def below(self, rows):
        """One paragraph: card, date, matrix speeds, resumed runs, labs, and what failed."""
        parts = {
            part: [row for row in rows if row["part"] == part] for part in ("card", "resume", "notebook")
        }
        passed = {part: [row for row in found if row["status"] == "ok"] for part, found in parts.items()}
        text = f"Measured on {rows[0]['machine']}, with PyTorch {rows[0]['torch']}, on {rows[0]['date']}."
        if speeds := [f"{float(r['tflops']):.0f} in {r['precision']}" for r in passed["card"]]:
            text += f" TFLOP/s in products of 8192 × 8192 matrices there: {', '.join(speeds)}."
        if found := [row["precision"] for row in passed["resume"]]:
            text += f" A run that was killed and resumed ended bit for bit as one never stopped, in {', '.join(found)}."
        if parts["notebook"]:
            text += (
                f" Labs that ran at the smoke scale: {len(passed['notebook'])} of {len(parts['notebook'])}."
            )
        failed = [row for part, found in parts.items() for row in found if row not in passed[part]]
        return text + "".join(f" Failed: {row['part']} {row['name']} ({row['status']})." for row in failed)


class _Quote(SphinxRole):
    def path(self, stem: str):
        path = notebooks(self.env).get(stem)
        if path is not None:
            self.env.note_dependency(str(path))
        return path

    def unknown(self, why: str):
        message = f"{self.name} {self.text!r}: {why}"
        logger.warning(message, location=self.get_location(), type="dlp", subtype=self.name)
        return [nodes.inline("", f"[{message}]", classes=["dlp-unknown"])], []


class ClaimRole(_Quote):
    def run(self):
        stem, _, name = self.text.partition("/")
        percent, name = name.endswith(" %"), name.removesuffix(" %")
        path = self.path(stem)
        if path is None:
            return self.unknown(f"there is no notebook {stem}; name it as stem/claim")
        claims = {claim["name"]: claim for claim in from_notebook(path)}
        if name not in claims:
            return self.unknown(f"the notebook claims {', '.join(sorted(claims)) or 'nothing'}")
        value = claims[name]["value"]
        text = percentage(value) if percent else number(value)
        return [nodes.inline("", text, classes=["dlp-claim"])], []


class CostRole(_Quote):
    def run(self):
        path = self.path(self.text)
        if path is None:
            return self.unknown("there is no such notebook")
        cost = cost_of(path)
        if not cost:
            return self.unknown("the notebook has not been measured; run make notebooks")
        text = f"{seconds(cost['seconds'])}, {megabytes(cost['peak_mb'])}"
        return [nodes.inline("", text, classes=["dlp-cost"])], []


def setup(app: Sphinx) -> dict:
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("cost-table", CostTable)
    app.add_directive("data-table", DataTable)
    app.add_directive("gpu-table", GpuTable)
    app.add_role("claim", ClaimRole())
    app.add_role("cost", CostRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

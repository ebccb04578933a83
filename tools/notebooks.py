"""Run, export, stamp and lay out notebooks.

    python tools/notebooks.py run [STEM ...]      execute at the current profile, store cleaned outputs
    python tools/notebooks.py export [STEM ...]   write dlp_utils/models/<stem>.py from the `#| export` cells
    python tools/notebooks.py stamp [STEM ...]    rewrite title cell, set-up cell and folds (after a change of address)
    python tools/notebooks.py new STEM            lay out the files of a new chapter

`run` skips a notebook whose cells have not changed since its outputs were stored; `run --force` does not.
"""

import argparse
import base64
import contextlib
import datetime
import hashlib
import io
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
MODELS = ROOT / "dlp_utils" / "models"
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def repository():
    """The repository's address, from its one place: pyproject.toml, [project.urls]."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^repository\s*=\s*"([^"]+)"', text, re.M)
    if not found:
        raise SystemExit('pyproject.toml has no `repository = "…"` under [project.urls]')
    return found[1].rstrip("/")


def stems(chosen=()):
    """The chosen stems, or all; a stem without a notebook is named."""
    known = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    for stem in chosen:
        if stem not in known:
            raise SystemExit(f"no notebooks/{stem}.ipynb; there are: {', '.join(known) or 'none'}")
    return list(chosen) or known


def read(stem, folder=None):
    return nbformat.read((folder or NOTEBOOKS) / f"{stem}.ipynb", as_version=4)


def write(notebook, stem):
    nbformat.validate(notebook)
    nbformat.write(notebook, NOTEBOOKS / f"{stem}.ipynb")


# --- title cell and set-up cell: written by the machine, so that they cannot go stale ------------------------


def cost_line(run):
    """One sentence on what the notebook costs, from the measured run in its metadata (None: not yet run)."""
    if not run:
        return "**Cost**: not measured yet."
    return (
        f"**Cost**: {run['seconds']:.0f} s and {run['peak_mb'] / 1000:.1f} GB of memory, measured at the "
        f"`{run['profile']}` profile on {run['machine']}, {run['date']}."
    )


def title_cell(stem, title, run):
    """Markdown of the first cell: title, links to Colab and Kaggle, measured cost, link to the page."""
    owner_and_name = repository().removeprefix("https://github.com/")
    path = f"{owner_and_name}/blob/main/notebooks/{stem}.ipynb"
    colab = f"https://colab.research.google.com/github/{path}"
    kaggle = f"https://kaggle.com/kernels/welcome?src=https://github.com/{path}"
    return (
        f"# {title}\n\n"
        f"[![Open in Colab](../book/_static/badges/colab.svg)]({colab}) "
        f"[![Open in Kaggle](../book/_static/badges/kaggle.svg)]({kaggle})\n\n"
        f"{cost_line(run)} The derivations are on the [chapter's page](../book/{stem}.md)."
    )


def setup_cell():
    """Code of the set-up cell: install the helper package only where it is missing, leave the host's versions."""
    home, _, name = repository().rpartition("/")  # in two parts: the address alone is wider than the page
    return (
        "try:\n"
        "    import dlp_utils as dlp\n"
        "except ModuleNotFoundError:  # on Colab and Kaggle\n"
        f'    home = "{home}"\n'
        f'    %pip install -q "dlp-utils @ git+{{home}}/{name}"\n'
        "    import dlp_utils as dlp"
    )


# --- folds: one mark in a cell, written out for the page, JupyterLab and Colab -------------------------------

MARK = re.compile(r"# @title +(\S.*)")


def title_of(source):
    """The title of a cell that is plumbing, from its mark `# @title …`; None where there is no mark.

    The mark is the cell's first line, or the line after `# NBVAL_CHECK_OUTPUT`.
    """
    first, *rest = source.split("\n")
    if first.strip() == "# NBVAL_CHECK_OUTPUT" and rest:
        first = rest[0]
    found = MARK.fullmatch(first.rstrip())
    return found[1] if found else None


def put(metadata, key, values, names):
    """Set metadata[key] to what others wrote there plus `values`, without the old values of `names`."""
    kept = {name: value for name, value in metadata.pop(key, {}).items() if name not in names}
    if kept | values:
        metadata[key] = kept | values


def fold(notebook):
    """Fold every marked cell for the page (tag, title), JupyterLab and Colab; unfold every other one."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        title, metadata = title_of(cell.source), cell.metadata
        tags = [tag for tag in metadata.pop("tags", []) if tag != "hide-input"]
        metadata.pop("cellView", None)
        if title:
            tags.append("hide-input")
            metadata["cellView"] = "form"
        if tags:
            metadata["tags"] = tags
        put(metadata, "jupyter", {"source_hidden": True} if title else {}, ["source_hidden"])
        prompts = ("code_prompt_show", "code_prompt_hide")
        put(metadata, "mystnb", dict.fromkeys(prompts, title) if title else {}, prompts)


# --- figures: numbers for their captions, words for those who do not see them --------------------------------

CAPTION = re.compile(r"\*(?:Figure \d+\. )?(?=[^*\s])(.+?)\*(?=\s|$)", re.S)


def plain(text):
    """A caption as words: without links, marks and math delimiters."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[*`$]|\\(?=[A-Za-z])", "", text).split())


def shows(cell):
    """What a code cell's outputs show: "plot", "player" (frames with words of their own), or None."""
    data = [output.get("data", {}) for output in cell.outputs] if cell.cell_type == "code" else []
    if any("image/png" in each for each in data):
        return "plot"
    return "player" if any("<img" in "".join(each.get("text/html", "")) for each in data) else None


def caption(cells, i):
    """The cell with the caption of the figure of cell i, and its match; (None, None) without one."""
    for j in range(i + 1, len(cells)):
        if shows(cells[j]):
            break
        found = CAPTION.match(cells[j].source) if cells[j].cell_type == "markdown" else None
        if found and (j == i + 1 or cells[j].source.startswith("*Figure ")):
            return cells[j], found
    return None, None


def describe(notebook):
    """Number the captions of figures, and give a figure without words its title and caption as alternative text.

    A caption is the emphasis that opens the text after the cell that draws. What a person wrote is a sentence, with its
    full stop, and stays; without title and caption the figure is called by the heading above it.
    """
    number, heading = 0, ""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            heading = [heading, *re.findall(r"^#+ +(.+)$", cell.source, re.M)][-1]
            continue
        below, found = caption(notebook.cells, i) if shows(cell) else (None, None)
        if found:
            number += 1
            below.source = f"*Figure {number}. {found[1]}*" + below.source[found.end() :]
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if shows(cell) != "plot":
            alt = ""
        elif not alt.endswith("."):
            title = title_of(cell.source) or ("" if found else plain(heading))
            title = re.sub(r"^(Draw|Plot|Show) ", "", title)
            words = [title[:1].upper() + title[1:], plain(found[1]) if found else ""]
            alt = ". ".join(word.rstrip(".") for word in words if word)
        put(cell.metadata, "mystnb", {"image": {"alt": alt}} if alt else {}, ["image"])


def stamp(stem):
    """Rewrite what the machine writes in a notebook: title cell, set-up cell, folds, numbers and words of figures."""
    notebook = read(stem)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    notebook.cells[0].source = title_cell(stem, title, notebook.metadata.get("dlp"))
    first_code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first_code.source = setup_cell()
    fold(notebook)
    describe(notebook)
    write(notebook, stem)


# --- export --------------------------------------------------------------------------------------------


def export(stem, folder=MODELS):
    """Write `<folder>/<stem>.py` from the notebook's `#| export` cells with nbdev; return the path, or None."""
    from nbdev.export import nb_export

    notebook = read(stem)
    if not any(cell.cell_type == "code" and cell.source.startswith("#| export") for cell in notebook.cells):
        return None
    nb_export(str(NOTEBOOKS / f"{stem}.ipynb"), lib_path=str(folder), name=stem)
    path = Path(folder) / f"{stem}.py"
    body = path.read_text(encoding="utf-8").split("\n")
    # nbdev's first lines name the source relative to the output folder and number the cells; both would
    # differ between a run here and one in a temporary folder, and renumbering would make noise in diffs.
    lines = [re.sub(r"^# %% .*", "# %%", line) for line in body if not line.startswith("# AUTOGENERATED")]
    head = f'"""Generated from notebooks/{stem}.ipynb by `make export`: edit the notebook, not this file."""'
    path.write_text(f"{head}\n" + "\n".join(lines).strip() + "\n", encoding="utf-8")
    return path


# --- run -----------------------------------------------------------------------------------------------


def fingerprint(notebook):
    """Hash of the code cells: outputs are stored anew only when it changes.

    The set-up cell does not count: a new address of the repository changes no result.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    code = "\0".join(
        source for source in cells if not source.startswith("try:\n    import dlp_utils as dlp\n")
    )
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def peak_memory_of(process, stop, result):
    """Poll the resident memory of a process and its children until `stop` is set; MB in result[0]."""
    import psutil

    done = False
    while not done:  # once more after `stop`, so that the shortest run is measured too
        done = stop.wait(0.2)
        with contextlib.suppress(psutil.Error):  # a child may end between the listing and the question
            family = [process, *process.children(recursive=True)]
            result[0] = max(result[0], sum(p.memory_info().rss for p in family) / 1e6)


def smaller(png):
    """Base64 PNG with a palette of 128 or 256 colors, where that changes a pixel little on average; else as it was."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    for colors, change_at_most in ((128, 0.25), (256, 1.0)):
        palette = image.quantize(colors, dither=Image.Dither.NONE)
        change = np.abs(np.asarray(palette.convert("RGB"), dtype=int) - np.asarray(image, dtype=int))
        if change.mean() <= change_at_most:
            buffer = io.BytesIO()
            palette.save(buffer, "PNG", optimize=True)
            return base64.b64encode(buffer.getvalue()).decode() + "\n"
    return png  # a photograph, not a drawing


def clean(notebook):
    """Drop what must not be stored: widget views, timing metadata, empty outputs, needless bytes; join what was printed."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = KERNELSPEC
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = smaller(output["data"]["image/png"])
            if WIDGET in output.get("data", {}):
                del output["data"][WIDGET]
                if not set(output["data"]) - {"text/plain"}:  # a progress bar: nothing to see once it is over
                    output["data"].clear()
        kept = [output for output in cell.outputs if "data" not in output or output["data"]]
        cell.outputs = kept[:1]
        for output in kept[1:]:
            last = cell.outputs[-1]
            if output.output_type == last.output_type == "stream" and output.name == last.name:
                last.text += output.text  # a line printed late is no output of its own
            else:
                cell.outputs.append(output)


def run(stem, force=False):
    """Execute a notebook from a fresh kernel and store its outputs, time, memory, machine and date."""
    import psutil
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    import dlp_utils as dlp

    stamp(stem)  # before the fingerprint is taken: the set-up cell is code
    notebook = read(stem)
    code = fingerprint(notebook)
    if not force and notebook.metadata.get("dlp", {}).get("code") == code:
        print(f"{stem}: cells unchanged, outputs kept (FORCE=1 runs it all the same)")
        return
    with tempfile.TemporaryDirectory() as scratch:
        client = NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(NOTEBOOKS)}})
        client.create_kernel_manager()
        environment = {"DLP_PROGRESS": f"{scratch}/progress.json", "PYTHONHASHSEED": "0"}
        start = time.perf_counter()
        with client.setup_kernel(env={**os.environ, **environment}):
            stop, peak = threading.Event(), [0.0]
            kernel = psutil.Process(client.km.provisioner.pid)
            watcher = threading.Thread(target=peak_memory_of, args=(kernel, stop, peak))
            watcher.start()
            try:
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise SystemExit(f"{stem}: cell {index} failed, stored outputs kept.\n{error}") from None
            finally:
                stop.set()
                watcher.join()
        seconds = time.perf_counter() - start
    clean(notebook)
    notebook.metadata["dlp"] = {
        "code": code,
        "date": datetime.date.today().isoformat(),
        "machine": dlp.machine(),
        "peak_mb": round(peak[0]),
        "profile": dlp.profile(),
        "seconds": round(seconds, 1),
    }
    write(notebook, stem)
    stamp(stem)
    print(f"{stem}: {seconds:.0f} s, {peak[0]:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "export", "stamp", "new"))
    parser.add_argument("stems", nargs="*")
    parser.add_argument("--force", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if arguments.command == "new":
        from new_chapter import lay_out

        for stem in arguments.stems:
            lay_out(stem)
        return
    for stem in stems(arguments.stems):
        if arguments.command == "run":
            run(stem, arguments.force)
        elif arguments.command == "export":
            print(export(stem) or f"{stem}: nothing to export")
        else:
            stamp(stem)


if __name__ == "__main__":
    main()

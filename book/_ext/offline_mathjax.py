"""MathJax from the wheel `sphinx-mathjax-offline`, so that formulas show with the network cut.

The wheel's own Sphinx extension does not say whether it may run in parallel, which `-W` turns into an error.
Here only the files that a page may ask for are copied: 24 MB would be a heavy book.
"""

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

WHEEL = "sphinx-mathjax-offline"
# What a page may ask for. Not the combined file: a third of it is a menu, this book's pages do without.
PARTS = (
    "startup.js",
    "core.js",
    "input/tex.js",
    "input/tex/extensions",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2",
    "a11y/assistive-mml.js",
)
# Formulas stay readable to screen readers: assistive-mml puts MathML beside the drawn letters.
LOAD = ["core", "input/tex", "output/chtml", "a11y/assistive-mml"]


def mathjax_folder() -> Path:
    """Return the folder of the MathJax files; ExtensionError where the wheel or its files are missing."""
    try:
        folder = Path(distribution(WHEEL).locate_file(WHEEL)) / "static" / "mathjax"
    except PackageNotFoundError:
        raise ExtensionError(f"{WHEEL} is not installed; run pip install {WHEEL}") from None
    missing = [part for part in PARTS if not (folder / part).exists()]
    if missing:
        raise ExtensionError(f"{WHEEL} lacks {missing[0]} in {folder.name}; install version 0.0.2 of it")
    return folder


def _copy(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
    for part in PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / part, target / part)


def _configure(app: Sphinx, config) -> None:
    mathjax_folder()  # say early what is missing, not after minutes of building
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {**(config.mathjax3_config or {}), "loader": {"load": LOAD}}


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.mathjax")
    app.connect("config-inited", _configure)
    app.connect("build-finished", _copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""A Sphinx project of a few files, for the tests of the book's extensions."""

import io
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))
ADDRESS = "https://example.org/books/deep"


class Project:
    """A book of a few files; `build()` gives back what Sphinx warned."""

    def __init__(self, folder, *extensions, **config):
        self.folder = folder
        config = {"html_theme": "basic", "nb_execution_mode": "off", "numfig": True, **config}
        self.config = {"extensions": ["myst_nb", *extensions], "root_doc": "index", **config}
        self.write("pyproject.toml", f'[project.urls]\nrepository = "{ADDRESS}"\n')

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def build(self):
        warnings = io.StringIO()
        out = self.folder / "_out"
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                srcdir=self.folder,
                confdir=None,
                outdir=out,
                doctreedir=out / ".doctrees",
                buildername="html",
                confoverrides={"myst_enable_extensions": ["dollarmath"], **self.config},
                status=None,
                warning=warnings,
            )
            app.build()
        lines = re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue()).splitlines()
        return [line for line in lines if line and "unsupported theme option" not in line]

    def page(self, name="index"):
        return (self.folder / "_out" / f"{name}.html").read_text(encoding="utf-8")

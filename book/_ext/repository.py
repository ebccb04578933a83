"""The repository's address, read from pyproject.toml, its only place.

From it come the theme's repository buttons, the links to source lines, and the word `REPOSITORY_URL` in
Markdown pages (code blocks too).
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

PLACEHOLDER = "REPOSITORY_URL"


def read_address(pyproject: Path) -> str:
    """Return `[project.urls] repository` of a pyproject.toml; ConfigError where it is missing."""
    text = pyproject.read_text(encoding="utf-8") if pyproject.is_file() else ""
    # Python 3.10 brings no TOML reader; one key of one table is little enough to find without.
    table = re.search(r"^\[project\.urls\]$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    address = table and re.search(r'^repository\s*=\s*"(https?://[^"]+?)/?"', table[1], re.MULTILINE)
    if not address:
        raise ConfigError(
            f'{pyproject.name}: no repository = "https://…" in the table [project.urls]; add the line'
        )
    return address[1]


def source_url(config: Config, path: str, first: int | None = None, last: int | None = None) -> str:
    """Return the address of a file of the repository, or of its lines first to last (counted from 1)."""
    blob = "-/blob" if "gitlab" in config.dlp_repository else "blob"
    url = f"{config.dlp_repository}/{blob}/{config.dlp_branch}/{path}"
    if first is not None:
        url += f"#L{first}" + (f"-L{last}" if last is not None and last != first else "")
    return url


def _configure(app: Sphinx, config: Config) -> None:
    config.dlp_repository = read_address(Path(app.srcdir) / "pyproject.toml")
    config.html_theme_options.update(
        repository_url=config.dlp_repository,
        repository_branch=config.dlp_branch,
        path_to_docs="",
        use_repository_button=True,
        use_source_button=True,
        use_issues_button=True,
    )


def _fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    # Text cells of notebooks are left alone: what is stored there is what every other viewer shows.
    if str(app.env.doc2path(docname)).endswith(".md"):
        source[0] = source[0].replace(PLACEHOLDER, app.config.dlp_repository)


def setup(app: Sphinx) -> dict:
    app.add_config_value("dlp_repository", "", "env", str)
    app.add_config_value("dlp_branch", "main", "env", str)
    app.connect("config-inited", _configure)
    app.connect("source-read", _fill_in)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

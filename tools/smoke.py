"""Run notebooks at the smoke profile: those whose code, or the code that they import, has changed since they passed.

    python tools/smoke.py [--all] [pytest's options]

What passed is kept in _build/smoke.json, a hash for each notebook.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

from notebooks import ROOT, fingerprint, read, stems

PASSED = ROOT / "_build" / "smoke.json"
# The names that a line (or parentheses after it) imports from the package, or from its neighbors.
IMPORT = re.compile(r"^\s*(?:from|import) (?:dlp_utils|\.)[^\n(]*(?:\([^)]*\))?", re.M)


def imported(text, known):
    """Those of the `known` modules that `text` imports, and those that they import in turn."""
    found, waiting = set(), [text]
    while waiting:
        words = {word for line in IMPORT.findall(waiting.pop()) for word in re.findall(r"\w+", line)}
        for name in sorted((words & set(known)) - found):
            found.add(name)
            waiting += [path.read_text(encoding="utf-8") for path in known[name]]
    return found


def key(stem, root=ROOT):
    """A hash of all that may change what the notebook does."""
    package = root / "dlp_utils"
    known = {}  # data sets and models by name; all else belongs to every notebook
    for path in sorted([*package.glob("data/[a-z]*.py"), *package.glob("models/[a-z]*.py")]):
        known.setdefault(path.stem, []).append(path)
    notebook = read(stem, root / "notebooks")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    names = sorted(imported(code, known) | {stem})
    judges = [root / "notebooks" / "conftest.py", root / "tools" / "lesson.py"]
    files = [*package.glob("*.py"), root / "requirements.txt", *judges]
    for name in names:
        files += known.get(name, [])
        files += package.glob(f"checks/{name}.py")
        files += package.glob(f"weights/{name}*")
        files += root.glob(f"notebooks/studies/{name}*.csv")
    found = hashlib.sha256(fingerprint(notebook).encode())
    for file in sorted(files):
        found.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return found.hexdigest()


class Outcome:
    """Plugin for pytest: the stems of notebooks in which a cell failed."""

    def __init__(self):
        self.failed = set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(Path(report.nodeid.split("::")[0]).stem)


def main(options):
    passed = json.loads(PASSED.read_text()) if PASSED.is_file() and "--all" not in options else {}
    keys = {stem: key(stem) for stem in stems()}
    changed = [stem for stem in keys if passed.get(stem) != keys[stem]]
    print(f"smoke: {len(changed)} of {len(keys)} notebooks have changed since they passed")
    if not changed:
        return 0
    os.environ["DLP_PROFILE"] = "smoke"
    outcome = Outcome()
    files = [str(ROOT / "notebooks" / f"{stem}.ipynb") for stem in changed]
    code = pytest.main([*(one for one in options if one != "--all"), *files], plugins=[outcome])
    if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        passed |= {stem: keys[stem] for stem in changed if stem not in outcome.failed}
        PASSED.parent.mkdir(exist_ok=True)
        PASSED.write_text(json.dumps(passed, indent=1))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

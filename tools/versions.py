"""Try the book with the oldest or the newest packages that pyproject.toml allows: `make oldest`, `make newest`.

Makes a virtual environment of its own (.venv-oldest or .venv-newest, some 6 GB on Linux), then imports every module,
runs the unit tests of dlp_utils and the notebooks at the smoke profile, and prints which versions ran.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the tests and notebooks need beside the book's own packages, always the newest.
TOOLS = ["ipykernel", "nbval", "pytest", "pytest-timeout", "pytest-xdist", "sympy"]
NOT_UNIT = {  # tests of the book's pages, builds and tools: their packages are pinned in requirements.txt
    *("anatomy", "claims_words", "extensions", "figures", "glossary", "gpu_tool", "new_chapter", "notebooks"),
    *("reader_path", "repository", "tool_notebooks", "formulas_tool", "smoke_tool", "versions"),
}
IMPORTS = """
import importlib, pkgutil, dlp_utils
for module in pkgutil.walk_packages(dlp_utils.__path__, "dlp_utils."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def requirements(which, text):
    """The packages of pyproject.toml's text, extras too: pinned to lower bounds ("oldest") or free ("newest")."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.M | re.S)[1]
    listed += re.search(r"^\[project.optional-dependencies\]\n(.*?)\n\n", text, re.M | re.S)[1]
    bounds = re.findall(r'^(?:\w+ = \[|\s*)"([\w-]+)>=([\w.]+)"', listed, re.M)
    return [f"{name}=={version}" if which == "oldest" else name for name, version in bounds]


def unit_tests():
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(f) for f in files if f.stem.removeprefix("test_") not in NOT_UNIT] + [
        str(ROOT / "tests" / "exercises")
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=("oldest", "newest"))
    which = parser.parse_args().which
    place = ROOT / f".venv-{which}"
    python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    wanted = requirements(which, (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    upgrade = ["--upgrade"] if which == "newest" else []
    print(f"Installing into {place.name}: some minutes the first time.", flush=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *upgrade, *wanted, *TOOLS], check=True)

    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    pytest = [python, "-m", "pytest", "-n", os.environ.get("WORKERS", "2")]
    nbval = ["--nbval-lax", "--nbval-kernel-name=python3", "--nbval-cell-timeout=1800"]
    nbval += ["--nbval-sanitize-with", "notebooks/nbval.cfg"]
    checks = {
        "imports": [python, "-c", IMPORTS],
        "unit tests": [*pytest, "-m", "not slow and not site", *unit_tests()],
        "smoke notebooks": [*pytest, *nbval, "--dist", "loadscope", "notebooks"],
    }
    results = {}
    for name, command in checks.items():
        smoke = {"DLP_PROFILE": "smoke"} if name == "smoke notebooks" else {}
        code = subprocess.run(command, cwd=ROOT, env=env | smoke).returncode
        results[name] = "ok" if code == 0 else "failed"
    names = [re.split("==", each)[0] for each in wanted]
    show = f"""
from importlib.metadata import version; import platform
print(f"Python {{platform.python_version()}}", *(f"{{n}} {{version(n)}}" for n in {names!r}), sep=", ")
"""
    print(
        f"\n{which}, {datetime.date.today()}: " + ", ".join(f"{k} {v}" for k, v in results.items()),
        flush=True,
    )
    subprocess.run([python, "-c", show], check=True)
    return int("failed" in results.values())


if __name__ == "__main__":
    sys.exit(main())

"""The repository as a whole: one address, no strays, no path of one machine, licences in place."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.search(
    r'^repository\s*=\s*"([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M
)[1]
OWNER_AND_NAME = ADDRESS.removeprefix("https://github.com/")


def tracked():
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts():
    for path in tracked():
        try:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def strays(name, text):
    """Places where a file that a person writes spells out the repository's address."""
    if name == "pyproject.toml":
        return text.count(OWNER_AND_NAME) - 1
    if name.startswith("notebooks/") and name.endswith(".ipynb"):
        return 0  # written by `make address`; tests/test_notebooks.py holds them to it
    return text.count(OWNER_AND_NAME)


def test_address_stands_in_one_place():
    found = {str(name): strays(str(name), text) for name, text in texts()}
    assert {name: count for name, count in found.items() if count} == {}


def test_a_stray_address_is_found():
    assert strays("README.md", f"see {ADDRESS}") == 1
    assert strays("pyproject.toml", f"{ADDRESS} {ADDRESS}") == 1


MACHINE = re.compile(r"(?<![\w.:/~-])/(?:home|root|work|Users)/\w+")


def test_no_path_of_one_machine():
    found = [f"{name}: {hit[0]}" for name, text in texts() for hit in [MACHINE.search(text)]
             if hit and not str(name).startswith("tests/")]  # fmt: skip
    assert found == []


def test_a_path_of_one_machine_is_found():
    assert MACHINE.search("see /home/reader/book") and MACHINE.search("('/work/main')")
    assert not MACHINE.search("https://example.org/home/page") and not MACHINE.search("dlp_utils/work/x")


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "LICENSE", "requirements.txt", "_config.yml", "_toc.yml"]
)
def test_expected_files(name):
    assert (ROOT / name).stat().st_size > 100


def test_every_chapter_is_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    files = set(re.findall(r"(?:file|root):\s*(\S+)", toc))
    assert yaml.safe_load(toc)
    for path in [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]:
        name = str(path.relative_to(ROOT).with_suffix(""))
        assert name in files, f"{name} is missing in _toc.yml"
    for name in files:
        assert any((ROOT / f"{name}{suffix}").is_file() for suffix in (".md", ".ipynb")), (
            f"_toc.yml names {name}"
        )


def test_requirements_pin_what_is_asked_for():
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))
    asked = re.findall(r"^([\w.-]+)", (ROOT / "requirements.in").read_text(encoding="utf-8"), re.M)
    assert set(asked) <= pinned


def test_package_has_lower_bounds_only():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", project, re.M | re.S)[1]
    bounds = re.findall(r'"([\w.-]+)([^"]*)"', dependencies)
    assert len(bounds) > 5
    assert all(re.fullmatch(r">=[\d.]+", bound) for _, bound in bounds), bounds


@pytest.mark.parametrize("folder", [".venv", ".venv-oldest", ".venv-newest", ".gpu", "_build"])
def test_what_commands_lay_down_beside_the_book_is_not_read_as_pages(folder):
    patterns = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["exclude_patterns"]
    assert any(fnmatch.fnmatch(f"{folder}/lib/template.md", pattern) for pattern in patterns)

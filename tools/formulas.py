"""Show each formula that nobody has compared with its test beside that test, and stamp what agrees.

Called by `make verified`. A person answers for each formula; without a terminal nothing is stamped unless the
labels are named: `tools/formulas.py --stamp eq-…`. The stamps stand in tests/derivations/printed.json.
"""

import argparse
import ast
import itertools
import re
import shutil
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "derivations"))
import printed  # noqa: E402

LABEL = re.compile(r'^    "(eq-[\w-]+)": \(', re.M)


def tests_of(source):
    """{label: [source of each test that verifies it]} of a test file."""
    lines, found = source.splitlines(), {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "verifies":
                first = min(part.lineno for part in node.decorator_list)
                text = "\n".join(lines[first - 1 : node.end_lineno])
                for argument in call.args:
                    found.setdefault(ast.literal_eval(argument), []).append(text)
    return found


def side_by_side(left, right, width):
    """Two texts in two columns; the left one is wrapped, the right one keeps its lines."""
    half = max(width - 82, 40)
    left = [part for line in left.splitlines() for part in textwrap.wrap(line, half - 2) or [""]]
    rows = itertools.zip_longest(left, right.splitlines(), fillvalue="")
    return "\n".join(f"{a:<{half}}│ {b}".rstrip() for a, b in rows)


def chapters(stem, root):
    """(stem, {label: formula}, {label: tests}) of each page with claims."""
    for page in sorted((root / "book").glob(f"{stem or '*'}.md")):
        formulas = printed.formulas(page.read_text(encoding="utf-8"))
        tests = root / "tests" / "derivations" / f"test_{page.stem}.py"
        if formulas and tests.is_file():
            yield page.stem, formulas, tests_of(tests.read_text(encoding="utf-8"))


def read_from_page(root):
    """The labels of the formulas that tests/derivations/test_read.py computes from their LaTeX."""
    files = (root / "tests" / "derivations" / "read").glob("*.py")
    return {label for path in files for label in LABEL.findall(path.read_text(encoding="utf-8"))}


def main(arguments=None, root=ROOT, ask=input):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stem", nargs="?", help="one chapter; all of them by default")
    parser.add_argument("--all", action="store_true", help="show those that are stamped, too")
    parser.add_argument("--stamp", nargs="+", metavar="LABEL", default=[], help="stamp these without asking")
    options = parser.parse_args(arguments)
    path = root / "tests" / "derivations" / "printed.json"
    stamps, left, width = printed.read_stamps(path), 0, shutil.get_terminal_size((170, 40)).columns
    pages = [page.read_text(encoding="utf-8") for page in sorted((root / "book").glob("*.md"))]
    known = {label for page in pages for label in printed.formulas(page)}
    if unknown := [label for label in options.stamp if label not in known]:
        raise SystemExit(f"no page prints {', '.join(unknown)}.")
    for label in [label for label in stamps if label not in known]:
        print(f"{label}: no page prints it any more; its stamp is removed.")
        del stamps[label]
    for stem, formulas, tests in chapters(options.stem, root):
        for label, latex in formulas.items():
            if printed.is_stamped(label, latex, stamps) and not options.all:
                continue
            if label in options.stamp:
                stamps[label] = printed.stamp_of(latex)
                print(f"{label}: stamped.")
                continue
            if options.stamp:
                continue
            code = "\n\n".join(tests.get(label, ["(no test)"]))
            print(f"\n─── {label}, book/{stem}.md\n{side_by_side(latex, code, width)}")
            if printed.is_stamped(label, latex, stamps):
                continue
            if ask is input and not sys.stdin.isatty():
                left += 1
                continue
            answer = ask("Does the test check what is printed? [y/n/q] ").strip().lower()
            if answer.startswith("y"):
                stamps[label] = printed.stamp_of(latex)
            elif answer.startswith("q"):
                printed.write_stamps(stamps, path)
                return 1
            else:
                left += 1
    printed.write_stamps(stamps, path)
    read = read_from_page(root) & known
    print(
        f"{len(known)} formulas, {len(stamps)} stamped, {len(read)} of them also read from the page and computed."
    )
    if left:
        print(f"\n{left} without a stamp. Mend the page or the test, or stamp: --stamp LABEL …")
    return int(bool(left))


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m dlp_utils.data`: list the data sets, and fetch those that are missing."""

import argparse
import sys

from . import datasets


def main(arguments=None):
    """Run the command and return its exit code: 0 when all is here, 1 when some set could not be fetched."""
    parser = argparse.ArgumentParser(
        prog="python -m dlp_utils.data", description="List and fetch the book's data sets."
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument(
        "--chapter", metavar="STEM", help="only those of one chapter, such as backpropagation"
    )
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a file may have an encoding without ✓, ✗ or …
        sys.stdout.reconfigure(errors="replace")
    try:
        chosen = datasets(options.chapter)
    except ValueError as error:
        parser.error(str(error))
    missing = _print_table(chosen)
    if options.list:
        return 0
    failed = 0
    for entry in missing:
        try:
            entry.fetch()
            print(f"✓ {entry.name}")
        except Exception as error:  # one broken source must not keep the other sets from coming
            failed += 1
            print(f"✗ {entry.name}: {error or type(error).__name__}")
    if failed:
        print(f"{failed} of {len(missing)} data sets could not be fetched.")
    elif not missing:
        print("Nothing to fetch.")
    return 1 if failed else 0


def _print_table(chosen):
    """Print one line a data set and return those that are not here yet."""
    rows, missing = [("name", "chapter", "size", "here", "license", "source")], []
    for entry in chosen:
        here = entry.cached()
        missing += [] if here else [entry]
        size = f"{entry.megabytes:.1f} MB" if entry.fetch else "generated"
        rows.append((entry.name, entry.chapter, size, "yes" if here else "no", entry.license, entry.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return missing


if __name__ == "__main__":
    sys.exit(main())

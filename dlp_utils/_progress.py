"""The file of solved exercises: DLP_PROGRESS, else `progress.json` in DLP_HOME (by default `~/.dlp`).

Whatever happens to that file, nothing here raises: trouble is told in one printed sentence.
"""

import contextlib
import datetime
import json
import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two notebooks that solve something in the same instant may lose one entry
    fcntl = None


def path():
    """Return the progress file's path."""
    if named := os.environ.get("DLP_PROGRESS"):
        return Path(named).expanduser()
    return Path(os.environ.get("DLP_HOME") or "~/.dlp").expanduser() / "progress.json"


def solved():
    """Return {id: date solved}. A broken file is set aside, with a sentence, and counts as empty."""
    file = path()
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        print(f"Progress cannot be read from {file} ({error.strerror}).")
        return {}
    except UnicodeDecodeError as error:
        return _set_aside(file, error)
    try:
        entries = json.loads(text)["solved"]
        if not isinstance(entries, dict):
            raise TypeError("'solved' is no table")
        return entries
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _set_aside(file, error)


def record(id):
    """Note that exercise `id` is solved; the first date stays."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file):
            entries = solved()
            if id not in entries:
                _write(file, {**entries, id: datetime.date.today().isoformat()})
    except OSError as error:
        print(
            f"Progress could not be saved in {file} ({error.strerror}); "
            "set DLP_PROGRESS to a file that you may write."
        )


def _set_aside(file, error):
    for i in range(1, 1000):
        aside = file.with_name(f"{file.name}.broken-{i}")
        if not aside.exists():
            break
    with contextlib.suppress(OSError):
        os.replace(file, aside)
        print(f"The progress file {file} was broken ({type(error).__name__}); it is kept as {aside.name}.")
        return {}
    print(
        f"The progress file {file} is broken ({type(error).__name__}) and could not be moved out of the way."
    )
    return {}


@contextlib.contextmanager
def _locked(file):
    if fcntl is None:
        yield
        return
    with open(file.with_name(file.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(file, entries):
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as part:
            json.dump({"solved": entries}, part, indent=1, sort_keys=True)
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(name)
        raise

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
    named = os.environ.get("DLP_PROGRESS")
    named = named or os.path.join(os.environ.get("DLP_HOME") or "~/.dlp", "progress.json")
    return Path(os.path.expanduser(named))


def solved():
    """Return {id: date solved}. A broken file is set aside, with a sentence, and counts as empty."""
    with _locked(path()):
        return _read(path())


def record(id):
    """Note that exercise `id` is solved; the first date stays."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file):
            entries = _read(file)
            if id not in entries:
                _write(file, {**entries, id: datetime.date.today().isoformat()})
    except OSError as error:
        print(
            f"Progress could not be saved in {file} ({error.strerror or error}); "
            "set DLP_PROGRESS to a file that you may write."
        )


def _read(file):
    try:
        entries = json.loads(file.read_bytes().decode("utf-8"))["solved"]
        if isinstance(entries, dict):
            return entries
        return _set_aside(file, "no table of solved exercises")
    except FileNotFoundError:
        return {}
    except OSError as error:
        print(f"Progress cannot be read from {file} ({error.strerror or error}).")
        return {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _set_aside(file, type(error).__name__)


def _set_aside(file, reason):
    taken = {other.name for other in file.parent.iterdir()}
    number = next(i for i in range(1, len(taken) + 2) if f"{file.name}.broken-{i}" not in taken)
    aside = file.with_name(f"{file.name}.broken-{number}")
    try:
        os.replace(file, aside)
        print(f"The progress file {file} was broken ({reason}); it is kept as {aside.name}.")
    except OSError:
        print(f"The progress file {file} is broken ({reason}) and could not be moved out of the way.")
    return {}


@contextlib.contextmanager
def _locked(file):
    """Hold the file's lock where that is possible; readers of a read-only folder go on without."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if fcntl is not None:
                lock = stack.enter_context(open(file.with_name(file.name + ".lock"), "w"))
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

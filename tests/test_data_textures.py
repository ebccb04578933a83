"""Patches of photographs: split by place, standardized, drawn from the seed; CIFAR-10 and weights without a network."""

import numpy as np
import pytest

from dlp_utils.data import fetch, textures


def test_gray_patches_are_standardized_and_in_turn():
    parts = textures.gray(seed=1, size=16, counts=(4, 2, 3))
    for (x, y), count in zip(parts, (4, 2, 3), strict=True):
        assert x.shape == (16 * count, 1, 16, 16) and x.dtype == np.float32
        assert y.tolist() == [i % 16 for i in range(16 * count)]
        assert np.abs(x.mean(axis=(1, 2, 3))).max() < 1e-4
        assert x.std(axis=(1, 2, 3)).max() < 1.01 and np.median(x.std(axis=(1, 2, 3))) > 0.95
    again = textures.gray(seed=1, size=16, counts=(4, 2, 3))
    other = textures.gray(seed=2, size=16, counts=(4, 2, 3))
    assert np.array_equal(parts[0][0], again[0][0]) and not np.array_equal(parts[0][0], other[0][0])


def test_no_pixel_trains_and_tests():
    for name in textures.NAMES:
        height, width = textures.photograph(name).shape[:2]
        left, right = (
            textures._corners(np.random.default_rng(0), (height, width), 500, side) for side in (True, False)
        )
        assert left.min() >= 0 and (left[:, 0] + textures.SIDE <= height).all()
        assert left[:, 1].max() + textures.SIDE < right[:, 1].min()
        assert (right[:, 1] + textures.SIDE <= width).all()


def test_colored_patches_lie_in_their_photograph():
    (x, y), _, (x_test, _) = textures.colored(seed=0, counts=(1, 1, 1))
    assert x.shape == x_test.shape == (16, 3, 64, 64) and x.dtype == np.uint8
    number = textures.NAMES.index("coffee")
    photograph = textures.photograph("coffee")
    rows, columns = (np.array(photograph.shape[:2]) - 64 + 1).tolist()
    patch = x[number].transpose(1, 2, 0)
    assert y[number] == number
    first = patch[0, 0]
    places = np.argwhere((photograph[:rows, :columns] == first).all(axis=2))
    assert any(np.array_equal(photograph[i : i + 64, j : j + 64], patch) for i, j in places)


def test_wrong_requests_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="must divide 64"):
        textures.gray(size=48)
    with pytest.raises(ValueError, match="each at least 1"):
        textures.colored(counts=(3, 0, 1))
    with pytest.raises(ValueError, match="there are astronaut"):
        textures.photograph("lena")
    copy = textures.photograph("moon")
    copy[:] = 0
    assert textures.photograph("moon").any()


def test_cifar_is_asked_for_at_the_gpu_profile_alone(monkeypatch, capsys, tmp_path):
    assert textures.cifar10(download=False) is None

    def fails(*arguments, **how):
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fails)
    assert textures.cifar10(download=True, root=tmp_path) is None
    assert "patches take the place" in capsys.readouterr().out


def test_cifar_comes_as_channels_first(monkeypatch, tmp_path):
    class Fake:
        def __init__(self, root, train, download):
            assert download and root == tmp_path
            self.data = np.zeros((5 if train else 3, 32, 32, 3), np.uint8)
            self.data[1, 2, 4] = 7, 8, 9
            self.targets = list(range(len(self.data)))

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Fake)
    x, y, x_test, y_test = textures.cifar10(download=True, root=tmp_path)
    assert x.shape == (5, 3, 32, 32) and x_test.shape == (3, 3, 32, 32) and x.dtype == np.uint8
    assert x[1, :, 2, 4].tolist() == [7, 8, 9] and x.sum() == 24
    assert y.tolist() == [0, 1, 2, 3, 4] and y_test.tolist() == [0, 1, 2] and y.dtype == np.int64


def test_without_network_or_cache_the_weights_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError, match="efficientnet-lite0"):
        textures.lite0_weights()

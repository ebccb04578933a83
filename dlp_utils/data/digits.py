"""Handwritten digits, 8 × 8 pixels, 1,797 of them: the set that scikit-learn carries. Nothing to download.

Each pixel counts the dark points of a 4 × 4 square of the scan, so the values lie in **0 … 16**, not in 0 … 255.
"""

import functools

import numpy as np

from . import Dataset, fetch

TEST = 594  # of 1,797: a third


@functools.cache
def _raw():
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.images, loaded.target.astype(np.int64)


def load():
    """Return `images` (1797, 8, 8), float64 with values 0 to 16, and `labels` (1797,), int64 from 0 to 9.

    Source: `sklearn.datasets.load_digits`, the test part of Alpaydin and Kaynak's set of 1998. The writers are not
    told apart, so that a random split has the same hands on both sides.
    """
    images, labels = _raw()
    return images.copy(), labels.copy()


def split(seed=0, train=None, test=TEST):
    """Return `x_train, y_train, x_test, y_test`, drawn at random without overlap, the same for the same seed.

    x: (n, 64), float64, divided by 16 and so in [0, 1]. y: (n,), int64. train: how many points to train on; None
    takes all that the test leaves. ValueError where there are not as many.
    """
    images, labels = _raw()
    left = len(labels) - test
    train = left if train is None else train
    if not 1 <= test < len(labels) or not 1 <= train <= left:
        raise ValueError(
            f"there are {len(labels)} digits: {train} to train on and {test} to test do not fit, or are none"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    x, chosen, held = images.reshape(-1, 64) / 16, order[test : test + train], order[:test]
    return x[chosen], labels[chosen], x[held], labels[held]


def mnist(download=None, root="mnist"):
    """Return `x_train, y_train, x_test, y_test` of MNIST, or None: then the small digits serve.

    x: (60000, 784) and (10000, 784), float32 in [0, 1]. y: int64. download: whether torchvision is asked for it, to
    `root` (about 60 MB, once); by default at the gpu profile alone. A download that fails is no error: one printed
    line says so. Source: LeCun, Cortes and Burges, the MNIST database of handwritten digits.
    """
    if not fetch.original_wanted(download):
        return None
    parts = fetch.train_and_test("MNIST", root, "The 8 × 8 digits")
    if parts is None:
        return None
    pixels = [part.data.numpy().reshape(-1, 784).astype(np.float32) / 255 for part in parts]
    labels = [part.targets.numpy().astype(np.int64) for part in parts]
    return pixels[0], labels[0], pixels[1], labels[1]


DATASETS = (
    Dataset(
        "digits",
        "learning",
        "CC BY 4.0",
        "sklearn.datasets.load_digits",
        "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, doi:10.24432/C50P49",
    ),
)

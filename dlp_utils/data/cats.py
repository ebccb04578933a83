"""Pictures for the chapter `inpainting`: generated cat faces, masks to hide parts of them, crops of real photographs,
the lab's folder of pictures.

`generated_cats` draws with a program: ears, fur patterns, eyes, muzzle, whiskers, light, background. No photograph
is in it. `crops` cuts from real photographs. Pictures are uint8 (3, size, size). In a mask True says that the pixel
is missing.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import Dataset, _photographs, _pictures

PARTS = ("train", "validation", "test")
PATTERNS = ("solid", "tabby", "tuxedo", "patches", "points")
MASKS = ("box", "strokes", "half")
COATS = np.array(  # main color and second color; red, green, blue
    (
        ((0.86, 0.53, 0.24), (0.58, 0.29, 0.11)),  # ginger
        ((0.91, 0.80, 0.64), (0.66, 0.48, 0.31)),  # cream
        ((0.56, 0.58, 0.62), (0.30, 0.32, 0.37)),  # gray
        ((0.55, 0.39, 0.26), (0.27, 0.17, 0.11)),  # brown
        ((0.22, 0.21, 0.23), (0.10, 0.09, 0.11)),  # black
        ((0.93, 0.92, 0.89), (0.62, 0.50, 0.40)),  # white
    ),
    np.float32,
)
WALLS = np.array(
    (
        *((0.46, 0.60, 0.66), (0.58, 0.66, 0.52), (0.78, 0.70, 0.58), (0.68, 0.52, 0.50)),
        *((0.50, 0.48, 0.62), (0.34, 0.42, 0.46), (0.82, 0.78, 0.76), (0.40, 0.32, 0.30)),
    ),
    np.float32,
)
IRISES = np.array(
    ((0.48, 0.68, 0.22), (0.86, 0.64, 0.14), (0.34, 0.62, 0.86), (0.72, 0.42, 0.12)), np.float32
)
WHITE, PINK, DARK = (
    np.array(c, np.float32) for c in ((0.95, 0.93, 0.90), (0.88, 0.58, 0.56), (0.08, 0.06, 0.07))
)
TRAITS = ("x", "y", "head", "tilt", "ears", "eyes", "light", "brightness")
_DRAWS = 48  # uniform numbers that make one cat
_CHUNK = 64  # cats drawn at a time


@dataclass(frozen=True)
class Cats:
    """Generated pictures. images: (n, 3, size, size) uint8. The rest says what was drawn, and no model of the
    chapter sees it but the one whose features compare sets of pictures.

    pattern: (n,) numbers into `PATTERNS`. colors: (n, 4, 3) in [0, 1]: coat, second color, iris, background.
    traits: (n, 8) float32 in about [-1, 1], named by `TRAITS`.
    """

    images: np.ndarray
    pattern: np.ndarray
    colors: np.ndarray
    traits: np.ndarray

    def __len__(self):
        return len(self.images)


def generated_cats(n, part="train", size=32, seed=0):
    """Generate n cat faces as `Cats`; no two are alike.

    part: "train", "validation" or "test"; they share no cat. Picture i depends on seed, part, size and i only, so
    that a longer set begins with the shorter one. size: at least 16 pixels. About 1 ms a picture at 32.
    """
    _check(n, part, size)
    draws = [np.random.default_rng([seed, PARTS.index(part), i]).random(_DRAWS) for i in range(n)]
    draws = np.float32(draws)
    chunks = [_draw(draws[i : i + _CHUNK], size) for i in range(0, n, _CHUNK)]
    return Cats(*(np.concatenate(kind) for kind in zip(*chunks, strict=True)))


def masks(n, kind="mixed", size=32, seed=0):
    """Return bool masks (n, size, size), True where a pixel is missing, drawn from the seed.

    kind: "box", a rectangle of 0.3 to 0.6 of each side; "strokes", some thick lines; "half", left, right, upper
    or lower; "mixed", these three in turn.
    """
    if kind not in (*MASKS, "mixed"):
        raise ValueError(f"no masks of kind {kind!r}; there are {', '.join(MASKS)} and mixed.")
    _check(n, "train", size)
    found = np.zeros((n, size, size), bool)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    for i in range(n):
        rng = np.random.default_rng([seed, 99, i])
        shape = MASKS[i % len(MASKS)] if kind == "mixed" else kind
        found[i] = {"box": _box, "strokes": _strokes, "half": _half}[shape](rng, at)
    return found


def _check(n, part, size):
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of the generated cats; there are {', '.join(PARTS)}.")
    for name, value, least in (("n", n, 1), ("size", size, 16)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


# --- masks ---------------------------------------------------------------------------------------------


def _box(rng, at):
    inside = []
    for _ in range(2):
        side = rng.uniform(0.3, 0.6)
        low = rng.uniform(0.05, 0.95 - side)
        inside.append((at >= low) & (at < low + side))
    return inside[0][:, None] & inside[1][None, :]


def _strokes(rng, at):
    missing = np.zeros((len(at), len(at)), bool)
    for _ in range(rng.integers(2, 5)):
        (x0, y0, x1, y1), radius = rng.uniform(0.08, 0.92, 4), rng.uniform(0.04, 0.09)
        dx, dy = x1 - x0, y1 - y0
        x, y = at[None, :] - x0, at[:, None] - y0
        t = np.clip((x * dx + y * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        missing |= np.hypot(x - t * dx, y - t * dy) < radius
    return missing


def _half(rng, at):
    side = int(rng.integers(4))
    along = (at < 0.5) if side % 2 else (at >= 0.5)
    along = along[:, None] if side < 2 else along[None, :]
    return np.broadcast_to(along, (len(at), len(at)))


# --- drawing -------------------------------------------------------------------------------------------


class _Canvas:
    """Pictures (n, H, W, 3) in [0, 1], painted back to front; edges are soft over about a pixel."""

    def __init__(self, rgb, pixel):
        self.rgb, self.pixel = rgb, np.float32(pixel)

    def cover(self, distance, unit):
        """How much of each pixel lies inside; distance: signed, negative inside, in units of `unit`."""
        return np.clip(0.5 - distance * (unit / (1.2 * self.pixel)), 0, 1)

    def paint(self, alpha, color, strength=1.0):
        alpha = (alpha * strength)[..., None]
        self.rgb += alpha * (color - self.rgb)


def _ellipse(x, y, a, b):
    """Signed distance to an ellipse around the origin, near its edge."""
    return (np.sqrt((x / a) ** 2 + (y / b) ** 2) - 1) * np.minimum(a, b)


def _stroke(x, y, x0, y0, x1, y1, radius):
    dx, dy = x1 - x0, y1 - y0
    t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - x0 - t * dx, y - y0 - t * dy) - radius


def _triangle(x, y, corners):
    """Signed distance to a triangle with rounded corners, clockwise on the screen."""
    largest = None
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        edge = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / np.hypot(x1 - x0, y1 - y0)
        largest = edge if largest is None else np.maximum(largest, edge)
    return largest - 0.03


def _draw(draws, size):
    """Draw the cats that rows of uniform numbers (n, _DRAWS) describe: images, pattern, colors, traits."""
    columns = iter(draws.T)

    def uniform(low, high):
        return (low + (high - low) * next(columns))[:, None, None].astype(np.float32)

    def color(spread):
        return spread * (2 * np.stack([next(columns) for _ in range(3)], -1) - 1)

    coat, iris = (next(columns) * len(COATS)).astype(int), (next(columns) * len(IRISES)).astype(int)
    wall = (next(columns) * len(WALLS)).astype(int)
    pattern = (next(columns) * len(PATTERNS)).astype(int)
    main, second = COATS[coat, 0] + color(0.02), COATS[coat, 1] + color(0.02)
    points = pattern == PATTERNS.index("points")
    main[points] = COATS[1, 0] * 1.04 + color(0.02)[points]
    second[points] *= 0.75
    eye = IRISES[iris] + color(0.03)
    ground = WALLS[wall] + color(0.015)
    cx, cy, head, tilt = uniform(-0.10, 0.10), uniform(0.06, 0.20), uniform(0.58, 0.70), uniform(-0.15, 0.15)
    wide, ears, spread, eyes = (
        uniform(0.98, 1.14),
        uniform(0.75, 1.25),
        uniform(-0.1, 0.1),
        uniform(0.85, 1.2),
    )
    slit, look, puff = uniform(0.35, 0.75), uniform(-0.03, 0.03), uniform(0.9, 1.1)
    angle, bright, phase = uniform(-1.0, 1.0), uniform(0.94, 1.04), uniform(0, 6.28)
    stripe, split, slope = uniform(13, 19), uniform(-0.35, 0.35), uniform(-0.5, 0.5)
    nose, fade = uniform(0, 1), uniform(-0.35, 0.35)

    step = np.float32(2 / size)
    at = (np.arange(size, dtype=np.float32) + 0.5) * step - 1
    x, y = at[None, None, :], at[None, :, None]
    shade = 1 + 0.2 * (fade * x - 0.4 * y) - 0.06 * (x * x + y * y)  # a wall, lit from one side
    canvas = _Canvas(shade[..., None] * ground[:, None, None, :], step)
    c, s = np.cos(tilt) / head, np.sin(tilt) / head
    u, v = c * (x - cx) + s * (y - cy), c * (y - cy) - s * (x - cx)  # the head has radius 1, v points down

    def flat(values):
        return values[:, None, None, :]

    def share(names):
        return np.isin(pattern, [PATTERNS.index(name) for name in names])[:, None, None].astype(np.float32)

    # light on a ball, then the coat of the whole head
    nz = np.sqrt(np.maximum(0.05, 1 - 0.7 * (u * u / (wide * wide) + v * v)))
    light = 0.60 + 0.36 * nz + 0.16 * (np.sin(angle) * u - 0.7 * v)
    wave = np.sin(stripe * (u + 0.12 * np.sin(3 * v + phase)))
    tabby = np.clip(1.8 * wave, 0, 1) * np.clip(-3.2 * (v + 0.22), 0, 1)
    side = np.sin(0.8 * stripe * (v - 0.2 * np.abs(u)) + phase)
    tabby = tabby + np.clip(1.8 * side, 0, 1) * np.clip(5 * (np.abs(u) - 0.62), 0, 1)
    patches = np.clip(9 * (u - split - slope * v - 0.15 * np.sin(4 * v + phase)), 0, 1)
    mask = np.exp(-((u / 0.5) ** 2 + ((v - 0.28) / 0.55) ** 2))
    amount = share(["tabby"]) * 0.75 * tabby + share(["patches"]) * patches + share(["points"]) * 0.9 * mask
    coat_rgb = flat(main) + np.minimum(amount, 1)[..., None] * flat(second - main)
    tuxedo = share(["tuxedo"]) * np.clip(7 * (v + 0.5 - 3.2 * np.abs(u) ** 1.3), 0, 1)
    coat_rgb = coat_rgb + tuxedo[..., None] * (WHITE - coat_rgb)

    # shoulders, in shadow below the chin
    below = _ellipse(x - 0.6 * cx, y - 1.25, 0.72 * puff, 0.62)
    chest = share(["tuxedo"])[..., None]
    canvas.paint(canvas.cover(below, 1), (0.72 + 0.15 * (y + 0.2))[..., None] * flat(main))
    bib = canvas.cover(_ellipse(x - 0.6 * cx, y - 1.1, 0.3, 0.5), 1)
    canvas.paint(bib, 0.85 * (flat(main) + (0.3 + 0.7 * chest) * (WHITE - flat(main))), 0.8)

    # ears
    dark_ears = share(["points"])[..., None]
    ear_rgb = flat(main) + 0.95 * dark_ears * flat(second - main)
    for sign in (-1, 1):
        other = share(["patches"])[..., None] * (sign > 0)
        rgb = ear_rgb + other * flat(second - main)
        corners = (
            (sign * 0.97 * wide, -0.12),
            (sign * (0.78 + spread) * wide, -0.80 - 0.52 * ears),
            (sign * 0.16 * wide, -0.72),
        )
        corners = corners if sign < 0 else corners[::-1]
        canvas.paint(
            canvas.cover(_triangle(u, v, corners), head), (0.80 + 0.12 * sign * angle)[..., None] * rgb
        )
        middle = sum(px for px, _ in corners) / 3, sum(py for _, py in corners) / 3 + 0.04
        inner = tuple((0.42 * middle[0] + 0.58 * px, 0.42 * middle[1] + 0.58 * py) for px, py in corners)
        alpha = canvas.cover(_triangle(u, v, inner), head)
        canvas.paint(alpha, (0.7 * PINK + 0.25 * rgb) * (0.92 + 0.1 * sign * angle)[..., None])

    # skull and cheeks
    skull = _ellipse(u, v, wide, 0.88)
    cheeks = _ellipse(np.abs(u) - 0.56 * wide, v - 0.36, 0.44 * puff, 0.40)
    canvas.paint(canvas.cover(np.minimum(skull, cheeks), head), light[..., None] * coat_rgb)

    # muzzle, nose, mouth
    pale = np.where(points[:, None], second * 0.9, 0.45 * main + 0.55 * WHITE)
    muzzle = _ellipse(np.abs(u) - 0.17, v - 0.50, 0.25 * puff, 0.20)
    chin = _ellipse(u, v - 0.66, 0.17, 0.14)
    canvas.paint(canvas.cover(np.minimum(muzzle, chin), head), (0.1 + 0.95 * light)[..., None] * flat(pale))
    nose_rgb = np.where(nose[..., None] < 0.6, 0.92 * PINK, DARK + 0.08)
    corners = ((-0.14, 0.30), (0.14, 0.30), (0.0, 0.44))
    canvas.paint(canvas.cover(_triangle(u, v, corners), head), nose_rgb)
    canvas.paint(canvas.cover(_stroke(u, v, 0, 0.44, 0, 0.57, 0.025), head), DARK, 0.7)
    canvas.paint(canvas.cover(_stroke(np.abs(u), v, 0, 0.57, 0.22, 0.53, 0.028), head), DARK, 0.7)

    # eyes: rim, iris, slit, highlight
    across = np.abs(u) - 0.42 * wide
    lid = v + 0.10 + 0.15 * across
    a, b = 0.21 * eyes, 0.18 * eyes
    canvas.paint(canvas.cover(_ellipse(across, lid, a * 1.16, b * 1.18), head), DARK)
    glow = 1.05 - 0.25 * np.clip(-lid / b, 0, 1)
    canvas.paint(canvas.cover(_ellipse(across, lid, a, b), head), glow[..., None] * flat(eye))
    for sign in (-1, 1):
        where = u - sign * 0.42 * wide - look
        canvas.paint(canvas.cover(_ellipse(where, lid, 0.45 * slit * a, 0.95 * b), head), DARK)
        spot = _ellipse(where - 0.05 - 0.04 * angle, lid + 0.06, 0.055, 0.055)
        canvas.paint(canvas.cover(spot, head), np.float32(1.0))

    # whiskers, thinner than a pixel
    for k in (-1, 0, 1):
        line = _stroke(np.abs(u), v, 0.34, 0.50 + 0.06 * k, 1.28, 0.44 + 0.2 * k, 0.012)
        canvas.paint(canvas.cover(line, head), WHITE, 0.35)

    picture = np.clip(canvas.rgb * bright[..., None], 0, 1)
    images = (255 * picture).round().astype(np.uint8).transpose(0, 3, 1, 2)
    colors = np.clip(np.stack([main, second, eye, ground], 1), 0, 1).astype(np.float32)
    middles = (cx / 0.1, (cy - 0.13) / 0.07, (head - 0.64) / 0.06, tilt / 0.15)
    middles += ((ears - 1) / 0.25, (eyes - 1.025) / 0.175, angle, (bright - 0.99) / 0.05)
    traits = np.concatenate([value[:, :, 0] for value in middles], 1).astype(np.float32)
    return np.ascontiguousarray(images), pattern, colors, traits


# --- real photographs ----------------------------------------------------------------------------------

_SHOWN = {  # each photograph serves in one part only; all are CC0 or in the public domain
    "train": ("coffee", "grass", "hubble", "astronaut", "brick", "retina", "camera", "clock"),
    "test": ("chelsea", "rocket", "gravel"),
}


@dataclass(frozen=True)
class Crops:
    """Cuts of real photographs. images: (n, 3, size, size) uint8. photographs: n names, each of the photograph that
    the crop is from."""

    images: np.ndarray
    photographs: tuple

    def __len__(self):
        return len(self.images)


def photographs(part):
    """Return {name: uint8 (H, W, 3)}, the real photographs of a part, "train" (8) or "test" (3, one shows a cat)."""
    if part not in _SHOWN:
        raise ValueError(f"no part {part!r} of the photographs; there are {', '.join(_SHOWN)}.")
    return {name: _photographs.without_portrait(name) for name in _SHOWN[part]}


def crops(n, part="train", size=64, seed=0):
    """Cut n squares at random places out of the real photographs of a part, in turn, as `Crops`.

    part: "train" or "test"; they share no photograph. Each photograph is reduced first, its shorter side to four
    crops. Gray photographs have three equal channels. Crop i depends on seed, part, size and i only. Raises a
    FetchError when the photographs are not in the cache and cannot be downloaded.
    """
    _check(n, "train", size)
    reduced = {}
    for name, picture in photographs(part).items():
        scale = 4 * size / min(picture.shape[:2])
        sides = [round(side * scale) for side in picture.shape[1::-1]]
        reduced[name] = np.asarray(Image.fromarray(picture).resize(sides, Image.LANCZOS))
    names, images, chosen = sorted(reduced), [], []
    for i in range(n):
        rng = np.random.default_rng([seed, PARTS.index(part), i])
        name = names[i % len(names)]
        top, left = (int(rng.integers(side - size + 1)) for side in reduced[name].shape[:2])
        images.append(reduced[name][top : top + size, left : left + size].transpose(2, 0, 1))
        chosen.append(name)
    return Crops(np.ascontiguousarray(np.stack(images)), tuple(chosen))


# --- the lab's folder ----------------------------------------------------------------------------------


def read_folder(path, part, size=64):
    """Return the pictures of one part of the lab's folder, uint8 (n, 3, size, size), in the order of their names.

    path: holds the folders `train` and `val` of PNG or JPEG pictures (part "validation" is `val`). A picture of
    another size is resized, the file's EXIF orientation applied. Errors are those of `_pictures`.
    """
    names = {"train": "train", "validation": "val"}
    if part not in names:
        raise ValueError(
            f"no part {part!r} of whole pictures; there are {', '.join(names)}; see read_masked."
        )
    return np.stack([_pictures.rgb(_pictures.upright(file), size) for file in _found(path, names[part])])


def read_masked(path, size=64, pictures="masked", masks="masks"):
    """Return the test of the lab's folder: pictures with a hole, uint8 (n, 3, size, size), and masks, bool (n, size,
    size), True where a pixel is missing.

    pictures, masks: the two folders in `path`; a picture and its mask have the same name but for the ending. In the
    files of masks black is missing, white is there; a mask of values 0 and 1, one in the alpha channel, and one that
    hides everything are refused.
    """
    shown, hidden = _found(path, pictures), {file.stem: file for file in _found(path, masks)}
    lost = [file.name for file in shown if file.stem not in hidden]
    if lost:
        raise FileNotFoundError(
            f"{pictures}/{lost[0]} has no mask of its name in {masks}: copy the folder anew."
        )
    images = np.stack([_pictures.rgb(_pictures.upright(file), size) for file in shown])
    return images, np.stack([_pictures.mask(hidden[file.stem], size, along=file) for file in shown])


def _found(path, name):
    folder = _pictures.folder(path, name)
    files = _pictures.listed(folder)
    if not files:
        raise FileNotFoundError(f"{folder} holds no PNG or JPEG picture: copy the pictures there.")
    return files


DATASETS = (
    Dataset("generated cats", "inpainting", "CC0-1.0", "dlp_utils.data.cats.generated_cats (generated)"),
    _photographs.entry("photographs to cut", "inpainting", sum(_SHOWN.values(), ())),
)

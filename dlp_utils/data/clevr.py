"""Colored blocks for the chapter `diffusion`: generated look-alikes of i-CLEVR, lists of labels, the lab's folder.

`generated_scenes` draws with a program: one to three cubes, spheres and cylinders in eight colors on gray ground, seen
from above at a slant. No picture of CLEVR is in it. Pictures are uint8 (3, size, size). A set of labels is a row of 24
zeros and ones, in the order of `LABELS`.
"""

import difflib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from . import Dataset, _pictures

PARTS = ("train", "validation", "test")
SHAPES = ("cube", "sphere", "cylinder")
COLORS = {  # red, green, blue, of 255; the eight colors of CLEVR
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
LABELS = tuple(f"{color} {shape}" for shape in SHAPES for color in COLORS)
# Cube and sphere, sphere and cylinder, cylinder and cube, so many colors apart; each label stands in two pairs.
HELD_OUT_PAIRS = tuple(
    tuple(sorted((8 * shape + color, 8 * ((shape + 1) % 3) + (color + apart) % 8)))
    for shape, apart in enumerate((1, 3, 2))
    for color in range(8)
)
_HELD_OUT = frozenset(HELD_OUT_PAIRS)
_LISTS = {"test": (8, 8, 16), "new_test": (0, 12, 20)}  # how many lists of one, two, three labels
_MOST = 5  # objects of a picture that `drawn` accepts
_CHUNK = 32  # pictures drawn at a time


@dataclass(frozen=True)
class Scenes:
    """Pictures and what is in them. images: (n, 3, size, size) uint8. labels: (n, 24) float32, 1 for what is there."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.images)


def generated_scenes(n=18_009, part="train", size=32, seed=0):
    """Generate n pictures as `Scenes`: one, two, three objects in turn, no two of a picture with the same label.

    No picture holds both labels of one of `HELD_OUT_PAIRS`. part: "train", "validation" or "test"; they share no
    picture. Picture i depends on seed, part, size and i only, so that a longer set begins with the shorter one. size:
    at least 16 pixels. About 1 ms a picture at 32.
    """
    _check(n, part, size)
    key = [seed, PARTS.index(part)]
    ids = [_free_labels(np.random.default_rng([*key, i, 0]), 1 + i % 3) for i in range(n)]
    return _scenes(ids, size, [[*key, i, 1] for i in range(n)])


def drawn(lists, size=32, seed=0, part="test"):
    """Draw one picture for each list of names of labels, as `Scenes`; an empty list gives bare ground.

    Picture i depends on seed, part, size, i and its labels (not on their order) only. ValueError for an unknown
    label, the same one twice in a list, more than 5 in a list.
    """
    labels = multi_hot(lists)
    _check(len(lists), part, size)
    for i, names_here in enumerate(lists):
        if len(set(names_here)) < len(names_here) or len(names_here) > _MOST:
            raise ValueError(
                f"list {i} is {list(names_here)}: a picture holds at most {_MOST} objects, each label once."
            )
    key = [seed, PARTS.index(part)]
    return _scenes([np.flatnonzero(row) for row in labels], size, [[*key, i, 2] for i in range(len(lists))])


def _scenes(ids, size, keys):
    plans = [_plan(np.random.default_rng(key), row) for row, key in zip(ids, keys, strict=True)]
    images = [_draw(plans[i : i + _CHUNK], size) for i in range(0, len(plans), _CHUNK)]
    labels = np.zeros((len(ids), len(LABELS)), np.float32)
    for row, found in zip(labels, ids, strict=True):
        row[found] = 1
    return Scenes(np.concatenate(images), labels)


def _free_labels(rng, count):
    """Choose labels, none twice, without a held-out pair; sorted."""
    while True:
        ids = sorted(rng.choice(len(LABELS), count, replace=False).tolist())
        if not any((a, b) in _HELD_OUT for k, a in enumerate(ids) for b in ids[k + 1 :]):
            return ids


def _check(n, part, size):
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of the generated scenes; there are {', '.join(PARTS)}.")
    for name, value, least in (("n", n, 1), ("size", size, 16)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


# --- labels --------------------------------------------------------------------------------------------


def multi_hot(lists):
    """Return the label vectors of lists of names, float32 (n, 24); an empty list gives zeros."""
    if isinstance(lists, str):
        raise ValueError(f'give a list of lists of labels, not the text {lists!r}: [["red cube"]].')
    found = np.zeros((len(lists), len(LABELS)), np.float32)
    for i, row in enumerate(lists):
        if isinstance(row, str):
            raise ValueError(f'list {i} is the text {row!r}: put it into a list of its own, ["red cube"].')
        for name in row:
            if name not in LABELS:
                raise ValueError(f"unknown label {name!r} in list {i}; {_near(name)}.")
            found[i, LABELS.index(name)] = 1
    return found


def _near(name):
    near = difflib.get_close_matches(str(name), LABELS, n=3, cutoff=0.5)
    return f"near it: {', '.join(near)}" if near else f"labels are a color and a shape, as {LABELS[1]!r}"


def names(row):
    """Return the names of the labels that a row of 24 numbers holds (above 0.5), in the order of `LABELS`."""
    row = np.asarray(row)
    if row.shape != (len(LABELS),):
        raise ValueError(
            f"names reads one row of {len(LABELS)} numbers, got shape {row.shape}: give labels[i]."
        )
    return [label for label, value in zip(LABELS, row, strict=True) if value > 0.5]


def label_lists(name):
    """Return one of three fixed collections of lists of labels.

    "test": 32 lists, 72 objects. "new_test": 32 other lists, 84 objects. Neither holds a held-out pair. "held_out":
    the 24 pairs of `HELD_OUT_PAIRS`.
    """
    if name == "held_out":
        return [[LABELS[i] for i in pair] for pair in HELD_OUT_PAIRS]
    if name not in _LISTS:
        raise ValueError(f"no lists {name!r}; there are {', '.join(_LISTS)} and held_out.")
    rng, taken, found = np.random.default_rng(20), set(), {}
    for which, amounts in _LISTS.items():
        found[which] = []
        for count, amount in enumerate(amounts, 1):
            while amount:
                ids = tuple(_free_labels(rng, count))
                if ids not in taken:
                    taken.add(ids)
                    found[which].append([LABELS[i] for i in ids])
                    amount -= 1
    return found[name]


# --- drawing -------------------------------------------------------------------------------------------
#
# A camera looks down on the ground z = 0. On the screen u points right, v up, both in [-1, 1]. Each object is hit by
# rays in a square patch of the picture, several to a pixel, in its own coordinates: foot at the origin, size 1.

_PITCH, _AWAY, _HALF = np.deg2rad(40), 6.5, 1.52  # slant, distance, half the width seen at that distance
_FOCUS = _AWAY / _HALF
_AHEAD = np.array((0, np.cos(_PITCH), -np.sin(_PITCH)))
_UP = np.array((0, np.sin(_PITCH), np.cos(_PITCH)))
_CAMERA = np.array((0, 0, 0.3)) - _AWAY * _AHEAD
_HEIGHT = {"cube": 0.80, "sphere": 1.0, "cylinder": 0.90}
_RADIUS = {"cube": 0.40, "sphere": 0.5, "cylinder": 0.44}  # of a cube half the side
_RGB = np.array(list(COLORS.values())) / 255


def _plan(rng, ids):
    """Say what is where in one picture: objects back to front, light, ground. All numbers that make the picture."""
    turn, light = np.deg2rad(rng.uniform(-12, 12) + 138), rng.uniform(0.62, 0.78)
    down = np.sqrt(1 - light * light)
    picture = {
        "light": np.array((np.cos(turn) * down, -np.sin(turn) * down, light)),
        "bright": rng.uniform(0.95, 1.05),
        "ground": rng.uniform(0.73, 0.79) + rng.uniform(-0.012, 0.012, 3),
        "slope": rng.uniform(0.02, 0.09, 2),
        "objects": [],
    }
    placed = []
    for label in rng.permutation(ids).astype(int):
        shape, color = SHAPES[label // 8], label % 8
        scale = rng.uniform(0.92, 1.06)
        tint = np.clip(_RGB[color] * rng.uniform(0.94, 1.06) + rng.uniform(-0.015, 0.015, 3), 0, 1)
        candidates = rng.uniform(-1, 1, (200, 2)) * (0.58, 0.52) + (0, 0.03)
        gap = np.full(200, np.inf)
        for other in placed:
            off = candidates - other
            gap = np.minimum(gap, np.sqrt((off[:, 0] / 0.62) ** 2 + (off[:, 1] / 0.70) ** 2))
        at = candidates[np.argmax(gap >= 1) if (gap >= 1).any() else np.argmax(gap)]
        placed.append(at)
        ray = _AHEAD + at[0] / _FOCUS * np.array((1, 0, 0)) + at[1] / _FOCUS * _UP
        middle = 0.5 * _HEIGHT[shape] * scale
        foot = _CAMERA + ray * (middle - _CAMERA[2]) / ray[2]
        angle = np.arctan2(ray[1], ray[0]) + np.deg2rad(45 + rng.uniform(-24, 24))  # three faces are seen
        picture["objects"].append(
            {
                "shape": shape,
                "rgb": tint,
                "scale": scale,
                "at": at,
                "foot": foot[:2],
                "turn": (np.cos(angle), np.sin(angle)),
            }
        )
    picture["objects"].sort(key=lambda one: -one["foot"][1])
    return picture


def _draw(plans, size):
    """Draw pictures from their plans: uint8 (n, 3, size, size)."""
    rgb = _ground(plans, size)
    for slot in range(max(len(plan["objects"]) for plan in plans)):
        for shape in SHAPES:
            here = [
                i
                for i, p in enumerate(plans)
                if len(p["objects"]) > slot and p["objects"][slot]["shape"] == shape
            ]
            if here:
                _paint(rgb, here, [plans[i] for i in here], slot, size)
    edge = (rgb.shape[1] - size) // 2
    rgb = rgb[:, edge : edge + size, edge : edge + size]
    rgb = rgb * np.float32([plan["bright"] for plan in plans])[:, None, None, None]
    return np.ascontiguousarray((255 * np.clip(rgb, 0, 1)).round().astype(np.uint8).transpose(0, 3, 1, 2))


def _patch(size):
    return 2 * int(np.ceil(0.25 * size)) + 2  # pixels; wide enough for the nearest and largest cube


def _rays(u, v):
    """The parts x, y, z of the rays from the camera through points of the screen."""
    y = np.float32(_AHEAD[1]) + v * np.float32(_UP[1] / _FOCUS)
    return u * np.float32(1 / _FOCUS), y, np.float32(_AHEAD[2]) + v * np.float32(_UP[2] / _FOCUS)


def _column(values):
    return np.float32(values)[:, None, None]


def _ground(plans, size):
    """The ground with the shadows on it, with a margin of half a patch around: float32 (n, H, W, 3)."""
    edge = _patch(size) // 2
    at = (np.arange(-edge, size + edge, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
    u, v = at[None, None, :], -at[None, :, None]
    dx, dy, dz = _rays(u, v)
    far = np.float32(-_CAMERA[2]) / dz
    x, y = far * dx, np.float32(_CAMERA[1]) + far * dy
    slope = np.float32([plan["slope"] for plan in plans])
    shade = 1 - slope[:, :1, None] * u + slope[:, 1:, None] * v - np.float32(0.07) * (u * u + v * v)
    light = np.float32([plan["light"] for plan in plans])
    for slot in range(max(len(plan["objects"]) for plan in plans)):
        here = [i for i, plan in enumerate(plans) if len(plan["objects"]) > slot]
        things = [plans[i]["objects"][slot] for i in here]
        radius = _column([_RADIUS[one["shape"]] * one["scale"] for one in things])
        tall = _column([_HEIGHT[one["shape"]] * one["scale"] for one in things])
        round_ = _column([one["shape"] == "sphere" for one in things])
        px, py = (
            x - _column([one["foot"][0] for one in things]),
            y - _column([one["foot"][1] for one in things]),
        )
        # the shadow: a thick line from the foot away from the light, softer and weaker toward its end
        lx, ly, lz = (light[here, k][:, None, None] for k in range(3))
        sx, sy = -lx / lz * tall, -ly / lz * tall
        along = np.clip((px * sx + py * sy) / (sx * sx + sy * sy), round_ * 0.3, 1 - round_ * 0.35)
        away = np.sqrt((px - along * sx) ** 2 + (py - along * sy) ** 2)
        soft = np.float32(0.22) + np.float32(0.22) * along
        cast = np.clip((radius * np.float32(1.02) - away) / soft + np.float32(0.5), 0, 1)
        cast = cast * cast * (3 - 2 * cast) * (np.float32(0.46) - np.float32(0.16) * along)
        near = np.clip(1 - (np.sqrt(px * px + py * py) - np.float32(0.7) * radius) / np.float32(0.55), 0, 1)
        shade[here] *= (1 - cast) * (1 - np.float32(0.28) * near * near)
    return shade[..., None] * np.float32([plan["ground"] for plan in plans])[:, None, None, :]


def _paint(rgb, here, plans, slot, size):
    """Paint object `slot`, of the same shape in all plans, over the pictures `here`."""
    patch, times = _patch(size), 3 if size <= 40 else 2
    things = [plan["objects"][slot] for plan in plans]
    at = np.array([one["at"] for one in things])
    left = np.floor((at[:, 0] + 1) / 2 * size).astype(int) - patch // 2
    top = np.floor((1 - at[:, 1]) / 2 * size).astype(int) - patch // 2
    fine = (np.arange(patch * times, dtype=np.float32) + np.float32(0.5)) / np.float32(times)
    u = (np.float32(left)[:, None, None] + fine[None, None, :]) * np.float32(2 / size) - 1
    v = 1 - (np.float32(top)[:, None, None] + fine[None, :, None]) * np.float32(2 / size)
    dx, dy, dz = _rays(u, v)
    # to the object's own coordinates
    foot, scale = np.array([one["foot"] for one in things]), np.array([one["scale"] for one in things])
    c, s = np.array([one["turn"] if one["shape"] == "cube" else (1.0, 0.0) for one in things]).T
    ox, oy, oz = (_CAMERA[0] - foot[:, 0]) / scale, (_CAMERA[1] - foot[:, 1]) / scale, _CAMERA[2] / scale
    light = np.array([plan["light"] for plan in plans])
    lx, ly, lz = c * light[:, 0] + s * light[:, 1], c * light[:, 1] - s * light[:, 0], light[:, 2]
    origin = (_column(c * ox + s * oy), _column(c * oy - s * ox), _column(oz))
    if things[0]["shape"] == "cube":
        dx, dy = _column(c) * dx + _column(s) * dy, _column(c) * dy - _column(s) * dx
    shader = {"cube": _cube, "sphere": _sphere, "cylinder": _cylinder}[things[0]["shape"]]
    inside, bright, shine = shader(origin, (dx, dy, dz), (_column(lx), _column(ly), _column(lz)))
    inside = np.float32(inside)
    cover, bright, shine = (_reduced(inside * value, times)[..., None] for value in (1, bright, shine))
    color = np.float32([one["rgb"] for one in things])[:, None, None, :]
    edge = patch // 2
    rows = (top + edge)[:, None, None] + np.arange(patch)[None, :, None]
    columns = (left + edge)[:, None, None] + np.arange(patch)[None, None, :]
    where = (np.array(here)[:, None, None], rows, columns)
    rgb[where] = rgb[where] * (1 - cover) + color * bright + shine


def _reduced(values, times):
    """The mean of the rays of each pixel, added in a fixed order."""
    total = sum(values[:, i::times] for i in range(times))
    return sum(total[:, :, i::times] for i in range(times)) * np.float32(1 / times**2)


def _sphere(origin, ray, light):
    (ox, oy, oz), (dx, dy, dz), (lx, ly, lz), r = origin, ray, light, np.float32(_RADIUS["sphere"])
    oz = oz - r
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    under = b * b - a * (ox * ox + oy * oy + oz * oz - r * r)
    t = (-b - np.sqrt(np.maximum(under, 0))) / a
    nx, ny, nz = (ox + t * dx) / r, (oy + t * dy) / r, (oz + t * dz) / r
    lit = nx * lx + ny * ly + nz * lz
    bright = np.float32(0.48) + np.float32(0.12) * nz + np.float32(0.78) * np.maximum(lit, 0)
    length = np.sqrt(a)
    mirror = 2 * lit * (nx * dx + ny * dy + nz * dz) - (lx * dx + ly * dy + lz * dz)
    shine = np.clip(-mirror / length, 0, 1) ** 2
    return under > 0, bright, np.float32(0.55) * (((shine**2) ** 2) ** 2) ** 2


def _cylinder(origin, ray, light):
    (ox, oy, oz), (dx, dy, dz), (lx, ly, lz) = origin, ray, light
    r, h = np.float32(_RADIUS["cylinder"]), np.float32(_HEIGHT["cylinder"])
    a = dx * dx + dy * dy
    b = ox * dx + oy * dy
    under = b * b - a * (ox * ox + oy * oy - r * r)
    t = (-b - np.sqrt(np.maximum(under, 0))) / a
    z = oz + t * dz
    side = (under > 0) & (z > 0) & (z <= h)
    nx, ny = (ox + t * dx) / r, (oy + t * dy) / r
    lit = np.maximum(nx * lx + ny * ly, 0) / np.sqrt(lx * lx + ly * ly)
    bright = np.float32(0.44) + np.float32(0.58) * lit + np.float32(0.10) * (z / h - np.float32(0.5))
    stripe = (((lit**2) ** 2) ** 2) ** 2
    up = (h - oz) / dz
    x, y = ox + up * dx, oy + up * dy
    reach = x * x + y * y
    top = reach < r * r
    lid = np.float32(0.58) + np.float32(0.82) * lz
    rim = np.float32(0.06) * (reach > np.float32(0.74) * r * r)
    shine = np.where(top, np.float32(0.05) + rim, np.float32(0.10) * stripe)
    return side | top, np.where(top, lid, bright), shine


def _cube(origin, ray, light):
    (ox, oy, oz), (dx, dy, dz), (lx, ly, lz) = origin, ray, light
    r, h = np.float32(_RADIUS["cube"]), np.float32(_HEIGHT["cube"])
    oz = oz - r
    enter, leave = [], []
    for o, d in ((ox, dx), (oy, dy), (oz, dz)):
        middle, half = -o / d, r / np.abs(d)
        enter.append(middle - half)
        leave.append(middle + half)
    t = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
    inside = t < np.minimum(np.minimum(leave[0], leave[1]), leave[2])
    point = [np.abs(o + t * d) for o, d in ((ox, dx), (oy, dy), (oz, dz))]
    lid = np.float32(0.58) + np.float32(0.82) * lz
    faces = [
        np.float32(0.42) + np.float32(0.72) * np.maximum(-np.sign(d) * l_, 0)
        for d, l_ in ((dx, lx), (dy, ly))
    ]
    sides = np.where(enter[0] > enter[1], faces[0], faces[1])
    sides = sides + np.float32(0.08) * (oz + t * dz) / h
    top = enter[2] >= np.maximum(enter[0], enter[1])
    # the second largest coordinate is near the side's half where two faces meet
    second = point[0] + point[1] + point[2] - np.maximum(np.maximum(point[0], point[1]), point[2])
    second = second - np.minimum(np.minimum(point[0], point[1]), point[2])
    ridge = np.clip((second - np.float32(0.86) * r) / (np.float32(0.14) * r), 0, 1)
    return inside, np.where(top, lid, sides), np.float32(0.05) * top + np.float32(0.07) * ridge


# --- the lab's folder ----------------------------------------------------------------------------------


def write_folder(path, n, size=64, seed=0):
    """Write n generated pictures in the layout of the lab's folder, all of it or nothing.

    objects.json {label: number}, train.json {file: [labels]}, test.json and new_test.json (lists of labels), PNG
    pictures in iclevr/. FileExistsError if `path` holds anything: an existing folder is never changed.
    """
    _check(n, "train", size)
    path = Path(path).expanduser()
    partial = path.with_name(path.name + ".partial")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} is there and not an empty folder: name a new folder.")
    if partial.exists():
        raise FileExistsError(f"{partial} is left of an interrupted run: remove it, then write again.")
    try:
        (partial / "iclevr").mkdir(parents=True)
        scenes, files = generated_scenes(n, "train", size, seed), {}
        for i, image in enumerate(scenes.images):
            file = f"blocks_train_{i:06d}.png"
            Image.fromarray(image.transpose(1, 2, 0)).save(partial / "iclevr" / file)
            files[file] = names(scenes.labels[i])
        contents = {"objects": {label: i for i, label in enumerate(LABELS)}, "train": files}
        contents |= {name: label_lists(name) for name in _LISTS}
        for name, content in contents.items():
            (partial / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        if path.exists():
            path.rmdir()  # it is empty
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_folder(path, size=64):
    """Return the training pictures of the lab's folder as `Scenes`, in the order of their names.

    path: holds train.json, {file: [labels]}, and the pictures in iclevr/, RGB or RGBA, which are resized. A picture
    without labels in train.json is left out. Errors are those of `_pictures`.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size must be a whole number, at least 1, got {size!r}")
    content = _json(path, "train")
    folder = _pictures.folder(path, "iclevr")
    if not isinstance(content, dict):
        raise ValueError("train.json holds no {file: [labels]}: copy it anew.")
    if not content:
        raise ValueError("train.json names no pictures: copy it anew.")
    files = sorted(content)
    for file in files:
        _known(content[file], f"picture {file} of train.json")
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{file} stands in train.json and is missing in {folder}: copy it anew.")
    images = np.empty((len(files), 3, size, size), np.uint8)
    for image, file in zip(images, files, strict=True):
        image[:] = _pictures.rgb(_pictures.upright(folder / file), size)
    return Scenes(images, multi_hot([content[file] for file in files]))


def read_lists(path, name="test"):
    """Return the lists of labels in the file `name`.json ("test" or "new_test") of the lab's folder."""
    content = _json(path, name)
    if not isinstance(content, list) or not content:
        raise ValueError(f"{name}.json holds no list of lists of labels: copy it anew.")
    for i, row in enumerate(content):
        _known(row, f"list {i} of {name}.json")
    return content


def _json(path, name):
    file = _pictures.folder(path, holds=f"{name}.json") / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(f"{name}.json is missing in {path}: give the folder that holds it.")
    return _pictures.read_json(file)


def _known(row, where):
    if not isinstance(row, list):
        raise ValueError(f"{where} has {row!r} in place of a list of labels: copy the file anew.")
    for name in row:
        if name not in LABELS:
            raise ValueError(f"{where} has the unknown label {name!r}; {_near(name)}.")


DATASETS = (
    Dataset(
        "generated blocks",
        "diffusion",
        "CC0-1.0",
        "dlp_utils.data.clevr.generated_scenes (generated)",
        "in the manner of CLEVR (CC BY 4.0): Johnson, Hariharan, van der Maaten, Fei-Fei, Zitnick, Girshick (2017), "
        "CLEVR: A Diagnostic Dataset for Compositional Language and Elementary Visual Reasoning, CVPR",
    ),
)

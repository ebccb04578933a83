"""Real motion, rendered: motion-capture clips on an articulated figure, as frame and pose-picture pairs.

The motion is real (human motion capture, from the package pybullet); frames and pose pictures are rendered here
and are called so. `read_folder` reads the course lab's folder of real video in the same form.
Lengths in meters, y up. Pictures are uint8 (T, 3, 32, 64), channels first: height 32, width 64.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from . import Dataset, _pictures, fetch

HEIGHT, WIDTH, FPS = 32, 64, 30
# The figure: name, parent, offset of the joint from the parent's joint. The numbers are those of the package's
# humanoid.urdf times 0.25; x points forward, y up, z to the right.
SKELETON = (
    ("root", None, (0.0, 0.0, 0.0)),
    ("chest", "root", (0.0, 0.236151, 0.0)),
    ("neck", "chest", (0.0, 0.223894, 0.0)),
    ("right_hip", "root", (0.0, 0.0, 0.084887)),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0)),
    ("right_ankle", "right_knee", (0.0, -0.40987, 0.0)),
    ("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311)),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0)),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0)),
    ("left_hip", "root", (0.0, 0.0, -0.084887)),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.40987, 0.0)),
    ("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311)),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0)),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0)),
)
JOINTS = tuple(name for name, *_ in SKELETON)
PARENTS = tuple(JOINTS.index(parent) if parent else -1 for _, parent, _ in SKELETON)
OFFSETS = np.array([offset for *_, offset in SKELETON])
HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")  # one angle about z; the others are free
UPPER = ("chest", "neck", "shoulder", "elbow", "wrist")
_ORDER = JOINTS[:8] + JOINTS[9:14]  # of the rotations in a row of a file; wrists are fixed

# Whole clips are held out. The three test clips last at least 61 frames.
SPLIT = {
    "train": (
        "backflip", "crawl", "getup_facedown", "getup_faceup", "jump", "roll", "run", "spin", "spinkick", "walk",
    ),
    "validation": ("dance_a", "kick"),
    "test": ("cartwheel", "dance_b", "punch"),
}  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One motion at 30 frames a second. positions: (T, 15, 3) of JOINTS; rotations: (T, 15, 3, 3), to the world."""

    name: str
    positions: np.ndarray
    rotations: np.ndarray
    real: bool = True

    def __len__(self):
        return len(self.positions)


# --- motion --------------------------------------------------------------------------------------------

_HASHES = {
    "backflip": "ffc5e117f69364e239eeedc86d6a30ab854500a375a1c137a405f1b7652905e6",
    "cartwheel": "17453459a40ec4ea08346072748ae3c7c384b49e619753e9779637fa8a9f7c49",
    "crawl": "104a3b675131a43e7a214e24c0ed631c6a0d814b85c8b66b71ce63b23a5731ae",
    "dance_a": "15ef3731f594edc9ed078170f1075815cc164acaca9e35a46db12a31ac64b717",
    "dance_b": "b5a9d7a3f2304f6242776d7ff6d19d1f6bcb98d78d68622761c3843b614a92b5",
    "getup_facedown": "1bd1a96e9175f65eb66e10f225473b4467bd70c68e283f4006b2ab090e337c0b",
    "getup_faceup": "5936c32d51dad9b0cd5e61df681079d160436cdce845c312f200d7a347c4040d",
    "jump": "a433557e94b193d8a95530572a0e32f387eb6d9996987b4216efb65444c3c641",
    "kick": "177cfb399466309ba7f4a8a987c3b6f6edde1cbe8b2d476e53dc6061ec5d4bac",
    "punch": "1ab4b654cecdb4ff3b2a4bf4086e50397bef28435bb59ab3aedd6a6bdc926fde",
    "roll": "50d75c2243b2859f8dcae4ad8fa14b59054dd9ee529b4fb52ec14470cd982c55",
    "run": "2cbe488023b243e5769299158ce7c78875ec4b701a2ffe6c0beeaf83d16ca87b",
    "spin": "9614f10b92e7a8b123990ad5bcfafc65aa4d8fa8ac7f10ade3c3591122d34425",
    "spinkick": "60ec9c200d96e0cd71693061f24db0bd8da9eb295daf487f6f60f8dfb324075a",
    "walk": "32d082c3599bc40aac50b1afa196ff1e2cf3842bb40f0541ab088845f6328a41",
}
_URDF = "pybullet_data/humanoid/humanoid.urdf"
_URDF_HASH = "4a449f923dcbd242c1c6a3ad15e62047c6cb2fc1d275bf31a339bf60d27a6894"


def _fetch():
    members = {f"pybullet_data/data/motions/humanoid3d_{name}.txt": sha for name, sha in _HASHES.items()}
    members[_URDF] = _URDF_HASH  # the source of SKELETON; a test compares the two
    return fetch.from_package("pybullet", "3.2.7", members=members, stand_in="motion.stand_in()")


def load_clips():
    """Return {name: Clip} of the 15 real clips, from a wheel of 103 MB of which 1.2 MB are kept.

    Where it cannot be had, says so in one printed sentence and returns `stand_in()` in its place: generated
    gaits under the same names.
    """
    try:
        files = _fetch()
    except fetch.FetchError as error:
        print(f"{error}\nGENERATED stand-in: simple gaits take the place of all 15 clips.")
        return stand_in()
    return {name: read_clip(files[f"pybullet_data/data/motions/humanoid3d_{name}.txt"]) for name in _HASHES}


def read_clip(path, fps=FPS):
    """Read a motion file (JSON, "Frames": rows of 44 numbers) as a Clip of `fps` frames a second.

    A row: duration, root position, then rotations of root, chest, neck, right hip, knee, ankle, shoulder, elbow,
    the same left; quaternions wxyz, one angle for knees and elbows. ValueError for anything else.
    """
    path = Path(path).expanduser()
    try:
        rows = np.array(_pictures.read_json(path)["Frames"], dtype=float)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a motion file with equally long Frames ({error}).") from None
    if rows.ndim != 2 or rows.shape[1] != 44 or len(rows) < 2:
        raise ValueError(f"{path.name} has Frames of shape {rows.shape}; rows of 44 numbers are needed.")
    if not np.isfinite(rows).all() or not (rows[:-1, 0] > 0).all():
        raise ValueError(f"{path.name} holds a value that is not finite, or a duration that is not positive.")
    root, quaternions = _decode(rows)
    when = np.concatenate([[0], np.cumsum(rows[:-1, 0])])  # seconds
    root, quaternions = _resample(root, quaternions, when, fps)
    positions, rotations = forward_kinematics(root, rotation_matrices(quaternions))
    return Clip(path.stem.removeprefix("humanoid3d_"), positions, rotations)


def _decode(rows):
    """Split rows (T, 44) into root positions (T, 3) and quaternions (T, 15, 4) relative to the parents."""
    quaternions = np.zeros((len(rows), len(JOINTS), 4))
    quaternions[..., 0] = 1  # wrists do not turn
    at = 4
    for name in _ORDER:
        joint = JOINTS.index(name)
        if name in HINGES:
            half = rows[:, at] / 2
            quaternions[:, joint, 0], quaternions[:, joint, 3] = np.cos(half), np.sin(half)
            at += 1
        else:
            quaternions[:, joint] = rows[:, at : at + 4]
            at += 4
    return rows[:, 1:4], quaternions


def _resample(root, quaternions, when, fps):
    """Interpolate to equal steps; quaternions linearly and normalized, the nearer of q and −q."""
    times = np.arange(int(when[-1] * fps + 1e-6) + 1) / fps
    left = np.clip(np.searchsorted(when, times, side="right") - 1, 0, len(when) - 2)
    share = ((times - when[left]) / (when[left + 1] - when[left])).clip(0, 1)[:, None]
    start, end = quaternions[left], quaternions[left + 1]
    end = np.where((start * end).sum(-1, keepdims=True) < 0, -end, end)
    mixed = start + share[..., None] * (end - start)
    root = root[left] + share * (root[left + 1] - root[left])
    return root, mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def rotation_matrices(q):
    """Return rotation matrices (..., 3, 3) of quaternions wxyz (..., 4), normalized first."""
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def forward_kinematics(root, local):
    """Pose the figure: root (T, 3), rotations to the parent (T, 15, 3, 3) to world positions and rotations."""
    positions, rotations = np.zeros((len(root), len(JOINTS), 3)), np.zeros_like(local)
    for joint, parent in enumerate(PARENTS):  # a parent stands before its children
        if parent < 0:
            positions[:, joint], rotations[:, joint] = root, local[:, joint]
        else:
            positions[:, joint] = positions[:, parent] + rotations[:, parent] @ OFFSETS[joint]
            rotations[:, joint] = rotations[:, parent] @ local[:, joint]
    return positions, rotations


def local_rotations(clip):
    """Rotations of each joint relative to its parent, (T, 15, 3, 3): what `forward_kinematics` takes."""
    parents = np.array([max(parent, 0) for parent in PARENTS])
    local = clip.rotations[:, parents].swapaxes(-1, -2) @ clip.rotations
    local[:, 0] = clip.rotations[:, 0]
    return local


def mirrored(clip):
    """The same motion in a mirror: left and right change places. Twice mirrored is the clip itself."""
    mirror = np.diag([1.0, 1.0, -1.0])
    sides = {"right": "left", "left": "right"}
    names = ("_".join(sides.get(word, word) for word in name.split("_")) for name in JOINTS)
    swap = [JOINTS.index(name) for name in names]
    rotations = mirror @ clip.rotations[:, swap] @ mirror
    return Clip(clip.name, clip.positions[:, swap] @ mirror, rotations, clip.real)


def variations(clips, count, seed=0, sway=0.5):
    """Return `count` GENERATED clips out of the training clips: the legs and path of one, the trunk and arms of another.

    Half of each pair is mirrored by the toss of a coin, and shoulders and elbows sway slowly by random angles about
    random axes, of standard deviation `sway` in radians. Validation and test clips are never used.
    """
    rng = np.random.default_rng([13, seed])
    upper = [j for j, name in enumerate(JOINTS) if name.split("_")[-1] in UPPER]
    made = []
    for number in range(count):
        legs, arms = (clips[rng.choice(SPLIT["train"])] for _ in range(2))
        legs, arms = (mirrored(clip) if rng.random() < 0.5 else clip for clip in (legs, arms))
        frames = min(len(legs), len(arms))
        first, second = (int(rng.integers(len(clip) - frames + 1)) for clip in (legs, arms))
        local = local_rotations(legs)[first : first + frames]
        local[:, upper] = local_rotations(arms)[second : second + frames][:, upper]
        seconds = np.arange(frames) / FPS
        for joint in (j for j in upper if JOINTS[j].endswith(("shoulder", "elbow"))):
            axis = rng.normal(size=3)
            axis /= np.linalg.norm(axis)
            rate, phase = rng.uniform(1, 5), rng.uniform(0, 2 * np.pi)  # radians a second, radians
            half = rng.normal() * sway * np.sin(rate * seconds + phase) / np.sqrt(2)
            q = np.concatenate([np.cos(half)[:, None], np.sin(half)[:, None] * axis], axis=1)
            local[:, joint] = local[:, joint] @ rotation_matrices(q)
        root = legs.positions[first : first + frames, 0]
        made.append(Clip(f"variation_{number}", *forward_kinematics(root, local), real=False))
    return made


def stand_in(frames=75):
    """Return GENERATED gaits under the names of the 15 real clips: sines in hips, knees, shoulders, elbows."""
    clips = {}
    for number, name in enumerate(sorted(_HASHES)):
        rng = np.random.default_rng(number)
        phase = 2 * np.pi * np.arange(frames) / FPS * rng.uniform(0.7, 1.6) + rng.uniform(0, 6)
        stride, lift, turn = rng.uniform(0.2, 0.8), rng.uniform(0, 2), rng.uniform(-0.5, 0.5)
        angles = np.zeros((frames, len(JOINTS)))  # about z
        for side, sign in (("right", 1), ("left", -1)):
            swing = sign * np.sin(phase)
            angles[:, JOINTS.index(f"{side}_hip")] = stride * swing + 0.1
            angles[:, JOINTS.index(f"{side}_knee")] = -stride * (1 + np.cos(phase) * sign)
            angles[:, JOINTS.index(f"{side}_shoulder")] = lift * (sign > 0) - stride * swing
            angles[:, JOINTS.index(f"{side}_elbow")] = rng.uniform(0.2, 1.5) + 0.3 * swing
        quaternions = np.zeros((frames, len(JOINTS), 4))
        quaternions[..., 0], quaternions[..., 3] = np.cos(angles / 2), np.sin(angles / 2)
        heading = turn * phase / 2
        quaternions[:, 0] = 0
        quaternions[:, 0, 0], quaternions[:, 0, 2] = np.cos(heading), np.sin(heading)
        root = np.stack([0 * phase, 0.86 + 0.03 * np.cos(2 * phase), 0 * phase], axis=1)
        clips[name] = Clip(name, *forward_kinematics(root, rotation_matrices(quaternions)), real=False)
    return clips


# --- the look of a video, and what pose does not tell ----------------------------------------------------


@dataclass(frozen=True)
class World:
    """What happens besides the motion, each in its own unit; all zero: pose and look determine every frame.

    light: standard deviation of the log of the exposure. wind: of the scarf's angle, in radians. shake: of the
    camera, in pixels. memory: correlation of light and wind from one frame to the next; a shake has none.
    """

    light: float = 0.0
    wind: float = 0.0
    shake: float = 0.0
    memory: float = 0.9


@dataclass(frozen=True)
class Video:
    """What `render` returns. frames, poses: uint8 (T, 3, 32, 64). hidden: (T, 4), log exposure, angle of the
    scarf, shake in x and y: what the pose pictures do not tell."""

    frames: np.ndarray
    poses: np.ndarray
    hidden: np.ndarray
    clip: str
    azimuth: float
    look: int

    def __len__(self):
        return len(self.poses)


def _hidden(world, frames, rng):
    noise = rng.normal(size=(frames, 4))
    drift = np.zeros((frames, 2))
    drift[0] = noise[0, :2]
    for t in range(1, frames):  # a first-order autoregression of variance 1
        drift[t] = world.memory * drift[t - 1] + np.sqrt(1 - world.memory**2) * noise[t, :2]
    scale = np.array([world.light, world.wind, world.shake, world.shake])
    return np.concatenate([drift, noise[:, 2:]], axis=1) * scale


def _hsv(h, s, v):
    """One color, red green blue in [0, 1]."""
    from colorsys import hsv_to_rgb

    return np.array(hsv_to_rgb(h % 1, s, v))


def look(seed):
    """Draw the colors of one video from `seed`: {part: (3,) in [0, 1]}, with the room's pattern."""
    rng = np.random.default_rng([7, seed])
    hue, room = rng.random(), rng.random()
    return {
        "skin": np.array([0.93, 0.72, 0.58]) * rng.uniform(0.4, 0.95),
        "hair": _hsv(rng.uniform(0.02, 0.1), 0.7, rng.uniform(0.05, 0.4)),
        "shirt": _hsv(hue, rng.uniform(0.75, 1.0), rng.uniform(0.55, 0.9)),
        "stripe": _hsv(hue + rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.7)),
        "trousers": _hsv(hue + rng.uniform(0.2, 0.8), rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.45)),
        "shoes": _hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.05, 0.3)),
        "scarf": _hsv(hue + 0.5, 0.9, 0.95),
        "wall": _hsv(room, rng.uniform(0.05, 0.2), rng.uniform(0.58, 0.72)),
        "floor": _hsv(room + rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.3), rng.uniform(0.45, 0.58)),
        "bands": rng.normal(size=(3, 6)),  # amplitudes and phases of the wall's waves
    }


# --- rendering -----------------------------------------------------------------------------------------

ELEVATION = np.deg2rad(14)  # the camera looks down a little, from far away: parallel rays
_LIGHT = np.array([-0.4, 1.0, 0.45])  # towards the light, in camera axes: from the left, above, in front
_LIGHT = _LIGHT / np.linalg.norm(_LIGHT)
_SUPER = 2  # samples a pixel, each way


def camera(azimuth):
    """Rotation (3, 3) from the world to the camera: x right, y up, z toward the viewer. azimuth in degrees."""
    a = np.deg2rad(azimuth)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    c, s = np.cos(ELEVATION), np.sin(ELEVATION)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ turn


def _body(clip, angles):
    """Capsules of the body in world axes: starts, ends (T, N, 3), radii (N,), materials (N,)."""
    parts = []  # (joint, start in its frame, end in its frame, radius, material)
    parts += [("root", (0, 0.03, 0), (0, 0.2, 0), 0.15, "trousers")]
    parts += [("chest", (0, 0.0, 0), (0, 0.17, 0), 0.175, "shirt")]
    parts += [
        ("neck", (0, 0.0, 0), (0, 0.1, 0), 0.06, "skin"),
        ("neck", (0, 0.17, 0), (0.01, 0.18, 0), 0.135, "head"),
    ]
    for side, z in (("right", 1), ("left", -1)):
        parts += [
            (f"{side}_hip", (0, -0.02, 0), (0, -0.40, 0), 0.11, "trousers"),
            (f"{side}_knee", (0, -0.02, 0), (0, -0.37, 0), 0.09, "trousers"),
            (f"{side}_ankle", (-0.03, -0.02, 0), (0.13, -0.03, 0), 0.07, "shoes"),
            (f"{side}_shoulder", (0, 0, -0.03 * z), (0, -0.25, 0), 0.085, "shirt"),
            (f"{side}_elbow", (0, -0.02, 0), (0, -0.22, 0), 0.065, "skin"),
            (f"{side}_wrist", (0, 0, 0), (0, -0.04, 0), 0.075, "skin"),
        ]
    joints = [JOINTS.index(name) for name, *_ in parts]
    ends = [
        clip.positions[:, joints]
        + np.einsum("tnij,nj->tni", clip.rotations[:, joints], np.array([p[i] for p in parts]))
        for i in (1, 2)
    ]
    starts, ends, radii, materials = *ends, [p[3] for p in parts], [p[4] for p in parts]
    # A scarf: two segments from the back of the neck. It hangs down; wind turns it about the body's forward axis.
    neck = JOINTS.index("neck")
    back = -clip.rotations[:, neck, :, 0]
    side = np.cross(back, (0, 1, 0))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    at = clip.positions[:, neck] + 0.13 * back + np.array([0, 0.02, 0])
    for swing in (0.7 * angles, 1.3 * angles):
        swing = np.clip(swing, -1.7, 1.7)[:, None]
        there = at + 0.3 * (np.cos(swing) * np.array([0, -1, 0]) + np.sin(swing) * side) + 0.04 * back
        starts = np.concatenate([starts, at[:, None]], axis=1)
        ends = np.concatenate([ends, there[:, None]], axis=1)
        radii, materials, at = [*radii, 0.06], [*materials, "scarf"], there
    return starts, ends, np.array(radii), materials


def render_all(clips, part, azimuths, world=World(), seed=0, looks=None):
    """Render the clips of `part` ("train", "validation" or "test") from each azimuth: a list of Video.

    Accidents of the world never coincide. looks: how many looks are shared by all parts; None: every video has
    its own, and no two parts share one. Raises ValueError for an unknown part.
    """
    if part not in SPLIT:
        raise ValueError(f"no part {part!r}; there are {', '.join(SPLIT)}.")
    first = 1000 * list(SPLIT).index(part)
    pairs = [(name, azimuth) for name in SPLIT[part] for azimuth in azimuths]
    return [
        render(
            clips[name], azimuth, number % looks if looks else first + number, world, [seed, first + number]
        )
        for number, (name, azimuth) in enumerate(pairs)
    ]


def render(clip, azimuth=0.0, look_seed=0, world=World(), seed=0, frames=None):
    """Render a Clip as a Video: a textured body with its shadow in a room, and its pose as colored bones.

    azimuth: where the camera stands, in degrees. look_seed: colors of clothes and room. seed: of what `world`
    lets happen. frames: how many, from the start; None: all. The camera stands still and sees the whole clip.
    """
    clip = (
        clip
        if frames is None
        else Clip(clip.name, clip.positions[:frames], clip.rotations[:frames], clip.real)
    )
    if not len(clip):
        raise ValueError(f"clip {clip.name!r} has no frames to render; frames was {frames!r}.")
    colors, hidden = (
        look(look_seed),
        _hidden(world, len(clip), np.random.default_rng([11, *np.atleast_1d(seed)])),
    )
    starts, ends, radii, materials = _body(clip, hidden[:, 1])
    view, center, scale = _frame_clip(clip, azimuth)
    to_camera = lambda points: (points - center) @ view.T  # noqa: E731
    starts, ends, joints = to_camera(starts), to_camera(ends), to_camera(clip.positions)
    room = _Room(colors, view, center, scale)
    pictures = np.empty((len(clip), 3, HEIGHT, WIDTH), np.uint8)
    for t in range(len(clip)):
        exposure, shift = np.exp(hidden[t, 0]), hidden[t, 2:]
        pictures[t] = _draw(
            starts[t], ends[t], radii, materials, colors, room, exposure, shift, clip, t, view
        )
    return Video(pictures, _pose_pictures(joints, scale), hidden, clip.name, float(azimuth), int(look_seed))


def _frame_clip(clip, azimuth):
    """View rotation, the point at the picture's center, and pixels a meter, so that the whole clip is seen."""
    view = camera(azimuth)
    seen = clip.positions.reshape(-1, 3) @ view.T
    low, high = seen.min(axis=0) - 0.2, seen.max(axis=0) + 0.2
    scale = min(16.0, (WIDTH - 2) / (high[0] - low[0]), (HEIGHT - 1) / (high[1] - low[1]))
    middle = (low + high) / 2
    floor = view @ (view.T @ middle * (1, 0, 1))  # the floor below the middle
    middle[1] = max(middle[1], floor[1] + (HEIGHT / 2 - 5) / scale)  # the floor stays in the lower part
    return view, view.T @ middle, scale


class _Room:
    """Floor and wall of one video on the fine grid, without the figure."""

    def __init__(self, colors, view, center, scale):
        rows, columns = np.mgrid[: HEIGHT * _SUPER, : WIDTH * _SUPER].astype(np.float32)
        self.scale = scale
        self.x = ((columns + 0.5) / _SUPER - WIDTH / 2) / scale  # meters in the camera's plane
        self.y = -((rows + 0.5) / _SUPER - HEIGHT / 2) / scale
        # Where a ray meets the floor: center + x·right + y·up + z·toward has height 0.
        up = view[:, 1]
        self.floor_z = -(center[1] + self.x * up[0] + self.y * up[1]) / up[2]
        self.is_floor = self.floor_z > -2.2 / np.cos(ELEVATION)
        # Darker toward the wall, which has broad soft waves.
        floor = colors["floor"] * (1.05 + 0.1 * np.clip(self.floor_z / 2.2, -1, 1))[..., None]
        k = np.arange(6) + 1
        waves = np.sin(self.x[..., None] * k * 1.1 + colors["bands"][1] * 6) * np.cos(
            self.y[..., None] * k * 0.9
        )
        wall = colors["wall"] * (1 + 0.04 * (waves * colors["bands"][0]).sum(-1, keepdims=True).clip(-3, 3))
        self.colors = np.where(self.is_floor[..., None], floor, wall).astype(np.float32)
        self.bright = np.where(self.is_floor, 0.55 + 0.45 * _LIGHT[1], 0.9).astype(np.float32)
        # A shadow is a picture taken from the light: points and capsules projected along its direction.
        self.across = np.linalg.svd(_LIGHT[None])[2][1:]  # (2, 3), orthogonal to the light
        self.ground = np.stack([self.x, self.y, self.floor_z], axis=-1)[self.is_floor] @ self.across.T


def _segment_distance(points, a, b):
    """Distance (N, M) of points (M, 2) from segments a to b (N, 2)."""
    ab, ap = (b - a)[:, None], points[None] - a[:, None]
    share = ((ap * ab).sum(-1) / np.maximum((ab**2).sum(-1), 1e-9)).clip(0, 1)
    return np.sqrt(((ap - share[..., None] * ab) ** 2).sum(-1))


def _draw(starts, ends, radii, materials, colors, room, exposure, shift, clip, t, view):
    """One frame, uint8 (3, 32, 64)."""
    shade = room.bright.copy()
    across = room.across.T
    gap = _segment_distance(room.ground, starts @ across, ends @ across) - radii[:, None]
    shade[room.is_floor] *= 1 - 0.35 * (0.5 - gap.min(axis=0) / 0.16).clip(0, 1)
    picture = room.colors * shade[..., None]
    depth = np.full(picture.shape[:2], -1e9, np.float32)
    for a, b, r, material in zip(starts, ends, radii, materials, strict=True):
        _draw_capsule(picture, depth, room, a, b, r, material, colors, clip, t, view)
    if shift.any():
        picture = _shifted(picture, shift * _SUPER)
    fine = picture.reshape(HEIGHT, _SUPER, WIDTH, _SUPER, 3).mean(axis=(1, 3))
    return np.round(255 * (exposure * fine).clip(0, 1)).astype(np.uint8).transpose(2, 0, 1)


def _draw_capsule(picture, depth, room, a, b, r, material, colors, clip, t, view):
    """Draw one capsule into picture and depth: where parallel rays meet it, lit and textured."""
    fine = room.scale * _SUPER
    low, high = np.minimum(a, b) - r, np.maximum(a, b) + r
    left, right = (int((v * fine) + WIDTH * _SUPER / 2) for v in (low[0], high[0]))
    top, bottom = (int(-(v * fine) + HEIGHT * _SUPER / 2) for v in (high[1], low[1]))
    box = slice(max(top, 0), max(bottom + 2, 0)), slice(max(left, 0), max(right + 2, 0))
    x, y = room.x[box] - a[0], room.y[box] - a[1]
    if not x.size:
        return
    # The ray (x, y, ·) and the cylinder |p − a − s·(b − a)| = r, then the nearer cap (see Hart's ray-capsule test).
    ab = b - a
    length2 = float(ab @ ab) + 1e-9
    slope = ab[2]
    flat = length2 - slope * slope + 1e-9
    along = x * ab[0] + y * ab[1]
    h = (along * slope) ** 2 - flat * (length2 * (x * x + y * y) - along * along - r * r * length2)
    z = (along * slope + np.sqrt(np.maximum(h, 0))) / flat
    share = (along + z * slope) / length2
    hit = (h > 0) & (share > 0) & (share < 1)
    for end, inside in ((np.zeros(3), share <= 0), (ab, share >= 1)):
        cap = r * r - (x - end[0]) ** 2 - (y - end[1]) ** 2
        use = inside & (cap > 0)
        z = np.where(use, end[2] + np.sqrt(np.maximum(cap, 0)), z)
        hit |= use
    hit &= z + a[2] > depth[box]
    if not hit.any():
        return
    x, y, z, share = x[hit], y[hit], z[hit], share[hit].clip(0, 1)
    normal = np.stack([x, y, z], axis=1) - share[:, None] * ab
    normal /= r
    color = _texture(material, colors, share, normal, clip, t, view)
    light = 0.45 + 0.62 * (normal @ _LIGHT).clip(0)
    depth[box][hit] = z + a[2]
    picture[box][hit] = color * light[:, None]


def _texture(material, colors, share, normal, clip, t, view):
    """Color (M, 3) at points of a part: stripes on shirt and scarf, a face and hair on the head."""
    if material in ("shirt", "scarf"):
        other = colors["stripe" if material == "shirt" else "shirt"]
        return np.where(((share * 3) % 1 > 0.5)[:, None], other, colors[material])
    if material == "head":
        turn = view @ clip.rotations[t, JOINTS.index("neck")]  # head to camera
        front, up = normal @ turn[:, 0], normal @ turn[:, 1]
        return np.where((up > 0.45)[:, None] | (front < -0.1)[:, None], colors["hair"], colors["skin"])
    return np.broadcast_to(colors[material], (len(share), 3))


def _shifted(picture, shift):
    """Move a picture (H, W, 3) by (right, up) in samples, bilinearly; the border repeats."""
    for axis, move in ((1, shift[0]), (0, -shift[1])):
        n = picture.shape[axis]
        place = np.clip(np.arange(n) - move, 0, n - 1)
        low = np.minimum(place.astype(int), n - 2)
        share = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1)).astype(np.float32)
        picture = np.take(picture, low, axis) * (1 - share) + np.take(picture, low + 1, axis) * share
    return picture


# --- pose pictures -------------------------------------------------------------------------------------

_BONES = tuple((joint, parent) for joint, parent in enumerate(PARENTS) if parent >= 0)


def bone_colors():
    """Colors (15, 3) of the bones in a pose picture: right side warm, left side cold, middle green to yellow."""
    colors = []
    for joint, _ in _BONES:
        name = JOINTS[joint]
        step = 0.3 * ("knee" in name or "elbow" in name) + 0.6 * ("ankle" in name or "wrist" in name)
        arm = 0.5 * any(part in name for part in ("shoulder", "elbow", "wrist"))
        side = (
            0.0
            if name.startswith("right")
            else 0.5
            if name.startswith("left")
            else 0.2 + 0.1 * (name == "neck")
        )
        colors.append(_hsv(side + 0.13 * arm + 0.08 * step, 1.0 - 0.4 * arm, 1.0))
    return np.array([*colors, (1.0, 1.0, 1.0)])  # the last: a dot for the head


def _pose_pictures(joints, scale):
    """Pose pictures uint8 (T, 3, 32, 64) of joints (T, 15, 3) in camera axes: anti-aliased bones, near over far."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    points = np.stack([(columns + 0.5 - WIDTH / 2), -(rows + 0.5 - HEIGHT / 2)], axis=-1).reshape(-1, 2)
    child, parent = np.array(_BONES).T
    colors, pictures = bone_colors(), np.zeros((len(joints), HEIGHT * WIDTH, 3))
    neck, chest = JOINTS.index("neck"), JOINTS.index("chest")
    for t, places in enumerate(joints):
        head = places[neck] + 0.7 * (places[neck] - places[chest])
        a, b = np.vstack([places[child], head]), np.vstack([places[parent], head])
        gap = _segment_distance(points, a[:, :2] * scale, b[:, :2] * scale)
        cover = (np.append(np.full(len(child), 1.0), 1.7)[:, None] + 0.4 - gap).clip(0, 1)
        for n in np.argsort((a + b)[:, 2]):  # the nearest is drawn last
            pictures[t] += cover[n][:, None] * (colors[n] - pictures[t])
    return np.round(255 * pictures).astype(np.uint8).reshape(-1, HEIGHT, WIDTH, 3).transpose(0, 3, 1, 2)


# --- the lab's folder ----------------------------------------------------------------------------------

FOLDERS = {"train": "train", "validation": "val", "test": "test"}


def clips_of(videos, length=16):
    """Cut videos into clips of `length` frames, one after another; what is left at the end falls away.

    Returns two uint8 arrays (N, length, 3, 32, 64), frames and poses. ValueError when nothing is long enough.
    """
    starts = [(video, t) for video in videos for t in range(0, len(video) - length + 1, length)]
    if not starts:
        raise ValueError(f"no video has {length} frames; the longest has {max(map(len, videos), default=0)}.")
    frames, poses = (
        np.stack([getattr(v, kind)[t : t + length] for v, t in starts]) for kind in ("frames", "poses")
    )
    return frames, poses


def read_folder(path, part):
    """Read a part of the lab's folder as a list of Video: `train` and `validation` one, `test` one a sequence.

    `train/train_img/{n}.png` with `train/train_label/{n}.png`, `val/val_img`, `val/val_label`, and for test
    `test/test_img/{i}/0.png` with `test/test_label/{i}/{n}.png`: there `frames` holds the first frame alone. Pictures
    of another size are reduced to 32 × 64; hidden is empty. Errors are those of `_pictures`, and ValueError for a
    name that is no number, a gap in the numbers, or a picture that is not twice as wide as high.
    """
    if part not in FOLDERS:
        raise ValueError(f"no part {part!r}; there are {', '.join(FOLDERS)}.")
    short = FOLDERS[part]
    images, labels = (_pictures.folder(path, short, f"{short}_{kind}") for kind in ("img", "label"))
    if part != "test":
        return [_read_video(images, labels, f"{short}", same=True)]
    numbers = _numbered([each for each in images.iterdir() if each.is_dir() and each.name[0] != "."], images)
    if not numbers:
        raise FileNotFoundError(f"{short}/{images.name} holds no folder of a sequence, 0, 1, 2, …")
    for name in (folder.name for folder in numbers):
        if not (labels / name).is_dir():
            raise FileNotFoundError(
                f"{short}/{images.name}/{name} has no poses: {short}/{labels.name}/{name} is missing."
            )
    return [_read_video(f, labels / f.name, f"{short} {f.name}", same=False) for f in numbers]


def _numbered(files, folder):
    """Sort files by the number that is their name: text puts 10 before 2."""
    for file in files:
        if not re.fullmatch(r"[0-9]+", file.stem):
            raise ValueError(f"{file.name} in {folder.name} is not named by its number, as 0, 1, 2, … are.")
    return sorted(files, key=lambda file: int(file.stem))


def _read_video(images, labels, name, same):
    frames, poses = (_numbered(_pictures.listed(folder, (".png",)), folder) for folder in (images, labels))
    for found, folder in ((frames, images), (poses, labels)):
        numbers = [int(file.stem) for file in found]
        if not numbers:
            raise FileNotFoundError(f"{folder.parent.name}/{folder.name} holds no picture 0.png, 1.png, …")
        gap = next((a + 1 for a, b in pairwise(numbers) if b != a + 1), None)
        if gap is not None:
            raise ValueError(f"{folder.name} has no {gap}.png, but pictures after it: a video has no gaps.")
    if same and [f.stem for f in frames] != [p.stem for p in poses]:
        raise ValueError(
            f"{images.name} has {len(frames)} frames from {frames[0].stem}, {labels.name} {len(poses)} poses from "
            f"{poses[0].stem}: each frame needs its pose."
        )
    pictures = [np.stack([_read_picture(file) for file in found]) for found in (frames, poses)]
    return Video(*pictures, np.zeros((len(poses), 0)), name, float("nan"), -1)


def _read_picture(file):
    image = _pictures.upright(file)
    if image.width != 2 * image.height:
        raise ValueError(
            f"{file.parent.name}/{file.name} is {image.height} high and {image.width} wide; twice as wide as high "
            f"is needed, such as {HEIGHT} × {WIDTH}."
        )
    return _pictures.rgb(image, (WIDTH, HEIGHT))


def write_folder(path, part, videos):
    """Write videos as a part of the lab's folder: joined end to end, or for test each on its own with one frame."""
    from PIL import Image

    def save(pictures, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for n, picture in enumerate(pictures):
            Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{n}.png")

    if part not in FOLDERS:
        raise ValueError(f"no part {part!r}; there are {', '.join(FOLDERS)}.")
    short = FOLDERS[part]
    images, labels = (Path(path).expanduser() / short / f"{short}_{kind}" for kind in ("img", "label"))
    if part == "test":
        for i, video in enumerate(videos):
            save(video.frames[:1], images / str(i))
            save(video.poses, labels / str(i))
    else:
        save(np.concatenate([v.frames for v in videos]), images)
        save(np.concatenate([v.poses for v in videos]), labels)


DATASETS = (
    Dataset(
        "humanoid3d motions",
        "video_generation",
        "zlib (package); of the captures: not stated",
        "motion capture, 15 clips, package pybullet 3.2.7; from the DeepMimic project, original captures unrecorded",
        "Peng et al. (2018), ACM Trans. Graph. 37(4), 143",
        103.2,
        _fetch,
    ),
    Dataset(
        "rendered motion",
        "video_generation",
        "MIT",
        "frames and pose pictures rendered here from those motions",
    ),
)

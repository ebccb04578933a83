"""The data of the chapter video_generation: motion files, the posed figure, rendered videos, the lab's folder."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from dlp_utils import data
from dlp_utils.data import fetch, motion

# --- motion files --------------------------------------------------------------------------------------


def row(duration=0.05, x=0.0, **quaternions):
    """One row of a motion file: upright at height 0.9, all joints at rest but those given."""
    values = [duration, x, 0.9, 0.0, *quaternions.get("root", (1, 0, 0, 0))]
    for name in motion._ORDER[1:]:
        values += (
            [quaternions.get(name, 0.0)] if name in motion.HINGES else quaternions.get(name, (1, 0, 0, 0))
        )
    return values


def motion_file(folder, rows):
    file = folder / "humanoid3d_small.txt"
    file.write_text(json.dumps({"Loop": "none", "Frames": rows}), encoding="utf-8")
    return file


def test_a_resting_figure_stands_upright(tmp_path):
    clip = motion.read_clip(motion_file(tmp_path, [row(), row()]))
    assert (
        clip.name == "small" and clip.positions.shape == (2, 15, 3) and clip.rotations.shape == (2, 15, 3, 3)
    )
    place = dict(zip(motion.JOINTS, clip.positions[0], strict=True))
    assert np.allclose(place["root"], (0, 0.9, 0))
    assert np.allclose(place["neck"], (0, 0.9 + 0.236151 + 0.223894, 0))
    assert np.allclose(place["left_ankle"], (0, 0.9 - 0.421546 - 0.40987, -0.084887))
    assert np.allclose(
        place["right_wrist"], (-0.02405, 0.9 + 0.236151 + 0.2435 - 0.274788 - 0.258947, 0.18311)
    )


def test_joints_turn_what_hangs_on_them(tmp_path):
    half = np.sqrt(0.5)
    clip = motion.read_clip(
        motion_file(
            tmp_path,
            2
            * [
                row(
                    root=(half, 0, half, 0),  # a quarter turn about y: x becomes −z
                    right_hip=(half, 0, 0, half),  # a quarter turn about z: the thigh, down, points forward
                    right_knee=-np.pi / 2,  # and the shank down again
                )
            ],
        )
    )
    place = dict(zip(motion.JOINTS, clip.positions[0], strict=True))
    assert np.allclose(place["right_hip"], (0.084887, 0.9, 0), atol=1e-9)
    assert np.allclose(place["right_knee"] - place["right_hip"], (0, 0, -0.421546), atol=1e-9)
    assert np.allclose(place["right_ankle"] - place["right_knee"], (0, -0.40987, 0), atol=1e-9)
    assert np.allclose(place["left_knee"] - place["left_hip"], (0, -0.421546, 0), atol=1e-9)


def test_frames_come_at_equal_steps(tmp_path):
    rows = [row(0.1, x=0.0), row(0.05, x=1.0), row(0.05, x=2.0), row(0.05, x=3.0)]  # at 0, 0.1, 0.15, 0.2 s
    clip = motion.read_clip(motion_file(tmp_path, rows), fps=20)
    assert np.allclose(clip.positions[:, 0, 0], [0, 0.5, 1, 2, 3])
    turned = [
        row(0.1),
        row(0.1, root=(-np.cos(0.3), 0, -np.sin(0.3), 0)),
    ]  # −q is the same turn as q: 0.6 rad
    middle = motion.read_clip(motion_file(tmp_path, turned), fps=20).rotations[1, 0]
    assert np.allclose(np.arctan2(middle[0, 2], middle[0, 0]), 0.3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no json", "is not a motion file"),
        ('{"Loop": "wrap"}', "is not a motion file"),
        (json.dumps({"Frames": [[1.0] * 43] * 3}), r"shape \(3, 43\); rows of 44"),
        (json.dumps({"Frames": [row()]}), r"shape \(1, 44\)"),
        (json.dumps({"Frames": [row(0.0), row()]}), "duration that is not positive"),
        (json.dumps({"Frames": [row(), row(x=float("nan"))]}), "not finite"),
    ],
)
def test_a_broken_motion_file_is_named(tmp_path, text, complaint):
    file = tmp_path / "humanoid3d_bad.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"humanoid3d_bad.txt.*{complaint}"):
        motion.read_clip(file)


@pytest.fixture(scope="module")
def real():
    try:
        files = motion._fetch()
    except fetch.OfflineError as error:
        pytest.skip(f"needs the package index once: {error}")
    return files, motion.load_clips()


def test_the_real_clips(real):
    _, clips = real
    assert set(clips) == {name for part in motion.SPLIT.values() for name in part} and len(clips) == 15
    assert sum(map(len, clips.values())) == 1010
    assert min(len(clips[name]) for name in motion.SPLIT["test"]) >= 61
    for clip in clips.values():
        assert clip.real and clip.positions[..., 1].min() > -0.1 and clip.positions[..., 1].max() < 2.5
        for joint, parent in enumerate(motion.PARENTS):  # bones keep their lengths
            if parent >= 0:
                bone = np.linalg.norm(clip.positions[:, joint] - clip.positions[:, parent], axis=1)
                assert np.allclose(bone, np.linalg.norm(motion.OFFSETS[joint]))
        steps = np.linalg.norm(np.diff(clip.positions[:, 0], axis=0), axis=1) * motion.FPS
        assert steps.max() < 8  # meters a second: nobody jumps from place to place


def test_the_walk_looks_like_one(real):
    """Knees bend backward, the ankles take turns in front, and the body moves the way it faces."""
    clip = real[1]["walk"]
    at = dict(zip(motion.JOINTS, np.moveaxis(clip.positions, 1, 0), strict=True))
    forward = clip.rotations[:, 0, :, 0]  # the body's x axis
    travelled = at["root"][-1] - at["root"][0]
    assert travelled @ forward.mean(axis=0) > 0.8
    lead = ((at["right_ankle"] - at["left_ankle"]) * forward).sum(axis=1)
    assert lead.max() > 0.25 and lead.min() < -0.25
    knee = at["right_knee"] - (at["right_hip"] + at["right_ankle"]) / 2
    assert ((knee * forward).sum(axis=1) > -0.02).all()


def test_the_skeleton_is_that_of_the_package(real):
    text = real[0][motion._URDF].read_text().rstrip("\0\r\n ")  # the file ends in a NUL
    joints = {joint.find("child").get("link"): joint for joint in ET.fromstring(text).iter("joint")}
    for name, parent, offset in motion.SKELETON[1:]:
        assert joints[name].find("parent").get("link") == parent
        xyz = np.array(joints[name].find("origin").get("xyz").split(), dtype=float)
        assert np.allclose(0.25 * xyz, offset, atol=1e-6)


def test_left_mirrors_right():
    sides = [motion.OFFSETS[[j.startswith(side) for j in motion.JOINTS]] for side in ("left", "right")]
    assert np.allclose(sides[0] * (1, 1, -1), sides[1])


def test_twice_mirrored_is_the_motion_itself():
    clip = motion.stand_in(frames=12)["walk"]
    mirror = motion.mirrored(clip)
    right, left = (motion.JOINTS.index(f"{side}_ankle") for side in ("right", "left"))
    assert np.allclose(mirror.positions[:, left], clip.positions[:, right] * (1, 1, -1))
    posed = motion.forward_kinematics(mirror.positions[:, 0], motion.local_rotations(mirror))
    assert np.allclose(posed[0], mirror.positions) and np.allclose(posed[1], mirror.rotations)
    assert np.allclose(motion.mirrored(mirror).positions, clip.positions)


def test_variations_are_made_of_training_clips_only():
    clips = motion.stand_in(frames=12)
    only = {name: clips[name] for name in motion.SPLIT["train"]}
    made = motion.variations(only, 4, seed=1)
    for clip, same in zip(made, motion.variations(clips, 4, seed=1), strict=True):
        assert not clip.real and np.array_equal(clip.positions, same.positions)
        bones = [clip.positions[:, j] - clip.positions[:, p] for j, p in enumerate(motion.PARENTS) if p >= 0]
        lengths = np.linalg.norm(bones, axis=-1)
        assert np.allclose(lengths, np.linalg.norm(motion.OFFSETS[1:], axis=1)[:, None])
    legs = [j for j, n in enumerate(motion.JOINTS) if n.endswith(("root", "hip", "knee", "ankle"))]
    still = motion.variations(clips, 40, sway=0.0)
    known = [motion.local_rotations(c)[:, legs] for n in only for c in (clips[n], motion.mirrored(clips[n]))]
    for clip in still:  # the legs of each are those of a training clip, or of its mirror image
        bent = motion.local_rotations(clip)[:, legs]
        assert min(abs(bent - other).max() for other in known) < 1e-9
    assert not np.allclose(made[0].positions, made[1].positions)


def test_without_a_network_gaits_stand_in_and_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with fetch.no_downloads():
        clips = motion.load_clips()
    said = capsys.readouterr().out
    assert "GENERATED stand-in" in said and "python -m dlp_utils.data" in said
    assert len(clips) == 15 and not any(clip.real for clip in clips.values())
    assert min(map(len, clips.values())) >= 61
    assert not np.allclose(clips["walk"].positions, clips["run"].positions)


def test_registry():
    sets = {entry.name: entry for entry in data.datasets("video_generation")}
    assert set(sets) == {"humanoid3d motions", "rendered motion"}
    assert sets["humanoid3d motions"].megabytes > 100 and "DeepMimic" in sets["humanoid3d motions"].source
    assert sets["rendered motion"].cached()


# --- rendering -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gait():
    return motion.stand_in(frames=12)["walk"]


def test_a_video_is_what_its_seeds_say(gait):
    video = motion.render(gait, azimuth=30, look_seed=3)
    assert video.frames.shape == video.poses.shape == (12, 3, 32, 64)
    assert video.frames.dtype == video.poses.dtype == np.uint8 and len(video) == 12
    again = motion.render(gait, azimuth=30, look_seed=3, seed=5)  # nothing happens in this world
    assert np.array_equal(video.frames, again.frames) and not video.hidden.any()
    other = motion.render(gait, azimuth=30, look_seed=4)
    assert np.array_equal(video.poses, other.poses) and not np.array_equal(video.frames, other.frames)
    turned = motion.render(gait, azimuth=120, look_seed=3)
    assert not np.array_equal(video.poses, turned.poses)
    assert len(motion.render(gait, 30, 3, frames=5)) == 5
    with pytest.raises(ValueError, match="no frames to render; frames was 0"):
        motion.render(gait, frames=0)


def test_the_body_is_where_its_pose_picture_is(gait):
    """What changes between two frames of a still camera lies around the bones, or in the shadow below."""
    for azimuth in (0, 60, 200):
        video = motion.render(gait, azimuth, 1)
        bones = video.poses.max(axis=1) > 0  # (T, H, W)
        plain = np.median(video.frames, axis=0)
        body = np.abs(video.frames - plain).max(axis=1) > 60
        grown = np.zeros_like(bones)
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                grown |= np.roll(bones, (dy, dx), axis=(1, 2))
        assert bones.any(axis=(1, 2)).all() and body.any()
        assert (body & grown).sum() > 0.9 * body.sum()


def test_left_and_right_have_their_own_colors():
    colors = motion.bone_colors()
    assert len(np.unique(colors.round(3), axis=0)) == len(colors)


def test_what_pose_does_not_tell(gait):
    calm = motion.render(gait, 30, 3)
    light = motion.render(gait, 30, 3, motion.World(light=0.2), seed=1)
    bright = light.frames.mean(axis=(1, 2, 3)) / calm.frames.mean(axis=(1, 2, 3))
    assert np.corrcoef(np.log(bright), light.hidden[:, 0])[0, 1] > 0.99
    wind = motion.render(gait, 30, 3, motion.World(wind=1.0), seed=1)
    assert np.array_equal(wind.poses, calm.poses) and not np.array_equal(wind.frames, calm.frames)
    shake = motion.render(gait, 30, 3, motion.World(shake=1.5), seed=1)
    assert np.array_equal(shake.poses, calm.poses)
    assert not np.array_equal(
        light.frames, motion.render(gait, 30, 3, motion.World(light=0.2), seed=2).frames
    )


def test_a_shake_moves_the_picture_the_way_it_says():
    picture = np.zeros((8, 8, 3), np.float32)
    picture[4, 4] = 1
    assert motion._shifted(picture, (2, 1))[3, 6, 0] == pytest.approx(1)  # right by 2, up by 1
    assert motion._shifted(picture, (0.25, 0))[4, 4:6, 0] == pytest.approx([0.75, 0.25])


def test_drifting_light_has_the_memory_it_was_given():
    hidden = motion._hidden(motion.World(light=0.3, memory=0.8), 20_000, np.random.default_rng(0))[:, 0]
    assert hidden.std() == pytest.approx(0.3, rel=0.05)
    assert np.corrcoef(hidden[1:], hidden[:-1])[0, 1] == pytest.approx(0.8, abs=0.02)


def test_parts_share_neither_clips_nor_looks():
    clips = {
        name: motion.Clip(name, c.positions[:1], c.rotations[:1]) for name, c in motion.stand_in(2).items()
    }
    seen = {part: motion.render_all(clips, part, (0, 90)) for part in motion.SPLIT}
    for kind in ("clip", "look"):
        sets = [{getattr(video, kind) for video in videos} for videos in seen.values()]
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
    assert len({video.look for video in seen["train"]}) == len(seen["train"]) == 20
    assert {v.look for v in motion.render_all(clips, "test", (0, 90), looks=4)} == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="no part 'val'; there are train, validation, test"):
        motion.render_all(clips, "val", (0,))


# --- the lab's folder ----------------------------------------------------------------------------------


@pytest.fixture
def videos(gait):
    return [motion.render(gait, azimuth, azimuth) for azimuth in (0, 90)]


def test_the_folder_is_read_as_it_was_written(tmp_path, videos):
    for part in motion.FOLDERS:
        motion.write_folder(tmp_path, part, videos)
    assert (tmp_path / "val" / "val_label" / "23.png").is_file()
    (train,) = motion.read_folder(tmp_path, "train")
    assert np.array_equal(train.frames, np.concatenate([v.frames for v in videos]))  # 10.png after 9.png
    assert np.array_equal(train.poses, np.concatenate([v.poses for v in videos]))
    test = motion.read_folder(tmp_path, "test")
    assert [v.frames.shape[0] for v in test] == [1, 1] and [len(v) for v in test] == [12, 12]
    assert np.array_equal(test[1].poses, videos[1].poses)
    frames, poses = motion.clips_of([train], length=5)
    assert frames.shape == poses.shape == (4, 5, 3, 32, 64) and np.array_equal(frames[1, 2], train.frames[7])
    with pytest.raises(ValueError, match="no video has 30 frames; the longest has 24"):
        motion.clips_of([train], 30)


def test_large_pictures_are_reduced(tmp_path, videos):
    motion.write_folder(tmp_path, "validation", videos)
    big = np.full((128, 256, 3), 90, np.uint8)
    Image.fromarray(big).save(tmp_path / "val" / "val_img" / "3.png")
    (video,) = motion.read_folder(tmp_path, "validation")
    assert (video.frames[3] == 90).all()


@pytest.mark.parametrize(
    ("damage", "error", "complaint"),
    [
        (lambda f: (f / "train_label" / "4.png").unlink(), ValueError, "train_label has no 4.png"),
        (
            lambda f: (f / "train_label" / "23.png").unlink(),
            ValueError,
            "24 frames from 0, train_label 23 poses",
        ),
        (
            lambda f: (f / "train_img" / "4.png").rename(f / "train_img" / "four.png"),
            ValueError,
            "four.png in train_img",
        ),
        (
            lambda f: (f / "train_img" / "4.png").write_bytes(b"no"),
            ValueError,
            "train_img/4.png cannot be read",
        ),
        (
            lambda f: Image.new("RGB", (32, 64)).save(f / "train_img" / "4.png"),
            ValueError,
            "train_img/4.png is 64 high and 32 wide",
        ),
        (lambda f: (f / "train_img").rename(f / "images"), FileNotFoundError, "train/train_img is missing"),
        (
            lambda f: [file.unlink() for file in (f / "train_label").iterdir()],
            FileNotFoundError,
            "train/train_label holds no picture",
        ),
    ],
)
def test_a_damaged_folder_is_named(tmp_path, videos, damage, error, complaint):
    motion.write_folder(tmp_path, "train", videos)
    damage(tmp_path / "train")
    with pytest.raises(error, match=complaint):
        motion.read_folder(tmp_path, "train")


def test_a_test_sequence_without_poses_is_named(tmp_path, videos):
    motion.write_folder(tmp_path, "test", videos)
    (tmp_path / "test" / "test_label" / "1").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="test/test_img/1 has no poses"):
        motion.read_folder(tmp_path, "test")
    with pytest.raises(ValueError, match="no part 'val'"):
        motion.read_folder(tmp_path, "val")

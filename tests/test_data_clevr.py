"""The data of the chapter diffusion: generated blocks, lists of labels, the lab's folder."""

import json
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from dlp_utils import data
from dlp_utils.data import clevr

# --- generated scenes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 32, 64])
def test_scenes_have_the_promised_form(size):
    found = clevr.generated_scenes(70, size=size)  # more than are drawn at a time
    assert len(found) == 70
    assert found.images.shape == (70, 3, size, size) and found.images.dtype == np.uint8
    assert found.labels.shape == (70, 24) and found.labels.dtype == np.float32
    assert found.labels.sum(1).tolist() == [1 + i % 3 for i in range(70)]
    assert set(np.unique(found.labels)) == {0, 1}


def test_scenes_depend_on_seed_part_and_number_alone():
    few, many = clevr.generated_scenes(7), clevr.generated_scenes(131)
    assert np.array_equal(few.images, many.images[:7]) and np.array_equal(few.labels, many.labels[:7])
    assert not np.array_equal(few.labels, clevr.generated_scenes(7, seed=1).labels)
    assert len({image.tobytes() for image in many.images}) == 131  # no two alike


def test_parts_share_no_picture():
    parts = [{image.tobytes() for image in clevr.generated_scenes(60, part).images} for part in clevr.PARTS]
    assert not (parts[0] & parts[1]) and not (parts[0] & parts[2]) and not (parts[1] & parts[2])
    lists = [clevr.names(row) for row in clevr.generated_scenes(60, "test").labels]
    redrawn = {image.tobytes() for image in clevr.drawn(lists).images}
    assert not redrawn & parts[2]  # new pictures of the same labels


def test_a_larger_picture_shows_the_same_scene():
    small, large = clevr.generated_scenes(20, size=32).images, clevr.generated_scenes(20, size=64).images
    reduced = large.reshape(20, 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(reduced - small).mean() < 3  # of 255
    assert np.abs(reduced - small[::-1]).mean() > 10  # other scenes are not alike


def test_no_scene_holds_a_held_out_pair():
    labels = clevr.generated_scenes(2400, size=16).labels
    pairs = {pair for row in labels for pair in combinations(np.flatnonzero(row).tolist(), 2)}
    assert not pairs & set(clevr.HELD_OUT_PAIRS)
    assert len(pairs) == 24 * 23 // 2 - 24  # all the others occur
    assert (labels.sum(0) > 0.7 * labels.sum() / 24).all()  # no label is rare


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, r"n must be a whole number, at least 1, got 0"),
        ({"n": 2, "size": 8}, r"size must be .* at least 16, got 8"),
        ({"n": 2, "part": "valid"}, r"no part 'valid'.*train, validation, test"),
        ({"n": True}, r"n must be a whole number"),
    ],
)
def test_wrong_requests_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        clevr.generated_scenes(**arguments)


def test_the_registry_knows_the_blocks():
    (entry,) = data.datasets("diffusion")
    assert "generated" in entry.source and entry.cached() and entry.megabytes == 0
    assert "Johnson" in entry.citation and "CC BY 4.0" in entry.citation


# --- what is drawn -------------------------------------------------------------------------------------


def painted(plan, slot, size=64, light=1.0):
    """How much of each pixel object `slot` covers, alone and as it is seen in the picture."""
    shaders = {name: getattr(clevr, f"_{name}") for name in clevr.SHAPES}

    def flat(shader):
        def shade(*arguments):
            inside = shader(*arguments)[0]
            return inside, np.full(inside.shape, light, np.float32), np.float32(0)

        return shade

    edge = clevr._patch(size) // 2
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name, shader in shaders.items():
            patch.setattr(clevr, f"_{name}", flat(shader))
        for last in (slot, len(plan["objects"]) - 1):
            things = [{**one, "rgb": np.full(3, k == slot)} for k, one in enumerate(plan["objects"])]
            canvas = np.zeros((1, size + 2 * edge, size + 2 * edge, 3), np.float32)
            for k in range(slot, last + 1):
                clevr._paint(canvas, [0], [{**plan, "objects": things}], k, size)
            found.append(canvas[0, :, :, 0])
    return found[0], found[1], found[1][edge:-edge, edge:-edge]


def plans(count, amount):
    for i in range(amount):
        rng = np.random.default_rng([7, count, i])
        yield clevr._plan(rng, clevr._free_labels(rng, count))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_object_is_mostly_visible_and_inside(count):
    for plan in plans(count, 60):
        for slot in range(count):
            alone, seen, inside = painted(plan, slot)
            assert seen.sum() > 0.7 * alone.sum()  # of the object, little is hidden by others
            assert inside.sum() > 0.95 * seen.sum()  # and little is cut off
            wide = (alone > 0.5).any(0).sum() / 64
            assert 0.2 < wide < 0.5  # about a third of the picture


def test_on_average_next_to_nothing_is_hidden():
    shares = []
    for plan in plans(3, 60):
        for slot in range(3):
            alone, seen, _ = painted(plan, slot, size=32)
            shares.append(seen.sum() / alone.sum())
    assert np.mean(shares) > 0.97


def test_farther_is_higher_and_smaller():
    rng = np.random.default_rng(0)
    heights, areas = [], []
    for _ in range(100):
        plan = clevr._plan(rng, [9])
        heights.append(plan["objects"][0]["at"][1])
        areas.append(painted(plan, 0)[0].sum())
    assert np.corrcoef(heights, areas)[0, 1] < -0.7


def test_nearer_objects_are_painted_later():
    for plan in plans(3, 30):
        heights = [one["foot"][1] for one in plan["objects"]]
        assert heights == sorted(heights, reverse=True)


def middle_color(image):
    """The mean color of what differs from the ground: (3,) in [0, 1], and the share of the picture."""
    image = image / 255.0
    ground = np.median(image, axis=(1, 2))
    rgb = image - ground[:, None, None]
    tinted = np.ptp(rgb, axis=0) > 0.12  # colored; the ground and its shadows are not
    dark = image.mean(0) < 0.42
    mask = tinted if tinted.sum() > 0.02 * tinted.size else dark
    return image[:, mask].mean(1), mask.mean()


def direction(rgb):
    """Hue and saturation without brightness: the part of a color beside gray, over its largest part."""
    rgb = np.asarray(rgb, float)
    return (rgb - rgb.mean(-1, keepdims=True)) / rgb.max(-1, keepdims=True)


def test_the_names_of_the_colors_are_those_of_their_hues():
    """What a person would say: the hue on the circle, in degrees; brown is a dark orange."""
    hues = {"red": 0, "brown": 28, "yellow": 55, "green": 114, "cyan": 180, "blue": 229, "purple": 275}
    for name, rgb in clevr.COLORS.items():
        r, g, b = (value / 255 for value in rgb)
        if name == "gray":
            assert r == g == b
            continue
        hue = np.rad2deg(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) % 360
        assert abs(hue - hues[name]) < 6, (name, hue)
    assert sum(clevr.COLORS["brown"]) < sum(clevr.COLORS["yellow"]) / 2


@pytest.mark.parametrize("size", [32, 64])
def test_colors_are_drawn_as_labeled(size):
    references = direction(list(clevr.COLORS.values()))
    for seed in range(3):
        found = clevr.drawn([[label] for label in clevr.LABELS], size=size, seed=seed)
        for label, image in zip(clevr.LABELS, found.images, strict=True):
            color, share = middle_color(image)
            assert 0.03 < share < 0.2, label
            nearest = np.abs(references - direction(color)).sum(1).argmin()
            assert list(clevr.COLORS)[nearest] == label.split()[0], (label, color)


def test_the_ground_is_gray_and_lighter_than_gray_objects():
    ground = clevr.drawn([[]] * 20).images / 255.0
    assert ground.min() > 0.5 and (ground.max(1) - ground.min(1)).max() < 0.06
    gray = clevr.drawn([[f"gray {shape}"] for shape in clevr.SHAPES] * 8).images
    for image in gray:
        color, share = middle_color(image)
        assert 0.03 < share < 0.2 and color.max() < 0.42


def silhouette(shape, seed):
    """The shape's outline, finely drawn: how much of its box it fills, and how wide the box is for its height."""
    plan = clevr._plan(np.random.default_rng([3, seed]), [8 * clevr.SHAPES.index(shape)])
    alone = painted(plan, 0, size=256)[0]
    rows, columns = np.flatnonzero((alone > 0.5).any(1)), np.flatnonzero((alone > 0.5).any(0))
    high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    return alone.sum() / (high * wide), wide / high


def test_each_shape_has_its_outline():
    found = {shape: np.array([silhouette(shape, k) for k in range(20)]).T for shape in clevr.SHAPES}
    fill, wide = found["sphere"]
    assert np.abs(fill - np.pi / 4).max() < 0.035 and np.abs(wide - 1).max() < 0.03  # a disk
    fill, wide = found["cylinder"]
    assert (
        fill.min() > 0.82 and wide.max() < 0.785 and np.ptp(fill) < 0.08
    )  # tall, looks alike from all sides
    fill, wide = found["cube"]
    assert fill.max() < 0.86 and wide.min() > 0.785 and wide.max() < 0.96 and np.ptp(fill) > 0.08  # it turns


def test_each_shape_has_its_shading():
    """Three faces on a cube, two parts of a cylinder, a smooth ball with a small highlight."""
    for seed in range(8):
        levels, spots = {}, {}
        for shape in clevr.SHAPES:
            image = clevr.drawn([[f"red {shape}"]], size=128, seed=seed).images[0] / 255.0
            mask = image[0] - image[1] > 0.2
            for _ in range(3):  # without the outline, where ground shines through
                mask[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
            levels[shape] = np.histogram(image[0][mask], 25, (0.0, 1.0))[0] / mask.sum()
            spots[shape] = (image[1][mask] > 0.4).sum()
        few = {shape: np.sort(parts)[-5:].sum() for shape, parts in levels.items()}
        assert few["cube"] > 0.8 and few["sphere"] < 0.72 and few["cylinder"] < 0.78  # flat faces, round ones
        assert 5 < spots["sphere"] < 60 and spots["cube"] == spots["cylinder"] == 0


@pytest.mark.parametrize("shape", clevr.SHAPES)
def test_the_side_toward_the_light_is_brighter(shape):
    for seed in range(8):
        image = clevr.drawn([[f"red {shape}"]], size=64, seed=seed).images[0] / 255.0
        rows, columns = np.nonzero(image[0] - image[1] > 0.2)
        low = rows > np.quantile(rows, 0.6)  # below the lid
        left = columns[low] < np.quantile(columns, 0.3)
        right = columns[low] > np.quantile(columns, 0.7)
        red = image[0][rows[low], columns[low]]
        assert red[left].mean() > 1.15 * red[right].mean()


def test_shadows_lie_away_from_the_light():
    plan = clevr._plan(np.random.default_rng(5), [9])
    ground = clevr._ground([plan, {**plan, "objects": []}], 32).mean(-1)
    shadow = 1 - ground[0] / ground[1]
    assert 0.25 < shadow.max() < 0.75 and (shadow > -1e-6).all()
    turned = {**plan, "light": plan["light"] * (-1, 1, 1)}
    other = 1 - clevr._ground([turned], 32).mean(-1)[0] / ground[1]
    columns = np.arange(len(shadow))
    assert plan["light"][0] < 0  # it comes from the left
    assert (shadow.sum(0) @ columns) / shadow.sum() > (other.sum(0) @ columns) / other.sum() + 3


def test_taking_an_object_away_changes_the_picture():
    for plan in plans(3, 20):
        whole = clevr._draw([plan], 32)
        for slot in range(3):
            rest = {**plan, "objects": plan["objects"][:slot] + plan["objects"][slot + 1 :]}
            changed = np.abs(clevr._draw([rest], 32).astype(int) - whole).max(1) > 20
            assert changed.sum() > 40


# --- labels --------------------------------------------------------------------------------------------


def test_labels_are_in_the_order_of_the_course():
    assert clevr.LABELS[0] == "gray cube" and clevr.LABELS[9] == "red sphere"
    assert clevr.LABELS[-1] == "yellow cylinder" and len(set(clevr.LABELS)) == 24
    colors = ["gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"]
    assert list(clevr.LABELS) == [f"{c} {s}" for s in ("cube", "sphere", "cylinder") for c in colors]


def test_held_out_pairs_differ_in_shape_and_color():
    assert len(set(clevr.HELD_OUT_PAIRS)) == 24
    counts = np.bincount(np.ravel(clevr.HELD_OUT_PAIRS), minlength=24)
    assert (counts == 2).all()
    for a, b in clevr.HELD_OUT_PAIRS:
        assert a < b and a // 8 != b // 8 and a % 8 != b % 8


@pytest.mark.parametrize(("name", "amounts"), [("test", [8, 8, 16]), ("new_test", [0, 12, 20])])
def test_lists_have_their_sizes_and_no_held_out_pair(name, amounts):
    lists = clevr.label_lists(name)
    assert [sum(len(row) == k for row in lists) for k in (1, 2, 3)] == amounts and len(lists) == 32
    assert sum(map(len, lists)) == {"test": 72, "new_test": 84}[name]
    assert all(len(set(row)) == len(row) for row in lists)
    for row in lists:
        ids = sorted(clevr.LABELS.index(label) for label in row)
        assert not set(combinations(ids, 2)) & set(clevr.HELD_OUT_PAIRS)
    assert lists == clevr.label_lists(name)


def test_the_two_collections_have_every_label_and_share_no_list():
    test, new = clevr.label_lists("test"), clevr.label_lists("new_test")
    assert (clevr.multi_hot(test + new).sum(0) >= 2).all()
    assert len({frozenset(row) for row in test + new}) == 64
    held_out = clevr.label_lists("held_out")
    assert [tuple(np.flatnonzero(row)) for row in clevr.multi_hot(held_out)] == list(clevr.HELD_OUT_PAIRS)
    with pytest.raises(ValueError, match=r"no lists 'train'; there are test, new_test and held_out"):
        clevr.label_lists("train")


def test_multi_hot_and_names_are_inverse():
    lists = [["cyan cube", "red sphere"], [], ["yellow cylinder"]]
    found = clevr.multi_hot(lists)
    assert found.shape == (3, 24) and found.dtype == np.float32
    assert np.argwhere(found).tolist() == [[0, 6], [0, 9], [2, 23]] and found.max() == 1
    assert [clevr.names(row) for row in found] == lists
    assert clevr.multi_hot([]).shape == (0, 24)
    with pytest.raises(ValueError, match=r"one row of 24 numbers, got shape \(3, 24\)"):
        clevr.names(found)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([["red cube"], ["red cubes"]], r"unknown label 'red cubes' in list 1; near it: red cube"),
        ([["dog"]], r"unknown label 'dog' in list 0; labels are a color and a shape, as 'red cube'"),
        ([[3]], r"unknown label 3 in list 0"),
        ("red cube", r'not the text \'red cube\': \[\["red cube"\]\]'),
        (["red cube"], r"list 0 is the text 'red cube': put it into a list"),
    ],
)
def test_multi_hot_refuses_what_is_no_label(lists, message):
    with pytest.raises(ValueError, match=message):
        clevr.multi_hot(lists)


def test_drawn_pictures_hold_exactly_their_lists():
    lists = [["red sphere", "cyan cylinder", "cyan cube"], [], ["blue cube"]]
    found = clevr.drawn(lists)
    assert np.array_equal(found.labels, clevr.multi_hot(lists)) and found.images.shape == (3, 3, 32, 32)
    assert np.array_equal(clevr.drawn(lists[:1]).images, found.images[:1])
    assert np.array_equal(clevr.drawn([lists[0][::-1]]).images, found.images[:1])  # the order is nothing
    for other in ({"seed": 1}, {"part": "train"}):
        assert not np.array_equal(clevr.drawn(lists, **other).images, found.images)
    assert clevr.drawn([list(clevr.LABELS[:5])], size=64).images.shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"list 0 is .*at most 5 objects, each label once"):
        clevr.drawn([["red cube", "red cube"]])
    with pytest.raises(ValueError, match=r"at most 5 objects"):
        clevr.drawn([list(clevr.LABELS[:6])])
    with pytest.raises(ValueError, match=r"at least 1, got 0"):
        clevr.drawn([])


# --- the lab's folder ----------------------------------------------------------------------------------


def test_a_written_folder_is_read_back(tmp_path):
    clevr.write_folder(tmp_path / "lab", 6, size=32, seed=4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lab"]
    found, wanted = clevr.read_folder(tmp_path / "lab", size=32), clevr.generated_scenes(6, size=32, seed=4)
    assert np.array_equal(found.images, wanted.images) and np.array_equal(found.labels, wanted.labels)
    assert found.labels.dtype == np.float32
    for name in ("test", "new_test"):
        assert clevr.read_lists(tmp_path / "lab", name) == clevr.label_lists(name)
    objects = json.loads((tmp_path / "lab" / "objects.json").read_text())
    assert objects == {label: i for i, label in enumerate(clevr.LABELS)}


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    (tmp_path / "lab").mkdir()
    clevr.write_folder(tmp_path / "lab", 1, size=16)  # an empty one will do
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match=r"lab is there and not an empty folder: name a new folder"):
        clevr.write_folder(tmp_path / "lab", 2, size=16)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "next.partial").mkdir()
    with pytest.raises(FileExistsError, match=r"next.partial is left of an interrupted run: remove it"):
        clevr.write_folder(tmp_path / "next", 2, size=16)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(clevr, "label_lists", full)
    with pytest.raises(OSError, match="no space left"):
        clevr.write_folder(tmp_path / "lab", 2, size=16)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path):
    """Three pictures in the original's form, in no order; one of them RGBA and wide, one nobody names."""
    (tmp_path / "iclevr").mkdir()
    for name, color, mode, shape in (
        ("CLEVR_b.png", (10, 50, 200, 255), "RGBA", (320, 240)),
        ("CLEVR_a.png", (110, 50, 200), "RGB", (64, 64)),
        ("CLEVR_c.png", (0, 0, 0), "RGB", (64, 64)),
    ):
        Image.new(mode, shape, color).save(tmp_path / "iclevr" / name)
    content = {"CLEVR_b.png": ["blue cube", "red sphere"], "CLEVR_a.png": ["gray cylinder"]}
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "test.json").write_text(json.dumps([["blue cube"], ["red sphere", "gray cube"]]))
    return tmp_path


def test_the_original_layout_is_read_in_the_order_of_names(folder):
    found = clevr.read_folder(folder, size=48)
    assert found.images.shape == (2, 3, 48, 48) and found.images.dtype == np.uint8
    assert found.images[:, :, 5, 5].tolist() == [[110, 50, 200], [10, 50, 200]]
    assert [clevr.names(row) for row in found.labels] == [["gray cylinder"], ["blue cube", "red sphere"]]
    assert clevr.read_lists(folder) == [["blue cube"], ["red sphere", "gray cube"]]


def test_pictures_are_resized_smoothly(folder):
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 33:] = 240
    Image.fromarray(half).save(folder / "iclevr" / "CLEVR_a.png")
    image = clevr.read_folder(folder, size=32).images[0]
    assert image[0, 5, 5] == 0 and image[0, 5, 28] == 240
    assert 20 < image[0, 5, 16] < 220 and np.array_equal(image[:, 0], image[:, 31])


def break_file(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("file", "content", "error", "message"),
    [
        (
            "train.json",
            None,
            FileNotFoundError,
            r"train.json is missing in .*: give the folder that holds it",
        ),
        ("train.json", '{"a":', ValueError, r"train.json cannot be read as JSON \(.*\): copy it anew"),
        ("train.json", "[1]", ValueError, r"train.json holds no \{file: \[labels\]\}"),
        ("train.json", "{}", ValueError, r"train.json names no pictures"),
        (
            "train.json",
            '{"CLEVR_a.png": ["blu cube"]}',
            ValueError,
            r"picture CLEVR_a.png of train.json has the unknown label 'blu cube'; near it: blue cube",
        ),
        (
            "train.json",
            '{"CLEVR_a.png": "blue cube"}',
            ValueError,
            r"CLEVR_a.png of train.json has 'blue cube' in place of a list",
        ),
        (
            "iclevr/CLEVR_b.png",
            None,
            FileNotFoundError,
            r"CLEVR_b.png stands in train.json and is missing in",
        ),
        ("iclevr/CLEVR_b.png", "no", ValueError, r"CLEVR_b.png cannot be read as a picture"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(folder, file, content, error, message):
    break_file(folder, file, content)
    with pytest.raises(error, match=message):
        clevr.read_folder(folder)


def test_what_is_missing_of_a_folder_is_said(folder):
    with pytest.raises(
        FileNotFoundError, match=r"there is no folder .*nowhere: give the folder that holds train"
    ):
        clevr.read_folder(folder / "nowhere")
    with pytest.raises(ValueError, match=r"size must be a whole number, at least 1, got 0"):
        clevr.read_folder(folder, size=0)
    (folder / "iclevr").rename(folder / "pictures")
    with pytest.raises(
        FileNotFoundError, match=r"iclevr is missing in .*: give the folder that holds iclevr"
    ):
        clevr.read_folder(folder)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, r"test.json is missing in"),
        ("{}", ValueError, r"test.json holds no list of lists of labels"),
        ('["red cube"]', ValueError, r"list 0 of test.json has 'red cube' in place of a list"),
        ('[["red cube", "x"]]', ValueError, r"list 0 of test.json has the unknown label 'x'; labels are"),
    ],
)
def test_what_is_wrong_with_a_list_file_is_said(folder, content, error, message):
    break_file(folder, "test.json", content)
    with pytest.raises(error, match=message):
        clevr.read_lists(folder, "test")

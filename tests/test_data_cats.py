"""The data of the chapter inpainting: generated cats, masks, the lab's folder."""

import numpy as np
import pytest
from PIL import Image

from dlp_utils import data
from dlp_utils.data import _photographs, cats

# --- generated cats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 32, 64])
def test_cats_have_the_promised_form(size):
    found = cats.generated_cats(70, size=size)  # more than are drawn at a time
    assert len(found) == 70
    assert found.images.shape == (70, 3, size, size) and found.images.dtype == np.uint8
    assert set(found.pattern) == set(range(len(cats.PATTERNS)))
    assert found.colors.shape == (70, 4, 3) and found.colors.min() >= 0 and found.colors.max() <= 1
    assert found.traits.shape == (70, len(cats.TRAITS)) and np.abs(found.traits).max() < 1.01
    assert (np.abs(found.traits).max(axis=0) > 0.9).all()  # each of them varies over all of its range


def test_cats_depend_on_seed_part_and_number_alone():
    few, many = cats.generated_cats(3), cats.generated_cats(130)
    assert np.array_equal(few.images, many.images[:3]) and np.array_equal(few.traits, many.traits[:3])
    assert not np.array_equal(few.images, cats.generated_cats(3, seed=1).images)
    assert len({image.tobytes() for image in many.images}) == 130  # no two alike


def test_parts_share_no_cat():
    parts = [{t.tobytes() for t in cats.generated_cats(60, part).traits} for part in cats.PARTS]
    assert not (parts[0] & parts[1]) and not (parts[0] & parts[2]) and not (parts[1] & parts[2])


def test_the_traits_say_what_is_in_the_picture():
    found = cats.generated_cats(400)
    images = found.images / 255.0
    corner = images[:, :, 8:14, 0].mean(-1)  # a wall, left of the cat
    assert np.corrcoef(corner[:, 1], found.colors[:, 3, 1])[0, 1] > 0.95
    # forehead of the plain ones, then how far to the right the head stands
    forehead = images[:, :, 12, 14:18].mean(-1)
    plain = np.isin(found.pattern, [cats.PATTERNS.index("solid")])
    assert np.corrcoef(forehead[plain, 0], found.colors[plain, 0, 0])[0, 1] > 0.8
    wall = images[:, :, 2:4, :2].mean((-1, -2))[..., None, None]
    cover = np.abs(images - wall).sum(1) > 0.25  # (n, H, W): not wall
    columns = (cover[:, 10:20] * np.arange(32)).sum((1, 2)) / cover[:, 10:20].sum((1, 2))
    assert np.corrcoef(columns, found.traits[:, cats.TRAITS.index("x")])[0, 1] > 0.5


def test_a_larger_picture_shows_the_same_cat():
    small, large = cats.generated_cats(20, size=32).images, cats.generated_cats(20, size=64).images
    reduced = large.reshape(20, 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(reduced - small).mean() < 5  # of 255
    assert np.abs(reduced - small[::-1]).mean() > 20  # other cats are not alike


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
        cats.generated_cats(**arguments)


def test_the_registry_knows_the_cats_and_the_photographs():
    drawn, photographed = data.datasets("inpainting")
    assert "generated" in drawn.source and drawn.cached() and drawn.megabytes == 0
    assert "chelsea" in photographed.source and "public domain" in photographed.license


# --- real photographs ----------------------------------------------------------------------------------


def test_the_parts_share_no_photograph():
    names = {part: set(cats.photographs(part)) for part in ("train", "test")}
    assert len(names["train"]) == 8 and names["test"] == {"chelsea", "rocket", "gravel"}
    assert not names["train"] & names["test"]
    digests = [digest for _, _, digest in _photographs.FILES.values()]
    assert len(set(digests)) == len(digests)  # nor is one in twice under two names


def test_every_photograph_is_free():
    names = [name for part in ("train", "test") for name in cats.photographs(part)]
    assert {_photographs.FILES[name][0] for name in names} == {"CC0", "public-domain"}


@pytest.mark.parametrize("size", [32, 64])
def test_crops_are_cut_from_the_photograph_that_they_name(size):
    found = cats.crops(9, "test", size)
    assert len(found) == 9 and found.images.shape == (9, 3, size, size) and found.images.dtype == np.uint8
    assert found.photographs == ("chelsea", "gravel", "rocket") * 3
    for image, name in zip(found.images, found.photographs, strict=True):
        whole = Image.fromarray(cats.photographs("test")[name])
        scale = 4 * size / min(whole.size)
        whole = whole.resize([round(side * scale) for side in whole.size], Image.LANCZOS)
        rows = np.asarray(whole).astype(int)
        windows = np.lib.stride_tricks.sliding_window_view(rows, (size, size), (0, 1))
        first = windows[..., 0, 0] == image[:, 0, 0]  # where the corner's color fits
        places = np.argwhere(first.all(-1))
        assert any(np.array_equal(windows[y, x], image) for y, x in places)


def test_crops_depend_on_seed_part_and_number_alone():
    few, many = cats.crops(8), cats.crops(40)
    assert np.array_equal(few.images, many.images[:8])
    assert not np.array_equal(few.images, cats.crops(8, seed=1).images)
    assert len({image.tobytes() for image in many.images}) == 40


def test_the_astronaut_is_cut_from_beside_her_portrait():
    assert cats.photographs("train")["astronaut"].shape == (512, 212, 3)


def test_a_wrong_part_of_the_photographs_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"no part 'validation' of the photographs; there are train, test"):
        cats.photographs("validation")
    with pytest.raises(ValueError, match=r"n must be a whole number, at least 1, got 0"):
        cats.crops(0)


# --- masks ---------------------------------------------------------------------------------------------


def test_masks_of_each_kind():
    box, strokes, half = (cats.masks(60, kind) for kind in cats.MASKS)
    for found in (box, strokes, half):
        assert found.shape == (60, 32, 32) and found.dtype == bool
        assert found.any((1, 2)).all() and not found.all((1, 2)).any()
    assert (half.sum((1, 2)) == 32 * 16).all() and len({m.tobytes() for m in half}) == 4
    for mask in box:  # a rectangle: rows and columns that have a hole make up the hole
        assert np.array_equal(mask, mask.any(1)[:, None] & mask.any(0)[None, :])
        assert 0.25 < mask.any(1).mean() < 0.66 and 0.25 < mask.any(0).mean() < 0.66
    assert len({m.tobytes() for m in strokes}) == 60 and 0.05 < strokes.mean() < 0.4


def test_mixed_masks_are_the_kinds_in_turn():
    mixed = cats.masks(9)
    for k, kind in enumerate(cats.MASKS):
        assert np.array_equal(mixed[k::3], cats.masks(9, kind)[k::3])
    assert np.array_equal(mixed[:4], cats.masks(4))
    assert not np.array_equal(mixed, cats.masks(9, seed=1))
    with pytest.raises(ValueError, match=r"kind 'circle'.*box, strokes, half and mixed"):
        cats.masks(2, "circle")


# --- the lab's folder ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in ("train", "val", "masked", "masks"):
        (tmp_path / name).mkdir()
    for k, name in enumerate(("b", "a")):
        color = (10 + 100 * k, 50, 200)
        Image.new("RGB", (64, 64), color).save(tmp_path / "train" / f"{name}.png")
        Image.new("RGB", (80, 80), color).save(tmp_path / "val" / f"{name}.jpg", quality=95)
        Image.new("RGB", (64, 64), color).save(tmp_path / "masked" / f"{name}.png")
        mask = np.full((64, 64), 255, np.uint8)
        mask[: 8 * (k + 1)] = 0
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "train" / "notes.txt").write_text("no picture")
    return tmp_path


def test_the_folder_is_read_in_the_order_of_names(folder):
    images = cats.read_folder(folder, "train")
    assert images.shape == (2, 3, 64, 64) and images.dtype == np.uint8
    assert images[:, :, 0, 0].tolist() == [[110, 50, 200], [10, 50, 200]]
    small = cats.read_folder(folder, "validation", size=32)
    assert small.shape == (2, 3, 32, 32) and abs(int(small[0, 0, 5, 5]) - 110) < 5


def test_masked_pictures_come_with_their_masks(folder):
    images, missing = cats.read_masked(folder)
    assert images.shape == (2, 3, 64, 64) and missing.shape == (2, 64, 64) and missing.dtype == bool
    assert missing.sum((1, 2)).tolist() == [16 * 64, 8 * 64]  # black is missing; a before b
    assert missing[0, :16].all()


def test_what_is_wrong_with_a_folder_is_said(folder):
    (folder / "masks" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"masked/b.png has no mask"):
        cats.read_masked(folder)
    with pytest.raises(FileNotFoundError, match=r"holes is missing in"):
        cats.read_masked(folder, masks="holes")
    with pytest.raises(ValueError, match=r"no part 'test'.*train, validation"):
        cats.read_folder(folder, "test")
    (folder / "val" / "a.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"a.jpg cannot be read as a picture"):
        cats.read_folder(folder, "validation")
    for file in (folder / "train").glob("*.png"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"train holds no PNG"):
        cats.read_folder(folder, "train")

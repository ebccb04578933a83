"""Files as readers have them: phone pictures, cut-off copies, masks of another form, names of another kind.

Each reader of pictures is tried with each kind, through its own `read_folder`.
"""

import json
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from dlp_utils.data import cats, clevr, eeg, motion, segmentation

W, H = 64, 32  # twice as wide as high, as the frames of a video must be
FLAG = np.zeros((H, W, 3), np.uint8)  # left red, right blue, a white band at the top
FLAG[:, : W // 2, 0], FLAG[:, W // 2 :, 2], FLAG[: H // 4] = 200, 200, 255


class Reader:
    """A folder with one picture, the flag, and the function that reads it as (3, H, W)."""

    def __init__(self, root, kind):
        self.root, self.kind, self.name = root, kind, "flag"
        place = {"cats": "train", "pets": "images", "frames": "train/train_img", "blocks": "iclevr"}[kind]
        self.folder = root / place
        self.folder.mkdir(parents=True)
        self.file = self.folder / {"pets": "flag.jpg", "frames": "0.png"}.get(kind, "flag.png")
        self.save(Image.fromarray(FLAG))
        if kind == "pets":
            (root / "annotations" / "trimaps").mkdir(parents=True)
            self.trimap(np.where(FLAG[..., 0] == 0, 2, 1))
        elif kind == "frames":
            (root / "train" / "train_label").mkdir(parents=True)
            Image.fromarray(FLAG).save(root / "train" / "train_label" / "0.png")
        self.list()

    def save(self, image, **options):
        image.save(self.file, format="PNG", **options)

    def trimap(self, labels):
        file = self.root / "annotations" / "trimaps" / f"{self.file.stem}.png"
        Image.fromarray(np.asarray(labels, np.uint8)).save(file)

    def list(self, encoding="utf-8"):
        if self.kind == "pets":
            line = f"{self.file.stem} 1 1 1\n"
            (self.root / "annotations" / "test.txt").write_text(line, encoding)
            (self.root / "annotations" / "trainval.txt").write_text(line, encoding)
        elif self.kind == "blocks":
            content = json.dumps({self.file.name: ["red cube"]}, ensure_ascii=False)
            (self.root / "train.json").write_text(content, encoding)

    def read(self, root=None):
        root = root or self.root
        if self.kind == "cats":
            return cats.read_folder(root, "train", size=32)[0]
        if self.kind == "pets":
            return segmentation.read_folder(root, "test", size=32)[0][0].numpy()
        if self.kind == "frames":
            return motion.read_folder(root, "train")[0].frames[0]
        return clevr.read_folder(root, size=32).images[0]


READERS = ("cats", "pets", "frames", "blocks")


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    return Reader(tmp_path, request.param)


def is_the_flag(pixels, gray=False):
    """Tell whether red is left, blue right and white at the top; without colors, only the last."""
    _, h, w = pixels.shape
    left, right = pixels[:, h // 2 :, : w // 3], pixels[:, h // 2 :, -w // 3 :]
    assert pixels.dtype == np.uint8 and pixels[:, : h // 5].min() > 235
    if gray:
        return pixels[:, h // 2 :].max() < 120
    return left[0].min() > 150 and left[2].max() < 60 and right[2].min() > 150 and right[0].max() < 60


# --- what a file holds ---------------------------------------------------------------------------------


def turned(image, tag):
    """The picture as a camera stores it that writes `tag`, and the tag."""
    store = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 2: Image.Transpose.FLIP_LEFT_RIGHT}
    exif = Image.Exif()
    exif[0x0112] = tag
    return image.transpose(store[tag]), exif


@pytest.mark.parametrize("tag", [2, 3, 6])
def test_a_phone_s_picture_is_turned_upright(reader, tag):
    image, exif = turned(Image.fromarray(FLAG), tag)
    reader.save(image, exif=exif)
    if reader.kind == "pets" and tag != 6:  # as many pixels: the trimap was drawn over the stored picture
        reader.trimap(np.where(np.asarray(image)[..., 0] == 0, 2, 1))
    assert is_the_flag(reader.read())
    if reader.kind == "pets":
        mask = segmentation.read_folder(reader.root, "test", size=32)[0][1][0].numpy()
        assert mask[:8].all() and mask[:, :16].all() and not mask[10:, 17:].any()


def test_gray_of_16_bits_is_scaled(reader):
    ramp = np.broadcast_to(np.linspace(0, 65535, W), (H, W)).astype(np.uint16)
    reader.save(Image.fromarray(ramp))
    pixels = reader.read()
    assert abs(pixels.mean() - 127.5) < 2 and pixels.min() < 5 and pixels.max() > 250
    reader.save(Image.fromarray(ramp // 257))  # values of 8 bits in a file of 16
    assert np.abs(reader.read().astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK", "transparent palette", "1"])
def test_every_mode_is_read_without_a_warning(reader, mode):
    image, options = Image.fromarray(FLAG), {}
    if mode == "transparent palette":
        image, options = image.convert("P"), {"transparency": bytes([255, 128, 255])}
    else:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    if mode == "CMYK":
        image.save(reader.file, format="JPEG", quality=100, subsampling=0)
    else:
        reader.save(image, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = reader.read()
    assert pixels.shape[0] == 3
    if mode != "1":  # which is dithered
        assert is_the_flag(pixels, gray=mode in ("L", "LA"))


def png_of(width, height):
    """The head of a PNG of that size, with next to nothing behind it."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda whole: whole[: len(whole) // 2], r"cannot be read as a picture \(.*\): copy it anew"),
        (lambda whole: b"", r"cannot be read as a picture \(empty\)"),
        (lambda whole: b"version https://git-lfs", r"\(of no known kind\): copy it anew, or save it as PNG"),
        (lambda whole: png_of(20_000, 20_000), r"more than 89 million pixels.*remove it, or make it smaller"),
        (lambda whole: png_of(10_000, 10_000), r"more than 89 million pixels"),
    ],
)
def test_a_file_that_is_no_whole_picture_is_named(reader, damage, complaint):
    noise = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    reader.save(Image.fromarray(noise))
    reader.file.write_bytes(damage(reader.file.read_bytes()))
    with pytest.raises(ValueError, match=f"{reader.folder.name}/{reader.file.name} .*{complaint}"):
        reader.read()


def test_numbers_without_a_white_are_refused(reader):
    Image.fromarray(np.ones((H, W), np.float32)).save(reader.file, format="TIFF")
    with pytest.raises(ValueError, match=r"holds numbers of 32 bits.*save it with 8 bits"):
        reader.read()


# --- what lies in a folder -----------------------------------------------------------------------------


def test_what_macos_leaves_behind_is_no_picture(reader):
    (reader.folder / f"._{reader.file.name}").write_bytes(b"\0\5\26\7 Mac OS X")
    (reader.folder / ".DS_Store").write_bytes(b"\0")
    assert is_the_flag(reader.read())


def test_hidden_folders_and_files_are_no_sessions_nor_sequences(tmp_path):
    for place in ("test_img/0", "test_img/.ipynb_checkpoints", "test_label/0"):
        (tmp_path / "test" / place).mkdir(parents=True)
        Image.fromarray(FLAG).save(tmp_path / "test" / place / "0.png")
    assert [video.clip for video in motion.read_folder(tmp_path, "test")] == ["test 0"]
    sessions = {
        key: (np.zeros((4, 22, 438)), np.arange(4)) for key in [(1, "T"), (1, "E"), (2, "T"), (2, "E")]
    }
    eeg.write_folder(tmp_path, sessions, left_out=1)
    (tmp_path / "FT" / "features" / "._s1T.npy").write_bytes(b"\0")
    assert list(eeg.read_folder(tmp_path, "FT")) == [(1, "T")]


@pytest.mark.parametrize("name", ["my 貓", "Ünï.code_-1", "CAPITALS"])
def test_names_may_have_spaces_and_letters_of_all_kinds(reader, name):
    if reader.kind == "frames":
        name = "0"  # these are numbers
    old, trimaps = reader.file, reader.root / "annotations" / "trimaps"
    reader.file = old.rename(old.with_name(name + old.suffix.upper()))
    if reader.kind == "pets":
        (trimaps / "flag.png").rename(trimaps / f"{name}.PNG")
    reader.list()
    assert is_the_flag(reader.read())


def test_an_empty_folder_is_named(reader):
    reader.file.unlink()
    listed = reader.file.name if reader.kind in ("pets", "blocks") else reader.folder.name
    with pytest.raises(FileNotFoundError, match=rf"{listed} .*(holds no|missing in)"):
        reader.read()


def test_a_file_in_place_of_a_folder_is_named(reader):
    archive = reader.root / "data.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(
        NotADirectoryError, match=r"data.zip is a file: give the folder, and unpack an archive"
    ):
        reader.read(archive)
    reader.file.unlink()
    reader.folder.rmdir()
    reader.folder.write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=f"{reader.folder.name} is a file"):
        reader.read()


def test_a_folder_below_the_reader_s_home(reader, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(reader.root.parent))
    assert is_the_flag(reader.read(f"~/{reader.root.name}"))


# --- lists ---------------------------------------------------------------------------------------------


def test_a_byte_order_mark_before_a_list_is_skipped(reader, tmp_path):
    reader.list(encoding="utf-8-sig")
    assert is_the_flag(reader.read())
    (tmp_path / "new_test.json").write_text('[["red cube"]]', "utf-8-sig")
    assert clevr.read_lists(tmp_path, "new_test") == [["red cube"]]
    rows = [[0.1, *[0.0] * 43], [0.1, *[0.0] * 43]]
    for row in rows:
        row[4] = row[8] = row[12] = row[16] = row[21] = row[25] = row[30] = row[35] = row[39] = 1.0
    clip = tmp_path / "humanoid3d_rest.txt"
    clip.write_text(json.dumps({"Frames": rows}), "utf-8-sig")
    assert motion.read_clip(clip).name == "rest"


@pytest.mark.parametrize("kind", ["pets", "blocks"])
def test_a_list_in_another_encoding_is_named(tmp_path, kind):
    reader = Reader(tmp_path, kind)
    reader.list(encoding="utf-16")
    with pytest.raises(ValueError, match=r"(test.txt|train.json) is not text in UTF-8 .*save it as UTF-8"):
        reader.read()


def test_a_list_shorter_than_the_split_says_so(tmp_path):
    Reader(tmp_path, "pets")
    assert len(segmentation.read_folder(tmp_path, "validation")) == 1
    with pytest.raises(
        ValueError, match=r"trainval.txt lists 1 picture, which is for validation: train needs two"
    ):
        segmentation.read_folder(tmp_path, "train")


# --- masks ---------------------------------------------------------------------------------------------

THERE = np.full((32, 32), 255, np.uint8)
THERE[:8, :16] = 0  # missing: left half of the top


@pytest.fixture
def masked(tmp_path):
    """Save a mask (a PIL image) beside a picture, and read it back."""
    for name in ("masked", "masks"):
        (tmp_path / name).mkdir()
    picture = Image.fromarray(FLAG).resize((32, 32))
    picture.save(tmp_path / "masked" / "a.png")

    def read(image, **options):
        image.save(tmp_path / "masks" / "a.png", **options)
        return cats.read_masked(tmp_path, size=32)[1][0]

    read.picture, read.file = picture, tmp_path / "masked" / "a.png"
    return read


def forms():
    gray = Image.fromarray(THERE)
    palette = Image.fromarray((THERE // 255).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    opaque = gray.copy()
    opaque.putalpha(255)
    wide = Image.fromarray(257 * THERE.astype(np.uint16))
    eight_in_wide = Image.fromarray(THERE.astype(np.uint16))
    return {
        "gray": gray,
        "bit": gray.convert("1"),
        "palette": palette,
        "rgb": gray.convert("RGB"),
        "opaque": opaque,
        "16 bits": wide,
        "8 bits in 16": eight_in_wide,
    }


@pytest.mark.parametrize("form", ["gray", "bit", "palette", "rgb", "opaque", "16 bits", "8 bits in 16"])
def test_a_mask_is_the_same_in_every_form(masked, form):
    assert np.array_equal(masked(forms()[form]), THERE == 0)


def test_masks_that_would_hide_everything_are_refused(masked):
    with pytest.raises(
        ValueError, match=r"masks/a.png has the values 0 and 1, .* both are black: save it as gray"
    ):
        masked(Image.fromarray((THERE // 255).astype(np.uint8)))
    with pytest.raises(ValueError, match=r"masks/a.png hides every pixel.*255 where it is there"):
        masked(Image.fromarray(np.zeros_like(THERE)))
    for colors in (Image.new("L", (32, 32), 0), Image.new("L", (32, 32), 255), Image.new("RGB", (32, 32))):
        colors.putalpha(Image.fromarray(THERE))
        with pytest.raises(
            ValueError, match=r"masks/a.png has its mask in the alpha channel.*save it as gray"
        ):
            masked(colors)


def test_a_mask_is_turned_with_its_picture(masked):
    stored, exif = turned(masked.picture, 3)
    stored.save(masked.file, exif=exif)
    mask = Image.fromarray(THERE)
    assert np.array_equal(masked(turned(mask, 3)[0]), THERE == 0)  # without EXIF data of its own
    assert np.array_equal(masked(turned(mask, 3)[0], exif=exif), THERE == 0)  # with
    sideways, sixth = turned(mask, 6)
    assert np.array_equal(masked(sideways, exif=sixth), THERE == 0)
    large = Image.fromarray(np.repeat(np.repeat(THERE, 2, 0), 2, 1))  # drawn over another copy, seen upright
    assert np.array_equal(masked(large), THERE == 0)


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_a_mask_in_place_of_a_trimap_is_named(tmp_path, values):
    reader = Reader(tmp_path, "pets")
    reader.trimap(np.where(FLAG[..., 0] == 0, *values))
    with pytest.raises(
        ValueError, match=rf"flag.png has the values 0, {values[1]}: that is a mask and no trimap"
    ):
        reader.read()

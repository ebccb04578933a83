"""Each drawing of the book is what its script draws now, byte for byte, and none is left without a script."""

import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "figures"))
from _svg import FOLDER, ROOT, Drawing, Noise, fmt

from dlp_utils.data import toy

SCRIPTS = sorted((ROOT / "book" / "figures").glob("[a-z]*.py"))


def drawn_by(script):
    """{path of the SVG file: its text} from the script's `draw`, without writing."""
    spec = importlib.util.spec_from_file_location(f"figure_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {(FOLDER / f"{name}.svg").resolve(): text for name, text in module.draw().items()}


@pytest.fixture(scope="module")
def drawings():
    return {script.stem: drawn_by(script) for script in SCRIPTS}


@pytest.mark.slow
@pytest.mark.parametrize("stem", [script.stem for script in SCRIPTS])
def test_stored_files_are_what_the_script_draws(drawings, stem):
    assert drawings[stem], f"book/figures/{stem}.py draws nothing"
    for path, text in drawings[stem].items():
        assert path.is_file(), f"{path.name} is missing; run make figures"
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; run make figures"


def test_every_stored_drawing_has_a_script(drawings):
    made = {path for files in drawings.values() for path in files}
    stored = {path.resolve() for folder in {path.parent for path in made} for path in folder.glob("*.svg")}
    assert stored - made == set()


def test_drawings_are_valid_small_and_self_contained(drawings):
    for files in drawings.values():
        for path, text in files.items():
            root = ElementTree.fromstring(text)
            assert root.find("{http://www.w3.org/2000/svg}title").text, f"{path.name} has no title"
            assert len(text) < 120_000, f"{path.name} weighs {len(text)} bytes"
            assert (
                re.findall(r'(?:href|src)="[^#]', text) == [] and "url(" not in text and "<script" not in text
            )


def test_the_map_shows_as_ready_what_the_table_of_contents_holds(drawings):
    in_toc = set(re.findall(r"file: notebooks/(\w+)", (ROOT / "_toc.yml").read_text(encoding="utf-8")))
    (text,) = drawings["chapters"].values()
    filled = text.count('stroke="#0072B2"')
    assert filled == len(in_toc) >= 1


def test_the_stored_run_of_the_xor_pictures_is_the_labs():
    import _xor

    fresh, stored = _xor.run(), _xor.stored()
    first, second = dict(fresh["losses"]), dict(stored["losses"])
    for epoch in (
        1000,
        3000,
        5000,
    ):  # on the plateau, before the fall, at the end; between them the run is unstable
        assert abs(first[epoch] - second[epoch]) < 2e-3
    moments = [list(map(int, run["regions"])) for run in (fresh, stored)]
    assert all(abs(a - b) < 50 for a, b in zip(*moments, strict=True))
    points, y = toy.xor()
    assert sorted((*map(round, (10 * points[k]).tolist()), int(y[k, 0])) for k in range(len(y))) == sorted(
        _xor.POINTS
    )


def test_numbers_are_short_and_never_minus_zero():
    assert [fmt(value) for value in (1, 2.5, 1 / 3, -0.001, 1e-9, 10.0, -2.499)] == [
        "1",
        "2.5",
        "0.33",
        "0",
        "0",
        "10",
        "-2.5",
    ]


def test_noise_is_the_same_everywhere():
    noise = Noise(1)
    values = [noise() for _ in range(1000)]
    assert values[:2] == [1015568748 / 2**32, 1586005467 / 2**32]  # the generator of "Numerical Recipes"
    assert 0 <= min(values) < 0.01 and 0.99 < max(values) < 1


def test_text_is_escaped_and_attributes_are_plain():
    picture = Drawing(10, 10, card=False)
    picture.text(1, 2.25, "a < b & c", fill="#000")
    assert '<text x="1" y="2.25"' in picture.svg("t") and "a &lt; b &amp; c</text>" in picture.svg("t")

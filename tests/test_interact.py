"""Sliders and players: what they draw, what they refuse, and that they work in a browser's reach: alone."""

import base64
import io
import json
import re
import subprocess
import sys
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from dlp_utils import interact

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def shown(monkeypatch):
    """What would have been displayed: a list of (page, words, make_widget)."""
    calls = []
    monkeypatch.setattr(interact, "_display", lambda *parts: calls.append(parts))
    yield calls
    plt.close("all")


def gray(**values):
    """A plain field, as bright as its values say."""
    figure = plt.figure(figsize=(1, 1))
    figure.text(0, 0, " ")
    figure.set_facecolor(str(sum(values.values())))


def data_of(page):
    return json.loads(re.search(r"const \{title, axes, frames, interval, loop\} = (.*);\n", page)[1])


def frames_of(page):
    first = re.search(r'<img src="(data:[^"]+)"', page)[1]
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(frame.split(",")[1]))).convert("RGB"))
        for frame in [first, *data_of(page)["frames"]]
    ]


def test_frames_are_the_product_in_the_order_the_script_counts(shown):
    interact.explore(gray, a=[0.0, 0.4], b=[0.1, 0.2, 0.3])
    page = shown[0][0]
    brightness = [frame[5, 5, 0] / 255 for frame in frames_of(page)]
    assert brightness == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.6, 0.7], abs=0.01)
    assert data_of(page)["axes"] == [["a", ["0", "0.4"]], ["b", ["0.1", "0.2", "0.3"]]]
    assert "index = index * values.length + Number(input.value)" in page  # last slider fastest, as drawn here


def test_animate_draws_each_frame_and_has_a_button(shown):
    interact.animate(lambda step: gray(b=step / 10), 4, name="step", interval=80, loop=True)
    page = shown[0][0]
    assert [round(frame[5, 5, 0] / 25.5) for frame in frames_of(page)] == [0, 1, 2, 3]
    assert "<button" in page and 'aria-label="step"' in page
    assert data_of(page)["interval"] == 80 and data_of(page)["loop"] is True
    interact.explore(gray, a=[0.5])
    assert "<button" not in shown[1][0]


@pytest.mark.parametrize("values", [range(2), np.array([0, 1]), torch.tensor([0, 1]), (0, 1)])
def test_axes_may_be_ranges_arrays_or_tensors(shown, values):
    kinds = []

    def draw(a):
        kinds.append(type(a))
        gray(a=a)

    interact.explore(draw, a=values)
    assert kinds == [int, int] and data_of(shown[0][0])["axes"] == [["a", ["0", "1"]]]


@pytest.mark.parametrize("way", ["current", "subplots", "returned", "detached"])
def test_draw_may_use_or_return_any_figure_and_none_stays_open(shown, way):
    mine, other = plt.figure(), plt.figure()
    plt.figure(mine.number)

    def draw(a):
        if way == "current":
            plt.plot([0, 1], [a, a])
        elif way == "subplots":
            plt.subplots()[1].plot([0, 1], [a, a])
        elif way == "returned":
            figure, ax = plt.subplots()
            plt.figure()
            ax.plot([0, 1], [a, a])
            return figure
        else:
            figure = matplotlib.figure.Figure()
            figure.add_subplot().plot([0, 1], [a, a])
            return figure

    interact.explore(draw, a=[0, 1000])
    first, second = frames_of(shown[0][0])
    assert (first != second).any() and len(np.unique(first)) > 2
    assert plt.get_fignums() == [mine.number, other.number] and plt.gcf() is mine and not mine.axes


def test_same_figure_gives_the_same_text_and_another_another_mark(shown):
    for values in ([0.1, 0.2], [0.1, 0.2], [0.1, 0.3]):
        interact.explore(gray, a=values)
    pages = [page for page, *_ in shown]
    assert pages[0] == pages[1] != pages[2]
    marks = [re.search(r'data-dlp="(\w+)"', page)[1] for page in pages]
    assert marks[0] == marks[1] != marks[2]
    assert all(page.count(mark) == 2 for page, mark in zip(pages, marks, strict=True))


def test_page_stands_alone_and_text_is_escaped(shown):
    def draw(kind):
        """<b>Losses</b> & "curves"."""
        plt.title(kind.replace("<", ""))

    interact.explore(draw, kind=["</script><script>alert(1)</script>", "<!-- x"])
    page = shown[0][0]
    assert page.count("</script>") == 1 and "<!--" not in page and "<b>Losses" not in page
    assert 'aria-label="&lt;b&gt;Losses&lt;/b&gt; &amp; &quot;curves&quot;"' in page
    assert not re.search(r"https?:|//\w+\.\w+|url\(|@import|src=\"(?!data:)", page)
    assert data_of(page)["axes"][0][1][0] == "</script><script>alert(1)</script>"


def test_controls_are_hidden_until_the_script_has_bound_them(shown):
    interact.explore(gray, a=[0.1, 0.2])
    assert '<div class="dlp-controls" hidden>' in shown[0][0]
    assert ".hidden = false" in shown[0][0]


def test_too_many_frames_are_counted_and_named(shown):
    with pytest.raises(ValueError, match=r"a \(8 values\) × b \(8 values\) makes 64 frames, more than 60"):
        interact.explore(gray, a=range(8), b=range(8))
    with pytest.raises(ValueError, match="animate: frame has 1000000000 values, more than 60"):
        interact.animate(gray, 10**9)


def test_heavy_frames_are_first_made_smaller_then_refused(shown, monkeypatch):
    noise = np.random.default_rng(0).uniform(size=(300, 300))

    def draw(a):
        plt.imshow(np.roll(noise, a), cmap="gray")

    interact.explore(draw, a=range(3))
    full = sum(map(len, [frame.tobytes() for frame in frames_of(shown[0][0])]))
    weight = len(shown[0][0])
    monkeypatch.setattr(interact, "MAX_BYTES", int(weight * 0.6))
    interact.explore(draw, a=range(3))
    assert len(shown[1][0]) < 0.65 * weight
    assert sum(map(len, [frame.tobytes() for frame in frames_of(shown[1][0])])) <= full
    monkeypatch.setattr(interact, "MAX_BYTES", 5_000)
    with pytest.raises(ValueError, match=r"3 frames weigh \d+ kB, more than 5 kB; give fewer values"):
        interact.explore(draw, a=range(3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: interact.explore(gray), ValueError, "no axis to move along"),
        (lambda: interact.explore(gray, a=[]), ValueError, r"a needs a list .* got \[\]"),
        (
            lambda: interact.explore(gray, a=3),
            ValueError,
            "a needs a list or range of at least one value, got 3",
        ),
        (lambda: interact.explore(gray, a="xyz"), ValueError, "got 'xyz'"),
        (lambda: interact.animate(gray, 0), ValueError, r"frame needs .* got range\(0, 0\)"),
        (lambda: interact.animate(gray, 2, interval=0.5), ValueError, "milliseconds, at least 20, got 0.5"),
        (
            lambda: interact.explore(lambda a: 1 / a, a=[0]),
            RuntimeError,
            r"draw\(a=0\) raised ZeroDivisionError",
        ),
        (
            lambda: interact.explore(lambda a: 5, a=[0]),
            TypeError,
            "must return a matplotlib Figure or None, got int",
        ),
        (lambda: interact.explore(lambda a: None, a=[0]), ValueError, r"draw\(a=0\) drew nothing"),
    ],
)
def test_errors_name_the_thing_and_leave_no_figure(shown, call, kind, message):
    with pytest.raises(kind, match=message):
        call()
    assert not shown and not plt.get_fignums()


def test_outside_a_notebook_it_says_so(capsys):
    interact.explore(gray, a=[0.1, 0.2])
    assert capsys.readouterr().out == "Figure with a (2 values). Shown in notebooks only.\n"


def test_widget_calls_draw_again_and_shows_its_errors():
    scale = [1.0]

    def draw(a):
        if a > 1:
            raise OverflowError("too <bright>")
        gray(a=a * scale[0])

    frames, _ = interact._frames("explore", lambda values: draw(**values), {"a": [0.2, 0.4]})
    widget = interact._widget(draw, {"a": [0.2, 0.4, 2.0]}, frames[0])
    slider, message, picture, style = widget.children
    # The page hides while the widget lives. Seen to work in JupyterLab 4.6, whose class names these are.
    assert "dlp-live" in widget._dom_classes and style.layout.display == "none"
    assert ":has(.dlp-player):has(+ .jp-OutputArea-child .dlp-live){display:none}" in style.value

    def brightness():
        return np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB"))[5, 5, 0] / 255

    assert brightness() == pytest.approx(0.2, abs=0.01)
    scale[0] = 2.0  # the reader changes something in the kernel
    slider.index = 1
    assert brightness() == pytest.approx(0.8, abs=0.01)
    slider.index = 2
    assert "draw(a=2.0) raised OverflowError: too &lt;bright&gt;" in message.value
    slider.index = 0
    assert message.value == "" and brightness() == pytest.approx(0.4, abs=0.01)


@pytest.mark.slow
def test_a_kernel_gets_the_page_and_after_it_the_widget(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    code = """
    import sys; sys.path.insert(0, {root!r})
    import matplotlib.pyplot as plt
    from dlp_utils.interact import animate, explore
    explore(lambda a: plt.plot([a, 1]) and None, a=[0, 1])
    animate(lambda a: plt.plot([a, 1]) and None, 2)
    """.format(root=str(__import__("pathlib").Path(interact.__file__).parents[1]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(code))])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    page, widget, player = (output["data"] for output in notebook.cells[0].outputs)
    # One output with both would show "model not found" where the notebook is opened again without its kernel:
    # JupyterLab takes the widget wherever it finds one.
    assert set(page) == {"text/plain", "text/html"} and set(widget) == {WIDGET}
    assert set(player) == {"text/plain", "text/html"}
    assert page["text/plain"].startswith("Figure with a (2 values)")


def test_import_draws_in_neither_matplotlib_nor_widgets():
    code = (
        "import sys, dlp_utils.interact; print([m for m in ('matplotlib', 'ipywidgets') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

"""Colors, decision regions, image grids and curves draw what they were given, or say why not."""

import base64
import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from dlp_utils import plotting

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        plotting.use_style()
        yield
        plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def luminance(color):
    rgb = np.array(matplotlib.colors.to_rgb(color))
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(rgb @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_at_least_nine_points_and_has_strong_contrast():
    texts = ("font.", "axes.title", "axes.label", "xtick.label", "ytick.label", "legend.font")
    assert min(matplotlib.rcParams[f"{text}size"] for text in texts) >= 9
    for name in ("text.color", "axes.labelcolor", "xtick.color"):
        assert contrast(matplotlib.rcParams[name], matplotlib.rcParams["figure.facecolor"]) >= 7


def test_first_line_colors_differ_in_hue_and_stand_out_from_the_card():
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert len(set(cycle)) == len(cycle) >= 6
    for color in cycle[:4]:
        assert contrast(color, plotting.COLORS["card"]) >= 2.9


def test_a_typical_figure_is_a_small_file(ax):
    rng = np.random.default_rng(0)
    plotting.curve(ax, rng.normal(size=2000).cumsum(), smooth=0.9, label="loss")
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    assert buffer.tell() < 60_000


def test_same_figure_gives_the_same_svg(ax):
    ax.plot([1, 2], label="a")
    texts = []
    for _ in range(2):
        buffer = io.BytesIO()
        ax.figure.savefig(buffer, format="svg", metadata={"Date": None})
        texts.append(buffer.getvalue())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_regions_show_predictions_where_they_belong(ax, shape, kind):
    # Class 1 to the right: the filled color at the right edge is red, at the left edge blue.
    def predict(x):
        assert x.dtype == np.float64
        return kind((x[:, 0] > 0.5).astype(float).reshape(shape))

    plotting.decision_regions(ax, predict, POINTS, LABELS)
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int)

    def red_minus_blue(x, y):
        column, row = ax.transData.transform((x, y))
        r, _, b, _ = pixels[pixels.shape[0] - round(row), round(column)]
        return r - b

    assert red_minus_blue(0.1, 0.5) < -60
    assert red_minus_blue(0.9, 0.5) > 60


def test_regions_draw_classes_with_different_markers(ax):
    plotting.decision_regions(ax, lambda x: x[:, 0].clip(0, 1), POINTS, LABELS.reshape(-1, 1))
    ax.legend()
    points = [c for c in ax.collections if c.get_label() in ("class 0", "class 1")]
    drawn = {c.get_label(): c.get_offsets().data.tolist() for c in points}
    assert drawn == {"class 0": [[0, 0], [1, 1]], "class 1": [[1, 0], [0, 1]]}
    first, second = (c.get_paths()[0].vertices for c in points)
    assert first.shape != second.shape or not np.allclose(first, second)


@pytest.mark.parametrize(
    ("predict", "x", "y", "message"),
    [
        (lambda x: 9 * x[:, 0], POINTS, LABELS, "does it return logits"),
        (lambda x: x[:, 0] * np.nan, POINTS, LABELS, "probabilities in"),
        (lambda x: np.ones((len(x), 2)), POINTS, LABELS, r"the shape \(25600, 2\)"),
        (lambda x: x[:, 0], POINTS[:, :1], LABELS, r"shape \(N, 2\), got \(4, 1\)"),
        (lambda x: x[:, 0], POINTS, LABELS[:3], "4 points in x but 3 labels"),
        (lambda x: x[:, 0], POINTS, LABELS + 1, r"0 or 1, got \[2\]"),
    ],
)
def test_regions_name_what_is_wrong(ax, predict, x, y, message):
    with pytest.raises(ValueError, match=message):
        plotting.decision_regions(ax, predict, x, y)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 1, 6, 7), (5, 6, 7, 1), (5, 3, 6, 7), (5, 6, 7, 3)])
def test_grid_takes_both_layouts(shape):
    images = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    figure = plotting.image_grid(torch.as_tensor(images), columns=3)
    shown = [ax.get_images()[0].get_array() for ax in figure.axes if ax.get_images()]
    assert len(figure.axes) == 6 and len(shown) == 5
    channels_first = len(shape) == 4 and shape[1] in (1, 3)
    expected = (images.transpose(0, 2, 3, 1) if channels_first else images).reshape(5, 6, 7, -1)
    assert np.allclose(np.asarray(shown[4]).reshape(6, 7, -1), expected[4])


def test_grid_scales_the_named_range():
    figure = plotting.image_grid(np.full((1, 2, 2), -1.0), value_range=(-1, 1))
    assert figure.axes[0].get_images()[0].get_array().max() == 0
    figure = plotting.image_grid(np.full((1, 2, 2), 255, dtype=np.uint8), titles=["white"])
    assert figure.axes[0].get_images()[0].get_array().min() == 1
    assert figure.axes[0].get_title() == "white"


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.full((1, 2, 2), -0.5), {}, r"from -0.5 to -0.5, outside \[0, 1\].*value_range"),
        (np.full((1, 2, 2), np.nan), {}, "nan"),
        (np.zeros((2, 2)), {}, r"got \(2, 2\)"),
        (np.zeros((0, 2, 2)), {}, r"got \(0, 2, 2\)"),
        (np.zeros((1, 2, 4, 5)), {}, r"C = 1 or 3"),
        (np.zeros((2, 4, 5)), {"titles": ["one"]}, "2 images but 1 titles"),
    ],
)
def test_grid_names_what_is_wrong(images, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.image_grid(images, **options)


def test_curve_smooths_without_the_young_averages_bias(ax):
    line = plotting.curve(ax, [4.0, 4.0, 4.0], label="loss", smooth=0.9)
    assert np.allclose(line.get_ydata(), 4)
    line = plotting.curve(ax, [0.0, 1.0], x=[10, 20], smooth=0.5)
    assert np.allclose(line.get_ydata(), [0, 2 / 3])  # (0.25·0 + 0.5·1) / 0.75
    assert list(line.get_xdata()) == [10, 20]
    assert len(ax.lines) == 4  # each average has its raw values behind it


def test_curve_leaves_gaps_and_goes_on_behind_them(ax):
    values = plotting.curve(ax, [2.0, np.nan, 2.0], smooth=0.5).get_ydata()
    assert np.isnan(values[1]) and values[2] == pytest.approx(2.0)


def test_curve_takes_half_precision_tensors_and_names_bad_input(ax):
    line = plotting.curve(ax, torch.tensor([1.0, 2.0], dtype=torch.bfloat16))
    assert list(line.get_ydata()) == [1, 2]
    with pytest.raises(ValueError, match=r"decay in \[0, 1\), got 1"):
        plotting.curve(ax, [1.0], smooth=1)
    with pytest.raises(ValueError, match=r"got \(1, 1\) and \(1,\)"):
        plotting.curve(ax, [[1.0]])


def test_an_unknown_color_is_answered_with_the_names():
    with pytest.raises(KeyError, match=r"no color 'grey'; it has blue, vermillion, .*gray"):
        plotting.COLORS["grey"]


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


def full_png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def test_notebook_pictures_are_small_and_look_the_same(ax):
    plotting.decision_regions(ax, lambda x: x[:, 0].clip(0, 1), POINTS, LABELS)
    full, small = full_png(ax.figure), plotting.small_png(ax.figure)
    assert len(small) < 0.5 * len(full)
    assert decoded(small).shape == decoded(full).shape
    assert np.abs(decoded(small) - decoded(full)).mean() < 1


def test_pictures_of_many_colors_keep_them():
    noise = np.random.default_rng(0).uniform(size=(1, 64, 64, 3))
    figure = plotting.image_grid(noise, size=3)
    assert plotting.small_png(figure) == full_png(figure)


@pytest.mark.slow
def test_a_kernel_shows_figures_through_the_small_png(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    root = str(Path(plotting.__file__).parents[1])
    cells = [
        f"import sys; sys.path.insert(0, {root!r})\nimport dlp_utils as dlp\ndlp.use_style()",
        "import matplotlib.pyplot as plt\nplt.subplots()[1].plot([1, 2])\nplt.show()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[1].outputs
    assert Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))).mode == "P"

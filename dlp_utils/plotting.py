"""One plotting style for the whole book: colors, decision regions, image grids, smoothed curves.

Figures stand on a light card, in the light and in the dark page, and are sized so that their text can
still be read at phone width. Axis labels and their units belong to the caller.
"""

import io
import sys

import numpy as np


class _Colors(dict):
    def __missing__(self, name):
        raise KeyError(f"the book has no color {name!r}; it has {', '.join(self)}")


# Okabe and Ito (2008), "Color universal design": told apart with the common kinds of color blindness.
# Their yellow is left out, because a thin yellow line cannot be seen on a light ground.
COLORS = _Colors(
    blue="#0072B2",
    vermillion="#D55E00",
    green="#009E73",
    purple="#CC79A7",
    orange="#E69F00",
    sky="#56B4E9",
    black="#1F2328",
    gray="#6E7781",
    card="#FDFCF9",  # the ground of every figure
)

_CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky", "black")


def use_style():
    """Set matplotlib to the book's style: 5.2 × 3.3 inches at 120 dots an inch, text of 10 points or more."""
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "figure.figsize": (5.2, 3.3),
            "figure.dpi": 120,
            "savefig.dpi": 120,
            "figure.constrained_layout.use": True,
            "figure.facecolor": COLORS["card"],
            "axes.facecolor": COLORS["card"],
            "savefig.facecolor": COLORS["card"],
            "axes.prop_cycle": mpl.cycler(color=[COLORS[name] for name in _CYCLE]),
            "axes.edgecolor": COLORS["gray"],
            "axes.labelcolor": COLORS["black"],
            "text.color": COLORS["black"],
            "xtick.color": COLORS["black"],
            "ytick.color": COLORS["black"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E3E1DA",
            "grid.linewidth": 0.8,
            "font.size": 11,
            "axes.titlesize": 11.5,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 2,
            "lines.markersize": 6,
            "image.cmap": "viridis",
            "svg.hashsalt": "deep-learning-in-practice",  # the same figure is the same file, byte for byte
        }
    )
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is not None:
        import matplotlib.pyplot as plt
        from matplotlib.figure import Figure

        plt.switch_backend(mpl.get_backend())  # loading the backend later would put its own formatter back
        shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)


def small_png(figure):
    """Return `figure` as PNG bytes, in 256 colors where the eye sees no difference: a third of the size.

    A stored notebook, and the page made from it, is mostly pictures.
    """
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    full = Image.open(buffer).convert("RGB")
    few = full.quantize(256)
    change = np.abs(np.asarray(full, dtype=int) - np.asarray(few.convert("RGB"), dtype=int))
    if change.mean() > 1:  # of 255: photographs and color ramps would show bands
        return buffer.getvalue()
    buffer = io.BytesIO()
    few.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def decision_regions(ax, predict, x, y, *, resolution=160, margin=0.15):
    """Fill `ax` with the probability of class 1 over the plane and draw the points of both classes on it.

    predict: maps an (M, 2) float64 array to (M,) or (M, 1) probabilities, as array or tensor.
    x: (N, 2) points. y: (N,) or (N, 1) labels 0 and 1. margin: share of the range added on each side.
    Returns the filled contours, for a color bar. ValueError for another shape, label or probability.
    """
    from matplotlib.colors import LinearSegmentedColormap

    x, y = _array(x), _array(y).reshape(-1)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"decision_regions: x needs the shape (N, 2), got {x.shape}")
    if len(y) != len(x):
        raise ValueError(f"decision_regions: {len(x)} points in x but {len(y)} labels in y")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"decision_regions: labels must be 0 or 1, got {sorted(set(y.tolist()) - {0, 1})[:5]}"
        )

    low, high = x.min(0), x.max(0)
    pad = margin * np.where(high > low, high - low, 1.0)
    axes = [np.linspace(a, b, resolution) for a, b in zip(low - pad, high + pad, strict=True)]
    grid_x, grid_y = np.meshgrid(*axes)
    plane = np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)  # (resolution², 2)
    probability = _array(predict(plane)).astype(float)
    if probability.size != len(plane) or probability.shape[0] != len(plane):
        raise ValueError(
            f"decision_regions: predict must return one probability a point, ({len(plane)},) or "
            f"({len(plane)}, 1), got the shape {probability.shape}"
        )
    if not np.isfinite(probability).all() or probability.min() < -1e-6 or probability.max() > 1 + 1e-6:
        raise ValueError(
            f"decision_regions: predict must return probabilities in [0, 1], got values from "
            f"{probability.min():.3g} to {probability.max():.3g}; does it return logits?"
        )
    probability = probability.reshape(grid_x.shape).clip(0, 1)

    colors = LinearSegmentedColormap.from_list(
        "dlp_regions", [COLORS["blue"], "#F7F5EF", COLORS["vermillion"]]
    )
    levels = np.linspace(0, 1, 11)
    filled = ax.contourf(grid_x, grid_y, probability, levels=levels, cmap=colors, vmin=0, vmax=1, alpha=0.6)
    if probability.min() < 0.5 < probability.max():
        ax.contour(grid_x, grid_y, probability, levels=[0.5], colors=COLORS["black"], linewidths=1.5)
    for label, marker, color in ((0, "o", COLORS["blue"]), (1, "^", COLORS["vermillion"])):
        ax.scatter(
            *x[y == label].T,
            s=34,
            marker=marker,
            color=color,
            edgecolors="white",
            linewidths=0.9,
            label=f"class {label}",
            zorder=3,
        )
    ax.set_xlim(axes[0][0], axes[0][-1])
    ax.set_ylim(axes[1][0], axes[1][-1])
    ax.grid(False)
    return filled


def image_grid(images, *, columns=8, titles=None, value_range=None, size=0.9):
    """Return a Figure with the images in rows of `columns`.

    images: (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3, tensor or array. value_range: (low, high)
    of the pixel values; without it 0 to 255 for integers, 0 to 1 for floats. titles: N strings.
    size: inches an image. ValueError for another shape or for pixels outside the range.
    """
    import matplotlib.pyplot as plt

    pixels = _array(images)
    shape = pixels.shape
    if pixels.ndim == 4 and shape[-1] not in (1, 3) and shape[1] in (1, 3):
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if len(pixels) == 0 or not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] == 3)):
        raise ValueError(
            f"image_grid: images need the shape (N, H, W), (N, C, H, W) or (N, H, W, C) with N ≥ 1 and "
            f"C = 1 or 3, got {shape}"
        )
    if titles is not None and len(titles) != len(pixels):
        raise ValueError(f"image_grid: {len(pixels)} images but {len(titles)} titles")
    low, high = value_range or ((0, 255) if np.issubdtype(pixels.dtype, np.integer) else (0, 1))
    slack = 1e-3 * (high - low)
    if not (pixels.min() >= low - slack and pixels.max() <= high + slack):  # written so that NaN fails too
        raise ValueError(
            f"image_grid: pixels run from {pixels.min():.3g} to {pixels.max():.3g}, outside [{low}, {high}]; "
            f"clamp them or name their range, as in value_range=(-1, 1)"
        )
    pixels = ((pixels - low) / (high - low)).astype(float).clip(0, 1)

    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    height = size + (0.25 if titles is not None else 0.0)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, height * rows), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    for i, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if i < len(pixels):
            ax.imshow(pixels[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            if titles is not None:
                ax.set_title(titles[i], fontsize=9)
    return figure


def curve(ax, y, label=None, *, x=None, smooth=0.0, color=None):
    """Draw `y` over its index, or over `x`; with smoothing the raw values stay visible behind the average.

    y: (N,) numbers; NaN leaves a gap. smooth: decay of the exponential average, in [0, 1); 0 draws `y` alone.
    The average is debiased (divided by the mass 1 − decay^k), so its first point is the first value.
    Returns the line. ValueError for another shape or decay.
    """
    y = _array(y).astype(float)
    x = np.arange(len(y)) if x is None else _array(x)
    if y.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"curve: y needs the shape (N,) and x the same, got {y.shape} and {x.shape}")
    if not 0 <= smooth < 1:
        raise ValueError(f"curve: smooth is a decay in [0, 1), got {smooth}")
    if smooth == 0:
        (line,) = ax.plot(x, y, label=label, color=color)
        return line
    (line,) = ax.plot(x, _debiased_average(y, smooth), label=label, color=color, zorder=3)
    ax.plot(x, y, color=line.get_color(), alpha=0.25, linewidth=1, zorder=2)
    return line


def _debiased_average(y, decay):
    """Exponential average of the finite values, each divided by the mass of weights so far; NaN elsewhere."""
    average = mass = 0.0
    smoothed = np.full_like(y, np.nan)
    for i, value in enumerate(y):
        if np.isfinite(value):
            average = decay * average + (1 - decay) * value
            mass = decay * mass + (1 - decay)
            smoothed[i] = average / mass
    return smoothed


def _array(values):
    """A NumPy array from a list, an array, or a tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.dtype.is_floating_point else values  # NumPy knows no bfloat16
    return np.asarray(values)

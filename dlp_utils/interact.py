"""Interactive figures that stay alive without a kernel.

`explore` gives two outputs. The first is HTML: sliders over frames drawn in advance, which the web page shows. A
notebook whose kernel runs also gets the widget, the same sliders calling `draw` again, and hides the HTML
meanwhile. `animate` plays frames. The HTML carries its own frames, style and script and asks for nothing from outside.
"""

import base64
import hashlib
import html
import io
import itertools
import json
import math
from string import Template

MAX_FRAMES = 60
MAX_BYTES = 400_000  # of HTML a figure: three of them still leave room for the page


def explore(draw, /, **axes):
    """Show `draw(**values)` with one slider for each axis; returns None.

    draw: draws on the current figure or returns a Figure; the first line of its docstring describes the
    picture to those who cannot see it. axes: name=values, each a list or range of at least one value; the
    sliders start at the first. Every combination is drawn in advance: at most 60 frames and 400 kB.
    ValueError beyond that; RuntimeError, with the values, where `draw` fails.
    """
    axes = {name: _values("explore", name, values) for name, values in axes.items()}
    if not axes:
        raise ValueError("explore: no axis to move along; name one, as in explore(draw, rate=[0.01, 0.1, 1])")
    frames, size = _frames("explore", lambda values: draw(**values), axes)
    page = _page(frames, size, axes, _title(draw))
    _display(page, f"Figure with {_words(axes)}", lambda: _widget(draw, axes, frames[0]))


def animate(draw, frames, *, name="frame", interval=150, loop=False):
    """Show `draw(frame)` for each frame as a player with a play button and a slider; returns None.

    draw: as in `explore`, with the frame as its only argument. frames: a count, meaning 0 … count − 1, or the
    list of values to draw. interval: milliseconds a frame. loop: go on from the start at the end.
    It never starts by itself. Errors as in `explore`.
    """
    values = range(frames) if hasattr(frames, "__index__") else frames
    axes = {name: _values("animate", name, values)}
    if interval < 20:
        raise ValueError(f"animate: interval is in milliseconds, at least 20, got {interval}")
    pictures, size = _frames("animate", lambda values: draw(values[name]), axes)
    page = _page(pictures, size, axes, _title(draw), interval=interval, loop=loop)
    _display(page, f"Animation over {_words(axes)}", None)


def _values(caller, name, values):
    if isinstance(values, (str, dict)) or not hasattr(values, "__len__") or len(values) == 0:
        raise ValueError(f"{caller}: {name} needs a list or range of at least one value, got {values!r}")
    if len(values) > MAX_FRAMES:
        raise ValueError(f"{caller}: {name} has {len(values)} values, more than {MAX_FRAMES}; give fewer")
    return [v.item() if getattr(v, "ndim", None) == 0 else v for v in values]  # NumPy and torch scalars


def _words(axes):
    return " × ".join(f"{name} ({len(values)} values)" for name, values in axes.items())


def _title(draw):
    line = (getattr(draw, "__doc__", None) or "").strip().split("\n")[0].rstrip(".")
    return line or getattr(draw, "__name__", "figure").replace("_", " ").replace("<lambda>", "figure").strip()


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _frames(caller, draw, axes):
    """Draw every combination; return the encoded frames as data addresses, and their (width, height)."""
    count = math.prod(len(values) for values in axes.values())
    if count > MAX_FRAMES:
        raise ValueError(
            f"{caller}: {_words(axes)} makes {count} frames, more than {MAX_FRAMES}; give fewer values"
        )
    images = []
    for values in itertools.product(*axes.values()):
        named = dict(zip(axes, values, strict=True))
        images.append(_picture(caller, draw, named))
    # One palette for all frames keeps the colors steady from frame to frame and the files small.
    for colors, scale in ((64, 1.0), (32, 1.0), (32, 0.75)):
        frames = _encode(images, colors, scale)
        if sum(map(len, frames)) <= MAX_BYTES:
            return frames, images[0].size
    raise ValueError(
        f"{caller}: {count} frames weigh {sum(map(len, frames)) / 1000:.0f} kB, more than "
        f"{MAX_BYTES / 1000:.0f} kB; give fewer values or draw a smaller or simpler figure"
    )


def _picture(caller, draw, values):
    """Call `draw` on a fresh figure and return what it drew as an RGB image; leaves no figure behind."""
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    before = set(plt.get_fignums())
    where = f"{caller}: draw({', '.join(f'{name}={value!r}' for name, value in values.items())})"
    try:
        plt.figure()
        try:
            figure = draw(values)
        except Exception as error:
            raise RuntimeError(f"{where} raised {type(error).__name__}: {error}") from error
        figure = plt.gcf() if figure is None else figure
        if not isinstance(figure, Figure):
            raise TypeError(f"{where} must return a matplotlib Figure or None, got {type(figure).__name__}")
        if not (figure.axes or figure.texts or figure.images):
            raise ValueError(f"{where} drew nothing on the current figure; return the Figure it draws on")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def _encode(images, colors, scale):
    from PIL import Image, features

    if scale != 1:
        sizes = [(round(image.width * scale), round(image.height * scale)) for image in images]
        images = [image.resize(size, Image.LANCZOS) for image, size in zip(images, sizes, strict=True)]
    everything = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)))
    top = 0
    for image in images:
        everything.paste(image, (0, top))
        top += image.height
    palette = everything.quantize(colors)
    kind = "webp" if features.check("webp") else "png"
    options = {"lossless": True, "quality": 80, "method": 4} if kind == "webp" else {"optimize": True}
    frames = []
    for image in images:
        flat = image.quantize(palette=palette, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        (flat.convert("RGB") if kind == "webp" else flat).save(buffer, kind.upper(), **options)
        frames.append(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}")
    return frames


def _page(frames, size, axes, title, interval=0, loop=False):
    """The HTML player, marked with a hash of its content: the same figure is stored as the same text."""
    labels = [[name, [_text(value) for value in values]] for name, values in axes.items()]
    rows = "".join(
        f'<label><span>{html.escape(name)}</span><input type="range" min="0" max="{len(values) - 1}" '
        f'value="0" aria-label="{html.escape(name)}"><b aria-hidden="true"></b></label>'
        for name, values in labels
    )
    play = '<button type="button">▶ Play</button>' if interval else ""
    data = {"title": title, "axes": labels, "frames": frames[1:], "interval": interval, "loop": loop}
    data = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")  # nothing may end the script early
    return Template(_HTML).substitute(
        mark=hashlib.sha256((data + frames[0]).encode()).hexdigest()[:12],
        title=html.escape(title),
        first=frames[0],
        width=size[0],
        height=size[1],
        controls=play + rows,
        data=data,
    )


# The first frame stands in the picture itself: a viewer that strips scripts shows it, without dead sliders.
# All players with the same mark are the same figure, so the script may bind every one it finds.
# The last rule of the style hides what JupyterLab writes in place of a widget without its kernel: model not found.
_HTML = """<div class="dlp-player" data-dlp="$mark" role="group" aria-label="$title">
<style>
.dlp-player{max-width:${width}px;margin:.5rem 0;font:15px/1.4 system-ui,sans-serif}
.dlp-player img{display:block;width:100%;height:auto;margin:0;border-radius:6px}
.dlp-player .dlp-controls{display:grid;gap:.3rem;padding:.5rem .25rem}
.dlp-player .dlp-controls[hidden]{display:none}
.dlp-player label{display:grid;grid-template-columns:minmax(4.5rem,auto) 1fr minmax(3.5rem,auto);gap:.75rem}
.dlp-player label{align-items:center;margin:0}
.dlp-player input{width:100%;min-width:0;height:24px;margin:0;accent-color:#2b7bb9}
.dlp-player b{font-weight:600;font-variant-numeric:tabular-nums;text-align:right}
.dlp-player button{justify-self:start;min-width:6.5rem;padding:.3rem .8rem;font:inherit;color:inherit}
.dlp-player button{background:transparent;border:1px solid;border-radius:6px;cursor:pointer}
.dlp-player :is(input,button):focus-visible{outline:2px solid #2b7bb9;outline-offset:2px}
@media (pointer:coarse){.dlp-player input{height:36px}}
.jp-OutputArea-child:has(.dlp-player)+.jp-OutputArea-child:has(>.jp-OutputArea-output.jupyter-widgets){display:none}
</style>
<img src="$first" width="$width" height="$height" alt="$title">
<div class="dlp-controls" hidden>$controls</div>
<script>
(() => {
  const {title, axes, frames, interval, loop} = $data;
  for (const root of document.querySelectorAll('.dlp-player[data-dlp="$mark"]:not([data-ready])')) {
    root.dataset.ready = "";
    const image = root.querySelector("img"), button = root.querySelector("button");
    const inputs = [...root.querySelectorAll("input")], all = [image.src, ...frames];
    let timer = null;
    const show = () => {
      let index = 0;
      const words = inputs.map((input, i) => {
        const [name, values] = axes[i], value = values[input.value];
        index = index * values.length + Number(input.value);
        input.setAttribute("aria-valuetext", value);
        input.nextElementSibling.textContent = value;
        return name + " = " + value;
      });
      image.src = all[index];
      image.alt = title + ": " + words.join(", ");
    };
    const play = (on) => {
      clearInterval(timer);
      timer = on ? setInterval(step, interval) : null;
      if (!button) return;
      button.textContent = on ? "❚❚ Pause" : "▶ Play";
    };
    const step = () => {
      const [input] = inputs, last = Number(input.value) === Number(input.max);
      if (last && !loop) return play(false);
      input.value = last ? 0 : Number(input.value) + 1;
      show();
    };
    inputs.forEach((input) => input.addEventListener("input", () => { play(false); show(); }));
    if (button) button.addEventListener("click", () => {
      const [input] = inputs, start = timer === null;
      if (start && input.value === input.max) { input.value = 0; show(); }
      play(start);
    });
    show();
    root.querySelector(".dlp-controls").hidden = false;
  }
})();
</script>
</div>"""


# Within the widget, so it holds while there is a widget: of the two outputs of a cell, hide the page.
_HIDE_PAGE = (
    "<style>.jp-OutputArea-child:has(.dlp-player):has(+ .jp-OutputArea-child .dlp-live){display:none}</style>"
)


def _widget(draw, axes, first):
    """Sliders that call `draw` again in the kernel, so that they follow what the reader changes there."""
    import ipywidgets as widgets

    picture = widgets.Image(value=base64.b64decode(first.split(",", 1)[1]), format=first[11:].split(";")[0])
    message = widgets.HTML()
    sliders = [
        widgets.SelectionSlider(
            options=[(_text(value), index) for index, value in enumerate(values)],
            description=name,
            continuous_update=False,
            style={"description_width": "initial"},
        )
        for name, values in axes.items()
    ]

    def redraw(_):
        try:
            values = {name: axes[name][s.value] for name, s in zip(axes, sliders, strict=True)}
            image = _picture("explore", lambda named: draw(**named), values)
        except Exception as error:  # an error in a widget's callback would be seen by no one
            message.value = f"<pre>{html.escape(str(error))}</pre>"
            return
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        picture.format, picture.value, message.value = "png", buffer.getvalue(), ""

    for slider in sliders:
        slider.observe(redraw, "value")
    live = widgets.VBox([*sliders, message, picture, widgets.HTML(_HIDE_PAGE, layout={"display": "none"})])
    live.add_class("dlp-live")
    return live


def _display(page, words, make_widget):
    """Display the page and, where there is a kernel, the widget after it.

    Not as two forms of one output: a front end would take the widget also where a notebook is opened again and its
    kernel is gone, and show that the model is not found, over a page that is stored.
    """
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = lambda: None  # noqa: E731
    shell = get_ipython()
    if shell is None:
        print(f"{words}. Shown in notebooks only.")
        return
    text = f"{words}: move it in the page or in a running notebook."
    display({"text/plain": text, "text/html": page}, raw=True)
    if make_widget is not None and getattr(shell, "kernel", None) is not None:
        try:
            widget = make_widget()
        except ImportError:
            pass  # without ipywidgets the HTML does the work
        else:
            view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
            display({"application/vnd.jupyter.widget-view+json": view}, raw=True)

"""Which chapter builds on which: the reading guide's map. Filled once a chapter's lab is in _toc.yml.

`CHAPTERS` says what each chapter uses; tests/test_anatomy.py holds it to the links of the pages.
"""

import re

from _svg import BLUE, CARD, GRAY, INK, ROOT, Drawing, write

# stem: (title, column, row, stems that it builds on)
CHAPTERS = {
    "backpropagation": ("Back-\npropagation", 1, 0, ()),
    "learning": ("Learning", 1, 1, ("backpropagation",)),
    "training": ("Training", 1, 2, ("backpropagation", "learning")),
    "convolution": ("Convolution", 1, 3, ("backpropagation", "training")),
    "language_models": ("Language\nmodels", 2, 2, ("backpropagation", "learning")),
    "sequences": ("Sequences", 2, 3, ("backpropagation", "training", "language_models")),
    "architectures": ("Architectures", 1, 4, ("backpropagation", "training", "convolution")),
    "attention": (
        "Attention",
        2,
        5,
        ("backpropagation", "language_models", "sequences", "architectures"),
    ),
    "transformers": ("Transformers", 3, 6, ("language_models", "attention")),
    "eeg_classification": ("EEG\nclassification", 0, 4, ("learning", "training", "convolution")),
    "video_generation": ("Video\ngeneration", 0, 5, ("learning", "training", "convolution")),
    "segmentation": ("Segmentation", 1, 5, ("learning", "training", "convolution", "architectures")),
    "inpainting": ("Inpainting", 2, 6, ("convolution", "language_models", "attention", "video_generation")),
    "diffusion": ("Diffusion", 1, 7, ("segmentation", "inpainting", "video_generation")),
}
WIDTH, HEIGHT, STEP_X, STEP_Y = 146, 56, 166, 92


def finished():
    """Stems whose lab stands in the table of contents."""
    return set(re.findall(r"^\s*- file: notebooks/(\w+)\s*$", (ROOT / "_toc.yml").read_text("utf-8"), re.M))


def center(stem):
    _, column, row, _ = CHAPTERS[stem]
    return 10 + WIDTH / 2 + STEP_X * column, 44 + STEP_Y * row


def ancestors(stem):
    """All stems that a chapter builds on, directly or through others."""
    parents = CHAPTERS[stem][3]
    return set(parents).union(*(ancestors(parent) for parent in parents)) if parents else set()


def connect(picture, parent, stem):
    """An arrow between two chapters; over two rows it runs down the gap between two columns."""
    (px, py), (x, y) = center(parent), center(stem)
    lean = 0 if px == x else (40 if px < x else -40)
    start, end = (px + lean, py + HEIGHT / 2 + 3), (x, y - HEIGHT / 2 - 3)
    if y - py > STEP_Y:
        gap = (px + x) / 2
        above, below = (gap, py + STEP_Y - HEIGHT / 2 - 3), (gap, y - STEP_Y + HEIGHT / 2 + 3)
        picture.path([start, above, below], stroke=GRAY, line=2)
        start = below
    picture.arrow(start, end)


def draw():
    picture = Drawing(664, 794)
    for stem, (_, _, _, parents) in CHAPTERS.items():
        for parent in parents:
            if not any(parent in ancestors(other) for other in parents):  # said by the others already
                connect(picture, parent, stem)
    done = finished()
    for stem, (title, *_) in CHAPTERS.items():
        x, y = center(stem)
        ready = stem in done
        picture.rect(
            x - WIDTH / 2,
            y - HEIGHT / 2,
            WIDTH,
            HEIGHT,
            radius=9,
            fill=BLUE if ready else CARD,
            stroke=BLUE if ready else GRAY,
            dash=None if ready else "5 4",
        )
        lines = title.split("\n")
        for k, line in enumerate(lines):
            top = y + 6 + 20 * (k - (len(lines) - 1) / 2)
            picture.text(x, top, line, size=17, fill="#FFFFFF" if ready else INK, weight="600")
    y = 764
    picture.rect(24, y - 13, 34, 18, radius=4, fill=BLUE)
    picture.text(68, y + 2, "ready to read", anchor="start")
    picture.rect(230, y - 13, 34, 18, radius=4, stroke=GRAY, dash="5 4")
    picture.text(274, y + 2, "in preparation", anchor="start")
    return {"chapters": picture.svg("Which chapter builds on which")}


if __name__ == "__main__":
    write(draw)

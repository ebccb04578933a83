"""Which chapter builds on which: the reading guide's map. Filled once a chapter's lab is in _toc.yml."""

import re

from _svg import BLUE, CARD, GRAY, INK, ROOT, Drawing, write

# stem: (title, column, row, stems that it builds on)
CHAPTERS = {
    "backpropagation": ("Back-\npropagation", 1, 0, ()),
    "training": ("Training", 1, 1, ("backpropagation",)),
    "convolution": ("Convolution", 1, 2, ("training",)),
    "video_generation": ("Video\ngeneration", 0, 3, ("convolution",)),
    "architectures": ("Architectures", 1, 3, ("convolution",)),
    "eeg_classification": ("EEG\nclassification", 2, 3, ("convolution",)),
    "segmentation": ("Segmentation", 1, 4, ("architectures",)),
    "inpainting": ("Inpainting", 2, 4, ("architectures",)),
    "diffusion": ("Diffusion", 1, 5, ("segmentation",)),
}
WIDTH, HEIGHT, STEP_X, STEP_Y = 150, 56, 162, 92


def finished():
    """Stems whose lab stands in the table of contents."""
    return set(re.findall(r"^\s*- file: notebooks/(\w+)\s*$", (ROOT / "_toc.yml").read_text("utf-8"), re.M))


def center(stem):
    _, column, row, _ = CHAPTERS[stem]
    return 12 + WIDTH / 2 + STEP_X * column, 44 + STEP_Y * row


def draw():
    picture = Drawing(498, 610)
    for stem, (_, _, _, parents) in CHAPTERS.items():
        x, y = center(stem)
        for parent in parents:
            px, py = center(parent)
            lean = 0 if px == x else (40 if px < x else -40)
            picture.arrow((px + lean, py + HEIGHT / 2 + 3), (x, y - HEIGHT / 2 - 3))
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
    y = 578
    picture.rect(24, y - 13, 34, 18, radius=4, fill=BLUE)
    picture.text(68, y + 2, "ready to read", anchor="start")
    picture.rect(230, y - 13, 34, 18, radius=4, stroke=GRAY, dash="5 4")
    picture.text(274, y + 2, "in preparation", anchor="start")
    return {"chapters": picture.svg("Which chapter builds on which")}


if __name__ == "__main__":
    write(draw)

"""The first picture of the book: three of its subjects side by side, from the drawings of their cards."""

import card_diffusion
import card_inpainting
import card_segmentation
from _svg import INK, Drawing, write

SUBJECTS = (
    (card_segmentation, "Which pixels are the cat?"),
    (card_inpainting, "What stood in the hole?"),
    (card_diffusion, "A picture from noise"),
)
GAP, TOP, SIZE = 8, 8, (320, 180)


def draw():
    width, height = SIZE
    picture = Drawing(len(SUBJECTS) * width + 2 * GAP, height + TOP + 34)
    for k, (card, words) in enumerate(SUBJECTS):
        (text,) = card.draw().values()
        inner = text.split("</title>\n", 1)[1].rsplit("</svg>", 1)[0]
        x = GAP + k * width
        picture.add("g", inner, transform=f"translate({x} {TOP})")
        picture.text(x + width / 2, height + TOP + 20, words, size=20, fill=INK, weight="600")
    return {"landing": picture.svg("Three subjects of the book")}


if __name__ == "__main__":
    write(draw)

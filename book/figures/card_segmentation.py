"""Front-page card of the chapter: a predicted mask on a cat, and two scores that disagree about it."""

from _svg import BLUE, INK, ORANGE, PALE, PURPLE, Drawing, write
from seg_hero import CATS, CELL, GRID, LEFTS, TOP, cells, hatch, masks, outline


def draw():
    picture = Drawing(320, 180)
    pixels, size, center, bumps = CATS[1]
    animal, found = masks(pixels, size, center, bumps)
    left, scale, shift = LEFTS[0], 1.24, (-54, -124)
    inner = Drawing(0, 0, card=False)
    cells(inner, left, animal & found, BLUE)
    cells(inner, left, animal - found, ORANGE)
    cells(inner, left, found - animal, PURPLE)
    hatch(inner, left, found - animal)
    outline(inner, left, animal)
    for side in (-0.36, 0.36):
        x, y = left + CELL * (center[0] + side * size + 0.5), TOP + CELL * (center[1] - 0.1 * size + 0.5)
        inner.circle(x, y, 0.36 * size, fill="#FDFCF9", stroke=INK, line=1.2)
        inner.circle(x, y, 0.16 * size, fill=INK)
    picture.add("g", "".join(inner.parts), transform=f"translate({shift[0]} {shift[1]}) scale({scale})")
    scores = (
        ("accuracy", 1 - len(animal ^ found) / GRID**2, "#9AA0A6"),
        ("Dice", 2 * len(animal & found) / (len(animal) + len(found)), BLUE),
    )
    for k, (words, value, color) in enumerate(scores):
        y = 66 + 62 * k
        picture.text(176, y, words, size=17, anchor="start")
        picture.text(304, y, f"{value:.2f}".lstrip("0"), size=22, anchor="end", weight="700")
        picture.rect(176, y + 9, 128, 11, fill=PALE, radius=3)
        picture.rect(176, y + 9, 128 * value, 11, fill=color, radius=3)
    return {"card_segmentation": picture.svg("A mask with high pixel accuracy and low Dice")}


if __name__ == "__main__":
    write(draw)

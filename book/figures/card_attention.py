"""Front-page card of the chapter: each character that is written looks at the one that was read."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

READ, WROTE, LOOKS = "3 MAY", "05-03", {0: (2, 3, 4), 1: (3,), 4: (0,)}


def draw():
    picture = Drawing(320, 180)
    for k, letter in enumerate(READ):
        picture.text(48 + 56 * k, 154, letter, size=30, weight="600", fill=INK)
    for k, letter in enumerate(WROTE):
        picture.text(48 + 56 * k, 44, letter, size=30, weight="600", fill=BLUE)
        for j in LOOKS.get(k, ()):
            strong = len(LOOKS[k]) == 1
            picture.path(
                [(48 + 56 * k, 56), (48 + 56 * j, 124)],
                stroke=ORANGE if strong else GRAY,
                line=4 if strong else 2,
            )
    return {"card_attention": picture.svg("Each character that is written looks at the one that was read")}


if __name__ == "__main__":
    write(draw)

"""A GPT from tokens to logits, with the store of keys and values beside its blocks."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, Drawing, write

MIDDLE, WIDTH = 270, 300


def box(picture, y, height, words, fill, color, below=""):
    picture.rect(MIDDLE - WIDTH / 2, y, WIDTH, height, fill=fill, stroke=color, radius=8, line=2)
    shift = 0 if below else 6
    picture.text(MIDDLE, y + height / 2 + shift - (4 if below else 0), words, size=18, weight="600")
    if below:
        picture.text(MIDDLE, y + height / 2 + 18, below, size=16, fill=GRAY)


def draw():
    picture = Drawing(700, 500)
    picture.text(MIDDLE, 482, "tokens s₁, s₂, …", size=18)
    box(picture, 400, 44, "row of the table E", "#F6E7D8", ORANGE)
    box(picture, 290, 70, "causal attention, added", "#DCE9F2", BLUE, "norm, heads, rotary positions")
    box(picture, 200, 70, "small network, added", "#DCE9F2", BLUE, "norm, D → 4D → D")
    picture.rect(MIDDLE - WIDTH / 2 - 18, 186, WIDTH + 36, 188, stroke=GRAY, radius=12, dash="6 5")
    picture.text(84, 286, "K ×", size=20, weight="600")
    box(picture, 112, 40, "norm", "#E4EFE3", GREEN)
    box(picture, 44, 40, "table E, transposed", "#F6E7D8", ORANGE)
    picture.text(MIDDLE, 20, "logits of the next tokens", size=18)
    for start, end in ((462, 447), (397, 377), (183, 155), (109, 87), (42, 28)):
        picture.arrow((MIDDLE, start), (MIDDLE, end), stroke=INK)
    picture.arrow((MIDDLE, 288), (MIDDLE, 273), stroke=INK)
    picture.rect(500, 290, 172, 70, fill="#F1EFE9", stroke=INK, radius=8, line=2)
    picture.text(586, 320, "keys and values", size=17, weight="600")
    picture.text(586, 342, "of the past", size=16, fill=GRAY)
    picture.arrow((442, 316), (496, 316), stroke=INK)
    picture.arrow((496, 336), (442, 336), stroke=INK)
    return {"transformers_stack": picture.svg("A GPT from tokens to logits, with its cache")}


if __name__ == "__main__":
    write(draw)

"""The transformer of the chapter inpainting: all tokens in, in all directions, a guess where `[MASK]` was."""

from _svg import BLUE, GRAY, GREEN, INK, PALE, VERMILLION, Drawing, write

TOKENS = ("17", "402", "M", "88", "M", "5", "210")
LEFT, STEP, WIDE, HIGH = 96, 76, 58, 34


def draw():
    picture = Drawing(660, 520)
    middles = [LEFT + STEP * k + WIDE / 2 for k in range(len(TOKENS))]
    picture.text(middles[3], 30, "seven of the 64 tokens; all go in together", size=16, fill=GRAY)
    rows = {"tokens": 46, "vectors": 122, "blocks": 196, "logits": 352, "guesses": 430}
    for middle, token in zip(middles, TOKENS, strict=True):
        hidden = token == "M"
        color = VERMILLION if hidden else INK
        left = middle - WIDE / 2
        picture.rect(left, rows["tokens"], WIDE, HIGH, fill="#FFFFFF", stroke=color, radius=5)
        picture.text(middle, rows["tokens"] + 23, "[M]" if hidden else token, size=17, fill=color)
        picture.arrow((middle, rows["tokens"] + HIGH + 3), (middle, rows["vectors"] - 4))
        picture.rect(left, rows["vectors"], WIDE, 20, fill=PALE, stroke=GRAY, radius=4)
        picture.rect(left, rows["vectors"] + 22, WIDE, 20, fill="#DCEBF5", stroke=BLUE, radius=4)
        picture.arrow((middle, rows["vectors"] + 45), (middle, rows["blocks"] - 4))
        picture.arrow((middle, rows["blocks"] + 112), (middle, rows["logits"] - 4))
        shade = VERMILLION if hidden else PALE
        picture.rect(left, rows["logits"], WIDE, HIGH, fill="#FFFFFF", stroke=shade, radius=5)
        for k, height in enumerate((6, 12, 24, 9, 5)):
            bar = left + 7 + 9 * k
            picture.rect(bar, rows["logits"] + HIGH - 3 - height, 7, height, fill=shade)
        if hidden:
            picture.arrow(
                (middle, rows["logits"] + HIGH + 3), (middle, rows["guesses"] - 4), stroke=VERMILLION
            )
            picture.text(middle, rows["guesses"] + 18, "guess", size=17, fill=VERMILLION, weight="600")
    picture.text(LEFT - 10, rows["tokens"] + 23, "token", size=16, anchor="end")
    picture.text(LEFT - 10, rows["vectors"] + 16, "its vector", size=16, anchor="end")
    picture.text(LEFT - 10, rows["vectors"] + 38, "+ place", size=16, fill=BLUE, anchor="end")
    picture.text(LEFT - 10, rows["logits"] + 23, "logits", size=16, anchor="end")
    box = (LEFT - 8, rows["blocks"], STEP * (len(TOKENS) - 1) + WIDE + 16, 108)
    picture.rect(*box, fill="#EEF6F2", stroke=GREEN, radius=8)
    picture.text(
        middles[3], rows["blocks"] + 25, "6 blocks: attention, then a small network", size=17, weight="600"
    )
    low, high = rows["blocks"] + 96, rows["blocks"] + 50
    for start in middles:
        for end in middles:
            picture.path([(start, low), (end, high)], stroke=GREEN, line=0.7)
    picture.text(middles[3], 488, "No causal mask: every place looks at every place.", size=17)
    picture.text(middles[3], 509, "Only the guesses at hidden places enter the loss.", size=17)
    return {
        "inpaint_transformer": picture.svg("A transformer without a causal mask guesses the hidden tokens")
    }


if __name__ == "__main__":
    write(draw)

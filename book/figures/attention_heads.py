"""What a head holds after view and transpose, and after a view alone: eight tokens, four heads."""

from _svg import INK, Drawing, write

TOKENS, HEADS, CELL = 8, 4, 19
TINTS = ("#BBD9EE", "#F6C9A0", "#B5E0CF", "#EBC6DA")


def cell(picture, x, y, token, head, size):
    picture.rect(x, y, size, size, fill=TINTS[head], stroke=INK, line=0.8)
    picture.text(x + size / 2, y + size / 2 + 5.5, str(token), size=15)


def rows(picture, left, top, of_row):
    """Four heads as rows of eight entries; of_row(head, k) gives (token, color)."""
    for head in range(HEADS):
        y = top + 34 * head
        picture.text(left - 10, y + 19, f"head {head}", size=16, anchor="end")
        for k in range(TOKENS):
            cell(picture, left + 26 * k, y, *of_row(head, k), 26)


def draw():
    picture = Drawing(660, 330)
    picture.text(26, 32, "in memory: each token with its four groups of features", size=17, anchor="start")
    for n in range(TOKENS):
        for a in range(HEADS):
            cell(picture, 26 + CELL * (n * HEADS + a), 46, n, a, CELL)
    picture.text(196, 118, "view and transpose", size=17, weight="600")
    rows(picture, 92, 136, lambda head, k: (k, head))
    picture.text(538, 118, "view alone", size=17, weight="600")
    false = {divmod(n * HEADS + a, TOKENS): (n, a) for n in range(TOKENS) for a in range(HEADS)}
    rows(picture, 434, 136, lambda head, k: false[head, k])
    picture.text(330, 312, "Number: which token. Color: which group of features.", size=16)
    return {"attention_heads": picture.svg("True heads are groups of features, false ones groups of tokens")}


if __name__ == "__main__":
    write(draw)

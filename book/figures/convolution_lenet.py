"""LeNet-5 for pictures of 28 × 28: maps that become smaller and more numerous."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

STAGES = (  # maps, side in pixels, words
    (1, 28, "28 × 28"),
    (6, 28, "6 × 28²"),
    (6, 14, "6 × 14²"),
    (16, 10, "16 × 10²"),
    (16, 5, "16 × 5²"),
)
DENSE = ((120, "120"), (84, "84"), (10, "10"))
WEIGHTS = ("156", "pool", "2,416", "pool", "48,120", "10,164", "850")


def draw():
    picture = Drawing(820, 250)
    middles, x = [], 24
    for maps, side, words in STAGES:
        size, shown = 3.2 * side, min(maps, 8)
        spread = 5 * (shown - 1)
        top = 120 - (size + spread) / 2
        for k in range(shown):
            at = x + 5 * k, top + 5 * k
            picture.rect(*at, size, size, stroke=BLUE, fill="#DCE9F2", line=1.5)
        width = size + spread
        picture.text(x + width / 2, 226, words, size=15)
        middles.append((x, x + width))
        x += width + (56 if maps == 16 and side == 5 else 34)
    for count, words in DENSE:
        height = 20 + 1.1 * count
        picture.rect(x, 120 - height / 2, 14, height, stroke=ORANGE, fill="#F9E3BF", line=1.5)
        picture.text(x + 7, 226, words, size=15)
        middles.append((x, x + 14))
        x += 14 + 54
    for (_, right), (left, _), words in zip(middles, middles[1:], WEIGHTS, strict=False):
        picture.arrow((right + 3, 120), (left - 3, 120), stroke=GRAY)
        picture.text((right + left) / 2, 30, words, size=14, fill=INK)
    return {"convolution_lenet": picture.svg("LeNet-5, layer by layer")}


if __name__ == "__main__":
    write(draw)

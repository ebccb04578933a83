"""Absolute discounting: a little off every count that is there, handed on to the shorter context."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

COUNTS = (("e", 6), ("o", 3), ("a", 1), ("i", 0), ("y", 0), ("u", 0))
LOWER, D = (0.30, 0.22, 0.18, 0.14, 0.10, 0.06), 0.75


def bars(picture, left, heights, extra, title):
    picture.text(left + 100, 36, title, size=17, fill=INK, weight="600")
    for k, ((letter, _), low, high) in enumerate(zip(COUNTS, heights, extra, strict=True)):
        x, bottom = left + 34 * k, 236
        if low:
            picture.rect(x, bottom - 300 * low, 24, 300 * low, fill=BLUE)
        if high:
            picture.rect(x, bottom - 300 * (low + high), 24, 300 * high, fill=ORANGE)
        picture.text(x + 12, bottom + 22, letter, size=18)
    picture.path([(left - 6, 236), (left + 204, 236)], stroke=GRAY, line=1.5)


def draw():
    picture, total = Drawing(760, 300), sum(c for _, c in COUNTS)
    share = [c / total for _, c in COUNTS]
    kept = [max(c - D, 0) / total for _, c in COUNTS]
    taken = [s - k for s, k in zip(share, kept, strict=True)]
    bars(picture, 26, kept, taken, "shares after h")
    bars(picture, 290, [0] * 6, LOWER, "shorter context h′")
    handed = [sum(taken) * q for q in LOWER]
    bars(picture, 540, kept, handed, "smoothed")
    picture.text(258, 150, "+", size=26, fill=GRAY)
    picture.arrow((498, 150), (530, 150))
    picture.text(126, 284, "orange: taken off", size=16, fill=GRAY)
    picture.text(640, 284, "orange: handed on", size=16, fill=GRAY)
    return {"language_models_discount": picture.svg("Discounted counts and what is done with the rest")}


if __name__ == "__main__":
    write(draw)

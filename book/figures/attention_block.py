"""A transformer block: a stream of rows, and two branches that add to it."""

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, Drawing, write

STREAM, BRANCH, WIDTH = 190, 460, 260


def box(picture, y, words, color, fill):
    picture.rect(BRANCH - WIDTH / 2, y, WIDTH, 46, fill=fill, stroke=color, radius=8, line=2)
    picture.text(BRANCH, y + 30, words, size=19, weight="600")


def plus(picture, y):
    picture.circle(STREAM, y, 17, fill="#FDFCF9", stroke=INK, line=2.5)
    picture.path([(STREAM - 9, y), (STREAM + 9, y)], line=2.5)
    picture.path([(STREAM, y - 9), (STREAM, y + 9)], line=2.5)


def branch(picture, start, boxes, end):
    """From the stream at height `start` through the boxes, upward, and back into it at `end`."""
    picture.path([(STREAM, start), (BRANCH, start)], stroke=GRAY, line=2)
    below = start
    for y, words, color, fill in boxes:
        picture.arrow((BRANCH, below), (BRANCH, y + 48), stroke=GRAY)
        box(picture, y, words, color, fill)
        below = y
    picture.path([(BRANCH, below), (BRANCH, end)], stroke=GRAY, line=2)
    picture.arrow((BRANCH, end), (STREAM + 20, end), stroke=GRAY)


def draw():
    picture = Drawing(680, 640)
    picture.path([(STREAM, 585), (STREAM, 66)], stroke=BLUE, line=7)
    picture.arrow((STREAM, 80), (STREAM, 50), stroke=BLUE, line=7)
    picture.text(STREAM, 614, "rows X, (N, D)", size=19)
    picture.text(STREAM, 36, "rows X″, (N, D)", size=19)
    norm = (GRAY, "#EEECE6")
    attention = [(480, "layer norm", *norm), (400, "multi-head attention", ORANGE, "#FBE9D0")]
    branch(picture, 560, attention, 370)
    mlp = [
        (250, "layer norm", *norm),
        (186, "linear, D → 4D", GREEN, "#D6EEE6"),
        (122, "GELU, linear, 4D → D", GREEN, "#D6EEE6"),
    ]
    branch(picture, 330, mlp, 92)
    plus(picture, 370)
    plus(picture, 92)
    for y, words in ((385, ("between", "rows")), (200, ("within", "a row"))):
        for k, word in enumerate(words):
            picture.text(84, y + 24 * k, word, size=18, fill=GRAY)
    return {"attention_block": picture.svg("A transformer block: two branches that add to a stream")}


if __name__ == "__main__":
    write(draw)

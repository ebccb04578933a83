"""The book's sign, layers of a small network with one path lit, and the badges above each notebook."""

from _svg import BLUE, VERMILLION, Drawing, write


def sign(picture, left, top, scale):
    """Three columns of nodes (2, 3, 1) joined by lines."""
    columns = [(0, (18, 46)), (28, (6, 32, 58)), (56, (32,))]
    at = [[(left + scale * x, top + scale * y) for y in ys] for x, ys in columns]
    for a, b in ((0, 1), (1, 2)):
        for start in at[a]:
            for end in at[b]:
                picture.path([start, end], stroke="#8A94A0", line=2.2 * scale)
    picture.path([at[0][0], at[1][1], at[2][0]], stroke=VERMILLION, line=4 * scale)
    for column in at:
        for x, y in column:
            picture.circle(x, y, 6 * scale, fill=BLUE)
    picture.circle(*at[2][0], 6 * scale, fill=VERMILLION)


def badge(words):
    picture = Drawing(128, 26, card=False)
    picture.rect(0, 0, 128, 26, fill="#0B5A8F", radius=5)
    picture.text(64, 18, words, size=13, fill="#FFFFFF", weight="600")
    return picture.svg(words)


def draw():
    logo = Drawing(320, 92, card=False)
    sign(logo, 12, 14, 1.0)
    # Letters in a middle gray-blue that reads on white and on the dark page alike.
    logo.text(88, 40, "Deep Learning", size=25, fill="#5B84B1", anchor="start", weight="700")
    logo.text(88, 72, "in Practice", size=25, fill="#5B84B1", anchor="start", weight="700")
    icon = Drawing(64, 64)
    sign(icon, 10, 7.5, 0.77)
    return {
        "logo": logo.svg("Deep Learning in Practice"),
        "favicon": icon.svg("Deep Learning in Practice"),
        "../badges/colab": badge("Open in Colab"),
        "../badges/kaggle": badge("Open in Kaggle"),
    }


if __name__ == "__main__":
    write(draw)

"""Padding, stride and dilation: which of seven pixels in a row each output reads."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

STEP = 34
PANELS = (  # words, padding, stride, dilation
    ("plain", 0, 1, 1),
    ("padding 1", 1, 1, 1),
    ("stride 2", 0, 2, 1),
    ("dilation 2", 0, 1, 2),
)


def draw():
    picture = Drawing(720, 330)
    for number, (words, padding, stride, dilation) in enumerate(PANELS):
        left, top = 40 + 350 * (number % 2), 30 + 155 * (number // 2)
        m = (7 + 2 * padding - 2 * dilation - 1) // stride + 1
        picture.text(left, top + 8, f"{words}: 7 → {m}", size=17, anchor="start", weight="600")

        def place(pixel, left=left):
            return left + STEP * (pixel + 1.2)

        below, above = top + 112, top + 42
        for output in range(m):
            middle = place(stride * output - padding + dilation)
            for u in range(3):
                picture.path(
                    [(place(stride * output - padding + dilation * u), below), (middle, above)],
                    stroke=ORANGE if output == 0 else GRAY,
                    line=3 if output == 0 else 1.2,
                )
        for output in range(m):
            picture.circle(place(stride * output - padding + dilation), above, 8, fill=BLUE)
        for pixel in range(-padding, 7 + padding):
            inside = 0 <= pixel < 7
            fill = INK if inside else "#FDFCF9"
            picture.circle(place(pixel), below, 8, fill=fill, stroke=INK)
            if not inside:
                picture.text(place(pixel), below + 5, "0", size=13)
    return {"convolution_stride": picture.svg("Padding, stride and dilation on a row of seven pixels")}


if __name__ == "__main__":
    write(draw)

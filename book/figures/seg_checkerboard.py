"""Overlap counts of transposed convolutions, and what a random kernel makes of a constant input."""

from _svg import BLUE, GRAY, PALE, Drawing, Noise, write

SHOWN, SIDE, LEFTS = 12, 16.5, (15, 231, 447)
COLUMNS = (("kernel 3, stride 2", 3), ("kernel 4, stride 2", 4), ("resize, kernel 3", None))


def counts(kernel):
    """How often each output away from the border is written, along one axis."""
    kernel = kernel or 3 + 2 - 1  # resize and convolve is a transposed convolution with kernel K + S - 1
    return [sum((i + 2 * kernel - k) % 2 == 0 for k in range(kernel)) for i in range(SHOWN)]


def gaussian(noise):
    return sum(noise() for _ in range(12)) - 6


def response(kernel, noise):
    """What a random kernel makes of a plane of ones: its phase sums, or one sum everywhere."""
    size = kernel or 3
    w = [[gaussian(noise) for _ in range(size)] for _ in range(size)]
    if kernel is None:
        total = sum(map(sum, w))
        return [[total] * SHOWN for _ in range(SHOWN)]
    phase = [
        [sum(w[a][b] for a in range(p, size, 2) for b in range(q, size, 2)) for q in (0, 1)] for p in (0, 1)
    ]
    return [[phase[i % 2][j % 2] for j in range(SHOWN)] for i in range(SHOWN)]


def shade(value):
    """From pale (0) to blue (1)."""
    ends = [[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in ("#F1EFE8", BLUE)]
    mixed = [round(a + (b - a) * value) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02X}" for part in mixed)


def plane(picture, left, top, values, low, high):
    """A picture of numbers: one path for each value that occurs."""
    steps = {}
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            x, y = left + SIDE * j, top + SIDE * i
            steps.setdefault(value, []).append(f"M{x:.1f},{y:.1f}h{SIDE}v{SIDE}h{-SIDE}z")
    for value in sorted(steps):
        tone = (value - low) / (high - low)
        picture.add("path", d="".join(steps[value]), fill=shade(tone), stroke="#FDFCF9", stroke_width=1)


def draw():
    picture = Drawing(660, 662)
    for left, (title, kernel), seed in zip(LEFTS, COLUMNS, (5, 8, 3), strict=True):
        picture.text(left, 30, title, size=18, anchor="start", weight="600")
        picture.text(left, 58, "written how often?", size=17, anchor="start")
        number = counts(kernel)
        for i, c in enumerate(number):
            picture.rect(left + SIDE * i + 1.5, 142 - 34 * c, SIDE - 3, 34 * c, fill=BLUE, radius=2)
            picture.text(left + SIDE * (i + 0.5), 160, str(c), size=15)
        picture.path([(left, 142), (left + SIDE * SHOWN, 142)], stroke=GRAY, line=1.5)
        picture.text(left, 192, "the same in the plane", size=17, anchor="start")
        square = [[a * b for b in number] for a in number]
        plane(picture, left, 202, square, 0, 4)
        picture.text(left, 428, "a random kernel", size=17, anchor="start")
        values = response(kernel, Noise(seed))
        flat = sorted({v for row in values for v in row})
        low, high = (flat[0], flat[-1]) if len(flat) > 1 else (flat[0] - 1, flat[0] + 1)
        plane(picture, left, 440, values, low - 0.1 * (high - low), high)
    for x in (LEFTS[1] - 9, LEFTS[2] - 9):
        picture.path([(x, 16), (x, 646)], stroke=PALE, line=1.5)
    return {"seg_checkerboard": picture.svg("Where the checkerboard comes from, and what removes it")}


if __name__ == "__main__":
    write(draw)

"""Attention weights of one query over twelve keys at three scalings of the same scores."""

import math

from _svg import BLUE, GRAY, GREEN, INK, VERMILLION, Drawing, Noise, write

KEYS, D = 12, 64


def scores():
    """Dot products of one query with twelve keys, all with entries of mean 0 and variance 1."""
    noise = Noise(12)

    def vector():
        return [sum(noise() for _ in range(12)) - 6 for _ in range(D)]

    query = vector()
    return [sum(a * b for a, b in zip(query, vector(), strict=True)) for _ in range(KEYS)]


def weights(values):
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def largest_slope(p):
    """The largest entry of the softmax's Jacobian; p (1 − p) is never below the products p q."""
    rest = [sum(p) - value for value in p]
    return max(a * b for a, b in zip(p, rest, strict=True))


def draw():
    picture = Drawing(660, 440)
    raw = scores()
    rows = (("divided by √d", 1 / math.sqrt(D), BLUE), ("as they are", 1.0, GREEN))
    rows += (("multiplied by √d", math.sqrt(D), VERMILLION),)
    for k, (words, factor, tint) in enumerate(rows):
        base = 116 + 140 * k
        p = weights([factor * value for value in raw])
        picture.text(24, base - 82, f"scores {words}", size=18, anchor="start", weight="600", fill=INK)
        for j, value in enumerate(p):
            height = max(72 * value, 0.8)
            picture.rect(24 + 34 * j, base - height, 26, height, fill=tint)
        picture.path([(20, base), (430, base)], stroke=GRAY, line=1.5)
        p_max = max(p)
        slope = largest_slope(p)
        picture.text(450, base - 44, f"largest weight {p_max:.2f}", size=17, anchor="start")
        mantissa = f"{slope:.2f}" if slope > 0.005 else f"≈ 10{superscript(math.log10(slope))}"
        picture.text(450, base - 16, f"largest slope {mantissa}", size=17, anchor="start")
    return {"attention_scale": picture.svg("Attention weights at three scalings of the scores")}


def superscript(exponent):
    digits = dict(zip("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
    return "".join(digits[letter] for letter in str(round(exponent)))


if __name__ == "__main__":
    write(draw)

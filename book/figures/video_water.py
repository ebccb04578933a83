"""Reverse water-filling: which directions keep a latent at a given price, and how many nats each costs."""

import math

from _svg import BLUE, GRAY, PALE, SKY, VERMILLION, Drawing, write

VARIANCES, PRICE = (5.2, 3.6, 2.6, 1.9, 1.35, 0.8, 0.5, 0.25), 1.0
LEFT, BASE, UNIT, STEP, BAR = 40, 340, 52, 76, 52


def draw():
    picture = Drawing(660, 400)
    level = BASE - UNIT * PRICE
    for k, variance in enumerate(VARIANCES):
        x = LEFT + STEP * k
        under = UNIT * min(variance, PRICE)
        picture.rect(x, BASE - under, BAR, under, fill=PALE, stroke=GRAY, line=1)
        if variance > PRICE:
            above = UNIT * (variance - PRICE)
            picture.rect(x, level - above, BAR, above, fill=BLUE)
            picture.text(x + BAR / 2, level - above - 10, f"{0.5 * math.log(variance / PRICE):.2f}", size=17)
        else:
            picture.text(x + BAR / 2, level - 12, "silent", size=17, fill=VERMILLION, weight="600")
    picture.path([(20, level), (640, level)], stroke=SKY, line=4)
    picture.path([(20, BASE), (640, BASE)], stroke=GRAY, line=1.5)
    for y, color, words in (
        (34, BLUE, "above the water: told by the latent (nats)"),
        (64, PALE, "below: left to the noise"),
        (94, None, "water level: the price τ = βσ²"),
    ):
        if color:
            picture.rect(232, y - 4, 22, 18, fill=color, stroke=GRAY if color == PALE else None, line=1)
        else:
            picture.path([(232, y + 5), (254, y + 5)], stroke=SKY, line=4)
        picture.text(264, y + 11, words, size=17, anchor="start")
    picture.text(330, 376, "directions of variance λ, largest first", size=18)
    return {"video_water": picture.svg("A direction keeps its latent when its variance exceeds the price")}


if __name__ == "__main__":
    write(draw)

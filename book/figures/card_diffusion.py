"""Front-page card of the chapter: one scene, pure noise at its left edge and clean at its right."""

from _diffusion import STEPS, cosine
from _scene import noisy, scene, tiles
from _svg import Drawing, write

ROW = (
    ("cube", "red", (-2.35, 0.35), 0.84, 0.42),
    ("sphere", "cyan", (0.05, -0.15), 0.84, 0.0),
    ("cylinder", "yellow", (2.3, 0.1), 0.84, 0.0),
)
ROWS, COLUMNS = 34, 64


def draw():
    picture = Drawing(320, 180)
    abar = cosine()

    def level(j):
        return abar[round(STEPS * max(0.0, 1 - j / (0.8 * COLUMNS)) ** 1.7)]

    pixels = scene(COLUMNS, ROWS, ROW, 0.208, 3)
    tiles(picture, 9, 9.4, 302 / COLUMNS, noisy(pixels, level), 16)
    return {"card_diffusion": picture.svg("A scene that comes out of noise from left to right")}


if __name__ == "__main__":
    write(draw)

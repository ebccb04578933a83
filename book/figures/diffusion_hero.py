"""First picture of the chapter: a scene that drowns in noise from left to right, and the way back."""

from _diffusion import STEPS, cosine
from _scene import NAMED, noisy, scene, tiles
from _svg import BLUE, GRAY, INK, VERMILLION, Drawing, write

SIDE, GAP, LEFT, TOP = 120, 11, 8, 66
TIMES = (0, 250, 500, 750, 1000)
DOTS = {"red": "#C8322B", "cyan": "#2FB7C4", "yellow": "#F3C623"}


def broad(picture, start, end, y, tint):
    """A thick level arrow."""
    back = end - 18 if end > start else end + 18
    picture.path([(start, y), (back, y)], stroke=tint, line=5)
    picture.path([(end, y), (back, y - 9), (back, y + 9)], stroke=None, fill=tint, closed=True)


def chip_width(words):
    return 60 + 9.2 * len(words)


def chip(picture, x, y, color, kind):
    """A label on a rounded card, with a small drawing of what it names; returns its width."""
    words = f"{color} {kind}"
    width = chip_width(words)
    picture.rect(x, y, width, 36, fill="#FFFFFF", stroke=GRAY, radius=18, line=1.5)
    fill, cx, cy = DOTS[color], x + 21, y + 18
    if kind == "cube":
        picture.rect(cx - 8, cy - 8, 16, 16, fill=fill, stroke=INK, line=1.2)
    elif kind == "sphere":
        picture.circle(cx, cy, 9, fill=fill, stroke=INK, line=1.2)
    else:
        d = f"M{cx - 7} {cy - 6}v12a7 3 0 0 0 14 0v-12"
        picture.curve(d, stroke=INK, fill=fill, line=1.2)
        picture.add("ellipse", cx=cx, cy=cy - 6, rx=7, ry=3, fill=fill, stroke=INK, stroke_width=1.2)
    picture.text(x + 38, y + 24, words, size=18, anchor="start")
    return width


def draw():
    picture = Drawing(660, 336)
    abar, pixels = cosine(), scene()
    picture.text(330, 28, "add a little noise: fixed", size=20, weight="600", fill=VERMILLION)
    broad(picture, LEFT + 3, 660 - LEFT, 46, VERMILLION)
    for k, t in enumerate(TIMES):
        x = LEFT + (SIDE + GAP) * k
        levels = 52 if t == 0 else 9
        tiles(picture, x, TOP, SIDE / 32, noisy(pixels, abar[t]) if t else pixels, levels)
        words = {0: "t = 0", STEPS: f"t = {STEPS}"}.get(t, str(t))
        picture.text(x + SIDE / 2, TOP + SIDE + 22, words, size=17, fill=INK)
    y = TOP + SIDE + 42
    broad(picture, 660 - LEFT - 3, LEFT, y, BLUE)
    picture.text(330, y + 28, "take it away: learned, given the labels", size=20, weight="600", fill=BLUE)
    widths = [chip_width(f"{color} {kind}") for color, kind in NAMED]
    x = (660 - sum(widths) - 2 * 16) / 2
    for color, kind in NAMED:
        x += chip(picture, x, y + 46, color, kind) + 16
    return {"diffusion_hero": picture.svg("A scene drowns in noise; a network takes the noise away again")}


if __name__ == "__main__":
    write(draw)

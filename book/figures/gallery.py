"""Cards of the front page for chapters to come: what each is about, in a few strokes, and no results."""

from _svg import BLUE, SKY, VERMILLION, Drawing, write

W, H = 320, 180


def architectures(p):
    """Layers in a row with shortcuts over them."""
    for k, height in enumerate((110, 110, 84, 84, 58, 58)):
        p.rect(40 + 42 * k, 100 - height / 2, 24, height, radius=5, fill=BLUE if k % 2 else SKY)
    for k in (0, 2, 4):
        x = 52 + 42 * k
        p.curve(f"M{x - 18},{100} C{x - 18},22 {x + 60},22 {x + 60},{100}", stroke=VERMILLION, line=3)


ICONS = (architectures,)


def draw():
    files = {}
    for icon in ICONS:
        picture = Drawing(W, H)
        icon(picture)
        files[f"icon_{icon.__name__}"] = picture.svg(icon.__doc__.rstrip("."))
    return files


if __name__ == "__main__":
    write(draw)

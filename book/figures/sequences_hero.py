"""First picture of the chapter: who knows what, in bits per character after a space and elsewhere."""

from _sequences import stored
from _svg import BLUE, GRAY, GREEN, INK, ORANGE, Drawing, write

MODELS = (
    ("counts", ORANGE, "counts (KN6)"),
    ("network", BLUE, "network (GRU)"),
    ("mixture", GREEN, "mixture"),
)
BOTTOM, UNIT = 320, 58


def draw():
    values, picture = stored(), Drawing(720, 420)
    for bits in range(5):
        y = BOTTOM - UNIT * bits
        picture.path([(60, y), (690, y)], stroke="#D8D5CC" if bits else GRAY, line=1 if bits else 1.5)
        picture.text(50, y + 6, str(bits), size=16, anchor="end")
    picture.text(60, 26, "bits per character", size=17, anchor="start")
    for group, (left, words) in enumerate(((90, "after a space"), (410, "elsewhere"))):
        for k, (name, color, _) in enumerate(MODELS):
            bits = values[name][group]
            x, height = left + 82 * k, UNIT * bits
            picture.rect(x, BOTTOM - height, 70, height, fill=color, radius=3)
            picture.text(x + 35, BOTTOM - height - 9, f"{bits:.2f}", size=17, weight="600")
        picture.text(left + 117, BOTTOM + 28, words, size=18, fill=INK, weight="600")
    for k, (_, color, words) in enumerate(MODELS):
        picture.rect(130 + 180 * k, 376, 18, 18, fill=color, radius=3)
        picture.text(156 + 180 * k, 391, words, size=17, anchor="start")
    return {"sequences_hero": picture.svg("Bits per character of counts, network and mixture")}


if __name__ == "__main__":
    write(draw)

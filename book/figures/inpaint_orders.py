"""The masks of three tokens, from all hidden to all visible, and one order as a path."""

import itertools

from _svg import BLUE, INK, PALE, Drawing, write

COLUMNS = {3: 78, 2: 250, 1: 420, 0: 588}
TILE = 26
PATH = ((1, 1, 1), (1, 0, 1), (1, 0, 0), (0, 0, 0))  # 1 is hidden; second token first, then the third


def places():
    """{mask: its place}: columns by the number of hidden tokens."""
    found = {}
    for hidden in range(4):
        masks = sorted(
            (m for m in ((a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)) if sum(m) == hidden),
        )
        for k, mask in enumerate(masks):
            found[mask] = (COLUMNS[hidden], 186 + 104 * (k - (len(masks) - 1) / 2))
    return found


def draw():
    picture = Drawing(660, 400)
    where = places()
    half = 1.5 * TILE + 8
    for mask, (x, y) in where.items():
        for i in range(3):
            if mask[i]:
                after = (*mask[:i], 0, *mask[i + 1 :])
                ex, ey = where[after]
                strong = (mask, after) in itertools.pairwise(PATH)
                picture.arrow(
                    (x + half, y),
                    (ex - half, ey),
                    stroke=BLUE if strong else "#B9BEC4",
                    line=4 if strong else 1.8,
                )
    for mask, (x, y) in where.items():
        for i, hidden in enumerate(mask):
            left = x + TILE * (i - 1.5)
            picture.rect(left, y - TILE / 2, TILE, TILE, fill="#FFFFFF" if hidden else "#9CC9E8", stroke=INK)
            words = "?" if hidden else f"y{'₁₂₃'[i]}"
            picture.text(left + TILE / 2, y + 6, words, size=16, weight="600" if hidden else None)
    notes = {3: "3 hidden", 2: "2 hidden", 1: "1 hidden", 0: "none"}
    for hidden, x in COLUMNS.items():
        picture.text(x, 36, notes[hidden], size=18, weight="600")
    picture.path([(24, 352), (636, 352)], stroke=PALE, line=1.5)
    for x, weight, count in ((164, "⅓", 3), (335, "⅙", 6), (504, "⅓", 3)):
        picture.text(x, 380, f"{count} arrows, {weight} each", size=16)
    return {"inpaint_orders": picture.svg("Orders of three tokens are paths through masks")}


if __name__ == "__main__":
    write(draw)

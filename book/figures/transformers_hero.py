"""First picture of the chapter: a chat, and how many new names are repeated with either loss."""

import csv

from _svg import BLUE, GRAY, GREEN, INK, ORANGE, ROOT, Drawing, write

STORED = ROOT / "notebooks" / "studies" / "transformers_chat.csv"
TALK = (
    ("user", "I live in Oslo.", "What is my name?"),
    ("bot", "You did not tell me."),
    ("user", "My name is Zorblax.", "Who am I?"),
    ("bot", "Your name is Zorblax."),
)
LOSSES = (("1", GREEN, "answers", "only"), ("0", ORANGE, "all", "symbols"))
BOTTOM, UNIT = 300, 220


def stored():
    """{"1" or "0": the shares of new names that are right, one a seed}: loss on answers only, or on all."""
    with open(STORED, encoding="utf-8") as rows:
        found = list(csv.DictReader(rows))
    return {kind: [float(r["new"]) for r in found if r["answers_only"] == kind] for kind, *_ in LOSSES}


def draw():
    picture, y = Drawing(760, 380), 24
    for who, *lines in TALK:
        height, left = 22 + 24 * len(lines), 16 if who == "user" else 80
        fill, color = ("#F1EFE9", GRAY) if who == "user" else ("#DCE9F2", BLUE)
        picture.rect(left, y, 330, height, fill=fill, stroke=color, radius=12)
        for k, line in enumerate(lines):
            picture.text(left + 16, y + 28 + 24 * k, line, size=18, anchor="start")
        y += height + 16
    for tenth in range(0, 11, 2):
        height = BOTTOM - UNIT * tenth / 10
        picture.path(
            [(500, height), (740, height)], stroke="#D8D5CC" if tenth else GRAY, line=1 if tenth else 1.5
        )
        picture.text(490, height + 6, f"{tenth / 10:.1f}", size=16, anchor="end")
    picture.text(445, 48, "new names repeated exactly", size=17, anchor="start")
    values = stored()
    for n, (kind, color, first, second) in enumerate(LOSSES):
        shares, x = values[kind], 520 + 110 * n
        mean = sum(shares) / len(shares)
        picture.rect(x, BOTTOM - UNIT * mean, 80, UNIT * mean, fill=color, radius=3)
        low, high = (BOTTOM - UNIT * edge for edge in (min(shares), max(shares)))
        picture.path([(x + 40, low), (x + 40, high)], stroke=INK, line=2.5)
        picture.text(x + 66, BOTTOM - UNIT * mean - 8, f"{mean:.2f}", size=17, weight="600")
        picture.text(x + 40, BOTTOM + 24, first, size=17)
        picture.text(x + 40, BOTTOM + 45, second, size=17)
    picture.text(620, BOTTOM + 70, "the loss counts", size=17, fill=GRAY)
    return {"transformers_hero": picture.svg("A chat with the bot, and the share of new names it repeats")}


if __name__ == "__main__":
    write(draw)

"""First picture of the chapter: where a network looks while it writes a date.

The weights are those of the lab's network with attention (seed 0, 400 steps), stored beside this file by
notebooks/studies/attention.py.
"""

import json
from pathlib import Path

from _svg import BLUE, GRAY, INK, PALE, Drawing, write

STORED = Path(__file__).with_suffix(".json")
LEFT, TOP, CELL = 120, 96, 36


def draw():
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    read, wrote, weights = stored["read"], stored["wrote"], stored["weights"]
    picture = Drawing(720, 500)
    width, height = CELL * len(read), CELL * len(wrote)
    picture.text(LEFT + width / 2, 34, "what it reads", size=18, fill=GRAY)
    picture.text(14, TOP - 20, "it writes", size=18, fill=GRAY, anchor="start")
    for j, letter in enumerate(read):
        shown = "␣" if letter == " " else letter
        x = LEFT + CELL * (j + 0.5)
        picture.text(x, TOP - 16, shown, size=21, weight="600")
    for i, letter in enumerate(wrote):
        picture.text(LEFT - 26, TOP + CELL * (i + 0.68), letter, size=21, weight="600", fill=INK)
        for j, weight in enumerate(weights[i]):
            x, y = LEFT + CELL * j, TOP + CELL * i
            shade = round(255 - 255 * min(1.0, weight / 0.8)), round(255 - 141 * min(1.0, weight / 0.8))
            color = f"#{shade[0]:02X}{shade[1]:02X}{round(255 - 77 * min(1.0, weight / 0.8)):02X}"
            picture.rect(x, y, CELL, CELL, fill=color, stroke=PALE, line=0.8)
    picture.rect(LEFT, TOP, width, height, stroke=BLUE, line=1.5)
    return {"attention_hero": picture.svg("Where a network looks while it writes a date")}


if __name__ == "__main__":
    write(draw)

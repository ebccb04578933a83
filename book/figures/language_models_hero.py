"""First picture of the chapter: what n-grams write, and how surprised they are by known and by new text."""

from _language import ORDERS, stored
from _plot import Panel
from _svg import BLUE, GRAY, GREEN, VERMILLION, Drawing, write

MONO = "ui-monospace, 'DejaVu Sans Mono', monospace"


def draw():
    rows, picture = stored(), Drawing(720, 560)
    for row, (n, line) in enumerate(rows["lines"].items()):
        y = 44 + 34 * row
        picture.text(34, y, n, size=20, fill=VERMILLION, weight="600")
        line = " ".join(line.split())
        picture.add("text", line.replace("&", "&amp;"), x=64, y=y, font_size=21, font_family=MONO)
    panel = Panel(picture, (70, 246, 610, 236), (1, 8), (0, 5))
    ticks = [(n, str(n)) for n in ORDERS]
    panel.axes(ticks, [(k, str(k)) for k in range(6)], "order n: it sees n − 1 characters before", "", 17)
    picture.text(70, 228, "bits per character", size=17, anchor="start")
    panel.curve(ORDERS, rows["known"], BLUE, dash="8 5")
    panel.curve(ORDERS, rows["kneser_ney"], GREEN, line=2.5)
    panel.curve(ORDERS, rows["new"], VERMILLION, line=4)
    x, y = panel.at(7.95, rows["new"][7])
    picture.text(x, y - 14, "a new play", size=18, fill=VERMILLION, anchor="end", weight="600")
    x, y = panel.at(7.95, rows["kneser_ney"][7])
    picture.text(x, y + 22, "a new play, Kneser–Ney", size=18, fill=GREEN, anchor="end")
    x, y = panel.at(7.1, rows["known"][6])
    picture.text(x - 26, y + 16, "text that was counted", size=18, fill=BLUE, anchor="end")
    low = min(rows["new"])
    picture.circle(*panel.at(1 + rows["new"].index(low), low), 6, fill=VERMILLION)
    x, y = panel.at(2, 4.4)
    picture.text(x + 60, y, "seeing nothing before", size=17, fill=GRAY, anchor="start")
    picture.path([(x + 54, y - 5), panel.at(1.12, 4.68)], stroke=GRAY, line=1.5)
    return {"language_models_hero": picture.svg("Lines written by n-grams, and their bits per character")}


if __name__ == "__main__":
    write(draw)

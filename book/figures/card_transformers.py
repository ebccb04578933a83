"""Front-page card of the chapter: a name is told, and comes back in the answer."""

from _svg import BLUE, GRAY, ORANGE, Drawing, write


def draw():
    picture = Drawing(320, 180)
    picture.rect(18, 26, 200, 50, fill="#F1EFE9", stroke=GRAY, radius=14, line=3)
    picture.text(36, 59, "I am", size=24, anchor="start")
    picture.text(98, 59, "Ada.", size=24, anchor="start", weight="600", fill=ORANGE)
    picture.rect(92, 108, 210, 50, fill="#DCE9F2", stroke=BLUE, radius=14, line=3)
    picture.text(112, 141, "You are", size=24, anchor="start")
    picture.text(214, 141, "Ada.", size=24, anchor="start", weight="600", fill=ORANGE)
    picture.arrow((128, 78), (228, 112), stroke=ORANGE, line=4)
    return {"card_transformers": picture.svg("A name is told, and comes back in the answer")}


if __name__ == "__main__":
    write(draw)

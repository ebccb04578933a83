"""Front-page card of the chapter: one pose, one past, and two lights."""

from _svg import GRAY, GREEN, Drawing, write
from _walker import FRAME_H, person, stick


def draw():
    picture = Drawing(320, 180)
    stick(picture, 14, 14, 62, 1.7)
    person(picture, 14, 98, 50, 1.2, edge=GRAY, line=1.5)
    for top, light in ((14, 1.2), (98, 0.6)):
        picture.path([(152, 132), (168, top + FRAME_H / 2)], stroke=GREEN, line=2.5)
        person(picture, 170, top, 62, 1.7, light, edge=GREEN, line=2)
    return {"card_video_generation": picture.svg("One pose, one previous frame, and two lights")}


if __name__ == "__main__":
    write(draw)

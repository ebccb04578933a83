"""First picture of the chapter: one frame and the poses are given, the rest is painted, and the light is open."""

from _svg import BLUE, GRAY, GREEN, INK, Drawing, write
from _walker import FRAME_H, FRAME_W, person, stick

LEFTS = (20, 180, 340, 500)
PLACES, PHASES = (34, 52, 70, 88), (0.5, 1.7, 2.9, 4.2)
ROW, BRANCHES = 246, ((160, 1.2, "z"), (246, 0.98, "z′"), (332, 0.62, "z″"))


def draw():
    picture = Drawing(660, 424)
    picture.text(20, 30, "poses, all given", size=18, anchor="start", weight="600")
    for left, place, phase in zip(LEFTS, PLACES, PHASES, strict=True):
        stick(picture, left, 44, place, phase)
    for k, (left, place, phase) in enumerate(list(zip(LEFTS, PLACES, PHASES, strict=True))[:3]):
        if k:
            picture.arrow((left + FRAME_W / 2, 118), (left + FRAME_W / 2, ROW - 6))
            picture.arrow((left - 22, ROW + FRAME_H / 2), (left - 2, ROW + FRAME_H / 2))
        person(picture, left, ROW, place, phase, 0.98, edge=GRAY if k else BLUE, line=1.5 if k else 4)
        picture.text(
            left,
            ROW + FRAME_H + 24,
            "painted" if k else "given",
            size=17,
            fill=INK if k else BLUE,
            weight=None if k else "600",
            anchor="start",
        )
    picture.arrow((LEFTS[3] + FRAME_W / 2, 118), (LEFTS[3] + FRAME_W / 2, 154))
    start = (LEFTS[2] + FRAME_W + 1, ROW + FRAME_H / 2)
    for top, light, name in BRANCHES:
        end = (LEFTS[3] - 3, top + FRAME_H / 2)
        picture.path([start, end], stroke=GREEN, line=2.5)
        person(picture, LEFTS[3], top, PLACES[3], PHASES[3], light, edge=GREEN, line=2)
        picture.rect(LEFTS[3] + 5, top + 5, 26, 23, fill="#FDFCF9", radius=4)
        picture.text(LEFTS[3] + 18, top + 22, name, size=17, fill="#00664A", weight="600")
    picture.text(20, 376, "The last frame has one pose and one past,", size=17, anchor="start")
    picture.text(20, 400, "but its light is open. The latent z decides.", size=17, anchor="start")
    return {"video_hero": picture.svg("From one frame and poses to a film, whose light a latent decides")}


if __name__ == "__main__":
    write(draw)

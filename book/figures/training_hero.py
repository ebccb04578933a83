"""First picture of the chapter: the loss curves of twelve runs, from A to L. Which network is well?"""

from _svg import GRAY, INK, Drawing, write
from _training import HIGHEST, draw_losses, stored

WIDTH, HEIGHT, LEFT, TOP = 146, 104, 36, 44
STEP_X, STEP_Y = 172, 166


def draw():
    picture = Drawing(540, 716)
    for k, (letter, run) in enumerate(sorted(stored().items())):
        left, top = LEFT + STEP_X * (k % 3), TOP + STEP_Y * (k // 3)
        panel = draw_losses(picture, (left, top, WIDTH, HEIGHT), run)
        panel.axes(
            x_ticks=[(epoch, str(epoch)) for epoch in (1, 30, 60)],
            y_ticks=[(loss, str(loss) if k % 3 == 0 else "") for loss in (0, 1, 2, 3)],
            size=16,
        )
        picture.text(left, top - 10, letter, size=21, anchor="start", weight="700")
        picture.text(left + WIDTH, top - 10, f"{run[2]:.2f} right", size=17, anchor="end", fill=INK)
    words = f"across: epoch; up: loss in nats, cut off at {HIGHEST}"
    picture.text(270, 704, words, size=15, fill=GRAY)
    return {"training_hero": picture.svg("Loss curves of twelve training runs")}


if __name__ == "__main__":
    write(draw)

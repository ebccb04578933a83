"""First picture of the chapter: the loss curves of twelve runs, from A to L. Which network is well?"""

from _svg import GRAY, INK, Drawing, write
from _training import HIGHEST, draw_losses, stored

WIDTH, HEIGHT, LEFT, TOP = 148, 112, 46, 44
STEP_X, STEP_Y = 170, 172


def draw():
    picture = Drawing(720, 570)
    for k, (letter, run) in enumerate(sorted(stored().items())):
        left, top = LEFT + STEP_X * (k % 4), TOP + STEP_Y * (k // 4)
        panel = draw_losses(picture, (left, top, WIDTH, HEIGHT), run)
        panel.axes(
            x_ticks=[(epoch, str(epoch)) for epoch in (1, 30, 60)],
            y_ticks=[(loss, str(loss) if k % 4 == 0 else "") for loss in (0, 1, 2, 3)],
            size=14,
        )
        picture.text(left, top - 10, letter, size=19, anchor="start", weight="700")
        picture.text(left + WIDTH, top - 10, f"{run[2]:.2f} right", size=15, anchor="end", fill=INK)
    picture.text(
        360,
        558,
        f"epoch; loss in nats, from 0 to {HIGHEST}: a curve that leaves a panel goes on above it",
        size=15,
        fill=GRAY,
    )
    return {"training_hero": picture.svg("Loss curves of twelve training runs")}


if __name__ == "__main__":
    write(draw)

"""First picture of the chapter: the loss of the lab's XOR run, and the decision regions at three moments of it."""

from _svg import BLUE, GRAY, PALE, VERMILLION, Drawing, write
from _xor import EPOCHS, draw_region, stored

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 66, 690, 258, 400
SIDE, HIGHEST = 176, 0.8
ENTROPY = 0.6920  # of 10 and 11 labels, in nats; the lab computes it


def draw():
    run = stored()
    losses, picture = dict(run["losses"]), Drawing(WIDTH, 450)

    def place(epoch, loss):
        height = (BOTTOM - TOP) * min(loss, HIGHEST) / HIGHEST
        return LEFT + (RIGHT - LEFT) * epoch / EPOCHS, BOTTOM - height

    for loss in (0, 0.2, 0.4, 0.6, 0.8):
        picture.path([place(0, loss), place(EPOCHS, loss)], stroke=PALE, line=1)
        picture.text(LEFT - 8, place(0, loss)[1] + 5, f"{loss:g}", size=15, anchor="end")
    for epoch in range(0, EPOCHS + 1, 1000):
        picture.text(place(epoch, 0)[0], BOTTOM + 20, str(epoch), size=15)
    picture.text((LEFT + RIGHT) / 2, BOTTOM + 42, "epoch", size=16)
    picture.text(LEFT - 46, TOP - 14, "loss (nats)", size=16, anchor="start")
    picture.path([place(0, ENTROPY), place(EPOCHS, ENTROPY)], stroke=GRAY, line=1.5, dash="6 5")
    picture.text(
        place(200, 0)[0], place(0, ENTROPY)[1] + 20, "entropy of the labels: 0.6920", size=15, anchor="start"
    )
    picture.path([place(epoch, loss) for epoch, loss in losses.items()], stroke=VERMILLION, line=3)
    for (epoch, rows), center in zip(run["regions"].items(), (130, 372, 590), strict=True):
        draw_region(picture, center - SIDE / 2, 14, SIDE, rows)
        nearest = min(losses, key=lambda other: abs(other - int(epoch)))
        x, y = place(nearest, losses[nearest])
        picture.path([(center, 14 + SIDE + 26), (x, y - 8)], stroke=BLUE, line=1.5, dash="3 4")
        picture.circle(x, y, 6, fill=BLUE)
        picture.text(center, 14 + SIDE + 20, f"epoch {epoch}", size=16, weight="600")
    return {"backpropagation_hero": picture.svg("A network learns XOR: plateau, fall, solution")}


if __name__ == "__main__":
    write(draw)

"""First picture of the chapter: the loss of the lab's XOR run, and the decision regions at three moments of it."""

from _svg import BLUE, GRAY, INK, PALE, VERMILLION, Drawing, write
from _xor import draw_region, run

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 66, 690, 258, 400
SIDE, HIGHEST = 176, 0.8


def draw():
    losses, regions = run()
    picture = Drawing(WIDTH, 450)

    def place(epoch, loss):
        return LEFT + (RIGHT - LEFT) * epoch / len(losses), BOTTOM - (BOTTOM - TOP) * min(
            loss, HIGHEST
        ) / HIGHEST

    for loss in (0, 0.2, 0.4, 0.6, 0.8):
        picture.path([place(0, loss), place(len(losses), loss)], stroke=PALE, line=1)
        picture.text(LEFT - 8, place(0, loss)[1] + 5, f"{loss:g}", size=15, anchor="end")
    for epoch in range(0, len(losses) + 1, 1000):
        picture.text(place(epoch, 0)[0], BOTTOM + 20, str(epoch), size=15)
    picture.text((LEFT + RIGHT) / 2, BOTTOM + 42, "epoch", size=16)
    picture.text(LEFT - 46, TOP - 14, "loss (nats)", size=16, anchor="start")
    entropy = 0.6920
    picture.path([place(0, entropy), place(len(losses), entropy)], stroke=GRAY, line=1.5, dash="6 5")
    picture.text(
        RIGHT, place(0, entropy)[1] - 7, "entropy of the labels, 0.6920", size=15, fill=INK, anchor="end"
    )
    # Every tenth epoch, and every one in the steep part, is all that the eye can tell apart.
    shown = [e for e in range(len(losses)) if e % 10 == 0 or abs(losses[max(e - 1, 0)] - losses[e]) > 2e-3]
    picture.path([place(epoch, losses[epoch]) for epoch in shown], stroke=VERMILLION, line=3)
    for (epoch, probability), center in zip(regions.items(), (130, 372, 590), strict=True):
        draw_region(picture, center - SIDE / 2, 14, SIDE, probability)
        x, y = place(epoch, losses[min(epoch, len(losses) - 1)])
        picture.path([(center, 14 + SIDE + 26), (x, y - 8)], stroke=BLUE, line=1.5, dash="3 4")
        picture.circle(x, y, 6, fill=BLUE)
        picture.text(center, 14 + SIDE + 20, f"epoch {epoch}", size=16, weight="600")
    return {"backpropagation_hero": picture.svg("A network learns XOR: plateau, fall, solution")}


if __name__ == "__main__":
    write(draw)

"""Training, validation and test data, and the five rounds of a cross-validation."""

from _svg import BLUE, CARD, GRAY, INK, ORANGE, VERMILLION, Drawing, write

LEFT, WIDTH, HEIGHT = 30, 660, 48


def draw():
    picture = Drawing(720, 400)
    cuts = (
        (0, 0.56, BLUE, "training", "fits the weights"),
        (0.56, 0.75, ORANGE, "validation", "chooses"),
        (0.75, 1, VERMILLION, "test", "reports, once"),
    )
    for start, end, color, name, job in cuts:
        x, width = LEFT + WIDTH * start, WIDTH * (end - start) - 6
        ink = INK if color == ORANGE else "#FFFFFF"
        picture.rect(x, 24, width, HEIGHT, radius=6, fill=color)
        picture.text(x + width / 2, 54, name, size=18, fill=ink, weight="600")
        picture.text(x + width / 2, 24 + HEIGHT + 24, job, size=16)
    picture.text(LEFT, 142, "Cross-validation: five rounds", size=17, anchor="start", weight="600")
    part = WIDTH * 0.75 / 5
    for row in range(5):
        top = 158 + 38 * row
        for fold in range(5):
            held = fold == row
            picture.rect(LEFT + part * fold, top, part - 6, 30, radius=5, fill=ORANGE if held else BLUE)
        picture.text(LEFT + WIDTH * 0.75 + 8, top + 21, f"error {row + 1}", size=15, anchor="start")
    picture.rect(
        LEFT + WIDTH * 0.75 + 76, 158, WIDTH * 0.25 - 82, 182, radius=6, fill=CARD, stroke=GRAY, dash="5 4"
    )
    picture.text(LEFT + WIDTH * 0.75 + 76 + (WIDTH * 0.25 - 82) / 2, 254, "test", size=16)
    picture.text(LEFT, 376, "mean of the five errors = validation error", size=16, anchor="start")
    return {"learning_split": picture.svg("Training, validation and test data; cross-validation")}


if __name__ == "__main__":
    write(draw)

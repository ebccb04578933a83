"""A recurrent network, unrolled over four characters, with the way back of a gradient."""

from _svg import BLUE, GRAY, INK, ORANGE, Drawing, write

READ, NEXT = "The ", "he q"
LEFT, STEP, TOP, WIDTH, HEIGHT = 120, 158, 130, 96, 60


def shown(symbol):
    return "␣" if symbol == " " else symbol


def draw():
    picture = Drawing(760, 330)
    middle = TOP + HEIGHT / 2
    for k, (read, following) in enumerate(zip(READ, NEXT, strict=True)):
        x = LEFT + STEP * k
        picture.rect(x, TOP, WIDTH, HEIGHT, fill="#DCE9F2", stroke=BLUE, radius=8, line=2)
        picture.text(x + WIDTH / 2, middle + 6, f"h{'₁₂₃₄'[k]}", size=20, weight="600")
        picture.arrow((x + WIDTH / 2, 262), (x + WIDTH / 2, TOP + HEIGHT + 4), stroke=INK)
        picture.text(x + WIDTH / 2 + 22, 232, "U", size=17, fill=BLUE, weight="600")
        picture.text(x + WIDTH / 2, 288, shown(read), size=22)
        picture.arrow((x + WIDTH / 2, TOP - 4), (x + WIDTH / 2, 72), stroke=INK)
        picture.text(x + WIDTH / 2 + 22, 102, "Q", size=17, fill=BLUE, weight="600")
        picture.text(x + WIDTH / 2, 58, shown(following) + " ?", size=22)
        picture.arrow((x - STEP + WIDTH + 4, middle - 12), (x - 4, middle - 12), stroke=INK)
        picture.text(x - (STEP - WIDTH) / 2, middle - 22, "W", size=17, fill=BLUE, weight="600")
        if k:
            picture.arrow((x - 4, middle + 14), (x - STEP + WIDTH + 4, middle + 14), stroke=ORANGE, line=3)
    picture.text(LEFT - STEP + WIDTH - 14, middle - 6, "0", size=20)
    end = LEFT + STEP * 3 + WIDTH / 2
    picture.arrow((end - 16, 72), (end - 16, TOP - 4), stroke=ORANGE, line=3)
    picture.text(LEFT + 2, 58, "next", size=16, fill=GRAY, anchor="end")
    picture.text(LEFT + 2, 288, "read", size=16, fill=GRAY, anchor="end")
    picture.text(380, 318, "the same U, W and Q at every step", size=17, fill=BLUE)
    return {"sequences_unrolled": picture.svg("A recurrent network, unrolled over four characters")}


if __name__ == "__main__":
    write(draw)

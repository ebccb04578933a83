"""The CVAE of the lab: encoder of training on the left, decoder on the right, the painted frame fed back."""

from _svg import BLUE, GRAY, INK, Drawing, write

WIDTH, HEIGHT = 660, 566
BOX_W, BOX_H = 132, 52
FRAMES, POSES, POSTERIOR, LATENT = "#005D92", "#00664A", "#8F3F75", "#B34700"


def box(picture, x, y, words, detail, color, width=BOX_W, text="#FFFFFF"):
    """A part of the network, centered at x, its top at y."""
    picture.rect(x - width / 2, y, width, BOX_H, fill=color, radius=8)
    picture.text(x, y + 22, words, size=17, fill=text, weight="600")
    picture.text(x, y + 43, detail, size=16, fill=text)


def chip(picture, x, y, words, color=INK, width=60):
    """A quantity, centered at x, y."""
    picture.rect(x - width / 2, y - 17, width, 34, fill="#FFFFFF", stroke=color, radius=17, line=2)
    picture.text(x, y + 6, words, size=18, weight="600", fill=color)


def draw():
    picture = Drawing(WIDTH, HEIGHT)
    picture.rect(12, 40, 296, 372, stroke=GRAY, radius=10, line=2, dash="7 6")
    picture.text(24, 30, "encoder: in training only", size=18, anchor="start", weight="600")
    picture.text(344, 30, "decoder", size=18, anchor="start", weight="600")
    for x, words, name, detail, color in (
        (85, "xₜ", "frame enc.", "3 → 128", FRAMES),
        (232, "cₜ", "pose enc.", "3 → 32", POSES),
        (410, "cₜ", "pose enc.", "3 → 32", POSES),
        (556, "xₜ₋₁", "frame enc.", "3 → 128", FRAMES),
    ):
        chip(picture, x, 70, words)
        picture.arrow((x, 89), (x, 116))
        box(picture, x, 118, name, detail, color)
    picture.arrow((85, 172), (85, 216))
    picture.arrow((232, 172), (232, 216))
    box(picture, 158, 218, "Gaussian predictor", "128 + 32 → 12 + 12", POSTERIOR, width=250)
    picture.arrow((104, 272), (104, 305))
    picture.arrow((212, 272), (212, 305))
    chip(picture, 104, 324, "μ", POSTERIOR, width=70)
    chip(picture, 212, 324, "log s²", POSTERIOR, width=84)
    picture.arrow((112, 342), (142, 368))
    picture.arrow((204, 342), (174, 368))
    chip(picture, 158, 386, "zₜ", LATENT)
    picture.text(78, 392, "noise ε", size=16)
    picture.arrow((108, 386), (126, 386))
    picture.arrow((189, 386), (356, 386), stroke=LATENT, line=2.5)
    for x in (410, 556):
        picture.arrow((x, 172), (x, 358))
    box(picture, 483, 360, "decoder fusion", "32 + 128 + 12 → 192", "#9A4300", width=250)
    picture.arrow((483, 414), (483, 440))
    box(picture, 483, 442, "generator", "192 → 3", "#5E4B00", width=150)
    picture.arrow((483, 496), (483, 516))
    chip(picture, 483, 536, "x̂ₜ", BLUE)
    picture.path([(514, 536), (642, 536), (642, 70), (600, 70)], stroke=BLUE, line=2.5, dash="6 5")
    picture.arrow((604, 70), (588, 70), stroke=BLUE)
    chip(picture, 158, 470, "N(0, I)", LATENT, width=92)
    picture.path([(158, 452), (158, 420)], stroke=LATENT, line=2.5, dash="5 5")
    picture.arrow((158, 422), (158, 405), stroke=LATENT)
    picture.text(24, 514, "When painting, zₜ comes from the prior,", size=16, anchor="start")
    picture.text(24, 537, "and x̂ₜ becomes the next xₜ₋₁.", size=16, anchor="start")
    return {"video_model": picture.svg("Encoder, decoder and feedback of the conditional VAE")}


if __name__ == "__main__":
    write(draw)

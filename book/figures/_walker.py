"""A walking person in a few strokes, as a stick figure and as a painted frame, for the chapter on video generation."""

import math

from _svg import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

FRAME_W, FRAME_H = 136, 68


def joints(x, ground, phase, size=57):
    """Points of a person who walks to the right: the hip above x, the feet near the ground."""
    unit = size / 62

    def limb(start, upper, lower, first, second):
        knee = (start[0] + upper * math.sin(first), start[1] + upper * math.cos(first))
        return [start, knee, (knee[0] + lower * math.sin(second), knee[1] + lower * math.cos(second))]

    hip = (x, ground - 30 * unit + 1.2 * unit * math.cos(2 * phase))
    neck = (x + 2.5 * unit, hip[1] - 20 * unit)
    swing = math.sin(phase)
    bend = [0.75 * max(0, math.cos(phase + k * math.pi)) for k in (0, 1)]
    return {
        "hip": hip,
        "neck": neck,
        "head": (neck[0] + 0.8 * unit, neck[1] - 8 * unit),
        "near leg": limb(hip, 15 * unit, 15 * unit, 0.5 * swing, 0.5 * swing - bend[0]),
        "far leg": limb(hip, 15 * unit, 15 * unit, -0.5 * swing, -0.5 * swing - bend[1]),
        "near arm": limb(neck, 11 * unit, 10 * unit, -0.6 * swing, -0.6 * swing + 0.45),
        "far arm": limb(neck, 11 * unit, 10 * unit, 0.6 * swing, 0.6 * swing + 0.45),
    }


def stick(picture, left, top, place, phase):
    """A pose picture: colored lines on black."""
    picture.rect(left, top, FRAME_W, FRAME_H, fill="#14171A", radius=4)
    body = joints(left + place, top + 63, phase)
    for name, color in (
        ("far arm", PURPLE),
        ("far leg", GREEN),
        ("near leg", SKY),
        ("near arm", ORANGE),
    ):
        picture.path(body[name], stroke=color, line=2.5)
    picture.path([body["hip"], body["neck"]], stroke="#FFFFFF", line=2.5)
    picture.circle(*body["head"], 5, stroke="#FFFFFF", line=2.5)


def lit(color, light):
    """The color under more or less light."""
    parts = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return "#" + "".join(f"{min(255, round(part * light)):02X}" for part in parts)


def person(picture, left, top, place, phase, light=1.0, edge=None, line=3):
    """A painted frame: wall, floor, shadow, and a person in a blue shirt."""
    picture.rect(left, top, FRAME_W, FRAME_H, fill=lit("#CFC4AE", light), radius=4)
    picture.rect(left + 14, top + 10, 30, 24, fill=lit("#A9C6D8", light))
    picture.rect(left + 98, top + 8, 20, 28, fill=lit("#B9926C", light))
    picture.rect(left, top + 53, FRAME_W, FRAME_H - 53, fill=lit("#9C8467", light))
    body = joints(left + place, top + 63, phase)
    picture.add("ellipse", cx=left + place + 2, cy=top + 63.5, rx=17, ry=2.8, fill=lit("#6B5843", light))
    dark, trousers = lit("#005384", light), lit("#3B4A5A", light)
    skin, shirt = lit("#D9A27E", light), lit(BLUE, light)
    picture.path(body["far arm"], stroke=dark, line=5)
    picture.path(body["far leg"], stroke=lit("#2B3744", light), line=6.5)
    picture.path(body["near leg"], stroke=trousers, line=6.5)
    neck = body["neck"]
    picture.path([body["hip"], (neck[0], neck[1] + 4)], stroke=shirt, line=11)
    picture.path([neck, (neck[0] - 9, neck[1] + 8)], stroke=lit(VERMILLION, light), line=4)  # a scarf
    picture.path(
        [(neck[0] - 2, neck[1] + 1), (neck[0] + 3, neck[1] + 1)], stroke=lit(VERMILLION, light), line=5
    )
    picture.circle(*body["head"], 6, fill=skin)
    head = body["head"]
    picture.path(
        [(head[0] - 5, head[1] + 1), (head[0] - 3, head[1] - 4), (head[0] + 3, head[1] - 5)],
        stroke=lit("#4A3326", light),
        line=4,
    )
    picture.path(body["near arm"], stroke=lit("#2C86BD", light), line=5)
    if edge:
        picture.rect(left, top, FRAME_W, FRAME_H, stroke=edge, radius=4, line=line)

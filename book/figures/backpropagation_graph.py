"""The computational graph of L = (w x + b - y)² + w² with values (forward) and adjoints (backward)."""

from _svg import BLUE, CARD, GRAY, INK, VERMILLION, Drawing, write

# name: (x, y, words in the node, {parent: ∂node/∂parent in words})
NODES = {
    "w": (66, 58, "w", {}),
    "x": (66, 214, "x", {}),
    "b": (216, 248, "b", {}),
    "y": (366, 248, "y", {}),
    "r": (516, 58, "r = w²", {"w": "2w"}),
    "u": (216, 148, "u = w·x", {"w": "x", "x": "w"}),
    "v": (366, 148, "v = u + b", {"u": "1", "b": "1"}),
    "d": (516, 148, "d = v − y", {"v": "1", "y": "−1"}),
    "L": (664, 104, "L = d² + r", {"d": "2d", "r": "1"}),
}
WIDTH, HEIGHT = 110, 36


def numbers():
    """Values and adjoints of all nodes, computed as the page says: forward, then backward edge by edge."""
    value = {"w": 2, "x": 3, "b": 1, "y": 4}
    value["r"] = value["w"] ** 2
    value["u"] = value["w"] * value["x"]
    value["v"] = value["u"] + value["b"]
    value["d"] = value["v"] - value["y"]
    value["L"] = value["d"] ** 2 + value["r"]
    partial = {
        "x": value["x"],
        "w": value["w"],
        "2w": 2 * value["w"],
        "1": 1,
        "−1": -1,
        "2d": 2 * value["d"],
    }
    adjoint = dict.fromkeys(value, 0) | {"L": 1}
    for node in ("L", "d", "v", "u", "r"):
        for parent, edge in NODES[node][3].items():
            adjoint[parent] += adjoint[node] * partial[edge]
    return value, adjoint


def draw():
    picture = Drawing(730, 326)
    value, adjoint = numbers()
    for x, y, _, parents in NODES.values():
        for parent, partial in parents.items():
            px, py = NODES[parent][:2]
            tilt = (y > py) - (y < py)  # level edges meet the middle of a box, others its nearer half
            start, end = (px + WIDTH / 2, py + 9 * tilt), (x - WIDTH / 2, y - 12 * tilt)
            picture.arrow(start, end, stroke=GRAY)
            middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
            picture.text(middle[0] + 16 * abs(tilt), middle[1] + (12 if tilt < 0 else -8), partial, size=18)
    for node, (x, y, words, _) in NODES.items():
        picture.rect(x - WIDTH / 2, y - HEIGHT / 2, WIDTH, HEIGHT, radius=8, fill=CARD, stroke=INK)
        picture.text(x, y + 6, words, size=18, weight="600")
        picture.text(x - 26, y - HEIGHT / 2 - 8, str(value[node]), size=19, fill=BLUE, weight="600")
        sign = str(adjoint[node]).replace("-", "−")
        picture.text(x + 26, y - HEIGHT / 2 - 8, sign, size=19, fill=VERMILLION, weight="600")
    picture.text(18, 309, "value, forward →", size=17, fill=BLUE, anchor="start")
    picture.text(172, 309, "← adjoint ∂L/∂node, backward", size=17, fill=VERMILLION, anchor="start")
    picture.text(440, 309, "on each edge: partial derivative", size=17, anchor="start")
    return {"backpropagation_graph": picture.svg("Values flow forward, adjoints flow backward")}


if __name__ == "__main__":
    write(draw)

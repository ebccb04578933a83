"""The computational graph of L = (w x + b - y)² with values (forward) and adjoints (backward)."""

from _svg import BLUE, CARD, GRAY, INK, VERMILLION, Drawing, write

# name: (x, y, words in the node, parents with ∂node/∂parent as words and as a function of the values)
NODES = {
    "w": (70, 60, "w", {}),
    "x": (70, 160, "x", {}),
    "b": (230, 200, "b", {}),
    "y": (390, 200, "y", {}),
    "u": (230, 100, "u = w·x", {"w": "x", "x": "w"}),
    "v": (390, 100, "v = u + b", {"u": "1", "b": "1"}),
    "d": (550, 100, "d = v − y", {"v": "1", "y": "−1"}),
    "L": (700, 100, "L = d²", {"d": "2d"}),
}
WIDTH, HEIGHT = 96, 34


def numbers():
    """Values and adjoints of all nodes, computed as the page says: forward, then backward edge by edge."""
    value = {"w": 2, "x": 3, "b": 1, "y": 4}
    value["u"] = value["w"] * value["x"]
    value["v"] = value["u"] + value["b"]
    value["d"] = value["v"] - value["y"]
    value["L"] = value["d"] ** 2
    partial = {"x": value["x"], "w": value["w"], "1": 1, "−1": -1, "2d": 2 * value["d"]}
    adjoint = dict.fromkeys(value, 0) | {"L": 1}
    for node in ("L", "d", "v", "u"):
        for parent, edge in NODES[node][3].items():
            adjoint[parent] += adjoint[node] * partial[edge]
    return value, adjoint


def draw():
    picture = Drawing(780, 268)
    value, adjoint = numbers()
    for x, y, _, parents in NODES.values():
        for parent, partial in parents.items():
            px, py = NODES[parent][:2]
            # Inputs b and y stand below: their arrows rise to the lower corner of the box, the others run level.
            rises = py > y and parent in "by"
            start = (px + WIDTH / 2, py - 8 if rises else py)
            end = (x - WIDTH / 2, y + 14 if rises else y)
            middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
            label = (middle[0] + 17, middle[1] + 12) if rises else (middle[0], middle[1] - 9)
            picture.arrow(start, end, stroke=GRAY)
            picture.text(*label, partial, size=15, fill=INK)
    for node, (x, y, words, _) in NODES.items():
        picture.rect(x - WIDTH / 2, y - HEIGHT / 2, WIDTH, HEIGHT, radius=8, fill=CARD, stroke=INK)
        picture.text(x, y + 6, words, size=16, weight="600")
        picture.text(x - 24, y - HEIGHT / 2 - 7, str(value[node]), size=16, fill=BLUE, weight="600")
        sign = str(adjoint[node]).replace("-", "−")
        picture.text(x + 24, y - HEIGHT / 2 - 7, sign, size=16, fill=VERMILLION, weight="600")
    picture.text(20, 250, "value, forward →", size=15, fill=BLUE, anchor="start")
    picture.text(160, 250, "← adjoint ∂L/∂node, backward", size=15, fill=VERMILLION, anchor="start")
    picture.text(395, 250, "on each edge: the partial derivative", size=15, anchor="start")
    return {"backpropagation_graph": picture.svg("Values flow forward, adjoints flow backward")}


if __name__ == "__main__":
    write(draw)

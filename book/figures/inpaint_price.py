"""The price of drawing tokens together, against the number of steps, for a chain of 64 binary tokens."""

import math

from _plot import Panel
from _svg import INK, Drawing, Noise, write
from inpaint_schedules import SCHEDULES, revealed

LENGTH, STAY, ORDERS = 64, 0.9, 200
STEPS = (1, 2, 4, 8, 16, 32, 64)


def binary(p):
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 1e-15)


def same(distance):
    """Chance that two tokens at this distance are equal."""
    return (1 + (2 * STAY - 1) ** distance) / 2


def open_entropy(left, right):
    """Entropy of a token, given the nearest visible ones at these distances (None: there is none)."""
    if left is None and right is None:
        return math.log(2)
    if left is None or right is None:
        return binary(same(left or right))
    equal = same(left + right)
    agree = same(left) * same(right) / equal
    apart = same(left) * (1 - same(right)) / (1 - equal)
    return equal * binary(agree) + (1 - equal) * binary(apart)


def shuffled(noise):
    order = list(range(LENGTH))
    for k in range(LENGTH - 1, 0, -1):
        j = int(noise() * (k + 1))
        order[k], order[j] = order[j], order[k]
    return order


def price(order, counts):
    """Sum of conditional entropies of the tokens, as they are drawn, minus the chain's entropy."""
    visible, total, begin = [False] * LENGTH, 0.0, 0
    for count in counts:
        left, right, last = [None] * LENGTH, [None] * LENGTH, None
        for i in range(LENGTH):
            left[i] = None if last is None else i - last
            last = i if visible[i] else last
        last = None
        for i in reversed(range(LENGTH)):
            right[i] = None if last is None else last - i
            last = i if visible[i] else last
        drawn = order[begin : begin + count]
        total += sum(open_entropy(left[i], right[i]) for i in drawn)
        for i in drawn:
            visible[i] = True
        begin += count
    return total - math.log(2) - (LENGTH - 1) * binary(STAY)


def table():
    noise = Noise(1)
    orders = [shuffled(noise) for _ in range(ORDERS)]
    found = {}
    for name, gamma, *_ in SCHEDULES:
        for steps in STEPS:
            counts = revealed(gamma, LENGTH, steps)
            found[name, steps] = sum(price(order, counts) for order in orders) / ORDERS
    return found


def draw():
    picture = Drawing(660, 420)
    panel = Panel(picture, (60, 52, 570, 290), (0, 6), (0, 25))
    panel.axes(
        [(math.log2(steps), str(steps)) for steps in STEPS],
        [(value, str(value)) for value in (0, 5, 10, 15, 20, 25)],
        "steps T",
        "price (nats)",
    )
    found = table()
    one = (LENGTH - 1) * (math.log(2) - binary(STAY))
    for k, (name, _, tint, dash) in enumerate(SCHEDULES):
        values = [found[name, steps] for steps in STEPS]
        assert abs(values[0] - one) < 1e-9 and abs(values[-1]) < 1e-9, name
        panel.curve([math.log2(steps) for steps in STEPS], values, tint, dash=dash)
        for steps, value in zip(STEPS, values, strict=True):
            picture.circle(*panel.at(math.log2(steps), value), 4, fill=tint)
        y = 84 + 28 * k
        picture.path([(400, y - 6), (444, y - 6)], stroke=tint, line=3, dash=dash)
        at_eight = f"{found[name, 8]:.1f} at 8 steps"
        picture.text(454, y, f"{name}: {at_eight}", size=17, anchor="start", fill=INK)
    return {"inpaint_price": picture.svg("The price of parallel drawing falls with the number of steps")}


if __name__ == "__main__":
    write(draw)

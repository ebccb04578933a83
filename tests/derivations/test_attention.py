"""Each numbered claim of book/attention.md, checked."""

import sympy as sp
from verifies import verifies


@verifies("eq-attention-expanded")
def test_expanded_square():
    x, h = sp.symbols("x h")
    assert sp.expand((x + h) ** 2 - (x**2 + 2 * x * h + h**2)) == 0

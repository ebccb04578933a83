"""The scalar engine of the first lab against PyTorch, operation by operation."""

import math

import pytest
import torch

from dlp_utils.models.backpropagation import Value, power, relu_of, sigmoid_of

FORMULAS = {
    "plus, minus": lambda a, b: a + b - 3 * a + 2 - b,
    "number minus value": lambda a, b: 5 - a + (-b),
    "times, over": lambda a, b: a * b / (a + 4) * 2,
    "number over value": lambda a, b: 1 / a + b / 3,
    "powers": lambda a, b: a**3 + b**-2 + a**0.5 + b**0 + b**1,
    "one value twice": lambda a, b: a * a * b + a,
}


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
def test_operations_agree_with_autograd(formula):
    for x, y in ((1.5, -0.7), (0.3, 2.0)):
        a, b = Value(x), Value(y)
        result = formula(a, b)
        result.backward()
        ta, tb = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, y))
        expected = formula(ta, tb)
        expected.backward()
        assert result.data == pytest.approx(expected.item(), rel=1e-14)
        assert a.grad == pytest.approx(ta.grad.item(), rel=1e-13)
        assert b.grad == pytest.approx(tb.grad.item(), rel=1e-13)


@pytest.mark.parametrize("x", [-2.0, -1e-9, 0.0, 1e-9, 3.0])
def test_relu_has_pytorchs_slope_at_zero_too(x):
    a, t = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    relu_of(a).backward()
    torch.relu(t).backward()
    assert a.grad == t.grad.item() and relu_of(a).data == max(x, 0.0)


def test_a_power_of_zero_is_one_and_does_not_move():
    a = Value(0.0)
    result = power(a, 0)
    result.backward()
    assert (result.data, a.grad) == (1.0, 0.0)


def test_a_second_backward_adds_once_more_as_in_pytorch():
    a = Value(0.5)
    shared = sigmoid_of(a)  # a number in between, which two results use
    f = shared * shared + a
    f.backward()
    once = a.grad
    f.backward()
    assert a.grad == pytest.approx(2 * once, rel=1e-14)
    g = 3 * shared
    a.grad = 0.0
    f.backward()
    g.backward()
    s = 1 / (1 + math.exp(-0.5))
    assert a.grad == pytest.approx(once + 3 * s * (1 - s), rel=1e-14)


def test_a_leaf_has_slope_one_with_respect_to_itself():
    a = Value(2.0)
    a.backward()
    assert a.grad == 1.0

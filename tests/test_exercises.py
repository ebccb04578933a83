"""Exercises: whatever a reader hands in, `check` answers with a message that helps, never a traceback."""

import contextlib
import functools
import importlib
import inspect
import io
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
import torch

import dlp_utils as dlp
from dlp_utils import _console, _progress, checks, exercises
from dlp_utils.checks import _guard
from dlp_utils.exercises import Wrong, choice, exercise, expect_close, free_form, interval, judge, number

STUBS = [
    "def f(x): ...",
    "def f(x): pass",
    "def f(x): return None",
    "def f(x): return",
    "def f(x):\n    '''What to do.'''",
    "def f(x):\n    '''What to do.'''\n    ...",
    "def f(x): raise NotImplementedError",
    "def f(x): raise NotImplementedError('your turn')",
    "def f(x): raise NotImplementedError(f'not {x}')",
    "def f(x): return ...",
    "f = lambda x: ...",
    "def f(x):\n    y = ...\n    return y",
    "def f(x):\n    y = x + 1\n    y = ...\n    return y",
    "def f(x):\n    a, b = ..., ...\n    return a + b",
    "def f(x):\n    a, b = ..., x\n    return a + b",
    "def f(x):\n    a, b = x, ...\n    return a + b",
    "def f(x):\n    a = b = ...\n    return a + b",
    "def f(x): return x, ...",
    "def f(x): return ..., x",
    "def f(x): return {'W': x, 'b': ...}",
    "def f(x): return [..., x]",
    "def f(x): return x * ...",
    "def f(x): return ... * x",
    "def f(x): return x @ ... + 1",
    "def f(x):\n    x -= ...\n    return x",
    "def f(x): return max(..., x)",
    "def f(x): return max(x, ...)",
    "def f(x): return sum(x, start=...)",
    "def f(x): return max(x[..., 0], ...)",
    "def f(x):\n    x[0] = ...\n    return x",
    "def f(x):\n    x[..., 0] = ...\n    return x",
    "def f(x):\n    x[1:2] = ...\n    return x",
    "def f(x):\n    x.grad = ...\n    return x",
    "def f(x):\n    x.grad += ...\n    return x",
    "def f(x):\n    for v in x:\n        total = ...\n    return total",
    "def f(x):\n    for i in range(...):\n        x = x + i\n    return x",
    "def f(x):\n    for i in ...:\n        x = x + i\n    return x",
    "def f(x):\n    def inner(y):\n        z = ...\n        return z\n    return inner(x)",
    "def f(x): return [... * v for v in x]",
    "def f(x):\n    y = (...)\n    return -y",
    "def f(x): return -(...)",
    "def f(x):\n    with x as y:\n        z = ...\n    return z",
    "def f(x):\n    if x > 0:\n        y = ...\n    else:\n        y = 0\n    return y",
    "def f(x):\n    y = ... if x > 0 else 0\n    return y",
    "def f(x):\n    y: float = ...\n    return y",
    "def f(x):\n    global G\n    G = ...",
    "def f(x):\n    y = ...\n    def inner(): return y\n    return inner()",
    "def f(x):\n    yield ...",
    "def f(x): return x.reshape(..., 3)",
    "def f(x): return x.reshape(x.shape[0], ...).sum(axis=0)",
]
ANSWERS = [
    "def f(x): return x[..., 0]",
    "def f(x): return x[..., i]",
    "def f(x): return x[i, ...]",
    "def f(x): return x[...]",
    "def f(x): return x[..., None, :]",
    "def f(x): return x[..., 1:]",
    "def f(x): return x[..., i:j, :]",
    "def f(x): return x[..., i + 1] * x[..., i - 1]",
    "def f(x): return x[..., g(i, key=2)]",
    "def f(x): return g(x[..., i], x[...])",
    "def f(x):\n    x[..., 0] = 1\n    return x",
    "def f(x):\n    x[...] = 1\n    return x",
    "def f(x):\n    x[..., i] = x[..., j]\n    return x",
    "def f(x):\n    x[...] += 1\n    return x",
    "def f(x):\n    x[..., 0] += 1\n    return x",
    "def f(x):\n    x[..., i] *= x[..., j]\n    return x",
    "def f(x):\n    x.data[..., i] -= 1\n    return x",
    "def f(x):\n    del x[..., i]\n    return x",
    "def f(x):\n    index = (..., 0)\n    return x[index]",
    "def f(x):\n    index = (..., i)\n    return x[index]",
    "def f(x):\n    a, b = x[..., 0], x[..., 1]\n    return a + b",
    "def f(x): return x[..., 0] if x.ndim > 1 else x",
    "def f(x): return x[..., i if j else 0]",
    "def f(x): return x[(slice(None), ...)]",
    "def f(x): return x if i is ... else None",
    "def f(x): return [v[..., 0] for v in x]",
    "def f(x):\n    if x is None:\n        raise NotImplementedError('no such mode')\n    return x",
    "def f(x): return 0",
    "def f(x): return x",
    "def f(x): return '...'",
    "def f(x):\n    '''Fill in ... here.'''\n    return x",
    "def f(x):\n    x.sort()",
    "def f(x: tuple[int, ...]) -> tuple[int, ...]: return x",
    "def f(x, *rest): return x",
    "def f(x):\n    try:\n        return x[..., 0]\n    except IndexError:\n        pass",
    "def f(x): raise ValueError('negative')",
    "def f(x):\n    assert x > 0\n    return x[..., ::-1]",
    "def f(x):\n    def inner(): pass\n    return x",
]


# --- Stubs ---


def compiled(text):
    namespace = {}
    exec(text, namespace)
    return namespace["f"]


@pytest.mark.parametrize("text", STUBS)
def test_stub_is_seen(text):
    assert _guard.is_stub(compiled(text))


@pytest.mark.parametrize("text", ANSWERS)
def test_answer_is_no_stub(text):
    assert not _guard.is_stub(compiled(text))


def test_stubs_in_other_clothes():
    stub, answer = compiled("def f(x): ..."), compiled("def f(x): return x")
    assert _guard.is_stub(torch.no_grad()(stub)) and not _guard.is_stub(torch.no_grad()(answer))
    assert _guard.is_stub(functools.partial(stub, 1)) and not _guard.is_stub(functools.partial(answer, 1))
    assert not _guard.is_stub(np.exp) and not _guard.is_stub(len)


def test_unwritten_parts():
    class Half:
        width: int = 3

        def __init__(self):
            pass

        def forward(self, x):
            return x

        @staticmethod
        def backward(delta):
            """To do."""

        def reset(self): ...

    class Blank(Half):
        def __init__(self):
            self.weight = ...

    class Call:
        def __init__(self):
            pass

        def __call__(self, x): ...

    assert _guard.unwritten(Call) == ["__call__"]
    assert _guard.unwritten(Half) == ["backward", "reset"]
    assert _guard.unwritten(Half()) == ["backward", "reset"]
    assert _guard.unwritten(Half, ("forward", "backward")) == ["backward"]
    assert _guard.unwritten(Half, ("forward",)) == []
    assert _guard.unwritten(Blank, ("forward",)) == ["__init__"]
    assert _guard.unwritten(Half().backward) == [""]
    assert _guard.unwritten((len, None, 3)) == ["item 1"]
    assert _guard.unwritten({"a": ..., "b": 1}) == ["a"]
    assert _guard.unwritten(np.zeros(3)) == [] and _guard.unwritten(torch.zeros(3)) == []
    assert _guard.unwritten(torch.nn.Linear(2, 2)) == []


# --- Functions, judged against a reference ---


@pytest.fixture(autouse=True)
def shop(monkeypatch, tmp_path):
    """A registry and a progress file of the test's own, and little patience."""
    monkeypatch.setattr(exercises, "EXERCISES", {})
    monkeypatch.setattr(exercises, "SECONDS_PER_CALL", 0.3)
    monkeypatch.setattr(exercises, "SECONDS_IN_ALL", 0.6)
    monkeypatch.setenv("DLP_PROGRESS", str(tmp_path / "progress.json"))


@pytest.mark.parametrize("encoding", ["cp950", "cp1252", "ascii"])
def test_consoles_without_the_sign_get_ascii(scale, encoding, monkeypatch):
    monkeypatch.setenv("DLP_PROFILE", "cpu")
    raw = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(raw, encoding=encoding, write_through=True)):
        dlp.check("scale", lambda x: 2 * x)
        dlp.check("scale", lambda x: 3 * x)
        dlp.check("scale", ...)
        dlp.progress()
        dlp.claim("size", 1.0, at_least=0.5)
        printed = raw.getvalue().decode(encoding)
    assert printed.startswith("[ok] scale\n[wrong] scale: wrong value")
    assert "[open] scale: not attempted" in printed and "  [ok] scale" in printed
    assert "[ok] size: at least 0.5" in printed


def test_ascii_keeps_formulas_readable():
    assert _console.to_ascii("σ = √ᾱ · x² ≤ 1 – „so“ …") == 'sigma = sqrt alpha * x2 <= 1 - "so" ...'


@pytest.fixture
def scale():
    """The exercise "scale": x (any shape) times two."""

    def cases(rng):
        yield (rng.normal(size=(3, 2)),)
        yield (np.array([1.0, -2.0]),)
        yield (rng.normal(size=(4, 5)),)

    def squares(x):
        return x**2

    def transposes(x):
        return 2 * x.T

    def raises(x):
        if x.ndim == 2:
            raise ValueError("known")
        return 3 * x

    @exercise(
        "scale",
        cases,
        mistakes=[(squares, "hint: squared"), (transposes, "hint: transposed"), (raises, "hint: raised")],
        hints=[
            (lambda args, expected, got: got.mean() > 1e6, "hint: huge"),
            (lambda args, expected, got: np.allclose(got, -expected), "hint: sign"),
        ],
    )
    def double(x):
        return 2 * x

    return lambda answer: judge("scale", answer)


def test_right_answer(scale):
    result = scale(lambda x: x + x)
    assert (result.status, str(result)) == ("passed", "✓ scale")


def test_tolerance_is_relative(scale):
    assert scale(lambda x: 2 * x * (1 + 0.9e-6)).status == "passed"
    assert scale(lambda x: 2 * x * (1 + 1.2e-6)).status == "failed"


@pytest.mark.parametrize(
    "answer", [None, ..., compiled(STUBS[0]), lambda x: np.exp(...), lambda x: [x, ...][1]]
)
def test_not_attempted(scale, answer):
    assert str(scale(answer)) == "☐ scale: not attempted yet"


BLANK = ...  # a blank that no bytecode shows


def test_blank_elsewhere(scale):
    assert scale(lambda x: BLANK).status == scale(lambda x: float(x.sum()) * BLANK).status == "not attempted"


def test_raising_not_implemented_late_is_not_attempted(scale):
    def answer(x):
        y = 2 * x
        if y.size:
            raise NotImplementedError("your turn")

    assert scale(answer).status == "not attempted"
    lacks_forward = scale(lambda x: torch.nn.Module()(x))  # torch's own NotImplementedError, not the reader's
    assert "raised NotImplementedError" in lacks_forward.message


def test_wrong_value_shows_the_smallest_failing_input(scale):
    lines = str(scale(lambda x: 3 * x)).splitlines()
    assert lines[0] == "✗ scale: wrong value: largest difference 2 at [1]."
    assert lines[1].split() == ["input", "x", "=", "[", "1.,", "-2.]"]
    assert lines[2].split() == ["expected", "[", "2.,", "-4.]"]
    assert lines[3].split() == ["got", "[", "3.,", "-6.]"]
    assert len(lines) == 4


def test_only_some_inputs_fail(scale):
    result = scale(lambda x: 2 * x if x.ndim == 1 else 3 * x)
    assert "(2 of 3 inputs fail; this is the smallest.)" in result.message


@pytest.mark.parametrize(
    "answer, hint",
    [
        (lambda x: x * x, "hint: squared"),
        (lambda x: (x + x).T, "hint: transposed"),
        (lambda x: -2 * x, "hint: sign"),
        (lambda x: x + 1e7, "hint: huge"),
        (lambda x: 5 * x, ""),
        (lambda x: x * x if x.ndim == 1 else 2 * x.T, ""),  # no mistake alone explains all failing inputs
        (lambda x: "text", ""),  # a predicate that cannot cope stays silent
    ],
)
def test_hints(scale, answer, hint):
    result = scale(answer)
    assert result.status == "failed" and result.hint == hint
    assert ("  hint: " + hint in str(result)) == bool(hint)


def test_hint_for_a_mistake_that_raises(scale):
    def answer(x):
        return 3 * x if x.ndim == 1 else x.no_such_method()  # another error than the mistake's

    assert scale(answer).hint == ""

    def same_error(x):
        return 3 * x if x.ndim == 1 else int("x")

    assert scale(same_error).hint == "hint: raised"


def test_hidden_cases_are_the_same_each_time_and_their_own_for_each_id():
    seen = []

    def cases(rng):
        yield (rng.integers(1_000_000),)

    for id in ("first", "second"):
        exercise(id, cases)(lambda x: x)
    for id in ("first", "second", "first"):
        judge(id, lambda x: seen.append(x) or x)
    assert seen[0] == seen[2] != seen[1]
    assert seen[0] == 85_635  # from the id alone, on every machine and in every process


# What goes wrong besides the value. Each answer, and what the message must hold.


def modifies(x):
    x *= 2
    return x


def prints_and_fails(x):
    print("x is", x)
    print("y" * 500, file=sys.stderr)
    return 3 * x


def line_of_user(x):
    numbers = [1, 2]
    return numbers[7]  # the reader's line


def interrupts(x):
    raise KeyboardInterrupt


class Odd:
    dtype = "odd"
    shape = 3

    def __array__(self, *_):
        raise RuntimeError("no array")

    def __repr__(self):
        raise RuntimeError("no repr")


class OddError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises_odd(x):
    raise OddError


@pytest.mark.parametrize(
    "answer, parts",
    [
        (lambda x: [x.sum(), None][1], ["returned None", "`return` missing"]),
        (lambda x: (2 * x).tolist(), ["expected a NumPy array, got a list"]),
        (lambda x: torch.tensor(2 * x), ["expected a NumPy array, got a torch tensor"]),
        (lambda x: float(x.sum()), ["expected a NumPy array, got a float"]),
        (lambda x: (2 * x)[..., None], ["wrong shape: expected (2,), got (2, 1)"]),
        (
            lambda x: (2 * x).astype(int),
            ["wrong dtype: expected floating-point values, got integer ones (int64)"],
        ),
        (lambda x: 2 * x > 0, ["got boolean ones"]),
        (lambda x: 2 * x + 0j, ["got complex ones"]),
        (lambda x: (2 * x).astype(object), ["got object ones"]),
        (lambda x: np.where(x < 0, np.nan, 2 * x), ["the result holds NaN at [1]"]),
        (lambda x: np.where(x < 0, np.inf, 2 * x), ["largest difference inf at [1]"]),
        (modifies, ["modifies its input in place"]),
        (prints_and_fails, ["wrong value", "note: your code printed: x is [[", " …"]),
        (line_of_user, ["raised IndexError", "at line", "`return numbers[7]", "list index out of range"]),
        (lambda x: sys.exit(2), ["stopped with SystemExit"]),
        (lambda x: os._exit if x is None else quit(), ["stopped with SystemExit"]),
        (lambda x: next(iter([])), ["raised StopIteration"]),
        (interrupts, ["stopped with KeyboardInterrupt"]),
        (raises_odd, ["raised OddError"]),
        (lambda x: Odd(), ["cannot be compared (RuntimeError)", "that cannot be shown (RuntimeError)"]),
        (lambda: 1, ["your function takes (), but is called with (x)"]),
        (lambda x, y: 1, ["your function takes (x, y), but is called with (x)"]),
        (3, ["expected a function, got an int: pass `double`, not `double(…)`"]),
        (np.ones(3), ["expected a function, got a NumPy array"]),
        ("double", ["expected a function, got a str"]),
    ],
)
def test_message(scale, answer, parts):
    result = scale(answer)
    assert result.status == "failed"
    for part in parts:
        assert part in str(result)
    assert "Traceback" not in str(result) and len(str(result)) < 900


def test_endless_recursion(scale, monkeypatch):
    monkeypatch.setattr(exercises, "SECONDS_PER_CALL", 5.0)  # a collection of garbage may fall into it

    def answer(x):
        return answer(x)

    assert "calls itself without end at line" in scale(answer).message


def test_numpy_warnings_become_a_note(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = scale(lambda x: 2 * x + 0 * np.log(x * 0 - 1))
    assert "note: your code warned: RuntimeWarning: invalid value encountered in log" in str(result)


def test_notes_also_on_success(scale, capsys):
    result = scale(lambda x: print("debug") or print("error", file=sys.stderr) or 2 * x)
    assert str(result) == "✓ scale\n  note: your code printed: debug error"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("spoil", ["list", "scalar", "tensor", "dict", "longer"])
def test_every_kind_of_input_is_watched(spoil):
    def cases(rng):
        yield [1.0, 2.0], {"a": np.ones(2)}, torch.ones(2), np.random.default_rng(0)

    @exercise("watch", cases)
    def reference(values, table, tensor, rng):
        return rng.normal()

    def answer(values, table, tensor, rng):
        if spoil == "list":
            values[1] = 5.0
        if spoil == "scalar":
            values[0] = float("nan")
        if spoil == "longer":
            values.append(1.0)
        if spoil == "tensor":
            tensor.add_(1)
        if spoil == "dict":
            table["a"][0] = 7
        return rng.normal()

    assert "modifies its input" in judge("watch", answer).message
    assert (
        "modifies its input"
        in judge("watch", lambda v, t, x, r: v.insert(0, v.pop() and Odd()) or r.normal()).message
    )
    spoil = ""
    assert judge("watch", answer).status == "passed"  # using up the generator is no offense


def test_tensors_come_with_their_graph():
    @exercise("gradient", lambda rng: [(torch.ones(2, requires_grad=True),)])
    def gradient(x):
        return 3 * x.detach() ** 2

    assert judge("gradient", lambda x: torch.autograd.grad((x**3).sum(), x)[0]).status == "passed"


def loss_of(answer):
    """Judge `answer` as a loss x.square().mean(), whose gradient counts."""

    @exercise(
        "loss",
        lambda rng: [(torch.tensor(rng.normal(size=4)), 2.0)],
        mistakes=[(lambda x, scale: (x.detach() * x).mean() * scale, "hint: detached")],
        differentiable=True,
    )
    def loss(x, scale):
        return scale * x.square().mean()

    return judge("loss", answer)


def test_a_gradient_counts_where_the_exercise_says_so():
    assert loss_of(lambda x, scale: scale * x @ x / len(x)).status == "passed"
    assert loss_of(lambda x, scale: scale * x.float() @ x.float() / len(x)).status == "passed"
    assert loss_of(lambda x, scale: scale * x.detach() @ x / len(x)).message.startswith(
        "the value is right, its gradient is not: value 1 of 1: wrong value"
    )
    assert "no gradient flows back" in loss_of(lambda x, scale: scale * x.detach().square().mean()).message
    assert "modifies its input" in loss_of(lambda x, scale: scale * x.square_().mean()).message
    assert "wrong value" in loss_of(lambda x, scale: x.square().mean()).message


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("kind_of_answer", [np.float32, np.float64])
def test_either_width_of_numbers(kind, kind_of_answer):
    @exercise("width", lambda rng: [(rng.normal(size=9).astype(kind),)])
    def tripled(x):
        return 3.3 * x

    assert judge("width", lambda x: (3.3 * x).astype(kind_of_answer)).status == "passed"
    assert judge("width", lambda x: (3.3002 * x).astype(kind_of_answer)).status == "failed"
    assert judge("width", lambda x: torch.tensor(3.3 * x)).status == "failed"


def test_call_watches_the_arguments():
    values = torch.ones(2)
    assert torch.equal(exercises.call(lambda x: x + 1, values), values + 1)
    with pytest.raises(Wrong, match="in place"):
        exercises.call(lambda x: x.add_(1), values)
    assert torch.equal(values, torch.ones(2))


def test_the_hint_of_the_first_mistake_that_fits():
    with pytest.raises(Wrong, match="the sum") as caught:
        expect_close(
            torch.tensor(6.0),
            torch.tensor(2.0, dtype=torch.float64),
            "the sum",
            mistakes=[(3.0, "no"), (torch.tensor(6.0, dtype=torch.float64), "yes"), (6.0, "late")],
        )
    assert caught.value.hint == "yes"


def test_may_modify(scale):
    exercise("grow", lambda rng: [(np.ones(2),)], may_modify=True)(lambda x: 2 * x)
    assert judge("grow", modifies).status == "passed"


# --- Code that does not end ---


def loops(x):
    while True:
        pass


def loops_and_swallows(x):
    while True:
        try:  # noqa: SIM105
            x = x + 1
        except:  # noqa: E722
            pass


def sleeps_and_swallows(x):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(1)


def sleeps_and_swallows_bare(x):
    while True:
        try:
            time.sleep(1)
        except:  # noqa: E722
            continue


def prints_for_ever(x):
    while True:
        print("again and again")


def swallows_twice(x):
    while True:
        try:
            try:
                time.sleep(1)
            except BaseException:
                time.sleep(1)
        except BaseException:
            continue


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="there nothing breaks `while True: try:` without a call"
)
@pytest.mark.parametrize(
    "answer",
    [
        loops,
        loops_and_swallows,
        sleeps_and_swallows,
        sleeps_and_swallows_bare,
        prints_for_ever,
        swallows_twice,
    ],
)
def test_endless_loop_is_broken(scale, answer):
    alarm, start = signal.getsignal(signal.SIGALRM), time.monotonic()
    tracer = sys.gettrace()
    result = scale(answer)
    assert time.monotonic() - start < 3
    assert "did not finish within 0.3 s" in result.message and "Does a loop never end?" in result.message
    lines, first = inspect.getsourcelines(answer)
    assert first <= int(re.search(r"at line (\d+)", result.message)[1]) < first + len(lines)
    assert signal.getsignal(signal.SIGALRM) is alarm and signal.getitimer(signal.ITIMER_REAL)[1] == 0
    assert sys.gettrace() is tracer and sys.exc_info() == (None, None, None)


def test_what_is_printed_for_ever_is_not_kept():
    assert len(_guard.call(prints_for_ever, 1, seconds=0.1).printed) == _guard.PRINT_LIMIT + 1


@pytest.mark.slow
def test_debuggers_stay(scale):
    def tracer(*_):
        return None

    old = sys.gettrace()
    sys.settrace(tracer)
    try:
        scale(sleeps_and_swallows)
        found = sys.gettrace()
    finally:
        sys.settrace(old)
    assert found is tracer


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there nothing can break such a loop")
@pytest.mark.parametrize("answer", [loops, loops_and_swallows])
def test_endless_loop_off_the_main_thread(scale, answer):
    results = []
    before = threading.active_count()
    thread = threading.Thread(target=lambda: results.append(scale(answer)))
    thread.start()
    thread.join(8)
    assert threading.active_count() == before  # the loop has ended, not just been left alone
    assert "did not finish within 0.3 s" in results[0].message
    right = []
    thread = threading.Thread(target=lambda: right.append(scale(lambda x: 2 * x)))
    thread.start()
    thread.join(8)
    assert right[0].status == "passed"


def test_a_machine_that_slept_meanwhile_ends_no_code(monkeypatch):
    clock, slept = _guard._Clock(1.0), 0.0
    true = time.monotonic
    monkeypatch.setattr(_guard.time, "monotonic", lambda: true() + slept)
    clock.begin()
    slept = 3600.0  # the lid was closed for an hour
    assert not clock.is_over() and not clock.is_over()
    for _ in range(_guard.PATIENCE - 2):
        slept += 1.0  # and from here on it only waits
        assert not clock.is_over()
    slept += 1.0
    assert clock.is_over()


def busy_for(seconds):
    """Compute for so long, however busy the machine is."""
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


@pytest.mark.slow
def test_waiting_is_not_computing(scale):
    def waits(x):
        time.sleep(0.4)  # longer than the limit, as when other programs have the processor
        return 2 * x

    assert scale(waits).status == "passed"
    right = []
    thread = threading.Thread(target=lambda: right.append(scale(waits)))
    thread.start()
    thread.join(8)
    assert right[0].status == "passed"


@pytest.mark.parametrize("off_the_main_thread", [False, True])
def test_a_first_import_is_not_counted(scale, monkeypatch, tmp_path, off_the_main_thread):
    (tmp_path / "a_large_library.py").write_text(
        "import time\nstart = time.thread_time()\nwhile time.thread_time() - start < 0.5:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def imports(x):
        import a_large_library  # noqa: F401

        return 2 * x

    results, real = [], __builtins__["__import__"]
    if off_the_main_thread:
        thread = threading.Thread(target=lambda: results.append(scale(imports)))
        thread.start()
        thread.join(8)
    else:
        results.append(scale(imports))
    sys.modules.pop("a_large_library")
    assert results[0].status == "passed", str(results[0])
    assert __builtins__["__import__"] is real


def test_quick_errors_cost_their_own_time(scale):
    assert _guard.call(lambda: 1 / 0, seconds=9.0).seconds < 1


def test_slow_code_is_stopped_in_all(scale, monkeypatch):
    monkeypatch.setattr(exercises, "SECONDS_IN_ALL", 0.35)

    def slow(x):
        busy_for(0.2)
        return 2 * x

    assert scale(slow).message == "your code took more than 0.35 s for 2 inputs together."
    assert "wrong value" in scale(lambda x: slow(x) + 1).message  # what is known to be wrong comes first


def test_the_alarm_of_others_still_rings(scale):
    rung = []
    old = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    delay, interval_ = signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        start = time.monotonic()
        scale(loops)
        assert not rung
        back = time.monotonic()
        while not rung and time.monotonic() - back < 2:
            time.sleep(0.01)
        assert rung[0] - start > 0.4 and rung[0] - max(back, start + 0.5) < 0.4
    finally:
        signal.setitimer(signal.ITIMER_REAL, delay, interval_)
        signal.signal(signal.SIGALRM, old)


# --- Values of other kinds ---


def agree(reference, answer, **options):
    exercise("value", lambda rng: [(2.0,)], **options)(lambda x: reference)
    return judge("value", lambda x: answer)


@pytest.mark.parametrize(
    "reference, answer",
    [
        (2.0, 2),
        (2, 2.0),
        (2.0, np.float32(2)),
        (2.0, torch.tensor(2.0, requires_grad=True)),
        (np.float64(2), 2.0),
        (np.array(2.0), 2.0),
        (True, np.True_),
        ("b", "b"),
        (None, None),
        ((1.0, np.ones(2)), [1.0, np.ones(2)]),
        ({"W": np.ones(2), "b": 0.0}, {"b": 0.0, "W": np.ones(2)}),
        (np.ones(2), np.ones(2, dtype=np.float32)),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
        (torch.ones(2), torch.nn.Parameter(torch.ones(2))),
        (torch.ones(2), torch.ones(2, dtype=torch.bfloat16)),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.array([True, False]), np.array([True, False])),
        (np.array(["a"]), np.array(["a"])),
        (1 + 2j, 1 + 2j),
        (torch.tensor([1j]).conj(), torch.tensor([-1j])),
    ],
)
def test_equal_values(reference, answer):
    assert str(agree(reference, answer)) == "✓ value"


@pytest.mark.parametrize(
    "reference, answer, part",
    [
        (2.0, 2.1, "largest difference 0.1."),
        (2.0, True, "expected floating-point values, got boolean"),
        (2.0, "2", "expected a number, got a str"),
        (2.0, [2.0], "expected a number, got a list"),
        (2.0, np.ones(3), "wrong shape: expected (), got (3,)"),
        (2.0, 1j, "got complex"),
        (torch.ones(2), np.ones(2), "expected a torch tensor, got a NumPy array"),
        (torch.tensor(1.0), 1.0, "expected a torch tensor, got a float"),
        (torch.ones(2), torch.ones(2, device="meta"), "on device meta, expected cpu"),
        (torch.ones(2), torch.ones(2, dtype=torch.long), "expected floating-point values, got integer"),
        (torch.ones(2), torch.tensor([1, float("nan")]), "holds NaN at [1]"),
        ((1.0, 2.0), (1.0, 2.5), "value 2 of 2: wrong value: largest difference 0.5"),
        ((1.0, 2.0), (1.0,), "expected 2 values, got 1"),
        ((1.0, 2.0), 1.0, "expected a tuple, got a float"),
        ((1.0, np.ones(2)), (1.0, None), "value 2 of 2: expected a NumPy array, got None"),
        ({"W": 1.0}, {"W": 2.0}, "under 'W': wrong value"),
        ({"W": 1.0}, {"w": 1.0}, "expected the keys ['W'], got ['w']"),
        ({"W": 1.0}, [1.0], "expected a dict, got a list"),
        (np.arange(3), np.array([0, 1, 3]), "largest difference 1 at [2]"),
        (np.array([True, False]), np.array([True, True]), "1 of 2 values are wrong, the first at [1]"),
        (np.array(["a"]), np.array(["b"]), "1 of 1 values are wrong"),
        ("b", "c", "expected 'b', got 'c'"),
        (10**12, 10**12 + 1, "largest difference 1."),
        (np.array([1e300]), np.array([-1e300]), "largest difference 2e+300"),
        (np.array([np.nan]), np.array([1.0]), "largest difference inf at [0]"),
    ],
)
def test_different_values(reference, answer, part):
    result = agree(reference, answer)
    assert result.status == "failed" and part in result.message


def test_large_arrays_are_shown_short():
    result = agree(np.zeros((40, 50)), np.ones((40, 50)))
    assert "got       shape (40, 50), starting [1., 1., 1., 1.]" in result.message
    assert len(str(result)) < 400


def test_list_that_holds_itself():
    values = [1.0]
    values[0] = values
    result = agree([1.0], values)
    assert result.status == "failed" and "got a list" in result.message


# --- Other exercises ---


def test_free_form_class(capsys):
    @free_form("average", methods=("update",))
    def check_average(answer, rng):
        average = answer(rng.integers(1, 3))
        expect_close(average.update(1.0), 0.1, "the first update", rtol=1e-3, hint="Start at zero.")
        if average.update(1.0) < 0:
            raise Wrong("the average is negative.", "Mind the sign.")

    class Average:
        def __init__(self, seed):
            self.value = 0.0

        def update(self, x):
            print("updating")
            self.value += 0.1 * (x - self.value)
            return self.value

    class Stub(Average):
        def update(self, x): ...

    class Late(Average):
        def update(self, x):
            return 1.0

    class Negative(Average):
        def update(self, x):
            self.value, old = -1.0, self.value
            return 0.1 if old == 0 else -1.0

    class Missing:
        def __init__(self, seed):
            pass

    class Endless(Average):
        def update(self, x):
            return loops(x)

    assert str(judge("average", Average)) == "✓ average\n  note: your code printed: updating updating"
    assert str(judge("average", Stub)) == "☐ average: not attempted yet (still to write: update)"
    late = judge("average", Late)
    assert late.message == "the first update: wrong value: largest difference 0.9."
    assert late.hint == "Start at zero."
    assert judge("average", Negative).hint == "Mind the sign."
    assert "raised AttributeError" in judge("average", Missing).message
    assert "did not finish within 0.6 s" in judge("average", Endless).message


def test_number():
    number("horizon", 100, atol=1, mistakes=[(10, "That is another decay.")])
    assert judge("horizon", 100.9).status == judge("horizon", torch.tensor(99)).status == "passed"
    assert judge("horizon", 10).hint == "That is another decay."
    assert judge("horizon", 101.5).message == "101.5 is not the number."
    assert "expected one number, got a str" in judge("horizon", "100").message
    assert "expected one number, got a NumPy array" in judge("horizon", np.ones(2)).message
    assert "nan is not a finite number" in judge("horizon", float("nan")).message
    assert judge("horizon", ...).status == judge("horizon", None).status == "not attempted"


def test_choice():
    choice("bug", "b", options="abc", hints={"A": "That line is fine."})
    assert judge("bug", " B ").status == "passed"
    assert judge("bug", "a").hint == "That line is fine."
    assert judge("bug", "c").message == "'c' is not it."
    assert judge("bug", "d").message == "'d' is none of a, b, c."
    assert judge("bug", ...).status == judge("bug", "").status == "not attempted"


def test_interval():
    interval("decay", 0.9, 0.99, below="Too noisy.", above="Too slow.")
    assert judge("decay", 0.9).status == judge("decay", np.float32(0.95)).status == "passed"
    assert (judge("decay", 0.5).message, judge("decay", 0.5).hint) == ("0.5 is too small.", "Too noisy.")
    assert (judge("decay", 1.0).message, judge("decay", 1.0).hint) == ("1 is too large.", "Too slow.")
    assert "not a finite number" in judge("decay", float("inf")).message


def test_authors_are_told_of_their_own_mistakes():
    exercise("empty", lambda rng: [])(lambda x: x)
    with pytest.raises(ValueError, match="'empty' has no cases"):
        judge("empty", lambda x: x)
    twin = types.FunctionType(compiled("def f(x): return x").__code__, {"__name__": "dlp_utils.checks.other"})
    with pytest.raises(ValueError, match="'empty' is registered by test_exercises and again by other"):
        exercise("empty", lambda rng: [])(twin)


# --- check, and finding exercises ---


def test_check_prints_once_and_shows_nothing_again(scale, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    result = dlp.check("scale", lambda x: 2 * x)
    assert capsys.readouterr().out == "✓ scale\n" and result.status == "passed"
    try:
        assert InteractiveShell.instance().display_formatter.format(result) == ({}, {})
    finally:
        InteractiveShell.clear_instance()


@pytest.fixture
def chapters(monkeypatch, tmp_path):
    """A folder of check modules that stands in for dlp_utils/checks."""
    folder = tmp_path / "checks"
    folder.mkdir()
    monkeypatch.setattr(checks, "__path__", [str(folder)])
    head = "from dlp_utils.exercises import number\n"
    (folder / "cooking.py").write_text(head + "number('cook-salt', 3)\nnumber('cook-egg', 1)\n")
    (folder / "baking.py").write_text(head + "number('bake-bread', 2)\n")
    yield folder
    for name in ("cooking", "baking", "broken"):
        sys.modules.pop(f"dlp_utils.checks.{name}", None)


def test_checks_are_found_when_needed(chapters, capsys):
    assert dlp.check("bake-bread", 2).status == "passed"
    assert dlp.check("cook-egg", ...).status == "not attempted"


def test_unknown_id_names_the_nearest(chapters):
    with pytest.raises(ValueError, match=r"^no exercise is called 'cook-eg'; did you mean 'cook-egg'\?$"):
        dlp.check("cook-eg", 1)
    with pytest.raises(ValueError, match=r"the exercise's id comes first, .* got a NumPy array"):
        dlp.check(np.ones(3), "cook-egg")
    with pytest.raises(ValueError, match=r"^no exercise is called '§§§'\.$"):
        dlp.check("§§§", 1)


def test_broken_chapter_does_not_hide_the_others(chapters, capsys):
    (chapters / "broken.py").write_text("import no_such_library\n")
    assert dlp.check("cook-egg", 1).status == "passed"
    with pytest.raises(
        ValueError, match=r"'broken' could not be imported: ModuleNotFoundError.*no_such_library"
    ):
        dlp.check("broken-one", 1)
    dlp.progress()
    assert "broken: its exercises cannot be loaded (ModuleNotFoundError" in capsys.readouterr().out


# --- Progress ---


def test_progress_lists_chapter_by_chapter(chapters, capsys):
    importlib.import_module("dlp_utils.checks.cooking")  # before the others, which changes nothing
    dlp.check("cook-egg", 1)
    dlp.check("cook-salt", 4)
    capsys.readouterr()
    dlp.progress()
    assert capsys.readouterr().out.splitlines() == [
        "baking: 0 of 1 solved",
        "  ☐ bake-bread",
        "cooking: 1 of 2 solved",
        "  ☐ cook-salt",
        "  ✓ cook-egg",
    ]
    dlp.progress("baking")
    assert capsys.readouterr().out.splitlines() == ["baking: 0 of 1 solved", "  ☐ bake-bread"]
    with pytest.raises(ValueError, match="no exercises for chapter 'sewing'; there are: baking, cooking"):
        dlp.progress("sewing")


def test_solved_stays_solved(chapters, capsys):
    noted = {"cook-egg": "2024-02-29"}
    _progress.path().write_text(json.dumps({"solved": noted}))
    dlp.check("cook-egg", 1)
    dlp.check("cook-egg", 5)
    dlp.check("cook-egg", ...)
    assert _progress.solved() == noted  # with its first date


def test_progress_file_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DLP_HOME", str(tmp_path / "home"))
    assert _progress.path() == tmp_path / "progress.json"
    monkeypatch.delenv("DLP_PROGRESS")
    assert _progress.path() == tmp_path / "home" / "progress.json"
    _progress.record("a")
    assert list(json.loads(_progress.path().read_text())["solved"]) == ["a"]
    monkeypatch.setenv("DLP_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _progress.path() == tmp_path / ".dlp" / "progress.json"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"solved": 3}', b"\xff\xfe", b'{"solved": {"a": ', b"[" * 9000]
)
def test_broken_file_is_set_aside(capsys, content):
    file = _progress.path()
    file.write_bytes(content)
    assert _progress.solved() == {}
    assert "was broken" in capsys.readouterr().out
    _progress.record("b")
    assert capsys.readouterr().out == ""
    assert list(_progress.solved()) == ["b"]
    assert file.with_name("progress.json.broken-1").read_bytes() == content
    file.write_bytes(content)
    _progress.record("c")
    assert list(_progress.solved()) == ["c"]
    assert file.with_name("progress.json.broken-2").read_bytes() == content


def test_unwritable_file_is_one_sentence(scale, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DLP_PROGRESS", str(tmp_path / "file" / "progress.json"))
    dlp.check("scale", lambda x: 2 * x)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ scale" and len(lines) == 2
    assert "could not be saved" in lines[1] and "set DLP_PROGRESS" in lines[1]
    monkeypatch.setenv("DLP_PROGRESS", str(tmp_path))  # a folder where the file should be
    _progress.record("a")
    out = capsys.readouterr().out
    assert "cannot be read" in out and "could not be saved" in out
    assert not list(tmp_path.glob("*.part"))


def _record_many(name, start):
    start.wait()
    for i in range(20):
        _progress.record(f"{name}-{i}")


def test_processes_that_solve_at_once_lose_nothing():
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)
    workers = [context.Process(target=_record_many, args=(name, start)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert len(_progress.solved()) == 60
    assert not list(_progress.path().parent.glob("*.part"))


def test_killed_while_writing_leaves_the_old_file(monkeypatch):
    _progress.record("a")

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_progress.json, "dump", die)
    with pytest.raises(KeyboardInterrupt):
        _progress.record("b")
    assert list(_progress.solved()) == ["a"]
    assert not list(_progress.path().parent.glob("*.part"))

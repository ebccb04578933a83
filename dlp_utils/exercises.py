"""Exercises that check themselves: `dlp.check(id, answer)` for readers, and the parts of a check module.

A check module `dlp_utils/checks/<stem>.py` registers the exercises of its chapter in their order:

    from dlp_utils.exercises import Wrong, choice, exercise, expect_close, free_form, interval, number

    def cases(rng):                       # a NumPy generator seeded from the id; yields tuples of arguments
        yield [1.0, 1.0], 0.9
        yield list(rng.normal(size=5)), 0.9

    def undivided(values, decay): ...     # a mistake that readers make

    @exercise("ema-debias", cases, mistakes=[(undivided, "How much mass has a young average?")])
    def debiased(values, decay): ...      # the reference: the answer must agree with it on all cases

    @free_form("ema-class", methods=("update",))    # anything else: return when right, raise Wrong when not
    def check_class(answer, rng):
        expect_close(answer().update(1.0), 0.1, "the first update", hint="Start at zero.")

    number("ema-horizon", 100, atol=1, mistakes=[(10, "That is β = 0.9.")])     # paper exercises
    choice("ema-bug", "b", options="abc", hints={"a": "That line is fine: …"})  # which line is the bug?
    interval("ema-decay", 0.9, 0.99, below="Too noisy still.", above="Too slow.")  # experiments

Further hints come from `hints=[(predicate(args, expected, got), text)]`. `judge(id, answer)` is `check`
without the printing and without the progress file: tests use its Result.
"""

import difflib
import hashlib
import inspect
import math
import sys
from dataclasses import dataclass

import numpy as np

from . import _progress
from ._console import say
from .checks import _guard
from .checks._compare import (
    as_array,
    copy_of,
    describe_type,
    difference,
    gradients,
    is_finite,
    shorten,
    show,
    size_of,
    unchanged,
    with_leaves,
)

SECONDS_PER_CALL = 5.0
SECONDS_IN_ALL = 20.0
EXERCISES = {}  # id → Exercise, in the order of registration


@dataclass(frozen=True)
class Exercise:
    """An exercise: its id, its chapter's stem, and `judge(answer) -> Result`."""

    id: str
    chapter: str
    judge: object


@dataclass(frozen=True)
class Result:
    """What became of an answer: status "passed", "failed" or "not attempted", message, hint, notes."""

    id: str
    status: str
    message: str = ""
    hint: str = ""
    notes: tuple = ()

    def __str__(self):
        if self.status == "passed":
            lines = [f"✓ {self.id}"]
        elif self.status == "failed":
            lines = [f"✗ {self.id}: {self.message}"]
        else:
            lines = [f"☐ {self.id}: not attempted yet" + (f" ({self.message})" if self.message else "")]
        lines += [f"  hint: {self.hint}"] if self.hint else []
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])

    def _ipython_display_(self):
        """Show nothing: `check` has printed the result, and a last line in a cell would show it twice."""


class Wrong(Exception):
    """Raised in a free-form check: what is wrong with the answer, and a hint if the mistake is known."""

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


# --- For readers ---


def check(id, answer):
    """Judge the answer to exercise `id`, print the outcome and return it as a Result.

    An exercise solved once stays solved in `progress`, also when a later answer to it fails.
    Raises ValueError for an unknown id, and nothing else, whatever the answer does.
    """
    result = judge(id, answer)
    say(result)
    if result.status == "passed":
        _progress.record(id)
    return result


def progress(chapter=None):
    """Print which exercises are solved, chapter by chapter, or those of one chapter alone."""
    errors = _load()
    chapters = {}
    for entry in EXERCISES.values():
        chapters.setdefault(entry.chapter, []).append(entry.id)
    if chapter is not None and chapter not in chapters:
        raise ValueError(f"no exercises for chapter {chapter!r}; there are: {', '.join(sorted(chapters))}.")
    solved = _progress.solved()
    for stem, error in errors.items():
        say(f"{stem}: its exercises cannot be loaded ({type(error).__name__}: {error})")
    for stem in sorted(chapters) if chapter is None else [chapter]:
        ids = chapters[stem]
        say(f"{stem}: {sum(id in solved for id in ids)} of {len(ids)} solved")
        for id in ids:
            say(f"  {'✓' if id in solved else '☐'} {id}")


def judge(id, answer):
    """Return the Result for `answer`, printing and recording nothing. Raises ValueError for an unknown id."""
    if not isinstance(id, str):
        raise ValueError(
            f'the exercise\'s id comes first, as in check("id", answer); got {describe_type(id)}.'
        )
    if id not in EXERCISES:
        errors = _load()
        if id not in EXERCISES:
            near = difflib.get_close_matches(id, EXERCISES, n=1, cutoff=0.3)
            text = f"no exercise is called {id!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
            for stem, error in errors.items():
                text += f" (The checks of {stem!r} could not be imported: {type(error).__name__}: {error})"
            raise ValueError(text)
    return EXERCISES[id].judge(answer)


# --- For authors ---


def exercise(
    id, cases, *, rtol=1e-6, atol=1e-9, mistakes=(), hints=(), may_modify=False, differentiable=False
):
    """Register the decorated reference function: an answer is right when it agrees with it on all cases.

    cases: `cases(rng)` yields tuples of arguments. Right means |got − expected| ≤ atol + rtol·|expected|.
    mistakes: (wrong function, hint) pairs; a hint shows when the answer does on all failing cases what the
    wrong function does (but where both overflow in their own ways).
    hints: (predicate(args, expected, got), hint) pairs, for the smallest failing case.
    may_modify: let the answer change its arguments. differentiable: its gradient by each floating-point
    tensor among the arguments must be the reference's, too. A result in single precision is compared with
    the tolerance of single precision.
    """

    def decorate(reference):
        rules = _Rules(id, reference, cases, rtol, atol, mistakes, hints, may_modify, differentiable)

        def judge(answer):
            return _judge_function(rules, answer)

        _register(id, reference.__module__, judge)
        return reference

    return decorate


def free_form(id, *, methods=()):
    """Register the decorated `check(answer, rng)`: it returns when the answer is right, else raises Wrong.

    methods: the names of the methods that must be written, when the answer is a class or an object.
    """

    def decorate(function):
        def judge(answer):
            if (missing := _unwritten(id, answer, methods)) is not None:
                return missing
            outcome = _guard.call(function, answer, _generator(id), seconds=SECONDS_IN_ALL)
            notes = _notes(outcome)
            if isinstance(outcome.error, Wrong):
                return Result(id, "failed", str(outcome.error), outcome.error.hint, notes)
            if outcome.error is not None:
                return _failed_call(id, outcome)
            return Result(id, "passed", notes=notes)

        _register(id, function.__module__, judge)
        return function

    return decorate


def number(id, value, *, rtol=1e-6, atol=0.0, mistakes=()):
    """Register an exercise whose answer is one number. mistakes: (wrong number, hint) pairs."""

    def check_number(answer, rng):
        got = _number(answer)
        if not math.isclose(got, value, rel_tol=rtol, abs_tol=atol):
            near = (text for wrong, text in mistakes if math.isclose(got, wrong, rel_tol=rtol, abs_tol=atol))
            raise Wrong(f"{got:g} is not the number.", next(near, ""))

    _register_here(id, check_number)


def choice(id, right, *, options=(), hints=None):
    """Register an exercise whose answer is one of several words; case and outer blanks do not count.

    hints: {wrong option: hint}. options: all of them, named in the message when the answer is none of them.
    """
    hints = {str(key).strip().lower(): text for key, text in (hints or {}).items()}
    options = [str(option).strip().lower() for option in options]

    def check_choice(answer, rng):
        got = str(answer).strip(" ().").lower()  # the statement may write (c)
        if options and got not in options:
            raise Wrong(f"{answer!r} is none of {', '.join(options)}.")
        if got != str(right).strip().lower():
            raise Wrong(f"{answer!r} is not it.", hints.get(got, ""))

    _register_here(id, check_choice)


def interval(id, low, high, *, below="", above=""):
    """Register an exercise whose answer is a number from `low` to `high`, with a hint for either side."""

    def check_interval(answer, rng):
        got = _number(answer)
        if not low <= got <= high:
            raise Wrong(f"{got:g} is too {'small' if got < low else 'large'}.", below if got < low else above)

    _register_here(id, check_interval)


def agrees(got, expected, *, rtol=1e-6, atol=1e-9):
    """Tell whether `got` agrees with `expected` in type, shape, kind and value, in either float width."""
    return not difference(got, expected, rtol, atol)


def expect_close(got, expected, what="the result", *, rtol=1e-6, atol=1e-9, hint="", mistakes=()):
    """Raise Wrong, naming `what`, unless `got` agrees with `expected` in type, shape, kind and value.

    mistakes: (wrong value, hint) pairs; the hint of the first that `got` agrees with is shown, else `hint`.
    """
    if complaint := difference(got, expected, rtol, atol):
        known = (text for wrong, text in mistakes if agrees(got, wrong, rtol=rtol, atol=atol))
        raise Wrong(f"{what}: {complaint}", next(known, hint))


def call(function, *args):
    """Return `function` of copies of `args`, and raise Wrong when it changes one of them in place.

    A tensor that requires a gradient is copied within its graph, so that the result leads back to it.
    """
    given = copy_of(args, connected=True)
    result = function(*given)
    if not unchanged(given, args):
        raise Wrong("your code modifies its input in place.", "Work on a copy.")
    return result


# --- Judging ---


def _register_here(id, function):
    """Register for the module that called `number`, `choice` or `interval`."""
    function.__module__ = sys._getframe(2).f_globals["__name__"]
    free_form(id)(function)


def _register(id, module, judge):
    chapter = module.rpartition(".")[2]
    if id in EXERCISES and EXERCISES[id].chapter != chapter:
        raise ValueError(f"exercise {id!r} is registered by {EXERCISES[id].chapter} and again by {chapter}.")
    EXERCISES[id] = Exercise(id, chapter, judge)


def _load():
    from . import checks

    return checks.load_all()


def _generator(id):
    """A generator that is the same for an id on every machine, which Python's own hash() would not give."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big"))


def _unwritten(id, answer, methods=()):
    if isinstance(answer, str) and not answer.strip():
        return Result(id, "not attempted")
    names = _guard.unwritten(answer, methods)
    if names:
        written = ", ".join(filter(None, names))
        return Result(id, "not attempted", f"still to write: {written}" if written else "")
    return None


def _notes(outcome):
    notes = []
    if outcome.printed.strip():
        notes.append(f"your code printed: {shorten(outcome.printed, 80)}")
    notes += [f"your code warned: {shorten(text, 200)}" for text in outcome.warned[:2]]
    return tuple(notes)


def _failed_call(id, outcome, on="", hint=""):
    """Return the Result for a call that ended in an error. on: a line that shows the input, or nothing."""
    error, place, notes = outcome.error, _guard.where(outcome.error), _notes(outcome)
    at = f" at {place}" if place else ""
    if _guard.is_left_open(error):
        return Result(id, "not attempted", notes=notes)
    if isinstance(error, _guard.OutOfTime):
        text = f"your code did not finish within {outcome.limit:.3g} s{at}. Does a loop never end?"
    elif isinstance(error, RecursionError):
        text = f"your code calls itself without end{at}. Which call should stop it?"
    elif not isinstance(error, Exception):  # sys.exit, an interrupt
        text = f"your code stopped with {type(error).__name__}{at}. Let it return a value instead."
    else:
        try:
            message = shorten(str(error), 300)
        except Exception:  # an exception class of the reader's own
            message = "nothing"
        text = f"your code raised {type(error).__name__}{at}. It says: {message}"
    return Result(id, "failed", text + on, hint, notes)


@dataclass(frozen=True)
class _Rules:
    """What `exercise` was given."""

    id: str
    reference: object
    cases: object
    rtol: float
    atol: float
    mistakes: tuple
    hints: tuple
    may_modify: bool
    differentiable: bool


def _judge_function(rules, answer):
    id, reference, rtol, atol = rules.id, rules.reference, rules.rtol, rules.atol
    if (missing := _unwritten(id, answer)) is not None:
        return missing
    if not callable(answer):
        name = reference.__name__
        got = describe_type(answer)
        return Result(id, "failed", f"expected a function, got {got}: pass `{name}`, not `{name}(…)`.")
    failures, notes, count, left = [], (), 0, SECONDS_IN_ALL
    for args in rules.cases(_generator(id)):
        args = args if isinstance(args, tuple) else (args,)
        if not count and (complaint := _signature_complaint(answer, reference, args)):
            return Result(id, "failed", complaint)
        if left <= 0:
            break
        expected, given = reference(*copy_of(args)), copy_of(args)
        leaves = []
        if rules.differentiable:
            given, leaves = with_leaves(given)
        outcome = _guard.call(answer, *given, seconds=SECONDS_PER_CALL)
        complaint = _complaint(outcome, expected, rtol, atol)
        if outcome.error is None and not rules.may_modify and not _is_unchanged(given, args):
            complaint = "your code modifies its input in place; work on a copy."
        if leaves and not complaint:
            complaint = _gradient_complaint(reference, args, leaves, outcome.value, rtol, atol)
        if complaint:
            failures.append((args, expected, outcome, complaint))
        notes, count, left = notes or _notes(outcome), count + 1, left - outcome.seconds
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            break  # out of time or interrupted: the other inputs would end no better
    if not count:
        raise ValueError(f"exercise {id!r} has no cases.")
    if not failures and left <= 0:
        text = f"your code took more than {SECONDS_IN_ALL:g} s for {count} inputs together."
        return Result(id, "failed", text, notes=notes)
    if not failures:
        return Result(id, "passed", notes=notes)
    args, expected, outcome, complaint = min(failures, key=lambda failure: size_of(failure[0]))
    hint = _find_hint(rules, failures, (args, expected, outcome))
    shown = f"\n  input     {_show_args(reference, args)}"
    if outcome.error is not None:
        return _failed_call(id, outcome, shown, hint)
    if outcome.value is ...:
        return Result(id, "not attempted", notes=notes)
    lines = [complaint + shown, f"  expected  {show(expected)}", f"  got       {show(outcome.value)}"]
    if len(failures) < count:
        lines.append(f"  ({len(failures)} of {count} inputs fail; this is the smallest.)")
    return Result(id, "failed", "\n".join(lines), hint, notes)


def _complaint(outcome, expected, rtol, atol):
    """Say what is wrong with an outcome, "" if nothing, however odd an object the answer returned."""
    if outcome.error is not None:
        return type(outcome.error).__name__
    compared = _guard.call(difference, outcome.value, expected, rtol, atol, seconds=SECONDS_PER_CALL)
    if compared.error is None:
        return compared.value
    reason = type(compared.error).__name__
    return f"the result, {describe_type(outcome.value)}, cannot be compared ({reason})."


def _is_unchanged(given, args):
    return _guard.call(unchanged, given, args, seconds=SECONDS_PER_CALL).value is True


def _is_finite(outcome):
    done = _guard.call(is_finite, outcome.value, seconds=SECONDS_PER_CALL)  # of any odd object
    return done.value is not False


def _signature_complaint(answer, reference, args):
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*args)
    except TypeError:
        wanted = ", ".join(inspect.signature(reference).parameters)
        return f"your function takes {signature}, but is called with ({wanted})."
    return ""


def _gradient_complaint(reference, args, leaves, value, rtol, atol):
    """Say what is wrong with the gradients of `value` by `leaves`, "" if nothing."""
    inputs, same = with_leaves(copy_of(args))
    done = _guard.call(gradients, value, leaves, seconds=SECONDS_PER_CALL)
    if done.error is not None:
        return f"the value is right, but no gradient flows back ({shorten(str(done.error), 80)})."
    wanted = gradients(reference(*inputs), same)
    complaint = difference(done.value, wanted, rtol, atol)
    return f"the value is right, its gradient is not: {complaint}" if complaint else ""


def _find_hint(rules, failures, smallest):
    rtol, atol = rules.rtol, rules.atol
    failures = [failure for failure in failures if _is_finite(failure[2])] or failures
    for wrong, text in rules.mistakes:
        if all(_agrees(wrong, args, outcome, rtol, atol) for args, _, outcome, _ in failures):
            return text
    args, expected, outcome = smallest
    for predicate, text in rules.hints:
        try:
            if outcome.error is None and predicate(args, expected, outcome.value):
                return text
        except Exception:  # a predicate written for arrays of the right shape may meet anything
            continue
    return ""


def _agrees(wrong, args, outcome, rtol, atol):
    """Tell whether the known mistake `wrong` did what the answer did: the same value or kind of error."""
    known = _guard.call(wrong, *copy_of(args), seconds=SECONDS_PER_CALL)
    if known.error is not None or outcome.error is not None:
        return type(known.error) is type(outcome.error)
    return not _complaint(outcome, known.value, rtol, atol)


def _show_args(reference, args):
    names = list(inspect.signature(reference).parameters)
    names += [f"argument {i + 1}" for i in range(len(names), len(args))]
    return ", ".join(f"{name} = {show(arg)}" for name, arg in zip(names, args, strict=False))


def _number(answer):
    try:
        if isinstance(answer, (str, bytes)) or np.ndim(as_array(answer)):
            raise TypeError
        got = float(answer)
    except (TypeError, ValueError):
        raise Wrong(f"expected one number, got {describe_type(answer)}: {show(answer)}.") from None
    if not math.isfinite(got):
        raise Wrong(f"{got} is not a finite number.")
    return got

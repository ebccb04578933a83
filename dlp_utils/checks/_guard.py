"""Run a reader's code so that nothing it does can break the kernel, and tell a stub from an answer."""

import builtins
import contextlib
import ctypes
import dis
import functools
import inspect
import io
import linecache
import os
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = str(Path(__file__).parents[1])  # dlp_utils: no line of it is the reader's
PRINT_LIMIT = 300  # characters of the reader's own output that are kept
PATIENCE = 6  # times the limit may pass on the clock, where the machine is busy or the code sleeps


class OutOfTime(BaseException):
    """Raised inside code that runs too long; no Exception, so that `except Exception` lets it pass."""


@dataclass
class Outcome:
    """What a guarded call did: a value or an error, and what it printed and warned."""

    value: object = None
    error: BaseException | None = None
    limit: float = 0.0  # seconds of computing that it was given
    seconds: float = 0.0  # seconds of computing that it took
    printed: str = ""
    warned: list = field(default_factory=list)


class _Shortened(io.StringIO):
    def write(self, text):
        if (room := PRINT_LIMIT + 1 - self.tell()) > 0:
            super().write(text[:room])
        return len(text)


class _Clock:
    """The time that the calling thread computes, importing modules left out, against a limit.

    A busy machine gives other programs their share, and a first import of a large library takes seconds:
    neither is the reader's fault. `PATIENCE` times the limit on the wall ends code that only waits, watched
    in steps: a machine that was asleep meanwhile (a closed laptop) counts for one step, however long.
    """

    def __init__(self, seconds):
        self.limit, self.imported, self.depth = seconds, 0.0, 0
        self.start, self.seen, self.waited, self.took = 0.0, time.monotonic(), 0.0, seconds
        self._now = time.thread_time

    def begin(self):
        """Called on the thread that is to be measured."""
        try:
            clock = time.pthread_getcpuclockid(threading.get_ident())
            self._now = functools.partial(time.clock_gettime, clock)  # to be read from other threads, too
        except (AttributeError, OSError):  # Windows
            self._now = time.process_time
        self.start, self.seen = self._now(), time.monotonic()

    def used(self):
        return self._now() - self.start - self.imported

    def is_over(self):
        if self.depth:  # a module that is broken off half way would stay broken
            return False
        now = time.monotonic()
        self.waited, self.seen = self.waited + min(now - self.seen, self.limit), now
        return self.used() >= self.limit or self.waited >= PATIENCE * self.limit

    @contextlib.contextmanager
    def without_imports(self):
        """Watch `import` statements, so that their time is not counted."""
        real, thread = builtins.__import__, threading.get_ident()

        def watched(*args, **kwargs):
            if self.depth or threading.get_ident() != thread:
                return real(*args, **kwargs)
            self.depth, start = 1, self._now()
            try:
                return real(*args, **kwargs)
            finally:
                self.depth, self.imported = 0, self.imported + self._now() - start

        builtins.__import__ = watched
        try:
            yield
        finally:
            if builtins.__import__ is watched:
                builtins.__import__ = real


def call(function, *args, seconds):
    """Call `function(*args)` for at most `seconds` of computing and return the Outcome; no exception gets out.

    On the main thread of a POSIX system a repeating alarm breaks even loops that swallow exceptions;
    elsewhere the call runs in a thread of its own. A call into C code cannot be broken before it returns,
    nor on Python 3.10 a `while True: try:` that calls nothing: not even Ctrl-C reaches it there.
    """
    out, clock = _Shortened(), _Clock(seconds)

    def measured():
        clock.begin()
        try:
            with clock.without_imports():
                return function(*args)
        finally:
            clock.took = clock.used()

    alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        value, error = (_call_with_alarm if alarm else _call_in_thread)(measured, clock)
    told = [w for w in caught if not issubclass(w.category, (DeprecationWarning, ResourceWarning))]
    warned = list(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in told))
    return Outcome(value, error, seconds, clock.took, out.getvalue(), warned)


def _call_with_alarm(function, clock):
    armed, rings = True, 0

    def run():
        # In a generator, since an exception raised by a tracer may stay behind as the one being handled: a
        # generator keeps that state to itself, while a function would leave it to the reader's next error.
        try:
            result = function(), None
        except BaseException as caught:  # here, or StopIteration would turn into RuntimeError
            result = None, caught
        yield result

    def again(frame, event, arg):
        if event == "line":
            raise OutOfTime
        return again

    def ring(signum, frame):
        nonlocal rings
        if not armed or (not rings and not clock.is_over()):
            return
        rings += 1
        if rings > 1:  # the first exception was swallowed: raise on the next line too, which is the handler's
            while frame is not None and frame.f_code is not _call_with_alarm.__code__:
                frame.f_trace = again
                frame = frame.f_back
            sys.settrace(again)
        raise OutOfTime

    tracer, start = sys.gettrace(), time.monotonic()
    old_handler = signal.signal(signal.SIGALRM, ring)
    old_delay, old_interval = signal.setitimer(signal.ITIMER_REAL, clock.limit, 0.05)
    value = error = None
    try:
        try:
            value, error = next(run())
        finally:
            armed = False
    except BaseException as caught:
        error = caught
    armed = False
    sys.settrace(tracer)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old_handler)
    if old_delay:  # somebody else's alarm, such as a test runner's: give it back what time it has left
        left = max(old_delay - (time.monotonic() - start), 0.001)
        signal.setitimer(signal.ITIMER_REAL, left, old_interval)
    return value, error


def _call_in_thread(function, clock):
    result = []

    def target():
        try:
            result.append((function(), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(clock.limit)
    while thread.is_alive() and not clock.is_over():
        thread.join(0.05)
    for _ in range(40):
        if not thread.is_alive():
            break
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
        thread.join(0.05)
    return result[0] if result else (None, OutOfTime())


def where(error):
    """Return "line 3: `return 1 / 0`" for the reader's innermost line in `error`'s traceback, or ""."""
    lines = [at for at in traceback.walk_tb(error.__traceback__) if _is_readers(at[0])]
    if not lines:
        return ""
    frame, line = lines[-1]
    text = linecache.getline(frame.f_code.co_filename, line).strip()
    return f"line {line}: `{text}`" if text else f"line {line}"


def is_left_open(error):
    """Tell whether `error` comes from a stub: the reader's own NotImplementedError, or a `...` computed with."""
    if isinstance(error, NotImplementedError):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return _is_readers(frame)
    return type(error) is TypeError and "ellipsis" in str(error)


def _is_readers(frame):
    libraries = tuple(folder + os.sep for folder in (PACKAGE, sys.prefix, sys.base_prefix))
    return not frame.f_code.co_filename.startswith((*libraries, "<frozen"))


# --- Stubs: code with its blanks still in it. Bytecode tells, since pasted code may have no source. ---


def is_stub(function):
    """Tell whether `function` is still to be written: an empty body, or `...` left where a value belongs."""
    if function is None or function is ...:
        return True
    function = inspect.unwrap(function) if callable(function) else function
    function = getattr(function, "func", function)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and (_is_empty(code) or _has_blank(code))


def unwritten(answer, methods=()):
    """Return the names of the parts of `answer` that are stubs; a function or value that is one gives [""].

    A class or an object is judged by the methods that it defines itself: none may hold a blank, and those
    named (by default all but `__init__` and its like) may not be empty. A tuple, list or dict is judged
    part by part.
    """
    if isinstance(answer, dict):
        return [str(key) for key, part in answer.items() if unwritten(part, methods)]
    if isinstance(answer, (tuple, list)):
        return [f"item {i}" for i, part in enumerate(answer) if unwritten(part, methods)]
    function = (types.FunctionType, types.MethodType, functools.partial)
    if answer is None or answer is ... or isinstance(answer, function):
        return [""] if is_stub(answer) else []
    owner = answer if isinstance(answer, type) else type(answer)
    if owner.__module__.partition(".")[0] in ("builtins", "numpy", "torch"):
        return []
    own = {name: getattr(part, "__func__", part) for name, part in vars(owner).items()}
    codes = {name: inspect.unwrap(part).__code__ for name, part in own.items() if inspect.isfunction(part)}
    methods = methods or [name for name in codes if not name.startswith("__") or name == "__call__"]
    return [name for name, code in codes.items() if _has_blank(code) or (name in methods and _is_empty(code))]


# What uses a value up: 3.10 has INPLACE_ADD and CALL_FUNCTION, 3.11 has PRECALL, 3.14 indexes by BINARY_OP.
_USES = ("STORE_", "CALL", "PRECALL", "BINARY_", "INPLACE_", "LIST_APPEND", "SET_ADD", "MAP_ADD")
_ROTATIONS = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4, "ROT_N": 0}


def _is_empty(code):
    """Nothing but a docstring, `pass`, `...`, `return None` or `raise NotImplementedError`."""
    noise = ("RESUME", "NOP", "COPY_FREE_VARS", "MAKE_CELL", "PUSH_NULL", "GEN_START", "RETURN_GENERATOR")
    body = [ins for ins in dis.get_instructions(code) if ins.opname not in noise]
    names = [ins.opname for ins in body]
    if names in (["RETURN_CONST"], ["LOAD_CONST", "RETURN_VALUE"]):
        return body[0].argval is None
    return names[-1:] == ["RAISE_VARARGS"] and "NotImplementedError" in str(body[0].argrepr)


def _has_blank(code):
    body = list(dis.get_instructions(code))
    if any(_is_blank(body, i) for i in range(len(body))):
        return True
    return any(_has_blank(const) for const in code.co_consts if isinstance(const, types.CodeType))


def _is_blank(body, start):
    """Follow an Ellipsis loaded at `start` to its use: as an index it is fine, as anything else a blank.

    `depth` counts the stack entries above it; `boxed` says that it sits in a tuple, which may be an index.
    """
    loaded = body[start]
    if "CONST" not in loaded.opname:
        return False
    boxed = isinstance(loaded.argval, tuple) and any(part is ... for part in loaded.argval)
    if loaded.argval is not ... and not boxed:
        return False
    if loaded.opname == "RETURN_CONST":
        return True
    depth, target = 0, 0
    for ins in body[start + 1 :]:
        name, arg = ins.opname, ins.arg or 0
        if ins.offset < target:
            continue
        if name in _ROTATIONS or name == "SWAP":
            n = _ROTATIONS.get(name, arg) or arg
            if name == "SWAP":
                depth = {0: n - 1, n - 1: 0}.get(depth, depth)
            elif depth < n:
                depth = n - 1 if depth == 0 else depth - 1
            continue
        if depth == 0 and name in ("UNPACK_SEQUENCE", "YIELD_VALUE"):
            return True
        if depth == 0 and (name == "GET_ITER" or name.startswith("STORE_FAST")):
            return not boxed
        if name.startswith("BUILD_") and arg > depth:
            depth, boxed = 0, True
            continue
        if name == "JUMP_FORWARD":
            target = ins.argval
            continue
        after = depth + dis.stack_effect(ins.opcode, ins.arg, jump=False)
        if after >= 0:
            depth = after
            continue
        if name in ("STORE_SUBSCR", "STORE_SLICE", "STORE_ATTR"):  # the value lies deepest, the index on top
            return after == -1
        if name in ("BINARY_SUBSCR", "BINARY_SLICE") or ins.argrepr == "[]":
            return False
        return name == "RETURN_VALUE" or (name.startswith(_USES) and not boxed)
    return False

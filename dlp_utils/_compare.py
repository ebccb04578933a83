"""Compare and show values: numbers, NumPy arrays, torch tensors, and tuples, lists and dicts of them.

torch is never imported here: where nobody has imported it, nothing is a tensor.
"""

import copy
import inspect
import sys

import numpy as np


def difference(got, expected, rtol=1e-6, atol=1e-9):
    """Return "" when `got` agrees with `expected`, else a sentence on where it does not and by how much."""
    if got is None and expected is not None:
        return "your code returned None: is a `return` missing?"
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"expected a dict, got {describe_type(got)}."
        if set(got) != set(expected):
            return f"expected the keys {sorted(map(str, expected))}, got {sorted(map(str, got))}."
        parts = ((f"under {key!r}: ", difference(got[key], expected[key], rtol, atol)) for key in expected)
        return next((where + part for where, part in parts if part), "")
    if isinstance(expected, (tuple, list)):
        if not isinstance(got, (tuple, list)):
            return f"expected {describe_type(expected)}, got {describe_type(got)}."
        if len(got) != len(expected):
            return f"expected {len(expected)} values, got {len(got)}."
        pairs = enumerate(zip(got, expected, strict=True), 1)
        parts = ((f"value {i} of {len(got)}: ", difference(g, e, rtol, atol)) for i, (g, e) in pairs)
        return next((where + part for where, part in parts if part), "")
    if is_tensor(expected) or (isinstance(expected, np.ndarray) and expected.ndim):
        if is_tensor(expected) != is_tensor(got) or not hasattr(got, "dtype"):
            return f"expected {describe_type(expected)}, got {describe_type(got)}."
        if is_tensor(expected) and got.device != expected.device:
            return f"the result is on device {got.device}, expected {expected.device}."
        return _array_difference(as_array(got), as_array(expected), rtol, atol, strict=True)
    if isinstance(expected, (bool, int, float, complex, np.generic, np.ndarray)):
        if not isinstance(got, (bool, int, float, complex, np.generic, np.ndarray)) and not is_tensor(got):
            return f"expected a number, got {describe_type(got)}."
        return _array_difference(as_array(got), np.asarray(expected), rtol, atol, strict=False)
    return (
        "" if type(got) is type(expected) and got == expected else f"expected {expected!r}, got {show(got)}."
    )


def _array_difference(got, expected, rtol, atol, strict):
    if got.shape != expected.shape:
        return f"wrong shape: expected {expected.shape}, got {got.shape}."
    kinds = {"b": "boolean", "i": "integer", "u": "integer", "f": "floating-point", "c": "complex"}
    kind, wanted = (kinds.get(array.dtype.kind, str(array.dtype)) for array in (got, expected))
    numbers = ("integer", "floating-point")
    if kind != wanted and (strict or kind not in numbers or wanted not in numbers):
        return f"wrong dtype: expected {wanted} values, got {kind} ones ({got.dtype})."
    if not got.size or kind == "boolean":
        same = got == expected
        return (
            "" if np.all(same) else f"wrong at {_place(same)} ({np.sum(~same)} of {same.size} values differ)."
        )
    bad = np.isnan(got) & ~np.isnan(expected)
    if bad.any():
        return f"the result holds NaN{_at(~bad)}."
    with np.errstate(all="ignore"):
        same = (
            got == expected
            if kind == wanted == "integer"
            else np.isclose(got, expected, rtol, atol, equal_nan=True)
        )
        if np.all(same):
            return ""
        gap = np.where(
            same, 0, np.abs(np.subtract(got, expected, dtype=np.result_type(got, expected, float)))
        )
        gap = np.where(np.isnan(gap), np.inf, gap)
    return f"wrong value: largest difference {gap.max():.3g}{_at(gap < gap.max())}."


def _at(same):
    return f" at {_place(same)}" if same.ndim else ""


def _place(same):
    return [int(i) for i in np.argwhere(~same)[0]]


def is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(value):
    if is_tensor(value):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        return (value.float() if value.dtype.itemsize == 2 and value.is_floating_point() else value).numpy()
    return np.asarray(value)


def copy_of(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(copy_of, value))
    if isinstance(value, dict):
        return {key: copy_of(part) for key, part in value.items()}
    if is_tensor(value):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return copy.deepcopy(value)


def unchanged(a, b):
    """Tell whether an argument is as it was; generators and other objects with a state may change."""
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(unchanged, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(unchanged(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) or is_tensor(a):
        a, b = as_array(a), as_array(b)
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    return True


def size_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return sum(map(size_of, value))
    if isinstance(value, np.ndarray):
        return value.size
    return value.numel() if is_tensor(value) else 1


def describe_type(value):
    """Return a type in the reader's words: "a list", "a NumPy array", "a torch tensor"."""
    if value is None:
        return "None"
    if is_tensor(value):
        return "a torch tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    name = "function" if inspect.isroutine(value) else type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def show(value):
    """Return a value as short readable text; arrays come with their shape when they are large."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {show(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(show(part) for part in value[:8]) + (", …" if len(value) > 8 else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if is_tensor(value) and value.device.type == "meta":
        return f"meta tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray) or is_tensor(value):
        array = as_array(value)
        if array.size > 24:
            return f"shape {array.shape}, starts {show(array.ravel()[:4])}"
        text = np.array2string(array, precision=6, suppress_small=False, separator=", ")
        return text.replace("\n", "\n" + " " * 12)
    if isinstance(value, (float, np.floating)):
        text = f"{value:.10g}"
        return text if any(sign in text for sign in ".einf") else text + ".0"
    try:
        text = str(value) if isinstance(value, np.generic) else repr(value)
    except Exception as error:
        text = f"{describe_type(value)} whose repr raises {type(error).__name__}"
    return text if len(text) <= 200 else text[:200] + " …"

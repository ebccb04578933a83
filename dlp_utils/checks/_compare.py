"""Compare and show values: numbers, NumPy arrays, torch tensors, and tuples, lists and dicts of them.

torch is never imported here: where nobody has imported it, nothing is a tensor.
"""

import copy
import inspect
import sys

import numpy as np

NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)
KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "floating-point", "c": "complex"}


def difference(got, expected, rtol=1e-6, atol=1e-9):
    """Return "" when `got` agrees with `expected`, else a sentence on where it does not and by how much."""
    if got is None and expected is not None:
        return "your code returned None: is a `return` missing?"
    return _difference(got, expected, rtol, atol)


def _difference(got, expected, rtol, atol):
    wrong_type = f"expected {describe_type(expected)}, got {describe_type(got)}."
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return wrong_type
        if set(got) != set(expected):
            return f"expected the keys {sorted(map(str, expected))}, got {sorted(map(str, got))}."
        return _first(((f"under {key!r}", got[key], expected[key]) for key in expected), rtol, atol)
    if isinstance(expected, (tuple, list)):
        if not isinstance(got, (tuple, list)):
            return wrong_type
        if len(got) != len(expected):
            return f"expected {len(expected)} values, got {len(got)}."
        pairs = enumerate(zip(got, expected, strict=True), 1)
        return _first(((f"value {i} of {len(got)}", *pair) for i, pair in pairs), rtol, atol)
    if is_tensor(expected):
        if not is_tensor(got):
            return wrong_type
        if got.device != expected.device:
            return f"the result is on device {got.device}, expected {expected.device}."
        return _array_difference(as_array(got), as_array(expected), rtol, atol, strict=True)
    if isinstance(expected, np.ndarray) and expected.ndim:
        if is_tensor(got) or not hasattr(got, "dtype"):
            return wrong_type
        return _array_difference(as_array(got), expected, rtol, atol, strict=True)
    if isinstance(expected, NUMBERS):
        if not isinstance(got, NUMBERS) and not is_tensor(got):
            return f"expected a number, got {describe_type(got)}."
        return _array_difference(as_array(got), np.asarray(expected), rtol, atol, strict=False)
    if type(got) is type(expected) and got == expected:
        return ""
    return f"expected {show(expected)}, got {show(got)}."


def _first(parts, rtol, atol):
    """Compare each (where, got, expected) and return the first complaint."""
    complaints = ((where, _difference(got, expected, rtol, atol)) for where, got, expected in parts)
    return next((f"{where}: {complaint}" for where, complaint in complaints if complaint), "")


def _array_difference(got, expected, rtol, atol, strict):
    if got.shape != expected.shape:
        return f"wrong shape: expected {expected.shape}, got {got.shape}."
    kind, wanted = (KINDS.get(array.dtype.kind, str(array.dtype)) for array in (got, expected))
    mixable = not strict and {kind, wanted} == {"integer", "floating-point"}
    if kind != wanted and not mixable:
        return f"wrong dtype: expected {wanted} values, got {kind} ones ({got.dtype})."
    if kind not in ("integer", "floating-point", "complex") or not got.size:
        same = got == expected
        return (
            "" if np.all(same) else f"{np.sum(~same)} of {same.size} values are wrong, the first{_at(~same)}."
        )
    with np.errstate(all="ignore"):
        is_nan = np.isnan(got) & ~np.isnan(expected)
        if is_nan.any():
            return f"the result holds NaN{_at(is_nan)}."
        exact = kind == wanted == "integer"
        rtol, atol = _widened(got, expected, rtol, atol)
        same = got == expected if exact else np.isclose(got, expected, rtol, atol, equal_nan=True)
        if np.all(same):
            return ""
        gap = np.abs(np.subtract(got, expected, dtype=np.result_type(got, expected, float)))
        gap = np.where(same, 0, np.where(np.isnan(gap), np.inf, gap))
    return f"wrong value: largest difference {gap.max():.3g}{_at(gap == gap.max())}."


def _widened(got, expected, rtol, atol):
    """Tolerances where one of the two is in single precision: its last digits are rounded."""
    eps = max(np.finfo(array.dtype).eps if array.dtype.kind in "fc" else 0.0 for array in (got, expected))
    if eps < 1e-12:
        return rtol, atol
    finite = np.abs(expected[np.isfinite(expected)])
    return max(rtol, 64 * eps), max(atol, 16 * eps * finite.max(initial=0.0))


def _at(mask):
    """Return " at [i, j]" for the first true entry of a mask, "" for a scalar."""
    return f" at {np.argwhere(mask)[0].tolist()}" if mask.ndim else ""


def is_tensor(value):
    """Tell whether `value` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(value):
    """Return a tensor or number as a NumPy array, half precision as float32 since NumPy has no bfloat16."""
    if is_tensor(value):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        return (value.float() if value.is_floating_point() and value.itemsize < 4 else value).numpy()
    return np.asarray(value)


def copy_of(value, connected=False):
    """Return a deep copy; tensors are cut from their graph but keep `requires_grad`, unless `connected`."""
    if isinstance(value, (tuple, list)):
        return type(value)(copy_of(part, connected) for part in value)
    if isinstance(value, dict):
        return {key: copy_of(part, connected) for key, part in value.items()}
    if is_tensor(value):
        if connected and value.requires_grad:
            return value.clone()
        return value.detach().clone().requires_grad_(value.requires_grad)
    return copy.deepcopy(value)


def with_leaves(values):
    """Return `values` with each floating-point tensor in it as part of a graph, and the leaves of the graph."""
    leaves = []

    def grown(value):
        if isinstance(value, (tuple, list)):
            return type(value)(map(grown, value))
        if is_tensor(value) and value.is_floating_point():
            leaves.append(value.detach().clone().requires_grad_())
            return leaves[-1].clone()  # no leaf itself: changing it in place is told in our own words
        return value

    return grown(values), leaves


def gradients(value, leaves):
    """Return the gradients by `leaves` of the sum of `value`, its entries weighted by their place."""
    torch = sys.modules["torch"]
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    found = torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)
    found = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
    return [g.to(value.dtype) for g in found]


def unchanged(value, before):
    """Tell whether an argument is as it was; generators and other objects with a state may change."""
    if isinstance(before, (tuple, list)):
        return len(value) == len(before) and all(map(unchanged, value, before))
    if isinstance(before, dict):
        return value.keys() == before.keys() and all(unchanged(value[key], before[key]) for key in before)
    if isinstance(before, NUMBERS) or is_tensor(before):
        value, before = as_array(value), as_array(before)
        return np.array_equal(value, before, equal_nan=before.dtype.kind in "fc")
    return value == before if isinstance(before, str) else True


def is_finite(value):
    """Tell whether all numbers in `value` are finite; anything else counts as finite."""
    if isinstance(value, (tuple, list)):
        return all(map(is_finite, value))
    if not isinstance(value, NUMBERS) and not is_tensor(value):
        return True
    array = as_array(value)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def size_of(value):
    """Return how many numbers `value` holds."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return sum(map(size_of, value))
    if isinstance(value, np.ndarray):
        return value.size
    return value.numel() if is_tensor(value) else 1


def describe_type(value):
    """Return a type in the reader's words: "a list", "a NumPy array", "a torch tensor"."""
    if value is None or value is ...:
        return "None" if value is None else "`...`"
    if is_tensor(value):
        return "a torch tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    name = "function" if inspect.isroutine(value) else type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def show(value):
    """Return a value as short readable text; a large array is shown by its shape and first entries."""
    try:
        return _show(value)
    except Exception as error:
        return f"{describe_type(value)} that cannot be shown ({type(error).__name__})"


def _show(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_show(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(_show(part) for part in value[:8]) + (", …" if len(value) > 8 else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if is_tensor(value) and value.device.type == "meta":
        return f"a tensor of shape {tuple(value.shape)} on device meta"
    if isinstance(value, np.ndarray) or is_tensor(value):
        array = as_array(value)
        if array.size > 24:
            return f"shape {array.shape}, starting {_show(array.ravel()[:4])}"
        return np.array2string(array, precision=6, separator=", ", prefix=" " * 12)
    if isinstance(value, (float, np.floating)):
        text = f"{value:.10g}"
        return text if any(sign in text for sign in ".einf") else text + ".0"
    text = str(value) if isinstance(value, np.generic) else repr(value)
    return shorten(text, 200)


def shorten(text, limit):
    """Return `text` on one line, cut to `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit] + " …"

"""Claims: statements about measured numbers that the book's prose may quote, because CI holds them true.

`claim("xor-accuracy", accuracy, at_least=1)` prints one line. Its part "(measured …)" differs a little from machine
to machine; `notebooks/nbval.cfg` takes it out before CI compares stored and fresh outputs. All digits of the value
travel in the metadata of that output, from where `from_notebook` reads them for the book's table of claims.
"""

import json
import math
import sys
from pathlib import Path

from ._console import say

METADATA_KEY = "dlp_claim"


class ClaimError(AssertionError):
    """A claim that does not hold."""


def claim(name, value, *, at_least=None, at_most=None, equals=None, tol=0):
    """Hold `value` to its bounds and print one line that says so.

    value: a finite scalar (Python, NumPy or torch). Bounds: `at_least`, `at_most` or both, or `equals`, where
    |value − equals| ≤ `tol` counts as equal. Running a cell again with the same name is fine.
    At the `smoke` profile nothing is trained long enough, so the claim is noted as not judged and never fails
    for its bounds. At the `gpu` profile sizes and data are others than those for which the bounds were set: a
    claim that does not hold there is marked as such, and the notebook goes on. Raises ClaimError when a bound
    does not hold at the `cpu` profile or the value is not finite; TypeError or ValueError when the claim itself
    makes no sense.
    """
    if not isinstance(name, str) or not name.strip() or "\n" in name:
        raise ValueError(f"a claim needs a name of one line, such as 'xor-accuracy', got {name!r}")
    value = _scalar(value, f"claim {name!r}: the value")
    if not math.isfinite(value):
        raise ClaimError(
            f"claim {name!r}: the value is {value:g}; look for the first non-finite loss before it."
        )
    bounds = _bounds(name, at_least, at_most, equals, tol)
    text = _describe(bounds)
    from .device import profile

    scale, holds = profile(), _holds(value, bounds)
    judged = scale == "cpu" or (scale == "gpu" and holds)
    if judged and not holds:
        raise ClaimError(
            f"claim {name!r} does not hold: {value:.10g} is not {text}; check the seed and the profile "
            f"(now {scale!r}), and run the notebook from its first cell."
        )
    line = f"✓ {name}: {text}" if judged else f"– {name}: not judged at the smoke profile"
    if scale == "gpu" and not holds:
        line = f"✗ {name}: not {text}, a bound that was set at the cpu profile"
    line += f" (measured {value:.3g})" if abs(value) < 1000 else f" (measured {value:.0f})"
    _show(line, {METADATA_KEY: {"name": name, "value": value, **bounds, "judged": judged}})


def from_notebook(path):
    """Return the claims stored in the notebook at `path` as dicts, in order: name, value, bounds, judged.

    Raises ValueError when the file is no notebook or when two stored outputs claim under one name.
    """
    try:
        cells = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a notebook ({type(error).__name__}: {error})") from error
    metadata = [output.get("metadata") or {} for output in outputs]
    found = [entry[METADATA_KEY] for entry in metadata if METADATA_KEY in entry]
    names = [entry["name"] for entry in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} makes two claims named {twice[0]!r}; give one of them another name.")
    return found


def _scalar(value, what):
    shape = tuple(getattr(value, "shape", ()))
    if shape:
        raise TypeError(
            f"{what} must be one number, got shape {shape}; reduce it first, for example with .mean()."
        )
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{what} must be one number, got {type(value).__name__} {value!r}.") from None


def _bounds(name, at_least, at_most, equals, tol):
    given = {"at_least": at_least, "at_most": at_most, "equals": equals}
    bounds = {key: _scalar(b, f"claim {name!r}: {key}") for key, b in given.items() if b is not None}
    tol = _scalar(tol, f"claim {name!r}: tol")
    if not bounds:
        raise ValueError(f"claim {name!r} claims nothing: give at_least, at_most or equals.")
    if not all(map(math.isfinite, (*bounds.values(), tol))) or tol < 0:
        raise ValueError(
            f"claim {name!r}: bounds must be finite and tol at least 0, got {bounds}, tol={tol:g}."
        )
    if "equals" in bounds and len(bounds) > 1:
        raise ValueError(f"claim {name!r}: equals stands alone, without at_least or at_most.")
    if "equals" in bounds:
        bounds["tol"] = tol
    elif tol:
        raise ValueError(f"claim {name!r}: tol belongs to equals; move the bound itself instead.")
    if len(bounds) == 2 and bounds.get("at_least", 0) > bounds.get("at_most", math.inf):
        raise ValueError(f"claim {name!r} can never hold: at_least={at_least} lies above at_most={at_most}.")
    return bounds


def _holds(value, bounds):
    if "equals" in bounds:
        return abs(value - bounds["equals"]) <= bounds["tol"]
    return bounds.get("at_least", -math.inf) <= value <= bounds.get("at_most", math.inf)


def _describe(bounds):
    if "equals" in bounds:
        return f"equal to {bounds['equals']:g}" + (f" within {bounds['tol']:g}" if bounds["tol"] else "")
    return " and ".join(f"{key.replace('_', ' ')} {bound:g}" for key, bound in bounds.items())


def _show(line, metadata):
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        say(line)
    else:
        ipython.display.display({"text/plain": line}, raw=True, metadata=metadata)

"""Small GPU-aware helpers for the notebooks of *Deep Learning in Practice*: `import dlp_utils as dlp`.

Everything but the device helpers is imported on first use, so that `import dlp_utils` costs little
and touches neither CUDA nor the disk.
"""

import importlib

# Imported at once because the function `device` shares its name with the module that holds it:
# a later first import of the module would put the module in the function's place.
from .device import (
    choose,
    count_parameters,
    device,
    estimate,
    generator,
    machine,
    peak_memory,
    profile,
    seed_everything,
)

__version__ = "0.1.0"

_NAMES = {
    "training": ("fit", "evaluate", "History", "EMA", "NonFiniteLoss", "load_weights", "save_weights"),
    "plotting": ("COLORS", "use_style", "decision_regions", "image_grid", "curve"),
    "interact": ("explore", "animate"),
    "claims": ("claim", "ClaimError"),
    "studies": ("study",),
    "exercises": ("check", "progress"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_SUBPACKAGES = ("data", "models", "checks")
__all__ = [
    "choose",
    "count_parameters",
    "device",
    "estimate",
    "generator",
    "machine",
    "peak_memory",
    "profile",
    "seed_everything",
    *_MODULE_OF,
    *_SUBPACKAGES,
]


def __getattr__(name):
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES or name in _NAMES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"dlp_utils has no {name!r}; it offers: {', '.join(sorted(__all__))}")


def __dir__():
    return sorted(__all__)

"""One module a chapter, `checks/<stem>.py`: what `dlp.check` asks of an answer.

How to write one stands in `dlp_utils.exercises`. Modules are found by being here, and imported when an id is
first looked up; nothing needs to be listed.
"""

import importlib
import pkgutil


def load_all():
    """Import every check module and return {stem: error} of those that could not be imported."""
    errors = {}
    for module in pkgutil.iter_modules(__path__):
        try:
            importlib.import_module(f"{__name__}.{module.name}")
        except Exception as error:
            errors[module.name] = error
    return errors

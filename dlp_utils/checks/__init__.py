"""One module a chapter, `checks/<stem>.py`: what `dlp.check` asks of an answer.

How to write one stands in `dlp_utils.exercises`. Modules are found by being here, and imported when an id is
first looked up; nothing needs to be listed. Those whose names begin with an underscore are what the checks
stand on: how an answer is called safely, and how two results are compared.
"""

import importlib
import pkgutil


def load_all():
    """Import every check module and return {stem: error} of those that could not be imported."""
    errors = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        try:
            importlib.import_module(f"{__name__}.{module.name}")
        except Exception as error:
            errors[module.name] = error
    return errors

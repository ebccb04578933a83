"""The mark that ties a test to the equations it checks: `@verifies("eq-…")`."""


def verifies(*labels):
    """Record on the test function which labelled equations of the book it verifies."""
    wrong = [label for label in labels if not label.startswith("eq-")]
    if wrong or not labels:
        raise ValueError(f"@verifies takes labels that start with 'eq-', got {labels}")

    def mark(function):
        function.verifies = labels
        return function

    return mark

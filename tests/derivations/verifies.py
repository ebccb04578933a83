"""The mark that ties a test to the equations it checks, `@verifies("eq-…")`,
and how a simulation is judged.
"""

import math


def verifies(*labels):
    """Record on the test function which labelled equations of the book it
    verifies.
    """
    wrong = [label for label in labels if not label.startswith("eq-")]
    if wrong or not labels:
        raise ValueError(
            f"@verifies takes labels that start with 'eq-', got {labels}"
        )

    def mark(function):
        function.verifies = labels
        return function

    return mark


def mean_within(samples, expected, errors=5, sharp=0.02):
    """Assert that the mean of independent samples (n,) lies within `errors`
    standard errors of the expected value.

    sharp: the standard error must be below this share of the expected value
    (or below it, for zero), or the test would accept anything.
    """
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    off = abs(samples.mean() - expected)
    assert off < errors * error, (samples.mean(), expected, error)
    assert error < sharp * (abs(expected) or 1)

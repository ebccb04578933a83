"""What `dlp.check` asks of the exercises of the chapter Attention."""

from dlp_utils.exercises import exercise


def _cases(rng):
    yield (1.0,)
    yield (float(rng.normal()),)


@exercise(
    "attention-first",
    _cases,
    mistakes=[
        (lambda x: x * x, "That is the function. Its slope is wanted."),
        (lambda x: x, "The power rule has a factor 2 in front."),
    ],
)
def square_slope(x):
    return 2 * x

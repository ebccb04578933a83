"""The exercises of the chapter Attention: wrong answers that readers give, and the hint each must get."""

# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "attention-first": [
        (lambda x: x**2, "Its slope is wanted"),
        (lambda x: x, "factor 2"),
    ],
}

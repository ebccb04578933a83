"""Read a formula from a page and compute its value: fractions, roots, powers,
brackets, named functions, and the symbols of the page, which the caller names.
"""

import math
import re

FUNCTIONS = {
    **{name: getattr(math, name) for name in ("cos", "sin", "tan", "exp")},
    **{name: getattr(math, name) for name in ("tanh", "cosh", "log")},
    "max": max,
}
TOKEN = re.compile(r"\d+(?:\.\d+)?|\\[a-zA-Z]+|«\d+»|\S")
CLOSING = {"(": ")", "[": "]", "{": "}", "|": "|"}
SPACES = re.compile(
    r"\\[,;:! ]|&|\\\\|\\(?:q?quad|left|right|[bB]igg?[lr]?)\b"
)


def value_of(latex, values):
    """The value of one side of a formula; values: {LaTeX symbol: number}."""
    keys = sorted(values, key=len, reverse=True)
    names = {f"«{k}»": values[key] for k, key in enumerate(keys)}

    def mark(match):  # a symbol by its number; a command is left whole
        found = match[0]
        return f"«{keys.index(found)}»" if found in values else found

    known = [
        re.escape(key) + (r"(?![a-zA-Z])" if key[-1].isalpha() else "")
        if key.startswith("\\")
        else re.escape(key)
        for key in keys
    ]
    text = re.sub("|".join([*known, r"\\[a-zA-Z]+"]), mark, latex)
    text = SPACES.sub(" ", re.sub(r"\\begin\{.*?\}|\\end\{.*?\}", "", text))
    text = re.sub(r"\\[td]frac", r"\\frac", text)
    tokens, opened = TOKEN.findall(text), [""]

    def argument():  # of a fraction, root or power: one digit, or a group
        if tokens[0][0].isdigit() and len(tokens[0]) > 1:
            tokens[0], first = tokens[0][1:], tokens[0][0]
            return float(first)
        return atom()

    def atom():
        token = tokens.pop(0)
        if token in CLOSING:
            opened.append(token)
            inner = total(CLOSING[token])
            assert tokens.pop(0) == CLOSING[opened.pop()], latex
            return abs(inner) if token == "|" else inner
        if token in names:
            return names[token]
        if token == r"\frac":
            return argument() / argument()
        if token == r"\sqrt":
            return math.sqrt(argument())
        if token == r"\pi":
            return math.pi
        if token[1:] in FUNCTIONS and token[0] == "\\":
            return function(token[1:])
        if token == "e" and tokens and tokens[0] == "^":
            return math.e
        return float(token)  # raises for a symbol without a value

    def function(name):
        power = exponent()
        if tokens[0] in ("(", "["):
            close = CLOSING[tokens.pop(0)]
            inner = [total(close, ",")]
            while tokens[0] == ",":
                tokens.pop(0)
                inner.append(total(close, ","))
            assert tokens.pop(0) == close, latex
        else:  # log 2πσ²: all that is multiplied, up to the next function
            inner = [product(functions=False)]
        return FUNCTIONS[name](*inner) ** power

    def exponent():
        if tokens and tokens[0] == "^":
            tokens.pop(0)
            return -argument() if tokens[0] == "-" else argument()
        return 1

    def product(functions=True):
        result, stop = 1.0, set("+-)]},=")
        while tokens and tokens[0] not in stop:
            if tokens[0] == "|" == opened[-1]:
                break
            sign = tokens.pop(0) if tokens[0] in (r"\cdot", "/") else ""
            if not functions and tokens[0][1:] in FUNCTIONS:
                break
            base = atom()
            power = exponent()
            result *= base ** (-power if sign == "/" else power)
        return result

    def total(*ends):
        result, sign = 0.0, 1
        while tokens and tokens[0] not in ends:
            while tokens[0] in "+-":
                sign = -sign if tokens.pop(0) == "-" else sign
            before = len(tokens)
            result, sign = result + sign * product(), 1
            assert len(tokens) < before, (latex, tokens[0])
        return result

    result = total()
    assert not tokens, (latex, tokens)
    return result


def statements(latex):
    """[[side, side, …], …]: the formula's statements, split at each =."""
    latex = re.sub(r"\\begin\{aligned\}|\\end\{aligned\}", "", latex)
    parts = re.split(r"\\\\|,\s*\\q?quad|,\s*\\text\{and\}", latex)
    said = []
    for part in parts:
        sides = [side.strip(" &\n.,") for side in part.split("=")]
        if len(sides) == 1 or (not sides[0] and said):
            said[-1][-1] += " " + sides[0]  # a line that goes on
            said[-1] += sides[1:]
        else:
            said.append(sides)
    return said

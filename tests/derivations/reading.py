"""Read a formula from a page and compute the value of each of its sides.

The caller says what the symbols of the page stand for: a number, a vector or
matrix (with an index, `x_i`, one of its elements), a function (`\\sigma(z)`),
or, for an index without bounds (`\\sum_i`), the values that it takes.
"""

import functools
import itertools
import math
import re

import numpy as np
from scipy.linalg import fractional_matrix_power


def same(a, b):
    """Equal but for rounding; two whole numbers are equal or not."""
    if np.ndim(a) == np.ndim(b) == 0:
        a, b = float(a), float(b)
        if a.is_integer() and b.is_integer():
            return a == b
    return np.allclose(a, b, rtol=1e-6, atol=1e-9)


RELATIONS = {
    "=": same,
    r"\to": same,  # the caller gives the limit
    r"\propto": same,  # the caller divides both by their value at one place
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    r"\le": lambda a, b: a <= b + 1e-12,
    r"\ge": lambda a, b: a >= b - 1e-12,
}
NAMES = ("cos", "sin", "tan", "exp", "tanh", "cosh", "log", "sqrt")
FUNCTIONS = {rf"\{name}": getattr(math, name) for name in NAMES}
FUNCTIONS |= {
    r"\ln": math.log,
    r"\lb": math.log2,
    r"\lg": math.log10,
    r"\max": lambda *values: functools.reduce(np.maximum, values),
    r"\min": lambda *values: functools.reduce(np.minimum, values),
    r"\det": np.linalg.det,
    r"\diag": lambda v: np.diag(np.ravel(v)),
}
OF_A_PRODUCT = {  # E(Z - a)², tr(AB)^½: of all that follows, up to a sign
    r"\E": np.mean,
    r"\Var": np.var,
    r"\sd": np.std,
    r"\tr": np.trace,
}
OVER_AN_INDEX = {
    r"\sum": sum,
    r"\prod": math.prod,
    r"\max": max,
    r"\min": min,
}
CLOSING = {
    **{"(": ")", "[": "]", "{": "}", "|": "|", r"\lvert": r"\rvert"},
    r"\lfloor": r"\rfloor",
    r"\lVert": r"\rVert",
    r"\langle": r"\rangle",
}
SPACES = re.compile(
    r"\\[,;:! ]|&|\\\\(?:\[[^\]]*\])?|~"
    r"|\\(?:q?quad|left|right|displaystyle|boxed|[bB]igg?[lr]?)(?![a-zA-Z])"
)
TOKEN = re.compile(r"«\d+»|\d+(?:\.\d+)?|\\[a-zA-Z]+|\S")
SPLIT = re.compile(r"\\(?:le|ge|approx|to|propto)(?![a-zA-Z])|[=<>]")


WORDS = re.compile(  # a part of a line that states nothing to compute
    r"\(?\s*(?:\\text\{ ?(?:for|if|from|with|where|without)\b|\\Long|\Z)"
    r"|.*\\sim(?![a-zA-Z])|\(.*(?:\\ge|>).*\)[ .,]*\Z"
)


EDGES = re.compile(r"^(?:\\[,;:! ]|[\s&.,:])+|(?:\\[,;:! ]|\\$|[\s&.,:])+$")

START = re.compile(r"^(?:[&\s]|\\[;,]|\\q?quad(?![a-zA-Z]))+")
PREFIX = re.compile(r"(?:\\text\{[^}]*:\}|^[^\\&,]*:)[&\s]*\\quad")
GAP = re.compile(r",?\s*[&\s]*\\q?quad(?![a-zA-Z])")
GOES_ON = re.compile(
    r"(?:\\[;,]|\s|&)*(?:[-+=<>]|\\(?:cdot|le|ge|approx)(?![a-zA-Z]))"
)


def plain(latex):
    """One spelling for what has several: operators, spaces, fractions."""
    latex = re.sub(r"\\mathbb\s*E(?![a-zA-Z])", r"\\E", latex)
    latex = re.sub(r"\\log_(?:2|\{2\})", r"\\lb ", latex)
    latex = re.sub(r"\\log_\{10\}", r"\\lg ", latex)
    latex = re.sub(r"\\boxed\{(.*)\}", r"\1", latex, flags=re.S)
    latex = re.sub(r"\\operatorname\*?\{(\w+)\}", r"\\\1", latex)
    latex = re.sub(r"\\[td]frac(?![a-zA-Z])", r"\\frac", latex)
    latex = re.sub(r"(\\frac|\\sqrt|\^|_)\s*(\d)", r"\1{\2}", latex)
    latex = re.sub(r"(\\frac\{\d\})\s*(\d)", r"\1{\2}", latex)
    return re.sub(r"\s+", " ", latex)


def times(a, b, dot=False):
    """A product of numbers, vectors or matrices."""
    case_by_case = hasattr(a, "elementwise") or hasattr(b, "elementwise")
    if np.ndim(a) == 0 or np.ndim(b) == 0 or case_by_case:
        return a * b
    if dot:
        return np.sum(a * b)
    product = a @ b
    return product.item() if product.size == 1 else product


class Expression:
    """One side of a formula, read from left to right."""

    def __init__(self, latex, values):
        values = {plain(key): value for key, value in values.items()}
        keys = sorted(values, key=len, reverse=True)
        self.names = {f"«{k}»": values[key] for k, key in enumerate(keys)}
        known = [
            re.escape(key)
            + (r"(?![a-zA-Z])" if re.search(r"\\[a-zA-Z]+$", key) else "")
            for key in keys
        ]

        def mark(match):  # a symbol by its number; a command is left whole
            found = match[0]
            return f"«{keys.index(found)}»" if found in values else found

        text = re.sub("|".join([*known, r"\\[a-zA-Z]+"]), mark, plain(latex))
        text = re.sub(r"\\begin\{.*?\}|\\end\{.*?\}", "", text)
        self.latex, self.opened, self.at = latex, [""], 0
        self.tokens = TOKEN.findall(SPACES.sub(" ", text))

    @property
    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.next
        if not token or (wanted is not None and token != wanted):
            raise ValueError(
                f"{wanted or 'more'} expected, not '{token}': {self.latex}"
            )
        self.at += 1
        return token

    def value(self):
        result = self.total()
        if self.next:
            raise ValueError(f"what is {self.next} in {self.latex}?")
        return result

    def total(self):
        """Terms with + and - between them."""
        result, sign, start = 0.0, 1, self.at
        while self.next and not self.ends():
            while self.next in ("+", "-"):
                sign = -sign if self.take() == "-" else sign
            before = self.at
            term = self.product()
            if self.at == before:
                raise ValueError(f"what is {self.next} in {self.latex}?")
            result, sign = result + sign * term, 1
        if self.at == start:
            raise ValueError(f"a term is missing: {self.latex}")
        return result

    def ends(self):
        return self.next in (*")]},:;", r"\mid", r"\Vert", *RELATIONS) or (
            self.next == CLOSING.get(self.opened[-1])
        )

    def product(self, functions=True):
        """Factors, up to a sign; of an argument also up to a function."""
        result, first = 1.0, True
        while self.next and self.next not in "+-" and not self.ends():
            sign = ""
            if self.next in (r"\cdot", r"\times", r"\odot", r"\bmod", "/"):
                sign = self.take()
            if not (functions or first) and self.next in FUNCTIONS:
                break
            factor = self.power(self.atom())
            if sign == "/":
                result = result / factor
            elif sign == r"\bmod":
                result = result % factor
            elif sign == r"\odot":
                result = result * factor
            else:
                result = times(result, factor, dot=sign == r"\cdot")
            first = False
        return result

    def power(self, base):
        while self.next == "^":
            self.take()
            if self.next == r"\top":
                self.take()
                base = np.transpose(base)
                continue
            group = self.next == "{"
            if group:
                self.take()
            minus = group and self.next == "-"
            if minus and self.tokens[self.at + 1] == r"\top":
                self.at += 2
                base = np.linalg.inv(base).T
            else:
                exponent = self.total() if group else self.atom()
                if np.ndim(base) < 2:
                    base = base**exponent
                elif exponent == int(exponent):
                    base = np.linalg.matrix_power(base, int(exponent))
                else:
                    base = np.real(fractional_matrix_power(base, exponent))
            if group:
                self.take("}")
        return base

    def atom(self):
        token = self.take()
        if token in self.names:
            return self.symbol(self.names[token])
        if token in CLOSING:
            return self.inside(token)
        if token in (r"\underbrace", r"\overbrace"):
            value = self.atom()
            if self.next in ("_", "^"):
                self.take()
                start = self.at
                self.skip()
                said = "".join(self.tokens[start + 1 : self.at - 1])
                if re.fullmatch(r"\d\d+", said) and not same(value, int(said)):
                    raise ValueError(f"{said} stands at {value}: {self.latex}")
            return value
        if token == r"\frac":
            return self.atom() / self.atom()
        if token == r"\sqrt":
            return math.sqrt(self.atom())
        if token == r"\pi":
            return math.pi
        if token in OVER_AN_INDEX and self.next == "_":
            return self.over_an_index(OVER_AN_INDEX[token])
        if token in OF_A_PRODUCT:
            inner = self.atom() if self.next == "[" else self.product()
            return float(OF_A_PRODUCT[token](inner))
        if token in FUNCTIONS:
            return self.function(FUNCTIONS[token])
        if token == "e" and self.next == "^":
            return math.e
        return float(token)  # raises for a symbol without a value

    def inside(self, bracket):
        """What stands between brackets: a value, a norm, a condition."""
        self.opened.append(bracket)
        value = self.total()
        if self.next in RELATIONS and bracket == "[":
            value = float(RELATIONS[self.take()](value, self.total()))
        if self.next == "," and bracket == r"\langle":
            self.take()
            value = np.sum(value * self.total())
        self.take(CLOSING[self.opened.pop()])
        if bracket in ("|", r"\lvert"):
            return abs(value)
        if bracket == r"\lVert":
            return np.sqrt(np.sum(np.square(value)))
        if bracket == r"\langle" and np.ndim(value):
            return np.mean(value)
        return math.floor(value + 1e-9) if bracket == r"\lfloor" else value

    def skip(self):
        """A group that says something and has no value."""
        if self.take() == "{":
            while self.next != "}":
                self.skip()
            self.take()

    def symbol(self, value):
        """A number, an element of an array, the value of a function."""
        if self.next == "_" and hasattr(value, "__getitem__"):
            self.take()
            group = self.next == "{"
            if not group:
                return value[whole(self.atom())]
            self.take()
            index = []
            one_by_one = isinstance(value, np.ndarray) and value.ndim > 1
            one_by_one = one_by_one and not {*",+-"} & {*self.group()}
            while self.next != "}":
                index.append(
                    whole(self.atom() if one_by_one else self.total())
                )
                if self.next == ",":
                    self.take()
            self.take()
            return value[tuple(index) if len(index) > 1 else index[0]]
        return self.function(value) if callable(value) else value

    def group(self):
        """The tokens up to the end of this group."""
        end, depth = self.at, 0
        while depth or self.tokens[end] != "}":
            depth += {"{": 1, "}": -1}.get(self.tokens[end], 0)
            end += 1
        return self.tokens[self.at : end]

    def function(self, rule):
        exponent = None
        if self.next == "^":  # tanh² z
            self.take()
            exponent = self.atom()
        if self.next in ("(", "[", "{"):
            bracket = self.take()
            self.opened.append(bracket)
            values = [self.total()]
            while self.next in (",", ";", r"\mid", r"\Vert"):
                self.take()
                values.append(self.total())
            self.take(CLOSING[self.opened.pop()])
        else:  # log 2πσ²: all that is multiplied, up to the next function
            values = [self.product(functions=False)]
        value = rule(*values)
        return value if exponent is None else value**exponent

    def over_an_index(self, gather):
        """`\\sum_{k=1}^{n}`, or `\\sum_{i,j}` over what the caller named."""
        self.take("_")
        lower = self.next == "{"
        if lower:
            self.take()
        index = [self.take()]
        if lower:
            while self.next == ",":
                self.take()
                index.append(self.take())
        if self.next == "=" and lower:
            self.take()
            first = whole(self.total())
            self.take("}")
            self.take("^")
            domains, condition = [range(first, whole(self.atom()) + 1)], None
        else:
            condition = self.at + 1 if self.next == ":" else None
            while lower and self.next != "}":
                self.skip()  # n ∈ S: what n may be, the caller has said
            if lower:
                self.take("}")
            domains = [self.names[name] for name in index]
        start, before, values = self.at, dict(self.names), []
        for point in itertools.product(*domains):
            self.names |= dict(zip(index, point, strict=True))
            if condition and not self.is_met(condition):
                continue
            self.at = start
            values.append(self.product())
            end = self.at
        if not values:
            raise ValueError(f"a sum of nothing: {self.latex}")
        self.names, self.at = before, end
        return gather(values)

    def is_met(self, start):
        """A chain of relations, 0 ≤ i - o < K."""
        self.at = start
        value, met = self.total(), True
        while self.next in RELATIONS:
            relation = RELATIONS[self.take()]
            left, value = value, self.total()
            met = met and relation(left, value)
        return met


def whole(number):
    if abs(number - round(number)) > 1e-9:
        raise ValueError(f"{number} is no index")
    return round(number)


def value_of(latex, values):
    """The value of one side of a formula; values: {LaTeX symbol: value}."""
    return Expression(latex, values).value()


def cut(latex, pattern):
    """(what the pattern found, what follows) of each piece, outside of
    brackets; the first piece follows nothing.
    """
    pieces, depth, start, found, at = [], 0, 0, "", 0
    while at < len(latex):
        match = pattern.match(latex, at)
        if match and not depth:
            pieces.append((found, latex[start:at]))
            found, start = match[0], match.end()
        if match:
            at = match.end()
            continue
        depth += {"{": 1, "}": -1, "[": 1, "]": -1, "(": 1, ")": -1}.get(
            latex[at], 0
        )
        at += 1
    return [*pieces, (found, latex[start:])]


def statements(latex):
    """[(sides, relations between them), …], one for each statement."""
    latex = plain(latex)
    latex = re.sub(r"\\begin\{aligned\}|\\end\{aligned\}", "", latex)
    said = []
    for _, line in cut(latex, re.compile(r"\\\\(?:\[.*?\])?")):
        line = PREFIX.sub("", START.sub("", line))
        for _, part in cut(line, GAP):
            pieces = cut(part, SPLIT)
            sides = [EDGES.sub("", side) for _, side in pieces]
            relations = [relation for relation, _ in pieces[1:]]
            bare = re.sub(r"_\{[^{}]*\\text\{[^{}]*\}[^{}]*\}", "", part)
            if WORDS.match(part) or (r"\text{" in bare and not relations):
                continue
            if said and (not relations or GOES_ON.match(part)):
                said[-1][0][-1] += " " + sides[0]
                said[-1] = (said[-1][0] + sides[1:], said[-1][1] + relations)
            else:
                said.append((sides, relations))
    return said


def agrees(latex, values):
    """Does each statement of a formula hold for these values?"""
    said, compared = statements(latex), 0
    for sides, relations in said:
        numbers = [value_of(side, values) for side in sides]
        for relation, (left, right), printed in zip(
            relations, itertools.pairwise(numbers), sides[1:], strict=True
        ):
            compared += 1
            if relation == r"\approx":
                holds = abs(left - right) <= half_a_digit(printed)
            elif relation in RELATIONS:
                holds = RELATIONS[relation](left, right)
            else:
                raise ValueError(f"{relation} is not compared: {latex}")
            if not np.all(holds):
                return False
    if not compared:
        raise ValueError(f"nothing to compare: {latex}")
    return True


def half_a_digit(number):
    digits = re.match(r"\d+\.?(\d*)", number)[1]
    return 0.5001 * 10.0 ** -len(digits)


def is_reached(latex, values):
    """Are both sides of each bound equal for these values?"""
    for sides, relations in statements(latex):
        numbers = [value_of(side, values) for side in sides]
        pairs = itertools.pairwise(numbers)
        for relation, (left, right) in zip(relations, pairs, strict=True):
            if relation in (r"\le", r"\ge") and not same(left, right):
                return False
    return True

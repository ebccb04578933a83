"""Formulas that are one expression are read from the page and evaluated.

The test of a claim checks what its author typed; here nothing is typed again.
Symbols without a range (GIVEN) are computed in another way than the formula.
"""

import math
import random

import numpy as np
import pytest

import printed
import reading

PAGES = [
    printed.formulas(path.read_text(encoding="utf-8"))
    for path in (printed.ROOT / "book").glob("*.md")
]
FORMULAS = {x: latex for page in PAGES for x, latex in page.items()}


def slope(function, x, h=1e-5):
    return (function(x + h) - function(x - h)) / (2 * h)


def lowest(function, low, high):
    """Where a function with one valley has its minimum."""
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if function(a) < function(b) else (a, high)
    return (low + high) / 2


def settled(step, start=0.5):
    for _ in range(5000):
        start = step(start)
    return start


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def softplus(z):
    return math.log(1 + math.exp(z))


def cross_entropy(z, y):
    return -y * math.log(sigmoid(z)) - (1 - y) * math.log(1 - sigmoid(z))


def known_error(h, e, F, M):
    return e * F / h + h**2 * M / 6


def best_h(e, F, M):
    return lowest(lambda h: known_error(h, e, F, M), 1e-3, 50)


def snr_density(lam):
    """Share of time per log SNR on λ = -2 log tan(πr/2)."""
    r = math.atan(math.exp(-lam / 2)) * 2 / math.pi
    return 1 / abs(
        slope(lambda r: -2 * math.log(math.tan(math.pi * r / 2)), r)
    )


def left_over(s, a, b, of_x, of_noise):
    """Error of the best guess of of_x·x + of_noise·ε from a·x + b·ε."""
    cov = np.diag([s**2, 1.0])
    want, seen = np.array([of_x, of_noise]), np.array([a, b])
    return want @ cov @ want - (want @ cov @ seen) ** 2 / (seen @ cov @ seen)


def linear_elbo(x, w, m, s, sigma):
    z, weights = np.polynomial.hermite_e.hermegauss(40)
    z, weights = m + s * z, weights / weights.sum()

    def log_normal(x, mean, scale):
        return -((x - mean) ** 2) / (2 * scale**2) - np.log(
            scale * np.sqrt(2 * np.pi)
        )

    values = log_normal(x, w * z, sigma) + log_normal(z, 0, 1)
    return weights @ (values - log_normal(z, m, s))


def painted_error(previous, g, q, nu):
    return (1 - g) ** 2 * (previous + q**2) + g**2 * nu**2


def coin(r, q, nu):
    """Gain and error where both have settled, the best gain by search."""

    def gain(P):
        V = (1 - r) * P + q**2
        return lowest(lambda g: (1 - g) ** 2 * V + g**2 * nu**2, 0, 1)

    P = 0.3
    for _ in range(200):
        g = gain(P)
        P = painted_error((1 - r) * P, g, q, nu)
    return g, P


def growth(lam, tau, sigma):
    linear = [[-1, lam], [lam, -lam * tau]]
    return max(np.linalg.eigvals(np.array(linear) / sigma**2).real)


UNIT = (0.1, 0.9)
WIDE = (0.3, 3.0)
ANY = (-3.0, 3.0)
# label: ({symbol: range}, {symbol: function of the values in this order})
READ = {
    "eq-backpropagation-tanh": (
        {"z": ANY},
        {
            r"\tanh'(z)": lambda z: slope(math.tanh, z),
            r"\sigma(2z)": lambda z: sigmoid(2 * z),
        },
    ),
    "eq-backpropagation-bce-logits": (
        {"z": ANY, "y": UNIT},
        {r"\ell": cross_entropy, "s(z)": lambda z, y: softplus(z)},
    ),
    "eq-backpropagation-bce": (
        {"z": ANY, "y": UNIT},
        {r"\ell": cross_entropy},
    ),
    "eq-backpropagation-best-h": (
        {r"\varepsilon": UNIT, "F": WIDE, "M": WIDE},
        {
            r"h^\ast": best_h,
            r"E(h^\ast)": lambda *v: known_error(best_h(*v), *v),
        },
    ),
    "eq-diffusion-weight": (
        {r"\lambda_{t-1}": ANY, r"\lambda_t": ANY},
        {
            "W_t": lambda a, b: (math.exp(a - b) - 1) / 2,
            r"\operatorname{SNR}(t-1)": lambda a, b: math.exp(a),
            r"\operatorname{SNR}(t)": lambda a, b: math.exp(b),
        },
    ),
    "eq-diffusion-cosine-density": (
        {r"\lambda": ANY},
        {
            r"\chi(\lambda)": snr_density,
            r"\Bigl|\frac{d(t/T)}{d\lambda}\Bigr|": snr_density,
        },
    ),
    "eq-diffusion-velocity-weight": (
        {r"\lambda": ANY},
        {r"\chi(\lambda)": snr_density},
    ),
    "eq-diffusion-leak": (
        {"a_T": UNIT, "b_T": UNIT, "m": WIDE, "d": (1, 9)},
        {r"\operatorname{SNR}(T)": lambda a, b, m, d: a**2 / b**2},
    ),
    "eq-diffusion-zero-terminal": (
        {
            r"\bar\alpha_1": (0.8, 0.99),
            r"\bar\alpha_t": (0.3, 0.7),
            r"\bar\alpha_T": (0.01, 0.2),
        },
        {
            r"\sqrt{\bar\alpha'_t}": lambda first, now, last: np.interp(
                now**0.5, [last**0.5, first**0.5], [0, first**0.5]
            )
        },
    ),
    "eq-eeg-classification-sensitivity": (
        {"E": WIDE, r"\sigma": WIDE, "P": (1, 40)},
        {
            r"D_\text{pow}": lambda E, s, P: E / s**2 / (2 * P) ** 0.5,
            r"D_\text{lin}": lambda E, s, P: math.sqrt(E) / s,
        },
    ),
    "eq-segmentation-inside-cell": (
        {"f": UNIT},
        {"z": lambda f: (f - 0.5) / 2 / (1.5 - f)},
    ),
    "eq-segmentation-dice-iou": (
        {"J": UNIT},
        {"D": lambda J: 2 * J / (1 + J)},
    ),
    "eq-segmentation-plateau": (
        {r"\pi": UNIT, "p": UNIT},
        {
            r"\frac{dL_\text{BCE}}{dp}": lambda c, p: slope(
                lambda p: -c * math.log(p) - (1 - c) * math.log(1 - p), p
            ),
            r"\frac{dL_\text{Dice}}{dp}": lambda c, p: slope(
                lambda p: 1 - 2 * c * p / (c + p), p
            ),
        },
    ),
    "eq-segmentation-overshoot": ({r"\alpha": UNIT}, {}),
    "eq-segmentation-align": (
        {"i": (0, 1), "m": (2, 9), "n": (3, 9)},
        {
            "x_i": lambda i, m, n: np.interp(i + 0.5, [0, m], [-0.5, n - 0.5]),
            "x_i'": lambda i, m, n: np.interp(i, [0, m - 1], [0, n - 1]),
        },
    ),
    "eq-segmentation-seam": (
        {r"\eta": WIDE, "h": WIDE, r"\tilde y": ANY, "y_t": ANY},
        {},
    ),
    "eq-video-generation-linear-elbo": (
        {"x": ANY, "w": ANY, r"\mu": ANY, "s": WIDE, r"\sigma": WIDE},
        {r"\text{ELBO}": linear_elbo},
    ),
    "eq-video-generation-saddle": (
        {r"\lambda": WIDE, r"\tau": WIDE, r"\sigma": WIDE},
        {"r": growth},
    ),
    "eq-video-generation-mix-error": (
        {r"\E e_{t-1}^2": WIDE, "g": UNIT, "q": WIDE, r"\nu": WIDE},
        {r"\E e_t^2": painted_error},
    ),
    "eq-video-generation-forced": (
        {"q": WIDE, r"\nu": WIDE},
        {
            r"g_\text{forced}": lambda q, nu: lowest(
                lambda g: painted_error(0, g, q, nu), 0, 1
            )
        },
    ),
    "eq-video-generation-rollout": (
        {"g": UNIT, "q": WIDE, r"\nu": WIDE},
        {
            "P(g)": lambda g, q, nu: settled(
                lambda P: painted_error(P, g, q, nu)
            )
        },
    ),
    "eq-video-generation-coin": (
        {"r": UNIT, "q": WIDE, r"\nu": WIDE},
        {
            "g_r": lambda *v: coin(*v)[0],
            "P_r": lambda *v: coin(*v)[1],
            "V_r": lambda r, q, nu: (1 - r) * coin(r, q, nu)[1] + q**2,
        },
    ),
    "eq-video-generation-schedule-mean": (
        {"R": UNIT, "n": (2, 30)},
        {
            r"\frac1T\sum_k\frac{\beta_k}{\beta_{\max}}": lambda R, n: (
                ((R * n - 1) / 2 + n - R * n) / n
            )
        },
    ),
}


def sides_of(latex, label, seed):
    """The values of all sides of each statement, with random numbers."""
    ranges, given = READ[label]
    draw = random.Random(f"{label} {seed}")
    values = {x: draw.uniform(*ends) for x, ends in ranges.items()}
    numbers = list(values.values())
    values |= {x: rule(*numbers) for x, rule in given.items()}
    for sides in reading.statements(latex):
        sides = [side.removesuffix("<0") for side in sides]
        yield [reading.value_of(side, values) for side in sides]


@pytest.mark.parametrize("label", READ)
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_of_the_printed_formula_agree(label, seed):
    said = list(sides_of(FORMULAS[label], label, seed))
    assert said and all(len(sides) > 1 for sides in said)
    for first, *others in said:
        assert others == pytest.approx([first] * len(others), rel=1e-6)


@pytest.mark.parametrize(
    ("label", "old", "new"),
    [
        ("eq-video-generation-saddle", r"+\sqrt", r"-\sqrt"),
        ("eq-video-generation-linear-elbo", r"-1-\log", r"-1+\log"),
        ("eq-segmentation-dice-iou", r"\frac{2J}{1+J}", r"\frac{1+J}{2J}"),
        ("eq-diffusion-weight", r"\lambda_{t-1}-\lambda_t", r"\lambda_t"),
        ("eq-backpropagation-tanh", r"\tanh^2", r"\tanh"),
    ],
)
def test_an_error_in_print_is_noticed(label, old, new):
    printed_wrong = FORMULAS[label].replace(old, new)
    assert printed_wrong != FORMULAS[label]
    good = sides_of(FORMULAS[label], label, 0)
    bad = sides_of(printed_wrong, label, 0)
    assert all(
        sides == pytest.approx([sides[0]] * len(sides)) for sides in good
    )
    assert not all(
        sides == pytest.approx([sides[0]] * len(sides)) for sides in bad
    )


def test_a_symbol_without_a_value_is_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        reading.value_of("a + b", {"a": 1.0})

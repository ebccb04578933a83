import itertools
import math

import numpy as np
import torch
from torch.nn import functional as F

from ways import (
    ANY,
    UNIT,
    WIDE,
    after,
    cases,
    draws,
    gradient,
    lowest,
    normal,
    normal_below,
    root,
    settled,
    sigmoid,
    slope,
    softplus,
    vector,
)

NORMAL = {
    r"\sigma": sigmoid,
    "s": softplus,
    r"\Phi": normal_below,
    r"\varphi_1": normal,
}


def stepped(optimizer, theta, gradients, **options):
    """A weight after steps of torch's optimizer with these gradients."""
    weight = torch.tensor(float(theta), dtype=torch.float64)
    weight.requires_grad_()
    steps = getattr(torch.optim, optimizer)([weight], **options)
    for one in gradients:
        weight.grad = torch.tensor(float(one), dtype=torch.float64)
        steps.step()
    return weight.item()


def momentum(g, mu):
    return after(len(g), lambda v, k: mu * v + g[k], np.zeros(g.shape[1]))


def quadratic_errors(e, lam, eta, mu):
    """Errors of three steps with momentum on λe²/2."""
    found, v = [e], 0.0
    for _ in range(3):
        v = mu * v + lam * found[-1]
        found.append(found[-1] - eta * v)
    return found


def best_rates(low, high):
    """(μ, η) whose slower direction is as fast as can be."""

    def fastest(eta, mu):
        roots = [
            np.roots([1, -(1 + mu - eta * lam), mu]) for lam in (low, high)
        ]
        return max(abs(r) for pair in roots for r in pair)

    def ends(root_mu):  # where both ends begin to be complex
        return (1 + root_mu) ** 2 * low - (1 - root_mu) ** 2 * high

    root_mu = root(ends, 0, 1)
    eta = (1 + root_mu) ** 2 / high
    best = fastest(eta, root_mu**2)
    for d_eta, d_mu in itertools.product([-1e-3, 0, 1e-3], repeat=2):
        assert fastest(eta + d_eta, root_mu**2 + d_mu) > best - 1e-6
    return root_mu**2, eta


def nesterov(g, mu, eta, phi):
    """φ and v before and after the step with the gradient g[1]."""
    v = mu * np.zeros(2) + g[0]
    phi = phi - eta * v
    new = mu * v + g[1]
    return phi, v, phi - eta * new, new


def average(values, beta):
    return after(
        len(values), lambda m, k: beta * m + (1 - beta) * values[k], 0.0
    )


def batches(points, b, again):
    """The mean squared distance of a batch's gradient from all's."""
    choose = itertools.product if again else itertools.combinations
    chosen = choose(
        range(len(points)), **({"repeat": b} if again else {"r": b})
    )
    off = [points[list(c)].mean(axis=0) - points.mean(axis=0) for c in chosen]
    return np.mean(np.square(off).sum(axis=1))


def spread(points):
    return np.cov(points.T, bias=True)


def normalized(x, epsilon):
    return (x - x.mean()) / np.sqrt(x.var() + epsilon)


def of_direction(w):
    """A loss that does not change with the length of w."""
    w = w / np.linalg.norm(w)
    return w[0] ** 3 + 2 * w[1] * w[2] - w[2]


def smoothed(alpha, classes):
    """The logit of the true class, all others .7, where the loss is lowest."""

    def loss(z):
        logits = torch.full((1, classes), 0.7, dtype=torch.float64)
        logits[0, 0] = z
        how = {"label_smoothing": alpha}
        return F.cross_entropy(logits, torch.tensor([0]), **how).item()

    return root(lambda z: slope(loss, z), 0, 50)


def noisy_squares(k, lam, tau, b):
    """E[e_k²] over all signs of the noises."""
    size = tau / math.sqrt(b)
    noise = draws([-size, size], k)
    end = after(
        k, lambda e, i: e - (lam * e + noise[i]) / (lam * (i + 1)), 1.7
    )
    return float(np.mean(end**2))


def dropped(x, q):
    """All cases of x/(1-q) or zero; q in fifths."""
    keep = 5 - round(5 * q)
    return cases([x / (1 - q)] * keep + [0.0] * (5 - keep))


def dropped_both(x, q):
    one, two = (dropped(value, q) for value in x)
    return [cases(np.repeat(one, 5)), cases(np.tile(two, 5))]


FIFTHS = {"fifths": range(1, 5)}
READ = {
    "eq-training-contraction": (
        {
            r"\eta": UNIT,
            r"\lambda": WIDE,
            "k": range(1, 6),
            r"\theta_0": ANY,
            r"\theta^\ast": ANY,
        },
        {
            r"\theta_k": lambda eta, lam, k, start, best: after(
                k, lambda x, _: x - eta * lam * (x - best), start
            )
        },
    ),
    "eq-training-best-rate": (
        {r"\lambda": lambda rng: np.sort(rng.uniform(0.2, 4, size=4))},
        {
            r"\eta^\ast": lambda lam: lowest(
                lambda eta: np.abs(1 - eta * lam).max(), 0, 20
            ),
            r"\lambda_{\max}": max,
            r"\lambda_{\min}": min,
            r"\kappa": lambda lam: lam[-1] / lam[0],
        },
        {"i": range(4)},
    ),
    "eq-training-momentum-sum": (
        {r"\mathbf g": lambda rng: rng.normal(size=(5, 2)), r"\mu": UNIT},
        {
            r"\mathbf v_k": momentum,
            r"\mathbf g": lambda g, mu: np.vstack([g[:1], g]),  # from 1
        },
        {"k": 5},
    ),
    "eq-training-momentum-recursion": (
        {"e": ANY, r"\lambda": WIDE, r"\eta": UNIT, r"\mu": UNIT},
        {
            "e_k": lambda *v: quadratic_errors(*v)[3],
            "e_{k-1}": lambda *v: quadratic_errors(*v)[2],
            "e_{k-2}": lambda *v: quadratic_errors(*v)[1],
        },
    ),
    "eq-training-momentum-best": (
        {r"\lambda_{\min}": (0.1, 1), r"\lambda_{\max}": (2, 9)},
        {
            r"\mu": lambda *ends: best_rates(*ends)[0],
            r"\eta": lambda *ends: best_rates(*ends)[1],
            r"\kappa": lambda low, high: high / low,
        },
    ),
    "eq-training-nesterov": (
        {
            "g": lambda rng: rng.normal(size=(2, 2)),
            r"\mu": UNIT,
            r"\eta": UNIT,
            "phi": vector(2),
        },
        {
            r"\boldsymbol\phi_{k-1}": lambda *v: nesterov(*v)[0],
            r"\mathbf v_{k-1}": lambda *v: nesterov(*v)[1],
            r"\boldsymbol\phi_k": lambda *v: nesterov(*v)[2],
            r"\mathbf v_k": lambda *v: nesterov(*v)[3],
            r"\mathbf g_k": lambda g, *_: g[1],
        },
    ),
    "eq-training-adam-bias": (
        {
            r"\beta_1": UNIT,
            r"\beta_2": UNIT,
            "k": range(1, 6),
            r"\E[\mathbf g]": ANY,
            r"\E[\mathbf g^2]": WIDE,
        },
        {
            r"\E[\mathbf m_k]": lambda b1, b2, k, g, _: average([g] * k, b1),
            r"\E[\mathbf s_k]": lambda b1, b2, k, _, g: average([g] * k, b2),
        },
    ),
    "eq-training-adam-uncorrected": (
        {r"\beta_1": UNIT, r"\beta_2": UNIT, r"\mathbf g_1": ANY},
        {
            r"\mathbf m_1": lambda b1, _, g: average([g], b1),
            r"\mathbf s_1": lambda _, b2, g: average([g * g], b2),
        },
        {r"\operatorname{sign}": np.sign},
    ),
    "eq-training-adam-first": (
        {
            r"\theta_0": ANY,
            r"\mathbf g_1": ANY,
            r"\eta": UNIT,
            r"\epsilon": UNIT,
        },
        {
            r"\theta_1": lambda start, g, eta, epsilon: stepped(
                "Adam", start, [g], lr=eta, eps=epsilon
            )
        },
    ),
    "eq-training-adam-scale": (
        {"a": WIDE, r"\hat{\mathbf m}": ANY, r"\hat{\mathbf s}": WIDE},
        {},
    ),
    "eq-training-l2": (
        {
            r"\eta": UNIT,
            r"\rho": UNIT,
            r"\theta_{k-1}": ANY,
            r"\mathbf g_k": ANY,
        },
        {
            r"\theta_k": lambda eta, rho, start, g: stepped(
                "SGD", start, [g], lr=eta, weight_decay=rho
            )
        },
    ),
    "eq-training-adam-l2": (
        {r"\theta_0": (-0.4, 0.4), r"\eta": (0.5, 0.9), "rho": UNIT},
        {
            r"\theta_1": lambda start, eta, rho: stepped(
                "Adam", start, [0], lr=eta, weight_decay=rho, eps=0
            )
        },
        {r"\operatorname{sign}": np.sign},
    ),
    "eq-training-noise": (
        {"points": lambda rng: rng.normal(size=(4, 2)), "b": range(1, 4)},
        {
            r"\E[\mathbf g_b]": lambda p, b: draws(p[:, 0], b).mean(),
            r"\mathbf g": lambda p, b: p[:, 0].mean(),
            r"\E\lVert\mathbf g_b-\mathbf g\rVert^2": lambda p, b: batches(
                p, b, again=True
            ),
            r"\boldsymbol\Sigma": lambda p, b: spread(p),
        },
    ),
    "eq-training-noise-finite": (
        {"points": lambda rng: rng.normal(size=(5, 2)), "b": range(1, 5)},
        {
            r"\E\lVert\mathbf g_b-\mathbf g\rVert^2": lambda p, b: batches(
                p, b, again=False
            ),
            r"\boldsymbol\Sigma": lambda p, b: spread(p),
        },
        {"N": 5},
    ),
    "eq-training-floor": (
        {r"\eta": UNIT, r"\lambda": WIDE, r"\tau": WIDE, "b": (1, 9)},
        {
            r"\E[e_k^2]": lambda eta, lam, tau, b: settled(
                lambda Q: (1 - eta * lam) ** 2 * Q + eta**2 * tau**2 / b
            )
        },
    ),
    "eq-training-cosine-mean": ({"T": range(1, 30)}, {}),
    "eq-training-robbins-monro": (
        {
            r"\lambda": WIDE,
            "k": range(1, 6),
            r"\xi": lambda rng: rng.normal(size=6),
            r"\tau": WIDE,
            "b": (1, 9),
        },
        {
            "e_k": lambda lam, k, xi, *_: after(
                k,
                lambda e, i: e - (lam * e + xi[i + 1]) / (lam * (i + 1)),
                1.7,
            ),
            r"\E[e_k^2]": lambda lam, k, xi, tau, b: noisy_squares(
                k, lam, tau, b
            ),
        },
    ),
    "eq-training-slopes": (
        {"z": ANY},
        {
            r"\operatorname{SiLU}'(z)": lambda z: slope(
                lambda z: z * sigmoid(z), z
            ),
            r"\operatorname{GELU}'(z)": lambda z: slope(
                lambda z: z * normal_below(z), z
            ),
            r"\operatorname{Mish}'(z)": lambda z: slope(
                lambda z: z * math.tanh(softplus(z)), z
            ),
        },
        NORMAL,
    ),
    "eq-training-gelu-max": (
        {},
        {
            r"\max_z\operatorname{GELU}'(z)": lambda: (
                lambda z: slope(lambda z: z * normal_below(z), z)
            )(lowest(lambda z: -slope(lambda z: z * normal_below(z), z), 0, 4))
        },
        NORMAL,
    ),
    "eq-training-norm-gradient": (
        {"x": vector(5), "g": vector(5), r"\epsilon": UNIT, "m": range(5)},
        {
            r"\frac{\partial L}{\partial x_m}": lambda x, g, e, m: gradient(
                lambda x: g @ normalized(x, e), x
            )[m],
            "u_S": lambda x, *_: x.var(),
            r"\hat x": lambda x, g, e, m: normalized(x, e),
        },
        {"M": 5, "n": range(5)},
    ),
    "eq-training-norm-scale": (
        {r"\mathbf w": vector(3), "a": WIDE},
        {
            r"\nabla L(\mathbf w)": lambda w, a: gradient(of_direction, w),
            r"\nabla L(a\mathbf w)": lambda w, a: gradient(
                of_direction, a * w
            ),
        },
    ),
    "eq-training-norm-growth": (
        {r"\mathbf w_{k-1}": vector(3), r"\eta": UNIT},
        {
            r"\nabla L(\mathbf w_{k-1})": lambda w, _: gradient(
                of_direction, w
            ),
            r"\mathbf w_k": lambda w, eta: w - eta * gradient(of_direction, w),
        },
    ),
    "eq-training-dropout": (
        {"x": ANY, **FIFTHS},
        {
            "q": lambda x, k: k / 5,
            r"\omega": lambda x, k: cases([1.0] * (5 - k) + [0.0] * k),
            r"\tilde x": lambda x, k: dropped(x, k / 5),
        },
    ),
    "eq-training-dropout-penalty": (
        {r"\theta": vector(2), "x": vector(2), "y": ANY, **FIFTHS},
        {
            "q": lambda *v: v[-1] / 5,
            r"\tilde x": lambda theta, x, y, k: dropped_both(x, k / 5),
        },
        {"i": range(2)},
    ),
    "eq-training-smoothing-gap": (
        {r"\alpha": UNIT, "C": range(2, 9)},
        {"z_y": smoothed, "z_i": lambda a, c: 0.7},
    ),
}

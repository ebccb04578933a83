import numpy as np
import torch

from dlp_utils.models.transformers import GPT, Config
from ways import WIDE, draws, gradient, matrix, vector


def model(V, D, K):
    """The weights of a table, K of torch's blocks and a last norm."""
    layers = [torch.nn.Embedding(V, D), torch.nn.LayerNorm(D)]
    layers += [torch.nn.TransformerEncoderLayer(D, 1, 4 * D)] * K
    return sum(p.numel() for layer in layers for p in layer.parameters())


def work(n, V, D, K):
    """Multiplications for one token that looks at n."""
    matrices = D * 3 * D + D * D + D * 4 * D + 4 * D * D
    return K * (matrices + n * D + n * D) + V * D


def cached(K, D, T):
    """Numbers that a model keeps of T positions, in all blocks."""
    model = GPT(Config(vocab=5, width=D, heads=1, layers=K, length=T))
    kept = model(torch.zeros(1, T, dtype=torch.long))[1]
    return sum(part.numel() for block in kept for part in block)


def logit_variance(h, sigma):
    """Each entry of the row is σ or -σ: all cases of h·row."""
    rows = draws([-sigma, sigma], len(h))
    return np.var(h @ np.asarray(rows))


def adapted(x, W, A, B, alpha):
    return x @ W + alpha * x @ A @ B


def with_respect_to(place):
    """The gradient of W, A or B."""

    def found(*values):
        *factors, bar = values

        def loss(one):
            others = [*factors[:place], one, *factors[place + 1 :]]
            return (bar * adapted(*others)).sum()

        return gradient(loss, factors[place])

    return found


LORA = {
    r"\mathbf x": matrix(4, 3),
    r"\mathbf W": matrix(3, 5),
    r"\mathbf A": matrix(3, 2),
    r"\mathbf B": matrix(2, 5),
    r"\alpha": WIDE,
}


def normed(rng):
    h = rng.normal(size=4)
    return h * 2 / np.linalg.norm(h)


READ = {
    "eq-transformers-count": (
        {"V": range(3, 9), "D": range(2, 9), "K": range(1, 5)},
        {"N": model},
    ),
    "eq-transformers-macs": (
        {
            "n": range(2, 9),
            "V": range(3, 9),
            "D": range(2, 9),
            "K": range(1, 5),
        },
        {"C(n)": work},
    ),
    "eq-transformers-logit-variance": (
        {"h": normed, r"\sigma": WIDE},
        {
            r"\operatorname{Var}(y_v)": logit_variance,
            "h": lambda h, _: [None, *h],  # from 1
        },
        {"D": 4},
    ),
    "eq-transformers-saved": (
        {"T": range(2, 20), "K": range(2, 9), "D": range(2, 9)},
        {},
    ),
    "eq-transformers-memory": (
        {"K": range(2, 5), "D": range(2, 9, 2), "T": range(2, 9)},
        {r"\text{numbers in the cache}": cached},
    ),
    "eq-transformers-mixed-gradient": (
        {
            "n_a": range(1, 9),
            "n_u": range(1, 9),
            r"\nabla L_a": vector(3),
            r"\nabla L_u": vector(3),
        },
        {
            r"\nabla L_\text{all}": lambda a, u, of_a, of_u: np.mean(
                [of_a] * a + [of_u] * u, axis=0
            )
        },
    ),
    "eq-transformers-lora-count": (
        {"r": range(2, 9), "d": range(2, 9), "e": range(2, 9)},
        {
            "": lambda r, d, e: sum(
                layer.weight.numel()
                for layer in (torch.nn.Linear(d, r), torch.nn.Linear(r, e))
            )
        },
    ),
    "eq-transformers-lora-gradient": (
        LORA | {"bar": matrix(4, 5)},
        {
            r"\mathbf G": with_respect_to(1),
            r"\bar{\mathbf A}": with_respect_to(2),
            r"\bar{\mathbf B}": with_respect_to(3),
        },
    ),
    "eq-transformers-lora-merge": (LORA, {}),
}

"""The exercises of the chapter on training: wrong answers that readers give, and the hint each must get."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def schedule(k, T, w, peak, start=None, first=1):
    if k >= T:
        return 0.0
    if k < w:
        return peak * (k + first) / w
    start = w if start is None else start
    return peak / 2 * (1 + math.cos(math.pi * (k - start) / (T - start)))


def product_schedule(k, T, w, peak):
    ramp = min(1, (k + 1) / w) if w else 1
    return peak * ramp * (1 + math.cos(math.pi * min(k, T) / T)) / 2


def schedule_by_sine(k, T, w, peak):
    if k < w:
        return peak / w * (k + 1)
    share = min(1.0, (k - w) / (T - w))
    return peak * math.cos(math.pi * share / 2) ** 2


def adam(gradients, theta, lr, b1, b2, eps, correct_m=True, correct_s=True, first=1, inside=False, sign=-1.0):
    m = np.zeros_like(theta)
    s = np.zeros_like(theta)
    theta = theta.copy()
    with np.errstate(all="ignore"):
        for i in range(len(gradients)):
            m += (1 - b1) * (gradients[i] - m)
            s += (1 - b2) * (gradients[i] * gradients[i] - s)
            k = i + first
            top = m / (1 - b1**k) if correct_m else m
            low = s / (1 - b2**k) if correct_s else s
            theta = theta + sign * lr * top / (np.sqrt(low + eps) if inside else np.sqrt(low) + eps)
    return theta


def adam_by_rate(gradients, theta, lr, b1, b2, eps):
    """The paper's other order: both corrections in the rate and in epsilon."""
    m = s = 0.0
    for k, g in enumerate(gradients, 1):
        m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g * g
        root = math.sqrt(1 - b2**k)
        theta = theta - lr * root / (1 - b1**k) * m / (np.sqrt(s) + eps * root)
    return theta


def adam_entry_by_entry(gradients, theta, lr, b1, b2, eps):
    columns = [adam(gradients[:, [i]], theta[[i]], lr, b1, b2, eps) for i in range(len(theta))]
    return np.concatenate(columns)


def dropout_in_a_loop(x, u, q, training):
    out = x.astype(np.float32)
    for place in np.ndindex(x.shape):
        if training:
            out[place] = 0 if u[place] < q else x[place] / (1 - q)
    return out


def shares(model, batches, weight, zero=True, step=False):
    """Each batch's mean loss, times `weight(its size, all sizes)`, backward."""
    sizes = [len(y) for _, y in batches]
    if zero:
        model.zero_grad()
    for (x, y), size in zip(batches, sizes, strict=True):
        (F.cross_entropy(model(x), y) * weight(size, sizes)).backward()
    if step:
        torch.optim.SGD(model.parameters(), lr=0.1).step()


def zero_each_time(model, batches):
    for x, y in batches:
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()


def all_at_once(model, batches):
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    for p in model.parameters():
        p.grad = None
    F.cross_entropy(model(x), y).backward()


def by_grad(model, batches):
    weights = list(model.parameters())
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in batches)
    for p, g in zip(
        weights, torch.autograd.grad(loss / sum(len(y) for _, y in batches), weights), strict=True
    ):
        p.grad = g


def groupnorm(
    dy, x, gamma, groups, eps=1e-5, mean=True, variance=True, scale=True, late=False, over_batch=False
):
    """Group by group, picture by picture."""
    n, c = x.shape[:2]
    size = c // groups
    gamma = gamma[:, None, None]
    g = dy * gamma if scale and not late else dy
    x_hat, dx = np.empty_like(x), np.empty_like(x)
    pictures = [slice(None)] if over_batch else [slice(i, i + 1) for i in range(n)]
    for i in pictures:
        for j in range(groups):
            part = i, slice(j * size, (j + 1) * size)
            s = np.sqrt(x[part].var() + eps)
            x_hat[part] = (x[part] - x[part].mean()) / s
            along = x_hat[part] * np.mean(g[part] * x_hat[part])
            dx[part] = (g[part] - mean * g[part].mean() - variance * along) / s
    if late:
        dx = dx * gamma
    return dx, np.einsum("nchw,nchw->c", dy, x_hat), np.einsum("nchw->c", dy)


def groupnorm_by_autograd(dy, x, gamma, groups, eps=1e-5):
    leaves = [
        torch.tensor(np.ascontiguousarray(a), dtype=torch.float64) for a in (x, gamma, np.zeros_like(gamma))
    ]
    for leaf in leaves:
        leaf.requires_grad_()
    out = F.group_norm(leaves[0], groups, leaves[1], leaves[2], eps)
    found = torch.autograd.grad((out * torch.tensor(np.ascontiguousarray(dy))).sum(), leaves)
    return tuple(part.numpy() for part in found)


def swap_last(function):
    def wrong(*args):
        dx, dgamma, dbeta = function(*args)
        return dx, dbeta, dgamma

    return wrong


def accuracy(model, x, y, evaluate=True, restore=True, percent=1):
    mode = model.training
    if evaluate:
        model.eval()
    with torch.no_grad():
        parts = [(model(a).argmax(1) == b) for a, b in zip(x.split(32), y.split(32), strict=True)]
    if restore:
        model.train(mode)
    return percent * torch.cat(parts).double().mean()


def accuracy_always_training_after(model, x, y):
    value = accuracy(model, x, y)
    model.train()
    return value


def accuracy_without_the_last(model, x, y):
    mode, right = model.training, 0
    model.eval()
    for k in range(len(x) // 32):
        part = slice(32 * k, 32 * k + 32)
        right += (model(x[part]).argmax(1) == y[part]).sum().item()
    model.train(mode)
    return right / len(x)


def new_head(model, classes, lr, late=False, only_head=False, fresh=False, kind=torch.optim.SGD):
    old = kind(model.parameters(), lr=lr)
    if fresh:
        for i, layer in enumerate(model.layers):
            if isinstance(layer, nn.Linear):
                model.layers[i] = nn.Linear(layer.in_features, layer.out_features)
    head = nn.Linear(model.layers[-1].in_features, classes)
    model.layers[-1] = head
    if late:
        return old
    return kind((head if only_head else model).parameters(), lr=lr)


def two_groups(model, classes, lr):
    head = nn.Linear(model.layers[-1].weight.shape[1], classes)
    model.layers = nn.Sequential(*model.layers[:-1], head)
    body = model.layers[:-1].parameters()
    groups = [{"params": list(body)}, {"params": list(head.parameters()), "lr": lr}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


def forward_by_hand(net, x):
    hidden = net.hidden(x).relu()
    if net.training:
        hidden = hidden * (torch.rand_like(hidden) < 0.5) * 2
    return net.out(hidden)


def scored(model, batches, how="points", evaluate=True, restore=True):
    mode = model.training
    if evaluate:
        model.eval()
    with torch.no_grad():
        means = [F.cross_entropy(model(x), y).item() for x, y in batches]
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in batches)
    if restore:
        model.train(mode)
    sizes = [len(y) for _, y in batches]
    loss = {
        "points": np.average(means, weights=sizes),
        "batches": np.mean(means),
        "sum": np.sum(means),
        "total": np.dot(means, sizes),
        "zero": 0.0,
    }[how]
    return loss, right / sum(sizes)


def flip(function):
    return lambda *args: function(*args)[::-1]


def picked(p, y):
    return p.gather(1, y[:, None])[:, 0]


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "train-limit": [
        (1 / 48, "one step is enough"),
        (2 / 3, "Which one diverges first"),
        (2 / 24, "48, not 24"),
        (2 / 51, "best compromise"),
    ],
    "train-first-step": [
        (-0.01, "The sign"),
        (0.00001, "plain gradient descent"),
        (0.0316, "bias correction"),
        (0.001, "0.1"),
    ],
    "train-cosine": [
        (lambda k, T, w, peak: schedule(k, T, w, peak, first=0), "k + 1 over w"),
        (lambda k, T, w, peak: schedule(k, T, w, peak, start=0), "begins where the warm-up ends"),
        (product_schedule, "never reaches the peak"),
        (
            lambda k, T, w, peak: (
                peak * (k + 1) / w if k < w else peak / 2 * (1 + math.cos(math.pi * (k - w) / (T - w)))
            ),
            "would rise again",
        ),
        (lambda k, T, w, peak: schedule(k, T, w, 1.0), "Multiply it by the peak"),
        (lambda k, T, w, peak: schedule(k, T, w, peak) * (1 + (k >= w)), "factor ½"),
    ],
    "train-adam": [
        (lambda *a: adam(*a, correct_m=False, correct_s=False), "how much mass"),
        (lambda *a: adam(*a, correct_s=False), "ŝ needs its division"),
        (lambda *a: adam(*a, correct_m=False), "m̂ needs its division"),
        (lambda *a: adam(*a, first=0), "count"),
        (lambda *a: adam(*a, first=2), "count the steps from 1"),
        (lambda *a: adam(*a, inside=True), "beside the root"),
        (lambda g, t, lr, b1, b2, e: adam(g, t, lr, b2, b1, e), "exchanged"),
        (lambda *a: adam(*a, sign=1.0), "against the gradient"),
    ],
    "train-dropout": [
        (lambda x, u, q, t: np.where(u < q, 0, x) if t else x, "Who repairs it"),
        (lambda x, u, q, t: np.where(u < q, 0, x) if t else (1 - q) * x, "the older form"),
        (lambda x, u, q, t: np.where(u < q, 0, x / (1 - q)), "In evaluation mode nothing"),
        (lambda x, u, q, t: np.where(u < q, x / (1 - q), 0) if t else x, "You kept those"),
        (lambda x, u, q, t: x if t else np.where(u < q, 0, x / (1 - q)), "exchanged"),
    ],
    "train-noise": [(-1.0, "mean square"), (0.5, "smaller"), (0.0, "smaller")],
    "train-smoothing": [
        (2.197, "shared among all"),
        (4.51, "ten classes"),
        (9.21, "C/α"),
        (9001, "logarithm"),
    ],
    "train-accumulate": [
        (lambda m, b: shares(m, b, lambda n, all: 1.0), "the sum of the batches' means"),
        (lambda m, b: shares(m, b, lambda n, all: 1 / len(all)), "mean of means"),
        (lambda m, b: shares(m, b, lambda n, all: n), "sum over all points"),
        (lambda m, b: shares(m, b, lambda n, all: n / sum(all), zero=False), "zero it first"),
        (lambda m, b: shares(m, b, lambda n, all: n / sum(all), step=True), "no step"),
        (zero_each_time, "zero once"),
    ],
    "train-groupnorm": [
        (lambda *a: groupnorm(*a, mean=False, variance=False), "two more paths"),
        (lambda *a: groupnorm(*a, variance=False), "The variance's is missing"),
        (lambda *a: groupnorm(*a, mean=False), "The mean's is missing"),
        (lambda *a: groupnorm(*a, scale=False), "γ·dy"),
        (lambda *a: groupnorm(*a, late=True), "multiply dy first"),
        (lambda *a: groupnorm(*a, over_batch=True), "within one picture"),
        (swap_last(groupnorm), "exchanged"),
    ],
    "train-zoo-eval": [
        (lambda m, x, y: accuracy(m, x, y, evaluate=False), "switch before the loop"),
        (lambda m, x, y: accuracy(m, x, y, restore=False), "give it back"),
        (accuracy_always_training_after, "give it back"),
        (lambda m, x, y: accuracy(m, x, y, percent=100), "Percent"),
        (accuracy_without_the_last, "smaller batch"),
    ],
    "train-zoo-scheduler": [
        (lambda k, batches, rate: rate * 0.1 ** (k // 10), "counts batches"),
        (lambda k, batches, rate: rate * 0.1 ** (k // batches), "every tenth"),
        (lambda k, batches, rate: rate * 10 ** (-k / (10 * batches)), "stairs"),
    ],
    "train-zoo-softmax": [
        (F.cross_entropy, "That is the bug"),
        (lambda p, y: -picked(p, y).log().sum(), "not the sum"),
        (lambda p, y: F.nll_loss(p, y), "logarithm"),
        (lambda p, y: -F.nll_loss(p.log(), y), "The sign"),
    ],
    "train-zoo-broadcast": [
        (lambda p, t: torch.mean((p - t) ** 2), "(N, N)"),
        (
            lambda p, t: torch.mean((p.squeeze(-1) - t) ** 2) if p.ndim > 1 else ((p - t) ** 2).mean(),
            "targets (N, 1)",
        ),
        (lambda p, t: ((p.reshape(-1) - t.reshape(-1)) ** 2).sum(), "not the sum"),
    ],
    "train-zoo-dropout": [
        (lambda net, x: net.out(F.dropout(net.hidden(x).relu(), 0.5)), "drops by default"),
        (lambda net, x: net.out(net.hidden(x).relu()), "training=net.training"),
        (
            lambda net, x: net.out(
                F.dropout(net.hidden(x).relu(), 0.5) if net.training else net.hidden(x).relu() / 2
            ),
            "Evaluation does nothing",
        ),
        (lambda net, x: net.out(F.dropout(net.hidden(x), 0.5, training=net.training)), "ReLU"),
        (
            lambda net, x: F.dropout(net.out(net.hidden(x).relu()), 0.5, training=net.training),
            "hidden activations",
        ),
    ],
    "train-zoo-head": [
        (lambda m, c, lr: new_head(m, c, lr, late=True), "First the new head"),
        (lambda m, c, lr: new_head(m, c, lr, only_head=True), "body and head"),
        (lambda m, c, lr: new_head(m, c, lr, fresh=True), "Only the last layer"),
        (lambda m, c, lr: torch.optim.SGD(m.parameters(), lr=lr), "model.layers[-1]"),
    ],
    "train-zoo-trainer": [
        (lambda m, b: scored(m, b, "zero"), "ever added"),
        (lambda m, b: scored(m, b, "batches"), "mean of means"),
        (lambda m, b: scored(m, b, "total"), "divide by their number"),
        (lambda m, b: scored(m, b, restore=False), "give it back"),
        (flip(scored), "loss, then accuracy"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "train-limit": [0.041667, np.float32(1 / 24)],
    "train-first-step": [np.float64(0.01)],
    "train-cosine": [schedule_by_sine, lambda k, T, w, peak: np.float32(schedule(k, T, w, peak))],
    "train-adam": [adam, adam_by_rate, adam_entry_by_entry],
    "train-dropout": [dropout_in_a_loop, lambda x, u, q, t: x * (u >= q) * (1 / (1 - q)) if t else 1 * x],
    "train-noise": [-0.497, np.float64(-0.53)],
    "train-smoothing": [9.1, math.log(9001)],
    "train-accumulate": [lambda m, b: shares(m, b, lambda n, all: n / sum(all)), all_at_once, by_grad],
    "train-groupnorm": [groupnorm, groupnorm_by_autograd],
    "train-zoo-eval": [accuracy, lambda m, x, y: float(accuracy(m, x, y))],
    "train-zoo-scheduler": [
        lambda k, batches, rate: rate / 10 ** (k // (10 * batches)),
        lambda k, batches, rate: rate * 0.1 ** math.floor(k / batches / 10 + 1e-12),
    ],
    "train-zoo-softmax": [
        lambda p, y: -picked(p, y).log().mean(),
        lambda p, y: -(F.one_hot(y, p.shape[1]) * p.log()).sum(1).mean(),
    ],
    "train-zoo-broadcast": [
        lambda p, t: ((p.reshape(-1, 1) - t.reshape(-1, 1)) ** 2).mean(),
        lambda p, t: (p.ravel() - t.ravel()).square().sum() / len(p),
    ],
    "train-zoo-dropout": [
        forward_by_hand,
        lambda net, x: net.out(F.dropout(torch.relu(net.hidden(x)), p=0.5, training=net.training)),
    ],
    "train-zoo-head": [new_head, two_groups],
    "train-zoo-trainer": [scored, lambda m, b: list(scored(m, b))],
}

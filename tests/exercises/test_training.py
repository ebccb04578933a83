"""The exercises of the chapter on training: wrong answers that readers give, and the hint each must get."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils import exercises


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


def cosine_at(k, T, w, peak, steps=0, plus=0, pi=math.pi):
    """The cosine from w over T - w + steps steps, begun `plus` steps late."""
    if k < w or k >= T:
        return schedule(k, T, w, peak)
    return peak * (1 + math.cos(pi * (k - w + plus) / (T - w + steps))) / 2


def schedule_from_a_list(k, T, w, peak):
    rates = [peak * (i + 1) / w for i in range(w)]
    rates += [peak / 2 * (1 + math.cos(math.pi * i / (T - w))) for i in range(T - w)]
    return torch.tensor(rates[k], dtype=torch.float64) if k < T else 0


def schedule_in_numpy(k, T, w, peak):
    if k < w:
        return np.float64(peak * (k + 1) / w)
    return np.where(k < T, peak / 2 * (1 + np.cos(np.pi * (k - w) / (T - w))), 0)


def adam_by_torch(gradients, theta, lr, b1, b2, eps, dtype=torch.float64):
    weights = nn.Parameter(torch.tensor(theta, dtype=dtype))
    optimizer = torch.optim.Adam([weights], lr=lr, betas=(b1, b2), eps=eps)
    for row in gradients:
        weights.grad = torch.tensor(row, dtype=dtype)
        optimizer.step()
    return weights.detach().numpy()


def adam_by_sums(gradients, theta, lr, b1, b2, eps):
    for k in range(1, len(gradients) + 1):
        age, g = np.arange(k)[::-1], gradients[:k]
        m = (b1**age) @ g / (b1**age).sum()
        s = (b2**age) @ g**2 / (b2**age).sum()
        theta = theta - lr * m / (np.sqrt(s) + eps)
    return theta


def adam_with(move, keep=None):
    def wrong(gradients, theta, lr, b1, b2, eps):
        m, s = np.zeros_like(theta), np.zeros_like(theta)
        for k, g in enumerate(gradients, 1):
            m, s = (keep or (lambda m, g, b: b * m + (1 - b) * g))(m, g, b1), b2 * s + (1 - b2) * g * g
            theta = theta - lr * move(k, g, m, s, b1, b2, eps)
        return theta

    return wrong


def adam_in_place(gradients, theta, lr, b1, b2, eps):
    theta += adam(gradients, theta, lr, b1, b2, eps) - theta
    return theta


def dropout_in_place(x, u, q, training):
    if training:
        x[u < q] = 0
        x /= 1 - q
    return x


def zeroed(how, none=True):
    """Accumulate, with p.grad emptied by `how`."""

    def answer(model, batches):
        for p in model.parameters():
            if not none or p.grad is not None:
                how(p)
        shares(model, batches, lambda n, all: n / sum(all), zero=False)

    return answer


def running_mean(model, batches):
    model.zero_grad()
    seen = 0
    for x, y in batches:
        for p in model.parameters():
            if p.grad is not None:
                p.grad *= seen / (seen + len(y))
        seen += len(y)
        (F.cross_entropy(model(x), y) * len(y) / seen).backward()


def divided_after(model, batches):
    model.zero_grad()
    for x, y in batches:
        F.cross_entropy(model(x), y, reduction="sum").backward()
    for p in model.parameters():
        p.grad /= sum(len(y) for _, y in batches)


def returned_only(model, batches):
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))


def frozen(function):
    def wrong(model, *args):
        result = function(model, *args)
        model.requires_grad_(False)
        return result

    return wrong


def without_gradients_from_now_on(function):
    def wrong(*args):
        torch.set_grad_enabled(False)
        return function(*args)

    return wrong


def flag_alone(function):
    """Gives back `model.training`, and leaves the layers in evaluation mode."""

    def wrong(model, *args):
        mode = model.training
        result = function(model.eval(), *args)
        model.training = mode
        return result

    return wrong


def on_a_copy(function):
    return lambda model, *args: function(copy.deepcopy(model), *args)


def groupnorm_single(*args):
    return groupnorm(*(a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in args))


def groupnorm_by_jacobian(dy, x, gamma, groups, eps=1e-5):
    rows = x.reshape(len(x) * groups, -1)
    g = (dy * gamma.reshape(1, -1, 1, 1)).reshape(rows.shape)
    size, dx = rows.shape[1], []
    for row, upstream in zip(rows, g, strict=True):
        s = np.sqrt(row.var() + eps)
        z = (row - row.mean()) / s
        dx.append((np.eye(size) - 1 / size - np.outer(z, z) / size) @ upstream / s)
    return [np.array(dx).reshape(x.shape), *groupnorm(dy, x, gamma, groups, eps)[1:]]


def groupnorm_but(change):
    def wrong(dy, x, gamma, groups, eps=1e-5):
        return change(dy, x, gamma, *groupnorm(dy, x, gamma, groups, eps))

    return wrong


def interleaved(dy, x, gamma, groups, eps=1e-5):
    order = np.arange(x.shape[1]).reshape(-1, groups).T.ravel()
    dx, *rest = groupnorm(dy[:, order], x[:, order], gamma[order], groups, eps)
    back = np.argsort(order)
    return dx[:, back], *(part[back] for part in rest)


def groupnorm_in_place(dy, x, gamma, groups, eps=1e-5):
    result = groupnorm(dy, x, gamma, groups, eps)
    dy *= gamma[:, None, None]
    return result


def with_head(make, freeze=False, copied=False, reset=False, rate=None, kind=torch.optim.SGD):
    def answer(model, classes, lr):
        if copied:
            model = copy.deepcopy(model)
        for p in model.parameters():
            p.requires_grad_(not freeze)
        for layer in model.layers:
            if reset and hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        make(model, model.layers[-1].in_features, classes)
        return kind(model.parameters(), lr=rate or lr)

    return answer


def replace(model, width, classes):
    model.layers[-1] = nn.Linear(width, classes)


def delete_and_append(model, width, classes):
    del model.layers[-1]
    model.layers.append(nn.Linear(width, classes))


def cut_and_append(model, width, classes):
    model.layers = model.layers[:-1]
    model.layers.append(nn.Linear(width, classes))


def new_weights(model, width, classes):
    model.layers[-1].weight = nn.Parameter(torch.randn(classes, width) / 10)
    model.layers[-1].bias = nn.Parameter(torch.zeros(classes))


def only_append(model, width, classes):
    model.layers.append(nn.Linear(model.layers[-1].out_features, classes))


def unless_it_fits(model, width, classes):
    if model.layers[-1].out_features != classes:
        replace(model, width, classes)


def head_and_softmax(model, width, classes):
    model.layers[-1] = nn.Sequential(nn.Linear(width, classes), nn.Softmax(dim=1))


def group_added(model, classes, lr):
    optimizer = torch.optim.SGD(model.layers[:-1].parameters(), lr=lr)
    replace(model, model.layers[-1].in_features, classes)
    optimizer.add_param_group({"params": model.layers[-1].parameters()})
    return optimizer


def dropping(p=0.5):
    return lambda net, x: net.out(F.dropout(net.hidden(x).relu(), p, training=net.training))


def masked(mask):
    """Training multiplies the hidden activations, of the given shape, by `mask(their shape)`."""

    def forward(net, x):
        hidden = net.hidden(x).relu()
        return net.out(hidden * mask(hidden.shape) if net.training else hidden)

    return forward


def dropping_with_seed(net, x):
    torch.manual_seed(0)
    return dropping()(net, x)


def dropping_and_switching(net, x):
    out = dropping()(net, x)
    net.eval()
    return out


def percent(function):
    def wrong(*args):
        loss, right = function(*args)
        return loss, 100 * right

    return wrong


def scored_with(change):
    """`scored`, then changed by `change(loss, right, batches' sizes)`."""
    return lambda model, batches: change(*scored(model, batches), [len(y) for _, y in batches])


def restored_statistics(model, x, y):
    kept = copy.deepcopy(model.state_dict())
    value = accuracy(model, x, y, evaluate=False)
    model.load_state_dict(kept)
    return value


def rate_by_loop(k, batches, rate):
    for i in range(1, k + 1):
        if i % (10 * batches) == 0:
            rate /= 10
    return rate


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "train-limit": [
        (1 / 48, "one step is enough"),
        (2 / 3, "Which one diverges first"),
        (2 / 24, "48, not 24"),
        (2 / 51, "best compromise"),
        (24, "The other way round"),
        (48, "product with the rate"),
        (2 / 45, "diverges first"),
        (2 / math.sqrt(48), "not its root"),
        (0.042, "Three digits"),
    ],
    "train-first-step": [
        (-0.01, "The sign"),
        (0.00001, "plain gradient descent"),
        (0.0316, "bias correction"),
        (0.001, "0.1"),
        (-0.001, "what is left of 0.1"),
        (0.316, "ŝ needs its correction"),
        (1.0, "multiplied by"),
        (10, "by its root"),
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
        (lambda *a: cosine_at(*a, plus=1), "behind you there"),
        (lambda k, *rest: [schedule(i, *rest) for i in range(rest[0])][k], "ends at T"),
        (lambda k, T, w, peak: cosine_at(k, T, w, peak, steps=w), "how many steps is that"),
        (lambda *a: cosine_at(*a, pi=2 * math.pi), "half a cosine"),
        (lambda *a: cosine_at(*a, pi=math.pi / 2), "half a cosine"),
        (lambda *a: cosine_at(*a, pi=1.0), "where is the π"),
        (
            lambda k, T, w, peak: schedule(k, T, w, peak) if k < w else peak * max(0, (T - k) / (T - w)),
            "along a line",
        ),
        (
            lambda k, T, w, peak: peak * (k + 1) / w if k <= w else schedule(k, T, w, peak),
            "with w = 0 there is",
        ),
        (lambda k, T, w, peak: peak * (k + 1) / (w + 1) if k < w else schedule(k, T, w, peak), "not w + 1"),
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
        (adam_in_place, "makes a new one"),
        (lambda g, t, lr, b1, b2, e: adam(g, t, lr, 0.9, 0.999, 1e-8), "are arguments"),
        (lambda g, t, lr, b1, b2, e: adam(g, t, lr, b1, b2, 0.0), "Where is ε"),
        (lambda g, t, *rest: adam(g, 0 * t, *rest), "Where do the weights begin"),
        (lambda g, t, *rest: adam(g.mean(axis=0)[None], t, *rest), "not one for the mean"),
        (
            adam_with(lambda k, g, m, s, b1, b2, e: m * np.sqrt(1 - b2**k) / (1 - b1**k) / (np.sqrt(s) + e)),
            "must it be multiplied",
        ),
        (
            adam_with(lambda k, g, m, s, b1, b2, e: m / (1 - b1) / (np.sqrt(s / (1 - b2)) + e)),
            "after k of them",
        ),
        (adam_with(lambda k, g, m, s, b1, b2, e: g / (np.sqrt(s / (1 - b2**k)) + e)), "in the numerator"),
    ],
    "train-dropout": [
        (lambda x, u, q, t: np.where(u < q, 0, x) if t else x, "Who repairs it"),
        (lambda x, u, q, t: np.where(u < q, 0, x) if t else (1 - q) * x, "the older form"),
        (lambda x, u, q, t: np.where(u < q, 0, x / (1 - q)), "In evaluation mode nothing"),
        (lambda x, u, q, t: np.where(u < q, x / (1 - q), 0) if t else x, "You kept those"),
        (lambda x, u, q, t: x if t else np.where(u < q, 0, x / (1 - q)), "exchanged"),
        (dropout_in_place, "makes a new array"),
        (lambda x, u, q, t: F.dropout(torch.tensor(x), q, t).numpy(), "Draw nothing"),
        (lambda x, u, q, t: np.where(u.ravel()[0] < q, 0, x / (1 - q)) if t else x, "Draw nothing"),
        (lambda x, u, q, t: np.where(u < 0.5, 0, 2 * x) if t else x, "q is an argument"),
        (lambda x, u, q, t: np.where(u < q, 0, x) / max(np.mean(u >= q), 0.01) if t else x, "happened"),
        (lambda x, u, q, t: x[u >= q] / (1 - q) if t else x, "in its place"),
        (lambda x, u, q, t: np.where(u < q, np.nan, x / (1 - q)) if t else x, "not NaN"),
    ],
    "train-noise": [(-1.0, "mean square"), (0.5, "smaller"), (0.0, "smaller")],
    "train-smoothing": [
        (2.197, "shared among all"),
        (4.51, "ten classes"),
        (9.21, "C/α"),
        (9001, "logarithm"),
        (9000, "its logarithm"),
        (math.log(900), "α/C give"),
        (13.136, "natural"),
    ],
    "train-accumulate": [
        (lambda m, b: shares(m, b, lambda n, all: 1.0), "the sum of the batches' means"),
        (lambda m, b: shares(m, b, lambda n, all: 1 / len(all)), "mean of means"),
        (lambda m, b: shares(m, b, lambda n, all: n), "sum over all points"),
        (lambda m, b: shares(m, b, lambda n, all: n / sum(all), zero=False), "zero it first"),
        (lambda m, b: shares(m, b, lambda n, all: n / sum(all), step=True), "no step"),
        (zero_each_time, "zero once"),
        (zeroed(lambda p: p.grad.zero_(), none=False), "p.grad is None"),
        (zeroed(lambda p: p.grad.mul_(0)), "0 · NaN"),
        (returned_only, "not looked at"),
        (frozen(all_at_once), "requires_grad"),
        (lambda m, b: shares(m, b[:1], lambda n, all: 1.0), "first batch alone"),
        (lambda m, b: shares(m, b, lambda n, all: n / (all[0] * len(all))), "as large as the first"),
        (lambda m, b: shares(m, b, lambda n, all: 1 / sum(all)), "multiplied by its size"),
    ],
    "train-groupnorm": [
        (lambda *a: groupnorm(*a, mean=False, variance=False), "two more paths"),
        (lambda *a: groupnorm(*a, variance=False), "The variance's is missing"),
        (lambda *a: groupnorm(*a, mean=False), "The mean's is missing"),
        (lambda *a: groupnorm(*a, scale=False), "γ·dy"),
        (lambda *a: groupnorm(*a, late=True), "multiply dy first"),
        (lambda *a: groupnorm(*a, over_batch=True), "within one picture"),
        (swap_last(groupnorm), "exchanged"),
        (interleaved, "comes first"),
        (groupnorm_in_place, "makes a new one"),
        (lambda dy, x, gamma, groups, eps: groupnorm(dy, x, gamma, 1, eps), "layer norm"),
        (lambda dy, x, gamma, groups, eps: groupnorm(dy, x, gamma, groups), "eps is an argument"),
        (groupnorm_but(lambda dy, x, gamma, dx, dg, db: (dx, gamma * dg, gamma * db)), "still stand there"),
        (groupnorm_but(lambda dy, x, gamma, dx, dg, db: (dx, (dy * x).sum(axis=(0, 2, 3)), db)), "or x̂"),
        (groupnorm_but(lambda dy, x, gamma, dx, dg, db: (dx, dg, dy.mean(axis=(0, 2, 3)))), "sums over them"),
        (groupnorm_but(lambda dy, x, gamma, dx, dg, db: (dx, dg[:, None], db[:, None])), "that of gamma"),
        (groupnorm_but(lambda dy, x, gamma, dx, dg, db: dx), "Three results"),
    ],
    "train-zoo-eval": [
        (lambda m, x, y: accuracy(m, x, y, evaluate=False), "switch before the loop"),
        (lambda m, x, y: accuracy(m, x, y, restore=False), "give it back"),
        (accuracy_always_training_after, "give it back"),
        (lambda m, x, y: accuracy(m, x, y, percent=100), "Percent"),
        (accuracy_without_the_last, "smaller batch"),
        (without_gradients_from_now_on(accuracy), "ends where its block ends"),
        (frozen(accuracy), "requires_grad"),
        (flag_alone(lambda m, x, y: (m(x).argmax(1) == y).double().mean()), "tells the layers"),
        (restored_statistics, "In which mode"),
        (lambda m, x, y: accuracy(m, x, y) * len(y) / 300, "Not always 300"),
        (lambda m, x, y: accuracy(m, x, y) * len(y), "Which share"),
        (lambda m, x, y: accuracy(m, x[:32], y[:32]), "first batch alone"),
        (
            lambda m, x, y: np.mean([accuracy(m, *p) for p in zip(x.split(32), y.split(32), strict=True)]),
            "mean of means",
        ),
    ],
    "train-zoo-scheduler": [
        (lambda k, batches, rate: rate * 0.1 ** (k // 10), "counts batches"),
        (lambda k, batches, rate: rate * 0.1 ** (k // batches), "every tenth"),
        (lambda k, batches, rate: rate * 10 ** (-k / (10 * batches)), "stairs"),
        (lambda k, batches, rate: rate * 0.1 ** ((k - 1) // (10 * batches)), "too late"),
        (lambda k, batches, rate: rate * 0.1 ** ((k // batches + 1) // 10), "epoch too early"),
        (lambda k, batches, rate: rate * 0.1 ** round(k / (10 * batches)), "Round down"),
        (lambda k, batches, rate: rate if k < 10 * batches else rate / 10, "after twenty"),
        (lambda k, batches, rate: rate * 0.1 ** (k // 150), "is an argument"),
        (lambda k, batches, rate: rate * 10 ** (k // (10 * batches)), "multiplies"),
    ],
    "train-zoo-softmax": [
        (F.cross_entropy, "That is the bug"),
        (lambda p, y: -picked(p, y).log().sum(), "not the sum"),
        (lambda p, y: F.nll_loss(p, y), "logarithm"),
        (lambda p, y: -F.nll_loss(p.log(), y), "The sign"),
        (lambda p, y: -(picked(p, y) + 1e-5).log().mean(), "no clamp"),
        (lambda p, y: F.nll_loss(p.clamp(min=1e-3).log(), y), "no clamp"),
        (lambda p, y: -picked(p, y).detach().log().mean(), "cuts the graph"),
        (lambda p, y: F.nll_loss(p.log(), y).item(), "cut the gradient off"),
        (lambda p, y: -picked(p, y).log(), "One number"),
        (lambda p, y: -picked(p, y).log2().mean(), "natural"),
        (lambda p, y: -p[:, y].log().mean(), "is a table"),
        (lambda p, y: F.binary_cross_entropy(p, F.one_hot(y, p.shape[1]).to(p.dtype)), "yes or no"),
    ],
    "train-zoo-broadcast": [
        (lambda p, t: torch.mean((p - t) ** 2), "(N, N)"),
        (
            lambda p, t: torch.mean((p.squeeze(-1) - t) ** 2) if p.ndim > 1 else ((p - t) ** 2).mean(),
            "targets (N, 1)",
        ),
        (lambda p, t: ((p.reshape(-1) - t.reshape(-1)) ** 2).sum(), "not the sum"),
        (lambda p, t: F.mse_loss(p.flatten(), t.flatten()).sqrt(), "the root"),
        (lambda p, t: F.mse_loss(p.flatten(), t.flatten()).item(), "cut the gradient off"),
        (lambda p, t: F.mse_loss(p.flatten(), t.flatten()).detach(), "cuts the graph"),
        (lambda p, t: F.mse_loss(p.flatten().detach(), t.flatten()), "cuts the graph"),
        (lambda p, t: (p.squeeze() - t.squeeze()).square().sum() / len(p.squeeze()), "With N = 1"),
        (lambda p, t: ((p - t[:, None]) ** 2).mean(), "And for the others"),
        (lambda p, t: ((p.flatten() - t.flatten()) ** 2)[None].mean(dim=1), "One number"),
    ],
    "train-zoo-dropout": [
        (lambda net, x: net.out(F.dropout(net.hidden(x).relu(), 0.5)), "drops by default"),
        (lambda net, x: net.out(net.hidden(x).relu()), "never trains"),
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
        (dropping(0.45), "0.5; yours"),
        (dropping(0.6), "0.5; yours"),
        (masked(lambda shape: 2 * (torch.rand(shape[1:]) < 0.5)), "Every row"),
        (masked(lambda shape: 2 * (torch.rand(shape[0], 1) < 0.5)), "on its own"),
        (masked(lambda shape: torch.rand(shape) < 0.5), "by which factor"),
        (masked(lambda shape: 1 + torch.randn(shape)), "and nothing else"),
        (dropping_with_seed, "no seed"),
        (torch.no_grad()(dropping()), "no_grad"),
        (dropping_and_switching, "asks for the mode"),
        (lambda net, x: dropping()(net, x).softmax(dim=1), "logits"),
    ],
    "train-zoo-head": [
        (lambda m, c, lr: new_head(m, c, lr, late=True), "First the new head"),
        (lambda m, c, lr: new_head(m, c, lr, only_head=True), "body and head"),
        (lambda m, c, lr: new_head(m, c, lr, fresh=True), "Only the last layer"),
        (lambda m, c, lr: torch.optim.SGD(m.parameters(), lr=lr), "model.layers[-1]"),
        (with_head(replace, reset=True), "Only the last layer"),
        (with_head(replace, copied=True), "not a copy"),
        (with_head(replace, rate=0.03), "`lr` is an argument"),
        (with_head(replace, kind=torch.optim.Adam), "SGD was asked for"),
        (with_head(only_append), "not behind it"),
        (with_head(unless_it_fits), "also where the number"),
        (with_head(lambda m, width, classes: replace(m, 8, classes)), "in_features"),
        (frozen(with_head(replace)), "body and head learn"),
        (with_head(head_and_softmax), "nothing behind it"),
    ],
    "train-zoo-trainer": [
        (lambda m, b: scored(m, b, "zero"), "ever added"),
        (lambda m, b: scored(m, b, "batches"), "mean of means"),
        (lambda m, b: scored(m, b, "total"), "divide by their number"),
        (lambda m, b: scored(m, b, restore=False), "give it back"),
        (flip(scored), "loss, then accuracy"),
        (without_gradients_from_now_on(scored), "ends where its block ends"),
        (frozen(scored), "requires_grad"),
        (lambda m, b: scored(m, b, evaluate=False), "switch before the loop"),
        (percent(scored), "A share"),
        (scored_with(lambda loss, right, sizes: (loss, 1 - right)), "wrong answers"),
        (scored_with(lambda loss, right, n: (loss, right * sum(n) / n[0] / len(n))), "last batch is smaller"),
        (scored_with(lambda loss, right, n: (loss * sum(n) / n[0] / len(n), right)), "as large as the first"),
        (lambda m, b: (scored(m, b)[0], np.mean([scored(m, [p])[1] for p in b])), "then divide once"),
        (lambda m, b: scored(m, b[-1:]), "last batch alone"),
        (lambda m, b: scored(m, b)[0], "the loss and the accuracy"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "train-limit": [0.041667, np.float32(1 / 24), 0.0417, torch.tensor(1 / 24)],
    "train-first-step": [np.float64(0.01), 0.01 * 0.001 / math.sqrt(1e-6)],
    "train-cosine": [
        schedule_by_sine,
        lambda k, T, w, peak: np.float32(schedule(k, T, w, peak)),
        schedule_from_a_list,
        schedule_in_numpy,
    ],
    "train-adam": [
        adam,
        adam_by_rate,
        adam_entry_by_entry,
        adam_by_torch,
        lambda *a: adam_by_torch(*a, dtype=torch.float32),
        adam_by_sums,
    ],
    "train-dropout": [
        dropout_in_a_loop,
        lambda x, u, q, t: x * (u >= q) * (1 / (1 - q)) if t else 1 * x,
        lambda x, u, q, t: x * np.where(t * (u < q), 0, 1 / (1 - t * q)),
        lambda x, u, q, t: (x * ~(u < q) / (1 - q) if t else x).astype(np.float32),
    ],
    "train-noise": [-0.497, np.float64(-0.53)],
    "train-smoothing": [9.1, math.log(9001), np.float32(9.105), 9.11],
    "train-accumulate": [
        lambda m, b: shares(m, b, lambda n, all: n / sum(all)),
        all_at_once,
        by_grad,
        zeroed(lambda p: p.grad.zero_()),
        running_mean,
        divided_after,
    ],
    "train-groupnorm": [groupnorm, groupnorm_by_autograd, groupnorm_single, groupnorm_by_jacobian],
    "train-zoo-eval": [
        accuracy,
        lambda m, x, y: float(accuracy(m, x, y)),
        on_a_copy(accuracy),
        torch.inference_mode()(accuracy),
    ],
    "train-zoo-scheduler": [
        lambda k, batches, rate: rate / 10 ** (k // (10 * batches)),
        lambda k, batches, rate: rate * 0.1 ** math.floor(k / batches / 10 + 1e-12),
        rate_by_loop,
        lambda k, batches, rate: np.float32(rate * 0.1 ** (k // (10 * batches))),
    ],
    "train-zoo-softmax": [
        lambda p, y: -picked(p, y).log().mean(),
        lambda p, y: -(F.one_hot(y, p.shape[1]) * p.log()).sum(1).mean(),
        lambda p, y: F.cross_entropy(p.log(), y),
        lambda p, y: F.nll_loss(p.float().log(), y),
        lambda p, y: -(picked(p, y) + 1e-12).log().mean(),
        lambda p, y: -picked(p, y).prod().log() / len(y),
    ],
    "train-zoo-broadcast": [
        lambda p, t: ((p.reshape(-1, 1) - t.reshape(-1, 1)) ** 2).mean(),
        lambda p, t: (p.ravel() - t.ravel()).square().sum() / len(p),
        lambda p, t: F.mse_loss(p.reshape(t.shape), t),
        lambda p, t: ((p.squeeze() - t.squeeze()) ** 2).mean(),
        lambda p, t: (p.reshape(-1, 1) - t.reshape(1, -1)).diagonal().square().mean(),
    ],
    "train-zoo-dropout": [
        forward_by_hand,
        lambda net, x: net.out(F.dropout(torch.relu(net.hidden(x)), p=0.5, training=net.training)),
        lambda net, x: net.out(nn.Dropout(0.5).train(net.training)(net.hidden(x).relu())),
        lambda net, x: net.out(F.dropout(net.hidden(x), 0.5, net.training).relu()),
        masked(lambda shape: 2 * torch.bernoulli(torch.full(shape, 0.5))),
    ],
    "train-zoo-head": [
        new_head,
        two_groups,
        with_head(delete_and_append),
        with_head(cut_and_append),
        with_head(new_weights),
        group_added,
    ],
    "train-zoo-trainer": [
        scored,
        lambda m, b: list(scored(m, b)),
        on_a_copy(scored),
        torch.inference_mode()(scored),
    ],
}


def test_the_check_of_dropout_leaves_the_readers_random_numbers_alone():
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    assert exercises.judge("train-zoo-dropout", dropping()).status == "passed"
    assert torch.equal(torch.rand(3), wanted)


def test_gradients_are_on_again_after_an_answer_that_switched_them_off():
    for id, answer in (("train-zoo-eval", accuracy), ("train-zoo-trainer", scored)):
        exercises.judge(id, without_gradients_from_now_on(answer))
        assert torch.is_grad_enabled()

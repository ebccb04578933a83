"""The exercises of the chapter on sequences: wrong answers that readers give, and the hint each must get."""

import math

import numpy as np
import torch
from torch.nn import functional as F

# --- bug zoo -------------------------------------------------------------------------------------------


def cut(state, how=torch.Tensor.detach):
    if state is None:
        return None
    return how(state) if torch.is_tensor(state) else type(state)(cut(part, how) for part in state)


def cut_flat(state):
    if state is None:
        return None
    return state.detach() if torch.is_tensor(state) else tuple(part.detach() for part in state)


def cut_to_list(state):
    if state is None or torch.is_tensor(state):
        return cut(state)
    return [cut_to_list(part) for part in state]


def order(*places):
    return lambda w: torch.cat([w.chunk(4)[k] for k in places])


def reordered_by_view(w):
    return w.reshape(4, len(w) // 4, *w.shape[1:])[[0, 1, 3, 2]].reshape(w.shape)


def reordered_in_place(w):
    h = len(w) // 4
    w[2 * h :] = torch.cat([w[3 * h :], w[2 * h : 3 * h]])
    return w


def alone(run, x, change=0, others=None, steps=slice(None), tolerance=1e-5):
    before, changed = run(x), range(len(x)) if others is None else others
    for n in changed:
        other = x.clone()
        other[n] = change
        moved = (run(other) - before)[:, steps].abs()
        moved[n] = 0
        if moved.max() > tolerance:
            return False
    return True


def alone_one_by_one(run, x):
    whole = run(x)
    return all(torch.allclose(run(x[n : n + 1])[0], whole[n], atol=1e-5) for n in range(len(x)))


def alone_by_gradient(run, x):
    x = x.clone().requires_grad_()
    out = run(x)
    for n in range(len(x)):
        (g,) = torch.autograd.grad(out[n].square().sum() + out[n].sum(), x, retain_graph=True)
        g[n] = 0
        if g.abs().max() > 1e-5:
            return False
    return True


def masked(h, lengths):
    return torch.arange(len(h))[:, None] < lengths


def mean_by_loop(h, lengths):
    return torch.stack([h[: int(k), n].mean(dim=0) for n, k in enumerate(lengths)])


def mean_by_cumsum(h, lengths):
    return torch.nan_to_num(h).cumsum(dim=0)[lengths - 1, torch.arange(h.shape[1])] / lengths[:, None]


def losses(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def loss_by_loop(logits, targets, lengths):
    total = 0.0
    for n, k in enumerate(lengths.tolist()):
        for t in range(k):
            total = total - logits[t, n].log_softmax(dim=0)[targets[t, n]]
    return total / lengths.sum()


def loss_ignored(logits, targets, lengths):
    marked = torch.where(masked(logits, lengths), targets, -100)
    return F.cross_entropy(logits.flatten(0, 1), marked.flatten())


def goes_on(pairs, columns=slice(None), each=1, out=1):
    places = range(0, len(pairs) - 1, each)
    return all(torch.equal(pairs[k][out][-1, columns], pairs[k + 1][0][0, columns]) for k in places)


def goes_on_by_loop(pairs):
    ends = [y[-1].tolist() for _, y in pairs]
    begins = [x[0].tolist() for x, _ in pairs]
    return ends[:-1] == begins[1:]


def stepped(weights, gradients, lr, most):
    flat = torch.cat([g.flatten() for g in gradients])
    factor = torch.clamp(most / flat.norm().clamp(min=1e-30), max=1.0)
    return [w - lr * factor * g for w, g in zip(weights, gradients, strict=True)]


def stepped_by_library(weights, gradients, lr, most):
    leaves = [torch.nn.Parameter(w.clone()) for w in weights]
    for leaf, g in zip(leaves, gradients, strict=True):
        leaf.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(leaves, most)
    torch.optim.SGD(leaves, lr=lr).step()
    return [leaf.detach() for leaf in leaves]


def stepped_each(weights, gradients, lr, most):
    return [stepped([w], [g], lr, most)[0] for w, g in zip(weights, gradients, strict=True)]


# --- exercises -----------------------------------------------------------------------------------------


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def paper_gru(x, h, U, W, b, order=(0, 1, 2), inside=True, new=True):
    (Ur, Uz, Un), (Wr, Wz, Wn), (br, bz, bn) = (
        [np.split(a, 3, axis=-1)[k] for k in order] for a in (U, W, b)
    )
    r, z = sigmoid(x @ Ur + h @ Wr + br), sigmoid(x @ Uz + h @ Wz + bz)
    n = np.tanh(x @ Un + bn + ((r * h) @ Wn if inside else r * (h @ Wn)))
    return z * n + (1 - z) * h if new else z * h + (1 - z) * n


def turned_by_index(x, lengths):
    steps = torch.arange(len(x))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x[places, torch.arange(x.shape[1])]


def turned_in_place(x, lengths):
    for n, k in enumerate(lengths.tolist()):
        x[:k, n] = x[:k, n].flip(0)
    return x


def learned(p, q, weight, early=False, fixed=False):
    w, out = weight, []
    for a, b in zip(p, q, strict=True):
        top = max(a, b)
        first, second = w * math.exp(a - top), (1 - w) * math.exp(b - top)
        new = w if fixed else first / (first + second)
        if early:
            first, second = new * math.exp(a - top), (1 - new) * math.exp(b - top)
        out.append(top + math.log(first + second))
        w = new
    return np.array(out)


def learned_plainly(p, q, weight):
    """Underflows."""
    p, q, out = np.exp(p), np.exp(q), []
    for a, b in zip(p, q, strict=True):
        mixture = weight * a + (1 - weight) * b
        out.append(np.log(mixture) if mixture else -np.inf)
        weight = weight * a / mixture if mixture else weight
    return np.array(out)


def by_autograd(dh, x, h0, U, W, b, length, detach=True, keep=True):
    leaf = W.detach().clone().requires_grad_()
    h, loss = h0, 0.0
    for t in range(len(x)):
        if t % length == 0:
            h = h.detach() if detach else h
            h = h if keep or not t else torch.zeros_like(h)
        h = torch.tanh(x[t] @ U + h @ leaf + b)
        loss = loss + (dh[t] * h).sum()
    return torch.autograd.grad(loss, leaf)[0]


def lstm_by_autograd(dh, dc, x, h, c, U, W, b, keep=6):
    leaves = [t.detach().clone().requires_grad_() for t in (x, h, c, U, W, b)]
    x, h, c, U, W, b = leaves
    i, f, g, o = (x @ U + h @ W + b).chunk(4, dim=1)
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    shown = torch.sigmoid(o) * torch.tanh(new)
    return torch.autograd.grad((dh * shown).sum() + (dc * new).sum(), leaves)[:keep]


def lstm_by_hand(dh, dc, x, h, c, U, W, b, later=True, shown=True, cell="old"):
    i, f, g, o = (x @ U + h @ W + b).chunk(4, dim=1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    new = f * c + i * g
    total = torch.zeros_like(dc)
    if later:
        total = total + dc
    if shown:
        total = total + dh * o / torch.cosh(new) ** 2
    old = c if cell == "old" else new
    da = torch.cat(
        [
            total * g * i * (1 - i),
            total * old * f * (1 - f),
            total * i * (1 - g * g),
            dh * new.tanh() * o * (1 - o),
        ],
        dim=1,
    )
    return da @ U.T, da @ W.T, total * f, x.T @ da, h.T @ da, da.sum(dim=0)


WRONG = {
    "seq-zoo-detach": [
        (lambda s: s, "Which call cuts"),
        (lambda s: s.detach(), "there is None"),
        (lambda s: None if s is None else s.detach(), "hands on a tuple"),
        (cut_flat, "list of such"),
        (cut_to_list, "stay tuples"),
        (lambda s: cut(s, torch.clone), "Which call cuts"),
        (lambda s: cut(s, lambda t: torch.zeros_like(t, requires_grad=False)), "only its history"),
    ],
    "seq-zoo-gates": [
        (lambda w: w, "in which they came"),
        (order(0, 2, 1, 3), "i and f stand right"),
        (order(0, 2, 3, 1), "i and f stand right"),
        (reordered_in_place, ""),
    ],
    "seq-zoo-neighbors": [
        (lambda run, x: run(x).shape[:2] == x.shape[:2], "adds up over the batch"),
        (lambda run, x: True, "adds up over the batch"),
        (lambda run, x: False, "adds up along the steps"),
        (lambda run, x: alone(run, x, others=[0]), "Change each in turn"),
        (lambda run, x: alone(run, x, steps=slice(0, 1)), "Compare all steps"),
        (lambda run, x: alone(run, x, tolerance=0), ""),
    ],
    "seq-zoo-mean": [
        (lambda h, n: h.mean(dim=0), "averaged as well"),
        (lambda h, n: h[n - 1, torch.arange(h.shape[1])], "last true state"),
        (lambda h, n: (h * masked(h, n)[..., None]).sum(dim=0) / n[:, None], "nan times 0"),
        (lambda h, n: (torch.nan_to_num(h) * masked(h, n)[..., None]).mean(dim=0), "divide by"),
    ],
    "seq-zoo-padding": [
        (lambda z, y, n: losses(z, y).mean(), "runs over the padding"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).mean(), "divide by"),
        (lambda z, y, n: ((losses(z, y) * masked(z, n)).sum(dim=0) / n).mean(), "All count alike"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).sum(), "not the mean"),
    ],
    "seq-zoo-order": [
        (lambda pairs: True, "Every second block"),
        (lambda pairs: goes_on(pairs, columns=slice(0, 1)), "single column"),
        (lambda pairs: goes_on(pairs, out=0), "one after the other"),
        (lambda pairs: goes_on(pairs[:2]), ""),
        (lambda pairs: bool(pairs[0][1][-1][0] == pairs[1][0][0][0]), ""),
    ],
    "seq-zoo-clip": [
        (stepped_each, "Each tensor"),
        (lambda w, g, lr, m: [a - lr * b.clamp(-m, m) for a, b in zip(w, g, strict=True)], "Each number"),
        (lambda w, g, lr, m: [a - lr * b for a, b in zip(w, g, strict=True)], "comes first"),
        (lambda w, g, lr, m: stepped(w, [1e9 * a for a in g], lr, m), "short already"),
        (lambda w, g, lr, m: stepped(w, [-a for a in g], lr, m), "against the gradient"),
        (
            lambda w, g, lr, m: [
                a - lr * b * min(1, m / torch.stack([c.norm() for c in g]).norm())
                for a, b in zip(w, g, strict=True)
            ][:1],
            "",
        ),
    ],
    "seq-table": [(10000, "follow from the others"), (9999, "each row"), (900, "three symbols")],
    "seq-count": [(98816, "two biases"), (98304, "biases"), (74496, "GRU"), (24832, "one of the four")],
    "seq-forget": [
        (lambda n: 2 ** (-1 / n), "the gate itself"),
        (lambda n: math.log(2 ** (1 / n) - 1), "sign"),
        (lambda n: math.log(n), "rule of thumb"),
        (lambda n: math.log(n / math.log(2)), "in the limit"),
    ],
    "seq-paper-gru": [
        (lambda *a: paper_gru(*a, inside=False), "after the product"),
        (lambda *a: paper_gru(*a, new=False), "lets the new in"),
        (lambda *a: paper_gru(*a, order=(1, 0, 2)), "first third"),
        (lambda *a: paper_gru(*a, inside=False, new=False), "both respects"),
    ],
    "seq-reverse": [
        (lambda x, n: x.flip(0), "come to the front"),
        (lambda x, n: x.flip(1), "Turn the steps"),
        (lambda x, n: turned_by_index(x, n - 1), "last true entry"),
        (turned_in_place, ""),
    ],
    "seq-bayes": [
        (lambda p, q, w: learned(p, q, w, fixed=True), "never changes"),
        (lambda p, q, w: learned(p, q, w, early=True), "before the symbol"),
        (learned_plainly, "logaddexp"),
        (lambda p, q, w: w * p + (1 - w) * q, "Mix the probabilities"),
        (lambda p, q, w: learned(q, p, w), "belongs to model 1"),
    ],
    "seq-half": [(-9, "second"), (-0.5, "decimal logarithm"), (-21, "second")],
    "seq-truncated": [
        (lambda *a: by_autograd(*a, detach=False), "whole gradient"),
        (lambda *a: by_autograd(*a, keep=False), "begins at zeros"),
        (lambda *a: by_autograd(*a).T, "Transposed"),
        (lambda *a: by_autograd(*a[:-1], 1), "Blocks of one step"),
    ],
    "seq-lstm-backward": [
        (lambda *a: lstm_by_hand(*a, shown=False), "used twice"),
        (lambda *a: lstm_by_hand(*a, later=False), "Where has dc gone"),
        (lambda *a: lstm_by_hand(*a, cell="new"), "OLD cell"),
        (lambda *a: lstm_by_autograd(*a, keep=3), "Six things"),
    ],
}

RIGHT = {
    "seq-zoo-detach": [
        cut,
        lambda s: cut(s, lambda t: t.data.clone()),
        lambda s: cut(s, lambda t: torch.tensor(t.tolist())),
    ],
    "seq-zoo-gates": [
        order(0, 1, 3, 2),
        reordered_by_view,
        lambda w: torch.cat([w[: len(w) // 2], w[len(w) // 2 :].roll(len(w) // 4, 0)]),
    ],
    "seq-zoo-neighbors": [
        alone,
        alone_one_by_one,
        alone_by_gradient,
        lambda run, x: alone(run, x, change=9.0),
    ],
    "seq-zoo-mean": [mean_by_loop, mean_by_cumsum],
    "seq-zoo-padding": [
        loss_by_loop,
        loss_ignored,
        lambda z, y, n: (losses(z, y) * masked(z, n)).sum() / n.sum(),
    ],
    "seq-zoo-order": [goes_on, goes_on_by_loop],
    "seq-zoo-clip": [stepped, stepped_by_library],
    "seq-table": [10**3 * 9, 9000.0],
    "seq-count": [4 * (64 * 128 + 128 * 128 + 256)],
    "seq-forget": [
        lambda n: -math.log(math.expm1(math.log(2) / n)),
        lambda n: math.log(2 ** (-1 / n)) - math.log(1 - 2 ** (-1 / n)),
    ],
    "seq-paper-gru": [paper_gru],
    "seq-reverse": [turned_by_index],
    "seq-bayes": [learned],
    "seq-half": [-3, -2.5],
    "seq-truncated": [by_autograd],
    "seq-lstm-backward": [lstm_by_autograd, lstm_by_hand],
}

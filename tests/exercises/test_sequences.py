"""The exercises of the chapter on sequences: wrong answers that readers give, and the hint each must get."""

import copy
import itertools
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


def cut_two_levels(state):
    if state is None or torch.is_tensor(state):
        return cut(state)
    parts = [
        type(p)(getattr(q, "data", q) for q in p) if isinstance(p, (tuple, list)) else cut(p) for p in state
    ]
    return type(state)(parts)


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


def alone_after(
    run, x, how, near=False, small=1e-5, measure=torch.abs, given=lambda t: t
):  # each sequence is changed by `how`
    before = run(given(x))
    for n in range(len(x)):
        other = x.clone()
        other[n] = how(other[n])
        moved = run(given(other)) - before
        moved = moved[[(n + 1) % len(x)]] if near else moved[torch.arange(len(x)) != n]
        if measure(moved).max() > small:
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


def mean_of_nonzero(h, lengths):
    h = torch.where(masked(h, lengths)[..., None], h, 0)
    return h.sum(dim=0) / (h != 0).sum(dim=0)


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


def stepped_by(length, weights, gradients, lr, most):
    factor = min(1.0, most / max(float(length(gradients)), 1e-30))
    return [w - lr * factor * g for w, g in zip(weights, gradients, strict=True)]


def stepped_each(weights, gradients, lr, most):
    return [stepped([w], [g], lr, most)[0] for w, g in zip(weights, gradients, strict=True)]


# --- exercises -----------------------------------------------------------------------------------------


def bisected(n, most=50.0):
    low, high = -most, most
    for _ in range(200):
        b = (low + high) / 2
        low, high = (b, high) if 1 / (1 + math.exp(-b)) < 2 ** (-1 / n) else (low, b)
    return b


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def paper_gru(x, h, U, W, b, order=(0, 1, 2), inside=True, new=True):
    (Ur, Uz, Un), (Wr, Wz, Wn), (br, bz, bn) = (
        [np.split(a, 3, axis=-1)[k] for k in order] for a in (U, W, b)
    )
    r, z = sigmoid(x @ Ur + h @ Wr + br), sigmoid(x @ Uz + h @ Wz + bz)
    n = np.tanh(x @ Un + bn + ((r * h) @ Wn if inside else r * (h @ Wn)))
    return z * n + (1 - z) * h if new else z * h + (1 - z) * n


def other_gru(x, h, U, W, b, kind):
    H = h.shape[1]
    (r, z), new = (
        (sigmoid(x @ U[:, k] + h @ W[:, k] + b[k]) for k in (slice(0, H), slice(H, 2 * H))),
        slice(2 * H, None),
    )
    a, old = x @ U[:, new] + b[new], h @ W[:, new]
    n = np.tanh(
        {"input": r * a + old, "both": r * (a + old), "update": a + (z * h) @ W[:, new]}.get(
            kind, a + (r * h) @ W[:, new]
        )
    )
    return n if kind == "candidate" else z * n + h if kind == "sum" else h + z * (n - h)


def turned_by_index(x, lengths):
    steps = torch.arange(len(x))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x[places, torch.arange(x.shape[1])]


def turned_parts(x, lengths, parts):
    columns = [torch.cat(parts(x[:k, n], x[k:, n])) for n, k in enumerate(lengths.tolist())]
    return torch.stack(columns, dim=1)


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


def learned_in_logs(p, q, weight, least=0.0, again=False):
    odds, start, out = math.log(weight / (1 - weight)), math.log(weight / (1 - weight)), []
    for a, b in zip(p, q, strict=True):
        if least:
            odds = min(max(odds, math.log(least)), -math.log(least))
        out.append(np.logaddexp(a - np.logaddexp(0, -odds), b - np.logaddexp(0, odds)))
        odds = (start if again else odds) + a - b
    return np.array(out)


def learned_in_sums(p, q, weight):
    odds = np.log(weight / (1 - weight)) + np.append(0, np.cumsum(p - q)[:-1])
    return np.logaddexp(p - np.logaddexp(0, -odds), q - np.logaddexp(0, odds))


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


def by_hand(dh, x, h0, U, W, b, length, slope=True, late=False, forward=False, shift=0):
    h = [h0]
    for row in x:
        h.append(torch.tanh(row @ U + h[-1] @ W + b))
    total, later = torch.zeros_like(W), 0.0
    for t in range(len(x) - 1, -1, -1):
        later = 0.0 if (t + 1 + shift) % length == 0 else later
        delta = (dh[t] + later) * (1 - h[t + 1] ** 2 if slope else 1.0)
        total = total + h[t + 1 if late else t].T @ delta
        later = delta @ (W if forward else W.T)
    return total


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


def lstm_parts(*args):
    """The right six, and what the last argument makes of them."""
    return args[-1](list(lstm_by_hand(*args[:-1])))


WRONG = {
    "seq-zoo-detach": [
        (lambda s: s, "Which call cuts"),
        (lambda s: s.detach(), "there is None"),
        (lambda s: None if s is None else s.detach(), "hands on a tuple"),
        (cut_flat, "list of such"),
        (cut_to_list, "stay tuples"),
        (lambda s: cut(s, torch.clone), "Which call cuts"),
        (lambda s: cut(s, lambda t: torch.zeros_like(t, requires_grad=False)), "only its history"),
        (cut_two_levels, "Which call cuts"),
        (lambda s: cut(s, torch.Tensor.detach_), "Who else"),
        (lambda s: cut(s, lambda t: t.detach().requires_grad_()), "step along"),
        (copy.deepcopy, "cut off before"),
    ],
    "seq-zoo-gates": [
        (lambda w: w, "in which they came"),
        (order(0, 2, 1, 3), "i and f stand right"),
        (order(0, 2, 3, 1), "i and f stand right"),
        (reordered_in_place, ""),
        (order(1, 0, 3, 2), "i and f stand right"),
        (order(2, 3, 0, 1), "i and f stand right"),
        (lambda w: w.flip(0), "within a part"),
        (order(0, 1, 3, 3), "twice"),
        (lambda w: order(0, 1, 3, 2)(w).view(4, -1), "shape of w"),
        (lambda w: torch.cat([w.chunk(4, -1)[k] for k in (0, 1, 3, 2)], -1), "which axis"),
        (lambda w: [w.chunk(4)[k] for k in (0, 1, 3, 2)], "one tensor"),
    ],
    "seq-zoo-neighbors": [
        (lambda run, x: run(x).shape[:2] == x.shape[:2], "adds up over the batch"),
        (lambda run, x: True, "adds up over the batch"),
        (lambda run, x: False, "adds up along the steps"),
        (lambda run, x: alone(run, x, others=[0]), "Change each in turn"),
        (lambda run, x: alone(run, x, steps=slice(0, 1)), "Compare all steps"),
        (lambda run, x: alone(run, x, tolerance=0), ""),
        (lambda run, x: alone(run, x, steps=slice(-1, None)), "at the first step only"),
        (
            lambda run, x: alone_after(run, x, lambda t: torch.cat([t[:-1], 0 * t[-1:]])),
            "at the first step only",
        ),
        (lambda run, x: alone_after(run, x, lambda t: t.flip(0)), ""),
        (lambda run, x: alone_after(run, x, torch.zeros_like, near=True), "not the next one"),
        (lambda run, x: alone(run, x, tolerance=0.1), "thousandth"),
        (
            lambda run, x: alone_after(run, x, torch.zeros_like, measure=lambda m: m.sum().abs()),
            "each number",
        ),
        (
            lambda run, x: torch.allclose(run(x.roll(1, 0)), run(x).roll(1, 0), atol=1e-5),
            "mean over the batch",
        ),
    ],
    "seq-zoo-mean": [
        (lambda h, n: h.mean(dim=0), "averaged as well"),
        (lambda h, n: h[n - 1, torch.arange(h.shape[1])], "last true state"),
        (lambda h, n: (h * masked(h, n)[..., None]).sum(dim=0) / n[:, None], "nan times 0"),
        (lambda h, n: (torch.nan_to_num(h) * masked(h, n)[..., None]).mean(dim=0), "divide by"),
        (lambda h, n: h.nanmean(dim=0), "averaged as well"),
        (lambda h, n: torch.nan_to_num(h).sum(dim=0) / n[:, None], "still in the sum"),
        (mean_of_nonzero, "May a true state be 0"),
        (lambda h, n: torch.where(masked(h, n)[..., None], h, 0).sum(dim=0) / n, "which axes"),
        (lambda h, n: torch.where(masked(h, n)[..., None], h, 0).sum(dim=0) / n.sum(), "whole batch"),
        (lambda h, n: h[: int(n.min())].mean(dim=0), "shortest"),
        (lambda h, n: torch.stack([h[: k - 1, i].sum(dim=0) / k for i, k in enumerate(n)]), "too few"),
        (lambda h, n: h.mean(dim=1), "first axis"),
    ],
    "seq-zoo-padding": [
        (lambda z, y, n: losses(z, y).mean(), "runs over the padding"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).mean(), "divide by"),
        (lambda z, y, n: ((losses(z, y) * masked(z, n)).sum(dim=0) / n).mean(), "All count alike"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).sum(), "not the mean"),
        (lambda z, y, n: F.cross_entropy(z[masked(z, n)].softmax(-1), y[masked(z, n)]), "How often"),
        (lambda z, y, n: losses(z, y)[masked(z, n)].mean().exp().item(), "perplexity"),
        (lambda z, y, n: -losses(z, y)[masked(z, n)].mean(), "Which sign"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).sum() / len(n), "SYMBOLS"),
        (lambda z, y, n: losses(z, y)[n - 1, torch.arange(len(n))].mean(), "last symbol"),
        (lambda z, y, n: losses(z * masked(z, n)[..., None], y).mean(), "uniform guess"),
        (lambda z, y, n: (losses(z, y) * masked(z, n)).sum(dim=0) / n, "One number"),
        (lambda z, y, n: losses(z, y)[masked(z, n)].mean() / math.log(2), "natural logarithm"),
    ],
    "seq-zoo-order": [
        (lambda pairs: True, "Every second block"),
        (lambda pairs: goes_on(pairs, columns=slice(0, 1)), "single column"),
        (lambda pairs: goes_on(pairs, out=0), "one after the other"),
        (lambda pairs: goes_on(pairs[:2]), ""),
        (lambda pairs: bool(pairs[0][1][-1][0] == pairs[1][0][0][0]), ""),
        (lambda pairs: goes_on(pairs[1:]), "very first border"),
        (lambda pairs: goes_on(pairs, columns=slice(0, 4)), "all columns"),
        (
            lambda pairs: all((a[1][-1] - b[0][0]).abs().max() < 2 for a, b in itertools.pairwise(pairs)),
            "by one",
        ),
        (
            lambda pairs: all(torch.equal(pairs[k - 1][1][-1], pairs[k][0][0]) for k in range(len(pairs))),
            "any before",
        ),
        (lambda pairs: len(pairs) > 1 and goes_on(pairs), "single block"),
        (lambda pairs: all(torch.equal(x[1:], y[:-1]) for x, y in pairs), ""),
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
        (lambda *a: stepped_by(lambda g: sum(b.abs().sum() for b in g), *a), "would be 5"),
        (lambda *a: stepped_by(lambda g: max(b.abs().max() for b in g), *a), "would be 5"),
        (lambda *a: stepped_by(lambda g: sum(b.norm() for b in g), *a), "3 and 4"),
        (lambda w, g, lr, m: stepped(w, g, 0.1, m), "always 0.1"),
        (lambda w, g, lr, m: stepped(w, g, lr, 1.0), "bound always 1"),
        (lambda w, g, lr, m: stepped(w, g, 1.0, m), "Where is the rate"),
        (lambda *a: [w - b for w, b in zip(a[0], stepped(*a), strict=True)], "Those are the steps"),
        (
            lambda w, g, lr, m: (
                list(w) if torch.cat([a.flatten() for a in g]).norm() > m else stepped(w, g, lr, m)
            ),
            "left out there",
        ),
    ],
    "seq-table": [
        (10000, "follow from the others"),
        (9999, "each row"),
        (900, "three symbols"),
        (90, "ONE symbol"),
        (729, "may stand before"),
        (6561, "Which factor"),
        (59049, "exponent"),
        (40, "add"),
        (5040, "twice"),
        ("9000", ""),
    ],
    "seq-count": [
        (98816, "two biases"),
        (98304, "biases"),
        (74496, "GRU"),
        (24832, "one of the four"),
        (32768, "else than from the input"),
        (66048, "else than from the state"),
        (49664, "64 or 128"),
        (198656, "directions"),
        (231424, "two layers"),
        (73728, "three parts"),
    ],
    "seq-forget": [
        (lambda n: 2 ** (-1 / n), "the gate itself"),
        (lambda n: math.log(2 ** (1 / n) - 1), "sign"),
        (lambda n: math.log(n), "rule of thumb"),
        (lambda n: math.log(n / math.log(2)), "in the limit"),
        (lambda n: bisected(n, 10.0), ""),
        (lambda n: abs(bisected(n)), "May b be negative"),
        (lambda n: bisected(n) / math.log(2), "which logarithm"),
        (lambda n: math.atanh(2 ** (-1 / n)), "not tanh"),
        (lambda n: -math.log(2**n - 1), "power or a root"),
        (lambda n: round(bisected(n), 3), "rounded"),
        (lambda n: bisected(n + 1), "One step too many"),
    ],
    "seq-paper-gru": [
        (lambda *a: paper_gru(*a, inside=False), "after the product"),
        (lambda *a: paper_gru(*a, new=False), "lets the new in"),
        (lambda *a: paper_gru(*a, order=(1, 0, 2)), "first third"),
        (lambda *a: paper_gru(*a, inside=False, new=False), "both respects"),
        (lambda *a: other_gru(*a, "input"), "the input or the old"),
        (lambda *a: other_gru(*a, "both"), "else does it close"),
        (lambda *a: other_gru(*a, "update"), "of the two gates"),
        (lambda *a: other_gru(*a, "candidate"), "That is the candidate"),
        (lambda *a: other_gru(*a, "sum"), "which share"),
        (lambda *a: paper_gru(*a, order=(1, 2, 0)), "last third"),
        (lambda *a: paper_gru(*a[:4], 0 * a[4]), "Where has b"),
        (lambda x, h, *a: paper_gru(x, 0 * h, *a), "Does the old state"),
    ],
    "seq-reverse": [
        (lambda x, n: x.flip(0), "come to the front"),
        (lambda x, n: x.flip(1), "Turn the steps"),
        (lambda x, n: turned_by_index(x, n - 1), "last true entry"),
        (turned_in_place, ""),
        (lambda x, n: turned_by_index(x, n.max().expand(len(n))), "One length for all"),
        (lambda x, n: turned_by_index(x, n[0].expand(len(n))), "One length for all"),
        (lambda x, n: turned_by_index(x, n).transpose(0, 1), "Time is the first axis"),
        (lambda x, n: turned_parts(x, n, lambda a, b: [a.flip(-1), b]), "Which axis"),
        (lambda x, n: turned_parts(x, n, lambda a, b: [a.flip(0), b.flip(0)]), "turned as well"),
        (lambda x, n: turned_parts(x, n, lambda a, b: [a, b.flip(0)]), "sequence is not"),
        (lambda x, n: turned_parts(x, n, lambda a, b: [b, a.flip(0)]), "come to the front"),
        (lambda x, n: turned_parts(x, n, lambda a, b: [b, a]), "That shifts"),
    ],
    "seq-bayes": [
        (lambda p, q, w: learned(p, q, w, fixed=True), "never changes"),
        (lambda p, q, w: learned(p, q, w, early=True), "before the symbol"),
        (learned_plainly, "logaddexp"),
        (lambda p, q, w: w * p + (1 - w) * q, "Mix the probabilities"),
        (lambda p, q, w: learned(q, p, w), "belongs to model 1"),
        (learned, "becomes the better one"),
        (lambda p, q, w: learned_in_logs(p, q, w, least=1e-6), "becomes the better one"),
        (lambda p, q, w: learned_in_logs(p, q, w, least=1e-16), "becomes the better one"),
        (lambda p, q, w: learned_in_logs(p, q, 0.5), "always 0.5"),
        (lambda p, q, w: learned_in_logs(p, q, w, again=True), "begins anew"),
        (lambda p, q, w: -learned_in_logs(p, q, w), "which sign"),
        (lambda p, q, w: np.maximum(p, q), "knows beforehand"),
        (lambda p, q, w: np.cumsum(learned_in_logs(p, q, w)), "for all up to it"),
    ],
    "seq-half": [
        (-9, "second"),
        (-0.5, "decimal logarithm"),
        (-21, "second"),
        (-5.5, "Measured"),
        (-5.3, "natural"),
        (2, "sign"),
        (-1, "bias 3"),
        (math.nan, ""),
    ],
    "seq-truncated": [
        (lambda *a: by_autograd(*a, detach=False), "whole gradient"),
        (lambda *a: by_autograd(*a, keep=False), "begins at zeros"),
        (lambda *a: by_autograd(*a).T, "Transposed"),
        (lambda *a: by_autograd(*a[:-1], 1), "Blocks of one step"),
        (lambda *a: by_hand(*a, slope=False), "slope of tanh"),
        (lambda *a: by_hand(*a, late=True), "BEFORE the step"),
        (lambda *a: by_hand(*a, forward=True), "way back"),
        (lambda *a: by_hand(*a, shift=1), "one step off"),
        (lambda *a: by_hand(*a, shift=-len(a[1]) % a[-1]), "shorter one"),
        (lambda dh, x, h0, *a: by_hand(dh, x, 0 * h0, *a), "h0"),
        (lambda *a: by_hand(*a) / len(a[2]), "over the batch"),
        (lambda *a: -by_hand(*a), "not the step"),
    ],
    "seq-lstm-backward": [
        (lambda *a: lstm_by_hand(*a, shown=False), "used twice"),
        (lambda *a: lstm_by_hand(*a, later=False), "Where has dc gone"),
        (lambda *a: lstm_by_hand(*a, cell="new"), "OLD cell"),
        (lambda *a: lstm_by_autograd(*a, keep=3), "Six things"),
        (lambda *a: lstm_parts(*a, lambda r: [r[0], r[2], r[1], *r[3:]]), "another order"),
        (lambda *a: lstm_parts(*a, lambda r: [*r[3:], *r[:3]]), "another order"),
        (lambda *a: lstm_parts(*a, lambda r: [*r[:5], r[5] / len(a[0])]), "not a mean"),
        (lambda *a: lstm_parts(*a, lambda r: [*r[:3], *(t / len(a[0]) for t in r[3:])]), "not means"),
        (lambda *a: lstm_parts(*a, lambda r: [r[0], r[1] + a[0], *r[2:]]), "past the gates"),
        (lambda *a: lstm_parts(*a, lambda r: [*r[:5], r[5][None]]), "shape of b"),
        (lambda dh, *a: lstm_by_hand(0 * dh, *a), "Where has dh"),
    ],
}

RIGHT = {
    "seq-zoo-detach": [
        cut,
        lambda s: cut(s, lambda t: t.data.clone()),
        lambda s: cut(s, lambda t: torch.tensor(t.tolist())),
        lambda s: copy.deepcopy(cut(s)),
        lambda s: cut(s, lambda t: torch.from_numpy(t.detach().numpy().copy())),
    ],
    "seq-zoo-gates": [
        order(0, 1, 3, 2),
        reordered_by_view,
        lambda w: torch.cat([w[: len(w) // 2], w[len(w) // 2 :].roll(len(w) // 4, 0)]),
        lambda w: w[torch.arange(len(w)).view(4, -1)[[0, 1, 3, 2]].flatten()],
    ],
    "seq-zoo-neighbors": [
        alone,
        alone_one_by_one,
        alone_by_gradient,
        lambda run, x: alone(run, x, change=9.0),
        lambda run, x: alone_after(run, x, lambda t: t + 1),
        lambda run, x: alone_after(run, x, torch.randn_like),
        lambda run, x: alone_after(run, x, torch.neg, given=torch.Tensor.double),
    ],
    "seq-zoo-mean": [
        mean_by_loop,
        mean_by_cumsum,
        lambda h, n: torch.where(masked(h, n)[..., None], h, torch.nan).nanmean(dim=0),
        lambda h, n: mean_by_loop(h.float(), n),
    ],
    "seq-zoo-padding": [
        loss_by_loop,
        loss_ignored,
        lambda z, y, n: (losses(z, y) * masked(z, n)).sum() / n.sum(),
        lambda z, y, n: loss_by_loop(z, y, n).item(),
        lambda z, y, n: loss_ignored(z, y, n).numpy(),
        lambda z, y, n: loss_ignored(z.float(), y, n),
    ],
    "seq-zoo-order": [
        goes_on,
        goes_on_by_loop,
        lambda pairs: np.all([torch.equal(a[1][-1], b[0][0]) for a, b in itertools.pairwise(pairs)]),
    ],
    "seq-zoo-clip": [
        stepped,
        stepped_by_library,
        lambda *a: tuple(stepped(*a)),
        lambda *a: stepped_by(lambda g: math.hypot(*(float(b.norm()) for b in g)), *a),
    ],
    "seq-table": [
        10**3 * 9,
        9000.0,
        np.int64(9000),
        torch.tensor(9000),
    ],
    "seq-count": [
        4 * (64 * 128 + 128 * 128 + 256),
        sum(p.numel() for p in torch.nn.LSTM(64, 128).parameters()),
    ],
    "seq-forget": [
        lambda n: -math.log(math.expm1(math.log(2) / n)),
        lambda n: math.log(2 ** (-1 / n)) - math.log(1 - 2 ** (-1 / n)),
        bisected,
        lambda n: torch.logit(torch.tensor(2.0, dtype=torch.float64) ** (-1 / n)),
    ],
    "seq-paper-gru": [
        paper_gru,
        lambda *a: other_gru(*a, ""),
        lambda *a: paper_gru(*[t.astype(np.float32) for t in a]),
    ],
    "seq-reverse": [
        turned_by_index,
        lambda x, n: turned_parts(x, n, lambda a, b: [a.flip(0), b]),
        lambda x, n: torch.from_numpy(turned_by_index(x, n).numpy().copy()),
    ],
    "seq-bayes": [
        learned_in_logs,
        learned_in_sums,
    ],
    "seq-half": [
        -3,
        -2.5,
        -2,
        -2.3,
        np.int64(-2),
    ],
    "seq-truncated": [
        by_autograd,
        by_hand,
        lambda *a: by_autograd(*[t.float() for t in a[:-1]], a[-1]),
    ],
    "seq-lstm-backward": [
        lstm_by_autograd,
        lstm_by_hand,
        lambda *a: list(lstm_by_autograd(*a)),
        lambda *a: lstm_by_hand(*[t.float() for t in a]),
    ],
}

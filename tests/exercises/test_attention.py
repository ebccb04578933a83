"""The exercises of the chapter on attention: wrong answers that readers give, and the hint each must get."""

import math

import torch
from torch.nn import functional as F

# --- bug zoo -------------------------------------------------------------------------------------------


def lower(n, diagonal=0):
    return torch.ones(n, n).tril(diagonal).bool()


def masked(scores, allowed, low=-math.inf):
    return scores.masked_fill(~allowed, low).softmax(dim=-1)


def padding_in_place(ids, padding):
    ids[ids == padding] = -1
    return (ids != -1)[:, None, None]


def leak(model, ids, kinds, places=None, outputs=None, tolerance=1e-5, later=True):
    before, N = model(ids), ids.shape[1]
    for n in range(1, N) if places is None else places(N):
        other = ids.clone()
        other[:, n] = (other[:, n] + 1) % kinds
        moved = (model(other) - before).abs()
        moved = moved[:, :n] if outputs is None else moved[:, outputs]
        moved = moved if later else (model(other) - before).abs()[:, n + 1 :]
        if moved.numel() and moved.max() > tolerance:
            return True
    return False


def leak_by_one_sequence(model, ids, kinds):
    for row in range(len(ids)):
        for n in range(1, ids.shape[1]):
            other = ids.clone()
            other[row, n] = (other[row, n] + 1) % kinds
            if not torch.allclose(model(other)[:, :n], model(ids)[:, :n], atol=1e-5):
                return True
    return False


def leak_in_place(model, ids, kinds):
    before = model(ids)[:, :-1]
    ids[:, -1] = (ids[:, -1] + 1) % kinds
    return bool((model(ids)[:, :-1] - before).abs().max() > 1e-5)


# --- exercises -----------------------------------------------------------------------------------------


def halves(x, sign=1, first=0, power=1.0):
    n, d = x.shape[-2:]
    i = torch.arange(d // 2, dtype=torch.float64)
    angles = torch.arange(first, first + n)[:, None] * 10000.0 ** (-2 * power * i / d)
    a, b = x[..., : d // 2], x[..., d // 2 :]
    c, s = angles.cos().to(x.dtype), (sign * angles.sin()).to(x.dtype)
    return torch.cat([a * c - b * s, b * c + a * s], dim=-1)


def neighbors(x):
    d = x.shape[-1] // 2
    y = halves(torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1))
    return torch.stack([y[..., :d], y[..., d:]], dim=-1).flatten(-2)


def by_complex_numbers(x):
    n, d = x.shape[-2:]
    a, b = x.double().chunk(2, dim=-1)
    i = torch.arange(d // 2, dtype=torch.float64)
    turn = torch.exp(1j * torch.arange(n)[:, None] * 10000.0 ** (-2 * i / d))
    z = torch.complex(a, b) * turn
    return torch.cat([z.real, z.imag], dim=-1).to(x.dtype)


def norm_by_autograd(grad, x, eps):
    leaf = x.detach().clone().requires_grad_()
    F.layer_norm(leaf, leaf.shape[-1:], eps=eps).backward(grad)
    return leaf.grad


def norm_parts(grad, x, eps, mean=True, along=True, root=True, biased=True):
    c = x - x.mean(dim=1, keepdim=True)
    s = (x.var(dim=1, keepdim=True, unbiased=not biased) + eps) ** (0.5 if root else 1)
    y = c / s
    out = grad
    if mean:
        out = out - grad.mean(dim=1, keepdim=True)
    if along:
        out = out - (grad * y).mean(dim=1, keepdim=True) * y
    return out / s


def back_by_autograd(grad, q, k, v, allowed, keep=3):
    leaves = [t.detach().clone().requires_grad_() for t in (q, k, v)]
    F.scaled_dot_product_attention(*leaves, allowed).backward(grad)
    return tuple(t.grad for t in leaves)[:keep]


def back_by_jacobian(grad, q, k, v, allowed):
    """With the whole Jacobian of the softmax of each row."""
    root = q.shape[-1] ** 0.5
    a = masked(q @ k.mT / root, allowed)
    da = grad @ v.mT
    ds = torch.stack([(torch.diag(p) - torch.outer(p, p)) @ g for p, g in zip(a, da, strict=True)])
    return ds @ k / root, ds.mT @ q / root, a.mT @ grad


def back(grad, q, k, v, allowed, rows=True, root=True, see=True, slope=True):
    d = q.shape[-1] ** 0.5
    a = masked(q @ k.mT / d, allowed | (not see))
    da = grad @ v.mT
    ds = da - (da * a).sum(1, keepdim=True) * rows
    ds = (a if slope else 1) * ds / (d if root else 1)
    return ds @ k, ds.mT @ q, a.mT @ grad


def merged_by_logs(a, b):
    log = torch.logaddexp(a[0] + a[1].log(), b[0] + b[1].log())
    top = torch.max(a[0], b[0])
    return top, (log - top).exp(), sum((p[0] - top).exp() * p[2] for p in (a, b))


def alibi(heads, n, shift=1, far=-math.inf):
    out = torch.full((heads, n, n), far)
    for h in range(heads):
        for i in range(n):
            for j in range(i + 1):
                out[h, i, j] = -(i - j) * 2 ** (-8 * (h + shift) / heads)
    return out


WRONG = {
    "att-zoo-mask": [
        (lambda n: lower(n).T, "should look at whom"),
        (lambda n: lower(n, -1), "look at itself"),
        (lambda n: ~lower(n), "other way round"),
        (lambda n: torch.ones(n, n).bool(), "later than row 0"),
        (lambda n: lower(n, 1), "One column too many"),
        (lambda n: lower(n).int(), "dtype"),
    ],
    "att-zoo-axis": [
        (lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v, "Each QUERY"),
        (lambda q, k, v: (q @ k.mT).softmax(-1) @ v, "Where is √d"),
        (lambda q, k, v: q @ k.mT / q.shape[-1] ** 0.5 @ v, "Where is the softmax"),
        (lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1), "And the values"),
        (
            lambda q, k, v: (e := (q @ k.mT / q.shape[-1] ** 0.5).exp()) / e.sum(-1, keepdim=True) @ v,
            "overflows",
        ),
    ],
    "att-zoo-scale": [
        (lambda q, k: (q @ k.mT * q.shape[-1] ** 0.5).softmax(-1), "the variance d"),
        (lambda q, k: (q @ k.mT).softmax(-1), "Where is √d"),
        (lambda q, k: (q @ k.mT / q.shape[-1]).softmax(-1), "its root"),
        (lambda q, k: (q @ k.mT / q.shape[-2] ** 0.5).softmax(-1), "number of tokens"),
        (lambda q, k: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2), "which axis"),
        (lambda q, k: q @ k.mT / q.shape[-1] ** 0.5, "And the weights"),
    ],
    "att-zoo-join": [
        (lambda x: x.reshape(x.shape[0], x.shape[2], -1), "together first"),
        (lambda x: x.permute(0, 2, 3, 1).flatten(2), "Head 0 first"),
        (lambda x: x.transpose(1, 2), "join the last two"),
        (lambda x: x.flatten(2), "not the tokens of a head"),
    ],
    "att-zoo-heads": [
        (lambda x, h: x.view(x.shape[0], h, x.shape[1], -1), "Cut the last axis"),
        (lambda x, h: x.unflatten(-1, (h, -1)), "before the tokens"),
        (lambda x, h: x.unflatten(-1, (-1, h)).permute(0, 3, 1, 2), "neighboring features"),
        (lambda x, h: x.unflatten(-1, (h, -1)).permute(2, 0, 1, 3), "The batch keeps"),
    ],
    "att-zoo-soft": [
        (lambda s, a: s.softmax(-1) * a, "has divided by keys"),
        (lambda s, a: (s * a).softmax(-1), "ordinary score"),
        (lambda s, a: (s * a).softmax(-1) * a, "still count"),
        (masked, "0/0"),
        (lambda s, a: masked(s, a, torch.finfo(s.dtype).min), "should be all 0"),
        (lambda s, a: masked(s, ~a.expand_as(s)).nan_to_num(0.0), "other way round"),
        (lambda s, a: (p := s.softmax(-1) * a) / p.sum(-1, keepdim=True).clamp(min=1e-30), "become 0 before"),
        (lambda s, a: masked(s, a, -1e3).masked_fill(~a, 0.0), "low enough"),
        (lambda s, a: masked(s.clamp(max=50), a).nan_to_num(0.0), ""),
    ],
    "att-zoo-padding": [
        (lambda ids, p: ids != p, "heads, one for queries"),
        (lambda ids, p: (ids == p)[:, None, None], "key is real"),
        (lambda ids, p: (ids != p)[:, None, :, None], ""),
        (lambda ids, p: (ids != 0)[:, None, None], ""),
        (lambda ids, p: (ids != p).float()[:, None, None], "comparison"),
        (padding_in_place, ""),
    ],
    "att-zoo-inverted": [
        (lambda a: a, "may, or may not"),
        (lambda a: a.float(), "ADDED"),
        (lambda a: (~a).int(), "numbers to be added"),
        (lambda a: ~a.T, ""),
        (lambda a: a.logical_not_(), "a copy"),
    ],
    "att-zoo-leak": [
        (lambda m, ids, k: True, "adds up what has come"),
        (lambda m, ids, k: False, "EARLIER outputs"),
        (lambda m, ids, k: leak(m, ids, k, places=lambda N: [1]), ""),
        (lambda m, ids, k: leak(m, ids, k, outputs=slice(0, 1)), ""),
        (lambda m, ids, k: leak(m, ids, k, places=lambda N: [N - 1], outputs=slice(0, 1)), "EARLIER"),
        (lambda m, ids, k: leak(m, ids, k, tolerance=0.0), ""),
        (lambda m, ids, k: leak(m, ids, k, tolerance=0.05), "thousandth"),
        (lambda m, ids, k: leak(m, ids, k, later=False), "come so far"),
        (leak_in_place, ""),
        (lambda m, ids, k: leak(m, ids, k, places=lambda N: [N - 1]), "in turn"),
        (lambda m, ids, k: leak(lambda i: m(i)[:1], ids, k), "last sequence"),
        (lambda m, ids, k: leak(m, ids, k, tolerance=2e-4), "1e-5 is the limit"),
    ],
    "att-count": [
        (12 * 768**2 + 13 * 768, "twelve"),
        (12 * 12 * 768**2, "biases"),
        (12 * (4 * 768**2 + 4 * 768), "MLP"),
        (12 * (12 * 768**2 + 9 * 768), "gain and a bias"),
    ],
    "att-cost": [(1024, "four maps"), (6144, "Two products"), (1536, "Count once more")],
    "att-additive": [
        (lambda g, h, a, b, v: torch.tanh((g @ b)[:, None] + (h @ a)) @ v, ""),
        (lambda g, h, a, b, v: ((g @ a)[:, None] + h @ b) @ v, "tanh"),
        (lambda g, h, a, b, v: (torch.tanh(g @ a)[:, None] + torch.tanh(h @ b)) @ v, "of the sum"),
        (lambda g, h, a, b, v: (torch.tanh((g @ a)[:, None] + h @ b) @ v).T, "Rows are queries"),
        (lambda g, h, a, b, v: (torch.tanh((g @ a)[:, None] + h @ b) @ v).softmax(-1), "scores are asked"),
        (lambda g, h, a, b, v: torch.tanh((g @ a)[:, None] + h @ b), "what does v do"),
    ],
    "att-window": [
        (lambda n, w: lower(n), "too far back"),
        (lambda n, w: lower(n) & ~lower(n, -w - 1), "itself counted"),
        (lambda n, w: lower(n, -1) & ~lower(n, -w), "look at itself"),
        (lambda n, w: lower(n, w - 1) & ~lower(n, -w), "ahead as well"),
        (lambda n, w: (lower(n) & ~lower(n, -w)).T, "Rows are queries"),
        (lambda n, w: ~(lower(n) & ~lower(n, -w)), "may look"),
    ],
    "att-rope": [
        (neighbors, "Those are neighbors"),
        (lambda x: halves(x, sign=-1), "other way"),
        (lambda x: halves(x, first=1), "position 0"),
        (lambda x: halves(x, power=0.5), "2i over d"),
        (lambda x: halves(x, power=-1), "more slowly"),
    ],
    "att-layernorm": [
        (lambda g, x, eps: norm_parts(g, x, eps, mean=False, along=False), "depend on x"),
        (lambda g, x, eps: norm_parts(g, x, eps, along=False), "through the mean"),
        (lambda g, x, eps: norm_parts(g, x, eps, mean=False), "part through the mean"),
        (lambda g, x, eps: norm_parts(g, x, eps, biased=False), "D − 1"),
        (lambda g, x, eps: norm_parts(g, x, 0 * eps), "Where is eps"),
        (lambda g, x, eps: F.layer_norm(x, x.shape[-1:], eps=eps), "forward pass"),
    ],
    "att-backward": [
        (lambda *t: back(*t, rows=False), "divides by a sum"),
        (lambda *t: back(*t, root=False), "divided by √d"),
        (lambda *t: back(*t, see=False), "Where is the mask"),
        (lambda *t: back(*t, slope=False), "weight as a factor"),
        (lambda *t: back(*t)[::-1], "Queries first"),
        (lambda *t: back(*t)[:2], "Three gradients"),
    ],
    "att-online": [
        (lambda a, b: (torch.max(a[0], b[0]), a[1] + b[1], a[2] + b[2]), "Bring them to one"),
        (
            lambda a, b: (*(r := merged_by_logs(a, b))[:2], r[2] / r[1]),
            "not yet divided",
        ),
        (lambda a, b: (a[0] + b[0], *merged_by_logs(a, b)[1:]), ""),
        (
            lambda a, b: (
                (x := b if a[0].max() < b[0].max() else a)[0],
                x[1] + ((y := a if x is b else b)[0] - x[0]).exp() * y[1],
                x[2] + (y[0] - x[0]).exp() * y[2],
            ),
            "",
        ),
    ],
    "att-steps": [(60, "hyphens"), (120, "not yet"), (240, "before")],
    "att-alibi": [
        (lambda h, n: -alibi(h, n), ""),
        (lambda h, n: alibi(h, n, shift=0), "not 1"),
        (lambda h, n: alibi(h, n, far=0.0), "hides nothing"),
        (lambda h, n: alibi(h, n).mT, "Rows are queries"),
        (
            lambda h, n: (
                alibi(h, n)
                * (2.0 ** (8 * torch.arange(1, h + 1) / h - (8 // h) * torch.arange(1, h + 1)))[:, None, None]
            ),
            "",
        ),
    ],
}

RIGHT = {
    "att-zoo-mask": [
        lambda n: torch.tensor([[j <= i for j in range(n)] for i in range(n)]),
        lambda n: ~torch.ones(n, n).triu(1).bool(),
    ],
    "att-zoo-axis": [
        F.scaled_dot_product_attention,
        lambda q, k, v: (k @ q.mT / q.shape[-1] ** 0.5).softmax(-2).mT @ v,
    ],
    "att-zoo-scale": [lambda q, k: (q / q.shape[-1] ** 0.25 @ (k / q.shape[-1] ** 0.25).mT).softmax(-1)],
    "att-zoo-join": [lambda x: torch.cat(list(x.unbind(1)), dim=-1)],
    "att-zoo-heads": [lambda x, h: torch.stack(x.chunk(h, dim=-1), dim=1)],
    "att-zoo-soft": [
        lambda s, a: masked(s, a).nan_to_num(0.0),
        lambda s, a: masked(s, a, -1e30) * a,
    ],
    "att-zoo-padding": [
        lambda ids, p: ids.ne(p).unsqueeze(1).unsqueeze(1).expand(-1, 3, -1, -1)[:, :1],
        lambda ids, p: (ids != p)[:, None, None].repeat(1, 1, 1, 1),
    ],
    "att-zoo-inverted": [
        lambda a: a == 0,
        lambda a: torch.zeros(a.shape).masked_fill(~a, -math.inf),
    ],
    "att-zoo-leak": [
        leak_by_one_sequence,
        lambda m, ids, k: bool(leak(m, ids, k)),
        lambda m, ids, k: any(
            not torch.allclose(m(ids[:, :n]), m(ids)[:, :n], atol=1e-5, rtol=0)
            for n in range(1, ids.shape[1])
        ),
    ],
    "att-additive": [
        lambda g, h, a, b, v: torch.stack([torch.tanh(row @ a + h @ b) @ v for row in g]),
    ],
    "att-window": [lambda n, w: lower(n) & ~lower(n, -w)],
    "att-rope": [by_complex_numbers],
    "att-layernorm": [norm_by_autograd],
    "att-backward": [back_by_autograd, back_by_jacobian],
    "att-online": [merged_by_logs],
    "att-alibi": [alibi],
}

"""The exercises of the chapter on transformers: wrong answers that readers give, and the hint each must get."""

import math

import numpy as np
import torch
from torch.nn import functional as F

# --- bug zoo -------------------------------------------------------------------------------------------


def shifted_by_loop(ids):
    x = torch.stack([row[: len(row) - 1] for row in ids])
    y = torch.stack([row[1:] for row in ids])
    return [x, y.clone()]


def targets_by_loop(ids, first, end):
    out = torch.full((len(ids), ids.shape[1] - 1), -100)
    for n in range(len(ids)):
        for t in range(int(first[n]), int(end[n])):
            out[n, t - 1] = ids[n, t]
    return out


def targets_all_masked_in_place(ids, first, end):
    for n in range(len(ids)):
        ids[n, : first[n]] = -100
        ids[n, end[n] :] = -100
    return ids[:, 1:]


def targets(ids, first, end, fill=-100, begin=0, stop=0, cut=slice(1, None)):
    where = torch.arange(ids.shape[1])
    counted = (where >= first[:, None] + begin) & (where < end[:, None] + stop)
    return torch.where(counted, ids, fill)[:, cut]


def mask_by_loop(queries, keys):
    rows = [[m <= keys - queries + n for m in range(keys)] for n in range(queries)]
    return torch.tensor(rows)


def triangle(queries, keys, diagonal=0):
    return torch.ones(queries, keys, dtype=torch.bool).tril(diagonal)


def merges_by_pairs(word, merges):
    tokens = [word[i : i + 1] for i in range(len(word))]
    for a, b in merges:  # in their order, each wherever it occurs: the same result
        i = 0
        while i + 1 < len(tokens):
            if tokens[i] == a and tokens[i + 1] == b:
                tokens[i : i + 2] = [a + b]
            i += 1
    return tokens


def longest(word, merges):
    known, out = {bytes([b]) for b in range(256)} | {a + b for a, b in merges}, []
    while word:
        size = max(n for n in range(1, len(word) + 1) if word[:n] in known)
        out.append(word[:size])
        word = word[size:]
    return out


def factors(fill_a, fill_b, d_in, d_out, rank):
    return fill_a(d_in, rank), fill_b(rank, d_out)


# --- exercises -----------------------------------------------------------------------------------------


def nucleus_by_loop(logits, top):
    out = torch.full_like(logits, -math.inf)
    for row, new in zip(logits, out, strict=True):
        p, total = row.softmax(0), 0.0
        for n in sorted(range(len(row)), key=lambda n, row=row: (-row[n].item(), n)):
            if total >= top - 1e-12:
                break
            new[n] = row[n]
            total += p[n].item()
    return out


def nucleus(logits, top, within=True):
    ordered, order = logits.sort(dim=1, descending=True, stable=True)
    p = ordered.softmax(dim=1)
    kept = p.cumsum(1) - p < top if within else p.cumsum(1) <= top
    return torch.where(kept.gather(1, order.argsort(1)), logits, -math.inf)


def answers_by_loop(logits, ids, answer):
    losses = [
        -logits[b, t].log_softmax(0)[ids[b, t + 1]]
        for b in range(len(ids))
        for t in range(logits.shape[1])
        if answer[b, t + 1]
    ]
    return sum(losses) / len(losses)


def answers_ignored(logits, ids, answer):
    y = torch.where(answer, ids, -100)[:, 1:]
    return F.cross_entropy(logits.transpose(1, 2), y)


def answers_zeroed(logits, ids, answer):
    losses = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return (losses * answer[:, 1:]).mean()


def cached(q, k, v, keys, values, causal=False):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    out = F.scaled_dot_product_attention(q[None], keys[None], values[None], is_causal=causal)[0]
    return out, keys, values


def cached_by_heads(q, k, v, keys, values):
    keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
    out = []
    for n in range(len(q)):
        w = ((keys[n] @ q[n, 0]) / q.shape[-1] ** 0.5).softmax(0)
        out.append((w[:, None] * values[n]).sum(0)[None])
    return [torch.stack(out), keys, values]


def cached_front(q, k, v, keys, values):
    out, _, _ = cached(q, k, v, keys, values)
    return out, torch.cat([k, keys], 1), torch.cat([v, values], 1)


def merge_in_place(weight, A, B, scale, sign):
    weight += sign * scale * (A @ B).T
    return weight


def accepted(proposed, logits):
    best = logits.argmax(1)
    wrong = (proposed != best[: len(proposed)]).nonzero()
    n = int(wrong[0]) if len(wrong) else len(proposed)
    return torch.cat([proposed[:n], best[n : n + 1]])


def accepted_by_loop(proposed, logits):
    out = []
    for n, row in enumerate(logits):
        out.append(int(row.argmax()))
        if n == len(proposed) or int(proposed[n]) != out[-1]:
            break
    return torch.tensor(out)


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "tf-zoo-shift": [
        (lambda ids: (ids[:, :-1], ids[:, :-1]), "just seen"),
        (lambda ids: (ids[:, 1:], ids[:, :-1]), "predicts the past"),
        (lambda ids: (ids[:-1], ids[1:]), "which axis"),
        (lambda ids: (ids, ids.roll(-1, 1)), "Nobody knows"),
    ],
    "tf-zoo-positions": [
        (lambda cached, new: torch.arange(new), "begin at 0"),
        (lambda cached, new: torch.arange(cached + new), "Of the new symbols only"),
        (lambda cached, new: torch.arange(cached, cached + new) + 1, "Counted from 0"),
        (lambda cached, new: torch.full((new,), cached), "behind the other"),
    ],
    "tf-zoo-tied": [
        (lambda width, wanted: wanted, "variance"),
        (lambda width, wanted: wanted / width, "Variances add"),
        (lambda width, wanted: 1 / width**0.5, "Which is wanted"),
        (lambda width, wanted: wanted * width**0.5, "smaller entries"),
    ],
    "tf-zoo-padding": [
        (lambda ids, first, end: ids[:, 1:], "Which symbols should count"),
        (lambda ids, first, end: targets(ids, first, end, fill=0), "0 is a symbol"),
        (lambda ids, first, end: targets(ids, first, end, cut=slice(0, -1)), "Not shifted"),
        (lambda ids, first, end: targets(ids, first, end, begin=1), "after <bot>"),
        (lambda ids, first, end: targets(ids, first, end, stop=-1), "its <end>"),
        (lambda ids, first, end: targets(ids, first, end, cut=slice(0, None)), "One target"),
        (targets_all_masked_in_place, ""),
    ],
    "tf-zoo-causal": [
        (triangle, "upper left"),
        (lambda n, m: triangle(n, m, m), "Everybody"),
        (lambda n, m: ~triangle(n, m, m - n), "Turned round"),
        (lambda n, m: triangle(n, m, m - n).float(), "not numbers"),
        (lambda n, m: triangle(n, m, m - n - 1), "itself"),
    ],
    "tf-zoo-lora": [
        (lambda a, b, r: factors(torch.zeros, torch.zeros, a, b, r), "gradient of each"),
        (lambda a, b, r: factors(torch.randn, torch.randn, a, b, r), "must be zero"),
        (lambda a, b, r: factors(torch.ones, torch.zeros, a, b, r), "columns different"),
        (lambda a, b, r: (torch.randn(r, a), torch.zeros(b, r)), "x A B"),
        (lambda a, b, r: factors(lambda *s: 1e4 * torch.randn(*s), torch.zeros, a, b, r), "usual"),
    ],
    "tf-zoo-longest": [
        (longest, "In which order"),
        (lambda w, m: merges_by_pairs(w, m[::-1]), ""),
        (lambda w, m: [w[i : i + 1] for i in range(len(w))], "Nothing has been merged"),
        (lambda w, m: [w] if w else [], "only pairs"),
    ],
    "tf-count": [
        (1_445_888, "counts once"),
        (1_317_632, "last norm"),
        (1_189_888, "table"),
    ],
    "tf-memory": [(2, "AND"), (8, "Two bytes"), (2**32, "gibibytes"), (4.294967296, "2^30")],
    "tf-bpe": [(5, "two merges"), (7, "one merge"), (3, "twice")],
    "tf-rank": [(8192, "small network"), (786_432, "themselves"), (9216, "d_in + d_out")],
    "tf-per-token": [(1.87, "300"), (2.48, "SEVENTH")],
    "tf-top-p": [
        (lambda z, top: nucleus(z, top, within=False), "REACH"),
        (lambda z, top: nucleus(z, top).softmax(1), "Logits are wanted"),
        (lambda z, top: torch.where(nucleus(z, top).isinf(), 0.0, z), "not a probability of 0"),
        (lambda z, top: torch.where(z.softmax(1) >= top, z, -math.inf), "together"),
    ],
    "tf-answers": [
        (answers_zeroed, "How many are counted"),
        (lambda z, ids, a: F.cross_entropy(z.flatten(0, 1), ids[:, 1:].flatten()), "over all symbols"),
        (lambda z, ids, a: answers_by_loop(z, ids, a) / math.log(2), "In nats"),
        (lambda z, ids, a: answers_by_loop(z, ids, a) * int(a[:, 1:].sum()), "not a sum"),
    ],
    "tf-cache": [
        (lambda *a: cached(*a, causal=True), "is_causal"),
        (cached_front, ""),
        (lambda q, *a: cached(q * q.shape[-1] ** 0.5, *a), "square root"),
        (lambda q, k, v, keys, values: (cached(q, k, v, keys, values)[0], keys, values), "belong into"),
        (lambda *a: cached(*a)[0], "Three things"),
    ],
    "tf-merge": [
        (lambda w, A, B, s, g: w + g * (A @ B).T, "scale"),
        (lambda w, A, B, s, g: w + s * (A @ B).T, "sign"),
        (lambda w, A, B, s, g: w + 2 * g * s * (A @ B).T, "twice"),
        (merge_in_place, ""),
    ],
    "tf-speculate": [
        (lambda p, z: accepted(p, z)[:-1], "one symbol more"),
        (lambda p, z: z.argmax(1), "rejected"),
        (lambda p, z: p, "checked"),
        (lambda p, z: z.argmax(1)[:1], "nothing gained"),
    ],
}

# id: right answers in another form than the page's
RIGHT = {
    "tf-zoo-shift": [shifted_by_loop],
    "tf-zoo-positions": [lambda cached, new: torch.tensor([cached + n for n in range(new)])],
    "tf-zoo-tied": [lambda width, wanted: math.sqrt(wanted**2 / width), lambda w, s: np.float64(s / w**0.5)],
    "tf-zoo-padding": [targets_by_loop],
    "tf-zoo-causal": [mask_by_loop],
    "tf-zoo-lora": [
        lambda a, b, r: factors(torch.zeros, torch.randn, a, b, r),
        lambda a, b, r: [torch.randn(a, r, requires_grad=True), torch.zeros(r, b, requires_grad=True)],
    ],
    "tf-zoo-longest": [],
    "tf-top-p": [nucleus_by_loop],
    "tf-answers": [answers_by_loop, answers_ignored],
    "tf-cache": [cached, cached_by_heads],
    "tf-merge": [lambda w, A, B, s, g: w + (g * s) * B.T @ A.T],
    "tf-speculate": [accepted, accepted_by_loop],
}

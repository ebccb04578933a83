"""The exercises of the chapter on inpainting: wrong answers that readers give, and the hint each must get."""

import itertools
import math

import numpy as np
import torch


def gradients(z, codebook, beta, share=2.0, sums=False, both=False, mean_of_cell=False):
    tokens = torch.cdist(z, codebook).argmin(1)
    difference = codebook[tokens] - z
    n = 1 if sums else len(z)
    for_codes = torch.zeros_like(codebook)
    for k in range(len(codebook)):
        chosen = difference[tokens == k]
        if len(chosen):
            for_codes[k] = share * (chosen.mean(0) if mean_of_cell else chosen.sum(0) / n)
    factor = 1 + beta if both else 1
    return -share * (1 + beta if both else beta) / n * difference, factor * for_codes


def overwritten(z, codebook):
    tokens = torch.cdist(z, codebook).argmin(1)
    grad = torch.zeros_like(codebook)
    for k, row in zip(tokens.tolist(), z, strict=True):
        grad[k] = 2 / len(z) * (codebook[k] - row)
    return grad


def norm(x, eps, ddof=0):
    s = (x.var(dim=1, keepdim=True, correction=ddof) + eps).sqrt()
    return s, (x - x.mean(1, keepdim=True)) / s


def backward(grad, x, eps, minus_mean=True, minus_along=True, average=True, ddof=0):
    s, y = norm(x, eps, ddof)
    along = (grad * y).mean(1, keepdim=True) if average else (grad * y).sum(1, keepdim=True)
    return (grad - minus_mean * grad.mean(1, keepdim=True) - minus_along * along * y) / s


def counts_by(rule):
    def revealed(unknown, steps, gamma):
        m = [unknown]
        for t in range(1, steps + 1):
            m.append(rule(gamma(t / steps), unknown, m[-1], t, steps))
        return [a - b for a, b in itertools.pairwise(m)]

    return revealed


def rounded(share, unknown, last, t, steps):
    return math.ceil(share * unknown - 1e-9)


def never_done(share, unknown, last, t, steps):
    return min(max(math.ceil(share * unknown), steps - t), last - 1)


def plain_ceil(share, unknown, last, t, steps):
    return 0 if t == steps else min(max(math.ceil(share * unknown), steps - t), last - 1)


def careless(share, unknown, last, t, steps):
    return 0 if t == steps else max(min(math.ceil(share * unknown - 1e-9), last - 1), 0)


def of_current(share, unknown, last, t, steps):
    return math.ceil(share * last - 1e-9)


def rounded_down(share, unknown, last, t, steps):
    return 0 if t == steps else min(max(math.floor(share * unknown + 1e-9), steps - t), last - 1)


def regardless(share, unknown, last, t, steps):
    return 0 if t == steps else min(max(math.ceil((1 - t / steps) * unknown - 1e-9), steps - t), last - 1)


def distance(x, y, ddof=1, means=True, squared=True):
    S1, S2 = (np.atleast_2d(np.cov(f.T, ddof=ddof)) for f in (x, y))
    values, vectors = np.linalg.eigh(S1)
    half = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    kappa = np.linalg.eigvalsh(half @ S2 @ half).clip(0)
    away = means * np.sum((x.mean(0) - y.mean(0)) ** 2)
    result = away + np.trace(S1) + np.trace(S2) - 2 * np.sqrt(kappa).sum()
    return float(result if squared else np.sqrt(max(result, 0)))


def by_matrix_root(x, y):
    from scipy.linalg import sqrtm

    S1, S2 = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    cross = np.trace(sqrtm(S1 @ S2 + 0j))
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(S1 + S2) - 2 * cross


def grown(pixels, patch, before, pad=0):
    padded = torch.nn.functional.pad(pixels.double()[:, None], (before,) * 4, value=pad)
    return torch.nn.functional.max_pool2d(padded, patch + 2 * before, patch)[:, 0] > 0


def scaled(factor):
    return lambda q, k: (q @ k.mT * factor(q.shape[-1])).softmax(-1)


def cross_entropies(logits, tokens):
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")


def filler(stale=False, overwrite=False, least=False, greedy_once=False, extra=False, in_place=False):
    def fill(predict, tokens, counts, mask_id):
        start = tokens.clone()
        now = tokens if in_place else tokens.clone()
        for count in [sum(counts)] if greedy_once else counts:
            if extra:
                predict(now)
            log_p, token = predict(start if stale else now).log_softmax(-1).max(-1)
            score = (-log_p if least else log_p).clone()
            if not overwrite:
                score[now != mask_id] = -float("inf")
            places = score.topk(count, dim=1).indices
            now.scatter_(1, places, token.gather(1, places))
        return now

    return fill


def frechet_of_the_lab(x, y):
    from dlp_utils.models.inpainting import frechet_distance

    return frechet_distance(x, y)


def fill_by_rows(predict, tokens, counts, mask_id):
    """Each row by itself: as many passes a row as there are counts."""
    rows = []
    for row in tokens:
        now = row.clone()
        for count in counts:
            log_p, token = predict(now[None])[0].log_softmax(-1).max(-1)
            hidden = (now == mask_id).nonzero()[:, 0]
            best = hidden[log_p[hidden].argsort(descending=True)[:count]]
            now[best] = token[best]
        rows.append(now)
    return torch.stack(rows)


def fill_with_a_pass_before(predict, tokens, counts, mask_id):
    predict(tokens)  # to see shapes, say
    return filler()(predict, tokens, counts, mask_id)


def fill_with_a_pass_after(predict, tokens, counts, mask_id):
    now = tokens.clone()
    logits = predict(now)
    for count in counts:
        log_p, token = logits.log_softmax(-1).max(-1)
        log_p[now != mask_id] = -float("inf")
        places = log_p.topk(count, dim=1).indices
        now.scatter_(1, places, token.gather(1, places))
        logits = predict(now)  # the last of these is not used
    return now


def gumbel(u):
    return -torch.log(-torch.log(u))


def step_on_first(loss_of, batches, optimizer):
    optimizer.zero_grad()
    for k, batch in enumerate(batches):
        loss_of(batch).backward()
        if k % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()


def step_each(loss_of, batches, optimizer):
    for batch in batches:
        optimizer.zero_grad()
        loss_of(batch).backward()
        optimizer.step()


def added_up(loss_of, batches, optimizer):
    optimizer.zero_grad()
    for batch in batches:
        loss_of(batch).backward()
    optimizer.step()


def zero_inside(loss_of, batches, optimizer):
    for batch in batches:
        optimizer.zero_grad()
        (loss_of(batch) / len(batches)).backward()
    optimizer.step()


def never_zero(loss_of, batches, optimizer):
    for batch in batches:
        (loss_of(batch) / len(batches)).backward()
    optimizer.step()


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "inpaint-bits": [
        (48 / 9, "number of values with bits"),
        (43, "rounded"),
        (48, "tokens. Count bits on both sides"),
        (0.75, "tell which"),
        (1 / 42.667, "Turned round"),
        (14.22, "three values"),
        (384, "more than one bit"),
    ],
    "inpaint-bound": [("a", "near 1 for long"), ("C", "near 1 for long"), ("d", "draws n uniformly")],
    "inpaint-vq": [
        (lambda z, c, beta: gradients(z, c, beta, share=1.0), "a 2 in front"),
        (lambda z, c, beta: gradients(z, c, beta, both=True), "Without stop gradients"),
        (lambda z, c, beta: gradients(z, c, beta, mean_of_cell=True), "who chose the code"),
        (lambda z, c, beta: gradients(z, c, beta, sums=True), "Summed over the outputs"),
        (lambda z, c, beta: gradients(z, c, 1.0), "Where is β"),
        (lambda z, c, beta: gradients(z, c, beta)[::-1], "by outputs, then by codes"),
        (lambda z, c, beta: tuple(-part for part in gradients(z, c, beta)), "not the gradient"),
        (lambda z, c, beta: tuple(part / z.shape[1] for part in gradients(z, c, beta)), "over the features"),
        (lambda z, c, beta: (gradients(z, c, beta)[0], overwritten(z, c)), "Add up"),
        (lambda z, c, beta: (gradients(z, c, beta)[0], -gradients(z, c, beta)[1]), "bring them nearer"),
    ],
    "inpaint-schedule": [
        (counts_by(rounded), "has not fallen"),
        (counts_by(never_done), "6e-17"),
        (counts_by(plain_ceil), "14.000000000000002"),
        (counts_by(careless), "nothing for the last steps"),
        (counts_by(of_current), "at the beginning"),
        (counts_by(rounded_down), "rounds up"),
        (counts_by(regardless), "whichever γ"),
        (lambda unknown, steps, gamma: [1] * steps, "no more and no fewer"),
    ],
    "inpaint-frechet": [
        (lambda x, y: distance(x, y, ddof=0), "n − 1"),
        (lambda x, y: distance(x, y, means=False), "distance of the means"),
        (lambda x, y: distance(x, y, squared=False), "squared distance"),
        (lambda x, y: float(np.sum((x.mean(0) - y.mean(0)) ** 2)), "differ in shape"),
        (by_matrix_root, "imaginary"),
    ],
    "inpaint-price": [
        (0.665, "every second place"),
        (2.576, "one step"),
        (1.763, "the first half"),
        (0.5758, "in bits"),
        (0, "Is the first step counted"),
    ],
    "inpaint-cells": [
        (lambda pixels, patch, reach: grown(pixels, patch, 0), "Where is the reach"),
        (lambda pixels, patch, reach: grown(pixels, patch, reach, pad=1), "outside of the picture"),
        (lambda pixels, patch, reach: ~grown(pixels, patch, reach), "True means unknown"),
        (lambda pixels, patch, reach: grown(pixels, patch, reach).double(), "type bool"),
        (lambda pixels, patch, reach: grown(grown(pixels, patch, 0), 1, 1), "The reach is in pixels"),
    ],
    "inpaint-zoo-dropout": [
        (lambda scores, v, dropout: dropout(scores).softmax(-1) @ v, "That is the bug"),
        (lambda scores, v, dropout: scores.softmax(-1) @ v, "not dropped"),
        (lambda scores, v, dropout: dropout(scores.softmax(-1) @ v), "That drops features"),
        (
            lambda scores, v, dropout: (w := dropout(scores.softmax(-1))) / w.sum(-1, keepdim=True) @ v,
            "Do not normalize again",
        ),
        (lambda scores, v, dropout: dropout(scores.softmax(-2)) @ v, "along which axis"),
        (lambda scores, v, dropout: dropout(scores.softmax(-1)), "And the look-up"),
        (
            lambda scores, v, dropout: (p := scores.softmax(-1)) * (dropout(p) > 0) @ v,
            "it scales what it keeps",
        ),
        (
            lambda scores, v, dropout: torch.nn.functional.dropout(scores.softmax(-1), dropout.p) @ v,
            "know its mode",
        ),
    ],
    "inpaint-zoo-mask": [
        (lambda tokens, masked, mask_id: torch.where(masked, tokens, mask_id), "That is the bug"),
        (lambda tokens, masked, mask_id: tokens * ~masked, "Token 0"),
        (lambda tokens, masked, mask_id: tokens * 0 + mask_id, "Everything is hidden"),
    ],
    "inpaint-zoo-loss": [
        (lambda logits, tokens, masked: cross_entropies(logits, tokens).mean(), "That is the bug"),
        (lambda logits, tokens, masked: cross_entropies(logits, tokens)[~masked].mean(), "visible ones"),
        (
            lambda logits, tokens, masked: (cross_entropies(logits, tokens) * masked).mean(),
            "Divided by all tokens",
        ),
        (lambda logits, tokens, masked: cross_entropies(logits, tokens)[masked].sum(), "The mean over"),
        (
            lambda logits, tokens, masked: cross_entropies(logits.log_softmax(1), tokens)[masked].mean(),
            "",
        ),
        (
            lambda logits, tokens, masked: (
                -logits.log_softmax(1).gather(2, tokens[..., None]).squeeze(2)[masked].mean()
            ),
            "over which axis",
        ),
        (lambda logits, tokens, masked: cross_entropies(logits, tokens)[masked].mean().detach(), ""),
    ],
    "inpaint-zoo-grey": [
        (filler(greedy_once=True), "in each step"),
        (filler(least=True), "not the least"),
        (filler(extra=True), "More passes than steps"),
        (filler(in_place=True), "Work on a copy"),
        (filler(stale=True), "That is the bug"),
        (filler(overwrite=True), "compete with the hidden ones"),
    ],
    "inpaint-zoo-temperature": [
        (lambda step, steps, start: start * step / steps, "it rises"),
        (lambda step, steps, start: start * (step - 1) / steps, "it rises"),
        (lambda step, steps, start: start * (1 + step / steps), "it rises"),
        (lambda step, steps, start: start * (1 + step), "it rises"),
        (lambda step, steps, start: start, "stays as it is"),
        (lambda step, steps, start: start * (1 - (step - 1) / steps), "One step late"),
        (lambda step, steps, start: 1 - step / steps, "temperature of the start"),
        (lambda step, steps, start: start * (1 - (step - 1) / (steps - 1)), "share 1/T"),
    ],
    "inpaint-zoo-confidence": [
        (lambda p, u, temperature: p + temperature * gumbel(u), "That is the bug"),
        (lambda p, u, temperature: p.log() - temperature * gumbel(u), "wrong sign"),
        (lambda p, u, temperature: p.log() + temperature * u, "Uniform noise"),
        (lambda p, u, temperature: p.log() - temperature * u.log(), "One logarithm"),
        (lambda p, u, temperature: p.log() / temperature + gumbel(u), "At temperature 0"),
    ],
    "inpaint-zoo-counts": [
        (lambda step, steps, unknown: math.ceil((1 - (step / steps) ** 0.5) * unknown), "one of the bugs"),
        (lambda step, steps, unknown: math.ceil((1 - step / steps) * unknown), "linear"),
        (lambda step, steps, unknown: math.ceil((1 - step / steps) ** 2 * unknown), "One minus the square"),
        (lambda step, steps, unknown: int((1 - (step / steps) ** 2) * unknown), "rounds up"),
        (lambda step, steps, unknown: round((1 - (step / steps) ** 2) * unknown), "rounds up"),
    ],
    "inpaint-zoo-accumulate": [
        (step_on_first, "Only the first batch"),
        (step_each, "Step after the last"),
        (added_up, "count for its share"),
        (zero_inside, "Only the last batch"),
        (never_zero, "before the first batch"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "inpaint-vq": [
        gradients,
        lambda z, c, beta: [part.float() for part in gradients(z, c, beta)],
    ],
    "inpaint-frechet": [frechet_of_the_lab, distance],
    "inpaint-cells": [
        lambda pixels, patch, reach: torch.stack([grown(one[None], patch, reach)[0] for one in pixels]),
        lambda pixels, patch, reach: (
            torch.nn.functional.pad(pixels.int(), (reach,) * 4)
            .unfold(1, patch + 2 * reach, patch)
            .unfold(2, patch + 2 * reach, patch)
            .amax((3, 4))
            .bool()
        ),
    ],
    "inpaint-zoo-dropout": [
        lambda scores, v, dropout: (
            torch.nn.functional.dropout(scores.softmax(-1), dropout.p, dropout.training) @ v
        ),
        lambda scores, v, dropout: dropout(scores.float().softmax(-1)) @ v.float(),
        lambda scores, v, dropout: torch.einsum("...nm,...md->...nd", dropout(scores.softmax(-1)), v),
    ],
    "inpaint-zoo-mask": [
        lambda tokens, masked, mask_id: tokens * ~masked + mask_id * masked,
        lambda tokens, masked, mask_id: tokens.masked_fill(masked, mask_id).int(),
    ],
    "inpaint-zoo-loss": [
        lambda logits, tokens, masked: (cross_entropies(logits, tokens) * masked).sum() / masked.sum(),
        lambda logits, tokens, masked: torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), tokens.masked_fill(~masked, -100).flatten()
        ),
    ],
    "inpaint-zoo-grey": [fill_by_rows, fill_with_a_pass_before, fill_with_a_pass_after],
    "inpaint-zoo-confidence": [
        lambda p, u, temperature: p.log().sub(temperature * (-u.log()).log()).float(),
        lambda p, u, temperature: torch.log(p / (-torch.log(u)) ** temperature),
    ],
    "inpaint-zoo-accumulate": [
        lambda loss_of, batches, optimizer: (
            optimizer.zero_grad(),
            torch.stack([loss_of(batch) for batch in batches]).mean().backward(),
            optimizer.step(),
        ),
        lambda loss_of, batches, optimizer: (
            optimizer.zero_grad(set_to_none=False),
            (sum(map(loss_of, batches)) / len(batches)).backward(),
            optimizer.step(),
        )[2],
    ],
}

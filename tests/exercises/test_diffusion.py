"""The exercises of the chapter on diffusion: wrong answers that readers give, and the hint each must get."""

import copy
import math

import numpy as np
import torch


def wide(values):
    return values.view(-1, 1, 1, 1)


def jump(x0, xt, t, s, alpha_bar, before="s", root=False, forward=False, flat=False, naive=False, up=wide):
    bars = torch.cat([alpha_bar, torch.ones(1, dtype=alpha_bar.dtype)])
    bar_t, bar_s = up(bars[t]), up(alpha_bar[s] if before == "wrapped" else bars[s])
    a = bar_t / (up(bars[t - 1]) if before == "t - 1" else bar_s)
    variance = (1 - bar_s) * (1 - a) / (1 - bar_t)
    mean = (bar_s.sqrt() * (1 - a) * x0 + a.sqrt() * (1 - bar_s) * xt) / (1 - bar_t)
    if naive:  # by way of precisions, which are infinite at s = -1
        variance = 1 / (a / (1 - a) + 1 / (1 - bar_s))
        mean = variance * (a.sqrt() / (1 - a) * xt + bar_s.sqrt() / (1 - bar_s) * x0)
    variance = 1 - a if forward else variance
    variance = variance.sqrt() if root else variance
    return mean, variance.flatten() if flat else variance


def marginal(x0, xt, t, s, alpha_bar):
    bar = wide(torch.cat([alpha_bar, torch.ones(1, dtype=alpha_bar.dtype)])[s])
    return bar.sqrt() * x0, 1 - bar


def three_names(xt, prediction, kind, bar, power=0.5, through_noise=False, sign=1, up=wide):
    c, s = up(bar) ** power, (1 - up(bar)) ** power
    if kind == "v":
        noise = s * xt + sign * c * prediction
        x0 = (xt - s * noise) / c if through_noise else c * xt - sign * s * prediction
    elif kind == "x0":
        x0, noise = prediction, (xt - c * prediction) / s
    else:
        x0, noise = (xt - s * prediction) / c, prediction
    return x0, noise, sign * (c * noise - s * x0)


def rescaled(beta, root=True, stretch=True, give="beta"):
    r = (1 - beta).cumprod(0)
    r = r.sqrt() if root else r
    r = (r - r[-1]) * (r[0] / (r[0] - r[-1]) if stretch else 1)
    bar = r**2 if root else r
    alpha = torch.cat([bar[:1], bar[1:] / bar[:-1]])
    return {"beta": 1 - alpha, "bar": bar, "alpha": alpha, "short": 1 - alpha[1:]}[give]


def only_last(beta):
    return torch.cat([beta[:-1], torch.ones(1, dtype=beta.dtype)])


def ddim(xt, noise_t, bar_t, bar_s, eta, fresh, room=True, power=0.5, ancestral=True, part=1.0):
    x0 = (xt - (1 - bar_t) ** 0.5 * noise_t) / bar_t**0.5
    variance = (1 - bar_t / bar_s) * ((1 - bar_s) / (1 - bar_t) if ancestral else 1)
    sigma = eta * variance**power
    left = max(1 - bar_s - (sigma**2 if room else 0), 0)
    return bar_s**0.5 * x0 + part * left**0.5 * noise_t + sigma * fresh


def scores(logits, labels, k=None, threshold=0.0, loose=False):
    hits = []
    for row, wanted in zip(logits, labels, strict=True):
        top = row.topk(k or int(wanted.sum())).indices
        hits.append(int(wanted[top].sum()))
    hits = torch.tensor(hits)
    exact = ((logits > threshold) == (labels > 0)).all(1)
    return hits, (hits == labels.sum(1)) if loose else exact


def variances(beta, first, root=False):
    bar = (1 - beta).cumprod(0)
    before = torch.cat([torch.full_like(bar[:1], first), bar[:-1]])
    result = (1 - before) / (1 - bar) * beta
    return result.sqrt() if root else result


def wrapped(beta):
    bar = (1 - beta).cumprod(0)
    return torch.stack([(1 - bar[t - 1]) / (1 - bar[t]) * beta[t] for t in range(len(beta))])


def of(bar):
    return bar.sqrt(), (1 - bar).sqrt()


def never_averaged(model, average, measure):
    return measure(model)


def never_restored(model, average, measure):
    model.load_state_dict(average)
    return measure(model)


def restored_from_alias(model, average, measure):
    own = model.state_dict()
    model.load_state_dict(average)
    value = measure(model)
    model.load_state_dict(own)
    return value


def replaced(model, average, measure):
    own = copy.deepcopy(dict(model.named_parameters()))
    for name in own:
        setattr(model, name, torch.nn.Parameter(average[name].clone()))
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    for name, value in model.named_buffers():
        value.copy_(average[name])
    try:
        return measure(model)
    finally:
        for name, value in own.items():
            setattr(model, name, value)
        for name, value in model.named_buffers():
            value.copy_(buffers[name])


def one_permutation(n, T, generator):
    return torch.randperm(T, generator=generator).repeat(n // T + 1)[:n]


def fresh_permutations(n, T, generator):
    return torch.cat([torch.randperm(T, generator=generator) for _ in range(n // T + 1)])[:n]


def parameters_only(model, average, measure):
    own = {name: value.detach().clone() for name, value in model.named_parameters()}
    try:
        for name, value in model.named_parameters():
            value.data.copy_(average[name])
        return measure(model)
    finally:
        for name, value in model.named_parameters():
            value.data.copy_(own[name])


def swallowing(kind):
    def under_average(model, average, measure):
        own = copy.deepcopy(model.state_dict())
        model.load_state_dict(average)
        value = None
        try:  # noqa: SIM105
            value = measure(model)
        except kind:
            pass
        model.load_state_dict(own)
        return value

    return under_average


def only_for_errors(model, average, measure):
    own = copy.deepcopy(model.state_dict())
    model.load_state_dict(average)
    try:
        value = measure(model)
    except Exception:
        model.load_state_dict(own)
        raise
    model.load_state_dict(own)
    return value


def by_hand(model, average, measure):
    """Values in, values out, in double precision."""
    now = model.state_dict()
    own = {name: value.clone() for name, value in now.items()}
    try:
        for name, value in now.items():
            value.copy_(average[name])
        return measure(model).double()
    finally:
        for name, value in now.items():
            value.copy_(own[name])


def of_a_copy(model, average, measure):
    other = copy.deepcopy(model)
    other.load_state_dict(average)
    return measure(other)


def jump_by_joint(x0, xt, t, u, alpha_bar):
    """Conditions the joint Gaussian of x_u and x_t, picture by picture."""
    means, variances = [], []
    for a, b, i, j in zip(x0, xt, t.tolist(), u.tolist(), strict=True):
        bar_t, bar_u = alpha_bar[i], alpha_bar[j] if j >= 0 else torch.ones((), dtype=alpha_bar.dtype)
        cross = (bar_t / bar_u).sqrt() * (1 - bar_u)
        gain = cross / (1 - bar_t)
        means.append(bar_u.sqrt() * a + gain * (b - bar_t.sqrt() * a))
        variances.append((1 - bar_u - gain * cross).reshape(1, 1, 1))
    return torch.stack(means), torch.stack(variances).float()


def careless(model, average, measure):
    own = copy.deepcopy(model.state_dict())
    model.load_state_dict(average)
    value = measure(model)
    model.load_state_dict(own)
    return value


def swapped(model, average, measure):
    """Exchanges the two sets of weights for good."""
    own = copy.deepcopy(model.state_dict())
    model.load_state_dict(average)
    value = measure(model)
    for name in average:
        average[name].copy_(own[name])
    model.load_state_dict(own)
    return value


def clip(xt, noise, bar, bounds=(-1, 1), mend=False, of_noise=False, of_xt=False):
    noise = noise.clamp(-1, 1) if of_noise else noise
    xt = xt.clamp(-1, 1) if of_xt else xt
    x0 = (xt - (1 - bar) ** 0.5 * noise) / bar**0.5
    x0 = x0.clamp(*bounds) if bounds else x0
    return x0, (xt - bar**0.5 * x0) / (1 - bar) ** 0.5 if mend else noise


def guided(model, xt, t, labels, w, halves="right", passes=1, rule=None):
    zeros = torch.zeros_like(labels)
    if passes == 2:
        none, cond = model(xt, t, zeros), model(xt, t, labels)
    else:
        both = torch.cat([zeros, labels])
        steps = t if halves == "steps once" else torch.cat([t, t])
        none, cond = model(torch.cat([xt, xt]), steps, both).chunk(2)
    if halves == "exchanged":
        none, cond = cond, none
    w = w[:, None, None, None]
    return rule(none, cond, w) if rule else none + w * (cond - none)


def walked(T, S, warp, room=True, round=round):
    steps = [T - 1]
    for k in range(S - 1, 0, -1):
        step = round(T * warp(k / S)) - 1
        steps.append(min(max(step, k - 1) if room else step, steps[-1] - 1))
    return steps


def not_squared(beta):
    r = (1 - beta).cumprod(0).sqrt()
    bar = (r - r[-1]) * r[0] / (r[0] - r[-1])
    return 1 - torch.cat([bar[:1], bar[1:] / bar[:-1]])


def parts(xt, noise_t, bar_t, bar_u, eta):
    x0 = (xt - (1 - bar_t) ** 0.5 * noise_t) / bar_t**0.5
    return x0, eta * ((1 - bar_u) / (1 - bar_t) * (1 - bar_t / bar_u)) ** 0.5


def outside(xt, noise_t, bar_t, bar_u, eta, fresh):
    x0, sigma = parts(xt, noise_t, bar_t, bar_u, eta)
    return bar_u**0.5 * x0 + abs((1 - bar_u) ** 0.5 - sigma) * noise_t + sigma * fresh


def exchanged(xt, noise_t, bar_t, bar_u, eta, fresh):
    x0, sigma = parts(xt, noise_t, bar_t, bar_u, eta)
    return bar_u**0.5 * x0 + max(1 - bar_u - sigma**2, 0) ** 0.5 * fresh + sigma * noise_t


def clipped_first(xt, noise_t, bar_t, bar_u, eta, fresh):
    x0, sigma = parts(xt, noise_t, bar_t, bar_u, eta)
    kept = max(1 - bar_u - sigma**2, 0) ** 0.5
    return bar_u**0.5 * x0.clamp(-1, 1) + kept * noise_t + sigma * fresh


def first_as_second(beta):
    bar = (1 - beta).cumprod(0)
    variance = (1 - torch.cat([torch.ones(1, dtype=bar.dtype), bar[:-1]])) / (1 - bar) * beta
    return torch.cat([variance[1:2], variance[1:]])


def in_place(model, xt, t, labels, w):
    out = guided(model, xt, t, labels, w)
    labels.zero_()
    return out


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "diff-snr": [
        (500, "equally strong"),
        (704.83, "Which side of the middle"),
        (155.96, "amplitudes or of variances"),
        (85.6, "log SNR"),
        (666.67, "There ᾱ is 1/4"),
        (333.33, "the SNR 3"),
        (0.4636, "That is the angle"),
        (0.29517, "That is t/T"),
    ],
    "diff-weight": [
        (1, "And in the bound"),
        (0.1522, "Turned round"),
        (1064, "error of x₀"),
        (13.0, "error of v"),
        (161.9, "compares the SNRs"),
        (10, "weight of 1/t"),
    ],
    "diff-posterior": [
        (lambda *args: jump(*args, before="wrapped"), "alpha_bar[-1]"),
        (lambda *args: jump(*args, before="t - 1"), "Right for neighboring steps"),
        (lambda *args: jump(*args, root=True), "standard deviation"),
        (lambda *args: jump(*args, forward=True), "given x_u"),
        (lambda *args: jump(*args, flat=True), "can be multiplied"),
        (lambda *args: jump(*args, naive=True), "divide by something that vanishes"),
        (marginal, "x₀ alone"),
        (lambda x0, xt, t, s, bars: jump(xt, x0, t, s, bars), "belongs to x₀"),
        (lambda *args: jump(*args)[::-1], "mean, then variance"),
        (lambda *args: jump(*args, up=lambda bars: bars), "has one axis"),
        (lambda x0, xt, t, u, bars: jump(x0, xt, t, u.clamp(min=0), bars), "the picture is clean"),
    ],
    "diff-convert": [
        (lambda *args: three_names(*args, power=1), "share of the variance"),
        (lambda *args: three_names(*args, sign=-1), "the other sign"),
        (lambda *args: three_names(*args, through_noise=True), "needs no division"),
        (lambda xt, prediction, kind, bar: three_names(xt, prediction, "v", bar), "The same for all kinds"),
        (lambda *args: three_names(*args)[:2], "Three results"),
        (lambda *args: tuple(three_names(*args)[i] for i in (1, 0, 2)), "The order is"),
        (lambda *args: three_names(*args, up=lambda bar: bar), "one axis"),
    ],
    "diff-terminal": [
        (lambda beta: rescaled(beta, root=False), "ᾱ itself is moved"),
        (lambda beta: rescaled(beta, stretch=False), "Has the first one kept"),
        (lambda beta: rescaled(beta, give="bar"), "That is the new ᾱ"),
        (lambda beta: rescaled(beta, give="alpha"), "Those are the α"),
        (lambda beta: rescaled(beta, give="short"), "One is missing"),
        (only_last, "Only the last step"),
        (lambda beta: beta + 0, "as it was"),
        (lambda beta: 1 - rescaled(beta, give="bar"), "all steps up to t"),
        (not_squared, "as if it were ᾱ"),
        (lambda beta: rescaled(beta).clamp(max=0.999), "which last β"),
        (lambda beta: torch.cat([torch.zeros(1), rescaled(beta)[1:]]), "ᾱ before it"),
    ],
    "diff-ddim": [
        (lambda *args: ddim(*args, room=False), "all noise together"),
        (lambda *args: ddim(*args, power=1), "Variance or standard deviation"),
        (lambda *args: ddim(*args, ancestral=False), "variance of x_t given x_u"),
        (lambda *args: ddim(*args, part=0), "still contains"),
        (
            lambda xt, e, bt, bs, eta, z: ddim(xt, e, bt, bs, 0, z),
            "Right for η = 0. Where is the fresh noise",
        ),
        (lambda xt, e, bt, bs, eta, z: ddim(xt, e, bt, bs, 1, z), "Where does η enter"),
        (lambda xt, e, bt, bs, eta, z: ddim(xt, e, bt, bs, eta**0.5, z), "not σ²"),
        (lambda xt, e, bt, bs, eta, z: (xt - (1 - bt) ** 0.5 * e) / bt**0.5, "the predicted x₀"),
        (outside, "Variances add, not standard deviations"),
        (exchanged, "Which of the two noises"),
        (clipped_first, "Was that asked for"),
    ],
    "diff-guidance": [
        (5.6875, "what a sampler draws from"),
        (1.3569, "Half of what"),
        (1.6785, "Half of the variance"),
        (1.1785, "the standard deviation of the label, or its variance"),
        (2, "s = 0.5"),
        (1, "deviation of 0.6"),
        (3.3569, "at w = 1"),
    ],
    "diff-score": [
        (lambda logits, labels: scores(logits, labels, k=3), "Always three"),
        (lambda logits, labels: scores(logits, labels, k=int(labels.sum(1).max())), "The same k for all"),
        (lambda logits, labels: scores(logits, labels, threshold=0.5), "Those are logits"),
        (lambda logits, labels: scores(logits, labels, loose=True), "one object too many"),
        (
            lambda logits, labels: (scores(logits, labels)[0].float(), scores(logits, labels)[1]),
            "are counted",
        ),
        (
            lambda logits, labels: (scores(logits, labels)[0], scores(logits, labels)[1].long()),
            "type bool",
        ),
        (
            lambda logits, labels: (scores(logits, labels)[0] / labels.sum(1), scores(logits, labels)[1]),
            "Shares of each picture",
        ),
        (
            lambda logits, labels: (((logits > 0) * labels).sum(1).long(), scores(logits, labels)[1]),
            "has no threshold",
        ),
        (lambda logits, labels: scores(logits, labels)[::-1], "hits, then exact"),
        (lambda logits, labels: tuple(part.sum() for part in scores(logits, labels)), "Sums come later"),
    ],
    "diff-steps": [
        (60, "10%"),
        (309, "2%"),
        (123, "s = 1"),
        (1243, "0.5%"),
        (1000, "Bisect"),
        (619, "still above 1%"),
        (621, "one step more"),
    ],
    "diff-spacing": [
        (
            lambda T, S, warp: [round(T * warp(k / S)) - 1 for k in range(S, 0, -1)],
            "two of them equal, or −1",
        ),
        (lambda T, S, warp: walked(T, S, warp, room=False), "run below 0"),
        (
            lambda T, S, warp: [T - 1] + [max(round(T * warp(k / S)), k) - 1 for k in range(S - 1, 0, -1)],
            "round to the same step",
        ),
        (lambda T, S, warp: walked(T, S, warp, round=math.floor), "Rounded down"),
        (lambda T, S, warp: [t + 1 for t in walked(T, S, warp)], "count from 0"),
        (lambda T, S, warp: walked(T, S, warp)[::-1], "where does it begin"),
        (lambda T, S, warp: walked(T, S, lambda r: r), "whichever warp"),
        (lambda T, S, warp: [*walked(T, S, warp), 0], "no more and no fewer"),
        (lambda T, S, warp: [T - 2, *walked(T, S, warp)[1:]], "pure noise"),
    ],
    "diff-bits": [
        (2.4576, "in nats"),
        (4.9152, "nats are not bits"),
        (7.0911, "a ½ in the exponent"),
        (1.7035, "Is a nat more or less"),
        (3.5456 / 3072, "one coordinate"),
        (3.5456 * 0.05, "not the variance"),
    ],
    "diff-zoo-embedding": [
        (
            lambda labels, weight: torch.nn.functional.embedding(labels.long(), weight).sum(1),
            "That is the bug",
        ),
        (lambda labels, weight: weight[labels.argmax(1)], "One label only"),
        (
            lambda labels, weight: labels @ weight / labels.sum(1, keepdim=True).clamp(min=1),
            "That is the mean",
        ),
        (lambda labels, weight: labels[..., None] * weight, "One a picture"),
        (lambda labels, weight: labels @ weight / labels.sum(1, keepdim=True), "without labels"),
    ],
    "diff-zoo-last": [
        (lambda n, T, generator: torch.randint(0, T - 1, (n,), generator=generator), "That is the bug"),
        (lambda n, T, generator: torch.randint(1, T, (n,), generator=generator), "count from 0"),
        (lambda n, T, generator: torch.randint(0, T + 1, (n,), generator=generator), "T of them"),
        (lambda n, T, generator: torch.rand(n, generator=generator) * T, "is an index"),
        (lambda n, T, generator: torch.randint(0, T, (n, 1), generator=generator), "each of n pictures"),
        (lambda n, T, generator: torch.randint(0, T, (n,)), "Use the generator"),
        (lambda n, T, generator: torch.arange(n) % T, "Use the generator"),
        (lambda n, T, generator: torch.randint(0, T, (n,), generator=generator).int(), "(long)"),
        (one_permutation, "again and again"),
        (fresh_permutations, "again and again"),
        (
            lambda n, T, generator: (torch.rand(n, generator=generator) * (T - 1)).round().long(),
            "drawn alike",
        ),
        (
            lambda n, T, generator: torch.randint(0, T, (1,), generator=generator).expand(n),
            "drawn on its own",
        ),
    ],
    "diff-zoo-bar": [
        (lambda beta: of(1 - beta), "That is the bug"),
        (lambda beta: ((1 - beta).cumprod(0), 1 - (1 - beta).cumprod(0)), "Those are the variances"),
        (lambda beta: of((1 - beta).cumprod(0))[::-1], "picture, then noise"),
        (lambda beta: of((1 - beta.cumsum(0)).clamp(min=0)), "tiny ones only"),
        (lambda beta: ((b := (1 - beta).cumprod(0).sqrt()), 1 - b), "Do the squares"),
        (
            lambda beta: of(torch.cat([torch.ones_like(beta[:1]), (1 - beta).cumprod(0)[:-1]])),
            "One step late",
        ),
    ],
    "diff-zoo-root": [
        (lambda x0, noise, bar: wide(bar) ** 0.5 * x0 + (1 - wide(bar)) * noise, "That is the bug"),
        (lambda x0, noise, bar: wide(bar) * x0 + (1 - wide(bar)) * noise, "neither has a root"),
        (lambda x0, noise, bar: wide(bar) ** 0.5 * x0 + (1 - wide(bar) ** 0.5) * noise, "add up to 1"),
        (lambda x0, noise, bar: (1 - wide(bar)) ** 0.5 * x0 + wide(bar) ** 0.5 * noise, "Exchanged"),
        (lambda x0, noise, bar: bar**0.5 * x0 + (1 - bar) ** 0.5 * noise, "one value a picture"),
    ],
    "diff-zoo-ema": [
        (never_averaged, "That is the bug"),
        (never_restored, "a second name for the same memory"),
        (restored_from_alias, "a second name for the same memory"),
        (replaced, "writes in place"),
        (careless, "often interrupted"),
        (parameters_only, "beside the parameters"),
        (swallowing(Exception), "without catching"),
        (swallowing(BaseException), "without catching"),
        (only_for_errors, "often interrupted"),
        (swapped, "read, not written"),
        (lambda model, average, measure: measure(average), "Whom can measure ask"),
        (lambda model, average, measure: model(torch.zeros(1, 3)), "What is measured"),
        (lambda model, average, measure: print(measure(model), end=""), "What did measure say"),
    ],
    "diff-zoo-clip": [
        (lambda *args: clip(*args, bounds=None), "That is the bug"),
        (clip, "still make up x_t"),
        (lambda *args: clip(*args, bounds=None, of_noise=True), "x₀ that has bounds"),
        (lambda *args: clip(*args, of_xt=True, mend=True), "may leave"),
        (lambda *args: clip(*args, bounds=(0, 1)), "Pictures lie in"),
        (lambda *args: clip(*args, mend=True)[::-1], "x₀, then noise"),
    ],
    "diff-zoo-variance": [
        (wrapped, "That is the bug"),
        (lambda beta: beta + 0, "one step earlier"),
        (lambda beta: variances(beta, 1.0, root=True), "standard deviation"),
        (lambda beta: variances(beta, 1.0)[1:], "The first step has a variance"),
        (lambda beta: variances(beta, 0.0), "0 or 1"),
        (lambda beta: variances(beta, float(1 - beta[0])), "The first one is not 0"),
        (first_as_second, "Clipped for its logarithm"),
    ],
    "diff-zoo-average": [
        (
            lambda batches: sum(float(h.sum() / k.sum()) for h, k in batches) / len(batches),
            "That is the bug",
        ),
        (
            lambda batches: float(torch.cat([h / k for h, k in batches]).double().mean()),
            "Each picture counts alike",
        ),
        (
            lambda batches: float(np.mean([(h.double() / k).mean().item() for h, k in batches])),
            "mean of means of means",
        ),
        (
            lambda batches: float(sum(h.sum() for h, _ in batches) / sum(len(k) for _, k in batches)),
            "number of pictures",
        ),
        (lambda batches: int(sum(h.sum() for h, _ in batches)), "Out of how many"),
    ],
    "diff-zoo-ignored": [
        (lambda model, xt, t, labels: xt + model.body(model.time(t)), "That is the bug"),
        (lambda model, xt, t, labels: xt + model.body(model.label(labels)), "still know the step"),
        (
            lambda model, xt, t, labels: xt + model.body(model.time(t)) + model.body(model.label(labels)),
            "Two passes",
        ),
        (lambda model, xt, t, labels: model.body(model.time(t) + model.label(labels)), "has become of xt"),
        (lambda model, xt, t, labels: xt + model.body(model.time(t) * model.label(labels)), "A product"),
        (
            lambda model, xt, t, labels: xt + model.body(model.time(t) + model.label(labels)).detach(),
            "detached",
        ),
        (
            lambda model, xt, t, labels: xt + model.body(model.time(t) + model.label(labels).detach()),
            "the labels' way",
        ),
        (lambda model, xt, t, labels: model(xt, t, labels), "Write it with"),
        (lambda model, xt, t, labels: (xt + model.body(model.time(t))).double(), "That is the bug"),
    ],
    "diff-zoo-order": [
        (lambda *args: guided(*args, halves="exchanged"), "That is the bug"),
        (lambda *args: guided(*args, rule=lambda none, cond, w: cond + w * (cond - none)), "At w = 1"),
        (lambda *args: guided(*args, rule=lambda none, cond, w: none + w * cond), "in which direction"),
        (lambda *args: guided(*args, rule=lambda none, cond, w: cond), "Where is w"),
        (lambda *args: guided(*args, passes=2), "One pass is enough"),
        (lambda *args: guided(*args, halves="steps once"), "steps and labels alike"),
        (in_place, "Work on a copy"),
        (lambda *args: guided(*args, halves="exchanged").float(), "That is the bug"),
    ],
    "diff-zoo-judge": [("a", "opinion of this judge"), ("B", "Is it the right thing"), ("d", "Half of that")],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "diff-posterior": [jump_by_joint, lambda *args: [part.float() for part in jump(*args)]],
    "diff-convert": [
        lambda *args: [part.float() for part in three_names(*args)],
        lambda xt, prediction, kind, bar: tuple(
            torch.cat(parts)
            for parts in zip(
                *(
                    three_names(a[None], b[None], kind, c[None])
                    for a, b, c in zip(xt, prediction, bar, strict=True)
                ),
                strict=True,
            )
        ),
    ],
    "diff-terminal": [rescaled, lambda beta: rescaled(beta).float()],
    "diff-ddim": [ddim, lambda *args: ddim(*args).float()],
    "diff-score": [
        scores,
        lambda logits, labels: (
            torch.stack(
                [y[z.topk(int(y.sum())).indices].sum() for z, y in zip(logits, labels, strict=True)]
            ).int(),
            torch.stack(
                [((z.sigmoid() > 0.5) == y.bool()).all() for z, y in zip(logits, labels, strict=True)]
            ),
        ),
    ],
    "diff-zoo-embedding": [
        lambda labels, weight: (labels[:, :, None] * weight).sum(1).double(),
        lambda labels, weight: torch.stack([weight[row.bool()].sum(0) for row in labels]),
    ],
    "diff-zoo-last": [
        lambda n, T, generator: (torch.rand(n, generator=generator) * T).long(),
        lambda n, T, generator: torch.stack([torch.randint(T, (), generator=generator) for _ in range(n)]),
    ],
    "diff-zoo-root": [
        lambda x0, noise, bar: torch.einsum("b,bchw->bchw", bar.sqrt(), x0) + wide(1 - bar) ** 0.5 * noise,
        lambda x0, noise, bar: torch.stack(
            [c.sqrt() * a + (1 - c).sqrt() * e for a, e, c in zip(x0, noise, bar, strict=True)]
        ).float(),
    ],
    "diff-zoo-ema": [by_hand, of_a_copy],
    "diff-zoo-clip": [
        lambda xt, noise, bar: (
            x := torch.minimum(
                torch.ones_like(xt),
                torch.maximum(-torch.ones_like(xt), xt / bar**0.5 - (1 / bar - 1) ** 0.5 * noise),
            ),
            xt / (1 - bar) ** 0.5 - (bar / (1 - bar)) ** 0.5 * x,
        ),
    ],
    "diff-zoo-ignored": [
        lambda model, xt, t, labels: (xt + model.body(model.time(t) + model.label(labels))).double(),
        lambda model, xt, t, labels: torch.cat(
            [
                a[None] + model.body(model.time.weight[i] + labels_ @ model.label.weight.T + model.label.bias)
                for a, i, labels_ in zip(xt, t, labels, strict=True)
            ]
        ),
    ],
    "diff-zoo-order": [
        lambda *args: guided(*args).float(),
        lambda model, xt, t, labels, w: (
            lambda both: torch.stack([(1 - k) * b + k * a for a, b, k in zip(*both.chunk(2), w, strict=True)])
        )(model(xt.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([labels, 0 * labels]))),
    ],
}

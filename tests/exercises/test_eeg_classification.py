"""The exercises of the chapter on EEG classification: wrong answers that readers give, and the hint each must get."""

import numpy as np
import scipy.linalg
import torch
from torch.nn import functional as F


def flat(x):
    samples = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return samples - samples.mean(axis=1, keepdims=True)


def covariance(x):
    return flat(x) @ flat(x).T / flat(x).shape[1]


def haufe(x, W):
    return covariance(x) @ W @ np.linalg.inv(W.T @ covariance(x) @ W)


def csp(a, b, pairs=1, against=None, order=-1):
    _, vectors = scipy.linalg.eigh(a, a + b if against is None else against)
    vectors = vectors[:, ::order]
    return np.concatenate([vectors[:, :pairs], vectors[:, -pairs:]], axis=1)


def half_detached(logits, labels):
    """The right loss with half of its gradient."""
    return F.cross_entropy((logits + logits.detach()) / 2, labels)


def windows(x, size, stride):
    starts = range(0, x.shape[-1] - size + 1, stride)
    return np.stack([x[..., start : start + size] for start in starts], axis=-2)


def log_power(x, size, stride, floor=1e-6):
    return np.log(np.maximum(np.mean(windows(x, size, stride) ** 2, axis=-1), floor))


def normal_interval(correct, trials, z=1.96):
    p = correct / trials
    half = z * np.sqrt(p * (1 - p) / trials)
    return p - half, p + half


def wilson_ends(correct, trials, z):
    p, n = correct / trials, trials
    return np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2]).real


def mean_covariance(x):
    return np.einsum("nct,ndt->cd", x, x) / (x.shape[0] * x.shape[2])


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**exponent) @ vectors.T


def own_whitening(x):
    return np.stack([power(trial @ trial.T / trial.shape[1], -0.5) @ trial for trial in x])


def average_features(x):
    return np.concatenate([piece.mean(axis=2) for piece in np.array_split(x, 5, axis=2)], axis=1)


def power_features(x):
    return log_power(x, 50, 50).reshape(len(x), -1)


def once_awake(model, train_epoch, test_epoch, epochs):
    results = []
    model.train()
    for _ in range(epochs):
        train_epoch(model)
        model.eval()
        results.append(test_epoch(model))
    return results


def never_asleep(model, train_epoch, test_epoch, epochs):
    results = []
    for _ in range(epochs):
        model.train()
        train_epoch(model)
        results.append(test_epoch(model))
    return results


def always_back(model, train_epoch, test_epoch, epochs):
    results = []
    for _ in range(epochs):
        model.train()
        train_epoch(model)
        model.eval()
        results.append(test_epoch(model))
        model.train()
    return results


def pairs_by_word(features, labels):
    if set(features) != set(labels):
        raise ValueError(f"no partner: {set(features) ^ set(labels)}")
    return [(name, name) for name in sorted(features)]


def pairs_by_number(features, labels):
    def key(name):
        return int(name[1:-5]), name[-5]

    return list(zip(sorted(features, key=key), sorted(labels, key=key), strict=False))


def pairs_in_place(features, labels):
    if lost := set(features) ^ set(labels):
        raise ValueError(f"no partner: {lost}")
    features.sort(key=lambda name: (int(name[1:-5]), name[-5]))
    return [(name, name) for name in features]


def anonymous_error(features, labels):
    if len(features) != len(labels):
        raise ValueError("the folders do not match")
    return pairs_by_number(features, labels)


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "eeg-parameters": [
        (12392, "Three layers have biases"),
        (12396, "two convolutions have biases"),
        (12344, "Batch norm"),
        (8454, "the lab's network"),
        (12448 + 32 * 12 * 20, "no longer the 64 electrodes"),
    ],
    "eeg-haufe": [
        (lambda x, W: W.copy(), "the filters themselves"),
        (lambda x, W: np.linalg.pinv(W.T), "pseudo-inverse"),
        (lambda x, W: covariance(x) @ W, "divides out the scale"),
        (lambda x, W: covariance(x) @ W / np.diag(W.T @ covariance(x) @ W), "inverse is needed"),
        (lambda x, W: np.cov(flat(x)) @ W @ np.linalg.inv(W.T @ covariance(x) @ W), "one less"),
        (lambda x, W: covariance(x) @ W @ np.linalg.inv(W.T @ np.cov(flat(x)) @ W), "one less"),
        (lambda x, W: haufe(x - x.mean(2, keepdims=True), W), "over all trials"),
        (lambda x, W: haufe(x.reshape(x.shape[1], -1)[None], W), "does not move axes"),
    ],
    "eeg-csp": [
        (lambda a, b, pairs=1: csp(a, b, pairs, order=1), "eigh sorts upward"),
        (lambda a, b, pairs=1: csp(a, b, pairs, against=b), "with a + b"),
        (lambda a, b, pairs=1: csp(a, b, pairs).T, "columns"),
        (lambda a, b, pairs=1: csp(a, b, pairs) / np.linalg.norm(csp(a, b, pairs), axis=0), "length 1"),
        (lambda a, b, pairs=1: csp(a, b, pairs, against=np.eye(len(a))), "two at once"),
        (lambda a, b, pairs=1: scipy.linalg.eigh(a, a + b)[1][:, ::-1][:, : 2 * pairs], "Both ends"),
    ],
    "eeg-logpower": [
        (
            lambda x, size, stride, floor=1e-6: np.log(
                np.maximum(np.sum(windows(x, size, stride) ** 2, axis=-1), floor)
            ),
            "A sum, not a mean",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.stack(
                [
                    np.log(np.maximum(np.mean(x[..., k : k + size] ** 2, axis=-1), floor))
                    for k in range(0, x.shape[-1], stride)
                ],
                axis=-1,
            ),
            "Only windows that fit",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.mean(
                np.log(np.maximum(windows(x, size, stride) ** 2, floor)), axis=-1
            ),
            "The order",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.log(np.mean(windows(x, size, stride) ** 2, -1) + floor),
            "added the floor",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.exp(log_power(x, size, stride, floor)),
            "logarithm is missing",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.log(np.maximum(windows(x, size, stride).var(-1), floor)),
            "mean was taken out",
        ),
    ],
    "eeg-wilson": [
        (normal_interval, "normal interval"),
        (lambda c, n, z=1.96: tuple(sorted(wilson_ends(c, n, z), reverse=True)), "First the lower"),
        (lambda c, n, z=1.96: tuple(sorted(wilson_ends(c, n, 1.96))), "z is an argument"),
        (lambda c, n, z=1.96: tuple(np.clip(normal_interval(c, n, z), 0, 1)), "clipped"),
        (
            lambda c, n, z=1.96: (
                c / n - np.ptp(wilson_ends(c, n, z)) / 2,
                c / n + np.ptp(wilson_ends(c, n, z)) / 2,
            ),
            "pulled toward 1/2",
        ),
    ],
    "eeg-align": [
        (lambda x: np.linalg.inv(mean_covariance(x)) @ x, "does too much"),
        (lambda x: power(mean_covariance(x), 0.5) @ x, "power is -1/2"),
        (own_whitening, "not one for each trial"),
        (lambda x: np.linalg.inv(np.linalg.cholesky(mean_covariance(x))) @ x, "triangular"),
        (lambda x: power(mean_covariance(x) * x.shape[2], -0.5) @ x, "1/T"),
    ],
    "eeg-optimism": [(0.0, "largest"), (0.654, "take off the true 0.6"), (0.0294, "Too small")],
    "eeg-both": [
        (average_features, "Add something that squares"),
        (power_features, "Add something linear"),
        (lambda x: x[:, :, 0], "half a second"),
        (lambda x: x.reshape(len(x), -1), "Average over windows"),
    ],
    "eeg-zoo-checkpoint": [
        (lambda validation, test: max(test), "That is the bug"),
        (lambda validation, test: max(validation), "inflated too"),
        (lambda validation, test: test[-1], "not used at all"),
        (
            lambda validation, test: max(
                t for v, t in zip(validation, test, strict=True) if v == max(validation)
            ),
            "tie",
        ),
    ],
    "eeg-zoo-eval": [
        (once_awake, "Who switches back"),
        (never_asleep, "before each test"),
        (always_back, "last call"),
        (lambda model, train_epoch, test_epoch, epochs: [test_epoch(model) for _ in range(epochs)], "once"),
    ],
    "eeg-zoo-listdir": [
        (lambda features, labels: list(zip(sorted(features), labels, strict=False)), "order of the disk"),
        (pairs_by_word, "s10 comes before s2"),
        (pairs_by_number, "zip stops silently"),
        (anonymous_error, "Name the file"),
        (pairs_in_place, "Work on a copy"),
    ],
    "eeg-zoo-softmax": [
        (lambda logits, labels: F.cross_entropy(torch.softmax(logits, dim=1), labels), "That is the bug"),
        (lambda logits, labels: F.nll_loss(torch.softmax(logits, dim=1), labels), "Where is the logarithm"),
        (lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"), "not the sum"),
        (lambda logits, labels: F.nll_loss(torch.log(torch.softmax(logits, dim=1)), labels), "log_softmax"),
        (lambda logits, labels: F.cross_entropy(logits, labels).detach(), "Stay in torch"),
        (lambda logits, labels: F.cross_entropy(logits, labels).item(), "Stay in torch"),
        (lambda logits, labels: F.nll_loss(torch.log_softmax(logits, dim=0), labels), "over which axis"),
        (lambda logits, labels: F.cross_entropy(logits.float().softmax(1), labels), "That is the bug"),
        (half_detached, ""),
    ],
    "eeg-zoo-log": [
        (lambda power, floor=1e-6: torch.log(power), "before"),
        (lambda power, floor=1e-6: torch.log(power + floor), "Clamp"),
        (
            lambda power, floor=1e-6: torch.where(power > floor, torch.log(power), torch.tensor(floor).log()),
            "0 · ∞",
        ),
        (lambda power, floor=1e-6: torch.log(power.clamp(min=1e-6)), "second argument"),
        (lambda power, floor=1e-6: torch.log(power.clamp(min=floor)).detach(), "Stay in torch"),
        (lambda power, floor=1e-6: power.clamp(min=floor).detach().log() + 0 * power, ""),
        (lambda power, floor=1e-6: power.clamp_(min=floor).log(), "Work on a copy"),
    ],
    "eeg-zoo-nolog": [("e", "mean of logarithms"), ("d", "batch norm"), ("a", "raw signal")],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "eeg-haufe": [
        lambda x, W: np.linalg.lstsq((W.T @ flat(x)).T, flat(x).T, rcond=None)[0].T,
        lambda x, W: haufe(x, W).astype(np.float32),
    ],
    "eeg-csp": [
        csp,
        lambda a, b, pairs=1: -csp(a, b, pairs).astype(np.float32),
    ],
    "eeg-logpower": [
        log_power,
        lambda x, size, stride, floor=1e-6: np.log(
            np.stack(
                [
                    np.maximum((x[..., i : i + size] ** 2).sum(-1) / size, floor)
                    for i in range(0, x.shape[-1] - size + 1, stride)
                ],
                axis=-1,
            )
        ).astype(np.float32),
    ],
    "eeg-wilson": [
        lambda correct, trials, z=1.96: sorted(wilson_ends(correct, trials, z)),
        lambda correct, trials, z=1.96: np.sort(wilson_ends(correct, trials, z)).clip(0, 1).tolist(),
    ],
    "eeg-align": [
        lambda x: scipy.linalg.inv(scipy.linalg.sqrtm(mean_covariance(x))) @ x,
        lambda x: np.stack([scipy.linalg.inv(scipy.linalg.sqrtm(mean_covariance(x))) @ t for t in x]).astype(
            "f4"
        ),
    ],
    "eeg-zoo-checkpoint": [
        lambda validation, test: max(zip(validation, -np.arange(len(test)), test, strict=True))[2],
        lambda validation, test: np.float32(test[list(validation).index(max(validation))]),
    ],
    "eeg-zoo-softmax": [
        lambda logits, labels: F.nll_loss(logits.log_softmax(1), labels),
        lambda logits, labels: F.cross_entropy(logits.float(), labels),
        lambda logits, labels: F.cross_entropy(logits.double(), labels),
        lambda logits, labels: (
            sum(z.logsumexp(0) - z[y] for z, y in zip(logits, labels, strict=True)) / len(labels)
        ),
    ],
    "eeg-zoo-log": [
        lambda power, floor=1e-6: torch.log(torch.maximum(power, torch.full_like(power, floor))),
        lambda power, floor=1e-6: torch.log(power.float().clamp(min=floor)),
        lambda power, floor=1e-6: torch.log(power.double().clamp(min=floor)),
        lambda power, floor=1e-6: torch.log(F.relu(power - floor) + floor),
    ],
}

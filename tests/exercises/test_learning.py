"""The exercises of the chapter on learning: wrong answers that readers give, and the hint each must get."""

import numpy as np
from scipy.optimize import brentq

from dlp_utils.models.learning import softmax


def split_by_rows(groups, share, rng):
    order = rng.permutation(len(groups))
    cut = round(share * len(groups))
    return order[cut:], order[:cut]


def split_first_groups(groups, share, rng):
    names = np.unique(groups)
    held = np.isin(groups, names[: round(share * len(names))])
    return np.flatnonzero(~held), np.flatnonzero(held)


def split_groups(groups, share, rng, turned=False, masks=False, lose=False):
    names = rng.permutation(np.unique(groups))
    held = np.isin(groups, names[: round(share * len(names))])
    if masks:
        return ~held, held
    if lose:
        return np.flatnonzero(~held)[1:], np.flatnonzero(held)
    train, away = np.flatnonzero(~held), np.flatnonzero(held)
    return (away, train) if turned else (train, away)


def split_masks(groups, share, rng):
    return split_groups(groups, share, rng, masks=True)


def split_until_share_of_rows(groups, share, rng):
    held = np.zeros(len(groups), dtype=bool)
    for name in rng.permutation(np.unique(groups)):
        if held.mean() < share:
            held |= groups == name
    return np.flatnonzero(~held), np.flatnonzero(held)


def split_by_size(groups, share, rng):
    names, sizes = np.unique(groups, return_counts=True)
    order = np.argsort(sizes, kind="stable")[:: 1 if rng.random() < 0.5 else -1]
    held = np.isin(groups, names[order][: round(share * len(names))])
    return np.flatnonzero(~held), np.flatnonzero(held)


def split_sparse_numbers(groups, share, rng):
    count = groups.max() + 1
    held = np.isin(groups, rng.permutation(count)[: round(share * count)])
    return np.flatnonzero(~held), np.flatnonzero(held)


def split_in_a_loop(groups, share, rng):
    names = list(dict.fromkeys(groups.tolist()))
    rng.shuffle(names)
    away = set(names[: int(share * len(names) + 0.5)])
    held = [row for row, name in enumerate(groups) if name in away]
    train = [row for row, name in enumerate(groups) if name not in away]
    return [np.array(train), np.array(held)]


def encoded(codes, labels, rows, default):
    out = np.zeros(len(codes))
    for row, code in enumerate(codes):
        same = [labels[r] for r in rows if codes[r] == code]
        out[row] = np.mean(same) if same else default
    return out


def encoded_by_sums(codes, labels, train):
    names, place = np.unique(codes, return_inverse=True)
    sums = np.bincount(place[train], labels[train], len(names))
    count = np.bincount(place[train], minlength=len(names))
    means = np.where(count > 0, sums / np.maximum(count, 1), labels[train].mean())
    return means[place]


def matrix_of(labels, predicted, classes):
    matrix = np.zeros((classes, classes))
    for label, answer in zip(labels, predicted, strict=True):
        matrix[label, answer] += 1
    return matrix


def recalls(labels, predicted, classes, axis=1):
    matrix = matrix_of(labels, predicted, classes)
    with np.errstate(invalid="ignore"):
        return np.diag(matrix) / matrix.sum(axis=axis)


def scaled(train, test, table, ddof=0):
    with np.errstate(all="ignore"):
        std = table.std(axis=0, ddof=ddof)
        return (train - table.mean(axis=0)) / std, (test - table.mean(axis=0)) / std


def scaled_with_guard(train, test, table=None, ddof=0):
    table = train if table is None else table
    std = table.std(axis=0, ddof=ddof)
    std = np.where(table.max(axis=0) == table.min(axis=0), 1.0, std)
    return (train - table.mean(axis=0)) / std, (test - table.mean(axis=0)) / std


def scaled_zero_only(train, test):
    std = train.std(axis=0)
    std[std == 0] = 1
    return (train - train.mean(axis=0)) / std, (test - train.mean(axis=0)) / std


def scaled_by_column(train, test):
    train_out, test_out = np.empty_like(train), np.empty_like(test)
    for d in range(train.shape[1]):
        column = train[:, d]
        same = np.all(column == column[0])
        spread = 1.0 if same else np.sqrt(np.mean((column - column.mean()) ** 2))
        center = column[0] if same else column.mean()
        train_out[:, d], test_out[:, d] = (column - center) / spread, (test[:, d] - center) / spread
    return [train_out, test_out]


def f1(yes, truth):
    tp = np.sum(yes & truth)
    return 2 * tp / (2 * tp + np.sum(yes & ~truth) + np.sum(~yes & truth))


def best_limit(scores, truth):
    return max(np.sort(scores), key=lambda limit: f1(scores >= limit, truth))


def dealt(labels, k, rng, mix=True, restart=False, by_class=True, backward=False, start=0):
    fold = np.empty(len(labels), dtype=int)
    if not by_class:
        fold[rng.permutation(len(labels))] = np.arange(len(labels)) % k
        return fold
    start = rng.integers(k) if backward else start
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[::-1] if backward else rng.permutation(rows) if mix else rows
        fold[rows] = (start + np.arange(len(rows))) % k
        start = 0 if restart else start + len(rows)
    return fold


def as_lists(labels, k, rng):
    fold = dealt(labels, k, rng)
    return [np.flatnonzero(fold == j) for j in range(k)]


def as_python_list(labels, k, rng):
    return dealt(labels, k, rng).tolist()


def temperature(logits, labels, halvings=60, sign=1.0, of_truth=True, stable=True):
    low, high = 0.01, 100.0
    truth = logits[np.arange(len(labels)), labels] if of_truth else logits.max(axis=1)
    for _ in range(halvings):
        beta = np.sqrt(low * high)
        with np.errstate(all="ignore"):
            e = np.exp(beta * logits - stable * (beta * logits).max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
        slope = sign * np.mean((p * logits).sum(axis=1) - truth)
        low, high = (low, beta) if slope > 0 else (beta, high)
    return 1 / np.sqrt(low * high)


def temperature_on_a_grid(logits, labels):
    grid = np.geomspace(0.01, 100, 1000)
    row = np.arange(len(labels))
    losses = [-np.mean(np.log(softmax(logits / T)[row, labels] + 1e-300)) for T in grid]
    return grid[np.argmin(losses)]


def temperature_by_brent(logits, labels):
    row = np.arange(len(labels))

    def slope(beta):
        p = softmax(beta * logits)
        return np.mean((p * logits).sum(axis=1) - logits[row, labels])

    if slope(0.01) > 0 or slope(100) < 0:
        return 100.0 if slope(0.01) > 0 else 0.01
    return 1 / brentq(slope, 0.01, 100, xtol=1e-12, rtol=1e-12)


def inside_only(logits, labels):  # knows nothing of a valley outside
    row = np.arange(len(labels))

    def slope(beta):
        p = softmax(beta * logits)
        return np.mean((p * logits).sum(axis=1) - logits[row, labels])

    return 1 / brentq(slope, 0.01, 100, xtol=1e-12, rtol=1e-12)


def hat(phi, ridge):
    return phi @ np.linalg.inv(phi.T @ phi + ridge * np.eye(phi.shape[1])) @ phi.T


def left_out(phi, targets, ridge, change=lambda H: np.diag(H)[:, None]):
    H = hat(phi, ridge)
    return targets - (targets - H @ targets) / (1 - change(H))


def refitted(phi, targets, ridge):
    rows = []
    for n in range(len(phi)):
        a, t = np.delete(phi, n, axis=0), np.delete(targets, n, axis=0)
        rows.append(phi[n] @ np.linalg.solve(a.T @ a + ridge * np.eye(phi.shape[1]), a.T @ t))
    return np.stack(rows)


def class_sets(p_val, labels, p, alpha, plus=1, always=True, own=True):
    columns = []
    for c in range(p.shape[1]):
        scores = sorted(1 - p_val[n, c] for n in range(len(labels)) if labels[n] == c or not own)
        rank = int(np.ceil((len(scores) + plus) * (1 - alpha) - 1e-9))
        if rank > len(scores):
            columns.append(np.full(len(p), True) if always else 1 - p[:, c] <= max(scores, default=-1))
        else:
            columns.append(1 - p[:, c] <= scores[rank - 1])
    return np.stack(columns, axis=1)


def never_without_limit(p_val, labels, p, alpha):
    counts = np.bincount(labels, minlength=p.shape[1])
    return class_sets(p_val, labels, p, alpha) & (np.ceil((counts + 1) * (1 - alpha)) <= counts)


def one_limit(p_val, labels, p, alpha):
    scores = np.sort(1 - p_val[np.arange(len(labels)), labels])
    return 1 - p <= scores[int(np.ceil((len(scores) + 1) * (1 - alpha))) - 1]


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "learn-zoo-copies": [
        (split_by_rows, "Draw from the groups"),
        (split_first_groups, "Draw the groups with rng"),
        (lambda g, s, r: split_groups(g, s, r, turned=True), "HELD"),
        (lambda g, s, r: split_groups(g, s, r, masks=True), "np.flatnonzero"),
        (lambda g, s, r: split_groups(g, s, r, lose=True), ""),
        (lambda g, s, r: split_groups(g, s, np.random.default_rng()), ""),
        (split_until_share_of_rows, "Count groups"),
        (split_by_size, "the same chance"),
        (lambda g, s, r: [np.where(part) for part in split_masks(g, s, r)], "take its [0]"),
        (split_sparse_numbers, ""),
    ],
    "learn-zoo-encoding": [
        (lambda c, y, t: encoded(c, y, range(len(c)), 0), "have seen the labels"),
        (lambda c, y, t: encoded(c, y, t, np.mean(y)), "not over all"),
        (lambda c, y, t: encoded(c, y, t, 0), "is 0 a neutral value"),
        (lambda c, y, t: encoded(c, y, t, np.nan), "The mean of no rows is NaN"),
        (lambda c, y, t: encoded(c, y, t, 0.5), "need not be 1/2"),
    ],
    "learn-zoo-early": [
        (lambda v, t: min(t), "has chosen again"),
        (lambda v, t: min(v), "flatters"),
        (lambda v, t: t[-1], "the last one"),
        (lambda v, t: t[np.flatnonzero(v == v.min())[-1]], "the first is wanted"),
        (lambda v, t: int(np.argmin(v)), "That is its number"),
        (lambda v, t: t[next((i for i in range(len(v) - 1) if v[i + 1] > v[i]), len(v) - 1)], "first rise"),
        (lambda v, t: max(t[v == v.min()]), ""),
    ],
    "learn-zoo-axes": [
        (lambda y, p, c: recalls(y, p, c, axis=0), "the precision"),
        (lambda y, p, c: recalls(y, p, max(y.max(), p.max()) + 1), ""),
        (lambda y, p, c: np.nan_to_num(recalls(y, p, c)), "has no recall"),
        (lambda y, p, c: np.diag(matrix_of(y, p, c)) / len(y), "the class itself"),
        (lambda y, p, c: np.array([np.mean(p[y == k] == k) for k in np.unique(y)]), "One number for each"),
    ],
    "learn-zoo-rare": [
        (lambda y, p: np.mean(y == p), "the accuracy"),
        (lambda y, p: np.mean([np.mean(y[p == k] == k) for k in np.unique(p)]), "precisions"),
        (
            lambda y, p: np.mean(
                [np.mean(np.append(p[y == k] == k, [])) if k in y else 0.0 for k in {*y, *p}]
            ),
            "leave it out",
        ),
    ],
    "learn-zoo-batches": [
        (lambda m, s: m.mean(), "counts as much"),
        (lambda m, s: (m * s).sum(), "How many are there"),
        (lambda m, s: m.sum() / s.sum(), "stands for"),
        (lambda m, s: (m * s).mean(), "not of batches"),
        (lambda m, s: (m[:-1].sum() * s[0] + m[-1] * s[-1]) / (s[0] * (len(m) - 1) + s[-1]), ""),
    ],
    "learn-zoo-scaler": [
        (lambda a, b: scaled_with_guard(a, b, np.concatenate([a, b])), "have taken part"),
        (lambda a, b: (scaled_with_guard(a, b)[0], scaled_with_guard(a, b, b)[1]), "their own numbers"),
        (lambda a, b: scaled(a, b, a), "constant column"),
        (scaled_zero_only, "of rounding"),
        (lambda a, b: [(c - a.mean(axis=0)) / (a.std(axis=0) + 1e-8) for c in (a, b)], ""),
        (lambda a, b: [(c - a.mean(axis=0)) / np.where(a.std(0) < 1e-3, 1, a.std(0)) for c in (a, b)], ""),
        (lambda a, b: scaled_with_guard(a, b, ddof=1), "divides by N - 1"),
        (lambda a, b: (a - a.mean(axis=0), b - a.mean(axis=0)), "not yet divided"),
    ],
    "learn-zoo-threshold": [
        (lambda a, b, c, d: f1(c >= best_limit(c, d), d), "chosen its own"),
        (lambda a, b, c, d: f1(a >= best_limit(a, b), b), "Which set reports"),
        (lambda a, b, c, d: best_limit(a, b), "That is the threshold"),
        (lambda a, b, c, d: np.mean((c >= best_limit(a, b)) == d), "the accuracy"),
        (lambda a, b, c, d: f1(c > best_limit(a, b), d), "score >= threshold"),
    ],
    "learn-precision": [
        (0.1653, "of the healthy, not of all"),
        (99 / 104, "as many healthy"),
        (0.99, "share of the ill"),
        (0.95, "share of the healthy"),
        (0.2, "odds"),
    ],
    "learn-size": [
        (11874, ""),
        (23.75, "falls like 1/n"),
        (109, "square the 0.002"),
        (62500, "worst case"),
        (475, "square the 0.002"),
    ],
    "learn-folds": [
        (lambda y, k, r: dealt(y, k, r, by_class=False), "Deal each class out"),
        (lambda y, k, r: dealt(y, k, r, restart=True), "Where should the next class begin"),
        (lambda y, k, r: dealt(y, k, r, mix=False), "ermute each class"),
        (as_lists, "One number for each example"),
        (lambda y, k, r: dealt(y, k, r)[np.argsort(y, kind="stable")], "Scatter them back"),
        (lambda y, k, r: dealt(y, k, r, backward=True), "ermute each class"),
        (lambda y, k, r: dealt(y, k, r, mix=False, start=r.integers(k)), "ermute each class"),
        (lambda y, k, r: dealt(y, k, r).astype(float), "astype(int)"),
    ],
    "learn-temperature": [
        (lambda z, y: 1 / temperature(z, y), "That is β"),
        (lambda z, y: temperature(z, y, sign=-1.0), "ran to an end"),
        (temperature_on_a_grid, "on a grid"),
        (lambda z, y: temperature(z, y, halvings=8), "how often must"),
        (lambda z, y: temperature(z, y, of_truth=False), "ran to an end"),
        (lambda z, y: 1.0, "Does your interval end"),
        (lambda z, y: temperature(z, y, stable=False), "largest logit"),
        (inside_only, ""),
    ],
    "learn-peak": [
        ((300, 300), "as many features"),
        ((150, 300), "how many different ones"),
        ((150, 75), "as many features"),
        (150, ""),
        ((150, "150 features"), ""),
    ],
    "learn-hoeffding": [
        (2050, "where does M enter"),
        (5503, "Both sides"),
        (177, "squared"),
        (5885, ""),
        (5887, "round up"),
        (5889, ""),
    ],
    "learn-loo": [
        (lambda f, t, r: hat(f, r) @ t, "have seen the row"),
        (lambda f, t, r: t - left_out(f, t, r), "Those are the residuals"),
        (lambda f, t, r: 2 * t - left_out(f, t, r), "The sign"),
        (lambda f, t, r: left_out(f, t, r, change=lambda H: np.trace(H) / len(H)), "generalized"),
        (lambda f, t, r: left_out(f, t, r * len(f)), ""),
        (lambda f, t, r: left_out(f, t, r, change=lambda H: np.diag(H)), ""),
        (lambda f, t, r: t - (t - hat(f, r) @ t) * (1 - np.diag(hat(f, r)))[:, None], "Divide by"),
    ],
    "learn-conformal": [
        (one_limit, "one limit for all"),
        (lambda *a: class_sets(*a, own=False), "TRUE class"),
        (lambda *a: class_sets(*a, plus=0), "the new example counts".capitalize()),
        (lambda *a: class_sets(*a, always=False), "always in the set"),
        (lambda *a: ~class_sets(*a), "Turned round"),
        (lambda a, b, c, d: class_sets(a, b, c, 1 - d), "share of misses"),
        (never_without_limit, "yours is never"),
        (lambda *a: class_sets(*a) | (a[2] == a[2].max(axis=1, keepdims=True)), ""),
    ],
}

# Right answers in another form than the page's.
RIGHT = {
    "learn-zoo-copies": [split_in_a_loop, lambda g, s, r: split_groups(g, s, r)],
    "learn-zoo-encoding": [encoded_by_sums, lambda c, y, t: encoded(c, y, t, np.mean(y[t]))],
    "learn-zoo-early": [
        lambda v, t: t[v == v.min()][0],
        lambda v, t: float(next(b for a, b in zip(v, t, strict=True) if a == min(v))),
    ],
    "learn-zoo-axes": [lambda y, p, c: recalls(y, p, c)],
    "learn-zoo-rare": [lambda y, p: float(np.mean([(p[y == c] == c).mean() for c in {*y.tolist()}]))],
    "learn-zoo-batches": [
        lambda m, s: np.average(m, weights=s),
        lambda m, s: sum(a * b for a, b in zip(m, s, strict=True)) / sum(s),
    ],
    "learn-zoo-scaler": [scaled_by_column, scaled_with_guard],
    "learn-zoo-threshold": [lambda a, b, c, d: f1(c >= best_limit(a, b), d)],
    "learn-precision": [1 / 6, 0.1667],
    "learn-size": [11875, 11875.0],
    "learn-folds": [dealt, as_python_list],
    "learn-temperature": [temperature, temperature_by_brent],
    "learn-peak": [[150, 155], np.array([150, 150])],
    "learn-hoeffding": [5888],
    "learn-loo": [refitted, left_out],
    "learn-conformal": [class_sets],
}

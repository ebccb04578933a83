"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on learning."""

import numpy as np

from dlp_utils.exercises import Wrong, exercise, expect_close, free_form, number
from dlp_utils.models.learning import confusion_matrix, least_squares, log_loss, precision_recall, softmax

# --- bug zoo -------------------------------------------------------------------------------------------


def _indices(part, what, n):
    if isinstance(part, tuple) and len(part) == 1:
        raise Wrong(f"{what} is a tuple that holds an array.", "np.where returns a tuple: take its [0].")
    part = np.asarray(part)
    if part.ndim != 1 or part.dtype.kind not in "iu":
        hint = "np.flatnonzero turns a mask into indices." if part.dtype == bool else ""
        raise Wrong(f"{what} is not a vector of indices (shape {part.shape}, {part.dtype}).", hint)
    if len(part) and (part.min() < 0 or part.max() >= n):
        raise Wrong(f"{what} holds the index {part.max()}, and there are {n} rows.")
    return part


@free_form("learn-zoo-copies")
def _check_split(split_groups, rng):
    seen = []
    for count, copies, share in ((12, 3, 0.25), (40, 5, 0.2), (30, 2, 0.5)):
        names = rng.permutation(1000)[:count]  # groups need not count from 0
        groups = rng.permutation(np.repeat(names, rng.integers(1, copies + 1, count)))
        before = groups.copy()
        answer = split_groups(groups, share, np.random.default_rng(count))
        if not np.array_equal(groups, before):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong("two index arrays are wanted, (train, held).")
        train = _indices(answer[0], "train", len(groups))
        held = _indices(answer[1], "held", len(groups))
        both = np.concatenate([train, held])
        if len(np.unique(both)) != len(both):
            raise Wrong("some row is in train and in held, or twice in one of them.")
        if shared := set(groups[train]) & set(groups[held]):
            raise Wrong(
                f"of {count} groups {len(shared)} have rows on both sides.",
                "Draw from the groups, np.unique(groups), not from the rows.",
            )
        if len(both) != len(groups):
            raise Wrong(f"{len(groups) - len(both)} of {len(groups)} rows are on neither side.")
        part = len(set(groups[held])) / count
        if abs(part - share) > 1.01 / count:
            hint = "`share` is the part of the groups that is HELD." if abs(part - 1 + share) < 0.1 else ""
            hint = hint or (
                "Count groups, not rows: round(share · number of groups) of them are held. "
                "(A coin for each group holds that many only on average: permute and cut.)"
            )
            raise Wrong(f"{part:.0%} of the groups are held, {share:.0%} wanted.", hint)
        again = split_groups(groups, share, np.random.default_rng(count))
        other = split_groups(groups, share, np.random.default_rng(count + 1))
        if not np.array_equal(np.sort(again[1]), np.sort(held)):
            raise Wrong("the same rng gives another split.", "Draw with the rng that you are given.")
        seen.append(np.array_equal(np.sort(other[1]), np.sort(held)))
    if all(seen):
        raise Wrong("every rng gives the same split.", "Draw the groups with rng: rng.permutation.")
    # One group with forty rows among forty groups: it must be held as often as any other.
    groups = np.concatenate([np.full(40, 7), np.arange(100, 139)])
    often, held_sets = {}, set()
    for seed in range(60):
        held = _indices(split_groups(groups, 0.25, np.random.default_rng(seed))[1], "held", len(groups))
        names = frozenset(groups[held].tolist())
        if abs(len(names) - 10) > 1:
            raise Wrong(
                f"of 40 groups, one of them with 40 rows, {len(names)} are held, 10 wanted.",
                "Count groups, not rows, and draw from np.unique(groups): their numbers may have gaps.",
            )
        held_sets.add(names)
        for name in names:
            often[name] = often.get(name, 0) + 1
    if not 3 <= often.get(7, 0) <= 32 or len(often) < 38 or len(held_sets) < 50:
        raise Wrong(
            f"a group with 40 rows is held in {often.get(7, 0)} of 60 splits, a fourth of them expected; "
            f"{len(often)} of 40 groups are ever held, in {len(held_sets)} different ways.",
            "Each group shall have the same chance, whatever its size: permute the names of the groups.",
        )


def _encoding_cases(rng):
    yield np.array([7, 7, 3, 3]), np.array([1, 0, 1, 1]), np.array([0, 2])
    yield np.array([5, 5, 9]), np.array([1, 0, 1]), np.array([0, 1])
    yield np.array([90210, 10001, 90210, 10001, 5]), np.array([1, 1, 0, 1, 0]), np.array([0, 1, 2])
    for n, codes in ((12, 4), (30, 12)):
        yield rng.integers(0, codes, n), rng.integers(0, 2, n), rng.permutation(n)[: 2 * n // 3]


def _encode_with(codes, labels, rows, default):
    out = np.full(len(codes), float(default))
    for code in np.unique(codes[rows]):
        out[codes == code] = labels[rows][codes[rows] == code].mean()
    return out


@exercise(
    "learn-zoo-encoding",
    _encoding_cases,
    mistakes=[
        (
            lambda c, y, t: _encode_with(c, y, np.arange(len(c)), 0),
            "Those means have seen the labels of the held-out rows. Which rows may they use?",
        ),
        (
            lambda c, y, t: _encode_with(c, y, t, y.mean()),
            "A code without training rows: the mean over the TRAINING rows, not over all.",
        ),
        (lambda c, y, t: _encode_with(c, y, t, 0), "A code that no training row has: is 0 a neutral value?"),
        (
            lambda c, y, t: _encode_with(c, y, t, np.mean([y[t][c[t] == k].mean() for k in np.unique(c[t])])),
            "The mean of all training LABELS for an unknown code, not the mean of the codes' means.",
        ),
        (
            lambda c, y, t: _encode_with(c, y, t, 0.5),
            "A code that no training row has gets the mean label of the training rows, which need not be 1/2.",
        ),
        (
            lambda c, y, t: encode(c, y, t)[t],
            "One number for each row, the held-out rows too, in the order of `codes`.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and bool(np.isnan(got).any()),
            "The mean of no rows is NaN. What shall a code get that no training row has?",
        )
    ],
)
def encode(codes, labels, train):
    return _encode_with(codes, labels, train, labels[train].mean())


def _curves(rng):
    yield np.array([0.5, 0.3, 0.4]), np.array([0.6, 0.45, 0.35])
    yield np.array([0.4, 0.2, 0.2, 0.3]), np.array([0.27, 0.31, 0.29, 0.4])
    yield np.array([0.4, 0.2, 0.2, 0.2]), np.array([0.5, 0.30, 0.36, 0.27])
    yield np.array([0.5, 0.3, 0.4, 0.45, 0.5, 0.42, 0.2]), np.array([0.6, 0.35, 0.5, 0.5, 0.55, 0.4, 0.25])
    for n in (5, 12):
        yield rng.uniform(0.1, 0.5, n), rng.uniform(0.1, 0.5, n)


@exercise(
    "learn-zoo-early",
    _curves,
    mistakes=[
        (lambda v, t: t.min(), "The test set has chosen again. Which set may choose?"),
        (lambda v, t: v.min(), "That set has chosen, so its own minimum flatters. Which set reports?"),
        (lambda v, t: t[-1], "That is the last one, not the one that validation likes best."),
        (
            lambda v, t: t[len(v) - 1 - v[::-1].argmin()],
            "Several are equally good: the first is wanted.",
        ),
        (
            lambda v, t: t[next((i for i in range(len(v) - 1) if v[i + 1] > v[i]), len(v) - 1)],
            "That stops at the first rise. The smallest of all validation errors may come later.",
        ),
        (lambda v, t: v.argmin(), "That is its number. What is the test error there?"),
        (lambda v, t: t[v.argmax()], "Errors, not accuracies: the smaller, the better."),
    ],
)
def reported_error(validation, test):
    return test[validation.argmin()]


def _answers(rng):
    yield np.array([0, 0, 1]), np.array([0, 1, 1]), 2
    yield np.array([0, 0, 2, 2, 2]), np.array([0, 2, 2, 1, 2]), 3  # class 1 does not occur
    yield np.array([0, 1, 1]), np.array([0, 1, 0]), 4  # nor do the last two here
    yield rng.integers(0, 12, 50), rng.integers(0, 12, 50), 12
    for n, classes in ((20, 3), (60, 5)):
        labels = rng.integers(0, classes, n)
        wrong = rng.random(n) < 0.4
        yield labels, np.where(wrong, rng.integers(0, classes, n), labels), classes


@exercise(
    "learn-zoo-axes",
    _answers,
    mistakes=[
        (
            lambda y, p, c: precision_recall(confusion_matrix(y, p, c))[0],
            "That is the precision: you divide by how often the class was CALLED. By what is recall divided?",
        ),
        (
            lambda y, p, c: np.nan_to_num(recalls(y, p, c)),
            "A class that never occurs has no recall, not the recall 0: NaN.",
        ),
        (
            lambda y, p, c: np.diag(confusion_matrix(y, p, c)) / len(y),
            "By how many examples of the class itself, not by all examples.",
        ),
        (
            lambda y, p, c: recalls(y, p, c)[~np.isnan(recalls(y, p, c))],
            "One number for each of the num_classes classes, also for one that does not occur.",
        ),
    ],
)
def recalls(labels, predicted, num_classes):
    return precision_recall(confusion_matrix(labels, predicted, num_classes))[1]


def _rare(rng):
    yield np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    yield np.array([4, 4, 9, 9, 9]), np.array([4, 9, 9, 9, 4])
    yield np.repeat([0, 1], [99, 1]), np.zeros(100, dtype=int)
    yield np.array([-1, -1, -1, 1]), np.array([-1, 1, -1, 1])
    labels = rng.integers(0, 3, 40)
    yield labels, np.where(rng.random(40) < 0.3, rng.integers(0, 4, 40), labels)


def _over_predicted(labels, predicted):
    classes = np.unique(np.concatenate([labels, predicted]))
    return np.mean([np.sum((labels == c) & (predicted == c)) / max(np.sum(labels == c), 1) for c in classes])


@exercise(
    "learn-zoo-rare",
    _rare,
    mistakes=[
        (lambda y, p: np.mean(y == p), "That is the accuracy: a rare class hardly moves it."),
        (
            lambda y, p: np.mean([np.mean(y[p == c] == c) for c in np.unique(p)]),
            "Those are precisions, over what was predicted. Recall looks at what occurs.",
        ),
        (_over_predicted, "A class that was predicted but does not occur has no recall: leave it out."),
        (
            lambda y, p: np.mean([np.mean((y == c) == (p == c)) for c in np.unique(y)]),
            "That is the accuracy of 'c or not c', where the many others count too.",
        ),
    ],
)
def balanced_accuracy(labels, predicted):
    return np.mean([np.mean(predicted[labels == c] == c) for c in np.unique(labels)])


def _batches(rng):
    yield np.array([0.5, 1.0]), np.array([3, 1])
    yield np.array([0.25]), np.array([4])
    for n in (4, 7):
        sizes = np.full(n, 64)
        sizes[-1] = rng.integers(1, 40)
        yield rng.uniform(0, 1, n), sizes
    yield rng.uniform(0, 1, 5), rng.integers(1, 50, 5)


@exercise(
    "learn-zoo-batches",
    _batches,
    mistakes=[
        (lambda m, s: np.mean(m), "A small batch counts as much as a large one there."),
        (lambda m, s: np.sum(m * s), "That is a sum over all examples. How many are there?"),
        (lambda m, s: np.sum(m) / np.sum(s), "Each mean stands for `size` examples before you add them up."),
        (lambda m, s: np.mean(m[:-1]), "The last batch is data too."),
        (lambda m, s: np.mean(m * s), "Divide by the number of examples, not of batches."),
    ],
)
def mean_over_examples(means, sizes):
    return np.sum(means * sizes) / np.sum(sizes)


def _tables(rng):
    yield np.array([[0.0], [2.0]]), np.array([[4.0]])
    yield np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 6.0], [0.0, 5.0]])
    yield rng.normal(3, 2, (6, 3)), rng.normal(2, 1, (4, 3))
    yield rng.normal(3, 2, (6, 2)) * np.array([1e-3, 1e-5]), rng.normal(2, 1, (4, 2)) * np.array([1e-3, 1e-5])
    yield np.array([[0.1, 1.0]] * 3), np.array([[0.1, 2.0]])  # constant columns
    yield np.array([[0.1, 7.0], [0.1, 7.5], [0.1, 9.0]]), np.array([[0.3, 0.0]])


def _scaled(train, test, table, ddof=0):
    mean, std = table.mean(axis=0), table.std(axis=0, ddof=ddof)
    std[np.ptp(table, axis=0) == 0] = 1
    return (train - mean) / std, (test - mean) / std


def _each_its_own(train, test):
    return _scaled(train, test, train)[0], _scaled(train, test, test)[1]


def _dropped(train, test):
    keep = np.ptp(train, axis=0) > 0
    return tuple(part[:, keep] for part in _scaled(train, test, train))


@exercise(
    "learn-zoo-scaler",
    _tables,
    atol=1e-6,  # the mean of equal numbers may miss them by rounding
    mistakes=[
        (
            lambda a, b: _scaled(a, b, np.concatenate([a, b])),
            "The test rows have taken part in mean and standard deviation. Whose are wanted?",
        ),
        (_each_its_own, "The test rows are scaled by their own numbers: a shift between the two is lost."),
        (lambda a, b: _scaled(a, b, a, ddof=1), "np.std divides by N; yours divides by N - 1."),
        (_dropped, "Constant columns stay: they are shifted, not dropped."),
        (
            lambda a, b: (a - a.mean(axis=0), b - a.mean(axis=0)),
            "Shifted, not yet divided by the standard deviation.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: (
                isinstance(got, (tuple, list))
                and not all(np.isfinite(np.asarray(part, dtype=float)).all() for part in got)
            ),
            "A constant column has the standard deviation 0. By what do you divide there?",
        ),
        (
            lambda args, expected, got: (
                max(
                    np.abs(np.asarray(g) - e)[:, np.ptp(args[0], axis=0) == 0].max()
                    for g, e in zip(got, expected, strict=True)
                )
                > 0.1
            ),
            "Only constant columns are wrong? Their standard deviation is 0, or of rounding, 1e-17, and they shall "
            "be shifted only. Compare max and min instead, and divide by 1 there, not by a small number.",
        ),
    ],
)
def standardize(train, test):
    return _scaled(train, test, train)


def _f1(yes, truth):
    return 2 * np.sum(yes & truth) / (np.sum(yes) + np.sum(truth))


def _tuned(scores, truth):
    limits = np.unique(scores)
    return limits[np.argmax([_f1(scores >= limit, truth) for limit in limits])]


def _thresholds(rng):
    """Cases with one best threshold, where the usual mistakes give other numbers."""
    yield (
        np.array([0.1, 0.6, 0.8]),
        np.array([False, False, True]),
        np.array([0.2, 0.7, 0.9, 0.85]),
        np.array([True, True, True, False]),
    )
    yield (
        np.array([0.1, 0.5, 0.3, 0.9]),
        np.array([True, True, False, True]),
        np.array([0.2, 0.05, 0.6, 0.1]),
        np.array([True, True, False, True]),
    )
    found = 0
    while found < 3:
        truth = np.arange(20) < 6
        val, test = (rng.normal(truth * 1.0, 1.0).round(1) for _ in range(2))
        values = sorted((_f1(val >= limit, truth) for limit in np.unique(val)), reverse=True)
        limit = _tuned(val, truth)
        if values[0] - values[1] > 1e-6 and limit in test:
            found += 1
            order = rng.permutation(20)
            yield val, truth, test[order], truth[order]


@exercise(
    "learn-zoo-threshold",
    _thresholds,
    mistakes=[
        (
            lambda a, b, c, d: _f1(c >= _tuned(c, d), d),
            "The test set has chosen its own threshold. Whose scores may choose?",
        ),
        (
            lambda a, b, c, d: _f1(a >= _tuned(a, b), b),
            "That is the F1 of the set that chose the threshold. Which set reports?",
        ),
        (lambda a, b, c, d: _tuned(a, b), "That is the threshold. What is the test F1 there?"),
        (
            lambda a, b, c, d: _f1(c > _tuned(a, b), d),
            "Yes means score >= threshold: the score that equals it is a yes.",
        ),
        (
            lambda a, b, c, d: np.mean((c >= _tuned(a, b)) == d),
            "That is the accuracy: F1 is 2 TP / (2 TP + FP + FN).",
        ),
    ],
)
def honest_f1(scores_val, truth_val, scores_test, truth_test):
    return _f1(scores_test >= _tuned(scores_val, truth_val), truth_test)


# --- exercises -----------------------------------------------------------------------------------------

number(
    "learn-precision",
    1 / 6,
    atol=5e-4,
    mistakes=[
        (0.99, "That is the share of the ill who test positive. Which people share your result?"),
        (0.95, "That is the share of the healthy who test negative."),
        (99 / 104, "You have counted as many healthy people as ill ones. How many are there of each?"),
        (0.0099, "That is the share of all people who are ill AND positive. Divide by all who are positive."),
        (0.1653, "The 5 % are of the healthy, not of all people: how many are those?"),
        (0.01, "That is the probability before the test. What does the result change?"),
        (0.17, "Three digits, please."),
        (16.7, "A number between 0 and 1."),
        (0.0495, "That is the share of all people who are healthy and accused."),
        (5 / 6, "That is the probability to be healthy all the same."),
        (0.0594, "That is the share of all who are positive. How many of those are ill?"),
        (0.2, "Nearly: 0.0099 to 0.0495 are odds of 1 to 5. What is the share?"),
    ],
)
number(
    "learn-size",
    11875,
    rtol=1e-9,
    atol=0.5,
    mistakes=[
        (109, "The root of the variance: sqrt(p(1 - p)/n) = 0.002. Did you square the 0.002?"),
        (24, "The variance falls like 1/n: square the 0.002."),
        (23.75, "The variance falls like 1/n: square the 0.002."),
        (12500, "R in place of R(1 - R)? The variance of a right-or-wrong answer is their product."),
        (475, "sqrt(n), not n, divides the spread of a single answer: square the 0.002."),
        (62500, "p(1 - p) is 0.0475, not 1/4: you took the worst case."),
        (237500, "The standard deviation is sqrt(p), not of a right-or-wrong answer: p(1 - p)."),
        (47500, "That is the number for 0.001, or for two standard errors of 0.001 each."),
    ],
)


@free_form("learn-folds")
def _check_folds(stratified_folds, rng):
    spread = []
    for classes, k, sizes in (([0, 1], 3, (9, 6)), ([3, 7, 8], 5, (23, 14, 4)), (range(10), 4, [5] * 10)):
        labels = rng.permutation(np.repeat(list(classes), sizes))
        before = labels.copy()
        fold = stratified_folds(labels, k, np.random.default_rng(k))
        if not np.array_equal(labels, before):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        if isinstance(fold, (list, tuple)) and len(fold) == k:
            raise Wrong(f"{k} lists came back.", "One number for each example: in which fold it is held out.")
        fold = np.asarray(fold)
        if fold.dtype.kind == "f" and np.array_equal(fold, np.round(fold)):
            raise Wrong("the folds are floats.", "Whole numbers: .astype(int), or np.empty(…, dtype=int).")
        if fold.shape != labels.shape or fold.dtype.kind not in "iu":
            raise Wrong(f"shape {fold.shape}, {fold.dtype}; wanted {labels.shape} integers.")
        if fold.min() < 0 or fold.max() >= k:
            raise Wrong(f"folds from {fold.min()} to {fold.max()}; wanted 0 to {k - 1}.")
        for label in np.unique(labels):
            count = np.bincount(fold[labels == label], minlength=k)
            if np.ptp(count) > 1:
                many = rng.permutation(np.repeat([2, 4, 6, 8], 25))
                part = np.asarray(stratified_folds(many, 5, np.random.default_rng(0)))
                ordered = [np.bincount(part[np.sort(many) == c], minlength=5) for c in (2, 4, 6, 8)]
                if max(np.ptp(counts) for counts in ordered) <= 1:
                    raise Wrong(
                        f"class {label} occurs {count.min()} to {count.max()} times in a fold.",
                        "Those are the folds of the SORTED examples. Scatter them back: fold[order] = …",
                    )
                raise Wrong(
                    f"class {label} occurs {count.min()} to {count.max()} times in a fold.",
                    "Deal each class out like cards, one fold after the other: positions modulo k.",
                )
        count = np.bincount(fold, minlength=k)
        if np.ptp(count) > 1:
            raise Wrong(
                f"the folds have {count.min()} to {count.max()} examples.",
                "Each class begins at fold 0, or anywhere, so that some folds get all the rests. "
                "Where should the next class begin?",
            )
        again = stratified_folds(labels, k, np.random.default_rng(k))
        if not np.array_equal(again, fold):
            raise Wrong("the same rng gives other folds.", "Draw with the rng that you are given.")
        other = stratified_folds(labels, k, np.random.default_rng(k + 1))
        spread.append(np.array_equal(other, fold))
    if all(spread):
        raise Wrong("every rng gives the same folds.", "Permute each class with rng before you deal it out.")
    # Who is together with whom must be drawn within each class, not the names of the folds alone.
    labels = rng.permutation(np.repeat([3, 7, 8], (23, 14, 8)))
    draws = [np.asarray(stratified_folds(labels, 5, np.random.default_rng(seed))) for seed in range(12)]
    for label in np.unique(labels):
        together = set()
        for fold in draws:
            part = fold[labels == label].tolist()
            together.add(tuple(part.index(name) for name in part))  # folds renamed by first appearance
        if len(together) < 10:  # of 420 for the smallest class: two may be alike
            raise Wrong(
                f"12 rngs split class {label} in {len(together)} different ways only.",
                "Data come in an order (sorted, by day, by writer): permute each class with rng before you deal.",
            )


def _bisected(logits, labels):
    low, high = 0.01, 100.0  # of β = 1 / T
    for _ in range(200):
        beta = np.sqrt(low * high)
        p = softmax(beta * logits)
        slope = np.mean((p * logits).sum(axis=1) - logits[np.arange(len(labels)), labels])
        low, high = (low, beta) if slope > 0 else (beta, high)
    return float(1 / np.sqrt(low * high))


@free_form("learn-temperature")
def _check_temperature(exact_temperature, rng):
    cases = []
    for n, classes, scale in ((40, 3, 3.0), (200, 10, 2.0), (60, 4, 0.4), (50, 3, 60.0)):
        labels = rng.integers(0, classes, n)
        logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
        cases.append((scale * logits, labels))
    logits, labels = cases[0]
    cases += [(logits + 2000, labels), (logits - 2000, labels)]  # softmax does not mind; exp does
    hot = np.eye(3)[labels]
    cases += [(0.005 * hot, labels), (-0.1 * logits - 0.5 * hot, labels)]  # the valley lies outside
    for logits, labels in cases:
        given, kept = logits.copy(), labels.copy()
        T = exact_temperature(given, kept)
        if not (np.array_equal(given, logits) and np.array_equal(kept, labels)):
            raise Wrong("your code modifies its input in place.", "Work on a copy.")
        right = _bisected(logits, labels)
        what = f"T for {len(labels)} rows of {logits.shape[1]} logits up to {np.abs(logits).max():.1f}"
        try:
            got = float(T)
        except (TypeError, ValueError):
            raise Wrong(f"{what} is a {type(T).__name__}, wanted a number.") from None
        hint = ""
        if np.isfinite(got) and got > 0:
            near, loss = abs(np.log(got / right)), log_loss(logits / got, labels)
            if abs(np.log(got * right)) < 1e-4:
                hint = "That is β = 1/T."
            elif right > 99.9 or right < 0.01001:
                hint = "The valley lies outside of 0.01 … 100 here: return the nearer end."
            elif any(abs(np.log(got / end)) < 1e-3 for end in (20.0, 0.05, 1.0, 10.0, 0.1)):
                hint = f"Does your interval end at {got:.3g}? T may lie anywhere between 0.01 and 100."
            elif np.abs(logits).max() > 1000:
                hint = "Adding 2,000 to all logits changes no probability. Subtract each row's largest logit first."
            elif near < 0.03:
                hint = (
                    "Near, but on a grid, or too few halvings: how often must an interval be halved for 1e-6?"
                )
            elif got > 99 or got < 0.0101:
                hint = "The search ran to an end of the interval: for which sign of the slope must β grow?"
            elif loss > log_loss(logits / right, labels):
                hint = "The slope in β is the mean of Σ p z minus the logit of the true class, p at this β."
        elif not np.isfinite(got):
            hint = "Something overflowed: subtract the largest logit of each row first."
        expect_close(got, right, what, rtol=1e-5, hint=hint)


@free_form("learn-peak")
def _check_peaks(peaks, rng):
    if isinstance(peaks, (int, float, np.number)) or not hasattr(peaks, "__len__") or len(peaks) != 2:
        raise Wrong("two numbers are wanted, (for 150 digits, for 150 digits given twice).")
    try:
        once, twice = (float(peak) for peak in peaks)
    except (TypeError, ValueError):
        raise Wrong("two numbers are wanted, (for 150 digits, for 150 digits given twice).") from None
    for value, what in ((once, "for 150 digits"), (twice, "for 150 digits given twice")):
        if not 140 <= value <= 162:
            hint = "Where are there as many features as training digits? Try sizes around that number."
            if value is twice and 280 <= value <= 320:
                hint = "There are 300 rows, but how many different ones must the model fit? Measure it."
            raise Wrong(f"{what} the peak is not at {value:g}.", hint)


number(
    "learn-hoeffding",
    5888,
    rtol=1e-9,
    atol=0.5,
    mistakes=[
        (2050, "That is for one model. All 1,000 estimates must hold at once: where does M enter?"),
        (2049, "That is for one model. All 1,000 estimates must hold at once: where does M enter?"),
        (5503, "Both sides: the error may be too large or too small. Where is the 2 under the logarithm?"),
        (11775, "2 ε² stands below: a factor of 2 is missing there."),
        (177, "ε enters squared."),
        (2558, "The logarithm is the natural one."),
        (5887, "5,887 are not quite enough: round up."),
    ],
)


def _ridge_cases(rng):
    yield np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]]), 1.0
    for n, p, c, ridge in ((6, 3, 2, 0.5), (5, 9, 1, 0.1), (12, 4, 3, 2.0)):
        yield rng.normal(size=(n, p)), rng.normal(size=(n, c)), ridge


def _hat(phi, ridge):
    return phi @ np.linalg.solve(phi.T @ phi + ridge * np.eye(phi.shape[1]), phi.T)


def _left_out_residuals(phi, targets, ridge):
    H = _hat(phi, ridge)
    return (targets - H @ targets) / (1 - np.diag(H))[:, None]


@exercise(
    "learn-loo",
    _ridge_cases,
    rtol=1e-5,
    atol=1e-5,  # an answer in single precision is right too
    mistakes=[
        (lambda f, t, r: _hat(f, r) @ t, "Those models have seen the row that they predict."),
        (
            _left_out_residuals,
            "Those are the residuals, target minus prediction. What is the prediction?",
        ),
        (
            lambda f, t, r: t + _left_out_residuals(f, t, r),
            "The sign: residual = target - prediction.",
        ),
        (
            lambda f, t, r: t - (t - _hat(f, r) @ t) * (1 - np.diag(_hat(f, r)))[:, None],
            "Divide by 1 - H: a point that the model bends toward must lose its small residual.",
        ),
        (
            lambda f, t, r: t - (t - _hat(f, r) @ t) / (1 - np.trace(_hat(f, r)) / len(f)),
            "The mean of the diagonal is a good guess (generalized cross-validation). Each row has its own.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: isinstance(got, np.ndarray) and got.shape != expected.shape,
            "The diagonal of H belongs to the rows: np.diag(H)[:, None], of shape (N, 1).",
        ),
        (
            lambda args, expected, got: np.allclose(
                got,
                args[1] - (args[1] - _hat(args[0], 0) @ args[1]) / (1 - np.diag(_hat(args[0], 0)))[:, None],
            ),
            "The ridge belongs into H.",
        ),
    ],
)
def left_out_predictions(phi, targets, ridge):
    out = np.empty_like(targets, dtype=np.result_type(phi, targets))
    for n in range(len(phi)):
        rest = np.arange(len(phi)) != n
        out[n] = phi[n] @ least_squares(phi[rest], targets[rest], ridge)
    return out


def _conformal_cases(rng):
    for n, m, classes, alpha in ((12, 2, 2, 0.25), (60, 5, 3, 0.1), (200, 6, 4, 0.2), (15, 3, 3, 0.1)):
        labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
        logits = rng.normal(size=(n, classes)) * 1.5 + 2 * np.eye(classes)[labels]
        yield softmax(logits), labels, softmax(2 * rng.normal(size=(m, classes))), alpha
    # Equal scores, in binary fractions so that no rounding decides; an empty set; a class without a row.
    labels = np.repeat([0, 1], [30, 30])
    drawn = np.stack([rng.multinomial(64, [0.8, 0.2] if c == 0 else [0.2, 0.8]) for c in labels]) / 64
    yield drawn, labels, np.concatenate([drawn[:8], drawn[-8:], [[0.5, 0.5]]]), 0.2
    labels = np.repeat([0, 1], [20, 20])
    sure = softmax(rng.normal(size=(40, 3)) + np.array([4.0, 4.0, 0.0]) * np.eye(3)[labels])
    yield sure, labels, softmax(rng.normal(size=(4, 3))), 0.3


def _limit(scores, alpha, plus=1):
    rank = int(np.ceil((len(scores) + plus) * (1 - alpha) - 1e-9))
    return np.sort(scores)[max(rank, 1) - 1] if rank <= len(scores) else np.inf


def _sets(p_val, labels_val, p, alpha, plus=1, infinite=True, strict=False):
    out = np.zeros(p.shape, dtype=bool)
    for c in range(p.shape[1]):
        scores = 1 - p_val[labels_val == c, c]
        limit = _limit(scores, alpha, plus)
        if not infinite and np.isinf(limit):
            limit = scores.max() if len(scores) else -np.inf
        out[:, c] = (1 - p[:, c] < limit) if strict else (1 - p[:, c] <= limit)
    return out


def _never_without_limit(p_val, labels_val, p, alpha):
    limits = [_limit(1 - p_val[labels_val == c, c], alpha) for c in range(p.shape[1])]
    return _sets(p_val, labels_val, p, alpha) & np.isfinite(limits)


def _one_limit(p_val, labels_val, p, alpha):
    return 1 - p <= _limit(1 - p_val[np.arange(len(p_val)), labels_val], alpha)


def _all_rows(p_val, labels_val, p, alpha):
    limits = [_limit(1 - p_val[:, c], alpha) for c in range(p.shape[1])]
    return 1 - p <= np.array(limits)


@exercise(
    "learn-conformal",
    _conformal_cases,
    mistakes=[
        (
            lambda a, b, c, d: _sets(a, b, c, d, infinite=False),
            "A rank beyond the last score has no limit: then the class is always in the set.",
        ),
        (_one_limit, "That is one limit for all classes, as in the lab. Each class needs its own."),
        (
            _all_rows,
            "The limit of class c comes from the validation rows whose TRUE class is c.",
        ),
        (
            _never_without_limit,
            "A class whose rank lies beyond its scores is ALWAYS in the set; yours is never.",
        ),
        (
            lambda a, b, c, d: _sets(a, b, c, d, strict=True),
            "At most the limit: a score that equals it belongs to the set.",
        ),
        (
            lambda a, b, c, d: _sets(a, b, c, 1 - d),
            "alpha is the share of misses: the rank is at (1 - alpha) of the scores.",
        ),
        (
            lambda a, b, c, d: _sets(a, b, c, d, plus=0),
            "The new example counts too, and the rank is rounded up: ⌈(n + 1)(1 - alpha)⌉.",
        ),
        (lambda a, b, c, d: ~_sets(a, b, c, d), "Turned round: a small score 1 - p is a good fit."),
    ],
)
def class_conditional_sets(p_val, labels_val, p, alpha):
    return _sets(p_val, labels_val, p, alpha)

"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on EEG classification."""

import numpy as np

from dlp_utils.exercises import (
    Wrong,
    agrees,
    call,
    choice,
    exercise,
    expect_close,
    free_form,
    interval,
    number,
)


def _root(matrix, power):
    """A symmetric matrix to a power, by its eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T


def _covariance(rng, channels):
    factor = rng.normal(size=(channels, channels + 2))
    return factor @ factor.T / (channels + 2)


# --- exercises -----------------------------------------------------------------------------------------

number(
    "eeg-parameters",
    64 * 32 + 32 + 64 + 32 * 12 * 20 + 20 + 40 + 640 * 4 + 4,
    mistakes=[
        (
            64 * 32 + 64 + 32 * 12 * 20 + 40 + 640 * 4,
            "Three layers have biases as well: 32, 20 and 4 of them.",
        ),
        (64 * 32 + 64 + 32 * 12 * 20 + 40 + 640 * 4 + 4, "The two convolutions have biases as well."),
        (
            64 * 32 + 32 + 32 * 12 * 20 + 20 + 640 * 4 + 4,
            "Batch norm learns a scale and a shift for each channel.",
        ),
        (
            64 * 32 + 32 + 64 + 12 * 20 + 20 + 40 + 640 * 4 + 4,
            "A temporal filter reads 12 samples of *each* of the 32 spatial components.",
        ),
        (
            64 * 32 + 32 + 64 + 64 * 12 * 20 + 20 + 40 + 640 * 4 + 4,
            "The temporal filters see the 32 components, no longer the 64 electrodes.",
        ),
        (8454, "That is the lab's network. Here C = 64 and 32 spatial filters."),
    ],
)


def _haufe_cases(rng):
    noise = np.array([[1.0, -1.0, 1.0, -1.0]])
    source = np.array([[1.0, 1.0, -1.0, -1.0]])
    yield np.concatenate([source + noise, noise])[None], np.array([[1.0], [-1.0]])
    for trials, channels, filters in ((4, 3, 1), (5, 4, 3)):
        mixing = rng.normal(size=(channels, channels))
        x = mixing @ rng.normal(size=(trials, channels, 30)) + rng.normal(size=(1, channels, 1))
        yield x, rng.normal(size=(channels, filters))


def _samples(x):
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return flat - flat.mean(axis=1, keepdims=True)


def _without_source_covariance(x, W):
    flat = _samples(x)
    return flat @ flat.T / flat.shape[1] @ W


def _diagonal_source_covariance(x, W):
    pattern, flat = _without_source_covariance(x, W), _samples(x)
    return pattern / np.var(W.T @ flat, axis=1)


def _two_divisors(x, W):
    """np.cov as it comes: divided by one less than the number of samples; the components' by the number."""
    count = _samples(x).shape[1]
    return patterns(x, W) * count / (count - 1)


def _trials_centered(x, W):
    return patterns(x - x.mean(axis=2, keepdims=True), W)


def _scrambled(x, W):
    return patterns(x.reshape(1, x.shape[1], -1), W)


def _mean_left_in(x, W):
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    covariance = flat @ flat.T / flat.shape[1]
    return covariance @ W @ np.linalg.inv(W.T @ covariance @ W)


@exercise(
    "eeg-haufe",
    _haufe_cases,
    mistakes=[
        (lambda x, W: W, "These are the filters themselves. Where would a source show on the scalp?"),
        (
            lambda x, W: np.linalg.pinv(W).T,
            "The pseudo-inverse is right for as many filters as electrodes only. With fewer, the data decide: "
            "where is the covariance of x?",
        ),
        (_without_source_covariance, "Σ_x W is there. What divides out the scale of the components?"),
        (
            _diagonal_source_covariance,
            "Your components are correlated: Σ_s is a matrix, and its inverse is needed, not the inverse variances.",
        ),
        (
            lambda x, W: _diagonal_source_covariance(x, W) * np.std(W.T @ _samples(x), axis=1),
            "Divided by standard deviations. A regression divides by the variance.",
        ),
        (_mean_left_in, "A covariance needs the mean taken out: one mean for each electrode."),
        (
            _two_divisors,
            "One covariance is divided by the number of samples, the other by one less. Does np.cov do what you think?",
        ),
        (
            lambda x, W: _two_divisors(x, W) * (1 - 1 / _samples(x).shape[1]) ** 2,
            "One covariance is divided by the number of samples, the other by one less. Does np.cov do what you think?",
        ),
        (
            _trials_centered,
            "You took the mean off each trial. One mean for each electrode is asked for, over all trials.",
        ),
        (
            _scrambled,
            "reshape does not move axes: your rows mix electrodes and trials. Bring the electrodes to the front first.",
        ),
    ],
)
def patterns(x, W):
    flat = _samples(x)
    covariance = flat @ flat.T / flat.shape[1]
    return covariance @ W @ np.linalg.inv(W.T @ covariance @ W)


@free_form("eeg-csp")
def _check_csp(csp, rng):
    for channels, pairs in ((3, 1), (6, 1), (7, 3)):
        a, b = _covariance(rng, channels), _covariance(rng, channels)
        values = np.sort(np.linalg.eigvals(np.linalg.solve(a + b, a)).real)[::-1]
        wanted = np.concatenate([values[:pairs], values[-pairs:]])
        got = np.asarray(call(csp, a, b, pairs))
        name = f"csp of two ({channels}, {channels}) covariances with pairs={pairs}"
        if got.shape == (2 * pairs, channels) and got.shape != (channels, 2 * pairs):
            raise Wrong(f"{name} has shape {got.shape}.", "Filters are columns here: transpose it.")
        if got.shape != (channels, 2 * pairs):
            raise Wrong(f"{name} has shape {got.shape}, wanted ({channels}, {2 * pairs}).")
        if np.iscomplexobj(got):
            raise Wrong(
                f"{name} is complex.", "eig does not know that both matrices are symmetric; eigh does."
            )
        power_a, power_b = np.sum(got * (a @ got), axis=0), np.sum(got * (b @ got), axis=0)
        share = power_a / (power_a + power_b)
        hint = ""
        if np.allclose(share, np.concatenate([values[::-1][:pairs], values[::-1][-pairs:]])):
            hint = "eigh sorts upward: the largest come last."
        elif np.allclose(np.sort(share), np.sort(wanted)):
            hint = (
                "The right filters in another order: the largest share of class a first, the smallest last."
            )
        elif np.allclose(share, values[: 2 * pairs]):
            hint = "Both ends are wanted: `pairs` filters for class a, and `pairs` for class b."
        elif np.allclose(np.sum(got * got, axis=0), 1):
            hint = "These look like the eigenvectors of one covariance. CSP asks for two at once: a w = λ (a + b) w."
        what = f"{name}: the share of class a in each filter's power"
        expect_close(share, wanted, what, rtol=1e-4, hint=hint)
        scale = power_a + power_b
        hint = ""
        if np.allclose(power_b, 1):
            hint = "You solved a w = λ b w: the same directions, scaled by b alone. Solve with a + b."
        elif np.allclose(np.sum(got * got, axis=0), 1):
            hint = "The columns have length 1; instead, wᵀ(a + b)w must be 1."
        what = f"{name}: wᵀ(a + b)w for each filter"
        expect_close(scale, np.ones(2 * pairs), what, rtol=1e-4, hint=hint)


def _logpower_cases(rng):
    yield np.array([1.0, -1.0, 2.0, -2.0]), 2, 2, 1e-6
    yield np.zeros(5), 3, 1, 1e-6
    yield rng.normal(size=(2, 3, 40)), 10, 4, 1e-6
    yield rng.normal(size=(2, 12)), 5, 3, 0.8


def _windows(x, size, stride):
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=-1)[..., ::stride, :]


def _mean_of_log(x, size, stride, floor=1e-6):
    return np.mean(np.log(np.maximum(_windows(x, size, stride) ** 2, floor)), axis=-1)


def _added_floor(x, size, stride, floor=1e-6):
    return np.log(np.mean(_windows(x, size, stride) ** 2, axis=-1) + floor)


@exercise(
    "eeg-logpower",
    _logpower_cases,
    mistakes=[
        (
            _mean_of_log,
            "The order: square, *then* average, then the logarithm. You took the mean of the logarithms.",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.log(
                np.maximum(_windows(x, size, stride).var(axis=-1), floor)
            ),
            "That is the variance within the window: its mean was taken out. SCCNet averages the plain square.",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.maximum(
                np.mean(_windows(x, size, stride) ** 2, axis=-1), floor
            ),
            "The logarithm is missing.",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.log(
                np.maximum(np.sum(_windows(x, size, stride) ** 2, axis=-1), floor)
            ),
            "A sum, not a mean: the same rhythm would have more power in a longer window.",
        ),
        (
            lambda x, size, stride, floor=1e-6: np.log(np.mean(_windows(x, size, stride) ** 2, axis=-1)),
            "A silent window gives log 0. Keep the mean square at `floor` or above.",
        ),
        (_added_floor, "You added the floor everywhere. It should only catch what lies below: a maximum."),
    ],
    hints=[
        (
            lambda args, expected, got: not np.all(np.isfinite(np.asarray(got, dtype=float))),
            "A silent window gives log 0. Keep the mean square at `floor` or above.",
        ),
        (
            lambda args, expected, got: np.ndim(got) and np.shape(got)[-1] > np.shape(expected)[-1],
            "Only windows that fit: the last one must not reach beyond the end of the trial.",
        ),
    ],
)
def log_power(x, size, stride, floor=1e-6):
    return np.log(np.maximum(np.mean(_windows(x, size, stride) ** 2, axis=-1), floor))


def _wilson_cases(rng):
    yield 0, 10, 1.96
    yield 10, 10, 1.96
    yield 1, 10, 1.96
    yield 202, 288, 1.96
    yield int(rng.integers(1, 40)), 40, 2.576
    yield int(rng.integers(1, 1000)), 1000, 1.0


def _normal_interval(correct, trials, z=1.96):
    p = correct / trials
    half = z * np.sqrt(p * (1 - p) / trials)
    return p - half, p + half


def _uncentered(correct, trials, z=1.96):
    low, high = wilson(correct, trials, z)
    return correct / trials - (high - low) / 2, correct / trials + (high - low) / 2


@exercise(
    "eeg-wilson",
    _wilson_cases,
    mistakes=[
        (
            _normal_interval,
            "That is the normal interval. For 0 of 10 right it has length zero: is the accuracy surely 0?",
        ),
        (
            lambda correct, trials, z=1.96: tuple(np.clip(_normal_interval(correct, trials, z), 0, 1)),
            "That is the normal interval, clipped. It still has length zero for 0 of 10.",
        ),
        (
            _uncentered,
            "The length is right. The center is not the measured accuracy: it is pulled toward 1/2.",
        ),
        (
            lambda correct, trials, z=1.96: wilson(correct, trials, z)[::-1],
            "First the lower end, then the upper.",
        ),
        (
            lambda correct, trials, z=1.96: wilson(correct, trials),
            "z is an argument: 95 % is not always asked for.",
        ),
    ],
)
def wilson(correct, trials, z=1.96):
    p, shrink = correct / trials, 1 + z**2 / trials
    center = (p + z**2 / (2 * trials)) / shrink
    half = z / shrink * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return max(center - half, 0.0), min(center + half, 1.0)  # rounding


def _align_cases(rng):
    yield np.array([[[2.0, -2.0], [1.0, 1.0]]])
    for trials, channels in ((6, 2), (8, 4)):
        yield rng.normal(size=(channels, channels)) @ rng.normal(size=(trials, channels, 20))


def _mean_covariance(x):
    return np.mean(x @ np.swapaxes(x, 1, 2), axis=0) / x.shape[2]


def _own_covariance(x):
    return np.stack([align(trial[None])[0] for trial in x])


def _cholesky(x):
    return np.linalg.inv(np.linalg.cholesky(_mean_covariance(x))) @ x


@exercise(
    "eeg-align",
    _align_cases,
    mistakes=[
        (
            lambda x: np.linalg.inv(_mean_covariance(x)) @ x,
            "R⁻¹ does too much: the covariance becomes R⁻¹ R R⁻¹ = R⁻¹. The square root of it is wanted.",
        ),
        (lambda x: _root(_mean_covariance(x), 0.5) @ x, "R^(+1/2) doubles the shift. The power is -1/2."),
        (
            _own_covariance,
            "One R for the subject, not one for each trial: else the power that tells the classes apart is gone.",
        ),
        (_cholesky, "This whitens, but by a triangular matrix. Take the symmetric root R^(-1/2)."),
        (
            lambda x: align(x) / np.sqrt(x.shape[2]),
            "R is a mean over samples as well as over trials: where is the 1/T?",
        ),
        (
            lambda x: x / np.sqrt(np.diag(_mean_covariance(x)))[:, None],
            "This scales each electrode by itself. The correlations between them stay as they were.",
        ),
    ],
)
def align(x):
    return _root(_mean_covariance(x), -0.5) @ x


interval(
    "eeg-optimism",
    0.0505,
    0.0560,
    below="Too small. One draw from the binomial for each of 20 checkpoints, then the *largest* of the 20, then the "
    "mean over many repeats.",
    above="Too large. Is it an accuracy, between 0 and 1, and did you take off the true 0.6? Is it the best of 20, "
    "and a test set of 288?",
)


def _rhythm(rng, trials, channels=4, samples=250):
    """Noise, and a 10 Hz rhythm of random phase that is stronger in class 1, at 125 Hz."""
    labels = np.arange(trials) % 2
    amplitude = np.where(labels == 1, 2.0, 0.7)[:, None]
    phase = rng.uniform(0, 2 * np.pi, (trials, 1))
    wave = amplitude * np.sin(2 * np.pi * 10 * np.arange(samples) / 125 + phase)
    pattern = np.array([1.0, 0.8, 0.3, -0.2])[:channels]
    return rng.normal(size=(trials, channels, samples)) + pattern[:, None] * wave[:, None], labels


def _evoked(rng, trials, channels=4, samples=250):
    """Noise, and a slow deflection whose sign is the class."""
    labels = np.arange(trials) % 2
    bump = np.exp(-(((np.arange(samples) - 120) / 45) ** 2))
    pattern = np.array([0.2, -0.4, 0.9, 1.0])[:channels]
    sign = np.where(labels == 1, 1.0, -1.0)[:, None, None]
    return rng.normal(size=(trials, channels, samples)) + 0.6 * sign * pattern[:, None] * bump, labels


def _score(features, data, rng):
    train, test = data(rng, 300), data(rng, 400)
    f = [np.asarray(call(features, x), dtype=float) for x, _ in (train, test)]
    for part, (x, _) in zip(f, (train, test), strict=True):
        if part.ndim != 2 or len(part) != len(x):
            raise Wrong(f"features of {len(x)} trials have shape {part.shape}, wanted ({len(x)}, D).")
        if part.shape[1] > 64:
            raise Wrong(
                f"{part.shape[1]} features; at most 64.", "Average over windows, as SCCNet's pooling does."
            )
        if not np.all(np.isfinite(part)):
            raise Wrong("a feature is not finite.", "Is there a logarithm of zero?")
    mean, scale = f[0].mean(axis=0), f[0].std(axis=0) + 1e-12
    a, b = (np.column_stack([(part - mean) / scale, np.ones(len(part))]) for part in f)
    weights = np.linalg.solve(a.T @ a + 1e-2 * len(a) * np.eye(a.shape[1]), a.T @ (2 * train[1] - 1))
    return np.mean((b @ weights > 0) == (test[1] == 1))


@free_form("eeg-both")
def _check_both(features, rng):
    rhythm, evoked = _score(features, _rhythm, rng), _score(features, _evoked, rng)
    scores = f"rhythm of random phase {rhythm:.0%}, slow deflection {evoked:.0%}; 90% is wanted for both"
    if rhythm < 0.9 <= evoked:
        raise Wrong(scores, "Linear averages cancel a random phase. Add something that squares.")
    if evoked < 0.9 <= rhythm:
        raise Wrong(
            scores, "Power forgets the sign of a slow deflection. Add something linear: plain averages."
        )
    if rhythm < 0.9 or evoked < 0.9:
        raise Wrong(
            scores,
            "Averages over windows of about half a second for the deflection, and the same after squaring for the rhythm.",
        )


# --- bug zoo -------------------------------------------------------------------------------------------


def _report_cases(rng):
    yield np.array([0.5, 0.7, 0.6]), np.array([0.6, 0.5, 0.8])
    yield np.array([0.5, 0.7, 0.7, 0.1]), np.array([0.6, 0.5, 0.8, 0.9])
    for epochs in (6, 30):
        yield rng.permutation(epochs) / epochs, rng.uniform(size=epochs)


@exercise(
    "eeg-zoo-checkpoint",
    _report_cases,
    mistakes=[
        (
            lambda validation, test: np.max(test),
            "That is the bug: the epoch was chosen by its test accuracy.",
        ),
        (
            lambda validation, test: np.max(validation),
            "The best validation accuracy is inflated too: it chose the epoch. Report the test accuracy there.",
        ),
        (
            lambda validation, test: np.asarray(test)[-1],
            "Honest, but the validation set was not used at all.",
        ),
        (
            lambda validation, test: int(np.argmax(validation)),
            "That is the epoch. Its test accuracy is asked for.",
        ),
        (
            lambda validation, test: np.asarray(test)[
                len(test) - 1 - np.argmax(np.asarray(validation)[::-1])
            ],
            "In a tie, the earliest epoch.",
        ),
        (
            lambda validation, test: np.max(np.asarray(test)[np.asarray(validation) == np.max(validation)]),
            "In a tie you took the epoch with the better test accuracy: the test set has chosen again.",
        ),
    ],
)
def report(validation, test):
    return np.asarray(test)[np.argmax(validation)]


@free_form("eeg-zoo-eval")
def _check_modes(train_and_test, rng):
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))

    for start in (True, False):
        model, seen, numbers = Model().train(start), [], list(rng.uniform(size=4).round(3))
        waiting = iter(numbers)

        def train_epoch(given, seen=seen):
            seen.append(("train", given.training and given.layers[1].training))

        def test_epoch(given, seen=seen, waiting=waiting):
            seen.append(("test", given.training or given.layers[1].training))
            return next(waiting)

        result = train_and_test(model, train_epoch, test_epoch, 4)
        if [kind for kind, _ in seen] != ["train", "test"] * 4:
            raise Wrong(
                f"the calls were {', '.join(kind for kind, _ in seen) or 'none'}.",
                "In each epoch train_epoch(model) once, then test_epoch(model) once.",
            )
        asleep = [i // 2 + 1 for i, (kind, dropout) in enumerate(seen) if kind == "train" and not dropout]
        if asleep:
            raise Wrong(
                f"training epoch {asleep[0]} ran with dropout off"
                + ("." if start else "; the model was handed over in eval mode."),
                "Who switches back after the test? model.train() belongs into the loop, before each training epoch.",
            )
        awake = [i // 2 + 1 for i, (kind, dropout) in enumerate(seen) if kind == "test" and dropout]
        if awake:
            raise Wrong(
                f"the test after epoch {awake[0]} ran with dropout on.", "model.eval() before each test."
            )
        if model.training:
            raise Wrong("the model is left in training mode.", "The last call before returning is a test.")
        if result is None or not agrees([float(value) for value in result], numbers, rtol=1e-5):
            raise Wrong(f"returned {result!r}, wanted the four test results in their order.")


def _subject(name):
    return int(name[1:-5]), name[-5]


@free_form("eeg-zoo-listdir")
def _check_pairs(pair_files, rng):
    names = [f"s{subject}{session}.npy" for subject in (1, 2, 3, 9, 10, 11) for session in "ET"]
    for size in (2, 6, 12):
        chosen = names[:size]
        features, labels = list(rng.permutation(chosen)), list(rng.permutation(chosen))
        features, labels = [str(name) for name in features], [str(name) for name in labels]
        got = call(pair_files, features, labels)
        if not isinstance(got, (list, tuple)) or not all(isinstance(pair, (list, tuple)) for pair in got):
            raise Wrong(f"expected a list of pairs, got {got!r}.")
        got = [tuple(pair) for pair in got]
        if any(len(pair) != 2 or pair[0] != pair[1] for pair in got):
            wrong = next(pair for pair in got if len(pair) != 2 or pair[0] != pair[1])
            raise Wrong(
                f"paired {' with '.join(map(str, wrong))}.",
                "Both lists come in the order of the disk. Sort both, or look labels up by name.",
            )
        if sorted(got) != sorted((name, name) for name in chosen):
            raise Wrong(f"{len(got)} pairs for {len(chosen)} files.")
        if got != [(name, name) for name in sorted(chosen, key=_subject)]:
            raise Wrong(
                f"the order is {', '.join(pair[0] for pair in got)}.",
                "As words, s10 comes before s2. Sort by the subject's number, then by the session's letter.",
            )
    for missing_in, features, labels in (
        ("labels", ["s1T.npy", "s2T.npy"], ["s1T.npy"]),
        ("features", ["s1T.npy"], ["s2T.npy", "s1T.npy"]),
    ):
        try:
            got = pair_files(list(features), list(labels))
        except ValueError as error:
            if "s2T" not in str(error):
                raise Wrong(
                    f"the error for s2T.npy missing in the {missing_in} says {str(error)!r}.",
                    "Name the file: the reader of the error has to find it.",
                ) from None
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(
                f"with s2T.npy missing in the {missing_in} it raised {type(error).__name__}.",
                "A ValueError that names the file.",
            ) from None
        else:
            raise Wrong(
                f"with s2T.npy missing in the {missing_in} it returned {got!r}.",
                "zip stops silently at the shorter list. Compare the two sets of names first.",
            )


def _same_gradient(got, leaf, wanted, what, hint=""):
    """Compare the gradient of the sum of `got` by `leaf` with `wanted`."""
    import torch

    if not got.requires_grad:
        raise Wrong(
            f"no gradient flows back to {what}.", "Stay in torch: no .item(), no .detach(), no NumPy."
        )
    (slope,) = torch.autograd.grad(got.sum(), leaf, allow_unused=True)
    if slope is None:
        raise Wrong(
            f"no gradient flows back to {what}.", "Stay in torch: no .item(), no .detach(), no NumPy."
        )
    expect_close(slope.to(got.dtype), wanted, f"the gradient by {what}", rtol=1e-5, hint=hint)


@free_form("eeg-zoo-softmax")
def _check_loss(classification_loss, rng):
    import torch

    for rows, width in ((2, torch.float64), (7, torch.float64), (5, torch.float32)):
        logits = torch.tensor(rng.normal(size=(rows, 4)) * 3, dtype=width, requires_grad=True)
        labels = torch.tensor(rng.integers(0, 4, rows))
        got = call(classification_loss, logits, labels)
        if not isinstance(got, torch.Tensor) or got.ndim:
            raise Wrong(
                f"expected a tensor with one number, got {type(got).__name__} {got!r}.",
                "Stay in torch: no .item(), no NumPy. And one number for all trials: their mean.",
            )

        def mean_of(values, rows=rows, labels=labels):
            return -values[torch.arange(rows), labels].mean()

        softmax = torch.softmax(logits, dim=1)
        expected = mean_of(softmax.log())
        mistakes = [
            (
                mean_of(torch.log_softmax(softmax, dim=1)),
                "That is the bug: cross_entropy takes logits, and applies the softmax itself.",
            ),
            (expected * rows, "The mean over the trials, not the sum."),
            (expected / 4, "The mean over the trials, not over their four logits."),
            (mean_of(softmax), "nll_loss wants log-probabilities. Where is the logarithm?"),
            (mean_of(logits), "nll_loss wants log-probabilities. These are the logits."),
            (-expected, "The sign: a loss is *minus* the log-probability."),
            (
                mean_of(torch.log_softmax(logits, dim=0)),
                "The probabilities of one trial add up to 1: over which axis is the softmax?",
            ),
        ]
        expect_close(got, expected, f"the loss of {rows} trials", rtol=1e-5, mistakes=mistakes)
        right = (softmax - torch.nn.functional.one_hot(labels, 4)).detach() / rows
        _same_gradient(got, logits, right, "the logits")
    for width in (torch.float64, torch.float32):
        confident = torch.tensor([[500.0, -500.0, 0.0, 0.0]], dtype=width, requires_grad=True)
        loss = call(classification_loss, confident, torch.tensor([1]))
        (slope,) = torch.autograd.grad(loss, confident)
        if not torch.isfinite(loss) or not torch.isfinite(slope).all():
            raise Wrong(
                "logits of ±500 give a loss that is not finite.",
                "Take log_softmax, not the log of a softmax.",
            )
        expect_close(float(loss.detach()), 1000.0, "the loss of a trial that is confidently wrong", rtol=1e-5)


@free_form("eeg-zoo-log")
def _check_log_layer(log_layer, rng):
    import torch

    for width in (torch.float64, torch.float32):
        power = torch.tensor(rng.uniform(0.01, 9, (2, 3, 4)), dtype=width, requires_grad=True)
        got = call(log_layer, power)
        if not isinstance(got, torch.Tensor):
            raise Wrong(f"expected a tensor, got {type(got).__name__}.")
        adds = "Adding the floor changes every value. Clamp: only what lies below the floor may change."
        mistakes = [
            (torch.log(power + 1e-6), adds),
            (
                torch.log1p(power),
                "log(1 + p) is almost linear for small powers: a gain is no longer an offset.",
            ),
            (torch.log10(power), "The natural logarithm."),
        ]
        what = "the logarithm of ordinary powers"
        expect_close(got, torch.log(power), what, rtol=1e-9, mistakes=mistakes)
        _same_gradient(got, power, 1 / power.detach(), "ordinary powers")
        near = torch.tensor([2e-6, 1e-5], dtype=width)
        expect_close(
            call(log_layer, near), torch.log(near), "log_layer just above the floor", rtol=1e-5, hint=adds
        )
    for floor in (1e-6, 1e-3):
        silent = torch.tensor([0.0, floor / 2, 1.0, 1e-30], dtype=torch.float64, requires_grad=True)
        got = call(log_layer, silent, floor)
        if not torch.isfinite(got).all():
            raise Wrong(
                f"log_layer of a power of 0 is {got.detach()[0]:g}.",
                "Clamp *before* the logarithm, at `floor`.",
            )
        expected = torch.log(silent.detach().clamp(min=floor))
        hint = "The floor is the second argument." if floor != 1e-6 else ""
        expect_close(got, expected, f"log_layer at and below the floor {floor:g}", hint=hint)
        if not got.requires_grad:
            raise Wrong("no gradient flows back to the powers.", "Stay in torch: no .detach(), no NumPy.")
        (slope,) = torch.autograd.grad(got.sum(), silent)
        if not torch.isfinite(slope).all():
            raise Wrong(
                "the value at 0 is finite, its gradient is not.",
                "torch.where around a log still computes 0 · ∞ backward. Clamp the argument instead.",
            )
        expect_close(slope[2:3].to(got.dtype), torch.ones(1).double(), "the gradient at a power of 1")


choice(
    "eeg-zoo-nolog",
    "f",
    options="abcdef",
    hints={
        "a": "The spatial filters read the raw signal, as they should.",
        "b": "Batch norm, then filters become rows: as published.",
        "c": "Temporal filters and batch norm: as published.",
        "d": "Nothing is missing before the square: batch norm has just centered the signal.",
        "e": "The logarithm of the square *before* averaging would be the mean of logarithms, which is noisier.",
    },
)

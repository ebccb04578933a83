"""Generated from notebooks/learning.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['RandomFeatures', 'least_squares', 'one_hot', 'FeatureClassifier', 'error_rate', 'folds', 'cross_validate',
           'confusion_matrix', 'precision_recall', 'softmax', 'log_loss', 'reliability', 'calibration_error',
           'fit_temperature', 'standard_error', 'paired_difference', 'bias_variance', 'roc_curve', 'auc']

# %%
import numpy as np

# %%
class RandomFeatures:
    """φ(x) = max(0, x W + b), with W and b drawn once and never trained.

    x: (N, d) gives (N, size). Source: def-learning-features.
    """

    def __init__(self, d, size, seed):
        rng = np.random.default_rng(seed)
        self.W = rng.normal(0, 2 / np.sqrt(d), (d, size))
        self.b = rng.uniform(-1, 1, size)

    def __call__(self, x):
        return np.maximum(x @ self.W + self.b, 0)

# %%
def least_squares(features, targets, ridge=0.0):
    """Weights A (p, C) that minimize ‖Φ A - T‖² + ridge ‖A‖².

    features Φ: (n, p), targets T: (n, C). With ridge = 0: of all minimizers
    the one with the smallest norm. ValueError for input that is not finite.
    Source: eq-learning-ridge, eq-learning-ridge-dual.
    """
    if not (np.isfinite(features).all() and np.isfinite(targets).all()):
        raise ValueError("features and targets must be finite: look for NaN")
    n, p = features.shape
    if ridge == 0:
        return np.linalg.lstsq(features, targets, rcond=None)[0]
    if p <= n:
        gram = features.T @ features + ridge * np.eye(p)  # (p, p)
        return np.linalg.solve(gram, features.T @ targets)
    gram = features @ features.T + ridge * np.eye(n)  # (n, n)
    return features.T @ np.linalg.solve(gram, targets)

# %%
def one_hot(labels, num_classes):
    """Rows of the identity matrix: (N,) integers give (N, num_classes)."""
    return np.eye(num_classes)[labels]


class FeatureClassifier:
    """Least squares on random features; the largest score is the answer.

    x: (N, d); labels: (N,) from 0 to num_classes - 1.
    """

    def __init__(self, size, ridge=0.0, seed=0, num_classes=10):
        self.size, self.ridge, self.seed = size, ridge, seed
        self.num_classes = num_classes

    def fit(self, x, labels):
        self.mean = x.mean(axis=0)  # of the training data alone
        self.features = RandomFeatures(x.shape[1], self.size, self.seed)
        targets = one_hot(labels, self.num_classes) - 1 / self.num_classes
        phi = self.features(x - self.mean)  # (N, size)
        self.A = least_squares(phi, targets, self.ridge)
        return self

    def scores(self, x):
        phi = self.features(x - self.mean)
        return phi @ self.A + 1 / self.num_classes  # (N, C)

    def predict(self, x):
        return self.scores(x).argmax(axis=1)  # (N,)

# %%
def error_rate(labels, predicted):
    """Share of entries that differ, both (N,)."""
    return float(np.mean(np.asarray(labels) != np.asarray(predicted)))

# %%
def folds(n, k, rng):
    """Cut 0 … n - 1 at random into k parts as equal as possible: a list.

    ValueError unless 2 ≤ k ≤ n.
    """
    if not 2 <= k <= n:
        raise ValueError(f"k must lie between 2 and n = {n}, got {k}")
    return np.array_split(rng.permutation(n), k)


def cross_validate(x, labels, make, parts):
    """Error rate on each part, of a model trained on all others: (k,).

    make: function that returns an untrained model. Whatever a model learns,
    also the mean that it subtracts, it learns inside the loop.
    """
    errors = []
    for held in parts:
        rest = np.setdiff1d(np.arange(len(x)), held)
        model = make().fit(x[rest], labels[rest])
        errors.append(error_rate(labels[held], model.predict(x[held])))
    return np.array(errors)

# %%
def confusion_matrix(labels, predicted, num_classes):
    """Counts (C, C): row = true class, column = predicted class.

    labels, predicted: (N,) integers. Source: def-learning-confusion.
    """
    matrix = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def precision_recall(matrix):
    """Precision and recall of each class, (C,) each, from counts (C, C).

    NaN for the precision of a class that was never predicted and for the
    recall of one that never occurs: neither has a value.
    Source: def-learning-precision.
    """
    hits = np.diag(matrix).astype(float)
    with np.errstate(invalid="ignore"):
        return hits / matrix.sum(axis=0), hits / matrix.sum(axis=1)

# %%
def softmax(logits):
    """Probabilities over the last axis, without overflow."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_loss(logits, labels):
    """Mean negative log-likelihood, logits (N, C), labels (N,); nats."""
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(labels)), labels]))

# %%
def reliability(probabilities, labels, bins=10):
    """Confidence, share of right answers, and count of each bin: (bins,).

    probabilities: (N, C), labels: (N,). The confidence is the largest
    probability of a row; bins have equal widths, an empty bin has NaN.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / count
        return mean, np.bincount(place, right, bins) / count, count


def calibration_error(probabilities, labels, bins=10):
    """Expected calibration error, from 0 to 1. Source: def-learning-ece.

    ValueError for probabilities that are not: NaN, or rows without sum 1.
    """
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4):
        raise ValueError("rows of probabilities must sum to 1: softmax first")
    mean, share, count = reliability(probabilities, labels, bins)
    full = count > 0
    gaps = np.abs(mean[full] - share[full])
    return float(gaps @ count[full] / count.sum())

# %%
def fit_temperature(logits, labels):
    """The T that minimizes the loss of logits / T; logits (N, C), labels (N,).

    Tries a grid from 0.05 to 20 in steps of 1%. Use data that the network
    was not trained on. Source: eq-learning-temperature.
    """
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite: look for NaN or infinity")
    grid = np.geomspace(0.05, 20, 603)
    losses = [log_loss(logits / T, labels) for T in grid]
    return float(grid[np.argmin(losses)])

# %%
def standard_error(rate, n):
    """Of a share of n independent answers. Source: eq-learning-binomial."""
    return np.sqrt(rate * (1 - rate) / n)


def paired_difference(wrong_a, wrong_b):
    """Mean of a - b over the same N questions, and its standard error.

    wrong_a, wrong_b: (N,) of bool. Source: eq-learning-paired.
    """
    d = np.asarray(wrong_a, dtype=float) - np.asarray(wrong_b, dtype=float)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))

# %%
def bias_variance(outputs, targets):
    """Squared bias and variance, each summed over outputs, mean over points.

    outputs: (runs, N, C), one model a run; targets: (N, C). The variance
    divides by runs - 1; the bias is what is left of the mean squared error,
    so that neither is inflated by few runs. ValueError below two runs.
    Source: eq-learning-bias-variance.
    """
    if len(outputs) < 2:
        raise ValueError(f"a variance needs two runs, got {len(outputs)}")
    error = ((outputs - targets) ** 2).sum(axis=-1).mean()
    variance = outputs.var(axis=0, ddof=1).sum(axis=-1).mean()
    return error - variance, variance

# %%
def roc_curve(scores, positive):
    """False and true positive rates, as the threshold falls; (steps + 1,).

    scores: (N,), larger means rather positive; positive: (N,) of bool. Equal
    scores make one step. ValueError unless both classes occur.
    Source: def-learning-rates.
    """
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs both classes, got one alone")
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order]))  # last of equal scores
    ends = np.append(ends, len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    false = ends + 1 - hits
    fpr, tpr = false / (~positive).sum(), hits / positive.sum()
    return np.append(0.0, fpr), np.append(0.0, tpr)


def auc(fpr, tpr):
    """Area under a curve through these points, by trapezoids."""
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))

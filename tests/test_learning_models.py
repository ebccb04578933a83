"""What the lab on learning exports: against scikit-learn and torchmetrics, and with bad input."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import linear_model, metrics

from dlp_utils.data import digits
from dlp_utils.models import learning as lab
from dlp_utils.models.learning import FeatureClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "figures"))
import _learning


def answers(n=300, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = 1.5 * rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    return labels, logits


# --- least squares and the classifier ---


@pytest.mark.parametrize("shape", [(20, 6), (6, 20), (8, 8)])
@pytest.mark.parametrize("ridge", [0.0, 0.01, 5.0])
def test_least_squares_is_scikit_learn_s(shape, ridge):
    rng = np.random.default_rng(1)
    phi, targets = rng.normal(size=shape), rng.normal(size=(shape[0], 3))
    ours = lab.least_squares(phi, targets, ridge)
    model = (
        linear_model.Ridge(ridge, fit_intercept=False)
        if ridge
        else linear_model.LinearRegression(fit_intercept=False)
    )
    assert np.allclose(ours, model.fit(phi, targets).coef_.T, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_or_targets_that_are_not_finite_are_named(bad):
    phi, targets = np.ones((3, 2)), np.ones((3, 1))
    for part in (phi, targets):
        kept, part[0, 0] = part[0, 0], bad
        with pytest.raises(ValueError, match="must be finite: look for NaN"):
            lab.least_squares(phi, targets, 0.1)
        part[0, 0] = kept


def test_classifier_subtracts_the_training_mean_and_survives_constant_features_and_an_empty_class():
    x, y, x_test, _ = digits.split(0, train=300)
    assert (np.ptp(x, axis=0) == 0).any()  # the corners are always white
    y_without = np.where(y == 3, 4, y)
    model = FeatureClassifier(200, 1.0).fit(x, y_without)
    assert np.isfinite(model.scores(x_test)).all() and not (model.predict(x_test) == 3).any()
    whole, one = model.scores(x_test), model.scores(x_test[:1])
    assert np.allclose(whole[:1], one)  # an answer does not depend on the other test digits
    single = FeatureClassifier(50, 1.0).fit(x[:10], np.arange(10))  # one sample a class
    assert lab.error_rate(np.arange(10), single.predict(x[:10])) == 0


def test_stored_sweep_of_the_first_picture_is_what_the_code_gives():
    rows = _learning.stored()
    assert len(rows["test"]) == len(_learning.SIZES)
    for seed, size in ((0, 60), (2, 100), (4, 700)):
        x, y, x_test, y_test = digits.split(seed, train=_learning.COUNT)
        for name, ridge in (("test", 0.0), ("ridge", 0.3)):
            model = FeatureClassifier(size, ridge, seed).fit(x, y)
            assert abs(lab.error_rate(y_test, model.predict(x_test)) - rows[name][size][seed]) < 0.005


def test_bias_and_variance_add_up_and_need_two_runs():
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(5, 30, 3)), rng.normal(size=(30, 3))
    bias, variance = lab.bias_variance(outputs, targets)
    assert bias + variance == pytest.approx(((outputs - targets) ** 2).sum(-1).mean())
    # Constant models have no variance; models that are right on average have no bias.
    same = np.repeat(outputs[:1], 4, axis=0)
    assert lab.bias_variance(same, targets)[1] == 0
    around = targets + 2 * rng.normal(size=(4000, 30, 3))
    bias, variance = lab.bias_variance(around, targets)
    assert variance == pytest.approx(12, rel=0.02) and abs(bias) < 0.05
    with pytest.raises(ValueError, match="needs two runs, got 1"):
        lab.bias_variance(outputs[:1], targets)


# --- folds ---


def test_folds_hold_out_each_row_once():
    parts = lab.folds(23, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(parts)) == list(range(23)) and {len(p) for p in parts} == {4, 5}
    for k in (1, 24, 0):
        with pytest.raises(ValueError, match=f"between 2 and n = 23, got {k}"):
            lab.folds(23, k, np.random.default_rng(0))


def test_cross_validation_never_shows_a_model_what_it_is_tested_on():
    class Spy:
        def fit(self, x, y):
            self.seen = set(x[:, 0])
            return self

        def predict(self, x):
            assert not self.seen & set(x[:, 0]) and len(self.seen) + len(x) == 12
            return np.zeros(len(x))

    x = np.arange(12.0)[:, None]
    labels = (x[:, 0] < 3).astype(int)  # three ones
    parts = np.array_split(np.arange(12), 4)
    assert lab.cross_validate(x, labels, Spy, parts).tolist() == [1, 0, 0, 0]


# --- measures ---


def test_confusion_matrix_precision_and_recall_are_scikit_learn_s():
    labels, logits = answers()
    predicted = logits.argmax(axis=1)
    matrix = lab.confusion_matrix(labels, predicted, 4)
    assert (matrix == metrics.confusion_matrix(labels, predicted)).all()
    theirs = metrics.precision_recall_fscore_support(labels, predicted)
    for ours, other in zip(lab.precision_recall(matrix), theirs, strict=False):
        assert np.allclose(ours, other)


def test_a_class_that_does_not_occur_has_no_recall_and_one_never_called_no_precision():
    matrix = lab.confusion_matrix(np.array([0, 0, 1]), np.array([0, 2, 0]), 4)
    precision, recall = lab.precision_recall(matrix)
    assert np.isnan(recall).tolist() == [False, False, True, True]
    assert np.isnan(precision).tolist() == [False, True, False, True]
    assert recall[:2].tolist() == [0.5, 0] and precision[[0, 2]].tolist() == [0.5, 0]


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_roc_curve_and_area_are_scikit_learn_s_with_equal_scores_too(levels):
    rng = np.random.default_rng(levels)
    truth = rng.random(80) < 0.3
    scores = np.floor(levels * (rng.random(80) + 0.3 * truth))
    fpr, tpr = lab.roc_curve(scores, truth)
    theirs = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert np.allclose(fpr, theirs[0]) and np.allclose(tpr, theirs[1])
    assert lab.auc(fpr, tpr) == pytest.approx(metrics.roc_auc_score(truth, scores))
    with pytest.raises(ValueError, match="needs both classes"):
        lab.roc_curve(scores, np.ones(80, dtype=bool))


def test_softmax_and_log_loss():
    labels, logits = answers()
    ours = lab.log_loss(logits, labels)
    assert ours == pytest.approx(metrics.log_loss(labels, lab.softmax(logits)))
    big = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    assert lab.softmax(big).tolist() == [[1, 0], [0, 1]] and lab.log_loss(big, np.array([1, 1])) == 500


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_calibration_error_is_torchmetrics(bins):
    classification = pytest.importorskip("torchmetrics.functional.classification")

    labels, logits = answers(500)
    p = lab.softmax(logits)
    theirs = classification.multiclass_calibration_error(
        torch.tensor(p), torch.tensor(labels), 4, n_bins=bins
    )
    assert lab.calibration_error(p, labels, bins) == pytest.approx(theirs.item(), abs=1e-6)


def test_calibration_error_of_simple_cases():
    sure = np.array([[1.0, 0.0]] * 4)  # confidence 1 belongs into the last bin
    assert lab.calibration_error(sure, np.array([0, 0, 0, 0])) == 0
    assert lab.calibration_error(sure, np.array([0, 1, 0, 1])) == 0.5
    mean, share, count = lab.reliability(sure, np.array([0, 1, 0, 1]))
    assert count.tolist() == [0] * 9 + [4] and share[9] == 0.5 and np.isnan(mean[:9]).all()
    for bad in (np.full((2, 3), np.nan), np.ones((2, 3))):
        with pytest.raises(ValueError, match="must sum to 1: softmax first"):
            lab.calibration_error(bad, np.array([0, 1]))


@pytest.mark.slow
def test_temperature_of_scaled_logits_is_the_scale():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20000, 3))
    p = lab.softmax(logits)
    labels = (rng.random((20000, 1)) > p.cumsum(axis=1)).sum(axis=1)  # drawn from p: calibrated
    for scale in (0.5, 1.0, 4.0):
        assert lab.fit_temperature(scale * logits, labels) == pytest.approx(scale, rel=0.06)
    with pytest.raises(ValueError, match="must be finite"):
        lab.fit_temperature(np.array([[np.inf, 0.0]]), np.array([0]))


def test_standard_errors():
    rng = np.random.default_rng(0)
    drawn = (rng.random((20000, 50)) < 0.2).mean(axis=1)
    assert drawn.std() == pytest.approx(lab.standard_error(0.2, 50), rel=0.03)
    a, b = rng.random(100) < 0.3, rng.random(100) < 0.2
    mean, error = lab.paired_difference(a, b)
    d = a.astype(int) - b.astype(int)
    assert mean == pytest.approx(d.mean()) and error == pytest.approx(d.std(ddof=1) / 10)
    assert lab.paired_difference(a, a) == (0, 0)

"""What the lab eeg_classification exports, against the libraries' versions and in the ways that the lab uses it."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats

from dlp_utils.models import eeg_classification as lab


@pytest.fixture
def trials():
    """Two classes of six channels, mixed: source 0 is louder in class 0, source 1 in class 1."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    sources = rng.normal(size=(60, 6, 200))
    sources[:, 0] *= np.where(y == 0, 3, 1)[:, None]
    sources[:, 1] *= np.where(y == 1, 3, 1)[:, None]
    return rng.normal(size=(6, 6)) @ sources, y


def test_csp_spans_what_mne_finds(trials):
    decoding = pytest.importorskip("mne.decoding", reason="MNE comes with MOABB; `make test` installs both")
    x, y = trials
    # Whole covariances here: the lab divides each trial's by its trace, MNE only each class's.
    scaled = x / np.sqrt(np.trace(x @ x.transpose(0, 2, 1), axis1=1, axis2=2))[:, None, None]
    theirs = decoding.CSP(n_components=2, cov_est="epoch", norm_trace=False).fit(scaled, y).filters_
    ours = lab.csp_filters(x, y, classes=2, pairs=1)[:, :2]  # class 0: least and most
    cosine = np.abs(ours.T @ theirs[:2].T)
    cosine /= np.linalg.norm(ours, axis=0)[:, None] * np.linalg.norm(theirs[:2], axis=1)
    assert np.allclose(np.sort(cosine.max(axis=1)), 1, atol=1e-6)
    assert sorted(cosine.argmax(axis=1)) == [0, 1]


def test_log_variance_tells_the_classes_apart(trials):
    x, y = trials
    features = lab.log_variance(x, lab.csp_filters(x, y, classes=2, pairs=1))
    assert features.shape == (60, 4)
    assert features[y == 0, 0].max() < features[y == 1, 0].min()  # least power in class 0
    assert features[y == 0, 1].min() > features[y == 1, 1].max()  # most power in class 0


@pytest.mark.parametrize(("correct", "count"), [(0, 10), (7, 10), (10, 10), (202, 288)])
def test_wilson_is_scipys(correct, count):
    theirs = stats.binomtest(correct, count).proportion_ci(0.95, method="wilson")
    assert lab.wilson_interval(correct, count) == pytest.approx(tuple(theirs), abs=1e-5)


def test_a_pattern_is_the_regression_of_the_electrodes_on_the_component(trials):
    x, _ = trials
    w, h = np.array([1.0, -0.5, 0.3, 0, 0, 0.2]), np.array([0.2, 1.0, -0.4])
    filtered = np.stack([[np.correlate(row, h, mode="valid") for row in trial] for trial in x])
    samples = np.moveaxis(filtered, 1, 0).reshape(6, -1)
    slopes = [stats.linregress(w @ samples, row).slope for row in samples]
    assert np.allclose(lab.pattern(x, w, h), slopes, rtol=1e-8)


def test_components_rebuild_a_kernel_of_rank_one():
    model = lab.build(lab.CONFIGS["smoke"])
    rng = np.random.default_rng(1)
    w, h = rng.normal(size=22), rng.normal(size=12)
    with torch.no_grad():
        model.spatial.weight[:, :, 0] = torch.tensor(np.outer(rng.normal(size=22), w))
        model.temporal.weight[:] = torch.tensor(rng.normal(size=(20, 22, 1)) * h)
    spatial, temporal, share = lab.components(model)
    assert np.allclose(share, 1, atol=1e-5)
    for found, true in ((spatial[3], w), (temporal[3], h)):
        assert abs(found @ true) == pytest.approx(np.linalg.norm(true), rel=1e-4)


def test_channels_are_scaled_and_flat_ones_named():
    x = np.random.default_rng(0).normal(size=(6, 3, 50)) * np.array([1e-6, 3.0, 40.0])[:, None]
    scaled = lab.standardize(x)
    assert scaled.dtype == np.float32
    assert scaled.std(axis=(0, 2)) == pytest.approx(np.ones(3), rel=1e-5)
    assert scaled[2, 1] * x[0, 1, 0] == pytest.approx(
        x[2, 1] * scaled[0, 1, 0], rel=1e-4
    )  # one factor a channel
    x[:, 1] = 0.1  # the deviation of which is not 0 in floating point
    with pytest.raises(ValueError, match=r"channels \[1\] are flat all session: drop them"):
        lab.standardize(x)


def test_frozen_layers_do_not_move_even_where_a_validation_looks_on():
    rng = np.random.default_rng(2)
    x, y = rng.normal(3, 2, size=(16, 22, 438)).astype(np.float32), np.arange(16) % 4
    torch.manual_seed(0)
    model = lab.freeze(lab.build(lab.CONFIGS["smoke"]), ("temporal", "bn2"))
    lab.predict(model, x)
    assert not model.bn2.training and model.bn1.training and model.dropout.training
    before = copy.deepcopy(model.state_dict())
    seen = []
    lab.train(model, x, y, 2, validation=(x, y), watch=lambda m: seen.append(m.bn2.training), size=8)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("temporal", "bn2")) for name in moved), moved
    assert {"spatial.weight", "fc.weight", "bn1.running_mean"} <= moved
    assert seen and not any(seen) and not model.bn2.training and model.bn1.training


def test_validation_chooses_the_first_of_the_best_epochs(monkeypatch):
    x, y = np.zeros((8, 22, 438), np.float32), np.arange(8) % 4
    weights, right = [], iter([2, 6, 6, 1])

    def pretend(model, some):
        weights.append(model.fc.bias.detach().clone())
        return np.where(np.arange(8) < next(right), y, y + 1)

    monkeypatch.setattr(lab, "predict", pretend)
    model = lab.build(lab.CONFIGS["smoke"])
    history = lab.train(model, x, y, 4, validation=(x, y), size=8)
    assert [row["validation"] for row in history.metrics] == [0.25, 0.75, 0.75, 0.125]
    assert torch.equal(model.fc.bias, weights[1]) and not torch.equal(weights[1], weights[2])

"""The lab's optimizers, schedules, norms, activations and runs, beside PyTorch's and in awkward places."""

import importlib.util
import math
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import dlp_utils as dlp
from dlp_utils.data import digits
from dlp_utils.models import training as lab

ROOT = Path(__file__).resolve().parents[1]
TWINS = [
    (partial(lab.SGD, lr=0.01), partial(torch.optim.SGD, lr=0.01)),
    (
        partial(lab.SGD, lr=0.01, momentum=0.9, decay=0.1),
        partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
    (
        partial(lab.SGD, lr=0.01, momentum=0.8, nesterov=True),
        partial(torch.optim.SGD, lr=0.01, momentum=0.8, nesterov=True),
    ),
    (partial(lab.RMSProp, lr=1e-3), partial(torch.optim.RMSprop, lr=1e-3)),
    (
        partial(lab.RMSProp, lr=1e-3, beta=0.9, eps=1e-3),
        partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-3),
    ),
    (
        partial(lab.Adam, lr=0.01, betas=(0.8, 0.99), decay=0.3),
        partial(torch.optim.Adam, lr=0.01, betas=(0.8, 0.99), weight_decay=0.3),
    ),
    (partial(lab.AdamW, lr=0.01, decay=0.3), partial(torch.optim.AdamW, lr=0.01, weight_decay=0.3)),
]


def trained(make, steps=60):
    """Weights of a small network after some steps on noise; one parameter never gets a gradient."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    idle = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = make([*model.parameters(), idle])
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(8, 5, dtype=torch.float64, generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x), torch.arange(8) % 3).backward()
        optimizer.step()
    assert torch.equal(idle.detach(), torch.ones(2, dtype=torch.float64))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(("ours", "theirs"), TWINS)
def test_optimizers_are_those_of_torch(ours, theirs):
    assert (trained(ours) - trained(theirs)).abs().max() <= 1e-12


def test_a_planted_error_in_adam_is_seen():
    class Uncorrected(lab.Adam):
        def update(self, p, g, memory):
            self.steps += 10**6  # as if no mean were young
            super().update(p, g, memory)
            self.steps -= 10**6

    assert (
        trained(partial(Uncorrected, lr=0.01)) - trained(partial(torch.optim.Adam, lr=0.01))
    ).abs().max() > 1e-3


def test_one_rate_for_each_row_is_one_race_for_each():
    rates = [1e-3, 0.01, 0.019]
    together = lab.race(lab.quadratic, lab.Adam, (2.0, 1.0), rates, 50)
    for row, rate in enumerate(rates):
        alone = lab.race(lab.quadratic, lab.Adam, (2.0, 1.0), [rate], 50)
        assert torch.allclose(together[:, row], alone[:, 0], rtol=1e-12)


def test_steps_to_stay_does_not_reward_a_lucky_crossing():
    nan, inf = math.nan, math.inf
    values = torch.tensor(
        [
            [5.0, 0.1, 5.0, 5.0, nan],
            [0.1, 5.0, 5.0, 0.1, 0.1],
            [0.1, 0.1, 5.0, nan, 0.1],
            [0.1, 0.1, 5.0, nan, 0.1],
        ]
    )
    assert lab.steps_to_stay(values, 1.0).tolist() == [1, 2, inf, inf, 1]
    assert lab.steps_to_stay(values[1:, :1], 1.0).tolist() == [0]


def test_schedules_are_those_of_torch():
    def rates(kind, steps, **settings):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule, found = kind(optimizer, **settings), []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    S = torch.optim.lr_scheduler
    assert np.allclose(rates(S.StepLR, 25, step_size=10), [lab.step_decay(k, 10) for k in range(25)])
    assert np.allclose(rates(S.ExponentialLR, 25, gamma=0.9), [lab.exponential(k, 0.9) for k in range(25)])
    assert np.allclose(rates(S.CosineAnnealingLR, 26, T_max=25), [lab.cosine(k, 25) for k in range(26)])
    linear = rates(S.LinearLR, 8, start_factor=0.2, total_iters=4)
    assert np.allclose(linear, [lab.warmup(k, 5) for k in range(8)])
    assert lab.cosine(40, 25) == 0


@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (1, 4, 1, 2), (3, 4, 2, 2)])
def test_norms_are_those_of_torch(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 7 + 3
    pairs = [
        (lab.normalize(x, lab.AXES["batch"]), F.batch_norm(x, None, None, training=True)),
        (lab.normalize(x, lab.AXES["layer"]), F.layer_norm(x, x.shape[1:])),
        (lab.normalize(x, lab.AXES["instance"]), F.instance_norm(x)),
        (lab.group_normalize(x, 2), F.group_norm(x, 2)),
    ]
    for ours, theirs in pairs:
        assert torch.allclose(ours, theirs, atol=1e-11)


def test_constant_features_are_normalized_to_zero():
    assert torch.equal(lab.normalize(torch.full((4, 3), 5.0), (0,)), torch.zeros(4, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activations_are_finite_far_out_and_keep_their_type(dtype):
    z = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)
    for name, (value, slope) in lab.ACTIVATIONS.items():
        assert value(z).isfinite().all() and slope(z).isfinite().all(), name
        assert value(z).dtype == slope(z).dtype == dtype, name


def test_batches_hold_each_point_once_in_a_new_order():
    x, y = torch.arange(10.0)[:, None], torch.arange(10)
    batches = lab.Batches(x, y, 4, seed=1)
    first, second = ([part.tolist() for _, part in batches] for _ in range(2))
    assert [len(part) for part in first] == [4, 4, 2] and len(batches) == 3
    assert sorted(n for part in first for n in part) == list(range(10)) and first != second
    assert [part.tolist() for _, part in lab.Batches(x, y, 4, seed=1)] == first
    plain = lab.Batches(x, y, 4, shuffle=False)
    assert [part.tolist() for _, part in plain] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_shifted_pictures_are_shifted_pictures():
    (x, y), *_ = lab.digit_parts()
    moved = torch.cat([part for part, _ in lab.Shifted(x[:40], y[:40], 40, shuffle=False)]).reshape(-1, 8, 8)
    padded = F.pad(x[:40].reshape(-1, 8, 8), (1, 1, 1, 1))
    places = [(i, j) for i in range(3) for j in range(3)]
    seen = set()
    for picture, wide in zip(moved, padded, strict=True):
        fits = [(i, j) for i, j in places if torch.equal(picture, wide[i : i + 8, j : j + 8])]
        assert fits
        seen |= set(fits[:1])
    assert len(seen) >= 8


@pytest.mark.parametrize(("dropout", "same"), [(0.0, True), (0.5, False)])
def test_training_in_evaluation_mode_shows_with_dropout_only(dropout, same):
    """What the trainer of the bug zoo does: without dropout and norms its forgotten mode does no harm."""
    fit, _, _ = lab.digit_parts()

    def losses(stay):
        torch.manual_seed(0)
        model = lab.MLP((64, 32, 10), dropout=dropout)
        if stay:
            model.eval()
            model.train = lambda mode=True: model  # and there it stays
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return lab.train(model, optimizer, lab.Batches(*fit, 64), 2)

    assert (losses(stay=True) == losses(stay=False)) is same


def test_noisy_labels_are_noisy_to_the_share():
    y = torch.arange(20_000) % 10
    changed = (lab.noisy(y, 0.2, 0) != y).double().mean().item()
    assert changed == pytest.approx(0.2 * 0.9, abs=0.015)
    assert torch.equal(lab.noisy(y, 0.0, 0), y)


def test_digit_parts_do_not_overlap():
    parts = lab.digit_parts(seed=3)
    assert [len(y) for _, y in parts] == [903, 300, 594]
    assert len(np.unique(torch.cat([x for x, _ in parts]).numpy(), axis=0)) == 1797
    assert all(x.dtype == torch.float32 and y.dtype == torch.int64 for x, y in parts)


def test_a_stored_run_of_the_chart_is_what_the_lab_computes():
    folder = ROOT / "book" / "figures"
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("training_runs", folder / "_training.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (fresh,), kept = module.run("D").values(), module.stored()
    assert sorted(kept) == list("ABCDEFGHIJKL")
    assert np.abs(np.array(fresh[0]) - kept["D"][0]).max() < 0.1
    assert abs(fresh[2] - kept["D"][2]) < 0.02


def test_the_table_of_remedies_is_the_study():
    rows = dlp.study("training_regularization")
    page = (ROOT / "book" / "training.md").read_text(encoding="utf-8")
    table = re.search(r":name: tab-training-remedies\n(.*?)```", page, re.S)[1]
    lines = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.strip().splitlines()[2:]]
    assert [line[0] for line in lines] == list(lab.REMEDIES)
    for remedy, *cells in lines:
        wanted = []
        for noise in (0.0, 0.2):
            part = rows[(rows.remedy == remedy) & (rows.noise == noise)]
            assert len(part) == 10
            wanted.append(f"{part.accuracy.mean():.3f} ± {part.accuracy.sem():.3f}")
            wanted += [f"{part.ece.mean():.3f}", f"{part.temperature.mean():.2f}"]
        assert cells == wanted
    assert rows.groupby(["noise", "remedy"]).ece_scaled.mean().max() < 0.04  # as the caption says


class FakeMNIST:
    def __init__(self, root, train, download):
        assert download
        n = 6 if train else 4
        self.data = torch.full((n, 28, 28), 255, dtype=torch.uint8)
        self.targets = torch.arange(n)


def test_mnist_comes_at_the_gpu_profile_alone(monkeypatch, tmp_path, capsys):
    import torchvision.datasets

    monkeypatch.setattr(torchvision.datasets, "MNIST", FakeMNIST)
    monkeypatch.setenv("DLP_PROFILE", "cpu")
    assert digits.mnist(root=tmp_path) is None
    monkeypatch.setenv("DLP_PROFILE", "gpu")
    assert digits.mnist(download=False, root=tmp_path) is None
    found = digits.mnist(root=tmp_path)
    assert [part.shape for part in found] == [(6, 784), (6,), (4, 784), (4,)]
    assert found[0].dtype == np.float32 and found[0].max() == 1 and found[1].dtype == np.int64
    parts = lab.digit_parts(source=found)
    assert [tuple(x.shape) for x, _ in parts] == [(5, 784), (1, 784), (4, 784)]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "error", [OSError("no route to host"), RuntimeError("Error downloading:\n  one\n"), EOFError("cut")]
)
def test_without_mnist_one_line_says_what_serves(monkeypatch, tmp_path, capsys, error):
    import torchvision.datasets

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torchvision.datasets, "MNIST", fail)
    assert digits.mnist(download=True, root=tmp_path) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert (
        line.startswith("The 8 × 8 digits take the place of MNIST") and " ".join(str(error).split()) in line
    )

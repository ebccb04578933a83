"""The training loop: it does what a hand-written loop does, and says clearly what it cannot do."""

import copy
import math
import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import dlp_utils as dlp
from dlp_utils import _arguments, _history, training
from dlp_utils.training import NonFiniteLoss, save_weights


@pytest.fixture(autouse=True)
def _stay_on_the_cpu(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")


def data(n=40, features=5, dtype=torch.float32):
    draw = dlp.generator(1)
    x = torch.randn(n, features, generator=draw, dtype=dtype)
    y = x @ torch.randn(features, 1, generator=draw, dtype=dtype) + 0.1
    return TensorDataset(x, y)


def batches_of(dataset, size):
    return list(DataLoader(dataset, size))


def linear(dtype=torch.float32):
    torch.manual_seed(5)
    return nn.Linear(5, 1, dtype=dtype)


def mse(model, batch):
    x, y = batch
    return F.mse_loss(model(x), y)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def by_hand(model, batches, optimizer, epochs=1, clip=None, groups=None):
    """The loop that `fit` replaces. `groups`: how many batches each step of an epoch takes."""
    for _ in range(epochs):
        left = iter(batches)
        for size in groups or [1] * len(batches):
            optimizer.zero_grad()
            for _ in range(size):
                (mse(model, next(left)) / size).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
    return model


# The loop


@pytest.mark.parametrize("optimizer", [sgd, torch.optim.AdamW, torch.optim.Adagrad])
def test_same_weights_as_a_loop_written_by_hand(optimizer):
    batches, ours, theirs = batches_of(data(), 8), linear(), linear()
    history = dlp.fit(ours, mse, batches, epochs=3, optimizer=optimizer)
    by_hand(theirs, batches, optimizer(theirs.parameters()), epochs=3)
    assert same(ours, theirs) and history.steps == 15


def test_default_is_adamw_with_the_given_rate_and_decay():
    batches, ours, theirs = batches_of(data(), 8), linear(), linear()
    dlp.fit(ours, mse, batches, epochs=2, lr=0.02, weight_decay=0.3)
    by_hand(theirs, batches, torch.optim.AdamW(theirs.parameters(), lr=0.02, weight_decay=0.3), epochs=2)
    assert same(ours, theirs)


def test_losses_are_those_before_each_step_and_training_lowers_them():
    batches, model = batches_of(data(), 40), linear()
    before = mse(model, batches[0]).item()
    history = dlp.fit(model, mse, batches, steps=200, lr=0.05)
    assert history.losses[0] == before
    assert history.losses[-1] < 0.01 * before
    assert history.losses[-1] > mse(model, batches[0]).item() > 0


def test_a_shuffling_loader_gives_the_order_of_its_generator():
    seen = []

    def step(model, batch):
        seen.append(batch[1])
        return mse(model, batch)

    dlp.fit(linear(), step, DataLoader(data(), 8, shuffle=True, generator=dlp.generator(3)), epochs=2)
    loader = DataLoader(data(), 8, shuffle=True, generator=dlp.generator(3))
    expected = [y for _ in range(2) for _, y in loader]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_order_depends_on_the_seed_and_not_on_what_the_model_draws():
    def order(seed, draws=0, before=0):
        seen, loader, model = [], DataLoader(data(), 8, shuffle=True), linear()
        torch.manual_seed(before)

        def step(model, batch):
            torch.rand(draws)
            seen.append(batch[1])
            return mse(model, batch)

        dlp.fit(model, step, loader, epochs=2, seed=seed)
        assert loader.sampler.generator is None  # the loader is left as it was
        return torch.cat(seen)

    assert torch.equal(order(0), order(0, draws=3))
    assert not torch.equal(order(0), order(1))
    assert not torch.equal(order(0)[:40], order(0)[40:])  # a new order each epoch
    assert torch.equal(order(0, before=8), order(0, before=9))
    assert torch.equal(order(None, before=8), order(None, before=8))
    assert not torch.equal(order(None, before=8), order(None, before=9))


def test_steps_and_epochs_whichever_comes_first():
    batches = batches_of(data(), 8)
    assert dlp.fit(linear(), mse, batches, epochs=4, steps=7).steps == 7
    assert dlp.fit(linear(), mse, batches, epochs=1, steps=7).steps == 5
    history = dlp.fit(linear(), mse, batches, steps=12)
    assert history.steps == 12 and list(history.to_frame()["epoch"]) == [1] * 5 + [2] * 5 + [3] * 2


def test_endless_streams_and_one_shot_iterators():
    def stream():
        while True:
            yield batches_of(data(), 8)[0]

    assert dlp.fit(linear(), mse, stream(), steps=9).steps == 9
    assert dlp.fit(linear(), mse, iter(batches_of(data(), 8)), epochs=1).steps == 5
    with pytest.raises(ValueError, match="one-shot iterator, which cannot last 2 epochs"):
        dlp.fit(linear(), mse, iter(batches_of(data(), 8)), epochs=2)
    with pytest.raises(ValueError, match="the loader is used up after epoch 1; pass a list"):
        dlp.fit(linear(), mse, iter(batches_of(data(), 8)), steps=9)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(x, y) for x, y in data()])


def test_loader_over_an_iterable_data_set():
    loader = DataLoader(Stream(), 8)
    assert dlp.fit(linear(), mse, loader, epochs=2).steps == 10
    with pytest.raises(ValueError, match="'cosine' must know the number of steps"):
        dlp.fit(linear(), mse, loader, epochs=2, schedule="cosine")


def test_batches_may_be_tensors_and_nested_dicts():
    x, y = data().tensors
    history = dlp.fit(linear(), lambda m, b: m(b).pow(2).mean(), [x, x], epochs=1)
    assert history.steps == 2
    nested = [{"in": {"x": x, "name": "first"}, "out": [y]}]
    history = dlp.fit(linear(), lambda m, b: F.mse_loss(m(b["in"]["x"]), b["out"][0]), nested, epochs=1)
    assert history.losses[0] == mse(linear(), (x, y)).item()


def test_channels_last_reaches_weights_and_images():
    model, seen = nn.Conv2d(3, 4, 3), []

    def step(model, batch):
        images, labels = batch
        seen.append((images.is_contiguous(memory_format=torch.channels_last), labels.ndim))
        return model(images).pow(2).mean()

    dlp.fit(model, step, [(torch.randn(2, 3, 8, 8), torch.zeros(2, 5))], epochs=1, channels_last=True)
    assert seen == [(True, 2)] and model.weight.is_contiguous(memory_format=torch.channels_last)


# Accumulation, clipping, schedules


def test_accumulated_batches_equal_the_big_batch():
    small, big = linear(torch.float64), linear(torch.float64)
    dataset = data(dtype=torch.float64)
    a = dlp.fit(small, mse, batches_of(dataset, 5), epochs=3, accumulate=4, optimizer=sgd)
    b = dlp.fit(big, mse, batches_of(dataset, 20), epochs=3, optimizer=sgd)
    assert a.steps == b.steps == 6
    torch.testing.assert_close(small.weight, big.weight, rtol=1e-12, atol=0)
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-12)


def test_batches_left_at_the_end_of_an_epoch_make_a_step_with_their_own_mean():
    ours, theirs = linear(torch.float64), linear(torch.float64)
    batches = batches_of(data(dtype=torch.float64), 8)  # 5 batches: steps of 2, 2 and 1
    history = dlp.fit(ours, mse, batches, epochs=2, accumulate=2, optimizer=sgd)
    by_hand(theirs, batches, sgd(theirs.parameters()), epochs=2, groups=[2, 2, 1])
    assert history.steps == 6
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-12, atol=0)


def test_clipping_acts_on_the_mean_gradient_and_records_its_norm():
    ours, theirs, batches = linear(), linear(), batches_of(data(), 10)
    with_norm = dlp.fit(ours, mse, batches, epochs=2, accumulate=2, clip=0.3, optimizer=sgd)
    by_hand(theirs, batches, sgd(theirs.parameters()), epochs=2, clip=0.3, groups=[2, 2])
    assert same(ours, theirs)
    norms = with_norm.extras["grad_norm"]
    first = linear()
    torch.stack([mse(first, b) for b in batches[:2]]).mean().backward()
    expected = math.hypot(first.weight.grad.norm(), first.bias.grad.norm())
    assert norms[0] == pytest.approx(expected, rel=1e-6) and norms[0] > 0.3


class Slope(nn.Module):
    """One parameter with gradient 1: each SGD step moves it by the learning rate."""

    def __init__(self, start=0.0):
        super().__init__()
        self.position = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def down(model, batch):
    return model.position * 1.0


def walk(model, n, lr=1.0, **kwargs):
    positions = [model.position.item()]
    kwargs.setdefault("optimizer", torch.optim.SGD(model.parameters(), lr=lr))
    history = dlp.fit(
        model,
        down,
        [0] * n,
        epochs=1,
        callbacks=[lambda *a: positions.append(model.position.item())],
        **kwargs,
    )
    return history, -np.diff(positions)


def test_cosine_with_warmup_reaches_the_weights():
    history, moved = walk(Slope(), 12, lr=0.1, schedule="cosine", warmup=4)
    t = np.arange(12)
    expected = 0.1 * np.where(t < 4, (t + 1) / 4, 0.5 * (1 + np.cos(np.pi * (t - 4) / 8)))
    np.testing.assert_allclose(history.lr, expected, rtol=1e-12)
    np.testing.assert_allclose(moved, expected, rtol=1e-10)


def test_schedules_constant_and_own():
    np.testing.assert_allclose(walk(Slope(), 3, schedule="constant")[1], [1, 1, 1])
    np.testing.assert_allclose(walk(Slope(), 4, schedule="constant", warmup=2)[1], [0.5, 1, 1, 1])
    np.testing.assert_allclose(walk(Slope(), 4, schedule=lambda step: 0.5**step)[1], [1, 0.5, 0.25, 0.125])


def test_each_parameter_group_keeps_its_own_rate_and_gets_it_back():
    model = nn.ModuleList([Slope(), Slope()])
    groups = [{"params": model[0].parameters(), "lr": 1.0}, {"params": model[1].parameters(), "lr": 0.01}]
    optimizer = torch.optim.SGD(groups)
    dlp.fit(
        model,
        lambda m, b: m[0].position + m[1].position,
        [0] * 4,
        epochs=1,
        optimizer=optimizer,
        schedule=lambda step: 1 / (1 + step),
    )
    assert model[0].position.item() == pytest.approx(-(1 + 1 / 2 + 1 / 3 + 1 / 4))
    assert model[1].position.item() == pytest.approx(-0.01 * (1 + 1 / 2 + 1 / 3 + 1 / 4))
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.01]


# EMA


def test_ema_is_the_closed_form():
    model, decay = Slope(3.0), 0.8
    ema = walk(model, 6, ema=decay)[0].ema
    thetas = 3.0 - np.arange(1, 7)  # the weights after each of the 6 steps
    weights = (1 - decay) * decay ** np.arange(5, -1, -1) / (1 - decay**6)
    assert weights.sum() == pytest.approx(1)
    assert ema.weights["position"].item() == pytest.approx((weights * thetas).sum(), rel=1e-12)
    assert model.position.item() == -3.0


def test_first_update_forgets_the_initial_weights():
    model = Slope(3.0)
    assert walk(model, 1, ema=0.999)[0].ema.weights["position"].item() == model.position.item() == 2.0


def test_ema_is_lent_and_taken_back_even_after_an_error():
    model = Slope(3.0)
    ema = walk(model, 6, ema=0.5)[0].ema
    with ema.apply(model):
        assert model.position.item() == ema.weights["position"].item() != -3.0
    assert model.position.item() == -3.0
    with pytest.raises(ZeroDivisionError), ema.apply(model):
        _ = 1 / 0
    assert model.position.item() == -3.0
    other = Slope(0.0)
    ema.copy_to(other)
    assert other.position.item() == ema.weights["position"].item()


def test_ema_refuses_another_model_and_a_decay_that_is_none():
    own = nn.Linear(2, 3)
    before = copy.deepcopy(own)
    with (
        pytest.raises(ValueError, match=r"belongs to another model: it has bias, weight besides") as caught,
        dlp.EMA(own, 0.9).apply(nn.Flatten()),
    ):
        pass
    assert "\n" not in str(caught.value)
    with (
        pytest.raises(ValueError, match=r"weight has shape \(3, 2\) there and \(3, 4\) in the model"),
        dlp.EMA(own, 0.9).apply(nn.Linear(4, 3)),
    ):
        pass
    assert same(own, before)
    for decay in (0, 1, -0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            dlp.EMA(own, decay)


# Evaluation


def noisy_net():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def test_evaluation_runs_in_its_mode_and_leaves_every_mode_as_it_was():
    model, seen = noisy_net(), []
    model[1].eval()  # frozen on purpose

    def look(model):
        seen.append(([m.training for m in model.modules()], torch.is_grad_enabled()))
        return {"x": 1.0}

    modes = []
    dlp.fit(
        model,
        mse,
        batches_of(data(), 8),
        epochs=2,
        evaluate=look,
        callbacks=[lambda *a: modes.append([m.training for m in model.modules()])],
    )
    assert seen == [([False] * 5, False)] * 2
    expected = [True, True, False, True, True]
    assert modes == [expected] * 10 and [m.training for m in model.modules()] == expected
    with pytest.raises(ZeroDivisionError):
        dlp.fit(model, mse, batches_of(data(), 8), epochs=1, evaluate=lambda m: 1 / 0)
    assert [m.training for m in model.modules()] == expected


def test_a_model_in_evaluation_mode_is_trained_in_training_mode_and_given_back():
    model, modes = noisy_net().eval(), []
    statistics = model[1].running_mean.clone()
    dlp.fit(
        model, mse, batches_of(data(), 8), epochs=1, callbacks=[lambda *a: modes.append(model[2].training)]
    )
    assert all(modes) and not torch.equal(statistics, model[1].running_mean)
    assert not any(m.training for m in model.modules())


def test_evaluation_does_not_disturb_the_training():
    def train(evaluate):
        model = noisy_net()
        dlp.fit(model, mse, DataLoader(data(), 8, shuffle=True), epochs=3, evaluate=evaluate)
        return model

    def draws(model):
        random.random(), np.random.rand(), torch.rand(3)
        dlp.evaluate(model, mse, DataLoader(data(), 8, shuffle=True))
        return {"draw": torch.rand(())}

    assert same(train(None), train(draws))


def test_evaluation_sees_the_ema_weights():
    seen = []
    model = Slope(3.0)
    history, _ = walk(
        model, 6, ema=0.8, evaluate=lambda m: seen.append(m.position.item()) or {"at": m.position.item()}
    )
    assert seen == [history.ema.weights["position"].item()]
    assert history.metrics == [{"step": 6, "epoch": 1, "at": seen[0]}]
    assert model.position.item() == -3.0


def test_when_evaluations_happen():
    def steps(**kwargs):
        return [
            m["step"] for m in dlp.fit(linear(), mse, batches, evaluate=lambda m: {"a": 0}, **kwargs).metrics
        ]

    batches = batches_of(data(), 8)
    assert steps(epochs=3) == [5, 10, 15]
    assert steps(epochs=3, evaluate_every=2) == [10, 15]
    assert steps(steps=12) == [5, 10, 12]
    assert steps(steps=10) == [5, 10]
    assert steps(steps=10, epochs=2) == [5, 10]


def test_evaluate_weighs_batches_by_their_size():
    x, y = data(10).tensors
    model = linear().train()

    def step(model, batch):
        return {"loss": mse(model, batch), "big": (batch[0] > 0).float().mean(), "one": 1.0}

    result = dlp.evaluate(model, step, DataLoader(TensorDataset(x, y), 4))  # 4, 4 and 2
    assert result["loss"] == pytest.approx(mse(model, (x, y)).item(), rel=1e-6)
    assert result["big"] == pytest.approx((x > 0).float().mean().item(), rel=1e-6)
    assert result["one"] == 1.0 and model.training
    with pytest.raises(ValueError, match="the loader gave no batch"):
        dlp.evaluate(model, step, [])


def test_evaluate_sends_batches_to_the_model_or_to_the_device_that_is_named():
    seen = []

    def step(model, batch):
        seen.extend([batch[0].device.type, batch[1].device.type])
        return torch.tensor(1.0)

    dlp.evaluate(linear().to("meta"), step, batches_of(data(8), 8))
    dlp.evaluate(linear(), step, batches_of(data(8), 8), device="meta")
    dlp.evaluate(linear(), step, batches_of(data(8), 8))
    assert seen == ["meta"] * 4 + ["cpu"] * 2


# A loss that is not finite


def bad_from(step_number, value=math.nan):
    calls = []

    def step(model, batch):
        calls.append(1)
        loss = mse(model, batch)
        return loss * value if len(calls) >= step_number else loss

    return step


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_touches_the_weights(value):
    batches, model, weights = batches_of(data(), 8), linear(), []
    with pytest.raises(NonFiniteLoss) as caught:
        dlp.fit(
            model,
            bad_from(4, value),
            batches,
            epochs=2,
            lr=0.25,
            callbacks=[lambda *a: weights.append(copy.deepcopy(model))],
        )
    error, text = caught.value, str(caught.value)
    assert error.step == 4 and not math.isfinite(error.loss) and error.lr == 0.25
    assert f"the loss is {value} at step 4 with learning rate 0.25." in text
    assert "weights are those from before this step" in text and "lower learning rate" in text
    assert same(model, weights[-1]) and len(weights) == 3
    assert error.history.steps == 3 and np.isfinite(error.history.losses).all()
    assert isinstance(error, FloatingPointError)


def test_message_names_the_parameter_that_was_bad_before():
    with pytest.raises(NonFiniteLoss, match=r"at step 1 .*Parameter position was not finite before"):
        dlp.fit(Slope(math.nan), down, [0] * 5, epochs=1)
    huge = {"optimizer": torch.optim.SGD, "schedule": lambda step: 1e308 * 1e3}  # the step itself overflows
    with pytest.raises(
        NonFiniteLoss, match=r"the loss is -inf at step 2 .*Parameter position was not finite"
    ):
        dlp.fit(Slope(0.0), down, [0] * 5, epochs=1, **huge)


def without_a_slope(at):
    """A step whose loss is finite and whose gradient is not, from its call `at` on."""
    calls = []

    def step(model, batch):
        calls.append(1)
        loss = mse(model, batch)
        return loss + (model[0].weight * 0).abs().sum().sqrt() if len(calls) >= at else loss

    return step


@pytest.mark.parametrize("more", [{}, {"clip": 1.0}, {"accumulate": 2}, {"clip": 0.1, "accumulate": 2}])
def test_a_gradient_that_is_not_finite_stops_before_it_touches_weights_ema_and_file(tmp_path, more):
    path, model, kept = tmp_path / "run.pt", noisy_net(), []
    # Step 3 takes batch 3, or batches 5 and 6, of which the second one is bad.
    bad = without_a_slope(6 if "accumulate" in more else 3)

    def keep(step, model, history):
        kept.append(
            (copy.deepcopy(model.state_dict()), {k: v.clone() for k, v in history.ema.weights.items()})
        )

    batches = batches_of(data(64), 4)
    with pytest.raises(NonFiniteLoss) as caught:
        dlp.fit(
            model,
            bad,
            batches,
            epochs=1,
            ema=0.9,
            checkpoint=path,
            checkpoint_every=1,
            callbacks=[keep],
            **more,
        )
    error, text = caught.value, str(caught.value)
    assert error.step == 3 and math.isfinite(error.loss) and error.lr == 1e-3 and error.history.steps == 2
    assert "the gradient of 0.weight is not finite at step 3 with learning rate 0.001" in text
    assert "The weights are those from before this step" in text and "\n" not in text
    weights, ema = kept[-1]
    assert len(kept) == 2 and all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert all(torch.equal(ema[k], v) for k, v in error.history.ema.weights.items())
    stored = torch.load(path, weights_only=True)
    assert stored["position"][0] == 2 and all(torch.equal(weights[k], v) for k, v in stored["model"].items())
    assert all(torch.equal(ema[k], v) for k, v in stored["ema"]["weights"].items())


def test_gradients_that_are_large_sparse_or_empty_are_no_fault():
    model = nn.ModuleDict(
        {"table": nn.Embedding(4, 3, sparse=True), "none": nn.ParameterList([torch.zeros(0)])}
    )

    def step(model, batch):
        return model["table"](batch).sum() * 1e30 + model["none"][0].sum()

    sgd = {"optimizer": lambda p: torch.optim.SGD(p, lr=1e-30)}
    assert dlp.fit(model, step, [torch.tensor([1, 2])] * 3, epochs=1, **sgd).steps == 3
    with pytest.raises(NonFiniteLoss, match=r"gradient of table.weight is not finite"):
        dlp.fit(model, lambda m, b: step(m, b) * 0 + (m["table"](b) * 0).abs().sum().sqrt(), [torch.tensor([1])],
                epochs=1, **sgd)  # fmt: skip


def test_a_bad_gradient_is_found_late_and_no_checkpoint_holds_it(losses_read_late, tmp_path):
    for more in ({}, {"clip": 1.0}):
        path, model = tmp_path / f"{len(more)}.pt", noisy_net()
        with pytest.raises(
            NonFiniteLoss,
            match=r"the gradient is not finite at step 7 .*Noticed after step 9: the weights have",
        ) as caught:
            dlp.fit(
                model, without_a_slope(7), batches_of(data(80), 8), epochs=9, checkpoint=path, checkpoint_every=3,
                **more
            )  # fmt: skip
        assert caught.value.history.steps == 6
        stored = torch.load(path, weights_only=True)
        assert stored["position"][0] == 6
        assert all(value.isfinite().all() for value in stored["model"].values())


@pytest.mark.parametrize("late", [False, True])
def test_weights_that_a_step_made_infinite_never_reach_the_file(tmp_path, late, request):
    if late:
        request.getfixturevalue("losses_read_late")
    path = tmp_path / "run.pt"
    settings = {"optimizer": torch.optim.SGD, "schedule": lambda step: 1e308 * 1e3 if step == 4 else 1.0}
    with pytest.raises(NonFiniteLoss, match=r"parameter position is not finite after step 5 .*overflowed"):
        dlp.fit(Slope(0.0), down, [0] * 5, epochs=1, checkpoint=path, checkpoint_every=2, **settings)
    stored = torch.load(path, weights_only=True)
    assert stored["position"][0] == 4 and stored["model"]["position"].isfinite()
    with pytest.raises(NonFiniteLoss, match=r"parameter position is not finite after step 5"):
        dlp.fit(Slope(0.0), down, [0] * 5, epochs=1, **settings)


class Renewed(nn.Module):
    """Has a buffer that each pass replaces by a new tensor, and one that is a view of a single number."""

    def __init__(self):
        super().__init__()
        self.net = noisy_net()
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("ones", torch.ones(1).expand(5), persistent=False)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.net(x * self.ones)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_buffers_go_back_when_a_loss_is_not_finite(accumulate):
    batches, kept = batches_of(data(), 4), []
    batches[3][0][0, 0] = math.nan  # one value of the fourth batch
    model = Renewed()
    with pytest.raises(NonFiniteLoss, match="The weights are those from before this step"):
        dlp.fit(
            model,
            mse,
            batches,
            epochs=1,
            accumulate=accumulate,
            callbacks=[lambda step, m, h: kept.append(copy.deepcopy(m.state_dict()))],
        )
    assert len(kept) == 4 // accumulate - 1
    assert all(torch.equal(kept[-1][name], value) for name, value in model.state_dict().items())
    assert (
        model.net[1].running_mean.isfinite().all()
        and model.net[1].num_batches_tracked == len(kept) * accumulate
    )


def test_learning_rate_in_the_message_is_the_scheduled_one():
    with pytest.raises(NonFiniteLoss, match=r"learning rate 0\.125"):
        dlp.fit(
            linear(), bad_from(4), batches_of(data(), 8), epochs=1, lr=1.0, schedule=lambda step: 0.5**step
        )


@pytest.fixture
def losses_read_late(monkeypatch):
    """Read losses as on a GPU: every `log_every` steps."""
    place = training._Run.place

    def late(self, *args):
        place(self, *args)
        self.immediate = False

    monkeypatch.setattr(training._Run, "place", late)


def test_rates_read_late_are_those_of_their_steps(losses_read_late):
    rates = {"lr": 1.0, "schedule": lambda step: 0.5**step}
    history = dlp.fit(linear(), mse, batches_of(data(), 8), epochs=1, **rates)
    assert list(history.lr) == [1, 0.5, 0.25, 0.125, 0.0625]
    with pytest.raises(NonFiniteLoss, match=r"nan at step 4 with learning rate 0\.125") as caught:
        dlp.fit(linear(), bad_from(4), batches_of(data(), 8), epochs=2, **rates)
    assert caught.value.lr == 0.125 and list(caught.value.history.lr) == [1, 0.5, 0.25]


def test_losses_read_late_are_the_same(losses_read_late, monkeypatch):
    def step(model, batch):
        return {"loss": mse(model, batch), "size": len(batch[0]), "mean": model(batch[0]).mean()}

    kwargs = {"epochs": 3, "accumulate": 2, "clip": 1.0, "log_every": 4}
    late = dlp.fit(linear(), step, batches_of(data(), 8), **kwargs)
    monkeypatch.undo()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    soon = dlp.fit(linear(), step, batches_of(data(), 8), **kwargs)
    assert late.steps == soon.steps == 9
    np.testing.assert_allclose(late.losses, soon.losses, rtol=1e-6)
    for name in ("size", "mean", "grad_norm"):
        np.testing.assert_allclose(late.extras[name], soon.extras[name], rtol=1e-5)


def test_first_bad_step_is_found_late_and_no_checkpoint_holds_it(losses_read_late, tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(
        NonFiniteLoss, match=r"at step 7 .*Noticed after step 9: the weights have moved on"
    ) as caught:
        dlp.fit(linear(), bad_from(7), batches_of(data(), 8), epochs=9, checkpoint=path, checkpoint_every=3)
    assert caught.value.history.steps == 6
    stored = torch.load(path, weights_only=True)
    assert stored["position"][0] == 6
    assert all(value.isfinite().all() for value in stored["model"].values())


# Mixed precision


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_scaled_gradients_are_unscaled_before_clipping_and_stepping(monkeypatch):
    monkeypatch.setattr(training, "dtype_for", lambda *a: torch.float16)
    batches, ours, theirs = batches_of(data(), 8), linear(), linear()
    dlp.fit(ours, mse, batches, epochs=2, accumulate=2, clip=0.3, optimizer=sgd)
    by_hand(theirs, batches, sgd(theirs.parameters()), epochs=2, clip=0.3, groups=[2, 2, 1])
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_in_fp16_an_overflow_is_skipped_and_a_gradient_that_never_fits_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "dtype_for", lambda *a: torch.float16)
    good, path = without_a_slope(2), tmp_path / "run.pt"
    calls, model, kept = [], noisy_net(), []

    def once(model, batch):
        calls.append(1)
        return without_a_slope(1)(model, batch) if len(calls) == 2 else mse(model, batch)

    def keep(step, model, history):
        kept.append(model[0].weight.detach().clone())

    history = dlp.fit(model, once, batches_of(data(), 8), epochs=1, callbacks=[keep])
    assert history.steps == 5 and torch.equal(kept[0], kept[1]) and not torch.equal(kept[1], kept[2])
    with pytest.raises(NonFiniteLoss, match=r"the gradient .*is not finite at step 4\d "):
        dlp.fit(model, good, batches_of(data(), 8), steps=90, checkpoint=path)
    assert all(value.isfinite().all() for value in torch.load(path, weights_only=True)["model"].values())


def test_precision_follows_the_gpu_and_is_refused_elsewhere(monkeypatch):
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    for native, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native
        )
        assert _arguments.dtype_for("auto", cuda, "no") is expected
    assert _arguments.dtype_for("auto", cuda, "bf16") is torch.bfloat16  # as `accelerate launch` was told
    assert _arguments.dtype_for("fp32", cuda, "no") is None
    assert _arguments.dtype_for("auto", cpu, "fp16") is None
    with pytest.raises(ValueError, match="'bf16' needs a cuda device, this run is on cpu"):
        dlp.fit(linear(), mse, batches_of(data(), 8), epochs=1, precision="bf16")
    with pytest.raises(ValueError, match="precision is 'half'; choose 'auto'"):
        dlp.fit(linear(), mse, batches_of(data(), 8), epochs=1, precision="half")


# Checkpoints


class Augmented(Dataset):
    """Draws from all three global generators for each sample, as augmentations do."""

    def __init__(self):
        self.x, self.y = data(44).tensors

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        noise = 0.1 * torch.randn(5) + 0.1 * float(np.random.randn()) + 0.1 * random.gauss(0, 1)
        return self.x[i] + noise, self.y[i]


def long_run(path, callbacks=(), **kwargs):
    """33 steps in 3 epochs with all that has a state: dropout, EMA, schedule, momentum, own generator."""
    model, noise = noisy_net(), dlp.generator(11)

    def step(model, batch):
        x, y = batch
        return mse(model, (x + 0.1 * torch.randn(x.shape, generator=noise), y))

    settings = {"epochs": 3, "accumulate": 2, "schedule": "cosine", "warmup": 3, "ema": 0.9, "clip": 1.0}
    settings |= {
        "optimizer": sgd,
        "generators": [noise],
        "evaluate": lambda m: dlp.evaluate(m, mse, [data()[:]]),
    }
    loader = DataLoader(Augmented(), 2, shuffle=True)
    history = dlp.fit(model, step, loader, checkpoint=path, callbacks=callbacks, **(settings | kwargs))
    return model, history


def assert_same_run(a, b):
    (model_a, history_a), (model_b, history_b) = a, b
    assert same(model_a, model_b)
    for name, value in history_a.ema.weights.items():
        assert torch.equal(value, history_b.ema.weights[name])
    frame_a, frame_b = history_a.to_frame(), history_b.to_frame()
    assert frame_a.equals(frame_b[frame_a.columns])


@pytest.mark.slow
@pytest.mark.parametrize("every", [5, *(pytest.param(every, marks=pytest.mark.slow) for every in (11, None))])
def test_killed_and_resumed_ends_as_if_never_stopped(tmp_path, every):
    straight = long_run(None)
    assert straight[1].steps == 33
    code = (
        "import os, signal, sys; sys.path[:0] = sys.argv[1:3]; import test_training as t\n"
        "def kill(step, model, history):\n    if step == 19: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"t.long_run(sys.argv[3], [kill], checkpoint_every={every})"
    )
    here, path = os.path.dirname(__file__), tmp_path / "run.pt"
    command = [sys.executable, "-c", code, here, os.path.dirname(here), str(path)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert torch.load(path, weights_only=True)["position"][0] == {5: 15, 11: 11, None: 11}[every]
    assert_same_run(straight, long_run(path, checkpoint_every=every))


def test_stopped_anywhere_and_resumed_ends_as_if_never_stopped(tmp_path):
    straight = long_run(None)
    for stop in (1, 10, 11, 12, 33):
        path = tmp_path / f"{stop}.pt"
        with pytest.raises(ZeroDivisionError):
            long_run(path, [lambda step, m, h, stop=stop: step == stop and 1 / 0], checkpoint_every=1)
        assert_same_run(straight, long_run(path, checkpoint_every=1))


def test_a_finished_run_is_not_run_again(tmp_path, capsys):
    path = tmp_path / "run.pt"
    first = long_run(path)
    again = long_run(path, [lambda *a: 1 / 0])
    assert "written after step 33" in capsys.readouterr().out
    assert_same_run(first, again)
    longer = long_run(path, epochs=4)
    assert longer[1].steps == 44 and [m["step"] for m in longer[1].metrics] == [11, 22, 33, 44]


def test_resume_can_be_declined(tmp_path):
    path = tmp_path / "run.pt"
    long_run(path, steps=7)
    history = long_run(path, steps=5, resume=False)[1]
    assert history.steps == 5 and torch.load(path, weights_only=True)["position"][0] == 5


def test_learning_rate_of_the_new_call_counts(tmp_path):
    kwargs = {"steps": 2, "schedule": None, "warmup": 0}
    long_run(tmp_path / "run.pt", **kwargs)
    slower = long_run(
        tmp_path / "run.pt", **(kwargs | {"steps": 4, "optimizer": lambda p: torch.optim.SGD(p, 0.01)})
    )
    assert list(slower[1].lr) == [0.05, 0.05, 0.01, 0.01]


def test_what_the_call_asks_for_counts_and_one_sentence_says_what_differs(tmp_path, capsys):
    path, batches, groups = tmp_path / "run.pt", batches_of(data(), 8), []

    def run(epochs, **kwargs):
        def look(step, model, history):
            groups.append(optimizer.param_groups)

        model = linear()
        optimizer = torch.optim.AdamW(model.parameters(), **kwargs)
        history = dlp.fit(model, mse, batches, epochs=epochs, schedule="cosine", optimizer=optimizer,
                          checkpoint=path, callbacks=[look])  # fmt: skip
        return history, capsys.readouterr().out.strip()

    _, told = run(2, lr=0.1, weight_decay=0.01)
    assert told == ""
    assert run(2, lr=0.1, weight_decay=0.01)[1] == f"Going on from {path}, written after step 10."
    groups.clear()
    history, told = run(4, lr=0.1, weight_decay=0.3, betas=(0.5, 0.9))
    assert [(group["weight_decay"], group["betas"]) for (group,) in groups] == [(0.3, (0.5, 0.9))] * 10
    np.testing.assert_allclose(history.lr[9:11], [0.05 * (1 + math.cos(0.9 * math.pi)), 0.05])
    assert told == (
        f"Going on from {path}, written after step 10. Where this call differs from the file, the call decides: "
        "schedule was cosine over 10 steps and is cosine over 20 steps; betas was (0.9, 0.999) and is (0.5, 0.9); "
        "weight_decay was 0.01 and is 0.3; the next learning rate is 0.05 after 0.00245."
    )


def test_going_on_for_longer_at_a_constant_rate_differs_in_nothing(tmp_path, capsys):
    path, batches = tmp_path / "run.pt", batches_of(data(), 8)
    for epochs in (1, 2):
        dlp.fit(linear(), mse, batches, epochs=epochs, checkpoint=path)
    assert capsys.readouterr().out.strip() == f"Going on from {path}, written after step 5."
    dlp.fit(linear(), mse, batches, epochs=3, checkpoint=path, clip=1.0, warmup=2, lr=0.5)
    told = capsys.readouterr().out
    for part in ("clip was None and is 1.0", "warmup was 0 and is 2", "lr was 0.001 and is 0.5"):
        assert part in told
    assert (
        "the next learning rate is 0.5 after 0.001" in told and "schedule" not in told and "eps" not in told
    )


def test_progress_that_an_optimizer_keeps_among_its_options_is_taken_from_the_file(tmp_path):
    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                group["taken"] = group.get("taken", 0) + 1
            return super().step(closure)

    for epochs in (1, 2):
        model = linear()
        optimizer = Counting(model.parameters(), lr=0.01)
        optimizer.param_groups[0]["taken"] = 0
        dlp.fit(
            model,
            mse,
            batches_of(data(), 8),
            epochs=epochs,
            optimizer=optimizer,
            checkpoint=tmp_path / "a.pt",
        )
        assert optimizer.param_groups[0]["taken"] == 5 * epochs


def test_each_group_of_parameters_is_named(tmp_path, capsys):
    def run(epochs, decay):
        model = linear()
        groups = [{"params": [model.weight], "weight_decay": decay}, {"params": [model.bias]}]
        dlp.fit(model, mse, batches_of(data(), 8), epochs=epochs, optimizer=torch.optim.SGD(groups, lr=0.1),
                checkpoint=tmp_path / "a.pt")  # fmt: skip
        return capsys.readouterr().out

    run(1, 0.0)
    assert "the call decides: weight_decay of group 0 was 0.0 and is 0.5; the next" in run(2, 0.5)


def test_files_go_into_folders_that_do_not_exist_yet_and_to_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    dlp.fit(linear(), mse, batches_of(data(), 8), epochs=1, checkpoint="~/runs/first/a.pt")
    assert (tmp_path / "home" / "runs" / "first" / "a.pt").is_file()
    assert dlp.fit(linear(), mse, batches_of(data(), 8), epochs=2, checkpoint="~/runs/first/a.pt").steps == 10
    model = linear()
    assert save_weights(model, "~/new/w.safetensors") == tmp_path / "home" / "new" / "w.safetensors"
    assert same(dlp.load_weights(nn.Linear(5, 1), "~/new/w.safetensors"), model)
    assert os.listdir(tmp_path) == ["home"]


def test_a_write_that_fails_leaves_the_old_checkpoint_and_no_scrap(tmp_path, monkeypatch):
    path, save = tmp_path / "run.pt", torch.save
    plain = {"schedule": None, "warmup": 0}  # a cosine would end with the shorter run
    long_run(path, steps=5, **plain)
    old = path.read_bytes()

    def full_disk(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        long_run(path, steps=9, **plain)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["run.pt"]
    monkeypatch.setattr(torch, "save", save)
    assert same(long_run(None, steps=9, **plain)[0], long_run(path, steps=9, **plain)[0])


def test_file_is_replaced_only_when_whole(tmp_path, monkeypatch):
    """What another process would find while the file is being written."""
    path, save, seen = tmp_path / "run.pt", torch.save, []
    long_run(path, steps=2)
    monkeypatch.setattr(
        torch, "save", lambda state, file: (save(state, file), seen.append(torch.load(path)["position"]))
    )
    long_run(path, steps=4)
    assert [position[0] for position in seen] == [2]
    assert torch.load(path)["position"][0] == 4


def break_file(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no checkpoint")
    elif how == "other":
        torch.save(linear().state_dict(), path)
    elif how == "pickle":
        torch.save({"format": linear()}, path)


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "other", "pickle"])
def test_a_damaged_or_foreign_checkpoint_is_named_in_one_sentence(tmp_path, how):
    path = tmp_path / "run.pt"
    long_run(path, steps=2)
    break_file(path, how)
    with pytest.raises(ValueError, match=r"no checkpoint.*; give another path, or resume=False") as caught:
        long_run(path, steps=4)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert long_run(path, steps=4, resume=False)[1].steps == 4


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path, crater = tmp_path / "run.pt", tmp_path / "crater"
    torch.save({"format": Bomb(crater)}, path)
    with pytest.raises(ValueError, match=r"is damaged or no checkpoint"):
        long_run(path)
    assert not crater.exists()


def test_checkpoint_of_another_model_optimizer_or_setting(tmp_path):
    path, batches = tmp_path / "run.pt", batches_of(data(), 8)
    dlp.fit(linear(), mse, batches, epochs=1, checkpoint=path)

    def resumed(message, model=None, loader=batches, **kwargs):
        model = model or linear()
        before = copy.deepcopy(model)
        with pytest.raises(ValueError, match=message) as caught:
            dlp.fit(model, mse, loader, epochs=2, checkpoint=path, **kwargs)
        assert "resume=False" in str(caught.value) and "\n" not in str(caught.value)
        assert same(model, before)

    resumed(r"another model: it lacks 0.bias, 0.weight, 1.bias …; it has bias, weight besides", noisy_net())
    resumed(r"weight has shape \(1, 5\) there and \(2, 5\) in the model", nn.Linear(5, 2))
    resumed("optimizer: AdamW, now it is SGD", optimizer=sgd)
    resumed("accumulate: 1, now it is 2", accumulate=2)
    resumed("ema: None, now it is 0.9", ema=0.9)
    resumed("batches in an epoch: 5, now it is 10", loader=batches_of(data(), 4))
    frozen = linear()
    frozen.bias.requires_grad_(False)
    resumed("does not fit the optimizer", frozen)


# Interrupts


@pytest.fixture
def _python_handles_interrupts():
    """What a terminal or a notebook starts with; a shell that runs the tests in its background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_handles_interrupts")
def test_interrupt_from_outside_waits_for_the_step_and_the_run_can_go_on(tmp_path, capsys):
    straight, path = long_run(None), tmp_path / "run.pt"
    handler = signal.getsignal(signal.SIGINT)
    model = noisy_net()

    class Pressed(nn.Module):
        """Raises the signal in the midst of a forward pass."""

        count = 0

        def forward(self, x):
            Pressed.count += 1
            if Pressed.count == 27:  # in the first batch of step 14
                signal.raise_signal(signal.SIGINT)
            return x

    noise = dlp.generator(11)
    pressed = Pressed()

    def step(model, batch):
        x, y = batch
        return mse(model, (pressed(x) + 0.1 * torch.randn(x.shape, generator=noise), y))

    history = dlp.fit(
        model,
        step,
        DataLoader(Augmented(), 2, shuffle=True),
        checkpoint=path,
        epochs=3,
        accumulate=2,
        schedule="cosine",
        warmup=3,
        ema=0.9,
        clip=1.0,
        optimizer=sgd,
        generators=[noise],
        evaluate=lambda m: dlp.evaluate(m, mse, [data()[:]]),
    )
    assert history.interrupted and history.steps == 14 and "interrupted" in repr(history)
    told = capsys.readouterr().out
    assert "Interrupted after step 14; the model and this history are usable." in told
    assert f"The same call again goes on from {path}" in told
    assert signal.getsignal(signal.SIGINT) is handler
    assert_same_run(straight, long_run(path))


@pytest.mark.usefixtures("_python_handles_interrupts")
def test_second_interrupt_ends_at_once(tmp_path):
    entered = []

    def step(model, batch):
        entered.append(1)
        if len(entered) == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            entered.append("went on")
        return mse(model, batch)

    path = tmp_path / "run.pt"
    history = dlp.fit(linear(), step, batches_of(data(), 8), epochs=2, checkpoint=path)
    assert history.interrupted and history.steps == 2 and "went on" not in entered
    assert not path.exists()  # a step was cut in two: nothing that could not be repeated is kept


@pytest.mark.usefixtures("_python_handles_interrupts")
def test_interrupt_in_an_evaluation_ends_at_once_and_keeps_the_state(tmp_path):
    path = tmp_path / "run.pt"

    def evaluate(model):
        torch.rand(3)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    model, history = long_run(path, evaluate=evaluate)
    assert history.interrupted and history.steps == 11 and model.training
    assert_same_run(long_run(None), long_run(path))


def test_keyboard_interrupt_raised_by_the_step_is_survived(capsys):
    def step(model, batch):
        if dlp_steps:
            raise KeyboardInterrupt
        dlp_steps.append(1)
        return mse(model, batch)

    dlp_steps, model = [], linear()
    history = dlp.fit(model, step, batches_of(data(), 8), epochs=2)
    assert history.interrupted and history.steps == 1
    assert "checkpoint='….pt'" in capsys.readouterr().out
    assert dlp.fit(model, mse, batches_of(data(), 8), epochs=1).steps == 5


def test_fit_works_outside_the_main_thread():
    result = []
    thread = threading.Thread(
        target=lambda: result.append(dlp.fit(linear(), mse, batches_of(data(), 8), epochs=1))
    )
    thread.start()
    thread.join()
    assert result[0].steps == 5


# Bad input


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (lambda m, b: None, TypeError, "step returned a NoneType; return the loss as a tensor"),
        (lambda m, b: 0.5, TypeError, "step returned a float"),
        (lambda m, b: (mse(m, b), 1), TypeError, "step returned a tuple"),
        (
            lambda m, b: {"mse": mse(m, b)},
            TypeError,
            r"step returned a dict with \['mse'\]; .* with a tensor 'loss'",
        ),
        (lambda m, b: {"loss": 0.5}, TypeError, "with a tensor 'loss'"),
        (lambda m, b: m(b[0]), ValueError, r"'loss' of shape \(8, 1\); return a scalar, as .mean\(\) gives"),
        (lambda m, b: {"loss": mse(m, b), "all": m(b[0])}, ValueError, r"'all' of shape \(8, 1\)"),
        (lambda m, b: {"loss": mse(m, b), "name": "x"}, TypeError, "'name' as a str"),
        (lambda m, b: {"loss": mse(m, b), "lr": 0.1}, ValueError, "a name that the history keeps for itself"),
        (lambda m, b: mse(m, b).detach(), ValueError, "the loss does not depend on the parameters"),
    ],
)
def test_what_step_returns_is_checked(step, kind, message):
    with pytest.raises(kind, match=message) as caught:
        dlp.fit(linear(), step, batches_of(data(), 8), epochs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "kind", "message"),
    [
        ({}, ValueError, "give epochs=… or steps=…"),
        ({"epochs": 0}, ValueError, "epochs is 0; it must be a whole number, at least 1"),
        ({"epochs": 1.5}, ValueError, "epochs is 1.5"),
        ({"steps": -1}, ValueError, "steps is -1"),
        ({"epochs": 1, "accumulate": 0}, ValueError, "accumulate is 0"),
        ({"epochs": 1, "warmup": -1}, ValueError, "warmup is -1; it must be a whole number, at least 0"),
        ({"epochs": 1, "clip": 0}, ValueError, "clip is 0"),
        ({"epochs": 1, "clip": math.nan}, ValueError, "clip is nan"),
        ({"epochs": 1, "ema": 1.0}, ValueError, "decay of the EMA is 1.0"),
        ({"epochs": 1, "checkpoint_every": 5}, ValueError, "give checkpoint='….pt'"),
        (
            {"epochs": 1, "schedule": "linear"},
            ValueError,
            "schedule is 'linear'; choose 'constant', 'cosine'",
        ),
        (
            {"epochs": 1, "optimizer": "adam"},
            TypeError,
            "optimizer is a str; give an optimizer, or a function",
        ),
        ({"epochs": 1, "optimizer": lambda p: None}, TypeError, "optimizer is a NoneType"),
        (
            {"epochs": 1, "optimizer": sgd(nn.Linear(2, 2).parameters())},
            ValueError,
            "no parameter of this model",
        ),
        (
            {"epochs": 1, "optimizer": sgd, "lr": 0.1},
            ValueError,
            "lr and weight_decay are for the default optimizer",
        ),
        ({"epochs": 1, "device": "cuda:9"}, RuntimeError, "device 'cuda:9' was asked for, but PyTorch sees"),
        ({"epochs": 1, "seed": -1}, ValueError, "the seed is -1"),
        (
            {"epochs": 1, "evaluate": lambda m: 0.5},
            TypeError,
            "evaluate returned 0.5; it must return a dict of floats",
        ),
        (
            {"epochs": 1, "evaluate": lambda m: {"a": torch.ones(2)}},
            TypeError,
            "it must return a dict of floats",
        ),
        ({"epochs": 1, "loader": []}, ValueError, "the loader gave no batch: its data set is empty"),
        ({"epochs": 1, "loader": iter([])}, ValueError, "the loader gave no batch"),
        (
            {"epochs": 1, "loader": DataLoader(data(5), 8, drop_last=True)},
            ValueError,
            "smaller than one batch",
        ),
        (
            {"epochs": 1, "loader": data()},
            TypeError,
            r"loader is a TensorDataset; give batches: DataLoader\(",
        ),
        ({"epochs": 1, "loader": None}, TypeError, "loader is a NoneType"),
        ({"epochs": 1, "model": nn.ReLU()}, ValueError, "no parameter of the model requires a gradient"),
    ],
)
def test_bad_arguments_are_named_in_one_sentence(kwargs, kind, message):
    kwargs = {"model": linear(), "loader": batches_of(data(), 8)} | kwargs
    with pytest.raises(kind, match=message) as caught:
        dlp.fit(kwargs.pop("model"), mse, kwargs.pop("loader"), **kwargs)
    assert "\n" not in str(caught.value)


def test_after_a_bad_call_loader_and_optimizer_are_as_before():
    loader, model = DataLoader(data(), 8, shuffle=True), linear()
    optimizer = sgd(model.parameters())
    with pytest.raises(NonFiniteLoss):
        dlp.fit(model, bad_from(3), loader, epochs=1, optimizer=optimizer, schedule=lambda step: 0.1)
    with pytest.raises(TypeError):
        dlp.fit(model, mse, loader, epochs=1, optimizer="adam")
    assert loader.sampler.generator is None and optimizer.param_groups[0]["lr"] == 0.05


# History, progress, callbacks


def test_history_keeps_what_step_returned():
    calls = []

    def step(model, batch):
        calls.append(1)
        late = {"late": float(len(calls))} if len(calls) > 3 else {}
        return {"loss": mse(model, batch), "mae": (model(batch[0]) - batch[1]).abs().mean(), **late}

    model, batches = linear(), batches_of(data(), 8)
    mae = (model(batches[0][0]) - batches[0][1]).abs().mean().item()
    history = dlp.fit(model, step, batches, epochs=1, evaluate=lambda m: {"loss": 7.0})
    assert history.extras["mae"][0] == mae and history.losses.dtype == np.float64
    np.testing.assert_array_equal(history.extras["late"], [math.nan] * 3 + [4.0, 5.0])
    frame = history.to_frame()
    assert list(frame.index) == [1, 2, 3, 4, 5] and list(frame["loss"]) == list(history.losses)
    assert frame["eval_loss"].isna().tolist() == [True] * 4 + [False] and frame.loc[5, "eval_loss"] == 7.0
    assert f"loss {history.losses[-1]:.4g} after 5 steps in" in repr(history) and "steps/s" in repr(history)
    assert history.seconds > 0 and "\n" not in repr(history)


def test_history_draws_training_and_evaluation():
    from matplotlib.figure import Figure

    history = dlp.fit(
        linear(), mse, batches_of(data(), 8), epochs=2, evaluate=lambda m: {"loss": 1.0, "acc": 0.5}
    )
    ax = history.plot(Figure().subplots())
    (train, evaluation) = ax.get_lines()
    np.testing.assert_array_equal(train.get_ydata(), history.losses)
    np.testing.assert_array_equal(train.get_xdata(), np.arange(1, 11))
    assert list(evaluation.get_xdata()) == [5, 10] and list(evaluation.get_ydata()) == [1.0, 1.0]
    assert [line.get_label() for line in history.plot(Figure().subplots(), "acc").get_lines()] == [
        "acc (evaluation)"
    ]
    with pytest.raises(ValueError, match="no values 'accuracy'; it knows acc, epoch, loss, lr"):
        history.plot(Figure().subplots(), "accuracy")


def test_long_histories_are_smoothed_by_a_running_mean():
    from matplotlib.figure import Figure

    history = dlp.History()
    for value in range(500):
        history._append({"loss": float(value % 2), "lr": 1.0, "epoch": 1})
    faint, smooth = history.plot(Figure().subplots()).get_lines()
    assert len(faint.get_ydata()) == 500 and faint.get_color() == smooth.get_color()
    np.testing.assert_allclose(smooth.get_ydata(), 0.5)
    assert (smooth.get_xdata()[0], smooth.get_xdata()[-1]) == (10, 500)


def test_callbacks_see_each_step_and_can_end_the_training():
    seen = []

    def callback(step, model, history):
        seen.append((step, history.steps))
        return step == 7

    history = dlp.fit(linear(), mse, batches_of(data(), 8), epochs=9, callbacks=[callback])
    assert seen == [(i, i) for i in range(1, 8)] and history.steps == 7 and not history.interrupted


class Terminal:
    def __init__(self, tty):
        self.tty, self.text = tty, ""

    def isatty(self):
        return self.tty

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(("tty", "progress"), [(True, True), (True, False), (False, True)])
def test_progress_shows_on_a_terminal_only(monkeypatch, tty, progress):
    monkeypatch.setattr(sys, "stderr", Terminal(tty))
    history = dlp.fit(linear(), mse, batches_of(data(), 8), epochs=2, progress=progress)
    if tty and progress:
        assert "10/10" in sys.stderr.text and f"loss {history.losses[-1]:.4g}" in sys.stderr.text
    else:
        assert sys.stderr.text == ""


def test_curve_is_one_display_that_is_replaced(monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown.append(("update", image.data))

    def display(image, display_id):
        shown.append(("display", image.data))
        return Handle()

    import IPython.display

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(_history, "_shell", lambda: object())
    clock = [0.0]
    monkeypatch.setattr(_history.time, "perf_counter", lambda: clock[0])

    def tick(step, model, history):
        clock[0] = 0.3 * step

    dlp.fit(linear(), mse, batches_of(data(), 8), epochs=4, plot=True, callbacks=[tick])
    # 20 steps of 0.3 s, a drawing not before 1 s after the last one: at 1.2, 2.4, 3.6, 4.8 s and at the end
    assert [kind for kind, _ in shown] == ["display"] + ["update"] * 4
    assert all(data.startswith(b"\x89PNG") for _, data in shown)
    shown.clear()
    dlp.fit(linear(), mse, batches_of(data(), 8), epochs=2)  # nobody watches
    assert shown == []


@pytest.mark.slow
def test_notebook_without_reader_stores_neither_bar_nor_error_output():
    import nbformat
    from nbclient import NotebookClient

    code = (
        "import torch, dlp_utils as dlp\n"
        "def step(model, batch):\n    return model(batch).pow(2).mean()\n"
        "def run(**kwargs):\n"
        "    return dlp.fit(torch.nn.Linear(1, 1), step, [torch.ones(2, 1)], steps=20, **kwargs)\n"
    )
    cells = [nbformat.v4.new_code_cell(source) for source in (code, "run()", "run(plot=True);")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    quiet, curve = notebook.cells[1].outputs, notebook.cells[2].outputs
    assert [o.output_type for o in quiet] == ["execute_result"] and "after 20 steps" in quiet[0].data[
        "text/plain"
    ]
    assert [(o.output_type, "image/png" in o.data) for o in curve] == [("display_data", True)]


# Weights


def test_weights_go_to_a_file_and_back(tmp_path):
    model, path = noisy_net(), tmp_path / "sub" / "net.safetensors"
    assert save_weights(model, path) == path
    other = noisy_net()
    nn.init.zeros_(other[0].weight)
    assert dlp.load_weights(other, path) is other and same(other, model)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save_weights(tied, path)
    assert same(dlp.load_weights(copy.deepcopy(tied), path), tied)


def test_names_without_suffix_are_the_books_own(tmp_path, monkeypatch):
    from dlp_utils import _files

    monkeypatch.setattr(_files, "WEIGHTS", tmp_path)
    model = linear()
    assert save_weights(model, "small") == tmp_path / "small.safetensors"
    assert same(dlp.load_weights(nn.Linear(5, 1), "small"), model)
    with pytest.raises(
        ValueError, match=r"'small' names weights that come with the book, .*; give a path of your"
    ):
        save_weights(nn.Linear(5, 1), "small")
    with pytest.raises(ValueError, match="are not overwritten"):
        save_weights(nn.Linear(5, 1), tmp_path / "small.safetensors")
    assert same(dlp.load_weights(nn.Linear(5, 1), "small"), model)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*large.safetensors; names .*: small"):
        dlp.load_weights(model, "large")


def test_weights_of_another_model_or_a_broken_file(tmp_path):
    path, model = tmp_path / "net.safetensors", nn.Linear(5, 2)
    save_weights(linear(), path)
    before = copy.deepcopy(model)
    with pytest.raises(
        ValueError, match=r"another model: bias has shape \(1,\) there and \(2,\) in the model"
    ):
        dlp.load_weights(model, path)
    with pytest.raises(ValueError, match=r"it lacks 0\.bias"):
        dlp.load_weights(noisy_net(), path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="no whole safetensors file"):
        dlp.load_weights(model, path)
    assert same(model, before)


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    save_weights(linear(), path)
    old = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_weights(noisy_net(), path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["net.safetensors"]

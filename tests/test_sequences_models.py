"""What the lab sequences exports, against torch.nn, against autograd and by construction."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.models import sequences as lab


def layer_of(kind, d=3, H=4, seed=0):
    torch.manual_seed(seed)
    return getattr(nn, kind)(d, H).double()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_steps_by_hand_are_torchs_layers(kind):
    layer = layer_of(kind)
    x = torch.randn(9, 2, 3).double()
    with torch.no_grad():
        h, last = lab.unroll(lab.STEP[kind], x, lab.start(layer, 2), *lab.weights_of(layer))
        expected, state = layer(x)
    assert torch.allclose(h, expected, atol=1e-13)
    for a, b in zip(*((s if isinstance(s, tuple) else (s,)) for s in (last, state)), strict=True):
        assert torch.allclose(a, b[0], atol=1e-13)


def test_an_empty_sequence_is_refused_and_one_step_is_enough():
    layer = layer_of("RNN")
    state, weights = lab.start(layer, 2), lab.weights_of(layer)
    with pytest.raises(ValueError, match="length 0"):
        lab.unroll(lab.rnn_step, torch.zeros(0, 2, 3).double(), state, *weights)
    h, last = lab.unroll(lab.rnn_step, torch.zeros(1, 2, 3).double(), state, *weights)
    assert h.shape == (1, 2, 4) and torch.equal(h[0], last)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_backward_through_time_is_autograds_and_leaves_its_inputs(steps):
    torch.manual_seed(steps)
    sizes = (steps, 2, 3), (2, 4), (3, 4), (4, 4), (4,)
    leaves = [torch.randn(size).double().requires_grad_() for size in sizes]
    x, h0, U, W, b = leaves
    h, _ = lab.unroll(lab.rnn_step, x, h0, U, W, b)
    dh = torch.randn_like(h)
    expected = torch.autograd.grad((dh * h).sum(), leaves)
    given = [t.detach().clone() for t in (dh, x, h, h0, U, W)]
    found = lab.rnn_backward(*given)
    for got, want in zip(found, expected, strict=True):
        assert torch.allclose(got, want, atol=1e-12)
    for now, before in zip(given, (dh, x, h, h0, U, W), strict=True):
        assert torch.equal(now, before.detach())


def test_the_papers_gru_is_the_librarys_where_the_gate_is_one_number():
    # One unit: a gate of one entry commutes with the product. z is exchanged with 1 - z by signs.
    torch.manual_seed(0)
    U, W, b, x, h = (torch.randn(size).double() for size in ((3, 3), (1, 3), (3,), (5, 3), (5, 1)))
    sign = torch.tensor([1.0, -1.0, 1.0]).double()
    library = lab.gru_step(x, h, U, W, b, torch.zeros(3).double())
    paper = lab.paper_gru_step(x, h, U * sign, W * sign, b * sign)
    assert torch.allclose(paper, library, atol=1e-13)
    U, W, b = (torch.randn(size).double() for size in ((3, 12), (4, 12), (12,)))
    h = torch.randn(5, 4).double()
    sign = sign.repeat_interleave(4)
    library = lab.gru_step(x, h, U, W, b, torch.zeros(12).double())
    assert (lab.paper_gru_step(x, h, U * sign, W * sign, b * sign) - library).abs().max() > 0.01


def test_symbols_are_sorted_and_the_unseen_is_named():
    symbols = lab.Symbols("banana\n")
    assert symbols.names == ["\n", "a", "b", "n"] and len(symbols) == 4
    assert symbols.decode(symbols.encode("nab")) == "nab" and symbols.encode("").shape == (0,)
    with pytest.raises(ValueError, match="'e' does not occur"):
        symbols.encode("zebra")
    with pytest.raises(ValueError, match="the text is empty"):
        lab.Symbols("")


def test_blocks_go_on_column_by_column_and_hold_the_text():
    ids = torch.arange(101)
    pairs = list(lab.blocks(ids, 4, 5))
    assert len(pairs) == 5 and all(x.shape == (5, 4) for x, _ in pairs)
    for (x, y), (after, _) in itertools.pairwise(pairs):
        assert torch.equal(y, x + 1) and torch.equal(y[-1], after[0])
    assert torch.equal(torch.cat([x for x, _ in pairs]).T.flatten(), ids[:100])
    with pytest.raises(ValueError, match="too short for a block of 64"):
        next(lab.blocks(ids, 4, 64))
    with pytest.raises(ValueError, match="take a longer text"):
        next(lab.blocks(ids[:0], 4, 5))


def small(vocab=4):
    torch.manual_seed(0)
    config = lab.Config(vocab=vocab, embed=3, hidden=5, length=6, batch=2, lr=1e-2)
    return lab.build(config), config


def test_log_probabilities_are_those_of_one_symbol_after_the_other():
    model, _ = small()
    ids = torch.tensor([0, 3, 1, 1, 2])
    found, state = lab.log_probs(model, ids), None
    for t in range(4):
        with torch.no_grad():
            logits, state = model(ids[t].view(1, 1), state)
        assert math.isclose(found[t], logits[0, 0].log_softmax(0)[ids[t + 1]], abs_tol=1e-6)
    for short in (ids[:1], ids[:0]):
        with pytest.raises(ValueError, match="none to predict"):
            lab.log_probs(model, short)
    assert math.isclose(lab.bits(np.log([0.5, 0.25])), 1.5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_detached_state_has_the_numbers_and_no_graph(kind):
    state = layer_of(kind)(torch.randn(2, 1, 3).double())[1]
    cut = lab.detached(state)
    pairs = zip(cut, state, strict=True) if kind == "LSTM" else [(cut, state)]
    for a, b in pairs:
        assert torch.equal(a, b) and b.requires_grad and not a.requires_grad


def test_training_learns_carries_and_is_repeatable():
    ids = torch.tensor([0, 1, 2, 3] * 60)
    runs = []
    for carry in (True, True, False):
        model, config = small()
        losses, norms = lab.train_text(model, ids, config, 60, carry=carry)
        assert losses.shape == norms.shape == (60,) and losses[-1] < 0.9 * losses[0]
        runs.append(losses)
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


def test_clipping_scales_all_alike_and_takes_zeros():
    parts = [torch.tensor([3.0]), torch.tensor([4.0])]
    assert [p.item() for p in lab.clip_by_norm(parts, 1.0)] == pytest.approx([0.6, 0.8])
    assert [p.item() for p in lab.clip_by_norm(parts, 5.5)] == [3.0, 4.0]
    assert lab.clip_by_norm([torch.zeros(2)], 1.0)[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match="above 0"):
        lab.clip_by_norm(parts, 0)


def test_a_mixture_lies_between_and_takes_the_ends():
    p, q = np.log([0.5, 0.01]), np.log([0.1, 0.2])
    assert np.allclose(np.exp(lab.mixed(p, q, 0.25)), [0.2, 0.1525])
    assert np.allclose(lab.mixed(p, q, 1.0), p) and np.allclose(lab.mixed(p, q, 0.0), q)
    with pytest.raises(ValueError, match="must lie in"):
        lab.mixed(p, q, 1.5)
    assert lab.best_weight(p, p - 1) == 1.0
    after, elsewhere = lab.split_bits(np.log([0.5, 0.25, 0.5]), np.array([True, False, True, True]))
    assert (after, elsewhere) == pytest.approx((1.0, 2.0))


def test_writing_begins_as_told_repeats_and_refuses_nonsense():
    model, _ = small()
    symbols = lab.Symbols("abcd")
    first = lab.write(model, symbols, "ab", 20, seed=1)
    assert first.startswith("ab") and len(first) == 22 and set(first) <= set("abcd")
    assert first == lab.write(model, symbols, "ab", 20, seed=1) != lab.write(model, symbols, "ab", 20, seed=2)
    counts = lab.NGram(3).fit(symbols.encode("abcd" * 50).numpy(), 4)
    assert lab.write(model, symbols, "abc", 5, 0.1, mix=(counts, 0.0)) == "abcdabcd"
    for temperature, begin in ((0, "a"), (-1, "a"), (1, "")):
        with pytest.raises(ValueError, match="above 0"):
            lab.write(model, symbols, begin, 3, temperature)


def test_padding_keeps_the_symbols_and_lengths():
    ids, lengths = lab.pad([[3, 1], [2], [5, 6, 7]], filler=9)
    assert ids.T.tolist() == [[3, 1, 9], [2, 9, 9], [5, 6, 7]] and lengths.tolist() == [2, 1, 3]
    with pytest.raises(ValueError, match="length 0"):
        lab.pad([[1], []])
    with pytest.raises(ValueError, match="no sequence to pad"):
        lab.pad([])


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_name_is_read_alike_alone_packed_and_in_a_batch(kind):
    torch.manual_seed(0)
    reader = lab.NameReader(10, 3, kind, hidden=6).double()
    names = [[1, 2, 3, 4, 5, 6], [7], [3, 3, 2]]
    with torch.no_grad():
        batch = reader(*lab.pad(names))
        alone = torch.cat([reader(*lab.pad([name])) for name in names])
        reader.packed = True
        packed = reader(*lab.pad(names))
    assert torch.allclose(batch, alone, atol=1e-12) and torch.allclose(batch, packed, atol=1e-12)
    assert lab.named(reader, names).tolist() == batch.argmax(dim=1).tolist()


def test_lengths_that_do_not_fit_are_named():
    h = torch.zeros(3, 2, 4)
    for lengths in ([4, 1], [0, 3]):
        with pytest.raises(ValueError, match="do they stand in the order of the batch"):
            lab.last_states(h, torch.tensor(lengths))


def test_starts_of_the_layers():
    torch.manual_seed(0)
    for bias in (0, 1, 3):
        kind = f"LSTM, bias {bias}" if bias else "LSTM"
        layer = lab.make(kind, 5, 30)
        quarters = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
        means = [quarter.mean().item() for quarter in quarters]
        assert means[1] == pytest.approx(bias, abs=0.2) and max(map(abs, means[:1] + means[2:])) < 0.2
    W = lab.make("RNN, orthogonal", 5, 30).weight_hh_l0.detach()
    assert torch.allclose(W @ W.T, torch.eye(30), atol=1e-5)


def test_gradient_by_lag_is_that_of_a_power_without_inputs_slopes():
    # A layer that only multiplies by 0.5: tiny weights keep tanh in its linear part.
    layer = nn.RNN(3, 4).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.weight_ih_l0[:3] = 1e-4 * torch.eye(3)
        layer.weight_hh_l0.copy_(0.5 * torch.eye(4))
    found = lab.gradient_by_lag(layer, lags=6)
    assert np.allclose(found, 0.5 ** np.arange(7), rtol=1e-4)


def test_the_memory_task_in_short_and_a_length_without_a_first():
    found = lab.remember_run("LSTM, bias 3", 3, 0, steps=60)
    assert found["accuracy"] > 0.9 and 10 <= found["solved"] <= 60
    assert lab.remember_run("RNN", 20, 0, steps=12) == {"accuracy": pytest.approx(0.13, abs=0.1), "solved": 0}
    with pytest.raises(ValueError, match="needs a first symbol"):
        lab.remember_run("RNN", 0, 0)


def test_the_configurations_train_a_step():
    for name in ("smoke", "cpu"):
        config = lab.CONFIGS[name]
        torch.manual_seed(0)
        model = lab.build(config)
        loss = lab.step(model, lab.example_batch(config, "cpu"))
        loss.backward()
        assert abs(loss.item() - math.log(config.vocab)) < 0.5
        assert all(p.grad is not None for p in model.parameters())


def test_counts_give_a_probability_to_every_symbol():
    rng = np.random.default_rng(0)
    train, seen = (torch.from_numpy(rng.integers(0, 5, n)) for n in (300, 40))
    logs = lab.counted_log_probs(train, seen, 5, order=3)
    assert logs.shape == (39,) and np.isfinite(logs).all() and (logs < 0).all()


def test_log_loss_and_the_library_agree():
    model, _ = small()
    ids = torch.randint(4, (30,))
    with torch.no_grad():
        logits, _ = model(ids[:-1, None])
    expected = F.cross_entropy(logits[:, 0], ids[1:]).item() / math.log(2)
    assert math.isclose(lab.bits(lab.log_probs(model, ids)), expected, rel_tol=1e-5)

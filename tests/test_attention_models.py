"""What the lab attention exports, against torch and by construction."""

import datetime
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.models import attention as lab


def normal(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attend_is_the_librarys(dtype):
    q, k, v = (normal(2, 3, n, 8, seed=n, dtype=dtype) for n in (4, 6, 6))
    allowed = torch.rand(2, 1, 4, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    allowed[..., 0] = True
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    for mask in (None, allowed, allowed[0, 0]):
        answer, weights = lab.attend(q, k, v, mask)
        library = F.scaled_dot_product_attention(q, k, v, mask)
        assert torch.allclose(answer, library, atol=tolerance)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 4, dtype=dtype))
        if mask is not None:
            assert (weights[~mask.expand_as(weights)] == 0).all()


def test_a_query_that_may_look_nowhere_gets_zeros_and_sound_gradients():
    q, k, v = (normal(3, 4, seed=n).requires_grad_() for n in range(3))
    allowed = torch.tensor([[True, True, False], [False] * 3, [True, False, True]])
    answer, weights = lab.attend(q, k, v, allowed)
    assert (answer[1] == 0).all() and (weights[1] == 0).all() and (answer[0] != 0).all()
    answer.sum().backward()
    assert all(t.grad.isfinite().all() for t in (q, k, v))
    assert (q.grad[1] == 0).all() and q.grad[0].abs().max() > 0
    library = F.scaled_dot_product_attention(q, k, v, allowed)
    assert torch.allclose(answer, library)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="4 features and keys 5"):
        lab.attend(normal(2, 4), normal(3, 5), normal(3, 5))
    with pytest.raises(ValueError, match="3 heads cannot share 10 features: choose"):
        lab.MultiHead(10, 3)
    with pytest.raises(ValueError, match="5 features cannot be turned"):
        lab.rotate(normal(2, 5))
    with pytest.raises(ValueError, match="4 queries and 3 keys"):
        lab.causal(4, 3)
    with pytest.raises(ValueError, match="piece of 0"):
        lab.attend_in_pieces(normal(2, 4), normal(3, 4), normal(3, 4), 0)


@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_is_the_librarys(masked):
    torch.manual_seed(0)
    ours, theirs = lab.MultiHead(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    with torch.no_grad():
        maps = ours.query, ours.key, ours.value
        theirs.in_proj_weight.copy_(torch.cat([m.weight for m in maps]))
        theirs.in_proj_bias.copy_(torch.cat([m.bias for m in maps]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
        theirs.in_proj_bias += 0.1
        for part, m in zip(theirs.in_proj_bias.chunk(3), maps, strict=True):
            m.bias.copy_(part)
    x, source = normal(2, 5, 12), normal(2, 7, 12, seed=1)
    mask = lab.causal(5, 7) if masked else None
    expected, weights = theirs(x, source, source, attn_mask=None if mask is None else ~mask)
    assert torch.allclose(ours(x, source, mask), expected, atol=1e-13)
    assert torch.allclose(ours.weights.mean(1), weights)
    assert not ours.weights.requires_grad
    square = lab.causal(5) if masked else None
    assert torch.allclose(ours(x, allowed=square), ours(x, x, square))


def test_heads_are_cut_and_joined():
    x = torch.arange(24.0).view(1, 3, 8)
    cut = lab.split_heads(x, 4)
    assert cut.shape == (1, 4, 3, 2) and cut[0, 1, 2].tolist() == [18, 19]
    assert torch.equal(lab.join_heads(cut), x)


def test_block_is_the_librarys_with_pre_norm():
    torch.manual_seed(0)
    block = lab.Block(8, 2).double()
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    maps = block.attention.query, block.attention.key, block.attention.value
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([m.weight for m in maps]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([m.bias for m in maps]))
    pairs = (
        (layer.self_attn.out_proj, block.attention.out),
        (layer.linear1, block.mlp[0]),
        (layer.linear2, block.mlp[2]),
        (layer.norm1, block.norm1),
        (layer.norm2, block.norm2),
    )
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())
    x = normal(3, 6, 8)
    assert torch.allclose(block(x), layer(x), atol=1e-13)
    expected = layer(x, src_mask=~lab.causal(6))
    assert torch.allclose(block(x, lab.causal(6)), expected, atol=1e-13)


def test_block_without_an_mlp_and_with_cross_attention():
    torch.manual_seed(0)
    assert not any(
        "mlp" in name or "norm2" in name for name, _ in lab.Block(8, 2, hidden=0).named_parameters()
    )
    block = lab.Block(8, 2, cross=True).double()
    x, source = normal(2, 4, 8), normal(2, 5, 8, seed=1)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])[:, None, None]
    out = block(x, lab.causal(4), source, real)
    other = source.clone()
    other[1, 3:] += 1  # padding
    assert torch.equal(block(x, lab.causal(4), other, real), out)
    other[1, 2] += 1
    moved = (block(x, lab.causal(4), other, real) - out).abs().amax(dim=(1, 2))
    assert moved[0] == 0 and moved[1] > 0


def test_rotation_goes_on_where_it_started():
    x = normal(2, 6, 8)
    whole = lab.rotate(x)
    assert torch.allclose(whole[:, 4:], lab.rotate(x[:, 4:], start=4))
    assert torch.equal(lab.rotate(x)[:, 0], x[:, 0])
    far = lab.rotate(x.float(), start=100_000).double()
    assert torch.allclose(far, lab.rotate(x, start=100_000), atol=1e-5)  # angles in 64 bits


def test_causal_with_cached_keys():
    assert torch.equal(lab.causal(5)[3:], lab.causal(2, 5))
    assert lab.causal(1, 4).all() and lab.causal(3).tolist()[0] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("25 December 2024", "2024-12-25"),
        ("Wednesday, 25 December 2024", "2024-12-25"),
        ("25th of December 2024", "2024-12-25"),
        ("25/12/2024", "2024-12-25"),
    ],
)
def test_dates_are_written_in_ten_ways(text, answer):
    date = datetime.date.fromisoformat(answer)
    assert text in {lab.written(date, way) for way in lab.WAYS} and len(lab.WAYS) == 10
    ends = {lab.written(datetime.date(2024, 1, d), "{nth}") for d in (1, 2, 3, 11, 12, 13, 21, 31)}
    assert ends == {"1st", "2nd", "3rd", "11th", "12th", "13th", "21st", "31st"}


def test_test_dates_are_never_trained():
    def days(test):
        pairs = lab.date_pairs(2000, np.random.default_rng(0), test)
        return {datetime.date.fromisoformat(b).toordinal() for _, b in pairs}

    train, held = days(False), days(True)
    assert not train & held and all(d % 10 == 0 for d in held)
    years = {int(b[:4]) for _, b in lab.date_pairs(2000, np.random.default_rng(1))}
    assert min(years) >= 1900 and max(years) <= 2099 and len(years) > 150


def test_texts_and_numbers():
    assert lab.decode([*lab.encode("25 May"), lab.END, 9]) == "25 May"
    with pytest.raises(ValueError, match="'é' has no number"):
        lab.encode("café")
    with pytest.raises(ValueError, match="empty text"):
        lab.padded([[1], []])
    source, target = lab.as_batch([("may", "ab"), ("1", "abc")])
    assert source[1].tolist() == [lab.encode("1")[0], 0, 0]
    assert target[0].tolist() == [lab.BEGIN, *lab.encode("ab"), lab.END, 0]


def models():
    torch.manual_seed(0)
    return [lab.Recurrent(False), lab.Recurrent(True), lab.Transformer(lab.CONFIGS["smoke"])]


@pytest.mark.parametrize("which", range(3))
def test_padding_changes_no_answer(which):
    model = models()[which].double().eval()
    source, target = lab.as_batch([("25 may 2024", "2024-05-25"), ("wednesday, 1 may 1931", "1931-05-01")])
    alone, _ = lab.as_batch([("25 may 2024", "2024-05-25")])
    together = model(source, target[:, :-1])[0]
    assert torch.allclose(together, model(alone, target[:1, :-1])[0], atol=1e-12)
    loss = lab.step(model, (source, target))
    longer = F.pad(target, (0, 4))
    assert torch.allclose(lab.step(model, (source, longer)), loss)


@pytest.mark.parametrize("which", range(3))
def test_writing_one_by_one_is_reading_at_once(which):
    model = models()[which]
    text = lab.answers(model, ["25 may 2024"], longest=6)[0]
    assert model.training
    model.eval()
    ids = [lab.BEGIN]
    source = lab.padded([lab.encode("25 may 2024")])
    with torch.no_grad():
        for _ in range(6):
            logits = model(source, torch.tensor([ids]))
            ids.append(int(logits[0, -1].argmax()))
    assert lab.decode(ids[1:]) == text


def test_too_long_for_the_positions():
    model = lab.Transformer(lab.CONFIGS["smoke"])
    with pytest.raises(ValueError, match="41 symbols, but positions for 40"):
        lab.answers(model, ["1" * 41])


def test_tasks_have_the_right_answers():
    rng = np.random.default_rng(0)
    assert all(b == a[::-1] and 4 <= len(a) <= 20 for a, b in lab.reverse_pairs(50, rng))
    assert all(b == "".join(sorted(a)) and 4 <= len(a) <= 14 for a, b in lab.sort_pairs(50, rng))


def test_repetitions_repeat():
    ids, begins = lab.repetitions(40, np.random.default_rng(0))
    for row, begin in zip(ids, begins, strict=True):
        fits = [p for p in range(6, 25) if torch.equal(row[begin:], row[begin - p : len(row) - p])]
        assert fits
    ids, begins = lab.repetitions(40, np.random.default_rng(0), period=12)
    assert all(torch.equal(row[b:], row[b - 12 : -12]) for row, b in zip(ids, begins, strict=True))


class Perfect(nn.Module):
    """Repeats by looking for the last place of the last two symbols; else guesses evenly."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        logits = torch.zeros(*ids.shape, lab.KINDS)
        for b, row in enumerate(ids.tolist()):
            for n in range(2, len(row)):
                for m in range(n - 1, 0, -1):
                    if row[m - 1 : m + 1] == row[n - 1 : n + 1]:
                        logits[b, n, row[m + 1]] = 20.0
                        break
        return logits


def test_scores_of_a_perfect_repeater_and_of_a_guesser():
    reported, loss, generated = lab.repeater_scores(Perfect(), count=60)
    assert reported > 0.9 and generated > 0.85
    assert loss == pytest.approx(math.log(lab.KINDS), abs=0.7)  # chance repeats cost it a little
    torch.manual_seed(0)
    reported, loss, generated = lab.repeater_scores(lab.Repeater(1), count=60)
    assert reported < 0.1 and generated < 0.1 and abs(loss - math.log(lab.KINDS)) < 0.5


def test_a_repeater_sees_what_its_mask_shows():
    ids, _ = lab.repetitions(2, np.random.default_rng(0))
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % lab.KINDS
    torch.manual_seed(0)
    for see, leaks in ((None, False), (lambda n, device: lab.causal(n).mT, True), (lambda n, d: None, True)):
        for positions in ("rotary", "learned", "sinusoidal", None):
            model = lab.Repeater(2, positions, see)
            moved = (model(other) - model(ids))[:, :-1].abs().max()
            assert (moved > 0) == leaks


def test_streams_are_repeatable():
    for stream in (lab.Stream(lab.date_pairs, 2, 3), lab.Repetitions(2, 0)):
        first, second = list(stream), list(stream)
        assert len(first) == 2
        for a, b in zip(first, second, strict=True):
            a, b = (a, b) if torch.is_tensor(a) else (a[0], b[0])
            assert torch.equal(a, b)

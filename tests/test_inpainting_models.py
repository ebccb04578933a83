"""The networks, schedules, decoding and scores of the lab on inpainting, held against other people's versions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torch.nn import functional as F

from dlp_utils.models import inpainting as lab

SMALL = lab.CONFIGS["smoke"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- tokenizer -----------------------------------------------------------------------------------------


def test_nearest_is_the_nearest_by_distance():
    quantizer, z = lab.VectorQuantizer(20, 5), torch.randn(300, 5)
    assert torch.equal(quantizer.nearest(z), torch.cdist(z, quantizer.codebook).argmin(dim=1))


def test_the_gradient_goes_straight_through():
    quantizer = lab.VectorQuantizer(6, 3).eval()
    z = torch.randn(40, 3, requires_grad=True)
    code, index = quantizer(z)
    assert torch.equal(code, z + (quantizer.codebook[index] - z))  # forward: the code itself
    torch.testing.assert_close(code, quantizer.codebook[index])
    (code**3).sum().backward()
    torch.testing.assert_close(z.grad, 3 * code.detach() ** 2)  # backward: as if it were z


def test_the_codebook_follows_by_hand():
    """Three updates of counts and sums in plain loops; every code is in use, so that none is restarted."""
    quantizer = lab.VectorQuantizer(3, 2, decay=0.8).train()
    quantizer.codebook.copy_(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]))
    quantizer.counts.fill_(10.0)
    quantizer.sums.copy_(10 * quantizer.codebook)
    counts, sums, codes = [10.0] * 3, [[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]], quantizer.codebook.tolist()
    for step in range(3):
        z = torch.cat([torch.randn(5 + step, 2) * 0.3 + torch.tensor(code) for code in codes])
        chosen = [min(range(3), key=lambda k: math.dist(row, codes[k])) for row in z.tolist()]
        _, index = quantizer(z)
        assert index.tolist() == chosen
        for k in range(3):
            mine = [row for row, c in zip(z.tolist(), chosen, strict=True) if c == k]
            counts[k] = 0.8 * counts[k] + 0.2 * len(mine)
            sums[k] = [0.8 * s + 0.2 * sum(row[d] for row in mine) for d, s in enumerate(sums[k])]
            codes[k] = [s / counts[k] for s in sums[k]]
        torch.testing.assert_close(quantizer.codebook, torch.tensor(codes))
        torch.testing.assert_close(quantizer.counts, torch.tensor(counts))


def test_dead_codes_start_anew_and_only_in_training():
    quantizer = lab.VectorQuantizer(8, 2)
    quantizer.codebook[1:] += 1000.0  # nobody will ever choose these
    z = torch.randn(64, 2)
    before = quantizer.codebook.clone()
    quantizer.eval()(z)
    assert torch.equal(quantizer.codebook, before)
    quantizer.train()
    for _ in range(3):
        quantizer(z)
    assert quantizer.codebook.abs().max() < 10
    assert len(quantizer.nearest(z).unique()) >= 7


def test_a_token_depends_on_its_own_patch_alone():
    tokenizer = lab.Tokenizer(lab.CONFIGS["cpu"]).eval()
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    moved = x.clone()
    moved[..., 8:12, 20:24] = torch.rand(3, 4, 4)
    changed = (tokenizer.encoder(x) != tokenizer.encoder(moved)).any(dim=1)[0]  # (8, 8)
    assert changed.nonzero().tolist() == [[2, 5]]


def test_tokens_are_in_reading_order_and_decode_to_where_they_came_from():
    tokenizer = lab.Tokenizer(SMALL).eval()
    x = torch.rand(3, 3, 32, 32) * 2 - 1
    tokens = tokenizer.encode(x)
    painted, _, index = tokenizer(x)
    assert tokens.shape == (3, 64) and torch.equal(tokens, index)
    # the same picture from its tokens as in one go, but for the clamp
    torch.testing.assert_close(tokenizer.decode(tokens), painted.clamp(-1, 1))
    z = tokenizer.encoder(x)[1, :, 2, 5]  # third row, sixth column
    assert tokens[1, 2 * 8 + 5] == tokenizer.quantizer.nearest(z[None])[0]


def test_commitment_pulls_the_encoder_alone():
    tokenizer = lab.Tokenizer(SMALL).eval()
    found = lab.tokenizer_step(tokenizer, torch.randint(256, (4, 3, 32, 32)).byte())
    found["commitment"].backward()
    assert tokenizer.encoder[1].weight.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in tokenizer.decoder.parameters())


def test_perplexity_counts_the_codes_in_use():
    assert lab.perplexity(torch.arange(12).repeat(5), 100) == pytest.approx(12)
    assert lab.perplexity(torch.zeros(40, dtype=torch.long), 100) == pytest.approx(1)
    share = np.array([0.5, 0.25, 0.25])
    tokens = torch.tensor([0, 0, 1, 2] * 6)
    assert lab.perplexity(tokens, 3) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_psnr_of_a_region():
    a, b = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    b[:, :, :4] = 0.2  # 0.1 of the whole range
    where = torch.zeros(2, 8, 8, dtype=torch.bool)
    where[:, :4] = True
    torch.testing.assert_close(lab.psnr(a, b, where), torch.full((2,), 20.0))
    torch.testing.assert_close(lab.psnr(a, b), torch.full((2,), 20.0 + 10 * math.log10(2)))


# --- attention and transformer -------------------------------------------------------------------------


def test_the_transformer_sees_all_places_and_knows_where_they_are():
    model = lab.Transformer(SMALL).eval()
    for name, weight in model.named_parameters():  # as after training: no zeros, so that nothing hides
        if weight.ndim < 2 or "position" in name or name == "bias":
            nn.init.normal_(weight)
    tokens = torch.randint(SMALL.codes, (2, 64))
    logits = model(tokens)
    assert logits.shape == (2, 64, SMALL.codes)
    for place in (0, 63):  # neither past nor future is hidden
        other = tokens.clone()
        other[:, place] = (other[:, place] + 1) % SMALL.codes
        assert ((model(other) - logits).abs().amax(dim=2) > 1e-6).all()
    order = torch.randperm(64)
    assert (model(tokens[:, order]) - logits[:, order]).abs().max() > 0.1


def test_the_output_is_tied_to_the_embedding():
    model = lab.Transformer(SMALL).eval()
    tokens = torch.randint(SMALL.codes, (1, 64))
    before = model(tokens)
    unused = next(k for k in range(SMALL.codes) if k not in tokens)
    with torch.no_grad():
        model.tokens.weight[unused] += torch.randn(SMALL.dim)  # not a constant: LayerNorm would hide it
        model.bias[7, 3] += 5.0
    change = (model(tokens) - before)[0].detach()
    assert change[:, unused].abs().max() > 1e-3
    assert change[7, 3].item() == pytest.approx(5.0, abs=1e-4)
    others = [k for k in range(SMALL.codes) if k != unused]
    change[7, 3] = 0
    assert change[:, others].abs().max() < 1e-4


# --- training ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "mean"), [("cosine", 2 / math.pi), ("linear", 1 / 2), ("square", 2 / 3)]
)
def test_training_masks_follow_the_schedule(schedule, mean):
    masked = lab.random_mask((20_000, 16), "cpu", schedule)
    count = masked.sum(dim=1)
    assert count.min() >= 1 and count.max() == 16
    # ⌈γN⌉ is γN + 1/2 on average, nearly
    assert count.double().mean().item() / 16 == pytest.approx(mean + 0.5 / 16, abs=0.01)
    assert (masked.double().mean(dim=0) - masked.double().mean()).abs().max() < 0.015  # no favorite place
    if schedule == "linear":  # all numbers of hidden tokens alike: the bound on the likelihood
        share = torch.bincount(count, minlength=17)[1:] / 20_000
        assert (share - 1 / 16).abs().max() < 0.007


def test_the_loss_is_that_of_hidden_tokens_which_the_network_does_not_see():
    seen = []

    class Spy(nn.Module):
        mask_id = 9

        def forward(self, tokens):
            seen.append(tokens)
            return logits

    logits = torch.randn(4, 6, 9)
    tokens, masked = torch.randint(9, (4, 6)), torch.rand(4, 6) < 0.5
    loss = lab.masked_token_loss(Spy(), tokens, masked)
    torch.testing.assert_close(loss, F.cross_entropy(logits[masked], tokens[masked]))
    assert (seen[0][masked] == 9).all() and torch.equal(seen[0][~masked], tokens[~masked])


# --- schedules and decoding ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(lab.SCHEDULES))
def test_schedules_go_from_one_to_zero(name):
    values = [lab.SCHEDULES[name](r / 50) for r in range(51)]
    assert values[0] == pytest.approx(1) and values[-1] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in pairwise(values))


def test_counts_of_the_page():
    revealed = {name: [-d for d in np.diff([64, *lab.masked_counts(64, 8, name)])] for name in lab.SCHEDULES}
    assert revealed["cosine"] == [1, 3, 6, 8, 10, 11, 12, 13]
    assert revealed["linear"] == [8] * 8
    assert revealed["square"] == [1, 3, 5, 7, 9, 11, 13, 15]


@pytest.mark.parametrize("name", list(lab.SCHEDULES))
def test_each_step_reveals_something_and_the_last_all(name):
    for unknown in range(65):
        for steps in (1, 2, 3, 8, 16, 64):
            counts = [unknown, *lab.masked_counts(unknown, steps, name)]
            assert len(counts) == steps + 1 and counts[-1] == 0
            shown = [a - b for a, b in pairwise(counts)]
            assert all(s >= 1 for s in shown[: min(unknown, steps)]) and min(shown) >= 0


def test_choosing_keeps_the_least_sure_hidden():
    sure = torch.tensor([[9.0, 0.1, 5.0, 3.0, 7.0]])
    logits = torch.stack([sure, torch.zeros_like(sure)], dim=-1)  # word 0, more or less surely
    masked = torch.tensor([[True, False, True, True, True]])
    generator = torch.Generator().manual_seed(3)
    sampled, still = lab.choose_tokens(logits, masked, torch.tensor([2]), 0.0, generator)
    assert (sampled[masked] == 0).all()
    assert still.tolist() == [[False, False, True, True, False]]  # places 2 and 3; 1 is known


def test_words_are_drawn_with_their_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, 1, 3)
    hidden = torch.ones(20_000, 1, dtype=torch.bool)
    sampled, _ = lab.choose_tokens(logits, hidden, torch.zeros(20_000), 1.0)
    share = torch.bincount(sampled.flatten(), minlength=3) / 20_000
    assert (share - torch.tensor([0.0, 1.0, 2.0]).softmax(0)).abs().max() < 0.015


def test_temperature_draws_places_by_a_power_of_their_probability():
    """Which of two places is kept first: p_i^(1/τ) to p_j^(1/τ)."""
    p, tau, n = (0.9, 0.3), 2.0, 40_000
    logits = torch.full((n, 2, 8), -1e9)
    for place, chance in enumerate(p):  # word 0 has probability p; of the others we see nothing
        logits[:, place, 0] = math.log(chance)
        logits[:, place, 1:] = math.log((1 - chance) / 7)
    hidden = torch.ones(n, 2, dtype=torch.bool)
    sampled, still = lab.choose_tokens(logits, hidden, torch.ones(n), tau)
    both = (sampled == 0).all(dim=1)
    first = (~still)[both][:, 0].double().mean().item()
    weights = [chance ** (1 / tau) for chance in p]
    assert first == pytest.approx(weights[0] / sum(weights), abs=0.02)


class Count(nn.Module):
    """Predicts word `place mod 5` at each place, surely, and notes what it saw."""

    mask_id = 5

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, tokens):
        self.seen.append(tokens.clone())
        return 20.0 * F.one_hot(torch.arange(tokens.shape[1]) % 5, 5).float().expand(len(tokens), -1, -1)


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_decoding_keeps_what_is_known_and_shows_what_it_wrote(steps):
    model, tokens = Count(), torch.full((3, 16), 2)
    unknown = torch.zeros(3, 16, dtype=torch.bool)
    unknown[0, :12], unknown[1, 5] = True, True  # nothing is unknown in the third
    out, history = lab.decode(model, tokens, unknown, steps=steps)
    assert len(model.seen) == steps and len(history) == steps + 1  # one pass a step
    assert torch.equal(out[~unknown], tokens[~unknown])
    assert torch.equal(out[unknown], (torch.arange(16) % 5).expand(3, -1)[unknown])
    for seen, (written, masked) in zip(model.seen, history, strict=False):
        assert torch.equal(seen, written)  # the network sees what stands, its own words included
        assert torch.equal(seen == 5, masked)
    counts = [m[0].sum().item() for _, m in history]
    assert counts == [12, *lab.masked_counts(12, steps)]
    for (_, before), (_, after) in pairwise(history):
        assert not (after & ~before).any()  # nothing is hidden again


def test_one_token_a_pass_takes_as_many_passes_as_tokens():
    model = Count()
    lab.decode(model, torch.zeros(2, 16).long(), torch.ones(2, 16).bool(), steps=16)
    assert [(seen == 5).sum(dim=1).tolist() for seen in model.seen] == [[16 - t] * 2 for t in range(16)]


def test_decoding_is_repeatable():
    model = lab.Transformer(SMALL).eval()
    blank, all_of_it = torch.zeros(4, 64).long(), torch.ones(4, 64).bool()
    first, second, other = (lab.decode(model, blank, all_of_it, seed=s)[0] for s in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_token_is_unknown_if_any_pixel_is():
    missing = torch.zeros(2, 32, 32, dtype=torch.bool)
    missing[0, 7, 20], missing[1, 31, 0] = True, True
    found = lab.token_mask(missing, 4)
    assert found.nonzero().tolist() == [[0, 1 * 8 + 5], [1, 7 * 8]]


def test_inpainting_keeps_known_pixels_and_never_looks_below():
    model = lab.build(SMALL).eval()
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    missing = torch.zeros(4, 32, 32, dtype=torch.bool)
    missing[:, 6:19, 9:25] = True
    filled, _ = lab.inpaint(model, x, missing, steps=4)
    hole = missing[:, None].expand_as(x)
    assert torch.equal(filled[~hole], x[~hole]) and (filled[hole] != x[hole]).any()
    other = torch.where(hole, torch.rand_like(x), x)  # something else under the hole
    assert torch.equal(lab.inpaint(model, other, missing, steps=4)[0], filled)


# --- the score -----------------------------------------------------------------------------------------


def test_frechet_distance_is_scipy_s():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 8)) @ rng.normal(size=(8, 8)), rng.normal(size=(150, 8)) + 0.3
    a, b = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert lab.frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)
    assert lab.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_in_closed_form():
    """Independent features: Σ (m₁ − m₂)² + (s₁ − s₂)² for the samples' own moments."""
    rng = np.random.default_rng(1)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * math.sqrt(3) / 2  # covariance exactly 1
    x, y = signs * (2, 5) + (1, 0), signs * (3, 1) + (0, -2)
    assert lab.frechet_distance(x, y) == pytest.approx(1 + 4 + 1 + 16)
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]  # a common rotation changes nothing
    assert lab.frechet_distance(x @ turn, y @ turn) == pytest.approx(22)


def test_frechet_distance_is_torchmetrics_():
    image = pytest.importorskip("torchmetrics.image.fid")

    class Flat(nn.Module):
        num_features = 12

        def forward(self, x):
            return x.double().flatten(1)

    x, y = torch.rand(60, 3, 2, 2), torch.rand(50, 3, 2, 2) ** 2
    theirs = image.FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(3, 2, 2))
    theirs.set_dtype(torch.float64)
    theirs.update(x, real=True)
    theirs.update(y, real=False)
    ours = lab.frechet_distance(x.flatten(1), y.flatten(1))
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-4)


# --- what is shipped -----------------------------------------------------------------------------------


def test_the_shipped_networks_fill_a_hole_better_than_gray():
    from dlp_utils.data import cats

    model, features = lab.load_shipped("cpu")
    x = lab.pixels(cats.generated_cats(60, "test").images)
    missing = torch.as_tensor(cats.masks(60, "box"))
    filled, _ = lab.inpaint(model, x, missing)
    gray = x.masked_fill(missing[:, None], 0.0)
    assert lab.psnr(filled, x, missing).mean() > lab.psnr(gray, x, missing).mean() + 4
    with torch.no_grad():
        assert features(x).shape == (60, 64)
        named = features.head(features(x))[:, :5].argmax(dim=1).numpy()
    assert (named == cats.generated_cats(60, "test").pattern).mean() > 0.9


def test_an_unknown_schedule_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no schedule 'cubic'; there are cosine, "):
        lab.masked_counts(64, 8, "cubic")

"""The models of the lab video_generation: what each part sees, the loss of a clip, the schedules, the shipped weights."""

import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence

from dlp_utils import interact
from dlp_utils.data import motion
from dlp_utils.models import video_generation as lab

SMALL = lab.CONFIGS["smoke"]


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 4, 3, 32, 64, generator=g).unbind()  # frames, poses: (3, 4, 3, 32, 64)


def network(**changes):
    torch.manual_seed(0)
    model = lab.build(replace(SMALL, **changes))
    for p in model.parameters():  # away from the zeros that some layers start with
        torch.nn.init.normal_(p, std=0.1)
    return model.eval()


def test_kl_is_the_librarys():
    mu, log_var = torch.randn(2, 5, 4, 3, 2, dtype=torch.float64)
    library = kl_divergence(Normal(mu, torch.exp(log_var / 2)), Normal(0.0, 1.0)).sum(dim=(1, 2, 3))
    assert torch.allclose(lab.gaussian_kl(mu, log_var), library, atol=1e-12)


def test_reparameterized_samples_have_the_moments_they_should():
    torch.manual_seed(0)
    mu, log_var = torch.tensor([1.0, -2.0]), torch.tensor([0.0, -3.0])
    z = lab.reparameterize(mu.expand(200_000, 2), log_var.expand(200_000, 2))
    assert torch.allclose(z.mean(0), mu, atol=0.02) and torch.allclose(z.var(0).log(), log_var, atol=0.02)


def test_the_posterior_sees_the_previous_frame_only_when_told(batch):
    frames, poses = batch
    now, pose, before = frames[:, 1], poses[:, 1], frames[:, 0]
    blind, seeing = network(), network(seeing=True)
    assert torch.equal(blind.posterior(now, pose, before)[0], blind.posterior(now, pose, 0 * before)[0])
    assert not torch.equal(seeing.posterior(now, pose, before)[0], seeing.posterior(now, pose, 0 * before)[0])
    for model in (blind, seeing):
        assert not torch.equal(
            model.posterior(now, pose, before)[0], model.posterior(before, pose, before)[0]
        )


def test_the_decoder_sees_the_previous_frame_unless_told_otherwise(batch):
    frames, poses = batch
    for past in (True, False):
        model = network(past=past)
        z = lab.prior(model, poses[:, 1])
        painted = [model.decode(previous, poses[:, 1], z) for previous in (frames[:, 0], frames[:, 2])]
        assert torch.equal(*painted) != past
        assert painted[0].shape == (3, 3, 32, 64) and painted[0].min() > 0 and painted[0].max() < 1
        assert not torch.equal(painted[0], model.decode(frames[:, 0], poses[:, 2], z))
        assert not torch.equal(painted[0], model.decode(frames[:, 0], poses[:, 1], z + 1))


def test_true_frames_one_by_one_are_true_frames_at_once(batch, monkeypatch):
    """A coin that always says "true" gives the loss of ratio 1; one that says "own" gives a film."""
    frames, poses = batch
    model = network()
    monkeypatch.setattr(lab.torch, "randn_like", torch.zeros_like)
    at_once, one_by_one = (lab.clip_loss(model, frames, poses, ratio) for ratio in (1.0, 1 - 1e-9))
    own = lab.clip_loss(model, frames, poses, 0.0)
    for key in ("loss", "mse", "kl"):
        assert torch.allclose(at_once[key], one_by_one[key], rtol=1e-5)
    assert not torch.allclose(at_once["mse"], own["mse"], rtol=1e-5)
    monkeypatch.setattr(lab, "prior", lambda model, pose, g=None: torch.zeros(3, SMALL.latent, 8, 16))
    film = lab.rollout(model, frames[:, 0], poses[:, 1:], "posterior", frames[:, 1:])
    assert torch.allclose((film - frames[:, 1:]).square().mean(), own["mse"], rtol=1e-4)


def test_each_clip_has_its_own_coin(batch, monkeypatch):
    frames, poses = batch
    model = network()
    seen = []
    monkeypatch.setattr(
        model, "decode", lambda previous, pose, z: seen.append(previous) or torch.zeros_like(previous)
    )
    torch.manual_seed(3)
    for _ in range(20):
        lab.free_running(model, frames, poses, torch.zeros(9, 2, 8, 16), ratio=0.5)
    true = torch.stack([torch.stack([p.abs().amax() > 0 for p in previous]) for previous in seen[1::3]])
    assert 0.25 < true.float().mean() < 0.75 and (true.any(dim=1) & ~true.all(dim=1)).any()


def test_the_loss_weighs_its_terms_as_the_formula_says(batch):
    frames, poses = batch
    model = network()
    for beta in (0.0, 1.0, 7.0):
        torch.manual_seed(1)
        found = lab.clip_loss(model, frames, poses, beta=beta)
        D = 3 * 32 * 64
        expected = found["mse"] / (2 * SMALL.sigma**2) + beta * found["kl"] / D
        assert torch.allclose(found["loss"], expected, rtol=1e-5)


def test_schedules():
    grid = np.arange(800) / 800
    for cycles, mean in ((0, 1.0), (1, 0.75), (4, 0.75)):
        beta = np.array([lab.annealed(cycles)(done) for done in grid])
        assert beta.mean() == pytest.approx(mean, abs=0.01) and beta.max() == 1
    cyclical = lab.annealed(4)
    assert [cyclical(done) for done in (0, 0.0625, 0.125, 0.2, 0.25)] == pytest.approx([0, 0.5, 1, 1, 0])
    ratio = lab.falling(0.2, 0.6)
    assert [ratio(done) for done in (0, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([1, 1, 0.5, 0, 0])


def test_cuts_come_from_the_video():
    """Frame t of this video is black but for its number t in every pixel, so that a cut can be read."""
    numbers = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 3, 32, 64)
    video = motion.Video(numbers.numpy(), numbers.numpy() + 100, np.zeros((40, 4)), "counted", 0.0, 0)
    loader = lab.Clips([video], 60, lab.falling(0.2, 0.6), lab.annealed(4), batch=3, length=5, stride=4)
    strides = set()
    for frames, poses, _, _ in loader:
        assert frames.shape == poses.shape == (3, 5, 3, 32, 64) and torch.equal(poses, frames + 100)
        times = frames[:, :, 0, 0, 0].int()
        steps = times.diff(dim=1)
        assert (steps == steps[:, :1]).all()
        strides |= set(steps[:, 0].tolist())
    assert strides == {-4, -3, -2, -1, 1, 2, 3, 4}
    again = [frames for frames, *_ in loader]
    assert torch.equal(again[-1], frames)  # the order depends on the seed alone
    assert loader.ratio(0.9) == 0 and len(again) == len(loader) == 60


def test_a_move_sideways_moves_frame_and_pose_together():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8), (9, 3, 32, 64))
    frames, poses = lab.random_cut(np.random.default_rng(5), torch.tensor(ramp), torch.tensor(ramp), 5, 1, 8)
    assert torch.equal(frames, poses)
    row = frames[0, 0, 0].int()
    assert set(row.diff().tolist()) == {0, 1}  # moved by at least one, the border repeated
    assert (row == torch.arange(64) + row[20] - 20).sum() >= 64 - 8


def test_psnr_of_each_picture():
    a = torch.zeros(2, 3, 3, 4, 4)
    b = a + torch.tensor([0.1, 0.01])[:, None, None, None, None]
    assert torch.allclose(lab.psnr(a, b), torch.tensor([20.0, 40.0])[:, None].expand(2, 3), atol=1e-4)


def test_shipped_weights():
    file = resources.files("dlp_utils") / "weights" / "video_generation.safetensors"
    assert len(file.read_bytes()) < 6_000_000
    for name in ("deterministic", "stochastic", "no_past"):
        model = lab.load_shipped(name, "cpu")
        assert model.config.past == (name != "no_past") and not model.training
        assert all(p.isfinite().all() for p in model.parameters())
    with pytest.raises(
        ValueError, match=r"no network 'sharp' in .*; it holds deterministic, no_past, stochastic"
    ):
        lab.load_shipped("sharp")


@pytest.mark.slow
def test_the_film_of_page_and_lab_is_what_the_shipped_weights_paint():
    book = Path(__file__).parents[1] / "book"
    picture, page = book / "_static" / "video_film.webp", book / "figures" / "video_film.html"
    assert picture.stat().st_size < 150_000 and page.stat().st_size < 200_000
    assert "http" not in page.read_text(encoding="utf-8")  # nothing from outside
    film = Image.open(picture)
    assert film.n_frames == 60 and film.info["loop"] == 2  # it comes to rest
    test = motion.render_all(motion.load_clips(), "test", (65, 245), looks=6)[5]
    x, c = (torch.as_tensor(a[:61]).float() / 255 for a in (test.frames, test.poses))
    painted = lab.rollout(lab.load_shipped("deterministic", "cpu"), x[None, 0], c[None, 1:])[0]
    for t in (0, 29, 59):
        film.seek(t)
        row = torch.as_tensor(np.array(film.convert("RGB"))).permute(2, 0, 1)[:, 1::3].float() / 255
        shown = (row[..., 1:192:3], row[..., 199:390:3], row[..., 397::3])
        for found, true in zip(shown, (x[t + 1], c[t + 1], painted[t]), strict=True):
            assert lab.psnr(found, true) > 41, f"frame {t + 1} of the film is out of date"


def test_the_players_frame_of_the_page_is_that_of_all_players():
    """The page holds a finished player; a change of `dlp.animate` shows here, and `make study` draws it anew."""
    stored = (Path(__file__).parents[1] / "book" / "figures" / "video_film.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r"const \{title, axes, frames, interval, loop\} = (.*);\n", stored)[1])
    first = re.search(r'<img src="([^"]+)" width="(\d+)" height="(\d+)"', stored)
    size, axes = (int(first[2]), int(first[3])), {"frame": list(range(1, 61))}
    frames, title = [first[1], *data["frames"]], data["title"]
    assert stored == interact._page(frames, size, axes, title, interval=50) + "\n"


def test_a_cut_longer_than_its_video_is_refused():
    video = torch.zeros(4, 3, 32, 64, dtype=torch.uint8)
    frames, _ = lab.random_cut(np.random.default_rng(0), video, video, 4, 1, 0)
    assert len(frames) == 4
    with pytest.raises(ValueError, match="no cut of 5 frames in a video of 4"):
        lab.random_cut(np.random.default_rng(0), video, video, 5, 1, 0)


def test_a_rollout_wants_a_latent_that_it_knows(batch):
    frames, poses = batch
    model = network()
    with pytest.raises(ValueError, match="not 'Zero'"):
        lab.rollout(model, frames[:, 0], poses[:, 1:], "Zero")
    for truth in (None, frames):  # none, and one that begins with the first frame
        with pytest.raises(ValueError, match="the same shape as poses"):
            lab.rollout(model, frames[:, 0], poses[:, 1:], "posterior", truth)
    still = [lab.rollout(model, frames[:, 0], poses[:, 1:], "zero", seed=seed) for seed in (0, 1)]
    dice = [lab.rollout(model, frames[:, 0], poses[:, 1:], seed=seed) for seed in (0, 1)]
    assert torch.equal(*still) and not torch.equal(*dice)

"""The schedules, the network, the samplers and the scores of the lab on diffusion, held against diffusers and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.models.embeddings import get_timestep_embedding
from torch import nn

import dlp_utils as dlp
from dlp_utils.data import clevr
from dlp_utils.models import diffusion as lab

SMALL = lab.CONFIGS["smoke"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def stirred(config):
    """A network without the zeros of its start, so that every part has a say."""
    model = lab.build(config)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.1)
    return model.eval()


# --- schedules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "how"),
    [
        (lab.cosine_alpha_bar(), {"beta_schedule": "squaredcos_cap_v2"}),
        (lab.linear_alpha_bar(), {"beta_schedule": "linear"}),
        (lab.linear_alpha_bar(100, 1e-3, 0.2), {"beta_start": 1e-3, "beta_end": 0.2, "num_train_timesteps": 100}),
        (lab.zero_terminal(lab.linear_alpha_bar()), {"rescale_betas_zero_snr": True}),
    ],
)  # fmt: skip
def test_schedules_are_the_librarys(mine, how):
    theirs = DDIMScheduler(**how).alphas_cumprod.double()
    assert mine.dtype == torch.float64
    torch.testing.assert_close(mine, theirs, rtol=2e-4, atol=1e-7)


def test_zero_terminal_ends_at_nothing_and_keeps_the_start():
    before = lab.linear_alpha_bar()
    after = lab.zero_terminal(before)
    assert after[-1] == 0 and after[0] == pytest.approx(before[0].item(), rel=1e-12)
    assert (after.diff() < 0).all()


def test_noisy_pictures_and_velocities_are_the_librarys():
    library = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    x0, noise, t = *torch.randn(2, 6, 3, 8, 8).unbind(0), torch.tensor([0, 1, 250, 500, 998, 999])
    alpha_bar = lab.cosine_alpha_bar()
    xt = lab.q_sample(x0, t, noise, alpha_bar)
    v = lab.velocity(x0, noise, t, alpha_bar)
    torch.testing.assert_close(xt, library.add_noise(x0, noise, t), rtol=0, atol=2e-4)
    torch.testing.assert_close(v, library.get_velocity(x0, noise, t), rtol=0, atol=2e-4)
    back = lab.from_velocity(xt, v, t, alpha_bar)
    torch.testing.assert_close(back[0], x0, rtol=0, atol=1e-5)
    torch.testing.assert_close(back[1], noise, rtol=0, atol=1e-5)


def test_schedule_functions_take_points_as_well_as_pictures():
    x0, noise, t = torch.randn(5, 2), torch.randn(5, 2), torch.arange(5) * 200
    alpha_bar = lab.cosine_alpha_bar()
    for row in range(5):
        a = alpha_bar[t[row]].item()
        expected = a**0.5 * x0[row] + (1 - a) ** 0.5 * noise[row]
        torch.testing.assert_close(lab.q_sample(x0, t, noise, alpha_bar)[row], expected)


def test_posterior_is_the_librarys_step():
    """The library adds the noise itself, so both get the same dice."""
    library = DDPMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False, prediction_type="sample")
    x0, xt = torch.randn(2, 2, 3, 4, 4)
    for t in (100, 500, 999):  # the library's schedule has 32 bits, which shows at the first steps
        mean, variance = lab.posterior(x0, xt, torch.tensor([t, t]), lab.cosine_alpha_bar())
        noise = torch.randn(xt.shape, generator=dlp.generator(1))
        found = library.step(x0, t, xt, generator=dlp.generator(1)).prev_sample
        torch.testing.assert_close(mean + variance.sqrt() * noise, found, rtol=0, atol=2e-4)


def test_posterior_of_the_last_step_is_the_picture():
    x0, xt = torch.randn(2, 2, 3, 4, 4)
    mean, variance = lab.posterior(x0, xt, torch.tensor([0, 0]), lab.cosine_alpha_bar())
    torch.testing.assert_close(mean, x0)
    assert (variance == 0).all()


# --- the network ---------------------------------------------------------------------------------------


def test_time_features_are_the_librarys():
    t = torch.tensor([0, 1, 17, 500, 999])
    theirs = get_timestep_embedding(t, 48, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(lab.time_features(t, 48), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        lab.CONFIGS["cpu"],
        lab.Config((8, 8, 16, 16, 24, 24), (4,), groups=4),  # the gpu profile's shape
        lab.Config((16, 24), (0,), size=32, patch=4, layers=3, groups=8, head_dim=4),
    ],
)
def test_the_network_is_the_librarys(config):
    model = stirred(config)
    theirs, side = lab.to_diffusers(model), config.size // config.patch
    x, t = torch.randn(3, 3 * config.patch**2, side, side), torch.tensor([0, 500, 999])
    labels = (torch.rand(3, 24) < 0.2).float()
    vector = model.label_embedding(labels)
    with torch.no_grad():
        mine, found = model.unet(x, t, vector), theirs(x, t, class_labels=vector).sample
    assert mine.abs().mean() > 0.05
    torch.testing.assert_close(mine, found, rtol=1e-4, atol=1e-5)


def test_blocks_of_pixels_become_channels_and_come_back():
    model = stirred(SMALL)
    model.unet.forward = lambda x, t, labels: x
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x, torch.zeros(2).long(), torch.zeros(2, 24)), x)


def test_every_weight_has_one_name_in_the_library():
    for config in lab.CONFIGS.values():
        names = lab.library_names(config)
        with torch.device("meta"):
            keys = lab.build(config).unet.state_dict()
        for key in keys:
            assert sum(key.startswith(name + ".") for name in names) == 1, key
        assert len(set(names.values())) == len(names)


def test_at_the_start_a_block_is_its_shortcut():
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(lab.ResBlock(8, 8, 5, 4)(x, torch.randn(2, 5)), x)


def test_label_vectors_add_up_and_none_is_zero():
    layer, one, other = lab.build(SMALL).label_embedding, torch.zeros(24), torch.zeros(24)
    one[3], other[20] = 1, 1
    torch.testing.assert_close(layer(one + other), layer(one) + layer(other))
    assert (layer(torch.zeros(24)) == 0).all()


# --- training ------------------------------------------------------------------------------------------


class Knows(nn.Module):
    """Given that all pictures are black, the velocity can be known; notes what it was asked."""

    def __init__(self, steps, drop):
        super().__init__()
        self.config = replace(SMALL, steps=steps, drop=drop)
        self.alpha_bar = lab.cosine_alpha_bar(steps)

    def forward(self, xt, t, labels):
        self.t, self.labels = t, labels
        signal, sigma = lab.coefficients(self.alpha_bar, t, xt)
        noise = (xt + signal) / sigma  # x0 = −1
        return signal * noise + sigma


def test_a_network_that_knows_has_no_loss_and_is_asked_at_every_step():
    model, batch = Knows(10, 0.1), (torch.zeros(4000, 3, 4, 4).byte(), torch.ones(4000, 24))
    assert lab.step(model, batch).item() < 1e-8
    counts = torch.bincount(model.t, minlength=10)
    assert len(counts) == 10 and (counts > 300).all()  # 400 each; the last step, too
    dropped = (model.labels == 0).all(dim=1)
    assert 0.08 < dropped.float().mean() < 0.12
    assert (model.labels[~dropped] == 1).all()


def test_without_dropping_every_label_arrives():
    model = Knows(10, 0.0)
    lab.step(model, (torch.zeros(200, 3, 4, 4).byte(), torch.ones(200, 24)))
    assert (model.labels == 1).all()


class KnowsTheFlow(Knows):
    """As `Knows`, of black pictures on the straight path; code step t is r = (t + 1) / T."""

    def forward(self, x, t, labels):
        self.t, self.labels = t, labels
        r = ((t + 1) / self.config.steps).view(-1, 1, 1, 1)
        return (x + 1 - r) / r + 1  # ε − x₀ with x₀ = −1


def test_a_network_that_knows_the_straight_path_has_no_loss():
    model, batch = KnowsTheFlow(10, 0.1), (torch.zeros(4000, 3, 4, 4).byte(), torch.ones(4000, 24))
    assert lab.flow_step(model, batch).item() < 1e-8
    counts = torch.bincount(model.t, minlength=10)
    assert len(counts) == 10 and (counts > 300).all()
    assert 0.08 < (model.labels == 0).all(dim=1).float().mean() < 0.12


@pytest.mark.parametrize("steps", [1, 4, [9, 6, 1]])
def test_the_flow_of_a_network_that_knows_ends_in_its_picture(steps):
    model = KnowsTheFlow(10, 0.1)
    found = lab.flow_sample(model, torch.eye(24)[:2], steps, guidance=2.0)
    torch.testing.assert_close(found, torch.full((2, 3, 32, 32), -1.0), rtol=0, atol=1e-5)


def test_a_step_on_the_line_is_a_ddim_step_from_the_same_point():
    """Of a network that answers both questions: the guess of x₀ is what a look at x gives."""

    class Asked(nn.Module):
        config = replace(SMALL, steps=1000)

        def __init__(self, line):
            super().__init__()
            self.line = line

        def forward(self, x, t, labels):
            if self.line:
                r = ((t + 1) / 1000).view(-1, 1, 1, 1)
                a, b, scale = 1 - r, r, torch.hypot(1 - r, r)
            else:
                a, b = lab.coefficients(lab.cosine_alpha_bar(), t, x)
                scale = 1.0
            x0 = torch.tanh(x / scale * 2) * 0.9
            noise = (x - a * x0) / b
            return noise - x0 if self.line else a * noise - b * x0

    labels, line = torch.eye(24)[:2], [999, 699, 399, 99]
    places = (np.array(line) + 1) / 1000
    angles = np.arctan2(places, 1 - places)
    circle = (np.round(1000 * angles * 2 / np.pi).astype(int) - 1).tolist()
    mine = lab.flow_sample(Asked(True), labels, line, 1.0, seed=4)
    found = lab.ddim_sample(Asked(False), labels, circle, 1.0, seed=4)
    torch.testing.assert_close(mine, found, rtol=0, atol=0.02)  # steps are rounded, and the offset
    assert mine.std() > 0.3


def test_even_steps_on_the_line():
    for steps in (1, 5, 25):
        found = lab.even_on_line(steps)
        assert found[0] == 999 and len(set(found)) == steps and found == sorted(found, reverse=True)
        angles = (np.array(found) + 1) / 1000 * np.pi / 2
        places = np.tan(angles) / (1 + np.tan(angles))
        np.testing.assert_allclose(places, np.arange(steps, 0, -1) / steps, atol=1e-3)


def test_a_sampler_takes_its_steps_as_a_list():
    model, labels = stirred(SMALL), torch.eye(24)[:2]
    assert torch.equal(lab.ddim_sample(model, labels, 4), lab.ddim_sample(model, labels, lab.spaced(4)))
    assert not torch.equal(
        lab.ddim_sample(model, labels, 4), lab.ddim_sample(model, labels, [999, 600, 300, 50])
    )


# --- sampling ------------------------------------------------------------------------------------------


def test_guidance_is_a_line_through_two_answers():
    model, x, labels = stirred(SMALL), torch.randn(2, 3, 32, 32), torch.eye(24)[:2]
    t = torch.tensor([400, 400])
    with torch.no_grad():
        given, without = model(x, t, labels), model(x, t, 0 * labels)
    assert (given - without).abs().max() > 2e-3
    for w, expected in ((1, given), (0, without), (3, without + 3 * (given - without))):
        torch.testing.assert_close(lab.guided(model, x, 400, labels, w), expected, rtol=0, atol=1e-4)


def test_guidance_costs_two_passes_and_none_costs_one():
    model, rows = stirred(SMALL), []
    model.register_forward_hook(lambda module, given, v: rows.append(len(v)))
    x, labels = torch.randn(3, 3, 32, 32), torch.eye(24)[:3]
    lab.guided(model, x, 5, labels, 1)
    lab.guided(model, x, 5, labels, 2.0)
    assert rows == [3, 6]


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 20, 25, 50, 125, 1000])
def test_spacing_is_the_librarys(steps):
    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    assert lab.spaced(steps) == scheduler.timesteps.tolist()


def test_spacing_starts_at_the_last_step_and_never_repeats():
    for steps in (3, 7, 300, 999):
        found = lab.spaced(steps)
        assert len(set(found)) == steps and found[0] == 999 and found == sorted(found, reverse=True)
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=f"from 1 to 1000, got {steps}"):
            lab.spaced(steps)


def test_a_step_with_eta_one_is_the_posterior():
    x0, xt = torch.randn(2, 5, dtype=torch.float64)
    alpha_bar = lab.cosine_alpha_bar()
    for t in (1, 40, 999):
        mean, variance = lab.posterior(x0, xt, torch.full((5,), t), alpha_bar)
        for noise in (torch.zeros(5), torch.ones(5)):
            found = lab.ddim_step(xt, x0, t, t - 1, alpha_bar, 1.0, noise)
            torch.testing.assert_close(found, mean + variance.sqrt() * noise)


def test_the_last_step_gives_the_picture():
    x0, xt = torch.randn(2, 5)
    for eta in (0.0, 1.0):
        found = lab.ddim_step(xt, x0, 3, -1, lab.cosine_alpha_bar(), eta, torch.ones(5))
        torch.testing.assert_close(found, x0)


def follow(scheduler, model, labels, steps, guidance, seed, **how):
    """Sampling as a user of diffusers would write it."""
    draw, side = dlp.generator(seed), model.config.size
    x = torch.randn((len(labels), 3, side, side), generator=draw)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        v = lab.guided(model, x, t, labels, guidance)
        x = scheduler.step(v, t, x, generator=draw, **how).prev_sample
    return x


@pytest.mark.parametrize(
    ("eta", "guidance", "steps"), [(0.0, 3.0, 20), (0.0, 1.0, 7), (0.6, 2.0, 10), (1.0, 3.0, 10)]
)
def test_ddim_is_the_librarys(eta, guidance, steps):
    model, labels = stirred(SMALL), torch.eye(24)[:2]
    steps = 8 if steps == 7 else steps  # the library spaces evenly where steps divide 1000
    mine = lab.ddim_sample(model, labels, steps, guidance, eta, seed=3)
    scheduler = lab.scheduler_like(DDIMScheduler, model.config)
    how = {"eta": eta, "use_clipped_model_output": True}
    torch.testing.assert_close(
        mine, follow(scheduler, model, labels, steps, guidance, 3, **how), rtol=0, atol=1e-4
    )
    assert mine.std() > 0.1


def test_ddpm_is_the_librarys():
    config = replace(SMALL, steps=60)
    model, labels = stirred(config), torch.eye(24)[:2]
    mine = lab.ddpm_sample(model, labels, 2.0, seed=3)
    found = follow(lab.scheduler_like(DDPMScheduler, config), model, labels, 60, 2.0, 3)
    torch.testing.assert_close(mine, found, rtol=0, atol=1e-4)


def test_a_sample_depends_on_the_seed_and_on_nothing_else():
    model, labels = stirred(SMALL), torch.eye(24)[:2]
    first = lab.ddim_sample(model, labels, 3, seed=1)
    torch.rand(7)
    assert torch.equal(first, lab.ddim_sample(model, labels, 3, seed=1))
    assert not torch.equal(first, lab.ddim_sample(model, labels, 3, seed=2))


def test_watchers_see_every_step():
    model, seen = stirred(SMALL), []
    lab.ddim_sample(model, torch.eye(24)[:1], 4, watch=lambda t, xt, x0: seen.append((t, x0.abs().max())))
    assert [t for t, _ in seen] == [999, 749, 499, 249]
    assert all(largest <= 1 for _, largest in seen)


@pytest.mark.parametrize("sample", [lab.ddim_sample, lab.flow_sample, lab.ddpm_sample])
def test_samplers_run_where_the_network_is(sample):
    """On the meta device nothing is computed, but a tensor that was left on the cpu raises."""
    model = lab.build(replace(SMALL, steps=4)).to("meta")
    how = {lab.ddim_sample: {"steps": 2, "eta": 1.0}, lab.flow_sample: {"steps": 2}}.get(sample, {})
    found = sample(model, torch.zeros(2, 24, device="meta"), guidance=2.0, **how)
    assert found.device.type == "meta" and found.shape == (2, 3, 32, 32)


# --- scores --------------------------------------------------------------------------------------------


def test_the_courses_score_forgives_extra_objects_and_the_exact_one_does_not():
    labels, logits = torch.zeros(3, 24), torch.full((3, 24), -5.0)
    labels[0, [1, 5]] = labels[1, 2] = labels[2, [3, 4, 7]] = 1
    logits[0, [1, 5, 9]] = torch.tensor([4.0, 3.0, 2.0])  # all right, and one too many
    logits[1, 2] = 1.0  # right
    logits[2, [3, 4, 8, 7]] = torch.tensor([4.0, 3.0, 2.0, 1.0])  # two of three, the third comes fourth
    assert lab.course_score(logits, labels) == pytest.approx(5 / 6)
    assert lab.exact_score(logits, labels) == pytest.approx(1 / 3)
    assert lab.course_score(logits[1:2], labels[1:2]) == 1


def test_the_courses_score_counts_labels_and_not_pictures():
    labels, logits = torch.zeros(2, 24), torch.zeros(2, 24)
    labels[0, 0] = labels[1, :3] = 1
    logits[0, 0], logits[1, [10, 11, 12]] = 1, 1
    assert lab.course_score(logits, labels) == pytest.approx(1 / 4)  # and not (1 + 0) / 2


def test_shipped_evaluator_knows_true_pictures():
    _, evaluator = lab.load_shipped("cpu")
    scenes = clevr.generated_scenes(150, "test")
    with torch.no_grad():
        logits = evaluator(lab.pixels(scenes.images))
    assert lab.exact_score(logits, torch.as_tensor(scenes.labels)) > 0.97


def test_the_velocity_is_hardest_at_the_clean_end():
    """What the page says of the lab's pictures: their mean square, and where the shipped network's error is large."""
    model, _ = lab.load_shipped("cpu")
    scenes = clevr.generated_scenes(48)
    x0, labels = lab.pixels(scenes.images), torch.as_tensor(scenes.labels)
    assert x0.square().mean().item() == pytest.approx(0.2, abs=0.03)
    noise, error = torch.randn(x0.shape, generator=dlp.generator(0)), {}
    for t in (0, 400, 999):
        at = torch.full((len(x0),), t)
        with torch.no_grad():
            found = model(lab.q_sample(x0, at, noise, model.alpha_bar), at, labels)
        error[t] = (found - lab.velocity(x0, noise, at, model.alpha_bar)).square().mean().item()
    assert error[0] > 3 * error[999] > 9 * error[400]


@pytest.mark.slow
def test_shipped_network_draws_single_objects_as_asked():
    model, evaluator = lab.load_shipped("cpu")
    assert not model.training and not evaluator.training
    labels = torch.eye(24)
    with torch.no_grad():
        logits = evaluator(lab.ddim_sample(model, labels, 10, 3.0))
    assert lab.course_score(logits, labels) > 0.8


# --- diffusers -----------------------------------------------------------------------------------------


def test_the_pipeline_comes_back_from_disk(tmp_path):
    model = stirred(SMALL)
    vectors = lab.LabelVectors(24, 4 * SMALL.channels[0])
    vectors.linear.load_state_dict(model.label_embedding.state_dict())
    ddim = lab.scheduler_like(DDIMScheduler, SMALL)
    pipeline = lab.LabelPipeline(lab.to_diffusers(model), vectors, ddim)
    pipeline.set_progress_bar_config(disable=True)
    lists = [["red cube"], [], ["cyan sphere", "gray cylinder"]]
    first = pipeline(lists, steps=4, guidance=2.0, seed=5)
    pipeline.save_pretrained(tmp_path)
    assert not list(tmp_path.rglob("*.bin")) and len(list(tmp_path.rglob("*.safetensors"))) == 2
    again = lab.LabelPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(first, again(lists, steps=4, guidance=2.0, seed=5))
    assert not torch.equal(first, again(lists, steps=4, guidance=2.0, seed=6))
    with pytest.raises(ValueError, match="pink cube"):
        again([["pink cube"]], steps=1)
    steps = SMALL.steps - 1
    with pytest.raises(ValueError, match=f"{steps} does not divide {SMALL.steps}"):  # also after loading
        again(lists, steps=steps)


def test_the_pipeline_draws_what_our_sampler_draws():
    model, lists = stirred(SMALL), [["red cube"], ["cyan sphere", "gray cylinder"]]
    vectors = lab.LabelVectors(24, 4 * SMALL.channels[0])
    vectors.linear.load_state_dict(model.label_embedding.state_dict())
    solver = lab.scheduler_like(DPMSolverMultistepScheduler, SMALL)
    pipeline = lab.LabelPipeline(lab.to_diffusers(model), vectors, solver)
    pipeline.set_progress_bar_config(disable=True)
    labels = torch.as_tensor(clevr.multi_hot(lists))
    mine = follow(lab.scheduler_like(DPMSolverMultistepScheduler, SMALL), model, labels, 10, 2.5, 4)
    torch.testing.assert_close(pipeline(lists, 10, 2.5, 4), mine.clamp(-1, 1), rtol=0, atol=1e-4)


def test_batches_are_rows_that_belong_together():
    numbers = np.arange(50)
    batches = lab.Batches(numbers, numbers * 2, batch=8, steps=5, seed=1)
    found = list(batches)
    assert len(batches) == len(found) == 5
    assert all(torch.equal(2 * a, b) and len(a) == 8 for a, b in found)
    assert all(torch.equal(a, c) for (a, _), (c, _) in zip(found, batches, strict=True))
    other = next(iter(lab.Batches(numbers, batch=8, steps=5, seed=2)))
    assert not torch.equal(found[0][0], other[0])


def test_the_librarys_ddim_refuses_step_counts_that_leave_its_grid():
    scheduler = lab.scheduler_like(DDIMScheduler, replace(SMALL, steps=1000))
    with pytest.raises(ValueError, match="300 does not divide 1000; take a divisor, or call ddim_sample"):
        scheduler.set_timesteps(300)
    scheduler.set_timesteps(25)
    assert len(scheduler.timesteps) == 25
    other = lab.scheduler_like(DDPMScheduler, replace(SMALL, steps=1000))
    other.set_timesteps(300)  # the other schedulers look their neighbor up

"""What `dlp.check` asks of the exercises and the bug zoo of the chapter on video generation."""

import math

import numpy as np

from dlp_utils.exercises import Wrong, agrees, call, exercise, expect_close, free_form, interval, number


def _tensor(values):
    import torch

    return torch.tensor(np.asarray(values))


def _pictures(rng, *shape):
    return _tensor(rng.uniform(size=shape))


# --- exercises -----------------------------------------------------------------------------------------

VALUES, LATENTS = 3 * 32 * 64, 12 * 32 * 64

number(
    "video-beta",
    2 * 0.05**2 / VALUES,
    rtol=0.01,
    mistakes=[
        (0.05**2 / VALUES, "Look at the likelihood again: there is a 2 in front of σ²."),
        (2 * 0.05 / VALUES, "σ is the standard deviation. The likelihood has its square."),
        (2 * 0.05**2, "That would be right for a summed squared error. This one is averaged: over how many?"),
        (
            2 * 0.05**2 / LATENTS,
            "Is the 2 on the right side of the fraction? Or did you divide by the number of latents, which are summed?",
        ),
        (2 * 0.05**2 / 1536, "You divided by the number of latents. Which of the two terms is averaged?"),
        (
            0.05**2 / 2,
            "That would be right for a summed squared error, but for the 2. This one is averaged: over how many?",
        ),
        (2 * 0.05**2 / (32 * 64), "A frame has three channels."),
        (VALUES / (2 * 0.05**2), "Turned round: that is the β that a weight of 1 stands for."),
        (1.0, "With a weight of 1 the loss assumes a noise of 55. Which weight assumes 0.05?"),
    ],
)


def _kl_parts(mu_q, log_var_q, mu_p, log_var_p):
    """Ratio of the variances, squared distance in units of p's variance, log ratio, each entry by entry."""
    import torch

    log_ratio = log_var_q - log_var_p
    return torch.exp(log_ratio), (mu_q - mu_p) ** 2 * torch.exp(-log_var_p), log_ratio


def _kl_terms(*args):
    ratio, square, log_ratio = _kl_parts(*args)
    return 0.5 * (ratio + square - 1 - log_ratio)


def _rows(values):
    return values.flatten(1).sum(dim=1)


def _kl_wrong_sign(*args):
    ratio, square, log_ratio = _kl_parts(*args)
    return _rows(0.5 * (ratio + square - 1 + log_ratio))


def _kl_without_one(*args):
    ratio, square, log_ratio = _kl_parts(*args)
    return _rows(0.5 * (ratio + square - log_ratio))


_KL_MISTAKES = [
    (
        lambda mu_q, log_var_q, mu_p, log_var_p: _rows(_kl_terms(mu_p, log_var_p, mu_q, log_var_q)),
        "That is KL(p‖q). Under which of the two is the mean taken, and whose variance divides?",
    ),
    (
        lambda *args: _kl_terms(*args).flatten(1).mean(dim=1),
        "The mean over the latents. They are one message together: its cost is a sum.",
    ),
    (
        lambda *args: _kl_terms(*args).sum(),
        "Summed over the batch too. One number for each sample is wanted, shape (B,).",
    ),
    (
        lambda *args: _kl_terms(*args).sum(dim=1),
        "Sum over all axes but the first, however many there are.",
    ),
    (
        lambda *args: 2 * _rows(_kl_terms(*args)),
        "Twice too much: where is the 1/2 of the Gaussian's exponent?",
    ),
    (
        lambda mu_q, log_var_q, mu_p, log_var_p: _rows(_kl_terms(mu_q, 2 * log_var_q, mu_p, 2 * log_var_p)),
        "You read log_var as the logarithm of a standard deviation. It is that of a variance.",
    ),
    (
        lambda mu_q, log_var_q, mu_p, log_var_p: _rows(0.5 * (mu_q**2 + log_var_q.exp() - 1 - log_var_q)),
        "That is the divergence from N(0, I). Here p has a mean and a variance of its own.",
    ),
    (_kl_wrong_sign, "The sign of the logarithm: what does a very narrow q cost?"),
    (_kl_without_one, "For q = p the result must be 0. What is missing in each dimension?"),
]


def _kl_cases(rng):
    for values in ((0.5, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 1.0)):
        yield tuple(_tensor([[value]]) for value in values)
    for shape in ((2, 3), (3, 2, 2, 4)):
        yield tuple(_tensor(rng.normal(size=shape)) for _ in range(4))
    yield tuple(_tensor(np.full((1, 3), value, dtype=np.float32)) for value in (1.0, -120.0, 0.0, 0.0))


def _kl_of_variances(mu_q, log_var_q, mu_p, log_var_p):
    import torch

    a, b = log_var_q.exp(), log_var_p.exp()
    return _rows(0.5 * (torch.log(b / a) + (a + (mu_q - mu_p) ** 2) / b - 1))


_LOGARITHM = "log_var is a logarithm: what turns it into a variance?"


@exercise(
    "video-kl",
    _kl_cases,
    mistakes=[
        (
            _kl_of_variances,
            "Right, until a variance underflows: e^-120 is 0 here, in single precision. You already have the logarithm; "
            "do not take it of an exponential.",
        ),
        *_KL_MISTAKES,
        (
            lambda mu_q, log_var_q, mu_p, log_var_p: _rows(
                0.5 * (log_var_q / log_var_p + (mu_q - mu_p) ** 2 / log_var_p - 1 - log_var_q + log_var_p)
            ),
            _LOGARITHM,
        ),
        (
            lambda mu_q, log_var_q, mu_p, log_var_p: _rows(
                0.5 * ((log_var_p / log_var_q).log() + (log_var_q + (mu_q - mu_p) ** 2) / log_var_p - 1)
            ),
            _LOGARITHM,
        ),
    ],
    hints=[
        (
            lambda args, expected, got: bool((abs(got - expected) < 1e-4 * (1 + abs(expected))).all()),
            "A loss is for learning: no detach, no .data, no no_grad on the way.",
        )
    ],
    differentiable=True,
)
def diagonal_kl(mu_q, log_var_q, mu_p, log_var_p):
    return _rows(_kl_terms(mu_q, log_var_q, mu_p, log_var_p))


@free_form("video-reparam")
def _check_sample(sample, rng):
    import torch

    for shape in ((1, 1), (5,), (2, 3, 4)):
        mu, log_var, noise = (_tensor(rng.normal(size=shape)) for _ in range(3))
        mu.requires_grad_()
        log_var.requires_grad_()
        got = call(sample, mu, log_var, noise)
        if not isinstance(got, torch.Tensor):
            raise Wrong(f"expected a tensor, got {type(got).__name__}.")
        scale = torch.exp(log_var / 2)
        wanted = mu + scale * noise
        mistakes = [
            (mu + torch.exp(log_var) * noise, "That multiplies the noise by the variance."),
            (mu + torch.exp(2 * log_var) * noise, "Half of log s² is log s: divide by 2, do not multiply."),
            (
                mu + log_var / 2 * noise,
                "Half of log_var is log s, still a logarithm: the noise wants s itself.",
            ),
            (mu + log_var * noise, "log_var is a logarithm: what turns it into a standard deviation?"),
            (mu + log_var.sqrt() * noise, "log_var is a logarithm: what turns it into a standard deviation?"),
            (mu + scale, "Where is the noise?"),
            (mu, "Where is the noise?"),
            ((mu + noise) * scale, "The noise is scaled, then the mean is added. The mean is not scaled."),
            (mu + noise, "The noise has standard deviation 1. Scale it."),
            (mu - scale * noise, "The noise is added."),
        ]
        hint = ""
        if not any(agrees(got, value) for value, _ in [(wanted, ""), *mistakes]):
            again = sample(mu.clone(), log_var.clone(), noise.clone())
            if isinstance(again, torch.Tensor) and again.shape == got.shape and not agrees(again, got):
                hint = "Two calls with the same noise differ: use the noise that is given, draw none of your own."
        expect_close(got, wanted, f"a sample of shape {tuple(shape)}", hint=hint, mistakes=mistakes)
        weights = _tensor(rng.normal(size=shape))
        if not got.requires_grad:
            raise Wrong("no gradient flows back.", "No detach, no .data, no no_grad between mu and z.")
        slopes = torch.autograd.grad((got * weights).sum(), (mu, log_var), allow_unused=True)
        for name, slope, right in (
            ("mu", slopes[0], weights),
            ("log_var", slopes[1], (weights * noise * scale / 2).detach()),
        ):
            if slope is None or not slope.abs().any():
                raise Wrong(
                    f"the gradient does not reach {name}.", f"Is {name} detached, or taken through .data?"
                )
            expect_close(slope.to(got.dtype), right, f"the gradient for {name}")


def _position(step, steps, cycles):
    return (step * cycles) % steps / steps


def _schedule_cases(rng):
    yield 0, 8, 1, 0.5
    yield 1, 8, 1, 0.5
    yield 6, 8, 1, 0.5
    yield 3, 8, 0, 0.5
    for step in (5, 12, 20, 24, 25, 40, 99):
        yield step, 100, 4, 0.5
    yield 10, 20, 6, 0.5  # a cycle begins here, and 20 / 6 is rounded
    yield 7, 20, 6, 0.5  # the third cycle began at 6.67, between two steps
    for step in range(0, 23, 2):
        yield step, 23, 5, 0.4
    yield int(rng.integers(1, 90)), 90, 5, 0.3
    yield 50, 70, 2, 1.0


def _by_remainder(step, steps, cycles=4, ratio=0.5):
    if cycles == 0:
        return 1.0
    length = steps / cycles
    return min(1.0, step % length / length / ratio)


def _from_whole_starts(step, steps, cycles, ratio, whole):
    if cycles == 0:
        return 1.0
    starts = [whole(k * steps / cycles) for k in range(cycles)]
    return min(1.0, (step - max(s for s in starts if s <= step)) * cycles / steps / ratio)


@exercise(
    "video-schedule",
    _schedule_cases,
    mistakes=[
        (
            _by_remainder,
            "Right, but for a step where a cycle begins: steps / cycles is rounded, and so is the remainder. "
            "Multiply first, with integers.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: _from_whole_starts(
                step, steps, cycles, ratio, math.floor
            ),
            "A cycle need not begin at a whole step: the third of 6 in 20 steps begins at 6.67.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: _from_whole_starts(step, steps, cycles, ratio, round),
            "A cycle need not begin at a whole step: the third of 6 in 20 steps begins at 6.67.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: (
                min(1.0, step % (steps // cycles) / (steps // cycles) / ratio) if cycles else 1.0
            ),
            "A cycle need not be a whole number of steps long: 6 cycles in 20 steps.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: min(1.0, step / steps / ratio) if cycles else 1.0,
            "That rises once, whatever `cycles` is. Where in its cycle is the step?",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: _position(step, steps, cycles) if cycles else 1.0,
            "The rise takes the whole cycle. It should take the fraction `ratio` of it, and then stay at 1.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: (
                _position(step, steps, cycles) / ratio if cycles else 1.0
            ),
            "After the rise β goes on rising. It should stay at 1.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: (
                min(1.0, ratio * _position(step, steps, cycles)) if cycles else 1.0
            ),
            "`ratio` is the share of the cycle that is spent rising: divide by it.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: (
                1 - min(1.0, _position(step, steps, cycles) / ratio) if cycles else 1.0
            ),
            "This falls. A cycle starts with a free latent: β at 0.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: (
                min(1.0, _position(step, steps, cycles) / ratio) if cycles else 0.0
            ),
            "No annealing means a full weight from the start.",
        ),
        (
            lambda step, steps, cycles=4, ratio=0.5: min(
                1.0, _position(step, steps, cycles) / (cycles and ratio)
            ),
            "`cycles=0` stands for no annealing: there is no cycle to have a position in.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: args[2] == 0,
            "`cycles=0` stands for no annealing: β is 1 from the start.",
        )
    ],
)
def beta_at(step, steps, cycles=4, ratio=0.5):
    return min(1.0, _position(step, steps, cycles) / ratio) if cycles else 1.0


def _psnr_cases(rng):
    yield _tensor(np.zeros((1, 3, 1, 1))), _tensor(np.full((1, 3, 1, 1), 0.1))
    near = rng.uniform(size=(1, 3, 2, 2))
    yield _tensor(near), _tensor(near)
    for shape in ((2, 3, 4, 4), (3, 3, 2, 6)):
        target = rng.uniform(size=shape)
        errors = rng.normal(size=shape) * np.geomspace(0.01, 0.3, shape[0])[:, None, None, None]
        yield _tensor(target + errors), _tensor(target)


def _mse(prediction, target):
    return ((prediction - target) ** 2).flatten(1).mean(dim=1)


def _db(mse):
    import torch

    return -10 * torch.log10(mse)


@exercise(
    "video-psnr",
    _psnr_cases,
    mistakes=[
        (
            lambda prediction, target: _db(((prediction - target) ** 2).mean()),
            "One number for the whole batch, from one mean over all of it. Which axes belong to a picture?",
        ),
        (
            lambda prediction, target: _db(_mse(prediction, target)).mean(),
            "Right for each picture, but then averaged: return all of them.",
        ),
        (
            lambda prediction, target: 2 * _db(_mse(prediction, target)),
            "20·log₁₀ belongs to the root of the MSE.",
        ),
        (
            lambda prediction, target: _db(_mse(prediction, target)) / 2,
            "10·log₁₀ belongs to the MSE, not to its root.",
        ),
        (
            lambda prediction, target: -_db(_mse(prediction, target)),
            "The sign: a smaller error has more decibels.",
        ),
        (
            lambda prediction, target: _db(_mse(prediction, target)) * math.log(10),
            "Decibels use the logarithm to base 10.",
        ),
        (
            lambda prediction, target: _db(_mse(prediction, target)) + 20 * math.log10(255),
            "The pictures lie between 0 and 1, so the peak is 1, not 255.",
        ),
        (
            lambda prediction, target: _db(((prediction - target) ** 2).flatten(1).sum(dim=1)),
            "The *mean* squared error: divide by the number of values.",
        ),
        (
            lambda prediction, target: _db(((prediction - target) ** 2).mean(dim=(2, 3))).mean(dim=1),
            "One PSNR for each channel, then their mean. Average the squared error over the channels first.",
        ),
        (
            lambda prediction, target: _db((prediction - target).abs().flatten(1).mean(dim=1) ** 2),
            "That is the mean absolute error, squared. Square first, then average.",
        ),
    ],
    hints=[
        (
            lambda args, expected, got: bool((args[0] == args[1]).all()),
            "Equal pictures have an infinite PSNR. A small constant under the logarithm hides that, and caps the scale.",
        )
    ],
)
def picture_psnr(prediction, target):
    return _db(_mse(prediction, target))


interval(
    "video-threshold",
    4.75,
    5.1,
    below="Below λ/σ² the latent should live: the KL at the optimum is ½ log(λ/(βσ²)). Is σ² = 0.1 the variance, and is "
    "your step small enough?",
    above="The page predicts λ/σ². Train longer: close to the threshold the latent dies very slowly.",
)


def _prior_cases(rng):
    yield _tensor([[0.0], [2.0]]), _tensor([[0.0], [0.0]])
    yield _tensor([[1.0], [1.0]]), _tensor([[0.0], [np.log(3.0)]])
    for shape in ((5, 2), (9, 4)):
        yield _tensor(rng.normal(size=shape)), _tensor(rng.normal(size=shape))


def _spread(mu):
    return ((mu - mu.mean(dim=0)) ** 2).mean(dim=0)


@exercise(
    "video-prior",
    _prior_cases,
    mistakes=[
        (
            lambda mu, log_var: (mu.mean(dim=0), log_var.exp().mean(dim=0).log()),
            "As wide as one posterior on average. But the prior must reach all their means, too.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), _spread(mu).log()),
            "That covers the means only. A sample also has the width of its own posterior.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), log_var.mean(dim=0)),
            "The mean of the logarithms is not the logarithm of the mean. And the spread of the means is missing.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), (log_var.mean(dim=0).exp() + _spread(mu)).log()),
            "Average the variances, not their logarithms.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), log_var.exp().mean(dim=0) + _spread(mu)),
            "That is the variance. Its logarithm is asked for.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), (log_var.mean(dim=0) + _spread(mu)).log()),
            "log_var is a logarithm: which variances are averaged?",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), log_var.mean(dim=0) + _spread(mu)),
            "log_var is a logarithm, a spread is not.",
        ),
        (
            lambda mu, log_var: (mu.mean(dim=0), (log_var.exp().mean(dim=0) + mu.var(dim=0)).log()),
            "tensor.var divides by N − 1. The minimum divides by N.",
        ),
        (
            lambda mu, log_var: (mu * 0).mean(dim=0).unsqueeze(0).repeat(2, 1).unbind(0),
            "That is the prior N(0, I), which we have already.",
        ),
    ],
)
def best_prior(mu, log_var):
    return mu.mean(dim=0), (log_var.exp().mean(dim=0) + _spread(mu)).log()


# --- bug zoo -------------------------------------------------------------------------------------------


def _film_cases(rng):
    for frames in (1, 4, 6):
        truth = rng.uniform(0.2, 0.8, size=(frames, 3, 2, 4))
        truth = np.cumsum(0.1 * (truth - 0.5), axis=0) + 0.5
        drift = np.cumsum(0.02 * rng.normal(size=truth.shape), axis=0)
        yield _tensor(truth + drift), _tensor(truth)


def _padded(film):
    import torch

    return torch.cat([film[:1], film[:-1]])


@exercise(
    "video-zoo-reference",
    _film_cases,
    mistakes=[
        (
            lambda generated, truth: _db(_mse(generated, truth) + 1e-8),
            "The constant under the logarithm caps the scale. Equal frames may score infinity.",
        ),
        (
            lambda generated, truth: _db(_mse(generated, truth))[1:],
            "One number for each of the T frames: none is left out.",
        ),
        (
            lambda generated, truth: _db(_mse(generated[1:], generated[:-1])),
            "That is the bug: the reference is the generated frame before. A film that freezes would score infinity.",
        ),
        (
            lambda generated, truth: _db(_mse(generated, _padded(generated))),
            "That is the bug: the reference is the generated frame before. A film that freezes would score infinity.",
        ),
        (
            lambda generated, truth: _db(_mse(generated[1:], truth[:-1])),
            "Off by one: frame t belongs to the true frame t.",
        ),
        (
            lambda generated, truth: _db(_mse(generated, _padded(truth))),
            "Off by one: frame t belongs to the true frame t.",
        ),
        (
            lambda generated, truth: _db(((generated - truth) ** 2).mean()),
            "One number for the film. A curve over time shows the drift: one for each frame.",
        ),
        (
            lambda generated, truth: _db(_mse(generated, truth)).mean(),
            "One number for the film. A curve over time shows the drift: one for each frame.",
        ),
        (
            lambda generated, truth: _db(_mse(generated, truth[:1])),
            "Every frame is compared with the first one.",
        ),
    ],
)
def rollout_psnr(generated, truth):
    return _db(_mse(generated, truth))


@free_form("video-zoo-leaky")
def _check_block(block, rng):
    import torch

    for c_in, c_out in ((1, 2), (3, 5)):
        module = block(c_in, c_out)
        name = f"block({c_in}, {c_out})"
        if not isinstance(module, torch.nn.Module):
            raise Wrong(f"{name} is no torch module, but {type(module).__name__}.")
        convolutions = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)]
        if len(convolutions) != 1 or convolutions[0].kernel_size != (3, 3):
            raise Wrong(f"{name} should hold one 3×3 convolution.", "One Conv2d with kernel_size=3.")
        x = _tensor(rng.normal(size=(2, c_in, 5, 7))).float()
        with torch.no_grad():
            before = convolutions[0](x)
            got = call(module, x)
        if got.shape != (2, c_out, 5, 7):
            raise Wrong(
                f"{name} turns {tuple(x.shape)} into {tuple(got.shape)}.",
                "A 3×3 convolution needs one pixel of padding on each side to keep the size, and c_out channels.",
            )
        slope = float((got[before < 0] / before[before < 0]).median())
        hint = ""
        if agrees(got, before, rtol=1e-4, atol=1e-6):
            hint = (
                "No bend: this is the identity. What is LeakyReLU's first argument, and which number is True?"
            )
        elif agrees(got, before.clamp(min=0), rtol=1e-4, atol=1e-6):
            hint = "That is a plain ReLU: the slope for negative inputs should be 0.01."
        wanted = torch.where(before > 0, before, 0.01 * before)
        expect_close(
            got,
            wanted,
            f"{name}: the slope for negative inputs is {slope:.3g}, wanted 0.01",
            rtol=1e-4,
            atol=1e-6,
            hint=hint,
        )


@free_form("video-zoo-eval", methods=("evaluate",))
def _check_evaluate(model_class, rng):
    import torch

    class Net(torch.nn.Module):
        """Batch norm and dropout, and a diary of how it was called."""

        def __init__(self):
            super().__init__()
            self.norm, self.drop, self.calls = torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5), []

        def forward(self, x):
            self.calls.append((self.training, torch.is_grad_enabled()))
            return self.drop(self.norm(x))

    for mode in (True, False):
        net = Net()
        net.norm.running_mean += 0.7
        model = model_class(net)
        if not isinstance(model, torch.nn.Module):
            raise Wrong(f"expected a torch module, got {type(model).__name__}.")
        model.train(mode)
        before = net.norm.running_mean.clone()
        x, target = (_tensor(rng.normal(size=(6, 3))).float() for _ in range(2))
        got = call(model.evaluate, x, target)
        if not net.calls:
            raise Wrong("evaluate never calls self.net.")
        if net.calls[-1][0]:
            raise Wrong(
                "batch norm and dropout were in training mode during evaluate.",
                "Which method of nn.Module switches the mode, and is it still there?",
            )
        if not torch.equal(net.norm.running_mean, before):
            raise Wrong("evaluate changed batch norm's running mean.", "Switch to evaluation mode first.")
        if net.calls[-1][1]:
            raise Wrong("evaluate computes gradients.", "torch.no_grad() saves memory and time here.")
        with torch.no_grad():
            net.eval()
            expected = float(((net(x) - target) ** 2).mean())
            net.train(mode)
        if isinstance(got, torch.Tensor):
            raise Wrong("evaluate returns a tensor.", "A float is asked for: .item().")
        expect_close(got, expected, "the mean squared error", rtol=1e-5)
        model.train(mode)
        model.evaluate(x, target)
        if model.training != mode or net.training != mode:
            raise Wrong(
                f"before the call the mode was training={mode}, after it training={model.training}.",
                "Remember self.training before you switch, and go back to it.",
            )
        model.train()
        switched = model.eval()
        if net.training or net.norm.training or switched is not model:
            raise Wrong(
                "model.eval() does not switch the parts of the model.",
                "Your class hides nn.Module.eval. Give the method another name.",
            )


@free_form("video-zoo-coin")
def _check_coin(previous_frame, rng):
    import torch

    batch, shape = 400, (3, 2, 4)
    truth = _pictures(rng, batch, *shape)
    generated = truth + 2  # every value tells where it came from
    seen = {}
    for ratio in (0.0, 1.0, 0.7):
        generator = torch.Generator().manual_seed(1)
        got = call(
            lambda *frames, ratio=ratio, generator=generator: previous_frame(*frames, ratio, generator),
            truth,
            generated,
        )
        if not isinstance(got, torch.Tensor) or got.shape != truth.shape:
            kind = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
            raise Wrong(f"got {kind}, wanted a tensor of shape {tuple(truth.shape)}.")
        got = got.double()
        true, painted = (got - truth).abs() < 1e-3, (got - generated).abs() < 1e-3
        if not (true | painted).all():
            raise Wrong(
                f"with ratio {ratio} some values are neither true nor generated.",
                "Choose one of the two frames, do not blend them.",
            )
        share = true.flatten(1).double().mean(dim=1)
        if ((share > 0) & (share < 1)).any():
            raise Wrong(
                f"with ratio {ratio} one frame is true in some pixels and generated in others.",
                "One coin for a clip, not for each pixel: shape (B, 1, 1, 1).",
            )
        seen[ratio] = float(share.mean())
        if ratio == 0.7:
            if seen[ratio] in (0.0, 1.0):
                raise Wrong(
                    f"with ratio {ratio} all {batch} clips have the same coin.", "Each clip tosses its own."
                )
            again = previous_frame(truth.clone(), generated.clone(), ratio, generator)
            if agrees(again, got):
                raise Wrong(
                    "two calls in a row give the same coins.",
                    "The generator goes on by itself. Do not seed it anew at each step.",
                )
            repeat = previous_frame(truth.clone(), generated.clone(), ratio, torch.Generator().manual_seed(1))
            if not agrees(repeat, got):
                raise Wrong(
                    "the same generator state gives other coins.",
                    "Take all random numbers from `generator`: torch.rand(…, generator=generator).",
                )
    if seen[0.0] == 1 and seen[1.0] == 0:
        raise Wrong("ratio 1 gives the generated frame.", "`ratio` is the probability of the TRUE frame.")
    if seen[0.0] != 0 or seen[1.0] != 1:
        raise Wrong(f"ratio 0 gives {seen[0.0]:.0%} true frames, ratio 1 gives {seen[1.0]:.0%}.")
    if abs(seen[0.7] - 0.7) > 0.12:
        hint = "`ratio` is the probability of the TRUE frame." if abs(seen[0.7] - 0.3) < 0.12 else ""
        raise Wrong(f"with ratio 0.7 the share of true frames is {seen[0.7]:.2f}.", hint)


def _clip_cases(rng):
    yield (_tensor(np.arange(18.0).reshape(2, 3, 3, 1, 1)),)
    for batch, steps in ((4, 4), (3, 5)):
        yield (_pictures(rng, batch, steps, 3, 2, 4),)


@exercise(
    "video-zoo-view",
    _clip_cases,
    mistakes=[
        (
            lambda clips: clips.reshape(clips.shape[1], clips.shape[0], *clips.shape[2:]),
            "The shape is right, the contents are not: time step 0 holds frames of the first clip only. view and reshape "
            "never exchange axes.",
        ),
        (lambda clips: clips, "Nothing moved: the first axis should be time."),
        (
            lambda clips: clips.flatten(0, 1),
            "Batch and time have become one axis. Both are wanted, exchanged.",
        ),
        (
            lambda clips: clips.flip(0).transpose(0, 1),
            "The clips come in another order. Clip b stays clip b.",
        ),
    ],
)
def time_first(clips):
    return clips.transpose(0, 1)


def _elbo_cases(rng):
    for batch, channels, size in ((1, 1, 1), (2, 2, 2), (3, 4, 3)):
        frames = [_pictures(rng, batch, 3, size, 2 * size) for _ in range(2)]
        latents = [_tensor(rng.normal(size=(batch, channels, size, 2 * size))) for _ in range(2)]
        yield (*frames, *latents, float(rng.uniform(0.1, 0.6)))


def _squares(prediction, target):
    return _rows((prediction - target) ** 2)


def _kl_to_prior(mu, log_var):
    return _rows(0.5 * (mu**2 + log_var.exp() - 1 - log_var))


def _elbo(prediction, target, mu, log_var, sigma):
    return _squares(prediction, target) / (2 * sigma**2) + _kl_to_prior(mu, log_var)


@exercise(
    "video-zoo-sum",
    _elbo_cases,
    mistakes=[
        (
            lambda prediction, target, mu, log_var, sigma: (
                _mse(prediction, target) + _kl_to_prior(mu, log_var)
            ).mean(),
            "That is the bug: one term averaged, the other summed. How many values has a frame?",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _mse(prediction, target) / (2 * sigma**2) + _kl_to_prior(mu, log_var)
            ).mean(),
            "The squared error is averaged over the frame, the divergence is summed over the latent. Sum both.",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _mse(prediction, target) / (2 * sigma**2) + _kl_to_prior(mu, log_var) / mu[0].numel()
            ).mean(),
            "Each term is divided by its own count, and the counts differ. Sum both.",
        ),
        (lambda *args: _elbo(*args).sum(), "Sum over a sample, but average over the batch."),
        (lambda *args: _elbo(*args), "One number for the batch: the mean over its samples."),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) + _kl_to_prior(mu, log_var)
            ).mean(),
            "Where is σ? The likelihood divides by 2σ².",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) / sigma**2 + _kl_to_prior(mu, log_var)
            ).mean(),
            "There is a 2 in front of σ² in the likelihood.",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) / (2 * sigma) + _kl_to_prior(mu, log_var)
            ).mean(),
            "The likelihood divides by the variance, not by the standard deviation.",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) / (2 * sigma**2) - _kl_to_prior(mu, log_var)
            ).mean(),
            "The ELBO subtracts the divergence. What does the *negative* ELBO do?",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _elbo(prediction, target, mu, log_var, sigma)
                + prediction[0].numel() / 2 * math.log(2 * math.pi * sigma**2)
            ).mean(),
            "With the constant of the Gaussian: correct, but here it is left out.",
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) / (2 * sigma**2)
                + _rows(0.5 * (mu**2 + log_var - 1 - log_var.log()))
            ).mean(),
            _LOGARITHM,
        ),
        (
            lambda prediction, target, mu, log_var, sigma: (
                _squares(prediction, target) / (2 * sigma**2) + _rows(0.5 * (mu**2 + log_var - 1 - log_var))
            ).mean(),
            _LOGARITHM,
        ),
    ],
    differentiable=True,
)
def negative_elbo(prediction, target, mu, log_var, sigma):
    return _elbo(prediction, target, mu, log_var, sigma).mean()


@free_form("video-zoo-checkpoint")
def _check_checkpoint(checkpoint, rng):
    import torch

    def pair():
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.Adam(model.parameters(), lr=0.05)

    def train(model, optimizer, steps):
        for k in range(steps):
            optimizer.zero_grad()
            ((model(inputs[k]) - 1) ** 2).mean().backward()
            optimizer.step()

    inputs = _tensor(rng.normal(size=(6, 4, 3))).float()
    model, optimizer = pair()
    train(model, optimizer, 4)
    state = checkpoint(model, optimizer)
    if not isinstance(state, dict) or set(state) != {"model", "optimizer"}:
        keys = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise Wrong(f"got {keys}, wanted a dict with the keys 'model' and 'optimizer'.")
    if isinstance(state["model"], torch.nn.Module) or isinstance(state["optimizer"], torch.optim.Optimizer):
        raise Wrong("the objects themselves are stored.", "Their state_dict() is enough, and safe to load.")
    for key, value in state.items():
        if not isinstance(value, dict):
            raise Wrong(f"under {key!r} there is {type(value).__name__}, wanted a state_dict.")
    if "param_groups" not in state["optimizer"]:
        raise Wrong(
            f"under 'optimizer' there is {', '.join(list(state['optimizer'])[:2])}: those are the model's weights.",
            "That is the bug. Whose state_dict belongs there?",
        )
    if "weight" not in state["model"]:
        raise Wrong("under 'model' there are no weights.", "Are the two exchanged?")
    saved = model.weight.detach().clone()
    train(model, optimizer, 2)
    if not torch.equal(state["model"]["weight"], saved):
        raise Wrong(
            "two steps later the stored weights have changed.",
            "state_dict() holds references to the living tensors. Copy them.",
        )
    other, its_optimizer = pair()
    other.load_state_dict(state["model"])
    its_optimizer.load_state_dict(state["optimizer"])
    train(other, its_optimizer, 2)
    if not agrees(other.weight, model.weight, rtol=1e-5, atol=1e-6):
        raise Wrong(
            "a run that is resumed goes another way than the one that went on.",
            "The optimizer's moments have changed since, or are missing. Copy them as well.",
        )

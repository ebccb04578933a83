"""The exercises of the chapter on video generation: wrong answers that readers give, and the hint each must get."""

import copy
import math

import numpy as np
import torch
from torch import nn


def terms(mu_q, log_var_q, mu_p, log_var_p):
    gap = log_var_q - log_var_p
    return ((mu_q - mu_p) ** 2 / log_var_p.exp() + gap.expm1() - gap) / 2


def rows(values):
    return values.flatten(1).sum(1)


def naive_kl(mu_q, log_var_q, mu_p, log_var_p):
    a, b = log_var_q.exp(), log_var_p.exp()
    return rows(0.5 * (torch.log(b / a) + (a + (mu_q - mu_p) ** 2) / b - 1))


def position(step, steps, cycles):
    return step * cycles % steps / steps


def remainder(step, steps, cycles=4, ratio=0.5):
    if cycles == 0:
        return 1.0
    cycle = steps / cycles
    return min(1.0, (step % cycle) / (ratio * cycle))


def only_once(step, steps, cycles=4, ratio=0.5):
    return 1.0 if cycles == 0 else min(1.0, step / (ratio * steps))


def whole_cycle(step, steps, cycles=4, ratio=0.5):
    return 1.0 if cycles == 0 else position(step, steps, cycles)


def unbounded(step, steps, cycles=4, ratio=0.5):
    return 1.0 if cycles == 0 else position(step, steps, cycles) / ratio


def floored_starts(step, steps, cycles=4, ratio=0.5):
    if cycles == 0:
        return 1.0
    k = max(k for k in range(cycles) if k * steps // cycles <= step)
    return min(1.0, (step - k * steps // cycles) / (steps / cycles) / ratio)


def whole_lengths(step, steps, cycles=4, ratio=0.5):
    length = steps // cycles if cycles else 1
    return min(1.0, step % length / length / ratio) if cycles else 1.0


def exact_fractions(step, steps, cycles=4, ratio=0.5):
    from fractions import Fraction

    if not cycles:
        return 1.0
    length = Fraction(steps, cycles)
    return float(min(1, (step - step // length * length) / length / Fraction(ratio)))


def scanned(step, steps, cycles=4, ratio=0.5):
    """Walks to the step, adding cycles / steps each time, in integers."""
    if cycles == 0:
        return 1
    numerator = 0
    for _ in range(step):
        numerator += cycles
        if numerator >= steps:
            numerator -= steps
    return np.float32(np.clip(numerator / steps / ratio, 0, 1))


def kl_in_a_loop(mu_q, log_var_q, mu_p, log_var_p):
    out = []
    for row in zip(mu_q, log_var_q, mu_p, log_var_p, strict=True):
        a, b, c, d = (part.double().flatten() for part in row)
        out.append(sum(((d - b) + (b - d).exp() + (a - c) ** 2 * (-d).exp() - 1) / 2))
    return torch.stack(out)


def sampled_in_place(mu, log_var, noise):
    z = (log_var.float() / 2).exp_()
    z = z * noise
    z += mu
    return z


def coin_loop(truth, generated, ratio, generator):
    film = generated.clone()
    for i in range(len(truth)):
        if torch.rand((), generator=generator) < ratio:
            film[i] = truth[i]
    return film.float()


def coin_bernoulli(truth, generated, ratio, generator):
    p = torch.full((len(truth), 1, 1, 1), ratio)
    coin = torch.bernoulli(p, generator=generator).double()
    return coin * truth + (1 - coin) * generated


def changing_truth(truth, generated, ratio, generator):
    for i in range(len(truth)):
        if torch.rand((), generator=generator) >= ratio:
            truth[i] = generated[i]
    return truth


def no_cycles(step, steps, cycles=4, ratio=0.5):
    return min(1.0, (step * cycles) % steps / steps / ratio) if cycles else 0.0


def divides_by_zero(step, steps, cycles=4, ratio=0.5):
    1 / cycles
    return min(1.0, (step * cycles) % steps / steps / ratio)


def mse(a, b):
    return ((a - b) ** 2).mean(dim=(1, 2, 3))


def db(values):
    return 10 * torch.log10(1 / values)


def to_prior(mu, log_var):
    return rows(0.5 * (mu**2 + log_var.exp() - 1 - log_var))


def squares(a, b):
    return ((a - b) ** 2).sum(dim=(1, 2, 3))


def block_with(activation, padding=1):
    def block(c_in, c_out):
        return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=padding), activation())

    return block


class Base(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net


class Hidden(Base):
    def eval(self, *data):
        return self

    def evaluate(self, x, target):
        mode = self.training
        nn.Module.eval(self)
        with torch.no_grad():
            error = ((self.net(x) - target) ** 2).mean().item()
        self.train(mode)
        return error


class Awake(Base):
    def evaluate(self, x, target):
        with torch.no_grad():
            return ((self.net(x) - target) ** 2).mean().item()


class Asleep(Base):
    def evaluate(self, x, target):
        self.eval()
        with torch.no_grad():
            return ((self.net(x) - target) ** 2).mean().item()


class AlwaysBack(Base):
    def evaluate(self, x, target):
        self.eval()
        with torch.no_grad():
            error = ((self.net(x) - target) ** 2).mean().item()
        self.train()
        return error


class WithGraph(Base):
    def evaluate(self, x, target):
        mode = self.training
        self.eval()
        error = ((self.net(x) - target) ** 2).mean().item()
        self.train(mode)
        return error


def coins(shape, ratio, generator):
    return torch.rand(shape, generator=generator) < ratio


def one_coin(truth, generated, ratio, generator):
    return truth if coins((1,), ratio, generator) else generated


def pixel_coins(truth, generated, ratio, generator):
    return torch.where(coins(truth.shape, ratio, generator), truth, generated)


def blend(truth, generated, ratio, generator):
    return ratio * truth + (1 - ratio) * generated


def inverted(truth, generated, ratio, generator):
    return torch.where(coins((len(truth), 1, 1, 1), ratio, generator), generated, truth)


def seeded(truth, generated, ratio, generator):
    generator = torch.Generator().manual_seed(0)
    return torch.where(coins((len(truth), 1, 1, 1), ratio, generator), truth, generated)


def own_randomness(truth, generated, ratio, generator):
    return torch.where(torch.rand(len(truth), 1, 1, 1) < ratio, truth, generated)


# id: [(wrong answer, part of the hint that it must get)]
WRONG = {
    "video-beta": [
        (1.0, "assumes a noise of 55"),
        (4.07e-7, "a 2 in front"),
        (0.005, "averaged"),
        (2.03e-7, "right side of the fraction"),
        (3.26e-6, "You divided by the number of latents"),
        (0.00125, "but for the 2"),
        (1.63e-5, "likelihood has its square"),
        (1228800, "Turned round"),
    ],
    "video-kl": [
        (lambda a, b, c, d: rows(terms(c, d, a, b)), "KL(p‖q)"),
        (lambda *args: terms(*args).flatten(1).mean(1), "one message"),
        (lambda *args: terms(*args).sum(), "Summed over the batch"),
        (lambda *args: 2 * rows(terms(*args)), "1/2"),
        (lambda a, b, c, d: rows(terms(a, 2 * b, c, 2 * d)), "standard deviation"),
        (lambda a, b, c, d: to_prior(a, b), "a mean and a variance of its own"),
        (lambda *args: rows(terms(*args) + 0.5), "For q = p"),
        (lambda *args: rows(terms(*args)).detach(), "no detach"),
        (lambda a, b, c, d: rows((d - b) / 2 + (b + (a - c) ** 2) / (2 * d) - 0.5), "is a logarithm"),
        (
            lambda a, b, c, d: rows(torch.log(d / b) / 2 + (b + (a - c) ** 2) / (2 * d) - 0.5),
            "is a logarithm",
        ),
        (naive_kl, "underflows"),
    ],
    "video-reparam": [
        (lambda mu, log_var, noise: mu + log_var.exp() * noise, "by the variance"),
        (lambda mu, log_var, noise: mu + (2 * log_var).exp() * noise, "do not multiply"),
        (lambda mu, log_var, noise: mu + log_var / 2 * noise, "still a logarithm"),
        (lambda mu, log_var, noise: mu + log_var * noise, "is a logarithm"),
        (lambda mu, log_var, noise: mu + (log_var.abs() ** 0.5) * noise, ""),
        (lambda mu, log_var, noise: mu + log_var.abs().sqrt().float() * noise, ""),
        (lambda mu, log_var, noise: mu + (0.5 * log_var).exp() * torch.randn_like(mu), "draw none"),
        (lambda mu, log_var, noise: (mu + (0.5 * log_var).exp() * noise).detach(), "No detach"),
        (lambda mu, log_var, noise: mu + (0.5 * log_var).exp().detach() * noise, "Is log_var detached"),
        (lambda mu, log_var, noise: torch.normal(mu, (0.5 * log_var).exp()), "draw none"),
    ],
    "video-schedule": [
        (only_once, "rises once"),
        (whole_cycle, "whole cycle"),
        (unbounded, "stay at 1"),
        (remainder, "Multiply first"),
        (floored_starts, "need not begin at a whole step"),
        (whole_lengths, "whole number of steps long"),
        (no_cycles, "full weight from the start"),
        (divides_by_zero, "no cycle to have a position in"),
    ],
    "video-psnr": [
        (lambda a, b: db(((a - b) ** 2).mean()), "whole batch"),
        (lambda a, b: db(mse(a, b)).mean(), "return all of them"),
        (lambda a, b: 2 * db(mse(a, b)), "20·log"),
        (lambda a, b: db(mse(a, b)) / 2, "not to its root"),
        (lambda a, b: 20 * math.log10(255) + db(mse(a, b)), "not 255"),
        (lambda a, b: db(mse(a, b) + 1e-8), "infinite PSNR"),
        (lambda a, b: db(((a - b) ** 2).mean(dim=(2, 3))).mean(1), "each channel"),
        (lambda a, b: -torch.log(mse(a, b)) * 10, "base 10"),
    ],
    "video-threshold": [(2.0, "should live"), (7.5, "Train longer"), (0.5, "should live")],
    "video-prior": [
        (lambda mu, log_var: (mu.mean(0), log_var.exp().mean(0).log()), "reach all their means"),
        (lambda mu, log_var: (mu.mean(0), mu.var(0, correction=0).log()), "covers the means only"),
        (
            lambda mu, log_var: (mu.mean(0), (log_var.mean(0) + mu.var(0, correction=0)).log()),
            "is a logarithm",
        ),
        (lambda mu, log_var: (mu.mean(0), log_var.mean(0)), "mean of the logarithms"),
        (lambda mu, log_var: (mu.mean(0), log_var.exp().mean(0) + mu.var(0, correction=0)), "Its logarithm"),
        (lambda mu, log_var: (mu.mean(0), (log_var.exp().mean(0) + mu.var(0)).log()), "N − 1"),
    ],
    "video-zoo-reference": [
        (lambda film, truth: db(mse(film[1:], film[:-1])), "That is the bug"),
        (lambda film, truth: db(mse(film, truth) + 1e-8), "caps the scale"),
        (lambda film, truth: db(mse(film, truth))[1:], "none is left out"),
        (lambda film, truth: db(mse(film, torch.cat([film[:1], film])[:-1])), "That is the bug"),
        (lambda film, truth: db(mse(film[1:], truth[:-1])), "Off by one"),
        (lambda film, truth: db(mse(film, truth).mean()), "One number for the film"),
        (lambda film, truth: db(mse(film, truth[:1])), "first one"),
    ],
    "video-zoo-leaky": [
        (block_with(lambda: nn.LeakyReLU(True)), "this is the identity"),
        (block_with(nn.ReLU), "plain ReLU"),
        (block_with(lambda: nn.LeakyReLU(0.01), padding=0), "padding"),
        (lambda c_in, c_out: nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.LeakyReLU()), "kernel_size=3"),
    ],
    "video-zoo-eval": [
        (Awake, "switches the mode"),
        (Asleep, "go back to it"),
        (AlwaysBack, "go back to it"),
        (WithGraph, "no_grad"),
        (Hidden, "another name"),
    ],
    "video-zoo-coin": [
        (one_coin, "Each clip tosses its own"),
        (pixel_coins, "One coin for a clip"),
        (blend, "do not blend"),
        (inverted, "TRUE frame"),
        (changing_truth, "Work on a copy"),
        (lambda *args: one_coin(*args).float(), "Each clip tosses its own"),
        (seeded, "Do not seed"),
        (own_randomness, "Take all random numbers"),
    ],
    "video-zoo-view": [
        (
            lambda clips: clips.contiguous().view(clips.shape[1], clips.shape[0], *clips.shape[2:]),
            "never exchange",
        ),
        (lambda clips: clips.clone(), "Nothing moved"),
        (lambda clips: clips.reshape(-1, *clips.shape[2:]), "one axis"),
    ],
    "video-zoo-sum": [
        (
            lambda a, b, mu, lv, sigma: torch.nn.functional.mse_loss(a, b) + to_prior(mu, lv).mean(),
            "That is the bug",
        ),
        (
            lambda a, b, mu, lv, sigma: (mse(a, b) / (2 * sigma**2) + to_prior(mu, lv)).mean(),
            "averaged over the frame",
        ),
        (lambda a, b, mu, lv, sigma: (squares(a, b) + to_prior(mu, lv)).mean(), "Where is σ"),
        (lambda a, b, mu, lv, sigma: (squares(a, b) / sigma**2 + to_prior(mu, lv)).mean(), "a 2 in front"),
        (
            lambda a, b, mu, lv, sigma: (squares(a, b) / sigma**2 / 2 + to_prior(mu, lv)).sum(),
            "average over the batch",
        ),
        (
            lambda a, b, mu, lv, sigma: (squares(a, b) / sigma**2 / 2 - to_prior(mu, lv)).mean(),
            "*negative* ELBO",
        ),
        (
            lambda a, b, mu, lv, sigma: (squares(a, b) / sigma**2 / 2 + rows(mu**2 + lv - 1 - lv) / 2).mean(),
            "is a logarithm",
        ),
        (
            lambda a, b, mu, lv, sigma: (squares(a, b) / sigma**2 / 2 + to_prior(mu, lv)).mean().detach(),
            "",
        ),
    ],
    "video-zoo-checkpoint": [
        (
            lambda model, optimizer: {
                "model": copy.deepcopy(model.state_dict()),
                "optimizer": copy.deepcopy(model.state_dict()),
            },
            "That is the bug",
        ),
        (
            lambda model, optimizer: {"model": model.state_dict(), "optimizer": optimizer.state_dict()},
            "holds references",
        ),
        (
            lambda model, optimizer: {
                "model": copy.deepcopy(model.state_dict()),
                "optimizer": optimizer.state_dict(),
            },
            "moments",
        ),
        (lambda model, optimizer: {"model": model, "optimizer": optimizer}, "state_dict() is enough"),
    ],
}


# id: [right answers in another form than the solution of the page]
RIGHT = {
    "video-kl": [
        kl_in_a_loop,
        lambda a, b, c, d: rows(terms(a, b, c, d)).float(),
        lambda a, b, c, d: (
            ((b - d).expm1() - (b - d) + ((a - c) * (-d / 2).exp()) ** 2).flatten(1).sum(1) / 2
        ),
    ],
    "video-reparam": [
        sampled_in_place,
        lambda mu, log_var, noise: torch.addcmul(mu, log_var.exp().sqrt(), noise),
        lambda mu, log_var, noise: (mu + log_var.exp() ** 0.5 * noise).float(),
    ],
    "video-schedule": [exact_fractions, scanned],
    "video-psnr": [
        lambda a, b: torch.stack(
            [10 * (1 / ((x - y) ** 2).mean()).log10() for x, y in zip(a, b, strict=True)]
        ),
        lambda a, b: -20 * (a - b).float().flatten(1).norm(dim=1).div((a[0].numel()) ** 0.5).log10(),
    ],
    "video-prior": [
        lambda mu, log_var: (
            mu.mean(0),
            (log_var.exp().mean(0) + (mu**2).mean(0) - mu.mean(0) ** 2).log(),
        ),
        lambda mu, log_var: [mu.mean(0).float(), (log_var.exp().mean(0) + mu.var(0, correction=0)).log()],
    ],
    "video-zoo-reference": [
        lambda film, truth: torch.stack(
            [db(((a - b) ** 2).mean()) for a, b in zip(film, truth, strict=True)]
        ),
        lambda film, truth: db(mse(film.float(), truth.float())),
    ],
    "video-zoo-leaky": [
        lambda c_in, c_out: nn.Sequential(
            nn.Conv2d(c_in, c_out, (3, 3), padding="same"), nn.LeakyReLU(0.01, inplace=True)
        ),
        lambda c_in, c_out: nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.LeakyReLU()),
    ],
    "video-zoo-coin": [coin_loop, coin_bernoulli],
    "video-zoo-view": [
        lambda clips: clips.permute(1, 0, 2, 3, 4).contiguous(),
        lambda clips: torch.stack(list(clips), dim=1),
    ],
    "video-zoo-sum": [
        lambda a, b, mu, lv, sigma: (
            (0.5 * ((a - b) / sigma) ** 2).sum() / len(a) + 0.5 * (mu**2 + lv.expm1() - lv).sum() / len(a)
        ),
        lambda a, b, mu, lv, sigma: (
            torch.stack([((x - y) ** 2).sum() / (2 * sigma**2) for x, y in zip(a, b, strict=True)]).mean()
            + to_prior(mu, lv).mean()
        ),
    ],
}

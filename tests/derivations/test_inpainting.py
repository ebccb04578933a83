"""Each numbered claim of book/inpainting.md, checked: symbolically, by
autograd, by enumeration, or by simulation.
"""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from scipy import integrate, linalg, optimize, stats
from torch.utils.flop_counter import FlopCounterMode

from verifies import mean_within, verifies

SCHEDULES = {
    "cosine": (
        lambda r: math.cos(math.pi * r / 2),
        lambda m: 2 / math.pi * math.acos(m),
    ),
    "linear": (lambda r: 1 - r, lambda m: 1 - m),
    "square": (lambda r: 1 - r**2, lambda m: math.sqrt(1 - m)),
    "one minus root": (lambda r: 1 - math.sqrt(r), lambda m: (1 - m) ** 2),
}


def positive(size, rng):
    factor = rng.normal(size=(size, size + 2))
    return factor @ factor.T / (size + 2)


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T


def soft(scores, temperature):
    e = np.exp((scores - scores.max()) / temperature)
    return e / e.sum()


def entropy(p):
    p = np.asarray(p).ravel()
    return -np.sum(p[p > 0] * np.log(p[p > 0]))


def kl(p, q):
    return np.sum(p * np.log(p / q))


# --- words -------------------------------------------------------------------


@verifies("eq-inpainting-bits")
def test_bits_of_a_grid_of_tokens():
    # All grids of a small case, numbered: N log2 K binary digits are what it
    # takes to tell them apart.
    for tokens, codes in ((3, 4), (2, 8)):
        grids = list(itertools.product(range(codes), repeat=tokens))
        assert len(f"{len(grids) - 1:b}") == tokens * math.log2(codes)
    assert (
        64 * math.log2(512) == 576 and 32 * 32 * 3 * 8 == 24_576
    )  # of the prose
    assert round(24_576 / 576, 1) == 42.7 and round(24_576 / 640, 1) == 38.4


@verifies("eq-inpainting-nearest")
def test_nearest_code_by_one_matrix_product():
    rng = np.random.default_rng(0)
    z, codes = (
        rng.normal(size=(500, 5)),
        rng.normal(size=(11, 5)) * rng.uniform(0.2, 2, size=(11, 1)),
    )
    nearest = np.linalg.norm(z[:, None] - codes, axis=2).argmin(1)
    assert np.array_equal(
        ((codes**2).sum(1) - 2 * z @ codes.T).argmin(1), nearest
    )
    assert len(set(nearest)) > 5


@verifies("eq-inpainting-straight")
def test_straight_through_hands_over_the_gradient_at_the_code():
    generator = torch.Generator().manual_seed(0)
    z, e = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    z.requires_grad_()

    def loss(values):
        return (values**3).sum() + (values[0] * values[1:]).sum()

    z_q = z + (e - z).detach()
    assert torch.allclose(z_q, e)
    (got,) = torch.autograd.grad(loss(z_q), z)
    at_code = torch.autograd.functional.jacobian(loss, e)
    assert torch.allclose(got, at_code)
    assert not torch.allclose(
        got, torch.autograd.functional.jacobian(loss, z.detach()), atol=0.1
    )
    # It is exact for the shift by a constant.
    shift = (e - z).detach()
    assert torch.allclose(
        got,
        torch.autograd.functional.jacobian(
            lambda u: loss(u + shift), z.detach()
        ),
    )


@verifies("eq-inpainting-straight-change")
def test_change_of_the_loss_when_a_border_is_crossed():
    rng = np.random.default_rng(1)
    e, new, t = rng.normal(size=(3, 4))
    change = np.sum((new - t) ** 2) - np.sum((e - t) ** 2)
    assert change == pytest.approx(
        2 * (e - t) @ (new - e) + np.sum((new - e) ** 2), rel=1e-12
    )

    def descend(t, z=0.2, rate=0.05, steps=200):
        losses = []
        for _ in range(steps):
            code = float(z > 0.5)  # codes 0 and 1
            losses.append((code - t) ** 2)
            z -= rate * 2 * (code - t)
        return np.array(losses)

    good, trembling = descend(0.9), descend(0.4)  # the two cases of the prose
    assert good[0] == pytest.approx(0.81) and good[-1] == pytest.approx(0.01)
    assert (
        set(trembling.round(4)) == {0.16, 0.36}
        and np.sum(np.diff(trembling) != 0) > 10
    )


@verifies("eq-inpainting-vq-gradients")
def test_gradients_of_codebook_and_commitment_loss():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(
        40, 3, generator=generator, dtype=torch.float64, requires_grad=True
    )
    codes = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    codes[6] = 100  # nobody's nearest
    codes.requires_grad_()
    beta, tokens = 0.25, torch.cdist(z, codes).argmin(1)
    e = codes[tokens]
    straight = ((z + (e - z).detach()) ** 3).sum()  # a reconstruction loss
    extra = ((z.detach() - e) ** 2).sum(1).mean() + beta * (
        (z - e.detach()) ** 2
    ).sum(1).mean()
    (for_codes,) = torch.autograd.grad(
        straight + extra, codes, retain_graph=True
    )
    (for_z,) = torch.autograd.grad(extra, z)
    for k in range(7):
        claimed = 2 / 40 * (codes[k] - z[tokens == k]).sum(0)
        assert torch.allclose(for_codes[k], claimed)
    assert torch.allclose(for_z, 2 * beta / 40 * (z - e))
    assert not for_codes[6].any() and for_codes[:6].abs().max() > 0.01


@verifies("eq-inpainting-centroid")
def test_squared_error_of_a_cell_splits_at_its_mean():
    z, e = np.random.default_rng(2).normal(size=(9, 4)), np.arange(4.0)
    m = z.mean(0)
    left = np.sum((z - e) ** 2)
    assert left == pytest.approx(
        np.sum((z - m) ** 2) + 9 * np.sum((m - e) ** 2), rel=1e-12
    )


def ema_run(decay=0.8, batches=6, seed=3):
    """Running means of one code: start, the batches that chose it, and its
    values after each update.
    """
    rng = np.random.default_rng(seed)
    start, count = rng.normal(size=2), 1.7
    data = [
        rng.normal(size=(size, 2)) for size in (3, 1, 0, 5, 2, 4)[:batches]
    ]
    nu, s, values = count, count * start, []
    for batch in data:
        before = s / nu
        nu, s = (
            decay * nu + (1 - decay) * len(batch),
            decay * s + (1 - decay) * batch.sum(0),
        )
        values.append((before, nu, s / nu))
    return decay, start, count, data, values


@verifies("eq-inpainting-ema-minimizer")
def test_running_mean_minimizes_a_squared_error_that_forgets():
    decay, start, count, data, values = ema_run()
    steps = len(data)

    def error(e):
        total = decay**steps * count * np.sum((start - e) ** 2)
        for j, batch in enumerate(data, 1):
            total += (
                (1 - decay) * decay ** (steps - j) * np.sum((batch - e) ** 2)
            )
        return total

    best = optimize.minimize(error, np.zeros(2), tol=1e-12).x
    assert np.allclose(best, values[-1][2], atol=1e-6)


@verifies("eq-inpainting-ema-step")
def test_running_mean_is_a_step_towards_the_batch():
    decay, _, _, data, values = ema_run()
    for batch, (before, nu, after) in zip(data, values, strict=True):
        m = batch.mean(0) if len(batch) else 0
        rate = (1 - decay) * len(batch) / nu
        assert np.allclose(after, before + rate * (m - before), rtol=1e-12)
        assert (rate == 0) == (len(batch) == 0) and rate < 1
    # In the long run ν is the number of choices, and the rate 1 − λ.
    nu = 1.7
    for _ in range(200):
        nu = decay * nu + (1 - decay) * 5
    assert (1 - decay) * 5 / nu == pytest.approx(1 - decay)


@verifies("eq-inpainting-perplexity")
def test_perplexity_lies_between_one_and_the_codes_in_use():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.dirichlet(np.full(12, 0.2))
        p[rng.uniform(size=12) < 0.3] = 0
        p[0] += 1e-3
        p /= p.sum()
        assert 1 <= np.exp(entropy(p)) <= np.sum(p > 0) + 1e-9
    assert np.exp(entropy([0, 1, 0])) == 1
    assert np.exp(entropy(np.array([1, 1, 1, 0]) / 3)) == pytest.approx(3)


@verifies("eq-inpainting-rate")
def test_perplexity_bounds_the_information_of_a_grid():
    rng = np.random.default_rng(1)
    for _ in range(50):
        joint = rng.dirichlet(np.full(27, 0.3)).reshape(3, 3, 3)
        places = [
            joint.sum(axis=tuple(j for j in range(3) if j != i))
            for i in range(3)
        ]
        whole, parts, bound = (
            entropy(joint),
            sum(map(entropy, places)),
            3 * entropy(np.mean(places, axis=0)),
        )
        assert whole < parts < bound
    same = np.einsum("i,j,k->ijk", *[[0.2, 0.3, 0.5]] * 3)
    assert entropy(same) == pytest.approx(3 * entropy([0.2, 0.3, 0.5]))


@verifies("eq-inpainting-unused")
def test_codes_seen_in_few_tokens():
    rng = np.random.default_rng(0)
    seen = np.array(
        [len(np.unique(row)) for row in rng.integers(512, size=(20_000, 64))]
    )
    expected = 512 * (1 - (1 - 1 / 512) ** 64)
    mean_within(seen, expected, sharp=1e-3)
    assert expected == pytest.approx(60, abs=0.5)  # of the prose


# --- more than squared error -------------------------------------------------


@verifies("eq-inpainting-blur")
def test_the_best_painting_is_an_average_a_plausible_one_errs_twice():
    rng = np.random.default_rng(0)
    chance = rng.dirichlet(np.ones(5), size=2) * np.array(
        [[0.3], [0.7]]
    )  # (token, picture), joint
    pictures, painted = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3))
    weights = chance.sum(1)
    m = np.sum(chance[..., None] * pictures, axis=1) / weights[:, None]
    left = np.sum(chance * np.sum((pictures - painted[:, None]) ** 2, axis=2))
    open_part = np.sum(chance * np.sum((pictures - m[:, None]) ** 2, axis=2))
    wrong_part = weights @ np.sum((m - painted) ** 2, axis=1)
    assert left == pytest.approx(open_part + wrong_part, rel=1e-12)
    given = chance / weights[:, None]
    pairs = np.sum((pictures[:, :, None] - pictures[:, None]) ** 2, axis=3)
    twice = np.einsum("t,ti,tj,tij->", weights, given, given, pairs)
    assert twice == pytest.approx(2 * open_part, rel=1e-12) and open_part > 0.1


@verifies("eq-inpainting-discriminator")
def test_best_discriminator():
    for p, q in ((0.3, 0.8), (1.5, 0.1)):
        best = optimize.minimize_scalar(
            lambda d, p=p, q=q: -p * math.log(d) - q * math.log(1 - d),
            bounds=(1e-6, 1 - 1e-6),
            method="bounded",
        ).x
        assert best == pytest.approx(p / (p + q), abs=1e-4)


@verifies("eq-inpainting-js")
def test_value_of_the_game_is_a_jensen_shannon_divergence():
    p, q = np.random.default_rng(0).dirichlet(np.ones(6), size=2)
    best = p / (p + q)
    value = p @ np.log(best) + q @ np.log(1 - best)
    middle = (p + q) / 2
    js = 0.5 * kl(p, middle) + 0.5 * kl(q, middle)
    assert value == pytest.approx(2 * js - 2 * math.log(2), rel=1e-12)
    # Disjoint: D is 1 on the real pictures and 0 on the painted ones.
    for share in (1e-9, 0.0):
        p, q = np.array([1 - share, share]), np.array([share, 1 - share])
        best = p / (p + q)
        value = sum(a * math.log(b) for a, b in zip(p, best, strict=True) if a)
        value += sum(
            a * math.log(b) for a, b in zip(q, 1 - best, strict=True) if a
        )
        assert value == pytest.approx(0, abs=1e-7)


# --- passes ------------------------------------------------------------------


def flops(N, D, hidden):
    return 8 * N * D**2 + 4 * N**2 * D + 4 * N * D * hidden


def test_the_network_of_the_course():
    # Of the prose: 15 layers, 256 tokens, 768 features, MLPs of 1536 units.
    assert 15 * flops(256, 768, 1536) / 1e9 == pytest.approx(39, abs=0.5)
    from dlp_utils.models import inpainting

    with torch.device("meta"):
        network = inpainting.Transformer(inpainting.CONFIGS["gpu"])
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(
        73, abs=0.5
    )
    assert 4 * 256**2 * 768 / flops(256, 768, 1536) == pytest.approx(
        0.08, abs=0.004
    )
    picture = 15 * 4 * 16 * 256**2  # bytes, by eq-attention-memory
    assert picture / 1e6 == pytest.approx(63, abs=0.5)
    assert 64 * picture / 1e9 == pytest.approx(4, abs=0.1)


@verifies("eq-inpainting-passes")
def test_work_of_one_token_at_a_time_and_of_parallel_steps():
    D, hidden, N = 8, 12, 5
    W, up, down = (
        torch.randn(4, D, D),
        torch.randn(D, hidden),
        torch.randn(hidden, D),
    )
    with FlopCounterMode(display=False) as counter:
        keys, values = [], []
        for _ in range(N):  # one token at a time, keys and values kept
            x = torch.randn(1, D)
            keys.append(x @ W[1])
            values.append(x @ W[2])
            weights = torch.softmax((x @ W[0]) @ torch.cat(keys).mT, dim=-1)
            torch.relu((weights @ torch.cat(values)) @ W[3] @ up) @ down
    one_by_one = N * (8 * D**2 + 4 * D * hidden) + 2 * N * (N + 1) * D
    assert counter.get_total_flops() == one_by_one
    D, hidden, N, T = 768, 1536, 256, 8  # of the prose
    one_by_one = N * (8 * D**2 + 4 * D * hidden) + 2 * N * (N + 1) * D
    assert T * (8 * N * D**2 + 4 * N * D * hidden + 4 * N**2 * D) == T * flops(
        N, D, hidden
    )
    assert (
        T * flops(N, D, hidden) / one_by_one == pytest.approx(8.3, abs=0.05)
        and N / T == 32
    )


# --- the masked loss and the likelihood --------------------------------------

CELLS = list(itertools.product((0, 1), repeat=3))
CHAIN = {
    y: 0.5
    * math.prod(0.9 if a == b else 0.1 for a, b in itertools.pairwise(y))
    for y in CELLS
}


def exact(i, visible, y, joint=CHAIN):
    """p(y_i | y_visible) of the joint distribution."""
    fits = [x for x in CELLS if all(x[j] == y[j] for j in visible)]
    return sum(joint[x] for x in fits if x[i] == y[i]) / sum(
        joint[x] for x in fits
    )


def nearest_only(i, visible, y):
    """The flawed model of the page: it looks at the nearest visible token
    alone, the left one of two.
    """
    near = sorted(visible, key=lambda j: (abs(i - j), j))[:1]
    return exact(i, near, y)


def arbitrary(seed):
    """Conditionals that belong to no joint distribution."""
    rng = np.random.default_rng(seed)
    table = {}

    def q(i, visible, y):
        key = (i, tuple(sorted((j, y[j]) for j in visible)))
        one = table.setdefault(key, rng.uniform(0.05, 0.95))
        return one if y[i] else 1 - one

    return q


def order_products(q, y):
    return np.array(
        [
            math.prod(q(order[t], order[:t], y) for t in range(3))
            for order in itertools.permutations(range(3))
        ]
    )


def by_size(q, y):
    """{n: mean over masks M of size n of (1/n) sum over M of −log q}."""
    found = {}
    for n in (1, 2, 3):
        masks = list(itertools.combinations(range(3), n))
        total = 0
        for M in masks:
            visible = [j for j in range(3) if j not in M]
            total -= sum(math.log(q(i, visible, y)) for i in M) / n
        found[n] = total / len(masks)
    return found


@verifies("eq-inpainting-jensen")
def test_mixture_over_orders_is_a_distribution_and_jensen_bounds_it():
    for seed in range(5):
        q = arbitrary(seed)
        products = {y: order_products(q, y) for y in CELLS}
        assert sum(p.mean() for p in products.values()) == pytest.approx(
            1, rel=1e-12
        )
        for p in products.values():
            assert math.log(p.mean()) > np.log(p).mean() + 1e-6


@verifies("eq-inpainting-bound")
def test_mean_over_orders_is_a_sum_over_mask_sizes():
    assert round(64 * math.log(512)) == 399  # of the prose
    for seed in range(5):
        q = arbitrary(seed)
        for y in CELLS:
            p = order_products(q, y)
            bound = sum(by_size(q, y).values())
            assert bound == pytest.approx(-np.log(p).mean(), rel=1e-12)
            assert bound > -math.log(p.mean())


@verifies("eq-inpainting-tight")
def test_bound_is_tight_for_conditionals_of_one_joint():
    rng = np.random.default_rng(0)
    joint = dict(zip(CELLS, rng.dirichlet(np.ones(8)), strict=True))
    for y in CELLS:
        bound = sum(
            by_size(
                lambda i, visible, y: exact(i, visible, y, joint), y
            ).values()
        )
        assert bound == pytest.approx(-math.log(joint[y]), rel=1e-12)


@verifies("eq-inpainting-example")
def test_the_example_of_three_tokens():
    world = entropy(list(CHAIN.values()))
    binary = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert world == pytest.approx(math.log(2) + 2 * binary)
    loss = -sum(
        p * math.log(order_products(nearest_only, y).mean())
        for y, p in CHAIN.items()
    )
    sizes = {
        n: sum(p * by_size(nearest_only, y)[n] for y, p in CHAIN.items())
        for n in (1, 2, 3)
    }
    got = [world, loss, sum(sizes.values()), sizes[3], sizes[2], sizes[1]]
    assert got == pytest.approx(
        [1.343, 1.362, 1.392, 0.693, 0.374, 0.325], abs=6e-4
    )
    assert [loss - world, got[2] - loss] == pytest.approx(
        [0.019, 0.030], abs=6e-4
    )
    # Of the prose: only y2 with both neighbors visible is predicted wrongly.
    wrong = {
        (i, visible)
        for y in CELLS
        for i in range(3)
        for n in range(3)
        for visible in itertools.combinations(
            [j for j in range(3) if j != i], n
        )
        if abs(nearest_only(i, visible, y) - exact(i, visible, y)) > 1e-9
    }
    assert wrong == {(1, (0, 2))}
    assert exact(1, (0, 2), (0, 0, 0)) == pytest.approx(0.81 / 0.82)
    assert exact(1, (0, 2), (0, 0, 1)) == pytest.approx(0.5)


def chances(inverse, N):
    return np.array(
        [inverse((n - 1) / N) - inverse(n / N) for n in range(1, N + 1)]
    )


@verifies("eq-inpainting-size")
def test_chance_of_each_mask_size():
    N, r = 8, (np.arange(400_000) + 0.5) / 400_000
    for gamma, inverse in SCHEDULES.values():
        sizes = np.ceil([gamma(value) * N for value in r])
        counted = np.array([np.mean(sizes == n) for n in range(1, N + 1)])
        assert np.allclose(counted, chances(inverse, N), atol=1e-5)
        assert chances(inverse, N).sum() == pytest.approx(1)


@verifies("eq-inpainting-weights")
def test_weights_of_the_training_loss_against_the_bound():
    q, y, N = arbitrary(0), (1, 0, 1), 3
    sizes = by_size(q, y)  # the mean loss of a token, for each size of mask
    losses = {}
    for n in range(1, N + 1):
        for M in itertools.combinations(range(N), n):
            visible = [j for j in range(N) if j not in M]
            losses[M] = [-math.log(q(i, visible, y)) for i in M]
    seen = {}
    for name, (gamma, inverse) in SCHEDULES.items():
        # Drawn and averaged, or added up, as training does it.
        rng, means, sums = np.random.default_rng(0), [], []
        for r in rng.uniform(size=40_000):
            n = math.ceil(gamma(r) * N)
            M = tuple(sorted(rng.permutation(N)[:n].tolist()))
            means.append(np.mean(losses[M]))
            sums.append(np.sum(losses[M]))
        chance = chances(inverse, N)
        w_mean = {n: N * chance[n - 1] for n in sizes}
        w_sum = {n: n * N * chance[n - 1] for n in sizes}
        for drawn, w in ((means, w_mean), (sums, w_sum)):
            expected = sum(w[n] * sizes[n] for n in sizes) / N
            mean_within(np.array(drawn), expected)
        seen[name] = means, sums, w_mean
    # The linear schedule weighs all sizes alike, the others do not.
    assert list(seen["linear"][2].values()) == pytest.approx([1] * N)
    for name in ("cosine", "square", "one minus root"):
        assert max(abs(w - 1) for w in seen[name][2].values()) > 0.3
    mean_within(np.array(seen["linear"][0]), sum(sizes.values()) / N)
    # The mean over all hidden tokens of a large batch weighs sizes like the
    # sum.
    rng, total, tokens = np.random.default_rng(1), 0.0, 0
    for r in rng.uniform(size=40_000):
        M = tuple(
            sorted(rng.permutation(N)[: math.ceil((1 - r) * N)].tolist())
        )
        total, tokens = total + sum(losses[M]), tokens + len(M)
    by_sum = sum(n * sizes[n] for n in sizes) / 6
    assert total / tokens == pytest.approx(by_sum, rel=0.01)
    assert abs(by_sum / (sum(sizes.values()) / N) - 1) > 0.03


@verifies("eq-inpainting-cosine")
def test_density_of_the_hidden_share_for_the_cosine():
    gamma, inverse = SCHEDULES["cosine"]
    for low, high in ((0.0, 0.3), (0.5, 0.9), (0.9, 1.0)):
        area = integrate.quad(
            lambda m: 2 / math.pi / math.sqrt(1 - m**2), low, high
        )[0]
        assert area == pytest.approx(inverse(low) - inverse(high), rel=1e-6)
    assert (
        integrate.quad(gamma, 0, 1)[0]
        == pytest.approx(2 / math.pi)
        == pytest.approx(0.64, abs=0.004)
    )
    weights = 64 * chances(inverse, 64)  # of the prose
    assert weights[-1] == pytest.approx(7.2, abs=0.05) and weights[
        0
    ] == pytest.approx(0.64, abs=0.005)


@verifies("eq-inpainting-optimum")
def test_cross_entropy_is_entropy_plus_divergence():
    q = arbitrary(3)
    for i, visible in ((0, (1, 2)), (1, (0,)), (2, ())):
        cross = -sum(p * math.log(q(i, visible, y)) for y, p in CHAIN.items())
        h = -sum(p * math.log(exact(i, visible, y)) for y, p in CHAIN.items())
        divergence = 0
        for y, p in CHAIN.items():
            both = [(*y[:i], value, *y[i + 1 :]) for value in (0, 1)]
            divergence += p * sum(
                exact(i, visible, x)
                * math.log(exact(i, visible, x) / q(i, visible, x))
                for x in both
            )
        assert (
            cross == pytest.approx(h + divergence, rel=1e-12)
            and divergence > 1e-3
        )


# --- schedules ---------------------------------------------------------------


@verifies("eq-inpainting-concave")
def test_concave_schedules_reveal_more_and_more():
    T = 12
    rises = {}
    for name, (gamma, inverse) in SCHEDULES.items():
        values = np.array([gamma(t / T) for t in range(T + 1)])
        assert (
            values[0] == 1
            and abs(values[-1]) < 1e-12
            and np.all(np.diff(values) < 0)
        )
        assert inverse(gamma(0.3)) == pytest.approx(0.3)
        rises[name] = np.diff(-np.diff(values))
    assert np.all(rises["cosine"] > 0) and np.all(rises["square"] > 0)
    assert np.allclose(rises["linear"], 0) and np.all(
        rises["one minus root"] < 0
    )
    r = sp.symbols("r")  # second derivatives of the prose
    assert (
        sp.simplify(
            sp.diff(sp.cos(sp.pi * r / 2), r, 2)
            + sp.pi**2 / 4 * sp.cos(sp.pi * r / 2)
        )
        == 0
    )
    assert sp.diff(1 - r**2, r, 2) == -2
    assert math.sqrt(1 / 8) == pytest.approx(0.35, abs=0.005)


def hidden_after(gamma, unknown, steps):
    m = [unknown]
    for t in range(1, steps):
        m.append(
            min(
                max(math.ceil(gamma(t / steps) * unknown - 1e-9), steps - t),
                m[-1] - 1,
            )
        )
    return [*m, 0]


@verifies("eq-inpainting-counts")
def test_each_step_reveals_at_least_one_token():
    for (gamma, _), unknown in itertools.product(
        SCHEDULES.values(), (1, 2, 5, 16, 40, 64)
    ):
        for steps in range(1, unknown + 1):
            revealed = -np.diff(hidden_after(gamma, unknown, steps))
            assert (
                len(revealed) == steps
                and revealed.min() >= 1
                and revealed.sum() == unknown
            )
    table = {
        name: list(-np.diff(hidden_after(gamma, 64, 8)))
        for name, (gamma, _) in SCHEDULES.items()
    }
    assert table == {  # of the page
        "cosine": [1, 3, 6, 8, 10, 11, 12, 13],
        "linear": [8] * 8,
        "square": [1, 3, 5, 7, 9, 11, 13, 15],
        "one minus root": [22, 10, 7, 6, 5, 5, 4, 5],
    }
    # Without clipping a pass may be wasted, and the last token is never
    # revealed.
    assert (
        math.ceil((1 - (1 / 16) ** 2) * 64)
        == 64
        == math.ceil(math.cos(math.pi / 32) * 64)
    )
    assert (
        math.ceil(math.cos(math.pi / 2) * 64) == 1
        and math.ceil((1 - 7 / 10) * 10) == 4
    )


# --- dice --------------------------------------------------------------------


def gumbel(shape, seed):
    return -np.log(-np.log(np.random.default_rng(seed).uniform(size=shape)))


@verifies("eq-inpainting-gumbel")
def test_gumbel_max_is_sampling():
    a = np.array([0.5, -1.0, 1.3])
    for k in range(3):
        others = np.delete(a, k)

        def density_at(g, own=a[k], others=others):
            return np.exp(-(g - own) - np.exp(-(g - own))) * np.prod(
                np.exp(-np.exp(-(g - others)))
            )

        density = integrate.quad(density_at, -8, 40)[0]
        assert density == pytest.approx(soft(a, 1.0)[k], rel=1e-7)
    noise = gumbel((200_000, 3), 0)
    for k in range(3):
        mean_within(
            (np.argmax(a + noise, axis=1) == k).astype(float),
            soft(a, 1.0)[k],
            sharp=0.03,
        )
    assert (
        stats.kstest(noise.ravel()[:20_000], stats.gumbel_r.cdf).pvalue > 1e-3
    )
    deviation = math.pi / math.sqrt(6)  # of the prose
    assert noise.std() == pytest.approx(
        deviation, rel=0.01
    ) and deviation == pytest.approx(1.28, abs=0.005)
    assert 4.5 * 7 / 8 * deviation == pytest.approx(
        5.1, abs=0.06
    ) and math.log(512) == pytest.approx(6.2, abs=0.05)


@verifies("eq-inpainting-confidence")
def test_highest_confidence_and_draws_without_replacement():
    p, noise = np.array([0.9, 0.45, 0.2, 0.05]), gumbel((200_000, 4), 1)
    for tau in (0.5, 1.0, 3.0):
        weights = p ** (1 / tau) / np.sum(p ** (1 / tau))
        order = np.argsort(-(np.log(p) + tau * noise), axis=1)
        mean_within((order[:, 0] == 1).astype(float), weights[1], sharp=0.03)
        first, second = (
            weights[0],
            weights[1] / (1 - weights[0]),
        )  # 0 first, then 1 among the rest
        mean_within(
            ((order[:, 0] == 0) & (order[:, 1] == 1)).astype(float),
            first * second,
            sharp=0.03,
        )
    assert np.all(np.argmax(np.log(p) + 1e-9 * noise, axis=1) == 0)


@verifies("eq-inpainting-raw")
def test_raw_probabilities_forget_confidence():
    p, noise = np.array([0.95, 0.02]), gumbel((200_000, 2), 2)
    for tau in (0.5, 1.0):
        first = np.argmax(p + tau * noise, axis=1) == 0
        odds = math.exp((p[0] - p[1]) / tau)
        mean_within(first.astype(float), odds / (1 + odds))
        assert odds < math.exp(1 / tau)
    assert math.e < 2.72


# --- the price of drawing together -------------------------------------------


def random_joint(seed, codes=3, places=4):
    return (
        np.random.default_rng(seed)
        .dirichlet(np.full(codes**places, 0.3))
        .reshape((codes,) * places)
    )


def marginal_entropy(joint, places):
    others = tuple(i for i in range(joint.ndim) if i not in places)
    return entropy(joint.sum(axis=others))


def total_correlation(joint, A, S=()):
    seen = marginal_entropy(joint, S)
    singles = sum(marginal_entropy(joint, {*S, i}) - seen for i in A)
    return singles - (marginal_entropy(joint, {*S, *A}) - seen)


def conditional(joint, A, S):
    """p(y_A | y_S) as an array that broadcasts against the joint."""
    keep = {*A, *S}
    top = joint.sum(
        axis=tuple(i for i in range(joint.ndim) if i not in keep),
        keepdims=True,
    )
    return top / joint.sum(
        axis=tuple(i for i in range(joint.ndim) if i not in S), keepdims=True
    )


@verifies("eq-inpainting-price")
def test_price_of_one_step_is_the_total_correlation():
    joint = random_joint(0)
    A, S = (0, 2, 3), (1,)
    product = math.prod(conditional(joint, (i,), S) for i in A)
    painted = product * joint.sum(axis=A, keepdims=True)  # the same y_S
    price = kl(joint, painted)
    assert (
        price == pytest.approx(total_correlation(joint, A, S), rel=1e-10)
        and price > 0.1
    )
    independent = np.einsum("i,j->ij", [0.2, 0.8], [0.5, 0.5])
    assert total_correlation(independent, (0, 1)) == pytest.approx(
        0, abs=1e-12
    )
    ears = np.array(
        [[0.5, 0.0], [0.0, 0.5]]
    )  # of the prose: one of each in every second picture
    one, other = ears.sum(1), ears.sum(0)
    assert one[0] * other[1] + one[1] * other[0] == 0.5


@verifies("eq-inpainting-price-steps")
def test_prices_of_steps_add():
    joint = random_joint(1)
    for steps in (
        [(0, 3), (1, 2)],
        [(2,), (0, 1), (3,)],
        [(0,), (1,), (2,), (3,)],
    ):
        painted, S, prices = 1.0, (), []
        for A in steps:
            painted = painted * math.prod(
                conditional(joint, (i,), S) for i in A
            )
            prices.append(total_correlation(joint, A, S))
            S += A
        assert painted.sum() == pytest.approx(1)
        assert kl(joint, painted) == pytest.approx(
            sum(prices), rel=1e-10, abs=1e-12
        )
    assert sum(prices) == pytest.approx(0, abs=1e-12)


@verifies("eq-inpainting-refine")
def test_splitting_a_step_saves_what_its_first_half_tells():
    joint = random_joint(2)
    S, B, C = (0,), (1,), (2, 3)
    whole = total_correlation(joint, B + C, S)
    saved = 0
    for i in C:
        alone = marginal_entropy(joint, {*S, i}) - marginal_entropy(joint, S)
        saved += alone - (
            marginal_entropy(joint, {*S, *B, i})
            - marginal_entropy(joint, {*S, *B})
        )
    parts = total_correlation(joint, B, S) + total_correlation(joint, C, S + B)
    assert whole == pytest.approx(parts + saved, rel=1e-10) and saved > 0.01


@verifies("eq-inpainting-sure")
def test_sure_tokens_are_cheap_to_draw_together():
    def sides(joint, A, S=()):
        seen = marginal_entropy(joint, S) if S else 0.0
        single = [marginal_entropy(joint, {*S, i}) - seen for i in A]
        return total_correlation(joint, A, S), sum(single) - max(single)

    for seed in range(30):
        left, right = sides(random_joint(seed), (0, 1, 3), (2,))
        assert left <= right + 1e-12
        assert right > 0
    # Reached when one token tells all others, also where their entropies
    # differ: token 0 has three values, the others are told by it.
    same = np.zeros((2, 2))
    same[0, 0], same[1, 1] = 0.3, 0.7
    told = np.zeros((3, 2, 2))
    told[0, 0, 1], told[1, 1, 1], told[2, 1, 0] = 0.2, 0.3, 0.5
    for joint, A in ((same, (0, 1)), (told, (0, 1, 2)), (told, (1, 0))):
        left, right = sides(joint, A)
        assert left == pytest.approx(right) and right > 0.4


def binary_chain(size, stay):
    joint = np.full((2,) * size, 0.5)
    for y in itertools.product((0, 1), repeat=size):
        for a, b in itertools.pairwise(y):
            joint[y] *= stay if a == b else 1 - stay
    return joint


@verifies("eq-inpainting-chain")
def test_price_of_a_chain_in_one_step(monkeypatch):
    for size, stay in ((2, 0.7), (6, 0.9)):
        claimed = (size - 1) * (math.log(2) - entropy([stay, 1 - stay]))
        assert total_correlation(
            binary_chain(size, stay), range(size)
        ) == pytest.approx(claimed, rel=1e-10)
    assert 63 * (math.log(2) - entropy([0.9, 0.1])) == pytest.approx(
        23, abs=0.3
    )  # of the prose
    # The figure's price is that of the page, for any order and any counts; and
    # its numbers in the prose.
    sys.path.insert(
        0, str(Path(__file__).resolve().parents[2] / "book" / "figures")
    )
    import inpaint_price as figure

    joint = binary_chain(6, 0.9)
    monkeypatch.setattr(figure, "LENGTH", 6)
    for order, counts in (
        ((2, 0, 5, 1, 4, 3), (1, 2, 3)),
        ((5, 3, 1, 0, 2, 4), (3, 3)),
    ):
        S, expected = (), 0
        for count in counts:
            A = order[len(S) : len(S) + count]
            expected += total_correlation(joint, A, S)
            S += A
        assert figure.price(order, counts) == pytest.approx(expected, rel=1e-9)
    monkeypatch.undo()
    found = figure.table()
    three = [found[name, 8] for name in ("square", "cosine", "linear")]
    assert three == pytest.approx([1.9] * 3, abs=0.1) and found[
        "1 − √r", 8
    ] == pytest.approx(5.0, abs=0.05)
    # Of the exercise: the best two steps, and every second place.
    joint, everything = binary_chain(8, 0.9), set(range(8))

    def price(A):
        return total_correlation(joint, A) + total_correlation(
            joint, everything - set(A), tuple(A)
        )

    assert price((0, 2, 4, 6)) == pytest.approx(0.665, abs=5e-4)
    assert (
        price((0, 3, 6)) == pytest.approx(0.399, abs=5e-4) == price((1, 4, 7))
    )
    assert total_correlation(joint, everything) == pytest.approx(
        2.58, abs=5e-3
    )


def greedy_share(unknown, counts, rare, pictures, seed):
    """Share of rare values in each picture, when of all drawn tokens the
    likeliest are kept.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros(pictures)
    for picture in range(pictures):
        hidden = unknown
        for count in counts:
            drawn = np.sort(
                rng.uniform(size=hidden) < rare
            )  # False, the common value, comes first
            found[picture] += drawn[:count].sum()
            hidden -= count
    return found / unknown


def painted_share(unknown, counts, rare):
    hidden, total = unknown, 0.0
    for count in counts:
        left = hidden - count
        r = np.arange(hidden + 1)
        total += np.sum(
            stats.binom.pmf(r, hidden, rare) * np.maximum(r - left, 0)
        )
        hidden = left
    return total / unknown


@verifies("eq-inpainting-typical")
def test_greedy_confidence_removes_rare_values():
    for counts, rare in (((3, 5, 8), 0.3), ((1, 2, 2, 5), 0.45), ((10,), 0.2)):
        unknown = sum(counts)
        claimed = painted_share(unknown, counts, rare)
        mean_within(greedy_share(unknown, counts, rare, 20_000, 0), claimed)
        assert claimed < rare or len(counts) == 1
    # Of the prose and the figure.
    sys.path.insert(
        0, str(Path(__file__).resolve().parents[2] / "book" / "figures")
    )
    import inpaint_typical as figure

    cosine = [1, 3, 6, 8, 10, 11, 12, 13]
    assert (
        painted_share(64, cosine, 0.1)
        == pytest.approx(figure.exact(8))
        == pytest.approx(0.020, abs=5e-4)
    )
    assert painted_share(64, [64], 0.1) == pytest.approx(0.1)
    assert figure.simulated(8, 0.0) == pytest.approx(
        figure.exact(8), abs=0.006
    )
    assert (
        figure.exact(64)
        < figure.simulated(64, 1.0)
        < 0.01
        < 0.06
        < figure.simulated(64, 16.0)
        < 0.08
    )


@verifies("eq-inpainting-rare")
def test_rare_values_with_one_token_a_step():
    for unknown, rare in ((5, 0.4), (64, 0.1)):
        claimed = rare * (1 - rare**unknown) / (unknown * (1 - rare))
        assert claimed == pytest.approx(
            np.mean(rare ** np.arange(1, unknown + 1)), rel=1e-12
        )
        assert painted_share(unknown, [1] * unknown, rare) == pytest.approx(
            claimed, rel=1e-9
        )
    mean_within(
        greedy_share(5, [1] * 5, 0.4, 40_000, 1),
        0.4 * (1 - 0.4**5) / (5 * 0.6),
    )
    assert claimed == pytest.approx(0.0017, abs=5e-5)  # of the prose


# --- Fréchet distance --------------------------------------------------------


def frechet(mu1, S1, mu2, S2):
    first = root(S1)
    return (
        np.sum((mu1 - mu2) ** 2)
        + np.trace(S1 + S2)
        - 2 * np.trace(root(first @ S2 @ first))
    )


@verifies("eq-inpainting-coupling")
def test_cost_of_a_coupling():
    rng = np.random.default_rng(0)
    joint, mean = positive(6, rng), rng.normal(size=6)
    S1, S2, C = joint[:3, :3], joint[3:, 3:], joint[:3, 3:]
    claimed = (
        np.sum((mean[:3] - mean[3:]) ** 2)
        + np.trace(S1)
        + np.trace(S2)
        - 2 * np.trace(C)
    )
    # Exact: the points mean ± √6 · (columns of a root) have this mean and
    # covariance.
    columns = np.linalg.cholesky(joint) * math.sqrt(6)
    points = np.concatenate([mean + columns.T, mean - columns.T])
    assert np.mean(
        np.sum((points[:, :3] - points[:, 3:]) ** 2, axis=1)
    ) == pytest.approx(claimed, rel=1e-10)


@verifies("eq-inpainting-trace")
def test_largest_trace_of_a_cross_covariance():
    rng = np.random.default_rng(1)
    S1, S2 = positive(3, rng), positive(3, rng)
    r1, r2 = root(S1), root(S2)
    G, values, Ht = np.linalg.svd(r2 @ r1)
    for _ in range(
        200
    ):  # any coupling: a random joint of standardized vectors
        joint = positive(6, rng)
        a, b = (
            linalg.inv(root(block)) for block in (joint[:3, :3], joint[3:, 3:])
        )
        R = a @ joint[:3, 3:] @ b
        C = r1 @ R @ r2
        whole = np.block([[S1, C], [C.T, S2]])
        assert (
            np.linalg.eigvalsh(whole).min() > -1e-9
            and np.trace(C) <= values.sum() + 1e-12
        )
    R = Ht.T @ G.T
    C = r1 @ R @ r2
    assert np.trace(C) == pytest.approx(values.sum(), rel=1e-10)
    assert (
        np.linalg.eigvalsh(np.block([[S1, C], [C.T, S2]])).min() > -1e-9
    )  # it is a covariance


@verifies("eq-inpainting-frechet")
def test_frechet_distance_is_the_cost_of_the_best_map():
    rng = np.random.default_rng(2)
    S1, S2 = positive(3, rng), positive(3, rng)
    mu1, mu2 = rng.normal(size=(2, 3))
    claimed = frechet(mu1, S1, mu2, S2)
    # The known optimal map between Gaussians, u ↦ μ2 + A (u − μ1), and its
    # cost.
    r1, inverse = root(S1), linalg.inv(root(S1))
    A = inverse @ root(r1 @ S2 @ r1) @ inverse
    assert np.allclose(A @ S1 @ A, S2)
    moved = np.eye(3) - A
    assert np.trace(moved @ S1 @ moved.T) + np.sum(
        (mu1 - mu2) ** 2
    ) == pytest.approx(claimed, rel=1e-9)
    # For two equally large samples in one dimension the best coupling sorts;
    # Gaussians by quantiles.
    u = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    line = np.mean((1 + 2 * u - (-0.5 + 0.7 * u)) ** 2)
    one = frechet(
        np.array([1.0]),
        np.array([[4.0]]),
        np.array([-0.5]),
        np.array([[0.49]]),
    )
    assert one == pytest.approx(line, rel=1e-3)
    # And a lower bound for other shapes with these moments.
    flat = np.sort(rng.uniform(-1, 1, 5000))
    steep = np.sort(rng.exponential(1, 5000))
    cost = np.mean((flat - steep) ** 2)
    moments = [
        (x.mean(keepdims=True), np.array([[x.var()]])) for x in (flat, steep)
    ]
    assert frechet(*moments[0], *moments[1]) < cost - 0.01


@verifies("eq-inpainting-root")
def test_both_forms_of_the_matrix_root_have_one_trace():
    rng = np.random.default_rng(3)
    for size in (2, 5):
        S1, S2 = positive(size, rng), positive(size, rng)
        symmetric = np.trace(root(root(S1) @ S2 @ root(S1)))
        eigenvalues = np.linalg.eigvals(S1 @ S2)
        assert np.abs(eigenvalues.imag).max() < 1e-9
        assert np.sum(np.sqrt(eigenvalues.real)) == pytest.approx(
            symmetric, rel=1e-9
        )
        assert np.trace(linalg.sqrtm(S1 @ S2)).real == pytest.approx(
            symmetric, rel=1e-7
        )
        assert (
            abs(np.trace(root(S1) @ root(S2)) - symmetric) > 1e-4
        )  # the naive split would not do


@verifies("eq-inpainting-commuting")
def test_frechet_distance_of_commuting_covariances():
    rng = np.random.default_rng(4)
    Q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    first, second = rng.uniform(0.1, 2, size=(2, 4))
    mu1, mu2 = rng.normal(size=(2, 4))
    got = frechet(
        mu1, Q @ np.diag(first) @ Q.T, mu2, Q @ np.diag(second) @ Q.T
    )
    claimed = np.sum((mu1 - mu2) ** 2) + np.sum(
        (np.sqrt(first) - np.sqrt(second)) ** 2
    )
    assert got == pytest.approx(claimed, rel=1e-9)


@verifies("eq-inpainting-features")
def test_trace_of_the_root_from_features():
    rng = np.random.default_rng(5)
    for n, m, d in (
        (30, 20, 4),
        (5, 7, 12),
    ):  # the second: fewer pictures than features
        x, y = (
            rng.normal(size=(n, d)),
            rng.normal(size=(m, d)) @ rng.normal(size=(d, d)),
        )
        xc, yc = x - x.mean(0), y - y.mean(0)
        S1, S2 = np.cov(x.T), np.cov(y.T)
        singular = np.linalg.svd(
            xc @ yc.T, compute_uv=False
        ).sum() / math.sqrt((n - 1) * (m - 1))
        assert singular == pytest.approx(
            np.trace(root(root(S1) @ S2 @ root(S1))), rel=1e-6
        )


# --- bias --------------------------------------------------------------------


@verifies("eq-inpainting-bias-mean")
def test_bias_of_the_distance_between_means():
    rng = np.random.default_rng(0)
    S1, S2, shift = (
        np.diag([1.0, 0.5, 2.0]),
        np.diag([0.3, 1.0, 1.0]),
        np.array([0.5, 0.0, -0.2]),
    )
    n, m, repeats = 12, 20, 40_000
    first = rng.normal(size=(repeats, n, 3)).mean(1) * np.sqrt(np.diag(S1))
    second = shift + rng.normal(size=(repeats, m, 3)).mean(1) * np.sqrt(
        np.diag(S2)
    )
    claimed = shift @ shift + np.trace(S1) / n + np.trace(S2) / m
    mean_within(np.sum((first - second) ** 2, axis=1), claimed)


@verifies("eq-inpainting-expansion")
def test_second_order_of_the_distance_between_near_covariances():
    rng = np.random.default_rng(1)
    values, delta = np.array([0.3, 1.0, 2.5]), rng.normal(size=(3, 3))
    delta += delta.T
    sums = values[:, None] + values
    for step, tolerance in ((1e-2, 0.05), (1e-3, 0.005)):
        got = frechet(
            np.zeros(3),
            np.diag(values),
            np.zeros(3),
            np.diag(values) + step * delta,
        )
        claimed = 0.5 * np.sum((step * delta) ** 2 / sums)
        assert got == pytest.approx(claimed, rel=tolerance)


def measured_bias(values, n, m, repeats, seed):
    """F² of two samples of one Gaussian with zero mean, without the means'
    part, and with it.
    """
    rng = np.random.default_rng(seed)
    scale, found = np.sqrt(values), []
    for _ in range(repeats):
        x, y = (
            rng.normal(size=(n, len(values))) * scale,
            rng.normal(size=(m, len(values))) * scale,
        )
        S1, S2 = np.cov(x.T), np.cov(y.T)
        part = frechet(np.zeros(len(values)), S1, np.zeros(len(values)), S2)
        found.append((part, part + np.sum((x.mean(0) - y.mean(0)) ** 2)))
    return np.array(found).T


@verifies("eq-inpainting-bias-covariance")
def test_bias_of_the_covariance_part():
    values, n, m = np.array([0.2, 1.0, 3.0]), 800, 1200
    same = np.eye(3)
    sums = values[:, None] + values
    claimed = (
        (1 / n + 1 / m)
        * 0.5
        * np.sum(np.outer(values, values) * (1 + same) / sums)
    )
    mean_within(measured_bias(values, n, m, 4000, 0)[0], claimed)


@verifies("eq-inpainting-bias-isotropic")
def test_bias_grows_with_the_square_of_the_features():
    for d, n, repeats in ((2, 400, 3000), (8, 600, 800)):
        claimed = (2 / n) * (d + d * (d + 1) / 4)
        mean_within(
            measured_bias(np.ones(d), n, n, repeats, d)[1], claimed, sharp=0.05
        )
    # Of the prose: 64 features, 500, 100 and 30 pictures.
    for n, said, measured in ((500, 4.4, 4.4), (100, 22, 22), (30, 74, 63)):
        assert (2 / n) * (64 + 64 * 65 / 4) == pytest.approx(said, rel=0.01)
        found = measured_bias(np.ones(64), n, n, 30, 0)[1].mean()
        assert found == pytest.approx(measured, rel=0.03)


# --- steps on the way that are numbered --------------------------------------


@verifies("eq-inpainting-second-order")
def test_trace_of_the_root_to_second_order():
    values = np.array([0.4, 1.0, 2.5])
    sums = values[:, None] + values
    rng, off = np.random.default_rng(0), []
    change = rng.normal(size=(3, 3))
    change += change.T
    for size in (0.04, 0.02, 0.01):
        delta, S = size * change, np.diag(values)
        half = np.diag(np.sqrt(values))
        root = np.linalg.eigvalsh(half @ (S + delta) @ half) ** 0.5
        first = np.trace(S) + np.trace(delta) / 2
        products = np.outer(values, values) * delta**2
        one = first - np.sum(products / (2 * values[:, None] * sums**2))
        two = first - np.sum(delta**2 / (4 * sums))
        assert one == pytest.approx(two, rel=1e-12)
        off.append(abs(root.sum() - two))
    # What is left is of third order.
    assert off[0] / off[1] == pytest.approx(8, rel=0.15)
    assert off[1] / off[2] == pytest.approx(8, rel=0.15)

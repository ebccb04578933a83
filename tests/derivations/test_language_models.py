"""Each numbered claim of book/language_models.md, checked: by counting in
small texts, exactly where rational numbers allow it, by random trials of an
inequality, or symbolically.
"""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import sympy as sp

from verifies import verifies


def rng(seed=0):
    return np.random.default_rng(seed)


def circle(size=4, length=60, seed=0):
    """A circular text of numbers below `size`; every number occurs."""
    text = rng(seed).integers(0, size, length)
    text[:size] = range(size)
    return text.tolist()


def pairs_of(text):
    """c(ab) on the circle, as a Counter."""
    return Counter(zip(text, [*text[1:], text[0]], strict=True))


# --- the chain rule and Markov chains ----------------------------------------


@verifies("eq-language-models-chain")
def test_chain_rule():
    # A joint distribution of four tokens that is no product and no chain.
    joint = rng().dirichlet(np.ones(3**4)).reshape(3, 3, 3, 3)
    for text in itertools.product(range(3), repeat=4):
        product = 1.0
        for i in range(4):
            # P(w_1 … w_i) is the sum over all continuations.
            upto = joint[text[: i + 1]].sum()
            product *= upto / joint[text[:i]].sum()
        assert abs(product - joint[text]) < 1e-15


@verifies("eq-language-models-step")
def test_distribution_one_step_later():
    r = rng(1)
    P, p = r.dirichlet(np.ones(3), size=3), r.dirichlet(np.ones(3))
    # Many walkers, one step each; the share at b against the sum over a.
    n = 200_000
    a = r.choice(3, n, p=p)
    b = (r.random(n)[:, None] > P.cumsum(axis=1)[a]).sum(axis=1)
    found = np.bincount(b, minlength=3) / n
    expected = [sum(p[i] * P[i, j] for i in range(3)) for j in range(3)]
    assert (abs(found - expected) < 4 * np.sqrt(0.25 / n)).all()
    assert np.allclose(p @ P, expected, atol=1e-15)
    assert abs(found - P @ p).max() > 0.02  # the other product is not it


@verifies("eq-language-models-stationary")
def test_frequencies_are_stationary():
    text = circle()
    c, N = Counter(text), len(text)
    pairs = pairs_of(text)
    for b in c:
        flow = sum(Fraction(c[a], N) * Fraction(pairs[a, b], c[a]) for a in c)
        assert flow == Fraction(c[b], N)  # exactly
    # Not on the open text: there the first token has no predecessor.
    open_pairs = Counter(itertools.pairwise(text))
    first = text[0]
    flow = sum(Fraction(open_pairs[a, first], N) for a in c)
    assert flow != Fraction(c[first], N)


@verifies("eq-language-models-contraction")
def test_each_step_forgets():
    r = rng(2)
    tight = 0.0
    for _ in range(300):
        V = int(r.integers(2, 6))
        P = r.dirichlet(np.ones(V) * 0.5, size=V) * 0.8 + 0.2 / V
        shrink = 1 - V * P.min()
        p, q = r.dirichlet(np.ones(V), size=2)
        before, after = abs(p - q).sum(), abs(p @ P - q @ P).sum()
        assert after <= shrink * before + 1e-12
        tight = max(tight, after / (shrink * before))
    assert tight > 0.9
    # Reached: two states, the smallest entry in both rows, opposite columns.
    e = 0.2
    P, p, q = np.array([[1 - e, e], [e, 1 - e]]), np.eye(2)[0], np.eye(2)[1]
    assert abs(abs(p @ P - q @ P).sum() - (1 - 2 * e) * 2) < 1e-12


# --- maximum likelihood and surprise -----------------------------------------


@verifies("eq-language-models-likelihood")
def test_no_distribution_beats_the_shares():
    r = rng(3)
    for _ in range(200):
        counts = r.integers(1, 9, 5)
        share = counts / counts.sum()
        P = r.dirichlet(np.ones(6))[:5]  # some of it for unseen tokens
        left = (counts * np.log(P / share)).sum()
        middle = counts.sum() * (share * (P / share - 1)).sum()
        assert left <= middle <= 0
    # All three meet at the shares themselves, and only there.
    counts, h = np.array([3.0, 1.0]), 1e-4
    share = counts / 4
    moved = share + np.array([h, -h])
    assert (counts * np.log(moved / share)).sum() < 0
    # The maximum by Lagrange, symbolically: c/P = constant.
    p, a, b = sp.symbols("p a b", positive=True)
    best = sp.solve(sp.diff(a * sp.log(p) + b * sp.log(1 - p), p), p)
    assert best == [a / (a + b)]


@verifies("eq-language-models-gibbs")
def test_cross_entropy_is_at_least_the_entropy():
    r, gaps = rng(4), []
    for _ in range(300):
        p, q = r.dirichlet(np.ones(4), size=2)
        entropy = -(p * np.log2(p)).sum()
        gaps.append(-(p * np.log2(q)).sum() - entropy)
        near = (p + 1e-4 * q) / (1 + 1e-4)
        close = -(p * np.log2(near)).sum() - entropy
        assert -1e-12 <= close < 1e-4  # equality is reached at q = p
    assert min(gaps) > 0


@verifies("eq-language-models-rate")
def test_training_bits_are_the_entropy_rate():
    text = circle(seed=5)
    c, pairs, N = Counter(text), pairs_of(text), len(text)
    # Left: walk along the text. text[-1] is the predecessor of text[0].
    left = 0.0
    for i in range(N):
        before = text[i - 1]
        left -= np.log2(pairs[before, text[i]] / c[before]) / N
    # Right: rows of the matrix, weighted by the stationary distribution.
    right = 0.0
    for a in c:
        row = np.array([pairs[a, b] / c[a] for b in c if pairs[a, b]])
        right += c[a] / N * -(row * np.log2(row)).sum()
    assert abs(left - right) < 1e-12


@verifies("eq-language-models-per-character")
def test_bits_per_character():
    # "the cat the" in tokens of 3, 1, 3, 1, 3 characters.
    tokens, probs = (
        ["the", " ", "cat", " ", "the"],
        [1 / 8, 1 / 2, 1 / 16, 1 / 2, 1 / 4],
    )
    C, N = sum(map(len, tokens)), len(tokens)
    whole = -np.log2(np.prod(probs))  # 3 + 1 + 4 + 1 + 2 = 11 bits
    perplexity = np.prod(probs) ** (-1 / N)
    assert whole == 11 and C == 11
    assert abs(whole / C - N / C * np.log2(perplexity)) < 1e-12
    assert abs(whole / C - np.log2(perplexity)) > 0.5  # not per token


# --- smoothing ---------------------------------------------------------------


@verifies("eq-language-models-add-one")
def test_add_one_and_what_it_gives_the_unseen():
    for counts in ([3, 0, 0, 0, 0], [1, 2, 0, 4, 0, 0], [0, 0]):
        c, V = sum(counts), len(counts)
        T = sum(k > 0 for k in counts)
        # The same from the text with every token once more.
        longer = [k + 1 for k in counts]
        P = [Fraction(k, sum(longer)) for k in longer]
        assert [Fraction(k + 1, c + V) for k in counts] == P
        unseen = sum(p for p, k in zip(P, counts, strict=True) if k == 0)
        assert unseen == Fraction(V - T, c + V)
        assert sum(P) == 1


@verifies("eq-language-models-witten-bell")
def test_witten_bell_is_a_mixture():
    counts = [Fraction(k) for k in (5, 0, 2, 1, 0)]
    lower = [Fraction(k, 10) for k in (1, 2, 3, 1, 3)]
    c, T = sum(counts), sum(k > 0 for k in counts)
    P = [(k + T * q) / (c + T) for k, q in zip(counts, lower, strict=True)]
    weight = Fraction(c, c + T)
    mixture = [
        weight * k / c + (1 - weight) * q
        for k, q in zip(counts, lower, strict=True)
    ]
    assert mixture == P and sum(P) == 1
    assert weight == Fraction(8, 11)


@verifies("eq-language-models-kneser-ney")
def test_discounting_sums_to_one():
    counts = [Fraction(k) for k in (5, 0, 2, 1, 0)]
    lower = [Fraction(k, 10) for k in (1, 2, 3, 1, 3)]
    c, T = sum(counts), sum(k > 0 for k in counts)
    for D in (Fraction(0), Fraction(3, 4), Fraction(1)):
        kept = [max(k - D, 0) / c for k in counts]
        P = [k + D * T / c * q for k, q in zip(kept, lower, strict=True)]
        assert sum(P) == 1
        assert 1 - sum(kept) == D * T / c  # what was taken is handed on
    # Above 1 it would hand on more than a count of one can give.
    D = Fraction(3, 2)
    kept = [max(k - D, 0) / c for k in counts]
    assert sum(kept) + D * T / c > 1


@verifies("eq-language-models-left-sides")
def test_left_sides_keep_the_marginals():
    text = circle(size=5, length=40, seed=6)
    c, pairs = Counter(text), pairs_of(text)
    D = Fraction(3, 4)
    L = Counter(b for _, b in pairs)  # different tokens before b
    T = Counter(a for a, _ in pairs)
    by_lefts = {w: Fraction(L[w], len(pairs)) for w in c}
    by_counts = {w: Fraction(c[w], len(text)) for w in c}
    for q, holds in ((by_lefts, True), (by_counts, False)):
        marginal = Counter()
        for h, w in itertools.product(c, c):
            kept = max(Fraction(pairs[h, w]) - D, 0) / c[h]
            marginal[w] += c[h] * (kept + D * T[h] / c[h] * q[w])
        assert all(marginal[w] == c[w] for w in c) == holds
    assert sum(L.values()) == sum(T.values()) == len(pairs)


@verifies("eq-language-models-conditioning")
def test_longer_contexts_never_hurt_in_training():
    for seed in range(5):
        text = circle(size=3, length=30, seed=seed)
        N, rates = len(text), []
        for n in range(1, 6):
            grams = Counter(
                tuple(text[(i + j) % N] for j in range(n)) for i in range(N)
            )
            contexts = Counter()
            for gram, k in grams.items():
                contexts[gram[:-1]] += k
            rates.append(
                sum(
                    k / N * -np.log2(k / contexts[gram[:-1]])
                    for gram, k in grams.items()
                )
            )
        assert all(b <= a + 1e-12 for a, b in itertools.pairwise(rates))
        assert rates[0] - rates[-1] > 0.3


# --- back-off ----------------------------------------------------------------


def stupid(counts, lower):
    c = sum(counts)  # where it is 0, no token was seen
    return [
        Fraction(k, c) if k else Fraction(2, 5) * q
        for k, q in zip(counts, lower, strict=True)
    ]


@verifies("eq-language-models-stupid")
def test_stupid_back_off_hands_out_too_much():
    counts = [5, 0, 2, 1, 0]
    lower = [Fraction(k, 10) for k in (1, 2, 3, 1, 3)]
    S = stupid(counts, lower)
    unseen = sum(q for k, q in zip(counts, lower, strict=True) if k == 0)
    assert sum(S) == 1 + Fraction(2, 5) * unseen == Fraction(6, 5)
    # Nothing unseen, or nothing left for it: then the sum is 1.
    assert sum(stupid([1, 1], [Fraction(1, 2)] * 2)) == 1
    assert sum(stupid([1, 0], [Fraction(1), Fraction(0)])) == 1
    # A context that was never seen, after scores that sum to 6/5.
    assert sum(stupid([0] * 5, S)) == Fraction(2, 5) * sum(S) < 1


@verifies("eq-language-models-normalize")
def test_honest_surprise_of_a_score():
    S = np.array([0.5, 0.3, 0.24, 0.16])
    P = S / S.sum()
    assert abs(P.sum() - 1) < 1e-15
    honest = np.array([sp.N(-sp.log(p, 2)) for p in P], dtype=float)
    assert np.allclose(honest, -np.log2(S) + np.log2(S.sum()))
    assert (honest - -np.log2(S)).min() > 0.2  # what was kept


@verifies("eq-language-models-backoff")
def test_back_off_that_sums_to_one():
    r = rng(7)
    for _ in range(20):
        seen = np.array([True, True, False, False, True, False])
        kept = np.where(seen, r.dirichlet(np.ones(6)), 0)
        lower = r.dirichlet(np.ones(6))
        alpha = (1 - kept[seen].sum()) / lower[~seen].sum()
        P = np.where(seen, kept, alpha * lower)
        assert abs(P.sum() - 1) < 1e-12
        naive = np.where(seen, kept, (1 - kept.sum()) * lower)
        assert naive.sum() < 1 - 1e-6


# --- how many numbers, sampling, Bayes ---------------------------------------


@verifies("eq-language-models-free")
def test_free_numbers():
    # Count the free entries of all tables, context by context.
    for V, n in ((2, 1), (3, 2), (4, 3), (2, 5)):
        free = 0
        for _ in itertools.product(range(V), repeat=n - 1):
            free += V - 1  # the last probability follows from the others
        assert free == V ** (n - 1) * (V - 1)


@verifies("eq-language-models-temperature")
def test_hotter_is_more_random():
    # The derivative with respect to beta, symbolically, for three tokens.
    beta = sp.symbols("beta", positive=True)
    s = sp.symbols("s1:4", real=True)
    Z = sum(sp.exp(beta * v) for v in s)
    p = [sp.exp(beta * v) / Z for v in s]
    mean = sum(a * v for a, v in zip(p, s, strict=True))
    var = sum(a * v**2 for a, v in zip(p, s, strict=True)) - mean**2
    left = sp.diff(sp.log(Z) - beta * mean, beta)
    at = {beta: 0.7, s[0]: -0.3, s[1]: -1.9, s[2]: -2.4}
    assert abs(sp.N((left + beta * var).subs(at))) < 1e-12
    assert sp.N(left.subs(at)) < -0.01
    # And log Z - beta E s is the entropy of the tempered distribution.
    q = np.exp(0.7 * np.array([-0.3, -1.9, -2.4]))
    q /= q.sum()
    entropy = sp.N((sp.log(Z) - beta * mean).subs(at))
    assert abs(entropy + (q * np.log(q)).sum()) < 1e-12
    cold, warm = ((q**k / (q**k).sum()) for k in (2.0, 1.0))
    assert -(cold * np.log(cold)).sum() < -(warm * np.log(warm)).sum()


@verifies("eq-language-models-bayes")
def test_best_guess_by_bayes():
    r = rng(8)
    prior = np.array([0.7, 0.2, 0.1])
    first = r.dirichlet(np.ones(2), size=3)  # P(x1 | y)
    then = r.dirichlet(np.ones(2), size=(3, 2))  # P(x2 | x1, y)
    differs = 0
    for a, b in itertools.product(range(2), repeat=2):
        joint = prior * first[:, a] * then[:, a, b]
        posterior = joint / joint.sum()
        scores = np.log(prior) + np.log(first[:, a]) + np.log(then[:, a, b])
        assert scores.argmax() == posterior.argmax()
        # The guess that is right most often: no other y has a larger joint.
        assert joint[scores.argmax()] == max(joint)
        no_prior = np.log(first[:, a]) + np.log(then[:, a, b])
        differs += no_prior.argmax() != scores.argmax()
    assert differs > 0  # the prior matters

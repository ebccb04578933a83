"""What the lab language_models exports, against dictionaries, scikit-learn and by construction."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from dlp_utils.models import language_models as lab

V = 5
IDS = np.random.default_rng(0).choice(V, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
TEXT = "to be or not to be that is the question whether it is nobler in the mind to suffer"


# --- tokens and counts ---


def test_vocabulary_orders_by_frequency_and_keeps_the_unknown_apart():
    vocabulary = lab.Vocabulary("abracadabra")
    assert vocabulary.tokens == ["<unk>", "a", "b", "r", "c", "d"]
    assert vocabulary.encode("cab!").tolist() == [4, 1, 2, 0]
    assert vocabulary.decode([1, 0, 3]) == "a<unk>r"
    assert lab.Vocabulary("aab", min_count=2).tokens == ["<unk>", "a"]
    words = lab.Vocabulary(["to", "be", "to"], special=("<unk>", "<bos>"))
    assert words.tokens == ["<unk>", "<bos>", "to", "be"]
    assert words.encode(["<bos>", "be", "see"]).tolist() == [1, 3, 0]


def test_an_empty_text_has_no_vocabulary():
    with pytest.raises(ValueError, match="this one is empty"):
        lab.Vocabulary("")


def test_counts_are_those_of_a_dictionary():
    for n in (1, 2, 4):
        grams = [tuple(IDS[i : i + n]) for i in range(len(IDS) - n + 1)]
        of_gram, of_context = Counter(grams), Counter(g[:-1] for g in grams)
        kinds = Counter(g[:-1] for g in of_gram)
        counts = lab.Counts(lab.ngram_codes(IDS, n, V), V)
        asked = np.random.default_rng(n).integers(0, V, n + 200)  # some of them new
        c, total, T = counts(lab.ngram_codes(asked, n, V))
        for i in range(len(asked) - n + 1):
            gram = tuple(asked[i : i + n])
            expected = of_gram[gram], of_context[gram[:-1]], kinds[gram[:-1]]
            assert (c[i], total[i], T[i]) == expected
        assert n < 4 or (c == 0).any()


def test_codes_refuse_what_does_not_fit():
    assert len(lab.ngram_codes(np.arange(3), 5, 70)) == 0
    lab.ngram_codes(np.arange(20), 10, 70)
    with pytest.raises(ValueError, match=r"n = 11 over 70 tokens: n must be at least 1, and 70 \*\* n below"):
        lab.ngram_codes(np.arange(20), 11, 70)


# --- the three rules ---


def by_hand(ids, order, rule, history, w):
    """P(w | history) by dictionaries and recursion, straight from the page's formulas."""
    if order == 0:
        return 1 / V
    history = tuple(history)[len(history) - order + 1 :] if order > 1 else ()
    grams = Counter(tuple(ids[i : i + order]) for i in range(len(ids) - order + 1))
    if rule == "kneser_ney" and order < by_hand.top:
        longer = {tuple(ids[i : i + order + 1]) for i in range(len(ids) - order)}
        grams = Counter(g[1:] for g in longer)
    after = {g[-1]: k for g, k in grams.items() if g[:-1] == history}
    c, total, kinds = after.get(w, 0), sum(after.values()), len(after)
    if rule == "add_one":
        return (c + 1) / (total + V)
    lower = by_hand(ids, order - 1, rule, history[1:], w)
    if total == 0:
        return lower
    if rule == "witten_bell":
        return (c + kinds * lower) / (total + kinds)
    once, twice = (sum(k == r for k in grams.values()) for r in (1, 2))
    D = once / (once + 2 * twice) if once else 0.5
    return max(c - D, 0) / total + D * kinds / total * lower


@pytest.mark.parametrize("rule", ["add_one", "witten_bell", "kneser_ney"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_rules_against_recursion(rule, order):
    by_hand.top = order
    ids = IDS[:60]
    model = lab.NGram(order, getattr(lab, rule)).fit(ids, V)
    new = np.array([0, 4, 1, 4, 4, 2, 0])
    got = model.probs(new)
    for i in range(len(new)):
        reached = min(order, i + 1)  # at the beginning the context is short
        if reached == order:
            expected = by_hand(ids.tolist(), reached, rule, new[:i].tolist(), new[i])
            assert got[i] == pytest.approx(expected, rel=1e-12)
    full = lab.next_probs(model, new)
    assert full.sum() == pytest.approx(1, abs=1e-12) and (full > 0).all()
    for w in range(V):
        assert model.probs(np.append(new, w))[-1] == pytest.approx(full[w], rel=1e-12)


def test_probabilities_sum_to_one_after_any_context():
    for rule in (lab.add_one, lab.witten_bell, lab.kneser_ney):
        model = lab.NGram(4, rule).fit(IDS, V)
        for context in ([], [4], [4, 4, 4, 4], [0, 1, 0, 1, 2], list(IDS[:9])):
            assert lab.next_probs(model, context).sum() == pytest.approx(1, abs=1e-12)


def test_models_refuse_what_they_cannot_count():
    with pytest.raises(ValueError, match="2 tokens hold no n-gram of order 3"):
        lab.NGram(3).fit(np.array([0, 1]), V)
    with pytest.raises(ValueError, match="numbers from 0 to 4"):
        lab.NGram(1).fit(np.array([0, 5]), V)
    model = lab.NGram(3).fit(IDS, V)
    assert len(model.probs(np.array([], dtype=int))) == 0
    assert len(model.probs(np.array([1]))) == 1


def test_bits_and_perplexity():
    assert lab.bits(np.array([0.5, 0.125])) == 2 and lab.perplexity(np.array([0.5, 0.125])) == 4
    assert lab.bits(np.array([0.5, 0.0])) == np.inf
    # A model that knows the source needs its entropy: scipy's, for a long text of order 1.
    p = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    long = np.random.default_rng(1).choice(V, 50_000, p=p)
    model = lab.NGram(1, lab.witten_bell).fit(long, V)
    assert lab.bits(model.probs(long)) == pytest.approx(entropy(p, base=2), abs=0.02)


# --- writing ---


def test_knobs_of_a_draw():
    p = np.array([0.1, 0.5, 0.3, 0.1])
    assert lab.sharpen(p) == pytest.approx(p)
    assert lab.sharpen(p, temperature=0.5) == pytest.approx(p**2 / (p**2).sum())
    assert lab.sharpen(p, temperature=1e-4).tolist() == [0, 1, 0, 0]
    assert lab.sharpen(p, top_k=2) == pytest.approx([0, 0.625, 0.375, 0])
    assert lab.sharpen(p, top_p=0.5).tolist() == [0, 1, 0, 0]  # reached, up to rounding
    assert lab.sharpen(p, top_p=0.79) == pytest.approx([0, 0.625, 0.375, 0])
    assert lab.sharpen(p, top_p=1.0) == pytest.approx(p)
    assert lab.sharpen(np.array([0.0, 1.0]), temperature=3).tolist() == [0, 1]
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        lab.sharpen(p, temperature=0)


def test_written_text_follows_the_model():
    model = lab.NGram(2, lab.witten_bell).fit(IDS, V)
    ids = lab.write(model, [0], 4000, np.random.default_rng(2))
    assert len(ids) == 4000 and set(ids) <= set(range(V))
    after = Counter(b for a, b in itertools.pairwise(ids) if a == 0)
    n, expected = sum(after.values()), lab.next_probs(model, [0])
    for w in range(V):
        assert abs(after[w] / n - expected[w]) < 4 * np.sqrt(expected[w] / n)


# --- classifying ---


def test_order_one_is_scikits_naive_bayes():
    texts = ["aab", "abab", "aaac", "bbca", "bccc", "cbcb"]
    labels = [0, 0, 0, 1, 1, 1]
    ours = lab.NGramClassifier(1, lab.add_one).fit(texts, labels, 2)
    theirs = MultinomialNB(alpha=1.0, fit_prior=False)
    vectors = CountVectorizer(analyzer="char", lowercase=False)
    counts = vectors.fit_transform(texts).toarray()
    theirs.fit(counts, labels)
    held = ["abcab", "ccb", "aab", "cabcc"]
    expected = theirs.predict(vectors.transform(held).toarray())
    assert ours.scores(held).argmax(axis=1).tolist() == expected.tolist()


def test_scores_are_sums_over_the_text():
    texts, labels = ["anna", "nana", "otto", "toto"], [0, 0, 1, 1]
    model = lab.NGramClassifier(3).fit(texts, labels, 2)
    alone = np.concatenate([model.scores([t]) for t in texts])
    assert model.scores(texts) == pytest.approx(alone)  # neighbors do not matter
    assert alone.argmax(axis=1).tolist() == labels
    row = model.vocabulary.encode(["<bos>", "<bos>", *"anna", "<eos>"])
    expected = np.log2(model.models[0].probs(row))[2:].sum()
    assert model.scores(["anna"])[0, 0] == pytest.approx(expected)

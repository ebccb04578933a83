"""Generated from notebooks/language_models.ipynb by `make export`: edit the notebook, not this file."""
# %%
__all__ = ['Vocabulary', 'ngram_codes', 'look_up', 'Counts', 'bits', 'perplexity', 'add_one', 'witten_bell', 'kneser_ney',
           'discount', 'count_orders', 'NGram', 'next_probs', 'sharpen', 'write', 'NGramClassifier']

# %%
import numpy as np

# %%
class Vocabulary:
    """Tokens and their numbers: the special ones, then by frequency.

    tokens: a sequence of strings (a str is a sequence of characters).
    min_count: rarer tokens become `<unk>`, number 0.
    Source: def-language-models-vocabulary.
    """

    def __init__(self, tokens, min_count=1, special=("<unk>",)):
        if len(tokens) == 0:
            raise ValueError("a vocabulary needs text, and this one is empty")
        counts = {}
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
        kept = [token for token, c in counts.items() if c >= min_count]
        kept.sort(key=lambda token: (-counts[token], token))
        self.tokens = [*special, *kept]
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self):
        return len(self.tokens)

    def encode(self, tokens):
        """Integers (len(tokens),); 0 for each token that is not known."""
        return np.array([self.ids.get(t, 0) for t in tokens], dtype=np.int64)

    def decode(self, ids):
        """The text of integers; an unknown token reads `<unk>`."""
        return "".join(self.tokens[i] for i in ids)

# %%
def ngram_codes(ids, n, size):
    """Each n-gram of `ids` as one number in base `size`: (len(ids) - n + 1,).

    ids: (N,) integers from 0 to size - 1. ValueError where the numbers do
    not fit into 64 bits. Source: def-language-models-code.
    """
    if n < 1 or size**n >= 2**63:
        raise ValueError(
            f"n-grams of n = {n} over {size} tokens: n must be at least 1, "
            f"and {size} ** n below 2 ** 63, the largest integer"
        )
    last = max(len(ids) - n + 1, 0)  # how many n-grams there are
    codes = np.zeros(last, dtype=np.int64)
    for j in range(n if last else 0):
        codes = codes * size + ids[j : last + j]
    return codes

# %%
def look_up(keys, values, wanted):
    """values[i] where keys[i] == wanted, 0 where no key is. keys: sorted."""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


class Counts:
    """How often each n-gram occurs, and how often each context.

    codes: n-grams as `ngram_codes` writes them, one entry an occurrence.
    """

    def __init__(self, codes, size):
        self.size = size
        self.grams, self.of_gram = np.unique(codes, return_counts=True)
        self.contexts, first = np.unique(self.grams // size, return_index=True)
        self.of_context = np.add.reduceat(self.of_gram, first)  # c(h)
        self.kinds = np.diff(np.append(first, len(self.grams)))  # T(h)

    def __call__(self, codes):
        """c(hw), c(h) and T(h) for each code: three arrays of its shape."""
        contexts = codes // self.size
        return (
            look_up(self.grams, self.of_gram, codes),
            look_up(self.contexts, self.of_context, contexts),
            look_up(self.contexts, self.kinds, contexts),
        )

# %%
def bits(probs):
    """Mean surprise -log2 P in bits, infinite if one is 0. probs: (N,)."""
    with np.errstate(divide="ignore"):
        return float(-np.log2(probs).mean())


def perplexity(probs):
    """2 to the mean surprise. Source: def-language-models-perplexity."""
    return 2 ** bits(probs)

# %%
def add_one(c, total, kinds, lower, discount, size):
    """(c + 1) / (c(h) + V). Source: eq-language-models-add-one."""
    return (c + 1) / (total + size)


def witten_bell(c, total, kinds, lower, discount, size):
    """T(h) for the lower order. Source: eq-language-models-witten-bell."""
    mixed = (c + kinds * lower) / np.maximum(total + kinds, 1)
    return np.where(total > 0, mixed, lower)


def kneser_ney(c, total, kinds, lower, discount, size):
    """D T(h) for the lower one. Source: eq-language-models-kneser-ney."""
    kept = np.maximum(c - discount, 0) + discount * kinds * lower
    return np.where(total > 0, kept / np.maximum(total, 1), lower)

# %%
def discount(counts):
    """D = n1 / (n1 + 2 n2), from the n-grams that occur once and twice."""
    once, twice = (np.sum(counts.of_gram == k) for k in (1, 2))
    return once / (once + 2 * twice) if once else 0.5


def count_orders(ids, order, size, left_sides=False):
    """Counts of the orders 1 … order. left_sides: below the highest, count
    each n-gram once for every different token before it (Kneser, Ney).
    """
    if len(ids) < order:
        raise ValueError(f"{len(ids)} tokens hold no n-gram of order {order}")
    if ids.min() < 0 or ids.max() >= size:
        raise ValueError(f"tokens must be numbers from 0 to {size - 1}")
    codes = [ngram_codes(ids, n, size) for n in range(1, order + 1)]
    if left_sides:
        for n in range(1, order):
            codes[n - 1] = np.unique(codes[n]) % size**n
    return [Counts(code, size) for code in codes]

# %%
class NGram:
    """n-gram model of tokens: order n, and a rule for what is unseen.

    rule: add_one, witten_bell or kneser_ney. left_sides: see count_orders;
    by default for kneser_ney only. Source: def-language-models-ngram.
    """

    def __init__(self, order, rule=kneser_ney, left_sides=None):
        self.order, self.rule = order, rule
        by_rule = rule is kneser_ney
        self.left_sides = by_rule if left_sides is None else left_sides

    def fit(self, ids, size):
        """Count. ids: (N,) integers from 0 to size - 1."""
        ids, self.size = np.asarray(ids), size
        self.counts = count_orders(ids, self.order, size, self.left_sides)
        self.discounts = [discount(counts) for counts in self.counts]
        return self

    def step(self, n, codes, lower):
        """From P(w | h') to P(w | h), for n-grams of order n."""
        counts, D = self.counts[n - 1], self.discounts[n - 1]
        return self.rule(*counts(codes), lower, D, self.size)

    def probs(self, ids):
        """P(token | the n - 1 before it) of each token, (N,) like ids."""
        p = np.full(len(ids), 1 / self.size)
        for n in range(1, min(self.order, len(ids)) + 1):
            codes = ngram_codes(ids, n, self.size)
            p[n - 1 :] = self.step(n, codes, p[n - 1 :].copy())
        return p

# %%
def next_probs(model, context):
    """P(w | context) for all tokens w: (size,). context: any length."""
    p = np.full(model.size, 1 / model.size)
    context = [int(token) for token in context]
    for n in range(1, min(model.order, len(context) + 1) + 1):
        code = 0  # of the context: its last n - 1 tokens
        for token in context[len(context) - n + 1 :]:
            code = code * model.size + token
        p = model.step(n, code * model.size + np.arange(model.size), p)
    return p

# %%
def sharpen(p, temperature=1.0, top_k=None, top_p=None):
    """Change next-token probabilities before a draw; (size,) sums to one.

    temperature > 0; top_k: keep so many; top_p: keep the fewest that reach
    it together. Source: def-language-models-temperature.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    with np.errstate(divide="ignore"):
        logits = np.log(p) / temperature
    p = np.exp(logits - logits.max())  # the largest is 1: no overflow
    p = p / p.sum()
    order = np.argsort(-p, kind="stable")
    keep = len(p) if top_k is None else top_k
    if top_p is not None:  # the one that reaches top_p belongs to them
        keep = min(keep, np.searchsorted(p[order].cumsum(), top_p - 1e-9) + 1)
    p[order[max(keep, 1) :]] = 0
    return p / p.sum()


def write(model, context, length, rng, **knobs):
    """`length` tokens after the context, drawn one by one: a list."""
    ids = list(context)
    for _ in range(length):
        p = sharpen(next_probs(model, ids), **knobs)
        ids.append(int(rng.choice(len(p), p=p)))
    return ids[len(context) :]

# %%
class NGramClassifier:
    """One n-gram model a class, equal priors: eq-language-models-bayes."""

    def __init__(self, order, rule=witten_bell):
        self.order, self.rule = order, rule

    def join(self, texts):
        """All texts in one row of tokens, and where each one begins."""
        before = ["<bos>"] * max(self.order - 1, 1)
        rows = [self.vocabulary.encode([*before, *t, "<eos>"]) for t in texts]
        starts = np.cumsum([0] + [len(row) for row in rows[:-1]])
        return np.concatenate(rows), starts

    def fit(self, texts, labels, num_classes):
        special = ("<unk>", "<bos>", "<eos>")
        self.vocabulary = Vocabulary("".join(texts), special=special)
        self.models = []
        for c in range(num_classes):
            own = [t for t, y in zip(texts, labels, strict=True) if y == c]
            ids, _ = self.join(own)
            model = NGram(self.order, self.rule)
            self.models.append(model.fit(ids, len(self.vocabulary)))
        return self

    def scores(self, texts):
        """log2 P(text | class): (N, num_classes)."""
        ids, starts = self.join(texts)
        is_text = ids != 1  # nobody predicts the <bos>
        logs = [np.log2(model.probs(ids)) * is_text for model in self.models]
        return np.add.reduceat(np.array(logs), starts, axis=1).T

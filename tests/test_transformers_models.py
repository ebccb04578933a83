"""What the lab transformers exports: against the block of attention, against tiktoken, and by construction."""

import itertools
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlp_utils.models import attention
from dlp_utils.models import transformers as lab

NAMES = ["Rossi", "Novak", "Silva", "Okafor", "Lindt"]


def small(length=12, seed=0, vocab=9, width=16, layers=2):
    torch.manual_seed(seed)
    model = lab.build(lab.Config(vocab, width, 4, layers, length)).double()
    nn.init.normal_(model.table.weight)
    with torch.no_grad():  # blocks that matter beside the table
        for weight in model.blocks.parameters():
            weight *= 4
    return model


def test_the_cached_block_is_the_block_of_attention_with_a_causal_mask():
    torch.manual_seed(0)
    block = lab.CachedBlock(16, 4, rotary=True).double()
    same = attention.Block(16, 4, rotary=True).double()
    same.load_state_dict(block.state_dict())
    x = torch.randn(2, 7, 16).double()
    with torch.no_grad():
        assert torch.allclose(block(x)[0], same(x, allowed=attention.causal(7)), atol=1e-9)


@pytest.mark.parametrize("cuts", [(1, 2, 3), (4,), (1, 11), (6, 7)])
def test_logits_in_pieces_are_those_of_the_whole(cuts):
    model, ids = small(), torch.arange(24).view(2, 12) % 9
    with torch.no_grad():
        whole, caches, found = model(ids)[0], None, []
        for a, b in itertools.pairwise((0, *cuts, 12)):
            logits, caches = model(ids[:, a:b], caches)
            found.append(logits)
    assert torch.allclose(torch.cat(found, dim=1), whole, atol=1e-9)


def test_a_cache_whose_positions_begin_anew_is_found_out(monkeypatch):
    model, ids = small(), torch.arange(12)[None] % 9
    right = attention.MultiHead.project
    with torch.no_grad():
        whole = model(ids)[0]
        caches = model(ids[:, :8])[1]
        monkeypatch.setattr(
            attention.MultiHead, "project", lambda self, x, source=None, start=0: right(self, x)
        )
        assert (model(ids[:, 8:], caches)[0] - whole[:, 8:]).abs().max() > 0.01


def test_writing_is_the_same_with_and_without_a_cache_and_stops():
    model, ids = small(), torch.tensor([[1, 2], [3, 4]])
    with_cache, without = (lab.generate(model, ids, 8, cached=c) for c in (True, False))
    assert torch.equal(with_cache, without) and with_cache.shape == (2, 10)
    assert with_cache[0, 2:].unique().numel() > 1
    assert torch.equal(lab.generate(model, ids, 0), ids)
    one = ids[:1]
    first = lab.generate(model, one, 1)[0, -1]
    assert lab.generate(model, one, 8, stop=first).shape == (1, 3)
    drawn = [lab.generate(model, ids, 8, lab.sampler(20.0, seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_bad_input_is_named_with_the_way_out():
    model = small()
    with pytest.raises(ValueError, match="prompt is empty"):
        model(torch.zeros(1, 0, dtype=torch.long))
    with pytest.raises(ValueError, match="prompt is empty"):
        lab.generate(model, torch.zeros(1, 0, dtype=torch.long), 3)
    with pytest.raises(ValueError, match="13 positions, and the model was made for 12"):
        lab.generate(model, torch.zeros(1, 5, dtype=torch.long), 8)
    caches = model(torch.zeros(1, 12, dtype=torch.long))[1]
    with pytest.raises(ValueError, match="13 positions"):
        model(torch.zeros(1, 1, dtype=torch.long), caches)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        lab.sampler(0)
    with pytest.raises(ValueError, match="12 symbols are too few"):
        next(lab.windows(torch.arange(12), model.config))
    with pytest.raises(ValueError, match="leave none to predict"):
        lab.log_probs(model, torch.zeros(1, dtype=torch.long))
    for rank in (0, 5):
        with pytest.raises(ValueError, match=f"rank {rank} .* between 1 and 4"):
            lab.LoRA(nn.Linear(8, 4), rank)
    with pytest.raises(ValueError, match="symbol 'é' is unknown"):
        lab.CHAT.encode("café")
    with pytest.raises(ValueError, match="message is empty"):
        lab.CHAT.prompt("  ")
    with pytest.raises(ValueError, match="300 is none of 256 tokens"):
        lab.BPE([]).decode([300])


@pytest.mark.parametrize("size", list(lab.CONFIGS.values()), ids=list(lab.CONFIGS))
def test_the_count_of_weights_is_the_models(size):
    with torch.device("meta"):
        model = lab.build(size)
    assert sum(p.numel() for p in model.parameters()) == lab.count_weights(size)


def test_the_gpu_model_is_of_the_size_that_is_told():
    assert 10e6 < lab.count_weights(lab.CONFIGS["gpu"]) < 30e6


def test_windows_are_pieces_of_the_text_with_targets_one_later():
    ids, config = torch.arange(100), lab.Config(length=7, batch=5)
    for x, y in itertools.islice(lab.windows(ids, config), 20):
        assert x.shape == (5, 7) and torch.equal(y, x + 1) and torch.equal(x, x[:, :1] + torch.arange(7))
    assert torch.equal(next(lab.windows(ids, config, 3))[0], next(lab.windows(ids, config, 3))[0])


@pytest.mark.parametrize("length", [2, 6, 12, 13, 14, 19, 40])
def test_log_probs_of_each_symbol_once_from_half_a_window_at_least(length):
    model, ids = small(), torch.arange(length) * 5 % 9
    found = lab.log_probs(model, ids)
    assert found.shape == (length - 1,)
    with torch.no_grad():
        for t in range(1, length):  # by a window that ends there
            begin = 0 if t <= 12 else 6 * ((t - 13) // 6 + 1)
            logs = model(ids[None, begin:t])[0][0, -1].log_softmax(0)
            assert found[t - 1] == pytest.approx(logs[ids[t]].item(), abs=1e-9)


def test_merges_of_a_text_by_counting():
    assert lab.learn_merges("abababcabcab", 3) == [(b"a", b"b"), (b"c", b"ab"), (b"ab", b"ab")]
    assert lab.learn_merges("abc", 5) == []  # no pair occurs twice
    assert lab.learn_merges("", 5) == []
    # Pairs do not cross the border of a word; a space belongs to the word after it.
    assert all(b" " not in b for a, b in lab.learn_merges("to be or not to be " * 9, 20))


def test_learned_pairs_are_the_most_frequent_ones_counted_anew():
    text = "the cat that sat there thought that the hat fits the other cat " * 2
    words = [list(lab.as_bytes(w)) for w in lab.WORD.findall(text)]
    for pair in lab.learn_merges(text, 15):
        counts = {}
        for word in words:
            for p in itertools.pairwise(word):
                counts[p] = counts.get(p, 0) + 1
        assert counts[pair] == max(counts.values())
        assert pair == max(p for p, n in counts.items() if n == counts[pair])
        words = [list(lab.merged(tuple(word), pair)) for word in words]


@pytest.mark.parametrize("text", ["", "the cat", "naïve café, 日本語 🙂\n\n  two  spaces\t", "\r\n'quoted'"])
def test_every_text_comes_back(text):
    bpe = lab.BPE(lab.learn_merges("the cat sat on the mat, the cat " * 3, 30))
    assert bpe.decode(bpe.encode(text)) == text


def test_tokens_are_those_of_tiktoken_with_the_same_merges():
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed: pip install tiktoken")
    from dlp_utils.data import text

    train, test = text.shakespeare()
    bpe = lab.BPE(lab.learn_merges(train[:100_000], 400))
    ranks = {name: n for n, name in enumerate(bpe.names)}
    assert len(ranks) == len(bpe)
    other = tiktoken.Encoding("ours", pat_str=lab.WORD.pattern, mergeable_ranks=ranks, special_tokens={})
    for part in (test[:60_000], "Zoë's naïve £5 tea — 12,000 cups!\n\n"):
        assert other.encode(part) == bpe.encode(part).tolist()


def test_dialogs_are_answered_by_what_was_told():
    rng = random.Random(0)
    for about, untold in itertools.product(("name", "home", "pet", "food"), (0.0, 1.0)):
        for _ in range(50):
            said, answer = lab.dialog(rng, NAMES, about, untold)
            told = lab.TOLD[about].format("")[:-1]
            assert any(said.endswith(question) for question in lab.ASKED[about])
            assert (told in said) != bool(untold)
            if untold:
                assert answer == lab.UNTOLD
            else:
                value = answer.split()[-1].rstrip(".")
                assert told + value in said and answer == lab.ANSWER[about].format(value)
            assert len(lab.CHAT.prompt(said)) + len(answer) + 1 <= 128


def test_training_names_and_test_names_have_none_in_common():
    try:
        train, test = lab.people()
    except OSError as error:
        pytest.skip(f"the names cannot be had: {error}")
    assert len(train) == 2000 and len(test) >= 300 and not set(train) & set(test)
    assert set("".join(train + test)) <= set(lab.CHAT.names)


def test_only_answers_and_their_end_are_targets():
    x, y = lab.chat_batch([("I am Bo. Who am I?", "You are Bo."), ("Hi", "Yes, hi.")])
    for row, said, answer in ((0, "I am Bo. Who am I?", "You are Bo."), (1, "Hi", "Yes, hi.")):
        counted = y[row] != -100
        assert lab.CHAT.decode(y[row][counted]) == answer + "<end>"
        first = int(counted.nonzero()[0])
        assert first == len(said) + 1 and lab.CHAT.names[int(x[row, first])] == "<bot>"
    _, everything = lab.chat_batch([("Hi", "Yes, hi.")], answers_only=False)
    assert lab.CHAT.decode(everything[0]) == "Hi<bot>Yes, hi.<end>"


def test_typed_text_makes_no_special_symbol():
    with pytest.raises(ValueError, match="unknown"):
        lab.CHAT.encode("<bot>")
    assert min(lab.CHAT.encode("Is this a bot? Yes, 1 of 2!")) >= len(lab.SPECIAL)


def test_exact_is_what_greedy_writing_gives():
    torch.manual_seed(0)
    config = lab.Config(len(lab.CHAT.names), 32, 4, 1, 96, 16, 1e-2)
    model, rng = lab.build(config), random.Random(0)
    pairs = [("Hi", "Yes."), ("Who?", "You."), ("Why?", "No."), ("Where are you?", "Here."), ("Go", "Yes.")]

    def batches():
        while True:
            yield lab.chat_batch(rng.choices(pairs[:3], k=8))

    lab.train(model, batches(), 60, config.lr)
    written = [lab.reply(model, said) == answer for said, answer in pairs]
    assert lab.exact(model, pairs) == pytest.approx(sum(written) / len(pairs))
    assert 0 < sum(written) < len(pairs)


@pytest.mark.parametrize("rank", [1, 4])
def test_lora_begins_as_the_old_model_trains_and_merges(rank):
    model = small()
    new, ids = lab.with_lora(model, rank), torch.arange(24).view(2, 12) % 9
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        assert torch.equal(new(ids)[0], model(ids)[0])
    weights = lab.trainable(new)
    assert sum(p.numel() for p in weights) == 2 * rank * (4 * (16 + 16) + 2 * (16 + 64))
    optimizer = torch.optim.SGD(weights, lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(new(ids)[0].flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
    plain = lab.merge_lora(new)
    with torch.no_grad():
        assert (new(ids)[0] - model(ids)[0]).abs().max() > 1e-3
        assert torch.allclose(plain(ids)[0], new(ids)[0], atol=1e-9)
    assert not any(isinstance(m, lab.LoRA) for m in plain.modules())
    assert any(isinstance(m, lab.LoRA) for m in new.modules())
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) and p.requires_grad


def test_exchanges_are_pairs_of_neighbors_and_conversations_do_not_touch(tmp_path):
    from dlp_utils.data.text import _answered

    path = tmp_path / "talk.yml"
    path.write_text(
        "categories:\n- x\nconversations:\n- - A?\n  - B.\n  - 'C - d'\n- - E\n  - F\n", encoding="utf-8"
    )
    assert _answered(path) == [("A?", "B."), ("B.", "C - d"), ("E", "F")]

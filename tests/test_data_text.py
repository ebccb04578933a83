"""dlp_utils.data.text: plays, names and sentences are what the chapter says of them."""

import collections
import hashlib

import pytest

from dlp_utils.data import fetch, text


def test_plays_are_clean_and_the_same():
    plays = text.plays()
    assert tuple(plays) == text.PLAYS
    whole = "\f".join(plays.values())
    assert hashlib.sha256(whole.encode("ascii")).hexdigest() == HASH
    assert not set(whole) & set("[]{}<>_*\r\t") and "Project Gutenberg" not in whole and "  " not in whole
    for play in plays.values():
        speeches = play.rstrip("\n").split("\n\n")
        assert all(s.split("\n")[0].isupper() and s.split("\n")[0].endswith(":") for s in speeches)
        assert all(len(s.split("\n")) > 1 and all(s.split("\n")) for s in speeches)
    assert plays["Macbeth"].startswith("FIRST WITCH:\nWhen shall we three meet again?")


HASH = "25831bbc879c82df4840af0b38c39da4604a615d012b8323a2e39ec9a2661ad3"


def test_the_test_play_is_not_in_the_training_text():
    train, test = text.shakespeare()
    assert len(train) > 5 * len(test) > 500_000
    assert not set(test) - set(train)  # no symbol is new
    speeches = {s for s in test.split("\n\n") if len(s) > 200}
    assert len(speeches) > 100 and not any(s in train for s in speeches)


@pytest.fixture(scope="module")
def names():
    return text.names()


def test_names_are_latin_and_of_one_language(names):
    train, test = names
    assert {len(names), len(text.LANGUAGES)} == {2, 15}
    assert set(collections.Counter(i for _, i in test).values()) == {80}
    assert max(collections.Counter(i for _, i in train).values()) == 1000
    assert len({n for n, _ in train + test}) == len(train + test)  # none twice, none on both sides
    assert all(text.LATIN.fullmatch(n) for n, _ in train + test)
    assert {i for n, i in train + test if n.endswith("dóttir")} == {text.LANGUAGES.index("Icelandic")}


def test_names_depend_on_the_seed_alone(names):
    assert text.names(seed=0) == names
    other = text.names(seed=1)
    assert other[1] != names[1] and len(other[1]) == len(names[1])


def test_names_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="at least 1 each, got 0 and 80"):
        text.names(train=0)
    with pytest.raises(ValueError, match="400 to test leave nothing to train on: one language has"):
        text.names(test=400)


def test_sentences_lie_in_their_folders():
    train, test = text.sentences()
    assert set(collections.Counter(i for _, i in test).values()) == {30}
    assert len({*train, *test}) == len(train) + len(test)
    assert all(s == s.strip() and s for s, _ in train + test)
    spoken = {language: [s for s, i in train if i == at] for at, language in enumerate(text.TOPICS)}
    assert any("¿" in s for s in spoken["Spanish"]) and "Good morning, how are you?" in [
        s for s, i in train + test if i == list(text.TOPICS).index("Swedish")
    ]  # the fault that the chapter finds
    with pytest.raises(ValueError, match="at least 1"):
        text.sentences(test=0)


def test_without_a_network_a_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("DLP_HOME", str(tmp_path))
    monkeypatch.setattr(fetch, "_installed", lambda *_: None)
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError, match=r"faker 40\.63\.0"):
        text.names()
    with fetch.no_downloads(), pytest.raises(fetch.OfflineError, match=r"chatterbot_corpus 1\.3\.3"):
        text.sentences()

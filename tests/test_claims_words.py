"""Each claim of each notebook has its line of words in `book/claims.yml`, and no words are left over."""

from pathlib import Path

import pytest
import yaml

from dlp_utils.claims import from_notebook

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "book" / "claims.yml"
MOST = 14


def stored():
    """{stem: names of its claims} of all notebooks that make any."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    names = {path.stem: [entry["name"] for entry in from_notebook(path)] for path in paths}
    return {stem: found for stem, found in names.items() if found}


def faults(words, claims):
    """What is wrong with the words for the claims, one line each."""
    found = []
    for stem in sorted({*words, *claims}):
        have, want = words.get(stem) or {}, claims.get(stem, [])
        found += [f"{stem}/{name}: no words" for name in want if name not in have]
        found += [f"{stem}/{name}: no such claim" for name in have if name not in want]
        for name, line in have.items():
            if not isinstance(line, str) or not line.strip():
                found.append(f"{stem}/{name}: empty")
                continue
            if len(line.split()) > MOST:
                found.append(f"{stem}/{name}: more than {MOST} words")
            if line.endswith(".") or "\n" in line:
                found.append(f"{stem}/{name}: not one line without a full stop")
            if not line[0].isupper():
                found.append(f"{stem}/{name}: starts without a capital")
        twice = sorted({line for line in have.values() if list(have.values()).count(line) > 1}, key=str)
        found += [f"{stem}: two claims in the words {line!r}" for line in twice]
    return found


def test_every_claim_has_its_words_and_no_words_are_left_over():
    assert faults(yaml.safe_load(DATA.read_text(encoding="utf-8")), stored()) == []


CLAIMS = {"cats": ["purr", "sleep"]}
SOUND = {"purr": "Share of cats that purr", "sleep": "Hours that a cat sleeps in a day"}


def test_sound_words_pass():
    assert faults({"cats": SOUND}, CLAIMS) == []


@pytest.mark.parametrize(
    "words, fault",
    [
        ({"purr": SOUND["purr"]}, "cats/sleep: no words"),
        ({**SOUND, "bark": "Share of cats that bark"}, "cats/bark: no such claim"),
        ({**SOUND, "purr": ""}, "cats/purr: empty"),
        ({**SOUND, "purr": None}, "cats/purr: empty"),
        ({**SOUND, "purr": "Share " + "of very " * 7}, "cats/purr: more than 14 words"),
        ({**SOUND, "purr": "Share of cats that purr."}, "cats/purr: not one line without a full stop"),
        ({**SOUND, "purr": "share of cats that purr"}, "cats/purr: starts without a capital"),
        ({**SOUND, "purr": SOUND["sleep"]}, f"cats: two claims in the words {SOUND['sleep']!r}"),
    ],
)
def test_a_planted_fault_is_found(words, fault):
    assert faults({"cats": words}, CLAIMS) == [fault]


def test_words_of_a_notebook_that_is_gone_are_found():
    assert faults({"cats": SOUND, "dogs": {"bark": "Share of dogs that bark"}}, CLAIMS) == [
        "dogs/bark: no such claim"
    ]

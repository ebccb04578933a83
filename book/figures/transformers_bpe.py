"""Byte pairs: merges learned from four words, and what they make of a word never seen."""

import itertools

from _svg import BLUE, GRAY, GREEN, INK, Drawing, write

LEARNED = ("low", "low", "lower", "newer")
NEW = "lowest"


def merged(word, pair):
    out, i = [], 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def learn(words, many):
    """The states of all words after 0, 1, … merges, and the merges."""
    words, merges = [list(word) for word in words], []
    for _ in range(many):
        pairs = [pair for word in words for pair in itertools.pairwise(word)]
        merges.append(max(pairs, key=lambda pair: (pairs.count(pair), pair)))
        words = [merged(word, merges[-1]) for word in words]
    return merges


def row(picture, y, tokens, color, fill, left=250):
    for token in tokens:
        width = 34 * len(token) + 6
        picture.rect(left, y, width, 38, fill=fill, stroke=color, radius=6, line=2)
        picture.text(left + width / 2, y + 26, token, size=20, weight="600")
        left += width + 8


def draw():
    merges = learn(LEARNED, 3)
    picture, word, new = Drawing(720, 360), list("lower"), list(NEW)
    picture.text(240, 42, "letters", size=17, anchor="end", fill=GRAY)
    row(picture, 18, word, BLUE, "#DCE9F2")
    for n, pair in enumerate(merges):
        word, new = merged(word, pair), merged(new, pair)
        y = 18 + 62 * (n + 1)
        picture.text(240, y + 25, f"merge {n + 1}: {pair[0]} + {pair[1]}", size=17, anchor="end", fill=INK)
        row(picture, y, word, BLUE, "#DCE9F2")
    picture.path([(30, 276), (690, 276)], stroke="#D8D5CC", line=1.5)
    picture.text(240, 326, "a new word", size=17, anchor="end", fill=GRAY)
    row(picture, 300, new, GREEN, "#E4EFE3")
    return {"transformers_bpe": picture.svg("Merges of pairs of letters, and what they make of a new word")}


if __name__ == "__main__":
    write(draw)

"""Bits per character over the order, and lines that n-grams write, measured once: `python book/figures/_language.py`."""

import json
from pathlib import Path

FILE = Path(__file__).with_name("language_models.json")
ORDERS, WRITERS, LETTERS = range(1, 9), (1, 2, 3, 5, 8), 44


def stored():
    """{"known", "new", "kneser_ney": bits of each order; "lines": {order: text}}"""
    return json.loads(FILE.read_text("utf-8"))


def measure():
    import numpy as np

    from dlp_utils.data import text
    from dlp_utils.models.language_models import NGram, Vocabulary, bits, witten_bell, write

    known, new = text.shakespeare()
    vocabulary = Vocabulary(known)
    train, test = vocabulary.encode(known), vocabulary.encode(new)
    rows = {"known": [], "new": [], "kneser_ney": [], "lines": {}}
    for n in ORDERS:
        model = NGram(n, witten_bell).fit(train, len(vocabulary))
        rows["known"].append(round(bits(model.probs(train[: len(test)])), 3))
        rows["new"].append(round(bits(model.probs(test)), 3))
        best = NGram(n).fit(train, len(vocabulary))
        rows["kneser_ney"].append(round(bits(best.probs(test)), 3))
        if n in WRITERS:  # the same draw as in the lab
            ids = write(model, vocabulary.encode("\n\nMACBETH:\n"), 66, np.random.default_rng(3))
            rows["lines"][n] = vocabulary.decode(ids).replace("\n", " ")[:LETTERS]
    lines = [f'"{name}": {json.dumps(part)}' for name, part in rows.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    measure()

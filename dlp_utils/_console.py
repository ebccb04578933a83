"""Print text on any console: signs that its encoding lacks are written in ASCII."""

import sys
import unicodedata

ASCII = {
    "✓": "[ok]",
    "✗": "[wrong]",
    "☐": "[open]",
    "…": "...",
    "√": "sqrt ",
    "·": "*",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "∞": "inf",
    "→": "->",
    "‖": "||",
    **dict.fromkeys("–—−", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”„", '"'),
}


def say(text):
    """Print `text`, in ASCII where the console's encoding cannot write it (cp1252 has no ✓)."""
    text = str(text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        text = to_ascii(text)
    print(text)


def to_ascii(text):
    """Return `text` in ASCII: Greek letters by their names, "?" for what has no name here."""
    text = unicodedata.normalize(
        "NFD", text
    )  # a bar over a letter comes as a sign of its own, which is left out
    return "".join(char if char.isascii() else ASCII.get(char) or _spelled(char) for char in text)


def _spelled(char):
    name = unicodedata.name(char, "")
    if unicodedata.combining(char):
        return ""
    if name.startswith("GREEK"):
        return name.rpartition(" ")[2].lower()
    plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return plain or "?"

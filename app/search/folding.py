"""Folds text so that people find names as they type them: ``nguyen`` finds ``Nguyễn``, composed or not."""

import re
import unicodedata

# Letters that Unicode does not decompose, though people type them without their stroke.
STROKES = str.maketrans({"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe"})

# Only the marks of Latin, Greek and Cyrillic go: Khmer and Thai vowels are marks too, and carry the word.
ACCENTS = re.compile("[\u0300-\u036f]")
SPACES = re.compile(r"\s+")
PUNCTUATION = re.compile(r"[!\"#%&'()*,\-./:;?@\[\\\]_{}]")
"""That of ASCII, by its category in Unicode; ``$`` and ``+`` are symbols."""


def fold_text(text: str) -> str:
    """Case, accents, punctuation and runs of white space removed (R4 search, 3.1.1.4.8)."""
    if text.isascii():
        return SPACES.sub(" ", PUNCTUATION.sub("", text.lower())).strip()
    bare = ACCENTS.sub("", unicodedata.normalize("NFD", text.casefold()))
    bare = "".join(each for each in bare if not unicodedata.category(each).startswith("P"))
    return SPACES.sub(" ", unicodedata.normalize("NFC", bare.translate(STROKES))).strip()

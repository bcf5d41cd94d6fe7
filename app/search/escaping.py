r"""Splits search values at commas and bars, where ``\`` escapes one (R4 search, 3.1.1.4.19)."""

import re


def split_values(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, still escaped."""
    if "\\" not in text:
        return text.split(separator)
    parts, current, index = [], "", 0
    while index < len(text):
        if text[index] == "\\" and index + 1 < len(text):
            current += text[index : index + 2]
            index += 2
        elif text[index] == separator:
            parts.append(current)
            current = ""
            index += 1
        else:
            current += text[index]
            index += 1
    return [*parts, current]


def is_escaped(text: str) -> bool:
    r"""Whether each ``\`` stands before one of the four: R4 calls ``xx\xx`` illegal."""
    return "\\" not in text or re.fullmatch(r"(?:[^\\]|\\[\\,|$])*", text) is not None


def unescape(text: str) -> str:
    r"""``\,`` ``\|`` ``\$`` and ``\\`` as the characters they stand for."""
    return re.sub(r"\\([\\,|$])", r"\1", text) if "\\" in text else text

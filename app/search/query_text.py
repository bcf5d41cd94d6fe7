"""Reads the text of a query, from an address or a form, into its parameters."""

from functools import lru_cache
from urllib.parse import parse_qsl

from app.core.errors import Invalid

LONGEST = 1_000
"""Letters of a query that is kept once read: who polls asks the same again and again."""


def read_pairs(text: str) -> list[tuple[str, str]]:
    """(name, value) of each parameter, blank values too. Raises Invalid where what is escaped is not UTF-8."""
    return list(split_kept(text) if len(text) <= LONGEST else split_query(text))


def split_query(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError as error:
        raise Invalid("The query is not UTF-8") from error


split_kept = lru_cache(maxsize=1_000)(split_query)

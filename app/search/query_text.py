"""Reads the text of a query, from an address or a form, into its parameters."""

from urllib.parse import parse_qsl

from app.core.errors import Invalid
from app.core.kept import keep_short


def read_pairs(text: str) -> list[tuple[str, str]]:
    """(name, value) of each parameter, blank values too. Raises Invalid where what is escaped is not UTF-8."""
    return list(split_query(text))


@keep_short
def split_query(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError as error:
        raise Invalid("The query is not UTF-8") from error

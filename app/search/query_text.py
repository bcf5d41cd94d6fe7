"""Reads the text of a query, from an address or a form, into its parameters."""

from urllib.parse import parse_qsl

from app.core.errors import Invalid


def read_pairs(text: str) -> list[tuple[str, str]]:
    """(name, value) of each parameter, blank values too. Raises Invalid where what is escaped is not UTF-8."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise Invalid("The query is not UTF-8") from error

"""What is kept once it was worked out, for who asks the same again: short texts alone, and so many."""

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import TypeVar

LONGEST = 1_000
"""Letters. A header, a query or a form may be a thousand times as long."""
MOST_PAIRS = 30
"""Parameters of a query: an empty one has no letters, and costs all the same."""
MOST = 256
"""Texts."""

Text = TypeVar("Text", str, bytes)
Result = TypeVar("Result")


def keep_short(read: Callable[[Text], Result]) -> Callable[[Text], Result]:
    """The function, whose results for short texts are kept."""
    kept = lru_cache(maxsize=MOST)(read)

    @wraps(read)
    def ask(text: Text) -> Result:
        return kept(text) if len(text) <= LONGEST else read(text)

    return ask


def is_short(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether a query is short enough to be kept."""
    return len(pairs) <= MOST_PAIRS and sum(len(name) + len(value) for name, value in pairs) <= LONGEST

"""Hides what a query or an address holds: equal values have equal hashes, which nobody makes without the key."""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from app.core.kept import is_short, keep_short
from app.core.secrets import derive_key
from app.fhir.registry import COMMON_SEARCH, RESOURCE_NAMES, TYPES

MARK = "~"
DIGEST_BYTES = 8
PURPOSE = "audit trail"
SERVER_MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

RESULT_PARAMETERS = frozenset(
    {
        "_id", "_lastUpdated", "_lastupdated", "_sort", "_count", "_total", "_include", "_revinclude", "_summary",
        "_elements", "_format", "_pretty", "_cursor", "_since", "_has", "_text", "_content", "_list", "_type",
        "_contained", "_containedType", "_score", "_source", "_filter", "_query", "_at",
    }
)  # fmt: skip
MODIFIERS = frozenset(
    {
        "missing", "exact", "contains", "not", "text", "in", "not-in", "below", "above", "type", "identifier",
        "of-type", "iterate", "code-text",
    }
)  # fmt: skip
WORDS = (
    RESULT_PARAMETERS
    | MODIFIERS
    | frozenset(RESOURCE_NAMES)
    | {each.code for kept in TYPES.values() for each in (*kept.search, *COMMON_SEARCH)}
)
"""What a parameter's name is made of; any other name is hashed too."""


MOST_PAIRS = 100
"""Of a longer query the rest is left out, and said to be."""


class Hasher:
    """Hashes by a key derived from the server's secret."""

    def __init__(self, secret_key: bytes) -> None:
        self._key = derive_key(secret_key, PURPOSE)
        self._name = keep_short(self._show_name)
        self._shown = lru_cache(1024)(self._show_query)

    def digest(self, text: str) -> str:
        """``~`` and the hash of a text, in hexadecimal digits."""
        hashed = blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=DIGEST_BYTES)
        return MARK + hashed.hexdigest()

    def hide_query(self, pairs: Sequence[tuple[str, str]]) -> str | None:
        """``name=~hash`` for each pair, in their order; None for no query."""
        if not pairs:
            return None
        return self._shown(tuple(pairs)) if is_short(pairs) else self._show_query(pairs)

    def hide_id(self, resource_id: str) -> str:
        """An id that nobody has vouched for: as it is where the server may have made it, else hashed."""
        return resource_id if SERVER_MADE.fullmatch(resource_id) else self.digest(resource_id)

    def _show_query(self, pairs: Sequence[tuple[str, str]]) -> str:
        name, digest = self._name, self.digest
        shown = "&".join([f"{name(each)}={digest(value)}" for each, value in pairs[:MOST_PAIRS]])
        return shown if len(pairs) <= MOST_PAIRS else f"{shown}&..."

    def _show_name(self, name: str) -> str:
        words = name.replace(".", ":").split(":")
        return name if all(word in WORDS for word in words) else self.digest(name)

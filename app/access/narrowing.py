"""Scopes that a search narrows, `system/Task.rs?status=requested`: what they let one see (SMART App Launch 2.2)."""

import re
from collections.abc import Iterable
from functools import lru_cache

from app.core.caller import Caller, Letter
from app.core.errors import Invalid
from app.core.settings import Settings
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.registry import TYPES
from app.search.match import Version, can_match
from app.search.parse import SPECIAL, parse_search
from app.search.plan import Criterion
from app.search.query_text import read_pairs
from app.store.rows import Stored

LETTERS = frozenset("rs")
"""What can be narrowed: who writes a resource knows it."""
LIMITS = Settings.model_construct()
"""The defaults, whatever is set: what was granted must not depend on it."""
NOT_NARROWED = frozenset({"AuditEvent", "Binary", "Subscription"})
TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""What a scope is made of (RFC 6749, 3.3)."""


@lru_cache(maxsize=1_000)
def read_criteria(resource_type: str, query: str, base: str) -> tuple[Criterion, ...]:
    """What a resource has to meet. Raises Invalid for a search by which no scope can be narrowed here."""
    if resource_type not in TYPES or resource_type in NOT_NARROWED:
        raise Invalid(f"scopes on {resource_type} take no search")
    if not TOKEN.fullmatch(query):
        raise Invalid("a search in a scope has no spaces, quotes or backslashes: escape them with %")
    pairs = read_pairs(query)
    for name, value in pairs:
        if name.partition(":")[0] in SPECIAL or name in ("_format", "_pretty"):
            raise Invalid(f"{name} narrows no scope")
        if not value:
            raise Invalid(f"{name} has no value")
    criteria = parse_search(resource_type, pairs, LIMITS, base).criteria
    if not criteria or not all(map(can_match, criteria)):
        raise Invalid("the search narrows nothing that can be told of a resource alone")
    return criteria


def list_criteria(caller: Caller, resource_type: str, letter: Letter, base: str) -> tuple[Criterion, ...]:
    """What a resource of a type has to meet for the caller to read or find it; nothing where a scope covers all."""
    query = caller.narrowing(resource_type, letter)
    return () if query is None else read_criteria(resource_type, query, base)


def may_see(caller: Caller, stored: Stored, letters: Iterable[Letter], base: str) -> bool:
    """Whether the caller's scopes let it see this version, where they do let it see some of its type.

    A version that is a deletion meets no search.
    """
    criteria = [each for letter in letters for each in list_criteria(caller, stored.type, letter, base)]
    if not criteria:
        return True
    if stored.deleted:
        return False
    resource = parse(stored.content.encode(), STORED_LIMITS)
    return Version(resource, stored.last_updated, base).meets(criteria)

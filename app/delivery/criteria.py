"""Reads the criteria of a classic Subscription: a search of one type (R4 Subscription.criteria)."""

from app.core.errors import HandoffError, Unprocessable
from app.core.settings import Settings
from app.fhir.registry import TYPES
from app.search.match import can_match
from app.search.parse import ANSWER_ONLY, SPECIAL, parse_search
from app.search.plan import Criterion
from app.search.query_text import read_pairs

UNFOLLOWED = frozenset({"AuditEvent", "Binary"})
"""The trail, and content that is no JSON."""
BESIDE = frozenset({*SPECIAL, *ANSWER_ONLY}) - {"_id", "_lastUpdated"}
"""What shapes an answer, and says nothing of which versions are meant."""


def is_search(criteria: str) -> bool:
    """Whether these are a search and no canonical of a topic, which has a colon."""
    return ":" not in criteria.partition("?")[0]


def parse_criteria(
    text: str, settings: Settings, base_url: str, where: str = "Subscription.criteria"
) -> tuple[str, tuple[Criterion, ...]]:
    """(type, criteria) of ``Task?owner=x&status=accepted``; ``Task`` or ``Task?`` is every version.

    Raises Unprocessable for anything that would not be obeyed.
    """
    name, _, query = text.partition("?")
    if name not in TYPES or name in UNFOLLOWED:
        raise Unprocessable(f"Criteria are a topic, or a search of a type that is kept here, not {name!r}", (where,))
    try:
        pairs = read_pairs(query.replace("+", "%2B"))
        beside = [key for key, _ in pairs if key.partition(":")[0] in BESIDE]
        if beside:
            raise Unprocessable(f"{beside[0]} says nothing of which versions are meant", (where,))
        criteria = parse_search(name, pairs, settings, base_url).criteria
    except HandoffError as error:
        raise Unprocessable(error.diagnostics, (where,)) from error
    if not all(can_match(each) for each in criteria):
        raise Unprocessable("What other resources say is not followed: ask for what stands in this one", (where,))
    return name, criteria

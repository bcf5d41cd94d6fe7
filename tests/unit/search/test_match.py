"""A version is held against criteria in memory as the index is by SQL."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from app.core.errors import Unprocessable
from app.core.settings import Settings
from app.delivery.criteria import BESIDE, is_search, parse_criteria
from app.fhir.json_text import STORED_LIMITS, parse
from app.search.match import Version
from app.search.query_text import read_pairs
from tests.integration.interactions.search_resources import STORED
from tests.integration.interactions.test_search_table import ROWS, SAFE, Row

BASE = "http://handoff.test/fhir"
NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
SHAPING = BESIDE | {"_lastUpdated", "_lastupdated"}


def is_followable(row: Row) -> bool:
    """Whether the row asks of each match alone, and not when it was written."""
    if row.query.startswith("POST ") or not is_search(row.query):
        return False
    names = {name.partition(":")[0] for name, _ in read_pairs(quote(row.query.partition("?")[2], safe=SAFE))}
    return not names & SHAPING and not any("." in name for name in names)


KEPT = [parse(json.dumps(each).encode(), STORED_LIMITS) for each in STORED]
"""As they are read from the store, with their digits."""

FOLLOWABLE = [row for row in ROWS if is_followable(row)]


def test_most_of_the_search_table_is_played() -> None:
    assert len(FOLLOWABLE) > 200


@pytest.mark.parametrize("row", FOLLOWABLE, ids=lambda row: row.query)
def test_the_search_table(row: Row) -> None:
    name, criteria = parse_criteria(quote(row.query, safe=SAFE), Settings(), BASE)
    found = [each["id"] for each in KEPT if each["resourceType"] == name and Version(each, NOW, BASE).meets(criteria)]
    assert sorted(found) == sorted(row.matches)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Task?_lastUpdated=gt2026-11-24", True),
        ("Task?_lastUpdated=2026-11-25", True),
        ("Task?_lastUpdated=lt2026-11-25", False),
        ("Task?_lastUpdated=ne2026-11-25", False),
        ("Task?_lastUpdated=ge2026-11-25T08:00:00Z", True),
        ("Task?_lastUpdated=sa2026-11-25", False),
        ("Task", True),
        ("Task?", True),
        ("Task?_id=a,b", True),
        ("Task?_id=b", False),
    ],
)
def test_by_when_it_was_written(query: str, expected: bool) -> None:
    _, criteria = parse_criteria(query, Settings(), BASE)
    assert Version({"resourceType": "Task", "id": "a"}, NOW, BASE).meets(criteria) is expected


@pytest.mark.parametrize(
    "criteria",
    [
        "",
        "Nothing?x=y",
        "Binary?_id=a",
        "AuditEvent?_id=a",
        "/Task?status=requested",
        "Task?nothing=x",
        "Task?status",
        "Task?status=",
        "Task?status:wrong=x",
        "Task?_sort=_lastUpdated",
        "Task?_count=1",
        "Task?_include=Task:focus",
        "Task?_summary=true",
        "Task?_elements=id",
        "Task?_cursor=x",
        "Task?_total=none",
        "Task?_format=json",
        "Task?focus.status=active",
        "Task?focus:ServiceRequest.status=active",
        "Patient?_has:Task:patient:status=requested",
        "Task?modified=tomorrow",
        "Task?status=%ff",
    ],
)
def test_what_would_not_be_obeyed_is_refused(criteria: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        parse_criteria(criteria, Settings(), BASE)
    assert caught.value.expression == ("Subscription.criteria",)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("Task?owner=Organization/x", True),
        ("Observation?code=http://loinc.org|1975-2", True),
        ("http://example.org/topic", False),
        ("urn:warm-handoff:topic:task-assigned", False),
        ("http://example.org/topic?x=y", False),
    ],
)
def test_a_search_is_no_canonical(criteria: str, expected: bool) -> None:
    assert is_search(criteria) is expected

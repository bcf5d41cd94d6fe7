"""Rendered searches are kept for who polls, and never what is long."""

from datetime import UTC, datetime

from app.core.caller import Scope
from app.core.settings import Settings
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store.search import KEPT, render_kept, render_search

MARK = datetime(2026, 11, 1, tzinfo=UTC)


def plan(name: str) -> SearchPlan:
    return parse_search("Patient", [("name", name), ("_count", "20")], Settings(), "http://handoff.test/fhir")


def test_the_same_search_is_rendered_once_for_each_scope() -> None:
    render_kept.cache_clear()
    first = render_search(plan("a"), Scope(("hospital",)))
    assert render_search(plan("a"), Scope(("hospital",))) is first
    other = render_search(plan("a"), Scope(("ngo",)))
    assert (other[0], other[1] == first[1]) == (first[0], False)
    assert render_search(plan("b"), Scope(("hospital",)))[1] != first[1]


def test_what_is_long_or_comes_once_is_not_kept() -> None:
    render_kept.cache_clear()
    for name, mark in (("a" * KEPT, None), ("a", MARK)):
        statement, values = render_search(plan(name), Scope(("hospital",)), mark)
        assert name in str(values)
        assert "last_updated <" in statement or mark is None
    assert render_kept.cache_info().currsize == 0

"""What a search may ask, and what it is told when it may not."""

import pytest

from app.core.errors import HandoffError, Invalid, Unsupported
from app.core.settings import Settings
from app.search.parse import parse_search
from app.search.plan import (
    MissingCriterion,
    ReferenceCriterion,
    SearchPlan,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)

SETTINGS = Settings(max_or_values=3, max_count=50, default_count=20)
BASE = "https://refer.example.org/fhir"


def plan(resource_type: str, *query: tuple[str, str]) -> SearchPlan:
    return parse_search(resource_type, query, SETTINGS, BASE)


def test_absolute_and_relative_references_are_the_same() -> None:
    relative = plan("Task", ("owner", "Organization/x"))
    absolute = plan("Task", ("owner", f"{BASE}/Organization/x"))
    assert relative.criteria == absolute.criteria
    [criterion] = relative.criteria
    assert isinstance(criterion, ReferenceCriterion)
    assert criterion.targets == ("Organization/x",)


def test_a_bare_id_stands_for_every_target_type() -> None:
    [criterion] = plan("Task", ("patient", "p")).criteria
    assert isinstance(criterion, ReferenceCriterion)
    assert criterion.targets == ("Patient/p",)


def test_a_foreign_reference_stays_whole() -> None:
    [criterion] = plan("Task", ("owner", "https://elsewhere.example/fhir/Organization/x")).criteria
    assert isinstance(criterion, ReferenceCriterion)
    assert criterion.targets == ("https://elsewhere.example/fhir/Organization/x",)


def test_the_forms_of_a_token() -> None:
    [criterion] = plan("Task", ("identifier", "u|1,|2,u|")).criteria
    assert isinstance(criterion, TokenCriterion)
    assert criterion.values == (TokenValue("u", "1"), TokenValue("", "2"), TokenValue("u", None))


def test_escaped_commas_do_not_separate() -> None:
    [criterion] = plan("Patient", ("name", r"a\,b,c")).criteria
    assert isinstance(criterion, StringCriterion)
    assert criterion.values == ("ab", "c")  # punctuation is folded away


def test_missing() -> None:
    [criterion] = plan("Task", ("owner:missing", "true")).criteria
    assert isinstance(criterion, MissingCriterion)
    assert criterion.missing


def test_count_is_clamped_and_the_misspelt_parameter_of_the_guide_is_known() -> None:
    read = plan("Task", ("_count", "1000"), ("_lastupdated", "gt2026-01-01"))
    assert read.count == 50
    assert read.self_query == (("_count", "1000"), ("_lastUpdated", "gt2026-01-01"))


@pytest.mark.parametrize(
    ("resource_type", "name", "value", "error"),
    [
        ("Task", "colour", "red", Unsupported),
        ("Task", "owner.name", "x", Unsupported),
        ("Task", "_has:Provenance:target:agent", "x", Unsupported),
        ("Task", "owner:not", "x", Unsupported),
        ("Task", "status:above", "draft", Unsupported),
        ("Task", "status:identifier", "draft", Unsupported),
        ("Task", "owner:identifier", "", Invalid),
        ("Observation", "code-value-quantity", "x", Invalid),
        ("Observation", "code-value-quantity", "x$1$2", Invalid),
        ("Observation", "code-value-quantity", "x$y", Invalid),
        ("Observation", "code-value-quantity", "$5", Invalid),
        ("Observation", "code-value-quantity", r"x\$5", Invalid),
        ("Observation", "code-value-string", "x$", Invalid),
        ("Observation", "code-value-quantity:missing", "true", Unsupported),
        ("Observation", "code-value-string:exact", "x$y", Unsupported),
        ("DocumentReference", "relationship", "replaces$", Invalid),
        ("SearchParameter", "code", "urn:x|y", Unsupported),
        ("Task", "status:missing", "maybe", Invalid),
        ("Task", "status", "", Invalid),
        ("Task", "identifier", "a|b|c", Invalid),
        ("Task", "owner", "", Invalid),
        ("Task", "owner", "a,b,c,d", Invalid),
        ("Task", "_count", "-1", Invalid),
        ("Task", "_count", "many", Invalid),
        ("Task", "_sort", "colour", Unsupported),
        ("Task", "_sort", "status,-status", Invalid),
        ("Task", "_include", "Task:colour", Unsupported),
        ("Patient", "_revinclude", "*", Unsupported),
        ("Patient", "_revinclude", "Task:status", Unsupported),
        ("Patient", "_revinclude", "Task:subject:Group", Unsupported),
        ("Task", "_total", "some", Invalid),
        ("Task", "_cursor", "nonsense", Invalid),
        ("Task", "_lastUpdated", "soon", Invalid),
        ("Patient", "name", "", Invalid),
        ("Patient", "name", "a\x00", Invalid),
        ("Patient", "birthdate", "20-1", Invalid),
    ],
)
def test_what_is_refused(resource_type: str, name: str, value: str, error: type[HandoffError]) -> None:
    with pytest.raises(error) as caught:
        plan(resource_type, (name, value))
    assert caught.value.expression


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ("http://hl7.org/fhir/request-intent|order", ("order",)),
        ("http://hl7.org/fhir/task-intent|unknown", ("unknown",)),
        ("http://hl7.org/fhir/task-intent|", ("unknown",)),
        ("http://hl7.org/fhir/task-intent|order", ()),
        ("|order", ()),
    ],
)
def test_a_plain_code_has_the_systems_of_its_required_binding(wanted: str, codes: tuple[str, ...]) -> None:
    [criterion] = plan("Task", ("intent", wanted)).criteria
    assert isinstance(criterion, TokenCriterion)
    assert tuple(each.code for each in criterion.values) == codes
    assert all(each.system is None for each in criterion.values)


def test_who_asks_the_same_again_is_answered_by_the_same_plan() -> None:
    query = [("owner", "Organization/x"), ("status", "requested")]
    first = parse_search("Task", query, SETTINGS, BASE)
    assert parse_search("Task", query, SETTINGS, BASE) is first
    assert parse_search("Task", query, Settings(default_count=7), BASE).count == 7
    elsewhere = parse_search("Task", [("owner", f"{BASE}/Organization/x")], SETTINGS, "http://elsewhere/fhir")
    assert elsewhere.criteria != first.criteria[:1]


def test_lenient_and_strict_are_not_mixed_up() -> None:
    query = [("colour", "red")]
    assert parse_search("Task", query, SETTINGS, BASE, lenient=True).issues
    with pytest.raises(Unsupported):
        parse_search("Task", query, SETTINGS, BASE)
    assert parse_search("Task", query, SETTINGS, BASE, lenient=True).issues


@pytest.mark.parametrize(
    "query",
    [
        [("_lastUpdated", "ap2026-01-01")],  # it means another span of time the next day
        [("_lastUpdated", "gt2026-01-01,ap2026-01-01")],
        [("identifier", "x" * 1_001)],
        [("status:missing", "true")] * 31,
    ],
)
def test_what_means_something_else_later_or_is_long_is_read_anew(query: list[tuple[str, str]]) -> None:
    assert parse_search("Task", query, SETTINGS, BASE) is not parse_search("Task", query, SETTINGS, BASE)


def test_the_query_as_understood_is_text_for_an_address() -> None:
    assert (
        plan("Task", ("owner", "Organization/x y&z"), ("_pretty", "true")).self_text == "owner=Organization%2Fx+y%26z"
    )

"""What the index holds of a resource."""

import json
from typing import Any

import pytest

from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.registry import STORED, TYPES
from app.models.resources import RESOURCE_TABLES
from app.search.extract import extractor, has_same_rows, index_rows
from app.store.statements import search_columns
from tests.integration.interactions.search_resources import STORED as KEPT

TASK: dict[str, Any] = {
    "resourceType": "Task",
    "status": "requested",
    "code": {"coding": [{"system": "s", "code": "fulfill"}, {"code": "plain"}]},
    "for": {"reference": "Patient/p/_history/3"},
    "owner": {"reference": "Organization/o"},
    "focus": {"reference": "#contained"},
    "basedOn": [{"reference": "ServiceRequest/a"}, {"reference": "ServiceRequest/b"}],
}


def test_single_values_are_columns_and_repeated_ones_are_rows() -> None:
    entry = extractor("Task")(TASK)
    columns = dict(zip(search_columns("Task"), entry.columns, strict=True))
    assert columns["s_status"] == "requested"
    assert columns["s_patient"] == "Patient/p"
    assert columns["s_owner"] == "Organization/o"
    assert columns["s_focus"] is None
    assert set(entry.rows["token"]) == {("code", "s", "fulfill"), ("code", "", "plain")}
    assert set(entry.rows["reference"]) >= {("based-on", "ServiceRequest/a"), ("based-on", "ServiceRequest/b")}


def test_a_subject_that_is_no_patient_is_not_found_as_one() -> None:
    columns = dict(
        zip(
            search_columns("ServiceRequest"),
            extractor("ServiceRequest")(
                {"resourceType": "ServiceRequest", "subject": {"reference": "Group/g"}}
            ).columns,
            strict=True,
        )
    )
    assert columns["s_subject"] == "Group/g"
    assert columns["s_patient"] is None


def test_an_empty_resource_of_every_type_has_an_entry_of_the_right_shape() -> None:
    for name in STORED:
        entry = extractor(name)({"resourceType": name})
        assert len(entry.columns) == len(search_columns(name))
        assert set(search_columns(name)) <= {column.name for column in RESOURCE_TABLES[name].columns}
        assert all(not rows for rows in entry.rows.values())


SAMPLES = [TASK, *(parse(json.dumps(each).encode(), STORED_LIMITS) for each in KEPT)]
BASE = "http://handoff.test/fhir"


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda each: f"{each['resourceType']}-{each.get('id')}")
def test_rows_are_those_of_each_parameter_by_itself(resource: dict[str, Any]) -> None:
    expected: dict[str, set[Any]] = {}
    for each in TYPES[resource["resourceType"]].indexed:
        if each.in_rows:
            found = {(each.stored_as, *row) for row in index_rows(each, resource, BASE)}
            expected.setdefault(each.row_kind, set()).update(found)
    rows = extractor(resource["resourceType"], BASE)(resource).rows
    assert rows == {kind: tuple(sorted(found)) for kind, found in expected.items()}


def list_pairs() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each resource with one element less, with another status, and with the next of its type."""
    pairs = [(each, {key: each[key] for key in each if key != name}) for each in SAMPLES for name in each]
    pairs = [pair for pair in pairs if "resourceType" in pair[1]]
    pairs += [(each, {**each, "meta": {"versionId": "2"}, "status": "x"}) for each in SAMPLES]
    return pairs + [
        (one, other) for one in SAMPLES for other in SAMPLES if one["resourceType"] == other["resourceType"]
    ]


def test_versions_whose_rows_differ_are_told_apart() -> None:
    answers = []
    for before, after in list_pairs():
        extract = extractor(before["resourceType"], BASE)
        answers.append(has_same_rows(before["resourceType"], before, after))
        if answers[-1]:
            assert extract(before).rows == extract(after).rows
    assert answers.count(True) > 100
    assert answers.count(False) > 100


def test_a_new_status_and_a_new_stamp_leave_the_rows() -> None:
    before = {**TASK, "meta": {"versionId": "1", "lastUpdated": "2026-11-29T08:00:00Z"}}
    assert has_same_rows("Task", before, {**TASK, "status": "accepted", "note": [{"text": "Yes"}]})
    assert not has_same_rows("Task", before, {**TASK, "meta": {"tag": [{"code": "x"}]}})


def test_a_composite_of_the_whole_resource_is_looked_at() -> None:
    before = {"resourceType": "Observation", "code": {"coding": [{"code": "a"}]}, "valueString": "one"}
    assert not has_same_rows("Observation", before, {**before, "valueString": "two"})

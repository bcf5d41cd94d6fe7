"""What the index holds of a resource."""

from typing import Any

from app.fhir.registry import STORED
from app.models.resources import RESOURCE_TABLES
from app.search.extract import extractor
from app.store.statements import search_columns

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

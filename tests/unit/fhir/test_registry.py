"""The registry: what the tables say about types and search parameters."""

import pytest

from app.fhir.registry import EVERY_INTERACTION, RESOURCE_NAMES, TYPES, load_definition
from app.fhir.shapes import SHAPES


def test_types_are_resources_with_a_structure() -> None:
    assert set(TYPES) <= set(RESOURCE_NAMES)
    assert set(TYPES) <= set(SHAPES)


def test_tables_have_names_of_their_own() -> None:
    tables = [each.table for each in TYPES.values()]
    assert len(set(tables)) == len(tables)
    assert TYPES["ServiceRequest"].table == "service_request"


def test_guide_demands_versions_for_updates() -> None:
    assert {name for name, each in TYPES.items() if each.versioned_update} == {"Task", "ServiceRequest", "Procedure"}


def test_interactions_are_known() -> None:
    assert all(each.interactions <= EVERY_INTERACTION for each in TYPES.values())


@pytest.mark.parametrize("name", sorted(TYPES))
def test_includes_and_hot_indexes_are_search_parameters(name: str) -> None:
    kept = TYPES[name]
    for code in kept.includes:
        parameter = kept.parameter(code)
        assert parameter is not None
        assert parameter.kind == "reference"
    for code in [code for codes in kept.hot_indexes for code in codes]:
        assert kept.parameter(code) is not None
    assert kept.parameter("no-such-code") is None


@pytest.mark.parametrize("name", sorted(TYPES))
def test_search_paths_lead_through_the_structure(name: str) -> None:
    for parameter in TYPES[name].search:
        assert parameter.paths
        assert all(path.steps or path.components for path in parameter.paths)
        assert all(step in SHAPES[name].elements for path in parameter.paths for step in path.steps[:1])
        for path in parameter.paths:
            inner = [each.steps[0] for component in path.components for each in component.paths]
            assert all(step in SHAPES[path.type].elements for step in inner)


def test_parameters_are_found_by_code() -> None:
    owner = TYPES["Task"].parameter("owner")
    assert owner is not None
    assert owner.paths[0].steps == ("owner",)
    assert "Organization" in owner.targets


def test_definitions_agree_with_each_other() -> None:
    bound = {
        facts["binding"]
        for table in load_definition("structures").values()
        for facts in table["elements"].values()
        if "binding" in facts
    }
    assert bound == set(load_definition("value_sets"))

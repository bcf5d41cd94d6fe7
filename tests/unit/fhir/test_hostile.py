"""validate() on what no honest client sends: whatever it is, issues come back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fhir.json_text import ExactDecimal
from app.fhir.validation import SERVED, validate
from tests.unit.fhir.samples import Resource, nest, patient, task


def find(resource: Any) -> list[tuple[str, str]]:
    """(code, expression) of every issue."""
    return [(issue.code, "".join(issue.expression)) for issue in validate(resource)]


def test_hostile_base64_takes_no_time() -> None:
    assert find(patient(photo=[{"contentType": "image/png", "data": "ab" + " " * 1_000_000 + "!"}])) == [
        ("value", "Patient.photo[0].data")
    ]


class TestHostileShapes:
    """Whatever is sent, issues come back."""

    def test_numbers_as_keys(self) -> None:
        assert find({"resourceType": "Task", 5: 1, "status": "draft", "intent": "order"}) == [("structure", "Task")]

    @pytest.mark.parametrize("levels", [50, 98])
    def test_deep_extensions(self, levels: int) -> None:
        assert find(patient(extension=[nest(levels)])) == []

    @pytest.mark.parametrize("levels", [100, 20_000])
    def test_too_deep_extensions(self, levels: int) -> None:
        assert [code for code, _ in find(patient(extension=[nest(levels)]))] == ["structure"]

    def test_loops(self) -> None:
        loop: Resource = {"url": "http://example.org/x"}
        loop["extension"] = [loop, loop]
        assert [code for code, _ in find(patient(extension=[loop]))] == ["structure"]
        held: Resource = {"resourceType": "Medication", "id": "m"}
        held["ingredient"] = [held, held]
        assert find(patient(contained=[held]))

    def test_issues_past_the_hundredth_are_counted(self) -> None:
        issues = validate(patient(name=[{"foo": 1}] * 1000))
        assert len(issues) == 101
        assert issues[-1].diagnostics == "900 more issues are not listed"


NAMES = sorted({*task(), "coding", "reference", "value", "extension", "contained", "name", "entry", "parameter"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: ExactDecimal(str(value))),
    st.sampled_from(["Task", "Patient", "Medication", "Bundle", "#", "#a", "2020", "order"]),
)
SHAPES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from([*NAMES, "resourceType", "id"]), st.text(max_size=4)), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


def list_places(node: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in keys:
        found.append((node, key))
        found.extend(list_places(node[key]))
    return found


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_anything_in_any_place_of_a_task_only_makes_issues(data: st.DataObject) -> None:
    resource = task()
    holder, key = data.draw(st.sampled_from(list_places(resource)), label="place")
    holder[key] = data.draw(SHAPES, label="value")
    for issue in validate(resource):
        assert issue.severity == "error"
        assert issue.diagnostics


@given(st.sampled_from(sorted(SERVED)), st.dictionaries(st.sampled_from(NAMES), SHAPES, max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_content_of_any_type_only_makes_issues(name: str, content: Resource) -> None:
    assert isinstance(validate({**content, "resourceType": name}), list)


@given(
    st.sampled_from(["Medication", "Composition", "Claim", "Binary", "Device", "Bundle", "Parameters"]), SHAPES, SHAPES
)
@settings(max_examples=300, deadline=None)
def test_any_contained_content_only_makes_issues(name: str, first: Any, second: Any) -> None:
    keys = {"Medication": ("ingredient", "amount"), "Binary": ("data", "contentType"), "Bundle": ("entry", "type")}
    one, two = keys.get(name, ("parameter", "type"))
    held = {"resourceType": name, "id": "m", one: first, two: second, "code": first, "identifier": [second]}
    extension = {"url": "http://example.org/x", "valueReference": {"reference": "#m"}}
    assert isinstance(validate(patient(contained=[held], extension=[extension])), list)

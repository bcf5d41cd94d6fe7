"""validate(): structure, primitives, bindings, expressions, and that nothing makes it raise."""

from copy import deepcopy
from typing import Any

import pytest

from app.fhir.json_text import ExactDecimal, dump, parse
from app.fhir.registry import TYPES
from app.fhir.validation import validate
from tests.unit.fhir.samples import Resource, nest, observation, patient, task

Found = list[tuple[str, str]]


def find(resource: Any, root: str | None = None) -> Found:
    """(code, expression) of every issue."""
    return [(issue.code, "".join(issue.expression)) for issue in validate(resource, root=root)]


def test_ordinary_task_is_valid() -> None:
    assert validate(task()) == []


def test_validation_changes_nothing() -> None:
    resource = task()
    before = deepcopy(resource)
    validate(resource)
    assert resource == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"foo": 1}, [("structure", "Task.foo")]),
        ({"not a name": 1}, [("structure", "Task")]),
        ({"_intent": ["x"]}, [("structure", "Task.intent")]),
        ({"_id": {"extension": [nest(0)]}}, [("structure", "Task._id")]),
        ({"resource_type": "Task"}, [("structure", "Task.resource_type")]),
        ({"fhir_comments": "x"}, [("structure", "Task.fhir_comments")]),
        ({"status": ...}, [("invariant", "Task.status")]),  # its id is left, and is no content (ele-1)
        ({"intent": ...}, [("required", "Task.intent")]),
        ({"intent": None}, [("structure", "Task.intent")]),
        ({"intent": ""}, [("value", "Task.intent")]),
        ({"intent": ["order"]}, [("structure", "Task.intent")]),
        ({"intent": 5}, [("structure", "Task.intent")]),
        ({"intent": {"a": 1}}, [("structure", "Task.intent")]),
        ({"intent": "Order"}, [("code-invalid", "Task.intent")]),
        ({"priority": "soon"}, [("code-invalid", "Task.priority")]),
        ({"owner": "Organization/1"}, [("structure", "Task.owner")]),
        ({"owner": []}, [("structure", "Task.owner")]),
        ({"owner": {}}, [("structure", "Task.owner")]),
        ({"owner": {"id": "x"}}, [("invariant", "Task.owner")]),
        ({"basedOn": {"reference": "CarePlan/1"}}, [("structure", "Task.basedOn")]),
        ({"basedOn": []}, [("structure", "Task.basedOn")]),
        ({"basedOn": [None]}, [("structure", "Task.basedOn[0]")]),
        ({"authoredOn": "2016-02-30"}, [("value", "Task.authoredOn")]),
        ({"authoredOn": "2016-02-03T10:00"}, [("value", "Task.authoredOn")]),
        ({"extension": [{"valueString": "x"}]}, [("required", "Task.extension[0].url")]),
        ({"extension": [{"url": "a"}]}, [("invariant", "Task.extension[0]")]),
        (
            {"extension": [{"url": "a", "valueString": "x", "extension": [nest(0)]}]},
            [("invariant", "Task.extension[0]")],
        ),
        (
            {"extension": [{"url": "a", "valueString": "x", "valueCode": "y"}]},
            [("structure", "Task.extension[0].value")],
        ),
        (
            {"input": [{"valueString": "x"}, {"type": {"txt": "a"}, "valueInteger": "1"}, {"type": {"text": "a"}}]},
            [
                ("required", "Task.input[0].type"),
                ("structure", "Task.input[1].type.txt"),
                ("structure", "Task.input[1].value"),
                ("required", "Task.input[2].value"),
            ],
        ),
        ({"text": {"status": "empty", "div": "plain"}}, [("invariant", "Task.text.div")]),
    ],
)
def test_broken_task(changes: Resource, expected: Found) -> None:
    assert find(task(**changes)) == expected


def test_every_issue_is_told_at_once() -> None:
    broken = task(intent=..., foo=1, focus={"reference": 5}, priority="soon", lastModified="2020", authoredOn="2021")
    assert sorted(find(broken)) == [
        ("code-invalid", "Task.priority"),
        ("invariant", "Task"),
        ("required", "Task.intent"),
        ("structure", "Task.focus.reference"),
        ("structure", "Task.foo"),
    ]


def test_root_begins_every_expression() -> None:
    issues = validate(task(intent=..., foo=1), root="Bundle.entry[3].resource")
    assert {issue.expression for issue in issues} == {
        ("Bundle.entry[3].resource.intent",),
        ("Bundle.entry[3].resource.foo",),
    }


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ([], "structure"),
        ({}, "structure"),
        ({"resourceType": 5}, "structure"),
        ({"resourceType": ["Task"]}, "structure"),
        ({"resourceType": "Tusk"}, "structure"),
        ({"resourceType": "Account"}, "not-supported"),
    ],
)
def test_type_that_is_not_served(resource: Any, code: str) -> None:
    assert [issue.code for issue in validate(resource)] == [code]


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("valueString", "line\none\ttwo\r", True),
        ("valueString", " ", True),
        ("valueString", "a\u00a0b \u3000 \U0001f600", True),
        ("valueString", "a\x01", False),
        ("valueBoolean", "true", False),
        ("valueBoolean", 1, False),
        ("valueInteger", -(2**31), True),
        ("valueInteger", 2**31, False),
        ("valueInteger", True, False),
        ("valueInteger", ExactDecimal("-0"), True),
        ("valueInteger", ExactDecimal("1.0"), False),
        ("valueInteger", ExactDecimal("1e3"), False),
        ("valueInteger", ExactDecimal("1" * 30), False),
        ("valuePositiveInt", 0, False),
        ("valueUnsignedInt", 0, True),
        ("valueUnsignedInt", ExactDecimal("-0"), False),
        ("valueDecimal", ExactDecimal("1.10"), True),
        ("valueDecimal", ExactDecimal("1e999"), True),
        ("valueDecimal", ExactDecimal("-0.00000000000000000000000000000000000000001"), True),
        ("valueDecimal", 3, True),
        ("valueDecimal", "1.0", False),
        ("valueDecimal", False, False),
        ("valueCode", "a b", True),
        ("valueCode", "a  b", False),
        ("valueCode", " a", False),
        ("valueId", "a_b", False),
        ("valueId", "a" * 64, True),
        ("valueId", "a" * 65, False),
        ("valueUri", "a b", False),
        ("valueUri", "urn:x", True),
        ("valueUrl", "http://example.org/å", True),
        ("valueCanonical", "http://example.org/x|2", True),
        ("valueOid", "urn:oid:1.2.3", True),
        ("valueOid", "1.2.3", False),
        ("valueUuid", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", True),
        ("valueUuid", "c757873d-ec9a-4326-a141-556f43239520", False),
        ("valueDate", "2024-02-29", True),
        ("valueDate", "2023-02-29", False),
        ("valueDate", "2023-00", False),
        ("valueDate", "0000", False),
        ("valueDate", "2023-01-01T00:00:00Z", False),
        ("valueDateTime", "2023-01", True),
        ("valueDateTime", "2016-12-31T23:59:60Z", True),
        ("valueDateTime", "2023-01-01T24:00:00Z", False),
        ("valueDateTime", "2023-01-01T10:00:00", False),
        ("valueDateTime", "2023-01-01T10:00:00.123456789012+14:00", True),
        ("valueDateTime", "２０２３", False),
        ("valueInstant", "2023-01-01", False),
        ("valueInstant", "2023-01-01T10:00:00.5-05:00", True),
        ("valueTime", "10:00", False),
        ("valueTime", "10:00:00", True),
        ("valueBase64Binary", "TWFu TWE=\n", True),
        ("valueBase64Binary", "TWF", False),
        ("valueBase64Binary", "T===", False),
        ("valueBase64Binary", " " * 5000, False),
        ("valueMarkdown", "# a", True),
    ],
)
def test_primitive(name: str, value: object, valid: bool) -> None:
    found = find(patient(extension=[{"url": "http://example.org/x", name: value}]))
    if valid:
        assert found == []
    else:
        assert [place for _, place in found] == ["Patient.extension[0].value"]
        assert found[0][0] in ("structure", "value")


class TestPrimitiveExtensions:
    """The _sibling of a primitive (R4 json, 2.6.2.3)."""

    def test_extension_stands_for_a_required_value(self) -> None:
        assert find(task(status=..., _status={"extension": [nest(0)]})) == []

    def test_nulls_pair_with_extensions(self) -> None:
        name = {"given": ["a", None], "_given": [None, {"extension": [nest(0)]}]}
        assert find(patient(name=[name])) == []

    def test_extensions_alone_make_a_list(self) -> None:
        assert find(patient(name=[{"_given": [{"extension": [nest(0)]}]}])) == []

    def test_shorter_list_of_extensions(self) -> None:
        assert find(patient(name=[{"given": ["a", "b"], "_given": [{"id": "x"}]}])) == []

    @pytest.mark.parametrize(
        ("name", "place"),
        [
            ({"given": ["a", None]}, "given[1]"),
            ({"given": [None], "_given": [None]}, "given[0]"),
            ({"given": ["a"], "_given": [None, None]}, "given[1]"),
            ({"given": ["a"], "_given": {"id": "x"}}, "given"),
            ({"given": ["a"], "_given": []}, "given"),
            ({"given": ["a"], "_given": ["x"]}, "given[0]"),
            ({"family": "a", "_family": None}, "family"),
            ({"family": "a", "_family": {}}, "family"),
            ({"family": "a", "_family": {"foo": 1}}, "family.foo"),
            ({"family": "a", "_family": {"extension": [{"url": "a"}]}}, "family.extension[0]"),
        ],
    )
    def test_broken(self, name: Resource, place: str) -> None:
        assert [expression for _, expression in find(patient(name=[name]))] == [f"Patient.name[0].{place}"]

    @pytest.mark.parametrize("value", [{"valueString": "x"}, {}])
    def test_of_an_extension_which_the_models_do_not_know(self, value: Resource) -> None:
        extension = {"url": "http://example.org/x", **value, "_valueString": {"extension": [nest(0)]}}
        assert find(patient(extension=[extension])) == []
        assert find(patient(extension=[{**extension, "_valueCode": {"extension": [nest(0)]}}])) == [
            ("structure", "Patient.extension[0].value")
        ]

    @pytest.mark.parametrize(
        "resource",
        [
            task(input=[{"type": {"text": "x"}, "_valueString": {"extension": [nest(0)]}}]),
            {
                "resourceType": "CapabilityStatement",
                "status": "draft",
                "kind": "requirements",
                "description": "x",
                "date": "2024",
                "fhirVersion": "4.0.1",
                "_format": [{"extension": [nest(0)]}],
                "rest": [{"mode": "server"}],
            },
        ],
    )
    def test_required_by_extension_which_the_models_refuse(self, resource: Resource) -> None:
        assert find(resource) == []

    def test_id_alone_is_no_content(self) -> None:
        assert find(patient(_birthDate={"id": "a"})) == [("invariant", "Patient.birthDate")]


class TestBindings:
    """Required bindings (R4 terminologies, 4.1.5)."""

    SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-clinical"

    @pytest.mark.parametrize(
        ("concept", "valid"),
        [
            ({"coding": [{"system": SYSTEM, "code": "active"}]}, True),
            ({"coding": [{"system": "urn:local", "code": "x"}, {"system": SYSTEM, "code": "active"}]}, True),
            ({"coding": [{"system": SYSTEM, "code": "bogus"}]}, False),
            ({"coding": [{"code": "active"}]}, False),
            ({"text": "active"}, False),
            ({"extension": [nest(0)]}, True),
        ],
    )
    def test_concept(self, concept: Resource, valid: bool) -> None:
        condition = {"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": concept}
        assert find(condition) == ([] if valid else [("code-invalid", "Condition.clinicalStatus")])

    def test_short_code_is_named_with_those_allowed(self) -> None:
        (issue,) = validate(patient(gender="m"))
        assert "'m'" in issue.diagnostics
        assert "female" in issue.diagnostics

    def test_codes_in_a_list(self) -> None:
        timing = {"repeat": {"dayOfWeek": ["mon", "monday"]}}
        expected = [("code-invalid", "Observation.effective.repeat.dayOfWeek[1]")]
        assert find(observation(effectiveTiming=timing)) == expected


def test_diagnostics_do_not_repeat_what_was_sent() -> None:
    secret = "Jane Q Doe-Smith 1970"
    broken = patient(
        gender=secret,
        birthDate=secret,
        active=secret,
        maritalStatus=secret,
        name=[{"use": secret, secret: 1}],
        photo=[{"data": secret}],
        contact=[{"gender": secret, secret: [secret]}],
        text={"status": secret, "div": f"<{secret}/>"},
        contained=[{"resourceType": secret}, {"resourceType": "Medication", "id": "m", secret: [{secret: None}]}],
    )
    told = str(validate(broken))
    assert not [word for word in ("Jane", "Doe", "1970") if word in told]


class TestContained:
    """Contained resources (R4 references, 2.3.0.2)."""

    def test_is_validated(self) -> None:
        held = {"resourceType": "Organization", "id": "o", "active": "yes"}
        resource = patient(contained=[held], managingOrganization={"reference": "#o"})
        assert find(resource) == [
            ("structure", "Patient.contained[0].active"),
            ("invariant", "Patient.contained[0]"),
        ]

    @pytest.mark.parametrize("name", ["Medication", "Device", "MedicinalProduct"])
    def test_type_that_is_not_kept(self, name: str) -> None:
        extension = {"url": "http://example.org/x", "valueReference": {"reference": "#m"}}
        assert find(patient(contained=[{"resourceType": name, "id": "m"}], extension=[extension])) == []

    @pytest.mark.parametrize(
        ("content", "place"),
        [
            ({"foo": 1}, "foo"),
            ({"ingredient": [{"itemReference": 5}]}, "ingredient[0].itemReference"),
            ({"ingredient": []}, "ingredient"),
            ({"amount": {"numerator": None}}, "amount.numerator"),
            ({"meta": {"foo": 1}}, "meta.foo"),
            ({"text": {"status": "generated", "div": "<script/>"}}, "text.div"),
        ],
    )
    def test_broken_one_without_tables(self, content: Resource, place: str) -> None:
        held = {"resourceType": "Medication", "id": "m", **content}
        extension = {"url": "http://example.org/x", "valueReference": {"reference": "#m"}}
        found = find(patient(contained=[held], extension=[extension]))
        assert [expression for _, expression in found] == [f"Patient.contained[0].{place}"]

    @pytest.mark.parametrize("name", ["Foo", None, 5, ["Patient"]])
    def test_no_resource_of_fhir(self, name: Any) -> None:
        assert ("structure", "Patient.contained[0].resourceType") in find(patient(contained=[{"resourceType": name}]))


class TestShells:
    """Bundle and Parameters hold resources that are validated on their own."""

    def test_bundle_whose_resources_were_taken_out(self) -> None:
        entry = {
            "fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            "request": {"method": "POST", "url": "Task"},
        }
        assert find({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}) == []

    def test_resources_inside_are_left_aside(self) -> None:
        entry = {"resource": {"resourceType": "Task", "foo": 1}, "request": {"method": "POST", "url": "Task"}}
        assert find({"resourceType": "Bundle", "type": "batch", "entry": [entry]}) == []
        parameter = {"name": "a", "part": [{"name": "b", "resource": {"resourceType": "Task", "foo": 1}}]}
        assert find({"resourceType": "Parameters", "parameter": [parameter]}) == []

    @pytest.mark.parametrize("held", [[], 5, None, {}, {"resourceType": "Foo"}])
    def test_but_have_to_be_resources(self, held: object) -> None:
        entry = {"resource": held, "request": {"method": "POST", "url": "Task"}}
        (issue,) = validate({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
        assert issue.expression[0].startswith("Bundle.entry[0].resource")


def test_every_kept_type_names_what_it_misses() -> None:
    for name in TYPES:
        assert all(code in ("required", "invariant") for code, _ in find({"resourceType": name}))


def test_digits_do_not_matter() -> None:
    raw = dump(observation(valueQuantity={"value": ExactDecimal("1.0000000000000000000000000000000000001")}))
    assert validate(parse(raw.encode())) == []

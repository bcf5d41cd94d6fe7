"""What is stored for the search table: small resources whose ids say what they are about."""

import unicodedata
from typing import Any

from tests.api import Resource

UCUM = "http://unitsofmeasure.org"


def measured(name: str, value: Any = None, **more: Any) -> Resource:
    """An Observation with a quantity."""
    found = {"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "x"}, **more}
    return found if value is None else {**found, "valueQuantity": value}


def questionnaire(name: str, **more: Any) -> Resource:
    return {"resourceType": "Questionnaire", "id": name, "status": "active", **more}


def plan(name: str, kind: str, target: str) -> Resource:
    artifact = {"type": kind, "resource": target}
    return {"resourceType": "PlanDefinition", "id": name, "status": "draft", "relatedArtifact": [artifact]}


def answers(name: str, canonical: str) -> Resource:
    return {"resourceType": "QuestionnaireResponse", "id": name, "status": "completed", "questionnaire": canonical}


def person(key: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": key, **more}


def basic(name: str, code: Any, subject: Any, **more: Any) -> Resource:
    return {"resourceType": "Basic", "id": name, "code": code, "subject": subject, **more}


def coded(*codes: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:c", "code": code} for code in codes]}


MRN = {"system": "urn:mrn", "value": "1"}
PILOT = {"system": "urn:t", "code": "pilot"}
TEST = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}


def pressure(name: str, systolic: int, diastolic: int) -> Resource:
    """An Observation whose components are two numbers."""
    parts = [("8480-6", systolic), ("8462-4", diastolic)]
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": loinc("85354-9"),
        "component": [{"code": loinc(code), "valueQuantity": {"value": n, "unit": "mmHg"}} for code, n in parts],
    }


def loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def group(name: str, **value: Any) -> Resource:
    characteristic = [{"code": coded("gender"), "exclude": False, **value}]
    return {"resourceType": "Group", "id": name, "type": "person", "actual": False, "characteristic": characteristic}


AGE = {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": "age"}
AGES = [{"code": AGE, "valueRange": {"low": {"value": 18, "unit": "a"}, "high": {"value": 65, "unit": "a"}}}]


def relative(name: str, *names: Any, **more: Any) -> Resource:
    """A RelatedPerson with these HumanNames."""
    found: Resource = {
        "resourceType": "RelatedPerson",
        "id": name,
        "patient": {"reference": "https://b.example/Patient/9"},
    }
    return {**found, **({"name": list(names)} if names else {}), **more}


def message(name: str, sent: str | None = None, **more: Any) -> Resource:
    """A Communication sent at some time."""
    found: Resource = {"resourceType": "Communication", "id": name, "status": "completed", **more}
    return {**found, "sent": sent} if sent else found


def visit(name: str, **period: str) -> Resource:
    """An Encounter of some period."""
    found: Resource = {"resourceType": "Encounter", "id": name, "status": "finished", "class": {"code": "AMB"}}
    return {**found, "period": period} if period else found


def flag(name: str, subject: str, **more: Any) -> Resource:
    """A Flag of a subject, by this literal reference."""
    return {
        "resourceType": "Flag",
        "id": name,
        "status": "active",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def request(name: str, **more: Any) -> Resource:
    """A ServiceRequest of somebody elsewhere."""
    subject = {"reference": "https://b.example/Patient/9"}
    return {
        "resourceType": "ServiceRequest",
        "id": name,
        "status": "active",
        "intent": "order",
        "subject": subject,
        **more,
    }


BASE = "http://handoff.test/fhir"
NFD = unicodedata.normalize("NFD", "Nguyễn")
ADDRESS = {"line": ["12 Hàng Bông"], "city": "Hà Nội", "postalCode": "10000", "country": "VN", "use": "home"}
ODD = [{"system": "urn:a,b|c", "value": "1,2|3$4\\5"}, {"value": "A1"}]
DIRECTORY = ("Questionnaire", "PlanDefinition", "Practitioner", "Location", "HealthcareService")
"""The types among these that everyone reads."""

STORED: list[Resource] = [
    measured("mg100", {"value": 100, "unit": "mg", "system": UCUM, "code": "mg"}),
    measured("mg99.6", {"value": 99.6, "unit": "milligram", "system": UCUM, "code": "mg"}),
    measured("mg100.4", {"value": 100.4, "unit": "mg"}),
    measured("g101", {"value": 101, "unit": "g", "system": UCUM, "code": "g"}),
    measured("below5", {"value": 5, "comparator": "<", "unit": "mg", "system": UCUM, "code": "mg"}),
    measured("minus", {"value": -3, "unit": "Cel"}),
    measured("none"),
    measured("parts", component=[{"code": {"text": "y"}, "valueQuantity": {"value": 7, "unit": "cm"}}]),
    questionnaire("adults", url="http://a.example/q/adults", version="1", title="For adults", useContext=AGES),
    questionnaire("other", url="http://a.example/q/other", version="2", title="Another", date="2024-05"),
    plan("p1", "composed-of", "http://a.example/q/adults"),
    plan("p2", "depends-on", "http://a.example/q/adults|1"),
    answers("r1", "http://a.example/q/adults|1"),
    answers("r2", "http://a.example/q/adults"),
    answers("r3", "http://a.example/q/other|2"),
    person("alive", deceasedBoolean=False, gender="female", name=[{"family": "Sokha"}]),
    person("dead", deceasedBoolean=True, gender="male"),
    person("died", deceasedDateTime="2020-02-03", name=[{"family": "Sok", "given": ["Dara"]}]),
    person("unsaid", telecom=[{"system": "email", "value": "a@example.org"}, {"system": "phone", "value": "12"}]),
    basic(
        "b1",
        coded("x", "y"),
        {"type": "Patient", "identifier": MRN},
        created="2020-06-10",
        meta={"tag": [PILOT], "profile": ["http://a.example/p1"]},
    ),
    basic(
        "b2",
        coded("y"),
        {"reference": "https://b.example/Patient/2", "identifier": {**MRN, "value": "2"}},
        created="2010-01-05",
        meta={"tag": [{"code": "pilot"}, {"system": "urn:t", "code": "late"}]},
    ),
    basic(
        "b3",
        {"text": "z"},
        {"identifier": {"value": "1"}},
        created="2020",
        meta={"security": [TEST], "profile": ["http://a.example/p1", "http://a.example/p2"]},
    ),
    basic("b4", coded("x"), {"type": "Group", "identifier": MRN}),
    pressure("bp1", 120, 50),
    pressure("bp2", 50, 120),
    measured("weight", code=loinc("29463-7"), valueQuantity={"value": 50, "unit": "kg", "system": UCUM, "code": "kg"}),
    measured(
        "smoker",
        code=loinc("72166-2"),
        valueCodeableConcept=coded("never", "no"),
        component=[{"code": loinc("11367-0"), "valueCodeableConcept": coded("past")}],
    ),
    measured("note", code=loinc("48767-8"), valueString="Überweisung, 5$ pro Tag"),
    measured("asked", code=loinc("29463-7"), valueDateTime="2024-05"),
    measured("during", code=loinc("48767-8"), valuePeriod={"start": "2024-05-10", "end": "2024-06-02"}),
    group("mixed", valueCodeableConcept=coded("mixed")),
    group("told", valueBoolean=True),
    {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "content": [{"attachment": {"title": "x"}}],
        "relatesTo": [
            {"code": "replaces", "target": {"reference": "https://b.example/DocumentReference/1"}},
            {"code": "appends", "target": {"reference": "https://b.example/DocumentReference/2"}},
        ],
    },
    relative(
        "an", {"family": "Nguyễn", "given": ["Văn", "An"]}, gender="male", birthDate="1980-05-01", address=[ADDRESS]
    ),
    relative("binh", {"family": NFD, "given": ["Bình"]}, gender="female", birthDate="1980-05"),
    relative("caps", {"family": "NGUYEN"}, birthDate="1980", telecom=[{"system": "phone", "value": "+84 1"}]),
    relative("khmer", {"text": "សុខ ដារ៉ា", "family": "សុខ", "given": ["ដារ៉ា"]}, birthDate="1979-12-31"),
    relative("dang", {"family": "Đặng", "given": ["Thu  Hà"]}, {"given": ["Zoë"]}, active=True),
    relative("brien", {"family": "O'Brien, Łukasz"}, identifier=ODD, active=False),
    relative("strauss", {"family": "Strauß", "given": ["Ann"]}, gender="unknown"),
    relative("nameless"),
    message("m1", "2024-05-10T10:00:00Z", sender={"reference": "Practitioner/doc"}),
    message(
        "m2", "2024-05-10", recipient=[{"reference": "Practitioner/doc"}, {"reference": "https://b.example/Device/1"}]
    ),
    message("m3", "2024-05", instantiatesUri=["http://a.example/p", "urn:oid:1.2.3"]),
    message("m4", "2024"),
    message("m5", "2024-05-10T23:30:00-05:00", category=[coded("a,b")]),
    message("m6", "2024-05-10T10:00:00.500Z", partOf=[{"reference": "Communication/m1"}]),
    message("m7", category=[coded("x"), coded("y")], partOf=[{"reference": "Communication/m1"}]),
    visit("closed", start="2024-01-10", end="2024-01-20"),
    visit("open", start="2024-01-15"),
    visit("begun", end="2024-01-12"),
    visit("never"),
    flag("plain", "Patient/alive", author={"reference": "Practitioner/doc"}),
    flag("whole", f"{BASE}/Patient/alive"),
    flag("versioned", "Patient/alive/_history/1"),
    flag("group", "Group/mixed"),
    flag("elsewhere", "https://b.example/Patient/alive"),
    flag("elsewhere-version", "https://b.example/Patient/alive/_history/2"),
    flag("urn", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
    request("events", occurrenceTiming={"event": ["2024-03-01", "2024-03-31"]}),
    request("bounds", occurrenceTiming={"repeat": {"boundsPeriod": {"start": "2024-03-10", "end": "2024-03-20"}}}),
    request("once", occurrenceDateTime="2024-03-15", instantiatesUri=["http://a.example/P"]),
    {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Trần"}], "active": True},
    {"resourceType": "Location", "id": "ward", "name": "Ward 5", "status": "active"},
    {"resourceType": "Location", "id": "yard", "name": "The yard", "partOf": {"reference": "Location/ward"}},
    {"resourceType": "HealthcareService", "id": "meals", "name": "Meals", "location": [{"reference": "Location/ward"}]},
]

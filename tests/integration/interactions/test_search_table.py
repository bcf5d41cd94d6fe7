"""A table of searches: what is stored, what is asked, what must be found, and the section of R4 that says so."""

from typing import Any
from urllib.parse import quote

from tests.api import Caller, Resource, World

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
GENDER, STATUS = "http://hl7.org/fhir/administrative-gender", "http://hl7.org/fhir/publication-status"


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
]

NUMBER, DATE, STRING, URI, TOKEN, REFERENCE, QUANTITY = (f"3.1.1.4.{n}" for n in (6, 7, 8, 9, 10, 12, 13))
MODIFIER, PREFIX, JOIN, EVERY_TYPE, COMPOSITE = "3.1.1.4.4", "3.1.1.4.5", "3.1.1.3", "3.1.1.4.1", "3.1.1.4.17"

ROWS: list[tuple[str, str, str]] = [
    ("Observation?value-quantity=100", "mg100 mg99.6 mg100.4", NUMBER),
    ("Observation?value-quantity=100.0", "mg100", NUMBER),
    ("Observation?value-quantity=1e2", "mg100 mg99.6 mg100.4 g101 weight", NUMBER),
    ("Observation?value-quantity=1.00e2", "mg100 mg99.6 mg100.4", NUMBER),
    ("Observation?value-quantity=ne100", "g101 below5 minus weight", NUMBER),
    ("Observation?value-quantity=lt100", "mg99.6 below5 minus weight", NUMBER),
    ("Observation?value-quantity=le100", "mg100 mg99.6 below5 minus weight", NUMBER),
    ("Observation?value-quantity=gt100", "mg100.4 g101", NUMBER),
    ("Observation?value-quantity=ge100", "mg100 mg100.4 g101", NUMBER),
    ("Observation?value-quantity=gt100.4", "g101", NUMBER),
    ("Observation?value-quantity=ap100", "mg100 mg99.6 mg100.4 g101", PREFIX),
    ("Observation?value-quantity=sa100", "mg100.4 g101", PREFIX),
    ("Observation?value-quantity=eb100", "mg99.6 below5 minus weight", PREFIX),
    ("Observation?value-quantity=lt-2", "below5 minus", NUMBER),
    ("Observation?value-quantity=-3", "minus", NUMBER),
    ("Observation?value-quantity=lt1", "below5 minus", QUANTITY),
    ("Observation?value-quantity=gt4", "mg100 mg99.6 mg100.4 g101 below5 weight", QUANTITY),
    ("Observation?value-quantity=gt5", "mg100 mg99.6 mg100.4 g101 weight", QUANTITY),
    (f"Observation?value-quantity=100|{UCUM}|mg", "mg100 mg99.6", QUANTITY),
    ("Observation?value-quantity=100||mg", "mg100 mg99.6 mg100.4", QUANTITY),
    ("Observation?value-quantity=100||milligram", "mg99.6", QUANTITY),
    (f"Observation?value-quantity=gt0|{UCUM}|g", "g101", QUANTITY),
    ("Observation?value-quantity=100||mg,101||g", "mg100 mg99.6 mg100.4 g101", JOIN),
    ("Observation?value-quantity=ge100&value-quantity=lt101", "mg100 mg100.4", JOIN),
    ("Observation?value-quantity:missing=true", "none parts during asked note smoker bp1 bp2", MODIFIER),
    ("Observation?value-quantity:missing=false&value-quantity=lt0", "below5 minus", MODIFIER),
    ("Observation?component-value-quantity=7||cm", "parts", QUANTITY),
    ("Observation?combo-value-quantity=gt6", "mg100 mg99.6 mg100.4 g101 parts bp1 bp2 weight", QUANTITY),
    ("Observation?combo-value-quantity=7", "parts", QUANTITY),
    ("Questionnaire?context-quantity=gt60", "adults", QUANTITY),
    ("Questionnaire?context-quantity=lt18", "", QUANTITY),
    ("Questionnaire?context-quantity=sa17||a", "adults", PREFIX),
    ("Questionnaire?context-quantity=eb65", "", PREFIX),
    ("Questionnaire?context-quantity=ap18", "adults", PREFIX),
    ("Questionnaire?url=http://a.example/q/adults", "adults", URI),
    ("Questionnaire?url=http://a.example/q/", "", URI),
    ("Questionnaire?url=HTTP://A.example/q/adults", "", URI),
    ("Questionnaire?url=http://a.example/q/adults&version=1", "adults", JOIN),
    ("Questionnaire?url=http://a.example/q/adults&version=2", "", JOIN),
    ("Questionnaire?title=for", "adults", STRING),
    ("Questionnaire?title:contains=THE", "other", STRING),
    ("Questionnaire?title:exact=another", "", STRING),
    ("Questionnaire?date=2024", "other", DATE),
    ("Questionnaire?date=lt2024-05-15", "other", DATE),
    ("Questionnaire?date=sa2024-04", "other", DATE),
    ("Questionnaire?date:missing=true", "adults", MODIFIER),
    ("PlanDefinition?composed-of=http://a.example/q/adults", "p1", REFERENCE),
    ("PlanDefinition?depends-on=http://a.example/q/adults", "p2", REFERENCE),
    ("PlanDefinition?depends-on=http://a.example/q/adults|1", "p2", REFERENCE),
    ("PlanDefinition?depends-on=http://a.example/q/adults|2", "", REFERENCE),
    ("PlanDefinition?successor:missing=true", "p1 p2", MODIFIER),
    ("QuestionnaireResponse?questionnaire=http://a.example/q/adults", "r1 r2", REFERENCE),
    ("QuestionnaireResponse?questionnaire=http://a.example/q/adults|1", "r1", REFERENCE),
    ("QuestionnaireResponse?questionnaire=http://a.example/q/none", "", REFERENCE),
    ("Patient?deceased=true", "dead died", TOKEN),
    ("Patient?deceased=false", "alive unsaid", TOKEN),
    ("Patient?death-date=2020", "died", DATE),
    ("Patient?death-date=gt2020-02-03", "", DATE),
    ("Patient?gender=male,female", "alive dead", TOKEN),
    ("Patient?gender:missing=true", "died unsaid", MODIFIER),
    ("Patient?phonetic=sok", "alive died", STRING),
    ("Patient?given=dara&family=sok", "died", JOIN),
    ("Patient?email=a@example.org", "unsaid", TOKEN),
    ("Patient?phone=a@example.org", "", TOKEN),
    ("Patient?telecom=12", "unsaid", TOKEN),
    ("Basic?code:not=x", "b2 b3", MODIFIER),
    ("Basic?code:not=urn:c|y", "b3 b4", MODIFIER),
    ("Basic?code:not=urn:d|y", "b1 b2 b3 b4", MODIFIER),
    ("Basic?code:not=x,y", "b3", MODIFIER),
    ("Basic?code:not=x&code=y", "b2", JOIN),
    ("Patient?gender:not=female", "dead died unsaid", MODIFIER),
    ("Patient?gender:not=female,male", "died unsaid", MODIFIER),
    ("Patient?deceased:not=true", "alive unsaid", MODIFIER),
    ("Basic?subject:identifier=urn:mrn|1", "b1 b4", REFERENCE),
    ("Basic?subject:identifier=1", "b1 b3 b4", REFERENCE),
    ("Basic?subject:identifier=|1", "b3", REFERENCE),
    ("Basic?subject:identifier=urn:mrn|", "b1 b2 b4", REFERENCE),
    ("Basic?subject:identifier=urn:mrn|1,urn:mrn|2", "b1 b2 b4", JOIN),
    ("Basic?subject:identifier=urn:other|1", "", REFERENCE),
    ("Basic?patient:identifier=urn:mrn|1", "b1", REFERENCE),
    ("Basic?patient:identifier=1", "b1 b3", REFERENCE),
    ("Basic?patient:identifier=2", "b2", REFERENCE),
    ("Basic?subject=1", "", REFERENCE),
    (f"Patient?gender={GENDER}|male", "dead", TOKEN),
    (f"Patient?gender={GENDER}|male,female", "alive dead", TOKEN),
    (f"Patient?gender={GENDER}|", "alive dead", TOKEN),
    (f"Patient?gender:not={GENDER}|male", "alive died unsaid", MODIFIER),
    ("Patient?gender=urn:other|male", "", TOKEN),
    ("Patient?gender=urn:other|male,female", "alive", TOKEN),
    ("Patient?gender=|male", "", TOKEN),
    ("Patient?deceased=|true", "dead died", TOKEN),
    (f"Questionnaire?status={STATUS}|active", "adults other", TOKEN),
    (f"Questionnaire?status={STATUS}|draft", "", TOKEN),
    ("Questionnaire?subject-type=http://hl7.org/fhir/resource-types|Patient", "", TOKEN),
    ("Basic?created=ap2020-07", "b1 b3", PREFIX),
    ("Basic?created=ap2020-06-10", "b1 b3", PREFIX),
    ("Basic?created=ap2010-02", "b2", PREFIX),
    ("Basic?created=ap1950", "", PREFIX),
    ("Basic?created=ap2020-07,ap2010-02", "b1 b2 b3", JOIN),
    ("Patient?death-date=ap2020-03", "died", PREFIX),
    ("Basic?_lastUpdated=ap2010", "", PREFIX),
    ("Basic?_tag=pilot", "b1 b2", EVERY_TYPE),
    ("Basic?_tag=urn:t|pilot", "b1", EVERY_TYPE),
    ("Basic?_tag=|pilot", "b2", EVERY_TYPE),
    ("Basic?_tag=urn:t|", "b1 b2", EVERY_TYPE),
    ("Basic?_tag=pilot&_tag=late", "b2", JOIN),
    ("Basic?_tag:not=pilot", "b3 b4", MODIFIER),
    ("Basic?_tag:missing=true", "b3 b4", MODIFIER),
    ("Basic?_security=HTEST", "b3", EVERY_TYPE),
    (f"Basic?_security={TEST['system']}|HTEST", "b3", EVERY_TYPE),
    ("Basic?_security=pilot", "", EVERY_TYPE),
    ("Basic?_security:missing=false", "b3", MODIFIER),
    ("Basic?_profile=http://a.example/p1", "b1 b3", EVERY_TYPE),
    ("Basic?_profile=http://a.example/p2,http://a.example/p3", "b3", EVERY_TYPE),
    ("Basic?_profile=http://a.example/", "", URI),
    ("Patient?_tag=pilot", "", EVERY_TYPE),
    ("Observation?component-code-value-quantity=http://loinc.org|8480-6$lt60", "bp2", COMPOSITE),
    ("Observation?component-code-value-quantity=8480-6$gt60", "bp1", COMPOSITE),
    ("Observation?component-code-value-quantity=8480-6$lt60||mmHg,8462-4$lt60||mmHg", "bp1 bp2", JOIN),
    ("Observation?component-code-value-quantity=8480-6$lt60||kg", "", COMPOSITE),
    ("Observation?component-code-value-quantity=8480-6$50&component-code-value-quantity=8462-4$120", "bp2", JOIN),
    ("Observation?component-code-value-quantity=urn:other|8480-6$lt60", "", COMPOSITE),
    ("Observation?component-code-value-quantity=29463-7$50", "", COMPOSITE),
    ("Observation?combo-code-value-quantity=http://loinc.org|$50", "bp1 bp2 weight", COMPOSITE),
    ("Observation?combo-code-value-quantity=29463-7$ap52", "weight", COMPOSITE),
    (f"Observation?code-value-quantity=29463-7$50|{UCUM}|kg", "weight", COMPOSITE),
    ("Observation?code-value-quantity=29463-7$ne50", "", COMPOSITE),
    ("Observation?code-value-quantity=85354-9$50", "", COMPOSITE),
    ("Observation?code-value-concept=72166-2$never", "smoker", COMPOSITE),
    ("Observation?code-value-concept=72166-2$urn:c|no", "smoker", COMPOSITE),
    ("Observation?code-value-concept=72166-2$|no", "", COMPOSITE),
    ("Observation?code-value-concept=72166-2$past", "", COMPOSITE),
    ("Observation?component-code-value-concept=11367-0$past", "smoker", COMPOSITE),
    ("Observation?component-code-value-concept=11367-0$never", "", COMPOSITE),
    ("Observation?combo-code-value-concept=11367-0$past", "smoker", COMPOSITE),
    ("Observation?combo-code-value-concept=72166-2$no", "smoker", COMPOSITE),
    ("Observation?code-value-string=48767-8$uberweisung", "note", COMPOSITE),
    ("Observation?code-value-string=48767-8$Überweisung\\, 5\\$", "note", COMPOSITE),
    ("Observation?code-value-string=29463-7$uberweisung", "", COMPOSITE),
    ("Observation?code-value-date=29463-7$2024", "asked", COMPOSITE),
    ("Observation?code-value-date=48767-8$2024", "during", COMPOSITE),
    ("Observation?code-value-date=48767-8$gt2024-05,29463-7$lt2024-06", "asked during", JOIN),
    ("Observation?code-value-date=48767-8$eb2024-06", "", COMPOSITE),
    ("Group?characteristic-value=gender$mixed", "mixed", COMPOSITE),
    ("Group?characteristic-value=urn:c|gender$true", "told", COMPOSITE),
    ("Group?characteristic-value=gender$female", "", COMPOSITE),
    ("DocumentReference?relationship=replaces$https://b.example/DocumentReference/1", "d1", COMPOSITE),
    ("DocumentReference?relationship=replaces$https://b.example/DocumentReference/2", "", COMPOSITE),
    ("DocumentReference?relationship=http://hl7.org/fhir/document-relationship-type|appends"
     "$https://b.example/DocumentReference/2", "d1", COMPOSITE),
    ("Questionnaire?context-type-quantity=age$gt60", "adults", COMPOSITE),
    ("Questionnaire?context-type-quantity=focus$gt60", "", COMPOSITE),
    ("Questionnaire?context-type-value=age$x", "", COMPOSITE),
]  # fmt: skip


async def find(caller: Caller, query: str) -> set[str]:
    found = await caller.find(quote(query, safe="/?&=:,"))
    return {each.partition("/")[2] for each in found}


async def store(caller: Caller, resources: list[Resource]) -> None:
    for each in resources:
        answer = await caller.send("PUT", f"/{each['resourceType']}/{each['id']}", each)
        assert answer.status_code == 201, answer.text


async def test_the_table(world: World) -> None:
    admin = await world.caller("operator", "admin")
    await store(admin, STORED)
    wrong = []
    for query, wanted, section in ROWS:
        if (found := await find(admin, query)) != set(wanted.split()):
            wrong.append((query, section, wanted, found))
    assert wrong == []


async def test_the_table_for_one_who_sees_half(world: World) -> None:
    one, other = await world.caller("one", "admin"), await world.caller("other", "admin")
    await store(one, STORED[::2])
    await store(other, STORED[1::2])
    directory = {each["id"] for each in STORED if each["resourceType"] in ("Questionnaire", "PlanDefinition")}
    visible = {each["id"] for each in STORED[::2]} | directory
    wrong = []
    for query, wanted, section in ROWS:
        if (found := await find(one, query)) != set(wanted.split()) & visible:
            wrong.append((query, section, wanted, found))
    assert wrong == []

"""Which Tasks are in the pool, and what is shown of them there (access.md, The pool)."""

from collections.abc import Iterator
from typing import Any

from app.fhir.element_access import codes, objects, text
from app.fhir.labels import is_labelled
from app.referral.part import take_part
from app.referral.shelter import GRAVITY

Resource = dict[str, Any]

CATEGORY = "urn:warm-handoff:pool-category"
AREA = "urn:warm-handoff:pool-area"
"""Extensions of a Task in the pool: FHIR has no element of a Task for either."""

GENERAL = frozenset(
    {
        ("http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "sdoh"),
        ("http://snomed.info/sct", "410606002"),
        (GRAVITY, "sdoh-category-unspecified"),
    }
)
"""Categories that every social referral may have: they tell of no service."""


def is_unassigned(task: Resource) -> bool:
    """Whether a Task waits for somebody to take it."""
    return task.get("status") == "requested" and not task.keys() & {"owner", "_owner"}


def is_open(task: Resource, service_request: Resource, patient: Resource | None) -> bool:
    """Whether a Task may be shown in the pool: unassigned, its request active, with nothing labelled about it."""
    shown = [task, service_request, *([patient] if patient else [])]
    asked = service_request.get("status") == "active" and bool(find_categories(service_request))
    return is_unassigned(task) and asked and not any(map(is_labelled, shown))


def find_categories(service_request: Resource) -> set[tuple[str, str]]:
    """(system, code) of what is asked for."""
    return {each for each in codes(service_request, "category") if each[1]} - GENERAL


def take_pool_part(
    task: Resource, service_request: Resource, patient: Resource | None, version: int, last_updated: str
) -> Resource:
    """What the pool shows of a Task: status, priority, dates, category and area, and of the patient no more."""
    extensions = [
        *({"url": CATEGORY, "valueCodeableConcept": each} for each in list_categories(service_request)),
        *({"url": AREA, **each} for each in list_areas(task, service_request, patient)),
    ]
    part = take_part(task, version, last_updated)
    return {**part, "extension": extensions}


def list_categories(service_request: Resource) -> Iterator[Resource]:
    """The categories, codes alone: a text may name somebody."""
    for system, code in sorted(find_categories(service_request)):
        yield {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def list_areas(task: Resource, service_request: Resource, patient: Resource | None) -> list[Resource]:
    """Where help is needed, as the referral says; where it does not, the state and country of the patient."""
    told: list[Resource] = [
        {"valueCodeableConcept": {"coding": concept["coding"]}}
        for concept in objects(service_request, "locationCode")
        if concept.get("coding")
    ]
    places = [*objects(task, "location"), *objects(service_request, "locationReference")]
    named = [text(each, "reference") for each in places]
    told += [{"valueReference": {"reference": each}} for each in dict.fromkeys(named) if each and each[0] != "#"]
    if told:
        return told
    home = next((each for each in objects(patient or {}, "address") if each.get("use") not in ("old", "billing")), {})
    area = {name: home[name] for name in ("state", "country") if isinstance(home.get(name), str)}
    return [{"valueAddress": area}] if area else []

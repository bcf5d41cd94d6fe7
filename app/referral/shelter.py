"""Which directory entries protect somebody: a shelter's address shows to nobody else (access.md, Directory)."""

from typing import Any

from app.fhir.element_access import codes
from app.fhir.labels import is_labelled

GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
SERVICE_TYPE = "http://terminology.hl7.org/CodeSystem/service-type"

SHELTERING = frozenset(
    {(GRAVITY, "intimate-partner-violence"), (GRAVITY, "elder-abuse")}
    | {
        (SERVICE_TYPE, code)
        for code in (
            "46",  # child protection
            "72",  # family violence counselling
            "80",  # sexual assault counselling
            "126",  # crisis accommodation
            "233",  # abuse
            "310",  # crisis refuge
            "426",  # refuge
            "439",  # sexual abuse
            "467",  # violence
            "485",  # family violence
            "543",  # sexual assault
        )
    }
)
"""Categories and types of a HealthcareService about violence, or that gives shelter from it."""


def is_sheltering(resource: dict[str, Any]) -> bool:
    """Whether an entry is to be sheltered for what it says itself: by a label, or as such a service."""
    if is_labelled(resource):
        return True
    if resource.get("resourceType") != "HealthcareService":
        return False
    return not SHELTERING.isdisjoint(codes(resource, "category") | codes(resource, "type"))

"""The CapabilityStatement, generated from the registry (R4 CapabilityStatement)."""

from typing import Any

from app.fhir.operations import OPERATIONS
from app.fhir.registry import TYPES, ResourceType, SearchParameter, list_returning

Json = dict[str, Any]

SOFTWARE = "Warm Handoff"
RELEASED = {"0.1.0": "2026-11-24"}
"""When each version's statement was last changed; the statement's ``date`` must not move with the clock."""

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_COMMON_PARAMETERS: list[Json] = [
    {"name": "_id", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id", "type": "token"},
    {
        "name": "_lastUpdated",
        "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated",
        "type": "date",
    },
]
_REST = (
    "_sort takes up to five of _id, _lastUpdated and a type's search parameters, composite ones excepted. Of several "
    "values the one counts that comes first in the direction of the key; what has no value comes last in either; "
    "equals follow each other by id. Pages are linked by cursors: what keeps its place in the order is neither skipped "
    "nor repeated, whatever is written meanwhile."
)
_BINARY = (
    "Content of any type is posted, put and read as it is, with its own Content-Type (X-Security-Context beside it); "
    "Accept: application/fhir+json reads the resource, and a Binary in FHIR JSON can be sent too. Bundles "
    "show a Binary without its data, tagged SUBSETTED, and take none."
)
_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
_SYSTEM_INTERACTIONS = ("transaction", "batch", "history-system")


def capability_statement(base_url: str, version: str) -> Json:
    """What this server can do, for the FHIR base that the caller used and the software's version."""
    return {
        "resourceType": "CapabilityStatement",
        "name": "WarmHandoff",
        "title": f"{SOFTWARE} capabilities",
        "version": version,
        "status": "active",
        "date": RELEASED.get(version, max(RELEASED.values())),
        "kind": "instance",
        "software": {"name": SOFTWARE, "version": version},
        "implementation": {"description": "Referrals that close the loop", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "documentation": _REST,
                "security": _describe_security(base_url),
                "resource": [_describe_type(each) for each in TYPES.values()],
                "interaction": [{"code": code} for code in _SYSTEM_INTERACTIONS],
            }
        ],
    }


def _describe_security(base_url: str) -> Json:
    origin = base_url.rstrip("/").removesuffix("/fhir")
    return {
        "extension": [
            {"url": OAUTH_URIS, "extension": [{"url": "token", "valueUri": f"{origin}/oauth/token"}]},
        ],
        "service": [
            {
                "coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}],
                "text": "OAuth2 by SMART Backend Services (client_credentials with a signed assertion)",
            }
        ],
        "description": "Clients are registered; each acts for one organization and sees what is its own, "
        "what a referral shares with it, and the directory.",
    }


def _describe_type(kept: ResourceType) -> Json:
    described: Json = {
        "type": kept.name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{kept.name}",
        "interaction": [{"code": code} for code in _INTERACTIONS if code in kept.interactions],
        "versioning": versioning_of(kept),
        "readHistory": "vread" in kept.interactions,
        "updateCreate": False,
        "conditionalCreate": "create" in kept.interactions,
        "conditionalRead": "full-support",
        "conditionalUpdate": "update" in kept.interactions,
        "conditionalDelete": "single" if "delete" in kept.interactions else "not-supported",
    }
    if kept.name == "Binary":
        described["documentation"] = _BINARY
    if kept.includes:
        described["searchInclude"] = [f"{kept.name}:{code}" for code in kept.includes]
    parameters = (_describe_parameter(each) for each in (*kept.common, *kept.search))
    if returning := list_returning(kept):
        described["searchRevInclude"] = returning
    described["searchParam"] = [*_COMMON_PARAMETERS, *parameters]
    operations = [each for each in OPERATIONS.values() if each.resource_type == kept.name]
    if operations:
        described["operation"] = [{"name": each.code, "definition": each.definition} for each in operations]
    return described


def versioning_of(kept: ResourceType) -> str:
    """By http://hl7.org/fhir/versioning-policy."""
    if kept.versioned_update:
        return "versioned-update"
    return "no-version" if kept.rendered else "versioned"


def _describe_parameter(parameter: SearchParameter) -> Json:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.kind}

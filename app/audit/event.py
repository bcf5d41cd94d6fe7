"""Renders a row of the trail as an AuditEvent by the Basic Audit Log Patterns (IHE BALP 1.1.3)."""

from base64 import b64encode
from collections.abc import Collection, Iterator
from typing import Any

from app.audit.kinds import PATTERN, kind_of, outcome_of, subtypes_of, type_of
from app.fhir.moments import write_instant
from app.store.audit import AuditRow

Json = dict[str, Any]

ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
RESOURCE_TYPE = "http://hl7.org/fhir/resource-types"
ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
PROVIDER = ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV")
APPLICATION_SERVER = ("http://terminology.hl7.org/CodeSystem/security-source-type", "4")
BREAK_THE_GLASS = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "BTG")
PERSON, SYSTEM_OBJECT = "1", "2"
PATIENT, DOMAIN_RESOURCE, QUERY = "1", "4", "24"


def coding(pair: tuple[str, str]) -> Json:
    return {"system": pair[0], "code": pair[1]}


def instant(row: AuditRow) -> str:
    return write_instant(row.recorded)


def render_event(row: AuditRow, base_url: str, patients: Collection[str]) -> Json:
    """The AuditEvent. ``patients`` are references to the Patients whom the resources of the row are about."""
    outcome = outcome_of(row.status, row.reason)
    entities = list(render_entities(row, patients))
    event: Json = {
        "resourceType": "AuditEvent",
        "id": str(row.id),
        "meta": {"versionId": "1", "lastUpdated": instant(row)},
        "type": coding(type_of(row.interaction)),
        "subtype": [coding(each) for each in subtypes_of(row.interaction)],
        "action": kind_of(row.interaction).action,
        "recorded": instant(row),
        "outcome": outcome,
        "agent": render_agents(row, base_url),
        "source": {"observer": name_server(base_url), "type": [coding(APPLICATION_SERVER)]},
    }
    if profile := find_profile(row, outcome, len(patients)):
        event["meta"]["profile"] = [profile]
    if row.status >= 400:
        many = f"{row.number} refusals, " if row.number > 1 else ""
        event["outcomeDesc"] = f"{many}{row.status} {row.reason or ''}".rstrip()
    if row.purpose is not None:
        event["purposeOfEvent"] = [{"coding": [coding(BREAK_THE_GLASS)], "text": row.purpose}]
    if entities:
        event["entity"] = entities
    return event


def find_profile(row: AuditRow, outcome: str, patients: int) -> str | None:
    """The pattern that the event follows; they are for successes whose client's address is known."""
    pattern = kind_of(row.interaction).pattern
    if pattern is None or outcome != "0" or row.remote is None or row.organization is None:
        return None
    if pattern == "Query" and row.query is None:
        return None
    if pattern != "Query" and row.resource_id is None:
        return None
    return f"{PATTERN}{'Patient' if patients == 1 else ''}{pattern}"


def name_server(base_url: str) -> Json:
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": base_url}}


def render_agents(row: AuditRow, base_url: str) -> list[Json]:
    """The client, the organisations that it acts for (a coordinator's own, and the member's), and this server."""
    kind = kind_of(row.interaction)
    who: Json = {"identifier": {"value": row.client}} if row.client else {"display": "unknown"}
    client: Json = {"type": {"coding": [coding(kind.client)]}, "who": who, "requestor": True}
    if row.client and row.organization is None:
        client["who"]["display"] = "claimed, not shown"
    if row.role:
        client["role"] = [{"text": row.role}]
    if row.remote:
        client["network"] = {"address": row.remote, "type": "2"}
    agents = [client]
    for organization in filter(None, (row.organization, row.acting_for)):
        reference = {"reference": f"Organization/{organization}"}
        agents.append({"type": {"coding": [coding(PROVIDER)]}, "who": reference, "requestor": False})
    server = {
        "type": {"coding": [coding(kind.server)]},
        "who": name_server(base_url),
        "requestor": False,
        "network": {"address": base_url, "type": "5"},
    }
    return [*agents, server]


def render_entities(row: AuditRow, patients: Collection[str]) -> Iterator[Json]:
    """What was asked for, the query, what else was given out, and whom it is about."""
    named = name_target(row)
    if row.resource_id is not None:
        what = {"reference": named} if "~" not in row.resource_id else {"type": row.type, "display": named}
        yield {
            "what": what,
            "type": coding((ENTITY_TYPE, SYSTEM_OBJECT)),
            "role": coding((ENTITY_ROLE, DOMAIN_RESOURCE)),
        }
    elif row.query is not None or row.type is not None:
        asked = f"{row.type or ''}?{row.query}" if row.query else str(row.type)
        yield {
            "type": coding((ENTITY_TYPE, SYSTEM_OBJECT)),
            "role": coding((ENTITY_ROLE, QUERY)),
            "description": asked,
            "query": b64encode(asked.encode()).decode(),
        }
    for reference in row.given:
        kind = reference.partition("/")[0]
        if kind != "Patient" and reference != f"{row.type}/{row.resource_id}":
            yield {
                "what": {"reference": reference},
                "type": coding((RESOURCE_TYPE, kind)),
                "role": coding((ENTITY_ROLE, DOMAIN_RESOURCE)),
            }
    for reference in sorted(patients):
        yield {
            "what": {"reference": reference},
            "type": coding((ENTITY_TYPE, PERSON)),
            "role": coding((ENTITY_ROLE, PATIENT)),
        }


def name_target(row: AuditRow) -> str:
    """The reference of what was asked for, with its version where one is known."""
    version = f"/_history/{row.version}" if row.version is not None else ""
    return f"{row.type}/{row.resource_id}{version}"

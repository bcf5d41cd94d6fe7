"""What kind of event each interaction is, as AuditEvent and the patterns of IHE BALP name it."""

from dataclasses import dataclass

REST = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
DCM = "http://dicom.nema.org/resources/ontology/DCM"
AUTHENTICATION = (DCM, "110114")
ACTIVITY = (DCM, "110100")
RESTFUL = "http://hl7.org/fhir/restful-interaction"
IHE_EVENT = "urn:ihe:event-type-code"
OWN = "urn:warm-handoff:interaction"
PATTERN = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

CUSTODIAN = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian")
SOURCE, DESTINATION, APPLICATION = (DCM, "110153"), (DCM, "110152"), (DCM, "110150")


@dataclass(frozen=True, slots=True)
class Kind:
    """``pattern`` is the BALP profile of a success; with ``Patient`` before it where one patient is concerned.

    ``client`` and ``server`` are the roles in which they take part.
    """

    action: str
    pattern: str | None = None
    client: tuple[str, str] = SOURCE
    server: tuple[str, str] = DESTINATION


KINDS: dict[str, Kind] = {
    "create": Kind("C", "Create"),
    "read": Kind("R", "Read", DESTINATION, SOURCE),
    "vread": Kind("R", "Read", DESTINATION, SOURCE),
    "update": Kind("U", "Update"),
    "patch": Kind("U", "Update"),
    "delete": Kind("D", "Delete", APPLICATION, CUSTODIAN),
    "search-type": Kind("E", "Query"),
    "search-system": Kind("E", "Query"),
    "history-instance": Kind("R", None, DESTINATION, SOURCE),
    "history-type": Kind("R", None, DESTINATION, SOURCE),
    "history-system": Kind("R", None, DESTINATION, SOURCE),
    "batch": Kind("E"),
    "transaction": Kind("E"),
}
"""Codes of ``RESTFUL``."""

OTHER = Kind("E", None, APPLICATION, CUSTODIAN)
"""A token, an operation, an operator's request or command, an address that is none."""


def kind_of(interaction: str) -> Kind:
    """The kind of an interaction as the trail names it."""
    return KINDS.get(interaction, OTHER)


def type_of(interaction: str) -> tuple[str, str]:
    """AuditEvent.type."""
    if interaction == "token":
        return AUTHENTICATION
    return ACTIVITY if interaction.startswith("handoff ") else REST


def subtypes_of(interaction: str) -> list[tuple[str, str]]:
    """AuditEvent.subtype: FHIR's or IHE's code where there is one, and our own name of anything else."""
    if interaction in KINDS:
        return [(RESTFUL, interaction)]
    if interaction == "token":
        return [(IHE_EVENT, "ITI-71")]
    named = (OWN, interaction.replace(" ", "-"))
    return [(RESTFUL, "operation"), named] if "$" in interaction else [named]


def outcome_of(status: int, reason: str | None) -> str:
    """AuditEvent.outcome: success, minor failure (the request was refused), serious, major (a breach was stopped)."""
    if status < 400:
        return "0"
    if status < 500:
        return "4"
    return "12" if reason == "audience" else "8"

"""The moves of a Task, as tables (SDOHCC 3.0.0, Referral Workflow; fhir-requirements.md, section 3)."""

from collections.abc import Mapping
from typing import Any, Literal

Party = Literal["requester", "owner"]

TERMINAL = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
"""A Task in one of these has ended; only entered-in-error may still come after."""

REFERRAL_MOVES: Mapping[str, frozenset[str]] = {
    "draft": frozenset({"requested"}),
    "requested": frozenset({"accepted", "rejected", "cancelled"}),
    "accepted": frozenset({"in-progress", "on-hold", "cancelled", "completed", "failed"}),
    "in-progress": frozenset({"on-hold", "cancelled", "completed", "failed"}),
    "on-hold": frozenset({"in-progress", "cancelled", "completed", "failed"}),
}

PATIENT_MOVES: Mapping[str, frozenset[str]] = {
    "draft": frozenset({"ready"}),
    "ready": frozenset({"in-progress", "on-hold", "cancelled", "completed", "failed"}),
    "in-progress": frozenset({"on-hold", "cancelled", "completed", "failed"}),
    "on-hold": frozenset({"in-progress", "cancelled", "completed", "failed"}),
}

SETTERS: Mapping[str, frozenset[Party]] = {
    "draft": frozenset({"requester"}),
    "requested": frozenset({"requester"}),
    "ready": frozenset({"requester"}),
    "entered-in-error": frozenset({"requester"}),
    "accepted": frozenset({"owner"}),
    "rejected": frozenset({"owner"}),
    "in-progress": frozenset({"owner"}),
    "on-hold": frozenset({"owner"}),
    "failed": frozenset({"owner"}),
    "completed": frozenset({"owner"}),
    "cancelled": frozenset({"requester", "owner"}),
}
"""Who may set which status."""

FIRST_STATUSES = frozenset({"draft", "requested", "ready"})
"""What a new Task may begin as (access.md, Roles)."""

OWNERS_ELEMENTS = frozenset(
    {"status", "statusReason", "businessStatus", "output", "note", "executionPeriod", "lastModified"}
)
"""What the owner may change (access.md, What a caller sees)."""

FIXED_ELEMENTS = ("for", "focus", "requester")
"""What nobody changes once the Task is asked for: another patient or request is another Task."""

ENVELOPE = frozenset({"resourceType", "id", "meta", "text", "implicitRules", "language"})
"""What may differ without being part of the referral."""

REASON_EXPECTED = frozenset({"rejected", "cancelled", "on-hold", "failed"})
"""Statuses whose statusReason the guide expects."""


def find_moves(task: dict[str, Any]) -> Mapping[str, frozenset[str]]:
    """The table for this Task: a patient's own one if a patient or relative owns it, else the referral's."""
    owner = task.get("owner")
    literal = owner.get("reference") if isinstance(owner, dict) else None
    steps = literal.split("/") if isinstance(literal, str) else []
    own = any(step in ("Patient", "RelatedPerson") for step in steps[:-1])
    return PATIENT_MOVES if own or task.get("status") == "ready" else REFERRAL_MOVES

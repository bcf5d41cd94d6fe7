"""The moves of a Task, as tables (SDOHCC 3.0.0, Referral Workflow; fhir-requirements.md, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.fhir.element_access import codes, text

Party = Literal["requester", "owner"]
Table = Mapping[str, frozenset[str]]

ERROR = "entered-in-error"

TERMINAL = frozenset({"rejected", "cancelled", "completed", "failed", ERROR})
"""A Task in one of these has ended; only entered-in-error may still come after."""

AFTER_READY = frozenset({"in-progress", "on-hold", "cancelled", "completed", "failed"})
ENDS = frozenset({"cancelled", "completed", "failed"})


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a kind of Task may go through: by status the next ones, and by status who may set it.

    ``answers`` are the elements in which the owner says what became of it.
    """

    moves: Table
    setters: Mapping[str, frozenset[Party]]
    answers: frozenset[str]


REFERRAL = Workflow(
    moves={
        "draft": frozenset({"requested"}),
        "requested": frozenset({"accepted", "rejected", "cancelled"}),
        # No status of the guide's referral Task, but a Task may begin so (access.md, Roles): accepted beforehand.
        "ready": AFTER_READY,
        "accepted": frozenset({"in-progress", "on-hold", *ENDS}),
        "in-progress": frozenset({"on-hold", *ENDS}),
        "on-hold": frozenset({"in-progress", *ENDS}),
    },
    setters={
        **dict.fromkeys(("draft", "requested", "ready", ERROR), frozenset[Party]({"requester"})),
        **dict.fromkeys(
            ("accepted", "rejected", "in-progress", "on-hold", "failed", "completed"), frozenset[Party]({"owner"})
        ),
        "cancelled": frozenset({"requester", "owner"}),
    },
    answers=frozenset(
        {"status", "statusReason", "businessStatus", "output", "note", "executionPeriod", "lastModified"}
    ),
)
"""A Task that an organisation does for another one."""

PATIENT = Workflow(
    moves={
        "draft": frozenset({"ready"}),
        # No status of the guide's patient Task either: asked for is as good as ready where nobody accepts.
        "requested": AFTER_READY,
        "ready": AFTER_READY,
        "in-progress": frozenset({"on-hold", *ENDS}),
        "on-hold": frozenset({"in-progress", *ENDS}),
    },
    setters={
        **dict.fromkeys(("draft", "ready", ERROR), frozenset[Party]({"requester"})),
        **dict.fromkeys(("in-progress", "on-hold", "cancelled", "failed", "completed"), frozenset[Party]({"owner"})),
    },
    answers=frozenset({"status", "statusReason", "output"}),
)
"""A Task that a patient or a relative does (SDOHCC-TaskForPatient)."""

PATIENT_CODES = frozenset({"make-contact", "review-material", "general-information", "complete-questionnaire"})
"""What the guide asks of patients, from whichever code system it is."""

FIRST_STATUSES = frozenset({"draft", "requested", "ready"})
"""What a new Task may begin as (access.md, Roles)."""

FIXED_ELEMENTS = frozenset({"for", "focus", "requester"})
"""What nobody changes once the Task is asked for: another patient or request is another Task."""

ENVELOPE = frozenset({"resourceType", "id", "meta", "text"})
"""What may differ without being part of the referral."""

REASON_EXPECTED = frozenset({"rejected", "cancelled", "on-hold", "failed"})
"""Statuses whose statusReason the guide expects."""


def find_workflow(task: dict[str, Any]) -> Workflow:
    """The patient's workflow if a patient or a relative owns the Task, or, while nobody does, if its code says so."""
    owner = task.get("owner")
    if isinstance(owner, dict):
        steps = text(owner, "reference").split("/")[:-1]
        own = not {"Patient", "RelatedPerson"}.isdisjoint((*steps, text(owner, "type")))
    else:
        own = any(code in PATIENT_CODES for _, code in codes(task, "code"))
    return PATIENT if own else REFERRAL

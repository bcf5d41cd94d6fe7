"""What of an event may be told to its subscriber now: asked when it is sent, and again when it is asked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson

from app.access.release import may_leave, release
from app.core.caller import Scope
from app.fhir.labels import is_labelled
from app.referral.events import STATUS_CHANGED
from app.store.rows import Stored

CONTENTS = ("empty", "id-only", "full-resource")
"""http://hl7.org/fhir/uv/subscriptions-backport/ValueSet/backport-content-value-set."""


class Happened(Protocol):
    """An event as a subscriber's queue holds it; ``number`` counts the subscriber's events."""

    @property
    def number(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def focus_type(self) -> str: ...
    @property
    def focus_id(self) -> str: ...
    @property
    def focus_version(self) -> int: ...
    @property
    def labelled(self) -> bool: ...


class Compact(Happened, Protocol):
    """An event of a compact webhook; ``facts`` are the JSON of what it tells."""

    @property
    def facts(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An event as it is told: without a focus of which nothing may be said; ``text`` is the version's JSON.

    ``last_updated`` is that of the version, unknown where it is not told.
    """

    number: int
    topic: str
    created_at: datetime
    focus: tuple[str, str] | None = None
    version: int = 0
    deleted: bool = False
    last_updated: datetime | None = None
    text: str | None = None


def tell_event(event: Happened, version: Stored | None, scope: Scope, content: str) -> ToldEvent:
    """The event with as much as ``content`` asks for and the ``scope`` may see.

    ``version`` is what the event speaks of, read within the scope; None is what it does not see. What is or was
    labelled leaves by its id alone (access.md, Confidentiality). Raises AudienceBreach.
    """
    if content == "empty" or version is None:
        return ToldEvent(event.number, event.topic, event.created_at)
    withheld = event.labelled or not may_leave(version, scope)
    whole = content == "full-resource" and not version.deleted and not withheld
    return ToldEvent(
        event.number,
        event.topic,
        event.created_at,
        (event.focus_type, event.focus_id),
        event.focus_version,
        version.deleted,
        version.last_updated,
        release(version, scope) if whole else None,
    )


def tell_reason(event: Compact, version: Stored | None, scope: Scope) -> str:
    """The facts, and the words of the statusReason in the version of the Task that they speak of.

    Free text is not kept with the event: it is read when it is sent, as far as ``scope`` goes, and never of what is or
    was labelled (delivery.md, The compact webhook). Raises AudienceBreach.
    """
    if event.labelled or event.topic != STATUS_CHANGED or version is None or version.deleted:
        return event.facts
    task: dict[str, Any] = orjson.loads(release(version, scope))
    reason = task.get("statusReason") or {}
    if is_labelled(task) or "text" not in reason:
        return event.facts
    facts: dict[str, Any] = orjson.loads(event.facts)
    told = {**facts.get("statusReason", {}), "text": reason["text"]}
    return orjson.dumps({**facts, "statusReason": told}).decode()

"""Who may do what with a Task, told as issues (access.md; fhir-requirements.md, section 3)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Issue
from app.fhir.json_text import dump
from app.referral.transitions import (
    ENVELOPE,
    FIRST_STATUSES,
    FIXED_ELEMENTS,
    OWNERS_ELEMENTS,
    REASON_EXPECTED,
    SETTERS,
    TERMINAL,
    find_moves,
)

Task = dict[str, Any]
SUBSETTED = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")


def refuse(diagnostics: str, element: str) -> Issue:
    """A rule broken at one element."""
    return Issue("error", "business-rule", diagnostics, (f"Task.{element}",))


def check_new_task(task: Task, *, imported: bool) -> list[Issue]:
    """Issues of a Task about to be created; ``imported`` ones may have any status."""
    issues = [*check_whole(task), *check_reason(task)]
    status = str(task.get("status"))
    if status not in FIRST_STATUSES and not imported:
        allowed = ", ".join(sorted(FIRST_STATUSES))
        issues.append(refuse(f"A new Task begins as one of {allowed}, not as {status}", "status"))
    return issues


def check_task_change(before: Task, after: Task, *, parties: frozenset[str]) -> list[Issue]:
    """Issues of a change by someone who is its requester, its owner, or both."""
    issues = [*check_whole(after), *check_move(before, after, parties), *check_owner(before, after, parties)]
    if before.get("status") != "draft":
        issues += check_fixed(before, after)
    if "requester" not in parties:
        issues += check_owners_elements(before, after)
    return [*issues, *check_reason(after)]


def check_whole(task: Task) -> Iterator[Issue]:
    """A body tagged SUBSETTED is a part of a Task: written back, it would lose the rest."""
    meta = task.get("meta")
    tags = meta.get("tag", ()) if isinstance(meta, dict) else ()
    if any(isinstance(tag, dict) and (tag.get("system"), tag.get("code")) == SUBSETTED for tag in tags):
        yield refuse("This body is tagged SUBSETTED: read the whole Task before writing it", "meta.tag")


def check_move(before: Task, after: Task, parties: frozenset[str]) -> Iterator[Issue]:
    """The transition is one of the table, and one of the caller's."""
    old, new = str(before.get("status")), str(after.get("status"))
    if old == new:
        return
    if new == "entered-in-error":
        allowed = old != new
    elif old in TERMINAL:
        yield refuse(f"This Task has ended ({old}); it stays so, or becomes entered-in-error", "status")
        return
    else:
        allowed = new in find_moves(before).get(old, frozenset())
    if not allowed:
        onward = ", ".join(sorted(find_moves(before).get(old, frozenset()))) or "nothing"
        yield refuse(f"A Task does not go from {old} to {new}; from {old} it goes to {onward}", "status")
    elif not SETTERS.get(new, frozenset()) & parties:
        setters = " or ".join(sorted(SETTERS.get(new, frozenset()))) or "nobody"
        yield refuse(f"{new} is set by the Task's {setters}", "status")


def check_owner(before: Task, after: Task, parties: frozenset[str]) -> Iterator[Issue]:
    """Once set, the owner stays; the requester may set it while it is open."""
    if same(before.get("owner"), after.get("owner")):
        return
    if before.get("owner") is not None and before.get("status") != "draft":
        yield refuse("The owner does not change: cancel this Task and make another (basedOn, partOf)", "owner")
    elif "requester" not in parties:
        yield refuse("The owner is set by the Task's requester", "owner")


def check_fixed(before: Task, after: Task) -> Iterator[Issue]:
    """The Task stays about the same patient and request."""
    for name in FIXED_ELEMENTS:
        if not same(before.get(name), after.get(name)):
            yield refuse(f"{name} does not change once the Task is asked for", name)


def check_owners_elements(before: Task, after: Task) -> Iterator[Issue]:
    """The owner changes what it did with the Task, and nothing of what was asked."""
    known = {*FIXED_ELEMENTS, "owner"}
    for name in sorted({bare_name(each) for each in {*before, *after}} - OWNERS_ELEMENTS - ENVELOPE - known):
        if not same([before.get(name), before.get(f"_{name}")], [after.get(name), after.get(f"_{name}")]):
            yield refuse(f"{name} belongs to the Task's requester", name)


def bare_name(name: str) -> str:
    """The element of ``_name``, where a primitive's extensions stand."""
    return name.removeprefix("_")


def check_reason(task: Task) -> Iterator[Issue]:
    """Warns where the other side would like to know why."""
    if task.get("status") in REASON_EXPECTED and not task.get("statusReason"):
        status = task["status"]
        yield Issue("warning", "business-rule", f"Say in statusReason why the Task is {status}", ("Task.statusReason",))


def same(one: Any, other: Any) -> bool:
    """Whether two elements say the same, in whatever order their keys stand; 1.0 and 1.00 do not."""
    return one is other or dump(in_order(one)) == dump(in_order(other))


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(each) for each in value] if isinstance(value, list) else value

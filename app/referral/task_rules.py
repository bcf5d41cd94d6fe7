"""Who may do what with a Task, told as issues (access.md; fhir-requirements.md, section 3)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Issue
from app.fhir.element_access import objects, text
from app.referral.comparison import same
from app.referral.transitions import (
    ENVELOPE,
    ERROR,
    FIRST_STATUSES,
    FIXED_ELEMENTS,
    REASON_EXPECTED,
    TERMINAL,
    Workflow,
    find_workflow,
)

Task = dict[str, Any]
SUBSETTED = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")


def refuse(diagnostics: str, element: str) -> Issue:
    """A rule broken at one element."""
    return Issue("error", "business-rule", diagnostics, (f"Task.{element}",))


def check_new_task(task: Task, *, imported: bool) -> list[Issue]:
    """Issues of a Task about to be created (access.md, Roles); ``imported`` ones may have any status."""
    issues = [*check_whole(task), *check_reason(task)]
    status = str(task.get("status"))
    if status not in FIRST_STATUSES and not imported:
        allowed = ", ".join(sorted(FIRST_STATUSES))
        issues.append(refuse(f"A new Task begins as one of {allowed}, not as {status}", "status"))
    return issues


def check_task_change(before: Task, after: Task, *, parties: frozenset[str]) -> list[Issue]:
    """Issues of a change by someone who is its requester, its owner, or both (access.md, What a caller sees)."""
    # By the new body: it may be the one that assigns the Task, and an owner that is there already does not change.
    workflow = find_workflow(after)
    return [
        *check_whole(after),
        *check_move(before, after, parties, workflow),
        *check_owner(before, after, parties),
        *check_elements(before, after, parties, workflow),
        *check_labels(before, after, parties),
        *check_reason(after),
    ]


def check_whole(task: Task) -> Iterator[Issue]:
    """A body tagged SUBSETTED is a part of a Task: written back, it would lose the rest."""
    tags = [(text(tag, "system"), text(tag, "code")) for meta in objects(task, "meta") for tag in objects(meta, "tag")]
    if SUBSETTED in tags:
        yield refuse("This body is tagged SUBSETTED: read the whole Task before writing it", "meta.tag")


def check_move(before: Task, after: Task, parties: frozenset[str], workflow: Workflow) -> Iterator[Issue]:
    """The transition is one of the table, and one of the caller's (SDOHCC, Referral Workflow)."""
    old, new = str(before.get("status")), str(after.get("status"))
    if old == new:
        return
    onward = workflow.moves.get(old, frozenset())
    setters = workflow.setters.get(new, frozenset())
    if old in TERMINAL and new != ERROR:
        yield refuse(f"This Task has ended ({old}): it stays so, or becomes {ERROR}", "status")
    elif new not in onward and new != ERROR:
        named = ", ".join(sorted({*onward, ERROR}))
        yield refuse(f"A Task does not go from {old} to {new}; from {old} it goes to {named}", "status")
    elif parties.isdisjoint(setters):
        yield refuse(f"{new} is set by the Task's {' or '.join(sorted(setters))}", "status")


def check_owner(before: Task, after: Task, parties: frozenset[str]) -> Iterator[Issue]:
    """Once set, the owner stays, in a draft too: the organisation that it stands for is kept from then on."""
    if same(before.get("owner"), after.get("owner")):
        return
    if before.get("owner") is not None:
        yield refuse("The owner does not change: cancel this Task and make another (basedOn, partOf)", "owner")
    elif "requester" not in parties:
        yield refuse("The owner is set by the Task's requester", "owner")
    elif before.get("status") in TERMINAL:
        yield refuse(f"This Task has ended ({before['status']}): nobody is given it any more", "owner")


def check_elements(before: Task, after: Task, parties: frozenset[str], workflow: Workflow) -> Iterator[Issue]:
    """The requester changes what it asks, the owner what it answers (access.md, What a caller sees)."""
    for name in list_changes(before, after):
        if name in FIXED_ELEMENTS and before.get("status") != "draft":
            reason = "another patient or request, or another who asks, is another Task"
            yield refuse(f"{name} does not change once the Task is asked for: {reason}", name)
        elif "requester" not in parties and not ("owner" in parties and name in workflow.answers):
            yield refuse(f"{name} is changed by the Task's requester", name)


def check_labels(before: Task, after: Task, parties: frozenset[str]) -> Iterator[Issue]:
    """Only the requester takes a label off the Task or puts one on (access.md, Confidentiality)."""
    old, new = (
        [label for meta in objects(each, "meta") for label in objects(meta, "security")] for each in (before, after)
    )
    if "requester" not in parties and not same(old, new):
        yield refuse("meta.security is changed by the Task's requester", "meta.security")


def list_changes(before: Task, after: Task) -> list[str]:
    """The elements that differ, by name; not status and owner, which have rules of their own."""
    # A primitive's extensions stand beside it, in _name.
    names = {name.removeprefix("_") for name in (*before, *after)} - ENVELOPE - {"status", "owner"}
    return [
        name
        for name in sorted(names)
        if not same([before.get(name), before.get(f"_{name}")], [after.get(name), after.get(f"_{name}")])
    ]


def check_reason(task: Task) -> Iterator[Issue]:
    """Warns where the other side would like to know why (SDOHCC-TaskForReferralManagement, statusReason)."""
    reason = task.get("statusReason")
    if not reason:
        if task.get("status") in REASON_EXPECTED:
            yield warn(f"Say in statusReason why the Task is {task['status']}", "statusReason")
    elif not (isinstance(reason, dict) and (reason.get("text") or reason.get("_text"))):
        yield warn("The guide wants the reason in words too", "statusReason.text")


def warn(diagnostics: str, element: str) -> Issue:
    """Something missing that does not stop the change."""
    return Issue("warning", "business-rule", diagnostics, (f"Task.{element}",))

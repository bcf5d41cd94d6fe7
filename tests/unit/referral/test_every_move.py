"""Every move of a Task by every party, and what the owner may do to its labels, written out from the design."""

from itertools import product
from typing import Any

import pytest

from app.referral.task_rules import check_task_change
from tests.unit.referral.samples import LABEL, errors, patient_task, task, untouched

ENDED = ("rejected", "cancelled", "completed", "failed", "entered-in-error")
STATUSES = ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold", *ENDED)
PATIENTS_STATUSES = ("draft", "ready", "in-progress", "on-hold", *ENDED)

# From, then to, then who: r(equester), o(wner).
ORGANIZATIONS = {
    "draft": {"requested": "r"},
    "requested": {"accepted": "o", "rejected": "o", "cancelled": "ro"},
    "accepted": {"in-progress": "o", "on-hold": "o", "cancelled": "ro", "completed": "o", "failed": "o"},
    "ready": {"in-progress": "o", "on-hold": "o", "cancelled": "ro", "completed": "o", "failed": "o"},
    "in-progress": {"on-hold": "o", "cancelled": "ro", "completed": "o", "failed": "o"},
    "on-hold": {"in-progress": "o", "cancelled": "ro", "completed": "o", "failed": "o"},
}
PATIENTS = {
    "draft": {"ready": "r"},
    "ready": {"in-progress": "o", "on-hold": "o", "cancelled": "o", "completed": "o", "failed": "o"},
    "in-progress": {"on-hold": "o", "cancelled": "o", "completed": "o", "failed": "o"},
    "on-hold": {"in-progress": "o", "cancelled": "o", "completed": "o", "failed": "o"},
}
LETTERS = {"r": "requester", "o": "owner"}
WHY = {"statusReason": {"text": "Why"}}


def may(table: dict[str, dict[str, str]], old: str, new: str, parties: str) -> bool:
    if old == new:
        return True
    setters = "r" if new == "entered-in-error" else table.get(old, {}).get(new, "")
    return not set(setters).isdisjoint(parties)


def move(before: dict[str, Any], after: dict[str, Any], parties: str) -> list[str]:
    named = frozenset(LETTERS[each] for each in parties)
    return errors(untouched(check_task_change, before, after, parties=named))


@pytest.mark.parametrize("parties", ["", "r", "o", "ro"])
@pytest.mark.parametrize(("old", "new"), list(product(STATUSES, STATUSES)))
def test_between_organizations(old: str, new: str, parties: str) -> None:
    expected = [] if may(ORGANIZATIONS, old, new, parties) else ["Task.status"]
    assert move(task(old, **WHY), task(new, **WHY), parties) == expected


@pytest.mark.parametrize("parties", ["", "r", "o", "ro"])
@pytest.mark.parametrize(("old", "new"), list(product(PATIENTS_STATUSES, PATIENTS_STATUSES)))
def test_a_patients_own(old: str, new: str, parties: str) -> None:
    expected = [] if may(PATIENTS, old, new, parties) else ["Task.status"]
    assert move(patient_task(old, **WHY), patient_task(new, **WHY), parties) == expected


@pytest.mark.parametrize(("before", "after"), [(LABEL, {}), ({}, LABEL), (LABEL, {"security": [{"code": "N"}]})])
def test_labels_are_the_requesters(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = task("requested", meta=before), task("accepted", meta=after)
    assert move(old, new, "o") == ["Task.meta.security"]
    assert move(old, new, "ro") == []


def test_the_rest_of_meta_is_the_servers() -> None:
    old, new = task("requested", meta={**LABEL, "versionId": "1"}), task("accepted", meta=dict(LABEL))
    assert move(old, new, "o") == []

"""Who may do what with a Task."""

from itertools import product
from typing import Any

import pytest

from app.fhir.json_text import parse
from app.referral.task_rules import SUBSETTED, check_new_task, check_task_change
from tests.unit.referral.samples import errors, patient_task, task, unassigned, untouched, warnings
from tests.unit.referral.test_transitions import GUIDE, STATUSES

REQUESTER = frozenset({"requester"})
OWNER = frozenset({"owner"})
BOTH = REQUESTER | OWNER
NOBODY: frozenset[str] = frozenset()
CALLERS = (NOBODY, REQUESTER, OWNER, BOTH)

REQUESTERS = {"draft", "requested", "ready", "entered-in-error"}
PATIENT_MOVES = {
    "draft": "ready",
    "requested": "in-progress on-hold cancelled completed failed",
    "ready": "in-progress on-hold cancelled completed failed",
    "in-progress": "on-hold cancelled completed failed",
    "on-hold": "in-progress cancelled completed failed",
}
READY = {"ready": PATIENT_MOVES["ready"]}


def change(before: Any, parties: frozenset[str], **more: Any) -> list[str]:
    after = {name: value for name, value in {**before, **more}.items() if value is not None}
    return errors(untouched(check_task_change, before, after, parties=parties))


@pytest.mark.parametrize("old", sorted(STATUSES))
def test_every_move_of_a_referral_task(old: str) -> None:
    moves = {**GUIDE, **READY}
    for new, parties in product(sorted(STATUSES - {old}), CALLERS):
        setters = REQUESTER if new in REQUESTERS else BOTH if new == "cancelled" else OWNER
        allowed = (new in moves.get(old, "").split() or new == "entered-in-error") and bool(parties & setters)
        assert change(task(old), parties, status=new) == ([] if allowed else ["Task.status"]), (new, parties)


@pytest.mark.parametrize("old", sorted(STATUSES))
def test_every_move_of_a_patient_task(old: str) -> None:
    for new, parties in product(sorted(STATUSES - {old}), CALLERS):
        setters = REQUESTER if new in REQUESTERS else OWNER
        allowed = (new in PATIENT_MOVES.get(old, "").split() or new == "entered-in-error") and bool(parties & setters)
        assert change(patient_task(old), parties, status=new) == ([] if allowed else ["Task.status"]), (new, parties)


def test_the_refusal_says_what_is_possible() -> None:
    for old, new, told in (
        ("completed", "accepted", "This Task has ended (completed): it stays so, or becomes entered-in-error"),
        ("draft", "accepted", "from draft it goes to entered-in-error, requested"),
        ("requested", "accepted", "accepted is set by the Task's owner"),
        ("requested", "cancelled", "cancelled is set by the Task's owner or requester"),
    ):
        parties = REQUESTER if new == "accepted" else NOBODY
        [issue] = [
            each for each in check_task_change(task(old), task(new), parties=parties) if each.severity == "error"
        ]
        assert issue.diagnostics.endswith(told)


@pytest.mark.parametrize(("status", "parties"), [*product(sorted(STATUSES), (REQUESTER, OWNER, BOTH))])
def test_a_note_in_any_status(status: str, parties: frozenset[str]) -> None:
    assert change(task(status), parties, note=[{"text": "Called, nobody there"}]) == []


def test_what_each_side_may_write() -> None:
    values: dict[str, Any] = {
        "statusReason": {"text": "Full"},
        "businessStatus": {"text": "Scheduled"},
        "output": [{"type": {"text": "x"}, "valueString": "y"}],
        "note": [{"text": "z"}],
        "executionPeriod": {"start": "2026-11-24"},
        "lastModified": "2026-11-24",
        "input": [{"type": {"text": "x"}, "valueString": "y"}],
        "basedOn": [{"reference": "ServiceRequest/s2"}],
        "partOf": [{"reference": "Task/t2"}],
        "priority": "stat",
        "code": {"text": "Other"},
        "description": "Other",
        "restriction": {"repetitions": 1},
        "extension": [{"url": "http://example.org", "valueBoolean": True}],
        "_priority": {"extension": [{"url": "http://example.org", "valueBoolean": True}]},
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "implicitRules": "http://example.org",
    }
    owners = {"statusReason", "businessStatus", "output", "note", "executionPeriod", "lastModified"}
    patients = {"statusReason", "output"}
    for name, value in values.items():
        refused = [f"Task.{name.removeprefix('_')}"]
        before = task("accepted")
        assert change(before, OWNER, **{name: value}) == ([] if name in owners else refused)
        assert change(patient_task(), OWNER, **{name: value}) == ([] if name in patients else refused)
        assert change({**before, name: value}, OWNER, **{name: None}) == ([] if name in owners else refused)
        assert change(before, NOBODY, **{name: value}) == refused
        assert change(before, REQUESTER, **{name: value}) == []
        assert change(before, BOTH, **{name: value}) == []


@pytest.mark.parametrize("parties", CALLERS)
def test_the_envelope_is_nobodys(parties: frozenset[str]) -> None:
    assert change(task(), parties, id="t2", meta={"versionId": "2"}, text={"status": "generated"}) == []


@pytest.mark.parametrize("name", ["for", "focus", "requester"])
def test_what_a_task_is_about_stays(name: str) -> None:
    other = {"reference": "Organization/other"}
    for status, parties in product(sorted(STATUSES), CALLERS):
        allowed = status == "draft" and "requester" in parties
        expected = [] if allowed else [f"Task.{name}"]
        assert change(task(status), parties, **{name: other}) == expected
        assert change(task(status), parties, **{name: None}) == expected


def test_the_owner_stays() -> None:
    other = {"reference": "Organization/other"}
    for status, parties in product(sorted(STATUSES), CALLERS):
        assert change(task(status), parties, owner=other) == ["Task.owner"]
        assert "Task.owner" in change(task(status), parties, owner=None)


@pytest.mark.parametrize(
    ("status", "parties", "refused"),
    [
        ("draft", REQUESTER, []),
        ("requested", REQUESTER, []),
        ("requested", BOTH, []),
        ("requested", OWNER, ["Task.owner"]),
        ("requested", NOBODY, ["Task.owner"]),
        ("cancelled", REQUESTER, ["Task.owner"]),
        ("entered-in-error", REQUESTER, ["Task.owner"]),
    ],
)
def test_assignment(status: str, parties: frozenset[str], refused: list[str]) -> None:
    assert change(unassigned(status), parties, owner={"reference": "Organization/ngo"}) == refused


def test_a_draft_may_be_assigned_and_sent_at_once() -> None:
    assert change(unassigned("draft"), REQUESTER, status="requested", owner={"reference": "Organization/ngo"}) == []
    assert change(unassigned("draft"), REQUESTER, status="ready", owner={"reference": "Patient/p1"}) == []


def test_every_broken_rule_is_told() -> None:
    found = change(task(), OWNER, status="completed", owner=None, focus=None, priority="stat", note=[{"text": "n"}])
    assert found == ["Task.status", "Task.owner", "Task.focus", "Task.priority"]


def test_numbers_by_their_text_and_keys_in_any_order() -> None:
    def read(value: str) -> Any:
        return parse(b'{"type": {"text": "x"}, "valueDecimal": %s}' % value.encode())

    before = task(input=[read("1.10")])
    turned = dict(reversed(read("1.10").items()))
    assert change(before, OWNER, input=[turned]) == []
    assert change(before, OWNER, input=[read("1.1")]) == ["Task.input"]


@pytest.mark.parametrize("status", sorted(STATUSES))
@pytest.mark.parametrize("imported", [False, True])
def test_first_status(status: str, imported: bool) -> None:
    allowed = imported or status in ("draft", "requested", "ready")
    assert errors(untouched(check_new_task, task(status), imported=imported)) == ([] if allowed else ["Task.status"])


def test_a_part_of_a_task_is_not_written() -> None:
    meta = {"tag": [{"code": "SUBSETTED"}, dict(zip(("system", "code"), SUBSETTED, strict=True))]}
    assert errors(check_new_task(task(meta=meta), imported=True)) == ["Task.meta.tag"]
    assert change(task(), BOTH, meta=meta) == ["Task.meta.tag"]
    assert change(task(), BOTH, meta={"tag": [{"code": "SUBSETTED"}]}) == []


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_a_reason_is_expected(status: str) -> None:
    expected = ["Task.statusReason"] if status in ("rejected", "cancelled", "on-hold", "failed") else []
    for issues in (
        check_new_task(task(status), imported=True),
        check_task_change(task(status), task(status), parties=BOTH),
    ):
        assert warnings(issues) == expected
        assert errors(issues) == []
    coded = {"coding": [{"code": "full"}]}
    assert warnings(check_new_task(task(status, statusReason=coded), imported=True)) == ["Task.statusReason.text"]
    assert warnings(check_new_task(task(status, statusReason={**coded, "text": "Full"}), imported=True)) == []

"""Whatever requesters and owners try, in any order, a Task keeps to its rules."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.referral.task_rules import check_new_task, check_task_change
from app.referral.transitions import TERMINAL
from tests.unit.referral.samples import errors, patient_task, task, unassigned
from tests.unit.referral.test_transitions import STATUSES

PARTIES = st.frozensets(st.sampled_from(("requester", "owner")))
STATUS = st.sampled_from(sorted(STATUSES))
ORGANIZATION = st.sampled_from(("Organization/ngo", "Organization/other", "Patient/p1", None))
ONWARD = {"draft": "requested", "requested": "accepted", "accepted": "completed"}


class TaskMachine(RuleBasedStateMachine):
    """A Task under random writes; only what the rules allow is kept."""

    now: dict[str, Any]

    @initialize(make=st.sampled_from((task, unassigned, patient_task)), status=STATUS)
    def create(self, make: Any, status: str) -> None:
        self.now = make(status) if not errors(check_new_task(make(status), imported=False)) else make("draft")
        self.first = self.now
        self.ended: str | None = None

    def write(self, after: dict[str, Any], parties: frozenset[str]) -> bool:
        after = {name: value for name, value in after.items() if value is not None}
        if errors(check_task_change(self.now, after, parties=parties)):
            return False
        if self.now.get("owner") is not None:
            assert after["owner"] == self.now["owner"]
        elif after.get("owner") is not None:
            assert "requester" in parties
        if self.now["status"] != after["status"]:
            assert parties
            assert self.now["status"] not in TERMINAL or after["status"] == "entered-in-error"
        if "requester" not in parties:
            asked = ("for", "focus", "requester", "input", "basedOn", "owner", "code")
            assert {name: self.now.get(name) for name in asked} == {name: after.get(name) for name in asked}
        self.now = after
        if after["status"] in TERMINAL and self.ended is None:
            self.ended = after["status"]
        return True

    @rule(parties=PARTIES, status=STATUS)
    def move(self, parties: frozenset[str], status: str) -> None:
        self.write({**self.now, "status": status}, parties)

    @rule(parties=PARTIES, status=STATUS, owner=ORGANIZATION)
    def assign(self, parties: frozenset[str], status: str, owner: str | None) -> None:
        self.write({**self.now, "status": status, "owner": {"reference": owner} if owner else None}, parties)

    @rule(parties=PARTIES, name=st.sampled_from(("for", "focus", "input", "basedOn", "note")), value=st.integers(0, 3))
    def edit(self, parties: frozenset[str], name: str, value: int) -> None:
        self.write({**self.now, name: {"display": str(value)}}, parties)

    @rule(status=STATUS)
    def trespass(self, status: str) -> None:
        """Nobody's write changes anything that counts."""
        before = self.now
        self.write({**self.now, "status": status}, frozenset())
        assert self.now == before

    @precondition(lambda self: self.now["status"] in ONWARD and self.now.get("owner") == task()["owner"])
    @rule()
    def go_on(self) -> None:
        """From wherever a referral stands before its end, there is a way to completed."""
        while (onward := ONWARD.get(self.now["status"])) is not None:
            parties = frozenset({"requester" if onward == "requested" else "owner"})
            assert self.write({**self.now, "status": onward}, parties)
        assert self.now["status"] == "completed"

    @invariant()
    def stays_ended(self) -> None:
        if getattr(self, "ended", None):
            assert self.now["status"] in (self.ended, "entered-in-error")


TestTaskMachine = TaskMachine.TestCase
TestTaskMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

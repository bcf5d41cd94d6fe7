"""What each organisation sees of referrals, by the rules of access.md and of pass-on.md alone: no database, no FHIR."""

from collections.abc import Iterator
from dataclasses import dataclass, field

CLOSED = frozenset({"draft", "rejected", "cancelled", "entered-in-error"})
ENDED = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
PASSED_ON = frozenset({"accepted", "in-progress"})
LEVELS = 2
MOVES: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("requested", "owner"): {"to": ("accepted", "rejected", "cancelled")},
    ("requested", "requester"): {"to": ("cancelled", "entered-in-error")},
    ("accepted", "owner"): {"to": ("in-progress", "completed", "failed", "cancelled")},
    ("accepted", "requester"): {"to": ("cancelled", "entered-in-error")},
    ("in-progress", "owner"): {"to": ("on-hold", "completed", "failed", "cancelled")},
    ("in-progress", "requester"): {"to": ("cancelled", "entered-in-error")},
    ("on-hold", "owner"): {"to": ("in-progress", "completed", "failed", "cancelled")},
    ("on-hold", "requester"): {"to": ("cancelled", "entered-in-error")},
    ("completed", "requester"): {"to": ("entered-in-error",)},
}


@dataclass
class Consent:
    """A Consent that ``by`` keeps; ``recipient`` is None where its rule names nobody."""

    by: str
    patient: str
    permits: bool
    recipient: str | None
    active: bool = True


@dataclass
class Referral:
    """A ServiceRequest of ``by``, and what it names; its patient and its condition may be somebody else's.

    ``source`` is the one that it is based on, to pass that one on; ``placed`` says that it was let.
    """

    by: str
    request: str
    patient: str
    condition: str
    named: set[str]
    performers: frozenset[str] = frozenset()
    source: "Referral | None" = None
    placed: bool = False


@dataclass
class Task:
    """``members`` is what its open package holds; ``rests`` says that a Consent permits it.

    ``parent`` is the Task that it is part of; ``deleted`` that there is no such Task any more.
    """

    referral: Referral
    name: str
    status: str
    owner: str | None
    members: set[str] = field(default_factory=set)
    told: bool = False
    rests: bool = False
    parent: "Task | None" = None
    deleted: bool = False

    @property
    def above(self) -> "list[Task]":
        """The Tasks that it was passed on from, the nearest first."""
        return [self.parent, *self.parent.above] if self.parent else []

    @property
    def root(self) -> "Task":
        return self.above[-1] if self.parent else self

    @property
    def is_source(self) -> bool:
        """Whether something may stay passed on of it: it goes on, or has been completed and is readable still."""
        return not self.deleted and self.status not in {*CLOSED, "failed"} and bool(self.members)


@dataclass
class Model:
    """Who owns what, what is labelled, and what has been shared."""

    owners: dict[str, str] = field(default_factory=dict)
    labelled: set[str] = field(default_factory=set)
    consents: dict[str, Consent] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    came_back: dict[str, set[str]] = field(default_factory=dict)
    offers: set[str] = field(default_factory=set)

    def weigh(self, keepers: set[str], patient: str, recipient: str | None) -> tuple[bool, bool, bool]:
        """(forbidden, permitted, permitted by name) by the Consents that these organisations keep."""
        known = [each for each in self.consents.values() if each.active and each.by in keepers]
        about = [each for each in known if each.patient == patient and each.recipient in (None, recipient)]
        forbidden = any(not each.permits for each in about)
        permits = [each for each in about if each.permits]
        return forbidden, bool(permits), any(each.recipient and each.recipient == recipient for each in permits)

    def weigh_task(self, task: Task) -> tuple[bool, bool, bool]:
        """What those say who share by a Task: who made it and, where it passes something on, the first requester."""
        return self.weigh({task.referral.by, task.root.referral.by}, task.referral.patient, task.owner)

    def list_shared(self, task: Task) -> Iterator[str]:
        """What a Task would share, labels aside: its requester's own, and of what was given, the first requester's."""
        lent = task.parent.members if task.parent else set()
        for each in task.referral.named:
            owner = self.owners[each]
            if owner == task.referral.by or (each in lent and owner == task.root.referral.by):
                yield each

    def is_covered(self, task: Task, resource: str) -> bool:
        """Whether its label keeps a resource from nobody who is given this Task: its owner's Consent names them."""
        _, _, named = self.weigh({self.owners[resource]}, task.referral.patient, task.owner)
        return resource not in self.labelled or named

    def may_ask(self, task: Task) -> bool:
        """Whether a Task may be asked for as it stands: given to its owner, or to nobody yet."""
        if task.parent and not self.may_pass_on(task):
            return False
        forbidden, _, _ = self.weigh_task(task)
        return not forbidden and (
            task.owner is None or all(self.is_covered(task, each) for each in self.list_shared(task))
        )

    def may_draft(self, task: Task) -> bool:
        """Whether a Task may be made at all: one that passes on, of what its maker has accepted, to somebody new."""
        parent, request = task.parent, task.referral
        if parent is None:
            return True
        has_come_from = {request.by, *(each.referral.by for each in task.above)}
        return (
            not parent.deleted
            and parent.owner == request.by
            and parent.status in PASSED_ON
            and request.placed
            and request.source is parent.referral
            and len(task.above) <= LEVELS
            and task.owner is not None
            and task.owner not in has_come_from
        )

    def may_pass_on(self, task: Task) -> bool:
        """Whether it is passed on with the leave of the first requester, besides."""
        return self.may_draft(task) and self.has_leave(task)

    def has_leave(self, task: Task) -> bool:
        """Whether the first requester lets it go to its owner: as a performer, or by a Consent that names it."""
        root = task.root.referral
        forbidden, _, named = self.weigh({root.by}, task.referral.patient, task.owner)
        return not forbidden and (named or task.owner in root.performers)

    def may_write_request(self, by: str, source: Referral) -> bool:
        """Whether an organisation may make a request to pass this one on: it has accepted a Task for it."""
        accepted = [each for each in self.tasks.values() if each.owner == by and each.status in PASSED_ON]
        return any(each.referral is source and not each.deleted for each in accepted)

    def fill(self, task: Task) -> None:
        """Makes the package what it should hold now; who stands above learns of it."""
        task.members = {each for each in self.list_shared(task) if self.is_covered(task, each)}
        _, task.rests, _ = self.weigh_task(task)
        task.told = True
        for each in task.above:
            for shown in (task.name, task.referral.request):
                self.came_back.setdefault(shown, set()).add(each.referral.by)

    def move(self, task: Task, status: str) -> None:
        """A Task in its new status; its package opens and closes with it."""
        was, task.status = task.status, status
        if status in CLOSED:
            task.members = set()
        elif task.owner and (was in CLOSED or not task.told):
            self.fill(task)
        self.settle_sub_referrals()

    def delete(self, task: Task) -> None:
        """There is no such Task any more."""
        task.members, task.deleted = set(), True
        self.settle_sub_referrals()

    def end(self, task: Task) -> None:
        """The server takes back what a Task shares, and cancels it where it had not ended."""
        task.members = set()
        if task.status not in ENDED:
            task.status = "cancelled"

    def settle_consents(self, by: str, patient: str) -> None:
        """After a Consent of this organisation about this patient was written."""
        for task in self.tasks.values():
            if (task.referral.by, task.referral.patient) == (by, patient) and not task.parent:
                self.review(task)
        self.settle_sub_referrals()

    def settle_sub_referrals(self) -> None:
        """What is passed on follows what it is passed on from, the nearest first."""
        for task in sorted(self.tasks.values(), key=lambda each: len(each.above)):
            if task.parent and task.members and not (task.parent.is_source and self.has_leave(task)):
                self.end(task)
            elif task.parent:
                self.review(task)

    def review(self, task: Task) -> None:
        """Weighs an open package anew."""
        if not task.members:
            return
        forbidden, permitted, _ = self.weigh_task(task)
        uncovered = [each for each in self.list_shared(task) if not self.is_covered(task, each)]
        if forbidden or task.members & set(uncovered) or (task.rests and not permitted):
            self.end(task)
        else:
            self.fill(task)

    def put_label(self, condition: str) -> None:
        """It leaves the packages for which no Consent names their owner, and with them what was passed on of these."""
        self.labelled.add(condition)
        for task in self.tasks.values():
            if condition in task.members and not self.is_covered(task, condition):
                task.members.discard(condition)
            elif condition in task.members:
                _, task.rests, _ = self.weigh_task(task)
        self.settle_sub_referrals()

    def change_request(self, referral: Referral) -> None:
        """After a ServiceRequest names something else, or other performers: its open packages follow."""
        for task in self.tasks.values():
            if task.referral is referral and task.members:
                self.fill(task)
        self.settle_sub_referrals()

    def may_record(self, organization: str, patient: str) -> set[str]:
        """Those who stand above the open referrals in which an organisation works for a patient."""
        return {
            each.referral.by
            for task in self.tasks.values()
            if task.owner == organization and patient in task.members and task.status not in ENDED
            for each in (task, *task.above)
        }

    def in_pool(self, task: Task, organization: str) -> bool:
        """Whether a Task that nobody has shows to who offers what all of them ask for."""
        own = self.owners[task.name] == organization
        shown = task.owner is None and task.status == "requested" and not task.deleted
        return shown and organization in self.offers and not own

    def sees(self, organization: str) -> set[str]:
        """Every resource that an organisation sees, whole or in part."""
        own = {each for each, owner in self.owners.items() if owner == organization}
        shared = {each for task in self.tasks.values() if task.owner == organization for each in task.members}
        told = {task.name for task in self.tasks.values() if task.owner == organization and task.told}
        back = {each for each, organizations in self.came_back.items() if organization in organizations}
        pool = {task.name for task in self.tasks.values() if self.in_pool(task, organization)}
        return (own | shared | told | back | pool) - {each.name for each in self.tasks.values() if each.deleted}

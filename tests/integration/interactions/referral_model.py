"""What each organisation sees of referrals, by the rules of access.md alone: no database, no FHIR."""

from dataclasses import dataclass, field

CLOSED = frozenset({"draft", "rejected", "cancelled", "entered-in-error"})
ENDED = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
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
    """A ServiceRequest of ``by``; its patient and its condition may be somebody else's."""

    by: str
    request: str
    patient: str
    condition: str


@dataclass
class Task:
    """``members`` is what its open package holds; ``rests`` says that a Consent permits it."""

    referral: Referral
    name: str
    status: str
    owner: str | None
    members: set[str] = field(default_factory=set)
    told: bool = False
    rests: bool = False


@dataclass
class Model:
    """Who owns what, what is labelled, and what has been shared."""

    owners: dict[str, str] = field(default_factory=dict)
    labelled: set[str] = field(default_factory=set)
    consents: dict[str, Consent] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    came_back: dict[str, set[str]] = field(default_factory=dict)
    offers: set[str] = field(default_factory=set)

    def weigh(self, by: str, patient: str, recipient: str | None) -> tuple[bool, bool, bool]:
        """(forbidden, permitted, permitted by name) by the Consents that ``by`` keeps."""
        known = [each for each in self.consents.values() if each.active and (each.by, each.patient) == (by, patient)]
        about = [each for each in known if each.recipient in (None, recipient)]
        forbidden = any(not each.permits for each in about)
        permits = [each for each in about if each.permits]
        return forbidden, bool(permits), any(each.recipient and each.recipient == recipient for each in permits)

    def may_ask(self, referral: Referral, owner: str | None) -> bool:
        """Whether a Task of this referral may be given to this owner, or to nobody yet."""
        forbidden, _, named = self.weigh(referral.by, referral.patient, owner)
        own = self.owners[referral.condition] == referral.by
        return not forbidden and (owner is None or not own or referral.condition not in self.labelled or named)

    def fill(self, task: Task) -> None:
        """Makes the package what it should hold now."""
        referral = task.referral
        _, permitted, named = self.weigh(referral.by, referral.patient, task.owner)
        parts = [referral.request, referral.patient, referral.condition]
        own = {each for each in parts if self.owners[each] == referral.by}
        task.members = {each for each in own if each not in self.labelled or named}
        task.told, task.rests = True, permitted

    def move(self, task: Task, status: str) -> None:
        """A Task in its new status; its package opens and closes with it."""
        was, task.status = task.status, status
        if status in CLOSED:
            task.members = set()
        elif task.owner and (was in CLOSED or not task.told):
            self.fill(task)

    def settle_consents(self, by: str, patient: str) -> None:
        """After a Consent of this organisation about this patient was written."""
        for task in self.tasks.values():
            referral = task.referral
            if (referral.by, referral.patient) != (by, patient) or not task.members:
                continue
            forbidden, permitted, named = self.weigh(by, patient, task.owner)
            missing = referral.condition in task.members & self.labelled and not named
            if forbidden or missing or (task.rests and not permitted):
                task.members = set()
                if task.status not in ENDED:
                    task.status = "cancelled"
            else:
                self.fill(task)

    def put_label(self, condition: str) -> None:
        """It leaves the packages for which no Consent names their owner."""
        self.labelled.add(condition)
        for task in self.tasks.values():
            _, permitted, named = self.weigh(task.referral.by, task.referral.patient, task.owner)
            if condition in task.members and not named:
                task.members.discard(condition)
            elif condition in task.members:
                task.rests = permitted

    def may_record(self, organization: str, patient: str) -> set[str]:
        """The requesters of the open referrals in which an organisation works for a patient."""
        return {
            task.referral.by
            for task in self.tasks.values()
            if task.owner == organization and patient in task.members and task.status not in ENDED
        }

    def in_pool(self, task: Task, organization: str) -> bool:
        """Whether a Task that nobody has shows to who offers what all of them ask for."""
        own = self.owners[task.name] == organization
        return task.owner is None and task.status == "requested" and organization in self.offers and not own

    def sees(self, organization: str) -> set[str]:
        """Every resource that an organisation sees, whole or in part."""
        own = {each for each, owner in self.owners.items() if owner == organization}
        shared = {each for task in self.tasks.values() if task.owner == organization for each in task.members}
        told = {task.name for task in self.tasks.values() if task.owner == organization and task.told}
        back = {each for each, organizations in self.came_back.items() if organization in organizations}
        pool = {task.name for task in self.tasks.values() if self.in_pool(task, organization)}
        return own | shared | told | back | pool

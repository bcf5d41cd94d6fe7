"""Weighs the Consents under which a Task shares its package (access.md, Confidentiality)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.access.organizations import resolve_organization
from app.access.redisclosure import DEMANDING, list_policies
from app.core.errors import BusinessRule, Issue
from app.fhir.element_access import objects
from app.fhir.labels import read_labels
from app.interactions.links import local_key, read_content
from app.interactions.loans import Loan, find_loan
from app.interactions.unit import Unit
from app.referral.consent import SILENT, Verdict, name_patient, weigh_consents
from app.referral.provision import Question, find_next_change, name_actor, read_purposes, walk_rules
from app.store.grounds import Ground
from app.store.rows import Key, Stored

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Consents:
    """What an organisation keeps of one patient's Consents, read at ``at``, and whom their actors stand for."""

    at: datetime
    resources: list[Resource]
    who: dict[str, str | None]


@dataclass
class Weigher:
    """Weighs what one Task shares with one organisation; None where it has no owner yet.

    ``refusals`` are the reasons why something may not be shared; ``denied`` is what a Consent forbids, where for other
    things one is only missing. ``disclosed`` is False where the patient's own organisation keeps the work. With a
    ``loan`` the Task passes on what another organisation gave: that one's Consents are weighed too, and alone for what
    is its own.
    """

    unit: Unit
    task: Resource
    owner_org: str
    recipient: str | None
    disclosed: bool = True
    loan: Loan | None = None
    consents: dict[tuple[str, str], Consents] = field(default_factory=dict)
    permitted: set[str] = field(default_factory=set)
    refusals: list[Issue] = field(default_factory=list)
    denied: set[Key] = field(default_factory=set)

    def find_patient(self, content: Resource) -> str:
        """The id of the patient whom a resource, or else the Task, is about; empty for one that is not known here."""
        key = local_key(name_patient(content) or name_patient(self.task), self.unit.hub.base_url)
        return key[1] if key and key[0] == "Patient" else ""

    def offers(self, stored: Stored) -> bool:
        """Whether a resource is for the Task to share at all: its organisation's own, or lent to it."""
        return stored.owner_org == self.owner_org or (self.loan is not None and self.loan.offers(stored))

    def lends(self, owner_org: str) -> bool:
        """Whether what this organisation owns is in the package only as long as it is lent."""
        return self.loan is not None and owner_org == self.loan.requester

    def list_keepers(self, owner_org: str | None) -> tuple[str, ...]:
        """The organisations whose Consents are weighed for what ``owner_org`` owns; the Task's own where it is None."""
        if self.loan is None:
            return (self.owner_org,)
        lender = self.loan.requester
        return (lender,) if owner_org == lender else (self.owner_org, lender)

    @property
    def purposes(self) -> frozenset[str]:
        """What it is shared for: passed on, for what it was given too."""
        own = read_purposes(self.task)
        return own | self.loan.purposes if self.loan else own

    async def read_consents(self, patient: str, keeper: str) -> Consents:
        """The Consents about a patient that an organisation keeps, held still until the transaction ends."""
        key = (patient, keeper)
        if key not in self.consents:
            at, rows = await self.unit.session.find_consents(patient, keeper)
            resources = [read_content(row) for row in rows]
            self.consents[key] = Consents(at, resources, await resolve_actors(self.unit, resources))
        return self.consents[key]

    async def weigh(self, content: Resource, owner_org: str | None = None) -> Verdict:
        """The verdict on one resource."""
        patient = self.find_patient(content)
        known = [await self.read_consents(patient, keeper) for keeper in self.list_keepers(owner_org)]
        resources = [each for one in known for each in one.resources]
        if not resources:
            return SILENT
        at, who = max(one.at for one in known), {key: org for one in known for key, org in one.who.items()}
        zone = self.unit.hub.settings.zone
        question = Question(content, self.recipient, self.purposes, at, zone, who, self.disclosed)
        verdict = weigh_consents(resources, question)
        if verdict.decision == "permit":
            self.permitted.add(patient)
        return verdict

    async def admits(self, content: Resource, owner_org: str | None = None) -> bool:
        """Whether a resource may be shared: no Consent forbids it, and one permits what is labelled, by name.

        ``owner_org`` is whose it is, the Task's organisation where it is None.
        """
        verdict = await self.weigh(content, owner_org)
        if verdict.decision == "deny":
            self.denied.add((content["resourceType"], str(content.get("id"))))
            # Which Consents there are is for who keeps them to know.
            self.refuse(f"{'A Consent' if self.loan else verdict.by} forbids {self.describe(content)}")
            return False
        labels = self.read_reasons(content)
        if not labels or (verdict.decision == "permit" and verdict.named):
            return True
        patient = self.find_patient(content)
        whose = f"Patient/{patient}" if patient else "its patient, who is not known here"
        self.refuse(
            f"{name(content)} is labelled {labels}: {self.describe(content)} needs an active Consent of {whose} "
            f"that permits it, names the recipient, and covers the label, the purpose and this day"
        )
        return False

    def read_reasons(self, content: Resource) -> str:
        """The labels for which a Consent is needed; to pass a thing on, those too that forbid just that without one."""
        if not self.disclosed or not self.recipient:
            return ""
        refrain = sorted(DEMANDING & list_policies(content)) if self.loan else []
        return str(read_labels(content)) or ", ".join(refrain)

    def describe(self, content: Resource) -> str:
        """What is asked for, in words."""
        if not self.disclosed or self.recipient is None:
            return "this referral"
        purposes = ", ".join(sorted(self.purposes))
        return f"sharing {name(content)} with Organization/{self.recipient} for {purposes}"

    def refuse(self, diagnostics: str) -> None:
        self.refusals.append(Issue("error", "business-rule", diagnostics, ("Task.owner",)))

    def conclude(self) -> None:
        """Raises BusinessRule where something may not be shared, with an issue for each."""
        if self.refusals:
            raise BusinessRule("The patient's Consents do not let this be shared", issues=tuple(self.refusals))

    @property
    def at(self) -> datetime | None:
        """The database's time at which the Consents were first held; None where nothing was weighed."""
        return min((each.at for each in self.consents.values()), default=None)

    def find_grounds(self) -> list[Ground]:
        """What the package rests on, by what has been weighed."""
        zone = self.unit.hub.settings.zone
        changes: dict[str, list[datetime]] = {patient: [] for patient, _ in self.consents}
        for (patient, _), known in self.consents.items():
            if moment := find_next_change(known.resources, known.at, zone):
                changes[patient].append(moment)
        return [
            Ground(patient, patient in self.permitted, min(moments, default=None))
            for patient, moments in sorted(changes.items())
        ]


def name(content: Resource) -> str:
    """The resource in words: a Task that is refused gets no id."""
    if content["resourceType"] == "Task":
        return "the Task"
    return f"{content['resourceType']}/{content.get('id')}"


async def find_weigher(unit: Unit, task_id: str, organization: str) -> Weigher | None:
    """Who weighs what a Task shares with an organisation; None where the Task is gone."""
    task = (await unit.session.find_rows([("Task", task_id)])).get(("Task", task_id))
    if task is None or task.deleted:
        return None
    return await make_weigher(unit, task, read_content(task), organization)


async def make_weigher(unit: Unit, row: Stored, task: Resource, recipient: str | None) -> Weigher:
    """Who weighs what a Task in this state shares with an organisation."""
    loan = await find_loan(unit, task, row.owner_org, row.referral)
    return Weigher(unit, task, row.owner_org, recipient, loan=loan)


async def resolve_actors(unit: Unit, consents: Iterable[Resource]) -> dict[str, str | None]:
    """For each actor of the Consents the organisation that it stands for."""
    base = unit.hub.base_url
    references = {
        name_actor(reference): reference
        for consent in consents
        for rule in walk_rules(consent)
        for actor in objects(rule, "actor")
        for reference in objects(actor, "reference")
    }
    keys = {key for each in references.values() if (key := local_key(each.get("reference"), base))}
    loaded = await unit.session.find_rows(keys)
    return {
        key: await resolve_organization(unit.connection, reference, loaded, base)
        for key, reference in references.items()
    }

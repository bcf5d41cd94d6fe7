"""Referrals over the API and in the model beside it: a machine whose rules do the same in both."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from app.core.settings import Settings
from app.interactions.package_clock import review_due
from tests.api import Caller, World, open_world
from tests.conftest import name_database, run_sql, swap_database
from tests.integration.interactions.consents import VIOLENCE, change, consent
from tests.integration.interactions.referral_model import ENDED, MOVES, Consent, Model, Referral, Task
from tests.integration.interactions.samples import bundle, entry, patient, reference, service_request, task

TYPES = ("Patient", "Condition", "ServiceRequest", "Task", "Observation")
REFERRERS, PARTNERS = ("hospital", "clinic"), ("ngo", "shelter", "kitchen")
EVERYBODY = (*REFERRERS, *PARTNERS)
PERFORMERS = st.frozensets(st.sampled_from(EVERYBODY), max_size=3)
EXAMPLE = itertools.count(1)


@dataclass
class Stage:
    """One world for all examples: each has organisations of its own in it. ``counts`` tells what was done there."""

    runner: asyncio.Runner
    world: World
    counts: Counter[str] = field(default_factory=Counter)


@contextmanager
def open_stage(postgres_url: str, template: str, data_dir: Path) -> Iterator[Stage]:
    """A database of its own, which is gone afterwards."""
    name = name_database("model")
    run_sql(postgres_url, f"CREATE DATABASE {name} {template}")
    settings = Settings(
        database_url=swap_database(postgres_url, name),
        data_dir=data_dir,
        public_url="http://handoff.test",
        secret_key="dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3QtdGU=",
        rate_limit=0,
    )
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield Stage(runner, runner.run(stack.enter_async_context(open_world(settings))))
        finally:
            runner.run(stack.aclose())
    run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


class Referring(RuleBasedStateMachine):
    """Each rule does one thing over the API and the same in the model; the answers must agree on whether it may be."""

    stage: Stage
    referrals: Bundle[Referral] = Bundle("referrals")
    tasks: Bundle[Task] = Bundle("tasks")
    consents: Bundle[str] = Bundle("consents")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.example = next(EXAMPLE)
        self.callers = {
            self.named(each): self.run(self.stage.world.caller(self.named(each), role))
            for names, role in ((REFERRERS, "referrer"), (PARTNERS, "provider"))
            for each in names
        }
        self.patients: dict[str, str] = {}
        self.offer("ngo")

    def offer(self, by: str) -> None:
        """A partner says that it does what every referral of this example asks for."""
        provided = {"providedBy": {"reference": f"Organization/{self.named(by)}"}, "category": [self.category]}
        self.run(self.callers[self.named(by)].create({"resourceType": "HealthcareService", **provided}))
        self.model.offers.add(self.named(by))

    @property
    def category(self) -> dict[str, Any]:
        """One that only the referrals of this example have."""
        return {"coding": [{"system": "urn:example:category", "code": str(self.example)}]}

    def named(self, organization: str) -> str:
        return f"{organization}-{self.example}"

    def run(self, work: Any) -> Any:
        return self.stage.runner.run(work)

    def create(self, by: str, resource: dict[str, Any]) -> str:
        made = reference(self.run(self.callers[by].create(resource)))
        self.model.owners[made] = by
        return made

    def count(self, what: str) -> None:
        """One more of what was done, or asked for and refused."""
        self.stage.counts[what] += 1

    def teardown(self) -> None:
        """What became of what was passed on."""
        for each in self.model.tasks.values():
            if each.parent:
                self.count(f"passed on {len(each.above)} times, {'deleted' if each.deleted else each.status}")

    @initialize(target=referrals, labelled=st.booleans(), performers=PERFORMERS)
    def begin(self, labelled: bool, performers: frozenset[str] = frozenset()) -> Any:
        """A patient and a referral to play with: more of them come by and by."""
        who = self.create(self.named("hospital"), patient())
        return self.refer(self.named("hospital"), who, labelled, performers)

    @rule(
        target=referrals, by=st.sampled_from(REFERRERS), like=referrals, labelled=st.booleans(), performers=PERFORMERS
    )
    def write_request(self, by: str, like: Referral, labelled: bool, performers: frozenset[str] = frozenset()) -> Any:
        """Another one about the same patient, who may be somebody else's."""
        return self.refer(self.named(by), like.patient, labelled, performers)

    def refer(self, by: str, who: str, labelled: bool, performers: frozenset[str]) -> Referral:
        """A ServiceRequest with a Condition as its reason, which also names what others own."""
        meta = {"meta": VIOLENCE} if labelled else {}
        reason = self.create(by, {"resourceType": "Condition", "subject": {"reference": who}, **meta})
        if labelled:
            self.model.labelled.add(reason)
        foreign = [each for each in self.model.owners if each.startswith("Condition/") and each != reason]
        more = [{"reference": each} for each in foreign if self.model.owners[each] != by]
        reasons = [{"reference": reason}]
        named = self.refer_to(performers)
        body = service_request(
            who, reasonReference=reasons, supportingInfo=more, category=[self.category], performer=named
        )
        made = self.create(by, {name: value for name, value in body.items() if value != []})
        performing = frozenset(map(self.named, performers))
        return Referral(by, made, who, reason, {made, who, reason}, performing)

    def refer_to(self, organizations: Iterable[str]) -> list[Any]:
        """References to organisations of this example."""
        return [{"reference": f"Organization/{self.named(each)}"} for each in sorted(organizations)]

    @rule(
        target=tasks,
        referral=referrals,
        owner=st.sampled_from((*PARTNERS, None)),
        status=st.sampled_from(("requested", "requested", "draft")),
    )
    def send_task(self, referral: Referral, owner: str | None, status: str) -> Any:
        given = self.named(owner) if owner else None
        body = task(
            referral.patient,
            referral.request,
            status=status,
            requester={"reference": f"Organization/{referral.by}"},
            owner={"reference": f"Organization/{given}"},
        )
        if given is None:
            del body["owner"]
        return self.send(Task(referral, "", "draft", given), body)

    def send(self, sent: Task, body: dict[str, Any]) -> Any:
        """A Task that must be taken, or refused by the rules."""
        answer = self.run(self.callers[sent.referral.by].send("POST", "/Task", body))
        status = body["status"]
        expected = self.model.may_draft(sent) if status == "draft" else self.model.may_ask(sent)
        assert answer.status_code == (201 if expected else 422), answer.text
        if not expected:
            self.count("Tasks refused")
            return multiple()
        sent.name = reference(answer.json())
        self.model.owners[sent.name] = sent.referral.by
        self.model.tasks[sent.name] = sent
        self.model.move(sent, status)
        return sent

    @rule(sent=tasks)
    def ask(self, sent: Task) -> None:
        """A draft is sent."""
        if sent.status == "draft":
            expected = self.model.may_ask(sent)
            self.write(self.callers[sent.referral.by], sent.name, expected, status="requested")
            if expected:
                self.model.move(sent, "requested")

    @rule(sent=tasks, owner=st.sampled_from(PARTNERS))
    def assign(self, sent: Task, owner: str) -> None:
        """A Task that nobody has is given to somebody."""
        if sent.owner is None and sent.status not in ("draft", *ENDED):
            given = self.named(owner)
            expected = self.model.may_ask(replace(sent, owner=given))
            owned = {"owner": {"reference": f"Organization/{given}"}}
            self.write(self.callers[sent.referral.by], sent.name, expected, **owned)
            if expected:
                sent.owner = given
                self.model.move(sent, sent.status)

    @rule(sent=tasks, party=st.sampled_from(("owner", "requester")), choice=st.integers(0, 3))
    def move(self, sent: Task, party: str, choice: int) -> None:
        """One of the parties goes on with it, or ends it."""
        actor = sent.owner if party == "owner" else sent.referral.by
        onward = MOVES.get((sent.status, party), {}).get("to")
        if actor and onward:
            status = onward[choice % len(onward)]
            self.write(self.callers[actor], sent.name, True, status=status)
            self.model.move(sent, status)

    @rule(sent=tasks, by=st.sampled_from(EVERYBODY))
    def meddle(self, sent: Task, by: str) -> None:
        """Somebody else tries."""
        if self.named(by) not in (sent.owner, sent.referral.by):
            caller = self.callers[self.named(by)]
            body = {**task(sent.referral.patient, sent.referral.request), "id": sent.name.split("/")[1]}
            answer = self.run(caller.send("PUT", f"/{sent.name}", body, If_Match='W/"1"'))
            assert answer.status_code == (403 if sent.name in self.model.sees(self.named(by)) else 404), answer.text

    @rule(sent=tasks, by=st.sampled_from(PARTNERS))
    def claim(self, sent: Task, by: str) -> None:
        """A partner takes what nobody has, or tries to."""
        caller, organization = self.callers[self.named(by)], self.named(by)
        pooled = self.model.in_pool(sent, organization)
        allowed = pooled and self.model.may_ask(replace(sent, owner=organization))
        version = self.run(self.callers[sent.referral.by].read(sent.name))["meta"]["versionId"]
        answer = self.run(caller.send("POST", f"/{sent.name}/$claim", If_Match=f'W/"{version}"'))
        mine = sent.owner == organization and sent.told and sent.status not in ENDED
        if allowed:
            assert answer.status_code == 200, answer.text
            sent.owner = organization
            self.model.move(sent, sent.status)
        else:
            expected = {422} if pooled else {200} if mine else {404, 409}
            assert answer.status_code in expected, answer.text

    @rule(
        target=consents,
        referral=referrals,
        permits=st.sampled_from((True, True, False)),
        recipient=st.sampled_from((*PARTNERS, None)),
    )
    def give_consent(self, referral: Referral, permits: bool, recipient: str | None) -> str:
        """One that whoever refers keeps about the patient, who may be somebody else's."""
        by, who = referral.by, referral.patient
        given = self.named(recipient) if recipient else None
        body = consent(who, *([given] if given else []), kind="permit" if permits else "deny")
        made = reference(self.run(self.callers[by].create(body)))
        self.model.consents[made] = Consent(by, who, permits, given)
        self.model.settle_consents(by, who)
        return made

    @rule(about=consents)
    def turn_consent(self, about: str) -> None:
        """Withdrawn, or given again."""
        held = self.model.consents[about]
        held.active = not held.active
        status = "active" if held.active else "inactive"
        self.run(change(self.callers[held.by], about, status=status))
        self.model.settle_consents(held.by, held.patient)

    @rule(referral=referrals)
    def label(self, referral: Referral) -> None:
        if referral.condition not in self.model.labelled:
            self.run(change(self.callers[referral.by], referral.condition, meta=VIOLENCE))
            self.model.put_label(referral.condition)

    @rule(by=st.sampled_from(PARTNERS), referral=referrals)
    def record(self, by: str, referral: Referral) -> None:
        """A partner writes down what it did for a patient."""
        who = referral.patient
        about = {"subject": {"reference": who}, "code": {"text": "Visit"}, "status": "final"}
        answer = self.run(
            self.callers[self.named(by)].send("POST", "/Observation", {**about, "resourceType": "Observation"})
        )
        requesters = self.model.may_record(self.named(by), who)
        assert answer.status_code == (201 if requesters else 422), answer.text
        if requesters:
            made = reference(answer.json())
            self.model.owners[made] = self.named(by)
            self.model.came_back[made] = requesters
            self.patients[made] = who

    @rule(sent=tasks)
    def let_time_pass(self, sent: Task) -> None:
        """Ninety days after the Task, or the one that it was passed on from, was completed or failed."""
        source = sent.parent.status if sent.parent else ""
        if sent.members and not {"completed", "failed"}.isdisjoint((sent.status, source)):
            now = "UPDATE package_ground SET closes_at = now(), due_at = now() WHERE task_id = $1"
            self.run(self.stage.world.pool.execute(now, sent.name.split("/")[1]))
            assert self.run(review_due(self.stage.world.hub)) == 1
            self.model.end(sent)
            self.model.settle_sub_referrals()

    @rule(sent=consumes(tasks))
    def delete(self, sent: Task) -> None:
        """Its requester deletes a Task; a partner may not."""
        caller = self.callers[sent.referral.by]
        answer = self.run(caller.send("DELETE", f"/{sent.name}"))
        assert answer.status_code == (403 if is_partner(sent.referral.by) else 204), answer.text
        if answer.status_code == 204:
            self.model.delete(sent)

    @rule(referral=referrals)
    def turn_reason(self, referral: Referral) -> None:
        """The Condition is taken off the ServiceRequest, or put back."""
        referral.named ^= {referral.condition}
        reasons = [{"reference": referral.condition}] if referral.condition in referral.named else []
        self.change_request(referral, reasonReference=reasons)

    @rule(referral=referrals, performers=PERFORMERS)
    def change_performers(self, referral: Referral, performers: frozenset[str]) -> None:
        """Others are desired to fulfil it."""
        referral.performers = frozenset(map(self.named, performers))
        self.change_request(referral, performer=self.refer_to(performers))

    def change_request(self, referral: Referral, **elements: list[Any]) -> None:
        """An update of a ServiceRequest that must be taken; an element of which nothing is left goes."""
        found = {**self.run(self.callers[referral.by].read(referral.request)), **elements}
        answer = self.run(self.callers[referral.by].update({key: each for key, each in found.items() if each != []}))
        assert answer.status_code == 200, answer.text
        self.model.change_request(referral)

    def write(self, caller: Caller, about: str, expected: bool, **elements: Any) -> None:
        """An update that must be taken, or refused by the rules."""
        found = self.run(caller.read(about))
        answer = self.run(caller.update({**found, **elements}))
        assert answer.status_code == (200 if expected else 422), answer.text

    @invariant()
    def everybody_sees_what_the_model_says(self) -> None:
        self.count("steps")
        for organization, caller in self.callers.items():
            seen = self.run(find_everything(caller))
            wanted = self.model.sees(organization)
            self.count("views")
            assert seen == wanted, f"{organization}: too much {seen - wanted}, missing {wanted - seen}"
        for sent in self.model.tasks.values():
            if not sent.deleted:
                found = self.run(self.callers[sent.referral.by].read(sent.name))
                self.count("statuses")
                assert found["status"] == sent.status


async def find_everything(caller: Caller) -> set[str]:
    """Every resource of these types that a caller's searches find."""
    asked = [entry("GET", f"{each}?_count=200") for each in TYPES]
    answer = await caller.send("POST", "", bundle("batch", *asked))
    assert answer.status_code == 200, answer.text
    pages = [each["resource"] for each in answer.json()["entry"]]
    assert all(len(page.get("entry", ())) < 200 for page in pages)
    return {reference(each["resource"]) for page in pages for each in page.get("entry", ())}


def is_partner(organization: str) -> bool:
    """Whether an organisation of an example is a partner, which refers nobody on its own."""
    return organization.rpartition("-")[0] in PARTNERS

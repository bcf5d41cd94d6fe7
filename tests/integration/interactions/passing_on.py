"""The machine of ``referring.py`` with partners that pass on what they were given, and what they were not."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule

from tests.integration.interactions.referral_model import PASSED_ON, Referral, Task
from tests.integration.interactions.referring import EVERYBODY, PERFORMERS, Referring, is_partner
from tests.integration.interactions.samples import reference, service_request, task


class PassingOn(Referring):
    """A Task that another organisation gave is passed on by a ServiceRequest that is based on its own, and a Task."""

    onward: Bundle[Referral] = Bundle("onward")

    @rule(target=onward, given=Referring.tasks)
    def write_sub_request(self, given: Task) -> Any:
        """The owner of a Task asks for the same; it names all that there is, of which little is its to pass on."""
        if given.owner is None:
            return multiple()
        by, source = given.owner, given.referral
        body, named = self.base_on(source, by)
        answer = self.run(self.callers[by].send("POST", "/ServiceRequest", body))
        placed = self.model.may_write_request(by, source)
        assert answer.status_code == (201 if placed or not is_partner(by) else 422), answer.text
        if answer.status_code == 422:
            self.count("sub-requests refused")
            return multiple()
        made = reference(answer.json())
        self.model.owners[made] = by
        return Referral(by, made, source.patient, source.condition, named | {made}, source=source, placed=placed)

    def base_on(self, source: Referral, by: str) -> tuple[dict[str, Any], set[str]]:
        """A ServiceRequest to fulfil another one, and what it names."""
        own = {each for each, who in self.patients.items() if who == source.patient and self.model.owners[each] == by}
        foreign = {each for each, owner in self.model.owners.items() if owner != by and not each.startswith("Patient/")}
        about = [{"reference": each} for each in sorted((own | foreign) - {source.request, source.condition})]
        body = service_request(
            source.patient,
            intent="filler-order",
            basedOn=[{"reference": source.request}],
            reasonReference=[{"reference": source.condition}],
            **({"supportingInfo": about} if about else {}),
        )
        return body, {source.patient, source.request, source.condition, *own, *foreign}

    @rule(
        target=Referring.tasks,
        sent=onward,
        given=Referring.tasks,
        owner=st.sampled_from(EVERYBODY),
        status=st.sampled_from(("requested", "requested", "draft")),
    )
    def pass_on(self, sent: Referral, given: Task, owner: str, status: str) -> Any:
        """Somebody asks somebody else for it, as part of some Task."""
        recipient = self.named(owner)
        parts = {
            "partOf": [{"reference": given.name}],
            "requester": {"reference": f"Organization/{sent.by}"},
            "owner": {"reference": f"Organization/{recipient}"},
        }
        held = given.owner == sent.by and given.name in self.model.sees(sent.by)
        if not (held or sent.placed or is_partner(sent.by)):
            return multiple()  # a referral of its own, as others are
        return self.send(
            Task(sent, "", "draft", recipient, parent=given), task(sent.patient, sent.request, status=status, **parts)
        )

    @rule(target=Referring.tasks, sent=onward, owner=st.sampled_from(EVERYBODY))
    def pass_on_what_is_held(self, sent: Referral, owner: str) -> Any:
        """The same, as part of the Task by which it was given: what chance alone seldom meets."""
        held = [each for each in self.model.tasks.values() if (each.owner, each.referral) == (sent.by, sent.source)]
        return self.pass_on(sent, held[-1], owner, "requested") if held else multiple()

    @initialize(target=Referring.tasks, performers=PERFORMERS, further=st.booleans())
    def begin_with_hands(self, performers: frozenset[str], further: bool) -> Any:
        """A referral that has gone to the ngo already, from there to the shelter, and perhaps to the kitchen too."""
        asked = self.begin(False, performers | {"shelter", "kitchen"})
        tasks = [self.send_task(asked, "ngo", "requested")]
        for owner in ("shelter", "kitchen") if further else ("shelter",):
            tasks.append(self.hand_on(tasks[-1], owner))
        return multiple(*tasks)

    @rule(target=Referring.tasks, sent=Referring.tasks, owner=st.sampled_from(EVERYBODY))
    def hand_on(self, sent: Task, owner: str) -> Any:
        """A Task is accepted and passed on at once."""
        if sent.owner is None or sent.status not in ("requested", *PASSED_ON):
            return multiple()
        if sent.status == "requested":
            self.move(sent, "owner", 0)
        return self.pass_on(self.write_sub_request(sent), sent, owner, "requested")

    @rule(sent=onward, performers=PERFORMERS)
    def name_performers(self, sent: Referral, performers: frozenset[str]) -> None:
        """Whoever passes on may wish for whom it likes: that is no leave."""
        self.change_performers(sent, performers)

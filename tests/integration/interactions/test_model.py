"""Random referrals, answers, consents, sub-referrals: everybody sees what the model says, at each step."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as options
from hypothesis.stateful import MultipleResults, run_state_machine_as_test

from tests.integration.interactions.passing_on import PassingOn
from tests.integration.interactions.referral_model import Referral, Task
from tests.integration.interactions.referring import EVERYBODY, Stage, open_stage

logger = logging.getLogger(__name__)


@pytest.fixture
def stage(postgres_url: str, template: str, tmp_path: Path) -> Iterator[Stage]:
    with open_stage(postgres_url, template, tmp_path) as opened:
        yield opened


def start(stage: Stage) -> PassingOn:
    """One example, to be led by hand."""
    machine: PassingOn = type("Machine", (PassingOn,), {"stage": stage})()
    return machine


def play(stage: Stage, examples: int, steps: int, seeded: int | None = None) -> None:
    machine = type("Machine", (PassingOn,), {"stage": stage})
    run_state_machine_as_test(
        machine if seeded is None else seed(seeded)(machine),
        settings=options(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_walk_on_which_every_rule_bites(stage: Stage) -> None:
    """What chance seldom meets in a short game: each way in which a package closes, or loses a part."""
    machine = start(stage)
    plain, secret = machine.begin(labelled=False), machine.begin(labelled=True)
    steps: list[Callable[[], Any]] = [
        lambda: machine.send_task(secret, "ngo", "requested"),  # refused: no Consent
        lambda: machine.give_consent(secret, True, "ngo"),
        lambda: machine.send_task(secret, "ngo", "requested"),
        lambda: machine.turn_consent(found(0)),  # closes for want of it
        lambda: machine.turn_consent(found(0)),
        lambda: machine.send_task(plain, "ngo", "requested"),
        lambda: machine.send_task(plain, "shelter", "requested"),
        lambda: machine.record("ngo", plain),
        lambda: machine.give_consent(plain, True, None),
        lambda: machine.turn_consent(found(1)),  # nothing is labelled, but both rested on it
        lambda: machine.record("ngo", plain),  # refused: nothing is open any more
        lambda: machine.send_task(plain, "ngo", "requested"),
        lambda: machine.label(plain),  # leaves the package
        lambda: machine.give_consent(plain, True, "ngo"),  # comes back in
        lambda: machine.give_consent(plain, False, "shelter"),
        lambda: machine.send_task(plain, "shelter", "draft"),
        lambda: machine.ask(task_at(-1)),  # refused: forbidden
        lambda: machine.write_request("clinic", plain, False),
        lambda: machine.give_consent(plain, False, None),  # closes what is left
        lambda: machine.write_request("clinic", plain, False),
        lambda: machine.send_task(machine.write_request("clinic", plain, False), None, "requested"),
        lambda: machine.claim(task_at(-1), "shelter"),  # it offers something else
        lambda: machine.claim(task_at(-1), "ngo"),
        lambda: machine.claim(task_at(-1), "ngo"),  # once more
        lambda: machine.move(task_at(-1), "owner", 0),
    ]

    def found(number: int) -> str:
        return list(machine.model.consents)[number]

    def task_at(number: int) -> Task:
        return list(machine.model.tasks.values())[number]

    for step in steps:
        step()
        machine.everybody_sees_what_the_model_says()
    assert [each.status for each in machine.model.tasks.values()] == ["cancelled"] * 4 + ["draft", "accepted"]


class Walk:
    """An example led by hand: after each step everybody sees what the model says."""

    def __init__(self, stage: Stage) -> None:
        self.machine = start(stage)

    def do(self, step: Callable[..., Any], *arguments: Any) -> Any:
        made = step(*arguments)
        self.machine.everybody_sees_what_the_model_says()
        return made

    def refused(self, step: Callable[..., Any], *arguments: Any) -> None:
        assert isinstance(self.do(step, *arguments), MultipleResults)

    def hand_on(self, *performers: str) -> "Hands":
        """From the hospital to the ngo, from there to the shelter, from there to the kitchen."""
        machine = self.machine
        asked: Any = machine.begin(False, frozenset(performers))
        tasks: list[Any] = [machine.send_task(asked, "ngo", "requested")]
        for owner in ("shelter", "kitchen"):
            tasks.append(machine.hand_on(tasks[-1], owner))
        machine.everybody_sees_what_the_model_says()
        return Hands(asked, *tasks)


@dataclass
class Hands:
    """What the hospital asked for, and the Task of each hand."""

    asked: Referral
    first: Task
    second: Task
    third: Task

    @property
    def statuses(self) -> list[str]:
        return [each.status for each in (self.first, self.second, self.third)]

    @property
    def holders(self) -> int:
        """How many of the packages hold the reason for the referral."""
        return sum(self.asked.condition in each.members for each in (self.first, self.second, self.third))


ACCEPT = 0
"""The number of a move in the model's table; COMPLETE, FAIL and CANCEL of a Task that was accepted."""
COMPLETE, FAIL, CANCEL = 1, 2, 3


def test_a_walk_through_many_hands(stage: Stage) -> None:
    """Who may pass on what to whom, and what each of them sees of it."""
    walk = Walk(stage)
    machine, do, refused = walk.machine, walk.do, walk.refused
    asked = do(machine.begin, False, frozenset({"shelter", "hospital", "ngo"}))
    first = do(machine.send_task, asked, "ngo", "requested")
    refused(machine.write_sub_request, first)  # not accepted yet
    do(machine.move, first, "owner", ACCEPT)
    do(machine.record, "ngo", asked)
    onward = do(machine.write_sub_request, first)
    for owner in ("kitchen", "hospital", "ngo"):  # no leave; it came from there; one does not pass on to oneself
        refused(machine.pass_on, onward, first, owner, "requested")
    do(machine.give_consent, asked, True, None)  # which permits everybody, and names nobody
    refused(machine.pass_on, onward, first, "kitchen", "requested")
    theirs = do(machine.write_request, "clinic", asked, False, frozenset({"shelter"}))
    other = do(machine.send_task, theirs, "ngo", "requested")
    do(machine.move, other, "owner", ACCEPT)
    refused(machine.pass_on, onward, other, "shelter", "requested")  # the clinic's referral is another one
    refused(machine.write_sub_request, do(machine.send_task, asked, "kitchen", "draft"))
    waiting = do(machine.pass_on, onward, first, "kitchen", "draft")  # shows to nobody
    do(machine.ask, waiting)
    assert waiting.status == "draft"
    second = do(machine.pass_on, onward, first, "shelter", "requested")
    assert second.members >= {asked.request, asked.patient, asked.condition}
    refused(machine.pass_on, onward, second, "kitchen", "requested")  # that one was given to the shelter
    do(machine.record, "shelter", asked)
    do(machine.label, asked)
    do(machine.give_consent, asked, True, "shelter")  # what the ngo may not have, it does not pass on
    assert asked.condition not in second.members
    do(machine.give_consent, asked, True, "ngo")
    assert asked.condition in first.members & second.members
    do(machine.move, second, "owner", ACCEPT)
    further = do(machine.write_sub_request, second)
    do(machine.name_performers, onward, frozenset({"kitchen"}))  # the ngo gives no leave
    refused(machine.pass_on, further, second, "kitchen", "requested")
    do(machine.change_performers, asked, frozenset({"shelter", "kitchen", "clinic"}))
    refused(machine.pass_on, further, second, "kitchen", "requested")  # labelled, and no Consent names it
    do(machine.turn_reason, asked)
    third = do(machine.pass_on, further, second, "kitchen", "requested")
    do(machine.ask, waiting)
    assert waiting.status == "requested"
    do(machine.turn_reason, asked)  # comes back to those who are named
    assert asked.condition in first.members & second.members - third.members
    do(machine.give_consent, asked, True, "kitchen")
    assert asked.condition in third.members & waiting.members
    do(machine.move, third, "owner", ACCEPT)
    do(machine.record, "kitchen", asked)
    do(machine.give_consent, asked, True, "clinic")
    refused(machine.pass_on, do(machine.write_sub_request, third), third, "clinic", "requested")  # twice is enough
    do(machine.meddle, third, "hospital")  # which sees it
    do(machine.meddle, third, "clinic")
    do(machine.turn_consent, list(machine.model.consents)[2])  # the ngo has it no more, and so nobody
    assert {each.status for each in (first, second, third, waiting)} == {"cancelled"}
    refused(machine.pass_on, onward, first, "shelter", "requested")


def test_a_walk_on_which_a_referrer_passes_on(stage: Stage) -> None:
    """The clinic has referrals and Consents of its own: these forbid what it passes on, and allow nothing."""
    walk = Walk(stage)
    machine, do, refused = walk.machine, walk.do, walk.refused
    asked = do(machine.begin, True, frozenset({"clinic", "kitchen"}))
    own = do(machine.write_request, "clinic", asked, False, frozenset({"kitchen", "shelter"}))
    do(machine.give_consent, asked, True, "ngo")
    do(machine.give_consent, asked, True, "clinic")
    first = do(machine.send_task, asked, "ngo", "requested")
    do(machine.move, first, "owner", ACCEPT)
    second = do(machine.pass_on_what_is_held, do(machine.write_sub_request, first), "clinic")
    early = do(machine.write_sub_request, second)  # a request of its own: nothing was accepted yet
    do(machine.move, second, "owner", ACCEPT)
    refused(machine.pass_on, early, second, "kitchen", "requested")
    further = do(machine.write_sub_request, second)
    do(machine.give_consent, own, True, "kitchen")
    do(machine.give_consent, own, True, "shelter")
    refused(machine.pass_on, further, second, "kitchen", "requested")  # what is labelled is the hospital's to allow
    refused(machine.pass_on, further, second, "shelter", "requested")
    do(machine.turn_reason, asked)
    third = do(machine.pass_on, further, second, "kitchen", "requested")
    do(machine.turn_reason, asked)
    assert asked.condition in second.members - third.members
    do(machine.give_consent, asked, True, "kitchen")
    assert asked.condition in third.members
    do(machine.give_consent, own, False, "kitchen")
    assert [each.status for each in (first, second, third)] == ["accepted", "accepted", "cancelled"]


def test_a_walk_to_each_end(stage: Stage) -> None:
    """What was passed on ends with what it was passed on from, and with the leave."""
    for name, (end, statuses, holders) in ENDS.items():
        walk = Walk(stage)
        hands = walk.hand_on("shelter", "kitchen")
        assert (hands.statuses, hands.holders) == (["accepted", "accepted", "requested"], 3)
        end(walk, hands)
        assert (hands.statuses, hands.holders) == (statuses, holders), name


def move(task: str, party: str, choice: int) -> Callable[[Walk, Hands], Any]:
    return lambda walk, hands: walk.do(walk.machine.move, getattr(hands, task), party, choice)


def both(*ends: Callable[[Walk, Hands], Any]) -> Callable[[Walk, Hands], Any]:
    return lambda walk, hands: [each(walk, hands) for each in ends]


def let_time_pass(task: str) -> Callable[[Walk, Hands], Any]:
    return lambda walk, hands: walk.do(walk.machine.let_time_pass, getattr(hands, task))


def allow(*performers: str) -> Callable[[Walk, Hands], Any]:
    return lambda walk, hands: walk.do(walk.machine.change_performers, hands.asked, frozenset(performers))


def consent(permits: bool, recipient: str | None) -> Callable[[Walk, Hands], Any]:
    return lambda walk, hands: walk.do(walk.machine.give_consent, hands.asked, permits, recipient)


def withdraw(walk: Walk, _: Hands) -> Any:
    return walk.do(walk.machine.turn_consent, next(iter(walk.machine.model.consents)))


def delete(walk: Walk, hands: Hands) -> Any:
    return walk.do(walk.machine.delete, hands.first)


def label(walk: Walk, hands: Hands) -> Any:
    return walk.do(walk.machine.label, hands.asked)


def turn_reason(walk: Walk, hands: Hands) -> Any:
    return walk.do(walk.machine.turn_reason, hands.asked)


ACCEPTED, CANCELLED = "accepted", "cancelled"
ALL_END = [CANCELLED] * 3
ENDS: dict[str, tuple[Callable[[Walk, Hands], Any], list[str], int]] = {
    "cancelled by the hospital": (move("first", "requester", 0), ALL_END, 0),
    "in error": (move("first", "requester", 1), ["entered-in-error", CANCELLED, CANCELLED], 0),
    "cancelled by the ngo": (move("first", "owner", CANCEL), ALL_END, 0),
    "failed": (move("first", "owner", FAIL), ["failed", CANCELLED, CANCELLED], 1),
    "cancelled by the ngo in between": (move("second", "requester", 0), [ACCEPTED, CANCELLED, CANCELLED], 1),
    "deleted": (delete, [ACCEPTED, CANCELLED, CANCELLED], 0),
    "completed": (move("first", "owner", COMPLETE), ["completed", ACCEPTED, "requested"], 3),
    "completed, and its time is over": (
        both(move("first", "owner", COMPLETE), let_time_pass("first")),
        ["completed", CANCELLED, CANCELLED],
        0,
    ),
    "completed, and the next one's time is over": (
        both(move("first", "owner", COMPLETE), let_time_pass("second")),
        ["completed", CANCELLED, CANCELLED],
        1,
    ),
    "completed, and in error after all": (
        both(move("first", "owner", COMPLETE), move("first", "requester", 0)),
        ["entered-in-error", CANCELLED, CANCELLED],
        0,
    ),
    "the next one completed, then cancelled": (
        both(move("second", "owner", COMPLETE), move("first", "requester", 0)),
        [CANCELLED, "completed", CANCELLED],
        0,
    ),
    "the last one may not any more": (
        both(move("second", "owner", COMPLETE), allow("shelter")),
        [ACCEPTED, "completed", CANCELLED],
        2,
    ),
    "the one between may not any more": (allow("kitchen"), [ACCEPTED, CANCELLED, CANCELLED], 1),
    "one has completed, and may not any more": (
        both(move("second", "owner", COMPLETE), allow("kitchen")),
        [ACCEPTED, "completed", CANCELLED],
        1,
    ),
    "a Consent instead": (
        both(consent(True, "kitchen"), allow("shelter")),
        [ACCEPTED, ACCEPTED, "requested"],
        3,
    ),
    "a Consent instead, withdrawn": (
        both(consent(True, "kitchen"), allow("shelter"), withdraw),
        [ACCEPTED, ACCEPTED, CANCELLED],
        2,
    ),
    "all of it rests on a Consent": (both(consent(True, None), withdraw), ALL_END, 0),
    "forbidden to the last": (consent(False, "kitchen"), [ACCEPTED, ACCEPTED, CANCELLED], 2),
    "forbidden to the one between": (consent(False, "shelter"), [ACCEPTED, CANCELLED, CANCELLED], 1),
    "forbidden to all": (consent(False, None), ALL_END, 0),
    "a label that nobody may have": (label, [ACCEPTED, ACCEPTED, "requested"], 0),
    "a label that all may have": (
        both(*(consent(True, each) for each in ("ngo", "shelter", "kitchen")), label),
        [ACCEPTED, ACCEPTED, "requested"],
        3,
    ),
    "a label that the last may not have": (
        both(*(consent(True, each) for each in ("ngo", "shelter")), label),
        [ACCEPTED, ACCEPTED, "requested"],
        2,
    ),
    "a label that the one between may not have": (
        both(*(consent(True, each) for each in ("ngo", "kitchen")), label),
        [ACCEPTED, ACCEPTED, "requested"],
        1,
    ),
    "taken off the request": (turn_reason, [ACCEPTED, ACCEPTED, "requested"], 0),
    "put back": (both(turn_reason, turn_reason), [ACCEPTED, ACCEPTED, "requested"], 3),
}
"""How it ends: by whom, the statuses of the three Tasks then, and how many still hold the reason."""


def test_everybody_sees_what_the_model_says(stage: Stage) -> None:
    play(stage, 3, 15)


SEEDS = 20
"""How many long games there are; ``pytest -rP`` tells what was done in each."""


@pytest.mark.soak
@pytest.mark.parametrize("seeded", range(SEEDS))
def test_everybody_sees_what_the_model_says_for_long(stage: Stage, seeded: int) -> None:
    play(stage, 10, 40, seeded)
    logger.warning("seed %d: %s", seeded, dict(sorted(stage.counts.items())))
    assert stage.counts["views"] == stage.counts["steps"] * len(EVERYBODY)

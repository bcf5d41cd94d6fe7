"""The leak suite: what is not shared shows at no door, and no door tells whether there is such a thing.

Three organisations: the hospital that owns everything, a partner that it shares one referral with, and a stranger. Each
door is tried with the id of a resource that is there and with one that nothing has; after both are taken out of the
answers, the two must be the same.
"""

import base64
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import httpx
import pytest

from app.fhir.openapi_examples import new_example
from app.fhir.registry import TYPES
from app.store.rows import Stored
from app.store.statements import row_columns
from tests.api import Caller, World
from tests.integration.access.doors import TAG, Door, list_doors
from tests.integration.interactions.samples import patient, reference, service_request, task

CANARY = "CANARY"
MADE = "made"
SHARED = "CANARI"
"""What the referral says that the partner may see."""
ENCODED = base64.b64encode(CANARY.encode()).decode()
CALLERS = ("stranger", "partner", "coordinator")
OFFERED = {"coding": [{"system": "urn:example:category", "code": "meals"}]}
BEYOND: dict[str, dict[str, Any]] = {
    "Organization": {"address": [{"text": CANARY}], "contact": [{"name": {"text": CANARY}}]},
    "HealthcareService": {"comment": CANARY, "extraDetails": CANARY, "location": [{"display": CANARY}]},
    "Location": {"address": {"text": CANARY, "city": CANARY}, "description": CANARY},
}
"""What no part of a sheltered entry shows."""
RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
DIV = f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARY}</div>'
PARTS = 4
"""The doors are dealt out to as many tests, which several processes may run at once."""
CHANGING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT(?:[\d:.]|%3A)+Z|_cursor=[\w%-]+")
"""Ids, moments and cursors, which no two answers have in common."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A resource of the hospital's, and the tag that only it has."""

    name: str
    id: str
    tag: str
    part_for: tuple[str, ...] = ()
    """Callers who see a part of it: what of it may show, holds no canary."""

    @property
    def twin(self) -> "Secret":
        """One that is not there, to compare with: the same one each time, since callers refer to either."""
        return Secret(self.name, str(uuid5(NAMESPACE_OID, self.id)), f"none-{self.id}")


async def hide(hospital: Caller, name: str, *, labelled: bool = False) -> Secret:
    """A resource of the type that says CANARY wherever it may; a directory entry is labelled, since others are open."""
    tag = f"{CANARY}-{name}"
    labels = {"security": [RESTRICTED]} if TYPES[name].directory or labelled else {}
    body = {**new_example(name), "meta": {"tag": [{"system": TAG, "code": tag}], **labels}, **BEYOND.get(name, {})}
    if name == "Binary":
        body["data"] = ENCODED
    else:
        body["text"] = {"status": "generated", "div": DIV}
    if name == "Subscription":
        body["reason"] = CANARY
    part_for = CALLERS if TYPES[name].directory and TYPES[name].view else ()
    return Secret(name, (await hospital.create(body, Accept="application/fhir+json"))["id"], tag, part_for)


async def hide_in_pool(hospital: Caller) -> Secret:
    """A Task that nobody has yet, which asks for what the partner offers."""
    who = reference(await hospital.create(patient(CANARY)))
    asked = reference(await hospital.create(service_request(who, category=[OFFERED], note=[{"text": CANARY}])))
    tag = f"{CANARY}-pool"
    meta = {"tag": [{"system": TAG, "code": tag}]}
    body = task(who, asked, requester={"reference": "Organization/example"}, description=CANARY, meta=meta)
    del body["owner"]
    return Secret("Task", (await hospital.create(body))["id"], tag, ("partner",))


async def find_any(operator: Caller, name: str) -> Secret:
    """One that the server has made by itself: nobody puts a word of his own into it."""
    return Secret(name, (await operator.find(f"{name}?_count=1"))[0].partition("/")[2], f"{MADE}-{name}")


@pytest.fixture
async def secrets(world: World) -> list[Secret]:
    """One of each type, and a referral that is shared with the partner."""
    hospital = await world.caller("example")
    await world.organization("ngo")
    offer = {"resourceType": "HealthcareService", "category": [OFFERED]}
    provided = {"providedBy": {"reference": "Organization/ngo"}}
    await (await world.caller("ngo", "provider")).create({**offer, **provided})
    made = [await hide(hospital, name) for name, each in TYPES.items() if "create" in each.interactions]
    operator = await world.caller("operator", "admin")
    made += [await find_any(operator, name) for name, each in TYPES.items() if "create" not in each.interactions]
    who = await hospital.create(patient(name=[{"family": SHARED}]))
    asked = await hospital.create(service_request(reference(who), code={"text": SHARED}))
    mine = {"requester": {"reference": "Organization/example"}, "description": SHARED}
    shared = await hospital.create(task(reference(who), reference(asked), **mine))
    made.append(await hide_in_pool(hospital))
    return [*made, *(Secret(each["resourceType"], each["id"], "none") for each in (who, asked, shared))]


async def knock(caller: Caller, door: Door, resource_id: str, tag: str) -> httpx.Response:
    method, path, body, headers = door.ask(resource_id, tag)
    return await caller.send(method, path, body, **headers)


def blank(answer: httpx.Response, resource_id: str, tag: str) -> tuple[int, str]:
    """Status and text without what was asked with and what changes from one answer to the next."""
    return answer.status_code, CHANGING.sub("", answer.text.replace(resource_id, "").replace(tag, ""))


def find_leak(text: str, secret: Secret, *, partner: bool = False) -> bool:
    """Whether a text holds what it must not; what the caller itself has put in does not count."""
    text = text.replace(secret.tag, "")
    return CANARY in text or ENCODED in text or (SHARED in text and not partner)


async def try_door(caller: Caller, door: Door, secret: Secret, *, in_part: bool) -> str | None:
    """What is wrong with a door, None for nothing; of what shows ``in_part``, the rest must look absent."""
    answer = await knock(caller, door, secret.id, secret.tag)
    if find_leak(answer.text, secret, partner=caller.organization == "ngo"):
        return f"leaks: {answer.status_code} {answer.text}"
    if answer.status_code >= 500:
        return f"answers {answer.status_code}"
    if door.refused and not 400 <= answer.status_code < 500:
        return f"answers {answer.status_code} although nothing is built there"
    if in_part and not door.is_beyond:
        return None
    nothing = secret.twin
    other = await knock(caller, door, nothing.id, nothing.tag)
    same = blank(answer, secret.id, secret.tag) == blank(other, nothing.id, nothing.tag)
    return None if same else f"tells that it is there: {answer.status_code} {answer.text} / {other.text}"


async def callers_of(world: World) -> dict[str, Caller]:
    """Those to whom the hospital's own things must look absent; the coordinator acts for the stranger."""
    await world.pool.execute(
        "INSERT INTO network_member (coordinator, member, acts) VALUES ('network', 'stranger', true)"
    )
    return {
        name: await world.caller(organization, role)
        for name, (organization, role) in zip(
            CALLERS, (("stranger", "referrer"), ("ngo", "provider"), ("network", "coordinator")), strict=True
        )
    }


def rows(secrets: list[Secret], callers: list[str], *, every: bool) -> Iterator[tuple[str, Secret, Door]]:
    """Each door of each secret, with every caller or with the next in turn; the partner sees what is shared with it."""
    turn = 0
    for secret in secrets:
        names = [each for each in callers if secret.tag != "none" or each != "partner"]
        for door in list_doors(secret.name):
            if secret.part_for == ("partner",) and door.name == "$claim":
                continue  # it would be given what it asks for
            turn += 1
            for name in names if every else [names[turn % len(names)]]:
                yield name, secret, door


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_shows_at_any_door(world: World, secrets: list[Secret], part: int, every: bool) -> None:
    callers = await callers_of(world)
    cases = list(rows(secrets, list(callers), every=every))
    assert len(cases) > 5_000
    found, before, sent = [], await count_accesses(world), count_requests(callers)
    for name, secret, door in cases[part::PARTS]:
        if fault := await try_door(callers[name], door, secret, in_part=name in secret.part_for):
            found.append(f"{name} at {secret.name}, {door.name}: {fault}"[:400])
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:60])
    # Each request stands in the audit trail once, refused or not.
    assert await count_accesses(world) - before == len(sent) > len(cases[part::PARTS])


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.soak)])
async def test_what_is_labelled_shows_to_no_network(world: World, step: int) -> None:
    """The coordinator acts for the very hospital whose things they are: a label keeps them from it all the same."""
    hospital = await world.caller("example")
    coordinator = await world.caller("network", "coordinator")
    await world.pool.execute(
        "INSERT INTO network_member (coordinator, member, acts) VALUES ('network', 'example', true)"
    )
    names = [name for name, each in TYPES.items() if "create" in each.interactions]
    secrets = [await hide(hospital, name, labelled=True) for name in names]
    cases = [(secret, door) for secret in secrets for door in list_doors(secret.name)][::step]
    found = []
    for secret, door in cases:
        if fault := await try_door(coordinator, door, secret, in_part=bool(secret.part_for)):
            found.append(f"{secret.name}, {door.name}: {fault}"[:400])
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:60])


def count_requests(callers: dict[str, Caller]) -> list[str]:
    """The address of each request that these callers send from now on."""
    sent: list[str] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request.url.path)

    for each in callers.values():
        each.http.event_hooks["request"].append(note)
    return sent


async def count_accesses(world: World) -> int:
    """How many rows of the audit trail tell of a client's request."""
    await world.hub.trail.flush()
    number: int = await world.pool.fetchval("SELECT count(*) FROM audit WHERE remote IS NOT NULL")
    return number


async def test_the_suite_sees_a_leak(world: World, secrets: list[Secret]) -> None:
    """The control: to their owner the same doors show everything."""
    hospital = await world.caller("example")
    for each in secrets:
        if each.tag.startswith(MADE):
            continue
        answer = await knock(hospital, Door("read", "GET", f"/{each.name}/{{id}}"), each.id, each.tag)
        assert find_leak(answer.text, each), each.name


def reading(name: str) -> list[Door]:
    return [each for each in list_doors(name) if each.method == "GET" or each.name.startswith(("batch", "transaction"))]


@pytest.mark.parametrize("layer", ["filter", "check"])
@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.soak)])
async def test_each_layer_holds_alone(
    world: World, secrets: list[Secret], monkeypatch: pytest.MonkeyPatch, layer: str, step: int
) -> None:
    """Without the other layer no content leaves either; what the filter alone hides (that there is one) may show."""
    callers = await callers_of(world)
    {"filter": switch_check_off, "check": switch_filter_off}[layer](monkeypatch)
    found, stopped, cases = [], 0, list(rows(secrets, list(callers), every=step == 1))
    cases = [each for each in cases if each[2] in reading(each[1].name)][::step]
    for name, secret, door in cases:
        answer = await knock(callers[name], door, secret.id, secret.tag)
        stopped += answer.status_code == 500
        if find_leak(answer.text, secret, partner=name == "partner"):
            found.append(f"{name} at {secret.name}, {door.name}: {answer.status_code}"[:200])
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:60])
    # A control of the fixtures: without the filter the check is what stops them, with it there is nothing to stop.
    assert stopped > len(cases) / 10 if layer == "check" else stopped == 0


def switch_filter_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The organisation filter of the store's SQL lets everything pass."""

    def let_pass(_type: str, _scope: Any, parameter: int, *, parts: bool = False) -> str:
        return f"${parameter}::text[] IS NOT NULL"

    replace_everywhere(monkeypatch, "filter_visible", let_pass)
    replace_everywhere(monkeypatch, "shown_columns", lambda name, _scope, _parameter: row_columns(name))


def switch_check_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at the answer lets everything pass."""

    def release(stored: Stored, _scope: Any) -> str:
        return stored.content

    replace_everywhere(monkeypatch, "release", release)
    replace_everywhere(monkeypatch, "may_leave", lambda _stored, _scope: True)


def replace_everywhere(monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any) -> None:
    """Puts a function in the place of ours in every module that has it, and has statements built anew."""
    replaced = 0
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("app."):
            continue
        if getattr(getattr(module, name, None), "__module__", "").startswith("app."):
            monkeypatch.setattr(module, name, replacement)
            replaced += 1
        for each in vars(module).values():
            if isinstance(each, functools._lru_cache_wrapper) and module_name.startswith("app.store"):
                each.cache_clear()
    assert replaced, f"nobody calls {name} any more"


@pytest.fixture(autouse=True)
def _fresh_statements() -> Iterator[None]:
    """No statement that was built under a switch stays for the next test."""
    yield
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("app.store"):
            for each in vars(module).values():
                if isinstance(each, functools._lru_cache_wrapper):
                    each.cache_clear()

"""What is measured: for each case the HTTP requests, and the statements that each of them runs."""

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.interactions.create import create_resource
from app.interactions.read import read_resource
from app.interactions.search import search_type
from app.interactions.transaction import run_transaction
from app.interactions.update import update_resource
from bench.floor import Unit
from bench.load import HOSPITAL, PARTNERS, make_request, make_task
from bench.recording import act_as, record, rename
from bench.stage import Stage

Resource = dict[str, Any]
PARTNER = PARTNERS[0]
POLL = [("owner", f"Organization/{PARTNER}"), ("status", "requested"), ("_sort", "-_lastUpdated"), ("_count", "20")]


@dataclass
class Case:
    """Raw HTTP requests and the floor's units, one for one."""

    name: str
    requests: list[bytes]
    units: Sequence[Unit]


@dataclass
class Bench:
    """What the cases draw on: the loaded Tasks by number, each used for one write only."""

    stage: Stage
    tasks: int
    plain: list[int] = field(init=False)
    requested: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.requested = [n for n in range(2, self.tasks) if n % 2 and status_of(n) == "requested"]
        self.plain = [n for n in range(2, self.tasks) if status_of(n) != "requested"]

    def take(self, count: int) -> list[int]:
        """Numbers of Tasks that nothing has written to yet."""
        taken, self.plain = self.plain[:count], self.plain[count:]
        return taken

    def take_requested(self, count: int) -> list[int]:
        """The same, of Tasks that ``PARTNER`` may accept."""
        taken, self.requested = self.requested[:count], self.requested[count:]
        return taken


def status_of(n: int) -> str:
    """The status that Task ``n`` was loaded with."""
    return str(make_task(n)["status"])


def raw(method: str, path: str, token: str, body: Any = None, **headers: str) -> bytes:
    """One HTTP/1.1 request."""
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    lines = [f"{method} /fhir{path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}"]
    if body is not None:
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def about(n: int) -> list[str]:
    """Everything in the statements that belongs to Task ``n`` alone, the most particular first."""
    return [f"bench-task-{n}", f"bench-request-{n}", f"bench-patient-{n // 2}", f"T{n:08}", f"O{n:08}"]


async def build_read(bench: Bench, count: int) -> Case:
    """GET of one Task by the organisation that owns it."""
    token = await bench.stage.token(PARTNER, "provider")
    numbers = [random.randrange(bench.tasks // 2) * 2 + 1 for _ in range(count)]
    unit, _ = await record(
        bench.stage, act_as(PARTNER, "provider"), lambda hub, who: read_resource(hub, who, "Task", "bench-task-1")
    )
    units = [rename(unit, [("bench-task-1", f"bench-task-{n}")]) for n in numbers]
    return Case("read", [raw("GET", f"/Task/bench-task-{n}", token) for n in numbers], units)


async def build_poll(bench: Bench, count: int) -> Case:
    """The hot poll: 20 Tasks of the organisation that owns half of them."""
    token = await bench.stage.token(PARTNER, "provider")
    unit, _ = await record(
        bench.stage, act_as(PARTNER, "provider"), lambda hub, who: search_type(hub, who, "Task", POLL)
    )
    query = "&".join(f"{name}={value}" for name, value in POLL)
    return Case("hot poll", [raw("GET", f"/Task?{query}", token)] * count, [unit] * count)


async def build_create(bench: Bench, count: int) -> Case:
    """POST of a Task with owner, focus and patient."""
    token = await bench.stage.token(HOSPITAL, "referrer")
    first, *numbers = bench.take(2 * count + 1)
    sent, replayed = numbers[:count], numbers[count:]
    unit, _ = await record(
        bench.stage,
        act_as(HOSPITAL, "referrer"),
        lambda hub, who: create_resource(hub, who, fresh_task(first), None),
    )
    units = [rename(unit, list(zip(about(first), about(n), strict=True))) for n in replayed]
    return Case("create", [raw("POST", "/Task", token, fresh_task(n)) for n in sent], units)


def fresh_task(n: int) -> Resource:
    return make_task(n) | {"status": "requested"}


async def build_put(bench: Bench, count: int) -> Case:
    """PUT of a Task's status by its owner, If-Match on its first version."""
    token = await bench.stage.token(PARTNER, "provider")
    first, *numbers = bench.take_requested(2 * count + 1)
    half = len(numbers) // 2
    unit, _ = await record(
        bench.stage,
        act_as(PARTNER, "provider"),
        lambda hub, who: update_resource(hub, who, accepted_task(first), f"bench-task-{first}", 1),
    )
    units = [rename(unit, list(zip(about(first), about(n), strict=True))) for n in numbers[half:]]
    requests = [raw("PUT", f"/Task/bench-task-{n}", token, accepted_task(n), If_Match='W/"1"') for n in numbers[:half]]
    return Case("PUT status", requests, units)


def accepted_task(n: int) -> Resource:
    return make_task(n) | {"id": f"bench-task-{n}", "status": "accepted"}


async def build_transaction(bench: Bench, count: int) -> Case:
    """A transaction of ServiceRequest, Task and CarePlan."""
    token = await bench.stage.token(HOSPITAL, "referrer")
    first, *numbers = bench.take(2 * count + 1)
    unit, _ = await record(
        bench.stage, act_as(HOSPITAL, "referrer"), lambda hub, who: run_transaction(hub, who, bundle_of_three(first))
    )
    units = [rename(unit, list(zip(about(first), about(n), strict=True))) for n in numbers[count:]]
    return Case("transaction of 3", [raw("POST", "", token, bundle_of_three(n)) for n in numbers[:count]], units)


def bundle_of_three(n: int) -> Resource:
    """A new referral of a loaded patient."""
    name = f"https://bench.invalid/fhir/ServiceRequest/{n}"
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": f"Patient/bench-patient-{n // 2}"},
        "activity": [{"reference": {"reference": name}}],
    }
    resources = [make_request(n), fresh_task(n) | {"focus": {"reference": name}}, plan]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": name.replace("ServiceRequest", each["resourceType"]),
                "resource": each,
                "request": {"method": "POST", "url": each["resourceType"]},
            }
            for each in resources
        ],
    }


CASES: list[Callable[[Bench, int], Awaitable[Case]]] = [
    build_read,
    build_poll,
    build_create,
    build_put,
    build_transaction,
]

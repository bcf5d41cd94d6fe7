"""Nothing of a patient gets out of a running server by a side door, whatever succeeds or fails.

Fifty strings that stand nowhere else are in every field, query, header, name and id of what is sent, through success
and each kind of failure. Then they are looked for in what our processes and PostgreSQL have written, in the metrics, in
what is known of deliveries, in the audit trail, and in what others were answered.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.core.embedded_postgres import prepare_layout, run_tool, start_cluster, start_postgres
from tests.api import Caller, Resource
from tests.conformance.conftest import LOOPBACK, Site, make_token
from tests.conformance.leaky.sitecustomize import BUG, CONTROL, POISON
from tests.integration.interactions.samples import bundle, entry, reference, service_request, task
from tests.processes import PATIENCE
from tests.server import Server
from tests.waiting import until

LEAKY = Path(__file__).parent / "leaky"
CANARY = re.compile(r"[zx]q(\d\d)canary", re.IGNORECASE)
OURS, THEIRS = "Zq", "Xq"
"""How they begin that most callers send, and those of the stranger, who may be told what it has typed itself."""
OF_ONES_CHOICE, LEAKED = 50, 51
"""The number of the one that is an id, and so a reference; and of the one that is leaked on purpose."""


def mark(number: int) -> str:
    return f"{OURS}{number:02}canary"


def write_patient(**elements: Any) -> Resource:
    """A Patient with a canary in each of its texts."""
    numbers = iter(range(1, 100))

    def m() -> str:
        return mark(next(numbers))

    return {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{m()}</div>'},
        "name": [{"text": m(), "family": m(), "given": [m()], "prefix": [m()], "suffix": [m()]}],
        "identifier": [{"system": f"http://x/{m()}", "value": m(), "assigner": {"display": m()}}],
        "telecom": [{"system": "phone", "value": m()}],
        "address": [{"text": m(), "line": [m()], "city": m(), "district": m(), "state": m(), "postalCode": m()}],
        "contact": [{"name": {"family": m()}, "relationship": [{"text": m()}]}],
        "maritalStatus": {"text": m()},
        "photo": [{"contentType": "image/png", "title": m(), "url": f"http://x/{m()}"}],
        "extension": [{"url": f"http://x/{m()}", "valueString": m()}],
        "meta": {"tag": [{"system": "urn:x", "code": m(), "display": m()}]},
        **elements,
    }  # fmt: skip


def write_request(who: str, **more: Any) -> Resource:
    note = [{"text": mark(31)}]
    more |= {
        "performerType": {"text": mark(26)},
        "locationCode": [{"text": mark(27)}],
        "orderDetail": [{"text": mark(28)}],
    }
    return service_request(
        who, code={"text": mark(29)}, patientInstruction=mark(30), note=note, reasonCode=[{"text": mark(32)}],
        identifier=[{"system": "urn:x", "value": mark(33)}], **more,
    )  # fmt: skip


def write_task(who: str, focus: str, **more: Any) -> Resource:
    given = [{"type": {"text": mark(37)}, "valueString": mark(38)}]
    return {
        **task(who, focus, description=mark(34), note=[{"text": mark(35)}], businessStatus={"text": mark(36)}),
        "input": given,
        "identifier": [{"system": "urn:x", "value": mark(39)}],
        **more,
    }


class Echo(BaseHTTPRequestHandler):
    """Takes what greets it, and sends back everything else with 500: its headers, and its body in two ways."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        greeting = b"handshake" in body
        told = b"" if greeting else b"".join((bytes(self.headers), body, json.dumps(body.decode()).encode()))
        self.send_response(200 if greeting else 500)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_PUT = do_POST  # noqa: N815 -- the framework's name

    def log_message(self, *_: object) -> None:
        """The test has nothing to say."""


@pytest.fixture
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Scene:
    """The server, who calls it, and where it writes; ``answered`` is what a stranger was answered."""

    site: Site
    log: Path
    callers: dict[str, Caller] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)

    @property
    def postgres_log(self) -> str:
        return prepare_layout(self.site.data_dir.resolve()).log.read_text()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> list[int]:
        """The same by who may, and by who may not."""
        statuses = []
        for name in ("operator", "hospital", "stranger"):
            sent = (method, path, body, headers) if name != "stranger" else (method, *disguise(path, body, headers))
            answer = await self.callers[name].send(*sent[:3], **sent[3])
            statuses.append(answer.status_code)
            if name == "stranger" and answer.status_code >= 400:
                self.answered.append(f"{answer.headers}\n{answer.text}")
        return statuses


def disguise(path: str, body: Any, headers: dict[str, str]) -> tuple[str, Any, dict[str, str]]:
    """The same request with the stranger's own strings."""
    changed: list[Any] = json.loads(json.dumps([path, body, headers]).replace(OURS, THEIRS))
    return changed[0], changed[1], changed[2]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    before = ("env", f"PYTHONPATH={LEAKY}", "sh", "-c", f'exec "$@" 2>{log}', "sh")
    settings = {
        **LOOPBACK,
        "log_level": "debug",
        "metrics": "open",
        "webhook_retry_schedule": "0,0",
        "webhook_breaker_failures": "0",
    }
    server = await asyncio.to_thread(lambda: Server(data_dir, before=before, statement_timeout="1", **settings))
    found = Scene(Site(data_dir, server), log)
    for name, role in (("operator", "admin"), ("hospital", "referrer"), ("ngo", "provider"), ("stranger", "referrer")):
        token = await make_token(found.site.settings, name, role)
        http = httpx.AsyncClient(
            base_url=server.address, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
        )
        found.callers[name] = Caller(name, http)
    try:
        yield found
    finally:
        for each in found.callers.values():
            await each.http.aclose()
        server.process.terminate()
        await asyncio.to_thread(server.process.communicate, timeout=PATIENCE)
        await asyncio.to_thread(lambda: start_postgres(data_dir).destroy())


async def refer(scene: Scene, **more: Any) -> Resource:
    """A referral that the partner takes on; its Task."""
    hospital, ngo = scene.callers["hospital"], scene.callers["ngo"]
    who = reference(await hospital.create(write_patient()))
    asked = reference(await hospital.create(write_request(who)))
    given = await hospital.create(write_task(who, asked, **more))
    answer = await ngo.update({**await ngo.read(reference(given)), "status": "accepted"})
    assert answer.status_code == 200
    return given


async def succeed(scene: Scene, receiver: str) -> None:
    """What goes well, save that the receiver takes nothing."""
    hospital, operator = scene.callers["hospital"], scene.callers["operator"]
    asked = {"url": f"{receiver}/{mark(40)}", "organization": "Organization/hospital"}
    events = {"events": ["referral-status-changed", "task-assigned"]}
    assert (await hospital.http.post("/admin/webhooks", json={**asked, **events})).status_code == 201
    channel = {
        "type": "rest-hook", "endpoint": f"{receiver}/full", "payload": "application/fhir+json",
        "header": [f"X-Secret: {mark(41)}"],
    }  # fmt: skip
    followed = {"resourceType": "Subscription", "status": "requested", "reason": mark(42), "channel": channel}
    created = await hospital.create({**followed, "criteria": "Task?status=requested,accepted"})

    async def active() -> bool:
        return bool((await hospital.read(reference(created)))["status"] == "active")

    await until(active, patience=PATIENCE)
    await refer(scene)
    sent = await hospital.send("POST", "/Binary", mark(43), Content_Type="text/plain")
    binary = sent.headers["location"].split("/fhir/")[1].split("/_history")[0]
    attachment = {"attachment": {"url": binary, "title": mark(44)}}
    document = {"resourceType": "DocumentReference", "status": "current", "content": [attachment]}
    await hospital.create({**document, "description": mark(44)})
    chosen = {**write_patient(), "id": mark(OF_ONES_CHOICE)}
    assert (await operator.send("PUT", f"/Patient/{mark(OF_ONES_CHOICE)}", chosen)).status_code == 201
    assert await scene.ask("GET", f"/Patient?name={mark(3)}&address-city={mark(13)}") == [200, 200, 200]


async def be_refused(scene: Scene) -> None:
    """Every refusal of a request."""
    ask, patient, form = scene.ask, write_patient(), "application/x-www-form-urlencoded"
    statuses = [
        await ask("POST", "/Patient", {**patient, "gender": mark(45)}),
        await ask("POST", "/Patient", {**patient, "birthDate": mark(45), mark(46): 1}),
        await ask("POST", "/Patient", f'{{"resourceType": "Patient", "id": "{mark(46)}'),
        await ask("POST", "/Patient", "x" * 1_100_000 + mark(46)),
        await ask("POST", "/Patient", mark(46), Content_Type=f"text/{mark(47)}"),
        await ask("POST", "/Patient", patient, If_None_Exist=f"identifier={mark(47)}&{mark(48)}=1"),
        await ask("PUT", f"/Patient/{mark(47)}", {**patient, "id": mark(48)}),
        await ask("PUT", f"/Patient/{mark(OF_ONES_CHOICE)}", {**patient, "id": mark(OF_ONES_CHOICE)}, If_Match='W/"9"'),
        await ask(
            "PUT", f"/Patient/{mark(OF_ONES_CHOICE)}", {**patient, "id": mark(OF_ONES_CHOICE)}, If_Match=mark(49)
        ),
        await ask("GET", f"/Patient/{mark(47)}"),
        await ask("GET", f"/Patient/{mark(47)}/_history/{mark(48)}"),
        await ask("GET", f"/Patient?birthdate={mark(47)}"),
        await ask("GET", f"/Patient?{mark(47)}={mark(48)}"),
        await ask("GET", f"/Patient?_cursor={mark(47)}", X_Request_Id=mark(48), User_Agent=mark(49)),
        await ask("GET", f"/{mark(47)}/1"),
        await ask("PATCH", f"/Patient/{mark(47)}", patient),
        await ask("POST", "/Patient/_search", f"name={mark(47)}&{mark(48)}=1", Content_Type=form),
        await ask("POST", "/Binary", mark(43), Content_Type=f"image/png; name={mark(44)}", X_Security_Context=mark(49)),
        await ask("POST", "", bundle("transaction", entry("POST", "Patient", {**patient, "gender": mark(45)}))),
        await ask("POST", "", bundle("transaction", entry("GET", f"Patient/{mark(47)}"))),
        await ask("POST", "/Task", write_task("Patient/x", "ServiceRequest/y", status=mark(36))),
        await ask("POST", "/Task", write_task("Patient/x", "ServiceRequest/y", status="completed")),
    ]
    assert {status for each in statuses for status in each} >= {400, 404, 405, 412, 413, 415, 422}
    assert not {status for each in statuses for status in each if status >= 500}
    http = scene.callers["stranger"].http
    for headers in ({"Authorization": f"Bearer {mark(46)}"}, {"Authorization": mark(46), "Cookie": mark(47)}):
        scene.answered.append((await http.get(f"/fhir/Patient?name={mark(47)}", headers=headers)).text)
    token = f"grant_type=client_credentials&client_assertion={mark(46)}&scope={mark(47)}&client_id={mark(48)}"
    scene.answered.append((await http.post("/oauth/token", content=token, headers={"Content-Type": form})).text)


async def break_down(scene: Scene) -> None:
    """What no request is to blame for: bugs, poison, races, a slow database, a database that is away."""
    hospital, operator = scene.callers["hospital"], scene.callers["operator"]
    assert await scene.ask("POST", "/Patient", write_patient(id=BUG)) == [500, 500, 500]
    batch = bundle("batch", entry("POST", "Patient", write_patient(id=BUG)))
    assert (await hospital.send("POST", "", batch)).status_code == 200
    poison = [{"system": "urn:x", "value": f"{POISON} {mark(39)}"}]
    await refer(scene, identifier=poison)
    url = scene.site.settings.database_url
    rival = await asyncpg.connect(url)
    made = {**write_patient(), "id": "raced"}
    columns = "(id, version, last_updated, content, owner_org) VALUES ('raced', 1, now(), '{}', 'operator')"
    transaction = rival.transaction()
    await transaction.start()
    await rival.execute(f"INSERT INTO patient {columns}")
    losing = asyncio.create_task(operator.send("PUT", "/Patient/raced", made))

    async def waits() -> bool:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'handoff-web'"
        )
        return bool(await rival.fetchval(query))

    await until(waits)
    await transaction.commit()
    assert (await losing).status_code in (200, 409)
    async with rival.transaction():
        await rival.execute("SELECT * FROM patient WHERE id = 'raced' FOR UPDATE")
        assert (await operator.send("PUT", "/Patient/raced", made)).status_code == 503
    # The control: a line that does leak must be found.
    await hospital.create({"resourceType": "Patient", "name": [{"text": f"{CONTROL} {mark(LEAKED)}"}]})
    await rival.close()
    layout = prepare_layout(scene.site.data_dir.resolve())
    await asyncio.to_thread(run_tool, layout, "pg_ctl", "-D", str(layout.cluster), "-m", "immediate", "-w", "stop")
    try:
        assert await scene.ask("POST", "/Patient", write_patient()) == [503, 503, 503]
        assert set(await scene.ask("GET", f"/Patient/{mark(47)}?name={mark(48)}")) == {503}
    finally:
        await asyncio.to_thread(start_cluster, layout)


async def read_diagnostics(scene: Scene) -> dict[str, str]:
    """What is known of deliveries, and what the trail holds."""
    connection = await asyncpg.connect(scene.site.settings.database_url)
    try:

        async def tried() -> bool:
            """Dead letters of both endpoints, and both poisons."""
            dead = await connection.fetchval("SELECT count(DISTINCT webhook_id) FROM delivery WHERE state = 'dead'")
            log = scene.log.read_text()
            return dead == 2 and "cannot be made" in log and "could not be tried or recorded" in log

        await until(tried, patience=PATIENCE, turn=0.1)
        attempts = await connection.fetch("SELECT status, reason, answer FROM attempt")
        assert {row["status"] for row in attempts} == {500, None}
        assert all(len(row["answer"]) > 30 for row in attempts if row["answer"])
        errors = await connection.fetch("SELECT error FROM webhook")
        trail = await connection.fetch("SELECT * FROM audit")
    finally:
        await connection.close()
    dead = await scene.callers["operator"].http.get("/admin/delivery/dead?limit=100")
    assert len(dead.json()["deliveries"]) >= 2
    return {
        "attempts": repr(attempts),
        "errors": repr(errors),
        "trail": "\n".join(repr(tuple(row)) for row in trail),
        "dead letters": dead.text,
        "metrics": (await scene.callers["operator"].http.get("/metrics")).text,
    }


async def test_no_canary_gets_out(scene: Scene, receiver: str) -> None:
    await succeed(scene, receiver)
    await be_refused(scene)
    await break_down(scene)
    found, told = await read_diagnostics(scene), "answers to a stranger"
    found |= {told: "\n".join(scene.answered), "PostgreSQL's log": scene.postgres_log}
    found["our log"] = scene.log.read_text()
    found["our output"] = scene.site.server.said
    # Each kind of failure has come to where it would be told.
    assert "duplicate key value violates unique constraint" in found["PostgreSQL's log"]
    assert "canceling statement due to statement timeout" in found["PostgreSQL's log"]
    for kind in ("RuntimeError at", "KeyError at", "ValueError at", "DEBUG"):
        assert kind in found["our log"], kind
    found[told] = re.sub(rf"{THEIRS}(\d\d)canary", "-", found[told], flags=re.IGNORECASE)
    leaks = [(name, line) for name, text in found.items() for line in text.splitlines() if CANARY.search(line)]
    # An id is a reference, which the trail is there to keep.
    allowed = {"our log": mark(LEAKED), "trail": mark(OF_ONES_CHOICE)}
    wrong = [(name, line) for name, line in leaks if CANARY.search(line.replace(allowed.get(name, "-"), ""))]
    assert wrong == []
    assert {name for name, _ in leaks} == {"our log", "trail"}


def test_there_are_fifty() -> None:
    """Read off the code of this file, so that none is forgotten."""
    patient = {int(number) for number in CANARY.findall(json.dumps(write_patient()))}
    others = {int(number) for number in re.findall(r"mark\((\d+)\)", Path(__file__).read_text())}
    assert patient | others | {OF_ONES_CHOICE} == set(range(1, 51))

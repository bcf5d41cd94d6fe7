"""Operators' REST: what the commands do, for the operator and for each organisation its own webhooks."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from standardwebhooks import Webhook

from app.core.settings import Settings
from app.delivery.fan_out import fan_out
from tests.api import Caller, World
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_delivery import delivering, emit, make_task, states, until_states

Json = dict[str, Any]
EVENTS = ["referral-status-changed"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_retry_schedule": "0,0", "webhook_timeout": 5.0})


async def call(caller: Caller, method: str, path: str, body: Json | None = None) -> httpx.Response:
    return await caller.http.request(method, f"/admin{path}", json=body)


async def take(caller: Caller, method: str, path: str, body: Json | None = None) -> Json:
    """A call that must succeed; its answer is kept by no cache."""
    answer = await call(caller, method, path, body)
    assert answer.status_code in (200, 201), answer.text
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/json")
    found: Json = answer.json()
    return found


async def register(caller: Caller, url: str, organization: str = "ngo") -> Json:
    body = {"url": url, "organization": f"Organization/{organization}", "events": EVENTS}
    return await take(caller, "POST", "/webhooks", body)


async def test_a_webhook_from_its_registration_to_its_end(
    world: World, pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    operator, ngo = await world.caller("operator", "admin"), await world.caller("ngo")
    answer = await call(
        operator, "POST", "/webhooks", {"url": receiver.url, "organization": "Organization/ngo", "events": EVENTS}
    )
    assert answer.status_code == 201
    made = answer.json()
    address = f"/webhooks/{made['id']}"
    assert answer.headers["location"] == f"http://handoff.test/admin{address}"
    secret = made.pop("secret")
    assert await take(operator, "GET", address) == made
    assert await take(operator, "GET", "/webhooks") == {"webhooks": [made], "eventsWaiting": 0}
    shown = await ngo.read(f"Subscription/{made['id']}")
    assert shown["channel"]["endpoint"] == receiver.url
    assert secret not in str(await take(operator, "GET", "/webhooks"))

    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"])
    Webhook(secret).verify(receiver.requests[0].body.decode(), receiver.requests[0].headers)

    assert (await take(operator, "POST", f"{address}/pause"))["status"] == "paused"
    assert (await ngo.read(f"Subscription/{made['id']}"))["status"] == "off"
    new = (await take(operator, "POST", f"{address}/secret", {"graceSeconds": 60}))["secret"]
    assert new != secret
    assert (await take(operator, "GET", address))["previousSecretUntil"]
    newest = (await take(operator, "POST", f"{address}/secret", {"graceSeconds": 0}))["secret"]
    assert (await take(operator, "PUT", f"{address}/rate", {"perSecond": 0.5}))["ratePerSecond"] == 0.5
    assert (await take(operator, "GET", address))["ratePerSecond"] == 0.5
    assert (await take(operator, "PUT", f"{address}/rate", {"perSecond": None}))["ratePerSecond"] is None
    await emit(pool, "t", "two")
    async with pool.acquire() as connection:
        await fan_out(connection)
    assert (await call(operator, "DELETE", address)).status_code == 409
    assert (await take(operator, "POST", f"{address}/resume"))["status"] == "active"
    async with delivering(pool, quick):
        await until_states(pool, ["delivered", "delivered"])
    Webhook(newest).verify(receiver.requests[1].body.decode(), receiver.requests[1].headers)
    assert await take(operator, "DELETE", address) == {"dropped": 0}
    assert (await call(operator, "GET", address)).status_code == 404
    assert (await ngo.get(f"/Subscription/{made['id']}")).status_code == 410


async def test_dead_letters_tell_every_attempt_and_are_replayed(
    world: World, pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    async def refuse(_: Request) -> tuple[int, dict[str, str]]:
        return 500, {}

    receiver.answer = refuse
    operator = await world.caller("operator", "admin")
    await world.organization("ngo")
    webhook = (await register(operator, receiver.url))["id"]
    for task in "abc":
        await make_task(pool, task)
        await emit(pool, task, "one")
    async with delivering(pool, quick):
        await until_states(pool, ["dead"] * 3)
    page = await take(operator, "GET", f"/delivery/dead?webhook={webhook}&limit=2")
    assert [each["id"] for each in page["deliveries"]] == ["3", "2"]
    first = page["deliveries"][0]
    assert (first["webhookId"], first["eventNumber"], first["event"], first["referral"]) == (
        webhook,
        3,
        EVENTS[0],
        "Task/c",
    )
    assert [(each["number"], each["status"], each["reason"]) for each in first["attempts"]] == [
        (1, 500, "answered 500"),
        (2, 500, "answered 500"),
    ]
    last = await operator.http.get(page["next"])
    assert [each["id"] for each in last.json()["deliveries"]] == ["1"]
    assert last.json()["next"] is None

    receiver.answer = Receiver().answer
    assert await take(operator, "POST", "/delivery/replay", {"delivery": "evt_1_64464a8e9d2c0"}) == {
        "replayed": 1,
        "hurried": 0,
        "stopped": None,
    }
    await take(operator, "POST", f"/webhooks/{webhook}/pause")
    done = await take(operator, "POST", "/delivery/replay", {"webhook": webhook, "fromNumber": 3})
    assert (done["replayed"], done["stopped"]) == (1, "paused")
    done = await take(operator, "POST", "/delivery/replay", {"webhook": webhook, "since": "2020-01-01T00:00:00+01:00"})
    assert done["replayed"] == 1
    await take(operator, "POST", f"/webhooks/{webhook}/resume")
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 3)
    assert (await call(operator, "POST", "/delivery/replay", {"delivery": "1"})).status_code == 409
    assert (await take(operator, "POST", "/delivery/replay", {"delivery": "1", "delivered": True}))["replayed"] == 1
    [state] = (await take(operator, "GET", "/webhooks"))["webhooks"]
    assert (state["queued"], state["delivered"], state["failedAttempts"], state["dead"]) == (1, 3, 6, 0)


async def test_what_holds_up_its_referral_is_listed(world: World, pool: asyncpg.Pool, receiver: Receiver) -> None:
    operator = await world.caller("operator", "admin")
    await world.organization("ngo")
    webhook = (await register(operator, receiver.url))["id"]
    for task in ("stuck", "new"):
        await make_task(pool, task)
        await emit(pool, task, "one", "two")
    async with pool.acquire() as connection:
        await fan_out(connection)
    await pool.execute(
        "UPDATE delivery SET attempts = 1, first_tried_at = now() - interval '16 minutes' WHERE referral = 'Task/stuck'"
    )
    await pool.execute("INSERT INTO attempt (delivery_id, number, reason) VALUES (1, 1, 'no answer')")
    [blocked] = (await take(operator, "GET", "/delivery/blocked"))["deliveries"]
    assert (blocked["id"], blocked["endedAt"], blocked["attempts"][0]["reason"]) == ("1", None, "no answer")
    assert blocked["dueAt"]
    assert (await take(operator, "GET", f"/webhooks/{webhook}"))["blocked"] == 1


async def test_an_organisation_steers_its_own_and_others_look_absent(
    world: World, pool: asyncpg.Pool, receiver: Receiver
) -> None:
    operator, ngo = await world.caller("operator", "admin"), await world.caller("ngo", "provider")
    other = await world.caller("other")
    mine = await take(ngo, "POST", "/webhooks", {"url": receiver.url, "events": EVENTS})
    assert mine["organization"] == "Organization/ngo"
    theirs = await register(operator, receiver.url, "other")
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with pool.acquire() as connection:
        await fan_out(connection)
    await pool.execute("UPDATE delivery SET state = 'dead', ended_at = now()")
    for caller, own, foreign in ((ngo, mine["id"], theirs["id"]), (other, theirs["id"], mine["id"])):
        listed = await take(caller, "GET", "/webhooks")
        assert ([each["id"] for each in listed["webhooks"]], listed["eventsWaiting"]) == ([own], None)
        page = await take(caller, "GET", "/delivery/dead")
        assert {each["webhookId"] for each in page["deliveries"]} == {own}
        [letter] = page["deliveries"]
        [hidden] = await pool.fetch("SELECT id FROM delivery WHERE webhook_id = $1", foreign)
        for method, path, body in (
            ("GET", f"/webhooks/{foreign}", None),
            ("DELETE", f"/webhooks/{foreign}?drop=true", None),
            ("POST", f"/webhooks/{foreign}/secret", {}),
            ("PUT", f"/webhooks/{foreign}/rate", {"perSecond": 1}),
            ("POST", f"/webhooks/{foreign}/pause", None),
            ("POST", f"/webhooks/{foreign}/resume", None),
            ("GET", f"/delivery/dead?webhook={foreign}", None),
            ("POST", "/delivery/replay", {"delivery": str(hidden["id"])}),
            ("POST", "/delivery/replay", {"webhook": foreign, "fromNumber": 1}),
        ):
            answer = await call(caller, method, path, body)
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            text = answer.text.replace(foreign, "unknown").replace(str(hidden["id"]), "7")
            absent = path.replace(foreign, "unknown")
            unknown = {"delivery": "7777"} if body and "delivery" in body else body and {**body, "webhook": "unknown"}
            same = await call(caller, method, absent, unknown if path == "/delivery/replay" else body)
            assert same.text.replace("7777", "7") == text
        assert (await take(caller, "POST", "/delivery/replay", {"delivery": letter["id"]}))["replayed"] == 1
    assert await states(pool) == ["queued", "queued"]
    answer = await call(
        ngo, "POST", "/webhooks", {"url": receiver.url, "organization": "Organization/other"} | {"events": EVENTS}
    )
    assert answer.status_code == 403


RIGHTS = [
    ("GET", "/webhooks", "s"),
    ("POST", "/webhooks", "c"),
    ("GET", "/webhooks/x", "r"),
    ("DELETE", "/webhooks/x", "d"),
    ("POST", "/webhooks/x/secret", "u"),
    ("PUT", "/webhooks/x/rate", "u"),
    ("POST", "/webhooks/x/pause", "u"),
    ("POST", "/webhooks/x/resume", "u"),
    ("GET", "/delivery/dead", "s"),
    ("GET", "/delivery/blocked", "s"),
    ("POST", "/delivery/replay", "u"),
]


async def test_each_takes_a_token_and_its_scope(world: World) -> None:
    bodies: Json = {
        "/webhooks": {"url": "https://ehr.example/hook", "events": EVENTS},
        "/delivery/replay": {"delivery": "1"},
    }
    for method, path, right in RIGHTS:
        scope = "".join(each for each in "cruds" if each != right)
        caller = await world.caller("operator", "admin", f"system/Subscription.{scope} system/Task.cruds")
        body = {"perSecond": 1} if method == "PUT" else bodies.get(path) if method == "POST" else None
        answer = await call(caller, method, path, body)
        assert answer.status_code == 403, (method, path)
        assert f"system/Subscription.{right}" in answer.headers["www-authenticate"]
        assert answer.json()["issue"][0]["code"] == "forbidden"
        caller.http.headers["Authorization"] = ""
        assert (await call(caller, method, path, body)).status_code == 401, (method, path)


REFUSED: list[tuple[str, str, Any, int, str | None]] = [
    ("GET", "/webhooks?colour=red", None, 400, "colour"),
    ("GET", "/delivery/dead?limit=201", None, 400, "limit"),
    ("GET", "/delivery/dead?limit=0", None, 400, "limit"),
    ("GET", "/delivery/dead?before=x", None, 400, "before"),
    ("GET", "/delivery/dead?before=99999999999999999999", None, 400, "before"),
    ("GET", "/delivery/dead?limit=1&limit=2", None, 400, None),
    ("GET", "/delivery/dead?webhook=%00", None, 404, None),
    ("DELETE", "/webhooks/x?drop=yes", None, 400, "drop"),
    ("POST", "/webhooks", {"url": "https://ehr.example/hook"}, 400, "events"),
    ("POST", "/webhooks", {"url": "https://ehr.example/hook", "events": ["nothing"]}, 400, "events"),
    ("POST", "/webhooks", {"url": "https://10.0.0.1/hook", "events": EVENTS}, 422, "url"),
    ("POST", "/webhooks", {"url": "https://ehr.example/hook", "events": EVENTS, "color": 1}, 400, "color"),
    (
        "POST",
        "/webhooks",
        {"url": "https://e.example/", "events": EVENTS, "organization": "Organization/\0"},
        400,
        None,
    ),
    (
        "POST",
        "/webhooks",
        {"url": "https://e.example/", "events": EVENTS, "organization": "Organization/no"},
        404,
        None,
    ),
    ("POST", "/webhooks/x/secret", {"graceSeconds": -1}, 400, "graceSeconds"),
    ("POST", "/webhooks/x/secret", {"graceSeconds": "1"}, 400, "graceSeconds"),
    ("POST", "/webhooks/x/secret", {"grace_seconds": 1}, 400, "grace_seconds"),
    ("PUT", "/webhooks/x/rate", {}, 400, "perSecond"),
    ("PUT", "/webhooks/x/rate", {"perSecond": 0}, 400, "perSecond"),
    ("PUT", "/webhooks/x/rate", {"perSecond": "5"}, 400, "perSecond"),
    ("PUT", "/webhooks/x/rate", {"perSecond": True}, 400, "perSecond"),
    ("PUT", "/webhooks/x/rate", {"perSecond": 0.5}, 404, None),
    ("POST", "/delivery/replay", {}, 400, None),
    ("POST", "/delivery/replay", {"webhook": "w"}, 400, None),
    ("POST", "/delivery/replay", {"delivery": "1", "webhook": "w"}, 400, None),
    ("POST", "/delivery/replay", {"delivery": "x"}, 400, "delivery"),
    ("POST", "/delivery/replay", {"webhook": "w", "since": "2026-11-01T08:00:00"}, 400, "since"),
    ("POST", "/delivery/replay", {"webhook": "w", "since": 5}, 400, "since"),
    ("POST", "/delivery/replay", {"webhook": "w", "since": "0001-01-01T00:00:00+23:00"}, 400, "since"),
    ("POST", "/delivery/replay", {"webhook": "w", "fromNumber": 10**18}, 400, "fromNumber"),
    ("POST", "/delivery/replay", [], 400, None),
    ("PUT", "/webhooks/x", {}, 405, None),
    ("GET", "/delivery/nothing", None, 404, None),
]


async def test_what_is_malformed_is_refused(world: World) -> None:
    operator = await world.caller("operator", "admin")
    for method, path, body, status, where in REFUSED:
        answer = await operator.http.request(method, f"/admin{path}", json=body)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
        if where:
            assert answer.json()["issue"][0]["expression"] == [where], (method, path)


async def test_a_body_of_another_kind_is_refused(world: World) -> None:
    operator = await world.caller("operator", "admin")
    for content, media, status in ((b"a=b", "application/x-www-form-urlencoded", 415), (b"{", "application/json", 400)):
        answer = await operator.http.post("/admin/delivery/replay", content=content, headers={"Content-Type": media})
        assert answer.status_code == status
    twice = b'{"delivery": "1", "delivery": "2"}'
    answer = await operator.http.post("/admin/delivery/replay", content=twice, headers={"Content-Type": "text/json"})
    assert "stands twice" in answer.json()["issue"][0]["diagnostics"]


async def test_a_handshake_that_failed_is_done_again_by_resume(world: World, pool: asyncpg.Pool) -> None:
    operator = await world.caller("operator", "admin")
    webhook = (await register(operator, "https://ehr.example/hook", "operator"))["id"]
    await pool.execute("UPDATE webhook SET status = 'error', error = 'handshake: answered 500'")
    assert (await take(operator, "POST", f"/webhooks/{webhook}/resume"))["status"] == "requested"

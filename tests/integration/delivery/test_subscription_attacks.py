"""A hostile look at Subscriptions: endpoints that change under way, pauses, disabled clients, labels that come late."""

import asyncio
import re
import socket

import pytest

from app.access.clients import disable_client, enable_client
from app.core import outbound
from app.core.addresses import parse_networks
from app.core.settings import Settings
from app.delivery.claim import HEALTH
from app.delivery.subscription import read_subscription
from app.interactions.deliveries import pause, resume
from app.interactions.operate import OPERATOR
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_compact_over_rest import compact, make_secret
from tests.integration.delivery.test_delivery import delivering, until_states
from tests.integration.delivery.test_subscriptions import (
    GONE,
    LABEL,
    parameters,
    refer,
    subscription,
    until_settled,
    until_status,
)
from tests.integration.interactions.samples import reference


async def test_what_the_endpoint_before_says_counts_no_more(world: World, hospital: Caller, receiver: Receiver) -> None:
    """An attempt under way is answered with 410 after the client has named another endpoint."""
    asked, answer_now = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> tuple[int, dict[str, str]]:
        if parameters(request)["type"] == "handshake":
            return 200, {}
        asked.set()
        await answer_now.wait()
        return 410, {}

    receiver.answer = answer
    created = await hospital.create(subscription(receiver.url))
    await refer(hospital)
    async with open_receiver() as other, delivering(world.pool, world.settings):
        await asked.wait()
        active = await until_status(world, hospital, created, "active")
        channel = {**active["channel"], "endpoint": other.url}
        changed = await hospital.update({**active, "status": "requested", "channel": channel})
        assert changed.status_code == 200, changed.text
        answer_now.set()
        came = await other.wait_for(2)
        assert [parameters(each)["type"] for each in came] == ["handshake", "event-notification"]
        await until_states(world.pool, ["delivered"])
    assert await world.pool.fetchval("SELECT status FROM webhook") == "active"


async def test_a_client_does_not_undo_the_operators_pause(world: World, hospital: Caller) -> None:
    created = await hospital.create(subscription(GONE))
    await world.pool.execute("UPDATE webhook SET status = 'active'")
    await pause(world.hub, OPERATOR, created["id"])
    paused = await hospital.read(reference(created))
    assert (paused["status"], paused["error"]) == ("off", "paused by the operator")
    for status in ("requested", "off"):
        answer = await hospital.update({**paused, "status": status})
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "business-rule")
    assert await world.pool.fetchval("SELECT status FROM webhook") == "paused"
    await resume(world.hub, OPERATOR, created["id"])
    resumed = await hospital.read(reference(created))
    assert (await hospital.update({**resumed, "status": "requested"})).status_code == 200


async def test_nothing_goes_to_the_endpoints_of_a_disabled_client(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    stolen = await world.caller("hospital")
    theirs = await stolen.create(subscription(receiver.url, "full-resource"))
    own = await hospital.create(subscription(GONE))
    client = await world.pool.fetchval("SELECT client_id FROM webhook WHERE id = $1", theirs["id"])
    async with world.pool.acquire() as connection:
        await disable_client(connection, client)
    await refer(hospital)
    states = {row[0]: row[1] for row in await world.pool.fetch("SELECT id, status FROM webhook")}
    assert states == {theirs["id"]: "paused", own["id"]: "requested"}
    async with delivering(world.pool, world.settings):
        await until_states(world.pool, ["queued", "queued"])
        shown = await until_status(world, hospital, theirs, "off")
        assert shown["error"] == "its client is disabled"
        assert receiver.requests == []
        async with world.pool.acquire() as connection:
            await enable_client(connection, client)
        await until_status(world, hospital, theirs, "active")
        await receiver.wait_for(2)


async def test_a_disabled_client_leaves_no_compact_webhook_and_names_no_new_one(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    stolen = await world.caller("hospital")
    wanted = {"url": receiver.url, "events": ["referral-status-changed"]}
    assert (await stolen.http.post("/admin/webhooks", json=wanted)).status_code == 201
    client = await world.pool.fetchval("SELECT client_id FROM webhook")
    async with world.pool.acquire() as connection:
        await disable_client(connection, client)
    # Its token counts for some seconds more.
    for path, body in (("/admin/webhooks", wanted), ("/fhir/Subscription", subscription(GONE))):
        assert (await stolen.http.post(path, json=body)).status_code == 403
    await refer(hospital)
    # An attempt that was under way does not hide why it is paused, nor does the operator's pause end with the client's.
    async with world.pool.acquire() as connection:
        webhook = await connection.fetchval("SELECT id FROM webhook")
        await connection.execute(HEALTH, webhook, False, False, "answered 503", False, 1, 3, 300.0)
        assert await connection.fetchval("SELECT error FROM webhook") == "its client is disabled"
        await enable_client(connection, client)
        assert await connection.fetchval("SELECT status FROM webhook") == "active"
        await disable_client(connection, client)
    await pause(world.hub, OPERATOR, webhook)
    async with world.pool.acquire() as connection:
        await enable_client(connection, client)
        assert await connection.fetchval("SELECT status FROM webhook") == "paused"


@pytest.mark.parametrize("labelled", ["Task", "ServiceRequest"])
async def test_a_label_that_comes_late_holds_for_what_waits(
    world: World, hospital: Caller, receiver: Receiver, labelled: str
) -> None:
    await hospital.create(subscription(receiver.url, "full-resource"))
    webhook = await hospital.create(compact(receiver.url))
    await make_secret(hospital, webhook)
    made = await refer(hospital)
    target = made if labelled == "Task" else await hospital.read(made["focus"]["reference"])
    current = await hospital.read(reference(target))
    answer = await hospital.update({**current, "meta": {**current["meta"], **LABEL}})
    assert answer.status_code == 200, answer.text
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(5)
    bundles = [each.json for each in came if each.json.get("type") == "history" and len(each.json["entry"]) > 1]
    assert bundles
    assert all("resource" not in entry for bundle in bundles for entry in bundle["entry"][1:])
    told = [each.json for each in came if each.json.get("type") in ("referral-status-changed", "task-assigned")]
    assert told
    for each in told:
        assert each.keys() <= {
            "type", "id", "sequence", "eventNumber", "time", "links", "task", "serviceRequest", "version",
            "contactProhibited",
        }  # fmt: skip


async def collect_reasons(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Why the client that delivers says that it got no connection: a forbidden address, no such name, nobody there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reasons = set()

    def find_none(host: str, port: int) -> list[str]:
        raise OSError(host)

    for networks, patched in (("", False), ("127.0.0.0/8", False), ("", True)):
        if patched:
            monkeypatch.setattr(outbound, "find_addresses", find_none)
        async with outbound.open_outbound(parse_networks(networks), 1) as client:
            with pytest.raises(outbound.OutboundFailure) as failure:
                await client.post(f"http://127.0.0.1:{port}/", b"{}", {}, 5)
            reasons.add(failure.value.diagnostics)
    assert len(reasons) == 3
    return reasons


async def test_what_the_network_looks_like_inside_is_not_told(
    world: World, hospital: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a name resolves to an address that is not allowed, or to none, would map the operator's network."""
    created = await hospital.create(subscription(GONE))
    path = f"/Subscription/{created['id']}/$status"
    seen = set()
    for reason in {f"handshake: {each}" for each in await collect_reasons(monkeypatch)}:
        await world.pool.execute("UPDATE webhook SET status = 'error', error = $1", reason)
        [own] = (await hospital.http.get("/admin/webhooks")).json()["webhooks"]
        seen.add(own["error"])
        [told] = [each for each in (await hospital.get(path)).text.split('"') if each.startswith("handshake:")]
        seen.add(told)
        shown = await until_status(world, hospital, created, "error")
        seen.add(shown["error"])
        await world.pool.execute("UPDATE webhook SET shown_status = 'active'")
    assert seen == {"handshake: the endpoint cannot be reached"}
    operator = await world.caller("operator", "admin")
    [shown_whole] = (await operator.http.get("/admin/webhooks")).json()["webhooks"]
    assert shown_whole["error"].startswith("handshake: the endpoint cannot be reached: ")
    for reason in ("handshake: answered 503", "no whole answer within 20 s"):
        await world.pool.execute("UPDATE webhook SET error = $1", reason)
        assert reason in (await hospital.get(path)).text


@pytest.mark.parametrize(
    "line",
    [
        "X: a\r\nHost: elsewhere",
        "X: a\nY: b",
        "X: a\r",
        "X\r\n: a",
        " X: a",
        "X : a",
        ": a",
        "X",
        "X: \x00",
        "X: é",
        "Host: elsewhere.example",
        "host:elsewhere.example",
        "Content-Length: 3",
        "Content-Type: text/plain",
        "Transfer-Encoding: chunked",
        "Connection: upgrade",
        "Proxy-Authorization: Basic x",
        "Webhook-Id: evt_1",
        "webhook-signature: v1,x",
        "webhook-timestamp: 1",
        "Expect: 100-continue",
        "X: " + "a" * 9_000,
    ],
)
def test_a_header_brings_nothing_in(line: str) -> None:
    with pytest.raises(Exception, match="A header is") as refusal:
        read_subscription(
            subscription(GONE, header=["Authorization: x", line]), Settings(), "https://refer.example/fhir"
        )
    assert getattr(refusal.value, "expression", None) == ("Subscription.channel.header[1]",)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user:password@ehr.example/hook",
        "https://user@ehr.example/hook",
        "https://@ehr.example/hook",
        "https://ehr.example:0/hook",
        "https://ehr.example:99999/hook",
        "https://ehr.example:port/hook",
        "https://ehr.example\\@10.0.0.1/hook",
        "https://ehr.example/hook#fragment",
        "https://bücher.example/hook",
        "https://ehr.example/ hook",
        "https://ehr.example/\thook",
        "https:///hook",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://127.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gopher://ehr.example/",
        "https://ehr.example/" + "a" * 2_000,
    ],
)
async def test_an_endpoint_that_is_none(world: World, endpoint: str) -> None:
    careful = world.settings.model_copy(update={"webhook_allowed_networks": "", "webhook_allow_http": False})
    with pytest.raises(Exception, match=re.compile("endpoint|URL")) as refusal:
        read_subscription(subscription(endpoint), careful, "https://refer.example/fhir")
    assert getattr(refusal.value, "status", None) == 422


async def test_a_filter_tells_nothing_of_others(world: World, hospital: Caller, receiver: Receiver) -> None:
    """Who filters by another's Task is answered, and told, as who filters by one that there is not."""
    stranger = await world.caller("stranger")
    made: Resource = await refer(hospital)
    for key in (made["id"], "nothing"):
        answer = await stranger.send("POST", "/Subscription", subscription(receiver.url, filters=(f"_id={key}",)))
        assert answer.status_code == 201
    await refer(hospital)
    async with delivering(world.pool, world.settings):
        await receiver.wait_for(2)
        await until_settled(world)
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 0

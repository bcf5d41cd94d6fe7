"""A labelled referral, from outside: who hears of it, in what words, and what is left when consent is withdrawn."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from tests.conformance.conftest import Site
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_subscriptions import subscription
from tests.integration.interactions.consents import VIOLENCE, consent
from tests.integration.interactions.samples import patient, service_request
from tests.integration.interactions.samples import task as referral_task
from tests.waiting import until

CANARY = "CANARY"


def test_a_labelled_referral_over_http(site: Site) -> None:
    hospital, ngo, other = (site.client(name, "referrer") for name in ("hospital", "ngo", "other"))
    asyncio.run(refer_and_withdraw(str(site.settings.database_url), hospital, ngo, other))


async def post(client: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    answer = await client.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{answer.json()['id']}"


async def put(client: httpx.AsyncClient, about: str, **elements: Any) -> None:
    found = (await client.get(f"/{about}")).json()
    match = {"If-Match": f'W/"{found["meta"]["versionId"]}"'}
    answer = await client.put(f"/{about}", json={**found, **elements}, headers=match)
    assert answer.status_code == 200, answer.text


async def subscribe(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A Subscription to whole Tasks, once its endpoint has answered the handshake."""
    made = await post(client, subscription(receiver.url, "full-resource"))

    async def active() -> bool:
        return bool((await client.get(f"/{made}")).json()["status"] == "active")

    await until(active)


async def refer_and_withdraw(
    database: str, hospital: httpx.AsyncClient, ngo: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    async with hospital, ngo, other, open_receiver() as named, open_receiver() as unnamed:
        await subscribe(ngo, named)
        await subscribe(other, unnamed)
        who = await post(hospital, patient(name=[{"family": CANARY}], meta=VIOLENCE))
        asked = await post(hospital, service_request(who, code={"text": CANARY}, meta=VIOLENCE))
        body = referral_task(who, asked, description=CANARY, meta=VIOLENCE)

        refusal = await hospital.post("/Task", json=body)
        assert refusal.status_code == 422
        reasons = [issue["diagnostics"] for issue in refusal.json()["issue"]]
        assert len(reasons) == 3
        assert all("needs an active Consent" in each and who in each for each in reasons)
        assert (await hospital.get("/Task")).json().get("entry", []) == []

        given = await post(hospital, consent(who, "ngo"))
        tasked = await post(hospital, body)
        [_, told] = await named.wait_for(2)  # the first was the handshake
        assert tasked in str(told.json)
        assert CANARY not in told.body.decode()
        everything = [tasked, who, asked]
        assert [(await ngo.get(f"/{each}")).status_code for each in everything] == [200] * 3
        assert [(await other.get(f"/{each}")).status_code for each in everything] == [404] * 3

        await hold_and_withdraw(database, hospital, named, tasked, given)
        assert [(await ngo.get(f"/{each}")).status_code for each in everything] == [404] * 3
        assert (await hospital.get(f"/{tasked}")).json()["status"] == "cancelled"
        assert len(unnamed.requests) == 1
        await end_in_time(hospital, ngo, named, unnamed)


async def hold_and_withdraw(
    database: str, hospital: httpx.AsyncClient, receiver: Receiver, tasked: str, given: str
) -> None:
    """With one notification under way and others behind it, the Consent is withdrawn: the others never leave."""
    under_way, released = asyncio.Event(), asyncio.Event()

    async def hold(_: Request) -> tuple[int, dict[str, str]]:
        under_way.set()
        await released.wait()
        return 204, {}

    usual, receiver.answer = receiver.answer, hold
    came = len(receiver.requests)
    connection = await asyncpg.connect(database)
    try:
        for priority in ("urgent", "asap", "stat"):
            await put(hospital, tasked, priority=priority)
        await under_way.wait()

        async def queued() -> bool:
            count: int = await connection.fetchval("SELECT count(*) FROM delivery WHERE state = 'queued'")
            return count == 3

        await until(queued)
        await put(hospital, given, status="inactive")
        states = await connection.fetch("SELECT state, count(*) FROM delivery GROUP BY 1 ORDER BY 1")
        assert [tuple(row) for row in states] == [("delivered", 1), ("queued", 1), ("withdrawn", 2)]
        released.set()

        async def settled() -> bool:
            left = await connection.fetchval(
                "SELECT count(*) FROM delivery WHERE state = 'queued' "
                "OR EXISTS (SELECT 1 FROM event WHERE fanned_out_at IS NULL)"
            )
            return bool(left == 0)

        await until(settled)
        assert len(receiver.requests) == came + 1
    finally:
        await connection.close()
    receiver.answer = usual


async def end_in_time(hospital: httpx.AsyncClient, ngo: httpx.AsyncClient, named: Receiver, unnamed: Receiver) -> None:
    """A Consent whose period ends: the worker's clock closes the package and cancels the Task, which tells it."""
    who = await post(hospital, patient(meta=VIOLENCE))
    asked = await post(hospital, service_request(who, meta=VIOLENCE))
    end = datetime.now(UTC) + timedelta(seconds=8)  # long enough for the referral to be made before
    await post(hospital, consent(who, "ngo", period={"end": end.isoformat(timespec="seconds")}))
    tasked = await post(hospital, referral_task(who, asked))
    assert (await ngo.get(f"/{asked}")).status_code == 200

    async def closed() -> bool:
        return (await ngo.get(f"/{asked}")).status_code == 404

    await until(closed)
    assert (await ngo.get(f"/{tasked}")).json()["status"] == "cancelled"

    async def told() -> bool:
        return any('"cancelled"' in each.body.decode() and tasked in each.body.decode() for each in named.requests)

    await until(told)
    assert len(unnamed.requests) == 1

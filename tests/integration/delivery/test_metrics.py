"""What Prometheus reads: figures that fit what happened, for those who may read them."""

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.settings import Settings
from app.delivery.claim import Result, claim_due, finish
from app.delivery.fan_out import fan_out
from app.delivery.replay import Replay, replay
from tests.api import World, open_world
from tests.integration.delivery.receiver import Receiver, Request
from tests.integration.delivery.test_delivery import delivering, emit, make_task, make_webhook, until_states


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics": "open", "webhook_retry_schedule": "0,0"})


async def scrape(world: World, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://handoff.test") as http:
        return await http.get("/metrics", headers=headers)


async def read_samples(world: World) -> dict[tuple[str, str], float]:
    """(metric, value of its first label or nothing): figure; buckets of the histogram apart."""
    answer = await scrape(world)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {
        (each.name.removeprefix("handoff_"), next(iter(each.labels.values()), "")): each.value
        for each in samples
        if not each.name.endswith("_bucket")
    }


async def test_off_by_default(world: World) -> None:
    answer = await scrape(world)
    assert answer.status_code == 404
    assert "HANDOFF_METRICS" in answer.json()["issue"][0]["diagnostics"]


async def test_for_operators_alone(settings: Settings) -> None:
    async with open_world(settings.model_copy(update={"metrics": "admin"})) as world:
        assert (await scrape(world)).status_code == 401
        hospital = await world.caller("hospital")
        assert (await hospital.http.get("/metrics")).status_code == 403
        operator = await world.caller("operator", "admin")
        answer = await operator.http.get("/metrics")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


async def test_what_was_delivered_and_what_failed(
    pool: asyncpg.Pool, open_settings: Settings, receiver: Receiver
) -> None:
    answers = iter([500, 204, 500, 500, 204, 204])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers), {}

    receiver.answer = answer
    await make_webhook(pool, open_settings, receiver.url)
    await make_task(pool, "t")
    async with open_world(open_settings) as world:
        await emit(pool, "t", "one", "two")
        waiting = await read_samples(world)
        assert waiting["events_waiting", ""] == 2
        assert waiting["events_waiting_oldest_seconds", ""] > 0
        async with delivering(pool, open_settings):
            await until_states(pool, ["delivered", "dead"])
            await emit(pool, "t", "three")
            await until_states(pool, ["delivered", "dead", "delivered"])
        found = await read_samples(world)
        assert found["events_waiting", ""] == 0
        assert found["deliveries_delivered_total", "w"] == found["delivery_latency_seconds_count", "w"] == 2
        assert 0 < found["delivery_latency_seconds_sum", "w"] < 60
        assert found["delivery_attempts_failed_total", "w"] == 3
        assert (found["deliveries_queued", "w"], found["deliveries_dead", "w"]) == (0, 1)
        assert (found["webhooks", "active"], found["webhooks", "error"]) == (1, 0)
        async with pool.acquire() as connection:
            await replay(connection, Replay(delivery_id=2))
        async with delivering(pool, open_settings):
            await until_states(pool, ["delivered"] * 3)
        found = await read_samples(world)
        assert (found["deliveries_delivered_total", "w"], found["deliveries_dead", "w"]) == (3, 0)
        assert found["delivery_latency_seconds_count", "w"] == 2
        text = (await scrape(world)).text
        assert receiver.url not in text
        assert "Task/" not in text


async def test_latency_is_counted_in_its_bucket(pool: asyncpg.Pool, open_settings: Settings) -> None:
    await make_webhook(pool, open_settings, "http://127.0.0.1:1/")
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    await pool.execute("UPDATE event SET created_at = created_at - interval '30 seconds'")
    async with pool.acquire() as connection:
        await fan_out(connection)
        [claim] = await claim_due(connection, 1, lease_seconds=60, busy={}, most_each=1)
        assert await finish(connection, [(claim, Result("delivered", 0, 5, 200))])
    async with open_world(open_settings) as world:
        text = (await scrape(world)).text
    counts = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    assert (counts["10.0"], counts["60.0"], counts["+Inf"]) == (0, 1, 1)


async def test_only_the_head_of_a_referral_is_blocked(pool: asyncpg.Pool, open_settings: Settings) -> None:
    await make_webhook(pool, open_settings, "http://127.0.0.1:1/")
    for task in ("t", "u"):
        await make_task(pool, task)
        await emit(pool, task, "one", "two")
    async with pool.acquire() as connection:
        await fan_out(connection)
    await pool.execute("UPDATE event SET created_at = created_at - interval '1 hour' WHERE id = 1")
    await pool.execute(
        "UPDATE delivery SET first_tried_at = now() - CASE WHEN referral = 'Task/t' THEN interval '16 minutes' "
        "ELSE interval '14 minutes' END"
    )
    async with open_world(open_settings) as world:
        found = await read_samples(world)
    assert (found["deliveries_queued", "w"], found["deliveries_blocked", "w"]) == (4, 1)
    assert 3_600 <= found["deliveries_oldest_seconds", "w"] < 3_700


async def test_openmetrics_where_it_is_accepted(open_settings: Settings) -> None:
    async with open_world(open_settings) as world:
        answer = await scrape(world, accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")

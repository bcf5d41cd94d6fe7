"""Rate, circuit breaker, and shares of the hands: what a claim leaves for later."""

from collections import Counter

import asyncpg
import pytest

from app.core.settings import Settings
from app.delivery.claim import Claim, Limits, Result, claim_due, finish
from app.delivery.fan_out import fan_out
from app.delivery.heartbeat import HEALTHY
from app.delivery.replay import resume_webhook
from tests.integration.delivery.receiver import Request, open_receiver
from tests.integration.delivery.test_delivery import delivering, emit, make_task, make_webhook, until_states
from tests.waiting import until

NOT_THERE = Result("queued", 0, 5, 503, "answered 503", reached=False)
REFUSED = Result("queued", 0, 5, 422, "answered 422", reached=True)
DONE = Result("delivered", 0, 5, 204, reached=True)


@pytest.fixture
async def backlog(pool: asyncpg.Pool, settings: Settings) -> asyncpg.Pool:
    """Twenty referrals with an event each, for the webhook w."""
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    for n in range(20):
        await make_task(pool, f"t{n}")
        await emit(pool, f"t{n}", "requested")
    async with pool.acquire() as connection:
        await fan_out(connection)
    return pool


async def claim(pool: asyncpg.Pool, limits: Limits, most: int = 20) -> list[Claim]:
    return await claim_due(pool, most, lease_seconds=60, busy=Counter(), most_each=20, limits=limits)


async def move(pool: asyncpg.Pool, column: str, seconds: float) -> None:
    """As if so much time had passed since."""
    await pool.execute(f"UPDATE webhook SET {column} = {column} - make_interval(secs => $1)", seconds)


async def test_a_rate_holds_for_all_workers_together(backlog: asyncpg.Pool) -> None:
    limits = Limits(rate=5)
    assert len(await claim(backlog, limits, most=2)) == 2
    assert len(await claim(backlog, limits)) == 3
    assert await claim(backlog, limits) == []
    await move(backlog, "paced_until", 0.4)
    assert len(await claim(backlog, limits)) == 2
    await move(backlog, "paced_until", 3_600)
    assert len(await claim(backlog, limits)) == 5  # an idle hour earns no more than a second's


async def test_a_webhooks_own_rate_goes_before_that_of_the_settings(backlog: asyncpg.Pool) -> None:
    await backlog.execute("UPDATE webhook SET rate = 0.1")
    assert len(await claim(backlog, Limits(rate=5))) == 1
    await move(backlog, "paced_until", 9)
    assert await claim(backlog, Limits()) == []
    await move(backlog, "paced_until", 1.5)
    assert len(await claim(backlog, Limits())) == 1
    await backlog.execute("UPDATE webhook SET rate = NULL")
    assert len(await claim(backlog, Limits())) == 18


async def test_a_clock_that_was_set_back_stops_nothing(backlog: asyncpg.Pool) -> None:
    await backlog.execute("UPDATE webhook SET paced_until = now() + interval '1 hour'")
    assert len(await claim(backlog, Limits(rate=5))) == 5


async def test_failures_in_a_row_open_the_breaker_and_one_attempt_tries_again(backlog: asyncpg.Pool) -> None:
    limits = Limits(failures=3, longest_rest=300)
    claims = await claim(backlog, limits, most=4)
    await finish(backlog, [(claims[0], NOT_THERE)], limits)
    await finish(backlog, [(claims[1], REFUSED)], limits)  # it answers: what it refuses is the message
    await finish(backlog, [(each, NOT_THERE) for each in claims[2:]], limits)
    [last] = await claim(backlog, limits, most=1)
    await finish(backlog, [(last, NOT_THERE)], limits)
    assert await claim(backlog, limits) == []
    await move(backlog, "resting_until", 2)
    [probe] = await claim(backlog, limits)
    assert await claim(backlog, limits) == []  # nobody else tries meanwhile, in whatever worker
    await move(backlog, "failing_since", 400)
    await finish(backlog, [(probe, NOT_THERE)], limits)
    rest = await backlog.fetchval("SELECT extract(epoch FROM resting_until - now())::float8 FROM webhook")
    assert 95 < rest <= 101
    await move(backlog, "resting_until", 120)
    [probe] = await claim(backlog, limits)
    await finish(backlog, [(probe, DONE)], limits)
    assert len(await claim(backlog, limits)) > 10
    [row] = await backlog.fetch("SELECT failures, resting_until, failing_since FROM webhook")
    assert tuple(row) == (0, None, None)


async def test_a_heartbeat_that_arrives_closes_the_breaker(backlog: asyncpg.Pool) -> None:
    limits = Limits(failures=1, longest_rest=300)
    [first] = await claim(backlog, limits, most=1)
    await finish(backlog, [(first, NOT_THERE)], limits)
    assert await claim(backlog, limits) == []
    await backlog.execute(HEALTHY, "w", await backlog.fetchval("SELECT url FROM webhook"))
    assert len(await claim(backlog, limits)) > 10


async def test_a_delivery_closes_the_breaker_of_whom_nobody_calls_failing(backlog: asyncpg.Pool) -> None:
    """As after a client has named its endpoint anew, or the database was left so."""
    limits = Limits(failures=1, longest_rest=300)
    await backlog.execute("UPDATE webhook SET failures = 5, failing_since = NULL")
    [probe] = await claim(backlog, limits, most=1)
    await finish(backlog, [(probe, DONE)], limits)
    assert await backlog.fetchval("SELECT failures FROM webhook") == 0
    assert len(await claim(backlog, limits)) > 10


async def test_the_rest_has_its_bounds_and_resume_ends_it(backlog: asyncpg.Pool) -> None:
    limits = Limits(failures=1, longest_rest=50)
    [first] = await claim(backlog, limits, most=1)
    await finish(backlog, [(first, NOT_THERE)], limits)
    rest = await backlog.fetchval("SELECT extract(epoch FROM resting_until - now())::float8 FROM webhook")
    assert 0.5 < rest <= 1.1
    await backlog.execute("UPDATE webhook SET resting_until = NULL, failing_since = now() - interval '1 hour'")
    [probe] = await claim(backlog, limits)
    await finish(backlog, [(probe, NOT_THERE)], limits)
    rest = await backlog.fetchval("SELECT extract(epoch FROM resting_until - now())::float8 FROM webhook")
    assert 45 < rest <= 50.1
    async with backlog.acquire() as connection:
        await resume_webhook(connection, "w")
    assert len(await claim(backlog, limits)) > 10


async def test_what_nothing_is_learnt_from_moves_the_breaker_nowhere(backlog: asyncpg.Pool) -> None:
    limits = Limits(failures=1)
    [first] = await claim(backlog, limits, most=1)
    await finish(backlog, [(first, Result("queued", 0, 0, None, "the message cannot be made"))], limits)
    assert await backlog.fetchval("SELECT failures FROM webhook") == 0


async def test_a_dead_endpoint_is_left_alone_and_found_again(pool: asyncpg.Pool, settings: Settings) -> None:
    down = True

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return (503 if down else 204), {}

    async with open_receiver() as receiver:
        receiver.answer = answer
        await make_webhook(pool, settings, receiver.url)
        for n in range(30):
            await make_task(pool, f"t{n}")
            await emit(pool, f"t{n}", "requested")
        changed = {"webhook_retry_schedule": ",".join(["0"] * 100), "webhook_breaker_failures": 2}
        async with delivering(pool, settings.model_copy(update=changed), workers=2):
            await until_resting(pool)
            down = False
            await until_states(pool, ["delivered"] * 30)
    assert len(receiver.requests) < 60


async def until_resting(pool: asyncpg.Pool) -> None:
    async def rests() -> bool:
        return bool(await pool.fetchval("SELECT resting_until > now() FROM webhook"))

    await until(rests)


async def test_the_share_of_one_endpoint_is_a_setting(pool: asyncpg.Pool, settings: Settings) -> None:
    most = 0

    async with open_receiver() as receiver:
        under_way = 0

        async def answer(_: Request) -> tuple[int, dict[str, str]]:
            nonlocal most, under_way
            under_way += 1
            most = max(most, under_way)
            await until(saturated)
            under_way -= 1
            return 204, {}

        async def saturated() -> bool:
            return most == 3

        receiver.answer = answer
        await make_webhook(pool, settings, receiver.url)
        for n in range(12):
            await make_task(pool, f"t{n}")
            await emit(pool, f"t{n}", "requested")
        async with delivering(pool, settings.model_copy(update={"webhook_endpoint_concurrency": 3})):
            await until_states(pool, ["delivered"] * 12)
    assert (most, receiver.connections) == (3, 3)

"""A payload that kills the worker, played with a real worker and kill -9."""

import asyncio
import os
import signal
import sys

import asyncpg

from app.core.settings import Settings
from tests.integration.delivery.receiver import Request, open_receiver
from tests.integration.delivery.test_delivery import emit, make_task, make_webhook, states
from tests.waiting import until

SCHEDULE = "0,0"
"""Two attempts."""


async def start_worker(settings: Settings) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")} | {
        "HANDOFF_DATABASE_URL": settings.database_url or "",
        "HANDOFF_DATA_DIR": str(settings.data_dir),
        "HANDOFF_SECRET_KEY": settings.secret_key or "",
        "HANDOFF_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "HANDOFF_WEBHOOK_ALLOW_HTTP": "true",
        "HANDOFF_WEBHOOK_RETRY_SCHEDULE": SCHEDULE,
    }
    return await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "app.worker", env=environment)


async def test_a_payload_that_kills_the_worker_is_counted_and_given_up(pool: asyncpg.Pool, settings: Settings) -> None:
    """As often as the schedule has attempts, then it is a dead letter, and neither its referral nor another waits."""
    worker = await start_worker(settings)

    async def answer(request: Request) -> tuple[int, dict[str, str]]:
        if request.json["status"] == "poison":
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        return 204, {}

    async with open_receiver() as receiver:
        receiver.answer = answer
        await make_webhook(pool, settings, receiver.url)
        for task in ("poisoned", "innocent"):
            await make_task(pool, task)
        await emit(pool, "poisoned", "poison", "completed")
        await emit(pool, "innocent", "completed")
        try:
            for _ in SCHEDULE.split(","):
                assert await worker.wait() == -signal.SIGKILL
                # Its lease runs out.
                await pool.execute("UPDATE delivery SET leased_until = now() WHERE lease IS NOT NULL")
                worker = await start_worker(settings)

            async def all_ended() -> bool:
                return await states(pool) == ["dead", "delivered", "delivered"]

            await until(all_ended, patience=120)
        finally:
            if worker.returncode is None:
                worker.terminate()
            assert await worker.wait() == 0
    told = [each.json["status"] for each in receiver.requests]
    assert told.count("poison") == 2
    assert told[-1] == "completed"
    attempts = await pool.fetch("SELECT number, status, reason FROM attempt WHERE delivery_id = 1 ORDER BY number")
    assert [tuple(row) for row in attempts] == [
        (1, None, None),
        (2, None, None),
        (3, None, "the last attempt ended with its worker"),
    ]

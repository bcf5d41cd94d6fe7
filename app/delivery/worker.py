"""The background loop: one dispatcher among all workers fans events out, every worker sends."""

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from app.core.addresses import parse_networks
from app.core.database import DATABASE_AWAY
from app.core.outbound import open_outbound
from app.core.rounds import repeat
from app.core.settings import Settings
from app.core.smtp import find_smtp_server
from app.delivery.channels.mail import Mail
from app.delivery.channels.rest_hook import RestHook
from app.delivery.claim import NO_LIMITS, SUSPECT_ATTEMPTS, Claim, Limits, claim_due, shorten_leases
from app.delivery.clock import Clock
from app.delivery.fan_out import BATCH, fan_out
from app.delivery.follow import Follow
from app.delivery.handshake import greet_requested
from app.delivery.heartbeat import AT_ONCE, beat_silent
from app.delivery.outcome import parse_schedule
from app.delivery.record import Recorder
from app.delivery.send import Sender
from app.delivery.webhooks import end_due

logger = logging.getLogger("handoff.delivery")

EVENTS = "handoff_event"
DELIVERIES = "handoff_delivery"
POLL = 1.0
"""Seconds between looks without a hint: NOTIFY is one, and hints get lost."""
STEP = 1.0
"""Seconds by which the database's clock goes back before its leases are looked at."""
FEW = 50
LINGER = 0.01
"""Seconds between a hint and the batch that it asks for."""
GATHER = 0.005
"""Seconds between two claims while there is much to do."""
LEASE_MARGIN = 10.0
"""Seconds by which a lease outlives its attempt at least, whatever the settings say."""


async def run_delivery(pool: asyncpg.Pool, settings: Settings, secret_key: bytes, stop: asyncio.Event) -> None:
    """Delivers until ``stop`` is set, then lets what is in flight end. Outlasts restarts of the database."""
    connections = settings.webhook_concurrency
    async with open_outbound(
        parse_networks(settings.webhook_allowed_networks),
        connections,
        connect_seconds=settings.webhook_connect_timeout,
        proxy=settings.webhook_proxy.get_secret_value() if settings.webhook_proxy else None,
    ) as client:
        base, schedule, timeout = (
            settings.base_url,
            parse_schedule(settings.webhook_retry_schedule),
            settings.webhook_timeout,
        )
        clock = Clock()
        with suppress(*DATABASE_AWAY):
            # From the beginning: at the first claim both clocks may be wrong already.
            clock.read(await pool.fetchval("SELECT clock_timestamp()"))
        sender = Sender(
            pool,
            RestHook(client, secret_key, base, schedule, timeout, clock=clock),
            Mail(find_smtp_server(settings), base, schedule, timeout),
            schedule,
            timeout,
            max(settings.webhook_lease, settings.webhook_timeout + LEASE_MARGIN),
        )
        limits = read_limits(settings)
        recorder = Recorder(pool, sender.lease, stop, limits)
        worker = Worker(pool, settings, sender, Follow(pool, settings, base), recorder, limits, stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.dispatch())
            group.create_task(worker.send())
            group.create_task(repeat(worker.greet, POLL, stop, "Handshakes"))
            group.create_task(repeat(worker.keep_time, POLL, stop, "Heartbeats"))
            group.create_task(repeat(worker.follow, POLL, stop, "What is followed"))


def read_limits(settings: Settings) -> Limits:
    """What the settings say of the breaker and the rate.

    With few attempts the suspicion begins early: the innocent must have one left that they are tried in alone.
    """
    failures = settings.webhook_breaker_failures or NO_LIMITS.failures
    suspect = min(SUSPECT_ATTEMPTS, len(parse_schedule(settings.webhook_retry_schedule)) - 1)
    return Limits(failures, settings.webhook_breaker_rest, settings.webhook_rate, max(1, suspect))


async def wait_for(wake: asyncio.Event, seconds: float) -> None:
    """Until woken, or for the time given."""
    try:
        await asyncio.wait_for(wake.wait(), seconds)
    except TimeoutError:
        return
    finally:
        wake.clear()


@dataclass
class Worker:
    """One worker process's loops and what is under way in them."""

    pool: asyncpg.Pool
    settings: Settings
    sender: Sender
    followed: Follow
    recorder: Recorder
    limits: Limits
    stop: asyncio.Event
    events_came: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries_due: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: Counter[str] = field(default_factory=Counter)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    suspects: int = 0
    batch: int = BATCH
    offset: float | None = None

    async def greet(self) -> bool:
        """Carries out handshakes, as they are asked for; whether there may be more."""
        greeted = await greet_requested(self.sender)
        if greeted:
            self.deliveries_due.set()
        return bool(greeted)

    async def keep_time(self) -> bool:
        """Sends heartbeats, and ends what was to end; whether there may be more."""
        await self.watch_clock()
        await end_due(self.pool)
        return await beat_silent(self.sender) >= AT_ONCE

    async def watch_clock(self) -> None:
        """Where the database's clock was set back, or may have been before this worker began, leases end in time."""
        now: datetime = await self.pool.fetchval("SELECT clock_timestamp()")
        offset = now.timestamp() - time.monotonic()
        if self.offset is None or offset < self.offset - STEP:
            await shorten_leases(self.pool, self.sender.lease)
        self.offset = offset

    async def follow(self) -> bool:
        """Holds new versions against the searches that Subscriptions follow."""
        if await self.followed.look():
            self.events_came.set()
        return False

    async def dispatch(self) -> None:
        """Listens, and fans out what no other worker is fanning out."""
        stopping = asyncio.create_task(self.wake_at_stop())
        while not self.stop.is_set():
            try:
                async with self.pool.acquire() as connection:
                    await self.dispatch_on(connection)
            except asyncpg.QueryCanceledError:
                # Many webhooks want each event, or the machine is busy: with fewer at a time it goes on.
                self.batch = max(1, self.batch // 4)
                logger.warning("The dispatcher took too long: it goes on with %d events at a time", self.batch)
            except DATABASE_AWAY as error:
                logger.warning("The database is away from the dispatcher: %s", type(error).__name__)
                await wait_for(self.events_came, POLL)
            except Exception:
                logger.exception("The dispatcher could not go on: it begins anew")
                await wait_for(self.events_came, POLL)
        await stopping

    async def wake_at_stop(self) -> None:
        await self.stop.wait()
        self.events_came.set()
        self.deliveries_due.set()

    async def dispatch_on(self, connection: Any) -> None:
        """The dispatcher's loop on one connection."""

        def hear(_connection: object, _pid: int, channel: str, _payload: object) -> None:
            (self.events_came if channel == EVENTS else self.deliveries_due).set()

        for channel in (EVENTS, DELIVERIES):
            await connection.add_listener(channel, hear)
        try:
            while not self.stop.is_set():
                most = self.batch
                events, deliveries = await fan_out(connection, most)
                self.batch = min(2 * most, BATCH)
                if deliveries:
                    self.deliveries_due.set()
                    await connection.execute("SELECT pg_notify($1, '')", DELIVERIES)
                if events < min(FEW, most):
                    await wait_for(self.events_came, POLL)
                    # Commits come in company: a batch costs the same for one as for several.
                    await asyncio.sleep(LINGER)
        finally:
            for channel in (EVENTS, DELIVERIES):
                await connection.remove_listener(channel, hear)

    async def send(self) -> None:
        """Claims and sends, as many at once as the settings allow."""
        while not self.stop.is_set():
            claimed = time.monotonic()
            try:
                claims = await self.claim()
                barred = await self.sender.find_barred(claims)
            except DATABASE_AWAY as error:
                logger.warning("The database is away from the sender: %s", type(error).__name__)
                claims, barred = [], set()
            except Exception:
                logger.exception("Nothing could be claimed: it is tried again")
                claims, barred = [], set()
            for claim in claims:
                self.under_way[claim.webhook_id] += 1
                self.suspects += claim.suspect
                task = asyncio.create_task(self.carry(claim, claimed, barred=claim.id in barred))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            if not claims:
                await wait_for(self.deliveries_due, POLL)
            elif self.tasks:
                # Hands that become free meanwhile claim together.
                await asyncio.sleep(GATHER)
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def claim(self) -> list[Claim]:
        """What this worker can take now: no webhook gets more than its share of the hands, by default a quarter."""
        free = self.settings.webhook_concurrency - len(self.tasks)
        most_each = self.settings.webhook_endpoint_concurrency or max(1, self.settings.webhook_concurrency // 4)
        if free <= 0:
            return []
        return await claim_due(
            self.pool,
            free,
            lease_seconds=self.sender.lease,
            busy=self.under_way,
            most_each=most_each,
            suspects=not self.suspects,
            limits=self.limits,
        )

    async def carry(self, claim: Claim, claimed: float, *, barred: bool) -> None:
        """One attempt and its record; ``claimed`` is when its lease began, at the latest."""
        try:
            result = await self.sender.attempt(claim, claimed, barred=barred)
            await self.recorder.record(claim, result, claimed)
            if result.state == "dead":
                logger.error("Delivery %d of webhook %s is dead: %s", claim.id, claim.webhook_id, result.reason)
        except DATABASE_AWAY as error:
            logger.warning("The database is away: delivery %d comes again: %s", claim.id, type(error).__name__)
        except Exception:
            logger.exception("Delivery %d could not be tried or recorded: it comes again", claim.id)
        finally:
            self.suspects -= claim.suspect
            self.under_way[claim.webhook_id] -= 1
            if not self.under_way[claim.webhook_id]:
                del self.under_way[claim.webhook_id]
            self.deliveries_due.set()

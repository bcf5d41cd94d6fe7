"""One attempt of one delivery: may it still go, the request, the result."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from app.core.caller import Scope
from app.core.errors import HandoffError
from app.core.outbound import Outbound, OutboundFailure
from app.delivery.claim import Claim, Result
from app.delivery.headers import open_headers
from app.delivery.message import build_body, sign, subscriber_headers
from app.delivery.notification import build_notification
from app.delivery.outcome import judge_answer, judge_silence
from app.delivery.telling import tell_event
from app.delivery.webhooks import open_secret
from app.store.audience import may_see
from app.store.read import read_version

logger = logging.getLogger("handoff.delivery")

KEPT_SECRETS = 1_000


@dataclass(frozen=True)
class Sender:
    """What every attempt needs."""

    pool: asyncpg.Pool
    client: Outbound
    secret_key: bytes
    base_url: str
    schedule: Sequence[float]
    timeout: float
    lease: float
    secrets: dict[bytes, str] = field(default_factory=dict, repr=False)
    headers: dict[bytes, list[str]] = field(default_factory=dict, repr=False)

    async def attempt(self, claim: Claim) -> Result:
        """Tries once. A delivery that its organisation may not see any more is withdrawn, never sent."""
        if claim.attempts > len(self.schedule):
            return Result("dead", reason="the last attempt ended with its worker")
        claimed = time.monotonic()
        async with self.pool.acquire() as connection:
            scope = Scope((claim.organization,))
            if not await may_see(connection, scope, claim.focus_type, claim.focus_id):
                return Result("withdrawn", reason="the organisation may not see the resource any more")
            version = None
            if claim.content not in (None, "empty"):
                key = (claim.focus_type, claim.focus_id)
                version = await read_version(connection, scope, *key, claim.focus_version)
        try:
            if claim.content is None:
                body = build_body(claim, self.base_url)
            else:
                event = tell_event(claim, version, scope, claim.content)
                body = build_notification(claim, event, self.base_url)
            sealed = (claim.secret, claim.previous_secret)
            headers = subscriber_headers(self.open_headers(claim.headers), claim.content)
            headers |= sign([self.open_secret(each) for each in sealed if each], claim, body)
        except HandoffError as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, 0)
        except (ValueError, TypeError, KeyError) as error:
            logger.exception("The message of delivery %d cannot be made", claim.id)
            return judge_silence(
                f"the message cannot be made: {type(error).__name__}", claim.attempts, self.schedule, 0
            )
        began = time.monotonic()
        if began - claimed > self.lease - self.timeout:
            # Another worker may hold it before we are done, and go on with what comes after it.
            return judge_silence("the database took too long", claim.attempts, self.schedule, 0)
        try:
            answer = await self.client.post(claim.url, body.encode(), headers, self.timeout)
        except OutboundFailure as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, milliseconds_since(began))
        return judge_answer(answer, claim.attempts, claim.age, self.schedule, milliseconds_since(began))

    def open_secret(self, sealed: bytes) -> str:
        """The secret, unsealed once and kept: that costs as much as signing."""
        if sealed not in self.secrets:
            if len(self.secrets) >= KEPT_SECRETS:
                self.secrets.clear()
            self.secrets[sealed] = open_secret(self.secret_key, sealed)
        return self.secrets[sealed]

    def open_headers(self, sealed: bytes | None) -> list[str]:
        """The subscriber's own headers, kept likewise."""
        if sealed is None:
            return []
        if sealed not in self.headers:
            if len(self.headers) >= KEPT_SECRETS:
                self.headers.clear()
            self.headers[sealed] = open_headers(self.secret_key, sealed)
        return self.headers[sealed]


def milliseconds_since(began: float) -> int:
    return int(1000 * (time.monotonic() - began))

"""One attempt of one delivery: may it still go, the request, the result."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import httpx

from app.core.caller import Scope
from app.core.errors import HandoffError
from app.core.outbound import OutboundFailure, post
from app.delivery.claim import Claim, Result
from app.delivery.message import build_body, sign
from app.delivery.outcome import judge_answer, judge_silence
from app.delivery.webhooks import open_secret
from app.store.audience import may_see


@dataclass(frozen=True)
class Sender:
    """What every attempt needs."""

    pool: asyncpg.Pool
    client: httpx.AsyncClient
    secret_key: bytes
    base_url: str
    schedule: Sequence[float]
    timeout: float

    async def attempt(self, claim: Claim) -> Result:
        """Tries once. A delivery that its organisation may not see any more is withdrawn, never sent."""
        if claim.attempts > len(self.schedule):
            return Result("dead", reason="every attempt before this one ended with its worker")
        async with self.pool.acquire() as connection:
            scope = Scope((claim.organization,))
            if not await may_see(connection, scope, claim.focus_type, claim.focus_id):
                return Result("withdrawn", reason="the organisation may not see the resource any more")
        body = build_body(claim, self.base_url)
        try:
            headers = sign(open_secret(self.secret_key, claim.secret), claim, body)
        except HandoffError as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, 0)
        began = time.monotonic()
        try:
            answer = await post(self.client, claim.url, body.encode(), headers, self.timeout)
        except OutboundFailure as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, milliseconds_since(began))
        return judge_answer(answer, claim.attempts, claim.age, self.schedule, milliseconds_since(began))


def milliseconds_since(began: float) -> int:
    return int(1000 * (time.monotonic() - began))

"""One attempt of one delivery: may it still go, the request, the result."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from app.core.errors import HandoffError
from app.delivery.channel import Channel, is_mail
from app.delivery.claim import Claim, Result
from app.delivery.outcome import judge_silence
from app.delivery.telling import tell_event, tell_reason
from app.store.audience import find_visible
from app.store.read import read_version

logger = logging.getLogger("handoff.delivery")


@dataclass(frozen=True)
class Sender:
    """What every attempt needs."""

    pool: asyncpg.Pool
    rest_hook: Channel
    mail: Channel
    schedule: Sequence[float]
    timeout: float
    lease: float

    def channel_to(self, url: str) -> Channel:
        """The channel that leads to an endpoint."""
        return self.mail if is_mail(url) else self.rest_hook

    async def find_barred(self, claims: Sequence[Claim]) -> set[int]:
        """The deliveries whose organisation may not see the resource any more: asked just before they would go."""
        seekers = {
            each.id: (each.organization, each.focus_type, each.focus_id, each.network is not None) for each in claims
        }
        visible = await find_visible(self.pool, seekers.values())
        return {key for key, seeker in seekers.items() if seeker not in visible}

    async def attempt(self, claim: Claim, claimed: float, *, barred: bool) -> Result:
        """Tries once; what is ``barred`` is withdrawn, never sent. ``claimed`` is when the lease began."""
        if claim.attempts > len(self.schedule):
            return Result("dead", reason="the last attempt ended with its worker")
        if barred:
            return Result("withdrawn", reason="the organisation may not see the resource any more")
        version = None
        scope = claim.scope
        if claim.content not in (None, "empty") or claim.reason_text:
            async with self.pool.acquire() as connection:
                key = (claim.focus_type, claim.focus_id)
                version = await read_version(connection, scope, *key, claim.focus_version)
        channel = self.channel_to(claim.url)
        try:
            event = None if claim.content is None else tell_event(claim, version, scope, claim.content)
            told = replace(claim, facts=tell_reason(claim, version, scope)) if claim.reason_text else claim
            message = channel.build(told, event)
        except HandoffError as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, 0, reached=None)
        except (ValueError, TypeError, KeyError) as error:
            logger.exception("The message of delivery %d cannot be made", claim.id)
            reason = f"the message cannot be made: {type(error).__name__}"
            return judge_silence(reason, claim.attempts, self.schedule, 0, reached=None)
        if time.monotonic() - claimed > self.lease - self.timeout:
            # Another worker may hold it before we are done, and go on with what comes after it.
            return judge_silence("the database took too long", claim.attempts, self.schedule, 0, reached=None)
        return await channel.send(claim, message)

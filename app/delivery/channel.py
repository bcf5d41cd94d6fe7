"""What delivery asks of a channel, whichever it is (R4 Subscription.channel)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.core.errors import HandoffError
from app.delivery.claim import Claim, Result
from app.delivery.telling import ToldEvent

MAILTO = "mailto:"


COLUMNS = """id, url, topics[1], headers, last_number, secret,
    CASE WHEN previous_until > clock_timestamp() THEN previous_secret END, content, timeout, clock_timestamp()"""
"""Of the table webhook, in the order of ``Subscriber``."""


@dataclass(eq=False)
class NotAccepted(HandoffError):
    """The endpoint answered by another status than success."""

    answered: int = 0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Whom a handshake or a heartbeat goes to; ``count`` are its events so far.

    ``content`` is None for a compact webhook; ``headers`` and secrets are sealed. ``asked_at`` is the database's time.
    """

    id: str
    url: str
    topic: str
    headers: bytes | None
    count: int
    secret: bytes | None
    previous_secret: bytes | None
    content: str | None
    timeout: int | None
    asked_at: datetime


class Channel(Protocol):
    """One way to an endpoint."""

    def build(self, claim: Claim, event: ToldEvent | None) -> Any:
        """The message, the same at every attempt; ``event`` is None for a compact webhook.

        Raises HandoffError, ValueError, TypeError or KeyError where it cannot be made.
        """

    async def send(self, claim: Claim, message: Any) -> Result:
        """What became of one attempt, which ends within the timeout of the settings."""

    async def greet(self, subscriber: Subscriber, token: str) -> None:
        """Asks the endpoint whether it is there. Raises HandoffError where it does not say so."""

    async def beat(self, subscriber: Subscriber, token: str) -> None:
        """Tells the endpoint that it would hear. Raises HandoffError where that does not arrive."""


def is_mail(url: str) -> bool:
    """Whether an endpoint is reached by e-mail; every other one by HTTP."""
    return url.startswith(MAILTO)


def find_deadline(ours: float, wanted: int | None) -> float:
    """Seconds for one attempt: the subscriber's, if it wants to wait less than we would."""
    return ours if wanted is None else min(ours, wanted)

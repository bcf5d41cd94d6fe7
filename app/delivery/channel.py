"""What delivery asks of a channel, whichever it is (R4 Subscription.channel)."""

from dataclasses import dataclass
from typing import Any, Protocol

from app.delivery.claim import Claim, Result
from app.delivery.telling import ToldEvent

MAILTO = "mailto:"


@dataclass(frozen=True, slots=True)
class Requested:
    """A Subscription whose handshake is ours for as long as a lease; ``count`` are its events so far.

    ``content`` is None for a compact webhook; ``headers`` and secrets are sealed.
    """

    id: str
    url: str
    topic: str
    headers: bytes | None
    count: int
    secret: bytes | None
    previous_secret: bytes | None
    content: str | None


class Channel(Protocol):
    """One way to an endpoint."""

    def build(self, claim: Claim, event: ToldEvent | None) -> Any:
        """The message, the same at every attempt; ``event`` is None for a compact webhook.

        Raises HandoffError, ValueError, TypeError or KeyError where it cannot be made.
        """

    async def send(self, claim: Claim, message: Any) -> Result:
        """What became of one attempt, which ends within the timeout of the settings."""

    async def greet(self, requested: Requested, token: str) -> None:
        """Asks the endpoint whether it is there. Raises HandoffError where it does not say so."""


def is_mail(url: str) -> bool:
    """Whether an endpoint is reached by e-mail; every other one by HTTP."""
    return url.startswith(MAILTO)

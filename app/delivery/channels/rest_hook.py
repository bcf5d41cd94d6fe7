"""The rest-hook channel and the compact webhook: a signed POST to an endpoint (delivery.md, On the wire)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from app.core.outbound import Outbound, OutboundFailure
from app.delivery.channel import NotAccepted, Subscriber, find_deadline
from app.delivery.claim import Claim, Result
from app.delivery.clock import Clock
from app.delivery.echo import NOT_KEPT, strip_echo
from app.delivery.headers import open_headers
from app.delivery.message import build_body, build_greeting, handshake_id, sign, sign_message, subscriber_headers
from app.delivery.notification import build_handshake, build_heartbeat, build_notification
from app.delivery.outcome import judge_answer, judge_silence, milliseconds_since
from app.delivery.telling import ToldEvent
from app.delivery.webhooks import open_secret
from app.store.followed import RESOURCE_VERSION

KEPT_SECRETS = 1_000

Message = tuple[str, str, bytes, dict[str, str]]
"""(method, address, body, headers)"""


@dataclass(frozen=True)
class RestHook:
    """``schedule`` are the seconds before each attempt, ``timeout`` those for all of one."""

    client: Outbound
    secret_key: bytes
    base_url: str
    schedule: Sequence[float]
    timeout: float
    secrets: dict[bytes, str] = field(default_factory=dict, repr=False)
    headers: dict[bytes, list[str]] = field(default_factory=dict, repr=False)
    clock: Clock = field(default_factory=Clock)

    def build(self, claim: Claim, event: ToldEvent | None) -> Message:
        """The signed message; its time and signatures alone change from attempt to attempt."""
        method, url = "POST", claim.url
        headers = subscriber_headers(self.open_headers(claim.headers), claim.content)
        if event is None:
            body = build_body(claim, self.base_url)
        elif claim.topic != RESOURCE_VERSION:
            body = build_notification(claim, event, self.base_url)
        elif event.text is not None and event.focus:
            method, url, body = "PUT", add_path(claim.url, *event.focus), event.text
        else:
            # Without a payload, and for what is labelled: that something happened, and nothing more.
            body = ""
            del headers["content-type"]
        sealed = (claim.secret, claim.previous_secret)
        now = self.clock.read(claim.claimed_at)
        signed = sign([self.open_secret(each) for each in sealed if each], claim, body, now)
        return method, url, body.encode(), headers | signed

    async def send(self, claim: Claim, message: Message) -> Result:
        """Any 2xx is success; nothing is followed."""
        method, url, body, headers = message
        began = time.monotonic()
        try:
            answer = await self.client.request(method, url, body, headers, find_deadline(self.timeout, claim.timeout))
        except OutboundFailure as error:
            return judge_silence(error.diagnostics, claim.attempts, self.schedule, milliseconds_since(began))
        result = judge_answer(answer, claim.attempts, claim.age, self.schedule, milliseconds_since(began))
        if not result.answer:
            return result
        kept = NOT_KEPT if claim.content == "full-resource" else strip_echo(result.answer, body, headers.values())
        return replace(result, answer=kept)

    async def greet(self, subscriber: Subscriber, token: str) -> None:
        """The handshake: any answer but 2xx is an error (Backport, rest-hook)."""
        if subscriber.content is None:
            body = build_greeting(subscriber.id, token)
        else:
            body = build_handshake(subscriber.id, subscriber.topic, subscriber.count, self.base_url, token)
        await self.post(subscriber, handshake_id(token), body)

    async def beat(self, subscriber: Subscriber, token: str) -> None:
        """The heartbeat."""
        topic = None if subscriber.content == "empty" else subscriber.topic
        body = build_heartbeat(subscriber.id, topic, subscriber.count, self.base_url, token)
        await self.post(subscriber, f"heartbeat_{token}", body)

    async def post(self, subscriber: Subscriber, key: str, body: str) -> None:
        """What is no event, under an id of its own. Raises NotAccepted, OutboundFailure."""
        headers = subscriber_headers(self.open_headers(subscriber.headers), subscriber.content)
        sealed = [each for each in (subscriber.secret, subscriber.previous_secret) if each]
        opened = [self.open_secret(each) for each in sealed]
        headers |= sign_message(opened, key, body, self.clock.read(subscriber.asked_at))
        deadline = find_deadline(self.timeout, subscriber.timeout)
        answer = await self.client.post(subscriber.url, body.encode(), headers, deadline)
        if not 200 <= answer.status < 300:
            raise NotAccepted(f"answered {answer.status}", answered=answer.status)

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


def add_path(url: str, *steps: str) -> str:
    """The address below an endpoint that is taken for the base of a FHIR server (R4 Subscription, rest-hook)."""
    parts = urlsplit(url)
    return parts._replace(path="/".join((parts.path.rstrip("/"), *steps))).geturl()

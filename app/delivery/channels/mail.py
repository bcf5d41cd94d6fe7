"""The e-mail channel: a plain text for people, with the notification Bundle attached where that is asked for.

Subscriptions R5 Backport, Channels, Email. SMTP is no secure channel: a mail says that something happened, and with
id-only where to read it; it never holds a resource.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from app.core.errors import HandoffError
from app.core.smtp import SmtpFailure, SmtpServer
from app.delivery.channel import MAILTO, Subscriber, find_deadline
from app.delivery.claim import Claim, Result
from app.delivery.mail_request import WITH_BUNDLE
from app.delivery.message import FHIR_JSON, handshake_id, message_id
from app.delivery.notification import build_notification
from app.delivery.outcome import judge_mail, judge_silence, milliseconds_since
from app.delivery.telling import ToldEvent

NOTICE = """
This message was sent by Warm Handoff, because Subscription/{subscription} of your organisation asks for it.
It holds nothing of a patient. Whoever keeps that Subscription can stop it (status off).
"""
GREETING = """From now on this address gets the notifications of Subscription/{subscription}.

Nobody needs to answer. If nobody here asked for it, tell {sender}.
"""
NEWS = "Something has happened that your organisation follows: notification {number}, at {time}.\n"
WHERE = "\n{reference}, version {version}:\n{url}\n"
GONE = "\n{reference} was deleted.\n"


@dataclass(frozen=True)
class Mail:
    """``server`` is None where the operator has set none (any more); the rest is as for a rest-hook."""

    server: SmtpServer | None
    base_url: str
    schedule: Sequence[float]
    timeout: float

    def build(self, claim: Claim, event: ToldEvent | None) -> EmailMessage:
        """The mail of one event, under one Message-ID at every attempt, so that a mailbox may drop a second copy."""
        if event is None:
            raise HandoffError("A compact webhook is not sent by mail")
        text = NEWS.format(number=event.number, time=f"{event.created_at:%Y-%m-%d %H:%M:%S} UTC")
        if event.focus:
            reference = "/".join(event.focus)
            shape = GONE if event.deleted else WHERE
            text += shape.format(reference=reference, version=event.version, url=f"{self.base_url}/{reference}")
        key = message_id(claim)
        message = self.compose(claim.url, claim.webhook_id, key, f"Referral notification {event.number}", text)
        message["Date"] = format_datetime(event.created_at)
        if claim.payload == WITH_BUNDLE:
            bundle = build_notification(claim, event, self.base_url).encode()
            main, _, sub = FHIR_JSON.partition("/")
            message.add_attachment(bundle, maintype=main, subtype=sub, filename=f"{key}.json")
        return message

    async def send(self, claim: Claim, message: EmailMessage) -> Result:
        """Taken by the operator's server is delivered: what becomes of it after that no sender learns."""
        began = time.monotonic()
        try:
            code, text = await self.hand_over(claim.url, message, claim.timeout)
        except SmtpFailure as failure:
            spent = milliseconds_since(began)
            if failure.reply is None:
                return judge_silence(failure.diagnostics, claim.attempts, self.schedule, spent)
            return judge_mail(failure, claim.attempts, claim.age, self.schedule, spent)
        return Result("delivered", 0, milliseconds_since(began), code, None, text)

    async def greet(self, subscriber: Subscriber, token: str) -> None:
        """The initial message, which the server has to take."""
        sender = self.server.sender if self.server else ""
        text = GREETING.format(subscription=subscriber.id, sender=sender)
        message = self.compose(subscriber.url, subscriber.id, handshake_id(token), "Referral notifications begin", text)
        await self.hand_over(subscriber.url, message, subscriber.timeout)

    async def beat(self, subscriber: Subscriber, token: str) -> None:
        """Refused before: people need no mail that says that nothing happened."""
        raise HandoffError("There is no heartbeat by mail")

    def compose(self, url: str, webhook_id: str, key: str, subject: str, text: str) -> EmailMessage:
        """A mail to a ``mailto:`` address, which no program should answer (RFC 3834)."""
        message = EmailMessage()
        domain = self.server.own_name if self.server else "localhost"
        message["From"] = self.server.sender if self.server else ""
        message["To"] = url.removeprefix(MAILTO)
        message["Subject"] = f"Warm Handoff: {subject}"
        message["Message-ID"] = f"<{key}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        # As it stands, so that no address is broken in two where somebody reads the source.
        message.set_content(text + NOTICE.format(subscription=webhook_id), cte="7bit")
        return message

    async def hand_over(self, url: str, message: EmailMessage, wanted: int | None) -> tuple[int, str]:
        """(code, text) of the server's answer. Raises SmtpFailure."""
        if self.server is None:
            raise SmtpFailure("the operator has set no mail server (HANDOFF_SMTP_HOST)")
        return await self.server.send(message, url.removeprefix(MAILTO), find_deadline(self.timeout, wanted))

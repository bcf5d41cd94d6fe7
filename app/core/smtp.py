"""Hands mail to the operator's SMTP server, which is trusted; whoever it goes to is not."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

import aiosmtplib

from app.core.errors import HandoffError, Invalid
from app.core.settings import Settings

LONGEST_REPLY = 2_048
GOODBYE_SECONDS = 1.0
"""The mail has been taken by then: what becomes of the goodbye changes nothing."""


@dataclass(eq=False)
class SmtpFailure(HandoffError):
    """The mail was not taken.

    ``reply`` is the server's code, None where none came, and ``text`` what it said. ``refused`` says that this mail or
    its recipient is refused for good, so that another time will hardly help.
    """

    reply: int | None = None
    text: str = ""
    refused: bool = False

    status = 502
    code = "transient"


@dataclass(frozen=True)
class SmtpServer:
    """The operator's server. ``tls`` is starttls, tls or none; ``sender`` the address that mail is from."""

    host: str
    port: int
    tls: str
    sender: str
    own_name: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)

    async def send(self, message: EmailMessage, recipient: str, seconds: float) -> tuple[int, str]:
        """(code, text) by which the server took the mail. Raises SmtpFailure.

        A connection for each mail: they are few, and one that the server has closed meanwhile loses none.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            username=self.user,
            password=self.password,
            local_hostname=self.own_name,
            tls_context=self.context if self.tls != "none" else None,
            timeout=seconds,
        )
        try:
            async with asyncio.timeout(seconds):
                await client.connect()
                # To this one address, whatever the headers say.
                _, text = await client.send_message(message, sender=self.sender, recipients=[recipient])
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await asyncio.wait_for(client.quit(), GOODBYE_SECONDS)
        except TimeoutError as error:
            raise SmtpFailure(f"the mail was not taken within {seconds:g} s") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise fail(error.recipients[0], "the recipient was refused with", by_mail=True) from error
        except aiosmtplib.SMTPDataError as error:
            raise fail(error, "the mail was refused with", by_mail=True) from error
        except aiosmtplib.SMTPResponseException as error:
            # Greeting, login, sender: the operator's to put right, and no fault of this mail.
            raise fail(error, "the mail server answered") from error
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise SmtpFailure(f"the mail server: {type(error).__name__}") from error
        finally:
            client.close()
        return 250, text[:LONGEST_REPLY]


def fail(error: aiosmtplib.SMTPResponseException, what: str, *, by_mail: bool = False) -> SmtpFailure:
    """What the server answered; ``by_mail`` says that it was about this mail: for good where it is 5yz (RFC 5321)."""
    text = error.message[:LONGEST_REPLY]
    return SmtpFailure(f"{what} {error.code}", reply=error.code, text=text, refused=by_mail and error.code >= 500)


def find_smtp_server(settings: Settings) -> SmtpServer | None:
    """The server of the settings; None where mail is not sent. Raises Invalid for certificates that cannot be read."""
    if settings.smtp_host is None or settings.mail_sender is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.smtp_ca)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"HANDOFF_SMTP_CA cannot be read: {type(error).__name__}") from error
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    return SmtpServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_tls,
        settings.mail_sender,
        settings.mail_sender.rpartition("@")[2],
        settings.smtp_user,
        password,
        context,
    )

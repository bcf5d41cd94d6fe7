"""A real SMTP server (aiosmtpd) that answers as it is told and remembers what it took."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.waiting import until

TAKEN = "250 taken"
DROP = "drop"


@dataclass
class MailServer:
    """``answers`` to DATA and ``recipients`` to RCPT, each used once, then everything is taken; DROP hangs up."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    users: list[bytes] = field(default_factory=list)
    password: bytes = b"right"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's own name
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        answer = self.recipients.pop(0) if self.recipients else TAKEN
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else TAKEN
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        if answer == DROP and server.transport:
            server.transport.close()
        return answer

    def authenticate(self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        return AuthResult(success=data.password == self.password, handled=data.password == self.password)

    def read(self, place: int) -> EmailMessage:
        """A mail that came."""
        message = message_from_bytes(self.mails[place][2], policy=default)
        assert isinstance(message, EmailMessage)
        return message

    async def wait_for(self, count: int) -> None:
        async def have_come() -> bool:
            return len(self.mails) >= count

        await until(have_come)


@asynccontextmanager
async def open_mail_server(context: ssl.SSLContext | None = None, *, login: bool = False) -> AsyncIterator[MailServer]:
    """A server on a free port of this machine; with a context it offers STARTTLS and insists on it."""
    opened = MailServer()
    protocols: list[SMTP] = []

    def make() -> SMTP:
        protocols.append(
            SMTP(
                opened,
                hostname="mail.test",
                tls_context=context,
                require_starttls=context is not None,
                auth_required=login,
                authenticator=opened.authenticate if login else None,
                loop=asyncio.get_running_loop(),
            )
        )
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    try:
        yield opened
    finally:
        server.close()
        for each in protocols:
            if each.transport:
                each.transport.close()
        await server.wait_closed()


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """(the server's context, the file of the authority) of ``localhost``, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context, path

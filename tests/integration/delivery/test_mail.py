"""Notifications by e-mail, through a real SMTP server: what they say, and what becomes of those that are not taken."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from app.delivery import handshake
from app.fhir.validation import validate
from tests.api import Caller, Resource, World, open_world
from tests.integration.delivery.mail_server import DROP, MailServer, make_certificate, open_mail_server
from tests.integration.delivery.test_delivery import delivering, until_states
from tests.integration.delivery.test_subscriptions import LABEL, refer, subscription, until_status
from tests.integration.interactions.samples import reference

WITH_BUNDLE = "text/plain;attach=application/fhir+json"
TOPIC = "urn:warm-handoff:topic:referral-status-changed"
ADDRESS = "social.work+referrals@hospital.example"
MESSAGE_ID = re.compile(r"<evt_1_[0-9a-f]+@refer\.example>")


def by_mail(content: str = "id-only", payload: str = "text/plain", **channel: Any) -> Resource:
    return subscription(f"mailto:{ADDRESS}", content, TOPIC, type="email", payload=payload, **channel)


def settle(settings: Settings, server: MailServer, **more: Any) -> Settings:
    """Settings under which mail goes to this server, in clear unless told otherwise."""
    update = {
        "smtp_host": "localhost",
        "smtp_port": server.port,
        "smtp_tls": "none",
        "mail_sender": "referrals@refer.example",
        "webhook_retry_schedule": "0,0,0,0",
        **more,
    }
    return settings.model_copy(update=update)


@asynccontextmanager
async def served(settings: Settings, server: MailServer, **more: Any) -> AsyncIterator[tuple[World, Caller]]:
    """The application that sends to this server, and the hospital."""
    async with open_world(settle(settings, server, **more)) as world:
        yield world, await world.caller("hospital")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake is tried again, but nobody waits for it."""
    monkeypatch.setattr(handshake, "PAUSES", (0.0,))


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with open_mail_server() as opened:
        yield opened


async def attempts(world: World) -> list[tuple[int | None, str | None]]:
    rows = await world.pool.fetch("SELECT status, reason FROM attempt ORDER BY delivery_id, number")
    return [(row[0], row[1]) for row in rows]


async def test_a_greeting_then_where_to_read_what_happened(settings: Settings, server: MailServer) -> None:
    async with served(settings, server) as (world, hospital):
        created = await hospital.create(by_mail())
        assert created["status"] == "requested"
        made = await refer(hospital, note=[{"text": "CANARY"}])
        async with delivering(world.pool, world.settings):
            await server.wait_for(2)
            await until_states(world.pool, ["delivered"])
            await until_status(world, hospital, created, "active")
        assert await attempts(world) == [(250, None)]
    for sender, recipients, raw in server.mails:
        assert (sender, recipients) == ("referrals@refer.example", [ADDRESS])
        assert b"CANARY" not in raw
        assert "Nguyễn".encode() not in raw
    greeting, news = server.read(0), server.read(1)
    assert reference(created) in greeting.get_content()
    assert news["Subject"] == "Warm Handoff: Referral notification 1"
    assert MESSAGE_ID.fullmatch(news["Message-ID"])
    assert (news["To"], news["From"]) == (ADDRESS, "referrals@refer.example")
    assert news["Auto-Submitted"] == "auto-generated"
    assert news.get_content_type() == "text/plain"
    assert f"http://handoff.test/fhir/{reference(made)}\r\n".encode() in server.mails[1][2]


async def test_the_bundle_attached(settings: Settings, server: MailServer) -> None:
    async with served(settings, server) as (world, hospital):
        await hospital.create(by_mail(payload=WITH_BUNDLE.replace(";", "; ")))
        made = await refer(hospital, meta=LABEL)
        async with delivering(world.pool, world.settings):
            await server.wait_for(2)
    [attached] = server.read(1).iter_attachments()
    assert attached.get_content_type() == "application/fhir+json"
    bundle = json.loads(attached.get_content())
    assert validate(bundle) == []
    assert bundle["entry"][1]["fullUrl"] == f"http://handoff.test/fhir/{reference(made)}"
    assert "resource" not in bundle["entry"][1]


async def test_empty_tells_of_nothing(settings: Settings, server: MailServer) -> None:
    async with served(settings, server) as (world, hospital):
        await hospital.create(by_mail("empty", WITH_BUNDLE))
        made = await refer(hospital)
        async with delivering(world.pool, world.settings):
            await server.wait_for(2)
    body = server.read(1).get_body()
    assert body is not None
    [attached] = server.read(1).iter_attachments()
    assert made["id"] not in f"{body.get_content()} {attached.get_content()!r}"
    assert len(json.loads(attached.get_content())["entry"]) == 1


async def test_what_was_not_taken_is_sent_again_under_the_same_id(settings: Settings, server: MailServer) -> None:
    async with served(settings, server) as (world, hospital):
        await hospital.create(by_mail())
        await refer(hospital)
        server.answers = ["250 greeted", "451 try later", DROP]
        async with delivering(world.pool, world.settings):
            await server.wait_for(4)
            await until_states(world.pool, ["delivered"])
        told = await attempts(world)
    assert [status for status, _ in told] == [451, None, 250]
    assert told[0][1] == "the mail was refused with 451"
    [message_id] = {server.read(place)["Message-ID"] for place in (1, 2, 3)}
    assert MESSAGE_ID.fullmatch(message_id)
    assert len({server.mails[place][2] for place in (1, 2, 3)}) == 1


async def test_a_refused_recipient_ends_as_a_dead_letter_and_the_next_one_goes(
    settings: Settings, server: MailServer
) -> None:
    async with served(settings, server) as (world, hospital):
        await hospital.create(by_mail())
        made = await refer(hospital)
        answer = await hospital.update({**made, "status": "cancelled", "statusReason": {"text": "Moved"}})
        assert answer.status_code == 200, answer.text
        server.recipients = ["250 taken", *["550 no such user"] * 4]
        async with delivering(world.pool, world.settings):
            await until_states(world.pool, ["dead", "delivered"])
        assert (await attempts(world))[:4] == [(550, "the recipient was refused with 550")] * 4
        assert "no such user" in await world.pool.fetchval("SELECT answer FROM attempt LIMIT 1")


async def test_a_greeting_that_is_not_taken_is_an_error(settings: Settings, server: MailServer) -> None:
    server.recipients = ["550 no such user"]
    async with served(settings, server) as (world, hospital):
        created = await hospital.create(by_mail())
        async with delivering(world.pool, world.settings):
            failed = await until_status(world, hospital, created, "error")
    assert failed["error"] == "handshake: the recipient was refused with 550"


async def test_starttls_and_login(settings: Settings, tmp_path: Path) -> None:
    context, authority = make_certificate(tmp_path)
    secure = {"smtp_tls": "starttls", "smtp_ca": authority, "smtp_user": "us", "smtp_password": SecretStr("right")}
    async with open_mail_server(context, login=True) as server, served(settings, server, **secure) as (world, hospital):
        created = await hospital.create(by_mail())
        async with delivering(world.pool, world.settings):
            await until_status(world, hospital, created, "active")
        assert server.users == [b"us"]
        server.password = b"another"
        answered = await hospital.update({**await hospital.read(reference(created)), "status": "requested"})
        assert answered.status_code == 200
        async with delivering(world.pool, world.settings):
            failed = await until_status(world, hospital, created, "error")
        assert failed["error"] == "handshake: the mail server answered 535"
        assert len(server.mails) == 1


async def test_nothing_goes_in_clear_where_encryption_is_wanted(
    settings: Settings, server: MailServer, tmp_path: Path
) -> None:
    async with served(settings, server, smtp_tls="starttls") as (world, hospital):
        created = await hospital.create(by_mail())
        async with delivering(world.pool, world.settings):
            await until_status(world, hospital, created, "error")
    context, _ = make_certificate(tmp_path)
    async with (
        open_mail_server(context) as unknown,
        served(settings, unknown, smtp_tls="starttls") as (world, hospital),
    ):
        created = await hospital.create(by_mail())
        async with delivering(world.pool, world.settings):
            await until_status(world, hospital, created, "error")
        assert unknown.mails == []
    assert server.mails == []


async def test_what_is_refused(settings: Settings, server: MailServer) -> None:
    async with served(settings, server, mail_domains="hospital.example, ngo.example") as (world, hospital):
        for wanted, where in (
            (by_mail("full-resource"), "payload"),
            (by_mail(payload="text/html"), "payload"),
            (by_mail(payload="text/plain;attach=application/fhir+xml"), "payload"),
            (by_mail(payload="application/fhir+json"), "payload"),
            (by_mail(header=["Bcc: everyone@elsewhere.example"]), "header"),
            (by_mail(endpoint="https://ehr.example/hook"), "endpoint"),
            (by_mail(endpoint="mailto:a@elsewhere.example"), "endpoint"),
            (by_mail(endpoint="mailto:a@nothospital.example"), "endpoint"),
        ):
            answer = await hospital.send("POST", "/Subscription", wanted)
            assert answer.status_code == 422, answer.text
            assert answer.json()["issue"][0]["expression"] == [f"Subscription.channel.{where}"]
        assert await world.pool.fetchval("SELECT count(*) FROM webhook") == 0


async def test_without_a_server_there_is_no_such_channel(world: World) -> None:
    hospital = await world.caller("hospital")
    answer = await hospital.send("POST", "/Subscription", by_mail())
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["code"] == "not-supported"
    assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.type"]


async def test_a_server_that_says_nothing_is_given_up(settings: Settings) -> None:
    silence = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence.wait()
        writer.close()

    listening = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    silent = MailServer(listening.sockets[0].getsockname()[1])
    try:
        async with served(settings, silent, webhook_timeout=0.2) as (world, hospital):
            created = await hospital.create(by_mail())
            async with delivering(world.pool, world.settings):
                failed = await until_status(world, hospital, created, "error")
        assert failed["error"] == "handshake: the mail was not taken within 0.2 s"
    finally:
        silence.set()
        listening.close()

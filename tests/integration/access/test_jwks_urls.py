"""Clients whose keys are at a URL: fetched by the guarded client, kept as its headers say, at nobody else's bidding."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey

from app.access.clients import disable_client, register_client
from app.access.remote_documents import LONGEST, SHORTEST, RemoteDocuments, find_freshness
from app.core.outbound import OutboundFailure
from app.core.outbound_url import find_fault
from app.core.settings import Settings
from tests.integration.access.conftest import EC, OTHER_EC, REFUSAL, SCOPES, form, sign
from tests.integration.access.publisher import Publisher, open_publisher
from tests.integration.delivery.test_forgery import ADDRESSES, METADATA, PUBLIC, Wire, bracket
from tests.integration.delivery.test_forgery import wire as wire

PATH = "/jwks.json"


class Clock:
    """Seconds that only grow when told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with open_publisher() as opened:
        opened.documents[PATH] = key_set(EC)
        yield opened


@pytest.fixture
async def clock(server: httpx.AsyncClient, publisher: Publisher, pool: asyncpg.Pool) -> AsyncIterator[Clock]:
    """That of the server's documents, with a client ``remote`` whose keys the publisher has."""
    clock = Clock()
    app = find_app(server)
    app.state.documents = RemoteDocuments(
        Settings(webhook_allowed_networks="127.0.0.0/8", webhook_allow_http=True), clock
    )
    await register(pool, publisher.base + PATH)
    yield clock
    await app.state.documents.close()


def find_app(server: httpx.AsyncClient) -> FastAPI:
    app: FastAPI = server._transport.app  # type: ignore[attr-defined]
    return app


def key_set(*keys: ECKey) -> dict[str, object]:
    return {"keys": [each.as_dict(private=False) for each in keys]}


async def register(pool: asyncpg.Pool, url: str, client_id: str = "remote") -> None:
    async with pool.acquire() as connection:
        await register_client(
            connection,
            client_id=client_id,
            organization="hospital",
            role="referrer",
            scopes=SCOPES,
            server_makes_tasks=False,
            jwks_url=url,
        )


async def ask(server: httpx.AsyncClient, key: ECKey = EC, **header: object) -> int:
    assertion = sign(key, {"kid": key.kid, **header}, iss="remote", sub="remote")
    response = await server.post("/oauth/token", data=form(assertion))
    assert response.status_code == 200 or response.json() == REFUSAL
    return response.status_code


async def test_the_keys_are_fetched_once_and_kept(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock
) -> None:
    publisher.headers["Cache-Control"] = "public, max-age=600"
    assert await asyncio.gather(*(ask(server) for _ in range(10))) == [200] * 10
    clock.now += 599
    assert await ask(server) == 200
    assert publisher.count(PATH) == 1
    clock.now += 2
    assert await ask(server) == 200
    assert publisher.count(PATH) == 2


async def test_an_unknown_kid_fetches_once_more_and_not_again(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock
) -> None:
    assert await ask(server) == 200
    assert await ask(server, OTHER_EC) == 401
    assert publisher.count(PATH) == 1, "it was fetched just now"
    clock.now += 31
    publisher.documents[PATH] = key_set(EC, OTHER_EC)
    assert await asyncio.gather(*(ask(server, OTHER_EC) for _ in range(5))) == [200] * 5
    assert publisher.count(PATH) == 2
    strangers = [ECKey.generate_key("P-384", auto_kid=True) for _ in range(5)]
    assert [await ask(server, each) for each in strangers] == [401] * 5
    assert publisher.count(PATH) == 2, "whoever invents kids makes nobody ask"


async def test_a_key_that_was_taken_away_counts_no_longer_than_it_is_kept(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock
) -> None:
    assert await ask(server) == 200
    publisher.documents[PATH] = key_set(OTHER_EC)
    clock.now += 301
    assert [await ask(server), await ask(server, OTHER_EC)] == [401, 200]


async def test_when_the_url_is_down_nobody_gets_in(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock
) -> None:
    assert await ask(server) == 200
    clock.now += 301
    publisher.status = 500
    assert [await ask(server), await ask(server)] == [401, 401]
    assert publisher.count(PATH) == 2, "a failure rests for a while"
    publisher.status = 200
    clock.now += 6
    assert await ask(server) == 200


async def test_jku_is_the_registered_url_or_is_refused(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock
) -> None:
    publisher.documents["/evil.json"] = key_set(OTHER_EC)
    own = publisher.base + PATH
    assert await ask(server, jku=own) == 200
    for other in (f"{publisher.base}/evil.json", own + "?", own + "#", own + "/", own.replace("http", "https")):
        assert [await ask(server, key, jku=other) for key in (EC, OTHER_EC)] == [401, 401]
    assert publisher.count("/evil.json") == 0


async def test_who_is_disabled_makes_nobody_fetch(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection:
        await disable_client(connection, "remote")
    assert await ask(server) == 401
    assert publisher.connections == 0


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{",
        b'{"keys": {}}',
        b'{"keys": ["x", 1, null]}',
        json.dumps({"keys": [{"kid": EC.kid, "kty": "oct", "k": "AAAA"}]}).encode(),
        json.dumps({"keys": [{"kid": EC.kid, "kty": ["EC"]}]}).encode(),
        json.dumps({"keys": [EC.as_dict(private=False)] * 2}).encode(),
        json.dumps({**key_set(EC), "more": "x" * 40_000}).encode(),
        b"[" * 30_000,
    ],
    ids=range(10),
)
async def test_documents_that_are_no_key_sets(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock, document: bytes
) -> None:
    publisher.documents[PATH] = document
    assert await ask(server) == 401
    assert publisher.count(PATH) == 1


@pytest.mark.parametrize("status", [201, 204, 301, 302, 304, 307, 308, 401, 503])
async def test_nothing_but_200_counts_and_no_redirect_is_followed(
    server: httpx.AsyncClient, publisher: Publisher, clock: Clock, status: int
) -> None:
    publisher.status = status
    publisher.documents["/other"] = key_set(EC)
    publisher.headers["Location"] = f"{publisher.base}/other"
    assert await ask(server) == 401
    assert publisher.count("/other") == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache-control": "max-age=120"}, 120),
        ({"cache-control": "public , MAX-AGE=120, immutable"}, 120),
        ({"cache-control": "max-age=120", "age": "20"}, 100),
        ({"cache-control": 'max-age="90"'}, 90),
        ({"cache-control": "max-age=1"}, SHORTEST),
        ({"cache-control": "max-age=99999999999999999999"}, LONGEST),
        ({"cache-control": "no-store"}, SHORTEST),
        ({"cache-control": "no-cache, max-age=600"}, SHORTEST),
        ({"cache-control": "max-age=x"}, 300),
        ({"date": "Mon, 05 Jan 2026 02:00:00 GMT", "expires": "Mon, 05 Jan 2026 02:10:00 GMT"}, 600),
        ({"date": "Mon, 05 Jan 2026 02:00:00 GMT", "expires": "0"}, SHORTEST),
        ({"expires": "Mon, 05 Jan 2026 02:10:00 GMT"}, SHORTEST),
    ],
)
def test_how_long_a_document_counts(headers: dict[str, str], seconds: float) -> None:
    assert find_freshness(headers) == seconds


async def fetch(url: str) -> dict[str, object]:
    """As the token endpoint fetches, with nothing allowed but what is public."""
    documents = RemoteDocuments(Settings(webhook_allow_http=True))
    try:
        return await documents.read(url)
    finally:
        await documents.close()


async def test_the_listener_counts_what_may_be_fetched(wire: Wire) -> None:
    """The positive control of the next test."""
    wire.answer = b'HTTP/1.1 200 X\r\ncontent-length: 11\r\n\r\n{"keys":[]}'
    wire.rebind("keys.example", [PUBLIC])
    for host in (PUBLIC, "keys.example"):
        assert await fetch(f"http://{host}/jwks") == {"keys": []}
    assert (wire.connections, wire.reached) == (2, [PUBLIC, PUBLIC])


async def test_sixty_addresses_are_not_fetched_from(wire: Wire) -> None:
    wire.answer = b'HTTP/1.1 200 X\r\ncontent-length: 11\r\n\r\n{"keys":[]}'
    wire.rebind("keys.example", *([each] for each in ADDRESSES))
    for address in ADDRESSES:
        for host in (bracket(address), "keys.example"):
            with pytest.raises(OutboundFailure, match=r"not allowed|does not resolve"):
                await fetch(f"http://{host}/jwks")
    assert wire.looked_up["keys.example"] == len(ADDRESSES) >= 60
    assert (wire.connections, wire.reached) == (0, [])


async def test_a_redirect_leads_nowhere(wire: Wire) -> None:
    wire.answer = f"HTTP/1.1 302 X\r\nlocation: http://{METADATA}/\r\ncontent-length: 0\r\n\r\n".encode()
    with pytest.raises(OutboundFailure, match="answered 302"):
        await fetch(f"http://{PUBLIC}/jwks")
    assert wire.reached == [PUBLIC]


def test_a_url_is_looked_at_before_it_is_kept() -> None:
    settings = Settings()
    assert find_fault("https://ehr.example/jwks", settings, "It") is None
    for url in ("http://ehr.example/jwks", "ftp://ehr.example", "https://127.0.0.1/", "https://[fe80::1]/", "https://"):
        assert find_fault(url, settings, "It")

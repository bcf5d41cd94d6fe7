"""The token endpoint: who gets a token, and every way of getting one that must fail."""

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.access.assertions import use_assertion
from app.access.clients import disable_client
from app.access.rate_limit import TokenLimits, name_network
from app.access.tokens import TokenVerifier
from app.core.caller import Caller
from app.core.database import open_pool
from app.core.errors import Unauthenticated
from app.core.settings import Settings
from app.routers import oauth
from tests.integration.access.conftest import (
    EC,
    PUBLIC_URL,
    REFUSAL,
    SCOPES,
    SECRET_KEY,
    TOKEN_URL,
    add_client,
    form,
    sign,
    sign_rsa,
)


async def test_es384_gets_a_token_that_the_server_believes(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    response = await server.post("/oauth/token", data=form(sign()))
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("bearer", 300, SCOPES)
    verifier = TokenVerifier(SECRET_KEY, pool, PUBLIC_URL)
    caller = await verifier.authenticate(f"Bearer {answer['access_token']}")
    permissions = (("Task", frozenset("cruds")), ("Patient", frozenset("rs")))
    assert caller == Caller("ehr", "hospital", "referrer", permissions)


async def test_rs384_gets_a_token_for_less_than_it_has(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    response = await server.post("/oauth/token", data=form(sign_rsa(), scope="system/Task.r"))
    answer = response.json()
    assert (response.status_code, answer["scope"]) == (200, "system/Task.r")
    caller = await TokenVerifier(SECRET_KEY, pool, PUBLIC_URL).authenticate(f"Bearer {answer['access_token']}")
    assert caller == Caller("ngo", "hospital", "provider", (("Task", frozenset("r")),))


ACCEPTED: dict[str, Callable[[], dict[str, str]]] = {
    "aud as an array of it alone": lambda: form(sign(aud=[TOKEN_URL])),
    "no typ": lambda: form(sign(header={"typ": None})),
    "no iat": lambda: form(sign(iat=None)),
    "nbf now": lambda: form(sign(nbf=int(time.time()))),
    "5 minutes ahead": lambda: form(sign(exp=int(time.time()) + 300)),
    "a clock that is slow": lambda: form(sign(exp=int(time.time()) - 20, iat=int(time.time()) - 200)),
    "its own client_id": lambda: form(sign(), client_id="ehr"),
    "a parameter that nobody knows": lambda: form(sign(), resource="x"),
    "an empty scope": lambda: form(sign(), scope=""),
    "the longest jti": lambda: form(sign(jti=uuid4().hex + "j" * 168)),
}


@pytest.mark.parametrize("build", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_accepts(server: httpx.AsyncClient, build: Callable[[], dict[str, str]]) -> None:
    assert (await server.post("/oauth/token", data=build())).status_code == 200


async def test_of_20_at_once_exactly_one_gets_a_token(server: httpx.AsyncClient) -> None:
    request = form(sign())
    responses = await asyncio.gather(*(server.post("/oauth/token", data=request) for _ in range(20)))
    assert sorted(response.status_code for response in responses) == [200] + [401] * 19
    assert all(response.json() == REFUSAL for response in responses if response.status_code == 401)


async def test_a_jti_counts_for_its_issuer(server: httpx.AsyncClient) -> None:
    assert (await server.post("/oauth/token", data=form(sign(jti="same")))).status_code == 200
    assert (await server.post("/oauth/token", data=form(sign_rsa(jti="same")))).status_code == 200
    assert (await server.post("/oauth/token", data=form(sign(jti="same")))).status_code == 401


async def test_expired_assertions_are_cleared_away(pool: asyncpg.Pool) -> None:
    await pool.execute(
        """INSERT INTO used_assertion SELECT 'ehr', n::text, now() - interval '1 hour' FROM generate_series(1, 30) n"""
    )
    assert await use_assertion(pool, "ehr", "fresh", time.time() + 60)
    assert await pool.fetchval("SELECT count(*) FROM used_assertion") == 11
    assert await use_assertion(pool, "ehr", "fresher", time.time() + 60)
    assert await pool.fetchval("SELECT array_agg(jti ORDER BY jti) FROM used_assertion") == ["fresh", "fresher"]
    assert not await use_assertion(pool, "ehr", "fresh", time.time() + 60)


MALFORMED: dict[str, tuple[dict[str, str | list[str]], str]] = {
    "nothing": ({}, "invalid_request"),
    "no grant_type": ({"client_assertion": "x"}, "invalid_request"),
    "another grant_type": ({"grant_type": "password"}, "unsupported_grant_type"),
    "a refresh": ({"grant_type": "refresh_token", "refresh_token": "x"}, "unsupported_grant_type"),
    "no assertion type": ({"grant_type": "client_credentials", "client_assertion": "x"}, "invalid_request"),
    "no assertion": ({**form("")}, "invalid_request"),
    "another assertion type": ({**form("x"), "client_assertion_type": "saml2"}, "invalid_request"),
    "a secret too": ({**form("x"), "client_secret": "x"}, "invalid_request"),
    "a parameter twice": ({**form("x"), "scope": ["system/Task.r", "system/Task.r"]}, "invalid_request"),
    "too many parameters": ({f"p{n}": "1" for n in range(60)}, "invalid_request"),
    "a body too large": ({**form("x" * 70_000)}, "invalid_request"),
}


@pytest.mark.parametrize(("body", "error"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_requests(server: httpx.AsyncClient, body: dict[str, str | list[str]], error: str) -> None:
    response = await server.post("/oauth/token", data=body)
    assert (response.status_code, response.json()["error"]) in ((400, error),)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{}", {"content-type": "application/json"}),
        (b"a=1", {}),
        (b"a=%ff", {"content-type": "application/x-www-form-urlencoded"}),
        (b"a=\xff", {"content-type": "application/x-www-form-urlencoded"}),
        (b"", {"content-type": "application/x-www-form-urlencoded", "authorization": "Basic ZWhyOng="}),
    ],
)
async def test_other_bodies_and_headers(server: httpx.AsyncClient, content: bytes, headers: dict[str, str]) -> None:
    response = await server.post("/oauth/token", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "scope",
    ["system/Task.cruds system/Patient.u", "system/*.r", "system/Task.rs?colour=red", "system/Task.read", '"é'],
)
async def test_scopes_that_are_not_given(server: httpx.AsyncClient, scope: str) -> None:
    response = await server.post("/oauth/token", data=form(sign(), scope=scope))
    answer = response.json()
    assert (response.status_code, answer["error"]) == (400, "invalid_scope")
    assert all(" " <= each <= "~" and each not in '"\\' for each in answer["error_description"])


async def test_a_disabled_client_gets_nothing_and_its_token_dies(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    seconds = 0.0
    verifier = TokenVerifier(SECRET_KEY, pool, PUBLIC_URL, monotonic=lambda: seconds)
    token = (await server.post("/oauth/token", data=form(sign()))).json()["access_token"]
    assert await verifier.authenticate(f"Bearer {token}")
    async with pool.acquire() as connection:
        await disable_client(connection, "ehr")
    assert (await server.post("/oauth/token", data=form(sign()))).status_code == 401
    seconds += 5
    with pytest.raises(Unauthenticated):
        await verifier.authenticate(f"Bearer {token}")


async def test_without_a_database_it_says_so(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    await pool.close()
    response = await server.post("/oauth/token", data=form(sign()))
    assert (response.status_code, response.json()) == (503, {"error": "temporarily_unavailable"})


async def test_a_key_that_is_registered_by_two_clients_says_which_by_iss(
    server: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    """The key is found within the client that the assertion names, so that a shared key opens no other door."""
    await add_client(pool, "twin", EC, "admin")
    response = await server.post("/oauth/token", data=form(sign()))
    caller = await TokenVerifier(SECRET_KEY, pool, PUBLIC_URL).authenticate(f"Bearer {response.json()['access_token']}")
    assert (caller.client_id, caller.role) == ("ehr", "referrer")


async def test_smart_configuration(server: httpx.AsyncClient) -> None:
    response = await server.get("/fhir/.well-known/smart-configuration")
    answer = response.json()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert answer["token_endpoint"] == TOKEN_URL
    assert answer["grant_types_supported"] == ["client_credentials"]
    assert answer["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert answer["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert "system/Task.cruds" in answer["scopes_supported"]
    assert answer["capabilities"] == ["client-confidential-asymmetric", "permission-v2"]


async def test_an_address_that_asks_too_often_waits(server: httpx.AsyncClient) -> None:
    app = server._transport.app  # type: ignore[attr-defined]
    app.state.token_limits = TokenLimits(Settings(token_address_rate_limit=0.3))
    statuses = [(await server.post("/oauth/token", data=form("please"))).status_code for _ in range(3)]
    assert statuses == [401] * 3
    response = await server.post("/oauth/token", data=form(sign()))
    assert (response.status_code, response.json()) == (429, {"error": "temporarily_unavailable"})
    assert 1 <= int(response.headers["retry-after"]) <= 4


async def test_strangers_use_up_nothing_of_a_client(server: httpx.AsyncClient) -> None:
    app = server._transport.app  # type: ignore[attr-defined]
    app.state.token_limits = TokenLimits(Settings(token_rate_limit=0.2))
    for _ in range(5):
        assert (await server.post("/oauth/token", data=form(sign(jti="")))).status_code == 401
    statuses = [(await server.post("/oauth/token", data=form(sign()))).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await server.post("/oauth/token", data=form(sign_rsa()))).status_code == 200


def test_an_ipv6_network_is_one_address() -> None:
    assert name_network("2001:db8:1:2::1") == name_network("2001:db8:1:2:ffff::9") != name_network("2001:db8:1:3::1")
    assert (name_network("192.0.2.1"), name_network(None)) == ("192.0.2.1", "unknown")


async def test_two_replicas_take_an_assertion_once(server: httpx.AsyncClient, database_url: str) -> None:
    """At once, each with a pool and a process memory of its own: the table decides."""
    app = server._transport.app  # type: ignore[attr-defined]
    other = FastAPI()
    other.include_router(oauth.router)
    for name, value in app.state._state.items():
        setattr(other.state, name, value)
    other.state.pool = await open_pool(database_url, size=5, application_name="replica", statement_timeout=30)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url=PUBLIC_URL) as replica:
        for _ in range(10):
            request = form(sign())
            answers = await asyncio.gather(*(each.post("/oauth/token", data=request) for each in (server, replica) * 3))
            assert sorted(each.status_code for each in answers) == [200] + [401] * 5
    await other.state.pool.close()

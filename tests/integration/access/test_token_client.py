"""The client's side: finds the token endpoint, signs, and tells a person why it failed."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from app.access.clients import generate_key
from app.access.token_client import fetch_token
from app.access.tokens import TokenVerifier
from app.core.errors import HandoffError
from tests.integration.access.conftest import EC, PUBLIC_URL, RSA, SCOPES, SECRET_KEY, add_client


class Bridge(httpx.BaseTransport):
    """Carries a synchronous client's requests, from its thread, to a server in the event loop."""

    def __init__(self, server: httpx.AsyncClient) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = self.server.request(request.method, request.url, content=request.read(), headers=request.headers)
        response = asyncio.run_coroutine_threadsafe(sent, self.loop).result(10)
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)


async def fetch(server: httpx.AsyncClient, *arguments: str) -> dict[str, Any]:
    return await asyncio.to_thread(fetch_token, *arguments, transport=Bridge(server))


def private(key: ECKey | RSAKey) -> str:
    return json.dumps(key.as_dict(private=True))


@pytest.mark.parametrize("address", [PUBLIC_URL, f"{PUBLIC_URL}/", f"{PUBLIC_URL}/fhir", f"{PUBLIC_URL}/fhir/"])
async def test_gets_a_token(server: httpx.AsyncClient, address: str) -> None:
    answer = await fetch(server, address, "ehr", private(EC))
    assert (answer["scope"], answer["expires_in"]) == (SCOPES, 300)


async def test_gets_a_token_by_rsa_for_one_scope(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    answer = await fetch(server, PUBLIC_URL, "ngo", private(RSA), "system/Task.r")
    caller = await TokenVerifier(SECRET_KEY, pool, PUBLIC_URL).authenticate(f"Bearer {answer['access_token']}")
    assert (caller.client_id, caller.permissions) == ("ngo", (("Task", frozenset("r")),))


async def test_a_generated_key_works(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    key, public = generate_key()
    await add_client(pool, "new", ECKey.import_key(json.loads(public)))
    assert (await fetch(server, PUBLIC_URL, "new", key))["scope"] == SCOPES


@pytest.mark.parametrize(
    ("client_id", "key", "scope", "reason"),
    [
        ("nobody", private(EC), "", "answered 401 invalid_client"),
        ("ehr", private(ECKey.generate_key("P-384")), "", "answered 401 invalid_client"),
        ("ehr", private(EC), "system/*.cruds", "answered 400 invalid_scope"),
        ("ehr", json.dumps(EC.as_dict(private=False)), "", "is a public one"),
        ("ehr", "no key", "", "is not JSON"),
        ("ehr", "[]", "", "is not one JWK"),
        ("ehr", private(ECKey.generate_key("P-256")), "", "P-384 only"),
    ],
)
async def test_says_why(server: httpx.AsyncClient, client_id: str, key: str, scope: str, reason: str) -> None:
    with pytest.raises(HandoffError, match=reason):
        await fetch(server, PUBLIC_URL, client_id, key, scope)


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("transport", "reason"),
    [
        (httpx.MockTransport(refuse_connection), "cannot be reached: ConnectError"),
        (httpx.MockTransport(lambda _: httpx.Response(404, text="<html>")), "answered 404, and no JSON"),
        (httpx.MockTransport(lambda _: httpx.Response(200, json=[])), "no JSON object"),
        (httpx.MockTransport(lambda _: httpx.Response(200, json={})), "names no token_endpoint"),
        (httpx.MockTransport(lambda _: httpx.Response(200, json={"token_endpoint": "file:///etc"})), "names no"),
        (
            httpx.MockTransport(lambda _: httpx.Response(200, json={"token_endpoint": "http://x.test/t"})),
            "without an access_token",
        ),
    ],
)
def test_says_what_is_wrong_with_the_server(transport: httpx.MockTransport, reason: str) -> None:
    with pytest.raises(HandoffError, match=reason):
        fetch_token(PUBLIC_URL, "ehr", private(EC), transport=transport)


@pytest.mark.parametrize("address", ["nowhere", "", "http://\x00", "ftp://x.test", "http://[::1"])
def test_says_that_an_address_is_none(address: str) -> None:
    with pytest.raises(HandoffError):
        fetch_token(address, "ehr", private(EC))

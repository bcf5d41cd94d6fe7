"""A server of nothing but the token endpoint, with clients of every kind of key."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey

from app.access.clients import disable_client, register_client
from app.access.grants import ASSERTION_TYPE
from app.access.rate_limit import TokenLimits
from app.access.remote_documents import RemoteDocuments
from app.access.tokens import TokenVerifier
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.routers import oauth

PUBLIC_URL = "http://handoff.test"
TOKEN_URL = f"{PUBLIC_URL}/oauth/token"
SECRET_KEY = b"1" * 32

EC = ECKey.generate_key("P-384", auto_kid=True)
OTHER_EC = ECKey.generate_key("P-384", auto_kid=True)
RSA = RSAKey.generate_key(2048, auto_kid=True)
SCOPES = "system/Task.cruds system/Patient.rs"

REFUSAL = {"error": "invalid_client", "error_description": "Client authentication failed"}

ANY_HEADER = jws.JWSRegistry(
    algorithms=["RS256", "RS384", "PS384", "ES256", "ES384", "HS256", "HS384", "none"], strict_check_header=False
)


def sign(key: Key = EC, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """An assertion as it should be, but for what is given; None leaves a part out."""
    now = int(time.time())
    full_header = {"alg": "ES384", "kid": EC.kid, "typ": "JWT", **(header or {})}
    full = {
        "iss": "ehr",
        "sub": "ehr",
        "aud": TOKEN_URL,
        "exp": now + 240,
        "iat": now,
        "jti": uuid4().hex,
        **claims,
    }
    kept_header = {name: value for name, value in full_header.items() if value is not None}
    kept = {name: value for name, value in full.items() if value is not None}
    return jws.serialize_compact(kept_header, json.dumps(kept), key, registry=ANY_HEADER)


def sign_rsa(**claims: Any) -> str:
    """An assertion of the client with an RSA key."""
    return sign(RSA, {"alg": "RS384", "kid": RSA.kid}, **{"iss": "ngo", "sub": "ngo", **claims})


def form(assertion: str, **fields: str) -> dict[str, str]:
    """A token request."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **fields,
    }


async def add_client(pool: asyncpg.Pool, client_id: str, key: RSAKey | ECKey, role: str = "referrer") -> None:
    async with pool.acquire() as connection:
        await register_client(
            connection,
            client_id=client_id,
            organization="hospital",
            role=role,
            scopes=SCOPES,
            server_makes_tasks=False,
            public_jwk=key.as_dict(private=False),
        )


@pytest.fixture
async def server(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the token endpoint, where ehr (EC), ngo (RSA) and gone (EC, disabled) are registered."""
    await add_client(pool, "ehr", EC)
    await add_client(pool, "ngo", RSA, "provider")
    await add_client(pool, "gone", EC)
    async with pool.acquire() as connection:
        await disable_client(connection, "gone")
    settings = Settings(public_url=PUBLIC_URL)
    app = FastAPI()
    app.include_router(oauth.router)
    app.state.pool = pool
    app.state.settings = settings
    app.state.public_url = PUBLIC_URL
    app.state.hub = Hub(settings, pool, f"{PUBLIC_URL}/fhir")
    app.state.secret_key = SECRET_KEY
    app.state.token_limits = TokenLimits(settings)
    app.state.documents = RemoteDocuments(settings)
    app.state.verifier = TokenVerifier(SECRET_KEY, pool, PUBLIC_URL)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL) as client:
        yield client

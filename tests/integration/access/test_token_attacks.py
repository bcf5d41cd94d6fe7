"""Every way of getting a token that must fail, and fail like the others."""

import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from joserfc.jwk import ECKey, OctKey
from joserfc.util import urlsafe_b64encode

from tests.integration.access.conftest import (
    EC,
    OTHER_EC,
    PUBLIC_URL,
    REFUSAL,
    RSA,
    TOKEN_URL,
    form,
    sign,
)


def now(offset: float = 0) -> int:
    return int(time.time() + offset)


def pack(header: Any, claims: Any, signature: str = "AAAA") -> str:
    """Parts put together without a signature that holds."""
    parts = (text if isinstance(text, str) else json.dumps(text) for text in (header, claims))
    return ".".join([*(urlsafe_b64encode(text.encode()).decode() for text in parts), signature])


def swap_signature() -> str:
    first, second = sign(), sign()
    return f"{first.rpartition('.')[0]}.{second.rpartition('.')[2]}"


def sign_by_pem() -> str:
    """By hand: joserfc takes no public key for a secret, not even to attack."""
    content = pack({**HEADER, "alg": "HS384"}, {**CLAIMS, "exp": now(240)}, "").rstrip(".")
    digest = hmac.digest(EC.as_pem(private=False), content.encode(), "sha384")
    return f"{content}.{urlsafe_b64encode(digest).decode()}"


PUBLIC_JWK = json.dumps(EC.as_dict(private=False))
CLAIMS = {"iss": "ehr", "sub": "ehr", "aud": TOKEN_URL, "exp": 4_000_000_000, "jti": "packed"}
HEADER = {"alg": "ES384", "kid": EC.kid, "typ": "JWT"}
STRANGER = ECKey.generate_key("P-384", parameters={"kid": str(EC.kid)})

ATTACKS: dict[str, Callable[[], dict[str, str]]] = {
    "alg none, unsigned": lambda: form(pack({**HEADER, "alg": "none"}, CLAIMS, "")),
    "alg None": lambda: form(pack({**HEADER, "alg": "None"}, CLAIMS, "")),
    "alg null": lambda: form(pack({**HEADER, "alg": None}, CLAIMS, "")),
    "HS256 by the public key as text": lambda: form(sign(OctKey.import_key(PUBLIC_JWK), {"alg": "HS256"})),
    "HS384 by the public key as PEM": lambda: form(sign_by_pem()),
    "ES256": lambda: form(sign(ECKey.generate_key("P-256"), {"alg": "ES256"})),
    "RS256 by the right key": lambda: form(sign(RSA, {"alg": "RS256", "kid": RSA.kid}, iss="ngo", sub="ngo")),
    "PS384 by the right key": lambda: form(sign(RSA, {"alg": "PS384", "kid": RSA.kid}, iss="ngo", sub="ngo")),
    "alg of another type than the key": lambda: form(sign(RSA, {"alg": "RS384"})),
    "no alg": lambda: form(pack({"kid": EC.kid, "typ": "JWT"}, CLAIMS)),
    "a stranger's key under a known kid": lambda: form(sign(STRANGER)),
    "a key of nobody": lambda: form(sign(OTHER_EC, {"kid": OTHER_EC.kid})),
    "another client's key": lambda: form(sign(RSA, {"alg": "RS384", "kid": RSA.kid})),
    "another client's name": lambda: form(sign(iss="ngo", sub="ngo")),
    "no kid": lambda: form(sign(header={"kid": None})),
    "kid that is a path": lambda: form(sign(header={"kid": "../../dev/null"})),
    "kid that is a statement": lambda: form(sign(header={"kid": "' OR 1=1 --"})),
    "kid that is a list": lambda: form(pack({**HEADER, "kid": [EC.kid]}, CLAIMS)),
    "its own key in the header": lambda: form(sign(STRANGER, {"jwk": STRANGER.as_dict(private=False)})),
    "the right key in the header": lambda: form(sign(header={"jwk": EC.as_dict(private=False)})),
    "jku": lambda: form(sign(header={"jku": "https://evil.example/keys"})),
    "jku of ours": lambda: form(sign(header={"jku": f"{PUBLIC_URL}/jwks"})),
    "x5u": lambda: form(sign(header={"x5u": "https://evil.example/cert"})),
    "crit": lambda: form(pack({**HEADER, "crit": ["exp"], "exp": 1}, CLAIMS)),
    "crit, b64": lambda: form(pack({**HEADER, "crit": ["b64"], "b64": False}, CLAIMS)),
    "b64 alone": lambda: form(sign(header={"b64": True})),
    "crit that is empty": lambda: form(pack({**HEADER, "crit": []}, CLAIMS)),
    "typ of an access token": lambda: form(sign(header={"typ": "at+jwt"})),
    "iss of nobody": lambda: form(sign(iss="nobody", sub="nobody")),
    "no iss": lambda: form(sign(iss=None)),
    "no sub": lambda: form(sign(sub=None)),
    "sub of another": lambda: form(sign(sub="ngo")),
    "iss that is a list": lambda: form(sign(iss=["ehr"], sub=["ehr"])),
    "iss with a NUL": lambda: form(sign(iss="ehr\x00", sub="ehr\x00")),
    "iss in capitals": lambda: form(sign(iss="EHR", sub="EHR")),
    "no aud": lambda: form(sign(aud=None)),
    "aud of the server": lambda: form(sign(aud=PUBLIC_URL)),
    "aud of the FHIR base": lambda: form(sign(aud=f"{PUBLIC_URL}/fhir")),
    "aud with a slash more": lambda: form(sign(aud=f"{TOKEN_URL}/")),
    "aud of another server": lambda: form(sign(aud="https://evil.example/oauth/token")),
    "aud of two servers": lambda: form(sign(aud=[TOKEN_URL, "https://evil.example/oauth/token"])),
    "aud twice the same": lambda: form(sign(aud=[TOKEN_URL, TOKEN_URL])),
    "aud that is empty": lambda: form(sign(aud=[])),
    "aud that is an object": lambda: form(sign(aud={"a": TOKEN_URL})),
    "no exp": lambda: form(sign(exp=None)),
    "expired": lambda: form(sign(exp=now(-60), iat=now(-120))),
    "an hour ahead": lambda: form(sign(exp=now(3600))),
    "six minutes ahead": lambda: form(sign(exp=now(360))),
    "exp in milliseconds": lambda: form(sign(exp=now(240) * 1000)),
    "exp as text": lambda: form(sign(exp=str(now(240)))),
    "exp true": lambda: form(sign(exp=True)),
    "exp NaN": lambda: form(sign(exp=float("nan"))),
    "exp infinite": lambda: form(sign(exp=float("inf"))),
    "exp of 1,000 digits": lambda: form(sign(exp=10**1000)),
    "exp of 5,000 digits": lambda: form(pack(HEADER, json.dumps(CLAIMS).replace("4000000000", "9" * 5_000))),
    "exp minus infinity": lambda: form(sign(exp=float("-inf"))),
    "issued tomorrow": lambda: form(sign(iat=now(86_400))),
    "issued after its end": lambda: form(sign(iat=now(20), exp=now(10))),
    "iat as text": lambda: form(sign(iat="yesterday")),
    "not yet": lambda: form(sign(nbf=now(120))),
    "no jti": lambda: form(sign(jti=None)),
    "jti that is empty": lambda: form(sign(jti="")),
    "jti that is a number": lambda: form(sign(jti=1)),
    "jti too long": lambda: form(sign(jti="j" * 201)),
    "jti with a NUL": lambda: form(sign(jti="a\x00b")),
    "jti with half a surrogate": lambda: form(sign(jti="\ud800")),
    "a client that is disabled": lambda: form(sign(iss="gone", sub="gone")),
    "client_id of another": lambda: form(sign(), client_id="ngo"),
    "the signature of another assertion": lambda: form(swap_signature()),
    "no signature": lambda: form(sign().rpartition(".")[0] + "."),
    "a signature of zeros": lambda: form(pack(HEADER, CLAIMS, urlsafe_b64encode(bytes(96)).decode())),
    "a signature cut short": lambda: form(sign()[:-4]),
    "claims changed": lambda: form(sign().replace(".", ".AAAA", 1)),
    "claims that are a list": lambda: form(pack(HEADER, [CLAIMS])),
    "claims that are nested deep": lambda: form(pack(HEADER, "[" * 4_000)),
    "a header that is a list": lambda: form(pack(["alg"], CLAIMS)),
    "a header that is text": lambda: form(pack('"alg"', CLAIMS)),
    "two parts": lambda: form("e30.e30"),
    "four parts": lambda: form(sign() + ".AAAA"),
    "five parts": lambda: form("e30.e30.e30.e30.e30"),
    "not a JWT": lambda: form("please"),
    "not ASCII": lambda: form("é.è.ê"),
    "too long": lambda: form(sign(note="n" * 9_000)),
    "JSON instead of compact": lambda: form(json.dumps({"payload": "e30", "signatures": []})),
}


def test_there_are_more_than_forty() -> None:
    assert len(ATTACKS) > 40


@pytest.mark.parametrize("build", ATTACKS.values(), ids=ATTACKS.keys())
async def test_every_failure_looks_the_same(server: httpx.AsyncClient, build: Callable[[], dict[str, str]]) -> None:
    response = await server.post("/oauth/token", data=build())
    assert (response.status_code, response.json()) == (401, REFUSAL)
    assert response.headers["cache-control"] == "no-store"


async def test_refusals_leave_no_trace(server: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    """Whoever has no key cannot use up a jti for the one who has."""
    await server.post("/oauth/token", data=form(sign(STRANGER, jti="mine")))
    assert await pool.fetchval("SELECT count(*) FROM used_assertion") == 0
    assert (await server.post("/oauth/token", data=form(sign(jti="mine")))).status_code == 200


async def test_the_log_says_why_without_the_assertion(
    server: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="handoff.access")
    assertion = sign(aud="https://evil.example", jti="canary")
    await server.post("/oauth/token", data=form(assertion))
    assert "Assertion of client ehr refused: aud is not the token URL alone" in caplog.text
    assert "canary" not in caplog.text
    assert assertion[:40] not in caplog.text

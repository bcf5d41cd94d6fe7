"""Checks the assertion by which a client shows at the token endpoint who it is (RFC 7523, SMART Backend Services)."""

import json
import logging
import math
import time
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
from joserfc import jws

from app.access.client_keys import load_key
from app.access.clients import CLIENT_ID, RegisteredClient, load_client, reaching_database
from app.access.oauth_errors import InvalidClient
from app.access.remote_documents import RemoteDocuments, find_keys
from app.audit.access import note_claim
from app.core.database import Connection
from app.core.errors import Invalid
from app.core.outbound import OutboundFailure

logger = logging.getLogger("handoff.access")

MAX_ASSERTION = 8_192
MAX_JTI = 200
MAX_AHEAD = 300
LEEWAY = 30
PURGED_AT_ONCE = 20
HEADER = frozenset({"alg", "kid", "typ", "jku"})
"""All that a header may hold. Others (crit, b64, jwk, x5c, x5u) would point at keys or rules of the sender's choice; a
jku is the registered URL, or is refused."""
RETENTION = 2 * LEEWAY + MAX_AHEAD
"""Seconds after its end for which the slowest of the replicas' clocks might still accept an assertion."""


async def check_assertion(
    database: asyncpg.Pool | Connection,
    documents: RemoteDocuments,
    assertion: str,
    token_url: str,
    *,
    retention: float = RETENTION,
) -> RegisteredClient:
    """The client that signed an assertion, which from now on is used up (RFC 7523, 3; SMART Backend Services 2.2).

    ``documents`` are where the keys of clients with a JWKS URL come from; a ``jti`` is remembered for ``retention``
    seconds after the assertion's end.

    Raises InvalidClient, the same for every reason; Unavailable where the database cannot be asked.
    """
    client = None
    try:
        header, claims, signed = read_parts(assertion)
        client_id = check_subject(claims)
        note_claim(client_id)
        with reaching_database():
            client = await load_client(database, client_id)
        if client is None:
            raise InvalidClient("the client is not registered")
        if client.disabled_at is not None:
            raise InvalidClient("the client is disabled")
        check_header(header, client)
        check_signature(signed, header, await list_keys(documents, client, header["kid"]))
        expiry = check_claims(claims, token_url, time.time())
        with reaching_database():
            if not await use_assertion(database, client_id, claims["jti"], expiry + retention):
                raise InvalidClient("the jti was used before")
    except InvalidClient as refusal:
        # A name that is not registered is whatever somebody has typed.
        logger.info("Assertion of client %s refused: %s", client.id if client else "(unknown)", refusal.reason)
        raise
    return client


def read_parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], jws.CompactSignature]:
    """Header and claims, not to be believed yet."""
    if len(assertion) > MAX_ASSERTION:
        raise InvalidClient("it is too long")
    try:
        signed = jws.extract_compact(assertion.encode())
        header, claims = signed.headers(), json.loads(signed.payload)
    except Exception as error:
        # Whatever a hostile text trips, be it a RecursionError.
        raise InvalidClient("it cannot be read") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise InvalidClient("header or claims are no objects")
    return header, claims, signed


def check_subject(claims: dict[str, Any]) -> str:
    """The client that an assertion claims to be of: issuer and subject are both its id."""
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not CLIENT_ID.fullmatch(issuer):
        raise InvalidClient("iss is no client id")
    if claims.get("sub") != issuer:
        raise InvalidClient("sub is not iss")
    return issuer


def check_header(header: dict[str, Any], client: RegisteredClient) -> None:
    """That the header names a key and nothing that would lead elsewhere."""
    if unknown := set(header) - HEADER:
        raise InvalidClient(f"the header holds {len(unknown)} parameters beside alg, kid, typ and jku")
    # SMART fixes typ to JWT; libraries that leave it out are let in, since iss, aud and jti tell the purpose.
    if header.get("typ", "JWT") != "JWT":
        raise InvalidClient("typ is not JWT")
    if "jku" in header and (client.jwks_url is None or header["jku"] != client.jwks_url):
        raise InvalidClient("jku is not the registered URL")
    if not isinstance(header.get("kid"), str):
        raise InvalidClient("kid is no text")


async def list_keys(documents: RemoteDocuments, client: RegisteredClient, kid: str) -> list[dict[str, Any]]:
    """The client's keys with this ``kid``, from the registry or from where it publishes them."""
    if client.jwks_url is None:
        return [each for each in client.keys if each["kid"] == kid]
    try:
        return await find_keys(documents, client.jwks_url, kid)
    except OutboundFailure as error:
        raise InvalidClient("the registered JWKS URL gives no keys") from error


def check_signature(signed: jws.CompactSignature, header: dict[str, Any], matching: list[dict[str, Any]]) -> None:
    """That one registered key signed it, with the algorithm of that key."""
    if len(matching) != 1:
        raise InvalidClient("kid does not name exactly one registered key")
    try:
        key, algorithm = load_key(matching[0])
    except Invalid as error:
        raise InvalidClient("the registered key is not taken any more") from error
    if header.get("alg") != algorithm:
        raise InvalidClient("alg is not that of the key")
    try:
        valid = jws.validate_compact(signed, key, [algorithm])
    except Exception as error:
        raise InvalidClient("the signature cannot be checked") from error
    if not valid:
        raise InvalidClient("the signature is wrong")


def check_claims(claims: dict[str, Any], token_url: str, now: float) -> float:
    """Audience, times and ``jti`` of an assertion whose signature holds; answers its expiry."""
    # An array of more than us would let another recipient present it here.
    if claims.get("aud") not in (token_url, [token_url]):
        raise InvalidClient("aud is not the token URL alone")
    expiry = read_time(claims, "exp")
    if expiry is None:
        raise InvalidClient("exp is missing")
    if expiry <= now - LEEWAY:
        raise InvalidClient("it has expired")
    if expiry > now + MAX_AHEAD + LEEWAY:
        raise InvalidClient("exp is more than 5 minutes ahead")
    for name in ("iat", "nbf"):
        moment = read_time(claims, name)
        if moment is not None and (moment > now + LEEWAY or moment > expiry):
            raise InvalidClient(f"{name} is in the future or after exp")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI or not jti.isprintable():
        raise InvalidClient("jti is missing or malformed")
    return expiry


def read_time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, 2); None where it is absent."""
    if name not in claims:
        return None
    value = claims[name]
    # NaN compares false with everything, so that it would never expire; a bool is an int to Python.
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not finite:
        raise InvalidClient(f"{name} is no time")
    return cast(float, value)


async def use_assertion(database: asyncpg.Pool | Connection, issuer: str, jti: str, until: float) -> bool:
    """Notes that a ``jti`` is used; False where it was already, at whichever replica (RFC 7523, 3, item 7).

    Clears away some that have expired: more for each call than it adds, so that the table stays small.
    """
    kept_until = datetime.fromtimestamp(until, UTC)
    fresh = await database.fetchval(
        """INSERT INTO used_assertion (issuer, jti, expires_at) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING RETURNING true""",
        issuer,
        jti,
        kept_until,
    )
    if not fresh:
        return False
    await database.execute(
        """DELETE FROM used_assertion WHERE (issuer, jti) IN (
            SELECT issuer, jti FROM used_assertion WHERE expires_at < clock_timestamp()
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)""",
        PURGED_AT_ONCE,
    )
    return True

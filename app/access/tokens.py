"""Access tokens: issues them as signed JWTs, and finds the caller in them without a query for each request."""

import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from app.access.client_watch import ClientWatch, Standing
from app.access.clients import RegisteredClient
from app.access.interaction_rules import check_role
from app.access.issuers import Issuers, Untrusted, pick
from app.access.providers import Acting, Provider
from app.access.scopes import Permissions, narrow_scopes, parse_scopes
from app.core.caller import Caller
from app.core.errors import Invalid, Unauthenticated, Unavailable
from app.core.outbound import OutboundFailure
from app.core.secrets import derive_key

logger = logging.getLogger("handoff.access")

ALGORITHM = "HS256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 -- the media type of RFC 9068, no secret
PURPOSE = "access token"
MAX_TOKEN = 8_192
MAX_KNOWN = 10_000
CLOCK_LEEWAY = 30
BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


def signing_key(secret_key: bytes) -> OctKey:
    """The key of access tokens, which says nothing of other keys derived from the same secret."""
    return OctKey.import_key(derive_key(secret_key, PURPOSE), {"alg": ALGORITHM, "use": "sig"})


def issue_token(
    secret_key: bytes, public_url: str, client: RegisteredClient, scope: str, lifetime: int, now: float
) -> str:
    """A signed access token for the FHIR base below ``public_url`` (RFC 9068, with private claims for the role)."""
    claims: dict[str, Any] = {
        "iss": public_url,
        "aud": f"{public_url}/fhir",
        "sub": client.id,
        "client_id": client.id,
        "iat": int(now),
        "exp": int(now) + lifetime,
        "jti": secrets.token_urlsafe(16),
        "scope": scope,
        "org": client.organization,
        "role": client.role,
        "tasks": client.server_makes_tasks,
    }
    return jwt.encode({"alg": ALGORITHM, "typ": TOKEN_TYPE}, claims, signing_key(secret_key), [ALGORITHM])


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was verified, and the standing of its client by which it was."""

    claims: dict[str, Any]
    caller: Caller
    standing: Standing


class TokenVerifier:
    """Finds the caller of a request. ``clock`` tells seconds since 1970, ``monotonic`` seconds that only grow.

    ``issuers`` are those whose tokens count in place of ours.
    """

    def __init__(
        self,
        secret_key: bytes,
        pool: asyncpg.Pool,
        public_url: str,
        *,
        issuers: Issuers | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = signing_key(secret_key)
        self._watch = ClientWatch(pool, monotonic)
        self._clock = clock
        self._issuers = issuers
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            # For iat alone, which another replica wrote by its clock; exp is checked to the second at each use.
            leeway=CLOCK_LEEWAY,
            iss={"essential": True, "value": public_url},
            aud={"essential": True, "value": f"{public_url}/fhir"},
            sub={"essential": True},
            exp={"essential": True},
            scope={"essential": True},
            org={"essential": True},
            role={"essential": True},
        )

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller that an Authorization header names (RFC 6750, 2.1).

        Raises Unauthenticated; Unavailable where it cannot be told whether the client is still enabled.
        """
        if authorization is None:
            raise challenge("This address takes an access token: Authorization: Bearer ...", None)
        known = self._known.get(authorization)
        if known is None:
            token = read_bearer(authorization)
            # However it was spaced or spelt, a token is kept once.
            authorization = f"Bearer {token}"
            known = self._known.get(authorization)
            if known is None and self._issuers and (provider := self._issuers.find(token)):
                return await self._believe(self._issuers, provider, token)
        claims = known.claims if known else self._verify(token)
        standing = self._watch.recall(claims["sub"]) or await self._watch.find(claims["sub"])
        if standing is None:
            self._known.pop(authorization, None)
            raise challenge("The token's client is not registered any more, or is disabled")
        if known is None or known.standing != standing:
            known = recognize(claims, standing)
        # For every use, and after the wait: a token that is known expires all the same.
        if claims["exp"] <= self._clock():
            self._known.pop(authorization, None)
            raise challenge("The token has expired")
        self._remember(authorization, known)
        return known.caller

    async def join_network(self, caller: Caller) -> Caller:
        """A coordinator with the network that it has now; any other caller as it is. Raises Unavailable."""
        if caller.role != "coordinator":
            return caller
        network, acts_for = await self._watch.find_network(caller.organization)
        return replace(caller, network=network, acts_for=acts_for) if network else caller

    def _verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that we signed and that has not expired. Raises Unauthenticated."""
        try:
            read = jwt.decode(token, self._key, [ALGORITHM])
            if read.header.get("typ") != TOKEN_TYPE:
                raise challenge("The token is not valid or has expired")
            self._claims.validate(read.claims)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise challenge("The token is not valid or has expired") from error
        return read.claims

    async def _believe(self, issuers: Issuers, provider: Provider, token: str) -> Caller:
        """The caller that a trusted provider's token stands for. Raises Unauthenticated, Unavailable."""
        try:
            claims = await issuers.verify(provider, token, provider.audience or "")
        except Untrusted as error:
            logger.info("A token of %s refused: %s", provider.name, error.diagnostics)
            raise challenge("The token is not valid or has expired") from error
        except OutboundFailure as error:
            raise Unavailable(
                f"Tokens of {provider.name} cannot be checked at the moment", headers={"Retry-After": "5"}
            ) from error
        value = pick(claims, provider.claim, provider.callers)
        if value is None:
            raise challenge("The token stands for nobody who may call here")
        mapped = provider.callers[value]
        if isinstance(mapped, Acting):
            permissions = parse_scopes(mapped.scopes)
            return Caller(f"{provider.name}:{value}", mapped.organization, mapped.role, permissions)
        standing = await self._watch.find(mapped.client)
        if standing is None:
            raise challenge("The token's client is not registered any more, or is disabled")
        return stand_for(mapped.client, standing, parse_scopes(standing.scopes))

    def _remember(self, authorization: str, known: Known) -> None:
        self._known[authorization] = known
        self._known.move_to_end(authorization)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def read_bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises Unauthenticated."""
    match = BEARER.fullmatch(authorization) if len(authorization) <= MAX_TOKEN else None
    if match is None:
        raise challenge("The Authorization header is not of the form Bearer TOKEN")
    return match[1]


def recognize(claims: dict[str, Any], standing: Standing) -> Known:
    """The caller of a valid token, if the client still is what the token says. Raises Unauthenticated."""
    said = (claims["org"], claims["role"], claims.get("tasks"))
    if said != (standing.organization, standing.role, standing.server_makes_tasks):
        raise challenge("The client has been registered anew since this token was issued: get another")
    try:
        permissions = narrow_scopes(parse_scopes(claims["scope"]), parse_scopes(standing.scopes))
        caller = stand_for(claims["sub"], standing, permissions)
    except (Invalid, ValueError) as error:
        raise challenge("The client's scopes have changed since this token was issued: get another") from error
    return Known(claims, caller, standing)


def stand_for(client_id: str, standing: Standing, permissions: Permissions) -> Caller:
    """A registered client as a caller. Raises ValueError for a role that there is not."""
    role = check_role(standing.role)
    return Caller(client_id, standing.organization, role, permissions, standing.server_makes_tasks, standing.rate)


def challenge(reason: str, error: str | None = "invalid_token") -> Unauthenticated:
    """The refusal with its challenge (RFC 6750, 3): no error code where no token was given at all."""
    detail = f', error="{error}"' if error else ""
    return Unauthenticated(reason, headers={"WWW-Authenticate": f'Bearer realm="fhir"{detail}'})

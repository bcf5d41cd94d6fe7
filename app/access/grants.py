"""Grants an access token to a client that shows who it is (RFC 6749, 4.4; SMART Backend Services 2.2)."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from app.access.assertions import check_assertion
from app.access.clients import note_token, reaching_database
from app.access.oauth_errors import InvalidClient, InvalidScope, OAuthRefusal, UnsupportedGrantType
from app.access.rate_limit import TokenLimits
from app.access.remote_documents import RemoteDocuments
from app.access.scopes import format_scopes, narrow_scopes, parse_scopes
from app.access.tokens import issue_token
from app.audit.access import note_client
from app.core.errors import Invalid
from app.core.settings import Settings

logger = logging.getLogger("handoff.access")

GRANT_TYPE = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A granted token (RFC 6749, 5.1)."""

    access_token: str
    expires_in: int
    scope: str

    def members(self) -> dict[str, str | int]:
        """The members of the answer's JSON."""
        return {
            "access_token": self.access_token,
            "token_type": "bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
        }


async def grant(
    pool: asyncpg.Pool,
    documents: RemoteDocuments,
    limits: TokenLimits,
    secret_key: bytes,
    public_url: str,
    settings: Settings,
    form: Mapping[str, str],
    *,
    token_url: str,
) -> TokenAnswer:
    """A token for the client of the form's assertion, which must be addressed to ``token_url``.

    Raises OAuthRefusal and its kinds; TooManyRequests; Unavailable where the database cannot be asked.
    """
    assertion = read_assertion(form)
    client = await check_assertion(pool, documents, assertion, token_url, retention=settings.jti_retention)
    # RFC 7521, 4.2: client_id is not needed, but must name the client of the assertion.
    if form.get("client_id", client.id) != client.id:
        refusal = InvalidClient("client_id is not the subject of the assertion")
        logger.info("Assertion of client %s refused: %s", client.id, refusal.reason)
        raise refusal
    limits.take_client(client.id)
    note_client(client.id, client.organization, client.role)
    registered = parse_scopes(client.scopes)
    try:
        granted = narrow_scopes(parse_scopes(form["scope"]), registered) if "scope" in form else registered
    except Invalid as error:
        raise InvalidScope(error.diagnostics) from error
    scope = format_scopes(granted)
    with reaching_database():
        await note_token(pool, client.id)
    token = issue_token(secret_key, public_url, client, scope, settings.token_lifetime, time.time())
    return TokenAnswer(token, settings.token_lifetime, scope)


def read_assertion(form: Mapping[str, str]) -> str:
    """The assertion of a well-formed request. Raises OAuthRefusal."""
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise OAuthRefusal("grant_type is missing")
    if grant_type != GRANT_TYPE:
        raise UnsupportedGrantType(f"The one grant_type offered is {GRANT_TYPE}")
    if "client_secret" in form:
        raise OAuthRefusal("Client secrets are not taken: authenticate by client_assertion alone")
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthRefusal(f"client_assertion_type must be {ASSERTION_TYPE}")
    if "client_assertion" not in form:
        raise OAuthRefusal("client_assertion is missing")
    return form["client_assertion"]

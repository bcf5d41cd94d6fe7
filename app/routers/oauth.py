"""The token endpoint, and where clients learn of it (RFC 6749; SMART App Launch 2.2, Conformance)."""

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.access.client_keys import ALGORITHMS
from app.access.grants import GRANT_TYPE, grant
from app.access.oauth_errors import OAuthRefusal
from app.access.scopes import offered_scopes
from app.audit.access import note_refusal
from app.core.errors import TooLarge, TooManyRequests, Unavailable
from app.routers.recorder import find_remote
from app.routers.requests import find_hub, read_body

router = APIRouter(tags=["OAuth"])

MAX_FORM = 65_536
MAX_FIELDS = 50
NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """Gives a client an access token (SMART Backend Services, Obtaining an access token)."""
    state = request.app.state
    try:
        state.token_limits.take_address(find_remote(request.scope, state.settings.trusted_hops))
        form = await read_form(request)
        answer = await grant(
            state.pool,
            state.documents,
            state.token_limits,
            state.secret_key,
            state.public_url,
            state.settings,
            form,
            token_url=find_token_url(request),
        )
    except OAuthRefusal as error:
        note_refusal(error.reason or error.error)
        body = {"error": error.error, "error_description": describe(error.diagnostics)}
        return JSONResponse(body, error.status, {**NOT_KEPT, **error.headers})
    except (TooManyRequests, Unavailable) as error:
        note_refusal(error.code)
        return JSONResponse({"error": "temporarily_unavailable"}, error.status, {**NOT_KEPT, **error.headers})
    return JSONResponse(answer.members(), 200, NOT_KEPT)


@router.get("/fhir/.well-known/smart-configuration")
async def smart_configuration(request: Request) -> Response:
    """How a client gets a token here; open to everyone (SMART App Launch 2.2, Conformance)."""
    configuration: dict[str, Any] = {
        "token_endpoint": find_token_url(request),
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS.values(), reverse=True),
        "scopes_supported": offered_scopes(),
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
    return JSONResponse(configuration, 200, {"Cache-Control": "public, max-age=300"})


def find_token_url(request: Request) -> str:
    """The address of the token endpoint, which assertions name as their audience."""
    return f"{find_hub(request).base_url.removesuffix('/fhir')}/oauth/token"


async def read_form(request: Request) -> dict[str, str]:
    """The parameters of the request's body, each once (RFC 6749, 3.2). Raises OAuthRefusal."""
    if "authorization" in request.headers:
        raise OAuthRefusal("Authenticate by client_assertion alone, without an Authorization header")
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise OAuthRefusal("Send Content-Type: application/x-www-form-urlencoded")
    try:
        body = (await read_body(request, MAX_FORM)).decode()
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except TooLarge as error:
        raise OAuthRefusal(error.diagnostics) from error
    except ValueError as error:
        raise OAuthRefusal("The form cannot be read") from error
    if len({name for name, _ in pairs}) < len(pairs):
        raise OAuthRefusal("A parameter is given more than once")
    # RFC 6749, 3.2: a parameter without a value counts as absent.
    return {name: value for name, value in pairs if value}


def describe(text: str) -> str:
    """A text within the characters of error_description (RFC 6749, 5.2)."""
    return "".join(each if " " <= each <= "~" and each not in '"\\' else "'" for each in text)

"""Reads what HTTP brings: body within limits, formats, preferences, version conditions (R4 http)."""

import re
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, get_args

from fastapi import Request
from starlette.datastructures import QueryParams

from app.audit.access import note_client, note_purpose, note_query
from app.core.caller import BREAK_GLASS, Caller
from app.core.errors import (
    AddressTooLong,
    Forbidden,
    Invalid,
    NotAcceptable,
    NotFound,
    TooLarge,
    Unsupported,
    UnsupportedMedia,
)
from app.core.kept import keep_short
from app.core.loopback import comes_from_here
from app.fhir.json_text import Limits, parse
from app.fhir.references import ID
from app.fhir.registry import TYPES
from app.fhir.subset import Subset, read_subset
from app.interactions.entries import read_etag
from app.interactions.hub import Hub
from app.search.query_text import read_pairs

GLASS_HEADER = "X-Break-Glass-Reason"
LONGEST_REASON = 500
JSON_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
OTHER_FORMATS = frozenset({"*/*", "application/*", "text/html", "application/xhtml+xml", "text/*", ""})
"""Asked for by browsers and curl; JSON will do."""

Return = Literal["minimal", "representation", "OperationOutcome"]
RETURNS: dict[str, Return] = {each: each for each in get_args(Return)}
PREFERENCES = {"return": frozenset(RETURNS), "handling": frozenset({"strict", "lenient"})}


@dataclass(frozen=True, slots=True)
class Preferences:
    """The Prefer header (R4 http, 3.1.0.7)."""

    answer: Return | None
    lenient: bool


def find_hub(request: Request) -> Hub:
    """The hub, with the address that this request came in by where the settings name none."""
    hub: Hub = request.app.state.hub
    hops = hub.settings.trusted_hops
    if hub.settings.public_url is not None or hops == 0:
        return hub
    proto = trusted_value(request.headers.getlist("x-forwarded-proto"), hops)
    host = trusted_value(request.headers.getlist("x-forwarded-host"), hops)
    if not host or not re.fullmatch(r"[A-Za-z0-9.\-:\[\]]+", host) or proto not in ("http", "https"):
        return hub
    elsewhere = copy(hub)  # with the same trail, announcer and mark
    elsewhere.base_url = f"{proto}://{host}/fhir"
    return elsewhere


def trusted_value(headers: list[str], hops: int) -> str | None:
    """What the outermost trusted proxy wrote: each proxy appends, so it is counted from the end."""
    values = [value.strip() for header in headers for value in header.split(",")]
    return values[-hops] if len(values) >= hops else None


async def find_caller(request: Request, *, may_break_glass: bool = False) -> Caller:
    """Who is calling; with ``may_break_glass`` for a reason of its own, which is refused anywhere else.

    Raises Unauthenticated, TooManyRequests for one that calls too often, Forbidden, Invalid and Unsupported.
    """
    state = request.app.state
    headers = request.headers
    authorization = headers.get("authorization")
    caller: Caller | None = await find_other(request) if authorization is None else None
    if caller is None:
        caller = await state.verifier.authenticate(authorization)
    note_client(caller.client_id, caller.organization, caller.role)
    state.limiter.take(caller.client_id, caller.rate)
    if caller.role == "coordinator":
        caller = await state.verifier.join_network(caller)
    if GLASS_HEADER not in headers:
        return caller
    if not may_break_glass:
        raise Unsupported("The glass is broken to read one resource, or to search for those of one patient")
    if not caller.may_break_glass():
        raise Forbidden(f"To break the glass takes the scope {BREAK_GLASS}")
    reason = read_reason(headers.getlist(GLASS_HEADER))
    note_purpose(reason)
    return replace(caller, break_glass=reason)


def read_reason(values: list[str]) -> str:
    """Why the glass is broken: one text of UTF-8. Raises Invalid."""
    try:
        # A header comes as its bytes (RFC 9110, 5.5).
        reason = " ".join(values).encode("latin-1").decode().strip()
    except UnicodeDecodeError as error:
        raise Invalid(f"{GLASS_HEADER} is not UTF-8", (GLASS_HEADER,)) from error
    if len(values) != 1 or not any(each.isalnum() for each in reason) or not reason.isprintable():
        raise Invalid(f"{GLASS_HEADER} says in words why", (GLASS_HEADER,))
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"{GLASS_HEADER} has at most {LONGEST_REASON} characters", (GLASS_HEADER,))
    return reason


async def find_other(request: Request) -> Caller | None:
    """Who calls without a token: a person who is signed in, or in open mode a program of this machine.

    Raises Forbidden for a change without the session's token: a page of others may have sent it.
    """
    state = request.app.state
    if value := request.cookies.get(session_cookie(request)):
        found = await state.sessions.find(value)
        if found:
            safe = request.method in ("GET", "HEAD")
            if not safe and not state.sessions.check_token(value, request.headers.get("x-csrf-token")):
                raise Forbidden("A change by a session takes its X-CSRF-Token (GET /signin/session)")
            person: Caller = found[1]
            return person
    opened: Caller | None = state.open_caller
    remote = request.client.host if request.client else None
    return opened if opened and comes_from_here(remote, request.headers) else None


def session_cookie(request: Request) -> str:
    """The cookie of a person's session; by https no other host can set it (RFC 6265bis, __Host-)."""
    return "__Host-handoff" if find_hub(request).base_url.startswith("https://") else "handoff_session"


def check_type(name: str) -> str:
    """The resource type of an address. Raises NotFound for one that is not served."""
    if name not in TYPES:
        raise NotFound(f"{name!r} is not a resource type of this server; there are: {', '.join(sorted(TYPES))}")
    return name


def check_id(resource_type: str, resource_id: str) -> str:
    """The id of an address. Raises NotFound for one that no resource can have (R4 datatypes, id)."""
    if not ID.fullmatch(resource_id):
        raise NotFound(f"{resource_type}/{resource_id} is not known")
    return resource_id


def check_version(resource_type: str, resource_id: str, version: str) -> int:
    """The version of an address. Raises NotFound for one that no resource can have."""
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise NotFound(f"{resource_type}/{resource_id} has no version {version!r}")
    return int(version)


def check_no_query(request: Request) -> None:
    """Raises Unsupported for a parameter that an interaction on one address does not take, such as _since."""
    for name in request.query_params if request.scope["query_string"] else ():
        if name not in ("_format", "_pretty"):
            raise Unsupported(f"{name!r} is not offered here", (name,))


def read_part(request: Request, resource_type: str) -> Subset | None:
    """The part that a read asks for by _summary or _elements. Raises Invalid and Unsupported."""
    return read_subset(resource_type, request.query_params.multi_items()) if request.scope["query_string"] else None


def check_address(request: Request) -> None:
    """Raises AddressTooLong."""
    limit = find_hub(request).settings.max_url
    if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > limit:
        raise AddressTooLong(f"The address is longer than {limit} bytes: POST a search as a form to _search")


def check_head(request: Request) -> bool:
    """Whether the answer is to be pretty. Raises AddressTooLong, and NotAcceptable where JSON will not do."""
    check_address(request)
    wanted, _ = read_shape(request.scope["query_string"])
    if wanted is not None:
        # An unescaped + arrives as a space.
        if wanted.split(";")[0].strip().lower().replace(" ", "+") not in JSON_FORMATS:
            raise NotAcceptable("This server speaks JSON: _format=json", ("_format",))
    elif not accepts_json(request.headers.get("accept", "")):
        raise NotAcceptable("This server speaks JSON: Accept: application/fhir+json")
    return read_pretty(request)


@keep_short
def read_shape(query: bytes) -> tuple[str | None, str | None]:
    """``_format`` and ``_pretty`` as a query has them."""
    pairs = QueryParams(query)
    return pairs.get("_format"), pairs.get("_pretty")


@keep_short
def accepts_json(accept: str) -> bool:
    """Whether an Accept header admits JSON, or what JSON will do for."""
    accepted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return any(each in JSON_FORMATS or each in OTHER_FORMATS for each in accepted)


def read_pretty(request: Request) -> bool:
    """Whether the answer is to be pretty. Raises Invalid."""
    _, pretty = read_shape(request.scope["query_string"])
    if pretty not in (None, "true", "false"):
        raise Invalid("_pretty is true or false", ("_pretty",))
    return pretty == "true"


def wants_fhir(request: Request) -> bool:
    """Whether a read of a Binary asks for the resource and not for its content (R4 http, 3.1.0.3).

    Raises NotAcceptable where it asks for the resource in another format than JSON.
    """
    read_pretty(request)
    if "_format" in request.query_params:
        check_head(request)
        return True
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    if "application/fhir+json" in accepted:
        return True
    if "application/fhir+xml" in accepted:
        raise NotAcceptable("This server speaks JSON: Accept: application/fhir+json")
    return False


async def read_body(request: Request, limit: int) -> bytes:
    """The body, given up as soon as it is too long. Raises TooLarge."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"The body is longer than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def has_body(request: Request) -> bool:
    """Whether anything was sent (RFC 9112, 6.3)."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def read_resource_body(request: Request, *, bundle: bool = False) -> dict[str, Any]:
    """The resource that was sent. Raises UnsupportedMedia, TooLarge, Invalid."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media not in JSON_FORMATS:
        raise UnsupportedMedia("Send Content-Type: application/fhir+json")
    settings = find_hub(request).settings
    limits = Limits(settings.max_depth, settings.max_string, settings.max_digits)
    body = await read_body(request, settings.max_bundle_body if bundle else settings.max_body)
    return parse(body, limits)


def check_resource_type(resource: dict[str, Any], name: str) -> None:
    """Raises Invalid where the body is no resource of the address's type."""
    found = resource.get("resourceType")
    if found != name:
        raise Invalid(f"The address wants a {name}, the body is {found!r}", ("resourceType",))


async def read_query(request: Request) -> list[tuple[str, str]]:
    """The parameters of the address, and of a form that was posted (R4 search, 3.1.1.2)."""
    pairs = read_pairs(request.scope["query_string"].decode("latin-1"))
    if request.method == "POST":
        media = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media not in ("application/x-www-form-urlencoded", ""):
            raise UnsupportedMedia("Send Content-Type: application/x-www-form-urlencoded")
        body = await read_body(request, find_hub(request).settings.max_body)
        try:
            pairs += read_pairs(body.decode())
        except UnicodeDecodeError as error:
            raise Invalid("The form is not UTF-8") from error
    note_query(pairs)
    return pairs


def read_preferences(request: Request) -> Preferences:
    """The Prefer header; values that are not known are left aside, as RFC 7240 asks."""
    return parse_preferences(",".join(request.headers.getlist("prefer")))


@keep_short
def parse_preferences(text: str) -> Preferences:
    """What a Prefer header's text asks for."""
    told: dict[str, str] = {}
    for part in text.replace(";", ",").split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        if value.strip('"') in PREFERENCES.get(name.lower(), ()):
            told.setdefault(name.lower(), value.strip('"'))
    return Preferences(RETURNS.get(told.get("return", "")), told.get("handling") == "lenient")


def read_if_match(request: Request) -> int | None:
    """The version of If-Match. Raises Invalid."""
    return read_etag(request.headers.get("if-match"))


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the tag, which comes without its quotes (RFC 9110, 13.1.2: compared weakly)."""
    given = ",".join(request.headers.getlist("if-none-match")).split(",")
    known = [each.strip().removeprefix("W/").strip('"') for each in given]
    return tag in known or "*" in known


def is_unchanged(request: Request, version: int, last_updated: datetime) -> bool:
    """Whether a conditional read may be answered with 304 (R4 http, 3.1.0.1.2)."""
    if "if-none-match" in request.headers:
        return is_known(request, str(version))
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = parsedate_to_datetime(since)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return last_updated.replace(microsecond=0) <= moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return False

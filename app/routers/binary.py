"""Binary over HTTP: content in its own type, or the resource in FHIR JSON (R4 http, 3.1.0.3)."""

import base64
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.access.scope import scope_of
from app.core.caller import Caller
from app.fhir.binary_text import cut_text
from app.fhir.json_text import STORED_LIMITS, parse
from app.interactions.binary import (
    Answer,
    Download,
    create_binary,
    open_download,
    size_download,
    stream_content,
    update_binary,
    update_matching_binary,
)
from app.interactions.hub import Hub
from app.routers.fhir import answer_history
from app.routers.requests import (
    check_address,
    check_id,
    check_no_query,
    check_version,
    find_caller,
    find_hub,
    is_unchanged,
    read_if_match,
    read_preferences,
    wants_fhir,
)
from app.routers.responses import MEDIA, answer_text, outcome_text, version_headers
from app.routers.uploads import open_spool, read_upload

router = APIRouter(prefix="/fhir", tags=["FHIR R4"])

GUARDED = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
"""What a stranger uploaded is never shown, run or guessed at by a browser on this server's origin."""


@router.post("/Binary")
async def create(request: Request) -> Response:
    """Creates a Binary from content of any type, or from a Binary in FHIR JSON."""
    check_no_query(request)
    check_address(request)
    caller, hub, fhir = await find_caller(request), find_hub(request), wants_fhir(request)
    with open_spool() as spool:
        upload = await read_upload(request, spool)
        answer = await create_binary(hub, caller, upload, request.headers.get("if-none-exist"))
    return await answer_written(request, hub, caller, answer, fhir=fhir)


@router.put("/Binary")
async def conditional_update(request: Request) -> Response:
    """Updates the one Binary that the query matches, or creates it."""
    check_address(request)
    caller, hub, fhir = await find_caller(request), find_hub(request), wants_fhir(request)
    with open_spool() as spool:
        upload = await read_upload(request, spool)
        answer = await update_matching_binary(hub, caller, upload, request.url.query, read_if_match(request))
    return await answer_written(request, hub, caller, answer, fhir=fhir)


@router.put("/Binary/{resource_id}")
async def update(request: Request, resource_id: str) -> Response:
    """Replaces the content by a next version."""
    check_no_query(request)
    check_address(request)
    caller, hub, fhir = await find_caller(request), find_hub(request), wants_fhir(request)
    with open_spool() as spool:
        upload = await read_upload(request, spool, resource_id)
        answer = await update_binary(hub, caller, upload, resource_id, read_if_match(request))
    return await answer_written(request, hub, caller, answer, fhir=fhir)


@router.get("/Binary/_history")
async def type_history(request: Request) -> Response:
    """Every version of every Binary, without data; here because ``_history`` would be taken for an id."""
    return await answer_history(request, "Binary", None)


@router.get("/Binary/{resource_id}")
async def read(request: Request, resource_id: str) -> Response:
    """Reads the content, or with ``Accept: application/fhir+json`` the resource."""
    check_no_query(request)
    check_address(request)
    caller, hub = await find_caller(request), find_hub(request)
    fhir = wants_fhir(request)
    download = await open_download(hub, caller, check_id("Binary", resource_id))
    if is_unchanged(request, download.stored.version, download.stored.last_updated):
        return Response(None, 304, version_headers(download.stored))
    return answer_resource(request, hub, download) if fhir else answer_content(hub, download)


@router.get("/Binary/{resource_id}/_history/{version}")
async def vread(request: Request, resource_id: str, version: str) -> Response:
    """Reads one version, as ``read``."""
    check_no_query(request)
    check_address(request)
    caller, hub = await find_caller(request), find_hub(request)
    fhir = wants_fhir(request)
    number = check_version("Binary", check_id("Binary", resource_id), version)
    download = await open_download(hub, caller, resource_id, number)
    return answer_resource(request, hub, download) if fhir else answer_content(hub, download)


async def answer_written(request: Request, hub: Hub, caller: Caller, answer: Answer, *, fhir: bool) -> Response:
    """A version just written: the resource where FHIR JSON is accepted or a representation preferred, else no body."""
    written, issues = answer
    stored = written.stored
    headers = version_headers(stored)
    headers["Location"] = f"{hub.base_url}/{stored.reference}/_history/{stored.version}"
    status = 201 if written.created else 200
    preferred = read_preferences(request).answer
    if preferred == "OperationOutcome":
        return answer_text(outcome_text(issues), status, headers, pretty=False)
    if preferred == "minimal" or not (preferred or fhir):
        return Response(None, status, headers)
    download = await size_download(hub, stored, scope_of(caller, hub.settings), caller)
    return answer_resource(request, hub, download, status, headers)


def answer_content(hub: Hub, download: Download) -> Response:
    """The content as its own type."""
    binary = parse(download.text.encode(), STORED_LIMITS)
    headers = {**GUARDED, **version_headers(download.stored), "Content-Length": str(download.size)}
    if "securityContext" in binary:
        headers["X-Security-Context"] = binary["securityContext"]["reference"]
    # As a header of our own: the framework would add a charset to text that names none.
    headers["Content-Type"] = binary["contentType"]
    return StreamingResponse(stream_content(hub, download), 200, headers)


def answer_resource(
    request: Request, hub: Hub, download: Download, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """The resource in FHIR JSON, its data put in as it is read; a Binary of nothing has no data."""
    pretty = request.query_params.get("_pretty") == "true"
    headers = {"Cache-Control": "private, no-cache", **version_headers(download.stored), **(headers or {})}
    if download.size == 0:
        return answer_text(download.text, status, headers, pretty=pretty)
    head, tail = cut_text(download.text, pretty=pretty)

    async def write() -> AsyncIterator[bytes]:
        yield head
        async for piece in stream_content(hub, download):
            yield base64.b64encode(piece)
        yield tail

    headers["Content-Length"] = str(len(head) + (download.size + 2) // 3 * 4 + len(tail))
    return StreamingResponse(write(), status, headers, MEDIA)

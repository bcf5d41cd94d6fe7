"""AuditEvent over HTTP: read and searched, never written, for the trail writes itself."""

from fastapi import APIRouter, Request, Response

from app.core.errors import MethodNotAllowed
from app.fhir.subset import subset_text
from app.interactions.audit_events import read_event, search_events
from app.routers.requests import (
    check_head,
    check_id,
    find_caller,
    find_hub,
    is_unchanged,
    read_part,
    read_preferences,
    read_query,
)
from app.routers.responses import answer_text

router = APIRouter(prefix="/fhir", tags=["FHIR R4"])


@router.get("/AuditEvent")
async def search_by_get(request: Request) -> Response:
    """Searches the trail."""
    return await answer_search(request)


@router.post("/AuditEvent/_search")
async def search_by_post(request: Request) -> Response:
    """Searches the trail with a posted form."""
    return await answer_search(request)


async def answer_search(request: Request) -> Response:
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    query = await read_query(request)
    text = await search_events(hub, caller, query, lenient=read_preferences(request).lenient)
    return answer_text(text, 200, {}, pretty=pretty)


@router.get("/AuditEvent/_history")
@router.post("/AuditEvent")
@router.put("/AuditEvent")
@router.delete("/AuditEvent")
async def refuse_type(request: Request) -> Response:
    """What only the server does, and what a type without versions has not."""
    await find_caller(request)
    raise refusal(request)


@router.get("/AuditEvent/{resource_id}")
async def read(request: Request, resource_id: str) -> Response:
    """Reads one event."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    subset = read_part(request, "AuditEvent")
    row, text = await read_event(hub, caller, check_id("AuditEvent", resource_id))
    headers = {"ETag": 'W/"1"'}
    if is_unchanged(request, 1, row.recorded):
        return Response(None, 304, headers)
    return answer_text(subset_text(text, subset), 200, headers, pretty=pretty)


@router.get("/AuditEvent/{resource_id}/_history")
@router.put("/AuditEvent/{resource_id}")
@router.delete("/AuditEvent/{resource_id}")
async def refuse_instance(request: Request, resource_id: str) -> Response:
    """As ``refuse_type``, of one event."""
    await find_caller(request)
    raise refusal(request)


@router.get("/AuditEvent/{resource_id}/_history/{version}")
async def refuse_version(request: Request, resource_id: str, version: str) -> Response:
    """As ``refuse_type``: no event ever has a second version."""
    await find_caller(request)
    raise refusal(request)


def refusal(request: Request) -> MethodNotAllowed:
    return MethodNotAllowed(
        f"{request.method} is not offered here: an AuditEvent is written by the server alone, and read and searched",
        headers={"Allow": "GET"},
    )

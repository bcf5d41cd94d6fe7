"""The FHIR RESTful API: each route calls one interaction (R4 http)."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.access.poll_tag import tag_poll
from app.access.scope import scope_of
from app.fhir.json_text import dump
from app.interactions.answers import history_text, searchset_text
from app.interactions.batch import run_batch
from app.interactions.break_glass import read_through_glass, search_through_glass
from app.interactions.capabilities import describe_capabilities
from app.interactions.contact import find_prohibited, list_patients, warn_of_contact
from app.interactions.create import create_resource
from app.interactions.delete import delete_match, delete_resource
from app.interactions.history import read_versions
from app.interactions.read import read_resource, read_version
from app.interactions.search import search_type
from app.interactions.transaction import run_transaction
from app.interactions.update import update_match, update_resource
from app.routers.requests import (
    check_head,
    check_id,
    check_no_query,
    check_resource_type,
    check_type,
    check_version,
    find_caller,
    find_hub,
    is_unchanged,
    read_if_match,
    read_part,
    read_preferences,
    read_query,
    read_resource_body,
)
from app.routers.responses import (
    answer_entries,
    answer_poll,
    answer_resource,
    answer_text,
    answer_written,
    version_headers,
)
from app.search.polling import NEXT_POLL, write_mark

router = APIRouter(prefix="/fhir", tags=["FHIR R4"])


@router.get("/metadata")
async def capabilities(request: Request) -> Response:
    """What this server can do: the CapabilityStatement."""
    check_no_query(request)
    pretty = check_head(request)
    statement = describe_capabilities(find_hub(request))
    return answer_text(dump(statement), 200, {}, pretty=pretty)


@router.post("")
@router.post("/", include_in_schema=False)
async def bundle(request: Request) -> Response:
    """A Bundle of type batch or transaction."""
    check_no_query(request)
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    body = await read_resource_body(request, bundle=True)
    preferences = read_preferences(request)
    kind, run = ("batch", run_batch) if body.get("type") == "batch" else ("transaction", run_transaction)
    answers = await run(hub, caller, body, lenient=preferences.lenient)
    representation = preferences.answer == "representation"
    return answer_entries(f"{kind}-response", answers, representation=representation, pretty=pretty)


@router.get("/_history")
async def system_history(request: Request) -> Response:
    """Every version of everything that the caller sees, newest first."""
    return await answer_history(request, None, None)


@router.get("/{resource_type}/_history")
async def type_history(request: Request, resource_type: str) -> Response:
    """Every version of one type, newest first."""
    return await answer_history(request, check_type(resource_type), None)


@router.get("/{resource_type}/{resource_id}/_history")
async def instance_history(request: Request, resource_type: str, resource_id: str) -> Response:
    """Every version of one resource, newest first."""
    return await answer_history(request, check_type(resource_type), check_id(resource_type, resource_id))


async def answer_history(request: Request, resource_type: str | None, resource_id: str | None) -> Response:
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    query = await read_query(request)
    page = await read_versions(hub, caller, resource_type, resource_id, query)
    address = "/".join(each for each in (hub.base_url, resource_type, resource_id, "_history") if each)
    kept = [(name, value) for name, value in query if name in ("_since", "_count")]
    links = [("self", f"{address}?{urlencode(kept)}" if kept else address)]
    if page.following:
        links.append(("next", f"{address}?{urlencode([*kept, ('_cursor', page.following)])}"))
    elif page.mark:
        later = [*(each for each in kept if each[0] != "_since"), ("_since", write_mark(page.mark))]
        links.append((NEXT_POLL, f"{address}?{urlencode(later)}"))
    scope = scope_of(caller, hub.settings)
    prohibited = await find_prohibited(hub, caller, list_patients(page.entries, scope))
    text = history_text(hub.base_url, links, page.entries, scope, prohibited)
    # A warning changes without the rows that it is about: then the answer is never 304.
    whole = page.mark and page.whole and not prohibited
    tag = tag_poll(caller, scope, links[0][1], page.entries) if whole else None
    return answer_poll(request, text, tag, pretty=pretty)


@router.get("/{resource_type}")
async def search_by_get(request: Request, resource_type: str) -> Response:
    """Searches one type."""
    return await answer_search(request, resource_type)


@router.post("/{resource_type}/_search")
async def search_by_post(request: Request, resource_type: str) -> Response:
    """Searches one type with a posted form, so that names and identifiers stay out of logs."""
    return await answer_search(request, resource_type)


async def answer_search(request: Request, resource_type: str) -> Response:
    pretty = check_head(request)
    caller, hub = await find_caller(request, may_break_glass=True), find_hub(request)
    query = await read_query(request)
    lenient = read_preferences(request).lenient
    search = search_through_glass if caller.break_glass else search_type
    plan, page = await search(hub, caller, check_type(resource_type), query, lenient=lenient)
    scope = scope_of(caller, hub.settings)
    warnings = await warn_of_contact(hub, caller, [*page.matches, *page.included], scope)
    text = searchset_text(hub.base_url, plan, page, scope, warnings)
    tag = None
    # A warning changes without the rows that it is about: then the answer is never 304.
    if page.mark and request.method == "GET" and plan.cursor is None and page.following is None and not warnings:
        address = f"{hub.base_url}/{plan.type}?{request.scope['query_string'].decode('latin-1')}"
        tag = tag_poll(caller, scope, address, [*page.matches, *page.included])
    return answer_poll(request, text, tag, pretty=pretty)


@router.post("/{resource_type}")
async def create(request: Request, resource_type: str) -> Response:
    """Creates a resource; with If-None-Exist only where the query matches none."""
    check_no_query(request)
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    check_type(resource_type)
    resource = await read_resource_body(request)
    check_resource_type(resource, resource_type)
    written, issues = await create_resource(hub, caller, resource, request.headers.get("if-none-exist"))
    scope = scope_of(caller, hub.settings)
    return answer_written(written, issues, scope, hub.base_url, read_preferences(request), pretty=pretty)


@router.put("/{resource_type}")
async def conditional_update(request: Request, resource_type: str) -> Response:
    """Updates the one resource that the query matches, or creates it."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    check_type(resource_type)
    resource = await read_resource_body(request)
    check_resource_type(resource, resource_type)
    written, issues = await update_match(hub, caller, resource, request.url.query, read_if_match(request))
    scope = scope_of(caller, hub.settings)
    return answer_written(written, issues, scope, hub.base_url, read_preferences(request), pretty=pretty)


@router.delete("/{resource_type}")
async def conditional_delete(request: Request, resource_type: str) -> Response:
    """Deletes the one resource that the query matches, if there is one."""
    check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    gone = await delete_match(hub, caller, check_type(resource_type), request.url.query)
    return Response(None, 204, version_headers(gone) if gone else None)


@router.get("/{resource_type}/{resource_id}")
async def read(request: Request, resource_type: str, resource_id: str) -> Response:
    """Reads the current version."""
    pretty = check_head(request)
    caller, hub = await find_caller(request, may_break_glass=True), find_hub(request)
    subset = read_part(request, check_type(resource_type))
    read_current = read_through_glass if caller.break_glass else read_resource
    stored = await read_current(hub, caller, resource_type, check_id(resource_type, resource_id))
    scope = scope_of(caller, hub.settings)
    warnings = await warn_of_contact(hub, caller, [stored], scope)
    if not warnings and is_unchanged(request, stored.version, stored.last_updated):
        return Response(None, 304, version_headers(stored))
    return answer_resource(stored, scope, subset, warnings, pretty=pretty)


@router.get("/{resource_type}/{resource_id}/_history/{version}")
async def vread(request: Request, resource_type: str, resource_id: str, version: str) -> Response:
    """Reads one version."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    subset = read_part(request, check_type(resource_type))
    number = check_version(resource_type, check_id(resource_type, resource_id), version)
    stored = await read_version(hub, caller, resource_type, resource_id, number)
    scope = scope_of(caller, hub.settings)
    warnings = await warn_of_contact(hub, caller, [stored], scope)
    return answer_resource(stored, scope, subset, warnings, pretty=pretty)


@router.put("/{resource_type}/{resource_id}")
async def update(request: Request, resource_type: str, resource_id: str) -> Response:
    """Replaces a resource by its next version."""
    check_no_query(request)
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    check_type(resource_type)
    resource = await read_resource_body(request)
    check_resource_type(resource, resource_type)
    written, issues = await update_resource(hub, caller, resource, resource_id, read_if_match(request))
    scope = scope_of(caller, hub.settings)
    return answer_written(written, issues, scope, hub.base_url, read_preferences(request), pretty=pretty)


@router.delete("/{resource_type}/{resource_id}")
async def delete(request: Request, resource_type: str, resource_id: str) -> Response:
    """Deletes a resource; its history stays."""
    check_no_query(request)
    check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    check_id(check_type(resource_type), resource_id)
    gone = await delete_resource(hub, caller, resource_type, resource_id, read_if_match(request))
    return Response(None, 204, version_headers(gone) if gone else None)

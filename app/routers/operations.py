"""The operations over HTTP: by GET with a query, or by POST with Parameters (R4 operations)."""

from fastapi import APIRouter, Request, Response

from app.access.scope import scope_of
from app.core.errors import Unsupported
from app.fhir.json_text import dump
from app.fhir.operations import OPERATIONS, read_arguments, read_parameters
from app.interactions.claim import claim_task
from app.interactions.subscription_events import read_wanted, tell_events
from app.interactions.subscription_resend import read_bounds, resend_events
from app.interactions.subscription_status import tell_status, tell_statuses
from app.interactions.webhook_secret import make_secret, read_grace
from app.routers.requests import (
    check_head,
    check_id,
    find_caller,
    find_hub,
    has_body,
    read_if_match,
    read_resource_body,
)
from app.routers.responses import answer_resource, answer_text, outcome_text

router = APIRouter(prefix="/fhir", tags=["FHIR R4"])

SHAPING = frozenset({"_format", "_pretty"})


async def read_call(request: Request, code: str, resource_type: str = "Subscription") -> dict[str, list[str]]:
    """The arguments of a call of an operation. Raises Invalid, Unsupported, Unprocessable."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] not in SHAPING]
    if request.method == "POST" and pairs:
        raise Unsupported("The parameters of an operation that is posted stand in its body", (pairs[0][0],))
    if request.method == "POST" and has_body(request):
        pairs = read_parameters(await read_resource_body(request))
    return read_arguments(OPERATIONS[resource_type, code], pairs)


@router.get("/Subscription/$status")
@router.post("/Subscription/$status")
async def type_status(request: Request) -> Response:
    """How the notifications of all Subscriptions that the caller sees stand."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    arguments = await read_call(request, "status")
    text = await tell_statuses(hub, caller, arguments.get("id", ()), arguments.get("status", ()))
    return answer_text(text, 200, {}, pretty=pretty)


@router.get("/Subscription/{resource_id}/$status")
@router.post("/Subscription/{resource_id}/$status")
async def instance_status(request: Request, resource_id: str) -> Response:
    """How the notifications of one Subscription stand; ``id`` and ``status`` mean nothing here (Backport)."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    await read_call(request, "status")
    text = await tell_status(hub, caller, check_id("Subscription", resource_id))
    return answer_text(text, 200, {}, pretty=pretty)


@router.get("/Subscription/{resource_id}/$events")
@router.post("/Subscription/{resource_id}/$events")
async def events(request: Request, resource_id: str) -> Response:
    """Past events of a Subscription."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    wanted = read_wanted(await read_call(request, "events"))
    text = await tell_events(hub, caller, check_id("Subscription", resource_id), wanted)
    return answer_text(text, 200, {}, pretty=pretty)


@router.post("/Subscription/{resource_id}/$resend")
async def resend(request: Request, resource_id: str) -> Response:
    """Sends notifications again."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    bounds = read_bounds(await read_call(request, "resend"))
    issues = await resend_events(hub, caller, check_id("Subscription", resource_id), bounds)
    return answer_text(outcome_text(issues), 200, {}, pretty=pretty)


@router.post("/Subscription/{resource_id}/$webhook-secret")
async def webhook_secret(request: Request, resource_id: str) -> Response:
    """Makes a new secret."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    grace = read_grace(await read_call(request, "webhook-secret"))
    secret = await make_secret(hub, caller, check_id("Subscription", resource_id), grace)
    told = {"resourceType": "Parameters", "parameter": [{"name": "secret", "valueString": secret}]}
    return answer_text(dump(told), 200, {"Cache-Control": "no-store"}, pretty=pretty)


@router.post("/Task/{resource_id}/$claim")
async def claim(request: Request, resource_id: str) -> Response:
    """Takes a Task out of the pool."""
    pretty = check_head(request)
    caller, hub = await find_caller(request), find_hub(request)
    await read_call(request, "claim", "Task")
    stored = await claim_task(hub, caller, check_id("Task", resource_id), read_if_match(request))
    return answer_resource(stored, scope_of(caller, hub.settings), None, (), pretty=pretty)

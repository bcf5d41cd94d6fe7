"""Operators' REST: webhooks and their deliveries, for the operator, and for each organisation its own."""

from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.core.errors import Invalid, Issue, NotFound, Unsupported, UnsupportedMedia
from app.delivery.overview import Kind
from app.delivery.replay import Replay
from app.fhir.json_text import Limits, parse
from app.fhir.references import ID
from app.interactions import deliveries, webhooks
from app.routers.admin_bodies import (
    Answer,
    Body,
    NewRate,
    NewSecret,
    NewWebhook,
    Removed,
    ReplayAnswer,
    Secret,
    SecretWebhook,
    Undelivered,
    UndeliveredPage,
    WantedReplay,
    Webhook,
    Webhooks,
    show_state,
)
from app.routers.requests import JSON_FORMATS, check_address, find_caller, find_hub, read_body

router = APIRouter(prefix="/admin", tags=["Delivery"])

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 200
NOT_KEPT = {"Cache-Control": "no-store"}

Sent = TypeVar("Sent", bound=Body)


@router.get("/webhooks")
async def list_webhooks(request: Request) -> Response:
    """Each webhook with what is queued, delivered, failed and dead."""
    read_parameters(request)
    states, waiting = await deliveries.read_states(find_hub(request), await find_caller(request))
    return answer(Webhooks(webhooks=[Webhook.show(each) for each in states], events_waiting=waiting))


@router.get("/delivery/dead")
async def list_dead(request: Request) -> Response:
    """What was given up, with every attempt."""
    return await answer_undelivered(request, "dead")


@router.get("/delivery/blocked")
async def list_blocked(request: Request) -> Response:
    """What holds up its referral for over 15 minutes, with every attempt."""
    return await answer_undelivered(request, "blocked")


async def answer_undelivered(request: Request, kind: Kind) -> Response:
    asked = read_parameters(request, "webhook", "limit", "before")
    most = read_number(asked, "limit", LARGEST_LIMIT) or DEFAULT_LIMIT
    webhook_id, before = asked.get("webhook"), read_number(asked, "before", 2**63 - 1)
    hub, caller = find_hub(request), await find_caller(request)
    if webhook_id is not None:
        await deliveries.read_state(hub, caller, check_webhook_id(webhook_id))
    found = await deliveries.read_undelivered(hub, caller, kind, webhook_id=webhook_id, before=before, most=most + 1)
    following = None
    if len(found) > most:
        narrowed = f"&webhook={webhook_id}" if webhook_id else ""
        following = f"{find_root(request)}/delivery/{kind}?limit={most}&before={found[most - 1].id}{narrowed}"
    return answer(UndeliveredPage(deliveries=[Undelivered.show(each) for each in found[:most]], next=following))


@router.post("/delivery/replay")
async def replay(request: Request) -> Response:
    """Sends dead and withdrawn deliveries again, under the same webhook-id, in order within a referral."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, WantedReplay)
    number = int(body.delivery.removeprefix("evt_").partition("_")[0]) if body.delivery else None
    wanted = Replay(number, body.webhook, body.from_number, body.since, body.delivered)
    return answer(ReplayAnswer.show(await deliveries.replay(hub, caller, wanted)))


@router.get("/webhooks/{webhook_id}")
async def read_webhook(request: Request, webhook_id: str) -> Response:
    """One webhook."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    return answer(Webhook.show(await deliveries.read_state(hub, caller, check_webhook_id(webhook_id))))


@router.post("/webhooks")
async def add_webhook(request: Request) -> Response:
    """Registers an endpoint for an organisation's events; its secret is in this answer alone."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewWebhook)
    organization = body.organization or f"Organization/{caller.organization}"
    webhook_id, secret = await webhooks.add_webhook(
        hub,
        caller,
        request.app.state.secret_key,
        body.url,
        organization,
        body.events,
        reason_text=body.reason_text,
    )
    state = await deliveries.read_state(hub, caller, webhook_id)
    location = {"Location": f"{find_root(request)}/webhooks/{webhook_id}"}
    return answer(SecretWebhook(**show_state(state), secret=secret), 201, location)


@router.post("/webhooks/{webhook_id}/secret")
async def rotate_secret(request: Request, webhook_id: str) -> Response:
    """Gives a webhook a new secret, told in this answer alone; the old one is good for a while more."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewSecret)
    key = request.app.state.secret_key
    secret = await webhooks.change_secret(hub, caller, key, check_webhook_id(webhook_id), body.grace_seconds)
    return answer(Secret(secret=secret))


@router.put("/webhooks/{webhook_id}/rate")
async def limit_rate(request: Request, webhook_id: str) -> Response:
    """Sends a webhook no more than so many deliveries a second."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewRate)
    state = await webhooks.change_rate(hub, caller, check_webhook_id(webhook_id), body.per_second)
    return answer(Webhook.show(state))


@router.post("/webhooks/{webhook_id}/pause")
async def pause(request: Request, webhook_id: str) -> Response:
    """Sends a webhook nothing for a while; what happens meanwhile is queued for it."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    return answer(Webhook.show(await deliveries.pause(hub, caller, check_webhook_id(webhook_id))))


@router.post("/webhooks/{webhook_id}/resume")
async def resume(request: Request, webhook_id: str) -> Response:
    """Sends to a webhook again, whatever stopped it; what is queued goes at once."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    return answer(Webhook.show(await deliveries.resume(hub, caller, check_webhook_id(webhook_id))))


@router.delete("/webhooks/{webhook_id}")
async def remove_webhook(request: Request, webhook_id: str) -> Response:
    """Takes an endpoint away, with the record of its deliveries."""
    drop = read_parameters(request, "drop").get("drop", "false")
    if drop not in ("true", "false"):
        raise Invalid("drop is true or false", ("drop",))
    hub, caller = find_hub(request), await find_caller(request)
    dropped = await webhooks.remove_webhook(hub, caller, check_webhook_id(webhook_id), drop=drop == "true")
    return answer(Removed(dropped=dropped))


def answer(body: Answer, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The body as JSON, kept by no cache."""
    text = body.model_dump_json(by_alias=True)
    return Response(text, status, {**NOT_KEPT, **(headers or {})}, "application/json")


def find_root(request: Request) -> str:
    """The address of these pages, as clients reach it."""
    return f"{find_hub(request).base_url.removesuffix('/fhir')}{router.prefix}"


def check_webhook_id(webhook_id: str) -> str:
    """Raises NotFound for an id that no webhook can have."""
    if not ID.fullmatch(webhook_id):
        raise NotFound(f"There is no webhook {webhook_id}")
    return webhook_id


def read_parameters(request: Request, *names: str) -> dict[str, str]:
    """The parameters of the address, each once. Raises AddressTooLong, Unsupported, Invalid."""
    check_address(request)
    given = request.query_params.multi_items()
    for name, _ in given:
        if name not in names:
            raise Unsupported(f"{name!r} is not offered here", (name,))
    if len(dict(given)) < len(given):
        raise Invalid("A parameter is given more than once")
    return dict(given)


def read_number(asked: dict[str, str], name: str, most: int) -> int | None:
    """A whole number from 1 on. Raises Invalid."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise Invalid(f"{name} is a number from 1 to {most}", (name,))
    return int(text)


async def read_json(request: Request, wanted: type[Sent]) -> Sent:
    """The body that was sent; none at all is as an empty object. Raises UnsupportedMedia, TooLarge, Invalid."""
    settings = find_hub(request).settings
    content = await read_body(request, settings.max_body)
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content and media not in JSON_FORMATS:
        raise UnsupportedMedia("Send Content-Type: application/json")
    sent = parse(content, Limits(settings.max_depth, settings.max_string, settings.max_digits)) if content else {}
    try:
        return wanted.model_validate(sent)
    except ValidationError as error:
        issues = tuple(
            Issue("error", "invalid", each["msg"], tuple(filter(None, [".".join(map(str, each["loc"]))])))
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise Invalid("The body is not what is wanted here", issues=issues) from None

"""Middleware around every route: what is answered stands in the audit trail, whichever door it came by.

A new route is recorded without doing anything; only what is open to everyone and tells nothing of anybody is not.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Request, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.audit.access import UNDER_WAY, Access
from app.audit.address import UNKNOWN, Target, read_target
from app.audit.record import record_access
from app.core.errors import HandoffError, TooManyRequests, Unauthenticated, Unavailable
from app.interactions.hub import Hub
from app.routers.requests import trusted_value

AnswerError = Callable[[Request, Exception], Awaitable[Response]]

BASE = "/fhir"
OPEN = frozenset(
    {
        "/healthz",
        "/readyz",
        "/docs",
        "/docs/page.css",
        "/openapi.json",
        "/fhir/metadata",
        "/fhir/.well-known/smart-configuration",
    }
)
"""Read by everyone without a token; a test compares them with the routes."""
NAMES = {"POST /oauth/token": "token"}
"""Interactions that are not FHIR's, by method and template of the address."""


class Recorder:
    """The middleware. ``routes`` are those of the application, for what is not FHIR."""

    def __init__(self, app: ASGIApp, routes: list[Route], answer_error: AnswerError) -> None:
        self.app = app
        self.routes = routes
        self.answer_error = answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        hub: Hub = scope["app"].state.hub
        remote = find_remote(scope, hub.settings.trusted_hops)
        access = Access(self.find_target(scope), query_string=scope["query_string"], remote=remote)
        withheld = answered = False

        async def send_recorded(message: Message) -> None:
            nonlocal withheld, answered
            first = message["type"] == "http.response.start"
            # A transaction was recorded in itself; that its answer failed is told besides.
            if first and (not access.recorded or message["status"] >= 500):
                try:
                    await self.record(scope, hub, access, message["status"])
                except Unavailable as error:
                    withheld = answered = True
                    answer = await self.answer_error(Request(scope), error)
                    await answer(scope, receive, send)
            if not withheld:
                answered = True
                await send(message)

        token = UNDER_WAY.set(access)
        try:
            await self.app(scope, receive, send_recorded)
        except Exception as error:
            # A bug; that of a route is answered further in.
            if answered:
                raise
            with suppress(Exception):
                await self.record(scope, hub, access, 500)
            answer = await self.answer_error(Request(scope), error)
            await answer(scope, receive, send)
        finally:
            UNDER_WAY.reset(token)

    async def record(self, scope: Scope, hub: Hub, access: Access, status: int) -> None:
        """Records what no transaction has. Who was refused before the token was looked at is looked up now."""
        crowded = status == TooManyRequests.status
        if status >= 400 and status != Unauthenticated.status and access.organization is None:
            given = Request(scope).headers.get("authorization")
            if given is not None and access.client is None:
                try:
                    state = scope["app"].state
                    caller = await state.verifier.authenticate(given)
                    access.note_client(caller.client_id, caller.organization, caller.role)
                    state.limiter.take(caller.client_id, caller.rate)
                except TooManyRequests:
                    crowded = True
                except HandoffError:
                    access.reason = access.reason or "login"
        await record_access(hub.trail, access, status, crowded=crowded)

    def find_target(self, scope: Scope) -> Target:
        """What is asked for: by FHIR's own addresses, else by the template of the route."""
        path: str = scope["path"]
        if path == BASE or path.startswith(BASE + "/"):
            target = read_target(scope["method"], path[len(BASE) :])
            if target.interaction not in (UNKNOWN, "operation"):
                return target
        else:
            target = Target()
        for route in self.routes:
            if route.matches(scope)[0] == Match.FULL:
                template = f"{scope['method']} {route.path}"
                return Target(NAMES.get(template, template), target.type, target.id)
        return target


def find_remote(scope: Scope, hops: int) -> str | None:
    """The address of who calls, as the outermost trusted proxy tells it."""
    client = scope.get("client")
    if not hops:
        return client[0] if client else None
    told = trusted_value(Request(scope).headers.getlist("x-forwarded-for"), hops)
    try:
        return str(ipaddress.ip_address(told or ""))
    except ValueError:
        return None

"""Front door: builds the web application."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.demonstration import PERSONS
from app.access.interaction_rules import check_role
from app.access.issuers import Issuers
from app.access.providers import Provider, load_providers
from app.access.rate_limit import RateLimiter, TokenLimits
from app.access.remote_documents import RemoteDocuments
from app.access.sessions import Sessions, list_persons
from app.access.sign_in import Door
from app.access.tokens import TokenVerifier
from app.audit.access import AUDIENCE, note_refusal
from app.core.caller import Caller
from app.core.data_dir import load_secret_key
from app.core.database import await_database, open_pool
from app.core.errors import AudienceBreach, HandoffError, MethodNotAllowed, NotFound
from app.core.logs import configure_logging, describe_error
from app.core.process_guard import watch_parent
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.operate import EVERYTHING
from app.interactions.topics import publish_topics
from app.routers import (
    admin,
    admin_clients,
    admin_networks,
    audit_events,
    binary,
    docs,
    fhir,
    health,
    metrics,
    oauth,
    operations,
    sign_in,
)
from app.routers.dispatch import Dispatcher
from app.routers.head import HeadAsGet
from app.routers.openapi.document import TITLE, VERSION, load_document
from app.routers.recorder import Recorder
from app.routers.responses import answer_error
from app.routers.security_headers import SecurityHeaders

logger = logging.getLogger("handoff")

CORS_ASKED = [
    "Authorization", "Content-Type", "If-Match", "If-Modified-Since", "If-None-Exist", "If-None-Match", "Prefer",
    "X-Security-Context",
]  # fmt: skip
CORS_SHOWN = [
    "Content-Disposition", "ETag", "Last-Modified", "Location", "Retry-After", "Warning", "WWW-Authenticate",
    "X-Security-Context",
]  # fmt: skip
# Those of Binary and the operations before those of every type, whose addresses hold theirs.
HOT = (oauth.router, audit_events.router, binary.router, operations.router, fhir.router)
ROUTERS = (
    *HOT,
    health.router,
    metrics.router,
    admin.router,
    admin_clients.router,
    admin_networks.router,
    docs.router,
    sign_in.router,
)


class Application(FastAPI):
    """The framework's application, with an OpenAPI document from the registry instead of from the routes."""

    guarded: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the lifespan."""
        scope["app"] = self
        await self.guarded(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The document that ``/openapi.json`` serves."""
        settings: Settings = self.state.settings
        return load_document(settings.public_url).content


def run_app() -> FastAPI:
    """The application as a web process has it: settings from ``HANDOFF_*``, and its log."""
    settings = Settings()
    configure_logging(settings.log_level)
    return create_app(settings)


def create_app(settings: Settings, *, publishing: bool = True) -> FastAPI:
    """The application.

    ``publishing`` puts what the program itself offers as resources into the database when it starts.
    """
    public_url = settings.address
    providers = load_providers(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watch_parent()
        url = settings.database_url or ""
        await await_database(url)
        pool = await open_pool(
            url,
            size=settings.pool_size,
            application_name="handoff-web",
            statement_timeout=settings.statement_timeout,
        )
        app.state.pool = pool
        app.state.hub = Hub(settings, pool, settings.base_url)
        app.state.secret_key = load_secret_key(settings)
        app.state.documents = RemoteDocuments(settings)
        app.state.issuers = Issuers(providers, app.state.documents)
        app.state.verifier = TokenVerifier(app.state.secret_key, pool, public_url, issuers=app.state.issuers)
        app.state.sessions = Sessions(
            pool,
            app.state.secret_key,
            settings.session_minutes,
            list_persons(providers, PERSONS if settings.demo_sign_in else {}),
        )
        app.state.door = find_door(app, settings, providers)
        if settings.open_as:
            logger.warning("OPEN MODE: whoever calls from this machine without a token is %s", settings.open_as)
        if publishing:
            await publish(app.state.hub)
        # What was made at the start stays: no later collection need look at it again.
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            await app.state.documents.close()
            await app.state.hub.announcer.close()
            await app.state.hub.trail.close()
            await pool.close()

    app = Application(openapi_url=None, title=TITLE, version=VERSION, lifespan=lifespan)
    app.state.settings = settings
    app.state.public_url = public_url
    app.state.limiter = RateLimiter(settings.rate_limit, settings.rate_burst)
    app.state.open_caller = read_open_caller(settings)
    app.state.token_limits = TokenLimits(settings)
    for router in ROUTERS:
        app.include_router(router)
    app.guarded = guard(app, super(Application, app).__call__)
    app.add_exception_handler(HandoffError, handle_error)
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(Exception, handle_bug)
    return app


def guard(app: Application, framework: ASGIApp) -> ASGIApp:
    """What stands around every answer, outermost last; most never come as far as the framework."""
    settings: Settings = app.state.settings
    guarded: ASGIApp = Dispatcher(framework, [route for router in HOT for route in router.routes], handle_error)
    guarded = Recorder(guarded, list_routes(), handle_error)  # it sees every answer
    if settings.allowed_origins:
        # No cookie is ever sent: whoever calls from a page brings its token itself.
        guarded = CORSMiddleware(
            guarded,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=CORS_ASKED,
            expose_headers=CORS_SHOWN,
        )
    return HeadAsGet(SecurityHeaders(guarded, tls=settings.address.startswith("https://")))


def find_door(app: FastAPI, settings: Settings, providers: tuple[Provider, ...]) -> Door | None:
    """The provider by which people sign in, if there is one."""
    secret = settings.sign_in_secret.get_secret_value() if settings.sign_in_secret else None
    for each in providers:
        if each.sign_in:
            return Door(each, each.sign_in, app.state.issuers, app.state.documents, secret)
    return None


def read_open_caller(settings: Settings) -> Caller | None:
    """Whom open mode takes everybody of this machine for; None where it is off."""
    role, _, organization = (settings.open_as or "").partition(":")
    return Caller("open", organization, check_role(role), EVERYTHING) if organization else None


async def publish(hub: Hub) -> None:
    """Puts the topics of Subscriptions in place; a database that is away is no reason not to start."""
    try:
        await publish_topics(hub)
    except HandoffError as error:
        logger.warning("The topics of Subscriptions could not be published: %s", error.diagnostics)


async def handle_error(request: Request, error: Exception) -> Response:
    """An error of ours or a bug, as an OperationOutcome."""
    if not isinstance(error, HandoffError):
        return await handle_bug(request, error)
    note_refusal(AUDIENCE if isinstance(error, AudienceBreach) else error.code)
    if error.status >= 500:
        # Never the address: an id in it may be anything that somebody typed.
        logger.error("%s answered %d: %s", request.method, error.status, error.diagnostics)
    return answer_error(request, error)


async def handle_http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses (an unknown address or method), as an OperationOutcome."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        offered = {"Allow": ", ".join(list_methods(request))}
        return await handle_error(request, MethodNotAllowed(f"{request.method} is not offered here", headers=offered))
    return await handle_error(request, NotFound("There is nothing at this address"))


def list_methods(request: Request) -> list[str]:
    """What may be done at this address (RFC 9110, 15.5.6)."""
    found: set[str] = set()
    for route in list_routes():
        if route.matches(request.scope)[0] != Match.NONE:
            found |= route.methods or set()
    return sorted(found)


def list_routes() -> list[Route]:
    """Every route, in the order in which they are tried."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]


async def handle_bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the log names its kind and place, never its text, which may hold a patient's data."""
    logger.error("%s: %s", request.method, "; ".join(describe_error(error)))
    return answer_error(request, HandoffError("Something went wrong on our side; it has been logged"))

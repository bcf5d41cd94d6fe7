"""A person's sign-in, for pages: /signin, its callback, /signout, and who is signed in."""

from html import escape
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from app.access.demonstration import PERSONS
from app.access.sessions import DEMONSTRATION, Person
from app.access.sign_in import Door, begin, check_return, seal, unseal
from app.audit.access import note_client
from app.core.errors import Forbidden, NotFound, Unauthenticated
from app.core.loopback import comes_from_here, is_loopback
from app.routers.requests import find_hub, read_query, session_cookie

router = APIRouter(include_in_schema=False)

UNDER_WAY = "handoff_signin"
NEXT = "/signin/session"
NOT_KEPT = {"Cache-Control": "no-store"}
PAGE_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/signin")
async def sign_in(request: Request) -> Response:
    """Sends the browser to the provider; in the demonstration, shows whom one can be."""
    door = check_offered(request)
    return_to = check_return(request.query_params.get("return_to", NEXT))
    if door is None:
        return choose_person(return_to)
    attempt = begin(return_to)
    address = await door.write_address(attempt, find_callback(request))
    response = RedirectResponse(address, 303, NOT_KEPT)
    sealed = seal(request.app.state.secret_key, attempt)
    # Lax, since the answer comes as a navigation from the provider's pages.
    response.set_cookie(
        UNDER_WAY, sealed, max_age=600, path="/signin", secure=is_secure(request), httponly=True, samesite="lax"
    )
    return response


@router.get("/signin/callback")
async def come_back(request: Request) -> Response:
    """Takes the provider's answer, opens a session, and goes on."""
    door = check_offered(request)
    if door is None:
        raise NotFound("There is nothing at this address")
    attempt = unseal(request.app.state.secret_key, request.cookies.get(UNDER_WAY))
    given = request.query_params.multi_items()
    answer = dict(given) if len(dict(given)) == len(given) else {}
    person = await door.finish(attempt, answer, find_callback(request))
    response = await open_session(request, person, attempt.return_to)
    response.delete_cookie(UNDER_WAY, path="/signin", secure=is_secure(request), httponly=True, samesite="lax")
    return response


@router.post("/signin/demonstration")
async def be_somebody(request: Request) -> Response:
    """Signs in as one of the demonstration's people, on this machine alone."""
    if check_offered(request) is not None:
        raise NotFound("There is nothing at this address")
    asked = dict(await read_query(request))
    name = asked.get("person", "")
    if name not in PERSONS:
        raise Forbidden("There is nobody of this name in the demonstration")
    return await open_session(
        request, Person(DEMONSTRATION, name, name, name), check_return(asked.get("return_to", NEXT))
    )


@router.post("/signout")
async def sign_out(request: Request) -> Response:
    """Ends the session, here and on the server."""
    check_offered(request)
    name = session_cookie(request)
    if value := request.cookies.get(name):
        if found := await request.app.state.sessions.find(value):
            note_client(found[1].client_id, found[1].organization, found[1].role)
        await request.app.state.sessions.end(value)
    response = RedirectResponse("/docs", 303, NOT_KEPT)
    response.delete_cookie(name, path="/", secure=is_secure(request), httponly=True, samesite="lax")
    return response


@router.get("/signin/session")
async def show_session(request: Request) -> Response:
    """Who is signed in, and the token that a page sends as X-CSRF-Token with each change."""
    check_offered(request)
    sessions, value = request.app.state.sessions, request.cookies.get(session_cookie(request))
    found = await sessions.find(value) if value else None
    if value is None or found is None:
        raise Unauthenticated("Nobody is signed in here: go to /signin")
    person, caller = found
    note_client(caller.client_id, caller.organization, caller.role)
    told = {
        "name": person.name,
        "organization": f"Organization/{caller.organization}",
        "role": caller.role,
        "csrfToken": sessions.write_token(value),
    }
    return JSONResponse(told, 200, NOT_KEPT)


def check_offered(request: Request) -> Door | None:
    """The provider; None for the demonstration. Raises NotFound where nobody can sign in here."""
    state = request.app.state
    door: Door | None = state.door
    host = urlsplit(find_hub(request).base_url).hostname
    if door is not None and (is_secure(request) or is_loopback(host)):
        return door
    here = comes_from_here(request.client.host if request.client else None, request.headers)
    if door is None and state.settings.demo_sign_in and here:
        return None
    raise NotFound("There is nothing at this address")


async def open_session(request: Request, person: Person, return_to: str) -> Response:
    """A new session, whatever cookie the browser came with."""
    state, name = request.app.state, session_cookie(request)
    caller = state.sessions.recognize(person)
    if caller is None:
        raise Forbidden("You have no place here: ask the operator")
    note_client(caller.client_id, caller.organization, caller.role)
    value = await state.sessions.open(person, request.cookies.get(name))
    response = RedirectResponse(return_to, 303, NOT_KEPT)
    lifetime = state.settings.session_minutes * 60
    response.set_cookie(
        name, value, max_age=lifetime, path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )
    return response


def is_secure(request: Request) -> bool:
    """Whether browsers reach us by https."""
    return find_hub(request).base_url.startswith("https://")


def find_callback(request: Request) -> str:
    """The address that the provider sends the browser back to."""
    return f"{find_hub(request).base_url.removesuffix('/fhir')}/signin/callback"


def choose_person(return_to: str) -> Response:
    """The demonstration's people, a button for each."""
    hidden = f'<input type=hidden name=return_to value="{escape(return_to)}">'
    buttons = "".join(
        f'<p><button name=person value="{escape(name)}">{escape(name)}, {acting.role} of {acting.organization}</button>'
        for name, acting in PERSONS.items()
    )
    form = f"<form method=post action=/signin/demonstration>{hidden}{buttons}</form>"
    page = f"<!doctype html><meta charset=utf-8><title>Sign in</title><h1>Be somebody</h1>{form}"
    return HTMLResponse(page, 200, {**NOT_KEPT, "Content-Security-Policy": PAGE_POLICY})

"""Plain routes answer without the framework, in its order; what is not plain goes to it."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from app.core.errors import NotFound
from app.core.settings import Settings
from app.main import create_app
from app.routers import fhir, oauth
from app.routers.dispatch import Dispatcher, cut_route

router = APIRouter()


@router.get("/a/known")
async def known(request: Request, size: Annotated[int, Query()] = 1) -> Response:
    return Response(str(size))


@router.get("/a/{name}")
async def named(request: Request, name: str) -> Response:
    if name == "lost":
        raise NotFound("lost")
    return Response(name)


@router.get("/a/{name}/{number}")
async def numbered(request: Request, name: str, number: int) -> Response:
    return Response(f"{name} {number}")


async def framework(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("framework")(scope, receive, send)


async def answer_error(request: Request, error: Exception) -> Response:
    return Response(type(error).__name__)


async def ask(method: str, path: str, **more: Any) -> str:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", **more}
    await Dispatcher(framework, router.routes, answer_error)(scope, None, send)  # type: ignore[arg-type]
    return bytes(sent[1]["body"]).decode()


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/a/b", "b"),
        ("GET", "/a/lost", "NotFound"),
        ("GET", "/a/known", "framework"),  # takes a parameter of the query
        ("GET", "/a/b/1", "framework"),  # takes a number
        ("GET", "/a/", "framework"),
        ("GET", "/a", "framework"),
        ("GET", "/a//b", "framework"),
        ("POST", "/a/b", "framework"),
        ("HEAD", "/a/b", "framework"),
    ],
)
async def test_who_answers(method: str, path: str, answer: str) -> None:
    assert await ask(method, path) == answer


async def test_an_application_mounted_elsewhere_is_the_frameworks() -> None:
    assert await ask("GET", "/a/b", root_path="/a") == "framework"


def test_a_parameter_of_many_parts_is_refused() -> None:
    other = APIRouter()
    other.get("/files/{path:path}")(framework)
    with pytest.raises(TypeError):
        cut_route(other.routes[0])


def test_every_route_of_the_api_is_plain() -> None:
    create_app(Settings())
    assert all(cut_route(each).plain for each in [*oauth.router.routes, *fhir.router.routes])

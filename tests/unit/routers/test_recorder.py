"""One answer for each request, whatever goes wrong with the route, with the trail, or with both."""

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.audit.access import Access
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.routers import recorder
from app.routers.recorder import Recorder

Told = list[tuple[str, int | None]]


async def answer_error(request: Request, error: Exception) -> Response:
    return Response(type(error).__name__, 503 if isinstance(error, Unavailable) else 500)


async def answer_then_fail(scope: Scope, receive: Receive, send: Send) -> None:
    """As the framework does with a bug: it answers, and raises it for the server's log."""
    await Response("bug", 500)(scope, receive, send)
    raise ValueError


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError


async def ask(app: Any) -> tuple[Told, BaseException | None]:
    """The messages that the client gets, and what comes out besides."""
    told: Told = []

    async def send(message: Any) -> None:
        told.append((message["type"], message.get("status")))

    hub = SimpleNamespace(settings=Settings(), trail=None)
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/fhir/Task",
        "headers": [],
        "query_string": b"",
        "client": None,
    }
    scope["app"] = SimpleNamespace(state=SimpleNamespace(hub=hub))
    try:
        await Recorder(app, [], answer_error)(scope, None, send)  # type: ignore[arg-type]
    except ValueError as error:
        return told, error
    return told, None


def answered(status: int) -> Told:
    return [("http.response.start", status), ("http.response.body", None)]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses that the trail takes."""
    taken: list[int] = []

    async def take(trail: object, access: Access, status: int, *, crowded: bool) -> None:
        taken.append(status)
        access.recorded = True

    monkeypatch.setattr(recorder, "record_access", take)
    return taken


@pytest.fixture
def _trail_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*arguments: object, **more: object) -> None:
        raise Unavailable("The audit trail cannot be written")

    monkeypatch.setattr(recorder, "record_access", refuse)


async def test_a_bug_is_answered_and_told_once(rows: list[int]) -> None:
    assert await ask(fail) == (answered(500), None)
    assert rows == [500]


async def test_a_bug_that_the_framework_has_answered_goes_on_to_the_log(rows: list[int]) -> None:
    told, raised = await ask(answer_then_fail)
    assert (told, type(raised)) == (answered(500), ValueError)
    assert rows == [500]


@pytest.mark.usefixtures("_trail_away")
async def test_a_bug_while_the_trail_is_away_has_one_answer() -> None:
    assert await ask(fail) == (answered(500), None)
    told, raised = await ask(answer_then_fail)
    assert (told, type(raised)) == (answered(503), ValueError)


@pytest.mark.usefixtures("_trail_away")
async def test_what_cannot_be_recorded_does_not_leave() -> None:
    assert await ask(Response("secret")) == (answered(503), None)

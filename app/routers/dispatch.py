"""Takes plain routes straight to their endpoints: no regular expressions, no dependencies, no exit stacks."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

AnswerError = Callable[[Request, Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class CutRoute:
    """One route, its path cut at the slashes: None stands for a parameter, whose names are ``names`` in order.

    A plain one has an endpoint that takes the request and the parameters as text, and gives a Response; any other
    route needs the framework.
    """

    route: Route
    parts: tuple[str | None, ...]
    names: tuple[str, ...]
    plain: bool

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The parameters, where a path of as many parts is this route's."""
        values = []
        for own, part in zip(self.parts, parts, strict=True):
            if own is None and part:
                values.append(part)
            elif own != part:
                return None
        return dict(zip(self.names, values, strict=True))


class Dispatcher:
    """Middleware that answers what belongs to a plain route; everything else goes on to the framework.

    ``routes`` are in the order in which the framework would try them.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], answer_error: AnswerError) -> None:
        self.app = app
        self.answer_error = answer_error
        self.table: dict[tuple[str, int], list[CutRoute]] = {}
        for each in routes:
            cut = cut_route(each)
            for method in cut.route.methods or ():
                self.table.setdefault((method, len(cut.parts)), []).append(cut)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.find(scope)
        if found is None or not found[0].plain:
            await self.app(scope, receive, send)
            return
        cut, parameters = found
        # For whoever looks at the scope afterwards, as the framework would leave it.
        scope.update(route=cut.route, endpoint=cut.route.endpoint, path_params=parameters)
        request = Request(scope, receive, send)
        try:
            response: Response = await cut.route.endpoint(request, **parameters)
        except Exception as error:  # noqa: BLE001 -- a bug too is answered, as the framework would
            response = await self.answer_error(request, error)
        await response(scope, receive, send)

    def find(self, scope: Scope) -> tuple[CutRoute, dict[str, str]] | None:
        """The first route of this method and path, with its parameters."""
        if scope["type"] != "http" or scope.get("root_path"):
            return None
        parts = scope["path"].split("/")
        for each in self.table.get((scope["method"], len(parts)), ()):
            parameters = each.match(parts)
            if parameters is not None:
                return each, parameters
        return None


def cut_route(route: BaseRoute) -> CutRoute:
    """The route, cut into its parts. Raises TypeError for one whose parameters are more than one part each."""
    if not isinstance(route, Route) or not all(
        type(each) is StringConvertor for each in route.param_convertors.values()
    ):
        raise TypeError(f"{route} cannot be matched part by part")
    parts = tuple(None if part.startswith("{") else part for part in route.path.split("/"))
    names = tuple(route.param_convertors)
    return CutRoute(route, parts, names, is_plain(route, names))


def is_plain(route: Route, names: tuple[str, ...]) -> bool:
    """Whether the endpoint can be called with the request and these parameters alone."""
    signature = inspect.signature(route.endpoint)
    wanted: dict[str, Any] = {"request": Request} | dict.fromkeys(names, str)
    taken = {name: each.annotation for name, each in signature.parameters.items()}
    awaited = inspect.iscoroutinefunction(route.endpoint)
    return (
        awaited
        and taken == wanted
        and signature.return_annotation is Response
        and not getattr(route, "dependencies", None)
    )

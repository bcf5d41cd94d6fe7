"""On a server's PYTHONPATH: bugs that raise with what they hold in hand, and one line of log that must be found.

Python runs a module of this name at each start (site, sitecustomize).
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

BUG, CONTROL, POISON = "please-fail", "please-leak", "please-poison"


def check_then(call: Callable[..., Any]) -> Callable[..., Any]:
    """A validation that breaks on what asks for it."""

    def checked(resource: Any, *rest: Any, **more: Any) -> Any:
        text = repr(resource)
        if CONTROL in text:
            logging.getLogger("handoff.test").error("it holds %s", text)
        if BUG in text:
            try:
                raise KeyError(text)
            except KeyError as error:
                raise RuntimeError(f"it holds {text}") from error
        return call(resource, *rest, **more)

    return checked


def build_then(call: Callable[..., Any]) -> Callable[..., Any]:
    """A compact message that cannot be made."""

    def build(claim: Any, *rest: Any) -> Any:
        if POISON in claim.facts:
            raise ValueError(f"it holds {claim.facts}")
        return call(claim, *rest)

    return build


def tell_then(call: Callable[..., Any]) -> Callable[..., Any]:
    """An event that nobody expects to fail."""

    def tell(event: Any, version: Any, *rest: Any) -> Any:
        if version is not None and POISON in version.content:
            raise RuntimeError(f"it holds {version.content}")
        return call(event, version, *rest)

    return tell


PLACES = {
    "app.fhir.validation": ("validate", check_then),
    "app.delivery.message": ("build_body", build_then),
    "app.delivery.telling": ("tell_event", tell_then),
}


class Breaker(MetaPathFinder):
    """Puts them into our modules while these are imported, before anybody takes a function from them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in PLACES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.loader is not None
        run, (name, broken) = spec.loader.exec_module, PLACES[fullname]

        def run_broken(module: ModuleType) -> None:
            run(module)
            setattr(module, name, broken(getattr(module, name)))

        spec.loader.exec_module = run_broken  # type: ignore[method-assign]
        return spec


if __name__ == "sitecustomize":  # and not where a test takes its words from here
    sys.meta_path.insert(0, Breaker())

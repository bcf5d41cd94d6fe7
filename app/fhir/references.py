"""Finds the references of a resource and reads what they name (R4 references)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from app.fhir.registry import RESOURCE_NAMES

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
NAMES = frozenset(RESOURCE_NAMES)


class FoundReference(NamedTuple):
    """A Reference element with a literal; ``expression`` is its FHIRPath, such as ``Task.input[0].valueReference``.

    ``element`` is the object in the resource itself, so that a transaction can rewrite it in place.
    """

    expression: str
    element: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Literal:
    """``Type/id`` with an optional version; ``local`` says that it is on this server."""

    type: str
    id: str
    version: str | None
    local: bool


def find_references(resource: dict[str, Any]) -> list[FoundReference]:
    """Every element with a ``reference`` text, those of contained resources and extensions included."""
    found: list[FoundReference] = []
    _walk(resource, str(resource.get("resourceType", "")), found)
    return found


def _walk(node: Any, place: str, found: list[FoundReference]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            found.append(FoundReference(place, node))
        for key, child in node.items():
            if isinstance(child, (dict, list)):
                _walk(child, f"{place}.{key}", found)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            _walk(child, f"{place}[{index}]", found)


@lru_cache(maxsize=4096)
def parse_reference(literal: str, base_url: str | None) -> Literal | None:
    """What a literal reference names; None for fragments, URNs, queries and addresses that are no resource's.

    Relative ones, and absolute ones below ``base_url``, are local (R4 references, 2.3.0.1).
    """
    local = True
    rest = literal
    if "://" in literal:
        if base_url and literal.startswith(f"{base_url}/"):
            rest = literal[len(base_url) + 1 :]
        else:
            local = False
            rest = "/".join(_last_steps(literal))
    steps = rest.split("/")
    version = None
    if len(steps) == 4 and steps[2] == "_history":
        version = steps[3]
        steps = steps[:2]
    if len(steps) != 2 or steps[0] not in NAMES or not ID.fullmatch(steps[1]):
        return None
    return Literal(steps[0], steps[1], version, local)


def _last_steps(address: str) -> list[str]:
    steps = address.split("/")
    return steps[-4:] if len(steps) > 6 and steps[-2] == "_history" else steps[-2:]

"""The table of base invariants: what each key of ``structures.json`` demands, as a function."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.fhir import datatype_invariants, definition_invariants, resource_invariants
from app.fhir.element_access import Node, objects, text


@dataclass(slots=True)
class Context:
    """The resource that the expressions call ``%rootResource``."""

    resource: Node
    _contained: frozenset[str] | None = field(default=None)

    @property
    def contained_ids(self) -> frozenset[str]:
        """Ids of the contained resources."""
        if self._contained is None:
            self._contained = frozenset(text(each, "id") for each in objects(self.resource, "contained"))
        return self._contained


@dataclass(frozen=True, slots=True)
class Invariant:
    """One invariant.

    ``find`` gives the places below the element that break it (``""`` for the element itself), in FHIRPath.
    """

    key: str
    demand: str
    find: Callable[[Node, Context], Iterable[str]]


_BROKEN = ("",)


def _of_element(key: str, demand: str, holds: Callable[[Node], bool]) -> Invariant:
    return Invariant(key, demand, lambda node, _: () if holds(node) else _BROKEN)


def _located(key: str, demand: str, find: Callable[[Node], Iterable[str]]) -> Invariant:
    return Invariant(key, demand, lambda node, _: find(node))


def _find_dangling_fragment(node: Node, context: Context) -> Iterable[str]:
    reference = text(node, "reference")
    if not reference.startswith("#") or reference == "#" or reference[1:] in context.contained_ids:
        return ()
    return _BROKEN


def _build_table() -> dict[str, Invariant]:
    table = {"ref-1": Invariant("ref-1", "a local reference names a contained resource", _find_dangling_fragment)}
    for rules in (datatype_invariants.RULES, definition_invariants.RULES, resource_invariants.RULES):
        table.update({name: _of_element(name.split("@")[0], *rule) for name, rule in rules.items()})
    table.update({key: _located(key, *rule) for key, rule in resource_invariants.LOCATED.items()})
    return table


INVARIANTS: Mapping[str, Invariant] = MappingProxyType(_build_table())
"""By key; by ``key@element`` where two elements use one key for different things."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "ele-1": "stands on every element; the walk checks it",
        "ext-1": "stands on every extension; the walk checks it",
        "txt-1": "the walk hands the narrative to app.fhir.narrative",
        "txt-2": "the walk hands the narrative to app.fhir.narrative",
    }
)
"""Invariants that are checked, but not by a function of this table."""


def find_invariant(key: str, element: str) -> Invariant | None:
    """The function for a key as stated on an element such as ``Parameters.parameter``."""
    return INVARIANTS.get(f"{key}@{element}") or INVARIANTS.get(key)

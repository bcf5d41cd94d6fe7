"""Compiles ``structures.json`` and ``value_sets.json`` into what the structure walk reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from app.fhir.grammar import GRAMMARS, Grammar
from app.fhir.invariants import Invariant, find_invariant
from app.fhir.registry import load_definition

Kind = Literal["primitive", "complex", "resource", "narrative"]

_WITHOUT_SIBLING = frozenset({("Extension", "url")})
"""Attributes rather than elements: they carry no ``_name`` (R4 extensibility)."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A required binding: the codes, alone and with their systems."""

    url: str
    codes: frozenset[str]
    concepts: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Element:
    """One JSON key; ``name`` is its FHIRPath name, ``value`` for ``valueString``."""

    key: str
    name: str
    type: str
    kind: Kind
    many: bool
    choice: str | None
    grammar: Grammar | None
    binding: Binding | None
    invariants: tuple[Invariant, ...]
    sibling: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A resource type, datatype or backbone.

    ``required`` are FHIRPath names, each with the keys of which one has to be there. An ``open`` shape is a
    resource type of which only the common elements are known.
    """

    name: str
    elements: dict[str, Element]
    siblings: dict[str, Element]
    required: tuple[tuple[str, frozenset[str]], ...]
    invariants: tuple[Invariant, ...]
    open: bool = field(default=False)


_STRUCTURES: dict[str, Any] = load_definition("structures")
_VALUE_SETS: dict[str, dict[str, list[str]] | None] = load_definition("value_sets")


@cache
def _build_binding(url: str) -> Binding | None:
    listed = _VALUE_SETS[url]
    if listed is None:
        return None
    concepts = frozenset((system, code) for system, codes in listed.items() for code in codes)
    return Binding(url, frozenset(code for _, code in concepts), concepts)


def _name_kind(type_name: str) -> Kind:
    if type_name in GRAMMARS:
        return "primitive"
    if type_name == "Resource":
        return "resource"
    return "narrative" if type_name == "xhtml" else "complex"


def _list_keys(facts: dict[str, Any], element: str) -> list[str]:
    keys: list[str] = list(facts.get("invariants", ()))
    if "." in facts["type"] and facts["type"] != element:
        # The constraints of an element stated by contentReference stand at the element that it names.
        owner, name = facts["type"].rsplit(".", 1)
        keys += _STRUCTURES[owner]["elements"][name].get("invariants", ())
    return keys


def _find_all(keys: list[str], element: str) -> tuple[Invariant, ...]:
    return tuple(found for key in keys if (found := find_invariant(key, element)))


def _build_element(owner: str, key: str, facts: dict[str, Any]) -> Element:
    choice = facts.get("choice")
    kind = _name_kind(facts["type"])
    place = facts["type"] if "." in facts["type"] else f"{owner}.{key}"
    return Element(
        key=key,
        name=choice or key,
        type=facts["type"],
        kind=kind,
        many=facts.get("many", False),
        choice=choice,
        grammar=GRAMMARS.get(facts["type"]),
        binding=_build_binding(facts["binding"]) if "binding" in facts else None,
        invariants=_find_all(_list_keys(facts, f"{owner}.{key}"), place),
        sibling=kind == "primitive" and key != "id" and (owner, key) not in _WITHOUT_SIBLING,
    )


def _build_shape(name: str) -> Shape:
    table = _STRUCTURES[name]
    elements = {key: _build_element(name, key, facts) for key, facts in table["elements"].items()}
    required: dict[str, set[str]] = {}
    for key, facts in table["elements"].items():
        if facts.get("required"):
            required.setdefault(elements[key].name, set()).update({key, f"_{key}"})
    return Shape(
        name=name,
        elements=elements,
        siblings={f"_{key}": element for key, element in elements.items() if element.sibling},
        required=tuple((each, frozenset(keys)) for each, keys in required.items()),
        invariants=_find_all(table.get("invariants", []), name),
    )


SHAPES: Mapping[str, Shape] = MappingProxyType({name: _build_shape(name) for name in _STRUCTURES})
"""Every type of ``structures.json``; a backbone by its path."""

_COMMON = ("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")

UNKNOWN_RESOURCE = Shape(
    name="DomainResource",
    elements={key: SHAPES["Basic"].elements[key] for key in _COMMON},
    siblings={key: SHAPES["Basic"].siblings[key] for key in ("_implicitRules", "_language")},
    required=(),
    invariants=(),
    open=True,
)
"""What is known of a contained resource whose type is not in the tables."""

SIBLING = Shape(
    name="Element",
    elements={key: SHAPES["Coding"].elements[key] for key in ("id", "extension")},
    siblings={},
    required=(),
    invariants=(),
)
"""The ``_name`` of a primitive (R4 json, 2.6.2.3)."""

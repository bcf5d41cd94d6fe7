"""The resource types and search parameters of this server, read from the tables in ``definitions/``."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, cast

Kind = Literal["token", "reference", "string", "date", "uri", "number", "quantity", "composite"]

ROW_KINDS = {"uri": "reference", "number": "quantity"}
"""Kinds without a child table of their own: a URI is compared whole, as a target is; a number has no unit."""

EVERY_INTERACTION = frozenset(
    {"read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"}
)
"""Codes of http://hl7.org/fhir/restful-interaction that a type has unless its line says otherwise."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value of a search parameter stands, compiled from its FHIRPath.

    ``steps`` are JSON keys (``onsetDateTime`` for a choice); arrays are flattened at each step. ``type`` is
    the FHIR type at the leaf. ``only`` are the reference targets kept (``.where(resolve() is Patient)``;
    empty keeps all). ``where`` are equality filters on children of what ``steps`` end at (``.where(system='email')``);
    ``tail`` are the steps from there to the leaf. ``systems`` are those that a required binding gives to a plain
    code, each with its codes (none is every code). ``components`` are those of a composite, whose paths begin here.
    """

    steps: tuple[str, ...]
    type: str
    only: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    tail: tuple[str, ...] = ()
    systems: tuple[tuple[str, tuple[str, ...]], ...] = ()
    components: tuple["SearchParameter", ...] = ()

    def find_system(self, code: str) -> str:
        """The system of a plain code; empty where the standard names none."""
        for system, codes in self.systems:
            if not codes or code in codes:
                return system
        return ""


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter of one type (R4, 3.1.1.4).

    ``expression`` is the part of the official FHIRPath about this type. ``many`` says that more than one
    value can come of one resource. ``absent`` is the value of a resource that has none of the elements.
    ``stored_as`` is the code that its rows stand under: that of the first parameter with the same values.
    """

    code: str
    kind: Kind
    url: str
    expression: str
    paths: tuple[Path, ...]
    targets: tuple[str, ...]
    many: bool
    absent: str | None = None
    stored_as: str = ""

    @property
    def in_rows(self) -> bool:
        """Whether its values are indexed as rows of their own rather than in a column of the type's table."""
        return self.many or self.kind in ("string", "number", "quantity", "composite")

    @property
    def row_kind(self) -> str:
        """The kind whose child table holds its rows."""
        return ROW_KINDS.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type that the server keeps.

    ``table`` is its name in snake case, unless SQL has reserved that word; a ``rendered`` type has none, but is made
    from other rows when it is read. ``directory`` types are read by everyone.
    ``versioned_update`` types take no update without If-Match.
    ``view`` are the elements that others see of one that is sheltered or in the pool; a type without any shows nothing.
    ``search`` are the parameters of its own; ``indexed`` also those of every type and, as ``code:identifier``, the
    identifiers within its references. ``includes`` are search codes for ``_include``; ``hot_indexes`` tuples of
    search codes that share an index.
    """

    name: str
    table: str
    directory: bool
    versioned_update: bool
    rendered: bool
    view: frozenset[str]
    interactions: frozenset[str]
    search: tuple[SearchParameter, ...]
    indexed: tuple[SearchParameter, ...]
    includes: tuple[str, ...]
    hot_indexes: tuple[tuple[str, ...], ...]

    @property
    def common(self) -> tuple[SearchParameter, ...]:
        """The parameters on ``meta``; what is rendered has no labels and no tags."""
        return () if self.rendered else COMMON_SEARCH

    def shows(self, parameter: SearchParameter) -> bool:
        """Whether a search parameter tells nothing but what the view does."""
        # Only a composite begins at the resource itself, and no view has all that it compares.
        return bool(self.view) and all(set(path.steps[:1]) & self.view for path in parameter.paths)

    def parameter(self, code: str) -> SearchParameter | None:
        """The search parameter of this code, if the type has it."""
        return _parameters_by_code(self.name).get(code)


def load_definition(name: str) -> Any:
    """The content of ``definitions/<name>.json``."""
    return json.loads(resources.files("app.fhir.definitions").joinpath(f"{name}.json").read_text("utf-8"))


def _build_parameter(row: dict[str, Any]) -> SearchParameter:
    paths = tuple(
        Path(
            tuple(path["steps"]),
            path["type"],
            tuple(path.get("only", ())),
            tuple((key, value) for key, value in path.get("where", ())),
            tuple(path.get("tail", ())),
            tuple((system, tuple(codes)) for system, codes in path.get("systems", {}).items()),
            tuple(_build_parameter({**row, "targets": (), **each}) for each in path.get("components", ())),
        )
        for path in row["paths"]
    )
    targets = RESOURCE_NAMES if row.get("targets") == "*" else tuple(row.get("targets", ()))
    kind = cast(Kind, row["kind"])
    return SearchParameter(
        row["code"], kind, row["url"], row["expression"], paths, targets, row["many"], row.get("absent")
    )


def _share_rows(parameters: list[SearchParameter]) -> tuple[SearchParameter, ...]:
    """Parameters of one meaning, such as ``name`` and ``phonetic``, are written once."""
    first: dict[tuple[str, tuple[Path, ...]], str] = {}
    return tuple(
        replace(each, stored_as=first.setdefault((each.kind, each.paths), each.code)) if each.in_rows else each
        for each in parameters
    )


def _list_identifiers(parameters: list[SearchParameter]) -> list[SearchParameter]:
    """What ``:identifier`` searches (R4 search, 3.1.1.4.12): tokens of the references that a parameter selects."""
    found = []
    for each in parameters:
        paths = tuple(path for path in each.paths if path.type == "Reference")
        if each.kind == "reference" and paths:
            found.append(
                replace(each, code=f"{each.code}:identifier", kind="token", paths=paths, targets=(), many=True)
            )
    return found


def _build_type(name: str, line: dict[str, Any], rows: list[dict[str, Any]]) -> ResourceType:
    # No parameter of a rendered type is a column of a table: all are compared with their system, as rows are.
    own = [_build_parameter({**row, "many": True} if line.get("rendered") else row) for row in rows]
    common = () if line.get("rendered") else COMMON_SEARCH
    indexed = _share_rows([*own, *common, *_list_identifiers(own)])
    search = indexed[: len(own)]
    if [each.code for each in search] != line["search"]:
        raise RuntimeError(f"definitions/search.json is older than types.json for {name}; generate it again")
    return ResourceType(
        name=name,
        table=line.get("table") or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(),
        directory=line.get("directory", False),
        versioned_update=line.get("versioned_update", False),
        rendered=line.get("rendered", False),
        view=frozenset(line.get("view", ())),
        interactions=frozenset(line.get("interactions", EVERY_INTERACTION)),
        search=search,
        indexed=indexed,
        includes=tuple(line.get("includes", ())),
        hot_indexes=tuple(tuple(codes) for codes in line.get("hot_indexes", ())),
    )


def _load_types() -> dict[str, ResourceType]:
    return {name: _build_type(name, line, _SEARCH[name]) for name, line in load_definition("types").items()}


RESOURCE_NAMES: tuple[str, ...] = tuple(load_definition("resource_names"))
"""Every resource type of FHIR R4, kept by this server or not."""

_SEARCH: dict[str, list[dict[str, Any]]] = load_definition("search")

COMMON_SEARCH: tuple[SearchParameter, ...] = tuple(_build_parameter(row) for row in _SEARCH["Resource"])
"""The parameters on ``meta`` that every type has, kept as child rows."""

TYPES: Mapping[str, ResourceType] = MappingProxyType(_load_types())
"""The resource types that this server keeps, by name."""


STORED: Mapping[str, ResourceType] = MappingProxyType({name: each for name, each in TYPES.items() if not each.rendered})
"""Those of them that have a table."""


def list_returning(kept: ResourceType) -> list[str]:
    """``Type:code`` of every include of another type that may lead to this one."""
    if kept.rendered:
        return []
    return [
        f"{other.name}:{code}"
        for other in TYPES.values()
        for code in other.includes
        if (parameter := other.parameter(code)) and kept.name in parameter.targets
    ]


@cache
def _parameters_by_code(resource_type: str) -> dict[str, SearchParameter]:
    return {each.code: each for each in TYPES[resource_type].indexed}

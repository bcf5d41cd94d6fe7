"""The operations of this server, from ``definitions/operations.json``, and the arguments of a call (R4 operations)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from app.core.errors import Invalid, Unprocessable, Unsupported
from app.fhir.grammar import GRAMMARS
from app.fhir.registry import load_definition
from app.fhir.validation import validate

Pairs = list[tuple[str, str]]

WHOLE = frozenset({"unsignedInt", "positiveInt"})
"""Types whose values are numbers in JSON, and digits in a query."""
MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """One argument: ``type`` is its primitive type, ``many`` says that it may be repeated."""

    name: str
    type: str
    meaning: str
    many: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a type: ``$code`` on the type, on its instances, or on both (``levels``).

    ``interaction`` is the one whose scope and role it takes. One that only reads may be called by GET as well.
    ``returns`` is the resource type of the answer; ``under_match`` says that it takes If-Match.
    """

    resource_type: str
    code: str
    definition: str
    levels: tuple[str, ...]
    interaction: str
    reads_only: bool
    meaning: str
    returns: str
    parameters: tuple[OperationParameter, ...]
    under_match: bool = False


def _load_operations() -> dict[tuple[str, str], Operation]:
    found = {}
    for name, lines in load_definition("operations").items():
        for line in lines:
            parameters = tuple(OperationParameter(**each) for each in line["parameters"])
            rest = {key: value for key, value in line.items() if key not in ("parameters", "levels")}
            found[name, line["code"]] = Operation(
                resource_type=name, levels=tuple(line["levels"]), parameters=parameters, **rest
            )
    return found


OPERATIONS: Mapping[tuple[str, str], Operation] = MappingProxyType(_load_operations())
"""By resource type and code."""


def read_parameters(resource: dict[str, Any]) -> Pairs:
    """Name and value of each parameter of a Parameters resource. Raises Invalid, Unprocessable, Unsupported."""
    if resource.get("resourceType") != "Parameters":
        raise Invalid("The body of an operation is a Parameters resource", ("resourceType",))
    issues = [each for each in validate(resource) if each.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable("This is not valid FHIR", issues=tuple(issues))
    pairs = []
    for place, each in enumerate(resource.get("parameter", ())):
        values = [value for key, value in each.items() if key.startswith("value")]
        where = (f"Parameters.parameter[{place}]",)
        if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], str | int):
            raise Unsupported(f"The parameter {each['name']} is a plain value here", where)
        pairs.append((each["name"], str(values[0])))
    return pairs


def read_arguments(operation: Operation, pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each parameter that was given. Raises Unsupported for one that there is not, Invalid."""
    known = {each.name: each for each in operation.parameters}
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        parameter = known.get(name)
        if parameter is None:
            offered = ", ".join(known) or "none"
            raise Unsupported(f"${operation.code} has no parameter {name!r}; there are: {offered}", (name,))
        whole = parameter.type in WHOLE and value.isascii() and value.isdigit()
        if problem := GRAMMARS[parameter.type](int(value[:MOST_DIGITS]) if whole else value):
            raise Invalid(f"{name}: {problem[1]}", (name,))
        found.setdefault(name, []).append(value)
        if len(found[name]) > 1 and not parameter.many:
            raise Invalid(f"{name} is given once", (name,))
    return found

"""Finds the elements of a resource that a compiled path selects."""

from typing import Any

from app.fhir.registry import Path


def walk_steps(nodes: list[Any], steps: tuple[str, ...]) -> list[Any]:
    """The values at the end of a path; lists are flattened at each step, as FHIRPath does."""
    for step in steps:
        found: list[Any] = []
        for each in nodes:
            value = each.get(step) if isinstance(each, dict) else None
            if isinstance(value, list):
                found += spread(value)
            elif value is not None:
                found.append(value)
        nodes = found
    return nodes


def spread(values: list[Any]) -> list[Any]:
    """The values of a list and of the lists in it; null is none."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found += spread(value)
        elif value is not None:
            found.append(value)
    return found


def find_values(resource: dict[str, Any], path: Path) -> list[Any]:
    """The elements that one path of a search parameter selects."""
    values = walk_steps([resource], path.steps)
    for key, wanted in path.where:
        values = [each for each in values if isinstance(each, dict) and each.get(key) == wanted]
    return walk_steps(values, path.tail) if path.tail else values

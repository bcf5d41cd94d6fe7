"""Finds the elements of a resource that a compiled path selects."""

from collections.abc import Iterator
from typing import Any

from app.fhir.registry import Path


def walk_steps(node: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    """The values at the end of a path; lists are flattened at each step, as FHIRPath does."""
    if isinstance(node, list):
        for each in node:
            yield from walk_steps(each, steps)
    elif not steps:
        if node is not None:
            yield node
    elif isinstance(node, dict) and (child := node.get(steps[0])) is not None:
        yield from walk_steps(child, steps[1:])


def find_values(resource: dict[str, Any], path: Path) -> Iterator[Any]:
    """The elements that one path of a search parameter selects."""
    for value in walk_steps(resource, path.steps):
        if not path.where or (isinstance(value, dict) and all(value.get(key) == wanted for key, wanted in path.where)):
            yield from walk_steps(value, path.tail)

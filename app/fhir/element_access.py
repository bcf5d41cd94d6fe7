"""Reads elements of a resource that may have any shape: nothing here raises."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Node = dict[str, Any]
Code = tuple[str, str]


def has(node: Node, *names: str) -> bool:
    """FHIRPath ``exists()`` of any of the elements; a primitive with only an extension exists."""
    return any(name in node or f"_{name}" in node for name in names)


def has_choice(node: Node, base: str) -> bool:
    """Whether an element such as ``value[x]`` exists."""
    length = len(base)
    for key in node:
        name = key.removeprefix("_") if isinstance(key, str) else ""
        if name.startswith(base) and name[length : length + 1].isupper():
            return True
    return False


def text(node: Node, name: str) -> str:
    """A string, or the empty one."""
    value = node.get(name)
    return value if isinstance(value, str) else ""


def number(node: Node, name: str) -> Decimal | None:
    """A number that is there."""
    value = node.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(value)


def objects(node: Node, name: str) -> list[Node]:
    """The objects of an element, one or many."""
    value = node.get(name)
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def codes(node: Node, name: str) -> set[Code]:
    """(system, code) of every Coding of a CodeableConcept, one or many."""
    return {
        (text(coding, "system"), text(coding, "code"))
        for concept in objects(node, name)
        for coding in objects(concept, "coding")
    }


def is_distinct(values: list[Any]) -> bool:
    """FHIRPath ``isDistinct()`` of strings and tuples."""
    return len(set(values)) == len(values)


def strings(node: Any) -> Iterator[str]:
    """Every string at any depth."""
    stack = [node]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)

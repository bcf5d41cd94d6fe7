"""A path selects what FHIRPath would: a list stands for its members, at each step."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.fhir.registry import Path
from app.search.elements import find_values

NAMES = st.sampled_from("abc")
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from("xy"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=30,
)
STEPS = st.lists(NAMES, max_size=3).map(tuple)
WHERE = st.lists(st.tuples(NAMES, st.sampled_from("xy")), max_size=2).map(tuple)


def define_walk(node: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    """What a path selects, by its definition."""
    if isinstance(node, list):
        for each in node:
            yield from define_walk(each, steps)
    elif not steps:
        if node is not None:
            yield node
    elif isinstance(node, dict):
        yield from define_walk(node.get(steps[0]), steps[1:])


def define_values(resource: dict[str, Any], path: Path) -> Iterator[Any]:
    """The same with the conditions of ``where`` and the steps after them."""
    for value in define_walk(resource, path.steps):
        if not path.where or (isinstance(value, dict) and all(value.get(key) == wanted for key, wanted in path.where)):
            yield from define_walk(value, path.tail)


@given(st.dictionaries(NAMES, TREES, max_size=3), STEPS, WHERE, STEPS)
def test_values_are_those_of_the_definition(
    resource: dict[str, Any], steps: tuple[str, ...], where: tuple[tuple[str, str], ...], tail: tuple[str, ...]
) -> None:
    path = Path(steps, "Element", where=where, tail=tail)
    assert find_values(resource, path) == list(define_values(resource, path))


def test_members_of_members() -> None:
    resource = {"name": [{"given": ["Minh", "Châu"]}, {"family": "Phạm"}, None, {"given": [None, "Bảo"]}]}
    assert find_values(resource, Path(("name", "given"), "string")) == ["Minh", "Châu", "Bảo"]

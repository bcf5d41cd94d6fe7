"""Bodies that are nearly right: an example with a few of its elements dropped, retyped, wrapped, doubled or swapped."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

MOST = 3
"""Changes of one body."""
WAYS = ("drop", "retype", "wrap", "double", "swap")

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
ODD = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
"""What is put in the place of an element."""

Place = tuple[Any, Any]


def list_places(body: Any) -> Iterator[Place]:
    """Every element of a body: what holds it, and its name or number there."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield body, key
            yield from list_places(value)


@st.composite
def change(draw: st.DrawFn, example: Any) -> Any:
    """An example as it is, or with up to ``MOST`` changes."""
    body = deepcopy(example)
    for _ in range(draw(st.integers(0, MOST))):
        places = list(list_places(body))
        if places:
            change_at(draw, draw(st.sampled_from(places)), places)
    return body


def change_at(draw: st.DrawFn, place: Place, places: list[Place]) -> None:
    """Changes one element where it stands."""
    holder, key = place
    match draw(st.sampled_from(WAYS)):
        case "drop":
            del holder[key]
        case "retype":
            holder[key] = draw(ODD)
        case "wrap":
            holder[key] = [holder[key]]
        case "double" if isinstance(holder, list):
            holder.insert(key, deepcopy(holder[key]))
        case "double":
            holder[draw(st.sampled_from([f"_{key}", f"{key}x", "id", "extension"]))] = deepcopy(holder[key])
        case "swap":
            other, its_key = draw(st.sampled_from(places))
            holder[key] = deepcopy(other[its_key])

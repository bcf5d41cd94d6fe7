"""Whether two pieces of FHIR JSON say the same."""

from typing import Any

from app.fhir.json_text import dump


def same(one: Any, other: Any) -> bool:
    """Whether two elements say the same, in whatever order their keys stand; 1.0 and 1.00 do not.

    R4 datatypes, decimal: the precision is part of the number.
    """
    return one is other or dump(one) == dump(other) or dump(in_order(one)) == dump(in_order(other))


def in_order(value: Any) -> Any:
    """The value with the keys of every object sorted."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(each) for each in value] if isinstance(value, list) else value

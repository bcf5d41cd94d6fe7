"""What the invariants of datatypes demand (R4 datatypes and metadata types)."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from app.fhir.element_access import Node, has, has_choice, number, objects, text
from app.fhir.json_text import ExactDecimal
from app.fhir.moments import is_after

UCUM = "http://unitsofmeasure.org"
Rule = tuple[str, Callable[[Node], bool]]


def _is_ucum_with_code(node: Node) -> bool:
    return (has(node, "code") or not has(node, "value")) and _is_ucum(node)


def _is_ucum(node: Node) -> bool:
    return not has(node, "system") or text(node, "system") == UCUM


def _is_age(node: Node) -> bool:
    value = number(node, "value")
    return _is_ucum_with_code(node) and (value is None or value > 0)


def _is_count(node: Node) -> bool:
    value = number(node, "value")
    written = value.text if isinstance(value, ExactDecimal) else str(value)
    return (
        _is_ucum_with_code(node)
        and (not has(node, "code") or text(node, "code") == "1")
        and (value is None or "." not in written)
    )


def _is_duration(node: Node) -> bool:
    return not has(node, "code") or (text(node, "system") == UCUM and has(node, "value"))


def _is_period(node: Node) -> bool:
    start, end = text(node, "start"), text(node, "end")
    return not (start and end and is_after(start, end))


def _is_range(node: Node) -> bool:
    low, high = objects(node, "low"), objects(node, "high")
    if not low or not high or _read_unit(low[0]) != _read_unit(high[0]):
        return True
    least, most = number(low[0], "value"), number(high[0], "value")
    return least is None or most is None or least <= most


def _read_unit(quantity: Node) -> tuple[str, str]:
    return text(quantity, "system"), text(quantity, "code") or text(quantity, "unit")


def _is_ratio(node: Node) -> bool:
    numerator, denominator = has(node, "numerator"), has(node, "denominator")
    return numerator == denominator and (numerator or "extension" in node)


def _is_not_negative(name: str) -> Callable[[Node], bool]:
    def holds(node: Node) -> bool:
        value = number(node, name)
        return value is None or value >= Decimal(0)

    return holds


def _needs(name: str, other: str) -> Callable[[Node], bool]:
    return lambda node: not has(node, name) or has(node, other)


def _has_offset_with_when(node: Node) -> bool:
    if not has(node, "offset"):
        return True
    when = node.get("when")
    return has(node, "when") and not (isinstance(when, list) and any(meal in when for meal in ("C", "CM", "CD", "CV")))


def _has_what_trigger_type_needs(node: Node) -> bool:
    kind = text(node, "type")
    if kind == "named-event":
        return has(node, "name")
    if kind == "periodic":
        return has_choice(node, "timing")
    return not kind.startswith("data-") or has(node, "data")


_UCUM_UNIT = "a value has a code, and a system is UCUM"

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "age-1": (f"{_UCUM_UNIT}; the value is above 0", _is_age),
        "att-1": ("an attachment with data has a contentType", _needs("data", "contentType")),
        "cnt-3": (f"{_UCUM_UNIT}; the code is 1 and the value whole", _is_count),
        "cpt-2": ("a contact point with a value has a system", _needs("value", "system")),
        "dis-1": (_UCUM_UNIT, _is_ucum_with_code),
        "drq-1": ("either path or searchParam, not both", lambda node: has(node, "path") != has(node, "searchParam")),
        "drq-2": ("either path or searchParam, not both", lambda node: has(node, "path") != has(node, "searchParam")),
        "drt-1": ("a duration with a code has a value and the system UCUM", _is_duration),
        "exp-1": ("an expression or a reference is given", lambda node: has(node, "expression", "reference")),
        "per-1": ("start is not later than end", _is_period),
        "qty-3": ("a quantity with a code has a system", _needs("code", "system")),
        "rat-1": ("numerator and denominator come together, or an extension instead", _is_ratio),
        "rng-2": ("low is not above high", _is_range),
        "tim-1": ("a duration has a durationUnit", _needs("duration", "durationUnit")),
        "tim-10": (
            "timeOfDay and when exclude each other",
            lambda node: not (has(node, "timeOfDay") and has(node, "when")),
        ),
        "tim-2": ("a period has a periodUnit", _needs("period", "periodUnit")),
        "tim-4": ("duration is not below 0", _is_not_negative("duration")),
        "tim-5": ("period is not below 0", _is_not_negative("period")),
        "tim-6": ("periodMax needs period", _needs("periodMax", "period")),
        "tim-7": ("durationMax needs duration", _needs("durationMax", "duration")),
        "tim-8": ("countMax needs count", _needs("countMax", "count")),
        "tim-9": ("offset needs a when other than C, CM, CD and CV", _has_offset_with_when),
        "trd-1": (
            "timing and data exclude each other",
            lambda node: not (has_choice(node, "timing") and has(node, "data")),
        ),
        "trd-2": ("condition needs data", _needs("condition", "data")),
        "trd-3": ("a named event has a name, a periodic one timing, a data event data", _has_what_trigger_type_needs),
    }
)
"""By key: the demand in words, and a function that tells whether an element meets it."""

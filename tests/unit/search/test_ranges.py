"""Numbers and quantities: the range that digits imply, and what is indexed."""

from decimal import Decimal
from typing import Any

import pytest

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import TYPES, Path
from app.search.kinds.number import NumberKind
from app.search.kinds.quantity import HIGHEST, LOWEST, QuantityKind
from app.search.plan import NumberRange
from app.search.ranges import parse_number

LENGTH = TYPES["Encounter"].parameter("length")


@pytest.mark.parametrize(
    ("text", "comparator", "low", "high"),
    [
        ("100", "eq", "99.5", "100.5"),
        ("100.00", "eq", "99.995", "100.005"),
        # R4 says 95 to 105 and counts one significant figure; R5 mended the range, not the count.
        ("1e2", "eq", "95", "105"),
        ("1.00e2", "eq", "99.5", "100.5"),
        ("5.40e-3", "eq", "0.005395", "0.005405"),
        ("-3", "eq", "-3.5", "-2.5"),
        (" 3", "eq", "2.5", "3.5"),
        ("ne0", "ne", "-0.5", "0.5"),
        ("ap100", "ap", "90", "110"),
        ("ap-100", "ap", "-110", "-90"),
        ("sa1e999", "sa", "9.5e998", "1.05e999"),
    ],
)
def test_the_range_of_a_number(text: str, comparator: str, low: str, high: str) -> None:
    found = parse_number("length", text)
    assert (found.comparator, found.low, found.high) == (comparator, Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    "text", ["", "x", "gt", "1,5", "1.2.3", "NaN", "Infinity", "0x1", "1e9999", "9" * 41, "gtlt5", "٣"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_number("length", text)
    assert caught.value.expression == ("length",)


@pytest.mark.parametrize(
    ("text", "system", "code"),
    [("5", None, None), ("5||mg", None, "mg"), ("5|http://u.org|mg", "http://u.org", "mg"), (r"5||m\|g", None, "m|g")],
)
def test_the_unit_of_a_quantity(text: str, system: str | None, code: str | None) -> None:
    assert LENGTH is not None
    five = NumberRange("eq", Decimal(5), Decimal("4.5"), Decimal("5.5"), system, code)
    assert QuantityKind().parse(LENGTH, None, [text], "").ranges == (five,)


@pytest.mark.parametrize("text", ["5|mg", "5|s|", "5||", "|s|mg", "5|s|mg|x"])
def test_what_is_no_quantity(text: str) -> None:
    assert LENGTH is not None
    with pytest.raises(Invalid):
        QuantityKind().parse(LENGTH, None, [text], "")


def test_modifiers_are_refused() -> None:
    assert LENGTH is not None
    for kind in (QuantityKind(), NumberKind()):
        with pytest.raises(Unsupported):
            kind.parse(LENGTH, "not", ["5"], "")


FIVE = Decimal(5)


@pytest.mark.parametrize(
    ("kind", "value", "rows"),
    [
        ("Quantity", {"value": 5}, [("", "", FIVE, FIVE)]),
        ("Quantity", {"value": 5, "unit": "mg"}, [("", "", FIVE, FIVE), ("", "mg", FIVE, FIVE)]),
        ("Quantity", {"value": 5, "unit": "mg", "system": "s", "code": "mg"}, [("s", "mg", FIVE, FIVE)]),
        ("Quantity", {"value": 5, "comparator": "<"}, [("", "", LOWEST, FIVE)]),
        ("Quantity", {"value": 5, "comparator": ">="}, [("", "", FIVE, HIGHEST)]),
        ("Quantity", {"unit": "mg"}, []),
        ("Range", {"low": {"value": 1}, "high": {"value": 5, "code": "a"}}, [("", "", Decimal(1), FIVE)]),
        ("Range", {"high": {"value": 5, "code": "a", "system": "s"}}, [("s", "a", LOWEST, FIVE)]),
        ("Range", {}, []),
        ("SampledData", {"origin": {"value": 5}}, []),
    ],
)
def test_what_is_indexed_of_a_quantity(kind: str, value: Any, rows: list[Any]) -> None:
    assert list(QuantityKind().index_value(Path((), kind), value)) == rows


def test_what_is_indexed_of_a_number() -> None:
    assert list(NumberKind().index_value(Path((), "decimal"), Decimal("1.10"))) == [
        ("", "", Decimal("1.1"), Decimal("1.1"))
    ]

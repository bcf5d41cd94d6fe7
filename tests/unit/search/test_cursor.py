"""Cursors come back as they were given; anything else is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.fhir.registry import TYPES
from app.search.cursor import check_values, read_cursor, write_cursor
from app.search.plan import Cursor, KeyValue
from app.search.sorting import parse_sort

MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_000).map(
    lambda each: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=each)
)
NUMBERS = st.decimals(allow_nan=False, places=3) | st.sampled_from([Decimal("1E+400"), Decimal("-1E-400")])
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200)


@given(TEXTS, st.lists(st.none() | TEXTS | MOMENTS | NUMBERS), st.none() | MOMENTS)
def test_round_trip(order: str, values: list[KeyValue], mark: datetime | None) -> None:
    cursor = Cursor(order, tuple(values), mark)
    assert read_cursor(write_cursor(cursor)) == cursor


@given(st.text(max_size=30))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        cursor = read_cursor(text)
    except Invalid:
        return
    assert read_cursor(write_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "e30", "WzEsMl0", "W251bGwsMV0", "WyIiLCJ4Il0", "WyIiLG51bGwsWyJ4Il1d", "💥"])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(text)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
FITTING: list[tuple[str, tuple[KeyValue, ...]]] = [
    ("_id", ("a",)),
    ("-_lastUpdated", (NOW, "a")),
    ("name,-birthdate", ("nguyen", NOW, "a")),
    ("name,-birthdate", (None, None, "a")),
]
UNFITTING: list[tuple[str, tuple[KeyValue, ...]]] = [
    ("_id", ()),
    ("_id", (None,)),
    ("_id", ("a b",)),
    ("_id", ("a", "b")),
    ("_lastUpdated", (None, "a")),
    ("_lastUpdated", ("2026", "a")),
    ("name", (NOW, "a")),
    ("name", (Decimal(1), "a")),
    ("birthdate", ("2026-01-01", "a")),
    ("name", ("nguyen", NOW)),
]


@pytest.mark.parametrize(("sort", "values"), FITTING)
def test_values_that_an_order_has(sort: str, values: tuple[KeyValue, ...]) -> None:
    check_values(Cursor(sort, values), parse_sort(TYPES["Patient"], sort, {}))


@pytest.mark.parametrize(("sort", "values"), UNFITTING)
def test_values_that_an_order_cannot_have(sort: str, values: tuple[KeyValue, ...]) -> None:
    with pytest.raises(Invalid):
        check_values(Cursor(sort, values), parse_sort(TYPES["Patient"], sort, {}))


def test_every_digit_of_a_number_comes_back() -> None:
    value = Decimal("1.123456789012345678901234567890123456789")
    assert read_cursor(write_cursor(Cursor("value-quantity", (value, "x"), None))).values[0] == value

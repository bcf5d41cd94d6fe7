"""Dates of every precision are intervals."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.search.dates import FIRST, LAST, parse_interval, read_interval, widen_interval


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-02", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        ("2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("2026-01-01T10:00Z", "2026-01-01T10:00:00", "2026-01-01T10:01:00"),
        ("2026-01-01T10:00:05Z", "2026-01-01T10:00:05", "2026-01-01T10:00:06"),
        ("2026-01-01T10:00:05.5Z", "2026-01-01T10:00:05.500000", "2026-01-01T10:00:05.600000"),
        ("2026-01-01T10:00:05.123Z", "2026-01-01T10:00:05.123000", "2026-01-01T10:00:05.124000"),
        ("2026-01-01T10:00:00+07:00", "2026-01-01T03:00:00", "2026-01-01T03:00:01"),
        ("2026-01-01T10:00:60Z", "2026-01-01T10:00:59", "2026-01-01T10:01:00"),
    ],
)
def test_interval(text: str, low: str, high: str) -> None:
    expected = tuple(datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (low, high))
    assert read_interval(text) == expected


@pytest.mark.parametrize(
    "text", ["", "20", "2026-13", "2026-02-30", "2026-1-1", "yesterday", "gt", "2026-01-01T25:00Z"]
)
def test_no_date_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_interval("birthdate", text)
    assert caught.value.expression == ("birthdate",)


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 -- made aware below
def test_an_instant_lies_in_its_own_interval(moment: datetime) -> None:
    text = moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    low, high = read_interval(text)
    assert low <= moment.replace(tzinfo=UTC) < high


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        interval = parse_interval("birthdate", text)
    except Invalid:
        return
    assert interval.low < interval.high or interval.high.year == 9999


def test_about_a_date_is_within_a_tenth_of_its_distance_from_now() -> None:
    now, low, high = (datetime(year, 1, 1, tzinfo=UTC) for year in (2030, 2019, 2020))
    near, far = widen_interval(low, high, now)
    assert (low - near, far - high) == ((now - high) / 10,) * 2
    assert widen_interval(now, now, now) == (now, now)
    assert widen_interval(low, now, high) == (low, now)
    assert widen_interval(FIRST, high, now)[0] == FIRST
    assert widen_interval(low, LAST, FIRST)[1] == LAST

"""Cursors come back as they were given; anything else is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.search.cursor import read_cursor, write_cursor
from app.search.plan import Cursor


@given(st.none() | st.integers(0, 4_000_000_000_000), st.text(alphabet="abc-.019", min_size=1, max_size=64))
def test_round_trip(milliseconds: int | None, key: str) -> None:
    at = None if milliseconds is None else datetime.fromtimestamp(milliseconds // 1000, UTC)
    assert read_cursor(write_cursor(Cursor(at, key))) == Cursor(at, key)


@given(st.text(max_size=30))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        cursor = read_cursor(text)
    except Invalid:
        return
    assert read_cursor(write_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "e30", "WzEsMl0", "WyJ4IiwieSJd", "💥"])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(text)

"""What commands print."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.cli.text import moment, plain, read_moment, span, table
from app.core.settings import Settings

HUE = Settings(time_zone="Asia/Ho_Chi_Minh", data_dir=Path("var"))


def test_a_strangers_bytes_do_not_drive_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x9bc\r\nĐà Nẵng") == "a?[2Jb?c?\nĐà Nẵng"


def test_moments_are_in_the_operators_zone() -> None:
    at = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
    assert moment(at, HUE) == "2026-11-01 15:00:00 +07"
    assert moment(None, HUE) == "-"
    assert read_moment("2026-11-01T15:00", HUE) == at
    assert read_moment("2026-11-01T08:00:00Z", HUE) == at
    assert read_moment("yesterday", HUE) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.4, "0 s"), (59, "59 s"), (61, "1 min"), (7_300, "2 h"), (200_000, "2 d")]
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("wide", 1), ("x\n", 22)]) == ["A     LONG", "wide  1", "x     22"]

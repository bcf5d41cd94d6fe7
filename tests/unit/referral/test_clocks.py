"""When a Task is overdue."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from app.core.settings import Settings
from app.referral.clocks import NEVER, UNCHANGED, Clock, move_clock, read_hours, set_clock
from tests.unit.referral.samples import patient_task, task, untouched

HOURS = read_hours("requested:urgent=24,requested:routine=72,in-progress:routine=0.5")
PHNOM_PENH = ZoneInfo("Asia/Phnom_Penh")


def until(end: str) -> dict[str, Any]:
    return {"restriction": {"period": {"end": end}}}


def hours(number: float) -> Clock:
    return Clock(after=timedelta(hours=number))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (task(), hours(72)),
        (task(priority="urgent"), hours(24)),
        (task(priority="stat"), NEVER),
        (task("in-progress"), hours(0.5)),
        (task("accepted"), NEVER),
        (task("draft", **until("2026-01-01")), NEVER),
        (task(restriction={"period": {"start": "2026-01-01"}}), hours(72)),
        (task(restriction={"repetitions": 2}), hours(72)),
        *((task(status, **until("2026-01-01")), NEVER) for status in ("completed", "rejected", "cancelled", "failed")),
        (task("entered-in-error", **until("2026-01-01")), NEVER),
        (patient_task("requested"), NEVER),
        (patient_task("ready", **until("2026-01-01T10:00:00Z")), Clock(datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC))),
    ],
)
def test_by_status_and_priority(given: Any, expected: Clock) -> None:
    assert untouched(set_clock, given, HOURS, UTC) == expected


@pytest.mark.parametrize(
    ("end", "zone", "expected"),
    [
        ("2026-11-30", UTC, datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-11-30", PHNOM_PENH, datetime(2026, 11, 30, 17, tzinfo=UTC)),
        ("2026-11", PHNOM_PENH, datetime(2026, 11, 30, 17, tzinfo=UTC)),
        ("2026", UTC, datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-11-30T17:00:00+07:00", PHNOM_PENH, datetime(2026, 11, 30, 10, 0, 1, tzinfo=UTC)),
        ("2026-11-30T17:00:00.5+07:00", UTC, datetime(2026, 11, 30, 10, 0, 0, 600_000, tzinfo=UTC)),
        ("9999-12-31", ZoneInfo("America/New_York"), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_end_that_the_requester_sets_goes_before_the_hours(end: str, zone: Any, expected: datetime) -> None:
    for status in ("requested", "accepted", "in-progress", "on-hold"):
        assert set_clock(task(status, **until(end)), HOURS, zone) == Clock(expected)


END = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (task(), task(note=[{"text": "x"}]), (None, None, UNCHANGED)),
        (task(), task(priority="urgent"), (None, None, -48 * HOUR)),
        (task(priority="urgent"), task(), (None, None, 48 * HOUR)),
        (task("draft"), task(), (None, 72 * HOUR, None)),
        (task(), task("accepted"), (None, None, None)),
        (task("accepted"), task("in-progress"), (None, HOUR / 2, None)),
        (task("on-hold"), task("accepted"), (None, None, None)),
        (task(), task(**until("2026-11-30")), (END, None, None)),
        (task(**until("2026-11-30")), task(**until("2026-12-24")), (datetime(2026, 12, 25, tzinfo=UTC), None, None)),
        (task(**until("2026-11-30")), task("accepted", **until("2026-11-30")), (None, None, UNCHANGED)),
        (task(**until("2026-11-30")), task("completed", **until("2026-11-30")), (None, None, None)),
        (task(**until("2026-11-30")), task(), (None, 72 * HOUR, None)),
    ],
)
def test_a_new_version_sets_the_clock_anew_only_where_the_deadline_is_another(
    before: Any, after: Any, expected: Any
) -> None:
    assert untouched(move_clock, before, after, HOURS, UTC) == expected


@pytest.mark.parametrize("text", ["requested:urgent", "requested:urgent=x", "asked:urgent=1", "requested:stat=-1", ","])
def test_hours_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(overdue_hours=text)


def test_no_hours_are_no_clocks() -> None:
    assert read_hours(Settings(overdue_hours="").overdue_hours) == {}
    assert read_hours(Settings().overdue_hours)["requested", "routine"] == timedelta(days=3)

"""One clock of three may be wrong."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from app.delivery.clock import Clock

HOUR = timedelta(hours=1)


def is_right(found: datetime) -> bool:
    return abs(found - datetime.now(UTC)) < timedelta(minutes=1)


def test_without_the_database_it_is_this_machines() -> None:
    assert is_right(Clock().read(None))


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_databases_clock_may_be_stepped(step: timedelta) -> None:
    clock = Clock()
    clock.read(datetime.now(UTC))
    assert is_right(clock.read(datetime.now(UTC) + step))


@pytest.mark.parametrize("skew", [600, -600])
def test_this_machines_clock_may_be_wrong(skew: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + skew)
    assert is_right(Clock().read(datetime.now(UTC)))

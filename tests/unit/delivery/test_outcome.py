"""What an answer means for a delivery."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.core.errors import Invalid
from app.core.outbound import Answer
from app.delivery.outcome import judge_answer, judge_silence, parse_schedule, read_wait

SCHEDULE = parse_schedule("0,10,100")


@pytest.mark.parametrize(
    ("status", "attempts", "age", "state"),
    [
        (200, 1, 0, "delivered"),
        (204, 3, 9_999, "delivered"),
        (301, 1, 0, "queued"),
        (307, 3, 0, "dead"),
        (400, 1, 0, "queued"),
        (400, 1, 3_600, "dead"),
        (404, 2, 3_599, "queued"),
        (408, 1, 9_999, "queued"),
        (429, 1, 9_999, "queued"),
        (410, 3, 9_999, "queued"),
        (500, 1, 9_999, "queued"),
        (500, 3, 0, "dead"),
        (503, 2, 0, "queued"),
    ],
)
def test_states(status: int, attempts: int, age: float, state: str) -> None:
    result = judge_answer(Answer(status, "", {}), attempts, age, SCHEDULE, 5)
    assert result.state == state
    assert result.status == status


def test_delays_follow_the_schedule_with_jitter() -> None:
    first = judge_answer(Answer(500, "", {}), 1, 0, SCHEDULE, 5)
    second = judge_silence("no answer", 2, SCHEDULE, 5)
    assert 9 <= first.delay <= 11
    assert 90 <= second.delay <= 110


def test_a_client_error_is_tried_for_an_hour_at_most() -> None:
    result = judge_answer(Answer(400, "", {}), 2, 3_590, SCHEDULE, 5)
    assert result.delay == 10


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("999999", 3_600.0),
        ("soon", 42.0),
        ("\xb2", 42.0),
        ("-1", 42.0),
        (None, 42.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after(header: str | None, seconds: float) -> None:
    assert read_wait(header, 42.0) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_only_lengthens_the_schedule(status: int) -> None:
    """Many answer 0 or 1 while they restart: the schedule must not be used up in a second."""
    assert judge_answer(Answer(status, "", {"retry-after": "0"}), 1, 0, SCHEDULE, 5).delay >= 9
    assert judge_answer(Answer(status, "", {"retry-after": "60"}), 1, 0, SCHEDULE, 5).delay == 60
    assert judge_answer(Answer(status, "", {"retry-after": "99999"}), 1, 0, SCHEDULE, 5).delay == 3_600


def test_retry_after_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 <= read_wait(later, 42.0) <= 100


@pytest.mark.parametrize("text", ["", "a", "1,-5", "1,,2", "inf"])
def test_a_schedule_that_is_none(text: str) -> None:
    with pytest.raises(Invalid):
        parse_schedule(text)

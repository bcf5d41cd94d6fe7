"""What an answer means for a delivery: done, again later, or dead (delivery.md, On the wire)."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.core.errors import Invalid
from app.core.outbound import Answer
from app.core.smtp import SmtpFailure
from app.delivery.claim import Result

PATIENT_CLIENT_ERRORS = frozenset({408, 425, 429})
OBEYED_WAITS = frozenset({429, 503})
LONGEST_WAIT = 3_600
LONGEST_DELAY = 10_000_000
CLIENT_ERROR_PATIENCE = 3_600
"""Seconds for which a 4xx at the head of a stream is tried again: one poison event must not hold back the rest."""


def parse_schedule(text: str) -> tuple[float, ...]:
    """The delays before each attempt, in seconds. Raises Invalid."""
    try:
        delays = tuple(float(each) for each in text.split(","))
    except ValueError:
        delays = ()
    if not delays or not all(0 <= each < LONGEST_DELAY for each in delays):
        raise Invalid(f"HANDOFF_WEBHOOK_RETRY_SCHEDULE is seconds, comma-separated, not {text!r}")
    return delays


def judge_answer(answer: Answer, attempts: int, age: float, schedule: Sequence[float], milliseconds: int) -> Result:
    """The result of an attempt that was answered; ``attempts`` counts it, ``age`` is seconds since the first."""
    if 200 <= answer.status < 300:
        return Result("delivered", 0, milliseconds, answer.status, reached=True)
    reason = f"answered {answer.status}"
    if answer.status == 410:
        # The webhook is turned off; what is queued waits in case the operator turns it on again.
        return Result("queued", 0, milliseconds, answer.status, reason, answer.text, reached=True)
    delay = next_delay(attempts, schedule)
    if delay is not None and answer.status in OBEYED_WAITS:
        # It may only lengthen: ten times "0" must not use up the whole schedule within a second.
        delay = max(delay, read_wait(answer.retry_after, delay))
    if 400 <= answer.status < 500 and answer.status not in PATIENT_CLIENT_ERRORS:
        delay = limit_patience(delay, age)
    # A client error speaks against the message; it must not hold up those of other referrals.
    reached = answer.status < 500 and answer.status not in PATIENT_CLIENT_ERRORS
    state = "dead" if delay is None else "queued"
    return Result(state, delay or 0, milliseconds, answer.status, reason, answer.text, reached)


def judge_mail(failure: SmtpFailure, attempts: int, age: float, schedule: Sequence[float], milliseconds: int) -> Result:
    """The result of a mail that was not taken: what is refused for good is treated as a client error."""
    delay = next_delay(attempts, schedule)
    if failure.refused:
        delay = limit_patience(delay, age)
    state = "dead" if delay is None else "queued"
    answer = failure.text or None
    return Result(state, delay or 0, milliseconds, failure.reply, failure.diagnostics, answer, failure.refused)


def limit_patience(delay: float | None, age: float) -> float | None:
    """The delay of what will hardly be taken later: at the end of the patience once more, then None."""
    left = CLIENT_ERROR_PATIENCE - age
    return min(delay, left) if delay is not None and left > 0 else None


def judge_silence(
    reason: str, attempts: int, schedule: Sequence[float], milliseconds: int, *, reached: bool | None = False
) -> Result:
    """The result of an attempt that was not answered; ``reached`` is None where the endpoint has no part in it."""
    delay = next_delay(attempts, schedule)
    return Result("dead" if delay is None else "queued", delay or 0, milliseconds, None, reason, None, reached)


def next_delay(attempts: int, schedule: Sequence[float]) -> float | None:
    """Seconds before the next attempt, with jitter so that many do not come back at once; None after the last."""
    if attempts >= len(schedule):
        return None
    return schedule[attempts] * random.uniform(0.9, 1.1)  # noqa: S311 -- no secret


def read_wait(retry_after: str | None, otherwise: float) -> float:
    """The seconds that a Retry-After asks for, an hour at most (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return otherwise
    seconds = retry_after.strip()
    if seconds.isascii() and seconds.isdigit():
        return float(min(int(seconds[:9]), LONGEST_WAIT))
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, OverflowError):
        return otherwise
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - datetime.now(UTC)).total_seconds(), 0), LONGEST_WAIT)


def milliseconds_since(began: float) -> int:
    """What an attempt took that ``began`` at this moment of the monotonic clock."""
    return int(1000 * (time.monotonic() - began))

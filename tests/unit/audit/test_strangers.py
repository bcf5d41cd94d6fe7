"""A flood of refusals costs the trail a bounded number of rows, and none of them goes uncounted."""

from datetime import UTC, datetime

from app.audit.strangers import COUNTED, MOST_CALLERS, MOST_LISTED, WINDOW, Strangers
from app.store.audit import AuditRow


def refusal(remote: str) -> AuditRow:
    now = datetime.now(UTC)
    return AuditRow(now, "x", None, None, None, remote, "read", None, None, None, None, 401, "login", 1, [])


def test_of_a_flood_the_first_are_listed_and_all_are_counted() -> None:
    strangers, sent = Strangers(lambda: 0.0), 5_000
    listed = sum(strangers.admit(refusal(f"10.0.0.{n % 200}")) for n in range(sent))
    counted = strangers.take()
    assert listed == MOST_LISTED
    assert len(counted) == MOST_CALLERS + 1
    assert sum(row.number for row in counted) == sent - listed
    assert {row.reason for row in counted} == {COUNTED}
    assert strangers.take() == []


def test_the_next_window_begins_anew() -> None:
    now = 0.0
    strangers = Strangers(lambda: now)
    for _ in range(MOST_LISTED):
        assert strangers.admit(refusal("10.0.0.1"))
    assert not strangers.admit(refusal("10.0.0.1"))
    now = WINDOW
    assert strangers.admit(refusal("10.0.0.1"))

"""The signed message: one signature for each secret, by the package that receivers use too."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from app.delivery.claim import Claim
from app.delivery.message import build_body, message_id, sign

OLD, NEW = "whsec_" + "A" * 32, "whsec_" + "B" * 32
CLAIM = Claim(
    id=7,
    lease="x",
    attempts=1,
    number=3,
    suspect=False,
    age=0,
    webhook_id="w",
    organization="ngo",
    url="http://127.0.0.1/",
    secret=b"",
    topic="referral-status-changed",
    sequence=5,
    focus_type="Task",
    focus_id="t",
    facts='{"task":"Task/t","status":"accepted"}',
    created_at=datetime(2026, 11, 1, 8, 0, tzinfo=UTC),
)


@pytest.mark.parametrize("secrets", [[NEW], [NEW, OLD]], ids=["one secret", "while it is rotated"])
def test_each_secret_verifies(secrets: list[str]) -> None:
    body = build_body(CLAIM, "http://handoff.test/fhir")
    headers = sign(secrets, CLAIM, body)
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == len(secrets)
    assert all(each.startswith("v1,") for each in signatures)
    for secret in secrets:
        assert Webhook(secret).verify(body, headers)["eventNumber"] == 3


def test_no_id_comes_again_for_a_later_event_of_the_same_number() -> None:
    """As after a restore from a backup, which takes the numbers of what was lost back."""
    later = replace(CLAIM, created_at=CLAIM.created_at + timedelta(microseconds=1))
    assert message_id(CLAIM) != message_id(later)
    assert message_id(CLAIM) == message_id(replace(CLAIM, attempts=2, lease="another"))


def test_the_id_outlasts_attempts_and_the_time_does_not() -> None:
    body = build_body(CLAIM, "http://handoff.test/fhir")
    first, later = (
        sign([NEW], replace(CLAIM, attempts=attempts), body, datetime(2026, 11, 1, attempts, tzinfo=UTC))
        for attempts in (1, 2)
    )
    assert first["webhook-id"] == later["webhook-id"]
    assert first["webhook-id"].startswith("evt_7_")
    assert int(later["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3_600
    assert first["webhook-signature"] != later["webhook-signature"]

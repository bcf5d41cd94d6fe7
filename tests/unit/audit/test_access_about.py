"""The trail names whom an operator's command is about, whatever the name is and however often it is said."""

import pytest

from app.audit.access import Access, access_under_way, note_interaction_of
from app.audit.address import Target
from app.audit.hashing import Hasher
from app.audit.record import build_row


@pytest.mark.parametrize("name", ["ngo", "disable"])
def test_whom_a_command_is_about_is_told_once(name: str) -> None:
    with access_under_way(Access(Target("handoff client disable"))) as access:
        note_interaction_of(name)
        note_interaction_of(name)
    assert build_row(access, Hasher(b"x" * 32), 200).interaction == f"handoff client disable {name}"

"""Ids are UUIDs of version 7 that lie in the order of their time."""

import uuid

from app.core.ids import new_id


def test_an_id_is_a_uuid_of_version_7_with_its_time() -> None:
    for milliseconds in (0, 1, 1_750_000_000_123, 2**48 - 1):
        made = new_id(milliseconds)
        found = uuid.UUID(made)
        assert str(found) == made
        assert (found.version, found.variant, found.int >> 80) == (7, uuid.RFC_4122, milliseconds)


def test_no_two_are_alike_and_every_digit_varies() -> None:
    made = {new_id(0) for _ in range(2_000)}
    assert len(made) == 2_000
    free = [n for n in range(15, 36) if n not in (18, 19, 23)]  # but the hyphens and the variant
    assert all(len({each[n] for each in made}) == 16 for n in free)
    assert {each[19] for each in made} == set("89ab")

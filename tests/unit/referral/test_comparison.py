"""Two pieces of JSON say the same whatever the order of their keys; each digit and each type counts."""

import pytest

from app.fhir.json_text import STORED_LIMITS, parse
from app.referral.comparison import same


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ('{"a":1,"b":[{"c":2,"d":3}]}', '{"b":[{"d":3,"c":2}],"a":1}', True),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":1.0}', '{"a":1.00}', False),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":0}', '{"a":-0}', False),
        ('{"a":null}', "{}", False),
        ('{"a":"1"}', '{"a":1}', False),
        ('{"a":{"b":1.10}}', '{"a":{"b":1.10}}', True),
    ],
)
def test_same(one: str, other: str, expected: bool) -> None:
    assert same(parse(one.encode(), STORED_LIMITS), parse(other.encode(), STORED_LIMITS)) is expected

"""What a receiver repeats of a message is not kept; what it says of its own is."""

import html
import json
from urllib.parse import quote

import pytest

from app.delivery.echo import strip_echo

VALUE = 'Nguyễn "An" & Bình <x>/1'
BODY = json.dumps({"task": "Task/1234", "identifier": [{"value": VALUE}], "sequence": 7}).encode()


@pytest.mark.parametrize(
    "write",
    [str, str.upper, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), html.escape, quote,
     lambda text: quote(text, safe="")],
)  # fmt: skip
def test_what_is_repeated_is_taken_out(write: object) -> None:
    assert callable(write)
    kept = strip_echo(f"No such patient: {write(VALUE)}!", BODY, ())
    assert kept.startswith("No such patient: ")
    assert "Nguy" not in kept
    assert "Bình" not in kept


def test_headers_are_secrets_too() -> None:
    assert strip_echo("you sent Bearer s3cret", b"", ["Bearer s3cret"]) == "you sent [...]"


def test_what_is_its_own_is_kept() -> None:
    assert strip_echo("Internal Server Error, request 77", BODY, ()) == "Internal Server Error, request 77"
    assert strip_echo("x", b"", ()) == "x"


def test_a_whole_echo_leaves_no_value() -> None:
    assert strip_echo(BODY.decode(), BODY, ()) == '{"task": "[...]", "identifier": [{"value": "[...]"}], "sequence": 7}'


def test_an_answer_that_was_cut_ends_before_the_value() -> None:
    assert strip_echo('{"identifier": [{"value": "Nguyễn', BODY, ()) == '{"identifier": [{"value": "[...]'

"""parse() and dump(): every digit kept, and what is no JSON object refused with its place."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.fhir.json_text import DEFAULT_LIMITS, STORED_LIMITS, ExactDecimal, Limits, dump, parse

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def written(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON texts that hold other JSON texts, compact."""
    members = st.dictionaries(KEYS.map(lambda key: dump(key)), inner, max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
        members.map(lambda parts: "{" + ",".join(f"{key}:{value}" for key, value in parts.items()) + "}"),
    )


LEAVES = st.one_of(NUMBERS, KEYS.map(lambda text: dump(text)), st.sampled_from(["true", "false", "null"]))
TEXTS = st.recursive(LEAVES, written, max_leaves=20)


@given(TEXTS)
def test_text_survives_to_the_letter(text: str) -> None:
    body = '{"a":' + text + "}"
    assert dump(parse(body.encode())) == body
    assert dump(parse(body.encode(), STORED_LIMITS)) == body


@given(TEXTS)
def test_pretty_text_means_the_same(text: str) -> None:
    content = parse(('{"a":' + text + "}").encode())
    assert dump(parse(dump(content, pretty=True).encode())) == dump(content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | KEYS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
    )
)
def test_values_survive(value: Any) -> None:
    text = json.dumps(value)
    assert parse(f'{{"a": {text}}}'.encode(), Limits(digits=400, depth=100))["a"] == value


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, STORED_LIMITS], ids=["sent", "stored"])
@pytest.mark.parametrize("number", ["1.10", "-0", "-0.0", "1e400", "1E+2", "0.10000000000000000000000001", "1" * 40])
def test_digits_are_kept(number: str, limits: Limits | None) -> None:
    content = parse(f'{{"value":{number}}}'.encode(), limits)
    assert isinstance(content["value"], ExactDecimal)
    assert content["value"].text == number
    assert dump(content) == f'{{"value":{number}}}'


def test_plain_decimals_are_written_too() -> None:
    assert dump({"value": Decimal("1.50")}) == '{"value":1.50}'


def test_what_is_no_json_value_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        dump({"value": object()})


def test_byte_order_mark_is_skipped() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "Not JSON"),
        (b"{", "line 1 column 2"),
        (b'{"a":1,}', "Not JSON"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":01}', "Not JSON"),
        (b'{"a":1} x', "Not JSON"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b'{"b":{"a":1,"a":2}}', "'a' stands twice in one object, at b"),
        (b'{"b":["x","\\u0000"]}', "U+0000 is not allowed, at b[1]"),
        (b'{"b":{"\\ud800":1}}', "surrogate"),
        (b'{"a":[' + b"1" * 41 + b"]}", "too many digits, at a[0]"),
        (b'{"a":1e10000}', "too many digits, at a"),
        (b'{"a":1e-99999999999999999999}', "too many digits"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "deeper than 64"),
        (b'{"a":' + b"[" * 100_000, "Not JSON|deeper than 64"),
    ],
)
def test_refused(raw: bytes, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(raw)
    assert any(part in refused.value.diagnostics for part in told.split("|"))


@pytest.mark.parametrize("raw", [b"", b"x", b"[1]", b'{"a":NaN}', b'{"a":', b"\xff", b'{"a":' * 5000])
def test_what_is_broken_in_the_store_is_refused_too(raw: bytes) -> None:
    with pytest.raises(Invalid):
        parse(raw, STORED_LIMITS)


def test_limits() -> None:
    assert parse(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")
    assert parse(b'{"a":"xxxx"}', Limits(string=4))
    with pytest.raises(Invalid, match="longer than 4 characters, at a"):
        parse(b'{"a":"xxxxx"}', Limits(string=4))


def test_pairs_of_surrogates_are_characters() -> None:
    assert parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert dump({"a": "\U0001f600é"}) == '{"a":"\U0001f600é"}'


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:01.eE-+\\u d8', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        content = parse(raw)
    except Invalid:
        return
    assert parse(dump(content).encode()) == content

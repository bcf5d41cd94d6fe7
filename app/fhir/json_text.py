"""Reads and writes FHIR JSON as the sender wrote it: every digit, every key, in order."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

from app.core.errors import Invalid

_SAFE_DIGITS = 18  # orjson and the models take whole numbers of 64 bits
_EXPONENT_DIGITS = 3  # an exponent of millions would make arithmetic on the number eat the memory
_EXPONENT = re.compile(r"[eE][+-]?0*(\d*)$")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a text may be: nesting, characters of a string, digits of a number."""

    depth: int = 64
    string: int = 1_048_576
    digits: int = 40


DEFAULT_LIMITS = Limits()
STORED_LIMITS = None
"""For text that we stored ourselves, checked when it came in, whatever the settings were then."""


class ExactDecimal(Decimal):
    """A number that keeps its ``text``: in FHIR, 1.10 is not 1.1 (R4 datatypes, decimal)."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> "ExactDecimal":
        number = super().__new__(cls, text)
        number.text = text
        return number


class _Reader:
    """The hooks of one parse; what they refuse is noted and its place found after the parse."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: list[tuple[object, str]] = []

    def decode(self, text: str) -> Any:
        decoder = json.JSONDecoder(
            object_pairs_hook=self.build_object,
            parse_float=self.build_decimal,
            parse_int=self.build_integer,
            parse_constant=_refuse_constant,
        )
        return decoder.decode(text)

    def build_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            self.refused.append((built, f"The key {repeated!r} stands twice in one object"))
        return built

    def build_decimal(self, text: str) -> ExactDecimal:
        exponent = _EXPONENT.search(text)
        digits = sum(map(str.isdigit, text[: exponent.start()] if exponent else text))
        if digits > self.limits.digits or (exponent and len(exponent[1]) > _EXPONENT_DIGITS):
            return self.refuse_number(text)
        try:
            return ExactDecimal(text)
        except InvalidOperation:
            return self.refuse_number(text)

    def build_integer(self, text: str) -> int | ExactDecimal:
        if len(text) <= _SAFE_DIGITS and text != "-0":
            return int(text)
        return self.build_decimal(text)

    def refuse_number(self, text: str) -> ExactDecimal:
        placeholder = ExactDecimal("0")
        short = text if len(text) <= 40 else text[:40] + "..."
        self.refused.append((placeholder, f"The number {short} has too many digits"))
        return placeholder


def _refuse_constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is not JSON (RFC 8259, 6)")


def _read_integer(text: str) -> int | ExactDecimal:
    return int(text) if len(text) <= _SAFE_DIGITS and text != "-0" else ExactDecimal(text)


_STORED = json.JSONDecoder(parse_float=ExactDecimal, parse_int=_read_integer, parse_constant=_refuse_constant)
"""What ``STORED_LIMITS`` is read with: without a hook for each object and a decoder for each text."""


def _walk(node: Any, place: str = "") -> Iterator[tuple[Any, str]]:
    """Every value of a tree with its place, such as ``input[0].type``; keys come as values too."""
    stack = [(node, place)]
    while stack:
        value, here = stack.pop()
        yield value, here
        if isinstance(value, dict):
            for key, child in value.items():
                yield key, here
                stack.append((child, f"{here}.{key}" if here else key))
        elif isinstance(value, list):
            stack.extend((child, f"{here}[{index}]") for index, child in enumerate(value))


def _refuse(reason: str, place: str) -> NoReturn:
    shown = place if len(place) <= 200 else place[:200] + "..."
    raise Invalid(f"{reason}, at {shown}" if shown else reason)


def _check_depth(content: Any, limit: int) -> None:
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > limit:
            raise Invalid(f"The JSON is nested deeper than {limit} levels")
        below: list[Any] = []
        for node in level:
            below.extend(node.values() if isinstance(node, dict) else node)
        level = [node for node in below if isinstance(node, dict | list)]


def _check_strings(content: Any, limit: int) -> None:
    for value, place in _walk(content):
        if not isinstance(value, str):
            continue
        if len(value) > limit:
            _refuse(f"A string is longer than {limit} characters", place)
        if "\0" in value:
            _refuse("The character U+0000 is not allowed", place)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                _refuse("Half of a surrogate pair is not a character", place)


def _decode_text(raw: bytes) -> str:
    if raw.startswith(_BYTE_ORDER_MARK):
        raw = raw[len(_BYTE_ORDER_MARK) :]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8: byte {error.start}") from None


def parse(raw: bytes, limits: Limits | None = DEFAULT_LIMITS) -> dict[str, Any]:
    """The JSON object of a request body; numbers that Python would change come as ``ExactDecimal``.

    ``raw`` is UTF-8. Raises ``Invalid`` with the line and column, or the path, of what it refuses: bad
    syntax, NaN, a repeated key, U+0000, half surrogate pairs, a body that is no object, and what is over
    the limits. Without limits nothing else is looked for than that it is an object.
    """
    text = _decode_text(raw)
    reader = _Reader(limits or DEFAULT_LIMITS)
    try:
        content = reader.decode(text) if limits else _STORED.decode(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"Not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise Invalid(f"The JSON is nested deeper than {reader.limits.depth} levels") from None
    if not isinstance(content, dict):
        raise Invalid("The body is not a JSON object")
    if limits is None:
        return content
    if text.count("{") + text.count("[") > limits.depth:
        _check_depth(content, limits.depth)
    if reader.refused:
        culprit, reason = reader.refused[-1]  # an earlier one may stand in a value that a repeated key replaced
        _refuse(reason, next(place for value, place in _walk(content) if value is culprit))
    if "\\u" in text or len(text) > limits.string:
        _check_strings(content, limits.string)
    return content


def _write_decimal(value: object) -> orjson.Fragment:
    if isinstance(value, ExactDecimal):
        return orjson.Fragment(value.text.encode())
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(f"{type(value).__name__} is not JSON")


def dump(value: Any, *, pretty: bool = False) -> str:
    """JSON text, compact or indented: order, digits and non-ASCII letters kept."""
    option = orjson.OPT_INDENT_2 if pretty else None
    return orjson.dumps(value, default=_write_decimal, option=option).decode()

"""What a value of each primitive type of FHIR may look like (R4 datatypes, 2.24.0.1)."""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from app.fhir.json_text import ExactDecimal

Problem = tuple[str, str]
"""A code of http://hl7.org/fhir/issue-type and what is wrong; never the value itself, which may be a patient's."""

Grammar = Callable[[Any], Problem | None]

# Whitespace is ASCII only here: a name may hold a no-break or an ideographic space.
_DATE = r"((?!0000)[0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])%s)?)?"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_DATE_ONLY = re.compile(_DATE % "")
_DATE_TIME = re.compile(_DATE % f"(?:T{_CLOCK}{_ZONE})?")
_INSTANT = re.compile(rf"((?!0000)[0-9]{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_CLOCK}{_ZONE}")
_TIME = re.compile(_CLOCK)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_LARGEST = 2_147_483_647

_NOT_TEXT: Problem = ("structure", "A JSON string is wanted here")
_EMPTY: Problem = ("value", "An empty string is not a value (R4 json)")


def check_string(value: Any) -> Problem | None:
    """A string or markdown: any text without control characters, tab and line ends excepted."""
    if not isinstance(value, str):
        return _NOT_TEXT
    if not value:
        return _EMPTY
    if value.isprintable() or not _CONTROL.search(value):
        return None
    return "value", "The string holds a control character"


def check_boolean(value: Any) -> Problem | None:
    return None if isinstance(value, bool) else ("structure", "true or false is wanted here, without quotes")


def check_decimal(value: Any) -> Problem | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return None
    return "structure", "A JSON number is wanted here, without quotes"


def check_base64(value: Any) -> Problem | None:
    """Base 64 with whitespace anywhere between; the official pattern takes exponential time on hostile text."""
    if not isinstance(value, str):
        return _NOT_TEXT
    if not value:
        return _EMPTY
    packed = "".join(value.split())
    if packed and len(packed) % 4 == 0 and _BASE64.fullmatch(packed):
        return None
    return "value", "This is not base64 (RFC 4648, 4)"


def _build_whole(name: str, least: int) -> Grammar:
    wrong: Problem = ("value", f"A whole number from {least} to {_LARGEST} is wanted here ({name})")

    def check_whole(value: Any) -> Problem | None:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return "structure", "A JSON number is wanted here, without quotes"
        if isinstance(value, Decimal):
            text = value.text if isinstance(value, ExactDecimal) else str(value)
            if not _WHOLE.fullmatch(text) or (text == "-0" and name != "integer"):
                return wrong
        return None if least <= value <= _LARGEST else wrong

    return check_whole


def _build_pattern(name: str, pattern: str, shape: str) -> Grammar:
    wrong: Problem = ("value", f"This is not a {name} of FHIR: {shape}")
    matches = re.compile(pattern, re.ASCII).fullmatch

    def check_pattern(value: Any) -> Problem | None:
        if not isinstance(value, str):
            return _NOT_TEXT
        if matches(value):
            return None
        return wrong if value else _EMPTY

    return check_pattern


def _build_date(name: str, pattern: re.Pattern[str], shape: str) -> Grammar:
    wrong: Problem = ("value", f"This is not a {name} of FHIR: {shape}")

    def check_date(value: Any) -> Problem | None:
        if not isinstance(value, str):
            return _NOT_TEXT
        found = pattern.fullmatch(value)
        if not found:
            return wrong if value else _EMPTY
        year, month, day = found.groups()
        if day is not None and day > "28" and int(day) > monthrange(int(year), int(month))[1]:
            return "value", "The month has no such day"
        return None

    return check_date


_MOMENT = "YYYY-MM-DDThh:mm:ss+zz:zz, seconds and zone included"

GRAMMARS: Mapping[str, Grammar] = MappingProxyType(
    {
        "string": check_string,
        "markdown": check_string,
        "boolean": check_boolean,
        "decimal": check_decimal,
        "base64Binary": check_base64,
        "integer": _build_whole("integer", -_LARGEST - 1),
        "positiveInt": _build_whole("positiveInt", 1),
        "unsignedInt": _build_whole("unsignedInt", 0),
        "code": _build_pattern("code", r"\S+(\s\S+)*", "no spaces at the ends, single ones between"),
        "id": _build_pattern("id", r"[A-Za-z0-9\-.]{1,64}", "letters, digits, - and ., at most 64"),
        "uri": _build_pattern("uri", r"\S+", "no spaces"),
        "url": _build_pattern("url", r"\S+", "no spaces"),
        "canonical": _build_pattern("canonical", r"\S+", "no spaces"),
        "oid": _build_pattern("oid", r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", "urn:oid:1.2.3"),
        "uuid": _build_pattern(
            "uuid", r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "urn:uuid: and a lower-case UUID"
        ),
        "date": _build_date("date", _DATE_ONLY, "YYYY, YYYY-MM or YYYY-MM-DD"),
        "dateTime": _build_date("dateTime", _DATE_TIME, f"YYYY, YYYY-MM, YYYY-MM-DD or {_MOMENT}"),
        "instant": _build_date("instant", _INSTANT, _MOMENT),
        "time": _build_pattern("time", _TIME.pattern, "hh:mm:ss"),
    }
)
"""How to check a value of each primitive type; ``xhtml`` is in ``narrative``."""

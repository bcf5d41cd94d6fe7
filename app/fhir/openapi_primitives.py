"""JSON Schemas of FHIR's primitive types, for the OpenAPI document (R4 datatypes, 2.24.0.1)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Json = dict[str, Any]

_DAY = "(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])%s)?)?"
_YEAR = "(?!0000)[0-9]{4}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_SPACELESS = r"^\S+$"
_LARGEST = 2_147_483_647


def _text(pattern: str, description: str, **more: str) -> Json:
    return {"type": "string", "pattern": pattern, "description": description, **more}


def _whole(least: int, description: str) -> Json:
    return {"type": "integer", "format": "int32", "minimum": least, "maximum": _LARGEST, "description": description}


_PRINTABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f]+$"

PRIMITIVES: Mapping[str, Json] = MappingProxyType(
    {
        "string": _text(_PRINTABLE, "Text without control characters"),
        "markdown": _text(_PRINTABLE, "Text in Markdown", contentMediaType="text/markdown"),
        "boolean": {"type": "boolean", "description": "true or false"},
        "decimal": {"type": "number", "description": "A number whose digits are kept: 1.10 is not 1.1"},
        "integer": _whole(-_LARGEST - 1, "A whole number"),
        "positiveInt": _whole(1, "A whole number from 1"),
        "unsignedInt": _whole(0, "A whole number from 0"),
        "base64Binary": _text(r"^[A-Za-z0-9+/=\s]+$", "Bytes in base64", contentEncoding="base64"),
        "code": _text(r"^\S+(\s\S+)*$", "A code: no spaces at the ends, single ones between"),
        "id": _text(r"^[A-Za-z0-9\-.]{1,64}$", "Letters, digits, - and ., at most 64"),
        "uri": _text(_SPACELESS, "A URI, absolute or relative"),
        "url": _text(_SPACELESS, "A URL"),
        "canonical": _text(_SPACELESS, "The URL of a definition, with |version where one is meant"),
        "oid": _text(r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$", "An OID as a URN"),
        "uuid": _text("^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "A lower-case UUID as a URN"),
        "date": _text(f"^{_YEAR}{_DAY % ''}$", "YYYY, YYYY-MM or YYYY-MM-DD"),
        "dateTime": _text(
            f"^{_YEAR}{_DAY % f'(T{_CLOCK}{_ZONE})?'}$", "YYYY, YYYY-MM, YYYY-MM-DD, or a moment with seconds and zone"
        ),
        "instant": _text(
            f"^{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_CLOCK}{_ZONE}$",
            "A moment with seconds and zone",
            format="date-time",
        ),
        "time": _text(f"^{_CLOCK}$", "hh:mm:ss"),
        "xhtml": {
            "type": "string",
            "minLength": 1,
            "contentMediaType": "application/xhtml+xml",
            "description": "A div of limited XHTML, as text",
        },
    }
)
"""The schema of each primitive type; the sender's grammar is ``grammar.py``, and a test holds the two together."""

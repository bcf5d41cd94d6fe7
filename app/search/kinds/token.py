"""Tokens: codes, identifiers, booleans (R4 search, 3.1.1.4.10)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import split_values, unescape
from app.search.keys import index_key
from app.search.plan import TokenCriterion, TokenValue


class TokenKind:
    def index_value(self, path: Path, value: Any) -> Iterator[tuple[str, str]]:
        """(system, code) of each coding; an absent system is empty."""
        match path.type:
            case "CodeableConcept":
                for coding in value.get("coding", ()):
                    yield from self.pair(coding.get("system"), coding.get("code"))
            case "Coding":
                yield from self.pair(value.get("system"), value.get("code"))
            case "Identifier":
                yield from self.pair(value.get("system"), value.get("value"))
            case "ContactPoint":
                yield from self.pair(None, value.get("value"))
            case "boolean":
                yield "", "true" if value else "false"
            case "dateTime":
                yield "", "true"  # Patient.deceased: that there is a time says yes
            case _:
                yield "", index_key(str(value))

    @staticmethod
    def pair(system: str | None, code: str | None) -> Iterator[tuple[str, str]]:
        if system or code:
            yield index_key(system or ""), index_key(code or "")

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> TokenCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return TokenCriterion(parameter, tuple(self.parse_value(parameter, value) for value in values))

    @staticmethod
    def parse_value(parameter: SearchParameter, text: str) -> TokenValue:
        parts = [index_key(unescape(part)) for part in split_values(text, "|")]
        if len(parts) > 2 or not any(parts):
            raise Invalid(f"{text!r} is not code, system|code, |code or system|", (parameter.code,))
        if len(parts) == 1:
            return TokenValue(None, parts[0])
        if not parameter.in_rows:
            raise Unsupported(f"{parameter.code} is a plain code here: search it without a system", (parameter.code,))
        return TokenValue(parts[0], parts[1] or None)

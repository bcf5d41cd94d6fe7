"""Tokens: codes, identifiers, booleans (R4 search, 3.1.1.4.10)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import split_values, unescape
from app.search.keys import index_key
from app.search.plan import TokenCriterion, TokenValue


class TokenKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[str, str]]:
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
            case "Reference":
                yield from self.identify(path, value)
            case _:
                yield path.find_system(str(value)), index_key(str(value))

    @staticmethod
    def pair(system: str | None, code: str | None) -> Iterator[tuple[str, str]]:
        if system or code:
            yield index_key(system or ""), index_key(code or "")

    def identify(self, path: Path, reference: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The identifier within a reference; one that does not tell the type of its target may be of any."""
        identifier, literal = reference.get("identifier"), reference.get("reference", "")
        if not identifier:
            return
        kind = literal.rsplit("/", 2)[-2] if "/" in literal else reference.get("type")
        if not path.only or kind is None or kind in path.only:
            yield from self.pair(identifier.get("system"), identifier.get("value"))

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> TokenCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        wanted = [self.parse_value(parameter, value) for value in values]
        if not parameter.in_rows:
            wanted = [plain for each in wanted for plain in self.drop_system(parameter, each)]
        return TokenCriterion(parameter, tuple(wanted))

    @staticmethod
    def parse_value(parameter: SearchParameter, text: str) -> TokenValue:
        parts = [index_key(unescape(part)) for part in split_values(text, "|")]
        if len(parts) > 2 or not any(parts):
            raise Invalid(f"{text!r} is not code, system|code, |code or system|", (parameter.code,))
        if len(parts) == 1:
            return TokenValue(None, parts[0])
        return TokenValue(parts[0], parts[1] or None)

    @staticmethod
    def drop_system(parameter: SearchParameter, wanted: TokenValue) -> Iterator[TokenValue]:
        """The value as the column holds it, a bare code; nothing where the code's system is another."""
        systems = parameter.paths[0].systems
        if wanted.system and not systems:
            raise Unsupported(f"{parameter.code} has no system here: search it without one", (parameter.code,))
        if wanted.system is None:
            yield wanted
        for system, codes in systems or (("", ()),):
            if system == wanted.system and wanted.code is None:
                yield from (TokenValue(None, code) for code in codes or (None,))
            elif system == wanted.system and (not codes or wanted.code in codes):
                yield TokenValue(None, wanted.code)

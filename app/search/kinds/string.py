"""Strings: folded, from the beginning of a word's element (R4 search, 3.1.1.4.8)."""

from collections.abc import Iterator
from typing import Any, Literal

from app.core.errors import Invalid, Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import unescape
from app.search.folding import fold_text
from app.search.plan import StringCriterion

HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
MODES: dict[str | None, Literal["prefix", "exact", "contains"]] = {
    None: "prefix",
    "exact": "exact",
    "contains": "contains",
}


class StringKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[str, str]]:
        """(folded, exact) of the text, or of each part of a name or an address."""
        if isinstance(value, str):
            yield fold_text(value), value
            return
        for part in HUMAN_NAME if path.type == "HumanName" else ADDRESS:
            found = value.get(part, ())
            for text in (found,) if isinstance(found, str) else found:
                if isinstance(text, str):
                    yield fold_text(text), text
        if path.type == "HumanName" and "text" not in value:
            # A person is asked for by whole name too, in the order that name is written in.
            given = " ".join(each for each in value.get("given", ()) if isinstance(each, str))
            family = value.get("family", "")
            if given and family:
                yield fold_text(f"{given} {family}"), f"{given} {family}"
                yield fold_text(f"{family} {given}"), f"{family} {given}"

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> StringCriterion:
        if modifier not in MODES:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        mode = MODES[modifier]
        texts = [unescape(value) if mode == "exact" else fold_text(unescape(value)) for value in values]
        if not all(texts):
            raise Invalid(f"{parameter.code} needs some text", (parameter.code,))
        return StringCriterion(parameter, tuple(texts), mode)

"""References, relative or absolute (R4 search, 3.1.1.4.12)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Invalid, Unsupported
from app.fhir.references import parse_reference
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import unescape
from app.search.keys import index_key
from app.search.plan import ReferenceCriterion


class ReferenceKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[str]]:
        """``Type/id`` without a version, the literal of what is elsewhere, a canonical with and without version.

        What stands below ``base`` is here, as R4 has it: a relative and an absolute reference to one resource match.
        """
        named = value if isinstance(value, dict) else {"reference": value}
        literal = named.get("reference")
        if not isinstance(literal, str) or literal.startswith("#"):
            return
        target = plain_target(literal, base)
        kind = target.rsplit("/", 2)[-2] if "/" in target else named.get("type")
        if not path.only or kind in path.only:
            yield (index_key(target),)
            if path.type == "canonical" and "|" in target:
                yield (index_key(target.partition("|")[0]),)

    def parse(
        self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str
    ) -> ReferenceCriterion:
        """Absolute references below our own base count as relative ones, as does a bare id of any target type."""
        if modifier and modifier not in parameter.targets:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        targets: list[str] = []
        for value in values:
            text = unescape(value)
            if not text:
                raise Invalid(f"{parameter.code} needs a reference", (parameter.code,))
            if "/" in text or text.startswith("urn:"):
                targets.append(self.narrow(parameter, modifier, plain_target(text, base)))
            else:
                kinds = (modifier,) if modifier else parameter.targets
                targets.extend(f"{kind}/{text}" for kind in kinds)
        return ReferenceCriterion(parameter, tuple(index_key(target) for target in targets))

    @staticmethod
    def narrow(parameter: SearchParameter, modifier: str | None, target: str) -> str:
        if modifier and f"{modifier}/" not in target:
            raise Invalid(f"{target} is not a reference to {modifier}", (parameter.code,))
        return target


def plain_target(literal: str, base: str | None = None) -> str:
    """``Type/id`` for what is relative or below ``base``, the literal itself for what is elsewhere."""
    found = parse_reference(literal, base)
    return f"{found.type}/{found.id}" if found and found.local else literal

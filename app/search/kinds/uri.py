"""URIs, compared whole (R4 search, 3.1.1.4.9)."""

from collections.abc import Iterator
from typing import Any

from app.core.errors import Unsupported
from app.fhir.registry import Path, SearchParameter
from app.search.escaping import unescape
from app.search.keys import index_key
from app.search.plan import UriCriterion


class UriKind:
    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[str]]:
        yield (index_key(str(value)),)

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> UriCriterion:
        if modifier:
            raise Unsupported(f"The modifier :{modifier} is not offered on {parameter.code}", (parameter.code,))
        return UriCriterion(parameter, tuple(index_key(unescape(value)) for value in values))

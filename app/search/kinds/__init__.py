"""One file per kind of search parameter, behind one protocol."""

from collections.abc import Iterator
from typing import Any, Protocol

from app.fhir.registry import Path, SearchParameter
from app.search.kinds import composite, date, number, quantity, reference, string, token, uri
from app.search.plan import Criterion


class Kind(Protocol):
    """What the engine asks of a kind: values of its child table's columns, and criteria from query text."""

    def index_value(self, path: Path, value: Any, base: str | None = None) -> Iterator[tuple[Any, ...]]:
        """The index rows of one element: as wide as the kind's child table has value columns.

        References below ``base``, our own address, count as relative ones.
        """

    def parse(self, parameter: SearchParameter, modifier: str | None, values: list[str], base: str) -> Criterion:
        """The criterion of OR-joined, still escaped values. Raises Invalid or Unsupported."""


KINDS: dict[str, Kind] = {
    "token": token.TokenKind(),
    "reference": reference.ReferenceKind(),
    "string": string.StringKind(),
    "date": date.DateKind(),
    "uri": uri.UriKind(),
    "number": number.NumberKind(),
    "quantity": quantity.QuantityKind(),
}
KINDS["composite"] = composite.CompositeKind(dict(KINDS))

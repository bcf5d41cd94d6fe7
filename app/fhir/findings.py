"""Gathers the issues of one validation: so many of them, and how many more there were."""

import re

from app.core.errors import Issue

MOST_ISSUES = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Findings:
    """Issues in the order found; those past ``MOST_ISSUES`` are only counted."""

    __slots__ = ("count", "listed")

    def __init__(self) -> None:
        self.listed: list[Issue] = []
        self.count = 0

    def add(self, code: str, place: str, diagnostics: str) -> None:
        """Notes an error at a FHIRPath; an empty ``place`` is none."""
        self.count += 1
        if self.count <= MOST_ISSUES:
            self.listed.append(Issue("error", code, diagnostics, (place,) if place else ()))

    def finish(self) -> list[Issue]:
        """The issues, with one more that says how many were left out."""
        left_out = self.count - len(self.listed)
        if left_out:
            return [*self.listed, Issue("error", "structure", f"{left_out} more issues are not listed")]
        return self.listed


def extend_place(place: str, key: object) -> str:
    """The FHIRPath of a key that the sender made up; what is no name of an element is not repeated."""
    if isinstance(key, str) and _NAME.fullmatch(key):
        return f"{place}.{key}"
    return place

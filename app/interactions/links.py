"""The resources that a resource refers to: loaded once for each write, and checked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import Issue, Severity, Unprocessable
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.references import find_references, parse_reference
from app.fhir.registry import STORED, TYPES
from app.interactions.unit import Unit
from app.store.audience import sees_part, sees_whole
from app.store.rows import Key, Stored


@dataclass
class Links:
    """``loaded`` holds every row referred to, seen by the caller or not; ``visible`` asks which."""

    unit: Unit
    loaded: dict[Key, Stored] = field(default_factory=dict)

    def visible(self, key: Key) -> Stored | None:
        """The row, if the caller sees it and it is not deleted: anything else is a reference to nothing."""
        stored = self.loaded.get(key)
        if stored is None or stored.deleted:
            return None
        scope = self.unit.scope
        in_part = TYPES[stored.type].directory and sees_part(scope, stored)
        return stored if in_part or sees_whole(scope, stored) else None

    def all_visible(self) -> dict[Key, Stored]:
        """The loaded rows that the caller sees."""
        return {key: stored for key, stored in self.loaded.items() if self.visible(key)}

    def visible_at(self, literal: Any) -> Stored | None:
        """The row that a literal reference names, as ``visible``."""
        key = local_key(literal, self.unit.hub.base_url)
        return self.visible(key) if key else None

    async def load(self, keys: Iterable[Key]) -> None:
        """Loads those not loaded yet."""
        missing = [key for key in keys if key not in self.loaded]
        if missing:
            self.loaded |= await self.unit.session.find_rows(missing)


def local_key(literal: Any, base_url: str) -> Key | None:
    """(type, id) of a reference to a resource of this server, None for any other."""
    if not isinstance(literal, str):
        return None
    target = parse_reference(literal, base_url)
    return (target.type, target.id) if target and target.local and target.type in STORED else None


def referred_keys(resource: dict[str, Any], base_url: str) -> set[Key]:
    """The resources of this server that a resource refers to."""
    keys = {local_key(found.element.get("reference"), base_url) for found in find_references(resource)}
    return {key for key in keys if key}


def check_references(
    links: Links, resource: dict[str, Any], own: Key, root: str, before: dict[str, Any] | None = None
) -> list[Issue]:
    """Warnings, or with ``HANDOFF_REFERENCES=strict`` a refusal, for references to nothing that the caller sees.

    Raises Unprocessable in strict mode, with an issue for each.
    """
    mode = links.unit.hub.settings.references
    if mode == "off":
        return []
    missing = []
    for found in find_references(resource):
        literal = found.element["reference"]
        key = local_key(literal, links.unit.hub.base_url)
        if key and key != own and key not in links.unit.coming and links.visible(key) is None:
            expression = found.expression.replace(resource["resourceType"], root, 1)
            missing.append((literal, f"{expression}.reference"))
    # What stood there before was weighed then: whoever now changes something else need not see it.
    known = {found.element["reference"] for found in find_references(before or {})} if missing else set()
    severity: Severity = "error" if mode == "strict" else "warning"
    issues = [
        Issue(severity, "not-found", f"{literal} names nothing here", (place,))
        for literal, place in missing
        if literal not in known
    ]
    if issues and mode == "strict":
        raise Unprocessable("References to nothing", issues=tuple(issues))
    return issues


def read_content(stored: Stored) -> dict[str, Any]:
    """The content of a stored version, its digits kept: any number that was accepted can be read again."""
    return parse(stored.content.encode(), STORED_LIMITS)

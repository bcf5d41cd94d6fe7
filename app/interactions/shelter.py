"""What directory entries show to others: all of it, or the part that leads nobody to a shelter (access.md)."""

from typing import Any

from app.core.caller import EVERYONE
from app.fhir.json_text import dump
from app.fhir.labels import is_labelled
from app.fhir.moments import write_instant
from app.fhir.registry import TYPES
from app.interactions.links import local_key, read_content
from app.interactions.unit import SYSTEM, Unit
from app.referral.part import take_part
from app.referral.root import literals_at
from app.referral.shelter import is_sheltering
from app.store.parts import find_referring, hold_directory, set_shown
from app.store.rows import Key, Stored

Resource = dict[str, Any]

SHELTERED_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "HealthcareService": (("Organization", "providedBy"),),
    "Location": (("Organization", "managingOrganization"), ("Location", "partOf")),
    "PractitionerRole": (
        ("HealthcareService", "healthcareService"),
        ("Location", "location"),
        ("Organization", "organization"),
    ),
}
"""By type, what an entry names that shelters it: (type, element)."""

SHELTERS: dict[str, tuple[tuple[str, str], ...]] = {
    "HealthcareService": (("Location", "location"), ("Organization", "providedBy")),
    "PractitionerRole": (("Practitioner", "practitioner"),),
}
"""By type, what an entry names that it shelters: (type, element)."""

NAMED_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "Organization": (
        ("HealthcareService", "organization"),
        ("Location", "organization"),
        ("PractitionerRole", "organization"),
    ),
    "HealthcareService": (("PractitionerRole", "service"),),
    "Location": (("HealthcareService", "location"), ("Location", "partof"), ("PractitionerRole", "location")),
    "Practitioner": (("PractitionerRole", "practitioner"),),
}
"""By type, what names an entry: (type, search parameter)."""

DEEPEST = 8
"""Places within places that are followed; what lies deeper shows nothing, for it may lie within a shelter."""


async def settle_shelter(unit: Unit, stored: Stored, before: Resource | None, after: Resource | None) -> None:
    """After a directory entry was written: what it shows, and what those show that hang on it.

    Only what belongs to the same organisation hangs on it: nobody shelters, or bares, what is another's.
    """
    await hold_directory(unit.connection, stored.owner_org)
    shelter = Shelter(unit, stored.owner_org)
    was = before is not None and EVERYONE not in stored.shared_with
    now = after is not None and await shelter.covers(stored, after)
    if after is not None:
        await shelter.show(stored, after, sheltered=now)
    if was or now:
        named = [key for each in (before, after) if each for key in shelter.find_named(each, SHELTERS)]
        await shelter.settle_hanging(stored, named)


class Shelter:
    """The entries of one organisation, looked at within one transaction."""

    def __init__(self, unit: Unit, owner_org: str) -> None:
        self.unit = unit
        self.owner_org = owner_org

    def find_named(self, content: Resource, table: dict[str, tuple[tuple[str, str], ...]]) -> list[Key]:
        """What an entry names in the elements that the table gives for its type."""
        found = []
        for name, element in table.get(content["resourceType"], ()):
            keys = (local_key(each, self.unit.hub.base_url) for each in literals_at(content.get(element)))
            found += [key for key in keys if key and key[0] == name]
        return found

    async def load(self, keys: list[Key]) -> list[Stored]:
        """Those of them that are this organisation's."""
        rows = await self.unit.session.find_rows(keys)
        return [rows[key] for key in sorted(rows) if not rows[key].deleted and rows[key].owner_org == self.owner_org]

    async def find_naming(self, stored: Stored, *types: str) -> list[Stored]:
        """What names an entry, of these types."""
        found = []
        for name, code in NAMED_BY.get(stored.type, ()):
            if name in types:
                found += await find_referring(
                    self.unit.connection, SYSTEM, name, code, stored.reference, self.owner_org
                )
        return found

    async def covers(self, stored: Stored, content: Resource, within: tuple[Key, ...] = ()) -> bool:
        """Whether an entry is sheltered: for what it says itself, or as part of something that is.

        ``within`` are the entries that were asked about on the way here: places may be within each other.
        """
        if is_sheltering(content) or len(within) == DEEPEST:
            return True
        within = (*within, stored.key)
        for each in await self.load([key for key in self.find_named(content, SHELTERED_BY) if key not in within]):
            inner = read_content(each)
            # An Organization that merely has a shelter among its services does not hide the others.
            if is_labelled(inner) if each.type == "Organization" else await self.covers(each, inner, within):
                return True
        shelters = [name for name, named in SHELTERS.items() if any(kind == stored.type for kind, _ in named)]
        for each in await self.find_naming(stored, *shelters):
            if each.key not in within and await self.covers(each, read_content(each), within):
                return True
        return False

    async def show(self, stored: Stored, content: Resource, *, sheltered: bool) -> None:
        """Shows an entry to everyone, or its part; of a type that has none, nothing."""
        part = None
        if sheltered and TYPES[stored.type].view:
            stamp = write_instant(stored.last_updated)
            part = dump(take_part({**content, "id": stored.id}, stored.version, stamp))
        whole = () if sheltered else (EVERYONE,)
        await set_shown(self.unit.connection, stored.key, whole, part, (EVERYONE,) if part else ())

    async def settle_hanging(self, stored: Stored, named: list[Key]) -> None:
        """Settles what hangs on an entry whose shelter has come or gone, or that has come to name something else."""
        hanging = await self.load(named) + await self.find_naming(stored, *SHELTERED_BY)
        for each in hanging:
            content = read_content(each)
            was, now = EVERYONE not in each.shared_with, await self.covers(each, content)
            if was != now:
                await self.show(each, content, sheltered=now)
                await self.settle_hanging(each, self.find_named(content, SHELTERS))

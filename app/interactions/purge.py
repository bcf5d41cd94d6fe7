"""Erases a patient and all that is about them, for good: lawful erasure, by the operator alone, audited."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.audit.access import entry_under_way, note_recorded, note_target
from app.audit.address import Target
from app.core.caller import EVERYONE
from app.core.database import Connection
from app.core.errors import Conflict, Invalid, NotFound
from app.delivery.erasure import erase_events
from app.fhir.json_text import STORED_LIMITS, dump, parse
from app.interactions.hub import Hub
from app.interactions.links import local_key, referred_keys
from app.interactions.operate import OPERATOR
from app.interactions.unit import SYSTEM, Unit, run_unit
from app.search.extract import index_rows
from app.store.erasure import (
    Version,
    erase_referrals,
    erase_resources,
    erase_versions,
    find_contents_of,
    find_naming,
    find_readers,
    hold_referrals,
    load_every_version,
    load_members,
    stands_in,
)
from app.store.patients import patient_parameter
from app.store.rows import Key

Identifier = tuple[str | None, str]
"""(system, value)"""

ROUNDS = 10
"""Times that it looks again for what was written meanwhile."""
ADDRESSES = ("url", "reference", "uri")
"""Elements that may name a Binary."""


@dataclass
class Erasure:
    """What is erased: resources whole, and versions of the past of those that are about somebody else by now.

    ``left`` are (resource, what it names, whether it still does so) of what stays; ``told`` are organisations that read
    some of it, or were sent some.
    """

    resources: dict[Key, int] = field(default_factory=dict)
    versions: set[tuple[str, str, int]] = field(default_factory=set)
    referrals: set[str] = field(default_factory=set)
    left: set[tuple[str, str, bool]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.resources or self.versions)

    @property
    def references(self) -> list[str]:
        """Those of the resources."""
        return sorted(f"{name}/{each}" for name, each in self.resources)

    def count(self) -> dict[str, int]:
        """How many of each type."""
        names = sorted(name for name, _ in self.resources)
        return {name: names.count(name) for name in dict.fromkeys(names)}

    def take(self, versions: Iterable[Version]) -> None:
        """Erases these resources whole."""
        for each in versions:
            self.resources[each.key] = each.now
            self.referrals |= {each.referral} if each.referral else set()

    def add(self, other: "Erasure") -> None:
        """What another look has found too."""
        self.resources |= other.resources
        self.versions |= other.versions
        self.referrals |= other.referrals
        self.told |= other.told
        erased = set(self.references)
        self.left = {each for each in self.left | other.left if each[0] not in erased}


def read_patient(reference: str) -> Key:
    """(Patient, id). Raises Invalid for any other reference."""
    key = local_key(reference, "")
    if key is None or key[0] != "Patient" or reference != f"Patient/{key[1]}":
        raise Invalid(f"{reference!r} is not Patient/ID")
    return key


async def plan_purge(hub: Hub, reference: str) -> Erasure:
    """What would be erased. Raises Invalid, and NotFound where there is nothing of that patient."""
    key = read_patient(reference)
    note_target(*key)
    async with hub.pool.acquire() as connection:
        found = await Search(connection, hub.base_url, key).run()
    if not found:
        raise NotFound(f"There is nothing of {reference} here")
    return found


async def purge_patient(hub: Hub, reference: str) -> Erasure:
    """Erases in one transaction, then looks again until nothing is found that was written meanwhile.

    Raises as ``plan_purge``, and Conflict where somebody goes on writing about the patient.
    """
    key = read_patient(reference)
    note_target(*key)
    erased = Erasure()
    for _ in range(ROUNDS):
        found = await erase_found(hub, key)
        if not found:
            break
        erased.add(found)
    else:
        raise Conflict(f"Somebody goes on writing about {reference}: disable that client, and give the command again")
    if not erased:
        raise NotFound(f"There is nothing of {reference} here")
    note_recorded()
    return erased


async def erase_found(hub: Hub, key: Key) -> Erasure:
    """One look and what it erased, in one transaction with the row of the audit trail."""
    with entry_under_way(Target("handoff purge", *key), ()) as access:

        async def work(unit: Unit) -> Erasure:
            found = await Search(unit.connection, hub.base_url, key).run()
            access.given, access.recorded = found.references, not found
            if found:
                await erase(unit.connection, found)
            return found

        return await run_unit(hub, OPERATOR, work)


async def erase(connection: Connection, found: Erasure) -> None:
    """In the transaction under way."""
    await hold_referrals(connection, found.referrals)
    versions = [f"{name}/{each}/_history/{number}" for name, each, number in found.versions]
    found.told |= await erase_events(connection, found.referrals, [*found.references, *versions])
    await erase_resources(connection, found.resources)
    await erase_versions(connection, found.versions)
    await erase_referrals(connection, found.referrals)


@dataclass
class Search:
    """Looks for all that is about one patient."""

    connection: Connection
    base_url: str
    patient: Key
    found: Erasure = field(default_factory=Erasure)

    async def run(self) -> Erasure:
        reference = "/".join(self.patient)
        naming = await find_naming(self.connection, SYSTEM, [reference])
        naming += await load_every_version(self.connection, SYSTEM, [self.patient])
        about = [each for each in naming if each.key == self.patient or self.find_patients(each) == {reference}]
        self.found.take(each for each in about if each.last)
        self.found.versions = {(*each.key, each.version) for each in about if each.key not in self.found.resources}
        await self.take_referrals()
        binaries, identifiers = await self.find_hangers_on()
        await self.settle(binaries, identifiers)
        self.found.told = await find_readers(self.connection, SYSTEM, self.found.resources) - {EVERYONE}
        return self.found

    def find_patients(self, version: Version) -> set[str]:
        """The Patients that a version is about, as its index says; a Provenance is about what it targets."""
        parameter = patient_parameter(version.type)
        if parameter is None or version.type == "Provenance":
            return set()
        return {row[-1] for row in index_rows(parameter, read(version), self.base_url)}

    async def take_referrals(self) -> None:
        """What belongs to an erased referral and is about no patient goes with its root."""
        roots = self.found.referrals & set(self.found.references)
        members = await load_members(self.connection, SYSTEM, roots)
        self.found.take(each for each in members if each.last and not self.find_patients(each))

    async def find_hangers_on(self) -> tuple[dict[Key, Version], set[Identifier]]:
        """The Binaries that erased resources name or rule, those of the same organisations; the patient's identifiers.

        Somebody may name a Binary of another organisation, and must not have it erased thereby.
        """
        versions = await load_every_version(self.connection, SYSTEM, self.found.resources)
        owners: dict[Key, set[str]] = {}
        for each in versions:
            for key in find_binaries(read(each), self.base_url):
                owners.setdefault(key, set()).add(each.owner_org)
        ruled = await find_contents_of(self.connection, self.found.references)
        candidates = await load_every_version(self.connection, SYSTEM, {*owners, *ruled})
        binaries = {
            each.key: each
            for each in candidates
            if each.last and (each.key in ruled or each.owner_org in owners.get(each.key, ()))
        }
        own = [find_identifiers(read(each)) for each in versions if each.key == self.patient]
        return binaries, set().union(*own)

    async def settle(self, binaries: dict[Key, Version], identifiers: set[Identifier]) -> None:
        """Takes the Binaries and Provenances that nothing of others needs, and notes what stays and names them."""
        wanted = {*self.found.references, *(f"{name}/{each}" for name, each in binaries)}
        naming = await find_naming(self.connection, SYSTEM, wanted)
        others = [each for each in naming if each.key not in self.found.resources and each.key not in binaries]
        needed = {
            key
            for each in others
            if each.last and each.type != "Provenance"
            for key in referred(each, self.base_url)
            if key in binaries and binaries[key].owner_org == each.owner_org
        }
        self.found.take(version for key, version in binaries.items() if key not in needed)
        provenances = [each for each in others if each.type == "Provenance"]
        self.found.take(each for each in provenances if each.last and self.targets_all_erased(each))
        texts = {f'"value":{dump(value)}' for _, value in identifiers}
        for each in [*others, *await find_naming(self.connection, SYSTEM, (), texts)]:
            self.note_left(each, identifiers)

    def targets_all_erased(self, version: Version) -> bool:
        targets = {local_key(each.get("reference"), self.base_url) for each in read(version).get("target", ())}
        return targets <= set(self.found.resources)

    def note_left(self, version: Version, identifiers: set[Identifier]) -> None:
        """What a resource that stays says of the erased."""
        if version.key in self.found.resources or (*version.key, version.version) in self.found.versions:
            return
        keys = referred(version, self.base_url) & set(self.found.resources)
        names = [f"{name}/{each}" for name, each in keys]
        names = names or [each for each in self.found.references if stands_in(each, version.content)]
        if identifiers & find_identifiers(read(version)):
            names.append("an identifier of the patient")
        self.found.left |= {("/".join(version.key), each, version.last) for each in names}


def read(version: Version) -> dict[str, Any]:
    return parse(version.content.encode(), STORED_LIMITS)


def walk(node: Any, wanted: Callable[[str, Any], bool]) -> Iterator[Any]:
    """The values of all elements that are ``wanted`` by name and value."""
    if isinstance(node, dict):
        for name, value in node.items():
            if wanted(name, value):
                yield value
            yield from walk(value, wanted)
    elif isinstance(node, list):
        for each in node:
            yield from walk(each, wanted)


def find_binaries(resource: dict[str, Any], base_url: str) -> set[Key]:
    """The Binaries that a resource names, by reference or by an attachment's address."""
    addresses = walk(resource, lambda name, value: name in ADDRESSES and isinstance(value, str))
    return {key for each in addresses if (key := local_key(each, base_url)) and key[0] == "Binary"}


def referred(version: Version, base_url: str) -> set[Key]:
    """What a version names."""
    resource = read(version)
    return referred_keys(resource, base_url) | find_binaries(resource, base_url)


def find_identifiers(resource: dict[str, Any]) -> set[Identifier]:
    """All identifiers in a resource, those in its references too."""
    found = set()
    for value in walk(resource, lambda name, _: name == "identifier"):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and isinstance(each.get("value"), str):
                found.add((each.get("system"), each["value"]))
    return found

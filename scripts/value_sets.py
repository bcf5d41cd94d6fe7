"""Lists the codes of the value sets that required bindings name."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

NOT_LISTED = {
    "http://hl7.org/fhir/ValueSet/all-languages": "BCP 47 is a grammar",
    "http://hl7.org/fhir/ValueSet/mimetypes": "BCP 13 is a register",
    "http://hl7.org/fhir/ValueSet/ucum-units": "UCUM is a grammar",
    "http://hl7.org/fhir/ValueSet/currencies": "ISO 4217 is a register",
    "http://hl7.org/fhir/ValueSet/supplydelivery-type": "its code system is not in the directory",
}
"""Value sets whose codes are in no file of the standard; bound elements keep their type's own grammar."""


class CannotExpandError(Exception):
    """A value set has a form that this script does not know."""


def list_concepts(concepts: list[Json]) -> Iterator[str]:
    """The codes of a code system, with the children of each concept."""
    for concept in concepts:
        yield concept["code"]
        yield from list_concepts(concept.get("concept", []))


def find_concept(concepts: list[Json], code: str) -> Json | None:
    """The concept of a code, at any depth."""
    for concept in concepts:
        found = concept if concept["code"] == code else find_concept(concept.get("concept", []), code)
        if found is not None:
            return found
    return None


def expand_include(url: str, include: Json, known: dict[str, Json]) -> dict[str, set[str]]:
    """The codes, by system, that one include or exclude names."""
    codes: dict[str, set[str]] = {}
    for other in include.get("valueSet", ()):
        for system, named in (expand_value_set(other.split("|")[0], known) or {}).items():
            codes.setdefault(system, set()).update(named)
    if "system" not in include:
        return codes
    if "concept" in include:
        listed = {each["code"] for each in include["concept"]}
    else:
        if include["system"] not in known:
            raise CannotExpandError(f"{url}: no code system {include['system']}")
        concepts = known[include["system"]].get("concept", [])
        for each in include.get("filter", ()):
            found = find_concept(concepts, each["value"])
            if each["op"] != "is-a" or found is None:
                raise CannotExpandError(f"{url}: filter {each}")
            concepts = [found]
        listed = set(list_concepts(concepts))
    return {include["system"]: listed & codes.get(include["system"], listed)}


def expand_value_set(url: str, known: dict[str, Json]) -> dict[str, list[str]] | None:
    """``{system: codes}`` of a value set, or None where it cannot be listed; raises CannotExpandError."""
    if url in NOT_LISTED:
        return None
    if url not in known:
        raise CannotExpandError(f"{url}: not in the terminology directory")
    compose = known[url].get("compose")
    if not compose:
        raise CannotExpandError(f"{url}: no compose")
    codes: dict[str, set[str]] = {}
    for include in compose["include"]:
        for system, listed in expand_include(url, include, known).items():
            codes.setdefault(system, set()).update(listed)
    for exclude in compose.get("exclude", ()):
        for system, listed in expand_include(url, exclude, known).items():
            codes.get(system, set()).difference_update(listed)
    return {system: sorted(listed) for system, listed in sorted(codes.items())}

"""What a published profile asks of the parameters of a status, read from its StructureDefinition: slices by name."""

import json
import os
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DATA = Path(os.environ.get("HANDOFF_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "fhir"))
GUIDE = DATA / "conformance" / "subscriptions-backport"
TYPES = ("handshake", "heartbeat", "event-notification", "query-status", "query-event")
"""http://hl7.org/fhir/ValueSet/subscription-notification-type, which R4 does not have."""
STATUSES = ("requested", "active", "error", "off", "entered-in-error")
CODES = {"subscription-notification-type": TYPES, "subscription-status": STATUSES}


def load_profile(name: str) -> list[Json]:
    """The elements of a profile's differential."""
    elements: list[Json] = json.loads((GUIDE / f"StructureDefinition-{name}.json").read_text())["differential"][
        "element"
    ]
    return elements


def find_status_faults(parameters: Json) -> list[str]:
    """Where Parameters break backport-subscription-status-r4; an empty list where they do not."""
    profile = load_profile("backport-subscription-status-r4")
    if parameters.get("resourceType") != "Parameters":
        return ["it is no Parameters"]
    faults = [] if len(parameters["parameter"]) >= 3 else ["fewer than 3 parameters"]
    return faults + list(find_slice_faults(profile, "Parameters.parameter", parameters["parameter"]))


def find_slice_faults(profile: list[Json], path: str, found: list[Json]) -> list[str]:
    """Where parameters, or parts, break the slices of one level; ``path`` is the level's element id."""
    by_id = {each["id"]: each for each in profile}
    names = {
        element["fixedString"]: identity.removesuffix(".name")
        for identity, element in by_id.items()
        if "fixedString" in element and identity.rpartition(":")[0] == path
    }
    faults = []
    for name, slice_id in names.items():
        slice_, mine = by_id[slice_id], [each for each in found if each["name"] == name]
        most = slice_.get("max", "*")
        if len(mine) < slice_.get("min", 0) or (most != "*" and len(mine) > int(most)):
            faults.append(f"{name}: {len(mine)} times")
        for each in mine:
            faults += [f"{name}: {fault}" for fault in find_value_faults(by_id, slice_id, each)]
            if "part" in each:
                faults += find_slice_faults(profile, f"{slice_id}.part", each["part"])
    unknown = {each["name"] for each in found} - names.keys()
    return faults + [f"{name} is no slice of the profile" for name in sorted(unknown)]


def find_value_faults(by_id: dict[str, Json], slice_id: str, parameter: Json) -> list[str]:
    """Whether the value has the type, and the code, that the slice says."""
    rule = by_id.get(f"{slice_id}.value[x]")
    values = {key: value for key, value in parameter.items() if key.startswith("value")}
    if rule is None:
        return ["a value"] if values else []
    allowed = {f"value{each['code'][0].upper()}{each['code'][1:]}" for each in rule.get("type", ())}
    if len(values) != 1 or not values.keys() <= allowed:
        return [f"{sorted(values)}, not {sorted(allowed)}"]
    binding = rule.get("binding", {})
    codes = CODES.get(binding.get("valueSet", "").rpartition("/")[2])
    return [f"{value} is no code" for value in values.values() if codes and value not in codes]


def find_notification_faults(bundle: Json) -> list[str]:
    """Where a Bundle breaks backport-subscription-notification-r4."""
    entries = bundle.get("entry") or [{}]
    faults = [] if bundle.get("type") == "history" else [f"of type {bundle.get('type')}"]
    statuses = [each for each in entries if each.get("resource", {}).get("resourceType") == "Parameters"]
    if len(statuses) != 1 or statuses[0] is not entries[0]:
        return [*faults, "the first entry, and no other, is a Parameters (backport-notification-bundle-r4-1)"]
    faults += [f"entry {n} has no request" for n, each in enumerate(entries) if "request" not in each]
    return faults + find_status_faults(entries[0]["resource"])

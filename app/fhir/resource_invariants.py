"""What the invariants of resources demand (R4, the resources kept and the shells)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from app.fhir.element_access import Node, codes, has, has_choice, is_distinct, objects, strings, text
from app.fhir.moments import is_after

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
Rule = tuple[str, Callable[[Node], bool]]
LocatedRule = tuple[str, Callable[[Node], Iterable[str]]]


def _each_contained(node: Node) -> Iterator[tuple[str, Node]]:
    contained = node.get("contained")
    if isinstance(contained, list):
        for index, each in enumerate(contained):
            if isinstance(each, dict):
                yield f".contained[{index}]", each


def _find_nested_contained(node: Node) -> Iterator[str]:
    return (f"{place}.contained" for place, each in _each_contained(node) if "contained" in each)


def _find_unused_contained(node: Node) -> Iterator[str]:
    used: set[str] | None = None
    for place, each in _each_contained(node):
        if used is None:
            used = {found for found in strings(node) if found.startswith("#")}
        name = text(each, "id")
        if not (name and f"#{name}" in used) and "#" not in strings(each):
            yield place


def _find_contained_versions(node: Node) -> Iterator[str]:
    for place, each in _each_contained(node):
        for meta in objects(each, "meta"):
            yield from (f"{place}.meta.{name}" for name in ("versionId", "lastUpdated") if has(meta, name))


def _find_contained_security(node: Node) -> Iterator[str]:
    for place, each in _each_contained(node):
        if any("security" in meta for meta in objects(each, "meta")):
            yield f"{place}.meta.security"


def _is_abated_as_clinical_status_says(node: Node) -> bool:
    if not has_choice(node, "abatement"):
        return True
    ended = {(CLINICAL, code) for code in ("resolved", "remission", "inactive")}
    return bool(ended & codes(node, "clinicalStatus"))


def _has_no_status_where_in_error(node: Node) -> bool:
    if not has(node, "clinicalStatus"):
        return True
    return (VERIFICATION, "entered-in-error") not in codes(node, "verificationStatus")


def _names_patient_for_scope(code: str) -> Callable[[Node], bool]:
    # The official expression tests the literal system "something"; it is kept so, as a stricter one refuses legal R4.
    return lambda node: has(node, "patient") or ("something", code) not in codes(node, "scope")


def _is_modified_after_authored(node: Node) -> bool:
    authored, modified = text(node, "authoredOn"), text(node, "lastModified")
    return not (authored and modified and is_after(authored, modified))


def _has_one_parameter_content(node: Node) -> bool:
    return (has_choice(node, "value") + has(node, "resource") + has(node, "part")) == 1


def _has_value_in_one_place(node: Node) -> bool:
    if not has_choice(node, "value"):
        return True
    own = {_freeze(coding) for concept in objects(node, "code") for coding in objects(concept, "coding")}
    theirs = {
        _freeze(coding)
        for component in objects(node, "component")
        for concept in objects(component, "code")
        for coding in objects(concept, "coding")
    }
    return own.isdisjoint(theirs)


def _freeze(coding: Node) -> tuple[str, ...]:
    return tuple(text(coding, name) for name in ("system", "version", "code", "display"))


def _is_not_home(node: Node) -> bool:
    return text(node, "use") != "home"


def _find_entries(node: Node, name: str, kinds: tuple[str, ...]) -> Iterator[str]:
    """Entries that have ``name`` in a Bundle of other ``kinds``, or lack it in one of these."""
    wanted = text(node, "type") in kinds
    entries = node.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and (name in entry) != wanted:
            yield f".entry[{index}].{name}" if name in entry else f".entry[{index}]"


def _find_requests(node: Node) -> Iterator[str]:
    return _find_entries(node, "request", ("batch", "transaction", "history"))


def _find_responses(node: Node) -> Iterator[str]:
    return _find_entries(node, "response", ("batch-response", "transaction-response", "history"))


def _find_searches(node: Node) -> Iterator[str]:
    return (place for place in _find_entries(node, "search", ()) if text(node, "type") != "searchset")


def _find_repeated_urls(node: Node) -> Iterator[str]:
    if text(node, "type") == "history":
        return
    seen = set()
    entries = node.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        url = text(entry, "fullUrl") if isinstance(entry, dict) else ""
        if not url:
            continue
        metas = [meta for held in objects(entry, "resource") for meta in objects(held, "meta")]
        known = (url, text(metas[0], "versionId") if metas else "")
        if known in seen:
            yield f".entry[{index}].fullUrl"
        seen.add(known)


def _begins_with(kind: str, resource_type: str) -> Callable[[Node], bool]:
    def holds(node: Node) -> bool:
        if text(node, "type") != kind:
            return True
        first = objects(node, "entry")[:1]
        return any(
            text(held, "resourceType") == resource_type for entry in first for held in objects(entry, "resource")
        )

    return holds


def _identifies_document(node: Node) -> bool:
    return text(node, "type") != "document" or any(
        has(each, "system") and has(each, "value") for each in objects(node, "identifier")
    )


def _agrees_with_kind(node: Node) -> bool:
    return text(node, "kind") != "capability" or (has(node, "software") and not has(node, "implementation"))


def _has_own_search_names(node: Node) -> bool:
    return is_distinct([text(each, "name") for each in objects(node, "searchParam")])


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "bdl-1": (
            "total is for searchset and history",
            lambda node: not has(node, "total") or text(node, "type") in ("searchset", "history"),
        ),
        "bdl-10": ("a document has a timestamp", lambda node: text(node, "type") != "document" or "timestamp" in node),
        "bdl-11": ("a document begins with a Composition", _begins_with("document", "Composition")),
        "bdl-12": ("a message begins with a MessageHeader", _begins_with("message", "MessageHeader")),
        "bdl-5": (
            "an entry has a resource, a request or a response",
            lambda node: has(node, "resource", "request", "response"),
        ),
        "bdl-8": ("fullUrl names no version", lambda node: "/_history/" not in text(node, "fullUrl")),
        "bdl-9": ("a document has an identifier with system and value", _identifies_document),
        "con-1": ("a stage has a summary or an assessment", lambda node: has(node, "summary", "assessment")),
        "con-2": ("evidence has code or detail", lambda node: has(node, "code", "detail")),
        "con-4": (
            "what is abated has clinicalStatus inactive, resolved or remission",
            _is_abated_as_clinical_status_says,
        ),
        "con-5": (
            "clinicalStatus is absent where verificationStatus is entered-in-error",
            _has_no_status_where_in_error,
        ),
        "cpb-1": ("there is rest, messaging or document", lambda node: has(node, "rest", "messaging", "document")),
        "cpb-12": ("names of search parameters are unique in a resource", _has_own_search_names),
        "cpb-14": (
            "an instance has an implementation",
            lambda node: text(node, "kind") != "instance" or has(node, "implementation"),
        ),
        "cpb-15": ("a capability has software and no implementation", _agrees_with_kind),
        "cpb-16": (
            "requirements have neither software nor implementation",
            lambda node: text(node, "kind") != "requirements" or not has(node, "software", "implementation"),
        ),
        "cpb-2": (
            "there is a description, software or implementation",
            lambda node: has(node, "description", "software", "implementation"),
        ),
        "cpb-3": (
            "messaging endpoints are for instances",
            lambda node: (
                text(node, "kind") == "instance"
                or not any(has(each, "endpoint") for each in objects(node, "messaging"))
            ),
        ),
        "cpb-7": (
            "each document has its own profile and mode",
            lambda node: is_distinct(
                [(text(each, "profile"), text(each, "mode")) for each in objects(node, "document")]
            ),
        ),
        "cpb-9": (
            "a type is described once",
            lambda node: is_distinct([text(each, "type") for each in objects(node, "resource")]),
        ),
        "cpl-3": (
            "reference and detail exclude each other",
            lambda node: not (has(node, "detail") and has(node, "reference")),
        ),
        "gol-1": ("a detail needs a measure", lambda node: not has_choice(node, "detail") or has(node, "measure")),
        "inv-1": ("lastModified is not before authoredOn", _is_modified_after_authored),
        "inv-1@Parameters.parameter": (
            "a parameter has a value, a resource or parts: exactly one of them",
            _has_one_parameter_content,
        ),
        "obs-3": ("a reference range has low, high or text", lambda node: has(node, "low", "high", "text")),
        "obs-6": (
            "dataAbsentReason is absent where there is a value",
            lambda node: not (has(node, "dataAbsentReason") and has_choice(node, "value")),
        ),
        "obs-7": ("the value is absent where a component has the same code", _has_value_in_one_place),
        "org-1": ("an organization has a name or an identifier", lambda node: has(node, "identifier", "name")),
        "org-2": ("an organization's address is not of use home", _is_not_home),
        "org-3": ("an organization's telecom is not of use home", _is_not_home),
        "pat-1": (
            "a contact has a name, telecom, address or organization",
            lambda node: has(node, "name", "telecom", "address", "organization"),
        ),
        "ppc-1": ("a consent has a policy or a policyRule", lambda node: has(node, "policy", "policyRule")),
        "ppc-2": ("consent to privacy names a patient", _names_patient_for_scope("patient-privacy")),
        "ppc-3": ("consent to research names a patient", _names_patient_for_scope("research")),
        "ppc-4": ("an advance directive names a patient", _names_patient_for_scope("adr")),
        "ppc-5": ("consent to treatment names a patient", _names_patient_for_scope("treatment")),
        "prr-1": ("orderDetail needs code", lambda node: not has(node, "orderDetail") or has(node, "code")),
        "sev-1": (
            "an entity has a name or a query, not both",
            lambda node: not (has(node, "name") and has(node, "query")),
        ),
    }
)
"""By key, or ``key@element``: the demand in words, and a function that tells whether an element meets it."""

LOCATED: Mapping[str, LocatedRule] = MappingProxyType(
    {
        "bdl-2": ("entry.search is for searchset", _find_searches),
        "bdl-3": ("entries of batch, transaction and history have a request, others none", _find_requests),
        "bdl-4": ("entries of responses and history have a response, others none", _find_responses),
        "bdl-7": ("fullUrl is unique, but for versions of one resource", _find_repeated_urls),
        "dom-2": ("a contained resource contains none", _find_nested_contained),
        "dom-3": ("a contained resource is referred to, or refers to its container", _find_unused_contained),
        "dom-4": ("a contained resource has no versionId and no lastUpdated", _find_contained_versions),
        "dom-5": ("a contained resource has no security label", _find_contained_security),
    }
)
"""By key: the demand, and a function that finds the places that break it, in FHIRPath below the resource."""

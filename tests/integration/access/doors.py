"""Every door of the API through which a resource might show, made from the tables of types and parameters."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.fhir.openapi_examples import new_example
from app.fhir.operations import OPERATIONS
from app.fhir.registry import TYPES
from app.fhir.shapes import SHAPES
from app.referral.package import PERTAINS_TO_GOAL

Json = dict[str, Any]

FHIR = {"Content-Type": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TAG = "urn:example:leak"
GLASS = {"X-Break-Glass-Reason": "None of our business"}
WISH = {"Prefer": "return=OperationOutcome"}

NOT_BUILT = ("$everything", "$validate", "$meta", "$export", "$graphql", "$expand", "$claim", "$convert", "_nonsense")
"""Of what FHIR offers and we do not: refused, whatever it is asked about."""


@dataclass(frozen=True, slots=True)
class Door:
    """One request about the resource ``{id}``, which has the tag ``{tag}``; both are put in wherever they stand."""

    name: str
    method: str
    path: str
    body: Json | str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    """Whether it must be a 4xx, since nothing is built there."""
    beyond: bool = False
    """Whether it asks for more than the part of a resource that others see (``TYPES[...].view``)."""

    @property
    def is_beyond(self) -> bool:
        """The same, for what asks by the tag too: no part shows that."""
        return self.beyond or any("{tag}" in each for each in (self.path, *self.headers.values()))

    def ask(self, resource_id: str, tag: str) -> tuple[str, str, bytes | None, dict[str, str]]:
        """(method, path, body, headers) for one resource."""
        body = self.body if isinstance(self.body, str) or self.body is None else json.dumps(self.body)
        texts = [self.path, body or "", *self.headers.values()]
        path, filled, *values = [each.replace("{id}", resource_id).replace("{tag}", tag) for each in texts]
        return self.method, path, filled.encode() if body else None, dict(zip(self.headers, values, strict=True))


def list_doors(name: str) -> list[Door]:
    """Every door to a resource of a type."""
    return [
        *read_doors(name),
        *search_doors(name),
        *write_doors(name),
        *bundle_doors(name),
        *operation_doors(name),
        *deputy_doors(name),
        *parameter_doors(name),
        *closed_doors(name),
    ]


def read_doors(name: str) -> Iterator[Door]:
    here = f"/{name}/{{id}}"
    yield Door("read", "GET", here)
    yield Door("read of the summary", "GET", f"{here}?_summary=true")
    yield Door("read of an element", "GET", f"{here}?_elements=meta")
    yield Door("conditional read", "GET", here, headers={"If-None-Match": 'W/"1"'})
    yield Door("conditional read by time", "GET", here, headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"})
    yield Door("head", "HEAD", here)
    yield Door("read through the glass", "GET", here, headers=GLASS, refused=True)
    yield Door("history through the glass", "GET", f"{here}/_history", headers=GLASS, refused=True)
    yield Door("raw read", "GET", here, headers={"Accept": "*/*"})
    yield Door("vread", "GET", f"{here}/_history/1", beyond=True)
    yield Door("vread of the next version", "GET", f"{here}/_history/2", beyond=True)
    yield Door("history", "GET", f"{here}/_history", beyond=True)
    yield Door("history since", "GET", f"{here}/_history?_since=1970-01-01T00:00:00Z", beyond=True)
    yield Door("history of the type", "GET", f"/{name}/_history?_count=200", beyond=True)
    yield Door("history of everything", "GET", "/_history?_count=200", beyond=True)


def search_doors(name: str) -> Iterator[Door]:
    for query in (
        "_id={id}",
        "_id={id}&_total=accurate",
        "_id={id}&_summary=count",
        "_id={id}&_count=0",
        "_id={id},x&_elements=id",
        "_id={id}&_include=*",
        "_tag=urn:example:leak|{tag}",
        "_tag=urn:example:leak|{tag}&_total=accurate",
        "_tag={tag}&_count=0",
        "_tag:not={tag}&_id={id}",
        "_lastUpdated=gt1970-01-01&_id={id}",
        "_tag={tag}&_sort=-_lastUpdated&_count=1",
    ):
        yield Door(f"search {query}", "GET", f"/{name}?{query}")
    for query in ("_total=accurate&_count=200", "_summary=count", "_lastUpdated=gt1970-01-01&_count=200"):
        yield Door(f"search of all {query}", "GET", f"/{name}?{query}")
    yield Door("posted search", "POST", f"/{name}/_search", "_id={id}&_total=accurate", FORM)
    yield Door("search through the glass", "GET", f"/{name}?_id={{id}}", headers=GLASS, refused=True)
    yield Door("poll known already", "GET", f"/{name}?_id={{id}}", headers={"If-None-Match": "*"})


def write_doors(name: str) -> Iterator[Door]:
    body = new_example(name)
    own = {**body, "id": "{id}"}
    match = {**FHIR, "If-Match": 'W/"1"'}
    yield Door("update", "PUT", f"/{name}/{{id}}", own, match)
    yield Door("update of another version", "PUT", f"/{name}/{{id}}", own, {**FHIR, "If-Match": 'W/"7"'})
    yield Door("update without a version", "PUT", f"/{name}/{{id}}", own, FHIR)
    yield Door("delete", "DELETE", f"/{name}/{{id}}")
    yield Door("delete of a version", "DELETE", f"/{name}/{{id}}", headers={"If-Match": 'W/"1"'})
    yield Door("conditional delete", "DELETE", f"/{name}?_tag={{tag}}")
    yield Door("conditional update", "PUT", f"/{name}?_tag={{tag}}", body, FHIR)
    yield Door("conditional create", "POST", f"/{name}", body, {**FHIR, **WISH, "If-None-Exist": "_tag={tag}"})
    yield Door("create with an id", "POST", f"/{name}", own, {**FHIR, **WISH})


def ask(method: str, url: str, resource: Json | None = None, **more: str) -> Json:
    entry: Json = {"request": {"method": method, "url": url, **more}}
    return entry if resource is None else {**entry, "resource": resource}


def bundle_doors(name: str) -> Iterator[Door]:
    body = new_example(name)
    own = {**body, "id": "{id}"}
    entries = {
        "read": ask("GET", f"{name}/{{id}}"),
        "vread": ask("GET", f"{name}/{{id}}/_history/1"),
        "history": ask("GET", f"{name}/{{id}}/_history"),
        "search": ask("GET", f"{name}?_tag={{tag}}&_total=accurate"),
        "update": ask("PUT", f"{name}/{{id}}", own, ifMatch='W/"1"'),
        "delete": ask("DELETE", f"{name}/{{id}}"),
        "conditional delete": ask("DELETE", f"{name}?_tag={{tag}}"),
        "conditional create": ask("POST", name, body, ifNoneExist="_tag={tag}"),
    }
    for kind in ("batch", "transaction"):
        for what, entry in entries.items():
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
            yield Door(f"{kind}: {what}", "POST", "", bundle, {**FHIR, **WISH})


def operation_doors(name: str) -> Iterator[Door]:
    """Each operation on one resource of the type, as the table of operations has it."""
    for each in OPERATIONS.values():
        if each.resource_type == name and "instance" in each.levels:
            here = f"/{name}/{{id}}/${each.code}"
            yield Door(f"${each.code}", "POST", here, headers={"If-Match": 'W/"1"'})
            yield Door(f"${each.code} without a version", "POST", here)
            yield Door(f"${each.code} by GET", "GET", here)


def deputy_doors(name: str) -> Iterator[Door]:
    """What one makes oneself, which refers to the resource: a confused deputy would fetch it."""
    for text in (f"{name}/{{id}}", f"http://handoff.test/fhir/{name}/{{id}}", f"{name}/{{id}}/_history/1"):
        basic = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": text}}
        yield Door(f"refer to {text}", "POST", "/Basic", basic, {**FHIR, **WISH})
    by_tag = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"{name}?_tag={{tag}}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [ask("POST", "Basic", by_tag)]}
    yield Door("refer by a condition", "POST", "", bundle, {**FHIR, **WISH})
    named = {"resourceType": "Binary", "contentType": "text/plain", "securityContext": {"reference": f"{name}/{{id}}"}}
    yield Door("name as a security context", "POST", "/Binary", named, {**FHIR, **WISH})
    yield Door("include from one's own", "GET", f"/Basic?subject={name}/{{id}}&_include=Basic:subject")
    sent = {**new_example("Provenance"), "target": [{"reference": f"{name}/{{id}}"}]}
    yield Door("vouch for it", "POST", "/Provenance", sent, {**FHIR, **WISH})


def onward_doors(name: str, request: Json, task: Json) -> Iterator[Door]:
    """What passes a referral on, by a ServiceRequest or a Task, and refers to the resource wherever one refers."""
    there = {"reference": f"{name}/{{id}}"}
    for body in (request, task):
        kind = body["resourceType"]
        more: dict[str, Json] = {
            f"{each.key}, {len(kept)} others": {**body, each.key: [*kept, there] if each.many else there}
            for each in SHAPES[kind].elements.values()
            if each.type == "Reference"
            for kept in ([[]] if not each.many or each.key not in body else [[], body[each.key]])
        }
        more["input"] = {**body, "input": [{"type": {"text": "x"}, "valueReference": there}]}
        more["goal"] = {**body, "extension": [{"url": PERTAINS_TO_GOAL, "valueReference": there}]}
        for place, filled in more.items():
            yield Door(f"pass on by {kind}.{place}", "POST", f"/{kind}", filled, {**FHIR, **WISH})


def neighbour_doors(name: str, lent: str) -> Iterator[Door]:
    """From a reference that one sees on to whatever refers to it, or is referred to by it."""
    kind, _, lent_id = lent.partition("/")
    for each in TYPES[name].search:
        if each.kind == "reference":
            yield Door(
                f"from {kind} back by {each.code}", "GET", f"/{kind}?_id={lent_id}&_revinclude={name}:{each.code}"
            )
            yield Door(f"{each.code} of {kind}", "GET", f"/{name}?{each.code}={lent}&_total=accurate")
    for each in TYPES[kind].search:
        if each.kind == "reference":
            yield Door(f"from {kind} on by {each.code}", "GET", f"/{kind}?_id={lent_id}&_include={kind}:{each.code}")
    yield Door(f"history of {kind}", "GET", f"/{lent}/_history")


def parameter_doors(name: str) -> Iterator[Door]:
    """Each search parameter of the type: found by it, ordered by it, included by it."""
    for each in TYPES[name].search:
        beyond = not TYPES[name].shows(each)
        for missing in ("false", "true"):
            query = f"{each.code}:missing={missing}&_id={{id}}&_total=accurate"
            yield Door(f"has {each.code}, {missing}", "GET", f"/{name}?{query}", beyond=beyond)
        if each.kind != "composite":
            yield Door(f"order by {each.code}", "GET", f"/{name}?_id={{id}}&_sort={each.code}", beyond=beyond)
        if each.kind == "reference":
            yield Door(f"include {each.code}", "GET", f"/{name}?_count=200&_include={name}:{each.code}")
            yield Door(f"reverse {each.code}", "GET", f"/Organization?_count=200&_revinclude={name}:{each.code}")
            yield Door(f"chain {each.code}", "GET", f"/{name}?{each.code}._id={{id}}", refused=True)
            yield Door(f"has by {each.code}", "GET", f"/Organization?_has:{name}:{each.code}:_id={{id}}", refused=True)


def closed_doors(name: str) -> Iterator[Door]:
    """What is not built: refused alike, whether or not there is such a resource."""
    for operation in NOT_BUILT:
        if operation not in OFFERED[name]:
            yield Door(operation, "GET", f"/{name}/{{id}}/{operation}", refused=True)
            yield Door(f"posted {operation}", "POST", f"/{name}/{{id}}/{operation}", {}, FHIR, refused=True)
    yield Door("patch", "PATCH", f"/{name}/{{id}}", "[]", {"Content-Type": "application/json-patch+json"}, refused=True)
    yield Door("search by content", "GET", f"/{name}?_content={{tag}}", refused=True)
    yield Door("search by text", "GET", f"/{name}?_text={{tag}}", refused=True)
    yield Door("search by a filter", "GET", f"/{name}?_filter=_id+eq+{{id}}", refused=True)
    yield Door("compartment", "GET", f"/{name}/{{id}}/Task", refused=True)


OFFERED = {name: tuple(f"${each.code}" for each in OPERATIONS.values() if each.resource_type == name) for name in TYPES}
"""Of the operations above, those that a type has by now."""

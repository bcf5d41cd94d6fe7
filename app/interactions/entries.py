"""Reads the entries of a batch or transaction into operations (R4 http, 3.1.0.11)."""

import re
from dataclasses import dataclass, field
from typing import Any

from app.audit.address import Target, read_target
from app.core.errors import Invalid, Issue, Unprocessable, Unsupported
from app.core.settings import Settings
from app.fhir.registry import TYPES
from app.fhir.validation import validate
from app.interactions.writing import check_resource
from app.search.query_text import read_pairs
from app.store.rows import Key

METHODS = ("DELETE", "POST", "PUT", "GET", "HEAD")
"""In the order in which a transaction is processed; HEAD is read as GET."""

ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


@dataclass
class Operation:
    """One entry: what it asks for, and once known the id that it is about."""

    index: int
    method: str
    type: str
    id: str | None
    version: int | None
    query: str | None
    resource: dict[str, Any] | None
    full_url: str | None
    if_match: int | None
    if_none_exist: str | None
    target: Target
    history: bool = False
    found: Any = field(default=None)
    new: bool = False
    """Whether it creates; ``id`` is then one that the server chose."""
    referred: set[Key] = field(default_factory=set)
    """What its resource refers to here, once these references are resolved."""

    @property
    def root(self) -> str:
        """Where its resource stands, for expressions."""
        return f"Bundle.entry[{self.index}].resource"

    @property
    def condition(self) -> str | None:
        """The query of a conditional create, update or delete; None for any other entry."""
        if self.method == "POST":
            return self.if_none_exist
        return self.query if self.method != "GET" and (self.id is None or self.found) else None

    @property
    def condition_place(self) -> str:
        """Where that query stands, for expressions."""
        return f"Bundle.entry[{self.index}].request.{'ifNoneExist' if self.method == 'POST' else 'url'}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query as pairs."""
        return read_pairs(self.query or "")


def read_etag(text: str | None, *expression: str) -> int | None:
    """The version of an If-Match value; None for none. Raises Invalid, with the expression."""
    if text is None:
        return None
    found = ETAG.fullmatch(text.strip())
    if not found:
        raise Invalid('If-Match is W/"version"', expression)
    return int(found[1])


def check_bundle(bundle: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    """The entries of a Bundle that is well-formed apart from its resources. Raises Invalid, Unprocessable."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") not in ("batch", "transaction"):
        raise Invalid("The base takes a Bundle of type batch or transaction", ("Bundle.type",))
    entries = bundle.get("entry", [])
    if isinstance(entries, list) and len(entries) > settings.max_bundle_entries:
        raise Invalid(f"More than {settings.max_bundle_entries} entries", ("Bundle.entry",))
    bare = entries
    if isinstance(entries, list):
        check_requests(entries)
        bare = [
            {key: value for key, value in entry.items() if key != "resource"} if isinstance(entry, dict) else entry
            for entry in entries
        ]
    shell = {**bundle, "entry": bare} if "entry" in bundle else bundle
    issues = tuple(issue for issue in validate(shell) if issue.severity == "error")
    if issues:
        raise Unprocessable("This is not a valid Bundle", issues=issues)
    return list(entries)


def check_requests(entries: list[Any]) -> None:
    """Raises Invalid for the first entry that asks for nothing."""
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and "request" not in entry:
            raise Invalid("Each entry needs a request", (f"Bundle.entry[{index}].request",))


def read_operation(index: int, entry: dict[str, Any], base_url: str) -> Operation:
    """The operation that one entry asks for. Raises Invalid, Unsupported, Unprocessable."""
    here = f"Bundle.entry[{index}]"
    request = entry["request"]
    method = request["method"]
    if method not in METHODS:
        raise Unsupported(f"{method} is not offered in a Bundle", (f"{here}.request.method",))
    resource = entry.get("resource")
    if "resource" in entry and not isinstance(resource, dict):
        raise Invalid("This is not a resource", (f"{here}.resource",))
    operation = Operation(
        index,
        "GET" if method == "HEAD" else method,
        *read_address(request["url"], base_url, here),
        resource=resource,
        full_url=entry.get("fullUrl"),
        if_match=read_etag(request.get("ifMatch"), f"{here}.request.ifMatch"),
        if_none_exist=request.get("ifNoneExist"),
        target=find_target(request, base_url),
        history="_history" in request["url"].partition("?")[0],
    )
    for unused in ("ifNoneMatch", "ifModifiedSince"):
        if unused in request:
            raise Unsupported(f"{unused} is not offered in a Bundle", (f"{here}.request.{unused}",))
    if operation.type == "Binary" and (operation.method in ("POST", "PUT") or (method != "DELETE" and operation.id)):
        raise Unsupported("A Binary is read and written at its own address, not in a Bundle", (here,))
    if TYPES[operation.type].rendered:
        raise Unsupported(f"An {operation.type} is read and searched at its own address, not in a Bundle", (here,))
    check_shape(operation, here)
    return operation


def read_address(url: str, base_url: str, here: str) -> tuple[str, str | None, int | None, str | None]:
    """(type, id, version, query) of a request.url, relative or below our base."""
    path, _, query = url.removeprefix(base_url + "/").partition("?")
    steps = path.strip("/").split("/")
    problem = Invalid(f"{url!r} is not an address of this server", (f"{here}.request.url",))
    if steps[0] not in TYPES or len(steps) > 4:
        raise problem
    resource_id = steps[1] if len(steps) > 1 else None
    version = None
    if resource_id == "_search" or (len(steps) > 2 and steps[2] != "_history"):
        raise Unsupported(f"{url!r} is not offered in a Bundle", (f"{here}.request.url",))
    if len(steps) == 4:
        if not steps[3].isascii() or not steps[3].isdigit():
            raise problem
        version = int(steps[3][:18])
    if resource_id == "_history":
        resource_id = None
    return steps[0], resource_id, version, query or None


def find_target(request: dict[str, Any], base_url: str) -> Target:
    """What an entry's request asks for, as the audit trail tells it."""
    path = request["url"].partition("?")[0].removeprefix(base_url)
    return read_target("GET" if request["method"] == "HEAD" else request["method"], path)


def check_shape(operation: Operation, here: str) -> None:
    """That a write has what it needs, and its resource is valid."""
    if operation.method == "GET":
        return
    if operation.history or operation.version:
        raise Invalid("A version is not written", (f"{here}.request.url",))
    if operation.method == "DELETE":
        if operation.id is None and operation.query is None:
            raise Invalid("DELETE needs an id or a condition", (f"{here}.request.url",))
        return
    if operation.resource is None:
        raise Invalid(f"{operation.method} needs a resource", (f"{here}.resource",))
    if operation.method == "POST" and operation.id is not None:
        raise Invalid("POST goes to a type", (f"{here}.request.url",))
    if operation.method == "PUT" and operation.id is None and operation.query is None:
        raise Invalid("PUT needs an id or a condition", (f"{here}.request.url",))
    if operation.resource.get("resourceType") != operation.type:
        raise Invalid(f"The resource is no {operation.type}", (f"{here}.resource",))
    check_resource(operation.resource, operation.root)


def read_operations(entries: list[dict[str, Any]], base_url: str, offset: int) -> list[Operation]:
    """All operations of a transaction, or every issue of every entry at once.

    ``offset`` is the place of the first entry in its Bundle. Raises Invalid, Unprocessable.
    """
    operations: list[Operation] = []
    issues: list[Issue] = []
    first: Invalid | Unprocessable | None = None
    for index, entry in enumerate(entries, start=offset):
        try:
            operations.append(read_operation(index, entry, base_url))
        except (Invalid, Unprocessable) as error:
            first = first or error
            issues += error.all_issues()
    if first:
        raise type(first)(first.diagnostics, issues=tuple(issues))
    return operations

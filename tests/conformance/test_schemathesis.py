"""Whatever the OpenAPI document allows a client to send is answered by a status that it names, and never by a 5xx."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from multiprocessing import get_context
from resource import RLIMIT_CPU, setrlimit
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import UnsupportedSchema
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.conformance.changes import change
from tests.conformance.conftest import Site, token_for
from tests.json_schema import resolve

logger = logging.getLogger(__name__)

SHORT, LONG = 1_000, 10_000
RENEWED = 100
"""Seconds after which a new token is taken; one lives 300."""
MADE_UP_IN_SHORT = ("/fhir/Task", "/fhir/Patient/{id}")
"""Compiling FHIR's schemas takes seconds for each type: the short form makes up bodies of few."""

PATIENCE = 60
"""Seconds of the processor in which the long form has to make up a first body of an operation; most take a few."""
LOOSENED = "body made up loosely"
MOST_LOOSENED = 9
"""Operations whose bodies are made up of looser schemas: those of ServiceRequest, ActivityDefinition and
StructureDefinition, whose choices multiply, in ElementDefinition to 26 million combinations."""

CHECKS_OF_NOTHING = [not_a_server_error, status_code_conformance]
"""What is checked of an answer without a body, which has no type."""
CHECKS = [*CHECKS_OF_NOTHING, content_type_conformance]

Examples = list[tuple[str, Any]]
"""Media types and bodies."""


@dataclass
class Sender:
    """Sends requests to the site and keeps count of what came back."""

    site: Site
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def token(self, role: str) -> str:
        """A token that still lives."""
        token, taken = self.tokens.get(role, ("", float("-inf")))
        if time.monotonic() > taken + RENEWED:
            token, taken = token_for(self.site, "hospital", role), time.monotonic()
            self.tokens[role] = token, taken
        return token

    def send(self, source: str, case: Any) -> None:
        """Sends one request; of each operation the first failure is kept."""
        role = "admin" if case.operation.path.startswith("/admin") else "referrer"
        headers = {"Authorization": f"Bearer {self.token(role)}"}
        answer = case.call(base_url=self.site.server.address, headers=headers, timeout=60)
        self.sources[source] += 1
        self.statuses[answer.status_code] += 1
        checks = CHECKS_OF_NOTHING if is_binary_written(case, answer) else CHECKS
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as error:
            self.failures.setdefault(case.operation.label, str(error))


def is_binary_written(case: Any, answer: Any) -> bool:
    """Whether this is the write of a Binary, which is answered without a body unless one is asked for."""
    binary = case.operation.path.startswith("/fhir/Binary") and case.method in ("POST", "PUT")
    return binary and answer.status_code in (200, 201) and not answer.content


def try_cases(cases: st.SearchStrategy[Any], examples: int, send: Callable[[Any], None]) -> None:
    """Draws requests and sends them."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send_one(case: Any) -> None:
        send(case)

    send_one()


def is_made_up_in_time(operation: Any) -> bool:
    """Whether a first body comes forth, tried in a process that can be ended."""
    trial = get_context("fork").Process(target=make_up_in_time, args=(operation,))
    trial.start()
    trial.join()
    return trial.exitcode == 0


def make_up_in_time(operation: Any) -> None:
    """Draws one request, or ends the process with another code than 0."""
    setrlimit(RLIMIT_CPU, (PATIENCE, PATIENCE))
    try:
        try_cases(operation.as_strategy(), 1, lambda case: None)
    except UnsupportedSchema:
        sys.exit(1)


def list_examples(operation: Any) -> Iterator[tuple[str, Any]]:
    """The document's examples of the JSON bodies of an operation, each with its media type."""
    for media_type, told in operation.definition.raw.get("requestBody", {}).get("content", {}).items():
        if media_type.endswith("json"):
            if "example" in told:
                yield media_type, told["example"]
            for named in told.get("examples", {}).values():
                yield media_type, resolve(operation.schema.raw_schema, named["$ref"])["value"]


@st.composite
def change_examples(draw: st.DrawFn, operation: Any, examples: Examples) -> Any:
    """A request with one of the examples as its body, changed or not, to the address that the example names."""
    media_type, example = draw(st.sampled_from(examples))
    address = {"path_parameters": {"id": example["id"]}} if "id" in example and "{id}" in operation.path else {}
    return draw(operation.as_strategy(media_type=media_type, body=draw(change(example)), **address))


def loosen(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the rules that a choice is told under one key only."""
    loose = deepcopy(document)
    for schema in loose["components"]["schemas"].values():
        if "allOf" in schema:
            schema["allOf"] = [rule for rule in schema["allOf"] if "oneOf" not in rule] or [True]
    return loose


def list_sources(operation: Any, loose: Any, wanted: int) -> dict[str, st.SearchStrategy[Any]]:
    """Where requests of an operation come from; one with a JSON body has its bodies from two sources."""
    examples = list(list_examples(operation))
    if not examples:
        return {"no JSON body": operation.as_strategy()}
    sources = {"body changed": change_examples(operation, examples)}
    if wanted == LONG and not is_made_up_in_time(operation):
        sources[LOOSENED] = loose[operation.path][operation.method].as_strategy()
    elif wanted == LONG or operation.path in MADE_UP_IN_SHORT:
        sources["body made up"] = operation.as_strategy()
    return sources


@pytest.mark.parametrize("wanted", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
def test_the_document_is_kept(site: Site, wanted: int) -> None:
    schema: Any = schemathesis.openapi.from_url(f"{site.server.address}/openapi.json")
    loose: Any = schemathesis.openapi.from_dict(loosen(schema.raw_schema))
    operations = [found.ok() for found in schema.get_all_operations()]
    sender = Sender(site)
    loosened: list[str] = []
    for place, operation in enumerate(operations):
        sources = list_sources(operation, loose, wanted)
        loosened += [operation.label] if LOOSENED in sources else []
        share = 1 + max(0, wanted - sender.statuses.total()) // (len(operations) - place)
        for source, cases in sources.items():
            try_cases(cases, ceil(share / len(sources)), partial(sender.send, source))
    logger.warning("%s operations; %s; %s; loosened: %s", len(operations), sender.sources, sender.statuses, loosened)
    assert sender.failures == {}
    assert len(loosened) <= MOST_LOOSENED, loosened
    assert sender.statuses.total() >= wanted
    assert {200, 201, 400, 404, 422} <= set(sender.statuses)
    assert not sender.statuses[401], "the token was not sent"

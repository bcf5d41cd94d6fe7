"""Whatever the OpenAPI document allows a client to send is answered by a status that it names, and never by a 5xx."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import UnsupportedSchema
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.conformance.conftest import Site, token_for

SHORT, LONG = 1_000, 10_000
RENEWED = 100
"""Seconds after which a new token is taken; one lives 300, and the examples of one operation take their time."""
BODIES_IN_SHORT = ("/fhir/Task", "/fhir/Patient/{id}", "/oauth/token")
"""Compiling FHIR's schemas takes seconds for each operation with a body: the short form tries few of those."""

MOST_BEYOND = {SHORT: 0, LONG: 5}
"""Operations whose bodies Schemathesis cannot make up: at most a few, and none in the short form."""

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]


def list_operations(schema: Any, *, everything: bool) -> Iterator[Any]:
    """The operations of the document, those with few bodies only unless ``everything``."""
    for found in schema.get_all_operations():
        operation = found.ok()
        if everything or not operation.body or operation.path.endswith("_search") or operation.path in BODIES_IN_SHORT:
            yield operation


def try_operation(operation: Any, site: Site, token: str, examples: int, statuses: Counter[int]) -> None:
    """Sends generated requests and counts the statuses of the answers. Raises what the checks found."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        answer = case.call_and_validate(
            base_url=site.server.address, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=60
        )
        statuses[answer.status_code] += 1

    send()


@pytest.mark.parametrize("examples", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
def test_the_document_is_kept(site: Site, examples: int) -> None:
    schema = schemathesis.openapi.from_url(f"{site.server.address}/openapi.json")
    operations = list(list_operations(schema, everything=examples == LONG))
    token, taken = token_for(site, "hospital", "referrer"), time.monotonic()
    failures: list[str] = []
    beyond: list[str] = []
    statuses: Counter[int] = Counter()
    for operation in operations:
        if time.monotonic() > taken + RENEWED:
            token, taken = token_for(site, "hospital", "referrer"), time.monotonic()
        try:
            try_operation(operation, site, token, 1 + examples // len(operations), statuses)
        except FailureGroup as error:
            failures.append(f"{operation.method} {operation.path}: {error}")
        except UnsupportedSchema:
            beyond.append(f"{operation.method} {operation.path}")
    assert failures == []
    assert len(beyond) <= MOST_BEYOND[examples], beyond
    assert statuses.total() >= examples
    assert {200, 400, 404} <= set(statuses)
    assert not statuses[401], "the token was not sent"

"""What the R4 tables let pass, fhir.resources lets pass too, unless it lies in what the tables do not describe."""

import copy
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.fhir.findings import Findings
from app.fhir.json_text import parse
from app.fhir.second_opinion import ask_models
from app.fhir.structure_walk import StructureWalk
from tests.conformance.test_examples_validate import DATA, EXAMPLES

Resource = dict[str, Any]

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**12, Decimal("1.5"), "", " ", "x", "x y", "not a uri \n", "urn:x", "a" * 70),
    *("2020-13-45", "2020-01-01", [], {}, [None], ["x"], {"x": 1}, [{}], {"reference": "Patient/1"}, {"text": "x"}),
    *({"value": 1}, {"extension": [{"url": "http://x.invalid", "valueString": "y"}]}),
)
"""Values of every kind, well-formed somewhere and wrong elsewhere."""

BESIDE: tuple[Any, ...] = ({"id": "a"}, {}, "x", [None, {"id": "a"}], JUNK[-1])
"""What stands in the ``_name`` of a primitive, rightly or not."""


def list_places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value, by what holds it and its key or index."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from list_places(node[key])


def mutate(resource: Resource, chance: random.Random) -> Resource:
    """A copy with one or two values removed, renamed, wrapped, swapped, or replaced."""
    changed = copy.deepcopy(resource)
    for _ in range(chance.choice((1, 1, 1, 2))):
        places = [(node, key) for node, key in list_places(changed) if (node, key) != (changed, "resourceType")]
        node, key = chance.choice(places)
        other, other_key = chance.choice(places)
        chosen = chance.randrange(6)
        if chosen == 0:
            del node[key]
        elif chosen == 1:
            node[key] = [node[key]]
        elif chosen == 2:
            node[key] = copy.deepcopy(chance.choice(JUNK))
        elif chosen == 3:
            node[key] = copy.deepcopy(other[other_key])
        elif isinstance(node, dict) and chosen == 4:
            node[key + chance.choice(("x", "String", "Boolean"))] = node.pop(key)
        elif isinstance(node, dict):
            node[f"_{key}"] = copy.deepcopy(chance.choice(BESIDE))
    return changed


def find_missed(resource: Resource) -> tuple[bool, list[Any]]:
    """Whether the tables alone let a resource pass, and what fhir.resources says against it then."""
    findings = Findings()
    walk = StructureWalk(resource, findings)
    walk.walk_resource(resource, resource["resourceType"])
    if findings.count or walk.undescribed:
        return False, []
    ask_models(resource, resource["resourceType"], findings)
    return True, findings.finish()


def check_mutants(seed: int, per_example: int) -> None:
    """As they are and with mutants; enough pass the tables for the comparison to mean something."""
    chance = random.Random(seed)
    passed, missed = 0, []
    for path in EXAMPLES:
        if path.stat().st_size > 100_000:
            continue
        published = parse(path.read_bytes())
        for resource in (published, *(mutate(published, chance) for _ in range(per_example))):
            alone, found = find_missed(resource)
            passed += alone
            missed += [(str(path.relative_to(Path(DATA))), each) for each in found]
    assert missed == []
    assert passed > len(EXAMPLES) * (0.5 + 0.1 * per_example)


def test_the_tables_miss_nothing_that_the_models_refuse() -> None:
    check_mutants(20261125, 2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_the_tables_miss_nothing_in_many_mutants(seed: int) -> None:
    check_mutants(seed, 60)

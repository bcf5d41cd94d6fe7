"""Every published example of a kept type is valid, or breaks the standard in a way that is named here."""

import os
from pathlib import Path

import pytest

from app.fhir.json_text import dump, parse
from app.fhir.validation import SERVED, validate

DATA = Path(os.environ.get("HANDOFF_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "fhir")) / "examples"

INVALID: dict[str, str] = {
    "r4/Questionnaire/qs1.json": "Questionnaire.item.linkId is 1..1 (R4 Questionnaire); many items have none",
    "r4/ActivityDefinition/heart-valve-replacement.json": "txt-2: a narrative has content (R4 narrative)",
}
"""Examples that are refused, by their path below ``examples``, with the rule that each breaks."""


def list_examples() -> list[Path]:
    """Examples of the types that are kept, and of the shells."""
    found = []
    for path in sorted(DATA.glob("**/*.json")):
        name = parse(path.read_bytes()).get("resourceType")
        if name in SERVED:
            found.append(path)
    return found


EXAMPLES = list_examples()
if not EXAMPLES:
    pytest.skip(f"no FHIR examples below {DATA}; set HANDOFF_TEST_DATA", allow_module_level=True)


@pytest.mark.parametrize("path", EXAMPLES, ids=[str(path.relative_to(DATA)) for path in EXAMPLES])
def test_example(path: Path) -> None:
    issues = validate(parse(path.read_bytes()))
    if str(path.relative_to(DATA)) in INVALID:
        assert issues
    else:
        assert issues == []


@pytest.mark.parametrize("path", EXAMPLES, ids=[str(path.relative_to(DATA)) for path in EXAMPLES])
def test_example_survives_parse_and_dump(path: Path) -> None:
    content = parse(path.read_bytes())
    assert dump(parse(dump(content).encode())) == dump(content)


def test_every_exception_is_an_example() -> None:
    names = {str(path.relative_to(DATA)) for path in EXAMPLES}
    assert names >= INVALID.keys()

"""What docs/reliability.md tells of delivery and polling is about the code as it is."""

import re

import pytest

from scripts.prove_delivery import BEGIN, DOCUMENT, END, GOOD, Row, show, take_digest


def read_results() -> str:
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def test_the_proof_is_about_this_code() -> None:
    """Where there is a table yet; `make proof` runs it anew."""
    told = re.search(r"`([0-9a-f]{64})`", read_results())
    if told is None:
        pytest.skip("nothing has been proved yet")
    assert told[1] == take_digest(), "store or delivery changed since the last `make proof`: run it again"


def test_nothing_that_was_proved_went_wrong() -> None:
    rows = [line for line in read_results().splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if not row.endswith(f" {GOOD} |")] == []


def test_the_table_adds_up_the_parts_of_one_proof() -> None:
    def part(*, passed: bool, **counts: int) -> Row:
        return {"test": "t", "passed": passed, "seconds": 60, "proved": {"x": {"seeds": 1, "kill -9": 20, **counts}}}

    text = show([part(passed=True), part(passed=True, blows=1)], 2)
    assert "| x | seeds 2, kill -9 40, blows 1 | nothing wrong |" in text
    assert "seeds 1 to 2" in text
    assert "Points of kill -9: 40." in text
    assert f"`{take_digest()}`" in text
    assert "| `t` | | failed |" in show([part(passed=True), part(passed=False)], 2)

"""The proof of delivery in docs/reliability.md is of these sources, or not much older than they are."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from scripts.prove_delivery import BEGIN, DOCUMENT, END, RESULTS, ROOT, show, take_digest

GRACE = timedelta(days=7)
"""For work in hand: a change to these rooms needs no proof of its own within a week of the last one."""
BAD = ("failure", "error", "skipped")


def latest_commit() -> datetime:
    """When the project stood as it does: by its last commit; without a repository, now."""
    command = ["git", "log", "-1", "--format=%cI"]
    try:
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return datetime.now(UTC)
    return datetime.fromisoformat(said)


def test_the_proof_is_not_stale() -> None:
    results = json.loads(RESULTS.read_text())
    if results["digest"] != take_digest():
        age = latest_commit() - datetime.fromisoformat(results["date"])
        assert age < GRACE, "store or delivery changed since they were proved: run `make proof`"


def test_the_table_is_of_the_results() -> None:
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == show(json.loads(RESULTS.read_text()))


def test_nothing_failed_in_it() -> None:
    assert [row for row in json.loads(RESULTS.read_text())["rows"] if row["result"] in BAD] == []


@pytest.mark.soak
def test_the_proof_is_of_these_very_sources() -> None:
    assert json.loads(RESULTS.read_text())["digest"] == take_digest(), "run `make proof`"

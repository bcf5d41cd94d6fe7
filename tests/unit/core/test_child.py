"""A forked child is born with what its parent imported, and with nothing else of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each child is a program of its own")

ROOT = Path(__file__).parents[3]


def run_family(call: str) -> subprocess.CompletedProcess[str]:
    """Parent and child, away from the threads that the tests have."""
    command = [sys.executable, "-c", f"from tests.unit.core import family; family.{call}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)


@pytest.fixture(scope="module")
def forked() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_family("be_parent('look')").stdout)
    return found


def test_it_is_born_with_what_its_parent_imported(forked: dict[str, Any]) -> None:
    assert forked["born of"] == "the parent"
    assert forked["name"] == "handoff-test"
    assert forked["setting"] == "given"


def test_it_has_a_session_signals_and_a_loop_of_its_own(forked: dict[str, Any]) -> None:
    assert forked["leads its session"]
    assert forked["blocked signals"] == 0
    assert forked["a loop"] == "of its own"


def test_it_holds_what_it_was_given_and_nothing_else_of_its_parents(forked: dict[str, Any]) -> None:
    """Of two pipes the reading end of the one, and the end of the other by which its parent sees it end."""
    assert (forked["sockets"], forked["loops"], forked["pipes"]) == (0, 0, 2)


@pytest.mark.parametrize(("task", "code"), [("look", 0), ("exit", 3), ("bug", 1), ("kill", -15)])
def test_its_parent_learns_how_it_ended_and_hears_none_of_its_signals(task: str, code: int) -> None:
    assert f"ended with {code} []" in run_family(f"be_parent('{task}')").stderr


def test_a_bug_is_told_without_its_text() -> None:
    said = run_family("be_parent('bug')").stderr
    assert "handoff-test: ValueError at" in said
    assert "what somebody wrote" not in said


@pytest.mark.parametrize("where", ["beside=True", "sharing=False"])
def test_beside_another_thread_or_with_a_secret_it_is_a_program_of_its_own(where: str) -> None:
    ended = run_family(f"be_parent('look', {where})")
    assert json.loads(ended.stdout)["born of"] == "nobody"
    assert "ended with 0 []" in ended.stderr


def test_one_that_ends_at_once_is_started_again_a_few_times() -> None:
    said = run_family("be_supervisor()").stderr
    assert "gave up: The worker process ended 5 times in a row, with code 3" in said

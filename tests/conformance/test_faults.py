"""Every fault of docs/reliability.md: nothing lost, nothing invented, in order, duplicates under the same id."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.faults import FAULTS, Fault
from tests.conformance.hosts import FAKETIME
from tests.conformance.play import Play
from tests.conformance.reconcile import COMPACT, Change, find_faults, read_journal

SEEDS = int(os.environ.get("HANDOFF_TEST_SEEDS", "20"))
PART = 10
"""Seeds that are played on the same hosts: to start two of them costs as much as to play several."""
PARTS = [range(first, min(first + PART, SEEDS + 1)) for first in range(1, SEEDS + 1, PART)]


def name_part(seeds: range) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


async def run_seeds(play: Play, fault: Fault, seeds: range) -> None:
    for seed in seeds:
        await play.run(seed, fault)
        journal = read_journal(play.receiver.journal)
        answers = {each.answer for each in journal}
        assert not fault.answers or answers & set(fault.answers), f"seed {seed} played no fault"
        play.counts["answered badly"] += sum(each.answer in fault.answers for each in journal)
        assert await play.reconcile() == [], f"seed {seed}"


async def test_all_faults_at_once(play: Play) -> None:
    await run_seeds(play, FAULTS["all of them"], range(1))


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(FAULTS, key=lambda each: -len(FAULTS[each].blows)))
@pytest.mark.parametrize("seeds", PARTS, ids=name_part)
async def test_twenty_seeds_of_a_fault(
    play: Play, name: str, seeds: range, record_property: Callable[[str, object], None]
) -> None:
    record_property("what", name)
    assert FAKETIME, "the long form needs libfaketime (Debian: apt-get install libfaketime)"
    await run_seeds(play, FAULTS[name], seeds)
    record_property("seeds", len(seeds))
    for what, count in play.counts.items():
        record_property(what, count)


def test_the_reconciliation_finds_what_is_wrong(tmp_path: Path) -> None:
    """Its negative control."""

    def line(version: int, sequence: int, name: str | None = None, **more: Any) -> str:
        body = {"task": "Task/a", "version": str(version), "status": f"s{version}", "sequence": sequence}
        told = {"path": COMPACT, "verified": True, "answer": "204", **more}
        return json.dumps({**told, "headers": {"webhook-id": name or f"evt_{version}_0"}, "body": json.dumps(body)})

    journal = tmp_path / "journal"
    good = [line(1, 1), line(2, 2), line(2, 2), line(3, 3)]
    committed: set[Change] = {("Task/a", version, f"s{version}") for version in (1, 2, 3)}
    for lines, wrong in (
        (good, []),
        (good[:3], ["lost"]),
        ([*good, line(4, 4)], ["phantom"]),
        ([good[1], good[0], good[3]], ["out of order"]),
        ([*good, line(3, 3, "evt_9_0")], ["under several ids"]),
        ([*good[:3], line(3, 3, "evt_2_0")], ["one id for several events"]),
        ([*good, line(3, 3, verified=False)], ["does not verify"]),
        ([*good, line(3, 3, path="/elsewhere")], ["a redirect was followed"]),
    ):
        journal.write_text("\n".join(lines))
        found = find_faults(committed, read_journal(journal))
        assert len(found) == len(wrong)
        assert all(each.startswith(start) for each, start in zip(found, wrong, strict=True))

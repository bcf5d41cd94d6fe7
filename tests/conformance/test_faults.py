"""Every fault of docs/reliability.md: nothing lost, nothing invented, in order, duplicates under the same id."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.faults import FAULTS
from tests.conformance.hosts import FAKETIME
from tests.conformance.play import Play
from tests.conformance.reconcile import COMPACT, Change, find_faults, read_journal

SEEDS = int(os.environ.get("HANDOFF_TEST_SEEDS", "20"))
CLOCK = "the database's clock stepped back an hour"


async def run_fault(play: Play, name: str, seed: int) -> dict[str, int]:
    """What was counted while one fault was played."""
    fault = FAULTS[name]
    play.counts.clear()
    await play.run(seed, fault)
    bad = [each for each in read_journal(play.receiver.journal) if each.answer in fault.answers]
    assert bad or not fault.answers, f"{name}, seed {seed}: nothing was answered badly"
    wrong = await play.reconcile()
    assert wrong == [], f"{name}, seed {seed}"
    return {"seeds": 1, **play.counts, "answered badly": len(bad)}


async def test_all_faults_at_once(play: Play) -> None:
    await run_fault(play, "all of them", 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_each_fault(play: Play, seed: int, record_property: Callable[[str, object], None]) -> None:
    """All on the same hosts, in an order that the seed chooses; the clock last, since it is not set right again."""
    assert FAKETIME, "the long form needs libfaketime (Debian: apt-get install libfaketime)"
    names = sorted(FAULTS.keys() - {CLOCK})
    for name in [*random.Random(seed).sample(names, len(names)), CLOCK]:
        record_property(name, await run_fault(play, name, seed))


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

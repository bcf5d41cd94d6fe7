"""Runs the long proofs of delivery and polling, and writes what came out into docs/reliability.md.

    python -m scripts.prove_delivery [--seeds N] [--at-once N] [--anew] [-k EXPRESSION]

What has been proved of these sources is kept below ``var/proof``, so that a run that was broken off goes on. The table
in the document tells the digest of the sources that it is about. Ends with 1 where something failed, was skipped or is
still to be run; that stands in the table then.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "var" / "proof"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
GOOD, BAD = "nothing wrong", "failed"
ROOMS = (
    "app/store",
    "app/delivery",
    "app/worker.py",
    "app/core/outbound.py",
    "app/core/addresses.py",
    "alembic/versions",
)
PROOFS = (
    "tests/conformance/test_polling_over_http.py",
    "tests/conformance/test_restore.py",
    "tests/conformance/test_faults.py",
)
"""The longest first."""
SEEDS = 20
AT_ONCE = 4
"""Tests beside each other: they wait more than they work."""

Row = dict[str, Any]


def take_digest() -> str:
    """Of the sources whose change makes the results old."""
    digest = hashlib.sha256()
    files = [each for room in ROOMS for each in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]]
    for each in files:
        digest.update(f"{each.relative_to(ROOT)}\0".encode() + each.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Keeper:
    """Writes down what came out of each test as soon as it has ended."""

    folder: Path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            row = {"test": report.nodeid, "passed": report.outcome == "passed", "seconds": round(report.duration)}
            name = hashlib.sha256(report.nodeid.encode()).hexdigest()[:16]
            (self.folder / f"{name}.json").write_text(json.dumps({**row, "proved": dict(report.user_properties)}))


def run_proofs(folder: Path, seeds: int, at_once: int, wanted: str) -> bool:
    """Runs what ``folder`` does not hold as good yet; whether it came to the end, be it well or not."""
    os.chdir(ROOT)
    os.environ["HANDOFF_TEST_SEEDS"] = str(seeds)
    done = [each["test"] for each in read_rows(folder) if each["passed"]]
    command = ["-m", "soak", "-n", str(at_once), "--dist", "load", "--maxschedchunk", "1", "-k", wanted]
    code = pytest.main([*command, *(f"--deselect={each}" for each in done), *PROOFS], plugins=[Keeper(folder)])
    return code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def read_rows(folder: Path) -> list[Row]:
    """What came out of each test that has been run."""
    return [json.loads(each.read_text()) for each in sorted(folder.glob("*.json"))]


def ask_git(*question: str) -> str:
    """What git says."""
    return subprocess.run(["git", *question], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def show(rows: list[Row], seeds: int) -> str:
    """The results as the document has them: what was proved, what was counted over all parts, and what went wrong."""
    commit = ask_git("rev-parse", "--short", "HEAD") + (", changed" if ask_git("status", "--porcelain", "app") else "")
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for what, counts in row["proved"].items():
            counted[what].update(counts)
    minutes = sum(row["seconds"] for row in rows) / 60
    head = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, seeds 1 to {seeds}, {minutes:.0f} minutes of tests. Digest"
    lines = [head, f"of the sources: `{take_digest()}`.", "", "| what | counted | result |", "|---|---|---|"]
    for what, counts in sorted(counted.items()):
        lines.append(f"| {what} | {', '.join(f'{name} {count}' for name, count in counts.items())} | {GOOD} |")
    lines += [f"| `{row['test']}` | | {BAD} |" for row in rows if not row["passed"]]
    kills = sum(each["kill -9"] for each in counted.values())
    return "\n".join([*lines, "", f"Points of kill -9: {kills}.", ""])


def write(text: str) -> None:
    """The results in the document."""
    head, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(head + BEGIN + text + END + rest.partition(END)[2])


def main() -> int:
    """0 where everything was played, and nothing was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--anew", action="store_true", help="forget what was proved of these sources before")
    parser.add_argument("-k", default="", dest="wanted")
    given = parser.parse_args()
    folder = KEPT / f"{take_digest()[:16]}-{given.seeds}"
    if given.anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not run_proofs(folder, given.seeds, given.at_once, given.wanted):
        return 1
    rows = read_rows(folder)
    write(show(rows, given.seeds))
    return int(not all(row["passed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

"""Runs the long proofs of delivery and polling, and writes what came out into docs/reliability.md.

    python -m scripts.prove_delivery [--seeds N] [--at-once N] [-k EXPRESSION]

The results stand in docs/reliability.json too, with the digest of the sources that they are about; the table in the
document is made of it. Ends with 1 where something failed or was skipped; that stands in the table then.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "reliability.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
ROOMS = (
    "app/store",
    "app/delivery",
    "app/worker.py",
    "app/core/outbound.py",
    "app/core/addresses.py",
    "alembic/versions",
)
PROOFS = (
    "tests/conformance/test_faults.py",
    "tests/conformance/test_restore.py",
    "tests/integration/store/test_polling.py",
)
SEEDS = 20
AT_ONCE = 4
"""Tests beside each other: they wait more than they work."""

Results = dict[str, Any]


def take_digest() -> str:
    """Of the sources whose change makes the results old."""
    digest = hashlib.sha256()
    files = [each for room in ROOMS for each in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]]
    for each in files:
        digest.update(f"{each.relative_to(ROOT)}\0".encode() + each.read_bytes() + b"\0")
    return digest.hexdigest()


def run_proofs(seeds: int, at_once: int, wanted: str) -> Results:
    """Runs them; the results."""
    began = time.time()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", "-n", str(at_once), "--dist", "worksteal"]
        command += [*PROOFS, "-k", wanted, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "HANDOFF_TEST_SEEDS": str(seeds)})
        rows = [read_case(each) for each in ElementTree.parse(report).iter("testcase")]
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": ask_git("rev-parse", "--short", "HEAD")
        + ("" if not ask_git("status", "--porcelain") else ", changed"),
        "minutes": round((time.time() - began) / 60),
        "digest": take_digest(),
        "rows": sorted(rows, key=lambda each: str(each["what"])),
    }


def read_case(case: ElementTree.Element) -> Results:
    """One test: what was played, how often, what was counted, what came out."""
    told = {each.get("name"): each.get("value") for each in case.iter("property")}
    bad = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), None)
    what = told.pop("what", None) or case.get("name")
    return {"what": what, "result": bad or told.pop("result", "nothing wrong"), "counts": told}


def ask_git(*question: str) -> str:
    """What git says."""
    return subprocess.run(["git", *question], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def show(results: Results) -> str:
    """The results as the document has them."""
    lines = [f"{results['date'][:10]}, commit {results['commit']}, {results['minutes']} minutes.", ""]
    lines += ["| what | counted | result |", "|---|---|---|"]
    for row in results["rows"]:
        counts = ", ".join(f"{name} {count}" for name, count in row["counts"].items() if name != "result")
        lines.append(f"| {row['what']} | {counts} | {row['result']} |")
    kills = sum(int(row["counts"].get("kill -9", 0)) for row in results["rows"])
    return "\n".join([*lines, "", f"Points of kill -9: {kills}.", ""])


def write(results: Results) -> None:
    """The results beside the document, and their table in it."""
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    head, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(head + BEGIN + show(results) + END + rest.partition(END)[2])


def main() -> int:
    """0 where everything that was asked for was played, and nothing was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("-k", default="", dest="wanted")
    given = parser.parse_args()
    results = run_proofs(given.seeds, given.at_once, given.wanted)
    write(results)
    return int(any(row["result"] in ("failure", "error", "skipped") for row in results["rows"]) or not results["rows"])


if __name__ == "__main__":
    sys.exit(main())

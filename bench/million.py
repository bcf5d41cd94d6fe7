"""The hot queries at 10,000 and at 1,000,000 Tasks, in turn, through the server and at the bare database.

    python -m bench.million [--tasks N] [--rounds R] [--cases WORD]... [--json FILE] [--data DIR]

With ``--data`` what was loaded is kept, brought up to date and measured again the next time. One PostgreSQL with two
databases, a server on each. Each case is asked with other values every time, by the owner of half of the Tasks and by
an organisation that sees half of everything; the small and the large database take turns, request by request, so that
whatever else the machine does meets both alike.
"""

import argparse
import asyncio
import http.client
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg

from app.core.caller import Scope
from app.core.embedded_postgres import RunningPostgres, start_postgres
from app.core.settings import Settings
from app.search.parse import parse_search
from app.search.polling import write_mark
from app.store.migrate import upgrade_database
from app.store.search import render_search
from bench.__main__ import describe_machine
from bench.floor import SESSION
from bench.growth import grow_tasks
from bench.load import BEGINNING, FAMILIES, GIVEN, HOSPITAL, OBSERVER, PARTNERS
from bench.stage import Stage, make_organizations, open_server

OWNER = PARTNERS[0]
"""It owns half of the Tasks."""
CALLERS = {"owner of half": OWNER, "sees half": OBSERVER}
SMALL = 10_000
WARM_UP = 20
"""Requests of each case before the clock starts."""

Pairs = list[tuple[str, str]]
POLL: Pairs = [("owner", f"Organization/{OWNER}"), ("status", "requested")]
NEWEST: Pairs = [("_sort", "-_lastUpdated"), ("_count", "20")]


def some_patient(dice: random.Random, tasks: int) -> str:
    return f"Patient/bench-patient-{dice.randrange(tasks // 2)}"


def some_moment(dice: random.Random, tasks: int) -> str:
    return f"gt{write_mark(BEGINNING + timedelta(seconds=dice.randrange(tasks)))}"


CASES: dict[str, tuple[str, Callable[[random.Random, int], Pairs]]] = {
    "poll, newest 20": ("Task", lambda dice, tasks: POLL + NEWEST),
    "poll since": ("Task", lambda dice, tasks: [*POLL, ("_lastUpdated", some_moment(dice, tasks)), *NEWEST]),
    "Tasks of a patient": ("Task", lambda dice, tasks: [("patient", some_patient(dice, tasks))]),
    "requests of a patient": (
        "ServiceRequest",
        lambda dice, tasks: [("patient", some_patient(dice, tasks)), ("status", "active")],
    ),
    "family name": ("Patient", lambda dice, tasks: [("name", dice.choice(FAMILIES))]),
    "whole name": ("Patient", lambda dice, tasks: [("name", f"{dice.choice(FAMILIES)} {dice.choice(GIVEN)}")]),
    "identifier": (
        "Patient",
        lambda dice, tasks: [("identifier", f"urn:bench:record|R{dice.randrange(tasks // 2):08}")],
    ),
    "poll without _sort": ("Task", lambda dice, tasks: POLL),
    "code of all": ("Task", lambda dice, tasks: [("code", "fulfill")]),
    "code of all, newest 20": ("Task", lambda dice, tasks: [("code", "fulfill"), *NEWEST]),
}
"""The hot queries of the project's third issue, then some that many match. Each takes a die and how many Tasks."""


class Side:
    """One of the two databases, with its server: ``tasks`` of them, a token and a session for each organisation."""

    def __init__(self, stage: Stage, tasks: int) -> None:
        self.stage, self.tasks = stage, tasks
        self.tokens: dict[str, str] = {}
        self.dice = random.Random(1)
        self.client = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
        self.connection: asyncpg.Connection | None = None

    async def open(self) -> None:
        self.connection = await asyncpg.connect(self.stage.url, statement_cache_size=1000, server_settings=SESSION)

    async def renew(self) -> None:
        """Takes tokens; each lives for five minutes, as the server's own do."""
        self.tokens = {each: await self.stage.token(each, "provider") for each in CALLERS.values()}

    def ask(self, kind: str, pairs: Pairs, organization: str) -> float:
        """Milliseconds of one request."""
        began = time.perf_counter()
        self.client.request(
            "GET",
            f"/fhir/{kind}?{urlencode(pairs)}",
            headers={"Authorization": f"Bearer {self.tokens[organization]}"},
        )
        answer = self.client.getresponse()
        body = answer.read()
        taken = 1000 * (time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"{kind}?{urlencode(pairs)}: {answer.status} {body[:300]!r}")
        return taken

    async def query(self, kind: str, pairs: Pairs, organization: str) -> float:
        """Milliseconds of the statement alone, by a session as the server's."""
        plan = parse_search(kind, pairs, Settings(), "http://bench/fhir")
        statement, values = render_search(plan, Scope((organization,)))
        if self.connection is None:
            raise RuntimeError("not opened")
        began = time.perf_counter()
        await self.connection.fetch(statement, *values)
        return 1000 * (time.perf_counter() - began)


async def fill_database(url: str, tasks: int) -> None:
    """The schema, the Tasks and what belongs to them, and statistics."""
    connection = await asyncpg.connect(url)
    began = time.monotonic()
    await grow_tasks(connection, tasks)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    print(f"{tasks:,} Tasks in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


async def make_side(running: RunningPostgres, tasks: int, name: str) -> str:
    """A database of so many Tasks, or the one that was kept; its address."""
    connection = await asyncpg.connect(running.url)
    url = running.url.replace("/postgres?", f"/{name}?")
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
        # Under another name until it is whole: what a load that was broken off left behind is not taken for it.
        loading = f"{name}_loading"
        await connection.execute(f"DROP DATABASE IF EXISTS {loading} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {loading}")
        filling = running.url.replace("/postgres?", f"/{loading}?")
        await asyncio.to_thread(upgrade_database, filling)
        await fill_database(filling, tasks)
        await connection.execute(f"ALTER DATABASE {loading} RENAME TO {name}")
    await connection.close()
    await asyncio.to_thread(upgrade_database, url)
    return url


async def measure(sides: list[Side], cases: list[str], rounds: int) -> list[dict[str, Any]]:
    """For each case and caller the milliseconds on each side, over HTTP and of the statement."""
    figures = []
    for name in cases:
        kind, build = CASES[name]
        for side in sides:
            await side.renew()
        for caller, organization in CALLERS.items():
            taken: dict[str, list[list[float]]] = {"http": [[], []], "statement": [[], []]}
            for n in range(WARM_UP + rounds):
                for place, side in enumerate(sides):
                    pairs = build(side.dice, side.tasks)
                    over_http = side.ask(kind, pairs, organization)
                    alone = await side.query(kind, pairs, organization)
                    if n >= WARM_UP:
                        taken["http"][place].append(over_http)
                        taken["statement"][place].append(alone)
            figures.append({"case": name, "caller": caller, **{key: sum_up(pair) for key, pair in taken.items()}})
    return figures


def sum_up(pair: list[list[float]]) -> dict[str, float]:
    """p50 and p99 of each side, and how much longer the large one takes at the median."""
    small, large = (sorted(each) for each in pair)
    middle, last = len(small) // 2, int(len(small) * 0.99)
    return {
        "p50 small": small[middle],
        "p50 large": large[middle],
        "p99 small": small[last],
        "p99 large": large[last],
        "ratio": large[middle] / small[middle],
    }


async def weigh_indexes(url: str, tasks: int) -> dict[str, float]:
    """Bytes for each Task of the tables and indexes that weigh most."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT relname, pg_relation_size(oid) AS size FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'i') AND pg_relation_size(oid) > $1 ORDER BY 2 DESC",
        tasks * 8,
    )
    await connection.close()
    return {row["relname"]: row["size"] / tasks for row in rows}


def print_table(figures: list[dict[str, Any]], tasks: int) -> None:
    """A Markdown table: hot queries at 10,000 and 1,000,000."""
    print(f"| hot query | caller | p50 ms at {SMALL:,} | at {tasks:,} | ratio | p99 ms | | statement p50 | | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for each in figures:
        cells = [each["case"], each["caller"]]
        told, bare = each["http"], each["statement"]
        cells += [f"{told['p50 small']:.2f}", f"{told['p50 large']:.2f}", f"{told['ratio']:.2f}"]
        cells += [f"{told['p99 small']:.1f}", f"{told['p99 large']:.1f}"]
        cells += [f"{bare['p50 small']:.2f}", f"{bare['p50 large']:.2f}", f"{bare['ratio']:.2f}"]
        print(f"| {' | '.join(cells)} |")


async def run(options: argparse.Namespace, directory: Path, stack: ExitStack) -> dict[str, Any]:
    """Loads both databases, serves and measures both."""
    running = start_postgres(directory / "postgres")
    stack.callback(running.stop if options.data else running.destroy)
    connection = await asyncpg.connect(running.url)
    await connection.execute("ALTER SYSTEM SET max_wal_size = '6GB'")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    sides = []
    for tasks, name in ((SMALL, "small"), (options.tasks, f"large_{options.tasks}")):
        url = await make_side(running, tasks, name)
        (directory / name).mkdir(exist_ok=True)
        stage = stack.enter_context(open_server(directory / name, running, url, 1))
        await make_organizations(stage, [HOSPITAL, OBSERVER, *PARTNERS])
        side = Side(stage, tasks)
        await side.open()
        sides.append(side)
    chosen = [each for each in CASES if not options.cases or any(word in each for word in options.cases)]
    figures = await measure(sides, chosen, options.rounds)
    weights = await weigh_indexes(sides[1].stage.url, options.tasks)
    for side in sides:
        if side.connection:
            await side.connection.close()
    return {"figures": figures, "bytes_per_task": weights}


def read_commit() -> str:
    """The commit that is measured, if this is a checkout."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def main() -> None:
    """Reads the options, runs, reports."""
    parser = argparse.ArgumentParser(prog="python -m bench.million")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="in the large database")
    parser.add_argument("--rounds", type=int, default=200, help="requests of each case, caller and database")
    parser.add_argument("--cases", nargs="*", help="only those with one of these words in their name")
    parser.add_argument("--json", type=Path, default=Path("var/million.json"), help="where the figures go")
    parser.add_argument("--data", type=Path, help="keeps the databases here, for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as name, ExitStack() as stack:
        report = asyncio.run(run(options, options.data or Path(name), stack))
    report |= {"machine": describe_machine(), "commit": read_commit(), "tasks": options.tasks}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print_table(report["figures"], options.tasks)
    heaviest = ", ".join(f"{name} {size:.0f}" for name, size in list(report["bytes_per_task"].items())[:25])
    print(f"\nBytes for each Task: {heaviest}.")


if __name__ == "__main__":
    main()

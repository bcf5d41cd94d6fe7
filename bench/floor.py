"""The floor: the statements that a request runs, replayed straight through asyncpg by a process of its own.

    python -m bench.floor DATABASE_URL CONNECTIONS SECONDS UNITS_FILE

``UNITS_FILE`` is a pickled list of units, each the statements of one request as (text, arguments). Prints one line of
JSON: count and seconds.
"""

import asyncio
import json
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

SESSION = {
    "application_name": "handoff-bench",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
}
"""As the server's own connections (app/core/database.py)."""

WARM_UP = 10
"""Units of each connection before the clock starts: every statement is planned once."""

Statement = tuple[str, tuple[Any, ...]]
Unit = Sequence[Statement]


async def replay(connection: asyncpg.Connection, unit: Unit) -> None:
    """The statements of one request, in order."""
    for text, arguments in unit:
        if arguments:
            await connection.fetch(text, *arguments)
        else:
            await connection.execute(text)


async def drive(url: str, units: Iterator[Unit], seconds: float, start: asyncio.Barrier) -> int:
    """One connection's share; how many units it ran."""
    connection = await asyncpg.connect(url, statement_cache_size=1000, server_settings=SESSION)
    for _, unit in zip(range(WARM_UP), units, strict=False):
        await replay(connection, unit)
    await start.wait()
    deadline = time.perf_counter() + seconds
    count = 0
    for unit in units:
        if time.perf_counter() > deadline:
            break
        await replay(connection, unit)
        count += 1
    await connection.close()
    return count


async def measure(url: str, connections: int, seconds: float, units: list[Unit]) -> dict[str, float]:
    """Runs all connections and sums up."""
    start = asyncio.Barrier(connections + 1)
    left = iter(units)
    async with asyncio.TaskGroup() as group:  # whichever fails ends them all, those that wait too
        drives = [group.create_task(drive(url, left, seconds, start)) for _ in range(connections)]
        await start.wait()
        began = time.perf_counter()
    return {"count": sum(each.result() for each in drives), "seconds": time.perf_counter() - began}


def main() -> None:
    """Reads the arguments, prints the result."""
    url, connections, seconds, path = sys.argv[1:]
    units = pickle.loads(Path(path).read_bytes())
    print(json.dumps(uvloop.run(measure(url, int(connections), float(seconds), units))))


if __name__ == "__main__":
    main()

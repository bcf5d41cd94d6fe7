"""Runs the bench: each case over HTTP and at the floor, in turn, on the same loaded database.

    python -m bench [--full] [--only cases|webhooks] [--cases WORD...] [--connections N...] [--seconds S]
                    [--workers N] [--json FILE]

Prints a table; the figures go to a JSON file too. Quote the ratios, never a lone time: the machine is shared with
PostgreSQL, the load generator and whatever else runs on it.
"""

import argparse
import asyncio
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench.cases import CASES, Bench, Case
from bench.growth import grow_tasks
from bench.load import HOSPITAL, PARTNERS
from bench.stage import Stage, make_organizations, open_stage
from bench.webhooks import measure_delivery

ROUNDS = {"read": 20_000, "hot poll": 10_000, "create": 2_000, "PUT status": 320, "transaction of 3": 800}
"""Most requests of each case in one round; the seconds may end it before."""
WARM_UP = 5
"""One request in so many comes before the clock starts, so that every connection has planned its statements."""


def run_traffic(stage: Stage, case: Case, connections: int, seconds: float, file: Path) -> dict[str, Any]:
    """The case over HTTP, with the CPU milliseconds that each request cost."""
    command = [sys.executable, "-m", "bench.traffic", "127.0.0.1", str(stage.port), str(connections), str(seconds)]
    cut = len(case.requests) // WARM_UP
    file.write_bytes(pickle.dumps(case.requests[:cut]))
    subprocess.run([*command, str(file)], capture_output=True, check=True)
    file.write_bytes(pickle.dumps(case.requests[cut:]))
    before = stage.cpu()
    result: dict[str, Any] = json.loads(subprocess.run([*command, str(file)], capture_output=True, check=True).stdout)
    after = stage.cpu()
    if not set(result["statuses"]) <= {"200", "201"}:
        raise RuntimeError(f"{case.name}: {result['statuses']}")
    result["cpu_server"] = 1000 * (after[0] - before[0]) / result["count"]
    result["cpu_postgres"] = 1000 * (after[1] - before[1]) / result["count"]
    result["rate"] = result["count"] / result["seconds"]
    return result


def run_floor(stage: Stage, case: Case, connections: int, seconds: float, workers: int, file: Path) -> float:
    """Units a second straight through asyncpg, by as many processes as the server has."""
    processes = min(workers, connections)
    running = []
    for n in range(processes):
        share = file.with_suffix(f".{n}")
        share.write_bytes(pickle.dumps(case.units[n::processes]))
        each = str(connections // processes)
        command = [sys.executable, "-m", "bench.floor", stage.url, each, str(seconds), str(share)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    results = [json.loads(each.communicate()[0] or "null") for each in running]
    if None in results:
        raise RuntimeError(f"{case.name}: a process of the floor failed")
    return float(sum(each["count"] / each["seconds"] for each in results))


async def run_cases(stage: Stage, options: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    """Every case that is asked for, then delivery."""
    tasks = 1_000_000 if options.full else 10_000
    connection = await asyncpg.connect(stage.url)
    print(f"Loading {tasks:,} Tasks", file=sys.stderr)
    await grow_tasks(connection, tasks)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    await make_organizations(stage, [HOSPITAL, *PARTNERS])
    bench = Bench(stage, tasks)
    figures = []
    for connections in () if options.only == "webhooks" else options.connections:
        for build in CASES:
            name = build.__name__.removeprefix("build_")
            if options.cases and name not in options.cases:
                continue
            print(f"{name}, {connections} connections", file=sys.stderr)
            case = await build(bench, 1)
            case = await build(bench, ROUNDS[case.name] if connections > 1 else ROUNDS[case.name] // 4)
            result = run_traffic(stage, case, connections, options.seconds, directory / "requests")
            floor = run_floor(stage, case, connections, options.seconds, options.workers, directory / "units")
            figures.append({"case": case.name, "connections": connections, "floor": floor, **result})
    if options.only == "cases":
        return figures
    print("delivery", file=sys.stderr)
    return figures + await measure_delivery(bench, directory)


def describe_machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def print_table(figures: list[dict[str, Any]]) -> None:
    """A Markdown table."""
    print("| case | connections | requests/s | of the floor | p50 ms | p99 ms | CPU ms server | CPU ms Postgres |")
    print("|---|---|---|---|---|---|---|---|")
    for each in (each for each in figures if "floor" in each):
        print(
            f"| {each['case']} | {each['connections']} | {each['rate']:,.0f} | {each['rate'] / each['floor']:.2f} "
            f"| {each['p50']:.2f} | {each['p99']:.2f} | {each['cpu_server']:.2f} | {each['cpu_postgres']:.2f} |"
        )


def print_delivery(figures: list[dict[str, Any]]) -> None:
    """What issue 4 asks for, each with its figure."""
    latency, backlog, neighbours = figures[-3:]
    print("\n| delivery | measured | wanted |\n|---|---|---|")
    print(f"| commit to receipt at 50 changes/s, p50 | {latency['p50']:.1f} ms | under 50 ms |")
    print(f"| the same, p99 | {latency['p99']:.1f} ms | under 250 ms |")
    print(f"| signed deliveries out of a backlog of {backlog['count']:,.0f} | {backlog['per second']:,.0f}/s | 300/s |")
    cpu = f"{backlog['cpu_server']:.2f} + {backlog['cpu_postgres']:.2f}"
    print(f"| CPU ms of each, server + PostgreSQL, the API's writes among them | {cpu} | |")
    api = f"{backlog['p99']:.1f} ms after {backlog['p99 quiet']:.1f} ms: {backlog['API slower']:.2f}"
    print(f"| p99 of creating a Task meanwhile, at 20/s | {api} times | under 2 times |")
    print(f"| one dead endpoint in ten slows the others by | {neighbours['slower %']:.1f}% | under 10% |")


def main() -> None:
    """Reads the options, runs, reports."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--full", action="store_true", help="1,000,000 Tasks instead of 10,000")
    parser.add_argument("--only", choices=["cases", "webhooks"], help="without delivery, or delivery alone")
    parser.add_argument("--cases", nargs="*", help="only these: read poll create put transaction")
    parser.add_argument("--connections", nargs="*", type=int, default=[1, 16], help="each case at so many connections")
    parser.add_argument("--seconds", type=float, default=5.0, help="the longest a round may take")
    parser.add_argument("--workers", type=int, default=2, help="web processes")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="where the figures go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as name, open_stage(Path(name), options.workers) as stage:
        figures = asyncio.run(run_cases(stage, options, Path(name)))
        memory = stage.memory()
        ready, audit = stage.seconds_to_ready, stage.settings.audit
    report = {
        "machine": describe_machine(),
        "audit": audit,
        "seconds_to_ready": ready,
        "memory_mb": memory,
        "figures": figures,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.only != "webhooks":
        print_table(figures)
    if options.only != "cases":
        print_delivery(figures)
    print(f"\nAudit {audit}, as shipped. Start to ready {ready:.1f} s;", end=" ")
    print(f"resident MB of each process: {', '.join(f'{each:.0f}' for each in memory)}.")


if __name__ == "__main__":
    main()

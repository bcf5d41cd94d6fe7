"""The load generator, a process of its own: sends prepared HTTP requests over keep-alive connections.

    python -m bench.traffic HOST PORT CONNECTIONS SECONDS REQUESTS_FILE

``REQUESTS_FILE`` is a pickled list of raw requests. They are sent in turn until they or the seconds run out.
Prints one line of JSON: count, seconds, p50 and p99 in milliseconds, and how often each status came.
"""

import asyncio
import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import uvloop


async def read_answer(reader: asyncio.StreamReader) -> int:
    """The status of one answer, its body read."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    if start >= 0:
        length = int(lowered[start + 15 : lowered.index(b"\r\n", start)])
        if length:
            await reader.readexactly(length)
    return status


class Run:
    """One run: the requests left, and what was measured."""

    def __init__(self, requests: list[bytes], deadline: float) -> None:
        self.left: Iterator[bytes] = iter(requests)
        self.deadline = deadline
        self.taken: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def drive(self, host: str, port: int) -> None:
        """One connection's share."""
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        for request in self.left:
            began = time.perf_counter()
            if began > self.deadline:
                break
            writer.write(request)
            status = await read_answer(reader)
            self.taken.append(time.perf_counter() - began)
            self.statuses[status] += 1
        writer.close()


async def measure(host: str, port: int, connections: int, seconds: float, requests: list[bytes]) -> dict[str, object]:
    """Runs all connections and sums up."""
    began = time.perf_counter()
    run = Run(requests, began + seconds)
    await asyncio.gather(*(run.drive(host, port) for _ in range(connections)))
    elapsed = time.perf_counter() - began
    ordered = sorted(run.taken)
    return {
        "count": len(ordered),
        "seconds": elapsed,
        "p50": 1000 * ordered[len(ordered) // 2],
        "p99": 1000 * ordered[int(len(ordered) * 0.99)],
        "statuses": {str(status): count for status, count in sorted(run.statuses.items())},
    }


def main() -> None:
    """Reads the arguments, prints the result."""
    host, port, connections, seconds, path = sys.argv[1:]
    requests = pickle.loads(Path(path).read_bytes())
    result = uvloop.run(measure(host, int(port), int(connections), float(seconds), requests))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

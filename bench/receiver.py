"""A webhook receiver that writes down when each delivery came.

python -m bench.receiver JOURNAL [dead]

A dead one takes connections and answers nothing.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop


async def serve(journal: Path, *, dead: bool) -> None:
    """Answers 204 to everything, or nothing at all where ``dead``, on a free port that it prints."""
    with journal.open("a", buffering=1) as file:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if dead:
                    await reader.read()
                while not dead:
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    start = head.index(b"content-length:") + 15
                    body = await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
                    file.write(json.dumps([time.time(), json.loads(body)]) + "\n")
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), dead="dead" in sys.argv[2:]))

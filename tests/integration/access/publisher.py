"""A server of others over real HTTP: it publishes documents, answers what it is asked, and counts who came."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Publisher:
    """``documents`` are answered by path, with ``headers``; ``answers`` gives what a body is answered with."""

    base: str = ""
    documents: dict[str, Json | bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Callable[[str], tuple[int, Json]]] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    connections: int = 0

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                _, path, _ = head.split(" ", 2)
                length = int(head.lower().partition("content-length: ")[2].partition("\r")[0] or 0)
                body = (await reader.readexactly(length)).decode()
                self.asked.append(path)
                status, content = self.answer(path, body)
                more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{more}\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def answer(self, path: str, body: str) -> tuple[int, bytes]:
        if path in self.answers:
            status, told = self.answers[path](body)
            return status, json.dumps(told).encode()
        found = self.documents.get(path)
        if found is None:
            return 404, b""
        return self.status, found if isinstance(found, bytes) else json.dumps(found).encode()


@asynccontextmanager
async def open_publisher() -> AsyncIterator[Publisher]:
    """One on a free port of this machine."""
    publisher = Publisher()
    server = await asyncio.start_server(publisher.serve, "127.0.0.1", 0)
    publisher.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield publisher
    finally:
        server.close()

"""A receiver over real HTTP that answers as it is told and remembers what came."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import until


@dataclass
class Request:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    line: str = ""

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class Receiver:
    """``answer`` gives (status, headers) for each request; waiting in it holds the request up."""

    url: str = ""
    answer: Callable[[Request], Awaitable[tuple[int, dict[str, str]]]] = field(default=lambda _: accept())
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")[1:]
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(headers, body, head.partition(" HTTP/")[0])
                status, more = await self.answer(request)
                self.requests.append(request)
                extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{extra}\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def wait_for(self, count: int) -> list[Request]:
        """The requests, once there are so many."""

        async def have_come() -> bool:
            return len(self.requests) >= count

        await until(have_come)
        return self.requests


async def accept() -> tuple[int, dict[str, str]]:
    return 204, {}


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()

"""What the guarded client does to a receiver, and a receiver to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.core.addresses import parse_networks
from app.core.outbound import LARGEST_ANSWER, OutboundFailure, open_outbound

LOOPBACK = parse_networks("127.0.0.0/8")
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answering) -> AsyncIterator[tuple[str, list[str]]]:
    """(address, heads of the requests that came, each with the number of its connection before it)."""
    heads: list[str] = []
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        number = len(connections)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(int(head.lower().partition("content-length: ")[2].partition("\r")[0] or 0))
                heads.append(f"{number} {head}")
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        for each in connections:
            each.close()


def always(raw: bytes) -> Answering:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return answer


async def test_the_connection_is_kept_and_no_cookie_comes_back() -> None:
    raw = b"HTTP/1.1 200 X\r\nset-cookie: a=b\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nok"
    async with listening(always(raw)) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        for _ in range(3):
            answer = await client.post(f"{url}/a?b=c", b"{}", {"x-own": "1"}, 5)
            assert (answer.status, answer.text, answer.retry_after) == (200, "ok", "7")
    assert [head[0] for head in heads] == ["1", "1", "1"]
    assert all(head[2:].startswith("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:") for head in heads)
    assert not any("cookie" in head.lower() for head in heads)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    raw = f"HTTP/1.1 {status} X\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n".encode()
    async with listening(always(raw)) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        assert (await client.post(f"{url}/a", b"{}", {}, 5)).status == status
    assert len(heads) == 1


async def test_no_more_than_the_beginning_of_an_answer_is_read() -> None:
    raw = b"HTTP/1.1 500 X\r\ncontent-length: 10000000\r\n\r\n" + b"a\0" * 100_000
    async with listening(always(raw)) as (url, _), open_outbound(LOOPBACK, 4) as client:
        answer = await client.post(url, b"{}", {}, 5)
    assert answer.text == "a" * (LARGEST_ANSWER // 2)


async def test_a_dripping_receiver_meets_the_deadline() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(drip) as (url, _), open_outbound(LOOPBACK, 4) as client:
        with pytest.raises(OutboundFailure, match="no whole answer within"):
            await client.post(url, b"{}", {}, 0.2)


@pytest.mark.parametrize("raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\nab"])
async def test_what_is_no_answer_is_a_failure(raw: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    async with listening(answer) as (url, _), open_outbound(LOOPBACK, 4) as client:
        with pytest.raises(OutboundFailure):
            await client.post(url, b"{}", {}, 5)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:7f00:1]"]
)
async def test_nothing_connects_where_it_may_not(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with listening(always(b"")) as (url, heads), open_outbound((), 4) as client:
        with pytest.raises(OutboundFailure, match=r"not allowed|does not resolve"):
            await client.post(url.replace("127.0.0.1", host), b"{}", {}, 5)
    assert heads == []


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes between two look-ups is looked up once, and of its addresses only the allowed are tried."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in ("10.0.0.1", "::1", "127.0.0.1")]

    raw = b"HTTP/1.1 204 X\r\n\r\n"
    async with listening(always(raw)) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert (await client.post(url.replace("127.0.0.1", "hook.example"), b"{}", {}, 5)).status == 204
    assert asked.count("hook.example") == 1
    assert "Host: hook.example:" in heads[0]

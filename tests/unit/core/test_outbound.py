"""What the guarded client does to a receiver, and a receiver to it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.core.addresses import parse_networks
from app.core.outbound import LARGEST_ANSWER, Outbound, OutboundFailure, open_outbound
from tests.integration.delivery.mail_server import make_certificate
from tests.waiting import TURN, until

LOOPBACK = parse_networks("127.0.0.0/8")
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[str]]]:
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

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
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
        while not writer.is_closing():
            writer.write(b"a")
            await writer.drain()
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=TURN)

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


INTERIM = b"HTTP/1.1 103 Early Hints\r\nretry-after: 9\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "text", "wait"),
    [
        (INTERIM + b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\nno", "no", None),
        (b"HTTP/1.1 503 X\r\nRetry-After: 7\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "no", "7"),
        (b"HTTP/1.0 503 X\r\n\r\nno", "no", None),
    ],
    ids=["interim", "chunked", "until the end"],
)
async def test_answers_of_each_kind_are_read(raw: bytes, text: str, wait: str | None) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if b"HTTP/1.0" in raw:
            writer.close()

    async with listening(answer) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        for _ in range(2):
            got = await client.post(url, b"{}", {}, 5)
            assert (got.status, got.text, got.retry_after) == (503, text, wait)
    assert [head[0] for head in heads] == (["1", "2"] if b"HTTP/1.0" in raw else ["1", "1"])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "http://[", "https://127.0.0.1/a b", "http://h/\r\nx"])
async def test_an_address_that_is_none_is_a_failure(url: str) -> None:
    async with open_outbound(LOOPBACK, 4) as client:
        with pytest.raises(OutboundFailure):
            await client.post(url, b"", {}, 5)


async def test_a_header_stays_one_line() -> None:
    async with listening(always(b"")) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        with pytest.raises(OutboundFailure, match="may not stand there"):
            await client.post(url, b"", {"x": "1\r\nhost: elsewhere"}, 5)
    assert heads == []


def trust(client: Outbound, authority: Path) -> None:
    client._tls = ssl.create_default_context(cafile=authority)


async def test_https_takes_a_certificate_of_the_name(tmp_path: Path) -> None:
    tls, authority = make_certificate(tmp_path)
    raw = b"HTTP/1.1 204 X\r\n\r\n"
    async with listening(always(raw), tls) as (url, heads), open_outbound(LOOPBACK, 4) as client:
        named = url.replace("127.0.0.1", "localhost")
        with pytest.raises(OutboundFailure, match="CERTIFICATE_VERIFY_FAILED"):
            await client.post(named, b"{}", {}, 5)
        trust(client, authority)
        with pytest.raises(OutboundFailure, match="CERTIFICATE_VERIFY_FAILED"):
            await client.post(url, b"{}", {}, 5)  # it has no 127.0.0.1
        for _ in range(2):
            assert (await client.post(named, b"{}", {}, 5)).status == 204
    assert len(heads) == 2
    assert heads[0][0] == heads[1][0]


async def test_a_connection_that_is_not_taken_is_given_up() -> None:
    """By its own time, before that of the whole attempt: a listener whose queue is full takes none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(address)
        async with open_outbound(LOOPBACK, 4, connect_seconds=0.1) as client:
            with pytest.raises(OutboundFailure, match=r"no connection within 0\.1 s"):
                await client.post(f"http://127.0.0.1:{address[1]}/", b"", {}, 30)
        for each in fillers:
            each.close()


@asynccontextmanager
async def proxying(status: str = "200 Connected") -> AsyncIterator[tuple[str, list[str]]]:
    """(address, heads) of an egress proxy that leads on where the status lets it."""
    heads: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if status.startswith("2"):
            host, port = head.split()[1].rsplit(":", 1)
            inner, outer = await asyncio.open_connection(host, int(port))
            writers.append(outer)
            await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        for each in writers:
            each.close()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_proxy_is_asked_for_the_address_that_was_checked(tmp_path: Path, *, secure: bool) -> None:
    tls, authority = make_certificate(tmp_path)
    raw = b"HTTP/1.1 204 X\r\n\r\n"
    async with (
        listening(always(raw), tls if secure else None) as (url, heads),
        proxying() as (proxy, asked),
        open_outbound(LOOPBACK, 4, proxy=f"http://us%65r:p%40ss@{proxy}") as client,
    ):
        trust(client, authority)
        for _ in range(2):
            assert (await client.post(url.replace("127.0.0.1", "localhost"), b"{}", {}, 5)).status == 204
    port = url.rsplit(":", 1)[1]
    [head] = asked
    assert head.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head
    assert [each.split("\r\n")[1] for each in heads] == [f"Host: localhost:{port}"] * 2


async def test_the_guard_holds_before_a_proxy_and_its_refusal_is_told() -> None:
    async with listening(always(b"")) as (url, heads), proxying("403 Forbidden") as (proxy, asked):
        async with open_outbound((), 4, proxy=f"http://{proxy}") as client:
            with pytest.raises(OutboundFailure, match="the address is not allowed"):
                await client.post(url, b"{}", {}, 5)
        assert asked == []
        async with open_outbound(LOOPBACK, 4, proxy=f"http://{proxy}") as client:
            with pytest.raises(OutboundFailure, match=r"the proxy refused: HTTP/1\.1 403 Forbidden"):
                await client.post(url, b"{}", {}, 5)
        assert (len(asked), heads) == (1, [])


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: " + b"a" * 200_000,
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2;x=" + b"a" * 200_000,
        b"HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    ],
    ids=["an endless trailer", "an endless chunk extension", "another protocol"],
)
async def test_what_goes_on_after_the_head_ends_the_connection(raw: bytes) -> None:
    async with listening(always(raw)) as (url, _), open_outbound(LOOPBACK, 4) as client:
        with pytest.raises(OutboundFailure, match=r"too long|no HTTP answer"):
            await client.post(url, b"{}", {}, 60)


async def test_a_connection_that_was_closed_takes_no_place_from_others() -> None:
    kept = b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok"

    async def answer_and_close(writer: asyncio.StreamWriter) -> None:
        writer.write(kept)
        writer.close()

    async with (
        listening(answer_and_close) as (first, _),
        listening(always(kept)) as (second, heads),
        open_outbound(LOOPBACK, 1) as client,
    ):
        await client.post(first, b"{}", {}, 5)
        [[left]] = client._idle.values()

        async def is_closed() -> bool:
            return not left.is_open()

        await until(is_closed)
        await client.post(second, b"{}", {}, 5)
        await client.post(second, b"{}", {}, 5)
    assert [head.split()[0] for head in heads] == ["1", "1"]

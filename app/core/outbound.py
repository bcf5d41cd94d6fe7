"""The guarded outbound HTTP client: connects only where it may, follows nothing, waits no longer than it was told."""

import asyncio
import base64
import re
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools
import httpx

from app.core.addresses import Network, may_connect
from app.core.errors import HandoffError

LARGEST_ANSWER = 2_048
LARGEST_HEAD = 65_536
KEPT_HEADERS = frozenset({b"retry-after", b"cache-control", b"expires", b"date", b"age"})
IDLE_SECONDS = 4.0
"""Less than the 5 s after which common servers (Node.js, uvicorn) close: a request must not meet a closing one."""
PORTS = {"http": 80, "https": 443}
UNREACHABLE = "the endpoint cannot be reached"
"""How the reason begins where there was no connection; what follows tells of the network that the server stands in."""


class OutboundFailure(HandoffError):
    """No answer came; ``diagnostics`` says why, without a secret."""

    status = 502
    code = "transient"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``text`` is its beginning, the first 2 kB where the client was not made for more.

    ``headers`` are those of ``KEPT_HEADERS`` that came, by their names in lower case.
    """

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def retry_after(self) -> str | None:
        """When to come again (RFC 9110, 10.2.3)."""
        return self.headers.get("retry-after")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection leads; ``host`` is without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def header(self) -> str:
        """The value of Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"


class Exchange(asyncio.Protocol):
    """One connection, with one request under way at most; ``answer`` is the future of its answer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.headers: dict[str, str] = {}
        self.largest = LARGEST_ANSWER
        self.reusable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is none by its class

    def send(self, request: bytes, largest: int = LARGEST_ANSWER) -> asyncio.Future[Answer]:
        """Sends a whole request; the future fails with OutboundFailure where no whole answer comes.

        Of the answer's body ``largest`` bytes are read.
        """
        self.reusable = self.headed = self.framed = False
        self.size, self.text, self.headers, self.largest = 0, b"", {}, largest
        self.parser = httptools.HttpResponseParser(self)
        self.answer = asyncio.get_running_loop().create_future()
        if self.transport is None or self.transport.is_closing():
            self.fail("the connection was closed")
        else:
            self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        if self.answer is None or self.answer.done():
            self.close()
            return
        self.size += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(f"what came is no HTTP answer ({type(error).__name__})")
        if self.size > LARGEST_HEAD:
            # The body ends before: what goes on for so long is a head, or a chunk's extension or trailer.
            self.fail("the head of the answer is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, as the methods below."""
        lowered = name.lower()
        if lowered in KEPT_HEADERS:
            self.headers[lowered.decode()] = value.decode("latin-1")
        self.framed = self.framed or lowered in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.headed = self.parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self.text += body
        if len(self.text) >= self.largest:
            self.finish()

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() >= 200 and self.answer is not None and not self.answer.done():
            self.reusable = bool(self.parser.should_keep_alive())
            self.finish()
        self.framed, self.headers = False, {}  # an interim answer (1xx) comes before the one that counts

    def finish(self) -> None:
        if self.answer is not None and not self.answer.done():
            shown = self.text[: self.largest].decode(errors="replace").replace("\0", "")
            self.answer.set_result(Answer(self.parser.get_status_code(), shown, self.headers))

    def fail(self, reason: str) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(OutboundFailure(reason))
        self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and self.headed and not self.framed and error is None:
            self.finish()  # the end of the connection is the end of the answer
        self.fail("the connection ended without a whole answer")

    def close(self) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
        if self.transport is not None:
            self.transport.abort()

    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()


class Tunnel(asyncio.Protocol):
    """Asks an egress proxy for a way to an address (RFC 9110, 9.3.6); ``opened`` is done when it says 2xx."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.head = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        self.head += data
        head, end, more = self.head.partition(b"\r\n\r\n")
        if self.opened.done() or (not end and len(self.head) < LARGEST_HEAD):
            return
        # Whoever is behind the tunnel speaks second: what comes with the answer is no part of it.
        if end and not more and re.match(rb"HTTP/1\.[01] 2\d\d[ \r]", head + end):
            self.opened.set_result(None)
        else:
            status = head.split(b"\r\n")[0][:100].decode("latin-1")
            self.opened.set_exception(OutboundFailure(f"{UNREACHABLE}: the proxy refused: {status}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(OutboundFailure(f"{UNREACHABLE}: the proxy ended the connection"))


class Outbound:
    """The client: connections of its own, kept alive per endpoint, and httptools, the server's parser.

    There is nothing to switch off: no cookies shared between receivers, no redirects, no proxies or passwords from the
    environment. Names are resolved in threads of its own: a name server that is silent must not take those that others
    need. ``largest`` is how many bytes of an answer are read. ``connect_seconds`` is for one address of a name, so that
    there is time left for its next one. ``proxy`` is ``http://[user:password@]host:port``: the operator's own, so that
    its address is not asked about, and told the address that was checked, so that it looks up no name again.
    """

    def __init__(
        self,
        allowed: tuple[Network, ...],
        connections: int,
        connect_seconds: float,
        proxy: str | None,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._allowed = allowed
        self._largest = largest
        self._connect_seconds = connect_seconds
        self._proxy = urlsplit(proxy) if proxy else None
        self._most_idle = connections
        self._tls = httpx.create_ssl_context()
        self._idle: dict[Origin, list[Exchange]] = defaultdict(list)
        self._threads = ThreadPoolExecutor(max(16, 2 * connections), thread_name_prefix="resolve")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kept in self._idle.values():
            for each in kept:
                each.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        """``request`` with POST."""
        return await self.request("POST", url, body, headers, deadline)

    async def request(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        """Sends, and reads the beginning of the answer, within ``deadline`` seconds. Raises OutboundFailure."""
        origin, target = read_url(url)
        request = build_request(method, origin, target, headers, body)
        try:
            async with asyncio.timeout(deadline):
                exchange = self._take(origin) or await self._connect(origin)
                try:
                    return await exchange.send(request, self._largest)
                finally:
                    self._give_back(origin, exchange)
        except TimeoutError:
            raise OutboundFailure(f"no whole answer within {deadline:g} s") from None
        except (OSError, ValueError) as error:
            raise describe(error) from error

    def _take(self, origin: Origin) -> Exchange | None:
        """A kept connection, the one that was used last."""
        kept = self._idle.get(origin, [])
        while kept:
            exchange = kept.pop()
            if exchange.expiry is not None:
                exchange.expiry.cancel()
            if exchange.is_open():
                return exchange
        self._idle.pop(origin, None)
        return None

    def _give_back(self, origin: Origin, exchange: Exchange) -> None:
        """Keeps a connection whose exchange came to its end, for a while."""
        self._forget_closed()
        if not exchange.reusable or not exchange.is_open() or sum(map(len, self._idle.values())) >= self._most_idle:
            exchange.close()
            return
        exchange.answer = None
        exchange.expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, exchange.close)
        self._idle[origin].append(exchange)

    def _forget_closed(self) -> None:
        """Connections that expired, or that the other side has closed, take no place from others."""
        live = {origin: [each for each in kept if each.is_open()] for origin, kept in self._idle.items()}
        self._idle = defaultdict(list, {origin: kept for origin, kept in live.items() if kept})

    async def _connect(self, origin: Origin) -> Exchange:
        """A connection to the first address that answers: the one checked is the one connected to."""
        permitted = [each for each in await self._resolve(origin) if may_connect(each, self._allowed)]
        failure = OutboundFailure(f"{UNREACHABLE}: the address is not allowed")
        for address in permitted:
            try:
                async with asyncio.timeout(self._connect_seconds):
                    return await self._open(address, origin)
            except TimeoutError:
                failure = OutboundFailure(f"{UNREACHABLE}: no connection within {self._connect_seconds:g} s")
            except OutboundFailure as error:
                failure = error
            except ssl.SSLError as error:
                failure = describe(error)  # of the endpoint itself: its owner may know what its certificate lacks
            except (OSError, ValueError) as error:
                failure = OutboundFailure(f"{UNREACHABLE}: {describe(error).diagnostics}")
        raise failure

    async def _open(self, address: str, origin: Origin) -> Exchange:
        loop = asyncio.get_running_loop()
        tls = self._tls if origin.scheme == "https" else None
        name = origin.host if tls else None
        if self._proxy is None:
            _, exchange = await loop.create_connection(Exchange, address, origin.port, ssl=tls, server_hostname=name)
            return exchange
        exchange = Exchange()
        transport: asyncio.Transport | None = await self._tunnel(self._proxy, Origin("tunnel", address, origin.port))
        try:
            if tls:
                secured = await loop.start_tls(cast(asyncio.Transport, transport), exchange, tls, server_hostname=name)
                exchange.connection_made(cast(asyncio.Transport, secured))
            else:
                cast(asyncio.Transport, transport).set_protocol(exchange)
                exchange.connection_made(cast(asyncio.Transport, transport))
            transport = None
        finally:
            if transport is not None:
                transport.abort()
        return exchange

    async def _tunnel(self, proxy: SplitResult, target: Origin) -> asyncio.Transport:
        """A connection through the proxy. Raises OutboundFailure where it refuses."""
        lines = [f"CONNECT {target.header} HTTP/1.1", f"Host: {target.header}"]
        if proxy.username is not None:
            user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        request = "\r\n".join([*lines, "", ""]).encode()
        loop = asyncio.get_running_loop()
        transport, tunnel = await loop.create_connection(lambda: Tunnel(request), proxy.hostname or "", proxy.port or 0)
        try:
            await tunnel.opened
        except BaseException:
            transport.abort()
            raise
        return transport

    async def _resolve(self, origin: Origin) -> list[str]:
        """The addresses of a name, each once."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, find_addresses, origin.host, origin.port)
        except (OSError, UnicodeError) as error:
            raise OutboundFailure(f"{UNREACHABLE}: the name does not resolve") from error
        return list(dict.fromkeys(found))


def describe(error: Exception) -> OutboundFailure:
    """What an error of the connection says of itself."""
    return OutboundFailure(f"{type(error).__name__}: {str(error)[:200]}".rstrip(": "))


def find_addresses(host: str, port: int) -> list[str]:
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def read_url(url: str) -> tuple[Origin, str]:
    """Where it leads, and the request's target. Raises OutboundFailure for anything but http and https."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundFailure("this is no URL") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise OutboundFailure("this is no URL of http or https")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, parts.hostname, port or PORTS[parts.scheme]), target


def build_request(method: str, origin: Origin, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a request with a body. Raises OutboundFailure where a line would not stay one line."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {origin.header}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if " " in target or not all(line.isascii() and line.isprintable() for line in lines):
        raise OutboundFailure("the address or a header holds what may not stand there")
    return "\r\n".join([*lines, "", ""]).encode() + body


def open_outbound(
    allowed: tuple[Network, ...],
    connections: int,
    *,
    connect_seconds: float = 5.0,
    proxy: str | None = None,
    largest: int = LARGEST_ANSWER,
) -> Outbound:
    """The client, to be entered."""
    return Outbound(allowed, connections, connect_seconds, proxy, largest)

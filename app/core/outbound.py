"""The guarded outbound HTTP client: connects only where it may, follows nothing, waits no longer than it was told."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpcore
import httpx

from app.core.addresses import Network, may_connect
from app.core.errors import HandoffError

LARGEST_ANSWER = 2_048
CONNECT_SECONDS = 5.0
"""For one address of a name, so that there is time left for its next one."""
IDLE_SECONDS = 4.0
"""Less than the 5 s after which common servers (Node.js, uvicorn) close: a request must not meet a closing one."""


class OutboundFailure(HandoffError):
    """No answer came; ``diagnostics`` says why, without a secret."""

    status = 502
    code = "transient"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``text`` is the first 2 kB."""

    status: int
    text: str
    retry_after: str | None


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name, and connects only to an address that may be: the one checked is the one connected to.

    Names are resolved in threads of its own: a name server that is silent must not take those that others need.
    """

    def __init__(self, allowed: tuple[Network, ...], resolvers: int) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()
        self._threads = ThreadPoolExecutor(resolvers, thread_name_prefix="resolve")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The stream to the first address that answers. Raises httpcore.ConnectError, httpcore.ConnectTimeout."""
        permitted = [each for each in await self.resolve(host, port) if may_connect(each, self._allowed)]
        failure: Exception = httpcore.ConnectError("the address is not allowed")
        for address in permitted:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name, each once."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, find_addresses, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name does not resolve") from error
        return list(dict.fromkeys(found))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refused: nothing that people register lies on a Unix socket."""
        raise httpcore.ConnectError("the address is not allowed")

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks between its own retries."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Lets the threads go, without waiting for silent name servers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def find_addresses(host: str, port: int) -> list[str]:
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Outbound:
    """The client: httpx's own connection pool (httpcore), kept alive per endpoint.

    Without httpx's layer above it there is nothing to switch off: no cookies shared between receivers, no redirects,
    no proxies or passwords from the environment. It is half the cost, too.
    """

    def __init__(self, allowed: tuple[Network, ...], connections: int) -> None:
        self._backend = GuardedBackend(allowed, max(16, 2 * connections))
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()
        self._backend.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        """``request`` with POST."""
        return await self.request("POST", url, body, headers, deadline)

    async def request(self, method: str, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        """Sends, and reads the beginning of the answer, within ``deadline`` seconds. Raises OutboundFailure."""
        try:
            async with asyncio.timeout(deadline):
                return await self._exchange(method, url, body, headers)
        except TimeoutError:
            raise OutboundFailure(f"no whole answer within {deadline:g} s") from None
        except FAILURES as error:
            raise OutboundFailure(f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")) from error

    async def _exchange(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with self._pool.stream(
            method,
            url,
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=body,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        ) as answer:
            text = b""
            async for part in answer.aiter_stream():
                text += part
                if len(text) >= LARGEST_ANSWER:
                    break
            wait = next((value for name, value in answer.headers if name.lower() == b"retry-after"), None)
            shown = text[:LARGEST_ANSWER].decode(errors="replace").replace("\0", "")
            return Answer(answer.status, shown, wait.decode("latin-1") if wait is not None else None)


FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    OSError,
    ValueError,
)


def open_outbound(allowed: tuple[Network, ...], connections: int) -> Outbound:
    """The client, to be entered."""
    return Outbound(allowed, connections)

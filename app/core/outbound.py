"""The guarded outbound HTTP client: connects only where it may, follows nothing, waits no longer than it was told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from app.core.addresses import Network, may_connect
from app.core.errors import HandoffError

LARGEST_ANSWER = 2_048


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
    """Resolves a name, and connects only to an address that may be: the one checked is the one connected to."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The stream to the first address that answers. Raises httpcore.ConnectError."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name does not resolve") from error
        addresses = [str(each[4][0]) for each in found]
        permitted = [each for each in dict.fromkeys(addresses) if may_connect(each, self._allowed)]
        failure: Exception = httpcore.ConnectError("the address is not allowed")
        for address in permitted:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

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


class BodyStream(httpx.AsyncByteStream):
    """The body of an answer, closed with it."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        """Gives the connection back, or ends it."""
        await self._answer.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx on httpcore's pool, with the guarded backend."""

    def __init__(self, allowed: tuple[Network, ...], connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
            network_backend=GuardedBackend(allowed),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request as it is: no redirect, no retry."""
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=BodyStream(answer))

    async def aclose(self) -> None:
        """Ends all connections."""
        await self._pool.aclose()


def open_outbound(allowed: tuple[Network, ...], connections: int) -> httpx.AsyncClient:
    """The client; proxies and credentials of the environment are left aside."""
    return httpx.AsyncClient(
        transport=GuardedTransport(allowed, connections), follow_redirects=False, trust_env=False, timeout=60
    )


async def post(client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str], deadline: float) -> Answer:
    """Posts, and reads the beginning of the answer, all within ``deadline`` seconds. Raises OutboundFailure."""
    try:
        async with asyncio.timeout(deadline), client.stream("POST", url, content=body, headers=headers) as answer:
            text = b""
            async for part in answer.aiter_raw():
                text += part
                if len(text) >= LARGEST_ANSWER:
                    break
            shown = text[:LARGEST_ANSWER].decode(errors="replace").replace("\0", "")
            return Answer(answer.status_code, shown, answer.headers.get("retry-after"))
    except TimeoutError:
        raise OutboundFailure(f"no whole answer within {deadline:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, httpx.HTTPError) as error:
        raise OutboundFailure(describe(error)) from error
    except (OSError, ValueError, httpx.InvalidURL) as error:
        raise OutboundFailure(describe(error)) from error


def describe(error: Any) -> str:
    """What went wrong, in short: its kind, and its text as far as it is the library's own."""
    return f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")

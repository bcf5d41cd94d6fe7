"""Server-side request forgery: nothing connects where it may not, by a listener that every address leads to.

Only the wire is another: name look-ups and the last step of a connection are the test's. The guard between them, and
all that is above it, is the program's own.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import asyncpg
import httpx
import pytest

from app.core.errors import Unprocessable
from app.core.outbound import UNREACHABLE, Exchange, OutboundFailure, open_outbound
from app.core.settings import Settings
from app.delivery.webhooks import check_endpoint
from tests.api import World
from tests.integration.delivery.test_delivery import delivering, emit, make_task
from tests.integration.delivery.test_subscriptions import subscription, until_status
from tests.unit.core.test_addresses import FORBIDDEN
from tests.waiting import until

PUBLIC, PRIVATE, METADATA = "93.184.215.14", "10.0.0.7", "169.254.169.254"
ADDRESSES = [each for each in FORBIDDEN if each != "localhost" and "%" not in each]
REDIRECTS = [(status, to) for status in (301, 302, 303, 307, 308) for to in (METADATA, "[::1]")]
LOOK_UP = socket.getaddrinfo


@dataclass
class Wire:
    """A network in which every address leads to one listener; ``names`` are the answers to each look-up of a name.

    ``connections`` counts what the listener accepted, ``reached`` the addresses that were connected to.
    """

    port: int = 0
    connections: int = 0
    reached: list[str] = field(default_factory=list)
    looked_up: Counter[str] = field(default_factory=Counter)
    names: dict[str, Iterator[Sequence[str]]] = field(default_factory=dict)
    answer: bytes = b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0] or 0))
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def rebind(self, name: str, *answers: Sequence[str]) -> None:
        """The answers to the look-ups of a name, one after the other; the last one for good."""
        self.names[name] = chain(answers, repeat(answers[-1]))

    def look_up(self, host: str, port: int, **more: Any) -> Any:
        """As getaddrinfo, whose own answer is taken for what is no name of ours."""
        if host in self.names:
            self.looked_up[host] += 1
            return [(0, 0, 0, "", (address, port)) for address in next(self.names[host])]
        return LOOK_UP(host, port, **more)


@pytest.fixture
async def wire(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    opened = Wire()
    server = await asyncio.start_server(opened.serve, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def reach(make: Callable[[], Any], host: str, port: int, **named: Any) -> Any:
        if make is not Exchange and host not in (PUBLIC, METADATA):
            return await connect(make, host, port, **named)  # the database's, where it is reached like that
        opened.reached.append(host)
        return await connect(make, "127.0.0.1", opened.port, **named)

    monkeypatch.setattr(loop, "create_connection", reach)
    monkeypatch.setattr(socket, "getaddrinfo", opened.look_up)
    try:
        yield opened
    finally:
        server.close()


async def post(url: str) -> int:
    """As the worker posts, on a new client."""
    async with open_outbound((), 4) as client:
        return (await client.post(url, b"{}", {}, 5)).status


def bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address


async def test_the_listener_counts_what_may_be_reached(wire: Wire) -> None:
    """The positive control: by address, by name, and by the public one of several addresses."""
    wire.rebind("hook.example", [PUBLIC])
    wire.rebind("mixed.example", [PRIVATE, "::1", PUBLIC])
    for host in (PUBLIC, "[2606:4700::1111]", "hook.example", "mixed.example"):
        assert await post(f"http://{host}/hook") == 204
    assert wire.connections == 4
    assert wire.reached == [PUBLIC, "2606:4700::1111", PUBLIC, PUBLIC]


async def test_sixty_addresses_are_not_connected_to(wire: Wire) -> None:
    assert len(ADDRESSES) >= 60
    wire.rebind("hook.example", *([each] for each in ADDRESSES))
    for address in ADDRESSES:
        for host in (bracket(address), "hook.example"):
            with pytest.raises(OutboundFailure, match=r"not allowed|does not resolve"):
                await post(f"http://{host}/latest/meta-data")
    assert wire.looked_up["hook.example"] == len(ADDRESSES)
    assert (wire.connections, wire.reached) == (0, [])


async def test_an_address_is_refused_at_registration(settings: Settings) -> None:
    closed = settings.model_copy(update={"webhook_allowed_networks": ""})
    for address in ADDRESSES:
        if ":" in address or address.count(".") == 3:
            with pytest.raises(Unprocessable):
                check_endpoint(f"http://{bracket(address)}/hook", closed)
    check_endpoint(f"http://{PUBLIC}/hook", closed)


@pytest.mark.parametrize(("status", "to"), REDIRECTS)
async def test_ten_redirects_are_not_followed(wire: Wire, status: int, to: str) -> None:
    wire.answer = f"HTTP/1.1 {status} X\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n".encode()
    assert await post(f"http://{PUBLIC}/hook") == status
    assert (wire.connections, wire.reached) == (1, [PUBLIC])


async def test_a_client_that_follows_redirects_is_counted(wire: Wire) -> None:
    """The positive control of the redirects."""
    head = f"HTTP/1.1 307 X\r\nlocation: http://{METADATA}/\r\n"
    wire.answer = f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode()
    async with httpx.AsyncClient(follow_redirects=True, max_redirects=3, trust_env=False) as client:
        with pytest.raises(httpx.TooManyRedirects):
            await client.get(f"http://{PUBLIC}/hook")
    assert METADATA in wire.reached
    assert wire.connections > 1


TOPIC = "urn:warm-handoff:topic:referral-status-changed"
REBINDS: dict[str, tuple[Sequence[str], ...]] = {
    "to a private address": ([PUBLIC], [PRIVATE]),
    "to the metadata service": ([PUBLIC], [METADATA]),
    "to loopback, by both families": ([PUBLIC], ["127.0.0.1", "::1"]),
    "to a mapped address": ([PUBLIC, "2606:4700::1111"], ["::ffff:127.0.0.1"]),
    "to loopback by NAT64 and 6to4": ([PUBLIC], ["64:ff9b::7f00:1", "2002:7f00:1::"]),
}


@pytest.mark.parametrize("answers", REBINDS.values(), ids=REBINDS)
async def test_a_name_rebound_after_the_handshake(
    world: World, pool: asyncpg.Pool, wire: Wire, answers: tuple[Sequence[str], ...]
) -> None:
    """Registered and greeted while its name is public, the endpoint gets nothing once the name leads inside."""
    closed = {"webhook_allowed_networks": "", "webhook_retry_schedule": "0,0.05,0.05"}
    settings = world.settings.model_copy(update=closed)
    hospital = await world.caller("hospital")
    wire.rebind("hook.example", *answers)
    created = await hospital.create(subscription("http://hook.example/notify", "id-only", TOPIC))
    async with delivering(pool, settings):
        await until_status(world, hospital, created, "active")
        assert wire.reached == [answers[0][0]]
        await make_task(pool, "t")
        await emit(pool, "t", "one")

        async def is_dead() -> bool:
            return bool(await pool.fetchval("SELECT bool_and(state = 'dead') FROM delivery"))

        await until(is_dead)
    reasons = await pool.fetch("SELECT DISTINCT reason FROM attempt")
    assert [row[0] for row in reasons] == [f"{UNREACHABLE}: the address is not allowed"]
    assert wire.connections == 1
    assert wire.looked_up["hook.example"] == 4

"""Keeps the web processes and the worker running on one listening socket, until a signal asks for the end."""

import asyncio
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.core.child import Child, Program, start_child
from app.core.errors import HandoffError
from app.core.process_guard import VARIABLE

logger = logging.getLogger("handoff")

APPLICATION = Path(__file__).parents[2]
BACKLOG = 2048
GRACE = 10
"""Seconds that a web process gives the requests under way (uvicorn's --timeout-graceful-shutdown)."""

PATIENCE = 20
"""Seconds after which a child that was asked to end is killed."""

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

QUICK = 5.0
"""A child that lived for fewer seconds than this died quickly."""

QUICK_DEATHS = 5
WORKER = Program("handoff-worker", "app.worker")
PRELOADED = ("uvicorn", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on", "app.main", WORKER.module)
"""What the children import, so that the supervisor imports it once for all of them."""
START_PATIENCE = 60


@dataclass
class Supervisor:
    """What runs: ``web`` processes on ``listener``, and a worker if ``delivery``; ``environment`` is theirs.

    ``tls`` are the files of certificate and key by which the web processes speak https; ``received`` is what
    ``defer_signals`` gave; ``sharing`` says whether children may have our memory; ``failure`` says why everything ends
    although no signal came.
    """

    listener: socket.socket
    web: int
    delivery: bool
    environment: Mapping[str, str]
    log_level: str
    received: list[int]
    sharing: bool
    tls: tuple[Path, Path] | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = None
    lifeline: tuple[int, int] = field(default_factory=os.pipe)

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Runs everything until a signal; calls ``when_ready`` once the first web process answers.

        Raises HandoffError where a child keeps dying, or where none gets ready.
        """
        self.catch_signals()
        children = [asyncio.create_task(self.keep_running(f"web {n + 1}", self.web_program())) for n in range(self.web)]
        if self.delivery:
            children.append(asyncio.create_task(self.keep_running("worker", WORKER)))
        starting = asyncio.create_task(self.announce(when_ready))
        try:
            await self.stop.wait()
        finally:
            self.stop.set()
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            await asyncio.gather(*children)
            for descriptor in self.lifeline:
                os.close(descriptor)
            defer_signals()
        if self.failure:
            raise HandoffError(self.failure)

    def catch_signals(self) -> None:
        """From now on a signal stops us; one that came before does so at once."""
        for number in ENDING:
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)
        if self.received:
            self.stop.set()

    async def announce(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Waits for the first answer, then tells the caller; whatever goes wrong ends everything."""
        try:
            async with asyncio.timeout(START_PATIENCE):
                while not await answers(self.listener, tls=self.tls is not None):  # noqa: ASYNC110 -- another process has no Event of ours
                    await asyncio.sleep(0.02)
            await when_ready()
        except TimeoutError:
            self.fail(f"No web process was ready within {START_PATIENCE} seconds")
        except (HandoffError, OSError) as error:
            self.fail(str(error))

    def fail(self, reason: str) -> None:
        """Ends everything, for a reason."""
        self.failure = self.failure or reason
        self.stop.set()

    def web_program(self) -> Program:
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"]
        # uvicorn would believe X-Forwarded-* from 127.0.0.1; we read them ourselves, from trusted hops only.
        options += ["--no-proxy-headers", "--lifespan", "on", "--timeout-graceful-shutdown", str(GRACE)]
        options += ["--app-dir", str(APPLICATION), "--log-level", self.log_level]
        if self.tls:
            certificate, key = self.tls
            options += ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
        descriptor = str(self.listener.fileno())
        return Program("handoff-web", "uvicorn", ("app.main:run_app", "--factory", "--fd", descriptor, *options))

    async def keep_running(self, name: str, program: Program) -> None:
        """Starts a child again whenever it ends, later each time; too many quick deaths end everything."""
        quick = 0
        while not self.stop.is_set():
            started = time.monotonic()
            child = await self.start(program)
            code = await self.wait_for(child)
            if self.stop.is_set():
                return
            quick = quick + 1 if time.monotonic() - started < QUICK else 1
            if quick >= QUICK_DEATHS:
                self.fail(f"The {name} process ended {quick} times in a row, with code {code}: see the log above")
                return
            logger.warning("The %s process ended with code %s; starting it again", name, code)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), timeout=0.1 * 2**quick)

    async def start(self, program: Program) -> Child:
        """A child; the lifeline tells it when we are gone."""
        watched = self.lifeline[0]
        environment = {**self.environment, VARIABLE: str(watched)}
        inherited = (self.listener.fileno(), watched)
        return await start_child(program, environment, inherited, sharing=self.sharing)

    async def wait_for(self, child: Child) -> int:
        """The child's exit code; at a stop it is asked to end, and killed where it does not."""
        ended = asyncio.create_task(child.wait())
        stopped = asyncio.create_task(self.stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            send_signal(child, signal.SIGTERM)
            await asyncio.wait({ended}, timeout=PATIENCE)
            if not ended.done():
                send_signal(child, signal.SIGKILL)
        return await ended


def defer_signals() -> list[int]:
    """Keeps signals that ask us to end in the list, so that no step on the way up or down is cut off half-way."""
    received: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda number, _: received.append(number))
    return received


def send_signal(child: Child, number: signal.Signals) -> None:
    """Sends a signal, which may come too late."""
    with suppress(ProcessLookupError):
        child.send_signal(number)


def bind_listener(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises HandoffError where the address is taken or is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise HandoffError(f"Cannot listen on {host} port {port}: {error.strerror}") from error
    # Inherited by each connection. uvicorn takes a given descriptor for a Unix socket, on which nobody sets it, and
    # then every answer waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def local_address(listener: socket.socket) -> tuple[str, int]:
    """Where a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 -- compared, not bound


def listening_url(listener: socket.socket, *, tls: bool = False) -> str:
    """The address of the listener for people and programs on this machine."""
    host, port = local_address(listener)
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def answers(listener: socket.socket, *, tls: bool = False) -> bool:
    """Whether a web process answers that it is ready."""
    context = None
    if tls:
        # The socket is our own, so that there is nobody else whose certificate it could be.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*local_address(listener), ssl=context)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False

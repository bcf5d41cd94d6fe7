"""Two hosts on one database, as in production: each a supervisor, a web process and a worker of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx
import psutil

from app.access.clients import RegisteredClient
from app.access.tokens import issue_token
from app.core.data_dir import DATABASE, load_secret_key, read_address, remove_address
from app.core.embedded_postgres import Layout, prepare_layout, start_postgres
from app.core.settings import Settings
from app.core.supervisor import QUICK
from tests.api import Caller
from tests.conformance.conftest import LOOPBACK
from tests.processes import NEVER, PATIENCE, await_that, has_ended, is_web, is_worker, kill_all
from tests.server import Server

SKEW = 600
"""Seconds by which the second host's clock is ahead, where libfaketime is there to say so."""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Debian's libfaketime: it tells the processes that load it another time."""
AGE = QUICK + 0.5
"""Seconds: a supervisor takes a child that ends younger several times for one that cannot run."""
SETTINGS = {
    **LOOPBACK,
    "public_url": "http://handoff.test",
    "secret_key": "dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3QtdGU=",
    "webhook_retry_schedule": "0," + ",".join(["0.2"] * 20 + ["1"] * 40 + ["10"] * 120),
    "webhook_timeout": "2",
    "webhook_lease": "1",
    "pool_size": "8",
}


class Renewed(httpx.Auth):
    """A new access token with each request, by the clock of the host that it goes to: hours may pass."""

    def __init__(self, settings: Settings, client: RegisteredClient, skew: float) -> None:
        self.key, self.public_url = load_secret_key(settings), settings.public_url or ""
        self.client, self.skew = client, skew

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        now = time.time() + self.skew
        token = issue_token(self.key, self.public_url, self.client, self.client.scopes, 300, now)
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


def pretend(*offset: str) -> tuple[str, ...]:
    """What comes before a command that is to believe in another time."""
    if FAKETIME is None:
        return ()
    return ("env", f"LD_PRELOAD={FAKETIME}", "FAKETIME_DONT_FAKE_MONOTONIC=1", *offset)


@dataclass
class Hosts:
    """Both, below ``folder``; the first one runs the database, the second one's clock is ``skew`` seconds ahead."""

    folder: Path
    schedule: str = SETTINGS["webhook_retry_schedule"]
    skew: float = SKEW if FAKETIME else 0
    servers: list[Server] = field(default_factory=list)

    def start(self, *ports: str) -> None:
        """Both at once, as after a failure of the power; on the ports that they had."""
        first, second = ports or ("0", "0")
        settings = {**SETTINGS, "webhook_retry_schedule": self.schedule}
        ahead = pretend(f"FAKETIME=+{SKEW}s")
        with ThreadPoolExecutor() as threads:
            starting = threads.submit(lambda: Server(self.data_dir, "--port", first, **settings))
            while not starting.done() and read_address(self.data_dir, DATABASE) is None:
                NEVER.wait(0.05)
            url = read_address(self.data_dir, DATABASE) or starting.result().said
            other = Server(self.folder / "second", "--port", second, before=ahead, database_url=url, **settings)
            self.servers = [starting.result(), other]

    @property
    def data_dir(self) -> Path:
        return self.folder / "first"

    @cached_property
    def layout(self) -> Layout:
        return prepare_layout(self.data_dir.resolve())

    @property
    def settings(self) -> Settings:
        """As the first host has them."""
        url = read_address(self.data_dir, DATABASE)
        return Settings(data_dir=self.data_dir, database_url=url, **{**SETTINGS, "pool_size": 4})  # type: ignore[arg-type]

    def callers(self, client: RegisteredClient) -> list[Caller]:
        """The client in front of each host."""
        opened = []
        for server, skew in zip(self.servers, (0, self.skew), strict=True):
            auth = Renewed(self.settings, client, skew)
            http = httpx.AsyncClient(base_url=server.address, auth=auth, timeout=PATIENCE)
            opened.append(Caller(client.organization, http))
        return opened

    def list_processes(self, wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
        """The children of both supervisors that are ``wanted``, the oldest first."""
        children = [each for server in self.servers for each in psutil.Process(server.process.pid).children()]
        return sorted(filter(wanted, children), key=psutil.Process.create_time)

    @property
    def postmaster(self) -> psutil.Process:
        """PostgreSQL's first process."""
        return psutil.Process(int((self.layout.cluster / "postmaster.pid").read_text().split()[0]))

    @property
    def webs(self) -> list[psutil.Process]:
        return self.list_processes(is_web)

    @property
    def workers(self) -> list[psutil.Process]:
        return self.list_processes(is_worker)

    def kill(self) -> None:
        """kill -9 of every process of both hosts, PostgreSQL included."""
        second = psutil.Process(self.servers[1].process.pid)
        family = [*self.servers[0].family, *second.children(recursive=True), second]
        kill_all(family)
        for each in self.servers:
            each.process.communicate(timeout=PATIENCE)
        await_that(lambda: all(map(has_ended, family)))
        # The second host begins once the first one says again where the database is.
        remove_address(self.data_dir, DATABASE)

    def stop(self) -> None:
        """Ends everything in order, and throws the data away."""
        for each in reversed(self.servers):
            each.process.terminate()
            each.process.communicate(timeout=PATIENCE)
        start_postgres(self.data_dir).destroy()


def come_of_age(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes, once each has lived so long that its end is no sign of one that cannot run."""
    found = list(processes)
    await_that(lambda: all(time.time() - each.create_time() > AGE for each in found))
    return found


@dataclass
class Receiver:
    """The receiver's process; ``secrets`` are those of each path, the newest last."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def start(self) -> None:
        """On the port that it had before, if it had one."""
        command = [sys.executable, "-m", "tests.conformance.misbehaving_receiver", str(self.folder), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=PATIENCE)

"""What access and audit cost: CPU of one hot poll with both, and with neither, in turn, on the same tables.

    python -m bench.access_cost

Over HTTP, from a process of its own.
"""

import asyncio
import json
import pickle
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import asyncpg
import psutil
import uvicorn
import uvloop
from fastapi import FastAPI

from app.access.clients import generate_key, load_client, register_client
from app.access.tokens import issue_token
from app.core.caller import Caller
from app.core.data_dir import load_secret_key
from app.core.embedded_postgres import RunningPostgres, start_postgres
from app.core.settings import Settings
from app.interactions.operate import EVERYTHING, ensure_organization
from app.interactions.unit import SYSTEM
from app.main import create_app
from app.store.migrate import upgrade_database
from bench.cases import PARTNER, POLL, raw
from bench.load import load_tasks
from bench.stage import sum_cpu

ROUNDS, POLLS, CONNECTIONS = 40, 800, 8
SCOPES = ("app.routers.fhir.scope_of", "app.interactions.read.scope_of")


class Anyone:
    """A verifier that asks for nothing."""

    async def authenticate(self, authorization: str | None) -> Caller:
        return Caller("bench", PARTNER, "admin", EVERYTHING)

    async def join_network(self, caller: Caller) -> Caller:
        return caller


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[int]:
    """The application behind uvicorn in this process, as a web process runs it; its port."""
    config = uvicorn.Config(app, http="httptools", lifespan="off", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await running


async def measure(app: FastAPI, port: int, requests: Path, running: RunningPostgres) -> float:
    """CPU milliseconds of one poll, the server's and PostgreSQL's, but not of the process that asks."""
    number = int((running.layout.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    postgres = psutil.Process(number)
    own, theirs = time.process_time(), sum_cpu(postgres)
    command = ["-m", "bench.traffic", "127.0.0.1", str(port), str(CONNECTIONS), "60", str(requests)]
    asking = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    told = json.loads((await asking.communicate())[0])
    await app.state.hub.trail.flush()
    if told["statuses"] != {"200": POLLS}:
        raise RuntimeError(told)
    return 1000 * (time.process_time() - own + sum_cpu(postgres) - theirs) / POLLS


async def get_token(app: FastAPI, settings: Settings) -> str:
    async with app.state.pool.acquire() as connection:
        await ensure_organization(app.state.hub, f"Organization/{PARTNER}", PARTNER)
        await register_client(
            connection,
            client_id="bench",
            organization=PARTNER,
            role="provider",
            scopes="system/*.cruds",
            server_makes_tasks=False,
            public_jwk=generate_key()[1],
        )
        client = await load_client(connection, "bench")
    if client is None:
        raise RuntimeError("bench")
    return issue_token(load_secret_key(settings), app.state.public_url, client, client.scopes, 300, time.time())


async def compare(settings: Settings, running: RunningPostgres) -> None:
    """Prints the medians of both, and their ratio."""
    connection = await asyncpg.connect(running.url)
    await load_tasks(connection, 10_000)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    whole = create_app(settings)
    with patch("app.main.Recorder", lambda app, *_: app):
        bare = create_app(settings)
    figures: dict[str, list[float]] = {"on": [], "off": []}
    requests = settings.data_dir / "requests"
    async with (
        whole.router.lifespan_context(whole),
        bare.router.lifespan_context(bare),
        serving(whole) as first,
        serving(bare) as second,
    ):
        query = "&".join(f"{name}={value}" for name, value in POLL)
        request = raw("GET", f"/Task?{query}", await get_token(whole, settings))
        requests.write_bytes(pickle.dumps([request] * POLLS))
        bare.state.verifier = Anyone()
        for turn in range(ROUNDS + 1):
            both = [("on", whole, first), ("off", bare, second)]
            # Each goes first as often as the other: what the machine does besides comes and goes slowly.
            for name, app, port in both if turn % 2 else reversed(both):
                with ExitStack() as stack:
                    for place in SCOPES if name == "off" else ():
                        stack.enter_context(patch(place, lambda caller, settings: SYSTEM))
                    cost = await measure(app, port, requests, running)
                if turn:  # the first one warms up
                    figures[name].append(cost)
    on, off = (statistics.median(figures[name]) for name in ("on", "off"))
    ratio = statistics.median(each / other for each, other in zip(figures["on"], figures["off"], strict=True))
    print(f"audit {settings.audit}: CPU ms of a hot poll of 20: {on:.3f} with access and audit, {off:.3f} with neither")
    print(f"median of the {ROUNDS} ratios {ratio:.2f}")


def main() -> None:
    """On a PostgreSQL to throw away."""
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as name:
        running = start_postgres(Path(name))
        try:
            upgrade_database(running.url)
            settings = Settings(database_url=running.url, data_dir=Path(name), public_url="http://bench", rate_limit=0)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(compare(settings, running))
        finally:
            running.destroy()


if __name__ == "__main__":
    main()

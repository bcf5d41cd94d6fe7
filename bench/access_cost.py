"""What access and audit cost: CPU of one hot poll with both, and with neither, in turn, on the same tables.

    python -m bench.access_cost

Without HTTP, which costs both the same: so the ratio it prints is above that of a whole request.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import psutil
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
from app.routers.recorder import Recorder
from app.store.migrate import upgrade_database
from bench.cases import PARTNER, POLL
from bench.load import load_tasks
from bench.stage import sum_cpu

ROUNDS, POLLS = 8, 250
QUERY = "&".join(f"{name}={value}" for name, value in POLL).encode()
SCOPES = ("app.routers.fhir.scope_of", "app.interactions.read.scope_of")


class Anyone:
    """A verifier that asks for nothing."""

    async def authenticate(self, authorization: str | None) -> Caller:
        return Caller("bench", PARTNER, "admin", EVERYTHING)

    async def join_network(self, caller: Caller) -> Caller:
        return caller


async def poll(app: FastAPI, headers: list[tuple[bytes, bytes]]) -> None:
    """One hot poll through the application, which must be answered."""
    sent: list[Any] = []
    path = "/fhir/Task"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": QUERY}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("bench", 80), "scheme": "http"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(sent)


async def measure(app: FastAPI, headers: list[tuple[bytes, bytes]], running: RunningPostgres) -> float:
    """CPU milliseconds of one poll, the server's and PostgreSQL's."""
    number = int((running.layout.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    postgres = psutil.Process(number)
    own, theirs = time.process_time(), sum_cpu(postgres)
    for _ in range(POLLS):
        await poll(app, headers)
    await app.state.hub.trail.flush()
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
    whole, bare = create_app(settings), create_app(settings)
    bare.user_middleware = [each for each in bare.user_middleware if Recorder.__name__ not in repr(each)]
    figures: dict[str, list[float]] = {"on": [], "off": []}
    async with whole.router.lifespan_context(whole), bare.router.lifespan_context(bare):
        headers = [(b"authorization", f"Bearer {await get_token(whole, settings)}".encode())]
        bare.state.verifier = Anyone()
        for turn in range(ROUNDS + 1):
            for name, app in (("on", whole), ("off", bare)):
                with ExitStack() as stack:
                    for place in SCOPES if name == "off" else ():
                        stack.enter_context(patch(place, lambda caller, settings: SYSTEM))
                    cost = await measure(app, headers, running)
                if turn:  # the first one warms up
                    figures[name].append(cost)
    on, off = (statistics.median(figures[name]) for name in ("on", "off"))
    print(f"audit {settings.audit}: CPU ms of a hot poll of 20: {on:.3f} with access and audit, {off:.3f} with neither")
    print(f"ratio {on / off:.2f}")


def main() -> None:
    """On a PostgreSQL to throw away."""
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as name:
        running = start_postgres(Path(name))
        try:
            upgrade_database(running.url)
            settings = Settings(database_url=running.url, data_dir=Path(name), public_url="http://bench", rate_limit=0)
            asyncio.run(compare(settings, running))
        finally:
            running.destroy()


if __name__ == "__main__":
    main()

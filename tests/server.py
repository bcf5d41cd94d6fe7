"""`handoff serve` as a process of its own, as an operator runs it; and an application behind a real socket."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import uvicorn
from fastapi import FastAPI

from app.core.embedded_postgres import prepare_layout
from tests.processes import is_web


class Server:
    """A `serve` of its own; ``address`` is what it printed; ``before`` is a command that runs it."""

    def __init__(self, data_dir: Path, *options: str, before: Sequence[str] = (), **settings: str) -> None:
        command = [
            *before,
            sys.executable,
            "-P",
            "-m",
            "app.cli",
            "serve",
            "--port",
            "0",
            "--data-dir",
            str(data_dir),
            *options,
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")}
        environment |= {f"HANDOFF_{name.upper()}": value for name, value in settings.items()}
        self.data_dir = data_dir
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = self.process.stdout.readline()
            assert line, f"serve ended before it was ready: {self.said}"
            self.said += line
        self.address = re.findall(r"curl (https?://\S+)/fhir/metadata", self.said)[0]

    @property
    def family(self) -> list[psutil.Process]:
        """All of its processes, PostgreSQL's too."""
        mine = psutil.Process(self.process.pid)
        pid_file = prepare_layout(self.data_dir.resolve()).cluster / "postmaster.pid"
        main = psutil.Process(int(pid_file.read_text().split()[0]))
        return [*mine.children(recursive=True), main, *main.children(recursive=True), mine]

    def web_processes(self) -> list[psutil.Process]:
        return list(filter(is_web, psutil.Process(self.process.pid).children()))

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.address}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[str]:
    """An application that has begun already, over HTTP on this process's own loop; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving

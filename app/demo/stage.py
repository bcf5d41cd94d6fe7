"""Sets the stage: a server on a data directory to throw away, its clients, and the receiver's own process."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.core.data_dir import ADDRESS, read_address
from app.core.embedded_postgres import discard_postgres
from app.core.errors import HandoffError
from app.demo.scenarios import Scenario
from app.demo.story import Actor, Tell, play

PATIENCE = 60
HOSPITAL_SCOPE = "system/*.cruds"
PARTNER_SCOPE = (
    "system/Task.rus system/ServiceRequest.rs system/Patient.rs system/CarePlan.rs system/Procedure.cruds "
    "system/Organization.rs"
)


@dataclass
class Stage:
    """A running server. ``address`` is without a path; ``run`` is one ``handoff`` command on it."""

    address: str
    directory: Path
    environment: dict[str, str]
    show: Tell
    wire: httpx.Client

    def run(self, *arguments: str) -> str:
        """What the command printed. Raises HandoffError where it failed."""
        self.show(f"    $ handoff {' '.join(arguments)}")
        finished = subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "-m", "app.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.show("".join(f"    {line}\n" for line in finished.stdout.splitlines()).rstrip())
        if finished.returncode != 0:
            raise HandoffError(f"handoff {arguments[0]} failed: {finished.stderr.strip()}")
        return finished.stdout

    def register(self, client_id: str, organization: tuple[str, str], role: str, scope: str) -> Actor:
        """A client of an organisation, with a key of its own."""
        key = self.directory / f"{client_id}.key"
        options = ("--organization", organization[0], "--role", role, "--scope", scope, "--generate-key", str(key))
        self.run("client", "add", client_id, *options)
        return Actor(organization[1], client_id, key.read_text(), self.address, self.show, self.wire)


def perform(scenarios: list[Scenario], tell: Tell, show: Tell) -> bool:
    """Plays each scenario on a stage of its own; whether every loop was closed."""
    closed = True
    for scenario in scenarios:
        with open_stage(tell, show) as stage, open_receiver(stage) as receiver:
            closed = perform_one(scenario, stage, receiver, tell) and closed
    return closed


def perform_one(scenario: Scenario, stage: Stage, receiver: "Receiver", tell: Tell) -> bool:
    """Directory, clients, webhook, and the story itself."""
    if scenario.directory:
        operator = stage.register("operator", ("Organization/operator", "The operator"), "admin", HOSPITAL_SCOPE)
        for resource in scenario.directory:
            operator.call("PUT", f"/{resource['resourceType']}/{resource['id']}", resource)
    hospital = stage.register("hospital-ehr", scenario.hospital, "referrer", HOSPITAL_SCOPE)
    partner = stage.register("partner", scenario.partner, "provider", PARTNER_SCOPE)
    events = "referral-status-changed"
    told = stage.run("webhook", "add", receiver.url, "--organization", scenario.hospital[0], "--events", events)
    receiver.secret_file.write_text(told.strip().splitlines()[-1])
    tell(f"{hospital.name} and {partner.name} have a client each; {hospital.name} has a webhook.")
    return play(scenario, hospital, partner, receiver.journal, tell)


@contextmanager
def open_stage(tell: Tell, show: Tell) -> Iterator[Stage]:
    """The server, ended and thrown away in the end."""
    with tempfile.TemporaryDirectory(prefix="handoff-demo-") as name, httpx.Client(timeout=30) as wire:
        directory = Path(name)
        tell("Starting a server of its own for this demonstration.")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")} | {
            "HANDOFF_DATA_DIR": name,
            "HANDOFF_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "HANDOFF_WEBHOOK_ALLOW_HTTP": "true",
        }
        log = directory / "server.log"
        with log.open("w") as output:
            server = subprocess.Popen(  # noqa: S603 -- our own program
                [sys.executable, "-m", "app.cli", "serve", "--demo", "--port", str(free_port())],
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            address = wait_for_address(directory, server, log)
            yield Stage(address, directory, environment, show, wire)
        finally:
            server.terminate()
            server.wait(PATIENCE)
            discard_postgres(directory)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_for_address(directory: Path, server: subprocess.Popen[bytes], log: Path) -> str:
    """The server's address, once it answers and its network is in place. Raises HandoffError."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        address = read_address(directory, ADDRESS)
        if address is not None and "network is in place" in log.read_text():
            return address
        time.sleep(0.05)
    raise HandoffError(f"The server did not start: {log.read_text()[-500:]}")


@dataclass
class Receiver:
    """The receiver's process, where it listens, and what it has written down."""

    url: str
    secret_file: Path
    journal: Path


@contextmanager
def open_receiver(stage: Stage) -> Iterator[Receiver]:
    """A receiver as the hospital would run it: a process of its own, that knows the secret and nothing else of us."""
    secret_file, journal = stage.directory / "webhook.secret", stage.directory / "journal"
    process = subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-m", "app.demo.receiver", str(secret_file), str(journal)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise HandoffError("The receiver did not start")
        yield Receiver(process.stdout.readline().strip(), secret_file, journal)
    finally:
        process.terminate()
        process.wait(PATIENCE)

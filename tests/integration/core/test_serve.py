"""`handoff serve` as a process: it answers, survives what is killed, and leaves nothing behind."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.core.embedded_postgres import serving_url, start_postgres
from tests.processes import PATIENCE, await_that, has_ended, is_web, is_worker, kill_all
from tests.server import Server


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory; what runs on it at the end is stopped, and its data deleted."""
    yield tmp_path / "data"
    start_postgres(tmp_path / "data").destroy()


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    started = Server(data_dir)
    yield started
    stop(started)


def stop(server: Server) -> int:
    server.process.send_signal(signal.SIGTERM)
    server.process.communicate(timeout=PATIENCE)
    return server.process.returncode


def test_a_clean_stop_leaves_no_process_and_no_address(server: Server) -> None:
    assert server.answers()
    family = server.family
    assert stop(server) == 0
    await_that(lambda: all(map(has_ended, family)))
    assert not (server.data_dir / "server.url").exists()
    assert not (server.data_dir / "database.url").exists()


def test_a_killed_web_process_is_started_again(server: Server) -> None:
    [first] = server.web_processes()
    kill_all([first])
    await_that(lambda: server.web_processes() not in ([], [first]))
    await_that(server.answers)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each child is a program of its own")
def test_what_is_started_again_is_forked_too(server: Server) -> None:
    supervisor, names = psutil.Process(server.process.pid), {"handoff-web", "handoff-worker"}
    first = supervisor.children()
    assert {each.name() for each in first} == names
    kill_all(first)
    await_that(lambda: {each.name() for each in supervisor.children() if each not in first} == names)
    await_that(server.answers)
    held = {file.path for each in supervisor.children() for file in each.open_files()}
    assert not any(path.endswith("postgres.lock") for path in held), "it would outlive the supervisor"


def test_who_serves_never_holds_the_owners_address(server: Server) -> None:
    owner = (server.data_dir / "database.url").read_text().strip()
    there = {"database_url": serving_url(owner), "migration_url": f"{owner}&application_name=canary"}
    other = Server(server.data_dir.with_name("other"), **there)
    try:
        children = psutil.Process(other.process.pid).children()
        assert any(map(is_web, children))
        assert any(map(is_worker, children))
        for each in children:
            assert each.name() not in ("handoff-web", "handoff-worker")
            assert "canary" not in "".join(each.environ().values())
    finally:
        assert stop(other) == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "server.pem", tmp_path / "server.key"
    files[0].write_bytes(signed.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def test_https_by_a_certificate(data_dir: Path, certificate: tuple[Path, Path]) -> None:
    server = Server(data_dir, tls_certificate=str(certificate[0]), tls_key=str(certificate[1]))
    try:
        assert server.address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=certificate[0])
        with urlopen(f"{server.address}/fhir/metadata", timeout=PATIENCE, context=trusting) as answer:
            assert answer.headers["strict-transport-security"]
            assert json.load(answer)["implementation"]["url"] == f"{server.address}/fhir"
        with pytest.raises((OSError, http.client.HTTPException)):
            urlopen(f"{server.address.replace('https', 'http')}/fhir/metadata", timeout=PATIENCE)
    finally:
        stop(server)


def test_a_certificate_that_does_not_fit_its_key_is_told(data_dir: Path, certificate: tuple[Path, Path]) -> None:
    certificate[1].write_text("no key")
    environment = os.environ | {"HANDOFF_TLS_CERTIFICATE": str(certificate[0]), "HANDOFF_TLS_KEY": str(certificate[1])}
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(data_dir)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert "The certificate or its key cannot be used" in ended.stderr


def test_the_children_end_when_the_supervisor_is_killed(server: Server) -> None:
    children = psutil.Process(server.process.pid).children()
    server.process.kill()
    server.process.communicate(timeout=PATIENCE)
    await_that(lambda: all(map(has_ended, children)))


def test_after_a_kill_of_everything_the_next_start_works(server: Server) -> None:
    kill_all(server.family)
    server.process.communicate(timeout=PATIENCE)
    again = Server(server.data_dir, "--demo", "--workers", "2", "--no-delivery")
    try:
        assert again.answers()
        assert len(again.web_processes()) == 2
        assert "18 resources made now" in again.said
        with urlopen(f"{again.address}/fhir/metadata") as response:
            assert again.address.encode() in response.read()
    finally:
        assert stop(again) == 0


def test_answers_do_not_wait_for_delayed_acknowledgements(server: Server) -> None:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=5)
    times = []
    for _ in range(30):
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    assert sorted(times)[15] < 0.035


def test_too_many_connections_are_refused_before_the_start(data_dir: Path) -> None:
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(data_dir)]
    ended = subprocess.run([*command, "--workers", "20"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert "max_connections 100" in ended.stderr
    assert "Traceback" not in ended.stderr

"""Hostile input over HTTP: every case gets an OperationOutcome and a 4xx, no process dies, and memory does not grow."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import psutil
import pytest

from app.fhir.validation import validate
from tests.conformance.conftest import Site, token_for
from tests.conformance.hostile import Hostile, all_cases
from tests.processes import PATIENCE

GROWTH = 150_000_000
"""Bytes by which the web processes together may have grown: what they keep at once, never what came in."""


def send(address: str, case: Hostile, token: str) -> tuple[int, bytes]:
    """One request, its target and headers as they stand; status and body of the answer."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    connection._http_vsn_str = "HTTP/1.1"  # type: ignore[attr-defined]
    try:
        connection.putrequest(case.method, case.target, skip_accept_encoding=True)
        for name, value in {"Authorization": f"Bearer {token}", **case.headers}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders(case.body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def find_fault(status: int, body: bytes) -> str | None:
    """What is wrong with the answer to a hostile request; None where it is as it has to be."""
    if not 400 <= status < 500:
        return f"answered {status}"
    try:
        outcome = json.loads(body)
    except ValueError:
        return f"{status} without JSON: {body[:80]!r}"
    if outcome.get("resourceType") != "OperationOutcome" or validate(outcome):
        return f"{status} without a valid OperationOutcome: {body[:80]!r}"
    if not any(each["severity"] in ("error", "fatal") for each in outcome["issue"]):
        return f"{status} without an error"
    return None


@pytest.mark.parametrize("rounds", [0, pytest.param(20, marks=pytest.mark.soak)])
def test_hostile_input_is_refused(site: Site, rounds: int) -> None:
    """Every case once; in the long form again and again, to see that nothing of them stays in memory."""
    cases = all_cases()
    assert len(cases) > 500
    token = token_for(site, "hospital", "referrer")
    processes = site.server.web_processes()
    assert send(site.server.address, Hostile("honest", "GET", "/fhir/Task"), token)[0] == 200
    before = sum(each.memory_info().rss for each in processes)
    faults = [
        f"{each.name}: {fault}" for each in cases if (fault := find_fault(*send(site.server.address, each, token)))
    ]
    assert not faults, "\n".join(faults)
    for _ in range(rounds):
        for each in cases:
            send(site.server.address, each, token)
    assert site.server.web_processes() == processes, "a web process died"
    assert sum(each.memory_info().rss for each in processes) - before < GROWTH
    assert all(each.status() != psutil.STATUS_ZOMBIE for each in processes)
    close_what_is_no_http(site)


RAW = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a header without an end": b"GET /fhir/Task HTTP/1.1\r\nX: " + b"a" * 200_000,
    "two lengths": b"POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\n{}",
    "length and chunks": b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0",
    "a negative length": b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a chunk that is none": b"POST /fhir HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a blank in the target": b"GET /fhir/Task ?x HTTP/1.1\r\nHost: a\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
}
"""Bytes that the HTTP parser refuses: there is no request yet that an OperationOutcome could answer."""


def close_what_is_no_http(site: Site) -> None:
    """Sends each of ``RAW``: it is refused or cut off, and the processes go on."""
    processes = site.server.web_processes()
    parts = urlsplit(site.server.address)
    for name, raw in RAW.items():
        with socket.create_connection((parts.hostname, parts.port or 0), timeout=PATIENCE) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while part := connection.recv(65_536):
                    answer += part
            except ConnectionResetError:
                pass
            assert not answer or b" 4" in answer.split(b"\r\n")[0], (name, answer[:80])
    assert site.server.web_processes() == processes
    assert site.server.answers()

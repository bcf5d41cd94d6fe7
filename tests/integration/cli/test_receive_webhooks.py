"""`handoff listen`, and the code in docs/how-to/receive-webhooks.md, on messages signed as the server signs them."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.delivery.message import build_body, sign
from app.demo.receiver import Received, Receiver
from tests.unit.delivery.test_message import CLAIM, NEW, OLD

DOCUMENT = (Path(__file__).parents[3] / "docs" / "how-to" / "receive-webhooks.md").read_text("utf-8")
BODY = build_body(replace(CLAIM, facts='{"task":"Task/ốm","status":"accepted"}'), "http://handoff.test/fhir")
NODE_CALL = """
const [secret, headers, body] = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
try { verify(secret, headers, Buffer.from(body)); console.log("good"); } catch (error) { console.log(error.message); }
"""


def snippets(language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def headers_of(*secrets: str, age: int = 0) -> dict[str, str]:
    return sign(secrets, CLAIM, BODY, datetime.now(UTC) - timedelta(seconds=age))


def verify_by_python(secret: str, headers: dict[str, str], body: str) -> bool:
    [code] = snippets("python")
    names: dict[str, Any] = {}
    exec(code, names)
    try:
        names["verify"](secret, headers, body.encode())
    except ValueError:
        return False
    return True


def verify_by_node(secret: str, headers: dict[str, str], body: str) -> bool:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed: the JavaScript of the document is not tried")
    [code] = snippets("js")
    given = json.dumps([secret, headers, body])
    done = subprocess.run([node, "-e", code + NODE_CALL], input=given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("good", "too old, or from the future", "no signature matches")
    return done.stdout.strip() == "good"


Verify = Callable[[str, dict[str, str], str], bool]


@pytest.mark.parametrize("verify", [verify_by_python, verify_by_node], ids=["python", "node"])
def test_the_documents_code_verifies_what_is_ours_and_nothing_else(verify: Verify) -> None:
    assert verify(NEW, headers_of(NEW), BODY)
    for secret in (NEW, OLD):
        assert verify(secret, headers_of(NEW, OLD), BODY)
    assert not verify(OLD, headers_of(NEW), BODY)
    assert not verify(NEW, headers_of(NEW), BODY + " ")
    assert not verify(NEW, headers_of(NEW) | {"webhook-id": "evt_8"}, BODY)
    assert not verify(NEW, headers_of(NEW) | {"webhook-signature": "v1,é v1,"}, BODY)
    assert not verify(NEW, headers_of(NEW, age=400), BODY)
    assert not verify(NEW, headers_of(NEW, age=-400), BODY)
    assert not verify(NEW, {}, BODY)


@contextmanager
def receiving(secret: str | None) -> Iterator[tuple[str, list[Received]]]:
    """Our own receiver, and what it took."""
    taken: list[Received] = []
    with Receiver(("127.0.0.1", 0), lambda: secret, taken.append) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", taken
        finally:
            server.shutdown()
            serving.join()


def test_the_documents_shell_signs_and_posts(tmp_path: Path) -> None:
    for program in ("sh", "openssl", "curl", "base64", "od"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the shell of the document is not tried")
    signing, posting = snippets("sh")
    (tmp_path / "body.json").write_text(BODY, "utf-8")
    headers = headers_of(NEW)
    with receiving(NEW) as (url, taken):
        environment = {
            "PATH": os.environ["PATH"],
            "SECRET": NEW,
            "ID": headers["webhook-id"],
            "TIMESTAMP": headers["webhook-timestamp"],
            "URL": url,
        }
        done = subprocess.run(
            ["sh", "-euc", signing + posting],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines() == [headers["webhook-signature"], "204"]
    assert [each.verified for each in taken] == [True]


def test_the_receiver_refuses_what_does_not_verify() -> None:
    with receiving(NEW) as (url, taken), httpx.Client() as wire:
        assert wire.post(url, content=BODY, headers=headers_of(OLD)).status_code == 401
        assert wire.post(url, content=BODY, headers={"webhook-signature": "nonsense"}).status_code == 401
        assert wire.post(url, content=BODY, headers=headers_of(NEW) | {"webhook-signature": "x"}).status_code == 401
        assert wire.post(url, content=b"\xff", headers=headers_of(NEW)).status_code == 400
        assert wire.post(url, content=BODY, headers=headers_of(OLD, NEW)).status_code == 204
    assert [each.verified for each in taken] == [False, False, False, True]


@contextmanager
def listening(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`handoff listen` as a process of its own, and its address."""
    command = [sys.executable, "-P", "-u", "-m", "app.cli", "listen", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, re.findall(r"http://\S+/", process.stdout.readline())[0]
        finally:
            process.terminate()


def read_until(process: subprocess.Popen[str], last: str) -> str:
    """What it printed, up to a line."""
    assert process.stdout is not None
    said = ""
    while not said.endswith(f"\n{last}\n"):
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def test_listen_verifies_and_prints(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(NEW + "\n")
    with listening("--secret-file", str(secret_file)) as (process, url):
        assert httpx.post(url, content=BODY, headers=headers_of(NEW)).status_code == 204
        said = read_until(process, "    }")
        assert "referral-status-changed  verified  evt_7_65f326a7f6000  event 3  sequence 5\n" in said
        assert '      "task": "Task/ốm",\n' in said
        assert httpx.post(url, content=BODY, headers=headers_of(NEW)).status_code == 204
        assert "evt_7_65f326a7f6000  came before" in read_until(process, "    }")
        assert httpx.post(url, content=BODY, headers=headers_of(OLD)).status_code == 401
        assert "REFUSED: No matching signature found" in read_until(process, "    }")


def test_listen_without_a_secret_says_so() -> None:
    with listening() as (process, url):
        assert httpx.post(url, content="\x1b[2Jhello\nend").status_code == 204
        said = read_until(process, "    end")
    assert "No secret is given" in said
    assert "no event  not verified  no webhook-id\n    ?[2Jhello" in said


@pytest.mark.parametrize("options", [["--secret", "whsec_!"], ["--secret", NEW, "--secret-file", "x"]])
def test_listen_refuses_what_is_no_secret(options: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", "listen", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stdout

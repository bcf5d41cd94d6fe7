"""A receiver process that writes down all that comes and answers badly as it is told.

    python -m tests.conformance.misbehaving_receiver FOLDER PORT

Prints its port. In the folder are ``secrets``, of each path those that sign for it, and ``orders``,
``{"seed": n, "answers": [...], "deadly": [...]}``, both JSON and read for each request: some messages, chosen by the
seed and their number, get one of the answers at their first attempts, and 204 from then on. The answer ``kill`` is
kill -9 of the process that sent the message; one that names something ``deadly`` gets no other. A line of ``journal``
is one whole message, on disk before any answer.
"""

import json
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any

import psutil
from standardwebhooks import Webhook, WebhookVerificationError

GOOD = "204"
BAD_ATTEMPTS = (0, 0, 1, 2)
"""How often one message may be answered badly: half of them never."""
DRIP = 0.1
"""Seconds between two bytes of an answer that drips."""
AGE = 5.5
"""Seconds that a sender must have lived before a mere ``kill``: its supervisor gives up where several die younger."""


class Receiver(ThreadingHTTPServer):
    """Counts the attempts of each message since the orders changed."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Desk)
        self.secrets, self.journal, self.orders = folder / "secrets", folder / "journal", folder / "orders"
        self.attempts: Counter[tuple[int, str]] = Counter()
        self.taking = Lock()

    def take(self, path: str, headers: dict[str, str], body: str, desk: "Desk") -> str | None:
        """Writes a message down; the answer that it is to get, None where its sender waits for none any more."""
        signed = {name: value for name, value in headers.items() if name.startswith("webhook-")}
        known = json.loads(self.secrets.read_text()).get(path, [])
        verified = any(accept(each, signed, body) for each in known)
        answer = self.choose(signed.get("webhook-id", ""), body, desk.client_address[1]) if verified else "401"
        with self.taking:
            if has_gone(desk.connection):
                # On a busy machine: to its sender this attempt has failed, and the next one may have come already.
                return None
            line = {"path": path, "verified": verified, "answer": answer, "headers": signed, "body": body}
            with self.journal.open("a") as journal:
                journal.write(json.dumps(line) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        return answer

    def choose(self, name: str, body: str, port: int) -> str:
        """The answer to the next attempt of a message; ``port`` is the sender's."""
        orders: dict[str, Any] = json.loads(self.orders.read_text())
        if any(each in body for each in orders.get("deadly", ())):
            return "kill"
        seed, answers = orders["seed"], orders["answers"]
        with self.taking:
            self.attempts[seed, name] += 1
            attempt = self.attempts[seed, name]
        # Only the number of a message is the same whenever the seed is played.
        dice = random.Random(f"{seed} {'_'.join(name.split('_')[:2])}")
        bad = dice.choice(BAD_ATTEMPTS)
        answer = dice.choice(answers) if answers and attempt <= bad else GOOD
        return "drop" if answer == "kill" and not has_lived(port, AGE) else str(answer)


def accept(secret: str, headers: dict[str, str], body: str) -> bool:
    """Whether the package that receivers use accepts the message now."""
    try:
        Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError):
        return False
    return True


def has_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed the connection."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def find_sender(port: int) -> psutil.Process | None:
    """The worker at the other end of a connection from ``port`` of this machine.

    By /proc itself: on a busy machine psutil takes longer than the sender waits.
    """
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = {f"socket:[{line[9]}]" for line in lines if int(line[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, psutil.NoSuchProcess):
            forked = (process / "comm").read_bytes() == b"handoff-worker\n"
            is_worker = forked or b"app.worker" in (process / "cmdline").read_bytes()
            if is_worker and any(os.readlink(each) in ends for each in (process / "fd").iterdir()):
                return psutil.Process(int(process.name))
    return None


def has_lived(port: int, seconds: float) -> bool:
    """Whether the sender is older than so many seconds."""
    sender = find_sender(port)
    return sender is not None and time.time() - sender.create_time() > seconds


class Desk(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_GET(self) -> None:
        """Nobody asks for anything here, but a client that follows a redirect: reconcile tells it by its path."""
        self.server.take(self.path, {}, "{}", self)
        self.send_error(405)

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:
            # The sender was killed half-way: that is no message.
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(self.path, headers, body.decode(), self)
        if answer is None:
            self.close_connection = True
            return
        odd: dict[str, Callable[[], None]] = {
            "hang": self.hang,
            "drip": self.drip,
            "drop": self.drop,
            "kill": self.kill,
        }
        if answer in odd:
            odd[answer]()
        else:
            self.answer(int(answer))

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        if status == 429:
            self.send_header("retry-after", "1")
        if 300 <= status < 400:
            self.send_header("location", "/elsewhere")
        self.end_headers()

    def hang(self) -> None:
        """Says nothing until the other side gives up."""
        self.rfile.read(1)
        self.close_connection = True

    def drip(self) -> None:
        """One byte at a time, without end."""
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 204 No Content\r\nx-drip: ")
            while True:
                self.wfile.write(b"x")
                Event().wait(DRIP)
        except OSError:
            return

    def drop(self) -> None:
        """Ends the connection, although the message was received."""
        self.close_connection = True

    def kill(self) -> None:
        """kill -9 of the sender, which has no answer yet."""
        sender = find_sender(self.client_address[1])
        if sender is not None:
            sender.kill()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """The journal is the log."""


if __name__ == "__main__":
    server = Receiver(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()

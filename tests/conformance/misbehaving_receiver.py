"""A receiver process that writes down all that comes and answers badly as it is told.

    python -m tests.conformance.misbehaving_receiver SECRET_FILE JOURNAL ORDERS_FILE

Prints its address. Orders are JSON, ``{"seed": n, "answers": [...]}``, read for each request: some messages, chosen by
the seed and their id, get one of the answers at their first attempts, and 204 from then on. A line of the journal is
one whole message, on disk before any answer.
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

GOOD = "204"
BAD_ATTEMPTS = (0, 0, 1, 2)
"""How often one message may be answered badly: half of them never."""
DRIP = 0.1
"""Seconds between two bytes of an answer that drips."""


class Receiver(ThreadingHTTPServer):
    """Counts the attempts of each message since the orders changed."""

    daemon_threads = True

    def __init__(self, secret: Path, journal: Path, orders: Path) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.secret, self.journal, self.orders = secret, journal, orders
        self.attempts: Counter[tuple[int, str]] = Counter()
        self.taking = Lock()

    def take(self, path: str, headers: dict[str, str], body: str) -> str:
        """Writes a message down; the answer that it is to get."""
        try:
            Webhook(self.secret.read_text()).verify(body, headers)
            verified = True
        except (WebhookVerificationError, ValueError):
            verified = False
        name = headers.get("webhook-id", "")
        with self.taking:
            answer = self.choose(name)
            line = {"id": name, "path": path, "verified": verified, "answer": answer, "body": body}
            with self.journal.open("a") as journal:
                journal.write(json.dumps(line) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        return answer

    def choose(self, name: str) -> str:
        """The answer to the next attempt of a message."""
        orders: dict[str, Any] = json.loads(self.orders.read_text())
        seed, answers = orders["seed"], orders["answers"]
        self.attempts[seed, name] += 1
        dice = random.Random(f"{seed} {name}")
        bad = dice.choice(BAD_ATTEMPTS)
        return dice.choice(answers) if answers and self.attempts[seed, name] <= bad else GOOD


class Desk(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(self.path, headers, body)
        odd: dict[str, Callable[[], None]] = {"hang": self.hang, "drip": self.drip, "drop": self.drop}
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

    def log_message(self, *_: object) -> None:
        """The journal is the log."""


if __name__ == "__main__":
    server = Receiver(*map(Path, sys.argv[1:4]))
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/hook\n")
    sys.stdout.flush()
    server.serve_forever()

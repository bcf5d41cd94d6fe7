"""A receiver for trying out and for the demonstration: verifies each webhook's signature and hands it on.

    python -m app.demo.receiver SECRET_FILE JOURNAL

Prints its address, then serves until it is ended. Each line of the journal is one delivery, on disk before the answer.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from standardwebhooks import Webhook, WebhookVerificationError

LARGEST = 1_048_576
PATIENCE = 30
"""Seconds for the rest of a request that has begun."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request; ``refused`` says why it does not verify, ``verified`` is False too where there is no secret."""

    headers: dict[str, str]
    body: str
    verified: bool
    refused: str | None


class Receiver(ThreadingHTTPServer):
    """Answers 204 to what verifies, 401 to what does not; ``read_secret`` may give None: nothing is verified then.

    ``take`` is called for one request at a time, before it is answered.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], read_secret: Callable[[], str | None], take: Callable[[Received], None]
    ) -> None:
        super().__init__(address, Desk)
        self.read_secret = read_secret
        self.take = take
        self.taking = Lock()

    def receive(self, headers: dict[str, str], body: str) -> int:
        """The status to answer with."""
        secret = self.read_secret()
        refused = None
        if secret is not None:
            try:
                Webhook(secret).verify(body, headers)
            except (WebhookVerificationError, ValueError) as error:
                refused = str(error)
        received = Received(headers, body, secret is not None and refused is None, refused)
        with self.taking:
            self.take(received)
        return 401 if refused else 204


class Desk(BaseHTTPRequestHandler):
    """One connection of a Receiver."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    server: Receiver

    def do_POST(self) -> None:
        """One delivery."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST:
            self.close_connection = True
            self.answer(413 if length.isdigit() else 411)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = self.rfile.read(int(length)).decode()
        except UnicodeDecodeError:
            self.answer(400)
            return
        self.answer(self.server.receive(headers, body))

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """What ``take`` does is the log."""


def main() -> None:
    """Keeps a journal of what verifies, on a free port of this machine."""
    secret_file, journal_file = Path(sys.argv[1]), Path(sys.argv[2])

    def write_down(received: Received) -> None:
        if not received.verified:
            return
        with journal_file.open("a") as journal:
            journal.write(json.dumps({"id": received.headers["webhook-id"], "body": json.loads(received.body)}) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    server = Receiver(("127.0.0.1", 0), lambda: secret_file.read_text().strip(), write_down)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/hook\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

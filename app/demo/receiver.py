"""A receiver process for the demonstration: verifies each webhook's signature and writes it into a journal.

    python -m app.demo.receiver SECRET_FILE JOURNAL

Prints its address, then serves until it is ended. Each line of the journal is one delivery, on disk before the answer.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from standardwebhooks import Webhook, WebhookVerificationError

LARGEST = 1_048_576


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what verifies, 401 to anything else."""

    protocol_version = "HTTP/1.1"
    secret_file = Path()
    journal = Path()
    writing = Lock()

    def do_POST(self) -> None:
        """One delivery."""
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(length, LARGEST)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            Webhook(self.secret_file.read_text().strip()).verify(body, headers)
        except WebhookVerificationError:
            self.answer(401)
            return
        with self.writing, self.journal.open("a") as journal:
            journal.write(json.dumps({"id": headers["webhook-id"], "body": json.loads(body)}) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The journal is the log."""


def main() -> None:
    """Serves on a free port of this machine."""
    Receiver.secret_file, Receiver.journal = Path(sys.argv[1]), Path(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/hook\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

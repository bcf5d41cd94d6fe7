"""`handoff listen`: a receiver for trying out webhooks."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.text import plain
from app.core.errors import HandoffError

if TYPE_CHECKING:
    from app.demo.receiver import Received

NUMBERS = (("event", "eventNumber"), ("sequence", "sequence"))


def listen(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    secret: Annotated[str | None, typer.Option(help="The webhook's secret, whsec_...; others see it in `ps`.")] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="A file that holds the secret; read at each message.")
    ] = None,
) -> None:
    """Receive webhooks, verify them, print them: for trying out. Ctrl-C stops it."""
    from app.demo.receiver import Receiver

    if secret and secret_file:
        raise typer.BadParameter("give one of --secret and --secret-file")

    def read_secret() -> str | None:
        return secret_file.read_text().strip() if secret_file else secret

    given = read_secret()
    if given is not None:
        check_secret(given)
    seen: set[str] = set()

    def show(received: "Received") -> None:
        again = received.verified and received.headers["webhook-id"] in seen
        if received.verified:
            seen.add(received.headers["webhook-id"])
        typer.echo(describe_delivery(received, datetime.now(), again=again))  # noqa: DTZ005 -- the clock on the wall

    try:
        receiver = Receiver((host, port), read_secret, show)
    except OSError as error:
        raise HandoffError(f"Cannot listen on {host} port {port}: {error.strerror}") from error
    with receiver as server:
        typer.echo(f"Listening on http://{host}:{server.server_port}/; give this address to `handoff webhook add`.")
        if given is None:
            typer.echo("No secret is given: nothing is verified.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("Stopped.")


def check_secret(secret: str) -> None:
    """Raises BadParameter."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise typer.BadParameter("a webhook's secret is whsec_ and base64")


def describe_delivery(received: "Received", now: datetime, *, again: bool) -> str:
    """One delivery for a person to read."""
    verdict = (
        "verified" if received.verified else f"REFUSED: {received.refused}" if received.refused else "not verified"
    )
    try:
        body: Any = json.loads(received.body)
    except ValueError:
        body = None
    facts: dict[str, Any] = body if isinstance(body, dict) else {}
    head = [f"{now:%H:%M:%S}", str(facts.get("type", "no event")), verdict]
    head += [received.headers.get("webhook-id", "no webhook-id"), *(["came before"] if again else [])]
    head += [f"{name} {facts[key]}" for name, key in NUMBERS if key in facts]
    text = json.dumps(body, indent=2, ensure_ascii=False) if body is not None else received.body
    return plain("\n".join(["  ".join(head), *(f"    {line}" for line in text.splitlines()), ""]))

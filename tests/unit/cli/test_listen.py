"""What `handoff listen` says where it cannot begin."""

import socket

from typer.testing import CliRunner

from app.cli import app


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["listen", "--port", str(port)])
    assert str(result.exception) == f"Cannot listen on 127.0.0.1 port {port}: Address already in use"

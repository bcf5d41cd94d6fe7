"""What `handoff serve` refuses before anything is started."""

import pytest
from typer.testing import CliRunner

from app.cli import app


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_open_mode_is_for_a_loopback_address(host: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--host", host, "--port", "0", "--open", "referrer:hospital"])
    assert result.exit_code == 1
    assert "Open mode" in str(result.exception)


def test_open_mode_is_not_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_TRUSTED_HOPS", "1")
    monkeypatch.setenv("HANDOFF_OPEN_AS", "admin:operator")
    result = CliRunner().invoke(app, ["serve", "--port", "0"])
    assert "Open mode" in str(result.exception)

"""`handoff client`: the register by command, and what the trail says of it."""

import json
from pathlib import Path

import asyncpg

from app.access.clients import generate_key
from tests.integration.cli.conftest import Attempt, Command


async def test_a_client_by_command(handoff: Command, attempt: Attempt, pool: asyncpg.Pool, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    about = ("--organization", "Organization/hospital", "--role", "referrer", "--scope", "system/Task.rs")
    assert "Made Organization/hospital" in await handoff("client", "add", "ehr", *about, "--generate-key", str(first))
    assert first.stat().st_mode & 0o777 == 0o600
    assert "ehr" in await handoff("client", "list")
    await handoff("client", "add-key", "ehr", "--generate-key", str(second))
    old, new = (json.loads(each.read_text())["kid"] for each in (first, second))
    shown = await handoff("client", "remove-key", "ehr", old)
    assert new in shown
    assert old not in shown
    assert (await attempt("client", "remove-key", "ehr", new)).exit_code == 1
    assert "5 a second" in await handoff("client", "change", "ehr", "--rate", "5", "--scope", "system/Task.rus")
    assert "http://127.0.0.1:9/keys" in await handoff("client", "jwks-url", "ehr", "http://127.0.0.1:9/keys")
    assert (await attempt("client", "jwks-url", "ehr", "http://10.0.0.1/keys")).exit_code == 1
    assert (await attempt("client", "remove", "ehr")).exit_code == 1
    await handoff("client", "disable", "ehr")
    assert "disabled" in await handoff("client", "show", "ehr")
    await handoff("client", "enable", "ehr")
    await handoff("client", "disable", "ehr")
    await handoff("client", "remove", "ehr")
    assert (await attempt("client", "show", "ehr")).exit_code == 1
    rows = await pool.fetch("SELECT interaction FROM audit WHERE status < 400 AND interaction LIKE '% ehr'")
    told = {row["interaction"] for row in rows}
    names = ("add", "add-key", "remove-key", "change", "jwks-url", "disable", "enable", "remove")
    assert told == {f"handoff client {name} ehr" for name in names}


async def test_a_kid_may_begin_with_a_dash(handoff: Command, tmp_path: Path) -> None:
    about = ("--organization", "Organization/hospital", "--role", "referrer", "--scope", "system/Task.rs")
    await handoff("client", "add", "ehr", *about, "--generate-key", str(tmp_path / "first.json"))
    (tmp_path / "second.json").write_text(json.dumps({**json.loads(generate_key()[1]), "kid": "-x8h8g04"}))
    assert "-x8h8g04" in await handoff("client", "add-key", "ehr", "--public-key", str(tmp_path / "second.json"))
    assert "-x8h8g04" not in await handoff("client", "remove-key", "ehr", "-x8h8g04")


async def test_a_network_by_command(handoff: Command, attempt: Attempt, pool: asyncpg.Pool, tmp_path: Path) -> None:
    for name, role in (("platform", "coordinator"), ("ngo", "provider")):
        about = ("--organization", f"Organization/{name}", "--role", role, "--scope", "system/Task.rs")
        await handoff("client", "add", name, *about, "--generate-key", str(tmp_path / name))
    pair = ("--coordinator", "Organization/platform", "--member", "Organization/ngo")
    assert "no network" in await handoff("network", "list")
    assert "sees Organization/ngo" in await handoff("network", "add", *pair)
    assert "acts for Organization/ngo" in await handoff("network", "add", *pair, "--acts")
    assert "sees, acts for" in await handoff("network", "list")
    assert (await attempt("network", "add", *pair[:2], "--member", "Organization/nobody")).exit_code == 1
    await handoff("network", "remove", *pair)
    assert (await attempt("network", "remove", *pair)).exit_code == 1
    rows = await pool.fetch("SELECT interaction FROM audit WHERE status < 400 AND interaction LIKE '% platform ngo%'")
    named = ("add platform ngo sees", "add platform ngo acts", "remove platform ngo")
    assert {row["interaction"] for row in rows} == {f"handoff network {each}" for each in named}

"""The embedded PostgreSQL: made, started, stopped, killed, adopted; and nobody's directory is opened to others."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from app.core.embedded_postgres import prepare_layout, start_postgres
from app.core.errors import Conflict
from tests.processes import await_that, has_ended, kill_all

OWNER = """
import sys
from pathlib import Path
from app.core.embedded_postgres import start_postgres
running = start_postgres(Path(sys.argv[1]))
print(running.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory in a place that only we enter; what runs on it at the end is stopped, and its data deleted."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    yield private / "data"
    start_postgres(private / "data").destroy()


@pytest.fixture
def owner(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the data directory, with PostgreSQL up."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    yield process
    process.kill()
    process.communicate()


def ask(url: str, statement: str) -> Any:
    """The single value that a statement answers."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def address(data_dir: Path) -> str:
    """Where the PostgreSQL of another process on this directory is reached."""
    return f"postgresql://handoff@/postgres?host={prepare_layout(data_dir.resolve()).socket}"


def postmaster(url: str) -> psutil.Process:
    return psutil.Process(int(ask(url, "SELECT pg_read_file('postmaster.pid')").split()[0]))


def end_owner(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()


def test_what_is_written_outlasts_a_stop(data_dir: Path) -> None:
    first = start_postgres(data_dir)
    ask(first.url, "CREATE TABLE kept AS SELECT 'chị Hương' AS name")
    main = postmaster(first.url)
    first.stop()
    await_that(lambda: has_ended(main))
    assert not (first.layout.cluster / "postmaster.pid").exists()
    second = start_postgres(data_dir)
    try:
        assert ask(second.url, "SELECT name FROM kept") == "chị Hương"
    finally:
        second.stop()


def test_it_is_safe_against_power_loss_and_strangers(data_dir: Path) -> None:
    running = start_postgres(data_dir)
    try:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "listen_addresses": ""}.items():
            assert ask(running.url, f"SHOW {name}") == value
        assert running.layout.socket.stat().st_mode & 0o077 == 0
        assert running.layout.home.stat().st_mode & 0o077 == 0
        assert postmaster(running.url).uids().effective != 0
    finally:
        running.stop()


def test_after_a_kill_of_everything_nothing_is_lost(data_dir: Path, owner: subprocess.Popen[str]) -> None:
    ask(address(data_dir), "CREATE TABLE kept AS SELECT 7 AS number")
    main = postmaster(address(data_dir))
    victims = [main, *main.children(recursive=True)]
    end_owner(owner)
    kill_all(victims)
    again = start_postgres(data_dir)
    try:
        assert ask(again.url, "SELECT number FROM kept") == 7
    finally:
        again.stop()


def test_one_that_a_killed_owner_left_is_adopted(data_dir: Path, owner: subprocess.Popen[str]) -> None:
    left = postmaster(address(data_dir))
    end_owner(owner)
    adopted = start_postgres(data_dir)
    assert postmaster(adopted.url) == left
    adopted.stop()
    await_that(lambda: has_ended(left))


def test_one_whose_postmaster_alone_was_killed_starts_again(data_dir: Path, owner: subprocess.Popen[str]) -> None:
    ask(address(data_dir), "CREATE TABLE kept AS SELECT 7 AS number")
    postmaster(address(data_dir)).kill()
    end_owner(owner)
    again = start_postgres(data_dir)
    try:
        assert ask(again.url, "SELECT number FROM kept") == 7
    finally:
        again.stop()


def test_a_kill_of_the_owners_session_leaves_postgres_whole(data_dir: Path, owner: subprocess.Popen[str]) -> None:
    left = postmaster(address(data_dir))
    assert os.getsid(left.pid) != os.getsid(owner.pid)


def test_a_second_owner_is_told_who_the_first_is(data_dir: Path, owner: subprocess.Popen[str]) -> None:
    with pytest.raises(Conflict, match=f"process {owner.pid}$"):
        start_postgres(data_dir)


def test_a_pid_file_that_names_a_stranger_is_of_the_past(data_dir: Path) -> None:
    first = start_postgres(data_dir)
    pid_file = first.layout.cluster / "postmaster.pid"
    text = pid_file.read_text()
    first.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *text.split("\n")[1:]]))
    second = start_postgres(data_dir)
    try:
        assert postmaster(second.url).pid != os.getpid()
    finally:
        second.stop()


def test_no_mode_of_a_directory_is_changed(data_dir: Path) -> None:
    places = [data_dir.parent, *data_dir.parent.parents, Path(sys.prefix), *Path(sys.prefix).parents]
    before = [(each.stat().st_mode, each.stat().st_uid) for each in places]
    start_postgres(data_dir).stop()
    assert [(each.stat().st_mode, each.stat().st_uid) for each in places] == before


def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    running = start_postgres(tmp_path / ("long" * 30))
    try:
        assert ask(running.url, "SELECT 1") == 1
    finally:
        running.destroy()

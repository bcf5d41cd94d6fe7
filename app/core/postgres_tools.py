"""Runs PostgreSQL's client programs, the wheel's or the machine's, without showing a password to the process list."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from app.core.embedded_postgres import find_installation
from app.core.errors import HandoffError

TOO_NEW = b"SET transaction_timeout = 0;"
"""Written by programs of 17 and later whatever they read; a server before 17 does not know it."""


def find_tool(name: str) -> str:
    """The program's path. Raises HandoffError where there is none."""
    with suppress(HandoffError):
        return str(find_installation() / "bin" / name)
    found = shutil.which(name)
    if found is None:
        raise HandoffError(f"{name} is not on this machine: install PostgreSQL's client programs")
    return found


def split_password(url: str) -> tuple[str, str | None]:
    """The address without its password, and the password."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    password = next((value for name, value in pairs if name == "password"), None)
    if parts.password is not None:
        password = unquote(parts.password)
    user, at, place = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in pairs if name != "password"])
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{place}", query=query)), password


def tool_environment(password: str | None) -> dict[str, str]:
    """Ours without what libpq would read in it, save the password."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", **({"PGPASSWORD": password} if password is not None else {})}


def dump_database(url: str, snapshot: str, file: Path) -> None:
    """All that a snapshot sees, in pg_dump's own format. Raises HandoffError."""
    place, password = split_password(url)
    options = ("--format=custom", "--no-owner", "--no-acl", "--no-comments", "--no-publications", "--no-subscriptions")
    run([find_tool("pg_dump"), f"--dbname={place}", f"--snapshot={snapshot}", f"--file={file}", *options], password)


def read_dump(file: Path) -> None:
    """Reads a dump from its beginning to its end. Raises HandoffError where it is damaged."""
    run([find_tool("pg_restore"), f"--file={os.devnull}", str(file)], None)


def load_dump(url: str, file: Path) -> None:
    """Loads a dump into an empty database, all of it or nothing. Raises HandoffError."""
    place, password = split_password(url)
    reader = [find_tool("pg_restore"), "--no-owner", "--no-acl", "--file=-", str(file)]
    writer = [find_tool("psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-d", place]
    environment = tool_environment(password)
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(reader, stdout=pipe, stderr=pipe, env=environment) as source,  # noqa: S603 -- our own arguments
        subprocess.Popen(writer, stdin=pipe, stderr=pipe, env=environment) as target,  # noqa: S603 -- our own arguments
    ):
        assert source.stdout and source.stderr and target.stdin and target.stderr  # noqa: S101, PT018 -- they are pipes
        # Should psql have ended, its own words say why.
        with suppress(BrokenPipeError):
            for line in source.stdout:
                if line.rstrip() != TOO_NEW:
                    target.stdin.write(line)
                if line.startswith(b"COPY "):
                    break
            shutil.copyfileobj(source.stdout, target.stdin)
        with suppress(BrokenPipeError):
            target.stdin.close()
        said = target.stderr.read()
        check_end(writer, target.wait(), said)
        check_end(reader, source.wait(), source.stderr.read())


def run(command: list[str], password: str | None) -> None:
    environment = tool_environment(password)
    finished = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603 -- our own arguments
    check_end(command, finished.returncode, finished.stderr)


def check_end(command: list[str], code: int, said: bytes) -> None:
    """Raises HandoffError with the first lines of what a program said, save what rows it names."""
    if code != 0:
        lines = [line for line in said.decode(errors="replace").splitlines() if not line.startswith(ROW_TOLD)]
        raise HandoffError(f"{Path(command[0]).name} failed: {' '.join(lines[:3])}")


ROW_TOLD = ("DETAIL:", "CONTEXT:", "LINE ")
"""Lines of PostgreSQL's errors that hold values of rows."""

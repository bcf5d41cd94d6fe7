"""The faults that running hosts have to survive, as data (docs/reliability.md)."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from app.core.embedded_postgres import run_command, run_tool, start_cluster
from app.store.migrate import MIGRATIONS, build_config
from tests.conformance.hosts import Hosts, come_of_age, pretend
from tests.processes import await_that, has_ended, kill_all

BAD_STATUSES = ("500", "503", "429", "408", "302")
Blow = Callable[[Hosts], None]


def kill_web(hosts: Hosts) -> None:
    """kill -9 of the web process that has run longest, whatever it is writing."""
    await_that(lambda: bool(hosts.webs))
    kill_all(come_of_age(hosts.webs[:1]))


def kill_worker(hosts: Hosts) -> None:
    """kill -9 of both workers."""
    kill_all(come_of_age(hosts.workers))


def kill_postgres(hosts: Hosts) -> None:
    """kill -9 of PostgreSQL whole, then a start."""
    family = hosts.servers[0].family
    cluster = [each for each in family if not has_ended(each) and each.name().startswith("postgres")]
    kill_all(cluster)
    await_that(lambda: all(map(has_ended, cluster)))
    start_cluster(hosts.layout)


def kill_everything(hosts: Hosts) -> None:
    """kill -9 of every process of both hosts, then a new start on the same ports."""
    ports = [each.address.rsplit(":", 1)[1] for each in hosts.servers]
    hosts.kill()
    hosts.start(*ports)


def halt_postgres(hosts: Hosts, mode: str) -> None:
    """A stop in a mode of pg_ctl."""
    run_tool(hosts.layout, "pg_ctl", "-D", str(hosts.layout.cluster), "-m", mode, "-w", "stop")


def stop_postgres(mode: str) -> Blow:
    """A stop in a mode of pg_ctl, then a start."""

    def stop(hosts: Hosts) -> None:
        halt_postgres(hosts, mode)
        start_cluster(hosts.layout)

    return stop


def fake_clock(hosts: Hosts) -> None:
    """PostgreSQL starts again under a clock that the test can step; before anything is under way."""
    layout, offset = hosts.layout, hosts.layout.home / "clock"
    if "FAKETIME_TIMESTAMP_FILE" in hosts.postmaster.environ():
        return
    offset.write_text("+0h\n")
    halt_postgres(hosts, "fast")
    believing = pretend(f"FAKETIME_TIMESTAMP_FILE={offset}", "FAKETIME_NO_CACHE=1")
    start = [str(layout.binaries / "pg_ctl"), "-D", str(layout.cluster), "-l", str(layout.log), "-w", "-s", "start"]
    run_command([*believing, *start], layout.user)


def step_clock_back(hosts: Hosts) -> None:
    """The clock of PostgreSQL's machine goes back an hour while it runs; an hour more each time."""
    offset = hosts.layout.home / "clock"
    hours = int(offset.read_text()[:-2]) - 1
    offset.with_suffix(".new").write_text(f"{hours}h\n")
    offset.with_suffix(".new").rename(offset)


REVISION = """
revision, down_revision, branch_labels, depends_on = "harmless", "{head}", None, None
TABLES = ("referral", "task", "patient", "event", "webhook", "delivery", "attempt", "resource_history")


def upgrade():
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN harmless text, ADD COLUMN harmless_too int NOT NULL DEFAULT 1")
    op.execute("CREATE INDEX harmless ON task (harmless)")


def downgrade():
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN harmless, DROP COLUMN harmless_too")
"""


def migrate(hosts: Hosts) -> None:
    """Up and down again by a revision that adds columns to the tables in use."""
    url = hosts.settings.database_url or ""
    with TemporaryDirectory() as folder:
        scripts = Path(folder) / "alembic"
        shutil.copytree(MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        config = build_config(url)
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        heads = ScriptDirectory.from_config(config).get_heads()
        text = "from alembic import op\n" + REVISION.replace("{head}", heads[0])
        (scripts / "versions" / "9999_harmless.py").write_text(text)
        repeat(lambda: command.upgrade(config, "harmless"))
        repeat(lambda: command.downgrade(config, heads[0]))


def repeat(step: Callable[[], None]) -> None:
    """Until it is not the victim of a deadlock with those who write: a migration that fails leaves all as it was."""
    for _ in range(20):
        try:
            return step()
        except DBAPIError as error:
            if "deadlock" not in str(error):
                raise
    raise AssertionError("twenty deadlocks")


@dataclass(frozen=True)
class Fault:
    """``answers`` are what the receiver says amiss; ``blows`` fall one after another while writers write.

    With ``hurried`` an operator resumes the webhooks in the end, so that what is due by another clock goes at once.
    """

    answers: tuple[str, ...] = ()
    blows: tuple[Blow, ...] = ()
    hurried: bool = False


FAULTS = {
    "kill -9 of a web process mid-write": Fault(blows=(kill_web, kill_web)),
    "kill -9 of the workers mid-delivery": Fault(("hang",), (kill_worker,)),
    "a payload that kills the worker that sends it": Fault(("kill",)),
    "kill -9 of PostgreSQL": Fault(blows=(kill_postgres, kill_postgres)),
    "kill -9 of everything": Fault(blows=(kill_everything,)),
    "PostgreSQL stopped, fast": Fault(blows=(stop_postgres("fast"),)),
    "PostgreSQL stopped, immediate": Fault(blows=(stop_postgres("immediate"),)),
    "a migration while serving": Fault(blows=(migrate,)),
    "the database's clock stepped back an hour": Fault(blows=(step_clock_back,), hurried=True),
    "a receiver that hangs": Fault(("hang",)),
    "a receiver that drips": Fault(("drip",)),
    "a receiver that answers 500 and 503": Fault(("500", "503")),
    "a receiver that answers 429": Fault(("429",)),
    "a receiver that answers 410": Fault(("410",)),
    "a receiver that redirects": Fault(("302",)),
    "a receiver that drops the connection after receipt": Fault(("drop",)),
    "all of them": Fault(
        ("hang", "drip", "drop", "kill", *BAD_STATUSES),
        (
            kill_web,
            stop_postgres("fast"),
            kill_worker,
            stop_postgres("immediate"),
            kill_postgres,
            kill_everything,
            migrate,
        ),
    ),
}
"""In all of them there are two web processes and two workers, and the clock of one host is ten minutes ahead. A 410 is
played alone: what happens while a webhook is off is not kept for it, so that less is promised."""

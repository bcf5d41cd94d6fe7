"""The faults that a running server has to survive, as data (docs/reliability.md)."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.embedded_postgres import Layout, prepare_layout, run_tool, start_cluster
from tests.conformance.conftest import Site
from tests.processes import await_that, has_ended, kill_all, runs_worker

BAD_STATUSES = ("500", "503", "429", "408", "302", "410")


def kill_web(site: Site) -> None:
    """kill -9 of every web process, whatever it is writing."""
    kill_all(site.server.web_processes())
    await_that(site.server.answers)


def kill_worker(site: Site) -> None:
    """kill -9 of the worker."""
    kill_all(filter(runs_worker, site.server.family))


def kill_postgres(site: Site) -> None:
    """kill -9 of PostgreSQL whole, then a start."""
    layout = find_layout(site)
    cluster = [each for each in site.server.family if not has_ended(each) and each.name().startswith("postgres")]
    kill_all(cluster)
    await_that(lambda: all(map(has_ended, cluster)))
    start_cluster(layout)


def stop_postgres(mode: str) -> Callable[[Site], None]:
    """A stop in a mode of pg_ctl, then a start."""

    def stop(site: Site) -> None:
        layout = find_layout(site)
        run_tool(layout, "pg_ctl", "-D", str(layout.cluster), "-m", mode, "-w", "stop")
        start_cluster(layout)

    return stop


def find_layout(site: Site) -> Layout:
    return prepare_layout(site.data_dir.resolve())


@dataclass(frozen=True)
class Fault:
    """``answers`` are what the receiver says amiss; ``blows`` fall one after another while writers write."""

    answers: tuple[str, ...] = ()
    blows: tuple[Callable[[Site], None], ...] = ()


FAULTS = {
    "kill -9 of the web processes mid-write": Fault(blows=(kill_web, kill_web)),
    "kill -9 of the worker mid-delivery": Fault(("hang",), (kill_worker,)),
    "PostgreSQL stopped, fast": Fault(blows=(stop_postgres("fast"),)),
    "PostgreSQL stopped, immediate": Fault(blows=(stop_postgres("immediate"),)),
    "kill -9 of PostgreSQL": Fault(blows=(kill_postgres,)),
    "a receiver that hangs": Fault(("hang",)),
    "a receiver that drips": Fault(("drip",)),
    "a receiver that answers 500 and 503": Fault(("500", "503")),
    "a receiver that answers 429": Fault(("429",)),
    "a receiver that answers 410": Fault(("410",)),
    "a receiver that redirects": Fault(("302",)),
    "a receiver that drops the connection after receipt": Fault(("drop",)),
    "all of them": Fault(
        ("hang", "drip", "drop", *BAD_STATUSES),
        (kill_web, stop_postgres("fast"), kill_worker, stop_postgres("immediate"), kill_postgres),
    ),
}

"""Other processes: whether they run, kill -9, and waiting for what they do."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

PATIENCE = 60
NEVER = threading.Event()


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more; what nobody has waited for yet is a zombie."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """kill -9 of each; one may have ended because another did."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def is_web(process: psutil.Process) -> bool:
    """Whether it is a web process, and runs still."""
    return is_child(process, "handoff-web", "uvicorn")


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a delivery worker, and runs still."""
    return is_child(process, "handoff-worker", "app.worker")


def is_child(process: psutil.Process, name: str, module: str) -> bool:
    """By its name where it was forked, by its command where it is a program of its own."""
    try:
        return not has_ended(process) and (process.name() == name or module in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def await_that(condition: Callable[[], bool]) -> None:
    """Looks again and again until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        NEVER.wait(0.02)

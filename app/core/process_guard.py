"""Ends a child process when its supervisor is gone, however that ended."""

import os
import signal
import threading

VARIABLE = "HANDOFF_PARENT_FD"
"""Holds the number of an inherited pipe, whose other end only the supervisor keeps open."""


def watch_parent() -> None:
    """Starts the watch, where a supervisor asked for it; a second call does nothing."""
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is not None:
        threading.Thread(target=wait_for_end, args=(int(descriptor),), daemon=True, name="watch-parent").start()


def wait_for_end(descriptor: int) -> None:
    """Blocks until the pipe's other end is closed, then asks this process to end."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

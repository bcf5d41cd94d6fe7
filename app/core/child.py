"""Child processes that are born with what their parent has imported; where that is not safe, programs of their own.

docs/decisions/0017-one-import.md.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol

from app.core.logs import describe_error

logger = logging.getLogger("handoff")


@dataclass(frozen=True)
class Program:
    """What a child runs: ``python -m MODULE ARGUMENTS``, whose module has a ``main`` that reads ``sys.argv``.

    ``name`` is what the system's list of processes calls a forked one, of 15 characters at most.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()


class Child(Protocol):
    """A process that was started: an ``asyncio.subprocess.Process``, or one that was forked."""

    async def wait(self) -> int:
        """Its exit code once it has ended, negative for a signal's number."""

    def send_signal(self, signal: int) -> None:
        """Raises ProcessLookupError where it has ended."""


@dataclass
class Forked:
    """A forked child. ``ended`` reads to its end once nobody holds the other end, which is the child's alone."""

    pid: int
    ended: int

    async def wait(self) -> int:
        """As ``Child`` says; to be awaited once."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.ended, closed.set)
        try:
            await closed.wait()
        finally:
            loop.remove_reader(self.ended)
            os.close(self.ended)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])  # noqa: ASYNC222 -- it has ended

    def send_signal(self, signal: int) -> None:
        """As ``Child`` says."""
        os.kill(self.pid, signal)


def can_fork() -> bool:
    """Whether a child may be forked now: another thread's locks would stay locked in it for ever.

    macOS's own libraries do not bear a fork at all.
    """
    return sys.platform == "linux" and threading.active_count() == 1


def preload(modules: Iterable[str]) -> None:
    """Imports what children need, for them to share. Afterwards no collection looks at it, and so copies its pages."""
    if sys.platform != "linux":
        return
    gc.disable()
    try:
        for each in modules:
            import_module(each)
    finally:
        gc.enable()
    gc.freeze()


async def start_child(
    program: Program, environment: Mapping[str, str], descriptors: Collection[int], *, sharing: bool
) -> Child:
    """Starts it in a session of its own, so that a Ctrl-C reaches us alone. It inherits the ``descriptors`` only.

    ``environment`` is added to ours. ``sharing`` lets it have our memory, with all that we have read.
    """
    if sharing and can_fork():
        return fork(program, environment, descriptors)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # keeps the current directory off its import path
        "-m",
        program.module,
        *program.arguments,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **environment},
        pass_fds=descriptors,
        start_new_session=True,
    )


def fork(program: Program, environment: Mapping[str, str], descriptors: Collection[int]) -> Forked:
    """As ``start_child``."""
    ended, end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that came to the child before its handlers are its own would be told to our loop.
    allowed = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            become(program, environment, {*descriptors, end}, allowed)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
    os.close(end)
    return Forked(pid, ended)


def become(
    program: Program, environment: Mapping[str, str], descriptors: Collection[int], allowed: Collection[int]
) -> NoReturn:
    """Makes the process that was just forked into what it is to be, and ends it: it never returns to our loop."""
    code = 1
    try:
        leave_parent(descriptors)
        signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        Path("/proc/self/comm").write_text(program.name)
        os.environ.update(environment)
        sys.argv = [program.module, *program.arguments]
        Context().run(import_module(program.module).main)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:  # noqa: BLE001 -- told, without its text
        logger.error("%s: %s", program.name, "; ".join(describe_error(error)))
    finally:
        # Whatever is left of the parent's is not ours to tidy up.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def leave_parent(descriptors: Collection[int]) -> None:
    """Gives up what is the parent's: its terminal, how it takes signals, and every open file but ``descriptors``."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for each in map(int, os.listdir("/proc/self/fd")):
        if each > 2 and each not in descriptors:
            with suppress(OSError):  # the one that listed them
                os.close(each)

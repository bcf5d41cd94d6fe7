"""A parent that starts one child, for ``test_child.py``; and what the child does, which is told as its argument."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from app.core import supervisor
from app.core.child import Program, start_child
from app.core.errors import HandoffError

BORN = {"of": "nobody"}
"""What only a forked child finds as its parent has left it."""


def be_parent(task: str, *, beside: bool = False, sharing: bool = True) -> None:
    """Starts the child, and says on standard error how it ended; ``beside`` lets another thread run meanwhile."""
    BORN["of"] = "the parent"
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    if beside:
        thread.start()
    asyncio.run(run_parent(task, sharing=sharing))
    end.set()


async def run_parent(task: str, *, sharing: bool) -> None:
    heard: list[str] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, "the parent heard it")
    inherited, ours = os.pipe()
    program = Program("handoff-test", "tests.unit.core.family", (task,))
    child = await start_child(program, {"HANDOFF_TEST": "given"}, [inherited], sharing=sharing)
    os.close(ours)
    code = await child.wait()
    await asyncio.sleep(0)  # the loop hears of signals in its next round
    sys.stderr.write(f"ended with {code} {heard}\n")


def be_supervisor() -> None:
    """Keeps a worker running that ends at once, and says on standard error why it gave up."""
    supervisor.WORKER = Program("handoff-test", "tests.unit.core.family", ("exit",))
    kept = supervisor.Supervisor(
        socket.socket(), web=0, delivery=True, environment={}, log_level="info", received=[], sharing=True
    )
    try:
        asyncio.run(kept.run(do_nothing))
    except HandoffError as error:
        sys.stderr.write(f"gave up: {error.diagnostics}\n")


async def do_nothing() -> None:
    """There is nobody to be told that it is ready."""


def main() -> None:
    """The child's part."""
    {"look": look, "exit": lambda: sys.exit(3), "bug": fail, "kill": kill_self}[sys.argv[1]]()


def look() -> None:
    """Tells on standard output what it was born with."""
    kinds = []
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            kinds.append(os.readlink(f"/proc/self/fd/{each}").partition(":")[0] if int(each) > 2 else "standard")
    found = {
        "born of": BORN["of"],
        "name": Path("/proc/self/comm").read_text().strip(),
        "leads its session": os.getsid(0) == os.getpid(),
        "setting": os.environ["HANDOFF_TEST"],
        "blocked signals": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "a loop": asyncio.run(asyncio.sleep(0, "of its own")),
        "sockets": kinds.count("socket"),
        "loops": kinds.count("anon_inode"),
        "pipes": kinds.count("pipe"),
    }
    sys.stdout.write(json.dumps(found))


def fail() -> None:
    raise ValueError("what somebody wrote")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

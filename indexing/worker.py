"""What a spawned reader runs: one task at a time, in a process that harms nobody when it hangs or dies.

It imports nothing but what its tasks name: torch alone would cost each worker seconds and some 300 MB.
"""

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from indexing.limits import in_words

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Lost:
    """Stands for the result of a task that gave none, and says why."""

    reason: str


@dataclass(frozen=True)
class OutOfMemory:
    """A worker's last word: it met its limit, and whoever comes next deserves a fresh one."""


def serve(connection: Connection, memory_mb: int, preload: Sequence[str]) -> None:
    """Answer each pickled (function, task) with function(task) until *connection* closes.

    The first message sent is empty and says that the modules of *preload* are imported.
    """
    _die_with_parent()
    _keep_off_the_terminal()
    for module in preload:
        import_module(module)
    limit_memory(memory_mb)
    with suppress(EOFError, OSError):  # the parent is gone, or wants no more
        connection.send_bytes(b"")
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _answer(request: bytes) -> bytes:
    try:
        function, task = pickle.loads(request)
        return _packed(function(task))
    except MemoryError:
        return _packed(OutOfMemory())
    except BaseException as error:  # even what calls itself an exit is about this task only
        return _packed(Lost(in_words(error)))


def _packed(answer: object) -> bytes:
    return pickle.dumps(answer, protocol=5)  # the older default copies each array once more


def _die_with_parent() -> None:
    """A parent that is killed closes the pipe, which ends an idle worker; on Linux the kernel ends a busy one too."""
    parent = parent_process()
    if sys.platform != "linux" or parent is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it died before the line above
        os._exit(1)


def _keep_off_the_terminal() -> None:
    """Ctrl-C is the parent's to handle, and stdout belongs to the results of its command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)


def limit_memory(memory_mb: int) -> None:
    """Let this process have *memory_mb* more than it has now, where the system can.

    RLIMIT_DATA and not RLIMIT_AS: mapped files and libraries cost no memory, but address space in plenty.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash on somebody's bad file is no reason to fill the disk
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _data_bytes() + memory_mb * MEGABYTE
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _data_bytes() -> int:
    """What counts towards RLIMIT_DATA now; 0 where that is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

"""The process that local workers are forked from: what all of them need is imported once, while the run still begins.

Each worker that imports for itself takes four seconds of a CPU, and again when it replaces one that died.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Any

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How worker processes are started; frameworks of other systems do not survive a fork."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # With an arena for each thread, which keep what they freed, the largest slides take a sixth more memory.
    "MALLOC_ARENA_MAX": "1",
}
"""Of every worker from its start, when its libraries read it."""


def start_fork_server(modules: Sequence[str]) -> None:
    """Start the process that workers are forked from, unless it runs or workers are started otherwise.

    It ends with this process. What it cannot import, each worker tries again.

    Parameters
    ----------
    modules : sequence of str
        Names of what it imports. They must start no thread that workers need, and must not use a GPU.
    """
    if METHOD != "forkserver":
        return
    before = _process()
    multiprocessing.set_forkserver_preload(list(modules))
    with without_interrupts(), _environment():
        forkserver.ensure_running()
    if _process() != before:
        _STARTED[os.getpid()] = _process()


_STARTED: dict[int, int | None] = {}
"""Process that was started here, by the process that did so: one that was forked from that knows it too, and must not
end what is not its own."""


def end_fork_server() -> None:
    """End that process at once, also while it still imports; nothing where it was not started here.

    By itself it ends when it has imported all and searched its memory, a second or more after this process, and keeps
    the output of both open so long.
    """
    process = _STARTED.pop(os.getpid(), None)
    if process is not None and process == _process():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _process() -> int | None:
    """Its process, as `multiprocessing` knows it, which has no public way to ask."""
    server: Any = forkserver._forkserver
    return getattr(server, "_forkserver_pid", None)


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Keep SIGINT from threads and processes that are started inside, and from those that they start.

    A terminal sends it to every process of a run; workers must end what they have begun, and only the client decides.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whoever starts it, as the first new process does, takes SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set what a new process finds in its environment."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""Dask: a cluster to work on, and one bounded stream of tasks through it.

Tasks carry paths and numbers, never pixels. What is to be done next is asked of a `Source` only when a worker will soon
be free, so a run of any length holds a bounded number of tasks.

Importing this loads nothing of Dask, which takes a third of a second: the process that workers are forked from is
started before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipsm.engine.cluster.fork_server import start_fork_server
    from wsipsm.engine.cluster.local import Machine
    from wsipsm.engine.cluster.open import connect
    from wsipsm.engine.cluster.pool import Pool
    from wsipsm.engine.cluster.recipes import preview
    from wsipsm.engine.cluster.stop import Stop, end_process
    from wsipsm.engine.cluster.stream import run_stream
    from wsipsm.engine.cluster.task import Failure, Source, Task

_HOMES = {
    "Failure": "task",
    "Machine": "local",
    "Pool": "pool",
    "Source": "task",
    "Stop": "stop",
    "Task": "task",
    "connect": "open",
    "end_process": "stop",
    "preview": "recipes",
    "run_stream": "stream",
    "start_fork_server": "fork_server",
}
"""Module of each name."""

__all__ = [
    "Failure",
    "Machine",
    "Pool",
    "Source",
    "Stop",
    "Task",
    "connect",
    "end_process",
    "preview",
    "run_stream",
    "start_fork_server",
]


def __getattr__(name: str) -> Any:
    """Name of one of the modules, imported at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

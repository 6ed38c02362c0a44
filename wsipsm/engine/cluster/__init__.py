"""Dask: a cluster to work on, and one bounded stream of tasks through it.

Tasks carry paths and numbers, never pixels. What is to be done next is asked of a `Source` only when a worker will soon
be free, so a run of any length holds a bounded number of tasks.
"""

from wsipsm.engine.cluster.fork_server import start_fork_server
from wsipsm.engine.cluster.local import Machine
from wsipsm.engine.cluster.open import connect
from wsipsm.engine.cluster.pool import Pool
from wsipsm.engine.cluster.recipes import preview
from wsipsm.engine.cluster.stop import Stop, end_process
from wsipsm.engine.cluster.stream import run_stream
from wsipsm.engine.cluster.task import Failure, Source, Task

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

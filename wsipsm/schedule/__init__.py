"""Dask: a cluster to work on, and one bounded stream of tasks through it.

Tasks carry paths and numbers, never pixels. What is to be done next is asked of a `Source` only when a worker will soon
be free, so a run of any length holds a bounded number of tasks.
"""

from wsipsm.schedule.cluster import connect
from wsipsm.schedule.pool import Pool
from wsipsm.schedule.recipes import preview
from wsipsm.schedule.stop import Stop
from wsipsm.schedule.stream import run_stream
from wsipsm.schedule.task import Failure, Source, Task

__all__ = ["Failure", "Pool", "Source", "Stop", "Task", "connect", "preview", "run_stream"]

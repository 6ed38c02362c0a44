"""Dask: a cluster to work on, and one bounded stream of tasks through it.

Tasks carry paths and numbers, never pixels. What is to be done next is asked of a `Source` only when a worker will soon
be free, so a run of any length holds a bounded number of tasks.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dask
from distributed import CancelledError, Client, Future, LocalCluster, as_completed, get_worker
from distributed.comm.core import CommClosedError

from wsipsm.config import ScheduleConfig
from wsipsm.errors import ScheduleError

TOPIC = "wsipsm-progress"
"""Dask topic on which workers tell of progress inside long tasks."""

CONNECT_SECONDS = 30
"""How long a scheduler and its first worker are waited for."""


WORKER_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_MMAP_THRESHOLD_": str(2**28)}
"""Lets workers keep the memory of one block for the next. With Dask's own 64 kB every feature map is handed back to the
system and faulted in again, which makes the network three times as slow (measured: 2.5 against 0.8 s per megapixel)."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call to make on some worker.

    Attributes
    ----------
    key : str
        Name, unique in the run.
    call : callable
        A module-level function.
    args : tuple
        Small picklable arguments.
    gpu : bool
        Whether the call needs the worker's GPU, where workers have one.
    progress : bool
        Whether the call takes ``progress``, a callable that sends a dict to the client.
    retry : bool
        Whether it is tried again where it fails.
    """

    key: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    gpu: bool = False
    progress: bool = False
    retry: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task could not be done after all its tries."""

    error: BaseException
    traceback: str


class Source(Protocol):
    """What is to be done, asked for one task at a time."""

    def next_task(self) -> Task | None:
        """Give a task that can start now, or None while there is none."""

    def done(self, task: Task, result: Any) -> None:
        """Take the result of a task."""

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure."""

    def told(self, message: dict[str, Any]) -> None:
        """Take progress from inside a task."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A connected cluster."""

    client: Client
    config: ScheduleConfig
    has_gpu: bool

    @property
    def threads(self) -> int:
        """Tasks that the workers run at a time."""
        return sum(self.client.nthreads().values())


@contextlib.contextmanager
def connect(config: ScheduleConfig, *, scheduler: str | None = None, gpus: int = 0) -> Iterator[Pool]:
    """Pool on an existing scheduler, or on a local cluster that ends with the context.

    Parameters
    ----------
    config : ScheduleConfig
        Workers of the local cluster and bounds of the stream.
    scheduler : str, optional
        ``tcp://host:port`` or the path of a scheduler file.
    gpus : int
        GPUs to give to local workers, one each.

    Raises
    ------
    ScheduleError
        The scheduler does not answer, or it has no workers.
    """
    with contextlib.ExitStack() as stack:
        environment = dask.config.get("distributed.nanny.pre-spawn-environ", {}) | WORKER_ENVIRONMENT
        stack.enter_context(
            dask.config.set(
                {
                    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
                    "distributed.nanny.pre-spawn-environ": environment,
                }
            )
        )
        if scheduler is None:
            client = stack.enter_context(Client(stack.enter_context(_local_cluster(config, gpus))))
            _share_gpus(client, gpus if config.processes else 0)
        else:
            client = stack.enter_context(_remote_client(scheduler))
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        yield Pool(client, config, has_gpu=any("GPU" in (worker.get("resources") or {}) for worker in workers))


def run_stream(pool: Pool, source: Source) -> None:
    """Run all tasks of a source; a failed task is handed back to it and the rest goes on.

    Raises
    ------
    ScheduleError
        The scheduler was lost.
    """
    stream = _Stream(pool)
    try:
        with _listening(pool.client, source):
            while True:
                stream.fill(source)
                if not stream.running:
                    return
                stream.settle_one(source)
    except (CancelledError, CommClosedError) as error:
        raise ScheduleError(
            f"the Dask scheduler was lost ({type(error).__name__}); run again, finished tiles are kept"
        ) from None


class _Stream:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.running: dict[Future[Any], Task] = {}
        self.completed = as_completed()

    def fill(self, source: Source) -> None:
        # Asked anew each time: a cluster may grow and shrink.
        limit = max(1, self.pool.config.in_flight_per_worker * self.pool.threads)
        while len(self.running) < limit and (task := source.next_task()) is not None:
            future = self._submit(task)
            self.running[future] = task
            self.completed.add(future)

    def settle_one(self, source: Source) -> None:
        future = next(self.completed)
        task = self.running.pop(future)
        if future.cancelled():
            raise CancelledError(task.key)
        error = future.exception()
        if error is None:
            source.done(task, future.result())
        else:
            trace = "".join(traceback.format_exception(type(error), error, future.traceback()))
            source.failed(task, Failure(error, trace))
        future.release()

    def _submit(self, task: Task) -> Future[Any]:
        call, args = (_with_progress, (task.call, task.args)) if task.progress else (task.call, task.args)
        resources = {"GPU": 1} if task.gpu and self.pool.has_gpu else None
        return self.pool.client.submit(
            call,
            *args,
            key=task.key,
            pure=False,
            retries=self.pool.config.retries if task.retry else 0,
            resources=resources,
        )


@contextlib.contextmanager
def _listening(client: Client, source: Source) -> Iterator[None]:
    client.subscribe_topic(TOPIC, lambda event: source.told(event[1]))
    try:
        yield
    finally:
        client.unsubscribe_topic(TOPIC)


def _with_progress(call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    last = 0.0

    def tell(message: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last > 0.25:  # the scheduler keeps every event
            last = time.monotonic()
            get_worker().log_event(TOPIC, message)

    return call(*args, progress=tell)


@contextlib.contextmanager
def _local_cluster(config: ScheduleConfig, gpus: int) -> Iterator[LocalCluster]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = config.workers or gpus or cpus
    threads = max(2, cpus // workers) if gpus else 1
    shape: dict[str, Any] = {"n_workers": workers, "threads_per_worker": threads, "processes": True}
    if not config.processes:
        shape = {"n_workers": 1, "threads_per_worker": workers, "processes": False}
    if gpus:
        shape["resources"] = {"GPU": 1}
    # Dask would print the traceback of every failed try; ours go to failed.csv.
    # No memory limit of Dask's own: tiles are bounded by construction, and a paused worker would stall a run.
    with LocalCluster(**shape, dashboard_address=":0", memory_limit=0, silence_logs=logging.CRITICAL) as cluster:
        yield cluster


def _address_in(scheduler_file: Path) -> str:
    try:
        return str(json.loads(scheduler_file.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ScheduleError(f"{scheduler_file}: expected the scheduler file that `dask scheduler` writes") from None


def _share_gpus(client: Client, gpus: int) -> None:
    """Show each local worker one GPU; said before any of them has asked CUDA."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    for number, worker in enumerate(sorted(client.scheduler_info(n_workers=-1)["workers"]) if gpus else ()):
        client.run(_see_gpu, given[number % len(given)], workers=[worker])


def _see_gpu(name: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = name


def _remote_client(scheduler: str) -> Client:
    address: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler:
        if not Path(scheduler).is_file():
            raise ScheduleError(f"{scheduler}: expected an address (tcp://host:port) or a scheduler file that exists")
        address = {"address": _address_in(Path(scheduler))}
    try:
        client = Client(**address, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScheduleError(
            f"{scheduler}: no Dask scheduler with workers answers within {CONNECT_SECONDS} s: {reason}"
        ) from None
    return client

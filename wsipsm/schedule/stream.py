"""One bounded stream of tasks through a cluster."""

from __future__ import annotations

import contextlib
import math
import queue
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import CancelledError, Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from wsipsm.errors import ScheduleError, WorkerLostError
from wsipsm.schedule.cluster import Pool
from wsipsm.schedule.stop import GRACE_SECONDS, Stop
from wsipsm.schedule.task import TOPIC, Failure, Source, Task, call_task

POLL_SECONDS = 0.5
"""How often the source is asked although no task ended."""


def run_stream(pool: Pool, source: Source, stop: Stop | None = None) -> None:
    """Run all tasks of a source; a task that fails is tried on other workers, then handed back, and the rest goes on.

    Once ``stop`` asks, no task is started; those under way have `GRACE_SECONDS` to end. A scheduler of others that is
    lost is waited for, and gets the tasks that were under way again.

    Raises
    ------
    ScheduleError
        The scheduler was lost for good.
    """
    stop, under_way = stop or Stop(), list[_Running]()
    while True:
        stream = _Stream(pool, under_way)
        try:
            _drive(stream, source, stop)
            return
        except (CancelledError, CommClosedError) as error:
            source.said(f"the Dask scheduler was lost ({type(error).__name__})")
            under_way = stream.under_way
            try:
                pool.restore(lambda: stop.asked)
            except ScheduleError:
                if stop.asked:
                    return
                raise
            source.said("connected again; what was under way is done again")


def _drive(stream: _Stream, source: Source, stop: Stop) -> None:
    """Run tasks until none is left or a stop is over."""
    with _listening(stream.pool.client, source):
        stream.send()
        told = _Said(source)
        while not stop.patience_over:
            if not stop.asked:
                stream.fill(source)
                told.once("waiting for workers", stream.pool.threads == 0)
                told.once("waiting for workers with a GPU", stream.pool.has_gpu and not stream.pool.gpu_workers)
            told.once(f"{stop.reason}: what is under way has {GRACE_SECONDS:.0f} s to end", stop.asked)
            if not stream.running and (stop.asked or source.over()):
                return
            stream.settle(source)
            source.tick()
        stream.abandon()


class _Said:
    """Says a thing when it becomes true, not while it stays so."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._true: set[str] = set()

    def once(self, text: str, is_true: bool) -> None:
        if is_true and text not in self._true:
            self._source.said(text)
        (self._true.add if is_true else self._true.discard)(text)


@dataclass
class _Running:
    task: Task
    tries: int = 0
    avoided: tuple[str, ...] = ()


class _Stream:
    def __init__(self, pool: Pool, unsent: Sequence[_Running]) -> None:
        self.pool = pool
        self._unsent = deque(unsent)
        self.running: dict[Future[Any], _Running] = {}
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._asked = -math.inf

    @property
    def under_way(self) -> list[_Running]:
        """Tasks taken from the source and not yet handed back."""
        return [*self.running.values(), *self._unsent]

    def fill(self, source: Source) -> None:
        """Submit tasks until enough are in flight; none while there is no worker."""
        if time.monotonic() - self._asked > POLL_SECONDS:
            self.pool.refresh()
            self._asked = time.monotonic()
        limit = self.pool.config.in_flight_per_worker * self.pool.threads
        while len(self.running) < limit and (task := source.next_task()) is not None:
            self.send(_Running(task))

    def settle(self, source: Source) -> None:
        """Hand the tasks that ended to the source; waits a little for the first."""
        with contextlib.suppress(queue.Empty):
            self._settle_one(self._ended.get(timeout=POLL_SECONDS), source)
            while True:
                self._settle_one(self._ended.get_nowait(), source)
        if not self.pool.alive:
            raise CancelledError(self.pool.client.status)

    def abandon(self) -> None:
        """Forget what is still under way."""
        self.pool.client.cancel(list(self.running), force=True)
        self.running.clear()

    def _settle_one(self, future: Future[Any], source: Source) -> None:
        run = self.running[future]
        result = _result_of(future, run.task)
        del self.running[future]
        future.release()
        if not isinstance(result, Failure):
            source.done(run.task, result)
        elif run.tries < self.pool.config.retries and not getattr(result.error, "final", False):
            self.send(_Running(run.task, run.tries + 1, (*run.avoided, result.worker)))
        else:
            source.failed(run.task, result)

    def send(self, *more: _Running) -> None:
        """Submit what is unsent, and more; what a lost scheduler does not take stays unsent."""
        self._unsent.extend(more)
        while self._unsent:
            self._submit(self._unsent[0])
            self._unsent.popleft()

    def _submit(self, run: _Running) -> None:
        """Start a task, on another worker than those that failed at it."""
        task = run.task
        on_gpu = task.gpu and self.pool.has_gpu
        able = self.pool.gpu_workers if on_gpu else self.pool.workers
        others = sorted(able.difference(run.avoided)) if run.tries else []
        future = self.pool.client.submit(
            call_task,
            task,
            key=f"{task.key}~{run.tries}" if run.tries else task.key,
            pure=False,
            workers=others or None,
            allow_other_workers=bool(others),
            resources={"GPU": 1} if on_gpu else None,
        )
        self.running[future] = run
        future.add_done_callback(self._ended.put)


def _result_of(future: Future[Any], task: Task) -> Any:
    if future.cancelled():
        raise CancelledError(task.key)
    error = future.exception()
    if error is None:
        return future.result()
    trace = "".join(traceback.format_exception(type(error), error, future.traceback()))
    if isinstance(error, KilledWorker):
        text = f"workers died while they worked on {task.key}; most often they ran out of memory, or were killed"
        error = WorkerLostError(text)
    return Failure(error, trace)


@contextlib.contextmanager
def _listening(client: Client, source: Source) -> Iterator[None]:
    client.subscribe_topic(TOPIC, lambda event: source.told(event[1]))
    try:
        yield
    finally:
        with contextlib.suppress(CommClosedError, OSError, ValueError):  # a scheduler that is lost
            client.unsubscribe_topic(TOPIC)

"""One bounded stream of tasks through a cluster."""

from __future__ import annotations

import contextlib
import math
import queue
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distributed import CancelledError, Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from wsipsm.core.errors import ScheduleError, WorkerLostError
from wsipsm.engine.cluster.pool import Pool
from wsipsm.engine.cluster.stop import GRACE_SECONDS, Stop
from wsipsm.engine.cluster.task import TOPIC, Failure, Source, Task, call_task

POLL_SECONDS = 0.5
"""Polling interval while no task completes, and time limit for fetching a completed result, s."""

MOST_DEATHS = 2
"""Worker deaths after which their task is given up."""


def run_stream(pool: Pool, source: Source, stop: Stop | None = None) -> None:
    """Run all tasks of a source; a task that fails is tried on other workers, then handed back, and the rest goes on.

    Once ``stop`` asks, no task is started but those that end what is nearly done; they and those under way have
    `GRACE_SECONDS` to end. A scheduler of others that is lost is waited for, and gets the tasks that were under way
    again.

    Parameters
    ----------
    pool : Pool
        Workers.
    source : Source
        Gives tasks and takes their results.
    stop : Stop, optional
        By which the caller can end the stream early.

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
            source.log(f"the Dask scheduler was lost ({type(error).__name__})")
            under_way = stream.under_way
            try:
                pool.restore(lambda: stop.asked)
            except ScheduleError:
                if stop.asked:
                    return
                raise
            source.log("connected again; what was under way is done again")


def _drive(stream: _Stream, source: Source, stop: Stop) -> None:
    """Run tasks until none is left or the grace period of a stop has expired."""
    with _listening(stream.pool.client, source):
        stream.send()
        conditions = _ConditionLog(source)
        while not stop.patience_over:
            if not stop.asked:
                stream.fill(source)
                conditions.log("waiting for workers", stream.pool.threads == 0)
                for address, reason in stream.pool.left_out.items():
                    conditions.log(f"worker {address} is left out: {reason}", True)
                conditions.log("waiting for workers with a GPU", stream.pool.has_gpu and not stream.pool.gpu_workers)
            else:
                stream.finish(source)
            conditions.log(f"{stop.reason}: what is under way has {GRACE_SECONDS:.0f} s to end", stop.asked)
            if not stream.running and (stop.asked or source.over()):
                return
            stream.settle(source)
            source.poll()
        stream.abandon()


class _ConditionLog:
    """Logs a condition when it becomes true, not while it stays true."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._true: set[str] = set()

    def log(self, text: str, is_true: bool) -> None:
        if is_true and text not in self._true:
            self._source.log(text)
        (self._true.add if is_true else self._true.discard)(text)


@dataclass
class _Running:
    """A task under way, and what became of it so far.

    ``avoided`` are the workers that failed at it, ``deaths`` counts those that died while they had it, ``among`` are
    those of which the scheduler may choose now.
    """

    task: Task
    tries: int = 0
    avoided: tuple[str, ...] = ()
    deaths: int = 0
    among: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Dask key of this try."""
        again = self.tries + self.deaths
        return f"{self.task.key}~{again}" if again else self.task.key


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
            self._take_back(source)
        self.send()
        limit = self.pool.config.in_flight_per_worker * self.pool.threads
        while len(self.running) + len(self._unsent) < limit and (task := source.next_task()) is not None:
            self.send(_Running(task))

    def finish(self, source: Source) -> None:
        """Submit tasks that end what is nearly done."""
        while (task := source.last_task()) is not None:
            self.send(_Running(task))

    def settle(self, source: Source) -> None:
        """Hand completed tasks to the source; waits up to `POLL_SECONDS` for the first."""
        with contextlib.suppress(queue.Empty):
            in_time = self._settle_one(self._ended.get(timeout=POLL_SECONDS), source)
            while in_time:
                in_time = self._settle_one(self._ended.get_nowait(), source)
        if not self.pool.alive:
            raise CancelledError(self.pool.client.status)

    def abandon(self) -> None:
        """Drop the tasks under way."""
        self.pool.client.cancel(list(self.running), force=True)
        self.running.clear()

    def _settle_one(self, future: Future[Any], source: Source) -> bool:
        """Hand one completed task to the source; False where its result cannot be fetched now (worker slow or gone)."""
        run = self.running.get(future)
        if run is None:  # taken back
            return True
        try:
            result = _result_of(future, run.task)
        except TimeoutError:
            future.add_done_callback(self._ended.put)  # at once where it is there, else when it was made again
            return False
        del self.running[future]
        future.release()
        if isinstance(result, _Deaths):
            self._lost(run, result.count, source)
        elif not isinstance(result, Failure):
            source.done(run.task, result)
        elif run.tries < self.pool.config.retries and getattr(result.error, "retryable", True):
            again = replace(run, tries=run.tries + 1, avoided=(*run.avoided, result.worker))
            self.send(again)
        else:
            source.failed(run.task, result)
        return True

    def _lost(self, run: _Running, deaths: int, source: Source) -> None:
        """Retry a task whose worker died, or give it up."""
        run = replace(run, deaths=run.deaths + deaths)
        if run.deaths < MOST_DEATHS:
            self._unsent.append(run)
            self._asked = -math.inf  # it goes out once we know which workers are left
            return
        text = f"{run.deaths} workers died over {run.task.key}; most often they ran out of memory, or were killed"
        source.failed(run.task, Failure(WorkerLostError(text), text))

    def _take_back(self, source: Source) -> None:
        """Take back tasks whose workers are all gone."""
        for future, run in list(self.running.items()):
            if not future.done() and not run.among & self.pool.workers:
                del self.running[future]
                future.cancel(force=True)
                self._lost(run, 1, source)

    def send(self, *more: _Running) -> None:
        """Submit unsent tasks, and more; those without a worker now, or that a lost scheduler refuses, stay unsent."""
        self._unsent.extend(more)
        for _ in range(len(self._unsent)):
            if among := self._choose(self._unsent[0]):
                self._submit(self._unsent[0], among)
                self._unsent.popleft()
            else:
                self._unsent.rotate(-1)

    def _choose(self, run: _Running) -> frozenset[str]:
        """Workers that may do a task; those that failed at it only where there are no others.

        A task that lost a worker gets one by itself, without another such task, which may be what killed the first.
        """
        able = self.pool.gpu_workers if self._on_gpu(run.task) else self.pool.workers
        able = able.difference(run.avoided) or able
        if not run.deaths:
            return able
        taken = frozenset[str]().union(*(other.among for other in self.running.values() if other.deaths))
        return frozenset(sorted(able - taken)[:1])

    def _on_gpu(self, task: Task) -> bool:
        return task.gpu and self.pool.has_gpu

    def _submit(self, run: _Running, among: frozenset[str]) -> None:
        future = self.pool.client.submit(
            call_task,
            run.task,
            key=run.key,
            pure=False,
            workers=sorted(among),
            priority=int(run.task.first),
            fifo_timeout="0s",  # else those that are sent within a tenth of a second are done in any order
            resources={"GPU": 1} if self._on_gpu(run.task) else None,
        )
        self.running[future] = replace(run, among=among)
        future.add_done_callback(self._ended.put)


@dataclass(frozen=True)
class _Deaths:
    """Workers died over a task."""

    count: int


def _result_of(future: Future[Any], task: Task) -> Any:
    """Result of a task, a `Failure`, or how many workers died over it.

    Raises
    ------
    TimeoutError
        It is not there: its worker is slow, or gone, so that the task is done again.
    CancelledError
        The scheduler was lost.
    """
    if future.cancelled():
        raise CancelledError(task.key)
    try:
        return future.result(timeout=POLL_SECONDS)
    except KilledWorker as error:
        return _Deaths(error.allowed_failures + 1)
    except (CancelledError, CommClosedError, TimeoutError):
        raise
    except Exception as error:  # of unpickling, or of Dask itself: what tasks raise comes back as a Failure
        return Failure(error, "".join(traceback.format_exception(error)))


@contextlib.contextmanager
def _listening(client: Client, source: Source) -> Iterator[None]:
    client.subscribe_topic(TOPIC, lambda event: source.progress(event[1]))
    try:
        yield
    finally:
        with contextlib.suppress(CommClosedError, OSError, ValueError):  # a scheduler that is lost
            client.unsubscribe_topic(TOPIC)

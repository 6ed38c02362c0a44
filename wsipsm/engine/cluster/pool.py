"""A connected cluster: which workers may take tasks now, and the way back to a scheduler that was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from distributed import CancelledError, Client
from distributed.comm.core import CommClosedError

from wsipsm.config import ScheduleConfig
from wsipsm.core.errors import ScheduleError
from wsipsm.engine.cluster.admission import Admission, Check, ask_workers
from wsipsm.engine.cluster.recipes import all_jobs_ended
from wsipsm.engine.cluster.remote import (
    CONNECT_SECONDS,
    RETRY_SECONDS,
    UnreachableError,
    refuse_other_scheduler,
    remote_client,
)

JOBS_SECONDS = 15
"""Interval at which a manager is asked about jobs while no worker ever came, s."""

ANSWER_SECONDS = 2
"""Time limit for one answer of the scheduler, s; a stop is noticed after it."""

LOST_SECONDS = 60
"""Silence after which a scheduler, or a local worker, is given up, s."""


class Pool:
    """A connected cluster; made by `connect`.

    Attributes
    ----------
    client : Client
        Of the scheduler.
    config : ScheduleConfig
        Bounds of the stream.
    threads : int
        Tasks that the workers run at a time; 0 while there is none. As of the last `refresh`.
    workers : frozenset of str
        Addresses of those that may take tasks, as of then.
    gpu_workers : frozenset of str
        Those of them with a GPU to share out.
    has_gpu : bool
        Whether a worker had one, at any time: what needs a GPU waits for it then.
    """

    def __init__(
        self,
        client: Client,
        config: ScheduleConfig,
        *,
        scheduler: str | None = None,
        managed: Any = None,
        check: Check | None = None,
    ) -> None:
        self.client, self.config = client, config
        self.threads, self.has_gpu = 0, False
        self.workers, self.gpu_workers = frozenset[str](), frozenset[str]()
        self._scheduler, self._managed, self._check = scheduler, managed, check
        self._had_workers = False
        self._look_at_jobs = time.monotonic() + JOBS_SECONDS
        self._greet()

    @property
    def left_out(self) -> dict[str, str]:
        """Why workers get no task, by address."""
        return self._admission.refused

    def _greet(self) -> None:
        """Check an existing scheduler and its workers."""
        trusted = self._scheduler is None and self._managed is None
        self._admission = Admission(self.client, self._check, trusted=trusted)
        self._heard = time.monotonic()
        if self._scheduler is not None:
            refuse_other_scheduler(self.client)
        self.refresh()
        self.wait_for_answers(first=True)

    def refresh(self) -> None:
        """Update the list of workers: a cluster may grow and shrink.

        Raises
        ------
        ScheduleError
            No worker ever fitted and all that are there do not, or no worker will ever come.
        CommClosedError
            The scheduler does not answer.
        """
        try:
            self._look()
        except TimeoutError:  # it may be busy; whoever asked us to stop does not wait for it
            if time.monotonic() - self._heard > LOST_SECONDS:
                raise CommClosedError(f"the scheduler did not answer for {LOST_SECONDS} s") from None
            return
        except OSError as error:
            raise CommClosedError(str(error)) from None
        self._heard = time.monotonic()
        self._refuse_hopeless()

    def _look(self) -> None:
        scheduler: Any = self.client.scheduler
        threads = self.client.sync(scheduler.ncores, callback_timeout=ANSWER_SECONDS)
        workers = self._admission.admitted(frozenset(threads))
        if workers != self.workers:
            self.gpu_workers = self._with_gpu(workers)
            self.workers = workers
        self.has_gpu |= bool(self.gpu_workers)
        self.threads = sum(threads[name] for name in workers)
        self._had_workers |= bool(workers)

    def _with_gpu(self, workers: frozenset[str]) -> frozenset[str]:
        scheduler: Any = self.client.scheduler
        found = self.client.sync(scheduler.identity, n_workers=-1, callback_timeout=ANSWER_SECONDS)
        facts = found["workers"]
        return frozenset(name for name in workers if "GPU" in (facts.get(name, {}).get("resources") or {}))

    def wait_for_answers(self, *, first: bool = False) -> None:
        """Wait a while until the workers that are there have answered whether they fit; or until one fits."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while self._admission.waiting and not (first and self.workers) and time.monotonic() < deadline:
            time.sleep(0.05)
            self.refresh()

    def _refuse_hopeless(self) -> None:
        if not self._had_workers and self.left_out and not self._admission.waiting:
            address, reason = next(iter(sorted(self.left_out.items())))
            raise ScheduleError(f"all {len(self.left_out)} workers are left out; worker {address}: {reason}")
        if self._managed and not self._had_workers and time.monotonic() > self._look_at_jobs:
            self._look_at_jobs = time.monotonic() + JOBS_SECONDS
            if trouble := all_jobs_ended(self._managed):
                raise ScheduleError(trouble)

    def ask(self, call: Callable[[], Any]) -> dict[str, Any]:
        """What a call gives on each worker that may take tasks, by address; the error where it raised one."""
        return ask_workers(self.client, call, self.workers)

    @property
    def dashboard(self) -> str:
        """Link of the Dask dashboard; empty where it has none."""
        about = self.client.scheduler_info()
        port = (about.get("services") or {}).get("dashboard")
        if port and about["address"].startswith("inproc"):  # Dask gives the machine's address, where nobody listens
            return f"http://127.0.0.1:{port}/status"
        return self.client.dashboard_link if port else ""

    @property
    def alive(self) -> bool:
        """Whether the scheduler is connected, or being connected again."""
        return self.client.status in {"running", "connecting"}

    def restore(self, give_up: Callable[[], bool]) -> None:
        """Connect again to a scheduler of others that was lost, once it is back with a worker.

        Parameters
        ----------
        give_up : callable
            Asked every few seconds; ends the wait.

        Raises
        ------
        ScheduleError
            It did not come back in time, or ``give_up`` said so; or it has other versions.
        """
        deadline = time.monotonic() + (self.config.patience_s if self._scheduler else 0)
        while self._scheduler and time.monotonic() < deadline and not give_up():
            with contextlib.suppress(UnreachableError, OSError, TimeoutError, CancelledError):
                self.close()
                self.client = remote_client(self._scheduler, seconds=RETRY_SECONDS)
                self._greet()
                return
            time.sleep(1)
        raise ScheduleError(
            f"the Dask scheduler was lost{f' ({self._scheduler})' if self._scheduler else ''}; run again, finished "
            "tiles are kept"
        )

    def close(self) -> None:
        """Disconnect from the scheduler."""
        with contextlib.suppress(OSError, TimeoutError, CommClosedError, CancelledError):
            self.client.close(timeout=RETRY_SECONDS)

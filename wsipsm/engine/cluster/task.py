"""Tasks, failures, the source of tasks, and how a worker runs a task."""

from __future__ import annotations

import pickle
import pkgutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wsipsm.core.errors import DiskFullError, ScheduleError, describe_error
from wsipsm.core.files import is_disk_full

TOPIC = "wsipsm-progress"
"""Dask topic for progress inside long tasks."""

PROGRESS_SECONDS = 0.25
"""Least time between two progress messages of one task, s; the scheduler keeps every event."""


@dataclass(frozen=True, slots=True)
class Task:
    """A function to call on some worker.

    Attributes
    ----------
    key : str
        Name, unique in the run.
    target : str
        The function, as ``package.module:name``; only the worker imports it.
    args : tuple
        Small picklable arguments.
    kind : str
        Kind of work, by which the source recognises what a result is of.
    gpu : bool
        Whether the call needs the worker's GPU, where workers have one.
    progress : bool
        Whether the call takes ``progress``, a callable that sends a dict to the client.
    first : bool
        Whether a worker does it before others that it was sent earlier.
    """

    key: str
    target: str
    args: tuple[Any, ...]
    kind: str = ""
    gpu: bool = False
    progress: bool = False
    first: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task could not be done.

    Attributes
    ----------
    error : BaseException
        What was raised.
    traceback : str
        As text.
    worker : str
        Address of the worker; empty where the worker died.
    """

    error: BaseException
    traceback: str
    worker: str = ""


class Source(Protocol):
    """Gives out tasks one at a time and takes their results."""

    def next_task(self) -> Task | None:
        """Task that can start now; None while there is none."""

    def last_task(self) -> Task | None:
        """Task that ends what is nearly done, if there is one: it is given out even after a stop."""

    def over(self) -> bool:
        """Whether no task will come any more."""

    def done(self, task: Task, result: Any) -> None:
        """Take the result of a task."""

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure, after all tries."""

    def log(self, text: str) -> None:
        """Log a run-level message."""

    def progress(self, message: dict[str, Any]) -> None:
        """Take progress from inside a task; called from another thread."""

    def poll(self) -> None:
        """Do periodic work; called about twice a second."""


def call_task(task: Task) -> Any:
    """Run a task on a worker; an exception comes back as a `Failure` with traceback and worker."""
    from distributed import get_worker  # here: the client starts its workers' first process before it loads Dask

    address = get_worker().address
    try:
        call = pkgutil.resolve_name(task.target)
        return call(*task.args, progress=_progress_reporter()) if task.progress else call(*task.args)
    except Exception as error:  # of any library below; the client decides what it means
        trace = traceback.format_exc()
        return Failure(_sendable(error), trace, address)


def _progress_reporter() -> Callable[[dict[str, Any]], None]:
    from distributed import get_worker

    last = 0.0

    def report(message: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            get_worker().log_event(TOPIC, message)

    return report


def _sendable(error: Exception) -> Exception:
    """The error without its context, or one of ours with the same message where it cannot be pickled."""
    if is_disk_full(error) and not isinstance(error, DiskFullError):
        error = DiskFullError(describe_error(error))
    # Errors that led to it may be of classes that cannot travel, and are in the traceback as text.
    error.__cause__ = error.__context__ = error.__traceback__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a class that pickles badly may raise anything
        return ScheduleError(f"{type(error).__name__}: {error}")
    return error

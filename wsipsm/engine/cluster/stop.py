"""A request to stop a run: by a signal, by the caller, or by the run itself where the disk is full."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import psutil

from wsipsm.core.errors import StoppedError

GRACE_SECONDS = 20.0
"""Grace period of the tasks under way after a stop; what does not end is done again by the next run. Ending the workers
takes some seconds more."""


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def end_process() -> NoReturn:
    """End this process and all that it has started, now; what it was writing is left as after a power cut."""
    children = psutil.Process().children(recursive=True)
    trackers = [child for child in children if _tracks_resources(child)]
    for child in children:
        if child not in trackers:
            _kill(child)
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # the cursor that the progress had hidden
    sys.stderr.write("wsipsm: stopped at once; the same command goes on where it was\n")
    sys.stderr.flush()
    for child in trackers:  # last: a thread that misses it starts another one, which complains of what it never saw
        _kill(child)
    os._exit(128 + signal.SIGINT)


def _tracks_resources(process: psutil.Process) -> bool:
    """Whether a process is the one that removes the semaphores of `multiprocessing`."""
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()


class Stop:
    """A request to stop, and since when; safe to make from any thread.

    Attributes
    ----------
    signal : int
        Number of the signal that asked; 0 where none did.
    reason : str
        Why, for people; empty while nobody asked.
    disk_full : bool
        Whether the run asked by itself, as no space is left for results.
    awaited : bool
        Whether a run is under way that looks at this; until then a signal ends what goes on at once.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.reason = ""
        self.disk_full = False
        self.awaited = False
        self._since = 0.0
        self._at_once: Callable[[], object] = _interrupt

    def ask(self, reason: str, *, disk_full: bool = False) -> None:
        """Ask to stop; the first reason stays."""
        if not self.reason:
            # The reason last: other threads look at it first.
            self.disk_full, self._since, self.reason = disk_full, time.monotonic(), reason

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return bool(self.reason)

    @property
    def patience_over(self) -> bool:
        """Whether the grace period of the tasks under way has expired."""
        return self.asked and time.monotonic() - self._since > GRACE_SECONDS

    @contextmanager
    def on_signals(self, at_once: Callable[[], object] = _interrupt) -> Iterator[Stop]:
        """SIGINT and SIGTERM ask to stop; a second SIGINT ends at once. Only the main thread can do this.

        Parameters
        ----------
        at_once : callable
            What a second SIGINT does; by default it raises KeyboardInterrupt, after which the workers are still ended
            in order. One that is given is that of a process that a stop ends: its handlers then stay, so that a
            signal that comes late, as the process is ending, has no other meaning.
        """
        self._at_once = at_once
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._caught) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            if at_once is _interrupt or not self.asked:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _caught(self, number: int, _: FrameType | None) -> None:
        if not self.awaited:
            raise StoppedError(f"stopped by {signal.Signals(number).name} before anything was begun", number)
        if self.signal == number == signal.SIGINT:  # SIGTERM may come twice, of a batch system and of its shell
            self._at_once()
        self.signal = self.signal or number
        self.ask(f"stopped by {signal.Signals(number).name}")

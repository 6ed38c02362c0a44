"""How a run is asked to stop: by a signal, or by itself when going on is of no use."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 20.0
"""How long tasks under way may take to end after a stop; what does not end is done again by the next run. Ending the
workers takes some seconds more."""


class Stop:
    """A wish to stop, and since when.

    Attributes
    ----------
    signal : int
        Number of the signal that asked; 0 where none did.
    reason : str
        Why, for people; empty while nobody asked.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.reason = ""
        self._since = 0.0

    def ask(self, reason: str) -> None:
        """Ask to stop; the first reason stays."""
        if not self.reason:
            self.reason, self._since = reason, time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return bool(self.reason)

    @property
    def patience_over(self) -> bool:
        """Whether what is still under way has had its time."""
        return self.asked and time.monotonic() - self._since > GRACE_SECONDS

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """SIGINT and SIGTERM ask to stop; a second SIGINT interrupts at once. Only the main thread can do this."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._caught) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _caught(self, number: int, _: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:  # SIGTERM may come twice, of a batch system and of its shell
            raise KeyboardInterrupt
        self.signal = self.signal or number
        self.ask(f"stopped by {signal.Signals(number).name}")

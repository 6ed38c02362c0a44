"""Work that one thread does behind another, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self


class Behind:
    """Context manager whose thread makes calls in the order they were given, some of them behind its caller.

    The first call that raises makes a later `call`, or the end of the block, raise the same; no call after it is made.
    If the block raises, calls that wait are not made.

    Parameters
    ----------
    most : int
        Calls that may wait; the next one waits for room, so that little is held in memory.
    """

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._waiting: deque[Future[None]] = deque()
        self._failed: BaseException | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._waiting and kind is None:
                self._settle()
        finally:
            self._thread.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Make a call behind the caller."""
        while self._waiting and (len(self._waiting) >= self._most or self._waiting[0].done()):
            self._settle()
        self._waiting.append(self._thread.submit(self._made, function, *args))

    def _made(self, function: Callable[..., object], *args: Any) -> None:
        """Make a call, unless an earlier one raised."""
        if self._failed is None:
            try:
                function(*args)
            except BaseException as error:
                self._failed = error

    def _settle(self) -> None:
        """Wait for the earliest call."""
        self._waiting.popleft().result()
        if self._failed is not None:
            raise self._failed

"""One run at a time on an output folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from wsipsm.errors import LockedError, OutputError

LOCK_FILE = ".wsipsm.lock"
HOLDER_FILE = ".wsipsm.holder.json"


@contextmanager
def locked(folders: Iterable[Path], *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold folders for this process alone; the operating system lets go of them when the process ends, however.

    Raises
    ------
    LockedError
        Another process holds one of them, for longer than is waited.
    OutputError
        The file system knows no locks.
    """
    with ExitStack() as stack:
        for folder in sorted(set(folders)):
            stack.enter_context(_locked(folder, wait_seconds))
        yield


def is_locked(folder: Path) -> bool:
    """Whether a run holds a folder now."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def _locked(folder: Path, wait_seconds: float) -> Iterator[None]:
    lock = FileLock(folder / LOCK_FILE, timeout=wait_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"{folder}: {_holder(folder)} works on this folder; wait until it has ended, or choose another -o"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"{folder}: its file system cannot lock files ({error}); choose another folder") from None
    try:
        facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        with suppress(OSError):  # it only names us to others
            (folder / HOLDER_FILE).write_bytes(orjson.dumps(facts))
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        facts = orjson.loads((folder / HOLDER_FILE).read_bytes())
        return f"another run (process {facts['pid']} on {facts['host']}, since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"

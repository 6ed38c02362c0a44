"""Locks: one run at a time on an output folder."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from wsipsm.core.errors import LockedError, OutputError, UnsupportedSystemError
from wsipsm.core.files import write_json

try:
    import fcntl
except ModuleNotFoundError:
    raise UnsupportedSystemError(
        "this command needs the file locks of a POSIX system, and this one has none; on Windows, run wsipsm in WSL "
        "(https://learn.microsoft.com/windows/wsl/install) and open its results in QuPath as usual"
    ) from None

LOCK_FILE = ".wsipsm.lock"
HOLDER_FILE = ".wsipsm.holder.json"


@contextmanager
def locked_trees(folders: Iterable[Path], *, run: str = "", wait_seconds: float = 0) -> Iterator[set[Path]]:
    """Lock folders and all below them for this process; the system releases the locks when the process ends.

    Parameters
    ----------
    folders : iterable of Path
        Each exists, or lies below another of them that exists.
    run : str
        Name of the run; it is kept in the outermost folders until the next run, see `run_of`.
    wait_seconds : float
        How long to wait for another process.

    Yields
    ------
    set of Path
        The outermost folders, symbolic links resolved.

    Raises
    ------
    LockedError
        Another process has locked one of them, or a folder above or below.
    OutputError
        The file system does not support locks.
    """
    wanted = {Path(os.path.realpath(folder)) for folder in folders}
    roots = {folder for folder in wanted if not wanted.intersection(folder.parents)}
    with ExitStack() as stack:
        for root in sorted(roots):
            stack.enter_context(locked(root, wait_seconds=wait_seconds))
        # After our own locks: of two runs with nested folders, at least one then sees the other.
        for near in {*(above for root in roots for above in root.parents), *(wanted - roots)}:
            with suppress(PermissionError):  # of another user, who could not write here
                if is_locked(near):
                    raise _held(near)
        for root in roots:
            since = datetime.now(UTC).isoformat("T", "seconds")
            facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": since, "run": run}
            write_json(root / HOLDER_FILE, facts)
        yield roots


@contextmanager
def locked(folder: Path, *, wait_seconds: float = 0) -> Iterator[None]:
    """Lock one folder, not those above or below; errors as `locked_trees`."""
    with locked_file(folder / LOCK_FILE, wait_seconds=wait_seconds):
        yield


@contextmanager
def locked_file(file: Path, *, wait_seconds: float = 0) -> Iterator[None]:
    """Acquire a lock file, which is removed on release; errors as `locked_trees`."""
    lock = FileLock(file, timeout=wait_seconds)
    try:
        # Without system locks filelock falls back to plain files, which two processes may both take for theirs.
        with tempfile.TemporaryFile(dir=file.parent) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.acquire()
    except Timeout:
        raise _held(file.parent) from None
    except (OSError, NotImplementedError) as error:
        text = f"{file.parent}: cannot be locked ({error}); choose a folder on another file system"
        raise OutputError(text) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process has locked a folder; needs no write permission and does not hinder others.

    Raises
    ------
    PermissionError
        The lock file may not be opened.
    """
    try:
        with (folder / LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except PermissionError:
        raise
    except OSError:  # no such file, or a file system without locks, where no run starts
        return False
    return False


def run_of(folder: Path) -> str:
    """Name of the last run that locked a tree; empty if there was none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(orjson.loads((folder / HOLDER_FILE).read_bytes())["run"])
    return ""


def why_unseen(roots: Iterable[Path], run: str, host: str) -> str:
    """Why this machine cannot work for a run: an output folder that it does not see; empty if it sees all.

    Parameters
    ----------
    roots : iterable of Path
        Outermost folders of the run.
    run, host : str
        Name of the run, and of the machine that it was started on.
    """
    for root in roots:
        if run_of(root) != run:
            return (
                f"{root}: the worker's host {socket.gethostname()} does not see this output folder as {host} does, "
                "where the run was started; mount the same file system there, at the same path"
            )
    return ""


def _held(folder: Path) -> LockedError:
    try:
        facts = orjson.loads((folder / HOLDER_FILE).read_bytes())
        holder = f"another run (process {facts['pid']} on {facts['host']}, since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        holder = "another run"
    return LockedError(f"{folder}: {holder} works on this folder; wait until it has ended, or choose another -o")

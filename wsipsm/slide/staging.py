"""Copies of slides on a fast disk: made ahead of their turn, within a budget, removed at the end of the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wsipsm.core.errors import LockedError, OutputError, describe_error
from wsipsm.core.files import make_folder
from wsipsm.core.lock import locked_file

PREFIX = "wsipsm-stage-"
_PARTS = frozenset({".vms", ".vmu", ".dcm"})
_WAIT_SECONDS = 0.2
_CLOSE_SECONDS = 5.0
_GB = 10**9


@contextlib.contextmanager
def staged(slides: Sequence[Path], folder: Path, *, gigabytes: float, log: Callable[[str], None]) -> Iterator[Stager]:
    """Copy slides, in order and one at a time, while the block runs; remove all copies at its end.

    Copies left by a killed run are removed first: a run holds a lock, which the system releases when the run dies.

    Parameters
    ----------
    slides : sequence of Path
        In the order of their turn; the position is the slide's number later. A slide may occur more than once.
    folder : Path
        On the fast disk; several runs may share it.
    gigabytes : float
        Budget of this run, 10^9 bytes each. A slide larger than that is read in place.
    log : callable
        Receives the reason when a slide is read in place.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    remove_leftovers(make_folder(folder))
    own = folder / f"{PREFIX}{uuid.uuid4().hex[:12]}"
    with locked_file(_lock_of(own)):
        make_folder(own)
        stager = Stager(slides, own, budget=int(gigabytes * _GB), log=log)
        try:
            yield stager
        finally:
            stager.close()
            shutil.rmtree(own, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the copies of runs that have ended."""
    for left in folder.glob(f"{PREFIX}*"):
        if left.is_dir():
            with contextlib.suppress(LockedError), locked_file(_lock_of(left)):
                shutil.rmtree(left, ignore_errors=True)
    for lock in folder.glob(f".{PREFIX}*.lock"):
        if not (folder / lock.name.removeprefix(".").removesuffix(".lock")).exists():
            with contextlib.suppress(LockedError), locked_file(lock):
                pass  # which removes it


class Stager:
    """Thread that copies slides; see `staged`."""

    def __init__(self, slides: Sequence[Path], folder: Path, *, budget: int, log: Callable[[str], None]) -> None:
        self._slides, self._folder, self._budget, self._log = slides, folder, budget, log
        self._decided: dict[int, Path | None] = {}
        self._sizes: dict[int, int] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="stager", daemon=True)
        self._thread.start()

    def copy_of(self, number: int) -> tuple[bool, Path | None]:
        """Whether it is decided where a slide is read, and its copy; None if it is read in place."""
        with self._changed:
            return number in self._decided, self._decided.get(number)

    def release(self, number: int) -> None:
        """Remove the copy of a slide whose turn is over."""
        with self._changed:
            copy = self._decided.get(number)
        if copy is not None:
            shutil.rmtree(copy.parent, ignore_errors=True)
        with self._changed:
            self._sizes.pop(number, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop copying, without waiting for a copy that hangs in the file system."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=_CLOSE_SECONDS)

    def _work(self) -> None:
        for number, slide in enumerate(self._slides):
            copy = None
            try:
                copy = self._copy(slide, number)
            except Exception as error:  # of any kind: the slide can still be read in place
                if not self._closed:
                    self._log(f"{slide.name} is read in place: it cannot be copied: {describe_error(error)}")
            with self._changed:
                if self._closed:
                    return
                self._decided[number] = copy
                self._changed.notify_all()

    def _copy(self, slide: Path, number: int) -> Path | None:
        """Copy of a slide in a folder of its own; None if it is read in place."""
        place = self._folder / str(number)
        parts = _files_of(slide)
        size = sum(part.stat().st_size for part in parts)
        if not parts or size > self._budget:
            reason = "larger than the budget" if parts else "a format of many files"
            self._log(f"{slide.name} is read in place: {reason}")
            return None
        if not self._room_for(number, size):
            return None
        try:
            for part in parts:
                target = place / part.relative_to(slide.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy_file(part, target)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            with self._changed:
                self._sizes.pop(number, None)
            raise
        return place / slide.name

    def _room_for(self, number: int, size: int) -> bool:
        with self._changed:
            while not self._closed and sum(self._sizes.values()) + size > self._budget:
                self._changed.wait(_WAIT_SECONDS)
            self._sizes[number] = size
            return not self._closed

    def _copy_file(self, source: Path, target: Path) -> None:
        """Copy in chunks, so that a stop is quick, with the time of change; the copy gets its name when it is whole."""
        draft, before = target.with_name(f".{target.name}.part"), source.stat()
        with source.open("rb") as reader, draft.open("wb") as writer:
            while not self._closed and (chunk := reader.read(16 << 20)):
                writer.write(chunk)
        if self._closed:
            raise OutputError("the run stops")
        os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
        draft.rename(target)


def _files_of(slide: Path) -> list[Path]:
    """Files that make up a slide; none if its name does not tell which."""
    suffix = slide.suffix.lower()
    if suffix in _PARTS:
        return []
    if slide.is_dir():
        return [path for path in slide.rglob("*") if path.is_file()]
    beside = slide.with_suffix("") if suffix == ".mrxs" else None
    more = [path for path in beside.rglob("*") if path.is_file()] if beside is not None and beside.is_dir() else []
    return [slide, *more]


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")

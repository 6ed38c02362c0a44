"""Atomic writes, hashes and folders."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import DiskFullError, OutputError

RESULT_VERSION = 4
"""Incremented by hand whenever the same slide and settings give other cells, measurements or UUIDs than before."""


def result_hash(keys: Mapping[str, Any], **inputs: Any) -> str:
    """Hash (16 hexadecimal digits) of everything that the cells of a run depend on.

    Parameters
    ----------
    keys : mapping
        `Config.result_keys`.
    **inputs
        Other inputs, ready for JSON: fingerprint of the slide, resolution override, hashes of region and checkpoint.
    """
    content = orjson.dumps({"version": RESULT_VERSION, "config": keys, **inputs}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_mark(path: Path) -> list[int]:
    """Size and modification time of a file, ns; while both are unchanged, the content is taken as unchanged."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: it appears complete or not at all.

    Raises
    ------
    DiskFullError
        No space is left.
    OutputError
        The folder is missing or not writable.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        kind = DiskFullError if is_disk_full(error) else OutputError
        raise kind(f"{path}: cannot be written: {error.strerror}") from None


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Path to write a file to; it gets its own name when the block ends, and is removed if the block raises.

    Raises
    ------
    DiskFullError
        No space is left.
    OutputError
        It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        os.replace(draft, path)
    except OSError as error:
        kind = DiskFullError if is_disk_full(error) else OutputError
        raise kind(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def appearing_folder(path: Path) -> Iterator[Path]:
    """New folder to write to; it gets its own name when the block ends, and is removed if the block raises.

    Raises
    ------
    DiskFullError
        No space is left.
    OutputError
        Something has that name already, or it cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path}: exists already; remove it, or choose another name")
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir()
        yield draft
        draft.rename(path)
    except OSError as error:
        kind = DiskFullError if is_disk_full(error) else OutputError
        raise kind(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_once(path: Path, write: Callable[[Path], None]) -> None:
    """Create a file that is never replaced; of several processes that create it at once, the first to finish wins.

    Parameters
    ----------
    path : Path
        The file; it appears complete.
    write : callable
        Writes the content to the path that it gets.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        write(draft)
        _link_once(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link_once(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # no hard links on this file system: look first, then replace
        if not path.exists():
            os.replace(draft, path)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or its cause, means that no space or quota is left."""
    if isinstance(error, DiskFullError):
        return True
    cause = error.__cause__ or error.__context__
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return full or (cause is not None and is_disk_full(cause))


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Write indented JSON atomically."""
    write_bytes(path, orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table as CSV, atomically.

    Parameters
    ----------
    path : Path
        The table.
    columns : iterable of str
        Names of the columns, in their order.
    rows : iterable of mapping
        A value for each column.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def flush_tree(folder: Path) -> None:
    """Wait until a file, or all files below a folder, are on the disk."""
    for path in (folder, *folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def make_folder(path: Path) -> Path:
    """Create a folder with its parents and check that files can be written and replaced in it.

    Raises
    ------
    OutputError
        It cannot be created or written, a file stands there, or its file system cannot replace a file in one step.
    """
    probe, other = (path / f".wsipsm-{uuid.uuid4().hex[:8]}" for _ in range(2))
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        other.touch()
    except OSError as error:
        kind = DiskFullError if is_disk_full(error) else OutputError
        raise kind(f"{path}: the output folder cannot be written: {error.strerror}") from None
    try:
        os.replace(probe, other)
    except OSError as error:
        raise OutputError(
            f"{path}: its file system cannot replace a file in one step ({error.strerror}), so a kill could leave "
            "half a result; choose a folder on another file system"
        ) from None
    finally:
        probe.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    return path

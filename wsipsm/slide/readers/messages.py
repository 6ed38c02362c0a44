"""No warnings and log lines of the libraries that read slides: nobody can act on remarks about odd metadata."""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_LIBRARIES = frozenset({"PIL", "tiatoolbox", "tifffile", "imagecodecs", "wsidicom", "pydicom", "glymur", "zarr"})

_lock = threading.Lock()
_readers = 0
_settings = ExitStack()


@contextmanager
def without_library_messages() -> Iterator[None]:
    """Drop warnings and the log lines of these libraries; errors are raised as usual.

    Filters and levels belong to the process, not to a thread: the first of several readers sets them, and the last one
    restores them.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _readers
    with _lock:
        if not _readers:
            _settings.enter_context(_messages_off())
        _readers += 1


def _leave() -> None:
    global _readers
    with _lock:
        _readers -= 1
        if not _readers:
            _settings.close()


@contextmanager
def _messages_off() -> Iterator[None]:
    root = logging.getLogger()  # TIAToolbox's own logger is the root
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in _LIBRARIES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.addFilter(_is_of_others)
        for logger in levels:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            root.removeFilter(_is_of_others)
            for logger, level in levels.items():
                logger.setLevel(level)


def silence_libtiff(linked: str) -> None:
    """Let the libtiff that a compiled module is linked to print nothing of its own to stderr; errors are still raised.

    Parameters
    ----------
    linked : str
        The module's file. A libtiff inside of it, which cannot be told, prints on.
    """
    library = ctypes.CDLL(linked)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with suppress(AttributeError):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


def _is_of_others(record: logging.LogRecord) -> bool:
    return not _LIBRARIES.intersection(Path(record.pathname).parts)

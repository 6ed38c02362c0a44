"""Silence for the libraries that read slides: their remarks on odd metadata are nothing that anybody can act on."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_NOISY = frozenset({"tiatoolbox", "tifffile", "imagecodecs", "wsidicom", "pydicom", "glymur", "zarr"})

_lock = threading.Lock()
_readers = 0
_silence = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings, and what the libraries below log; what matters is raised.

    Filters and levels belong to the process, not to a thread: the first reader sets them, the last takes them back.
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
            _silence.enter_context(_silenced())
        _readers += 1


def _leave() -> None:
    global _readers
    with _lock:
        _readers -= 1
        if not _readers:
            _silence.close()


@contextmanager
def _silenced() -> Iterator[None]:
    root = logging.getLogger()  # TIAToolbox's own logger is the root
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in _NOISY}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.addFilter(_is_not_noise)
        for logger in levels:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.removeFilter(_is_not_noise)
            for logger, level in levels.items():
                logger.setLevel(level)


def _is_not_noise(record: logging.LogRecord) -> bool:
    return not _NOISY.intersection(Path(record.pathname).parts)

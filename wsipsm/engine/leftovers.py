"""What runs leave in a slide's folder besides its results: scratch, drafts of outputs, and what is being removed."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

PATTERNS = (".work-*", ".draft-*", ".gone-*")


def put_aside(out: Path, keep: Callable[[Path], bool] = lambda _: False) -> list[Path]:
    """Rename leftovers, at once and out of everybody's way; returns them, to be removed at leisure.

    Parameters
    ----------
    out : Path
        A slide's output folder.
    keep : callable
        Says of a path that it stays.
    """
    aside = []
    for path in [path for pattern in PATTERNS for path in out.glob(pattern)]:
        if not keep(path):
            gone = out / f".gone-{uuid.uuid4().hex}"
            with contextlib.suppress(OSError):  # somebody else was faster
                path.rename(gone)
                aside.append(gone)
    return aside


def has_tiles(path: Path) -> bool:
    """Whether a folder is scratch that the next run goes on from: the maps of a tile or more are stored in it."""
    return any((path / "mapped").glob("[!.]*"))


def remove(aside: Iterable[Path]) -> None:
    """Delete what was put aside."""
    for path in aside:
        shutil.rmtree(path, ignore_errors=True)

"""Files that wsipsm wrote, in a folder that may hold the user's own: these are neither written over nor removed."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wsipsm.core.errors import OutputError

_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{8}")
"""What a kill leaves of a file half written, see :func:`wsipsm.core.files.write_bytes`."""
_NAMED = 3


def refuse_foreign(folder: Path, foreign: Iterable[Path]) -> None:
    """Raise where a file stands under a name that is going to be written.

    Parameters
    ----------
    folder : Path
        The output folder.
    foreign : iterable of Path
        Files that are going to be written and that no record says were written by wsipsm.

    Raises
    ------
    OutputError
        One of them is there.
    """
    found = [str(path.relative_to(folder)) for path in _standing(foreign)]
    if not found:
        return
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise OutputError(
        f"{folder}: holds {', '.join(found[:_NAMED])}{more}, which no training of wsipsm wrote as far as its record "
        "says, and which this one would write over: move them away or choose another folder; nothing was changed"
    )


def remove_owned(owned: Iterable[Path]) -> None:
    """Remove files, and drafts of them, where they are; folders stay.

    Raises
    ------
    OutputError
        Something cannot be removed.
    """
    try:
        for path in _standing(owned, drafts=True):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be removed: {error.strerror}") from None


def bad_record(path: Path) -> OutputError:
    """What to raise for a record of a training that cannot be read."""
    return OutputError(
        f"{path}: damaged, or not written by wsipsm, so that it cannot be told which files here are of a training: "
        "choose another folder"
    )


def _standing(paths: Iterable[Path], *, drafts: bool = False) -> list[Path]:
    """Those of the paths that exist; a folder is listed once, as it may lie far away and hold thousands."""
    names = defaultdict[Path, set[str]](set)
    for path in paths:
        names[path.parent].add(path.name)
    found: list[Path] = []
    for parent in sorted(names):
        with suppress(FileNotFoundError, NotADirectoryError):
            for name in sorted(os.listdir(parent)):
                meant = match[1] if drafts and (match := _DRAFT.fullmatch(name)) else name
                if meant in names[parent]:
                    found.append(parent / name)
    return found

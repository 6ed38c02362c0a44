"""Keeps the user's own files in an output folder from being overwritten or removed."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wsipsm.core.errors import OutputError

_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{8}")
"""Name of an incomplete file left by a killed process, see :func:`wsipsm.core.files.write_bytes`."""
_NAMED = 3


def refuse_foreign(folder: Path, foreign: Iterable[Path]) -> None:
    """Raise if a file that wsipsm did not write would be overwritten.

    Parameters
    ----------
    folder : Path
        The output folder.
    foreign : iterable of Path
        Files about to be written that no record lists as written by wsipsm.

    Raises
    ------
    OutputError
        One of them exists.
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
    """Remove files that exist, and incomplete ones of the same names; folders stay.

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
    """Error for a training record that cannot be read."""
    return OutputError(
        f"{path}: damaged, or not written by wsipsm, so it cannot be told which files here belong to a training: "
        "choose another folder"
    )


def _standing(paths: Iterable[Path], *, drafts: bool = False) -> list[Path]:
    """Those of the paths that exist; each folder is listed once, as it may be remote and hold thousands of files."""
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

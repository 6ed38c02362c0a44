"""Identity of a slide's content."""

from __future__ import annotations

import hashlib
from pathlib import Path

_MIB = 1 << 20


def fingerprint_of(path: Path) -> str:
    """SHA-256 of a slide's size, first and last MiB; for a folder, of the names and sizes of its files.

    The same for a copy under another name. Of formats of several files, the named one alone is read.

    Raises
    ------
    OSError
        The file is not there, or cannot be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(f for f in path.rglob("*") if f.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\n".encode())
        return digest.hexdigest()
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_MIB))
        stream.seek(max(0, size - _MIB))
        digest.update(stream.read(_MIB))
    return digest.hexdigest()

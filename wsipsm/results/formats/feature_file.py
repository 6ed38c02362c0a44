"""A GeoJSON file that is written feature by feature and appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import uuid
from pathlib import Path
from typing import Self

from wsipsm.core.errors import OutputError


class FeatureFile:
    """Context manager: when the block ends, the file gets its name; if the block raises, there is none.

    Parameters
    ----------
    path : Path
        ``.geojson`` or ``.geojson.gz``, which decides whether it is gzipped.

    Raises
    ------
    OutputError
        The name is another, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if not path.name.endswith((".geojson", ".geojson.gz")):
            raise OutputError(f"{path}: expected a name that ends with .geojson or .geojson.gz")
        self._path, self._temporary = path, path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        self._skip = 1  # the comma of the first feature

    def __enter__(self) -> Self:
        try:
            self._file = self._temporary.open("wb")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None
        # Without name and time in the header, the same features give the same bytes.
        zipped = self._path.suffix == ".gz"
        self._out = gzip.GzipFile("", "wb", 5, self._file, mtime=0) if zipped else self._file
        self._out.write(b'{"type":"FeatureCollection","features":[')
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._out.write(b"]}")
                self._out.close()
            self._file.close()
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def add(self, features: bytes) -> None:
        """Append the text of features, each with a comma before it."""
        if features:
            self._out.write(memoryview(features)[self._skip :])
            self._skip = 0

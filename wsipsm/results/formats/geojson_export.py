"""Chosen cells as GeoJSON for QuPath, in a file of any name."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path

from wsipsm.config import OutputConfig
from wsipsm.core.errors import OutputError
from wsipsm.core.files import appearing
from wsipsm.results.export_source import ExportSource
from wsipsm.results.formats.geojson import GeoJsonWriter


class GeoJsonExport:
    """GeoJSON of the cells that were chosen: one file, several beside it above 250 000 cells, or a folder of them.

    Parameters
    ----------
    target : Path
        ``NAME.geojson.gz`` or ``NAME.geojson``; split files are called ``NAME-001.geojson.gz`` and so on. A name
        without suffix is a folder, which gets the script that imports all files too.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._source = target, source
        objects = source.options.objects
        self._config = OutputConfig(
            objects="points" if objects == "points" else "polygons",
            object_type={"cells": "cell", "points": "detection", "polygons": "detection", None: None}[objects],
        )

    def write(self) -> list[Path]:
        """Write the files; errors as `export`."""
        if not self._target.suffix:
            self._target.mkdir(exist_ok=True)
            return self._write_into(self._target)
        try:
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._target.parent))
        except OSError as error:
            raise OutputError(f"{self._target}: cannot be written: {error.strerror}") from None
        try:
            parts = [path for path in self._write_into(draft) if path.name.endswith(".geojson.gz")]
            return [self._place(part, number if len(parts) > 1 else 0) for number, part in enumerate(parts, 1)]
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _write_into(self, folder: Path) -> list[Path]:
        source = self._source
        with GeoJsonWriter(folder, config=self._config, offset_l0=source.offset_l0, stain=source.stain) as writer:
            for batch in source.cells():
                writer.write(*batch)
        return writer.files

    def _place(self, part: Path, number: int) -> Path:
        """Give a part its name; ``number`` 0: it is the only one."""
        suffix = ".geojson.gz" if self._target.name.endswith(".gz") else ".geojson"
        stem = self._target.name.removesuffix(suffix)
        target = self._target.with_name(f"{stem}-{number:03d}{suffix}") if number else self._target
        if suffix.endswith(".gz"):
            os.replace(part, target)
            return target
        with appearing(target) as path, gzip.open(part) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        return target

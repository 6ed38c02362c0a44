"""Cells as GeoJSON for QuPath.

QuPath rejects a whole file for a single null, missing colour or invalid polygon. Its rules are written down in
``tests/helpers/qupath.py``, and every feature is tested against them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from isal import igzip

from wsipsm.cells.table import Cells
from wsipsm.config import OutputConfig
from wsipsm.results.formats import FORMATS
from wsipsm.results.formats.features import CellFeatures

IMPORT_SCRIPT = "import.groovy"

_BLOCK_BYTES = 1 << 20

_HEAD, _TAIL = b'{"type":"FeatureCollection","features":[', b"]}"

_SCRIPT = """\
// Adds all cells of this folder to the image that is open in QuPath (0.4 or later): Automate > Script editor, open this
// file, Run. To do it for an image of a project and save it there:
//   QuPath script import.groovy --project P.qpproj --image "NAME" --args FOLDER --save
// Without --project nothing is saved. Cells that are in the image already are never added a second time;
// "--args replace" removes them first, and with them what was changed by hand.
def given = binding.hasVariable('args') && args ? args as List : []
def script = binding.hasVariable('qupath.script.file') ? binding.getVariable('qupath.script.file') : null
def path = given.find {{ it != 'replace' }}
if (path == null && script != null)
    path = new File(script as String).getAbsoluteFile().getParent()
if (path == null)
    throw new IllegalArgumentException('Save this script beside {first} and run it from there, or give --args FOLDER')
if (getCurrentImageData() == null)
    throw new IllegalStateException('No image is open: open the slide first, or give --project and --image')
def files = [{names}].collect {{ new File(path as String, it) }}
def missing = files.findAll {{ !it.isFile() }}
if (missing)
    throw new FileNotFoundException('Not found: ' + missing.join(', '))
def cells = files.collectMany {{ qupath.lib.io.PathIO.readObjects(it) }}
def ids = cells.collect {{ it.getID() }} as Set
def known = getAllObjects(false).findAll {{ it.getID() in ids }}
if (known && !('replace' in given)) {{
    println 'Nothing imported: ' + known.size() + ' of these ' + cells.size() + ' cells are in the image already. ' +
        'Delete them and run this again, or give --args replace'
    return
}}
removeObjects(known, true)
addObjects(cells)
println 'Imported ' + cells.size() + ' cells of ' + files.size() + ' files, removed ' + known.size() + ' earlier ones'
"""


class GeoJsonWriter:
    """Context manager that writes cells batch by batch, to several files where one would be too large for QuPath.

    When the block ends, all files get their final names and those of an earlier run are removed. If the block raises,
    no file is left.

    Parameters
    ----------
    folder : Path
        An existing folder.
    config : OutputConfig
        Geometry, object type and objects per file.
    offset_l0 : (int, int)
        Origin (x, y) of the frame of the written coordinates, level-0 px.
    stain : str
        ``recognizer.stain`` of the run; measurements are named after it.

    Attributes
    ----------
    files : list of Path
        After the block: ``cells.geojson.gz``, or ``cells-001.geojson.gz`` and so on and ``import.groovy``.
    """

    def __init__(self, folder: Path, *, config: OutputConfig, offset_l0: tuple[int, int], stain: str) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._config = config
        self._features = CellFeatures(config, offset_l0, stain)
        self._parts: list[_Part] = []

    def __enter__(self) -> Self:
        self._begin_part()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._parts[-1].close()
                self.files = _publish([part.path for part in self._parts], self._folder)
        finally:
            for part in self._parts:
                part.discard()

    def write(self, cells: Cells, labels: npt.NDArray[np.integer[Any]], uuids: Sequence[str]) -> None:
        """Add N cells, their (N,) labels and their N UUIDs; each file is filled before the next one is started.

        Parameters
        ----------
        cells : Cells
            N cells, level-0 px.
        labels : (N,) int
            Their values in the label image.
        uuids : sequence of str
            N of them.
        """
        start = 0
        while start < len(cells):
            if self._parts[-1].room == 0:
                self._parts[-1].close()
                self._begin_part()
            stop = min(start + self._parts[-1].room, len(cells))
            some = slice(start, stop)
            self._parts[-1].add(self._features.texts(cells.part(some), labels[some], uuids[some]), stop - start)
            start = stop

    def _begin_part(self) -> None:
        path = self._folder / f".cells-{len(self._parts) + 1:03d}.part"
        self._parts.append(_Part(path, self._config.max_objects_per_file))


class _Part:
    """One file under its temporary name; ``room`` is the number of features that still fit."""

    def __init__(self, path: Path, room: int) -> None:
        self.path = path
        self.room = room
        self._file: BinaryIO = path.open("wb")
        self._gzip = _Gzip(self._file)
        self._gzip.write(_HEAD)
        self._skip = 1  # the comma of the first feature

    def add(self, features: Iterable[bytes], count: int) -> None:
        """Append the text of so many features, each with a comma before it."""
        for text in features:
            self._gzip.write(memoryview(text)[self._skip :])
            self._skip = 0
        self.room -= count

    def close(self) -> None:
        """Complete the file."""
        self._gzip.write(_TAIL)
        self._gzip.close()
        self._file.close()

    def discard(self) -> None:
        """Close the file, and remove it unless it has its final name."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class _Gzip:
    """Stream into a gzip file: as small as by zlib's level 4, in a quarter of the time.

    The same text gives the same bytes, however it is cut into pieces: without name and time in the header, and
    compressed in blocks of one size, which show in what ISA-L makes of them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._gzip: Any = igzip.IGzipFile(filename="", mode="wb", compresslevel=3, fileobj=file, mtime=0)  # type: ignore[no-untyped-call]
        self._held = bytearray()

    def write(self, text: bytes | memoryview) -> None:
        """Add a piece."""
        self._held += text
        while len(self._held) >= _BLOCK_BYTES:
            with memoryview(self._held)[:_BLOCK_BYTES] as block:
                self._gzip.write(block)
            del self._held[:_BLOCK_BYTES]

    def close(self) -> None:
        """Complete the stream; the file stays open."""
        self._gzip.write(bytes(self._held))
        self._gzip.close()


def _publish(temporary: list[Path], folder: Path) -> list[Path]:
    """Give the finished files their final names and remove those of an earlier run."""
    many = len(temporary) > 1
    names = [f"cells-{i:03d}.geojson.gz" if many else "cells.geojson.gz" for i in range(1, len(temporary) + 1)]
    files = [folder / name for name in names]
    if many:
        script = folder / f".{IMPORT_SCRIPT}.part"
        listed = ", ".join(f"'{name}'" for name in names)
        script.write_text(_SCRIPT.format(first=names[0], names=listed), encoding="utf-8")
        temporary, files = [*temporary, script], [*files, folder / IMPORT_SCRIPT]
    for source, target in zip(temporary, files, strict=True):
        os.replace(source, target)
    for stale in {path for pattern in FORMATS["geojson"].files for path in folder.glob(pattern)} - set(files):
        stale.unlink()
    return files

"""The slide behind the cells: its file is opened when a tile is asked for, and closed when others are looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from wsipsm.core.errors import WsipsmError
from wsipsm.core.geometry import Box, Image
from wsipsm.results.result import Result
from wsipsm.results.viewer.tiles import as_jpeg, level_count, picture_box, picture_tile
from wsipsm.slide import Slide

THUMBNAIL_PX = 320
"""Longer side of a thumbnail, pixels."""


class Picture:
    """Pixels of a slide as JPEG, for several threads.

    Parameters
    ----------
    path : Path
        The slide's file.
    size_l0 : (int, int)
        Its width and height, level-0 px.
    open_slide : callable
        Opens it.
    """

    def __init__(self, path: Path, size_l0: tuple[int, int], open_slide: Callable[[Path], Slide]) -> None:
        self._path, self._size_l0, self._open_slide = path, size_l0, open_slide
        self._slide: Slide | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_result(cls, result: Result, folders: tuple[Path, ...] = ()) -> Picture:
        """Picture of the slide of a result; ``folders`` as `place_of`."""
        facts = result.record["slide"]
        size_l0 = (int(facts["width_l0"]), int(facts["height_l0"]))
        return cls(place_of(Path(facts["path"]), folders), size_l0, result.open_slide)

    def why_missing(self) -> str:
        """Why there are no pixels; empty where there are."""
        try:
            with self._lock:
                self._opened()
        except (WsipsmError, OSError) as error:
            return " ".join(str(error).split())
        return ""

    def tile(self, level: int, col: int, row: int) -> bytes | None:
        """Tile as JPEG, white where the slide cannot be opened; None where there is no such tile.

        Parameters
        ----------
        level : int
            0 is the coarsest.
        col, row : int
            Place among the tiles of the level.
        """
        halvings = level_count(*self._size_l0) - 1 - level
        if halvings < 0 or min(level, col, row) < 0:
            return None
        box = picture_box(self._size_l0, halvings, col, row)
        return None if box.empty else as_jpeg(self._read(box, lambda slide: picture_tile(slide, halvings, col, row)))

    def thumbnail(self) -> bytes:
        """Whole slide, small, as JPEG; white where it cannot be opened."""
        width, height = self._size_l0
        downsample = max(1.0, max(width, height) / THUMBNAIL_PX)
        box = Box(0, 0, max(1, round(width / downsample)), max(1, round(height / downsample)))
        return as_jpeg(self._read(box, lambda slide: slide.read_reduced(box, downsample)[0]))

    def close(self) -> None:
        """Release the file; it is opened again when it is needed."""
        with self._lock, suppress(OSError):
            if self._slide is not None:
                self._slide.close()
            self._slide = None

    def _read(self, box: Box, read: Callable[[Slide], Image]) -> Image:
        with self._lock:  # not every reader takes several threads
            try:
                return read(self._opened())
            except (WsipsmError, OSError):
                self._slide = None  # after a failed read a handle may be dead
                return np.full((*box.shape, 3), 255, np.uint8)

    def _opened(self) -> Slide:
        if self._slide is None:
            self._slide = self._open_slide(self._path)
        return self._slide


def place_of(path: Path, folders: tuple[Path, ...]) -> Path:
    """Where a slide's file is: where the run read it, or else in one of the folders; the former if it is nowhere."""
    return next((one for one in (path, *(folder / path.name for folder in folders)) if one.exists()), path)

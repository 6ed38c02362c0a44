"""Slides that only TIAToolbox reads: variants of DICOM.

Importing its reader takes 6 s, so it happens when the first such slide is opened.
"""

from __future__ import annotations

import gc
import logging
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import PixelFormatError, UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide.base import EXPECTED_RGB, Slide
from wsipsm.slide.header import Header, Level
from wsipsm.slide.readers.messages import without_library_messages
from wsipsm.slide.resolution import Claim, number, resolve

_import_lock = threading.Lock()


class TiatoolboxSlide(Slide):
    """A slide read by TIAToolbox, one read at a time."""

    reader = "tiatoolbox"

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self._lock = threading.Lock()
        self._handle = _open(path)
        try:
            _refuse_other_pixels(path, self._handle)
            header = _header(path, self._handle.info, mpp)
        except BaseException:
            self.close()
            raise
        super().__init__(path, header, mpp=mpp)

    def close(self) -> None:
        """Release the file; closing twice is harmless."""
        if self._handle is not None:
            self._handle.wsi.close()
        self._handle = None

    def _level_for_tiles(self, downsample: float) -> int:
        return 0  # TIAToolbox interpolates elsewhere

    def _read_level(self, level: int, box: Box) -> Image:
        self._refuse_closed(self._handle is None)
        step_x, step_y = self._steps(self.levels[level])
        corner_l0 = (round(box.x0 * step_x), round(box.y0 * step_y))
        try:
            with self._lock, without_library_messages():
                pixels = _read(self._handle, level, corner_l0, (box.width, box.height))
        except Exception as error:  # as in _open
            raise self._damaged(level, box, error) from None
        return np.ascontiguousarray(pixels)


def _open(path: Path) -> Any:
    """Open, and read one pixel: some files open and cannot be read."""
    with without_library_messages():
        try:
            # post_proc would turn any number of channels into a false-colour RGB. Its `open` would pick other readers
            # by the file's name, which print.
            handle = _import_reader()(path, post_proc=None)
            _read(handle, 0, (0, 0), (1, 1))
        except Exception as error:  # of any class on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
        else:
            return handle
        gc.collect()  # a reader that failed half-way keeps its file open in a reference cycle
    raise UnreadableSlideError(
        f"{path}: TIAToolbox cannot open it ({reason}): no whole-slide DICOM, or damaged; copy it again from its source"
    )


def _read(handle: Any, level: int, corner_l0: tuple[int, int], size: tuple[int, int]) -> Image:
    pixels: Image = handle.read_rect(corner_l0, size, resolution=level, units="level")
    return pixels


def _refuse_other_pixels(path: Path, handle: Any) -> None:
    with without_library_messages():
        pixel = _read(handle, 0, (0, 0), (1, 1))
    if pixel.dtype != np.uint8 or pixel.shape != (1, 1, 3):
        channels = pixel.shape[2] if pixel.ndim == 3 else 1
        raise PixelFormatError(f"{path}: {channels} channels of {pixel.dtype}; {EXPECTED_RGB}")


def _import_reader() -> Any:
    """TIAToolbox's reader of DICOM; the import must not add handlers to the root logger or capture all warnings."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    with _import_lock:
        root.addHandler(placeholder)
        show = warnings.showwarning
        try:
            from tiatoolbox.wsicore.wsireader import DICOMWSIReader
        finally:
            root.removeHandler(placeholder)
            if warnings.showwarning is not show:
                logging.captureWarnings(False)
    return DICOMWSIReader


def _header(path: Path, info: Any, mpp: float | None) -> Header:
    levels = tuple(
        Level(int(width), int(height), float(downsample))
        for (width, height), downsample in zip(info.level_dimensions, info.level_downsamples, strict=True)
    )
    x, y = (None, None) if info.mpp is None else (number(value) for value in info.mpp)
    properties = {} if info.objective_power is None else {"objective_power": str(info.objective_power)}
    return Header(
        vendor="unknown" if str(info.vendor) == "None" else str(info.vendor),
        levels=levels,
        resolution=resolve(path, [Claim("tiatoolbox.mpp", x, y)], mpp),
        properties=properties,
    )

"""Choice of the reader that opens a file."""

from __future__ import annotations

import os
from pathlib import Path

from wsipsm.core.errors import InputError, UnreadableSlideError
from wsipsm.slide.base import Slide
from wsipsm.slide.readers.openslide import OpenSlideSlide, detect_vendor
from wsipsm.slide.readers.pillow import PlainSlide, is_plain, refuse_other_pixels

# OpenSlide knows files of these two formats by their container alone, so another reader may decode their pixels.
_CONTAINERS = frozenset({"generic-tiff", "dicom"})
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide with the first reader that can: OpenSlide, Pillow for plain images, TIAToolbox.

    Parameters
    ----------
    path : str or Path
        A slide file, or an NGFF folder named ``*.zarr``.
    mpp : float, optional
        Micrometres per level-0 pixel; overrides whatever the file says.

    Raises
    ------
    InputError
        No such file.
    UnreadableSlideError
        No reader opens it.
    ResolutionError
        No believable micrometres per pixel, and no ``mpp`` given.
    PixelFormatError
        Not 8-bit RGB.
    """
    path = Path(path)
    _check_exists(path)
    if path.is_dir():
        return _by_tiatoolbox(path, mpp)
    refusal, vendor = "", detect_vendor(path)
    if vendor in (None, "generic-tiff"):  # OpenSlide would make grey and 16-bit ones look like RGB
        refuse_other_pixels(path)
    if vendor is not None:
        try:
            return OpenSlideSlide(path, mpp)
        except UnreadableSlideError as error:
            if vendor not in _CONTAINERS:
                raise
            refusal = f"; before that, {str(error).removeprefix(f'{path}: ')}"
    if is_plain(path):
        return PlainSlide(path, mpp)
    _check_signature(path)
    try:
        return _by_tiatoolbox(path, mpp)
    except UnreadableSlideError as error:
        raise UnreadableSlideError(f"{error}{refusal}") from None


def _by_tiatoolbox(path: Path, mpp: float | None) -> Slide:
    from wsipsm.slide.readers.tiatoolbox import TiatoolboxSlide  # importing TIAToolbox takes 6 s

    return TiatoolboxSlide(path, mpp)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise UnreadableSlideError(f"{path}: is a folder; expected a slide file")
    if not os.access(path, os.R_OK):
        raise UnreadableSlideError(f"{path}: may not be read (permission denied)")
    if path.is_file() and path.stat().st_size == 0:
        raise UnreadableSlideError(f"{path}: is empty (0 bytes); copy it again from its source")


def _check_signature(path: Path) -> None:
    """Refuse what no reader can open, before TIAToolbox is imported for it."""
    with path.open("rb") as file:
        start = file.read(132)
    if not (start.startswith(_TIFF_MAGIC) or start[128:] == b"DICM"):
        raise UnreadableSlideError(
            f"{path}: not a slide: neither OpenSlide nor Pillow knows it, and it is no TIFF or DICOM inside "
            f"(it starts with {start[:8]!r})"
        )

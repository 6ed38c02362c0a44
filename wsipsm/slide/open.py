"""Choice of the reader that opens a file.

::

    folder *.zarr                                      OME-Zarr
    format that OpenSlide knows by name                OpenSlide
    TIFF of several images, planes, SubIFDs, RGBX      tifffile
    other TIFF in tiles                                OpenSlide, tifffile where that fails
    plain image                                        Pillow
    other TIFF                                         tifffile
    other DICOM                                        TIAToolbox
"""

from __future__ import annotations

import os
from pathlib import Path

from wsipsm.core.errors import InputError, UnreadableSlideError
from wsipsm.core.geometry import Box
from wsipsm.slide.base import Slide
from wsipsm.slide.readers.openslide import OpenSlideSlide, detect_vendor
from wsipsm.slide.readers.pillow import PlainSlide, is_plain, refuse_other_pixels

# OpenSlide knows files of these two formats by their container alone, so another reader may decode their pixels.
_CONTAINERS = frozenset({"generic-tiff", "dicom"})
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CORNERS = ((0, 0), (1, 1))
_NEVER_PLAIN = frozenset({".bif", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu"})
"""Suffixes of scanners' formats: a plain image of that name is a thumbnail, or what is left of a slide."""


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide with the reader that is right for it, see the module.

    Parameters
    ----------
    path : str or Path
        A slide file, or an NGFF folder named ``*.zarr``.
    mpp : float, optional
        Micrometres per level-0 pixel; overrides whatever the file says.

    Returns
    -------
    Slide
        Open; a context manager that closes it.

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
        return _by_zarr(path, mpp)
    vendor = detect_vendor(path)
    if vendor not in _CONTAINERS | {None}:
        return OpenSlideSlide(path, mpp)
    with path.open("rb") as file:
        tiff = file.read(8).startswith(_TIFF_MAGIC)
    return (_open_tiff if tiff else _open_other)(path, mpp, known=vendor is not None)


def _open_tiff(path: Path, mpp: float | None, *, known: bool) -> Slide:
    """Open a TIFF of no scanner's format; ``known``, if OpenSlide takes it for a slide."""
    from wsipsm.slide.readers.tiff import TiffSlide, wants_tifffile

    if wants_tifffile(path):
        return TiffSlide(path, mpp)
    refuse_other_pixels(path)  # OpenSlide would make grey and 16-bit ones look like RGB
    refusal = ""
    if known:
        try:
            slide = OpenSlideSlide(path, mpp)
        except UnreadableSlideError as error:
            refusal = f"; before that, {str(error).removeprefix(f'{path}: ')}"
        else:
            if not (faults := _faults(slide)) or len(_faults(TiffSlide(path, 1.0), close=True)) >= len(faults):
                return slide
            slide.close()
            return TiffSlide(path, mpp)
    if is_plain(path):
        _refuse_remains(path)
        return PlainSlide(path, mpp)
    if len(faults := _faults(TiffSlide(path, 1.0), close=True)) == len(_CORNERS):
        raise UnreadableSlideError(f"{faults[0]}{refusal}")
    return TiffSlide(path, mpp)


def _open_other(path: Path, mpp: float | None, *, known: bool) -> Slide:
    """Open DICOM (``known``, if OpenSlide takes it for a slide) or a plain image."""
    refusal = ""
    if known:
        try:
            return OpenSlideSlide(path, mpp)
        except UnreadableSlideError as error:
            refusal = f"; before that, {str(error).removeprefix(f'{path}: ')}"
    refuse_other_pixels(path)
    if is_plain(path):
        _refuse_remains(path)
        return PlainSlide(path, mpp)
    _check_signature(path)
    try:
        return _by_tiatoolbox(path, mpp)
    except UnreadableSlideError as error:
        raise UnreadableSlideError(f"{error}{refusal}") from None


def _faults(slide: Slide, *, close: bool = False) -> list[str]:
    """Why the first and the last pixel cannot be read, if so; OpenSlide opens TIFFs that it cannot read."""
    faults = []
    for right, bottom in _CORNERS:
        x, y = right * (slide.width_l0 - 1), bottom * (slide.height_l0 - 1)
        try:
            slide.read(Box(x, y, x + 1, y + 1), slide.grid(slide.mpp_l0))
        except UnreadableSlideError as error:
            faults.append(str(error))
    if close:
        slide.close()
    return faults


def _by_zarr(path: Path, mpp: float | None) -> Slide:
    from wsipsm.slide.readers.ome_zarr import OmeZarrSlide

    return OmeZarrSlide(path, mpp)


def _by_tiatoolbox(path: Path, mpp: float | None) -> Slide:
    from wsipsm.slide.readers.tiatoolbox import TiatoolboxSlide  # importing TIAToolbox takes 6 s

    return TiatoolboxSlide(path, mpp)


def _refuse_remains(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix not in _NEVER_PLAIN:
        return
    folder = path.with_suffix("")
    if suffix == ".mrxs" and not (folder / "Slidedat.ini").is_file():
        raise UnreadableSlideError(f"{path}: {folder.name}/Slidedat.ini is missing beside it: copy that folder too")
    raise UnreadableSlideError(
        f"{path}: only a plain image, not a slide of that format: copy the slide again, with all files that belong to "
        f"it, or give the image its own suffix"
    )


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise UnreadableSlideError(f"{path}: is a folder; expected a slide file")
    if not (path.is_file() or path.is_dir()):
        raise UnreadableSlideError(f"{path}: not a regular file (a pipe, a socket or a device)")
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

"""Sample image, from a package that wsipsm depends on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from wsipsm.core.errors import InputError

HE_FIELD_MPP = 0.25
"""Micrometres per pixel of the H&E field. Its file does not say; nuclei of about 30 px mean a 40x objective."""


class SampleField(NamedTuple):
    """An image to try things on.

    Attributes
    ----------
    path : Path
        Its file.
    mpp : float
        Micrometres per pixel; the file does not say.
    """

    path: Path
    mpp: float


def sample_field() -> SampleField:
    """H&E field of 1000 x 1000 px at 40x that is installed with wsipsm; nothing is downloaded.

    Returns
    -------
    SampleField
        ``path`` and ``mpp``.

    Raises
    ------
    InputError
        This release of TIAToolbox, which brings it, has no such file.

    Examples
    --------
    >>> field = wsipsm.sample_field()  # doctest: +SKIP
    >>> wsipsm.run(field.path, "out", slide_mpp=field.mpp)  # doctest: +SKIP
    """
    return SampleField(he_field(), HE_FIELD_MPP)


def he_field() -> Path:
    """H&E field of 1000 x 1000 px in TIAToolbox's wheel; found without importing TIAToolbox.

    Raises
    ------
    InputError
        This release of TIAToolbox has no such file.
    """
    spec = importlib.util.find_spec("tiatoolbox")
    path = Path(spec.origin or "").parent / "data" / "target_image.png" if spec else Path("target_image.png")
    if not path.is_file():
        raise InputError(f"{path}: TIAToolbox came without its H&E field; give a slide with --slide")
    return path

"""Summary of a slide, for ``wsipsm info``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsipsm.core.errors import ResolutionError
from wsipsm.slide.base import Slide
from wsipsm.slide.open import open_slide
from wsipsm.slide.resolution import number

_OBJECTIVE = ("openslide.objective-power", "objective_power")


def describe_file(path: Path, *, mpp: float | None = None) -> dict[str, Any]:
    """Summary of a slide file, as `describe`, of one without a resolution too.

    In that case ``mpp_l0`` and ``size_mm`` are None, and ``mpp_source`` says why and what to do.
    """
    try:
        with open_slide(path, mpp=mpp) as slide:
            return describe(slide)
    except ResolutionError as error:
        with open_slide(path, mpp=1.0) as slide:
            return describe(slide) | {"mpp_l0": None, "size_mm": None, "mpp_source": f"none: {error}"}


def describe(slide: Slide) -> dict[str, Any]:
    """Summary of a slide, ready for JSON.

    Returns
    -------
    dict
        ``path, vendor, reader, width_l0, height_l0, mpp_l0`` (um/px), ``mpp_source, size_mm`` (width, height),
        ``objective_power`` or None, ``levels`` (a dict each), ``bounds_l0`` (x0, y0, x1, y1 in level-0 pixels) or None,
        ``associated`` (name to width and height) and ``fingerprint``.
    """
    bounds = slide.bounds_l0
    powers = [number(slide.properties[key]) for key in _OBJECTIVE if key in slide.properties]
    return {
        "path": str(slide.path),
        "vendor": slide.vendor,
        "reader": slide.reader,
        "width_l0": slide.width_l0,
        "height_l0": slide.height_l0,
        "mpp_l0": slide.mpp_l0,
        "mpp_source": slide.mpp_source,
        "size_mm": [round(size * slide.mpp_l0 / 1000, 4) for size in (slide.width_l0, slide.height_l0)],
        "objective_power": next((power for power in powers if power is not None), None),
        "levels": [asdict(level) for level in slide.levels],
        "bounds_l0": None if bounds is None else [bounds.x0, bounds.y0, bounds.x1, bounds.y1],
        "associated": {name: list(size) for name, size in slide.associated.items()},
        "fingerprint": slide.fingerprint(),
    }

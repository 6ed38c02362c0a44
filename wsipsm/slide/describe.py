"""What ``wsipsm info`` says of a slide."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from wsipsm.slide.base import Slide
from wsipsm.slide.resolution import number

_OBJECTIVE = ("openslide.objective-power", "objective_power")


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

"""Data of a slide: its header, the levels of its pyramid, its thumbnail."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsipsm.core.geometry import Box, Image
from wsipsm.slide.resolution import Resolution


@dataclass(frozen=True, slots=True)
class Level:
    """One plane of the pyramid: size in its own pixels, level-0 pixels per pixel."""

    width: int
    height: int
    downsample: float


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata of a slide, known before pixels are read."""

    vendor: str
    levels: tuple[Level, ...]
    resolution: Resolution
    bounds_l0: Box | None = None
    properties: dict[str, str] = field(default_factory=dict)
    associated: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """The whole slide, small.

    Attributes
    ----------
    image : (h, w, 3) uint8
        White where the file is damaged.
    downsample_l0 : float
        Exact level-0 pixels per pixel, the same in x and y.
    damaged_l0 : tuple of Box
        Parts that could not be read, level-0 pixels.
    """

    image: Image
    downsample_l0: float
    damaged_l0: tuple[Box, ...] = ()
